--
-- Random walks: leads are moved by anybody in any way, reviewed, taken by deals, promoted and taken back
-- by the engine, dated back, deleted, rolled back. After every portion the history must be a chain
-- that ends where the lead stands, cycles and hand-offs must follow from it, what was frozen must
-- not have changed, and the oracle must be content. What deals do is told beforehand, deal by deal,
-- by a slow reading of the rules.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';

INSERT INTO leadflow.team_members (id, full_name, email, team, active) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true), (12, 'Max', 'max@our.example', 'marketing', true),
	(13, 'Sam', 'sam@our.example', 'sales', true), (14, 'Sue', 'sue@our.example', 'sales', true),
	(15, 'Lea', 'lea@our.example', 'leadership', true), (16, 'Old', 'old@our.example', 'sales', false);
-- A site's stages take part.
INSERT INTO leadflow.stages (name, category, position) VALUES ('qualifying', 'handoff', 35), ('demo', 'sales', 45), ('closing', 'sales', 55), ('parked', 'recycle', 95);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams, requires_reason) VALUES
	('mql', 'qualifying', '{marketing}', false), ('sql', 'qualifying', '{sales}', false), ('qualifying', 'sql', '{sales}', false),
	('qualifying', 'accepted', '{sales}', false), ('accepted', 'demo', '{sales}', false), ('demo', 'parked', '{sales}', true),
	('opportunity', 'closing', '{sales}', false), ('closing', 'parked', '{sales}', true),
	('parked', 'mql', '{marketing}', false), ('parked', 'nurture', '{marketing}', false), ('parked', 'lead', '{marketing}', false);
INSERT INTO leadflow.campaigns (id, name) VALUES (1, 'Fair');
INSERT INTO leadflow.nurture_programs (name, revisit_after) VALUES ('everybody', '3 days');

-- What is found wrong; empty at the end.
CREATE TABLE wrong (op integer, what text);
-- How often what was done, to see that the walk goes everywhere.
CREATE TABLE done (what text, outcome text);
-- History as it was at the last look: nothing of it may change but left_at, reason and note.
CREATE TABLE seen AS SELECT * FROM leadflow.stage_history LIMIT 0;

-- The history, told anew: cycles as they should be.
CREATE VIEW told AS
SELECT h.*,
	lag(h.to_stage) OVER w AS came_from,
	lead(h.entered_at) OVER w AS next_at,
	row_number() OVER w AS nth,
	1 + count(*) FILTER (WHERE h.recycled) OVER w AS cycle_told
FROM (
	SELECT h.*, (g.category = 'recycle' AND h.to_stage <> 'rejected' AND NOT coalesce(f.category = 'recycle' AND h.from_stage <> 'rejected', false))
		OR (h.to_stage = 'lead' AND h.from_stage IS NOT NULL AND h.team <> 'system') AS recycled
	FROM leadflow.stage_history h
	JOIN leadflow.stages g ON g.name = h.to_stage
	LEFT JOIN leadflow.stages f ON f.name = h.from_stage
) h
WINDOW w AS (PARTITION BY h.lead_id ORDER BY h.entered_at, h.id);
CREATE VIEW broken AS
SELECT 'chain' AS what, t.lead_id FROM told t
WHERE t.from_stage IS DISTINCT FROM t.came_from OR t.left_at IS DISTINCT FROM t.next_at OR (t.nth > 1 AND t.from_stage = t.to_stage)
UNION ALL
SELECT 'cycle', t.lead_id FROM told t WHERE t.cycle <> t.cycle_told
UNION ALL
SELECT 'cycle now', s.lead_id FROM leadflow.score_state s
JOIN (SELECT t.lead_id, max(t.cycle_told) AS cycle, max(t.entered_at) FILTER (WHERE t.recycled) AS since FROM told t GROUP BY 1) t USING (lead_id)
WHERE (s.cycle, s.cycle_since) IS DISTINCT FROM (t.cycle, t.since)
UNION ALL
SELECT 'stands elsewhere', l.id FROM leadflow.leads l
LEFT JOIN told t ON t.lead_id = l.id AND t.left_at IS NULL
WHERE (l.stage, l.stage_since, l.stage_reason, l.stage_note, l.stage_actor_id, l.stage_team)
	IS DISTINCT FROM (t.to_stage, t.entered_at, t.reason, t.note, t.actor_id, t.team)
