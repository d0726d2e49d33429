-- Data-driven attribution: removal effects in a Markov chain and Shapley values, against
-- definitions in plain SQL that share nothing with the C, and the paths of leadflow's own deals.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET jit = off;
SET extra_float_digits = 0;
SET leadflow.clock = '2026-06-01 12:00+00';

CREATE TABLE walk (id int GENERATED ALWAYS AS IDENTITY, sample int, path text[], conversions float8, value float8, nulls float8);

-- By hand. C1>C2>C3 converts, C1 and C2>C3 don't. From the start 2/3 go to C1, 1/3 to C2; from C1 half
-- to C2, half end; from C2 all to C3; from C3 half convert. P = (2/3 * 1/2 + 1/3) * 1/2 = 1/3.
-- Without C1: 1/3 * 1/2 = 1/6, effect 1/2. Without C2, or C3: nothing, effect 1. So 10 are shared 2, 4, 4.
SELECT c.*
FROM (SELECT leadflow.markov_credits(path::text[], conversions, 10 * conversions, nulls, 1) AS credits
	FROM (VALUES ('{C1,C2,C3}', 1, 0), ('{C1}', 0, 1), ('{C2,C3}', 0, 1)) w (path, conversions, nulls)) m,
	unnest(m.credits) c;
-- Order 2. a>b and b>b convert, a>a>b doesn't. 2/3 start with a, 1/3 with b. From a half go to the state
-- (a,b), half to (a,a) and from there to (a,b), of which half converts; from b all go to (b,b) and convert.
-- P = 2/3 * 1/2 + 1/3 = 2/3. Without a: 1/3, effect 1/2. Without b: nothing, effect 1.
SELECT c.*
FROM (SELECT leadflow.markov_credits(path::text[], conversions, NULL, nulls, 2) AS credits
	FROM (VALUES ('{a,b}', 1, 0), ('{b,b}', 1, NULL), ('{a,a,b}', NULL, 1)) w (path, conversions, nulls)) m,
	unnest(m.credits) c;
-- Shapley: each path's conversions in equal parts to its distinct channels.
SELECT c.*
FROM (SELECT leadflow.shapley_credits(path::text[], conversions, value, 7) AS credits
	FROM (VALUES ('{a,b,a}', 2, 10), ('{a}', 1, -1), ('{c}', 0, 0), ('{}', 1, 3), (NULL, 1, 4)) w (path, conversions, value)) m,
	unnest(m.credits) c;

-- Random walks: cycles, channels that never convert, that absorb all, that are met once; names
-- whose order as bytes is not the alphabet's.
SELECT setseed(0.42) \g /dev/null
INSERT INTO walk (sample, path, conversions, value, nulls)
SELECT s, p.path, CASE WHEN p.path && '{dead}' OR c.r < 0.5 THEN 0 ELSE floor(c.r * 5) END, c.r * 100, floor(c.q * 4)
FROM generate_series(1, 12) s, generate_series(1, 25) i,
	LATERAL (SELECT array_agg((ARRAY['Search', 'mail', 'Zeitung', 'été', 'dead', 'a'])[1 + floor(random() * (2 + s % 5))::int] ORDER BY g) AS path
		FROM generate_series(1, 1 + floor(random() * 6)::int) g
		WHERE s + i > 0) p,
	LATERAL (SELECT random() AS r, random() AS q WHERE s + i > 0) c;

