--
-- Moves: every pair of stages × every team, reasons, notes, dates, attempts, the gate by
-- hand; what leadflow keeps and clients may not write.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday

-- What a statement is refused with; 'ok' where it is not, and it is undone then, too.
CREATE FUNCTION try(statement text, OUT state text, OUT "constraint" text, OUT "column" text, OUT message text, OUT detail text,
	OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RAISE SQLSTATE 'UNDO0';
EXCEPTION
	WHEN SQLSTATE 'UNDO0' THEN state := 'ok';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, "constraint" = CONSTRAINT_NAME, "column" = COLUMN_NAME,
			message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END
$$;

INSERT INTO leadflow.team_members (id, full_name, email, team, active) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true),
	(12, 'Sam', 'sam@our.example', 'sales', true),
	(13, 'Lea', 'Lea@Our.example', 'leadership', true),
	(14, 'Sue', 'sue@our.example', 'sales', true),
	(15, 'Old', 'old@our.example', 'sales', false);

--
-- The shipped moves, as the contract lists them. Who may make them beside the engine.
--
CREATE TEMP TABLE promised (from_stage text, to_stage text, teams text[]);
INSERT INTO promised
SELECT f, unnest(string_to_array(t, ' ')), string_to_array(w, ' ') FROM (VALUES
	('lead', 'mql', 'system marketing'),
	('lead', 'nurture disqualified', 'marketing'),
	('lead', 'accepted', 'sales'),
	('mql', 'sql', 'system marketing'),
	('mql', 'nurture disqualified', 'marketing'),
	('mql', 'lead', 'system'),
	('sql', 'lead', 'system'),
	('sql', 'accepted rejected nurture', 'sales'),
	('accepted', 'nurture rejected opportunity', 'sales'),
	('opportunity', 'nurture won lost', 'sales'),
	('lost', 'nurture', 'marketing sales'),
	('won', 'nurture', 'marketing sales'),
	('nurture', 'mql', 'system marketing'),
	('nurture', 'accepted', 'sales'),
	('nurture', 'lead', 'system'),
	('rejected', 'sql nurture disqualified', 'system'),
	('disqualified', 'lead', 'leadership')
) v (f, t, w);
SELECT coalesce(p.from_stage, s.from_stage), coalesce(p.to_stage, s.to_stage), p.teams, s.teams
FROM promised p
FULL JOIN leadflow.stage_transitions s USING (from_stage, to_stage)
WHERE NOT (p.teams @> s.teams AND p.teams <@ s.teams) IS TRUE;

-- A lead in each stage, and all moves, once by UPDATE and once by move(), with everything
-- that a reason may need: 10 × 10 × 4 × 2.
INSERT INTO leadflow.leads (id, email, stage)
SELECT 100 + position, name || '@one.example', name FROM leadflow.stages;
CREATE TEMP TABLE tried AS
SELECT f.name AS from_stage, t.name AS to_stage, m.team, w.way, r.*
FROM leadflow.stages f
CROSS JOIN leadflow.stages t
CROSS JOIN (SELECT team, email FROM leadflow.team_members WHERE id <= 13 UNION ALL SELECT 'admin', NULL) m
CROSS JOIN (VALUES ('update'), ('move')) w (way)
LEFT JOIN leadflow.leads l ON l.stage = f.name
CROSS JOIN LATERAL (SELECT (array_agg(s.reason ORDER BY s.id))[1] AS reason FROM leadflow.stage_reasons s WHERE s.stage = t.name) s
CROSS JOIN LATERAL try(CASE w.way
	WHEN 'update' THEN format(
		'UPDATE leadflow.leads SET stage = %L, stage_by = %L, stage_reason = %L, revisit_on = ''2026-05-01'' WHERE id = %s',
		t.name, m.email, s.reason, l.id)
	ELSE format('SELECT leadflow.move(%s, %L, %L, NULL, ''2026-05-01'', %L)', l.id, t.name, s.reason, m.email) END) r
