--
-- The stage machine against its own tables: every pair of stages × who acts × reason and note × the
-- day to come back, by every way to write. What is expected is worked out from stage_transitions and
-- stage_reasons alone, so the same test holds for a lifecycle that a site has changed.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 23:30Z';	-- a Monday; in Tokyo it is Tuesday
UPDATE leadflow.settings SET time_zone = 'Asia/Tokyo';

-- Roles outlive a database.
DROP ROLE IF EXISTS lfl_reader, lfl_reviewer, lfl_marketing, lfl_sales, lfl_app, lfl_admin, lfl_crm;
SELECT leadflow.setup_roles('lfl') IS NOT NULL AS done;
CREATE ROLE lfl_crm IN ROLE lfl_app;

INSERT INTO leadflow.team_members (id, full_name, email, team, active) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true),
	(12, 'Sam', 'sam@our.example', 'sales', true),
	(13, 'Lea', 'lea@our.example', 'leadership', true),
	(14, 'Old', 'old@our.example', 'sales', false);

-- Who acts: the column, the role of the session.
CREATE TABLE actor (who text, stage_by text, role text);
INSERT INTO actor VALUES
	('marketing', 'mia@our.example', 'lfl_crm'),
	('sales', 'SAM@our.example', 'lfl_crm'),
	('leadership', 'lea@our.example', 'lfl_crm'),
	('admin', NULL, 'postgres'),
	('nobody', NULL, 'lfl_crm'),
	('unknown', 'eve@their.example', 'lfl_crm'),
	('inactive', 'old@our.example', 'lfl_crm');
-- The superuser of this server may have another name.
UPDATE actor SET role = current_user WHERE role = 'postgres';

-- One reason of each sort for each stage that is entered; retired ones are there to be tried.
UPDATE leadflow.stage_reasons SET active = false WHERE (stage, reason) IN (('rejected', 'no_need'), ('nurture', 'not_now'));
CREATE VIEW said AS
SELECT s.name AS to_stage, v.*
FROM leadflow.stages s
CROSS JOIN LATERAL (
	SELECT 'none' AS saying, NULL AS reason, NULL AS note
	UNION ALL SELECT 'blank', ' ', NULL
	UNION ALL SELECT 'unheard of', 'nonesuch', 'x'
	UNION ALL (SELECT 'another stage''s', r.reason, 'x' FROM leadflow.stage_reasons r WHERE r.active AND NOT EXISTS (
		SELECT FROM leadflow.stage_reasons o WHERE o.stage = s.name AND o.reason = r.reason) ORDER BY r.stage <> 'rejected', r.id LIMIT 1)
	UNION ALL (SELECT 'listed', r.reason, NULL FROM leadflow.stage_reasons r
		WHERE r.stage = s.name AND r.active AND NOT r.requires_note AND r.min_attempts IS NULL ORDER BY r.id LIMIT 1)
	UNION ALL (SELECT 'retired', r.reason, 'x' FROM leadflow.stage_reasons r WHERE r.stage = s.name AND NOT r.active ORDER BY r.id LIMIT 1)
	UNION ALL (SELECT 'not earned', r.reason, 'x' FROM leadflow.stage_reasons r WHERE r.stage = s.name AND r.min_attempts > 0 ORDER BY r.id LIMIT 1)
	UNION ALL (SELECT 'blank note', r.reason, E' \t\n' FROM leadflow.stage_reasons r WHERE r.stage = s.name AND r.requires_note ORDER BY r.id LIMIT 1)
	UNION ALL (SELECT 'with note', r.reason, 'why' FROM leadflow.stage_reasons r WHERE r.stage = s.name AND r.requires_note ORDER BY r.id LIMIT 1)
) v;
-- Today is the site's.
CREATE TABLE day (called text, revisit_on date);
INSERT INTO day VALUES ('none', NULL), ('past', '2026-03-01'), ('the session''s tomorrow', '2026-03-03'), ('tomorrow', '2026-03-04');

-- What the contract says of one move, from the tables.
CREATE FUNCTION expected(from_stage text, to_stage text, who text, reason text, note text, revisit_on date) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	m leadflow.stage_transitions;
	r leadflow.stage_reasons;
