--
-- What ad-hoc attribution costs: campaign_credits() over a million deals of six touches each, against
-- window functions over the same rows and against reading them in order (touches carry their deal's amount, so
-- that neither joins), and all models at once with what the deals know; touch_weights() and split_credit() by call.
--
--	psql -X -q [-v deals=100000] -f test/bench/attribution.sql
--
-- Everything is in schema bench, which is dropped at the end (an index-only scan wants a VACUUM, so this is no single
-- transaction). Seconds are of the backend's CPU, on one core; rounds are interleaved, and ratios taken within a round.
--
\set ON_ERROR_STOP on
\if :{?deals}
\else
	\set deals 1000000
\endif
\set rounds 3
\set calls 200000
\pset footer off
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET work_mem = '256MB';
SET timezone = 'UTC';
CREATE SCHEMA bench;
CREATE FUNCTION bench.cpu() RETURNS double precision LANGUAGE sql VOLATILE AS $$
	SELECT (f[12]::bigint + f[13]::bigint) / 100.0
	FROM regexp_split_to_array(regexp_replace(pg_read_file('/proc/' || pg_backend_pid() || '/stat'), '^.*\) ', ''), ' ') f
$$;

SELECT setseed(0.5) \g /dev/null
CREATE TABLE bench.deals AS
SELECT id, amount, closed_at, closed_at - random() * interval '50 days' AS lead_created_at, closed_at - random() * interval '30 days' AS opened_at
FROM (SELECT d::bigint AS id, (random() * 1e5)::numeric(18,2) AS amount, timestamptz '2026-01-01' + random() * interval '300 days' AS closed_at
	FROM generate_series(1, :deals) d) x;
CREATE TABLE bench.touches AS
SELECT d.id AS deal_id, d.closed_at - random() * interval '60 days' AS touched_at, 1 + floor(1000 * random())::bigint AS campaign_id, d.amount
FROM bench.deals d, generate_series(1, 6);
CREATE UNIQUE INDEX ON bench.deals (id) INCLUDE (amount, closed_at, lead_created_at, opened_at);
CREATE INDEX ON bench.touches (deal_id, touched_at) INCLUDE (campaign_id, amount);
VACUUM ANALYZE bench.deals, bench.touches;

CREATE VIEW bench.ordered AS
SELECT t.deal_id, t.touched_at, t.campaign_id, d.amount, d.closed_at, d.lead_created_at, d.opened_at
FROM bench.touches t JOIN bench.deals d ON d.id = t.deal_id
ORDER BY t.deal_id, t.touched_at;
CREATE TABLE bench.statements (nth integer, what text, statement text);
INSERT INTO bench.statements VALUES
	(1, 'touches, ordered and counted', 'SELECT count(campaign_id) FROM (SELECT * FROM bench.touches ORDER BY deal_id, touched_at OFFSET 0) t'),
	(2, 'position_based', $$SELECT cardinality(leadflow.campaign_credits('["position_based"]', deal_id, touched_at, campaign_id, amount, 'infinity', NULL, NULL, NULL))
		FROM (SELECT * FROM bench.touches ORDER BY deal_id, touched_at) t$$),
	(3, 'position_based by window functions, in doubles', $$SELECT count(credit) FROM (
		SELECT campaign_id, sum(amount::double precision * CASE WHEN n = 1 THEN 1 WHEN n = 2 THEN 0.5 WHEN nth IN (1, n) THEN 0.4 ELSE 0.2 / (n - 2) END) AS credit
		FROM (SELECT campaign_id, amount, row_number() OVER w AS nth, count(*) OVER (PARTITION BY deal_id) AS n
			FROM bench.touches WINDOW w AS (PARTITION BY deal_id ORDER BY touched_at)) t
		GROUP BY campaign_id) c$$),
	(4, 'touches joined to their deals, ordered and counted', 'SELECT count(amount) FROM (SELECT * FROM bench.ordered OFFSET 0) t'),
	(5, 'position_based, joined', $$SELECT cardinality(leadflow.campaign_credits('["position_based"]', deal_id, touched_at, campaign_id, amount, closed_at, NULL, NULL, NULL))
		FROM bench.ordered$$),
	(6, 'all eight models at once, joined', $$SELECT cardinality(leadflow.campaign_credits('["first_touch", "last_touch", "last_non_direct", "linear", "time_decay", "position_based", "w_shaped", "full_path"]',
		deal_id, touched_at, campaign_id, amount, closed_at, lead_created_at, opened_at, campaign_id < 100))
		FROM bench.ordered$$);

