-- Service levels: what happened to each clock, and to each hand-off.

-- When each clock stopped and how, by the history, the activities and the reviews of its lead:
-- a function of facts, whatever the clock's row says.
CREATE OR REPLACE VIEW leadflow._clock_facts WITH (security_invoker = true) AS
SELECT
	c.lead_id,
	c.id AS clock_id,
	coalesce(t.occurred_at, n.ended_at) AS stopped_at,
	t.occurred_at IS NOT NULL OR coalesce(n.answered, false) AS answered,
	l.owner_id,
	c.policy_id,
	c.metric,
	c.member_id,
	c.state,
	c.started_at,
	c.due_at,
	c.stopped_at AS kept_stopped_at,
	c.warn_at,
	c.warned_at,
	c.breached_at,
	c.calendar_id,
	c.merged_from,
	c.target,
	c.target_count,
	c.warn_after,
	c.counted_from,
	c.carried,
	c.activity_id
FROM leadflow.sla_clocks c
JOIN leadflow.leads l ON l.id = c.lead_id
LEFT JOIN LATERAL (
	-- the move that ends it
	SELECT
		-- one that came from a duplicate may have started later than this history goes on
		greatest(h.entered_at, c.started_at) AS entered_at,
		CASE c.metric
			WHEN 'time_to_handoff' THEN s.category IN ('handoff', 'sales', 'won')
			WHEN 'time_to_accept' THEN s.category IS DISTINCT FROM 'marketing' OR h.team IN ('sales', 'leadership')
			WHEN 'time_to_nurture' THEN h.to_stage = 'nurture'
			ELSE c.metric = 'time_in_stage'
		END AS answered
	FROM leadflow.stage_history h
	LEFT JOIN leadflow.stages s ON s.name = h.to_stage
	LEFT JOIN leadflow.stages f ON f.name = h.from_stage
	WHERE c.metric <> 'time_to_review'
		AND h.lead_id = c.lead_id AND h.merged_from IS NOT DISTINCT FROM c.merged_from
		AND CASE WHEN c.metric = 'next_response' THEN h.entered_at >= c.started_at ELSE h.id > c.history_id END
		AND CASE c.metric
			WHEN 'time_to_handoff' THEN h.to_stage = 'lead' OR s.category IS DISTINCT FROM 'marketing'
			WHEN 'time_to_accept' THEN s.category IS DISTINCT FROM 'handoff'
			WHEN 'time_to_nurture' THEN true
			WHEN 'time_in_stage' THEN true
			WHEN 'next_response' THEN s.category IN ('recycle', 'lost', 'out')
				OR (f.category IN ('handoff', 'sales') AND s.category NOT IN ('handoff', 'sales', 'won'))
			ELSE s.category IS NULL OR s.category NOT IN ('handoff', 'sales')
				OR (s.category = 'handoff' AND f.category IS DISTINCT FROM 'handoff')
			END
	ORDER BY h.entered_at, h.id
	LIMIT 1
) e ON true
LEFT JOIN leadflow.reviews r ON c.metric = 'time_to_review' AND r.id = c.review_id
CROSS JOIN LATERAL (
	SELECT
		coalesce(e.entered_at, r.closed_at,
			-- a duplicate's history ends when it is merged
			CASE WHEN c.merged_from IS NOT NULL THEN (
				SELECT max(h.left_at) FROM leadflow.stage_history h
				WHERE h.lead_id = c.lead_id AND h.merged_from = c.merged_from) END) AS ended_at,
		coalesce(e.answered, r.closed_by = 'votes', false) AS answered
) o
CROSS JOIN LATERAL (
	-- nobody is to be answered who was erased
	SELECT
		CASE WHEN l.erased_at IS NOT NULL AND (o.ended_at IS NULL OR l.erased_at < o.ended_at)
			THEN greatest(l.erased_at, c.started_at) ELSE o.ended_at END AS ended_at,
		o.answered AND (l.erased_at IS NULL OR l.erased_at >= o.ended_at) AS answered
) n
LEFT JOIN LATERAL (
	-- the touch that it waits for
	SELECT a.occurred_at
	FROM leadflow.activities a
	JOIN leadflow.activity_kinds k ON k.kind = a.kind AND CASE c.metric
		WHEN 'time_to_first_contact' THEN k.two_way
		WHEN 'next_response' THEN k.role = 'sales_touch' OR (k.two_way AND NOT k.expects_reply)
		ELSE k.role = 'sales_touch' END
	WHERE c.metric IN ('time_to_first_touch', 'time_to_first_contact', 'attempts', 'next_response')
		AND a.voided_at IS NULL AND a.lead_id = c.lead_id AND a.occurred_at >= c.started_at
		AND a.occurred_at <= coalesce(n.ended_at, 'infinity')
	ORDER BY a.occurred_at
	OFFSET coalesce(c.target_count, 1) - 1 LIMIT 1
) t ON true;
COMMENT ON VIEW leadflow._clock_facts IS 'Internal. One row a clock: its end as the history, the activities and the reviews of the lead say, beside what its row says.';
COMMENT ON COLUMN leadflow._clock_facts.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._clock_facts.clock_id IS 'Clock (sla_clocks.id).';
COMMENT ON COLUMN leadflow._clock_facts.stopped_at IS 'When what it waits for happened, or it ended without; NULL = neither.';
COMMENT ON COLUMN leadflow._clock_facts.answered IS 'Did it happen? false = it ended without, or runs.';
COMMENT ON COLUMN leadflow._clock_facts.owner_id IS 'Owner of the lead (team_members.id); NULL = nobody.';
COMMENT ON COLUMN leadflow._clock_facts.policy_id IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.metric IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.member_id IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.state IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.started_at IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.due_at IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.kept_stopped_at IS 'stopped_at as in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.warn_at IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.warned_at IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.breached_at IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.calendar_id IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.merged_from IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.target IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.target_count IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.warn_after IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.counted_from IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.carried IS 'As in sla_clocks.';
COMMENT ON COLUMN leadflow._clock_facts.activity_id IS 'As in sla_clocks.';

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
