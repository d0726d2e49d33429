--
-- score_as_of(): what the score was, by what was known then; and void_recorded_at, which it goes by.
--
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
\i test/fixtures/thaw.sql
SET extra_float_digits = -3;
SET leadflow.clock = '2026-01-01 00:00Z';

-- Two models with everything: decay, limits, bounds, fit, disqualifiers.
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, mql_threshold, max_score) VALUES (900, 'one', 1e6, 200), (910, 'other', 50, 100);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points, half_life) VALUES
	(901, 900, 'fit', 'fit', 0, 20, NULL), (902, 900, 'pages', 'engagement', -10, 60, '5 days'), (903, 900, 'files', 'engagement', 0, 100, NULL),
	(911, 910, 'all', 'engagement', 0, 90, '30 days');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per) VALUES
	(900, 902, 'page', 'page_view', NULL, 7, NULL, NULL, NULL), (900, 902, 'careers', 'page_view', '$.content == "careers"', -9, NULL, NULL, NULL),
	(900, 903, 'file', 'content_download', NULL, 5, 2, 'week', NULL), (900, 903, 'form', 'form_submit', NULL, 11, 1, NULL, '$.content'),
	(910, 911, 'page', 'page_view', NULL, 1, 3, 'day', NULL), (910, 911, 'file', 'content_download', NULL, 20, NULL, NULL, NULL);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (905, 900, 'boss');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (905, 'cto', '$.job_title == "CTO"', 15);
INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES
	(900, 'spam', 'activity', '$.content == "spam"', 'spam'), (900, 'student', 'lead', '$.job_title == "Student"', 'student');
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;

--
-- A random life, written down as it goes by: what score() said then is what score_as_of() says now.
--
SELECT setseed(0.26);
CREATE TABLE public.was (known_at timestamptz, lead_id bigint, at timestamptz, model_id bigint, score float8);
INSERT INTO leadflow.leads (id, email, job_title) SELECT i, i || '@one.example', (ARRAY['CTO', 'Analyst', 'Student'])[1 + i % 10 / 4] FROM generate_series(1, 20) i;
CREATE PROCEDURE public.live(steps integer) LANGUAGE plpgsql AS $$
DECLARE
	clock timestamptz := leadflow.now();
BEGIN
	FOR step IN 1 .. steps LOOP
		clock := clock + random() * interval '60 hours';
		PERFORM set_config('leadflow.clock', clock::text, false);
		IF step % 5 = 0 THEN
			INSERT INTO leadflow.leads (id, email, job_title) VALUES (200 + step, 'new' || step || '@one.example', 'CTO');
		END IF;
		-- as it happens, and back-dated; some are void from the start
		INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, voided_at, void_reason)
		SELECT l.id, clock - CASE WHEN random() < .5 THEN 0 ELSE random() END * interval '40 days',
			(ARRAY['page_view', 'content_download', 'form_submit', 'call', 'faxed'])[1 + floor(random() * 5)::integer],
			CASE WHEN random() < .01 THEN 'spam' ELSE (ARRAY['careers', 'a', 'b'])[1 + floor(random() * 3)::integer] END,
			v.at, CASE WHEN v.at IS NOT NULL THEN 'bot' END
		FROM leadflow.leads l
		CROSS JOIN LATERAL (SELECT CASE WHEN (l.id + step) % 9 = 0 THEN clock - interval '1 day' END AS at) v
		WHERE random() < .6;
		-- what turns out to be void, with any date that the client gives
		UPDATE leadflow.activities SET voided_at = clock - random() * interval '30 days', void_reason = 'duplicate'
		WHERE voided_at IS NULL AND random() < .05;
		PERFORM leadflow.settle();
		INSERT INTO was
		SELECT clock, l.id, i.at, m.id, leadflow.score(l.id, i.at, m.id)
		FROM leadflow.leads l
		CROSS JOIN (SELECT clock AS at UNION ALL SELECT clock - random() * interval '30 days' UNION ALL SELECT clock + random() * interval '30 days') i
		CROSS JOIN (VALUES (900), (910)) m (id);
		COMMIT;
	END LOOP;
