--
-- What the sweep and the clocks cost: a million running clocks, nothing due, some due and 100,000
-- due; breaches that are told to a cover and a manager, that reassign leads and that return them; one move with
-- promises and without.
--
--	psql -X -q -f test/bench/sla.sql
--
-- Everything happens in one transaction that is rolled back.
--
\set ON_ERROR_STOP on
\set leads 1000000
\set due 100000
\set moves 2000
\set escalated 2000
\pset footer off
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL leadflow.clock = '2026-06-01 00:00+00';
INSERT INTO leadflow.sla_policies (id, name, metric, target, warn_fraction, valid)
VALUES (-1, 'bench', 'time_to_first_touch', '4 hours', 0.75, '[1990-01-01,1990-01-02)');

-- The session's plans are of the time when there was nothing.
SELECT * FROM leadflow.check_sla('2026-06-01 00:00+00') \g /dev/null

-- Clocks as a million hand-offs would leave them, the oldest due first; made without the engine, which is not what is measured.
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.score_state (lead_id) SELECT -i FROM generate_series(1, :leads) i;
INSERT INTO leadflow.sla_clocks (lead_id, policy_id, metric, state, started_at, warn_at, due_at, target, counted_from)
SELECT -i, -1, 'time_to_first_touch', 'running', t.at, t.at + interval '3 hours', t.at + interval '4 hours', interval '4 hours', t.at
FROM generate_series(1, :leads) i,
	LATERAL (SELECT timestamptz '2026-06-01 00:00+00'
		+ CASE WHEN i <= :due THEN 0 ELSE 10 END * interval '1 day' + i * interval '1 ms' AS at) t;
SET LOCAL session_replication_role = origin;

CREATE FUNCTION pg_temp.sweep(what text, at timestamptz, max_clocks integer DEFAULT 100000)
RETURNS TABLE (sweep text, clocks bigint, escalated bigint, ms numeric, per_second integer) LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz;
BEGIN
	start := clock_timestamp();
	SELECT s.warned + s.breached, s.escalated INTO clocks, escalated FROM leadflow.check_sla(at, max_clocks) s;
	ms := round((extract(epoch FROM clock_timestamp() - start) * 1000)::numeric, 2);
	sweep := what;
	per_second := nullif(greatest(clocks, escalated), 0) * 1000 / ms;
	RETURN NEXT;
END $$;
SELECT * FROM pg_temp.sweep('', '2026-06-01 00:00+00') \g /dev/null

SELECT * FROM pg_temp.sweep('1M clocks, nothing due, plans of an empty table', '2026-06-01 00:00+00');
ANALYZE leadflow.sla_clocks, leadflow.score_state;
SELECT * FROM pg_temp.sweep('', '2026-06-01 00:00+00') \g /dev/null
SELECT * FROM pg_temp.sweep('1M clocks, nothing due', '2026-06-01 00:00+00')
UNION ALL
SELECT * FROM pg_temp.sweep('100k warnings due, 1,000 at most', '2026-06-01 03:30+00', 1000)
UNION ALL
SELECT * FROM pg_temp.sweep('100k warnings due, the rest', '2026-06-01 03:30+00')
UNION ALL
SELECT * FROM pg_temp.sweep('100k breaches due, 1,000 at most', '2026-06-02 00:00+00', 1000)
UNION ALL
SELECT * FROM pg_temp.sweep('100k breaches due, the rest', '2026-06-02 00:00+00');

-- Somebody who is away, with a cover and a manager, lets as many breach: two are told of each.
INSERT INTO leadflow.team_members (id, full_name, email, team, manager_id) VALUES
	(-1, 'Manager', 'manager@bench.example', 'leadership', NULL), (-2, 'Cover', 'cover@bench.example', 'sales', -1), (-3, 'Away', 'away@bench.example', 'sales', -1);
INSERT INTO leadflow.absences (member_id, during, cover_id) VALUES (-3, '[2026-01-01,2027-01-01)', -2);
SET LOCAL session_replication_role = replica;
UPDATE leadflow.sla_clocks SET member_id = -3, state = 'running', warned_at = NULL, breached_at = NULL, escalated_at = NULL WHERE policy_id = -1 AND breached_at IS NOT NULL;
SET LOCAL session_replication_role = origin;
SELECT * FROM pg_temp.sweep('100k breaches, to cover and manager', '2026-06-02 00:00+00');

