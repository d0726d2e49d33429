--
-- Scores: each rule of the definition by example, with the points worked out by hand.
--
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET extra_float_digits = -3;
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 12:00Z';	-- a Monday

\i test/fixtures/thaw.sql

-- A scratch model: everything goes to a group that neither decays nor clamps, until said otherwise.
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, mql_threshold, max_score) VALUES (900, 'scratch', 1e6, 1e6);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points) VALUES (901, 900, 'all', 'engagement', -1e6, 1e6);
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;

CREATE PROCEDURE public.rule(name text, points float8, condition jsonpath DEFAULT NULL, kind text DEFAULT 'page_view') LANGUAGE sql AS $$
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points) VALUES (900, 901, name, kind, condition, points);
$$;
CREATE PROCEDURE public.no_rules() LANGUAGE sql AS $$
	DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
	DELETE FROM leadflow.activities;
$$;
-- What one activity earns; nothing of it stays.
CREATE FUNCTION public.earns(content text, properties jsonb, campaign bigint DEFAULT NULL, kind text DEFAULT 'page_view') RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	earned float8;
BEGIN
	BEGIN
		INSERT INTO leadflow.activities (lead_id, kind, content, properties, campaign_id) VALUES (1, kind, content, properties, campaign);
		earned := leadflow.score(1);
		IF earned IS DISTINCT FROM (SELECT o.score FROM leadflow._oracle_scores(leadflow.now()) o WHERE o.lead_id = 1) THEN
			RAISE WARNING 'the oracle says otherwise';
		END IF;
		RAISE 'undo' USING ERRCODE = 'P0099';
	EXCEPTION WHEN SQLSTATE 'P0099' THEN
		RETURN earned;
	END;
END $$;
CREATE FUNCTION public.at(minutes float8) RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2026-03-02 12:00Z' + minutes * interval '1 minute' $$;
CREATE FUNCTION public.day(days float8) RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2026-03-02 12:00Z' + days * interval '24 hours' $$;

INSERT INTO leadflow.leads (id, email) SELECT i, 'lead' || i || '@x.example' FROM generate_series(1, 3) i;
INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'spring', 'Spring 2026'), (2, 'autumn', 'spring');

--
-- Rules and conditions
--
-- None: every activity of the kind, and every rule that matches
CALL rule('any', 1);
CALL rule('pricing', 10, '$.content == "/pricing"');
CALL rule('spring', 100, '$.campaign == "spring"');
CALL rule('download', 1000, NULL, 'content_download');
SELECT earns('/', NULL) AS any, earns('/pricing', NULL) AS pricing, earns('/pricing', '{}', 1) AS all_three,
	earns(NULL, NULL, 2) AS name_is_not_code, earns('/pricing', NULL, 1, 'form_submit') AS other_kind, earns('/pricing', NULL, 1, 'faxed') AS no_kind;
UPDATE leadflow.scoring_rules SET active = false WHERE name = 'any' AND model_id = 900;
SELECT earns('/pricing', NULL) AS inactive;

-- A predicate and a filter mean the same.
CALL no_rules();
CALL rule('predicate', 1, '$.properties.a > 1');
CALL rule('filter', 10, '$ ? (@.properties.a > 1)');
CALL rule('deeper filter', 100, '$.properties ? (@.a > 1)');
CALL rule('values', 1000, '$.properties.a ? (@ > 1)');
SELECT p AS properties, earns(NULL, p::jsonb) FROM unnest(ARRAY[NULL, '{}', '{"a": 2}', '{"a": 1}', '{"a": null}', '{"a": "2"}', '{"a": true}',
	'{"a": [0, 2]}', '{"a": [2, 0]}', '{"a": ["x", 2]}', '{"a": {"a": 2}}', '[{"a": 2}]', '[]', 'null', '2']) p;
