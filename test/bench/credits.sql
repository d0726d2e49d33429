--
-- What keeping credits costs: deals that are won, each of a lead with twenty touches, under eight models
-- and under none; and touches that come late, of leads with a won deal and without one.
--
--	psql -X -q [-v deals=100] -f test/bench/credits.sql
--
-- In a database of its own, whose leads, deals and campaigns it deletes. Milliseconds by the clock, of a
-- statement and its COMMIT; rounds are interleaved.
--
\set ON_ERROR_STOP on
\if :{?deals}
\else
	\set deals 500
\endif
\pset footer off
SET client_min_messages = warning;
SET jit = off;
SET synchronous_commit = off;
SET timezone = 'UTC';
SET leadflow.clock = '2026-06-01';
CREATE SCHEMA bench;
CREATE TABLE bench.results (round integer, what text, ms double precision);

DELETE FROM leadflow.deals;
DELETE FROM leadflow.leads;
INSERT INTO leadflow.campaigns (id, name, channel)
SELECT i, 'campaign ' || i, 'channel ' || i % 5 FROM generate_series(1, 20) i;
INSERT INTO leadflow.leads (id, created_at) SELECT i, '2026-01-01' FROM generate_series(1, 2 * :deals) i;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, campaign_id)
SELECT l, timestamptz '2026-01-01' + i * interval '1 day', 'page_view', i FROM generate_series(1, 2 * :deals) l, generate_series(1, 20) i;

CREATE PROCEDURE bench.play(round integer, what text, statement text, first bigint, last bigint) LANGUAGE plpgsql AS $$
DECLARE
	since timestamptz;
BEGIN
	FOR i IN first .. last LOOP
		since := clock_timestamp();
		EXECUTE statement USING i;
		COMMIT;
		INSERT INTO bench.results VALUES (round, what, extract(epoch FROM clock_timestamp() - since) * 1000);
		COMMIT;
	END LOOP;
END
$$;
CREATE PROCEDURE bench.round(round integer, deals bigint) LANGUAGE plpgsql AS $$
DECLARE
	win CONSTANT text := 'UPDATE leadflow.deals SET status = ''won'', closed_at = ''2026-02-01'' WHERE id = $1';
	touch CONSTANT text := 'INSERT INTO leadflow.activities (lead_id, occurred_at, kind, campaign_id) VALUES ($1, ''2026-01-20 12:00'', ''page_view'', 1)';
BEGIN
	FOR models IN 0 .. 1 LOOP
		DELETE FROM leadflow.deals;
		UPDATE leadflow.attribution_models SET active = models = 1 WHERE kind NOT IN ('markov', 'shapley');
		INSERT INTO leadflow.deals (id, lead_id, amount, opened_at) SELECT i, i, 1234.56, '2026-01-15' FROM generate_series(1, deals) i;
		COMMIT;
		CALL bench.play(round, format('a deal is won, %s models', 8 * models), win, 1, deals);
		CALL bench.play(round, format('late touch of a lead with a won deal, %s models', 8 * models), touch, 1, deals);
		CALL bench.play(round, format('touch of a lead without deals, %s models', 8 * models), touch, deals + 1, 2 * deals);
		DELETE FROM leadflow.activities WHERE occurred_at = '2026-01-20 12:00';
		COMMIT;
	END LOOP;
END
$$;
CALL bench.round(0, :deals);
DELETE FROM bench.results;
CALL bench.round(1, :deals);
CALL bench.round(2, :deals);
CALL bench.round(3, :deals);

\echo 'Twenty touches a lead, eight models: 103 credits a deal'
WITH medians AS (
	SELECT round, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS ms
	FROM bench.results
	GROUP BY 1, 2
), paired AS (
	SELECT w.ms AS with_models, o.ms AS without, regexp_replace(w.what, ', 8 models', '') AS what
	FROM medians w
	JOIN medians o ON o.round = w.round AND o.what = replace(w.what, '8 models', '0 models')
	WHERE w.what LIKE '%, 8 models'
)
SELECT what, format('%s (%s–%s)', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY without)::numeric, 3), round(min(without)::numeric, 3), round(max(without)::numeric, 3)) AS "ms, no model",
	format('%s (%s–%s)', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY with_models)::numeric, 3), round(min(with_models)::numeric, 3), round(max(with_models)::numeric, 3)) AS "ms, eight models",
	round(percentile_cont(0.5) WITHIN GROUP (ORDER BY with_models - without)::numeric, 3) AS "ms for credits"
FROM paired GROUP BY what ORDER BY what;
SELECT count(*) AS differences FROM leadflow.attribution_check;
DROP SCHEMA bench CASCADE;
