-- What each team does for the other: reps, feedback, and who is nearly there.

CREATE OR REPLACE VIEW leadflow.rep_scoreboard WITH (security_invoker = true) AS
WITH offers AS (
	SELECT
		date_trunc('month', h.offered_at AT TIME ZONE g.time_zone)::date AS month_start,
		h.owner_id AS member_id,
		-- what a merge ended goes on in another row; the touches were made
		count(*) FILTER (WHERE h.decision IS DISTINCT FROM 'merged') AS offered,
		count(*) FILTER (WHERE h.why = 'taken over' AND h.decision IS DISTINCT FROM 'merged') AS taken_over,
		count(*) FILTER (WHERE s.category IN ('sales', 'won', 'lost')) AS accepted,
		count(*) FILTER (WHERE s.name = 'rejected') AS rejected,
		count(*) FILTER (WHERE s.category = 'recycle' AND s.name <> 'rejected') AS nurtured,
		count(*) FILTER (WHERE s.category IN ('marketing', 'handoff', 'out')) AS returned,
		count(*) FILTER (WHERE h.decided_at IS NOT NULL AND s.name IS NULL AND h.decision IS DISTINCT FROM 'merged') AS reassigned,
		count(*) FILTER (WHERE h.decided_at IS NULL) AS undecided,
		sum(h.touches)::bigint AS touches,
		count(h.first_touch_at) FILTER (WHERE h.decision IS DISTINCT FROM 'merged') AS touched,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM h.first_touch_at - least(h.first_touch_at, coalesce(h.assigned_at, h.offered_at)))::double precision / 3600)
			AS first_touch_p50_hours,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM h.decided_at - coalesce(h.assigned_at, h.offered_at))::double precision / 3600)
			FILTER (WHERE s.name = 'rejected' OR s.category IN ('sales', 'won', 'lost', 'recycle')) AS decision_p50_hours
	FROM leadflow.handoffs h
	JOIN leadflow.leads l ON l.id = h.lead_id
	CROSS JOIN leadflow.settings g
	LEFT JOIN leadflow.stages s ON s.name = h.decision
	WHERE h.owner_id IS NOT NULL
	GROUP BY 1, 2
), verdicts AS (
	SELECT
		date_trunc('month', h.offered_at AT TIME ZONE g.time_zone)::date AS month_start,
		r.rejected_by AS member_id,
		count(*) AS reviewed,
		count(*) FILTER (WHERE r.verdict = 'overturn') AS overturned
	FROM leadflow.reviews r
	JOIN leadflow.leads l ON l.id = r.lead_id
	CROSS JOIN leadflow.settings g
	CROSS JOIN LATERAL (
		-- the offer that was rejected, or had been accepted before
		SELECT h.offered_at
		FROM leadflow.handoffs h
		WHERE h.lead_id = r.lead_id AND h.offered_at <= r.opened_at AND h.owner_id = r.rejected_by
		ORDER BY h.offered_at DESC, h.id DESC
		LIMIT 1
	) h
	WHERE r.verdict IS NOT NULL
	GROUP BY 1, 2
), deals AS (
	SELECT
		date_trunc('month', d.closed_at AT TIME ZONE g.time_zone)::date AS month_start,
		coalesce(d.owner_id, o.owner_id, l.owner_id) AS member_id,
		count(*) FILTER (WHERE d.corrects_deal_id IS NULL) AS won_deals,
		CASE WHEN min(d.currency::text) = max(d.currency::text) THEN sum(d.amount) END AS won_amount,
		CASE WHEN min(d.currency::text) = max(d.currency::text) THEN min(d.currency::text) END AS currency
	FROM leadflow.deals d
	LEFT JOIN leadflow.deals o ON o.id = d.corrects_deal_id
	LEFT JOIN leadflow.leads l ON l.id = coalesce(d.lead_id, o.lead_id)
	CROSS JOIN leadflow.settings g
	WHERE d.status = 'won' AND d.closed_at IS NOT NULL
	GROUP BY 1, 2
)
SELECT
	month_start,
	member_id,
	m.full_name AS member,
	coalesce(o.offered, 0) AS offered,
	coalesce(o.accepted, 0) AS accepted,
	coalesce(o.rejected, 0) AS rejected,
	coalesce(o.nurtured, 0) AS nurtured,
	coalesce(o.returned, 0) AS returned,
	coalesce(o.reassigned, 0) AS reassigned,
	coalesce(o.undecided, 0) AS undecided,
	coalesce(o.taken_over, 0) AS taken_over,
	coalesce(o.accepted + o.rejected + o.nurtured, 0) AS decided,
	round(o.accepted::numeric / nullif(o.accepted + o.rejected + o.nurtured, 0), 4) AS acceptance_rate,
	coalesce(v.reviewed, 0) AS reviewed,
	coalesce(v.overturned, 0) AS overturned,
	round(v.overturned::numeric / v.reviewed, 4) AS overturn_rate,
	coalesce(o.touches, 0) AS touches,
	coalesce(o.touched, 0) AS touched,
	round(o.touches::numeric / nullif(o.offered, 0), 2) AS touches_per_lead,
	o.first_touch_p50_hours,
	o.decision_p50_hours,
	coalesce(d.won_deals, 0) AS won_deals,
	CASE WHEN d.month_start IS NULL THEN 0 ELSE d.won_amount END AS won_amount,
	d.currency
