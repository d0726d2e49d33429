--
-- Calendars: working time against examples worked out by hand, and against a
-- slow oracle that asks of every minute (or second) whether it is open.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

CREATE SCHEMA t_cal;

-- a calendar from text: 'weekdays opens closes', and holidays 'day [opens closes]'
CREATE FUNCTION t_cal.make(name text, zone text, hours text[], holidays text[] DEFAULT '{}')
RETURNS void LANGUAGE sql AS $$
    WITH c AS (
        INSERT INTO leadflow.calendars (name, time_zone) VALUES ($1, $2) RETURNING id
    ), h AS (
        INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
        SELECT c.id, d::int, split_part(x, ' ', 2)::time, split_part(x, ' ', 3)::time
        FROM c, unnest($3) x, string_to_table(split_part(x, ' ', 1), NULL) d
    )
    INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes)
    SELECT c.id, split_part(x, ' ', 1)::date,
           nullif(split_part(x, ' ', 2), '')::time, nullif(split_part(x, ' ', 3), '')::time
    FROM c, unnest($4) x
$$;

--
-- Examples
--
SELECT t_cal.make('t_office', 'America/New_York', '{12345 09:00 17:00}',
                  '{2024-12-25,2024-12-24 09:00 12:00,2024-12-28 10:00 14:00}');

-- Friday noon to Monday noon; opening instant in, closing instant out
SELECT leadflow.business_time('t_office', '2024-06-07 12:00-04', '2024-06-10 12:00-04') AS over_weekend,
       leadflow.business_time('t_office', '2024-06-10 12:00-04', '2024-06-07 12:00-04') AS reversed,
       leadflow.business_time('t_office', '2024-06-07 12:00-04', '2024-06-07 12:00-04') AS nothing,
       leadflow.business_time('t_office', '2024-06-03 00:00-04', '2024-06-17 00:00-04') AS no_days;
SELECT at, leadflow.is_business_time('t_office', at)
FROM unnest('{2024-06-07 08:59:59.999999-04,2024-06-07 09:00-04,2024-06-07 16:59:59.999999-04,
              2024-06-07 17:00-04,2024-06-08 12:00-04}'::timestamptz[]) AS at;
-- the closing instant, not the next opening; from the next opening if closed
SELECT leadflow.add_business_time('t_office', '2024-06-07 12:00-04', '5 hours') AT TIME ZONE 'America/New_York' AS closing,
       leadflow.add_business_time('t_office', '2024-06-07 12:00-04', '5 hours 1 second') AT TIME ZONE 'America/New_York' AS monday,
       leadflow.add_business_time('t_office', '2024-06-08 12:00-04', '1 hour') AT TIME ZONE 'America/New_York' AS from_closed,
       leadflow.add_business_time('t_office', '2024-06-08 12:00-04', '0') AT TIME ZONE 'America/New_York' AS zero,
       leadflow.add_business_time('t_office', '2024-06-10 12:00-04', '-3 hours') AT TIME ZONE 'America/New_York' AS opening,
       leadflow.add_business_time('t_office', '2024-06-10 12:00-04', '-4 hours') AT TIME ZONE 'America/New_York' AS friday,
       leadflow.add_business_time('t_office', '2024-06-03 09:00-04', '1 day') AT TIME ZONE 'America/New_York' AS a_day_is_24_hours;
-- a holiday, a short day, and a Saturday that is open once
SELECT d::date AS day, leadflow.business_time('t_office', d AT TIME ZONE 'America/New_York',
                                              (d + '1 day') AT TIME ZONE 'America/New_York') AS open
FROM generate_series(timestamp '2024-12-23', '2024-12-29', '1 day') d;

-- a repeated hour counts twice, a skipped one not at all
SELECT t_cal.make('t_night', 'America/New_York', '{7 01:00 03:00}');
SELECT leadflow.business_time('t_night', '2024-11-03', '2024-11-04') AS fall_back,
       leadflow.business_time('t_night', '2024-03-10', '2024-03-11') AS spring_forward,
       leadflow.business_time('t_night', '2024-03-17', '2024-03-18') AS usual,
       leadflow.is_business_time('t_night', '2024-11-03 01:30-04') AS first_half_past_one,
       leadflow.is_business_time('t_night', '2024-11-03 01:30-05') AS second_half_past_one,
       leadflow.add_business_time('t_night', '2024-11-03 00:00-04', '2:30') = '2024-11-03 02:30-05' AS by_half_past_two;

-- a whole local day that was skipped, and one that the clocks went back into
SELECT t_cal.make('t_apia', 'Pacific/Apia', '{12345 09:00 17:00}');
SELECT leadflow.business_time('t_apia', '2011-12-29 00:00-10', '2012-01-01 00:00+14') AS without_friday;
SELECT t_cal.make('t_sao_paulo', 'America/Sao_Paulo', '{6 22:30 24:00}', '{2018-02-24 23:45 24:00}');
SELECT leadflow.business_time('t_sao_paulo', '2018-02-17', '2018-02-19') AS last_hour_twice,
       leadflow.business_time('t_sao_paulo', '2018-02-24', '2018-02-26') AS short_day;

