-- The credits of won deals.
-- The one definition of credits. It is inlined into the engine's statement, whose plan is
-- kept, and therefore pins nothing; the engine's search_path is pinned.
CREATE OR REPLACE FUNCTION leadflow._credits(deal_ids bigint[], models text[])
RETURNS TABLE (deal_id bigint, model text, lead_id bigint, occurred_at timestamptz, activity_id uuid,
	campaign_id bigint, weight double precision, credit numeric, currency character(3))
LANGUAGE sql STABLE
AS $$
	WITH RECURSIVE origin AS (
		-- a correction goes by the deal at the root of what it corrects
		SELECT d.id AS deal_id, d.id, d.corrects_deal_id
		FROM leadflow.deals d
		WHERE d.id = ANY ($1) AND d.status = 'won'
		UNION
		SELECT o.deal_id, d.id, d.corrects_deal_id
		FROM origin o
		JOIN leadflow.deals d ON d.id = o.corrects_deal_id
	), deal AS MATERIALIZED (
		SELECT d.id, d.amount, d.currency, o.id AS origin_id, o.lead_id,
			coalesce(o.closed_at, d.closed_at) AS converted_at
		FROM origin
		JOIN leadflow.deals d ON d.id = origin.deal_id
		JOIN leadflow.deals o ON o.id = origin.id
		WHERE origin.corrects_deal_id IS NULL AND o.lead_id IS NOT NULL
	), party AS MATERIALIZED (
		SELECT d.id AS deal_id, d.lead_id, d.converted_at
		FROM deal d
		UNION
		SELECT d.id, c.lead_id, d.converted_at
		FROM deal d
		JOIN leadflow.deal_contacts c ON c.deal_id = d.origin_id
	), touch AS MATERIALIZED (
		SELECT p.deal_id, a.lead_id, a.occurred_at, a.id, a.campaign_id
		FROM party p
		JOIN leadflow.activities a ON a.lead_id = p.lead_id AND a.occurred_at <= p.converted_at
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'engagement'
		WHERE a.campaign_id IS NOT NULL AND a.voided_at IS NULL
	), path AS MATERIALIZED (
		SELECT d.id AS deal_id, m.name AS model, m.kind, d.lead_id, d.amount, d.currency, d.converted_at,
			array_agg(t.lead_id ORDER BY t.occurred_at, t.id, t.lead_id) FILTER (WHERE t.id IS NOT NULL) AS leads,
			array_agg(t.occurred_at ORDER BY t.occurred_at, t.id, t.lead_id) FILTER (WHERE t.id IS NOT NULL) AS times,
			array_agg(t.id ORDER BY t.occurred_at, t.id, t.lead_id) FILTER (WHERE t.id IS NOT NULL) AS activities,
			array_agg(t.campaign_id ORDER BY t.occurred_at, t.id, t.lead_id) FILTER (WHERE t.id IS NOT NULL) AS campaigns
		FROM deal d
		CROSS JOIN leadflow.attribution_models m
		-- in UTC a day has 24 hours, whatever the session's zone
		LEFT JOIN touch t ON t.deal_id = d.id AND (m.lookback IS NULL
			OR t.occurred_at AT TIME ZONE 'UTC' + m.lookback >= d.converted_at AT TIME ZONE 'UTC')
		WHERE m.active AND ($2 IS NULL OR m.name = ANY ($2))
		GROUP BY d.id, m.name, m.kind, d.lead_id, d.amount, d.currency, d.converted_at
	), weighed AS MATERIALIZED (
		-- totals never shrink: without a touch the deal is credited to no campaign
		SELECT p.*, coalesce(leadflow.touch_weights(p.kind, p.times, p.converted_at), '{1}') AS weights
		FROM path p
	), split AS MATERIALIZED (
		SELECT w.*, leadflow.split_credit(w.amount, w.weights, 2) AS credits
		FROM weighed w
	)
	SELECT s.deal_id, s.model, coalesce(c.lead_id, s.lead_id), c.occurred_at, c.activity_id, c.campaign_id,
		c.weight, c.credit, s.currency
	FROM split s
	CROSS JOIN LATERAL ROWS FROM (
		unnest(s.leads), unnest(s.times), unnest(s.activities), unnest(s.campaigns), unnest(s.weights), unnest(s.credits)
	) AS c (lead_id, occurred_at, activity_id, campaign_id, weight, credit)
	WHERE c.weight > 0
$$;
COMMENT ON FUNCTION leadflow._credits(bigint[], text[]) IS
'What attribution_credits ought to hold for those of the deals that are won, under those models that are active (NULL = all). credit in currency.';

CREATE OR REPLACE FUNCTION leadflow._rebuild_credits() RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_rebuild_credits'
	LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION leadflow._rebuild_credits() IS
'Makes all credits anew, and the watch bits that go with them; returns the number of credit rows that came or went. For reconcile().';

CREATE OR REPLACE FUNCTION leadflow._deal_check() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_deal_check' LANGUAGE C;
COMMENT ON FUNCTION leadflow._deal_check() IS
'Trigger, before each row of deals: a closed deal has closed_at, an open one has none; the id never changes (428C9).';
CREATE OR REPLACE FUNCTION leadflow._deals_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_deals_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._deals_changed() IS
'Trigger, after each statement on deals: moves the leads, then makes the credits anew.';
CREATE OR REPLACE FUNCTION leadflow._deal_contacts_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_deal_contacts_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._deal_contacts_changed() IS
'Trigger, after each statement on deal_contacts: makes the credits of the deals anew.';
CREATE OR REPLACE FUNCTION leadflow._campaign_check() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_campaign_check' LANGUAGE C;
COMMENT ON FUNCTION leadflow._campaign_check() IS
'Trigger, before each row of campaigns: code defaults to the name and is fixed once a lead or an activity carries the campaign (23514 campaigns_code_fixed).';
CREATE OR REPLACE FUNCTION leadflow._attribution_model_check() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_attribution_model_check' LANGUAGE C;
COMMENT ON FUNCTION leadflow._attribution_model_check() IS
'Trigger, before each row of attribution_models: a lookback has no months or years (22023).';
CREATE OR REPLACE FUNCTION leadflow._attribution_models_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_attribution_models_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._attribution_models_changed() IS
'Trigger, after each statement on attribution_models: makes the credits under these models anew.';
CREATE OR REPLACE FUNCTION leadflow._touch_kinds_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_touch_kinds_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._touch_kinds_changed() IS
'Trigger, after each statement on activity_kinds: makes all credits anew, as an engagement with a campaign is a touch.';
