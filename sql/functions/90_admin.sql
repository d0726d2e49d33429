-- Roles: nobody gets more than the work needs.

CREATE OR REPLACE FUNCTION leadflow.setup_roles(prefix text DEFAULT 'leadflow') RETURNS SETOF text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- What each group may write; everybody may read everything.
	granted CONSTANT jsonb := '{
		"marketing": {
			"leads": "INSERT, UPDATE", "lead_details": "INSERT, UPDATE", "activities": "INSERT, UPDATE",
			"accounts": "INSERT, UPDATE", "campaigns": "INSERT, UPDATE",
			"campaign_costs": "INSERT, UPDATE, DELETE", "absences": "INSERT, UPDATE, DELETE",
			"contact_permissions": "INSERT, UPDATE, DELETE", "lead_feedback": "INSERT, UPDATE"},
		"sales": {
			"leads": "INSERT, UPDATE", "lead_details": "INSERT, UPDATE", "activities": "INSERT, UPDATE",
			"accounts": "INSERT, UPDATE", "deals": "INSERT, UPDATE",
			"deal_contacts": "INSERT, UPDATE, DELETE", "absences": "INSERT, UPDATE, DELETE",
			"lead_feedback": "INSERT, UPDATE"},
		"app": {
			"leads": "INSERT, UPDATE, DELETE", "lead_details": "INSERT, UPDATE, DELETE",
			"activities": "INSERT, UPDATE, DELETE", "accounts": "INSERT, UPDATE, DELETE",
			"campaigns": "INSERT, UPDATE, DELETE", "campaign_costs": "INSERT, UPDATE, DELETE",
			"deals": "INSERT, UPDATE, DELETE", "deal_contacts": "INSERT, UPDATE, DELETE",
			"absences": "INSERT, UPDATE, DELETE", "contact_permissions": "INSERT, UPDATE, DELETE",
			"lead_feedback": "INSERT, UPDATE, DELETE", "lead_aliases": "INSERT, UPDATE, DELETE"},
		"admin": {
			"leads": "INSERT, UPDATE, DELETE", "lead_details": "INSERT, UPDATE, DELETE",
			"activities": "INSERT, UPDATE, DELETE", "accounts": "INSERT, UPDATE, DELETE",
			"campaigns": "INSERT, UPDATE, DELETE", "campaign_costs": "INSERT, UPDATE, DELETE",
			"deals": "INSERT, UPDATE, DELETE", "deal_contacts": "INSERT, UPDATE, DELETE",
			"absences": "INSERT, UPDATE, DELETE", "contact_permissions": "INSERT, UPDATE, DELETE",
			"lead_feedback": "INSERT, UPDATE, DELETE", "lead_aliases": "INSERT, UPDATE, DELETE"}
	}';
	-- What the site configures: the admin's alone.
	configured CONSTANT text[] := '{team_members,public_email_domains,calendars,calendar_hours,
		calendar_holidays,stages,stage_transitions,stage_reasons,activity_kinds,scoring_models,scoring_groups,
		scoring_rules,personas,persona_criteria,disqualifiers,queues,queue_members,routing_rules,sla_policies,
		contact_limits,nurture_programs,subscriptions,
		attribution_models,goals}';
	-- Everyday functions that change something; the admin has all public ones but these.
	everyday CONSTANT text[] := '{move,settle,approve_model,approve_policy,review,contest,reserve_contact,release_contact,claim_next,reassign,routing_preview,pause_sla,resume_sla}';
	-- Who only reviews.
	verdicts CONSTANT text[] := '{review}';
	-- Marketing's and the CRM's: lets leads through that were loaded quietly, tidies up.
	backlogs CONSTANT text[] := '{promote_ready,merge_leads}';
	-- The CRM's, besides: a person asked for it.
	on_request CONSTANT text[] := '{erase_lead,export_lead}';
	-- Who sends notifications.
	sending CONSTANT text[] := '{claim_notifications,ack_notifications,fail_notification}';
	owners_only CONSTANT text[] := '{install,setup_roles}';
	groups CONSTANT text[] := '{reader,reviewer,marketing,sales,app,admin}';
	grp text;
	rec record;
