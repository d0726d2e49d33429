--
-- May a lead be contacted: permissions, limits, reservations, and messages that were sent all
-- the same.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';
\set VERBOSITY terse

INSERT INTO leadflow.leads (id, full_name) SELECT i, 'Lead ' || i FROM generate_series(1, 30) i;
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(1, 'Mia', 'mia@our.example', 'marketing'), (2, 'Sam', 'sam@our.example', 'sales'), (3, 'Sue', 'sue@our.example', 'sales');

-- What a driver gets.
CREATE FUNCTION refused(statement text) RETURNS TABLE (field text, value text) LANGUAGE plpgsql AS $$
DECLARE
	s text; m text; d text; h text; n text; t text; c text; k text;
BEGIN
	BEGIN
		EXECUTE statement;
		RAISE 'it was not' USING ERRCODE = 'P0099';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT,
			n = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
		RETURN QUERY SELECT * FROM (VALUES ('sqlstate', s), ('message', m), ('detail', d), ('hint', h), ('table', n || '.' || t),
			('column', c), ('constraint', k)) f (field, value) WHERE f.value NOT IN ('', '.');
	END;
END $$;

-- Without limits and permissions, everybody may; who is not there is neither allowed nor refused.
SELECT leadflow.may_contact(1, 'email'), leadflow.contact_blocked_by(1, 'email'), leadflow.next_contact_at(1, 'email');
SELECT leadflow.may_contact(99, 'email'), leadflow.contact_blocked_by(99, 'email'), leadflow.next_contact_at(99, 'email'),
	leadflow.reserve_contact(99, 'email'), leadflow.release_contact(99);
SELECT leadflow.may_contact(NULL, 'email'), leadflow.may_contact(1, NULL), leadflow.may_contact(1, 'email', NULL),
	leadflow.reserve_contact(1, NULL), leadflow.release_contact(NULL);
-- Bad arguments.
SELECT leadflow.may_contact(1, '');
SELECT leadflow.may_contact(1, '*');
SELECT leadflow.next_contact_at(1, 'email', 'infinity');
SELECT leadflow.contact_blocked_by(1, 'email', '-infinity');
SELECT leadflow.reserve_contact(1, '*');
-- An end of time that is near.
SELECT leadflow.may_contact(1, 'email', '294276-12-31 23:59:59Z'), leadflow.may_contact(1, 'email', '4713-11-24 00:00:00Z BC');

--
-- Permissions: the latest row for the channel or for all counts.
--
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, at) VALUES
	(1, 'email', 'granted', '2026-01-01Z'), (1, 'email', 'denied', '2026-02-01Z'),
	(2, '*', 'withdrawn', '2026-02-01Z'), (2, 'email', 'granted', '2026-02-02Z'),
	(3, 'email', 'granted', '2026-02-01Z'), (3, '*', 'withdrawn', '2026-02-02Z'),
	(4, 'email', 'withdrawn', '2026-03-05Z'), (4, 'email', 'granted', '2026-03-09Z'),
	(5, 'Email', 'denied', '2026-02-01Z'),
	(6, 'email', 'denied', '2026-02-01Z'), (6, 'email', 'granted', '2026-02-01Z'),
	(7, 'email', 'granted', '2026-02-01Z'), (7, '*', 'denied', '2026-02-01Z');
SELECT l.id, c.channel, leadflow.may_contact(l.id, c.channel), leadflow.contact_blocked_by(l.id, c.channel),
	leadflow.next_contact_at(l.id, c.channel)
FROM leadflow.leads l, (VALUES ('email'), ('sms')) c (channel)
WHERE l.id <= 8 ORDER BY 1, 2;
-- As of an instant: the very one counts.
SELECT t AS at, leadflow.may_contact(1, 'email', t), leadflow.may_contact(4, 'email', t), leadflow.next_contact_at(4, 'email', t)
FROM unnest('{2025-12-31Z,2026-01-31 23:59:59.999999Z,2026-02-01Z,2026-03-04 23:59:59.999999Z,2026-03-05Z,2026-03-09Z}'::timestamptz[]) t;
-- Where permission must have been given.
UPDATE leadflow.settings SET contact_requires_permission = true;
SELECT l.id, leadflow.may_contact(l.id, 'email'), leadflow.contact_blocked_by(l.id, 'email'), leadflow.may_contact(l.id, 'sms')
FROM leadflow.leads l WHERE l.id <= 8 ORDER BY 1;
SELECT leadflow.next_contact_at(1, 'email', '2025-06-01Z'), leadflow.next_contact_at(8, 'email');
UPDATE leadflow.settings SET contact_requires_permission = false;

