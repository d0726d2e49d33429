-- How long leads wait: from the inquiry to the first conversation, and in each stage.

-- Of the hand-offs of a cycle the first after it became an MQL for the last time: one that was
-- taken back because its evidence was voided is not waited for. What a merge has moved is no hand-off.
CREATE OR REPLACE VIEW leadflow._speed_to_lead WITH (security_invoker = true) AS
SELECT DISTINCT ON (h.lead_id, h.merged_from, h.cycle)
	h.lead_id,
	h.merged_from,
	h.cycle,
	-- the first time that it raised its hand, or expected a reply, or did anything
	coalesce((
		SELECT coalesce(
			min(a.occurred_at) FILTER (WHERE a.kind = ANY (k.hand_raises) AND EXISTS (
				SELECT
				FROM leadflow.scoring_rules r
				WHERE r.model_id = h.model_id AND r.hand_raise AND r.active AND r.activity_kind = a.kind
					AND (r.condition IS NULL OR leadflow._condition_holds(r.condition, jsonb_build_object(
						'content', a.content,
						'campaign', (SELECT p.code FROM leadflow.campaigns p WHERE p.id = a.campaign_id),
						'properties', a.properties))))),
			min(a.occurred_at) FILTER (WHERE a.kind = ANY (k.inbounds)),
			min(a.occurred_at))
		FROM leadflow.activities a
		WHERE a.lead_id = h.lead_id AND a.voided_at IS NULL AND a.occurred_at <= h.entered_at
			AND (h.cycle = 1 OR a.occurred_at > w.since_at) AND a.kind = ANY (k.engagements)),
		CASE WHEN h.cycle = 1 THEN least(l.created_at, h.entered_at) END) AS inquiry_at,
	w.mql_at,
	h.entered_at AS handed_off_at,
	-- who touches what waits for somebody has it
	least(t.assigned_at, t.first_touch_at) AS assigned_at,
	t.first_touch_at,
	(
		SELECT a.occurred_at
		FROM leadflow.activities a
		WHERE a.lead_id = h.lead_id AND a.voided_at IS NULL AND a.kind = ANY (k.conversations)
			AND a.occurred_at BETWEEN h.entered_at AND coalesce(w.until_at, 'infinity')
		ORDER BY a.occurred_at
		LIMIT 1) AS first_contact_at,
	o.owner_id,
	o.queue,
	h.persona
