--
-- Nurture: who is taken into which program, when leads come back, and whom marketing may
-- write to meanwhile.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday
\set VERBOSITY terse

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(1, 'Mia', 'mia@our.example', 'marketing'), (3, 'Sam', 'sam@our.example', 'sales'), (5, 'Lea', 'lea@our.example', 'leadership');
CREATE VIEW enrolments AS
SELECT e.lead_id, p.name AS program, e.enrolled_at, e.reason, e.revisit_on, e.left_at, e.left_for
FROM leadflow.nurture_enrolments e JOIN leadflow.nurture_programs p ON p.id = e.program_id
ORDER BY e.lead_id, e.id;

-- As shipped: one program for everybody, without a day to come back.
SELECT name, condition, position, channel, revisit_after, active FROM leadflow.nurture_programs;
INSERT INTO leadflow.nurture_programs (id, name, condition, position, channel, revisit_after) VALUES
	(101, 'frozen budgets', '$.reason == "no_budget"', 20, 'email', '30 days'),
	(102, 'warm', '$.score >= 30 && $.persona == "decision maker"', 10, 'email', '60 days'),
	(103, 'big', '$.company_size >= 1000', 10, 'phone', '1 hour'),
	(104, 'customers', '$.account.status == "customer"', 30, 'email', NULL),
	(105, 'errs', '$.no.such.thing.datetime() > 1', 1, 'email', '1 day'),
	(106, 'closed', NULL, 0, 'email', '1 day');
UPDATE leadflow.nurture_programs SET active = false WHERE id = 106;
INSERT INTO leadflow.nurture_programs (name, condition) VALUES ('bad', '$.a ==');
INSERT INTO leadflow.nurture_programs (name, revisit_after) VALUES ('bad', '1 month');
INSERT INTO leadflow.nurture_programs (name, revisit_after) VALUES ('bad', '-1 day');
INSERT INTO leadflow.nurture_programs (name) VALUES ('warm');

--
-- The first program that takes it, asked when the lead enters nurture
--
INSERT INTO leadflow.accounts (id, name, domain, status) VALUES (1, 'Acme', 'acme.example', 'customer');
INSERT INTO leadflow.leads (id, email, full_name, job_title, company_size, stage) VALUES
	(1, '1@one.example', 'One', NULL, NULL, 'accepted'),
	(2, '2@one.example', 'Two', 'VP', 100, 'accepted'),
	(3, '3@one.example', 'Three', NULL, 2000, 'accepted'),
	(4, '4@acme.example', 'Four', NULL, NULL, 'accepted'),
	(5, '5@one.example', 'Five', NULL, NULL, 'accepted'),
	(6, '6@one.example', 'Six', NULL, NULL, 'accepted');
SET leadflow.actor = 'sam@our.example';
UPDATE leadflow.leads SET stage = 'nurture', revisit_on = '2026-06-01',
	stage_reason = CASE id WHEN 1 THEN 'no_budget' ELSE 'not_now' END
WHERE id <= 5;
SELECT * FROM enrolments;
-- A day that was given is the day; what marketing sends there without one gets the program's, after today.
SET leadflow.actor = 'mia@our.example';
INSERT INTO leadflow.leads (id, email, job_title, company_size) VALUES (11, '11@one.example', NULL, 5000), (12, '12@one.example', 'VP', 100), (13, '13@one.example', NULL, NULL);
SELECT leadflow.move(i, 'nurture', 'no_budget') FROM generate_series(11, 12) i;
SELECT leadflow.move(13, 'nurture', 'not_now');
SELECT * FROM enrolments WHERE lead_id > 10;
SELECT id, revisit_on FROM leadflow.leads WHERE id > 10 ORDER BY 1;
-- It is the engine's to write, without a move or a rescore: the history has one row more.
SELECT count(*) FROM leadflow.stage_history WHERE lead_id = 11;
UPDATE leadflow.nurture_enrolments SET left_at = NULL;
-- In the settings' time zone.
BEGIN;
UPDATE leadflow.settings SET time_zone = 'Pacific/Auckland';
SET LOCAL leadflow.clock = '2026-03-02 12:00Z';
INSERT INTO leadflow.leads (id, email) VALUES (14, '14@one.example');
SELECT leadflow.move(14, 'nurture', 'no_budget');
SELECT revisit_on FROM leadflow.leads WHERE id = 14;
ROLLBACK;
-- Imports and quiet loads are taken in, too.
RESET leadflow.actor;
INSERT INTO leadflow.leads (id, email, stage, stage_reason, stage_since) VALUES (21, '21@one.example', 'nurture', 'no_budget', '2026-02-01 10:00Z');
BEGIN;
SET LOCAL leadflow.quiet = on;
SELECT leadflow.move(6, 'nurture', 'no_budget', revisit_on => '2026-07-01', actor => 'sam@our.example');
COMMIT;
SELECT * FROM enrolments WHERE lead_id IN (6, 21);
SELECT * FROM leadflow.verify();

