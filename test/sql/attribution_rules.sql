-- Attribution as pure functions: weights of every rule-based model, the split to the
-- cent against numeric arithmetic, and the ordered aggregate against both.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET jit = off;
SET enable_memoize = off;	-- random() is for every row
\set kinds '{first_touch,last_touch,last_non_direct,linear,time_decay,position_based,w_shaped,full_path}'

-- Weights: in input order, ties to position, touches after the conversion weigh nothing.
SELECT leadflow.touch_weights(model, '{2026-01-03,2026-01-01,2026-01-05,2026-01-01}', '2026-01-03')
FROM unnest(:'kinds'::text[]) model;
SELECT leadflow.touch_weights(model, '{2026-01-03,2026-01-01,2026-01-03}', '2026-01-03')
FROM unnest(:'kinds'::text[]) model;
-- the touch at the instant of the conversion counts, a microsecond later does not
SELECT leadflow.touch_weights('last_touch', '{2026-01-01,2026-01-03 00:00:00.000000+00,2026-01-03 00:00:00.000001+00}', '2026-01-03');
SELECT leadflow.touch_weights('linear', '{}', '2026-01-03'), leadflow.touch_weights('linear', '{2027-01-01}', '2026-01-03'),
	leadflow.touch_weights('linear', '{2026-01-01,infinity,-infinity}', '2026-01-03'),
	leadflow.touch_weights('linear', '{2026-01-01}', 'infinity', '2025-01-01', NULL);
SELECT leadflow.touch_weights(NULL, '{}', '2026-01-03') IS NULL, leadflow.touch_weights('linear', NULL, '2026-01-03') IS NULL,
	leadflow.touch_weights('linear', '{2026-01-03}', NULL) IS NULL;
SELECT leadflow.touch_weights('guess', '{}', '2026-01-03');
SELECT leadflow.touch_weights('linear', '{2026-01-01,NULL}', '2026-01-03');
SELECT leadflow.touch_weights('linear', '{{2026-01-01},{2026-01-02}}', '2026-01-03');
SELECT leadflow.touch_weights('linear', '[7:8]={2026-01-01,2026-01-02}', '2026-01-03');

