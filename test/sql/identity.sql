--
-- Keys: aliases, find_lead(), possible_duplicates.
--
SET timezone = 'UTC';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';

INSERT INTO leadflow.accounts (id, name, domain) VALUES (1, 'One', 'one.example');
INSERT INTO leadflow.leads (id, external_id, email, full_name, phone, company) VALUES
	(1, 'crm-1', 'Ann@One.example', 'Ann B. Smith', '+49 170 1234567', 'One Ltd.'),
	(2, 'crm-2', 'bob@two.example', 'Bob', NULL, NULL),
	(3, '77', 'cid@three.example', 'Cid', '', ''),
	(77, NULL, 'dan@gmail.com', 'Dan', '12', NULL);

-- ---- aliases -----------------------------------------------------------------
INSERT INTO leadflow.lead_aliases VALUES ('hubspot', 'h-1', 1), ('marketo', 'h-1', 1), ('hubspot', '9', 2), ('marketo', '9', 3), ('email', 'ann@old.example', 1);
-- A key is one lead's: another can't have it by accident.
INSERT INTO leadflow.lead_aliases VALUES ('hubspot', 'h-1', 2);
INSERT INTO leadflow.lead_aliases VALUES ('hubspot', 'x', 4711);
INSERT INTO leadflow.lead_aliases VALUES ('', 'x', 1);
INSERT INTO leadflow.lead_aliases VALUES ('hubspot', '', 1);

-- ---- find_lead() ---------------------------------------------------------------
SELECT key, source, leadflow.find_lead(key, source) AS lead
FROM (VALUES
	('crm-1', NULL), ('crm-1', 'external_id'), ('crm-1', 'hubspot'), ('CRM-1', NULL),
	('h-1', NULL), ('h-1', 'hubspot'), ('h-1', 'marketo'), ('h-1', 'salesforce'),
	('9', NULL), ('9', 'hubspot'), ('9', 'marketo'),	-- two leads have it: not without the source
	('77', NULL), ('77', 'leadflow'), ('78', 'leadflow'), ('-1', 'leadflow'), ('99999999999999999999', 'leadflow'), ('x', 'leadflow'),
	('ANN@ONE.EXAMPLE', NULL), ('ann@one.example', 'email'), ('Ann@Old.example', NULL), ('ann@old.example', 'email'), ('ann@one.example', 'hubspot'),
	('', NULL), ('', 'email'), ('nobody@one.example', NULL), (NULL, NULL), (NULL, 'email')
) k (key, source);
-- An e-mail that two leads have is nobody's key; one that the caller can't see isn't in the way.
INSERT INTO leadflow.leads (id, email) VALUES (5, 'BOB@two.example');
SELECT leadflow.find_lead('bob@two.example');
CREATE ROLE leadflow_identity_test;
GRANT USAGE ON SCHEMA leadflow TO leadflow_identity_test;
GRANT SELECT ON leadflow.leads, leadflow.lead_aliases, leadflow.accounts, leadflow.possible_duplicates TO leadflow_identity_test;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON leadflow.leads FOR SELECT TO leadflow_identity_test USING (id <> 5 AND id <> 1);
SET ROLE leadflow_identity_test;
SELECT leadflow.find_lead('bob@two.example'), leadflow.find_lead('crm-1'), leadflow.find_lead('h-1', 'hubspot'), leadflow.find_lead('1', 'leadflow');
SELECT count(*) FROM leadflow.possible_duplicates;
RESET ROLE;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
DROP POLICY theirs ON leadflow.leads;
DROP OWNED BY leadflow_identity_test;
DROP ROLE leadflow_identity_test;

-- ---- possible_duplicates --------------------------------------------------------
INSERT INTO leadflow.leads (id, external_id, email, full_name, phone, company) VALUES
	(11, NULL, 'ann@one.example', 'A. Smith', NULL, NULL),	-- the e-mail of 1
	(12, NULL, NULL, NULL, '0170/123 45 67', NULL),	-- its phone
	(13, NULL, 'smith@one.example', 'ann b  SMITH', NULL, NULL),	-- its name, at its account
	(14, NULL, NULL, 'Ann B Smith', NULL, 'One, Ltd'),	-- its name, at a company of that name
	(15, NULL, 'Ann@Old.example', NULL, NULL, NULL),	-- the e-mail that it had
	(16, 'h-1', NULL, NULL, NULL, NULL),	-- a key of another system's: no
	(17, NULL, 'x@gmail.com', 'Ann B. Smith', NULL, NULL),	-- a name alone: no
	(18, NULL, 'ann@one.example', NULL, '01701234567', NULL);	-- both
SELECT lead_id, duplicate_id, why, likelihood FROM leadflow.possible_duplicates ORDER BY 1, 2;
SELECT lead_id, full_name, company, email, stage, created_at, duplicate_name, duplicate_company, duplicate_email, duplicate_stage, duplicate_created_at
FROM leadflow.possible_duplicates WHERE duplicate_id = 13;
-- Numbers of a switchboard, empty texts and what too many have say nothing; an e-mail always does.
INSERT INTO leadflow.leads (id, email, full_name, phone, company) SELECT 100 + i, 'info@six.example', ' - ', '+49 30 5555555', 'Six' FROM generate_series(1, 12) i;
SELECT count(*), min(lead_id), max(lead_id), min(why), max(why) FROM leadflow.possible_duplicates WHERE lead_id > 100;
-- A key that one has and the other had before it was merged.
INSERT INTO leadflow.leads (id, external_id) VALUES (201, 'k-1'), (202, 'k-2');
SELECT leadflow.merge_leads(201, 202);
INSERT INTO leadflow.leads (id, external_id) VALUES (203, 'k-2');
SELECT lead_id, duplicate_id, why, likelihood FROM leadflow.possible_duplicates WHERE lead_id > 200;
-- Merged, they are none any more.
SELECT leadflow.merge_leads(d.lead_id, d.duplicate_id) IS NOT NULL FROM (SELECT * FROM leadflow.possible_duplicates LIMIT 1) d;
DO $$
DECLARE
	d record;
BEGIN
	LOOP
		SELECT * INTO d FROM leadflow.possible_duplicates LIMIT 1;
		EXIT WHEN NOT FOUND;
		PERFORM leadflow.merge_leads(d.lead_id, d.duplicate_id);
	END LOOP;
END
$$;
SELECT count(*) FROM leadflow.possible_duplicates;
SELECT id FROM leadflow.leads ORDER BY id;
SELECT * FROM leadflow.verify();
-- Twenty thousand leads, each key shared by some or by all: it takes seconds, not hours.
SET leadflow.quiet = on;
INSERT INTO leadflow.leads (id, email, full_name, phone, company)
SELECT 1000 + i, CASE WHEN i % 3 > 0 THEN 'u' || i % 18000 || '@gmail.com' ELSE '' END, 'Name ' || i % 7000, CASE WHEN i % 2 = 0 THEN '0800 1234567' END, 'Acme ' || i % 500
FROM generate_series(1, 20000) i;
ANALYZE leadflow.leads;
SET statement_timeout = '30s';
SELECT why, count(*) FROM leadflow.possible_duplicates WHERE lead_id > 1000 GROUP BY why ORDER BY 1;
-- By hand: of each group of leads with an e-mail all but one, likewise of name and company.
SELECT count(*) - count(DISTINCT email) AS by_email FROM leadflow.leads WHERE id > 1000 AND email <> '';
SELECT count(*) - count(DISTINCT (full_name, company)) AS by_name FROM leadflow.leads WHERE id > 1000;
