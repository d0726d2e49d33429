-- Reports of attribution, with figures computed by hand: two currencies, refunds, deals of nobody and
-- without a touch, months that begin elsewhere than the session's.
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET jit = off;
SET leadflow.clock = '2026-06-01 12:00+00';
SET leadflow.quiet = on;
DELETE FROM leadflow.attribution_models WHERE name NOT IN ('first_touch', 'last_touch', 'linear', 'markov', 'shapley');
UPDATE leadflow.settings SET time_zone = 'America/New_York';

-- What finance says: each deal's amount, in the month in New York.
CREATE VIEW finance AS
SELECT date_trunc('month', closed_at AT TIME ZONE 'America/New_York')::date AS month_start, currency::text,
	sum(amount) AS revenue, count(*) FILTER (WHERE corrects_deal_id IS NULL) AS deals
FROM leadflow.deals WHERE status = 'won' GROUP BY 1, 2;
-- Rows of reports that say otherwise; empty is right.
CREATE VIEW wrong AS
WITH said AS (
	SELECT 'campaign' AS report, model, month_start, currency, sum(revenue) AS revenue, sum(deals_share) AS deals
	FROM leadflow.attribution_by_campaign GROUP BY 1, 2, 3, 4
	UNION ALL
	SELECT 'channel', model, month_start, currency, sum(revenue), sum(deals_share)
	FROM leadflow.attribution_by_channel GROUP BY 1, 2, 3, 4
	UNION ALL
	SELECT 'default', NULL, month_start, currency, sum(revenue), sum(deals_share)
	FROM leadflow.campaign_revenue GROUP BY 1, 2, 3, 4
	UNION ALL
	SELECT 'source', NULL, month_start, currency, sum(revenue), sum(deals)
	FROM leadflow.sourced_revenue GROUP BY 1, 2, 3, 4
), asked AS (
	SELECT 'campaign' AS report, name AS model FROM leadflow.attribution_models WHERE active AND kind NOT IN ('markov', 'shapley')
	UNION ALL
	SELECT 'channel', name FROM leadflow.attribution_models WHERE active
	UNION ALL
	SELECT unnest(ARRAY['default', 'source']), NULL
)
SELECT a.report, a.model, f.month_start, f.currency, f.revenue::text AS expected, s.revenue::text AS said, f.deals, s.deals AS deals_said
FROM asked a
CROSS JOIN finance f
LEFT JOIN said s ON s.report = a.report AND s.model IS NOT DISTINCT FROM a.model
	AND s.month_start = f.month_start AND s.currency = f.currency
WHERE s.revenue IS DISTINCT FROM f.revenue OR abs(s.deals - f.deals) > 1e-9 OR s.deals IS NULL
UNION ALL
SELECT s.report, s.model, s.month_start, s.currency, NULL, s.revenue::text, NULL, s.deals
FROM said s
WHERE (s.revenue <> 0 OR s.deals <> 0)
	AND NOT EXISTS (SELECT FROM finance f WHERE f.month_start = s.month_start AND f.currency = s.currency)
UNION ALL
SELECT 'shares', sourced_by, month_start, currency, '1', sum(revenue_share) OVER same::text, NULL, NULL
FROM (SELECT *, abs(sum(revenue_share) OVER (PARTITION BY month_start, currency) - 1) > 1e-9 AS off FROM leadflow.sourced_revenue) x
WHERE off
WINDOW same AS (PARTITION BY month_start, currency)
UNION ALL
SELECT 'check', model, NULL, NULL, expected::text, credited::text, deal_id, NULL FROM leadflow.attribution_check;

INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('page_view', 'engagement'), ('form_submit', 'engagement'), ('call', 'sales_touch')
ON CONFLICT DO NOTHING;
INSERT INTO leadflow.campaigns (id, name, code, channel) VALUES
	(1, 'Spring', 'spring', 'email'), (2, 'Search', 'search', 'paid_search'), (3, 'Fair', 'fair', NULL),
	(4, 'Banner', 'banner', 'display'), (5, 'Brand', 'brand', 'paid_search'), (6, 'Roadshow', 'roadshow', 'event');
