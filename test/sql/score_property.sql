--
-- Random histories under random models: what is kept is what the oracle computes from the
-- tables. A round is a model and twenty leads; each lead's life there is a
-- history.
--
-- LEADFLOW_HISTORIES=10000 LEADFLOW_SEED=0.42 make test TESTS=score_property: more, or others.
-- On failure: the round's number is the seed that makes it again (CALL play(round)).
--
\getenv histories LEADFLOW_HISTORIES
\getenv seed LEADFLOW_SEED
\if :{?histories}
\else
	\set histories 500
\endif
\if :{?seed}
\else
	\set seed 0.17
\endif
SET timezone = 'UTC';
SET client_min_messages = warning;
SET extra_float_digits = 0;
\i test/fixtures/thaw.sql

CREATE TABLE differences (round integer, what text, lead_id bigint, at timestamptz, kept text, recomputed text);
CREATE TABLE done (histories bigint, transactions bigint, rolled_back bigint, compared bigint, activities bigint);
INSERT INTO done VALUES (0, 0, 0, 0, 0);

CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;
CREATE FUNCTION pick(VARIADIC choices float8[]) RETURNS float8 LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;
CREATE FUNCTION upto(n integer) RETURNS integer LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * (n + 1))::integer $$;
CREATE FUNCTION chance(p float8) RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT random() < p $$;

-- Ids that a seed makes again.
CREATE FUNCTION random_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$ SELECT md5(random()::text || random()::text)::uuid $$;

-- Mostly lately; also long ago, on the borders of calendar buckets, at one instant, and a
-- little ahead of the clock.
CREATE FUNCTION random_instant() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		-- many within a few days, on the hour, at the turn of week, month and year
		WHEN chance(.3) THEN timestamptz '2025-12-28 12:00Z' + upto(100) * interval '1 hour'
		ELSE CASE upto(9)
		WHEN 0 THEN leadflow.now()
		WHEN 1 THEN leadflow.now() + random() * interval '4 minutes'
		WHEN 2 THEN leadflow.now() - random() * interval '40 years'
		WHEN 3 THEN date_trunc(pick('hour', 'day', 'week', 'month', 'quarter', 'year'), leadflow.now() - random() * interval '200 days')
			- pick('0 s', '1 us', '-1 us', '1 h', '-1 h')::interval
		WHEN 4 THEN date_trunc('day', leadflow.now()) - upto(3) * interval '1 day'
		WHEN 5 THEN leadflow.now() - random() * interval '1 hour'
		ELSE leadflow.now() - random() * random() * interval '90 days' END
	END
$$;
CREATE FUNCTION random_kind() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT pick('page_view', 'page_view', 'page_view', 'page_view', 'page_view', 'page_view', 'content_download', 'content_download',
		'form_submit', 'demo_request', 'call', 'note', 'strange')
$$;
CREATE FUNCTION random_content() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT pick('/pricing', '/jobs', '/', 'Guide', NULL) $$;
CREATE FUNCTION random_properties() RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT pick(NULL, NULL, '{}', '[]', '7', 'null', '{"a": null}', '{"a": 1}', '{"a": 1}', '{"a": 1.0}', '{"a": 1.0}', '{"a": 2}', '{"a": "1"}', '{"a": [1, 2]}',
		'{"a": true}', '{"a": {"b": 1}}', '{"a": "x", "day": "2026-03-01"}', '{"day": "2020-01-01T00:00:00+05:00"}')::jsonb
$$;
CREATE FUNCTION random_campaign() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT pick(NULL, NULL, 1, 2, 3)::bigint $$;
CREATE FUNCTION random_lead() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT l.id FROM leadflow.leads l ORDER BY random() LIMIT 1 $$;
CREATE FUNCTION random_activities(n integer)
RETURNS TABLE (lead_id bigint, occurred_at timestamptz, id uuid, kind text, campaign_id bigint, content text, properties jsonb)
LANGUAGE sql VOLATILE AS $$
	SELECT random_lead(), random_instant(), random_id(), random_kind(), random_campaign(), random_content(), random_properties()
	FROM generate_series(1, n)
$$;

INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'spring', 'Spring'), (2, 'autumn', 'Autumn'), (3, 'search', 'Search');
INSERT INTO leadflow.accounts (id, name, domain, status) VALUES (1, 'One', 'one.example', 'prospect'), (2, 'Two', 'two.example', 'customer');

CREATE FUNCTION random_rule(model bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per, hand_raise, active)
	SELECT model, g.id, random_id()::text, random_kind(),
		pick(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '$.content == "/pricing"', '$ ? (@.content starts with "/")', '$.campaign == "spring"', '$.properties.a > 1',
			'$ ? (@.properties.a > 1)', '$.properties.a', '$.properties.a == 1', 'strict $.properties.a == 1', '!($.properties.a == 1)',
			'$.properties.day.datetime() > "2025-01-01".datetime()', '$.content like_regex "^g" flag "i"', '$.**.b == 1')::jsonpath,
		pick(1, 2.5, 10, 0.1, -3, -0.7, 1e-7, 1234.5678, 0)::float8,
		l.n, CASE WHEN l.n IS NOT NULL THEN pick(NULL, 'hour', 'day', 'week', 'month', 'quarter', 'year') END,
		CASE WHEN l.n IS NOT NULL THEN pick(NULL, NULL, NULL, '$.properties.a', '$.properties.a', '$.content', '$.campaign', 'strict $.properties.a', '$.properties', '$') END::jsonpath,
		chance(.1), chance(.9)
	FROM (SELECT CASE WHEN chance(.7) THEN 1 + upto(4) END AS n) l
	CROSS JOIN (SELECT * FROM leadflow.scoring_groups g WHERE g.model_id = model AND g.axis = 'engagement' ORDER BY random() LIMIT 1) g
$$;

CREATE FUNCTION random_model() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	model bigint;
	i integer;
	persona bigint;
BEGIN
	INSERT INTO leadflow.scoring_models (name, mql_threshold, handoff_threshold, min_fit_grade, hand_raise_min_grade, required_fields,
		max_score, cool_down, requalify_points)
	VALUES (random_id()::text, pick(0, 5, 20, 60), pick(NULL, 20, 80), pick(NULL, NULL, 'C', 'A'), pick(NULL, NULL, 'B'),
		pick('{}', '{}', '{email}', '{job_title,budget}')::text[], pick(100, 100, 7.5, 2000), pick(NULL, '1 day', '30 days')::interval, pick(0, 5))
	RETURNING id INTO model;
	IF chance(.8) THEN
		INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points)
		VALUES (model, 'fit', 'fit', pick(0, 0, -20, 3), pick(40, 100, 3));
	END IF;
	FOR i IN 0 .. upto(3) LOOP
		INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
		VALUES (model, 'group ' || i, 'engagement', pick(0, -1e9, -1e9, -2), pick(1e9, 1e9, 1e9, 50, 1.5),
			pick(NULL, NULL, NULL, '1 second', '90 seconds', '10 minutes', '1 hour', '36 hours', '7 days', '30 days', '30 days', '400.5 days', '9131 days', '99.9 h')::interval);
	END LOOP;
	FOR i IN 0 .. 3 + upto(7) LOOP
		PERFORM random_rule(model);
	END LOOP;
	FOR i IN 1 .. upto(3) LOOP
		INSERT INTO leadflow.personas (model_id, name) VALUES (model, 'persona ' || i) RETURNING id INTO persona;
		INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points)
		SELECT persona, c, c::jsonpath, pick(10, 10, 3.3, -5, 25)
		FROM unnest(ARRAY['$.job_title like_regex "vp" flag "i"', '$.company_size >= 50', '$.budget > 1000.5',
			'$.account.status == "customer"', '$.attributes.tags[*] == "x"', 'exists($.attributes.vip)', '$.country == null',
			'$.campaign == "spring"', '$.attributes.vip']) c
		WHERE random() < .5;
	END LOOP;
	FOR i IN 1 .. upto(2) LOOP
		INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason)
		SELECT model, 'out ' || i, e, CASE e WHEN 'lead' THEN '$.country == "XX"' ELSE pick('$.content == "/jobs"', '$.properties.a == true') END::jsonpath, e
		FROM pick('lead', 'activity') e;
	END LOOP;
	DELETE FROM leadflow.scoring_models m WHERE m.status = 'retired';
	UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
	UPDATE leadflow.scoring_models SET status = 'active' WHERE id = model;
	RETURN model;
