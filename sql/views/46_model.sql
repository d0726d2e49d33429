-- What the words mean now, and what was promised.

CREATE OR REPLACE VIEW leadflow.definitions_in_force WITH (security_invoker = true) AS
WITH model AS (
	SELECT
		m.*,
		h.hand_raises,
		q.reasons,
		a.by_marketing,
		a.by_sales,
		a.agreed_at
	FROM leadflow.scoring_models m
	CROSS JOIN LATERAL (
		SELECT string_agg(r.name, ', ' ORDER BY r.name) AS hand_raises
		FROM leadflow.scoring_rules r
		WHERE r.model_id = m.id AND r.hand_raise AND r.active
	) h
	CROSS JOIN LATERAL (
		SELECT string_agg(DISTINCT d.reason, ', ' ORDER BY d.reason) AS reasons
		FROM leadflow.disqualifiers d
		WHERE d.model_id = m.id
	) q
	CROSS JOIN LATERAL (
		SELECT
			max(t.full_name) FILTER (WHERE p.team = 'marketing') AS by_marketing,
			max(t.full_name) FILTER (WHERE p.team = 'sales') AS by_sales,
			max(p.approved_at) AS agreed_at
		FROM leadflow.scoring_approvals p
		JOIN leadflow.team_members t ON t.id = p.member_id
		WHERE p.model_id = m.id
	) a
	WHERE m.status = 'active'
)
SELECT
	'contact'::text AS subject,
	'Contact'::text AS name,
	'Everybody in leads, in whatever stage: a person whom we know and may get in touch with unless do_not_contact is set.'::text AS definition,
	NULL::timestamptz AS since_at,
	NULL::text AS agreed_by_marketing,
	NULL::text AS agreed_by_sales,
	NULL::timestamptz AS agreed_at,
	NULL::bigint AS model_id,
	NULL::text AS model,
	NULL::integer AS version,
	NULL::bigint AS policy_id,
	1 AS position
UNION ALL
SELECT
	'lead', s.label,
	concat_ws(' ', s.description, 'A contact that has not passed the gate of the scoring model.'),
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 2
FROM leadflow.stages s
WHERE s.name = 'lead'
UNION ALL
SELECT
	'mql', s.label,
	CASE WHEN m.id IS NULL THEN 'No scoring model is in force: marketing makes MQLs by hand.'
		ELSE concat(
			coalesce(m.mql_definition || ' In figures: a', 'A'),
			format(' score of %s or more of %s', m.mql_threshold::numeric, m.max_score::numeric),
			CASE WHEN m.min_fit_grade IS NOT NULL THEN format(' and grade %s or better', m.min_fit_grade) END,
			'; or a raised hand (' || m.hand_raises || CASE WHEN m.hand_raise_min_grade IS NOT NULL
				THEN format(', with grade %s or better', m.hand_raise_min_grade) ELSE '' END || ')',
			'. Always: ',
			CASE WHEN m.required_fields <> '{}' THEN array_to_string(m.required_fields, ', ') || ' filled in, ' END,
			'not disqualified', ' (' || m.reasons || ')',
			', may be contacted (or raised its hand), no contact of an open deal.',
			format(' After it was recycled, but for a raised hand: %sits revisit date has come, it has engaged again%s.',
				CASE WHEN m.cool_down > '0'
					THEN format('%s days have passed, ', trim_scale(round(extract(epoch FROM m.cool_down) / 86400, 2))) END,
				CASE WHEN m.requalify_points > 0
					THEN format(' and earned %s points', m.requalify_points::numeric) END))
	END,
	m.activated_at,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_marketing, 'shipped') END,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_sales, 'shipped') END,
	m.agreed_at, m.id, m.name, m.version, NULL, 3
