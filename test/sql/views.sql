--
-- The reports on a small world whose figures can be worked out by hand.
--
SET timezone = 'Pacific/Auckland';	-- not the site's
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
UPDATE leadflow.settings SET time_zone = 'Europe/Berlin';
-- nobody moves by itself
ALTER TABLE leadflow.scoring_models DISABLE TRIGGER agreement;
UPDATE leadflow.scoring_models SET mql_threshold = 1000 WHERE status = 'active';
ALTER TABLE leadflow.scoring_models ENABLE TRIGGER agreement;
SET leadflow.clock = '2026-03-02 09:00Z';

-- The lead as JSON: no setting of the session can be seen in it.
INSERT INTO leadflow.accounts (id, name, domain, status) VALUES (931, 'Acme', 'acme.example', 'customer');
INSERT INTO leadflow.campaigns (id, code, name) VALUES (921, 'spring', 'Spring fair');
INSERT INTO leadflow.leads (id, external_id, email, full_name, job_title, company, company_size, budget, attributes, source,
	campaign_id, account_id, created_at) VALUES
	(1, 'crm-1', 'Ann@Acme.example', 'Ann', 'VP Sales', NULL, 60, 1e3, '{"k": [1, null]}', 'web', 921, 931, '2026-01-31 22:59:59.123456Z'),
	(2, NULL, 'bob@x.example', 'Bob', NULL, 'Bobco', NULL, NULL, '{}', NULL, NULL, NULL, '2026-01-31 23:00:00Z');
SELECT lead_id, jsonb_pretty(doc) FROM leadflow._lead_documents WHERE lead_id = ANY ('{1,2}') ORDER BY 1;
BEGIN;
CREATE TEMP TABLE seen AS SELECT lead_id, doc FROM leadflow._lead_documents;
SET LOCAL timezone = 'America/Lima';
SET LOCAL datestyle = 'German';
SET LOCAL extra_float_digits = -10;
SET LOCAL bytea_output = 'escape';
SELECT count(*) FROM leadflow._lead_documents d JOIN seen s ON s.lead_id = d.lead_id AND s.doc::text = d.doc::text;
ROLLBACK;
-- It holds nothing that the engine moves.
SELECT string_agg(k, ', ' ORDER BY k) FROM leadflow._lead_documents, jsonb_object_keys(doc) k WHERE lead_id = 1;

--
-- lead_details: leads without what the engine moves, to be written back whole
--
INSERT INTO leadflow.lead_details (id, external_id, email, full_name) VALUES (3, 'crm-3', 'cy@x.example', 'Cy')
	RETURNING id, external_id, attributes, sourced_by, do_not_contact, created_at AT TIME ZONE 'UTC' AS created_at;
SELECT id, stage, stage_since = created_at AS since, email_key FROM leadflow.leads WHERE id = 3;
INSERT INTO leadflow.lead_details (external_id, email) VALUES ('crm-3', 'cyrus@x.example')
	ON CONFLICT (external_id) DO UPDATE SET email = excluded.email RETURNING id, email;
UPDATE leadflow.lead_details SET (email, full_name, phone, company) = ('cyd@x.example', 'Cyd', '1', 'Cydco') WHERE id = 3 RETURNING full_name;
INSERT INTO leadflow.lead_details (id, full_name) VALUES (4, 'Dee');
DELETE FROM leadflow.lead_details WHERE id = 4 RETURNING id;
SELECT count(*) FROM leadflow.score_state WHERE lead_id IN (3, 4);
-- what every writer may name, and what nobody can reach through it
SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) FILTER (WHERE is_updatable = 'YES') AS writable,
	string_agg(column_name, ', ' ORDER BY ordinal_position) FILTER (WHERE is_updatable = 'NO') AS fixed
FROM information_schema.columns WHERE table_schema = 'leadflow' AND table_name = 'lead_details';
SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) AS only_in_leads
FROM information_schema.columns WHERE table_schema = 'leadflow' AND table_name = 'leads'
	AND column_name NOT IN (SELECT column_name FROM information_schema.columns
		WHERE table_schema = 'leadflow' AND table_name = 'lead_details');

--
-- A team, a promise, and what happens.
--
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(911, 'Mara', 'mara@example.com', 'marketing'), (912, 'Sam', 'sam@example.com', 'sales');
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.sla_policies (id, name, metric, target) VALUES
	(941, 'Decide', 'time_to_accept', '8 hours'), (942, 'Call', 'time_to_first_touch', '1 hour');

INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, campaign_id) VALUES
	(1, '2026-03-01 09:00Z', 'page_view', '/pricing', 921), (1, '2026-03-01 10:00Z', 'sent_a_pigeon', 'coo', NULL),
	(2, '2026-03-01 09:00Z', 'sent_a_pigeon', 'coo', NULL);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, voided_at, void_reason) VALUES
	(1, '2026-03-01 09:30Z', 'page_view', '/pricing', '2026-03-02', 'bot');
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mara@example.com' WHERE id = 2;
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mara@example.com' WHERE id = 1;
SELECT lead_id, stage, responsible_team, next_action, next_due_at FROM leadflow.lead_board ORDER BY 1;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE id = 1;
SELECT lead_id, company, stage, owner, responsible_team, next_action, next_due_at AT TIME ZONE 'UTC' AS next_due_at
FROM leadflow.lead_board ORDER BY 1;
SET leadflow.clock = '2026-03-02 11:00Z';
INSERT INTO leadflow.activities (lead_id, kind, member_id, content) VALUES (1, 'call', 912, 'left a message');
SELECT lead_id, next_action, next_due_at AT TIME ZONE 'UTC' AS next_due_at, last_touch_at AT TIME ZONE 'UTC' AS last_touch_at
FROM leadflow.lead_board WHERE lead_id = 1;
SET leadflow.clock = '2026-03-02 12:00Z';
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE id = 1;
SELECT lead_id, stage, responsible_team, next_action, next_due_at FROM leadflow.lead_board WHERE lead_id = 1;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-06-01', stage_by = 'mara@example.com' WHERE id = 2;
SELECT lead_id, stage, responsible_team, next_action, next_due_at AT TIME ZONE 'UTC' AS berlin_midnight FROM leadflow.lead_board WHERE lead_id = 2;
SET leadflow.clock = '2026-03-09 12:00Z';
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, owner_id) VALUES (951, 1, 'Big', 1000, 'EUR', 912);
SET leadflow.clock = '2026-03-10 12:00Z';
UPDATE leadflow.deals SET status = 'won' WHERE id = 951;
SELECT lead_id, stage, responsible_team, next_action FROM leadflow.lead_board WHERE lead_id = 1;

-- All that happened to a lead, in order
SELECT at AT TIME ZONE 'UTC' AS at, what, team, who, detail, points IS NOT NULL AS has_points
FROM leadflow.lead_timeline WHERE lead_id = 1
ORDER BY lead_timeline.at, step, object_id, activity_id;

-- One row a lead, each of them
SELECT count(*) = (SELECT count(*) FROM leadflow.leads) AS a_row_a_lead, count(*) = count(DISTINCT lead_id) AS once
FROM leadflow.lead_board;
SELECT count(*) = (SELECT count(*) FROM leadflow.leads) AS a_row_a_lead, count(*) = count(DISTINCT lead_id) AS once
FROM leadflow.lead_scores;
SELECT bool_and(b.score = s.score AND b.rank IS NOT DISTINCT FROM s.rank AND b.band = s.band) AS same_score
FROM leadflow.lead_board b JOIN leadflow.lead_scores s USING (lead_id);

-- Scores are asked of score_state alone: one row by its key, all without leads.
EXPLAIN (COSTS OFF) SELECT score, band FROM leadflow.lead_scores WHERE lead_id = 5;
EXPLAIN (COSTS OFF) SELECT count(score) FROM leadflow.lead_scores;
-- What is not asked for is not computed.
EXPLAIN (COSTS OFF, VERBOSE) SELECT score FROM leadflow.lead_scores WHERE lead_id = 5;

-- The funnel: lead 1 is of January in Berlin (23:59), lead 2 of February (0:00);
-- NULL sources stay; lead 1 was never nurtured or lost.
SELECT month_start, source, campaign_id, campaign, leads, mqls, sqls, accepted, rejected, nurtured, opportunities, won, lost
FROM leadflow.funnel_monthly ORDER BY 1, 2;
SELECT sum(leads) = (SELECT count(*) FROM leadflow.leads) AS all_leads FROM leadflow.funnel_monthly;
-- A lead counts once, however often it comes back.
SET leadflow.clock = '2026-03-11 12:00Z';
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mara@example.com' WHERE id = 2;
SELECT sum(mqls) AS mqls, sum(nurtured) AS nurtured FROM leadflow.funnel_monthly;

-- What was sent and not registered
SELECT kind, activities, last_seen AT TIME ZONE 'UTC' AS last_seen FROM leadflow.unmapped_activity_kinds;

