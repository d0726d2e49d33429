-- Settings of the site: one row, written at install.
CREATE TABLE IF NOT EXISTS leadflow.settings (
	id boolean PRIMARY KEY DEFAULT true CONSTRAINT settings_one_row CHECK (id),
	time_zone text NOT NULL DEFAULT 'UTC',
	default_attribution_model text NOT NULL DEFAULT 'linear',
	review_quorum integer NOT NULL DEFAULT 2 CONSTRAINT settings_review_quorum CHECK (review_quorum > 0),
	role_prefix text
);
COMMENT ON TABLE leadflow.settings IS 'Settings of the site; exactly one row.';
COMMENT ON COLUMN leadflow.settings.id IS 'Always true: keeps the table at one row.';
COMMENT ON COLUMN leadflow.settings.time_zone IS 'IANA time zone of reports, month borders and calendar buckets; never the session''s.';
COMMENT ON COLUMN leadflow.settings.default_attribution_model IS 'Name of the attribution model that reports show first (attribution_models.name).';
COMMENT ON COLUMN leadflow.settings.review_quorum IS 'Verdicts that decide a rejection review, at most as many as there are eligible reviewers.';
COMMENT ON COLUMN leadflow.settings.role_prefix IS 'Prefix of the roles made by setup_roles(); NULL until it was called.';
