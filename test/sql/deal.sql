-- Deals are facts: they move their leads. And what the tables of deals and campaigns
-- do with what they are given.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET leadflow.clock = '2026-06-01 12:00+00';

-- ids below are given where they matter
ALTER TABLE leadflow.leads ALTER COLUMN id RESTART WITH 1000;
ALTER TABLE leadflow.deals ALTER COLUMN id RESTART WITH 1000;
ALTER TABLE leadflow.campaigns ALTER COLUMN id RESTART WITH 1000;

CREATE FUNCTION history(lead bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(h.to_stage || to_char(h.entered_at, ' MM-DD"T"HH24:MI'), ', ' ORDER BY h.entered_at, h.id)
		|| CASE WHEN bool_and(h.team = 'system') FILTER (WHERE h.to_stage IN ('opportunity', 'won', 'lost')) THEN '' ELSE ' (not by the system)' END
	FROM leadflow.stage_history h WHERE h.lead_id = lead
$$;
-- the stage in leads, and where history and leads disagree
CREATE FUNCTION story(lead bigint) RETURNS text LANGUAGE sql AS $$
	SELECT l.stage || ': ' || history(l.id)
		|| CASE WHEN (SELECT (h.to_stage, h.entered_at) FROM leadflow.stage_history h WHERE h.lead_id = l.id
			AND h.left_at IS NULL) = (l.stage, l.stage_since) THEN '' ELSE ' (does not fit)' END
	FROM leadflow.leads l WHERE l.id = lead
$$;
INSERT INTO leadflow.leads (id, created_at, stage_since) SELECT i, '2026-01-01', '2026-01-01' FROM generate_series(1, 40) i
WHERE i <> 14;

-- Opened, won.
INSERT INTO leadflow.deals (id, lead_id, amount, opened_at) VALUES (1, 1, 10, '2026-02-01');
SELECT story(1);
UPDATE leadflow.deals SET status = 'won' WHERE id = 1;
SELECT story(1), closed_at FROM leadflow.deals WHERE id = 1;
-- re-opened: the date goes; won again, on another day
UPDATE leadflow.deals SET status = 'open' WHERE id = 1;
SELECT story(1), closed_at FROM leadflow.deals WHERE id = 1;
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-06-02' WHERE id = 1;
SELECT story(1), closed_at FROM leadflow.deals WHERE id = 1;
-- it was no win
UPDATE leadflow.deals SET status = 'lost', lost_reason = 'price' WHERE id = 1;
SELECT story(1), closed_at FROM leadflow.deals WHERE id = 1;
UPDATE leadflow.deals SET status = 'won' WHERE id = 1;
SELECT story(1) FROM leadflow.deals WHERE id = 1;

-- Losing: the last open one only, and only from opportunity.
INSERT INTO leadflow.deals (id, lead_id, opened_at) VALUES (2, 2, '2026-02-01'), (3, 2, '2026-02-02');
UPDATE leadflow.deals SET status = 'lost', closed_at = '2026-03-01' WHERE id = 2;
SELECT story(2);
UPDATE leadflow.deals SET status = 'lost', closed_at = '2026-03-02' WHERE id = 3;
SELECT story(2);
INSERT INTO leadflow.deals (id, lead_id, opened_at) VALUES (4, 3, '2026-02-01'), (5, 3, '2026-02-02');
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-03-01' WHERE id = 4;
UPDATE leadflow.deals SET status = 'lost', closed_at = '2026-03-02' WHERE id = 5;
SELECT story(3);
-- both in one statement: the order of time decides
INSERT INTO leadflow.deals (id, lead_id, opened_at) VALUES (6, 4, '2026-02-01'), (7, 4, '2026-02-02'), (8, 5, '2026-02-01'), (9, 5, '2026-02-02');
UPDATE leadflow.deals SET status = 'lost', closed_at = '2026-03-01' WHERE id IN (6, 7, 8);
SELECT story(4), story(5);
UPDATE leadflow.deals SET status = CASE id WHEN 8 THEN 'lost' ELSE 'won' END, closed_at = CASE id WHEN 8 THEN timestamptz '2026-03-01' ELSE '2026-03-02' END
WHERE id IN (8, 9);
SELECT story(5);

-- From wherever the lead stands.
INSERT INTO leadflow.leads (id, created_at, stage, stage_since)
SELECT 99 + row_number() OVER (ORDER BY position), '2026-01-01', name, '2026-01-02' FROM leadflow.stages;
INSERT INTO leadflow.deals (lead_id, opened_at) SELECT id, '2026-02-01' FROM leadflow.leads WHERE id BETWEEN 100 AND 199;
SELECT story(id) FROM leadflow.leads WHERE id BETWEEN 100 AND 199 ORDER BY id;
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-02-10' WHERE lead_id BETWEEN 100 AND 199;
SELECT stage, count(*) FROM leadflow.leads WHERE id BETWEEN 100 AND 199 GROUP BY 1;

-- Imports: closed deals bring the opportunity with them, in order of time.
INSERT INTO leadflow.deals (lead_id, status, opened_at, closed_at) VALUES
	(10, 'won', '2026-02-01', '2026-02-20'), (10, 'lost', '2026-01-10', '2026-01-20'), (10, 'open', '2026-03-01', NULL),
	(11, 'lost', '2026-02-01', '2026-02-20'),
	(12, 'won', '2026-02-20', '2026-02-01'),					-- closed before it was opened: real data has it
	(13, 'won', '2025-02-01', '2025-02-20');					-- never before the previous move
SELECT story(id) FROM generate_series(10, 13) id;
-- older deals that come later move nobody
INSERT INTO leadflow.deals (lead_id, status, opened_at, closed_at) VALUES
	(10, 'won', '2025-02-01', '2025-02-20'), (11, 'won', '2025-02-01', '2025-02-20'), (12, 'lost', '2025-02-01', '2025-02-20');
SELECT story(id) FROM generate_series(10, 12) id;
-- but one that is open does
INSERT INTO leadflow.deals (lead_id, opened_at) VALUES (12, '2025-02-01');
SELECT story(12);
-- a lead that came as won stays where it is
INSERT INTO leadflow.leads (id, created_at, stage, stage_since) VALUES (14, '2026-01-01', 'won', '2026-02-20');
INSERT INTO leadflow.deals (lead_id, status, opened_at, closed_at) VALUES (14, 'won', '2026-02-01', '2026-02-20');
SELECT story(14);

-- Matched later, matched anew, deleted.
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (20, NULL, 'won', '2026-02-01', '2026-02-20');
UPDATE leadflow.deals SET lead_id = 15 WHERE id = 20;
SELECT story(15);
UPDATE leadflow.deals SET lead_id = 16 WHERE id = 20;
SELECT story(15), story(16);
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (21, 16, 'lost', '2026-01-10', '2026-01-12');
DELETE FROM leadflow.deals WHERE id = 20;
SELECT story(16);
DELETE FROM leadflow.deals WHERE id = 21;
SELECT story(16);
-- a correction moves nobody; a deal that turns out to be one lets go
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (22, 17, 'lost', '2026-02-01', '2026-02-20');
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at, corrects_deal_id) VALUES (23, 17, -5, 'won', '2026-02-01', '2026-03-20', 22);
SELECT story(17);
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (24, 17, 'won', '2026-03-01', '2026-04-20');
UPDATE leadflow.deals SET corrects_deal_id = 22 WHERE id = 24;
SELECT story(17);
-- one that belongs to nobody is credited to the lead of the deal that it corrects
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at, corrects_deal_id) VALUES (25, NULL, -2, 'won', '2026-02-01', '2026-03-20', 22);
SELECT DISTINCT lead_id, credit FROM leadflow.attribution_credits WHERE deal_id = 25;
SELECT * FROM leadflow.verify();
DELETE FROM leadflow.deals WHERE id = 25;
-- contacts are not moved, and nothing else is touched
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) VALUES (24, 18);
UPDATE leadflow.deals SET name = 'x', amount = 7;
SELECT story(17), story(18);

