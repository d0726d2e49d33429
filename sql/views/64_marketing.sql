-- What marketing promised for a month, and what it delivered.

-- The outcome lies between the MQL and the move that begins the next cycle, that move included: by it
-- sales may have sent the lead to nurture.
CREATE OR REPLACE VIEW leadflow._mqls WITH (security_invoker = true) AS
SELECT
	q.lead_id,
	q.id AS history_id,
	q.entered_at AS mql_at,
	(q.entered_at AT TIME ZONE g.time_zone)::date AS day,
	q.cycle,
	q.score,
	q.model_id,
	q.persona,
	q.grade,
	CASE
		WHEN o.accepted THEN 'accepted'
		WHEN r.stands THEN 'rejected'
		WHEN o.nurtured THEN 'nurtured'
	END AS outcome,
	coalesce(r.upheld, false) AS upheld
FROM (
	-- of a person who was merged the earlier one counts
	SELECT DISTINCT ON (h.lead_id, h.cycle) h.*
	FROM leadflow.stage_history h
	WHERE h.to_stage = 'mql' AND (h.team, h.reason) IS DISTINCT FROM ('system', 'merged')
	ORDER BY h.lead_id, h.cycle, h.entered_at, h.id
) q
JOIN leadflow.leads l ON l.id = q.lead_id
CROSS JOIN leadflow.settings g
LEFT JOIN LATERAL (
	SELECT x.entered_at, x.id
	FROM leadflow.stage_history x
	WHERE x.lead_id = q.lead_id AND (x.entered_at, x.id) > (q.entered_at, q.id) AND x.cycle > q.cycle
		AND (x.merged_from IS NULL OR x.merged_from = q.merged_from)
	ORDER BY x.entered_at, x.id
	LIMIT 1
) u ON true
CROSS JOIN LATERAL (
	SELECT
		bool_or(s.category IN ('sales', 'won', 'lost')) AS accepted,
		max(x.entered_at) FILTER (WHERE s.category IN ('sales', 'won', 'lost')) AS accepted_at,
		bool_or(s.category = 'recycle' AND x.to_stage <> 'rejected' AND f.category IN ('handoff', 'sales')) AS nurtured,
		bool_or(x.to_stage = 'rejected') AS rejected
	FROM leadflow.stage_history x
	JOIN leadflow.stages s ON s.name = x.to_stage
	LEFT JOIN leadflow.stages f ON f.name = x.from_stage
	WHERE x.lead_id = q.lead_id AND (x.entered_at, x.id) > (q.entered_at, q.id)
		AND (u.id IS NULL OR (x.entered_at, x.id) <= (u.entered_at, u.id))
) o
LEFT JOIN LATERAL (
	SELECT
		bool_or(j.verdict IS DISTINCT FROM 'overturn' AND NOT j.rerouted) AS stands,
		bool_or(j.verdict = 'uphold' AND (o.accepted_at IS NULL OR x.entered_at >= o.accepted_at)) AS upheld
	FROM leadflow._rejections j
	JOIN leadflow.stage_history x ON x.lead_id = j.lead_id AND x.id = j.history_id
	WHERE o.rejected AND j.lead_id = q.lead_id AND (x.entered_at, x.id) > (q.entered_at, q.id)
		AND (u.id IS NULL OR (x.entered_at, x.id) <= (u.entered_at, u.id))
) r ON true;
COMMENT ON VIEW leadflow._mqls IS 'Internal. One row an MQL: the first time in a cycle that a lead became one (key: lead_id, cycle), and what sales made of it.';
COMMENT ON COLUMN leadflow._mqls.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._mqls.history_id IS 'The move (stage_history.id).';
COMMENT ON COLUMN leadflow._mqls.mql_at IS 'When.';
COMMENT ON COLUMN leadflow._mqls.day IS 'Its day, in settings.time_zone.';
COMMENT ON COLUMN leadflow._mqls.cycle IS 'Cycle of the lead.';
COMMENT ON COLUMN leadflow._mqls.score IS 'Score then.';
COMMENT ON COLUMN leadflow._mqls.model_id IS 'Model in force then.';
COMMENT ON COLUMN leadflow._mqls.persona IS 'Persona then.';
COMMENT ON COLUMN leadflow._mqls.grade IS 'Fit grade then.';
COMMENT ON COLUMN leadflow._mqls.outcome IS 'accepted (at any time in the cycle), rejected (and neither overturned nor given to another rep), nurtured (by sales); NULL = undecided.';
COMMENT ON COLUMN leadflow._mqls.upheld IS 'A review upheld a rejection of it, and sales did not accept it afterwards.';

