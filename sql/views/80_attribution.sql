-- What the campaigns brought in.

CREATE OR REPLACE VIEW leadflow._won_deals WITH (security_invoker = true) AS
WITH RECURSIVE origin AS (
	SELECT d.id AS deal_id, d.corrects_deal_id AS corrected_id
	FROM leadflow.deals d
	WHERE d.status = 'won' AND d.corrects_deal_id IS NOT NULL
	UNION
	SELECT o.deal_id, d.corrects_deal_id
	FROM origin o
	JOIN leadflow.deals d ON d.id = o.corrected_id
	WHERE d.corrects_deal_id IS NOT NULL
)
SELECT d.id AS deal_id, d.lead_id, d.id AS root_id
FROM leadflow.deals d
WHERE d.status = 'won' AND d.corrects_deal_id IS NULL
UNION ALL
SELECT o.deal_id, d.lead_id, d.id
FROM origin o
JOIN leadflow.deals d ON d.id = o.corrected_id
WHERE d.corrects_deal_id IS NULL;
COMMENT ON VIEW leadflow._won_deals IS 'Internal. One row a won deal: whose it is. A correction goes by the deal at the root of what it corrects.';
COMMENT ON COLUMN leadflow._won_deals.deal_id IS 'Deal (deals.id).';
COMMENT ON COLUMN leadflow._won_deals.lead_id IS 'Lead (leads.id) of it, or of the root of what it corrects; NULL = nobody''s.';
COMMENT ON COLUMN leadflow._won_deals.root_id IS 'Deal at the root of what it corrects; the deal itself where it corrects none.';

-- Each arm asks for the model by itself, so that a reader of one model, or of the default one, has
-- the others left out before anything is summed.
CREATE OR REPLACE VIEW leadflow.attribution_by_campaign WITH (security_invoker = true) AS
WITH figures AS (
	SELECT
		m.name AS model,
		m.name = s.default_attribution_model AS is_default,
		date_trunc('month', d.closed_at AT TIME ZONE s.time_zone)::date AS month_start,
		c.currency::text AS currency,
		c.campaign_id,
		count(DISTINCT c.deal_id) FILTER (WHERE d.corrects_deal_id IS NULL) AS deals,
		coalesce(sum(c.weight) FILTER (WHERE d.corrects_deal_id IS NULL), 0) AS share,
		sum(c.credit) AS revenue,
		0.00 AS cost
	FROM leadflow.attribution_models m
	CROSS JOIN leadflow.settings s
	JOIN leadflow.attribution_credits c ON c.model = m.name
	JOIN leadflow.deals d ON d.id = c.deal_id
	-- numbers are compared first: all of it is sorted
	GROUP BY c.campaign_id, month_start, 4, m.name, is_default
	UNION ALL
	SELECT
		m.name,
		m.name = s.default_attribution_model,
		date_trunc('month', k.day::timestamp)::date,
		k.currency::text,
		k.campaign_id,
		0, 0, 0.00,
		sum(k.amount)
	FROM leadflow.attribution_models m
	CROSS JOIN leadflow.settings s
	CROSS JOIN leadflow.campaign_costs k
	WHERE m.active AND m.kind NOT IN ('markov', 'shapley')
	GROUP BY 1, 2, 3, 4, 5
), totals AS (
	SELECT
		f.model, f.is_default, f.month_start, f.currency, f.campaign_id,
		sum(f.deals)::bigint AS deals,
		sum(f.share) AS share,
		sum(f.revenue) AS revenue,
		sum(f.cost) AS cost,
		-- money of two currencies in one month of a campaign: no row has the whole of it
		count(*) OVER (PARTITION BY f.model, f.is_default, f.month_start, f.campaign_id) = 1 AS whole
	FROM figures f
	GROUP BY f.model, f.is_default, f.month_start, f.currency, f.campaign_id
)
SELECT
	t.model,
	t.is_default,
	t.month_start,
	t.currency,
	t.campaign_id,
	coalesce(n.name, '(none)') AS campaign,
	t.deals AS deals_credited,
	t.revenue,
	t.cost,
	CASE WHEN t.whole AND t.cost > 0 THEN round((t.revenue - t.cost) / t.cost, 4) END AS roi,
	CASE WHEN t.campaign_id IS NULL THEN '(none)' ELSE coalesce(n.channel, '(no channel)') END AS channel,
	t.share AS deals_share,
	CASE WHEN t.whole AND t.cost > 0 AND t.deals > 0 THEN round(t.cost / t.deals, 2) END AS cost_per_won
