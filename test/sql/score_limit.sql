--
-- Limits over long lives. Which activities a limit counts depends on all that match, so here
-- two leads live long lives under rules of every kind of limit: activities arrive in any order,
-- by any statement, are voided, changed and deleted, and at every stop the scores are the oracle's.
-- (score_property plays short lives under whole models.)
--
-- LEADFLOW_HISTORIES=10000 LEADFLOW_SEED=0.42 make test TESTS=score_limit: more (a life for
-- fifty histories of score_property), or others.  On failure: CALL live(life, seed) makes it again.
--
\getenv histories LEADFLOW_HISTORIES
\getenv seed LEADFLOW_SEED
\getenv dir PG_ABS_BUILDDIR
\if :{?histories}
\else
	\set histories 500
\endif
\if :{?seed}
\else
	\set seed 0.29
\endif
\if :{?dir}
	\set file :dir '/results/score_limit.copy'
\else
	\set file '/tmp/score_limit.copy'
\endif
SET timezone = 'UTC';
SET client_min_messages = warning;
SET extra_float_digits = 0;
\i test/fixtures/thaw.sql

-- One activity that is kept, thirty that come: four a month count, in the transaction too.
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, mql_threshold) VALUES (900, 'limits', 1e9);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, max_points) VALUES (901, 900, 'all', 'engagement', 1e9);
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per) VALUES (900, 901, 'monthly', 'page_view', 1, 4, 'month');
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;
INSERT INTO leadflow.leads (id) VALUES (1);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, '2025-11-22', 'page_view');
BEGIN;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) SELECT 1, timestamptz '2025-12-01' - n * interval '5 days', 'page_view' FROM generate_series(1, 30) n;
SELECT leadflow.score(1);
COMMIT;
SELECT leadflow.score(1);


CREATE TABLE differences (life integer, what text, lead_id bigint, at timestamptz, kept text, recomputed text);
CREATE TABLE done (lives bigint, statements bigint, activities bigint, undone bigint, compared bigint);
INSERT INTO done VALUES (0, 0, 0, 0, 0);
-- What is to come, and what comes now.
CREATE TABLE plan (seq integer PRIMARY KEY, lead_id bigint, occurred_at timestamptz, id uuid, kind text, content text, properties jsonb);
CREATE TABLE batch (LIKE plan);
CREATE TABLE chosen (lead bigint, instant timestamptz, key uuid);

CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;
CREATE FUNCTION upto(n integer) RETURNS integer LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * (n + 1))::integer $$;
CREATE FUNCTION chance(p float8) RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT random() < p $$;

-- Values that are equal though they are written differently, and the other way round.
CREATE FUNCTION random_value(distinct_values integer) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		WHEN distinct_values > 50 THEN jsonb_build_object('v', upto(distinct_values))
		WHEN chance(.5) THEN jsonb_build_object('v', upto(distinct_values)::text)
		ELSE pick(NULL, '{}', '[]', '{"v": null}', '{"v": 1}', '{"v": 1.0}', '{"v": 1.00e0}', '{"v": "1"}', '{"v": true}', '{"v": false}', '{"v": ""}', '{"v": " "}',
			'{"v": {"a": 1, "b": [1, 2]}}', '{"v": {"b": [1.0, 2], "a": 1.0}}', '{"v": {"b": [2, 1], "a": 1}}', '{"v": [1]}', '{"v": [1, 2]}', '{"v": []}', '{"v": {}}',
			'{"v": 0}', '{"v": -0.0}', '{"v": 12345678901234567890123}', '{"v": 1e400}', '{"v": "é"}', '{"v": "e\u0301"}', '{"v": "É"}',
			format('{"v": "%s"}', repeat('long ', 500)), format('{"v": "%s"}', repeat('long ', 500) || 'er'))::jsonb END
