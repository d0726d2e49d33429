--
-- Every way to move leads, and what follows: history, cycles, hand-offs, clocks; in bulk,
-- nested, rolled back, deleted. Each section ends with the oracle.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday
\set VERBOSITY terse

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing'),
	(12, 'Sam', 'sam@our.example', 'sales'),
	(13, 'Lea', 'lea@our.example', 'leadership');

-- A lead's history as text: stage by stage, with who and why.
CREATE FUNCTION story(lead bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(concat_ws(' ', to_char(h.entered_at, 'DD HH24:MI'), h.to_stage, h.team, h.actor_id, h.reason, h.note,
		'cycle ' || h.cycle, CASE WHEN h.left_at IS NULL THEN '(open)' END), E'\n' ORDER BY h.entered_at, h.id)
	FROM leadflow.stage_history h WHERE h.lead_id = lead
$$;

--
-- One lead through the whole lifecycle.
--
INSERT INTO leadflow.leads (id, email, job_title, company_size) VALUES (1, 'ann@one.example', 'VP Sales', 500);
SET leadflow.actor = 'mia@our.example';
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 1;
SET leadflow.clock = '2026-03-02 10:00Z';
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1 RETURNING stage, stage_since, owner_id;
SELECT owner_id FROM leadflow.leads WHERE id = 1;
SET leadflow.clock = '2026-03-02 11:00Z';
-- stage_by goes before leadflow.actor
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', stage_note = 'after the summer', revisit_on = '2026-09-01', stage_by = 'SAM@our.example'
WHERE id = 1 RETURNING stage_by, stage_actor_id, stage_team, revisit_on;
SET leadflow.clock = '2026-03-03 09:00Z';
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 1 RETURNING stage_reason, stage_note, revisit_on;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1;
RESET leadflow.actor;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'call'), (1, 'call'), (1, 'email_sent');
SELECT leadflow.move(1, 'rejected', 'unable_to_reach', actor => 'sam@our.example');
SELECT story(1);
SELECT offered_at, owner_id, queue, why, decided_at, decision, touches FROM leadflow.handoffs WHERE lead_id = 1 ORDER BY id;
SELECT score, model_id IS NOT NULL AS model, persona, grade FROM leadflow.stage_history WHERE lead_id = 1 AND from_stage IS NULL;
SELECT watch, cycle, cycle_since FROM leadflow.score_state WHERE lead_id = 1;
SELECT * FROM leadflow.verify();

--
-- move(): the same, as a function.
--
INSERT INTO leadflow.leads (id, email) VALUES (2, 'bob@two.example');
SELECT leadflow.move(2, 'mql', actor => 'mia@our.example', note => 'met at the fair');
-- again: nothing happens, nothing is lost
SELECT leadflow.move(2, 'mql', actor => 'mia@our.example');
SELECT stage, stage_note FROM leadflow.leads WHERE id = 2;
SELECT leadflow.move(2, 'mql', note => 'met twice');
SELECT leadflow.move(2, 'won');
SELECT leadflow.move(99, 'mql');
SELECT leadflow.move(NULL, 'mql');
SELECT leadflow.move(2, NULL);
SELECT leadflow.move(2, 'nurture', revisit_on => '2026-03-03');
-- back-dated
SELECT leadflow.move(2, 'sql', at => '2026-03-03 08:59Z');
SELECT leadflow.move(2, 'sql', at => '2026-03-03 09:01Z');
SELECT leadflow.move(2, 'sql', at => 'infinity');
SELECT leadflow.move(2, 'sql', at => '-infinity');
SET leadflow.clock = '2026-03-05 09:00Z';
SELECT leadflow.move(2, 'sql', at => '2026-03-04 08:00Z');
SELECT leadflow.move(2, 'accepted', at => '2026-03-04 12:00Z', actor => 'sam@our.example');
SELECT story(2);
SELECT metric, state, started_at, stopped_at FROM leadflow.sla_clocks WHERE lead_id = 2 ORDER BY id;
SELECT * FROM leadflow.verify();

--
-- Imports: any stage, with its instant; the history begins there, no clock starts.
--
INSERT INTO leadflow.leads (id, email, stage, stage_since, stage_reason, owner_id) VALUES
	(11, 'a@imp.example', 'sql', '2026-01-05 10:00Z', NULL, 12),
	(12, 'b@imp.example', 'rejected', '2026-01-06 10:00Z', 'no_budget', 12),
	(13, 'c@imp.example', 'customer', NULL, NULL, NULL);
