--
-- Random deals and touches in any order: whatever happens to deals, contacts, touches, leads, campaigns and
-- models, credits are those that verify() computes from the tables, in the same transaction and after it, and
-- making them anew changes nothing.
--
-- LEADFLOW_HISTORIES=5000 LEADFLOW_SEED=0.42 make test TESTS=attribution_property: more histories, or others.
-- On failure: the round's number and the seed make it again (CALL play(round, seed)).
--
\getenv histories LEADFLOW_HISTORIES
\getenv seed LEADFLOW_SEED
\if :{?histories}
\else
	\set histories 10
\endif
\if :{?seed}
\else
	\set seed 0.31
\endif
\set VERBOSITY terse
SET timezone = 'UTC';
SET client_min_messages = error;
SET jit = off;

CREATE TABLE differences (round integer, step integer, what text, detail text, kept text, recomputed text);
CREATE TABLE done (histories bigint, batches bigint, operations bigint, refused bigint, rolled_back bigint, credits bigint);
INSERT INTO done VALUES (0, 0, 0, 0, 0, 0);
-- what was seen at least once among the rows compared
CREATE TABLE seen (what text PRIMARY KEY);
CREATE TABLE trace (n integer GENERATED ALWAYS AS IDENTITY, round integer, step integer, what integer, refused text);

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
CREATE FUNCTION random_deal() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT d.id FROM leadflow.deals d, (SELECT random()) r (salt) ORDER BY lot(r.salt, d.id::text), d.id LIMIT 1
$$;
CREATE FUNCTION random_campaign() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT c.id FROM leadflow.campaigns c, (SELECT random()) r (salt) ORDER BY lot(r.salt, c.id::text) LIMIT 1
$$;
CREATE FUNCTION random_kind() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT pick('page_view', 'page_view', 'page_view', 'form_submit', 'email_click', 'call', 'note', 'strange')
$$;
CREATE FUNCTION random_amount() RETURNS numeric LANGUAGE sql VOLATILE AS $$
	SELECT pick('0.01', '0.03', '0.05', '33.33', '100', '1000000000000', '0', '-50', '-0.01', '1234.57', '9999999999999999.99')::numeric
$$;
-- Often at one instant with something else: a touch, an opening, a closing, a move, or a microsecond beside it.
CREATE FUNCTION random_instant() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT least(leadflow.now(), CASE WHEN chance(.3) THEN coalesce((
			SELECT x.at + pick('0', '0', '0', '1 microsecond', '-1 microsecond')::interval
			FROM (SELECT d.closed_at AS at FROM leadflow.deals d UNION ALL SELECT d.opened_at FROM leadflow.deals d
				UNION ALL SELECT h.entered_at FROM leadflow.stage_history h UNION ALL SELECT l.created_at FROM leadflow.leads l) x,
				(SELECT random()) r (salt)
			WHERE x.at IS NOT NULL ORDER BY lot(r.salt, x.at::text), x.at LIMIT 1), leadflow.now())
		ELSE leadflow.now() - upto(60) * interval '4 hours' END)
