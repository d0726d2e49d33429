--
-- Roles and who acts: setup_roles(), db_role, stage_by, leadflow.actor, imports.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';
\set VERBOSITY terse

-- Roles outlive a database.
DROP ROLE IF EXISTS "lft_reader", "lft_reviewer", "lft_marketing", "lft_sales", "lft_app", "lft_admin", lft_mia, lft_sam,
	lft_old, lft_crm, lft_bi, lft_dba, lft_owner, lft_stranger;

--
-- setup_roles()
--
SELECT leadflow.setup_roles('Lft');
SELECT leadflow.setup_roles('lft; DROP TABLE x');
SELECT leadflow.setup_roles('');
SELECT leadflow.setup_roles('pg_lft');
SELECT leadflow.setup_roles(NULL);
SELECT leadflow.setup_roles(repeat('a', 42));
-- one that is there is adopted, unless it is a superuser
CREATE ROLE lft_sales SUPERUSER;
SELECT leadflow.setup_roles('lft');
ALTER ROLE lft_sales NOSUPERUSER;
SELECT leadflow.setup_roles('lft');
SELECT leadflow.setup_roles('lft');
SELECT role_prefix FROM leadflow.settings;
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole FROM pg_roles WHERE rolname LIKE 'lft%' ORDER BY 1;
SELECT r.rolname, m.rolname AS member_of FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.member JOIN pg_roles m ON m.oid = a.roleid
WHERE r.rolname LIKE 'lft%' ORDER BY 1, 2;

-- Who may write what: everything that is not listed here may only be read.
SELECT c.relname, string_agg(concat_ws(' ', substr(r.rolname, 5) || ':', p.list), ', ' ORDER BY r.rolname) AS writers
FROM pg_class c
CROSS JOIN pg_roles r
CROSS JOIN LATERAL (
	SELECT string_agg(p, '' ORDER BY p) AS list FROM unnest('{INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) w (w), LATERAL (SELECT left(w, 1) AS p) x
	WHERE has_table_privilege(r.oid, c.oid, w)
) p
WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'v') AND r.rolname LIKE 'lft\_%' AND p.list IS NOT NULL
GROUP BY 1 ORDER BY 1;
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT has_table_privilege('lft_reader', c.oid, 'SELECT');
-- Nothing that leadflow alone writes can be written by any of them.
SELECT r.rolname, c FROM pg_roles r, unnest('{stage_history,score_state,handoffs,queue_state,sla_clocks,attribution_credits,scoring_approvals}'::text[]) c
WHERE r.rolname LIKE 'lft\_%' AND has_table_privilege(r.oid, 'leadflow.' || c, 'INSERT, UPDATE, DELETE, TRUNCATE');
-- Functions that change something.
SELECT p.proname, string_agg(substr(r.rolname, 5), ', ' ORDER BY r.rolname) AS callers
FROM pg_proc p JOIN pg_roles r ON r.rolname LIKE 'lft\_%' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
WHERE p.pronamespace = 'leadflow'::regnamespace AND p.provolatile = 'v' AND p.proname IN ('move', 'setup_roles', 'install') GROUP BY 1 ORDER BY 1;

--
-- People, an application, others.
--
CREATE ROLE lft_mia LOGIN IN ROLE lft_marketing;
CREATE ROLE lft_sam LOGIN IN ROLE lft_sales;
CREATE ROLE lft_old LOGIN IN ROLE lft_sales;
CREATE ROLE lft_crm LOGIN IN ROLE lft_app;
CREATE ROLE lft_bi LOGIN IN ROLE lft_reader;
CREATE ROLE lft_dba LOGIN IN ROLE lft_admin;
CREATE ROLE lft_stranger LOGIN IN ROLE lft_sales;
INSERT INTO leadflow.team_members (id, full_name, email, team, db_role, active) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing', 'lft_mia', true),
	(12, 'Sam', 'sam@our.example', 'sales', 'lft_sam', true),
	(13, 'Lea', 'lea@our.example', 'leadership', NULL, true),
	(15, 'Old', 'old@our.example', 'sales', 'lft_old', false);
INSERT INTO leadflow.leads (id, email) SELECT i, i || '@one.example' FROM generate_series(1, 9) i;

-- A member acts as such, and may name nobody else.
SET SESSION AUTHORIZATION lft_mia;
UPDATE leadflow.leads SET stage = 'mql' WHERE id <= 5;
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 6;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'lea@our.example' WHERE id = 1;
\set VERBOSITY default
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'nobody@our.example' WHERE id = 1;
\set VERBOSITY terse
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'Mia@our.example' WHERE id = 1;
BEGIN;
SET LOCAL leadflow.actor = 'lea@our.example';
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 2;
ROLLBACK;
SELECT leadflow.move(2, 'sql');
SELECT leadflow.move(3, 'sql', at => '2026-03-02 09:00Z');
DELETE FROM leadflow.leads WHERE id = 9;
UPDATE leadflow.stage_history SET note = 'x';
UPDATE leadflow.settings SET role_prefix = 'mine';
INSERT INTO leadflow.leads (id, email) VALUES (21, 'a@two.example');
INSERT INTO leadflow.leads (email, stage) VALUES ('a@two.example', 'mql');
\set VERBOSITY default
INSERT INTO leadflow.leads (email, stage_since) VALUES ('a@two.example', '2026-01-01');
\set VERBOSITY terse
RESET SESSION AUTHORIZATION;

