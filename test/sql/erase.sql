--
-- erase_lead(): the person is gone from every table, the figures are not; who comes back is
-- noticed. export_lead(): everything that is stored.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
\set VERBOSITY terse
SET leadflow.clock = '2026-03-02 09:00Z';

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(1, 'Sam', 'sam@our.example', 'sales'), (3, 'Mia', 'mia@our.example', 'marketing');
INSERT INTO leadflow.campaigns (id, code, name, channel) VALUES (1, 'spring', 'Spring', 'mail'), (2, 'summer', 'Summer', 'web');
INSERT INTO leadflow.campaign_costs (campaign_id, day, amount) VALUES (1, '2026-03-01', 10);
INSERT INTO leadflow.accounts (id, name, domain) VALUES (1, 'Anna XANNA, translations', 'xanna.example');
INSERT INTO leadflow.subscriptions (event, team) VALUES ('activity.matched', 'marketing'), ('lead.mql', 'leadership');
INSERT INTO leadflow.contact_limits (name, max_messages, per) VALUES ('none', 0, '1 day');

-- Lead 1 is Anna Xanna; her name is in whatever can hold a text. Lead 2 is somebody else.
INSERT INTO leadflow.leads (id, external_id, email, full_name, phone, company, job_title, industry, country, region, company_size, budget, attributes, source, campaign_id)
VALUES (1, 'k-xanna', 'Anna@Xanna.example', 'Anna Xanna', '+49 (170) 12-34567', 'Xanna Ltd', 'VP of Xanna', 'xanna', 'Xannaland', 'xanna county', 500, 20000,
	'{"called": "Xanna", "competitor": false}', 'web', 1),
	(2, 'k-bob', 'bob@other.example', 'Bob', NULL, NULL, 'VP', NULL, NULL, NULL, 500, NULL, '{}', 'web', 1);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, campaign_id, properties) VALUES
	(1, '2026-02-28', 'content_download', 'White paper', 1, '{"by": "xanna"}'), (2, '2026-02-28', 'content_download', 'White paper', 1, '{"by": "bob"}'),
	(1, '2026-03-01', 'demo_request', 'Demo', 2, '{"text": "call Xanna"}'), (2, '2026-03-01', 'demo_request', 'Demo', 2, NULL),
	(1, '2026-03-01', 'note', 'met Xanna', NULL, '{}'), (1, '2026-03-01', 'xfax', 'xanna wrote', NULL, '{}');
INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, campaign_id, properties, voided_at, void_reason)
VALUES (1, '2026-03-01', 'email_click', 'News', 1, NULL, '2026-03-02', 'Xanna''s cat clicked');
SET leadflow.clock = '2026-03-02 10:00Z';
INSERT INTO leadflow.activities (lead_id, kind, content, member_id, properties) VALUES (1, 'call', 'told Xanna', 1, '{"to": "Xanna"}');
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_note = CASE id WHEN 1 THEN 'Xanna has none' ELSE 'none' END,
	stage_by = 'sam@our.example' WHERE id IN (1, 2);
INSERT INTO leadflow.deals (id, lead_id, name, amount, status, lost_reason, owner_id) VALUES
	(1, 1, 'Xanna, first year', 1000, 'won', NULL, 1), (2, 1, 'Xanna again', 500, 'lost', 'Xanna left', 1), (3, 2, 'Bob', 10, 'won', NULL, 1);