$$;
CREATE FUNCTION random_instant(style text) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT CASE style
		WHEN 'decades' THEN timestamptz '1990-01-01' + random() * (leadflow.now() - '1990-01-01')
		WHEN 'days' THEN leadflow.now() - upto(500) * interval '24 hours' - upto(3) * interval '5 hours'
		WHEN 'dense' THEN leadflow.now() - random() * interval '3 hours'
		WHEN 'ties' THEN date_trunc('hour', leadflow.now()) - upto(5) * interval '30 minutes'
		WHEN 'recent' THEN leadflow.now() - random() * random() * random() * interval '300 days'
		-- clocks go forward and back: in New York, Berlin, on Lord Howe; the day that Samoa left out
		WHEN 'clocks' THEN pick('2025-11-02 05:00Z', '2025-03-09 06:00Z', '2025-03-30 00:00Z', '2025-10-26 00:00Z', '2025-10-04 15:00Z', '2025-04-05 14:30Z',
			'2011-12-30 09:00Z')::timestamptz + (upto(48) - 12) * interval '15 minutes' + pick('0', '0', '1 us', '-1 us')::interval
		-- at the turn of what is counted by, there
		ELSE date_trunc(pick('hour', 'day', 'week', 'month', 'quarter', 'year'), leadflow.now() - random() * interval '400 days', s.time_zone)
			+ pick('0', '-1 us', '1 us', '30 min')::interval
		END
	FROM leadflow.settings s
$$;

-- A model of limits alone.
CREATE FUNCTION random_model() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
	DELETE FROM leadflow.scoring_models WHERE id = 900;
	INSERT INTO leadflow.scoring_models (id, name, mql_threshold, max_score) VALUES (900, 'limits', 1e9, 1e9);
	INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points, half_life) VALUES
		(901, 900, 'a', 'engagement', -1e9, 1e9, NULL),
		(902, 900, 'b', 'engagement', -1e9, 1e9, pick('1 second', '90 seconds', '10 minutes', '3 hours', '2 days', '30 days', '400.25 days')::interval),
		(903, 900, 'c', 'engagement', 0, pick('50', '1e9')::float8, pick(NULL, '1 hour', '20 days', '9131 days')::interval);
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per, hand_raise)
	SELECT 900, 901 + upto(2), 'rule ' || i, pick('page_view', 'page_view', 'content_download', 'form_submit'),
		pick(NULL, NULL, NULL, '$.properties.v', '$.content == "/pricing"', '$.content like_regex "^/(a|p)"')::jsonpath,
		pick('1', '10', '0.1', '-3', '1e-7', '1234.5')::float8, CASE WHEN i > 1 THEN 1 + upto(4) END,
		CASE WHEN i > 1 THEN pick(NULL, 'hour', 'day', 'week', 'month', 'quarter', 'year') END,
		CASE WHEN i > 1 THEN pick(NULL, '$.properties.v', '$.properties.v', '$.content', 'strict $.properties.v', '$.properties.v[*]', '$.properties') END::jsonpath,
		chance(.2)
	FROM generate_series(1, 4 + upto(4)) i;
	IF chance(.3) THEN
		INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES (900, 'out', 'activity', '$.content == "/jobs" && $.properties.v == 3', 'out');
	END IF;
	UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;
END $$;

-- The next n of the plan become the batch.
CREATE FUNCTION take(n integer) RETURNS void LANGUAGE sql VOLATILE AS $$
	DELETE FROM batch;
	WITH next AS (
		DELETE FROM plan WHERE seq IN (SELECT seq FROM plan ORDER BY seq LIMIT n) RETURNING *
	)
	INSERT INTO batch SELECT * FROM next ORDER BY seq;