CREATE OR REPLACE VIEW leadflow._marketing_promises WITH (security_invoker = true) AS
SELECT
	p.id AS policy_id,
	p.name AS policy,
	p.metric,
	p.team,
	coalesce(p.target_count, p.target_rate) AS target,
	p.calendar_id,
	m.month::date AS month_start
FROM leadflow.sla_policies p
CROSS JOIN leadflow.settings g
CROSS JOIN LATERAL (
	SELECT date_trunc('month', leadflow.now() AT TIME ZONE g.time_zone) AS this_month
) n
CROSS JOIN LATERAL generate_series(
	CASE
		WHEN isfinite(lower(p.valid)) THEN date_trunc('month', lower(p.valid) AT TIME ZONE g.time_zone)
		ELSE coalesce(date_trunc('month', (
			SELECT min(f.entered_at)
			FROM leadflow.stages s
			CROSS JOIN LATERAL (
				SELECT h.entered_at
				FROM leadflow.stage_history h
				WHERE h.to_stage = s.name
				ORDER BY h.entered_at
				LIMIT 1
			) f) AT TIME ZONE g.time_zone), n.this_month)
	END, n.this_month, interval '1 month') m (month)
WHERE p.metric IN ('mql_volume', 'accepted_volume', 'acceptance_rate')
	AND p.valid @> m.month AT TIME ZONE g.time_zone;
COMMENT ON VIEW leadflow._marketing_promises IS 'Internal. One row a month and version of a promise of mql_volume, accepted_volume or acceptance_rate that was in force when the month began (key: policy_id, month_start), from the first month on of which there is history, up to this one.';
COMMENT ON COLUMN leadflow._marketing_promises.policy_id IS 'Version of the promise (sla_policies.id).';
COMMENT ON COLUMN leadflow._marketing_promises.policy IS 'Its name.';
COMMENT ON COLUMN leadflow._marketing_promises.metric IS 'Its metric.';
COMMENT ON COLUMN leadflow._marketing_promises.team IS 'Who promised.';
COMMENT ON COLUMN leadflow._marketing_promises.target IS 'Number, or share.';
COMMENT ON COLUMN leadflow._marketing_promises.calendar_id IS 'Calendar whose days count; NULL = every day does.';
COMMENT ON COLUMN leadflow._marketing_promises.month_start IS 'First day of the month, in settings.time_zone.';

-- Each MQL is asked once whether it is of a promise's segment, and made a document of only
-- where a promise has a condition.
CREATE OR REPLACE VIEW leadflow._marketing_days WITH (security_invoker = true) AS
SELECT
	p.id AS policy_id,
	m.month_start,
	q.day,
	count(*) AS mqls,
	count(*) FILTER (WHERE q.upheld) AS upheld,
	count(*) FILTER (WHERE q.outcome = 'accepted') AS accepted,
	count(*) FILTER (WHERE q.outcome = 'accepted' AND q.upheld) AS accepted_upheld,
	count(*) FILTER (WHERE q.outcome = 'rejected') AS rejected,
	count(*) FILTER (WHERE q.outcome = 'nurtured') AS nurtured,
	count(q.outcome) AS decided,
	count(q.outcome) FILTER (WHERE q.upheld) AS decided_upheld
