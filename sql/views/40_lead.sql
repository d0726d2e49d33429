-- The lead as everybody sees it: to write, to work, to read back.

CREATE OR REPLACE VIEW leadflow.lead_details WITH (security_invoker = true) AS
SELECT
	l.id,
	l.external_id,
	l.email,
	l.full_name,
	l.phone,
	l.account_id,
	l.company,
	l.job_title,
	l.industry,
	l.company_size,
	l.budget,
	l.country,
	l.region,
	l.attributes,
	l.source,
	l.campaign_id,
	l.sourced_by,
	l.do_not_contact,
	l.created_at
FROM leadflow.leads l;
COMMENT ON VIEW leadflow.lead_details IS 'One row a lead (key: id), without the columns that leadflow moves (stage, owner, revisit): can be inserted into, updated and deleted from like leads, by tools that write back whole rows.';
COMMENT ON COLUMN leadflow.lead_details.id IS 'Key; never changes.';
COMMENT ON COLUMN leadflow.lead_details.external_id IS 'The CRM''s own key.';
COMMENT ON COLUMN leadflow.lead_details.email IS 'E-mail as written.';
COMMENT ON COLUMN leadflow.lead_details.full_name IS 'Name.';
COMMENT ON COLUMN leadflow.lead_details.phone IS 'Phone number.';
COMMENT ON COLUMN leadflow.lead_details.account_id IS 'Company (accounts.id).';
COMMENT ON COLUMN leadflow.lead_details.company IS 'Company as the lead wrote it.';
COMMENT ON COLUMN leadflow.lead_details.job_title IS 'Job title.';
COMMENT ON COLUMN leadflow.lead_details.industry IS 'Industry.';
COMMENT ON COLUMN leadflow.lead_details.company_size IS 'Number of people in the company.';
COMMENT ON COLUMN leadflow.lead_details.budget IS 'Budget, in whatever unit the site uses.';
COMMENT ON COLUMN leadflow.lead_details.country IS 'Country.';
COMMENT ON COLUMN leadflow.lead_details.region IS 'Region.';
COMMENT ON COLUMN leadflow.lead_details.attributes IS 'Anything else that is known about the lead.';
COMMENT ON COLUMN leadflow.lead_details.source IS 'Where the lead came from.';
COMMENT ON COLUMN leadflow.lead_details.campaign_id IS 'Campaign that sourced the lead.';
COMMENT ON COLUMN leadflow.lead_details.sourced_by IS 'marketing, sales, partner or unknown.';
COMMENT ON COLUMN leadflow.lead_details.do_not_contact IS 'Nobody may contact the lead, by any channel.';
COMMENT ON COLUMN leadflow.lead_details.created_at IS 'When the lead came to be.';

