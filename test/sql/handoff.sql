--
-- Hand-offs: who gets a lead and why, turns by weight, somebody else takes over, a new
-- owner; what is on record of it.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';
\set VERBOSITY terse

CREATE FUNCTION record(lead bigint) RETURNS TABLE (offered_at timestamptz, owner_id bigint, queue text, why text,
	decided_at timestamptz, decision text)
LANGUAGE sql STABLE AS $$
	SELECT h.offered_at, h.owner_id, h.queue, h.why, h.decided_at, h.decision
	FROM leadflow.handoffs h WHERE h.lead_id = lead ORDER BY h.id
$$;
-- MQLs to hand over.
CREATE FUNCTION mqls(first integer, last integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, stage) SELECT i, i || '@one.example', 'mql' FROM generate_series(first, last) i
$$;

-- Nobody there: the lead waits in the queue.
SELECT mqls(1, 2);
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1;
SELECT stage, owner_id FROM leadflow.leads WHERE id = 1;
SELECT * FROM record(1);

INSERT INTO leadflow.team_members (id, full_name, email, team, active, weight) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true, 1),
	(12, 'Sam', 'sam@our.example', 'sales', true, 1),
	(13, 'Sue', 'sue@our.example', 'sales', true, 1),
	(14, 'Old', 'old@our.example', 'sales', false, 1),
	(15, 'Lea', 'lea@our.example', 'leadership', true, 1),
	(16, 'Off', 'off@our.example', 'sales', true, 0);

-- Who waited is taken by whoever decides first.
SET leadflow.clock = '2026-03-02 10:00Z';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sue@our.example' WHERE id = 1;
SELECT owner_id FROM leadflow.leads WHERE id = 1;
SELECT * FROM record(1);
SELECT metric, state, member_id FROM leadflow.sla_clocks WHERE lead_id = 1 ORDER BY id;

--
-- Whom the client names wins, whoever that is; then the owner, if active and of sales; then turns.
--
SELECT mqls(21, 29);
UPDATE leadflow.leads SET stage = 'sql', owner_id = 11 WHERE id = 21;
UPDATE leadflow.leads SET owner_id = 13 WHERE id = 22;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 22;
UPDATE leadflow.leads SET owner_id = 11 WHERE id = 23;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 23;
UPDATE leadflow.leads SET owner_id = 14 WHERE id = 24;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 24;
UPDATE leadflow.leads SET stage = 'sql', owner_id = NULL WHERE id IN (25, 26);
-- the same owner, named
UPDATE leadflow.leads SET owner_id = 14 WHERE id = 27;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 14 WHERE id = 27;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 99 WHERE id = 28;
UPDATE leadflow.leads SET stage = 'sql', owner_id = CASE id WHEN 28 THEN 12 END WHERE id IN (28, 29);
SELECT l.id, l.owner_id, h.owner_id = l.owner_id AS same, h.queue, h.why
FROM leadflow.leads l JOIN leadflow.handoffs h ON h.lead_id = l.id WHERE l.id > 20 ORDER BY 1;
SELECT lead_id, member_id FROM leadflow.sla_clocks WHERE metric = 'time_to_accept' AND lead_id > 20 ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- Decisions. Another member of sales may decide, and takes the lead over, on record; leadership
-- decides for the owner; an owner named in the same statement stays.
--
SET leadflow.clock = '2026-03-02 11:00Z';
UPDATE leadflow.leads SET owner_id = 12 WHERE id IN (21, 22, 23, 24, 25, 26);
SET leadflow.clock = '2026-03-02 12:00Z';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 21;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'not_icp', stage_by = 'sue@our.example' WHERE id = 22;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'lea@our.example' WHERE id = 23;
UPDATE leadflow.leads SET stage = 'accepted', owner_id = 12, stage_by = 'sue@our.example' WHERE id = 24;
UPDATE leadflow.leads SET stage = 'accepted', owner_id = 13, stage_by = 'sam@our.example' WHERE id = 25;
SELECT id, owner_id, stage_actor_id FROM leadflow.leads WHERE id BETWEEN 21 AND 25 ORDER BY 1;
SELECT l.id, r.* FROM leadflow.leads l, record(l.id) WITH ORDINALITY r WHERE l.id BETWEEN 21 AND 25 ORDER BY 1, r.ordinality;
-- self-sourced: no hand-off, but whose it is
INSERT INTO leadflow.leads (id, email) VALUES (31, 'self@one.example');
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 31;
SELECT owner_id FROM leadflow.leads WHERE id = 31;
SELECT count(*) FROM record(31);
-- a new owner later on
SET leadflow.clock = '2026-03-03 09:00Z';
UPDATE leadflow.leads SET owner_id = 13 WHERE id IN (21, 26, 31, 2);
UPDATE leadflow.leads SET owner_id = NULL WHERE id = 26;
SELECT l.id, r.* FROM leadflow.leads l, record(l.id) WITH ORDINALITY r WHERE l.id IN (21, 26, 31, 2) ORDER BY 1, r.ordinality;
SELECT lead_id, metric, state, member_id FROM leadflow.sla_clocks WHERE lead_id = 26 ORDER BY id;
-- touches belong to whoever had it then
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES
	(26, 'call', '2026-03-02 10:30Z'), (26, 'call', '2026-03-02 13:00Z'), (26, 'email_sent', '2026-03-03 09:00Z');
