-- The clock.
CREATE OR REPLACE FUNCTION leadflow.now() RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'leadflow_now'
	LANGUAGE C STRICT STABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow.now() IS
'The instant that leadflow takes for now: the transaction''s start, or leadflow.clock where a superuser (or a role with SET granted on it) has set it. Never NULL. O(1).';

CREATE OR REPLACE FUNCTION leadflow._config_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_config_changed'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._config_changed() IS
'Trigger of configuration tables: makes every session read them anew.';

CREATE OR REPLACE FUNCTION leadflow._settings_check() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
		RAISE check_violation USING
			MESSAGE = 'the row of settings stays',
			HINT = 'Update it.',
			SCHEMA = 'leadflow', TABLE = 'settings', CONSTRAINT = 'settings_one_row';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = NEW.time_zone) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('time zone "%s" is not known', NEW.time_zone),
			HINT = 'pg_timezone_names lists them.',
			SCHEMA = 'leadflow', TABLE = 'settings', COLUMN = 'time_zone';
	END IF;
	IF NEW.default_attribution_model <> OLD.default_attribution_model
		AND NOT EXISTS (SELECT FROM leadflow.attribution_models m WHERE m.name = NEW.default_attribution_model) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('attribution model "%s" is not known', NEW.default_attribution_model),
			HINT = 'attribution_models lists them.',
			SCHEMA = 'leadflow', TABLE = 'settings', COLUMN = 'default_attribution_model';
	END IF;
	IF NEW.default_attribution_model IS DISTINCT FROM OLD.default_attribution_model
		AND EXISTS (SELECT FROM leadflow.attribution_models m
			WHERE m.name = NEW.default_attribution_model AND m.kind IN ('markov', 'shapley')) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('attribution model "%s" cannot be the default', NEW.default_attribution_model),
			DETAIL = 'Its kind gives credits to channels; campaign_revenue needs those of campaigns.',
			HINT = 'Choose one of another kind; attribution_by_channel shows this one as well.',
			SCHEMA = 'leadflow', TABLE = 'settings', COLUMN = 'default_attribution_model';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION leadflow._settings_check() IS
'Trigger of settings: the time zone and the attribution model must exist, and that model have credits by campaign (22023); the row stays (23514).';