-- strict: an error on data is no match
CALL no_rules();
CALL rule('strict', 1, 'strict $.properties.a > 1');
CALL rule('strict path', 10, 'strict $.properties.a.b');
CALL rule('not', 100, '!($.properties.a > 1)');
CALL rule('unknown', 1000, '($.properties.a > 1) is unknown');
CALL rule('divided', 10000, '10 / $.properties.a == 5');
SELECT p AS properties, earns(NULL, p::jsonb) FROM unnest(ARRAY[NULL, '{}', '{"a": 2}', '{"a": 0}', '{"a": "2"}', '{"a": [2]}', '{"a": {"b": 1}}', '[1]']) p;
-- A path that is no predicate: any item but false and null
CALL no_rules();
CALL rule('path', 1, '$.properties.a');
CALL rule('items', 10, '$.properties.a[*]');
CALL rule('exists', 100, 'exists($.properties.a)');
CALL rule('equal', 1000, '$.properties.a == true');
SELECT p AS properties, earns(NULL, p::jsonb) FROM unnest(ARRAY[NULL, '{}', '{"a": true}', '{"a": false}', '{"a": null}', '{"a": 0}', '{"a": ""}', '{"a": []}',
	'{"a": [false, null]}', '{"a": [false, 1]}', '{"a": {}}']) p;
-- Constants
CALL no_rules();
CALL rule('true', 1, 'true');
CALL rule('false', 10, 'false');
CALL rule('null', 100, 'null');
CALL rule('zero', 1000, '0');
CALL rule('root', 10000, '$');
SELECT earns(NULL, NULL);
-- Methods, arithmetic, regular expressions
CALL no_rules();
CALL rule('regex', 1, '$.content like_regex "^/PRICING(/|$)" flag "i"');
CALL rule('starts', 10, '$.content starts with "/pricing"');
CALL rule('number in a string', 100, '$.properties.amount.double() >= 1000.5');
CALL rule('size', 1000, '$.properties.items.size() > 2');
CALL rule('type', 10000, '$.properties.amount.type() == "number"');
CALL rule('anywhere', 100000, '$.properties.**.vip == true');
SELECT c AS content, p AS properties, earns(c, p::jsonb)
FROM (VALUES ('/pricing', NULL), ('/pricing/x', NULL), ('/Pricing', NULL), ('/pricings', NULL), ('x /pricing', NULL), (NULL, NULL),
	(NULL, '{"amount": "1000.5"}'), (NULL, '{"amount": "lots"}'), (NULL, '{"amount": 1e400}'), (NULL, '{"items": [1, 2, 3]}'), (NULL, '{"items": 3}'),
	(NULL, '{"a": {"b": [{"c": {"vip": true}}]}}'), (NULL, '{"vip": "true"}')) t (c, p);
-- Times do not depend on the session's time zone.
CALL no_rules();
CALL rule('date', 1, '$.properties.at.datetime() >= "2026-03-01".datetime()');
CALL rule('instant', 10, '$.properties.at.datetime() >= "2026-03-01T00:00:00+02:00".datetime()');
CREATE TEMP VIEW dates AS SELECT p AS at, earns(NULL, jsonb_build_object('at', p))
FROM unnest('{2026-03-01,2026-02-28,2026-02-28T22:00:00,2026-02-28T21:59:59,2026-02-28T22:00:00+00:00,2026-03-01T00:00:00+03:00,soon,2026-02-30}'::text[]) p;
SELECT * FROM dates;
SET timezone = 'Pacific/Auckland';
SELECT * FROM dates;
SET timezone = 'America/Los_Angeles';
SET datestyle = 'SQL, DMY';
SELECT * FROM dates;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
-- Fractions, and points below zero
CALL no_rules();
CALL rule('tenth', 0.1);
CALL rule('spam', -2.5, '$.content == "spam"');
UPDATE leadflow.scoring_models SET max_score = 100 WHERE id = 900;
SELECT earns('x', NULL), earns('spam', NULL);
INSERT INTO leadflow.activities (lead_id, kind, content) SELECT 1, 'page_view', 'x' FROM generate_series(1, 30);
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (1, 'page_view', 'spam');
SELECT lead_id, score, engagement FROM leadflow.lead_scores ORDER BY 1;
SELECT * FROM leadflow.explain_score(1) ORDER BY 2, 3;
SELECT * FROM leadflow.verify();

