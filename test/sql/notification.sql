--
-- Notifications: who is told of what, in the same transaction; claims, leases, back-off and
-- dead letters.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';
\set VERBOSITY terse

-- What was told since the last look.
CREATE TABLE public.looked (id bigint NOT NULL);
INSERT INTO public.looked VALUES (0);
CREATE FUNCTION told() RETURNS TABLE (lead bigint, event text, told text, channel text, subscribed boolean)
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT n.lead_id, n.event, coalesce(m.full_name, 'queue ' || n.queue, 'team ' || n.team), n.channel,
		n.subscription_id IS NOT NULL
	FROM leadflow.notifications n LEFT JOIN leadflow.team_members m ON m.id = n.recipient_id
	WHERE n.id > (SELECT l.id FROM public.looked l) ORDER BY n.id;
	UPDATE public.looked l SET id = (SELECT coalesce(max(n.id), l.id) FROM leadflow.notifications n);
END $$;
-- A model of our own: a page is 10 points that halve in a day, a demo raises the hand; 30 are an
-- MQL, 50 go on to sales, 71 are hot. Nothing of it is agreed on.
DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT tgrelid FROM pg_trigger WHERE tgname = 'agreement' LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER agreement', t);
	END LOOP;
END $$;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, mql_threshold, handoff_threshold) VALUES (900, 'pages', 30, 50);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, max_points, half_life) VALUES
	(901, 900, 'pages', 'engagement', 1000, '1 day'), (902, 900, 'fit', 'fit', 20, NULL);
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, hand_raise, condition) VALUES
	(900, 901, 'page', 'page_view', 10, false, NULL),
	(900, 901, 'big page', 'page_view', 90, false, '$.content == "/prices"'),
	(900, 901, 'demo', 'demo_request', 1, true, NULL);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (903, 900, 'boss');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (903, 'title', '$.job_title == "boss"', 15);
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;

INSERT INTO leadflow.team_members (id, full_name, email, team, active, booking_url) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true, NULL),
	(12, 'Sam', 'sam@our.example', 'sales', true, 'https://book.example/sam'),
	(13, 'Sue', 'sue@our.example', 'sales', true, NULL),
	(14, 'Gone', 'gone@our.example', 'marketing', false, NULL),
	(15, 'Lea', 'lea@our.example', 'leadership', true, NULL);
INSERT INTO leadflow.campaigns (id, code, name, owner_id) VALUES
	(21, 'spring', 'Spring', 11), (22, 'autumn', 'Autumn', 14), (23, 'none', 'None', NULL);
INSERT INTO leadflow.accounts (id, name, domain, owner_id, status) VALUES
	(31, 'Client', 'client.example', 13, 'customer'), (32, 'Prospect', 'prospect.example', 13, 'prospect'),
	(33, 'Orphan', 'orphan.example', NULL, 'customer');
DELETE FROM leadflow.sla_policies;

--
-- Moves: the owner, else the queue, else the team; of a decision, the other side.
--
INSERT INTO leadflow.leads (id, email, campaign_id) VALUES (1, '1@one.example', 21), (2, '2@one.example', 22), (3, '3@one.example', 23), (4, '4@one.example', NULL);
SELECT * FROM told();
UPDATE leadflow.leads SET owner_id = 12 WHERE id = 1;
SELECT * FROM told();
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id IN (1, 2);
SELECT * FROM told();
-- turns: 1 has an owner
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example' WHERE id IN (1, 2);
SELECT * FROM told();
SELECT lead_id, payload FROM leadflow.notifications WHERE event = 'lead.handed_off' ORDER BY id;
SELECT leadflow.move(1, 'accepted', actor => 'sam@our.example');
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_note = 'not "this" year', stage_by = 'sue@our.example' WHERE id = 2;
SELECT * FROM told();
SELECT lead_id, payload FROM leadflow.notifications WHERE event IN ('lead.accepted', 'lead.rejected') ORDER BY id;
-- who has left is not told
UPDATE leadflow.leads SET owner_id = 14 WHERE id = 3;
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id = 3;
SELECT * FROM told();
-- nobody of sales is there
UPDATE leadflow.team_members SET active = false WHERE team = 'sales';
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example' WHERE id = 3;
SELECT * FROM told();
UPDATE leadflow.team_members SET active = true WHERE team = 'sales';
-- another owner
UPDATE leadflow.leads SET owner_id = 13 WHERE id IN (1, 3, 4);
SELECT * FROM told();
-- another owner by the way: chosen by somebody else, or by himself
INSERT INTO leadflow.leads (id, email) VALUES (5, '5@one.example'), (6, '6@one.example');
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id IN (5, 6);
UPDATE leadflow.leads SET stage = 'sql', owner_id = 12, stage_by = 'mia@our.example' WHERE id IN (5, 6);
SELECT * FROM told() WHERE event <> 'lead.mql';
UPDATE leadflow.leads SET stage = 'accepted', owner_id = CASE id WHEN 5 THEN 12 ELSE 13 END, stage_by = 'sue@our.example' WHERE id IN (5, 6);
SELECT * FROM told();
UPDATE leadflow.leads SET stage = 'opportunity', owner_id = 13, stage_by = 'lea@our.example' WHERE id = 5;
SELECT * FROM told();
-- back from nurture
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-03-05', stage_by = 'sue@our.example' WHERE id IN (1, 3);
SELECT * FROM told();
SET leadflow.clock = '2026-03-05 09:00Z';
SELECT revisited FROM leadflow.check_sla();
SELECT * FROM told();

