--
-- The sweep: its limit, who is told, and what follows from a breach.
--
\set VERBOSITY terse
SET TIME ZONE 'UTC';
SET leadflow.clock = '2026-06-01 08:00+00';

-- Ann and Bob are managed by Max, Max by nobody.
INSERT INTO leadflow.team_members (id, full_name, email, team, manager_id) VALUES
	(900, 'Max', 'max@our.example', 'leadership', NULL), (901, 'Ann', 'ann@our.example', 'sales', 900),
	(902, 'Bob', 'bob@our.example', 'sales', 900), (903, 'Cid', 'cid@our.example', 'sales', NULL),
	(904, 'Mia', 'mia@our.example', 'marketing', NULL);
-- Which promise holds is said by the lead.
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.sla_policies (id, name, metric, target, warn_fraction, on_breach, condition) VALUES
	(101, 'accept', 'time_to_accept', '4 hours', 0.5, 'notify', '$.attributes.promise like_regex "accept"'),
	(102, 'or else', 'time_to_accept', '4 hours', NULL, 'reassign', '$.attributes.promise like_regex "else"'),
	(103, 'or back', 'time_to_accept', '4 hours', NULL, 'return_to_marketing', '$.attributes.promise like_regex "back"'),
	(104, 'touch', 'time_to_first_touch', '4 hours', NULL, 'reassign', '$.attributes.promise like_regex "touch"'),
	(105, 'touch now', 'time_to_first_touch', '2 hours', NULL, 'notify', '$.attributes.promise like_regex "now"');

CREATE PROCEDURE public.hand_over(ids bigint[], member bigint, promise text) LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title, attributes)
	SELECT i, 'lead' || i || '@corp' || i || '.example', 'Lead ' || i, 'Corp ' || i, 'Director', jsonb_build_object('promise', promise) FROM unnest(ids) i;
	UPDATE leadflow.leads SET stage = 'mql' WHERE id = ANY (ids);
	UPDATE leadflow.leads SET stage = 'sql', owner_id = member WHERE id = ANY (ids);
$$;
CREATE VIEW public.clocks AS
SELECT c.lead_id AS lead, p.name AS policy, m.full_name AS member, c.state, to_char(c.stopped_at, 'DD HH24:MI') AS stopped,
	to_char(c.breached_at, 'DD HH24:MI') AS breached, to_char(c.escalated_at, 'DD HH24:MI') AS escalated
