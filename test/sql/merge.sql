--
-- merge_leads(): what becomes of every row, stages, clocks, limits, permissions; who may.
-- (merge_property: at random, against verify() and a lead written at once; merge_race:
-- beside others; erase: what a merge leaves is erased, too.)
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
\set VERBOSITY terse

-- Tables whose rows are a lead's.
CREATE VIEW lead_table AS
SELECT c.oid, c.relname AS name,
	coalesce((SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'lead_id'),
		(SELECT a.attname FROM pg_constraint f JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.conkey[1]
			WHERE f.conrelid = c.oid AND f.confrelid = 'leadflow.leads'::regclass LIMIT 1)) AS ref
FROM pg_class c
WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND (EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'lead_id')
		OR EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.confrelid = 'leadflow.leads'::regclass));
-- Rows of a lead in each.
CREATE FUNCTION rows_of(lead bigint) RETURNS TABLE (name name, n bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT * FROM lead_table ORDER BY lead_table.name LOOP
		RETURN QUERY EXECUTE format('SELECT %L::name, count(*) FROM leadflow.%I WHERE %I = $1', t.name, t.name, t.ref) USING lead;
	END LOOP;
END
$$;

SET leadflow.clock = '2026-03-02 09:00Z';
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(1, 'Sam', 'sam@our.example', 'sales'), (2, 'Sue', 'sue@our.example', 'sales'), (3, 'Mia', 'mia@our.example', 'marketing');
INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'spring', 'Spring'), (2, 'summer', 'Summer');
INSERT INTO leadflow.accounts (id, name, domain) VALUES (1, 'One', 'one.example');

-- ---- every row -------------------------------------------------------------
-- Lead 1 is kept; of 2 there is a row in every table.
INSERT INTO leadflow.leads (id, external_id, email, full_name, attributes, source, sourced_by, created_at) VALUES
	(1, 'crm-1', 'ann@mail.example', 'Ann', '{"a": 1, "b": 1}', 'web', 'unknown', '2026-02-10');
INSERT INTO leadflow.leads (id, external_id, email, full_name, phone, job_title, company_size, attributes, source, campaign_id, sourced_by, do_not_contact, created_at) VALUES
	(2, 'crm-2', 'Ann@One.example', 'Ann B.', '123 45 67', 'VP sales', 200, '{"b": 2, "c": 3}', 'fair', 1, 'partner', true, '2026-02-01');
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id) VALUES
	(1, '2026-03-01', '00000000-0000-0000-0000-000000000001', 'webinar_attended', 1),
	(2, '2026-03-01', '00000000-0000-0000-0000-000000000001', 'webinar_attended', 1),
	(2, '2026-03-01', '00000000-0000-0000-0000-000000000002', 'demo_request', 2),
	(2, '2026-03-01', '00000000-0000-0000-0000-000000000003', 'marketing_email', NULL);
INSERT INTO leadflow.lead_aliases VALUES ('hubspot', 'h2', 2), ('email', 'ann@old.example', 2);
INSERT INTO leadflow.lead_feedback (lead_id, member_id, rating, comment) VALUES (2, 1, 4, 'good');
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, basis) VALUES (2, 'email', 'granted', 'consent');
INSERT INTO leadflow.deals (id, lead_id, amount, status, closed_at) VALUES (1, 2, 100.01, 'won', '2026-03-02 09:00Z'), (2, 1, 50, 'won', '2026-03-02 09:00Z');
INSERT INTO leadflow.deal_contacts (deal_id, lead_id, role) VALUES (1, 1, 'user'), (2, 2, 'boss');
BEGIN;
SET LOCAL session_replication_role = replica;	-- what the engine writes
INSERT INTO leadflow.contact_reservations (lead_id, channel, at, expires_at, redeemed_at, activity_id)
VALUES (2, 'email', '2026-03-01', '2026-03-02', '2026-03-01', '00000000-0000-0000-0000-000000000003');
INSERT INTO leadflow.reviews (id, lead_id, opened_at, due_at, reason, note, closed_at, closed_by)
VALUES (-1, 2, '2026-03-01', '2026-03-08', 'no_budget', 'none', '2026-03-02', 'moved');
INSERT INTO leadflow.sla_pauses (lead_id, paused_at, until) VALUES (2, '2026-02-01', '2026-02-02');
INSERT INTO leadflow.sla_restatements (clock_id, lead_id, policy_id, restated_at, restated_by, old_state, new_state, old_due_at, new_due_at)
VALUES (-1, 2, 1, '2026-03-01', 'nobody', 'met', 'breached', '2026-02-02', '2026-02-01');
INSERT INTO leadflow.nurture_enrolments (lead_id, program_id, enrolled_at, left_at, left_for)
SELECT 2, min(id), '2026-02-01', '2026-02-02', 'lead' FROM leadflow.nurture_programs;
INSERT INTO leadflow.notifications (lead_id, event, created_at, next_attempt_at, delivered_at)
VALUES (2, 'lead.mql', '2026-03-02', '2026-03-02', '2026-03-02');
INSERT INTO leadflow.erased_leads (lead_id, erased_at) VALUES (99, '2026-03-01');	-- of somebody else
COMMIT;
-- Not a row of the duplicate in: (if this lists a table, give it one above)
SELECT name FROM rows_of(2) WHERE n = 0 AND name <> 'erased_leads';
SELECT leadflow.merge_leads(1, 2);
-- Nothing is left of it in any table.
SELECT * FROM rows_of(2) WHERE n > 0;
SELECT name FROM rows_of(1) WHERE n = 0 AND name <> 'erased_leads';
SELECT n AS activities FROM rows_of(1) WHERE name = 'activities';
SELECT * FROM leadflow.verify();
SELECT * FROM leadflow.attribution_check;
-- What is kept wins, NULLs are filled, the earlier creation counts.
SELECT id, external_id, email, full_name, phone, account_id, job_title, company_size, attributes, source, campaign_id, sourced_by,
	do_not_contact, created_at, stage, stage_reason FROM leadflow.leads;