-- closed_at
INSERT INTO leadflow.deals (id, status, closed_at) VALUES (30, 'open', '2026-09-01'), (31, 'won', NULL), (32, 'lost', '2026-01-01') RETURNING id, status, opened_at, closed_at;
UPDATE leadflow.deals SET closed_at = NULL WHERE id = 32 RETURNING closed_at;
UPDATE leadflow.deals SET closed_at = '2026-01-01' WHERE id = 30 RETURNING closed_at;
MERGE INTO leadflow.deals d USING (VALUES (30, 'won'), (31, 'open'), (33, 'won')) v (id, status) ON d.id = v.id
	WHEN MATCHED THEN UPDATE SET status = v.status
	WHEN NOT MATCHED THEN INSERT (id, status) VALUES (v.id, v.status);
SELECT id, status, closed_at FROM leadflow.deals WHERE id BETWEEN 30 AND 33 ORDER BY id;
INSERT INTO leadflow.deals (id, status) VALUES (33, 'lost') ON CONFLICT (id) DO UPDATE SET status = excluded.status RETURNING status, closed_at;

-- What is refused.
UPDATE leadflow.deals SET id = 5000 WHERE id = 30;
INSERT INTO leadflow.deals (lead_id) VALUES (5000);
INSERT INTO leadflow.deals (status) VALUES ('maybe');
INSERT INTO leadflow.deals (status) VALUES (NULL);
INSERT INTO leadflow.deals (opened_at) VALUES ('infinity');
INSERT INTO leadflow.deals (currency) VALUES ('eur');
INSERT INTO leadflow.deals (amount) VALUES ('NaN');
DELETE FROM leadflow.leads WHERE id = 1;
DELETE FROM leadflow.deals WHERE id = 22;
UPDATE leadflow.deals SET corrects_deal_id = 22 WHERE id = 22;
UPDATE leadflow.deals SET corrects_deal_id = 24 WHERE id = 22;
INSERT INTO leadflow.deal_state VALUES (5000);
DELETE FROM leadflow.attribution_credits;