FROM leadflow.sla_clocks c
JOIN leadflow.sla_policies p ON p.id = c.policy_id
LEFT JOIN leadflow.team_members m ON m.id = c.member_id
ORDER BY c.lead_id, c.id;
CREATE VIEW public.offers AS
SELECT h.lead_id AS lead, m.full_name AS owner, h.why, h.decision, h.decided_at IS NULL AS open
FROM leadflow.handoffs h LEFT JOIN leadflow.team_members m ON m.id = h.owner_id ORDER BY h.lead_id, h.id;
-- What was told since the last call.
CREATE TABLE public.looked AS SELECT 0::bigint AS id;
CREATE FUNCTION public.told() RETURNS TABLE (lead bigint, event text, who text, policy text, at text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT n.lead_id, n.event, coalesce(m.full_name, 'queue ' || n.queue, 'team ' || n.team) || CASE WHEN n.channel <> 'inbox' THEN ' by ' || n.channel ELSE '' END,
		n.payload ->> 'policy', to_char((n.payload ->> 'at')::timestamptz, 'DD HH24:MI')
	FROM leadflow.notifications n LEFT JOIN leadflow.team_members m ON m.id = n.recipient_id
	WHERE n.id > (SELECT l.id FROM public.looked l) ORDER BY n.id;
	UPDATE public.looked l SET id = (SELECT coalesce(max(n.id), l.id) FROM leadflow.notifications n);
END $$;

--
-- Bad input
--
SELECT * FROM leadflow.check_sla(max_clocks => 0);
SELECT * FROM leadflow.check_sla(max_clocks => -1);
SELECT * FROM leadflow.check_sla(max_clocks => NULL);
SELECT * FROM leadflow.check_sla(NULL);
\set VERBOSITY default
SELECT * FROM leadflow.check_sla('infinity');
\set VERBOSITY terse
SELECT * FROM leadflow.check_sla('-infinity', 1);

--
-- Who is told
--
-- Ann is away from noon on, Bob stands in for her, and Cid for Bob from 13:00 on.
INSERT INTO leadflow.absences (member_id, during, cover_id) VALUES
	(901, '[2026-06-01 12:00+00,2026-06-02 00:00+00)', 902), (902, '[2026-06-01 13:00+00,2026-06-02 00:00+00)', 903);
SET leadflow.clock = '2026-06-01 07:59+00';
CALL hand_over('{1}', 901, 'accept');	-- warns at 9:59, due at 11:59: Ann is there
SET leadflow.clock = '2026-06-01 08:00+00';
CALL hand_over('{2}', 901, 'accept');	-- 10:00, 12:00: away
SET leadflow.clock = '2026-06-01 09:00+00';
CALL hand_over('{3}', 901, 'accept');	-- 11:00, 13:00: Bob is away, too
CALL hand_over('{4}', 903, 'accept');	-- nobody manages Cid
SELECT count(*) FROM told();
-- Whenever it is told, it is told to who was there when it happened.
SET leadflow.clock = '2026-06-01 11:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SET leadflow.clock = '2026-06-01 20:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM clocks;
-- Nobody stands in: the one who is away. Two who stand in for each other end nowhere.
UPDATE leadflow.absences SET during = '[2026-06-02,2026-06-05)';
UPDATE leadflow.absences SET cover_id = CASE member_id WHEN 902 THEN 901 END;
SET leadflow.clock = '2026-06-02 08:00+00';
CALL hand_over('{5}', 901, 'accept');
CALL hand_over('{6}', 902, 'accept');
-- A manager who stands in hears of it once; one who has left not at all; nor has somebody who left a cover.
UPDATE leadflow.absences SET cover_id = 903 WHERE member_id = 902;
UPDATE leadflow.team_members SET manager_id = 903 WHERE id = 902;
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-02 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
UPDATE leadflow.team_members SET manager_id = 900 WHERE id = 902;
UPDATE leadflow.team_members SET active = false WHERE id = 900;
DELETE FROM leadflow.absences;
CALL hand_over('{7}', 901, 'accept');
-- A lead that nobody has: the queue.
UPDATE leadflow.team_members SET capacity = 0 WHERE team = 'sales';
CALL hand_over('{8}', NULL, 'accept');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-02 18:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
UPDATE leadflow.team_members SET active = true WHERE id = 900;
UPDATE leadflow.team_members SET capacity = NULL WHERE team = 'sales';
-- Who subscribed is told once, though the manager is told, too.
INSERT INTO leadflow.subscriptions (event, team, channel, condition) VALUES ('sla.breached', 'marketing', 'slack', '$.on_breach == "notify"');
CALL hand_over('{9}', 901, 'accept');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-03 08:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT payload - 'clock_id' AS payload FROM leadflow.notifications WHERE lead_id = 9 AND event = 'sla.breached' ORDER BY id;
DELETE FROM leadflow.subscriptions;

--
-- The limit
--
CALL hand_over('{11,12,13,14,15}', 903, 'accept, now');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-03 11:00+00';
-- Breaches come first, then warnings.
SELECT * FROM leadflow.check_sla(max_clocks => 3);
SELECT * FROM leadflow.check_sla(max_clocks => 3);
SELECT * FROM leadflow.check_sla(max_clocks => 3);
SELECT * FROM leadflow.check_sla(max_clocks => 3);
SELECT * FROM leadflow.check_sla(max_clocks => 3);
SELECT event, policy, count(*), count(DISTINCT lead) AS leads FROM told() GROUP BY 1, 2 ORDER BY 1, 2;
-- A run that is rolled back tells nothing, and takes nothing from the next.
SET leadflow.clock = '2026-06-03 13:00+00';
BEGIN;
SELECT * FROM leadflow.check_sla(max_clocks => 4);
ROLLBACK;
SELECT * FROM leadflow.check_sla(max_clocks => 4);
SELECT * FROM leadflow.check_sla(max_clocks => 4);
SELECT * FROM leadflow.check_sla(max_clocks => 4);
SELECT event, policy, count(*), count(DISTINCT lead) AS leads FROM told() GROUP BY 1, 2 ORDER BY 1, 2;

--
-- Reassigned to the next of sales
--
CALL hand_over('{21}', 901, 'else');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-03 17:00:00.000001+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM clocks WHERE lead = 21;
SELECT * FROM offers WHERE lead = 21;
SELECT l.stage, m.full_name AS owner FROM leadflow.leads l JOIN leadflow.team_members m ON m.id = l.owner_id WHERE l.id = 21;
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
-- Of whoever lets it breach, once a cycle each; nobody is left: it stays, and the manager hears of it.
UPDATE leadflow.sla_policies SET target = '2 hours' WHERE id = 102;
SET leadflow.clock = '2026-06-04 08:00+00';
CALL hand_over('{22}', 901, 'else, touch');
UPDATE leadflow.leads SET owner_id = 902 WHERE id = 22;
SET leadflow.clock = '2026-06-04 11:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM offers WHERE lead = 22;
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-04 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM clocks WHERE lead = 22;
SELECT * FROM offers WHERE lead = 22;
-- Two clocks that breach at once: one reassignment.
UPDATE leadflow.sla_policies SET target = '4 hours' WHERE id = 102;
SET leadflow.clock = '2026-06-05 08:00+00';
CALL hand_over('{23}', 901, 'else, touch');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-05 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM offers WHERE lead = 23;
SELECT * FROM clocks WHERE lead = 23;
-- Somebody else has it by now: that is not the one who let it breach. Its manager hears of it.
CALL hand_over('{24}', 901, 'else');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-05 18:00+00';
UPDATE leadflow.leads SET owner_id = 903 WHERE id = 24;
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM offers WHERE lead = 24;
SELECT * FROM clocks WHERE lead = 24;
-- A lead that waits is nobody's to take away; what the sweep gives out in the same run stays given.
UPDATE leadflow.team_members SET capacity = 0 WHERE team = 'sales';
CALL hand_over('{25}', NULL, 'else');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-05 23:00+00';
UPDATE leadflow.team_members SET capacity = NULL WHERE team = 'sales';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM offers WHERE lead = 25;
-- Capacity is kept, and the other waits for somebody to have room; who sales works on already is passed on with the stage that it has.
UPDATE leadflow.sla_policies SET condition = '$.attributes.promise like_regex "later"' WHERE id = 104;
SET leadflow.clock = '2026-06-08 08:00+00';
CALL hand_over('{26,27}', 901, 'later');
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 26;
UPDATE leadflow.team_members SET capacity = (SELECT count(*) + 1 FROM leadflow.leads l WHERE l.owner_id = 902 AND l.stage IN ('sql', 'accepted')) WHERE id = 902;
UPDATE leadflow.team_members SET capacity = 0 WHERE id IN (901, 903);
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-08 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM offers WHERE lead IN (26, 27);
SELECT * FROM clocks WHERE lead IN (26, 27);
UPDATE leadflow.team_members SET capacity = NULL WHERE team = 'sales';
-- A message of marketing is held back after a hand-off, not after this.
SELECT h.offered_at FROM leadflow.handoffs h WHERE h.lead_id = 26 AND NOT leadflow._was_passed_on(h.why);

--
-- Returned to marketing
--
CREATE VIEW public.cycles AS SELECT s.lead_id AS lead, l.stage, l.stage_reason AS reason, m.full_name AS owner, s.cycle, to_char(s.cycle_since, 'DD HH24:MI') AS since
FROM leadflow.score_state s JOIN leadflow.leads l ON l.id = s.lead_id LEFT JOIN leadflow.team_members m ON m.id = l.owner_id;
INSERT INTO leadflow.leads (id, email, full_name, company, job_title, attributes)
VALUES (31, 'lead31@corp31.example', 'Lead 31', 'Corp 31', 'Director', '{"promise": "back"}');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (31, 'demo_request');
SELECT * FROM cycles WHERE lead = 31;
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-08 18:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM cycles WHERE lead = 31;
SELECT * FROM clocks WHERE lead = 31;
SELECT owner IS NOT NULL AS owned, why, decision, open FROM offers WHERE lead = 31;
SELECT h.from_stage, h.to_stage, h.team, h.reason, h.cycle FROM leadflow.stage_history h WHERE h.lead_id = 31 ORDER BY h.id;
SELECT * FROM leadflow.check_sla();
-- What it did before counts no more; the next raised hand does, and whose it becomes is asked anew.
SELECT mql_ready, mql_blocked_by FROM leadflow.lead_scores WHERE lead_id = 31;
UPDATE leadflow.leads SET phone = '1' WHERE id = 31;
SELECT stage FROM cycles WHERE lead = 31;
SET leadflow.clock = '2026-06-08 18:01+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (31, 'demo_request');
SELECT stage, reason, cycle, since FROM cycles WHERE lead = 31;
SELECT why, decision, open FROM offers WHERE lead = 31;
SELECT count(*) FROM told();
-- And returned once more.
SET leadflow.clock = '2026-06-09 08:00+00';
SELECT * FROM leadflow.check_sla();
SELECT stage, cycle, since FROM cycles WHERE lead = 31;
SELECT event, policy FROM told() WHERE lead = 31;
-- Not where the system's move isn't listed: the manager is told.
UPDATE leadflow.stage_transitions SET teams = '{marketing}' WHERE from_stage = 'sql' AND to_stage = 'lead';
CALL hand_over('{32}', 901, 'back');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-09 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT stage, cycle FROM cycles WHERE lead = 32;
SELECT * FROM clocks WHERE lead = 32;
UPDATE leadflow.stage_transitions SET teams = '{system}' WHERE from_stage = 'sql' AND to_stage = 'lead';

--
-- Both kinds in one run: of several leads, and of one, which goes back.
--
UPDATE leadflow.sla_policies SET condition = '$.attributes.promise like_regex "touch"' WHERE id = 104;
CALL hand_over('{41,43}', 901, 'else');
CALL hand_over('{42}', 902, 'back');
CALL hand_over('{44}', 902, 'back, touch');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-09 18:00+00';
SELECT * FROM leadflow.check_sla();
SELECT lead, event, policy FROM told();
SELECT * FROM clocks WHERE lead BETWEEN 41 AND 44;
SELECT lead, stage, reason FROM cycles WHERE lead BETWEEN 41 AND 44 ORDER BY 1;
SELECT lead, why, decision FROM offers WHERE lead BETWEEN 41 AND 44;
SELECT * FROM leadflow.check_sla();

--
-- The limit again: what was announced is escalated by a later run, if there is anything to escalate still.
--
CALL hand_over('{51,52,53}', 901, 'else');
CALL hand_over('{54}', 901, 'back');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-10 08:00+00';
SELECT * FROM leadflow.check_sla(max_clocks => 1);
SELECT lead, policy, breached, escalated FROM clocks WHERE lead BETWEEN 51 AND 54;
-- Sales answers late, but before the sweep comes round again.
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 51;
SELECT * FROM leadflow.check_sla(max_clocks => 3);
SELECT lead, policy, breached, escalated FROM clocks WHERE lead BETWEEN 51 AND 54;
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 54;
SELECT * FROM leadflow.check_sla();
SELECT * FROM leadflow.check_sla();
SELECT * FROM clocks WHERE lead BETWEEN 51 AND 54;
SELECT lead, stage FROM cycles WHERE lead BETWEEN 51 AND 54 ORDER BY 1;
SELECT lead, event, policy FROM told();
-- An answer that was voided never was.
INSERT INTO leadflow.leads (id, email, full_name, company, job_title, attributes)
VALUES (55, 'lead55@corp55.example', 'Lead 55', 'Corp 55', 'Director', '{"promise": "touch"}');
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 55;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 901 WHERE id = 55;
SET leadflow.clock = '2026-06-10 13:00+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (55, 'call');
SELECT * FROM leadflow.check_sla();
SELECT * FROM clocks WHERE lead = 55;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'wrong lead' WHERE lead_id = 55;
SELECT * FROM leadflow.check_sla();
SELECT * FROM clocks WHERE lead = 55;
SELECT * FROM offers WHERE lead = 55;

--
-- Quiet is for what is written, not for the sweep.
--
CALL hand_over('{61}', 901, 'else');
CALL hand_over('{62}', 901, 'back');
SELECT count(*) FROM told();
SET leadflow.clock = '2026-06-10 18:00+00';
SET leadflow.quiet = on;
SELECT * FROM leadflow.check_sla();
SHOW leadflow.quiet;
RESET leadflow.quiet;
SELECT lead, event, policy FROM told();

--
-- Clocks that stand still: told of when their time comes, never where it doesn't.
--
CALL hand_over('{71,72,73}', 901, 'accept');
SELECT count(*) FROM told();
SET session_replication_role = replica;
UPDATE leadflow.sla_clocks SET state = 'paused', counted_from = 'infinity', due_at = 'infinity', warn_at = 'infinity' WHERE lead_id = 71;
UPDATE leadflow.sla_clocks SET state = 'paused', counted_from = '2026-06-12 18:00+00', due_at = '2026-06-12 22:00+00', warn_at = '2026-06-12 20:00+00' WHERE lead_id = 72;
-- the warning came before the pause
UPDATE leadflow.sla_clocks SET state = 'paused', counted_from = '2026-06-12 18:00+00', due_at = '2026-06-12 19:00+00', carried = '3 hours' WHERE lead_id = 73;
RESET session_replication_role;
SET leadflow.clock = '2026-06-10 23:00+00';
SELECT check_name, status FROM leadflow.health WHERE check_name = 'overdue_sweep';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM leadflow.check_sla();
SELECT lead, state FROM clocks WHERE lead BETWEEN 71 AND 73;
SET leadflow.clock = '2026-06-12 21:00+00';
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT lead, state FROM clocks WHERE lead BETWEEN 71 AND 73;
SET leadflow.clock = '2030-01-01 00:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT lead, state FROM clocks WHERE lead BETWEEN 71 AND 73;
DELETE FROM leadflow.leads WHERE id BETWEEN 71 AND 73;

--
-- What a run has left shows in health.
--
SET leadflow.clock = '2030-01-01 08:00+00';
CALL hand_over('{81,82}', 901, 'back');
SET leadflow.clock = '2030-01-01 12:01+00';
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';
SET leadflow.clock = '2030-01-01 12:06+00';
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';
SELECT * FROM leadflow.check_sla(max_clocks => 2);
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';
SET leadflow.clock = '2030-01-01 12:12+00';
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';
SELECT * FROM leadflow.check_sla();
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';

--
-- Nobody is there: a reassignment waits for somebody.
--
UPDATE leadflow.team_members SET calendar_id = (SELECT c.id FROM leadflow.calendars c WHERE c.name = 'office') WHERE id IN (901, 902);
UPDATE leadflow.team_members SET capacity = 0 WHERE id = 903;
UPDATE leadflow.sla_policies SET target = '8 hours' WHERE id = 102;
SET leadflow.clock = '2030-01-07 09:00+00';
CALL hand_over('{91}', 901, 'else');
SELECT count(*) FROM told();
-- Due when everybody goes home. It is told once, and the manager hears of nothing.
SET leadflow.clock = '2030-01-07 17:00:30+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT state, due_at, escalated_at FROM leadflow.sla_status WHERE lead_id = 91;
SET leadflow.clock = '2030-01-08 08:59+00';
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';
SELECT * FROM leadflow.check_sla();
SET leadflow.clock = '2030-01-08 09:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM clocks WHERE lead = 91;
SELECT * FROM offers WHERE lead = 91;
SELECT * FROM leadflow.check_sla();
-- Those that wait take nothing from the limit of a run: what comes after them is done.
CALL hand_over('{92,93,94}', 901, 'else');
CALL hand_over('{95,96}', 901, 'back');
INSERT INTO leadflow.absences (member_id, during) VALUES (902, '[2030-01-08 12:00+00,2030-01-09 12:00+00)');
SELECT count(*) FROM told();
SET leadflow.clock = '2030-01-08 17:00:30+00';
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 2);
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 2);
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 2);
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 2);
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 2);
SELECT lead, policy, breached, escalated FROM clocks WHERE lead BETWEEN 92 AND 96;
SELECT lead, event, who FROM told();
-- Meanwhile one is answered late: it stays. One is given to somebody by hand: that is told.
SET leadflow.clock = '2030-01-09 10:00+00';
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 92;
UPDATE leadflow.leads SET owner_id = 903 WHERE id = 93;
SELECT count(*) FROM told();
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 1);
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 1);
SELECT * FROM told();
SET leadflow.clock = '2030-01-09 12:00+00';
SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 1);
SELECT * FROM told();
SELECT lead, policy, member, state, escalated FROM clocks WHERE lead BETWEEN 92 AND 94;
SELECT lead, owner, why, decision FROM offers WHERE lead BETWEEN 92 AND 94;
-- Nobody else is left whom it could ever go to: who has had it has, and Cid takes none.
CALL hand_over('{97}', 902, 'else');
UPDATE leadflow.leads SET owner_id = 901 WHERE id = 97;
CALL hand_over('{98}', 901, 'else');
SELECT count(*) FROM told();
SET leadflow.clock = '2030-01-10 17:30+00';
SELECT breached, escalated FROM leadflow.check_sla();
SELECT * FROM told();
SELECT lead, escalated FROM clocks WHERE lead IN (97, 98);
-- Nor is there anybody for the one that waits once Bob has left.
UPDATE leadflow.team_members SET active = false WHERE id = 902;
SELECT breached, escalated FROM leadflow.check_sla();
SELECT * FROM told();
UPDATE leadflow.team_members SET active = true, calendar_id = NULL WHERE id = 902;
UPDATE leadflow.team_members SET calendar_id = NULL WHERE id = 901;
UPDATE leadflow.team_members SET capacity = NULL WHERE id = 903;