INSERT INTO leadflow.deal_contacts VALUES (3, 1, 'Xanna''s boss');
INSERT INTO leadflow.lead_aliases VALUES ('hubspot', 'xanna-7', 1);
INSERT INTO leadflow.lead_feedback (lead_id, member_id, rating, topic, content, comment) VALUES (1, 1, 5, 'quality', 'White paper', 'Xanna liked it');
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, basis) VALUES (1, 'email', 'granted', 'consent');
-- Colleagues of hers are handed over; briefs, which would name her, are not stored.
INSERT INTO leadflow.leads (id, email, full_name) VALUES (7, 'xanna-old@xanna.example', 'Annie Xanna'), (8, 'carl@xanna.example', 'Carl'), (9, 'dora@xanna.example', 'Dora');
INSERT INTO leadflow.activities (lead_id, kind) VALUES (8, 'demo_request');
SELECT leadflow.settle();
SELECT leadflow.merge_leads(1, 7);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (9, 'demo_request');
SELECT leadflow.settle();
SELECT lead_id, array_agg(DISTINCT event ORDER BY event) AS told
FROM leadflow.notifications WHERE lead_id IN (1, 8, 9) GROUP BY 1 ORDER BY 1;
-- One is with a consumer, one was delivered.
SELECT count(leadflow.ack_notifications(ARRAY[n.id])) FROM leadflow.notifications n WHERE n.lead_id = 8 AND n.event = 'lead.handed_off';
SELECT count(*) > 0 AS claimed FROM leadflow.claim_notifications(100, 'c');
BEGIN;
SET LOCAL session_replication_role = replica;	-- what the engine writes
UPDATE leadflow.notifications SET payload = payload || '{"name": "Xanna"}' WHERE lead_id = 1;
INSERT INTO leadflow.notifications (lead_id, event, payload, created_at, next_attempt_at, delivered_at, last_error)
VALUES (1, 'lead.mql', '{"name": "Xanna"}', '2026-03-02', '2026-03-02', '2026-03-02', 'no such mailbox: xanna');
INSERT INTO leadflow.contact_reservations (lead_id, channel, at, expires_at) VALUES (1, 'email', '2026-02-01', '2026-02-02');
INSERT INTO leadflow.contact_violations (lead_id, occurred_at, activity_id, channel, why, recorded_at)
SELECT 1, occurred_at, id, 'phone', 'must not be contacted', '2026-03-02' FROM leadflow.activities WHERE lead_id = 1 AND kind = 'call';
INSERT INTO leadflow.reviews (id, lead_id, opened_at, due_at, reason, note, contest_note, closed_at, closed_by)
VALUES (-1, 1, '2026-03-01', '2026-03-08', 'no_budget', 'Xanna', 'but Xanna', '2026-03-02', 'moved');
INSERT INTO leadflow.review_votes (review_id, reviewer_id, verdict, note, voted_at) VALUES (-1, 3, 'uphold', 'poor Xanna', '2026-03-02');
INSERT INTO leadflow.nurture_programs (id, name, active) VALUES (-1, 'letters', false);
INSERT INTO leadflow.sla_pauses (lead_id, paused_at, until, reason) VALUES (1, '2026-02-01', '2026-02-02', 'Xanna is away');
INSERT INTO leadflow.sla_restatements (clock_id, lead_id, policy_id, restated_at, restated_by, old_state, new_state, old_due_at, new_due_at)
VALUES (-1, 1, 1, '2026-03-01', 'nobody', 'met', 'breached', '2026-02-02', '2026-02-01');
INSERT INTO leadflow.nurture_enrolments (lead_id, program_id, enrolled_at, left_at, left_for) VALUES (1, -1, '2026-02-01', '2026-02-02', 'lead');
COMMIT;

-- ---- export ------------------------------------------------------------------
-- Every table whose rows are a lead's is in it, with its rows. (If this lists a table:
-- leadflow.export_lead(), and merge_leads() and erase_lead() too.)
CREATE TEMP TABLE exported AS SELECT leadflow.export_lead(1) AS e;
SELECT c.relname
FROM pg_class c CROSS JOIN exported
WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND (EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'lead_id')
		OR EXISTS (SELECT FROM pg_constraint f WHERE f.conrelid = c.oid AND f.confrelid = 'leadflow.leads'::regclass))
	AND coalesce(e -> c.relname::text, '[]') IN ('[]', 'null') AND c.relname <> 'erased_leads';
SELECT jsonb_object_keys(e) FROM exported ORDER BY 1;
SELECT e #>> '{lead,email}' AS email, e #>> '{lead,stage_since}' AS stage_since, e #>> '{activities,0,occurred_at}' AS occurred_at,
	e #>> '{activities,0,properties}' AS properties, jsonb_array_length(e -> 'activities') AS activities, e #>> '{reviews,0,review_votes,0,note}' AS vote,
	e -> 'lead' -> 'budget' AS budget, e -> 'lead' -> 'owner_id' IS NOT NULL AS owner
FROM exported;
-- Not by the session's settings.
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SELECT e = leadflow.export_lead(1) AS the_same FROM exported;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SELECT leadflow.export_lead(4711), leadflow.export_lead(NULL);

-- ---- erase -------------------------------------------------------------------
-- All figures, but for columns that name leads or people or are scores as they are now.
CREATE FUNCTION figures() RETURNS TABLE (report text, figures text) LANGUAGE plpgsql AS $$
DECLARE
	r record;
	f text;
