-- Attribution: credits kept in step with deals, contacts, touches and models. The
-- oracle below is plain SQL and shares nothing with the engine.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET jit = off;
SET leadflow.clock = '2026-06-01 12:00+00';

-- The oracle: what attribution_credits ought to hold, by window functions.
CREATE VIEW oracle AS
WITH RECURSIVE up AS (
	SELECT id AS deal_id, id, corrects_deal_id FROM leadflow.deals WHERE status = 'won'
	UNION
	SELECT up.deal_id, d.id, d.corrects_deal_id FROM up JOIN leadflow.deals d ON d.id = up.corrects_deal_id
), won AS (
	SELECT d.id, d.amount, d.currency, r.id AS root, r.lead_id, coalesce(r.closed_at, d.closed_at) AS at
	FROM up JOIN leadflow.deals d ON d.id = up.deal_id JOIN leadflow.deals r ON r.id = up.id
	WHERE up.corrects_deal_id IS NULL
), people AS (
	SELECT id AS deal_id, lead_id FROM won
	UNION SELECT w.id, c.lead_id FROM won w JOIN leadflow.deal_contacts c ON c.deal_id = w.root WHERE w.lead_id IS NOT NULL
), touches AS (
	SELECT w.id AS deal_id, m.name AS model, m.kind, w.amount, w.currency, a.lead_id, a.occurred_at, a.id, a.campaign_id,
		row_number() OVER o AS nth, count(*) OVER (PARTITION BY w.id, m.name) AS n
	FROM won w JOIN people p ON p.deal_id = w.id JOIN leadflow.activities a ON a.lead_id = p.lead_id
		CROSS JOIN leadflow.attribution_models m
	WHERE m.active AND a.campaign_id IS NOT NULL AND a.voided_at IS NULL AND a.occurred_at <= w.at
		AND a.kind IN (SELECT kind FROM leadflow.activity_kinds WHERE role = 'engagement')
		AND (m.lookback IS NULL OR extract(epoch FROM w.at) - extract(epoch FROM a.occurred_at) <= extract(epoch FROM m.lookback))
	WINDOW o AS (PARTITION BY w.id, m.name ORDER BY a.occurred_at, a.id)
), shares AS (
	SELECT *, sign(amount) * 0.01 * CASE
		WHEN kind = 'linear' THEN trunc(abs(amount) * 100 / n) + (nth <= abs(amount) * 100 - n * trunc(abs(amount) * 100 / n))::int
		ELSE abs(amount) * 100 END AS credit
	FROM touches
	WHERE kind = 'linear' OR nth = CASE kind WHEN 'first_touch' THEN 1 ELSE n END
)
SELECT deal_id, model, lead_id, occurred_at, id AS activity_id, campaign_id, credit, currency FROM shares
UNION ALL
SELECT w.id, m.name, w.lead_id, NULL, NULL, NULL, w.amount, w.currency
FROM won w CROSS JOIN leadflow.attribution_models m
WHERE m.active AND NOT EXISTS (SELECT FROM touches t WHERE t.deal_id = w.id AND t.model = m.name);

-- Rows that differ; empty is right.
CREATE VIEW wrong AS
SELECT * FROM (
	SELECT 'missing' AS what, * FROM (TABLE oracle EXCEPT ALL
		SELECT deal_id, model, lead_id, occurred_at, activity_id, campaign_id, credit, currency FROM leadflow.attribution_credits) m
	UNION ALL
	SELECT 'extra', * FROM (SELECT deal_id, model, lead_id, occurred_at, activity_id, campaign_id, credit, currency
		FROM leadflow.attribution_credits EXCEPT ALL TABLE oracle) e
	UNION ALL
	SELECT 'weights', deal_id, model, NULL, NULL, NULL, NULL, sum(weight)::numeric, NULL FROM leadflow.attribution_credits
	GROUP BY deal_id, model HAVING abs(sum(weight) - 1) > 1e-9
	UNION ALL
	SELECT 'sum', deal_id, model, NULL, NULL, NULL, NULL, expected - credited, NULL FROM leadflow.attribution_check
) x;
CREATE VIEW shown AS
SELECT c.deal_id, c.model, c.lead_id, c.occurred_at, n.code, round(c.weight::numeric, 6) AS weight, c.credit, c.currency
FROM leadflow.attribution_credits c LEFT JOIN leadflow.campaigns n ON n.id = c.campaign_id
ORDER BY c.deal_id, c.model, c.occurred_at, c.activity_id;