-- The chain by its definition: a state is the last k channels; the probability of a conversion from the start is that
-- of all walks, by Gauss-Jordan elimination with pivots of (I - Q) p = r. A channel is removed by leaving the rows of its states 0.
CREATE FUNCTION conversion_rate(wanted int, k int, removed text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	names text[];
	m float8[];
	n int;
	pivot int;
	swap float8;
	factor float8;
BEGIN
	CREATE TEMP TABLE chain ON COMMIT DROP AS
	WITH step AS (
		SELECT w.path[greatest(1, i - k):i - 1]::text AS state,
			CASE WHEN i <= cardinality(w.path) THEN w.path[greatest(1, i - k + 1):i]::text END AS next,
			w.conversions AS converting, w.nulls + w.conversions AS walking
		FROM walk w, generate_series(1, cardinality(w.path) + 1) i
		WHERE w.sample = wanted AND w.conversions + w.nulls > 0
	)
	SELECT state, next, sum(CASE WHEN next IS NULL THEN converting ELSE walking END) / (SELECT sum(t.walking) FROM step t WHERE t.state = s.state) AS p
	FROM step s GROUP BY 1, 2;
	names := ARRAY['{}'] || ARRAY(SELECT DISTINCT state FROM chain WHERE state <> '{}' AND removed <> ALL (state::text[]));
	n := cardinality(names);
	m := array_fill(0::float8, ARRAY[n, n + 1]);
	FOR i IN 1 .. n LOOP
		FOR j IN 1 .. n + 1 LOOP
			m[i][j] := CASE WHEN i = j THEN 1 ELSE 0 END + CASE WHEN j > n THEN 1 ELSE -1 END * coalesce((SELECT sum(p) FROM chain
				WHERE state = names[i] AND next IS NOT DISTINCT FROM CASE WHEN j <= n THEN names[j] END), 0);
		END LOOP;
	END LOOP;
	DROP TABLE chain;
	FOR i IN 1 .. n LOOP
		pivot := (SELECT g FROM generate_series(i, n) g ORDER BY abs(m[g][i]) DESC, g LIMIT 1);
		FOR j IN 1 .. n + 1 LOOP
			swap := m[i][j]; m[i][j] := m[pivot][j]; m[pivot][j] := swap;
		END LOOP;
		FOR r IN 1 .. n LOOP
			factor := m[r][i] / m[i][i];
			CONTINUE WHEN r = i OR factor = 0;
			FOR j IN i .. n + 1 LOOP
				m[r][j] := m[r][j] - factor * m[i][j];
			END LOOP;
		END LOOP;
	END LOOP;
	RETURN m[1][n + 1] / m[1][1];
END
$$;

CREATE VIEW solved AS
SELECT s.sample, k, c.channel, c.removal_effect, c.conversions, c.value
FROM (SELECT w.sample, k, leadflow.markov_credits(w.path, w.conversions, w.value, w.nulls, k) AS credits
	FROM walk w, generate_series(1, 3) k GROUP BY 1, 2) s, unnest(s.credits) c;

CREATE TABLE expected AS
SELECT s.sample, s.k, s.channel, 1 - conversion_rate(s.sample, s.k, s.channel) / p AS effect
FROM solved s, LATERAL (SELECT conversion_rate(s.sample, s.k, 'nobody') AS p) p
WHERE s.k = 1 OR s.sample <= CASE s.k WHEN 2 THEN 5 ELSE 3 END;
SELECT s.k AS "order", count(*) > 5 AS some, count(DISTINCT s.sample) AS samples,
	count(*) FILTER (WHERE abs(s.removal_effect - e.effect) > 1e-9) AS off,
	count(*) FILTER (WHERE abs(s.conversions - t.conversions * e.effect / t.effects) > 1e-9 * t.conversions
		OR abs(s.value - t.value * e.effect / t.effects) > 1e-9 * t.value) AS shares_off
FROM solved s
JOIN expected e USING (sample, k, channel)
JOIN (SELECT e.sample, e.k, sum(e.effect) AS effects,
		(SELECT sum(conversions) FROM walk w WHERE w.sample = e.sample) AS conversions,
		(SELECT sum(value) FROM walk w WHERE w.sample = e.sample) AS value
	FROM expected e GROUP BY 1, 2) t USING (sample, k)
GROUP BY 1 ORDER BY 1;
SELECT count(*) FILTER (WHERE removal_effect = 0) > 0 AS some_never_convert FROM solved;
-- sums, and the order of names
SELECT s.k AS "order", count(*) FILTER (WHERE abs(s.conversions / w.conversions - 1) > 1e-9 OR abs(s.value / w.value - 1) > 1e-9) AS sums_off,
	bool_and(s.channels = s.sorted) AS sorted
FROM (SELECT sample, k, sum(conversions) AS conversions, sum(value) AS value, array_agg(channel) AS channels,
		array_agg(channel ORDER BY channel COLLATE "C") AS sorted FROM solved GROUP BY 1, 2) s
JOIN (SELECT sample, sum(conversions) AS conversions, sum(value) AS value FROM walk GROUP BY 1) w USING (sample)
GROUP BY 1 ORDER BY 1;

-- Eighty channels, more states than are eliminated at a time: some of them, by the same definition.
INSERT INTO walk (sample, path, conversions, value, nulls)
SELECT 99, ARRAY(SELECT 'c' || (i * 7 + g * g * (1 + i % 5)) % 80 FROM generate_series(1, 2 + i % 6) g), i % 3, i, 1 + i % 2
FROM generate_series(1, 400) i;
SELECT count(*) AS channels, count(*) FILTER (WHERE abs(s.removal_effect - (1 - conversion_rate(99, 1, s.channel) / conversion_rate(99, 1, 'nobody'))) > 1e-9) AS off
FROM solved s WHERE s.sample = 99 AND s.k = 1 AND s.channel IN ('c0', 'c41', 'c79');
DELETE FROM walk WHERE sample = 99;

-- A channel that is in every state: of five paths a>c>a>c each other channel has one, and a has all.
SELECT "order", count(*), bool_and(abs(c.removal_effect - CASE c.channel WHEN 'a' THEN 1 ELSE 0.2 END) < 1e-12) AS as_told
FROM generate_series(1, 3) "order", LATERAL (SELECT leadflow.markov_credits(ARRAY['a', 'c' || i, 'a', 'c' || i], 1, 1, 0, "order") AS credits FROM generate_series(1, 5) i) m, unnest(m.credits) c
WHERE "order" > 1 GROUP BY 1 ORDER BY 1;

-- Repeats of a channel change nothing at order 1.
CREATE FUNCTION collapsed(path text[]) RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(c ORDER BY i) FROM (SELECT c, i, lag(c) OVER (ORDER BY i) AS before FROM unnest(path) WITH ORDINALITY u (c, i)) u WHERE c IS DISTINCT FROM before
$$;
SELECT count(*) AS channels, count(*) FILTER (WHERE abs(a.removal_effect - b.removal_effect) > 1e-12) AS off
FROM (SELECT sample, (c).* FROM (SELECT sample, unnest(leadflow.markov_credits(path, conversions, value, nulls, 1)) AS c FROM walk GROUP BY 1) u) a
JOIN (SELECT sample, (c).* FROM (SELECT sample, unnest(leadflow.markov_credits(collapsed(path), conversions, value, nulls, 1)) AS c FROM walk GROUP BY 1) u) b
	USING (sample, channel);
-- ... a million of them neither: a state that is left once in 200,000 steps.
SELECT s.channel, s.removal_effect, l.removal_effect / s.removal_effect - 1 BETWEEN -1e-9 AND 1e-9 AS same
FROM (SELECT leadflow.markov_credits(path, conversions, 0, nulls, 1) AS long, leadflow.markov_credits(collapsed(path), conversions, 0, nulls, 1) AS short
	FROM (VALUES (array_fill('x'::text, ARRAY[1000000]) || '{y}', 1, 3), ('{z,x}', 2, 1), ('{y,z}', 1, 1)) w (path, conversions, nulls)) m,
	unnest(m.short) s JOIN unnest(m.long) l USING (channel)
ORDER BY 1;
-- at order 3 the state (x,x,x) is left in two of two million steps, to end: a third of the conversions
SELECT c.channel, round(c.removal_effect::numeric, 12) AS removal_effect
FROM (SELECT leadflow.markov_credits(path, conversions, 0, nulls, 3) AS credits
	FROM (VALUES (array_fill('x'::text, ARRAY[1000000]), 1, 1), ('{y}', 2, 1)) w (path, conversions, nulls)) m, unnest(m.credits) c;
-- Shapley by its definition: what a channel adds to a coalition, over all coalitions of the others.
WITH player AS (
	SELECT sample, channel, (dense_rank() OVER (PARTITION BY sample ORDER BY channel) - 1)::int AS bit
	FROM (SELECT DISTINCT sample, unnest(path) AS channel FROM walk) p
), game AS (
	SELECT sample, count(*)::int AS n FROM player GROUP BY 1
), mask AS (
	SELECT w.sample, w.conversions, w.value, (SELECT bit_or(1 << p.bit) FROM player p WHERE p.sample = w.sample AND p.channel = ANY (w.path)) AS mask
	FROM walk w
), coalition AS (
	SELECT g.sample, g.n, s, (SELECT count(*)::int FROM generate_series(0, g.n - 1) b WHERE s >> b & 1 = 1) AS size,
		(SELECT coalesce(sum(m.conversions), 0) FROM mask m WHERE m.sample = g.sample AND m.mask & ~s = 0) AS worth,
		(SELECT coalesce(sum(m.value), 0) FROM mask m WHERE m.sample = g.sample AND m.mask & ~s = 0) AS value
	FROM game g, generate_series(0, (1 << g.n) - 1) s
), shapley AS (
	SELECT p.sample, p.channel,
		sum((b.worth - a.worth) * factorial(a.size) * factorial(a.n - a.size - 1) / factorial(a.n)::float8) AS conversions,
		sum((b.value - a.value) * (factorial(a.size) * factorial(a.n - a.size - 1) / factorial(a.n))::float8) AS value
	FROM player p
	JOIN coalition a ON a.sample = p.sample AND a.s >> p.bit & 1 = 0
	JOIN coalition b ON b.sample = p.sample AND b.s = a.s | (1 << p.bit)
	GROUP BY 1, 2
)
SELECT count(*) AS channels, count(*) FILTER (WHERE c.channel IS NULL OR abs(c.conversions - s.conversions) > 1e-9 OR abs(c.value - s.value) > 1e-9) AS off
FROM shapley s
LEFT JOIN (SELECT w.sample, (w.c).* FROM (SELECT sample, unnest(leadflow.shapley_credits(path, conversions, value, nulls)) AS c FROM walk GROUP BY 1) w) c
	USING (sample, channel);

-- Bit for bit the same: whatever the order of rows, how they are aggregated, and who works on them.
SET extra_float_digits = 1;
CREATE TABLE many AS
SELECT path, conversions / 3 AS conversions, value / 7 AS value, nulls / 11 AS nulls FROM walk, generate_series(1, 40);
ANALYZE many;
SET max_parallel_workers_per_gather = 0;
SELECT md5(concat(leadflow.markov_credits(path, conversions, value, nulls, 1), leadflow.markov_credits(path, conversions, value, nulls, 2),
	leadflow.markov_credits(path, conversions, value, nulls, 3), leadflow.shapley_credits(path, conversions, value, nulls))) AS serial FROM many \gset
SELECT md5(concat(leadflow.markov_credits(path, conversions, value, nulls, 1), leadflow.markov_credits(path, conversions, value, nulls, 2),
	leadflow.markov_credits(path, conversions, value, nulls, 3), leadflow.shapley_credits(path, conversions, value, nulls))) AS shuffled FROM (SELECT * FROM many ORDER BY random()) m \gset
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (costs off) SELECT leadflow.markov_credits(path, conversions, value, nulls, 3), leadflow.shapley_credits(path, conversions, value, nulls) FROM many;
SELECT md5(concat(leadflow.markov_credits(path, conversions, value, nulls, 1), leadflow.markov_credits(path, conversions, value, nulls, 2),
	leadflow.markov_credits(path, conversions, value, nulls, 3), leadflow.shapley_credits(path, conversions, value, nulls))) AS parallel FROM many \gset
SET parallel_leader_participation = off;
SELECT md5(concat(leadflow.markov_credits(path, conversions, value, nulls, 1), leadflow.markov_credits(path, conversions, value, nulls, 2),
	leadflow.markov_credits(path, conversions, value, nulls, 3), leadflow.shapley_credits(path, conversions, value, nulls))) AS workers FROM many \gset
SELECT :'serial' = :'shuffled' AS shuffled, :'serial' = :'parallel' AS parallel, :'serial' = :'workers' AS workers_alone;
-- an error of a worker is the error; orders that differ between workers are found
SELECT leadflow.markov_credits(path, conversions, value, nulls, 1 + (ctid > '(1,1)')::int) FROM many;
SELECT leadflow.markov_credits(path, conversions, value, nulls, 1) FROM many WHERE false;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
RESET parallel_leader_participation;
SET extra_float_digits = 0;

-- As a window function: a frame that grows.
SELECT i, leadflow.shapley_credits(path::text[], 1, 1, 0) OVER w, leadflow.markov_credits(path::text[], 1, 1, 0, 1) OVER w
FROM (VALUES (1, '{b}'), (2, '{a,b}'), (3, NULL)) v (i, path) WINDOW w AS (ORDER BY i);

-- Nothing, and what is credited to nobody.
SELECT leadflow.markov_credits('{a}', 1, 1, 1, 1) AS markov, leadflow.shapley_credits('{a}', 1, 1, 1) AS shapley WHERE false;
SELECT leadflow.markov_credits(NULL, NULL, NULL, NULL, 1) AS markov, leadflow.shapley_credits(NULL, NULL, NULL, NULL) AS shapley;
SELECT leadflow.markov_credits('{a}', 0, 0, 0, 1) AS markov, leadflow.shapley_credits('{a}', 0, 0, 0) AS shapley;
SELECT leadflow.markov_credits('{}', 2, 5, 9, 1) AS markov, leadflow.shapley_credits('{}', 2, 5, 9) AS shapley;
-- nothing converts: value has nobody to go to, and does not vanish
SELECT leadflow.markov_credits('{a}', 0, 5, 1, 1) AS markov, leadflow.shapley_credits('{a}', 0, 5, 1) AS shapley;
-- a refund, of a path that counts no conversion
SELECT leadflow.markov_credits(path::text[], c, v, 0, 1) AS markov, leadflow.shapley_credits(path::text[], c, v, 0) AS shapley
FROM (VALUES ('{a}', 1, 100), ('{b}', 1, 100), ('{b}', 0, -50)) p (path, c, v);
-- an empty name is a name; bounds of an array don't matter
SELECT leadflow.markov_credits('[5:6]={"",x}'::text[], 1, 1, 0, 3);

-- Refused.
\set VERBOSITY default
SELECT leadflow.markov_credits('{a}', 1, 1, 1, 0);
SELECT leadflow.markov_credits('{a}', 1, 1, 1, 4);
SELECT leadflow.markov_credits('{a}', 1, 1, 1, NULL);
SELECT leadflow.markov_credits('{a}', 1, 1, 1, k) FROM generate_series(1, 2) k;
SELECT leadflow.markov_credits('{a}', -1, 1, 1, 1);
SELECT leadflow.shapley_credits('{a}', 1, 1, -1);
SELECT leadflow.shapley_credits('{a}', 'Infinity', 1, 1);
SELECT leadflow.shapley_credits('{a}', 1, 'NaN', 1);
SELECT leadflow.markov_credits('{a}', 1, 1, 'NaN', 1);
SELECT leadflow.markov_credits('{a,NULL}', 1, 1, 1, 1);
SELECT leadflow.shapley_credits('{a,NULL}', 0, 0, 0);
SELECT leadflow.shapley_credits('{{a},{b}}', 1, 1, 1);
SELECT leadflow.shapley_credits('{a}', 1, 1e30, 1);
SELECT leadflow.markov_credits(array_fill('a'::text, ARRAY[10000000]), 9e18, 0, 0, 1);
SELECT leadflow.markov_credits(ARRAY['a' || i], 1, 1, 1, 1) FROM generate_series(1, 4096) i;
SELECT leadflow.markov_credits(ARRAY['a' || i, 'b', 'c' || i % 7], 1, 1, 1, 3) FROM generate_series(1, 3000) i;
\set VERBOSITY terse

-- leadflow's own: the touches of each deal, by months of the site's zone and by currency.
INSERT INTO leadflow.campaigns (id, code, name, channel) VALUES (1, 'ads', 'Ads', 'search'), (2, 'fair', 'Fair', 'event'), (3, 'plain', 'Plain', NULL);
INSERT INTO leadflow.leads (id, external_id, created_at) SELECT i, 'lead ' || i, '2026-01-01' FROM generate_series(1, 4) i;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, voided_at, void_reason) VALUES
	(1, '2026-01-05', md5('1')::uuid, 'page_view', 1, NULL, NULL), (1, '2026-01-06', md5('2')::uuid, 'form_submit', 1, NULL, NULL),
	(1, '2026-01-07', md5('3')::uuid, 'webinar_attended', 3, NULL, NULL), (1, '2026-01-08', md5('4')::uuid, 'page_view', NULL, NULL, NULL),
	(1, '2026-01-09', md5('5')::uuid, 'call', 2, NULL, NULL), (1, '2026-01-10', md5('6')::uuid, 'page_view', 2, '2026-01-11', 'bot'),
	(1, '2026-02-01', md5('7')::uuid, 'page_view', 2, NULL, NULL), (2, '2026-01-06 12:00', md5('8')::uuid, 'event_visit', 2, NULL, NULL),
	(3, '2026-01-20', md5('9')::uuid, 'event_visit', 2, NULL, NULL);