END $$;

CREATE FUNCTION random_attributes() RETURNS void LANGUAGE sql VOLATILE AS $$
	UPDATE leadflow.leads SET
		job_title = pick(NULL, 'VP', 'clerk', 'evp'), company_size = pick(NULL, 10, 50, 5000), budget = pick(NULL, 1000, 1000.51, 1e20),
		country = pick(NULL, 'DE', 'DE', 'FR', 'FR', 'XX'), campaign_id = random_campaign(), account_id = pick(NULL, 1, 2)::bigint,
		attributes = pick('{}', '{"tags": ["x", "y"]}', '{"vip": null}', '{"tags": "x"}', '[]')::jsonb,
		do_not_contact = chance(.1)
	WHERE random() < .4
$$;

-- One statement of any kind.
CREATE FUNCTION act() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	lead bigint;
	model CONSTANT bigint := (SELECT m.id FROM leadflow.scoring_models m WHERE m.status = 'active');
BEGIN
	CASE upto(29)
	WHEN 0, 1, 2, 3, 4 THEN	-- one
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties)
		SELECT * FROM random_activities(1);
	WHEN 5, 6, 7, 8 THEN	-- some
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties)
		SELECT * FROM random_activities(1 + upto(40));
	WHEN 9 THEN	-- a batch, voided ones among them
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties, voided_at, void_reason)
		SELECT r.*, v.at, CASE WHEN v.at IS NOT NULL THEN 'bot' END
		FROM random_activities(30) r CROSS JOIN LATERAL (SELECT CASE WHEN chance(.2) THEN leadflow.now() END AS at WHERE r.id IS NOT NULL) v;
	WHEN 10, 11 THEN	-- sent again, with some new ones
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties)
		(SELECT lead_id, occurred_at, id, kind, campaign_id, content, properties FROM leadflow.activities ORDER BY random() LIMIT 4)
		UNION ALL SELECT * FROM random_activities(4)
		ON CONFLICT DO NOTHING;
	WHEN 12 THEN
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties)
		(SELECT lead_id, occurred_at, id, random_kind(), campaign_id, content, properties FROM leadflow.activities ORDER BY random() LIMIT 4)
		UNION ALL SELECT * FROM random_activities(4)
		ON CONFLICT (lead_id, occurred_at, id) DO UPDATE SET kind = excluded.kind, content = random_content(),
			voided_at = CASE excluded.kind WHEN 'content_download' THEN leadflow.now() END, void_reason = CASE excluded.kind WHEN 'content_download' THEN 'twice' END;
	WHEN 13 THEN
		MERGE INTO leadflow.activities a
		USING ((SELECT lead_id, occurred_at, id, random_kind(), campaign_id, content, properties FROM leadflow.activities ORDER BY random() LIMIT 5)
			UNION ALL SELECT * FROM random_activities(2)) n (lead_id, occurred_at, id, kind, campaign_id, content, properties)
		ON a.lead_id = n.lead_id AND a.occurred_at = n.occurred_at AND a.id = n.id
		WHEN MATCHED AND n.kind = 'note' THEN DELETE
		WHEN MATCHED THEN UPDATE SET kind = n.kind
		WHEN NOT MATCHED THEN INSERT (lead_id, occurred_at, id, kind, campaign_id, content, properties)
			VALUES (n.lead_id, n.occurred_at, n.id, n.kind, n.campaign_id, n.content, n.properties);
	WHEN 14 THEN
		WITH first AS (
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties) SELECT * FROM random_activities(6)
		), gone AS (
			DELETE FROM leadflow.activities WHERE random() < .02
		)
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties) SELECT * FROM random_activities(6);
	WHEN 15, 16 THEN
		UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE voided_at IS NULL AND random() < .1;
	WHEN 17 THEN
		UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE voided_at IS NOT NULL AND random() < .3;
	WHEN 18 THEN
		UPDATE leadflow.activities SET content = random_content(), properties = random_properties(), campaign_id = random_campaign() WHERE random() < .1;
	WHEN 19 THEN
		UPDATE leadflow.activities SET occurred_at = random_instant() WHERE random() < .1;
	WHEN 20 THEN
		DELETE FROM leadflow.activities WHERE random() < .05;
	WHEN 21, 22 THEN
		PERFORM random_attributes();
	WHEN 23 THEN
		UPDATE leadflow.accounts SET status = pick('prospect', 'customer', 'former') WHERE random() < .5;
	WHEN 24, 28 THEN	-- the model or what belongs to it
		CASE upto(6)
		WHEN 0 THEN UPDATE leadflow.scoring_rules SET points = points + 1, active = chance(.8) WHERE model_id = model AND random() < .3;
		WHEN 1 THEN PERFORM random_rule(model);
		WHEN 2 THEN DELETE FROM leadflow.scoring_rules WHERE model_id = model AND random() < .2;
		WHEN 3 THEN UPDATE leadflow.scoring_groups SET half_life = pick('2 hours', '5 days', NULL)::interval WHERE model_id = model AND axis = 'engagement' AND random() < .3;
		WHEN 4 THEN UPDATE leadflow.activity_kinds SET role = pick('engagement', 'other', 'sales_touch') WHERE kind IN ('form_submit', 'strange') AND random() < .5;
		WHEN 5 THEN
			INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('strange', 'engagement') ON CONFLICT DO NOTHING;
		WHEN 6 THEN
			DELETE FROM leadflow.activity_kinds WHERE kind = 'strange';
		END CASE;
	WHEN 29 THEN	-- what a day is
		UPDATE leadflow.settings SET time_zone = pick('UTC', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu');
	WHEN 25 THEN	-- a lead with its first activities
		WITH new AS (
			INSERT INTO leadflow.leads (email, job_title) VALUES (random_id() || '@one.example', 'VP') RETURNING id
		)
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content)
		SELECT new.id, random_instant(), random_id(), random_kind(), random_content() FROM new, generate_series(0, upto(4));
	WHEN 26 THEN
		IF (SELECT count(*) FROM leadflow.leads) > 10 THEN
			DELETE FROM leadflow.leads WHERE id = random_lead();
		ELSE
			UPDATE leadflow.leads SET stage = 'disqualified' WHERE id = random_lead() AND stage = 'lead';
		END IF;
	WHEN 27 THEN
		CASE upto(20)
		WHEN 0 THEN TRUNCATE leadflow.activities;
		WHEN 1, 2, 3, 4, 5 THEN PERFORM leadflow.rescore();
		ELSE PERFORM leadflow.settle();
		END CASE;
	END CASE;