$$;
CREATE FUNCTION random_params(kind text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		WHEN kind = 'last_non_direct' THEN pick('{}', '{}', '{"direct": ["direct", "email"]}', '{"direct": []}', '{"direct": ["search"]}')
		WHEN kind = 'time_decay' THEN pick('{}', '{}', '{"half_life": "1 hour"}', '{"half_life": "1 second"}', '{"half_life": "30 days 7:11:13.17"}')
		WHEN kind = 'position_based' THEN pick('{}', '{}', '{"first": 0.6, "last": 0.2}', '{"middle": 0}', '{"first": 0, "last": 0}', '{"first": 1e-9, "last": 3, "middle": 0.7}')
		WHEN kind = 'w_shaped' THEN pick('{}', '{}', '{}', '{"middle": 0}', '{"first": 0}', '{"first": 0, "opportunity": 0, "middle": 0}')
		WHEN kind = 'full_path' THEN pick('{}', '{}', '{}', '{"last": 7}', '{"lead_created": 0}')
		WHEN kind = 'custom' THEN pick('{"lead_created": 1}', '{"opportunity": 2, "middle": 1}', '{"middle": 0.1}', '{"first": 0, "lead_created": 5}',
			'{"last": 0.3, "lead_created": 0.3333333333333333}', '{"first": 0.2, "last": 0.6, "middle": 0.2}')
		ELSE '{}' END::jsonb
$$;
CREATE FUNCTION add_models(n integer) RETURNS void LANGUAGE sql VOLATILE AS $$
	INSERT INTO leadflow.attribution_models (name, kind, params, lookback, active)
	SELECT k.kind || ' ' || random_id(), k.kind, random_params(k.kind),
		CASE WHEN k.kind NOT IN ('markov', 'shapley') THEN pick(NULL, NULL, NULL, '8 hours', '1 day', '4 days 4 hours', '1 microsecond')::interval END, chance(.9)
	FROM (SELECT pick('first_touch', 'last_touch', 'last_non_direct', 'last_non_direct', 'linear', 'time_decay', 'position_based', 'w_shaped', 'w_shaped',
		'full_path', 'full_path', 'custom', 'custom', 'markov', 'shapley') AS kind FROM generate_series(1, n)) k
$$;
CREATE FUNCTION random_touches(n integer) RETURNS TABLE (lead_id bigint, occurred_at timestamptz, id uuid, kind text, campaign_id bigint) LANGUAGE sql VOLATILE AS $$
	SELECT random_lead(), random_instant(), random_id(), random_kind(), CASE WHEN chance(.85) THEN random_campaign() END FROM generate_series(1, n)
$$;

-- Nobody moves but who is moved.
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
DELETE FROM leadflow.sla_policies;

-- One statement of any kind.
CREATE FUNCTION act(round integer, step integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	what CONSTANT integer := upto(40);
	lead CONSTANT bigint := random_lead();
	other CONSTANT bigint := random_lead();
	deal CONSTANT bigint := random_deal();
	salt CONSTANT float8 := random();
	rule record;
BEGIN
	INSERT INTO public.trace (round, step, what) VALUES (round, step, what);
	UPDATE public.done SET operations = operations + 1;
	CASE what
	WHEN 0, 1, 2 THEN
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id) SELECT * FROM random_touches(1);
	WHEN 3, 4 THEN
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id) SELECT * FROM random_touches(2 + upto(10));
	WHEN 5 THEN	-- one event, of two leads
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id)
		SELECT other, a.occurred_at, a.id, a.kind, a.campaign_id FROM leadflow.activities a WHERE a.lead_id = lead AND lot(salt, a.id::text) < .3 ON CONFLICT DO NOTHING;
	WHEN 6 THEN
		UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE voided_at IS NULL AND lot(salt, id::text) < .1;
	WHEN 7 THEN
		UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE voided_at IS NOT NULL AND lot(salt, id::text) < .5;
	WHEN 8 THEN
		UPDATE leadflow.activities a SET occurred_at = random_instant(), kind = random_kind() WHERE lot(salt, a.id::text) < .05;
	WHEN 9 THEN
		UPDATE leadflow.activities a SET campaign_id = CASE WHEN lot(salt, 'c' || a.id) < .8 THEN 1 + floor(5 * lot(salt, 'd' || a.id)) END WHERE lot(salt, a.id::text) < .1;
	WHEN 10 THEN
		DELETE FROM leadflow.activities a WHERE lot(salt, a.id::text) < .05;
	WHEN 11, 12, 13 THEN	-- some are of nobody, some correct another, whosever it is
		INSERT INTO leadflow.deals (lead_id, amount, currency, status, opened_at, closed_at, corrects_deal_id)
		SELECT CASE WHEN chance(.85) THEN random_lead() END, random_amount(), pick('EUR', 'EUR', 'USD'), pick('open', 'won', 'won', 'won', 'lost'), random_instant(), random_instant(),
			CASE WHEN chance(.3) THEN random_deal() END
		FROM generate_series(0, upto(2));
	WHEN 14, 15 THEN
		UPDATE leadflow.deals d SET status = pick('open', 'won', 'won', 'lost'), closed_at = random_instant() WHERE d.id = deal;
	WHEN 16 THEN
		UPDATE leadflow.deals d SET status = CASE WHEN d.status = 'won' THEN 'open' ELSE 'won' END WHERE lot(salt, d.id::text) < .2;
	WHEN 17 THEN
		UPDATE leadflow.deals d SET amount = random_amount(), currency = pick('EUR', 'CHF') WHERE d.id = deal;
	WHEN 18 THEN
		UPDATE leadflow.deals d SET closed_at = CASE WHEN lot(salt, 'h' || d.id) < .5 THEN random_instant()
			ELSE coalesce((SELECT min(h.entered_at) FROM leadflow.stage_history h WHERE h.lead_id = d.lead_id AND h.to_stage = 'mql'), d.closed_at) END
		WHERE lot(salt, d.id::text) < .3 AND d.closed_at IS NOT NULL;
	WHEN 19, 20 THEN
		UPDATE leadflow.deals d SET opened_at = random_instant() WHERE lot(salt, d.id::text) < .3;
	WHEN 21 THEN
		UPDATE leadflow.deals d SET lead_id = CASE WHEN chance(.8) THEN lead END WHERE d.id = deal;
	WHEN 22 THEN	-- no cycles
		UPDATE leadflow.deals d SET corrects_deal_id = (SELECT max(o.id) FROM leadflow.deals o WHERE o.id < d.id AND lot(salt, 'o' || o.id) < .4) WHERE lot(salt, d.id::text) < .15;
	WHEN 23 THEN
		DELETE FROM leadflow.deals d WHERE lot(salt, d.id::text) < .15 AND NOT EXISTS (SELECT FROM leadflow.deals c WHERE c.corrects_deal_id = d.id);
	WHEN 24 THEN
		INSERT INTO leadflow.deal_contacts (deal_id, lead_id)
		SELECT d.id, l.id FROM leadflow.deals d, leadflow.leads l WHERE lot(salt, d.id || ' ' || l.id) < .08 ON CONFLICT DO NOTHING;
	WHEN 25 THEN
		DELETE FROM leadflow.deal_contacts c WHERE lot(salt, c.deal_id || ' ' || c.lead_id) < .2;
	WHEN 26 THEN
		UPDATE leadflow.deal_contacts c SET lead_id = lead WHERE c.deal_id = deal;
	WHEN 27 THEN
		UPDATE leadflow.leads l SET created_at = random_instant() WHERE lot(salt, l.id::text) < .3;
	WHEN 28 THEN
		CASE upto(3)
		WHEN 0 THEN PERFORM leadflow.merge_leads(lead, other);
		WHEN 1 THEN PERFORM leadflow.erase_lead(lead) WHERE chance(.3);
		WHEN 2 THEN DELETE FROM leadflow.leads l WHERE l.id = lead;
		ELSE	-- one whose deals and parts go first
			DELETE FROM leadflow.deal_contacts c WHERE c.lead_id = lead;
			UPDATE leadflow.deals d SET lead_id = nullif(other, lead) WHERE d.lead_id = lead;
			DELETE FROM leadflow.leads l WHERE l.id = lead;
		END CASE;
	WHEN 29 THEN	-- new, or imported as MQL
		INSERT INTO leadflow.leads (created_at, stage, stage_since)
		SELECT i.at, s.stage, CASE WHEN s.stage <> 'lead' THEN i.at END FROM random_instant() i (at), pick('lead', 'mql', 'nurture') s (stage);
	WHEN 30 THEN
		CASE upto(4)
		WHEN 0 THEN PERFORM add_models(1);
		WHEN 1 THEN DELETE FROM leadflow.attribution_models m WHERE lot(salt, m.name) < .1 AND m.name <> (SELECT s.default_attribution_model FROM leadflow.settings s);
		WHEN 2 THEN UPDATE leadflow.attribution_models m SET name = m.name || 'x' WHERE lot(salt, m.name) < .1 AND m.name <> (SELECT s.default_attribution_model FROM leadflow.settings s);
		WHEN 3 THEN UPDATE leadflow.attribution_models m SET active = NOT m.active WHERE lot(salt, m.name) < .15;
		ELSE UPDATE leadflow.attribution_models m SET params = random_params(m.kind), lookback = pick(NULL, '8 hours', '1 day', '2 days 16 hours')::interval
			WHERE lot(salt, m.name) < .3 AND m.kind NOT IN ('markov', 'shapley');
		END CASE;
	WHEN 31 THEN
		UPDATE leadflow.campaigns c SET channel = pick(NULL, 'direct', 'direct', 'email', 'search') WHERE lot(salt, c.id::text) < .4;
	WHEN 32 THEN
		CASE upto(2)
		WHEN 0 THEN DELETE FROM leadflow.campaigns c WHERE c.id > 5 OR c.id = 1 + upto(4);
		WHEN 1 THEN INSERT INTO leadflow.campaigns (name, code, channel) SELECT r.id, r.id, pick('direct', 'search') FROM random_id() r (id);
		ELSE	-- its touches go first
			UPDATE leadflow.activities SET campaign_id = 1 WHERE campaign_id > 5;
			DELETE FROM leadflow.campaigns c WHERE c.id > 5;
		END CASE;
	WHEN 33 THEN
		CASE upto(2)
		WHEN 0 THEN UPDATE leadflow.activity_kinds k SET role = pick('engagement', 'other', 'sales_touch') WHERE k.kind = pick('form_submit', 'note', 'strange');
		WHEN 1 THEN INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('strange', 'engagement') ON CONFLICT DO NOTHING;
		ELSE DELETE FROM leadflow.activity_kinds WHERE kind = 'strange';
		END CASE;
	WHEN 34 THEN
		PERFORM leadflow.settle();
	WHEN 35 THEN	-- all at once
		WITH touched AS (
			INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id) SELECT * FROM random_touches(3)
		), closed AS (
			UPDATE leadflow.deals d SET status = 'won', closed_at = leadflow.now() - interval '4 hours' WHERE d.id = deal RETURNING d.id
		)
		INSERT INTO leadflow.deal_contacts (deal_id, lead_id) SELECT c.id, lead FROM closed c ON CONFLICT DO NOTHING;
	WHEN 36 THEN	-- a quiet load
		PERFORM set_config('leadflow.quiet', 'on', true);
		INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id) SELECT * FROM random_touches(1 + upto(5));
		PERFORM leadflow.settle(), set_config('leadflow.quiet', 'off', true);
	ELSE	-- moves, some of them made earlier than they are written
		SELECT t.*, (SELECT r.reason FROM leadflow.stage_reasons r WHERE r.stage = t.to_stage AND r.min_attempts IS NULL ORDER BY lot(salt, r.reason) LIMIT 1) AS reason INTO rule
		FROM leadflow.stage_transitions t JOIN leadflow.leads l ON l.id = lead AND l.stage = t.from_stage
		ORDER BY (t.to_stage IN ('mql', 'lead'))::integer * (lot(salt, 'mql') < .7)::integer DESC, lot(salt, t.to_stage) LIMIT 1;
		IF FOUND AND chance(.5) THEN
			UPDATE leadflow.leads SET stage = rule.to_stage, stage_reason = CASE WHEN rule.requires_reason THEN rule.reason END, stage_note = 'so',
				revisit_on = CASE WHEN rule.requires_revisit THEN date '2027-01-01' END
			WHERE id = lead;
		ELSIF FOUND THEN
			PERFORM leadflow.move(lead, rule.to_stage, CASE WHEN rule.requires_reason THEN rule.reason END, 'so',
				CASE WHEN rule.requires_revisit THEN date '2027-01-01' END, at => random_instant());
		END IF;
	END CASE;
