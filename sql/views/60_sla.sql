-- Service levels: what is true about each clock, and how promises were kept.

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
