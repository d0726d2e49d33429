--
-- Reports on service levels, on a small world whose figures can be worked out by hand.
--
\set VERBOSITY terse
SET timezone = 'Pacific/Auckland';	-- not the site's
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET jit = off;
UPDATE leadflow.settings SET time_zone = 'Europe/Berlin';
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.calendars (id, name, time_zone) VALUES (901, 'desk', 'Europe/Berlin');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT 901, d, '09:00', '17:00' FROM generate_series(1, 5) d;
INSERT INTO leadflow.calendar_holidays (calendar_id, day, name) VALUES (901, '2026-04-03', 'Good Friday'), (901, '2026-04-06', 'Easter Monday');
INSERT INTO leadflow.team_members (id, full_name, email, team, calendar_id) VALUES
	(911, 'Mia', 'mia@example.com', 'marketing', NULL), (912, 'Ann', 'ann@example.com', 'sales', 901), (913, 'Bob', 'bob@example.com', 'sales', NULL),
	(914, 'Lea', 'lea@example.com', 'leadership', NULL), (915, 'Leo', 'leo@example.com', 'leadership', NULL);

--
-- sla_status: Monday 30 March 2026, 10:00 in Berlin (08:00 UTC), where the clocks went forward the night
-- before. Clocks are written as the engine would, so that each case is there.
--
BEGIN;
INSERT INTO leadflow.sla_policies (id, name, metric, target, calendar_id) VALUES (921, 'Call', 'time_to_first_touch', '4 hours', 901);
INSERT INTO leadflow.sla_policies (id, name, metric, target_count, within) VALUES (922, 'Try', 'attempts', 3, '5 days');
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.leads (id, full_name, company, stage, stage_since, created_at)
SELECT i, 'Lead ' || i, 'Corp', 'sql', '2026-03-27 15:00Z', '2026-03-01Z' FROM generate_series(1, 12) i;
INSERT INTO leadflow.sla_clocks (id, lead_id, policy_id, metric, member_id, state, started_at, due_at, stopped_at, warn_at, calendar_id, target,
	target_count, counted_from, carried) VALUES
	-- Friday 16:00 in Berlin: an hour on Friday, an hour on Monday; two are left
	(1, 1, 921, 'time_to_first_touch', 912, 'running', '2026-03-27 15:00Z', '2026-03-30 10:00Z', NULL, NULL, 901, '4:00', NULL, '2026-03-27 15:00Z', '0'),
	-- the warning is due at this instant
	(2, 2, 921, 'time_to_first_touch', 912, 'running', '2026-03-27 15:00Z', '2026-03-30 10:00Z', NULL, '2026-03-30 08:00Z', 901, '4:00', NULL, '2026-03-27 15:00Z', '0'),
	-- due at this instant, and half an hour ago
	(3, 3, 921, 'time_to_first_touch', 912, 'running', '2026-03-27 15:00Z', '2026-03-30 08:00Z', NULL, NULL, 901, '2:00', NULL, '2026-03-27 15:00Z', '0'),
	(4, 4, 921, 'time_to_first_touch', 912, 'warning', '2026-03-27 15:00Z', '2026-03-30 07:30Z', NULL, '2026-03-30 07:00Z', 901, '1:30', NULL, '2026-03-27 15:00Z', '0'),
	-- paused since Friday 16:30, until Tuesday 9:00 and without an end; and paused after it was due
	(5, 5, 921, 'time_to_first_touch', 912, 'paused', '2026-03-27 15:00Z', '2026-03-31 10:30Z', NULL, '2026-03-31 09:30Z', 901, '4:00', NULL, '2026-03-31 07:00Z', '0:30'),
	(6, 6, 921, 'time_to_first_touch', 912, 'running', '2026-03-27 15:00Z', 'infinity', NULL, 'infinity', 901, '4:00', NULL, 'infinity', '0:30'),
	(7, 7, 921, 'time_to_first_touch', 913, 'breached', '2026-03-27 15:00Z', '2026-03-30 07:30Z', NULL, NULL, 901, '1:30', NULL, '2026-03-27 15:00Z', '0'),
	-- a day around the clock with one owner, then half an hour of the desk with another
	(8, 8, 921, 'time_to_first_touch', 912, 'met', '2026-03-28 15:00Z', '2026-03-31 07:00Z', '2026-03-30 07:30Z', NULL, 901, '32:00', NULL, '2026-03-29 15:00Z', '24:00'),
	(9, 9, 921, 'time_to_first_touch', 912, 'cancelled', '2026-03-27 15:00Z', '2026-03-30 10:00Z', '2026-03-28 10:00Z', NULL, 901, '4:00', NULL, '2026-03-27 15:00Z', '0'),
	-- answered too late: by nothing that counts, and by half an hour
	(10, 9, 921, 'time_to_first_touch', 912, 'breached', '2026-03-27 15:00Z', '2026-03-27 16:00Z', '2026-03-28 10:00Z', NULL, 901, '1:00', NULL, '2026-03-27 15:00Z', '0'),
	(11, 9, 921, 'time_to_first_touch', NULL, 'breached', '2026-03-27 15:00Z', '2026-03-27 16:00Z', '2026-03-30 07:30Z', NULL, 901, '1:00', NULL, '2026-03-27 15:00Z', '0'),
	-- around the clock, over the hour that isn't
	(12, 10, 922, 'attempts', 913, 'running', '2026-03-28 22:00Z', '2026-04-02 22:00Z', NULL, NULL, NULL, '5 days', 3, '2026-03-28 22:00Z', '0'),
	-- of an activity that is dated three minutes ahead
	(13, 11, 921, 'time_to_first_touch', 912, 'running', '2026-03-30 08:03Z', '2026-03-30 12:03Z', NULL, NULL, 901, '4:00', NULL, '2026-03-30 08:03Z', '0');
INSERT INTO leadflow.sla_pauses (lead_id, paused_at, until, reason, merged_from) VALUES
	(5, '2026-03-27 15:30Z', '2026-03-30 07:00Z', 'over the weekend', NULL), (5, '2026-03-27 16:00Z', '2026-03-31 07:00Z', 'on a train', NULL),
	(6, '2026-03-27 15:30Z', NULL, 'ill', NULL), (6, '2026-03-27 15:45Z', NULL, 'of a duplicate', 99), (7, '2026-03-30 07:45Z', NULL, 'late', NULL);
INSERT INTO leadflow.activities (lead_id, occurred_at, recorded_at, kind, voided_at, void_reason) VALUES
	(10, '2026-03-28 21:59Z', '2026-03-29Z', 'call', NULL, NULL), (10, '2026-03-28 22:00Z', '2026-03-29Z', 'call', NULL, NULL),
	(10, '2026-03-29 07:00Z', '2026-03-29 07:00Z', 'email_sent', NULL, NULL), (10, '2026-03-29 08:00Z', '2026-03-29 08:00Z', 'call', '2026-03-29 09:00Z', 'wrong number'),
	(10, '2026-03-29 09:00Z', '2026-03-29 09:00Z', 'page_view', NULL, NULL);
