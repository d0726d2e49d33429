--
-- What working time costs: calls a second on one core, against the same
-- question asked of a series of days in plain SQL.
--
--	psql -X -q -f test/bench/calendar.sql
--
-- Everything happens in one transaction that is rolled back.  Each figure is
-- the fastest of five runs, less the bare scan of the same rows.
--
\set ON_ERROR_STOP on
\pset footer off
BEGIN;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
SET LOCAL client_min_messages = warning;
SET LOCAL work_mem = '64MB';

-- Mon-Fri 9-17 in New York, 200 dates; as much without daylight saving time
-- or dates; 24 x 7; and three periods a day in a zone with 30 minutes' DST
WITH c AS (
    INSERT INTO leadflow.calendars (name, time_zone)
    VALUES ('bench_office', 'America/New_York'), ('bench_plain', 'UTC'),
           ('bench_always', 'UTC'), ('bench_periods', 'Australia/Lord_Howe')
    RETURNING *
), h AS (
    INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
    SELECT c.id, d, p.opens, p.closes
    FROM c, generate_series(1, 7) d,
         (VALUES ('bench_office', 5, time '09:00', time '17:00'), ('bench_plain', 5, '09:00', '17:00'),
                 ('bench_always', 7, '00:00', '24:00'), ('bench_periods', 7, '01:00', '02:10'),
                 ('bench_periods', 7, '08:00', '12:00'), ('bench_periods', 7, '13:00', '18:00'))
         AS p (name, days, opens, closes)
    WHERE p.name = c.name AND d <= p.days
)
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes)
SELECT c.id, d::date, CASE WHEN n % 4 = 0 THEN time '09:00' END, CASE WHEN n % 4 = 0 THEN time '12:00' END
FROM c, generate_series(timestamp '2012-01-01', '2031-12-31', '36 days') WITH ORDINALITY g (d, n)
WHERE c.name IN ('bench_office', 'bench_periods');

SELECT setseed(0.1) \g /dev/null
CREATE TEMP TABLE bench_rows ON COMMIT DROP AS
SELECT i, a, a + span AS b, a + span / 50 AS b_week, span, span / 4 AS amount
FROM (SELECT i, timestamptz '2014-01-01' + random() * interval '4000 days' AS a,
             random() * interval '365 days' AS span
      FROM generate_series(1, 1000000) i) r;
ANALYZE bench_rows;

CREATE TEMP TABLE bench_results (
    id int GENERATED ALWAYS AS IDENTITY, what text, calls bigint, seconds double precision, baseline double precision
) ON COMMIT DROP;

-- the fastest of some runs, and of as many bare scans in turn with them
CREATE PROCEDURE pg_temp.bench(what text, query text, calls bigint DEFAULT 1000000, runs int DEFAULT 5)
LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    bare double precision := 'infinity';
    best double precision := 'infinity';
BEGIN
    FOR i IN 1 .. runs LOOP
        began := clock_timestamp();
        EXECUTE format('SELECT count(a), count(b) FROM bench_rows WHERE i <= %s', calls);
        bare := least(bare, extract(epoch FROM clock_timestamp() - began));
        began := clock_timestamp();
        EXECUTE replace(query, ':rows', format('bench_rows WHERE i <= %s', calls));
        best := least(best, extract(epoch FROM clock_timestamp() - began));
    END LOOP;
    INSERT INTO bench_results (what, calls, seconds, baseline) VALUES (what, calls, best, bare);
END $$;

CALL pg_temp.bench('b - a, for comparison', 'SELECT count(b - a), count(a) FROM :rows');
CALL pg_temp.bench('business_time, spans up to a year',
                   $$SELECT count(leadflow.business_time('bench_office', a, b)), count(a) FROM :rows$$);
CALL pg_temp.bench('business_time, up to a week',
                   $$SELECT count(leadflow.business_time('bench_office', a, b_week)), count(a) FROM :rows$$);
SELECT format('SELECT count(leadflow.business_time(%s, a, b)), count(a) FROM :rows', id) AS by_id
FROM leadflow.calendars WHERE name = 'bench_office' \gset
CALL pg_temp.bench('business_time by id', :'by_id');
CALL pg_temp.bench('business_time, three periods, Lord Howe',
                   $$SELECT count(leadflow.business_time('bench_periods', a, b)), count(a) FROM :rows$$);
