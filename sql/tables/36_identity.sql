-- One person, many keys: what other systems call a lead, and who was erased.
CREATE TABLE IF NOT EXISTS leadflow.lead_aliases (
	source text NOT NULL CONSTRAINT lead_aliases_source CHECK (source <> ''),
	key text NOT NULL CONSTRAINT lead_aliases_key CHECK (key <> ''),
	lead_id bigint NOT NULL REFERENCES leadflow.leads (id) ON DELETE CASCADE,
	PRIMARY KEY (source, key)
);
CREATE INDEX IF NOT EXISTS lead_aliases_lead_id ON leadflow.lead_aliases (lead_id);
CREATE INDEX IF NOT EXISTS lead_aliases_key ON leadflow.lead_aliases (key);
COMMENT ON TABLE leadflow.lead_aliases IS 'One row a key that another system has for a lead; those of merged duplicates, too.';
COMMENT ON COLUMN leadflow.lead_aliases.source IS 'System whose key it is, e.g. hubspot; of a merged duplicate: leadflow (its id), external_id, email.';
COMMENT ON COLUMN leadflow.lead_aliases.key IS 'The key.';
COMMENT ON COLUMN leadflow.lead_aliases.lead_id IS 'Lead.';

CREATE TABLE IF NOT EXISTS leadflow.erased_leads (
	lead_id bigint PRIMARY KEY,
	erased_at timestamptz NOT NULL,
	key_hashes bytea[] NOT NULL DEFAULT '{}',
	recreated_as bigint,
	recreated_at timestamptz,
	persona text
);
CREATE INDEX IF NOT EXISTS erased_leads_key_hashes ON leadflow.erased_leads USING gin (key_hashes) WITH (fastupdate = off);
COMMENT ON TABLE leadflow.erased_leads IS 'One row a lead whose person was erased; written by leadflow alone.';
COMMENT ON COLUMN leadflow.erased_leads.lead_id IS 'The lead that was erased (leads.id; its figures stay).';
COMMENT ON COLUMN leadflow.erased_leads.erased_at IS 'When.';
COMMENT ON COLUMN leadflow.erased_leads.key_hashes IS 'SHA-256 of each key that the person had (source, colon, key in lower case; email, phone by its last nine digits, external_id, and the aliases), so that a re-creation is noticed.';
COMMENT ON COLUMN leadflow.erased_leads.recreated_as IS 'Lead that was inserted later with one of those keys; NULL = none so far.';
COMMENT ON COLUMN leadflow.erased_leads.recreated_at IS 'When that was.';
COMMENT ON COLUMN leadflow.erased_leads.persona IS 'Persona that the lead had then, which reports go on counting it under; NULL = none.';