FROM leadflow.stage_history h
JOIN leadflow.leads l ON l.id = h.lead_id
JOIN leadflow.stages s ON s.name = h.to_stage AND s.category = 'handoff'
LEFT JOIN leadflow.stages f ON f.name = h.from_stage
CROSS JOIN (
	SELECT
		ARRAY(SELECT DISTINCT r.activity_kind FROM leadflow.scoring_rules r WHERE r.hand_raise) AS hand_raises,
		ARRAY(SELECT k.kind FROM leadflow.activity_kinds k WHERE k.role = 'engagement' AND k.expects_reply) AS inbounds,
		ARRAY(SELECT k.kind FROM leadflow.activity_kinds k WHERE k.role = 'engagement') AS engagements,
		ARRAY(SELECT k.kind FROM leadflow.activity_kinds k WHERE k.two_way) AS conversations
	OFFSET 0
) k
CROSS JOIN LATERAL (
	SELECT
		-- its own, else a duplicate's that was merged with it
		coalesce(
			max(x.entered_at) FILTER (WHERE x.qualifies AND x.merged_from IS NOT DISTINCT FROM h.merged_from),
			max(x.entered_at) FILTER (WHERE x.qualifies AND h.merged_from IS NULL)) AS mql_at,
		min(x.entered_at) FILTER (WHERE x.cycle = h.cycle AND x.merged_from IS NOT DISTINCT FROM h.merged_from) AS since_at,
		-- a duplicate's last cycle ends with the lead's
		min(x.entered_at) FILTER (WHERE x.cycle > h.cycle AND x.entered_at > h.entered_at
			AND (x.merged_from IS NULL OR x.merged_from = h.merged_from)) AS until_at
	FROM (
		SELECT
			y.entered_at,
			y.cycle,
			y.merged_from,
			y.to_stage = 'mql' AND y.cycle = h.cycle AND (y.entered_at, y.id) < (h.entered_at, h.id)
				AND (y.team, y.reason) IS DISTINCT FROM ('system', 'merged') AS qualifies
		FROM leadflow.stage_history y
		WHERE y.lead_id = h.lead_id
	) x
) w
CROSS JOIN LATERAL (
	SELECT
		-- imports and quiet loads wait for nobody
		min(CASE WHEN b.why IN ('imported', 'quiet load') THEN b.offered_at ELSE b.assigned_at END)
			FILTER (WHERE b.merged_from IS NOT DISTINCT FROM h.merged_from) AS assigned_at,
		min(b.first_touch_at) FILTER (WHERE b.first_touch_at <= coalesce(w.until_at, 'infinity')) AS first_touch_at
	FROM leadflow.handoffs b
	WHERE b.lead_id = h.lead_id AND b.offered_at BETWEEN h.entered_at AND coalesce(w.until_at, 'infinity')
) t
LEFT JOIN LATERAL (
	-- who had it at the first touch, or has it
	SELECT b.owner_id, b.queue
	FROM leadflow.handoffs b
	WHERE b.lead_id = h.lead_id AND b.merged_from IS NOT DISTINCT FROM h.merged_from
		AND b.offered_at BETWEEN h.entered_at AND coalesce(t.first_touch_at, w.until_at, 'infinity')
	ORDER BY b.offered_at DESC, b.id DESC
	LIMIT 1
) o ON true
WHERE f.category IS DISTINCT FROM 'handoff' AND (h.team, h.reason) IS DISTINCT FROM ('system', 'merged')
ORDER BY h.lead_id, h.merged_from, h.cycle, w.mql_at DESC NULLS LAST, h.entered_at, h.id;
COMMENT ON VIEW leadflow._speed_to_lead IS 'Internal. One row a cycle of a lead in which it was handed to sales (key: lead_id, merged_from, cycle).';
COMMENT ON COLUMN leadflow._speed_to_lead.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow._speed_to_lead.merged_from IS 'Id of the duplicate whose cycle it was; NULL = the lead''s own.';
COMMENT ON COLUMN leadflow._speed_to_lead.cycle IS 'Cycle (stage_history.cycle).';
COMMENT ON COLUMN leadflow._speed_to_lead.inquiry_at IS 'Inquiry, as speed_to_lead says.';
COMMENT ON COLUMN leadflow._speed_to_lead.mql_at IS 'When it became an MQL last before that.';
COMMENT ON COLUMN leadflow._speed_to_lead.handed_off_at IS 'When it was handed to sales.';
COMMENT ON COLUMN leadflow._speed_to_lead.assigned_at IS 'When somebody had it: was given it, or touched it before; NULL = nobody has.';
COMMENT ON COLUMN leadflow._speed_to_lead.first_touch_at IS 'First sales touch from then to the end of the cycle.';
COMMENT ON COLUMN leadflow._speed_to_lead.first_contact_at IS 'First two-way activity from then to the end of the cycle.';
COMMENT ON COLUMN leadflow._speed_to_lead.owner_id IS 'Who had it at the first touch; without one, who was given it last.';
COMMENT ON COLUMN leadflow._speed_to_lead.queue IS 'Queue that it came through to that member, or waits in.';
COMMENT ON COLUMN leadflow._speed_to_lead.persona IS 'Persona when it was handed over.';

CREATE OR REPLACE VIEW leadflow.speed_to_lead WITH (security_invoker = true) AS
SELECT
	c.lead_id,
	c.inquiry_at,
	c.mql_at,
	c.handed_off_at,
	c.first_touch_at,
	c.first_contact_at,
	date_part('epoch', c.assigned_at - c.handed_off_at) / 3600 AS routing_hours,
	date_part('epoch', c.first_touch_at - c.assigned_at) / 3600 AS response_hours,
	CASE
		WHEN m.calendar_id IS NULL THEN date_part('epoch', c.first_touch_at - c.assigned_at)
		ELSE date_part('epoch', leadflow.business_time(m.calendar_id, c.assigned_at, c.first_touch_at))
	END / 3600 AS response_business_hours,
	c.owner_id,
	m.full_name AS owner,
	CASE
		WHEN c.first_touch_at <= c.assigned_at + interval '5 minutes' THEN '0-5'
		WHEN c.first_touch_at <= c.assigned_at + interval '15 minutes' THEN '5-15'
		WHEN c.first_touch_at <= c.assigned_at + interval '1 hour' THEN '15-60'
		WHEN c.first_touch_at IS NOT NULL THEN '60+'
	END AS band,
	c.assigned_at,
	date_part('epoch', c.handed_off_at - c.inquiry_at) / 3600 AS marketing_hours,
	CASE WHEN c.mql_at IS NOT NULL THEN
		date_part('epoch', greatest(c.mql_at, c.inquiry_at) - c.inquiry_at) / 3600 END AS qualifying_hours,
	date_part('epoch', c.first_touch_at - c.inquiry_at) / 3600 AS total_hours,
	CASE WHEN c.first_contact_at IS NOT NULL THEN
		date_part('epoch', greatest(c.first_contact_at, c.assigned_at) - c.assigned_at) / 3600 END AS contact_hours,
	k.name AS calendar,
	c.queue,
	c.cycle,
	l.full_name,
	coalesce(l.company, a.name) AS company,
	l.stage,
	l.source,
	l.campaign_id,
	g.name AS campaign,
	c.persona