SELECT source, key FROM leadflow.lead_aliases WHERE lead_id = 1 ORDER BY 1, 2;
SELECT deal_id, role FROM leadflow.deal_contacts ORDER BY 1;
SELECT deal_id, model, count(*), sum(credit) FROM leadflow.attribution_credits GROUP BY 1, 2 ORDER BY 1, 2;
-- The history of both, one open row.
SELECT entered_at, from_stage, to_stage, left_at, reason, merged_from FROM leadflow.stage_history WHERE lead_id = 1 ORDER BY id;

-- ---- the further stage -----------------------------------------------------
-- Rows: kept; columns: duplicate.
CREATE TABLE pair AS
SELECT k.name AS kept, d.name AS duplicate, k.position AS k, d.position AS d,
	1000 + 2 * row_number() OVER (ORDER BY k.position, d.position) AS id
FROM leadflow.stages k CROSS JOIN leadflow.stages d;
INSERT INTO leadflow.leads (id, email, stage, stage_since) SELECT id, id || '@a.example', kept, '2026-02-01' FROM pair;
INSERT INTO leadflow.leads (id, email, stage, stage_since) SELECT id + 1, id || '@b.example', duplicate, '2026-02-02' FROM pair;
SELECT count(leadflow.merge_leads(id, id + 1)) FROM pair;
SELECT p.kept,
	max(l.stage) FILTER (WHERE p.duplicate = 'lead') AS lead, max(l.stage) FILTER (WHERE p.duplicate = 'mql') AS mql,
	max(l.stage) FILTER (WHERE p.duplicate = 'sql') AS sql, max(l.stage) FILTER (WHERE p.duplicate = 'accepted') AS accepted,
	max(l.stage) FILTER (WHERE p.duplicate = 'opportunity') AS opportunity, max(l.stage) FILTER (WHERE p.duplicate = 'won') AS won,
	max(l.stage) FILTER (WHERE p.duplicate = 'lost') AS lost, max(l.stage) FILTER (WHERE p.duplicate = 'rejected') AS rejected,
	max(l.stage) FILTER (WHERE p.duplicate = 'nurture') AS nurture, max(l.stage) FILTER (WHERE p.duplicate = 'disqualified') AS out
FROM pair p JOIN leadflow.leads l ON l.id = p.id GROUP BY p.kept, p.k ORDER BY p.k;
-- It is a move of the engine at the merge, where it is one.
SELECT count(*) FILTER (WHERE l.stage <> p.kept) AS moved,
	count(*) FILTER (WHERE l.stage <> p.kept AND h.reason = 'merged' AND h.team = 'system' AND h.entered_at = leadflow.now()) AS on_record,
	count(*) FILTER (WHERE l.stage = p.kept AND h.reason IS NULL) AS stayed
FROM pair p JOIN leadflow.leads l ON l.id = p.id
JOIN leadflow.stage_history h ON h.lead_id = l.id AND h.left_at IS NULL;
SELECT * FROM leadflow.verify();

-- One that was put away as a duplicate says nothing; otherwise who is out stays out.
INSERT INTO leadflow.leads (id, email) VALUES (11, '11@a.example'), (12, '12@a.example'), (13, '13@a.example'), (14, '14@a.example');
UPDATE leadflow.leads SET stage = 'disqualified', stage_reason = CASE id WHEN 12 THEN 'duplicate' ELSE 'competitor' END WHERE id IN (12, 14);
SELECT leadflow.merge_leads(11, 12), leadflow.merge_leads(13, 14);
SELECT id, stage FROM leadflow.leads WHERE id IN (11, 13) ORDER BY id;
-- Rejected as a duplicate: what it asked for is asked for still.
INSERT INTO leadflow.leads (id, email) VALUES (15, '15@a.example'), (16, '16@a.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (16, 'demo_request');
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'duplicate', stage_by = 'sam@our.example' WHERE id = 16;
SELECT leadflow.merge_leads(15, 16);
SELECT stage, owner_id IS NOT NULL AS owned FROM leadflow.leads WHERE id = 15;
SELECT from_stage, to_stage, reason, trigger_activity_id IS NOT NULL AS triggered FROM leadflow.stage_history WHERE lead_id = 15 AND merged_from IS NULL ORDER BY id;

-- A lead that was recycled stays in its cycle, and comes back on the day that was agreed.
INSERT INTO leadflow.leads (id, email) VALUES (17, '17@a.example'), (18, '18@a.example');
UPDATE leadflow.leads SET stage = 'nurture', revisit_on = '2026-06-01' WHERE id = 18;
SELECT leadflow.merge_leads(17, 18);
SELECT l.stage, l.revisit_on, s.cycle, s.cycle_since FROM leadflow.leads l JOIN leadflow.score_state s ON s.lead_id = l.id WHERE l.id = 17;
SELECT * FROM leadflow.verify();

-- ---- points ----------------------------------------------------------------
-- Limits hold for both together: five page views a day count, however they came.
INSERT INTO leadflow.leads (id, email) VALUES (21, '21@a.example'), (22, '22@a.example');
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) SELECT 21 + i % 2, '2026-03-02 08:00Z', 'page_view' FROM generate_series(1, 8) i;
SELECT lead_id, leadflow.score(lead_id, '2026-03-02 08:00Z') FROM generate_series(21, 22) lead_id;
SELECT leadflow.merge_leads(21, 22);
SELECT leadflow.score(21, '2026-03-02 08:00Z');

