-- Who made the deals: whose leads they were, what was read before, how far each campaign's leads came.

CREATE OR REPLACE VIEW leadflow.sourced_revenue WITH (security_invoker = true) AS
WITH won AS (
	SELECT
		date_trunc('month', d.closed_at AT TIME ZONE s.time_zone)::date AS month_start,
		d.currency::text AS currency,
		d.corrects_deal_id IS NULL AS counts,
		d.amount,
		coalesce(l.sourced_by, 'unknown') AS sourced_by,
		-- the touches of attribution, but for lookbacks
		EXISTS (
			SELECT
			FROM leadflow.activities a
			JOIN leadflow.activity_kinds k ON k.kind = a.kind
			WHERE a.lead_id = r.lead_id AND a.occurred_at <= coalesce(r.closed_at, d.closed_at)
				AND a.campaign_id IS NOT NULL AND a.voided_at IS NULL AND k.role = 'engagement')
		OR EXISTS (
			SELECT
			FROM leadflow.deal_contacts c
			JOIN leadflow.activities a ON a.lead_id = c.lead_id
			JOIN leadflow.activity_kinds k ON k.kind = a.kind
			-- what has no lead is nobody's
			WHERE c.deal_id = r.id AND r.lead_id IS NOT NULL AND a.occurred_at <= coalesce(r.closed_at, d.closed_at)
				AND a.campaign_id IS NOT NULL AND a.voided_at IS NULL AND k.role = 'engagement') AS influenced
	FROM leadflow.deals d
	CROSS JOIN leadflow.settings s
	LEFT JOIN leadflow._won_deals w ON w.deal_id = d.id
	LEFT JOIN leadflow.deals r ON r.id = w.root_id
	LEFT JOIN leadflow.leads l ON l.id = r.lead_id
	WHERE d.status = 'won'
), sums AS (
	SELECT
		w.month_start,
		w.currency,
		w.sourced_by,
		count(*) FILTER (WHERE w.counts) AS deals,
		sum(w.amount) AS revenue,
		count(*) FILTER (WHERE w.counts AND w.influenced) AS influenced_deals,
		coalesce(sum(w.amount) FILTER (WHERE w.influenced), 0.00) AS influenced_revenue
	FROM won w
	GROUP BY 1, 2, 3
)
SELECT
	x.month_start,
	x.currency,
	x.sourced_by,
	x.deals,
	x.revenue,
	x.revenue::double precision / nullif(x.total, 0)::double precision AS revenue_share,
	x.total AS total_revenue,
	x.influenced_deals,
	x.influenced_revenue,
	x.influenced_revenue::double precision / nullif(x.total, 0)::double precision AS influenced_share
FROM (
	SELECT s.*, sum(s.revenue) OVER (PARTITION BY s.month_start, s.currency) AS total
	FROM sums s
) x;
COMMENT ON VIEW leadflow.sourced_revenue IS 'One row a month, currency and source (key: month_start, currency, sourced_by) that has won deals or corrections: who brought the leads of what was won (leads.sourced_by as it is now), and how much of it had a touch. A correction belongs to the month in which it closed, with the source and the touches of what it corrects.';
COMMENT ON COLUMN leadflow.sourced_revenue.month_start IS 'First day of the month of deals.closed_at, in settings.time_zone.';
COMMENT ON COLUMN leadflow.sourced_revenue.currency IS 'ISO 4217 code of the amounts.';
COMMENT ON COLUMN leadflow.sourced_revenue.sourced_by IS 'marketing, sales, partner or unknown, of the deal''s lead; unknown for deals without a lead.';
COMMENT ON COLUMN leadflow.sourced_revenue.deals IS 'Won deals, corrections not counted.';
COMMENT ON COLUMN leadflow.sourced_revenue.revenue IS 'Their amounts in currency, corrections included.';
COMMENT ON COLUMN leadflow.sourced_revenue.revenue_share IS 'revenue / total_revenue; the month''s rows of a currency sum to 1. NULL = total_revenue is 0. Corrections can take it below 0 or above 1.';
COMMENT ON COLUMN leadflow.sourced_revenue.total_revenue IS 'revenue of all sources of that month and currency: the same in each of its rows, so don''t sum this.';
COMMENT ON COLUMN leadflow.sourced_revenue.influenced_deals IS 'Number of those deals with at least one touch (an engagement with a campaign, not voided, of the lead or a contact, at or before the close), whoever sourced them. Lookbacks of models don''t count.';
COMMENT ON COLUMN leadflow.sourced_revenue.influenced_revenue IS 'Amounts of the deals with a touch, in currency, corrections of such deals included.';
COMMENT ON COLUMN leadflow.sourced_revenue.influenced_share IS 'influenced_revenue / total_revenue: the month''s rows of a currency sum to the share that was influenced. NULL = total_revenue is 0.';