--
-- Answers: announced and escalated like the rest, wherever the lead stands.
--
INSERT INTO leadflow.sla_policies (id, name, metric, target, warn_fraction, on_breach, condition) VALUES
	(106, 'reply', 'next_response', '2 hours', 0.5, 'reassign', '$.attributes.promise like_regex "reply"');
SET leadflow.clock = '2030-01-14 08:00+00';
CALL hand_over('{101,102}', 901, 'reply');
INSERT INTO leadflow.leads (id, email, full_name, attributes) VALUES (103, 'lead103@corp103.example', 'Lead 103', '{"promise": "reply"}');
SET leadflow.clock = '2030-01-14 09:00+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (101, 'email_reply'), (102, 'email_reply'), (103, 'email_reply');
SELECT count(*) FROM told();
SET leadflow.clock = '2030-01-14 10:30+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
-- One is answered late, before anybody looked: told, and no more. What nobody has can't be passed on.
SET leadflow.clock = '2030-01-14 11:30+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (102, 'call');
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM clocks WHERE lead BETWEEN 101 AND 103;
SELECT lead, owner, why FROM offers WHERE lead BETWEEN 101 AND 103;
-- The new owner lets it lie, too: that is the same breach. The next question is another.
SET leadflow.clock = '2030-01-14 18:00+00';
SELECT * FROM leadflow.check_sla();
INSERT INTO leadflow.activities (lead_id, kind) VALUES (101, 'call');
SET leadflow.clock = '2030-01-14 18:10+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (101, 'email_reply');
SET leadflow.clock = '2030-01-14 21:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT * FROM clocks WHERE lead = 101;