SET LOCAL leadflow.clock = '2026-03-30 08:00Z';
SELECT clock_id AS clock, state, due_at AT TIME ZONE 'UTC' AS due_utc, elapsed_hours AS elapsed, wall_hours AS wall, overdue_hours AS overdue,
	remaining_hours AS remaining, target_hours AS target, resumes_at AT TIME ZONE 'UTC' AS resumes_utc, pause_reason, target_count AS count, touches
FROM leadflow.sla_status ORDER BY clock_id;
-- a microsecond later
SET LOCAL leadflow.clock = '2026-03-30 08:00:00.000001Z';
SELECT clock_id, state FROM leadflow.sla_status WHERE clock_id = 3;
-- The pause that has an end is over at that end; the clock goes on from where it stood.
SET LOCAL leadflow.clock = '2026-03-31 06:59:59Z';
SELECT clock_id, state, elapsed_hours, remaining_hours FROM leadflow.sla_status WHERE clock_id = 5;
SET LOCAL leadflow.clock = '2026-03-31 07:00Z';
SELECT clock_id, state, elapsed_hours, remaining_hours, pause_reason FROM leadflow.sla_status WHERE clock_id = 5;
SET LOCAL leadflow.clock = '2026-03-31 09:00Z';
SELECT clock_id, state, elapsed_hours, remaining_hours, overdue_hours FROM leadflow.sla_status WHERE clock_id IN (5, 6) ORDER BY 1;
SELECT lead_id, policy, metric, team, member, calendar, warn_at, full_name, company, stage FROM leadflow.sla_status WHERE clock_id IN (6, 12) ORDER BY clock_id;

-- Paused is open.
SET LOCAL leadflow.clock = '2026-03-30 08:00Z';
SELECT month_start, policy, metric, member, clocks, met, breached, open, attainment, p50_hours, p95_hours
FROM leadflow.sla_attainment_monthly ORDER BY policy, member;
-- ... and a clock's month is the site's: 31 March, 22:00 UTC, is April in Berlin.
UPDATE leadflow.sla_clocks SET started_at = '2026-03-31 22:00Z' WHERE id = 12;
UPDATE leadflow.sla_clocks SET started_at = '2026-03-31 21:59:59Z' WHERE id = 13;
SELECT month_start, policy, member, clocks FROM leadflow.sla_attainment_monthly WHERE member IS NOT NULL ORDER BY 1, 2, 3;
ROLLBACK;

--
-- speed_to_lead: by the engine. The rep's calendar is Ann's desk; Bob works around the clock.
--
CREATE VIEW public.speed AS
SELECT lead_id AS lead, inquiry_at AT TIME ZONE 'UTC' AS inquiry, mql_at AT TIME ZONE 'UTC' AS mql, handed_off_at AT TIME ZONE 'UTC' AS handed_off,
	assigned_at AT TIME ZONE 'UTC' AS assigned, first_touch_at AT TIME ZONE 'UTC' AS first_touch, first_contact_at AT TIME ZONE 'UTC' AS first_contact,
	round(marketing_hours::numeric, 3) AS marketing, round(qualifying_hours::numeric, 3) AS qualifying, round(routing_hours::numeric, 3) AS routing,
	round(response_hours::numeric, 3) AS response, round(response_business_hours::numeric, 3) AS business, round(contact_hours::numeric, 3) AS contact,
	round(total_hours::numeric, 3) AS total, owner, band, cycle
FROM leadflow.speed_to_lead;
CREATE PROCEDURE public.born(id bigint, owner bigint, created timestamptz) LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, full_name, owner_id, created_at) VALUES (id, 'Lead ' || id, owner, created);
$$;
CREATE PROCEDURE public.move(id bigint, stage text, who text DEFAULT 'mia') LANGUAGE sql AS $$
	UPDATE leadflow.leads l SET stage = move.stage, stage_by = who || '@example.com',
		stage_reason = CASE move.stage WHEN 'rejected' THEN 'no_need' WHEN 'nurture' THEN 'not_now' END,
		revisit_on = CASE move.stage WHEN 'nurture' THEN (leadflow.now() + interval '90 days')::date END
	WHERE l.id = move.id;
$$;
CREATE PROCEDURE public.act(id bigint, kind text, at timestamptz DEFAULT leadflow.now()) LANGUAGE sql AS $$
	INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (id, kind, at);
$$;

