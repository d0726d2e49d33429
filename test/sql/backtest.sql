--
-- What another model would have done: backtest(), rule_performance(), model_performance.
--
\set VERBOSITY terse
SET timezone = 'Pacific/Auckland';	-- not the site's
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
UPDATE leadflow.settings SET time_zone = 'Europe/Berlin';
\i test/fixtures/thaw.sql

--
-- A small world whose figures can be worked out by hand. In force: 20 points for a download, 100
-- for a demo, threshold 20. Candidate: downloads earn 12 (two make an MQL), demos 100, jobs disqualify.
--
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
CREATE PROCEDURE public.model(id bigint, name text, points float8) LANGUAGE sql AS $$
	INSERT INTO leadflow.scoring_models (id, name, mql_threshold, warm_from, hot_from) VALUES (id, name, 20, 21, 71);
	INSERT INTO leadflow.scoring_groups (id, model_id, name, axis) VALUES (id, id, 'all', 'engagement');
	INSERT INTO leadflow.scoring_rules (id, model_id, group_id, name, activity_kind, points, max_count, hand_raise) VALUES
		(id, id, id, 'download', 'content_download', points, NULL, false), (id + 1, id, id, 'demo', 'demo_request', 100, 1, false),
		(id + 2, id, id, 'never', 'quote_request', 5, NULL, false);
$$;
CALL model(800, 'in force', 20);
CALL model(900, 'candidate', 12);
INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES
	(900, 'jobs', 'activity', '$.content == "/jobs"', 'applicant');
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 800;

CREATE PROCEDURE public.act(lead bigint, at timestamptz, kind text, content text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('leadflow.clock', at::text, false);
	INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) VALUES (lead, at, kind, content);
	PERFORM leadflow.settle();