-- the models that it knows; attribution_property has all
DELETE FROM leadflow.attribution_models WHERE kind NOT IN ('first_touch', 'last_touch', 'linear');
INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('page_view', 'engagement'), ('form_submit', 'engagement'), ('call', 'sales_touch')
ON CONFLICT DO NOTHING;
INSERT INTO leadflow.campaigns (id, name, code) VALUES (1, 'Spring', 'spring'), (2, 'Search', 'search'), (3, 'Fair', 'fair');
INSERT INTO leadflow.leads (id, created_at) SELECT i, '2026-01-01' FROM generate_series(1, 6) i;
CREATE FUNCTION touch(lead bigint, at timestamptz, campaign bigint, n int, kind text DEFAULT 'page_view') RETURNS void LANGUAGE sql AS
'INSERT INTO leadflow.activities (lead_id, occurred_at, campaign_id, id, kind) VALUES (lead, at, campaign, lpad(n::text, 32, ''0'')::uuid, kind)';

-- Three touches, two at one instant: by id. What is no touch: no campaign, no engagement, after the conversion.
SELECT touch(1, '2026-01-10', 1, 1), touch(1, '2026-01-20', 2, 3), touch(1, '2026-01-20', 3, 2);
SELECT touch(1, '2026-01-21', NULL, 4), touch(1, '2026-01-22', 1, 5, 'call'), touch(1, '2026-01-23', 1, 6, 'not registered');
SELECT touch(1, '2026-02-10', 1, 7), touch(1, '2026-02-10 00:00:00.000001', 2, 8);
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at) VALUES (1, 1, 100, 'won', '2026-01-25', '2026-02-10');
SELECT * FROM shown; SELECT * FROM wrong;
-- a deal without a touch keeps a row, one of nobody too; one that is not won has none
INSERT INTO leadflow.deals (id, lead_id, amount, currency, status, opened_at, closed_at) VALUES
	(2, 2, 33.33, 'USD', 'won', '2026-02-01', '2026-02-10'), (3, NULL, 70, 'EUR', 'won', '2026-02-01', '2026-02-11'),
	(4, 2, 10, 'EUR', 'open', '2026-02-01', NULL), (5, 2, 10, 'EUR', 'lost', '2026-02-01', '2026-02-02');
SELECT * FROM shown WHERE deal_id <> 1; SELECT * FROM wrong;
SELECT deal_id, amount, currency, status FROM leadflow.unmatched_deals;
-- matched later
UPDATE leadflow.deals SET lead_id = 1 WHERE id = 3;
SELECT count(*) FROM leadflow.unmatched_deals; SELECT * FROM shown WHERE deal_id = 3 AND model = 'linear'; SELECT * FROM wrong;
-- contacts come, change and go
INSERT INTO leadflow.deal_contacts VALUES (2, 1, 'decision maker'), (2, 3, NULL);
SELECT touch(3, '2026-02-05', 3, 9);
SELECT * FROM shown WHERE deal_id = 2 AND model = 'linear'; SELECT * FROM wrong;
UPDATE leadflow.deal_contacts SET lead_id = 4 WHERE deal_id = 2 AND lead_id = 1;
SELECT * FROM shown WHERE deal_id = 2; SELECT * FROM wrong;
DELETE FROM leadflow.deal_contacts WHERE lead_id = 3;
SELECT * FROM shown WHERE deal_id = 2 AND model = 'linear'; SELECT * FROM wrong;
-- touches that come late, are voided, deleted, sent again, moved in time
SELECT touch(1, '2026-01-05', 3, 10);
SELECT * FROM shown WHERE deal_id = 1 AND model <> 'last_touch'; SELECT * FROM wrong;
UPDATE leadflow.activities SET voided_at = '2026-03-01', void_reason = 'bot' WHERE lead_id = 1 AND occurred_at = '2026-01-05';
SELECT count(*), min(credit), max(credit) FROM shown WHERE deal_id = 1 AND model = 'linear'; SELECT * FROM wrong;
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE lead_id = 1 AND occurred_at = '2026-01-05';
SELECT count(*), min(credit), max(credit) FROM shown WHERE deal_id = 1 AND model = 'linear'; SELECT * FROM wrong;
DELETE FROM leadflow.activities WHERE lead_id = 1 AND occurred_at = '2026-01-05';
SELECT count(*), min(credit), max(credit) FROM shown WHERE deal_id = 1 AND model = 'linear'; SELECT * FROM wrong;
SELECT touch(1, '2026-01-05', 3, 10);
SELECT count(*), min(credit), max(credit) FROM shown WHERE deal_id = 1 AND model = 'linear'; SELECT * FROM wrong;
UPDATE leadflow.activities SET campaign_id = 1 WHERE lead_id = 1 AND occurred_at = '2026-01-05';
SELECT * FROM shown WHERE deal_id = 1 AND model = 'first_touch'; SELECT * FROM wrong;
-- rows that stay the same are left alone
CREATE TEMP TABLE before AS SELECT id, deal_id, model FROM leadflow.attribution_credits;
SELECT touch(1, '2026-01-06', 3, 11);
SELECT deal_id, model, count(*) FROM leadflow.attribution_credits c WHERE NOT EXISTS (SELECT FROM before b WHERE b.id = c.id)
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM wrong;
-- won → open → won; amounts, currencies and dates change; deals go
UPDATE leadflow.deals SET status = 'open' WHERE id = 1;
SELECT count(*) FROM shown WHERE deal_id = 1; SELECT * FROM wrong;
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-01-20' WHERE id = 1;
SELECT * FROM shown WHERE deal_id = 1 AND model = 'linear'; SELECT * FROM wrong;
UPDATE leadflow.deals SET amount = -50, currency = 'CHF' WHERE id = 1;
SELECT * FROM shown WHERE deal_id = 1 AND model = 'linear'; SELECT * FROM wrong;
UPDATE leadflow.deals SET name = 'renamed';
SELECT * FROM wrong;
-- a correction: the original's weights, its own amount; counts no deal
INSERT INTO leadflow.deals (id, lead_id, amount, currency, status, opened_at, closed_at, corrects_deal_id) VALUES
	(6, 1, -0.03, 'CHF', 'won', '2026-03-01', '2026-04-01', 1), (7, NULL, 5, 'CHF', 'won', '2026-03-01', '2026-04-02', 6);
