--
-- Random leads, activities, deals and moves, merged in random pairs: after each merge
-- verify() finds nothing, and the merged lead scores what a lead does that was written with
-- all of it at once. LEADFLOW_HISTORIES and LEADFLOW_SEED set how many, and which.
--
SET timezone = 'UTC';
SET client_min_messages = warning;
\set VERBOSITY terse
\getenv histories LEADFLOW_HISTORIES
\if :{?histories}
\else
	\set histories 20
\endif
\getenv seed LEADFLOW_SEED
\if :{?seed}
\else
	\set seed 0.5
\endif

SET leadflow.clock = '2026-03-02 09:00Z';
INSERT INTO leadflow.team_members (id, full_name, email, team, calendar_id) VALUES
	(1, 'Sam', 'sam@our.example', 'sales', NULL), (2, 'Sue', 'sue@our.example', 'sales', 2), (3, 'Mia', 'mia@our.example', 'marketing', NULL),
	(4, 'Max', 'max@our.example', 'marketing', NULL), (5, 'Moe', 'moe@our.example', 'marketing', NULL);
-- a promise of each kind that a clock is kept for
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id, warn_fraction)
SELECT m, m, '9 hours', c.id, 0.5
FROM unnest('{time_to_handoff,time_to_first_contact,time_to_nurture,next_response,time_in_stage,time_to_review}'::text[]) WITH ORDINALITY p (m, n)
LEFT JOIN leadflow.calendars c ON c.name = 'office' AND n % 3 = 0;
INSERT INTO leadflow.sla_policies (name, metric, target_count, within) VALUES ('attempts', 'attempts', 2, '20 hours');
UPDATE leadflow.sla_policies SET calendar_id = NULL WHERE metric = 'time_to_accept';
-- at times nobody is there, and leads wait
INSERT INTO leadflow.absences (member_id, during)
SELECT m, tstzrange(d, d + interval '20 hours') FROM generate_series(timestamptz '2026-03-03', '2026-05-01', '60 hours') d, unnest('{1,2}'::bigint[]) m;
INSERT INTO leadflow.nurture_programs (name, condition, position) VALUES ('not now', '$.reason == "not_now"', 1);
INSERT INTO leadflow.subscriptions (event, team) VALUES ('lead.active_again', 'leadership');
INSERT INTO leadflow.contact_limits (name, max_messages, per) VALUES ('three a week', 3, '7 days');
INSERT INTO leadflow.campaigns (id, code, name) VALUES (1, 'spring', 'Spring'), (2, 'summer', 'Summer');
INSERT INTO leadflow.accounts (id, name, domain, status) VALUES (1, 'One', 'one.example', 'customer');

