-- The rule-based models on journeys that were shared out by hand, from the table of
-- doc/decisions/0005-attribution.md. Every line of say() is its arithmetic; no rows = all agree.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET jit = off;
SET client_min_messages = warning;

-- Hours after 1 January. Deals are won at hour 240.
CREATE FUNCTION hour(h numeric) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT timestamptz '2026-01-01 00:00Z' + h::double precision * interval '1 hour' $$;
CREATE FUNCTION born(lead bigint, created numeric, mql numeric DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('leadflow.clock', hour(created)::text, false);
	INSERT INTO leadflow.leads (id, created_at) VALUES (lead, hour(created));
	IF mql IS NOT NULL THEN
		PERFORM set_config('leadflow.clock', hour(mql)::text, false);
		UPDATE leadflow.leads SET stage = 'mql' WHERE id = lead;
	END IF;
	PERFORM set_config('leadflow.clock', '2026-06-01 12:00Z', false);
END $$;
-- touches 1, 2, 3 … of a lead have the ids 1000 × lead + 1, 2, 3 …
CREATE FUNCTION touch(lead bigint, n integer, at timestamptz, campaign bigint DEFAULT 1, kind text DEFAULT 'page_view') RETURNS void LANGUAGE sql AS $$
	INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, campaign_id) VALUES (lead, at, lpad((1000 * lead + n)::text, 32, '0')::uuid, kind, campaign)
$$;
CREATE FUNCTION path(lead bigint, VARIADIC hours numeric[]) RETURNS void LANGUAGE sql AS $$
	SELECT touch(lead, n::integer, hour(h)) FROM unnest(hours) WITH ORDINALITY t (h, n)
$$;
CREATE FUNCTION win(deal bigint, lead bigint, amount numeric, opened numeric, closed numeric DEFAULT 240, corrects bigint DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at, corrects_deal_id)
	VALUES (deal, lead, amount, 'won', hour(opened), hour(closed), corrects)