-- 24 x 7, in whatever zone; periods may touch
SELECT t_cal.make('t_always', 'Europe/Amsterdam', '{1234567 00:00 24:00}');
SELECT t_cal.make('t_always_in_parts', 'Europe/Amsterdam', '{1234567 00:00 10:00,1234567 10:00 23:00,1234567 23:00 24:00}');
SELECT t_cal.make('t_touching', 'UTC', '{1 12:00 13:00,1 09:00 12:00,1 13:00 14:00,1 15:00 16:00}');
SELECT leadflow.business_time('t_always', '2024-01-01', '2025-01-01'),
       leadflow.business_time('t_always_in_parts', '2024-01-01', '2025-01-01'),
       leadflow.add_business_time('t_always', '2024-01-01', '366 days'),
       leadflow.business_time('t_touching', '2024-06-03', '2024-06-04') AS six_hours,
       leadflow.add_business_time('t_touching', '2024-06-03', '5:30') AS half_past_three;

-- by id, and an unknown literal is a name
SELECT leadflow.business_time(id, '2024-06-07 12:00-04', '2024-06-10 12:00-04'),
       leadflow.add_business_time(id, '2024-06-07 12:00-04', '5 hours'),
       leadflow.is_business_time(id, '2024-06-07 12:00-04'),
       leadflow.business_time(id::integer, '2024-06-07 12:00-04', '2024-06-10 12:00-04')
FROM leadflow.calendars WHERE name = 't_office';
SELECT leadflow.business_time(NULL::text, now(), now()) IS NULL AND
       leadflow.add_business_time('t_office', NULL, '1 hour') IS NULL AND
       leadflow.is_business_time('t_office', NULL) IS NULL AS strict;

--
-- The oracle: every minute of a window, open or not, and the open ones
-- counted.  Windows lie around changes of the clock, in both directions.
--
SELECT t_cal.make('t_new_york', 'America/New_York', '{12345 09:00 12:00,12345 13:00 17:00,7 01:30 02:45}',
                  '{2024-03-08 10:00 11:30,2024-03-12,2024-11-03 00:30 01:15,2024-11-03 01:45 02:30,2024-11-04}');
SELECT t_cal.make('t_amsterdam', 'Europe/Amsterdam', '{67 00:00 06:00,12345 08:30 12:00,12345 13:00 24:00,2 00:00 08:00}',
                  '{2024-03-29,2024-04-01 10:00 24:00,2024-10-26 22:00 24:00}');
SELECT t_cal.make('t_kolkata', 'Asia/Kolkata', '{123456 10:00 18:30}', '{2024-05-01,2024-05-05 00:00 24:00}');
SELECT t_cal.make('t_lord_howe', 'Australia/Lord_Howe', '{1234567 01:00 01:45,1234567 12:00 24:00}',
                  '{2024-04-07 01:15 02:10,2024-04-08,2024-10-07 02:00 02:20}');
SELECT t_cal.make('t_utc', 'UTC', '{12345 00:00 07:00,12345 22:00 24:00}', '{2024-02-29}');
SELECT t_cal.make('t_casablanca', 'Africa/Casablanca', '{1234567 01:30 03:30,12345 09:00 18:00}', '{2024-04-15 02:00 02:30}');
SELECT t_cal.make('t_havana', 'America/Havana', '{1234567 23:30 24:00,1234567 00:00 00:45}', '{2024-11-02 23:15 23:45}');
SELECT t_cal.make('t_seconds', 'Europe/Amsterdam', '{1234567 01:59:58 02:00:03,1234567 02:30:01 03:00:01,1234567 23:59:59 24:00}');
SELECT t_cal.make('t_rule', 'CST6CDT', '{1234567 01:30 02:30}');

CREATE TABLE t_cal.windows (id int PRIMARY KEY, calendar text, step interval, lo timestamptz, hi timestamptz);
INSERT INTO t_cal.windows
SELECT row_number() OVER (), calendar, '1 minute', day::timestamptz - interval '5 days', day::timestamptz + interval '6 days'
FROM (VALUES ('t_new_york', '2024-03-10'), ('t_new_york', '2024-11-03'),
             ('t_amsterdam', '2024-03-31'), ('t_amsterdam', '2024-10-27'),
             ('t_kolkata', '2024-05-03'), ('t_utc', '2024-02-29'),
             ('t_lord_howe', '2024-04-07'), ('t_lord_howe', '2024-10-06'),
             ('t_casablanca', '2024-03-10'), ('t_casablanca', '2024-04-14'),
             ('t_havana', '2024-03-10'), ('t_havana', '2024-11-03'),
             ('t_sao_paulo', '2018-02-18'), ('t_sao_paulo', '2018-11-04'),
             ('t_apia', '2011-12-30'), ('t_always', '2024-03-31'),
             ('t_rule', '9003-03-08'), ('t_rule', '1703-11-06'),
             ('t_amsterdam', '2437-03-29'), ('t_amsterdam', '2838-10-26')) AS w (calendar, day);
INSERT INTO t_cal.windows VALUES
    (101, 't_seconds', '1 second', '2024-03-30 21:00+00', '2024-03-31 06:00+00'),
    (102, 't_seconds', '1 second', '2024-10-26 21:00+00', '2024-10-27 06:00+00');

