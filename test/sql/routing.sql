--
-- Routing: what the reason says, accounts, rules with conditions, strategies, who is there; leads that
-- wait; who is handed over.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';
\set VERBOSITY terse

CREATE FUNCTION mqls(first integer, last integer, account bigint DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, stage, account_id) SELECT i, i || '@one.example', 'mql', account FROM generate_series(first, last) i
$$;
CREATE FUNCTION given(first integer, last integer) RETURNS TABLE (lead_id bigint, owner text, queue text, why text) LANGUAGE sql STABLE AS $$
	SELECT DISTINCT ON (l.id) l.id, coalesce(m.full_name, '-') || CASE WHEN h.owner_id IS DISTINCT FROM l.owner_id THEN ' (not as on record)' ELSE '' END, h.queue, h.why
	FROM leadflow.leads l JOIN leadflow.handoffs h ON h.lead_id = l.id LEFT JOIN leadflow.team_members m ON m.id = l.owner_id
	WHERE l.id BETWEEN first AND last ORDER BY l.id, h.id DESC
$$;
CREATE FUNCTION hand_over(first integer, last integer) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
	UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN first AND last;
	RETURN QUERY SELECT * FROM given(first, last);
END $$;

INSERT INTO leadflow.team_members (id, full_name, email, team, active) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true),
	(12, 'Sam', 'sam@our.example', 'sales', true),
	(13, 'Sue', 'sue@our.example', 'sales', true),
	(14, 'Old', 'old@our.example', 'sales', false),
	(15, 'Lea', 'lea@our.example', 'leadership', true),
	(16, 'Ann', 'ann@our.example', 'sales', true),
	(17, 'Ben', 'ben@our.example', 'sales', true);
INSERT INTO leadflow.queues (id, name) VALUES (900, 'big'), (901, 'small'), (902, 'rest');
INSERT INTO leadflow.queue_members (queue_id, member_id) VALUES (900, 16), (900, 17), (901, 12), (901, 13), (902, 12);

--
-- Accounts: the account's owner, else the owner of its latest lead in sales' hands or won; also of a lead
-- that the same statement handed over a moment ago.
--
INSERT INTO leadflow.accounts (id, name, domain, owner_id) VALUES
	(1, 'Owned', 'owned.example', 16), (2, 'Theirs', NULL, NULL), (3, 'Gone', NULL, 14), (4, 'Markets', NULL, 11), (5, 'None', NULL, NULL);
INSERT INTO leadflow.leads (id, account_id, stage, owner_id, stage_since) VALUES
	(101, 2, 'accepted', 17, '2026-01-05 09:00Z'), (102, 2, 'won', 13, '2026-02-05 09:00Z'),
	(103, 2, 'nurture', 12, '2026-02-20 09:00Z'), (104, 3, 'won', 13, '2026-01-05 09:00Z'), (105, 4, 'sql', 14, '2026-01-05 09:00Z');
INSERT INTO leadflow.leads (id, email, stage) VALUES (111, 'a@owned.example', 'mql');
SELECT mqls(112, 112, 2), mqls(113, 113, 3), mqls(114, 115, 4), mqls(116, 118, 5);
SELECT * FROM hand_over(111, 118) t (lead_id bigint, owner text, queue text, why text);
-- one by one it is the same
SELECT mqls(119, 121, 5);
SELECT * FROM hand_over(119, 119) t (lead_id bigint, owner text, queue text, why text);
SELECT * FROM hand_over(120, 121) t (lead_id bigint, owner text, queue text, why text);
-- what the statement names and the lead's own owner come first
SELECT mqls(122, 123, 1);
UPDATE leadflow.leads SET owner_id = 17 WHERE id = 123;
UPDATE leadflow.leads SET stage = 'sql', owner_id = CASE id WHEN 122 THEN 12 ELSE owner_id END WHERE id IN (122, 123);
SELECT * FROM given(122, 123);

--
-- Rules: the first by position, ties by id; conditions on the lead, its account, score, rank, band, persona.
--
DELETE FROM leadflow.routing_rules;
INSERT INTO leadflow.routing_rules (id, position, name, condition, queue_id, assignee_id, strategy) VALUES
	(1, 20, 'enterprise', '$.company_size >= 1000', 900, NULL, 'round_robin'),
	(2, 20, 'enterprise, too late', '$.company_size >= 1000', 901, NULL, 'round_robin'),
	(3, 10, 'customers', '$.account.status == "customer"', NULL, 15, 'round_robin'),
	(4, 15, 'france', '$.country == "FR"', NULL, 13, 'round_robin'),
	(5, 30, 'hot', '$.band == "hot" && $.score > 80', 901, NULL, 'least_loaded'),
	(6, 35, 'personas', '$.persona starts with "decision" && $.rank starts with "A"', NULL, 12, 'round_robin'),
	(7, 40, 'broken on some', '$.attributes.size.double() > 3', NULL, 17, 'round_robin'),
	(8, 50, 'nobody''s', '$.source == "portal"', 902, NULL, 'owner'),
	(9, 100, 'rest', NULL, 902, NULL, 'round_robin');