END $$;
CREATE PROCEDURE public.to_stage(lead bigint, at timestamptz, stage text, reason text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('leadflow.clock', at::text, false);
	UPDATE leadflow.leads l SET stage = to_stage.stage, stage_reason = reason WHERE l.id = lead;
END $$;
SET leadflow.clock = '2025-12-01Z';
INSERT INTO leadflow.leads (id, email, created_at) SELECT i, 'lead' || i || '@x.example', '2025-12-01Z' FROM generate_series(1, 9) i;

-- 1: one download in January, in Berlin; in Greenwich it is still December. Accepted. Lost, then.
CALL act(1, '2025-12-31 23:30Z', 'content_download');
CALL to_stage(1, '2026-01-02Z', 'sql');
CALL to_stage(1, '2026-01-03Z', 'accepted');
-- 2: two downloads, January and February; rejected. Later by the candidate.
CALL act(2, '2026-01-10Z', 'content_download');
CALL to_stage(2, '2026-01-11Z', 'sql');
CALL to_stage(2, '2026-01-12Z', 'rejected', 'no_need');
CALL act(2, '2026-02-10Z', 'content_download');
-- 3: a demo, won in euros, with a refund.
CALL act(3, '2026-01-20Z', 'demo_request');
CALL to_stage(3, '2026-01-21Z', 'sql');
CALL to_stage(3, '2026-01-22Z', 'accepted');
SET leadflow.clock = '2026-02-20Z';
INSERT INTO leadflow.deals (id, lead_id, amount, currency, status, opened_at, closed_at) VALUES (1, 3, 1000, 'EUR', 'won', '2026-02-01Z', '2026-02-15Z');
INSERT INTO leadflow.deals (id, amount, currency, status, opened_at, closed_at, corrects_deal_id) VALUES (2, -100, 'EUR', 'won', '2026-02-16Z', '2026-02-17Z', 1);
-- 4: an applicant with a demo: lost, and nobody minds.
CALL act(4, '2026-02-20 08:00Z', 'page_view', '/jobs');
CALL act(4, '2026-02-20 09:00Z', 'demo_request');
-- 5: as 3, in dollars, in the same month and band.
CALL act(5, '2026-01-25Z', 'demo_request');
SET leadflow.clock = '2026-02-25Z';
INSERT INTO leadflow.deals (id, lead_id, amount, currency, status, opened_at, closed_at) VALUES (3, 5, 500, 'USD', 'won', '2026-02-01Z', '2026-02-18Z');
-- 6: sales found it by itself, and it is still there: never an MQL, by neither.
CALL to_stage(6, '2026-02-26Z', 'accepted');
-- 7: its download was voided, so that it never happened; what was in force fell for it.
CALL act(7, '2026-02-26Z', 'content_download');
CALL act(7, '2026-02-27Z', 'demo_request');
SET leadflow.clock = '2026-02-28Z';
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 7 AND kind = 'content_download';
-- 8: an MQL in March, after the period, by both; before it nothing.
CALL act(8, '2026-03-05Z', 'demo_request');
CALL act(8, '2026-03-06Z', 'demo_request');
-- 9: nothing counts at all.
CALL act(9, '2026-03-06Z', 'page_view', '/');

SELECT lead_id, mql_at AT TIME ZONE 'UTC' AS mql_at, score, band, hand_raise FROM leadflow._replay(900, '2026-01-01Z', '2026-03-01Z') ORDER BY 1;
SELECT lead_id, mql_at AT TIME ZONE 'UTC' AS mql_at, model_id, band, accepted_at AT TIME ZONE 'UTC' AS accepted_at, rejected, won, won_amount, min_currency AS currency
FROM leadflow._lead_outcomes ORDER BY 1;

\x on
SELECT * FROM leadflow.backtest(900, '2025-12-31 23:00Z', '2026-03-01Z');
-- the model that is in force, against what it did: all is equal but what was voided
SELECT month_start, band, mqls, in_force_mqls, accepted, in_force_accepted, precision, recall, lift, gained, lost
FROM leadflow.backtest(NULL, '2025-12-31 23:00Z', '2026-03-01Z');
\x off
-- January began in Berlin; from midnight in Greenwich lead 1 is not in it
SELECT sum(in_force_mqls) FROM leadflow.backtest(900, '2025-12-31 23:00Z', '2026-02-01Z');
SELECT sum(in_force_mqls) FROM leadflow.backtest(900, '2026-01-01Z', '2026-02-01Z');
-- who was an MQL before the period is not gained in it; who would be one only after it is lost in it
SELECT month_start, band, mqls, in_force_mqls, gained, lost FROM leadflow.backtest(900, '2026-02-01Z', '2026-02-15Z');
SELECT month_start, band, mqls, in_force_mqls, gained, lost FROM leadflow.backtest(900, '2026-01-05Z', '2026-01-15Z');
SELECT * FROM leadflow.backtest(900, '2020-01-01Z', '2020-02-01Z');
-- money of one currency, of two, and none
SELECT month_start, band, won_amount, currency, in_force_won_amount, in_force_currency FROM leadflow.backtest(900, '2026-01-24Z', '2026-03-01Z');
-- by name; plain columns
SELECT precision, recall, lift FROM leadflow.backtest(model_id => 900, "from" => '2026-02-01', "to" => '2026-03-01');

-- Rules. What a limit holds back earns nothing, and what was voided did not happen.
SELECT rule, group_name, activities, points, leads, accepted, won, acceptance_rate, win_rate FROM leadflow.rule_performance(900);
SELECT DISTINCT engaged_leads, engaged_accepted, engaged_won FROM leadflow.rule_performance(900);
SELECT rule, acceptance_lift, win_lift FROM leadflow.rule_performance(900);
SELECT rule, points FROM leadflow.rule_performance();
-- activities and points are those of the explanations
SELECT rule, activities, points FROM leadflow.rule_performance(900) WHERE activities > 0
EXCEPT
SELECT e.name, sum(CASE e.source WHEN 'rule' THEN e.activities ELSE -e.activities END), sum(e.points)
FROM leadflow.leads l, leadflow.explain_score(l.id, leadflow.now(), 900) e
WHERE e.source IN ('rule', 'limit') GROUP BY 1;

SELECT * FROM leadflow.model_performance ORDER BY model_id, band;
SELECT (SELECT sum(mqls) FROM leadflow.model_performance) = (SELECT sum(mqls) FROM leadflow.funnel_monthly) AS adds_up;
-- imports count, too; a stage of the site's own counts by its category; without a model there is no band
INSERT INTO leadflow.stages (name, category) VALUES ('trial', 'sales');
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (10, 'ten@x.example', 'mql', '2026-02-02Z'), (11, 'eleven@x.example', 'trial', '2026-02-02Z');
BEGIN;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (12, 'twelve@x.example', 'mql', '2026-02-02Z');
SELECT lead_id, mql_at IS NOT NULL AS mql, model_id, band, accepted FROM leadflow._lead_outcomes WHERE lead_id > 9 ORDER BY 1;
SELECT month_start, band, in_force_mqls FROM leadflow.backtest(900, '2026-02-01', '2026-03-01');
SELECT model_id, model, band, mqls FROM leadflow.model_performance ORDER BY 1, 3;
ROLLBACK;

--
-- Errors
--
SELECT * FROM leadflow.backtest(4711, '2026-01-01', '2026-02-01');
SELECT * FROM leadflow.backtest(900, '2026-02-01', '2026-02-01');
SELECT * FROM leadflow.backtest(900, '2026-02-01', '2026-01-01');
SELECT * FROM leadflow.backtest(900, '-infinity', '2026-01-01');
SELECT * FROM leadflow.backtest(900, '2026-02-01', 'infinity');
SELECT * FROM leadflow.backtest(900, NULL, '2026-01-01');
SELECT * FROM leadflow.rule_performance(4711);
BEGIN;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
SAVEPOINT none;
SELECT * FROM leadflow.backtest(NULL, '2026-01-01', '2026-02-01');
ROLLBACK TO none;
SELECT * FROM leadflow.rule_performance();
ROLLBACK;

--
-- Nothing is touched: it works where nothing can be written, and what is kept stays as it is.
--
CREATE FUNCTION public.kept() RETURNS text LANGUAGE sql AS $$
	SELECT md5(concat((SELECT string_agg(s::text || xmin, '' ORDER BY lead_id) FROM leadflow.score_state s),
		(SELECT string_agg(h::text || xmin, '' ORDER BY lead_id, entered_at, id) FROM leadflow.stage_history h),
		(SELECT string_agg(l::text || xmin, '' ORDER BY id) FROM leadflow.leads l)))
$$;
SELECT kept() AS before \gset
BEGIN READ ONLY;
SELECT sum(mqls) AS mqls FROM leadflow.backtest(900, '2026-01-01Z', '2026-03-01Z');
SELECT count(*) AS rules FROM leadflow.rule_performance(900);
COMMIT;
SELECT kept() = :'before' AS untouched;

-- Leads that the caller can't see are not replayed; privileges are those of the tables.
DROP ROLE IF EXISTS backtest_reader, backtest_stranger;
CREATE ROLE backtest_reader;
CREATE ROLE backtest_stranger;
GRANT USAGE ON SCHEMA leadflow TO backtest_reader, backtest_stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA leadflow TO backtest_reader;
GRANT SELECT ON leadflow.leads TO backtest_stranger;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON leadflow.leads TO backtest_reader USING (id > 2);
SET ROLE backtest_reader;
SELECT lead_id FROM leadflow._replay(900, '2025-12-31 23:00Z', '2026-03-01Z') ORDER BY 1;
SELECT sum(mqls) AS mqls, sum(in_force_mqls) AS in_force, min(accepted_leads) AS accepted FROM leadflow.backtest(900, '2025-12-31 23:00Z', '2026-03-01Z');
SELECT rule, leads, engaged_leads FROM leadflow.rule_performance(900);
SELECT sum(mqls) FROM leadflow.model_performance;
SET ROLE backtest_stranger;
SELECT lead_id FROM leadflow._replay(900, '2025-12-31 23:00Z', '2026-03-01Z') ORDER BY 1;
SELECT * FROM leadflow.backtest(900, '2025-12-31 23:00Z', '2026-03-01Z');
RESET ROLE;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
DROP POLICY visible ON leadflow.leads;
DROP OWNED BY backtest_reader, backtest_stranger;
DROP ROLE backtest_reader, backtest_stranger;

--
-- Random models and histories against an oracle in plain SQL: at each instant of a lead, what would its score have been,
-- and would the gate have opened? A round's number is the seed that makes it again.
--
CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;
CREATE FUNCTION upto(n integer) RETURNS integer LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * (n + 1))::integer $$;
CREATE FUNCTION random_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$ SELECT md5(random()::text || random()::text)::uuid $$;
CREATE FUNCTION random_properties() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT pick(NULL, '{}', '7', 'null', '"x"', 'true', '[1]', '{"a": null}', '{"a": 1}', '{"a": 1.0}', '{"a": 2}', '{"a": 2}', '{"a": [1, 2]}', '{"a": true}', '{"a": {"b": 1}}')::jsonb
$$;
INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'spring', 'Spring');