CREATE OR REPLACE VIEW leadflow.content_before_won WITH (security_invoker = true) AS
SELECT
	x.deal_id,
	x.deal,
	x.lead_id,
	l.full_name,
	x.won_at,
	x.kind,
	x.content,
	x.campaign_id,
	c.name AS campaign,
	x.times,
	x.first_at,
	x.last_at,
	date_part('epoch', x.won_at - x.last_at) / 86400 AS days_before_won
FROM (
	SELECT
		d.id AS deal_id,
		d.name AS deal,
		p.lead_id,
		d.closed_at AS won_at,
		a.kind,
		a.content,
		a.campaign_id,
		count(*) AS times,
		min(a.occurred_at) AS first_at,
		max(a.occurred_at) AS last_at
	FROM leadflow.deals d
	JOIN (
		SELECT o.id AS deal_id, o.lead_id
		FROM leadflow.deals o
		UNION ALL
		SELECT t.deal_id, t.lead_id
		FROM leadflow.deal_contacts t
		JOIN leadflow.deals o ON o.id = t.deal_id
		WHERE t.lead_id <> o.lead_id
	) p ON p.deal_id = d.id
	JOIN leadflow.activities a ON a.lead_id = p.lead_id AND a.occurred_at <= d.closed_at
	JOIN leadflow.activity_kinds k ON k.kind = a.kind
	WHERE d.status = 'won' AND d.corrects_deal_id IS NULL AND a.voided_at IS NULL AND k.role = 'engagement'
	GROUP BY d.id, d.name, p.lead_id, d.closed_at, a.kind, a.content, a.campaign_id
) x
JOIN leadflow.leads l ON l.id = x.lead_id
LEFT JOIN leadflow.campaigns c ON c.id = x.campaign_id;
COMMENT ON VIEW leadflow.content_before_won IS 'One row a won deal (corrections aside), person, kind of engagement, content and campaign (key: deal_id, lead_id, kind, content, campaign_id; NULL is a value of its own): what the deal''s lead and its contacts read, attended and filled in from the beginning until it was won, that instant included; voided activities left out. Give a deal_id, or a range of won_at: all of it is long.';
COMMENT ON COLUMN leadflow.content_before_won.deal_id IS 'Deal (deals.id).';
COMMENT ON COLUMN leadflow.content_before_won.deal IS 'Its name.';
COMMENT ON COLUMN leadflow.content_before_won.lead_id IS 'Who it was (leads.id): the deal''s lead or one of its contacts.';
COMMENT ON COLUMN leadflow.content_before_won.full_name IS 'Name of that lead.';
COMMENT ON COLUMN leadflow.content_before_won.won_at IS 'When the deal was won (deals.closed_at).';
COMMENT ON COLUMN leadflow.content_before_won.kind IS 'Kind of engagement (activity_kinds.kind), e.g. content_download, form_submit.';
COMMENT ON COLUMN leadflow.content_before_won.content IS 'Page, asset, form or event title (activities.content); NULL = not said.';
COMMENT ON COLUMN leadflow.content_before_won.campaign_id IS 'Campaign (campaigns.id); NULL = none: it is content all the same, but no touch.';
COMMENT ON COLUMN leadflow.content_before_won.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.content_before_won.times IS 'How often, until the deal was won.';
COMMENT ON COLUMN leadflow.content_before_won.first_at IS 'First time.';
COMMENT ON COLUMN leadflow.content_before_won.last_at IS 'Last time at or before won_at.';
COMMENT ON COLUMN leadflow.content_before_won.days_before_won IS 'Days of 24 hours from last_at to won_at.';