-- 1: asks for a demo on Friday, 16:50 in Berlin; Ann calls on Monday, 9:04, and gets through at 9:30: 14 minutes of
-- her time, 63:14 hours of the lead's, one of the night having 23.
SET leadflow.clock = '2026-03-26 10:00Z';
CALL born(1, 912, '2026-03-26 10:00Z');
CALL act(1, 'page_view');
SET leadflow.clock = '2026-03-27 15:50Z';
CALL act(1, 'demo_request');
SET leadflow.clock = '2026-03-30 07:04Z';
CALL act(1, 'call');
SET leadflow.clock = '2026-03-30 07:30Z';
CALL act(1, 'call_connected');
SELECT * FROM speed \gx
-- 16: handed over half an hour after April began in Berlin
SET leadflow.clock = '2026-03-31 22:30Z';
CALL born(16, 912, '2026-03-31 22:00Z');
CALL move(16, 'mql'); CALL move(16, 'sql');
-- 2: clicks a mail, becomes an MQL by hand 3 hours later, is handed over half an hour after that; touched after 5 minutes sharp.
-- 3: nothing came from it but its creation; touched a microsecond later than that.
-- 4: nobody is there for half an hour; touched after 15 minutes.
-- 5: nobody has touched it; nobody is there for 6, either, but Bob calls it while it waits.
SET leadflow.clock = '2026-04-01 06:00Z';
CALL born(2, 913, '2026-03-31 06:00Z');
CALL act(2, 'page_view', '2026-03-31 06:00Z');
CALL act(2, 'email_click');
CALL born(3, 913, '2026-04-01 06:00Z');
CALL born(4, NULL, '2026-04-01 06:00Z');
CALL born(5, 912, '2026-04-01 06:00Z');
CALL born(6, NULL, '2026-04-01 06:00Z');
SET leadflow.clock = '2026-04-01 09:00Z';
CALL move(2, 'mql'); CALL move(3, 'mql'); CALL move(4, 'mql'); CALL move(5, 'mql'); CALL move(6, 'mql');
SET leadflow.clock = '2026-04-01 09:30Z';
UPDATE leadflow.team_members SET active = false WHERE team <> 'marketing';
CALL move(4, 'sql'); CALL move(6, 'sql');
UPDATE leadflow.team_members SET active = true;
CALL move(2, 'sql'); CALL move(3, 'sql'); CALL move(5, 'sql');
SET leadflow.clock = '2026-04-01 09:35Z';
CALL act(2, 'call'); CALL act(6, 'email_sent');
SET leadflow.clock = '2026-04-01 09:35:00.000001Z';
CALL act(3, 'email_sent');
SET leadflow.clock = '2026-04-01 10:00Z';
SELECT leadflow.claim_next('sales', 913) + leadflow.claim_next('sales', 913) AS both;
SET leadflow.clock = '2026-04-01 10:15Z';
CALL act(4, 'call_connected');
SELECT lead, inquiry, marketing, qualifying, routing, response, business, contact, total, owner, band FROM speed WHERE lead BETWEEN 2 AND 6 ORDER BY 1;
-- A touch that is recorded late counts from when it was; voided, it never was. One before the hand-off is none.
CALL act(5, 'call', '2026-04-01 09:40Z');
CALL act(5, 'call', '2026-04-01 09:29Z');
SELECT lead, first_touch, response, band FROM speed WHERE lead = 5;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'not they' WHERE lead_id = 5 AND occurred_at = '2026-04-01 09:40Z';
SELECT lead, first_touch, response, band FROM speed WHERE lead = 5;
-- 7: Ann has it for an hour, then Bob, who calls at once: the lead waited an hour, and Bob answered.
SET leadflow.clock = '2026-04-02 08:00Z';
CALL born(7, 912, '2026-04-02 08:00Z');
CALL act(7, 'contact_request');
SET leadflow.clock = '2026-04-02 09:00Z';
UPDATE leadflow.leads SET owner_id = 913 WHERE id = 7;
SET leadflow.clock = '2026-04-02 09:01Z';
CALL act(7, 'call');
SELECT lead, inquiry, assigned, response, business, owner, band FROM speed WHERE lead = 7;
-- 8: rejected at once and overturned, it is handed over twice in one cycle: the lead has waited since the first time.
-- Then it is recycled, and another cycle is another wait; the first stays where it was in the months.
SET leadflow.clock = '2026-04-07 08:00Z';	-- Tuesday after Easter
CALL born(8, 912, '2026-04-07 07:00Z');
CALL act(8, 'quote_request');
CALL move(8, 'rejected', 'ann');
SET leadflow.clock = '2026-04-07 10:00Z';
SELECT votes_needed FROM leadflow.review(8, 'overturn', 'lea@example.com');
SELECT outcome, stage FROM leadflow.review(8, 'overturn', 'leo@example.com');
SET leadflow.clock = '2026-04-07 10:30Z';
CALL act(8, 'call');
SELECT lead, inquiry, mql, handed_off, assigned, first_touch, response, business, owner, cycle FROM speed WHERE lead = 8;
CALL move(8, 'nurture', 'bob');
-- what came before is of the cycle before; a page view is what there is of this one
SET leadflow.clock = '2026-05-04 08:00Z';
CALL act(8, 'page_view');
CALL move(8, 'mql');
SET leadflow.clock = '2026-05-04 08:30Z';
CALL move(8, 'sql');
SET leadflow.clock = '2026-05-04 09:00Z';
CALL act(8, 'email_reply');
SELECT lead, inquiry, mql, handed_off, first_touch, first_contact, marketing, response, cycle FROM speed WHERE lead = 8;
-- 9: taken back because its evidence was voided, untouched, and qualified anew in the same cycle: that hand-off counts.
SET leadflow.clock = '2026-04-08 08:00Z';
CALL born(9, 913, '2026-04-08 08:00Z');
CALL act(9, 'demo_request');
SET leadflow.clock = '2026-04-08 09:00Z';
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 9;
SET leadflow.clock = '2026-04-08 10:00Z';
CALL act(9, 'contact_request');
SET leadflow.clock = '2026-04-08 10:10Z';
CALL act(9, 'call');
SELECT lead, inquiry, mql, handed_off, response, band, cycle FROM speed WHERE lead = 9;
-- 10: imported as handed over, created by its row later than that; touched since.
INSERT INTO leadflow.leads (id, full_name, stage, stage_since, owner_id) VALUES (10, 'Lead 10', 'sql', '2026-04-08 09:00Z', 913);
CALL act(10, 'call', '2026-04-08 09:10Z');
SELECT lead, inquiry, mql, handed_off, assigned, response, band FROM speed WHERE lead = 10;
-- 11 and 12 are one: 12 had been handed over and touched, 11 is kept. 13 and 14: the duplicate's hand-off goes on in the lead that is kept.
SET leadflow.clock = '2026-04-09 08:00Z';
CALL born(11, 912, '2026-04-09 07:00Z');
CALL born(12, 913, '2026-04-09 07:30Z');
CALL born(13, 912, '2026-04-09 07:00Z');
CALL born(14, 913, '2026-04-09 07:30Z');
CALL act(12, 'demo_request'); CALL act(14, 'demo_request');
SET leadflow.clock = '2026-04-09 08:10Z';
CALL act(12, 'call');
CALL move(12, 'accepted', 'bob');
SET leadflow.clock = '2026-04-09 09:00Z';
SELECT leadflow.merge_leads(11, 12), leadflow.merge_leads(13, 14);
SET leadflow.clock = '2026-04-09 10:00Z';
CALL act(13, 'call');
SELECT lead, inquiry, mql, handed_off, first_touch, response, owner, band FROM speed WHERE lead IN (11, 13) ORDER BY 1;
-- One that was never handed over has no row, and nobody else has two; parts add up, none is negative.
CALL born(15, 912, '2026-04-09 07:00Z');
CALL move(15, 'accepted', 'ann');
SELECT count(*) AS leads, count(DISTINCT lead_id) AS different, count(*) FILTER (WHERE lead_id = 15) AS self_sourced,
	count(*) FILTER (WHERE abs(marketing_hours + routing_hours + response_hours - total_hours) > 1e-9) AS differ,
	count(*) FILTER (WHERE least(marketing_hours, qualifying_hours, routing_hours, response_hours, response_business_hours, contact_hours) < 0) AS negative
FROM leadflow.speed_to_lead;
-- It is the lead that waits: a pause of its clocks shortens no part.
BEGIN;
CREATE TEMP TABLE unpaused AS SELECT lead_id, routing_hours, response_hours, response_business_hours, total_hours FROM leadflow.speed_to_lead;
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.sla_pauses (lead_id, paused_at, until) SELECT lead_id, assigned_at, first_touch_at FROM leadflow.speed_to_lead WHERE response_business_hours > 0;
SELECT count(*) > 3 AS some FROM leadflow.sla_pauses;
SELECT lead_id, routing_hours, response_hours, response_business_hours, total_hours FROM leadflow.speed_to_lead EXCEPT TABLE unpaused;
ROLLBACK;
-- The months: 8 counts in April and in May, the others once.
SELECT month_start, owner, handed_off, assigned, touched, contacted, touched_0_5, touched_5_15, touched_15_60, touched_60_up, share_0_5,
	routing_p50_hours, round(response_p50_hours::numeric, 4) AS response_p50, round(response_p95_hours::numeric, 4) AS response_p95,
	round(response_business_p50_hours::numeric, 4) AS business_p50, round(response_business_p95_hours::numeric, 4) AS business_p95