FROM (
	SELECT DISTINCT ON (v.lead_id) v.*
	FROM leadflow._speed_to_lead v
	ORDER BY v.lead_id, v.handed_off_at DESC, v.cycle DESC, v.merged_from NULLS FIRST
) c
JOIN leadflow.leads l ON l.id = c.lead_id
LEFT JOIN leadflow.team_members m ON m.id = c.owner_id
LEFT JOIN leadflow.calendars k ON k.id = m.calendar_id
LEFT JOIN leadflow.accounts a ON a.id = l.account_id
LEFT JOIN leadflow.campaigns g ON g.id = l.campaign_id;
COMMENT ON VIEW leadflow.speed_to_lead IS 'One row a lead that was handed to sales (key: lead_id): how long it waited for whom, in the last cycle in which it was handed over, from the first hand-off of that cycle. marketing_hours + routing_hours + response_hours = total_hours. Voided activities never were. speed_to_lead_monthly counts the cycles before, too.';
COMMENT ON COLUMN leadflow.speed_to_lead.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.speed_to_lead.inquiry_at IS 'When the lead asked: in this cycle and up to the hand-off its first activity that raises its hand (by a rule of the model then in force), else its first that expects a reply, else its first engagement; else, in the first cycle, its creation. NULL = it did nothing in this cycle.';
COMMENT ON COLUMN leadflow.speed_to_lead.mql_at IS 'When it became an MQL, last before the hand-off; NULL = it was handed over without.';
COMMENT ON COLUMN leadflow.speed_to_lead.handed_off_at IS 'When it was handed to sales: it entered category handoff.';
COMMENT ON COLUMN leadflow.speed_to_lead.first_touch_at IS 'First sales touch at or after the hand-off, up to the end of the cycle; NULL = none.';
COMMENT ON COLUMN leadflow.speed_to_lead.first_contact_at IS 'First two-way activity at or after the hand-off, up to the end of the cycle; NULL = none.';
COMMENT ON COLUMN leadflow.speed_to_lead.routing_hours IS 'Hours from the hand-off until somebody had it (assigned_at), around the clock: what it waited in a queue. NULL = nobody has it.';
COMMENT ON COLUMN leadflow.speed_to_lead.response_hours IS 'Hours from assigned_at to the first touch, around the clock; NULL = no touch.';
COMMENT ON COLUMN leadflow.speed_to_lead.response_business_hours IS 'The same in the calendar of owner, who had it at the first touch (team_members.calendar_id as it is now; around the clock without one), even where somebody else had the lead before. Pauses (sla_pauses) count in full: sla_status.elapsed_hours leaves them out. NULL = no touch.';
COMMENT ON COLUMN leadflow.speed_to_lead.owner_id IS 'Who had it at the first touch (team_members.id); without one, who was given it last in that cycle. NULL = nobody.';
COMMENT ON COLUMN leadflow.speed_to_lead.owner IS 'Name of that member.';
COMMENT ON COLUMN leadflow.speed_to_lead.band IS 'Minutes of response_hours: 0-5, 5-15, 15-60 or 60+, each with its upper end (5 minutes sharp are 0-5); NULL = no touch.';
COMMENT ON COLUMN leadflow.speed_to_lead.assigned_at IS 'When somebody was first given it, or touched it while it waited; NULL = neither. Imports and quiet loads: the hand-off.';
COMMENT ON COLUMN leadflow.speed_to_lead.marketing_hours IS 'Hours from the inquiry to the hand-off, around the clock; NULL = no inquiry.';
COMMENT ON COLUMN leadflow.speed_to_lead.qualifying_hours IS 'Those of marketing_hours up to the MQL, 0 = it was one before; the rest is the wait for the hand-off. NULL = no inquiry, or no MQL.';
COMMENT ON COLUMN leadflow.speed_to_lead.total_hours IS 'Hours from the inquiry to the first touch, around the clock: what the lead has waited. NULL = no inquiry, or no touch.';
COMMENT ON COLUMN leadflow.speed_to_lead.contact_hours IS 'Hours from assigned_at to the first contact, around the clock, 0 = before; NULL = none.';
COMMENT ON COLUMN leadflow.speed_to_lead.calendar IS 'Name of the owner''s calendar; NULL = around the clock.';
COMMENT ON COLUMN leadflow.speed_to_lead.queue IS 'Queue that it came through, or waits in (queues.name); NULL = none.';
COMMENT ON COLUMN leadflow.speed_to_lead.cycle IS 'Cycle that it is about: how often the lead had been recycled before, plus one.';
COMMENT ON COLUMN leadflow.speed_to_lead.full_name IS 'Name of the lead.';
COMMENT ON COLUMN leadflow.speed_to_lead.company IS 'Company as the lead wrote it, else the account''s name.';
COMMENT ON COLUMN leadflow.speed_to_lead.stage IS 'Stage that the lead is in now (stages.name).';
COMMENT ON COLUMN leadflow.speed_to_lead.source IS 'Where the lead came from; NULL = unknown.';
COMMENT ON COLUMN leadflow.speed_to_lead.campaign_id IS 'Campaign that sourced the lead (campaigns.id); NULL = none.';
COMMENT ON COLUMN leadflow.speed_to_lead.campaign IS 'Name of that campaign.';
COMMENT ON COLUMN leadflow.speed_to_lead.persona IS 'Persona of the lead when it was handed over; NULL = none.';

