-- Service levels: the sweep, and its schedule.
CREATE OR REPLACE FUNCTION leadflow.check_sla(at timestamptz DEFAULT leadflow.now(), max_clocks integer DEFAULT 100000)
RETURNS TABLE (warned bigint, breached bigint, escalated bigint, revisited bigint)
AS 'MODULE_PATHNAME', 'leadflow_check_sla'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION leadflow.check_sla(timestamptz, integer) IS
'The sweep: announces the warnings and breaches of service levels that have come about by "at" and were not announced yet, does what the promise says of a breach (on_breach: notify, reassign, return_to_marketing), returns nurture leads whose revisit_on has come to stage lead, closes cases of review that are due and gives waiting leads out. At most max_clocks (more than 0, else 22023) clocks are announced, or reassigned or returned, in one run; the next finds the rest. Returns one row: clocks that warned, clocks that breached, clocks whose on_breach was carried out (a reassignment for which nobody is there now waits for a later run, and counts in that), leads that came back. To be run every minute; late, twice or two at once does no harm: leads that somebody is writing are left for the next run. sla_status is right without it.';

-- Where pg_cron lives: its tables are in one database of the cluster.
CREATE OR REPLACE FUNCTION leadflow._cron_database() RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN current_setting('cron.database_name', true);
EXCEPTION
	WHEN insufficient_privilege THEN
		RETURN '';
END
$$;
COMMENT ON FUNCTION leadflow._cron_database() IS
'Internal. cron.database_name; NULL where pg_cron is not loaded, empty for roles that may not read the setting.';

CREATE OR REPLACE FUNCTION leadflow._cron_required(cron text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	home CONSTANT text := leadflow._cron_database();
BEGIN
	IF EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron') THEN
		IF NOT has_schema_privilege('cron', 'USAGE') THEN
			RAISE insufficient_privilege USING
				MESSAGE = format('role "%s" may not use pg_cron', current_user),
				HINT = format('GRANT USAGE ON SCHEMA cron TO %I;', current_user);
		END IF;
		RETURN;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_available_extensions a WHERE a.name = 'pg_cron') THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'pg_cron is not installed on this server',
			DETAIL = 'leadflow.schedule() leaves the regular run of leadflow.check_sla() to pg_cron.',
			HINT = format('Install pg_cron, or let another scheduler run this every minute: psql -d %s -c "SELECT * FROM leadflow.check_sla()"',
				quote_ident(current_database()));
	ELSIF home IS NULL THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'pg_cron is not loaded',
			DETAIL = 'leadflow.schedule() leaves the regular run of leadflow.check_sla() to pg_cron.',
			HINT = format('Set shared_preload_libraries = ''pg_cron'' and cron.database_name = %s, restart, run CREATE EXTENSION pg_cron and call leadflow.schedule() again; or let another scheduler run this every minute: psql -d %s -c "SELECT * FROM leadflow.check_sla()"',
				quote_literal(current_database()), quote_ident(current_database()));
	ELSIF home = current_database() THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'extension "pg_cron" does not exist in this database',
			HINT = 'Run CREATE EXTENSION pg_cron; then call leadflow.schedule() again.';
	ELSE
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = CASE WHEN home = '' THEN 'pg_cron does not live in this database'
				ELSE format('pg_cron lives in database %I, not in this one', home) END,
			DETAIL = 'A job can only be registered there (cron.database_name).',
			HINT = format('Connect to %s and run: SELECT cron.schedule_in_database(%L, %L, %L, %L); to remove it, run there: SELECT cron.unschedule(%L);',
				CASE WHEN home = '' THEN 'that database' ELSE format('database %I', home) END,
				'leadflow_check_sla_' || current_database(), cron, 'SELECT * FROM leadflow.check_sla()',
				current_database(), 'leadflow_check_sla_' || current_database());
	END IF;
END
$$;
COMMENT ON FUNCTION leadflow._cron_required(text) IS
'Raises 55000 with the statement to run by hand where pg_cron is not to be had in this database.';

-- pg_cron lists a job for its owner alone; a superuser sees all.
CREATE OR REPLACE FUNCTION leadflow.schedule(cron text DEFAULT '* * * * *') RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	elsewhere text;
	job bigint;
BEGIN
	IF schedule.cron IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'the schedule must not be null';
	END IF;
	PERFORM leadflow._cron_required(schedule.cron);
	IF NOT has_function_privilege('leadflow.check_sla(timestamptz, integer)', 'EXECUTE') THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('role "%s" may not run the sweep', current_user),
			DETAIL = 'pg_cron runs a job as the role that scheduled it.',
			HINT = format('GRANT EXECUTE ON FUNCTION leadflow.check_sla TO %I;', current_user);
	END IF;
	-- pg_cron would change that job's command and leave it in its database
	EXECUTE 'SELECT j.database FROM cron.job j'
		' WHERE j.jobname = $1 AND j.database <> current_database() AND j.username = current_user'
		INTO elsewhere USING 'leadflow_check_sla'::text;
	IF elsewhere IS NOT NULL THEN
		RAISE duplicate_object USING
			MESSAGE = format('job "leadflow_check_sla" exists for database %I', elsewhere),
			HINT = format('Give it another name: SELECT cron.unschedule(%L); SELECT cron.schedule_in_database(%L, %L, %L, %L);',
				'leadflow_check_sla', 'leadflow_check_sla_' || elsewhere, '* * * * *',
				'SELECT * FROM leadflow.check_sla()', elsewhere);
	END IF;
	-- a job of that name by somebody else; one's own is replaced and keeps its id
	EXECUTE 'SELECT cron.unschedule(j.jobid) FROM cron.job j'
		' WHERE j.jobname = $1 AND j.database = current_database() AND j.username <> current_user'
		USING 'leadflow_check_sla'::text;
	EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job
		USING 'leadflow_check_sla'::text, schedule.cron, 'SELECT * FROM leadflow.check_sla()'::text;
	RETURN job;
END
$$;
COMMENT ON FUNCTION leadflow.schedule(text) IS
'Registers SELECT * FROM leadflow.check_sla() with pg_cron under the name leadflow_check_sla, as the calling role, and returns the id of the job; replaces an earlier schedule. The argument is a schedule as pg_cron takes it, by default every minute. Where pg_cron is not in this database: error 55000 with the statement to run by hand.';

CREATE OR REPLACE FUNCTION leadflow.unschedule() RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	removed bigint;
BEGIN
	-- where pg_cron isn't even loaded, nothing can be scheduled
	IF leadflow._cron_database() IS NULL
		AND NOT EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_cron')
	THEN
		RETURN false;
	END IF;
	PERFORM leadflow._cron_required('* * * * *');
	EXECUTE 'SELECT count(*) FILTER (WHERE cron.unschedule(j.jobid)) FROM cron.job j'
		' WHERE j.jobname = $1 AND j.database = current_database()'
		INTO removed USING 'leadflow_check_sla'::text;
	RETURN removed > 0;
END
$$;
COMMENT ON FUNCTION leadflow.unschedule() IS
'Removes what schedule() has registered; whether there was anything to remove.';