UNION ALL
SELECT 'stage_by left', l.id FROM leadflow.leads l WHERE l.stage_by IS NOT NULL
UNION ALL
-- one open hand-off in category handoff, none elsewhere; its owner is the lead's
SELECT 'hand-offs', l.id FROM leadflow.leads l
JOIN leadflow.stages g ON g.name = l.stage
LEFT JOIN leadflow.handoffs h ON h.lead_id = l.id AND h.decided_at IS NULL
GROUP BY l.id, g.category
HAVING count(h.id) <> (g.category = 'handoff')::integer OR bool_or(h.owner_id IS DISTINCT FROM l.owner_id AND h.id IS NOT NULL)
UNION ALL
SELECT 'hand-offs, all', t.lead_id FROM told t
JOIN leadflow.stages g ON g.name = t.to_stage AND g.category = 'handoff'
LEFT JOIN leadflow.stages f ON f.name = t.from_stage
LEFT JOIN leadflow.handoffs h ON h.lead_id = t.lead_id AND h.offered_at = t.entered_at AND h.why NOT IN ('reassigned', 'taken over')
WHERE f.category IS DISTINCT FROM 'handoff'
GROUP BY t.lead_id, t.entered_at HAVING count(DISTINCT t.id) <> count(DISTINCT h.id)
UNION ALL
SELECT 'was frozen', s.lead_id FROM seen s
JOIN leadflow.leads l ON l.id = s.lead_id
LEFT JOIN leadflow.stage_history h ON (h.lead_id, h.entered_at, h.id) = (s.lead_id, s.entered_at, s.id)
WHERE (h.from_stage, h.to_stage, h.actor_id, h.team, h.score, h.model_id, h.persona, h.grade, h.cycle, h.trigger_activity_id)
	IS DISTINCT FROM (s.from_stage, s.to_stage, s.actor_id, s.team, s.score, s.model_id, s.persona, s.grade, s.cycle, s.trigger_activity_id)
	OR (s.left_at IS NOT NULL AND (h.left_at, h.reason, h.note) IS DISTINCT FROM (s.left_at, s.reason, s.note))
UNION ALL
-- a case is open as long as the lead stays where it was opened
SELECT 'case', r.lead_id FROM leadflow.reviews r
LEFT JOIN leadflow.stage_history h ON h.lead_id = r.lead_id AND h.id = r.history_id AND h.left_at IS NULL
WHERE r.closed_at IS NULL AND h.id IS NULL
UNION ALL
SELECT 'no case', l.id FROM leadflow.leads l
JOIN leadflow.stage_history h ON h.lead_id = l.id AND h.left_at IS NULL AND h.from_stage IS NOT NULL
JOIN leadflow.stage_reasons s ON s.stage = h.to_stage AND s.reason = h.reason AND s.reviewed
LEFT JOIN leadflow.reviews r ON r.lead_id = l.id AND r.closed_at IS NULL
WHERE r.id IS NULL
UNION ALL
SELECT 'enrolled elsewhere', e.lead_id FROM leadflow.nurture_enrolments e
LEFT JOIN leadflow.leads l ON l.id = e.lead_id
WHERE e.left_at IS NULL AND l.stage IS DISTINCT FROM 'nurture'
UNION ALL
-- a move by people is one that is listed for them; the engine's are, or follow from deals
SELECT 'not listed', t.lead_id FROM told t
LEFT JOIN leadflow.stage_transitions m ON (m.from_stage, m.to_stage) = (t.from_stage, t.to_stage)
WHERE t.from_stage IS NOT NULL AND NOT coalesce(t.team = 'admin' OR t.team = ANY (m.teams) OR (t.team = 'leadership' AND m.teams && '{marketing,sales}'), false)
	AND NOT (t.team = 'system' AND t.to_stage IN ('opportunity', 'won', 'lost'));

-- Where all deals of a lead put it, told in order of time; NULL: nowhere.
CREATE FUNCTION all_told(lead bigint, OUT stage text, OUT at timestamptz) LANGUAGE plpgsql AS $$
DECLARE
	e record;
	open integer := 0;
BEGIN
	FOR e IN
		SELECT d.id, 1 AS turn, 'opportunity' AS into_stage, least(d.opened_at, d.closed_at) AS happened_at, 1 AS adds,
			CASE d.status WHEN 'open' THEN 'none' ELSE d.status END AS outcome
		FROM leadflow.deals d WHERE d.lead_id = lead AND d.corrects_deal_id IS NULL
		UNION ALL
		SELECT d.id, 2, d.status, d.closed_at, -1, d.status
		FROM leadflow.deals d WHERE d.lead_id = lead AND d.corrects_deal_id IS NULL AND d.status <> 'open'
		ORDER BY happened_at, id, turn
	LOOP
		open := open + e.adds;
		CONTINUE WHEN stage = e.into_stage OR (e.into_stage = 'opportunity' AND stage = e.outcome)
			OR (e.into_stage = 'lost' AND (stage IS DISTINCT FROM 'opportunity' OR open > 0));
		stage := e.into_stage;
		at := e.happened_at;
	END LOOP;
