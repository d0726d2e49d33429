--
-- verify(): the oracle against scores worked out by hand, a database that has lived
-- through everything and is healthy, and then damage of every kind, each found.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday

SELECT * FROM leadflow.verify();

\i test/fixtures/thaw.sql

--
-- A small world. The model: fit at most 40; web at most 50, halves in 10 days; deeds
-- -10 to 30, for ever.
--
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
DELETE FROM leadflow.sla_policies;

INSERT INTO leadflow.scoring_models (id, name, mql_threshold, handoff_threshold) VALUES (900, 'by hand', 60, 70);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, min_points, max_points, half_life) VALUES
	(901, 900, 'fit', 'fit', 0, 40, NULL),
	(902, 900, 'web', 'engagement', 0, 50, '10 days'),
	(903, 900, 'deeds', 'engagement', -10, 30, NULL);
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per) VALUES
	(900, 902, 'pricing page', 'page_view', '$.content starts with "/pricing"', 8, NULL, NULL, NULL),
	(900, 903, 'download', 'content_download', NULL, 5, 2, 'month', '$.properties.file'),
	(900, 903, 'bad page', 'page_view', '$ ? (@.properties.bad == true)', -50, NULL, NULL, NULL),
	(900, 903, 'dated page', 'page_view', '$.properties.day.datetime() > "2026-01-01T00:00:00+02:00".datetime()', 1, NULL, NULL, NULL),
	(900, 903, 'spring', 'webinar_attended', '$.campaign == "spring"', 7, 1, NULL, NULL);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (904, 900, 'boss'), (905, 900, 'customer');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES
	(904, 'title', '$.job_title like_regex "vp" flag "i"', 20),
	(904, 'size', '$.company_size >= 50', 15),
	(905, 'customer', '$.account.status == "customer"', 35),
	(905, 'nowhere', '$.country == "XX"', -10);
INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES
	(900, 'student', 'lead', '$.email like_regex "student"', 'student'),
	(900, 'jobs', 'activity', '$.content == "/jobs"', 'job seeker');
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(911, 'Mara', 'mara@example.com', 'marketing'), (912, 'Sam', 'sam@example.com', 'sales');
INSERT INTO leadflow.campaigns (id, code, name, channel) VALUES (921, 'spring', 'Spring', 'webinar'), (922, 'search', 'Search', 'paid');
INSERT INTO leadflow.accounts (id, name, domain, status) VALUES (931, 'Acme', 'acme.example', 'customer');
INSERT INTO leadflow.sla_policies (id, name, metric, target, warn_fraction) VALUES
	(941, 'accept', 'time_to_accept', '4 hours', .5), (942, 'call', 'time_to_first_touch', '1 hour', .5);

INSERT INTO leadflow.leads (id, email, job_title, company_size, account_id, created_at) VALUES
	(1, 'one@x.example', 'VP Sales', 60, NULL, '2026-01-01'),
	(2, 'two@x.example', NULL, NULL, 931, '2026-01-01'),
	(3, 'three@student.example', 'vp', 10, 931, '2026-01-01'),
	(4, 'four@x.example', 'clerk', NULL, NULL, '2026-01-01'),
	(5, 'five@x.example', 'VP', NULL, NULL, '2026-01-01'),
	(6, 'six@x.example', 'VP', 70, NULL, '2026-01-01'),
	(7, 'seven@x.example', NULL, NULL, NULL, '2026-01-01');

INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, campaign_id, properties) VALUES
	(1, '2026-02-20 09:00Z', '00000000-0000-0000-0001-000000000001', 'page_view', '/pricing/a', NULL, NULL),	-- 4
	(1, '2026-03-02 09:00Z', '00000000-0000-0000-0001-000000000002', 'page_view', '/pricing', NULL, NULL),	-- 8
	(1, '2026-03-02 09:01Z', '00000000-0000-0000-0001-000000000003', 'page_view', '/pricing', NULL, NULL),	-- not yet
	(1, '2026-02-01 00:00Z', '00000000-0000-0000-0001-000000000004', 'content_download', 'x', NULL, '{"file": "a"}'),
	(1, '2026-02-02 00:00Z', '00000000-0000-0000-0001-000000000005', 'content_download', 'x', NULL, '{"file": "a"}'),
	(1, '2026-02-03 00:00Z', '00000000-0000-0000-0001-000000000006', 'content_download', 'x', NULL, '{"file": "a"}'),	-- two of three: 10
	(1, '2026-01-31 00:00Z', '00000000-0000-0000-0001-000000000007', 'content_download', 'x', NULL, '{"file": "a"}'),	-- another month: 5
	(2, '2026-02-05 00:00Z', '00000000-0000-0000-0002-000000000001', 'page_view', 'x', NULL, '{"bad": true}'),	-- -50
	(2, '2026-02-05 00:00Z', '00000000-0000-0000-0002-000000000002', 'page_view', 'x', NULL, '{"day": "2026-02-01"}'),	-- +1, group: -10
	(4, '2026-02-05 00:00Z', '00000000-0000-0000-0004-000000000001', 'page_view', '/jobs', NULL, NULL),
	(5, '2026-02-03 00:00Z', '00000000-0000-0000-0005-000000000001', 'content_download', 'x', NULL, '{}'),
	(5, '2026-02-04 00:00Z', '00000000-0000-0000-0005-000000000002', 'content_download', 'x', NULL, NULL),
	(5, '2026-02-05 00:00Z', '00000000-0000-0000-0005-000000000003', 'content_download', 'x', NULL, '[]'),	-- two of three without value: 10
	(5, '2026-02-06 00:00Z', '00000000-0000-0000-0005-000000000004', 'content_download', 'x', NULL, '{"file": null}'),	-- null is a value: 5
	(5, '2026-02-07 00:00Z', '00000000-0000-0000-0005-000000000005', 'webinar_attended', 'x', 921, NULL),	-- 7
	(5, '2026-02-08 00:00Z', '00000000-0000-0000-0005-000000000006', 'webinar_attended', 'x', 922, NULL),
	(5, '2026-02-09 00:00Z', '00000000-0000-0000-0005-000000000007', 'webinar_attended', 'x', 921, NULL),
	(5, '1990-02-05 00:00Z', '00000000-0000-0000-0005-000000000008', 'page_view', '/pricing', NULL, NULL),	-- decayed to nothing
	(5, '2026-02-09 00:00Z', '00000000-0000-0000-0005-000000000009', 'faxed_us', '/pricing', NULL, NULL);	-- not registered
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, voided_at, void_reason) VALUES
	(1, '2026-03-01 00:00Z', '00000000-0000-0000-0001-000000000008', 'page_view', '/pricing', '2026-03-02', 'bot');

-- By hand: 1: 35 + 12 + 15. 2: 35 + 0 - 10. 5: 20 + 0 + 22.
SELECT lead_id, score, fit, engagement, grade, level, persona, disqualified_reason
FROM leadflow._oracle_scores('2026-03-02 09:00Z') ORDER BY 1;
-- Ten days on: what was to come has come, 8 and 8 are 4 and 4 (and a minute more), 4 is 2.
SELECT lead_id, round(score::numeric, 3) AS score FROM leadflow._oracle_scores('2026-03-12 09:00Z') WHERE lead_id <= 2 ORDER BY 1;
-- Before anything, and before there was anybody
SELECT lead_id, score FROM leadflow._oracle_scores('2026-01-31 00:00Z', 900, '{1,2}') ORDER BY 1;
SELECT count(*) FROM leadflow._oracle_scores('2026-03-02 09:00Z', -1);
-- The oracle is nobody's time zone.
SET timezone = 'Pacific/Auckland';
SELECT lead_id, score FROM leadflow._oracle_scores('2026-03-02 09:00Z') WHERE lead_id = 2;
SET timezone = 'UTC';
-- Months of the site's zone: 31 January 23:30 in London is February in Berlin.
BEGIN;
UPDATE leadflow.settings SET time_zone = 'Europe/Berlin';
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, properties) VALUES
	(7, '2026-01-31 23:30Z', 'content_download', 'x', '{"file": "a"}'),
	(7, '2026-02-01 12:00Z', 'content_download', 'x', '{"file": "a"}'),
	(7, '2026-02-02 12:00Z', 'content_download', 'x', '{"file": "a"}');
SELECT lead_id, score FROM leadflow._oracle_scores('2026-03-02 09:00Z') WHERE lead_id = 7;
ROLLBACK;

SELECT * FROM leadflow.verify();

