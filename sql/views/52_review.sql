-- Rejections under review, and what became of them.

CREATE OR REPLACE VIEW leadflow._review_parties WITH (security_invoker = true) AS
SELECT r.id AS review_id, p.member_id, p.part
FROM leadflow.reviews r
JOIN leadflow.leads l ON l.id = r.lead_id
CROSS JOIN LATERAL (
	SELECT r.rejected_by AS member_id, 'rejected it' AS part
	UNION
	SELECT o.owner_id, 'had it in this cycle' AS part
	FROM (VALUES (r.owner_id), (l.owner_id)) o (owner_id)
	UNION
	SELECT h.owner_id, 'had it in this cycle' AS part
	FROM leadflow.handoffs h
	WHERE h.lead_id = r.lead_id AND h.offered_at >= (
		-- the cycle that the lead was in before the move, which may have begun another
		SELECT min(c.entered_at) FROM leadflow.stage_history c
		WHERE c.lead_id = r.lead_id AND c.cycle = (
			SELECT coalesce(
				(SELECT b.cycle FROM leadflow.stage_history b
				WHERE b.lead_id = m.lead_id AND (b.entered_at, b.id) < (m.entered_at, m.id)
				ORDER BY b.entered_at DESC, b.id DESC LIMIT 1), m.cycle)
			FROM leadflow.stage_history m
			WHERE m.lead_id = r.lead_id AND m.id = r.history_id))
	UNION
	SELECT o.owner_id, 'owns its campaign' AS part
	FROM (VALUES (r.campaign_owner_id)) o (owner_id)
	UNION
	SELECT c.owner_id, 'owns its campaign' AS part
	FROM leadflow.campaigns c
	WHERE c.id IN (r.campaign_id, l.campaign_id)
) p
WHERE r.closed_at IS NULL AND p.member_id IS NOT NULL;
COMMENT ON VIEW leadflow._review_parties IS 'Internal. One row an open case, member and part: who has a part in a rejection and may therefore not vote on it.';
COMMENT ON COLUMN leadflow._review_parties.review_id IS 'Case (reviews.id).';
COMMENT ON COLUMN leadflow._review_parties.member_id IS 'Member.';
COMMENT ON COLUMN leadflow._review_parties.part IS 'rejected it, had it in this cycle (an offer is enough), or owns its campaign (when it was opened, or now).';

CREATE OR REPLACE VIEW leadflow._review_tallies WITH (security_invoker = true) AS
SELECT
	r.id AS review_id,
	r.lead_id,
	coalesce(h.to_stage, l.stage) AS stage,
	coalesce(h.left_at IS NULL, false) AS stands,
	r.reason,
	r.due_at,
	v.uphold AS votes_uphold,
	v.overturn AS votes_overturn,
	n.needed AS votes_needed,
	e.electors - v.of_electors AS reviewers_left,
	CASE
		WHEN v.uphold + v.overturn < n.needed THEN NULL
		WHEN v.uphold > v.overturn THEN 'uphold'
		WHEN v.overturn > v.uphold THEN 'overturn'
		-- a tie waits for one more, and stands where there is nobody
		WHEN e.electors = v.of_electors THEN 'uphold'
	END AS outcome
