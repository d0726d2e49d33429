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
		WHEN g.category IN ('marketing', 'recycle') THEN 'marketing'
		WHEN g.category IN ('handoff', 'sales') THEN 'sales'
	END AS responsible_team,
	CASE
		WHEN g.category = 'handoff' THEN
			CASE WHEN k.metric = 'time_to_first_touch' THEN 'first touch' ELSE 'accept or reject' END
		WHEN g.category = 'sales' THEN
			CASE WHEN s.last_touch_at >= coalesce(h.offered_at, l.stage_since) THEN 'follow up' ELSE 'first touch' END
		WHEN g.category = 'marketing' AND (l.stage = 'mql' OR v.mql_ready) THEN 'qualify'
		WHEN g.category IN ('marketing', 'recycle') THEN
			CASE WHEN l.revisit_on IS NOT NULL THEN 'revisit' ELSE 'nurture' END
	END AS next_action,
	coalesce(k.due_at, l.revisit_on::timestamp AT TIME ZONE t.time_zone) AS next_due_at,
	s.last_engaged_at,
	s.last_touch_at
FROM leadflow.leads l
CROSS JOIN leadflow.settings t
JOIN leadflow.stages g ON g.name = l.stage
LEFT JOIN leadflow.lead_scores v ON v.lead_id = l.id
LEFT JOIN leadflow.score_state s ON s.lead_id = l.id
LEFT JOIN leadflow.accounts a ON a.id = l.account_id
LEFT JOIN leadflow.team_members m ON m.id = l.owner_id
LEFT JOIN LATERAL (
	SELECT k.metric, k.due_at
	FROM leadflow.sla_clocks k
	WHERE k.lead_id = l.id AND k.stopped_at IS NULL
	ORDER BY k.due_at, k.id
	LIMIT 1
) k ON true
LEFT JOIN LATERAL (
	-- given to sales, not passed on within it
	SELECT h.offered_at
	FROM leadflow.handoffs h
	WHERE h.lead_id = l.id AND h.why NOT IN ('reassigned', 'taken over')
	ORDER BY h.offered_at DESC, h.id DESC
	LIMIT 1
) h ON true;
COMMENT ON VIEW leadflow.lead_board IS 'One row a lead (key: lead_id): where it stands now, who has to do what by when.';
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
COMMENT ON COLUMN leadflow.lead_board.responsible_team IS 'Who has the lead, by the stage''s category: marketing (marketing, recycle), sales (handoff, sales); NULL = nobody any more.';
COMMENT ON COLUMN leadflow.lead_board.next_action IS 'What to do next: nurture, revisit, qualify, accept or reject, first touch, follow up; NULL = nothing.';
COMMENT ON COLUMN leadflow.lead_board.next_due_at IS 'Deadline of the running clock that is due first, else the start of the day of leads.revisit_on in settings.time_zone; NULL = none.';
COMMENT ON COLUMN leadflow.lead_board.last_engaged_at IS 'When the lead last did something.';
COMMENT ON COLUMN leadflow.lead_board.last_touch_at IS 'When sales last reached out.';

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
	SELECT
		h.lead_id,
		h.entered_at,
		CASE WHEN h.from_stage IS NULL THEN 'created' ELSE 'moved' END,
		h.team,
		m.full_name,
		concat_ws(', ', CASE WHEN h.from_stage IS NULL THEN h.to_stage ELSE h.from_stage || ' -> ' || h.to_stage END,
			h.reason, h.note),
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
		h.why,
		NULL::double precision,
		5,
		h.id,
		NULL::uuid
	FROM leadflow.handoffs h
	LEFT JOIN leadflow.team_members m ON m.id = h.owner_id
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
) e ON e.lead_id = l.id;
COMMENT ON VIEW leadflow.lead_timeline IS 'One row a thing that happened to a lead: what it did, what marketing and sales did, moves, hand-offs, broken promises, deals. Ask for one lead; order by at, step, object_id, activity_id.';
COMMENT ON COLUMN leadflow.lead_timeline.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.lead_timeline.at IS 'When it happened.';
COMMENT ON COLUMN leadflow.lead_timeline.what IS 'Kind of the activity, or created, moved, handed_off, sla_breached (at the deadline), deal_opened, deal_won, deal_lost, deal_corrected.';
COMMENT ON COLUMN leadflow.lead_timeline.team IS 'Whose doing it was: lead, marketing, sales, leadership, system or admin; of a broken promise, who had made it.';
COMMENT ON COLUMN leadflow.lead_timeline.who IS 'Name of the member: who did it, who got the lead, whose deal it is; NULL = nobody in particular.';
COMMENT ON COLUMN leadflow.lead_timeline.detail IS 'Content and campaign, stages and reason, why this rep, the promise, or deal and amount.';
COMMENT ON COLUMN leadflow.lead_timeline.points IS 'Points that the activity matches with the active model, before limits and decay; NULL = it is no engagement, or voided.';
COMMENT ON COLUMN leadflow.lead_timeline.step IS 'Order of what happened at one instant: 1 activity, 2 deal opened, 3 deal closed, 4 move, 5 hand-off, 6 breach.';
COMMENT ON COLUMN leadflow.lead_timeline.object_id IS 'Id of the move, hand-off, clock or deal; NULL for an activity.';
COMMENT ON COLUMN leadflow.lead_timeline.activity_id IS 'Id of the activity; of a move, the activity that triggered it.';
