--
-- Random calendars in random zones, against what the tables and AT TIME ZONE say.
--
-- A round is a calendar. By the definition: of every minute (or second) of a window, mostly
-- around a change of the clock, it is looked up whether its local time lies in a period of its
-- local day, and the open ones are counted. By the day: over twenty years, with hours to the
-- microsecond, each local day's periods are cut to the stretches of constant offset, whose ends
-- are found by bisection. Neither knows anything of how leadflow counts.
--
-- LEADFLOW_CALENDARS=10000 LEADFLOW_SEED=0.42 make test TESTS=calendar_property: more, or others.
-- On failure: CALL play(round, seed) makes the round again, and its calendar is "round N".
--
-- That it can fail was tried by breaking src/calendar.c, one thing at a time, and each was found:
-- a change of the clock late by a second, or not joined to what was before; the last change of a
-- zone's table taken for its last; an opening instant out, a closing instant in; 24:00 a
-- microsecond early; the end of a period ignored; the wrong one of two periods that touch, going
-- forwards; the difference that a date makes taken from nothing, or counted on the date itself;
-- searches that miss an equal key; the microsecond forgotten where adding goes backwards.
--
\getenv calendars LEADFLOW_CALENDARS
\getenv seed LEADFLOW_SEED
\if :{?calendars}
\else
	\set calendars 100
\endif
\if :{?seed}
\else
	\set seed 0.17
\endif
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET client_min_messages = warning;
SET jit = off;

CREATE TABLE differences (round integer, what text, zone text, a timestamptz, b timestamptz, amount interval, expected text, found text);
CREATE TABLE done (calendars bigint, changes bigint, steps bigint, pairs bigint, added bigint, seconds bigint, zones bigint);
INSERT INTO done VALUES (0, 0, 0, 0, 0, 0, 0);

CREATE FUNCTION upto(n bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * (n + 1))::bigint $$;
CREATE FUNCTION chance(p float8) RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT random() < p $$;

-- The zones of this server but those that AT TIME ZONE takes for abbreviations, and copies.
-- What the odd ones do: skip a day (Apia, Kwajalein, Manila), have one twice (Juneau), change
-- at midnight (Sao_Paulo, Havana, Asuncion, Gaza), by half an hour (Lord_Howe), two (Troll),
-- or four times a year (Casablanca), backwards in winter (Dublin), move for good (Caracas,
-- Pyongyang, Casey), lie at 45 minutes (Kathmandu, Chatham) or odd seconds (Monrovia to 1972).
CREATE TABLE zones AS
SELECT z.name, row_number() OVER (ORDER BY z.name COLLATE "C") - 1 AS n, z.name = ANY ('{Pacific/Apia,Pacific/Kwajalein,Asia/Manila,
	America/Juneau,America/Sao_Paulo,America/Havana,America/Asuncion,Asia/Gaza,Australia/Lord_Howe,Antarctica/Troll,
	Africa/Casablanca,Europe/Dublin,America/Caracas,Asia/Pyongyang,Antarctica/Casey,Asia/Kathmandu,Pacific/Chatham,
	Africa/Monrovia,America/St_Johns,Europe/Amsterdam,America/New_York,Asia/Tehran,Europe/Lisbon,America/Godthab}'::text[]) AS odd
FROM pg_timezone_names z
WHERE z.name !~ '^(posix|right)/|^(posixrules|localtime|Factory)$'
	AND upper(z.name) NOT IN (SELECT upper(a.abbrev) FROM pg_timezone_abbrevs a);

CREATE FUNCTION random_zone() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT z.name FROM zones z WHERE z.odd OR chance(.02) ORDER BY random() LIMIT 1
$$;

-- Periods of a day, in multiples of a grain: none, some that touch, up to 24:00, a lot of them
-- where clocks change.
CREATE FUNCTION time_of(us bigint) RETURNS time LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN us = 86400000000 THEN '24:00' ELSE time '00:00' + us * interval '1 us' END
$$;
CREATE FUNCTION random_periods(most bigint, grain bigint) RETURNS TABLE (opens time, closes time) LANGUAGE sql VOLATILE AS $$
	WITH cuts AS MATERIALIZED (
		SELECT CASE upto(7)
			WHEN 0 THEN 0
			WHEN 1 THEN 86400000000
			WHEN 2 THEN upto(16) * 900000000
			WHEN 3 THEN 86400000000 - upto(8) * 900000000
			WHEN 4 THEN 7200000000 + upto(2) - 1
			ELSE upto(86400000000) END / grain * grain AS us
		FROM generate_series(1, 2 * most)
	), sorted AS (
		SELECT us, lead(us) OVER (ORDER BY us) AS until, row_number() OVER (ORDER BY us) AS n FROM cuts
	)
	SELECT time_of(us), time_of(until) FROM sorted WHERE n % 2 = 1 AND us < until
