--
-- The life of a scoring model: draft, agreed by both teams, active, retired; a model as a
-- document, in words, and against another one.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';

INSERT INTO leadflow.team_members (id, full_name, email, team, active) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true), (12, 'Max', 'max@our.example', 'marketing', true),
	(21, 'Sam', 'sam@our.example', 'sales', true), (22, 'Old', 'old@our.example', 'sales', false),
	(31, 'Lea', 'lea@our.example', 'leadership', true);

-- What a statement is refused with; "ok", and undone, where it isn't.
CREATE FUNCTION public.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	name text;
	message text;
BEGIN
	EXECUTE statement;
	RAISE 'ok' USING ERRCODE = 'P0099';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, name = CONSTRAINT_NAME, message = MESSAGE_TEXT;
	RETURN CASE state WHEN 'P0099' THEN 'ok' ELSE concat_ws(' ', state, nullif(name, ''), message) END;
END $$;
CREATE VIEW public.models AS
SELECT m.id, m.name, m.version, m.status, m.activated_at, m.retired_at,
	(SELECT string_agg(format('%s %s', a.team, a.member_id), ', ' ORDER BY a.team) FROM leadflow.scoring_approvals a WHERE a.model_id = m.id) AS approvals
FROM leadflow.scoring_models m;

--
-- From the starter to a model of one's own
--
SELECT id, name, version, status, activated_at IS NOT NULL AS active_since, retired_at, approvals FROM models;
SELECT leadflow.clone_model(1) AS copy \gset
SELECT * FROM models WHERE id = :copy;
SELECT * FROM leadflow.model_diff(1, :copy);
UPDATE leadflow.scoring_rules SET points = 15 WHERE model_id = :copy AND name = 'webinar attended';
SELECT * FROM leadflow.model_diff(1, :copy);
-- not without both teams
\set VERBOSITY default
SELECT leadflow.activate_model(:copy);
SELECT leadflow.approve_model(:copy, 'marketing', 11);
SELECT leadflow.activate_model(:copy);
\set VERBOSITY terse
SET leadflow.clock = '2026-03-02 10:00Z';
SELECT leadflow.approve_model(:copy, 'marketing', 11), leadflow.approve_model(:copy, 'marketing', 12);
SELECT leadflow.approve_model(:copy, 'sales', 21);
SELECT team, member_id, approved_at FROM leadflow.scoring_approvals WHERE model_id = :copy ORDER BY team;
-- again: nothing happens, the older date stays
SET leadflow.clock = '2026-03-02 11:00Z';
SELECT leadflow.approve_model(:copy, 'sales', 21), leadflow.approve_model(:copy, 'sales', 31);
SELECT * FROM models WHERE id = :copy;
INSERT INTO leadflow.leads (id, email) VALUES (1, 'one@x.example'), (2, 'two@x.example');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, 'webinar_attended', leadflow.now()), (1, 'page_view', '2026-02-20 09:00Z');
SELECT lead_id, round(score::numeric, 6) AS score, model_id FROM leadflow.lead_scores ORDER BY 1;
SELECT leadflow.activate_model(:copy) AS leads;
SELECT lead_id, round(score::numeric, 6) AS score, model_id FROM leadflow.lead_scores ORDER BY 1;
SELECT id, status, activated_at = leadflow.now() AS from_now, retired_at, approvals FROM models ORDER BY id;
\set VERBOSITY default
UPDATE leadflow.scoring_rules SET points = 16 WHERE model_id = :copy AND name = 'webinar attended';
SELECT leadflow.approve_model(:copy, 'marketing', 11);
SELECT leadflow.activate_model(:copy);
SELECT leadflow.activate_model(1);
\set VERBOSITY terse

--
-- Who approves
--
SELECT leadflow.clone_model(:copy) AS draft \gset
SELECT refused(format('SELECT leadflow.approve_model(%s)', a)) FROM unnest(ARRAY['NULL, ''sales'', 21', '3, NULL, 21', '3, ''sales'', NULL',
	'99, ''sales'', 21', '3, ''leadership'', 31', '3, ''Sales'', 21', '3, ''sales'', 99', '3, ''sales'', 22', '3, ''sales'', 11', '3, ''marketing'', 21',
	'1, ''sales'', 21', '2, ''sales'', 21', '3, ''sales'', 31']) a;