FROM leadflow.speed_to_lead_monthly ORDER BY 1, 2;
SELECT sum(touched) AS touched, sum(touched_0_5 + touched_5_15 + touched_15_60 + touched_60_up) AS in_bands FROM leadflow.speed_to_lead_monthly;

--
-- stage_durations: each visit, those of a duplicate until the merge
--
SELECT lead_id, stage, category, entered_at AT TIME ZONE 'UTC' AS entered_utc, left_at AT TIME ZONE 'UTC' AS left_utc, round(spent_hours::numeric, 3) AS spent,
	from_stage, next_stage, outcome, cycle, actor, team, reason
FROM leadflow.stage_durations WHERE lead_id IN (8, 13) ORDER BY lead_id, history_id;
SELECT month_start, stage, visits, completed, still_there, merged, round(p50_hours::numeric, 3) AS p50, round(p95_hours::numeric, 3) AS p95,
	round(still_there_p50_hours::numeric, 3) AS still_there_p50
FROM leadflow.stage_durations_monthly WHERE stage IN ('mql', 'sql', 'rejected') ORDER BY 1, 2;
SELECT (SELECT count(*) FROM leadflow.stage_durations) = count(*) AS every_visit, (SELECT sum(visits) FROM leadflow.stage_durations_monthly) = count(*) AS in_months
FROM leadflow.stage_history;

--
-- marketing_sla_monthly. MQLs: in March 1; in April 2 to 7, 9, 12, 14, 16 and 8, whom sales sent to nurture; in May 8.
-- Now in April besides: 17, accepted, then rejected; 18, rejected; both rejections are upheld. 19, a big company,
-- accepted; 20, whom marketing itself sends to nurture; 21, rejected as somebody else's territory and given to another rep.
--
SET leadflow.clock = '2026-04-10 08:00Z';
CALL born(17, 912, '2026-04-10 08:00Z'); CALL born(18, 912, '2026-04-10 08:00Z');
CALL move(17, 'mql'); CALL move(18, 'mql'); CALL move(17, 'sql'); CALL move(18, 'sql');
CALL move(17, 'accepted', 'ann'); CALL move(17, 'rejected', 'ann'); CALL move(18, 'rejected', 'ann');
SELECT i AS lead, r.outcome FROM unnest('{17,18}'::bigint[]) i, (VALUES ('lea@example.com'), ('leo@example.com')) v (who),
	LATERAL leadflow.review(i, 'uphold', v.who) r ORDER BY 1, 2 NULLS FIRST;
SET leadflow.clock = '2026-04-13 08:00Z';
CALL born(19, 912, '2026-04-13 08:00Z'); CALL born(20, 912, '2026-04-13 08:00Z'); CALL born(21, 912, '2026-04-13 08:00Z');
UPDATE leadflow.leads SET company_size = 2000 WHERE id = 19;
CALL move(19, 'mql'); CALL move(20, 'mql'); CALL move(21, 'mql');
CALL move(19, 'sql'); CALL move(21, 'sql'); CALL move(20, 'nurture');
CALL move(19, 'accepted', 'ann');
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'wrong_territory', stage_by = 'ann@example.com' WHERE id = 21;
SELECT id, stage FROM leadflow.leads WHERE id BETWEEN 17 AND 21 ORDER BY 1;
INSERT INTO leadflow.sla_policies (id, name, metric, target_count, target_rate, calendar_id, condition, valid) VALUES
	(931, 'MQLs', 'mql_volume', 20, NULL, 901, NULL, DEFAULT),
	-- a version that begins within a month counts from the next one on
	(932, 'Accepted', 'accepted_volume', 4, NULL, NULL, NULL, '(,2026-04-14 22:00Z)'), (933, 'Accepted', 'accepted_volume', 8, NULL, NULL, NULL, '[2026-04-14 22:00Z,)'),
	(934, 'Rate', 'acceptance_rate', NULL, 0.5, NULL, NULL, DEFAULT),
	(935, 'Big', 'mql_volume', 2, NULL, 901, '$.company_size >= 1000 && $.stage == "mql" && $.cycle == 1', DEFAULT),
	-- one that errs holds for nobody; and one that begins with the site's April
	(936, 'Errs', 'mql_volume', 1, NULL, NULL, 'strict $.no.such.key > 1', '[2026-03-31 22:00Z,2026-04-30 22:00Z)'),
	(937, 'Later', 'mql_volume', 1, NULL, NULL, NULL, '[2026-05-31 22:00Z,)');
SET leadflow.clock = '2026-05-05 10:00Z';
SELECT month_start, policy, metric, target, gross, round(net::numeric, 4) AS net, round(attainment::numeric, 4) AS attainment, attainment_gross, team, policy_id
FROM leadflow.marketing_sla_monthly ORDER BY policy, month_start;
SELECT month_start, mqls, mqls_net, accepted, accepted_net, rejected, nurtured, decided, decided_net, undecided, upheld
FROM leadflow.marketing_sla_monthly WHERE policy = 'MQLs' ORDER BY 1;
-- what lies ahead of its month has no row; a month without MQLs has
SET leadflow.clock = '2026-06-30 21:59:59Z';
SELECT month_start, policy, target, gross, net, attainment FROM leadflow.marketing_sla_monthly WHERE month_start > '2026-05-01' ORDER BY 2, 1;
SET leadflow.clock = '2026-06-30 22:00Z';
SELECT month_start, policy, gross FROM leadflow.marketing_sla_monthly WHERE month_start > '2026-06-01' ORDER BY 2, 1;
-- The same where no promise has a condition, and where each has one: what the others ask for is none of a promise's business.
SET leadflow.clock = '2026-05-05 10:00Z';
CREATE TEMP VIEW figures AS
SELECT p.name AS policy, m.month_start, m.mqls, m.mqls_net, m.accepted, m.accepted_net, m.rejected, m.nurtured, m.decided, m.gross, m.net,
	(SELECT sum(d.gross) FROM leadflow.marketing_sla_daily d WHERE d.policy_id = m.policy_id AND d.month_start = m.month_start) AS by_day