-- A group role taken to have its privileges leaves the member who it is.
SET SESSION AUTHORIZATION lft_sam;
SET ROLE lft_sales;
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 1;
RESET ROLE;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_need' WHERE id = 2;
RESET SESSION AUTHORIZATION;

-- Somebody who left; somebody whom nobody knows.
SET SESSION AUTHORIZATION lft_old;
\set VERBOSITY default
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 6;
SET SESSION AUTHORIZATION lft_stranger;
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 6;
\set VERBOSITY terse
UPDATE leadflow.leads SET full_name = 'Six' WHERE id = 6;
INSERT INTO leadflow.leads (id, email) VALUES (22, 'b@two.example');
RESET SESSION AUTHORIZATION;
SET ROLE lft_stranger;
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 6;
RESET ROLE;

-- An application acts for others, and must say for whom.
SET SESSION AUTHORIZATION lft_crm;
\set VERBOSITY default
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 3;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'nobody@our.example' WHERE id = 3;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'old@our.example' WHERE id = 3;
\set VERBOSITY terse
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'sam@our.example' WHERE id = 3;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example' WHERE id = 3;
BEGIN;
SET LOCAL leadflow.actor = 'lea@our.example';
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 4;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 4;
COMMIT;
SELECT leadflow.move(5, 'sql', actor => 'mia@our.example');
SELECT leadflow.move(5, 'accepted', actor => 'sam@our.example', at => '2026-03-02 09:00Z');
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (23, 'c@two.example', 'accepted', '2026-01-01');
INSERT INTO leadflow.leads (id, email, stage_by) VALUES (24, 'd@two.example', 'mia@our.example');
INSERT INTO leadflow.leads (id, email, stage_by) VALUES (25, 'd@two.example', 'nobody@our.example');
INSERT INTO leadflow.stages (name, label, category, position) VALUES ('x', 'x', 'out', 1);
RESET SESSION AUTHORIZATION;
-- SET ROLE counts: the superuser's session has no more than the role's.
SET ROLE lft_app;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 6;
RESET ROLE;

-- The administrator imports and configures, but acts for nobody.
SET SESSION AUTHORIZATION lft_dba;
INSERT INTO leadflow.leads (id, email, stage, stage_since) VALUES (26, 'e@two.example', 'won', '2026-01-01');
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 6;
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id = 6;
UPDATE leadflow.stage_reasons SET label = 'No money' WHERE reason = 'no_budget';
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION lft_bi;
SELECT count(*) FROM leadflow.lead_board;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 6;
INSERT INTO leadflow.leads (email) VALUES ('x');
SELECT leadflow.move(6, 'mql');
SELECT leadflow.setup_roles('evil');
RESET SESSION AUTHORIZATION;

-- The owner of the tables, no superuser, acts as admin, and for others.
CREATE ROLE lft_owner LOGIN IN ROLE lft_marketing;
BEGIN;
ALTER TABLE leadflow.leads OWNER TO lft_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA leadflow TO lft_owner;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA leadflow TO lft_owner;
SET LOCAL SESSION AUTHORIZATION lft_owner;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 6;
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example' WHERE id = 6;
SELECT stage, stage_actor_id, stage_team FROM leadflow.leads WHERE id = 6;
RESET SESSION AUTHORIZATION;
ROLLBACK;

-- A function with its owner's rights makes nobody somebody else.
CREATE FUNCTION definer(id bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT leadflow.move(id, 'mql') $$;
SET SESSION AUTHORIZATION lft_sam;
SELECT definer(6);
SET SESSION AUTHORIZATION lft_mia;
SELECT definer(6);
RESET SESSION AUTHORIZATION;

-- A superuser who is a member acts as that member.
BEGIN;
UPDATE leadflow.team_members SET db_role = current_user WHERE id = 12;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 7;
ROLLBACK;

-- What all that came to.
SELECT l.id, l.stage, l.stage_actor_id, l.stage_team, l.stage_by FROM leadflow.leads l WHERE l.stage <> 'lead' OR id > 20 ORDER BY 1;
SELECT lead_id, to_stage, actor_id, team FROM leadflow.stage_history WHERE lead_id BETWEEN 1 AND 6 AND from_stage IS NOT NULL ORDER BY id;
SELECT lead_id, owner_id, why, decision FROM leadflow.handoffs ORDER BY id;

-- Row-level security of a site: a lead that one can't see can't be moved.
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON leadflow.leads USING (id <> 8);
SET SESSION AUTHORIZATION lft_mia;
SELECT leadflow.move(8, 'mql');
SELECT leadflow.move(7, 'mql');
SELECT leadflow.move(7, 'sql');
RESET SESSION AUTHORIZATION;
SELECT owner_id IS NOT NULL AS routed FROM leadflow.leads WHERE id = 7;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
SELECT * FROM leadflow.verify();

DROP FUNCTION definer;
DROP OWNED BY lft_reader, lft_reviewer, lft_marketing, lft_sales, lft_app, lft_admin, lft_mia, lft_sam, lft_old, lft_crm, lft_bi, lft_dba,
	lft_owner, lft_stranger;
DROP ROLE lft_reader, lft_reviewer, lft_marketing, lft_sales, lft_app, lft_admin, lft_mia, lft_sam, lft_old, lft_crm, lft_bi, lft_dba,
	lft_owner, lft_stranger;