-- By hand: touches on days of January, at noon; events on days, at noon; the conversion on day 31, at noon.
CREATE TABLE journeys (what text, kind text, params jsonb, days int[], lead_day int, opportunity_day int, direct boolean[], expected numeric[]);
INSERT INTO journeys VALUES
	('one touch', 'position_based', '{}', '{5}', NULL, NULL, NULL, '{1}'),
	('one touch', 'w_shaped', '{}', '{5}', 7, 9, NULL, '{1}'),
	('one touch', 'full_path', '{}', '{5}', 7, 9, NULL, '{1}'),
	('one touch', 'time_decay', '{}', '{5}', NULL, NULL, NULL, '{1}'),
	('two touches', 'position_based', '{}', '{5,6}', NULL, NULL, NULL, '{0.5,0.5}'),
	('two touches', 'position_based', '{"first": 0.6, "middle": 0.2, "last": 0.2}', '{5,6}', NULL, NULL, NULL, '{0.75,0.25}'),
	('three touches', 'position_based', '{}', '{5,6,7}', NULL, NULL, NULL, '{0.4,0.2,0.4}'),
	('five touches', 'position_based', '{}', '{5,6,7,8,9}', NULL, NULL, NULL, '{0.4,0.066667,0.066667,0.066667,0.4}'),
	('not sorted', 'position_based', '{}', '{9,6,5,7,8}', NULL, NULL, NULL, '{0.4,0.066667,0.4,0.066667,0.066667}'),
	('one left out keeps its default', 'position_based', '{"first": 0}', '{5,6,7}', NULL, NULL, NULL, '{0,0.333333,0.666667}'),
	('an anchor of weight 0 is no middle', 'position_based', '{"first": 0, "last": 0}', '{5,6,7,8}', NULL, NULL, NULL, '{0,0.5,0.5,0}'),
	('nothing is left: equal', 'position_based', '{"first": 0, "last": 0}', '{5,6}', NULL, NULL, NULL, '{0.5,0.5}'),
	('all parts 0: equal', 'position_based', '{"first": 0, "last": 0, "middle": 0}', '{5,6,7,8}', NULL, NULL, NULL, '{0.25,0.25,0.25,0.25}'),
	('each its own', 'w_shaped', '{}', '{5,8,11,14}', 8, 12, NULL, '{0.3,0.3,0.3,0.1}'),
	('no event is known', 'w_shaped', '{}', '{5,8,11,14}', NULL, NULL, NULL, '{0.75,0.083333,0.083333,0.083333}'),
	('opportunity missing', 'w_shaped', '{}', '{5,8,11,14}', 9, NULL, NULL, '{0.428571,0.428571,0.071429,0.071429}'),
	('before the first touch', 'w_shaped', '{}', '{5,8,11,14}', 4, 12, NULL, '{0.428571,0.071429,0.428571,0.071429}'),
	('touch at the event, no middle', 'w_shaped', '{}', '{5,8,11}', 8, 11, NULL, '{0.333333,0.333333,0.333333}'),
	('first is both events', 'w_shaped', '{}', '{5,20,22}', 6, 7, NULL, '{0.9,0.05,0.05}'),
	('events on one touch', 'w_shaped', '{}', '{5,8,11}', 9, 9, NULL, '{0.3,0.6,0.1}'),
	('event after the conversion', 'w_shaped', '{}', '{5,8}', 40, 8, NULL, '{0.333333,0.666667}'),
	('each its own', 'full_path', '{}', '{5,8,11,14,17}', 8, 12, NULL, '{0.225,0.225,0.225,0.1,0.225}'),
	('last is opportunity', 'full_path', '{}', '{5,8,11,14}', 8, 20, NULL, '{0.225,0.225,0.1,0.45}'),
	('no middle', 'full_path', '{}', '{5,8,11,14}', 8, 11, NULL, '{0.25,0.25,0.25,0.25}'),
	('last touch is after the conversion', 'full_path', '{}', '{5,8,32}', NULL, NULL, NULL, '{0.5,0.5,0}'),
	('parts in any unit', 'custom', '{"first": 3, "last": 1}', '{5,6,7}', NULL, NULL, NULL, '{0.75,0,0.25}'),
	('lead creation alone', 'custom', '{"lead_created": 5}', '{5,6,7}', 6, NULL, NULL, '{0,1,0}'),
	('lead creation alone, unknown', 'custom', '{"lead_created": 5}', '{5,6,7,8}', NULL, NULL, NULL, '{0.25,0.25,0.25,0.25}'),
	('all but the first', 'custom', '{"first": 0, "middle": 1}', '{5,6,7}', NULL, NULL, NULL, '{0,0.5,0.5}'),
	('a half-life more each', 'time_decay', '{"half_life": "2 days"}', '{31,29,27}', NULL, NULL, NULL, '{0.571429,0.285714,0.142857}'),
	('seven days', 'time_decay', '{}', '{31,24}', NULL, NULL, NULL, '{0.666667,0.333333}'),
	('ISO 8601', 'time_decay', '{"half_life": "PT48H"}', '{31,29,32}', NULL, NULL, NULL, '{0.666667,0.333333,0}'),
	('nothing underflows', 'time_decay', '{"half_life": "1 second"}', '{1,2,2}', NULL, NULL, NULL, '{0,0.5,0.5}'),
	('the last that is not direct', 'last_non_direct', '{}', '{5,6,7}', NULL, NULL, '{f,f,t}', '{0,1,0}'),
	('all are direct', 'last_non_direct', '{}', '{5,6,7}', NULL, NULL, '{t,t,t}', '{0,0,1}'),
	('not known to be direct', 'last_non_direct', '{"direct": []}', '{5,6,7}', NULL, NULL, '{f,NULL,t}', '{0,1,0}'),
	('the others are after the conversion', 'last_non_direct', '{"direct": ["direct", "none"]}', '{5,6,32}', NULL, NULL, '{t,t,f}', '{0,1,0}'),
	('at one instant: by position', 'position_based', '{}', '{5,5,5}', NULL, NULL, NULL, '{0.4,0.2,0.4}'),
	('at one instant: by position', 'w_shaped', '{}', '{5,5,5}', 5, NULL, NULL, '{0.428571,0.142857,0.428571}'),
	('none counts', 'full_path', '{}', '{32,33}', 5, 6, NULL, '{0,0}'),
	('no touch', 'w_shaped', '{}', '{}', 5, 6, NULL, '{}');