SELECT * FROM shown WHERE deal_id IN (6, 7) AND model = 'linear'; SELECT * FROM wrong;
SELECT touch(1, '2026-01-07', 2, 12);
SELECT count(*), sum(credit) FROM shown WHERE deal_id = 6 AND model = 'linear'; SELECT * FROM wrong;
UPDATE leadflow.deals SET status = 'open' WHERE id = 1;
SELECT * FROM wrong;
SELECT touch(1, '2026-01-08', 2, 13);
SELECT * FROM wrong;
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-02-10', currency = 'EUR', amount = 100 WHERE id = 1;
SELECT * FROM wrong;
DELETE FROM leadflow.deals WHERE id = 1;
DELETE FROM leadflow.deals WHERE id IN (2, 3, 7);
SELECT DISTINCT deal_id FROM shown ORDER BY 1; SELECT * FROM wrong;
DELETE FROM leadflow.deal_contacts;
SELECT lead_id, watch & 4 AS watched FROM leadflow.score_state ORDER BY 1;

-- a deal's lock goes with it, whether or not it was won
INSERT INTO leadflow.deals (id, lead_id, amount, status) VALUES (90, 4, 1, 'open'), (91, 4, 1, 'lost'), (92, NULL, 1, 'won');
DELETE FROM leadflow.deals WHERE id >= 90;
SELECT * FROM leadflow.deal_state s WHERE NOT EXISTS (SELECT FROM leadflow.deals d WHERE d.id = s.deal_id);

