-- What the campaigns brought in.
CREATE OR REPLACE VIEW leadflow.attribution_by_campaign WITH (security_invoker = true) AS
WITH credited AS (
	SELECT c.model,
		date_trunc('month', d.closed_at AT TIME ZONE s.time_zone)::date AS month_start,
		c.currency, c.campaign_id,
		count(DISTINCT c.deal_id) FILTER (WHERE d.corrects_deal_id IS NULL) AS deals,
		sum(c.credit) AS revenue
	FROM leadflow.attribution_credits c
	JOIN leadflow.deals d ON d.id = c.deal_id
	CROSS JOIN leadflow.settings s
	GROUP BY 1, 2, 3, 4
), spent AS (
	SELECT m.name AS model, date_trunc('month', k.day::timestamp)::date AS month_start,
		k.currency, k.campaign_id, sum(k.amount) AS cost
	FROM leadflow.campaign_costs k
	CROSS JOIN leadflow.attribution_models m
	WHERE m.active
	GROUP BY 1, 2, 3, 4
), figures AS (
	SELECT model, month_start, currency, campaign_id,
		coalesce(r.deals, 0) AS deals, coalesce(r.revenue, 0.00) AS revenue, coalesce(k.cost, 0.00) AS cost
	FROM credited r
	FULL JOIN spent k USING (model, month_start, currency, campaign_id)
)
SELECT f.model,
	f.model = s.default_attribution_model AS is_default,
	f.month_start,
	f.currency::text AS currency,
	f.campaign_id,
	coalesce(n.name, '(none)') AS campaign,
	f.deals AS deals_credited,
	f.revenue,
	f.cost,
	-- money of two currencies in one month of a campaign: no row has the whole of it
	CASE WHEN f.cost > 0 AND min(f.currency) OVER same = max(f.currency) OVER same
		THEN round((f.revenue - f.cost) / f.cost, 4) END AS roi
FROM figures f
CROSS JOIN leadflow.settings s
LEFT JOIN leadflow.campaigns n ON n.id = f.campaign_id
WINDOW same AS (PARTITION BY f.model, f.month_start, f.campaign_id);
COMMENT ON VIEW leadflow.attribution_by_campaign IS
'One row an attribution model, month, currency and campaign: what won deals are credited to it, and what it cost. Revenue goes by the month in which the deal closed, cost by the day on which it was spent. Don''t sum over models: each shares out the same money (campaign_revenue has one only).';
COMMENT ON COLUMN leadflow.attribution_by_campaign.model IS 'Attribution model (attribution_models.name).';
COMMENT ON COLUMN leadflow.attribution_by_campaign.is_default IS 'It is the one of settings.default_attribution_model.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.month_start IS 'First day of the month in settings.time_zone.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.currency IS 'ISO 4217 code of revenue and cost.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.campaign_id IS 'Campaign; NULL = won deals without a touch.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.campaign IS 'Its name; (none) for deals without a touch.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.deals_credited IS 'Deals of which the campaign earned a share; corrections count none. A deal counts for each of its campaigns, so don''t sum this.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.revenue IS 'Credits in currency, corrections included; adds up to the amounts of the won deals that have a lead.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.cost IS 'Cost in currency; 0 = none was recorded.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.roi IS '(revenue - cost) / cost, a ratio (1 = the money came back twice); NULL without cost, and where the campaign''s month has revenue or cost in another currency as well.';

CREATE OR REPLACE VIEW leadflow.campaign_revenue WITH (security_invoker = true) AS
SELECT a.month_start, a.currency, a.campaign_id, a.campaign, a.deals_credited, a.revenue, a.cost, a.roi
FROM leadflow.attribution_by_campaign a
WHERE a.is_default;
COMMENT ON VIEW leadflow.campaign_revenue IS
'One row a month, currency and campaign, by the default attribution model alone: revenue and cost are safe to sum within a currency.';
COMMENT ON COLUMN leadflow.campaign_revenue.month_start IS 'First day of the month in settings.time_zone.';
COMMENT ON COLUMN leadflow.campaign_revenue.currency IS 'ISO 4217 code of revenue and cost.';
COMMENT ON COLUMN leadflow.campaign_revenue.campaign_id IS 'Campaign; NULL = won deals without a touch.';
COMMENT ON COLUMN leadflow.campaign_revenue.campaign IS 'Its name; (none) for deals without a touch.';
COMMENT ON COLUMN leadflow.campaign_revenue.deals_credited IS 'Deals of which the campaign earned a share; corrections count none. A deal counts for each of its campaigns, so don''t sum this.';
COMMENT ON COLUMN leadflow.campaign_revenue.revenue IS 'Credits in currency, by the month in which the deal closed.';
COMMENT ON COLUMN leadflow.campaign_revenue.cost IS 'Cost in currency, by the day on which it was spent; 0 = none was recorded.';
COMMENT ON COLUMN leadflow.campaign_revenue.roi IS '(revenue - cost) / cost, a ratio; NULL without cost, and where the campaign''s month has another currency as well.';

