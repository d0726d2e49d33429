-- Leads in sales' hands that nobody works.

CREATE OR REPLACE VIEW leadflow.orphaned_leads WITH (security_invoker = true) AS
SELECT
	l.id AS lead_id,
	l.full_name,
	coalesce(l.company, a.name) AS company,
	l.stage,
	l.owner_id,
	m.full_name AS owner,
	h.queue,
	CASE
		WHEN l.owner_id IS NULL THEN coalesce(h.offered_at, l.stage_since)
		WHEN m.active THEN w.away_since_at
	END AS since_at,
	CASE
		WHEN l.owner_id IS NULL AND h.queue IS NOT NULL THEN 'waits in queue ' || h.queue
		WHEN l.owner_id IS NULL THEN 'no owner'
		WHEN NOT m.active THEN 'owner is not active'
		WHEN m.team = 'marketing' THEN 'owner is in marketing and cannot decide'
		ELSE 'owner is away and nobody covers'
	END AS why
FROM leadflow.leads l
JOIN leadflow.stages g ON g.name = l.stage AND g.category IN ('handoff', 'sales')
LEFT JOIN leadflow.team_members m ON m.id = l.owner_id
LEFT JOIN leadflow.accounts a ON a.id = l.account_id
LEFT JOIN LATERAL (
	SELECT h.offered_at, h.queue
	FROM leadflow.handoffs h
	WHERE h.lead_id = l.id AND h.decided_at IS NULL AND l.owner_id IS NULL
	ORDER BY h.id DESC
	LIMIT 1
) h ON true
LEFT JOIN LATERAL (
	SELECT nullif(min(coalesce(lower(b.during), '-infinity')), '-infinity') AS away_since_at
	FROM leadflow.absences b
	WHERE b.member_id = l.owner_id AND b.during @> leadflow.now()
) w ON true
WHERE l.owner_id IS NULL OR m.team = 'marketing' OR leadflow._stands_in(l.owner_id, leadflow.now()) IS NULL;
COMMENT ON VIEW leadflow.orphaned_leads IS 'One row a lead (key: lead_id) of categories handoff and sales that nobody works: without an owner, of an owner who is not active or in marketing, or of one who is away without a cover who is there. reassign() hands over a member''s leads; what waits in a queue is given out by check_sla() and claim_next().';
COMMENT ON COLUMN leadflow.orphaned_leads.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.orphaned_leads.full_name IS 'Name of the lead.';
COMMENT ON COLUMN leadflow.orphaned_leads.company IS 'Company as the lead wrote it, else the account''s name.';
COMMENT ON COLUMN leadflow.orphaned_leads.stage IS 'Stage (stages.name).';
COMMENT ON COLUMN leadflow.orphaned_leads.owner_id IS 'Whose lead it is (team_members.id); NULL = nobody''s.';
COMMENT ON COLUMN leadflow.orphaned_leads.owner IS 'Name of the owner.';
COMMENT ON COLUMN leadflow.orphaned_leads.queue IS 'Queue in which it waits (queues.name); NULL = none.';
COMMENT ON COLUMN leadflow.orphaned_leads.since_at IS 'Since when: offered without an owner, or the owner away; NULL = not known (owner not active, or away without a beginning).';
COMMENT ON COLUMN leadflow.orphaned_leads.why IS 'Why, in words.';