$$;
-- weights as fractions, 0 = has no row; touches of the lead in order, or those named
CREATE TABLE said (deal_id bigint, model text, touch bigint, weight numeric, credit numeric, PRIMARY KEY (deal_id, model, touch));
CREATE FUNCTION say(deal bigint, model text, weights text, credits numeric[], touches bigint[] DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO said
	SELECT deal, model, coalesce(touches[n], 1000 * (SELECT d.lead_id FROM leadflow.deals d WHERE d.id = deal) + n),
		split_part(w, '/', 1)::numeric / coalesce(nullif(split_part(w, '/', 2), ''), '1')::numeric, credits[n]
	FROM unnest(string_to_array(weights, ' ')) WITH ORDINALITY t (w, n)
$$;

INSERT INTO leadflow.campaigns (id, code, name, channel) VALUES (1, 'ads', 'Ads', 'search'), (2, 'type-in', 'Typed in', 'direct'), (3, 'fair', 'Fair', NULL);
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';

-- J1: one touch has it all, whatever it is.
SELECT born(1, 0), path(1, 24), win(1, 1, 100, 100);
SELECT say(1, model, '1', '{100}')
FROM unnest('{first_touch,last_touch,last_non_direct,linear,time_decay,position_based,w_shaped,full_path,j,created,rest}'::text[]) model;

-- J2: two touches, the second at the very instant of conversion; lead and opportunity are older than both. 3 cents.
SELECT born(2, 0), path(2, 72, 240), win(2, 2, 0.03, 10);
SELECT say(2, 'first_touch', '1 0', '{.03,0}'), say(2, 'last_touch', '0 1', '{0,.03}'), say(2, 'last_non_direct', '0 1', '{0,.03}'),
	say(2, 'linear', '1/2 1/2', '{.02,.01}'),			-- 1.5 cents each: a tie goes to the earlier
	say(2, 'time_decay', '1/3 2/3', '{.01,.02}'),		-- 7 days and 0 before: 1/2 : 1
	say(2, 'position_based', '1/2 1/2', '{.02,.01}'),	-- no middle: 0.4 : 0.4
	say(2, 'w_shaped', '3/4 1/4', '{.02,.01}'),			-- first 0.3, both events missing, middle 0.1: 2.25 and 0.75 cents
	say(2, 'full_path', '1/2 1/2', '{.02,.01}'),		-- first, last; no middle
	say(2, 'j', '1/4 3/4', '{.01,.02}'),				-- 0.2 : 0.6, 0.75 and 2.25 cents
	say(2, 'created', '1/2 1/2', '{.02,.01}'),			-- nothing of it is present: all alike
	say(2, 'rest', '0 1', '{0,.03}');					-- the first is an anchor, though of weight 0

-- J3: all parts, each on a touch of its own.
SELECT born(3, 0, 60), path(3, 24, 48, 96, 144, 192), win(3, 3, 1000, 150);
SELECT say(3, 'linear', '1/5 1/5 1/5 1/5 1/5', '{200,200,200,200,200}'),
	say(3, 'position_based', '2/5 1/15 1/15 1/15 2/5', '{400,66.67,66.67,66.66,400}'),
	say(3, 'w_shaped', '3/10 3/10 1/20 3/10 1/20', '{300,300,50,300,50}'),		-- created: the 2nd, opportunity: the 4th
	say(3, 'full_path', '9/40 9/40 1/10 9/40 9/40', '{225,225,100,225,225}'),
	say(3, 'j', '1/5 1/15 1/15 1/15 3/5', '{200,66.67,66.67,66.66,600}'),
	say(3, 'created', '0 1 0 0 0', '{0,1000,0,0,0}'),
	say(3, 'rest', '0 1/4 1/4 1/4 1/4', '{0,250,250,250,250}'),
	-- 9, 8, 6, 4, 2 days: 1 : 2 : 8 : 32 : 128 of 171; 584.795, 1169.591, 4678.363, 18713.450, 74853.801 cents, three left over
	say(3, 'decay, 1 day', '1/171 2/171 8/171 32/171 128/171', '{5.85,11.70,46.78,187.13,748.54}');

-- J4: one touch is first, lead creation and opportunity: their shares add up.
SELECT born(4, 0, 30), path(4, 24, 120, 180), win(4, 4, 100, 40);
SELECT say(4, 'position_based', '2/5 1/5 2/5', '{40,20,40}'),
	say(4, 'w_shaped', '9/10 1/20 1/20', '{90,5,5}'),
	say(4, 'full_path', '27/40 1/10 9/40', '{67.5,10,22.5}');

-- J5: created before any touch: that anchor is missing, and its touch is a middle one.
SELECT born(5, 10), path(5, 24, 48, 96), win(5, 5, 1, 50);
SELECT say(5, 'w_shaped', '3/7 3/7 1/7', '{.43,.43,.14}'),		-- 42.857, 42.857, 14.286: two cents left
	say(5, 'full_path', '1/3 1/3 1/3', '{.34,.33,.33}'),		-- first, opportunity, last; no middle
	say(5, 'created', '1/3 1/3 1/3', '{.34,.33,.33}');

-- J6: three at one instant are in order of their ids; events at that instant have the last of them.
SELECT born(6, 24), path(6, 24, 24, 24), win(6, 6, 0.05, 24);
SELECT say(6, 'first_touch', '1 0 0', '{.05,0,0}'), say(6, 'last_touch', '0 0 1', '{0,0,.05}'),
	say(6, 'time_decay', '1/3 1/3 1/3', '{.02,.02,.01}'),
	say(6, 'w_shaped', '3/10 1/10 6/10', '{.02,0,.03}'),		-- 1.5, 0.5, 3 cents: a tie; what rounds to nothing keeps its row
	say(6, 'full_path', '9/40 1/10 27/40', '{.01,.01,.03}');	-- 1.125, 0.5, 3.375 cents

-- J7: edges. A microsecond after the conversion is too late, 3.6 seconds more than the lookback too early.
SELECT born(7, 0), path(7, 191.999, 192, 240), touch(7, 4, hour(240) + interval '1 microsecond'), win(7, 7, 10, 250);
SELECT say(7, 'linear', '1/3 1/3 1/3 0', '{3.34,3.33,3.33,0}'), say(7, 'last_touch', '0 0 1 0', '{0,0,10,0}'),
	say(7, 'linear, 2 days', '0 1/2 1/2 0', '{0,5,5,0}'),
	say(7, 'w_shaped, 2 days', '0 3/6 3/6 0', '{0,5,5,0}'),		-- first, then opportunity (opened after it was won); lead creation is older
	say(7, 'w_shaped', '3/7 1/7 3/7 0', '{4.29,1.43,4.28,0}');	-- 428.571, 142.857, 428.571: two cents, to .857 and the earlier .571

-- J8: an MQL after the conversion created nobody, so leads.created_at counts; for the second deal it did.
SELECT born(8, 30, 250), path(8, 24, 48, 245), win(8, 8, 9, 50), win(81, 8, 10, 246, 300);
SELECT say(8, 'w_shaped', '2/3 1/3 0', '{6,3,0}'),				-- 0.6 : 0.3, no middle
	say(8, 'created', '1 0 0', '{9,0,0}'),
	say(81, 'w_shaped', '3/10 1/10 6/10', '{3,1,6}'), say(81, 'created', '0 0 1', '{0,0,10}'),
	say(81, 'linear', '1/3 1/3 1/3', '{3.34,3.33,3.33}');

-- J9, J10: direct touches; a campaign without a channel is not direct.
SELECT born(9, 0), touch(9, 1, hour(24), 3), touch(9, 2, hour(48), 1), touch(9, 3, hour(96), 2), touch(9, 4, hour(97), 2), win(9, 9, 8, 0),
	born(10, 0), touch(10, 1, hour(24), 2), touch(10, 2, hour(48), 2), win(10, 10, 8, 0);
SELECT say(9, 'last_non_direct', '0 1 0 0', '{0,8,0,0}'), say(9, 'last_touch', '0 0 0 1', '{0,0,0,8}'),
	say(9, 'neither', '1 0 0 0', '{8,0,0,0}'), say(10, 'last_non_direct', '0 1', '{0,8}');

-- J11: a buying group; the lead's creation is that of the deal's lead, the anchor anybody's touch. A refund of 50.
SELECT born(11, 60), born(12, 0, 5), born(13, 0), path(11, 24, 100), path(12, 24, 60);
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at) VALUES (11, 11, -50, 'won', hour(70), hour(240));
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) VALUES (11, 12), (11, 13);
SELECT say(11, 'w_shaped', '3/10 1/20 6/10 1/20', '{-15,-2.50,-30,-2.50}', '{11001,12001,12002,11002}'),
	say(11, 'created', '0 0 1 0', '{0,0,-50,0}', '{11001,12001,12002,11002}'),
	say(11, 'last_touch', '0 0 0 1', '{0,0,0,-50}', '{11001,12001,12002,11002}');

