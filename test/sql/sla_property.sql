--
-- Random lives of leads against every promise there is: after whatever happens, verify() finds
-- nothing and each start has its clock; the same facts in another order of arrival give the same clocks; and
-- deadlines are those that counting minutes gives, without business_time().
--
-- LEADFLOW_HISTORIES=5000 LEADFLOW_SEED=0.42 make test TESTS=sla_property: more lives, or others.
-- On failure: the round's number and the seed make it again (CALL live(round, seed), CALL shuffle(round, seed)).
--
\getenv histories LEADFLOW_HISTORIES
\getenv seed LEADFLOW_SEED
\if :{?histories}
\else
	\set histories 220
\endif
\if :{?seed}
\else
	\set seed 0.23
\endif
SET timezone = 'UTC';
SET client_min_messages = error;	-- calendars that are emptied warn
SET leadflow.clock = '2026-03-01 00:00Z';
SET jit = off;

CREATE TABLE differences (round integer, what text, lead_id bigint, at timestamptz, kept text, recomputed text);
CREATE TABLE seen (metric text, state text, PRIMARY KEY (metric, state));
CREATE TABLE done (lives bigint, compared bigint, rolled_back bigint, refused bigint, minutes bigint);
INSERT INTO done VALUES (0, 0, 0, 0, 0);

CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT choices[1 + floor(random() * cardinality(choices))::integer]
$$;
CREATE FUNCTION upto(n integer) RETURNS integer LANGUAGE sql VOLATILE AS $$ SELECT floor(random() * (n + 1))::integer $$;
CREATE FUNCTION chance(p float8) RETURNS boolean LANGUAGE sql VOLATILE AS $$ SELECT random() < p $$;
CREATE FUNCTION random_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$ SELECT md5(random()::text || random()::text)::uuid $$;
-- Which rows, wherever they lie, so that a seed makes it again.
CREATE FUNCTION lot(salt float8, key text) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$
	SELECT ('x0' || substr(md5(key || salt), 1, 7))::bit(32)::integer / 268435456.0::float8
$$;
CREATE FUNCTION random_lead() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT l.id FROM leadflow.leads l, (SELECT random()) r (salt) ORDER BY lot(r.salt, l.id::text), l.id LIMIT 1
$$;
CREATE FUNCTION random_member() RETURNS bigint LANGUAGE sql VOLATILE AS $$ SELECT pick('1', '2', '3', '4', '5')::bigint $$;
CREATE FUNCTION random_kind() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT pick('call', 'call', 'email_sent', 'call_connected', 'meeting', 'email_reply', 'call_inbound', 'demo_request', 'contact_request',
		'page_view', 'note', 'strange')
$$;
CREATE FUNCTION set_clock(at timestamptz) RETURNS void LANGUAGE sql VOLATILE AS $$ SELECT set_config('leadflow.clock', at::text, false) $$;

--
-- Who works when, and what was promised. The clocks change on 29 March and 25 October.
--
CREATE PROCEDURE opening_hours() LANGUAGE sql AS $$
	UPDATE leadflow.calendars c SET time_zone = z.zone
	FROM (VALUES (101, 'Europe/Berlin'), (102, 'Europe/Berlin'), (103, 'Europe/London'), (104, 'America/New_York'), (105, 'Europe/Berlin')) z (id, zone)
	WHERE c.id = z.id AND c.time_zone <> z.zone;
	DELETE FROM leadflow.calendar_hours WHERE calendar_id > 100;
	DELETE FROM leadflow.calendar_holidays WHERE calendar_id > 100;
	INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
	SELECT c, d, o, z
	FROM (VALUES (101, 5, time '09:00', time '17:00'), (102, 7, '00:00', '24:00'), (103, 7, '22:00', '24:00'), (103, 7, '00:00', '05:30'),
		(104, 6, '08:30', '12:00'), (104, 5, '13:00', '17:30')) h (c, days, o, z), generate_series(1, h.days) d;
	INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes) VALUES
		(101, '2026-03-30', NULL, NULL), (101, '2026-03-29', '01:00', '04:00'), (101, '2026-10-26', '10:00', '12:30'), (104, '2026-10-31', NULL, NULL);
$$;
INSERT INTO leadflow.calendars (id, name, time_zone) VALUES
	(101, 'berlin', 'Europe/Berlin'), (102, 'round', 'Europe/Berlin'), (103, 'night', 'Europe/London'), (104, 'lunch', 'America/New_York'), (105, 'never', 'Europe/Berlin');
CALL opening_hours();
INSERT INTO leadflow.team_members (id, full_name, email, team, calendar_id)
SELECT n, name, lower(name) || '@our.example', team, calendar
FROM (VALUES (1, 'Ann', 'sales', 101), (2, 'Bob', 'sales', 102), (3, 'Cid', 'sales', 103), (4, 'Dan', 'sales', NULL), (5, 'Eve', 'sales', 104),
	(6, 'Mia', 'marketing', NULL), (7, 'Max', 'marketing', 101), (8, 'Moe', 'marketing', NULL)) m (n, name, team, calendar);
UPDATE leadflow.settings SET review_quorum = 1;
-- nobody moves but who is moved
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';