-- do_not_contact stands above all.
UPDATE leadflow.leads SET do_not_contact = true WHERE id IN (2, 3);
SELECT l.id, leadflow.may_contact(l.id, 'email'), leadflow.contact_blocked_by(l.id, 'email'), leadflow.next_contact_at(l.id, 'email'),
	leadflow.reserve_contact(l.id, 'email')
FROM leadflow.leads l WHERE l.id IN (2, 3) ORDER BY 1;
UPDATE leadflow.leads SET do_not_contact = false WHERE id IN (2, 3);
DELETE FROM leadflow.contact_permissions;

--
-- What an activity withdraws.
--
CREATE VIEW permissions AS
SELECT lead_id, channel, status, basis, at, right(activity_id::text, 4) AS activity FROM leadflow.contact_permissions;
\set unsub '\'00000000-0000-0000-0000-000000000001\''
INSERT INTO leadflow.activities (lead_id, kind, id, occurred_at) VALUES (1, 'unsubscribe', :unsub, '2026-03-01 12:00Z');
TABLE permissions;
SELECT leadflow.may_contact(1, 'email'), leadflow.contact_blocked_by(1, 'email'), leadflow.may_contact(1, 'sms'),
	leadflow.may_contact(1, 'email', '2026-03-01 11:59Z');
-- Void, again not, another time, another kind, gone.
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 1;
TABLE permissions;
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE lead_id = 1;
TABLE permissions;
UPDATE leadflow.activities SET occurred_at = '2026-03-01 13:00Z' WHERE lead_id = 1;
TABLE permissions;
UPDATE leadflow.activities SET content = 'newsletter' WHERE lead_id = 1;
TABLE permissions;
UPDATE leadflow.activities SET kind = 'note' WHERE lead_id = 1;
TABLE permissions;
UPDATE leadflow.activities SET kind = 'unsubscribe' WHERE lead_id = 1;
-- A later grant counts; a withdrawal that is recorded late does not undo it.
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, at) VALUES (1, 'email', 'granted', '2026-03-02 08:00Z');
SELECT leadflow.may_contact(1, 'email');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, id) VALUES (1, 'unsubscribe', '2026-02-01Z', '00000000-0000-0000-0000-000000000002');
SELECT leadflow.may_contact(1, 'email');
TABLE permissions ORDER BY at;
DELETE FROM leadflow.activities WHERE lead_id = 1;
TABLE permissions;
-- Right at once, before the transaction ends, and gone with its savepoint.
BEGIN;
SAVEPOINT s;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'unsubscribe');
SELECT leadflow.may_contact(2, 'email'), leadflow.contact_blocked_by(2, 'email'), leadflow.reserve_contact(2, 'email'), leadflow.may_contact(2, 'sms');
ROLLBACK TO s;
SELECT leadflow.may_contact(2, 'email');
COMMIT;
SELECT count(*) FROM permissions WHERE lead_id = 2;
-- A kind without a channel withdraws for all; kinds that are registered, or change, later.
INSERT INTO leadflow.activities (lead_id, kind, id, occurred_at) VALUES
	(3, 'stop_it', :unsub, '2026-03-01Z'), (4, 'stop_it', :unsub, '2026-03-01Z');
SELECT leadflow.may_contact(3, 'email');
INSERT INTO leadflow.activity_kinds (kind, role, withdraws_permission) VALUES ('stop_it', 'engagement', true);
SELECT leadflow.may_contact(3, 'email'), leadflow.may_contact(3, 'phone');
TABLE permissions ORDER BY lead_id, at;
UPDATE leadflow.activity_kinds SET channel = 'sms' WHERE kind = 'stop_it';
TABLE permissions ORDER BY lead_id, at;
UPDATE leadflow.activity_kinds SET withdraws_permission = false WHERE kind = 'stop_it';
TABLE permissions ORDER BY lead_id, at;
UPDATE leadflow.activity_kinds SET withdraws_permission = true WHERE kind = 'stop_it';
-- Only leadflow writes such rows.
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, activity_id) VALUES (3, 'sms', 'granted', :unsub);
UPDATE leadflow.contact_permissions SET status = 'granted' WHERE lead_id = 3;
UPDATE leadflow.contact_permissions SET activity_id = :unsub WHERE lead_id = 1;
DELETE FROM leadflow.contact_permissions WHERE lead_id = 3;
SELECT * FROM refused('DELETE FROM leadflow.contact_permissions WHERE lead_id = 3');
DELETE FROM leadflow.leads WHERE id = 4;
TRUNCATE leadflow.contact_permissions;
TABLE permissions ORDER BY lead_id, at;
TRUNCATE leadflow.activities;
TABLE permissions;
SELECT * FROM leadflow.verify();
INSERT INTO leadflow.leads (id, full_name) VALUES (4, 'Lead 4');