FROM leadflow.marketing_sla_monthly m JOIN leadflow.sla_policies p ON p.id = m.policy_id;
CREATE TEMP TABLE mixed AS SELECT * FROM figures;
BEGIN;
DELETE FROM leadflow.sla_policies WHERE condition IS NOT NULL;
SELECT sum(mqls) AS mqls, sum(by_day) AS by_day FROM figures WHERE policy = 'MQLs';
SELECT count(*) > 0 AS some FROM figures;
SELECT * FROM figures EXCEPT SELECT * FROM mixed;
ROLLBACK;
BEGIN;
UPDATE leadflow.sla_policies SET condition = '$.cycle >= 1' WHERE condition IS NULL;
SELECT * FROM figures EXCEPT SELECT * FROM mixed;
SELECT * FROM mixed EXCEPT SELECT * FROM figures;
ROLLBACK;
DROP VIEW figures;
-- In June ten MQLs: one accepted, nine rejected and upheld. What was rejected for good is decided, not left out. Then sales takes one of those after all.
BEGIN;
SET LOCAL leadflow.clock = '2026-06-03 08:00Z';
UPDATE leadflow.stage_reasons SET next_stage = NULL WHERE reason = 'no_need';
DO $$
BEGIN
	FOR i IN 201..210 LOOP
		CALL born(i, 912, '2026-06-03 08:00Z');
		CALL move(i, 'mql');
		CALL move(i, 'sql');
		CALL move(i, CASE i WHEN 201 THEN 'accepted' ELSE 'rejected' END, 'ann');
		PERFORM leadflow.review(i, 'uphold', v.who) FROM (VALUES ('lea@example.com'), ('leo@example.com')) v (who) WHERE i > 201;
	END LOOP;
END
$$;
SELECT stage, count(*) FROM leadflow.leads WHERE id BETWEEN 201 AND 210 GROUP BY 1 ORDER BY 1;
SELECT policy, gross, net, attainment, attainment_gross, mqls, mqls_net, accepted, accepted_net, decided, decided_net, upheld
FROM leadflow.marketing_sla_monthly WHERE month_start = '2026-06-01' AND policy IN ('Accepted', 'MQLs', 'Rate') ORDER BY 1;
SET LOCAL leadflow.clock = '2026-06-04 08:00Z';
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams) VALUES ('rejected', 'accepted', '{sales}');
CALL move(202, 'accepted', 'ann');
SELECT policy, gross, net, attainment, attainment_gross, mqls, mqls_net, accepted, accepted_net, decided, decided_net, upheld
FROM leadflow.marketing_sla_monthly WHERE month_start = '2026-06-01' AND policy IN ('Accepted', 'MQLs', 'Rate') ORDER BY 1;
SELECT count(*) FROM leadflow.marketing_sla_monthly WHERE net > gross;
ROLLBACK;

--
-- marketing_sla_daily: April has 22 weekdays, two of them holidays: one MQL a working day
--
SET leadflow.clock = '2026-04-14 10:00Z';
SELECT day, is_working_day AS works, working_days_to_date AS days, working_days AS of, target_to_date, gross, gross_to_date, net_to_date, gap, calendar
FROM leadflow.marketing_sla_daily WHERE policy = 'MQLs' AND month_start = '2026-04-01' AND (day <= '2026-04-15' OR day = '2026-04-30') ORDER BY day;
-- without a calendar every day is one; so is it in a month without a working day
SELECT day, target, round(target_to_date::numeric, 4) AS target_to_date, gross_to_date, net_to_date, round(gap::numeric, 4) AS gap FROM leadflow.marketing_sla_daily
WHERE policy = 'Accepted' AND day IN ('2026-04-01', '2026-04-09', '2026-04-13', '2026-04-30') ORDER BY 1;
BEGIN;
DELETE FROM leadflow.calendar_hours WHERE calendar_id = 901;
SELECT working_days, target_to_date FROM leadflow.marketing_sla_daily WHERE policy = 'MQLs' AND day = '2026-04-15';
ROLLBACK;
-- A month's last day says what the month says; a day has one row a promise; rates are not in it.
SET leadflow.clock = '2026-05-05 10:00Z';
SELECT d.policy, d.day, d.gross_to_date = m.gross AND d.net_to_date = m.net AND d.target_to_date = m.target AS as_the_month
FROM leadflow.marketing_sla_daily d JOIN leadflow.marketing_sla_monthly m USING (policy_id, month_start)
WHERE d.day = '2026-03-31' OR d.day = '2026-04-30' ORDER BY 1, 2;
SELECT count(*) - count(DISTINCT (day, policy)) AS twice, count(*) FILTER (WHERE metric = 'acceptance_rate') AS rates,
	count(*) FILTER (WHERE (gap IS NULL) <> (day > '2026-05-05')) AS ahead FROM leadflow.marketing_sla_daily;

--
-- sla_what_if: Monday 30 March 2026, 10:00 in Berlin again; each clock started on Friday at 16:00.
--
BEGIN;
INSERT INTO leadflow.sla_policies (id, name, metric, target, calendar_id, valid) VALUES
	(941, 'Touch', 'time_to_first_touch', '2 hours', 901, '(,2026-03-27 15:00Z)'), (942, 'Touch', 'time_to_first_touch', '1 hour', 901, '[2026-03-27 15:00Z,)');
SET LOCAL session_replication_role = replica;
SET LOCAL leadflow.clock = '2026-03-30 08:00Z';
INSERT INTO leadflow.leads (id, full_name, stage, stage_since, created_at)
SELECT i, 'Lead ' || i, 'sql', '2026-03-27 15:00Z', '2026-03-01Z' FROM generate_series(51, 58) i;
INSERT INTO leadflow.stage_history (lead_id, id, entered_at, from_stage, to_stage, team, cycle)
SELECT i, 100000 + i, '2026-03-27 15:00Z', 'mql', 'sql', 'marketing', 1 FROM generate_series(51, 58) i;
INSERT INTO leadflow.stage_history (lead_id, id, entered_at, from_stage, to_stage, team, cycle) VALUES
	(53, 100060, '2026-03-30 07:30Z', 'sql', 'rejected', 'sales', 1), (54, 100061, '2026-03-28 10:00Z', 'sql', 'rejected', 'sales', 1);
INSERT INTO leadflow.activities (lead_id, occurred_at, recorded_at, kind) VALUES
	(51, '2026-03-30 07:30Z', '2026-03-30Z', 'call'), (52, '2026-03-30 07:30Z', '2026-03-30Z', 'call'),
	(56, '2026-03-30 08:00Z', '2026-03-30Z', 'call'), (58, '2026-03-30 07:45Z', '2026-03-30Z', 'call');