-- country and stage: what the condition asks
DELETE FROM leadflow.sla_policies;
CREATE TABLE promises (id bigint, country text, stage text);
CREATE PROCEDURE promise() LANGUAGE sql AS $$
	DELETE FROM promises;
	DELETE FROM leadflow.sla_policies;
	INSERT INTO leadflow.sla_policies (id, name, metric, team, target, target_count, within, calendar_id, condition, priority, warn_fraction, valid)
	SELECT p.id, 'p' || p.id, p.metric, CASE p.metric WHEN 'time_to_handoff' THEN 'marketing' ELSE 'sales' END,
		CASE WHEN p.metric <> 'attempts' THEN p.target END, CASE WHEN p.metric = 'attempts' THEN p.id % 2 + 2 END, CASE WHEN p.metric = 'attempts' THEN p.target END,
		p.calendar, p.condition, p.priority, p.warn, p.valid
	FROM (VALUES
		(1, 'time_to_handoff', interval '6 hours', 101, NULL::jsonpath, 0, 0.5, '(,)'::tstzrange),
		(2, 'time_to_handoff', '3 hours', NULL, '$.country == "DE"', 5, NULL, '(,)'),
		(3, 'time_to_accept', '8 hours', 101, NULL, 0, 0.75, '(,)'),
		(4, 'time_to_accept', '5 hours', NULL, '$.country == "DE"', 1, 0.3, '(,)'),
		(5, 'time_to_accept', '4 hours', 104, '$.country == "FR"', 1, NULL, '(,2026-03-28 12:00Z)'),
		(6, 'time_to_first_touch', '4 hours', NULL, NULL, 0, 0.75, '(,)'),
		(7, 'time_to_first_touch', '90 minutes', 103, '$.country == "FR"', 1, 0.5, '(,)'),
		(8, 'time_to_first_contact', '1 day', NULL, NULL, 0, 0.9, '(,)'),
		(9, 'time_to_first_contact', '9 hours', 104, '$.country == "DE"', 1, NULL, '(,)'),
		(10, 'time_to_nurture', '30 hours', 102, NULL, 0, 0.5, '(,)'),
		(11, 'time_to_nurture', '7 hours', NULL, '$.stage == "lost"', 1, NULL, '(,)'),
		(12, 'attempts', '16 hours', 101, NULL, 0, 0.5, '(,)'),
		(13, 'attempts', '12 hours', NULL, '$.country == "DE"', 2, 0.1, '(,)'),
		(14, 'next_response', '2 hours', NULL, NULL, 0, 0.5, '(,)'),
		(15, 'next_response', '5 hours', 103, '$.country == "FR"', 1, NULL, '(,)'),
		(16, 'next_response', '1 hour', 102, '$.country == "DE"', 2, 0.25, '(,)'),
		(17, 'time_in_stage', '20 hours', 101, NULL, 0, 0.5, '(,)'),
		(18, 'time_in_stage', '10 hours', NULL, '$.stage == "accepted"', 1, NULL, '(,)'),
		(19, 'time_in_stage', '11 hours', NULL, '$.stage == "mql" && $.country == "FR"', 1, 0.5, '(,)'),
		(20, 'time_to_review', '6 hours', 101, NULL, 0, 0.5, '(,)'),
		(21, 'time_to_review', '15 hours', NULL, '$.country == "DE"', 1, NULL, '(,)'),
		(22, 'time_to_accept', '1 hour', 105, '$.country == "XX"', 9, NULL, '(,)')
	) p (id, metric, target, calendar, condition, priority, warn, valid)
	-- a calendar that is never open can't be promised in
	WHERE p.calendar IS DISTINCT FROM 105;
	INSERT INTO promises
	SELECT p.id, substring(p.condition::text FROM 'country" == "(..)'), substring(p.condition::text FROM 'stage" == "(\w+)') FROM leadflow.sla_policies p;
$$;
CALL promise();

--
-- What must be true of the leads that there are
--

-- A correction rewrites what open clocks are held to, and leaves those that have stopped, whatever becomes of them.
CREATE TABLE stopped_once (id bigint PRIMARY KEY);
CREATE FUNCTION note_stop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.stopped_once VALUES (NEW.id) ON CONFLICT DO NOTHING;
	RETURN NULL;
END $$;
CREATE TRIGGER zz_note_stop AFTER INSERT OR UPDATE ON leadflow.sla_clocks FOR EACH ROW WHEN (NEW.stopped_at IS NOT NULL) EXECUTE FUNCTION note_stop();