CREATE OR REPLACE VIEW leadflow.lead_board WITH (security_invoker = true) AS
SELECT
	l.id AS lead_id,
	l.full_name,
	coalesce(l.company, a.name) AS company,
	l.stage,
	v.score,
	v.rank,
	v.band,
	v.persona,
	l.owner_id,
	m.full_name AS owner,
	CASE
		WHEN l.erased_at IS NOT NULL THEN NULL
		WHEN n.action = 'answer' THEN coalesce(m.team, CASE WHEN k.metric = 'next_response' THEN k.team END, 'sales')
		WHEN g.category IN ('marketing', 'recycle') THEN 'marketing'
		WHEN g.category IN ('handoff', 'sales') THEN 'sales'
		WHEN n.action IS NOT NULL THEN k.team
	END AS responsible_team,
	n.action AS next_action,
	CASE
		WHEN l.erased_at IS NOT NULL THEN NULL
		WHEN n.action = 'vote' THEN least(r.due_at, (
			SELECT min(c.due_at) FROM leadflow.sla_clocks c
			WHERE c.lead_id = l.id AND c.review_id = r.id AND c.stopped_at IS NULL))
		ELSE least(nullif(k.due_at, 'infinity'), l.revisit_on::timestamp AT TIME ZONE t.time_zone)
	END AS next_due_at,
	s.last_engaged_at,
	s.last_touch_at,
	CASE
		WHEN l.erased_at IS NOT NULL THEN NULL
		WHEN n.action = 'vote' THEN 'reviewers'
		WHEN n.action = 'claim' THEN coalesce('queue ' || w.queue, 'sales')
		WHEN n.action = 'answer' THEN coalesce(m.full_name, CASE WHEN k.metric = 'next_response' THEN k.team END, 'sales')
		WHEN g.category IN ('handoff', 'sales') THEN coalesce(m.full_name, 'sales')
		WHEN g.category = 'lost' AND n.action IS NOT NULL THEN coalesce(m.full_name, k.team)
		WHEN n.action IS NOT NULL THEN coalesce((SELECT o.full_name FROM leadflow.team_members o WHERE o.id = c.owner_id), 'marketing')
	END AS next_action_by,
	l.stage_since AS stage_entered_at,
	w.queue,
	u.since_at AS unanswered_at,
	r.due_at AS review_due_at,
	r.contested_at AS review_contested_at,
	CASE WHEN l.stage = 'nurture' THEN (
		SELECT p.name
		FROM leadflow.nurture_enrolments e
		JOIN leadflow.nurture_programs p ON p.id = e.program_id
		WHERE e.lead_id = l.id AND e.left_at IS NULL) END AS nurture_program,
	l.revisit_on,
	l.campaign_id,
	c.name AS campaign,
	l.account_id,
	a.name AS account,
	a.status AS account_status,
	(SELECT o.full_name FROM leadflow.team_members o WHERE o.id = a.owner_id) AS account_owner
