-- Scores.
CREATE OR REPLACE FUNCTION leadflow.score(lead_id bigint, at timestamptz DEFAULT leadflow.now(),
	model_id bigint DEFAULT NULL) RETURNS double precision
	AS 'MODULE_PATHNAME', 'leadflow_score'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow.score(bigint, timestamptz, bigint) IS
'A lead''s score at an instant, in points of 0 to the model''s max_score, with the active model or any other (model_id). Activities later than that instant do not count; attributes are as they are now. NULL for a lead that is unknown or that the caller cannot see (needs SELECT on leads); 22023 for an unknown model or an instant that is not finite. O(groups) at or after the lead''s last scored activity with the active model, else O(activities of the lead).';

CREATE OR REPLACE FUNCTION leadflow.score_as_of(lead_id bigint, at timestamptz, model_id bigint DEFAULT NULL,
	known_at timestamptz DEFAULT NULL) RETURNS double precision
	AS 'MODULE_PATHNAME', 'leadflow_score_as_of'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow.score_as_of(bigint, timestamptz, bigint, timestamptz) IS
'What a lead''s score at an instant was, with the active model or any other (model_id), by what was recorded by known_at (default: that same instant; infinity = all that is recorded): activities that occurred by at and were recorded by known_at, without those of which it was recorded by then that they are void. What was changed or deleted since is not brought back; attributes, kinds and the model are as they are now. 0 for a lead of which nothing was recorded by known_at (created later, and no activity). NULL for a lead that is unknown or that the caller cannot see (needs SELECT on leads), and for NULL; 22023 for an unknown model or an instant that is not finite. O(activities of the lead).';

-- The columns of lead_scores, one function each, so that a query pays for the columns
-- that it asks for. They take what the row of score_state says, and an instant; what a
-- row cannot answer (it is of another model, the instant is before its last activity, the
-- transaction has not been flushed yet) they read from the tables.
CREATE OR REPLACE FUNCTION leadflow._lead_score(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'leadflow_lead_score'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_score IS
'Column score of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_fit(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'leadflow_lead_fit'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_fit IS
'Column fit of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_engagement(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'leadflow_lead_engagement'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_engagement IS
'Column engagement of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_grade(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_lead_grade'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_grade IS
'Column grade of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_level(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS integer
	AS 'MODULE_PATHNAME', 'leadflow_lead_level'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_level IS
'Column level of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_rank(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_lead_rank'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_rank IS
'Column rank of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_band(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_lead_band'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_band IS
'Column band of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_persona(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_lead_persona'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_persona IS
'Column persona of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_fit_known(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS double precision
	AS 'MODULE_PATHNAME', 'leadflow_lead_fit_known'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_fit_known IS
'Column fit_known of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_disqualified_reason(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_lead_disqualified_reason'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_disqualified_reason IS
'Column disqualified_reason of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_mql_ready(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz,
	watch integer, cycle integer, hand_raised_at timestamptz, cycle_since timestamptz,
	last_engaged_at timestamptz)
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'leadflow_lead_mql_ready'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_mql_ready IS
'Column mql_ready of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_mql_blocked_by(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz,
	watch integer, cycle integer, hand_raised_at timestamptz, cycle_since timestamptz,
	last_engaged_at timestamptz)
	RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_lead_mql_blocked_by'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_mql_blocked_by IS
'Column mql_blocked_by of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._lead_falls_below_mql_at(lead_id bigint, state_model_id bigint, sums double precision[],
	last_at timestamptz, disqualified_at timestamptz, disqualified_by bigint, fit double precision,
	persona_id bigint, fit_known double precision, lead_disqualifier bigint, at timestamptz)
	RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'leadflow_lead_falls_below_mql_at'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._lead_falls_below_mql_at IS
'Column falls_below_mql_at of lead_scores at an instant, from the row of score_state.';

CREATE OR REPLACE FUNCTION leadflow._model_id() RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_model_id'
	LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._model_id() IS
'The active model (scoring_models.id); NULL = none is active.';

-- Called immutable, so that the planner asks it when it makes a plan, as it asks whether
-- policies apply: a plan with a table is made anew when row-level security on that table
-- or, where there is some, the role changes.
CREATE OR REPLACE FUNCTION leadflow._leads_filtered() RETURNS boolean
	AS 'MODULE_PATHNAME', 'leadflow_leads_filtered'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._leads_filtered() IS
'Whether row-level security decides which leads the caller sees. If not, a report that has a row for every lead anyway need not read leads.';

CREATE OR REPLACE FUNCTION leadflow.explain_score(lead_id bigint, at timestamptz DEFAULT leadflow.now(),
	model_id bigint DEFAULT NULL)
	RETURNS TABLE (group_name text, source text, name text, activities bigint, points double precision)
	AS 'MODULE_PATHNAME', 'leadflow_explain_score'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow.explain_score(bigint, timestamptz, bigint) IS
'Why a lead has its score: rows whose points sum to score() (to 1e-9). source: rule (activities times points), limit (what a limit held back), decay (what time took), criterion (of the persona), group bounds, total bounds, disqualified; rounding, where points by the million cancel out. Arguments, NULLs and errors as for score(). O(activities of the lead).';