SELECT leadflow.approve_model(:draft, 'marketing', 31);
SELECT refused('SELECT leadflow.approve_model(3, ''sales'', 31)');
SELECT refused('SELECT leadflow.activate_model(NULL)'), refused('SELECT leadflow.activate_model(99)');
-- who approved stays
SELECT refused('DELETE FROM leadflow.team_members WHERE id = 31');
-- approvals are leadflow's
SELECT refused(format('%s leadflow.scoring_approvals %s', split_part(s, '|', 1), split_part(s, '|', 2))) FROM unnest(ARRAY[
	'INSERT INTO|VALUES (3, ''sales'', 21, now())', 'UPDATE|SET member_id = 11', 'DELETE FROM|', 'TRUNCATE|']) s;

--
-- Edits: of an agreed model each withdraws the approvals, of one in force none passes
--
SELECT leadflow.approve_model(:draft, 'sales', 21);
CREATE TABLE edits (n integer GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO edits (statement) VALUES
	('UPDATE leadflow.scoring_models SET mql_threshold = mql_threshold + 1 WHERE id = $m'),
	('UPDATE leadflow.scoring_models SET mql_definition = NULL WHERE id = $m'),
	('UPDATE leadflow.scoring_models SET name = ''renamed'' WHERE id = $m'),
	('UPDATE leadflow.scoring_models SET required_fields = ''{email}'' WHERE id = $m'),
	('UPDATE leadflow.scoring_models SET cool_down = ''1 day'' WHERE id = $m'),
	('INSERT INTO leadflow.scoring_groups (model_id, name, axis) VALUES ($m, ''new'', ''engagement'')'),
	('UPDATE leadflow.scoring_groups SET half_life = NULL WHERE model_id = $m'),
	('DELETE FROM leadflow.scoring_groups WHERE model_id = $m AND name = ''intent'''),
	('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) SELECT $m, min(id), ''new'', ''page_view'', 1 FROM leadflow.scoring_groups WHERE model_id = $m AND axis = ''engagement'''),
	('UPDATE leadflow.scoring_rules SET condition = ''$.content == "x"'' WHERE model_id = $m AND name = ''pricing page'''),
	('UPDATE leadflow.scoring_rules SET points = points + 1e-9 WHERE model_id = $m'),
	('DELETE FROM leadflow.scoring_rules WHERE model_id = $m AND name = ''page view'''),
	('INSERT INTO leadflow.personas (model_id, name) VALUES ($m, ''new'')'),
	('UPDATE leadflow.personas SET name = name || ''x'' WHERE model_id = $m'),
	('DELETE FROM leadflow.personas WHERE model_id = $m'),
	('INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) SELECT min(id), ''new'', ''$.email'', 1 FROM leadflow.personas WHERE model_id = $m'),
	('UPDATE leadflow.persona_criteria SET points = 1 FROM leadflow.personas p WHERE p.id = persona_id AND p.model_id = $m'),
	('DELETE FROM leadflow.persona_criteria USING leadflow.personas p WHERE p.id = persona_id AND p.model_id = $m'),
	('INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES ($m, ''new'', ''lead'', ''$.x'', ''x'')'),
	('UPDATE leadflow.disqualifiers SET reason = ''another'' WHERE model_id = $m'),
	('DELETE FROM leadflow.disqualifiers WHERE model_id = $m'),
	('MERGE INTO leadflow.scoring_rules r USING (VALUES (1)) v ON r.model_id = $m AND r.name = ''page view'' WHEN MATCHED THEN UPDATE SET active = false');
CREATE FUNCTION public.after_edit(model bigint, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE replace(statement, '$m', model::text);
	SELECT concat_ws(' ', m.status, m.approvals) INTO found FROM models m WHERE m.id = model;
	RAISE '%', found USING ERRCODE = 'P0099';
EXCEPTION
	WHEN SQLSTATE 'P0099' THEN RETURN SQLERRM;
	WHEN check_violation THEN GET STACKED DIAGNOSTICS found = CONSTRAINT_NAME; RETURN found;
END $$;
SELECT after_edit(3, statement) AS agreed, after_edit(2, statement) AS active, after_edit(1, statement) AS retired, count(*) AS edits,
	min(statement) AS such_as
FROM edits GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT n, after_edit(3, statement), statement FROM edits WHERE after_edit(3, statement) <> 'draft' ORDER BY n;
-- what changes nothing withdraws nothing, and passes
SELECT after_edit(3, s) AS agreed, after_edit(2, s) AS active, s FROM unnest(ARRAY['UPDATE leadflow.scoring_models SET mql_threshold = mql_threshold, status = status WHERE id = $m',
	'UPDATE leadflow.scoring_rules SET condition = condition, points = points WHERE model_id = $m', 'UPDATE leadflow.persona_criteria SET points = points',
	'DELETE FROM leadflow.scoring_rules WHERE model_id = $m AND name = ''no such''', 'UPDATE leadflow.scoring_groups SET name = name WHERE model_id = $m']) s;
-- moved from one to another: an edit of both
SELECT leadflow.clone_model(3, 'target') AS other \gset
SELECT leadflow.approve_model(:other, 'sales', 21);
BEGIN;
UPDATE leadflow.disqualifiers SET model_id = :other, name = 'moved' WHERE model_id = :draft AND name = 'student';
SELECT id, status, approvals FROM models WHERE id IN (:draft, :other) ORDER BY id;
ROLLBACK;
BEGIN;
UPDATE leadflow.persona_criteria SET persona_id = (SELECT max(id) FROM leadflow.personas WHERE model_id = :other), name = 'moved'
WHERE id = (SELECT min(c.id) FROM leadflow.persona_criteria c JOIN leadflow.personas p ON p.id = c.persona_id WHERE p.model_id = :draft);
SELECT id, status, approvals FROM models WHERE id IN (:draft, :other) ORDER BY id;
ROLLBACK;
SELECT refused('UPDATE leadflow.disqualifiers SET model_id = 3, name = ''moved'' WHERE model_id = 2 AND name = ''student'''),
	refused('UPDATE leadflow.disqualifiers SET model_id = 2, name = ''moved'' WHERE model_id = 3 AND name = ''student''');
-- rolled back: as if nobody had edited
BEGIN;
SAVEPOINT a;
UPDATE leadflow.scoring_rules SET points = 1 WHERE model_id = :draft;
SELECT status, approvals FROM models WHERE id = :draft;
ROLLBACK TO a;
SELECT status, approvals FROM models WHERE id = :draft;
COMMIT;
-- deleted whole: a draft or an agreed one goes with its approvals, what was in force stays
SELECT after_edit(m, 'DELETE FROM leadflow.scoring_models WHERE id = $m') FROM unnest('{1,2,3}'::bigint[]) m;
BEGIN;
DELETE FROM leadflow.scoring_models WHERE id = :other;
SELECT count(*) FROM leadflow.scoring_approvals WHERE model_id = :other;
ROLLBACK;
-- emptied
SELECT t, refused('TRUNCATE leadflow.' || t || ' CASCADE')
FROM unnest('{scoring_groups,scoring_rules,personas,persona_criteria,disqualifiers}'::text[]) t;
BEGIN;
\i test/fixtures/thaw.sql
DELETE FROM leadflow.scoring_models WHERE status IN ('active', 'retired');
TRUNCATE leadflow.disqualifiers;
SELECT id, status, approvals FROM models ORDER BY id;
ROLLBACK;

--
-- Status, written by hand
--
SELECT s AS status, refused(format('UPDATE leadflow.scoring_models SET status = %L WHERE id = 1', s)) AS retired,
	refused(format('UPDATE leadflow.scoring_models SET status = %L WHERE id = 2', s)) AS active
FROM unnest('{draft,agreed,active,retired}'::text[]) s;
SELECT s AS status, refused(format('UPDATE leadflow.scoring_models SET status = %L WHERE id = 3', s)) AS agreed,
	refused(format('UPDATE leadflow.scoring_models SET status = %L WHERE id = 4', s)) AS draft,
	refused(format('INSERT INTO leadflow.scoring_models (name, status) VALUES (''new'', %L)', s)) AS new
FROM unnest('{draft,agreed,active,retired}'::text[]) s;
SELECT refused('UPDATE leadflow.scoring_models SET status = ''active'', mql_threshold = 1 WHERE id = 3') AS edited_at_once,
	refused('UPDATE leadflow.scoring_models SET status = ''retired'', mql_threshold = 1 WHERE id = 2') AS frozen,
	refused('UPDATE leadflow.scoring_models SET activated_at = now() WHERE id = 3') AS since,
	refused('INSERT INTO leadflow.scoring_models (name, retired_at) VALUES (''x'', now())') AS until;
-- the two statements that activate_model() runs
BEGIN;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = :draft;
SELECT id, status, activated_at = leadflow.now() AS from_now, retired_at = leadflow.now() AS until_now FROM models ORDER BY id;
ROLLBACK;
-- none in force
BEGIN;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
SELECT subject, definition, since_at, agreed_by_marketing, model_id FROM leadflow.definitions_in_force WHERE subject IN ('mql', 'sql') ORDER BY position;
SELECT count(*) FROM leadflow.scorecard();
SELECT leadflow.activate_model(:draft);
SELECT id, status FROM models ORDER BY id;
ROLLBACK;

--
-- Roles
--
DROP ROLE IF EXISTS lfm_reader, lfm_reviewer, lfm_marketing, lfm_sales, lfm_app, lfm_admin, lfm_mia, lfm_sam, lfm_crm, lfm_dba, lfm_rules;
SELECT count(*) FROM leadflow.setup_roles('lfm');
CREATE ROLE lfm_mia IN ROLE lfm_marketing;
CREATE ROLE lfm_sam IN ROLE lfm_sales;
CREATE ROLE lfm_crm IN ROLE lfm_app;
CREATE ROLE lfm_dba IN ROLE lfm_admin;
CREATE ROLE lfm_rules IN ROLE lfm_reader;
GRANT UPDATE ON leadflow.scoring_rules TO lfm_rules;
UPDATE leadflow.team_members SET db_role = 'lfm_mia' WHERE id = 11;
UPDATE leadflow.team_members SET db_role = 'lfm_sam' WHERE id = 21;
SELECT p.proname, string_agg(substr(r.rolname, 5), ', ' ORDER BY r.rolname) AS callers
FROM pg_proc p JOIN pg_roles r ON r.rolname IN ('lfm_reader', 'lfm_reviewer', 'lfm_marketing', 'lfm_sales', 'lfm_app', 'lfm_admin')
	AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
WHERE p.pronamespace = 'leadflow'::regnamespace AND p.provolatile = 'v' AND p.proname ~ 'model' GROUP BY 1 ORDER BY 1;
-- a role that may edit rules needs no right to models or approvals
GRANT SELECT ON models TO lfm_reader;
SET ROLE lfm_rules;
BEGIN;
UPDATE leadflow.scoring_rules SET points = 2 WHERE model_id = :draft AND name = 'page view';
SELECT status, approvals FROM models WHERE id = :draft;
UPDATE leadflow.scoring_rules SET points = 2 WHERE model_id = 2;
ROLLBACK;
SELECT leadflow.approve_model(:draft, 'sales', 21);
SELECT leadflow._do_approve_model(:draft, 'sales', 21);
RESET ROLE;
-- a member approves as such and for nobody else; an application for everybody; the administrator builds and activates
SET ROLE lfm_dba;
SELECT leadflow.clone_model(:draft, 'ours') AS ours \gset
UPDATE leadflow.scoring_models SET mql_threshold = 45 WHERE id = :ours;
\set VERBOSITY default
SELECT leadflow.approve_model(:ours, 'marketing', 11);
\set VERBOSITY terse
SET ROLE lfm_mia;
SELECT leadflow.approve_model(:ours, 'marketing', 12);
SELECT leadflow.approve_model(:ours, 'marketing', 999);
SELECT leadflow.approve_model(:ours, 'sales', 11);
SELECT leadflow.approve_model(:ours, 'marketing', 11);
SELECT leadflow.clone_model(:ours);
SELECT leadflow.activate_model(:ours);
SET ROLE lfm_crm;
SELECT leadflow.approve_model(:ours, 'sales', 21);
SELECT leadflow.activate_model(:ours);
SET ROLE lfm_dba;
BEGIN;
SELECT leadflow.activate_model(:ours) AS leads;
ROLLBACK;
SET ROLE lfm_reader;
SELECT jsonb_typeof(leadflow.model_document(:ours)), (SELECT count(*) > 20 FROM leadflow.scorecard(:ours)), (SELECT count(*) FROM leadflow.definitions_in_force);
SELECT part, property, in_a, in_b FROM leadflow.model_diff(:draft, :ours);
RESET ROLE;
-- the right of a function's owner is nobody's
CREATE FUNCTION definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT leadflow.approve_model(4, 'marketing', 11) $$;
SET ROLE lfm_sam;
SELECT definer();
RESET ROLE;
DROP FUNCTION definer;

--
-- A model as a document
--
\pset format unaligned
SELECT jsonb_pretty(leadflow.model_document(1) - '{groups,personas,disqualifiers}'::text[]);
SELECT leadflow.model_document(1) #> '{groups,2,rules,0}', leadflow.model_document(1) #> '{personas,1}';
-- odd values survive
INSERT INTO leadflow.scoring_models (id, name, mql_threshold, handoff_threshold, min_fit_grade, hand_raise_min_grade, required_fields, max_score, hot_from,
	warm_from, grade_cutoffs, cool_down, requalify_points, mql_definition) VALUES
	(990, E'naïve "größe" \\ 模型\n☃', 5e-324, 0.1, 'B', 'C', '{email,"odd \"key\", é"}', 1e9, 1e-300, 2.2250738585072014e-308, '{.9,.30000000000000004,-1e-7}',
	'1 day 02:03:04.000005', 0, '');
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points, half_life) VALUES
	(991, 990, 'fit', 'fit', -1e9, 1e9, NULL), (993, 990, 'late', 'engagement', 0, 1, '1 microsecond'), (992, 990, '$.rules[0]', 'engagement', -0.0, 1e-310, '36600 days');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per, hand_raise, active) VALUES
	(990, 992, 'quotes', 'page_view', '$.content like_regex "\"a\\\\b\" \u00e9" flag "i" && $."odd \"key\"" == "\u2603''"', 0.1, 3, 'day', '$.content', false, true),
	(990, 993, 'off', 'never registered', 'strict $.properties.a[last] ? (@ > 1.50)', -1e-5, 2147483647, NULL, NULL, true, false);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (995, 990, 'b'), (994, 990, 'z'), (996, 990, 'a');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (995, 'x', '$.company_size >= 50', 1e-5), (994, 'x', 'exists($.email)', 3);
INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES (990, 'z', 'activity', '$.properties.bot == true', 'bot'), (990, 'a', 'lead', '$.a', 'é');
SELECT d - '{groups,disqualifiers,hot_from,warm_from,mql_threshold}'::text[], d #> '{groups,1,rules}', d #> '{groups,2}', d -> 'disqualifiers' FROM leadflow.model_document(990) d;
-- in one statement, too
SELECT leadflow.model_document(leadflow.load_model(d)) - '{version,status}'::text[] = d - '{version,status}'::text[] AS same FROM leadflow.model_document(990) d;
SET extra_float_digits = -3;
SET intervalstyle = sql_standard;
SELECT leadflow.load_model(leadflow.model_document(990)) AS loaded \gset
SELECT leadflow.model_document(:loaded) - '{version,status}'::text[] = leadflow.model_document(990) - '{version,status}'::text[] AS same,
	leadflow.model_document(:loaded) ->> 'version' AS version, leadflow.model_document(:loaded) ->> 'status' AS status;
RESET extra_float_digits;
RESET intervalstyle;
SELECT a.mql_threshold = b.mql_threshold AND a.warm_from = b.warm_from AND a.grade_cutoffs = b.grade_cutoffs AND a.cool_down = b.cool_down AS exact
FROM leadflow.scoring_models a, leadflow.scoring_models b WHERE a.id = 990 AND b.id = :loaded;
SELECT * FROM leadflow.model_diff(990, :loaded);
SELECT count(*) FROM leadflow.model_diff(1, leadflow.clone_model(1, 'copy of the starter'));
SELECT name, version, status FROM leadflow.scoring_models WHERE name IN ('starter', 'copy of the starter') ORDER BY 1, 2;
-- the order of personas and disqualifiers decides ties
SELECT array_agg(name ORDER BY id) AS personas FROM leadflow.personas WHERE model_id = :loaded;
-- what is left out is as the columns say
SELECT leadflow.load_model('{"name": "plain", "groups": [{"name": "g", "axis": "engagement", "rules": [{"name": "r", "activity_kind": "k", "points": 1}]}], "personas": [], "disqualifiers": []}') AS plain \gset
INSERT INTO leadflow.scoring_models (id, name) VALUES (980, 'plain by hand');
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis) VALUES (981, 980, 'g', 'engagement');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) VALUES (980, 981, 'r', 'k', 1);
SELECT * FROM leadflow.model_diff(:plain, 980);
-- what is wrong is named by its path, and nothing stays
CREATE FUNCTION loads(path text[], value jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT refused(format('SELECT leadflow.load_model(%L)', CASE WHEN value IS NULL THEN leadflow.model_document(1) #- path
		ELSE jsonb_set(leadflow.model_document(1), path, value) END))
$$;
SELECT p.path, left(p.value::text, 20) AS value, loads(p.path, p.value) FROM (VALUES ('{name}'::text[], NULL::jsonb), ('{name}', '1'), ('{name}', 'null'), ('{nam}', '"x"'), ('{id}', '1'), ('{groups}', NULL),
	('{groups}', '{}'), ('{groups,1}', '7'), ('{groups,1,rules}', NULL), ('{groups,1,rules,3,points}', NULL), ('{groups,1,rules,3,points}', '"5"'),
	('{groups,1,rules,3,points}', '"Infinity"'), ('{groups,1,rules,3,points}', '1e999'), ('{groups,1,rules,3,points}', 'null'), ('{groups,1,rules,3,point}', '1'),
	('{groups,1,rules,3,max_count}', '1.5'), ('{groups,1,rules,3,max_count}', '3.0'), ('{groups,1,rules,3,max_count}', '99999999999'), ('{groups,1,rules,3,condition}', '"$.a >"'), ('{groups,1,rules,3,condition}', '"$.a == $x"'),
	('{groups,1,rules,3,condition}', '"$.a like_regex \"(\""'), ('{groups,1,rules,3,condition}', 'true'), ('{groups,1,rules,3,hand_raise}', '"yes"'), ('{groups,1,half_life}', '"1 month"'),
	('{groups,1,half_life}', '30'), ('{groups,1,half_life}', '"soon"'), ('{grade_cutoffs}', '[1, "x"]'), ('{grade_cutoffs}', '0.5'), ('{required_fields}', '["email", 1]'),
	('{required_fields}', '[["email"]]'), ('{cool_down}', '"a year"'), ('{version}', '"1"'), ('{personas,0,criteria}', NULL), ('{personas,0,criteria,0,condition}', NULL),
	('{personas,0,criteria,0,weight}', '2'), ('{disqualifiers,1,reason}', NULL), ('{disqualifiers,1,on_entity}', 'null'),
	-- the tables' own constraints
	('{grade_cutoffs}', '[1, 2, 3]'), ('{groups,0,axis}', '"intent"'), ('{groups,0,name}', '"content"'), ('{min_fit_grade}', '"E"'), ('{groups,1,rules,3,points}', '1e10'), ('{max_score}', '1e9')) p (path, value);
SELECT refused('SELECT leadflow.load_model(NULL)'), refused('SELECT leadflow.load_model(''null'')'), refused('SELECT leadflow.load_model(''[]'')'), refused('SELECT leadflow.load_model(''"x"'')');
SELECT refused('SELECT leadflow.model_document(NULL)'), refused('SELECT leadflow.model_document(99)'), refused('SELECT leadflow.clone_model(99)'),
	refused('SELECT * FROM leadflow.model_diff(1, 99)'), refused('SELECT * FROM leadflow.scorecard(99)');
SELECT refused('UPDATE leadflow.scoring_models SET grade_cutoffs = ''{Infinity,.5,.25}'' WHERE id = 990');
SELECT max(id) = :plain AS nothing_stayed FROM leadflow.scoring_models WHERE name = 'plain';
\pset format aligned

--
-- In words
--
SELECT leadflow._condition_text(p::jsonpath) AS words FROM unnest(ARRAY[
	'$.content like_regex "pricing" flag "i"', '$.content like_regex "pricing"', '$.content like_regex "^/pricing" flag "i"', '$.content like_regex "^(/a|/b)" flag "i"',
	'$.content like_regex "^/a|/b" flag "i"', '$.job_title like_regex "\\y(vp|head of|c[a-z]o)\\y" flag "i"', '$.job_title like_regex "\\yvp|cto\\y" flag "i"',
	'$.a like_regex "a.b" flag "i"', '$.a like_regex "a.b" flag "q"', '$.properties.amount > 100', '$.attributes.tools == "a && b"', '$.account.status == "cust\"omer"',
	'$.company_size >= 50 && ($.country == "DE" && $.budget < 1e5)', '$.a == 1 || $.b == 2', '!($.a == 1)', '$ ? (@.a > 1)', '$.a', '$', 'strict $.a == 1', '5 < $.a',
	'$.properties.a[*] > 1', '$.a <> true && $.b <= -1', '$.email == null', '($.a == 1) is unknown', '$."odd key".x starts with "y"']) p;
-- leads that a line has hit
INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'spring', 'Spring');
INSERT INTO leadflow.leads (id, email, job_title, company_size) VALUES (3, 'three@x.example', 'VP', 60), (4, 'four@x.example', 'student', 60), (5, 'five@x.example', 'VP', 70);
INSERT INTO leadflow.activities (lead_id, kind, content, occurred_at, voided_at, void_reason) VALUES
	(3, 'page_view', '/Pricing', '2026-02-27', NULL, NULL), (3, 'page_view', '/pricing', '2026-02-26', NULL, NULL), (4, 'page_view', '/', '2026-02-25', NULL, NULL),
	(5, 'page_view', '/pricing', '2026-01-01', NULL, NULL), (5, 'call', NULL, '2026-02-27', NULL, NULL),
	(1, 'page_view', '/pricing', '2026-02-20', leadflow.now(), 'bot');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per)