-- the periods of a local day by the rule: its own rows, else its weekday's
CREATE FUNCTION t_cal.periods(calendar text, first date, last date)
RETURNS TABLE (day date, opens time, closes time) LANGUAGE sql AS $$
    SELECT d::date, p.opens, p.closes
    FROM leadflow.calendars c, generate_series(first::timestamp, last, '1 day') d,
         LATERAL (SELECT h.opens, h.closes FROM leadflow.calendar_hours h
                  WHERE h.calendar_id = c.id AND h.weekday = extract(isodow FROM d)
                    AND NOT EXISTS (SELECT FROM leadflow.calendar_holidays x
                                    WHERE x.calendar_id = c.id AND x.day = d::date)
                  UNION ALL
                  SELECT x.opens, x.closes FROM leadflow.calendar_holidays x
                  WHERE x.calendar_id = c.id AND x.day = d::date AND x.opens IS NOT NULL) p
    WHERE c.name = $1
$$;
CREATE TABLE t_cal.days AS
SELECT w.id, p.* FROM t_cal.windows w, t_cal.periods(w.calendar, w.lo::date - 1, w.hi::date + 1) p;
ANALYZE t_cal.days;

-- "worked" is the number of open steps before "at"
CREATE TABLE t_cal.steps AS
SELECT s.id, s.at, s.open, count(*) FILTER (WHERE s.open) OVER (PARTITION BY s.id ORDER BY s.at) - s.open::int AS worked
FROM (SELECT l.id, l.at, p.day IS NOT NULL AS open
      FROM (SELECT w.id, at, at AT TIME ZONE c.time_zone AS local
            FROM t_cal.windows w
            JOIN leadflow.calendars c ON c.name = w.calendar,
                 generate_series(w.lo, w.hi, w.step) at) l
      LEFT JOIN t_cal.days p ON p.id = l.id AND p.day = l.local::date
                            AND p.opens <= l.local::time AND l.local::time < p.closes) s;
CREATE UNIQUE INDEX ON t_cal.steps (id, at);
CREATE INDEX ON t_cal.steps (id, worked) WHERE open;
ANALYZE t_cal.steps;
SELECT count(DISTINCT id) AS windows, count(*) > 350000 AS many, count(DISTINCT id) FILTER (WHERE open) AS with_open_steps
FROM t_cal.steps;

-- every step: open or not
SELECT w.calendar, s.at, s.open
FROM t_cal.steps s JOIN t_cal.windows w USING (id)
WHERE leadflow.is_business_time(w.calendar, s.at) <> s.open
ORDER BY 1, 2 LIMIT 5;

-- every step: time since the window began
SELECT w.calendar, s.at, s.worked * w.step AS expected, leadflow.business_time(w.calendar, w.lo, s.at)
FROM t_cal.steps s JOIN t_cal.windows w USING (id)
WHERE leadflow.business_time(w.calendar, w.lo, s.at) <> s.worked * w.step
ORDER BY 1, 2 LIMIT 5;

-- random pairs, in both orders
SELECT setseed(0.42);
CREATE TABLE t_cal.pairs AS
SELECT w.id, w.calendar, w.step,
       w.lo + w.step * floor(random() * n.steps) AS a,
       w.lo + w.step * floor(random() * n.steps) AS b,
       floor(random() * n.worked)::int AS amount
FROM t_cal.windows w
JOIN (SELECT id, count(*) AS steps, max(worked) AS worked FROM t_cal.steps GROUP BY id) n USING (id),
     generate_series(1, 400) i
ORDER BY w.id, i;
SELECT p.calendar, p.a, p.b, (b.worked - a.worked) * p.step AS expected, leadflow.business_time(p.calendar, p.a, p.b)
FROM t_cal.pairs p
JOIN t_cal.steps a ON a.id = p.id AND a.at = p.a
JOIN t_cal.steps b ON b.id = p.id AND b.at = p.b
WHERE leadflow.business_time(p.calendar, p.a, p.b) <> (b.worked - a.worked) * p.step
ORDER BY 1, 2 LIMIT 5;

-- adding: the end of the amount-th open step from a on; backwards, the start
-- of the amount-th open step before it
SELECT p.calendar, p.a, p.amount, s.at + p.step AS expected,
       leadflow.add_business_time(p.calendar, p.a, p.amount * p.step)
FROM t_cal.pairs p
JOIN t_cal.steps a ON a.id = p.id AND a.at = p.a
JOIN t_cal.steps s ON s.id = p.id AND s.open AND s.worked = a.worked + p.amount - 1
WHERE p.amount > 0 AND leadflow.add_business_time(p.calendar, p.a, p.amount * p.step) <> s.at + p.step
ORDER BY 1, 2 LIMIT 5;
SELECT p.calendar, p.a, p.amount, s.at AS expected,
       leadflow.add_business_time(p.calendar, p.a, -p.amount * p.step)
FROM t_cal.pairs p
JOIN t_cal.steps a ON a.id = p.id AND a.at = p.a
JOIN t_cal.steps s ON s.id = p.id AND s.open AND s.worked = a.worked - p.amount
WHERE p.amount > 0 AND leadflow.add_business_time(p.calendar, p.a, -p.amount * p.step) <> s.at
ORDER BY 1, 2 LIMIT 5;
-- were there enough of them?
SELECT count(*) FILTER (WHERE a.worked + p.amount <= n.worked) > 2000 AS forwards,
       count(*) FILTER (WHERE a.worked >= p.amount) > 2000 AS backwards
FROM t_cal.pairs p
JOIN t_cal.steps a ON a.id = p.id AND a.at = p.a
JOIN (SELECT id, max(worked) AS worked FROM t_cal.steps GROUP BY id) n ON n.id = p.id;

