--
-- What went wrong in other systems that score leads, and must not here. One case each;
-- what takes two sessions to go wrong is in score_race and 070_concurrency.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';
\set VERBOSITY terse
\i test/fixtures/thaw.sql

-- A page view is 10 points, the first form 20, a demo raises the hand; 50 make an MQL, 80 a hand-off. A recycled
-- lead rests for a week and must earn 10 points anew.
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, mql_threshold, handoff_threshold, max_score, cool_down, requalify_points) VALUES (900, 'plain', 50, 80, 1000, '7 days', 10);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, max_points, half_life) VALUES
	(901, 900, 'all', 'engagement', 1000, NULL), (902, 900, 'fit', 'fit', 100, NULL), (903, 900, 'fresh', 'engagement', 1000, '10 days');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, once_per, hand_raise) VALUES
	(900, 901, 'page', 'page_view', 10, NULL, NULL, false), (900, 901, 'form', 'form_submit', 20, 1, '$.properties.form', false),
	(900, 901, 'demo', 'demo_request', 1, NULL, NULL, true), (900, 903, 'click', 'cta_click', 8, NULL, NULL, false);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (906, 900, 'buyer');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (906, 'vp', '$.job_title == "VP"', 30);
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (11, 'Sam', 'sam@our.example', 'sales'), (12, 'Mia', 'mia@our.example', 'marketing');
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@x.example' FROM generate_series(1, 9) i;

CREATE VIEW public.story AS
SELECT l.id, l.stage, s.score, s.mql_ready AS ready,
	(SELECT string_agg(h.to_stage || ' ' || h.cycle, ', ' ORDER BY h.id) FROM leadflow.stage_history h WHERE h.lead_id = l.id) AS story,
	(SELECT count(*) FROM leadflow.handoffs h WHERE h.lead_id = l.id) AS handoffs,
	(SELECT count(*) FROM leadflow.activities a WHERE a.lead_id = l.id) AS activities
FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id;

--
-- Points swallowed after a deadlock: the activity was stored, its points were written by a
-- statement that had failed, and nobody tried again. Here what fails takes the activity with it, so
-- that whoever sent it knows; and a second try counts it once.
--
CREATE TABLE unlucky (lead_id bigint PRIMARY KEY);
INSERT INTO unlucky VALUES (1), (2);
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM public.unlucky u WHERE u.lead_id = NEW.id) THEN
		RAISE deadlock_detected USING MESSAGE = 'deadlock detected';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER fails AFTER UPDATE OF stage ON leadflow.leads FOR EACH ROW EXECUTE FUNCTION fails();
-- at the end of the statement that promotes, of the transaction, in settle()
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (1, '2026-03-02', leadflow.event_id('web', '1'), 'demo_request'), (3, '2026-03-02', leadflow.event_id('web', '3'), 'page_view');
SELECT * FROM story WHERE id IN (1, 3) ORDER BY id;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) SELECT 1, 'page_view' FROM generate_series(1, 5);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (3, 'page_view');
SELECT score FROM story WHERE id = 1;
COMMIT;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (3, 'page_view');
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, kind) SELECT 1, 'page_view' FROM generate_series(1, 5);
SELECT leadflow.settle();
ROLLBACK TO a;
COMMIT;
SELECT * FROM story WHERE id IN (1, 3) ORDER BY id;
-- the same, sent again: by then it works
DELETE FROM unlucky WHERE lead_id = 1;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (1, '2026-03-02', leadflow.event_id('web', '1'), 'demo_request'), (3, '2026-03-02', leadflow.event_id('web', '3'), 'page_view')
ON CONFLICT DO NOTHING;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (1, '2026-03-02', leadflow.event_id('web', '1'), 'demo_request'), (3, '2026-03-02', leadflow.event_id('web', '3'), 'page_view')
ON CONFLICT DO NOTHING;
SELECT * FROM story WHERE id IN (1, 3) ORDER BY id;
-- a client that catches the error itself, and goes on
DO $$
BEGIN
	FOR try IN 1 .. 3 LOOP
		BEGIN
			INSERT INTO leadflow.activities (lead_id, kind) SELECT 2, 'page_view' FROM generate_series(1, 5);
			PERFORM leadflow.settle();
			EXIT;
		EXCEPTION WHEN deadlock_detected THEN
			DELETE FROM public.unlucky WHERE try = 2;
		END;
	END LOOP;
END $$;
SELECT * FROM story WHERE id = 2;
SELECT * FROM leadflow.verify();
DROP TRIGGER fails ON leadflow.leads;