--
-- Verdicts: who rejected a lead, or owns it, doesn't vote. Told is whose the review is.
--
INSERT INTO leadflow.campaigns (id, code, name, owner_id) VALUES (900, 'spring', 'Spring', 904);
INSERT INTO leadflow.sla_policies (id, name, metric, target, warn_fraction, condition) VALUES
	(107, 'verdict', 'time_to_review', '4 hours', 0.5, '$.attributes.promise like_regex "verdict"');
SET leadflow.clock = '2030-01-15 08:00+00';
CALL hand_over('{104,105,106}', 901, 'verdict');
UPDATE leadflow.leads SET campaign_id = 900 WHERE id = 104;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_by = 'ann@our.example' WHERE id BETWEEN 104 AND 106;
SELECT * FROM told() WHERE event = 'review.opened';
SET leadflow.clock = '2030-01-15 10:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
-- One is over, late, before anybody looked.
SET leadflow.clock = '2030-01-15 12:30+00';
UPDATE leadflow.leads SET stage = 'nurture' WHERE id = 106;
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT lead, policy, state, stopped, breached, escalated FROM clocks WHERE lead BETWEEN 104 AND 106;
SELECT * FROM leadflow.check_sla();
-- Who has left is not told.
SET leadflow.clock = '2030-01-16 08:00+00';
UPDATE leadflow.team_members SET active = false WHERE id = 904;
CALL hand_over('{107}', 901, 'verdict');
UPDATE leadflow.leads SET campaign_id = 900 WHERE id = 107;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_by = 'ann@our.example' WHERE id = 107;
SELECT count(*) FROM told();
SET leadflow.clock = '2030-01-16 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
UPDATE leadflow.team_members SET active = true WHERE id = 904;