INSERT INTO leadflow.accounts (id, name, status) VALUES (6, 'Buys', 'customer');
INSERT INTO leadflow.leads (id, stage, company_size, country, attributes, source, job_title, budget, account_id) VALUES
	(201, 'mql', 1000, NULL, '{}', NULL, NULL, NULL, NULL),
	(202, 'mql', 5000, 'FR', '{}', NULL, NULL, NULL, NULL),
	(203, 'mql', 1001, 'DE', '{}', NULL, NULL, NULL, NULL),
	(204, 'mql', NULL, NULL, '{"size": "many"}', NULL, NULL, NULL, NULL),
	(205, 'mql', NULL, NULL, '{"size": "4"}', NULL, NULL, NULL, NULL),
	(206, 'mql', 60, NULL, '{}', NULL, 'Director', 20000, NULL),
	(207, 'mql', NULL, NULL, '{}', 'portal', NULL, NULL, NULL),
	(208, 'mql', NULL, NULL, '{}', NULL, NULL, NULL, 6);
-- rules give leads to sales alone: rule customers is passed over
SELECT * FROM hand_over(201, 208) t (lead_id bigint, owner text, queue text, why text);
-- the score is that of the moment, activities of the same transaction included
INSERT INTO leadflow.leads (id, stage, job_title, company_size, budget) SELECT i, 'mql', 'Director', 100, 20000 FROM generate_series(211, 212) i;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (211, 'quote_request', '2026-03-02 09:00Z');
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (212, 'webinar_attended', '2026-03-02 09:00Z');
COMMIT;
SELECT s.lead_id, round(s.score) AS score, s.rank, s.band, s.persona, l.stage FROM leadflow.lead_scores s JOIN leadflow.leads l ON l.id = s.lead_id WHERE s.lead_id IN (211, 212) ORDER BY 1;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 212;
SELECT * FROM given(211, 212);
-- strategy owner: the account's owner if a member of the queue, else it waits; leadership counts there
INSERT INTO leadflow.queue_members (queue_id, member_id) VALUES (902, 15);
INSERT INTO leadflow.accounts (id, name, owner_id) VALUES (7, 'Lea''s', 15);
INSERT INTO leadflow.leads (id, stage, source, account_id, owner_id) VALUES (221, 'mql', 'portal', 7, NULL), (222, 'mql', 'portal', NULL, 15), (223, 'mql', 'portal', NULL, 11);
SELECT * FROM hand_over(221, 223) t (lead_id bigint, owner text, queue text, why text);
-- a condition that can't be parsed, or that would need a variable, is refused when it is written
INSERT INTO leadflow.routing_rules (name, condition, queue_id) VALUES ('bad', '$.a ==', 900);
INSERT INTO leadflow.routing_rules (name, condition, queue_id) VALUES ('bad', '$.a == $b', 900);
SELECT * FROM leadflow.verify();

--
-- What routing would say of a lead that is in no table, without a turn.
--
SELECT p.* FROM (VALUES (1, '{"company_size": 1000}'::jsonb), (2, '{"company_size": 1000, "country": "FR"}'), (3, '{"email": "x@owned.example"}'),
	(4, '{"account_id": 5}'), (5, '{"score": 81}'), (6, '{"persona": "decision maker", "rank": "A3"}'), (7, '{"owner_id": 13}'), (8, '{"owner_id": 14}'),
	(9, '{"source": "portal"}'), (10, '{}'), (11, '{"no": "such key", "stage": "won"}'), (12, '{"email": "x@gmail.com"}')) j (n, lead)
CROSS JOIN LATERAL leadflow.routing_preview(j.lead) p ORDER BY j.n;
SELECT p.* FROM generate_series(1, 3) i CROSS JOIN LATERAL leadflow.routing_preview('{"company_size": 1000}') p;
SELECT p.rule, p.owner FROM leadflow.leads l CROSS JOIN LATERAL leadflow.routing_preview(to_jsonb(l)) p WHERE l.id IN (111, 205) ORDER BY l.id;
SELECT * FROM leadflow.routing_preview('{"company_size": "many"}');
SELECT * FROM leadflow.routing_preview('[]');
SELECT * FROM leadflow.routing_preview(NULL);
-- the document is the engine's
SELECT count(*) AS leads, count(*) FILTER (WHERE leadflow._routing_document(to_jsonb(l), l.account_id) @> d.doc) AS same
FROM leadflow.leads l JOIN leadflow._lead_documents d ON d.lead_id = l.id;