--
-- Once only, as SELECT-then-INSERT: two that arrive together both find nothing and both
-- score. Here a limit holds whether they come in one statement, in one transaction, or one after the other,
-- and whichever of them stays.
--
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (4, 'form_submit', '{"form": "guide"}'), (4, 'form_submit', '{"form": "guide"}');
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (4, 'form_submit', '{"form": "guide"}');
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (4, 'form_submit', '{"form": "guide"}');
SELECT score FROM story WHERE id = 4;
ROLLBACK TO a;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (4, 'form_submit', '{"form": "guide"}');
COMMIT;
WITH a AS (INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (4, 'form_submit', '{"form": "guide"}'))
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (4, 'form_submit', '{"form": "guide"}');
SELECT score, activities FROM story WHERE id = 4;	-- 20 for the six of them
UPDATE leadflow.activities SET voided_at = '2026-03-02', void_reason = 'bot' WHERE lead_id = 4 AND id <> (SELECT min(id::text)::uuid FROM leadflow.activities WHERE lead_id = 4);
SELECT score FROM story WHERE id = 4;
DELETE FROM leadflow.activities WHERE lead_id = 4 AND voided_at IS NULL;
SELECT score FROM story WHERE id = 4;
SELECT * FROM leadflow.verify();

--
-- A trigger that alerts once in a lead's life: a recycled lead never alerts again. Here the
-- gate opens once a cycle, by new evidence alone.
--
INSERT INTO leadflow.activities (lead_id, kind) VALUES (5, 'demo_request');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (5, 'demo_request');	-- no second time
SELECT * FROM story WHERE id = 5;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 5;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (5, 'demo_request');
SET leadflow.clock = '2026-03-03 09:00Z';
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-03-05', stage_by = 'sam@our.example' WHERE id = 5;
-- what was there before does not count again: nor points, nor hands raised; a change of the lead asks, too
UPDATE leadflow.leads SET job_title = 'VP' WHERE id = 5;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (5, 'demo_request', '2026-02-01');
SELECT * FROM story WHERE id = 5;
-- a hand that is raised now does, at once
SET leadflow.clock = '2026-03-04 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (5, 'demo_request');
SELECT * FROM story WHERE id = 5;
-- and again, in a third cycle, by points: after its rest, its date, and with 10 points more
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-03-06', stage_by = 'sam@our.example' WHERE id = 5;
INSERT INTO leadflow.activities (lead_id, kind) SELECT 5, 'page_view' FROM generate_series(1, 6);
SELECT * FROM story WHERE id = 5;
SET leadflow.clock = '2026-03-11 08:59Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (5, 'page_view');
SELECT * FROM story WHERE id = 5;
SET leadflow.clock = '2026-03-11 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (5, 'page_view');
SELECT * FROM story WHERE id = 5;
SELECT lead_id, offered_at FROM leadflow.handoffs WHERE lead_id = 5 ORDER BY id;
SELECT * FROM leadflow.verify();

--
-- Points of an attribute are added when it is filled in and stay when it changes; or they are added
-- each time that it is saved. Here attributes are state.
--
UPDATE leadflow.leads SET job_title = 'VP' WHERE id = 6;
UPDATE leadflow.leads SET job_title = 'VP' WHERE id = 6;
SELECT score FROM story WHERE id = 6;
UPDATE leadflow.leads SET job_title = 'Intern' WHERE id = 6;
SELECT score FROM story WHERE id = 6;

--
-- Scores that age in a nightly batch are wrong all day, and twice as wrong when it is run twice. Here
-- time passes by itself: nothing is written for it, and a late event counts for as much as it is still worth.
--
INSERT INTO leadflow.activities (lead_id, kind) VALUES (7, 'cta_click');
CREATE TEMP TABLE before AS SELECT xmin::text AS written_by, lead_id FROM leadflow.score_state;
SELECT score, leadflow.score(7, '2026-03-21 09:00Z') AS in_ten_days FROM story WHERE id = 7;
SET leadflow.clock = '2026-03-21 09:00Z';
SELECT score FROM story WHERE id = 7;
SELECT count(*) AS written FROM before b JOIN leadflow.score_state s USING (lead_id) WHERE b.written_by <> s.xmin::text;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (7, 'cta_click', '2026-03-11 09:00Z'), (8, 'cta_click', '2026-03-21 09:00Z');
SELECT id, score FROM story WHERE id IN (7, 8) ORDER BY 1;	-- 4 + 4, 8
SELECT * FROM leadflow.verify();