--
-- Groups: decay, bounds, the total
--
-- 8 points that halve in 10 days
CALL no_rules();
UPDATE leadflow.scoring_groups SET half_life = '10 days' WHERE id = 901;
CALL rule('page', 8);
CALL rule('negative', -4, NULL, 'form_submit');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, 'page_view', day(-20)), (2, 'page_view', day(0)), (3, 'page_view', day(-10)), (3, 'form_submit', day(0));
SELECT lead_id, score FROM leadflow.lead_scores ORDER BY 1;
SELECT t AS days, leadflow.score(1, day(t)) AS one, leadflow.score(2, day(t)) AS two, leadflow.score(3, day(t)) AS three
FROM unnest('{-21,-20,-15,-10,-5,0,5,10,20,100,10000}'::float8[]) t;
SELECT leadflow.score(1, day(-20) - interval '1 us') AS before, leadflow.score(1, day(-20)) AS at;
-- exactly: 86,400 seconds a day, whatever the session thinks of daylight saving time
SET timezone = 'America/New_York';
SELECT leadflow.score(2, day(10)) AS half;
SET timezone = 'UTC';
SELECT name, source, activities, points FROM leadflow.explain_score(3) ORDER BY 2, 1;
SELECT * FROM leadflow.verify();
-- From an hour to decades; the sum is right wherever the origin is.
UPDATE leadflow.scoring_groups SET half_life = '1 hour' WHERE id = 901;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (2, 'page_view', '1970-01-01'), (2, 'page_view', '1999-12-31 23:00Z'), (2, 'page_view', at(-60)), (2, 'page_view', at(-180));
SELECT leadflow.score(2) AS now, leadflow.score(2, at(60)) AS later, leadflow.score(2, '2000-01-01 00:00Z') AS then, leadflow.score(2, '1970-01-01 02:00Z') AS long_ago;
UPDATE leadflow.scoring_groups SET half_life = '3652 days 12 hours' WHERE id = 901;
SELECT leadflow.score(2) AS now, leadflow.score(2, leadflow.now() + interval '3652 days 12 hours') AS in_ten_years;
SELECT * FROM leadflow.verify();
-- Bounds of a group hold for its sum, those of the total for the sum of the groups.
CALL no_rules();
UPDATE leadflow.scoring_groups SET half_life = NULL, min_points = -5, max_points = 30 WHERE id = 901;
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points) VALUES (902, 900, 'second', 'engagement', 2, 90);
CALL rule('up', 20);
CALL rule('down', -20, NULL, 'form_submit');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) VALUES (900, 902, 'second', 'content_download', 45);
SELECT lead_id, score, engagement FROM leadflow.lead_scores ORDER BY 1;	-- never less than 2
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view'), (1, 'page_view'), (1, 'form_submit'), (2, 'form_submit'),
	(3, 'page_view'), (3, 'page_view'), (3, 'content_download'), (3, 'content_download');
SELECT lead_id, score, engagement FROM leadflow.lead_scores ORDER BY 1;	-- 20 + 2, -5 + 2, 30 + 90
SELECT l.id, e.* FROM leadflow.leads l, leadflow.explain_score(l.id) e ORDER BY 1, 2, 3, 4;
SELECT * FROM leadflow.verify();
DELETE FROM leadflow.scoring_groups WHERE id = 902;
UPDATE leadflow.scoring_groups SET min_points = -1e6, max_points = 1e6 WHERE id = 901;
SELECT lead_id, score FROM leadflow.lead_scores ORDER BY 1;