CREATE PROCEDURE public.random_world(round integer) LANGUAGE plpgsql AS $$
DECLARE
	model CONSTANT bigint := 1000 + round;
	persona bigint;
BEGIN
	PERFORM setseed(0.001 * round);
	DELETE FROM leadflow.activities;
	DELETE FROM leadflow.deals WHERE corrects_deal_id IS NOT NULL;
	DELETE FROM leadflow.deals;
	DELETE FROM leadflow.leads;
	UPDATE leadflow.settings SET time_zone = pick('UTC', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu');
	-- thresholds that no sum of points hits exactly
	INSERT INTO leadflow.scoring_models (id, name, mql_threshold, min_fit_grade, hand_raise_min_grade, required_fields, max_score, warm_from, hot_from)
	SELECT model, 'random ' || round, pick('0', '5.00001', '12.00001', '12.00001', '20.00001', '30.00001')::float8, pick(NULL, NULL, NULL, NULL, 'C'), pick(NULL, NULL, 'B'),
		pick('{}', '{}', '{}', '{job_title}', '{vip}')::text[], pick('100', '100', '42')::float8, 9.00001, 15.00001;
	IF random() < .7 THEN
		INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points)
		SELECT model, 'fit', 'fit', pick('0', '-20', '3')::float8, pick('30', '10')::float8;
	END IF;
	FOR i IN 0 .. upto(2) LOOP
		INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
		SELECT model, 'group ' || i, 'engagement', pick('0', '-1e9', '-2')::float8, pick('1e9', '1e9', '15')::float8,
			pick(NULL, NULL, '1 hour', '36 hours', '7 days', '30 days')::interval;
	END LOOP;
	FOR i IN 0 .. 5 + upto(5) LOOP
		INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per, hand_raise, active)
		SELECT model, g.id, 'rule ' || i, pick('page_view', 'page_view', 'page_view', 'content_download', 'content_download', 'demo_request', 'call'),
			pick(NULL, NULL, NULL, NULL, NULL, NULL, '$.content == "/pricing"', '$.campaign == "spring"', '$.properties.a > 1', '$.properties ? (@.a == 1)', '$.properties.a', '$.properties == 7',
				'$.properties == null', '$.properties.type() == "string"', '($.properties.a > 1).type()')::jsonpath,
			pick('1', '2.5', '10', '6', '4', '4', '8', '-3', '-0.7')::float8,
			l.n, CASE WHEN l.n IS NOT NULL THEN pick(NULL, 'hour', 'day', 'week', 'month', 'quarter', 'year') END,
			CASE WHEN l.n IS NOT NULL THEN pick(NULL, '$.properties.a', '$.content', '$.campaign', '$.properties') END::jsonpath,
			random() < .08, random() < .9
		FROM (SELECT CASE WHEN random() < .6 THEN 1 + upto(2) END AS n) l
		CROSS JOIN (SELECT * FROM leadflow.scoring_groups g WHERE g.model_id = model AND g.axis = 'engagement' ORDER BY random() LIMIT 1) g;
	END LOOP;
	FOR i IN 1 .. upto(2) LOOP
		INSERT INTO leadflow.personas (model_id, name) VALUES (model, 'persona ' || i) RETURNING id INTO persona;
		INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points)
		SELECT persona, c, c::jsonpath, pick('10', '3.3', '-5', '25')::float8
		FROM unnest(ARRAY['$.job_title like_regex "vp" flag "i"', '$.company_size >= 50', '$.attributes.vip']) c;
	END LOOP;
	IF random() < .5 THEN
		INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES
			(model, 'jobs', 'activity', '$.content == "/jobs"', 'applicant'), (model, 'country', 'lead', '$.country == "XX"', 'country');
	END IF;

	INSERT INTO leadflow.leads (id, email, job_title, company_size, country, attributes, do_not_contact, created_at)
	SELECT i, 'lead' || i || '@x.example', pick(NULL, '', 'VP', 'VP', 'clerk', 'clerk'), upto(100), pick('DE', 'DE', 'DE', 'XX'),
		pick('{}', '{"vip": true}', '{"vip": null}', '[]')::jsonb, random() < .1, timestamptz '2025-12-28 12:00Z' + upto(60) * interval '1 hour'
	FROM generate_series(1, 20) i;
	-- on the hour, so that many fall together, at the turn of week, month and year; the engine has no part in it
	SET LOCAL session_replication_role = replica;
	INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties, voided_at, void_reason)
	SELECT 1 + upto(21), timestamptz '2025-12-28 12:00Z' + upto(150) * interval '1 hour', random_id(),
		pick('page_view', 'page_view', 'page_view', 'content_download', 'content_download', 'demo_request', 'call', 'strange'), pick(NULL, '1')::bigint,
		CASE WHEN random() < .02 THEN '/jobs' ELSE pick('/pricing', '/', '/', NULL) END, random_properties(), v.at, CASE WHEN v.at IS NOT NULL THEN 'bot' END
	FROM generate_series(1, 500) i
	CROSS JOIN LATERAL (SELECT CASE WHEN random() < .1 THEN timestamptz '2026-02-01Z' END AS at WHERE i > 0) v;
	SET LOCAL session_replication_role = origin;
