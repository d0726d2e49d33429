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