--
-- Who is there: absences, covers, covers of covers, circles.
--
DELETE FROM leadflow.leads;
DELETE FROM leadflow.routing_rules;
DELETE FROM leadflow.queue_members;
INSERT INTO leadflow.queue_members (queue_id, member_id) VALUES (900, 12), (900, 13), (900, 16);
INSERT INTO leadflow.routing_rules (id, position, name, condition, queue_id, assignee_id) VALUES
	(21, 1, 'french', '$.country == "FR"', NULL, 16), (22, 2, 'french again', '$.country == "FR"', NULL, 17), (23, 9, 'all', NULL, 900, NULL);
-- Ann is away and Ben covers for her, who keeps her place; Sue is away without a cover, and her place pauses
INSERT INTO leadflow.absences (id, member_id, during, cover_id) VALUES
	(1, 16, '[2026-03-02 00:00Z,2026-03-07 00:00Z)', 17), (2, 13, '[2026-03-02 00:00Z,2026-03-04 00:00Z]', NULL);
SELECT mqls(301, 304);
INSERT INTO leadflow.leads (id, stage, country, account_id, owner_id) VALUES (305, 'mql', 'FR', NULL, NULL), (306, 'mql', NULL, 1, NULL), (307, 'mql', NULL, NULL, 16), (308, 'mql', NULL, NULL, 13);
SELECT * FROM hand_over(301, 308) t (lead_id bigint, owner text, queue text, why text);
-- Ben is away, too: Sam covers for him, but only from noon; before, the next rule, the next in the list
INSERT INTO leadflow.absences (id, member_id, during, cover_id) VALUES
	(3, 17, '[2026-03-02 00:00Z,2026-03-02 12:00Z)', 13), (4, 17, '[2026-03-02 12:00Z,2026-03-09 00:00Z)', 12);
INSERT INTO leadflow.leads (id, stage, country, owner_id) VALUES (311, 'mql', 'FR', NULL), (312, 'mql', NULL, 16);
SELECT * FROM hand_over(311, 312) t (lead_id bigint, owner text, queue text, why text);
SET leadflow.clock = '2026-03-02 12:00Z';
INSERT INTO leadflow.leads (id, stage, country, owner_id) VALUES (313, 'mql', 'FR', NULL), (314, 'mql', NULL, 16);
SELECT * FROM hand_over(313, 314) t (lead_id bigint, owner text, queue text, why text);
-- a circle: nobody is there
INSERT INTO leadflow.absences (id, member_id, during, cover_id) VALUES (5, 12, '[2026-03-02 12:00Z,)', 16);
SELECT m.full_name, leadflow._stands_in(m.id, '2026-03-02 12:00Z') AS at_noon, leadflow._stands_in(m.id, '2026-03-04 00:00Z') AS at_the_end,
	leadflow._stands_in(m.id, '2026-03-08 00:00Z') AS later FROM leadflow.team_members m WHERE m.id > 11 ORDER BY m.id;
INSERT INTO leadflow.leads (id, stage, country) VALUES (315, 'mql', 'FR');
SELECT * FROM hand_over(315, 315) t (lead_id bigint, owner text, queue text, why text);
-- who is back starts with what was due, and has nothing to catch up
SET leadflow.clock = '2026-03-12 09:00Z';
DELETE FROM leadflow.absences;
SELECT mqls(321, 329);
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 321 AND 329;
SELECT owner, count(*) FROM given(321, 329) GROUP BY 1 ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- Working hours: who is not at work gets nothing by turn; what is somebody's is theirs all the same.
--
INSERT INTO leadflow.calendars (id, name, time_zone) VALUES (801, 'early', 'UTC'), (802, 'late', 'UTC');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT 801, d, '06:00', '12:00' FROM generate_series(1, 5) d;
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT 802, d, '12:00', '18:00' FROM generate_series(1, 5) d;
UPDATE leadflow.team_members SET calendar_id = CASE id WHEN 12 THEN 801 ELSE 802 END WHERE id IN (12, 13);
DELETE FROM leadflow.queue_members WHERE member_id = 16;
SELECT mqls(401, 409);
SET leadflow.clock = '2026-03-12 11:59:59Z';
SELECT * FROM hand_over(401, 402) t (lead_id bigint, owner text, queue text, why text);
SET leadflow.clock = '2026-03-12 12:00Z';
SELECT * FROM hand_over(403, 404) t (lead_id bigint, owner text, queue text, why text);
SET leadflow.clock = '2026-03-12 20:00Z';
UPDATE leadflow.leads SET owner_id = 13 WHERE id = 407;
SELECT * FROM hand_over(405, 407) t (lead_id bigint, owner text, queue text, why text);
-- they wait, orphans for everybody to see; their clocks run
SELECT * FROM leadflow.orphaned_leads ORDER BY lead_id;
SELECT lead_id, metric, state, member_id FROM leadflow.sla_clocks WHERE lead_id IN (405, 406) ORDER BY 1, 2;
SELECT offered_at, assigned_at FROM leadflow.handoffs WHERE lead_id = 405;
-- the sweep gives them out as soon as somebody is there, on the same record
SELECT * FROM leadflow.check_sla('2026-03-13 05:59Z') \g /dev/null
SELECT * FROM given(405, 406);
SELECT * FROM leadflow.check_sla('2026-03-13 06:00Z') \g /dev/null
SELECT * FROM given(405, 406);
SELECT lead_id, count(*), min(offered_at) AS offered_at, min(assigned_at) AS assigned_at FROM leadflow.handoffs WHERE lead_id IN (405, 406) GROUP BY 1 ORDER BY 1;
SELECT lead_id, metric, state, member_id FROM leadflow.sla_clocks WHERE lead_id IN (405, 406) ORDER BY 1, 2;
SELECT * FROM leadflow.verify();
-- shifts that one lead each finds: the turns go on from day to day, it is not always the first
UPDATE leadflow.team_members SET calendar_id = 801 WHERE id IN (12, 13, 16);
INSERT INTO leadflow.queue_members (queue_id, member_id) VALUES (900, 16);
SELECT mqls(411, 422);
DO $$ BEGIN FOR i IN 411..422 LOOP
	-- in the evening nobody is there
	PERFORM set_config('leadflow.clock', (timestamptz '2026-03-16 20:00Z' + (i - 411) / 5 * interval '7 days' + (i - 411) % 5 * interval '1 day' - interval '12 hours')::text, false);
	UPDATE leadflow.leads SET stage = 'sql' WHERE id = i;