--
-- Limits.
--
CREATE FUNCTION sent(lead bigint, kind text, at timestamptz) RETURNS void LANGUAGE sql AS $$
	SET LOCAL leadflow.quiet = on;
	INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (lead, kind, at);
	SET LOCAL leadflow.quiet = off;
$$;
CREATE FUNCTION asks(lead bigint, channel text, VARIADIC at timestamptz[]) RETURNS TABLE (at timestamptz, may boolean, why text, next timestamptz)
LANGUAGE sql STABLE AS $$
	SELECT t, leadflow.may_contact(lead, channel, t), leadflow.contact_blocked_by(lead, channel, t), leadflow.next_contact_at(lead, channel, t)
	FROM unnest(at) t
$$;
INSERT INTO leadflow.contact_limits (id, name, channel, max_messages, per) VALUES (1, 'two a week', 'email', 2, '7 days');
SELECT sent(1, 'marketing_email', '2026-02-20 10:00Z'), sent(1, 'marketing_email', '2026-02-23 10:00Z');
-- The window slides: (at - per, at].
SELECT * FROM asks(1, 'email', '2026-02-20 09:59:59.999999Z', '2026-02-20 10:00Z', '2026-02-23 09:59:59.999999Z', '2026-02-23 10:00Z',
	'2026-02-27 09:59:59.999999Z', '2026-02-27 10:00Z', '2026-03-02 10:00Z');
SELECT * FROM asks(1, 'sms', '2026-02-24Z');
-- What does not count: other roles, other channels, void ones.
SELECT sent(2, k, '2026-03-02 08:00Z') FROM unnest('{email_open,email_sent,marketing_sms,call,note,unheard_of}'::text[]) k;
SELECT * FROM asks(2, 'email', '2026-03-02 09:00Z');
SELECT sent(2, 'marketing_email', '2026-03-02 08:00Z') FROM generate_series(1, 3);
SELECT * FROM asks(2, 'email', '2026-03-02 09:00Z');
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'test' WHERE lead_id = 2 AND kind = 'marketing_email';
SELECT * FROM asks(2, 'email', '2026-03-02 09:00Z');
-- On all channels together, sales touches counted; several limits: all must hold.
INSERT INTO leadflow.contact_limits (id, name, max_messages, per, counts) VALUES (2, NULL, 3, '1 day', '{marketing_message,sales_touch}');
SELECT * FROM asks(2, 'email', '2026-03-02 09:00Z');
SELECT * FROM asks(2, 'whatever', '2026-03-02 09:00Z');
UPDATE leadflow.contact_limits SET active = false WHERE id = 2;
SELECT * FROM asks(2, 'whatever', '2026-03-02 09:00Z');
-- None at all, in a stage, in a category.
INSERT INTO leadflow.contact_limits (id, name, scope_stage, max_messages, per) VALUES (3, 'leave them alone', 'lost', 0, '1 hour');
INSERT INTO leadflow.contact_limits (id, name, category, channel, max_messages, per) VALUES (4, 'sales has it', 'sales', 'email', 0, '1 hour');
INSERT INTO leadflow.leads (id, stage, stage_since) VALUES (41, 'lost', '2026-02-01Z'), (42, 'accepted', '2026-02-01Z'), (43, 'opportunity', '2026-02-01Z');
SELECT l.id, c.channel, leadflow.contact_blocked_by(l.id, c.channel), leadflow.next_contact_at(l.id, c.channel)
FROM leadflow.leads l, (VALUES ('email'), ('sms')) c (channel) WHERE l.id > 40 ORDER BY 1, 2;
-- The stage is the one that the lead was in then; before anything is known, the first.
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-06-01' WHERE id = 42;
SELECT * FROM asks(42, 'email', '2026-01-01Z', '2026-03-02 08:59:59.999999Z', '2026-03-02 09:00Z');

