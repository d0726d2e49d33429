-- Leads that may be one person.

-- Each key groups its leads, and each lead of a group is paired with the first of it: as many
-- rows as there are leads with a key in common, however large a group is.
CREATE OR REPLACE VIEW leadflow.possible_duplicates WITH (security_invoker = true) AS
WITH key AS (
	SELECT k.lead_id, k.what, k.key
	FROM leadflow.leads l
	CROSS JOIN LATERAL (
		SELECT
			nullif(btrim(lower(regexp_replace(l.full_name, '[^[:alnum:]]+', ' ', 'g'))), '') AS name,
			nullif(btrim(lower(regexp_replace(l.company, '[^[:alnum:]]+', ' ', 'g'))), '') AS company,
			leadflow._phone_key(l.phone) AS phone
	) n
	CROSS JOIN LATERAL (VALUES
		(l.id, 'e-mail', nullif(btrim(l.email_key), '')),
		(l.id, 'phone', n.phone),
		(l.id, 'name and company', n.name || '/' || n.company),
		(l.id, 'name and account', n.name || '/' || l.account_id),
		(l.id, 'key', l.external_id)
	) k (lead_id, what, key)
	WHERE k.key IS NOT NULL
	UNION ALL
	-- what a lead was called elsewhere, or before it was merged
	SELECT a.lead_id, CASE a.source WHEN 'email' THEN 'e-mail' ELSE 'key' END, a.key
	FROM leadflow.lead_aliases a
	WHERE a.source IN ('email', 'external_id')
), grouped AS (
	SELECT DISTINCT k.what, k.key, k.lead_id, min(k.lead_id) OVER same AS first_id, count(*) OVER same AS leads
	FROM key k
	WINDOW same AS (PARTITION BY k.what, k.key)
), pair AS (
	SELECT
		g.first_id,
		g.lead_id,
		string_agg(DISTINCT g.what, ', ' ORDER BY g.what) AS why,
		1 - exp(sum(DISTINCT ln(1 - CASE g.what
			WHEN 'e-mail' THEN 0.95 WHEN 'key' THEN 0.9 WHEN 'name and account' THEN 0.8
			WHEN 'name and company' THEN 0.75 ELSE 0.6 END::double precision))) AS likelihood
	FROM grouped g
	-- a switchboard is nobody's own number
	WHERE g.lead_id <> g.first_id AND (g.what IN ('e-mail', 'key') OR g.leads <= 10)
	GROUP BY g.first_id, g.lead_id
)
SELECT
	p.first_id AS lead_id,
	a.full_name,
	coalesce(a.company, c.name) AS company,
	a.email,
	a.stage,
	a.created_at,
	p.lead_id AS duplicate_id,
	b.full_name AS duplicate_name,
	coalesce(b.company, d.name) AS duplicate_company,
	b.email AS duplicate_email,
	b.stage AS duplicate_stage,
	b.created_at AS duplicate_created_at,
	p.why,
	round(p.likelihood::numeric, 2) AS likelihood
FROM pair p
JOIN leadflow.leads a ON a.id = p.first_id
JOIN leadflow.leads b ON b.id = p.lead_id
LEFT JOIN leadflow.accounts c ON c.id = a.account_id
LEFT JOIN leadflow.accounts d ON d.id = b.account_id;
COMMENT ON VIEW leadflow.possible_duplicates IS
'One row a pair of leads that may be one person: the same e-mail, the same phone number (its last nine digits), the same name at the same account or company, or a key that one has and the other had. Of a group with a key in common each lead is paired with the one of the lowest id. A phone number, or name and company, that more than ten leads have says nothing. Reads all leads.';
COMMENT ON COLUMN leadflow.possible_duplicates.lead_id IS 'Lead (leads.id), the lower id of the two.';
COMMENT ON COLUMN leadflow.possible_duplicates.full_name IS 'Its name.';
COMMENT ON COLUMN leadflow.possible_duplicates.company IS 'Its company, else its account''s name.';
COMMENT ON COLUMN leadflow.possible_duplicates.email IS 'Its e-mail.';
COMMENT ON COLUMN leadflow.possible_duplicates.stage IS 'Its stage.';
COMMENT ON COLUMN leadflow.possible_duplicates.created_at IS 'When it came to be.';
COMMENT ON COLUMN leadflow.possible_duplicates.duplicate_id IS 'The other lead.';
COMMENT ON COLUMN leadflow.possible_duplicates.duplicate_name IS 'Its name.';
COMMENT ON COLUMN leadflow.possible_duplicates.duplicate_company IS 'Its company, else its account''s name.';
COMMENT ON COLUMN leadflow.possible_duplicates.duplicate_email IS 'Its e-mail.';
COMMENT ON COLUMN leadflow.possible_duplicates.duplicate_stage IS 'Its stage.';
COMMENT ON COLUMN leadflow.possible_duplicates.duplicate_created_at IS 'When it came to be.';
COMMENT ON COLUMN leadflow.possible_duplicates.why IS 'What they have in common, in words: e-mail, phone, name and company, name and account, key.';
COMMENT ON COLUMN leadflow.possible_duplicates.likelihood IS '0 to 1: more, the more they have in common (e-mail alone 0.95, phone alone 0.60); an order, not a probability.';