-- The same credits, as far as doubles without cents can tell: half a cent a touch at most.
CREATE FUNCTION bench.check() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
BEGIN
	SELECT count(*) INTO wrong
	FROM (SELECT c.campaign_id, c.credit, c.deals
		FROM (SELECT leadflow.campaign_credits('["position_based"]', deal_id, touched_at, campaign_id, amount, closed_at, NULL, NULL, NULL) AS credits FROM bench.ordered) a,
			unnest(credits) c) c
	FULL JOIN (SELECT campaign_id, count(*) AS touches, sum(amount::double precision * CASE WHEN n = 1 THEN 1 WHEN n = 2 THEN 0.5 WHEN nth IN (1, n) THEN 0.4 ELSE 0.2 / (n - 2) END) AS credit
		FROM (SELECT campaign_id, amount, row_number() OVER w AS nth, count(*) OVER (PARTITION BY deal_id) AS n
			FROM bench.ordered WINDOW w AS (PARTITION BY deal_id ORDER BY touched_at)) t
		GROUP BY campaign_id) s USING (campaign_id)
	WHERE (abs(c.credit - s.credit::numeric) <= 0.01 * s.touches) IS NOT TRUE;
	IF wrong > 0 THEN
		RAISE EXCEPTION '% campaigns differ from the window functions', wrong;
	END IF;
END $$;
SELECT bench.check() \g /dev/null

CREATE TABLE bench.figures (round integer, nth integer, seconds double precision);
CREATE PROCEDURE bench.measure(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
	s record;
	before double precision;
BEGIN
	FOR round IN 0 .. rounds LOOP
		FOR s IN SELECT * FROM bench.statements ORDER BY nth LOOP
			before := bench.cpu();
			EXECUTE s.statement;
			IF round > 0 THEN
				INSERT INTO bench.figures VALUES (round, s.nth, bench.cpu() - before);
			END IF;
		END LOOP;
	END LOOP;
END $$;
CALL bench.measure(:rounds);

CREATE FUNCTION bench.middle(v double precision[], format text DEFAULT 'FM9990.00') RETURNS text LANGUAGE sql AS $$
	SELECT to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY x), format) || ' (' || to_char(min(x), format) || '–' || to_char(max(x), format) || ')' FROM unnest(v) x
$$;
SELECT s.what, bench.middle(array_agg(f.seconds)) AS "CPU seconds, median (min–max)", bench.middle(array_agg(f.seconds / c.seconds)) AS "× counted",
	bench.middle(array_agg(w.seconds / f.seconds)) AS "faster than window functions"
FROM bench.figures f
JOIN bench.statements s USING (nth)
JOIN bench.figures c ON c.round = f.round AND c.nth = 1
JOIN bench.figures w ON w.round = f.round AND w.nth = 3
GROUP BY s.nth, s.what ORDER BY s.nth;

-- A call of the pure functions, of six touches: less what the query costs without it.
TRUNCATE bench.figures, bench.statements;
INSERT INTO bench.statements
SELECT nth, what, format('SELECT count(%s) FROM (SELECT array_agg(t ORDER BY t) AS touched, %L::double precision[] AS w FROM generate_series(timestamptz ''2026-01-01'', ''2026-01-06'', ''1 day'') t) x,
	generate_series(1, %s) i', call, '{0.4,0.05,0.05,0.05,0.05,0.4}', :calls)
FROM (VALUES (1, 'nothing', 'i'),
	(2, 'touch_weights, linear', 'leadflow.touch_weights(''linear'', touched, ''2026-01-09'')'),
	(3, 'touch_weights, full_path', 'leadflow.touch_weights(''full_path'', touched, ''2026-01-09'', ''2026-01-03'', ''2026-01-05'')'),
	(4, 'touch_weights, time_decay with a half-life', 'leadflow.touch_weights(''time_decay'', touched, ''2026-01-09'', params => ''{"half_life": "3 days"}'')'),
	(5, 'split_credit, any amount', 'leadflow.split_credit(1234.57 + i, w)'),
	(6, 'split_credit, a round amount', 'leadflow.split_credit(1000 * i, w)'),
	(7, 'split_credit, 10^14: in numeric', 'leadflow.split_credit(100000000000000 + i, w)')) v (nth, what, call);
CALL bench.measure(:rounds);
SELECT s.what AS call, bench.middle(array_agg(1e6 * (f.seconds - n.seconds) / :calls)) AS "µs, median (min–max)",
	to_char(:calls / nullif(percentile_cont(0.5) WITHIN GROUP (ORDER BY f.seconds - n.seconds), 0), 'FM999,999,999') AS "calls a CPU second"
FROM bench.figures f JOIN bench.statements s USING (nth) JOIN bench.figures n ON n.round = f.round AND n.nth = 1
WHERE s.nth > 1 GROUP BY s.nth, s.what ORDER BY s.nth;
DROP SCHEMA bench CASCADE;
