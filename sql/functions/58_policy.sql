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
			'needs_target', needed[1], format('metric %s needs %s, and nothing else', NEW.metric, array_to_string(needed, ' and ')),
			CASE NEW.metric
				WHEN 'attempts' THEN 'target_count is the number of touches, within the working time for them: target_count 5, within ''40 hours''.'
				WHEN 'acceptance_rate' THEN 'target_rate is a share of the MQLs of a month, such as 0.6.'
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
				WHEN wrong."column" = 'metric' THEN format('Service level "%s" was to have it.', NEW.name)
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
'Trigger of sla_policies and the calendars, before and after a statement: a correction makes open clocks due anew. It takes turns with whoever starts or stops clocks, until COMMIT.';

CREATE OR REPLACE FUNCTION leadflow.restate_sla("from" timestamptz, "to" timestamptz) RETURNS bigint
AS 'MODULE_PATHNAME', 'leadflow_restate_sla'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.restate_sla(timestamptz, timestamptz) IS
'Judges stopped clocks that started in ["from", "to") anew, by their version of the service level and by the calendars as they are now, and returns how many were found otherwise; each of those gets a row of sla_restatements: state and due_at before and since, when, and by which role. A breach that comes of it is announced by the next check_sla(). Clocks that run need none: they are corrected with the policy or the calendar. Infinite instants are open ends. 22004 for NULL, 22023 for a range that ends before it begins. For …_admin and owners. O(clocks).';

-- As on calendars.
CREATE OR REPLACE FUNCTION leadflow._service_levels_hint() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce('Existing service levels: ' || string_agg(CASE WHEN n.n <= 5 THEN format('"%s"', n.name) ELSE '...' END, ', ' ORDER BY n.n)
		|| CASE WHEN count(*) <= 5 THEN '.' ELSE '' END, 'There is none in leadflow.sla_policies yet.')
	FROM (
		SELECT p.name, row_number() OVER (ORDER BY p.name COLLATE "C") AS n
		FROM leadflow.sla_policies p
		GROUP BY p.name
		ORDER BY 2
		LIMIT 6
	) n
$$;
COMMENT ON FUNCTION leadflow._service_levels_hint() IS
'Internal. Which names there are, for who asked for another.';

-- Agreement. A promise holds whether anybody agreed to it or not.

CREATE OR REPLACE FUNCTION leadflow.approve_policy(policy_id bigint, team text, member_id bigint) RETURNS text
AS 'MODULE_PATHNAME', 'leadflow_as_engine'
LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.approve_policy(bigint, text, bigint) IS
'A member of a team (marketing or sales; leadership may stand in for either, but one person for one team only) approves a version of a service level as it stands. Returns draft while the other team''s approval is missing, then agreed; definitions_in_force shows who agreed. It holds before that, too. Any edit but of the end of its validity withdraws the approvals; repeated, it changes nothing. The session must be that member''s by db_role, or its role must act for others (42501). 22004 for NULL, 22023 for an unknown policy, team or member, 42501 for a member who is inactive or of another team, 23514 sla_policies_agreed for one who approved for the other team, 40001 if the policy was edited meanwhile.';

CREATE OR REPLACE FUNCTION leadflow._do_approve_policy(policy_id bigint, team text, member_id bigint) RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	full_name text;
	seen jsonb;
	stands jsonb;
BEGIN
	IF $1 IS NULL OR $2 IS NULL OR $3 IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'an approval needs a policy, a team and a member',
			HINT = 'SELECT leadflow.approve_policy(policy_id, ''marketing'' or ''sales'', member_id).';
	END IF;
	-- What the member has before them: an edit that is not committed yet is not in it.
	SELECT to_jsonb(p) || jsonb_build_object('valid', lower(p.valid)) INTO seen FROM leadflow.sla_policies p WHERE p.id = $1;
	IF NOT FOUND THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unknown service level %s', $1),
			HINT = leadflow._service_levels_hint() || ' leadflow.definitions_in_force has the ids (policy_id).';
	END IF;
	full_name := leadflow._check_approver('service levels', $2, $3);

	LOCK TABLE leadflow.sla_policies IN SHARE UPDATE EXCLUSIVE MODE;
	SELECT to_jsonb(p) || jsonb_build_object('valid', lower(p.valid)) INTO stands FROM leadflow.sla_policies p WHERE p.id = $1 FOR NO KEY UPDATE;
	IF stands IS DISTINCT FROM seen THEN
		RAISE serialization_failure USING
			MESSAGE = format('service level %s was edited while it was being approved', $1),
			HINT = 'Look at it again, then approve it again.';
	ELSIF EXISTS (SELECT FROM leadflow.sla_approvals a
		WHERE a.policy_id = $1 AND a.team <> $2 AND a.member_id = $3) THEN
		RAISE check_violation USING
			MESSAGE = 'one member does not approve for both teams',
			DETAIL = format('%s has approved service level %s for the other team.', full_name, $1),
			HINT = format('Somebody else of %s or leadership approves for %s.', $2, $2),
			SCHEMA = 'leadflow', TABLE = 'sla_policies', CONSTRAINT = 'sla_policies_agreed';
	END IF;

	INSERT INTO leadflow.sla_approvals (policy_id, team, member_id, approved_at)
	VALUES ($1, $2, $3, leadflow.now())
	ON CONFLICT DO NOTHING;
	RETURN (SELECT CASE count(*) WHEN 2 THEN 'agreed' ELSE 'draft' END FROM leadflow.sla_approvals a WHERE a.policy_id = $1);