--
-- Round trip and additivity, to the microsecond and over decades
--
SELECT setseed(0.17);
CREATE TABLE t_cal.trips AS
SELECT c.name AS calendar,
       timestamptz '1950-01-01' + random() * interval '60000 days' AS a,
       timestamptz '1950-01-01' + random() * interval '60000 days' AS b,
       random() * random() * interval '4000 hours' AS amount
FROM leadflow.calendars c, generate_series(1, 1000) i
WHERE c.name LIKE 't\_%'
ORDER BY c.id, i;
SELECT calendar, a, amount FROM t_cal.trips
WHERE leadflow.business_time(calendar, a, leadflow.add_business_time(calendar, a, amount)) <> amount
   OR leadflow.business_time(calendar, a, leadflow.add_business_time(calendar, a, -amount)) <> -amount
ORDER BY 1, 2 LIMIT 5;
-- earliest: a microsecond before, it had not yet passed; latest likewise
SELECT calendar, a, amount FROM t_cal.trips
WHERE amount > '0' AND
     (leadflow.business_time(calendar, a, leadflow.add_business_time(calendar, a, amount) - interval '1 us') <> amount - interval '1 us'
   OR leadflow.business_time(calendar, a, leadflow.add_business_time(calendar, a, -amount) + interval '1 us') <> interval '1 us' - amount)
ORDER BY 1, 2 LIMIT 5;
SELECT calendar, a, b FROM t_cal.trips
WHERE leadflow.business_time(calendar, a, b) <> -leadflow.business_time(calendar, b, a)
   OR leadflow.business_time(calendar, a, b) <> leadflow.business_time(calendar, a, '2000-01-01') +
                                                leadflow.business_time(calendar, '2000-01-01', b)
ORDER BY 1, 2 LIMIT 5;

-- long spans with many holidays, against a series of days
SELECT t_cal.make('t_long', 'America/New_York', '{12345 09:00 17:00,6 10:00 14:00}',
    (SELECT array_agg(d::date || CASE WHEN n % 3 = 0 THEN ' 09:30 13:00' ELSE '' END ORDER BY d)
     FROM generate_series(timestamp '1996-01-01', '2036-01-01', '37 days') WITH ORDINALITY x (d, n)));
CREATE TABLE t_cal.spans AS
SELECT (day + opens) AT TIME ZONE 'America/New_York' AS opens, (day + closes) AT TIME ZONE 'America/New_York' AS closes
FROM t_cal.periods('t_long', '1989-12-30', '2045-01-01');
SELECT setseed(0.5);
WITH pairs AS MATERIALIZED (
    SELECT i, timestamptz '1990-01-01' + random() * interval '5000 days' AS a,
           timestamptz '2010-01-01' + random() * interval '12000 days' AS b
    FROM generate_series(1, 40) i
)
SELECT a, b, o.expected, leadflow.business_time('t_long', a, b)
FROM pairs, LATERAL (
    SELECT sum(least(b, closes) - greatest(a, opens)) AS expected
    FROM t_cal.spans WHERE opens < b AND closes > a) o
WHERE leadflow.business_time('t_long', a, b) <> o.expected OR o.expected IS NULL;

--
-- Any date, and no loop without an end
--
SELECT leadflow.business_time('t_office', '9999-12-20 00:00-05', '9999-12-31 00:00-05') AS year_9999,
       leadflow.business_time('t_office', '0001-01-01', '0001-02-01') AS year_1,
       leadflow.business_time('t_utc', '4713-01-01 BC', '294276-12-31') AS all_of_it,
       leadflow.business_time('t_amsterdam', '4713-01-01 BC', '294276-12-31') AS all_of_it_with_dst,
       leadflow.add_business_time('t_office', '2024-06-07 12:00-04', '36500 days') AS in_four_centuries;
-- every 400 years are alike once the rules are; and nothing of it is kept twice
SELECT leadflow.business_time('t_new_york', y, y + interval '400 years') AS four_centuries, count(*) AS times
FROM generate_series(timestamptz '2300-03-01', '293870-01-01', '100 years') y
GROUP BY 1;
SELECT leadflow.add_business_time('t_new_york', '2024-06-07 12:00-04', '500000000 hours') AS far,
       leadflow.add_business_time('t_new_york', leadflow.add_business_time('t_new_york', '2024-06-07 12:00-04', '500000000 hours'), '-500000000 hours') AS near,
       leadflow.business_time('t_new_york', '2024-06-07 12:00-04', leadflow.add_business_time('t_new_york', '2024-06-07 12:00-04', '500000000 hours')) AS amount;
SELECT leadflow.add_business_time('t_new_york', '294276-12-29 12:00-05', '3 hours'),
       leadflow.add_business_time('t_new_york', '294276-12-29 12:00-05', '-3 hours'),
       leadflow.is_business_time('t_new_york', '294276-12-29 12:30-05') AS lunch,
       leadflow.add_business_time('t_new_york', '4713-01-10 12:00 BC', '3 hours'),
       leadflow.add_business_time('t_new_york', '4713-01-10 12:00 BC', '-3 hours');