SELECT kind, what, params, days, lead_day AS lead, opportunity_day AS opp, (SELECT array_agg(trim_scale(round(v::numeric, 6)) ORDER BY i) FROM unnest(w) WITH ORDINALITY u (v, i)) AS weights,
	(SELECT coalesce(bool_and(abs(v - e) < 1e-6), true) FROM unnest(w, expected) u (v, e)) AND cardinality(w) = cardinality(expected) AS right
FROM journeys, LATERAL (SELECT leadflow.touch_weights(kind, ARRAY(SELECT timestamptz '2025-12-31 12:00' + make_interval(days => d) FROM unnest(days) WITH ORDINALITY u (d, i) ORDER BY i), '2026-01-31 12:00',
	timestamptz '2025-12-31 12:00' + make_interval(days => lead_day), timestamptz '2025-12-31 12:00' + make_interval(days => opportunity_day), params, direct) AS w) w;

SELECT leadflow.touch_weights('custom', '{2026-01-01,2026-01-02}', '2026-02-01', params => '{"first": 1e308, "middle": 1.5e308}') AS huge_parts;
-- the ends of time: infinitely far from the last touch weighs nothing, and no difference overflows
SELECT leadflow.touch_weights('time_decay', '{-infinity,2026-01-01,infinity}', 'infinity'),
	leadflow.touch_weights('time_decay', '{-infinity,2026-01-01,2026-01-08}', 'infinity') = leadflow.touch_weights('time_decay', '{-infinity,2026-01-01,2026-01-08}', '2026-02-01') AS no_end,
	leadflow.touch_weights('time_decay', '{-infinity,-infinity,2026-01-01}', '-infinity') AS beginning,
	leadflow.touch_weights('time_decay', '{4000-01-01 BC,290000-01-01}', 'infinity', params => '{"half_life": "100000000 days"}') AS far;
SELECT leadflow.touch_weights('full_path', '{-infinity,2026-01-01,infinity}', 'infinity', '-infinity', 'infinity'),
	leadflow.touch_weights('last_non_direct', '{-infinity,infinity}', '2026-01-01', direct => '{t,f}');
-- a half-life is as long as it says, whatever the session's settings
SET intervalstyle = 'sql_standard';
SET timezone = 'Europe/Berlin';
SELECT leadflow.touch_weights('time_decay', '{2026-03-29 00:00+01,2026-03-30 00:00+02}', '2026-04-01', params => '{"half_life": "23 hours"}') AS across_daylight_saving;
RESET intervalstyle;
SET timezone = 'UTC';
SELECT leadflow.touch_weights('linear', '{2026-01-01}', '2026-02-01', params => NULL), leadflow.touch_weights('markov', NULL, '2026-01-01') IS NULL;

