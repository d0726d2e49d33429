-- The end of every script: privileges of the functions that are new, then the tables.

-- What changes anything is granted to those who need it (setup_roles()). A function that
-- has privileges of its own was here before, and a site may have changed them.
DO $$
DECLARE
	fn regprocedure;
BEGIN
	FOR fn IN
		SELECT p.oid FROM pg_catalog.pg_proc p
		JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'leadflow'
		WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND p.provolatile = 'v' AND p.proacl IS NULL
	LOOP
		EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', fn);
	END LOOP;
END
$$;

-- A dump brings its own tables, triggers and rows after this script, so it must stand back
-- then. pg_dump's preamble sets these four in the session, and nobody else all of them.
DO $$
BEGIN
	IF NOT (SELECT bool_and(s.source = 'session') FROM pg_catalog.pg_settings s
		WHERE s.name IN ('row_security', 'xmloption', 'standard_conforming_strings', 'statement_timeout'))
	THEN
		PERFORM count(*) FROM leadflow.install();
	END IF;
END
$$;