FROM leadflow.reviews r
JOIN leadflow.leads l ON l.id = r.lead_id
LEFT JOIN leadflow.stage_history h ON h.lead_id = r.lead_id AND h.id = r.history_id
CROSS JOIN LATERAL (
	SELECT
		(SELECT count(*) FROM leadflow.team_members m WHERE m.active AND m.reviewer)
		- (SELECT count(*) FROM leadflow.team_members m WHERE m.active AND m.reviewer
			AND m.id IN (SELECT p.member_id FROM leadflow._review_parties p WHERE p.review_id = r.id)) AS electors
) e
CROSS JOIN LATERAL (
	SELECT
		count(*) FILTER (WHERE v.verdict = 'uphold') AS uphold,
		count(*) FILTER (WHERE v.verdict = 'overturn') AS overturn,
		count(*) FILTER (WHERE m.active AND m.reviewer
			AND m.id NOT IN (SELECT p.member_id FROM leadflow._review_parties p WHERE p.review_id = r.id)) AS of_electors
	FROM leadflow.review_votes v
	JOIN leadflow.team_members m ON m.id = v.reviewer_id
	WHERE v.review_id = r.id
) v
CROSS JOIN LATERAL (
	-- who has voted and could not any more counts, too
	SELECT greatest(1, least(s.review_quorum, e.electors + v.uphold + v.overturn - v.of_electors)) AS needed
	FROM leadflow.settings s
) n
WHERE r.closed_at IS NULL;
COMMENT ON VIEW leadflow._review_tallies IS 'Internal. One row an open case: how it stands, and the verdict where the votes give one.';
COMMENT ON COLUMN leadflow._review_tallies.review_id IS 'Case (reviews.id).';
COMMENT ON COLUMN leadflow._review_tallies.lead_id IS 'Lead.';
COMMENT ON COLUMN leadflow._review_tallies.stage IS 'Stage that it was sent to.';
COMMENT ON COLUMN leadflow._review_tallies.stands IS 'Is it there still?';
COMMENT ON COLUMN leadflow._review_tallies.reason IS 'Reason given.';
COMMENT ON COLUMN leadflow._review_tallies.due_at IS 'When time upholds it.';
COMMENT ON COLUMN leadflow._review_tallies.votes_uphold IS 'Votes for the rejection.';
COMMENT ON COLUMN leadflow._review_tallies.votes_overturn IS 'Votes against it.';
COMMENT ON COLUMN leadflow._review_tallies.votes_needed IS 'Votes that decide it: settings.review_quorum, at most as many as may vote (or have), at least 1.';
COMMENT ON COLUMN leadflow._review_tallies.reviewers_left IS 'Members who may vote and have not.';
COMMENT ON COLUMN leadflow._review_tallies.outcome IS 'uphold or overturn; NULL = undecided.';

CREATE OR REPLACE VIEW leadflow.review_queue WITH (security_invoker = true) AS
SELECT
	r.id AS review_id,
	r.lead_id,
	l.full_name,
	l.company,
	t.stage,
	r.reason,
	r.note,
	r.rejected_by AS rejected_by_id,
	m.full_name AS rejected_by,
	r.owner_id,
	o.full_name AS owner,
	r.campaign_id,
	c.name AS campaign,
	r.contested_at,
	r.contested_by AS contested_by_id,
	x.full_name AS contested_by,
	r.contest_note,
	r.opened_at,
	r.due_at,
	t.votes_uphold,
	t.votes_overturn,
	t.votes_needed,
	t.reviewers_left,
	r.due_at <= leadflow.now() AS is_due,
	e.last_engaged_at
