-- The life of a scoring model: draft, agreed by both teams, active, retired.
--
-- Whoever edits a model or its parts, approves or activates one takes the table lock first,
-- then the model's row. The row is updated by every approval and every edit, so that at
-- REPEATABLE READ and above nobody goes by a model or an approval that is out of date.

CREATE OR REPLACE FUNCTION leadflow._acts_as(member_id bigint) RETURNS boolean
	AS 'MODULE_PATHNAME', 'leadflow_acts_as'
	LANGUAGE C STRICT STABLE;
COMMENT ON FUNCTION leadflow._acts_as(bigint) IS
'Internal. Whether the session is that member''s (by db_role), or its role acts for others.';

CREATE OR REPLACE FUNCTION leadflow._condition_holds(condition jsonpath, document jsonb) RETURNS boolean
	AS 'MODULE_PATHNAME', 'leadflow_condition_holds'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._condition_holds(jsonpath, jsonb) IS
'Internal. Whether a condition holds on a document as scoring understands it: errors count as not holding, times compare in UTC; a NULL condition always holds.';

CREATE OR REPLACE FUNCTION leadflow._refuse_frozen(model_id bigint, name text, version integer, status text,
	"table" text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	RAISE check_violation USING
		MESSAGE = format('scoring model "%s" version %s is %s and stays as it is', name, version, status),
		DETAIL = format('Model %s: %s', model_id, CASE status
			WHEN 'active' THEN 'leads are scored with it.'
			ELSE 'it was in force once, and reports refer to it.' END),
		HINT = format('Edit a copy: SELECT leadflow.clone_model(%s). Once both teams have approved that, activate_model() puts it in force.', model_id),
		SCHEMA = 'leadflow', TABLE = "table", CONSTRAINT = 'scoring_models_frozen';
END
$$;
COMMENT ON FUNCTION leadflow._refuse_frozen(bigint, text, integer, text, text) IS
'Internal. Refuses an edit of a model that is active or retired (23514 scoring_models_frozen).';

CREATE OR REPLACE FUNCTION leadflow._refuse_status(model_id bigint, name text, version integer, status text,
	wanted text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	-- the team whose approval is missing, if any
	team CONSTANT text := (
		SELECT t FROM unnest('{marketing,sales}'::text[]) t
		WHERE NOT EXISTS (SELECT FROM leadflow.scoring_approvals a WHERE a.model_id = $1 AND a.team = t)
		LIMIT 1);
BEGIN
	RAISE check_violation USING
		MESSAGE = CASE
			WHEN status = wanted THEN format('scoring model "%s" version %s is %s already', name, version, status)
			WHEN status IS NULL THEN 'a scoring model begins as a draft'
			ELSE format('scoring model "%s" version %s cannot go from %s to %s', name, version, status, wanted) END,
		DETAIL = concat(
			format('Model %s', coalesce(model_id::text, '(new)')),
			CASE
				WHEN status IN ('active', 'retired') THEN format(' is %s.', status)
				WHEN status IS NULL THEN format(' was to be written with status %s.', wanted)
				WHEN team IS NOT NULL THEN format(' is %s; team %s has not approved it as it stands.', status, team)
				ELSE format(' is %s; both teams have approved it.', status) END),
		HINT = CASE
			WHEN status IS NULL THEN 'Leave status out; then approve_model() for each team and activate_model().'
			WHEN status = 'active' THEN 'It stays active until another model is activated (or this one is retired).'
			WHEN status = 'retired' THEN format('To use it again: SELECT leadflow.clone_model(%s), have the copy approved, and activate that.', model_id)
			WHEN wanted = 'draft' THEN 'It is a draft again as soon as somebody edits it.'
			WHEN team IS NOT NULL THEN format('SELECT leadflow.approve_model(%s, %L, <id of a member of that team>), then activate_model(%s).', model_id, team, model_id)
			WHEN status = 'agreed' THEN format('SELECT leadflow.activate_model(%s) puts it in force.', model_id)
			ELSE 'A model goes from draft to agreed (approve_model()), active (activate_model()) and retired.' END,
		SCHEMA = 'leadflow', TABLE = 'scoring_models', CONSTRAINT = 'scoring_models_agreed';
END
$$;
COMMENT ON FUNCTION leadflow._refuse_status(bigint, text, integer, text, text) IS
'Internal. Refuses to take a model to a status (23514 scoring_models_agreed), and says what is missing.';

CREATE OR REPLACE FUNCTION leadflow._refuse_unknown(model_id bigint) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF model_id IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'the id of a scoring model must not be NULL';
	ELSIF NOT EXISTS (SELECT FROM leadflow.scoring_models m WHERE m.id = model_id) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unknown scoring model %s', model_id),
			HINT = 'leadflow.scoring_models lists them.';
	END IF;
END
$$;
COMMENT ON FUNCTION leadflow._refuse_unknown(bigint) IS
'Internal. Refuses an id that no scoring model has (22023), and NULL (22004).';

-- The trigger of models and their parts. It runs as the engine: whoever may edit a rule
-- need not have a right to the model's row or to approvals.
CREATE OR REPLACE FUNCTION leadflow._model_agreement() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_as_engine'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._model_agreement() IS
'Trigger, before a row of a scoring model or its parts is written, or such a table emptied: refuses it where the model is active or retired (23514 scoring_models_frozen), else withdraws its approvals; lets a model''s status go its way only (23514 scoring_models_agreed).';

CREATE OR REPLACE FUNCTION leadflow._do_model_agreement() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	edited bigint[];	-- models whose definition changes
	model record;
BEGIN
	IF TG_OP = 'UPDATE' THEN
		IF OLD *= NEW THEN
			RETURN NEW;
		END IF;
	END IF;

	CASE
		WHEN TG_OP = 'TRUNCATE' THEN
			edited := ARRAY(SELECT m.id FROM leadflow.scoring_models m);
		WHEN TG_TABLE_NAME = 'scoring_models' THEN
			CASE TG_OP
				WHEN 'INSERT' THEN
					IF NEW.status <> 'draft' THEN
						PERFORM leadflow._refuse_status(NEW.id, NEW.name, NEW.version, NULL, NEW.status);
					END IF;
				WHEN 'UPDATE' THEN
					IF (NEW.id, NEW.name, NEW.version, NEW.mql_definition, NEW.sql_definition, NEW.mql_threshold,
						NEW.handoff_threshold, NEW.min_fit_grade, NEW.hand_raise_min_grade, NEW.required_fields,
						NEW.max_score, NEW.hot_from, NEW.warm_from, NEW.grade_cutoffs, NEW.cool_down, NEW.requalify_points)
						IS DISTINCT FROM
						(OLD.id, OLD.name, OLD.version, OLD.mql_definition, OLD.sql_definition, OLD.mql_threshold,
						OLD.handoff_threshold, OLD.min_fit_grade, OLD.hand_raise_min_grade, OLD.required_fields,
						OLD.max_score, OLD.hot_from, OLD.warm_from, OLD.grade_cutoffs, OLD.cool_down, OLD.requalify_points)
					THEN
						edited := ARRAY[OLD.id];
					END IF;
				WHEN 'DELETE' THEN
					edited := ARRAY[OLD.id];
			END CASE;
		WHEN TG_TABLE_NAME = 'persona_criteria' THEN
			edited := ARRAY(SELECT p.model_id FROM leadflow.personas p WHERE p.id IN (OLD.persona_id, NEW.persona_id));
		ELSE
			edited := ARRAY[OLD.model_id, NEW.model_id];
	END CASE;

	-- A model that is being deleted with all its parts is not found any more.
	FOR model IN
		SELECT m.id, m.name, m.version, m.status FROM leadflow.scoring_models m
		WHERE m.id = ANY (edited) ORDER BY m.id FOR NO KEY UPDATE
	LOOP
		IF model.status IN ('active', 'retired') THEN
			PERFORM leadflow._refuse_frozen(model.id, model.name, model.version, model.status, TG_TABLE_NAME);
		END IF;
		DELETE FROM leadflow.scoring_approvals a WHERE a.model_id = model.id;
		IF TG_TABLE_NAME <> 'scoring_models' THEN
			UPDATE leadflow.scoring_models m SET status = 'draft'
			WHERE m.id = model.id AND (m.status <> 'draft' OR m.xmin <> pg_current_xact_id()::xid);
		END IF;
	END LOOP;
	IF TG_OP = 'TRUNCATE' THEN
		RETURN NULL;
	ELSIF TG_OP = 'DELETE' THEN
		RETURN OLD;
	ELSIF TG_TABLE_NAME <> 'scoring_models' THEN
		RETURN NEW;
	END IF;

	-- on INSERT, OLD is all NULL
	IF (NEW.activated_at, NEW.retired_at) IS DISTINCT FROM (OLD.activated_at, OLD.retired_at) THEN
		RAISE generated_always USING
			MESSAGE = 'when a scoring model was in force is kept by leadflow',
			HINT = 'Leave activated_at and retired_at out; activate_model() writes them.',
			SCHEMA = 'leadflow', TABLE = 'scoring_models', COLUMN = 'activated_at';
	END IF;
	IF edited IS NOT NULL AND NEW.status = OLD.status THEN
		NEW.status := 'draft';
	ELSIF NEW.status <> OLD.status THEN
		-- an edit in the same statement has withdrawn the approvals above
		IF NOT (CASE OLD.status || ' ' || NEW.status
			WHEN 'draft agreed' THEN leadflow._approved(OLD.id)
			WHEN 'agreed active' THEN leadflow._approved(OLD.id)
			WHEN 'active retired' THEN true
			WHEN 'agreed draft' THEN NOT EXISTS (SELECT FROM leadflow.scoring_approvals a WHERE a.model_id = OLD.id)
			ELSE false END)
		THEN
			PERFORM leadflow._refuse_status(OLD.id, OLD.name, OLD.version, OLD.status, NEW.status);
		END IF;
		IF NEW.status = 'active' THEN
			NEW.activated_at := leadflow.now();
		ELSIF NEW.status = 'retired' THEN
			NEW.retired_at := leadflow.now();
		END IF;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION leadflow._do_model_agreement() IS
'Internal. What _model_agreement() does.';

CREATE OR REPLACE FUNCTION leadflow._approved(model_id bigint) RETURNS boolean
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT count(*) = 2 FROM leadflow.scoring_approvals a WHERE a.model_id = $1 $$;
COMMENT ON FUNCTION leadflow._approved(bigint) IS
'Internal. Whether both teams'' approvals of a model stand.';

-- Who approves, of models and of service levels.
CREATE OR REPLACE FUNCTION leadflow._check_approver(what text, team text, member_id bigint) RETURNS text
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	member record;
BEGIN
	IF $2 NOT IN ('marketing', 'sales') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('team "%s" does not approve %s', $2, $1),
			HINT = 'The teams are marketing and sales; a member of leadership approves for one of them.';
	END IF;
	-- checked first, so that a stranger can't find out who is a member
	IF NOT leadflow._acts_as($3) THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('role "%s" may not approve for others',
				coalesce(nullif(current_setting('role'), 'none'), session_user)),
			DETAIL = format('The approval names team member %s.', $3),
			HINT = 'Name the member whose db_role is yours. Roles that act for others are those of group …_app (leadflow.setup_roles()), superusers and the owner of the tables.';
	END IF;
	SELECT t.* INTO member FROM leadflow.team_members t WHERE t.id = $3;
	IF NOT FOUND THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unknown team member %s', $3),
			HINT = 'leadflow.team_members lists them.';
	ELSIF NOT member.active THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('team member %s is not active', $3),
			HINT = 'Set active in leadflow.team_members, or name another member.';
	ELSIF member.team NOT IN ($2, 'leadership') THEN
		RAISE insufficient_privilege USING
			MESSAGE = format('team member %s may not approve for %s', $3, $2),
			DETAIL = format('%s is of team %s.', member.full_name, member.team),
			HINT = format('A member of %s or of leadership approves for %s.', $2, $2);
	END IF;
	RETURN member.full_name;
END
$$;
COMMENT ON FUNCTION leadflow._check_approver(text, text, bigint) IS
'Internal. Refuses whoever may not approve for a team in this session (22023, 42501), and returns the member''s name.';

CREATE OR REPLACE FUNCTION leadflow.approve_model(model_id bigint, team text, member_id bigint) RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_as_engine'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.approve_model(bigint, text, bigint) IS
'A member of a team (marketing or sales; leadership may stand in for either, but one person for one team only) approves a draft as it stands. Returns its status: draft while the other team''s approval is missing, then agreed. Repeated, it changes nothing. The session must be that member''s by db_role, or its role must act for others (42501). 22004 for NULL, 22023 for an unknown model, team or member, 42501 for a member who is inactive or of another team, 23514 scoring_models_agreed for one who approved for the other team, 23514 scoring_models_frozen for a model that is active or retired, 40001 if the model was edited meanwhile.';

CREATE OR REPLACE FUNCTION leadflow._do_approve_model(model_id bigint, team text, member_id bigint) RETURNS text
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	model record;
	full_name text;
	seen jsonb;
BEGIN
	IF $2 IS NULL OR $3 IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'an approval needs a team and a member',
			HINT = 'SELECT leadflow.approve_model(model_id, ''marketing'' or ''sales'', member_id).';
	END IF;
	PERFORM leadflow._refuse_unknown($1);
	full_name := leadflow._check_approver('scoring models', $2, $3);

	-- What the member has before them: an edit that is not committed yet is not in it.
	seen := leadflow.model_document($1) - 'status';
	LOCK TABLE leadflow.scoring_models IN SHARE UPDATE EXCLUSIVE MODE;
	SELECT m.* INTO model FROM leadflow.scoring_models m WHERE m.id = $1 FOR NO KEY UPDATE;
	IF NOT FOUND OR seen <> leadflow.model_document($1) - 'status' THEN
		RAISE serialization_failure USING
			MESSAGE = format('scoring model %s was edited while it was being approved', $1),
			HINT = 'Look at it again, then approve it again.';
	ELSIF model.status IN ('active', 'retired') THEN
		PERFORM leadflow._refuse_frozen(model.id, model.name, model.version, model.status, 'scoring_models');
	ELSIF EXISTS (SELECT FROM leadflow.scoring_approvals a
		WHERE a.model_id = $1 AND a.team <> $2 AND a.member_id = $3) THEN
		RAISE check_violation USING
			MESSAGE = 'one member does not approve for both teams',
			DETAIL = format('%s has approved model %s for the other team.', full_name, $1),
			HINT = format('Somebody else of %s or leadership approves for %s.', $2, $2),
			SCHEMA = 'leadflow', TABLE = 'scoring_models', CONSTRAINT = 'scoring_models_agreed';
	END IF;

	INSERT INTO leadflow.scoring_approvals (model_id, team, member_id, approved_at)
	VALUES ($1, $2, $3, leadflow.now())
	ON CONFLICT DO NOTHING;
	UPDATE leadflow.scoring_models m
	SET status = CASE WHEN leadflow._approved($1) THEN 'agreed' ELSE m.status END
	WHERE m.id = $1
	RETURNING m.status INTO model.status;
	RETURN model.status;
END
$$;
COMMENT ON FUNCTION leadflow._do_approve_model(bigint, text, bigint) IS
'Internal. What approve_model() does.';

CREATE OR REPLACE FUNCTION leadflow.model_problems(model_id bigint DEFAULT NULL)
	RETURNS TABLE (part text, name text, problem text)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	model CONSTANT bigint := coalesce($1, (SELECT m.id FROM leadflow.scoring_models m WHERE m.status = 'active'));
	-- what conditions can see
	of_activity CONSTANT text[] := '{content,campaign,properties}';
	of_lead CONSTANT text[] := '{id,external_id,email,full_name,phone,company,job_title,industry,company_size,budget,
		country,region,attributes,source,campaign,sourced_by,do_not_contact,created_at,account}';
BEGIN
	IF model IS NULL THEN
		RETURN;
	END IF;
	PERFORM leadflow._refuse_unknown(model);
	RETURN QUERY
	SELECT p.part, p.name, p.problem
	FROM (
		SELECT 1 AS position, m.id, 'model' AS part, m.name, t.problem
		FROM leadflow.scoring_models m
		CROSS JOIN LATERAL (
			SELECT coalesce(sum(g.max_points), 0) AS most FROM leadflow.scoring_groups g WHERE g.model_id = m.id
		) g
		CROSS JOIN LATERAL (VALUES
			(CASE WHEN NOT EXISTS (SELECT FROM leadflow.scoring_rules r WHERE r.model_id = m.id AND r.active)
				AND NOT EXISTS (SELECT FROM leadflow.personas p JOIN leadflow.persona_criteria c ON c.persona_id = p.id WHERE p.model_id = m.id)
				THEN 'nothing earns points: no active rule, no criterion' END),
			(CASE WHEN m.mql_threshold > least(m.max_score, g.most)
				THEN format('mql_threshold is %s, and no score is above %s', m.mql_threshold::numeric, least(m.max_score, g.most)::numeric) END),
			(CASE WHEN m.handoff_threshold > least(m.max_score, g.most)
				THEN format('handoff_threshold is %s, and no score is above %s', m.handoff_threshold::numeric, least(m.max_score, g.most)::numeric) END),
			(CASE WHEN m.handoff_threshold < m.mql_threshold
				THEN 'handoff_threshold is below mql_threshold: every MQL is handed to sales at once' END)) t (problem)
		WHERE m.id = model
		UNION ALL
		SELECT 2, m.id, 'required field', f, 'leads have no such column, and none has it among its attributes'
		FROM leadflow.scoring_models m
		CROSS JOIN unnest(m.required_fields) f
		WHERE m.id = model
			AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'leadflow.leads'::regclass AND a.attname = f AND a.attnum > 0 AND NOT a.attisdropped)
			AND NOT EXISTS (SELECT FROM leadflow.leads l WHERE l.attributes ? f)
		UNION ALL
		SELECT 3, r.id, 'rule', r.name,
			CASE WHEN k.kind IS NULL THEN format('kind "%s" is not registered in activity_kinds: it never matches', r.activity_kind)
				ELSE format('kind "%s" has role %s; only engagement earns points', r.activity_kind, k.role) END
		FROM leadflow.scoring_rules r
		LEFT JOIN leadflow.activity_kinds k ON k.kind = r.activity_kind
		WHERE r.model_id = model AND r.active AND k.role IS DISTINCT FROM 'engagement'
		UNION ALL
		SELECT 4, p.id, 'persona', p.name, 'its criteria earn nothing: the model has no group of axis fit'
		FROM leadflow.personas p
		WHERE p.model_id = model
			AND NOT EXISTS (SELECT FROM leadflow.scoring_groups g WHERE g.model_id = model AND g.axis = 'fit')
		UNION ALL
		SELECT 5, c.id, c.part, c.name, format('its condition asks for $.%s, which is not there', f[1])
		FROM (
			SELECT r.id, 'rule' AS part, r.name, r.condition, of_activity AS known FROM leadflow.scoring_rules r WHERE r.model_id = model
			UNION ALL
			SELECT r.id, 'rule', r.name, r.once_per, of_activity FROM leadflow.scoring_rules r WHERE r.model_id = model
			UNION ALL
			SELECT d.id, 'disqualifier', d.name, d.condition, CASE d.on_entity WHEN 'lead' THEN of_lead ELSE of_activity END
			FROM leadflow.disqualifiers d WHERE d.model_id = model
			UNION ALL
			SELECT c.id, 'criterion', c.name, c.condition, of_lead
			FROM leadflow.persona_criteria c JOIN leadflow.personas p ON p.id = c.persona_id WHERE p.model_id = model
		) c
		CROSS JOIN LATERAL regexp_matches(c.condition::text, '\$\."([^"]+)"', 'g') f
		WHERE f[1] <> ALL (c.known)
	) p
	WHERE p.problem IS NOT NULL
	ORDER BY p.position, p.id, p.problem;
