--
-- Service levels: how clocks start, stop, warn and breach.
--
\set VERBOSITY terse
SET TIME ZONE 'UTC';

-- What a clock looks like; ids are left out.
CREATE VIEW public.clocks AS
SELECT c.lead_id AS lead, p.name AS policy, m.full_name AS member, c.state,
	to_char(c.started_at, 'Dy DD HH24:MI') AS started, to_char(c.warn_at, 'Dy DD HH24:MI') AS warn,
	to_char(c.due_at, 'Dy DD HH24:MI') AS due, to_char(c.stopped_at, 'Dy DD HH24:MI') AS stopped
FROM leadflow.sla_clocks c
JOIN leadflow.sla_policies p ON p.id = c.policy_id
LEFT JOIN leadflow.team_members m ON m.id = c.member_id
ORDER BY c.lead_id, c.id;
CREATE VIEW public.status AS
SELECT s.lead_id AS lead, s.policy, s.member, s.state,
	round(s.elapsed_hours::numeric, 2) AS elapsed, round(s.wall_hours::numeric, 2) AS wall,
	round(s.overdue_hours::numeric, 2) AS overdue
FROM leadflow.sla_status s
ORDER BY s.lead_id, s.clock_id;

-- As installed.
SELECT p.name, p.metric, p.target, c.name AS calendar, p.warn_fraction, p.on_breach
FROM leadflow.sla_policies p LEFT JOIN leadflow.calendars c ON c.id = p.calendar_id ORDER BY p.id;

-- Promises of our own. Berlin has daylight saving time: 2026-03-29 02:00 becomes 03:00.
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('desk', 'Europe/Berlin'), ('late shift', 'Europe/Berlin'), ('round', 'Europe/Berlin');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
SELECT c.id, d, h.opens, h.closes
FROM (VALUES ('desk', 5, time '09:00', time '17:00'), ('late shift', 5, '14:00', '22:00'), ('round', 7, '00:00', '24:00')) h (name, days, opens, closes)
JOIN leadflow.calendars c USING (name), generate_series(1, h.days) d;
INSERT INTO leadflow.calendar_holidays (calendar_id, day, name)
SELECT c.id, '2026-03-31', 'a holiday' FROM leadflow.calendars c WHERE c.name = 'desk';
INSERT INTO leadflow.team_members (id, full_name, email, team, calendar_id)
SELECT 900 + n, name, lower(name) || '@example.com', 'sales', (SELECT c.id FROM leadflow.calendars c WHERE c.name = t.calendar)
FROM (VALUES (1, 'Ann', 'desk'), (2, 'Bob', 'late shift'), (3, 'Cid', NULL)) t (n, name, calendar);
INSERT INTO leadflow.sla_policies (id, name, metric, target, calendar_id, warn_fraction)
SELECT 101, 'accept', 'time_to_accept', '8 hours', c.id, 0.75 FROM leadflow.calendars c WHERE c.name = 'desk';
INSERT INTO leadflow.sla_policies (id, name, metric, target) VALUES (102, 'touch', 'time_to_first_touch', '4 hours');

-- Makes leads and hands them over to a member, by hand.
CREATE PROCEDURE public.hand_over(ids bigint[], member bigint) LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title)
	SELECT i, 'lead' || i || '@corp' || i || '.example', 'Lead ' || i, 'Corp ' || i, 'Director' FROM unnest(ids) i;
	UPDATE leadflow.leads SET stage = 'mql' WHERE id = ANY (ids);
	UPDATE leadflow.leads SET stage = 'sql', owner_id = member WHERE id = ANY (ids);
$$;