BEGIN
	FOR r IN
		SELECT c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind = 'v' AND c.relname NOT LIKE '\_%'
			-- these show leads as they are, or are about who they are
			AND c.relname NOT IN ('lead_details', 'lead_scores', 'lead_board', 'lead_timeline', 'possible_duplicates', 'health',
				'score_distribution', 'almost_mql', 'rule_performance')
			AND a.attname NOT IN ('full_name', 'lead', 'company', 'email', 'note', 'contest_note', 'comment', 'score', 'rank', 'name', 'deal')
			-- what sales and marketing wrote to her, not what she looked at
			AND (c.relname, a.attname) <> ('messages_against_rules', 'content')
		GROUP BY c.relname
	LOOP
		EXECUTE format('SELECT string_agg(t::text, E''\n'' ORDER BY t::text) FROM (SELECT %s FROM leadflow.%I) t', r.columns, r.relname) INTO f;
		RETURN QUERY SELECT r.relname::text, f;
	END LOOP;
END
$$;
CREATE TEMP TABLE before AS SELECT * FROM figures();
SELECT count(*) FILTER (WHERE figures IS NOT NULL) >= 8 AS some_have_figures FROM before;
SELECT stage, owner_id, (SELECT count(*) FROM leadflow.notifications) AS told FROM leadflow.leads WHERE id = 1 \gset before_
SET leadflow.clock = '2026-03-03 09:00Z';
CREATE TEMP TABLE then_on AS SELECT * FROM figures();	-- what time alone has changed
SELECT leadflow.erase_lead(1);
SELECT t.report FROM then_on t JOIN figures() n ON n.report = t.report WHERE n.figures IS DISTINCT FROM t.figures ORDER BY 1;
SELECT stage = :'before_stage' AS stays, owner_id = :before_owner_id AS owned, (SELECT count(*) FROM leadflow.notifications) <= :before_told
	AND NOT EXISTS (SELECT FROM leadflow.notifications WHERE lead_id = 1 AND delivered_at IS NULL) AS untold
FROM leadflow.leads WHERE id = 1;
SELECT * FROM leadflow.verify();
SELECT * FROM leadflow.attribution_check;