END
$$;
COMMENT ON FUNCTION leadflow.model_problems(bigint) IS
'What of a scoring model (default: the active one) can never work, a row a problem: thresholds that no score reaches, a hand-off below the MQL''s threshold, required fields that leads do not have, rules on kinds that are not registered as engagement, conditions that ask for what is not there, personas without a fit group, nothing that earns points. Nothing of it is refused; activate_model() warns of each. No rows = nothing found. 22023 for an unknown model. O(parts), and O(leads) where a required field is no column.';

CREATE OR REPLACE FUNCTION leadflow.activate_model(model_id bigint) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	model record;
	problem record;
BEGIN
	LOCK TABLE leadflow.scoring_models IN SHARE UPDATE EXCLUSIVE MODE;
	PERFORM leadflow._refuse_unknown(model_id);
	SELECT m.* INTO model FROM leadflow.scoring_models m WHERE m.id = model_id FOR NO KEY UPDATE;
	IF model.status <> 'agreed' OR NOT leadflow._approved(model_id) THEN
		PERFORM leadflow._refuse_status(model.id, model.name, model.version, model.status, 'active');
	END IF;
	FOR problem IN SELECT p.part, p.name, p.problem FROM leadflow.model_problems(model_id) p LOOP
		RAISE WARNING '% "%": %', problem.part, problem.name, problem.problem;
	END LOOP;
	RETURN leadflow._switch_model(model_id);