--
-- Limits: the most recent count.
--
CALL no_rules();
CALL rule('page', 1, '$.properties.none == 1');
UPDATE leadflow.scoring_rules SET condition = NULL, max_count = 2 WHERE name = 'page' AND model_id = 900;
UPDATE leadflow.scoring_groups SET half_life = '1 day' WHERE id = 901;
-- in any order: those of yesterday and today count
INSERT INTO leadflow.activities (lead_id, id, kind, occurred_at) VALUES (1, '00000000-0000-0000-0000-000000000001', 'page_view', day(-1));
INSERT INTO leadflow.activities (lead_id, id, kind, occurred_at) VALUES (1, '00000000-0000-0000-0000-000000000002', 'page_view', day(-3));
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1/2 + 1/8
INSERT INTO leadflow.activities (lead_id, id, kind, occurred_at) VALUES (1, '00000000-0000-0000-0000-000000000003', 'page_view', day(0)), (1, '00000000-0000-0000-0000-000000000004', 'page_view', day(-2));
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1 + 1/2
SELECT source, name, activities, points FROM leadflow.explain_score(1) ORDER BY 1, 2;
-- earlier, the earlier ones did
SELECT leadflow.score(1, day(-1)) AS yesterday, leadflow.score(1, day(-2)) AS before, leadflow.score(1, day(-3)) AS first, leadflow.score(1, day(1)) AS tomorrow;
-- A void brings the older one back, taking the void back removes it, a deletion brings it back again.
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE id = '00000000-0000-0000-0000-000000000003';
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1/2 + 1/4
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE id = '00000000-0000-0000-0000-000000000003';
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
DELETE FROM leadflow.activities WHERE id IN ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001');
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1/4 + 1/8
SELECT * FROM leadflow.verify();
-- Calendar buckets
CALL no_rules();
UPDATE leadflow.scoring_groups SET half_life = NULL WHERE id = 901;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per)
SELECT 900, 901, per, 'page_view', points, 1, per
FROM (VALUES ('hour', 1), ('day', 10), ('week', 100), ('month', 1000), ('quarter', 10000), ('year', 100000)) v (per, points);
UPDATE leadflow.scoring_models SET max_score = 1e6 WHERE id = 900;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES
	(1, 'page_view', '2025-12-31 23:30Z'),	-- a Wednesday
	(1, 'page_view', '2026-01-01 00:00Z'), (1, 'page_view', '2026-01-01 00:59:59.999999Z'), (1, 'page_view', '2026-01-01 01:00Z'),
	(1, 'page_view', '2026-01-04 23:59Z'), (1, 'page_view', '2026-01-05 00:00Z');	-- Sunday, Monday
SELECT source, name, activities, points FROM leadflow.explain_score(1) ORDER BY 2, 1;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 2 years, quarters, months, weeks, 4 days, 5 hours
-- In the zone of the settings: there, the first is of 2026, too.
UPDATE leadflow.settings SET time_zone = 'Europe/Berlin';
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1 year, quarter, month, 2 weeks, 2 days, 5 hours
SELECT * FROM leadflow.verify();
SET timezone = 'Asia/Tokyo';
SELECT score, leadflow.score(1, at(0)) AS same FROM leadflow.lead_scores WHERE lead_id = 1;
SET timezone = 'UTC';
UPDATE leadflow.settings SET time_zone = 'UTC';
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
-- For each distinct value; none is a value of its own
CALL no_rules();
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per, once_per) VALUES (900, 901, 'file', 'content_download', 1, 1, NULL, '$.properties.file');
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES
	(1, 'content_download', '{"file": "a"}'), (1, 'content_download', '{"file": "a"}'), (1, 'content_download', '{"file": "b"}'),
	(1, 'content_download', '{"file": 1}'), (1, 'content_download', '{"file": 1.0}'), (1, 'content_download', '{"file": "1"}'),
	(1, 'content_download', '{}'), (1, 'content_download', NULL), (1, 'content_download', '{"file": null}'),
	(1, 'content_download', '{"file": ["a", "c"]}'), (1, 'content_download', '{"file": {"x": 1, "y": 2}}'), (1, 'content_download', '{"file": {"y": 2, "x": 1}}');
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- a, b, 1, "1", none, null, [a, c], {x, y}: 8
UPDATE leadflow.scoring_rules SET once_per = '$.properties.file[*]' WHERE model_id = 900;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- the first item, and [a, c] is a: 7
UPDATE leadflow.scoring_rules SET once_per = 'strict $.properties.file.x' WHERE model_id = 900;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1, and no value
UPDATE leadflow.scoring_rules SET once_per = '$.content', per = 'day', max_count = 3 WHERE model_id = 900;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
SELECT * FROM leadflow.verify();