INSERT INTO leadflow.leads (id, email, stage, stage_since, stage_reason, owner_id) VALUES
	(11, 'a@imp.example', 'sql', '2026-01-05 10:00Z', NULL, 12),
	(12, 'b@imp.example', 'rejected', '2026-01-06 10:00Z', 'no_budget', 12),
	(13, 'c@imp.example', 'won', NULL, NULL, NULL);
SELECT story(id) FROM leadflow.leads WHERE id IN (11, 12, 13) ORDER BY id;
SELECT lead_id, offered_at, owner_id, why FROM leadflow.handoffs WHERE lead_id IN (11, 12, 13);
SELECT count(*) FROM leadflow.sla_clocks WHERE lead_id IN (11, 12, 13);
INSERT INTO leadflow.leads (email, stage_since) VALUES ('x', '2026-03-05 09:00:01Z');
INSERT INTO leadflow.leads (email, stage_since) VALUES ('x', 'infinity');
INSERT INTO leadflow.leads (email, stage, stage_reason) VALUES ('x', 'rejected', 'dunno');
COPY leadflow.leads (id, email, stage, stage_since, stage_by) FROM stdin;
14	d@imp.example	accepted	2026-02-02 10:00Z	sam@our.example
15	e@imp.example	lead	\N	\N
\.
SELECT id, stage, stage_by, stage_actor_id, stage_team, stage_since FROM leadflow.leads WHERE id IN (14, 15) ORDER BY 1;
-- what was imported goes on
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 11;
SELECT story(11);
SELECT * FROM leadflow.verify();

--
-- Bulk: all or nothing, and the offender is named.
--
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@bulk.example' FROM generate_series(101, 140) i;
UPDATE leadflow.leads SET stage = 'mql' WHERE id BETWEEN 101 AND 130;
\set VERBOSITY default
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 101 AND 131;
\set VERBOSITY terse
SELECT stage, count(*) FROM leadflow.leads WHERE id > 100 GROUP BY 1 ORDER BY 1;
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN 101 AND 130;
-- several ways at once
UPDATE leadflow.leads
SET stage = (ARRAY['accepted', 'rejected', 'nurture'])[1 + id % 3],
	stage_reason = (ARRAY[NULL, 'no_need', 'not_now'])[1 + id % 3],
	revisit_on = CASE WHEN id % 3 = 2 THEN date '2026-06-01' END,
	full_name = 'Nr. ' || id
WHERE id BETWEEN 101 AND 130;
SELECT to_stage, reason, cycle, count(*) FROM leadflow.stage_history
WHERE lead_id BETWEEN 101 AND 130 AND left_at IS NULL GROUP BY 1, 2, 3 ORDER BY 1;
SELECT watch, cycle, count(*) FROM leadflow.score_state WHERE lead_id BETWEEN 101 AND 140 GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM leadflow.verify();

--
-- MERGE and ON CONFLICT.
--
MERGE INTO leadflow.leads l
USING (VALUES ('x1', 'lead', NULL), ('x2', 'lead', 'mia@our.example')) v (key, stage, by) ON l.external_id = v.key
WHEN NOT MATCHED THEN INSERT (external_id, email, stage, stage_by) VALUES (v.key, v.key || '@merge.example', v.stage, v.by);
MERGE INTO leadflow.leads l
USING (VALUES ('x1', 'accepted', 'sam@our.example'), ('x2', 'mql', 'mia@our.example'), ('x3', 'lead', NULL)) v (key, stage, by)
ON l.external_id = v.key
WHEN MATCHED THEN UPDATE SET stage = v.stage, stage_by = v.by
WHEN NOT MATCHED THEN INSERT (external_id, email, stage) VALUES (v.key, v.key || '@merge.example', v.stage);
MERGE INTO leadflow.leads l USING (VALUES ('x1'), ('x2')) v (key) ON l.external_id = v.key WHEN MATCHED THEN UPDATE SET stage = 'won';
-- excluded still has the actor
INSERT INTO leadflow.leads (external_id, email, stage, stage_by) VALUES
	('x2', 'x2@merge.example', 'sql', 'mia@our.example'),
	('x4', 'x4@merge.example', 'lead', 'mia@our.example')