END LOOP; END $$;
SELECT owner, count(*) FROM given(411, 422) GROUP BY 1 ORDER BY 1;
UPDATE leadflow.team_members SET calendar_id = NULL;

--
-- Least loaded, and capacity: leads in hand are those of categories handoff and sales.
--
DELETE FROM leadflow.leads;
SET leadflow.clock = '2026-04-06 09:00Z';
DELETE FROM leadflow.routing_rules;
INSERT INTO leadflow.routing_rules (id, name, queue_id, strategy) VALUES (31, 'least', 900, 'least_loaded');
INSERT INTO leadflow.leads (id, stage, owner_id) VALUES (501, 'accepted', 12), (502, 'opportunity', 12), (503, 'sql', 13), (504, 'won', 16), (505, 'nurture', 16), (506, 'rejected', 16);
SELECT mqls(511, 517);
SELECT * FROM hand_over(511, 517) t (lead_id bigint, owner text, queue text, why text);
-- by weight: Ann has three shares
UPDATE leadflow.queue_members SET weight = 3 WHERE member_id = 16;
SELECT mqls(521, 526);
SELECT * FROM hand_over(521, 526) t (lead_id bigint, owner text, queue text, why text);
SELECT owner_id, count(*) FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage WHERE s.category IN ('handoff', 'sales') GROUP BY 1 ORDER BY 1;
-- who has as many as he may have takes no part; the others get his share; then they wait
UPDATE leadflow.routing_rules SET strategy = 'round_robin', name = 'turns';
UPDATE leadflow.queue_members SET weight = NULL;
UPDATE leadflow.team_members SET capacity = CASE id WHEN 12 THEN 6 WHEN 13 THEN 7 WHEN 16 THEN 12 END WHERE id IN (12, 13, 16);
SELECT mqls(531, 560);
SELECT * FROM hand_over(531, 541) t (lead_id bigint, owner text, queue text, why text);
SELECT owner_id, count(*) FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage WHERE s.category IN ('handoff', 'sales') GROUP BY 1 ORDER BY 1;
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 542 AND 560;
-- what is somebody's is theirs, however much that is
INSERT INTO leadflow.leads (id, stage, owner_id) VALUES (561, 'mql', 12);
SELECT * FROM hand_over(561, 561) t (lead_id bigint, owner text, queue text, why text);
-- room: two decided leads leave the hands, the sweep gives out two
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'not_icp', stage_by = 'sue@our.example' WHERE owner_id = 13 AND id IN (SELECT id FROM leadflow.leads WHERE owner_id = 13 AND stage = 'sql' ORDER BY id LIMIT 2);
SELECT * FROM leadflow.check_sla() \g /dev/null
SELECT owner, why, count(*) FROM given(531, 560) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM leadflow.verify();