-- Every start has the clock of the policy of the highest priority that held, and there is no other.
CREATE TABLE quiet (lead_id bigint);
CREATE FUNCTION starts() RETURNS TABLE (lead_id bigint, metric text, at timestamptz, key text, stage text) LANGUAGE sql STABLE AS $$
	WITH history AS (
		SELECT h.*, g.category, lag(g.category) OVER (PARTITION BY h.lead_id ORDER BY h.id) AS came_from
		FROM leadflow.stage_history h JOIN leadflow.stages g ON g.name = h.to_stage
	)
	SELECT h.lead_id, m.metric, h.entered_at, h.id::text, h.to_stage
	FROM history h, unnest(ARRAY['time_to_handoff', 'time_to_accept', 'time_to_first_touch', 'time_to_first_contact', 'attempts', 'time_to_nurture', 'time_in_stage']) m (metric)
	WHERE CASE m.metric WHEN 'time_to_handoff' THEN h.to_stage = 'mql'
			WHEN 'time_to_nurture' THEN h.to_stage = 'rejected' OR h.category = 'lost'
			WHEN 'time_in_stage' THEN h.category NOT IN ('won', 'lost', 'out')
			ELSE h.category = 'handoff' AND h.came_from <> 'handoff' END
		AND (h.from_stage IS NOT NULL OR h.to_stage = 'lead')
	UNION ALL
	SELECT e.lead_id, 'next_response', e.started_at, e.activity_id::text, NULL FROM leadflow._oracle_episodes() e
	UNION ALL
	SELECT r.lead_id, 'time_to_review', r.opened_at, r.id::text, 'rejected' FROM leadflow.reviews r
$$;
CREATE FUNCTION expected_clocks() RETURNS TABLE (lead_id bigint, metric text, at timestamptz, key text, policy_id bigint) LANGUAGE sql STABLE AS $$
	SELECT s.lead_id, s.metric, s.at, s.key, p.id
	FROM starts() s
	JOIN leadflow.leads l ON l.id = s.lead_id
	CROSS JOIN LATERAL (
		SELECT p.id FROM leadflow.sla_policies p JOIN promises c ON c.id = p.id
		WHERE p.metric = s.metric AND p.valid @> s.at AND coalesce(c.country = l.country, c.country IS NULL) AND coalesce(c.stage = s.stage, c.stage IS NULL)
		ORDER BY p.priority DESC, p.id LIMIT 1
	) p
$$;

CREATE FUNCTION compare(round integer, what text, corrected boolean) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM leadflow.settle();
	INSERT INTO differences
	SELECT round, what || ', ' || v.check_name, (SELECT k.lead_id FROM leadflow.sla_clocks k WHERE k.id::text = split_part(v.object_id, ' ', 1)),
		leadflow.now(), v.object_id || ': ' || v.kept, v.recomputed
	FROM leadflow.verify() v
	UNION ALL
	SELECT round, what || ', ' || coalesce(e.metric, k.metric) || ' start', coalesce(e.lead_id, k.lead_id), leadflow.now(),
		k.id || ': policy ' || k.policy_id || ' at ' || k.started_at, 'policy ' || e.policy_id || ' at ' || e.at
	FROM expected_clocks() e
	FULL JOIN (SELECT k.*, coalesce(k.activity_id::text, k.review_id::text, k.history_id::text) AS key FROM leadflow.sla_clocks k) k
		ON k.lead_id = e.lead_id AND k.metric = e.metric AND k.key = e.key
	WHERE (k.policy_id = e.policy_id AND k.started_at = e.at) IS NOT TRUE
		AND coalesce(e.lead_id, k.lead_id) NOT IN (SELECT q.lead_id FROM quiet q)
	UNION ALL
	SELECT round, what || ', target', k.lead_id, leadflow.now(), format('%s: %s in %s, warns after %s', k.id, k.target_count, k.target, k.warn_after),
		format('%s in %s, warns after %s', p.target_count, t.target, t.target * p.warn_fraction)
	FROM leadflow.sla_clocks k
	JOIN leadflow.sla_policies p ON p.id = k.policy_id
	CROSS JOIN LATERAL (SELECT coalesce(p.within, p.target) AS target) t
	WHERE k.stopped_at IS NULL AND NOT EXISTS (SELECT FROM stopped_once s WHERE s.id = k.id)
		AND (k.target, k.target_count, k.warn_after) IS DISTINCT FROM (t.target, p.target_count, t.target * p.warn_fraction)
	UNION ALL
	-- closed clocks, too, as long as nobody has corrected anything
	SELECT round, what || ', closed ' || k.metric, k.lead_id, leadflow.now(),
		format('%s: due %s, elapsed %s (%s from %s in %s)', k.id, k.due_at, e.elapsed, k.carried, k.counted_from, k.calendar_id),
		format('due %s, elapsed %s', o.due_at, o.elapsed)
	FROM leadflow.sla_clocks k
	JOIN leadflow.sla_policies p ON p.id = k.policy_id
	JOIN leadflow._oracle_clocks() o ON o.id = k.id
	CROSS JOIN LATERAL (
		SELECT k.carried + CASE WHEN k.counted_from >= k.stopped_at THEN interval '0'
			WHEN k.calendar_id IS NULL THEN k.stopped_at - k.counted_from
			ELSE leadflow.business_time(k.calendar_id, k.counted_from, k.stopped_at) END AS elapsed
	) e
	WHERE k.stopped_at IS NOT NULL AND NOT corrected AND o.certain
		AND (coalesce(k.due_at <> o.due_at, k.due_at < k.stopped_at) OR (k.due_at >= k.stopped_at AND e.elapsed <> o.elapsed))
	UNION ALL
	-- what everybody sees, whether or not the sweep was there
	SELECT round, what || ', sla_status', k.lead_id, leadflow.now(), format('%s: %s, elapsed %s', k.id, s.state, s.elapsed_hours), format('%s, elapsed %s', e.state, o.elapsed)
	FROM leadflow.sla_clocks k
	JOIN leadflow.sla_status s ON s.clock_id = k.id
	JOIN leadflow._oracle_clocks() o ON o.id = k.id
	CROSS JOIN LATERAL (
		SELECT CASE WHEN k.stopped_at IS NOT NULL THEN k.state
			WHEN k.due_at < leadflow.now() THEN 'breached'
			WHEN EXISTS (SELECT FROM leadflow.sla_pauses p WHERE p.lead_id = k.lead_id AND p.paused_at < k.due_at
				AND leadflow.now() >= p.paused_at AND leadflow.now() < coalesce(p.until, 'infinity')) THEN 'paused'
			WHEN k.warn_at <= leadflow.now() THEN 'warning'
			ELSE 'running' END AS state
	) e
	WHERE o.certain AND (s.state <> e.state OR (s.state NOT IN ('breached', 'met', 'cancelled') AND abs(s.elapsed_hours - extract(epoch FROM o.elapsed)::float8 / 3600) > 1e-6));
	INSERT INTO seen SELECT DISTINCT s.metric, s.state FROM leadflow.sla_status s ON CONFLICT DO NOTHING;
	UPDATE done SET compared = compared + (SELECT count(*) FROM leadflow.sla_clocks);