FROM totals t
LEFT JOIN leadflow.campaigns n ON n.id = t.campaign_id;
COMMENT ON VIEW leadflow.attribution_by_campaign IS 'One row a rule-based attribution model, month, currency and campaign (key: these; NULL is a value of its own): what won deals are credited to it, and what it cost. Revenue goes by the month in which the deal closed, cost by the day on which it was spent. Don''t sum over models: each shares out the same money (campaign_revenue has one only). A campaign that cost something keeps its row under every active model, whatever it won. markov and shapley are of channels (attribution_by_channel).';
COMMENT ON COLUMN leadflow.attribution_by_campaign.model IS 'Attribution model (attribution_models.name).';
COMMENT ON COLUMN leadflow.attribution_by_campaign.is_default IS 'It is the one of settings.default_attribution_model.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.month_start IS 'First day of the month in settings.time_zone.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.currency IS 'ISO 4217 code of revenue and cost.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.campaign_id IS 'Campaign (campaigns.id); NULL = won deals without a touch, those without a lead as well.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.campaign IS 'Its name; (none) for deals without a touch.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.deals_credited IS 'Deals of which the campaign earned a share; corrections count none. A deal counts for each of its campaigns, so don''t sum this: deals_share adds up.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.revenue IS 'Credits in currency, corrections included (a month that has those alone may be below 0); adds up to the amounts of the month''s won deals.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.cost IS 'Cost in currency; 0 = none was recorded.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.roi IS '(revenue - cost) / cost, a ratio (1 = the money came back twice); NULL without cost, and where the campaign''s month has revenue or cost in another currency as well.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.channel IS 'Channel of the campaign as it is now; (no channel) = it has none, (none) = deals without a touch.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.deals_share IS 'Sum of its shares of those deals (attribution_credits.weight), a number of deals: adds up to the number of won deals, corrections not counted, but for rounding at the 15th digit.';
COMMENT ON COLUMN leadflow.attribution_by_campaign.cost_per_won IS 'cost / deals_credited, in currency, rounded to two decimals; NULL without cost or deal, and where the campaign''s month has another currency as well.';

CREATE OR REPLACE VIEW leadflow.campaign_revenue WITH (security_invoker = true) AS
SELECT a.month_start, a.currency, a.campaign_id, a.campaign, a.deals_credited, a.revenue, a.cost, a.roi,
	a.channel, a.deals_share, a.cost_per_won
FROM leadflow.attribution_by_campaign a
WHERE a.is_default;
COMMENT ON VIEW leadflow.campaign_revenue IS 'One row a month, currency and campaign (key: these; NULL is a value of its own), by the default attribution model alone: revenue and cost are safe to sum within a currency. Empty while settings.default_attribution_model is not active.';
COMMENT ON COLUMN leadflow.campaign_revenue.month_start IS 'First day of the month in settings.time_zone.';
COMMENT ON COLUMN leadflow.campaign_revenue.currency IS 'ISO 4217 code of revenue and cost.';
COMMENT ON COLUMN leadflow.campaign_revenue.campaign_id IS 'Campaign (campaigns.id); NULL = won deals without a touch, those without a lead as well.';
COMMENT ON COLUMN leadflow.campaign_revenue.campaign IS 'Its name; (none) for deals without a touch.';
COMMENT ON COLUMN leadflow.campaign_revenue.deals_credited IS 'Deals of which the campaign earned a share; corrections count none. A deal counts for each of its campaigns, so don''t sum this: deals_share adds up.';
COMMENT ON COLUMN leadflow.campaign_revenue.revenue IS 'Credits in currency, by the month in which the deal closed, corrections included; adds up to the amounts of the month''s won deals.';
COMMENT ON COLUMN leadflow.campaign_revenue.cost IS 'Cost in currency, by the day on which it was spent; 0 = none was recorded.';
COMMENT ON COLUMN leadflow.campaign_revenue.roi IS '(revenue - cost) / cost, a ratio; NULL without cost, and where the campaign''s month has another currency as well.';
COMMENT ON COLUMN leadflow.campaign_revenue.channel IS 'Channel of the campaign as it is now; (no channel) = it has none, (none) = deals without a touch.';
COMMENT ON COLUMN leadflow.campaign_revenue.deals_share IS 'Sum of its shares of those deals, a number of deals: adds up to the number of won deals, corrections not counted.';
COMMENT ON COLUMN leadflow.campaign_revenue.cost_per_won IS 'cost / deals_credited, in currency; NULL without cost or deal, and where the campaign''s month has another currency as well.';