CREATE OR REPLACE VIEW leadflow._won_deals WITH (security_invoker = true) AS
WITH RECURSIVE origin AS (
	SELECT d.id AS deal_id, d.lead_id, d.corrects_deal_id
	FROM leadflow.deals d
	WHERE d.status = 'won'
	UNION
	SELECT o.deal_id, d.lead_id, d.corrects_deal_id
	FROM origin o
	JOIN leadflow.deals d ON d.id = o.corrects_deal_id
)
SELECT o.deal_id, o.lead_id
FROM origin o
WHERE o.corrects_deal_id IS NULL;
COMMENT ON VIEW leadflow._won_deals IS 'Internal. One row a won deal: whose it is. A correction goes by the deal at the root of what it corrects.';
COMMENT ON COLUMN leadflow._won_deals.deal_id IS 'Deal (deals.id).';
COMMENT ON COLUMN leadflow._won_deals.lead_id IS 'Lead (leads.id) of it, or of the root of what it corrects; NULL = nobody''s.';

CREATE OR REPLACE VIEW leadflow.attribution_check WITH (security_invoker = true) AS
WITH expected AS (
	SELECT m.name AS model, d.id AS deal_id, d.amount
	FROM leadflow.deals d
	CROSS JOIN leadflow.attribution_models m
	WHERE d.status = 'won' AND m.active AND m.kind NOT IN ('markov', 'shapley')
), credited AS (
	SELECT c.model, c.deal_id, sum(c.credit) AS credit
	FROM leadflow.attribution_credits c
	GROUP BY c.model, c.deal_id
)
SELECT model, deal_id, e.amount AS expected, c.credit AS credited
FROM expected e
FULL JOIN credited c USING (model, deal_id)
WHERE e.amount IS DISTINCT FROM c.credit;
COMMENT ON VIEW leadflow.attribution_check IS
'One row an attribution model and deal whose credits don''t add up to its amount; empty when all adds up. verify() also compares every single credit.';
COMMENT ON COLUMN leadflow.attribution_check.model IS 'Attribution model (attribution_models.name).';
COMMENT ON COLUMN leadflow.attribution_check.deal_id IS 'Deal.';
COMMENT ON COLUMN leadflow.attribution_check.expected IS 'Amount of the deal in its currency; NULL = it ought to have no credits (not won, deleted, or the model is not active).';
COMMENT ON COLUMN leadflow.attribution_check.credited IS 'Sum of its credits; NULL = it has none.';

CREATE OR REPLACE VIEW leadflow.unmatched_deals WITH (security_invoker = true) AS
SELECT d.id AS deal_id, d.external_id, d.name, d.amount, d.currency::text AS currency, d.status,
	d.opened_at, d.closed_at, d.kind, d.owner_id, m.full_name AS owner
FROM leadflow.deals d
LEFT JOIN leadflow.team_members m ON m.id = d.owner_id
WHERE d.lead_id IS NULL AND d.corrects_deal_id IS NULL;
COMMENT ON VIEW leadflow.unmatched_deals IS
'One row a deal that belongs to no lead yet: it moves nobody and is credited to nobody. Corrections go with the deal that they correct and are not listed.';
COMMENT ON COLUMN leadflow.unmatched_deals.deal_id IS 'Deal.';
COMMENT ON COLUMN leadflow.unmatched_deals.external_id IS 'The CRM''s own key.';
COMMENT ON COLUMN leadflow.unmatched_deals.name IS 'Name.';
COMMENT ON COLUMN leadflow.unmatched_deals.amount IS 'Amount in currency.';
COMMENT ON COLUMN leadflow.unmatched_deals.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN leadflow.unmatched_deals.status IS 'open, won or lost.';
COMMENT ON COLUMN leadflow.unmatched_deals.opened_at IS 'When it was opened.';
COMMENT ON COLUMN leadflow.unmatched_deals.closed_at IS 'When it was won or lost; NULL = it is open.';
COMMENT ON COLUMN leadflow.unmatched_deals.kind IS 'new, expansion or renewal.';
COMMENT ON COLUMN leadflow.unmatched_deals.owner_id IS 'Whose deal it is.';
COMMENT ON COLUMN leadflow.unmatched_deals.owner IS 'Name of that member.';