-- Models: the edge of the lookback counts, a second more does not; months are no length.
INSERT INTO leadflow.attribution_models (name, kind, lookback) VALUES ('linear, 31 days', 'linear', '31 days'), ('late', 'last_touch', '1 second');
SELECT * FROM shown WHERE model IN ('linear, 31 days', 'late'); SELECT * FROM wrong;
UPDATE leadflow.attribution_models SET lookback = '31 days -1 second' WHERE name = 'linear, 31 days';
SELECT * FROM shown WHERE model = 'linear, 31 days'; SELECT * FROM wrong;
UPDATE leadflow.attribution_models SET lookback = '1 mon' WHERE name = 'linear, 31 days';
UPDATE leadflow.attribution_models SET lookback = '-1 day' WHERE name = 'linear, 31 days';
UPDATE leadflow.attribution_models SET lookback = '1000000 days' WHERE name = 'linear, 31 days';
-- a day has 24 hours, in every session's zone
SET timezone = 'Europe/Berlin';
SELECT touch(5, '2026-03-28 12:00+00', 1, 20), touch(5, '2026-03-28 11:59:59+00', 2, 21);
UPDATE leadflow.attribution_models SET lookback = '1 day' WHERE name = 'late';
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at) VALUES (8, 5, 9, 'won', '2026-03-01+00', '2026-03-29 12:00+00');
SELECT count(*) FROM leadflow.attribution_credits WHERE deal_id = 8 AND model = 'linear';
UPDATE leadflow.attribution_models SET kind = 'linear' WHERE name = 'late';
SELECT campaign_id, credit FROM leadflow.attribution_credits WHERE deal_id = 8 AND model = 'late';
SET timezone = 'UTC';
SELECT * FROM wrong;
-- instants further apart than microseconds can tell
BEGIN;
SELECT touch(5, '1990-01-01', 1, 22);
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at) VALUES (9, 5, 9, 'won', '2026-03-01', '294276-12-31');
SELECT campaign_id, credit FROM leadflow.attribution_credits WHERE deal_id = 9 AND model = 'late';
SELECT occurred_at, days_before, why_not FROM leadflow.explain_credit(9, 'late');
SELECT leadflow.settle(); SELECT * FROM leadflow.verify();
ROLLBACK;
UPDATE leadflow.attribution_models SET active = false WHERE name = 'first_touch';
SELECT DISTINCT model FROM shown ORDER BY 1; SELECT * FROM wrong;
UPDATE leadflow.attribution_models SET active = true, name = 'first' WHERE name = 'first_touch';
SELECT DISTINCT model FROM shown ORDER BY 1; SELECT * FROM wrong;
DELETE FROM leadflow.attribution_models WHERE name IN ('late', 'linear, 31 days');
SELECT DISTINCT model FROM shown ORDER BY 1; SELECT * FROM wrong;
INSERT INTO leadflow.attribution_models (name, kind) VALUES ('guess', 'guess');
-- a kind that becomes an engagement makes touches
UPDATE leadflow.activity_kinds SET role = 'other' WHERE kind = 'page_view';
SELECT count(*) FILTER (WHERE code IS NOT NULL), count(*) FROM shown; SELECT * FROM wrong;
UPDATE leadflow.activity_kinds SET role = 'engagement' WHERE kind = 'page_view';
SELECT * FROM wrong;
-- amounts are finite
INSERT INTO leadflow.deals (lead_id, amount, status) VALUES (1, 'NaN', 'won');
INSERT INTO leadflow.deals (lead_id, amount, status) VALUES (1, 'Infinity', 'won');
UPDATE leadflow.deals SET amount = '-Infinity';

-- Reports.
TRUNCATE leadflow.deals, leadflow.deal_contacts;
SELECT count(*) FROM leadflow.attribution_credits; SELECT count(*) FROM leadflow.deal_state;
SELECT count(*) FROM leadflow.score_state WHERE watch & 4 <> 0;
UPDATE leadflow.attribution_models SET name = 'first_touch' WHERE name = 'first';
UPDATE leadflow.settings SET time_zone = 'America/New_York';
INSERT INTO leadflow.campaign_costs VALUES (1, '2026-01-31', 30, 'EUR'), (1, '2026-02-01', 20, 'EUR'), (1, '2026-02-02', 20, 'EUR'),
	(2, '2026-02-01', 50, 'USD'), (3, '2026-02-28', 5, 'EUR');
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at) VALUES
	(11, 1, 100, 'won', '2026-01-25', '2026-03-01 04:59:59+00'),	-- still February in New York
	(12, 1, 100, 'won', '2026-01-25', '2026-03-01 05:00+00'),
	(13, 2, 25, 'won', '2026-02-01', '2026-02-15');
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at, corrects_deal_id) VALUES
	(14, 1, -80, 'won', '2026-02-20', '2026-02-20', 11), (15, 1, -10, 'won', '2026-05-01', '2026-05-01', 11);
SELECT * FROM leadflow.attribution_by_campaign WHERE model = 'linear' ORDER BY month_start, currency, campaign_id;
SELECT * FROM leadflow.campaign_revenue EXCEPT
SELECT month_start, currency, campaign_id, campaign, deals_credited, revenue, cost, roi, channel, deals_share, cost_per_won
FROM leadflow.attribution_by_campaign WHERE is_default;
SELECT model, sum(revenue), sum(cost) FILTER (WHERE currency = 'EUR') AS eur, bool_or(is_default) AS is_default
FROM leadflow.attribution_by_campaign GROUP BY 1 ORDER BY 1;
SELECT * FROM leadflow.attribution_check;
-- what the check finds
ALTER TABLE leadflow.attribution_credits DISABLE TRIGGER USER;
DELETE FROM leadflow.attribution_credits WHERE deal_id = 13 AND model = 'linear';
UPDATE leadflow.attribution_credits SET credit = credit + 0.01 WHERE deal_id = 11 AND model = 'last_touch';
UPDATE leadflow.attribution_credits SET deal_id = 99 WHERE deal_id = 13 AND model = 'first_touch';
ALTER TABLE leadflow.attribution_credits ENABLE TRIGGER USER;
SELECT * FROM leadflow.attribution_check ORDER BY 2, 1;
SELECT leadflow._rebuild_credits();
SELECT * FROM wrong;
SELECT leadflow._rebuild_credits();
SELECT * FROM leadflow.verify();

