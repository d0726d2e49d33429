--
-- What the reports and the SQL surface promise, asked of the catalog. Each query lists
-- what breaks a promise: no rows is what we want.
--

CREATE VIEW public.report AS
SELECT c.oid, c.relname AS report
FROM pg_class c
WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind = 'v' AND NOT starts_with(c.relname, '_');

-- There are some.
SELECT count(*) >= 10 AS has_reports FROM report;

-- Flat scalars only, so that every BI tool can type them. (lead_details is for writing:
-- it has what leads has.)
SELECT report, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
FROM report r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
WHERE a.atttypid <> ALL ('{text,boolean,integer,bigint,numeric,double precision,uuid,date,timestamptz}'::regtype[])
	AND (report, a.attname) NOT IN (('lead_details', 'attributes'))
ORDER BY 1, a.attnum;

-- Row-level security of a site reaches the reports, the internal views too.
SELECT c.relname
FROM pg_class c
WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind = 'v'
	AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false)
ORDER BY 1;

-- Every report says what a row is, every column what it holds.
SELECT report, 'no comment' AS problem FROM report r WHERE obj_description(r.oid, 'pg_class') IS NULL
UNION ALL
SELECT report, 'does not say what a row is' FROM report r WHERE obj_description(r.oid, 'pg_class') !~* '\mone row a'
UNION ALL
SELECT report, a.attname || ': no comment'
FROM report r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
WHERE col_description(r.oid, a.attnum) IS NULL
ORDER BY 1, 2;

-- So does every table.
SELECT c.relname AS table, a.attname AS column
FROM pg_class c
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	AND col_description(c.oid, a.attnum) IS NULL
WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND (a.attname IS NOT NULL OR obj_description(c.oid, 'pg_class') IS NULL)
ORDER BY 1, a.attnum;

-- Names.
SELECT r.report, a.attname
FROM report r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
WHERE r.report !~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$' OR a.attname !~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$'
ORDER BY 1, a.attnum;

-- What has a unit has it in its name: instants end in _at, days in _on or a word for a
-- day, durations in their unit; and what is called so is one.
SELECT r.report, a.attname, format_type(a.atttypid, NULL) AS type
FROM report r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
WHERE CASE
	WHEN a.attname ~ '_(hours|days|minutes|seconds)$'
		THEN a.atttypid NOT IN ('double precision'::regtype, 'numeric'::regtype, 'bigint'::regtype, 'integer'::regtype)
	WHEN a.attname ~ '(^|_)at$' OR a.attname = 'last_seen' THEN a.atttypid <> 'timestamptz'::regtype
	WHEN a.attname ~ '(_on|_start|^day|^month)$' THEN a.atttypid <> 'date'::regtype
	ELSE a.atttypid IN ('timestamptz'::regtype, 'date'::regtype)
		OR a.attname ~ '(^|_)(elapsed|duration|age|overdue|response|took|wait)$'
	END
ORDER BY 1, a.attnum;

-- An id has its name beside it.
SELECT r.report, a.attname
FROM report r
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
WHERE a.attname IN ('campaign_id', 'member_id', 'owner_id') AND r.report <> 'lead_details'
	AND NOT EXISTS (SELECT FROM pg_attribute n
		WHERE n.attrelid = r.oid AND n.attname = left(a.attname, -3) AND n.atttypid = 'text'::regtype)
ORDER BY 1, 2;

-- Months are the site's: neither a report nor what it calls may ask the session's zone.
SELECT report
FROM report r
WHERE pg_get_viewdef(r.oid) ~* 'date_trunc\(' AND pg_get_viewdef(r.oid) !~* 'time_zone'
UNION ALL
SELECT report
FROM report r
WHERE pg_get_viewdef(r.oid) ~* '(current_date|localtimestamp|current_timestamp|[^._]\mnow\(\)|transaction_timestamp|clock_timestamp|timeofday)'
ORDER BY 1;