-- Leads that are reassigned by turns of a queue of ten, and leads that go back.
INSERT INTO leadflow.team_members (id, full_name, email, team) SELECT -100 - i, 'Rep ' || i, 'rep' || i || '@bench.example', 'sales' FROM generate_series(1, 10) i;
UPDATE leadflow.sla_policies SET valid = '[1990-01-01,1990-01-02)';
INSERT INTO leadflow.sla_policies (name, metric, target, on_breach, condition) VALUES
	('bench else', 'time_to_accept', '4 hours', 'reassign', '$.company == "Else"'),
	('bench back', 'time_to_accept', '4 hours', 'return_to_marketing', '$.company == "Back"');
CREATE PROCEDURE pg_temp.hand_over(company text, n integer) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO leadflow.leads (email, full_name, company, job_title)
	SELECT company || k || '@' || company || k || '.example', 'Bench ' || k, hand_over.company, 'Director' FROM generate_series(1, n) k;
	UPDATE leadflow.leads l SET stage = 'mql' WHERE l.company = hand_over.company AND l.stage = 'lead';
	UPDATE leadflow.leads l SET stage = 'sql' WHERE l.company = hand_over.company AND l.stage = 'mql';
END $$;
CALL pg_temp.hand_over('Else', :escalated);
CALL pg_temp.hand_over('Back', :escalated);
SELECT * FROM pg_temp.sweep('2,000 of 4,000 breaches, reassigned and returned', '2026-06-01 04:01+00', :escalated * 2)
UNION ALL
SELECT * FROM pg_temp.sweep('the rest', '2026-06-01 04:01+00')
UNION ALL
SELECT * FROM pg_temp.sweep('nothing due any more', '2026-06-01 04:01+00');
UPDATE leadflow.sla_policies SET valid = '[1990-01-01,1990-01-02)' WHERE name LIKE 'bench %';
UPDATE leadflow.team_members SET active = false WHERE id < 0;

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
INSERT INTO leadflow.sla_policies (id, name, metric, target, valid)
VALUES (-9, 'conversation', 'time_to_first_contact', '8 hours', '[1990-01-01,1990-01-02)');
CREATE TABLE pg_temp.moved (round integer, clocks integer, handoff_us numeric, decision_us numeric);
CREATE PROCEDURE pg_temp.rounds(n integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR round IN 0 .. 3 LOOP
		UPDATE leadflow.sla_policies SET valid = '[1990-01-01,1990-01-02)';
		INSERT INTO pg_temp.moved SELECT round, 0, * FROM pg_temp.moves(n);
		UPDATE leadflow.sla_policies SET valid = DEFAULT WHERE name NOT LIKE 'bench%';
		INSERT INTO pg_temp.moved SELECT round, 3, * FROM pg_temp.moves(n);
	END LOOP;
END $$;
CALL pg_temp.rounds(:moves);
SELECT what, format('%s (%s–%s)', percentile_disc(0.5) WITHIN GROUP (ORDER BY none), min(none), max(none)) AS "µs, no promise holds",
	format('%s (%s–%s)', percentile_disc(0.5) WITHIN GROUP (ORDER BY three), min(three), max(three)) AS "µs, three clocks",
	format('%s (%s–%s)', percentile_disc(0.5) WITHIN GROUP (ORDER BY round(three / none, 2)), min(round(three / none, 2)), max(round(three / none, 2))) AS ratio
FROM (
	SELECT v.what, v.nth, m.round, min(v.us) FILTER (WHERE m.clocks = 0) AS none, min(v.us) FILTER (WHERE m.clocks = 3) AS three
	FROM pg_temp.moved m
	CROSS JOIN LATERAL (VALUES (1, 'hand-off', m.handoff_us), (2, 'decision', m.decision_us)) v (nth, what, us)
	WHERE m.round > 0
	GROUP BY 1, 2, 3
) x GROUP BY nth, what ORDER BY nth;
ROLLBACK;