SELECT offered_at, owner_id, touches, first_touch_at FROM leadflow.handoffs WHERE lead_id = 26 ORDER BY id;
SELECT * FROM leadflow.verify();

--
-- Turns. Weights 5, 3, 2 in a queue of its own; in one statement and in many.
--
INSERT INTO leadflow.queues (id, name) VALUES (901, 'three');
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (41, 'A', 'a@our.example', 'sales'), (42, 'B', 'b@our.example', 'sales'), (43, 'C', 'c@our.example', 'leadership');
INSERT INTO leadflow.queue_members VALUES (901, 41, 5), (901, 42, 3), (901, 43, 2);
INSERT INTO leadflow.routing_rules (position, name, queue_id) VALUES (1, 'all', 901);
SELECT mqls(1001, 1100);
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 1001 AND 1020;
SELECT string_agg((owner_id - 40)::text, '' ORDER BY id) FROM leadflow.leads WHERE id BETWEEN 1001 AND 1020;
DO $$ BEGIN FOR i IN 1021..1040 LOOP UPDATE leadflow.leads SET stage = 'sql' WHERE id = i; END LOOP; END $$;
SELECT string_agg((owner_id - 40)::text, '' ORDER BY id) FROM leadflow.leads WHERE id BETWEEN 1021 AND 1040;
SELECT * FROM leadflow.queue_state WHERE queue_id = 901 ORDER BY 2;
-- in lead order, however they are stored
CREATE TABLE shuffled AS SELECT id FROM leadflow.leads WHERE id BETWEEN 1041 AND 1050 ORDER BY md5(id::text);
UPDATE leadflow.leads l SET stage = 'sql' FROM shuffled s WHERE s.id = l.id;
SELECT string_agg((owner_id - 40)::text, '' ORDER BY id) FROM leadflow.leads WHERE id BETWEEN 1041 AND 1050;
-- who was away has nothing to catch up
UPDATE leadflow.team_members SET active = false WHERE id = 41;
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 1051 AND 1070;
SELECT string_agg((owner_id - 40)::text, '' ORDER BY id) FROM leadflow.leads WHERE id BETWEEN 1051 AND 1070;
UPDATE leadflow.team_members SET active = true WHERE id = 41;
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 1071 AND 1090;
SELECT string_agg((owner_id - 40)::text, '' ORDER BY id) FROM leadflow.leads WHERE id BETWEEN 1071 AND 1090;
-- weight 0, a member's own weight, nobody left
UPDATE leadflow.queue_members SET weight = 0 WHERE member_id = 42;
UPDATE leadflow.queue_members SET weight = NULL WHERE member_id = 43;
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 1091 AND 1096;
SELECT string_agg((owner_id - 40)::text, '' ORDER BY id) FROM leadflow.leads WHERE id BETWEEN 1091 AND 1096;
UPDATE leadflow.queue_members SET weight = 0;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1097;
SELECT * FROM record(1097);
-- a rule that names somebody; no queue at all
INSERT INTO leadflow.routing_rules (position, name, assignee_id) VALUES (0, 'Sam''s', 12);
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1098;
SELECT owner_id, queue, why FROM record(1098);
UPDATE leadflow.team_members SET active = false WHERE id = 12;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1099;
SELECT owner_id, queue, why FROM record(1099);
DELETE FROM leadflow.routing_rules;
DELETE FROM leadflow.queues;
SELECT count(*) FROM leadflow.queue_state;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1100;
SELECT owner_id, queue, why FROM record(1100);
SELECT * FROM leadflow.verify();