CREATE FUNCTION pick(VARIADIC what text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT what[1 + floor(random() * cardinality(what))::integer]
$$;

-- One thing that may happen to one of the leads.
CREATE FUNCTION happen(lead bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n double precision := random();
	earlier leadflow.activities;
	rule record;
BEGIN
	IF n < 0.4 THEN
		INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, campaign_id, properties)
		VALUES (lead, leadflow.now() - (floor(random() * 40) || ' hours')::interval,
			pick('page_view', 'page_view', 'form_submit', 'demo_request', 'call', 'email_click', 'webinar_attended', 'note', 'strange', 'unsubscribe', 'marketing_email'),
			pick('/pricing', '/blog', NULL), pick('1', '2', NULL)::bigint, '{"a": 1}');
	ELSIF n < 0.5 THEN
		-- an event that reaches us twice, for two leads
		SELECT * INTO earlier FROM leadflow.activities ORDER BY random() LIMIT 1;
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, campaign_id, properties)
		SELECT lead, earlier.occurred_at, earlier.id, earlier.kind, earlier.content, earlier.campaign_id, earlier.properties
		WHERE earlier.id IS NOT NULL ON CONFLICT DO NOTHING;
	ELSIF n < 0.55 THEN
		UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot'
		WHERE (lead_id, occurred_at, id) IN (SELECT a.lead_id, a.occurred_at, a.id FROM leadflow.activities a
			WHERE a.lead_id = lead AND a.voided_at IS NULL ORDER BY random() LIMIT 1);
	ELSIF n < 0.65 THEN
		INSERT INTO leadflow.deals (lead_id, amount, status, opened_at)
		VALUES (lead, round((random() * 1000)::numeric, 2), pick('open', 'won', 'lost'), leadflow.now());
	ELSIF n < 0.7 THEN
		INSERT INTO leadflow.deal_contacts (deal_id, lead_id, role)
		SELECT d.id, lead, 'user' FROM leadflow.deals d ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING;
	ELSIF n < 0.75 THEN
		UPDATE leadflow.deals d SET status = pick('won', 'lost') WHERE d.lead_id = lead AND d.status = 'open';
	ELSIF n < 0.78 THEN
		UPDATE leadflow.leads SET owner_id = pick('1', '2', NULL)::bigint WHERE id = lead;
	ELSIF n < 0.82 THEN
		PERFORM leadflow.review(r.lead_id, pick('uphold', 'overturn'), m.email)
		FROM (SELECT r.lead_id FROM leadflow.reviews r WHERE r.closed_at IS NULL ORDER BY random() LIMIT 1) r
		CROSS JOIN (SELECT m.email FROM leadflow.team_members m WHERE m.reviewer AND m.id > 2 ORDER BY random() LIMIT 1) m;
	ELSIF n < 0.84 THEN
		PERFORM leadflow.claim_next('sales', pick('sam@our.example', 'sue@our.example'));
	ELSIF n < 0.845 THEN
		PERFORM leadflow.reserve_contact(lead, 'email');
	ELSIF n < 0.86 THEN
		PERFORM leadflow.pause_sla(lead, CASE WHEN random() < 0.5 THEN leadflow.now() + interval '7 hours' END,
			at => leadflow.now() - (floor(random() * 2) * 5 || ' hours')::interval);
	ELSIF n < 0.87 THEN
		PERFORM leadflow.resume_sla(lead);
	ELSIF n < 0.873 THEN
		-- open clocks are due anew
		INSERT INTO leadflow.calendar_holidays (calendar_id, day) VALUES (2, leadflow.now()::date + (random() * 4)::integer - 2);
	ELSIF n < 0.88 THEN
		PERFORM leadflow.ack_notifications(ARRAY(SELECT id FROM leadflow.claim_notifications(3, 'c')));
	ELSE
		SELECT t.*, (SELECT r.reason FROM leadflow.stage_reasons r WHERE r.stage = t.to_stage AND r.min_attempts IS NULL
				ORDER BY random() LIMIT 1) AS reason INTO rule
		FROM leadflow.stage_transitions t JOIN leadflow.leads l ON l.id = lead AND l.stage = t.from_stage
		ORDER BY random() LIMIT 1;
		IF FOUND THEN
			UPDATE leadflow.leads SET stage = rule.to_stage, stage_by = pick(NULL, NULL, NULL),
				stage_reason = CASE WHEN rule.requires_reason OR random() < 0.3 THEN rule.reason END, stage_note = 'so',
				revisit_on = CASE WHEN rule.requires_revisit THEN date '2027-01-01' END
			WHERE id = lead;
		END IF;
	END IF;
EXCEPTION WHEN check_violation OR no_data_found THEN
	NULL;	-- not an MQL, say, or a case that is due
END
$$;