-- Together they pass the gate; quietly they wait.
INSERT INTO leadflow.leads (id, email, job_title) VALUES (23, '23@a.example', 'VP sales'), (24, '24@a.example', NULL), (25, '25@a.example', 'VP sales'), (26, '26@a.example', NULL);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) SELECT 23 + i % 4, '2026-03-02 08:00Z', 'webinar_attended' FROM generate_series(0, 7) i;
SELECT id, stage FROM leadflow.leads WHERE id BETWEEN 23 AND 26 ORDER BY id;
SELECT leadflow.merge_leads(23, 24);
SET leadflow.quiet = on;
SELECT leadflow.merge_leads(25, 26);
RESET leadflow.quiet;
SELECT l.id, l.stage, v.mql_ready FROM leadflow.leads l JOIN leadflow.lead_scores v ON v.lead_id = l.id WHERE l.id IN (23, 25) ORDER BY 1;

-- The earlier MQL counts in reports.
INSERT INTO leadflow.leads (id, email, stage, stage_since, created_at) VALUES
	(27, '27@a.example', 'mql', '2026-02-20', '2026-02-20'), (28, '28@a.example', 'mql', '2026-02-10', '2026-01-10');
SELECT leadflow.merge_leads(27, 28);
SELECT mql_at FROM leadflow._lead_outcomes WHERE lead_id = 27;
SELECT created_at FROM leadflow.leads WHERE id = 27;

-- ---- hand-offs and clocks --------------------------------------------------
-- Both are with sales: one offer goes on, and of the two clocks of each promise the one
-- that is due earlier, whoever's it was.
SET leadflow.clock = '2026-03-02 09:00Z';
INSERT INTO leadflow.leads (id, email, stage) VALUES (31, '31@a.example', 'mql'), (32, '32@a.example', 'mql'), (33, '33@a.example', 'mql'), (34, '34@a.example', 'lead'), (35, '35@a.example', 'mql');
UPDATE leadflow.leads SET stage = 'sql', owner_id = 1 WHERE id IN (32, 35);
SET leadflow.clock = '2026-03-02 11:00Z';
UPDATE leadflow.leads SET stage = 'sql', owner_id = 2 WHERE id IN (31, 33);
SET leadflow.clock = '2026-03-02 12:00Z';
CREATE FUNCTION promises(lead bigint) RETURNS TABLE (metric text, member_id bigint, state text, started_at timestamptz, due_at timestamptz, stopped_at timestamptz, merged_from bigint)
LANGUAGE sql AS $$
	SELECT c.metric, c.member_id, c.state, c.started_at, c.due_at, c.stopped_at, c.merged_from FROM leadflow.sla_clocks c WHERE c.lead_id = lead ORDER BY c.metric, c.id
$$;
CREATE FUNCTION offers(lead bigint) RETURNS TABLE (offered_at timestamptz, owner_id bigint, why text, decided_at timestamptz, decision text, touches integer, merged_from bigint)
LANGUAGE sql AS $$
	SELECT h.offered_at, h.owner_id, h.why, h.decided_at, h.decision, h.touches, h.merged_from FROM leadflow.handoffs h WHERE h.lead_id = lead ORDER BY h.offered_at, h.id
$$;
SELECT leadflow.merge_leads(31, 32);
SELECT stage, stage_since, owner_id FROM leadflow.leads WHERE id = 31;
SELECT * FROM offers(31);
SELECT * FROM promises(31);
-- ... and it ends as such clocks do.
SET leadflow.clock = '2026-03-02 14:00Z';
INSERT INTO leadflow.activities (lead_id, kind, member_id) VALUES (31, 'call', 2);
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sue@our.example' WHERE id = 31;
SELECT * FROM promises(31);
SELECT * FROM offers(31);
SELECT * FROM leadflow.verify();
-- The duplicate was with sales, the lead is not yet: it is now, and the promise of then holds.
SELECT leadflow.merge_leads(34, 35);
SELECT stage, stage_since, stage_reason, owner_id FROM leadflow.leads WHERE id = 34;
SELECT * FROM offers(34);
SELECT * FROM promises(34);
-- Sales has accepted the lead: an offer of the duplicate is no question any more.
INSERT INTO leadflow.leads (id, email, stage, owner_id) VALUES (36, '36@a.example', 'accepted', 1);
SELECT leadflow.merge_leads(36, 33);
SELECT stage, owner_id FROM leadflow.leads WHERE id = 36;
SELECT * FROM offers(36);
SELECT * FROM promises(36);
SELECT * FROM leadflow.verify();

