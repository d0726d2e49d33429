--
-- What people read before they act: handoff_brief() and my_day().
--
SET timezone = 'Pacific/Auckland';	-- not the site's
SET datestyle = 'German';
SET client_min_messages = warning;
UPDATE leadflow.settings SET time_zone = 'Europe/Berlin';
SET leadflow.clock = '2026-03-02 09:00Z';

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(911, 'Mara', 'mara@example.com', 'marketing'), (912, 'Sam', 'sam@example.com', 'sales'),
	(913, 'Sara', 'sara@example.com', 'sales'), (914, 'Max', 'max@example.com', 'marketing');
INSERT INTO leadflow.accounts (id, name, domain, status) VALUES (931, 'Acme', 'acme.example', 'customer');
INSERT INTO leadflow.campaigns (id, code, name, owner_id) VALUES (921, 'spring', 'Spring fair', 911);

--
-- handoff_brief: five lines, whatever there is
--
INSERT INTO leadflow.leads (id, created_at) VALUES (1, '2026-01-01 00:00Z');
SELECT leadflow.handoff_brief(1);
-- nobody that we know, or nobody at all
SELECT leadflow.handoff_brief(-1) IS NULL AS unknown, leadflow.handoff_brief(NULL) IS NULL AS null;

-- A lead raises its hand: the engine hands it over, and the brief says what it did.
INSERT INTO leadflow.leads (id, email, full_name, job_title, phone, company_size, campaign_id, owner_id, created_at) VALUES
	(2, 'ann@acme.example', 'Ann', 'VP Sales', '+41 44 1', 60, 921, 912, '2026-01-31 22:59Z');
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, campaign_id) VALUES
	(2, '2026-02-01 09:00Z', 'content_download', 'Buyer''s guide', 921), (2, '2026-02-02 09:00Z', 'page_view', '/pricing', 921),
	(2, '2026-02-03 09:00Z', 'page_view', '/pricing', 921), (2, '2026-02-04 09:00Z', 'page_view', '/about', 921),
	(2, '2026-02-05 09:00Z', 'page_view', '', 921), (2, '2026-02-06 09:00Z', 'note', 'our own note', NULL);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, voided_at, void_reason) VALUES
	(2, '2026-02-07 09:00Z', 'page_view', '/bot', '2026-02-08Z', 'bot');
INSERT INTO leadflow.activities (lead_id, kind, content, campaign_id) VALUES (2, 'demo_request', 'Demo', 921);
SELECT stage, owner_id FROM leadflow.leads WHERE id = 2;
SELECT leadflow.handoff_brief(2);
-- the notification says the same when it is sent, and nothing of it is stored
SELECT count(leadflow.ack_notifications(ARRAY[id])) AS before FROM leadflow.claim_notifications(100, 'test') WHERE event <> 'lead.handed_off';
SELECT event, payload ->> 'brief' = leadflow.handoff_brief(2) AS the_same FROM leadflow.claim_notifications(100, 'test') WHERE lead_id = 2;
SELECT count(*) AS stored FROM leadflow.notifications WHERE payload ? 'brief';
-- what it did since is told, too
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) VALUES (2, '2026-03-02 09:03Z', 'page_view', '/docs');
SELECT (string_to_array(leadflow.handoff_brief(2), E'\n'))[2:3];

-- Who tried before, and colleagues: those in sales' hands come first, the lead itself never.
SET leadflow.clock = '2026-03-03 09:00Z';
INSERT INTO leadflow.leads (id, email, full_name, created_at, owner_id) VALUES
	(3, 'bob@acme.example', 'Bob', '2026-02-01Z', NULL), (4, 'cy@acme.example', NULL, '2026-02-02Z', 913),
	(5, NULL, 'Dee', '2026-02-03Z', NULL), (6, 'eve@acme.example', 'Eve', '2026-02-04Z', NULL), (7, 'fay@acme.example', 'Fay', '2026-02-05Z', NULL);