SELECT sum(total_bytes) < 1000000 AS little FROM pg_backend_memory_contexts WHERE name LIKE 'leadflow calendar%';
SELECT t_cal.make('t_never', 'UTC', '{}', '{2024-01-01}');
SELECT t_cal.make('t_once', 'America/New_York', '{}', '{2024-03-10 00:00 24:00,2024-03-11,2024-03-12 09:00 10:00}');
SELECT leadflow.business_time('t_never', '2024-01-01', '2025-01-01') AS never,
       leadflow.is_business_time('t_never', '2024-01-01') AS is_open,
       leadflow.business_time('t_once', '4713-01-01 BC', '294276-12-31') AS once,
       leadflow.add_business_time('t_once', '2000-01-01', '24:00') AS all_of_it,
       leadflow.add_business_time('t_once', '2100-01-01', '-24:00') AS all_of_it_back,
       leadflow.add_business_time('t_once', '2000-01-01', '23:00') AS first_day;
SELECT leadflow.add_business_time('t_never', '2024-01-01', '1 hour');
SELECT leadflow.add_business_time('t_never', '2024-01-01', '-1 hour');
SELECT leadflow.add_business_time('t_once', '2000-01-01', '24:00:00.000001');
SELECT leadflow.add_business_time('t_once', '2100-01-01', '-24:00:00.000001');
SELECT leadflow.add_business_time('t_once', '2024-03-13', '1 us');
SELECT leadflow.add_business_time('t_office', '2024-01-01', '100000000 days');
SELECT leadflow.add_business_time('t_office', '2024-01-01', '-100000000 days');
SELECT leadflow.add_business_time('t_always', '2024-01-01', '200000000 days');
SELECT leadflow.business_time('t_always', '4713-01-01 BC', '294276-12-31');

--
-- Bad input
--
\set VERBOSITY terse
SELECT leadflow.business_time('t_nowhere', now(), now());
SELECT leadflow.business_time(-1, now(), now());
SELECT leadflow.is_business_time('', now());
\set VERBOSITY default
DO $$
DECLARE hint text;
BEGIN
    PERFORM leadflow.business_time('t_nowhere', now(), now());
EXCEPTION WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RAISE NOTICE 'hint names calendars that exist: %', hint ~ '^Existing calendars: ("\w+", ){5}\.\.\.$';
END $$;
SELECT leadflow.business_time('t_office', '-infinity', now());
SELECT leadflow.business_time('t_office', now(), 'infinity');
SELECT leadflow.is_business_time('t_always', 'infinity');
SELECT leadflow.add_business_time('t_always', 'infinity', '1 hour');
SELECT leadflow.add_business_time('t_office', now(), '1 month');
SELECT leadflow.add_business_time('t_office', now(), '1 year -1 day');
\set VERBOSITY sqlstate
SELECT leadflow.business_time('t_nowhere', now(), now());
SELECT leadflow.business_time('t_office', now(), 'infinity');
SELECT leadflow.add_business_time('t_office', now(), '1 month');
SELECT leadflow.add_business_time('t_never', '2024-01-01', '1 hour');
SELECT leadflow.add_business_time('t_office', '2024-01-01', '100000000 days');
SELECT leadflow._calendar_validate();
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', 'Mars/Olympus');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', '');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', NULL);
UPDATE leadflow.calendars SET time_zone = 'right/UTC' WHERE name = 't_utc';
INSERT INTO leadflow.calendars (name) VALUES ('t_utc');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT id, 1, '17:00', '09:00' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT id, 1, '09:00', '09:00' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT id, 0, '09:00', '17:00' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) VALUES (-1, 1, '09:00', '17:00');
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens) SELECT id, '2024-01-01', '09:00' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) SELECT id, '2024-01-01', '12:00', '09:00' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_holidays (calendar_id, day) SELECT id, 'infinity' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) SELECT id, '-infinity', '09:00', '12:00' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) SELECT id, '10000-01-01', '09:00', '12:00' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_holidays (calendar_id, day) SELECT id, '4714-12-31 BC' FROM leadflow.calendars WHERE name = 't_utc';
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT id, 1, '24:00', '00:00' FROM leadflow.calendars WHERE name = 't_utc';
\set VERBOSITY default
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', 'Mars/Olympus');

-- the first and the last date
SELECT t_cal.make('t_far', 'UTC', '{1 09:00 10:00}', '{9999-12-31 00:00 24:00}');
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) SELECT id, '4713-01-01 BC', '00:00', '24:00' FROM leadflow.calendars WHERE name = 't_far';
SELECT leadflow.business_time('t_far', '4713-01-01 BC', '4713-01-03 BC') AS first_day,
       leadflow.business_time('t_far', '2024-06-01', '2024-07-01') AS four_mondays,
       leadflow.business_time('t_far', '9999-12-30', '10000-01-03') AS last_day;

--
-- Periods that overlap are refused
--
SELECT t_cal.make('t_split', 'UTC', '{12 09:00 12:00,12 12:00 17:00,12 20:00 24:00,3 00:00 24:00}',
                  '{2024-06-03 09:00 12:00,2024-06-03 12:00 24:00,2024-06-04 00:00 01:00,2024-06-05,2024-06-05}');
