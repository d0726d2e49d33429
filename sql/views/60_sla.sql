-- Service levels: what is true about each clock, and how promises were kept.

-- A clock stands still while counted_from lies ahead: that is the end of the pause that it is in.
-- What has passed is carried and what has been counted since; nothing else need be read.
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
		WHEN c.counted_from > greatest(n.now, c.started_at) THEN 'paused'
		WHEN c.warn_at <= n.now THEN 'warning'
		ELSE 'running'
	END AS state,
	c.started_at,
	nullif(c.due_at, 'infinity') AS due_at,
	c.stopped_at,
	(date_part('epoch', c.carried) + CASE
		WHEN c.counted_from >= coalesce(c.stopped_at, n.now) THEN 0
		WHEN c.calendar_id IS NULL THEN date_part('epoch', coalesce(c.stopped_at, n.now) - c.counted_from)
		ELSE date_part('epoch', leadflow.business_time(c.calendar_id, c.counted_from, coalesce(c.stopped_at, n.now)))
	END) / 3600 AS elapsed_hours,
	date_part('epoch', greatest(coalesce(c.stopped_at, n.now), c.started_at) - c.started_at) / 3600 AS wall_hours,
	CASE
		WHEN c.state = 'cancelled' OR c.due_at >= coalesce(c.stopped_at, n.now) THEN 0
		WHEN c.calendar_id IS NULL THEN date_part('epoch', coalesce(c.stopped_at, n.now) - c.due_at) / 3600
		ELSE date_part('epoch', leadflow.business_time(c.calendar_id, c.due_at, coalesce(c.stopped_at, n.now))) / 3600
	END AS overdue_hours,
	nullif(c.warn_at, 'infinity') AS warn_at,
	k.name AS calendar,
	c.id AS clock_id,
	c.policy_id,
	c.handoff_id,
	date_part('epoch', c.target) / 3600 AS target_hours,
	CASE
		WHEN c.stopped_at IS NOT NULL THEN NULL
		WHEN c.due_at < n.now THEN 0
		ELSE greatest(date_part('epoch', c.target) - date_part('epoch', c.carried) - CASE
			WHEN c.counted_from >= n.now THEN 0
			WHEN c.calendar_id IS NULL THEN date_part('epoch', n.now - c.counted_from)
			ELSE date_part('epoch', leadflow.business_time(c.calendar_id, c.counted_from, n.now))
		END, 0) / 3600
	END AS remaining_hours,
	CASE WHEN c.stopped_at IS NULL AND c.counted_from > greatest(n.now, c.started_at) THEN
		nullif(c.counted_from, 'infinity') END AS resumes_at,
	CASE WHEN c.stopped_at IS NULL AND c.counted_from > greatest(n.now, c.started_at) THEN (
		SELECT z.reason
		FROM leadflow.sla_pauses z
		WHERE z.lead_id = c.lead_id AND z.merged_from IS NOT DISTINCT FROM c.merged_from
			AND z.paused_at <= n.now AND (z.until > n.now OR z.until IS NULL)
		ORDER BY z.paused_at DESC, z.id DESC
		LIMIT 1) END AS pause_reason,
	c.target_count,
	CASE WHEN c.metric = 'attempts' THEN (
		SELECT count(*)::integer
		FROM leadflow.activities a
		JOIN leadflow.activity_kinds i ON i.kind = a.kind AND i.role = 'sales_touch'
		WHERE a.lead_id = c.lead_id AND a.voided_at IS NULL
			AND a.occurred_at BETWEEN c.started_at AND coalesce(c.stopped_at, 'infinity')) END AS touches,
	l.full_name,
	coalesce(l.company, a.name) AS company,
	l.stage,
	c.escalated_at,
	c.activity_id,
	c.review_id