-- ---- permission ------------------------------------------------------------
INSERT INTO leadflow.leads (id, email) VALUES (41, '41@a.example'), (42, '42@a.example');
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, at) VALUES
	(41, 'email', 'granted', '2026-03-01'), (42, 'email', 'withdrawn', '2026-02-01'),	-- forbidden by one: forbidden
	(41, 'phone', 'denied', '2026-02-01'), (41, 'phone', 'granted', '2026-02-02'), (42, 'phone', 'granted', '2026-01-01'),
	(41, 'sms', 'granted', '2026-02-01'), (42, 'sms', 'denied', '2026-02-05');
SELECT leadflow.merge_leads(41, 42);
SELECT DISTINCT ON (channel) channel, status, basis, at FROM leadflow.contact_permissions WHERE lead_id = 41 ORDER BY channel, at DESC, id DESC;

-- ---- reviews ----------------------------------------------------------------
-- A case of the duplicate's goes on where the lead takes its stage, with its votes and its reason,
-- and is closed where it doesn't; of two the lead's own goes on.
SET leadflow.clock = '2026-03-03 09:00Z';
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(4, 'Max', 'max@our.example', 'marketing'), (5, 'Moe', 'moe@our.example', 'marketing');
INSERT INTO leadflow.leads (id, email, campaign_id, stage, owner_id) SELECT i, i || '@r.example', 1, 'sql', 1 FROM generate_series(71, 77) i;
INSERT INTO leadflow.leads (id, email) VALUES (70, '70@r.example');
SET leadflow.clock = '2026-03-03 10:00Z';
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_note = 'none', stage_by = 'sam@our.example' WHERE id IN (71, 73, 74, 75, 77);
SELECT votes_uphold, votes_needed, outcome FROM leadflow.review(71, 'uphold', 'max@our.example');
CREATE FUNCTION cases(lead bigint) RETURNS TABLE (reason text, note text, rejected_by bigint, opened_at timestamptz, closed_at timestamptz, closed_by text, verdict text, votes bigint, stands boolean)
LANGUAGE sql AS $$
	SELECT r.reason, r.note, r.rejected_by, r.opened_at, r.closed_at, r.closed_by, r.verdict, (SELECT count(*) FROM leadflow.review_votes v WHERE v.review_id = r.id),
		(SELECT t.stands FROM leadflow._review_tallies t WHERE t.review_id = r.id)
	FROM leadflow.reviews r WHERE r.lead_id = lead ORDER BY r.id
$$;
CREATE VIEW rejections AS
SELECT reason, rejected_by, sum(rejected) AS rejected, sum(reviewed) AS reviewed, sum(upheld) AS upheld, sum(overturned) AS overturned FROM leadflow.rejections_monthly WHERE month_start = '2026-03-01' GROUP BY 1, 2;
SELECT * FROM rejections WHERE reason = 'no_budget';
SET leadflow.clock = '2026-03-03 12:00Z';
-- nothing of its own: it is rejected now
SELECT leadflow.merge_leads(70, 71);
SELECT stage, stage_reason, stage_since FROM leadflow.leads WHERE id = 70;
SELECT * FROM cases(70);
-- with sales: the rejection was of one that is wanted
SELECT leadflow.merge_leads(72, 73);
SELECT stage FROM leadflow.leads WHERE id = 72;
SELECT * FROM cases(72);
-- both are rejected
SELECT leadflow.merge_leads(74, 75);
SELECT * FROM cases(74);
-- the lead's own, where it takes a stage that is further
SELECT leadflow.merge_leads(77, 76);
SELECT stage, owner_id FROM leadflow.leads WHERE id = 77;
SELECT * FROM cases(77);
-- A rejection is one, whoever's it was.
SELECT * FROM rejections WHERE reason = 'no_budget';
SELECT count(*) AS of_the_merge FROM rejections WHERE reason = 'merged';
SELECT reason, sum(cases) AS cases, sum(still_open) AS still_open, sum(dropped) AS dropped FROM leadflow.review_outcomes WHERE reason IN ('no_budget', 'merged') GROUP BY 1;
-- The next vote decides, by the reason that it was rejected for.
SET leadflow.clock = '2026-03-03 13:00Z';
SELECT outcome FROM leadflow.review(70, 'uphold', 'moe@our.example');
SELECT stage, stage_reason FROM leadflow.leads WHERE id = 70;
SELECT * FROM cases(70);
SELECT * FROM rejections WHERE reason = 'no_budget';
-- A rejection of the lead's own can be contested after a duplicate with younger moves was merged.
INSERT INTO leadflow.leads (id, email, stage, stage_since, stage_reason) VALUES (78, '78@r.example', 'rejected', '2026-03-01', 'no_need');
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (79, '79@r.example', 'lead', '2026-03-02');
SELECT leadflow.merge_leads(78, 79);
SELECT leadflow.contest(78, 'They do.', 'mia@our.example') IS NOT NULL AS contested;
SELECT reason, stands FROM cases(78);
SELECT * FROM leadflow.verify();