END
$$;
COMMENT ON FUNCTION leadflow.activate_model(bigint) IS
'Puts a model in force that both teams have agreed on: the one that was is retired, every lead is scored anew, silently. Returns the number of leads. 23514 scoring_models_agreed for a model that is not agreed, 22023 for an unknown one, 22004 for NULL. For …_admin and owners. O(activities).';

-- A model as a document.

CREATE OR REPLACE FUNCTION leadflow.model_document(model_id bigint) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'leadflow_at_latest'
	LANGUAGE C STABLE;
COMMENT ON FUNCTION leadflow.model_document(bigint) IS
'A scoring model as a document, the same for the same definition: keys are named after columns (rules within their group, criteria within their persona), conditions and lengths are text, what is NULL is left out, arrays keep the order that decides ties. No ids, times or approvals; name, version and status identify it. 22023 for an unknown model, 22004 for NULL. O(parts).';

CREATE OR REPLACE FUNCTION leadflow._do_model_document(model_id bigint) RETURNS jsonb
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET extra_float_digits = 1
	SET intervalstyle = postgres
	AS $$
BEGIN
	PERFORM leadflow._refuse_unknown(model_id);
	RETURN (SELECT jsonb_strip_nulls(jsonb_build_object(
		'name', m.name,
		'version', m.version,
		'status', m.status,
		'mql_definition', m.mql_definition,
		'sql_definition', m.sql_definition,
		'mql_threshold', m.mql_threshold,
		'handoff_threshold', m.handoff_threshold,
		'min_fit_grade', m.min_fit_grade,
		'hand_raise_min_grade', m.hand_raise_min_grade,
		'required_fields', m.required_fields,
		'max_score', m.max_score,
		'hot_from', m.hot_from,
		'warm_from', m.warm_from,
		'grade_cutoffs', m.grade_cutoffs,
		'cool_down', m.cool_down::text,
		'requalify_points', m.requalify_points,
		'groups', ARRAY(
			SELECT jsonb_build_object(
				'name', g.name,
				'axis', g.axis,
				'min_points', g.min_points,
				'max_points', g.max_points,
				'half_life', g.half_life::text,
				'rules', ARRAY(
					SELECT jsonb_build_object(
						'name', r.name,
						'activity_kind', r.activity_kind,
						'condition', r.condition::text,
						'points', r.points,
						'max_count', r.max_count,
						'per', r.per,
						'once_per', r.once_per::text,
						'hand_raise', r.hand_raise,
						'active', r.active)
					FROM leadflow.scoring_rules r WHERE r.group_id = g.id ORDER BY r.id))
			FROM leadflow.scoring_groups g WHERE g.model_id = m.id ORDER BY g.id),
		'personas', ARRAY(
			SELECT jsonb_build_object(
				'name', p.name,
				'criteria', ARRAY(
					SELECT jsonb_build_object('name', c.name, 'condition', c.condition::text, 'points', c.points)
					FROM leadflow.persona_criteria c WHERE c.persona_id = p.id ORDER BY c.id))
			FROM leadflow.personas p WHERE p.model_id = m.id ORDER BY p.id),
		'disqualifiers', ARRAY(
			SELECT jsonb_build_object('name', d.name, 'on_entity', d.on_entity, 'condition', d.condition::text,
				'reason', d.reason)
			FROM leadflow.disqualifiers d WHERE d.model_id = m.id ORDER BY d.id)))
	FROM leadflow.scoring_models m
	WHERE m.id = $1);