FROM leadflow.sla_clocks c
JOIN leadflow.leads l ON l.id = c.lead_id
CROSS JOIN (SELECT leadflow.now() AS now) n
JOIN leadflow.sla_policies p ON p.id = c.policy_id
LEFT JOIN leadflow.team_members m ON m.id = c.member_id
LEFT JOIN leadflow.calendars k ON k.id = c.calendar_id
LEFT JOIN leadflow.accounts a ON a.id = l.account_id;
COMMENT ON VIEW leadflow.sla_status IS 'One row a clock, stopped ones too (key: clock_id), as it stands at leadflow.now(), whether or not check_sla() has run. Columns that are not asked for cost nothing.';
COMMENT ON COLUMN leadflow.sla_status.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.sla_status.policy IS 'Name of the promise.';
COMMENT ON COLUMN leadflow.sla_status.metric IS 'What is timed: time_to_handoff, time_to_accept, time_to_first_touch, time_to_first_contact, time_to_nurture, attempts, next_response, time_in_stage or time_to_review.';
COMMENT ON COLUMN leadflow.sla_status.team IS 'Who promised.';
COMMENT ON COLUMN leadflow.sla_status.member_id IS 'Who is responsible (team_members.id): the owner while it runs in time, who it was when it stopped or was due; NULL = nobody.';
COMMENT ON COLUMN leadflow.sla_status.member IS 'Name of that member.';
COMMENT ON COLUMN leadflow.sla_status.state IS 'running, warning (the warning is due), paused (it stands still), met, breached (after due_at, answered or not, paused or not) or cancelled.';
COMMENT ON COLUMN leadflow.sla_status.started_at IS 'When it started.';
COMMENT ON COLUMN leadflow.sla_status.due_at IS 'Until when it is in time, that instant included; NULL = paused without an end.';
COMMENT ON COLUMN leadflow.sla_status.stopped_at IS 'When what it waits for happened, or the lead left; NULL = it runs.';
COMMENT ON COLUMN leadflow.sla_status.elapsed_hours IS 'Hours that counted from the start to the stop or now: in the calendar of whoever it counted for, pauses left out.';
COMMENT ON COLUMN leadflow.sla_status.wall_hours IS 'Hours from the start to the stop or now, around the clock, pauses included.';
COMMENT ON COLUMN leadflow.sla_status.overdue_hours IS 'Hours from due_at to the stop or now, in the clock''s calendar; 0 = in time or cancelled, or late by hours that do not count (state decides).';
COMMENT ON COLUMN leadflow.sla_status.warn_at IS 'When it warns; NULL = never, or paused without an end.';
COMMENT ON COLUMN leadflow.sla_status.calendar IS 'Name of the calendar that it counts in now, or did last; NULL = around the clock.';
COMMENT ON COLUMN leadflow.sla_status.clock_id IS 'Clock (sla_clocks.id).';
COMMENT ON COLUMN leadflow.sla_status.policy_id IS 'Version of the promise (sla_policies.id) that it runs by.';
COMMENT ON COLUMN leadflow.sla_status.handoff_id IS 'Hand-off (handoffs.id) that started it; NULL = none did.';
COMMENT ON COLUMN leadflow.sla_status.target_hours IS 'Hours that it was given, as elapsed_hours counts them; of attempts the window.';
COMMENT ON COLUMN leadflow.sla_status.remaining_hours IS 'Hours that are left, counted as elapsed_hours; 0 = none, NULL = it has stopped.';
COMMENT ON COLUMN leadflow.sla_status.resumes_at IS 'When the pause that it is in ends; NULL = it is in none, or in one without an end (state decides).';
COMMENT ON COLUMN leadflow.sla_status.pause_reason IS 'Why it is paused, in words (the pause that began last); NULL = it is not, or no reason was given.';
COMMENT ON COLUMN leadflow.sla_status.target_count IS 'Touches that attempts waits for; NULL = another metric.';
COMMENT ON COLUMN leadflow.sla_status.touches IS 'Sales touches so far, or up to the stop, for attempts; NULL = another metric.';
COMMENT ON COLUMN leadflow.sla_status.full_name IS 'Name of the lead.';
COMMENT ON COLUMN leadflow.sla_status.company IS 'Company as the lead wrote it, else the account''s name.';
COMMENT ON COLUMN leadflow.sla_status.stage IS 'Stage that the lead is in now (stages.name).';
COMMENT ON COLUMN leadflow.sla_status.escalated_at IS 'When its breach was escalated; NULL = it was not.';
COMMENT ON COLUMN leadflow.sla_status.activity_id IS 'Of next_response: the activity that waits for an answer.';
COMMENT ON COLUMN leadflow.sla_status.review_id IS 'Of time_to_review: the case (reviews.id).';

CREATE OR REPLACE VIEW leadflow.sla_attainment_monthly WITH (security_invoker = true) AS
SELECT
	date_trunc('month', s.started_at AT TIME ZONE g.time_zone)::date AS month_start,
	s.policy,
	s.metric,
	s.team,
	s.member_id,
	s.member,
	count(*) FILTER (WHERE s.state <> 'cancelled') AS clocks,
	count(*) FILTER (WHERE s.state = 'met') AS met,
	count(*) FILTER (WHERE s.state = 'breached') AS breached,
	count(*) FILTER (WHERE s.state NOT IN ('met', 'breached', 'cancelled')) AS open,
	count(*) FILTER (WHERE s.state = 'met')::double precision
		/ nullif(count(*) FILTER (WHERE s.state IN ('met', 'breached')), 0) AS attainment,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY s.elapsed_hours) FILTER (WHERE s.stopped_at IS NOT NULL AND s.state <> 'cancelled') AS p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY s.elapsed_hours) FILTER (WHERE s.stopped_at IS NOT NULL AND s.state <> 'cancelled') AS p95_hours,
	count(*) FILTER (WHERE s.state = 'cancelled') AS cancelled
FROM leadflow.sla_status s
CROSS JOIN leadflow.settings g
GROUP BY 1, 2, 3, 4, 5, 6;
COMMENT ON VIEW leadflow.sla_attainment_monthly IS 'One row a month, promise, metric and member: how clocks that started then were kept, as of leadflow.now(). clocks + cancelled are all that sla_status has; only the column cancelled counts those that ended without, and a row may have no others.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.month_start IS 'First day of the month in which the clocks started, in settings.time_zone.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.policy IS 'Name of the promise, its versions together.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.metric IS 'What was timed.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.team IS 'Who promised.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.member_id IS 'Who is responsible (team_members.id); NULL = nobody.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.member IS 'Name of that member.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.clocks IS 'Clocks: met, breached and open; 0 = all were cancelled.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.met IS 'Stopped in time.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.breached IS 'Stopped too late, or overdue by now.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.open IS 'Running or paused, and not overdue.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.attainment IS 'met / (met + breached); NULL = neither yet.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.p50_hours IS 'Median hours from start to stop, as sla_status.elapsed_hours counts them, of the clocks that were met, or breached and have stopped.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.p95_hours IS '95th percentile of the same, interpolated.';
COMMENT ON COLUMN leadflow.sla_attainment_monthly.cancelled IS 'Clocks that ended without what they waited for, before they were due: neither kept nor broken.';