WHERE f.name <> t.name;
SELECT state, "constraint", count(*) FROM tried GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM tried t
LEFT JOIN promised p USING (from_stage, to_stage)
WHERE state <> CASE
	WHEN p.teams IS NULL THEN '23514'
	WHEN team = 'admin' OR team = ANY (p.teams) OR team = 'leadership' AND p.teams && '{marketing,sales}' THEN 'ok'
	ELSE '42501' END;

-- What the refusals say.
\x
SELECT * FROM try($$UPDATE leadflow.leads SET stage = 'won' WHERE id = 110$$);
SELECT * FROM try($$UPDATE leadflow.leads SET stage = 'Sql' WHERE id = 110$$);
SELECT * FROM try($$UPDATE leadflow.leads SET stage = 'mql', stage_by = 'sam@our.example' WHERE id = 110$$);
SELECT * FROM try($$UPDATE leadflow.leads SET stage = NULL WHERE id = 110$$);
\x
-- A stage that nothing leads away from.
BEGIN;
INSERT INTO leadflow.stages (name, label, category, position) VALUES ('archived', 'Archived', 'out', 200);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams) VALUES ('lost', 'archived', '{marketing}');
UPDATE leadflow.leads SET stage = 'archived', stage_by = 'mia@our.example', stage_reason = 'any' WHERE id = 170 RETURNING stage, stage_reason;
SELECT message, hint FROM try($$UPDATE leadflow.leads SET stage = 'lost' WHERE id = 170$$);
ROLLBACK;
-- The session knows at once that it is gone.
SELECT message FROM try($$UPDATE leadflow.leads SET stage = 'archived' WHERE id = 170$$);

--
-- Reasons, notes and dates.
--
CREATE FUNCTION reject(assignments text, lead_id bigint DEFAULT 130) RETURNS TABLE (state text, "constraint" text, message text, detail text)
LANGUAGE sql AS $$
	SELECT t.state, t."constraint", t.message, t.detail
	FROM try(format('UPDATE leadflow.leads SET stage_by = ''sam@our.example'', %s WHERE id = %s', assignments, lead_id)) t