INSERT INTO leadflow.leads (id, full_name, sourced_by, created_at) VALUES
	(1, 'Ann', 'marketing', '2026-01-01'), (2, 'Bob', 'sales', '2026-01-01'), (3, 'Cid', 'partner', '2026-01-01'),
	(4, 'Dee', 'unknown', '2026-01-01'), (5, 'Eve', 'sales', '2026-01-01');
CREATE FUNCTION touch(lead bigint, at timestamptz, campaign bigint, content text DEFAULT NULL, kind text DEFAULT 'page_view',
	void text DEFAULT NULL) RETURNS void LANGUAGE sql AS
'INSERT INTO leadflow.activities (lead_id, occurred_at, campaign_id, content, kind, voided_at, void_reason)
VALUES (lead, at, campaign, content, kind, CASE WHEN void IS NOT NULL THEN at END, void)';
SELECT touch(1, '2026-01-10', 1, 'newsletter'), touch(1, '2026-01-20', 2, 'pricing'), touch(1, '2026-02-01', 5, 'pricing'),
	touch(1, '2026-01-25', 4, 'banner', 'page_view', 'bot'), touch(1, '2026-01-26', 4, 'what now', 'call'),
	touch(2, '2026-01-15', 3, 'visitor form', 'form_submit'), touch(5, '2026-01-12', 2, 'tour');
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, status, opened_at, closed_at) VALUES
	(11, 1, 'first', 100, 'EUR', 'won', '2026-01-25', '2026-03-01 04:59:59+00'),	-- still February in New York
	(12, 1, 'second', 90.01, 'EUR', 'won', '2026-01-25', '2026-03-01 05:00+00'),
	(13, 2, 'dollars', 200, 'USD', 'won', '2026-02-01', '2026-02-15'),
	(14, 3, 'untouched', 50, 'EUR', 'won', '2026-02-01', '2026-02-10'),
	(15, NULL, 'nobody''s', 70, 'EUR', 'won', '2026-02-01', '2026-02-11'),
	(18, 4, 'open', 1, 'EUR', 'open', '2026-02-01', NULL),
	(19, 4, 'lost', 2, 'EUR', 'lost', '2026-02-01', '2026-02-12');
INSERT INTO leadflow.deal_contacts VALUES (11, 5, 'decision maker'), (11, 1, 'buyer');
INSERT INTO leadflow.deals (id, lead_id, amount, currency, status, opened_at, closed_at, corrects_deal_id) VALUES
	(16, NULL, -10, 'EUR', 'won', '2026-05-01', '2026-05-01', 11),
	(17, 2, -20, 'USD', 'won', '2026-02-20', '2026-02-20', 13);
INSERT INTO leadflow.campaign_costs VALUES (1, '2026-01-31', 30, 'EUR'), (1, '2026-02-01', 20, 'EUR'), (2, '2026-02-10', 50, 'USD'),
	(4, '2026-02-28', 5, 'EUR'), (5, '2026-02-03', 10, 'EUR'), (5, '2026-03-01', 12, 'EUR'), (2, '2026-03-31', 8, 'EUR');