--
-- Starting
--
-- Saturday night before the clocks change, with Tuesday a holiday: 8 hours of the desk are Monday, 09:00 to 17:00 in
-- Berlin (07:00 to 15:00 UTC). The owner's calendar counts for the other promise.
SET leadflow.clock = '2026-03-28 21:30+00';
CALL hand_over('{1}', 901);
CALL hand_over('{2}', 902);
CALL hand_over('{3}', 903);
SELECT * FROM clocks;
-- Friday noon in winter time: 5 hours are left of the day, 3 come after the weekend, in summer time.
SET leadflow.clock = '2026-03-27 11:00+00';
CALL hand_over('{4}', 901);
-- Monday noon: over the holiday.
SET leadflow.clock = '2026-03-30 10:00+00';
CALL hand_over('{5}', 901);
SELECT * FROM clocks WHERE lead IN (4, 5);
-- 24 h around the clock over the hour that isn't: real time.
INSERT INTO leadflow.sla_policies (id, name, metric, target, calendar_id, priority)
SELECT 103, 'day', 'time_to_accept', '1 day', c.id, 5 FROM leadflow.calendars c WHERE c.name = 'round';
SET leadflow.clock = '2026-03-28 22:00+00';
CALL hand_over('{6}', 901);
SELECT * FROM clocks WHERE lead = 6;
-- Imported in its stage: no clock.
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (7, 'lead7@corp7.example', 'sql', '2026-03-01');
SELECT count(*) FROM clocks WHERE lead = 7;

--
-- Which promise
--
-- The highest priority, of equals the older; conditions, also such as err or can't be compared; validity.
INSERT INTO leadflow.sla_policies (id, name, metric, target, priority, condition, valid) VALUES
	(110, 'big first', 'time_to_first_touch', '1 hour', 10, '$.company_size >= 1000', DEFAULT),
	(111, 'big second', 'time_to_first_touch', '2 hours', 10, '$ ? (@.company_size >= 1000)', DEFAULT),
	(112, 'errs', 'time_to_first_touch', '5 hours', 20, 'strict $.no.such.key > 1', DEFAULT),
	(113, 'false', 'time_to_first_touch', '5 hours', 20, '$.do_not_contact', DEFAULT),
	(114, 'zones', 'time_to_first_touch', '5 hours', 20, '$.created_at.datetime() < "2026-03-01".datetime()', DEFAULT),
	(115, 'over', 'time_to_first_touch', '5 hours', 20, NULL, '[-infinity,2026-03-28 22:00+00)'),
	(116, 'later', 'time_to_first_touch', '5 hours', 20, NULL, '[2026-03-29 00:00+00,)');
CALL hand_over('{8}', 901);
INSERT INTO leadflow.leads (id, email, full_name, company, job_title, company_size)
VALUES (9, 'lead9@corp9.example', 'Lead 9', 'Corp 9', 'Director', 5000);
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 9;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 901 WHERE id = 9;
SET leadflow.clock = '2026-03-29 00:00+00';
CALL hand_over('{10}', 901);
SELECT * FROM clocks WHERE lead BETWEEN 8 AND 10 AND policy <> 'day';
-- No promise, no clock.
UPDATE leadflow.sla_policies SET valid = '[2020-01-01,2021-01-01)';
CALL hand_over('{11}', 901);
SELECT count(*) FROM clocks WHERE lead = 11;
UPDATE leadflow.sla_policies SET valid = DEFAULT WHERE id IN (101, 102);