ON CONFLICT (external_id) DO UPDATE SET stage = excluded.stage, stage_by = excluded.stage_by;
INSERT INTO leadflow.leads (external_id, email, stage) VALUES ('x4', 'x4@merge.example', 'won') ON CONFLICT DO NOTHING;
SELECT external_id, stage, stage_by, stage_actor_id, stage_team FROM leadflow.leads WHERE external_id LIKE 'x%' ORDER BY 1;
SELECT external_id, story(id) FROM leadflow.leads WHERE external_id LIKE 'x%' ORDER BY 1;
SELECT * FROM leadflow.verify();

-- Statements within one statement.
WITH new AS (INSERT INTO leadflow.leads (id, email) VALUES (201, 'a@with.example'), (202, 'b@with.example') RETURNING id),
	moved AS (UPDATE leadflow.leads SET stage = 'mql' WHERE external_id = 'x3' RETURNING id),
	gone AS (DELETE FROM leadflow.leads WHERE id = 140 RETURNING id)
INSERT INTO leadflow.activities (lead_id, kind) SELECT id, 'page_view' FROM new UNION ALL SELECT id, 'page_view' FROM moved;
SELECT * FROM leadflow.verify();

--
-- Savepoints: what is rolled back never happened, turns included.
--
BEGIN;
UPDATE leadflow.leads SET stage = 'mql' WHERE id IN (131, 132);
SAVEPOINT a;
UPDATE leadflow.leads SET stage = 'sql' WHERE id IN (131, 132);
ROLLBACK TO a;
UPDATE leadflow.leads SET stage = 'won' WHERE id = 131;
ROLLBACK TO a;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 131;
SAVEPOINT b;
DELETE FROM leadflow.leads WHERE id = 131;
ROLLBACK TO b;
COMMIT;
SELECT id, story(id) FROM leadflow.leads WHERE id IN (131, 132) ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- The engine's updates are known by their depth: an error in between leaves nothing behind
-- that would let a client pass as the engine.
--
CREATE FUNCTION refuse_owner() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER refuse_owner BEFORE UPDATE ON leadflow.leads FOR EACH ROW WHEN (OLD.owner_id IS DISTINCT FROM NEW.owner_id)
	EXECUTE FUNCTION refuse_owner();
BEGIN;
SAVEPOINT a;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 132;
ROLLBACK TO a;
UPDATE leadflow.leads SET stage = 'won' WHERE id = 132;
ROLLBACK;
DROP TRIGGER refuse_owner ON leadflow.leads;

-- A site's own triggers are judged as the client, wherever they fire.
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE leadflow.leads SET stage = TG_ARGV[1] WHERE id = NEW.id AND stage = TG_ARGV[0];
	RETURN NULL;
END $$;
CREATE TRIGGER follow AFTER UPDATE OF owner_id ON leadflow.leads FOR EACH ROW EXECUTE FUNCTION follow('sql', 'won');
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 132;
DROP TRIGGER follow ON leadflow.leads;

-- One that moves the lead on: the inner statement is seen first, the history is in order.
CREATE TRIGGER follow AFTER INSERT OR UPDATE ON leadflow.leads FOR EACH ROW EXECUTE FUNCTION follow('mql', 'sql');
UPDATE leadflow.leads SET stage = 'mql' WHERE id IN (133, 134);
SELECT story(133);
INSERT INTO leadflow.leads (id, email, stage) VALUES (135135, 'import@follow.example', 'mql');
SELECT story(135135);
SELECT lead_id, metric, state FROM leadflow.sla_clocks WHERE lead_id IN (133, 135135) ORDER BY 1, 2;
DROP TRIGGER follow ON leadflow.leads;
-- One that deletes what was inserted or moved.
CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM leadflow.leads WHERE id = NEW.id;
	RETURN NULL;
