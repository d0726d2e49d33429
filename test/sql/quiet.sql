--
-- Quiet loads: what is kept and what does not follow; promote_ready(); who may.
--
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
\i test/fixtures/thaw.sql
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday
SHOW leadflow.quiet;

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(1, 'Mia', 'mia@our.example', 'marketing'), (2, 'Sam', 'sam@our.example', 'sales'), (3, 'Sue', 'sue@our.example', 'sales');
INSERT INTO leadflow.campaigns (id, code, name) SELECT i, 'c' || i, 'Campaign ' || i FROM generate_series(1, 5) i;

-- What there is of a lead, besides its score.
CREATE VIEW public.standing AS
SELECT l.id, l.stage, l.owner_id AS owner,
	(SELECT string_agg(h.to_stage || coalesce('/' || h.reason, ''), ' ' ORDER BY h.entered_at, h.id) FROM leadflow.stage_history h WHERE h.lead_id = l.id) AS history,
	(SELECT string_agg(h.why || coalesce(':' || h.owner_id, ''), ' ' ORDER BY h.id) FROM leadflow.handoffs h WHERE h.lead_id = l.id) AS handoffs,
	(SELECT string_agg(c.state, ' ' ORDER BY c.id) FROM leadflow.sla_clocks c WHERE c.lead_id = l.id) AS clocks
FROM leadflow.leads l;

--
-- A backlog: 3,000 leads and ten years of what they did. Nothing is random.
--
CREATE FUNCTION public.r(text) RETURNS float8 IMMUTABLE LANGUAGE sql
	RETURN ('x0' || substr(md5($1), 1, 7))::bit(32)::integer / 268435456.0::float8;
CREATE TABLE public.old_activity AS
SELECT 1 + floor(3000 * r('lead' || i))::bigint AS lead_id,
	timestamptz '2016-03-02 00:00Z' + interval '87600 hours' * (1 - power(r('at' || i), 3)) AS occurred_at,
	md5('old' || i)::uuid AS id,
	(ARRAY['page_view', 'email_click', 'content_download', 'webinar_attended', 'form_submit', 'event_visit', 'call', 'demo_request', 'faxed'])
		[CASE WHEN r('kind' || i) < .3 THEN 1 ELSE 1 + floor(9 * power(r('kind2' || i), 1.2))::integer END] AS kind,
	CASE WHEN r('campaign' || i) < .6 THEN 1 + floor(5 * r('campaign2' || i))::bigint END AS campaign_id,
	CASE WHEN r('void' || i) < .05 THEN timestamptz '2026-01-01 00:00Z' END AS voided_at
FROM generate_series(1, 60000) i;

BEGIN;
SET LOCAL leadflow.quiet = on;
INSERT INTO leadflow.leads (id, email, job_title, company_size, do_not_contact, created_at, stage, stage_since, owner_id, revisit_on)
SELECT i, 'p' || i || '@company' || i % 700 || '.example',
	(ARRAY['CTO', 'Analyst', 'Student', NULL])[1 + i % 4], CASE WHEN i % 3 > 0 THEN 10 * (i % 13) END, i % 50 = 0,
	'2016-03-01 00:00Z', s.stage, CASE WHEN s.stage <> 'lead' THEN timestamptz '2025-06-01 00:00Z' END,
	CASE WHEN s.stage = 'accepted' THEN 2 END, CASE WHEN s.stage = 'nurture' THEN date '2026-02-01' + i % 60 END
FROM generate_series(1, 3000) i
CROSS JOIN LATERAL (SELECT CASE WHEN i > 2960 THEN 'nurture' WHEN i > 2940 THEN 'sql' WHEN i > 2930 THEN 'accepted' WHEN i > 2900 THEN 'mql' ELSE 'lead' END AS stage) s;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id, voided_at, void_reason)
SELECT a.lead_id, a.occurred_at, a.id, a.kind, a.campaign_id, a.voided_at, CASE WHEN a.voided_at IS NOT NULL THEN 'bot' END
FROM public.old_activity a WHERE a.lead_id <= 2990;
COPY leadflow.activities (lead_id, occurred_at, kind) FROM stdin;
2991	2025-12-24 18:00Z	demo_request
2992	2025-12-24 18:00Z	content_download
2992	2026-02-24 18:00Z	quote_request
\.
COMMIT;