-- What can't be promised.
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('bad', 'time_to_accept', '0');
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('bad', 'time_to_accept', '-1 hour');
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('bad', 'time_to_accept', NULL);
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('bad', 'time_to_accept', '100000 days');
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('bad', 'time_to_accept', '1 month');
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('bad', 'time_to_accept', '1 year 2 days');
UPDATE leadflow.sla_policies SET target = '2 months -1 day' WHERE id = 101;
INSERT INTO leadflow.sla_policies (name, metric, target, condition) VALUES ('bad', 'time_to_accept', '1 day', '$.a >');
INSERT INTO leadflow.sla_policies (name, metric, target, warn_fraction) VALUES ('bad', 'time_to_accept', '1 day', 1);
INSERT INTO leadflow.sla_policies (name, metric, target, on_breach) VALUES ('bad', 'time_to_accept', '1 day', 'shrug');
INSERT INTO leadflow.sla_policies (name, metric, target, valid) VALUES ('bad', 'time_to_accept', '1 day', 'empty');
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id) VALUES ('bad', 'time_to_accept', '1 day', -1);
INSERT INTO leadflow.calendars (id, name) VALUES (990, 'closed');
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id) VALUES ('bad', 'time_to_accept', '1 day', 990);
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) VALUES (990, '2026-12-24', '09:00', '12:00');
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id) VALUES ('bad', 'time_to_accept', '1 day', 990);
INSERT INTO leadflow.sla_policies (id, name, metric, target, calendar_id, priority) VALUES (120, 'short', 'time_to_accept', '3 hours', 990, 90);
DELETE FROM leadflow.sla_policies WHERE id = 102;
DELETE FROM leadflow.calendars WHERE name = 'round';
-- A calendar that somebody works by stays, and nobody works by one that isn't there.
DELETE FROM leadflow.calendars WHERE name = 'late shift';
UPDATE leadflow.team_members SET calendar_id = -1 WHERE id = 902;
-- A calendar that was emptied later doesn't stop a lead, and its policy can be ended.
DELETE FROM leadflow.calendar_holidays WHERE calendar_id = 990;
CALL hand_over('{12,13}', 901);
SELECT * FROM clocks WHERE lead IN (12, 13) AND policy = 'short';
UPDATE leadflow.sla_policies SET valid = '[2020-01-01,2021-01-01)' WHERE id = 120;
-- Neither does a member's calendar that is never open.
UPDATE leadflow.team_members SET calendar_id = 990 WHERE id = 902;
CALL hand_over('{14}', 902);
SELECT * FROM clocks WHERE lead = 14 AND policy = 'touch';
UPDATE leadflow.team_members SET calendar_id = (SELECT c.id FROM leadflow.calendars c WHERE c.name = 'late shift') WHERE id = 902;

--
-- Stopping
--
SET leadflow.clock = '2026-06-01 07:00+00';	-- Monday, 09:00 in Berlin
CALL hand_over('{21,22,23,24,25,26,27,28}', 901);
SELECT * FROM clocks WHERE lead = 21;
-- A touch at the deadline is in time, a microsecond later it is late.
SET leadflow.clock = '2026-06-01 11:00:00+00';
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (21, 'page_view', '2026-06-01 07:30+00');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (21, 'call');
SET leadflow.clock = '2026-06-01 11:00:00.000001+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (22, 'email_sent'), (22, 'call');
SELECT * FROM clocks WHERE lead IN (21, 22) AND policy = 'touch';
-- The view knows before anybody has looked.
SELECT * FROM status WHERE lead = 23;
SELECT * FROM leadflow.check_sla();
SELECT * FROM leadflow.check_sla();
SELECT * FROM clocks WHERE lead IN (22, 23, 24);
-- Late touches stay breached; a touch that was recorded late settles the clock as if it had arrived in time.
SET leadflow.clock = '2026-06-01 12:00:00+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (23, 'call');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (24, 'call', '2026-06-01 08:00+00');
-- A touch before the hand-off is none.
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (25, 'call', '2026-06-01 06:59:59+00');
SELECT * FROM clocks WHERE lead IN (23, 24, 25) AND policy = 'touch';
SELECT h.lead_id, h.first_touch_at, h.touches FROM leadflow.handoffs h WHERE h.lead_id BETWEEN 21 AND 25 ORDER BY 1;
-- Voided, the touch never was; the next one counts. Deleted likewise.
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (21, 'call', '2026-06-01 11:30+00');
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'wrong lead'
WHERE lead_id = 21 AND kind = 'call' AND occurred_at = '2026-06-01 11:00+00';
DELETE FROM leadflow.activities WHERE lead_id = 24;
SELECT * FROM clocks WHERE lead IN (21, 24) AND policy = 'touch';
DELETE FROM leadflow.activities WHERE lead_id = 21 AND kind = 'call';
SELECT * FROM clocks WHERE lead = 21 AND policy = 'touch';
SELECT * FROM status WHERE lead = 21 AND policy = 'touch';
SELECT h.lead_id, h.first_touch_at, h.touches FROM leadflow.handoffs h WHERE h.lead_id IN (21, 24) ORDER BY 1;
-- Lead 24's breach was announced before: once is enough. Lead 21's wasn't.
SELECT * FROM leadflow.check_sla();