-- ---- nurture programs ---------------------------------------------------------
-- One that is in a program stays in it, from the merge on as the lead's; of two the lead's own.
INSERT INTO leadflow.nurture_programs (id, name, condition, position) VALUES
	(-1, 'budget', '$.reason == "no_budget"', 1), (-2, 'later', '$.reason == "not_now"', 2);
UPDATE leadflow.nurture_programs SET active = false WHERE id > 0;
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@n.example' FROM generate_series(81, 89) i;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'no_budget', revisit_on = CASE id WHEN 82 THEN date '2026-09-01' END WHERE id IN (82, 83, 85, 88);
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now' WHERE id = 84;
UPDATE leadflow.leads SET stage = 'nurture' WHERE id = 86;	-- no program takes it
CREATE FUNCTION programs(lead bigint) RETURNS TABLE (program text, reason text, enrolled_at timestamptz, revisit_on date, left_at timestamptz, left_for text) LANGUAGE sql AS $$
	SELECT p.name, e.reason, e.enrolled_at, e.revisit_on, e.left_at, e.left_for FROM leadflow.nurture_enrolments e JOIN leadflow.nurture_programs p ON p.id = e.program_id
	WHERE e.lead_id = lead ORDER BY e.id
$$;
SET leadflow.clock = '2026-03-04 09:00Z';
SELECT leadflow.merge_leads(81, 82);	-- takes the stage, the program and the day
SELECT stage, stage_reason, revisit_on FROM leadflow.leads WHERE id = 81;
SELECT * FROM programs(81);
SELECT leadflow.merge_leads(84, 83);	-- both are in nurture
SELECT * FROM programs(84);
SELECT leadflow.merge_leads(86, 85);	-- only the duplicate is in a program
SELECT * FROM programs(86);
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id = 87;
SELECT leadflow.merge_leads(87, 88);	-- further than nurture
SELECT stage FROM leadflow.leads WHERE id = 87;
SELECT * FROM programs(87);
SELECT leadflow.merge_leads(89, 86);
SELECT count(*) AS listed FROM leadflow.nurture_list('budget') WHERE lead_id IN (81, 84, 89);
-- It ends as such do.
SET leadflow.clock = '2026-03-05 09:00Z';
UPDATE leadflow.leads SET stage = 'lead' WHERE id IN (81, 84);
SELECT * FROM programs(81);
SELECT left_at, left_for FROM programs(84);
SELECT * FROM leadflow.verify();

-- ---- notifications -------------------------------------------------------------
-- That it is active again is told once to each who asked, of what is undelivered: to whoever has
-- it now, else what came first. All else is told, in the order in which it happened.
INSERT INTO leadflow.leads (id, email, owner_id) VALUES (91, '91@a.example', 1), (92, '92@a.example', 2), (93, '93@a.example', 1);
SELECT count(*) > 0 AS acknowledged FROM (SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications) a;
INSERT INTO leadflow.subscriptions (id, event, team) VALUES (-1, 'lead.active_again', 'leadership');
SET leadflow.clock = '2026-03-09 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (92, 'page_view');
SELECT leadflow.settle();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (93, 'page_view');
SELECT leadflow.settle();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (91, 'page_view');
SELECT leadflow.settle();
UPDATE leadflow.leads SET owner_id = 2 WHERE id = 93;	-- not with sales: nobody is told
CREATE VIEW told AS SELECT row_number() OVER (ORDER BY id) AS nth, lead_id, event, recipient_id, team, subscription_id, claimed_by FROM leadflow.notifications WHERE delivered_at IS NULL;
SELECT * FROM told ORDER BY nth;
SELECT leadflow.merge_leads(91, 92), leadflow.merge_leads(91, 93);
SELECT * FROM told ORDER BY nth;
-- One that is out with a consumer may go: its acknowledgement finds nothing.
INSERT INTO leadflow.leads (id, email, owner_id) VALUES (94, '94@a.example', 1), (95, '95@a.example', 2);
SELECT count(*) > 0 AS acknowledged FROM (SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications) a;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (95, 'page_view');
SELECT leadflow.settle();
SELECT id AS claimed FROM leadflow.claim_notifications(1, 'c') \gset
INSERT INTO leadflow.activities (lead_id, kind) VALUES (94, 'page_view');
SELECT leadflow.settle();
SELECT leadflow.merge_leads(94, 95);
SELECT * FROM told ORDER BY nth;
SELECT leadflow.ack_notifications(ARRAY[:claimed]::bigint[]);
SELECT * FROM leadflow.verify();

-- ---- who waits in a queue ---------------------------------------------------------
-- Nobody is there: leads wait. At most one offer is open after a merge, one that waits waits
-- still, and one that gets an owner is that owner's from then on.
SET leadflow.clock = '2026-03-10 09:00Z';
UPDATE leadflow.team_members SET active = false WHERE team = 'sales';
INSERT INTO leadflow.leads (id, email, stage) SELECT i, i || '@q.example', CASE WHEN i IN (101, 105, 106, 109) THEN 'lead' ELSE 'mql' END FROM generate_series(101, 110) i;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example' WHERE id IN (102, 103, 104, 107, 108);
UPDATE leadflow.team_members SET active = true WHERE team = 'sales';
UPDATE leadflow.leads SET stage = 'sql', owner_id = 2, stage_by = 'mia@our.example' WHERE id = 110;
INSERT INTO leadflow.leads (id, email, stage) VALUES (111, '111@q.example', 'sql');	-- imported: waits for nobody
CREATE FUNCTION waits(lead bigint) RETURNS TABLE (offered_at timestamptz, owner_id bigint, queue text, why text, assigned_at timestamptz, decided_at timestamptz, decision text, merged_from bigint, orphan text)
LANGUAGE sql AS $$
	SELECT h.offered_at, h.owner_id, h.queue, h.why, h.assigned_at, h.decided_at, h.decision, h.merged_from, (SELECT o.why FROM leadflow.orphaned_leads o WHERE o.lead_id = h.lead_id AND h.decided_at IS NULL)
	FROM leadflow.handoffs h WHERE h.lead_id = lead ORDER BY h.id