$$;
-- Some that are there: the latest, which limits count; or any.
CREATE FUNCTION choose(n integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	DELETE FROM chosen;
	IF chance(.6) THEN
		INSERT INTO chosen SELECT a.lead_id, a.occurred_at, a.id FROM leadflow.activities a ORDER BY a.occurred_at DESC, a.id LIMIT n OFFSET upto(2);
	ELSE
		INSERT INTO chosen SELECT a.lead_id, a.occurred_at, a.id FROM leadflow.activities a ORDER BY md5(a.id::text || n) LIMIT n;
	END IF;
END $$;

CREATE FUNCTION act(style text, distinct_values integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	next batch;
BEGIN
	UPDATE done SET statements = statements + 1;
	CASE upto(20)
	WHEN 0, 1, 2, 3 THEN
		PERFORM take(pick('1', '2', '10', '60')::integer);
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
		SELECT lead_id, occurred_at, id, kind, content, properties FROM batch;
	WHEN 4, 5, 6 THEN	-- one by one
		PERFORM take(1 + upto(15));
		FOR next IN SELECT * FROM batch ORDER BY seq LOOP
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
			VALUES (next.lead_id, next.occurred_at, next.id, next.kind, next.content, next.properties);
		END LOOP;
	WHEN 7 THEN	-- with some that have been sent before
		PERFORM choose(5);
		PERFORM take(10);
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
		SELECT lead_id, occurred_at, id, kind, content, properties FROM batch UNION ALL SELECT s.lead, s.instant, s.key, 'page_view', NULL, NULL FROM chosen s
		ON CONFLICT DO NOTHING;
	WHEN 8 THEN	-- which are changed by it
		PERFORM choose(5);
		PERFORM take(5);
		INSERT INTO leadflow.activities AS a (lead_id, occurred_at, id, kind, content, properties)
		SELECT lead_id, occurred_at, id, kind, content, properties FROM batch
		UNION ALL SELECT s.lead, s.instant, s.key, 'page_view', '/pricing', random_value(distinct_values) FROM chosen s
		ON CONFLICT (lead_id, occurred_at, id) DO UPDATE SET kind = excluded.kind, content = excluded.content, properties = excluded.properties
		WHERE a.kind <> 'note';
	WHEN 9 THEN	-- or voided
		PERFORM choose(3);
		PERFORM take(5);
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
		SELECT lead_id, occurred_at, id, kind, content, properties FROM batch UNION ALL SELECT s.lead, s.instant, s.key, 'page_view', NULL, NULL FROM chosen s
		ON CONFLICT ON CONSTRAINT activities_pkey DO UPDATE SET voided_at = leadflow.now(), void_reason = 'twice';
	WHEN 10 THEN
		PERFORM choose(6);
		PERFORM take(5);
		MERGE INTO leadflow.activities a
		USING (SELECT lead_id, occurred_at, id, kind, content, properties, 0 AS n FROM batch
			UNION ALL SELECT s.lead, s.instant, s.key, 'page_view', '/a', random_value(distinct_values), row_number() OVER () FROM chosen s) m
		ON a.lead_id = m.lead_id AND a.occurred_at = m.occurred_at AND a.id = m.id
		WHEN MATCHED AND m.n = 1 THEN DO NOTHING
		WHEN MATCHED AND m.n = 2 THEN DELETE
		WHEN MATCHED AND m.n = 3 THEN UPDATE SET voided_at = leadflow.now(), void_reason = 'merged'
		WHEN MATCHED THEN UPDATE SET kind = m.kind, properties = m.properties
		WHEN NOT MATCHED THEN INSERT (lead_id, occurred_at, id, kind, content, properties)
			VALUES (m.lead_id, m.occurred_at, m.id, m.kind, m.content, m.properties);
	WHEN 11 THEN
		PERFORM take(30);
		EXECUTE format('COPY (SELECT lead_id, occurred_at, id, kind, content, properties FROM batch) TO %L', current_setting('limits.file'));
		EXECUTE format('COPY leadflow.activities (lead_id, occurred_at, id, kind, content, properties) FROM %L', current_setting('limits.file'));
	WHEN 12 THEN	-- two inserts, and a deletion, in one
		PERFORM choose(2);
		PERFORM take(8);
		WITH odd AS (
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
			SELECT lead_id, occurred_at, id, kind, content, properties FROM batch WHERE seq % 2 = 1
		), gone AS (
			DELETE FROM leadflow.activities a USING chosen s WHERE a.lead_id = s.lead AND a.occurred_at = s.instant AND a.id = s.key
		)
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
		SELECT lead_id, occurred_at, id, kind, content, properties FROM batch WHERE seq % 2 = 0;
	WHEN 13 THEN	-- voided from the start
		PERFORM take(4);
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties, voided_at, void_reason)
		SELECT lead_id, occurred_at, id, kind, content, properties, leadflow.now(), 'bot' FROM batch;
	WHEN 14, 15 THEN
		PERFORM choose(1 + upto(6));
		UPDATE leadflow.activities a SET voided_at = leadflow.now(), void_reason = 'bot'
		FROM chosen s WHERE a.lead_id = s.lead AND a.occurred_at = s.instant AND a.id = s.key;
	WHEN 16 THEN
		UPDATE leadflow.activities a SET voided_at = NULL, void_reason = NULL WHERE a.voided_at IS NOT NULL AND chance(.5);
	WHEN 17 THEN
		PERFORM choose(1 + upto(4));
		UPDATE leadflow.activities a SET occurred_at = random_instant(style), properties = random_value(distinct_values)
		FROM chosen s WHERE a.lead_id = s.lead AND a.occurred_at = s.instant AND a.id = s.key;
	WHEN 18 THEN
		PERFORM choose(1 + upto(4));
		UPDATE leadflow.activities a SET kind = pick('page_view', 'content_download', 'note'), content = pick('/pricing', '/a', NULL)
		FROM chosen s WHERE a.lead_id = s.lead AND a.occurred_at = s.instant AND a.id = s.key;
	WHEN 19 THEN
		PERFORM choose(1 + upto(6));
		DELETE FROM leadflow.activities a USING chosen s WHERE a.lead_id = s.lead AND a.occurred_at = s.instant AND a.id = s.key;
	WHEN 20 THEN
		CASE upto(12)
		WHEN 0 THEN TRUNCATE leadflow.activities;
		WHEN 1 THEN PERFORM leadflow.rescore();
		WHEN 2 THEN UPDATE leadflow.scoring_rules SET max_count = 1 + upto(4) WHERE model_id = 900 AND max_count IS NOT NULL AND chance(.3);
		WHEN 3 THEN UPDATE leadflow.settings SET time_zone = pick('UTC', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia');
		ELSE PERFORM leadflow.settle();
		END CASE;
	END CASE;
END $$;

-- Some statements; what is in a subtransaction stays or goes.
CREATE FUNCTION work(style text, distinct_values integer, depth integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	FOR i IN 0 .. upto(2) LOOP
		IF depth < 3 AND chance(.25) THEN
			BEGIN
				PERFORM work(style, distinct_values, depth + 1);
				IF chance(.5) THEN
					RAISE 'back';
				END IF;
			EXCEPTION
				WHEN raise_exception THEN
					UPDATE done SET undone = undone + 1;
			END;
		ELSE
			PERFORM act(style, distinct_values);
		END IF;
	END LOOP;
END $$;

-- Now, as it is kept; at the instant of some activity, just before and after it, and later.
CREATE FUNCTION compare(life integer, what text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	some_instant CONSTANT timestamptz := coalesce((SELECT a.occurred_at FROM leadflow.activities a ORDER BY md5(a.id::text || random()) LIMIT 1), leadflow.now());
	instant timestamptz;
BEGIN
	INSERT INTO differences
	SELECT life, what, o.lead_id, leadflow.now(), format('%s, engagement %s', v.score, v.engagement), format('%s, engagement %s', o.score, o.engagement)
	FROM leadflow._oracle_scores(leadflow.now()) o
	LEFT JOIN leadflow.lead_scores v ON v.lead_id = o.lead_id
	WHERE (abs(v.score - o.score) <= 1e-9 * greatest(1, o.magnitude) AND abs(v.engagement - o.engagement) <= 1e-9 * greatest(1, o.magnitude)
		AND abs(leadflow.score(v.lead_id) - o.score) <= 1e-9 * greatest(1, o.magnitude)
		AND v.disqualified_reason IS NOT DISTINCT FROM o.disqualified_reason) IS NOT TRUE;
	FOREACH instant IN ARRAY ARRAY[some_instant - pick('0', '0', '1 us')::interval, leadflow.now() + random() * random() * interval '500 days'] LOOP
		INSERT INTO differences
		SELECT life, what || ', at', o.lead_id, instant, s.score::text, o.score::text
		FROM leadflow._oracle_scores(instant) o
		CROSS JOIN LATERAL (SELECT leadflow.score(o.lead_id, instant) AS score) s
		WHERE (abs(s.score - o.score) <= 1e-9 * greatest(1, o.magnitude)) IS NOT TRUE;
	END LOOP;
	INSERT INTO differences
	SELECT life, what || ', explained', l.id, some_instant, e.points::text, leadflow.score(l.id, some_instant)::text
	FROM leadflow.leads l
	CROSS JOIN LATERAL (SELECT coalesce(sum(x.points), 0) AS points, coalesce(sum(abs(x.points)), 0) AS magnitude FROM leadflow.explain_score(l.id, some_instant) x) e
	WHERE (abs(e.points - leadflow.score(l.id, some_instant)) <= 1e-9 * greatest(1, e.magnitude)) IS NOT TRUE;
	UPDATE done SET compared = compared + 1;
END $$;

CREATE PROCEDURE live(life integer, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	style text;
	arrival text;
	distinct_values integer;
BEGIN
	PERFORM setseed((seed + life * 0.6180339887498949) - floor(seed + life * 0.6180339887498949));
	PERFORM set_config('leadflow.clock', (timestamptz '2026-03-01 00:00Z' + life * interval '41 hours 13 minutes 7.123456 s')::text, false);
	DELETE FROM leadflow.leads;
	INSERT INTO leadflow.leads (id, email) VALUES (1, 'busy@x.example'), (2, 'idle@x.example');
	UPDATE leadflow.settings SET time_zone = pick('UTC', 'America/New_York', 'Australia/Lord_Howe', 'Europe/Berlin', 'Asia/Kathmandu', 'Pacific/Apia', 'Africa/Casablanca');
	PERFORM random_model();
	style := pick('decades', 'days', 'dense', 'ties', 'recent', 'clocks', 'turns');
	arrival := pick('in order', 'in reverse', 'shuffled', 'shuffled', 'late', 'late');
	distinct_values := pick('2', '10', '300')::integer;
	DELETE FROM plan;
	INSERT INTO plan
	SELECT row_number() OVER (ORDER BY CASE arrival WHEN 'in order' THEN instant WHEN 'in reverse' THEN '2026-01-01'::timestamptz + ('2026-01-01' - instant)
			-- most of them in order, some later
			WHEN 'late' THEN instant + CASE WHEN late < .2 THEN late * 5 * interval '300 days' ELSE '0' END
			ELSE timestamptz '2026-01-01' + late * interval '1 day' END, id),
		CASE WHEN busy < .85 THEN 1 ELSE 2 END, instant, id, kind, content, properties
	FROM (SELECT random_instant(style) AS instant, md5(random()::text || i)::uuid AS id, random() AS late, random() AS busy,
			pick('page_view', 'page_view', 'page_view', 'content_download', 'form_submit', 'note') AS kind, pick('/pricing', '/a', '/jobs', '/a/' || i % 7, NULL) AS content,
			random_value(distinct_values) AS properties
		FROM generate_series(1, 150 + upto(250)) i) r;
	COMMIT;
	WHILE EXISTS (SELECT FROM plan) LOOP
		PERFORM work(style, distinct_values, 0);
		IF chance(.1) THEN
			PERFORM compare(life, 'within');
		END IF;
		IF chance(.1) THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		IF chance(.25) THEN
			PERFORM compare(life, 'after');
		END IF;
	END LOOP;
	PERFORM compare(life, 'at last');
	PERFORM leadflow.rescore();
	PERFORM compare(life, 'rescored');
	UPDATE done SET lives = lives + 1, activities = activities + (SELECT count(*) FROM leadflow.activities);
	COMMIT;
END $$;
CREATE PROCEDURE live_all(lives integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	FOR life IN 1 .. lives LOOP
		CALL live(life, seed);
	END LOOP;
END $$;

SELECT set_config('limits.file', :'file', false) IS NOT NULL AS set;
CALL live_all(greatest(1, :histories / 50), :seed);
SELECT lives >= :histories / 50 AS enough, compared > 5 * lives AS compared, undone > 0 AS undone, activities > 50 * lives AS lively FROM done;
SELECT * FROM differences ORDER BY life, what, lead_id, at LIMIT 20;
SELECT * FROM leadflow.verify();

--
-- A lead that is never left alone: more than a thousand activities, each in its own
-- transaction, late ones and redelivered ones among them.
--
CREATE PROCEDURE hot(n integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
		VALUES (1, timestamptz '2026-06-01' - CASE WHEN i % 5 = 0 THEN n - i ELSE i * 7 % n END * interval '37 min', md5(i::text)::uuid,
			(ARRAY['page_view', 'content_download', 'form_submit'])[1 + i % 3], '/' || i % 11, jsonb_build_object('v', CASE WHEN i % 2 = 0 THEN i % 13 ELSE i END))
		ON CONFLICT DO NOTHING;
		IF i % 50 = 0 THEN	-- and again
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, properties)
			SELECT lead_id, occurred_at, id, kind, content, properties FROM leadflow.activities WHERE id IN (md5((i - 1)::text)::uuid, md5((i - 20)::text)::uuid)
			ON CONFLICT DO NOTHING;
		END IF;
		IF i % 211 = 0 THEN	-- the latest are bots
			UPDATE leadflow.activities SET voided_at = '2026-06-01', void_reason = 'bot'
			WHERE id IN (SELECT id FROM leadflow.activities WHERE voided_at IS NULL ORDER BY occurred_at DESC, id DESC LIMIT 9);
		END IF;
		COMMIT;
		IF i % 100 = 0 THEN
			PERFORM compare(-i, 'hot');
		END IF;
	END LOOP;
END $$;
CREATE FUNCTION limits(kind text, VARIADIC per text[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per, once_per)
	SELECT 900, 901 + n % 2, concat_ws(' ', kind, n, p, o), kind, 1 + n * .1, 1 + n % 5, p, o::jsonpath
	FROM unnest(per) WITH ORDINALITY u (p, n), unnest(ARRAY[NULL, '$.properties.v']) o
$$;
SELECT set_config('leadflow.clock', '2026-06-01 00:00Z', false) IS NOT NULL AS set, setseed(.5) IS NOT NULL AS seeded;
UPDATE leadflow.settings SET time_zone = 'America/New_York';
DELETE FROM leadflow.activities;
DELETE FROM leadflow.disqualifiers WHERE model_id = 900;
DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
UPDATE leadflow.scoring_groups SET half_life = CASE id WHEN 902 THEN interval '12 hours' END, min_points = 0, max_points = 1e9 WHERE model_id = 900;
SELECT limits('page_view', NULL, 'hour', 'day'), limits('content_download', 'week', 'month'), limits('form_submit', 'quarter', 'year', NULL);
CALL hot(1100);
SELECT lead_id, round(score::numeric, 3) AS score FROM leadflow.lead_scores ORDER BY 1;

-- Years of days, some a day, the latest first, the earliest first, and all together; each
-- counts twice a day.
DELETE FROM leadflow.activities;
DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per) VALUES (900, 901, 'daily', 'page_view', 1, 2, 'day');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) SELECT 1, 'page_view', timestamptz '2026-05-31 12:00Z' - n * interval '1 day' FROM generate_series(0, 699) n, generate_series(1, 3);
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1400
DO $$ BEGIN FOR n IN 0 .. 299 LOOP INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, 'page_view', timestamptz '2024-01-01 12:00Z' - n * interval '1 day'); END LOOP; END $$;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 1700
DELETE FROM leadflow.activities WHERE extract(hour FROM occurred_at AT TIME ZONE 'UTC') = 12 AND occurred_at > '2026-01-01';
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;	-- 151 days less
SELECT compare(-2, 'days');

-- Many values: four of each, 900 of them, then one more of each; the later two count.
DELETE FROM leadflow.activities;
DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, once_per) VALUES (900, 902, 'each', 'page_view', 1, 2, '$.properties.v');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties)
SELECT 1, 'page_view', timestamptz '2026-05-01' + t * interval '1 hour', jsonb_build_object('v', repeat('v', n % 50) || n) FROM generate_series(1, 4) t, generate_series(1, 900) n;
SELECT compare(-3, 'values');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties)
SELECT 1, 'page_view', timestamptz '2026-05-01 02:30Z', jsonb_build_object('v', repeat('v', n % 50) || n) FROM generate_series(1, 900) n;	-- late
SELECT compare(-3, 'values');
DO $$
BEGIN
	FOR n IN 1 .. 100 LOOP
		INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties) VALUES (1, 'page_view', '2026-05-31', jsonb_build_object('v', repeat('v', n % 50) || n));
		INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties) VALUES (1, 'page_view', '1995-05-31', jsonb_build_object('v', 'new' || n));
	END LOOP;