-- Decisions. Accepting stops one clock, leaving sales' hands the other.
SET leadflow.clock = '2026-06-01 15:00+00';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'ann@example.com' WHERE id = 25;
SET leadflow.clock = '2026-06-01 15:00:01+00';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'ann@example.com' WHERE id = 26;
SELECT * FROM clocks WHERE lead IN (25, 26);
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-06-10', stage_by = 'ann@example.com' WHERE id = 26;
-- Not due yet: cancelled.
CALL hand_over('{31,32,33}', 901);
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_by = 'ann@example.com' WHERE id = 31;
SELECT * FROM clocks WHERE lead IN (26, 31);
-- A touch that is recorded after the lead has left, but happened before, counts all the same; one after that doesn't.
SET leadflow.clock = '2026-06-02 06:00+00';
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (31, 'call', '2026-06-01 15:00:01+00'), (31, 'call', '2026-06-02 05:00+00'), (26, 'call', '2026-06-02 05:00+00');
SELECT * FROM clocks WHERE lead IN (26, 31) AND policy = 'touch';
-- Taken back by the engine or an administrator: nobody has decided anything.
UPDATE leadflow.leads SET stage = 'lead' WHERE id = 32;
SELECT * FROM clocks WHERE lead = 32;
-- ... but what was due is due.
SET leadflow.clock = '2026-06-05 06:00+00';
UPDATE leadflow.leads SET stage = 'lead' WHERE id = 27;
SELECT * FROM clocks WHERE lead = 27;

-- Handed over anew: another clock, the touches are told apart.
SET leadflow.clock = '2026-06-08 07:00+00';
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 32;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 902 WHERE id = 32;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (32, 'call');
SELECT * FROM clocks WHERE lead = 32;
-- All at one instant.
BEGIN;
CALL hand_over('{34}', 901);
UPDATE leadflow.leads SET stage = 'lead' WHERE id = 34;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 34;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 903 WHERE id = 34;
COMMIT;
SELECT * FROM clocks WHERE lead = 34;

-- A new owner takes the clocks over as they are; what is over stays with whom it was.
SET leadflow.clock = '2026-06-08 08:00+00';
CALL hand_over('{35}', 901);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (35, 'call');
SET leadflow.clock = '2026-06-08 09:00+00';
UPDATE leadflow.leads SET owner_id = 902 WHERE id = 35;
SELECT * FROM clocks WHERE lead = 35;
-- The touch was none: the clock runs again, and is the new owner's.
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'wrong lead' WHERE lead_id = 35 AND kind = 'call';
SELECT * FROM clocks WHERE lead = 35;

-- Somebody logs the call and moves on in one transaction.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (35, 'call');
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_need', stage_by = 'bob@example.com' WHERE id = 35;
COMMIT;
SELECT * FROM clocks WHERE lead = 35;
-- ... and what is rolled back never was.
BEGIN;
CALL hand_over('{36}', 901);
SAVEPOINT s;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_need', stage_by = 'ann@example.com' WHERE id = 36;
ROLLBACK TO s;
COMMIT;
SELECT * FROM clocks WHERE lead = 36;