--
-- claim_next(): the hottest first, by members of the queue.
--
SELECT count(*) FROM leadflow.orphaned_leads;
UPDATE leadflow.team_members SET capacity = 0 WHERE id IN (12, 13, 16);
INSERT INTO leadflow.activities (lead_id, kind) SELECT max(lead_id), 'page_view' FROM leadflow.orphaned_leads;
SELECT leadflow.claim_next('big', 'sam@our.example') = (SELECT max(lead_id) FROM leadflow.activities) AS hottest;
SELECT leadflow.claim_next('big', 13) IS NOT NULL AS claimed;
SELECT owner, why, count(*) FROM given(531, 560) WHERE why = 'claimed' GROUP BY 1, 2 ORDER BY 1;
SELECT leadflow.claim_next('big', 16) IS NOT NULL FROM generate_series(1, 16);
SELECT leadflow.claim_next('big', 'sam@our.example');
SELECT leadflow.claim_next('small', 'sam@our.example');
SELECT leadflow.claim_next('none', 'sam@our.example');
SELECT leadflow.claim_next('big', 'ben@our.example');
SELECT leadflow.claim_next('big', 'old@our.example');
SELECT leadflow.claim_next('big', 'nobody@our.example');
SELECT leadflow.claim_next('big', NULL::text);
SELECT leadflow.claim_next('big', 99);
SELECT leadflow.claim_next(NULL, 12);
SET leadflow.actor = 'sam@our.example';
SELECT leadflow.claim_next('big', NULL);
RESET leadflow.actor;
SELECT * FROM leadflow.orphaned_leads;
SELECT * FROM leadflow.verify();

--
-- A client that takes the owner off puts the lead back to wait; its queue gives it out again.
--
UPDATE leadflow.team_members SET capacity = NULL;
UPDATE leadflow.leads SET owner_id = NULL WHERE id IN (511, 561);
SELECT * FROM given(511, 511);
SELECT * FROM given(561, 561);
SELECT lead_id, owner, queue, since_at, why FROM leadflow.orphaned_leads ORDER BY 1;
SELECT * FROM leadflow.check_sla() \g /dev/null
SELECT lead_id, owner IS NOT NULL AS owned, queue, why FROM given(511, 511) UNION ALL SELECT lead_id, owner IS NOT NULL, queue, why FROM given(561, 561);
SELECT * FROM leadflow.verify();

--
-- reassign(): all that a member has in hand, to a member or by turns.
--
SET leadflow.clock = '2026-04-07 09:00Z';
UPDATE leadflow.team_members SET active = false WHERE id = 12;
SELECT why, min(owner) AS owner, count(*) FROM leadflow.orphaned_leads GROUP BY 1;
SELECT leadflow.reassign(12, 13) > 0 AS some;
SELECT count(*) FROM leadflow.orphaned_leads;
SELECT h.why, h.decision, count(*) FROM leadflow.handoffs h WHERE h.offered_at = '2026-04-07 09:00Z' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS not_sues FROM leadflow.sla_clocks c WHERE c.stopped_at IS NULL AND c.due_at >= leadflow.now() AND c.member_id = 12;
SELECT leadflow.reassign(13, 'big') > 0 AS some;
SELECT count(*) FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage WHERE l.owner_id = 13 AND s.category IN ('handoff', 'sales');
SELECT leadflow.reassign('ann@our.example', 'sue@our.example') > 0 AS some, leadflow.reassign('ann@our.example', 'big') AS none;
-- nobody there: what is not decided waits, what sales works on stays
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sue@our.example' WHERE id = 513;
UPDATE leadflow.team_members SET active = false WHERE id = 16;
SELECT leadflow.reassign('sue@our.example', 'big') > 0 AS some;
SELECT s.category, count(*), count(l.owner_id) AS owned FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage WHERE s.category IN ('handoff', 'sales') GROUP BY 1 ORDER BY 1;
SELECT leadflow.reassign(12, 99);
SELECT leadflow.reassign(99, 12);
SELECT leadflow.reassign(12, 14);
SELECT leadflow.reassign(12, 11);
SELECT leadflow.reassign(12, 'no such queue');
SELECT leadflow.reassign('none@our.example', 'big');
SELECT leadflow.reassign(NULL::bigint, 12);
SELECT leadflow.reassign(13, 13);
SELECT * FROM leadflow.verify();