-- After the hand-off: the lead is sales'. That it changes hands among them makes no difference.
TRUNCATE leadflow.contact_limits;
INSERT INTO leadflow.contact_limits (id, name, after_handoff) VALUES (5, 'quiet after hand-off', '2 days');
INSERT INTO leadflow.leads (id, stage) VALUES (51, 'mql');
SELECT * FROM asks(51, 'email', leadflow.now());
UPDATE leadflow.leads SET stage = 'sql', owner_id = 2 WHERE id = 51;
SELECT * FROM asks(51, 'email', '2026-03-02 08:59Z', '2026-03-02 09:00Z', '2026-03-04 08:59:59.999999Z', '2026-03-04 09:00Z');
SET leadflow.clock = '2026-03-03 09:00Z';
UPDATE leadflow.leads SET owner_id = 3 WHERE id = 51;
SET leadflow.clock = '2026-03-03 10:00Z';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 51;
SELECT why FROM leadflow.handoffs WHERE lead_id = 51 ORDER BY id;
SELECT leadflow.next_contact_at(51, 'email');
-- Handed over once more: the last one counts.
SET leadflow.clock = '2026-03-10 09:00Z';
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-06-01' WHERE id = 51;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 51;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 2 WHERE id = 51;
SELECT * FROM asks(51, 'email', '2026-03-03Z', '2026-03-10 08:59Z', '2026-03-10 09:00Z');

--
-- Reservations.
--
TRUNCATE leadflow.contact_limits;
INSERT INTO leadflow.contact_limits (id, name, max_messages, per) VALUES (6, 'two in two days', 2, '2 days');
SET leadflow.clock = '2026-03-10 09:00Z';
CREATE VIEW reserved AS SELECT lead_id, id - (SELECT min(id) FROM leadflow.contact_reservations) AS nth, channel, at, expires_at, redeemed_at, activity_id IS NOT NULL AS sent
FROM leadflow.contact_reservations ORDER BY id;
SELECT leadflow.reserve_contact(10, 'email') IS NOT NULL AS first, leadflow.reserve_contact(10, 'sms') IS NOT NULL AS second,
	leadflow.reserve_contact(10, 'email') AS third;
SELECT * FROM asks(10, 'email', '2026-03-10 09:00Z', '2026-03-10 09:59:59.999999Z', '2026-03-10 10:00Z');
-- The message takes the place; there is no other.
INSERT INTO leadflow.activities (lead_id, kind) VALUES (10, 'marketing_email');
TABLE reserved;
SELECT leadflow.reserve_contact(10, 'email');
SELECT why FROM leadflow.messages_against_rules;
-- The other one is given back, once.
SELECT leadflow.release_contact(max(id)) AS freed, leadflow.release_contact(max(id)) AS again, leadflow.release_contact(min(id)) AS redeemed
FROM leadflow.contact_reservations;
SELECT leadflow.may_contact(10, 'email'), leadflow.reserve_contact(10, 'email') IS NOT NULL AS reserved;
-- Nobody came: it expires.
SET leadflow.clock = '2026-03-10 10:00Z';
SELECT leadflow.may_contact(10, 'email'), leadflow.reserve_contact(10, 'email') IS NOT NULL AS reserved;
TABLE reserved;
-- A place that is kept for later is not given away; may_contact() asks about its instant alone.
SELECT leadflow.reserve_contact(11, 'email', '2026-03-11 09:00Z') IS NOT NULL AS tomorrow,
	leadflow.reserve_contact(11, 'email', '2026-03-12 08:00Z') IS NOT NULL AS day_after;