BEGIN
	IF prefix IS NULL OR prefix !~ '^[a-z_][a-z0-9_]{0,40}$' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('"%s" cannot be the prefix of role names', prefix),
			HINT = 'A prefix begins with a lower-case letter or an underscore, goes on with those and digits, and has at most 41 characters.';
	END IF;
	IF EXISTS (SELECT FROM leadflow.settings s WHERE s.role_prefix <> prefix) THEN
		RAISE object_not_in_prerequisite_state USING
			MESSAGE = 'the roles of leadflow have another prefix here',
			DETAIL = (SELECT format('It is "%s".', s.role_prefix) FROM leadflow.settings s),
			HINT = 'Give that one; to start over with another, set settings.role_prefix to NULL first.';
	END IF;
	IF prefix LIKE 'pg\_%' THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'role names that begin with "pg_" are reserved',
			HINT = 'Choose another prefix.';
	END IF;

	FOREACH grp IN ARRAY groups LOOP
		-- A role that can do more than anybody must not become one of ours unnoticed.
		IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = prefix || '_' || grp AND r.rolsuper) THEN
			RAISE insufficient_privilege USING
				MESSAGE = format('role "%s_%s" is a superuser', prefix, grp),
				HINT = 'Choose another prefix, or make it an ordinary role.';
		END IF;
		IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = prefix || '_' || grp) THEN
			EXECUTE format('CREATE ROLE %I NOLOGIN', prefix || '_' || grp);
		END IF;
		EXECUTE format('GRANT USAGE ON SCHEMA leadflow TO %I', prefix || '_' || grp);
		IF grp <> 'reader' AND NOT pg_has_role(prefix || '_' || grp, prefix || '_reader', 'USAGE') THEN
			EXECUTE format('GRANT %I TO %I', prefix || '_reader', prefix || '_' || grp);
		END IF;
	END LOOP;

	-- Reports are views with the rights of whoever reads them, so the tables are read, too.
	FOR rec IN
		SELECT c.oid::regclass AS relation FROM pg_class c
		WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
	LOOP
		EXECUTE format('GRANT SELECT ON %s TO %I', rec.relation, prefix || '_reader');
	END LOOP;

	FOR rec IN
		SELECT g.key AS grp, t.key AS relation, t.value AS privileges
		FROM jsonb_each(granted) g, jsonb_each_text(g.value) t
		UNION ALL
		SELECT 'admin', c, 'INSERT, UPDATE, DELETE' FROM unnest(configured) c
		UNION ALL
		SELECT 'admin', 'settings', 'UPDATE'
	LOOP
		IF to_regclass(format('leadflow.%I', rec.relation)) IS NOT NULL THEN
			EXECUTE format('GRANT %s ON leadflow.%I TO %I', rec.privileges, rec.relation, prefix || '_' || rec.grp);
		END IF;
	END LOOP;

	FOR rec IN
		SELECT p.oid::regprocedure AS routine, g.grp
		FROM pg_proc p
		JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
			AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'leadflow'
		CROSS JOIN unnest('{reviewer,marketing,sales,app,admin}'::text[]) g (grp)
		WHERE p.provolatile = 'v' AND (p.proname NOT LIKE '\_%' OR p.proname IN ('_rebuild', '_switch_model')) AND p.proname <> ALL (owners_only)
			AND (g.grp = 'admin' OR (g.grp <> 'reviewer' AND p.proname = ANY (everyday))
				OR (g.grp = 'reviewer' AND p.proname = ANY (verdicts))
				OR (g.grp IN ('marketing', 'app') AND p.proname = ANY (backlogs))
				OR (g.grp = 'app' AND p.proname = ANY (on_request || sending)))
	LOOP
		EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', rec.routine, prefix || '_' || rec.grp);
	END LOOP;

	UPDATE leadflow.settings s SET role_prefix = prefix WHERE s.role_prefix IS DISTINCT FROM prefix;

	RETURN QUERY SELECT prefix || '_' || g FROM unnest(groups) WITH ORDINALITY g (g, n) ORDER BY n;
END
$$;
COMMENT ON FUNCTION leadflow.setup_roles(text) IS
'Makes, or adopts, the group roles prefix_reader, _reviewer, _marketing, _sales, _app and _admin, grants each what it needs, and returns their names. Needs CREATEROLE and the tables'' owner; may be repeated, e.g. after an update.';
