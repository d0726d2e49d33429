-- Service levels: what happened to each clock, and to each hand-off.

-- A clock as a function of its start, the lead's history and its sales touches.
CREATE OR REPLACE VIEW leadflow._clock_facts WITH (security_invoker = true) AS
SELECT
	c.lead_id,
	c.id AS clock_id,
	coalesce(t.occurred_at, n.ended_at) AS stopped_at,
	CASE
		WHEN t.occurred_at IS NULL AND n.ended_at IS NULL THEN NULL
		WHEN c.due_at < coalesce(t.occurred_at, n.ended_at) THEN 'breached'
		WHEN t.occurred_at IS NOT NULL OR e.decided THEN 'met'
		ELSE 'cancelled'
	END AS outcome
FROM leadflow.sla_clocks c
LEFT JOIN LATERAL (
	-- the move that ends it
	SELECT
		-- one that came from a duplicate may have started later than this history goes on
		greatest(h.entered_at, c.started_at) AS entered_at,
		c.metric = 'time_to_accept'
			AND (s.category IS DISTINCT FROM 'marketing' OR h.team IN ('sales', 'leadership')) AS decided
	FROM leadflow.stage_history h
	LEFT JOIN leadflow.stages s ON s.name = h.to_stage
	LEFT JOIN leadflow.stages f ON f.name = h.from_stage
	WHERE h.lead_id = c.lead_id AND h.merged_from IS NOT DISTINCT FROM c.merged_from
		AND h.id > c.history_id
		AND CASE c.metric
			WHEN 'time_to_accept' THEN s.category IS DISTINCT FROM 'handoff'
			ELSE s.category IS NULL OR s.category NOT IN ('handoff', 'sales')
				OR (s.category = 'handoff' AND f.category IS DISTINCT FROM 'handoff')
			END
	ORDER BY h.entered_at, h.id
	LIMIT 1
) e ON true
CROSS JOIN LATERAL (
	-- a duplicate's history ends when it is merged
	SELECT coalesce(e.entered_at, CASE WHEN c.merged_from IS NOT NULL THEN (
		SELECT max(h.left_at) FROM leadflow.stage_history h
		WHERE h.lead_id = c.lead_id AND h.merged_from = c.merged_from) END) AS ended_at
) n
LEFT JOIN LATERAL (
	-- the touch that it waits for
	SELECT a.occurred_at
	FROM leadflow.activities a
	JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'sales_touch'
	WHERE c.metric = 'time_to_first_touch' AND a.voided_at IS NULL
		AND a.lead_id = c.lead_id AND a.occurred_at >= c.started_at
		AND a.occurred_at <= coalesce(n.ended_at, 'infinity')
	ORDER BY a.occurred_at
	LIMIT 1
) t ON true;
COMMENT ON VIEW leadflow._clock_facts IS 'Internal. One row a clock: its end as the history and the sales touches of the lead say.';
COMMENT ON COLUMN leadflow._clock_facts.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._clock_facts.clock_id IS 'Clock (sla_clocks.id).';
COMMENT ON COLUMN leadflow._clock_facts.stopped_at IS 'When what it waits for happened, or the lead left; NULL = neither.';
COMMENT ON COLUMN leadflow._clock_facts.outcome IS 'met, breached or cancelled; NULL = it runs.';

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
