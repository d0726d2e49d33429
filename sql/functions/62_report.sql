-- Reports that take arguments.

CREATE OR REPLACE FUNCTION leadflow.sla_what_if(policy text, target interval, calendar text DEFAULT NULL,
	"from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity')
	RETURNS TABLE (month_start date, clocks bigint, met bigint, breached bigint, open bigint, attainment double precision,
		new_clocks bigint, new_met bigint, new_breached bigint, new_open bigint, new_attainment double precision)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan
	SET jit = off
	AS $$
#variable_conflict use_column
DECLARE
	other_calendar bigint;
	-- without days, which timestamps would take for calendar days
	other_target CONSTANT interval := make_interval(secs => date_part('epoch', $2));
BEGIN
	IF num_nulls($1, $2, $4, $5) > 0 THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'what if needs the name of a service level, a target and instants',
			HINT = 'SELECT * FROM leadflow.sla_what_if(''name'', ''4 hours'').';
	ELSIF $4 > $5 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'what if looks at clocks from an instant to a later one',
			DETAIL = format('"from" is %s, "to" is %s.', $4, $5),
			HINT = 'Those count that started in [from, to).';
	ELSIF $2 <= '0' OR $2 > '3660 days' OR extract(month FROM $2) <> 0 OR extract(year FROM $2) <> 0 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'target must be more than 0 and at most 3660 days, without months or years',
			DETAIL = format('It is %s.', $2),
			HINT = 'It is working time: a day of it is 24 hours, a working day of calendar office 8.';
	ELSIF NOT EXISTS (SELECT FROM leadflow.sla_policies p WHERE p.name = $1) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unknown service level "%s"', $1),
			HINT = leadflow._service_levels_hint();
	ELSIF EXISTS (SELECT FROM leadflow.sla_policies p WHERE p.name = $1 AND p.metric IN ('mql_volume', 'accepted_volume', 'acceptance_rate')) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('service level "%s" has no clocks', $1),
			DETAIL = 'It is counted by months.',
			HINT = 'marketing_sla_monthly has the figures: divide them by another target.';
	END IF;
	IF $3 IS NOT NULL THEN
		-- one that there is not, or that is not open for that long, is refused, clocks or not
		PERFORM leadflow.add_business_time($3, leadflow.now(), other_target);
		SELECT k.id INTO other_calendar FROM leadflow.calendars k WHERE k.name = $3;
	END IF;

	RETURN QUERY
	WITH open_calendar AS (
		-- one that lost its hours, or has dates only, counts around the clock
		SELECT DISTINCT h.calendar_id AS id FROM leadflow.calendar_hours h
	), paused AS (
		SELECT z.lead_id, z.merged_from, range_agg(tstzrange(z.paused_at, z.until)) AS during
		FROM leadflow.sla_pauses z
		GROUP BY z.lead_id, z.merged_from
	), clock AS (
		-- what a clock has counted is in its row up to its deadline: from there on it is followed,
		-- by whoever had the lead where that matters, or in another calendar from the start
		SELECT
			c.id,
			c.lead_id,
			c.merged_from,
			c.state,
			c.started_at,
			c.due_at,
			c.stopped_at,
			c.answered,
			l.owner_id,
			CASE WHEN other_calendar IS NULL THEN c.counted_from ELSE c.started_at END AS counted_from,
			CASE WHEN other_calendar IS NULL THEN other_target - c.carried ELSE other_target END AS remaining,
			coalesce(other_calendar, (SELECT k.id FROM open_calendar k WHERE k.id = c.calendar_id)) AS calendar_id,
			other_calendar IS NULL AND p.calendar_id IS NULL AND other_target > c.target AS goes_on,
			coalesce(z.during, '{}') AS during
		FROM leadflow.sla_clocks c
		JOIN leadflow.leads l ON l.id = c.lead_id
		JOIN leadflow.sla_policies p ON p.id = c.policy_id
		LEFT JOIN paused z ON z.lead_id = c.lead_id AND z.merged_from IS NOT DISTINCT FROM c.merged_from
		WHERE p.name = $1 AND c.started_at >= $4 AND c.started_at < $5
	), other AS (
		SELECT
			c.*,
			CASE
				-- reached before it stood still
				WHEN c.remaining <= '0' THEN '-infinity'
				WHEN c.counted_from = 'infinity' THEN 'infinity'
				WHEN c.goes_on OR c.during && tstzrange(c.counted_from, NULL) THEN coalesce((
					SELECT CASE
						WHEN w.calendar_id IS NULL THEN w.since + make_interval(secs => date_part('epoch', c.remaining - w.before))
						ELSE leadflow.add_business_time(w.calendar_id, w.since, c.remaining - w.before) END
					FROM (
						SELECT s.*, coalesce(sum(s.work) OVER (ORDER BY s.since ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '0') AS before
						FROM (
							SELECT v.calendar_id, lower(u.r) AS since, upper(u.r) AS until,
								CASE WHEN v.calendar_id IS NULL THEN upper(u.r) - lower(u.r)
									ELSE leadflow.business_time(v.calendar_id, lower(u.r), upper(u.r)) END AS work
							FROM (
								SELECT t.since, lead(t.since) OVER (ORDER BY t.since, t.recorded, t.row_id) AS until, t.calendar_id
								FROM (
									SELECT c.counted_from AS since, false AS recorded, 0 AS row_id, c.calendar_id
									UNION ALL
									SELECT o.owned_from, o.recorded, o.row_id, k.id
									FROM leadflow._lead_owners o
									LEFT JOIN leadflow.team_members m ON m.id = CASE WHEN o.recorded THEN o.member_id ELSE c.owner_id END
									LEFT JOIN open_calendar k ON k.id = m.calendar_id
									WHERE c.goes_on AND o.lead_id = c.lead_id AND o.merged_from IS NOT DISTINCT FROM c.merged_from
										AND o.owned_from > c.counted_from
								) t
							) v
							CROSS JOIN LATERAL unnest(tstzmultirange(tstzrange(v.since, v.until)) - c.during) u (r)
						) s
					) w
					WHERE w.until IS NULL OR w.before + w.work >= c.remaining
					ORDER BY w.since
					LIMIT 1), 'infinity')
				WHEN c.calendar_id IS NULL THEN c.counted_from + make_interval(secs => date_part('epoch', c.remaining))
				ELSE leadflow.add_business_time(c.calendar_id, c.counted_from, c.remaining)
			END AS new_due_at
		FROM clock c
	), judged AS (
		SELECT
			o.started_at,
			CASE
				WHEN o.stopped_at IS NOT NULL THEN o.state
				WHEN o.due_at < leadflow.now() THEN 'breached'
				ELSE 'open'
			END AS state,
			CASE
				WHEN o.new_due_at < coalesce(o.stopped_at, leadflow.now()) THEN 'breached'
				WHEN o.stopped_at IS NULL THEN 'open'
				-- what was late may have been an answer, or none
				WHEN o.answered THEN 'met'
				ELSE 'cancelled'
			END AS new_state
		FROM other o
	), counted AS (
		SELECT
			date_trunc('month', j.started_at AT TIME ZONE g.time_zone)::date AS month_start,
			count(*) FILTER (WHERE j.state <> 'cancelled') AS clocks,
			count(*) FILTER (WHERE j.state = 'met') AS met,
			count(*) FILTER (WHERE j.state = 'breached') AS breached,
			count(*) FILTER (WHERE j.state = 'open') AS open,
			count(*) FILTER (WHERE j.new_state <> 'cancelled') AS new_clocks,
			count(*) FILTER (WHERE j.new_state = 'met') AS new_met,
			count(*) FILTER (WHERE j.new_state = 'breached') AS new_breached,
			count(*) FILTER (WHERE j.new_state = 'open') AS new_open
		FROM judged j
		CROSS JOIN leadflow.settings g
		GROUP BY 1
	)
	SELECT
		n.month_start,
		n.clocks, n.met, n.breached, n.open, n.met::double precision / nullif(n.met + n.breached, 0),
		n.new_clocks, n.new_met, n.new_breached, n.new_open, n.new_met::double precision / nullif(n.new_met + n.new_breached, 0)
	FROM counted n
	WHERE n.clocks + n.new_clocks > 0
	ORDER BY n.month_start;
END
$$;
COMMENT ON FUNCTION leadflow.sla_what_if(text, interval, text, timestamptz, timestamptz) IS
'How a promise would have been kept with another target: one row a month in which clocks of that policy (by name, its versions together) started, in settings.time_zone, of those that started from "from" (in) to "to" (out). clocks, met, breached, open, attainment as in sla_attainment_monthly, then the same with this target (of attempts the window), in that calendar (NULL: those in which the clocks count, the owners'' where the policy has none). Pauses count as they were; nothing is written, and what people would have done otherwise is not known. A clock that ended without counts where it was, or would have been, due before. Only leads that the caller sees; needs SELECT on the tables. 22004 for NULL (but as calendar); 22023 for an unknown policy or calendar, a policy that is counted by months, a range that ends before it begins, a target of 0 or less, of more than 3660 days, or with months or years, and a calendar that is not open for that long. O(clocks of the policy).';