END
$$;
COMMENT ON FUNCTION leadflow._do_approve_policy(bigint, text, bigint) IS
'Internal. What approve_policy() does.';

CREATE OR REPLACE FUNCTION leadflow.change_policy(name text, target interval, "from" timestamptz DEFAULT leadflow.now(),
	target_count integer DEFAULT NULL, target_rate double precision DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	version record;
	clocks record;
	new_version bigint;
BEGIN
	IF $1 IS NULL OR $3 IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = 'a change needs the name of a service level and an instant',
			HINT = 'SELECT leadflow.change_policy(''name'', ''4 hours'').';
	ELSIF NOT isfinite($3) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'a change needs a finite instant',
			HINT = 'Left out, it is from now on.';
	END IF;

	LOCK TABLE leadflow.sla_policies IN SHARE UPDATE EXCLUSIVE MODE;
	SELECT p.* INTO version FROM leadflow.sla_policies p WHERE p.name = $1 AND p.valid @> $3;
	IF NOT FOUND THEN
		IF NOT EXISTS (SELECT FROM leadflow.sla_policies p WHERE p.name = $1) THEN
			RAISE invalid_parameter_value USING
				MESSAGE = format('unknown service level "%s"', $1),
				HINT = leadflow._service_levels_hint();
		END IF;
		RAISE invalid_parameter_value USING
			MESSAGE = format('service level "%s" is not in force at %s', $1, $3),
			DETAIL = (SELECT format('Its versions are valid in %s.', string_agg(p.valid::text, ', ' ORDER BY p.valid))
				FROM leadflow.sla_policies p WHERE p.name = $1),
			HINT = 'Insert a version that is, into leadflow.sla_policies.';
	ELSIF lower(version.valid) = $3 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('service level "%s" begins at that instant', $1),
			DETAIL = format('Policy %s is valid in %s.', version.id, version.valid),
			HINT = format('Take a later instant. To correct it from its beginning: UPDATE leadflow.sla_policies SET … WHERE id = %s.', version.id);
	END IF;
	SELECT count(*) AS started, max(c.started_at) AS last INTO clocks
	FROM leadflow.sla_clocks c WHERE c.policy_id = version.id AND c.started_at >= $3;
	IF clocks.started > 0 THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('clocks have started by service level "%s" since then', $1),
			DETAIL = format('%s started at %s or after it by policy %s, the last at %s.', clocks.started, $3, version.id, clocks.last),
			HINT = format('Clocks keep the version under which they started: take an instant after the last. Or correct that version (UPDATE leadflow.sla_policies SET … WHERE id = %s): then open clocks are due anew, and leadflow.restate_sla() does so with closed ones.', version.id);
	END IF;

	UPDATE leadflow.sla_policies p
	SET valid = tstzrange(lower(p.valid), $3, CASE WHEN lower_inc(p.valid) THEN '[)' ELSE '()' END)
	WHERE p.id = version.id;
	-- what kind of target the metric has is the table's to judge
	INSERT INTO leadflow.sla_policies (name, metric, team, target, target_count, target_rate, within, calendar_id,
		condition, priority, warn_fraction, on_breach, valid)
	VALUES (version.name, version.metric, version.team,
		CASE WHEN version.metric <> 'attempts' THEN $2 END,
		CASE WHEN version.metric = 'attempts' THEN coalesce($4, version.target_count) ELSE $4 END,
		$5,
		CASE WHEN version.metric = 'attempts' THEN coalesce($2, version.within) END,
		version.calendar_id, version.condition, version.priority, version.warn_fraction, version.on_breach,
		tstzrange($3, upper(version.valid), CASE WHEN upper_inc(version.valid) THEN '[]' ELSE '[)' END))
	RETURNING id INTO new_version;
	RETURN new_version;
END
$$;
COMMENT ON FUNCTION leadflow.change_policy(text, interval, timestamptz, integer, double precision) IS
'Promises something else from an instant on: ends the version of a service level that is valid then and inserts the next, until that one would have ended, with all else the same; returns its id. Clocks keep the version under which they started; approvals are given anew. target: working time, of attempts the time for them (NULL: as it was); target_count: of mql_volume, accepted_volume and attempts (NULL: as it was); target_rate: of acceptance_rate. 22004 for NULL as name or instant; 22023 for an unknown name, an instant that is not finite, at which no version is valid or at which one begins (then correct that one: UPDATE), or at or after which clocks have started by the old version; 23514 sla_policies_needs_target for what the metric has no use for. For …_admin and owners. O(clocks).';

-- A promise in words.

CREATE OR REPLACE FUNCTION leadflow._hours_text(length interval) RETURNS text
LANGUAGE sql STRICT IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s %s%s', n.n, n.unit, CASE WHEN n.n <> 1 THEN 's' END)
	FROM (SELECT extract(epoch FROM $1) AS seconds) s
	CROSS JOIN LATERAL (
		SELECT trim_scale(round(s.seconds / u.seconds, 2)) AS n, u.unit
		FROM (VALUES (3600, 'hour'), (60, 'minute'), (1, 'second')) u (seconds, unit)
		WHERE s.seconds >= u.seconds OR u.seconds = 1
		ORDER BY u.seconds DESC
		LIMIT 1
	) n
$$;
COMMENT ON FUNCTION leadflow._hours_text(interval) IS
'Internal. A length of working time in words: in hours, below one in minutes.';

CREATE OR REPLACE FUNCTION leadflow._promise_text(policy_id bigint) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat(
		CASE p.team WHEN 'marketing' THEN 'Marketing: ' ELSE 'Sales: ' END,
		CASE p.metric
			WHEN 'time_to_handoff' THEN 'an MQL is handed to sales'
			WHEN 'time_to_accept' THEN 'a lead that was handed over is decided on (accepted, rejected, nurture)'
			WHEN 'time_to_first_touch' THEN 'a lead that was handed over gets its first touch'
			WHEN 'time_to_first_contact' THEN 'a lead that was handed over has its first two-way contact'
			WHEN 'time_to_nurture' THEN 'a lead that was rejected or lost goes to nurture'
			WHEN 'attempts' THEN format('a lead that was handed over gets %s touches', p.target_count)
			WHEN 'next_response' THEN 'a lead that waits for a reply gets one'
			WHEN 'time_in_stage' THEN 'a lead moves on from its stage'
			WHEN 'time_to_review' THEN 'a rejection under review gets its verdict'
			WHEN 'mql_volume' THEN format('%s or more MQLs a month', p.target_count)
			WHEN 'accepted_volume' THEN format('%s or more MQLs a month that sales accepts', p.target_count)
			WHEN 'acceptance_rate' THEN format('sales accepts %s %% or more of the MQLs of a month', trim_scale(round(p.target_rate::numeric * 100, 2)))
			END,
		CASE WHEN p.metric NOT IN ('mql_volume', 'accepted_volume', 'acceptance_rate') THEN
			format(' within %s (%s)', leadflow._hours_text(coalesce(p.target, p.within)),
				CASE WHEN k.name IS NULL THEN 'working hours of whoever has the lead' ELSE 'calendar ' || k.name END) END,
		', for leads where ' || leadflow._condition_text(p.condition),
		', warning after ' || trim_scale(round(p.warn_fraction::numeric * 100, 1)) || ' %',
		'.',
		CASE
			WHEN p.metric IN ('mql_volume', 'accepted_volume', 'acceptance_rate') THEN NULL
			WHEN p.on_breach = 'reassign' THEN ' If not, another rep gets the lead.'
			WHEN p.on_breach = 'return_to_marketing' THEN ' If not, the lead goes back to marketing.'
			ELSE ' If not, whoever has the lead is told, and their manager.' END)
	FROM leadflow.sla_policies p
	LEFT JOIN leadflow.calendars k ON k.id = p.calendar_id
	WHERE p.id = $1
$$;
COMMENT ON FUNCTION leadflow._promise_text(bigint) IS
'Internal. What a version of a service level promises, in words.';
