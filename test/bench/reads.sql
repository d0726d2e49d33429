-- What reading costs: lead_scores beside a plain read of score_state, hottest() without and with the index
-- that a site may create, what that index costs those who write, lead_board, and the briefs of a batch. In a database of its
-- own, with leadflow. CPU time of the backend (Linux), the least of several rounds.
--
-- psql variables: leads (1000000), fewer (100000: what grows with leads?), rows (1000000, of the largest batch),
-- single (20000 rows one by one).
\set ON_ERROR_STOP on
\if :{?leads}
\else
	\set leads 1000000
\endif
\if :{?fewer}
\else
	\set fewer 100000
\endif
\if :{?rows}
\else
	\set rows 1000000
\endif
\if :{?single}
\else
	\set single 20000
\endif
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE SCHEMA bench;
-- CPU seconds that this backend has used; a clock tick is 10 ms.
CREATE FUNCTION bench.cpu() RETURNS double precision LANGUAGE sql AS $$
	SELECT (f[14]::double precision + f[15]::double precision) / 100 FROM string_to_array(pg_read_file('/proc/self/stat'), ' ') f
$$;
-- What this backend has not sent to the statistics yet, which it does not within a procedure.
CREATE FUNCTION bench.updates(OUT updates bigint, OUT hot bigint) LANGUAGE sql AS $$
	SELECT pg_stat_get_xact_tuples_updated(r), pg_stat_get_xact_tuples_hot_updated(r) FROM CAST('leadflow.score_state' AS regclass) r
$$;

-- Fit in steps of 5 up to 50 and one group of points that halve in 30 days: what an index can order.
\ir ../fixtures/thaw.sql
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (name, mql_threshold, handoff_threshold) VALUES ('bench', 70, NULL) RETURNING id AS model \gset
INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
VALUES (:model, 'fit', 'fit', 0, 50, NULL), (:model, 'activity', 'engagement', 0, 100, '30 days');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points)
SELECT :model, g.id, 'view', 'page_view', 1 FROM leadflow.scoring_groups g WHERE g.model_id = :model AND g.name = 'activity';
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = :model;
DELETE FROM leadflow.sla_policies;

-- Leads as after a hundred days; one in twenty is out of play. The gate is open to those below the threshold.
CREATE PROCEDURE bench.fill(leads bigint) LANGUAGE plpgsql SET session_replication_role = replica AS $$
DECLARE
	model CONSTANT bigint := (SELECT m.id FROM leadflow.scoring_models m WHERE m.status = 'active');
BEGIN
	TRUNCATE leadflow.leads, leadflow.score_state, leadflow.activities CASCADE;
	PERFORM setseed(0.5);
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title, company_size, country, source, stage, stage_since)
	SELECT i, 'lead' || i || '@example.com', 'Lead ' || i, 'Company ' || i % 1000, 'Manager', 10 + i % 500, 'DE', 'web',
		CASE i % 20 WHEN 0 THEN 'customer' WHEN 1 THEN 'rejected' ELSE 'lead' END, now()
	FROM generate_series(1, leads) i;
	INSERT INTO leadflow.score_state (lead_id, model_id, watch, sums, last_at, last_engaged_at, fit, fit_known, heat)
	SELECT i, model, CASE WHEN i % 20 > 1 AND fit + points * power(2, t - half_lives_now) < 70 THEN 1 ELSE 0 END,
		ARRAY[points * power(2, t - floor(t))], at, at, fit, 0.75, ln(points) / ln(2) + t
	FROM (
		SELECT *, extract(epoch FROM at - '2000-01-01Z')::double precision / (30 * 86400) AS t,
			extract(epoch FROM now() - '2000-01-01Z')::double precision / (30 * 86400) AS half_lives_now
		FROM (
			SELECT i, now() - random() * interval '100 days' AS at, 5 * floor(random() * 11) AS fit, -20 * ln(1 - random()) + 1e-6 AS points
			FROM generate_series(1, leads) i
			OFFSET 0) x) x;
END $$;

CREATE TABLE bench.reads ("position" integer, what text, leads bigint, ms numeric);
CREATE PROCEDURE bench.read("position" integer, what text, leads bigint, calls bigint, statement text) LANGUAGE plpgsql AS $$
DECLARE
	before double precision;
	least double precision := 'infinity';
BEGIN
	EXECUTE statement;
	FOR round IN 1 .. 5 LOOP
		before := bench.cpu();
		FOR i IN 1 .. calls LOOP
			EXECUTE statement;
		END LOOP;
		least := least(least, (bench.cpu() - before) / calls);
	END LOOP;
	INSERT INTO bench.reads VALUES ("position", what, leads, round((least * 1000)::numeric, 2));
END $$;
CREATE PROCEDURE bench.read_all(leads bigint) LANGUAGE plpgsql AS $$
DECLARE
	calls CONSTANT bigint := greatest(1, 1000000 / leads);
