--
-- Activities as they are written: what is refused, and how; whatever SQL writes them, the
-- scores are those of the rows that are there.
--
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET extra_float_digits = 0;
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';

\i test/fixtures/thaw.sql

-- A page is 1 point and a dated download 10; downloads are worth no more than the last two. Points stay.
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, mql_threshold, max_score) VALUES (900, 'plain', 1e6, 1e6);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, max_points) VALUES (901, 900, 'all', 'engagement', 1e6);
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count) VALUES
	(900, 901, 'page', 'page_view', 1, NULL), (900, 901, 'file', 'content_download', 10, 2);
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;
INSERT INTO leadflow.leads (id, email) SELECT i, 'lead' || i || '@x.example' FROM generate_series(1, 5) i;
INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'spring', 'Spring'), (2, 'autumn', 'Autumn');
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (1, 'Sam', 'sam@example.com', 'sales'), (2, 'Mara', 'mara@example.com', 'marketing');

CREATE VIEW public.scores AS
SELECT l.id AS lead, s.score,
	(SELECT count(*) FROM leadflow.activities a WHERE a.lead_id = l.id) AS activities
FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id ORDER BY l.id;

-- What a driver gets.
CREATE FUNCTION public.refused(statement text) RETURNS TABLE (field text, value text) LANGUAGE plpgsql AS $$
DECLARE
	s text; m text; d text; h text; n text; t text; c text; k text;
BEGIN
	BEGIN
		EXECUTE statement;
		PERFORM leadflow.settle();
		RAISE 'it was not' USING ERRCODE = 'P0099';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT,
			n = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
		RETURN QUERY SELECT * FROM (VALUES ('sqlstate', s), ('message', m), ('detail', CASE WHEN d NOT LIKE 'Failing row%' THEN d END), ('hint', h), ('table', n || '.' || t), ('column', c),
			('constraint', k)) f (field, value) WHERE f.value NOT IN ('', '.');
	END;
END $$;

--
-- Refused
--
-- unknown leads, campaigns and members; all that are unknown are named
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind) VALUES (77, ''page_view'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, ''page_view''), (78, ''page_view''), (77, ''note''), (78, ''strange'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, campaign_id) VALUES (1, ''page_view'', 1), (1, ''page_view'', 71), (1, ''page_view'', 70)');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, member_id) VALUES (1, ''call'', 1), (1, ''call'', 71), (1, ''call'', 70)');
SELECT value FROM refused('INSERT INTO leadflow.activities (lead_id, kind) SELECT g, ''page_view'' FROM generate_series(1, 100000) g') WHERE field = 'message';
-- NULLs
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind) VALUES (NULL, ''page_view'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, NULL)');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, ''page_view'', NULL)');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, id) VALUES (1, ''page_view'', NULL)');
-- instants
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, ''page_view'', ''infinity'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, ''page_view'', ''-infinity'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, ''page_view'', ''2026-03-02 09:05:00.000001Z'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, ''strange'', ''2027-03-02'')');
-- voids
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, voided_at) VALUES (1, ''page_view'', ''2026-03-02'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, void_reason) VALUES (1, ''page_view'', ''bot'')');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, voided_at, void_reason) VALUES (1, ''page_view'', ''infinity'', ''bot'')');
-- what leadflow writes itself
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, recorded_at) VALUES (1, ''page_view'', ''2020-01-01'')');
SELECT * FROM scores;	-- nothing of it is there

-- Five minutes ahead are the skew of a clock; the setting says how many.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2026-03-02 09:05Z');
SELECT lead, score, leadflow.score(lead, '2026-03-02 09:05Z') AS then FROM scores WHERE lead = 1;
SET LOCAL leadflow.max_clock_skew = '1h';
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, 'page_view', '2026-03-02 10:00Z');
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, ''page_view'', ''2026-03-02 10:00:01Z'')');
SET LOCAL leadflow.max_clock_skew = 0;
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, ''page_view'', ''2026-03-02 09:00:01Z'')');
ROLLBACK;
-- Back-dated rows are welcome, the oldest too.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (1, 'page_view', '0001-01-01'), (1, 'page_view', '4713-01-01 BC'), (1, 'page_view', '1900-01-01');
SELECT * FROM scores WHERE lead = 1;
ROLLBACK;

