--
-- Promises: what can be promised, versions, agreement, corrections.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- Monday

-- What a statement is refused with; "ok", and undone, where it isn't.
CREATE FUNCTION public.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	d record;
	state text;
	name text;
	message text;
	detail text;
	hint text;
	tab text;
	col text;
BEGIN
	EXECUTE statement;
	SET CONSTRAINTS ALL IMMEDIATE;
	RAISE 'ok' USING ERRCODE = 'P0099';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, name = CONSTRAINT_NAME, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		hint = PG_EXCEPTION_HINT, tab = TABLE_NAME, col = COLUMN_NAME;
	RETURN CASE state WHEN 'P0099' THEN 'ok' ELSE
		concat_ws(E'\n    ', concat_ws(' ', state, nullif(concat_ws('.', nullif(tab, ''), nullif(col, '')), ''), nullif(name, '')), message, nullif(detail, ''), nullif(hint, '')) END;
END $$;
CREATE VIEW public.policies AS
SELECT p.id, p.name, p.metric, p.target, p.target_count AS count, p.target_rate AS rate, p.within, p.valid,
	(SELECT string_agg(format('%s %s', a.team, a.member_id), ', ' ORDER BY a.team) FROM leadflow.sla_approvals a WHERE a.policy_id = p.id) AS approvals
FROM leadflow.sla_policies p ORDER BY p.name, p.valid, p.id;
CREATE VIEW public.clocks AS
SELECT c.lead_id AS lead, c.policy_id AS policy, p.name, c.state, to_char(c.started_at, 'Dy DD HH24:MI') AS started, to_char(c.due_at, 'Dy DD HH24:MI') AS due
FROM leadflow.sla_clocks c JOIN leadflow.sla_policies p ON p.id = c.policy_id WHERE c.metric = 'time_to_accept' ORDER BY c.lead_id, c.id;

INSERT INTO leadflow.team_members (id, full_name, email, team, active) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', true), (12, 'Max', 'max@our.example', 'marketing', true),
	(21, 'Sam', 'sam@our.example', 'sales', true), (22, 'Old', 'old@our.example', 'sales', false),
	(31, 'Lea', 'lea@our.example', 'leadership', true);
INSERT INTO leadflow.calendars (id, name) VALUES (101, 'never'), (102, 'one morning'), (103, 'always open');
INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) VALUES (102, '2026-12-24', '09:00', '12:00');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes) SELECT 103, d, '00:00', '24:00' FROM generate_series(1, 7) d;