FROM leadflow.leads l
CROSS JOIN leadflow.settings t
JOIN leadflow.stages g ON g.name = l.stage
LEFT JOIN leadflow.lead_scores v ON v.lead_id = l.id
LEFT JOIN leadflow.score_state s ON s.lead_id = l.id
LEFT JOIN leadflow.accounts a ON a.id = l.account_id
LEFT JOIN leadflow.team_members m ON m.id = l.owner_id
LEFT JOIN leadflow.campaigns c ON c.id = l.campaign_id
LEFT JOIN leadflow.reviews r ON r.lead_id = l.id AND r.closed_at IS NULL
LEFT JOIN LATERAL (
	-- the review's is next_due_at's to ask for
	SELECT k.metric, k.due_at, p.team
	FROM leadflow.sla_clocks k
	JOIN leadflow.sla_policies p ON p.id = k.policy_id
	WHERE k.lead_id = l.id AND k.stopped_at IS NULL AND k.metric <> 'time_to_review'
	ORDER BY k.due_at, k.id
	LIMIT 1
) k ON true
LEFT JOIN LATERAL (
	-- given to sales, not passed on within it
	SELECT h.offered_at
	FROM leadflow.handoffs h
	WHERE h.lead_id = l.id AND NOT leadflow._was_passed_on(h.why)
	ORDER BY h.offered_at DESC, h.id DESC
	LIMIT 1
) h ON true
LEFT JOIN LATERAL (
	-- imports and quiet loads wait for nobody
	SELECT w.lead_id, w.queue
	FROM leadflow.handoffs w
	WHERE w.lead_id = l.id AND w.decided_at IS NULL AND w.owner_id IS NULL AND w.why NOT IN ('imported', 'quiet load')
		AND g.category = 'handoff' AND l.owner_id IS NULL
	LIMIT 1
) w ON true
LEFT JOIN LATERAL (
	-- what came before sales sent it back, or closed it, is settled
	SELECT CASE WHEN l.owner_id IS NOT NULL AND g.category <> 'out' AND s.last_engaged_at > coalesce(s.last_touch_at, '-infinity')
		THEN leadflow._unanswered_at(l.id, greatest(s.last_touch_at,
			CASE WHEN g.category NOT IN ('handoff', 'sales') THEN l.stage_since END), 'infinity') END AS since_at
	OFFSET 0
) u ON true
CROSS JOIN LATERAL (
	SELECT coalesce(s.last_touch_at >= coalesce(h.offered_at, l.stage_since), false) AS touched
) x
CROSS JOIN LATERAL (
	SELECT CASE
		WHEN l.erased_at IS NOT NULL THEN NULL
		WHEN r.id IS NOT NULL THEN 'vote'
		WHEN w.lead_id IS NOT NULL THEN 'claim'
		WHEN g.category IN ('handoff', 'sales') AND u.since_at IS NOT NULL AND x.touched THEN 'answer'
		WHEN g.category = 'handoff' AND coalesce(k.metric, 'time_to_accept') IN ('time_to_accept', 'time_in_stage') THEN 'accept or reject'
		WHEN g.category IN ('handoff', 'sales') AND NOT x.touched THEN 'first touch'
		WHEN g.category IN ('handoff', 'sales') THEN
			CASE k.metric WHEN 'next_response' THEN 'answer' WHEN 'time_to_first_contact' THEN 'first contact' ELSE 'follow up' END
		WHEN u.since_at IS NOT NULL OR k.metric = 'next_response' THEN 'answer'
		WHEN l.stage = 'mql' THEN 'hand off'
		WHEN g.category = 'marketing' AND v.mql_ready THEN 'qualify'
		WHEN g.category IN ('marketing', 'recycle') THEN
			CASE WHEN l.revisit_on IS NOT NULL THEN 'revisit' ELSE 'nurture' END
		WHEN k.metric = 'time_to_nurture' THEN 'nurture'
	END AS action
) n;
COMMENT ON VIEW leadflow.lead_board IS 'One row a lead (key: lead_id): where it stands now, who has to do what by when. Columns that are not asked for cost nothing, but for next_action, responsible_team and next_due_at, which look at the lead''s hand-offs, clocks, review and latest activities.';
COMMENT ON COLUMN leadflow.lead_board.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.lead_board.full_name IS 'Name of the lead.';
COMMENT ON COLUMN leadflow.lead_board.company IS 'Company as the lead wrote it, else the account''s name.';
COMMENT ON COLUMN leadflow.lead_board.stage IS 'Stage (stages.name).';
COMMENT ON COLUMN leadflow.lead_board.score IS 'Score now, points.';
COMMENT ON COLUMN leadflow.lead_board.rank IS 'Grade and engagement level, e.g. A1.';
COMMENT ON COLUMN leadflow.lead_board.band IS 'hot, warm or cool by the score.';
COMMENT ON COLUMN leadflow.lead_board.persona IS 'Persona; NULL = none.';
COMMENT ON COLUMN leadflow.lead_board.owner_id IS 'Whose lead it is (team_members.id); NULL = nobody''s.';
COMMENT ON COLUMN leadflow.lead_board.owner IS 'Name of the owner.';
COMMENT ON COLUMN leadflow.lead_board.responsible_team IS 'Who has the lead, by the stage''s category: marketing (marketing, recycle), sales (handoff, sales); where next_action is answer the owner''s team, else who promised to; of a lost lead that is promised to go to nurture, who promised; NULL = nobody any more.';
COMMENT ON COLUMN leadflow.lead_board.next_action IS 'What to do next: vote (on its rejection), claim (it waits in a queue), answer (it wrote or called), first touch, first contact (it was not reached yet), accept or reject, follow up, hand off, qualify, revisit, nurture; NULL = nothing, also of a person who was erased.';
COMMENT ON COLUMN leadflow.lead_board.next_due_at IS 'By when: what comes first of the deadlines of its running clocks and the start of the day of leads.revisit_on in settings.time_zone; of a vote, the end of the review or the deadline promised for it. NULL = none, or paused without an end.';
COMMENT ON COLUMN leadflow.lead_board.last_engaged_at IS 'When the lead last did something.';
COMMENT ON COLUMN leadflow.lead_board.last_touch_at IS 'When sales last reached out.';
COMMENT ON COLUMN leadflow.lead_board.next_action_by IS 'Who owes next_action: the owner, "queue" and its name, reviewers, the owner of the campaign that sourced the lead, else the team; NULL = nobody.';
COMMENT ON COLUMN leadflow.lead_board.stage_entered_at IS 'When it entered its stage.';
COMMENT ON COLUMN leadflow.lead_board.queue IS 'Queue in which it waits to be claimed; NULL = it does not.';
COMMENT ON COLUMN leadflow.lead_board.unanswered_at IS 'Since when it waits for an answer: its first activity of a kind that expects a reply after the last sales touch or conversation, for leads with an owner; what came before a lead left sales'' hands is settled. NULL = it does not wait.';
COMMENT ON COLUMN leadflow.lead_board.review_due_at IS 'When the review of its rejection ends; NULL = none is open.';
COMMENT ON COLUMN leadflow.lead_board.review_contested_at IS 'When marketing contested that rejection; NULL = it has not, or no review is open.';
COMMENT ON COLUMN leadflow.lead_board.nurture_program IS 'Nurture program that it is in; NULL = none.';
COMMENT ON COLUMN leadflow.lead_board.revisit_on IS 'Date on which a nurture lead comes back; NULL = none.';
COMMENT ON COLUMN leadflow.lead_board.campaign_id IS 'Campaign that sourced the lead (campaigns.id); NULL = none.';
COMMENT ON COLUMN leadflow.lead_board.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.lead_board.account_id IS 'Account (accounts.id); NULL = none.';
COMMENT ON COLUMN leadflow.lead_board.account IS 'Name of the account.';
COMMENT ON COLUMN leadflow.lead_board.account_status IS 'prospect, customer, former or partner; NULL = no account.';
COMMENT ON COLUMN leadflow.lead_board.account_owner IS 'Whose account it is; NULL = nobody''s.';

