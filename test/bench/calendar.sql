--
-- What working time costs: calls a second on one core, and against a series of days in SQL.
--
--	psql -X -q -f test/bench/calendar.sql
--
-- Everything happens in one transaction that is rolled back. All queries take turns, some
-- rounds long. A call alone is its query less a bare scan of the same rows in the same round.
-- Both sides of the comparison get the same spans and must give the same answers.
--
\set ON_ERROR_STOP on
\pset footer off
\pset format unaligned
\pset fieldsep ' | '
BEGIN;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
SET LOCAL client_min_messages = warning;
SET LOCAL work_mem = '64MB';

-- An office in New York with a lunch break and 100 dates, a quarter of them short days; one
-- without daylight saving time or dates; 24 x 7; three periods a day and half an hour's DST.
WITH c AS (
	INSERT INTO leadflow.calendars (name, time_zone)
	VALUES ('bench_office', 'America/New_York'), ('bench_plain', 'UTC'),
		('bench_always', 'UTC'), ('bench_lord_howe', 'Australia/Lord_Howe')
	RETURNING *
), h AS (
	INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
	SELECT c.id, d, p.opens, p.closes
	FROM c, generate_series(1, 7) d,
		(VALUES ('bench_office', 5, time '08:30', time '12:30'), ('bench_office', 5, '13:15', '17:15'), ('bench_plain', 5, '09:00', '17:00'),
			('bench_always', 7, '00:00', '24:00'), ('bench_lord_howe', 7, '01:00', '02:10'),
			('bench_lord_howe', 7, '08:00', '12:00'), ('bench_lord_howe', 7, '13:00', '18:00'))
		AS p (name, days, opens, closes)
	WHERE p.name = c.name AND d <= p.days
)
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes)
SELECT c.id, d::date, CASE WHEN n % 4 = 0 THEN time '09:00' END, CASE WHEN n % 4 = 0 THEN time '12:00' END
FROM c, generate_series(timestamp '2014-01-01', '2025-12-31', '43 days') WITH ORDINALITY g (d, n)
WHERE c.name IN ('bench_office', 'bench_lord_howe') AND n <= 100;
SELECT id AS office FROM leadflow.calendars WHERE name = 'bench_office' \gset

SELECT setseed(0.1) \g /dev/null
CREATE TEMP TABLE bench_rows ON COMMIT DROP AS
SELECT i, a, a + span AS b, a + span / 52 AS b_week, leadflow.business_time('bench_office', a, a + span) AS amount
FROM (
	SELECT i, timestamptz '2014-01-01' + random() * interval '4000 days' AS a, random() * interval '365 days' AS span
	FROM generate_series(1, 1000000) i
) r;
-- what both sides are asked
CREATE TEMP TABLE bench_few ON COMMIT DROP AS SELECT * FROM bench_rows WHERE i <= 500;
ANALYZE bench_rows, bench_few, leadflow.calendars, leadflow.calendar_hours, leadflow.calendar_holidays;