UPDATE leadflow.settings SET time_zone = 'America/New_York';
INSERT INTO leadflow.deals (id, lead_id, amount, currency, status, opened_at, closed_at, corrects_deal_id) VALUES
	(1, 1, 1000, 'EUR', 'won', '2026-01-12', '2026-01-31 12:00', NULL),	-- with a contact
	(2, 1, 500, 'EUR', 'lost', '2026-01-12', '2026-02-01 00:00', NULL),	-- still January there; the touch at that instant counts
	(3, 3, 70, 'USD', 'won', '2026-01-12', '2026-02-10', NULL), (4, 3, 30, 'USD', 'won', '2026-01-12', '2026-02-11', NULL),
	(5, NULL, -100, 'EUR', 'won', '2026-01-12', '2026-03-05', 1), (6, NULL, 25, 'EUR', 'won', '2026-01-12', '2026-03-06', 5),
	(7, NULL, 9, 'EUR', 'won', '2026-01-12', '2026-03-07', NULL), (8, 4, 8, 'EUR', 'won', '2026-01-12', '2026-03-08', NULL),
	(9, 4, 8, 'EUR', 'open', '2026-01-12', NULL, NULL), (10, NULL, 1, 'EUR', 'lost', '2026-01-12', '2026-03-08', 1);
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) VALUES (1, 2), (1, 1);
SELECT * FROM leadflow.conversion_paths() ORDER BY month_start, currency, path;
SELECT * FROM leadflow.conversion_paths('2026-02-10', '2026-03-05') ORDER BY month_start, currency, path;
SELECT count(*) FROM leadflow.conversion_paths(NULL, 'infinity');
-- adds up to finance
SELECT currency, sum(value) AS value, (SELECT sum(amount) FROM leadflow.deals d WHERE d.status = 'won' AND d.currency = p.currency) AS won
FROM leadflow.conversion_paths() p GROUP BY 1 ORDER BY 1;
-- nothing of a caller's search_path is called, though it is inlined
CREATE SCHEMA other;
CREATE FUNCTION other.refuse(text[], text) RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN RAISE 'a function of the caller''s'; END $$;
CREATE AGGREGATE other.array_agg(text) (SFUNC = other.refuse, STYPE = text[]);
CREATE FUNCTION other.refuse(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'an operator of the caller''s'; END $$;
CREATE OPERATOR other.= (LEFTARG = text, RIGHTARG = text, FUNCTION = other.refuse);
SET search_path = other, pg_catalog;
SELECT sum(value) AS value FROM leadflow.conversion_paths();
RESET search_path;
-- a currency at a time
SELECT m.currency, c.*
FROM (SELECT currency, leadflow.markov_credits(path, conversions, value, nulls, 1) AS credits FROM leadflow.conversion_paths() GROUP BY currency) m, unnest(m.credits) c
ORDER BY m.currency, c.channel COLLATE "C";