CREATE OR REPLACE VIEW leadflow.lead_timeline WITH (security_invoker = true) AS
SELECT
	l.id AS lead_id,
	e.at,
	e.what,
	e.team,
	e.who,
	e.detail,
	e.points,
	e.step,
	e.object_id,
	e.activity_id
FROM leadflow.leads l
JOIN (
	SELECT
		a.lead_id,
		a.occurred_at AS at,
		a.kind AS what,
		CASE k.role
			WHEN 'engagement' THEN 'lead'
			WHEN 'sales_touch' THEN 'sales'
			WHEN 'marketing_message' THEN 'marketing'
			ELSE m.team
		END AS team,
		m.full_name AS who,
		nullif(concat_ws(', ', a.content, c.name,
			CASE WHEN a.voided_at IS NOT NULL THEN 'voided: ' || a.void_reason END), '') AS detail,
		CASE WHEN k.role = 'engagement' AND a.voided_at IS NULL
			THEN leadflow._activity_points(a.kind, a.content, a.campaign_id, a.properties) END AS points,
		1 AS step,
		NULL::bigint AS object_id,
		a.id AS activity_id
	FROM leadflow.activities a
	LEFT JOIN leadflow.activity_kinds k ON k.kind = a.kind
	LEFT JOIN leadflow.team_members m ON m.id = a.member_id
	LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id
	UNION ALL
	SELECT
		d.lead_id,
		d.opened_at,
		'deal_opened' AS what,
		'sales' AS team,
		m.full_name,
		concat_ws(', ', d.name, d.amount || ' ' || d.currency),
		NULL::double precision,
		2,
		d.id,
		NULL::uuid
	FROM leadflow.deals d
	LEFT JOIN leadflow.team_members m ON m.id = d.owner_id
	WHERE d.corrects_deal_id IS NULL
	UNION ALL
	SELECT
		d.lead_id,
		d.closed_at,
		CASE WHEN d.corrects_deal_id IS NOT NULL THEN 'deal_corrected' ELSE 'deal_' || d.status END,
		'sales' AS team,
		m.full_name,
		concat_ws(', ', d.name, d.amount || ' ' || d.currency, CASE WHEN d.status = 'lost' THEN d.lost_reason END),
		NULL::double precision,
		3,
		d.id,
		NULL::uuid
	FROM leadflow.deals d
	LEFT JOIN leadflow.team_members m ON m.id = d.owner_id
	WHERE d.status IN ('won', 'lost') AND d.closed_at IS NOT NULL
	UNION ALL
	-- deals of others that it is a contact of
	SELECT
		x.lead_id,
		d.opened_at,
		'deal_opened' AS what,
		'sales' AS team,
		m.full_name,
		concat_ws(', ', d.name, d.amount || ' ' || d.currency, 'as ' || coalesce(x.role, 'contact')),
		NULL::double precision,
		2,
		d.id,
		NULL::uuid
	FROM leadflow.deal_contacts x
	JOIN leadflow.deals d ON d.id = x.deal_id AND d.lead_id IS DISTINCT FROM x.lead_id AND d.corrects_deal_id IS NULL
	LEFT JOIN leadflow.team_members m ON m.id = d.owner_id
	UNION ALL
	SELECT
		x.lead_id,
		d.closed_at,
		CASE WHEN d.corrects_deal_id IS NOT NULL THEN 'deal_corrected' ELSE 'deal_' || d.status END,
		'sales' AS team,
		m.full_name,
		concat_ws(', ', d.name, d.amount || ' ' || d.currency, CASE WHEN d.status = 'lost' THEN d.lost_reason END,
			'as ' || coalesce(x.role, 'contact')),
		NULL::double precision,
		3,
		d.id,
		NULL::uuid
	FROM leadflow.deal_contacts x
	JOIN leadflow.deals d ON d.id = x.deal_id AND d.lead_id IS DISTINCT FROM x.lead_id
	LEFT JOIN leadflow.team_members m ON m.id = d.owner_id
	WHERE d.status IN ('won', 'lost') AND d.closed_at IS NOT NULL
	UNION ALL
	SELECT
		h.lead_id,
		h.entered_at,
		CASE WHEN h.from_stage IS NULL THEN 'created' ELSE 'moved' END,
		h.team,
		m.full_name,
		concat_ws(', ', CASE WHEN h.from_stage IS NULL THEN h.to_stage ELSE h.from_stage || ' -> ' || h.to_stage END,
			h.reason, h.note, 'of duplicate ' || h.merged_from),
		NULL::double precision,
		CASE WHEN h.from_stage IS NULL THEN 0 ELSE 4 END,
		h.id,
		h.trigger_activity_id
	FROM leadflow.stage_history h
	LEFT JOIN leadflow.team_members m ON m.id = h.actor_id
	UNION ALL
	SELECT
		h.lead_id,
		h.offered_at,
		'handed_off' AS what,
		'sales' AS team,
		m.full_name,
		CASE
			WHEN h.assigned_at = h.offered_at THEN h.why
			WHEN h.assigned_at > h.offered_at THEN 'waited' || coalesce(' in queue ' || h.queue, '')
			ELSE concat_ws(', ', h.why, CASE WHEN h.decided_at IS NULL THEN 'waits' ELSE 'waited' END || ' in queue ' || h.queue)
		END,
		NULL::double precision,
		5,
		h.id,
		NULL::uuid
	FROM leadflow.handoffs h
	LEFT JOIN leadflow.team_members m ON m.id = h.owner_id AND h.assigned_at = h.offered_at
	UNION ALL
	SELECT
		h.lead_id,
		h.assigned_at,
		'assigned' AS what,
		'sales' AS team,
		m.full_name,
		h.why,
		NULL::double precision,
		5,
		h.id,
		NULL::uuid
	FROM leadflow.handoffs h
	LEFT JOIN leadflow.team_members m ON m.id = h.owner_id
	WHERE h.assigned_at > h.offered_at
	UNION ALL
	SELECT
		k.lead_id,
		k.due_at,
		'sla_breached' AS what,
		p.team,
		m.full_name,
		p.name,
		NULL::double precision,
		6,
		k.id,
		NULL::uuid
	FROM leadflow.sla_clocks k
	JOIN leadflow.sla_policies p ON p.id = k.policy_id
	LEFT JOIN leadflow.team_members m ON m.id = k.member_id
	WHERE k.state <> 'cancelled' AND k.due_at < coalesce(k.stopped_at, leadflow.now())
	UNION ALL
	SELECT
		f.lead_id,
		f.given_at,
		'feedback' AS what,
		m.team,
		m.full_name,
		nullif(concat_ws(', ', f.rating || ' of 5', f.topic, f.content, f.comment), ''),
		NULL::double precision,
		7,
		f.id,
		NULL::uuid
	FROM leadflow.lead_feedback f
	LEFT JOIN leadflow.team_members m ON m.id = f.member_id
	UNION ALL
	SELECT
		r.lead_id,
		r.opened_at,
		'review_opened' AS what,
		'system' AS team,
		NULL::text,
		concat_ws(', ', r.reason, r.note),
		NULL::double precision,
		8,
		r.id,
		NULL::uuid
	FROM leadflow.reviews r
	UNION ALL
	SELECT
		r.lead_id,
		r.contested_at,
		'review_contested' AS what,
		coalesce(m.team, 'admin'),
		m.full_name,
		r.contest_note,
		NULL::double precision,
		9,
		r.id,
		NULL::uuid
	FROM leadflow.reviews r
	LEFT JOIN leadflow.team_members m ON m.id = r.contested_by
	WHERE r.contested_at IS NOT NULL
	UNION ALL
	SELECT
		r.lead_id,
		b.voted_at,
		'review_voted' AS what,
		m.team,
		m.full_name,
		concat_ws(', ', b.verdict, b.note),
		NULL::double precision,
		10,
		r.id,
		NULL::uuid
	FROM leadflow.reviews r
	JOIN leadflow.review_votes b ON b.review_id = r.id
	LEFT JOIN leadflow.team_members m ON m.id = b.reviewer_id
	UNION ALL
	SELECT
		r.lead_id,
		r.closed_at,
		'review_closed' AS what,
		'system' AS team,
		NULL::text,
		concat_ws(', ', r.verdict, 'by ' || r.closed_by),
		NULL::double precision,
		11,
		r.id,
		NULL::uuid
	FROM leadflow.reviews r
	WHERE r.closed_at IS NOT NULL
	UNION ALL
	SELECT
		n.lead_id,
		n.enrolled_at,
		'nurture_enrolled' AS what,
		'marketing' AS team,
		NULL::text,
		concat_ws(', ', p.name, n.reason, 'until ' || to_char(n.revisit_on, 'YYYY-MM-DD')),
		NULL::double precision,
		12,
		n.id,
		NULL::uuid
	FROM leadflow.nurture_enrolments n
	JOIN leadflow.nurture_programs p ON p.id = n.program_id
	UNION ALL
	SELECT
		n.lead_id,
		n.left_at,
		'nurture_left' AS what,
		'marketing' AS team,
		NULL::text,
		concat_ws(', ', p.name, 'for ' || n.left_for),
		NULL::double precision,
		13,
		n.id,
		NULL::uuid
	FROM leadflow.nurture_enrolments n
	JOIN leadflow.nurture_programs p ON p.id = n.program_id
	WHERE n.left_at IS NOT NULL
	UNION ALL
	SELECT
		c.lead_id,
		c.at,
		'contact_' || c.status,
		'lead' AS team,
		NULL::text,
		concat_ws(', ', CASE c.channel WHEN '*' THEN 'any channel' ELSE c.channel END, c.basis),
		NULL::double precision,
		14,
		c.id,
		c.activity_id
	FROM leadflow.contact_permissions c
	UNION ALL
	SELECT
		b.lead_id,
		b.occurred_at,
		'contact_violation' AS what,
		CASE k.role WHEN 'sales_touch' THEN 'sales' WHEN 'marketing_message' THEN 'marketing' ELSE m.team END,
		m.full_name,
		concat_ws(', ', b.channel, b.why),
		NULL::double precision,
		15,
		b.limit_id,
		b.activity_id
	FROM leadflow.contact_violations b
	LEFT JOIN leadflow.activities a ON a.lead_id = b.lead_id AND a.occurred_at = b.occurred_at AND a.id = b.activity_id
	LEFT JOIN leadflow.activity_kinds k ON k.kind = a.kind
	LEFT JOIN leadflow.team_members m ON m.id = a.member_id
	UNION ALL
	SELECT
		z.lead_id,
		z.paused_at,
		'sla_paused' AS what,
		m.team,
		m.full_name,
		nullif(concat_ws(', ', z.reason, 'until ' || to_char(z.until AT TIME ZONE t.time_zone, 'YYYY-MM-DD HH24:MI'), 'of duplicate ' || z.merged_from), ''),
		NULL::double precision,
		16,
		z.id,
		NULL::uuid
	FROM leadflow.sla_pauses z
	CROSS JOIN leadflow.settings t
	LEFT JOIN leadflow.team_members m ON m.id = z.actor_id
) e ON e.lead_id = l.id;
COMMENT ON VIEW leadflow.lead_timeline IS 'One row a thing that happened to a lead: what it did, what marketing and sales did, moves, hand-offs, broken promises, pauses of clocks, deals, feedback, reviews, nurture, permissions. Ask for one lead; order by at, step, object_id, activity_id.';
COMMENT ON COLUMN leadflow.lead_timeline.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.lead_timeline.at IS 'When it happened.';
COMMENT ON COLUMN leadflow.lead_timeline.what IS 'Kind of the activity, or created, moved, handed_off, assigned (it had waited), sla_breached (at the deadline), sla_paused, deal_opened, deal_won, deal_lost, deal_corrected, feedback, review_opened, review_contested, review_voted, review_closed, nurture_enrolled, nurture_left, contact_granted, contact_denied, contact_withdrawn, contact_violation (a message that should not have been sent).';
COMMENT ON COLUMN leadflow.lead_timeline.team IS 'Whose doing it was: lead, marketing, sales, leadership, system or admin; of a broken promise, who had made it; NULL = not known.';
COMMENT ON COLUMN leadflow.lead_timeline.who IS 'Name of the member: who did it, who got the lead, whose deal it is; NULL = nobody in particular.';
COMMENT ON COLUMN leadflow.lead_timeline.detail IS 'Content and campaign, stages, reason and note, why this rep, the promise, why its clocks were paused and until when (in settings.time_zone), deal and amount, what was said, the verdict, the program, or the channel.';
COMMENT ON COLUMN leadflow.lead_timeline.points IS 'Points that the activity matches with the active model, before limits and decay; NULL = it is no engagement, or voided.';
COMMENT ON COLUMN leadflow.lead_timeline.step IS 'Order of what happened at one instant: 1 activity, 2 deal opened, 3 deal closed, 4 move, 5 hand-off, 6 breach, 7 feedback, 8 to 11 review, 12 and 13 nurture, 14 permission, 15 violation, 16 pause.';
COMMENT ON COLUMN leadflow.lead_timeline.object_id IS 'Id of the move, hand-off, clock, pause, deal, feedback, review, enrolment or permission, or of the limit that a message broke; NULL for an activity.';
COMMENT ON COLUMN leadflow.lead_timeline.activity_id IS 'Id of the activity; of a move, the activity that triggered it.';
