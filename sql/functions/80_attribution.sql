-- The credits of won deals.
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
'Trigger, before each row of attribution_models: kind and params make a model, a lookback has no months or years (22023).';
CREATE OR REPLACE FUNCTION leadflow._campaigns_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_campaigns_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._campaigns_changed() IS
'Trigger, after each UPDATE of campaigns: where a channel changed, makes the credits anew that ask whether it is direct.';
CREATE OR REPLACE FUNCTION leadflow._attribution_models_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_attribution_models_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._attribution_models_changed() IS
'Trigger, after each statement on attribution_models: makes the credits under these models anew.';
CREATE OR REPLACE FUNCTION leadflow._touch_kinds_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_touch_kinds_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._touch_kinds_changed() IS
'Trigger, after each statement on activity_kinds: makes all credits anew, as an engagement with a campaign is a touch.';

-- Says by SQL what the engine has computed in C: the two must agree on what a touch is.
CREATE OR REPLACE FUNCTION leadflow.explain_credit(deal_id bigint, model text DEFAULT NULL)
RETURNS TABLE (lead_id bigint, full_name text, occurred_at timestamptz, activity_id uuid, kind text, content text,
	campaign_id bigint, campaign text, channel text, place text, days_before double precision, why_not text,
	weight double precision, credit numeric, currency text)
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	chosen CONSTANT text := coalesce($2, (SELECT s.default_attribution_model FROM leadflow.settings s));
	m record;