CREATE OR REPLACE VIEW leadflow.speed_to_lead_monthly WITH (security_invoker = true) AS
SELECT
	c.month_start,
	c.owner_id,
	m.full_name AS owner,
	count(*) AS handed_off,
	count(c.assigned_at) AS assigned,
	count(c.first_touch_at) AS touched,
	count(c.first_contact_at) AS contacted,
	count(*) FILTER (WHERE c.wait <= '5 minutes') AS touched_0_5,
	count(*) FILTER (WHERE c.wait > '5 minutes' AND c.wait <= '15 minutes') AS touched_5_15,
	count(*) FILTER (WHERE c.wait > '15 minutes' AND c.wait <= '1 hour') AS touched_15_60,
	count(*) FILTER (WHERE c.wait > '1 hour') AS touched_60_up,
	count(*) FILTER (WHERE c.wait <= '5 minutes')::double precision / nullif(count(c.wait), 0) AS share_0_5,
	count(*) FILTER (WHERE c.wait > '5 minutes' AND c.wait <= '15 minutes')::double precision / nullif(count(c.wait), 0) AS share_5_15,
	count(*) FILTER (WHERE c.wait > '15 minutes' AND c.wait <= '1 hour')::double precision / nullif(count(c.wait), 0) AS share_15_60,
	count(*) FILTER (WHERE c.wait > '1 hour')::double precision / nullif(count(c.wait), 0) AS share_60_up,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', c.handed_off_at - c.inquiry_at) / 3600) AS marketing_p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY date_part('epoch', c.handed_off_at - c.inquiry_at) / 3600) AS marketing_p95_hours,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', c.assigned_at - c.handed_off_at) / 3600) AS routing_p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY date_part('epoch', c.assigned_at - c.handed_off_at) / 3600) AS routing_p95_hours,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', c.wait) / 3600) AS response_p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY date_part('epoch', c.wait) / 3600) AS response_p95_hours,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY c.business_hours) AS response_business_p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY c.business_hours) AS response_business_p95_hours,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', c.first_touch_at - c.inquiry_at) / 3600) AS total_p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY date_part('epoch', c.first_touch_at - c.inquiry_at) / 3600) AS total_p95_hours