END $$;

CREATE FUNCTION public.oracle(model bigint, until timestamptz)
RETURNS TABLE (lead_id bigint, mql_at timestamptz, score float8, band text, hand_raise boolean) LANGUAGE sql AS $$
	WITH engagement AS MATERIALIZED (
		SELECT a.lead_id, a.occurred_at, EXISTS (
			SELECT FROM leadflow.scoring_rules r
			WHERE r.model_id = model AND r.active AND r.hand_raise AND r.activity_kind = a.kind AND (r.condition IS NULL OR EXISTS (
				SELECT FROM jsonb_path_query_tz(jsonb_build_object('content', a.content, 'campaign', c.code, 'properties', a.properties), r.condition, '{}', true) item
				WHERE item NOT IN ('null', 'false')))) AS hand_raise
		FROM leadflow.activities a
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'engagement'
		LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id
		WHERE a.voided_at IS NULL AND a.occurred_at < until
	), moment AS MATERIALIZED (
		SELECT l.id AS lead_id, l.created_at AS at FROM leadflow.leads l WHERE l.created_at < until
		UNION
		SELECT e.lead_id, e.occurred_at FROM engagement e
	), scored AS MATERIALIZED (
		SELECT m.at, s.lead_id, s.score, s.grade, s.disqualified_reason
		FROM (SELECT at, array_agg(lead_id) AS leads FROM moment GROUP BY at) m
		CROSS JOIN LATERAL leadflow._oracle_scores(m.at, model, m.leads) s
	), opened AS (
		SELECT s.lead_id, s.at, s.score, raised.hand AND coalesce(s.grade <= coalesce(d.hand_raise_min_grade, 'D'), true) AS by_hand,
			s.score >= d.mql_threshold AND coalesce(s.grade <= coalesce(d.min_fit_grade, 'D'), true) AND NOT l.do_not_contact AS by_points, d.warm_from, d.hot_from
		FROM scored s
		JOIN leadflow.leads l ON l.id = s.lead_id
		JOIN leadflow.scoring_models d ON d.id = model
		CROSS JOIN LATERAL (SELECT coalesce(bool_or(e.hand_raise), false) AS hand FROM engagement e WHERE e.lead_id = s.lead_id AND e.occurred_at <= s.at) raised
		WHERE s.disqualified_reason IS NULL
			AND ('job_title' <> ALL (d.required_fields) OR l.job_title <> '')
			AND ('vip' <> ALL (d.required_fields) OR l.attributes @> '{"vip": true}')
	)
	SELECT DISTINCT ON (o.lead_id) o.lead_id, o.at, o.score, CASE WHEN o.score >= o.hot_from THEN 'hot' WHEN o.score >= o.warm_from THEN 'warm' ELSE 'cool' END, o.by_hand
	FROM opened o
	WHERE o.by_hand OR o.by_points
	ORDER BY o.lead_id, o.at