SELECT stage, count(*) FROM leadflow.leads GROUP BY 1 ORDER BY 1;
SELECT count(*) AS history, count(*) FILTER (WHERE from_stage IS NOT NULL) AS moves FROM leadflow.stage_history;
SELECT why, count(*) FROM leadflow.handoffs GROUP BY 1;
SELECT count(*) AS clocks FROM leadflow.sla_clocks;
-- scores are exact
SELECT count(*) AS leads, count(*) FILTER (WHERE o.score > 0) AS with_points,
	count(*) FILTER (WHERE abs(o.score - s.score) > 1e-9 * greatest(1, o.magnitude)) AS differ
FROM leadflow._oracle_scores(leadflow.now()) o FULL JOIN leadflow.lead_scores s USING (lead_id);
SELECT * FROM leadflow.verify();

--
-- promote_ready()
--
-- Who waits: the gate's, and MQLs that are due to be handed off. Told here once more, in SQL.
CREATE VIEW public.waiting AS
SELECT row_number() OVER (ORDER BY s.fit + s.engagement DESC, l.id) AS nth, l.id AS lead_id, s.score, s.rank, l.stage AS from_stage,
	CASE WHEN s.score >= 70 OR h.raised THEN 'sql' ELSE 'mql' END AS stage
FROM leadflow.leads l
JOIN leadflow.lead_scores s ON s.lead_id = l.id
CROSS JOIN LATERAL (
	SELECT EXISTS (
		SELECT FROM leadflow.activities a
		JOIN leadflow.scoring_rules r ON r.activity_kind = a.kind AND r.hand_raise
		JOIN leadflow.score_state t ON t.lead_id = l.id
		WHERE a.lead_id = l.id AND a.voided_at IS NULL AND a.occurred_at > coalesce(t.cycle_since, '-infinity')) AS raised
) h
WHERE s.mql_ready
	OR (l.stage = 'mql' AND s.disqualified_reason IS NULL AND (h.raised OR (s.score >= 70 AND NOT l.do_not_contact)));
CREATE TABLE public.expected AS SELECT * FROM public.waiting;
SELECT from_stage, stage, count(*) FROM expected GROUP BY 1, 2 ORDER BY 1, 2;

CREATE TABLE public.before AS SELECT * FROM standing;
CREATE TABLE public.promoted (call text, nth bigint GENERATED ALWAYS AS IDENTITY, lead_id bigint, score float8, rank text, stage text);
CREATE FUNCTION public.differences(name text) RETURNS TABLE (nth bigint, lead_id bigint, expected text, got text) LANGUAGE sql AS $$
	WITH got AS (SELECT *, row_number() OVER (ORDER BY p.nth) AS place FROM promoted p WHERE p.call = name)
	SELECT e.nth, e.lead_id, (e.score, e.rank, e.stage)::text, (g.score, g.rank, g.stage)::text
	FROM (SELECT row_number() OVER (ORDER BY x.nth) AS place, x.* FROM expected x
		WHERE name = 'dry' OR NOT EXISTS (SELECT FROM promoted p WHERE p.call < name AND p.call <> 'dry' AND p.lead_id = x.lead_id)) e
	JOIN got g ON g.place = e.place
	WHERE (e.lead_id, e.score, e.rank, e.stage) IS DISTINCT FROM (g.lead_id, g.score, g.rank, g.stage)
$$;
-- a dry run changes nothing
INSERT INTO promoted (call, lead_id, score, rank, stage) SELECT 'dry', * FROM leadflow.promote_ready(dry_run => true);
SELECT count(*) = (SELECT count(*) FROM expected) AS all_of_them FROM promoted WHERE call = 'dry';
SELECT * FROM differences('dry');
TABLE standing EXCEPT TABLE before;
SELECT lead_id = (SELECT lead_id FROM expected WHERE nth = 1) AS hottest FROM leadflow.promote_ready(1, true);