--
-- A year in the life: hand-offs, touches, decisions, deals.
--
SET leadflow.clock = '2026-03-02 10:00Z';
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, campaign_id, properties) VALUES	-- lead 6 past 70: handed over
	(1, '2026-03-02 09:59Z', '00000000-0000-0000-0001-000000000011', 'webinar_attended', 'Hello', 921, NULL),
	(6, '2026-03-02 09:59Z', '00000000-0000-0000-0006-000000000001', 'webinar_attended', 'Hello', 921, NULL),
	(6, '2026-03-02 09:58Z', '00000000-0000-0000-0006-000000000002', 'page_view', '/pricing/1', 922, NULL),
	(6, '2026-03-02 09:57Z', '00000000-0000-0000-0006-000000000003', 'page_view', '/pricing/2', 922, NULL),
	(6, '2026-03-02 09:56Z', '00000000-0000-0000-0006-000000000004', 'page_view', '/pricing/3', 922, NULL),
	(6, '2026-03-02 09:55Z', '00000000-0000-0000-0006-000000000005', 'page_view', '/pricing/4', 922, NULL);
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE id = 1;
SELECT id, stage, owner_id FROM leadflow.leads WHERE stage <> 'lead' ORDER BY id;

SET leadflow.clock = '2026-03-02 10:30Z';	-- in time
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, member_id) VALUES
	(1, '2026-03-02 10:30Z', '00000000-0000-0000-0001-000000000012', 'call', 912);
SET leadflow.clock = '2026-03-02 12:00Z';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE id = 1;
SET leadflow.clock = '2026-03-02 15:00Z';	-- late, and untouched
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_by = 'sam@example.com' WHERE id = 6;
SET leadflow.clock = '2026-03-20 12:00Z';
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, status, opened_at, closed_at) VALUES
	(951, 1, 'Big', 100.01, 'EUR', 'won', '2026-03-10', '2026-03-20'),
	(952, 2, 'None', 50, 'EUR', 'won', '2026-03-10', '2026-03-20'),
	(953, 7, 'Lost', 50, 'EUR', 'lost', '2026-03-10', '2026-03-20');
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) VALUES (951, 6);
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, status, opened_at, closed_at, corrects_deal_id) VALUES
	(954, 1, 'Refund', -10.00, 'EUR', 'won', '2026-03-20', '2026-03-20', 951);
-- 100.01 over six touches: 16.67, 16.67, 16.67, 16.67, 16.67, 16.66
SELECT deal_id, model, lead_id, campaign_id, occurred_at, credit
FROM leadflow._oracle_credits() WHERE model IN ('first_touch', 'linear') ORDER BY 1, 2, 5, 3;

SELECT metric, lead_id, state, started_at, due_at, stopped_at FROM leadflow.sla_clocks ORDER BY lead_id, metric;

-- Changing hands: before the decision, by it and after it, and all at one instant.
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (913, 'Sue', 'sue@example.com', 'sales');
INSERT INTO leadflow.leads (id, email, created_at) VALUES (8, 'eight@x.example', '2026-03-20');
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mara@example.com' WHERE id = 8;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 912, stage_by = 'mara@example.com' WHERE id = 8;
SET leadflow.clock = '2026-03-20 13:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (8, 'call');
UPDATE leadflow.leads SET owner_id = 913 WHERE id = 8;
SET leadflow.clock = '2026-03-20 14:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (8, 'call');
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE id = 8;
UPDATE leadflow.leads SET owner_id = 913 WHERE id = 8;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-04-01', stage_by = 'sam@example.com' WHERE id = 8;
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mara@example.com' WHERE id = 8;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE id = 8;
UPDATE leadflow.leads SET owner_id = 912 WHERE id = 8;
SELECT lead_id, offered_at, owner_id, why, decided_at, decision, touches FROM leadflow.handoffs WHERE lead_id = 8 ORDER BY id;

-- What sales found by itself, and passed on
BEGIN;
INSERT INTO leadflow.leads (id, email, created_at) VALUES (9, 'nine@x.example', '2026-03-20');
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE id = 9;
SET LOCAL leadflow.clock = '2026-03-20 15:00Z';
UPDATE leadflow.leads SET owner_id = 913 WHERE id = 9;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (9, 'call');
SELECT leadflow.settle();
SELECT * FROM leadflow.verify();
ROLLBACK;

SELECT * FROM leadflow.verify();

--
-- Damage, each kind with the triggers asleep.
--
\set damage 'BEGIN; SET LOCAL session_replication_role = replica;'
\set found 'SELECT check_name, object_id, regexp_replace(kept, $$(\\.\\d{3})\\d+$$, $$\\1$$, $$g$$) AS kept, regexp_replace(recomputed, $$(\\.\\d{3})\\d+$$, $$\\1$$, $$g$$) AS recomputed FROM leadflow.verify() ORDER BY 1, 2, 3, 4; ROLLBACK;'