SELECT :draft, id, 'each page', 'page_view', '$.properties.n.double() > 1 || $.content starts with "/"', -1, 2, NULL, '$.content' FROM leadflow.scoring_groups
WHERE model_id = :draft AND name = 'intent';
UPDATE leadflow.scoring_rules SET active = false, max_count = 1, per = 'hour' WHERE model_id = :draft AND name = 'pricing page';
SELECT * FROM leadflow.scorecard(:draft) WHERE leads_30d > 0 OR rule = 'demo requested';
SELECT rule, leads_30d FROM leadflow.scorecard(:draft, '2026-01-01 00:00Z') WHERE leads_30d > 0;
SELECT count(*), count(when_text), count(leads_30d) FROM leadflow.scorecard();
SELECT (SELECT count(*) FROM leadflow.scorecard()) = (SELECT count(*) FROM leadflow.scorecard(2)) AS active_by_default;
\pset format unaligned
SELECT * FROM leadflow.model_diff(2, :draft);
SELECT * FROM leadflow.model_diff(990, 980) WHERE part <> 'model' AND name <> '$.rules[0]';

--
-- What is in force
--
SELECT subject, name, definition FROM leadflow.definitions_in_force ORDER BY position, name;
SELECT subject, since_at, agreed_by_marketing, agreed_by_sales, agreed_at, model, version FROM leadflow.definitions_in_force WHERE model_id IS NOT NULL;
BEGIN;
\i test/fixtures/thaw.sql
UPDATE leadflow.scoring_models SET mql_definition = NULL, sql_definition = NULL, min_fit_grade = 'B', hand_raise_min_grade = 'C', required_fields = '{email,job_title}',
	handoff_threshold = NULL, cool_down = '36 hours', requalify_points = 10 WHERE status = 'active';