CALL pg_temp.bench('business_time, UTC, no holidays',
                   $$SELECT count(leadflow.business_time('bench_plain', a, b)), count(a) FROM :rows$$);
CALL pg_temp.bench('business_time, 24 x 7',
                   $$SELECT count(leadflow.business_time('bench_always', a, b)), count(a) FROM :rows$$);
CALL pg_temp.bench('business_time, two calendars in turn',
                   $$SELECT count(leadflow.business_time(CASE WHEN i % 2 = 0 THEN 'bench_office' ELSE 'bench_periods' END, a, b)), count(a) FROM :rows$$);
CALL pg_temp.bench('add_business_time, up to 91 days',
                   $$SELECT count(leadflow.add_business_time('bench_office', a, amount)), count(a) FROM :rows$$);
CALL pg_temp.bench('is_business_time',
                   $$SELECT count(leadflow.is_business_time('bench_office', a)), count(a) FROM :rows$$);
CALL pg_temp.bench('sum(extract(epoch from b - a))',
                   'SELECT sum(extract(epoch FROM b - a)), count(a) FROM :rows');
CALL pg_temp.bench('sum(extract(epoch from business_time(a, b)))',
                   $$SELECT sum(extract(epoch FROM leadflow.business_time('bench_office', a, b))), count(a) FROM :rows$$);

-- the day series: each local day's periods, as instants, cut to the span
CALL pg_temp.bench('business_time by a day series in SQL', $$
    SELECT count(o.worked)
    FROM (SELECT * FROM :rows) r, LATERAL (
        SELECT coalesce(sum(least(r.b, (d + p.closes) AT TIME ZONE c.time_zone) -
                            greatest(r.a, (d + p.opens) AT TIME ZONE c.time_zone)), '0') AS worked
        FROM leadflow.calendars c,
             generate_series(date_trunc('day', r.a AT TIME ZONE c.time_zone), r.b AT TIME ZONE c.time_zone, '1 day') d,
             LATERAL (SELECT h.opens, h.closes FROM leadflow.calendar_hours h
                      WHERE h.calendar_id = c.id AND h.weekday = extract(isodow FROM d)
                        AND NOT EXISTS (SELECT FROM leadflow.calendar_holidays x
                                        WHERE x.calendar_id = c.id AND x.day = d::date)
                      UNION ALL
                      SELECT x.opens, x.closes FROM leadflow.calendar_holidays x
                      WHERE x.calendar_id = c.id AND x.day = d::date AND x.opens IS NOT NULL) p
        WHERE c.name = 'bench_office'
          AND (d + p.opens) AT TIME ZONE c.time_zone < r.b AND (d + p.closes) AT TIME ZONE c.time_zone > r.a) o
    $$, 2000, 2);

SELECT what, calls, round((1e9 * (seconds - baseline) / calls)::numeric, 1) AS ns_a_call,
       round((calls / (seconds - baseline) / 1e6)::numeric, 3) AS million_calls_a_second
FROM bench_results ORDER BY id;
SELECT round((d.seconds / d.calls / ((f.seconds - f.baseline) / f.calls))::numeric, -1) AS times_faster_than_day_series
FROM bench_results d, bench_results f
WHERE d.what LIKE '%day series%' AND f.what = 'business_time, spans up to a year';

-- first use of a calendar: read, built, and asked
DO $$
DECLARE
    began timestamptz;
    best double precision := 'infinity';
BEGIN
    FOR i IN 1 .. 20 LOOP
        UPDATE leadflow.calendars SET name = name WHERE name = 'bench_office';
        began := clock_timestamp();
        PERFORM leadflow.business_time('bench_office', '2024-01-01', '2024-02-01');
        best := least(best, extract(epoch FROM clock_timestamp() - began));
    END LOOP;
    INSERT INTO bench_results (what, calls, seconds, baseline) VALUES ('load', 1, best, 0);
END $$;
SELECT round((seconds * 1e6)::numeric) AS load_microseconds FROM bench_results WHERE what = 'load';
ROLLBACK;