FROM leadflow.stages s
LEFT JOIN model m ON true
WHERE s.name = 'mql'
UNION ALL
SELECT
	'sql', s.label,
	CASE WHEN m.id IS NULL THEN 'No scoring model is in force: marketing hands MQLs to sales by hand.'
		ELSE concat(
			coalesce(m.sql_definition || ' In figures: an', 'An'),
			CASE WHEN m.handoff_threshold IS NULL THEN ' MQL that marketing hands to sales.'
				ELSE format(' MQL with score %s or more, or with a raised hand, is handed to sales at once; others by marketing.',
					m.handoff_threshold::numeric) END,
			' Sales accepts it, rejects it with a reason, or sends it to nurture.')
	END,
	m.activated_at,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_marketing, 'shipped') END,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_sales, 'shipped') END,
	m.agreed_at, m.id, m.name, m.version, NULL, 4
FROM leadflow.stages s
LEFT JOIN model m ON true
WHERE s.name = 'sql'
UNION ALL
SELECT
	'opportunity', s.label,
	concat_ws(' ', s.description, 'A lead becomes one when a deal of it is opened, wherever it stands.'),
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 5
FROM leadflow.stages s
WHERE s.name = 'opportunity'
UNION ALL
SELECT
	'service_level', p.name,
	concat(
		upper(left(p.team, 1)), substr(p.team, 2), ': ', replace(p.metric, '_', ' '),
		format(' within %s hours', trim_scale(round(extract(epoch FROM p.target) / 3600, 2))),
		format(' (%s)', CASE WHEN k.name IS NULL THEN 'working hours of whoever owns the lead' ELSE 'calendar ' || k.name END),
		', for leads where ' || leadflow._condition_text(p.condition),
		', warning after ' || trim_scale(round(p.warn_fraction::numeric * 100, 1)) || ' %',
		'.'),
	CASE WHEN NOT lower_inf(p.valid) AND isfinite(lower(p.valid)) THEN lower(p.valid) END,
	NULL, NULL, NULL, NULL, NULL, NULL, p.id, 6
FROM leadflow.sla_policies p
LEFT JOIN leadflow.calendars k ON k.id = p.calendar_id
WHERE p.valid @> leadflow.now();
COMMENT ON VIEW leadflow.definitions_in_force IS 'One row a definition that holds at leadflow.now() (key: subject, and policy_id for service levels): what contact, lead, mql, sql and opportunity mean, in plain words, and each service level.';
COMMENT ON COLUMN leadflow.definitions_in_force.subject IS 'contact, lead, mql, sql, opportunity or service_level.';
COMMENT ON COLUMN leadflow.definitions_in_force.name IS 'The stage''s label, or the promise''s name.';
COMMENT ON COLUMN leadflow.definitions_in_force.definition IS 'What it means now, in plain words: as the teams wrote it, and what leadflow goes by.';
COMMENT ON COLUMN leadflow.definitions_in_force.since_at IS 'Since when it is in force: activation of the model, or beginning of the promise''s validity; NULL = ever since, or it was not recorded.';
COMMENT ON COLUMN leadflow.definitions_in_force.agreed_by_marketing IS 'Who approved the model for marketing; shipped = nobody, it came with leadflow or was put in force around it; NULL = not a matter of the model.';
COMMENT ON COLUMN leadflow.definitions_in_force.agreed_by_sales IS 'Who approved the model for sales; likewise.';
COMMENT ON COLUMN leadflow.definitions_in_force.agreed_at IS 'When the second of the two approved; NULL = nobody did.';
COMMENT ON COLUMN leadflow.definitions_in_force.model_id IS 'Scoring model (scoring_models.id) that says so; NULL = none does.';
COMMENT ON COLUMN leadflow.definitions_in_force.model IS 'Its name.';
COMMENT ON COLUMN leadflow.definitions_in_force.version IS 'Its version.';
COMMENT ON COLUMN leadflow.definitions_in_force.policy_id IS 'Promise (sla_policies.id); NULL = the row is no service level.';
COMMENT ON COLUMN leadflow.definitions_in_force.position IS 'Order in which they are read.';