END $$;

--
-- Anything that may happen to anybody
--
CREATE FUNCTION act(corrections boolean) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	lead CONSTANT bigint := random_lead();
	-- often at one instant with something else
	back CONSTANT timestamptz := leadflow.now() - upto(upto(40)) * interval '30 minutes';
	salt CONSTANT float8 := random();
	rule record;
BEGIN
	CASE upto(CASE WHEN corrections THEN 26 ELSE 21 END)
	WHEN 0, 1, 2 THEN
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (lead, leadflow.now(), random_id(), random_kind());
	WHEN 3, 4 THEN
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind)
		SELECT random_lead(), leadflow.now() - upto(40 + i) * interval '30 minutes', random_id(), random_kind() FROM generate_series(0, upto(5)) i;
	WHEN 5 THEN
		UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE voided_at IS NULL AND lot(salt, id::text) < .1;
	WHEN 6 THEN
		UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE voided_at IS NOT NULL AND lot(salt, id::text) < .4;
	WHEN 7 THEN
		UPDATE leadflow.activities SET occurred_at = leadflow.now() - floor(100 * lot(salt, 'at' || id)) * interval '30 minutes' WHERE lot(salt, id::text) < .1;
	WHEN 8 THEN
		DELETE FROM leadflow.activities WHERE lot(salt, id::text) < .05;
	WHEN 9 THEN
		PERFORM leadflow.pause_sla(lead, CASE WHEN chance(.5) THEN back + (1 + upto(60)) * interval '30 minutes' END, 'holiday', back);
	WHEN 10, 11 THEN
		PERFORM leadflow.pause_sla(lead, CASE WHEN chance(.3) THEN leadflow.now() + (1 + upto(60)) * interval '30 minutes' END);
	WHEN 12 THEN
		PERFORM leadflow.resume_sla(lead, CASE WHEN chance(.5) THEN leadflow.now() ELSE back END);
	WHEN 13 THEN
		UPDATE leadflow.leads SET owner_id = CASE WHEN chance(.8) THEN random_member() END WHERE id = lead;
	WHEN 14 THEN
		PERFORM leadflow.review(r.lead_id, pick('uphold', 'overturn'), m.email)
		FROM (SELECT r.lead_id FROM leadflow.reviews r WHERE r.closed_at IS NULL ORDER BY lot(salt, r.lead_id::text) LIMIT 1) r
		CROSS JOIN (SELECT m.email FROM leadflow.team_members m WHERE m.team = 'marketing' ORDER BY lot(salt, m.email) LIMIT 1) m;
	WHEN 15 THEN
		CASE upto(9)
		WHEN 0 THEN
			INSERT INTO leadflow.deals (lead_id, amount, status, opened_at) VALUES (lead, 1, pick('open', 'won', 'lost'), leadflow.now());
		WHEN 1 THEN
			UPDATE leadflow.deals d SET status = pick('won', 'lost') WHERE d.lead_id = lead AND d.status = 'open';
		WHEN 2 THEN
			PERFORM leadflow.contest(lead, 'worth a second look', 'mia@our.example');
		WHEN 3 THEN
			PERFORM leadflow.claim_next('sales', random_member());
		WHEN 4 THEN
			-- imported, and loaded quietly
			INSERT INTO leadflow.leads (id, email, country, stage, stage_since)
			SELECT max(l.id) + 1, random_id() || '@our.example', 'FR', pick('sql', 'nurture', 'accepted'), back FROM leadflow.leads l;
		WHEN 5 THEN
			INSERT INTO quiet VALUES (lead);
			PERFORM set_config('leadflow.quiet', 'on', true);
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (lead, back, random_id(), random_kind());
			PERFORM leadflow.settle(), set_config('leadflow.quiet', 'off', true);
		ELSE
			PERFORM leadflow.check_sla();
		END CASE;
	WHEN 22 THEN
		UPDATE leadflow.sla_policies SET target = target + (ARRAY['1 hour', '-15 minutes', '20 hours'])[1 + (id % 3)::integer]::interval, within = within + (ARRAY['2 hours', '-1 hour'])[1 + (id % 2)::integer]::interval
		WHERE lot(salt, name) < .2 AND coalesce(target, within) > '1 hour 15 minutes';
	WHEN 23 THEN
		UPDATE leadflow.sla_policies SET calendar_id = c.id, warn_fraction = w.fraction
		FROM (SELECT pick('101', '102', '103', '104', NULL)::bigint) c (id), (SELECT pick(NULL, '.5', '.8')::float8) w (fraction) WHERE lot(salt, name) < .1;
	WHEN 24 THEN
		INSERT INTO leadflow.calendar_holidays (calendar_id, day, opens, closes)
		SELECT pick('101', '102', '103', '104')::bigint, leadflow.now()::date + upto(4) - 2, h.opens, h.opens + interval '3 hours'
		FROM (SELECT pick(NULL, '08:00', '20:15')::time AS opens) h;
	WHEN 25 THEN
		CASE upto(2)
		WHEN 0 THEN UPDATE leadflow.calendars SET time_zone = pick('Europe/Berlin', 'UTC', 'Asia/Kathmandu') WHERE id = pick('101', '103')::bigint;
		WHEN 1 THEN DELETE FROM leadflow.calendar_hours WHERE calendar_id = pick('101', '102', '103', '104')::bigint;
		ELSE CALL opening_hours();
		END CASE;
	WHEN 26 THEN
		UPDATE leadflow.team_members SET calendar_id = pick('101', '102', '103', '105', NULL)::bigint WHERE id = random_member();
	ELSE
		SELECT t.*, (SELECT r.reason FROM leadflow.stage_reasons r WHERE r.stage = t.to_stage AND r.min_attempts IS NULL ORDER BY lot(salt, r.reason) LIMIT 1) AS reason INTO rule
		FROM leadflow.stage_transitions t JOIN leadflow.leads l ON l.id = lead AND l.stage = t.from_stage
		ORDER BY lot(salt, t.to_stage) LIMIT 1;
		IF FOUND AND chance(.8) THEN
			UPDATE leadflow.leads SET stage = rule.to_stage,
				stage_by = (SELECT m.email FROM leadflow.team_members m WHERE m.team = ANY (rule.teams) AND lot(salt, 'who') < .8 ORDER BY lot(salt, m.email) LIMIT 1),
				stage_reason = CASE WHEN rule.requires_reason OR chance(.3) THEN rule.reason END, stage_note = 'so',
				revisit_on = CASE WHEN rule.requires_revisit THEN '2027-01-01'::date END,
				owner_id = CASE WHEN rule.to_stage = 'sql' AND chance(.7) THEN random_member() ELSE owner_id END
			WHERE id = lead;
		ELSIF FOUND THEN
			PERFORM leadflow.move(lead, rule.to_stage, CASE WHEN rule.requires_reason THEN rule.reason END, 'so',
				CASE WHEN rule.requires_revisit THEN '2027-01-01'::date END, at => back);
		END IF;
	END CASE;
