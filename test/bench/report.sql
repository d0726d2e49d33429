-- The tables that test/bench/run prints of one part's measurements (psql variable part) in
-- bench_results (id, part, what, relation, round, metric, value).
SET client_min_messages = warning;

CREATE OR REPLACE TEMP VIEW variants AS
SELECT * FROM (VALUES
	(1, 'bench_fk', '(a) the table, its primary key, a foreign key to leads'),
	(2, 'leadflow', '**leadflow**'),
	(3, 'leadflow_unlimited', '**leadflow**, no rule has a limit'),
	(4, 'bench_row', '(b) (a) and a PL/pgSQL row trigger'),
	(5, 'bench_stmt', '(c) (a) and a set-based PL/pgSQL statement trigger'),
	(6, 'bench_plain', 'the table and its primary key alone'),
	(7, 'count', 'count(*) by lead, from the index alone'),
	(7.5, 'count_rows', 'count(kind) by lead, from the rows'),
	(8, 'count_properties', 'count(*) by lead with a look into properties'),
	(9, 'rescore', '**rescore()**'),
	(10, 'bench', '10 of 50 rules'),
	(11, 'bench_unlimited', 'none'),
	(13, 'clients_1', '1'),
	(14, 'clients_8', '8'),
	(12, 'activate', '**activate_model()**, two clients inserting')) v (position, relation, label);

-- What was measured, in the order of the first round.
CREATE OR REPLACE TEMP VIEW cases AS
SELECT what, regexp_replace(what, '(\d)(?=(\d{3})+(?!\d))', '\1,', 'g') AS title, relation, label, position,
	min(min(r.id)) OVER (PARTITION BY what) AS first
FROM bench_results r
JOIN variants USING (relation)
WHERE part = current_setting('bench.part')
GROUP BY what, relation, label, position;

CREATE OR REPLACE FUNCTION pg_temp.middle(v double precision[], format text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE count(*)
		WHEN 0 THEN NULL
		WHEN 1 THEN to_char(min(x), format)
		ELSE to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY x), format) || ' (' || to_char(min(x), format) || '–' || to_char(max(x), format) || ')'
		END
	FROM unnest(v) x
$$;

CREATE OR REPLACE FUNCTION pg_temp.figure(what text, relation text, metric text, format text, scale double precision DEFAULT 1)
RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.middle(array_agg(r.value * $5), $4)
	FROM bench_results r
	WHERE r.part = current_setting('bench.part') AND r.what = $1 AND r.relation = $2 AND r.metric = $3
$$;

-- Ratios are taken within a round, so that a slow minute of the machine hits both sides.
CREATE OR REPLACE FUNCTION pg_temp.times(what text, relation text, metric text, base text DEFAULT 'bench_fk')
RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.middle(array_agg(r.value / nullif(b.value, 0)) FILTER (WHERE b.value <> 0), 'FM9990.00')
	FROM bench_results r
	JOIN bench_results b USING (part, what, round, metric)
	WHERE r.part = current_setting('bench.part') AND r.what = $1 AND r.relation = $2 AND r.metric = $3 AND b.relation = $4
$$;

SELECT set_config('bench.part', :'part', false) \g /dev/null
SELECT :'part' = 'copy' AS copy, :'part' = 'single' AS single, :'part' = 'together' AS together, :'part' = 'hot' AS hot,
	:'part' = 'memory' AS memory, :'part' = 'rescore' AS rescore, :'part' = 'activate' AS activate,
	:'part' = 'outbox' AS outbox \gset

\if :copy
SELECT title AS "COPY of", label AS "table", pg_temp.figure(what, relation, 'cpu', 'FM9990.00') AS "CPU seconds, median (min–max)",
	pg_temp.times(what, relation, 'cpu') AS "× (a)", pg_temp.times(what, relation, 'cpu', 'bench_row') AS "× (b)",
	pg_temp.figure(what, relation, 'rows', 'FM999,999,999') AS "rows a CPU second"