BEGIN
	SELECT a.name, a.kind, a.params, a.lookback,
		ARRAY(SELECT jsonb_array_elements_text(coalesce(a.params -> 'direct', '["direct"]'))) AS direct
	INTO m
	FROM leadflow.attribution_models a
	WHERE a.name = chosen;
	IF NOT FOUND THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('attribution model "%s" is not known', chosen),
			HINT = 'Give the name of a row of leadflow.attribution_models, or none for the default of leadflow.settings.';
	ELSIF m.kind IN ('markov', 'shapley') THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('model "%s" does not share out single deals', m.name),
			DETAIL = format('A model of kind %s goes by the paths of all deals.', m.kind),
			HINT = 'See leadflow.attribution_by_channel for what it says.';
	END IF;

	RETURN QUERY
	WITH RECURSIVE origin AS (
		SELECT d.id, d.corrects_deal_id
		FROM leadflow.deals d
		WHERE d.id = $1
		UNION
		SELECT d.id, d.corrects_deal_id
		FROM origin o
		JOIN leadflow.deals d ON d.id = o.corrects_deal_id
	), deal AS MATERIALIZED (
		SELECT r.id AS root_id, r.lead_id, r.opened_at, d.amount, d.currency::text AS currency, d.status = 'won' AS won,
			coalesce(r.closed_at, d.closed_at, leadflow.now()) AS converted_at
		FROM origin o
		JOIN leadflow.deals r ON r.id = o.id
		JOIN leadflow.deals d ON d.id = $1
		WHERE o.corrects_deal_id IS NULL
	), event AS MATERIALIZED (
		SELECT d.*, coalesce((
				SELECT min(h.entered_at)
				FROM leadflow.stage_history h
				WHERE h.lead_id = d.lead_id AND h.to_stage = 'mql' AND h.entered_at <= d.converted_at
			), l.created_at) AS lead_created_at
		FROM deal d
		LEFT JOIN leadflow.leads l ON l.id = d.lead_id
	), party AS (
		SELECT e.lead_id
		FROM event e
		UNION
		SELECT c.lead_id
		FROM event e
		JOIN leadflow.deal_contacts c ON c.deal_id = e.root_id
		WHERE e.lead_id IS NOT NULL
	), touch AS MATERIALIZED (
		SELECT a.lead_id, a.occurred_at, a.id, a.kind, a.content, a.campaign_id, c.name AS campaign, c.channel,
			coalesce(c.channel = ANY (m.direct), false) AS direct,
			CASE
				WHEN a.voided_at IS NOT NULL THEN 'voided: ' || a.void_reason
				WHEN a.occurred_at > e.converted_at THEN 'after the conversion'
				-- in UTC a day has 24 hours, whatever the session's zone
				WHEN a.occurred_at AT TIME ZONE 'UTC' + m.lookback < e.converted_at AT TIME ZONE 'UTC' THEN 'before the lookback'
			END AS why_not
		FROM event e
		CROSS JOIN party p
		JOIN leadflow.activities a ON a.lead_id = p.lead_id
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'engagement'
		LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id
		WHERE a.campaign_id IS NOT NULL
	), path AS (
		SELECT array_agg(t.lead_id ORDER BY t.occurred_at, t.id, t.lead_id) AS leads,
			array_agg(t.id ORDER BY t.occurred_at, t.id, t.lead_id) AS ids,
			array_agg(t.occurred_at ORDER BY t.occurred_at, t.id, t.lead_id) AS times,
			array_agg(t.direct ORDER BY t.occurred_at, t.id, t.lead_id) AS direct
		FROM touch t
		WHERE t.why_not IS NULL
	), weighed AS MATERIALIZED (
		SELECT p.*, leadflow.touch_weights(m.kind, p.times, e.converted_at, e.lead_created_at, e.opened_at, m.params, p.direct) AS weights
		FROM path p
		CROSS JOIN event e
		WHERE p.times IS NOT NULL
	), shared AS (
		SELECT s.lead_id, s.id, s.occurred_at, s.weight, s.credit, s.nth,
			s.nth = cardinality(w.ids) AS is_last,
			s.nth = sum((s.occurred_at <= e.lead_created_at)::integer) OVER () AS is_creation,
			s.nth = sum((s.occurred_at <= e.opened_at)::integer) OVER () AS is_opportunity
		FROM weighed w
		CROSS JOIN event e
		CROSS JOIN LATERAL ROWS FROM (
			unnest(w.leads), unnest(w.ids), unnest(w.times), unnest(w.weights),
			unnest(leadflow.split_credit(e.amount, w.weights))
		) WITH ORDINALITY s (lead_id, id, occurred_at, weight, credit, nth)
	)
	SELECT t.lead_id, l.full_name, t.occurred_at, t.id, t.kind, t.content, t.campaign_id, t.campaign, t.channel,
		nullif(concat_ws(', ', CASE WHEN s.nth = 1 THEN 'first' END, CASE WHEN s.is_creation THEN 'lead created' END,
			CASE WHEN s.is_opportunity THEN 'opportunity' END, CASE WHEN s.is_last THEN 'last' END), ''),
		(extract(epoch FROM e.converted_at) - extract(epoch FROM t.occurred_at))::double precision / 86400,
		t.why_not, coalesce(s.weight, 0), CASE WHEN e.won THEN coalesce(s.credit, 0.00) END, e.currency
	FROM touch t
	CROSS JOIN event e
	JOIN leadflow.leads l ON l.id = t.lead_id
	LEFT JOIN shared s ON s.lead_id = t.lead_id AND s.occurred_at = t.occurred_at AND s.id = t.id
	UNION ALL
	-- totals never shrink
	SELECT e.lead_id, l.full_name, NULL, NULL, NULL, NULL, NULL, '(none)', NULL, NULL, NULL,
		CASE WHEN e.lead_id IS NULL THEN 'the deal has no lead' ELSE 'no touch counts' END,
		1, CASE WHEN e.won THEN e.amount END, e.currency
	FROM event e
	LEFT JOIN leadflow.leads l ON l.id = e.lead_id
	WHERE NOT EXISTS (SELECT FROM weighed)
	ORDER BY 3, 4, 1;
END
$$;
COMMENT ON FUNCTION leadflow.explain_credit(bigint, text) IS
'Why the touches of a deal earn what they earn under a rule-based model (NULL: the default one): one row a touch of the deal''s lead and contacts, by time, those that do not count too, with why_not (voided, after the conversion, before the lookback). place: where it stands in the journey (first, lead created, opportunity, last), whether or not the model asks. days_before: before the conversion, days of 24 h. weight: its share; those of a deal sum to 1. credit: in currency; sums to the amount of a won deal, and is what attribution_credits has; NULL for one that is not won, whose shares are those of a win now, or at its closing. Without a touch that counts, a row (none) has all of it. No row for a deal that is unknown or that the caller cannot see; 22023 for an unknown model or one by data (markov, shapley). O(touches).';