-- Campaigns: the code is the name where none is given, and fixed once somebody carries it.
INSERT INTO leadflow.campaigns (id, name, code) VALUES (1, 'Spring fair', NULL), (2, 'Search', 'search'), (3, 'Mail', 'mail') RETURNING id, code;
INSERT INTO leadflow.campaigns (name) VALUES ('Spring fair');
UPDATE leadflow.campaigns SET code = 'spring' WHERE id = 1 RETURNING code;
UPDATE leadflow.campaigns SET code = NULL, name = 'Fair' WHERE id = 1 RETURNING code, name;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, campaign_id) VALUES (30, '2026-02-01', 'page_view', 1);
UPDATE leadflow.leads SET campaign_id = 2 WHERE id = 31;
\set VERBOSITY default
UPDATE leadflow.campaigns SET code = code || '_2026';
\set VERBOSITY terse
UPDATE leadflow.campaigns SET code = 'x' WHERE id = 2;
UPDATE leadflow.campaigns SET code = 'mail_2026' WHERE id = 3 RETURNING code;
UPDATE leadflow.campaigns SET name = 'Fair in spring', channel = 'events', code = 'spring' WHERE id = 1 RETURNING code, name;
UPDATE leadflow.campaigns SET id = 4 WHERE id = 3;
\set VERBOSITY sqlstate
UPDATE leadflow.campaigns SET code = 'x' WHERE id = 2;
UPDATE leadflow.deals SET id = 5000 WHERE id = 30;
\set VERBOSITY terse

-- The triggers are for their tables.
CREATE TABLE elsewhere (id bigint, name text);
SELECT leadflow._deal_check();
CREATE TRIGGER t AFTER INSERT ON elsewhere FOR EACH ROW EXECUTE FUNCTION leadflow._deal_check();
INSERT INTO elsewhere VALUES (1, 'x');
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON elsewhere FOR EACH ROW EXECUTE FUNCTION leadflow._deal_check();
INSERT INTO elsewhere VALUES (1, 'x');
CREATE OR REPLACE TRIGGER t AFTER UPDATE ON elsewhere FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deals_changed();
UPDATE elsewhere SET name = 'y';

SELECT * FROM leadflow.verify();
