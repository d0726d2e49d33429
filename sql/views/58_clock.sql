-- Service levels: what clocks, and hand-offs, are derived from.

-- From when on who had a lead that is with sales, as its hand-offs say.
CREATE OR REPLACE VIEW leadflow._lead_owners WITH (security_invoker = true) AS
SELECT
	h.lead_id,
	h.merged_from,
	h.offered_at AS owned_from,
	CASE WHEN h.assigned_at IS NULL OR h.assigned_at <= h.offered_at THEN h.owner_id END AS member_id,
	true AS recorded,
	h.id AS row_id
FROM leadflow.handoffs h
UNION ALL
SELECT h.lead_id, h.merged_from, h.assigned_at, h.owner_id, true, h.id
FROM leadflow.handoffs h
WHERE h.assigned_at > h.offered_at
UNION ALL
-- but for what it passed through at one instant
SELECT h.lead_id, h.merged_from, h.entered_at, NULL, false, h.id
FROM leadflow.stage_history h
LEFT JOIN leadflow.stages s ON s.name = h.to_stage
WHERE (s.category IS NULL OR s.category NOT IN ('handoff', 'sales')) AND h.left_at IS DISTINCT FROM h.entered_at;
COMMENT ON VIEW leadflow._lead_owners IS 'Internal. One row each time that a lead got another owner by a hand-off, or left sales'' hands.';
COMMENT ON COLUMN leadflow._lead_owners.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._lead_owners.merged_from IS 'Id of the duplicate whose history it is; NULL = the lead''s own.';
COMMENT ON COLUMN leadflow._lead_owners.owned_from IS 'From when on.';
COMMENT ON COLUMN leadflow._lead_owners.member_id IS 'Who has it (team_members.id); NULL = nobody.';
COMMENT ON COLUMN leadflow._lead_owners.recorded IS 'false = it left sales'' hands: from then on no hand-off says whose it is.';
COMMENT ON COLUMN leadflow._lead_owners.row_id IS 'The hand-off (handoffs.id), or the move (stage_history.id): the order of those of one instant.';

CREATE OR REPLACE VIEW leadflow._handoff_facts WITH (security_invoker = true) AS
SELECT
	h.lead_id,
	h.id AS handoff_id,
	t.first_touch_at,
	t.touches
FROM (
	SELECT
		o.lead_id,
		o.id,
		o.offered_at,
		lead(o.offered_at) OVER (PARTITION BY o.lead_id ORDER BY o.offered_at, o.id) AS next_offered_at
	FROM leadflow.handoffs o
) h
CROSS JOIN LATERAL (
	SELECT min(a.occurred_at) AS first_touch_at, count(*)::integer AS touches
	FROM leadflow.activities a
	JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'sales_touch'
	WHERE a.voided_at IS NULL AND a.lead_id = h.lead_id AND a.occurred_at >= h.offered_at
		AND (h.next_offered_at IS NULL OR a.occurred_at < h.next_offered_at)
) t;
COMMENT ON VIEW leadflow._handoff_facts IS 'Internal. One row a hand-off: its sales touches as the activities say.';
COMMENT ON COLUMN leadflow._handoff_facts.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._handoff_facts.handoff_id IS 'Hand-off (handoffs.id).';
COMMENT ON COLUMN leadflow._handoff_facts.first_touch_at IS 'First sales touch at or after the hand-off and before the next one.';
COMMENT ON COLUMN leadflow._handoff_facts.touches IS 'Number of those touches.';