FROM leadflow._mqls q
CROSS JOIN leadflow.settings g
CROSS JOIN LATERAL (
	SELECT date_trunc('month', q.day::timestamp)::date AS month_start
) m
LEFT JOIN LATERAL (
	SELECT d.doc || jsonb_build_object(
		'stage', 'mql',
		'cycle', q.cycle,
		'score', q.score,
		'grade', q.grade,
		'persona', q.persona,
		'band', CASE
			WHEN q.score >= o.hot_from - 1e-9 * greatest(1, o.hot_from) THEN 'hot'
			WHEN q.score >= o.warm_from - 1e-9 * greatest(1, o.warm_from) THEN 'warm'
			WHEN q.score < o.warm_from THEN 'cool'
		END) AS doc
	FROM leadflow._lead_documents d
	LEFT JOIN leadflow.scoring_models o ON o.id = q.model_id
	WHERE d.lead_id = q.lead_id AND EXISTS (
		SELECT
		FROM leadflow.sla_policies c
		WHERE c.condition IS NOT NULL AND c.metric IN ('mql_volume', 'accepted_volume', 'acceptance_rate'))
	OFFSET 0
) d ON true
CROSS JOIN LATERAL (
	SELECT p.id
	FROM leadflow.sla_policies p
	WHERE p.metric IN ('mql_volume', 'accepted_volume', 'acceptance_rate')
		AND p.valid @> m.month_start::timestamp AT TIME ZONE g.time_zone
		AND (p.condition IS NULL OR leadflow._condition_holds(p.condition, d.doc))
	OFFSET 0
) p
GROUP BY p.id, m.month_start, q.day;
COMMENT ON VIEW leadflow._marketing_days IS 'Internal. One row a version of a promise and day with MQLs of its segment (key: policy_id, day).';
COMMENT ON COLUMN leadflow._marketing_days.policy_id IS 'Version of the promise (sla_policies.id).';
COMMENT ON COLUMN leadflow._marketing_days.month_start IS 'First day of their month.';
COMMENT ON COLUMN leadflow._marketing_days.day IS 'Day of the MQLs, in settings.time_zone.';
COMMENT ON COLUMN leadflow._marketing_days.mqls IS 'MQLs.';
COMMENT ON COLUMN leadflow._marketing_days.upheld IS 'Number of those of which a review upheld a rejection that stands: sales did not accept it afterwards.';
COMMENT ON COLUMN leadflow._marketing_days.accepted IS 'Number of those that sales accepted.';
COMMENT ON COLUMN leadflow._marketing_days.accepted_upheld IS 'Both.';
COMMENT ON COLUMN leadflow._marketing_days.rejected IS 'Number of those that sales rejected and never accepted.';
COMMENT ON COLUMN leadflow._marketing_days.nurtured IS 'Number of those that sales sent to nurture and never accepted.';
COMMENT ON COLUMN leadflow._marketing_days.decided IS 'accepted + rejected + nurtured.';
COMMENT ON COLUMN leadflow._marketing_days.decided_upheld IS 'Number of decided that are upheld.';

CREATE OR REPLACE VIEW leadflow.marketing_sla_monthly WITH (security_invoker = true) AS
SELECT
	m.month_start,
	m.policy,
	m.metric,
	m.target,
	CASE m.metric
		WHEN 'mql_volume' THEN m.mqls
		WHEN 'accepted_volume' THEN m.accepted
		ELSE m.accepted::double precision / nullif(m.decided, 0)
	END AS gross,
	CASE m.metric
		WHEN 'mql_volume' THEN m.mqls_net
		WHEN 'accepted_volume' THEN m.accepted_net
		ELSE m.accepted_net::double precision / nullif(m.decided, 0)
	END AS net,
	CASE m.metric
		WHEN 'mql_volume' THEN m.mqls_net
		WHEN 'accepted_volume' THEN m.accepted_net
		ELSE m.accepted_net::double precision / nullif(m.decided, 0)
	END / m.target AS attainment,
	CASE m.metric
		WHEN 'mql_volume' THEN m.mqls
		WHEN 'accepted_volume' THEN m.accepted
		ELSE m.accepted::double precision / nullif(m.decided, 0)
	END / m.target AS attainment_gross,
	m.team,
	m.policy_id,
	m.mqls,
	m.mqls_net,
	m.accepted,
	m.accepted_net,
	m.rejected,
	m.nurtured,
	m.decided,
	m.decided_net,
	m.mqls - m.decided AS undecided,
	m.upheld