FROM cases ORDER BY first, position;
\endif

\if :single
SELECT label AS "a row a transaction", pg_temp.figure(what, relation, 'instructions', 'FM999,999,999') AS "instructions a row",
	pg_temp.times(what, relation, 'instructions') AS "× (a)",
	pg_temp.figure(what, relation, 'cpu', 'FM9990.0') AS "CPU µs a row, median (min–max)", pg_temp.times(what, relation, 'cpu') AS "× (a)"
FROM cases ORDER BY position;
\endif

\if :together
SELECT title AS "8 clients", label AS "table", pg_temp.figure(what, relation, 'tps', 'FM999,990') AS "transactions/s, median (min–max)",
	pg_temp.times(what, relation, 'tps') AS "× (a)", pg_temp.figure(what, relation, 'failed', 'FM990.0') AS "failed, %",
	pg_temp.figure(what, relation, 'deadlocks', 'FM999,990') AS "deadlocks",
	pg_temp.figure(what, relation, 'serialization', 'FM999,990') AS "serialization failures"
FROM cases ORDER BY first, position;
\endif

\if :hot
SELECT title AS "activities that the lead has", label AS "table", pg_temp.figure(what, relation, 'cpu', 'FM999,990.0') AS "CPU µs a row, median (min–max)",
	pg_temp.times(what, relation, 'cpu') AS "× (a)"
FROM cases ORDER BY first, position;
\endif

\if :memory
SELECT title AS "COPY of", label AS "table", pg_temp.figure(what, relation, 'peak', 'FM999,990.0', 2 ^ -20) AS "peak, MB",
	CASE WHEN leads = max(leads) OVER () THEN pg_temp.figure(what, relation, 'peak', 'FM999,999,990', 1.0 / leads) END AS "bytes a lead",
	pg_temp.figure(what, relation, 'held', 'FM999,999,990', 1.0 / leads) AS "kept until the end, bytes a lead"
FROM cases, LATERAL (SELECT substring(what FROM 'over (\d+)')::integer AS leads) l
ORDER BY first, position;

SELECT set_config('bench.part', 'state', false) \g /dev/null
SELECT title AS "state of a lead with", label AS "rules with a limit", pg_temp.figure(what, relation, 'row', 'FM999,990') AS "bytes a row",
	pg_temp.figure(what, relation, 'row_max', 'FM999,990') AS "at most", pg_temp.figure(what, relation, 'table', 'FM999,990') AS "bytes of table a lead"
FROM cases ORDER BY first, position;
\endif

\if :rescore
SELECT title AS "all leads", label AS "what", pg_temp.figure(what, relation, 'cpu', 'FM9990.00') AS "CPU seconds, median (min–max)",
	pg_temp.times(what, relation, 'cpu', 'count') AS "× count(*)",
	pg_temp.times(what, relation, 'cpu', 'count_rows') AS "× from the rows",
	pg_temp.times(what, relation, 'cpu', 'count_properties') AS "× with properties",
	pg_temp.figure(what, relation, 'elapsed', 'FM9990.00') AS "seconds"
FROM cases ORDER BY first, position;
\endif

\if :activate
SELECT title AS "all leads", label AS "what", pg_temp.figure(what, relation, 'elapsed', 'FM9990.00') AS "seconds, median (min–max)",
	pg_temp.figure(what, relation, 'longest', 'FM9990.00') AS "an insert took at most, s",
	pg_temp.figure(what, relation, 'transactions', 'FM999,999,990') AS "inserts meanwhile"
FROM cases ORDER BY first, position;
\endif

\if :outbox
SELECT title AS "notifications claimed, sent nowhere and acknowledged", label AS "consumers",
	pg_temp.figure(what, relation, 'rate', 'FM999,999,990') AS "a second, median (min–max)"
FROM cases ORDER BY first, position;
\endif