INSERT INTO leadflow.sla_clocks (lead_id, policy_id, metric, state, started_at, due_at, stopped_at, calendar_id, history_id, target, counted_from, carried, answered) VALUES
	-- touched after 1:30 hours, in time and late; rejected after 1:30 hours without a touch, late, and on Saturday, in time
	(51, 941, 'time_to_first_touch', 'met', '2026-03-27 15:00Z', '2026-03-30 08:00Z', '2026-03-30 07:30Z', 901, 100051, '2:00', '2026-03-27 15:00Z', '0', true),
	(52, 942, 'time_to_first_touch', 'breached', '2026-03-27 15:00Z', '2026-03-27 16:00Z', '2026-03-30 07:30Z', 901, 100052, '1:00', '2026-03-27 15:00Z', '0', true),
	(53, 942, 'time_to_first_touch', 'breached', '2026-03-27 15:00Z', '2026-03-27 16:00Z', '2026-03-30 07:30Z', 901, 100053, '1:00', '2026-03-27 15:00Z', '0', false),
	(54, 941, 'time_to_first_touch', 'cancelled', '2026-03-27 15:00Z', '2026-03-30 08:00Z', '2026-03-28 10:00Z', 901, 100054, '2:00', '2026-03-27 15:00Z', '0', false),
	(55, 941, 'time_to_first_touch', 'running', '2026-03-27 15:00Z', '2026-03-30 08:00Z', NULL, 901, 100055, '2:00', '2026-03-27 15:00Z', '0', false),
	-- paused from 16:30 to Monday 9:30, touched after an hour that counts; paused without an end
	(56, 941, 'time_to_first_touch', 'met', '2026-03-27 15:00Z', '2026-03-30 09:00Z', '2026-03-30 08:00Z', 901, 100056, '2:00', '2026-03-30 07:30Z', '0:30', true),
	(57, 941, 'time_to_first_touch', 'paused', '2026-03-27 15:00Z', 'infinity', NULL, 901, 100057, '2:00', 'infinity', '0:30', false),
	-- late after a quarter of an hour, then paused likewise, and touched at 9:45: three quarters
	(58, 942, 'time_to_first_touch', 'breached', '2026-03-27 15:00Z', '2026-03-27 15:15Z', '2026-03-30 07:45Z', 901, 100058, '0:15', '2026-03-27 15:00Z', '0', true);
INSERT INTO leadflow.sla_pauses (lead_id, paused_at, until) VALUES (56, '2026-03-27 15:30Z', '2026-03-30 07:30Z'), (57, '2026-03-27 15:30Z', NULL),
	(58, '2026-03-27 15:30Z', '2026-03-29Z'), (58, '2026-03-28Z', '2026-03-30 07:30Z');
SELECT w.target, w.calendar, f.* FROM (VALUES (1, interval '15 minutes', NULL), (2, '1 hour', NULL), (3, '2 hours', NULL), (4, '1 hour', 'always'), (5, '45 minutes', 'always'),
	(6, '3 days', 'always')) w (n, target, calendar), LATERAL leadflow.sla_what_if('Touch', w.target, w.calendar) f ORDER BY w.n;
SELECT count(*) FROM leadflow.sla_what_if('Touch', '1 hour', NULL, '2026-03-27 15:00Z', '2026-03-27 15:00:01Z');
SELECT count(*) FROM leadflow.sla_what_if('Touch', '1 hour', NULL, '-infinity', '2026-03-27 15:00Z');
ROLLBACK;
-- What can't be asked, and why not.
\set VERBOSITY default
\set SHOW_CONTEXT never
INSERT INTO leadflow.calendars (id, name) VALUES (902, 'closed');
INSERT INTO leadflow.sla_policies (id, name, metric, target) VALUES (951, 'Call', 'time_to_first_touch', '4 hours');
SELECT * FROM leadflow.sla_what_if('Call', '1 hour');
SELECT * FROM leadflow.sla_what_if('Nobody''s', '1 hour');
SELECT * FROM leadflow.sla_what_if('MQLs', '1 hour');
SELECT * FROM leadflow.sla_what_if('Call', '0');
SELECT * FROM leadflow.sla_what_if('Call', '-1 hour');
SELECT * FROM leadflow.sla_what_if('Call', '1 month');
SELECT * FROM leadflow.sla_what_if('Call', '10000 days');
SELECT * FROM leadflow.sla_what_if('Call', NULL);
SELECT * FROM leadflow.sla_what_if(NULL, '1 hour');
SELECT * FROM leadflow.sla_what_if('Call', '1 hour', 'nowhere');
SELECT * FROM leadflow.sla_what_if('Call', '1 hour', 'closed');
SELECT * FROM leadflow.sla_what_if('Call', '1 hour', NULL, '2026-05-01Z', '2026-04-01Z');
SELECT count(*) FROM leadflow.sla_what_if('Call', '1 hour', NULL, '2026-04-01Z', '2026-04-01Z');
\set VERBOSITY terse

--
-- lead_board and my_day: what each clock asks for, of leads that have no other
--
BEGIN;
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.campaigns (id, name, owner_id) VALUES (961, 'Spring', 911);
INSERT INTO leadflow.sla_policies (id, name, metric, team, target, target_count, within) SELECT 970 + n, metric, metric, team,
	CASE WHEN metric <> 'attempts' THEN interval '1 day' END, CASE metric WHEN 'attempts' THEN 3 END, CASE metric WHEN 'attempts' THEN interval '1 day' END
FROM (VALUES (1, 'time_to_handoff', 'marketing'), (2, 'time_to_accept', 'sales'), (3, 'time_to_first_contact', 'sales'), (4, 'attempts', 'sales'),
	(5, 'next_response', 'marketing'), (6, 'time_in_stage', 'sales'), (7, 'time_to_nurture', 'sales'), (8, 'time_to_review', 'sales')) p (n, metric, team);
SET LOCAL session_replication_role = replica;
SET LOCAL leadflow.clock = '2026-05-05 10:00Z';
CREATE TEMP TABLE c (id bigint, stage text, metric text, touched boolean, owner_id bigint, due_at timestamptz);
INSERT INTO c VALUES
	(61, 'sql', 'time_to_first_contact', false, 912, '2026-05-05 12:00Z'), (62, 'sql', 'time_to_first_contact', true, 912, '2026-05-05 12:00Z'),
	(63, 'sql', 'attempts', false, 912, '2026-05-05 09:00Z'), (64, 'sql', 'attempts', true, 912, '2026-05-05 12:00Z'),
	(65, 'sql', 'next_response', false, 912, '2026-05-05 12:00Z'), (66, 'sql', 'next_response', true, 912, '2026-05-05 12:00Z'),
	(67, 'sql', 'time_in_stage', true, 912, '2026-05-05 12:00Z'), (68, 'sql', 'time_to_accept', true, 912, 'infinity'),
	(69, 'accepted', 'time_to_first_contact', true, 912, '2026-05-05 21:59Z'), (70, 'accepted', 'time_in_stage', true, 912, '2026-05-05 22:00Z'),
	(71, 'mql', 'time_to_handoff', false, 912, '2026-05-05 12:00Z'), (72, 'lost', 'time_to_nurture', true, 912, '2026-05-05 12:00Z'),
	(73, 'lead', 'next_response', false, NULL, '2026-05-05 12:00Z'), (74, 'nurture', 'time_in_stage', false, NULL, '2026-05-06 12:00Z'),
	(75, 'rejected', 'time_to_review', false, 912, '2026-05-05 12:00Z'), (76, 'won', 'time_in_stage', false, NULL, NULL);