SELECT leadflow.may_contact(11, 'email'), leadflow.reserve_contact(11, 'email');
-- It counts from then on, and is not redeemed by what is sent today.
INSERT INTO leadflow.activities (lead_id, kind) VALUES (11, 'marketing_email');
SELECT * FROM reserved WHERE lead_id = 11;
SELECT why FROM leadflow.messages_against_rules WHERE lead_id = 11;
-- Within the hour before or after, it is; the oldest first.
SELECT leadflow.reserve_contact(12, 'email', '2026-03-10 10:30Z') IS NOT NULL AS a, leadflow.reserve_contact(12, 'email', '2026-03-10 10:20Z') IS NOT NULL AS b;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (12, 'marketing_email');
SELECT * FROM reserved WHERE lead_id = 12;
-- Within one transaction: what was sent is settled before there is another place.
BEGIN;
SELECT leadflow.reserve_contact(13, 'email') IS NOT NULL AS a;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (13, 'marketing_email');
SELECT leadflow.reserve_contact(13, 'email') IS NOT NULL AS b, leadflow.reserve_contact(13, 'email') AS c;
COMMIT;
-- With the lead its reservations go.
DELETE FROM leadflow.leads WHERE id IN (10, 11, 12, 13);
TABLE reserved;

--
-- Messages against the rules: stored and flagged.
--
SET leadflow.clock = '2026-03-10 09:00Z';
TRUNCATE leadflow.contact_limits;
INSERT INTO leadflow.contact_limits (id, name, channel, max_messages, per) VALUES (7, 'one a day', 'email', 1, '1 day');
INSERT INTO leadflow.contact_limits (id, name, after_handoff, counts) VALUES (8, 'quiet', '2 days', '{sales_touch,marketing_message}');
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, at) VALUES (15, '*', 'denied', '2026-03-01Z');
UPDATE leadflow.leads SET do_not_contact = true WHERE id = 16;
CREATE VIEW flagged AS
SELECT lead_id, lead, occurred_at, kind, channel, why, limit_id, limit_name, recorded_at FROM leadflow.messages_against_rules ORDER BY 1, 3, 4;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES
	(14, 'marketing_email', '2026-03-09 10:00Z'), (14, 'marketing_email', '2026-03-10 08:00Z'), (14, 'marketing_sms', '2026-03-10 08:00Z'),
	(14, 'email_sent', '2026-03-10 08:30Z'),
	(15, 'call', '2026-03-10 08:00Z'), (15, 'meeting', '2026-03-10 08:00Z'),
	(16, 'email_sent', '2026-03-10 08:00Z'), (16, 'email_open', '2026-03-10 08:00Z'), (16, 'unsubscribe', '2026-03-10 08:00Z'),
	(17, 'marketing_email', '2026-03-09 07:00Z'), (17, 'marketing_email', '2026-03-10 07:00Z');