-- The same in changes.
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, member_id) VALUES
	(1, '2026-03-01', '00000000-0000-0000-0000-000000000001', 'page_view', 1, 1),
	(2, '2026-03-01', '00000000-0000-0000-0000-000000000002', 'page_view', NULL, NULL);
SELECT * FROM refused('UPDATE leadflow.activities SET lead_id = 3 WHERE lead_id = 1');
SELECT * FROM refused('UPDATE leadflow.activities SET lead_id = lead_id + 1');
SELECT * FROM refused('UPDATE leadflow.activities SET recorded_at = ''2020-01-01'' WHERE lead_id = 1');
SELECT * FROM refused('UPDATE leadflow.activities SET occurred_at = ''2026-03-03'' WHERE lead_id = 1');
SELECT * FROM refused('UPDATE leadflow.activities SET occurred_at = ''infinity'' WHERE lead_id = 1');
SELECT * FROM refused('UPDATE leadflow.activities SET campaign_id = 70 WHERE lead_id = 1');
SELECT * FROM refused('UPDATE leadflow.activities SET member_id = 70 WHERE lead_id = 1');
SELECT * FROM refused('UPDATE leadflow.activities SET kind = NULL WHERE lead_id = 1');
SELECT * FROM refused('UPDATE leadflow.activities SET voided_at = ''2026-03-02'' WHERE lead_id = 1');
-- The same event twice
SELECT * FROM refused('INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (1, ''2026-03-01'', ''00000000-0000-0000-0000-000000000001'', ''page_view'')');
-- What is referred to stays.
SELECT * FROM refused('DELETE FROM leadflow.campaigns WHERE id = 1');
SELECT * FROM refused('DELETE FROM leadflow.team_members WHERE id = 1');
SELECT * FROM refused('DELETE FROM leadflow.campaigns');
SELECT * FROM refused('UPDATE leadflow.campaigns SET id = 10 WHERE id = 1');
SELECT * FROM refused('UPDATE leadflow.campaigns SET code = ''x'' WHERE id = 1');
SELECT value AS sqlstate FROM refused('UPDATE leadflow.team_members SET id = 10 WHERE id = 1') WHERE field = 'sqlstate';
SELECT * FROM refused('UPDATE leadflow.leads SET id = 10 WHERE id = 1');
DELETE FROM leadflow.campaigns WHERE id = 2;
DELETE FROM leadflow.team_members WHERE id = 2;
-- Rules that cannot be.
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, condition) VALUES (900, 901, ''x'', ''page_view'', 1, ''$.a >'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, condition) VALUES (900, 901, ''x'', ''page_view'', 1, '''')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, condition) VALUES (900, 901, ''x'', ''page_view'', 1, ''$.content like_regex "("'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) VALUES (900, 901, ''x'', ''page_view'', ''NaN'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) VALUES (900, 901, ''x'', ''page_view'', ''Infinity'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count) VALUES (900, 901, ''x'', ''page_view'', 1, 0)');
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per) VALUES (900, 901, ''x'', ''page_view'', 1, 1, ''fortnight'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, per) VALUES (900, 901, ''x'', ''page_view'', 1, ''day'')');
SELECT value AS sqlstate FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis, half_life) VALUES (900, ''x'', ''engagement'', ''1 month'')') WHERE field = 'sqlstate';
SELECT value AS sqlstate FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis, half_life) VALUES (900, ''x'', ''engagement'', ''1 year -365 days'')') WHERE field = 'sqlstate';
SELECT * FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis, half_life) VALUES (900, ''x'', ''engagement'', ''0'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis, half_life) VALUES (900, ''x'', ''engagement'', ''-1 day'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis, half_life) VALUES (900, ''x'', ''fit'', ''1 day'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points) VALUES (900, ''x'', ''engagement'', 2, 1)');
SELECT * FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis) VALUES (900, ''y'', ''fit''), (900, ''z'', ''fit'')');
SELECT * FROM refused('INSERT INTO leadflow.scoring_groups (model_id, name, axis, max_points) VALUES (900, ''x'', ''engagement'', ''NaN'')');
SELECT * FROM refused('INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason) VALUES (900, ''x'', ''lead'', ''$.a =='', ''x'')');
SELECT * FROM refused('UPDATE leadflow.scoring_models SET status = ''active''');
SELECT * FROM refused('UPDATE leadflow.scoring_models SET max_score = ''NaN'' WHERE id = 900');
SELECT value AS sqlstate FROM refused('UPDATE leadflow.scoring_models SET cool_down = ''1 month'' WHERE id = 900') WHERE field = 'sqlstate';
-- A rule in the group of another model
SELECT * FROM refused('INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) SELECT 900, min(id), ''x'', ''page_view'', 1 FROM leadflow.scoring_groups');
SELECT * FROM scores;
SELECT * FROM leadflow.verify();