BEGIN
	SELECT * INTO m FROM leadflow.stage_transitions t WHERE t.from_stage = $1 AND t.to_stage = $2;
	IF NOT FOUND THEN
		RETURN '23514 leads_stage_move stage';
	ELSIF who IN ('nobody', 'unknown', 'inactive') THEN
		RETURN '42501  stage_by';
	ELSIF NOT (who = 'admin' OR who = ANY (m.teams) OR (who = 'leadership' AND m.teams && '{marketing,sales}')) THEN
		RETURN '42501 leads_stage_move stage';
	END IF;
	SELECT * INTO r FROM leadflow.stage_reasons x WHERE x.stage = $2 AND x.reason = $4;
	IF trim(E' \t\n' FROM coalesce($4, '')) = '' THEN
		IF m.requires_reason OR $4 IS NOT NULL THEN
			RETURN '23514 leads_stage_reason stage_reason';
		END IF;
	ELSIF r.id IS NULL AND EXISTS (SELECT FROM leadflow.stage_reasons x WHERE x.stage = $2) OR NOT r.active THEN
		RETURN '23514 leads_stage_reason stage_reason';
	ELSIF r.requires_note AND trim(E' \t\n' FROM coalesce(note, '')) = '' THEN
		RETURN '23514 leads_stage_reason stage_note';
	END IF;
	IF m.requires_revisit AND $6 IS NULL OR $6 <= (leadflow.now() AT TIME ZONE (SELECT time_zone FROM leadflow.settings))::date THEN
		RETURN '23514 leads_stage_reason revisit_on';
	ELSIF r.min_attempts > 0 THEN
		RETURN '23514 leads_reason_earned stage_reason';
	END IF;
	RETURN 'ok';
END
$$;