TABLE flagged;
-- Recorded late: it is the one that breaks the limit. The one after it is not asked again.
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (17, 'marketing_email', '2026-03-09 20:00Z');
SELECT * FROM flagged WHERE lead_id = 17;
-- Void, gone, another time: it shows nowhere. What counts again is judged again.
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'duplicate' WHERE lead_id = 17 AND occurred_at = '2026-03-09 20:00Z';
SELECT count(*) FROM leadflow.contact_violations WHERE lead_id = 17;
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE lead_id = 17;
SELECT count(*) FROM leadflow.contact_violations WHERE lead_id = 17;
UPDATE leadflow.activities SET occurred_at = '2026-03-06 20:00Z' WHERE lead_id = 17 AND occurred_at = '2026-03-09 20:00Z';
SELECT count(*) FROM leadflow.contact_violations WHERE lead_id = 17;
UPDATE leadflow.activities SET kind = 'note' WHERE lead_id = 15 AND kind = 'call';
SELECT count(*) FROM leadflow.contact_violations WHERE lead_id = 15;
UPDATE leadflow.activities SET content = 'x' WHERE lead_id = 16;
SELECT count(*) FROM leadflow.contact_violations WHERE lead_id = 16;
-- Changed into one that is allowed.
UPDATE leadflow.activities SET kind = 'marketing_sms' WHERE lead_id = 14 AND kind = 'marketing_email' AND occurred_at = '2026-03-10 08:00Z';
SELECT count(*) FROM leadflow.contact_violations WHERE lead_id = 14;
DELETE FROM leadflow.activities WHERE lead_id = 16;
TABLE flagged;
-- A kind that is no message any more.
INSERT INTO leadflow.activities (lead_id, kind) VALUES (16, 'email_sent');
UPDATE leadflow.activity_kinds SET channel = NULL WHERE kind = 'email_sent';
SELECT count(*) FROM leadflow.contact_violations;
UPDATE leadflow.activity_kinds SET channel = 'email' WHERE kind = 'email_sent';
-- After a hand-off marketing keeps silent, sales does what it is for.
INSERT INTO leadflow.leads (id, stage) VALUES (52, 'mql');
UPDATE leadflow.leads SET stage = 'sql', owner_id = 2 WHERE id = 52;
SET leadflow.clock = '2026-03-11 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (52, 'marketing_sms'), (52, 'call');
SELECT * FROM flagged WHERE lead_id = 52;
-- A limit that counts sales touches holds for sales, too.
INSERT INTO leadflow.contact_limits (id, name, max_messages, per, counts) VALUES (9, 'not twice a day', 1, '1 day', '{sales_touch}');
-- at one instant they are in the order of their ids
INSERT INTO leadflow.activities (lead_id, id, kind) VALUES (18, '00000000-0000-0000-0000-000000000181', 'call');
INSERT INTO leadflow.activities (lead_id, id, kind) VALUES (18, '00000000-0000-0000-0000-000000000182', 'email_sent'), (18, '00000000-0000-0000-0000-000000000183', 'marketing_sms');
SELECT * FROM flagged WHERE lead_id = 18;
-- History that is imported is not judged, and counts.
SET leadflow.quiet = on;
INSERT INTO leadflow.activities (lead_id, kind) SELECT 19, 'marketing_email' FROM generate_series(1, 3);
SET leadflow.quiet = off;
SELECT count(*) FROM flagged WHERE lead_id = 19;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (19, 'marketing_email');
SELECT * FROM flagged WHERE lead_id = 19;
-- Savepoints, and a settle() in between: each is judged once.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (20, 'marketing_email');
SAVEPOINT s;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (20, 'marketing_email');
ROLLBACK TO s;
SAVEPOINT s2;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (20, 'marketing_email', 'kept');
RELEASE s2;
SELECT leadflow.settle();
SELECT count(*) FROM flagged WHERE lead_id = 20;
INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (20, 'marketing_email', 'rolled back with the settle()');
SAVEPOINT s3;
SELECT leadflow.settle();
SELECT count(*) FROM flagged WHERE lead_id = 20;
ROLLBACK TO s3;
SELECT count(*) FROM flagged WHERE lead_id = 20;
COMMIT;
SELECT count(*) FROM flagged WHERE lead_id = 20;
-- In a batch of one statement the later ones are too many, whatever their order in it.
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, content) VALUES
	(21, 'marketing_email', '2026-03-11 08:00Z', 'second'), (21, 'marketing_email', '2026-03-11 07:00Z', 'first');
SELECT content FROM leadflow.messages_against_rules WHERE lead_id = 21;
SELECT * FROM leadflow.verify();

--
-- Refused instead, if the site wants it.
--
SET leadflow.contact_limits = 'refuse';
SELECT * FROM refused($$INSERT INTO leadflow.activities (lead_id, kind) VALUES (19, 'marketing_email')$$);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (15, 'marketing_sms');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (16, 'marketing_sms');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (22, 'marketing_email'), (22, 'marketing_email');
-- In its statement, not at the end.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (22, 'marketing_email');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (22, 'marketing_sms'), (22, 'page_view');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (22, 'marketing_email');
COMMIT;
SELECT count(*) FROM leadflow.activities WHERE lead_id = 22;
-- What is kept for it is allowed.
SELECT leadflow.reserve_contact(22, 'email') IS NOT NULL AS reserved;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (22, 'marketing_email');
COMMIT;
SELECT count(*) FROM leadflow.activities WHERE lead_id = 22;
-- A void one may come, and may not count again.
INSERT INTO leadflow.activities (lead_id, kind, voided_at, void_reason, content) VALUES (22, 'marketing_email', leadflow.now(), 'test', 'void');
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE lead_id = 22 AND content = 'void';
-- What sales did is a fact, and so is an import.
INSERT INTO leadflow.activities (lead_id, kind) VALUES (16, 'call');
SELECT * FROM flagged WHERE lead_id = 16;
SET leadflow.quiet = on;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (16, 'marketing_email');
SET leadflow.quiet = off;
SET leadflow.contact_limits = 'sometimes';
RESET leadflow.contact_limits;
SELECT * FROM leadflow.verify();