UPDATE leadflow.leads SET account_id = 931 WHERE id = 5;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sara@example.com' WHERE id = 4;
SELECT (string_to_array(leadflow.handoff_brief(2), E'\n'))[4];
SELECT (string_to_array(leadflow.handoff_brief(4), E'\n'))[4];
DELETE FROM leadflow.leads WHERE id IN (6, 7);
SELECT (string_to_array(leadflow.handoff_brief(2), E'\n'))[4];
DELETE FROM leadflow.leads WHERE id IN (3, 5);
INSERT INTO leadflow.activities (lead_id, kind, member_id) VALUES (2, 'call', 912), (2, 'email_sent', 912);
UPDATE leadflow.leads SET owner_id = 913 WHERE id = 2;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, member_id) VALUES (2, '2026-03-03 09:01Z', 'call', 913);
SET leadflow.clock = '2026-03-04 09:00Z';
SELECT (string_to_array(leadflow.handoff_brief(2), E'\n'))[5];
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-06-01', stage_by = 'sara@example.com' WHERE id = 2;
SELECT (string_to_array(leadflow.handoff_brief(2), E'\n'))[5];
-- what it did once is no reason to call now
SELECT (string_to_array(leadflow.handoff_brief(2), E'\n'))[2];
SET leadflow.clock = '2026-03-05 23:30Z';
-- handed over by a person, though the engine takes it the last step
UPDATE leadflow.leads SET stage = 'mql', stage_note = E'Budget is there.\nCall before noon.', stage_by = 'mara@example.com' WHERE id = 2;
SELECT to_stage, team, note IS NOT NULL AS note FROM leadflow.stage_history WHERE lead_id = 2 ORDER BY entered_at DESC, id DESC LIMIT 2;
SELECT leadflow.handoff_brief(2);
-- A program that it is still in
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', stage_by = 'mara@example.com' WHERE id = 1;
SELECT (string_to_array(leadflow.handoff_brief(id), E'\n'))[5] FROM leadflow.leads WHERE id IN (1, 2) ORDER BY id;

-- Back with sales after a rejection: by the reason itself, or because reviewers have overturned it.
BEGIN;
INSERT INTO leadflow.leads (id, full_name, stage, stage_since, owner_id, created_at) VALUES (8, 'Gus', 'sql', '2026-03-01Z', 912, '2026-02-01Z'), (9, 'Hal', 'sql', '2026-03-01Z', 912, '2026-02-01Z');
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (915, 'Mo', 'mo@example.com', 'marketing');
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = CASE id WHEN 8 THEN 'wrong_territory' ELSE 'no_budget' END, stage_note = 'So it is.', stage_by = 'sam@example.com' WHERE id IN (8, 9);
SELECT stage FROM leadflow.leads WHERE id = 8;
SELECT outcome FROM leadflow.review(9, 'overturn', 'max@example.com');
SELECT outcome, stage FROM leadflow.review(9, 'overturn', 'mo@example.com');
SELECT (string_to_array(leadflow.handoff_brief(id), E'\n'))[2] FROM leadflow.leads WHERE id IN (8, 9) ORDER BY id;
ROLLBACK;

-- Five lines whatever the texts hold, and the same in every session.
UPDATE leadflow.leads SET full_name = E'Ann\r\nof\fAcme', do_not_contact = true WHERE id = 2;
SELECT (string_to_array(leadflow.handoff_brief(2), E'\n'))[1];
SELECT count(*) AS lines FROM regexp_split_to_table(leadflow.handoff_brief(2), '[\n\r\f]');
CREATE TEMP TABLE before AS SELECT id, leadflow.handoff_brief(id) AS brief FROM leadflow.leads;
BEGIN;
SET LOCAL timezone = 'America/Lima';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL extra_float_digits = -10;
SELECT count(*) AS differ FROM before WHERE brief IS DISTINCT FROM leadflow.handoff_brief(id);
ROLLBACK;

-- Of many at once it is the same.
INSERT INTO leadflow.leads (id, email, full_name, stage, stage_since, account_id, owner_id, created_at)
SELECT i, 'p' || i || '@x.example', 'P ' || i, (ARRAY['lead', 'mql', 'sql', 'accepted', 'nurture', 'won'])[1 + i % 6],
	timestamptz '2026-03-01Z' + i * interval '1 min', CASE WHEN i % 3 = 0 THEN 931 END, CASE WHEN i % 2 = 0 THEN 912 END, '2026-01-01Z'