$$;

-- A calendar that is special on some of the dates.
CREATE FUNCTION random_calendar(round integer, zone text, grain bigint, dates date[]) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	made bigint;
	busy CONSTANT float8 := CASE WHEN chance(.03) THEN 0 ELSE 1 END;
BEGIN
	INSERT INTO leadflow.calendars (name, time_zone) VALUES ('round ' || round, zone) RETURNING id INTO made;
	INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
	SELECT made, d.weekday, p.opens, p.closes
	FROM (SELECT weekday, upto(4) AS most FROM generate_series(1, 7) weekday WHERE chance(.8 * busy)) d, random_periods(d.most, grain) p;
	INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes)
	SELECT made, d.day, p.opens, p.closes
	FROM (SELECT day, upto(3) AS most FROM unnest(dates) day WHERE chance(.5 * busy)) d, random_periods(d.most, grain) p
	UNION ALL
	SELECT made, day, NULL, NULL FROM unnest(dates) day WHERE chance(.3);
	RETURN made;
END $$;

-- The definition: the periods of the local days.
CREATE FUNCTION periods(calendar bigint, first date, last date) RETURNS TABLE (day date, opens time, closes time) LANGUAGE sql STABLE AS $$
	SELECT d::date, p.opens, p.closes
	FROM generate_series(first::timestamp, last, '1 day') d,
		LATERAL (
			SELECT h.opens, h.closes FROM leadflow.calendar_hours h
			WHERE h.calendar_id = calendar AND h.weekday = extract(isodow FROM d)
				AND NOT EXISTS (SELECT FROM leadflow.calendar_holidays x WHERE x.calendar_id = calendar AND x.day = d::date)
			UNION ALL
			SELECT x.opens, x.closes FROM leadflow.calendar_holidays x
			WHERE x.calendar_id = calendar AND x.day = d::date AND x.opens IS NOT NULL
		) p
$$;

CREATE FUNCTION utc_offset(zone text, at timestamptz) RETURNS interval LANGUAGE sql STABLE AS $$
	SELECT (at AT TIME ZONE zone) - (at AT TIME ZONE 'UTC')
$$;

-- Half days within which the zone's offset changes.
CREATE FUNCTION changes(zone text, lo timestamptz, hi timestamptz) RETURNS TABLE (before timestamptz, after timestamptz) LANGUAGE sql STABLE AS $$
	SELECT o.at, o.next
	FROM (
		SELECT at, lead(at) OVER w AS next, utc_offset(zone, at) AS shift, lead(utc_offset(zone, at)) OVER w AS becomes
		FROM generate_series(lo, hi, '12 hours') at
		WINDOW w AS (ORDER BY at)
	) o
	WHERE o.shift <> o.becomes
$$;
-- The exact instants, to the second, at which changes happen.
CREATE FUNCTION changes_exactly(zone text, lo timestamptz, hi timestamptz) RETURNS SETOF timestamptz LANGUAGE sql STABLE AS $$
	WITH RECURSIVE half AS (
		SELECT extract(epoch FROM c.before)::bigint AS before, extract(epoch FROM c.after)::bigint AS after, utc_offset(zone, c.before) AS shift
		FROM changes(zone, lo, hi) c
		UNION ALL
		SELECT CASE WHEN m.same THEN (before + after) / 2 ELSE before END, CASE WHEN m.same THEN after ELSE (before + after) / 2 END, shift
		FROM half, LATERAL (SELECT utc_offset(zone, to_timestamp((before + after) / 2)) = shift AS same) m
		WHERE after - before > 1
	)
	SELECT to_timestamp(after) FROM half WHERE after - before = 1
$$;

CREATE FUNCTION us(amount interval) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT (extract(epoch FROM amount) * 1000000)::bigint $$;
CREATE FUNCTION span(us bigint) RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT us * interval '1 us' $$;

