-- What a DBA should know before the users do.

CREATE OR REPLACE VIEW leadflow.health WITH (security_invoker = true) AS
WITH defined AS (
	-- What install() makes: its tables, views and triggers, by name.
	SELECT m[1] AS relation, NULL::text AS trigger
	FROM leadflow._source() s,
		regexp_matches(s.ddl, '^CREATE (?:OR REPLACE )?(?:TABLE|VIEW) (?:IF NOT EXISTS )?leadflow\.(\w+)', 'gn') m
	UNION ALL
	SELECT m[2], m[1]
	FROM leadflow._source() s,
		regexp_matches(s.ddl, 'CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER (\w+)\s[^;]*\sON leadflow\.(\w+)', 'g') m
), present AS (
	SELECT c.oid, c.relname AS relation, c.relkind, c.relowner, c.relforcerowsecurity
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'leadflow' AND c.relkind IN ('r', 'p', 'v')
), triggers AS (
	SELECT d.relation, d.trigger, t.tgenabled
	FROM defined d
	JOIN present p ON p.relation = d.relation
	LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = p.oid AND t.tgname = d.trigger
	WHERE d.trigger IS NOT NULL
), activity_tables AS (
	SELECT n.nspname, c.relname, c.reltuples
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.oid = 'leadflow.activities'::regclass
		OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree('leadflow.activities'::regclass) t)
), activity_volume AS (
	-- A small table is read, of a large one the planner's statistics are.
	SELECT coalesce(sum(t.reltuples) FILTER (WHERE t.reltuples > 0), 0) > 1000000 AS large
	FROM activity_tables t
), unmapped AS MATERIALIZED (
	SELECT k.large, CASE
		WHEN k.large THEN EXISTS (
			SELECT
			FROM activity_tables t
			JOIN pg_catalog.pg_stats s ON s.schemaname = t.nspname AND s.tablename = t.relname AND s.attname = 'kind'
			CROSS JOIN LATERAL unnest(s.most_common_vals::text::text[]) v
			WHERE v NOT IN (SELECT r.kind FROM leadflow.activity_kinds r))
		ELSE EXISTS (
			SELECT
			FROM leadflow.activities a
			WHERE a.voided_at IS NULL AND a.kind NOT IN (SELECT r.kind FROM leadflow.activity_kinds r))
		END AS found
	FROM activity_volume k
), moves AS (
	SELECT count(*) AS moves, count(*) FILTER (WHERE h.team = 'admin') AS by_admin
	FROM leadflow.stages g
	JOIN leadflow.stage_history h ON h.to_stage = g.name
	WHERE h.from_stage IS NOT NULL AND h.entered_at > leadflow.now() - interval '720 hours'
), late AS (
	-- What was not announced, and what was, but has had no consequence; to be reassigned may have to wait for
	-- somebody to be there.
	SELECT count(*) AS clocks, count(*) FILTER (WHERE k.breached_at IS NULL) AS untold, min(k.due_at) AS since
	FROM (
		SELECT c.due_at, c.breached_at
		FROM leadflow.sla_clocks c
		WHERE c.breached_at IS NULL AND c.state IN ('running', 'warning', 'paused', 'breached')
			AND c.due_at < leadflow.now() - interval '5 minutes'
		UNION ALL
		SELECT c.due_at, c.breached_at
		FROM leadflow.sla_clocks c
		WHERE c.breached_at < leadflow.now() - interval '5 minutes' AND c.escalated_at IS NULL AND c.stopped_at IS NULL
			AND c.due_at < leadflow.now() - interval '5 minutes'
			AND NOT EXISTS (SELECT FROM leadflow.sla_policies p WHERE p.id = c.policy_id AND p.on_breach = 'reassign')
	) k
), outbox AS (
	-- The oldest by id is the oldest but for a transaction's length, and what is counted is bounded.
	SELECT
		(SELECT count(*) FROM (SELECT FROM leadflow.notifications n
			WHERE n.delivered_at IS NULL AND n.dead_at IS NULL LIMIT 100000) p) AS pending,
		(SELECT n.created_at FROM leadflow.notifications n
			WHERE n.delivered_at IS NULL AND n.dead_at IS NULL ORDER BY n.id LIMIT 1) AS since,
		(SELECT count(*) FROM leadflow.notifications n WHERE n.dead_at IS NOT NULL) AS dead
)
SELECT
	'extension'::text AS check_name,
	CASE WHEN v.default_version <> e.extversion THEN 'warning' ELSE 'ok' END AS status,
	CASE WHEN v.default_version <> e.extversion THEN 1 ELSE 0 END::double precision AS value,
	CASE WHEN v.default_version <> e.extversion
		THEN format('version %s is installed, %s is available: ALTER EXTENSION leadflow UPDATE',
			e.extversion, v.default_version)
		ELSE 'version ' || e.extversion END AS detail