END
$$;

-- What one change of one deal makes of one lead: stages and instants, in order.
CREATE FUNCTION deal_tells(was leadflow.deals, now_is leadflow.deals, lead bigint, stands text) RETURNS TABLE (stage text, at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
	before boolean := coalesce(was.lead_id = lead AND was.corrects_deal_id IS NULL, false);
	after boolean := coalesce(now_is.lead_id = lead AND now_is.corrects_deal_id IS NULL, false);
	others_open boolean := EXISTS (SELECT FROM leadflow.deals d WHERE d.lead_id = lead AND d.corrects_deal_id IS NULL AND d.status = 'open' AND d.id <> coalesce(now_is.id, 0));
	told record;
	latest timestamptz;
BEGIN
	IF after AND NOT before AND now_is.status <> 'open' THEN
		-- a closed deal brings its opening with it; what is older than what others say moves nobody
		latest := (SELECT coalesce(max(greatest(d.opened_at, d.closed_at)), '-infinity') FROM leadflow.deals d
			WHERE d.lead_id = lead AND d.corrects_deal_id IS NULL AND d.id <> now_is.id);
		IF least(now_is.opened_at, now_is.closed_at) >= latest AND stands <> 'opportunity' AND stands <> now_is.status THEN
			stands := 'opportunity';
			RETURN QUERY SELECT stands, least(now_is.opened_at, now_is.closed_at);
		END IF;
		IF now_is.closed_at >= latest AND (now_is.status = 'won' AND stands <> 'won'
				OR now_is.status = 'lost' AND stands IN ('opportunity', 'closing') AND NOT others_open) THEN
			stands := now_is.status;
			RETURN QUERY SELECT stands, now_is.closed_at;
		END IF;
	ELSIF after AND NOT before THEN
		IF stands <> 'opportunity' THEN
			RETURN QUERY SELECT 'opportunity', now_is.opened_at;
		END IF;
		RETURN;
	ELSIF after AND was.status <> now_is.status AND now_is.status = 'open' THEN
		IF stands <> 'opportunity' THEN
			RETURN QUERY SELECT 'opportunity', now_is.opened_at;
		END IF;
		RETURN;
	END IF;
	-- all of them, in order of time
	IF (before AND NOT after) OR (after AND NOT before) OR (after AND was.status = 'won' AND now_is.status = 'lost') THEN
		SELECT * INTO told FROM all_told(lead);
		IF stands IN ('opportunity', 'closing', 'won', 'lost') AND told.stage <> stands AND (stands, told.stage) <> ('closing', 'opportunity') THEN
			RETURN QUERY SELECT told.stage, told.at;
		END IF;
		RETURN;
	ELSIF NOT after OR was.status = now_is.status THEN
		RETURN;
	END IF;
	IF now_is.status = 'won' AND stands <> 'won' OR now_is.status = 'lost' AND stands IN ('opportunity', 'closing') AND NOT others_open THEN
		RETURN QUERY SELECT now_is.status, now_is.closed_at;
	END IF;
END
$$;

-- A change of one deal, and what it did to the leads concerned.
CREATE FUNCTION change_deal(op integer, statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	old_deals leadflow.deals[] := ARRAY(SELECT d FROM leadflow.deals d);
	old_history bigint := (SELECT coalesce(max(h.id), 0) FROM leadflow.stage_history h);
	old_leads leadflow.leads[] := ARRAY(SELECT l FROM leadflow.leads l);
	l leadflow.leads;
	expected text;
	found text;
BEGIN
	EXECUTE statement;
	FOREACH l IN ARRAY old_leads LOOP
		-- entered when it happened, never before the last move nor in the future
		SELECT string_agg(format('%s %s', t.stage, t.entered_at), ', ' ORDER BY t.nth) INTO expected
		FROM (
			SELECT t.stage, t.nth, max(greatest(l.stage_since, least(t.at, leadflow.now()))) OVER (ORDER BY t.nth) AS entered_at
			FROM unnest(old_deals) o
			FULL JOIN leadflow.deals d ON d.id = o.id
			CROSS JOIN LATERAL deal_tells(o, d, l.id, l.stage) WITH ORDINALITY t (stage, at, nth)
			WHERE o IS DISTINCT FROM d
		) t;
		SELECT string_agg(format('%s %s', h.to_stage, h.entered_at), ', ' ORDER BY h.id) INTO found
		FROM leadflow.stage_history h WHERE h.lead_id = l.id AND h.id > old_history;
		IF expected IS DISTINCT FROM found THEN
			INSERT INTO wrong VALUES (op, format('lead %s in %s: %s, not %s, after %s', l.id, l.stage, found, expected, statement));
		END IF;
	END LOOP;
END
$$;

CREATE FUNCTION pick(VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ SELECT $1[1 + floor(random() * cardinality($1))::integer] $$;
CREATE FUNCTION pick(VARIADIC bigint[]) RETURNS bigint LANGUAGE sql AS $$ SELECT $1[1 + floor(random() * cardinality($1))::integer] $$;
CREATE FUNCTION pick(VARIADIC timestamptz[]) RETURNS timestamptz LANGUAGE sql AS $$ SELECT $1[1 + floor(random() * cardinality($1))::integer] $$;
CREATE FUNCTION a_lead() RETURNS bigint LANGUAGE sql AS $$
	SELECT (SELECT l.id FROM leadflow.leads l ORDER BY l.id OFFSET floor(random() * (SELECT count(*) FROM leadflow.leads)) LIMIT 1)
$$;
CREATE FUNCTION a_deal() RETURNS bigint LANGUAGE sql AS $$
	SELECT (SELECT d.id FROM leadflow.deals d ORDER BY d.id OFFSET floor(random() * (SELECT count(*) FROM leadflow.deals)) LIMIT 1)
$$;
-- An instant of the last days.
CREATE FUNCTION lately() RETURNS timestamptz LANGUAGE sql AS $$
	SELECT leadflow.now() - floor(random() * 20) * interval '6 hours'
$$;
-- Mostly a stage that can be reached, with whatever that needs.
CREATE FUNCTION a_move(lead bigint, OUT stage text, OUT reason text, OUT note text, OUT revisit date, OUT actor text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT t.to_stage, coalesce((SELECT m.email FROM leadflow.team_members m WHERE m.team = ANY (t.teams) AND m.active ORDER BY random() LIMIT 1), 'lea@our.example')
	INTO stage, actor
	FROM leadflow.stage_transitions t JOIN leadflow.leads l ON l.id = lead AND l.stage = t.from_stage ORDER BY random() LIMIT 1;
	IF stage IS NULL OR random() < 0.15 THEN
		stage := (SELECT s.name FROM leadflow.stages s ORDER BY random() LIMIT 1);
	END IF;
	IF random() < 0.1 THEN
		actor := pick('mia@our.example', 'sam@our.example', 'sue@our.example', 'lea@our.example', 'old@our.example', 'eve@their.example', NULL);
	END IF;
	IF random() < 0.9 THEN
		reason := (SELECT r.reason FROM leadflow.stage_reasons r WHERE r.stage = a_move.stage ORDER BY r.min_attempts IS NOT NULL, random() LIMIT 1);
	END IF;
	note := pick(NULL, ' ', 'a note', 'why not');
	revisit := CASE WHEN random() < 0.9 THEN leadflow.now()::date + pick(1, 5, 20, 0)::integer END;
END
$$;

-- One step of the walk; what is refused must be refused for a reason.
CREATE FUNCTION step(op integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	what text := (SELECT w FROM unnest('{move,move,move,move,move,update,update,update,update,update,bulk,correct,owner,backdate,open,close,reopen,closed,dealto,gone,correction,engage,engage,void,touch,sweep,new,import,delete,undone,rewrite,whole,review,review,contest}'::text[]) w ORDER BY random() LIMIT 1);
	n bigint := a_lead();
	d bigint := a_deal();
	m record;
	state text := 'ok';
	message text;
BEGIN
	IF d IS NULL AND what IN ('close', 'reopen', 'dealto', 'gone', 'correction') THEN
		RETURN;
	END IF;
	SELECT * INTO m FROM a_move(n);
	BEGIN
		CASE what
		WHEN 'move' THEN PERFORM leadflow.move(n, m.stage, m.reason, m.note, m.revisit, m.actor);
		WHEN 'update' THEN
			UPDATE leadflow.leads SET stage = m.stage, stage_reason = m.reason, stage_note = m.note, revisit_on = m.revisit, stage_by = m.actor WHERE id = n;
		WHEN 'bulk' THEN
			UPDATE leadflow.leads SET stage = m.stage, stage_reason = m.reason, stage_note = m.note, revisit_on = m.revisit, stage_by = m.actor
			WHERE stage = (SELECT l.stage FROM leadflow.leads l WHERE l.id = n) AND id <= n;
		WHEN 'correct' THEN
			UPDATE leadflow.leads SET stage_reason = (SELECT r.reason FROM leadflow.stage_reasons r WHERE r.stage = leads.stage ORDER BY random() LIMIT 1), stage_note = m.note WHERE id = n;
		WHEN 'owner' THEN UPDATE leadflow.leads SET owner_id = pick(13, 14, NULL) WHERE id IN (n, a_lead());
		WHEN 'backdate' THEN PERFORM leadflow.move(n, m.stage, m.reason, m.note, m.revisit, m.actor,
			CASE WHEN random() < 0.7 THEN greatest(lately(), (SELECT l.stage_since FROM leadflow.leads l WHERE l.id = n)) ELSE lately() END);
		WHEN 'open' THEN PERFORM change_deal(op, format('INSERT INTO leadflow.deals (lead_id, opened_at, amount) VALUES (%s, %L, 10)', n, lately()));
		WHEN 'close' THEN PERFORM change_deal(op, format('UPDATE leadflow.deals SET status = %L, closed_at = %L WHERE id = %s', pick('won', 'lost'), pick(lately(), NULL), d));
		WHEN 'reopen' THEN PERFORM change_deal(op, format('UPDATE leadflow.deals SET status = ''open'' WHERE id = %s', d));
		WHEN 'closed' THEN PERFORM change_deal(op, format('INSERT INTO leadflow.deals (lead_id, status, opened_at, closed_at) VALUES (%s, %L, %L, %L)',
			coalesce(pick(n, n, NULL)::text, 'NULL'), pick('won', 'lost'), lately(), lately()));
		WHEN 'dealto' THEN PERFORM change_deal(op, format('UPDATE leadflow.deals SET lead_id = %s WHERE id = %s', n, d));
		WHEN 'gone' THEN PERFORM change_deal(op, format('DELETE FROM leadflow.deals WHERE id = %s', d));
		WHEN 'correction' THEN PERFORM change_deal(op, format('UPDATE leadflow.deals SET corrects_deal_id = %s WHERE id = %s', coalesce(pick(a_deal(), NULL)::text, 'NULL'), d));
		WHEN 'engage' THEN
			INSERT INTO leadflow.activities (lead_id, kind, occurred_at, campaign_id) VALUES (n, pick('demo_request', 'page_view', 'content_download', 'webinar_attended'), lately(), 1);
			PERFORM leadflow.settle();
		WHEN 'void' THEN
			UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'test' WHERE lead_id = n AND random() < 0.7;
			PERFORM leadflow.settle();
		WHEN 'touch' THEN INSERT INTO leadflow.activities (lead_id, kind) SELECT n, 'call' FROM generate_series(1, 2);
		WHEN 'sweep' THEN
			PERFORM set_config('leadflow.clock', (leadflow.now() + pick(1, 5, 30, 60) * interval '1 hour')::text, false);
			PERFORM * FROM leadflow.check_sla();
		WHEN 'new' THEN INSERT INTO leadflow.leads (email, job_title, company_size, created_at) VALUES (op || '@walk.example', pick('CEO', 'clerk', 'engineer'), 500, lately());
		WHEN 'import' THEN INSERT INTO leadflow.leads (email, stage, stage_since, owner_id, created_at) VALUES (op || '@walk.example', m.stage, lately(), pick(13, NULL), lately());
		WHEN 'delete' THEN DELETE FROM leadflow.leads WHERE id = n AND random() < 0.5;
		WHEN 'undone' THEN
			PERFORM leadflow.move(n, m.stage, m.reason, m.note, m.revisit, m.actor);
			INSERT INTO leadflow.deals (lead_id, status) VALUES (n, pick('won', 'open'));
			RAISE SQLSTATE 'UNDO0';
		WHEN 'rewrite' THEN UPDATE leadflow.leads SET full_name = op::text, company_size = pick(1, 500, 1000)::integer WHERE id = n;
		WHEN 'whole' THEN
			UPDATE leadflow.leads SET stage = stage, stage_reason = stage_reason, stage_note = stage_note, stage_since = stage_since, revisit_on = revisit_on,
				owner_id = owner_id, stage_by = stage_by, full_name = op::text WHERE id = n;
		WHEN 'review' THEN
			n := coalesce((SELECT r.lead_id FROM leadflow.reviews r WHERE r.closed_at IS NULL ORDER BY random() LIMIT 1), n);
			PERFORM * FROM leadflow.review(n, pick('uphold', 'overturn'), pick('mia@our.example', 'max@our.example', 'sue@our.example', 'lea@our.example'));
		WHEN 'contest' THEN
			n := coalesce((SELECT r.lead_id FROM leadflow.reviews r WHERE r.closed_at IS NULL ORDER BY random() LIMIT 1), n);
			PERFORM leadflow.contest(n, 'it asked us', 'mia@our.example');
		END CASE;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
		state := SQLSTATE;
		IF state NOT IN ('UNDO0', '23514', '42501', '23503', '22023') AND NOT (state = 'P0002' AND what IN ('review', 'contest')) THEN
			INSERT INTO wrong VALUES (op, format('%s: %s %s', what, state, message));
		END IF;
	END;
	INSERT INTO done VALUES (what, state);
END
$$;

CREATE PROCEDURE walk(steps integer, seed double precision) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	INSERT INTO leadflow.leads (email, job_title, company_size) SELECT seed || '.' || i || '@walk.example', pick('CEO', 'clerk'), 500 FROM generate_series(1, 12) i;
	FOR op IN 1 .. steps LOOP
		PERFORM step(op);
		IF op % 50 = 0 THEN
			COMMIT;
			INSERT INTO wrong SELECT op, format('%s, lead %s', b.what, b.lead_id) FROM broken b;
			INSERT INTO wrong SELECT op, format('verify: %s %s: %s, not %s', v.check_name, v.object_id, v.kept, v.recomputed) FROM leadflow.verify() v;
			TRUNCATE seen;
			INSERT INTO seen SELECT * FROM leadflow.stage_history;
			COMMIT;
			EXIT WHEN EXISTS (SELECT FROM wrong);
		END IF;
	END LOOP;
END
$$;
CALL walk(600, 0.1);
CALL walk(600, 0.2);
SELECT * FROM wrong ORDER BY op, what LIMIT 10;
-- Everything was tried, most of it went through, and most moves were made.
SELECT what FROM done GROUP BY 1 HAVING count(*) FILTER (WHERE outcome IN ('ok', 'UNDO0')) = 0 ORDER BY 1;
SELECT count(*) > 200 AS moved, count(DISTINCT cycle) > 2 AS recycled, count(trigger_activity_id) > 0 AS promoted FROM leadflow.stage_history;
SELECT count(*) FILTER (WHERE h.to_stage IS NULL) < 10 AS well_trodden
FROM leadflow.stage_transitions t
LEFT JOIN (SELECT DISTINCT from_stage, to_stage FROM leadflow.stage_history) h USING (from_stage, to_stage)
WHERE t.teams <> '{system}';

-- Closed deals may be loaded in any order, one by one or at once: a lead ends where all of them,
-- in order of time, put it.
CREATE TABLE load AS
SELECT 1000000 + l * 10 + i AS id, 1000000 + l AS lead_id, pick('won', 'lost', 'lost') AS status,
	timestamptz '2025-01-01Z' + floor(random() * 300) * interval '1 day' AS opened_at, random() AS turn
FROM generate_series(1, 60) l, generate_series(1, 4) i;
ALTER TABLE load ADD closed_at timestamptz;
UPDATE load SET closed_at = opened_at + (1 + floor(random() * 100)) * interval '1 day';
INSERT INTO leadflow.leads (id, email, created_at, stage_since) SELECT DISTINCT lead_id, lead_id || '@load.example', timestamptz '2024-01-01Z', timestamptz '2024-01-01Z' FROM load;
DO $$
DECLARE
	d load;
BEGIN
	FOR d IN SELECT * FROM load WHERE lead_id <= 1000040 ORDER BY turn LOOP
		INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (d.id, d.lead_id, d.status, d.opened_at, d.closed_at);
	END LOOP;
END
$$;
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) SELECT id, lead_id, status, opened_at, closed_at FROM load WHERE lead_id > 1000040;
SELECT count(*) AS leads, count(DISTINCT l.stage) AS stages, count(*) FILTER (WHERE l.stage <> t.stage) AS elsewhere
FROM leadflow.leads l CROSS JOIN LATERAL all_told(l.id) t WHERE l.id > 1000000;
SELECT * FROM leadflow.verify();