END $$;
CREATE TRIGGER vanish AFTER INSERT OR UPDATE ON leadflow.leads FOR EACH ROW EXECUTE FUNCTION vanish();
INSERT INTO leadflow.leads (id, email) VALUES (301, 'gone@one.example');
UPDATE leadflow.leads SET stage = 'mql' WHERE id IN (135, 136);
UPDATE leadflow.leads SET full_name = 'x' WHERE id = 137;
DROP TRIGGER vanish ON leadflow.leads;
SELECT count(*) FROM leadflow.leads WHERE id IN (135, 136, 137, 301);
-- One that changes NEW is judged by what it makes of it.
CREATE FUNCTION promote_all() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.stage := 'won'; RETURN NEW; END $$;
CREATE TRIGGER y_promote_all BEFORE UPDATE ON leadflow.leads FOR EACH ROW EXECUTE FUNCTION promote_all();
UPDATE leadflow.leads SET full_name = 'x' WHERE id = 138;
DROP TRIGGER y_promote_all ON leadflow.leads;
SELECT * FROM leadflow.verify();

-- What was written while triggers were off is made up for when the lead is written to.
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.leads (id, email, stage, stage_since, created_at) VALUES (401, 'r@replica.example', 'lead', '2026-03-01Z', '2026-03-01Z');
UPDATE leadflow.leads SET stage = 'mql', stage_since = '2026-03-05 09:00Z', stage_team = 'admin' WHERE id = 138;
COMMIT;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 401;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 138;
SELECT story(401);
SELECT story(138);
SELECT * FROM leadflow.verify();

--
-- The engine's own moves: up by evidence, back when it is voided, by deals.
--
INSERT INTO leadflow.leads (id, email, job_title, company_size) VALUES (501, 'eve@five.example', 'CEO', 900), (502, 'kim@five.example', 'CEO', 900);
INSERT INTO leadflow.activities (lead_id, kind, id) VALUES
	(501, 'demo_request', '00000000-0000-0000-0000-000000000501'), (502, 'content_download', '00000000-0000-0000-0000-000000000502');
SELECT story(501);
SELECT to_stage, trigger_activity_id FROM leadflow.stage_history WHERE lead_id = 501 ORDER BY id;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'test' WHERE id = '00000000-0000-0000-0000-000000000501';
SELECT story(501);
SELECT decision, decided_at FROM leadflow.handoffs WHERE lead_id = 501;
SELECT watch FROM leadflow.score_state WHERE lead_id = 501;
INSERT INTO leadflow.deals (id, lead_id, amount, opened_at) VALUES (51, 502, 100, '2026-03-04Z');
SET leadflow.clock = '2026-03-06 09:00Z';
INSERT INTO leadflow.deals (id, lead_id, amount, opened_at) VALUES (52, 502, 100, '2026-03-05 12:00Z');
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-03-05 18:00Z' WHERE id = 52;
SELECT story(502);
SELECT * FROM leadflow.verify();

--
-- Deleting and emptying.
--
DELETE FROM leadflow.leads WHERE id = 502;
DELETE FROM leadflow.leads WHERE id IN (501, 1, 11);
SELECT count(*) FROM leadflow.activities WHERE lead_id IN (1, 501);
SELECT count(*) FROM leadflow.stage_history WHERE lead_id IN (1, 11, 501);
SELECT count(*) FROM leadflow.handoffs WHERE lead_id IN (1, 11, 501);
SELECT count(*) FROM leadflow.sla_clocks WHERE lead_id IN (1, 501);
SELECT * FROM leadflow.verify();
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (502, 'page_view');
TRUNCATE leadflow.leads CASCADE;
INSERT INTO leadflow.leads (id, email) VALUES (1, 'new@one.example');
COMMIT;
SELECT (SELECT count(*) FROM leadflow.activities), (SELECT count(*) FROM leadflow.stage_history),
	(SELECT count(*) FROM leadflow.handoffs), (SELECT count(*) FROM leadflow.sla_clocks), (SELECT count(*) FROM leadflow.score_state);
SELECT * FROM leadflow.verify();

-- Triggers called otherwise.
SELECT leadflow._leads_judge();
CREATE TABLE t (id bigint);
CREATE TRIGGER t AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION leadflow._leads_judge();
INSERT INTO t VALUES (1);
CREATE OR REPLACE TRIGGER t AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION leadflow._leads_inserted();
INSERT INTO t VALUES (1);
CREATE OR REPLACE TRIGGER t AFTER INSERT ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION leadflow._leads_inserted();
INSERT INTO t VALUES (1);
CREATE OR REPLACE TRIGGER t AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION leadflow._stage_renamed();
INSERT INTO t VALUES (1);
