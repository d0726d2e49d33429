-- One person, many keys: finding, merging, erasing, handing out.

-- Inlined, hence no SET.
CREATE OR REPLACE FUNCTION leadflow._phone_key(phone text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
	SELECT CASE WHEN pg_catalog.length(pg_catalog.regexp_replace($1, '[^0-9]', '', 'g')) OPERATOR(pg_catalog.>=) 7
		THEN pg_catalog.right(pg_catalog.regexp_replace($1, '[^0-9]', '', 'g'), 9) END
$$;
COMMENT ON FUNCTION leadflow._phone_key(text) IS
	'What phone numbers are compared by: the last nine digits, the same with the country''s code and without; NULL where there are fewer than seven, which is no number to know somebody by.';

CREATE OR REPLACE FUNCTION leadflow._key_hash(source text, key text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT sha256(convert_to($1 || ':' || lower($2), 'UTF8'))
$$;
COMMENT ON FUNCTION leadflow._key_hash(text, text) IS
	'SHA-256 of a key, regardless of case, as erased_leads keeps it.';

CREATE OR REPLACE FUNCTION leadflow._key_hashes(external_id text, email text, phone text) RETURNS bytea[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT ARRAY(SELECT leadflow._key_hash(k.source, k.key)
		FROM (VALUES ('external_id', $1), ('email', $2), ('phone', leadflow._phone_key($3))) k (source, key)
		WHERE k.key <> '')
$$;
COMMENT ON FUNCTION leadflow._key_hashes(text, text, text) IS
	'Hashes of the keys that a row of leads has.';

CREATE OR REPLACE FUNCTION leadflow.find_lead(key text, source text DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	-- what is the lead's own comes before what it was called elsewhere
	WITH candidate (step, lead_id) AS (
		SELECT 1, l.id FROM leadflow.leads l
		WHERE l.external_id = $1 AND ($2 IS NULL OR $2 = 'external_id')
		UNION ALL
		SELECT 1, l.id FROM leadflow.leads l
		WHERE $2 = 'leadflow' AND l.id = CASE WHEN $1 ~ '^[0-9]{1,18}$' THEN $1::bigint END
		UNION ALL
		SELECT 2, l.id FROM leadflow.lead_aliases a
		JOIN leadflow.leads l ON l.id = a.lead_id
		WHERE a.source = $2 AND a.key = $1 AND $2 <> 'email'
		UNION ALL
		SELECT 2, l.id FROM leadflow.lead_aliases a
		JOIN leadflow.leads l ON l.id = a.lead_id
		WHERE $2 IS NULL AND a.key = $1 AND a.source NOT IN ('leadflow', 'email')
		UNION ALL
		SELECT 3, l.id FROM leadflow.leads l
		WHERE l.email_key = lower($1) AND $1 <> '' AND ($2 IS NULL OR $2 = 'email')
		UNION ALL
		SELECT 3, l.id FROM leadflow.lead_aliases a
		JOIN leadflow.leads l ON l.id = a.lead_id
		WHERE a.source = 'email' AND a.key = lower($1) AND ($2 IS NULL OR $2 = 'email')
	)
	SELECT CASE WHEN min(c.lead_id) = max(c.lead_id) THEN min(c.lead_id) END
	FROM candidate c
	WHERE c.step = (SELECT min(f.step) FROM candidate f)
$$;
COMMENT ON FUNCTION leadflow.find_lead(text, text) IS
'The lead that a key belongs to. With a source: that system''s key (lead_aliases); external_id, email (regardless of case) and leadflow (the lead''s id) also look at the lead''s own columns, which come first. Without: external_id, then the aliases of every source but leadflow, then e-mail. NULL where nobody has the key, where several have it, or the caller can''t see who has; NULL for NULL. O(log leads).';

CREATE OR REPLACE FUNCTION leadflow.merge_leads(keep bigint, duplicate bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_merge_leads'
	LANGUAGE C VOLATILE
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION leadflow.merge_leads(bigint, bigint) IS
'Makes two leads one, in the present transaction, and returns keep. Every row of the duplicate becomes keep''s, what is derived is made anew from both, NULLs of keep are filled, the further stage is taken, the duplicate''s keys stay as aliases and its row is deleted. Tells nobody; the gate is asked at the end. Errors: 22023 the same lead twice, P0002 no such lead (or not visible), 55000 a lead that was erased. O(rows of both leads).';

CREATE OR REPLACE FUNCTION leadflow.erase_lead(id bigint) RETURNS void
	AS 'MODULE_PATHNAME', 'leadflow_erase_lead'
	LANGUAGE C VOLATILE
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION leadflow.erase_lead(bigint) IS
'Takes a person out of every table, in the present transaction: names, keys, attributes, free text and payloads go; ids, instants, kinds, campaigns, stages, reasons, amounts and frozen scores stay, so reports don''t change. May be repeated, for what was written since, and for activities of transactions that were open. Nobody is told. Errors: P0002 no such lead (or not visible), 22004 for NULL. O(rows of the lead).';

CREATE OR REPLACE FUNCTION leadflow.export_lead(id bigint) RETURNS jsonb
LANGUAGE sql VOLATILE	-- so that not everybody may
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
	SELECT jsonb_build_object(
		'lead', to_jsonb(l),
		'account', (SELECT to_jsonb(x) FROM leadflow.accounts x WHERE x.id = l.account_id),
		'lead_aliases', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.source, x.key), '[]')
			FROM leadflow.lead_aliases x WHERE x.lead_id = l.id),
		'activities', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.occurred_at, x.id), '[]')
			FROM leadflow.activities x WHERE x.lead_id = l.id),
		'score_state', (SELECT to_jsonb(x) - 'limits' FROM leadflow.score_state x WHERE x.lead_id = l.id),
		'stage_history', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.entered_at, x.id), '[]')
			FROM leadflow.stage_history x WHERE x.lead_id = l.id),
		'lead_feedback', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.given_at, x.id), '[]')
			FROM leadflow.lead_feedback x WHERE x.lead_id = l.id),
		'contact_permissions', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.at, x.id), '[]')
			FROM leadflow.contact_permissions x WHERE x.lead_id = l.id),
		'contact_reservations', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.at, x.id), '[]')
			FROM leadflow.contact_reservations x WHERE x.lead_id = l.id),
		'contact_violations', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.occurred_at, x.activity_id), '[]')
			FROM leadflow.contact_violations x WHERE x.lead_id = l.id),
		'handoffs', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.offered_at, x.id), '[]')
			FROM leadflow.handoffs x WHERE x.lead_id = l.id),
		'sla_clocks', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.started_at, x.id), '[]')
			FROM leadflow.sla_clocks x WHERE x.lead_id = l.id),
		'sla_pauses', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.paused_at, x.id), '[]')
			FROM leadflow.sla_pauses x WHERE x.lead_id = l.id),
		'sla_restatements', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
			FROM leadflow.sla_restatements x WHERE x.lead_id = l.id),
		'reviews', (SELECT coalesce(jsonb_agg(to_jsonb(x) || jsonb_build_object('review_votes', (
				SELECT coalesce(jsonb_agg(to_jsonb(v) ORDER BY v.voted_at, v.reviewer_id), '[]')
				FROM leadflow.review_votes v WHERE v.review_id = x.id)) ORDER BY x.opened_at, x.id), '[]')
			FROM leadflow.reviews x WHERE x.lead_id = l.id),
		'nurture_enrolments', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.enrolled_at, x.id), '[]')
			FROM leadflow.nurture_enrolments x WHERE x.lead_id = l.id),
		'notifications', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
			FROM leadflow.notifications x WHERE x.lead_id = l.id),
		'deals', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.opened_at, x.id), '[]')
			FROM leadflow.deals x WHERE x.lead_id = l.id),
		'deal_contacts', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.deal_id), '[]')
			FROM leadflow.deal_contacts x WHERE x.lead_id = l.id),
		'attribution_credits', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.deal_id, x.model, x.occurred_at, x.activity_id), '[]')
			FROM leadflow.attribution_credits x WHERE x.lead_id = l.id),
		'erased_leads', (SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.lead_id), '[]')
			FROM leadflow.erased_leads x WHERE l.id IN (x.lead_id, x.recreated_as))
	)
	FROM leadflow.leads l
	WHERE l.id = $1
$$;
COMMENT ON FUNCTION leadflow.export_lead(bigint) IS
'All that is stored about a lead: one object, a key a table (its name; lead and account are single rows), the rows as JSON with their columns'' names, instants in UTC (ISO 8601), in order of time. Runs with the rights of the caller. NULL for a lead that is unknown or that the caller can''t see. O(rows of the lead).';