-- J14: what is no touch: voided, no campaign, no engagement, a kind that nobody knows.
SELECT born(14, 0), path(14, 24, 48, 72), touch(14, 4, hour(80), NULL), touch(14, 5, hour(81), 1, 'call'), touch(14, 6, hour(82), 1, 'strange'), win(14, 14, 0.01, 0);
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = 14 AND occurred_at = hour(48);
SELECT say(14, 'linear', '1/2 0 1/2 0 0 0', '{.01,0,0,0,0,0}'), say(14, 'last_touch', '0 0 1 0 0 0', '{0,0,.01,0,0,0}');

-- J15: amounts, currencies, corrections; a touch after all of it that no correction knows.
SELECT born(15, 0), path(15, 24, 48, 72, 300), win(15, 15, 1000000000000, 50), win(151, 15, 0, 50), win(152, 15, -50, 50), win(153, 15, 0.01, 50), win(154, 15, 33.33, 50);
UPDATE leadflow.deals SET currency = 'USD' WHERE id = 154;
SELECT say(15, 'linear', '1/3 1/3 1/3 0', '{333333333333.34,333333333333.33,333333333333.33,0}'),
	say(15, 'position_based', '2/5 1/5 2/5 0', '{400000000000,200000000000,400000000000,0}'),
	say(151, 'linear', '1/3 1/3 1/3 0', '{0,0,0,0}'), say(152, 'linear', '1/3 1/3 1/3 0', '{-16.67,-16.67,-16.66,0}'),
	say(153, 'linear', '1/3 1/3 1/3 0', '{.01,0,0,0}'), say(154, 'linear', '1/3 1/3 1/3 0', '{11.11,11.11,11.11,0}'),
	say(15, 'w_shaped', '3/7 1/7 3/7 0', NULL);