--
-- What makes no sense as a promise
--
\pset format unaligned
\pset tuples_only on
SELECT w || E'\n  ' || refused(format('INSERT INTO leadflow.sla_policies (id, name, metric, %s) VALUES (500, ''p'', %s)', split_part(w, ' | ', 1), split_part(w, ' | ', 2)))
FROM unnest(ARRAY[
	-- the target: which, how much
	'target | ''time_to_accept'', NULL',
	'target_count | ''time_to_handoff'', 3',
	'target, within | ''time_to_first_touch'', ''1 hour'', ''1 hour''',
	'target, target_rate | ''time_to_review'', ''1 hour'', 0.5',
	'target_count | ''attempts'', 3',
	'within | ''attempts'', ''1 day''',
	'target, target_count, within | ''attempts'', ''1 day'', 3, ''1 day''',
	'target | ''mql_volume'', ''1 day''',
	'target_rate | ''accepted_volume'', 0.5',
	'target_count | ''acceptance_rate'', 50',
	'target | ''time_to_accept'', ''0''',
	'target | ''time_in_stage'', ''-1 hour''',
	'target | ''time_in_stage'', ''-1 month''',
	'target | ''time_to_accept'', ''100000 days''',
	'target | ''time_to_accept'', ''1 month''',
	'target | ''time_to_nurture'', ''1 year 2 days''',
	'target_count, within | ''attempts'', 3, ''1 month''',
	'target_count, within | ''attempts'', 3, ''-1 hour''',
	'target_count, within | ''attempts'', 0, ''1 hour''',
	'target_count | ''mql_volume'', -1',
	'target_rate | ''acceptance_rate'', 0',
	'target_rate | ''acceptance_rate'', 60',
	'target_rate | ''acceptance_rate'', ''NaN''',
	-- words
	'target | ''time_to_call'', ''1 hour''',
	'target, team | ''time_to_accept'', ''1 hour'', ''leadership''',
	'target_count, team | ''mql_volume'', 5, ''sales''',
	'target | NULL, ''1 hour''',
	-- warnings and breaches
	'target, warn_fraction | ''time_to_accept'', ''1 hour'', 1',
	'target, warn_fraction | ''time_to_accept'', ''1 hour'', 0',
	'target, warn_fraction | ''time_to_accept'', ''1 hour'', ''NaN''',
	'target_count, warn_fraction | ''mql_volume'', 5, 0.5',
	'target, on_breach | ''time_to_accept'', ''1 hour'', ''shrug''',
	'target, on_breach | ''time_to_accept'', ''1 hour'', NULL',
	'target, on_breach | ''time_to_review'', ''1 hour'', ''reassign''',
	'target, on_breach | ''time_to_handoff'', ''1 hour'', ''return_to_marketing''',
	'target, on_breach | ''time_to_nurture'', ''1 hour'', ''reassign''',
	'target_rate, on_breach | ''acceptance_rate'', 0.5, ''return_to_marketing''',
	-- calendars
	'target, calendar_id | ''time_to_accept'', ''1 hour'', -1',
	'target, calendar_id | ''time_to_accept'', ''1 hour'', 101',
	'target, calendar_id | ''time_to_accept'', ''4 hours'', 102',
	'target_count, within, calendar_id | ''attempts'', 3, ''4 hours'', 102',
	'target_count, calendar_id | ''mql_volume'', 3, 101',
	-- conditions, priority, validity
	'target, condition | ''time_to_accept'', ''1 hour'', ''$.a >''',
	'target, condition | ''time_to_accept'', ''1 hour'', ''$.a > $limit''',
	'target, priority | ''time_to_accept'', ''1 hour'', ''Infinity''',
	'target, valid | ''time_to_accept'', ''1 hour'', ''empty''',
	'target, valid | ''time_to_accept'', ''1 hour'', ''[infinity,)''',
	'target, valid | ''time_to_accept'', ''1 hour'', ''(,-infinity)''',
	'target, valid | ''time_to_accept'', ''1 hour'', NULL']) w;
-- A CHECK holds where no trigger is.
ALTER TABLE leadflow.sla_policies DISABLE TRIGGER sla_policies_check;
SELECT split_part(refused(format('INSERT INTO leadflow.sla_policies (id, name, metric, team, %s) VALUES (500, ''p'', %s)', split_part(w, ' | ', 1), split_part(w, ' | ', 2))), E'\n', 1) || ' ' || w
FROM unnest(ARRAY[
	'target | ''time_to_call'', ''sales'', ''1 hour''', 'target | ''time_to_accept'', ''nobody'', ''1 hour''', 'target_count | ''mql_volume'', ''sales'', 1',
	'target_count | ''time_to_accept'', ''sales'', 1', 'target | ''time_to_accept'', ''sales'', ''0''', 'target_count, within | ''attempts'', ''sales'', 1, ''0''',
	'target_count | ''mql_volume'', ''marketing'', 0', 'target_rate | ''acceptance_rate'', ''marketing'', 60', 'target_rate, warn_fraction | ''acceptance_rate'', ''marketing'', 0.6, 0.5',
	'target, warn_fraction | ''time_to_accept'', ''sales'', ''1 hour'', 1', 'target, on_breach | ''time_to_review'', ''sales'', ''1 hour'', ''reassign''',
	'target, on_breach | ''time_to_accept'', ''sales'', ''1 hour'', ''shrug''', 'target, valid | ''time_to_accept'', ''sales'', ''1 hour'', ''[infinity,)''']) w;
ALTER TABLE leadflow.sla_policies ENABLE TRIGGER sla_policies_check;