EXCEPTION WHEN check_violation OR exclusion_violation OR no_data_found OR invalid_parameter_value OR insufficient_privilege THEN
	UPDATE done SET refused = refused + 1;	-- not an MQL, say, or no case is open
END $$;

-- Some of it in subtransactions, which end well or not.
CREATE FUNCTION work(depth integer, corrections boolean) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	FOR i IN 0 .. upto(3) LOOP
		IF depth < 2 AND chance(.2) THEN
			BEGIN
				PERFORM work(depth + 1, corrections);
				IF chance(.5) THEN
					RAISE 'back';
				END IF;
			EXCEPTION WHEN raise_exception THEN
				UPDATE done SET rolled_back = rolled_back + 1;
			END;
		ELSE
			PERFORM act(corrections);
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	DELETE FROM leadflow.deals;
	DELETE FROM leadflow.leads;
	DELETE FROM quiet;
	DELETE FROM stopped_once;
	CALL opening_hours();
	CALL promise();
	UPDATE leadflow.team_members m SET calendar_id = c.id FROM (VALUES (1, 101), (2, 102), (3, 103), (4, NULL), (5, 104)) c (member, id)
	WHERE m.id = c.member AND m.calendar_id IS DISTINCT FROM c.id;
END $$;
CREATE FUNCTION begin_round(round integer, seed float8) RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	at timestamptz;
BEGIN
	PERFORM setseed((seed + round * 0.6180339887498949) - floor(seed + round * 0.6180339887498949));
	at := pick('2026-03-26 06:00Z', '2026-10-22 06:00Z')::timestamptz + upto(24) * interval '1 hour';
	PERFORM set_clock(at);
	PERFORM forget();
	RETURN at;
END $$;

