-- Service levels: the promises.
--
-- Whoever writes sla_policies, approves or changes a promise takes the table lock first: they
-- take turns, and whoever moves leads does not wait for them.

CREATE OR REPLACE FUNCTION leadflow._sla_policies_lock() RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_sla_policies_lock'
LANGUAGE C;
COMMENT ON FUNCTION leadflow._sla_policies_lock() IS
'Trigger of sla_policies: whoever writes it takes turns, until COMMIT.';

-- The CHECKs of the table, in words.
CREATE OR REPLACE FUNCTION leadflow._sla_policy_check() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	monthly CONSTANT boolean := NEW.metric IN ('mql_volume', 'accepted_volume', 'acceptance_rate');
	-- what may be taken from sales, because sales may have it
	takeable CONSTANT text[] := '{time_to_accept,time_to_first_touch,time_to_first_contact,attempts,next_response,time_in_stage}';
	needed CONSTANT text[] := CASE
		WHEN NEW.metric IN ('mql_volume', 'accepted_volume') THEN '{target_count}'
		WHEN NEW.metric = 'acceptance_rate' THEN '{target_rate}'
		WHEN NEW.metric = 'attempts' THEN '{target_count,within}'
		ELSE '{target}' END;
	given CONSTANT text[] := ARRAY(
		SELECT g.name
		FROM (VALUES
			(1, 'target', NEW.target::text), (2, 'target_count', NEW.target_count::text),
			(3, 'target_rate', NEW.target_rate::text), (4, 'within', NEW.within::text)) g (n, name, value)
		WHERE g.value IS NOT NULL ORDER BY g.n);
	wrong record;
BEGIN
	IF NEW.team IS NULL THEN
		NEW.team := CASE WHEN monthly OR NEW.metric = 'time_to_handoff' THEN 'marketing' ELSE 'sales' END;
	END IF;

	-- what is NULL and must not be is refused as such
	SELECT r.* INTO wrong
	FROM (VALUES
		(1, NEW.metric NOT IN ('time_to_handoff', 'time_to_accept', 'time_to_first_touch', 'time_to_first_contact',
				'time_to_nurture', 'attempts', 'next_response', 'time_in_stage', 'time_to_review',
				'mql_volume', 'accepted_volume', 'acceptance_rate'),
			'metric', 'metric', format('unknown metric "%s"', NEW.metric),
			'A clock a lead: time_to_handoff, time_to_accept, time_to_first_touch, time_to_first_contact, time_to_nurture, attempts, next_response, time_in_stage, time_to_review. A month: mql_volume, accepted_volume, acceptance_rate.'),
		(2, NEW.team NOT IN ('marketing', 'sales'),
			'team', 'team', format('team "%s" makes no promises', NEW.team),
			'The teams are marketing and sales; left out, it goes by the metric.'),
		(3, monthly AND NEW.team <> 'marketing',
			'team_metric', 'team', format('metric %s is promised by marketing', NEW.metric),
			'Leave team out.'),
		(4, given <> needed,
			'needs_target', needed[1], format('metric %s needs %s and nothing else', NEW.metric, array_to_string(needed, ' and ')),
			CASE NEW.metric
				WHEN 'attempts' THEN 'target_count is the number of touches, within the working time for them: target_count 5, within ''40 hours''.'
				WHEN 'acceptance_rate' THEN 'target_rate is a share of the leads that were handed over, such as 0.6.'
				ELSE CASE WHEN monthly THEN 'target_count is the number of leads a month, such as 40.'
					ELSE 'target is the working time for it, such as ''4 hours''.' END END),
		(5, NEW.target <= '0' OR NEW.target > '3660 days',
			'target', 'target', 'target must be more than 0 and at most 3660 days',
			'It is working time: a day of it is 24 hours, a working day of calendar office 8.'),
		(6, NEW.within <= '0' OR NEW.within > '3660 days',
			'within', 'within', 'within must be more than 0 and at most 3660 days',
			'It is working time: a day of it is 24 hours, a working day of calendar office 8.'),
		(7, NEW.target_count <= 0,
			'target_count', 'target_count', 'target_count must be more than 0',
			'It is a number of touches or of leads a month, such as 5.'),
		(8, NOT (NEW.target_rate > 0 AND NEW.target_rate <= 1),
			'target_rate', 'target_rate', 'target_rate must be more than 0 and at most 1',
			'60 % is 0.6.'),
		(9, monthly AND NEW.warn_fraction IS NOT NULL,
			'warn_fraction', 'warn_fraction', format('metric %s does not warn', NEW.metric),
			'Leave warn_fraction out: only clocks warn. leadflow.marketing_sla_daily shows how the month is going.'),
		(10, NOT (NEW.warn_fraction > 0 AND NEW.warn_fraction < 1),
			'warn_fraction', 'warn_fraction', 'warn_fraction must be more than 0 and less than 1',
			'0.75 warns when three quarters of the time have passed, NULL never.'),
		(11, NEW.on_breach NOT IN ('notify', 'reassign', 'return_to_marketing'),
			'on_breach', 'on_breach', format('unknown consequence of a breach: "%s"', NEW.on_breach),
			'on_breach is notify, reassign or return_to_marketing.'),
		(12, NEW.on_breach <> 'notify' AND NEW.metric <> ALL (takeable),
			'on_breach', 'on_breach', format('a breach of metric %s takes no lead from sales', NEW.metric),
			'Set on_breach to notify; ' || array_to_string(takeable, ', ') || ' may reassign or return_to_marketing.'),
		(13, NOT NEW.valid && '(-infinity,infinity)',
			'valid', 'valid', 'a service level must be valid at some time',
			'valid is a range of instants, its end mostly not included: [2026-01-01,2027-01-01), or [2026-01-01,) without an end.')
	) r (n, is_wrong, "constraint", "column", message, hint)
	WHERE r.is_wrong
	ORDER BY r.n
	LIMIT 1;
	IF FOUND THEN
		RAISE check_violation USING
			MESSAGE = wrong.message,
			DETAIL = CASE
				WHEN wrong."constraint" <> 'needs_target' THEN
					format('Service level "%s", metric %s: %s is %s.', NEW.name, NEW.metric, wrong."column", to_jsonb(NEW) ->> wrong."column")
				WHEN given = '{}' THEN format('Service level "%s" has none.', NEW.name)
				ELSE format('Service level "%s" has %s.', NEW.name, array_to_string(given, ', ')) END,
			HINT = wrong.hint,
			SCHEMA = 'leadflow', TABLE = 'sla_policies', COLUMN = wrong."column",
			CONSTRAINT = 'sla_policies_' || wrong."constraint";
	END IF;

	-- Clocks are of their policy's metric.
	IF TG_OP = 'UPDATE' THEN
		IF NEW.metric <> OLD.metric AND EXISTS (SELECT FROM leadflow.sla_clocks c WHERE c.policy_id = OLD.id) THEN
			RAISE check_violation USING
				MESSAGE = format('service level "%s" has clocks of metric %s', OLD.name, OLD.metric),
				DETAIL = format('Policy %s was to have metric %s.', OLD.id, NEW.metric),
				HINT = 'End it (set the end of valid), and insert what is promised instead, with a name of its own.',
				SCHEMA = 'leadflow', TABLE = 'sla_policies', COLUMN = 'metric', CONSTRAINT = 'sla_policies_metric';
		END IF;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION leadflow._sla_policy_check() IS