--
-- health
--
SELECT check_name, status, value FROM leadflow.health;
INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('sent_a_pigeon', 'other');
SELECT check_name, status, value, detail FROM leadflow.health WHERE check_name = 'unmapped_kinds';
-- the same from the planner's statistics, where the table is large
BEGIN;
DELETE FROM leadflow.activity_kinds WHERE kind = 'sent_a_pigeon';
INSERT INTO leadflow.activities (lead_id, kind, content) SELECT 3, 'sent_a_pigeon', 'coo' FROM generate_series(1, 50);
ANALYZE leadflow.activities;
UPDATE pg_class SET reltuples = 1e7 WHERE oid = 'leadflow.activities'::regclass;
SELECT check_name, status, value FROM leadflow.health WHERE check_name = 'unmapped_kinds';
DELETE FROM leadflow.activities WHERE kind = 'sent_a_pigeon';
ANALYZE leadflow.activities;
UPDATE pg_class SET reltuples = 1e7 WHERE oid = 'leadflow.activities'::regclass;
SELECT check_name, status, value, detail FROM leadflow.health WHERE check_name = 'unmapped_kinds';
ROLLBACK;

BEGIN;
CREATE TEMP TABLE names AS
SELECT DISTINCT ON (t.tgrelid) t.tgrelid::regclass AS relation, t.tgname
FROM pg_trigger t
WHERE t.tgrelid IN ('leadflow.leads'::regclass, 'leadflow.activities'::regclass) AND NOT t.tgisinternal
ORDER BY t.tgrelid, t.tgname;
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM names WHERE relation = 'leadflow.leads'::regclass LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', r.relation, r.tgname);
	END LOOP;
	FOR r IN SELECT * FROM names WHERE relation = 'leadflow.activities'::regclass LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', r.tgname, r.relation);
	END LOOP;
END
$$;
DROP VIEW leadflow.unmapped_activity_kinds;
ALTER TABLE leadflow.leads FORCE ROW LEVEL SECURITY;
CREATE ROLE regress_leadflow_other;
ALTER TABLE leadflow.stages OWNER TO regress_leadflow_other;
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
SELECT h.check_name, h.status, h.value,
	(SELECT bool_and(strpos(h.detail, n.tgname) > 0) FROM names n
		WHERE n.relation = CASE h.check_name WHEN 'missing_triggers' THEN 'leadflow.activities'::regclass
			WHEN 'disabled_triggers' THEN 'leadflow.leads'::regclass END) AS named
FROM leadflow.health h WHERE h.status <> 'ok' ORDER BY 1;
ROLLBACK;

-- Six minutes late, and the sweep did not come
SELECT breached FROM leadflow.check_sla();
SET leadflow.clock = '2026-03-16 09:00Z';
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE id = 2;
SET leadflow.clock = '2026-03-16 10:05Z';
SELECT check_name, status, value FROM leadflow.health WHERE check_name = 'overdue_sweep';
SET leadflow.clock = '2026-03-16 10:06Z';
SELECT check_name, status, value, detail FROM leadflow.health WHERE check_name = 'overdue_sweep';
-- It shows in the timeline whether or not it came.
SELECT at AT TIME ZONE 'UTC' AS at, what, team, detail FROM leadflow.lead_timeline WHERE lead_id = 2 AND what = 'sla_breached';
-- Who acts for nobody shows.
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 2;
SELECT check_name, status, value > 0 AS some, detail FROM leadflow.health WHERE check_name = 'admin_moves';

--
-- Row-level security on leads reaches the reports.
--
CREATE ROLE regress_leadflow_reader;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA leadflow TO regress_leadflow_reader;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_two ON leadflow.leads FOR SELECT USING (id = 2);
PREPARE scores AS SELECT lead_id FROM leadflow.lead_scores ORDER BY 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE scores;
SET ROLE regress_leadflow_reader;
SELECT lead_id FROM leadflow.lead_scores;
SELECT lead_id, score IS NOT NULL AS scored FROM leadflow.lead_scores WHERE lead_id IN (1, 2);
EXECUTE scores;
SELECT lead_id FROM leadflow.lead_board;
SELECT DISTINCT lead_id FROM leadflow.lead_timeline;
SELECT id FROM leadflow.lead_details;
SELECT sum(leads) FROM leadflow.funnel_monthly;
SELECT lead_id FROM leadflow._lead_documents;
RESET ROLE;
EXECUTE scores;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
SET ROLE regress_leadflow_reader;
EXECUTE scores;
RESET ROLE;
RESET plan_cache_mode;
DROP POLICY only_two ON leadflow.leads;
-- They need SELECT on leads all the same.
REVOKE SELECT ON leadflow.leads FROM regress_leadflow_reader;
SET ROLE regress_leadflow_reader;
SELECT score FROM leadflow.lead_scores WHERE lead_id = 1;
RESET ROLE;
REVOKE ALL ON ALL TABLES IN SCHEMA leadflow FROM regress_leadflow_reader;
REVOKE ALL ON SCHEMA leadflow FROM regress_leadflow_reader;
DROP ROLE regress_leadflow_reader;
SELECT * FROM leadflow.verify();
RESET leadflow.clock;
