-- How good the definition of an MQL was, by what came of the leads.

CREATE OR REPLACE VIEW leadflow._lead_outcomes WITH (security_invoker = true) AS
WITH revenue AS (
	SELECT w.lead_id, sum(d.amount) AS amount, min(d.currency::text) AS min_currency, max(d.currency::text) AS max_currency
	FROM leadflow._won_deals w
	JOIN leadflow.deals d ON d.id = w.deal_id
	WHERE w.lead_id IS NOT NULL
	GROUP BY w.lead_id
), entered AS (
	SELECT
		h.lead_id,
		min(h.entered_at) FILTER (WHERE s.category IN ('sales', 'won', 'lost')) AS accepted_at,
		bool_or(h.to_stage = 'rejected') AS rejected,
		bool_or(s.category = 'won') AS won
	FROM leadflow.stage_history h
	JOIN leadflow.stages s ON s.name = h.to_stage
	GROUP BY h.lead_id
), mql AS (
	SELECT DISTINCT ON (h.lead_id) h.lead_id, h.entered_at, h.score, h.model_id
	FROM leadflow.stage_history h
	WHERE h.to_stage = 'mql'
	ORDER BY h.lead_id, h.entered_at, h.id
)
SELECT
	l.id AS lead_id,
	q.entered_at AS mql_at,
	q.model_id,
	CASE
		WHEN q.score >= m.hot_from - 1e-9 * greatest(1, m.hot_from) THEN 'hot'
		WHEN q.score >= m.warm_from - 1e-9 * greatest(1, m.warm_from) THEN 'warm'
		WHEN q.score < m.warm_from THEN 'cool'
	END AS band,
	e.accepted_at,
	e.accepted_at IS NOT NULL AS accepted,
	coalesce(e.rejected, false) AS rejected,
	coalesce(e.won, false) OR r.lead_id IS NOT NULL AS won,
	r.amount AS won_amount,
	r.min_currency,
	r.max_currency
FROM leadflow.leads l
LEFT JOIN entered e ON e.lead_id = l.id
LEFT JOIN mql q ON q.lead_id = l.id
LEFT JOIN leadflow.scoring_models m ON m.id = q.model_id
LEFT JOIN revenue r ON r.lead_id = l.id;
COMMENT ON VIEW leadflow._lead_outcomes IS 'Internal. One row a lead: when it first was an MQL, and what came of it until now; backtest(), rule_performance() and model_performance count these.';
COMMENT ON COLUMN leadflow._lead_outcomes.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._lead_outcomes.mql_at IS 'When it first entered stage mql, by whomever; NULL = never.';
COMMENT ON COLUMN leadflow._lead_outcomes.model_id IS 'Model that was active then; NULL = none, or it never was an MQL.';
COMMENT ON COLUMN leadflow._lead_outcomes.band IS 'hot, warm or cool by its score then and that model''s bands; NULL = no score was kept (an import), or the model is gone.';
COMMENT ON COLUMN leadflow._lead_outcomes.accepted_at IS 'When it first entered a stage of category sales, won or lost; NULL = never.';
COMMENT ON COLUMN leadflow._lead_outcomes.accepted IS 'It ever did.';
COMMENT ON COLUMN leadflow._lead_outcomes.rejected IS 'It ever entered stage rejected.';
COMMENT ON COLUMN leadflow._lead_outcomes.won IS 'It ever entered a stage of category won, or has a won deal.';
COMMENT ON COLUMN leadflow._lead_outcomes.won_amount IS 'Amount of its won deals, corrections included; one figure only where min_currency = max_currency; NULL = it has none.';
COMMENT ON COLUMN leadflow._lead_outcomes.min_currency IS 'First by alphabet of the currencies of its won deals.';
COMMENT ON COLUMN leadflow._lead_outcomes.max_currency IS 'Last by alphabet of the currencies of its won deals.';

CREATE OR REPLACE VIEW leadflow.model_performance WITH (security_invoker = true) AS
SELECT
	o.model_id,
	m.name AS model,
	m.version,
	o.band,
	count(*) AS mqls,
	count(*) FILTER (WHERE o.accepted) AS accepted,
	count(*) FILTER (WHERE o.rejected) AS rejected,
	count(*) FILTER (WHERE NOT o.accepted AND NOT o.rejected) AS undecided,
	count(*) FILTER (WHERE o.won) AS won,
	round(count(*) FILTER (WHERE o.accepted)::numeric / count(*), 4) AS acceptance_rate,
	round(count(*) FILTER (WHERE o.rejected)::numeric / count(*), 4) AS rejection_rate,
	round(count(*) FILTER (WHERE o.won)::numeric / count(*), 4) AS win_rate
FROM leadflow._lead_outcomes o
LEFT JOIN leadflow.scoring_models m ON m.id = o.model_id
WHERE o.mql_at IS NOT NULL
GROUP BY o.model_id, m.name, m.version, o.band;
COMMENT ON VIEW leadflow.model_performance IS
'One row a scoring model and band: the leads that became MQLs, by the model that was active and the score that they had when they first did, and what came of them until now. mqls sums to the mqls of funnel_monthly. Reads all history.';
COMMENT ON COLUMN leadflow.model_performance.model_id IS 'Model (scoring_models.id); NULL = none was active, or the MQL was imported.';
COMMENT ON COLUMN leadflow.model_performance.model IS 'Its name; NULL = it was deleted, or there is none.';
COMMENT ON COLUMN leadflow.model_performance.version IS 'Its version.';
COMMENT ON COLUMN leadflow.model_performance.band IS 'hot, warm or cool by the score that the lead had then and the model''s hot_from and warm_from; NULL = unknown.';
COMMENT ON COLUMN leadflow.model_performance.mqls IS 'Leads that ever entered stage mql, by the gate or by hand, each once.';
COMMENT ON COLUMN leadflow.model_performance.accepted IS 'Those that ever entered a stage of category sales, won or lost.';
COMMENT ON COLUMN leadflow.model_performance.rejected IS 'Those that ever entered stage rejected; some were accepted, too, before or after.';
COMMENT ON COLUMN leadflow.model_performance.undecided IS 'Those that were neither.';
COMMENT ON COLUMN leadflow.model_performance.won IS 'Those that ever entered a stage of category won, or have a won deal.';
COMMENT ON COLUMN leadflow.model_performance.acceptance_rate IS 'accepted / mqls, 0 to 1.';
COMMENT ON COLUMN leadflow.model_performance.rejection_rate IS 'rejected / mqls, 0 to 1.';
COMMENT ON COLUMN leadflow.model_performance.win_rate IS 'won / mqls, 0 to 1.';