--
-- Leaving: by hand, by a hand-raise at once, by new interest after the cool-down, when the day has come
--
SET leadflow.clock = '2026-03-10 09:00Z';
SELECT leadflow.move(1, 'accepted', actor => 'sam@our.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (12, 'demo_request');
SELECT * FROM enrolments WHERE lead_id IN (1, 12);
-- points alone: neither while it cools down, nor before its day
BEGIN;
\i test/fixtures/thaw.sql
UPDATE leadflow.scoring_models SET cool_down = '20 days', mql_threshold = 20, handoff_threshold = NULL WHERE status = 'active';
SET LOCAL leadflow.clock = '2026-03-20 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'webinar_attended' FROM generate_series(2, 3) i, generate_series(1, 3);
SELECT leadflow.settle();
SELECT id, stage FROM leadflow.leads WHERE id IN (2, 3) ORDER BY 1;
SELECT lead_id, mql_blocked_by FROM leadflow.lead_scores WHERE lead_id IN (2, 3) ORDER BY 1;
UPDATE leadflow.leads SET revisit_on = '2026-03-22' WHERE id = 2;
UPDATE leadflow.leads SET revisit_on = NULL WHERE id = 3;
SET LOCAL leadflow.clock = '2026-03-23 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view'), (3, 'page_view');
SELECT leadflow.settle();
SELECT id, stage FROM leadflow.leads WHERE id IN (2, 3) ORDER BY 1;
SELECT * FROM enrolments WHERE lead_id IN (2, 3);
ROLLBACK;
-- Another day: the lead's is the one that counts, the enrolment keeps what was set then.
UPDATE leadflow.leads SET revisit_on = '2026-03-15' WHERE id = 13;
SELECT lead_id, program, reason, revisit_on, due_in_days, is_due FROM leadflow.nurture_due ORDER BY 1;
SET leadflow.clock = '2026-03-16 09:00Z';
SELECT lead_id, due_in_days, is_due FROM leadflow.nurture_due WHERE is_due ORDER BY 1;
SELECT revisited FROM leadflow.check_sla();
SELECT revisited FROM leadflow.check_sla();
SELECT * FROM enrolments WHERE lead_id IN (11, 13);
SELECT lead_id, event, team FROM leadflow.notifications WHERE event = 'nurture.due' ORDER BY id;
SELECT id, stage, stage_reason, revisit_on FROM leadflow.leads WHERE id IN (11, 13) ORDER BY 1;
-- and once more: another enrolment
SELECT leadflow.move(13, 'nurture', 'no_budget', actor => 'mia@our.example');
SELECT * FROM enrolments WHERE lead_id = 13;
SELECT * FROM leadflow.verify();

--
-- What a review upholds goes to its program, with the reason.
--
INSERT INTO leadflow.leads (id, email, stage, owner_id) VALUES (31, '31@one.example', 'sql', 3);
SELECT leadflow.move(31, 'rejected', 'no_budget', actor => 'sam@our.example');
SELECT r.stage FROM unnest('{mia,lea}'::text[]) i CROSS JOIN LATERAL leadflow.review(31, 'uphold', i || '@our.example') r;
SELECT * FROM enrolments WHERE lead_id = 31;
-- A deal takes it out.
INSERT INTO leadflow.deals (id, lead_id, amount) VALUES (1, 31, 100);
SELECT * FROM enrolments WHERE lead_id = 31;

