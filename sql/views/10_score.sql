-- Scores as of now, and what the engine reads about a lead.

-- Subqueries, not joins: whatever else is planned with it, a lead's account is looked up.
CREATE OR REPLACE VIEW leadflow._lead_documents WITH (security_invoker = true) AS
SELECT
	l.id AS lead_id,
	jsonb_build_object(
		'id', l.id,
		'external_id', l.external_id,
		'email', l.email,
		'full_name', l.full_name,
		'phone', l.phone,
		'company', l.company,
		'job_title', l.job_title,
		'industry', l.industry,
		'company_size', l.company_size,
		'budget', l.budget,
		'country', l.country,
		'region', l.region,
		'attributes', l.attributes,
		'source', l.source,
		'campaign', (SELECT c.code FROM leadflow.campaigns c WHERE c.id = l.campaign_id),
		'sourced_by', l.sourced_by,
		'do_not_contact', l.do_not_contact,
		'created_at', to_char(l.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
		'account', (
			SELECT jsonb_build_object('name', a.name, 'domain', a.domain, 'status', a.status)
			FROM leadflow.accounts a WHERE a.id = l.account_id)) AS doc
FROM leadflow.leads l;
COMMENT ON VIEW leadflow._lead_documents IS 'Internal. One row a lead: the lead as JSON, which conditions on leads are asked of. Holds what clients write and nothing that the engine moves; does not depend on any setting of the session.';
COMMENT ON COLUMN leadflow._lead_documents.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._lead_documents.doc IS 'The client''s columns of leads, campaign by its code, created_at in UTC (ISO 8601, microseconds), account {name, domain, status} or null.';

-- Where no policy hides leads the planner drops the join (their id is unique and nothing of
-- them is asked for), so that leads is not read: score_state has a row for each.
CREATE OR REPLACE VIEW leadflow.lead_scores WITH (security_invoker = true) AS
SELECT
	s.lead_id,
	leadflow._lead_score(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS score,
	leadflow._lead_fit(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS fit,
	leadflow._lead_engagement(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS engagement,
	leadflow._lead_grade(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS grade,
	leadflow._lead_level(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS level,
	leadflow._lead_rank(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS rank,
	leadflow._lead_band(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS band,
	leadflow._lead_persona(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS persona,
	leadflow._lead_fit_known(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS fit_known,
	leadflow._lead_disqualified_reason(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS disqualified_reason,
	leadflow._lead_mql_ready(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now(),
		s.watch, s.cycle, s.hand_raised_at, s.cycle_since, s.last_engaged_at) AS mql_ready,
	leadflow._lead_mql_blocked_by(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now(),
		s.watch, s.cycle, s.hand_raised_at, s.cycle_since, s.last_engaged_at) AS mql_blocked_by,
	leadflow._lead_falls_below_mql_at(s.lead_id, s.model_id, s.sums, s.last_at, s.disqualified_at,
		s.disqualified_by, s.fit, s.persona_id, s.fit_known, s.lead_disqualifier, leadflow.now()) AS falls_below_mql_at,
	leadflow._model_id() AS model_id
FROM leadflow.score_state s
LEFT JOIN leadflow.leads l ON l.id = s.lead_id
WHERE l.id IS NOT NULL OR NOT leadflow._leads_filtered();
COMMENT ON VIEW leadflow.lead_scores IS 'One row a lead (key: lead_id): its score at leadflow.now() with the active model. Always up to date, within the transaction too.';
COMMENT ON COLUMN leadflow.lead_scores.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.lead_scores.score IS 'Points, 0 to the model''s max_score; 0 for a disqualified lead.';
COMMENT ON COLUMN leadflow.lead_scores.fit IS 'Points of who the lead is, clamped to the fit group''s bounds; part of the score.';
COMMENT ON COLUMN leadflow.lead_scores.engagement IS 'Points of what the lead does: sum of the engagement groups, decayed, each clamped to its bounds.';
COMMENT ON COLUMN leadflow.lead_scores.grade IS 'A to D by the share of the fit group''s maximum; NULL where the model has no fit group.';
COMMENT ON COLUMN leadflow.lead_scores.level IS 'Engagement level 1 (highest) to 4 by the share of the engagement groups'' maximum.';
COMMENT ON COLUMN leadflow.lead_scores.rank IS 'Grade and level together, e.g. A1.';
COMMENT ON COLUMN leadflow.lead_scores.band IS 'hot, warm or cool by the score.';
COMMENT ON COLUMN leadflow.lead_scores.persona IS 'Persona that fits best; NULL when no criterion matches.';
COMMENT ON COLUMN leadflow.lead_scores.fit_known IS 'Share of the persona''s criteria whose fields are filled in, 0 to 1.';
COMMENT ON COLUMN leadflow.lead_scores.disqualified_reason IS 'Why the lead is disqualified; NULL = it is not.';
COMMENT ON COLUMN leadflow.lead_scores.mql_ready IS 'Whether the lead passes the MQL gate.';
COMMENT ON COLUMN leadflow.lead_scores.mql_blocked_by IS 'What is missing for the MQL gate, in words; NULL = nothing, or the lead is in a later stage.';
COMMENT ON COLUMN leadflow.lead_scores.falls_below_mql_at IS 'When the score crosses the MQL threshold by decay if nothing more happens; NULL = never, or it is below already.';
COMMENT ON COLUMN leadflow.lead_scores.model_id IS 'Model (scoring_models.id) that gives the score.';

CREATE OR REPLACE VIEW leadflow.unmapped_activity_kinds WITH (security_invoker = true) AS
SELECT
	a.kind,
	count(*) AS activities,
	max(a.occurred_at) AS last_seen
FROM leadflow.activities a
JOIN leadflow.leads l ON l.id = a.lead_id
WHERE a.voided_at IS NULL
	AND NOT EXISTS (SELECT FROM leadflow.activity_kinds k WHERE k.kind = a.kind)
GROUP BY a.kind;
COMMENT ON VIEW leadflow.unmapped_activity_kinds IS 'One row a kind (key: kind) that activities carry and activity_kinds does not name: they are stored and score nothing. Reads all activities; voided ones do not count.';
COMMENT ON COLUMN leadflow.unmapped_activity_kinds.kind IS 'Kind as sent.';
COMMENT ON COLUMN leadflow.unmapped_activity_kinds.activities IS 'Number of activities of that kind.';
COMMENT ON COLUMN leadflow.unmapped_activity_kinds.last_seen IS 'Latest occurred_at of them.';