--
-- Nobody is told of a quiet load or of imports, nor of what was rolled back.
--
BEGIN;
SET LOCAL leadflow.quiet = on;
INSERT INTO leadflow.leads (id, email) VALUES (41, '41@one.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (41, 'demo_request');
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 4;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 4;
UPDATE leadflow.leads SET owner_id = 12 WHERE id = 4;
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, status, closed_at) VALUES (76, 4, 'Old', 10, 'EUR', 'won', '2025-03-05');
COMMIT;
INSERT INTO leadflow.leads (id, email, stage, owner_id) VALUES (42, '42@one.example', 'sql', 12), (43, '43@one.example', 'accepted', 12);
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) SELECT 42, 'page_view';
SELECT leadflow.settle();
UPDATE leadflow.leads SET owner_id = 13 WHERE id = 43;
ROLLBACK;
SELECT * FROM told();
SELECT stage FROM leadflow.promote_ready();
SELECT * FROM told();
-- of a savepoint that was rolled back nothing is left, of others everything
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@one.example' FROM generate_series(44, 46) i;
BEGIN;
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (44, 'demo_request');
SELECT leadflow.settle();
ROLLBACK TO a;
SAVEPOINT b;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (45, 'demo_request');
RELEASE b;
SAVEPOINT c;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (46, 'demo_request');
ROLLBACK TO c;
COMMIT;
SELECT * FROM told();

--
-- Hot: when it gets there, by what happened.
--
INSERT INTO leadflow.leads (id, email) VALUES (51, '51@one.example'), (52, '52@one.example');
INSERT INTO leadflow.activities (lead_id, kind) SELECT 51, 'page_view' FROM generate_series(1, 7);
SELECT * FROM told();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (51, 'page_view');
SELECT * FROM told();
SELECT payload FROM leadflow.notifications WHERE event = 'lead.hot';
-- hot is hot
INSERT INTO leadflow.activities (lead_id, kind) VALUES (51, 'webinar_attended'), (51, 'page_view');
SELECT * FROM told() WHERE event <> 'lead.active_again';
-- it cools down by itself, and is hot once more
SET leadflow.clock = '2026-03-06 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (51, 'webinar_attended');
SELECT * FROM told() WHERE event <> 'lead.active_again';
INSERT INTO leadflow.activities (lead_id, kind) SELECT 51, 'page_view' FROM generate_series(1, 4);
SELECT * FROM told() WHERE event <> 'lead.active_again';
-- what is late counts as much as it does now
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) VALUES (52, '2026-02-20', 'page_view', '/prices');
SELECT * FROM told();
-- nobody's, promoted and hot at once: whoever it was handed to
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (52, 'page_view', '/prices');
SELECT * FROM told();
-- attributes do it, too; voids and decay don't
INSERT INTO leadflow.leads (id, email, stage) VALUES (53, '53@one.example', 'disqualified');
INSERT INTO leadflow.activities (lead_id, kind) SELECT 53, 'page_view' FROM generate_series(1, 6);
UPDATE leadflow.leads SET job_title = 'boss' WHERE id = 53;
SELECT * FROM told();
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 53;
SELECT * FROM told();