--
-- When it is refused
--
-- In a transaction: in its statement; a savepoint saves the rest.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (3, 'page_view');
SAVEPOINT a;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (3, 'page_view'), (77, 'page_view');
ROLLBACK TO a;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (3, 'page_view');
COMMIT;
SELECT * FROM scores WHERE lead = 3;
-- A lead and its first activities in one statement, whichever way round
WITH lead AS (INSERT INTO leadflow.leads (id, email) VALUES (11, 'eleven@x.example'))
INSERT INTO leadflow.activities (lead_id, kind) VALUES (11, 'page_view'), (11, 'page_view');
WITH activity AS (INSERT INTO leadflow.activities (lead_id, kind) VALUES (12, 'page_view'))
INSERT INTO leadflow.leads (id, email) VALUES (12, 'twelve@x.example');
WITH lead AS (INSERT INTO leadflow.leads (id, email) VALUES (13, 'thirteen@x.example') RETURNING id), a AS (
	INSERT INTO leadflow.activities (lead_id, kind) SELECT id, 'page_view' FROM lead RETURNING lead_id)
INSERT INTO leadflow.activities (lead_id, kind) SELECT lead_id, 'content_download' FROM a;
SELECT * FROM scores WHERE lead IN (11, 12, 13);
DELETE FROM leadflow.leads WHERE id = 13;
-- A lead that is gone by the end of the transaction
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (11, 'page_view');
DELETE FROM leadflow.leads WHERE id = 11;
COMMIT;
BEGIN;
DELETE FROM leadflow.leads WHERE id = 12;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (12, 'page_view');
COMMIT;
WITH gone AS (DELETE FROM leadflow.leads WHERE id = 12)
INSERT INTO leadflow.activities (lead_id, kind) VALUES (12, 'page_view');
DELETE FROM leadflow.leads WHERE id = 12;
-- and one that comes and goes
BEGIN;
INSERT INTO leadflow.leads (id) VALUES (14);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (14, 'page_view');
DELETE FROM leadflow.leads WHERE id = 14;
INSERT INTO leadflow.leads (id) VALUES (14);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (14, 'content_download');
COMMIT;
SELECT * FROM scores WHERE lead >= 10;
SELECT count(*) FROM leadflow.activities WHERE lead_id >= 10;
DELETE FROM leadflow.leads WHERE id >= 10;
SELECT count(*) FROM leadflow.activities WHERE lead_id >= 10;
SELECT * FROM leadflow.verify();