FROM leadflow.reviews r
JOIN leadflow._review_tallies t ON t.review_id = r.id
JOIN leadflow.leads l ON l.id = r.lead_id
LEFT JOIN leadflow.team_members m ON m.id = r.rejected_by
LEFT JOIN leadflow.team_members o ON o.id = r.owner_id
LEFT JOIN leadflow.campaigns c ON c.id = r.campaign_id
LEFT JOIN leadflow.team_members x ON x.id = r.contested_by
LEFT JOIN leadflow.score_state e ON e.lead_id = r.lead_id
WHERE r.closed_at IS NULL;
COMMENT ON VIEW leadflow.review_queue IS 'One row an open case of review (key: review_id; at most one a lead). Vote with leadflow.review(lead_id, …).';
COMMENT ON COLUMN leadflow.review_queue.review_id IS 'Case (reviews.id).';
COMMENT ON COLUMN leadflow.review_queue.lead_id IS 'Lead.';
COMMENT ON COLUMN leadflow.review_queue.full_name IS 'Name of the lead.';
COMMENT ON COLUMN leadflow.review_queue.company IS 'Company of the lead.';
COMMENT ON COLUMN leadflow.review_queue.stage IS 'Stage that it was sent to.';
COMMENT ON COLUMN leadflow.review_queue.reason IS 'Reason given, as it stands; NULL = none.';
COMMENT ON COLUMN leadflow.review_queue.note IS 'Note given with it; NULL = none.';
COMMENT ON COLUMN leadflow.review_queue.rejected_by_id IS 'Member who rejected it; NULL = an administrator or the engine.';
COMMENT ON COLUMN leadflow.review_queue.rejected_by IS 'Name of that member.';
COMMENT ON COLUMN leadflow.review_queue.owner_id IS 'Whose lead it was; NULL = nobody''s.';
COMMENT ON COLUMN leadflow.review_queue.owner IS 'Name of that member.';
COMMENT ON COLUMN leadflow.review_queue.campaign_id IS 'Campaign that sourced it; NULL = none.';
COMMENT ON COLUMN leadflow.review_queue.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.review_queue.contested_at IS 'When marketing put its case; NULL = it has not.';
COMMENT ON COLUMN leadflow.review_queue.contested_by_id IS 'Who did; NULL = nobody, or an administrator.';
COMMENT ON COLUMN leadflow.review_queue.contested_by IS 'Name of that member.';
COMMENT ON COLUMN leadflow.review_queue.contest_note IS 'What was said.';
COMMENT ON COLUMN leadflow.review_queue.opened_at IS 'When it was opened.';
COMMENT ON COLUMN leadflow.review_queue.due_at IS 'When the rejection is upheld unless it was decided.';
COMMENT ON COLUMN leadflow.review_queue.votes_uphold IS 'Votes for the rejection so far.';
COMMENT ON COLUMN leadflow.review_queue.votes_overturn IS 'Votes against it so far.';
COMMENT ON COLUMN leadflow.review_queue.votes_needed IS 'Votes that decide it; a tie takes one more.';
COMMENT ON COLUMN leadflow.review_queue.reviewers_left IS 'Members who may vote and have not; 0 with too few votes = time will decide.';
COMMENT ON COLUMN leadflow.review_queue.is_due IS 'due_at has passed: closed to votes, the next sweep closes it.';
COMMENT ON COLUMN leadflow.review_queue.last_engaged_at IS 'When the lead last did something: after opened_at speaks for it; NULL = never.';

-- Each rejection, and the last case about it.
CREATE OR REPLACE VIEW leadflow._rejections WITH (security_invoker = true) AS
SELECT
	date_trunc('month', h.entered_at AT TIME ZONE s.time_zone)::date AS month_start,
	h.lead_id,
	h.id AS history_id,
	h.reason,
	h.actor_id AS rejected_by_id,
	l.campaign_id,
	r.id AS review_id,
	r.verdict,
	r.closed_by,
	r.closed_at,
	coalesce(n.team = 'system' AND g.category = 'handoff' AND r.verdict IS NULL, false) AS rerouted