-- By data: computed when it is read, for the models that are asked for alone. What an aggregate says is
-- brought to whole cents by largest remainder: cents rounded down (refunds make a channel negative),
-- then what is missing split by what was cut off.
CREATE OR REPLACE VIEW leadflow._channel_credits WITH (security_invoker = true) AS
WITH paths AS MATERIALIZED (
	SELECT p.month_start, p.currency, p.path, p.conversions, p.value, p.nulls
	FROM leadflow.conversion_paths() p
), won AS MATERIALIZED (
	SELECT date_trunc('month', d.closed_at AT TIME ZONE s.time_zone)::date AS month_start, d.currency::text AS currency,
		sum(d.amount) AS amount
	FROM leadflow.deals d
	CROSS JOIN leadflow.settings s
	WHERE d.status = 'won'
	GROUP BY 1, 2
), walked AS MATERIALIZED (
	SELECT p.month_start, p.currency, c.channel, sum(p.conversions)::bigint AS deals
	FROM paths p
	CROSS JOIN LATERAL (
		SELECT DISTINCT u.channel
		FROM unnest(CASE WHEN p.path = '{}' THEN '{NULL}' ELSE p.path END) u (channel)
	) c
	WHERE p.conversions > 0
	GROUP BY 1, 2, 3
)
SELECT
	m.name AS model,
	m.name = g.default_attribution_model AS is_default,
	x.month_start,
	x.currency,
	c.channel,
	coalesce(k.deals, 0) AS deals,
	c.conversions AS share,
	c.cents * 0.01 + c.rest AS revenue
FROM leadflow.attribution_models m
CROSS JOIN leadflow.settings g
CROSS JOIN LATERAL (
	SELECT p.month_start, p.currency,
		leadflow.markov_credits(p.path, p.conversions, p.value, p.nulls, coalesce((m.params ->> 'order')::integer, 1)) AS credits
	FROM paths p
	WHERE m.kind = 'markov'
	GROUP BY 1, 2
	UNION ALL
	SELECT p.month_start, p.currency, leadflow.shapley_credits(p.path, p.conversions, p.value, p.nulls)
	FROM paths p
	WHERE m.kind = 'shapley'
	GROUP BY 1, 2
) x
LEFT JOIN won w ON w.month_start = x.month_start AND w.currency = x.currency
CROSS JOIN LATERAL (
	SELECT
		array_agg(y.channel ORDER BY y.position) AS channels,
		array_agg(y.conversions ORDER BY y.position) AS conversions,
		array_agg(y.cents ORDER BY y.position) AS cents,
		-- somebody must get it, where nothing was cut off as well
		array_agg(greatest(y.value * 100 - y.cents, 1e-12)::double precision ORDER BY y.position) AS parts,
		sum(y.cents) AS total
	FROM (
		SELECT u.channel, u.conversions, u.value::numeric AS value, floor(u.value::numeric * 100) AS cents, u.position
		FROM unnest(x.credits) WITH ORDINALITY u (channel, removal_effect, conversions, value, position)
		WHERE u.conversions <> 0 OR u.value <> 0
	) y
) v
CROSS JOIN LATERAL unnest(v.channels, v.conversions, v.cents,
	leadflow.split_credit(w.amount - v.total * 0.01, v.parts)) c (channel, conversions, cents, rest)