END $$;
SELECT compare(-3, 'values');
UPDATE leadflow.activities SET voided_at = '2026-06-01', void_reason = 'test' WHERE occurred_at >= '2026-05-01 04:00Z';
SELECT compare(-3, 'values');

-- More than fits into memory, of many leads, changed and deleted as a whole.
SET work_mem = '64kB';
DELETE FROM leadflow.activities;
DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
SELECT limits('page_view', 'hour', NULL), limits('form_submit', 'day', 'year');
INSERT INTO leadflow.leads (id, email) SELECT n, n || '@x.example' FROM generate_series(3, 40) n;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, properties)
SELECT 1 + n % 40, timestamptz '2026-05-31' - n * 7919 % 6000 * interval '1 hour', CASE n % 3 WHEN 0 THEN 'form_submit' ELSE 'page_view' END, jsonb_build_object('v', n % 101, 'n', n)
FROM generate_series(1, 6000) n;
SELECT compare(-4, 'spilled');
UPDATE leadflow.activities SET properties = properties || '{"again": true}', occurred_at = occurred_at + interval '30 minutes' WHERE (properties ->> 'n')::integer % 2 = 0;
SELECT compare(-4, 'spilled');
BEGIN;
DELETE FROM leadflow.activities WHERE (properties ->> 'n')::integer % 5 = 0;
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, properties)
SELECT 1 + n % 40, timestamptz '2026-05-31' - n * 7919 % 6000 * interval '1 hour', 'page_view', jsonb_build_object('v', n % 101, 'n', n) FROM generate_series(6001, 12000) n;
SELECT compare(-4, 'spilled');
ROLLBACK TO a;
SELECT compare(-4, 'spilled');
COMMIT;
SELECT compare(-4, 'spilled');
RESET work_mem;