FROM leadflow.stage_history h
CROSS JOIN leadflow.settings s
JOIN leadflow.leads l ON l.id = h.lead_id
LEFT JOIN LATERAL (
	SELECT r.* FROM leadflow.reviews r
	WHERE r.lead_id = h.lead_id AND (r.history_id = h.id OR (
		-- the case of a duplicate that goes on hangs on the lead's own move, by the merge
		h.merged_from IS NOT NULL AND EXISTS (
			SELECT FROM leadflow.stage_history k
			WHERE k.lead_id = r.lead_id AND k.id = r.history_id AND k.team = 'system' AND k.reason = 'merged')
		AND h.id = (
			SELECT o.id FROM leadflow.stage_history o
			WHERE o.lead_id = r.lead_id AND o.merged_from IS NOT NULL AND o.to_stage = 'rejected'
				AND (o.team, o.reason) IS DISTINCT FROM ('system', 'merged') AND o.entered_at <= r.opened_at
			ORDER BY o.entered_at DESC, o.id DESC LIMIT 1)))
	ORDER BY r.opened_at DESC, r.id DESC LIMIT 1
) r ON true
LEFT JOIN LATERAL (
	SELECT n.* FROM leadflow.stage_history n
	WHERE n.lead_id = h.lead_id AND n.merged_from IS NOT DISTINCT FROM h.merged_from
		AND (n.entered_at, n.id) > (h.entered_at, h.id)
	ORDER BY n.entered_at, n.id LIMIT 1
) n ON true
LEFT JOIN leadflow.stages g ON g.name = n.to_stage
-- a lead that takes a duplicate's stage is not rejected once more
WHERE h.to_stage = 'rejected' AND (h.team, h.reason) IS DISTINCT FROM ('system', 'merged');
COMMENT ON VIEW leadflow._rejections IS 'Internal. One row a rejection (a lead that entered stage rejected), with the last case of review about it.';
COMMENT ON COLUMN leadflow._rejections.month_start IS 'First day of its month, in settings.time_zone.';
COMMENT ON COLUMN leadflow._rejections.lead_id IS 'Lead.';
COMMENT ON COLUMN leadflow._rejections.history_id IS 'The rejection (stage_history.id).';
COMMENT ON COLUMN leadflow._rejections.reason IS 'Reason given.';
COMMENT ON COLUMN leadflow._rejections.rejected_by_id IS 'Who rejected it; NULL = an administrator or the engine.';
COMMENT ON COLUMN leadflow._rejections.campaign_id IS 'Campaign that sourced the lead.';
COMMENT ON COLUMN leadflow._rejections.review_id IS 'Last case about it; NULL = none.';
COMMENT ON COLUMN leadflow._rejections.verdict IS 'Its verdict; NULL = none.';
COMMENT ON COLUMN leadflow._rejections.closed_by IS 'What closed it; NULL = it is open.';
COMMENT ON COLUMN leadflow._rejections.closed_at IS 'When; NULL = it is open.';
COMMENT ON COLUMN leadflow._rejections.rerouted IS 'The engine sent it back to sales because of its reason: no verdict did.';

CREATE OR REPLACE VIEW leadflow.review_outcomes WITH (security_invoker = true) AS
SELECT
	j.month_start,
	j.reason,
	j.rejected_by_id,
	m.full_name AS rejected_by,
	j.campaign_id,
	c.name AS campaign,
	count(*) AS cases,
	count(*) FILTER (WHERE j.closed_at IS NULL) AS still_open,
	count(*) FILTER (WHERE j.verdict = 'uphold' AND j.closed_by = 'votes') AS upheld_by_votes,
	count(*) FILTER (WHERE j.verdict = 'uphold' AND j.closed_by = 'time') AS upheld_by_time,
	count(*) FILTER (WHERE j.verdict = 'overturn') AS overturned,
	count(*) FILTER (WHERE j.closed_by = 'moved') AS dropped,
	count(j.verdict) AS decided,
	count(*) FILTER (WHERE j.verdict = 'overturn')::double precision / nullif(count(j.verdict), 0) AS overturn_rate
