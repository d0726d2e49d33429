-- explain_credit(): a deal's touches and what they earn, those that earn nothing, too.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET leadflow.clock = '2026-06-01 12:00+00';
INSERT INTO leadflow.campaigns (id, name, channel) VALUES
	(1, 'Search', 'search'), (2, 'Webinar', 'webinar'), (3, 'Mail', 'email'), (4, 'Home page', 'direct'), (5, 'Fair', NULL);
INSERT INTO leadflow.leads (id, full_name, created_at) VALUES (1, 'Ada', '2026-01-01'), (2, 'Bob', '2026-01-01'), (3, NULL, '2026-01-01');
CREATE FUNCTION touch(lead bigint, at timestamptz, campaign bigint, n int, kind text DEFAULT 'page_view') RETURNS void LANGUAGE sql AS
'INSERT INTO leadflow.activities (lead_id, occurred_at, campaign_id, id, kind, content) VALUES (lead, at, campaign, lpad(n::text, 32, ''0'')::uuid, kind, ''page '' || n)';
SELECT touch(1, '2026-01-05', 1, 1), touch(1, '2026-01-20', 2, 2), touch(2, '2026-01-25', 3, 3), touch(1, '2026-02-10', 3, 4),
	touch(1, '2026-02-20', 4, 5), touch(1, '2026-03-01 00:00:00.000001', 5, 6), touch(1, '2026-02-21', NULL, 7), touch(1, '2026-02-22', 5, 8, 'call');
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE occurred_at = '2026-02-10';
INSERT INTO leadflow.deals (id, lead_id, amount, opened_at) VALUES (1, 1, 1000.01, '2026-02-01');
INSERT INTO leadflow.deal_contacts VALUES (1, 2);

-- not won yet: shares, but no credit; the conversion would be now
SELECT lead_id, full_name, occurred_at, campaign, channel, place, round(days_before::numeric, 3) AS days, why_not, round(weight::numeric, 6) AS weight, credit, currency
FROM leadflow.explain_credit(1);
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-03-01' WHERE id = 1;
-- the default model; every model by its name
SELECT lead_id, full_name, occurred_at, kind, content, campaign, channel, place, days_before, why_not, round(weight::numeric, 6) AS weight, credit, currency
FROM leadflow.explain_credit(1);
SELECT m.name, string_agg(e.credit::text, ' ' ORDER BY e.occurred_at) AS credits, sum(e.credit), round(sum(e.weight)::numeric, 12) AS weight
FROM leadflow.attribution_models m, leadflow.explain_credit(1, m.name) e
WHERE m.kind NOT IN ('markov', 'shapley') GROUP BY m.name ORDER BY m.name;
-- a lookback; the edge counts
INSERT INTO leadflow.attribution_models (name, kind, lookback) VALUES ('forty days', 'linear', '40 days');
SELECT occurred_at, why_not, credit FROM leadflow.explain_credit(1, 'forty days') WHERE lead_id = 1;
-- places that fall on one touch
SELECT occurred_at, place FROM leadflow.explain_credit(1, 'linear') WHERE why_not IS NULL;
UPDATE leadflow.leads SET created_at = '2026-01-20 12:00' WHERE id = 1;
UPDATE leadflow.deals SET opened_at = '2026-01-21' WHERE id = 1;
SELECT occurred_at, place, round(weight::numeric, 6) AS weight, credit FROM leadflow.explain_credit(1, 'full_path') WHERE why_not IS NULL;

-- refunds go by their original, without a touch nobody earns it, nor without a lead
INSERT INTO leadflow.deals (id, lead_id, amount, currency, status, opened_at, closed_at, corrects_deal_id) VALUES
	(2, NULL, -100, 'EUR', 'won', '2026-04-01', '2026-04-01', 1), (3, 3, 50, 'USD', 'won', '2026-04-01', '2026-04-01', NULL),
	(4, NULL, 70, 'EUR', 'won', '2026-04-01', '2026-04-01', NULL), (5, NULL, 70, 'EUR', 'open', '2026-04-01', NULL, NULL);
SELECT occurred_at, days_before, round(weight::numeric, 6) AS weight, credit FROM leadflow.explain_credit(2, 'position_based') WHERE why_not IS NULL;
SELECT d.id, e.lead_id, e.campaign, e.why_not, e.weight, e.credit, e.currency FROM leadflow.deals d, leadflow.explain_credit(d.id) e WHERE d.id >= 3 ORDER BY d.id;

-- it says what is kept
CREATE VIEW unexplained AS
WITH said AS (
	SELECT d.id AS deal_id, m.name AS model, e.lead_id, e.occurred_at, e.activity_id, e.campaign_id, e.weight, e.credit, e.currency::character(3)
	FROM leadflow.deals d, leadflow.attribution_models m, leadflow.explain_credit(d.id, m.name) e
	WHERE d.status = 'won' AND m.active AND m.kind NOT IN ('markov', 'shapley') AND e.weight > 0
), kept AS (
	SELECT deal_id, model, lead_id, occurred_at, activity_id, campaign_id, weight, credit, currency FROM leadflow.attribution_credits
)
(SELECT 'said', s.* FROM (TABLE said EXCEPT ALL TABLE kept) s) UNION ALL (SELECT 'kept', k.* FROM (TABLE kept EXCEPT ALL TABLE said) k);
SELECT * FROM unexplained;
SELECT setseed(0.5);
INSERT INTO leadflow.leads (id, created_at, stage_since) SELECT i, at, at FROM generate_series(11, 60) i, LATERAL (SELECT timestamptz '2026-01-01' + (random() * 90 + 0 * i) * interval '1 day' AS at) t;
SELECT count(leadflow.move(id, 'mql', at => created_at + random() * interval '30 days')) FROM leadflow.leads WHERE id BETWEEN 11 AND 35;
INSERT INTO leadflow.activities (lead_id, occurred_at, campaign_id, kind)
SELECT 11 + floor(random() * 50), date_trunc('day', timestamptz '2026-01-01' + random() * interval '150 days'), 1 + floor(random() * 5), 'page_view'
FROM generate_series(1, 600);
INSERT INTO leadflow.deals (id, lead_id, amount, status, opened_at, closed_at)
SELECT i, i, round((random() * 1000)::numeric, 2) - 100, 'won', timestamptz '2026-02-01' + random() * interval '60 days', '2026-05-01' FROM generate_series(11, 60) i;
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) SELECT i, 11 + (i * 7) % 50 FROM generate_series(11, 60) i ON CONFLICT DO NOTHING;
SELECT count(*) > 2000 AS enough, (SELECT count(*) FROM unexplained) AS differ FROM leadflow.attribution_credits;

-- what can't be explained
SELECT count(*) FROM leadflow.explain_credit(99); SELECT count(*) FROM leadflow.explain_credit(NULL);
SELECT * FROM leadflow.explain_credit(1, 'guess');
SELECT * FROM leadflow.explain_credit(1, 'markov');

-- A default that is no model any more is named.
BEGIN;
DELETE FROM leadflow.attribution_models WHERE name = (SELECT default_attribution_model FROM leadflow.settings);
SELECT * FROM leadflow.explain_credit(1);
ROLLBACK;