--
-- One promise of each metric, in words
--
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.sla_policies (id, name, metric, target, target_count, target_rate, within, calendar_id, condition, warn_fraction, on_breach, valid) VALUES
	(1, 'a hand-off', 'time_to_handoff', '1 day', NULL, NULL, NULL, 103, NULL, NULL, 'notify', DEFAULT),
	(2, 'b accept', 'time_to_accept', '8 hours', NULL, NULL, NULL, NULL, NULL, 0.75, 'reassign', '[2026-01-01,)'),
	(3, 'c touch', 'time_to_first_touch', '15 minutes', NULL, NULL, NULL, 103, '$.company_size >= 1000', 0.125, 'return_to_marketing', '[2026-01-01,2027-01-01)'),
	(4, 'd contact', 'time_to_first_contact', '90 minutes', NULL, NULL, NULL, 103, NULL, NULL, 'notify', '(-infinity,)'),
	(5, 'e nurture', 'time_to_nurture', '1 minute', NULL, NULL, NULL, 103, NULL, NULL, 'notify', '(,)'),
	(6, 'f attempts', 'attempts', NULL, 5, NULL, '10 days', 103, NULL, NULL, 'reassign', DEFAULT),
	(7, 'g reply', 'next_response', '1 hour', NULL, NULL, NULL, 103, NULL, NULL, 'notify', DEFAULT),
	(8, 'h stage', 'time_in_stage', '1000 hours 3 seconds', NULL, NULL, NULL, 103, '$.stage == "accepted"', NULL, 'notify', DEFAULT),
	(9, 'i review', 'time_to_review', '30 seconds', NULL, NULL, NULL, NULL, NULL, NULL, 'notify', DEFAULT),
	(10, 'j volume', 'mql_volume', NULL, 40, NULL, NULL, 103, '$.region == "EMEA"', NULL, 'notify', DEFAULT),
	(11, 'k accepted', 'accepted_volume', NULL, 20, NULL, NULL, NULL, NULL, NULL, 'notify', DEFAULT),
	(12, 'l rate', 'acceptance_rate', NULL, NULL, 0.625, NULL, NULL, NULL, NULL, 'notify', DEFAULT);
SELECT policy_id, name, definition, since_at, agreed_by_marketing, agreed_by_sales, agreed_at FROM leadflow.definitions_in_force WHERE subject = 'service_level' ORDER BY name;
SELECT string_agg(id || ' ' || team, ', ' ORDER BY id) FROM leadflow.sla_policies;
-- Two that say the same of the same leads: the older counts, and it shows. Priority and conditions decide first; each segment of marketing's counts.
BEGIN;
INSERT INTO leadflow.sla_policies (id, name, metric, target, priority, condition, valid) VALUES
	(21, 'same as accept', 'time_to_accept', '2 hours', 0, NULL, DEFAULT),
	(22, 'special', 'time_to_accept', '1 hour', 0, '$.country == "DE"', DEFAULT),
	(23, 'special first', 'time_to_accept', '1 hour', 1, '$.country == "DE"', DEFAULT),
	(24, 'special again', 'time_to_accept', '3 hours', 1, '($.country) == "DE"', DEFAULT),
	(25, 'not yet', 'time_to_accept', '1 hour', 99, NULL, '[2027-01-01,)'),
	(26, 'touch of all', 'time_to_first_touch', '1 hour', -1, NULL, DEFAULT);
INSERT INTO leadflow.sla_policies (id, name, metric, target_count) VALUES (27, 'more', 'mql_volume', 50);
SELECT name, substring(definition FROM 'It never.*') FROM leadflow.definitions_in_force WHERE policy_id IN (2, 3, 10) OR policy_id > 20 ORDER BY policy_id;
ROLLBACK;
-- A version that began within this month, which is the site's, does not count for it; each says until when it is valid.
BEGIN;
UPDATE leadflow.settings SET time_zone = 'Pacific/Auckland';
SET LOCAL leadflow.clock = '2026-06-20 12:00Z';
INSERT INTO leadflow.sla_policies (id, name, metric, target_count, valid) VALUES
	(31, 'm1', 'mql_volume', 50, '[2026-05-31 12:00Z,)'), (32, 'm2', 'mql_volume', 50, '[2026-05-31 12:00:01Z,)'), (33, 'm3', 'accepted_volume', 50, '(2026-05-31 12:00Z,2026-06-30 12:00Z]'),
	(34, 'm4', 'mql_volume', 50, '[2026-06-10Z,2026-06-30 12:00Z)'), (35, 'm5', 'mql_volume', 50, '[2026-01-01Z,2026-06-30Z)'), (36, 'm6', 'mql_volume', 50, '[2026-06-01Z,infinity)');