FROM offers o
FULL JOIN verdicts v USING (month_start, member_id)
FULL JOIN deals d USING (month_start, member_id)
JOIN leadflow.team_members m ON m.id = member_id;
COMMENT ON VIEW leadflow.rep_scoreboard IS 'One row a month and member who was given leads, or won deals, in it (key: month_start, member_id). A hand-off and what came of it counts in the month of the offer, a deal in the month in which it was closed, both in settings.time_zone. offered = accepted + rejected + nurtured + returned + reassigned + undecided. Reads all hand-offs, reviews and won deals.';
COMMENT ON COLUMN leadflow.rep_scoreboard.month_start IS 'First day of the month, in settings.time_zone.';
COMMENT ON COLUMN leadflow.rep_scoreboard.member_id IS 'Member (team_members.id).';
COMMENT ON COLUMN leadflow.rep_scoreboard.member IS 'Name of the member.';
COMMENT ON COLUMN leadflow.rep_scoreboard.offered IS 'Hand-offs to the member, those passed on or taken over from others included; a lead counts each time. One that was undecided when its lead was merged into another goes on with that lead, and is left out.';
COMMENT ON COLUMN leadflow.rep_scoreboard.accepted IS 'Those decided by a stage of category sales, won or lost.';
COMMENT ON COLUMN leadflow.rep_scoreboard.rejected IS 'Those rejected.';
COMMENT ON COLUMN leadflow.rep_scoreboard.nurtured IS 'Those sent to nurture (category recycle but rejected).';
COMMENT ON COLUMN leadflow.rep_scoreboard.returned IS 'Those that ended in another stage: taken back by the system, disqualified, handed over anew.';
COMMENT ON COLUMN leadflow.rep_scoreboard.reassigned IS 'Those that went on to another member undecided: passed on, or taken over by who decided.';
COMMENT ON COLUMN leadflow.rep_scoreboard.undecided IS 'Those that are open.';
COMMENT ON COLUMN leadflow.rep_scoreboard.taken_over IS 'Of offered, those that had been offered to another and on which this member decided.';
COMMENT ON COLUMN leadflow.rep_scoreboard.decided IS 'accepted + rejected + nurtured.';
COMMENT ON COLUMN leadflow.rep_scoreboard.acceptance_rate IS 'accepted / decided, 0 to 1; NULL = none decided.';
COMMENT ON COLUMN leadflow.rep_scoreboard.reviewed IS 'The member''s rejections on which a review has given a verdict, in the month of the offer.';
COMMENT ON COLUMN leadflow.rep_scoreboard.overturned IS 'Those that it overturned.';
COMMENT ON COLUMN leadflow.rep_scoreboard.overturn_rate IS 'overturned / reviewed, 0 to 1; NULL = none reviewed.';
COMMENT ON COLUMN leadflow.rep_scoreboard.touches IS 'Sales touches of the leads offered, from the offer to the next one; of those that a merge ended, too.';
COMMENT ON COLUMN leadflow.rep_scoreboard.touched IS 'Offers with at least one touch.';
COMMENT ON COLUMN leadflow.rep_scoreboard.touches_per_lead IS 'touches / offered; NULL = none offered.';
COMMENT ON COLUMN leadflow.rep_scoreboard.first_touch_p50_hours IS 'Median hours, around the clock, from when the member got the lead to the first touch, of those touched (0 = while it waited for an owner); NULL = none.';
COMMENT ON COLUMN leadflow.rep_scoreboard.decision_p50_hours IS 'Median hours, around the clock, from when the member got the lead to the decision, of those decided; NULL = none.';
COMMENT ON COLUMN leadflow.rep_scoreboard.won_deals IS 'Deals won in the month that are the member''s (the deal''s owner, else the lead''s); corrections count none.';
COMMENT ON COLUMN leadflow.rep_scoreboard.won_amount IS 'Their amount with corrections of that month, in currency; NULL where there are several currencies.';
COMMENT ON COLUMN leadflow.rep_scoreboard.currency IS 'ISO 4217 code of won_amount; NULL = none, or several.';