FROM pg_catalog.pg_extension e
LEFT JOIN pg_catalog.pg_available_extensions v ON v.name = e.extname
WHERE e.extname = 'leadflow'
UNION ALL
SELECT
	'missing_relations',
	CASE WHEN count(*) = 0 THEN 'ok' ELSE 'error' END,
	count(*),
	CASE WHEN count(*) = 0 THEN 'every table and view is there'
		ELSE string_agg(d.relation, ', ' ORDER BY d.relation) || ': SELECT * FROM leadflow.install()' END
FROM defined d
WHERE d.trigger IS NULL AND NOT EXISTS (SELECT FROM present p WHERE p.relation = d.relation)
UNION ALL
SELECT
	'missing_triggers',
	CASE WHEN count(*) = 0 THEN 'ok' ELSE 'error' END,
	count(*),
	CASE WHEN count(*) = 0 THEN 'every trigger is there'
		ELSE string_agg(t.trigger || ' on ' || t.relation, ', ' ORDER BY t.relation, t.trigger)
			|| ': SELECT * FROM leadflow.install()' END
FROM triggers t
WHERE t.tgenabled IS NULL
UNION ALL
SELECT
	'disabled_triggers',
	CASE WHEN count(*) = 0 THEN 'ok' ELSE 'error' END,
	count(*),
	CASE WHEN count(*) = 0 THEN 'every trigger is enabled'
		ELSE string_agg(t.trigger || ' on ' || t.relation, ', ' ORDER BY t.relation, t.trigger)
			|| ': ALTER TABLE ... ENABLE TRIGGER, then SELECT * FROM leadflow.reconcile()' END
FROM triggers t
WHERE t.tgenabled IN ('D', 'R')
UNION ALL
SELECT
	'forced_row_security',
	CASE WHEN count(*) = 0 THEN 'ok' ELSE 'error' END,
	count(*),
	CASE WHEN count(*) = 0 THEN 'the engine sees every row'
		ELSE string_agg(p.relation, ', ' ORDER BY p.relation)
			|| ': FORCE ROW LEVEL SECURITY hides rows from the engine, which runs as the owner' END
FROM present p
WHERE p.relforcerowsecurity AND p.relation IN (SELECT d.relation FROM defined d)
UNION ALL
SELECT
	'other_owners',
	CASE WHEN count(*) = 0 THEN 'ok' ELSE 'error' END,
	count(*),
	CASE WHEN count(*) = 0 THEN 'the tables have one owner'
		ELSE string_agg(p.relation, ', ' ORDER BY p.relation)
			|| ': not owned by the owner of leads, as whom the engine runs' END
FROM present p
WHERE p.relkind <> 'v' AND p.relation IN (SELECT d.relation FROM defined d)
	AND p.relowner <> (SELECT l.relowner FROM present l WHERE l.relation = 'leads')
UNION ALL
SELECT
	'active_model',
	CASE WHEN count(*) = 1 THEN 'ok' ELSE 'error' END,
	count(*),
	CASE WHEN count(*) = 1 THEN min(m.name) || ' version ' || min(m.version)
		ELSE 'no scoring model is active: nothing scores' END