-- Ten leads live for some days. In every second round nobody corrects what was promised.
CREATE PROCEDURE live(round integer, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	corrections CONSTANT boolean := round % 2 = 0;
BEGIN
	PERFORM begin_round(round, seed);
	INSERT INTO leadflow.leads (id, email, full_name, country, owner_id)
	SELECT i, random_id() || '@our.example', 'Lead ' || i, pick('DE', 'FR', NULL), CASE WHEN chance(.3) THEN random_member() END
	FROM generate_series(1, 10) i;
	COMMIT;
	FOR i IN 1 .. 30 LOOP
		PERFORM set_clock(leadflow.now() + pick('0', '0', '30 minutes', '30 minutes', '2 hours', '7 hours')::interval);
		PERFORM work(0, corrections);
		IF chance(.1) THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		IF i % 6 = 0 THEN
			PERFORM compare(round, 'live', corrections);
		END IF;
	END LOOP;
	UPDATE done SET lives = lives + 10;
	COMMIT;
END $$;

--
-- The same facts in another order. Moves and new owners happen when they happen; calls, mails and pauses are
-- written down at once for leads 1 to 6, and for their twins 1001 to 1006 whenever: late, in any order,
-- wrongly at first, some twice.
--
CREATE TABLE facts (lead_id bigint, at timestamptz, n integer GENERATED ALWAYS AS IDENTITY, what text, detail text, owner_id bigint, actor text,
	id uuid, until timestamptz, arrives timestamptz);

CREATE FUNCTION imagine(lead bigint, begins timestamptz) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	at timestamptz := begins + upto(300) * interval '2 minutes';
	stage text := 'lead';
	steady CONSTANT boolean := lead % 2 = 0;
	owner bigint := CASE WHEN steady OR chance(.2) THEN random_member() END;
	ends timestamptz;
BEGIN
	INSERT INTO facts (lead_id, at, what, detail, owner_id) VALUES (lead, at, 'lead', pick('DE', 'FR', NULL), owner);
	FOR i IN 1 .. upto(8) LOOP
		at := at + pick('0', '2 minutes', '1 hour', '8 hours', '20 hours')::interval + upto(60) * interval '2 minutes';
		stage := CASE stage
			WHEN 'lead' THEN pick('mql', 'mql', 'mql', 'accepted')
			WHEN 'mql' THEN pick('sql', 'sql', 'sql', 'lead')
			WHEN 'sql' THEN pick('accepted', 'accepted', 'accepted', 'rejected', 'nurture', 'lead')
			WHEN 'accepted' THEN pick('opportunity', 'nurture', 'rejected')
			WHEN 'opportunity' THEN pick('won', 'lost', 'lost', 'nurture')
			WHEN 'rejected' THEN 'uphold'
			WHEN 'nurture' THEN pick('mql', 'mql', 'accepted')
			ELSE 'nurture' END;
		owner := CASE WHEN steady THEN owner WHEN stage = 'sql' THEN random_member() WHEN owner IS NULL AND stage = 'accepted' THEN 4 ELSE owner END;
		INSERT INTO facts (lead_id, at, what, detail, owner_id, actor)
		SELECT lead, at, 'move', stage, owner, (SELECT m.email FROM leadflow.team_members m WHERE m.id = owner AND stage IN ('accepted', 'rejected', 'opportunity') AND random() < .8);
		IF stage = 'uphold' THEN
			stage := 'nurture';
		END IF;
		-- new owners at odd minutes, so that nothing happens at one instant with them
		IF NOT steady AND stage IN ('sql', 'accepted', 'opportunity') AND chance(.4) THEN
			at := at + upto(200) * interval '2 minutes';
			owner := random_member();
			INSERT INTO facts (lead_id, at, what, owner_id) VALUES (lead, at + interval '1 minute', 'owner', owner);
			at := at + interval '2 minutes';
		END IF;
	END LOOP;
	ends := greatest(at, begins) + upto(2000) * interval '2 minutes';
	INSERT INTO facts (lead_id, at, what, detail, id)
	SELECT lead, f.at, 'activity', random_kind(), random_id()
	FROM generate_series(1, upto(12)) i
	-- some at one instant with a move
	CROSS JOIN LATERAL (SELECT CASE WHEN chance(.3) THEN (SELECT m.at FROM facts m WHERE m.lead_id = lead AND m.what = 'move' AND i > 0 ORDER BY lot(i, m.at || m.detail) LIMIT 1) END AS at) m
	CROSS JOIN LATERAL (SELECT coalesce(m.at, begins + floor(random() * extract(epoch FROM ends - begins) / 120) * interval '2 minutes') AS at) f;
	INSERT INTO facts (lead_id, at, what, until)
	SELECT lead, f.at, 'pause', CASE WHEN chance(.8) THEN f.at + (1 + upto(600)) * interval '2 minutes' END
	FROM generate_series(1, CASE WHEN chance(.6) THEN upto(4) ELSE 0 END) i
	CROSS JOIN LATERAL (SELECT begins + floor(random() * extract(epoch FROM ends - begins) / 120) * interval '2 minutes' AS at WHERE i > 0) f;
END $$;

CREATE FUNCTION happen(f facts) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	CASE f.what
	WHEN 'lead' THEN
		INSERT INTO leadflow.leads (id, email, country, owner_id) VALUES (f.lead_id, f.lead_id || '@our.example', f.detail, f.owner_id);
	WHEN 'owner' THEN
		UPDATE leadflow.leads SET owner_id = f.owner_id WHERE id = f.lead_id;
	WHEN 'move' THEN
		IF f.detail = 'uphold' THEN
			PERFORM leadflow.review(f.lead_id, 'uphold', 'mia@our.example');
		ELSE
			UPDATE leadflow.leads SET stage = f.detail, owner_id = f.owner_id, stage_by = f.actor,
				stage_reason = CASE f.detail WHEN 'rejected' THEN 'no_budget' WHEN 'nurture' THEN 'not_now' END,
				revisit_on = CASE f.detail WHEN 'nurture' THEN '2027-01-01'::date END
			WHERE id = f.lead_id;
		END IF;
	WHEN 'activity' THEN
		IF chance(.3) THEN
			-- at first at another instant, or as another kind
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind)
			VALUES (f.lead_id, f.at - upto(1) * upto(100) * interval '2 minutes', f.id, pick('call', 'demo_request', f.detail));
			PERFORM leadflow.settle() WHERE chance(.5);
			UPDATE leadflow.activities SET occurred_at = f.at, kind = f.detail WHERE lead_id = f.lead_id AND id = f.id;
		ELSE
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (f.lead_id, f.at, f.id, f.detail);
		END IF;
		IF chance(.2) THEN
			-- one that never was
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES (f.lead_id, f.at, random_id(), pick('call', 'demo_request', 'meeting'));
			PERFORM leadflow.settle() WHERE chance(.5);
			DELETE FROM leadflow.activities a WHERE a.lead_id = f.lead_id AND NOT EXISTS (SELECT FROM facts g WHERE g.lead_id = a.lead_id AND g.id = a.id);
		END IF;
	WHEN 'pause' THEN
		PERFORM leadflow.pause_sla(f.lead_id, f.until, 'as they asked', f.at);
	END CASE;