-- activities that nobody saw, and that nobody has
:damage INSERT INTO leadflow.activities (lead_id, occurred_at, id, recorded_at, kind, content) VALUES (7, '2026-03-19 12:00Z', '00000000-0000-0000-0007-000000000001', '2026-03-20', 'page_view', '/pricing');
:found
:damage UPDATE leadflow.activities SET properties = '{"file": "b"}' WHERE id = '00000000-0000-0000-0001-000000000004';
:found
:damage DELETE FROM leadflow.activities WHERE id = '00000000-0000-0000-0005-000000000007';
:found
:damage INSERT INTO leadflow.activities (lead_id, occurred_at, id, recorded_at, kind, campaign_id, member_id) VALUES
	(-7, '2026-03-19 12:00Z', '00000000-0000-0000-0007-000000000001', '2026-03-20', 'note', NULL, NULL),
	(7, '2026-03-19 12:00Z', '00000000-0000-0000-0007-000000000002', '2026-03-20', 'note', -7, -7);
:found

-- attributes, accounts
:damage UPDATE leadflow.leads SET job_title = 'clerk' WHERE id = 5;
:found
:damage UPDATE leadflow.accounts SET status = 'former';
:found

-- configuration
:damage UPDATE leadflow.scoring_rules SET points = 9 WHERE name = 'spring';
:found

-- the score state
:damage DELETE FROM leadflow.score_state WHERE lead_id = 7;
:found
:damage INSERT INTO leadflow.score_state (lead_id, model_id) VALUES (-7, 900);
:found
:damage UPDATE leadflow.score_state SET sums = ARRAY[sums[1], sums[2] + 1] WHERE lead_id = 5;
:found
:damage UPDATE leadflow.score_state SET fit = fit + 1 WHERE lead_id = 5;
:found
:damage UPDATE leadflow.score_state SET model_id = NULL WHERE lead_id = 7;
:found
:damage UPDATE leadflow.score_state SET last_touch_at = '2026-03-01', last_engaged_at = NULL WHERE lead_id = 1;
:found
:damage UPDATE leadflow.score_state SET watch = watch # 1 WHERE lead_id = 3;
:found
:damage UPDATE leadflow.score_state SET watch = watch # 2 WHERE lead_id = 6;
:found
:damage UPDATE leadflow.score_state SET watch = watch # 4 WHERE lead_id = 6;
:found

-- stages and their history
:damage UPDATE leadflow.leads SET stage = 'mql' WHERE id = 3;
:found
:damage UPDATE leadflow.leads SET stage_since = stage_since + interval '1 s' WHERE id = 3;
:found
:damage DELETE FROM leadflow.stage_history WHERE lead_id = 3;
:found
:damage DELETE FROM leadflow.stage_history WHERE lead_id = 6 AND to_stage = 'mql';
:found
:damage UPDATE leadflow.stage_history SET left_at = NULL WHERE lead_id = 6 AND to_stage = 'mql';
:found
:damage UPDATE leadflow.score_state SET cycle = cycle + 1 WHERE lead_id = 3;
:found
:damage UPDATE leadflow.score_state SET cycle_since = '2026-03-01' WHERE lead_id = 6;
:found
:damage INSERT INTO leadflow.stage_history (lead_id, entered_at, id, to_stage, team, cycle) VALUES (-3, '2026-03-01', 1000000, 'lead', 'system', 1);
:found

-- hand-offs
:damage DELETE FROM leadflow.handoffs WHERE lead_id = 6;
:found
:damage UPDATE leadflow.handoffs SET touches = touches + 1;
:found
:damage UPDATE leadflow.handoffs SET first_touch_at = NULL WHERE lead_id = 1;
:found
:damage UPDATE leadflow.handoffs SET decided_at = NULL, decision = NULL WHERE lead_id = 1;
:found
:damage UPDATE leadflow.handoffs SET decision = 'rejected' WHERE lead_id = 1;
:found