$$;
SELECT a, r.* FROM (VALUES
	(1, $$stage = 'rejected'$$),
	(2, $$stage = 'rejected', stage_reason = NULL$$),
	(3, $$stage = 'rejected', stage_reason = ''$$),
	(4, $$stage = 'rejected', stage_reason = 'not_now'$$),
	(5, $$stage = 'rejected', stage_reason = 'other'$$),
	(6, $$stage = 'rejected', stage_reason = 'other', stage_note = E' \n'$$),
	(7, $$stage = 'rejected', stage_reason = 'other', stage_note = 'their own product'$$),
	(8, $$stage = 'rejected', stage_reason = 'unable_to_reach'$$),
	(9, $$stage = 'nurture', stage_reason = 'not_now'$$),
	(10, $$stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-03-02'$$),
	(11, $$stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-03-03'$$),
	(12, $$stage = 'nurture', revisit_on = '2026-03-03'$$),
	(13, $$stage = 'nurture', stage_reason = 'not_now', revisit_on = 'infinity'$$),
	(14, $$stage = 'accepted', stage_reason = 'whatever', stage_note = 'fine'$$)
) v (n, a), reject(a) r ORDER BY n;
SELECT hint FROM try($$UPDATE leadflow.leads SET stage = 'rejected' WHERE id = 130$$);

-- Today is the site's day, not the session's.
SET leadflow.clock = '2026-03-02 23:30Z';
UPDATE leadflow.settings SET time_zone = 'Asia/Tokyo';
SELECT r.* FROM reject($$stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-03-03'$$) r;
SELECT hint FROM try($$UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-03-03' WHERE id = 130$$);
UPDATE leadflow.settings SET time_zone = 'UTC';
SET leadflow.clock = '2026-03-02 09:00Z';

-- A reason that was retired is not given any more, but stays.
BEGIN;
UPDATE leadflow.stage_reasons SET active = false WHERE stage = 'rejected' AND reason = 'no_need';
SELECT r.* FROM reject($$stage = 'rejected', stage_reason = 'no_need'$$) r;
ROLLBACK;

-- "Unable to reach" is earned by attempts since the hand-off; voided ones and those before don't count.
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 110;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 110;
SET leadflow.clock = '2026-03-03 09:00Z';
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, voided_at, void_reason) VALUES
	(110, 'call', '2026-03-02 08:00Z', NULL, NULL),
	(110, 'call', '2026-03-02 10:00Z', NULL, NULL),
	(110, 'call', '2026-03-02 11:00Z', '2026-03-02 12:00Z', 'wrong number'),
	(110, 'page_view', '2026-03-02 11:00Z', NULL, NULL),
	(110, 'email_sent', '2026-03-02 12:00Z', NULL, NULL);
SELECT r.* FROM reject($$stage = 'rejected', stage_reason = 'unable_to_reach'$$, 110) r;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (110, 'linkedin_message');
SELECT r.* FROM reject($$stage = 'rejected', stage_reason = 'unable_to_reach'$$, 110) r;
SELECT r.* FROM reject($$stage = 'nurture', stage_reason = 'unable_to_reach', revisit_on = '2026-06-01'$$, 110) r;
-- nor by the back door
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_need' WHERE id = 110;
ROLLBACK;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_need' WHERE id = 110;
SELECT state, "constraint" FROM try($$UPDATE leadflow.leads SET stage_reason = 'unable_to_reach' WHERE id = 110$$);

-- Corrections without a move must fit the stage, and history follows.
SELECT state, "constraint" FROM try($$UPDATE leadflow.leads SET stage_reason = 'not_now' WHERE id = 110$$);
SELECT state, "constraint" FROM try($$UPDATE leadflow.leads SET stage_reason = NULL WHERE id = 110$$);
SELECT state, "constraint" FROM try($$UPDATE leadflow.leads SET stage_reason = 'other' WHERE id = 110$$);
UPDATE leadflow.leads SET stage_reason = 'other', stage_note = 'bought elsewhere' WHERE id = 110;
UPDATE leadflow.leads SET stage_note = 'bought at a fair' WHERE id = 110;
SELECT from_stage, to_stage, left_at IS NULL AS open, reason, note FROM leadflow.stage_history WHERE lead_id = 110 ORDER BY id;

--
-- What was said about the last move is not said about the next.
--
INSERT INTO leadflow.leads (id, email, stage, stage_reason, stage_note, revisit_on) VALUES
	(201, 'stale@two.example', 'nurture', 'other', 'after the fair', '2026-02-01');
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 201 RETURNING stage, stage_reason, stage_note, revisit_on;
-- A tool that writes back whole rows says nothing new either.
BEGIN;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', stage_note = 'later', revisit_on = '2026-05-01' WHERE id = 201;
UPDATE leadflow.leads SET stage = 'mql', stage_reason = 'not_now', stage_note = 'later', revisit_on = '2026-05-01',
	stage_since = stage_since, stage_team = stage_team, stage_actor_id = stage_actor_id, email_key = DEFAULT
WHERE id = 201 RETURNING stage, stage_reason, stage_note, revisit_on;
ROLLBACK;
-- Given again it is.
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'other', stage_note = 'x', revisit_on = '2026-05-01' WHERE id = 201;
UPDATE leadflow.leads SET stage = 'accepted', stage_note = 'rang us', revisit_on = '2026-04-01' WHERE id = 201
RETURNING stage, stage_reason, stage_note, revisit_on;

--
-- The gate by hand: neither points nor grade, but the rest.
--
INSERT INTO leadflow.leads (id, email, do_not_contact, job_title) VALUES
	(211, 'a@three.example', true, NULL), (212, 'b@three.example', false, 'Student'), (213, 'c@three.example', false, NULL);
SELECT l.id, t.state, t."constraint", t.message
FROM leadflow.leads l, try(format('UPDATE leadflow.leads SET stage = ''mql'' WHERE id = %s', l.id)) t WHERE l.id BETWEEN 211 AND 213 ORDER BY 1;
-- put right in the same statement
SELECT state FROM try($$UPDATE leadflow.leads SET stage = 'mql', do_not_contact = false WHERE id = 211$$);
-- imports are facts
INSERT INTO leadflow.leads (id, email, do_not_contact, stage) VALUES (214, 'd@three.example', true, 'mql');

--
-- What leadflow keeps.
--
SELECT a, t.state, t."column", t.hint FROM (VALUES
	(1, $$UPDATE leadflow.leads SET id = 999 WHERE id = 213$$),
	(2, $$UPDATE leadflow.leads SET stage_since = '2026-01-01' WHERE id = 213$$),
	(3, $$UPDATE leadflow.leads SET stage_since = NULL WHERE id = 213$$),
	(4, $$UPDATE leadflow.leads SET stage_actor_id = 12 WHERE id = 213$$),
	(5, $$UPDATE leadflow.leads SET stage_team = 'sales' WHERE id = 213$$),
	(6, $$INSERT INTO leadflow.leads (email, stage_actor_id) VALUES ('x', 12)$$),
	(7, $$INSERT INTO leadflow.leads (email, stage_team) VALUES ('x', 'sales')$$),
	(8, $$UPDATE leadflow.leads SET id = id, stage_since = stage_since, stage_team = stage_team WHERE id = 213$$)
) v (n, a), try(a) t ORDER BY n;
SELECT r, s, t.state, t.message
FROM unnest('{stage_history,score_state,handoffs,queue_state,sla_clocks,attribution_credits}'::text[]) r,
	unnest('{INSERT INTO leadflow.%I DEFAULT VALUES,DELETE FROM leadflow.%I,TRUNCATE leadflow.%I}'::text[]) s, try(format(s, r)) t
ORDER BY 1, 2;
SELECT state FROM try($$UPDATE leadflow.stage_history SET note = 'x'$$);
SELECT state FROM try($$MERGE INTO leadflow.handoffs h USING (VALUES (1)) v (i) ON h.id = v.i WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN DELETE$$);
SELECT state FROM try($$COPY leadflow.stage_history FROM '/dev/null'$$);

--
-- Instants: a move is never before the one before it.
--
SET leadflow.clock = '2026-03-01 00:00Z';
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 213 RETURNING stage_since;
SET leadflow.clock = '2026-03-04 09:00Z';

--
-- A new name for a stage is no move.
--
BEGIN;
INSERT INTO leadflow.stages (name, label, category, position) VALUES ('paused', 'Paused', 'recycle', 95);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams) VALUES ('mql', 'paused', '{marketing}');
UPDATE leadflow.leads SET stage = 'paused' WHERE id = 213;
SET LOCAL leadflow.clock = '2026-03-05 09:00Z';
UPDATE leadflow.stages SET name = 'on hold' WHERE name = 'paused';
SELECT stage, stage_since, stage_team FROM leadflow.leads WHERE id = 213;
SELECT from_stage, to_stage, left_at FROM leadflow.stage_history WHERE lead_id = 213 ORDER BY id;
SELECT * FROM leadflow.verify();
ROLLBACK;

--
-- Accounts by e-mail domain, but not by a free mail service.
--
INSERT INTO leadflow.accounts (id, name, domain) VALUES (31, 'Acme', 'Acme.Example'), (32, 'G', 'gmail.com'), (33, 'Other', 'other.example');
INSERT INTO leadflow.leads (id, email, account_id) VALUES
	(221, 'ann@ACME.example', NULL), (222, 'bob@gmail.com', NULL), (223, 'nobody', NULL), (224, 'x@', NULL), (225, NULL, NULL),
	(226, '"a@b"@acme.example', NULL), (227, 'eve@acme.example', 33)
RETURNING id, account_id;
UPDATE leadflow.leads SET email = 'ann@other.example' WHERE id IN (221, 223) RETURNING id, account_id;

SELECT * FROM leadflow.verify();

-- Who is disqualified by what the very statement says cannot be made an MQL, who no longer is can.
INSERT INTO leadflow.leads (id, email, job_title) VALUES (9001, 'cto@gate.example', 'CTO'), (9002, 'student@gate.example', 'Student');
SELECT * FROM try($$UPDATE leadflow.leads SET stage = 'mql', job_title = 'Student' WHERE id = 9001$$);
SELECT * FROM try($$UPDATE leadflow.leads SET stage = 'mql' WHERE id = 9002$$);
UPDATE leadflow.leads SET stage = 'mql', job_title = 'CTO' WHERE id = 9002 RETURNING stage;