FROM generate_series(1001, 1100) i;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content)
SELECT 1001 + i % 90, timestamptz '2026-03-01Z' + i * interval '1 min', CASE i % 4 WHEN 0 THEN 'call' WHEN 1 THEN 'cta_click' ELSE 'page_view' END, '/' || i % 5
FROM generate_series(1, 500) i;
SELECT count(*) AS briefs, count(*) FILTER (WHERE brief IS DISTINCT FROM leadflow.handoff_brief(lead_id)) AS differ,
	count(*) FILTER (WHERE brief !~ '^Who: [^\n]+\nWhy now: [^\n]+\nRead: [^\n]+\nAccount: [^\n]+\nBefore: [^\n]+$') AS malformed
FROM leadflow._handoff_briefs((SELECT array_agg(id) || ARRAY[NULL, -1, 2]::bigint[] FROM leadflow.leads));
SELECT count(*) FROM leadflow._handoff_briefs('{}');
SELECT count(*) FROM leadflow._handoff_briefs(NULL);

-- Row-level security on leads: nothing of a lead that the caller cannot see, nor of its colleagues.
CREATE ROLE regress_leadflow_reader;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA leadflow TO regress_leadflow_reader;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_two ON leadflow.leads FOR SELECT USING (id = 2);
SET ROLE regress_leadflow_reader;
SELECT leadflow.handoff_brief(4) IS NULL AS hidden, (string_to_array(leadflow.handoff_brief(2), E'\n'))[4] AS colleagues;
RESET ROLE;
DROP POLICY only_two ON leadflow.leads;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;

--
-- my_day
--
DELETE FROM leadflow.activities WHERE lead_id > 1000;
DELETE FROM leadflow.leads WHERE id > 1000;
SET datestyle = 'ISO, YMD';
CREATE FUNCTION pg_temp.day(member bigint, at timestamptz DEFAULT leadflow.now())
RETURNS TABLE (kind text, lead_id bigint, stage text, due text, since text, what text) LANGUAGE sql AS $$
	SELECT kind, lead_id, stage, to_char(due_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), to_char(since_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), what
	FROM leadflow.my_day($1, $2)
$$;
SELECT * FROM leadflow.my_day(914);
INSERT INTO leadflow.sla_policies (id, name, metric, target, priority) VALUES (941, 'Decide', 'time_to_accept', '30 hours', 10), (942, 'Call', 'time_to_first_touch', '1 hour', 10);
SET leadflow.clock = '2026-04-01 09:00Z';
-- 21: offered yesterday, the call overdue; 22: offered just now; 23: accepted, hot, wrote; 24: accepted, hot, not touched for days
INSERT INTO leadflow.leads (id, full_name, company, job_title, company_size, campaign_id, owner_id, stage, stage_since, created_at) VALUES
	(21, 'Lea', 'Leaco', 'CEO', 60, 921, 912, 'mql', '2026-03-01Z', '2026-03-01Z'), (22, 'Max', 'Maxco', 'CEO', 60, 921, 912, 'mql', '2026-03-01Z', '2026-03-01Z'),
	(23, 'Nic', NULL, 'CEO', 60, NULL, 912, 'accepted', '2026-03-20Z', '2026-03-01Z'), (24, 'Oda', NULL, 'CEO', 60, NULL, 912, 'accepted', '2026-03-20Z', '2026-03-01Z');
