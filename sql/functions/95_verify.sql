-- verify(): what is kept against what the written tables give.
--
-- The oracle is slow and obvious on purpose. It follows the definitions, shares nothing
-- with the engine but the tables, and is the second opinion that the engine is held to.
-- All are STABLE: one snapshot, no locks, good on a standby. TimeZone is pinned, so that
-- dates in conditions mean the same to everybody.
--
-- All take a range of leads, without bounds by default, and every statement is planned
-- for the range at hand: over a whole table it hashes and sorts, for a few leads it
-- follows their index entries. Nested loops are off, because over whole tables a misjudged one
-- costs hours where a hash join costs seconds; a lookup that must be one, because the table
-- is large and the range need not be, is a LATERAL subquery with OFFSET 0.

CREATE OR REPLACE FUNCTION leadflow._oracle_scores(at timestamptz, model_id bigint DEFAULT NULL,
	leads bigint[] DEFAULT NULL,
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (lead_id bigint, score double precision, fit double precision, engagement double precision,
	grade text, level integer, persona text, disqualified_reason text, magnitude double precision)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH model AS MATERIALIZED (
		SELECT m.id, m.max_score, m.grade_cutoffs AS cutoffs
		FROM leadflow.scoring_models m
		WHERE CASE WHEN $2 IS NULL THEN m.status = 'active' ELSE m.id = $2 END
	), doc AS MATERIALIZED (
		SELECT d.lead_id, d.doc
		FROM leadflow._lead_documents d
		WHERE d.lead_id BETWEEN $4 AND $5 AND ($3 IS NULL OR d.lead_id = ANY ($3))
	), activity AS MATERIALIZED (
		-- what the lead did, voided and later ones dropped
		SELECT a.lead_id, a.occurred_at, a.id, a.kind,
			jsonb_build_object('content', a.content, 'campaign', c.code, 'properties', a.properties) AS doc
		FROM leadflow.activities a
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'engagement'
		LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id
		WHERE a.voided_at IS NULL AND a.occurred_at <= $1
			AND a.lead_id BETWEEN $4 AND $5 AND ($3 IS NULL OR a.lead_id = ANY ($3))
	), matched AS (
		SELECT a.lead_id, a.occurred_at, a.id, r.id AS rule_id, r.group_id, r.points, r.max_count,
			extract(epoch FROM g.half_life)::double precision AS half_life,
			-- date_trunc fails at the beginning of time: its first 400 days are one bucket
			CASE WHEN r.per IS NOT NULL AND a.occurred_at > timestamptz '4714-11-24 00:00:00+00 BC' + interval '400 days'
				THEN date_trunc(r.per, a.occurred_at, s.time_zone) END AS bucket,
			CASE WHEN r.once_per IS NOT NULL THEN jsonb_path_query_first_tz(a.doc, r.once_per, '{}', true) END AS value
		FROM leadflow.scoring_rules r
		JOIN model ON model.id = r.model_id
		JOIN leadflow.scoring_groups g ON g.id = r.group_id AND g.axis = 'engagement'
		JOIN activity a ON a.kind = r.activity_kind
		CROSS JOIN leadflow.settings s
		WHERE r.active AND (r.condition IS NULL OR EXISTS (
			SELECT FROM jsonb_path_query_tz(a.doc, r.condition, '{}', true) item
			WHERE item NOT IN ('null', 'false')))
	), ranked AS (
		SELECT m.*, row_number() OVER (
			PARTITION BY m.lead_id, m.rule_id, m.bucket, m.value
			ORDER BY m.occurred_at DESC, m.id DESC) AS nth
		FROM matched m
	), contribution AS (
		-- 2^-1000 and less is nothing (and power() refuses to underflow)
		SELECT r.lead_id, r.group_id,
			CASE WHEN r.half_life IS NULL THEN r.points
				WHEN extract(epoch FROM $1 - r.occurred_at)::double precision / r.half_life > 1000 THEN 0
				ELSE r.points * power(2::double precision,
					-(extract(epoch FROM $1 - r.occurred_at)::double precision / r.half_life)) END AS points
		FROM ranked r
		WHERE r.max_count IS NULL OR r.nth <= r.max_count
	), group_sum AS (
		SELECT c.lead_id, c.group_id, sum(c.points) AS points, sum(abs(c.points)) AS magnitude
		FROM contribution c
		GROUP BY c.lead_id, c.group_id
	), engaged AS (
		SELECT d.lead_id,
			sum(greatest(g.min_points, least(g.max_points, coalesce(s.points, 0)))) AS points,
			sum(g.max_points) AS max_points,
			sum(s.magnitude) AS magnitude
		FROM doc d
		CROSS JOIN (
			SELECT g.* FROM leadflow.scoring_groups g JOIN model ON model.id = g.model_id WHERE g.axis = 'engagement'
		) g
		LEFT JOIN group_sum s ON s.lead_id = d.lead_id AND s.group_id = g.id
		GROUP BY d.lead_id
	), fit_group AS (
		SELECT g.min_points, g.max_points
		FROM leadflow.scoring_groups g
		JOIN model ON model.id = g.model_id
		WHERE g.axis = 'fit'
	), met_criterion AS (
		SELECT d.lead_id, c.persona_id, c.id, c.points
		FROM doc d
		CROSS JOIN (
			SELECT c.* FROM leadflow.persona_criteria c
			JOIN leadflow.personas p ON p.id = c.persona_id
			JOIN model ON model.id = p.model_id
		) c
		WHERE EXISTS (
			SELECT FROM jsonb_path_query_tz(d.doc, c.condition, '{}', true) item
			WHERE item NOT IN ('null', 'false'))
	), persona_sum AS (
		SELECT c.lead_id, c.persona_id, sum(c.points ORDER BY c.id) AS points, sum(abs(c.points)) AS magnitude
		FROM met_criterion c
		GROUP BY c.lead_id, c.persona_id
	), best_persona AS (
		-- a persona without a matching criterion takes part with 0 points
		SELECT DISTINCT ON (d.lead_id)
			d.lead_id,
			coalesce(s.points, 0) AS points,
			s.magnitude,
			CASE WHEN s.points IS NOT NULL THEN p.name END AS name
		FROM doc d
		CROSS JOIN (SELECT p.* FROM leadflow.personas p JOIN model ON model.id = p.model_id) p
		LEFT JOIN fit_group f ON true
		LEFT JOIN persona_sum s ON s.lead_id = d.lead_id AND s.persona_id = p.id
		ORDER BY d.lead_id,
			greatest(f.min_points, least(f.max_points, coalesce(s.points, 0))) DESC,
			p.id
	), lead_disqualified AS (
		SELECT DISTINCT ON (d.lead_id) d.lead_id, q.reason
		FROM doc d
		CROSS JOIN (
			SELECT q.* FROM leadflow.disqualifiers q JOIN model ON model.id = q.model_id WHERE q.on_entity = 'lead'
		) q
		WHERE EXISTS (
			SELECT FROM jsonb_path_query_tz(d.doc, q.condition, '{}', true) item
			WHERE item NOT IN ('null', 'false'))
		ORDER BY d.lead_id, q.id
	), activity_disqualified AS (
		SELECT DISTINCT ON (a.lead_id) a.lead_id, q.reason
		FROM activity a
		CROSS JOIN (
			SELECT q.* FROM leadflow.disqualifiers q JOIN model ON model.id = q.model_id WHERE q.on_entity = 'activity'
		) q
		WHERE EXISTS (
			SELECT FROM jsonb_path_query_tz(a.doc, q.condition, '{}', true) item
			WHERE item NOT IN ('null', 'false'))
		ORDER BY a.lead_id, a.occurred_at, q.id
	), result AS (
		SELECT
			d.lead_id,
			CASE WHEN f.min_points IS NOT NULL
				THEN greatest(f.min_points, least(f.max_points, coalesce(b.points, 0))) ELSE 0 END AS fit,
			coalesce(e.points, 0) AS engagement,
			f.max_points AS fit_max,
			e.max_points AS engagement_max,
			b.name AS persona,
			coalesce(l.reason, a.reason) AS disqualified_reason,
			coalesce(b.magnitude, 0) + coalesce(e.magnitude, 0) AS magnitude
		FROM doc d
		LEFT JOIN fit_group f ON true
		LEFT JOIN engaged e ON e.lead_id = d.lead_id
		LEFT JOIN best_persona b ON b.lead_id = d.lead_id
		LEFT JOIN lead_disqualified l ON l.lead_id = d.lead_id
		LEFT JOIN activity_disqualified a ON a.lead_id = d.lead_id
	)
	SELECT
		r.lead_id,
		CASE WHEN r.disqualified_reason IS NOT NULL THEN 0
			ELSE greatest(0, least(m.max_score, r.fit + r.engagement)) END,
		r.fit,
		r.engagement,
		CASE
			WHEN r.fit_max IS NULL THEN NULL
			WHEN r.fit_max <= 0 THEN 'D'
			WHEN r.fit / r.fit_max >= m.cutoffs[1] THEN 'A'
			WHEN r.fit / r.fit_max >= m.cutoffs[2] THEN 'B'
			WHEN r.fit / r.fit_max >= m.cutoffs[3] THEN 'C'
			ELSE 'D'
		END,
		CASE
			WHEN coalesce(r.engagement_max, 0) <= 0 THEN 4
			WHEN r.engagement / r.engagement_max >= m.cutoffs[1] THEN 1
			WHEN r.engagement / r.engagement_max >= m.cutoffs[2] THEN 2
			WHEN r.engagement / r.engagement_max >= m.cutoffs[3] THEN 3
			ELSE 4
		END,
		r.persona,
		r.disqualified_reason,
		r.magnitude
	FROM result r
	CROSS JOIN model m;
END
$$;
COMMENT ON FUNCTION leadflow._oracle_scores(timestamptz, bigint, bigint[], bigint, bigint) IS
	'Score of every lead (or of those given, or of those from one id to another) at an instant with a model (default: the active one), computed from the written tables alone; magnitude = sum of the absolute contributions, points. No rows without a model. Reads all activities of these leads.';

CREATE OR REPLACE FUNCTION leadflow._verify_scores(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'scores',
		coalesce(o.lead_id, v.lead_id)::text,
		CASE WHEN v.lead_id IS NOT NULL
			THEN format('score %s, fit %s, engagement %s, grade %s, persona %s, disqualified %s', v.score, v.fit,
				v.engagement, coalesce(v.grade, '-'), coalesce(v.persona, '-'), coalesce(v.disqualified_reason, '-')) END,
		CASE WHEN o.lead_id IS NOT NULL
			THEN format('score %s, fit %s, engagement %s, grade %s, persona %s, disqualified %s', o.score, o.fit,
				o.engagement, coalesce(o.grade, '-'), coalesce(o.persona, '-'), coalesce(o.disqualified_reason, '-')) END,
		coalesce(o.lead_id, v.lead_id),
		NULL::bigint
	FROM leadflow._oracle_scores(leadflow.now(), NULL, NULL, $1, $2) o
	FULL JOIN (SELECT * FROM leadflow.lead_scores v WHERE v.lead_id BETWEEN $1 AND $2) v ON v.lead_id = o.lead_id
	WHERE EXISTS (SELECT FROM leadflow.scoring_models m WHERE m.status = 'active')
		AND ((abs(v.score - o.score) <= 1e-9 * greatest(1, o.magnitude)
			AND abs(v.fit - o.fit) <= 1e-9 * greatest(1, o.magnitude)
			AND abs(v.engagement - o.engagement) <= 1e-9 * greatest(1, o.magnitude)
			AND v.grade IS NOT DISTINCT FROM o.grade
			AND v.persona IS NOT DISTINCT FROM o.persona
			AND v.disqualified_reason IS NOT DISTINCT FROM o.disqualified_reason) IS NOT TRUE)
	UNION ALL
	-- two more instants: before what was seen last, and after it
	SELECT 'scores_at', format('%s at %s', o.lead_id, i.at), k.score::text, o.score::text, o.lead_id, NULL
	FROM (VALUES (-10), (10)) d (days)
	CROSS JOIN LATERAL (SELECT leadflow.now() + make_interval(hours => 24 * d.days) AS at) i
	CROSS JOIN LATERAL leadflow._oracle_scores(i.at, NULL, ARRAY(
		SELECT l.id FROM leadflow.leads l WHERE l.id BETWEEN $1 AND $2 ORDER BY hashint8(l.id), l.id LIMIT 200)) o
	CROSS JOIN LATERAL (SELECT leadflow.score(o.lead_id, i.at) AS score) k
	WHERE (abs(k.score - o.score) <= 1e-9 * greatest(1, o.magnitude)) IS NOT TRUE;
END
$$;
COMMENT ON FUNCTION leadflow._verify_scores(bigint, bigint) IS
	'verify(): lead_scores of every lead of the range now, and score() of 200 of them ten days ago and in ten days, against the activities and the active model.';

-- The one check that is not plain SQL: what limits keep is the engine's own coding, so the
-- engine is asked to make it anew from the activities.
CREATE OR REPLACE FUNCTION leadflow._limits_damaged(from_lead bigint, to_lead bigint) RETURNS SETOF bigint
	AS 'MODULE_PATHNAME', 'leadflow_limits_damaged'
	LANGUAGE C STRICT STABLE;
COMMENT ON FUNCTION leadflow._limits_damaged(bigint, bigint) IS
	'Leads of the range whose score_state.limits cannot be read, or names other activities than those that count now under the limits of the active model; NULL there, and rules that are not kept, are fine. Reads all activities of the range, by the snapshot of the statement.';

CREATE OR REPLACE FUNCTION leadflow._verify_score_state(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'score_state',
		coalesce(l.id, s.lead_id)::text,
		CASE WHEN s.lead_id IS NOT NULL THEN 'a row' ELSE 'no row' END,
		CASE WHEN l.id IS NOT NULL THEN 'a row' ELSE 'no such lead' END,
		coalesce(l.id, s.lead_id),
		NULL::bigint
	FROM (SELECT l.id FROM leadflow.leads l WHERE l.id BETWEEN $1 AND $2) l
	FULL JOIN (SELECT s.lead_id FROM leadflow.score_state s WHERE s.lead_id BETWEEN $1 AND $2) s ON s.lead_id = l.id
	WHERE l.id IS NULL OR s.lead_id IS NULL
	UNION ALL
	SELECT
		'score_state_model',
		s.lead_id::text,
		coalesce(s.model_id::text, 'no model'),
		coalesce(m.id::text, 'no model'),
		s.lead_id,
		NULL
	FROM leadflow.score_state s
	LEFT JOIN leadflow.scoring_models m ON m.status = 'active'
	WHERE s.lead_id BETWEEN $1 AND $2 AND s.model_id IS DISTINCT FROM m.id
	UNION ALL
	-- from the sums, which lead_scores are held against
	SELECT
		'heat',
		s.lead_id::text,
		s.heat::text,
		h.heat::text,
		s.lead_id,
		NULL
	FROM leadflow.score_state s
	LEFT JOIN (
		SELECT g.model_id, min((extract(epoch FROM g.half_life) * 1000000)::bigint) AS half_life
		FROM leadflow.scoring_groups g
		JOIN leadflow.scoring_models m ON m.id = g.model_id AND m.status = 'active'
		WHERE g.axis = 'engagement'
		GROUP BY g.model_id
		HAVING count(*) = 1
	) g ON g.model_id = s.model_id
	CROSS JOIN LATERAL (
		SELECT CASE WHEN isfinite(s.last_at)
			THEN (extract(epoch FROM s.last_at - timestamptz '2000-01-01Z') * 1000000)::bigint END AS last_at
	) t
	CROSS JOIN LATERAL (
		SELECT CASE WHEN s.sums[1] > 0 THEN ln(s.sums[1]) / ln(2::double precision)
			+ t.last_at / g.half_life - (t.last_at % g.half_life < 0)::integer END AS heat
	) h
	WHERE s.lead_id BETWEEN $1 AND $2
		AND ((s.heat IS NULL) <> (h.heat IS NULL) OR abs(s.heat - h.heat) > 1e-9 * greatest(1, abs(h.heat)))
	UNION ALL
	SELECT
		'last_activity',
		s.lead_id::text,
		format('engaged %s, touched %s', coalesce(s.last_engaged_at::text, '-'), coalesce(s.last_touch_at::text, '-')),
		format('engaged %s, touched %s', coalesce(a.engaged_at::text, '-'), coalesce(a.touched_at::text, '-')),
		s.lead_id,
		NULL
	FROM leadflow.score_state s
	LEFT JOIN (
		SELECT
			a.lead_id,
			max(a.occurred_at) FILTER (WHERE k.role = 'engagement') AS engaged_at,
			max(a.occurred_at) FILTER (WHERE k.role = 'sales_touch') AS touched_at
		FROM leadflow.activities a
		JOIN leadflow.activity_kinds k ON k.kind = a.kind
		WHERE a.voided_at IS NULL AND a.lead_id BETWEEN $1 AND $2
		GROUP BY a.lead_id
	) a ON a.lead_id = s.lead_id
	WHERE s.lead_id BETWEEN $1 AND $2
		AND (s.last_engaged_at IS DISTINCT FROM a.engaged_at OR s.last_touch_at IS DISTINCT FROM a.touched_at)
	UNION ALL
	SELECT
		'limits',
		s.lead_id::text,
		octet_length(s.limits) || ' bytes',
		'other entries',
		s.lead_id,
		NULL
	FROM leadflow._limits_damaged($1, $2) d (lead_id)
	JOIN leadflow.score_state s ON s.lead_id = d.lead_id AND s.lead_id BETWEEN $1 AND $2
	UNION ALL
	SELECT
		'watch',
		s.lead_id::text,
		(s.watch & 55)::text,
		w.watch::text,
		s.lead_id,
		NULL
	FROM leadflow.score_state s
	JOIN leadflow.leads l ON l.id = s.lead_id AND l.id BETWEEN $1 AND $2
	LEFT JOIN (
		SELECT h.lead_id FROM leadflow.handoffs h WHERE h.lead_id BETWEEN $1 AND $2
		UNION
		SELECT k.lead_id FROM leadflow.sla_clocks k WHERE k.lead_id BETWEEN $1 AND $2 AND k.metric = 'next_response'
	) h ON h.lead_id = s.lead_id
	LEFT JOIN (
		-- won deals, and those that another deal corrects
		SELECT d.lead_id FROM leadflow.deals d
		WHERE d.lead_id BETWEEN $1 AND $2 AND (d.status = 'won'
			OR EXISTS (SELECT FROM leadflow.deals x WHERE x.corrects_deal_id = d.id))
		UNION
		SELECT c.lead_id FROM leadflow.deal_contacts c
		CROSS JOIN LATERAL (SELECT d.id, d.status FROM leadflow.deals d WHERE d.id = c.deal_id OFFSET 0) d
		WHERE c.lead_id BETWEEN $1 AND $2 AND (d.status = 'won'
			OR EXISTS (SELECT FROM leadflow.deals x WHERE x.corrects_deal_id = d.id))
	) w4 ON w4.lead_id = s.lead_id
	LEFT JOIN leadflow.accounts a ON a.id = l.account_id
	CROSS JOIN LATERAL (
		-- 32 stays when the owner goes, 2 when what expected a reply does, 4 with contacts of deals that are deleted
		SELECT CASE WHEN l.stage IN ('lead', 'nurture') THEN 1 ELSE 0 END
			+ CASE WHEN h.lead_id IS NOT NULL THEN 2 ELSE s.watch & 2 END
			+ CASE WHEN w4.lead_id IS NOT NULL THEN 4 ELSE s.watch & 4 END
			+ CASE WHEN l.stage = 'mql' THEN 16 ELSE 0 END
			+ CASE WHEN l.owner_id IS NOT NULL OR a.status = 'customer' THEN 32 ELSE s.watch & 32 END AS watch
	) w
	WHERE s.lead_id BETWEEN $1 AND $2 AND s.watch & 55 <> w.watch;
END
$$;
COMMENT ON FUNCTION leadflow._verify_score_state(bigint, bigint) IS
	'verify(): one score_state row a lead, its model, its heat, its latest engagement and sales touch, what it keeps of limits, and its watch bits 1, 2, 4, 16 and 32.';

CREATE OR REPLACE FUNCTION leadflow._verify_notifications(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'notifications',
		format('%s of lead %s', n.id, n.lead_id),
		'there',
		'its lead is gone',
		n.lead_id,
		NULL::bigint
	FROM leadflow.notifications n
	LEFT JOIN leadflow.leads l ON l.id = n.lead_id AND l.id BETWEEN $1 AND $2
	WHERE n.lead_id BETWEEN $1 AND $2 AND l.id IS NULL
	UNION ALL
	SELECT
		'notifications_once',
		format('%s of lead %s', n.event, n.lead_id),
		count(*) || ' undelivered',
		'at most 1',
		n.lead_id,
		NULL
	FROM leadflow.notifications n
	WHERE n.event = 'lead.active_again' AND n.delivered_at IS NULL AND n.dead_at IS NULL
		AND n.lead_id BETWEEN $1 AND $2
	GROUP BY n.lead_id, n.event, n.subscription_id
	HAVING count(*) > 1;
END
$$;
COMMENT ON FUNCTION leadflow._verify_notifications(bigint, bigint) IS
	'verify(): notifications are about leads that there are, and of lead.active_again at most one is undelivered a lead and subscription.';

CREATE OR REPLACE FUNCTION leadflow._verify_history(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH history AS (
		SELECT
			h.*,
			lag(h.to_stage) OVER chain AS came_from,
			lead(h.entered_at) OVER chain AS next_at,
			lead(h.id) OVER chain IS NULL AS is_last,
			max(h.entered_at) OVER (PARTITION BY h.lead_id, h.merged_from ORDER BY h.id) AS latest_so_far
		FROM leadflow.stage_history h
		WHERE h.lead_id BETWEEN $1 AND $2
		-- the history of each duplicate that was merged is one of its own
		WINDOW chain AS (PARTITION BY h.lead_id, h.merged_from ORDER BY h.entered_at, h.id)
	)
	SELECT
		'stage_history',
		format('%s of lead %s', h.id, h.lead_id),
		format('from %s, left %s', coalesce(h.from_stage, '-'), coalesce(h.left_at::text, '-')),
		format('from %s, left %s', coalesce(h.came_from, '-'),
			coalesce(h.next_at::text, CASE WHEN h.merged_from IS NOT NULL THEN 'when it was merged' END, '-')),
		h.lead_id,
		NULL::bigint
	FROM history h
	WHERE h.from_stage IS DISTINCT FROM h.came_from
		-- a duplicate's last stage was left when it was merged
		OR CASE WHEN h.merged_from IS NOT NULL AND h.is_last THEN (h.left_at >= h.entered_at) IS NOT TRUE
			ELSE h.left_at IS DISTINCT FROM h.next_at END
	UNION ALL
	SELECT
		'stage_history_order',
		format('%s of lead %s', h.id, h.lead_id),
		h.entered_at::text,
		'not before ' || h.latest_so_far,
		h.lead_id,
		NULL
	FROM history h
	WHERE h.entered_at < h.latest_so_far
	UNION ALL
	SELECT
		'stage',
		coalesce(l.id, h.lead_id)::text,
		CASE WHEN l.id IS NULL THEN 'no such lead' ELSE format('%s since %s', l.stage, l.stage_since) END,
		CASE WHEN h.lead_id IS NULL THEN 'no history' ELSE format('%s since %s', h.to_stage, h.entered_at) END,
		coalesce(l.id, h.lead_id),
		NULL
	FROM (SELECT l.id, l.stage, l.stage_since FROM leadflow.leads l WHERE l.id BETWEEN $1 AND $2) l
	FULL JOIN (SELECT * FROM history h WHERE h.is_last AND h.merged_from IS NULL) h ON h.lead_id = l.id
	WHERE h.to_stage IS DISTINCT FROM l.stage OR h.entered_at IS DISTINCT FROM l.stage_since
	UNION ALL
	-- leads that were merged have the cycles of both in their history
	SELECT
		'cycle',
		s.lead_id::text,
		format('%s since %s', s.cycle, coalesce(s.cycle_since::text, '-')),
		format('%s since %s', c.cycle, coalesce(c.since::text, '-')),
		s.lead_id,
		NULL
	FROM leadflow.score_state s
	JOIN (
		SELECT h.lead_id, h.cycle, CASE WHEN h.cycle > 1 THEN min(h.entered_at) END AS since,
			row_number() OVER (PARTITION BY h.lead_id ORDER BY h.cycle DESC) AS nth,
			sum(count(h.merged_from)) OVER (PARTITION BY h.lead_id) AS merged
		FROM history h
		GROUP BY h.lead_id, h.cycle
	) c ON c.lead_id = s.lead_id AND c.nth = 1 AND c.merged = 0
	WHERE s.lead_id BETWEEN $1 AND $2 AND (s.cycle, s.cycle_since) IS DISTINCT FROM (c.cycle, c.since);
END
$$;
COMMENT ON FUNCTION leadflow._verify_history(bigint, bigint) IS
	'verify(): the history of each lead is a chain that ends in leads.stage and stage_since, and the present cycle is its last; that of each duplicate merged into it is one that has ended.';

-- What became of each time a lead was given to sales. Stages of category handoff are
-- sales' to decide on; those and category sales are in sales' hands. A stage that was
-- deleted is in nobody's.
CREATE OR REPLACE FUNCTION leadflow._oracle_offers(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (lead_id bigint, entered_at timestamptz, history_id bigint, nth bigint, imported boolean,
	decided_at timestamptz, decision text, decided boolean, left_sales_at timestamptz, merged_from bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH history AS (
		SELECT
			h.lead_id, h.merged_from, h.entered_at, h.id, h.from_stage, h.to_stage, h.team,
			coalesce(g.category, 'out') AS category,
			coalesce(lag(g.category) OVER (PARTITION BY h.lead_id, h.merged_from ORDER BY h.entered_at, h.id), 'out')
				AS came_from,
			-- when a duplicate was merged
			CASE WHEN h.merged_from IS NOT NULL
				THEN max(h.left_at) OVER (PARTITION BY h.lead_id, h.merged_from) END AS merged_at
		FROM leadflow.stage_history h
		LEFT JOIN leadflow.stages g ON g.name = h.to_stage
		WHERE h.lead_id BETWEEN $1 AND $2
	), outlook AS (
		SELECT
			h.*,
			-- the next move out of category handoff
			min(h.entered_at) FILTER (WHERE h.category <> 'handoff') OVER later AS decided_at,
			(array_agg(h.to_stage) FILTER (WHERE h.category <> 'handoff') OVER later)[1] AS decision,
			-- marketing or the engine taking it back is no decision of sales
			(array_agg(h.category <> 'marketing' OR h.team IN ('sales', 'leadership'))
				FILTER (WHERE h.category <> 'handoff') OVER later)[1] AS decided,
			-- the next move out of sales' hands, or to them anew
			min(h.entered_at) FILTER (WHERE h.category NOT IN ('handoff', 'sales')
				OR (h.category = 'handoff' AND h.came_from <> 'handoff')) OVER later AS left_sales_at
		FROM history h
		WINDOW later AS (PARTITION BY h.lead_id, h.merged_from ORDER BY h.entered_at, h.id
			ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
	)
	SELECT
		h.lead_id, h.entered_at, h.id,
		row_number() OVER (PARTITION BY h.lead_id, h.merged_from, h.entered_at ORDER BY h.id),
		h.from_stage IS NULL,
		coalesce(h.decided_at, h.merged_at),
		CASE WHEN h.decided_at IS NULL AND h.merged_at IS NOT NULL THEN 'merged' ELSE h.decision END,
		CASE WHEN h.decided_at IS NULL AND h.merged_at IS NOT NULL THEN false ELSE h.decided END,
		coalesce(h.left_sales_at, h.merged_at),
		h.merged_from
	FROM outlook h
	WHERE h.category = 'handoff' AND h.came_from <> 'handoff';
END
$$;
COMMENT ON FUNCTION leadflow._oracle_offers(bigint, bigint) IS
	'Each entry of a lead into a stage of category handoff, from stage_history: when it left the category, where to, whether that was a decision (not marketing or the engine taking it back), and when it left sales'' hands (categories handoff and sales, or was handed off anew); in the history of a duplicate that was merged (merged_from), the merge ends what was not ended. nth counts those of one history at one instant.';

CREATE OR REPLACE FUNCTION leadflow._verify_handoffs(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH offer AS MATERIALIZED (
		SELECT * FROM leadflow._oracle_offers($1, $2)
	), numbered AS (
		SELECT
			h.*,
			-- a new owner of a lead that sales has already makes a row, too
			leadflow._was_passed_on(h.why) AS passed_on,
			row_number() OVER (PARTITION BY h.lead_id, h.merged_from, h.offered_at, leadflow._was_passed_on(h.why)
				ORDER BY h.id) AS nth,
			count(*) FILTER (WHERE NOT leadflow._was_passed_on(h.why)) OVER later AS offers,
			lead(h.offered_at) OVER later AS next_at,
			lead(h.why) OVER later AS next_why,
			-- a touch belongs to the last hand-off before it, whose history that is in
			lead(h.offered_at) OVER (PARTITION BY h.lead_id ORDER BY h.offered_at, h.id) AS touched_until
		FROM leadflow.handoffs h
		WHERE h.lead_id BETWEEN $1 AND $2
		WINDOW later AS (PARTITION BY h.lead_id, h.merged_from ORDER BY h.offered_at, h.id)
	), handoff AS MATERIALIZED (
		SELECT
			h.*,
			-- when the lead was given to sales before it was passed on
			max(h.offered_at) FILTER (WHERE NOT h.passed_on) OVER stay AS given_at,
			max(h.nth) FILTER (WHERE NOT h.passed_on) OVER stay AS given_nth
		FROM numbered h
		WINDOW stay AS (PARTITION BY h.lead_id, h.merged_from, h.offers)
	), stage_of AS (
		-- the stages in which it had been when it was passed on: moves that were dated back
		-- since then hide which was the last
		SELECT h.id, array_agg(s.to_stage ORDER BY s.entered_at DESC, s.id DESC) AS stages
		FROM handoff h
		JOIN leadflow.stage_history s ON s.lead_id = h.lead_id AND s.entered_at <= h.offered_at
			AND s.merged_from IS NOT DISTINCT FROM h.merged_from
		WHERE h.passed_on AND s.lead_id BETWEEN $1 AND $2
		GROUP BY h.id
	), decided AS (
		SELECT h.id, h.lead_id, h.decided_at, h.decision,
			-- a deal may be dated before the lead was somebody's
			CASE e.how WHEN 'passed on' THEN h.next_at WHEN 'decided before' THEN greatest(h.offered_at, h.assigned_at)
				WHEN 'decided' THEN CASE WHEN o.decided_at IS NOT NULL THEN greatest(o.decided_at, h.assigned_at) END
				END AS decided_at_now,
			CASE e.how WHEN 'passed on' THEN h.next_why
				WHEN 'decided before' THEN
					CASE WHEN h.decision = ANY (s.stages) THEN h.decision ELSE s.stages[1] END
				ELSE o.decision END AS decision_now
		FROM handoff h
		LEFT JOIN offer o ON o.lead_id = h.lead_id AND o.entered_at = h.given_at AND o.nth = h.given_nth
			AND o.merged_from IS NOT DISTINCT FROM h.merged_from
		LEFT JOIN stage_of s ON s.id = h.id
		CROSS JOIN LATERAL (
			SELECT CASE
				-- at one instant either may have come first, and a decision may have been dated back since
				WHEN leadflow._was_passed_on(h.next_why) AND h.decision = h.next_why THEN 'passed on'
				WHEN h.passed_on AND (o.lead_id IS NULL OR o.decided_at < h.offered_at
					-- at one instant it was passed on before it was merged
					OR (o.decided_at = h.offered_at AND h.decision IS DISTINCT FROM 'merged')) THEN 'decided before'
				WHEN leadflow._was_passed_on(h.next_why)
					AND (o.decided_at IS NULL OR h.next_at < o.decided_at) THEN 'passed on'
				ELSE 'decided'
			END AS how
		) e
	), touched AS (
		SELECT h.id, min(a.occurred_at) AS first_touch_at, count(*) AS touches
		FROM handoff h
		JOIN leadflow.activities a ON a.lead_id = h.lead_id
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'sales_touch'
		WHERE a.lead_id BETWEEN $1 AND $2 AND a.voided_at IS NULL AND a.occurred_at >= h.offered_at
			AND (h.touched_until IS NULL OR a.occurred_at < h.touched_until)
		GROUP BY h.id
	)
	SELECT
		'handoffs',
		format('lead %s at %s', o.lead_id, o.entered_at),
		'no row',
		'a row',
		o.lead_id,
		NULL::bigint
	FROM offer o
	LEFT JOIN handoff h ON h.lead_id = o.lead_id AND h.offered_at = o.entered_at AND h.nth = o.nth AND NOT h.passed_on
		AND h.merged_from IS NOT DISTINCT FROM o.merged_from
	WHERE h.id IS NULL AND NOT o.imported
	UNION ALL
	SELECT
		'handoff_touches',
		format('%s of lead %s', h.id, h.lead_id),
		format('%s, first %s', h.touches, coalesce(h.first_touch_at::text, '-')),
		format('%s, first %s', coalesce(t.touches, 0), coalesce(t.first_touch_at::text, '-')),
		h.lead_id,
		NULL
	FROM handoff h
	LEFT JOIN touched t ON t.id = h.id
	WHERE h.touches <> coalesce(t.touches, 0) OR h.first_touch_at IS DISTINCT FROM t.first_touch_at
	UNION ALL
	SELECT
		'handoff_decision',
		format('%s of lead %s', h.id, h.lead_id),
		format('%s at %s', coalesce(h.decision, '-'), coalesce(h.decided_at::text, '-')),
		format('%s at %s', coalesce(h.decision_now, '-'), coalesce(h.decided_at_now::text, '-')),
		h.lead_id,
		NULL
	FROM decided h
	WHERE h.decided_at IS DISTINCT FROM h.decided_at_now OR h.decision IS DISTINCT FROM h.decision_now;
END
$$;
COMMENT ON FUNCTION leadflow._verify_handoffs(bigint, bigint) IS
	'verify(): each time a lead was given to sales has its handoffs row, with its decision and its sales touches.';

-- Whose an offered lead is, twice written; and what queues remember of turns.
CREATE OR REPLACE FUNCTION leadflow._verify_routing(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'handoff_owner',
		format('%s of lead %s', h.id, h.lead_id),
		coalesce('member ' || h.owner_id, 'nobody'),
		coalesce('member ' || l.owner_id, 'nobody'),
		h.lead_id,
		NULL::bigint
	FROM leadflow.handoffs h
	JOIN leadflow.leads l ON l.id = h.lead_id
	JOIN leadflow.stages s ON s.name = l.stage AND s.category = 'handoff'
	WHERE h.lead_id BETWEEN $1 AND $2 AND h.decided_at IS NULL AND h.owner_id IS DISTINCT FROM l.owner_id
	UNION ALL
	-- nobody is due more than a lead, or had more than one in advance
	SELECT
		'queue_state',
		format('member %s of queue %s', m.member_id, q.queue_id),
		format('%s of %s', m.credit, q.total),
		'less than a lead',
		NULL,
		NULL
	FROM leadflow.queue_state q
	CROSS JOIN LATERAL unnest(q.members, q.credits) m (member_id, credit)
	WHERE abs(m.credit) > q.total AND $1 = '-9223372036854775808' AND $2 = 9223372036854775807;
END
$$;
COMMENT ON FUNCTION leadflow._verify_routing(bigint, bigint) IS
	'verify(): the open hand-off of a lead has the lead''s owner; no member of a queue is a whole lead ahead or behind (without bounds only).';

-- What leads asked and when they were answered. Whatever expects a reply waits for the first
-- answer at or after it, or for the lead to leave; all that wait for the same are an episode.
CREATE OR REPLACE FUNCTION leadflow._oracle_episodes(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807,
	timed boolean DEFAULT false)
RETURNS TABLE (lead_id bigint, activity_id uuid, started_at timestamptz, stopped_at timestamptz, answered boolean)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH event AS (
		SELECT a.lead_id, a.occurred_at AS at, a.id,
			k.expects_reply AND (NOT $3 OR c.activity_id = a.id OR (a.occurred_at > f.since AND EXISTS (
				SELECT FROM leadflow.sla_policies p WHERE p.metric = 'next_response' AND p.valid @> a.occurred_at))) AS asks,
			k.role = 'sales_touch' OR (k.two_way AND NOT k.expects_reply) AS answers, false AS leaves
		FROM leadflow.activities a
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND (k.expects_reply OR k.two_way OR k.role = 'sales_touch')
		LEFT JOIN (
			SELECT c.lead_id, c.activity_id FROM leadflow.sla_clocks c
			WHERE c.lead_id BETWEEN $1 AND $2 AND c.metric = 'next_response'
		) c ON c.lead_id = a.lead_id AND c.activity_id = a.id
		LEFT JOIN (
			SELECT c.lead_id, min(c.started_at) AS since FROM leadflow.sla_clocks c
			WHERE c.lead_id BETWEEN $1 AND $2 AND c.metric = 'next_response' GROUP BY c.lead_id
		) f ON f.lead_id = a.lead_id
		WHERE a.voided_at IS NULL AND a.lead_id BETWEEN $1 AND $2
		UNION ALL
		SELECT h.lead_id, h.entered_at, NULL, false, false, true
		FROM leadflow.stage_history h
		JOIN leadflow.stages g ON g.name = h.to_stage
		LEFT JOIN leadflow.stages f ON f.name = h.from_stage
		WHERE h.lead_id BETWEEN $1 AND $2 AND h.merged_from IS NULL AND (g.category IN ('recycle', 'lost', 'out')
			-- or out of sales' hands
			OR (f.category IN ('handoff', 'sales') AND g.category = 'marketing'))
	), outlook AS (
		SELECT
			e.lead_id, e.at, e.id, e.asks,
			min(e.at) FILTER (WHERE e.answers OR e.leaves) OVER from_now_on AS stopped_at,
			min(e.at) FILTER (WHERE e.answers) OVER from_now_on AS answered_at
		FROM event e
		WINDOW from_now_on AS (PARTITION BY e.lead_id ORDER BY e.at DESC RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
	)
	SELECT DISTINCT ON (o.lead_id, o.stopped_at) o.lead_id, o.id, o.at, o.stopped_at, o.answered_at IS NOT DISTINCT FROM o.stopped_at
	FROM outlook o
	WHERE o.asks
	ORDER BY o.lead_id, o.stopped_at, o.at, o.id;
END
$$;
COMMENT ON FUNCTION leadflow._oracle_episodes(bigint, bigint, boolean) IS
	'Episodes of next_response: the oldest activity that nobody has answered, and when somebody did (answered) or the lead left sales'' hands or play; stopped_at NULL = it waits. Whether a clock was started for it depends on the policies of then. timed: only from the first that has a clock on, and what came while nothing was promised doesn''t count.';

-- Who had the lead while it was in sales' hands, by the hand-offs.
CREATE OR REPLACE FUNCTION leadflow._oracle_tenures(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (lead_id bigint, merged_from bigint, member_id bigint, since timestamptz, until timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH handoff AS (
		SELECT
			h.lead_id, h.merged_from, h.id, h.owner_id, h.offered_at, h.assigned_at,
			lead(h.offered_at) OVER (PARTITION BY h.lead_id, h.merged_from ORDER BY h.offered_at, h.id) AS next_at
		FROM leadflow.handoffs h
		WHERE h.lead_id BETWEEN $1 AND $2
	), elsewhere AS (
		-- but for what was passed through at one instant
		SELECT h.lead_id, h.merged_from, h.entered_at
		FROM leadflow.stage_history h
		LEFT JOIN leadflow.stages g ON g.name = h.to_stage
		WHERE h.lead_id BETWEEN $1 AND $2 AND h.left_at IS DISTINCT FROM h.entered_at
			AND coalesce(g.category, 'out') NOT IN ('handoff', 'sales')
	), given AS (
		SELECT h.lead_id, h.merged_from, h.id, h.owner_id, h.offered_at, h.assigned_at, least(h.next_at, min(e.entered_at)) AS until
		FROM handoff h
		LEFT JOIN elsewhere e ON e.lead_id = h.lead_id AND e.merged_from IS NOT DISTINCT FROM h.merged_from AND e.entered_at >= h.offered_at
		GROUP BY h.lead_id, h.merged_from, h.id, h.owner_id, h.offered_at, h.assigned_at, h.next_at
	)
	-- it waited in a queue
	SELECT g.lead_id, g.merged_from, NULL, g.offered_at, least(g.assigned_at, g.until)
	FROM given g
	WHERE g.assigned_at IS DISTINCT FROM g.offered_at
	UNION ALL
	SELECT g.lead_id, g.merged_from, g.owner_id, g.assigned_at, g.until
	FROM given g
	WHERE g.assigned_at <= g.until OR (g.until IS NULL AND g.assigned_at IS NOT NULL);
END
$$;
COMMENT ON FUNCTION leadflow._oracle_tenures(bigint, bigint) IS
	'Who had each lead when, while it was in sales'' hands: from each hand-off until the next or until the lead left (until NULL: still; member_id NULL: it waited in a queue). merged_from: in the history of a duplicate.';

-- In whose history each clock ran when: of the lead (NULL), or of a duplicate.
CREATE OR REPLACE FUNCTION leadflow._oracle_legs(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (clock_id bigint, lead_id bigint, merged_from bigint, during tstzrange)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
	WITH merged AS (
		SELECT h.lead_id, h.merged_from, max(h.left_at) AS at
		FROM leadflow.stage_history h
		WHERE h.lead_id BETWEEN $1 AND $2 AND h.merged_from IS NOT NULL
		GROUP BY h.lead_id, h.merged_from
	), leg AS (
		SELECT c.id, c.lead_id, nullif(c.ran_in[n.nth], 0) AS merged_from, n.nth
		FROM leadflow.sla_clocks c
		CROSS JOIN LATERAL generate_subscripts(c.ran_in, 1) n (nth)
		WHERE c.lead_id BETWEEN $1 AND $2 AND c.ran_in IS NOT NULL
	), ended AS (
		SELECT l.id, l.lead_id, l.merged_from, l.nth, coalesce(m.at, 'infinity') AS at
		FROM leg l
		LEFT JOIN merged m ON m.lead_id = l.lead_id AND m.merged_from = l.merged_from
		UNION ALL
		SELECT c.id, c.lead_id, c.merged_from, 1 + coalesce(cardinality(c.ran_in), 0), 'infinity'
		FROM leadflow.sla_clocks c
		WHERE c.lead_id BETWEEN $1 AND $2
	), reached AS (
		SELECT e.*,
			coalesce(max(e.at) OVER (PARTITION BY e.id ORDER BY e.nth ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '-infinity') AS since
		FROM ended e
	)
	SELECT r.id, r.lead_id, r.merged_from, tstzrange(nullif(r.since, '-infinity'), CASE WHEN r.at < r.since THEN r.since ELSE nullif(r.at, 'infinity') END)
	FROM reached r
$$;
COMMENT ON FUNCTION leadflow._oracle_legs(bigint, bigint) IS
	'In which history each clock ran when: merged_from of a duplicate until that was merged (sla_clocks.ran_in), at last the one that the clock goes by (NULL: the lead''s own).';

-- What every clock must show.
CREATE OR REPLACE FUNCTION leadflow._oracle_clocks(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (id bigint, lead_id bigint, started_at timestamptz, first_of_its_kind boolean,
	stopped_at timestamptz, fulfilled boolean, certain boolean, due_at timestamptz, warn_at timestamptz,
	calendar_id bigint, elapsed interval)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH clock AS MATERIALIZED (
		SELECT k.*, p.calendar_id AS policy_calendar_id
		FROM leadflow.sla_clocks k
		JOIN leadflow.sla_policies p ON p.id = k.policy_id
		WHERE k.lead_id BETWEEN $1 AND $2
	), history AS MATERIALIZED (
		SELECT
			h.lead_id, h.merged_from, h.id, h.entered_at, h.left_at, h.from_stage, h.to_stage, h.team,
			coalesce(g.category, 'out') AS category,
			coalesce(lag(g.category) OVER (PARTITION BY h.lead_id, h.merged_from ORDER BY h.entered_at, h.id), 'out')
				AS came_from
		FROM leadflow.stage_history h
		LEFT JOIN leadflow.stages g ON g.name = h.to_stage
		WHERE h.lead_id BETWEEN $1 AND $2
	), episode AS MATERIALIZED (
		SELECT k.id, e.started_at, e.stopped_at, e.answered
		FROM clock k
		JOIN leadflow._oracle_episodes($1, $2, true) e ON e.lead_id = k.lead_id AND e.activity_id = k.activity_id AND e.started_at = k.started_at
		WHERE k.metric = 'next_response'
	),
	--
	-- Starts
	--
	start AS (
		-- one that went on when leads were merged, once or more often, may have started in either's history
		(
		SELECT DISTINCT ON (k.id) k.id, h.entered_at AS at
		FROM clock k
		JOIN history h ON h.lead_id = k.lead_id AND (h.id = k.history_id
			OR ((h.merged_from IS NOT NULL OR k.merged_from IS NOT NULL) AND h.entered_at = k.started_at))
		WHERE CASE k.metric
			WHEN 'time_to_handoff' THEN h.to_stage = 'mql'
			WHEN 'time_to_nurture' THEN h.to_stage = 'rejected' OR h.category = 'lost'
			WHEN 'time_in_stage' THEN h.category NOT IN ('won', 'lost', 'out')
			WHEN 'next_response' THEN false
			WHEN 'time_to_review' THEN false
			ELSE h.category = 'handoff' AND h.came_from <> 'handoff' END
		ORDER BY k.id, h.entered_at <> k.started_at, h.entered_at
		)
		UNION ALL
		SELECT e.id, e.started_at FROM episode e
		UNION ALL
		SELECT k.id, r.opened_at
		FROM clock k
		JOIN leadflow.reviews r ON r.id = k.review_id AND r.lead_id = k.lead_id
		WHERE k.metric = 'time_to_review' AND r.lead_id BETWEEN $1 AND $2
	),
	--
	-- Ends: a move, or what it waits for
	--
	moved AS (
		-- the first move after that which it runs after, in the same history, that ends it
		SELECT DISTINCT ON (k.id)
			k.id,
			-- one that came from a duplicate may have started later
			greatest(h.entered_at, k.started_at) AS at,
			CASE k.metric
				WHEN 'time_to_handoff' THEN h.category IN ('handoff', 'sales', 'won')
				-- marketing or the engine taking it back is no decision of sales
				WHEN 'time_to_accept' THEN h.category <> 'marketing' OR h.team IN ('sales', 'leadership')
				WHEN 'time_to_nurture' THEN h.to_stage = 'nurture'
				ELSE k.metric = 'time_in_stage' END AS fulfilled
		FROM clock k
		JOIN history h ON h.lead_id = k.lead_id AND h.merged_from IS NOT DISTINCT FROM k.merged_from AND h.id > k.history_id
		WHERE CASE k.metric
			WHEN 'time_to_handoff' THEN h.category <> 'marketing' OR h.to_stage = 'lead'
			WHEN 'time_to_accept' THEN h.category <> 'handoff'
			WHEN 'time_to_first_touch' THEN h.category NOT IN ('handoff', 'sales') OR (h.category = 'handoff' AND h.came_from <> 'handoff')
			WHEN 'time_to_first_contact' THEN h.category NOT IN ('handoff', 'sales') OR (h.category = 'handoff' AND h.came_from <> 'handoff')
			WHEN 'attempts' THEN h.category NOT IN ('handoff', 'sales') OR (h.category = 'handoff' AND h.came_from <> 'handoff')
			WHEN 'time_to_nurture' THEN true
			WHEN 'time_in_stage' THEN true
			ELSE false END
		ORDER BY k.id, h.id
	), merged AS (
		SELECT k.id, max(h.left_at) AS at
		FROM clock k
		JOIN history h ON h.lead_id = k.lead_id AND h.merged_from = k.merged_from
		GROUP BY k.id
	), counted_touch AS (
		SELECT k.id, coalesce(k.target_count, 1) AS wanted, a.occurred_at,
			row_number() OVER (PARTITION BY k.id ORDER BY a.occurred_at) AS nth
		FROM clock k
		JOIN leadflow.activities a ON a.lead_id = k.lead_id AND a.occurred_at >= k.started_at
		JOIN leadflow.activity_kinds r ON r.kind = a.kind
			AND CASE k.metric WHEN 'time_to_first_contact' THEN r.two_way ELSE r.role = 'sales_touch' END
		WHERE k.metric IN ('time_to_first_touch', 'time_to_first_contact', 'attempts')
			AND a.lead_id BETWEEN $1 AND $2 AND a.voided_at IS NULL
	), done AS (
		SELECT t.id, t.occurred_at AS at FROM counted_touch t WHERE t.nth = t.wanted
	), ended AS (
		SELECT
			k.id, k.lead_id, k.metric, k.merged_from, k.started_at, k.policy_calendar_id,
			CASE WHEN k.ran_in IS NULL THEN 0 ELSE k.id END AS way,
			s.at AS started_at_now,
			-- nobody is to be answered who was erased
			CASE WHEN w.erased_at < e.at OR (w.erased_at IS NOT NULL AND e.at IS NULL) THEN greatest(w.erased_at, k.started_at)
				ELSE e.at END AS stopped_at,
			coalesce(e.fulfilled, false) AND (w.erased_at IS NULL OR w.erased_at >= e.at) AS fulfilled,
			k.target, k.warn_after, k.due_at,
			row_number() OVER (PARTITION BY k.lead_id, k.metric, k.merged_from, k.started_at, k.history_id, k.activity_id, k.review_id ORDER BY k.id) = 1 AS first_of_its_kind
		FROM clock k
		LEFT JOIN start s ON s.id = k.id
		LEFT JOIN moved m ON m.id = k.id
		LEFT JOIN merged x ON x.id = k.id
		LEFT JOIN done d ON d.id = k.id
		LEFT JOIN episode o ON o.id = k.id
		LEFT JOIN leadflow.reviews r ON r.id = k.review_id AND r.lead_id = k.lead_id AND k.metric = 'time_to_review'
		LEFT JOIN (SELECT l.id, l.erased_at FROM leadflow.leads l WHERE l.id BETWEEN $1 AND $2) w ON w.id = k.lead_id
		CROSS JOIN LATERAL (
			SELECT coalesce(m.at, x.at) AS at, m.at IS NOT NULL AND m.fulfilled AS fulfilled
		) l
		CROSS JOIN LATERAL (
			SELECT
				CASE WHEN k.metric = 'next_response' THEN o.stopped_at
					WHEN k.metric = 'time_to_review' THEN CASE WHEN r.closed_by = 'time' THEN least(r.due_at, r.closed_at) ELSE r.closed_at END
					WHEN d.at <= l.at OR l.at IS NULL THEN d.at
					ELSE l.at END AS at,
				CASE WHEN k.metric = 'next_response' THEN o.answered
					WHEN k.metric = 'time_to_review' THEN r.closed_by = 'votes'
					WHEN d.at <= l.at OR l.at IS NULL THEN d.at IS NOT NULL
					ELSE l.fulfilled END AS fulfilled
		) e
	),
	--
	-- Working time: outside pauses, in the policy's calendar or that of whoever had the lead
	--
	calendar AS (
		-- one without hours counts as always; one that opens on dates only may not be open for long enough
		SELECT c.id, bool_or(h.weekly) AS weekly
		FROM leadflow.calendars c
		JOIN (
			SELECT w.calendar_id, true FROM leadflow.calendar_hours w
			UNION ALL
			SELECT d.calendar_id, false FROM leadflow.calendar_holidays d WHERE d.opens IS NOT NULL
		) h (calendar_id, weekly) ON h.calendar_id = c.id
		GROUP BY c.id
	), leg AS (
		-- those that ran in one history alone are alike (way 0)
		SELECT l.lead_id, 0::bigint AS way, 0::bigint AS merged_from, '(,)'::tstzrange AS during
		FROM (SELECT DISTINCT k.lead_id FROM clock k) l
		UNION ALL
		SELECT l.lead_id, l.clock_id, coalesce(l.merged_from, 0), l.during
		FROM leadflow._oracle_legs($1, $2) l
		JOIN clock k ON k.id = l.clock_id AND k.ran_in IS NOT NULL
	), tenure AS (
		SELECT g.lead_id, g.way, m.calendar_id, range_agg(tstzrange(t.since, t.until) * g.during) AS during
		FROM leadflow._oracle_tenures($1, $2) t
		JOIN leg g ON g.lead_id = t.lead_id AND g.merged_from = coalesce(t.merged_from, 0)
		LEFT JOIN leadflow.team_members m ON m.id = t.member_id
		GROUP BY g.lead_id, g.way, m.calendar_id
	), tenures AS (
		-- and at all other times its owner, as of when the clock was settled
		SELECT t.lead_id, t.way, t.calendar_id, true AS said, t.during FROM tenure t
		UNION ALL
		SELECT g.lead_id, g.way, m.calendar_id, false, '{(,)}'::tstzmultirange - coalesce(t.during, '{}')
		FROM (SELECT DISTINCT g.lead_id, g.way FROM leg g) g
		JOIN (SELECT l.id, l.owner_id FROM leadflow.leads l WHERE l.id BETWEEN $1 AND $2) l ON l.id = g.lead_id
		LEFT JOIN leadflow.team_members m ON m.id = l.owner_id
		LEFT JOIN (SELECT t.lead_id, t.way, range_agg(u.during) AS during FROM tenure t CROSS JOIN LATERAL unnest(t.during) u (during) GROUP BY t.lead_id, t.way) t
			ON t.lead_id = g.lead_id AND t.way = g.way
	), pause AS (
		SELECT g.lead_id, g.way, range_agg(tstzrange(p.paused_at, p.until) * g.during) AS during
		FROM leadflow.sla_pauses p
		JOIN leg g ON g.lead_id = p.lead_id AND g.merged_from = coalesce(p.merged_from, 0)
		WHERE p.lead_id BETWEEN $1 AND $2
		GROUP BY g.lead_id, g.way
	), held AS (
		SELECT e.id, e.started_at, e.stopped_at, e.lead_id, e.way, e.policy_calendar_id AS calendar_id, true AS said, '{(,)}'::tstzmultirange AS during
		FROM ended e
		WHERE e.policy_calendar_id IS NOT NULL
		UNION ALL
		SELECT e.id, e.started_at, e.stopped_at, e.lead_id, e.way, t.calendar_id, t.said OR (e.stopped_at IS NULL AND e.due_at >= leadflow.now()), t.during
		FROM ended e
		JOIN tenures t ON t.lead_id = e.lead_id AND t.way = e.way
		WHERE e.policy_calendar_id IS NULL
	), span AS (
		SELECT h.id, h.said, c.id AS calendar_id, c.weekly, lower(s.during) AS since, upper(s.during) AS until,
			CASE WHEN c.id IS NULL THEN upper(s.during) - lower(s.during)
				ELSE leadflow.business_time(c.id, lower(s.during), upper(s.during)) END AS work,
			-- what had passed by now
			CASE WHEN lower(s.during) >= leadflow.now() THEN interval '0'
				WHEN c.id IS NULL THEN least(upper(s.during), leadflow.now()) - lower(s.during)
				ELSE leadflow.business_time(c.id, lower(s.during), least(upper(s.during), leadflow.now())) END AS passed
		FROM held h
		LEFT JOIN pause p ON p.lead_id = h.lead_id AND p.way = h.way
		LEFT JOIN calendar c ON c.id = h.calendar_id
		CROSS JOIN LATERAL unnest(h.during * tstzmultirange(tstzrange(h.started_at, CASE WHEN h.stopped_at < h.started_at THEN h.started_at ELSE h.stopped_at END)) - coalesce(p.during, '{}')) s (during)
	), counted AS (
		SELECT
			s.*,
			coalesce(sum(s.work) OVER (PARTITION BY s.id ORDER BY s.since ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '0') AS before
		FROM span s
	), total AS (
		SELECT c.id, sum(c.passed) AS elapsed, bool_and(c.weekly IS NOT FALSE AND c.said) AS certain,
			(array_agg(c.calendar_id ORDER BY c.since DESC))[1] AS calendar_id
		FROM counted c
		GROUP BY c.id
	), due AS (
		SELECT DISTINCT ON (c.id)
			c.id,
			CASE WHEN c.calendar_id IS NULL THEN c.since + (e.target - c.before)
				WHEN c.weekly THEN leadflow.add_business_time(c.calendar_id, c.since, e.target - c.before) END AS at
		FROM counted c
		JOIN ended e ON e.id = c.id
		WHERE c.since < '290000-01-01' AND (c.until IS NULL OR c.before + c.work >= e.target)
		ORDER BY c.id, c.since
	), warn AS (
		SELECT DISTINCT ON (c.id)
			c.id,
			CASE WHEN c.calendar_id IS NULL THEN c.since + (e.warn_after - c.before)
				WHEN c.weekly THEN leadflow.add_business_time(c.calendar_id, c.since, e.warn_after - c.before) END AS at
		FROM counted c
		JOIN ended e ON e.id = c.id
		WHERE e.warn_after IS NOT NULL AND c.since < '290000-01-01' AND (c.until IS NULL OR c.before + c.work >= e.warn_after)
		ORDER BY c.id, c.since
	)
	SELECT
		e.id, e.lead_id, e.started_at_now, e.first_of_its_kind, e.stopped_at, e.fulfilled,
		coalesce(t.certain, true) AND e.merged_from IS NULL AND e.started_at < '290000-01-01',
		coalesce(d.at, CASE WHEN e.stopped_at IS NULL THEN 'infinity'::timestamptz END),
		CASE WHEN e.warn_after IS NOT NULL THEN coalesce(w.at, CASE WHEN e.stopped_at IS NULL THEN 'infinity'::timestamptz END) END,
		t.calendar_id,
		coalesce(t.elapsed, '0')
	FROM ended e
	LEFT JOIN total t ON t.id = e.id
	LEFT JOIN due d ON d.id = e.id
	LEFT JOIN warn w ON w.id = e.id;
END
$$;
COMMENT ON FUNCTION leadflow._oracle_clocks(bigint, bigint) IS
	'Each clock as it follows from the written tables. started_at: of the move, episode or case that it names (NULL = there is none that starts it); first_of_its_kind: false where another has the same start; stopped_at and fulfilled; due_at and warn_at by the spans outside pauses in the calendars of then (infinity = paused without an end; NULL = not before it stopped); calendar_id of the last span and working time until now or the stop. certain = the tables say all of it: not the clock of a duplicate, nor one in a calendar of single dates.';

CREATE OR REPLACE FUNCTION leadflow._verify_clocks(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH clock AS MATERIALIZED (
		SELECT
			k.*,
			format('%s of lead %s', k.id, k.lead_id) AS object_id,
			o.started_at AS started_at_now, o.first_of_its_kind, o.certain,
			o.stopped_at AS stopped_at_now, o.stopped_at IS NOT NULL AND o.fulfilled AS answered_now,
			-- what a closed clock was held to stays as it was
			CASE WHEN k.stopped_at IS NULL AND o.stopped_at IS NULL AND o.certain THEN o.due_at ELSE k.due_at END AS due_at_now,
			CASE WHEN k.stopped_at IS NULL AND o.stopped_at IS NULL AND o.certain THEN o.warn_at ELSE k.warn_at END AS warn_at_now,
			CASE
				WHEN o.stopped_at IS NULL THEN
					CASE WHEN k.state IN ('running', 'warning', 'paused', 'breached') THEN k.state ELSE 'running' END
				WHEN k.due_at < o.stopped_at THEN 'breached'
				WHEN o.fulfilled THEN 'met'
				ELSE 'cancelled'
			END AS state_now,
			o.calendar_id AS calendar_id_now, o.elapsed
		FROM leadflow.sla_clocks k
		JOIN leadflow._oracle_clocks($1, $2) o ON o.id = k.id
		WHERE k.lead_id BETWEEN $1 AND $2
	)
	SELECT
		'sla_clocks',
		k.object_id,
		format('%s, due %s, stopped %s%s', k.state, k.due_at, coalesce(k.stopped_at::text, '-'), CASE WHEN k.answered THEN ', answered' END),
		format('%s, due %s, stopped %s%s', k.state_now, k.due_at_now, coalesce(k.stopped_at_now::text, '-'), CASE WHEN k.answered_now THEN ', answered' END),
		k.lead_id,
		NULL::bigint
	FROM clock k
	WHERE k.state <> k.state_now OR k.due_at <> k.due_at_now OR k.stopped_at IS DISTINCT FROM k.stopped_at_now OR k.answered <> k.answered_now
	UNION ALL
	SELECT
		'sla_clock_start',
		k.object_id,
		k.started_at::text,
		CASE WHEN k.started_at_now IS NULL THEN CASE k.metric WHEN 'next_response' THEN 'nothing unanswered'
				WHEN 'time_to_review' THEN 'no such case' ELSE 'no such move' END
			WHEN NOT k.first_of_its_kind THEN 'once'
			ELSE k.started_at_now::text END,
		k.lead_id,
		NULL
	FROM clock k
	WHERE k.started_at IS DISTINCT FROM k.started_at_now OR NOT k.first_of_its_kind
	UNION ALL
	-- what readers count from: before counted_from it is what was carried
	SELECT
		'sla_clock_count',
		k.object_id,
		format('%s from %s on, in %s, warns %s', k.carried, k.counted_from, coalesce('calendar ' || k.calendar_id, 'always'), coalesce(k.warn_at::text, '-')),
		format('%s by now, in %s, warns %s', k.elapsed, coalesce('calendar ' || k.calendar_id_now, 'always'), coalesce(k.warn_at_now::text, '-')),
		k.lead_id,
		NULL
	FROM clock k
	CROSS JOIN LATERAL (
		SELECT k.carried + CASE WHEN k.counted_from >= leadflow.now() THEN interval '0'
			WHEN k.calendar_id IS NULL THEN leadflow.now() - k.counted_from
			ELSE leadflow.business_time(k.calendar_id, k.counted_from, leadflow.now()) END AS elapsed
	) e
	WHERE k.stopped_at IS NULL AND k.certain AND (k.warn_at IS DISTINCT FROM k.warn_at_now
		OR (k.due_at > leadflow.now() AND (e.elapsed <> k.elapsed OR (isfinite(k.counted_from) AND k.calendar_id IS DISTINCT FROM k.calendar_id_now))))
	UNION ALL
	-- of those in time the owner's, of others whose it was when it stopped or was due; at
	-- one instant either may have come first
	SELECT
		'sla_clock_member',
		k.object_id,
		coalesce(k.member_id::text, '-'),
		coalesce(l.owner_id::text, '-'),
		k.lead_id,
		NULL
	FROM clock k
	JOIN leadflow.leads l ON l.id = k.lead_id
	WHERE l.id BETWEEN $1 AND $2 AND k.stopped_at IS NULL AND k.due_at >= leadflow.now()
		AND k.member_id IS DISTINCT FROM CASE WHEN k.metric <> 'time_to_review' THEN l.owner_id END
	UNION ALL
	SELECT
		'sla_clock_member',
		k.object_id,
		coalesce(k.member_id::text, '-'),
		string_agg(DISTINCT coalesce(t.member_id::text, '-'), ' or '),
		k.lead_id,
		NULL
	FROM clock k
	JOIN leadflow._oracle_legs($1, $2) g ON g.clock_id = k.id
		AND least(k.stopped_at, k.due_at) BETWEEN coalesce(lower(g.during), '-infinity') AND coalesce(upper(g.during), 'infinity')
	JOIN leadflow._oracle_tenures($1, $2) t ON t.lead_id = k.lead_id AND coalesce(t.merged_from, 0) = coalesce(g.merged_from, 0)
		AND least(k.stopped_at, k.due_at) BETWEEN t.since AND coalesce(t.until, 'infinity')
	-- the hand-off that one waits for says nothing of who had the lead before
	WHERE k.metric NOT IN ('time_to_handoff', 'time_to_review')
		AND (k.stopped_at IS NOT NULL OR k.due_at < leadflow.now()) AND k.started_at < least(k.stopped_at, k.due_at)
	GROUP BY k.id, k.object_id, k.lead_id, k.member_id, k.stopped_at, k.due_at
	HAVING NOT bool_or(t.member_id IS NOT DISTINCT FROM k.member_id) AND bool_or(t.since < least(k.stopped_at, k.due_at));
END
$$;
COMMENT ON FUNCTION leadflow._verify_clocks(bigint, bigint) IS
	'verify(): clocks start with the move, episode or case that they name, once; they stop, and are met, breached or cancelled, as history, activities and reviews say; open ones are due, warn and count as policy, calendars, pauses and owners say; members are whoever had the lead.';

-- Deals are of no one lead, so they come in families: a deal, those that correct it, and
-- so on, wherever a member of it has a lead or a contact in the range. Credits of nobody's
-- deal, or of one that is gone, belong to the range that has no upper bound.
CREATE OR REPLACE FUNCTION leadflow._range_deals(
	from_lead bigint, to_lead bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET enable_nestloop = off
SET jit = off
AS $$
BEGIN
	RETURN QUERY
	WITH RECURSIVE family (id) AS (
		SELECT d.id FROM leadflow.deals d WHERE d.lead_id BETWEEN $1 AND $2 OR ($2 = 9223372036854775807 AND d.lead_id IS NULL)
		UNION
		SELECT c.deal_id FROM leadflow.deal_contacts c WHERE c.lead_id BETWEEN $1 AND $2
		UNION
		SELECT k.deal_id
		FROM leadflow.attribution_credits k
		LEFT JOIN leadflow.deals d ON d.id = k.deal_id
		WHERE $2 = 9223372036854775807 AND d.id IS NULL
		UNION
		SELECT relative.id
		FROM family f
		CROSS JOIN LATERAL (
			(SELECT d.id FROM leadflow.deals d WHERE d.corrects_deal_id = f.id OFFSET 0)
			UNION ALL
			(SELECT d.corrects_deal_id FROM leadflow.deals d WHERE d.id = f.id AND d.corrects_deal_id IS NOT NULL OFFSET 0)
		) relative
	)
	SELECT f.id FROM family f;
END
$$;
COMMENT ON FUNCTION leadflow._range_deals(bigint, bigint) IS
	'Deals that have a lead or a contact in the range, without an upper bound also those without a lead and those that are gone and have credits; what they correct and what corrects them.';

-- Weights are those of the definition. Where the kept one differs in its last digits alone, as it
-- may when the same is computed in another way, its digits decide who gets the odd cent: so
-- every cent can be compared.
CREATE OR REPLACE FUNCTION leadflow._oracle_credits(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (deal_id bigint, model text, lead_id bigint, occurred_at timestamptz, activity_id uuid,
	campaign_id bigint, weight double precision, credit numeric, currency character(3))
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET extra_float_digits = 1
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	WITH RECURSIVE any_deal AS MATERIALIZED (
		SELECT d.id, d.lead_id, d.amount, d.currency, d.status, d.opened_at, d.closed_at, d.corrects_deal_id
		FROM leadflow.deals d
		WHERE ($1 = '-9223372036854775808' AND $2 = 9223372036854775807)
			OR d.id = ANY (ARRAY(SELECT leadflow._range_deals($1, $2)))
	), origin AS (
		-- a correction is shared out like the deal that it corrects
		SELECT d.id AS deal_id, d.id, d.corrects_deal_id
		FROM any_deal d
		WHERE d.status = 'won'
		UNION
		SELECT o.deal_id, d.id, d.corrects_deal_id
		FROM origin o
		JOIN any_deal d ON d.id = o.corrects_deal_id
	), deal AS MATERIALIZED (
		SELECT d.id, o.lead_id, d.amount, d.currency, o.id AS origin_id, t.converted_at,
			o.opened_at AS opportunity_at, coalesce(h.mql_at, l.created_at) AS lead_created_at
		FROM origin
		JOIN any_deal d ON d.id = origin.deal_id
		JOIN any_deal o ON o.id = origin.id
		CROSS JOIN LATERAL (SELECT coalesce(o.closed_at, d.closed_at) AS converted_at) t
		LEFT JOIN LATERAL (SELECT l.created_at FROM leadflow.leads l WHERE l.id = o.lead_id OFFSET 0) l ON true
		LEFT JOIN LATERAL (
			SELECT min(h.entered_at) AS mql_at
			FROM leadflow.stage_history h
			WHERE h.lead_id = o.lead_id AND h.to_stage = 'mql' AND h.entered_at <= t.converted_at
		) h ON true
		WHERE origin.corrects_deal_id IS NULL
	), party AS MATERIALIZED (
		SELECT d.id AS deal_id, d.lead_id
		FROM deal d
		UNION
		SELECT d.id, c.lead_id
		FROM deal d
		CROSS JOIN LATERAL (
			SELECT c.lead_id FROM leadflow.deal_contacts c WHERE c.deal_id = d.origin_id OFFSET 0
		) c
		-- nobody's deal is nobody's, whoever else was in it
		WHERE d.lead_id IS NOT NULL
	), model AS MATERIALIZED (
		-- parts that a model has not are NULL
		SELECT m.name, m.kind, m.lookback,
			extract(epoch FROM coalesce(m.params ->> 'half_life', '7 days')::interval) AS half_life,
			coalesce(m.params -> 'direct', '["direct"]') AS direct,
			coalesce((m.params ->> 'first')::numeric, p.first) AS first,
			coalesce((m.params ->> 'lead_created')::numeric, p.lead_created) AS lead_created,
			coalesce((m.params ->> 'opportunity')::numeric, p.opportunity) AS opportunity,
			coalesce((m.params ->> 'last')::numeric, p.last) AS last,
			coalesce((m.params ->> 'middle')::numeric, p.middle) AS middle
		FROM leadflow.attribution_models m
		JOIN (VALUES
			('first_touch', NULL, NULL, NULL, NULL, NULL),
			('last_touch', NULL, NULL, NULL, NULL, NULL),
			('last_non_direct', NULL, NULL, NULL, NULL, NULL),
			('linear', NULL, NULL, NULL, NULL, NULL),
			('time_decay', NULL, NULL, NULL, NULL, NULL),
			('position_based', 0.4, NULL, NULL, 0.4, 0.2),
			('w_shaped', 0.3, 0.3, 0.3, NULL, 0.1),
			('full_path', 0.225, 0.225, 0.225, 0.225, 0.1),
			('custom', NULL, NULL, NULL, NULL, NULL)
		) p (kind, first, lead_created, opportunity, last, middle) ON p.kind = m.kind
		WHERE m.active
	), touch AS (
		SELECT p.deal_id, a.lead_id, a.occurred_at, a.id, a.campaign_id, n.channel
		FROM deal d
		JOIN party p ON p.deal_id = d.id
		CROSS JOIN LATERAL (
			SELECT a.lead_id, a.occurred_at, a.id, a.kind, a.campaign_id
			FROM leadflow.activities a
			WHERE a.lead_id = p.lead_id AND a.occurred_at <= d.converted_at
				AND a.voided_at IS NULL AND a.campaign_id IS NOT NULL
			OFFSET 0
		) a
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'engagement'
		LEFT JOIN leadflow.campaigns n ON n.id = a.campaign_id
	), numbered AS (
		-- an event's anchor is the last touch at or before it: as many as there are till then; 0 = there is none
		SELECT t.*, m.name AS model,
			coalesce(m.direct ? t.channel, false) AS is_direct,
			row_number() OVER (path ORDER BY t.occurred_at, t.id, t.lead_id) AS nth,
			count(*) OVER path AS touches,
			count(*) FILTER (WHERE t.occurred_at <= d.lead_created_at) OVER path AS till_lead_created,
			count(*) FILTER (WHERE t.occurred_at <= d.opportunity_at) OVER path AS till_opportunity,
			max(t.occurred_at) OVER path AS last_at
		FROM deal d
		JOIN touch t ON t.deal_id = d.id
		JOIN model m ON m.lookback IS NULL
			OR extract(epoch FROM d.converted_at) - extract(epoch FROM t.occurred_at) <= extract(epoch FROM m.lookback)
		WINDOW path AS (PARTITION BY t.deal_id, m.name)
	), parted AS (
		SELECT t.*, m.kind, m.middle,
			max(t.nth) FILTER (WHERE NOT t.is_direct) OVER path AS last_indirect,
			-- how much closer to the conversion the last touch is, in half-lives
			(extract(epoch FROM t.last_at) - extract(epoch FROM t.occurred_at))::double precision / m.half_life::double precision AS halvings,
			a.first OR a.lead_created OR a.opportunity OR a.last AS is_anchor,
			count(*) FILTER (WHERE NOT (a.first OR a.lead_created OR a.opportunity OR a.last)) OVER path AS middles,
			CASE WHEN a.first THEN m.first ELSE 0 END + CASE WHEN a.lead_created THEN m.lead_created ELSE 0 END
				+ CASE WHEN a.opportunity THEN m.opportunity ELSE 0 END + CASE WHEN a.last THEN m.last ELSE 0 END AS anchored
		FROM numbered t
		JOIN model m ON m.name = t.model
		CROSS JOIN LATERAL (
			SELECT t.nth = 1 AND m.first IS NOT NULL AS first,
				t.nth = t.till_lead_created AND m.lead_created IS NOT NULL AS lead_created,
				t.nth = t.till_opportunity AND m.opportunity IS NOT NULL AS opportunity,
				t.nth = t.touches AND m.last IS NOT NULL AS last
		) a
		WINDOW path AS (PARTITION BY t.deal_id, t.model)
	), share AS (
		SELECT t.*,
			CASE t.kind
				WHEN 'first_touch' THEN (t.nth = 1)::integer
				WHEN 'last_touch' THEN (t.nth = t.touches)::integer
				WHEN 'last_non_direct' THEN (t.nth = coalesce(t.last_indirect, t.touches))::integer
				WHEN 'linear' THEN 1
				WHEN 'time_decay' THEN CASE WHEN t.halvings > 1000 THEN 0 ELSE power(2::double precision, -t.halvings)::text::numeric END
				ELSE CASE WHEN t.is_anchor THEN t.anchored ELSE coalesce(t.middle, 0) / t.middles END
			END AS share
		FROM parted t
	), total AS (
		SELECT t.*, sum(t.share) OVER path AS shares
		FROM share t
		WINDOW path AS (PARTITION BY t.deal_id, t.model)
	), weighed AS (
		SELECT t.deal_id, t.model, t.lead_id, t.occurred_at, t.id, t.campaign_id, t.nth,
			CASE WHEN k.weight BETWEEN w.weight * 0.999999999999 AND w.weight * 1.000000000001 THEN k.weight ELSE w.weight END AS weight
		FROM total t
		CROSS JOIN LATERAL (
			SELECT CASE WHEN t.shares = 0 THEN 1::numeric / t.touches WHEN t.share < t.shares * 1e-300 THEN 0
				ELSE t.share / t.shares END::double precision AS weight
		) w
		LEFT JOIN (
			SELECT k.deal_id, k.model, k.lead_id, k.occurred_at, k.activity_id, min(k.weight) AS weight
			FROM leadflow.attribution_credits k
			WHERE ($1 = '-9223372036854775808' AND $2 = 9223372036854775807)
				OR k.deal_id = ANY (ARRAY(SELECT d.id FROM deal d))
			GROUP BY k.deal_id, k.model, k.lead_id, k.occurred_at, k.activity_id
		) k ON k.deal_id = t.deal_id AND k.model = t.model AND k.lead_id = t.lead_id
			AND k.occurred_at = t.occurred_at AND k.activity_id = t.id
		-- less than that is nothing, neither here nor where it is kept
		WHERE w.weight > 1e-300
	), quota AS (
		-- in cents of the absolute amount: whole ones, and what remains in billionths
		SELECT t.*, q.whole, c.cents, d.amount, d.currency,
			div((c.cents * t.decimal - q.whole * t.decimals) * 2000000000 + t.decimals, 2 * t.decimals) AS remainder
		FROM (
			SELECT w.*, x.decimal, sum(x.decimal) OVER (PARTITION BY w.deal_id, w.model) AS decimals
			FROM weighed w
			CROSS JOIN LATERAL (SELECT w.weight::text::numeric AS decimal) x
		) t
		JOIN deal d ON d.id = t.deal_id
		CROSS JOIN LATERAL (SELECT abs(d.amount) * 100 AS cents) c
		CROSS JOIN LATERAL (SELECT div(c.cents * t.decimal, t.decimals) AS whole) q
	), split AS (
		SELECT q.*,
			q.cents - sum(q.whole) OVER (PARTITION BY q.deal_id, q.model) AS left_over,
			row_number() OVER (PARTITION BY q.deal_id, q.model ORDER BY q.remainder DESC, q.nth) AS rank
		FROM quota q
	)
	SELECT s.deal_id, s.model, s.lead_id, s.occurred_at, s.id, s.campaign_id, s.weight,
		round(sign(s.amount) * (s.whole + CASE WHEN s.rank <= s.left_over THEN 1 ELSE 0 END) * 0.01, 2), s.currency
	FROM split s
	UNION ALL
	-- totals never shrink: a deal without a touch is credited to nobody
	SELECT d.id, m.name, d.lead_id, NULL, NULL, NULL, 1, d.amount, d.currency
	FROM deal d
	CROSS JOIN model m
	LEFT JOIN (SELECT DISTINCT t.deal_id, t.model FROM numbered t) t ON t.deal_id = d.id AND t.model = m.name
	WHERE t.deal_id IS NULL;
END
$$;
COMMENT ON FUNCTION leadflow._oracle_credits(bigint, bigint) IS
	'Credits of every won deal (of the deals that a range of leads has a part in), under every active rule-based model, computed from deals, contacts, history and activities; touches without weight left out. credit in currency.';

CREATE OR REPLACE FUNCTION leadflow._verify_credits(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'attribution_credits',
		format('deal %s, %s, lead %s, activity %s', c.deal_id, c.model, coalesce(c.lead_id::text, '-'),
			coalesce(c.activity_id::text, '-')),
		string_agg(c.share, '; ' ORDER BY c.share) FILTER (WHERE c.kept),
		string_agg(c.share, '; ' ORDER BY c.share) FILTER (WHERE NOT c.kept),
		c.lead_id,
		c.deal_id
	FROM (
		SELECT true AS kept, k.deal_id, k.model, k.lead_id, k.occurred_at, k.activity_id,
			format('%s %s, weight %s, campaign %s', k.credit, k.currency, trim_scale(round(k.weight::numeric, 12)),
				coalesce(k.campaign_id::text, '-')) AS share
		FROM leadflow.attribution_credits k
		WHERE NOT (k.weight > 0 AND k.weight <= 1e-300 AND k.credit = 0)
			AND (($1 = '-9223372036854775808' AND $2 = 9223372036854775807)
				OR k.deal_id = ANY (ARRAY(SELECT leadflow._range_deals($1, $2))))
		UNION ALL
		SELECT false, o.deal_id, o.model, o.lead_id, o.occurred_at, o.activity_id,
			format('%s %s, weight %s, campaign %s', o.credit, o.currency, trim_scale(round(o.weight::numeric, 12)),
				coalesce(o.campaign_id::text, '-'))
		FROM leadflow._oracle_credits($1, $2) o
	) c
	GROUP BY c.deal_id, c.model, c.lead_id, c.occurred_at, c.activity_id
	HAVING string_agg(c.share, '; ' ORDER BY c.share) FILTER (WHERE c.kept)
		IS DISTINCT FROM string_agg(c.share, '; ' ORDER BY c.share) FILTER (WHERE NOT c.kept);
END
$$;
COMMENT ON FUNCTION leadflow._verify_credits(bigint, bigint) IS
	'verify(): the credits of won deals under the active models, to the cent.';

CREATE OR REPLACE FUNCTION leadflow._verify_reviews(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'reviews',
		format('%s of lead %s', r.id, r.lead_id),
		'open',
		coalesce('closed at ' || h.left_at, 'no such rejection'),
		r.lead_id,
		NULL::bigint
	FROM leadflow.reviews r
	LEFT JOIN leadflow.stage_history h ON h.lead_id = r.lead_id AND h.id = r.history_id
		AND h.lead_id BETWEEN $1 AND $2
	WHERE r.lead_id BETWEEN $1 AND $2 AND r.closed_at IS NULL AND (h.id IS NULL OR h.left_at IS NOT NULL)
	UNION ALL
	SELECT
		'review_verdict',
		format('%s of lead %s', r.id, r.lead_id),
		r.verdict,
		format('%s for uphold, %s for overturn', coalesce(v.uphold, 0), coalesce(v.overturn, 0)),
		r.lead_id,
		NULL
	FROM leadflow.reviews r
	LEFT JOIN (
		SELECT
			v.review_id,
			count(*) FILTER (WHERE v.verdict = 'uphold') AS uphold,
			count(*) FILTER (WHERE v.verdict = 'overturn') AS overturn
		FROM leadflow.review_votes v
		GROUP BY v.review_id
	) v ON v.review_id = r.id
	WHERE r.lead_id BETWEEN $1 AND $2 AND r.closed_by = 'votes'
		-- a tie that nobody was left to break is upheld
		AND r.verdict IS DISTINCT FROM CASE WHEN v.overturn > v.uphold THEN 'overturn' WHEN v.review_id IS NOT NULL THEN 'uphold' END
	UNION ALL
	SELECT
		'nurture_enrolments',
		format('%s of lead %s', e.id, e.lead_id),
		coalesce('left at ' || e.left_at, 'in it'),
		coalesce('left at ' || h.left_at, 'in it'),
		e.lead_id,
		NULL
	FROM leadflow.nurture_enrolments e
	JOIN (
		SELECT h.lead_id, h.merged_from, h.entered_at, array_agg(coalesce(h.left_at, 'infinity')) AS ends,
			nullif(max(coalesce(h.left_at, 'infinity')), 'infinity') AS left_at
		FROM leadflow.stage_history h
		WHERE h.lead_id BETWEEN $1 AND $2 AND h.to_stage = 'nurture'
		GROUP BY h.lead_id, h.merged_from, h.entered_at
	) h ON h.lead_id = e.lead_id AND h.entered_at = e.enrolled_at AND h.merged_from IS NOT DISTINCT FROM e.merged_from
	WHERE e.lead_id BETWEEN $1 AND $2 AND coalesce(e.left_at, 'infinity') <> ALL (h.ends)
	UNION ALL
	SELECT
		'nurture_enrolments',
		format('%s of lead %s', e.id, e.lead_id),
		'in it',
		format('in stage %s', l.stage),
		e.lead_id,
		NULL
	FROM leadflow.nurture_enrolments e
	JOIN leadflow.leads l ON l.id = e.lead_id AND l.id BETWEEN $1 AND $2
	WHERE e.lead_id BETWEEN $1 AND $2 AND e.left_at IS NULL AND l.stage <> 'nurture'
		-- else it is reported above
		AND NOT EXISTS (SELECT FROM leadflow.stage_history h
			WHERE h.lead_id = e.lead_id AND h.entered_at = e.enrolled_at AND h.to_stage = 'nurture'
				AND h.merged_from IS NOT DISTINCT FROM e.merged_from);
END
$$;
COMMENT ON FUNCTION leadflow._verify_reviews(bigint, bigint) IS
	'verify(): a case of review is open only while the lead stands where it was sent, verdicts are what the votes say, and an enrolment in a nurture program ends when the lead leaves nurture.';

CREATE OR REPLACE FUNCTION leadflow._verify_references(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'activities',
		format('%s of lead %s', a.id, a.lead_id),
		concat_ws(', ', 'lead ' || a.lead_id, 'campaign ' || a.campaign_id, 'member ' || a.member_id),
		concat_ws(', ',
			CASE WHEN l.id IS NULL THEN 'no such lead' END,
			CASE WHEN a.campaign_id IS NOT NULL AND c.id IS NULL THEN 'no such campaign' END,
			CASE WHEN a.member_id IS NOT NULL AND m.id IS NULL THEN 'no such member' END),
		a.lead_id,
		NULL::bigint
	FROM leadflow.activities a
	LEFT JOIN leadflow.leads l ON l.id = a.lead_id AND l.id BETWEEN $1 AND $2
	LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id
	LEFT JOIN leadflow.team_members m ON m.id = a.member_id
	WHERE a.lead_id BETWEEN $1 AND $2 AND (l.id IS NULL
		OR (a.campaign_id IS NOT NULL AND c.id IS NULL) OR (a.member_id IS NOT NULL AND m.id IS NULL))
	UNION ALL
	SELECT 'handoffs', format('%s of lead %s', h.id, h.lead_id), 'lead ' || h.lead_id, 'no such lead', h.lead_id, NULL
	FROM leadflow.handoffs h
	LEFT JOIN leadflow.leads l ON l.id = h.lead_id AND l.id BETWEEN $1 AND $2
	WHERE h.lead_id BETWEEN $1 AND $2 AND l.id IS NULL
	UNION ALL
	SELECT 'sla_clocks', format('%s of lead %s', k.id, k.lead_id), 'lead ' || k.lead_id, 'no such lead', k.lead_id, NULL
	FROM leadflow.sla_clocks k
	LEFT JOIN leadflow.leads l ON l.id = k.lead_id AND l.id BETWEEN $1 AND $2
	WHERE k.lead_id BETWEEN $1 AND $2 AND l.id IS NULL
	UNION ALL
	SELECT 'reviews', format('%s of lead %s', r.id, r.lead_id), 'lead ' || r.lead_id, 'no such lead', r.lead_id, NULL
	FROM leadflow.reviews r
	LEFT JOIN leadflow.leads l ON l.id = r.lead_id AND l.id BETWEEN $1 AND $2
	WHERE r.lead_id BETWEEN $1 AND $2 AND l.id IS NULL
	UNION ALL
	SELECT 'nurture_enrolments', format('%s of lead %s', e.id, e.lead_id), 'lead ' || e.lead_id, 'no such lead', e.lead_id, NULL
	FROM leadflow.nurture_enrolments e
	LEFT JOIN leadflow.leads l ON l.id = e.lead_id AND l.id BETWEEN $1 AND $2
	WHERE e.lead_id BETWEEN $1 AND $2 AND l.id IS NULL;
END
$$;
COMMENT ON FUNCTION leadflow._verify_references(bigint, bigint) IS
	'verify(): activities, hand-offs, clocks, cases of review and enrolments belong to leads (campaigns, members) that exist.';

CREATE OR REPLACE FUNCTION leadflow._verify_contact(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'contact_permissions',
		format('%s of lead %s at %s', c.activity_id, c.lead_id, c.at),
		coalesce(string_agg(c.what, '; ' ORDER BY c.what) FILTER (WHERE c.kept), 'no row'),
		coalesce(string_agg(c.what, '; ' ORDER BY c.what) FILTER (WHERE NOT c.kept), 'no row'),
		c.lead_id,
		NULL::bigint
	FROM (
		SELECT true AS kept, p.lead_id, p.activity_id, p.at,
			format('%s on %s: %s', p.status, p.channel, coalesce(p.basis, '-')) AS what
		FROM leadflow.contact_permissions p
		WHERE p.activity_id IS NOT NULL AND p.lead_id BETWEEN $1 AND $2
		UNION ALL
		SELECT false, a.lead_id, a.id, a.occurred_at,
			format('withdrawn on %s: withdrawn by %s', coalesce(k.channel, '*'), a.kind)
		FROM leadflow.activities a
		JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.withdraws_permission
		WHERE a.lead_id BETWEEN $1 AND $2 AND a.voided_at IS NULL
	) c
	GROUP BY c.lead_id, c.activity_id, c.at
	HAVING string_agg(c.what, '; ' ORDER BY c.what) FILTER (WHERE c.kept)
		IS DISTINCT FROM string_agg(c.what, '; ' ORDER BY c.what) FILTER (WHERE NOT c.kept)
	UNION ALL
	SELECT 'contact_violations', format('%s of lead %s at %s', v.activity_id, v.lead_id, v.occurred_at),
		'a row', 'no such message', v.lead_id, NULL
	FROM leadflow.contact_violations v
	LEFT JOIN leadflow.activities a ON a.lead_id = v.lead_id AND a.occurred_at = v.occurred_at AND a.id = v.activity_id
		AND a.voided_at IS NULL
	LEFT JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.channel IS NOT NULL
		AND k.role IN ('sales_touch', 'marketing_message')
	WHERE v.lead_id BETWEEN $1 AND $2 AND k.kind IS NULL
	UNION ALL
	SELECT 'contact_reservations', format('%s of lead %s', r.id, r.lead_id), 'lead ' || r.lead_id, 'no such lead',
		r.lead_id, NULL
	FROM leadflow.contact_reservations r
	LEFT JOIN leadflow.leads l ON l.id = r.lead_id AND l.id BETWEEN $1 AND $2
	WHERE r.lead_id BETWEEN $1 AND $2 AND l.id IS NULL;
END
$$;
COMMENT ON FUNCTION leadflow._verify_contact(bigint, bigint) IS
	'verify(): what activities withdrew is in contact_permissions, and what is flagged or reserved belongs to messages and leads that exist.';

CREATE OR REPLACE FUNCTION leadflow._verify_erased(
	from_lead bigint DEFAULT '-9223372036854775808', to_lead bigint DEFAULT 9223372036854775807)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text,
	lead_id bigint, deal_id bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET timezone = 'UTC'
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY
	SELECT
		'erased_leads',
		l.id::text,
		'no row',
		'erased at ' || l.erased_at,
		l.id,
		NULL::bigint
	FROM leadflow.leads l
	LEFT JOIN leadflow.erased_leads e ON e.lead_id = l.id
	WHERE l.erased_at IS NOT NULL AND e.lead_id IS NULL AND l.id BETWEEN $1 AND $2;
END
$$;
COMMENT ON FUNCTION leadflow._verify_erased(bigint, bigint) IS
	'verify(): erased_leads knows the leads that were erased (and others, that were deleted since).';

-- All checks; lead_id and deal_id say what a row is about.
CREATE OR REPLACE FUNCTION leadflow._verify(from_lead bigint, to_lead bigint)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text, lead_id bigint, deal_id bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT c.*
	FROM (SELECT coalesce($1, '-9223372036854775808'), coalesce($2, 9223372036854775807)) r (lowest, highest)
	CROSS JOIN LATERAL (
		SELECT * FROM leadflow._verify_references(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_score_state(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_scores(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_history(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_notifications(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_handoffs(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_routing(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_clocks(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_reviews(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_credits(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_contact(r.lowest, r.highest)
		UNION ALL SELECT * FROM leadflow._verify_erased(r.lowest, r.highest)
	) c
$$;
COMMENT ON FUNCTION leadflow._verify(bigint, bigint) IS
	'verify(), and for each row the lead and the deal that it is about.';

CREATE OR REPLACE FUNCTION leadflow.verify(from_lead bigint DEFAULT NULL, to_lead bigint DEFAULT NULL)
RETURNS TABLE (check_name text, object_id text, kept text, recomputed text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT v.check_name, v.object_id, v.kept, v.recomputed FROM leadflow._verify($1, $2) v
$$;
COMMENT ON FUNCTION leadflow.verify(bigint, bigint) IS
	'One row for each difference between what leadflow keeps and what the written tables give; no rows = healthy. With bounds only leads from_lead <= id <= to_lead are checked (NULL = no bound), in time that grows with their activities and not with the tables. Changes nothing, locks nothing. Within a transaction that has inserted activities, call settle() first.';