$$;
SET leadflow.clock = '2026-03-10 10:00Z';
SELECT leadflow.merge_leads(101, 102);	-- waits, with the lead
SELECT * FROM waits(101);
SELECT leadflow.merge_leads(103, 104);	-- both wait
SELECT * FROM waits(103);
SELECT leadflow.merge_leads(107, 110);	-- the duplicate has an owner
SELECT * FROM waits(107);
SELECT metric, member_id, stopped_at FROM leadflow.sla_clocks WHERE lead_id = 107 AND stopped_at IS NULL ORDER BY 1;
INSERT INTO leadflow.leads (id, email, stage, owner_id) VALUES (112, '112@q.example', 'accepted', 1);
SELECT leadflow.merge_leads(108, 112);	-- accepted already: its offer is decided
SELECT * FROM waits(108);
SELECT leadflow.merge_leads(105, 111);	-- imported
SELECT * FROM waits(105);
-- The next to claim gets what waits, once; the sweep the rest.
SELECT leadflow.claim_next('sales', 'sam@our.example') IN (101, 103) AS claimed;
SELECT leadflow.check_sla();
SELECT lead_id, queue, why, owner_id IS NOT NULL AS owned, assigned_at FROM leadflow.handoffs WHERE lead_id BETWEEN 101 AND 112 AND decided_at IS NULL ORDER BY 1;
SELECT leadflow.claim_next('sales', 'sam@our.example');
SELECT lead_id, why FROM leadflow.orphaned_leads WHERE lead_id > 100 AND lead_id < 200 ORDER BY 1;
SELECT * FROM leadflow.verify();

-- ---- reports ----------------------------------------------------------------------
-- What goes on counts once: offers, decisions, leads.
SET leadflow.clock = '2026-04-01 09:00Z';
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (7, 'Ria', 'ria@our.example', 'sales');
INSERT INTO leadflow.leads (id, email, stage, stage_since) SELECT i, i || '@s.example', CASE WHEN i = 121 THEN 'lead' ELSE 'mql' END, '2026-03-31' FROM generate_series(121, 124) i;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 7, stage_by = 'mia@our.example' WHERE id IN (122, 123, 124);
INSERT INTO leadflow.activities (lead_id, kind, member_id) VALUES (122, 'call', 7);
SELECT leadflow.settle();
CREATE VIEW rep AS SELECT offered, accepted, reassigned, undecided, touches, touched, touches_per_lead FROM leadflow.rep_scoreboard WHERE member_id = 7 AND month_start = '2026-04-01';
SELECT * FROM rep;
SET leadflow.clock = '2026-04-01 10:00Z';
SELECT leadflow.merge_leads(121, 122), leadflow.merge_leads(123, 124);
SELECT * FROM rep;
SET leadflow.clock = '2026-04-01 11:00Z';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'ria@our.example' WHERE id IN (121, 123);
SELECT * FROM rep;
SELECT policy, metric, clocks, met, breached, open FROM leadflow.sla_attainment_monthly WHERE member_id = 7 ORDER BY 2;
SELECT count(*), count(*) FILTER (WHERE accepted) AS accepted FROM leadflow._lead_outcomes WHERE lead_id BETWEEN 121 AND 124;
-- The brief doesn't take the present offer for an earlier one.
SELECT (string_to_array(leadflow.handoff_brief(id), E'\n'))[5] FROM leadflow.leads WHERE id IN (121, 123) ORDER BY id;
SELECT lead_id, at, what, who, detail FROM leadflow.lead_timeline WHERE lead_id = 121 ORDER BY at, step, object_id;
-- Contact: the stage that limits go by is the lead's, whatever the duplicate's history holds.
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (131, '131@s.example', 'accepted', '2026-03-01'), (132, '132@s.example', 'lead', '2026-03-20');
INSERT INTO leadflow.contact_limits (id, name, scope_stage, max_messages, per) VALUES (-1, 'not yet', 'lead', 0, '60 days');
SELECT leadflow.merge_leads(131, 132);
SELECT at::date, leadflow.may_contact(131, 'email', at) FROM (VALUES (timestamptz '2026-03-10'), ('2026-03-25'), ('2026-04-02 09:00Z')) v (at);
DELETE FROM leadflow.contact_limits WHERE id = -1;
-- Somebody unsubscribed, and both have the message: it is withdrawn once, and stays so.
INSERT INTO leadflow.leads (id, email) VALUES (141, '141@u.example'), (142, '142@u.example');
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT i, '2026-04-01', '00000000-0000-0000-0000-0000000000ff', 'unsubscribe' FROM generate_series(141, 142) i;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (142, '2026-04-01 08:00Z', 'unsubscribe');
SELECT leadflow.settle();
SELECT leadflow.merge_leads(141, 142);
SELECT channel, status, at, basis, activity_id IS NOT NULL AS derived FROM leadflow.contact_permissions WHERE lead_id = 141 ORDER BY at, id;
-- A place that was kept is kept, and counts against the limits of both.
INSERT INTO leadflow.leads (id, email) VALUES (143, '143@u.example'), (144, '144@u.example');
INSERT INTO leadflow.contact_limits (id, name, channel, max_messages, per) VALUES (-2, 'two a day', 'sms', 2, '1 day');
SELECT leadflow.reserve_contact(143, 'sms') IS NOT NULL AS kept, leadflow.reserve_contact(144, 'sms') IS NOT NULL AS kept_too;
SELECT leadflow.merge_leads(143, 144);
SELECT count(*) FROM leadflow.contact_reservations WHERE lead_id = 143 AND redeemed_at IS NULL;
SELECT leadflow.may_contact(143, 'sms');
SELECT * FROM leadflow.verify();