-- The columns that clients rely on come first, in this spelling and order. What is not
-- there yet is not missing.
CREATE TABLE public.promised (relation text PRIMARY KEY, columns text NOT NULL);
INSERT INTO promised VALUES
	('scoring_groups', 'id, model_id, name, axis, min_points, max_points, half_life'),
	('scoring_rules', 'id, model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per, hand_raise, active'),
	('personas', 'id, model_id, name'),
	('persona_criteria', 'id, persona_id, name, condition, points'),
	('disqualifiers', 'id, model_id, name, on_entity, condition, reason'),
	('lead_scores', 'lead_id, score, fit, engagement, grade, level, rank, band, persona, fit_known, disqualified_reason, mql_ready, mql_blocked_by, falls_below_mql_at, model_id'),
	('stage_history', 'lead_id, entered_at, id, from_stage, to_stage, left_at, actor_id, team, reason, note, score, model_id, persona, grade, cycle, trigger_activity_id'),
	('unmapped_activity_kinds', 'kind, activities, last_seen'),
	('queues', 'id, name'),
	('queue_members', 'queue_id, member_id, weight'),
	('routing_rules', 'id, position, name, condition, queue_id, assignee_id, strategy'),
	('handoffs', 'lead_id, id, offered_at, owner_id, queue, why, decided_at, decision, first_touch_at, touches'),
	('calendars', 'id, name, time_zone'),
	('calendar_hours', 'calendar_id, weekday, opens, closes'),
	('calendar_holidays', 'calendar_id, day, name, opens, closes'),
	('sla_policies', 'id, name, metric, team, target, target_count, target_rate, within, calendar_id, condition, priority, warn_fraction, on_breach, valid'),
	('sla_clocks', 'lead_id, id, policy_id, metric, member_id, state, started_at, due_at, stopped_at'),
	('sla_status', 'lead_id, policy, metric, team, member_id, member, state, started_at, due_at, stopped_at, elapsed_hours, wall_hours, overdue_hours'),
	('sla_attainment_monthly', 'month_start, policy, metric, team, member_id, member, clocks, met, breached, open, attainment, p50_hours, p95_hours'),
	('funnel_monthly', 'month_start, source, campaign_id, campaign, persona, leads, mqls, sqls, accepted, rejected, nurtured, opportunities, won, lost'),
	('attribution_by_campaign', 'model, is_default, month_start, currency, campaign_id, campaign, deals_credited, revenue, cost, roi'),
	('attribution_credits', 'deal_id, model, lead_id, occurred_at, activity_id, campaign_id, weight, credit, currency'),
	('attribution_check', 'model, deal_id, expected, credited'),
	('speed_to_lead', 'lead_id, inquiry_at, mql_at, handed_off_at, first_touch_at, first_contact_at, routing_hours, response_hours, response_business_hours, owner_id, owner, band'),
	('marketing_sla_monthly', 'month_start, policy, metric, target, gross, net, attainment'),
	('lead_board', 'lead_id, full_name, company, stage, score, rank, band, persona, owner_id, owner, responsible_team, next_action, next_due_at, last_engaged_at, last_touch_at'),
	('lead_timeline', 'lead_id, at, what, team, who, detail, points'),
	('explain_score()', 'group_name, source, name, activities, points'),
	('hottest()', 'lead_id, score'),
	('verify()', 'check_name, object_id, kept, recomputed');

-- Tables have them in this order too, but may have others between (an id, say); reports
-- and functions have exactly these first.
WITH present AS (
	SELECT c.relname::text AS relation, c.relkind = 'v' AS exact, a.attname::text AS column, a.attnum AS position
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p', 'v')
	UNION ALL
	SELECT p.proname || '()', true, o.name, o.position
	FROM pg_proc p,
		unnest(p.proargnames, p.proargmodes) WITH ORDINALITY o (name, mode, position)
	WHERE p.pronamespace = 'leadflow'::regnamespace AND o.mode IN ('t', 'o')
), shown AS (
	SELECT p.relation, s.columns,
		string_agg(p.column, ', ' ORDER BY p.position) FILTER (
			WHERE p.exact OR p.column = ANY (string_to_array(s.columns, ', '))) AS present
	FROM promised s
	JOIN present p ON p.relation = s.relation
	GROUP BY 1, 2
)
SELECT relation, columns AS promised, present
FROM shown
WHERE present <> columns AND NOT starts_with(present, columns || ', ')
ORDER BY 1;

-- Every function of the extension says what it does.
CREATE VIEW public.member AS
SELECT p.*
FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'leadflow'
WHERE d.refclassid = 'pg_extension'::regclass;
SELECT p.oid::regprocedure FROM member p
WHERE obj_description(p.oid, 'pg_proc') IS NULL AND NOT starts_with(p.proname, '_')
ORDER BY p.oid::regprocedure::text;

-- No overloads with defaults: calls stay unambiguous when arguments are added.
SELECT p.proname, count(*)
FROM member p
GROUP BY 1
HAVING count(*) > 1 AND max(p.pronargdefaults) > 0
ORDER BY 1;

-- What changes anything is nobody's by default.
SELECT p.oid::regprocedure FROM member p
WHERE p.provolatile = 'v' AND has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY p.oid::regprocedure::text;

-- What resolves names pins the path by which it does.
SELECT p.oid::regprocedure, l.lanname
FROM member p
JOIN pg_language l ON l.oid = p.prolang
WHERE (p.prosecdef OR l.lanname NOT IN ('c', 'internal'))
	AND NOT coalesce(EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c = 'search_path=pg_catalog, pg_temp'), false)
	AND NOT (l.lanname = 'sql' AND NOT p.prosecdef AND p.proconfig IS NULL)
ORDER BY p.oid::regprocedure::text;

-- SQL functions without a pinned path are meant to be inlined; here is who they are.
SELECT p.oid::regprocedure AS inlined
FROM member p
JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'sql'
WHERE NOT p.prosecdef AND p.proconfig IS NULL
ORDER BY p.oid::regprocedure::text;

-- Nothing but functions and types belongs to the extension: data is the database's.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'leadflow'
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	AND d.classid NOT IN ('pg_proc'::regclass, 'pg_type'::regclass)
ORDER BY 1;

-- A reader of every report gets an answer, even where there is nothing to report.
DO $$
DECLARE
	r text;
BEGIN
	FOR r IN SELECT report FROM public.report ORDER BY 1 LOOP
		EXECUTE format('SELECT count(*) FROM (SELECT * FROM leadflow.%I) r', r);
	END LOOP;
END
$$;

DROP TABLE promised;
DROP VIEW report, member;