END $$;

-- Some statements, some of them in subtransactions, which end well or not.
CREATE FUNCTION work(depth integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	FOR i IN 0 .. upto(3) LOOP
		IF depth < 3 AND chance(.3) THEN
			BEGIN
				PERFORM work(depth + 1);
				IF chance(.5) THEN
					RAISE 'back';
				END IF;
			EXCEPTION
				WHEN raise_exception THEN
					UPDATE done SET rolled_back = rolled_back + 1;
			END;
		ELSE
			PERFORM act();
		END IF;
	END LOOP;
END $$;

-- All leads against the oracle.
CREATE FUNCTION compare(round integer, what text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	-- before and after what is in the row
	instant CONSTANT timestamptz := CASE upto(2) WHEN 0 THEN random_instant() WHEN 1 THEN leadflow.now() + random() * interval '400 days'
		ELSE leadflow.now() - random() * interval '20 days' END;
	other CONSTANT bigint := (SELECT m.id FROM leadflow.scoring_models m WHERE m.status = 'retired' ORDER BY m.id DESC LIMIT 1);
BEGIN
	INSERT INTO differences
	SELECT round, what, coalesce(v.lead_id, o.lead_id), leadflow.now(), to_jsonb(v)::text, to_jsonb(o)::text
	FROM leadflow._oracle_scores(leadflow.now()) o
	FULL JOIN leadflow.lead_scores v ON v.lead_id = o.lead_id
	LEFT JOIN LATERAL (SELECT 1e-9 * greatest(1, o.magnitude) AS is) tolerance ON true
	WHERE ((abs(v.score - o.score) <= tolerance.is AND abs(v.fit - o.fit) <= tolerance.is AND abs(v.engagement - o.engagement) <= tolerance.is
		AND abs(leadflow.score(v.lead_id) - o.score) <= tolerance.is
		AND v.grade IS NOT DISTINCT FROM o.grade AND v.level = o.level AND v.persona IS NOT DISTINCT FROM o.persona
		AND v.disqualified_reason IS NOT DISTINCT FROM o.disqualified_reason) IS NOT TRUE)
	UNION ALL
	SELECT round, what || ', at', o.lead_id, instant, s.score::text, to_jsonb(o)::text
	FROM leadflow._oracle_scores(instant) o
	CROSS JOIN LATERAL (SELECT leadflow.score(o.lead_id, instant) AS score) s
	WHERE (abs(s.score - o.score) <= 1e-9 * greatest(1, o.magnitude)) IS NOT TRUE
	UNION ALL
	SELECT round, what || ', other model', o.lead_id, instant, s.score::text, to_jsonb(o)::text
	FROM leadflow._oracle_scores(instant, other) o
	CROSS JOIN LATERAL (SELECT leadflow.score(o.lead_id, instant, other) AS score) s
	WHERE other IS NOT NULL AND (abs(s.score - o.score) <= 1e-9 * greatest(1, o.magnitude)) IS NOT TRUE
	UNION ALL
	SELECT round, what || ', explained', l.id, t, e.points::text, leadflow.score(l.id, t)::text
	FROM leadflow.leads l
	CROSS JOIN (VALUES (leadflow.now()), (instant)) i (t)
	CROSS JOIN LATERAL (SELECT coalesce(sum(x.points), 0) AS points FROM leadflow.explain_score(l.id, t) x) e
	WHERE (abs(e.points - leadflow.score(l.id, t)) <= 1e-9) IS NOT TRUE;
	UPDATE done SET compared = compared + (SELECT count(*) FROM leadflow.leads);
END $$;

-- A round: commits as it goes.
CREATE PROCEDURE play(round integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed((seed + round * 0.6180339887498949) - floor(seed + round * 0.6180339887498949));
	PERFORM set_config('leadflow.clock', (timestamptz '2026-01-01 00:00Z' + round * interval '17 hours 3 minutes 7.123456 s')::text, false);
	DELETE FROM leadflow.leads;
	INSERT INTO leadflow.leads (email, full_name, created_at)
	SELECT random_id() || '@' || pick('gmail.com', 'two.example', 'else.example'), 'Lead ' || i, leadflow.now() - random() * interval '300 days'
	FROM generate_series(1, 20) i;
	PERFORM random_attributes();
	PERFORM random_model();
	INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, content, properties)
	SELECT * FROM random_activities(upto(400));
	COMMIT;
	FOR i IN 1 .. 6 LOOP
		PERFORM work(0);
		IF chance(.3) THEN
			PERFORM compare(round, 'within');
		END IF;
		IF chance(.2) THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		IF i % 3 = 0 THEN
			PERFORM compare(round, 'after');
			-- time goes by
			PERFORM set_config('leadflow.clock', (leadflow.now() + random() * interval '3 days')::text, false);
		END IF;
	END LOOP;
	PERFORM compare(round, 'later');
	UPDATE done SET histories = histories + 20, transactions = transactions + 7, activities = activities + (SELECT count(*) FROM leadflow.activities);
	INSERT INTO differences SELECT round, 'verify: ' || v.check_name, NULL, leadflow.now(), v.object_id || ': ' || v.kept, v.recomputed
	FROM leadflow.verify() v WHERE round % 10 = 0;
	COMMIT;
END $$;
CREATE PROCEDURE play_all(histories integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	FOR round IN 1 .. (histories + 19) / 20 LOOP
		CALL play(round, seed);
	END LOOP;
END $$;

CALL play_all(:histories, :seed);

SELECT histories >= :histories AS enough, compared > 4 * histories AS compared, rolled_back > 0 AS rolled_back, activities > histories AS lively FROM done;
SELECT * FROM differences ORDER BY round, what, lead_id LIMIT 20;
SELECT * FROM leadflow.verify();
