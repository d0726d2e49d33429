-- Service levels: what is true about each clock, and how promises were kept.

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

CREATE OR REPLACE VIEW leadflow.sla_status WITH (security_invoker = true) AS
SELECT
	c.lead_id,
	p.name AS policy,
	c.metric,
	p.team,
	c.member_id,
	m.full_name AS member,
	CASE
		WHEN c.stopped_at IS NOT NULL THEN c.state
		WHEN c.due_at < n.now THEN 'breached'
		WHEN c.warn_at <= n.now THEN 'warning'
		ELSE 'running'
	END AS state,
	c.started_at,
	c.due_at,
	c.stopped_at,
	(extract(epoch FROM CASE
		WHEN c.calendar_id IS NULL THEN coalesce(c.stopped_at, n.now) - c.started_at
		ELSE leadflow.business_time(c.calendar_id, c.started_at, coalesce(c.stopped_at, n.now))
	END) / 3600)::double precision AS elapsed_hours,
	(extract(epoch FROM coalesce(c.stopped_at, n.now) - c.started_at) / 3600)::double precision AS wall_hours,
	CASE
		WHEN c.state = 'cancelled' THEN 0
		WHEN c.due_at >= coalesce(c.stopped_at, n.now) THEN 0
		WHEN c.calendar_id IS NULL THEN
			(extract(epoch FROM coalesce(c.stopped_at, n.now) - c.due_at) / 3600)::double precision
		ELSE (extract(epoch FROM leadflow.business_time(c.calendar_id, c.due_at,
			coalesce(c.stopped_at, n.now))) / 3600)::double precision
	END AS overdue_hours,
	c.warn_at,
	k.name AS calendar,
	c.id AS clock_id,
	c.policy_id,
	c.handoff_id
FROM leadflow.sla_clocks c
JOIN leadflow.leads l ON l.id = c.lead_id
CROSS JOIN (SELECT leadflow.now() AS now) n
JOIN leadflow.sla_policies p ON p.id = c.policy_id
LEFT JOIN leadflow.team_members m ON m.id = c.member_id
LEFT JOIN leadflow.calendars k ON k.id = c.calendar_id;
COMMENT ON VIEW leadflow.sla_status IS 'One row a clock, stopped ones too (key: clock_id), as it stands at leadflow.now(), whether or not check_sla() has run.';
COMMENT ON COLUMN leadflow.sla_status.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.sla_status.policy IS 'Name of the promise.';
COMMENT ON COLUMN leadflow.sla_status.metric IS 'time_to_accept (hand-off to decision) or time_to_first_touch (hand-off to first sales touch).';
COMMENT ON COLUMN leadflow.sla_status.team IS 'Who promised.';
COMMENT ON COLUMN leadflow.sla_status.member_id IS 'Who is responsible (team_members.id): the owner while it runs in time, who it was when it stopped or was due; NULL = nobody.';
COMMENT ON COLUMN leadflow.sla_status.member IS 'Name of that member.';
COMMENT ON COLUMN leadflow.sla_status.state IS 'running, warning (the warning is due), met, breached (after due_at, answered or not) or cancelled.';
COMMENT ON COLUMN leadflow.sla_status.started_at IS 'When the lead was handed over.';
COMMENT ON COLUMN leadflow.sla_status.due_at IS 'Until when it is in time, that instant included.';
COMMENT ON COLUMN leadflow.sla_status.stopped_at IS 'When what it waits for happened, or the lead left; NULL = it runs.';
COMMENT ON COLUMN leadflow.sla_status.elapsed_hours IS 'Hours from the start to the stop or now, in the clock''s calendar.';
COMMENT ON COLUMN leadflow.sla_status.wall_hours IS 'Hours from the start to the stop or now, around the clock.';
COMMENT ON COLUMN leadflow.sla_status.overdue_hours IS 'Hours by which the stop or now is too late, in the clock''s calendar; 0 = in time or cancelled.';
COMMENT ON COLUMN leadflow.sla_status.warn_at IS 'When it warns; NULL = never.';
COMMENT ON COLUMN leadflow.sla_status.calendar IS 'Name of the calendar that it counts in; NULL = around the clock.';
COMMENT ON COLUMN leadflow.sla_status.clock_id IS 'Clock (sla_clocks.id).';
COMMENT ON COLUMN leadflow.sla_status.policy_id IS 'Version of the promise (sla_policies.id) that it runs by.';
COMMENT ON COLUMN leadflow.sla_status.handoff_id IS 'Hand-off (handoffs.id) that started it.';

CREATE OR REPLACE VIEW leadflow.sla_attainment_monthly WITH (security_invoker = true) AS
SELECT
	date_trunc('month', s.started_at AT TIME ZONE g.time_zone)::date AS month_start,
	s.policy,
	s.metric,
	s.team,
	s.member_id,
	s.member,
	count(*) AS clocks,
	count(*) FILTER (WHERE s.state = 'met') AS met,
	count(*) FILTER (WHERE s.state = 'breached') AS breached,
	count(*) FILTER (WHERE s.state NOT IN ('met', 'breached')) AS open,
	count(*) FILTER (WHERE s.state = 'met')::double precision
		/ nullif(count(*) FILTER (WHERE s.state IN ('met', 'breached')), 0) AS attainment,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY s.elapsed_hours) FILTER (WHERE s.stopped_at IS NOT NULL) AS p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY s.elapsed_hours) FILTER (WHERE s.stopped_at IS NOT NULL) AS p95_hours
FROM leadflow.sla_status s
CROSS JOIN leadflow.settings g
WHERE s.state <> 'cancelled'
GROUP BY 1, 2, 3, 4, 5, 6;
COMMENT ON VIEW leadflow.sla_attainment_monthly IS 'One row a month, promise, metric and member: how clocks that started then were kept, as of leadflow.now(). Cancelled clocks don''t count.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.month_start IS 'First day of the month in which the clocks started, in settings.time_zone.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.policy IS 'Name of the promise, its versions together.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.metric IS 'What was timed.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.team IS 'Who promised.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.member_id IS 'Who is responsible (team_members.id); NULL = nobody.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.member IS 'Name of that member.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.clocks IS 'Clocks: met, breached and open.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.met IS 'Stopped in time.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.breached IS 'Stopped too late, or overdue by now.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.open IS 'Running and not overdue.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.attainment IS 'met / (met + breached); NULL = neither yet.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.p50_hours IS 'Median hours from start to stop, in the clock''s calendar, of the clocks that have stopped.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.p95_hours IS '95th percentile of the same, interpolated.';