CREATE OR REPLACE FUNCTION leadflow._activity_points(kind text, content text, campaign_id bigint,
	properties jsonb) RETURNS double precision
	AS 'MODULE_PATHNAME', 'leadflow_activity_points'
	LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._activity_points(text, text, bigint, jsonb) IS
'Points that the active model gives for an activity, before limits and decay; NULL if no rule matches.';

CREATE OR REPLACE FUNCTION leadflow.rescore(model_id bigint DEFAULT NULL) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_rescore'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.rescore(bigint) IS
'Computes every score anew from activities and attributes with the active model, silently: nobody is promoted or told. Returns the number of leads. 22023 for a model that is not active. Waits for transactions that write activities, and they for it. O(activities).';

CREATE OR REPLACE FUNCTION leadflow._switch_model(model_id bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_switch_model'
	LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION leadflow._switch_model(bigint) IS
'Makes a model the active one and retires the one that was; activate_model() calls it. Computes all scores beside those who write activities, then holds them up while it writes the scores. Returns the number of leads.';

CREATE OR REPLACE FUNCTION leadflow._model_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_model_changed'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._model_changed() IS
'Trigger of the tables that make up a scoring model: if the active model changed, every score is computed anew in the same statement.';

CREATE OR REPLACE FUNCTION leadflow._account_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_account_changed'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._account_changed() IS
'Trigger, after UPDATE of accounts: the fit of their leads is computed anew when the transaction ends.';

-- Its statements find leads by key, whatever the tables' statistics say.
CREATE OR REPLACE FUNCTION leadflow.hottest(n integer, at timestamptz DEFAULT leadflow.now(),
	owner_id bigint DEFAULT NULL) RETURNS TABLE (lead_id bigint, score double precision, full_name text,
	company text, stage text, owner text)
	AS 'MODULE_PATHNAME', 'leadflow_hottest'
	LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 100
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET jit = off;
COMMENT ON FUNCTION leadflow.hottest(integer, timestamptz, bigint) IS
'The n leads with the highest score that are still in play (category of the stage neither won, lost nor out; rejected and nurture leads are), of one owner or of all, by the total before the last clamp, then by id. Disqualified leads and those that the caller cannot see do not show; no rows where n or at is NULL; 22023 for an instant that is not finite. O(leads), or O(n) with the index that doc/score.md describes; O(leads of the owner) with owner_id.';

CREATE OR REPLACE FUNCTION leadflow._condition_check(condition jsonpath) RETURNS boolean
	AS 'MODULE_PATHNAME', 'leadflow_condition_check'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._condition_check(jsonpath) IS
'Whether a condition can be asked: false if it names a variable, for which there is no value.';

CREATE OR REPLACE FUNCTION leadflow._condition_written() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NOT leadflow._condition_check(NEW.condition)
		OR (TG_TABLE_NAME = 'scoring_rules' AND NOT leadflow._condition_check((to_jsonb(NEW) ->> 'once_per')::jsonpath)) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a condition has no variables',
			DETAIL = format('Table %s, row %s.', TG_TABLE_NAME, NEW.id),
			HINT = 'Write the value itself into the path.',
			SCHEMA = 'leadflow', TABLE = TG_TABLE_NAME, COLUMN = 'condition';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION leadflow._condition_written() IS
'Trigger, before a row with a condition is written: a jsonpath with a variable is refused (22023).';

CREATE OR REPLACE FUNCTION leadflow._model_part_check() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	length interval;
	what text;
BEGIN
	CASE TG_TABLE_NAME
		WHEN 'scoring_models' THEN
			length := NEW.cool_down;
			what := 'cool_down';
		WHEN 'scoring_groups' THEN
			length := NEW.half_life;
			what := 'half_life';
			IF TG_OP = 'UPDATE' AND NEW.axis <> OLD.axis THEN
				RAISE check_violation USING
					MESSAGE = 'the axis of a group does not change',
					DETAIL = format('Group "%s" is of axis %s.', OLD.name, OLD.axis),
					HINT = 'Delete the group and make another.',
					SCHEMA = 'leadflow', TABLE = 'scoring_groups', CONSTRAINT = 'scoring_groups_axis_fixed';
			END IF;
		WHEN 'scoring_rules' THEN
			IF EXISTS (SELECT FROM leadflow.scoring_groups g WHERE g.id = NEW.group_id AND g.axis <> 'engagement') THEN
				RAISE check_violation USING
					MESSAGE = 'a rule earns points for an engagement group',
					DETAIL = format('Rule "%s" names a group of axis fit.', NEW.name),
					HINT = 'Points of the fit group are those of personas'' criteria.',
					SCHEMA = 'leadflow', TABLE = 'scoring_rules', CONSTRAINT = 'scoring_rules_group_axis';
			END IF;
	END CASE;
	IF extract(year FROM length) <> 0 OR extract(month FROM length) <> 0 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('%s must not have months or years', what),
			DETAIL = format('%s is %s; lengths are exact.', what, length),
			HINT = 'Say it in days (of 24 hours) or hours.',
			SCHEMA = 'leadflow', TABLE = TG_TABLE_NAME, COLUMN = what;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION leadflow._model_part_check() IS
'Trigger, before a row of scoring_models, scoring_groups or scoring_rules is written: lengths have no months or years (22023), rules earn for engagement groups (23514).';