--
-- Returned with more than one clock that breached: each is told once, and nothing is left to be done about them,
-- wherever the lead was and whether or not the clock goes on.
--
SET leadflow.clock = '2030-01-17 08:00+00';
CALL hand_over('{111}', 901, 'back, reply');
INSERT INTO leadflow.leads (id, email, full_name, company, job_title, attributes, owner_id)
VALUES (112, 'lead112@corp112.example', 'Lead 112', 'Corp 112', 'Director', '{"promise": "reply, stay"}', 901);
INSERT INTO leadflow.sla_policies (id, name, metric, target, on_breach, condition) VALUES
	(108, 'stay', 'time_in_stage', '4 hours', 'return_to_marketing', '$.attributes.promise like_regex "stay" && $.stage == "mql"');
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 112;
SET leadflow.clock = '2030-01-17 09:00+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (111, 'email_reply'), (112, 'email_reply');
SELECT count(*) FROM told();
SET leadflow.clock = '2030-01-17 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT lead, stage, reason FROM cycles WHERE lead IN (111, 112) ORDER BY 1;
SELECT lead, policy, member, state, breached, escalated FROM clocks WHERE lead IN (111, 112);
SELECT * FROM leadflow.check_sla();
SET leadflow.clock = '2030-01-18 13:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';

SELECT check_name, object_id, kept, recomputed FROM leadflow.verify();