-- ---- again and again, and not at all ----------------------------------------
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@a.example' FROM generate_series(51, 54) i;
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'form_submit' FROM generate_series(51, 54) i;
SELECT leadflow.merge_leads(52, 51), leadflow.merge_leads(53, 52), leadflow.merge_leads(53, 54);
SELECT leadflow.find_lead('51', 'leadflow'), leadflow.find_lead('54', 'leadflow'), leadflow.find_lead('51@A.example');
SELECT merged_from, count(*) FROM leadflow.stage_history WHERE lead_id = 53 GROUP BY 1 ORDER BY 1;
BEGIN;
CREATE TABLE before AS SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM leadflow.export_lead(53) t;
SAVEPOINT s;
INSERT INTO leadflow.leads (id, email) VALUES (55, '55@a.example');
SELECT leadflow.merge_leads(53, 55);
ROLLBACK TO s;
SELECT b.md5 = md5(t::text) AS as_before FROM before b, leadflow.export_lead(53) t;
ROLLBACK;
\set VERBOSITY default
SELECT leadflow.merge_leads(53, 53);
SELECT leadflow.merge_leads(53, 51);
SELECT leadflow.merge_leads(53, 4711);
SELECT leadflow.merge_leads(53, NULL);
SELECT leadflow.erase_lead(11);
SELECT leadflow.merge_leads(53, 11);
-- Activities change their lead by merging alone.
UPDATE leadflow.activities SET lead_id = 1 WHERE lead_id = 53;
\set VERBOSITY terse
-- What a site's table refers to keeps it.
CREATE TABLE theirs (lead_id bigint REFERENCES leadflow.leads);
INSERT INTO theirs VALUES (13);
SELECT leadflow.merge_leads(53, 13);
SELECT count(*) FROM leadflow.leads WHERE id = 13;
DROP TABLE theirs;

-- ---- clocks that went on, once and again, have the start that they had --------
BEGIN;
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('merge: moves on', 'time_in_stage', '1 day');
SET LOCAL leadflow.clock = '2026-09-01 09:00+00';
INSERT INTO leadflow.leads (id, email) VALUES (201, '201@on.example'), (204, '204@on.example');
SET LOCAL leadflow.clock = '2026-09-01 10:00+00';
INSERT INTO leadflow.leads (id, email) VALUES (202, '202@on.example'), (203, '203@on.example'), (205, '205@on.example');
SELECT leadflow.merge_leads(205, 204);
SELECT leadflow.move(201, 'accepted');
SET LOCAL leadflow.clock = '2026-09-01 11:00+00';
SELECT leadflow.merge_leads(202, 201), leadflow.merge_leads(203, 202);
SELECT * FROM leadflow.verify() WHERE check_name LIKE 'sla%';
ROLLBACK;

-- ---- who may ----------------------------------------------------------------
SELECT count(*) > 0 AS made FROM leadflow.setup_roles('leadflow_merge_test');
CREATE ROLE leadflow_merge_mia IN ROLE leadflow_merge_test_marketing;
CREATE ROLE leadflow_merge_sam IN ROLE leadflow_merge_test_sales;
UPDATE leadflow.team_members SET db_role = 'leadflow_merge_mia' WHERE id = 3;
UPDATE leadflow.team_members SET db_role = 'leadflow_merge_sam' WHERE id = 1;
INSERT INTO leadflow.leads (id, email) VALUES (61, '61@a.example'), (62, '62@a.example'), (63, '63@a.example');
SET ROLE leadflow_merge_sam;
SELECT leadflow.merge_leads(61, 62);
SET ROLE leadflow_merge_mia;
SELECT leadflow.merge_leads(61, 62);
SELECT leadflow.erase_lead(61);
SELECT leadflow.export_lead(61);
RESET ROLE;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON leadflow.leads USING (id <> 63);
SET ROLE leadflow_merge_mia;
SELECT leadflow.merge_leads(61, 63);
SELECT leadflow.find_lead('63@a.example'), leadflow.find_lead('61@a.example');
RESET ROLE;
DROP POLICY theirs ON leadflow.leads;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
SELECT * FROM leadflow.verify();