--
-- What leadflow writes
--
INSERT INTO leadflow.activities (lead_id, kind) VALUES (4, 'page_view');
SELECT occurred_at, recorded_at, voided_at FROM leadflow.activities WHERE lead_id = 4;
SET leadflow.clock = '2026-03-02 10:00Z';
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (4, 'page_view', '2026-01-01');
SELECT occurred_at, recorded_at FROM leadflow.activities WHERE lead_id = 4 ORDER BY 2;
-- An id of its own for an event of another system, always the same.
SELECT leadflow.event_id('stripe', 'evt_1') = leadflow.event_id('stripe', 'evt_1') AS same,
	leadflow.event_id('stripe', 'evt_1') <> leadflow.event_id('stripe', 'evt_2') AS other_key,
	leadflow.event_id('stripe', 'evt_1') <> leadflow.event_id('hubspot', 'evt_1') AS other_source,
	leadflow.event_id('a', 'bc') <> leadflow.event_id('ab', 'c') AS no_mixing,
	leadflow.event_id('a:', 'b') <> leadflow.event_id('a', ':b') AS no_mixing_either,
	leadflow.event_id(NULL, 'x') IS NULL AND leadflow.event_id('x', NULL) IS NULL AS no_key;
-- It may not change from one version to the next.
SELECT leadflow.event_id('stripe', 'evt_1');

--
-- Any SQL
--
-- ON CONFLICT
DELETE FROM leadflow.activities;
CREATE TABLE public.event (lead_id bigint, occurred_at timestamptz, id uuid, kind text);
INSERT INTO event SELECT 1 + n % 3, timestamptz '2026-03-01' + n * interval '1 hour', leadflow.event_id('test', n::text), 'page_view' FROM generate_series(1, 9) n;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT * FROM event LIMIT 4 ON CONFLICT DO NOTHING;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT * FROM event ON CONFLICT DO NOTHING;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT * FROM event UNION ALL SELECT * FROM event ON CONFLICT (lead_id, occurred_at, id) DO NOTHING;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT * FROM event ON CONFLICT ON CONSTRAINT activities_pkey DO NOTHING;
SELECT * FROM scores WHERE lead <= 3;
-- some are new, some change, and some are left as they are
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT lead_id, occurred_at, id, 'content_download' FROM event
UNION ALL SELECT 4, '2026-03-01', leadflow.event_id('test', 'a' || n), 'page_view' FROM generate_series(1, 3) n
ON CONFLICT (lead_id, occurred_at, id) DO UPDATE SET kind = excluded.kind WHERE activities.lead_id <> 3;
SELECT * FROM scores WHERE lead <= 4;
-- a redelivery voids, without a word about a lead
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT * FROM event WHERE lead_id = 1
ON CONFLICT (lead_id, occurred_at, id) DO UPDATE SET voided_at = leadflow.now(), void_reason = 'duplicate';
SELECT * FROM scores WHERE lead = 1;
-- of an unknown lead
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT 77, occurred_at, id, kind FROM event ON CONFLICT DO NOTHING;
-- RETURNING sees what was inserted.
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) SELECT * FROM event UNION ALL SELECT 5, '2026-03-01', leadflow.event_id('test', 'b'), 'note'
ON CONFLICT DO NOTHING RETURNING lead_id, kind, recorded_at;
SELECT * FROM leadflow.verify();

-- MERGE
MERGE INTO leadflow.activities a USING (SELECT * FROM event UNION ALL SELECT 5, '2026-03-02', leadflow.event_id('test', 'c'), 'page_view') e
ON a.lead_id = e.lead_id AND a.occurred_at = e.occurred_at AND a.id = e.id
WHEN MATCHED AND a.lead_id = 1 THEN DELETE
WHEN MATCHED AND a.lead_id = 2 THEN UPDATE SET kind = 'page_view'
WHEN MATCHED THEN DO NOTHING
WHEN NOT MATCHED THEN INSERT (lead_id, occurred_at, id, kind) VALUES (e.lead_id, e.occurred_at, e.id, e.kind);
SELECT * FROM scores;
SELECT * FROM leadflow.verify();