--
-- Damage is found and repaired.
--
INSERT INTO leadflow.activities (lead_id, kind, id, occurred_at) VALUES (26, 'unsubscribe', :unsub, '2026-03-11 08:00Z');
SET session_replication_role = replica;
INSERT INTO leadflow.activities (lead_id, kind, id, occurred_at, recorded_at) VALUES (23, 'unsubscribe', :unsub, '2026-03-11 08:00Z', leadflow.now());
UPDATE leadflow.contact_permissions SET status = 'granted' WHERE lead_id = 26;
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, basis, activity_id, at) VALUES (26, 'email', 'withdrawn', 'withdrawn by unsubscribe', :unsub, '2026-03-11 08:00Z');
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, activity_id, at) VALUES (24, 'email', 'withdrawn', :unsub, '2026-03-01Z');
INSERT INTO leadflow.contact_violations VALUES (24, '2026-03-01Z', :unsub, 'email', 'nothing', NULL, '2026-03-01Z');
INSERT INTO leadflow.contact_reservations (lead_id, channel, at, expires_at) VALUES (999, 'email', '2026-03-01Z', '2026-03-02Z');
SET session_replication_role = origin;
SELECT check_name, regexp_replace(object_id, '^[0-9]+ of', 'n of') AS object_id, kept, recomputed FROM leadflow.verify() WHERE check_name LIKE 'contact%' ORDER BY 1, 2;
SELECT leadflow.may_contact(23, 'email');
SELECT check_name, kept, recomputed FROM leadflow.reconcile(23, 23) ORDER BY 1, 2;
SELECT leadflow.may_contact(23, 'email');
SELECT check_name, kept, recomputed FROM leadflow.reconcile() WHERE check_name LIKE 'contact%' ORDER BY 1, 2;
SELECT * FROM leadflow.verify();

-- Leads that are merged: what both have said, and what was flagged, is there once.
INSERT INTO leadflow.leads (id) VALUES (61), (62);
INSERT INTO leadflow.activities (lead_id, kind, id, occurred_at) SELECT i, 'unsubscribe', :unsub, '2026-03-11 08:00Z' FROM generate_series(61, 62) i;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (62, 'email_sent');
SELECT leadflow.merge_leads(61, 62);
SELECT * FROM permissions WHERE lead_id IN (61, 62);
SELECT * FROM flagged WHERE lead_id IN (61, 62);
SELECT * FROM leadflow.verify();

--
-- Who may ask, and reserve.
--
SELECT count(*) FROM leadflow.setup_roles('contact_test');
CREATE ROLE contact_test_user;
GRANT contact_test_marketing TO contact_test_user;
CREATE ROLE contact_test_nobody;
GRANT USAGE ON SCHEMA leadflow TO contact_test_nobody;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON leadflow.leads TO contact_test_marketing USING (id % 2 = 0);
SELECT leadflow.reserve_contact(25, 'email') AS hidden \gset
SET ROLE contact_test_user;
SELECT leadflow.may_contact(24, 'email'), leadflow.may_contact(25, 'email'), leadflow.contact_blocked_by(25, 'email'), leadflow.next_contact_at(25, 'email');
SELECT leadflow.reserve_contact(24, 'email') IS NOT NULL AS reserved, leadflow.reserve_contact(25, 'email') AS hidden, leadflow.release_contact(:hidden) AS released;
DELETE FROM leadflow.contact_violations;
INSERT INTO leadflow.contact_limits (max_messages, per) VALUES (1, '1 day');
SELECT count(*) > 0 AS even, (SELECT count(*) FROM leadflow.messages_against_rules WHERE lead_id % 2 = 1) AS odd FROM leadflow.messages_against_rules;
RESET ROLE;
SET ROLE contact_test_nobody;
SELECT leadflow.may_contact(24, 'email');
SELECT leadflow.reserve_contact(24, 'email');
RESET ROLE;
DROP POLICY even ON leadflow.leads;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
DELETE FROM leadflow.contact_violations;

--
-- The sweep deletes places that were taken or have expired, when notifications are deleted, too.
--
BEGIN;
INSERT INTO leadflow.leads (id, email) VALUES (999, '999@purge.example');
SET leadflow.clock = '2026-05-01 12:00Z';
SELECT leadflow.reserve_contact(999, 'letter', '2026-05-01 12:00Z') IS NOT NULL AS expires, leadflow.reserve_contact(999, 'fax', '2026-05-02 12:00Z') IS NOT NULL AS is_taken,
	leadflow.reserve_contact(999, 'letter', '2026-07-01 12:00Z') IS NOT NULL AS is_open;