--
-- Who comes back: to whom, says the reason with which the lead left.
--
UPDATE leadflow.team_members SET active = true WHERE id IN (12, 16);
DELETE FROM leadflow.leads;
DELETE FROM leadflow.routing_rules;
INSERT INTO leadflow.routing_rules (id, name, queue_id) VALUES (41, 'turns', 900);
INSERT INTO leadflow.stage_reasons (stage, reason, returns_to) VALUES ('nurture', 'wherever', 'route'), ('nurture', 'somebody_else', 'other_owner');
CREATE FUNCTION come_back(first integer, last integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id BETWEEN first AND last;
	UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example' WHERE id BETWEEN first AND last;
END $$;
SELECT mqls(601, 606);
UPDATE leadflow.leads SET stage = 'sql', owner_id = 12 WHERE id BETWEEN 601 AND 606;
-- passed on within the cycle: Sue had it, too
UPDATE leadflow.leads SET owner_id = 13 WHERE id IN (605, 606);
UPDATE leadflow.leads l SET stage = 'nurture', revisit_on = '2026-06-01', stage_by = m.email,
	stage_reason = CASE l.id WHEN 601 THEN 'not_now' WHEN 602 THEN 'wherever' WHEN 603 THEN 'unable_to_reach' ELSE 'somebody_else' END
FROM leadflow.team_members m WHERE l.id BETWEEN 601 AND 606 AND l.id <> 603 AND m.id = l.owner_id;
-- taken off meanwhile: it is still whose it was
UPDATE leadflow.leads SET owner_id = NULL WHERE id IN (601, 606);
SET leadflow.clock = '2026-04-08 09:00Z';
SELECT come_back(601, 602), come_back(604, 606);
SELECT * FROM given(601, 606);
-- nobody else is there: it waits, and the sweep remembers
SELECT mqls(611, 611);
UPDATE leadflow.leads SET stage = 'sql', owner_id = 12 WHERE id = 611;
UPDATE leadflow.leads SET stage = 'nurture', revisit_on = '2026-06-01', stage_reason = 'somebody_else', stage_by = 'sam@our.example' WHERE id = 611;
UPDATE leadflow.team_members SET active = false WHERE id IN (13, 16);
SELECT come_back(611, 611);
SELECT * FROM given(611, 611);
SELECT * FROM leadflow.check_sla() \g /dev/null
SELECT * FROM given(611, 611);
UPDATE leadflow.team_members SET active = true WHERE id = 13;
SELECT * FROM leadflow.check_sla() \g /dev/null
SELECT * FROM given(611, 611);
-- the engine brings it back from a rejection: another owner, and the first offer says rejected
UPDATE leadflow.team_members SET active = true WHERE id = 16;
SELECT mqls(621, 621);
UPDATE leadflow.leads SET stage = 'sql', owner_id = 16 WHERE id = 621;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'wrong_territory', stage_by = 'ann@our.example' WHERE id = 621;
SELECT h.owner_id = 16 AS anns, h.why, h.decision FROM leadflow.handoffs h WHERE h.lead_id = 621 ORDER BY h.id;
SELECT l.stage, l.owner_id = 16 AS anns FROM leadflow.leads l WHERE l.id = 621;
SELECT * FROM leadflow.verify();

--
-- One COPY of activities hands over what it makes an MQL, as one by one: accounts, owners, turns within one.
--
DELETE FROM leadflow.leads;
INSERT INTO leadflow.leads (id, email, job_title, company_size, account_id) SELECT i, i || '@two.example', 'Director', 100, CASE WHEN i % 10 = 0 THEN 5 WHEN i % 10 = 1 THEN 1 END FROM generate_series(701, 1000) i;
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'demo_request' FROM generate_series(701, 1000) i;
SELECT regexp_replace(why, '\d+', '…') AS why, owner IS NOT NULL AS owned, count(*), count(DISTINCT owner) AS owners FROM given(701, 1000) GROUP BY 1, 2 ORDER BY 1;
SELECT max(n) - min(n) <= 1 AS fair FROM (SELECT owner, count(*) AS n FROM given(701, 1000) WHERE why = 'round robin' GROUP BY 1) x;
SELECT to_stage, team, count(*), count(left_at) AS ended FROM leadflow.stage_history GROUP BY 1, 2 ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- Triggers of a site's on the engine's tables fire, and see what is written without them, too.
--
CREATE TABLE seen (relation text, lead_id bigint, what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.seen SELECT TG_TABLE_NAME, NEW.lead_id, coalesce(to_jsonb(NEW) ->> 'why', to_jsonb(NEW) ->> 'to_stage', to_jsonb(NEW) ->> 'metric');
	RETURN NEW;
END $$;
CREATE TRIGGER see AFTER INSERT ON leadflow.handoffs FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see AFTER INSERT ON leadflow.stage_history FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see AFTER INSERT ON leadflow.sla_clocks FOR EACH ROW EXECUTE FUNCTION see();
INSERT INTO leadflow.leads (id, job_title) SELECT i, 'Director' FROM generate_series(1101, 1102) i;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1101, 'demo_request'), (1102, 'demo_request');
SELECT relation, lead_id, string_agg(what, ', ' ORDER BY what) FROM seen GROUP BY 1, 2 ORDER BY 1, 2;
DROP TRIGGER see ON leadflow.handoffs;
DROP TRIGGER see ON leadflow.stage_history;
DROP TRIGGER see ON leadflow.sla_clocks;
SELECT * FROM leadflow.verify();
-- a policy that is named by a clock stays
BEGIN;
DELETE FROM leadflow.sla_policies;
ROLLBACK;

--
-- Who is there and who gets it, against a slow reading of the tables: any members, weights, capacities, absences with
-- covers, and hours; some of them change again and again.
--
DELETE FROM leadflow.leads;
DELETE FROM leadflow.absences;
DELETE FROM leadflow.queue_members;
UPDATE leadflow.team_members SET active = false;
INSERT INTO leadflow.team_members (id, full_name, email, team, weight)
SELECT 1000 + i, 'R' || i, 'r' || i || '@our.example', 'sales', 1 + i % 4 FROM generate_series(1, 12) i;
INSERT INTO leadflow.queue_members SELECT 900, id FROM leadflow.team_members WHERE id BETWEEN 1001 AND 1009;
-- who takes what falls to a member: nobody of those asked before
CREATE FUNCTION slow_taker(member bigint, at timestamptz, asked bigint[] DEFAULT '{}') RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	a leadflow.absences;
	taker bigint;
BEGIN
	IF member = ANY (asked) OR NOT EXISTS (SELECT FROM leadflow.team_members m WHERE m.id = member AND m.active) THEN
		RETURN NULL;
	END IF;
	IF NOT EXISTS (SELECT FROM leadflow.absences x WHERE x.member_id = member AND x.during @> at) THEN
		RETURN member;
	END IF;
	FOR a IN SELECT * FROM leadflow.absences x WHERE x.member_id = member AND x.during @> at AND x.cover_id IS NOT NULL ORDER BY x.id LOOP
		taker := slow_taker(a.cover_id, at, asked || member);
		IF taker IS NOT NULL THEN
			RETURN taker;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;
CREATE FUNCTION in_hand(member bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT count(*) FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage WHERE l.owner_id = member AND s.category IN ('handoff', 'sales')
$$;
-- whom a queue may give a lead to
CREATE FUNCTION slow_takers(at timestamptz) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
	SELECT DISTINCT t.id FROM leadflow.queue_members q JOIN leadflow.team_members m ON m.id = q.member_id AND m.active
	CROSS JOIN LATERAL slow_taker(m.id, at) k (id) JOIN leadflow.team_members t ON t.id = k.id
	LEFT JOIN leadflow.calendars c ON c.id = t.calendar_id
	WHERE q.queue_id = 900 AND (c.id IS NULL OR leadflow.is_business_time(c.id, at)) AND (t.capacity IS NULL OR in_hand(t.id) < t.capacity)
$$;
CREATE FUNCTION random_team(steps integer, strategy_ text) RETURNS TABLE (leads bigint, given bigint, waited bigint, wrong bigint, stands_in_wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
	r integer;
	lead_id_ bigint;
	now_ timestamptz := timestamptz '2026-05-04 00:00Z';
	takers bigint[];
	got bigint;
BEGIN
	leads := 0; given := 0; waited := 0; wrong := 0; stands_in_wrong := 0;
	UPDATE leadflow.routing_rules SET strategy = strategy_;
	FOR step IN 1 .. steps LOOP
		r := ('x0' || substr(md5(strategy_ || step), 1, 7))::bit(32)::integer;
		now_ := now_ + (r % 200) * interval '1 minute';
		PERFORM set_config('leadflow.clock', now_::text, true);
		CASE r % 5
			WHEN 0 THEN INSERT INTO leadflow.absences (member_id, during, cover_id)
				SELECT 1001 + r / 7 % 12, tstzrange(now_, now_ + (1 + r / 11 % 40) * interval '1 hour', (ARRAY['[)', '[]'])[1 + r % 2]),
					CASE WHEN r / 13 % 3 > 0 AND r / 7 % 12 <> r / 17 % 12 THEN 1001 + r / 17 % 12 END;
			WHEN 1 THEN UPDATE leadflow.team_members SET active = NOT active WHERE id = 1001 + r / 7 % 12 AND (NOT active OR r / 19 % 3 = 0);
			WHEN 2 THEN UPDATE leadflow.team_members SET capacity = CASE WHEN r / 11 % 3 > 0 THEN r / 13 % 8 END WHERE id = 1001 + r / 7 % 12;
			WHEN 3 THEN UPDATE leadflow.team_members SET calendar_id = CASE WHEN r / 11 % 2 = 0 THEN 801 + r / 13 % 2 END WHERE id = 1001 + r / 7 % 12;
			ELSE UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'not_icp', stage_by = 'r1@our.example'
				WHERE id IN (SELECT id FROM leadflow.leads WHERE stage = 'sql' AND owner_id IS NOT NULL ORDER BY id LIMIT 3)
				AND EXISTS (SELECT FROM leadflow.team_members WHERE id = 1001 AND active);
		END CASE;
		SELECT stands_in_wrong + count(*) INTO stands_in_wrong FROM leadflow.team_members m
		WHERE m.id > 1000 AND leadflow._stands_in(m.id, now_) IS DISTINCT FROM slow_taker(m.id, now_);
		takers := ARRAY(SELECT slow_takers(now_));
		lead_id_ := 2000 + step;
		INSERT INTO leadflow.leads (id, stage) VALUES (lead_id_, 'mql');
		UPDATE leadflow.leads SET stage = 'sql' WHERE id = lead_id_;
		SELECT owner_id INTO got FROM leadflow.leads WHERE id = lead_id_;
		leads := leads + 1;
		IF got IS NULL THEN
			waited := waited + 1;
			wrong := wrong + (cardinality(takers) > 0)::integer;
		ELSE
			given := given + 1;
			wrong := wrong + (got <> ALL (takers))::integer;
		END IF;
	END LOOP;
	RETURN NEXT;
END $$;
UPDATE leadflow.team_members SET active = true WHERE id > 1000;
SELECT wrong, stands_in_wrong, leads = given + waited AS counted, given > 100 AS many, waited > 5 AS some FROM random_team(300, 'round_robin');
DELETE FROM leadflow.leads;
SELECT wrong, stands_in_wrong, leads = given + waited AS counted, given > 100 AS many, waited > 5 AS some FROM random_team(300, 'least_loaded');
-- everybody back at once: less than one lead is due to anybody, so that there is no burst for those who were away
UPDATE leadflow.routing_rules SET strategy = 'round_robin';
DELETE FROM leadflow.leads;
DELETE FROM leadflow.absences;
UPDATE leadflow.team_members SET active = true, capacity = NULL, calendar_id = NULL WHERE id > 1000;
SELECT mqls(3001, 3400);
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 3001 AND 3400;
SELECT max(abs(got - n * m.weight / total)) < 2 AS fair, count(*) AS points
FROM (SELECT id, weight, sum(weight) OVER ()::numeric AS total FROM leadflow.team_members WHERE id BETWEEN 1001 AND 1009) m
CROSS JOIN LATERAL (SELECT row_number() OVER (ORDER BY l.id) AS n, count(*) FILTER (WHERE l.owner_id = m.id) OVER (ORDER BY l.id) AS got
	FROM leadflow.leads l WHERE l.id > 3000) l;
SELECT * FROM leadflow.verify();
-- what doesn't fit is seen, and repaired
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.handoffs SET owner_id = 1009 WHERE lead_id = 3001;
UPDATE leadflow.queue_state SET credits[2] = 2 * total WHERE queue_id = 900;
SET LOCAL session_replication_role = origin;
SELECT check_name, regexp_replace(object_id, '^\d+', '…') AS object_id, recomputed FROM leadflow.verify() ORDER BY 1;
SELECT count(*) > 0 AS repaired FROM leadflow.reconcile(3001, 3001);
SELECT check_name FROM leadflow.verify();
-- the next turn evens it out
SELECT mqls(3501, 3501);
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 3501;
SELECT check_name FROM leadflow.verify();
ROLLBACK;

--
-- A preview knows of leads that the caller may not see, and doesn't name them.
--
BEGIN;
INSERT INTO leadflow.accounts (id, name) VALUES (990, 'Hidden');
INSERT INTO leadflow.leads (id, email, account_id, stage, owner_id) VALUES (9901, 'h@hidden.example', 990, 'accepted', 1001);
CREATE ROLE regress_leadflow_router;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_router;
GRANT SELECT ON leadflow.leads TO regress_leadflow_router;
GRANT EXECUTE ON FUNCTION leadflow.routing_preview(jsonb) TO regress_leadflow_router;
SET LOCAL ROLE regress_leadflow_router;
SELECT owner_id, why FROM leadflow.routing_preview('{"account_id": 990}');
RESET ROLE;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE regress_leadflow_router;
SELECT owner_id, why FROM leadflow.routing_preview('{"account_id": 990}');
RESET ROLE;
ROLLBACK;

-- Who cannot decide gets nothing by turn; who was given a lead all the same shows.
BEGIN;
INSERT INTO leadflow.team_members (id, full_name, team) VALUES (2001, 'Mia', 'marketing'), (2002, 'Lea', 'leadership');
INSERT INTO leadflow.queues (id, name) VALUES (991, 'mixed');
INSERT INTO leadflow.queue_members (queue_id, member_id) VALUES (991, 2001), (991, 2002);
INSERT INTO leadflow.routing_rules (position, name, queue_id) VALUES (-5, 'mixed', 991);
INSERT INTO leadflow.leads (id, email) VALUES (9911, 'm@mixed.example'), (9912, 'n@mixed.example');
UPDATE leadflow.leads SET stage = 'mql' WHERE id IN (9911, 9912);
UPDATE leadflow.leads SET stage = 'sql' WHERE id IN (9911, 9912);
UPDATE leadflow.leads SET owner_id = 2001 WHERE id = 9912;
SELECT id, owner_id FROM leadflow.leads WHERE id IN (9911, 9912) ORDER BY 1;
SELECT lead_id, owner, why FROM leadflow.orphaned_leads WHERE lead_id IN (9911, 9912);
ROLLBACK;