--
-- The arithmetic: at every point everybody is less than one lead away from what is due. (The
-- rule that the highest credit goes first is off by up to 1.29 with such weights.)
--
SELECT leadflow._turns('{5,1,1}', 14), leadflow._turns('{1,1,1}', 6), leadflow._turns('{7}', 3), leadflow._turns('{1}', 0);
SELECT count(*) AS points, max(abs(got - nth * weight::numeric / total)) < 1 AS fair
FROM (
	SELECT c, m, nth, w.weight, sum(w.weight) OVER (PARTITION BY c, nth) AS total,
		sum((t.turn = m)::integer) OVER (PARTITION BY c, m ORDER BY nth)::numeric AS got
	FROM generate_series(1, 60) c
	CROSS JOIN LATERAL (SELECT array_agg(1 + ('x0' || substr(md5(c || ' ' || i), 1, 7))::bit(32)::integer % CASE WHEN i % 3 = 0 THEN 1000 ELSE 5 END) AS weights
		FROM generate_series(1, 2 + c % 24) i) a
	CROSS JOIN LATERAL unnest(leadflow._turns(a.weights, 150)) WITH ORDINALITY t (turn, nth)
	CROSS JOIN LATERAL unnest(a.weights) WITH ORDINALITY w (weight, m)
) x;
SELECT leadflow._turns('{}', 1);
SELECT leadflow._turns('{1,0}', 1);
SELECT leadflow._turns('{1,NULL}', 1);
SELECT leadflow._turns('{1}', -1);

--
-- Ten members of any weights, more than their total of hand-offs: at every point each is less than
-- one lead away from the share that is due.
--
DELETE FROM leadflow.leads WHERE id > 1000;
DELETE FROM leadflow.team_members WHERE id > 40;
INSERT INTO leadflow.team_members (id, full_name, email, team, weight)
SELECT 100 + i, 'M' || i, 'm' || i || '@our.example', 'sales', w FROM unnest('{1,1,2,3,5,8,13,21,34,55}'::integer[]) WITH ORDINALITY v (w, i);
INSERT INTO leadflow.queues (id, name) VALUES (902, 'ten');
INSERT INTO leadflow.queue_members SELECT 902, id, NULL FROM leadflow.team_members WHERE id > 100;
SELECT mqls(2001, 2600);
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 2001 AND 2500;
DO $$ BEGIN FOR i IN 2501..2600 BY 10 LOOP UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN i AND i + 9; END LOOP; END $$;
SELECT max(abs(got - n * m.weight / 143.0)) < 1 AS fair, count(DISTINCT n) AS points
FROM leadflow.team_members m
CROSS JOIN LATERAL (
	SELECT row_number() OVER (ORDER BY l.id) AS n, count(*) FILTER (WHERE l.owner_id = m.id) OVER (ORDER BY l.id) AS got
	FROM leadflow.leads l WHERE l.id > 2000
) l
WHERE m.id > 100;
SELECT owner_id, count(*) FROM leadflow.leads WHERE id > 2000 GROUP BY 1 ORDER BY 1;
SELECT * FROM leadflow.verify();