CREATE OR REPLACE VIEW leadflow.campaign_funnel WITH (security_invoker = true) AS
WITH touched AS (
	SELECT a.lead_id, a.campaign_id, min(a.occurred_at) AS first_at
	FROM leadflow.activities a
	JOIN leadflow.activity_kinds k ON k.kind = a.kind
	WHERE k.role = 'engagement' AND a.campaign_id IS NOT NULL AND a.voided_at IS NULL
	GROUP BY a.lead_id, a.campaign_id
), cycles AS (
	-- what counts is the first time in a cycle: a lead that sales gives back and takes again is no new one
	SELECT
		h.lead_id,
		min(h.entered_at) FILTER (WHERE h.to_stage = 'mql' AND (h.team, h.reason) IS DISTINCT FROM ('system', 'merged')) AS mql_at,
		min(h.entered_at) FILTER (WHERE g.category IN ('sales', 'won', 'lost')) AS accepted_at,
		min(h.entered_at) FILTER (WHERE g.category = 'won') AS won_at
	FROM leadflow.stage_history h
	JOIN leadflow.stages g ON g.name = h.to_stage
	GROUP BY h.lead_id, h.cycle
), reached AS (
	SELECT c.lead_id, max(c.mql_at) AS mql_at, max(c.accepted_at) AS accepted_at, max(c.won_at) AS won_at
	FROM cycles c
	GROUP BY c.lead_id
), bought AS (
	SELECT p.lead_id, max(p.closed_at) AS won_at
	FROM (
		SELECT d.lead_id, d.closed_at
		FROM leadflow.deals d
		WHERE d.status = 'won' AND d.corrects_deal_id IS NULL
		UNION ALL
		SELECT t.lead_id, d.closed_at
		FROM leadflow.deal_contacts t
		JOIN leadflow.deals d ON d.id = t.deal_id
		WHERE d.status = 'won' AND d.corrects_deal_id IS NULL AND d.lead_id IS NOT NULL
	) p
	WHERE p.lead_id IS NOT NULL
	GROUP BY p.lead_id
), counts AS (
	SELECT
		date_trunc('month', t.first_at AT TIME ZONE s.time_zone)::date AS month_start,
		t.campaign_id,
		count(*) AS touched,
		count(*) FILTER (WHERE r.mql_at >= t.first_at) AS mqls,
		count(*) FILTER (WHERE r.accepted_at >= t.first_at) AS accepted,
		count(*) FILTER (WHERE greatest(r.won_at, b.won_at) >= t.first_at) AS won
	FROM touched t
	CROSS JOIN leadflow.settings s
	JOIN leadflow.leads l ON l.id = t.lead_id
	LEFT JOIN reached r ON r.lead_id = t.lead_id
	LEFT JOIN bought b ON b.lead_id = t.lead_id
	GROUP BY 1, 2
)
SELECT
	n.month_start,
	n.campaign_id,
	c.name AS campaign,
	coalesce(c.channel, '(no channel)') AS channel,
	n.touched,
	n.mqls,
	n.accepted,
	n.won,
	n.mqls::double precision / n.touched AS mql_rate,
	n.accepted::double precision / n.touched AS accepted_rate,
	n.won::double precision / n.touched AS won_rate
FROM counts n
LEFT JOIN leadflow.campaigns c ON c.id = n.campaign_id;
COMMENT ON VIEW leadflow.campaign_funnel IS 'One row a month and campaign (key: month_start, campaign_id) that first touched leads in it: how many, and how far those have come since. A lead counts once for each campaign that touched it, in the month of that campaign''s first touch of it; so don''t sum over campaigns. It counts in a later step if it reached that step, in any cycle, at or after that touch: a touch of somebody who is an MQL already made none. Nothing is implied: such a lead may be accepted or won without counting in mqls. Reads all activities.';
COMMENT ON COLUMN leadflow.campaign_funnel.month_start IS 'First day of the month of the lead''s first touch by the campaign, in settings.time_zone.';
COMMENT ON COLUMN leadflow.campaign_funnel.campaign_id IS 'Campaign (campaigns.id).';
COMMENT ON COLUMN leadflow.campaign_funnel.campaign IS 'Its name.';
COMMENT ON COLUMN leadflow.campaign_funnel.channel IS 'Its channel as it is now; (no channel) = it has none.';
COMMENT ON COLUMN leadflow.campaign_funnel.touched IS 'Leads that it touched (an engagement with the campaign, not voided) for the first time in that month.';
COMMENT ON COLUMN leadflow.campaign_funnel.mqls IS 'Number of those that became an MQL (the first time in a cycle) at or after that touch.';
COMMENT ON COLUMN leadflow.campaign_funnel.accepted IS 'Number of those that sales accepted (first entered a stage of category sales, won or lost in a cycle) at or after that touch.';
COMMENT ON COLUMN leadflow.campaign_funnel.won IS 'Number of those that were won at or after that touch: as lead or contact of a won deal (corrections aside), or by entering a stage of category won.';
COMMENT ON COLUMN leadflow.campaign_funnel.mql_rate IS 'mqls / touched, 0 to 1.';
COMMENT ON COLUMN leadflow.campaign_funnel.accepted_rate IS 'accepted / touched, 0 to 1.';
COMMENT ON COLUMN leadflow.campaign_funnel.won_rate IS 'won / touched, 0 to 1.';
