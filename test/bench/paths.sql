--
-- What data-driven attribution costs.
--
--	psql -X -q [-v paths=1000000] -f test/bench/paths.sql
--
-- Each path is a row of its own, of 3 to 9 of 10 channels; at order 3 that makes about 1,100
-- states. One backend, no workers. Queries take turns; the first round only warms up. A scan
-- that counts the rows is the floor. Memory is the most that the backend had (VmHWM), the pages
-- of shared buffers that it touched included.
--
\set ON_ERROR_STOP on
\pset footer off
\pset format unaligned
\if :{?paths}
\else
\set paths 1000000
\endif
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET client_min_messages = warning;

SELECT setseed(0.3) \g /dev/null
CREATE TEMP TABLE bench_paths AS
SELECT ARRAY(SELECT 'channel ' || floor(power(random(), 1.5) * 10)::int FROM generate_series(1, 3 + i % 7)) AS path,
	CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END::float8 AS conversions, CASE WHEN i % 10 = 0 THEN i % 1000 ELSE 0 END::float8 AS value,
	CASE WHEN i % 10 = 0 THEN 0 ELSE 1 END::float8 AS nulls
FROM generate_series(1, :paths) i;
-- every step is seen that there is, and little else: what is left is solving
CREATE TEMP TABLE bench_chain AS
SELECT ARRAY['channel ' || a, 'channel ' || b, 'channel ' || c, 'channel ' || d] AS path, (a + d) % 2 AS conversions, 1.0 AS value, 1 AS nulls
FROM generate_series(0, 9) a, generate_series(0, 9) b, generate_series(0, 9) c, generate_series(0, 9) d;
CREATE TEMP TABLE bench_channels AS
SELECT ARRAY['channel ' || i % 1000, 'channel ' || (i * 7919 + i / 1000 * 31) % 1000, 'channel ' || (i * 104729 + i / 1000) % 1000] AS path,
	i % 2 AS conversions, 1.0 AS value, 1 AS nulls
FROM generate_series(1, 50000::bigint) i;
VACUUM ANALYZE bench_paths;

CREATE TEMP TABLE bench_queries (id int GENERATED ALWAYS AS IDENTITY, what text, query text);
INSERT INTO bench_queries (what, query) VALUES
	('scan and count, for comparison', 'SELECT count(path), sum(conversions), sum(value), sum(nulls) FROM bench_paths'),
	('`markov_credits`, order 1', 'SELECT leadflow.markov_credits(path, conversions, value, nulls, 1) FROM bench_paths'),
	('… order 2', 'SELECT leadflow.markov_credits(path, conversions, value, nulls, 2) FROM bench_paths'),
	('… order 3', 'SELECT leadflow.markov_credits(path, conversions, value, nulls, 3) FROM bench_paths'),
	('`shapley_credits`', 'SELECT leadflow.shapley_credits(path, conversions, value, nulls) FROM bench_paths'),
	('10,000 paths: order 3, 10 channels, 1,111 states', 'SELECT leadflow.markov_credits(path, conversions, value, nulls, 3) FROM bench_chain'),
	('50,000 paths: order 1, 1,000 channels', 'SELECT leadflow.markov_credits(path, conversions, value, nulls, 1) FROM bench_channels');

CREATE TEMP TABLE bench_results (id int, round int, seconds float8);
DO $$
DECLARE
	q record;
	began timestamptz;
BEGIN
	FOR round IN 0 .. 3 LOOP
		FOR q IN SELECT * FROM bench_queries b ORDER BY b.id LOOP
			began := clock_timestamp();
			EXECUTE q.query;
			INSERT INTO bench_results SELECT q.id, round, extract(epoch FROM clock_timestamp() - began) WHERE round > 0;
		END LOOP;
	END LOOP;
END $$;

\echo
\echo | :paths paths | seconds, median of three rounds (least–most) |
\echo |---|---|
\t on
SELECT format('| %s | %s (%s–%s) |', q.what, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY r.seconds)::numeric, 3),
	round(min(r.seconds)::numeric, 3), round(max(r.seconds)::numeric, 3))
FROM bench_queries q JOIN bench_results r USING (id) GROUP BY q.id, q.what ORDER BY q.id;
SELECT format(E'\nThe backend had at most %s MB.', (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+)'))[1]::int / 1024);