INSERT INTO leadflow.sla_policies (id, name, metric, target, valid) VALUES (37, 'm7', 'time_to_accept', '1 hour', '[2026-06-10Z,2026-06-30 12:00Z)');
SELECT name, substring(definition FROM 'It counts.*') AS counts, since_at AT TIME ZONE 'UTC' AS since_utc, until_at AT TIME ZONE 'UTC' AS until_utc
FROM leadflow.definitions_in_force WHERE policy_id > 30 ORDER BY policy_id;
SELECT policy, month_start FROM leadflow.marketing_sla_monthly WHERE policy_id > 30 AND month_start >= '2026-05-01' ORDER BY 1, 2;
SET LOCAL leadflow.clock = '2026-07-01 12:00Z';
SELECT policy, month_start FROM leadflow.marketing_sla_monthly WHERE policy_id > 30 AND month_start >= '2026-07-01' ORDER BY 1, 2;
ROLLBACK;
\pset tuples_only off

--
-- Versions
--
INSERT INTO leadflow.sla_policies (id, name, metric, target, valid) VALUES (31, 'v', 'next_response', '1 hour', '[2026-01-01,2026-02-01)'), (32, 'v', 'next_response', '2 hours', '[2026-02-01,2026-03-01)');
SELECT refused(s) FROM unnest(ARRAY[
	'INSERT INTO leadflow.sla_policies (id, name, metric, target, valid) VALUES (33, ''v'', ''next_response'', ''3 hours'', ''[2026-02-28,)'')',
	'INSERT INTO leadflow.sla_policies (id, name, metric, target, valid) VALUES (33, ''v'', ''time_to_accept'', ''3 hours'', ''[2026-03-01,)'')',
	'UPDATE leadflow.sla_policies SET name = ''v'' WHERE id = 7',
	'UPDATE leadflow.sla_policies SET valid = ''[2026-01-31,2026-03-01)'' WHERE id = 32',
	'UPDATE leadflow.sla_policies SET metric = ''time_to_review'' WHERE id = 32',
	-- at one instant they meet, or not
	'UPDATE leadflow.sla_policies SET valid = ''[2026-01-01,2026-02-01]'' WHERE id = 31',
	'UPDATE leadflow.sla_policies SET valid = ''(2026-02-01,2026-03-01)'' WHERE id = 32']) s;
-- one statement may move the boundary, swap, give them all another metric or name; within one it is as for any row
SELECT refused(s) FROM unnest(ARRAY[
	'UPDATE leadflow.sla_policies SET valid = tstzrange(lower(valid) + interval ''1 month'', upper(valid) + interval ''1 month'') WHERE name = ''v''',
	'UPDATE leadflow.sla_policies p SET valid = o.valid FROM leadflow.sla_policies o WHERE p.name = ''v'' AND o.name = ''v'' AND o.id <> p.id',
	'UPDATE leadflow.sla_policies SET metric = ''time_to_review'' WHERE name = ''v''',
	'UPDATE leadflow.sla_policies SET name = ''w'' WHERE name = ''v''',
	'WITH closed AS (UPDATE leadflow.sla_policies SET valid = ''[2026-02-01,2026-02-15)'' WHERE id = 32) INSERT INTO leadflow.sla_policies (id, name, metric, target, valid) VALUES (33, ''v'', ''next_response'', ''1 day'', ''[2026-02-15,)'')',
	'INSERT INTO leadflow.sla_policies (id, name, metric, target) VALUES (31, ''v'', ''next_response'', ''1 day'') ON CONFLICT DO NOTHING',
	'MERGE INTO leadflow.sla_policies p USING (VALUES (31), (33)) v (id) ON p.id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, name, metric, target, valid) VALUES (33, ''v'', ''next_response'', ''1 day'', ''(,2026-02-01)'')',
	'INSERT INTO leadflow.sla_policies (id, name, metric, target, valid) VALUES (33, ''new'', ''next_response'', ''1 hour'', ''(,2026-01-01)''), (34, ''new'', ''next_response'', ''2 hours'', ''[2026-01-01,)'')',
	'INSERT INTO leadflow.sla_policies (id, name, metric, target) VALUES (33, ''new'', ''next_response'', ''1 hour''), (34, ''new'', ''next_response'', ''2 hours'')']) s;
DELETE FROM leadflow.sla_policies WHERE name = 'v';

--
-- A promise changes: clocks keep theirs
--
DELETE FROM leadflow.sla_policies WHERE id NOT IN (6, 10, 12);
INSERT INTO leadflow.sla_policies (id, name, metric, target, calendar_id, condition, priority, warn_fraction, on_breach) VALUES
	(41, 'decide', 'time_to_accept', '8 hours', 103, '$.do_not_contact == false', 7, 0.5, 'reassign');