FROM (
	SELECT
		p.month_start,
		p.policy,
		p.metric,
		p.target,
		p.team,
		p.policy_id,
		coalesce(sum(d.mqls), 0)::bigint AS mqls,
		coalesce(sum(d.mqls - d.upheld), 0)::bigint AS mqls_net,
		coalesce(sum(d.accepted), 0)::bigint AS accepted,
		coalesce(sum(d.accepted - d.accepted_upheld), 0)::bigint AS accepted_net,
		coalesce(sum(d.rejected), 0)::bigint AS rejected,
		coalesce(sum(d.nurtured), 0)::bigint AS nurtured,
		coalesce(sum(d.decided), 0)::bigint AS decided,
		coalesce(sum(d.decided - d.decided_upheld), 0)::bigint AS decided_net,
		coalesce(sum(d.upheld), 0)::bigint AS upheld
	FROM leadflow._marketing_promises p
	LEFT JOIN leadflow._marketing_days d ON d.policy_id = p.policy_id AND d.month_start = p.month_start
	GROUP BY p.month_start, p.policy, p.metric, p.target, p.team, p.policy_id
) m;
COMMENT ON VIEW leadflow.marketing_sla_monthly IS 'One row a month (in settings.time_zone) and promise of a metric that is counted by months (key: month_start, policy; its version in force when the month began), up to this month, months without an MQL too. Counts the MQLs of the month on which the promise''s condition holds, with what has become of them by now; an MQL is the first time in a cycle that a lead enters stage mql. gross counts all of them, net those that were not rejected in the end with a review that upheld it. Of acceptance_rate both are shares of decided, so that net is never above gross.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.month_start IS 'First day of the month of the MQLs, in settings.time_zone.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.policy IS 'Name of the promise.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.metric IS 'mql_volume, accepted_volume or acceptance_rate.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.target IS 'What was promised: a number of leads, for acceptance_rate a share, 0 to 1.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.gross IS 'mqls, accepted, or accepted / decided, by the metric; NULL = none decided.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.net IS 'mqls_net, accepted_net, or accepted_net / decided, by the metric; never above gross; NULL = none decided.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.attainment IS 'net / target; 1 = kept to the letter.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.attainment_gross IS 'gross / target.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.team IS 'Who promised.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.policy_id IS 'Version of the promise (sla_policies.id).';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.mqls IS 'MQLs of the month in the segment.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.mqls_net IS 'mqls - upheld.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.accepted IS 'MQLs that entered category sales, won or lost in that cycle.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.accepted_net IS 'Number of those that were not rejected afterwards with a review that upheld it.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.rejected IS 'MQLs that were rejected and never accepted, and are not back with sales (overturned, or for another rep).';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.nurtured IS 'MQLs that sales sent to nurture and had neither accepted nor rejected.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.decided IS 'accepted + rejected + nurtured.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.decided_net IS 'Number of those that are not upheld; no rate goes by it.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.undecided IS 'mqls - decided: with marketing still, or again, or with sales.';
COMMENT ON COLUMN leadflow.marketing_sla_monthly.upheld IS 'MQLs of which a review upheld a rejection, and which sales did not accept afterwards.';

CREATE OR REPLACE VIEW leadflow.marketing_sla_daily WITH (security_invoker = true) AS
SELECT
	w.day,
	w.policy,
	w.metric,
	w.target,
	w.target_to_date,
	w.gross_to_date,
	w.net_to_date,
	w.net_to_date - w.target_to_date AS gap,
	w.gross,
	w.net,
	w.is_working_day,
	w.working_days_to_date,
	w.working_days,
	k.name AS calendar,
	w.team,
	w.policy_id,
	w.month_start
