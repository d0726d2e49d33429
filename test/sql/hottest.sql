--
-- hottest(): held against the plain query that reads every lead, under several models, with the index
-- and without.
--
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET extra_float_digits = -3;
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 12:00Z';
\i test/fixtures/thaw.sql
SELECT setseed(0.25);

-- What it must give: O(leads), and obvious.
CREATE FUNCTION public.plain(n integer, at timestamptz, owner bigint) RETURNS TABLE (lead_id bigint, total float8, place bigint) LANGUAGE sql STABLE AS $$
	SELECT t.id, t.total, row_number() OVER (ORDER BY t.total DESC, t.id)
	FROM (
		SELECT l.id, leadflow._lead_fit(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at, s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, $2)
			+ leadflow._lead_engagement(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at, s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, $2) AS total
		FROM leadflow.leads l
		JOIN leadflow.score_state s ON s.lead_id = l.id
		JOIN leadflow.stages g ON g.name = l.stage
		WHERE g.category NOT IN ('won', 'lost', 'out') AND ($3 IS NULL OR l.owner_id = $3)
			AND leadflow._lead_disqualified_reason(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at, s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, $2) IS NULL
	) t
	ORDER BY 3 LIMIT n
$$;
-- Where the two differ: asked for few and for all, now, in the past and in the future, for all and for an owner.
CREATE FUNCTION public.differences() RETURNS TABLE (n integer, at timestamptz, owner bigint, place bigint, got bigint, wanted bigint, total float8) LANGUAGE sql STABLE AS $$
	SELECT q.n, q.at, q.owner, coalesce(h.place, p.place), h.lead_id, p.lead_id, p.total
	FROM (SELECT v.n, t.at, o.owner FROM unnest('{0,1,3,20,1000}'::integer[]) v (n),
			(SELECT leadflow.now() + i * interval '1 hour' AS at FROM unnest('{0,-7,-500,3,3000}'::integer[]) i) t,
			unnest('{NULL,1,2,77}'::bigint[]) o (owner)) q
	CROSS JOIN LATERAL (
		SELECT * FROM (SELECT h.lead_id, h.score, row_number() OVER () AS place FROM leadflow.hottest(q.n, q.at, q.owner) h) h
		FULL JOIN (SELECT p.lead_id AS wanted, p.total, p.place AS wanted_place FROM public.plain(q.n, q.at, q.owner) p) p ON p.wanted_place = h.place
	) x
	CROSS JOIN LATERAL (SELECT x.lead_id, x.place) h
	CROSS JOIN LATERAL (SELECT x.wanted AS lead_id, x.total, x.wanted_place AS place) p
	WHERE h.lead_id IS DISTINCT FROM p.lead_id
		OR h.lead_id IS NOT NULL AND x.score IS DISTINCT FROM leadflow.score(h.lead_id, q.at)
$$;
-- With the index, and whether it was used.
CREATE PROCEDURE public.compare(what text) LANGUAGE plpgsql AS $$
DECLARE
	differ bigint;
	differ_with bigint;
	used boolean;
BEGIN
	SELECT count(*) INTO differ FROM public.differences();
	CREATE INDEX hottest ON leadflow.score_state (model_id, fit, heat NULLS FIRST);
	SELECT count(*) INTO differ_with FROM public.differences();
	used := pg_stat_get_xact_numscans('leadflow.hottest'::regclass) > 0;
	DROP INDEX leadflow.hottest;
	RAISE WARNING '%: % differences, % with the index, which is %', what, differ, differ_with, CASE WHEN used THEN 'used' ELSE 'not used' END;
END $$;

-- Leads of several fits, below zero too; some in stages that are out of play.
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (1, 'Ann', 'ann@x.example', 'sales'), (2, 'Bob', 'bob@x.example', 'sales');
INSERT INTO leadflow.accounts (id, name, domain) VALUES (1, 'One', 'one.example');
INSERT INTO leadflow.leads (id, email, company_size, region, country)
SELECT i, 'lead' || i || '@x.example', i % 4, (ARRAY['north', 'south', NULL])[1 + i % 3], CASE WHEN i % 17 = 0 THEN 'nowhere' END FROM generate_series(1, 300) i;
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.leads SET stage = (ARRAY['customer', 'disqualified', 'rejected', 'nurture'])[1 + id % 4] WHERE id % 10 = 0;
UPDATE leadflow.leads SET owner_id = 1 + id % 2 WHERE id % 3 = 0;
COMMIT;
SELECT count(*) > 0 AS repaired FROM leadflow.reconcile();