FROM (
	SELECT
		v.*,
		date_trunc('month', v.handed_off_at AT TIME ZONE g.time_zone)::date AS month_start,
		v.first_touch_at - v.assigned_at AS wait,
		CASE
			WHEN b.calendar_id IS NULL THEN date_part('epoch', v.first_touch_at - v.assigned_at)
			ELSE date_part('epoch', leadflow.business_time(b.calendar_id, v.assigned_at, v.first_touch_at))
		END / 3600 AS business_hours
	FROM leadflow._speed_to_lead v
	CROSS JOIN leadflow.settings g
	LEFT JOIN leadflow.team_members b ON b.id = v.owner_id
) c
LEFT JOIN leadflow.team_members m ON m.id = c.owner_id
GROUP BY c.month_start, c.owner_id, m.full_name;
COMMENT ON VIEW leadflow.speed_to_lead_monthly IS 'One row a month of hand-offs (in settings.time_zone) and owner (key: month_start, owner_id; NULL is a value of its own): how fast leads were answered. Counts each cycle of a lead in which it was handed over, in the month of its hand-off, by the definitions of speed_to_lead. Bands: minutes from when somebody had it to the first touch, each with its upper end. Percentiles are interpolated, and don''t add up over rows.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.month_start IS 'First day of the month of the hand-off, in settings.time_zone.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.owner_id IS 'Who had the lead at the first touch (team_members.id); without one, who was given it last. NULL = nobody.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.owner IS 'Name of that member.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.handed_off IS 'Leads handed over.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.assigned IS 'Number of those that somebody had, by now.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.touched IS 'Number of those that sales has touched; the sum of the four bands.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.contacted IS 'Number of those with a conversation.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.touched_0_5 IS 'Touched within 5 minutes.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.touched_5_15 IS 'Touched after more than 5, within 15 minutes.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.touched_15_60 IS 'Touched after more than 15, within 60 minutes.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.touched_60_up IS 'Touched after more than 60 minutes.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.share_0_5 IS 'touched_0_5 / touched, 0 to 1; NULL = none touched.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.share_5_15 IS 'touched_5_15 / touched.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.share_15_60 IS 'touched_15_60 / touched.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.share_60_up IS 'touched_60_up / touched.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.marketing_p50_hours IS 'Median hours from the inquiry to the hand-off, around the clock.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.marketing_p95_hours IS '95th percentile of the same.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.routing_p50_hours IS 'Median hours from the hand-off until somebody had it, around the clock.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.routing_p95_hours IS '95th percentile of the same.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.response_p50_hours IS 'Median hours from then to the first touch, around the clock, of touched.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.response_p95_hours IS '95th percentile of the same.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.response_business_p50_hours IS 'Median of the same in the owners'' calendars, as speed_to_lead.response_business_hours: pauses count in full.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.response_business_p95_hours IS '95th percentile of that.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.total_p50_hours IS 'Median hours from the inquiry to the first touch, around the clock.';
COMMENT ON COLUMN leadflow.speed_to_lead_monthly.total_p95_hours IS '95th percentile of the same.';

-- A duplicate's history stays a chain of its own.
CREATE OR REPLACE VIEW leadflow.stage_durations WITH (security_invoker = true) AS
SELECT
	h.lead_id,
	h.stage,
	s.label,
	s.category,
	h.entered_at,
	h.left_at,
	date_part('epoch', greatest(coalesce(h.left_at, leadflow.now()), h.entered_at) - h.entered_at) / 3600 AS spent_hours,
	h.from_stage,
	h.next_stage,
	CASE
		WHEN h.left_at IS NULL THEN 'still there'
		WHEN h.next_stage IS NULL THEN 'merged'
		ELSE 'left'
	END AS outcome,
	h.cycle,
	h.actor_id,
	m.full_name AS actor,
	h.team,
	h.reason,
	h.history_id