DROP OWNED BY leadflow_merge_mia, leadflow_merge_sam, leadflow_merge_test_reader, leadflow_merge_test_reviewer, leadflow_merge_test_marketing, leadflow_merge_test_sales, leadflow_merge_test_app, leadflow_merge_test_admin;
DROP ROLE leadflow_merge_mia, leadflow_merge_sam, leadflow_merge_test_reader, leadflow_merge_test_reviewer, leadflow_merge_test_marketing, leadflow_merge_test_sales, leadflow_merge_test_app, leadflow_merge_test_admin;

-- ---- whose time a clock counts, that goes on --------------------------------
-- By the duplicate's pauses and owners up to the merge, by the lead's after it. Ann is there from 8:00 to 16:00, Bob from 12:00 to 20:00.
SET leadflow.clock = '2026-06-01 09:00Z';
INSERT INTO leadflow.calendars (id, name) VALUES (101, 'early'), (102, 'late');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
SELECT c, d, o, o + interval '8 hours' FROM (VALUES (101, time '08:00'), (102, '12:00')) h (c, o), generate_series(1, 5) d;
INSERT INTO leadflow.team_members (id, full_name, email, team, calendar_id) VALUES
	(901, 'Ann', 'ann@our.example', 'sales', 101), (902, 'Bob', 'bob@our.example', 'sales', 102);
UPDATE leadflow.sla_policies SET valid = '[2020-01-01,2020-01-02)' WHERE upper_inf(valid);
INSERT INTO leadflow.sla_policies (name, metric, target, warn_fraction) VALUES ('touch by hours', 'time_to_first_touch', '4 hours', 0.5);
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('answer by hours', 'next_response', '3 hours');
INSERT INTO leadflow.leads (id, email, stage) SELECT i, i || '@h.example', 'mql' FROM generate_series(901, 908) i;
CREATE FUNCTION counts(lead bigint) RETURNS TABLE (metric text, member_id bigint, state text, started_at timestamptz, carried interval, counted_from timestamptz, due_at timestamptz, stopped_at timestamptz, merged_from bigint, ran_in bigint[])
LANGUAGE sql AS $$
	SELECT c.metric, c.member_id, c.state, c.started_at, c.carried, c.counted_from, c.due_at, c.stopped_at, c.merged_from, c.ran_in FROM leadflow.sla_clocks c WHERE c.lead_id = lead ORDER BY c.started_at, c.metric, c.id
$$;
CREATE FUNCTION paused(lead bigint) RETURNS TABLE (paused_at timestamptz, until timestamptz, merged_from bigint)
LANGUAGE sql AS $$
	SELECT p.paused_at, p.until, p.merged_from FROM leadflow.sla_pauses p WHERE p.lead_id = lead ORDER BY p.paused_at, p.merged_from NULLS LAST, p.id
$$;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 901 WHERE id IN (902, 904, 905);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (902, 'demo_request');
SET leadflow.clock = '2026-06-01 10:00Z';
UPDATE leadflow.leads SET stage = 'sql', owner_id = 902 WHERE id IN (901, 903);
SET leadflow.clock = '2026-06-01 11:00Z';
SELECT leadflow.pause_sla(902, '2026-06-01 10:00Z', 'his', '2026-06-01 09:30Z'), leadflow.pause_sla(901, '2026-06-01 10:45Z', 'ours', '2026-06-01 10:15Z');
SELECT leadflow.merge_leads(901, 902);
SELECT * FROM counts(901);
SELECT * FROM paused(901);
SELECT * FROM leadflow.verify();
-- What is said later of hours and pauses counts likewise.
UPDATE leadflow.calendar_hours SET opens = '09:15' WHERE calendar_id = 101;
SELECT leadflow.pause_sla(901, '2026-06-01 12:30Z', 'ours', '2026-06-01 10:50Z');
SELECT * FROM counts(901);
SELECT * FROM leadflow.verify();
-- A pause of the duplicate without an end ends with it; where its stage is taken, the lead stands still with it.
SELECT leadflow.pause_sla(904), leadflow.pause_sla(905, '2026-06-01 12:30Z');
SET leadflow.clock = '2026-06-01 12:00Z';
SELECT leadflow.merge_leads(903, 904);
SELECT leadflow.merge_leads(906, 905);
SELECT * FROM counts(903);
SELECT * FROM paused(903);
SELECT * FROM counts(906);
SELECT * FROM paused(906);
SELECT * FROM leadflow.verify();
-- Merged once more: each history in its time.
SET leadflow.clock = '2026-06-01 13:00Z';
UPDATE leadflow.leads SET stage = 'sql', owner_id = 901 WHERE id = 907;
SELECT leadflow.pause_sla(901, '2026-06-01 14:00Z'), leadflow.pause_sla(907, '2026-06-01 20:00Z');
SET leadflow.clock = '2026-06-01 13:30Z';
SELECT leadflow.merge_leads(907, 901);
SELECT * FROM counts(907);
SELECT * FROM paused(907);
SELECT * FROM leadflow.verify();
UPDATE leadflow.calendar_hours SET opens = '09:30' WHERE calendar_id = 101;
SELECT * FROM counts(907);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (907, '2026-06-01 10:30Z', 'call');	-- before the merge
SELECT * FROM counts(907);
SELECT * FROM leadflow.verify();
