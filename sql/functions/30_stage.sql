-- The lifecycle: triggers on leads, and move().

CREATE OR REPLACE FUNCTION leadflow._leads_judge() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_lead_judge'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._leads_judge() IS
'Internal. Trigger BEFORE INSERT OR UPDATE of each lead: judges a move (is there one, who makes it, the reason, the gate) and fills in what leadflow keeps; writes nothing but the row.';

CREATE OR REPLACE FUNCTION leadflow._leads_inserted() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_lead_inserted'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._leads_inserted() IS
'Internal. Statement trigger AFTER INSERT of leads: score state, first row of history.';

CREATE OR REPLACE FUNCTION leadflow._leads_updated() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_lead_updated'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._leads_updated() IS
'Internal. Statement trigger AFTER UPDATE of leads: what follows from moves, new owners and changed attributes, for the whole batch.';

CREATE OR REPLACE FUNCTION leadflow._leads_deleted() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_lead_deleted'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._leads_deleted() IS
'Internal. Statement trigger AFTER DELETE of leads: activities, history, hand-offs and clocks go with them.';

CREATE OR REPLACE FUNCTION leadflow._leads_truncated() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_lead_truncated'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._leads_truncated() IS
'Internal. Trigger AFTER TRUNCATE of leads: activities, history, hand-offs and clocks are emptied, too.';

CREATE OR REPLACE FUNCTION leadflow._engine_owned() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_engine_owned'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._engine_owned() IS
'Internal. Statement trigger on tables that leadflow alone writes: refuses everybody else (428C9).';

CREATE OR REPLACE FUNCTION leadflow._stage_renamed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_stage_renamed'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._stage_renamed() IS
'Internal. Trigger AFTER UPDATE of a stage''s name: the history of stages goes along.';

-- Runs with the rights of the caller, who needs UPDATE on leads.
CREATE OR REPLACE FUNCTION leadflow.move(
	lead_id bigint,
	to_stage text,
	reason text DEFAULT NULL,
	note text DEFAULT NULL,
	revisit_on date DEFAULT NULL,
	actor text DEFAULT NULL,
	at timestamptz DEFAULT NULL
) RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_lead_move'
	LANGUAGE C VOLATILE
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION leadflow.move(bigint, text, text, text, date, text, timestamptz) IS
'Moves a lead to a stage, exactly as UPDATE leadflow.leads SET stage = … does, and returns the stage that it is in then. actor = e-mail of a team member, for roles that act for others; at = when the move was made, for roles that import (not before the previous move, not in the future). A lead that is there already is left as it is.';

CREATE OR REPLACE FUNCTION leadflow._stage_fixed() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	renamed CONSTANT boolean := TG_OP = 'UPDATE' AND NEW.name <> OLD.name;
	recategorised CONSTANT boolean := TG_OP = 'UPDATE' AND NEW.category <> OLD.category;
	shipped CONSTANT boolean := OLD.name IN ('lead', 'mql', 'sql', 'accepted', 'opportunity', 'won', 'lost', 'rejected', 'nurture', 'disqualified');
BEGIN
	IF shipped AND (TG_OP = 'DELETE' OR renamed OR recategorised) THEN
		RAISE check_violation USING
			MESSAGE = format('stage "%s" keeps its %s', OLD.name, CASE WHEN recategorised AND NOT renamed THEN 'category' ELSE 'name' END),
			DETAIL = 'The engine and the reports go by the names of the shipped stages.',
			HINT = 'Change its label; stages of your own may be named and renamed as you like.',
			SCHEMA = 'leadflow', TABLE = 'stages', CONSTRAINT = 'stages_shipped',
			COLUMN = CASE WHEN recategorised AND NOT renamed THEN 'category' ELSE 'name' END;
	END IF;
	IF TG_OP = 'DELETE' OR recategorised THEN
		-- waits for whoever moves a lead here, and has them wait
		PERFORM FROM leadflow.stages s WHERE s.name = OLD.name FOR UPDATE;
		IF EXISTS (SELECT FROM leadflow.stage_history h WHERE h.to_stage = OLD.name) THEN
			IF recategorised THEN
				RAISE check_violation USING
					MESSAGE = format('leads have been in stage "%s": it keeps its category', OLD.name),
					DETAIL = format('Category %s; hand-offs, clocks and reports of those leads go by it.', OLD.category),
					HINT = 'Add another stage, and moves to it; the moves to this one can be deleted.',
					SCHEMA = 'leadflow', TABLE = 'stages', COLUMN = 'category', CONSTRAINT = 'stages_category_fixed';
			END IF;
			RAISE foreign_key_violation USING
				MESSAGE = format('leads have been in stage "%s": it cannot be deleted', OLD.name),
				DETAIL = 'The history of stages names it.',
				HINT = 'Delete the moves to it from leadflow.stage_transitions, and no lead enters it any more.',
				SCHEMA = 'leadflow', TABLE = 'stages', COLUMN = 'name', CONSTRAINT = 'stages_in_history';
		END IF;
	END IF;
	RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION leadflow._stage_fixed() IS
'Trigger, before UPDATE or DELETE of stages: the shipped ones keep name and category (23514 stages_shipped); one that leads have been in keeps its category (23514 stages_category_fixed) and is not deleted (23503 stages_in_history).';