-- in portions, hottest first
INSERT INTO promoted (call, lead_id, score, rank, stage) SELECT 'a', * FROM leadflow.promote_ready(10);
INSERT INTO promoted (call, lead_id, score, rank, stage) SELECT 'b', * FROM leadflow.promote_ready(90);
SELECT call, count(*) FROM promoted GROUP BY 1 ORDER BY 1;
SELECT * FROM differences('a');
SELECT * FROM differences('b');
SELECT count(*) AS promoted, count(DISTINCT lead_id) AS leads FROM promoted WHERE call <> 'dry';
SELECT count(*) AS differ FROM promoted p JOIN leadflow.leads l ON l.id = p.lead_id WHERE p.call <> 'dry' AND p.stage <> l.stage;
SELECT * FROM leadflow.promote_ready(0);
-- one that is rolled back
BEGIN;
SELECT count(*) FROM leadflow.promote_ready(5);
ROLLBACK;
-- the rest
INSERT INTO promoted (call, lead_id, score, rank, stage) SELECT 'c', * FROM leadflow.promote_ready();
SELECT * FROM differences('c');
SELECT count(*) = (SELECT count(*) FROM expected) AS all_of_them, count(DISTINCT lead_id) = count(*) AS once FROM promoted WHERE call <> 'dry';
SELECT count(*) AS left_behind FROM leadflow.lead_scores WHERE mql_ready;
SELECT * FROM leadflow.promote_ready();
SELECT * FROM waiting;
-- history, hand-off, routing and clocks as ever
SELECT from_stage, to_stage, team, count(*) FROM leadflow.stage_history WHERE from_stage IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT why, max(turns) - min(turns) <= 1 AS fair FROM (SELECT why, owner_id, count(*) AS turns FROM leadflow.handoffs WHERE why <> 'imported' GROUP BY 1, 2) t GROUP BY 1;
SELECT c.metric, count(*) = (SELECT count(*) FROM leadflow.handoffs WHERE why <> 'imported') AS one_each, bool_and(c.member_id IS NOT NULL) AS owned FROM leadflow.sla_clocks c GROUP BY 1 ORDER BY 1;
SELECT * FROM leadflow.verify();

-- arguments
SELECT leadflow.promote_ready(-1);
SELECT leadflow.promote_ready(1, NULL);

--
-- One by one
--
DELETE FROM leadflow.leads;
CREATE FUNCTION public.hot(lead bigint, kind text DEFAULT 'demo_request') RETURNS uuid LANGUAGE sql AS $$
	INSERT INTO leadflow.activities (lead_id, kind) VALUES (lead, kind) RETURNING id
$$;
INSERT INTO leadflow.leads (id, email, job_title, company_size) SELECT i, i || '@one.example', 'CTO', 100 FROM generate_series(1, 30) i;

-- Afterwards, an ordinary activity or change asks the gate as always, with all that was loaded.
BEGIN;
SET LOCAL leadflow.quiet = on;
SELECT count(hot(i, 'content_download')) FROM generate_series(1, 2) i, generate_series(1, 2);
-- the score is there at once
SELECT lead_id, score, mql_ready FROM leadflow.lead_scores WHERE lead_id <= 2 ORDER BY 1;
SELECT leadflow.settle();
COMMIT;
SELECT * FROM standing WHERE id <= 2 ORDER BY 1;
SELECT count(hot(1, 'page_view'));
UPDATE leadflow.leads SET phone = '1' WHERE id = 2;
SELECT * FROM standing WHERE id <= 2 ORDER BY 1;

