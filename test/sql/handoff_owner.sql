--
-- Another owner with a move, and hand-offs that follow each other in time, in whatever order they are written.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
\set VERBOSITY terse

CREATE FUNCTION record(lead bigint) RETURNS TABLE (offered_at timestamptz, owner_id bigint, queue text, why text,
	decided_at timestamptz, decision text)
LANGUAGE sql STABLE AS $$
	SELECT h.offered_at, h.owner_id, h.queue, h.why, h.decided_at, h.decision
	FROM leadflow.handoffs h WHERE h.lead_id = lead ORDER BY h.id
$$;
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(12, 'Sam', 'sam@our.example', 'sales'), (13, 'Sue', 'sue@our.example', 'sales'), (15, 'Lea', 'lea@our.example', 'leadership');

--
-- Another owner with a move that stays in sales' hands: on record, told once, and the clock goes on.
--
SET leadflow.clock = '2026-04-01 09:00Z';
INSERT INTO leadflow.stages (name, label, category, position) VALUES ('looking', 'Looking', 'handoff', 35);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams) VALUES
	('sql', 'looking', '{sales}'), ('looking', 'accepted', '{sales}'), ('lead', 'opportunity', '{sales}');
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('decide', 'time_to_accept', '2 days'), ('call', 'time_to_first_touch', '2 days');
INSERT INTO leadflow.leads (id, email, stage) SELECT i, i || '@one.example', 'mql' FROM generate_series(801, 805) i;
INSERT INTO leadflow.leads (id, email) VALUES (806, '806@one.example');
UPDATE leadflow.leads SET stage = 'sql', owner_id = 12 WHERE id BETWEEN 801 AND 805;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id IN (803, 804, 806);
SET leadflow.clock = '2026-04-01 10:00Z';
UPDATE leadflow.leads SET stage = 'looking', owner_id = 13, stage_by = 'lea@our.example' WHERE id = 801;
UPDATE leadflow.leads SET stage = 'looking', owner_id = NULL, stage_by = 'lea@our.example' WHERE id = 802;
UPDATE leadflow.leads SET stage = 'opportunity', owner_id = 13 WHERE id IN (803, 806);
UPDATE leadflow.leads SET stage = 'opportunity', owner_id = 13, stage_by = 'sue@our.example' WHERE id = 804;
UPDATE leadflow.leads SET stage = 'looking', stage_by = 'lea@our.example' WHERE id = 805;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (806, '2026-04-01 10:00Z', 'call');
SELECT l.id, r.* FROM leadflow.leads l CROSS JOIN LATERAL record(l.id) WITH ORDINALITY r WHERE l.id BETWEEN 801 AND 806 ORDER BY l.id, r.ordinality;
SELECT lead_id, metric, member_id, state, started_at, stopped_at FROM leadflow.sla_clocks WHERE lead_id BETWEEN 801 AND 806 ORDER BY 1, 2;
SELECT n.lead_id, n.event, n.recipient_id, n.queue, n.team, payload ->> 'why' AS why, payload ->> 'from' AS "from",
	h.owner_id AS given_to, h.decided_at IS NULL AS open
FROM leadflow.notifications n LEFT JOIN leadflow.handoffs h ON h.id = (payload ->> 'handoff_id')::bigint ORDER BY n.id;
SELECT lead_id, touches FROM leadflow.handoffs WHERE lead_id = 806;
SELECT * FROM leadflow.verify();
-- what doesn't follow the owner is seen, and put right
SET session_replication_role = replica;
UPDATE leadflow.handoffs SET owner_id = 12 WHERE lead_id = 801 AND decided_at IS NULL;
UPDATE leadflow.sla_clocks SET member_id = 12 WHERE lead_id = 803 AND stopped_at IS NULL;
RESET session_replication_role;
SELECT check_name, kept, recomputed FROM leadflow.verify() ORDER BY 1;
SELECT count(*) FROM leadflow.reconcile();
SELECT * FROM leadflow.verify();

-- A hand-off is never before the one before it: two sessions whose transactions began in another order …
SET leadflow.clock = '2026-04-01 12:00Z';
UPDATE leadflow.leads SET owner_id = CASE id WHEN 805 THEN 13 ELSE 12 END WHERE id IN (805, 806);
SET leadflow.clock = '2026-04-01 11:00Z';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 805;
SELECT leadflow.reassign(12, 13);
SELECT leadflow.reassign(13, 12);
SELECT l.id, l.stage_since, r.* FROM leadflow.leads l CROSS JOIN LATERAL record(l.id) WITH ORDINALITY r WHERE l.id IN (805, 806) ORDER BY l.id, r.ordinality;
-- … a move that is dated back …
SET leadflow.clock = '2026-04-02 09:00Z';
SELECT leadflow.move(801, 'accepted', actor => 'sue@our.example', at => '2026-04-01 10:30Z');
SELECT * FROM record(801);
SELECT stage_since FROM leadflow.leads WHERE id = 801;
SELECT metric, member_id, state, stopped_at FROM leadflow.sla_clocks WHERE lead_id = 801 ORDER BY 1;
SELECT * FROM leadflow.verify();
-- … unless it is a hand-off
SELECT leadflow.move(801, 'nurture', 'not_now', revisit_on => '2026-06-01', actor => 'sue@our.example', at => '2026-04-01 10:31Z');
SELECT leadflow.move(801, 'mql', at => '2026-04-01 10:32Z');
SELECT leadflow.move(801, 'sql', at => '2026-04-01 10:33Z');
SELECT leadflow.move(801, 'sql', at => '2026-04-01 11:00Z');
SELECT offered_at, decided_at FROM leadflow.handoffs WHERE lead_id = 801 ORDER BY id;
-- … a deal, which is a fact, whoever had the lead then
SELECT leadflow.check_sla() IS NOT NULL AS given;
SELECT lead_id, offered_at, assigned_at, owner_id FROM leadflow.handoffs WHERE lead_id = 802 ORDER BY id;
INSERT INTO leadflow.deals (id, lead_id, status, opened_at) VALUES (8020, 802, 'open', '2026-04-01 10:30Z');
SELECT offered_at, assigned_at, decided_at, decision FROM leadflow.handoffs WHERE lead_id = 802 ORDER BY id;
SELECT stage, stage_since FROM leadflow.leads WHERE id = 802;
SELECT * FROM leadflow.verify();
SELECT count(*) FROM leadflow.rep_scoreboard WHERE first_touch_p50_hours < 0 OR decision_p50_hours < 0;

-- A clock that came from a duplicate, and started after the move that it now runs after, ends with what comes then.
SET leadflow.clock = '2026-05-04 09:00Z';
INSERT INTO leadflow.leads (id, email, stage, owner_id) SELECT i, i || '@two.example', 'mql', 12 FROM unnest('{820, 821}'::integer[]) i;
SET leadflow.clock = '2026-05-04 10:00Z';
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 820;
SET leadflow.clock = '2026-05-05 12:00Z';
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (820, '2026-05-04 11:00Z', 'call');
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 821;
SET leadflow.clock = '2026-05-05 13:00Z';
SELECT leadflow.merge_leads(820, 821);
SET leadflow.clock = '2026-05-06 09:00Z';
INSERT INTO leadflow.deals (id, lead_id, status, amount, currency, opened_at, closed_at)
VALUES (8200, 820, 'won', 100, 'EUR', '2026-05-03 09:00Z', '2026-05-03 10:00Z');
SELECT metric, state, started_at, stopped_at, merged_from FROM leadflow.sla_clocks WHERE lead_id = 820 ORDER BY id;
SELECT * FROM leadflow.verify();