--
-- Raising the hand
--
CALL no_rules();
UPDATE leadflow.scoring_models SET mql_threshold = 50, max_score = 100, handoff_threshold = NULL WHERE id = 900;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, hand_raise) VALUES
	(900, 901, 'demo', 'demo_request', '$.properties.spam != true', 5, 1, true);
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (1, 'demo_request', '{"spam": false}'), (2, 'demo_request', '{"spam": true}');
SELECT l.id, l.stage, s.score, s.mql_blocked_by FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- Disqualified
--
CALL no_rules();
CALL rule('page', 20);
INSERT INTO leadflow.disqualifiers (id, model_id, name, on_entity, condition, reason) VALUES
	(903, 900, 'applicant', 'activity', '$.content == "/jobs"', 'wants a job'), (904, 900, 'region', 'lead', '$.country == "XX"', 'wrong region'),
	(905, 900, 'student', 'lead', '$.job_title like_regex "student" flag "i"', 'student');
DELETE FROM leadflow.leads;
INSERT INTO leadflow.leads (id, email, country, job_title) VALUES (1, 'a@x.example', NULL, NULL), (2, 'b@x.example', 'XX', NULL), (3, 'c@x.example', 'XX', 'Student'), (4, 'd@x.example', NULL, 'Student');
INSERT INTO leadflow.activities (lead_id, id, kind, occurred_at, content) SELECT l, ('00000000-0000-0000-0000-00000000000' || l)::uuid, 'page_view', day(-1), 'x' FROM generate_series(1, 4) l;
INSERT INTO leadflow.activities (lead_id, id, kind, occurred_at, content) VALUES
	(1, '00000000-0000-0000-0000-000000000011', 'page_view', day(-.5), '/jobs'), (4, '00000000-0000-0000-0000-000000000014', 'note', day(-.5), '/jobs');
SELECT lead_id, score, engagement, disqualified_reason, mql_ready, mql_blocked_by FROM leadflow.lead_scores ORDER BY 1;
SELECT leadflow.score(1, day(-.6)) AS before_it, leadflow.score(1, day(-.5)) AS from_then_on, leadflow.score(2, day(-.6)) AS attributes_are_as_they_are;
SELECT source, name, activities, points FROM leadflow.explain_score(1) ORDER BY 1, 2;
SELECT source, name, activities, points FROM leadflow.explain_score(3) ORDER BY 1, 2;
-- Voided, changed, struck off
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'mistake' WHERE id = '00000000-0000-0000-0000-000000000011';
UPDATE leadflow.leads SET country = 'DE' WHERE id = 2;
UPDATE leadflow.leads SET country = 'DE' WHERE id = 3;
SELECT lead_id, score, disqualified_reason FROM leadflow.lead_scores ORDER BY 1;
DELETE FROM leadflow.disqualifiers WHERE id = 905;
SELECT lead_id, score, disqualified_reason FROM leadflow.lead_scores ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- Who the lead is
--
DELETE FROM leadflow.disqualifiers WHERE model_id = 900;
CALL no_rules();
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points) VALUES (910, 900, 'fit', 'fit', 0, 40);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (911, 900, 'boss'), (912, 900, 'user'), (913, 900, 'buyer');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES
	(911, 'title', '$.job_title like_regex "vp|chief" flag "i"', 30), (911, 'size', '$.company_size >= 50', 15), (911, 'small', '$.company_size < 10', -20),
	(912, 'title', '$.job_title == "clerk"', 10), (912, 'tool', '$.attributes.tools[*] == "sql"', 10),
	(913, 'customer', '$.account.status == "customer"', 40), (913, 'budget', '$.budget > 1000', 10), (913, 'spring', '$.campaign == "spring"', 5);