-- Years of interest: mostly of now, also of early and late zones.
CREATE FUNCTION random_year() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT CASE upto(10)
		WHEN 0 THEN timestamptz '1830-01-01' + random() * interval '135 years'
		WHEN 1 THEN timestamptz '1900-01-01' + random() * interval '65 years'
		WHEN 2 THEN timestamptz '2037-01-01' + random() * interval '700 years'
		WHEN 3 THEN timestamptz '2500-01-01' + random() * interval '7000 years'
		ELSE timestamptz '1965-01-01' + random() * interval '80 years' END
$$;

-- c: any third instant; reachable: amount can be added and taken for sure
CREATE TABLE pairs (i integer, a timestamptz, b timestamptz, c timestamptz, amount interval, reachable boolean);

-- What both oracles can't say of a pair by themselves: laws that hold for any.
CREATE PROCEDURE check_laws(round integer, zone text, calendar bigint) LANGUAGE sql AS $$
	WITH laws AS (
		SELECT p.a, p.b, p.amount, l.law
		FROM pairs p, LATERAL (
			SELECT leadflow.add_business_time(calendar, p.a, p.amount) AS later, leadflow.add_business_time(calendar, p.a, -p.amount) AS earlier
			WHERE p.reachable
		) t, LATERAL (VALUES
			('round trip', leadflow.business_time(calendar, p.a, t.later) = p.amount),
			('round trip back', leadflow.business_time(calendar, p.a, t.earlier) = -p.amount),
			('earliest', p.amount = '0' OR leadflow.business_time(calendar, p.a, t.later - interval '1 us') = p.amount - '1 us'),
			('latest', p.amount = '0' OR leadflow.business_time(calendar, t.earlier + interval '1 us', p.a) = p.amount - '1 us'),
			('nothing', leadflow.add_business_time(calendar, p.a, '0') = p.a)
		) l (law, holds)
		WHERE l.holds IS NOT TRUE
		UNION ALL
		SELECT p.a, p.b, p.amount, l.law
		FROM pairs p, LATERAL (VALUES
			('antisymmetry', leadflow.business_time(calendar, p.a, p.b) = -leadflow.business_time(calendar, p.b, p.a)),
			('additivity', leadflow.business_time(calendar, p.a, p.c) =
				leadflow.business_time(calendar, p.a, p.b) + leadflow.business_time(calendar, p.b, p.c)),
			('open or not', leadflow.is_business_time(calendar, p.a) =
				(leadflow.business_time(calendar, p.a, p.a + interval '1 us') = '1 us')),
			('name or id', leadflow.business_time('round ' || round, p.a, p.b) = leadflow.business_time(calendar, p.a, p.b)
				AND leadflow.is_business_time('round ' || round, p.b) = leadflow.is_business_time(calendar, p.b))
		) l (law, holds)
		WHERE l.holds IS NOT TRUE
	)
	INSERT INTO differences SELECT round, law, zone, a, b, amount, NULL, NULL FROM laws
$$;

-- By the minute, or by the second: "worked" is the open time before the step, in microseconds.
CREATE TABLE steps (at timestamptz, open boolean, worked bigint);
CREATE UNIQUE INDEX ON steps (at);
CREATE INDEX ON steps (worked) WHERE open;
CREATE TABLE points (i integer, at timestamptz, worked bigint, open boolean);

CREATE PROCEDURE play_steps(round integer) LANGUAGE plpgsql AS $$
DECLARE
	zone CONSTANT text := random_zone();
	year CONSTANT timestamptz := random_year();
	change timestamptz;
	lo timestamptz;
	hi timestamptz;
	step interval := CASE WHEN chance(.15) THEN '1 second' ELSE '1 minute' END;
	calendar bigint;
	total bigint;