'Trigger, before a row of sla_policies is written: names the team where none is named (marketing for time_to_handoff and what is counted a month, else sales), and says what is wrong with the row by itself (23514, the constraint''s name, a hint).';

CREATE OR REPLACE FUNCTION leadflow._sla_policy_keep() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM leadflow.sla_clocks c WHERE c.policy_id = OLD.id) THEN
		RAISE foreign_key_violation USING
			MESSAGE = format('service level "%s" has clocks and cannot be deleted', OLD.name),
			DETAIL = format('Clocks ran or run by policy %s.', OLD.id),
			HINT = format('End it: UPDATE leadflow.sla_policies SET valid = tstzrange(lower(valid), leadflow.now()) WHERE id = %s.', OLD.id),
			SCHEMA = 'leadflow', TABLE = 'sla_clocks', CONSTRAINT = 'sla_clocks_policy_id_fkey';
	END IF;
	RETURN OLD;
END
$$;
COMMENT ON FUNCTION leadflow._sla_policy_keep() IS
'Trigger, before a row of sla_policies is deleted: one that has clocks stays (23503), and what to do instead.';

CREATE OR REPLACE FUNCTION leadflow._sla_policy_validate() RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_sla_policy_validate'
LANGUAGE C;
COMMENT ON FUNCTION leadflow._sla_policy_validate() IS
'Trigger of sla_policies: refuses a target with months or years and a calendar that is not open for that long (22023), versions of one name that overlap (23P01 sla_policies_versions) or have different metrics (23514 sla_policies_versions).';

CREATE OR REPLACE FUNCTION leadflow._sla_policy_edited() RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_sla_policy_edited'
LANGUAGE C;
COMMENT ON FUNCTION leadflow._sla_policy_edited() IS
'Trigger of sla_policies: what was agreed to has changed, so nobody has approved it any more.';

CREATE OR REPLACE FUNCTION leadflow._sla_correct() RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_sla_correct'
LANGUAGE C;
COMMENT ON FUNCTION leadflow._sla_correct() IS
'Trigger of sla_policies and the calendars: a correction makes open clocks due anew.';
