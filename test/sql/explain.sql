--
-- explain_score(): for every lead, under every model and at every instant, the points add up to
-- score(): to 1e-9, above 1000 to 1e-12 of the score.
--
\set VERBOSITY terse
SET timezone = 'UTC';
SET extra_float_digits = -3;
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 12:00Z';
\i test/fixtures/thaw.sql
SELECT setseed(0.75);

-- A life of many activities for each lead, none for some; some disqualify.
INSERT INTO leadflow.leads (id, email, job_title, company_size, budget, country)
SELECT i, 'lead' || i || '@x.example', (ARRAY['VP Sales', 'Engineer', NULL])[1 + i % 3], i % 100, i * 1000, (ARRAY['DE', 'FR', 'nowhere'])[1 + i % 8]
FROM generate_series(1, 30) i;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, properties)
SELECT 1 + floor(random() * 27), leadflow.now() + interval '4 minutes' - random() ^ 4 * interval '3000 days',
	(ARRAY['page_view', 'page_view', 'content_download', 'form_submit', 'demo_request', 'call'])[1 + floor(random() * 6)],
	CASE WHEN random() < .02 THEN 'no' ELSE '/page/' || floor(random() * 5) END, jsonb_build_object('a', floor(random() * 3))
FROM generate_series(1, 1500);

-- Models that never become active are explained as the active one is.
CREATE PROCEDURE public.model(id bigint, low float8, high float8, half_life interval, points float8[], total float8 DEFAULT 100, fit_low float8 DEFAULT 0, fit_high float8 DEFAULT 50) LANGUAGE sql AS $$
	INSERT INTO leadflow.scoring_models (id, name, mql_threshold, max_score) VALUES (id, 'model ' || id, 1e9, total);
	INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points, half_life)
	VALUES (id + 1, id, 'one', 'engagement', low, high, half_life), (id + 2, id, 'two', 'engagement', low / 2, high / 2, NULL);
	INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points) SELECT id + 3, id, 'fit', 'fit', fit_low, fit_high WHERE fit_high IS NOT NULL;
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per)
	VALUES (id, id + 1, 'views', 'page_view', NULL, points[1], NULL, NULL, NULL), (id, id + 1, 'less', 'page_view', '$.content == "/page/1"', points[2], NULL, NULL, NULL),
		(id, id + 1, 'few', 'content_download', NULL, points[3], 3, NULL, NULL), (id, id + 2, 'a day', 'page_view', NULL, points[4], 2, 'day', '$.properties.a'),
		(id, id + 2, 'form', 'form_submit', NULL, points[5], NULL, NULL, NULL);
	INSERT INTO leadflow.personas (id, model_id, name) VALUES (id, id, 'any'), (id + 1, id, 'none');
	INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points)
	VALUES (id, 'vp', '$.job_title like_regex "vp" flag "i"', 40), (id, 'size', '$.company_size > 50', 0.1), (id, 'rich', '$.budget > 30000', -60.7);
	INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason)
	VALUES (id, 'where', 'lead', '$.country == "nowhere"', 'nowhere'), (id, 'said', 'activity', '$.content == "no"', 'said no');
$$;
CALL model(1000, 0, 100, '30 days', '{1, 2.5, 10, 0.1, 8}');
CALL model(1010, -20, 30, '7 days', '{1, -3.3, 10, 0.1, -8}', 100, -10, 20);
CALL model(1020, 3, 5, '1 hour', '{1, 2.5, 10, 0.1, 8}', 7.5, 3, 5);
CALL model(1030, -1e9, 1e9, NULL, '{1, 1e-7, 1234.5678, 0.7, 3}', 1e9, 0, NULL);
CALL model(1040, -1e9, 1e9, '400 days', '{1e9, -1e9, 123456.789, 1e6, -1e6}', 1e9, -50, 50);
CALL model(1050, 0, 60, '400 days', '{1e9, 1e9, 1e9, 1e9, 1e9}');
CALL model(1060, 0, 60, '1 second', '{1e9, 1e9, 1e9, 1e-9, 0.1}');
CALL model(1070, 0, 60, '36600 days', '{0.1, 0.2, 0.7, 0.001, 0.003}');
CALL model(1080, -5, 0, '3 days', '{-1, -2, -3, -0.1, -0.2}', 100, -50, 0);
INSERT INTO leadflow.scoring_models (id, name) VALUES (1090, 'of nothing');
INSERT INTO leadflow.scoring_models (id, name) VALUES (1100, 'of personas without criteria');
INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points) VALUES (1100, 'fit', 'fit', 5, 50);
INSERT INTO leadflow.personas (model_id, name) VALUES (1100, 'one'), (1100, 'two');