END $$;

-- All that is kept but ids and what was announced when. Leads of even id have one owner all their life; of others the
-- owner when they were settled counts outside sales' hands.
CREATE VIEW derived AS
SELECT k.lead_id, k.metric, k.policy_id, CASE WHEN c.certain THEN k.member_id END AS member_id, s.state, k.started_at, k.due_at, k.stopped_at, k.warn_at, k.calendar_id, k.target, k.target_count,
	k.warn_after, k.counted_from, k.carried, k.activity_id,
	(SELECT count(*) FROM leadflow.stage_history h WHERE h.lead_id = k.lead_id AND h.id <= k.history_id) AS moves,
	(SELECT count(*) FROM leadflow.handoffs h WHERE h.lead_id = k.lead_id AND h.id <= k.handoff_id) AS handoffs,
	(SELECT count(*) FROM leadflow.reviews r WHERE r.lead_id = k.lead_id AND r.id <= k.review_id) AS reviews
FROM leadflow.sla_clocks k
JOIN leadflow.sla_status s ON s.clock_id = k.id
JOIN leadflow.sla_policies p ON p.id = k.policy_id
CROSS JOIN LATERAL (SELECT k.lead_id % 2 = 0 OR k.metric IN ('time_to_accept', 'time_to_first_touch', 'time_to_first_contact', 'attempts') AS certain) c
WHERE c.certain OR p.calendar_id IS NOT NULL;

-- Open or not, minute by minute, by the rule alone; the instant is that of the minute's beginning.
CREATE FUNCTION minutes(first timestamptz, last timestamptz) RETURNS TABLE (calendar_id bigint, at timestamptz) LANGUAGE sql STABLE AS $$
	WITH local AS (
		SELECT c.id, m.at, m.at AT TIME ZONE c.time_zone AS at_home
		FROM leadflow.calendars c, generate_series(first, last, '1 minute') m (at) WHERE c.id > 100
	)
	SELECT DISTINCT l.id, l.at FROM local l
	JOIN leadflow.calendar_holidays d ON d.calendar_id = l.id AND d.day = l.at_home::date AND l.at_home::time >= d.opens AND l.at_home::time < d.closes
	UNION
	SELECT l.id, l.at FROM local l
	JOIN leadflow.calendar_hours w ON w.calendar_id = l.id AND w.weekday = extract(isodow FROM l.at_home) AND l.at_home::time >= w.opens AND l.at_home::time < w.closes
	WHERE NOT EXISTS (SELECT FROM leadflow.calendar_holidays d WHERE d.calendar_id = l.id AND d.day = l.at_home::date)
$$;
CREATE TABLE open_minutes (calendar_id bigint, at timestamptz, PRIMARY KEY (calendar_id, at));