SELECT id AS split FROM leadflow.calendars WHERE name = 't_split' \gset
\set VERBOSITY terse
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) VALUES (:split, 1, '16:59:59.999999', '18:00');
\set VERBOSITY sqlstate
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) VALUES (:split, 1, '09:00', '12:00');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) VALUES (:split, 1, '08:00', '18:00');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) VALUES (:split, 2, '23:59:59.999999', '24:00');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) VALUES (:split, 4, '09:00', '12:00'), (:split, 4, '10:00', '11:00');
UPDATE leadflow.calendar_hours SET weekday = 1 WHERE calendar_id = :split AND weekday = 3;
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) VALUES (:split, '2024-06-03', '11:59:59.999999', '12:00');
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) VALUES (:split, '2024-06-04', '00:00', '24:00');
\set VERBOSITY terse
-- which constraint: what an application looks at
DO $$
DECLARE name text; at text;
BEGIN
    UPDATE leadflow.calendar_hours SET closes = '12:30' WHERE closes = '12:00'
        AND calendar_id = (SELECT id FROM leadflow.calendars WHERE calendars.name = 't_split');
EXCEPTION WHEN exclusion_violation THEN
    GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME, at = TABLE_NAME;
    RAISE NOTICE 'constraint % of %', name, at;
END $$;
DO $$
DECLARE name text; at text;
BEGIN
    UPDATE leadflow.calendar_holidays SET opens = '11:00' WHERE opens = '12:00'
        AND calendar_id = (SELECT id FROM leadflow.calendars WHERE calendars.name = 't_split');
EXCEPTION WHEN exclusion_violation THEN
    GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME, at = TABLE_NAME;
    RAISE NOTICE 'constraint % of %', name, at;
END $$;
\set VERBOSITY sqlstate
-- touching, other days and other calendars are fine
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) VALUES (:split, 1, '17:00', '20:00'), (:split, 4, '10:00', '11:00');
-- one statement may shift periods that touch, a transaction may swap them
UPDATE leadflow.calendar_hours SET opens = opens + interval '30 minutes', closes = closes + interval '30 minutes'
WHERE calendar_id = :split AND weekday = 2 AND closes <= '17:00';
UPDATE leadflow.calendar_holidays SET day = day + 1 WHERE calendar_id = :split AND opens IS NOT NULL;
BEGIN;
SET CONSTRAINTS leadflow.calendar_hours_overlap DEFERRED;
UPDATE leadflow.calendar_hours SET closes = '15:30' WHERE calendar_id = :split AND weekday = 2 AND opens = '09:30';
UPDATE leadflow.calendar_hours SET opens = '15:30' WHERE calendar_id = :split AND weekday = 2 AND opens = '12:30';
COMMIT;
SELECT weekday, opens, closes FROM leadflow.calendar_hours WHERE calendar_id = :split ORDER BY 1, 2;
SELECT day, opens, closes FROM leadflow.calendar_holidays WHERE calendar_id = :split ORDER BY 1, 2;
SELECT leadflow.business_time(:split, '2024-06-03', '2024-06-08');
\set VERBOSITY default
-- where a site has dropped the constraint, what overlaps counts once
BEGIN;
ALTER TABLE leadflow.calendar_hours DROP CONSTRAINT calendar_hours_overlap;
ALTER TABLE leadflow.calendar_holidays DROP CONSTRAINT calendar_holidays_overlap, DROP CONSTRAINT calendar_holidays_day;
SELECT t_cal.make('t_overlap', 'UTC', '{1 09:00 12:00,1 11:00 13:00,1 09:30 10:00,1 13:00 14:00,1 15:00 16:00}',
                  '{5874897-12-31,294277-01-01 00:00 24:00,infinity,2024-06-04 09:00 12:00,2024-06-04 09:00 12:00}');
INSERT INTO leadflow.calendar_holidays (calendar_id, day) SELECT id, '4714-11-24 BC' FROM leadflow.calendars WHERE name = 't_overlap';
SELECT leadflow.business_time('t_overlap', '2024-06-03', '2024-06-04') AS six_hours,
       leadflow.business_time('t_overlap', '2024-06-04', '2024-06-05') AS three_hours,
       leadflow.add_business_time('t_overlap', '2024-06-03', '5:30') AS half_past_three;
ROLLBACK;

--
-- Only names of the time zone database are zones
--
INSERT INTO leadflow.calendars (name, time_zone)
SELECT 't_zone ' || z, z FROM unnest('{UTC,europe/amsterdam,CET,EST5EDT,Etc/GMT+5,GMT0,Etc/GMT-14,Antarctica/Troll}'::text[]) z;
UPDATE leadflow.calendars SET time_zone = 'UTC+2' WHERE name = 't_zone UTC';
\set VERBOSITY sqlstate
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', 'Europe/Amsterdam1');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', 'EST5EDT,M3.2.0,M11.1.0');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', '<+0330>-3:30');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', '+02');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', 'CEST');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', 'UTC ');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', '../zoneinfo/UTC');
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('t_bad', repeat('x', 10000));
\set VERBOSITY default

--
-- A change is seen at once, also when it is taken back
--
SELECT t_cal.make('t_change', 'UTC', '{1234567 09:00 10:00}');
PREPARE day AS SELECT leadflow.business_time('t_change', '2024-06-03', '2024-06-04');
EXECUTE day;
BEGIN;
UPDATE leadflow.calendar_hours h SET closes = '11:00' FROM leadflow.calendars c WHERE c.id = h.calendar_id AND c.name = 't_change';
EXECUTE day;
SAVEPOINT s;
INSERT INTO leadflow.calendar_holidays (calendar_id, day) SELECT id, '2024-06-03' FROM leadflow.calendars WHERE name = 't_change';
EXECUTE day;
ROLLBACK TO s;
EXECUTE day;
ROLLBACK;
EXECUTE day;
-- read before the statement ends, and before it fails
CREATE FUNCTION t_cal.peek() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'now %', leadflow.business_time(NEW.calendar_id, '2024-06-03', '2024-06-04');
    IF NEW.closes = '12:30' THEN RAISE 'failed on purpose'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER peek AFTER UPDATE ON leadflow.calendar_hours FOR EACH ROW EXECUTE FUNCTION t_cal.peek();