-- Half-lives of minutes, decades of history; the landmark moves with each activity.
DELETE FROM leadflow.activities;
UPDATE leadflow.scoring_groups SET half_life = '5 minutes' WHERE id = 902;
DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per) VALUES
	(900, 902, 'all', 'page_view', 10, NULL, NULL), (900, 902, 'three', 'page_view', 100, 3, NULL), (900, 902, 'daily', 'page_view', 1000, 1, 'day');
DO $$
BEGIN
	FOR y IN 0 .. 36 LOOP
		INSERT INTO leadflow.activities (lead_id, kind, occurred_at)
		SELECT 1 + i % 2, 'page_view', timestamptz '1990-01-01' + y * interval '365.2425 days' + i * interval '7 min 11.5 s' FROM generate_series(1, 5) i
		WHERE timestamptz '1990-01-01' + y * interval '365.2425 days' < '2026-05-01';
		IF y % 6 = 0 THEN
			INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, 'page_view', '1970-01-01');
		END IF;
	END LOOP;
	INSERT INTO leadflow.activities (lead_id, kind, occurred_at) SELECT 1, 'page_view', timestamptz '2026-06-01' - i * interval '90 s' FROM generate_series(20, 0, -1) i;
END $$;
SELECT compare(-5, 'decades') FROM generate_series(1, 10);
SELECT lead_id, round(score::numeric, 6) AS score, round(leadflow.score(lead_id, '2004-12-31 16:00Z')::numeric, 6) AS in_2004 FROM leadflow.lead_scores WHERE lead_id < 3 ORDER BY 1;