BEGIN
	CALL bench.read(1, 'SELECT sum(fit), max(last_at) FROM score_state', leads, calls, 'SELECT sum(fit), max(last_at) FROM leadflow.score_state');
	CALL bench.read(2, 'SELECT sum(score) FROM lead_scores', leads, calls, 'SELECT sum(score) FROM leadflow.lead_scores');
	CALL bench.read(3, 'COPY (SELECT * FROM score_state)', leads, calls, 'COPY (SELECT * FROM leadflow.score_state) TO ''/dev/null''');
	CALL bench.read(4, 'COPY (SELECT * FROM lead_scores)', leads, calls, 'COPY (SELECT * FROM leadflow.lead_scores) TO ''/dev/null''');
	CALL bench.read(5, 'hottest(100)', leads, calls, 'SELECT FROM leadflow.hottest(100)');
	CREATE INDEX score_state_hottest ON leadflow.score_state (model_id, fit, heat NULLS FIRST);
	CALL bench.read(6, 'hottest(100), with the index', leads, 200, 'SELECT FROM leadflow.hottest(100)');
	IF (SELECT array_agg(h.lead_id) FROM leadflow.hottest(100) h) IS DISTINCT FROM
		(SELECT array_agg(p.lead_id) FROM (
			SELECT v.lead_id FROM leadflow.lead_scores v JOIN leadflow.leads l ON l.id = v.lead_id AND l.stage <> 'customer'
			ORDER BY v.fit + v.engagement DESC, v.lead_id LIMIT 100) p) THEN
		RAISE EXCEPTION 'hottest() is wrong';
	END IF;
	DROP INDEX leadflow.score_state_hottest;
	CALL bench.read(7, 'COPY (SELECT * FROM lead_board)', leads, 1, 'COPY (SELECT * FROM leadflow.lead_board) TO ''/dev/null''');
	CALL bench.read(8, 'SELECT * FROM lead_board WHERE lead_id = 42, planning included', leads, 200, 'SELECT b FROM leadflow.lead_board b WHERE lead_id = 42');
	CALL bench.read(9, 'briefs of 10,000 leads', leads, 1, 'SELECT sum(length(b.brief)) FROM leadflow._handoff_briefs(ARRAY(SELECT generate_series(1, 10000))) b');
END $$;
CALL bench.fill(:fewer);
VACUUM ANALYZE leadflow.score_state, leadflow.leads;
CALL bench.read_all(:fewer);
CALL bench.fill(:leads);
VACUUM ANALYZE leadflow.score_state, leadflow.leads;
CALL bench.read_all(:leads);

-- The price of the index: updates of score_state are no longer HOT.
CREATE TABLE bench.writes ("position" integer, what text, index boolean, seconds double precision, updates bigint, hot bigint);
CREATE PROCEDURE bench.write("position" integer, what text, n bigint, transactions bigint, leads bigint) LANGUAGE plpgsql AS $$
DECLARE
	cpu double precision;
	before record;
BEGIN
	FOR round IN 0 .. 5 LOOP
		-- as after a rewrite: free space in every page
		SET LOCAL session_replication_role = replica;
		TRUNCATE leadflow.activities;
		DROP INDEX IF EXISTS leadflow.score_state_hottest;
		CLUSTER leadflow.score_state USING score_state_pkey;
		IF round % 2 = 1 THEN
			CREATE INDEX score_state_hottest ON leadflow.score_state (model_id, fit, heat NULLS FIRST);
		END IF;
		COMMIT;
		SELECT u.updates, u.hot INTO before FROM bench.updates() u;
		cpu := bench.cpu();
		FOR t IN 0 .. transactions - 1 LOOP
			INSERT INTO leadflow.activities (lead_id, occurred_at, kind)
			SELECT 1 + i * 7919 % leads, now() - i * interval '1 ms', 'page_view'
			FROM generate_series(t * n / transactions, (t + 1) * n / transactions - 1) i;
			COMMIT;
		END LOOP;
		INSERT INTO bench.writes
		SELECT "position", what, round % 2 = 1, bench.cpu() - cpu, u.updates - before.updates, u.hot - before.hot FROM bench.updates() u;
	END LOOP;
END $$;
-- Nobody is promoted: that costs the same with and without.
UPDATE leadflow.scoring_models SET mql_threshold = 1e9 WHERE id = :model;
CALL bench.fill(:fewer);
ANALYZE leadflow.score_state, leadflow.leads;
CALL bench.write(1, to_char(:rows, 'FM999,999,999') || ' rows in a transaction', :rows, 1, :fewer);
CALL bench.write(2, to_char(:rows / 10, 'FM999,999,999') || ' rows in a transaction', :rows / 10, 1, :fewer);
CALL bench.write(3, to_char(:single, 'FM999,999,999') || ' rows, a transaction each', :single, :single, :fewer);

SELECT r.what AS read, to_char(r.leads, 'FM999,999,999') AS leads, r.ms AS "CPU ms",
	CASE WHEN r."position" < 5 THEN round(r.ms / nullif(p.ms, 0), 2) END AS "× plain",
	round(r.ms / nullif(f.ms, 0), 2) AS "× fewer leads"
FROM bench.reads r
LEFT JOIN bench.reads p ON p.leads = r.leads AND p."position" = r."position" - (r."position" + 1) % 2
LEFT JOIN bench.reads f ON f."position" = r."position" AND f.leads < r.leads
ORDER BY r."position", r.leads;

SELECT w.what AS "write", w.index, round(w.seconds::numeric, 2) AS "CPU s",
	round((w.seconds / min(w.seconds) FILTER (WHERE NOT w.index) OVER (PARTITION BY w."position"))::numeric, 2) AS "× without",
	w.updates AS "rows updated", round(100.0 * w.hot / nullif(w.updates, 0)) AS "% HOT"
FROM (
	SELECT "position", what, index, min(seconds) AS seconds, min(updates) AS updates, min(hot) AS hot
	FROM bench.writes GROUP BY "position", what, index) w
ORDER BY w."position", w.index;