UPDATE leadflow.calendar_hours h SET closes = '12:30' FROM leadflow.calendars c
WHERE c.id = h.calendar_id AND c.name = 't_change' AND weekday = 1;
EXECUTE day;
UPDATE leadflow.calendars SET name = name;
BEGIN;
SAVEPOINT s;
UPDATE leadflow.calendar_hours h SET closes = '12:30' FROM leadflow.calendars c
WHERE c.id = h.calendar_id AND c.name = 't_change' AND weekday = 1;
ROLLBACK TO s;
EXECUTE day;
COMMIT;
UPDATE leadflow.calendars SET name = name;
UPDATE leadflow.calendar_hours h SET closes = '12:00' FROM leadflow.calendars c
WHERE c.id = h.calendar_id AND c.name = 't_change' AND weekday = 1;
EXECUTE day;
DROP TRIGGER peek ON leadflow.calendar_hours;
-- names change hands
\set VERBOSITY terse
UPDATE leadflow.calendars SET name = 't_changed' WHERE name = 't_change';
SELECT leadflow.business_time('t_changed', '2024-06-03', '2024-06-04');
EXECUTE day;
UPDATE leadflow.calendars SET name = 't_change' WHERE name = 't_touching';
EXECUTE day;
UPDATE leadflow.calendars SET time_zone = 'Pacific/Auckland' WHERE name = 't_change';
EXECUTE day;
DELETE FROM leadflow.calendars WHERE name = 't_change';
EXECUTE day;
\set VERBOSITY default
SELECT count(*) AS orphans FROM leadflow.calendar_hours h WHERE NOT EXISTS (SELECT FROM leadflow.calendars c WHERE c.id = h.calendar_id);
-- within one statement, calendars side by side
SELECT count(*), bool_and(leadflow.business_time(name, '2024-06-03', '2024-07-03') = leadflow.business_time(id, '2024-06-03', '2024-07-03')) AS same
FROM leadflow.calendars WHERE name LIKE 't\_%';

--
-- What is kept: each calendar once, however often it is asked, and nothing that
-- isn't there any more
--
CREATE FUNCTION t_cal.kept(OUT calendars bigint, OUT bytes bigint) LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE name = 'leadflow calendar'), sum(total_bytes)
    FROM pg_backend_memory_contexts WHERE name LIKE 'leadflow calendar%'
$$;
SELECT count(*) FROM (SELECT t_cal.make('t_many ' || i, 'Europe/Amsterdam', '{12345 09:00 17:00}', '{2024-12-25}') FROM generate_series(1, 100) i OFFSET 0) m;
SELECT calendars FROM t_cal.kept();
BEGIN;
SELECT sum(extract(epoch FROM leadflow.business_time('t_many ' || i, '2024-06-03', '2024-06-04'))) / 3600 AS hours FROM generate_series(1, 100) i;
SELECT calendars, bytes AS kept FROM t_cal.kept() \gset
SELECT sum(extract(epoch FROM leadflow.business_time('t_many ' || 1 + i % 100, '2024-06-03', '2024-06-04'))) / 3600 AS hours FROM generate_series(1, 300000) i;
SELECT sum(extract(epoch FROM leadflow.add_business_time(id, '2024-06-03', '8 hours') - '2024-06-03')) / 3600 AS hours
FROM leadflow.calendars, generate_series(1, 1000) WHERE name LIKE 't\_many%';
SELECT :calendars AS calendars, calendars - :calendars AS more, bytes - :kept AS more_bytes FROM t_cal.kept();
COMMIT;
DELETE FROM leadflow.calendars WHERE name LIKE 't\_many%';
SELECT leadflow.business_time('t_office', '2024-06-03', '2024-06-04');
BEGIN;
SELECT leadflow.business_time('t_office', '2024-06-03', '2024-06-04');
SELECT calendars FROM t_cal.kept();
COMMIT;
-- in one transaction, too, each is kept once
BEGIN;
DO $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        UPDATE leadflow.calendar_hours h SET closes = time '12:00' + i * interval '1 minute'
        FROM leadflow.calendars c WHERE c.id = h.calendar_id AND c.name = 't_office';
        PERFORM leadflow.business_time('t_office', '2024-06-03', '2024-06-04');
    END LOOP;
END $$;
SELECT calendars, bytes < 100000 AS little FROM t_cal.kept();
ROLLBACK;

