-- What a hostile or unlucky client may do: each of these once crashed, lied or got stuck.
\set VERBOSITY terse
\i test/fixtures/thaw.sql
INSERT INTO leadflow.team_members (full_name, email, team) VALUES ('S', 's@x', 'sales'), ('M', 'm@x', 'marketing');
INSERT INTO leadflow.leads (email, job_title, company_size) SELECT i || '@x', 'CTO', 100 FROM generate_series(1, 60) i;
INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'c', 'c');

-- A configuration that was read in a statement that failed is not kept.
\c -
\set VERBOSITY terse
WITH m AS (INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (666, 'G', 'ghost@x', 'marketing') RETURNING email)
UPDATE leadflow.leads l SET stage = 'nurture', revisit_on = '2999-03-03', stage_by = m.email FROM m WHERE l.id = 30 RETURNING 1 / (l.id - 30);
UPDATE leadflow.leads SET stage = 'nurture', revisit_on = '2999-03-03', stage_by = 'ghost@x' WHERE id = 30;

-- A campaign of the same statement is known.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, campaign_id) VALUES (2, 'page_view', 1);
WITH c AS (INSERT INTO leadflow.campaigns (id, code, name) VALUES (91, 'a', 'a'), (92, 'b', 'b') RETURNING id)
INSERT INTO leadflow.activities (lead_id, kind, campaign_id) SELECT 2, 'page_view', id FROM c LIMIT 1;
COMMIT;

-- The clock: garbage is refused and breaks nothing, also when it is set before the library is loaded.
SET leadflow.clock = 'garbage';
SET leadflow.clock = 'infinity';
SET TimeZone = 'America/New_York';
SET leadflow.clock = '2026-03-02 09:00';
SHOW leadflow.clock;
RESET TimeZone;
SET leadflow.clock = '';
\c -
\set VERBOSITY terse
SET leadflow.clock = 'garbage';
SELECT leadflow.now() = transaction_timestamp() AS not_fooled;

-- Internal functions tell nobody more than the tables would.
CREATE ROLE regress_leadflow_stranger;
GRANT USAGE ON SCHEMA leadflow TO regress_leadflow_stranger;
SET ROLE regress_leadflow_stranger;
SELECT leadflow._lead_score(1, NULL, '{}', '-infinity', NULL, NULL, 0, NULL, NULL, NULL, leadflow.now());
SELECT leadflow._lead_persona(1, NULL, '{}', '-infinity', NULL, NULL, 0, NULL, NULL, NULL, leadflow.now());
SELECT leadflow._lead_mql_ready(1, NULL, '{}', '-infinity', NULL, NULL, 0, NULL, NULL, NULL, leadflow.now(), 1, 1, 'infinity', NULL, NULL);
RESET ROLE;
DROP OWNED BY regress_leadflow_stranger;
DROP ROLE regress_leadflow_stranger;
SELECT leadflow._lead_score(1, 1, NULL::float8[], '2026-01-01', NULL, NULL, 0, NULL, NULL, NULL, leadflow.now());
SELECT sums[1:2], leadflow._lead_score(1, 1, sums, '2026-01-01Z', NULL, NULL, 0, NULL, NULL, NULL, '2026-01-01Z')
FROM (VALUES ('{}'::float8[]), ('{1}'), ('{NULL, NULL}'), ('{{1, 2}}'), ('{1, 2, 3}'), ('[5:6]={1, 2}'), (array_fill(1::float8, '{1000}'))) v (sums);

-- Trigger functions on tables that they were not made for
CREATE TABLE odd (id bigint, name integer, lookback integer, status integer, kind integer, lead_id text);
INSERT INTO odd (id) VALUES (1);
CREATE TRIGGER t BEFORE INSERT ON odd FOR EACH ROW EXECUTE FUNCTION leadflow._attribution_model_check();
INSERT INTO odd VALUES (1, 1, 1);
DROP TRIGGER t ON odd;
CREATE TRIGGER t BEFORE INSERT ON odd FOR EACH ROW EXECUTE FUNCTION leadflow._deal_check();
INSERT INTO odd VALUES (1, 1, 1, 1);
DROP TRIGGER t ON odd;
CREATE TRIGGER t AFTER INSERT ON odd REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION leadflow._activities_inserted();
INSERT INTO odd VALUES (1, 1, 1, 1);
DROP TRIGGER t ON odd;
CREATE TRIGGER t AFTER INSERT ON odd FOR EACH STATEMENT EXECUTE FUNCTION leadflow._activities_inserted();
INSERT INTO odd VALUES (1, 1, 1, 1);
DROP TRIGGER t ON odd;
CREATE TRIGGER t AFTER DELETE ON odd FOR EACH STATEMENT EXECUTE FUNCTION leadflow._reference_deleted();
DELETE FROM odd;
DROP TABLE odd;

-- Decay alone takes nobody back, whatever is touched; taking the evidence away does.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (20, 'webinar_attended'), (20, 'webinar_attended'), (20, 'event_visit'), (20, 'note');
SELECT leadflow.settle();
SET LOCAL leadflow.clock = '2999-11-22 12:00+00';
UPDATE leadflow.activities SET content = 'typo fixed' WHERE lead_id = 20 AND kind = 'note';
SELECT leadflow.settle();
SELECT stage FROM leadflow.leads WHERE id = 20;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 20;
SELECT leadflow.settle();
SELECT stage, stage_reason FROM leadflow.leads WHERE id = 20;
ROLLBACK;

-- The beginning of time
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (2, 'page_view', '4714-11-24 00:00:00+00 BC');

-- A half-life of a microsecond, and one that is too long
UPDATE leadflow.scoring_groups SET half_life = '1 microsecond' WHERE name = 'intent';
SELECT count(*) FROM leadflow.lead_scores;
UPDATE leadflow.scoring_groups SET half_life = '106751992 days' WHERE name = 'content';

-- A stage that was written while triggers were off
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 40;
COMMIT;
SELECT check_name, object_id FROM leadflow.reconcile() ORDER BY 1, 2;
SELECT * FROM leadflow.verify();

-- Everything is dropped by the transaction that wrote.
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (3, 'call');
SET LOCAL client_min_messages = error;
DROP EXTENSION leadflow CASCADE;
DROP SCHEMA leadflow CASCADE;
COMMIT;