DELETE FROM leadflow.disqualifiers WHERE model_id = 2;
UPDATE leadflow.sla_policies SET condition = '$.country == "DE"', calendar_id = NULL, warn_fraction = NULL, valid = '[2026-01-01,)' WHERE metric = 'time_to_accept';
UPDATE leadflow.sla_policies SET valid = '(,2026-01-01)' WHERE metric = 'time_to_first_touch';
SELECT subject, definition, since_at FROM leadflow.definitions_in_force WHERE subject IN ('mql', 'sql', 'service_level') ORDER BY position;
DELETE FROM leadflow.scoring_rules WHERE model_id = 2 AND hand_raise;
SELECT definition FROM leadflow.definitions_in_force WHERE subject = 'mql';
ROLLBACK;
SELECT agreed_by_marketing, agreed_by_sales FROM leadflow.definitions_in_force WHERE subject = 'mql';
\pset format aligned

--
-- History says which model a move was made with
--
INSERT INTO leadflow.leads (id, email) VALUES (6, 'six@x.example');
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (7, 'seven@x.example', 'accepted', '2026-02-01');
INSERT INTO leadflow.activities (lead_id, kind, id, occurred_at) VALUES (6, 'demo_request', '00000000-0000-0000-0000-000000000001', leadflow.now());
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 6;
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id = 6;
SELECT leadflow.activate_model(:ours) AS leads;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example' WHERE id = 6;
INSERT INTO leadflow.deals (lead_id, amount) VALUES (6, 10);
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2027-01-01', stage_by = 'sam@our.example' WHERE id = 7;
SELECT lead_id, from_stage, to_stage, team, model_id FROM leadflow.stage_history WHERE lead_id IN (6, 7) ORDER BY lead_id, id;
SELECT * FROM leadflow.verify();