INSERT INTO leadflow.activity_kinds (kind, role, channel) VALUES ('fax_sent', 'marketing_message', 'fax');
SET leadflow.clock = '2026-05-02 12:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (999, 'fax_sent');
SELECT leadflow.settle();
CREATE VIEW places AS SELECT channel, at, expires_at, redeemed_at FROM leadflow.contact_reservations WHERE lead_id = 999;
SELECT * FROM places ORDER BY at;
SELECT count(*) FROM leadflow.check_sla('2026-05-31 13:00Z');	-- 30 days after one expired, and not a moment earlier
SELECT * FROM places ORDER BY at;
SELECT count(*) FROM leadflow.check_sla('2026-05-31 13:00:00.000001Z');
SELECT * FROM places ORDER BY at;
SELECT count(*) FROM leadflow.check_sla('2026-06-01 12:00:00.000001Z');
SELECT * FROM places ORDER BY at;
UPDATE leadflow.settings SET notification_retention = '60 days';
SELECT count(*) FROM leadflow.check_sla('2026-08-01 12:00Z');
SELECT count(*) FROM places;
UPDATE leadflow.settings SET notification_retention = '30 days';
SELECT count(*) FROM leadflow.check_sla('2026-08-01 12:00Z');
SELECT count(*) FROM places;
-- Ten thousand a run, so that no run takes long.
SET session_replication_role = replica;
INSERT INTO leadflow.contact_reservations (lead_id, channel, at, expires_at) SELECT 999, 'letter', '2026-05-01', '2026-05-02' FROM generate_series(1, 10001);
SET session_replication_role = origin;
SELECT count(*) FROM leadflow.check_sla('2026-08-01 12:00Z');
SELECT count(*) FROM places;
ROLLBACK;

--
-- Without the indexes, and with partitions, the answers are the same.
--
CREATE TABLE answers AS
SELECT l.id, c.channel, leadflow.may_contact(l.id, c.channel) AS may, leadflow.contact_blocked_by(l.id, c.channel) AS why, leadflow.next_contact_at(l.id, c.channel) AS next
FROM leadflow.leads l, (VALUES ('email'), ('sms')) c (channel);
SELECT count(*) FILTER (WHERE may) > 0 AS some_may, count(*) FILTER (WHERE NOT may) > 0 AS some_may_not FROM answers;
ALTER INDEX leadflow.contact_permissions_lead_id RENAME TO something_else;
DROP INDEX leadflow.contact_reservations_open;
DROP INDEX leadflow.handoffs_lead_id;
ALTER TABLE leadflow.activities RENAME TO activities_before;
ALTER TABLE leadflow.activities_before RENAME CONSTRAINT activities_pkey TO activities_before_pkey;
CREATE TABLE leadflow.activities (LIKE leadflow.activities_before INCLUDING DEFAULTS, PRIMARY KEY (lead_id, occurred_at, id)) PARTITION BY RANGE (occurred_at);
CREATE TABLE leadflow.activities_old PARTITION OF leadflow.activities FOR VALUES FROM (MINVALUE) TO ('2026-03-11Z');
CREATE TABLE leadflow.activities_new PARTITION OF leadflow.activities FOR VALUES FROM ('2026-03-11Z') TO (MAXVALUE);
INSERT INTO leadflow.activities SELECT * FROM leadflow.activities_before;
SELECT a.*, 'now' AS now, leadflow.may_contact(a.id, channel), leadflow.contact_blocked_by(a.id, channel), leadflow.next_contact_at(a.id, channel)
FROM answers a
WHERE (may, why, next) IS DISTINCT FROM (leadflow.may_contact(a.id, channel), leadflow.contact_blocked_by(a.id, channel), leadflow.next_contact_at(a.id, channel));
SELECT count(*) FROM leadflow.leads l WHERE leadflow.reserve_contact(l.id, 'fax') IS NOT NULL;

\set VERBOSITY default
DROP OWNED BY contact_test_user, contact_test_nobody, contact_test_admin, contact_test_marketing, contact_test_sales, contact_test_reviewer, contact_test_reader, contact_test_app;
DROP ROLE contact_test_user, contact_test_nobody, contact_test_admin, contact_test_marketing, contact_test_sales, contact_test_reviewer, contact_test_reader, contact_test_app;