BEGIN
	SELECT c.before INTO change FROM changes(zone, year, year + '15 years') c WHERE chance(.95) ORDER BY random() LIMIT 1;
	lo := date_trunc('minute', coalesce(change, year)) - upto(60) * interval '1 hour' - upto(59) * interval '1 minute';
	hi := lo + '6 days';
	-- offsets of odd seconds would cut minutes in two
	IF EXISTS (SELECT FROM generate_series(lo, hi, '1 hour') t WHERE extract(second FROM utc_offset(zone, t)) <> 0) THEN
		step := '1 second';
	END IF;
	IF step = '1 second' THEN
		SELECT min(c) - upto(180) * interval '1 minute' INTO lo FROM changes_exactly(zone, lo, hi) c HAVING min(c) IS NOT NULL;
		lo := date_trunc('minute', coalesce(lo, year));
		hi := lo + '6 hours';
	END IF;
	calendar := random_calendar(round, zone, us(step), ARRAY(
		SELECT d::date FROM generate_series(date_trunc('day', lo AT TIME ZONE zone) - interval '1 day', hi AT TIME ZONE zone + interval '1 day', '1 day') d));

	TRUNCATE steps;
	INSERT INTO steps
	SELECT s.at, s.open, us(step) * (count(*) FILTER (WHERE s.open) OVER (ORDER BY s.at) - s.open::integer)
	FROM (
		SELECT l.at, p.day IS NOT NULL AS open
		FROM (SELECT at, at AT TIME ZONE zone AS local FROM generate_series(lo, hi, step) at) l
		LEFT JOIN periods(calendar, (lo AT TIME ZONE zone)::date - 2, (hi AT TIME ZONE zone)::date + 2) p
			ON p.day = l.local::date AND p.opens <= l.local::time AND l.local::time < p.closes
	) s;
	SELECT max(s.worked) INTO total FROM steps s;

	INSERT INTO differences
	SELECT round, 'open, by the step', zone, s.at, NULL, NULL, s.open, f.open
	FROM steps s, LATERAL (SELECT leadflow.is_business_time(calendar, s.at)) f (open)
	WHERE f.open <> s.open
	ORDER BY s.at LIMIT 3;
	INSERT INTO differences
	SELECT round, 'elapsed, by the step', zone, lo, s.at, NULL, span(s.worked), f.elapsed
	FROM steps s, LATERAL (SELECT leadflow.business_time(calendar, lo, s.at)) f (elapsed)
	WHERE f.elapsed <> span(s.worked)
	ORDER BY s.at LIMIT 3;

	-- instants to the microsecond, at borders, around them, and anywhere in between
	TRUNCATE points;
	INSERT INTO points
	SELECT i, s.at + span(w.us), s.worked + CASE WHEN s.open THEN w.us ELSE 0 END, s.open
	FROM (
		SELECT i, lo + upto(us(hi - lo) / us(step) - 1) * step AS at,
			CASE upto(3) WHEN 0 THEN 0 WHEN 1 THEN 1 WHEN 2 THEN us(step) - 1 ELSE upto(us(step) - 1) END AS us
		FROM generate_series(1, 300) i
	) w
	JOIN steps s USING (at);
	TRUNCATE pairs;
	INSERT INTO pairs
	SELECT a.i, a.at, b.at, c.at,
		CASE upto(5) WHEN 0 THEN '0' WHEN 1 THEN '1 us' WHEN 2 THEN span(upto(total)) ELSE span(abs(b.worked - a.worked)) END,
		(SELECT count(*) > 0 FROM leadflow.calendar_hours h WHERE h.calendar_id = calendar)
	FROM points a
	JOIN points b ON b.i = 1 + a.i % 300
	JOIN points c ON c.i = 1 + a.i * 7 % 300;

	INSERT INTO differences
	SELECT round, 'elapsed', zone, p.a, p.b, NULL, e.expected, f.found
	FROM pairs p
	JOIN points a ON a.i = p.i
	JOIN points b ON b.i = 1 + p.i % 300,
		LATERAL (SELECT span(b.worked - a.worked)) e (expected), LATERAL (SELECT leadflow.business_time(calendar, p.a, p.b)) f (found)
	WHERE e.expected <> f.found;
	INSERT INTO differences
	SELECT round, 'open', zone, a.at, NULL, NULL, a.open, leadflow.is_business_time(calendar, a.at)
	FROM points a
	WHERE leadflow.is_business_time(calendar, a.at) <> a.open;

	-- The earliest instant by which as much has passed lies in, or ends, the open step that
	-- reaches it; the latest since which it has, in or at the start of one.
	WITH sums AS MATERIALIZED (
		SELECT p.a, p.amount, a.worked + us(p.amount) AS goal, a.worked - us(p.amount) AS start
		FROM pairs p JOIN points a ON a.i = p.i
		WHERE p.amount > '0'
	), added AS (
		SELECT t.a, t.amount, s.at + span(t.goal - s.worked) AS expected
		FROM sums t JOIN steps s ON s.open AND s.worked BETWEEN t.goal - us(step) AND t.goal - 1
		WHERE t.goal <= total
		UNION ALL
		SELECT t.a, -t.amount, s.at + span(t.start - s.worked)
		FROM sums t JOIN steps s ON s.open AND s.worked BETWEEN t.start - us(step) + 1 AND t.start
		WHERE t.start >= 0
	), counted AS (
		UPDATE done SET added = done.added + (SELECT count(*) FROM added)
	)
	INSERT INTO differences
	SELECT round, 'added', zone, t.a, NULL, t.amount, t.expected, leadflow.add_business_time(calendar, t.a, t.amount)
	FROM added t
	WHERE leadflow.add_business_time(calendar, t.a, t.amount) <> t.expected;

	CALL check_laws(round, zone, calendar);
	UPDATE done SET changes = changes + (change IS NOT NULL)::integer, steps = steps + (SELECT count(*) FROM steps),
		pairs = pairs + (SELECT count(*) FROM pairs), seconds = seconds + (step = '1 second')::integer;
