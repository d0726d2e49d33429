-- How many leads got how far.

CREATE OR REPLACE VIEW leadflow.funnel_monthly WITH (security_invoker = true) AS
SELECT
	date_trunc('month', l.created_at AT TIME ZONE g.time_zone)::date AS month_start,
	l.source,
	l.campaign_id,
	c.name AS campaign,
	CASE WHEN l.erased_at IS NULL THEN p.name ELSE e.persona END AS persona,
	count(*) AS leads,
	count(*) FILTER (WHERE h.mql) AS mqls,
	count(*) FILTER (WHERE h.sql) AS sqls,
	count(*) FILTER (WHERE h.accepted) AS accepted,
	count(*) FILTER (WHERE h.rejected) AS rejected,
	count(*) FILTER (WHERE h.nurtured) AS nurtured,
	count(*) FILTER (WHERE h.opportunity) AS opportunities,
	count(*) FILTER (WHERE h.won) AS won,
	count(*) FILTER (WHERE h.lost) AS lost
FROM leadflow.leads l
CROSS JOIN leadflow.settings g
LEFT JOIN (
	SELECT
		h.lead_id,
		bool_or(h.to_stage = 'mql') AS mql,
		bool_or(h.to_stage = 'sql') AS sql,
		bool_or(h.to_stage = 'accepted') AS accepted,
		bool_or(h.to_stage = 'rejected') AS rejected,
		bool_or(h.to_stage = 'nurture') AS nurtured,
		bool_or(h.to_stage = 'opportunity') AS opportunity,
		bool_or(h.to_stage = 'won') AS won,
		bool_or(h.to_stage = 'lost') AS lost
	FROM leadflow.stage_history h
	GROUP BY h.lead_id
) h ON h.lead_id = l.id
LEFT JOIN leadflow.campaigns c ON c.id = l.campaign_id
LEFT JOIN leadflow.score_state s ON s.lead_id = l.id
LEFT JOIN leadflow.personas p ON p.id = s.persona_id
LEFT JOIN leadflow.erased_leads e ON e.lead_id = l.id
GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW leadflow.funnel_monthly IS 'One row a month in which leads were created (in settings.time_zone), source, campaign and persona (key: month_start, source, campaign_id, persona; NULLs are values of their own). A lead counts once in every stage that it ever entered; nothing is implied.';
COMMENT ON COLUMN leadflow.funnel_monthly.month_start IS 'First day of the month of leads.created_at, in settings.time_zone.';
COMMENT ON COLUMN leadflow.funnel_monthly.source IS 'Source of the lead; NULL = unknown.';
COMMENT ON COLUMN leadflow.funnel_monthly.campaign_id IS 'Campaign that sourced the lead; NULL = none.';
COMMENT ON COLUMN leadflow.funnel_monthly.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.funnel_monthly.persona IS 'Persona of the lead as it is now, of one that was erased as it was then; NULL = none.';
COMMENT ON COLUMN leadflow.funnel_monthly.leads IS 'Number of leads created.';
COMMENT ON COLUMN leadflow.funnel_monthly.mqls IS 'Number of those that became an MQL.';
COMMENT ON COLUMN leadflow.funnel_monthly.sqls IS 'Number of those that were handed to sales.';
COMMENT ON COLUMN leadflow.funnel_monthly.accepted IS 'Number of those that sales accepted.';
COMMENT ON COLUMN leadflow.funnel_monthly.rejected IS 'Number of those that sales rejected.';
COMMENT ON COLUMN leadflow.funnel_monthly.nurtured IS 'Number of those that went to nurture.';
COMMENT ON COLUMN leadflow.funnel_monthly.opportunities IS 'Number of those that became an opportunity.';
COMMENT ON COLUMN leadflow.funnel_monthly.won IS 'Number of those that were won.';
COMMENT ON COLUMN leadflow.funnel_monthly.lost IS 'Number of those that were lost.';
