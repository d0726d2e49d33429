--
-- May a lead be contacted, in random histories: equal to the rules as plain SQL puts them, at random
-- instants and at all instants where something begins or ends. LEADFLOW_HISTORIES sets how
-- many operations there are, LEADFLOW_SEED which.
--
\set operations `echo ${LEADFLOW_HISTORIES:-300}`
\set seed `echo ${LEADFLOW_SEED:-0.5}`
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SELECT setseed(:seed) \gset

CREATE FUNCTION hours(n integer) RETURNS interval LANGUAGE sql IMMUTABLE AS $$ SELECT make_interval(hours => n) $$;
CREATE FUNCTION pick(VARIADIC options text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT options[1 + floor(random() * cardinality(options))::integer]
$$;

--
-- The rules.
--
CREATE FUNCTION oracle_stage(lead bigint, t timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(
		(SELECT h.to_stage FROM leadflow.stage_history h WHERE h.lead_id = lead AND h.entered_at <= t ORDER BY h.entered_at DESC, h.id DESC LIMIT 1),
		(SELECT h.to_stage FROM leadflow.stage_history h WHERE h.lead_id = lead ORDER BY h.entered_at, h.id LIMIT 1))
$$;
CREATE FUNCTION oracle_limits(lead bigint, chan text, t timestamptz) RETURNS SETOF leadflow.contact_limits LANGUAGE sql STABLE AS $$
	SELECT l.* FROM leadflow.contact_limits l
	JOIN leadflow.stages s ON s.name = oracle_stage(lead, t)
	WHERE l.active AND (l.channel IS NULL OR l.channel = chan)
		AND (l.scope_stage IS NULL OR l.scope_stage = s.name) AND (l.category IS NULL OR l.category = s.category)
$$;
CREATE FUNCTION oracle_count(lead bigint, l leadflow.contact_limits, t timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT (SELECT count(*) FROM leadflow.activities a JOIN leadflow.activity_kinds k ON k.kind = a.kind
			WHERE a.lead_id = lead AND a.voided_at IS NULL AND a.occurred_at > t - l.per AND a.occurred_at <= t
				AND k.role = ANY (l.counts) AND (l.channel IS NULL OR k.channel = l.channel))
		+ (SELECT count(*) FROM leadflow.contact_reservations r
			WHERE r.lead_id = lead AND r.redeemed_at IS NULL AND r.at > t - l.per AND r.at <= t AND r.expires_at > t
				AND (l.channel IS NULL OR r.channel = l.channel) AND l.counts && '{marketing_message,sales_touch}')
$$;
CREATE FUNCTION oracle_may(lead bigint, chan text, t timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT NOT l.do_not_contact
		AND coalesce((SELECT p.status = 'granted' FROM leadflow.contact_permissions p
			WHERE p.lead_id = lead AND p.channel IN (chan, '*') AND p.at <= t ORDER BY p.at DESC, p.id DESC LIMIT 1),
			NOT (SELECT s.contact_requires_permission FROM leadflow.settings s))
		AND NOT EXISTS (SELECT FROM oracle_limits(lead, chan, t) c
			WHERE oracle_count(lead, c, t) >= c.max_messages
				OR t < (SELECT max(h.offered_at) FROM leadflow.handoffs h
					WHERE h.lead_id = lead AND h.offered_at <= t AND h.why NOT IN ('reassigned', 'taken over')) + c.after_handoff)
	FROM leadflow.leads l WHERE l.id = lead
$$;
-- Instants at which the answer may change.
CREATE FUNCTION oracle_instants(lead bigint) RETURNS SETOF timestamptz LANGUAGE sql STABLE AS $$
	SELECT a.occurred_at FROM leadflow.activities a WHERE a.lead_id = lead
	UNION SELECT a.occurred_at + c.per FROM leadflow.activities a, leadflow.contact_limits c WHERE a.lead_id = lead AND c.per IS NOT NULL
	UNION SELECT p.at FROM leadflow.contact_permissions p WHERE p.lead_id = lead
	UNION SELECT h.entered_at FROM leadflow.stage_history h WHERE h.lead_id = lead
	UNION SELECT h.offered_at FROM leadflow.handoffs h WHERE h.lead_id = lead
	UNION SELECT h.offered_at + c.after_handoff FROM leadflow.handoffs h, leadflow.contact_limits c
		WHERE h.lead_id = lead AND c.after_handoff IS NOT NULL
	UNION SELECT unnest(ARRAY[r.at, r.expires_at]) FROM leadflow.contact_reservations r WHERE r.lead_id = lead
	UNION SELECT r.at + c.per FROM leadflow.contact_reservations r, leadflow.contact_limits c WHERE r.lead_id = lead AND c.per IS NOT NULL
$$;
CREATE FUNCTION oracle_next(lead bigint, chan text, t timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT coalesce((SELECT i FROM (SELECT t AS i UNION SELECT i FROM oracle_instants(lead) i WHERE i > t) c
		WHERE oracle_may(lead, chan, i) ORDER BY i LIMIT 1), 'infinity')
$$;

--
-- A world.
--
SET leadflow.clock = '2026-03-01 00:00Z';
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (1, 'Sam', 'sam@our.example', 'sales'), (2, 'Sue', 'sue@our.example', 'sales');
INSERT INTO leadflow.activity_kinds (kind, role, withdraws_permission, channel) VALUES ('stop', 'engagement', true, NULL), ('stop_sms', 'other', true, 'sms');
INSERT INTO leadflow.leads (id) SELECT i FROM generate_series(1, 12) i;
UPDATE leadflow.settings SET contact_reservation = '5 hours';

CREATE TABLE wrong (operation integer, lead bigint, channel text, at timestamptz, what text, kept text, expected text);
CREATE FUNCTION moment() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT leadflow.now() - hours(floor(random() * 24 * 8)::integer)
$$;

CREATE PROCEDURE random_limit() LANGUAGE sql AS $$
	INSERT INTO leadflow.contact_limits (scope_stage, category, channel, max_messages, per, counts, after_handoff)
	SELECT CASE WHEN scope = 'stage' THEN pick('lead', 'mql', 'sql', 'nurture') END,
		CASE WHEN scope = 'category' THEN pick('marketing', 'handoff', 'sales', 'recycle') END,
		nullif(pick('email', 'sms', '', ''), ''),
		CASE WHEN what <> 'handoff' THEN floor(random() * 4)::integer END,
		CASE WHEN what <> 'handoff' THEN hours(1 + floor(random() * 72)::integer) END,
		CASE floor(random() * 4)::integer WHEN 0 THEN '{marketing_message,sales_touch}' WHEN 1 THEN '{sales_touch}' WHEN 2 THEN '{engagement}' ELSE '{marketing_message}' END::text[],
		CASE WHEN what <> 'count' THEN hours(1 + floor(random() * 72)::integer) END
	FROM (SELECT pick('stage', 'category', 'all', 'all') AS scope, pick('count', 'count', 'count', 'handoff', 'both') AS what) x
$$;

CREATE PROCEDURE operation(n integer) LANGUAGE plpgsql AS $$
DECLARE
	lead bigint := 1 + floor(random() * 12);
	chan text := pick('email', 'sms', 'phone');
	today text := (SELECT stage FROM leadflow.leads WHERE id = lead);
	t timestamptz;
BEGIN
	PERFORM set_config('leadflow.clock', (leadflow.now() + hours(floor(random() * 3)::integer))::text, false);
	CASE floor(random() * 16)::integer
	WHEN 0, 1, 2, 3, 4 THEN
		INSERT INTO leadflow.activities (lead_id, kind, occurred_at)
		SELECT 1 + floor(random() * 12), pick('marketing_email', 'marketing_email', 'marketing_sms', 'call', 'email_sent', 'meeting', 'page_view', 'note'), moment()
		FROM generate_series(1, 1 + floor(random() * 4)::integer);
	WHEN 5 THEN
		INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (lead, pick('unsubscribe', 'stop', 'stop_sms'), moment());
	WHEN 6 THEN
		UPDATE leadflow.activities SET voided_at = CASE WHEN voided_at IS NULL THEN leadflow.now() END,
			void_reason = CASE WHEN voided_at IS NULL THEN 'x' END WHERE lead_id = lead AND random() < .3;
	WHEN 7 THEN
		DELETE FROM leadflow.activities WHERE lead_id = lead AND random() < .2;
	WHEN 8 THEN
		UPDATE leadflow.activities SET kind = pick('marketing_email', 'note', 'unsubscribe', 'call'),
			occurred_at = moment() WHERE lead_id = lead AND random() < .2;
	WHEN 9, 10 THEN
		INSERT INTO leadflow.contact_permissions (lead_id, channel, status, at)
		VALUES (lead, pick('email', 'sms', '*'), pick('granted', 'granted', 'denied', 'withdrawn'), moment() + hours(24));
	WHEN 11 THEN
		PERFORM leadflow.reserve_contact(lead, chan, leadflow.now() + hours(floor(random() * 6)::integer));
		IF random() < .4 THEN
			INSERT INTO leadflow.activities (lead_id, kind) SELECT lead, kind FROM leadflow.activity_kinds k
			WHERE k.channel = chan AND k.role IN ('sales_touch', 'marketing_message') ORDER BY random() LIMIT 1;
		END IF;
	WHEN 12 THEN
		PERFORM leadflow.release_contact((SELECT id FROM leadflow.contact_reservations WHERE redeemed_at IS NULL ORDER BY random() LIMIT 1));
	WHEN 13, 14 THEN
		PERFORM set_config('leadflow.clock', (leadflow.now() + hours(1))::text, false);
		UPDATE leadflow.leads SET stage = CASE today WHEN 'lead' THEN 'mql' WHEN 'mql' THEN 'sql' WHEN 'sql' THEN pick('accepted', 'nurture')
				WHEN 'accepted' THEN 'nurture' WHEN 'nurture' THEN 'mql' END,
			owner_id = CASE WHEN today = 'mql' THEN 1 ELSE owner_id END,
			stage_reason = CASE WHEN today IN ('sql', 'accepted') THEN 'not_now' END, revisit_on = CASE WHEN today IN ('sql', 'accepted') THEN '2027-01-01'::date END
		WHERE id = lead AND NOT do_not_contact;
		UPDATE leadflow.leads SET owner_id = 3 - owner_id WHERE id <> lead AND stage IN ('sql', 'accepted') AND random() < .2;
	ELSE
		IF random() < .3 THEN
			UPDATE leadflow.leads SET do_not_contact = NOT do_not_contact WHERE id = 12;
			UPDATE leadflow.settings SET contact_requires_permission = NOT contact_requires_permission;
		ELSE
			DELETE FROM leadflow.contact_limits WHERE random() < .3 OR (SELECT count(*) FROM leadflow.contact_limits) > 4;
			CALL random_limit();
			CALL random_limit();
		END IF;
	END CASE;
	PERFORM leadflow.settle();

	-- Now, at some instant, and where something begins or ends, or just before it.
	INSERT INTO wrong
	SELECT n, q.lead, q.chan, q.at, 'may', a.may::text, q.may::text
	FROM (SELECT x.lead, x.chan, x.at, oracle_may(x.lead, x.chan, x.at) AS may
		FROM (SELECT lead, chan, leadflow.now() UNION ALL SELECT lead, chan, moment() + hours(48)
			UNION ALL (SELECT lead, c, i - e FROM oracle_instants(lead) i, (VALUES (interval '0'), ('1 microsecond')) x (e), unnest('{email,sms}'::text[]) c
				ORDER BY random() LIMIT 6)) x (lead, chan, at)) q,
		LATERAL (SELECT leadflow.may_contact(q.lead, q.chan, q.at) AS may, leadflow.contact_blocked_by(q.lead, q.chan, q.at) AS why) a
	WHERE a.may IS DISTINCT FROM q.may OR a.may IS DISTINCT FROM (a.why IS NULL);
	INSERT INTO wrong
	SELECT n, lead, chan, x.at, 'next', leadflow.next_contact_at(lead, chan, x.at)::text, oracle_next(lead, chan, x.at)::text
	FROM (SELECT leadflow.now() UNION ALL SELECT leadflow.now() - hours(floor(random() * 200)::integer)) x (at)
	WHERE leadflow.next_contact_at(lead, chan, x.at) <> oracle_next(lead, chan, x.at);
END
$$;

CREATE PROCEDURE play(operations integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..3 LOOP
		CALL random_limit();
	END LOOP;
	FOR i IN 1..operations LOOP
		CALL operation(i);
		COMMIT;
	END LOOP;
END
$$;
CALL play(:operations);
SELECT * FROM wrong ORDER BY operation LIMIT 20;
SELECT * FROM leadflow.verify();
-- What happened at all.
SELECT (SELECT count(*) > 0 FROM leadflow.messages_against_rules) AS flagged,
	(SELECT count(*) > 0 FROM leadflow.contact_permissions WHERE activity_id IS NOT NULL) AS withdrawn,
	(SELECT count(*) > 0 FROM leadflow.contact_reservations WHERE redeemed_at IS NOT NULL) AS redeemed,
	(SELECT count(DISTINCT stage) > 2 FROM leadflow.leads) AS stages;

--
-- Refused messages: with limits that do not change, none is ever broken, in whatever order messages come;
-- and only those are refused that would break one.
--
TRUNCATE leadflow.activities, leadflow.contact_permissions, leadflow.contact_limits;
DELETE FROM leadflow.leads;
UPDATE leadflow.settings SET contact_requires_permission = false;
INSERT INTO leadflow.contact_limits (name, channel, max_messages, per) VALUES ('a', 'email', 2, '5 hours'), ('b', NULL, 4, '24 hours'), ('c', 'sms', 1, '7 hours');
INSERT INTO leadflow.leads (id) SELECT i FROM generate_series(1, 5) i;
-- The most that any window of a limit has.
CREATE FUNCTION fullest(lead bigint, l leadflow.contact_limits) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT coalesce(max((SELECT count(*) FROM leadflow.activities a JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = ANY (l.counts)
		WHERE a.lead_id = lead AND (l.channel IS NULL OR k.channel = l.channel) AND a.occurred_at > e.occurred_at - l.per AND a.occurred_at <= e.occurred_at)), 0)
	FROM leadflow.activities e WHERE e.lead_id = lead
$$;
CREATE FUNCTION broken() RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT count(*) FROM leadflow.leads d, leadflow.contact_limits l WHERE fullest(d.id, l) > l.max_messages
$$;
CREATE PROCEDURE refuse(n integer, INOUT stored integer DEFAULT 0, INOUT refused integer DEFAULT 0, INOUT wrongly integer DEFAULT 0) LANGUAGE plpgsql AS $$
DECLARE
	new_lead bigint; new_kind text; new_at timestamptz;
BEGIN
	FOR i IN 1..n LOOP
		new_lead := 1 + floor(random() * 5);
		new_kind := pick('marketing_email', 'marketing_sms');
		new_at := moment();
		BEGIN
			INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (new_lead, new_kind, new_at);
			PERFORM leadflow.settle();
			stored := stored + 1;
		EXCEPTION WHEN check_violation THEN
			refused := refused + 1;
			BEGIN
				SET LOCAL leadflow.quiet = on;
				INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (new_lead, new_kind, new_at);
				PERFORM leadflow.settle();
				IF broken() = 0 THEN
					wrongly := wrongly + 1;
				END IF;
				RAISE EXCEPTION 'not meant' USING ERRCODE = 'P0099';
			EXCEPTION WHEN SQLSTATE 'P0099' THEN
				NULL;
			END;
		END;
	END LOOP;
END
$$;
SET leadflow.contact_limits = 'refuse';
CALL refuse(:operations / 2) \gset
SELECT :stored > 20 AS stored, :refused > 20 AS refused, :wrongly AS wrongly;
SELECT broken();
SELECT count(*) FROM leadflow.messages_against_rules;