-- Her name is nowhere, whatever table it is; the account is a company's, and has others.
CREATE FUNCTION found(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1 LOOP
		RETURN QUERY EXECUTE format('SELECT %L || '': '' || r FROM (SELECT regexp_replace(t::text, %L, '''', ''g'') AS r FROM leadflow.%I t) t WHERE r ILIKE %L',
			t.relname, 'Anna XANNA, translations|(carl|dora)@xanna.example', t.relname, what);
	END LOOP;
END
$$;
SELECT * FROM found('%xanna%');
SELECT * FROM found('%34567%');
SELECT * FROM found('%xanna%') WHERE found NOT LIKE 'accounts%';
SELECT * FROM found('%annie%');
-- What was told of her says nothing any more.
SELECT count(*) FILTER (WHERE payload <> '{}' OR last_error IS NOT NULL) AS hers FROM leadflow.notifications WHERE lead_id = 1;
-- ... and nobody else lost anything.
SELECT full_name, email, (SELECT count(*) FROM leadflow.activities a WHERE a.lead_id = 2 AND a.content IS NOT NULL) AS activities,
	(SELECT name FROM leadflow.deals WHERE id = 3) AS deal FROM leadflow.leads WHERE id = 2;
-- What is left of her. A column that is new to one of these tables shows here: is it hers?
SELECT to_jsonb(l) - '{id,stage_since,created_at,erased_at,stage_actor_id}'::text[] AS lead FROM leadflow.leads l WHERE id = 1;
SELECT kind, content, properties, void_reason FROM leadflow.activities WHERE lead_id = 1 ORDER BY occurred_at, kind;
SELECT c.table_name, string_agg(c.column_name, ' ' ORDER BY c.ordinal_position) AS texts
FROM information_schema.columns c
WHERE c.table_schema = 'leadflow' AND c.data_type IN ('text', 'jsonb', 'character varying', 'ARRAY', 'bytea', 'json')
	AND c.table_name IN (SELECT jsonb_object_keys(e) FROM exported)
GROUP BY 1 ORDER BY 1;

-- Nothing comes of her any more: not an MQL, not written to; and again is harmless.
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (1, 'demo_request', '{"by": "xanna"}');
SELECT stage = :'before_stage' AS stays, do_not_contact FROM leadflow.leads WHERE id = 1;
SELECT mql_ready, mql_blocked_by FROM leadflow.lead_scores WHERE lead_id = 1;
SELECT leadflow.erase_lead(1);
SELECT * FROM found('%xanna%') WHERE found NOT LIKE 'accounts%';
SELECT erased_at FROM leadflow.leads WHERE id = 1;
SELECT * FROM leadflow.verify();
-- A lead in stage lead is not promoted by what it asks for.
INSERT INTO leadflow.leads (id, email) VALUES (5, 'eve@other.example');
SELECT leadflow.erase_lead(5);
INSERT INTO leadflow.activities (lead_id, kind) VALUES (5, 'demo_request');
SELECT l.stage, v.mql_blocked_by FROM leadflow.leads l JOIN leadflow.lead_scores v ON v.lead_id = l.id WHERE l.id = 5;
-- One that was promoted for what is not known any more stays where it is.
INSERT INTO leadflow.leads (id, email, job_title, company_size) VALUES (6, 'fay@other.example', 'VP sales', 200);
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (6, 'webinar_attended', '{"seat": 1}');
SELECT stage FROM leadflow.leads WHERE id = 6;
SELECT leadflow.erase_lead(6);
SELECT l.stage, v.score < 50 AS below FROM leadflow.leads l JOIN leadflow.lead_scores v ON v.lead_id = l.id WHERE l.id = 6;
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 6;
SELECT stage FROM leadflow.leads WHERE id = 6;
SELECT * FROM leadflow.verify();

-- ---- who comes back ------------------------------------------------------------
SELECT lead_id, erased_at, cardinality(key_hashes) AS keys, recreated_as, persona FROM leadflow.erased_leads ORDER BY 1;
SELECT detail FROM leadflow.health WHERE check_name = 'recreated_leads';
INSERT INTO leadflow.leads (id, email) VALUES (10, 'else@other.example'), (11, 'ANNA@xanna.EXAMPLE');	-- by e-mail
SELECT lead_id, recreated_as, recreated_at FROM leadflow.erased_leads ORDER BY 1;
SELECT status, value, detail FROM leadflow.health WHERE check_name = 'recreated_leads';
UPDATE leadflow.leads SET email = 'eve@other.example' WHERE id = 10;	-- by a later e-mail
SELECT lead_id, recreated_as FROM leadflow.erased_leads WHERE lead_id = 5;
INSERT INTO leadflow.leads (id, external_id, phone) VALUES (13, 'z', '0170 777 88 99'), (14, 'Y', NULL);
SELECT leadflow.erase_lead(13);
INSERT INTO leadflow.leads (id, phone) VALUES (15, '+49 (170) 777-8899');	-- by phone, however it is written
INSERT INTO leadflow.leads (id, phone) VALUES (16, '0170/7778899');	-- the first one is on record
SELECT lead_id, recreated_as FROM leadflow.erased_leads WHERE lead_id = 13;
-- A duplicate that was erased after it was merged is known by the keys of both.
INSERT INTO leadflow.leads (id, external_id, email) VALUES (21, 'two-1', 'two@a.example'), (22, 'two-2', 'two@b.example');
SELECT leadflow.merge_leads(21, 22);
SELECT leadflow.erase_lead(21);
SELECT leadflow.find_lead('two-2'), leadflow.find_lead('22', 'leadflow');
INSERT INTO leadflow.leads (id, external_id) VALUES (23, 'two-2');
SELECT recreated_as FROM leadflow.erased_leads WHERE lead_id = 21;

-- Whoever gets the id of one that was erased and deleted is somebody else.
DELETE FROM leadflow.leads WHERE id = 5;
INSERT INTO leadflow.leads (id, email) VALUES (5, 'five@other.example');
SELECT * FROM leadflow.verify();
SET leadflow.clock = '2026-03-04 09:00Z';
SELECT leadflow.erase_lead(5);
SELECT l.erased_at, e.erased_at, cardinality(e.key_hashes) AS keys FROM leadflow.leads l JOIN leadflow.erased_leads e ON e.lead_id = l.id WHERE l.id = 5;
SELECT * FROM leadflow.verify();

-- ---- bad input -----------------------------------------------------------------
\set VERBOSITY default
SELECT leadflow.erase_lead(4711);
SELECT leadflow.erase_lead(NULL);
UPDATE leadflow.leads SET erased_at = NULL WHERE id = 1;
INSERT INTO leadflow.leads (id, erased_at) VALUES (30, '2026-01-01');
DELETE FROM leadflow.erased_leads;
\set VERBOSITY terse

-- What verify() would find.
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM leadflow.erased_leads WHERE lead_id = 6;
UPDATE leadflow.stage_history SET left_at = NULL WHERE lead_id = 21 AND merged_from = 22;
SELECT * FROM leadflow.verify();
ROLLBACK;
SELECT * FROM leadflow.verify();