END
$$;
CALL live(40);
SELECT count(*) > 4000 AS enough, count(DISTINCT known_at) AS steps, count(*) FILTER (WHERE score > 0) > 2000 AS with_points FROM was;
SELECT count(*) > 20 AS void_later, bool_and(void_recorded_at >= recorded_at) AS after FROM leadflow.activities WHERE void_recorded_at IS NOT NULL;
-- what was known then and what is known now are not the same
SELECT count(*) > 500 AS learned_since FROM was WHERE abs(leadflow.score(lead_id, at, model_id) - score) > 1e-6;
SELECT * FROM was WHERE (abs(leadflow.score_as_of(lead_id, at, model_id, known_at) - score) <= 1e-9 * greatest(1, score)) IS NOT TRUE;
-- the defaults: the active model, and what was known at that very instant
SELECT count(*) FROM was
WHERE at = known_at AND model_id = 900 AND (abs(leadflow.score_as_of(lead_id, at) - score) <= 1e-9 * greatest(1, score)) IS NOT TRUE;

-- An oracle in plain SQL: what was recorded later is taken away, and the definition asked of the rest.
CREATE FUNCTION public.rewound(known timestamptz, instant timestamptz, model bigint) RETURNS TABLE (lead_id bigint, score float8, magnitude float8)
LANGUAGE plpgsql AS $$
DECLARE
	result jsonb;
BEGIN
	BEGIN
		UPDATE leadflow.activities a SET voided_at = NULL, void_reason = NULL WHERE a.void_recorded_at > known;
		DELETE FROM leadflow.activities a WHERE a.recorded_at > known;
		SELECT jsonb_agg(jsonb_build_array(o.lead_id,
			CASE WHEN l.created_at <= known OR EXISTS (SELECT FROM leadflow.activities a WHERE a.lead_id = l.id) THEN o.score ELSE 0 END, o.magnitude)) INTO result
		FROM leadflow._oracle_scores(instant, model) o JOIN leadflow.leads l ON l.id = o.lead_id;
		RAISE 'back' USING ERRCODE = 'P0099';
	EXCEPTION WHEN SQLSTATE 'P0099' THEN
	END;
	RETURN QUERY SELECT (r ->> 0)::bigint, (r ->> 1)::float8, (r ->> 2)::float8 FROM jsonb_array_elements(result) r;
END
$$;
-- A lead that is imported with the past, some that are rewritten, deleted, count again, are void once more.
SELECT max(known_at) AS last FROM was \gset
SET leadflow.clock = :'last';
INSERT INTO leadflow.leads (id, email, job_title, created_at) VALUES (90, '90@one.example', 'CTO', '2025-06-01'), (91, '91@one.example', 'CTO', :'last');
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (90, '2025-07-01', 'content_download'), (91, '2025-07-01', 'content_download');
DELETE FROM leadflow.activities WHERE lead_id = 3 AND kind = 'page_view';
UPDATE leadflow.activities SET kind = 'content_download', content = 'a' WHERE lead_id = 4 AND kind = 'page_view';
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE lead_id IN (5, 6) AND voided_at IS NOT NULL;
SELECT set_config('leadflow.clock', (timestamptz :'last' + interval '1 day')::text, false) <> '' AS a_day_later;
UPDATE leadflow.activities SET voided_at = '2026-01-01', void_reason = 'after all' WHERE lead_id = 6 AND kind = 'page_view' AND voided_at IS NULL;