-- Deal 11 has four touches (its contact's as well) of 25.00 each; 12 has three: 30.01, 30.00, 30.00.
SELECT * FROM leadflow.attribution_by_campaign WHERE model = 'linear' ORDER BY month_start, currency, campaign_id;
SELECT model, campaign, deals_credited, deals_share, revenue, cost, roi, cost_per_won FROM leadflow.attribution_by_campaign
WHERE model <> 'linear' AND month_start = '2026-02-01' ORDER BY model, currency, campaign_id;
SELECT * FROM leadflow.attribution_by_channel WHERE model = 'linear' ORDER BY month_start, currency, channel;
-- By data. Deal 11's path is email, search, search, search; 90.01 halved is a cent more for the earlier channel. The refund of
-- April goes by that path; by effects there is nothing in April to go by.
SELECT model, month_start, currency, channel, deals_credited, deals_share, revenue, cost, roi, cost_per_won
FROM leadflow.attribution_by_channel WHERE model IN ('markov', 'shapley') ORDER BY model, month_start, currency, channel;
-- Who asks for another model doesn't pay for it: whether the touches were read.
CREATE FUNCTION touches_read(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	l text;
	seen boolean := false;
	done boolean := false;
BEGIN
	FOR l IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
		seen := seen OR l ~ ' activities';
		done := done OR (l ~ ' activities|on paths' AND l !~ 'never executed');
	END LOOP;
	RETURN CASE WHEN seen THEN done END;
END $$;
SELECT touches_read('SELECT * FROM leadflow.attribution_by_channel') AS every_model,
	touches_read($$SELECT * FROM leadflow.attribution_by_channel WHERE model = 'shapley'$$) AS by_data,
	touches_read($$SELECT * FROM leadflow.attribution_by_channel WHERE model = 'linear'$$) AS by_rule,
	touches_read($$SELECT * FROM leadflow.attribution_by_channel WHERE is_default$$) AS default_model;
SELECT * FROM leadflow.campaign_revenue EXCEPT
SELECT month_start, currency, campaign_id, campaign, deals_credited, revenue, cost, roi, channel, deals_share, cost_per_won
FROM leadflow.attribution_by_campaign WHERE model = 'linear';
SELECT count(*) FROM leadflow.campaign_revenue;
SELECT * FROM leadflow.sourced_revenue ORDER BY month_start, currency, sourced_by;
SELECT deal_id, name FROM leadflow.unmatched_deals;
SELECT * FROM wrong;

-- What was read: at the instant of winning, that counts, a microsecond later does not.
SELECT touch(1, '2026-01-05', NULL, 'pricing'), touch(1, '2026-01-06', NULL, 'pricing'), touch(1, '2026-01-07', NULL, NULL, 'form_submit'),
	touch(1, '2026-03-01 04:59:59+00', NULL, 'demo form', 'form_submit'),
	touch(1, '2026-03-01 04:59:59.000001+00', NULL, 'demo form', 'form_submit'),
	touch(1, '2026-01-08', NULL, 'not registered', 'hologram');
SELECT deal_id, deal, lead_id, full_name, won_at, kind, content, campaign_id, campaign, times, first_at, last_at,
	round(days_before_won::numeric, 4) AS days_before_won
FROM leadflow.content_before_won WHERE deal_id = 11 ORDER BY first_at, kind;
SELECT deal_id, full_name, kind, content, campaign, times, last_at FROM leadflow.content_before_won WHERE deal_id <> 11
ORDER BY deal_id, first_at, kind;
SELECT deal_id, lead_id, kind, content, campaign_id FROM leadflow.content_before_won GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1;
SELECT * FROM wrong;

-- Changes: reports follow.
UPDATE leadflow.activities SET voided_at = occurred_at, void_reason = 'bot' WHERE lead_id = 1 AND campaign_id = 2;
DELETE FROM leadflow.deal_contacts WHERE lead_id = 5;
UPDATE leadflow.deals SET amount = 60, currency = 'CHF' WHERE id = 12;
UPDATE leadflow.deals SET lead_id = 5 WHERE id = 14;
UPDATE leadflow.deals SET status = 'lost' WHERE id = 13;
UPDATE leadflow.deals SET lead_id = 2 WHERE id = 15;
UPDATE leadflow.campaigns SET channel = 'web' WHERE id = 5;
UPDATE leadflow.leads SET sourced_by = 'partner' WHERE id = 1;
SELECT month_start, currency, campaign, channel, deals_credited, deals_share, revenue, cost, roi, cost_per_won
FROM leadflow.campaign_revenue ORDER BY month_start, currency, campaign_id;
-- a refund in a month that has other wins: -16.665 each for email and web by path, a quarter of 86.67 for each by effects
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at, corrects_deal_id)
VALUES (23, 1, -133.33, 'won', '2026-02-27', '2026-02-27', 11);
SELECT model, channel, deals_credited, deals_share, revenue, cost, roi, cost_per_won
FROM leadflow.attribution_by_channel WHERE model IN ('markov', 'shapley') AND month_start = '2026-02-01' AND currency = 'EUR'
ORDER BY model, channel;
SELECT * FROM wrong;
SELECT month_start, currency, sourced_by, deals, revenue, influenced_deals, influenced_revenue
FROM leadflow.sourced_revenue ORDER BY month_start, currency, sourced_by;
SELECT * FROM wrong;
-- a month whose corrections undo it has no shares
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at, corrects_deal_id)
VALUES (21, 1, 10, 'won', '2026-04-30', '2026-04-30', 16);
SELECT * FROM leadflow.sourced_revenue WHERE month_start = '2026-04-01';
DELETE FROM leadflow.deals WHERE id = 21;
-- another default; one that is not active has nothing to show
UPDATE leadflow.settings SET default_attribution_model = 'last_touch';
SELECT DISTINCT model, is_default FROM leadflow.attribution_by_campaign ORDER BY 1;
SELECT month_start, currency, campaign, revenue FROM leadflow.campaign_revenue WHERE revenue <> 0 ORDER BY 1, 2, 3;
UPDATE leadflow.attribution_models SET active = false WHERE name = 'last_touch';
SELECT count(*) FROM leadflow.campaign_revenue;
SELECT status, detail FROM leadflow.health WHERE check_name = 'default_attribution_model';
SELECT DISTINCT model FROM leadflow.attribution_by_campaign ORDER BY 1;
UPDATE leadflow.attribution_models SET active = true WHERE name = 'last_touch';
UPDATE leadflow.settings SET default_attribution_model = 'linear';
INSERT INTO leadflow.attribution_models (name, kind, active) VALUES ('chain', 'markov', false);
UPDATE leadflow.settings SET default_attribution_model = 'chain';
UPDATE leadflow.settings SET default_attribution_model = 'guess';
DELETE FROM leadflow.attribution_models WHERE name = 'chain';
SELECT status, detail FROM leadflow.health WHERE check_name = 'default_attribution_model';
SELECT * FROM wrong;
-- the session's zone changes nothing, and nothing is written
CREATE TEMP TABLE campaign_before AS SELECT * FROM leadflow.attribution_by_campaign;
CREATE TEMP TABLE channel_before AS SELECT * FROM leadflow.attribution_by_channel;
CREATE TEMP TABLE source_before AS SELECT * FROM leadflow.sourced_revenue;
BEGIN READ ONLY;
SET LOCAL timezone = 'Pacific/Auckland';
(TABLE leadflow.attribution_by_campaign EXCEPT TABLE campaign_before) UNION ALL (TABLE campaign_before EXCEPT TABLE leadflow.attribution_by_campaign);
(TABLE leadflow.attribution_by_channel EXCEPT TABLE channel_before) UNION ALL (TABLE channel_before EXCEPT TABLE leadflow.attribution_by_channel);
(TABLE leadflow.sourced_revenue EXCEPT TABLE source_before) UNION ALL (TABLE source_before EXCEPT TABLE leadflow.sourced_revenue);
SELECT count(*) > 0 FROM leadflow.content_before_won;
SELECT count(*) > 0 FROM leadflow.campaign_funnel;
COMMIT;