-- The day series: each local day's periods, as instants, cut to the span. For adding, of the
-- days up to where the answer lies (which it couldn't know), the first by which enough is open.
CREATE FUNCTION pg_temp.spans(calendar text, a timestamptz, b timestamptz) RETURNS TABLE (opens timestamptz, closes timestamptz)
LANGUAGE sql STABLE AS $$
	SELECT greatest(a, (d.day + coalesce(x.opens, h.opens)) AT TIME ZONE c.time_zone),
		least(b, (d.day + coalesce(x.closes, h.closes)) AT TIME ZONE c.time_zone)
	FROM leadflow.calendars c
	CROSS JOIN LATERAL (
		SELECT day::date AS day, extract(isodow FROM day)::smallint AS weekday
		FROM generate_series(date_trunc('day', a AT TIME ZONE c.time_zone), b AT TIME ZONE c.time_zone, '1 day') day
	) d
	LEFT JOIN leadflow.calendar_holidays x ON x.calendar_id = c.id AND x.day = d.day
	LEFT JOIN leadflow.calendar_hours h ON h.calendar_id = c.id AND h.weekday = d.weekday AND x.id IS NULL
	WHERE c.name = calendar
		AND (d.day + coalesce(x.opens, h.opens)) AT TIME ZONE c.time_zone < b
		AND (d.day + coalesce(x.closes, h.closes)) AT TIME ZONE c.time_zone > a
$$;

CREATE TEMP TABLE bench_queries (id int GENERATED ALWAYS AS IDENTITY, what text, calls bigint, bare text, query text) ON COMMIT DROP;
INSERT INTO bench_queries (what, calls, bare, query)
SELECT q.what, 1000000, 'SELECT count(a), count(b), count(amount) FROM bench_rows',
	format('SELECT count(%s), count(b), count(amount) FROM bench_rows', replace(q.call, ':office', :'office'))
FROM (VALUES
	('`b - a`, for comparison', 'b - a'),
	('`business_time`, spans up to a year', $$leadflow.business_time('bench_office', a, b)$$),
	('… up to a week', $$leadflow.business_time('bench_office', a, b_week)$$),
	('… by id', 'leadflow.business_time(:office, a, b)'),
	('… two calendars in turn, by name', $$leadflow.business_time(CASE WHEN i % 2 = 0 THEN 'bench_office' ELSE 'bench_lord_howe' END, a, b)$$),
	('… three periods a day, Lord Howe', $$leadflow.business_time('bench_lord_howe', a, b)$$),
	('… UTC, no dates', $$leadflow.business_time('bench_plain', a, b)$$),
	('… 24 × 7', $$leadflow.business_time('bench_always', a, b)$$),
	('`add_business_time`, as far', $$leadflow.add_business_time('bench_office', a, amount)$$),
	('… backwards', $$leadflow.add_business_time('bench_office', b, -amount)$$),
	('… by id', 'leadflow.add_business_time(:office, a, amount)'),
	('`is_business_time`', $$leadflow.is_business_time('bench_office', a)$$),
	('`business_time` in hours: `extract(epoch …) / 3600`', $$extract(epoch FROM leadflow.business_time('bench_office', a, b)) / 3600$$)
) q (what, call);
INSERT INTO bench_queries (what, calls, bare, query) VALUES
	('500 spans', 500000, 'SELECT count(a), count(b) FROM bench_few, generate_series(1, 1000)',
		$$SELECT count(leadflow.business_time('bench_office', a, b)), count(b) FROM bench_few, generate_series(1, 1000)$$),
	('500 spans, series', 500, 'SELECT count(a), count(b) FROM bench_few',
		$$SELECT count(s.worked) FROM bench_few, LATERAL (SELECT sum(closes - opens) AS worked FROM pg_temp.spans('bench_office', a, b)) s$$),
	('500 sums', 500000, 'SELECT count(a), count(amount) FROM bench_few, generate_series(1, 1000)',
		$$SELECT count(leadflow.add_business_time('bench_office', a, amount)), count(amount) FROM bench_few, generate_series(1, 1000)$$),
	('500 sums, series', 500, 'SELECT count(a), count(amount) FROM bench_few',
		$$SELECT count(s.at) FROM bench_few, LATERAL (
			SELECT min(w.closes - (w.worked - amount)) AS at
			FROM (SELECT closes, sum(closes - opens) OVER (ORDER BY opens) AS worked FROM pg_temp.spans('bench_office', a, b)) w
			WHERE w.worked >= amount) s$$);

-- the answers are the same
DO $$
BEGIN
	IF EXISTS (
		SELECT FROM bench_few, LATERAL (SELECT coalesce(sum(closes - opens), '0') AS worked FROM pg_temp.spans('bench_office', a, b)) s
		WHERE s.worked <> leadflow.business_time('bench_office', a, b)
	) OR EXISTS (
		SELECT FROM bench_few, LATERAL (
			SELECT min(w.closes - (w.worked - amount)) AS at
			FROM (SELECT closes, sum(closes - opens) OVER (ORDER BY opens) AS worked FROM pg_temp.spans('bench_office', a, b)) w
			WHERE w.worked >= amount) s
		WHERE amount > '0' AND s.at IS DISTINCT FROM leadflow.add_business_time('bench_office', a, amount)
	) THEN
		RAISE 'the series of days has other answers';
	END IF;
END $$;

CREATE TEMP TABLE bench_results (id int, round int, whole float8, alone float8) ON COMMIT DROP;
CREATE FUNCTION pg_temp.seconds(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	began CONSTANT timestamptz := clock_timestamp();
BEGIN
	EXECUTE query;
	RETURN extract(epoch FROM clock_timestamp() - began);
END $$;
DO $$
DECLARE
	q record;
	bare float8;
	whole float8;
BEGIN
	FOR round IN 0 .. 7 LOOP
		FOR q IN SELECT * FROM bench_queries b ORDER BY b.id LOOP
			bare := pg_temp.seconds(q.bare);
			whole := pg_temp.seconds(q.query);
			-- the first round only warms up
			INSERT INTO bench_results SELECT q.id, round, whole, whole - bare WHERE round > 0;
		END LOOP;
	END LOOP;
END $$;

\echo ### Calls (median of seven rounds, least and most of the call alone)
\echo
\echo | call | ns in its query, with the scan | ns alone | million a second alone |
\echo |---|---|---|---|
\t on
SELECT format('| %s | %s | %s (%s–%s) | %s |', q.what, round(1e9 * r.whole / q.calls), round(1e9 * r.alone / q.calls),
	round(1e9 * r.least / q.calls), round(1e9 * r.most / q.calls), round((q.calls / r.alone / 1e6)::numeric, 1))
FROM bench_queries q, LATERAL (
	SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY whole) AS whole, percentile_cont(0.5) WITHIN GROUP (ORDER BY alone) AS alone,
		min(alone) AS least, max(alone) AS most
	FROM bench_results WHERE id = q.id
) r
WHERE q.calls = 1000000 ORDER BY q.id;

\echo
\echo ### Against a series of days in SQL, the same 500 spans (median of seven rounds, least and most)
\echo
\echo | question | µs by the series | times faster, whole queries | times faster, calls alone |
\echo |---|---|---|---|
SELECT format('| %s | %s | %s (%s–%s) | %s |', CASE f.what WHEN '500 spans' THEN '`business_time`' ELSE '`add_business_time`' END,
	round(percentile_cont(0.5) WITHIN GROUP (ORDER BY s.whole) * 1e6 / min(q.calls)),
	round(percentile_cont(0.5) WITHIN GROUP (ORDER BY x.whole)), round(min(x.whole)), round(max(x.whole)),
	round(percentile_cont(0.5) WITHIN GROUP (ORDER BY x.alone)))
FROM bench_queries f
JOIN bench_queries q ON q.what = f.what || ', series'
JOIN bench_results r ON r.id = f.id
JOIN bench_results s ON s.id = q.id AND s.round = r.round,
	LATERAL (SELECT (s.whole / q.calls) / (r.whole / f.calls) AS whole, (s.alone / q.calls) / (r.alone / f.calls) AS alone) x
GROUP BY f.what, f.id ORDER BY f.id;

-- first use of a calendar: read, built, and asked
CREATE FUNCTION pg_temp.load() RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN
	UPDATE leadflow.calendars SET name = name WHERE name = 'bench_office';
	RETURN pg_temp.seconds($q$SELECT leadflow.business_time('bench_office', '2024-01-01', '2024-02-01')$q$);
END $$;
SELECT format(E'\nFirst use of a calendar: %s µs.', round((1e6 * min(pg_temp.load()))::numeric)) FROM generate_series(1, 20);
ROLLBACK;
