-- What people read before they act: the brief of a lead, and a member's day.

-- Meant to be inlined, so that the engine keeps its plan. Few nodes and each a look along an
-- index; the colleagues of an account are looked up once for all its leads.
CREATE OR REPLACE FUNCTION leadflow._handoff_briefs(leads bigint[]) RETURNS TABLE (lead_id bigint, brief text)
	LANGUAGE sql STABLE PARALLEL RESTRICTED
	AS $$
	SELECT
		l.id,
		-- a name, a title or a note may have several lines; the brief has five
		replace(replace(replace(replace(concat(
			'Who: ', concat_ws(', ', coalesce(l.full_name, 'lead ' || l.id), l.job_title, coalesce(l.company, x.account),
				l.phone, l.email, v.persona),
			CASE WHEN l.do_not_contact THEN '; do not contact' END,

			E'\x01Why now: ', concat_ws('; ',
				concat_ws(', ', 'score ' || round(v.score), v.rank, v.band),
				CASE
					WHEN t.id IS NOT NULL THEN t.kind || coalesce(' "' || t.content || '"', '')
						|| to_char(t.occurred_at AT TIME ZONE x.time_zone, ' YYYY-MM-DD HH24:MI')
					WHEN h.trigger_activity_id = e.id THEN NULL
					WHEN h.from_stage = 'rejected' THEN 'handed over again after its rejection' || coalesce(' (' || h.reason || ')', '')
					WHEN h.team <> 'system' THEN 'handed over by '
						|| coalesce((SELECT m.full_name FROM leadflow.team_members m WHERE m.id = h.actor_id), 'an administrator')
						|| coalesce(': ' || h.note, '')
				END,
				CASE
					WHEN e.id IS NULL THEN 'no engagement yet'
					ELSE CASE WHEN h.trigger_activity_id = e.id THEN '' ELSE 'last ' END || e.kind || coalesce(' "' || e.content || '"', '')
						|| to_char(e.occurred_at AT TIME ZONE x.time_zone, ' YYYY-MM-DD HH24:MI')
				END),

			E'\x01Read: ', coalesce('"' || r1.content || '"', 'nothing yet'), ', "' || r2.content || '"', ', "' || r3.content || '"',

			E'\x01Account: ', coalesce(x.account || ' (' || x.status || ')', 'none'), '; ',
			CASE WHEN cardinality(x.colleagues) > 1 THEN array_to_string((array_remove(x.colleagues,
				coalesce(l.full_name, l.email, 'nameless') || ' (lead ' || l.id || ', ' || l.stage
					|| coalesce(', ' || (SELECT m.full_name FROM leadflow.team_members m WHERE m.id = l.owner_id), '') || ')'))[:3], ', ')
			ELSE 'nobody else' END,
			CASE WHEN cardinality(x.colleagues) > 4 THEN ' and others' END,

			E'\x01Before: ', coalesce(nullif(concat_ws('; ',
				nullif(array_to_string(ARRAY(
					SELECT coalesce((SELECT m.full_name FROM leadflow.team_members m WHERE m.id = o.owner_id), 'queue ' || o.queue, 'nobody')
						|| to_char(o.offered_at AT TIME ZONE x.time_zone, ' YYYY-MM-DD: ') || coalesce(o.decision, 'undecided')
						|| coalesce(' (' || (
							SELECT b.reason
							FROM leadflow.stage_history b
							WHERE b.lead_id = l.id AND b.entered_at = o.decided_at AND b.to_stage = o.decision
							ORDER BY b.id DESC
							LIMIT 1) || ')', '')
						|| CASE o.touches WHEN 0 THEN ', no touch' WHEN 1 THEN ', 1 touch' ELSE ', ' || o.touches || ' touches' END
					FROM leadflow.handoffs o
					WHERE o.lead_id = l.id AND (l.stage <> ALL (x.in_hand) OR o.id IS DISTINCT FROM (
						-- the present one: a duplicate's may be younger
						SELECT c.id FROM leadflow.handoffs c
						WHERE c.lead_id = l.id AND c.merged_from IS NULL
						ORDER BY c.offered_at DESC, c.id DESC
						LIMIT 1))
					ORDER BY o.offered_at DESC, o.id DESC
					LIMIT 3), '; '), ''),
				(
					SELECT 'nurture "' || (SELECT p.name FROM leadflow.nurture_programs p WHERE p.id = n.program_id) || '"'
						|| to_char(n.enrolled_at AT TIME ZONE x.time_zone, ' from YYYY-MM-DD')
						|| coalesce(to_char(n.left_at AT TIME ZONE x.time_zone, ' to YYYY-MM-DD'), '')
					FROM leadflow.nurture_enrolments n
					WHERE n.lead_id = l.id
					ORDER BY n.enrolled_at DESC, n.id DESC
					LIMIT 1)), ''), 'nobody')),
			E'\n', ' '), E'\r', ' '), E'\f', ' '), E'\x01', E'\n')
	FROM (
		SELECT
			i.ids,
			g.time_zone,
			g.kinds,
			g.offered,
			g.in_hand,
			a.name AS account,
			a.status,
			ARRAY(
				SELECT coalesce(c.full_name, c.email, 'nameless') || ' (lead ' || c.id || ', ' || c.stage
					|| coalesce(', ' || (SELECT m.full_name FROM leadflow.team_members m WHERE m.id = c.owner_id), '') || ')'
				FROM leadflow.leads c
				WHERE c.account_id = a.id
				ORDER BY c.stage = ANY (g.in_hand) DESC, c.stage_since DESC, c.id
				LIMIT 5) AS colleagues
		FROM (
			SELECT l.account_id, array_agg(l.id) AS ids
			FROM leadflow.leads l
			WHERE l.id = ANY ($1)
			GROUP BY l.account_id
		) i
		CROSS JOIN (
			SELECT
				g.time_zone,
				ARRAY(SELECT k.kind FROM leadflow.activity_kinds k WHERE k.role = 'engagement') AS kinds,
				ARRAY(SELECT s.name FROM leadflow.stages s WHERE s.category = 'handoff' OR s.name = 'mql') AS offered,
				ARRAY(SELECT s.name FROM leadflow.stages s WHERE s.category IN ('handoff', 'sales')) AS in_hand
			FROM leadflow.settings g
			OFFSET 0
		) g
		LEFT JOIN leadflow.accounts a ON a.id = i.account_id
		OFFSET 0
	) x
	CROSS JOIN unnest(x.ids) i (id)
	JOIN leadflow.leads l ON l.id = i.id
	JOIN leadflow.lead_scores v ON v.lead_id = l.id
	LEFT JOIN LATERAL (
		-- how it came to sales; where that followed from its becoming an MQL, how it became one
		SELECT h.*
		FROM (
			SELECT h.from_stage, h.team, h.actor_id, h.reason, h.note, h.trigger_activity_id
			FROM leadflow.stage_history h
			WHERE h.lead_id = l.id AND h.to_stage = ANY (x.offered) AND (l.stage = ANY (x.in_hand) OR l.stage = ANY (x.offered))
			ORDER BY h.entered_at DESC, h.id DESC
			LIMIT 2
		) h
		WHERE h.trigger_activity_id IS NOT NULL OR h.team <> 'system' OR h.from_stage = 'rejected'
		LIMIT 1
	) h ON true
	LEFT JOIN LATERAL (
		SELECT a.id, a.kind, a.content, a.occurred_at
		FROM leadflow.activities a
		WHERE a.lead_id = l.id AND a.voided_at IS NULL AND a.kind = ANY (x.kinds)
		ORDER BY a.occurred_at DESC, a.id DESC
		LIMIT 1
	) e ON true
	LEFT JOIN LATERAL (
		SELECT a.id, a.kind, a.content, a.occurred_at
		FROM leadflow.activities a
		WHERE h.trigger_activity_id IS DISTINCT FROM e.id AND a.lead_id = l.id AND a.id = h.trigger_activity_id
		ORDER BY a.occurred_at DESC
		LIMIT 1
	) t ON true
	LEFT JOIN LATERAL (
		SELECT coalesce(nullif(e.content, ''), (
			SELECT a.content
			FROM leadflow.activities a
			WHERE a.lead_id = l.id AND a.voided_at IS NULL AND a.kind = ANY (x.kinds) AND a.content <> ''
			ORDER BY a.occurred_at DESC, a.id DESC
			LIMIT 1)) AS content
		OFFSET 0
	) r1 ON true
	LEFT JOIN LATERAL (
		SELECT a.content
		FROM leadflow.activities a
		WHERE a.lead_id = l.id AND a.voided_at IS NULL AND a.content <> ALL (ARRAY[r1.content, '']) AND a.kind = ANY (x.kinds)
		ORDER BY a.occurred_at DESC, a.id DESC
		LIMIT 1
	) r2 ON true
	LEFT JOIN LATERAL (
		SELECT a.content
		FROM leadflow.activities a
		WHERE a.lead_id = l.id AND a.voided_at IS NULL AND a.content <> ALL (ARRAY[r1.content, r2.content, '']) AND a.kind = ANY (x.kinds)
		ORDER BY a.occurred_at DESC, a.id DESC
		LIMIT 1
	) r3 ON true
	$$;