FROM leadflow._rejections j
LEFT JOIN leadflow.team_members m ON m.id = j.rejected_by_id
LEFT JOIN leadflow.campaigns c ON c.id = j.campaign_id
WHERE j.review_id IS NOT NULL
GROUP BY j.month_start, j.reason, j.rejected_by_id, m.full_name, j.campaign_id, c.name;
COMMENT ON VIEW leadflow.review_outcomes IS 'One row a month of rejections (in settings.time_zone), reason, member who rejected and campaign (key: month_start, reason, rejected_by_id, campaign_id; NULLs are values of their own) with at least one case of review. Counts rejections of stage rejected by their last case; cases = still_open + decided + dropped, decided = upheld_by_votes + upheld_by_time + overturned. For a rate over several rows: sum(overturned) / sum(decided).';
COMMENT ON COLUMN leadflow.review_outcomes.month_start IS 'First day of the month of the rejection, in settings.time_zone.';
COMMENT ON COLUMN leadflow.review_outcomes.reason IS 'Reason given, as it stands; NULL = none.';
COMMENT ON COLUMN leadflow.review_outcomes.rejected_by_id IS 'Member who rejected; NULL = an administrator or the engine.';
COMMENT ON COLUMN leadflow.review_outcomes.rejected_by IS 'Name of that member.';
COMMENT ON COLUMN leadflow.review_outcomes.campaign_id IS 'Campaign that sourced the leads; NULL = none.';
COMMENT ON COLUMN leadflow.review_outcomes.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.review_outcomes.cases IS 'Rejections that are or were under review.';
COMMENT ON COLUMN leadflow.review_outcomes.still_open IS 'Number of those that are undecided.';
COMMENT ON COLUMN leadflow.review_outcomes.upheld_by_votes IS 'Number of those that reviewers upheld.';
COMMENT ON COLUMN leadflow.review_outcomes.upheld_by_time IS 'Number of those that nobody decided in time.';
COMMENT ON COLUMN leadflow.review_outcomes.overturned IS 'Number of those that reviewers overturned.';
COMMENT ON COLUMN leadflow.review_outcomes.dropped IS 'Number of those that ended without a verdict: the lead moved on, or the reason was corrected to one that is not reviewed.';
COMMENT ON COLUMN leadflow.review_outcomes.decided IS 'Number of those with a verdict.';
COMMENT ON COLUMN leadflow.review_outcomes.overturn_rate IS 'overturned / decided, 0 to 1; NULL where none is decided.';

CREATE OR REPLACE VIEW leadflow.rejections_monthly WITH (security_invoker = true) AS
SELECT
	j.month_start,
	j.reason,
	j.rejected_by_id,
	m.full_name AS rejected_by,
	j.campaign_id,
	c.name AS campaign,
	count(*) AS rejected,
	count(j.review_id) AS reviewed,
	count(*) FILTER (WHERE j.verdict = 'uphold') AS upheld,
	count(*) FILTER (WHERE j.verdict = 'overturn') AS overturned,
	count(*) FILTER (WHERE j.rerouted) AS rerouted,
	count(*) FILTER (WHERE j.verdict IS DISTINCT FROM 'overturn' AND NOT j.rerouted) AS net
FROM leadflow._rejections j
LEFT JOIN leadflow.team_members m ON m.id = j.rejected_by_id
LEFT JOIN leadflow.campaigns c ON c.id = j.campaign_id
GROUP BY j.month_start, j.reason, j.rejected_by_id, m.full_name, j.campaign_id, c.name;
COMMENT ON VIEW leadflow.rejections_monthly IS 'One row a month (in settings.time_zone), reason, member who rejected and campaign (key: month_start, reason, rejected_by_id, campaign_id; NULLs are values of their own) with at least one rejection. A lead counts each time that it enters stage rejected.';
COMMENT ON COLUMN leadflow.rejections_monthly.month_start IS 'First day of the month of the rejection, in settings.time_zone.';
COMMENT ON COLUMN leadflow.rejections_monthly.reason IS 'Reason given, as it stands; NULL = none.';
COMMENT ON COLUMN leadflow.rejections_monthly.rejected_by_id IS 'Member who rejected; NULL = an administrator or the engine.';
COMMENT ON COLUMN leadflow.rejections_monthly.rejected_by IS 'Name of that member.';
COMMENT ON COLUMN leadflow.rejections_monthly.campaign_id IS 'Campaign that sourced the leads, as leads has it now; NULL = none.';
COMMENT ON COLUMN leadflow.rejections_monthly.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.rejections_monthly.rejected IS 'Rejections.';
COMMENT ON COLUMN leadflow.rejections_monthly.reviewed IS 'Number of those that are or were under review.';
COMMENT ON COLUMN leadflow.rejections_monthly.upheld IS 'Number of those that a review upheld, by votes or by time.';
COMMENT ON COLUMN leadflow.rejections_monthly.overturned IS 'Number of those that a review overturned.';
COMMENT ON COLUMN leadflow.rejections_monthly.rerouted IS 'Number of those that went back to sales because of the reason, without a review (wrong_territory).';
COMMENT ON COLUMN leadflow.rejections_monthly.net IS 'rejected less overturned and rerouted.';