INSERT INTO leadflow.leads (id, full_name, stage, stage_since, owner_id, created_at, revisit_on, campaign_id)
SELECT id, 'Lead ' || id, stage, '2026-05-04Z', owner_id, '2026-05-01Z', CASE stage WHEN 'nurture' THEN date '2026-05-06' END, CASE WHEN id > 70 THEN 961 END FROM c;
INSERT INTO leadflow.score_state (lead_id, last_touch_at) SELECT id, CASE WHEN touched THEN timestamptz '2026-05-04 12:00Z' END FROM c;
INSERT INTO leadflow.handoffs (lead_id, offered_at, owner_id, why, assigned_at) SELECT id, '2026-05-04Z', 912, 'given', '2026-05-04Z' FROM c WHERE stage = 'sql';
INSERT INTO leadflow.reviews (id, lead_id, opened_at, due_at) VALUES (990, 75, '2026-05-04Z', '2026-05-11Z');
INSERT INTO leadflow.sla_clocks (lead_id, policy_id, metric, member_id, state, started_at, due_at, target, counted_from, review_id)
SELECT c.id, p.id, c.metric, c.owner_id, 'running', '2026-05-04Z', c.due_at, '1 day', '2026-05-04Z', CASE c.id WHEN 75 THEN 990 END
FROM c JOIN leadflow.sla_policies p USING (metric) WHERE c.due_at IS NOT NULL;
SELECT b.lead_id, b.stage, c.metric, c.touched, b.next_action, b.next_action_by, b.responsible_team, b.next_due_at AT TIME ZONE 'UTC' AS due_utc
FROM leadflow.lead_board b JOIN c ON c.id = b.lead_id ORDER BY 1;
-- Ann: hers that are due today, Berlin's, but for the MQL, which is marketing's to hand off; Mia: that of her campaign.
SELECT kind, lead_id, stage, due_at AT TIME ZONE 'UTC' AS due_utc, what FROM leadflow.my_day(912) WHERE lead_id BETWEEN 61 AND 76 AND kind IN ('clock', 'decide', 'vote') ORDER BY 1, 2;
SELECT kind, lead_id, stage, due_at AT TIME ZONE 'UTC' AS due_utc, what FROM leadflow.my_day(911) WHERE lead_id BETWEEN 61 AND 76 AND kind IN ('clock', 'decide', 'vote') ORDER BY 1, 2;
ROLLBACK;

--
-- By the engine: 60 leads with pauses, other owners, touches and decisions, some late. What the views say of
-- clocks that run is what the sweep then announces; what has counted and what is left add up; the promise as it is
-- gives what it gave; and in the calendar in which they counted all along, asked for by name, too.
--
UPDATE leadflow.sla_policies SET valid = tstzrange(lower(valid), '2026-06-01Z') WHERE metric NOT IN ('mql_volume', 'accepted_volume', 'acceptance_rate');
INSERT INTO leadflow.sla_policies (id, name, metric, target, target_count, within, calendar_id, warn_fraction) VALUES
	(981, 'e touch', 'time_to_first_touch', '4 hours', NULL, NULL, NULL, 0.5), (982, 'e accept', 'time_to_accept', '6 hours', NULL, NULL, 901, 0.75),
	(983, 'e contact', 'time_to_first_contact', '10 hours', NULL, NULL, 901, NULL), (984, 'e attempts', 'attempts', NULL, 3, '12 hours', 901, 0.5),
	(985, 'e stage', 'time_in_stage', '30 hours', NULL, NULL, NULL, NULL), (986, 'e nurture', 'time_to_nurture', '1 hour', NULL, NULL, 901, NULL),
	(987, 'e response', 'next_response', '2 hours', NULL, NULL, NULL, 0.9), (988, 'e handoff', 'time_to_handoff', '1 hour', NULL, NULL, 901, NULL),
	(989, 'e review', 'time_to_review', '8 hours', NULL, NULL, 901, 0.5);
DO $$
DECLARE
	t timestamptz;
	i bigint;
BEGIN
	FOR hour IN 0..95 LOOP	-- Thursday 4 June 2026, 8:00 in Berlin, to Monday morning
		t := '2026-06-04 06:00Z'::timestamptz + make_interval(hours => hour);
		PERFORM set_config('leadflow.clock', t::text, false);
		IF hour < 60 THEN
			INSERT INTO leadflow.leads (id, full_name, owner_id) VALUES (100 + hour, 'Lead', CASE hour % 3 WHEN 0 THEN 912 ELSE 913 END);
			UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@example.com' WHERE id = 100 + hour;
		END IF;
		UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@example.com' WHERE id = 100 + hour - hour % 4 AND stage = 'mql';
		UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@example.com' WHERE id = 99 + hour AND stage = 'mql';
		i := 100 + (hour * 7) % 60;
		IF EXISTS (SELECT FROM leadflow.leads l WHERE l.id = i) THEN
			INSERT INTO leadflow.activities (lead_id, kind) VALUES (i, (ARRAY['call', 'email_reply', 'call_connected', 'email_sent'])[1 + hour % 4]);
		END IF;
		FOR i IN SELECT l.id FROM leadflow.leads l WHERE l.id BETWEEN 100 AND 159 AND l.id % 5 = hour % 7 AND hour % 3 = 0 LOOP
			PERFORM leadflow.pause_sla(i, CASE WHEN i % 4 <> 0 THEN t + make_interval(hours => (i % 30)::integer + 1) END, 'away');
		END LOOP;
		FOR i IN SELECT l.id FROM leadflow.leads l WHERE l.id BETWEEN 100 AND 159 AND l.id % 8 = hour % 11 AND hour % 2 = 0 LOOP
			PERFORM leadflow.resume_sla(i);
		END LOOP;
		UPDATE leadflow.leads SET owner_id = CASE owner_id WHEN 912 THEN 913 ELSE 912 END WHERE id BETWEEN 100 AND 159 AND id % 9 = hour % 13 AND stage = 'sql';
		UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'ann@example.com' WHERE id BETWEEN 100 AND 159 AND id % 10 = hour % 23 AND stage = 'sql' AND owner_id = 912;
		UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_need', stage_by = 'bob@example.com'
		WHERE id BETWEEN 100 AND 159 AND id % 10 = hour % 29 AND stage IN ('sql', 'accepted') AND owner_id = 913;
	END LOOP;
END
$$;
SET leadflow.clock = '2026-06-08 08:20Z';
SELECT metric, count(*) > 0 AS some FROM leadflow.sla_status WHERE policy LIKE 'e %' GROUP BY 1 ORDER BY 1;
SELECT state, count(*) > 5 AS enough FROM leadflow.sla_status WHERE policy LIKE 'e %' GROUP BY 1 ORDER BY 1;
SELECT
	count(*) FILTER (WHERE state IN ('running', 'warning', 'paused') AND abs(elapsed_hours + remaining_hours - target_hours) > 1e-6) AS do_not_add_up,
	count(*) FILTER (WHERE state IN ('running', 'warning', 'paused', 'met') AND elapsed_hours > target_hours + 1e-6) AS over,
	count(*) FILTER (WHERE state = 'breached' AND elapsed_hours < target_hours - 1e-6) AS under,
	count(*) FILTER (WHERE (overdue_hours > 0 OR remaining_hours = 0) AND state <> 'breached') AS overdue,
	count(*) FILTER (WHERE (state = 'paused') <> (stopped_at IS NULL AND state <> 'breached' AND EXISTS (
		SELECT FROM leadflow.sla_pauses z WHERE z.lead_id = s.lead_id AND z.merged_from IS NULL AND z.paused_at <= leadflow.now() AND coalesce(z.until > leadflow.now(), true)))) AS paused,
	count(*) FILTER (WHERE state = 'paused' AND pause_reason IS DISTINCT FROM 'away') AS why