-- What is no model says why.
CREATE FUNCTION refused(kind text, params jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	RETURN leadflow.touch_weights(kind, '{2026-01-01}', '2026-02-01', params => params);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN sqlstate || ' ' || sqlerrm || coalesce(' | ' || nullif(hint, ''), '');
END $$;
SELECT refused(kind) FROM unnest('{guess,"",custom,markov,shapley}'::text[]) kind;
SELECT kind, params, refused(kind, params) FROM (VALUES
	('linear', jsonb '{"first": 1}'), ('position_based', '{"opportunity": 1}'), ('w_shaped', '{"last": 1}'), ('full_path', '{"half_life": "1 day"}'),
	('custom', '{"kind": "linear"}'), ('custom', '{"first": 0, "middle": 0}'), ('custom', '{"first": -0.1}'), ('custom', '{"first": "1"}'),
	('custom', '{"first": null}'), ('custom', '{"first": [1]}'), ('custom', '{"first": 1e400}'), ('custom', '{"first": 1e-400, "last": 1}'),
	('time_decay', '{"half_life": 7}'), ('time_decay', '{"half_life": ""}'), ('time_decay', '{"half_life": "soon"}'), ('time_decay', '{"half_life": "0"}'),
	('time_decay', '{"half_life": "-1 day"}'), ('time_decay', '{"half_life": "1 day ago"}'), ('time_decay', '{"half_life": "1 month"}'),
	('time_decay', '{"half_life": "1 year"}'), ('time_decay', '{"half_life": "2000000000 days"}'), ('time_decay', '{"half_life": "1000000000000000000 days"}'),
	('time_decay', to_jsonb(jsonb_build_object('half_life', repeat('1 day ', 1000)))), ('time_decay', '{"halflife": "1 day"}'),
	('last_non_direct', '{"direct": "direct"}'), ('last_non_direct', '{"direct": [1]}'), ('last_non_direct', '{"direct": [["a"]]}'), ('last_non_direct', '{"direct": {}}'),
	('markov', '{"order": 0}'), ('markov', '{"order": 1.5}'), ('markov', '{"order": "1"}'), ('shapley', '{"order": 1}'),
	('linear', '[]'), ('linear', 'null'), ('linear', '"x"')) v (kind, params)
WHERE length(params::text) < 100 OR refused(kind, params) NOT LIKE '22023%';
SELECT leadflow.touch_weights('linear', '{2026-01-01}', '2026-02-01', direct => '{t,f}');
SELECT leadflow.touch_weights('linear', '{2026-01-01}', '2026-02-01', direct => '{{t}}');

-- Split: the cents always add up.
SELECT leadflow.split_credit(100, '{1,1,1}'), leadflow.split_credit(-100, '{1,1,1}'),
	leadflow.split_credit(100.0 / 3, '{1,1,1}'), leadflow.split_credit(0.01, '{1,1,1}'), leadflow.split_credit(0, '{1,2}');
SELECT leadflow.split_credit(0.05, '{0.3,0.3,0.3,0.1}') AS ties_by_decimals, leadflow.split_credit(0.03, '{2,1,1}'),
	leadflow.split_credit(10, '{0,1,0}'), leadflow.split_credit(1000, '{0.4,0.06666666666666667,0.06666666666666667,0.06666666666666667,0.4}');
SELECT leadflow.split_credit(0.03, ARRAY[0.1::float8 + 0.2::float8, 0.3]) AS noise_decides_nothing,
	leadflow.split_credit(0.03, ARRAY[0.3, 0.1::float8 + 0.2::float8]);
SELECT leadflow.split_credit(1000, '{1,2,4}', 0), leadflow.split_credit(12.345, '{1,2}', 1), leadflow.split_credit(1, '{1,1,1}', 18);
SELECT leadflow.split_credit(1, '{1e-300,1e300,0,1e308}'), leadflow.split_credit(123456789012345678901234567890.12, '{1,2,3}');
SELECT leadflow.split_credit(NULL, '{1}') IS NULL, leadflow.split_credit(1, NULL) IS NULL, leadflow.split_credit(1, '{1}', NULL) IS NULL;
SELECT leadflow.split_credit('NaN', '{1}');
SELECT leadflow.split_credit('-Infinity', '{1}');
SELECT leadflow.split_credit(1, '{1,NaN}');
SELECT leadflow.split_credit(1, '{1,Infinity}');
SELECT leadflow.split_credit(1, '{1,-1}');
SELECT leadflow.split_credit(1, '{0,0}');
SELECT leadflow.split_credit(1, '{}');
SELECT leadflow.split_credit(1, '{1,NULL}');
SELECT leadflow.split_credit(1, '{{1},{2}}');
SELECT leadflow.split_credit(1, '{1}', -1);
SELECT leadflow.split_credit(1, '{1}', 19);

-- every model, n = 1 .. 200, amounts small, large, zero, negative
SELECT model, count(*) AS cases,
	count(*) FILTER (WHERE total <> round(amount, 2)) AS off,
	count(*) FILTER (WHERE credits <> (SELECT array_agg(-c ORDER BY o) FROM unnest(mirror) WITH ORDINALITY m (c, o))) AS asymmetric,
	count(*) FILTER (WHERE abs(weight - 1) > 1e-9) AS weights_off,
	count(*) FILTER (WHERE distance > 0.01 + abs(amount) * 1e-15) AS away
FROM unnest(:'kinds'::text[] || '{custom}') model,
	unnest(ARRAY[0.01, 0.03, 100.0 / 3, 1e12, 999999999999999.99, 0, -50]) amount,
	generate_series(1, 200) n,
	LATERAL (SELECT array_agg(timestamptz '2026-01-01' + make_interval(mins => (i * 7919) % 50)) AS touched
		FROM generate_series(1, n) i) t,
	LATERAL (SELECT leadflow.touch_weights(model, touched, '2026-02-01', '2026-01-01 00:20', '2026-01-01 00:30',
		CASE model WHEN 'custom' THEN '{"first": 3, "lead_created": 1, "opportunity": 0, "middle": 7}' ELSE '{}' END::jsonb) AS weights) w,
	LATERAL (SELECT leadflow.split_credit(amount, weights) AS credits, leadflow.split_credit(-amount, weights) AS mirror) s,
	LATERAL (SELECT sum(c) AS total, sum(v) AS weight, max(abs(c - amount * v::numeric)) AS distance
		FROM unnest(credits, weights) u (c, v)) x
GROUP BY model ORDER BY model;

-- uneven weights: nobody is a whole cent away from the quota
SELECT count(*) AS cases, count(*) FILTER (WHERE total <> amount) AS off, count(*) FILTER (WHERE distance >= 0.01) AS away
FROM (SELECT setseed(0.25)) seed,
	unnest(ARRAY[0.01, 0.03, 33.33, 1e12, 0, -50]) amount,
	LATERAL (SELECT n, array_agg(round((random() * n * 100)::numeric)::float8 + 1) AS weights
		FROM generate_series(1, 60) n, generate_series(1, n) i WHERE amount IS NOT NULL GROUP BY n) w,
	LATERAL (SELECT sum(c) AS total, max(abs(c - amount * v::numeric / (SELECT sum(q::numeric) FROM unnest(weights) q))) AS distance
		FROM unnest(leadflow.split_credit(amount, weights), weights) u (c, v)) x;

-- The split in numeric arithmetic: what the shorter ways must come to, cent by cent.
CREATE FUNCTION exact(amount numeric, weights double precision[]) RETURNS numeric[] LANGUAGE sql AS $$
	WITH u AS (SELECT round(abs(amount), 2) * 100 AS units, (SELECT sum(w::text::numeric) FROM unnest(weights) w) AS total),
		q AS (SELECT i, div(units * w::text::numeric, total) AS whole, total, units, w::text::numeric AS w FROM u, unnest(weights) WITH ORDINALITY x (w, i)),
		r AS (SELECT i, whole, units - sum(whole) OVER () AS extra,
			row_number() OVER (ORDER BY div(2e9 * (units * w - whole * total) + total, 2 * total) DESC, i) AS nth FROM q)
	SELECT array_agg(sign(amount) * (whole + (nth <= extra)::int) * 0.01 ORDER BY i) FROM r
$$;
SELECT setseed(0.5);
SELECT kind, count(*) AS cases, count(*) FILTER (WHERE leadflow.split_credit(amount, w) IS DISTINCT FROM exact(amount, w)) AS different
FROM unnest('{time_decay,position_based,w_shaped,full_path,custom,random,tenths,wild,noise,tiny}'::text[]) kind,
	generate_series(1, 25) n, generate_series(1, 2) again,
	LATERAL (SELECT array_agg(timestamptz '2026-01-01' + random() * interval '40 days' + 0 * i * again * interval '1 s') AS t FROM generate_series(1, n) i) t,
	LATERAL (SELECT CASE kind
		WHEN 'random' THEN (SELECT array_agg(random() + 0 * i * again) FROM generate_series(1, n) i)
		WHEN 'tenths' THEN (SELECT array_agg((1 + floor(random() * 9 + 0 * i * again)) / 10) FROM generate_series(1, n) i)
		WHEN 'wild' THEN (SELECT array_agg(random() ^ 20 * 10 ^ (random() * 30 - 15 + 0 * i * again)) FROM generate_series(1, n) i)
		WHEN 'noise' THEN (SELECT array_agg((ARRAY[0.3, 0.1::float8 + 0.2::float8, 0.6, 0.1])[1 + floor(random() * 4 + 0 * i * again)]) FROM generate_series(1, n) i)
		WHEN 'tiny' THEN (SELECT array_agg((ARRAY[1e-320, 3e-310, 2e-300, 1e-299])[1 + floor(random() * 4 + 0 * i * again)]) FROM generate_series(1, n) i)
		ELSE leadflow.touch_weights(kind, t, '2026-02-15', '2026-01-10', '2026-01-25', CASE kind WHEN 'custom' THEN '{"first": 3, "last": 1, "middle": 2}' END::jsonb)
		END AS w) w,
	unnest(ARRAY[0.01, 0.03, 100.0 / 3, 1e12, 11258999068426.23, 11258999068426.24, 92233720368547758.07, 1e30, 0, -50, 1000, 250000, 123456.78, round((random() * 1e6)::numeric, 2), round((random() * 1e9)::numeric, 2)]) amount
GROUP BY kind ORDER BY kind;
SET extra_float_digits = 0;
SELECT leadflow.split_credit(1e30, '{0.30000000000000004,0.3}') = exact(1e30, '{0.30000000000000004,0.3}') AS depends_on_the_setting;
RESET extra_float_digits;
SELECT leadflow.split_credit(1e30, '{0.30000000000000004,0.3}') = exact(1e30, '{0.30000000000000004,0.3}') AS does_not;

-- The aggregate: deals with 0 to 8 touches, some after the conversion, some of no campaign; amounts of every size.
CREATE TABLE sold AS
SELECT d AS deal_id, CASE WHEN d % 50 = 0 THEN NULL WHEN d % 50 = 1 THEN 1e20 + d WHEN d % 50 = 2 THEN 9e15 WHEN d % 50 = 3 THEN -0.03
		WHEN d % 50 = 4 THEN 0 WHEN d % 5 = 0 THEN d * 100 ELSE round((random() * 10000)::numeric, 2 + d % 3) END AS amount,
	CASE WHEN d % 77 > 0 THEN timestamptz '2026-02-01' END AS converted_at,
	CASE WHEN d % 3 > 0 THEN timestamptz '2026-01-01' + random() * interval '40 days' END AS lead_created_at,
	CASE WHEN d % 4 > 0 THEN timestamptz '2026-01-01' + random() * interval '40 days' END AS opportunity_at
FROM generate_series(1, 1500) d;
CREATE TABLE touches AS
SELECT d::bigint AS deal_id, timestamptz '2026-01-01' + random() * interval '40 days' AS touched_at, nullif(floor(random() * 20), 0)::bigint AS campaign_id,
	nullif(floor(random() * 4), 0) = 1 AS direct
FROM generate_series(1, 1500) d, generate_series(1, d % 9);
CREATE TABLE models (name text, kind text, params jsonb);
INSERT INTO models SELECT kind, kind, '{}' FROM unnest(:'kinds'::text[]) kind;
INSERT INTO models VALUES ('fast', 'time_decay', '{"half_life": "1 day"}'), ('thirds', 'custom', '{"first": 1, "opportunity": 1, "last": 1}');
CREATE VIEW by_functions AS
SELECT model, campaign_id, count(DISTINCT deal_id) AS deals, sum(credit) AS credit
FROM (SELECT deal_id, m.name AS model, u.campaign_id, u.weight, u.credit
	FROM (SELECT s.deal_id, coalesce(s.amount, 0) AS amount, converted_at, lead_created_at, opportunity_at,
			array_agg(touched_at ORDER BY touched_at) FILTER (WHERE counts) AS times,
			array_agg(campaign_id ORDER BY touched_at) FILTER (WHERE counts) AS campaigns,
			array_agg(direct ORDER BY touched_at) FILTER (WHERE counts) AS direct
		FROM sold s
		LEFT JOIN (SELECT t.*, campaign_id IS NOT NULL AND touched_at <= '2026-02-01' AS counts FROM touches t) t USING (deal_id)
		WHERE converted_at IS NOT NULL
		GROUP BY 1, 2, 3, 4, 5) p
	CROSS JOIN models m,
		LATERAL (SELECT coalesce(leadflow.touch_weights(m.kind, times, converted_at, lead_created_at, opportunity_at, m.params, direct), '{1}') AS w) w,
		LATERAL unnest(campaigns, w, leadflow.split_credit(amount, w)) u (campaign_id, weight, credit)) c
WHERE weight > 0
GROUP BY model, campaign_id;
SELECT jsonb_object_agg(name, jsonb_build_object('kind', kind) || params) AS models FROM models \gset
CREATE VIEW by_aggregate AS
SELECT c.*
FROM (SELECT leadflow.campaign_credits(:'models', deal_id, touched_at, campaign_id, amount, converted_at, lead_created_at, opportunity_at, direct) AS credits
	FROM (SELECT * FROM sold LEFT JOIN touches USING (deal_id) ORDER BY deal_id, touched_at) t) a, unnest(credits) c;
SELECT (SELECT count(*) FROM by_functions) AS rows, (SELECT count(*) FROM (TABLE by_functions EXCEPT TABLE by_aggregate) x) AS missing,
	(SELECT count(*) FROM (TABLE by_aggregate EXCEPT TABLE by_functions) x) AS extra;
SELECT model, sum(credit) = (SELECT sum(round(coalesce(amount, 0), 2)) FROM sold WHERE converted_at IS NOT NULL) AS total FROM by_aggregate GROUP BY model ORDER BY model;
-- models in the order of the argument, campaigns by id, nobody's at the end
SELECT min(nth) FILTER (WHERE model = 'first_touch') > max(nth) FILTER (WHERE model = 'linear') AS models, count(*) FILTER (WHERE campaign_id IS NULL) AS nobody,
	bool_and(campaign_id IS NULL OR coalesce(campaign_id > before, true)) AS by_id
FROM (SELECT *, lag(campaign_id) OVER (PARTITION BY model ORDER BY nth) AS before
	FROM (SELECT leadflow.campaign_credits('["linear", "first_touch"]', deal_id, touched_at, campaign_id, amount, converted_at, NULL, NULL, NULL) AS credits
		FROM (SELECT * FROM sold LEFT JOIN touches USING (deal_id) ORDER BY deal_id, touched_at) t) a,
		unnest(credits) WITH ORDINALITY c (model, campaign_id, deals, credit, nth)) x;

-- whatever the plan
CREATE INDEX ON touches (deal_id, touched_at);
CREATE UNIQUE INDEX ON sold (deal_id);
ANALYZE touches, sold;
CREATE TABLE expected AS TABLE by_functions;
CREATE FUNCTION same() RETURNS boolean LANGUAGE sql AS
'SELECT NOT EXISTS (SELECT FROM expected FULL JOIN by_aggregate a USING (model, campaign_id, deals, credit) WHERE campaign_id IS NOT NULL AND (expected.* IS NULL OR a.* IS NULL))
	AND (SELECT sum(credit) FROM expected) = (SELECT sum(credit) FROM by_aggregate)';
SELECT same();
SET enable_hashjoin = off; SET enable_sort = off;
SELECT same() AS merge_join;
RESET enable_hashjoin; RESET enable_sort;
SET enable_mergejoin = off; SET enable_nestloop = off;
SELECT same() AS hash_join;
RESET enable_mergejoin; RESET enable_nestloop;
ALTER TABLE touches SET (parallel_workers = 2);
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT same() AS parallel;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;

-- groups, filters, an order inside; one row a deal in groups of one
SELECT part, (SELECT sum(credit) FROM unnest(credits) c) = (SELECT sum(round(coalesce(amount, 0), 2)) FROM sold s WHERE s.deal_id % 4 = part AND converted_at IS NOT NULL) AS right
FROM (SELECT deal_id % 4 AS part, leadflow.campaign_credits('["linear"]', deal_id, touched_at, campaign_id, amount, converted_at, NULL, NULL, direct) AS credits
	FROM (SELECT * FROM sold LEFT JOIN touches USING (deal_id) ORDER BY deal_id, touched_at) t GROUP BY 1) x ORDER BY part;
SELECT count(*) AS groups, bool_and(credits = ARRAY[('linear', NULL, 1, round(coalesce(amount, 0), 2))]::leadflow.campaign_credit[]) AS right
FROM (SELECT deal_id, amount, leadflow.campaign_credits('["linear"]', deal_id, NULL, NULL, amount, converted_at, NULL, NULL, NULL) AS credits
	FROM sold WHERE converted_at IS NOT NULL GROUP BY deal_id, amount) x;
SELECT leadflow.campaign_credits('["linear"]', deal_id, touched_at, campaign_id, amount, converted_at, NULL, NULL, direct) FILTER (WHERE deal_id = 6) AS filtered,
	leadflow.campaign_credits('["linear"]', deal_id, touched_at, campaign_id, amount, converted_at, NULL, NULL, direct ORDER BY deal_id, touched_at)
		= leadflow.campaign_credits('["linear"]', deal_id, touched_at, campaign_id, amount, converted_at, NULL, NULL, direct) AS order_inside
FROM (SELECT * FROM sold LEFT JOIN touches USING (deal_id) ORDER BY deal_id, touched_at) t;
-- a campaign counts a deal once, and a share of nothing is a share
SELECT leadflow.campaign_credits('["linear"]', deal_id, at::timestamptz, campaign_id, amount, '2026-02-01', NULL, NULL, NULL)
FROM (VALUES (1, '2026-01-01', 7, 0.01), (1, '2026-01-02', 8, 5), (1, '2026-01-03', 7, NULL), (2, '2026-01-01', 7, 0), (3, '2026-02-02', 7, 4)) v (deal_id, at, campaign_id, amount);
-- sums beyond 64 bits are exact
SELECT leadflow.campaign_credits('["linear", "first_touch"]', d, '2026-01-01', d % 2, 23058430092136939.51 - d % 3, '2026-02-01', NULL, NULL, NULL), sum(23058430092136939.51 - d % 3) FROM generate_series(1, 20) d;

-- nobody, nothing
SELECT leadflow.campaign_credits('["linear"]', 1, '2026-01-01', 1, 1, '2026-02-01', NULL, NULL, NULL) FROM generate_series(1, 0);
SELECT leadflow.campaign_credits('["linear"]', NULL, '2026-01-01', 1, 1, '2026-02-01', NULL, NULL, NULL),
	leadflow.campaign_credits('["linear"]', 1, '2026-01-01', 1, 1, NULL, NULL, NULL, NULL),
	leadflow.campaign_credits('["linear"]', 1, NULL, NULL, NULL, '2026-02-01', NULL, NULL, NULL),
	leadflow.campaign_credits('["full_path"]', 1, '-infinity', 1, 3, 'infinity', '-infinity', 'infinity', NULL) FROM generate_series(1, 3);

-- rows out of order, and their hint
SELECT leadflow.campaign_credits('["linear"]', deal_id, touched_at, campaign_id, amount, converted_at, NULL, NULL, NULL) FROM (SELECT * FROM sold JOIN touches USING (deal_id) ORDER BY touched_at) t;
CREATE FUNCTION taken(deals bigint[], days int[], models text DEFAULT '["linear"]') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	PERFORM leadflow.campaign_credits(models::jsonb, d, timestamptz '2026-01-01' + day * interval '1 day', 1, 1, '2026-02-01', NULL, NULL, NULL)
	FROM unnest(deals, days) u (d, day);
	RETURN 'yes';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', sqlstate || ' ' || sqlerrm, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT taken('{1,2,2,3}', '{5,4,4,1}'), taken('{-1,NULL,1,NULL,2}', '{5,4,NULL,3,2}');
SELECT taken('{1,2,1}', '{1,2,3}');
SELECT taken('{2,2}', '{2,1}');
SELECT taken('{2,2,2}', '{2,NULL,1}');
SELECT models, taken('{1,2}', '{1,2}', models) FROM unnest(ARRAY['[]', '{}', '"linear"', 'null', '[1]', '[null]', '[["linear"]]', '["linear", "linear"]', '["guess"]', '["markov"]',
	'{"a": "linear"}', '{"a": {}}', '{"a": {"kind": 1}}', '{"a": []}', '{"a": {"kind": "shapley"}}', '{"a": {"kind": "linear", "first": 1}}', '{"": {"kind": "custom", "last": 1}}']) models;
SELECT taken('{1}', '{1}', NULL);
SELECT leadflow.campaign_credits(models, 1, '2026-01-01', 1, 1, '2026-02-01', NULL, NULL, NULL) FROM unnest('{"[\"linear\"]","[\"last_touch\"]"}'::jsonb[]) models;
SELECT models, leadflow.campaign_credits(models, 1, '2026-01-01', 1, 1, '2026-02-01', NULL, NULL, NULL) FROM unnest('{"[\"linear\"]","[\"last_touch\"]"}'::jsonb[]) models GROUP BY 1 ORDER BY 1;
SELECT leadflow.campaign_credits('["linear"]', 1, '2026-01-01', 1, 'NaN', '2026-02-01', NULL, NULL, NULL);
SELECT leadflow.campaign_credits('["linear"]', 1, '2026-01-01', 1, 1, '2026-02-01', NULL, NULL, NULL) OVER ();
-- a prepared statement has the models as a parameter
PREPARE p(jsonb) AS SELECT leadflow.campaign_credits($1, d, '2026-01-01', 1, 1, '2026-02-01', NULL, NULL, NULL) FROM generate_series(1, 3) d;
SET plan_cache_mode = force_generic_plan;
EXECUTE p('["linear"]');
EXECUTE p('["first_touch", "last_touch"]');
RESET plan_cache_mode;

-- memory goes by campaigns and the longest path, not by deals
SELECT leadflow.campaign_credits('["linear"]', d, '2026-01-01', 1, 1, '2026-02-01', NULL, NULL, NULL) FROM generate_series(1, 200000) d;
SELECT leadflow.campaign_credits('["position_based"]', 1, timestamptz '2026-01-01' + t * interval '1 s', t / 100000, 1000000, '2026-02-01', NULL, NULL, NULL) FROM generate_series(1, 200000) t;