-- How far a campaign's leads came.
CREATE PROCEDURE moved(lead bigint, at timestamptz, VARIADIC stages text[]) LANGUAGE plpgsql AS $$
DECLARE
	s text;
BEGIN
	PERFORM set_config('leadflow.clock', at::text, false);
	FOREACH s IN ARRAY stages LOOP
		UPDATE leadflow.leads SET stage = s, stage_reason = (SELECT r.reason FROM leadflow.stage_reasons r
			WHERE r.stage = s AND NOT r.requires_note AND r.min_attempts IS NULL ORDER BY r.reason LIMIT 1),
			revisit_on = CASE WHEN s = 'nurture' THEN date '2026-01-21' END
		WHERE id = lead;
	END LOOP;
	PERFORM set_config('leadflow.clock', '2026-06-01 12:00+00', false);
END $$;
INSERT INTO leadflow.leads (id, created_at, stage_since) SELECT i, '2026-01-01', '2026-01-01' FROM generate_series(31, 38) i;
-- all the way; touched in January still, in New York, and once more later
SELECT touch(31, '2026-02-01 04:59+00', 6), touch(31, '2026-02-09', 6);
CALL moved(31, '2026-02-05', 'mql', 'sql', 'accepted');
CALL moved(31, '2026-02-08', 'opportunity', 'won');
-- an MQL before it was touched, accepted afterwards
CALL moved(32, '2026-01-05', 'mql');
SELECT touch(32, '2026-01-20', 6);
CALL moved(32, '2026-01-25', 'sql', 'accepted');
-- an MQL at the very instant
SELECT touch(33, '2026-01-15', 6);
CALL moved(33, '2026-01-15', 'mql');
-- touched by a bot alone
SELECT touch(34, '2026-01-15', 6, NULL, 'page_view', 'bot');
-- an MQL before, and again after
CALL moved(35, '2026-01-05', 'mql', 'sql', 'accepted');
CALL moved(35, '2026-01-08', 'nurture');
SELECT touch(35, '2026-01-20', 6);
CALL moved(35, '2026-01-22', 'mql');
-- accepted and lost before and after: it was not accepted by this
CALL moved(36, '2026-01-05', 'mql', 'sql', 'accepted', 'opportunity');
SELECT touch(36, '2026-01-20', 6);
CALL moved(36, '2026-01-25', 'lost');
-- contact of somebody else's deal, in the next month; and of one that was won before
SELECT touch(37, '2026-02-01 05:00+00', 6), touch(38, '2026-02-20', 6);
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at) VALUES
	(22, 4, 40, 'won', '2026-02-01', '2026-02-15');