COMMENT ON FUNCTION leadflow._handoff_briefs(bigint[]) IS
'Internal. handoff_brief() of many leads: a row each that is known, in no order.';

CREATE OR REPLACE FUNCTION leadflow.handoff_brief(lead_id bigint) RETURNS text
	LANGUAGE sql STABLE PARALLEL RESTRICTED
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET jit = off
	AS $$ SELECT b.brief FROM leadflow._handoff_briefs(ARRAY[$1]) b $$;
COMMENT ON FUNCTION leadflow.handoff_brief(bigint) IS
'What a rep reads before calling, as things stand at leadflow.now(): five lines, Who (name, title, company, phone, e-mail, persona), Why now (score, rank, band; the activity that made the engine move it, or who handed it over; the last engagement), Read (the last three different contents), Account (status; the contacts most in sales'' hands, with stage and owner), Before (the last three earlier hand-offs: whose, when, decision, reason, touches; the last nurture program). Instants in settings.time_zone. Colleagues that the caller cannot see do not show. NULL for a lead that is unknown or that the caller cannot see (needs SELECT on the tables), and for NULL. O(contacts of the account), and as many activities as it takes to find three different contents.';

-- A function, so that the planner has less to think about where it is asked of every lead.
CREATE OR REPLACE FUNCTION leadflow._unanswered_at(lead_id bigint, since timestamptz, until timestamptz) RETURNS timestamptz
	LANGUAGE sql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
	AS $$
	SELECT i.occurred_at
	FROM leadflow.activities i
	JOIN leadflow.activity_kinds k ON k.kind = i.kind AND k.expects_reply
	WHERE i.lead_id = $1 AND i.occurred_at > coalesce($2, '-infinity') AND i.occurred_at <= $3 AND i.voided_at IS NULL
		AND NOT EXISTS (
			SELECT
			FROM leadflow.activities o
			JOIN leadflow.activity_kinds c ON c.kind = o.kind AND c.two_way
			WHERE o.lead_id = $1 AND (o.occurred_at, o.id) > (i.occurred_at, i.id) AND o.occurred_at <= $3 AND o.voided_at IS NULL)
	ORDER BY i.occurred_at
	LIMIT 1
	$$;