-- What counts is the setting when something is written, not at the end.
BEGIN;
SELECT count(hot(3));
SET LOCAL leadflow.quiet = on;
SELECT count(hot(4));
COMMIT;
BEGIN;
SET LOCAL leadflow.quiet = on;
SELECT count(hot(5));
SET LOCAL leadflow.quiet = off;
SELECT count(hot(6));
COMMIT;
-- both about one lead: the loud one asks
BEGIN;
SET LOCAL leadflow.quiet = on;
SELECT count(hot(7));
SET LOCAL leadflow.quiet = off;
SELECT count(hot(7, 'page_view'));
COMMIT;
SELECT * FROM standing WHERE id BETWEEN 3 AND 7 ORDER BY 1;

-- Savepoints: the setting and what was written go together.
BEGIN;
SAVEPOINT a;
SET LOCAL leadflow.quiet = on;
SELECT count(hot(8));
ROLLBACK TO a;
SHOW leadflow.quiet;
SELECT count(hot(9));
COMMIT;
BEGIN;
SET LOCAL leadflow.quiet = on;
SELECT count(hot(10));
SAVEPOINT a;
SET LOCAL leadflow.quiet = off;
SELECT count(hot(10, 'page_view'));
SELECT count(hot(11));
ROLLBACK TO a;
SHOW leadflow.quiet;
SAVEPOINT b;
SELECT count(hot(12));
RELEASE b;
COMMIT;
-- settle() in a savepoint that is undone: the loud write still is one
BEGIN;
SELECT count(hot(13));
SAVEPOINT a;
SET LOCAL leadflow.quiet = on;
SELECT leadflow.settle();
SELECT stage FROM leadflow.leads WHERE id = 13;
ROLLBACK TO a;
SELECT stage FROM leadflow.leads WHERE id = 13;
COMMIT;
SELECT * FROM standing WHERE id BETWEEN 8 AND 13 ORDER BY 1;
RESET leadflow.quiet;
SELECT lead_id, stage FROM leadflow.promote_ready() ORDER BY 1;
SELECT * FROM leadflow.verify();

-- Evidence that is taken away quietly takes nobody back; the next void looks at all of it.
BEGIN;
SET LOCAL leadflow.quiet = on;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id IN (1, 3) AND kind <> 'page_view';
DELETE FROM leadflow.activities WHERE lead_id = 9;
COMMIT;
SELECT s.*, round(leadflow.score(id)::numeric, 1) AS score FROM standing s WHERE id IN (1, 3, 9) ORDER BY 1;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 1 AND kind = 'page_view';
SELECT * FROM standing WHERE id = 1;
-- also if the transaction has written loudly about the lead, but not taken away
BEGIN;
SELECT count(hot(6, 'page_view'));
SET LOCAL leadflow.quiet = on;
DELETE FROM leadflow.activities WHERE lead_id = 6 AND kind = 'demo_request';
COMMIT;
SELECT * FROM standing WHERE id = 6;
SELECT * FROM leadflow.verify();

-- Clients' own moves are judged, done and on record, but neither routed nor timed.
SET leadflow.quiet = on;
SET leadflow.actor = 'mia@our.example';
UPDATE leadflow.leads SET stage = 'mql' WHERE id BETWEEN 14 AND 18;
UPDATE leadflow.leads SET stage = 'sql' WHERE id IN (14, 15);
UPDATE leadflow.leads SET stage = 'sql', owner_id = 3 WHERE id = 16;
SELECT leadflow.move(17, 'sql', at => '2026-03-02 09:00Z');
SELECT leadflow.move(17, 'won');
-- hot ones that are made MQLs by hand stay, too
SELECT count(hot(18));
SELECT * FROM standing WHERE id BETWEEN 14 AND 18 ORDER BY 1;
SET leadflow.actor = 'sam@our.example';
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 14;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-05-01' WHERE id = 15;
-- a touch counts
SELECT count(hot(16, 'call'));
SELECT touches, first_touch_at FROM leadflow.handoffs WHERE lead_id = 16;
RESET leadflow.actor;
RESET leadflow.quiet;
SELECT * FROM standing WHERE id BETWEEN 14 AND 18 ORDER BY 1;
SELECT lead_id, cycle, to_stage FROM leadflow.stage_history WHERE lead_id = 15 ORDER BY id;
SELECT * FROM leadflow.verify();
-- the MQL that was held back
SELECT lead_id, stage FROM leadflow.promote_ready();
SELECT * FROM standing WHERE id = 18;