$$;

CREATE TABLE differences (round integer, lead_id bigint, replayed text, recomputed text);
CREATE TABLE compared (round integer, mqls bigint, hand_raises bigint, bands bigint, at_creation bigint, late bigint);
CREATE PROCEDURE public.play(round integer) LANGUAGE plpgsql AS $$
DECLARE
	until CONSTANT timestamptz := timestamptz '2026-01-01Z' + (round % 5) * interval '1 day';
BEGIN
	CALL random_world(round);
	INSERT INTO differences
	SELECT round, coalesce(r.lead_id, o.lead_id), to_jsonb(r)::text, to_jsonb(o)::text
	FROM leadflow._replay(1000 + round, '2025-12-01', until) r
	FULL JOIN oracle(1000 + round, until) o ON o.lead_id = r.lead_id
	WHERE (r.mql_at, r.band, r.hand_raise) IS DISTINCT FROM (o.mql_at, o.band, o.hand_raise) OR abs(r.score - o.score) > 1e-9;
	-- and score() says the same
	INSERT INTO differences
	SELECT round, r.lead_id, to_jsonb(r)::text, s::text
	FROM leadflow._replay(1000 + round, '2025-12-01', until) r
	CROSS JOIN leadflow.score(r.lead_id, r.mql_at, 1000 + round) s
	WHERE abs(s - r.score) > 1e-9;
	-- points are those of the explanations
	INSERT INTO differences
	SELECT round, NULL, to_jsonb(r)::text, to_jsonb(e)::text
	FROM leadflow.rule_performance(1000 + round) r
	LEFT JOIN (
		SELECT e.name, sum(CASE e.source WHEN 'rule' THEN e.activities ELSE -e.activities END) AS activities, sum(e.points) AS points,
			count(*) FILTER (WHERE e.source = 'rule') AS leads
		FROM leadflow.leads l, leadflow.explain_score(l.id, '2026-02-01', 1000 + round) e
		WHERE e.source IN ('rule', 'limit') GROUP BY 1
	) e ON e.name = r.rule
	WHERE (r.activities, r.leads) IS DISTINCT FROM (coalesce(e.activities, 0), coalesce(e.leads, 0)) OR abs(r.points - coalesce(e.points, 0)) > 1e-9;
	INSERT INTO compared
	SELECT round, count(*), count(*) FILTER (WHERE r.hand_raise), count(DISTINCT r.band), count(*) FILTER (WHERE l.created_at = r.mql_at),
		count(*) FILTER (WHERE (SELECT count(*) FROM leadflow.activities a WHERE a.lead_id = l.id AND a.occurred_at < r.mql_at) >= 5)
	FROM leadflow._replay(1000 + round, '2025-12-01', until) r JOIN leadflow.leads l ON l.id = r.lead_id;
END $$;
DO $$ BEGIN FOR round IN 1 .. 12 LOOP CALL play(round); END LOOP; END $$;
SELECT * FROM differences LIMIT 20;
-- enough was compared to mean something
SELECT sum(mqls) > 60 AS mqls, sum(hand_raises) > 10 AS hand_raises, max(bands) = 3 AS bands, sum(at_creation) > 2 AS at_creation, sum(late) > 10 AS late,
	sum(mqls) < 20 * count(*) AS not_all FROM compared;