--
-- Active again: somebody's lead, or a customer's; once while undelivered, and not of what promotes it.
--
INSERT INTO leadflow.leads (id, email, owner_id) VALUES (61, '61@client.example', NULL), (62, '62@prospect.example', NULL), (63, '63@orphan.example', NULL),
	(64, '64@prospect.example', 12), (65, '65@client.example', 12);
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'webinar_attended' FROM generate_series(61, 65) i;
SELECT * FROM told();
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'webinar_attended' FROM generate_series(61, 65) i, generate_series(1, 3);
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'call' FROM generate_series(61, 65) i;
SELECT * FROM told();
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications WHERE lead_id IN (61, 64);
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'call' FROM generate_series(61, 65) i;
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'note' FROM generate_series(61, 65) i;
SELECT * FROM told();
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'webinar_attended' FROM generate_series(61, 65) i;
SELECT * FROM told();
-- an account that becomes a customer, one that stops being one, an owner who goes
UPDATE leadflow.accounts SET status = 'customer' WHERE id = 32;
UPDATE leadflow.accounts SET status = 'former' WHERE id = 31;
UPDATE leadflow.leads SET owner_id = NULL WHERE id = 65;
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications WHERE event = 'lead.active_again';
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'webinar_attended' FROM generate_series(61, 65) i;
SELECT * FROM told();
-- a lead that joins a customer's account
INSERT INTO leadflow.leads (id, email) VALUES (66, '66@nowhere.example');
UPDATE leadflow.leads SET account_id = 32 WHERE id = 66;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (66, 'webinar_attended');
SELECT * FROM told();
-- in the transaction in which everything begins
BEGIN;
INSERT INTO leadflow.accounts (id, name, domain, owner_id, status) VALUES (34, 'New', 'new.example', 12, 'customer');
INSERT INTO leadflow.leads (id, email) VALUES (67, '67@new.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (67, 'webinar_attended');
COMMIT;
SELECT * FROM told();
-- what promotes it is told as such
INSERT INTO leadflow.leads (id, email, owner_id) VALUES (68, '68@one.example', 12);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (68, 'demo_request');
SELECT * FROM told();
-- the contact of an open deal does not become an MQL; the deal's owner is told
INSERT INTO leadflow.leads (id, email) VALUES (69, '69@one.example'), (70, '70@one.example');
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, owner_id) VALUES (71, 70, 'Big', 1000, 'EUR', 13);
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) VALUES (71, 69);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (69, 'page_view');
SELECT * FROM told();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (69, 'demo_request');
SELECT * FROM told();
SELECT payload - 'score' AS payload FROM leadflow.notifications WHERE lead_id = 69;
SELECT stage FROM leadflow.leads WHERE id = 69;

--
-- Deals.
--
UPDATE leadflow.deals SET status = 'won' WHERE id = 71;
UPDATE leadflow.deals SET name = 'Bigger' WHERE id = 71;
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, status, closed_at, owner_id, corrects_deal_id) VALUES
	(72, 1, 'Done', 10.5, 'EUR', 'won', '2026-03-05', NULL, NULL), (73, NULL, 'Whose?', 10, 'EUR', 'won', '2026-03-05', 12, NULL),
	(74, 70, 'Refund', -100, 'EUR', 'won', '2026-03-05', 12, 71), (75, 1, 'Lost', 10, 'EUR', 'lost', '2026-03-05', 12, NULL);
SELECT * FROM told() WHERE event NOT LIKE 'lead.%';
SELECT payload FROM leadflow.notifications WHERE event = 'deal.won' ORDER BY id;
UPDATE leadflow.deals SET lead_id = 2 WHERE id = 73;
UPDATE leadflow.deals SET lead_id = 3 WHERE id = 73;
SELECT * FROM told() WHERE event NOT LIKE 'lead.%';