LEFT JOIN walked k ON k.month_start = x.month_start AND k.currency = x.currency AND k.channel IS NOT DISTINCT FROM c.channel
WHERE m.active AND m.kind IN ('markov', 'shapley');
COMMENT ON VIEW leadflow._channel_credits IS 'Internal. One row an active model of kind markov or shapley, month, currency and channel that earned something: the credits of deals closed in that month.';
COMMENT ON COLUMN leadflow._channel_credits.model IS 'Attribution model (attribution_models.name).';
COMMENT ON COLUMN leadflow._channel_credits.is_default IS 'It is the one of settings.default_attribution_model.';
COMMENT ON COLUMN leadflow._channel_credits.month_start IS 'First day of the month of deals.closed_at, in settings.time_zone.';
COMMENT ON COLUMN leadflow._channel_credits.currency IS 'ISO 4217 code of revenue.';
COMMENT ON COLUMN leadflow._channel_credits.channel IS 'Channel; NULL = nobody.';
COMMENT ON COLUMN leadflow._channel_credits.deals IS 'Won deals whose path has the channel.';
COMMENT ON COLUMN leadflow._channel_credits.share IS 'Number of deals that it is credited with.';
COMMENT ON COLUMN leadflow._channel_credits.revenue IS 'Money that it is credited with; the sum over channels is that of the deals, to the cent.';

CREATE OR REPLACE VIEW leadflow.attribution_by_channel WITH (security_invoker = true) AS
WITH figures AS (
	SELECT
		m.name AS model,
		m.name = s.default_attribution_model AS is_default,
		date_trunc('month', d.closed_at AT TIME ZONE s.time_zone)::date AS month_start,
		c.currency::text AS currency,
		CASE WHEN c.campaign_id IS NULL THEN '(none)' ELSE coalesce(n.channel, '(no channel)') END AS channel,
		count(DISTINCT c.deal_id) FILTER (WHERE d.corrects_deal_id IS NULL) AS deals,
		coalesce(sum(c.weight) FILTER (WHERE d.corrects_deal_id IS NULL), 0) AS share,
		sum(c.credit) AS revenue,
		0.00 AS cost
	FROM leadflow.attribution_models m
	CROSS JOIN leadflow.settings s
	JOIN leadflow.attribution_credits c ON c.model = m.name
	JOIN leadflow.deals d ON d.id = c.deal_id
	LEFT JOIN leadflow.campaigns n ON n.id = c.campaign_id
	GROUP BY month_start, 4, 5, m.name, is_default
	UNION ALL
	SELECT v.model, v.is_default, v.month_start, v.currency, coalesce(v.channel, '(none)'), v.deals, v.share, v.revenue, 0.00
	FROM leadflow._channel_credits v
	UNION ALL
	SELECT
		m.name,
		m.name = s.default_attribution_model,
		date_trunc('month', k.day::timestamp)::date,
		k.currency::text,
		coalesce(n.channel, '(no channel)'),
		0, 0, 0.00,
		sum(k.amount)
	FROM leadflow.attribution_models m
	CROSS JOIN leadflow.settings s
	CROSS JOIN leadflow.campaign_costs k
	JOIN leadflow.campaigns n ON n.id = k.campaign_id
	WHERE m.active
	GROUP BY 1, 2, 3, 4, 5
), totals AS (
	SELECT
		f.model, f.is_default, f.month_start, f.currency, f.channel,
		sum(f.deals)::bigint AS deals,
		sum(f.share) AS share,
		sum(f.revenue) AS revenue,
		sum(f.cost) AS cost,
		count(*) OVER (PARTITION BY f.model, f.is_default, f.month_start, f.channel) = 1 AS whole
	FROM figures f
	GROUP BY f.model, f.is_default, f.month_start, f.currency, f.channel
)
SELECT
	t.model,
	t.is_default,
	t.month_start,
	t.currency,
	t.channel,
	t.deals AS deals_credited,
	t.share AS deals_share,
	t.revenue,
	t.cost,
	CASE WHEN t.whole AND t.cost > 0 THEN round((t.revenue - t.cost) / t.cost, 4) END AS roi,
	CASE WHEN t.whole AND t.cost > 0 AND t.deals > 0 THEN round(t.cost / t.deals, 2) END AS cost_per_won