--
-- The sweep
--
-- Warned once, breached once, however late; when it breached stands in due_at.
SELECT count(*) FROM leadflow.check_sla();
SET leadflow.clock = '2026-06-15 07:00+00';
CALL hand_over('{41,42,43}', 901);
SET leadflow.clock = '2026-06-15 12:59+00';
SELECT * FROM leadflow.check_sla();
SET leadflow.clock = '2026-06-15 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM leadflow.check_sla();
SELECT * FROM status WHERE lead = 41;
-- At the deadline it is still in time.
SELECT * FROM leadflow.check_sla('2026-06-15 15:00+00');
SELECT * FROM leadflow.check_sla('2026-06-15 15:00:00.000001+00');
SET leadflow.clock = '2026-06-16 08:00+00';
SELECT * FROM status WHERE lead = 41;
-- One that was stopped late before anybody looked is told of, too.
CALL hand_over('{44}', 901);
SET leadflow.clock = '2026-06-16 18:00+00';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'ann@example.com' WHERE id = 44;
SELECT * FROM leadflow.check_sla();
SELECT * FROM leadflow.check_sla();
-- Rolled back, it is told again.
CALL hand_over('{45}', 901);
BEGIN;
SELECT * FROM leadflow.check_sla('2026-06-30 00:00+00');
ROLLBACK;
SELECT * FROM leadflow.check_sla('2026-06-30 00:00+00');
-- What the transaction wrote counts, and who may run it need not see a table.
SET leadflow.clock = '2026-06-30 10:00+00';
CALL hand_over('{48}', 903);
SET leadflow.clock = '2026-06-30 20:00+00';
CREATE ROLE regress_leadflow_sweeper;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_sweeper;
SET ROLE regress_leadflow_sweeper;
SELECT * FROM leadflow.check_sla();
RESET ROLE;
GRANT EXECUTE ON FUNCTION leadflow.check_sla(timestamptz, integer) TO regress_leadflow_sweeper;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (48, 'call', '2026-06-30 11:00+00');
SET LOCAL ROLE regress_leadflow_sweeper;
SELECT * FROM leadflow.check_sla();
COMMIT;
SELECT * FROM clocks WHERE lead = 48;
DROP OWNED BY regress_leadflow_sweeper;
DROP ROLE regress_leadflow_sweeper;
SELECT * FROM leadflow.check_sla(NULL);
SELECT * FROM leadflow.check_sla('infinity');

-- Nurture leads come back on their day, a day of the reports' time zone.
UPDATE leadflow.settings SET time_zone = 'Asia/Tokyo';
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-08-01', stage_by = 'ann@example.com' WHERE id IN (41, 42);
SELECT revisited FROM leadflow.check_sla('2026-07-31 14:59:59+00');
SET leadflow.clock = '2026-07-31 15:00+00';
SELECT revisited FROM leadflow.check_sla();
SELECT revisited FROM leadflow.check_sla();
SELECT l.id, l.stage, h.from_stage, h.to_stage, h.team, h.reason
FROM leadflow.leads l JOIN leadflow.stage_history h ON h.lead_id = l.id AND h.left_at IS NULL WHERE l.id IN (26, 41, 42) ORDER BY 1;
UPDATE leadflow.settings SET time_zone = 'UTC';

-- Corrections: open clocks are due anew, closed ones stay. What was announced too early is announced again.
SET leadflow.clock = '2026-09-07 07:00+00';
CALL hand_over('{46,47}', 902);
SET leadflow.clock = '2026-09-07 16:00:01+00';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'bob@example.com' WHERE id = 47;
SELECT * FROM leadflow.check_sla();
SELECT * FROM clocks WHERE lead IN (46, 47);
INSERT INTO leadflow.calendar_holidays (calendar_id, day, name)
SELECT c.id, '2026-09-07', 'forgotten' FROM leadflow.calendars c WHERE c.name IN ('desk', 'late shift');
SELECT * FROM clocks WHERE lead IN (46, 47);
UPDATE leadflow.sla_policies SET target = '10 hours', warn_fraction = 0.5 WHERE id = 101;
UPDATE leadflow.sla_policies SET calendar_id = (SELECT c.id FROM leadflow.calendars c WHERE c.name = 'round') WHERE id = 102;
SELECT * FROM clocks WHERE lead IN (46, 47);
-- Hours are rewritten in two steps.
BEGIN;
CREATE TEMP TABLE hours AS SELECT * FROM leadflow.calendar_hours;
DELETE FROM leadflow.calendar_hours;
SELECT * FROM clocks WHERE lead = 46;
INSERT INTO leadflow.calendar_hours OVERRIDING SYSTEM VALUE SELECT * FROM hours;
COMMIT;
SELECT * FROM clocks WHERE lead = 46;
SELECT * FROM leadflow.check_sla('2026-09-08 14:00+00');