-- the caller needs no right on the tables: their owner reads them, and RLS,
-- even if forced, doesn't hide hours from it
SELECT relowner::regrole AS owner FROM pg_class WHERE oid = 'leadflow.calendars'::regclass \gset
CREATE ROLE regress_leadflow_calendar;
CREATE ROLE regress_leadflow_owner;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_calendar, regress_leadflow_owner;
GRANT EXECUTE ON FUNCTION leadflow.business_time(text, timestamptz, timestamptz) TO regress_leadflow_calendar;
ALTER TABLE leadflow.calendars OWNER TO regress_leadflow_owner;
ALTER TABLE leadflow.calendar_hours OWNER TO regress_leadflow_owner;
ALTER TABLE leadflow.calendar_holidays OWNER TO regress_leadflow_owner;
ALTER TABLE leadflow.calendar_hours ENABLE ROW LEVEL SECURITY;
ALTER TABLE leadflow.calendar_hours FORCE ROW LEVEL SECURITY;
SET ROLE regress_leadflow_calendar;
SELECT leadflow.business_time('t_office', '2024-06-03', '2024-06-10');
SELECT current_user;
\set VERBOSITY terse
SELECT leadflow.business_time('t_nowhere', now(), now());
\set VERBOSITY default
SELECT current_user;
RESET ROLE;
ALTER TABLE leadflow.calendar_hours NO FORCE ROW LEVEL SECURITY;
ALTER TABLE leadflow.calendar_hours DISABLE ROW LEVEL SECURITY;
ALTER TABLE leadflow.calendars OWNER TO :owner;
ALTER TABLE leadflow.calendar_hours OWNER TO :owner;
ALTER TABLE leadflow.calendar_holidays OWNER TO :owner;
REVOKE EXECUTE ON FUNCTION leadflow.business_time(text, timestamptz, timestamptz) FROM regress_leadflow_calendar;
REVOKE USAGE ON SCHEMA leadflow FROM regress_leadflow_calendar, regress_leadflow_owner;
DROP ROLE regress_leadflow_calendar;
DROP ROLE regress_leadflow_owner;

-- whatever the search_path, or the session's zone
CREATE FUNCTION t_cal.wrong(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR t_cal.= (FUNCTION = t_cal.wrong, LEFTARG = bigint, RIGHTARG = bigint);
SET search_path = t_cal, pg_catalog;
SET timezone = 'Asia/Tokyo';
UPDATE leadflow.calendars SET name = name;
SELECT leadflow.business_time('t_office', '2024-06-03 00:00+00', '2024-06-10 00:00+00');
RESET search_path;
SET timezone = 'UTC';

-- in parallel workers, also those that have yet to read the calendar
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE FUNCTION t_cal.plan(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text; parallel boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        parallel := parallel OR line LIKE '%Gather%';
    END LOOP;
    RETURN parallel;
END $$;
CREATE VIEW t_cal.answers AS
SELECT count(*), sum(leadflow.business_time(calendar, a, b)) AS elapsed,
       sum(hashtext(leadflow.add_business_time(calendar, a, amount)::text)) AS added,
       count(*) FILTER (WHERE leadflow.is_business_time(calendar, b)) AS open
FROM t_cal.trips WHERE calendar <> 't_touching';
SELECT t_cal.plan('SELECT * FROM t_cal.answers') AS parallel;
BEGIN;
UPDATE leadflow.calendar_hours SET closes = '18:00' WHERE calendar_id = (SELECT id FROM leadflow.calendars WHERE name = 't_office') AND closes = '17:00';
CREATE TABLE t_cal.in_parallel AS SELECT * FROM t_cal.answers;
SET LOCAL max_parallel_workers_per_gather = 0;
SELECT count(*) AS same FROM (SELECT * FROM t_cal.in_parallel INTERSECT SELECT * FROM t_cal.answers) s;
ROLLBACK;
-- all of a query in a worker, in a transaction of either level; what goes wrong there is told here
SELECT count(set_config(name, 'on', false)) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT leadflow.business_time('t_office', '2024-06-03', '2024-06-10'), leadflow.is_business_time('t_office', '2024-06-03 18:00+00'),
       leadflow.add_business_time('t_office', '2024-06-03', '9 hours') AT TIME ZONE 'UTC' AS added;
UPDATE leadflow.calendar_hours SET closes = '18:00' WHERE calendar_id = (SELECT id FROM leadflow.calendars WHERE name = 't_office') AND closes = '17:00';
SELECT leadflow.business_time('t_office', '2024-06-03', '2024-06-10'), leadflow.is_business_time('t_office', '2024-06-03 21:30+00'),
       leadflow.add_business_time('t_office', '2024-06-03', '9 hours') AT TIME ZONE 'UTC' AS added;
ROLLBACK;
SELECT leadflow.business_time('t_office', '2024-06-03', '2024-06-10');
\set VERBOSITY terse
SELECT leadflow.business_time('t_nowhere', '2024-06-03', '2024-06-10');
SELECT leadflow.add_business_time('t_never', '2024-01-01', '1 hour');
\set VERBOSITY default
SELECT count(set_config(name, 'off', false)) AS forced FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');

-- as declared, and described
SELECT p.oid::regprocedure, p.provolatile, p.proisstrict, p.proparallel, p.proconfig,
       obj_description(p.oid, 'pg_proc') IS NOT NULL AS described
FROM pg_proc p WHERE p.pronamespace = 'leadflow'::regnamespace AND p.proname ~ 'business_time'
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped
WHERE c.oid IN ('leadflow.calendars'::regclass, 'leadflow.calendar_hours'::regclass, 'leadflow.calendar_holidays'::regclass)
  AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL);

-- clean up
DEALLOCATE day;
DELETE FROM leadflow.calendars WHERE name LIKE 't\_%';
SET client_min_messages = warning;
DROP SCHEMA t_cal CASCADE;