DELETE FROM leadflow.leads;
INSERT INTO leadflow.accounts (id, name, domain, status) VALUES (1, 'Acme', 'acme.example', 'customer'), (2, 'Zeta', 'zeta.example', 'prospect');
INSERT INTO leadflow.leads (id, email, job_title, company_size, budget, attributes, campaign_id) VALUES
	(1, 'a@x.example', 'VP Sales', 60, NULL, '{}', NULL),	-- 45, at most 40
	(2, 'b@x.example', 'clerk', NULL, NULL, '{"tools": ["c", "sql"]}', NULL),	-- 20
	(3, 'c@acme.example', 'VP', 100, 5000.5, '{}', 1),	-- 40 and 55: both 40, the lower id
	(4, 'd@acme.example', 'clerk', 5, NULL, '{"tools": "sql"}', NULL),	-- -20, 20, 40
	(5, 'e@x.example', NULL, 5, NULL, '{}', NULL),	-- -20: 0, like the others
	(6, 'f@zeta.example', NULL, NULL, NULL, '[]', NULL),	-- nothing
	(7, 'g@x.example', NULL, NULL, 1000, '{}', 1);	-- 5
SELECT lead_id, score, fit, grade, level, rank, band, persona, round(fit_known::numeric, 3) AS fit_known FROM leadflow.lead_scores ORDER BY 1;
SELECT l.id, e.source, e.name, e.activities, e.points FROM leadflow.leads l, leadflow.explain_score(l.id) e WHERE l.id <= 4 ORDER BY 1, 2, 3;
-- What stops to hold stops to count.
UPDATE leadflow.leads SET job_title = 'none' WHERE id IN (1, 2);
UPDATE leadflow.leads SET budget = 1000.01 WHERE id = 7;
SELECT lead_id, fit, grade, persona FROM leadflow.lead_scores WHERE lead_id IN (1, 2, 7) ORDER BY 1;
BEGIN;
UPDATE leadflow.accounts SET status = CASE id WHEN 1 THEN 'former' ELSE 'customer' END;
SELECT lead_id, fit, persona FROM leadflow.lead_scores WHERE lead_id IN (3, 4, 6) ORDER BY 1;
COMMIT;
UPDATE leadflow.leads SET account_id = NULL WHERE id = 6;
SELECT lead_id, fit, persona FROM leadflow.lead_scores WHERE lead_id IN (3, 4, 6) ORDER BY 1;
UPDATE leadflow.leads SET account_id = 2, attributes = '{"tools": ["sql"]}' WHERE id = 6;
SELECT lead_id, fit, persona FROM leadflow.lead_scores WHERE lead_id = 6;
SELECT * FROM leadflow.verify();
-- The lead as conditions see it: what clients write, times in UTC, nothing that the engine moves
SELECT jsonb_pretty(doc) FROM leadflow._lead_documents WHERE lead_id = 4;

-- Grades and levels: from 0.75, 0.5 and 0.25 of the maximum on
DELETE FROM leadflow.leads;
DELETE FROM leadflow.personas WHERE model_id = 900;
INSERT INTO leadflow.personas (id, model_id, name) VALUES (914, 900, 'p');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) SELECT 914, n, format('$.attributes.n >= %s', n)::jsonpath, 1 FROM generate_series(1, 40) n;
UPDATE leadflow.scoring_groups SET max_points = 40, min_points = 0 WHERE id = 901;
CALL rule('page', 1);
INSERT INTO leadflow.leads (id, email, attributes) SELECT n, n || '@x.example', jsonb_build_object('n', n) FROM unnest('{9,10,19,20,29,30,40}'::integer[]) n;
INSERT INTO leadflow.activities (lead_id, kind) SELECT l.id, 'page_view' FROM leadflow.leads l, generate_series(1, l.id);
SELECT lead_id, fit, engagement, score, grade, level, rank, band FROM leadflow.lead_scores ORDER BY 1;
UPDATE leadflow.scoring_models SET grade_cutoffs = '{1,.5,.475}', hot_from = 80, warm_from = 20 WHERE id = 900;
SELECT lead_id, score, rank, band FROM leadflow.lead_scores ORDER BY 1;
-- A model without a fit group asks for none; its personas are told apart all the same.
DELETE FROM leadflow.scoring_groups WHERE id = 910;
INSERT INTO leadflow.personas (id, model_id, name) VALUES (915, 900, 'q');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (915, 'nineteen', '$.attributes.n == 19', 100);
UPDATE leadflow.scoring_models SET min_fit_grade = 'A', mql_threshold = 15 WHERE id = 900;
SELECT lead_id, fit, score, grade, rank, persona, mql_ready, mql_blocked_by FROM leadflow.lead_scores WHERE lead_id < 20 ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- What is missing
--
UPDATE leadflow.scoring_models SET grade_cutoffs = DEFAULT, hot_from = DEFAULT, warm_from = DEFAULT, min_fit_grade = 'B', hand_raise_min_grade = 'C', mql_threshold = 30,
	required_fields = '{full_name,phone,tools}', cool_down = '10 days', requalify_points = 5, handoff_threshold = NULL WHERE id = 900;
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, max_points) VALUES (910, 900, 'fit', 'fit', 40);
INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES (900, 'region', 'lead', '$.country == "XX"', 'wrong region');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, hand_raise) VALUES (900, 901, 'demo', 'demo_request', 1, true);
DELETE FROM leadflow.leads;
INSERT INTO leadflow.leads (id, full_name, phone, attributes, country, do_not_contact) VALUES
	(1, 'A', '1', '{"n": 20, "tools": "x"}', NULL, false),	-- 10 points short
	(2, 'B', '', '{"n": 40}', NULL, false),	-- phone, tools
	(3, 'C', '1', '{"n": 40, "tools": "x"}', 'XX', false),
	(4, 'D', '1', '{"n": 40, "tools": "x"}', NULL, true),
	(5, 'E', '1', '{"n": 19, "tools": "x"}', NULL, false);	-- 11 points short, and a C