--
-- Reports
--
SELECT s.month_start, s.policy, s.member, s.clocks, s.met, s.breached, s.open, round(s.attainment::numeric, 3) AS attainment,
	round(s.p50_hours::numeric, 3) AS p50, round(s.p95_hours::numeric, 3) AS p95
FROM leadflow.sla_attainment_monthly s ORDER BY 1, 2, 3;
-- They add up to the clocks.
SELECT sum(clocks) = (SELECT count(*) FROM leadflow.sla_status s WHERE s.state <> 'cancelled') AS all_there,
	bool_and(clocks = met + breached + open) AS adds_up FROM leadflow.sla_attainment_monthly;

-- Before the epoch and far ahead.
SET leadflow.clock = '0100-03-01 08:00+00 BC';
CALL hand_over('{51}', 901);
SET leadflow.clock = '200000-03-01 08:00+00';
CALL hand_over('{52}', 903);
SET leadflow.clock = '294276-12-31 20:00+00';
CALL hand_over('{53}', 903);
SELECT c.lead_id, c.metric, c.started_at, c.due_at, c.calendar_id IS NULL AS around_the_clock
FROM leadflow.sla_clocks c WHERE c.lead_id > 50 ORDER BY c.lead_id, c.id;
-- A lead's clocks go with it.
DELETE FROM leadflow.leads WHERE id > 50;
SELECT count(*) FROM leadflow.sla_clocks c WHERE c.lead_id > 50;
RESET leadflow.clock;

-- Without pg_cron in this database: what to do by hand.
SELECT leadflow.schedule(NULL);
DO $$
BEGIN
	PERFORM leadflow.schedule();
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	RAISE NOTICE 'refused';
END $$;
SELECT leadflow.unschedule();

-- Nobody but those who are to.
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.oid IN ('leadflow.check_sla(timestamptz, integer)'::regprocedure, 'leadflow.schedule(text)'::regprocedure, 'leadflow.unschedule()'::regprocedure)
	AND has_function_privilege('pg_monitor', p.oid, 'EXECUTE');

SELECT * FROM leadflow.verify();

-- A breach is whose it was: who gets the lead afterwards has no part in it, in no report.
SET leadflow.clock = '2026-06-01 09:00+00';
INSERT INTO leadflow.team_members (id, full_name, team) VALUES (971, 'Bea', 'sales'), (972, 'Cid', 'sales');
INSERT INTO leadflow.leads (id, email) VALUES (9701, 'late@one.example'), (9702, 'waits@one.example');
UPDATE leadflow.leads SET stage = 'mql' WHERE id IN (9701, 9702);
UPDATE leadflow.leads SET stage = 'sql', owner_id = 971 WHERE id IN (9701, 9702);
UPDATE leadflow.leads SET owner_id = NULL WHERE id = 9702;
SET leadflow.clock = '2026-06-09 09:00+00';
UPDATE leadflow.leads SET owner_id = 972 WHERE id IN (9701, 9702);
INSERT INTO leadflow.activities (lead_id, kind, member_id) VALUES (9701, 'call', 972), (9702, 'call', 972);
SELECT lead_id, metric, member, state, stopped_at FROM leadflow.sla_status WHERE lead_id IN (9701, 9702) ORDER BY 1, 2;
SELECT check_name FROM leadflow.verify();