END
$$;
COMMENT ON FUNCTION leadflow._do_model_document(bigint) IS
'Internal. What model_document() does.';

CREATE OR REPLACE FUNCTION leadflow._check_document(part jsonb, path text, shape jsonb) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	SET intervalstyle = postgres
	AS $$
DECLARE
	key text;
	wanted text;
	value jsonb;
	problem text;
	length interval;
BEGIN
	IF jsonb_typeof(part) IS DISTINCT FROM 'object' THEN
		problem := format('is %s, not an object', coalesce(jsonb_typeof(part), 'missing'));
		key := NULL;
	ELSE
		SELECT k, 'is not a key that a model has there' INTO key, problem
		FROM jsonb_object_keys(part) k WHERE NOT shape ? k ORDER BY k LIMIT 1;
	END IF;
	IF problem IS NULL THEN
		BEGIN
			FOR key, wanted IN SELECT s.key, s.value FROM jsonb_each_text(shape) s ORDER BY s.key LOOP
				value := part -> key;
				IF value IS NULL THEN
					IF wanted LIKE '%!' THEN
						problem := 'is missing';
					END IF;
				ELSIF value = 'null' THEN
					IF wanted NOT LIKE '%?' THEN
						problem := 'must not be null';
					END IF;
				ELSE
					CASE rtrim(wanted, '!?')
						WHEN 'number' THEN
							IF jsonb_typeof(value) <> 'number' THEN
								problem := 'must be a number';
							END IF;
							PERFORM (value #>> '{}')::double precision;
						WHEN 'integer' THEN
							IF jsonb_typeof(value) <> 'number' OR value #>> '{}' !~ '^-?[0-9]+$' THEN
								problem := 'must be a whole number';
							END IF;
							PERFORM (value #>> '{}')::integer;
						WHEN 'interval' THEN
							IF jsonb_typeof(value) <> 'string' THEN
								problem := 'must be a length of time as a string';
							END IF;
							length := (value #>> '{}')::interval;
							IF extract(year FROM length) <> 0 OR extract(month FROM length) <> 0 THEN
								problem := 'must not have months or years';
							END IF;
						WHEN 'jsonpath' THEN
							IF jsonb_typeof(value) <> 'string' THEN
								problem := 'must be a jsonpath as a string';
							ELSIF NOT leadflow._condition_check((value #>> '{}')::jsonpath) THEN
								problem := 'must not have variables';
							END IF;
						WHEN 'strings' THEN
							IF jsonb_typeof(value) <> 'array'
								OR jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")') THEN
								problem := 'must be an array of strings';
							END IF;
						WHEN 'numbers' THEN
							IF jsonb_typeof(value) <> 'array'
								OR jsonb_path_exists(value, 'strict $[*] ? (@.type() != "number")') THEN
								problem := 'must be an array of numbers';
							END IF;
							PERFORM e::double precision FROM jsonb_array_elements_text(value) e;
						ELSE
							IF jsonb_typeof(value) <> rtrim(wanted, '!?') THEN
								problem := format('must be of type %s', rtrim(wanted, '!?'));
							END IF;
					END CASE;
				END IF;
				EXIT WHEN problem IS NOT NULL;
			END LOOP;
		EXCEPTION
			WHEN data_exception OR syntax_error THEN
				-- where the type is wrong, that says more than what the cast made of it
				problem := coalesce(problem, 'is not valid: ' || left(SQLERRM, 100));
		END;
	END IF;
	IF problem IS NOT NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('%s%s %s', path, '.' || key, problem),
			DETAIL = CASE WHEN problem LIKE 'is not a key%'
				THEN format('The keys there: %s.', (SELECT string_agg(k, ', ' ORDER BY k) FROM jsonb_object_keys(shape) k))
				ELSE format('The document has %s there.', coalesce(left((part -> key)::text, 200), left(part::text, 200), 'nothing')) END,
			HINT = 'leadflow.model_document() of a model shows what a document looks like.';
	END IF;
END
$$;
COMMENT ON FUNCTION leadflow._check_document(jsonb, text, jsonb) IS
'Internal. Refuses (22023) a part of a document that has not the shape: key → type, with ! where it must be there, ? where it may be null.';

CREATE OR REPLACE FUNCTION leadflow.load_model(document jsonb) RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET intervalstyle = postgres
	AS $$
DECLARE
	new_model bigint;
	new_group bigint;
	new_persona bigint;
	part record;
BEGIN
	IF document IS NULL THEN
		RAISE null_value_not_allowed USING MESSAGE = 'the document of a model must not be NULL';
	END IF;
	PERFORM leadflow._check_document(document, '$', '{
		"name": "string!", "version": "number", "status": "string", "mql_definition": "string?",
		"sql_definition": "string?", "mql_threshold": "number", "handoff_threshold": "number?",
		"min_fit_grade": "string?", "hand_raise_min_grade": "string?", "required_fields": "strings",
		"max_score": "number", "hot_from": "number", "warm_from": "number", "grade_cutoffs": "numbers",
		"cool_down": "interval?", "requalify_points": "number",
		"groups": "array", "personas": "array", "disqualifiers": "array"}');

	-- Loaders take turns, so that the next version is nobody else's.
	LOCK TABLE leadflow.scoring_models IN SHARE UPDATE EXCLUSIVE MODE;
	INSERT INTO leadflow.scoring_models (name, version, mql_definition, sql_definition, mql_threshold,
		handoff_threshold, min_fit_grade, hand_raise_min_grade, required_fields, max_score, hot_from, warm_from,
		grade_cutoffs, cool_down, requalify_points)
	SELECT d.name, 1 + coalesce((SELECT max(m.version) FROM leadflow.scoring_models m WHERE m.name = d.name), 0),
		d.mql_definition, d.sql_definition, d.mql_threshold, d.handoff_threshold, d.min_fit_grade,
		d.hand_raise_min_grade, d.required_fields, d.max_score, d.hot_from, d.warm_from, d.grade_cutoffs, d.cool_down,
		d.requalify_points
	-- what is left out has the column's default
	FROM jsonb_populate_record(NULL::leadflow.scoring_models, '{
		"mql_threshold": 50, "required_fields": [], "max_score": 100, "hot_from": 71, "warm_from": 30,
		"grade_cutoffs": [0.75, 0.5, 0.25], "requalify_points": 0}' || (document - 'version')) d
	RETURNING id INTO new_model;

	FOR part IN
		SELECT e.value, format('$.groups[%s]', e.n - 1) AS path
		FROM jsonb_array_elements(document -> 'groups') WITH ORDINALITY e (value, n) ORDER BY e.n
	LOOP
		PERFORM leadflow._check_document(part.value, part.path, '{
			"name": "string!", "axis": "string!", "min_points": "number", "max_points": "number",
			"half_life": "interval?", "rules": "array"}');
		INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
		SELECT new_model, d.name, d.axis, d.min_points, d.max_points, d.half_life
		FROM jsonb_populate_record(NULL::leadflow.scoring_groups, '{"min_points": 0, "max_points": 100}' || part.value) d
		RETURNING id INTO new_group;
		PERFORM leadflow._check_document(e.value, format('%s.rules[%s]', part.path, e.n - 1), '{
			"name": "string!", "activity_kind": "string!", "condition": "jsonpath?", "points": "number!",
			"max_count": "integer?", "per": "string?", "once_per": "jsonpath?", "hand_raise": "boolean",
			"active": "boolean"}')
		FROM jsonb_array_elements(part.value -> 'rules') WITH ORDINALITY e (value, n);
		INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count,
			per, once_per, hand_raise, active)
		SELECT new_model, new_group, d.name, d.activity_kind, d.condition, d.points, d.max_count, d.per, d.once_per,
			d.hand_raise, d.active
		FROM jsonb_array_elements(part.value -> 'rules') WITH ORDINALITY e (value, n)
		CROSS JOIN LATERAL jsonb_populate_record(NULL::leadflow.scoring_rules,
			'{"hand_raise": false, "active": true}' || e.value) d
		ORDER BY e.n;
	END LOOP;

	FOR part IN
		SELECT e.value, format('$.personas[%s]', e.n - 1) AS path
		FROM jsonb_array_elements(document -> 'personas') WITH ORDINALITY e (value, n) ORDER BY e.n
	LOOP
		PERFORM leadflow._check_document(part.value, part.path, '{"name": "string!", "criteria": "array"}');
		INSERT INTO leadflow.personas (model_id, name) VALUES (new_model, part.value ->> 'name')
		RETURNING id INTO new_persona;
		PERFORM leadflow._check_document(e.value, format('%s.criteria[%s]', part.path, e.n - 1),
			'{"name": "string!", "condition": "jsonpath!", "points": "number!"}')
		FROM jsonb_array_elements(part.value -> 'criteria') WITH ORDINALITY e (value, n);
		INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points)
		SELECT new_persona, d.name, d.condition, d.points
		FROM jsonb_array_elements(part.value -> 'criteria') WITH ORDINALITY e (value, n)
		CROSS JOIN LATERAL jsonb_populate_record(NULL::leadflow.persona_criteria, e.value) d
		ORDER BY e.n;
	END LOOP;

	FOR part IN
		SELECT e.value, format('$.disqualifiers[%s]', e.n - 1) AS path
		FROM jsonb_array_elements(document -> 'disqualifiers') WITH ORDINALITY e (value, n) ORDER BY e.n
	LOOP
		PERFORM leadflow._check_document(part.value, part.path,
			'{"name": "string!", "on_entity": "string!", "condition": "jsonpath!", "reason": "string!"}');
		INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason)
		SELECT new_model, d.name, d.on_entity, d.condition, d.reason
		FROM jsonb_populate_record(NULL::leadflow.disqualifiers, part.value) d;
	END LOOP;
	RETURN new_model;
END
$$;
COMMENT ON FUNCTION leadflow.load_model(jsonb) IS
'Makes a draft of a document as model_document() writes it, all of it or nothing, with the next version of its name, and returns its id. Keys that may be NULL or have a default may be left out; version and status are ignored. 22023 for a key that is unknown, missing or of the wrong type (the message begins with its path, e.g. $.groups[0].rules[2].points), 22004 for NULL; the constraints of the tables hold as ever. For …_admin and owners. O(parts).';

CREATE OR REPLACE FUNCTION leadflow.clone_model(model_id bigint, name text DEFAULT NULL) RETURNS bigint
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT leadflow.load_model(leadflow.model_document($1) || jsonb_strip_nulls(jsonb_build_object('name', $2)))
$$;
COMMENT ON FUNCTION leadflow.clone_model(bigint, text) IS
'Makes a draft that is a copy of a model with all its parts, as the next version of its name or of another, and returns its id. 22023 for an unknown model, 22004 for NULL. For …_admin and owners. O(parts).';

-- A model in words.

CREATE OR REPLACE FUNCTION leadflow._path_text(path jsonpath) RETURNS text
	LANGUAGE sql STRICT IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT regexp_replace(path::text, '\."([[:alpha:]_][[:alnum:]_]*)"', '.\1', 'g')
$$;
COMMENT ON FUNCTION leadflow._path_text(jsonpath) IS
'Internal. A jsonpath as people write it: keys without quotes where they need none.';

CREATE OR REPLACE FUNCTION leadflow._condition_text(condition jsonpath) RETURNS text
	LANGUAGE plpgsql STRICT IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	-- one comparison of a field with a value; parentheses mean nothing between terms joined by &&
	term CONSTANT text := '^\(*((?:\."[^"\\]+")+) (==|!=|<=?|>=?|starts with|like_regex)'
		' ("(?:[^"\\]|\\.)*"|-?[0-9][0-9.e+-]*|true|false|null)(?: flag "([a-z]+)")?\)*(?: && \(*\$|$)';
	-- a regular expression that looks for words: at the beginning, or whole ones, or anywhere
	looks CONSTANT text := '^(?:(\^|\\y)(\()?)?([[:alnum:] /_|\[\]-]+)(?:\)?(\\y)?)?$';
	rest text := regexp_replace(condition::text, '^\(*\$', '');
	part text[];
	look text[];
	keys text[];
	field text;
	value text;
	said text[] := '{}';
BEGIN
	LOOP
		part := regexp_match(rest, term);
		IF part IS NULL OR (part[2] = 'like_regex' AND coalesce(part[4], 'i') <> 'i') THEN
			RETURN leadflow._path_text(condition);
		END IF;
		rest := regexp_replace(rest, term, '');

		keys := ARRAY(SELECT replace(m[1], '_', ' ') FROM regexp_matches(part[1], '\."([^"]+)"', 'g') m);
		field := CASE keys[1]
			WHEN 'properties' THEN array_to_string('{property}' || keys[2:], ' ')
			WHEN 'attributes' THEN array_to_string('{attribute}' || keys[2:], ' ')
			ELSE array_to_string(keys, ' ') END;
		value := part[3];
		IF part[2] = 'like_regex' THEN
			value := value::jsonb #>> '{}';
			look := regexp_match(value, looks);
			-- without parentheses, an anchor would belong to the first or last word alone
			IF look IS NULL OR coalesce(look[1] = '\y', false) <> (look[4] IS NOT NULL)
				OR (look[1] IS NOT NULL AND look[2] IS NULL AND strpos(look[3], '|') > 0) THEN
				said := said || format('%s matches the pattern "%s"', field, value);
			ELSE
				said := said || format('%s %s "%s"', field,
					CASE look[1] WHEN '^' THEN 'begins with' WHEN '\y' THEN 'has a word' ELSE 'contains' END
						|| CASE WHEN look[3] ~ '\[' AND look[1] = '\y' THEN ' like'
							WHEN look[3] ~ '\[' THEN ' something like' ELSE '' END,
					replace(look[3], '|', '" or "'));
			END IF;
			IF part[4] IS NULL THEN
				said[cardinality(said)] := said[cardinality(said)] || ' (upper and lower case matter)';
			END IF;
		ELSE
			said := said || format('%s %s %s', field, CASE part[2]
				WHEN '==' THEN 'is'
				WHEN '!=' THEN 'is other than'
				WHEN '>' THEN 'is more than'
				WHEN '>=' THEN 'is at least'
				WHEN '<' THEN 'is less than'
				WHEN '<=' THEN 'is at most'
				ELSE part[2] END, value);
		END IF;
		EXIT WHEN rest = '';
	END LOOP;
	RETURN array_to_string(said, ' and ');
END
$$;
COMMENT ON FUNCTION leadflow._condition_text(jsonpath) IS
'Internal. A condition in words where it is a comparison of fields with values, or several joined by &&; the jsonpath itself where it is more than that.';

CREATE OR REPLACE FUNCTION leadflow._definition_text(model_id bigint, subject text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT CASE $2
		WHEN 'mql' THEN concat(
			coalesce(m.mql_definition || ' In figures: a', 'A'),
			format(' score of %s or more of %s', m.mql_threshold::numeric, m.max_score::numeric),
			CASE WHEN m.min_fit_grade IS NOT NULL THEN format(' and grade %s or better', m.min_fit_grade) END,
			'; or a raised hand (' || (
				SELECT string_agg(r.name, ', ' ORDER BY r.name) FROM leadflow.scoring_rules r
				WHERE r.model_id = m.id AND r.hand_raise AND r.active)
				|| CASE WHEN m.hand_raise_min_grade IS NOT NULL
					THEN format(', with grade %s or better', m.hand_raise_min_grade) ELSE '' END || ')',
			'. Always: ',
			CASE WHEN m.required_fields <> '{}' THEN array_to_string(m.required_fields, ', ') || ' filled in, ' END,
			'not disqualified', ' (' || (
				SELECT string_agg(DISTINCT d.reason, ', ' ORDER BY d.reason) FROM leadflow.disqualifiers d
				WHERE d.model_id = m.id) || ')',
			', may be contacted (or raised its hand), no contact of an open deal.',
			format(' After it was recycled, but for a raised hand: %sits revisit date has come, it has engaged again%s.',
				CASE WHEN m.cool_down > '0'
					THEN format('%s days have passed, ', trim_scale(round(extract(epoch FROM m.cool_down) / 86400, 2))) END,
				CASE WHEN m.requalify_points > 0
					THEN format(' and earned %s points', m.requalify_points::numeric) END))
		WHEN 'sql' THEN concat(
			coalesce(m.sql_definition || ' In figures: an', 'An'),
			CASE WHEN m.handoff_threshold IS NULL THEN ' MQL that marketing hands to sales.'
				ELSE format(' MQL with score %s or more, or with a raised hand, is handed to sales at once; others by marketing.',
					m.handoff_threshold::numeric) END,
			' Sales accepts it, rejects it with a reason, or sends it to nurture.')
		WHEN 'bands' THEN format('hot from %s, warm from %s points, else cool; grades A, B, C from %s, %s, %s %% of the fit group''s maximum, else D; levels 1, 2, 3 likewise of the engagement groups'', else 4',
			m.hot_from::numeric, m.warm_from::numeric, (100 * m.grade_cutoffs[1])::numeric, (100 * m.grade_cutoffs[2])::numeric,
			(100 * m.grade_cutoffs[3])::numeric)
		END
	FROM leadflow.scoring_models m WHERE m.id = $1
	$$;
COMMENT ON FUNCTION leadflow._definition_text(bigint, text) IS
'Internal. What mql, sql or bands means under a model, in words.';

CREATE OR REPLACE FUNCTION leadflow.scorecard(model_id bigint DEFAULT NULL, at timestamptz DEFAULT leadflow.now())
	RETURNS TABLE (axis text, group_name text, rule text, when_text text, points double precision, limit_text text,
		half_life_days double precision, leads_30d bigint, effect text, group_min double precision,
		group_max double precision)
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
DECLARE
	model CONSTANT bigint := coalesce($1, (SELECT m.id FROM leadflow.scoring_models m WHERE m.status = 'active'));
BEGIN
	IF model IS NULL THEN
		RETURN;
	END IF;
	PERFORM leadflow._refuse_unknown(model);
	RETURN QUERY
	WITH activity AS MATERIALIZED (
		SELECT a.lead_id, a.kind,
			jsonb_build_object('content', a.content, 'campaign', c.code, 'properties', a.properties) AS doc
		FROM leadflow.activities a
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'engagement'
		JOIN leadflow.leads l ON l.id = a.lead_id
		LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id
		WHERE a.voided_at IS NULL AND a.occurred_at > $2 - interval '720 hours' AND a.occurred_at <= $2
	), lead AS MATERIALIZED (
		SELECT d.doc FROM leadflow._lead_documents d WHERE d.lead_id IN (SELECT a.lead_id FROM activity a)
	), fit AS (
		SELECT g.name, g.min_points, g.max_points
		FROM leadflow.scoring_groups g WHERE g.model_id = model AND g.axis = 'fit'
	), line AS (
		SELECT 1 AS section, p.id AS major, -c.points AS minor, c.id,
			'fit' AS axis, (SELECT f.name FROM fit f) AS group_name, format('%s: %s', p.name, c.name) AS rule,
			leadflow._condition_text(c.condition) AS when_text, c.points, NULL AS limit_text,
			NULL::double precision AS half_life_days,
			(SELECT count(*) FROM lead d WHERE leadflow._condition_holds(c.condition, d.doc)) AS leads_30d,
			format('counts for persona %s', p.name) AS effect,
			(SELECT f.min_points FROM fit f) AS group_min, (SELECT f.max_points FROM fit f) AS group_max
		FROM leadflow.personas p
		JOIN leadflow.persona_criteria c ON c.persona_id = p.id
		WHERE p.model_id = model
		UNION ALL
		SELECT 2, g.id, -r.points, r.id,
			g.axis, g.name, r.name,
			replace(r.activity_kind, '_', ' ') || coalesce(' where ' || leadflow._condition_text(r.condition), ''),
			r.points,
			'at most ' || r.max_count
				|| CASE WHEN r.per = 'hour' THEN ' an hour' WHEN r.per IS NOT NULL THEN ' a ' || r.per
					WHEN r.once_per IS NULL THEN ' in all' ELSE '' END
				|| coalesce(' for each value of ' || leadflow._path_text(r.once_per), ''),
			extract(epoch FROM g.half_life)::double precision / 86400,
			(SELECT count(DISTINCT a.lead_id) FROM activity a
				WHERE a.kind = r.activity_kind AND leadflow._condition_holds(r.condition, a.doc)),
			CASE WHEN NOT r.active THEN 'switched off' WHEN r.hand_raise THEN 'raises the hand' END,
			g.min_points, g.max_points
		FROM leadflow.scoring_rules r
		JOIN leadflow.scoring_groups g ON g.id = r.group_id
		WHERE r.model_id = model
		UNION ALL
		SELECT 3, 0, 0, d.id,
			'disqualifier', NULL, d.name,
			CASE d.on_entity WHEN 'activity' THEN 'any engagement where ' ELSE '' END || leadflow._condition_text(d.condition),
			NULL, NULL, NULL,
			CASE d.on_entity WHEN 'lead' THEN (SELECT count(*) FROM lead l WHERE leadflow._condition_holds(d.condition, l.doc))
				ELSE (SELECT count(DISTINCT a.lead_id) FROM activity a WHERE leadflow._condition_holds(d.condition, a.doc)) END,
			format('score 0, no MQL: %s', d.reason),
			NULL, NULL
		FROM leadflow.disqualifiers d
		WHERE d.model_id = model
		UNION ALL
		SELECT 4, t.n, 0, t.n,
			'gate', NULL, t.rule, leadflow._definition_text(model, t.subject), t.points, NULL, NULL, NULL, t.effect, NULL, NULL
		FROM leadflow.scoring_models m
		CROSS JOIN LATERAL (VALUES
			(1, 'MQL', 'mql', m.mql_threshold, 'becomes an MQL'),
			(2, 'hand-off', 'sql', m.handoff_threshold, 'is handed to sales'),
			(3, 'bands', 'bands', NULL, 'how scores are called')) t (n, rule, subject, points, effect)
		WHERE m.id = model
	)
	SELECT l.axis, l.group_name, l.rule, l.when_text, l.points, l.limit_text, l.half_life_days, l.leads_30d, l.effect,
		l.group_min, l.group_max
	FROM line l
	ORDER BY l.section, l.major, l.minor, l.id;
END
$$;
COMMENT ON FUNCTION leadflow.scorecard(bigint, timestamptz) IS
'A scoring model (default: the active one) as both teams sign it: one row a criterion of a persona (axis fit), a rule (axis engagement) and a disqualifier, in words; then what makes an MQL, the hand-off and the bands (axis gate). leads_30d: leads that it hit in the 30 days (of 24 hours) before "at", by an engagement of that kind whose condition holds; for criteria and disqualifiers of leads: of the leads that engaged then, those that are so now. Leads that the caller cannot see do not count. limit_text NULL = every activity counts, half_life_days NULL = points stay. No rows where no model is active; 22023 for an unknown one. O(activities of 30 days · rules), and it reads all activities.';

CREATE OR REPLACE FUNCTION leadflow._model_facts(document jsonb)
	RETURNS TABLE (part text, name text, property text, value text)
	LANGUAGE sql IMMUTABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
	WITH piece (part, name, n, body) AS (
		SELECT 'model', '', 0::bigint, $1 - '{name,version,status,groups,personas,disqualifiers}'::text[]
		UNION ALL
		SELECT 'group', g.value ->> 'name', g.n, g.value - 'rules'
		FROM jsonb_array_elements($1 -> 'groups') WITH ORDINALITY g (value, n)
		UNION ALL
		SELECT 'rule', r.value ->> 'name', r.n, r.value || jsonb_build_object('group', g.value -> 'name')
		FROM jsonb_array_elements($1 -> 'groups') g (value),
			jsonb_array_elements(g.value -> 'rules') WITH ORDINALITY r (value, n)
		UNION ALL
		SELECT 'persona', p.value ->> 'name', p.n, p.value - 'criteria'
		FROM jsonb_array_elements($1 -> 'personas') WITH ORDINALITY p (value, n)
		UNION ALL
		SELECT 'criterion', format('%s: %s', p.value ->> 'name', c.value ->> 'name'), c.n, c.value
		FROM jsonb_array_elements($1 -> 'personas') p (value),
			jsonb_array_elements(p.value -> 'criteria') WITH ORDINALITY c (value, n)
		UNION ALL
		SELECT 'disqualifier', d.value ->> 'name', d.n, d.value
		FROM jsonb_array_elements($1 -> 'disqualifiers') WITH ORDINALITY d (value, n)
	)
	SELECT p.part, p.name, b.key, b.value
	FROM piece p, jsonb_each_text(p.body) b
	WHERE b.key <> 'name'
	UNION ALL
	-- what there is, and, where that decides ties, in which order
	SELECT p.part, p.name, NULL, p.n::text
	FROM piece p
$$;
COMMENT ON FUNCTION leadflow._model_facts(jsonb) IS
'Internal. A model''s document as facts by name; property NULL: the part''s place among its like.';

CREATE OR REPLACE FUNCTION leadflow.model_diff(a bigint, b bigint)
	RETURNS TABLE (part text, name text, property text, in_a text, in_b text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	AS $$
	WITH fact AS MATERIALIZED (
		SELECT 'a' AS side, f.* FROM leadflow._model_facts(leadflow.model_document($1)) f
		UNION ALL
		SELECT 'b', f.* FROM leadflow._model_facts(leadflow.model_document($2)) f
	), part AS (
		SELECT f.part, f.name, min(f.side) AS side, count(*) = 2 AS in_both,
			min(f.value::integer) FILTER (WHERE f.side = 'a') AS place_a,
			min(f.value::integer) FILTER (WHERE f.side = 'b') AS place_b
		FROM fact f
		WHERE f.property IS NULL
		GROUP BY f.part, f.name
	), difference AS (
		-- a part of one alone: all of it in a row
		SELECT p.part, p.name, 'exists' AS property,
			CASE p.side WHEN 'a' THEN coalesce(d.value, 'yes') END AS in_a,
			CASE p.side WHEN 'b' THEN coalesce(d.value, 'yes') END AS in_b
		FROM part p
		LEFT JOIN LATERAL (
			SELECT string_agg(format('%s: %s', f.property, f.value), ', ' ORDER BY f.property) AS value
			FROM fact f
			WHERE f.part = p.part AND f.name = p.name AND f.property IS NOT NULL
		) d ON true
		WHERE NOT p.in_both
		UNION ALL
		SELECT p.part, p.name, f.property, min(f.value) FILTER (WHERE f.side = 'a'),
			min(f.value) FILTER (WHERE f.side = 'b')
		FROM part p
		JOIN fact f ON f.part = p.part AND f.name = p.name
		WHERE p.in_both AND f.property IS NOT NULL
		GROUP BY p.part, p.name, f.property
		UNION ALL
		-- of parts that both have, their places among each other
		SELECT o.part, o.name, 'order', o.a::text, o.b::text
		FROM (
			SELECT p.part, p.name, row_number() OVER (PARTITION BY p.part ORDER BY p.place_a) AS a,
				row_number() OVER (PARTITION BY p.part ORDER BY p.place_b) AS b
			FROM part p
			WHERE p.in_both AND p.part IN ('persona', 'disqualifier')
		) o
	)
	SELECT d.part, nullif(d.name, ''), d.property, d.in_a, d.in_b
	FROM difference d
	WHERE d.in_a IS DISTINCT FROM d.in_b
	ORDER BY array_position('{model,group,rule,persona,criterion,disqualifier}', d.part), d.name COLLATE "C", d.property
$$;
COMMENT ON FUNCTION leadflow.model_diff(bigint, bigint) IS
'What differs between two scoring models, one row a property, parts by their names: part is model, group, rule, persona, criterion ("persona: name") or disqualifier. A part that only one of them has is one row, property exists, with all that it says on its side and NULL on the other. property order: the place among personas or disqualifiers, which decides ties. Name, version and status do not count: a clone differs in nothing. 22023 for an unknown model, 22004 for NULL. O(parts).';