-- Clocks that run are settled by quiet touches, moves and owners; none starts.
SELECT count(hot(i)) FROM generate_series(20, 23) i;
SELECT * FROM standing WHERE id BETWEEN 20 AND 23 ORDER BY 1;
SET leadflow.clock = '2026-03-02 10:00Z';
SET leadflow.quiet = on;
SELECT count(hot(20, 'call'));
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sue@our.example' WHERE id = 21;
UPDATE leadflow.leads SET owner_id = 2 WHERE id = 22;
INSERT INTO leadflow.deals (lead_id, status, amount) VALUES (23, 'won', 100), (24, 'open', 100);
SELECT * FROM standing WHERE id BETWEEN 20 AND 24 ORDER BY 1;
SELECT * FROM leadflow.verify();

-- A deal is a fact: its lead goes along, its credits are shared out.
BEGIN;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, campaign_id) VALUES (25, '2026-02-01', 'demo_request', 1), (25, '2026-02-02', 'webinar_attended', 2);
INSERT INTO leadflow.deals (id, lead_id, status, amount, opened_at, closed_at) VALUES (900, 25, 'won', 99.99, '2026-02-10', '2026-02-20');
COMMIT;
SELECT * FROM standing WHERE id = 25;
SELECT model, campaign_id, credit FROM leadflow.attribution_credits WHERE deal_id = 900 ORDER BY 1, 2;

-- New leads that pass by who they are.
UPDATE leadflow.scoring_models SET mql_threshold = 30 WHERE status = 'active';
INSERT INTO leadflow.leads (id, email, job_title, company_size) VALUES (31, 'a@31.example', 'CTO', 100);
INSERT INTO leadflow.leads (id, email) VALUES (32, 'a@32.example');
UPDATE leadflow.leads SET job_title = 'CTO', company_size = 100 WHERE id = 32;
INSERT INTO leadflow.accounts (id, name, domain) VALUES (1, 'Firm', '33.example');
INSERT INTO leadflow.leads (id, email, job_title) VALUES (33, 'a@33.example', 'CTO');
UPDATE leadflow.accounts SET status = 'customer';
SELECT lead_id, score, mql_ready FROM leadflow.lead_scores WHERE lead_id > 30 ORDER BY 1;
SELECT * FROM standing WHERE id > 30 ORDER BY 1;

-- The sweep and promote_ready() do what they are for, whatever the setting says.
SET leadflow.clock = '2026-05-01 09:00Z';
SELECT * FROM leadflow.check_sla();
SELECT * FROM standing WHERE id IN (15, 22) ORDER BY 1;
SELECT lead_id, score, rank, stage FROM leadflow.promote_ready(2);
SHOW leadflow.quiet;
RESET leadflow.quiet;
-- what this transaction has written counts
BEGIN;
SET LOCAL leadflow.quiet = on;
INSERT INTO leadflow.leads (id, email) VALUES (34, 'a@34.example'), (35, 'a@35.example');
SELECT count(hot(34)), count(hot(35));
SELECT lead_id, stage FROM leadflow.promote_ready(NULL, true) WHERE lead_id > 33 ORDER BY 1;
SELECT count(*) FROM leadflow.promote_ready();
COMMIT;
SELECT * FROM standing WHERE id > 33 ORDER BY 1;

