--
-- What the sweep and the clocks cost: a million running clocks, nothing due and 100,000
-- due; one move with promises and without.
--
--	psql -X -q -f test/bench/sla.sql
--
-- Everything happens in one transaction that is rolled back.
--
\set ON_ERROR_STOP on
\set leads 1000000
\set due 100000
\set moves 2000
\pset footer off
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL leadflow.clock = '2026-06-01 00:00+00';
INSERT INTO leadflow.sla_policies (id, name, metric, target, warn_fraction, valid)
VALUES (-1, 'bench', 'time_to_first_touch', '4 hours', 0.75, '[1990-01-01,1990-01-02)');

-- Clocks as a million hand-offs would leave them, the oldest due first; made without the engine, which is not what is measured.
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.score_state (lead_id) SELECT -i FROM generate_series(1, :leads) i;
INSERT INTO leadflow.sla_clocks (lead_id, policy_id, metric, state, started_at, warn_at, due_at, target, counted_from)
SELECT -i, -1, 'time_to_first_touch', 'running', t.at, t.at + interval '3 hours', t.at + interval '4 hours', interval '4 hours', t.at
FROM generate_series(1, :leads) i,
	LATERAL (SELECT timestamptz '2026-06-01 00:00+00'
		+ CASE WHEN i <= :due THEN 0 ELSE 10 END * interval '1 day' + i * interval '1 ms' AS at) t;
SET LOCAL session_replication_role = origin;
ANALYZE leadflow.sla_clocks, leadflow.score_state;

CREATE FUNCTION pg_temp.sweep(at timestamptz, OUT announced bigint, OUT ms numeric) LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz;
BEGIN
	start := clock_timestamp();
	SELECT s.warned + s.breached INTO announced FROM leadflow.check_sla(at) s;
	ms := round((extract(epoch FROM clock_timestamp() - start) * 1000)::numeric, 2);
END $$;
-- plans and caches
SELECT * FROM pg_temp.sweep('2026-06-01 00:00+00') \g /dev/null

SELECT 'sweep, 1M clocks, nothing due' AS what, announced AS clocks, ms, NULL::integer AS per_second FROM pg_temp.sweep('2026-06-01 00:00+00')
UNION ALL
SELECT 'sweep, 100k warnings', announced, ms, (announced * 1000 / ms)::integer FROM pg_temp.sweep('2026-06-01 03:30+00')
UNION ALL
SELECT 'sweep, 100k breaches', announced, ms, (announced * 1000 / ms)::integer FROM pg_temp.sweep('2026-06-02 00:00+00');

-- One move at a time: hand-off and decision.
CREATE FUNCTION pg_temp.moves(n integer, OUT handoff_us numeric, OUT decision_us numeric) LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[];
	i bigint;
	start timestamptz;
BEGIN
	WITH made AS (
		INSERT INTO leadflow.leads (email, full_name, company, job_title, owner_id)
		SELECT 'bench' || k || '@bench.example', 'Bench ' || k, 'Bench', 'Director', NULL FROM generate_series(1, n) k
		RETURNING id)
	SELECT array_agg(id) INTO ids FROM made;
	UPDATE leadflow.leads SET stage = 'mql' WHERE id = ANY (ids);
	start := clock_timestamp();
	FOREACH i IN ARRAY ids LOOP
		UPDATE leadflow.leads SET stage = 'sql' WHERE id = i;
	END LOOP;
	handoff_us := round((extract(epoch FROM clock_timestamp() - start) * 1e6 / n)::numeric, 1);
	start := clock_timestamp();
	FOREACH i IN ARRAY ids LOOP
		UPDATE leadflow.leads SET stage = 'accepted' WHERE id = i;
	END LOOP;
	decision_us := round((extract(epoch FROM clock_timestamp() - start) * 1e6 / n)::numeric, 1);
END $$;
UPDATE leadflow.sla_policies SET valid = '[1990-01-01,1990-01-02)';
SELECT * FROM pg_temp.moves(:moves) \g /dev/null
SELECT 'moves, no promise holds' AS what, * FROM pg_temp.moves(:moves);
UPDATE leadflow.sla_policies SET valid = DEFAULT;
SELECT * FROM pg_temp.moves(:moves) \g /dev/null
SELECT 'moves, two clocks each' AS what, * FROM pg_temp.moves(:moves);
UPDATE leadflow.sla_policies SET condition = '$.job_title like_regex "director" flag "i"';
SELECT 'moves, two clocks each, conditions' AS what, * FROM pg_temp.moves(:moves);
ROLLBACK;