FROM totals t;
COMMENT ON VIEW leadflow.attribution_by_channel IS 'One row an attribution model, month, currency and channel (key: these): what won deals are credited to the channel''s campaigns, and what they cost, by the definitions of attribution_by_campaign. Don''t sum over models: each shares out the same money. A channel that cost something keeps its row under every active model. markov and shapley are computed when they are asked for, from the paths of the deals closed in each month, by currency (conversion_paths()): give a model, and they are left out.';
COMMENT ON COLUMN leadflow.attribution_by_channel.model IS 'Attribution model (attribution_models.name).';
COMMENT ON COLUMN leadflow.attribution_by_channel.is_default IS 'It is the one of settings.default_attribution_model.';
COMMENT ON COLUMN leadflow.attribution_by_channel.month_start IS 'First day of the month in settings.time_zone.';
COMMENT ON COLUMN leadflow.attribution_by_channel.currency IS 'ISO 4217 code of revenue and cost.';
COMMENT ON COLUMN leadflow.attribution_by_channel.channel IS 'Channel (campaigns.channel as it is now); (no channel) = campaigns without one, (none) = won deals without a touch, those without a lead as well.';
COMMENT ON COLUMN leadflow.attribution_by_channel.deals_credited IS 'Deals of which the channel earned a share; corrections count none. A deal counts for each of its channels, so don''t sum this: deals_share adds up.';
COMMENT ON COLUMN leadflow.attribution_by_channel.deals_share IS 'Sum of its shares of those deals, a number of deals: adds up to the number of won deals, corrections not counted, but for rounding at the 15th digit.';
COMMENT ON COLUMN leadflow.attribution_by_channel.revenue IS 'Credits in currency, corrections included (a month that has those alone may be below 0); adds up to the amounts of the month''s won deals.';
COMMENT ON COLUMN leadflow.attribution_by_channel.cost IS 'Cost of its campaigns in currency; 0 = none was recorded.';
COMMENT ON COLUMN leadflow.attribution_by_channel.roi IS '(revenue - cost) / cost, a ratio (1 = the money came back twice); NULL without cost, and where the channel''s month has revenue or cost in another currency as well.';
COMMENT ON COLUMN leadflow.attribution_by_channel.cost_per_won IS 'cost / deals_credited, in currency, rounded to two decimals; NULL without cost or deal, and where the channel''s month has another currency as well.';

CREATE OR REPLACE VIEW leadflow.attribution_check WITH (security_invoker = true) AS
WITH expected AS (
	SELECT m.name AS model, d.id AS deal_id, d.currency, d.amount
	FROM leadflow.deals d
	CROSS JOIN leadflow.attribution_models m
	WHERE d.status = 'won' AND m.active AND m.kind NOT IN ('markov', 'shapley')
), credited AS (
	SELECT c.model, c.deal_id, c.currency, sum(c.credit) AS credit
	FROM leadflow.attribution_credits c
	GROUP BY c.model, c.deal_id, c.currency
)
SELECT model, deal_id, e.amount AS expected, c.credit AS credited, currency::text AS currency
FROM expected e
FULL JOIN credited c USING (model, deal_id, currency)
WHERE e.amount IS DISTINCT FROM c.credit;
COMMENT ON VIEW leadflow.attribution_check IS 'One row an active rule-based attribution model, won deal and currency whose credits don''t add up to its amount; empty when all adds up. verify() also compares every single credit.';
COMMENT ON COLUMN leadflow.attribution_check.model IS 'Attribution model (attribution_models.name).';
COMMENT ON COLUMN leadflow.attribution_check.deal_id IS 'Deal (deals.id).';
COMMENT ON COLUMN leadflow.attribution_check.expected IS 'Amount of the deal; NULL = it ought to have no credits (not won, deleted, in another currency, or the model is not active).';
COMMENT ON COLUMN leadflow.attribution_check.credited IS 'Sum of its credits; NULL = it has none.';
COMMENT ON COLUMN leadflow.attribution_check.currency IS 'ISO 4217 code of both.';

CREATE OR REPLACE VIEW leadflow.unmatched_deals WITH (security_invoker = true) AS
SELECT d.id AS deal_id, d.external_id, d.name, d.amount, d.currency::text AS currency, d.status,
	d.opened_at, d.closed_at, d.kind, d.owner_id, m.full_name AS owner
FROM leadflow.deals d
LEFT JOIN leadflow.team_members m ON m.id = d.owner_id
WHERE d.lead_id IS NULL AND d.corrects_deal_id IS NULL;
COMMENT ON VIEW leadflow.unmatched_deals IS
'One row a deal that belongs to no lead yet: it moves nobody and, once won, is credited to no campaign. Corrections go with the deal that they correct and are not listed.';
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