-- COPY
COPY leadflow.activities (lead_id, occurred_at, id, kind, properties) FROM stdin;
1	2026-03-01 00:00:00+00	00000000-0000-0000-0000-00000000000a	page_view	{"a": 1}
1	2026-03-01 00:00:00+00	00000000-0000-0000-0000-00000000000b	page_view	\N
2	2026-03-01 00:00:00+00	00000000-0000-0000-0000-00000000000c	strange	\N
\.
COPY leadflow.activities (lead_id, kind) FROM stdin (FORMAT csv);
1,content_download
5,content_download
\.
COPY leadflow.activities (lead_id, kind) FROM stdin (FORMAT csv);
1,content_download
77,content_download
\.
COPY leadflow.activities (lead_id, kind, occurred_at) FROM stdin (FORMAT csv);
1,page_view,infinity
\.
SELECT * FROM scores;
SELECT * FROM leadflow.verify();

-- TRUNCATE
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
TRUNCATE leadflow.activities;
SELECT * FROM scores;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
SELECT * FROM scores WHERE lead = 2;
ROLLBACK;
SELECT sum(score), sum(activities) FROM scores;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view');
TRUNCATE leadflow.activities;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (2, 'page_view');
COMMIT;
SELECT * FROM scores;
SELECT * FROM leadflow.verify();

-- Two inserts, and a delete, in one statement
WITH a AS (
	INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view'), (2, 'page_view')
), b AS (
	INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'page_view')
), c AS (
	DELETE FROM leadflow.activities WHERE lead_id = 2	-- the one that was there
)
INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'content_download');
SELECT * FROM scores WHERE lead <= 2;

-- More than fits into memory
SET work_mem = '64kB';
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, properties)
SELECT 1 + n % 5, timestamptz '2026-03-01' + n * interval '1 second', CASE n % 10 WHEN 0 THEN 'content_download' ELSE 'page_view' END, jsonb_build_object('n', n)
FROM generate_series(1, 20000) n;
SELECT * FROM scores;
UPDATE leadflow.activities SET properties = properties || '{"again": true}' WHERE lead_id IN (1, 2);
DELETE FROM leadflow.activities WHERE kind = 'page_view' AND lead_id IN (2, 3);
SELECT * FROM scores;
RESET work_mem;
SELECT * FROM leadflow.verify();
DELETE FROM leadflow.activities;
SELECT * FROM scores;

-- Huge and deep properties, with rules that look into them
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, condition) VALUES
	(900, 901, 'needle', 'form_submit', 3, '$.properties.list[*] == 199999'), (900, 901, 'deep', 'form_submit', 5, '$.properties.**.bottom == true');
INSERT INTO leadflow.activities (lead_id, kind, properties)
SELECT 1, 'form_submit', jsonb_build_object('list', jsonb_agg(n), 'text', repeat('x', 5000000)) FROM generate_series(1, 200000) n;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES
	(2, 'form_submit', (repeat('{"a":', 3000) || '{"bottom": true}' || repeat('}', 3000))::jsonb),
	(3, 'form_submit', (repeat('[', 5000) || repeat(']', 5000))::jsonb);
SELECT * FROM scores WHERE lead <= 3;
SELECT * FROM leadflow.verify();

-- A rule that errs on every activity, in ways that jsonpath does not silence, holds for none and refuses none.
BEGIN;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, condition) VALUES
	(900, 901, 'template', 'page_view', 7, '$.content.datetime("YYYY#MM") > "2020-01-01".datetime()');
INSERT INTO leadflow.activities (lead_id, kind, content, properties) VALUES (4, 'page_view', '2026-03', '{"a": 1}'), (4, 'page_view', 'x', '[1]');
SELECT * FROM scores WHERE lead = 4;
ROLLBACK;

-- There are no variables to ask about.
SELECT * FROM refused($r$INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, condition) VALUES (900, 901, 'variable', 'page_view', 7, '$.properties.a == $who')$r$);
SELECT * FROM refused($r$INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, once_per) VALUES (900, 901, 'value', 'page_view', 70, 1, '$.properties[$who]')$r$);