INSERT INTO leadflow.deal_contacts VALUES (22, 37, NULL), (22, 38, NULL);
SELECT lead_id, entered_at, to_stage, cycle FROM leadflow.stage_history WHERE lead_id > 30 AND from_stage IS NOT NULL ORDER BY 1, 2, id;
SELECT * FROM leadflow.campaign_funnel WHERE campaign_id = 6 ORDER BY 1;
SELECT month_start, campaign, channel, touched, mqls, accepted, won FROM leadflow.campaign_funnel WHERE campaign_id <> 6 ORDER BY 1, campaign_id;
SELECT * FROM wrong;

-- What has no lead is nobody's: its contacts were not in touch with it, for any report.
CREATE VIEW said AS
SELECT (SELECT sum(influenced_deals) FROM leadflow.sourced_revenue) AS influenced, (SELECT sum(deals) FROM leadflow.sourced_revenue) AS deals,
	(SELECT count(*) FROM leadflow.content_before_won) AS content, (SELECT sum(won) FROM leadflow.campaign_funnel) AS won;
TABLE said;
INSERT INTO leadflow.deals (id, amount, status, opened_at, closed_at) VALUES (50, 7, 'won', '2026-02-01', '2026-02-25');
INSERT INTO leadflow.deal_contacts VALUES (50, 33, NULL), (50, 38, NULL);
TABLE said;
SELECT * FROM wrong;
-- matched, it is somebody's
UPDATE leadflow.deals SET lead_id = 33 WHERE id = 50;
TABLE said;
SELECT * FROM wrong;