FROM (
	SELECT
		x.lead_id,
		x.to_stage AS stage,
		x.entered_at,
		x.left_at,
		x.from_stage,
		x.cycle,
		x.actor_id,
		x.team,
		x.reason,
		x.id AS history_id,
		lead(x.to_stage) OVER (PARTITION BY x.lead_id, x.merged_from ORDER BY x.entered_at, x.id) AS next_stage
	FROM leadflow.stage_history x
) h
JOIN leadflow.leads l ON l.id = h.lead_id
LEFT JOIN leadflow.stages s ON s.name = h.stage
LEFT JOIN leadflow.team_members m ON m.id = h.actor_id;
COMMENT ON VIEW leadflow.stage_durations IS 'One row a visit of a lead to a stage (key: history_id): how long it was there, around the clock. stage_durations_monthly sums it up.';
COMMENT ON COLUMN leadflow.stage_durations.lead_id IS 'Lead (leads.id).';
COMMENT ON COLUMN leadflow.stage_durations.stage IS 'Stage (stages.name).';
COMMENT ON COLUMN leadflow.stage_durations.label IS 'Its name as shown to people.';
COMMENT ON COLUMN leadflow.stage_durations.category IS 'Its category: marketing, handoff, sales, won, lost, recycle or out.';
COMMENT ON COLUMN leadflow.stage_durations.entered_at IS 'When the lead entered it.';
COMMENT ON COLUMN leadflow.stage_durations.left_at IS 'When it left; NULL = it is still there.';
COMMENT ON COLUMN leadflow.stage_durations.spent_hours IS 'Hours from entering to leaving or now, around the clock; 0 = it only passed through.';
COMMENT ON COLUMN leadflow.stage_durations.from_stage IS 'Stage that it came from; NULL = it began here.';
COMMENT ON COLUMN leadflow.stage_durations.next_stage IS 'Stage that it went to; NULL = none.';
COMMENT ON COLUMN leadflow.stage_durations.outcome IS 'left, still there, or merged (the visit of a duplicate, cut short by the merge).';
COMMENT ON COLUMN leadflow.stage_durations.cycle IS 'How often the lead had been recycled before, plus one.';
COMMENT ON COLUMN leadflow.stage_durations.actor_id IS 'Who moved it there (team_members.id); NULL = the engine or an administrator.';
COMMENT ON COLUMN leadflow.stage_durations.actor IS 'Name of that member.';
COMMENT ON COLUMN leadflow.stage_durations.team IS 'Who moved it there: system, admin, marketing, sales or leadership.';
COMMENT ON COLUMN leadflow.stage_durations.reason IS 'Reason given for entering.';
COMMENT ON COLUMN leadflow.stage_durations.history_id IS 'The visit (stage_history.id).';

CREATE OR REPLACE VIEW leadflow.stage_durations_monthly WITH (security_invoker = true) AS
SELECT
	date_trunc('month', d.entered_at AT TIME ZONE g.time_zone)::date AS month_start,
	d.stage,
	d.label,
	d.category,
	count(*) AS visits,
	count(*) FILTER (WHERE d.outcome = 'left') AS completed,
	count(*) FILTER (WHERE d.outcome = 'still there') AS still_there,
	count(*) FILTER (WHERE d.outcome = 'merged') AS merged,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY d.spent_hours) FILTER (WHERE d.outcome = 'left') AS p50_hours,
	percentile_cont(0.95) WITHIN GROUP (ORDER BY d.spent_hours) FILTER (WHERE d.outcome = 'left') AS p95_hours,
	percentile_cont(0.5) WITHIN GROUP (ORDER BY d.spent_hours) FILTER (WHERE d.outcome = 'still there') AS still_there_p50_hours
FROM leadflow.stage_durations d
CROSS JOIN leadflow.settings g
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW leadflow.stage_durations_monthly IS 'One row a month in which leads entered a stage (in settings.time_zone) and stage (key: month_start, stage): how long they stayed, around the clock. visits = completed + still_there + merged; a lead counts for each visit. Reads all history.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.month_start IS 'First day of the month in which the stage was entered, in settings.time_zone.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.stage IS 'Stage (stages.name).';
COMMENT ON COLUMN leadflow.stage_durations_monthly.label IS 'Its name as shown to people.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.category IS 'Its category.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.visits IS 'Times that it was entered.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.completed IS 'Number of those after which it was left for another stage.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.still_there IS 'Number of those that last.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.merged IS 'Number of those of duplicates that a merge cut short.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.p50_hours IS 'Median hours of the completed ones, around the clock; while many last it is too short: see still_there.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.p95_hours IS '95th percentile of the same, interpolated.';
COMMENT ON COLUMN leadflow.stage_durations_monthly.still_there_p50_hours IS 'Median hours so far of those that last.';