FROM leadflow.sla_status s WHERE policy LIKE 'e %';
SELECT w.policy, count(*) > 0 AS some, bool_and((f.clocks, f.met, f.breached, f.open) = (f.new_clocks, f.new_met, f.new_breached, f.new_open)) AS as_it_was
FROM leadflow.sla_policies p, LATERAL (VALUES (p.name, coalesce(p.target, p.within), NULL), (p.name, coalesce(p.target, p.within), CASE WHEN p.calendar_id IS NOT NULL THEN 'desk' END)) w (policy, target, calendar),
	LATERAL leadflow.sla_what_if(w.policy, w.target, w.calendar, '2026-06-01Z') f WHERE p.name LIKE 'e %' GROUP BY 1 ORDER BY 1;
SELECT m.policy, sum(m.clocks) = f.clocks AND sum(m.met) = f.met AND sum(m.breached) = f.breached AND sum(m.open) = f.open AS as_attainment
FROM leadflow.sla_attainment_monthly m, LATERAL leadflow.sla_what_if(m.policy, '1 hour') f WHERE m.policy LIKE 'e %' GROUP BY 1, f.clocks, f.met, f.breached, f.open ORDER BY 1;
-- Each clock is counted once, those that ended without in a column of their own.
SELECT sum(clocks + cancelled) = (SELECT count(*) FROM leadflow.sla_status) AS each_clock, sum(cancelled) = (SELECT count(*) FROM leadflow.sla_status WHERE state = 'cancelled') AS cancelled,
	sum(cancelled) > 5 AS some, bool_and(clocks = met + breached + open AND clocks + cancelled > 0 AND (attainment IS NULL) = (met + breached = 0)) AS adds_up
FROM leadflow.sla_attainment_monthly;
-- A row of clocks that were all cancelled has no other figure.
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.sla_clocks SET state = 'cancelled', stopped_at = started_at + interval '1 minute', breached_at = NULL, due_at = 'infinity' WHERE policy_id = 983;
SELECT count(*) > 0 AS some FROM leadflow.sla_attainment_monthly WHERE clocks = 0 AND cancelled > 0;
SELECT DISTINCT policy, met, breached, open, attainment, p50_hours, p95_hours FROM leadflow.sla_attainment_monthly WHERE clocks = 0;
ROLLBACK;
-- What is foreseen is what comes of it when the promise is corrected so and judged anew.
BEGIN;
CREATE TEMP TABLE other (n int, factor numeric, calendar text);
INSERT INTO other VALUES (1, 0.5, NULL), (2, 2, NULL), (3, 5, NULL), (4, 1, 'always'), (5, 3, 'always'), (6, 0.75, 'desk');
CREATE TEMP TABLE promise AS SELECT p.id, p.name, p.target, p.within, p.calendar_id FROM leadflow.sla_policies p WHERE p.name LIKE 'e %';
CREATE TEMP TABLE foreseen AS SELECT o.n, p.name, f.new_clocks AS clocks, f.new_met AS met, f.new_breached AS breached, f.new_open AS open
FROM promise p, other o, LATERAL leadflow.sla_what_if(p.name, coalesce(p.target, p.within) * o.factor, o.calendar) f;
CREATE TEMP TABLE happened (LIKE foreseen);
DO $$
DECLARE
	o record;
BEGIN
	FOR o IN SELECT * FROM other ORDER BY n LOOP
		UPDATE leadflow.sla_policies q SET target = p.target * o.factor, within = p.within * o.factor,
			calendar_id = coalesce((SELECT k.id FROM leadflow.calendars k WHERE k.name = o.calendar), p.calendar_id) FROM promise p WHERE q.id = p.id;
		PERFORM leadflow.restate_sla('-infinity', 'infinity');
		INSERT INTO happened SELECT o.n, m.policy, sum(m.clocks), sum(m.met), sum(m.breached), sum(m.open)
		FROM leadflow.sla_attainment_monthly m WHERE m.policy LIKE 'e %' GROUP BY 2;
	END LOOP;
END
$$;
SELECT count(*) AS compared, count(DISTINCT (met, breached)) > 20 AS various FROM foreseen;
SELECT * FROM foreseen f FULL JOIN happened h USING (n, name, clocks, met, breached, open) WHERE f IS NULL OR h IS NULL;
ROLLBACK;
-- The views before the sweep say what clocks say after it.
CREATE TEMP TABLE before AS SELECT clock_id, state FROM leadflow.sla_status;
SELECT warned > 0 AS warned, breached > 0 AS breached FROM leadflow.check_sla();
SELECT count(*) AS differ FROM before b JOIN leadflow.sla_status s USING (clock_id) JOIN leadflow.sla_clocks c ON c.id = b.clock_id
WHERE b.state <> s.state OR (b.state <> c.state AND NOT (b.state = 'paused' OR c.state = 'paused'));

-- Who paused what, and until when: the timeline says so.
SELECT leadflow.pause_sla(150, '2026-06-09 08:00Z', 'on a boat') >= 0 AS paused;
SELECT at AT TIME ZONE 'UTC' AS at_utc, what, team, who, detail FROM leadflow.lead_timeline WHERE lead_id = 150 AND what = 'sla_paused' ORDER BY at DESC, object_id DESC LIMIT 1;

--
-- Row-level security on leads reaches all of them.
--
CREATE ROLE regress_leadflow_sla;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_sla;
GRANT SELECT ON ALL TABLES IN SCHEMA leadflow TO regress_leadflow_sla;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_17 ON leadflow.leads FOR SELECT USING (id IN (17, 150));
SET ROLE regress_leadflow_sla;
SELECT (SELECT array_agg(DISTINCT lead_id) FROM leadflow.sla_status) AS status, (SELECT array_agg(lead_id ORDER BY lead_id) FROM leadflow.speed_to_lead) AS speed,
	(SELECT sum(handed_off) FROM leadflow.speed_to_lead_monthly) AS handed_off, (SELECT array_agg(DISTINCT lead_id) FROM leadflow.stage_durations) AS durations,
	(SELECT sum(mqls) FROM leadflow.marketing_sla_monthly WHERE policy = 'MQLs') AS mqls, (SELECT sum(gross) FROM leadflow.marketing_sla_daily WHERE policy = 'MQLs') AS by_day,
	(SELECT sum(clocks) FROM leadflow.sla_what_if('e touch', '1 hour')) AS clocks;
RESET ROLE;
DROP POLICY only_17 ON leadflow.leads;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_leadflow_sla;
DROP ROLE regress_leadflow_sla;

SELECT * FROM leadflow.verify();