SELECT leadflow.approve_policy(41, 'marketing', 11), leadflow.approve_policy(41, 'sales', 21);
-- Hands leads over, by hand.
CREATE PROCEDURE public.hand_over(ids bigint[]) LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title)
	SELECT i, 'lead' || i || '@corp' || i || '.example', 'Lead ' || i, 'Corp ' || i, 'Director' FROM unnest(ids) i;
	UPDATE leadflow.leads SET stage = 'mql' WHERE id = ANY (ids);
	UPDATE leadflow.leads SET stage = 'sql', owner_id = 21 WHERE id = ANY (ids);
$$;
CALL hand_over('{1}');
SET leadflow.clock = '2026-03-02 12:00Z';
SELECT leadflow.change_policy('decide', '2 hours') AS v2 \gset
SELECT * FROM policies WHERE name = 'decide';
-- all else is as it was
SELECT a.key FROM leadflow.sla_policies o, leadflow.sla_policies n, jsonb_each(to_jsonb(o)) a
WHERE o.id = 41 AND n.id = :v2 AND a.value IS DISTINCT FROM to_jsonb(n) -> a.key ORDER BY 1;
CALL hand_over('{2}');
SELECT * FROM clocks;
SELECT * FROM leadflow.verify();
-- in words: who agreed to the old one has not agreed to the new one
SELECT policy_id, since_at, agreed_by_marketing, agreed_by_sales, agreed_at FROM leadflow.definitions_in_force WHERE name = 'decide';
SET leadflow.clock = '2026-03-02 11:59:59Z';
SELECT policy_id, since_at, agreed_by_marketing, agreed_by_sales, agreed_at FROM leadflow.definitions_in_force WHERE name = 'decide';
SET leadflow.clock = '2026-03-02 13:00Z';
-- into the future, and between two versions
SELECT leadflow.change_policy('decide', '1 hour', '2026-06-01Z') AS v3 \gset
SELECT leadflow.change_policy('decide', '4 hours', "from" => '2026-05-01Z') AS v4 \gset
SELECT id - 41 AS id, target, valid FROM policies WHERE name = 'decide';
-- bounds stay as they were
BEGIN;
UPDATE leadflow.sla_policies SET valid = '(2026-06-01,2026-09-01]' WHERE id = :v3;
SELECT leadflow.change_policy('decide', '30 minutes', '2026-07-01Z') > 0 AS changed;
SELECT target, valid FROM policies WHERE name = 'decide' AND lower(valid) > '2026-05-15';
SELECT refused($$SELECT leadflow.change_policy('decide', '1 hour', '2026-06-01Z')$$);
ROLLBACK;
-- what is refused
SELECT refused(format('SELECT leadflow.change_policy(%s)', a)) FROM unnest(ARRAY['NULL, ''1 hour''', '''decide'', ''1 hour'', NULL', '''decide'', ''1 hour'', ''infinity''',
	'''no such'', ''1 hour''', '''decide'', ''1 hour'', ''2026-03-02 12:00Z''', '''decide'', ''1 hour'', ''2026-03-02 11:00Z''',
	'''decide'', ''3 hours'', ''2026-03-02 09:00Z''', '''decide'', NULL', '''decide'', ''0''', '''decide'', ''1 month'', ''2026-03-03''',
	'''decide'', ''1 hour'', ''2026-03-03'', 5', '''decide'', ''1 hour'', ''2026-03-03'', NULL, 0.5']) a;
UPDATE leadflow.sla_policies SET valid = '[2026-06-01,2026-09-01)' WHERE id = :v3;
SELECT refused($$SELECT leadflow.change_policy('decide', '1 hour', '2026-09-01')$$);
-- other kinds of targets
BEGIN;
SELECT leadflow.change_policy('f attempts', '2 days', '2026-04-01') > 0, leadflow.change_policy('f attempts', NULL, '2026-05-01', 7) > 0,
	leadflow.change_policy('f attempts', '3 days', '2026-06-01', 8) > 0, leadflow.change_policy('j volume', NULL, '2026-04-01', 60) > 0,
	leadflow.change_policy('l rate', NULL, '2026-04-01', target_rate => 0.7) > 0;
SELECT name, target, count, rate, within, valid FROM policies WHERE name ~ '^[fjl] ';
ROLLBACK;
SELECT refused(format('SELECT leadflow.change_policy(%s)', a)) FROM unnest(ARRAY['''j volume'', ''1 day''', '''j volume'', NULL', '''l rate'', NULL, target_count => 5',
	'''f attempts'', NULL, target_rate => 0.5']) a;

-- An edit in place is a correction: open clocks are due anew, what is closed stays; the end of validity is none.
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 2;
UPDATE leadflow.sla_policies SET target = target + interval '1 hour' WHERE name = 'decide';
SELECT * FROM clocks;
UPDATE leadflow.sla_policies SET valid = '[2020-01-01,2020-02-01)' WHERE id = 41;
SELECT * FROM clocks;
SELECT * FROM leadflow.verify();
-- Stopped clocks are judged anew by restate_sla() alone, on record; a range of starts, its end not included.
UPDATE leadflow.sla_policies SET target = '30 minutes' WHERE id = :v2;
SELECT * FROM clocks;
SELECT refused(format('SELECT leadflow.restate_sla(%s)', a)) FROM unnest(ARRAY['NULL, now()', 'now(), NULL', '''2026-03-03'', ''2026-03-02''']) a;
SELECT leadflow.restate_sla('2026-03-02', '2026-03-02 12:00Z') AS before, leadflow.restate_sla('2026-03-02 12:00Z', '2026-03-02 12:01Z') AS it,
	leadflow.restate_sla('2026-03-02 12:00Z', '2026-03-02 12:01Z') AS again;
SELECT * FROM clocks;
UPDATE leadflow.sla_policies SET target = '5 hours' WHERE id = :v2;
SET leadflow.clock = '2026-03-02 13:30Z';
SELECT leadflow.restate_sla('-infinity', 'infinity') AS all;
SELECT * FROM clocks;
SELECT r.lead_id, r.policy_id, r.clock_id = (SELECT c.id FROM leadflow.sla_clocks c WHERE c.policy_id = r.policy_id) AS clock, r.restated_at, r.restated_by = current_user AS by_us,
	r.old_state, r.new_state, r.old_due_at, r.new_due_at
FROM leadflow.sla_restatements r ORDER BY r.id;
SELECT * FROM leadflow.verify();
-- A lead's restatements go with it; then its policy can go, too.
BEGIN;
DELETE FROM leadflow.leads WHERE id = 2;
SELECT count(*) FROM leadflow.sla_restatements;
DELETE FROM leadflow.sla_policies WHERE id = :v2;
ROLLBACK;
-- A version that has clocks stays, and of its metric.
SELECT refused(s) FROM unnest(ARRAY['DELETE FROM leadflow.sla_policies WHERE id = 41', 'TRUNCATE leadflow.sla_policies',
	'UPDATE leadflow.sla_policies SET metric = ''time_to_first_touch'' WHERE name = ''decide''', 'DELETE FROM leadflow.sla_policies WHERE id = ' || :v3]) s;

--
-- Agreement
--
SELECT refused(format('SELECT leadflow.approve_policy(%s)', a)) FROM unnest(ARRAY['NULL, ''sales'', 21', '10, NULL, 21', '10, ''sales'', NULL',
	'99, ''sales'', 21', '10, ''leadership'', 31', '10, ''Sales'', 21', '10, ''sales'', 99', '10, ''sales'', 22', '10, ''sales'', 11', '10, ''marketing'', 21']) a;
SELECT leadflow.approve_policy(10, 'marketing', 31);
SELECT refused('SELECT leadflow.approve_policy(10, ''sales'', 31)');
SET leadflow.clock = '2026-03-02 14:00Z';
SELECT leadflow.approve_policy(10, 'sales', 21);
-- again: nothing happens, the older date and name stay
SET leadflow.clock = '2026-03-02 15:00Z';
SELECT leadflow.approve_policy(10, 'sales', 21), leadflow.approve_policy(10, 'marketing', 11);
SELECT team, member_id, approved_at FROM leadflow.sla_approvals WHERE policy_id = 10 ORDER BY team;
SELECT policy_id, agreed_by_marketing, agreed_by_sales, agreed_at FROM leadflow.definitions_in_force WHERE policy_id IN (6, 10) ORDER BY 1;
-- who approved stays; approvals are leadflow's
SELECT refused('DELETE FROM leadflow.team_members WHERE id = 31');
SELECT refused(s) FROM unnest(ARRAY['INSERT INTO leadflow.sla_approvals VALUES (6, ''sales'', 21, now())', 'UPDATE leadflow.sla_approvals SET member_id = 11',
	'DELETE FROM leadflow.sla_approvals', 'TRUNCATE leadflow.sla_approvals', 'DELETE FROM leadflow.sla_restatements', 'DELETE FROM leadflow.sla_pauses']) s;

-- Each edit withdraws them, but for when it ends.
CREATE FUNCTION public.after_edit(edit text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE format('UPDATE leadflow.sla_policies SET %s WHERE id = 10', edit);
	SELECT coalesce(p.approvals, 'nobody') INTO found FROM policies p WHERE p.id = 10;
	RAISE '%', found USING ERRCODE = 'P0099';
EXCEPTION
	WHEN SQLSTATE 'P0099' THEN RETURN SQLERRM;
END $$;
SELECT after_edit(e), e FROM unnest(ARRAY['name = ''x''', 'metric = ''accepted_volume''', 'metric = ''acceptance_rate'', target_count = NULL, target_rate = 0.5',
	'metric = ''time_to_accept'', target_count = NULL, target = ''1 day'', team = ''sales''', 'metric = ''attempts'', within = ''1 day''', 'target_count = 41',
	'calendar_id = NULL', 'condition = NULL', 'condition = ''$.region == "APAC"''', 'priority = 1', 'valid = ''[2026-01-01,)''', 'valid = ''(-infinity,)''',
	'valid = ''[-infinity,2027-01-01)''', 'valid = ''[-infinity,infinity]''', 'target_count = target_count, condition = ''$.region == ("EMEA")''', 'team = NULL, valid = DEFAULT']) e;
-- a deleted one takes them along
BEGIN;
DELETE FROM leadflow.sla_policies WHERE id = 10;
SELECT count(*) FROM leadflow.sla_approvals WHERE policy_id = 10;
ROLLBACK;

-- Who may: a member for the own team, an application for everybody; the administrator changes what is promised.
DO $$ BEGIN PERFORM leadflow.setup_roles('lfp'); END $$;
CREATE ROLE lfp_mia LOGIN IN ROLE lfp_marketing;
CREATE ROLE lfp_crm LOGIN IN ROLE lfp_app;
CREATE ROLE lfp_dba LOGIN IN ROLE lfp_admin;
UPDATE leadflow.team_members SET db_role = 'lfp_mia' WHERE id = 11;
GRANT EXECUTE ON FUNCTION public.refused(text) TO PUBLIC;
SET SESSION AUTHORIZATION lfp_mia;
SELECT leadflow.approve_policy(6, 'marketing', 11);
SELECT refused('SELECT leadflow.' || s) FROM unnest(ARRAY['approve_policy(6, ''marketing'', 12)', 'approve_policy(6, ''marketing'', 999)',
	'_do_approve_policy(6, ''marketing'', 11)', 'change_policy(''f attempts'', ''1 day'')', 'restate_sla(''2026-03-02'', ''2026-03-03'')']) s;
SET SESSION AUTHORIZATION lfp_crm;
SELECT leadflow.approve_policy(6, 'sales', 21);
SET SESSION AUTHORIZATION lfp_dba;
SELECT leadflow.change_policy('f attempts', '1 day', '2026-04-01') > 0 AS changed;
UPDATE leadflow.sla_policies SET target = '6 hours' WHERE id = :v2;
SELECT leadflow.restate_sla('2026-03-02', '2026-03-03');
SELECT restated_by, new_due_at FROM leadflow.sla_restatements ORDER BY id DESC LIMIT 1;
UPDATE leadflow.sla_policies SET within = '9 days' WHERE id = 6;
SELECT count(*) FROM leadflow.sla_approvals WHERE policy_id = 6;
SELECT refused('SELECT leadflow.approve_policy(6, ''sales'', 21)');
RESET SESSION AUTHORIZATION;
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'leadflow'::regnamespace AND p.proname IN ('change_policy', 'approve_policy', '_do_approve_policy', 'restate_sla') AND has_function_privilege('pg_monitor', p.oid, 'EXECUTE');
DROP OWNED BY lfp_reader, lfp_reviewer, lfp_marketing, lfp_sales, lfp_app, lfp_admin, lfp_mia, lfp_crm, lfp_dba;
DROP ROLE lfp_reader, lfp_reviewer, lfp_marketing, lfp_sales, lfp_app, lfp_admin, lfp_mia, lfp_crm, lfp_dba;
SELECT * FROM leadflow.verify();