CREATE TABLE public.question AS
SELECT k.known_at, k.known_at + (random() - .7) * interval '60 days' AS at, (ARRAY[900, 910])[1 + i % 2]::bigint AS model_id
FROM generate_series(1, 30) i
CROSS JOIN LATERAL (SELECT timestamptz '2025-12-20' + random() * (timestamptz :'last' - timestamptz '2025-12-20') + i * interval '0' AS known_at) k
UNION ALL
SELECT known_at, '2026-02-01', 900 FROM (VALUES (timestamptz :'last'), (timestamptz :'last' + interval '1 day'), ('infinity'), ('-infinity')) v (known_at);
SELECT count(*) AS asked, count(*) FILTER (WHERE o.score > 0) > 300 AS with_points,
	count(*) FILTER (WHERE (abs(leadflow.score_as_of(o.lead_id, q.at, q.model_id, q.known_at) - o.score) <= 1e-9 * greatest(1, o.magnitude)) IS NOT TRUE) AS differ
FROM question q CROSS JOIN LATERAL rewound(q.known_at, q.at, q.model_id) o;
-- all that is known
SELECT count(*) AS differ FROM leadflow.leads l CROSS JOIN question q
WHERE (abs(leadflow.score_as_of(l.id, q.at, q.model_id, 'infinity') - leadflow.score(l.id, q.at, q.model_id)) <= 1e-9) IS NOT TRUE;
SELECT * FROM leadflow.verify();

--
-- By hand
--
SET leadflow.clock = '2026-06-10 12:00Z';
INSERT INTO leadflow.leads (id, email) VALUES (100, '100@one.example'), (101, '101@one.example');
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) VALUES (100, '2026-06-01 12:00Z', 'form_submit', 'x');
SET leadflow.clock = '2026-06-12 12:00Z';
UPDATE leadflow.activities SET voided_at = '2026-06-05', void_reason = 'bot' WHERE lead_id = 100;
CREATE FUNCTION public.as_of(at text, known text DEFAULT NULL, lead bigint DEFAULT 100) RETURNS float8 LANGUAGE sql AS
	$$ SELECT leadflow.score_as_of(lead, at::timestamptz, NULL, known::timestamptz) $$;
-- it happened on the 1st, was recorded on the 10th, and was found to be void on the 12th
SELECT as_of('2026-06-01 12:00Z') AS then, as_of('2026-06-01 12:00Z', '2026-06-10 11:59:59.999999Z') AS not_yet, as_of('2026-06-01 12:00Z', '2026-06-10 12:00Z') AS recorded,
	as_of('2026-06-01 11:59:59.999999Z', '2026-06-10 12:00Z') AS before_it, as_of('2026-06-11 00:00Z') AS in_between,
	as_of('2026-06-12 11:59:59.999999Z') AS still, as_of('2026-06-12 12:00Z') AS void, as_of('2026-06-11 00:00Z', 'infinity') AS known_now;
SELECT voided_at, recorded_at, void_recorded_at FROM leadflow.activities WHERE lead_id = 100;
-- another void reason, or date, is the same void; one that counts again never was void
SET leadflow.clock = '2026-06-13 12:00Z';
UPDATE leadflow.activities SET voided_at = '2026-06-06', void_reason = 'bot, too' WHERE lead_id = 100;
SELECT void_recorded_at, as_of('2026-06-12 11:00Z') AS still, as_of('2026-06-12 12:00Z') AS void FROM leadflow.activities WHERE lead_id = 100;
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE lead_id = 100;
SELECT void_recorded_at, as_of('2026-06-12 12:00Z') AS counts FROM leadflow.activities WHERE lead_id = 100;
-- upsert and MERGE
INSERT INTO leadflow.activities AS a (lead_id, occurred_at, id, kind) SELECT lead_id, occurred_at, id, kind FROM leadflow.activities WHERE lead_id = 100
ON CONFLICT (lead_id, occurred_at, id) DO UPDATE SET voided_at = leadflow.now(), void_reason = 'twice';
SELECT void_recorded_at FROM leadflow.activities WHERE lead_id = 100;
MERGE INTO leadflow.activities a USING (VALUES (100::bigint)) v (lead) ON a.lead_id = v.lead WHEN MATCHED THEN UPDATE SET voided_at = NULL, void_reason = NULL;
SELECT void_recorded_at FROM leadflow.activities WHERE lead_id = 100;
-- within the transaction, too
BEGIN;
SET LOCAL leadflow.clock = '2026-06-14 12:00Z';
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (100, 'form_submit', 'y');
SELECT as_of('2026-06-14 11:59Z', '2026-06-14 12:00Z') AS before, as_of('2026-06-14 12:00Z') AS now;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 100 AND content = 'y';
SELECT as_of('2026-06-14 12:00Z') AS void;
ROLLBACK;
-- a lead of which nothing was recorded
UPDATE leadflow.leads SET job_title = 'CTO' WHERE id IN (100, 101);
SELECT as_of('2026-06-10 11:59Z', lead => 101) AS before, as_of('2026-06-10 12:00Z', lead => 101) AS then, as_of('2026-01-01', lead => 101) AS long_before,
	as_of('2026-01-01', '2026-06-11', lead => 101) AS known_later, leadflow.score(101, '2026-01-01') AS score;