CREATE OR REPLACE VIEW leadflow.feedback_by_campaign WITH (security_invoker = true) AS
SELECT
	l.campaign_id,
	c.name AS campaign,
	f.content,
	f.topic,
	count(*) AS feedbacks,
	count(DISTINCT f.lead_id) AS leads,
	count(f.rating) AS rated,
	sum(f.rating) AS rating_sum,
	round(sum(f.rating)::numeric / nullif(count(f.rating), 0), 2) AS rating_avg,
	count(*) FILTER (WHERE f.rating <= 2) AS poor,
	count(*) FILTER (WHERE f.rating >= 4) AS good,
	max(f.given_at) AS last_given_at
FROM leadflow.lead_feedback f
JOIN leadflow.leads l ON l.id = f.lead_id
LEFT JOIN leadflow.campaigns c ON c.id = l.campaign_id
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW leadflow.feedback_by_campaign IS 'One row a campaign, asset and topic that feedback was given on (key: campaign_id, content, topic; NULLs are values of their own), over all time: what sales thinks of the leads that a campaign sourced. feedbacks, rated and rating_sum add up.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.campaign_id IS 'Campaign that sourced the lead (campaigns.id); NULL = none.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.content IS 'Asset that the feedback is about; NULL = none in particular.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.topic IS 'What it is about, e.g. quality, timing, message; NULL = not said.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.feedbacks IS 'Number of rows of lead_feedback.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.leads IS 'Number of leads that they are about; a lead may be in several rows.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.rated IS 'Number of those with a rating.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.rating_sum IS 'Sum of these ratings; NULL = none.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.rating_avg IS 'rating_sum / rated, 1 (poor) to 5 (excellent); NULL = none rated.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.poor IS 'Number of ratings of 1 or 2.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.good IS 'Number of ratings of 4 or 5.';
COMMENT ON COLUMN leadflow.feedback_by_campaign.last_given_at IS 'When the last was given.';

CREATE OR REPLACE VIEW leadflow.almost_mql WITH (security_invoker = true) AS
SELECT
	l.id AS lead_id,
	l.full_name,
	coalesce(l.company, a.name) AS company,
	l.stage,
	v.score,
	o.mql_threshold,
	greatest(o.mql_threshold - v.score, 0) AS points_missing,
	v.mql_blocked_by,
	v.rank,
	v.band,
	v.persona,
	l.campaign_id,
	c.name AS campaign,
	c.owner_id,
	m.full_name AS owner,
	s.last_engaged_at
FROM leadflow.scoring_models o
CROSS JOIN leadflow.leads l
JOIN leadflow.lead_scores v ON v.lead_id = l.id AND v.score >= 0.75 * o.mql_threshold AND NOT v.mql_ready
JOIN leadflow.score_state s ON s.lead_id = l.id
LEFT JOIN leadflow.accounts a ON a.id = l.account_id
LEFT JOIN leadflow.campaigns c ON c.id = l.campaign_id
LEFT JOIN leadflow.team_members m ON m.id = c.owner_id
WHERE o.status = 'active' AND l.stage IN ('lead', 'nurture');
COMMENT ON VIEW leadflow.almost_mql IS 'One row a lead (key: lead_id) in stage lead or nurture that has three quarters of the points of an MQL or more, and does not pass the gate: what is missing. Scores of all leads in these stages are computed.';
COMMENT ON COLUMN leadflow.almost_mql.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.almost_mql.full_name IS 'Name of the lead.';
COMMENT ON COLUMN leadflow.almost_mql.company IS 'Company as the lead wrote it, else the account''s name.';
COMMENT ON COLUMN leadflow.almost_mql.stage IS 'lead or nurture.';
COMMENT ON COLUMN leadflow.almost_mql.score IS 'Score now, points.';
COMMENT ON COLUMN leadflow.almost_mql.mql_threshold IS 'Score from which a lead is an MQL, points.';
COMMENT ON COLUMN leadflow.almost_mql.points_missing IS 'mql_threshold - score, points; 0 where it has them and something else is missing.';
COMMENT ON COLUMN leadflow.almost_mql.mql_blocked_by IS 'What is missing, in words.';
COMMENT ON COLUMN leadflow.almost_mql.rank IS 'Grade and engagement level, e.g. A1.';
COMMENT ON COLUMN leadflow.almost_mql.band IS 'hot, warm or cool by the score.';
COMMENT ON COLUMN leadflow.almost_mql.persona IS 'Persona; NULL = none.';
COMMENT ON COLUMN leadflow.almost_mql.campaign_id IS 'Campaign that sourced the lead (campaigns.id); NULL = none.';
COMMENT ON COLUMN leadflow.almost_mql.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.almost_mql.owner_id IS 'Who runs that campaign (team_members.id); NULL = nobody.';
COMMENT ON COLUMN leadflow.almost_mql.owner IS 'Name of that member.';
COMMENT ON COLUMN leadflow.almost_mql.last_engaged_at IS 'When the lead last did something.';