-- At random: any order of everything, a third of it rolled back.
TRUNCATE leadflow.deals, leadflow.deal_contacts;
CREATE FUNCTION any_time() RETURNS timestamptz LANGUAGE sql VOLATILE AS
'SELECT timestamptz ''2026-02-01'' + make_interval(hours => (random() * 60)::int)';
CREATE PROCEDURE something(lead bigint, other bigint) LANGUAGE plpgsql AS $$
DECLARE
	deal bigint := (SELECT id FROM leadflow.deals ORDER BY random() LIMIT 1);
	state text := (ARRAY['open', 'won', 'won', 'won', 'lost'])[1 + floor(random() * 5)];
BEGIN
	CASE floor(random() * 14)::int
	WHEN 0, 1, 2, 3 THEN
		INSERT INTO leadflow.activities (lead_id, occurred_at, campaign_id, kind)
		SELECT l, any_time(), nullif((random() * 3)::int, 0), (ARRAY['page_view', 'form_submit', 'call'])[1 + floor(random() * 3)]
		FROM unnest(ARRAY[lead, other]) l;
	WHEN 4 THEN
		UPDATE leadflow.activities SET voided_at = CASE WHEN voided_at IS NULL THEN leadflow.now() END,
			void_reason = CASE WHEN voided_at IS NULL THEN 'bot' END
		WHERE lead_id = lead AND random() < 0.5;
	WHEN 5 THEN
		DELETE FROM leadflow.activities WHERE lead_id = lead AND random() < 0.3;
	WHEN 6 THEN
		UPDATE leadflow.activities SET occurred_at = any_time() WHERE lead_id = lead AND random() < 0.3;
	WHEN 7, 8 THEN
		INSERT INTO leadflow.deals (lead_id, amount, status, opened_at, closed_at, corrects_deal_id)
		VALUES (nullif(lead, 6), round((random() * 1000 - 200)::numeric, 2), state, any_time(), any_time(),
			CASE WHEN random() < 0.3 THEN deal END);
	WHEN 9 THEN
		UPDATE leadflow.deals SET status = state, closed_at = any_time() WHERE id = deal;
	WHEN 10 THEN
		UPDATE leadflow.deals SET amount = round((random() * 1000)::numeric, 2), lead_id = lead WHERE id = deal;
	WHEN 11 THEN
		INSERT INTO leadflow.deal_contacts SELECT d.id, l, 'contact' FROM leadflow.deals d, unnest(ARRAY[lead, other]) l
		WHERE random() < 0.3 ON CONFLICT DO NOTHING;
	WHEN 12 THEN
		IF random() < 0.5 THEN
			DELETE FROM leadflow.deal_contacts WHERE lead_id = lead;
		ELSE
			DELETE FROM leadflow.deals d WHERE NOT EXISTS (SELECT FROM leadflow.deals c WHERE c.corrects_deal_id = d.id) AND random() < 0.2;
		END IF;
	WHEN 13 THEN
		UPDATE leadflow.attribution_models SET lookback = make_interval(hours => 1 + (random() * 50)::int), active = random() < 0.8
		WHERE name = 'last_touch';
	END CASE;
END $$;
SELECT setseed(0.4);
DO $$
DECLARE
	done int := 0;
	undone int := 0;
	bad int;
BEGIN
	FOR round IN 1 .. 250 LOOP
		BEGIN
			FOR i IN 1 .. 1 + floor(random() * 3)::int LOOP
				CALL something(1 + floor(random() * 6)::int, 1 + floor(random() * 6)::int);
				IF random() < 0.2 THEN
					PERFORM leadflow.settle();
				END IF;
			END LOOP;
			IF random() < 0.33 THEN
				RAISE SQLSTATE 'LF001';
			END IF;
			done := done + 1;
		EXCEPTION WHEN SQLSTATE 'LF001' THEN
			undone := undone + 1;
		END;
		PERFORM leadflow.settle();
		SELECT count(*) INTO bad FROM wrong;
		IF bad > 0 THEN
			RAISE EXCEPTION 'round %: % rows differ', round, bad;
		END IF;
	END LOOP;
	RAISE NOTICE 'enough done: %, enough undone: %, credits made: %', done > 120, undone > 50,
		(SELECT count(*) > 20 FROM leadflow.attribution_credits);
END $$;
SELECT * FROM wrong;
SELECT leadflow._rebuild_credits();
