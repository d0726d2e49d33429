--
-- Edges of scoring, each of which was wrong once: ids far apart, rows of another model, thresholds, the beginning of time …
--
SET timezone = 'UTC';
SET client_min_messages = warning;
SET leadflow.clock = '2026-06-01 06:00+00';
\i test/fixtures/thaw.sql
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, hot_from) VALUES (900, 'this', 50);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, max_points, half_life) VALUES (901, 900, 'fit', 'fit', 60, NULL), (902, 900, 'all', 'engagement', 1e9, '3 days'), (904, 900, 'kept', 'engagement', 1e9, NULL);
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per) VALUES
	(900, 902, 'form', 'form_submit', 50, NULL, NULL), (900, 904, 'page', 'page_view', 1, 1, 'day'), (900, 904, 'year', 'page_view', 1, 1, 'year');
INSERT INTO leadflow.personas (id, model_id, name) VALUES (903, 900, 'any');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (903, 'title', '$.job_title == "VP"', 60), (903, 'other title', '$.job_title == "CTO"', 7);
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;

-- A row of another model (activation under SERIALIZABLE leaves those of leads that came meanwhile)
-- is made anew by whoever writes to it: its fit, too.
INSERT INTO leadflow.leads (id, job_title) VALUES (1, 'CTO');
ALTER TABLE leadflow.score_state DISABLE TRIGGER score_state_engine_owned;
UPDATE leadflow.score_state SET model_id = 1, fit = 44, persona_id = 1 WHERE lead_id = 1;
ALTER TABLE leadflow.score_state ENABLE TRIGGER score_state_engine_owned;
SELECT lead_id, fit, persona FROM leadflow.lead_scores;
UPDATE leadflow.leads SET stage = 'nurture' WHERE id = 1;
SELECT lead_id, fit, persona FROM leadflow.lead_scores;

-- What counts under limits is kept under a digest of the model, the same in every session.
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, '2026-05-01 00:00+00', 'page_view');
CREATE TABLE kept AS SELECT lead_id, substr(limits, 1, 4) AS digest FROM leadflow.score_state;
\c -
SET leadflow.clock = '2026-06-01 06:00+00';
SET intervalstyle = iso_8601;
SET extra_float_digits = 0;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, '2026-05-01 00:00+00', 'page_view');
SELECT substr(s.limits, 1, 4) = k.digest AS same FROM leadflow.score_state s JOIN kept k USING (lead_id) WHERE lead_id = 1;

-- TRUNCATE of activities takes away nothing but what came of them: lead 2 passes by its fit.
BEGIN;
INSERT INTO leadflow.leads (id, job_title) VALUES (2, 'VP');
TRUNCATE leadflow.activities;
COMMIT;
SELECT id, stage FROM leadflow.leads WHERE id = 2;

-- A score that is a last digit short of a threshold reaches it everywhere.
CREATE PROCEDURE play() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 101 .. 300 LOOP
		PERFORM set_config('leadflow.clock', (timestamptz '2026-06-01 06:00Z' + (i - 300) * interval '73 minutes')::text, false);
		INSERT INTO leadflow.leads (id) VALUES (i);
		INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (i, leadflow.now(), 'form_submit');
		COMMIT;
		INSERT INTO short SELECT s.score < 50, s.band, s.falls_below_mql_at > leadflow.now() FROM leadflow.lead_scores s WHERE s.lead_id = i;
	END LOOP;
END $$;
CREATE TABLE short (short boolean, band text, falls boolean);
CALL play();
SELECT count(*) > 0 AS any FROM short WHERE short;
SELECT band, falls FROM short GROUP BY 1, 2;
SELECT band FROM leadflow._lead_outcomes WHERE lead_id > 100 GROUP BY 1;

-- The beginning of time.
SET leadflow.clock = '2026-06-01 06:00+00';
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, '4714-11-24 00:00Z BC', 'page_view'), (1, '4714-11-26 00:00Z BC', 'page_view'), (1, '4713-12-02 00:00Z BC', 'page_view');
SELECT * FROM leadflow.verify();

-- Leads whose ids lie further apart than a bigint reaches.
INSERT INTO leadflow.leads (id) VALUES (-9223372036854775807), (1073741823), (9223372036854775807);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (-9223372036854775807, '2026-06-01 05:00+00', 'form_submit'),
	(1073741823, '2026-06-01 05:00+00', 'form_submit'), (9223372036854775807, '2026-06-01 05:00+00', 'form_submit');
SELECT leadflow.rescore();
SELECT count(*) FROM leadflow.verify();