COMMENT ON FUNCTION leadflow._unanswered_at(bigint, timestamptz, timestamptz) IS
'Internal. When the first activity of a lead after one instant (NULL = ever) and up to another occurred that expects a reply and has no two-way activity after it; NULL = there is none.';

CREATE OR REPLACE FUNCTION leadflow.my_day(member bigint, at timestamptz DEFAULT leadflow.now())
	RETURNS TABLE (kind text, lead_id bigint, full_name text, company text, stage text, score double precision,
		due_at timestamptz, since_at timestamptz, what text)
	LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
	SET search_path = pg_catalog, pg_temp
	SET enable_seqscan = off
	SET plan_cache_mode = force_custom_plan
	SET jit = off
	AS $$
#variable_conflict use_column
DECLARE
	me CONSTANT bigint := $1;
	instant CONSTANT timestamptz := $2;
	my_team text;
	voter boolean;
	midnight timestamptz;	-- when the day ends
	week timestamptz;	-- and when the week does that begins with it
BEGIN
	IF NOT coalesce(isfinite(instant), false) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'the instant must be finite';
	END IF;
	SELECT m.team, m.active AND m.reviewer INTO my_team, voter FROM leadflow.team_members m WHERE m.id = me;
	IF NOT FOUND THEN
		RAISE invalid_parameter_value USING
			MESSAGE = 'unknown team member',
			DETAIL = format('There is no team member %s.', coalesce(me::text, 'NULL')),
			HINT = 'team_members lists them; ask with the id.';
	END IF;
	SELECT (d.day + 1)::timestamp AT TIME ZONE d.time_zone, (d.day + 7)::timestamp AT TIME ZONE d.time_zone
	INTO STRICT midnight, week
	FROM (SELECT (instant AT TIME ZONE s.time_zone)::date AS day, s.time_zone FROM leadflow.settings s) d;

	RETURN QUERY
	WITH mine AS MATERIALIZED (
		SELECT l.id, l.stage, l.stage_since, l.revisit_on, c.category, s.last_touch_at, s.last_engaged_at
		FROM leadflow.leads l
		JOIN leadflow.stages c ON c.name = l.stage
		JOIN leadflow.score_state s ON s.lead_id = l.id
		WHERE l.owner_id = me
	), campaign AS MATERIALIZED (
		-- leads that this member's campaigns sourced, where marketing has them
		SELECT l.id, l.stage, l.stage_since, l.revisit_on, c.category
		FROM leadflow.campaigns k
		JOIN leadflow.leads l ON l.campaign_id = k.id AND l.stage IN ('mql', 'nurture')
		JOIN leadflow.stages c ON c.name = l.stage
		WHERE k.owner_id = me
	), clocks AS MATERIALIZED (
		-- a review is not for whoever has the lead, nor for sales what marketing promised of leads that it has
		SELECT DISTINCT k.id, l.id AS lead_id, k.metric, k.due_at, k.started_at, p.name
		FROM (SELECT m.id, m.category, true AS mine FROM mine m UNION ALL SELECT c.id, c.category, false FROM campaign c) l
		JOIN leadflow.sla_clocks k ON k.lead_id = l.id AND k.stopped_at IS NULL AND k.started_at <= instant AND k.metric <> 'time_to_review'
		JOIN leadflow.sla_policies p ON p.id = k.policy_id
			AND CASE WHEN l.mine THEN NOT (my_team = 'sales' AND p.team = 'marketing' AND l.category IN ('marketing', 'recycle'))
				ELSE p.team = 'marketing' END
	), todo AS (
		SELECT CASE WHEN k.due_at < instant THEN 1 ELSE 3 END AS urgency, 'clock' AS kind, k.lead_id, k.due_at, k.started_at AS since_at, k.name AS what
		FROM clocks k
		WHERE k.due_at < midnight
		UNION ALL
		SELECT 2, 'reply', i.*
		FROM mine l
		CROSS JOIN LATERAL (
			SELECT l.id, NULL::timestamptz, i.occurred_at, i.kind || coalesce(' "' || i.content || '"', '')
			FROM leadflow.activities i
			JOIN leadflow.activity_kinds ik ON ik.kind = i.kind AND ik.expects_reply
			WHERE i.lead_id = l.id AND i.voided_at IS NULL
				AND i.occurred_at = leadflow._unanswered_at(l.id, greatest(l.last_touch_at,
					CASE WHEN l.category NOT IN ('handoff', 'sales') THEN l.stage_since END), instant)
			ORDER BY i.id
			LIMIT 1
		) i
		WHERE l.category <> 'out' AND l.last_engaged_at > coalesce(l.last_touch_at, '-infinity')
		UNION ALL
		SELECT 4, 'decide', l.id, k.due_at, h.offered_at, 'accept or reject: ' || h.why
		FROM mine l
		CROSS JOIN LATERAL (
			SELECT h.offered_at, h.why
			FROM leadflow.handoffs h
			WHERE h.lead_id = l.id AND h.decided_at IS NULL
			ORDER BY h.id DESC
			LIMIT 1
		) h
		LEFT JOIN LATERAL (
			SELECT nullif(min(k.due_at), 'infinity') AS due_at FROM clocks k WHERE k.lead_id = l.id AND k.metric = 'time_to_accept'
		) k ON true
		WHERE l.category = 'handoff' AND coalesce(k.due_at >= midnight, true)
		UNION ALL
		-- what waits in a queue of theirs
		(SELECT 5, 'claim', h.lead_id, (SELECT nullif(min(k.due_at), 'infinity') FROM leadflow.sla_clocks k WHERE k.lead_id = h.lead_id AND k.stopped_at IS NULL),
			h.offered_at, 'waits in queue ' || h.queue
		FROM leadflow.handoffs h
		JOIN leadflow.queues q ON q.name = h.queue
		JOIN leadflow.team_members m ON m.id = me AND m.active
		WHERE h.decided_at IS NULL AND h.owner_id IS NULL AND h.why NOT IN ('imported', 'quiet load')
			AND CASE WHEN EXISTS (SELECT FROM leadflow.queue_members e WHERE e.queue_id = q.id)
				THEN EXISTS (SELECT FROM leadflow.queue_members e WHERE e.queue_id = q.id AND e.member_id = me)
				ELSE m.team = 'sales' END
		ORDER BY leadflow.score(h.lead_id, instant) DESC NULLS LAST, h.lead_id
		LIMIT 20)
		UNION ALL
		SELECT 6, 'vote', r.lead_id, least(r.due_at, (
			SELECT min(k.due_at) FROM leadflow.sla_clocks k WHERE k.lead_id = r.lead_id AND k.review_id = r.id AND k.stopped_at IS NULL)), r.opened_at,
			'rejected: ' || concat_ws(', ', r.reason, r.note) || CASE WHEN r.contested_at IS NULL THEN '' ELSE '; contested' || coalesce(': ' || r.contest_note, '') END
		FROM leadflow.reviews r
		WHERE voter AND r.closed_at IS NULL
			AND NOT EXISTS (SELECT FROM leadflow._review_parties p WHERE p.review_id = r.id AND p.member_id = me)
			AND NOT EXISTS (SELECT FROM leadflow.review_votes b WHERE b.review_id = r.id AND b.reviewer_id = me)
		UNION ALL
		SELECT 7, 'contest', r.lead_id, r.due_at, r.opened_at, 'rejected: ' || concat_ws(', ', r.reason, r.note)
		FROM leadflow.reviews r
		WHERE r.campaign_owner_id = me AND r.closed_at IS NULL AND r.contested_at IS NULL
		UNION ALL
		(SELECT 8, 'hand_off', l.id, NULL, l.stage_since, 'an MQL that nobody has handed over'
		FROM campaign l
		WHERE l.stage = 'mql'
		ORDER BY leadflow.score(l.id, instant) DESC, l.id
		LIMIT 20)
		UNION ALL
		SELECT 9, 'hot', l.id, NULL, coalesce(l.last_touch_at, l.stage_since),
			CASE WHEN l.last_touch_at IS NULL THEN 'hot, no touch yet' ELSE 'hot, last touch ' || extract(day FROM instant - l.last_touch_at) || ' days ago' END
		FROM mine l
		JOIN leadflow.scoring_models m ON m.status = 'active'
		WHERE l.category IN ('handoff', 'sales') AND coalesce(l.last_touch_at, '-infinity') < instant - interval '72 hours'
			AND leadflow.score(l.id, instant) >= m.hot_from
			AND NOT EXISTS (SELECT FROM clocks k WHERE k.lead_id = l.id AND k.due_at < midnight)
		UNION ALL
		SELECT 10, 'revisit', l.id, l.revisit_on::timestamp AT TIME ZONE (SELECT g.time_zone FROM leadflow.settings g), l.stage_since, 'comes back from nurture'
		FROM (SELECT l.id, l.stage, l.revisit_on, l.stage_since FROM mine l UNION SELECT l.id, l.stage, l.revisit_on, l.stage_since FROM campaign l) l
		WHERE l.stage = 'nurture' AND l.revisit_on::timestamp AT TIME ZONE (SELECT g.time_zone FROM leadflow.settings g) < week
		UNION ALL
		(SELECT 11, 'almost_mql', v.lead_id, NULL, v.last_engaged_at, v.mql_blocked_by
		FROM leadflow.almost_mql v
		WHERE v.owner_id = me
		ORDER BY v.points_missing, v.lead_id
		LIMIT 20)
	)
	SELECT t.kind, t.lead_id, l.full_name, coalesce(l.company, a.name), l.stage, leadflow.score(l.id, instant), t.due_at, t.since_at, t.what
	FROM todo t
	JOIN leadflow.leads l ON l.id = t.lead_id AND l.erased_at IS NULL
	LEFT JOIN leadflow.accounts a ON a.id = l.account_id
	ORDER BY t.urgency, t.due_at, leadflow.score(l.id, instant) DESC, t.lead_id;
END
$$;
COMMENT ON FUNCTION leadflow.my_day(bigint, timestamptz) IS
'What a member has to do, the most urgent first; a lead may be in it several times. kind: clock (a promise that is overdue or due today: on a lead of theirs, but for sales what marketing promised of a lead that it has; what marketing promised, on an MQL or nurture lead of their campaign), reply (it waits for an answer), decide (offered, undecided, not due today), claim (waits in a queue of theirs: the 20 hottest), vote (a rejection that they may review and have not voted on), contest (a rejected lead of their campaign), hand_off (MQLs of their campaigns: the 20 hottest), hot (a lead of theirs in sales'' hands that is hot and was not touched for 72 hours), revisit (comes back from nurture within 7 days: theirs, or of their campaign), almost_mql (of their campaign, the 20 nearest). due_at = deadline or NULL; since_at = since when it waits. Days are those of settings.time_zone; what is there is as of now, what is due and the score as of at. Only leads that the caller sees; needs SELECT on the tables. 22023 for an unknown member, NULL, or an instant that is not finite. O(leads of the member and of their campaigns).';
