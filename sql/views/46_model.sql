-- What the words mean now, and what was promised.

CREATE OR REPLACE VIEW leadflow.definitions_in_force WITH (security_invoker = true) AS
WITH model AS (
	SELECT
		m.*,
		a.by_marketing,
		a.by_sales,
		a.agreed_at
	FROM leadflow.scoring_models m
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
	1 AS position,
	NULL::timestamptz AS until_at
UNION ALL
SELECT
	'lead', s.label,
	concat_ws(' ', s.description, 'A contact that has not passed the gate of the scoring model.'),
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 2, NULL
FROM leadflow.stages s
WHERE s.name = 'lead'
UNION ALL
SELECT
	'mql', s.label,
	coalesce(leadflow._definition_text(m.id, 'mql'), 'No scoring model is in force: marketing makes MQLs by hand.'),
	m.activated_at,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_marketing, 'shipped') END,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_sales, 'shipped') END,
	m.agreed_at, m.id, m.name, m.version, NULL, 3, NULL
FROM leadflow.stages s
LEFT JOIN model m ON true
WHERE s.name = 'mql'
UNION ALL
SELECT
	'sql', s.label,
	coalesce(leadflow._definition_text(m.id, 'sql'), 'No scoring model is in force: marketing hands MQLs to sales by hand.'),
	m.activated_at,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_marketing, 'shipped') END,
	CASE WHEN m.id IS NOT NULL THEN coalesce(m.by_sales, 'shipped') END,
	m.agreed_at, m.id, m.name, m.version, NULL, 4, NULL
FROM leadflow.stages s
LEFT JOIN model m ON true
WHERE s.name = 'sql'
UNION ALL
SELECT
	'opportunity', s.label,
	concat_ws(' ', s.description, 'A lead becomes one when a deal of it is opened, wherever it stands.'),
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 5, NULL
FROM leadflow.stages s
WHERE s.name = 'opportunity'
UNION ALL
SELECT
	'service_level', p.name,
	leadflow._promise_text(p.id) || coalesce(' It never applies: "' || o.name || '" comes first.', '')
		-- what is counted a month is by the version of its first instant
		|| CASE
			WHEN p.metric NOT IN ('mql_volume', 'accepted_volume', 'acceptance_rate') OR p.valid @> n.month_start THEN ''
			WHEN p.valid @> n.next_month_start THEN ' It counts from the next month on.'
			ELSE ' It counts for no month.' END,
	CASE WHEN isfinite(lower(p.valid)) THEN lower(p.valid) END,
	coalesce(a.by_marketing, 'not agreed yet'),
	coalesce(a.by_sales, 'not agreed yet'),
	CASE WHEN num_nulls(a.by_marketing, a.by_sales) = 0 THEN a.agreed_at END,
	NULL, NULL, NULL, p.id, 6,
	CASE WHEN isfinite(upper(p.valid)) THEN upper(p.valid) END
FROM leadflow.sla_policies p
CROSS JOIN (
	SELECT
		m.month AT TIME ZONE g.time_zone AS month_start,
		(m.month + interval '1 month') AT TIME ZONE g.time_zone AS next_month_start
	FROM leadflow.settings g
	CROSS JOIN LATERAL (
		SELECT date_trunc('month', leadflow.now() AT TIME ZONE g.time_zone) AS month
	) m
) n
CROSS JOIN LATERAL (
	SELECT
		max(t.full_name) FILTER (WHERE s.team = 'marketing') AS by_marketing,
		max(t.full_name) FILTER (WHERE s.team = 'sales') AS by_sales,
		max(s.approved_at) AS agreed_at
	FROM leadflow.sla_approvals s
	JOIN leadflow.team_members t ON t.id = s.member_id
	WHERE s.policy_id = p.id
) a
LEFT JOIN LATERAL (
	-- of the same metric, asked before it, and holding wherever it does
	SELECT q.name
	FROM leadflow.sla_policies q
	WHERE q.metric = p.metric AND q.valid @> leadflow.now()
		AND (q.priority > p.priority OR (q.priority = p.priority AND q.id < p.id))
		AND (q.condition IS NULL OR q.condition::text = p.condition::text)
		-- each segment is counted
		AND p.metric NOT IN ('mql_volume', 'accepted_volume', 'acceptance_rate')
	ORDER BY q.priority DESC, q.id
	LIMIT 1
) o ON true
WHERE p.valid @> leadflow.now();
COMMENT ON VIEW leadflow.definitions_in_force IS 'One row a definition that holds at leadflow.now() (key: subject, and policy_id for service levels): what contact, lead, mql, sql and opportunity mean, in plain words, and each service level.';
COMMENT ON COLUMN leadflow.definitions_in_force.subject IS 'contact, lead, mql, sql, opportunity or service_level.';
COMMENT ON COLUMN leadflow.definitions_in_force.name IS 'The stage''s label, or the promise''s name.';
COMMENT ON COLUMN leadflow.definitions_in_force.definition IS 'What it means now, in plain words: as the teams wrote it, and what leadflow goes by; of a service level also whether another one always comes first, and of one that is counted a month from the next month on where this version began within this one.';
COMMENT ON COLUMN leadflow.definitions_in_force.since_at IS 'Since when it is in force: activation of the model, or beginning of the promise''s validity; NULL = ever since, or it was not recorded.';
COMMENT ON COLUMN leadflow.definitions_in_force.agreed_by_marketing IS 'Who approved it for marketing. Nobody: of a model "shipped" (it came with leadflow or was put in force around it), of a service level "not agreed yet" (it holds all the same); NULL = nothing that is agreed on.';
COMMENT ON COLUMN leadflow.definitions_in_force.agreed_by_sales IS 'Who approved it for sales; likewise.';
COMMENT ON COLUMN leadflow.definitions_in_force.agreed_at IS 'When the second of the two approved; NULL = they have not both.';
COMMENT ON COLUMN leadflow.definitions_in_force.model_id IS 'Scoring model (scoring_models.id) that says so; NULL = none does.';
COMMENT ON COLUMN leadflow.definitions_in_force.model IS 'Its name.';
COMMENT ON COLUMN leadflow.definitions_in_force.version IS 'Its version.';
COMMENT ON COLUMN leadflow.definitions_in_force.policy_id IS 'Promise (sla_policies.id); NULL = the row is no service level.';
COMMENT ON COLUMN leadflow.definitions_in_force.position IS 'Order in which they are read.';
COMMENT ON COLUMN leadflow.definitions_in_force.until_at IS 'When this version of the promise ends; NULL = no end, or the row is no service level.';