-- Clocks that sales has, by the facts as they were imagined: whose the lead was, and when it was paused.
CREATE FUNCTION count_minutes(round integer, ends timestamptz) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO differences
	SELECT round, 'minutes, ' || k.metric, k.lead_id, leadflow.now(), k.id || ': due ' || k.due_at || ', stopped ' || coalesce(k.stopped_at::text, '-'),
		'due ' || coalesce(w.at::text, 'later')
	FROM leadflow.sla_clocks k
	JOIN leadflow.sla_policies p ON p.id = k.policy_id
	LEFT JOIN LATERAL (
		-- the minute that makes it enough ends here
		SELECT m.at + interval '1 minute' AS at
		FROM generate_series(k.started_at, least(ends, k.stopped_at) - interval '1 minute', '1 minute') m (at)
		CROSS JOIN LATERAL (
			SELECT CASE WHEN p.calendar_id IS NULL THEN (
				SELECT t.calendar_id FROM facts f JOIN leadflow.team_members t ON t.id = f.owner_id
				WHERE f.lead_id = k.lead_id AND f.what IN ('lead', 'move', 'owner') AND f.at <= m.at ORDER BY f.n DESC LIMIT 1) ELSE p.calendar_id END AS id
		) c
		WHERE (c.id IS NULL OR EXISTS (SELECT FROM open_minutes o WHERE o.calendar_id = c.id AND o.at = m.at))
			AND NOT EXISTS (SELECT FROM facts f WHERE f.lead_id = k.lead_id AND f.what = 'pause' AND m.at >= f.at AND m.at < coalesce(f.until, 'infinity'))
		ORDER BY m.at
		OFFSET extract(epoch FROM k.target)::bigint / 60 - 1 LIMIT 1
	) w ON true
	WHERE k.lead_id < 1000 AND k.metric IN ('time_to_accept', 'time_to_first_touch', 'time_to_first_contact', 'attempts')
		AND coalesce(k.due_at <> w.at, k.due_at < least(k.stopped_at, ends));
	UPDATE done d SET minutes = d.minutes + (SELECT count(*) FROM leadflow.sla_clocks k WHERE k.lead_id < 1000
		AND k.metric IN ('time_to_accept', 'time_to_first_touch', 'time_to_first_contact', 'attempts'));
END $$;

CREATE PROCEDURE shuffle(round integer, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	begins CONSTANT timestamptz := begin_round(-round, seed);
	ends timestamptz;
	f facts;
BEGIN
	DELETE FROM facts;
	FOR lead IN 1 .. 6 LOOP
		PERFORM imagine(lead, begins);
	END LOOP;
	ends := (SELECT max(g.at) FROM facts g) + interval '1 day';
	-- nothing that is paused, written or said before there is a lead
	DELETE FROM facts g USING facts l WHERE l.lead_id = g.lead_id AND l.what = 'lead' AND g.at < l.at;
	INSERT INTO facts (lead_id, at, what, detail, owner_id, actor, id, until, arrives)
	SELECT g.lead_id + 1000, g.at, g.what, g.detail, g.owner_id, g.actor, g.id, g.until,
		CASE WHEN g.what IN ('activity', 'pause') THEN g.at + random() * random() * (ends - g.at) ELSE g.at END
	FROM facts g ORDER BY g.n;
	UPDATE facts g SET arrives = g.at WHERE g.arrives IS NULL;
	FOR f IN SELECT g.* FROM facts g ORDER BY g.arrives, g.what IN ('activity', 'pause'), g.n LOOP
		PERFORM set_clock(f.arrives);
		PERFORM happen(f);
		IF chance(.6) THEN
			COMMIT;
		END IF;
	END LOOP;
	PERFORM set_clock(ends);
	COMMIT;
	PERFORM leadflow.check_sla();
	PERFORM compare(round, 'shuffle', false);

	INSERT INTO differences
	SELECT round, 'order', coalesce(a.lead_id, b.lead_id), leadflow.now(), to_jsonb(a)::text, to_jsonb(b)::text
	FROM ((SELECT * FROM derived d WHERE d.lead_id < 1000) EXCEPT ALL
		(SELECT (jsonb_populate_record(d, jsonb_build_object('lead_id', d.lead_id - 1000))).* FROM derived d WHERE d.lead_id > 1000)) a
	FULL JOIN ((SELECT (jsonb_populate_record(d, jsonb_build_object('lead_id', d.lead_id - 1000))).* FROM derived d WHERE d.lead_id > 1000) EXCEPT ALL
		(SELECT * FROM derived d WHERE d.lead_id < 1000)) b
		ON b.lead_id = a.lead_id AND b.metric = a.metric AND b.started_at = a.started_at;
	INSERT INTO differences
	SELECT round, 'order of hand-offs', a.lead_id, leadflow.now(), to_jsonb(a)::text, NULL
	FROM (SELECT h.lead_id % 1000 AS lead_id, h.offered_at, h.owner_id, h.why, h.decided_at, h.decision, h.first_touch_at, h.touches, count(*)
		FROM leadflow.handoffs h GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING count(*) % 2 = 1) a;

	DELETE FROM open_minutes;
	INSERT INTO open_minutes SELECT * FROM minutes(begins, ends);
	PERFORM count_minutes(round, ends);
	UPDATE done SET lives = lives + 12;
	COMMIT;
END $$;

CREATE PROCEDURE play(histories integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	FOR round IN 1 .. (histories + 21) / 22 LOOP
		CALL live(round, seed);
		CALL shuffle(round, seed);
	END LOOP;
END $$;

CALL play(:histories, :seed);

SELECT lives >= :histories AS enough, compared > 5 * lives AS compared, rolled_back > 0 AS rolled_back, minutes > lives / 2 AS minutes,
	(SELECT count(*) FROM (SELECT FROM seen WHERE state IN ('running', 'met', 'breached') GROUP BY metric HAVING count(*) = 3) s) AS metrics FROM done;
SELECT * FROM differences ORDER BY round, what, lead_id LIMIT 20;
SELECT * FROM leadflow.verify();