-- clocks
:damage UPDATE leadflow.sla_clocks SET state = 'met' WHERE lead_id = 6;
:found
:damage UPDATE leadflow.sla_clocks SET stopped_at = NULL, state = 'running' WHERE lead_id = 1 AND metric = 'time_to_first_touch';
:found
:damage UPDATE leadflow.sla_clocks SET started_at = started_at + interval '1 s' WHERE lead_id = 1 AND metric = 'time_to_accept';
:found
:damage UPDATE leadflow.sla_clocks SET lead_id = -1 WHERE lead_id = 1 AND metric = 'time_to_accept';
:found
-- ... that run, were paused for an hour and changed hands
SET leadflow.clock = '2026-03-23 09:00Z';	-- a Monday
INSERT INTO leadflow.team_members (id, full_name, email, team, calendar_id)
SELECT 916, 'Una', 'una@example.com', 'sales', c.id FROM leadflow.calendars c WHERE c.name = 'office';
INSERT INTO leadflow.sla_policies (id, name, metric, target, warn_fraction) VALUES (943, 'answer', 'next_response', '8 hours', .5);
INSERT INTO leadflow.leads (id, email) VALUES (9, 'nine@x.example');
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 9;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 912 WHERE id = 9;
INSERT INTO leadflow.activities (lead_id, id, kind) VALUES (9, '00000000-0000-0000-0009-000000000001', 'contact_request');
SET leadflow.clock = '2026-03-23 10:00Z';
INSERT INTO leadflow.activities (lead_id, id, kind) VALUES (9, '00000000-0000-0000-0009-000000000002', 'contact_request');
SELECT leadflow.pause_sla(9, '2026-03-23 11:00Z');
SET leadflow.clock = '2026-03-23 12:00Z';
UPDATE leadflow.leads SET owner_id = 916 WHERE id = 9;
-- two hours by then, six of Una's office are left
SELECT c.metric, c.state, c.member_id, c.carried, c.counted_from, c.due_at, c.warn_at FROM leadflow.sla_clocks c WHERE c.lead_id = 9 ORDER BY c.id;
SELECT * FROM leadflow.verify();
:damage DELETE FROM leadflow.sla_pauses;
:found
:damage UPDATE leadflow.sla_pauses SET until = until + interval '1 min';
:found
:damage UPDATE leadflow.sla_clocks SET carried = carried + interval '1 min' WHERE lead_id = 9 AND metric = 'next_response';
:found
:damage UPDATE leadflow.sla_clocks SET calendar_id = NULL WHERE lead_id = 9 AND metric = 'next_response';
:found
:damage UPDATE leadflow.sla_clocks SET warn_at = NULL WHERE lead_id = 9 AND metric = 'next_response';
:found
:damage UPDATE leadflow.sla_clocks SET due_at = due_at + interval '1 us' WHERE lead_id = 9 AND metric = 'next_response';
:found
:damage UPDATE leadflow.sla_clocks SET member_id = 912 WHERE lead_id = 9 AND stopped_at IS NULL;
:found
:damage UPDATE leadflow.sla_clocks SET member_id = 911 WHERE lead_id = 1;
:found
:damage UPDATE leadflow.sla_clocks SET activity_id = '00000000-0000-0000-0009-000000000002', started_at = '2026-03-23 10:00Z' WHERE lead_id = 9 AND metric = 'next_response';
:found
:damage INSERT INTO leadflow.sla_clocks (lead_id, id, policy_id, metric, member_id, state, started_at, due_at, warn_at, calendar_id, target, warn_after, counted_from, carried, activity_id) SELECT lead_id, 1000000, policy_id, metric, member_id, state, started_at, due_at, warn_at, calendar_id, target, warn_after, counted_from, carried, activity_id FROM leadflow.sla_clocks WHERE lead_id = 9 AND metric = 'next_response';
:found
:damage UPDATE leadflow.activities SET voided_at = '2026-03-23', void_reason = 'bot' WHERE id = '00000000-0000-0000-0009-000000000001';
:found

-- credits
:damage DELETE FROM leadflow.attribution_credits WHERE deal_id = 951 AND model = 'first_touch';
:found
:damage UPDATE leadflow.attribution_credits SET credit = credit + .01 WHERE deal_id = 951 AND model = 'linear' AND occurred_at = '2026-03-02 09:56Z';
:found
:damage UPDATE leadflow.attribution_credits SET campaign_id = 922 WHERE deal_id = 954 AND model = 'last_touch';
:found
:damage UPDATE leadflow.deals SET status = 'open' WHERE id = 952;
:found
:damage UPDATE leadflow.deals SET amount = 60 WHERE id = 952;
:found
:damage DELETE FROM leadflow.deal_contacts;
:found

-- What was damaged was rolled back.
SELECT * FROM leadflow.verify();

-- It changes nothing, so anybody may run it on what he may read.
SELECT has_function_privilege('public', 'leadflow.verify(bigint,bigint)', 'EXECUTE') AS executable,
	provolatile FROM pg_proc WHERE oid = 'leadflow.verify(bigint,bigint)'::regprocedure;
RESET leadflow.clock;