-- A model. Only what is asked for differs.
CREATE PROCEDURE public.model(id bigint, half_life interval, low float8, high float8, points float8, second interval DEFAULT NULL, fit boolean DEFAULT true) LANGUAGE plpgsql AS $$
BEGIN
	UPDATE leadflow.scoring_models m SET status = 'retired' WHERE m.status = 'active';
	INSERT INTO leadflow.scoring_models (id, name, mql_threshold, max_score) VALUES (model.id, 'model ' || model.id, 1e9, 90);
	INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points, half_life) VALUES (model.id + 1, model.id, 'does', 'engagement', low, high, half_life);
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points)
	VALUES (model.id, model.id + 1, 'view', 'page_view', NULL, 3), (model.id, model.id + 1, 'form', 'form_submit', '$.content == "a"', 20), (model.id, model.id + 1, 'other', 'cta_click', NULL, points);
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per) VALUES (model.id, model.id + 1, 'few', 'content_download', 7, 1, 'day');
	INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason)
	VALUES (model.id, 'where', 'lead', '$.country == "nowhere"', 'nowhere'), (model.id, 'said', 'activity', '$.content == "no"', 'said no');
	IF fit THEN
		INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points) VALUES (model.id + 2, model.id, 'is', 'fit', -50, 50);
		INSERT INTO leadflow.personas (id, model_id, name) VALUES (model.id, model.id, 'they');
		INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points)
		VALUES (model.id, 'size', '$.company_size > 1', 10), (model.id, 'big', '$.company_size > 2', 0.1), (model.id, 'north', '$.region == "north"', -30);
	END IF;
	IF second IS NOT NULL THEN
		INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, half_life) VALUES (model.id + 3, model.id, 'more', 'engagement', second);
	END IF;
	UPDATE leadflow.scoring_models m SET status = 'active' WHERE m.id = model.id;
END $$;
-- Many at the same instant, so that there are ties; some later than now.
CREATE FUNCTION public.activities(n integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content)
	SELECT (SELECT l.id FROM leadflow.leads l WHERE l.id >= random() * 300 AND i > 0 ORDER BY l.id LIMIT 1), leadflow.now() + interval '4 minutes' - floor(random() ^ 3 * 12) * interval '70 hours',
		(ARRAY['page_view', 'page_view', 'form_submit', 'cta_click', 'content_download', 'call'])[1 + floor(random() * 6)],
		(ARRAY['a', 'a', 'a', 'b'])[1 + floor(random() * 4)]
	FROM generate_series(1, n) i
$$;
SELECT activities(800);

CALL model(1000, '30 days', 0, 60, 5);
CALL compare('clamped');
SELECT count(*) > 5 AS ties FROM (SELECT total FROM plain(1000, leadflow.now(), NULL) GROUP BY 1 HAVING count(*) > 1) t;
SELECT * FROM leadflow.verify();
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) SELECT 1 + i * 7, leadflow.now() - interval '1 hour', 'page_view', 'no' FROM generate_series(1, 10) i;
CALL compare('some said no');
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE random() < .1;
DELETE FROM leadflow.activities WHERE random() < .1;
DELETE FROM leadflow.leads WHERE id % 13 = 0;
CALL compare('voided and deleted');
SELECT * FROM leadflow.verify();

CALL model(1010, '10 days', -10, 1e6, 5);
CALL compare('not clamped');
CALL model(1020, '2 hours', 4, 5, 5);
CALL compare('clamped from both sides');
CALL model(1030, '30 days', 0, 1e6, -5);
CALL compare('negative points');
CALL model(1040, NULL, 0, 100, 5);
CALL compare('no decay');
CALL model(1050, '30 days', 0, 100, 5, '7 days');
CALL compare('two groups');
CALL model(1060, '7 seconds', -5, 40, 5);
CALL compare('seconds');
CALL model(1070, '1 microsecond', 0, 40, 5);
CALL compare('microseconds');
CALL model(1080, '36600 days', 0, 40, 5);
CALL compare('a century');
CALL model(1090, '30 days', 0, 60, 5, NULL, false);
CALL compare('no fit');
SELECT * FROM leadflow.verify();
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
CALL compare('no model');

CALL model(1100, '30 days', 0, 60, 5);
CALL compare('another model');

-- With an index that is there already
CREATE INDEX hottest ON leadflow.score_state (model_id, fit, heat NULLS FIRST);
CREATE PROCEDURE public.compare_now(what text) LANGUAGE plpgsql AS $$
DECLARE
	differ bigint;
	before CONSTANT bigint := pg_stat_get_xact_numscans('leadflow.hottest'::regclass);
BEGIN
	SELECT count(*) INTO differ FROM public.differences();
	-- it looks for rows of other models first
	RAISE WARNING '%: % differences, the index is %', what, differ,
		CASE WHEN pg_stat_get_xact_numscans('leadflow.hottest'::regclass) - before <= 2 * 25 THEN 'not used' ELSE 'used' END;
END $$;
-- Rows of another model are computed anew; the index does not know what they are worth.
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.score_state SET model_id = 1000, heat = -lead_id, fit = lead_id WHERE lead_id % 5 = 0;
SET LOCAL session_replication_role = origin;
CALL compare_now('some outdated');
SET LOCAL session_replication_role = replica;
UPDATE leadflow.score_state SET model_id = NULL WHERE model_id = 1000;
SET LOCAL session_replication_role = origin;
CALL compare_now('some without a model');
SET LOCAL session_replication_role = replica;
UPDATE leadflow.score_state SET model_id = 1100, sums = '{}' WHERE model_id IS NULL;
SET LOCAL session_replication_role = origin;
CALL compare_now('some of no shape');
ROLLBACK;