END $$;

-- By the day: open spans, each with the open time before it and after it.
CREATE TABLE spans (opens timestamptz, closes timestamptz, worked bigint, reached bigint);
CREATE UNIQUE INDEX ON spans (opens);
CREATE UNIQUE INDEX ON spans (worked);

-- The open time up to an instant.
CREATE FUNCTION spans_until(at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT coalesce((SELECT s.worked + us(least(at, s.closes) - s.opens) FROM spans s WHERE s.opens <= at ORDER BY s.opens DESC LIMIT 1), 0)
$$;

CREATE PROCEDURE play_days(round integer) LANGUAGE plpgsql AS $$
DECLARE
	zone CONSTANT text := random_zone();
	lo CONSTANT timestamptz := date_trunc('day', random_year());
	hi CONSTANT timestamptz := lo + '20 years';
	calendar bigint;
	total bigint;
BEGIN
	calendar := random_calendar(round, zone, CASE WHEN chance(.5) THEN 1 ELSE 1000000 END, ARRAY(
		SELECT lo::date + upto(7300)::integer FROM generate_series(1, 200)
		UNION SELECT c.before::date + upto(1)::integer FROM changes(zone, lo, hi) c));

	TRUNCATE spans;
	INSERT INTO spans
	SELECT s.opens, s.closes, sum(us(s.closes - s.opens)) OVER (ORDER BY s.opens) - us(s.closes - s.opens),
		sum(us(s.closes - s.opens)) OVER (ORDER BY s.opens)
	FROM (
		SELECT greatest(z.since, (p.day + p.opens) AT TIME ZONE 'UTC' - z.shift) AS opens,
			least(z.until, (p.day + p.closes) AT TIME ZONE 'UTC' - z.shift) AS closes
		FROM (
			SELECT t AS since, lead(t, 1, hi) OVER (ORDER BY t) AS until, utc_offset(zone, t) AS shift
			FROM (SELECT lo UNION SELECT changes_exactly(zone, lo, hi)) c (t)
		) z
		JOIN periods(calendar, lo::date - 2, hi::date + 2) p
			ON p.day BETWEEN (z.since + z.shift)::date AND (z.until + z.shift)::date
	) s
	WHERE s.opens < s.closes;
	SELECT coalesce(max(s.reached), 0) INTO total FROM spans s;
	ANALYZE spans;

	TRUNCATE pairs;
	INSERT INTO pairs
	SELECT i, lo + random() * (hi - lo), lo + random() * (hi - lo), lo + random() * (hi - lo), span(floor(random() * random() * total / 2)::bigint),
		(SELECT count(*) > 0 FROM leadflow.calendar_hours h WHERE h.calendar_id = calendar)
	FROM generate_series(1, 30) i;
	-- some at borders
	UPDATE pairs p SET a = s.opens + (p.i % 3 - 1) * interval '1 us', b = s.closes + (p.i % 5 % 3 - 1) * interval '1 us'
	FROM (SELECT s.*, row_number() OVER (ORDER BY random()) AS i FROM spans s) s
	WHERE s.i = p.i AND p.i <= 15;
	UPDATE pairs p SET a = greatest(lo, least(a, hi)), b = greatest(lo, least(b, hi));

	INSERT INTO differences
	SELECT round, 'elapsed, by the day', zone, p.a, p.b, NULL, e.expected, f.found
	FROM pairs p, LATERAL (SELECT span(spans_until(p.b) - spans_until(p.a))) e (expected),
		LATERAL (SELECT leadflow.business_time(calendar, p.a, p.b)) f (found)
	WHERE e.expected <> f.found;
	INSERT INTO differences
	SELECT round, 'open, by the day', zone, p.a, NULL, NULL, e.expected, f.found
	FROM pairs p, LATERAL (SELECT EXISTS (SELECT FROM spans s WHERE s.opens <= p.a AND p.a < s.closes)) e (expected),
		LATERAL (SELECT leadflow.is_business_time(calendar, p.a)) f (found)
	WHERE e.expected <> f.found AND p.a < hi;
	WITH sums AS MATERIALIZED (
		SELECT p.a, p.amount, spans_until(p.a) + us(p.amount) AS goal, spans_until(p.a) - us(p.amount) AS start
		FROM pairs p
		WHERE p.amount > '0'
	), added AS (
		SELECT t.a, t.amount, s.opens + span(t.goal - s.worked) AS expected
		FROM sums t, LATERAL (SELECT * FROM spans WHERE worked < t.goal ORDER BY worked DESC LIMIT 1) s
		WHERE t.goal <= s.reached
		UNION ALL
		SELECT t.a, -t.amount, s.opens + span(t.start - s.worked)
		FROM sums t, LATERAL (SELECT * FROM spans WHERE worked <= t.start ORDER BY worked DESC LIMIT 1) s
		WHERE t.start < s.reached
	), counted AS (
		UPDATE done SET added = done.added + (SELECT count(*) FROM added)
	)
	INSERT INTO differences
	SELECT round, 'added, by the day', zone, t.a, NULL, t.amount, t.expected, leadflow.add_business_time(calendar, t.a, t.amount)
	FROM added t
	WHERE leadflow.add_business_time(calendar, t.a, t.amount) <> t.expected;

	CALL check_laws(round, zone, calendar);
	UPDATE done SET pairs = pairs + (SELECT count(*) FROM pairs);
END $$;

CREATE PROCEDURE play(round integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed((seed + round * 0.6180339887498949) - floor(seed + round * 0.6180339887498949));
	DELETE FROM leadflow.calendars WHERE name LIKE 'round %';
	IF round % 4 = 0 THEN
		CALL play_days(round);
	ELSE
		CALL play_steps(round);
	END IF;
	UPDATE done SET calendars = calendars + 1;
	COMMIT;
END $$;
CREATE PROCEDURE play_all(calendars integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	FOR round IN 1 .. calendars LOOP
		CALL play(round, seed);
	END LOOP;
END $$;

CALL play_all(:calendars, :seed);

-- Every zone that the server knows, from before the first to after the last rule.
CREATE PROCEDURE all_zones() LANGUAGE plpgsql AS $$
DECLARE
	zone text;
BEGIN
	INSERT INTO leadflow.calendars (name) VALUES ('any zone');
	INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
	SELECT c.id, d, '06:00', '18:00' FROM leadflow.calendars c, generate_series(1, 7) d WHERE c.name = 'any zone';
	FOR zone IN SELECT z.name FROM zones z LOOP
		UPDATE leadflow.calendars SET time_zone = zone WHERE name = 'any zone';
		INSERT INTO differences
		SELECT 0, 'any zone', zone, t.at, NULL, NULL, t.open, leadflow.is_business_time('any zone', t.at)
		FROM (
			SELECT at, (at AT TIME ZONE zone)::time BETWEEN '06:00' AND '17:59:59.999999' AS open
			FROM generate_series(1, 60) i, LATERAL (SELECT CASE
				WHEN i = 1 THEN timestamptz '4713-01-01 BC' + random() * interval '6700 years'
				WHEN i = 2 THEN timestamptz '2500-01-01' + random() * interval '290000 years'
				WHEN i < 10 THEN timestamptz '2050-01-01' + random() * interval '1000 years'
				ELSE timestamptz '1850-01-01' + random() * interval '400 years' END) a (at)
		) t
		WHERE leadflow.is_business_time('any zone', t.at) <> t.open;
		UPDATE done SET zones = zones + 1;
	END LOOP;
END $$;
CALL all_zones();

SELECT calendars >= :calendars AS enough, changes > calendars / 4 AS changes, seconds > calendars / 20 AS seconds,
	steps > 4000 * calendars AS steps, pairs > 150 * calendars AS pairs, added > 50 * calendars AS added, zones > 300 AS zones
FROM done;
SELECT * FROM differences ORDER BY round, what, a LIMIT 20;
DELETE FROM leadflow.calendars WHERE name LIKE 'round %' OR name = 'any zone';