-- What a statement is refused with, its lead named; 'ok' where it is not, and it is undone then, too.
CREATE FUNCTION try(statement text, as_role text, lead_id bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	con text;
	col text;
	tab text;
	sch text;
	detail text;
	hint text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', as_role);
	EXECUTE statement;
	RAISE SQLSTATE 'UNDO0';
EXCEPTION
	WHEN SQLSTATE 'UNDO0' THEN RETURN 'ok';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, con = CONSTRAINT_NAME, col = COLUMN_NAME, tab = TABLE_NAME,
			sch = SCHEMA_NAME, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		RETURN concat_ws(' ', state, con, col)
			|| CASE WHEN sch = 'leadflow' AND tab = 'leads' THEN '' ELSE ' (on ' || sch || '.' || tab || ')' END
			|| CASE WHEN detail ~* ('\mLead ' || lead_id || '\M') THEN '' ELSE ' (lead not named: ' || detail || ')' END
			|| CASE WHEN hint = '' THEN ' (no hint)' ELSE '' END;
END
$$;

-- The ways to write a move.
CREATE FUNCTION written(way text, lead_id bigint, to_stage text, stage_by text, reason text, note text, revisit_on date) RETURNS text
LANGUAGE sql AS $$
	SELECT CASE way
	WHEN 'update' THEN format('UPDATE leadflow.leads SET stage = %L, stage_by = %L, stage_reason = %L, stage_note = %L, revisit_on = %L WHERE id = %s',
		to_stage, stage_by, reason, note, revisit_on, lead_id)
	WHEN 'move' THEN format('SELECT leadflow.move(%s, %L, %L, %L, %L, %L)', lead_id, to_stage, reason, note, revisit_on, stage_by)
	WHEN 'merge' THEN format('MERGE INTO leadflow.leads l USING (VALUES (%s, %L, %L, %L, %L, %L::date)) v (id, stage, by, reason, note, day) ON l.id = v.id '
		'WHEN MATCHED THEN UPDATE SET stage = v.stage, stage_by = v.by, stage_reason = v.reason, stage_note = v.note, revisit_on = v.day',
		lead_id, to_stage, stage_by, reason, note, revisit_on)
	WHEN 'upsert' THEN format('INSERT INTO leadflow.leads (id, email, stage_by) VALUES (%s, ''x'', %L) ON CONFLICT (id) DO UPDATE '
		'SET stage = %L, stage_by = excluded.stage_by, stage_reason = %L, stage_note = %L, revisit_on = %L',
		lead_id, stage_by, to_stage, reason, note, revisit_on)
	WHEN 'setting' THEN format('SELECT set_config(''leadflow.actor'', %L, true); '
		'UPDATE leadflow.leads SET stage = %L, stage_reason = %L, stage_note = %L, revisit_on = %L WHERE id = %s; SELECT set_config(''leadflow.actor'', '''', true)',
		coalesce(stage_by, ''), to_stage, reason, note, revisit_on, lead_id)
	END
$$;

-- An actor who is none is refused with the row that is proposed, so an upsert is tried without.
-- A lead in each stage; ids by position.
INSERT INTO leadflow.leads (id, email, stage) SELECT 1000 + position, name || '@one.example', name FROM leadflow.stages;

-- Listed moves: everything that can be said, by UPDATE; the other ways with what matters most.
CREATE VIEW attempt AS
SELECT w.way, f.id AS lead_id, t.from_stage, t.to_stage, a.who, s.saying, d.called AS day,
	written(w.way, f.id, t.to_stage, a.stage_by, s.reason, s.note, d.revisit_on) AS statement, a.role,
	expected(t.from_stage, t.to_stage, a.who, s.reason, s.note, d.revisit_on) AS due
FROM leadflow.stage_transitions t
JOIN leadflow.leads f ON f.stage = t.from_stage
CROSS JOIN actor a
JOIN said s ON s.to_stage = t.to_stage
CROSS JOIN day d
CROSS JOIN (VALUES ('update'), ('move'), ('merge'), ('upsert'), ('setting')) w (way)
WHERE w.way = 'update' OR (a.who IN ('marketing', 'sales', 'unknown') AND d.called IN ('none', 'tomorrow') AND (w.way <> 'upsert' OR a.who <> 'unknown'));
CREATE TABLE tried AS
SELECT a.*, r.was FROM attempt a CROSS JOIN LATERAL try(a.statement, a.role, a.lead_id) r (was);
SELECT way, count(*), count(*) FILTER (WHERE was = 'ok') AS ok FROM tried GROUP BY 1 ORDER BY 1;
SELECT due, count(*) FROM tried WHERE way = 'update' GROUP BY 1 ORDER BY 1;
SELECT way, lead_id, from_stage, to_stage, who, saying, day, due, was FROM tried WHERE was <> due;

-- All other pairs: refused to everybody, whatever is said.
CREATE TABLE tried_others AS
SELECT w.way, f.stage AS from_stage, t.name AS to_stage, a.who, r.was
FROM leadflow.leads f
JOIN leadflow.stages t ON t.name <> f.stage
	AND NOT EXISTS (SELECT FROM leadflow.stage_transitions x WHERE x.from_stage = f.stage AND x.to_stage = t.name)
JOIN actor a ON a.who IN ('marketing', 'sales', 'leadership', 'admin', 'nobody')
CROSS JOIN (VALUES ('update'), ('move'), ('merge')) w (way)
LEFT JOIN said s ON s.to_stage = t.name AND s.saying = 'listed'
CROSS JOIN LATERAL try(written(w.way, f.id, t.name, a.stage_by, s.reason, s.note, '2026-05-01'), a.role, f.id) r (was);
SELECT was, count(*) FROM tried_others GROUP BY 1;

-- Nothing of all this is left behind.
SELECT count(*) FROM leadflow.stage_history WHERE lead_id BETWEEN 1000 AND 1999;
SELECT * FROM leadflow.verify();

--
-- Many at once: one that is illegal, all are refused, and the offender is named.
--
CREATE TABLE bulk (id bigint, stage text, stage_by text, stage_reason text, revisit_on date);
GRANT SELECT ON bulk TO lfl_crm;
CREATE FUNCTION fill(offender bigint, wrong text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	TRUNCATE bulk;
	INSERT INTO bulk SELECT i, (ARRAY['accepted', 'rejected', 'nurture'])[1 + i % 3], 'sam@our.example',
		(ARRAY[NULL, 'no_budget', 'no_budget'])[1 + i % 3], CASE WHEN i % 3 = 2 THEN date '2026-06-01' END
	FROM generate_series(2001, 2060) i;
	IF wrong IS NOT NULL THEN
		EXECUTE 'UPDATE bulk SET ' || wrong || ' WHERE id = $1' USING offender;
	END IF;
	RETURN wrong;
END
$$;
INSERT INTO leadflow.leads (id, email, stage) SELECT i, i || '@bulk.example', 'sql' FROM generate_series(2001, 2060) i;
SELECT o, fill(o, w), y, was.*
FROM (VALUES
	(2030, $$stage = 'won'$$),
	(2031, $$stage = 'nonesuch'$$),
	(2032, $$stage_by = 'mia@our.example'$$),
	(2033, $$stage = 'rejected', stage_reason = NULL$$),
	(2034, $$stage = 'rejected', stage_reason = 'lost_deal'$$),
	(2035, $$stage = 'rejected', stage_reason = 'other'$$),
	(2036, $$stage = 'rejected', stage_reason = 'unable_to_reach'$$),
	(2037, $$stage = 'nurture', stage_reason = 'no_budget', revisit_on = NULL$$),
	(2038, $$stage = 'nurture', stage_reason = 'no_budget', revisit_on = '2026-03-03'$$),
	(2039, $$stage_by = 'eve@their.example'$$),
	(2040, $$stage_by = 'old@our.example'$$),
	(2041, $$stage_by = NULL$$),
	(2042, NULL)
) v (o, w)
CROSS JOIN (VALUES
	('update', 'UPDATE leadflow.leads l SET stage = b.stage, stage_by = b.stage_by, stage_reason = b.stage_reason, revisit_on = b.revisit_on FROM public.bulk b WHERE b.id = l.id'),
	('merge', 'MERGE INTO leadflow.leads l USING public.bulk b ON b.id = l.id WHEN MATCHED THEN UPDATE SET stage = b.stage, stage_by = b.stage_by, stage_reason = b.stage_reason, revisit_on = b.revisit_on'),
	('move', 'SELECT leadflow.move(b.id, b.stage, b.stage_reason, NULL, b.revisit_on, b.stage_by) FROM public.bulk b')
) s (y, statement)
CROSS JOIN LATERAL try(CASE WHEN fill(o, w) IS NOT DISTINCT FROM w THEN s.statement END, 'lfl_crm', o) was
ORDER BY o, y;
-- Loaded as tools load: into a table of theirs, then all at once.
TRUNCATE bulk;
COPY bulk (id, stage, stage_by, stage_reason) FROM stdin;
2001	accepted	sam@our.example	\N
2002	opportunity	sam@our.example	\N
2003	rejected	sam@our.example	competitor
\.
UPDATE leadflow.leads l SET stage = b.stage, stage_by = b.stage_by, stage_reason = b.stage_reason FROM bulk b WHERE b.id = l.id;
UPDATE bulk SET stage = 'accepted' WHERE id = 2002;
UPDATE leadflow.leads l SET stage = b.stage, stage_by = b.stage_by, stage_reason = b.stage_reason FROM bulk b WHERE b.id = l.id;
SELECT l.id, l.stage, l.stage_reason, l.stage_actor_id, l.stage_by FROM leadflow.leads l JOIN bulk b ON b.id = l.id ORDER BY 1;
-- New leads: begun in a stage that there is not, or with a reason that is none there; the whole COPY is refused.
COPY leadflow.leads (id, email, stage, stage_reason) FROM stdin;
3001	a@copy.example	accepted	\N
3002	b@copy.example	customer	\N
\.
COPY leadflow.leads (id, email, stage, stage_reason) FROM stdin;
3001	a@copy.example	accepted	\N
3002	b@copy.example	rejected	not_now
\.
SELECT count(*) FROM leadflow.leads WHERE id > 3000;

--
-- lead_details has no stage: what is written there is never a move.
--
UPDATE leadflow.lead_details SET stage = 'won' WHERE id = 2010;
UPDATE leadflow.lead_details SET full_name = 'x', company = 'y' WHERE id BETWEEN 2010 AND 2019;
INSERT INTO leadflow.lead_details (id, email) VALUES (3001, 'a@details.example');
SELECT stage, count(*), count(full_name) FROM leadflow.leads WHERE id BETWEEN 2010 AND 2019 OR id = 3001 GROUP BY 1;
SELECT count(*) FROM leadflow.stage_history WHERE lead_id BETWEEN 2010 AND 2019 OR lead_id = 3001;

--
-- The engine is team "system": it makes a move as long as it is its own, and no other.
--
UPDATE leadflow.settings SET time_zone = 'UTC';
CREATE FUNCTION engine_moves() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	made text;
BEGIN
	INSERT INTO leadflow.leads (email, job_title, company_size) VALUES ('ask@us.example', 'CEO', 500) RETURNING id INTO n;
	INSERT INTO leadflow.activities (lead_id, kind) VALUES (n, 'demo_request');
	PERFORM leadflow.settle();
	UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'test' WHERE lead_id = n;
	PERFORM leadflow.settle();
	SELECT string_agg(concat_ws(' ', h.to_stage, h.team, h.reason), ', ' ORDER BY h.id) INTO made FROM leadflow.stage_history h WHERE h.lead_id = n;
	RETURN made;
END
$$;
SELECT engine_moves();
BEGIN;
UPDATE leadflow.stage_transitions SET teams = '{marketing}' WHERE (from_stage, to_stage) = ('mql', 'sql');
SELECT engine_moves();
UPDATE leadflow.stage_transitions SET teams = '{marketing}' WHERE (from_stage, to_stage) = ('mql', 'lead');
SELECT engine_moves();
DELETE FROM leadflow.stage_transitions WHERE (from_stage, to_stage) = ('lead', 'mql');
SELECT engine_moves();
ROLLBACK;
SELECT * FROM leadflow.verify();

RESET ROLE;
DROP OWNED BY lfl_reader, lfl_reviewer, lfl_marketing, lfl_sales, lfl_app, lfl_admin, lfl_crm;
DROP ROLE lfl_reader, lfl_reviewer, lfl_marketing, lfl_sales, lfl_app, lfl_admin, lfl_crm;