-- More fits than are merged
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.score_state SET fit = lead_id / 10.0;
SET LOCAL session_replication_role = origin;
CALL compare_now('many fits');
ROLLBACK;

-- Within a transaction: what is not flushed counts, what is flushed is in the index.
BEGIN;
SELECT activities(50);
CALL compare_now('not flushed');
SELECT leadflow.settle();
CALL compare_now('flushed');
ROLLBACK;

DROP INDEX leadflow.hottest;

-- An index that does not fit is not used: order, columns, partial, not valid.
CREATE FUNCTION public.uses(definition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	used boolean;
BEGIN
	EXECUTE format('CREATE INDEX hottest ON leadflow.score_state %s', definition);
	PERFORM FROM leadflow.hottest(3);
	used := pg_stat_get_xact_numscans('leadflow.hottest'::regclass) > 0;
	DROP INDEX leadflow.hottest;
	RETURN used;
END $$;
SELECT definition, uses(definition) FROM unnest(ARRAY['(model_id, fit, heat NULLS FIRST)', '(model_id, fit, heat NULLS FIRST, lead_id)',
	'(model_id, fit, heat NULLS FIRST) INCLUDE (sums)', '(model_id, fit, heat)', '(fit, heat NULLS FIRST)', '(model_id, fit DESC, heat NULLS FIRST)',
	'(model_id, fit, heat NULLS FIRST) WHERE heat IS NOT NULL', '(model_id, fit, (heat + 0) NULLS FIRST)']) definition;

-- Who may not see a lead does not find it; rights are those of the caller.
CREATE ROLE regress_leadflow_hottest;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_hottest;
GRANT SELECT ON leadflow.leads, leadflow.score_state, leadflow.stages TO regress_leadflow_hottest;
SET ROLE regress_leadflow_hottest;
SELECT * FROM leadflow.hottest(1);
RESET ROLE;
GRANT SELECT ON ALL TABLES IN SCHEMA leadflow TO regress_leadflow_hottest;
REVOKE SELECT ON leadflow.score_state FROM regress_leadflow_hottest;
SET ROLE regress_leadflow_hottest;
SELECT * FROM leadflow.hottest(1);
RESET ROLE;
REVOKE SELECT ON leadflow.leads FROM regress_leadflow_hottest;
GRANT SELECT ON leadflow.score_state TO regress_leadflow_hottest;
SET ROLE regress_leadflow_hottest;
SELECT * FROM leadflow.hottest(1);
SELECT * FROM leadflow.hottest(1, owner_id => 1);
RESET ROLE;
GRANT SELECT ON leadflow.leads TO regress_leadflow_hottest;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON leadflow.leads USING (id % 7 = 3);
CREATE INDEX hottest ON leadflow.score_state (model_id, fit, heat NULLS FIRST);
SET ROLE regress_leadflow_hottest;
SELECT count(*) AS differ FROM differences();
SELECT count(*) AS all_of_them, bool_and(lead_id % 7 = 3) AS mine FROM leadflow.hottest(1000);
RESET ROLE;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
DROP POLICY few ON leadflow.leads;
DROP OWNED BY regress_leadflow_hottest;
DROP ROLE regress_leadflow_hottest;

-- Columns, and arguments
SELECT * FROM leadflow.hottest(3);
SELECT lead_id, owner FROM leadflow.hottest(2, leadflow.now(), 2);
SELECT count(*) FROM leadflow.hottest(NULL);
SELECT count(*) FROM leadflow.hottest(-1);
SELECT count(*) FROM leadflow.hottest(1, NULL);
SELECT count(*) FROM leadflow.hottest(1, 'infinity');
SELECT count(*) = (SELECT count(*) FROM plain(1000, leadflow.now(), NULL)) AS all_in_play FROM leadflow.hottest(2147483647);
SELECT lead_id FROM leadflow.hottest(5) LIMIT 1;
BEGIN READ ONLY;
DECLARE c CURSOR FOR SELECT lead_id FROM leadflow.hottest(3);
FETCH 1 FROM c;
COMMIT;
-- A heat that is wrong or missing is found and repaired.
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.score_state SET heat = CASE lead_id WHEN 19 THEN heat + 1e-6 END WHERE lead_id IN (16, 19);
COMMIT;
SELECT check_name, object_id FROM leadflow.verify() ORDER BY 1, 2;
SELECT check_name, object_id FROM leadflow.reconcile() ORDER BY 1, 2;
SELECT check_name, object_id FROM leadflow.verify();
-- Beside another that is open, and on tables that are empty
SELECT a.lead_id = b.lead_id AS same FROM leadflow.hottest(2) WITH ORDINALITY a (lead_id, score, full_name, company, stage, owner, place)
JOIN leadflow.hottest(2) WITH ORDINALITY b (lead_id, score, full_name, company, stage, owner, place) USING (place);
DELETE FROM leadflow.leads;
SELECT * FROM leadflow.hottest(3);
SELECT * FROM leadflow.verify();