-- A site where the system makes no such move; one without a model
BEGIN;
DELETE FROM leadflow.stage_transitions WHERE from_stage = 'mql' AND to_stage = 'sql';
SET LOCAL leadflow.quiet = on;
INSERT INTO leadflow.leads (id, email, stage) VALUES (36, 'a@36.example', 'lead'), (37, 'a@37.example', 'mql');
SELECT count(hot(36)), count(hot(37));
SELECT lead_id, stage FROM leadflow.promote_ready(NULL, true) WHERE lead_id > 35 ORDER BY 1;
SELECT lead_id, stage FROM leadflow.promote_ready() WHERE lead_id > 35 ORDER BY 1;
DELETE FROM leadflow.stage_transitions WHERE to_stage = 'mql';
INSERT INTO leadflow.leads (id, email, stage) VALUES (38, 'a@38.example', 'lead');
SELECT count(hot(38));
SELECT * FROM leadflow.promote_ready();
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
SELECT * FROM leadflow.promote_ready();
ROLLBACK;
SELECT * FROM leadflow.verify();

--
-- Who may
--
DROP ROLE IF EXISTS lfq_reader, lfq_reviewer, lfq_marketing, lfq_sales, lfq_app, lfq_admin, lfq_mia, lfq_sam, lfq_crm, lfq_dba;
SELECT leadflow.setup_roles('lfq');
CREATE ROLE lfq_mia IN ROLE lfq_marketing;
CREATE ROLE lfq_sam IN ROLE lfq_sales;
CREATE ROLE lfq_crm IN ROLE lfq_app;
CREATE ROLE lfq_dba IN ROLE lfq_admin;
UPDATE leadflow.team_members SET db_role = 'lfq_mia' WHERE id = 1;
UPDATE leadflow.team_members SET db_role = 'lfq_sam' WHERE id = 2;
SELECT r.rolname, has_function_privilege(r.rolname, 'leadflow.promote_ready(integer, boolean)', 'EXECUTE')
FROM pg_roles r WHERE r.rolname ~ '^lfq_' ORDER BY 1;

-- Anybody may set it, those who import may use it.
SET leadflow.quiet = on;
SET ROLE lfq_mia;
\set VERBOSITY default
INSERT INTO leadflow.leads (id, email) VALUES (40, 'a@40.example');
\set VERBOSITY terse
INSERT INTO leadflow.activities (lead_id, kind) VALUES (26, 'demo_request');
UPDATE leadflow.activities SET content = 'x' WHERE lead_id = 20;
UPDATE leadflow.leads SET phone = '2' WHERE id = 26;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 26;
SELECT leadflow.move(26, 'mql');
UPDATE leadflow.accounts SET status = 'former';
SELECT lead_id FROM leadflow.lead_scores WHERE lead_id = 26;
SET ROLE lfq_sam;
INSERT INTO leadflow.deals (lead_id, amount) VALUES (26, 1);
SELECT leadflow.promote_ready();
SET ROLE lfq_crm;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (26, 'demo_request'), (27, 'demo_request');
SELECT leadflow.promote_ready(dry_run => true);
SET ROLE lfq_dba;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (28, 'demo_request');
RESET leadflow.quiet;
SELECT lead_id, stage FROM leadflow.promote_ready(1);
RESET ROLE;
-- a loud write, and then a setting that its role may not use
SET ROLE lfq_sam;
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (29, 'meeting_booked');
SET LOCAL leadflow.quiet = on;
COMMIT;
-- leads that a caller cannot see stay
RESET ROLE;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON leadflow.leads FOR ALL TO lfq_marketing USING (id <> 27);
SET ROLE lfq_mia;
SELECT lead_id, stage FROM leadflow.promote_ready() WHERE lead_id BETWEEN 26 AND 29 ORDER BY 1;
RESET ROLE;
DROP POLICY p ON leadflow.leads;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
SELECT * FROM standing WHERE id BETWEEN 26 AND 29 ORDER BY 1;
SELECT * FROM leadflow.verify();

UPDATE leadflow.team_members SET db_role = NULL;
DROP OWNED BY lfq_reader, lfq_reviewer, lfq_marketing, lfq_sales, lfq_app, lfq_admin, lfq_mia, lfq_sam, lfq_crm, lfq_dba;
DROP ROLE lfq_reader, lfq_reviewer, lfq_marketing, lfq_sales, lfq_app, lfq_admin, lfq_mia, lfq_sam, lfq_crm, lfq_dba;
