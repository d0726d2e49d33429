-- What a backtest costs: a year of a million activities of a hundred thousand leads, a model of
-- 50 rules, 25 of them with a jsonpath, 10 with a limit, beside a rescore of the same data and the
-- cheapest thing that reads it all.
--
--	psql -X -q -f test/bench/backtest.sql
--
-- CPU seconds of this backend: a machine that others use as well gives wall-clock times that mean little.
-- psql variables: activities, leads.
\set ON_ERROR_STOP on
\if :{?activities}
\else
	\set activities 1000000
\endif
\if :{?leads}
\else
	\set leads 100000
\endif
\pset footer off
SET client_min_messages = warning;
CREATE SCHEMA bench;

-- Clock ticks of CPU that this backend has used, 100 a second on Linux.
CREATE FUNCTION bench.cpu() RETURNS double precision LANGUAGE sql AS
	$$ SELECT (f[14]::double precision + f[15]::double precision) / 100 FROM string_to_array(pg_read_file('/proc/self/stat'), ' ') f $$;
CREATE FUNCTION bench.hash(i bigint, salt integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT b.h # (b.h >> 13)
	FROM (SELECT (i * 1597334677 + salt * 40503) % 4294967296 AS h) a,
		LATERAL (SELECT ((a.h # (a.h >> 15)) * 1103515245) % 4294967296 AS h) b
$$;

DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.activity_kinds (kind, role) SELECT 'kind_' || i, 'engagement' FROM generate_series(1, 20) i;
-- A threshold out of reach: the gate is asked every time, and nobody moves.
INSERT INTO leadflow.scoring_models (name, mql_threshold, max_score) VALUES ('bench', 1e9, 1e9) RETURNING id AS model \gset
INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
VALUES (:model, '1', 'engagement', -1e9, 1e9, '30 days'), (:model, '2', 'engagement', -1e9, 1e9, '7 days'),
	(:model, '3', 'engagement', -1e9, 1e9, NULL);
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per)
SELECT :model, g.id, 'rule ' || i, 'kind_' || 1 + (i - 1) % 20,
	CASE WHEN (i + i / 20) % 2 = 1 THEN (ARRAY['$.properties.n >= ' || i, '$.properties.plan == "pro"',
		'$.content starts with "/page/1"'])[1 + i % 3]::jsonpath END,
	1 + i % 10,
	CASE WHEN i % 5 = 0 THEN 1 + i % 3 END,
	CASE WHEN i % 10 = 0 THEN 'week' END,
	CASE WHEN i % 15 = 0 THEN '$.content'::jsonpath END
FROM generate_series(1, 50) i
JOIN leadflow.scoring_groups g ON g.model_id = :model AND g.name = (1 + i % 3)::text;

INSERT INTO leadflow.leads (email, full_name, company, created_at)
SELECT 'lead' || i || '@example.com', 'Lead ' || i, 'Company ' || i % 1000, '2023-12-31 00:00+00'
FROM generate_series(1, :leads) i;
-- In the order in which they happened; scored by the rescore below.
SET session_replication_role = replica;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
SELECT 1 + bench.hash(i, 1) % :leads, timestamptz '2024-01-01 00:00+00' + i * (interval '31536000 seconds' / :activities),
	md5('activity ' || i)::uuid, 'kind_' || 1 + bench.hash(i, 2) % 20, '/page/' || bench.hash(i, 3) % 200,
	jsonb_build_object('n', bench.hash(i, 4) % 100, 'plan', (ARRAY['free', 'pro', 'team'])[1 + bench.hash(i, 5) % 3])
FROM generate_series(1, :activities) i;
RESET session_replication_role;
\i test/fixtures/thaw.sql
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = :model;
VACUUM (FREEZE, ANALYZE);

-- Each once to warm up (caches, hint bits), then measured.
CREATE TABLE bench.result (what text, rows bigint, cpu double precision);
CREATE PROCEDURE bench.measure(what text, query text) LANGUAGE plpgsql AS $$
DECLARE
	start double precision;
	n bigint;
BEGIN
	EXECUTE query INTO n;
	start := bench.cpu();
	EXECUTE query INTO n;
	INSERT INTO bench.result VALUES (what, n, bench.cpu() - start);
END $$;
SET max_parallel_workers_per_gather = 0;
CALL bench.measure('count by lead', 'SELECT count(*) FROM (SELECT lead_id, count(*) FROM leadflow.activities GROUP BY lead_id) g');
CALL bench.measure('rescore', 'SELECT leadflow.rescore()');
CALL bench.measure('backtest, nobody passes', format('SELECT coalesce(sum(mqls), 0) FROM leadflow.backtest(%s, ''2024-01-01'', ''2025-01-01'')', :model));
CALL bench.measure('rule_performance', format('SELECT sum(leads) FROM leadflow.rule_performance(%s)', :model));
-- A candidate that half of the leads pass at some time.
INSERT INTO leadflow.scoring_models (name, mql_threshold, max_score) VALUES ('candidate', 40, 1e9) RETURNING id AS candidate \gset
INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
SELECT :candidate, name, axis, min_points, max_points, half_life FROM leadflow.scoring_groups WHERE model_id = :model ORDER BY id;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per)
SELECT :candidate, n.id, r.name, r.activity_kind, r.condition, r.points, r.max_count, r.per, r.once_per
FROM leadflow.scoring_rules r
JOIN leadflow.scoring_groups o ON o.id = r.group_id
JOIN leadflow.scoring_groups n ON n.model_id = :candidate AND n.name = o.name
WHERE r.model_id = :model ORDER BY r.id;
CALL bench.measure('backtest', format('SELECT sum(mqls) FROM leadflow.backtest(%s, ''2024-01-01'', ''2025-01-01'')', :candidate));

SELECT what, rows, round(cpu::numeric, 2) AS cpu_seconds,
	round((cpu / (SELECT cpu FROM bench.result WHERE what = 'count by lead'))::numeric, 1) AS "× count by lead",
	round((cpu / (SELECT cpu FROM bench.result WHERE what = 'rescore'))::numeric, 2) AS "× rescore"
FROM bench.result;