FROM (
	SELECT
		e.*,
		count(*) FILTER (WHERE e.is_working_day) OVER so_far AS working_days_to_date,
		count(*) FILTER (WHERE e.is_working_day) OVER whole AS working_days,
		-- in a month without a working day every day is one
		e.target * CASE
			WHEN bool_or(e.is_working_day) OVER whole THEN
				count(*) FILTER (WHERE e.is_working_day) OVER so_far / (count(*) FILTER (WHERE e.is_working_day) OVER whole)::double precision
			ELSE count(*) OVER so_far / (count(*) OVER whole)::double precision
		END AS target_to_date,
		CASE WHEN NOT e.is_ahead THEN (sum(e.gross) OVER so_far)::bigint END AS gross_to_date,
		CASE WHEN NOT e.is_ahead THEN (sum(e.net) OVER so_far)::bigint END AS net_to_date
	FROM (
		SELECT
			x.day::date AS day,
			p.policy,
			p.metric,
			p.target,
			p.team,
			p.policy_id,
			p.month_start,
			p.calendar_id,
			x.day > leadflow.now() AT TIME ZONE g.time_zone AS is_ahead,
			CASE WHEN x.day <= leadflow.now() AT TIME ZONE g.time_zone THEN
				coalesce(CASE p.metric WHEN 'mql_volume' THEN d.mqls ELSE d.accepted END, 0) END AS gross,
			CASE WHEN x.day <= leadflow.now() AT TIME ZONE g.time_zone THEN
				coalesce(CASE p.metric WHEN 'mql_volume' THEN d.mqls - d.upheld ELSE d.accepted - d.accepted_upheld END, 0) END AS net,
			CASE
				WHEN p.calendar_id IS NULL THEN true
				WHEN EXISTS (SELECT FROM leadflow.calendar_holidays f WHERE f.calendar_id = p.calendar_id AND f.day = x.day::date)
					THEN EXISTS (SELECT FROM leadflow.calendar_holidays f
						WHERE f.calendar_id = p.calendar_id AND f.day = x.day::date AND f.opens IS NOT NULL)
				ELSE EXISTS (SELECT FROM leadflow.calendar_hours f
					WHERE f.calendar_id = p.calendar_id AND f.weekday = extract(isodow FROM x.day))
			END AS is_working_day
		FROM leadflow._marketing_promises p
		CROSS JOIN leadflow.settings g
		CROSS JOIN LATERAL generate_series(p.month_start::timestamp,
			p.month_start::timestamp + interval '1 month' - interval '1 day', interval '1 day') x (day)
		-- the month besides, so that who asks for one counts no other
		LEFT JOIN leadflow._marketing_days d ON d.policy_id = p.policy_id AND d.day = x.day::date AND d.month_start = p.month_start
		WHERE p.metric IN ('mql_volume', 'accepted_volume')
	) e
	WINDOW
		whole AS (PARTITION BY e.policy_id, e.month_start),
		so_far AS (PARTITION BY e.policy_id, e.month_start ORDER BY e.day)
) w
LEFT JOIN leadflow.calendars k ON k.id = w.calendar_id;
COMMENT ON VIEW leadflow.marketing_sla_daily IS 'One row a day and promise of mql_volume or accepted_volume (key: day, policy), every day of the months of marketing_sla_monthly, those ahead too: where the month should be by the end of the day, by working days, and where it is. The last day of a month says what marketing_sla_monthly says.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.day IS 'Day, in settings.time_zone.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.policy IS 'Name of the promise.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.metric IS 'mql_volume or accepted_volume.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.target IS 'Leads promised for the month.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.target_to_date IS 'target x working_days_to_date / working_days: what is due by the end of the day.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.gross_to_date IS 'Leads from the first of the month to the end of the day, counted as marketing_sla_monthly.gross; NULL = the day is ahead.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.net_to_date IS 'Those of them that are not upheld, as marketing_sla_monthly.net; NULL = the day is ahead.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.gap IS 'net_to_date - target_to_date: negative = behind; NULL = the day is ahead.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.gross IS 'Leads of that day; NULL = it is ahead.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.net IS 'Those of them that are not upheld; NULL = it is ahead.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.is_working_day IS 'The promise''s calendar has hours on that day; every day has for a promise without a calendar.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.working_days_to_date IS 'Working days from the first of the month to that day.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.working_days IS 'Working days of the month; 0 = none, then target_to_date goes by all days.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.calendar IS 'Name of the promise''s calendar; NULL = none.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.team IS 'Who promised.';
COMMENT ON COLUMN leadflow.marketing_sla_daily.policy_id IS 'Version of the promise (sla_policies.id).';
COMMENT ON COLUMN leadflow.marketing_sla_daily.month_start IS 'First day of its month.';