CREATE FUNCTION public.explained() RETURNS TABLE (model text, leads bigint, scored boolean, off boolean, rounding boolean) LANGUAGE sql STABLE AS $$
	SELECT m.name, count(*), bool_or(s.score > 0),
		bool_or((abs(e.points - s.score) < greatest(1e-9, 1e-12 * s.score)) IS NOT TRUE), coalesce(bool_or(e.rounding), false)
	FROM leadflow.scoring_models m
	CROSS JOIN leadflow.leads l
	CROSS JOIN unnest('{0,-1,-100,-2000,0.1,50,1000}'::float8[]) days
	CROSS JOIN LATERAL (SELECT leadflow.now() + days * interval '1 day' AS at) t
	CROSS JOIN LATERAL (SELECT coalesce(leadflow.score(l.id, t.at, m.id), 'NaN') AS score) s
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(x.points), 0) AS points, bool_or(x.source = 'rounding') AS rounding
		FROM leadflow.explain_score(l.id, t.at, m.id) x) e
	GROUP BY m.id, m.name ORDER BY m.id
$$;
SELECT * FROM explained();
-- The active one comes from what is kept.
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 1010;
SELECT * FROM explained() WHERE model = 'model 1010';
-- After more activities, not flushed and flushed
BEGIN;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) SELECT 1 + i % 27, leadflow.now() - i * interval '1 hour', 'page_view', '/page/1' FROM generate_series(1, 200) i;
DELETE FROM leadflow.activities WHERE random() < .05;
SELECT * FROM explained() WHERE model = 'model 1010';
COMMIT;
SELECT * FROM explained() WHERE model = 'model 1010';
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 1040;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) SELECT 1 + i % 27, leadflow.now() - i * interval '1 hour', 'page_view', '/page/1' FROM generate_series(1, 200) i;
SELECT * FROM explained() WHERE model = 'model 1040';
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
SELECT count(*) AS leads, sum(e.points) AS points FROM leadflow.leads l LEFT JOIN LATERAL leadflow.explain_score(l.id) e ON true;

-- What they look like
SELECT group_name, source, name, activities, points FROM leadflow.explain_score(1, model_id => 1010);
SELECT source, points FROM leadflow.explain_score(8, model_id => 1100);
SELECT source, name, points FROM leadflow.explain_score(2, model_id => 1020) WHERE group_name IS NULL;

-- When the score falls below the threshold: not before that microsecond, and from then on. (What comes
-- later than now is another story.)
DELETE FROM leadflow.activities WHERE occurred_at > leadflow.now() OR content = 'no';
CALL model(1200, 0, 100, '30 days', '{1, 2.5, 10, 0, 0}', 100, 0, NULL);
CALL model(1210, 0, 100, '3 hours', '{1e6, 1e6, 1e6, 0.1, 0.2}');
CALL model(1220, -1e6, 1e6, '366 days', '{7, 2.5, 10, -0.1, -0.2}', 1e6);
CALL model(1230, 10, 100, '100 days', '{7, 2.5, 10, 0.1, 0.2}');
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, half_life) VALUES (1239, 1230, 'more', 'engagement', '5 days');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) VALUES (1230, 1239, 'more views', 'page_view', 3), (1230, 1239, 'more forms', 'form_submit', 9);
CALL model(1240, -100, 100, '30 days', '{-7, 2.5, 30, 0.1, 0.2}');
CREATE FUNCTION public.crossings(model bigint, threshold float8) RETURNS TABLE (above boolean, fall boolean, stay boolean, wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE leadflow.scoring_models m SET status = 'retired' WHERE m.status = 'active';
	UPDATE leadflow.scoring_models m SET mql_threshold = threshold WHERE m.id = model;
	UPDATE leadflow.scoring_models m SET status = 'active' WHERE m.id = model;
	RETURN QUERY
	SELECT bool_or(s.score >= threshold), bool_or(s.falls_below_mql_at IS NOT NULL),
		bool_or(s.score >= threshold AND s.falls_below_mql_at IS NULL),
		count(*) FILTER (WHERE CASE
			WHEN s.score < threshold THEN s.falls_below_mql_at IS NOT NULL
			WHEN s.falls_below_mql_at IS NULL THEN leadflow.score(s.lead_id, '290000-01-01Z') < threshold
			ELSE s.falls_below_mql_at <= leadflow.now() OR leadflow.score(s.lead_id, s.falls_below_mql_at - interval '1 us') < threshold
				OR leadflow.score(s.lead_id, s.falls_below_mql_at) >= threshold END)
	FROM leadflow.lead_scores s;
END $$;
SELECT v.*, c.* FROM (VALUES (1200, 5), (1200, 60), (1210, 40), (1220, 60), (1230, 40), (1230, 15), (1240, 20)) v (model, threshold)
CROSS JOIN LATERAL crossings(model, threshold) c;
SELECT * FROM leadflow.verify();