--
-- Service levels: the clock's member, else the queue.
--
INSERT INTO leadflow.sla_policies (name, metric, target, warn_fraction) VALUES ('decide', 'time_to_accept', '8 hours', 0.5);
INSERT INTO leadflow.leads (id, email) VALUES (81, '81@one.example'), (82, '82@one.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (81, 'demo_request');
UPDATE leadflow.team_members SET capacity = 0 WHERE team = 'sales';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (82, 'demo_request');
SELECT * FROM told();
SELECT * FROM leadflow.check_sla('2026-03-06 13:00Z');
SELECT * FROM told();
SELECT warned, breached FROM leadflow.check_sla('2026-03-06 13:00Z');
SELECT warned, breached FROM leadflow.check_sla('2026-03-06 18:00Z');
SELECT warned, breached FROM leadflow.check_sla('2026-03-06 18:00Z');
SELECT * FROM told();
SELECT payload - 'clock_id' AS payload FROM leadflow.notifications WHERE lead_id = 82 AND event LIKE 'sla.%' ORDER BY id;
-- Once there is somebody again, the sweep gives out what waited, and says so.
UPDATE leadflow.team_members SET capacity = NULL WHERE team = 'sales';
SELECT warned, breached FROM leadflow.check_sla('2026-03-06 18:00Z');
SELECT * FROM told();
DELETE FROM leadflow.leads WHERE id IN (81, 82);
SELECT count(*) FROM leadflow.notifications WHERE lead_id IN (81, 82);

--
-- Subscriptions.
--
INSERT INTO leadflow.subscriptions (event, condition, team) VALUES ('lead.mql', '$.a == $b', 'sales');
INSERT INTO leadflow.subscriptions (event, team) VALUES ('lead.lost', 'sales');
INSERT INTO leadflow.subscriptions (event, team, recipient_id) VALUES ('lead.mql', 'sales', 12);
INSERT INTO leadflow.subscriptions (event) VALUES ('lead.mql');
INSERT INTO leadflow.subscriptions (event, team, at_most_every) VALUES ('lead.mql', 'sales', '1 month');
INSERT INTO leadflow.subscriptions (event, condition, team, recipient_id, channel) VALUES
	('lead.mql', '$.score >= 30 && $.band == "warm" && $.rank starts with "D" && $.to == "mql"', 'leadership', NULL, 'slack'),
	('lead.mql', '$.account.status == "customer"', NULL, 15, 'email'),
	('lead.mql', '$.score / 0 > 1', NULL, 15, 'err'),
	('lead.mql', '$.email like_regex "^(a?){200}x"', NULL, 15, 'err'),
	('lead.mql', NULL, NULL, 14, 'inactive'),
	('lead.mql', NULL, NULL, 12, 'inbox'),
	('lead.mql', NULL, NULL, 12, 'sms');
INSERT INTO leadflow.subscriptions (event, team, active) VALUES ('lead.mql', 'sales', false);
INSERT INTO leadflow.leads (id, email, owner_id) VALUES (91, '91@one.example', 12), (92, '92@orphan.example', NULL);
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'page_view' FROM generate_series(91, 92) i, generate_series(1, 3);
SELECT * FROM told();
DELETE FROM leadflow.subscriptions;

-- of activities: asked when they are written
INSERT INTO leadflow.subscriptions (event, condition, team, channel) VALUES
	('activity.matched', '$.kind == "form_submit" && $.content == "Contact us"', 'sales', 'inbox'),
	('activity.matched', '$.properties.size > 100 && $.campaign == "spring"', 'marketing', 'slack'),
	('activity.matched', '$.properties.size / 0 > 1', 'marketing', 'err');
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@one.example' FROM generate_series(101, 110) i;
INSERT INTO leadflow.activities (lead_id, kind, content, campaign_id, properties) VALUES
	(101, 'form_submit', 'Contact us', NULL, NULL), (101, 'form_submit', 'Other', NULL, NULL),
	(102, 'never heard of', NULL, 21, '{"size": 101}'), (102, 'never heard of', NULL, 22, '{"size": 101}'), (102, 'note', NULL, 21, '{"size": "big"}');
SELECT * FROM told();
SELECT lead_id, payload - 'activity_id' AS payload FROM leadflow.notifications WHERE event = 'activity.matched' ORDER BY id;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (103, 'form_submit', 'Contact us');
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (104, 'form_submit', 'Contact us');
ROLLBACK TO a;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (105, 'form_submit', 'Contact us');
SAVEPOINT b;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (105, 'form_submit', 'Contact us');
RELEASE b;
SELECT leadflow.settle();
SAVEPOINT c;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (106, 'form_submit', 'Contact us'), (107, 'form_submit', 'Contact us');
DELETE FROM leadflow.activities WHERE lead_id = 106;
SET LOCAL leadflow.quiet = on;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (108, 'form_submit', 'Contact us');
COMMIT;
SELECT * FROM told();
-- a void one is none
INSERT INTO leadflow.activities (lead_id, kind, content, voided_at, void_reason) VALUES (109, 'form_submit', 'Contact us', leadflow.now(), 'test');
SELECT * FROM told();

-- at most one a lead in a while
UPDATE leadflow.subscriptions SET at_most_every = '1 day';
INSERT INTO leadflow.activities (lead_id, kind, content) SELECT i, 'form_submit', 'Contact us' FROM generate_series(109, 110) i, generate_series(1, 3);
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (109, 'form_submit', 'Contact us');
SELECT * FROM told();
SET leadflow.clock = '2026-03-07 08:59:59Z';
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (109, 'form_submit', 'Contact us');
SELECT * FROM told();
SET leadflow.clock = '2026-03-07 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (109, 'form_submit', 'Contact us'), (109, 'form_submit', 'Contact us');
SELECT * FROM told();
DELETE FROM leadflow.subscriptions;

-- of the score: what one asks of it holds, and did not before
INSERT INTO leadflow.subscriptions (event, condition, team, channel) VALUES
	('score.reached', '$.score >= 20', 'marketing', 'twenty'),
	('score.reached', '$.persona == "boss" && $.score >= 25', 'marketing', 'boss'),
	('score.reached', NULL, 'marketing', 'mql');
INSERT INTO leadflow.leads (id, email) VALUES (111, '111@one.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (111, 'page_view');
SELECT * FROM told();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (111, 'page_view');
SELECT * FROM told();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (111, 'webinar_attended');
UPDATE leadflow.leads SET job_title = 'boss' WHERE id = 111;
SELECT * FROM told();
SELECT channel, payload FROM leadflow.notifications WHERE event = 'score.reached' ORDER BY id;
DELETE FROM leadflow.subscriptions;
-- a new lead had no points before, by who it is alone; what is imported or loaded quietly is silent
INSERT INTO leadflow.subscriptions (event, condition, team, channel) VALUES
	('score.reached', '$.score >= 15', 'marketing', 'new'),
	('score.reached', '$.persona == "boss" && $.score >= 25', 'marketing', 'boss');
INSERT INTO leadflow.leads (id, email, job_title) VALUES (112, '112@one.example', 'boss'), (113, '113@one.example', 'clerk');
INSERT INTO leadflow.leads (id, email, job_title, stage, stage_since) VALUES
	(114, '114@one.example', 'boss', 'nurture', NULL), (115, '115@one.example', 'boss', 'lead', '2026-03-01 09:00Z');
SET leadflow.quiet = on;
INSERT INTO leadflow.leads (id, email, job_title) VALUES (116, '116@one.example', 'boss');
RESET leadflow.quiet;
SELECT * FROM told();
SELECT lead_id, channel, payload FROM leadflow.notifications WHERE event = 'score.reached' AND lead_id > 111 ORDER BY id;
BEGIN;
INSERT INTO leadflow.leads (id, email, job_title) VALUES (117, '117@one.example', 'boss');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (117, 'page_view');
COMMIT;
SELECT * FROM told();
DELETE FROM leadflow.subscriptions;
UPDATE leadflow.scoring_models SET warm_from = 5, hot_from = 15 WHERE id = 900;
INSERT INTO leadflow.leads (id, email, job_title) VALUES (118, '118@one.example', 'boss'), (119, '119@one.example', 'clerk');
SELECT * FROM told();
UPDATE leadflow.leads SET company = 'One' WHERE id = 118;
UPDATE leadflow.leads SET job_title = 'boss' WHERE id = 119;
SELECT * FROM told();
UPDATE leadflow.scoring_models SET warm_from = DEFAULT, hot_from = DEFAULT WHERE id = 900;

-- many at once: set by set, one of each for each lead
INSERT INTO leadflow.subscriptions (event, condition, team) VALUES ('lead.handed_off', '$.score > 0', 'leadership');
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@many.example' FROM generate_series(1001, 3000) i;
COPY leadflow.activities (lead_id, kind) FROM PROGRAM 'seq 1001 3000 | sed ''s/$/\tdemo_request/''';
SELECT event, channel, count(*), count(DISTINCT lead_id) AS leads, count(recipient_id) AS members FROM leadflow.notifications
WHERE lead_id BETWEEN 1001 AND 3000 GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) FROM (SELECT lead_id, string_agg(event, ' ' ORDER BY id) AS events FROM leadflow.notifications
	WHERE lead_id BETWEEN 1001 AND 3000 GROUP BY lead_id) n WHERE events = 'lead.mql lead.handed_off lead.handed_off';
DELETE FROM leadflow.leads WHERE id BETWEEN 1001 AND 3000;
DELETE FROM leadflow.subscriptions;
SELECT * FROM leadflow.verify();

--
-- Written by leadflow alone.
--
INSERT INTO leadflow.notifications (lead_id, event, created_at, next_attempt_at) VALUES (1, 'x', now(), now());
UPDATE leadflow.notifications SET delivered_at = now();

--
-- Claims: of each lead the oldest.
--
SELECT count(leadflow.ack_notifications(ARRAY[id])) > 0 AS acknowledged FROM leadflow.notifications WHERE delivered_at IS NULL;
SELECT * FROM leadflow.claim_notifications(10, 'a');
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@one.example' FROM generate_series(121, 123) i;
SELECT setval(pg_get_serial_sequence('leadflow.notifications', 'id'), 10000);
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'demo_request' FROM generate_series(121, 123) i;
SELECT id, lead_id, event FROM leadflow.notifications WHERE id > 10000 ORDER BY id;
SELECT id, lead_id, event, recipient_id, queue, team, channel, payload ->> 'to' AS "to", created_at, attempts FROM leadflow.claim_notifications(2, 'a');
SELECT id, lead_id, attempts FROM leadflow.claim_notifications(10, 'b', '2 minutes');
SELECT id, lead_id FROM leadflow.claim_notifications(10, 'c');
SELECT leadflow.ack_notifications('{10001,10001,NULL,99999,-1}');
SELECT leadflow.ack_notifications('{10001}');
SELECT leadflow.ack_notifications('{}');
SELECT id, lead_id, event FROM leadflow.claim_notifications(10, 'c');
SELECT id, claimed_by, attempts, next_attempt_at, delivered_at FROM leadflow.notifications WHERE id > 10000 ORDER BY id;
-- leases run out
SET leadflow.clock = '2026-03-07 09:01Z';
SELECT id, lead_id, attempts FROM leadflow.claim_notifications(10, 'd', '1 hour');
-- a rolled back claim is none
SET leadflow.clock = '2026-03-07 10:01Z';
BEGIN;
SELECT id, attempts FROM leadflow.claim_notifications(1, 'e');
SELECT id, attempts FROM leadflow.claim_notifications(1, 'e');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT id, attempts FROM leadflow.claim_notifications(1, 'e');
SELECT leadflow.ack_notifications(ARRAY[10002]);
SELECT id, attempts FROM leadflow.claim_notifications(1, 'e');
ROLLBACK;

-- what fails waits longer each time, and is given up
CREATE FUNCTION attempts(n bigint) RETURNS TABLE (at timestamptz, attempts integer, next timestamptz) LANGUAGE plpgsql AS $$
DECLARE
	claimed record;
BEGIN
	FOR i IN 1 .. 20 LOOP
		SELECT * INTO claimed FROM leadflow.claim_notifications(10, 'f', '1 second') c WHERE c.id = n;
		EXIT WHEN NOT FOUND;
		at := leadflow.now();
		attempts := claimed.attempts;
		next := leadflow.fail_notification(n, 'attempt ' || i);
		RETURN NEXT;
		EXIT WHEN next IS NULL;
		PERFORM set_config('leadflow.clock', next::text, false);
	END LOOP;
END $$;
UPDATE leadflow.settings SET notification_attempts = 11;
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications WHERE id > 10002;
SELECT leadflow.retry_notifications();
SELECT * FROM attempts(10002);
SELECT id, lead_id, lead, event, recipient, team, channel, dead_at, attempts, claimed_by, last_error FROM leadflow.dead_notifications;
SELECT check_name, status, value, detail FROM leadflow.health WHERE check_name IN ('dead_notifications', 'outbox_backlog');
SELECT leadflow.fail_notification(10002, 'again'), leadflow.fail_notification(10001, 'acknowledged'), leadflow.fail_notification(99999, 'unknown');
SELECT id FROM leadflow.claim_notifications(10, 'g');
SELECT leadflow.retry_notifications('{10002,10003,NULL}');
SELECT id, attempts FROM leadflow.claim_notifications(10, 'g', '1 second');
-- nobody acknowledges it, nobody says why; the lead's next one comes in its place
UPDATE leadflow.settings SET notification_attempts = 1;
INSERT INTO leadflow.leads (id, email) VALUES (124, '124@one.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (124, 'demo_request');
SELECT setval(pg_get_serial_sequence('leadflow.notifications', 'id'), 20000);
SELECT lead_id, event, attempts FROM leadflow.claim_notifications(10, 'h', '1 second');
SELECT set_config('leadflow.clock', (leadflow.now() + interval '2 seconds')::text, false) IS NOT NULL AS later;
SELECT lead_id, event, attempts FROM leadflow.claim_notifications(10, 'i', '1 second');
SELECT id > 10002 AS new, lead_id, event, last_error FROM leadflow.dead_notifications ORDER BY id;
-- delivered after all
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.dead_notifications;
SELECT count(*) FROM leadflow.dead_notifications;
UPDATE leadflow.settings SET notification_attempts = 10;
SELECT leadflow.ack_notifications(array_agg(id)) > 0 AS acknowledged FROM leadflow.notifications WHERE delivered_at IS NULL;

-- one channel alone: the oldest of that channel
INSERT INTO leadflow.subscriptions (event, team, channel) VALUES ('lead.mql', 'sales', 'slack'), ('lead.handed_off', 'leadership', 'slack');
INSERT INTO leadflow.leads (id, email) VALUES (125, '125@one.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (125, 'demo_request');
SELECT event, channel FROM leadflow.claim_notifications(10, 'j', '1 hour', 'slack');
SELECT event, channel FROM leadflow.claim_notifications(10, 'j', '1 hour', 'slack');
SELECT event, channel FROM leadflow.claim_notifications(10, 'j', '1 hour', 'inbox');
SELECT event, channel FROM leadflow.claim_notifications(10, 'j', '1 hour', 'fax');
SELECT event, channel FROM leadflow.claim_notifications(10, 'j', '1 hour');
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications WHERE delivered_at IS NULL AND event = 'lead.mql';
SELECT event, channel FROM leadflow.claim_notifications(10, 'j', '1 hour');
SELECT event, channel FROM leadflow.claim_notifications(10, 'j', '1 hour', 'slack');
DELETE FROM leadflow.subscriptions;
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications WHERE delivered_at IS NULL;

-- a long queue of a few leads, most of them behind what is leased
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.notifications (lead_id, event, created_at, next_attempt_at)
SELECT 130 + i / 1000, 'lead.hot', leadflow.now(), leadflow.now() FROM generate_series(0, 4999) i;
COMMIT;
SELECT lead_id, count(*) FROM leadflow.claim_notifications(3, 'k') GROUP BY 1 ORDER BY 1;
SELECT lead_id, count(*) FROM leadflow.claim_notifications(3, 'k') GROUP BY 1 ORDER BY 1;
SELECT lead_id, count(*) FROM leadflow.claim_notifications(3, 'k') GROUP BY 1 ORDER BY 1;
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications WHERE attempts > 0 AND delivered_at IS NULL;
SELECT lead_id, min(id) = (SELECT min(n.id) FROM leadflow.notifications n WHERE n.lead_id = c.lead_id AND n.delivered_at IS NULL) AS oldest
FROM leadflow.claim_notifications(10, 'k') c GROUP BY 1 ORDER BY 1;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM leadflow.notifications WHERE event = 'lead.hot' AND lead_id BETWEEN 130 AND 134;
COMMIT;

-- arguments
SELECT leadflow.claim_notifications(NULL, 'a');
SELECT leadflow.claim_notifications(0, 'a');
SELECT leadflow.claim_notifications(-1, 'a');
SELECT leadflow.claim_notifications(10001, 'a');
SELECT leadflow.claim_notifications(1, NULL);
SELECT leadflow.claim_notifications(1, '');
SELECT leadflow.claim_notifications(1, 'a', NULL);
SELECT leadflow.claim_notifications(1, 'a', '0');
SELECT leadflow.claim_notifications(1, 'a', '-1 minute');
SELECT leadflow.claim_notifications(1, 'a', '1 month');
SELECT leadflow.claim_notifications(1, 'a', '367 days');
SELECT leadflow.claim_notifications(1, 'a', '-178000000 years');
SELECT leadflow.claim_notifications(1, 'a', '2147483647 days');
SELECT leadflow.ack_notifications(NULL);
SELECT leadflow.fail_notification(NULL, 'x');
SELECT leadflow.fail_notification(1, NULL);

-- a consumer's role needs no table
CREATE ROLE regress_outbox_sender;
SET ROLE regress_outbox_sender;
SELECT leadflow.claim_notifications(1, 'a');
RESET ROLE;
GRANT USAGE ON SCHEMA leadflow TO regress_outbox_sender;
GRANT EXECUTE ON FUNCTION leadflow.claim_notifications, leadflow.ack_notifications, leadflow.fail_notification TO regress_outbox_sender;
SET ROLE regress_outbox_sender;
SELECT count(*) FROM leadflow.claim_notifications(1, 'a');
SELECT leadflow.ack_notifications('{-1}'), leadflow.fail_notification(-1, 'x');
SELECT leadflow.retry_notifications();
SELECT count(*) FROM leadflow.notifications;
RESET ROLE;
DROP OWNED BY regress_outbox_sender;
DROP ROLE regress_outbox_sender;

--
-- What was delivered long ago is deleted by the sweep, unless a subscription still has to know of it.
--
INSERT INTO leadflow.subscriptions (id, event, team, at_most_every) VALUES (9001, 'lead.mql', 'leadership', '90 days');
INSERT INTO leadflow.leads (id, email) VALUES (140, '140@one.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (140, 'demo_request');
SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications WHERE delivered_at IS NULL AND event = 'lead.mql';
SELECT count(*) FROM leadflow.check_sla(leadflow.now() + interval '30 days');
SELECT count(*) FILTER (WHERE n.delivered_at < leadflow.now()) AS older, count(*) FILTER (WHERE n.delivered_at >= leadflow.now()) > 0 AS of_now FROM leadflow.notifications n;
SELECT count(*) FROM leadflow.check_sla(leadflow.now() + interval '31 days');
SELECT lead_id, event, delivered_at IS NOT NULL AS delivered, subscription_id FROM leadflow.notifications ORDER BY id;
SELECT count(*) FROM leadflow.check_sla(leadflow.now() + interval '91 days');
SELECT lead_id, event, delivered_at IS NOT NULL AS delivered, subscription_id FROM leadflow.notifications ORDER BY id;

--
-- verify() knows what is undelivered at most once, and whose activity somebody has to be told of.
--
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.notifications (lead_id, event, created_at, next_attempt_at, dead_at)
SELECT 140, 'lead.active_again', leadflow.now(), leadflow.now(), CASE WHEN i = 3 THEN leadflow.now() END FROM generate_series(1, 3) i;
UPDATE leadflow.score_state SET watch = watch & ~32 WHERE lead_id IN (61, 62, 64);
SET LOCAL session_replication_role = origin;
SELECT check_name, regexp_replace(object_id, '\d{5}', '…') AS object_id, kept, recomputed FROM leadflow.verify() ORDER BY 1, 2;
SELECT count(*) > 0 AS repaired FROM leadflow.reconcile();
SELECT check_name, kept, recomputed FROM leadflow.verify();
ROLLBACK;
SELECT * FROM leadflow.verify();

--
-- Of what people wrote the first 200 characters are told, in characters, whatever their bytes.
--
INSERT INTO leadflow.subscriptions (event, team, channel) VALUES ('activity.matched', 'marketing', 'long');
INSERT INTO leadflow.leads (id, email, stage, owner_id) VALUES (150, '150@one.example', 'sql', 12);
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_note = repeat('é', 100000), stage_by = 'sam@our.example' WHERE id = 150;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (150, 'page_view', repeat('é', 100000));
SELECT event, length(payload ->> 'note') AS note, length(payload ->> 'content') AS content FROM leadflow.notifications
WHERE lead_id = 150 AND event IN ('lead.rejected', 'review.opened', 'activity.matched') ORDER BY id;