-- What leadflow keeps
SELECT as_of('2026-06-12 12:00Z') AS before;
INSERT INTO leadflow.activities (lead_id, kind, void_recorded_at) VALUES (100, 'form_submit', leadflow.now());
\echo :LAST_ERROR_SQLSTATE
UPDATE leadflow.activities SET void_recorded_at = leadflow.now() WHERE lead_id = 100;
\echo :LAST_ERROR_SQLSTATE
UPDATE leadflow.activities SET void_recorded_at = leadflow.now(), voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 100;
COPY leadflow.activities (lead_id, kind, voided_at, void_reason, void_recorded_at) FROM stdin;
100	form_submit	2026-06-01	bot	2026-06-01
\.
UPDATE leadflow.activities SET void_recorded_at = NULL WHERE lead_id = 100;
SELECT as_of('2026-06-12 12:00Z') AS as_before;

-- Arguments
SELECT as_of(NULL) IS NULL AS no_instant, as_of('2026-06-12', lead => NULL) IS NULL AS no_lead, as_of('2026-06-12', lead => 4711) IS NULL AS unknown_lead;
SELECT as_of('infinity');
SELECT leadflow.score_as_of(100, '2026-06-12', 4711);
SELECT leadflow._activity_voided();
CREATE TABLE public.elsewhere (voided_at timestamptz, void_recorded_at text);
CREATE TRIGGER t BEFORE UPDATE ON public.elsewhere FOR EACH ROW EXECUTE FUNCTION leadflow._activity_voided();
CREATE TRIGGER t2 AFTER DELETE ON public.elsewhere FOR EACH ROW EXECUTE FUNCTION leadflow._activity_voided();
INSERT INTO public.elsewhere VALUES (NULL, NULL);
UPDATE public.elsewhere SET voided_at = 'now';
DELETE FROM public.elsewhere;
DROP TABLE public.elsewhere;
-- Those who may see the lead
DROP ROLE IF EXISTS lfk_reader, lfk_reviewer, lfk_marketing, lfk_sales, lfk_app, lfk_admin, lfk_nobody;
SELECT count(*) FROM leadflow.setup_roles('lfk');
CREATE ROLE lfk_nobody;
GRANT USAGE ON SCHEMA leadflow TO lfk_nobody;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON leadflow.leads FOR SELECT TO lfk_reader USING (id = 100);
SET ROLE lfk_reader;
SELECT leadflow.score_as_of(100, '2026-06-12 12:00Z') AS seen, leadflow.score_as_of(101, '2026-06-12 12:00Z') AS hidden;
SET ROLE lfk_nobody;
SELECT leadflow.score_as_of(100, '2026-06-12 12:00Z');
RESET ROLE;
DROP POLICY p ON leadflow.leads;
DROP OWNED BY lfk_reader, lfk_reviewer, lfk_marketing, lfk_sales, lfk_app, lfk_admin, lfk_nobody;
DROP ROLE lfk_reader, lfk_reviewer, lfk_marketing, lfk_sales, lfk_app, lfk_admin, lfk_nobody;
SELECT * FROM leadflow.verify();