SELECT lead_id, score, grade, mql_ready, mql_blocked_by FROM leadflow.lead_scores ORDER BY 1;
-- a hand-raise needs no points and no consent, but the fields
INSERT INTO leadflow.activities (lead_id, kind) SELECT id, 'demo_request' FROM leadflow.leads;
SELECT l.id, l.stage, s.score, s.grade, s.mql_ready, s.mql_blocked_by FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- Edited, switched, rescored
--
DELETE FROM leadflow.leads;
UPDATE leadflow.scoring_models SET min_fit_grade = NULL, required_fields = '{}', mql_threshold = 1000 WHERE id = 900;
DELETE FROM leadflow.disqualifiers WHERE model_id = 900;
DELETE FROM leadflow.personas WHERE model_id = 900;
INSERT INTO leadflow.leads (id) VALUES (1), (2);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view'), (1, 'page_view'), (1, 'chat'), (2, 'page_view');
SELECT lead_id, score FROM leadflow.lead_scores ORDER BY 1;
-- at once, and in the transaction
BEGIN;
UPDATE leadflow.scoring_rules SET points = 3 WHERE name = 'page' AND model_id = 900;
SELECT lead_id, score FROM leadflow.lead_scores ORDER BY 1;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
SELECT lead_id, score, leadflow.score(lead_id) AS same FROM leadflow.lead_scores ORDER BY 1;
SAVEPOINT a;
UPDATE leadflow.scoring_rules SET points = 5 WHERE name = 'page' AND model_id = 900;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
SELECT lead_id, score, leadflow.score(lead_id) AS same FROM leadflow.lead_scores ORDER BY 1;
ROLLBACK TO a;
SELECT lead_id, score, leadflow.score(lead_id) AS same FROM leadflow.lead_scores ORDER BY 1;
ROLLBACK;
SELECT lead_id, score FROM leadflow.lead_scores ORDER BY 1;
-- a kind that nobody had heard of
CALL rule('chat', 7, NULL, 'chat');
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
SELECT kind, activities FROM leadflow.unmapped_activity_kinds;
INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('chat', 'engagement');
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
UPDATE leadflow.activity_kinds SET role = 'sales_touch' WHERE kind = 'chat';
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
-- another model, asked for and in force
INSERT INTO leadflow.scoring_models (id, name, mql_threshold) VALUES (950, 'other', 1000);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, half_life) VALUES (951, 950, 'all', 'engagement', '1 day');
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) VALUES (950, 951, 'page', 'page_view', 16);
SELECT leadflow.score(1, day(0), 950) AS other, leadflow.score(1, day(1), 950) AS tomorrow, leadflow.score(1, day(1)) AS this;
SELECT group_name, source, name, activities, points FROM leadflow.explain_score(1, day(1), 950) ORDER BY 2;
BEGIN;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE id = 900;
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 950;
SELECT lead_id, score, model_id FROM leadflow.lead_scores ORDER BY 1;
COMMIT;
SELECT lead_id, score, model_id FROM leadflow.lead_scores ORDER BY 1;
SELECT leadflow.rescore(), leadflow.rescore(950);
SELECT leadflow.rescore(900);
SELECT leadflow.score(1, day(0), 900) AS the_old_one;
SELECT * FROM leadflow.verify();
-- no model at all
BEGIN;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE id = 950;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
SELECT lead_id, score, mql_ready, mql_blocked_by FROM leadflow.lead_scores ORDER BY 1;
SELECT leadflow.score(1) AS none, leadflow.score(1, day(0), 950) AS asked_for;
SELECT * FROM leadflow.verify();
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 950;
SELECT lead_id, score FROM leadflow.lead_scores ORDER BY 1;
ROLLBACK;