-- Merges two leads; says what is wrong then.
CREATE FUNCTION merged(keep bigint, duplicate bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	expected double precision;
	got double precision;
BEGIN
	PERFORM leadflow.settle();
	DROP TABLE IF EXISTS both_did;
	CREATE TEMP TABLE both_did AS
	SELECT DISTINCT ON (a.occurred_at, a.id) a.* FROM leadflow.activities a WHERE a.lead_id IN (keep, duplicate)
	ORDER BY a.occurred_at, a.id, a.lead_id <> keep;
	RETURN QUERY SELECT format('before %s: %s', keep, v) FROM leadflow.verify() v;
	IF leadflow.merge_leads(keep, duplicate) <> keep THEN
		RETURN NEXT 'another lead';
	END IF;

	RETURN QUERY SELECT format('%s: %s', keep, v) FROM leadflow.verify() v;
	RETURN QUERY SELECT format('%s is still there', duplicate) FROM leadflow.export_lead(duplicate) e WHERE e IS NOT NULL;
	RETURN QUERY SELECT format('activities of %s: %s', keep, count(*)) FROM leadflow.activities a WHERE a.lead_id = keep
		HAVING count(*) <> (SELECT count(*) FROM both_did);
	RETURN QUERY SELECT format('open rows of %s: %s', keep, count(*)) FROM leadflow.stage_history h
		WHERE h.lead_id = keep AND h.left_at IS NULL HAVING count(*) <> 1;
	RETURN QUERY SELECT format('open offers of %s: %s', keep, count(*)) FROM leadflow.handoffs h
		WHERE h.lead_id = keep AND h.decided_at IS NULL
		HAVING count(*) <> (SELECT count(*) FROM leadflow.leads l WHERE l.id = keep AND l.stage = 'sql');
	RETURN QUERY SELECT format('offer of %s to %s, whose is %s', keep, h.owner_id, l.owner_id) FROM leadflow.handoffs h
		JOIN leadflow.leads l ON l.id = h.lead_id WHERE h.lead_id = keep AND h.decided_at IS NULL
		AND (h.owner_id IS DISTINCT FROM l.owner_id OR (h.owner_id IS NULL) <> (h.assigned_at IS NULL));
	RETURN QUERY SELECT format('%s waits: %s', keep, o.why) FROM leadflow.handoffs h LEFT JOIN leadflow.orphaned_leads o ON o.lead_id = h.lead_id
		WHERE h.lead_id = keep AND h.decided_at IS NULL AND h.owner_id IS NULL AND o.why IS DISTINCT FROM 'waits in queue ' || h.queue;
	RETURN QUERY SELECT format('open enrolments of %s: %s', keep, count(*)) FROM leadflow.nurture_enrolments e
		WHERE e.lead_id = keep AND e.left_at IS NULL
		HAVING count(*) <> (SELECT count(*) FROM leadflow.leads l WHERE l.id = keep AND l.stage = 'nurture');
	RETURN QUERY SELECT format('rejections of %s: %s', keep, count(*)) FROM leadflow._rejections j WHERE j.lead_id = keep
		HAVING count(*) <> (SELECT count(*) FROM leadflow.stage_history h WHERE h.lead_id = keep AND h.to_stage = 'rejected' AND h.reason IS DISTINCT FROM 'merged')
			OR count(j.review_id) <> (SELECT count(DISTINCT r.history_id) FROM leadflow.reviews r WHERE r.lead_id = keep);
	RETURN QUERY SELECT format('offers of %s: %s instead of %s', m.member_id, m.offered, m.accepted + m.rejected + m.nurtured + m.returned + m.reassigned + m.undecided)
		FROM leadflow.rep_scoreboard m WHERE m.offered <> m.accepted + m.rejected + m.nurtured + m.returned + m.reassigned + m.undecided;
	RETURN QUERY SELECT format('open clocks of %s: %s %s', keep, count(*), c.metric) FROM leadflow.sla_clocks c
		WHERE c.lead_id = keep AND c.stopped_at IS NULL GROUP BY c.metric HAVING count(*) > 1;
	RETURN QUERY SELECT format('deal %s: %s instead of %s', a.deal_id, a.credited, a.expected) FROM leadflow.attribution_check a;

	-- written at once, and forgotten
	BEGIN
		INSERT INTO leadflow.leads (id, email, account_id, job_title, company_size, budget, attributes)
		SELECT 1000000, l.email, l.account_id, l.job_title, l.company_size, l.budget, l.attributes FROM leadflow.leads l WHERE l.id = keep;
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, campaign_id, properties, voided_at, void_reason)
		SELECT 1000000, b.occurred_at, b.id, b.kind, b.content, b.campaign_id, b.properties, b.voided_at, b.void_reason FROM both_did b;
		PERFORM leadflow.settle();
		SELECT leadflow.score(1000000), leadflow.score(keep) INTO expected, got;
		RAISE SQLSTATE 'ZZ000';
	EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
		IF abs(expected - got) > 1e-9 OR (expected IS NULL) <> (got IS NULL) THEN
			RETURN NEXT format('%s scores %s instead of %s', keep, got, expected);
		END IF;
	END;
END
$$;

CREATE FUNCTION histories(n integer, seed double precision) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	leads bigint[];
	at timestamptz;
	pair bigint[];
BEGIN
	PERFORM setseed(seed);
	FOR history IN 1..n LOOP
		DELETE FROM leadflow.deals;
		DELETE FROM leadflow.leads;
		at := '2026-03-02 09:00Z';
		PERFORM set_config('leadflow.clock', at::text, false);
		leads := '{}';
		FOR l IN 1..5 LOOP
			leads := leads || (history * 10 + l)::bigint;
			INSERT INTO leadflow.leads (id, email, external_id, job_title, company_size, budget, attributes)
			VALUES (history * 10 + l, pick('a', 'b', NULL) || l || '@' || pick('one', 'two') || '.example', pick('k', NULL) || history || l,
				pick('VP sales', 'engineer', NULL), pick('10', '500', NULL)::integer, pick('50000', NULL)::numeric,
				pick('{"a": 1}', '{"b": 2}', '{}')::jsonb);
		END LOOP;
		WHILE cardinality(leads) > 1 LOOP
			FOR step IN 1..(random() * 12)::integer LOOP
				at := at + pick('1 minute', '1 hour', '5 hours', '30 hours')::interval;
				PERFORM set_config('leadflow.clock', at::text, false);
				PERFORM happen(pick(VARIADIC leads::text[])::bigint);
				IF random() < 0.1 THEN
					PERFORM leadflow.check_sla();
				END IF;
			END LOOP;
			SELECT array_agg(l.id ORDER BY l.r) INTO pair FROM (SELECT u.id, random() AS r FROM unnest(leads) u (id) ORDER BY r LIMIT 2) l;
			RETURN QUERY SELECT format('history %s: %s', history, m) FROM merged(pair[1], pair[2]) m;
			leads := array_remove(leads, pair[2]);
		END LOOP;
	END LOOP;
END
$$;

SELECT * FROM histories(:histories, :seed);