SET leadflow.quiet = on;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) SELECT i, '2026-03-25Z', 'content_download' FROM unnest('{21,23,24}'::bigint[]) i, generate_series(1, 6);
RESET leadflow.quiet;
SET leadflow.clock = '2026-03-31 09:00Z';
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE id = 21;
SET leadflow.clock = '2026-04-01 09:00Z';
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE id = 22;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, member_id) VALUES
	(23, '2026-03-31 08:00Z', 'call', NULL, 912), (23, '2026-03-31 10:00Z', 'email_reply', 'Re: hello', NULL), (24, '2026-03-26 10:00Z', 'call', NULL, 912);
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-04-09', stage_by = 'sara@example.com' WHERE id = 2;
UPDATE leadflow.leads SET owner_id = 912 WHERE id = 2;
SELECT * FROM pg_temp.day(912);
-- later that day, and when the week has come
SELECT * FROM pg_temp.day(912, '2026-04-01 20:00Z');
SELECT * FROM pg_temp.day(912, '2026-04-02 22:00Z') WHERE kind = 'revisit';
SELECT bool_and(d.score = leadflow.score(d.lead_id, '2026-04-02Z') AND d.full_name IS NOT DISTINCT FROM l.full_name AND d.stage = l.stage) AS as_of
FROM leadflow.my_day(912, '2026-04-02Z') d JOIN leadflow.leads l ON l.id = d.lead_id;
-- A touch answers and warms; a decision settles.
INSERT INTO leadflow.activities (lead_id, kind, member_id) VALUES (23, 'email_sent', 912), (24, 'call', 912), (21, 'call', 912), (22, 'call', 912);
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE id = 21;
SELECT * FROM pg_temp.day(912);

-- Marketing: MQLs that nobody handed over, what was rejected, who comes back, who is nearly there.
INSERT INTO leadflow.leads (id, full_name, job_title, company_size, campaign_id, stage, stage_since, created_at) VALUES
	(31, 'Pia', NULL, NULL, 921, 'mql', '2026-03-20Z', '2026-03-01Z'), (32, 'Quin', 'CEO', 60, 921, 'lead', '2026-03-20Z', '2026-03-01Z'),
	(33, 'Ray', NULL, NULL, 921, 'accepted', '2026-03-20Z', '2026-03-01Z');
UPDATE leadflow.leads SET owner_id = 912 WHERE id = 33;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_need', stage_note = 'Not at all.', stage_by = 'sam@example.com' WHERE id = 33;
SELECT * FROM pg_temp.day(911);
-- Who may vote: neither who rejected it or had it, nor whose campaign it is, nor who never votes.
SELECT m.full_name, d.* FROM leadflow.team_members m, LATERAL pg_temp.day(m.id) d WHERE d.kind = 'vote' ORDER BY m.id;
SELECT leadflow.contest(33, 'They do.', 'mara@example.com') IS NOT NULL AS contested;
SELECT m.full_name, d.kind, d.what FROM leadflow.team_members m, LATERAL pg_temp.day(m.id) d WHERE d.kind IN ('vote', 'contest') ORDER BY m.id;
UPDATE leadflow.team_members SET reviewer = false WHERE id = 914;
SELECT count(*) FROM leadflow.my_day(914);
UPDATE leadflow.team_members SET reviewer = true WHERE id = 914;
SELECT outcome FROM leadflow.review(33, 'uphold', 'max@example.com');
SELECT count(*) FROM leadflow.my_day(914);

-- What waits in a queue is there for its members.
UPDATE leadflow.team_members SET active = false WHERE team = 'sales';
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE id = 31;
UPDATE leadflow.team_members SET active = true WHERE team = 'sales';
SELECT m.full_name, d.* FROM leadflow.team_members m, LATERAL pg_temp.day(m.id) d WHERE d.kind = 'claim' ORDER BY m.id;
INSERT INTO leadflow.queue_members (queue_id, member_id) SELECT id, 913 FROM leadflow.queues WHERE name = 'sales';
SELECT m.full_name FROM leadflow.team_members m, LATERAL pg_temp.day(m.id) d WHERE d.kind = 'claim' ORDER BY m.id;

-- Bad input
SELECT * FROM leadflow.my_day(-1);
SELECT * FROM leadflow.my_day(NULL);
SELECT * FROM leadflow.my_day(912, 'infinity');
SELECT * FROM leadflow.my_day(912, NULL);

-- Only what the caller sees
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_23 ON leadflow.leads FOR SELECT USING (id IN (2, 23));
SET ROLE regress_leadflow_reader;
SELECT kind, lead_id FROM leadflow.my_day(912, '2026-04-02 22:00Z');
RESET ROLE;
DROP POLICY only_23 ON leadflow.leads;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON ALL TABLES IN SCHEMA leadflow FROM regress_leadflow_reader;
REVOKE ALL ON SCHEMA leadflow FROM regress_leadflow_reader;
DROP ROLE regress_leadflow_reader;
SELECT * FROM leadflow.verify();