--
-- In the transaction
--
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
SELECT score, leadflow.score(1) AS same, leadflow.score(1, day(1)) AS tomorrow FROM leadflow.lead_scores WHERE lead_id = 1;
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
SAVEPOINT b;
DELETE FROM leadflow.activities WHERE lead_id = 1;
SELECT leadflow.score(1) AS all_deleted;
ROLLBACK TO b;
SELECT leadflow.score(1) AS back;
RELEASE a;
SELECT leadflow.score(1) AS released;
SELECT leadflow.settle();
SELECT leadflow.score(1) AS settled;
SAVEPOINT c;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
SELECT leadflow.settle();
SELECT leadflow.score(1) AS settled_more;
ROLLBACK TO c;
SELECT leadflow.score(1) AS rolled_back;
COMMIT;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
SELECT * FROM leadflow.verify();
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
ROLLBACK;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 2;
-- settle() is when the gate opens.
UPDATE leadflow.scoring_models SET mql_threshold = 20 WHERE id = 950;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
SELECT leadflow.settle();
SELECT stage FROM leadflow.leads WHERE id = 2;
ROLLBACK;
SELECT stage FROM leadflow.leads WHERE id = 2;
-- When it falls below if nothing happens: 32 points are 20 after log2(1.6) days.
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
SELECT l.stage, s.score, s.mql_ready, extract(epoch FROM s.falls_below_mql_at - leadflow.now())::float8 / 86400 AS days FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id WHERE l.id = 2;
SELECT leadflow.score(2, falls_below_mql_at) AS then FROM leadflow.lead_scores WHERE lead_id = 2;

--
-- Arguments
--
SELECT leadflow.score(77) AS unknown, leadflow.score(NULL) AS none, leadflow.score(1, NULL) AS never;
SELECT * FROM leadflow.explain_score(77);
SELECT * FROM leadflow.explain_score(NULL);
SELECT leadflow.score(1, 'infinity');
SELECT leadflow.score(1, '-infinity');
SELECT leadflow.score(1, day(0), 77);
SELECT * FROM leadflow.explain_score(1, 'infinity');
SELECT * FROM leadflow.explain_score(1, day(0), 77);
SELECT * FROM leadflow.hottest(1, 'infinity');
SELECT lead_id, score FROM leadflow.hottest(10, day(1));
SELECT lead_id, score FROM leadflow.hottest(1);
SELECT lead_id, score FROM leadflow.hottest(0);

-- Every explanation adds up.
SELECT count(*) AS differs FROM leadflow.leads l
CROSS JOIN (VALUES (day(-1)), (day(0)), (day(1))) t (at)
CROSS JOIN LATERAL (SELECT coalesce(sum(e.points), 0) AS points FROM leadflow.explain_score(l.id, t.at) e) e
WHERE (abs(e.points - leadflow.score(l.id, t.at)) <= 1e-9) IS NOT TRUE;
SELECT * FROM leadflow.verify();