--
-- Whom marketing may write to
--
SELECT lead_id, full_name, email FROM leadflow.nurture_list('everybody else');
SELECT lead_id, full_name, email, reason, enrolled_at, revisit_on FROM leadflow.nurture_list('frozen budgets');
-- forbidden, withdrawn, or more than the limit allows: not now
UPDATE leadflow.leads SET do_not_contact = true WHERE id = 6;
INSERT INTO leadflow.contact_permissions (lead_id, channel, status) VALUES (13, 'email', 'withdrawn');
SELECT lead_id FROM leadflow.nurture_list('frozen budgets');
SELECT lead_id, account FROM leadflow.nurture_list('customers');
SELECT lead_id FROM leadflow.nurture_list('frozen budgets', '2026-03-01 00:00Z');
UPDATE leadflow.nurture_programs SET active = false WHERE id = 104;
SELECT lead_id FROM leadflow.nurture_list('customers');
INSERT INTO leadflow.contact_limits (channel, max_messages, per) VALUES ('email', 1, '1 day');
SELECT lead_id FROM leadflow.nurture_list('warm');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'marketing_email');
SELECT lead_id FROM leadflow.nurture_list('warm');
SELECT lead_id FROM leadflow.nurture_list('warm', '2026-03-17 09:00:01Z');
DELETE FROM leadflow.contact_limits WHERE per = '1 day';
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT * FROM leadflow.nurture_list('nobody');
SELECT * FROM leadflow.nurture_list(NULL);
SELECT * FROM leadflow.nurture_list('warm', NULL);
-- A program that has taken in anybody stays; without a hold on its leads otherwise.
DELETE FROM leadflow.nurture_programs WHERE id = 101;
\set VERBOSITY terse
DELETE FROM leadflow.nurture_programs WHERE id = 106;

--
-- Undone, in another isolation level, deleted, many
--
BEGIN ISOLATION LEVEL REPEATABLE READ;
SAVEPOINT a;
SELECT leadflow.move(11, 'nurture', 'not_now', actor => 'mia@our.example');
ROLLBACK TO a;
SELECT count(*) FROM leadflow.nurture_enrolments WHERE lead_id = 11 AND left_at IS NULL;
SELECT leadflow.move(11, 'nurture', 'no_budget', actor => 'mia@our.example');
COMMIT;
SELECT * FROM enrolments WHERE lead_id = 11;
DELETE FROM leadflow.leads WHERE id = 11;
SELECT count(*) FROM leadflow.nurture_enrolments WHERE lead_id = 11;
INSERT INTO leadflow.leads (id, email, company_size) SELECT i, i || '@many.example', i FROM generate_series(501, 2500) i;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = CASE WHEN id % 2 = 0 THEN 'no_budget' ELSE 'not_now' END, stage_by = 'mia@our.example' WHERE id > 500;
SELECT p.name, count(*), min(e.revisit_on) AS first, max(e.revisit_on) AS last, count(l.revisit_on)
FROM leadflow.nurture_enrolments e JOIN leadflow.nurture_programs p ON p.id = e.program_id JOIN leadflow.leads l ON l.id = e.lead_id AND l.revisit_on IS NOT DISTINCT FROM e.revisit_on
WHERE e.lead_id > 500 GROUP BY 1 ORDER BY 1;
SELECT * FROM leadflow.verify();
DELETE FROM leadflow.leads WHERE id > 500;

--
-- Damage is found and repaired
--
INSERT INTO leadflow.leads (id, stage, stage_since, created_at) VALUES (998, 'lead', '2026-01-02', '2026-01-02');
SET session_replication_role = replica;
UPDATE leadflow.nurture_enrolments SET left_at = NULL, left_for = NULL WHERE lead_id = 1;
UPDATE leadflow.nurture_enrolments SET left_at = enrolled_at WHERE lead_id = 2;
UPDATE leadflow.nurture_enrolments SET lead_id = 999 WHERE lead_id = 12;
-- in a program, in stage lead, and never in nurture since
INSERT INTO leadflow.nurture_enrolments (lead_id, program_id, enrolled_at) SELECT 998, min(id), '2026-01-03' FROM leadflow.nurture_programs;
SET session_replication_role = origin;
SELECT check_name, regexp_replace(object_id, '^\d+ of ', '') AS object, kept, recomputed FROM leadflow.verify() ORDER BY 1, 2;
SELECT check_name, regexp_replace(object_id, '^\d+ of ', '') AS object, kept, recomputed FROM leadflow.reconcile() ORDER BY 1, 2;
SELECT check_name, regexp_replace(object_id, '^\d+ of ', '') AS object, kept, recomputed FROM leadflow.verify() ORDER BY 1, 2;
SELECT * FROM enrolments WHERE lead_id IN (1, 2, 998);
