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
					WHEN h.from_stage = 'rejected' THEN 'handed over again after its rejection'
					WHEN h.team <> 'system' THEN 'handed over by '
						|| coalesce((SELECT m.full_name FROM leadflow.team_members m WHERE m.id = h.actor_id), 'an administrator')
						|| coalesce(': ' || h.note, '')
				END,
				CASE
					WHEN e.id IS NULL THEN 'no engagement yet'
					WHEN e.id IS DISTINCT FROM t.id THEN 'last ' || e.kind || coalesce(' "' || e.content || '"', '')
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
					WHERE o.lead_id = l.id
					ORDER BY o.offered_at DESC, o.id DESC
					OFFSET CASE WHEN l.stage = ANY (x.in_hand) THEN 1 ELSE 0 END
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
			SELECT h.from_stage, h.team, h.actor_id, h.note, h.trigger_activity_id
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
		WHERE a.lead_id = l.id AND a.id = h.trigger_activity_id
		ORDER BY a.occurred_at DESC
		LIMIT 1
	) t ON true
	LEFT JOIN LATERAL (
		SELECT a.id, a.kind, a.content, a.occurred_at
		FROM leadflow.activities a
		WHERE a.lead_id = l.id AND a.voided_at IS NULL AND a.kind = ANY (x.kinds)
		ORDER BY a.occurred_at DESC, a.id DESC
		LIMIT 1
	) e ON true
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