DELETE FROM said WHERE credit IS NULL;
SELECT win(16, 1, -0.05, 390, 400, 15), win(17, NULL, 0.02, 390, 401, 16);
SELECT say(16, 'linear', '1/3 1/3 1/3 0', '{-.02,-.02,-.01,0}', '{15001,15002,15003,15004}'),
	say(16, 'w_shaped', '3/7 3/7 1/7 0', '{-.02,-.02,-.01,0}', '{15001,15002,15003,15004}'),	-- opportunity: that of the root; 2.143, 2.143, 0.714 cents
	say(17, 'linear', '1/3 1/3 1/3 0', '{.01,.01,0,0}', '{15001,15002,15003,15004}');
-- one of a deal that isn't closed any more goes by its own closing
SELECT win(18, 15, 7, 50), win(19, NULL, 4, 0, 400, 18);
UPDATE leadflow.deals SET status = 'open' WHERE id = 18;
SELECT say(19, 'linear', '1/4 1/4 1/4 1/4', '{1,1,1,1}', '{15001,15002,15003,15004}');

-- Without a touch, and nobody's, whoever else was in it.
SELECT born(22, 0), win(22, 22, 5, 0), win(20, NULL, 70, 0), win(21, 15, -1, 0, 400, 20);
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) VALUES (20, 15);

-- The models, switched on at last.
DELETE FROM leadflow.attribution_models;
INSERT INTO leadflow.attribution_models (name, kind)
SELECT kind, kind FROM unnest('{first_touch,last_touch,last_non_direct,linear,time_decay,position_based,w_shaped,full_path,markov,shapley}'::text[]) kind;
INSERT INTO leadflow.attribution_models (name, kind, params, lookback, active) VALUES
	('j', 'custom', '{"first": 0.2, "last": 0.6, "middle": 0.2}', NULL, true),
	('created', 'custom', '{"lead_created": 1}', NULL, true),
	('rest', 'custom', '{"first": 0, "middle": 3}', NULL, true),
	('decay, 1 day', 'time_decay', '{"half_life": "1 day"}', NULL, true),
	('neither', 'last_non_direct', '{"direct": ["direct", "search"]}', NULL, true),
	('linear, 2 days', 'linear', '{}', '2 days', true),
	('w_shaped, 2 days', 'w_shaped', '{}', '2 days', true),
	('off', 'linear', '{}', NULL, false);
SELECT * FROM leadflow._verify_credits();
SELECT * FROM leadflow.attribution_check;

-- What was said and is not so, and the other way round.
SELECT deal_id, model, coalesce(s.touch, o.touch) AS touch, s.weight AS said_weight, o.weight, s.credit AS said_credit, o.credit
FROM (SELECT * FROM said WHERE weight <> 0) s
FULL JOIN (SELECT o.deal_id, o.model, o.activity_id, replace(o.activity_id::text, '-', '')::bigint AS touch, o.weight, o.credit FROM leadflow._oracle_credits() o
	JOIN (SELECT DISTINCT s.deal_id, s.model FROM said s) s USING (deal_id, model)) o USING (deal_id, model, touch)
WHERE (abs(s.weight - o.weight::numeric) < 1e-14 AND s.credit = o.credit) IS NOT TRUE
ORDER BY 1, 2, 3;
SELECT count(*) > 150 AS enough, count(DISTINCT model) AS models FROM said;
-- won deals under all models: what they are worth, by weights that make 1
SELECT d.id, m.name, d.amount, sum(o.credit) AS credited, sum(o.weight) AS weights
FROM leadflow.deals d
CROSS JOIN leadflow.attribution_models m
LEFT JOIN leadflow._oracle_credits() o ON o.deal_id = d.id AND o.model = m.name
WHERE d.status = 'won' AND m.active AND m.kind NOT IN ('markov', 'shapley')
GROUP BY d.id, m.name
HAVING (sum(o.credit) = d.amount AND abs(sum(o.weight) - 1) < 1e-12) IS NOT TRUE
ORDER BY 1, 2;
-- without a touch; of nobody
SELECT deal_id, lead_id, occurred_at, activity_id, campaign_id, weight, credit, currency, count(*) AS models FROM leadflow._oracle_credits()
WHERE activity_id IS NULL AND model NOT LIKE '%2 days' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1;

-- Parts of any size: what is less than 1e-300 of the whole is nothing, to verify() too.
INSERT INTO leadflow.attribution_models (name, kind, params) VALUES ('next to nothing', 'custom', '{"first": 1e-300, "middle": 1e-310, "last": 1e308}');
SELECT * FROM leadflow._verify_credits();
