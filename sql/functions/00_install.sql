-- Tables, sequences, triggers and views belong to the database, not to the extension:
-- install() makes what is missing and leaves none of it a member.

-- Is what this role owns safe to build on? A superuser counts as a member of every
-- role for pg_has_role(), so memberships are looked up here.
CREATE OR REPLACE FUNCTION leadflow._trusted(role oid) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE mine (oid) AS (
		SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user
		UNION
		SELECT m.roleid FROM pg_auth_members m JOIN mine ON m.member = mine.oid
	)
	SELECT EXISTS (SELECT FROM mine WHERE mine.oid = $1)
		OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = $1 AND r.rolsuper)
$$;
COMMENT ON FUNCTION leadflow._trusted(oid) IS
	'Whether the role is the current user, one that it was granted, or a superuser.';

CREATE OR REPLACE FUNCTION leadflow.install() RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
DECLARE
	fresh CONSTANT boolean := to_regclass('leadflow.settings') IS NULL;
	named text[];	-- the relations that our definitions name
	relations_before oid[];
	triggers_before jsonb;	-- "table.trigger" → tgenabled
	rec record;
BEGIN
	SELECT array_agg(m[1]) INTO STRICT named
	FROM leadflow._source() s,
		regexp_matches(s.ddl, '^CREATE (?:OR REPLACE |UNIQUE )?(?:TABLE|INDEX|SEQUENCE|VIEW)'
			' (?:IF NOT EXISTS )?(?:leadflow\.)?(\w+)', 'gn') m
	WHERE s.part IN ('table', 'view');

	-- Somebody who may write to this database could have laid out tables of these names,
	-- with triggers that wait for a superuser.
	FOR rec IN
		SELECT format('schema %I', n.nspname) AS object, n.nspowner AS owner
		FROM pg_namespace n WHERE n.nspname = 'leadflow'
		UNION ALL
		SELECT format('relation %I.%I', n.nspname, c.relname), c.relowner
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'leadflow' AND c.relname = ANY (named)
	LOOP
		IF NOT leadflow._trusted(rec.owner) THEN
			RAISE insufficient_privilege USING
				MESSAGE = format('%s belongs to role %I', rec.object, pg_get_userbyid(rec.owner)),
				DETAIL = 'leadflow adopts only what belongs to the role that installs it, to a role granted to that one, or to a superuser.',
				HINT = 'If you trust that role, grant it to yourself or change the owner; if not, drop what it made.';
		END IF;
	END LOOP;

	SELECT array_agg(c.oid) INTO relations_before
	FROM pg_class c WHERE c.relnamespace = 'leadflow'::regnamespace;
	SELECT coalesce(jsonb_object_agg(t.tgrelid || '.' || t.tgname, t.tgenabled), '{}') INTO triggers_before
	FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
	WHERE c.relnamespace = 'leadflow'::regnamespace AND NOT t.tgisinternal;

	-- An extension script may only skip or replace what is a member.
	FOR rec IN
		SELECT leadflow._relation_kind(c.relkind) AS kind, c.relname
		FROM pg_class c
		WHERE c.oid = ANY (relations_before) AND c.relname = ANY (named)
			AND leadflow._relation_kind(c.relkind) IS NOT NULL
			AND NOT EXISTS (SELECT FROM leadflow._member_relations() m WHERE m = c.oid)
	LOOP
		EXECUTE format('ALTER EXTENSION leadflow ADD %s leadflow.%I', rec.kind, rec.relname);
	END LOOP;

	FOR rec IN
		SELECT s.ddl FROM leadflow._source() s
		WHERE fresh OR s.part <> 'starter'
		ORDER BY array_position('{table,starter,trigger,view}', s.part), s."position"
	LOOP
		EXECUTE rec.ddl;
	END LOOP;

	-- Replacing a trigger enables it; a site may have had its reasons.
	FOR rec IN
		SELECT t.tgrelid::regclass AS relation, t.tgname, b.enabled
		FROM pg_trigger t
		JOIN jsonb_each_text(triggers_before) b (key, enabled) ON b.key = t.tgrelid || '.' || t.tgname
		WHERE b.enabled <> t.tgenabled::text
	LOOP
		EXECUTE format('ALTER TABLE %s %s TRIGGER %I', rec.relation,
			CASE rec.enabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE'
				WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END, rec.tgname);
	END LOOP;

	FOR rec IN
		SELECT leadflow._relation_kind(c.relkind) AS kind, c.oid::regclass AS relation
		FROM leadflow._member_relations() m JOIN pg_class c ON c.oid = m
	LOOP
		EXECUTE format('ALTER EXTENSION leadflow DROP %s %s', rec.kind, rec.relation);
	END LOOP;

	RETURN QUERY
	SELECT 'created ' || lower(leadflow._relation_kind(c.relkind)), c.oid::regclass::text
	FROM pg_class c
	WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p', 'v')
		AND c.oid <> ALL (coalesce(relations_before, '{}'))
	ORDER BY 1, 2;

	RETURN QUERY
	SELECT 'created trigger', format('%I on %s', t.tgname, c.oid::regclass)
	FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
	WHERE c.relnamespace = 'leadflow'::regnamespace AND NOT t.tgisinternal
		AND NOT triggers_before ? (t.tgrelid || '.' || t.tgname)
	ORDER BY 2;

	-- While a trigger was missing, rows were written that nobody saw.
	IF FOUND AND NOT fresh AND to_regprocedure('leadflow.reconcile(bigint,bigint)') IS NOT NULL THEN
		PERFORM count(*) FROM leadflow.reconcile();
	END IF;

	-- Not granted here: privileges given by an extension's script are not dumped.
	FOR rec IN
		SELECT t.role_prefix FROM leadflow.settings t
		WHERE t.role_prefix IS NOT NULL AND relations_before IS NOT NULL
			AND NOT has_function_privilege(t.role_prefix || '_app', 'leadflow.settle()', 'EXECUTE')
	LOOP
		RAISE WARNING 'the privileges of roles "%_…" are gone with what was dropped', rec.role_prefix
			USING HINT = format('Run SELECT leadflow.setup_roles(%L).', rec.role_prefix);
	END LOOP;
END
$$;
COMMENT ON FUNCTION leadflow.install() IS
	'Makes the tables, triggers and views that are missing, adopts those that are there, and returns what it made. CREATE EXTENSION calls it.';

CREATE OR REPLACE FUNCTION leadflow._relation_kind(relkind "char") RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE $1 WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'TABLE' WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' END
$$;
COMMENT ON FUNCTION leadflow._relation_kind("char") IS
	'What ALTER EXTENSION calls a relation of that pg_class.relkind; NULL = none that install() makes.';

-- Identity sequences are members of their own: pg_dump crashes on a member table with a
-- sequence that is none, so both kinds are listed and detached.
CREATE OR REPLACE FUNCTION leadflow._member_relations() RETURNS SETOF oid
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.oid
	FROM pg_depend d
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'leadflow'
	JOIN pg_class c ON c.oid = d.objid
	WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass
		AND d.deptype = 'e' AND leadflow._relation_kind(c.relkind) IS NOT NULL
$$;
COMMENT ON FUNCTION leadflow._member_relations() IS
	'Tables, sequences and views that are members of the extension; none but while install() runs.';