EXCEPTION WHEN check_violation OR foreign_key_violation OR unique_violation OR no_data_found OR invalid_parameter_value OR object_not_in_prerequisite_state
	OR insufficient_privilege THEN
	-- not an MQL, say; a campaign that is used; a lead with deals; the same lead twice
	INSERT INTO public.trace (round, step, what, refused) VALUES (round, step, what, SQLERRM);
	UPDATE public.done SET operations = operations + 1, refused = refused + 1;
END $$;

-- Some of it in subtransactions, which end well or not.
CREATE FUNCTION work(depth integer, round integer, step integer) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	FOR i IN 0 .. upto(4) LOOP
		IF depth < 2 AND chance(.25) THEN
			BEGIN
				PERFORM work(depth + 1, round, step);
				IF chance(.5) THEN
					RAISE 'back';
				END IF;
			EXCEPTION WHEN raise_exception THEN
				UPDATE public.done SET rolled_back = rolled_back + 1;
			END;
		ELSE
			PERFORM act(round, step);
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION compare(round integer, step integer, what text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	lead CONSTANT bigint := random_lead();
	deal CONSTANT bigint := (SELECT d.id FROM leadflow.deals d, (SELECT random()) r (salt) WHERE d.status = 'won' ORDER BY lot(r.salt, d.id::text), d.id LIMIT 1);
BEGIN
	INSERT INTO differences
	SELECT round, step, what, v.object_id, v.kept, v.recomputed FROM leadflow._verify_credits() v
	UNION ALL
	SELECT round, step, what || ', sum', format('deal %s, %s', c.deal_id, c.model), c.credited::text, c.expected::text FROM leadflow.attribution_check c
	UNION ALL
	-- by leads it is the same
	SELECT round, step, what || ', of lead ' || lead, v.object_id, v.kept, v.recomputed FROM leadflow._verify_credits(lead, lead) v
	UNION ALL
	-- and so it is explained
	SELECT round, step, what || ', explained', format('deal %s, %s', deal, coalesce(k.model, e.model)), k.share::text, e.share::text
	FROM (
		SELECT k.model, to_jsonb(k) - '{id,deal_id,model}'::text[] AS share FROM leadflow.attribution_credits k WHERE k.deal_id = deal
	) k
	FULL JOIN (
		SELECT m.name AS model, to_jsonb(s) AS share
		FROM leadflow.attribution_models m
		CROSS JOIN LATERAL (SELECT e.lead_id, e.occurred_at, e.activity_id, e.campaign_id, e.weight, e.credit, e.currency
			FROM leadflow.explain_credit(deal, m.name) e WHERE e.weight > 0) s
		WHERE m.active AND m.kind NOT IN ('markov', 'shapley')
	) e ON e.model = k.model AND e.share = k.share
	WHERE e.share IS NULL OR k.share IS NULL;
	UPDATE done SET credits = credits + (SELECT count(*) FROM leadflow.attribution_credits);
END $$;

-- A round: ten leads, some touches and deals, then anything. Commits as it goes.
CREATE PROCEDURE play(round integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed((seed + round * 0.6180339887498949) - floor(seed + round * 0.6180339887498949));
	PERFORM set_config('leadflow.clock', '2026-02-18 00:00Z', false);
	DELETE FROM trace;
	DELETE FROM leadflow.deal_contacts;
	UPDATE leadflow.deals SET corrects_deal_id = NULL;
	DELETE FROM leadflow.deals;
	DELETE FROM leadflow.leads;
	DELETE FROM leadflow.campaigns;
	DELETE FROM leadflow.attribution_models;
	DELETE FROM leadflow.activity_kinds WHERE kind = 'strange';
	UPDATE leadflow.activity_kinds SET role = CASE kind WHEN 'note' THEN 'other' ELSE 'engagement' END WHERE kind IN ('form_submit', 'note');
	INSERT INTO leadflow.campaigns (id, code, name, channel) VALUES
		(1, 'ads', 'Ads', 'search'), (2, 'mail', 'Mail', 'email'), (3, 'typed', 'Typed in', 'direct'), (4, 'again', 'Again', 'direct'), (5, 'fair', 'Fair', NULL);
	INSERT INTO leadflow.leads (id, created_at) SELECT i, leadflow.now() - upto(40) * interval '4 hours' FROM generate_series(1, 10) i;
	PERFORM set_config('leadflow.clock', '2026-03-01 00:00Z', false);
	INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id) SELECT * FROM random_touches(upto(60));
	PERFORM add_models(6);
	PERFORM leadflow.move(l.id, 'mql', at => leadflow.now() - (30 + upto(30)) * interval '4 hours') FROM leadflow.leads l WHERE l.id < 7;
	-- some of them twice
	PERFORM leadflow.move(l.id, 'lead', at => leadflow.now() - (20 + upto(10)) * interval '4 hours') FROM leadflow.leads l WHERE l.id < 4;
	PERFORM leadflow.move(l.id, 'mql', at => leadflow.now() - upto(20) * interval '4 hours') FROM leadflow.leads l WHERE l.id < 4;
	INSERT INTO leadflow.deals (lead_id, amount, status, opened_at, closed_at)
	SELECT random_lead(), random_amount(), pick('open', 'won', 'won'), random_instant(), random_instant() FROM generate_series(0, 3 + upto(4));
	INSERT INTO leadflow.deal_contacts (deal_id, lead_id) SELECT d.id, random_lead() FROM leadflow.deals d;
	COMMIT;
	FOR step IN 1 .. 12 LOOP
		PERFORM set_config('leadflow.clock', (leadflow.now() + pick('0', '4 hours', '4 hours', '1 day')::interval)::text, false);
		PERFORM work(0, round, step);
		IF chance(.3) THEN
			PERFORM leadflow.settle();
			PERFORM compare(round, step, 'within');
		END IF;
		IF chance(.1) THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		PERFORM compare(round, step, 'after');
		UPDATE done SET batches = batches + 1;
		COMMIT;
	END LOOP;
	INSERT INTO differences SELECT round, 99, 'verify: ' || v.check_name, v.object_id, v.kept, v.recomputed FROM leadflow.verify() v;
	INSERT INTO seen
	SELECT m.kind || CASE WHEN c.campaign_id IS NULL THEN ', no touch' WHEN c.weight = 1 THEN ', one' ELSE ', shared' END
	FROM leadflow.attribution_credits c JOIN leadflow.attribution_models m ON m.name = c.model ON CONFLICT DO NOTHING;
	INSERT INTO differences SELECT round, 99, 'made anew', r.rows::text, NULL, NULL FROM leadflow._rebuild_credits() r (rows) WHERE r.rows <> 0;
	UPDATE done SET histories = histories + 1;
	COMMIT;
END $$;
CREATE PROCEDURE play_all(histories integer, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	FOR round IN 1 .. histories LOOP
		CALL play(round, seed);
		EXIT WHEN EXISTS (SELECT FROM differences);
	END LOOP;
END $$;

CALL play_all(:histories, :seed);

SELECT histories >= :histories AS enough, credits > 100 * histories AS credits, operations > 20 * histories AS operations, refused < operations / 3 AS allowed,
	rolled_back > 0 AS rolled_back FROM done;
SELECT count(DISTINCT split_part(what, ',', 1)) AS kinds, count(*) > 15 AS shares FROM seen;
SELECT * FROM differences ORDER BY round, step, what, detail LIMIT 20;
SELECT * FROM leadflow.verify();