DROP OWNED BY lfm_reader, lfm_reviewer, lfm_marketing, lfm_sales, lfm_app, lfm_admin, lfm_mia, lfm_sam, lfm_crm, lfm_dba, lfm_rules;
DROP ROLE lfm_reader, lfm_reviewer, lfm_marketing, lfm_sales, lfm_app, lfm_admin, lfm_mia, lfm_sam, lfm_crm, lfm_dba, lfm_rules;

-- What can never work is said, and not refused.
SELECT * FROM leadflow.model_problems(1);
INSERT INTO leadflow.scoring_models (id, name, mql_threshold, handoff_threshold, required_fields) VALUES (800, 'odd', 200, 10, '{emial,email,shoe_size}');
SELECT * FROM leadflow.model_problems(800);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis) VALUES (801, 800, 'all', 'engagement');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, condition, max_count, once_per) VALUES
	(800, 801, 'no such kind', 'pageview', 1, NULL, NULL, NULL), (800, 801, 'no engagement', 'note', 1, NULL, NULL, NULL),
	(800, 801, 'no such key', 'page_view', 1, '$.titel == "x" && $.properties.n > 1', 1, '$.url'), (800, 801, 'fine', 'page_view', 1, '$.content == "x"', NULL, NULL);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (802, 800, 'anybody');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (802, 'size', '$.companysize > 5', 1), (802, 'account', '$.account.status == "customer"', 1);
INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES (800, 'd', 'lead', '$.content == "x"', 'x');
SELECT * FROM leadflow.model_problems(800);
SELECT axis, rule, when_text, points, effect FROM leadflow.scorecard(800) WHERE axis = 'gate';
SELECT refused('SELECT * FROM leadflow.model_problems(99)');