-- What a transaction has inserted, it reads: beside few or many that were there, one more each
-- time, late ones.
DELETE FROM leadflow.leads WHERE id > 2;
DELETE FROM leadflow.activities;
DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per) VALUES (900, 901, 'monthly', 'page_view', 1, 4, 'month');
CREATE PROCEDURE reads(there integer, more integer) LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM leadflow.activities;
	INSERT INTO leadflow.activities (lead_id, occurred_at, kind) SELECT 1, timestamptz '2025-12-01' - n * interval '9 days', 'page_view' FROM generate_series(1, there) n;
	COMMIT;
	FOR n IN 1 .. more LOOP
		INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, timestamptz '2025-12-20' - n * interval '5 days', 'page_view');
		INSERT INTO differences
		SELECT -6, format('%s there, %s more', there, n), 1, NULL, format('%s, score() %s', v.score, leadflow.score(1)), o.score
		FROM leadflow._oracle_scores(leadflow.now(), NULL, '{1}') o, leadflow.lead_scores v
		WHERE v.lead_id = 1 AND (v.score = o.score AND leadflow.score(1) = o.score) IS NOT TRUE;
	END LOOP;
	COMMIT;
	INSERT INTO leadflow.activities (lead_id, occurred_at, kind) SELECT 1, timestamptz '2024-12-01' - n * interval '5 days', 'page_view' FROM generate_series(1, more) n;
	PERFORM compare(-6, 'in the transaction');
	ROLLBACK;
END $$;
CALL reads(0, 70);
CALL reads(1, 70);
CALL reads(20, 70);

-- What a transaction has inserted and computes anew itself, counts once.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
SELECT leadflow.rescore();
SELECT compare(-7, 'rescored in the transaction');
COMMIT;
SELECT compare(-7, 'rescored in the transaction, after it');
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
SELECT leadflow.rescore();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view'), (2, 'page_view');
RELEASE a;
SAVEPOINT b;
SELECT leadflow.rescore();
ROLLBACK TO b;
SELECT compare(-7, 'rescored in a subtransaction');
COMMIT;
SELECT compare(-7, 'rescored in a subtransaction, after it');
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
UPDATE leadflow.scoring_rules SET points = 3 WHERE model_id = 900;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
UPDATE leadflow.settings SET time_zone = 'Asia/Kathmandu';
COMMIT;
SELECT compare(-7, 'edited in the transaction');

SELECT * FROM differences ORDER BY life, what, lead_id, at LIMIT 20;
SELECT * FROM leadflow.verify();