FROM leadflow.scoring_models m
WHERE m.status = 'active'
UNION ALL
SELECT
	'default_attribution_model',
	CASE WHEN m.active AND m.kind NOT IN ('markov', 'shapley') THEN 'ok' ELSE 'warning' END,
	CASE WHEN m.active AND m.kind NOT IN ('markov', 'shapley') THEN 1 ELSE 0 END,
	CASE WHEN m.active AND m.kind NOT IN ('markov', 'shapley') THEN m.name
		ELSE format('%s has no credits: campaign_revenue is empty', g.default_attribution_model) END
FROM leadflow.settings g
LEFT JOIN leadflow.attribution_models m ON m.name = g.default_attribution_model
UNION ALL
SELECT
	'overdue_sweep',
	CASE WHEN l.clocks = 0 THEN 'ok' ELSE 'warning' END,
	l.clocks,
	CASE WHEN l.clocks = 0 THEN 'every breach has been announced'
		ELSE format('clocks due since %s UTC were not %s: does check_sla() run?',
			to_char(l.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
			CASE WHEN l.untold > 0 THEN 'announced' ELSE 'escalated' END) END
FROM late l
UNION ALL
SELECT
	'unmapped_kinds',
	CASE WHEN u.found THEN 'warning' ELSE 'ok' END,
	u.found::integer,
	CASE WHEN u.found THEN 'activities carry kinds that activity_kinds does not name: see unmapped_activity_kinds'
		WHEN u.large THEN 'none among the kinds that the planner''s statistics name'
		ELSE 'every kind is registered' END
FROM unmapped u
UNION ALL
SELECT
	'admin_moves',
	CASE WHEN m.by_admin > 0.05 * m.moves THEN 'warning' ELSE 'ok' END,
	coalesce(m.by_admin / nullif(m.moves, 0)::double precision, 0),
	format('%s of %s moves of the last 30 days were made without an actor', m.by_admin, m.moves)
FROM moves m
UNION ALL
SELECT
	'outbox_backlog',
	CASE WHEN o.since < leadflow.now() - interval '15 minutes' THEN 'warning' ELSE 'ok' END,
	o.pending,
	CASE WHEN o.since < leadflow.now() - interval '15 minutes'
		THEN format('%s notifications wait to be delivered, the oldest since %s UTC: does a consumer run?',
			CASE WHEN o.pending = 100000 THEN 'at least ' ELSE '' END || o.pending,
			to_char(o.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'))
		ELSE 'no notification has waited for more than 15 minutes' END
FROM outbox o
UNION ALL
SELECT
	'dead_notifications',
	CASE WHEN o.dead > 0 THEN 'warning' ELSE 'ok' END,
	o.dead,
	CASE WHEN o.dead > 0 THEN 'notifications were given up: see dead_notifications, then SELECT leadflow.retry_notifications()'
		ELSE 'every notification was delivered or still will be' END
FROM outbox o
UNION ALL
SELECT
	'recreated_leads',
	CASE WHEN count(*) = 0 THEN 'ok' ELSE 'warning' END,
	count(*),
	CASE WHEN count(*) = 0 THEN 'nobody who was erased is back'
		ELSE 'erased and there again, by their keys: ' || string_agg(r.recreated_as::text, ', ' ORDER BY r.recreated_as)
			FILTER (WHERE r.latest <= 10) || CASE WHEN count(*) > 10 THEN ', ...' ELSE '' END || '; may they be?' END
FROM (
	SELECT e.recreated_as, row_number() OVER (ORDER BY e.recreated_at DESC, e.lead_id) AS latest
	FROM leadflow.erased_leads e
	JOIN leadflow.leads l ON l.id = e.recreated_as
) r;
COMMENT ON VIEW leadflow.health IS 'One row a check (key: check_name) for the monitoring: is leadflow whole, and is it being run? Cheap; whether the kept figures are right is verify()''s to say.';
COMMENT ON COLUMN leadflow.health.check_name IS 'Name of the check.';
COMMENT ON COLUMN leadflow.health.status IS 'ok, warning or error.';
COMMENT ON COLUMN leadflow.health.value IS 'Number of what was found (active_model: active models; admin_moves: share of the moves of the last 30 days, 0 to 1; outbox_backlog: notifications that wait, 100000 at most).';
COMMENT ON COLUMN leadflow.health.detail IS 'What was found, and what to do about it, in words.';