-- A function that catches what is refused
CREATE FUNCTION pg_temp.import(n integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	stored integer := 0;
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			INSERT INTO leadflow.activities (lead_id, kind, occurred_at)
			VALUES (CASE WHEN i % 7 = 0 THEN 77 ELSE 4 END, 'page_view', CASE WHEN i % 5 = 0 THEN 'infinity' ELSE '2026-03-01' END::timestamptz);
			IF i % 3 = 0 THEN
				RAISE 'changed my mind';
			END IF;
			stored := stored + 1;
		EXCEPTION
			WHEN foreign_key_violation OR check_violation OR raise_exception THEN
				NULL;
		END;
	END LOOP;
	RETURN stored;
END $$;
SELECT pg_temp.import(100);
SELECT score, activities FROM scores WHERE lead = 4;
-- Cursors and prepared statements
PREPARE log(bigint, text) AS INSERT INTO leadflow.activities (lead_id, kind) VALUES ($1, $2);
EXECUTE log(5, 'page_view');
EXECUTE log(5, 'page_view');
EXECUTE log(5, 'unheard_of');
SELECT score, activities FROM scores WHERE lead = 5;
SELECT kind, activities FROM leadflow.unmapped_activity_kinds;
-- A voided one is out of it.
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'test' WHERE kind = 'unheard_of';
SELECT kind, activities FROM leadflow.unmapped_activity_kinds;

-- A lead goes with its activities and history, not with a deal.
SELECT (SELECT count(*) FROM leadflow.activities WHERE lead_id = 4) > 0 AS has, (SELECT count(*) FROM leadflow.stage_history WHERE lead_id = 4) AS history;
DELETE FROM leadflow.leads WHERE id = 4;
SELECT (SELECT count(*) FROM leadflow.activities WHERE lead_id = 4) AS has, (SELECT count(*) FROM leadflow.stage_history WHERE lead_id = 4) AS history,
	(SELECT count(*) FROM leadflow.score_state WHERE lead_id = 4) AS state;
INSERT INTO leadflow.deals (lead_id, name, amount, currency) VALUES (5, 'Deal', 10, 'EUR');
SELECT * FROM refused('DELETE FROM leadflow.leads WHERE id = 5');
-- What is the engine's own is.
SELECT * FROM refused('UPDATE leadflow.score_state SET sums = ''{1000}''');
SELECT * FROM refused('DELETE FROM leadflow.score_state');

SELECT * FROM leadflow.verify();

-- A site's deferred trigger that a promotion queues fires before COMMIT, and what it writes is scored, too.
\i test/fixtures/thaw.sql
UPDATE leadflow.scoring_models SET mql_threshold = 40, max_score = 1e6, handoff_threshold = NULL, min_fit_grade = NULL WHERE id = 900;
UPDATE leadflow.scoring_groups SET half_life = '30 days' WHERE id = 901;
DELETE FROM leadflow.scoring_rules WHERE model_id = 900;
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points) VALUES (900, 901, 'forty', 'form_submit', 40), (900, 901, 'one', 'page_view', 1);
CREATE FUNCTION congratulate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO leadflow.activities (lead_id, kind) VALUES (NEW.id, 'page_view');
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER congratulate AFTER UPDATE OF stage ON leadflow.leads DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.stage = 'mql') EXECUTE FUNCTION congratulate();
INSERT INTO leadflow.leads (id, email) VALUES (700, '700@deferred.example');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (700, 'form_submit');
SELECT l.stage, round(s.score) AS score FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id WHERE l.id = 700;
DROP TRIGGER congratulate ON leadflow.leads;

-- One activity that is worth the threshold opens the gate, whatever the last digit of its decay at its own instant.
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@threshold.example' FROM generate_series(10001, 11000) i;
DO $$
BEGIN
	FOR i IN 10001 .. 11000 LOOP
		PERFORM set_config('leadflow.clock', (timestamptz '2026-06-01 00:00Z' + (i - 10000) * interval '7919 seconds')::text, true);
		INSERT INTO leadflow.activities (lead_id, kind) VALUES (i, 'form_submit');
		PERFORM leadflow.settle();
	END LOOP;
END $$;
SELECT stage, count(*) FROM leadflow.leads WHERE id > 10000 GROUP BY stage;
