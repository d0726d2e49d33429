/*-------------------------------------------------------------------------
 * identity_store.c
 *	  Rows of leads that are merged or erased, in every table.
 *
 * A merge gives every row of the duplicate to the lead that is kept, and has what is
 * derived made anew from both.  What was recorded is never rewritten: the
 * duplicate's history stays the chain that it was (stage_history.merged_from), closed
 * when it is merged, and so do its hand-offs and the clocks that ended with it.
 * A clock belongs to a place in one of these chains (sla_clocks.merged_from,
 * history_id); one that goes on in the merged lead is put after the last move of the lead's own.
 *
 * sql/functions/36_identity.sql lists the tables; a test holds that list against the
 * catalog.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock_store.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "identity_store.h"
#include "score_store.h"
#include "spi.h"
#include "stage_store.h"

/* ---- for the triggers ---------------------------------------------------- */

static const Merge *current_merge = NULL;

void
identity_merge_begin(const Merge *merge)
{
	current_merge = merge;
}

void
identity_merge_end(void)
{
	current_merge = NULL;
}

bool
identity_merges(int64 from, int64 to)
{
	return current_merge && current_merge->duplicate == from && current_merge->keep == to;
}

/* ---- looking ------------------------------------------------------------- */

IdSet
identity_deals(int64 lead_id)
{
	static EngineStatement statement = {
		"SELECT d.id FROM leadflow.deals d WHERE d.lead_id = $1"
		" UNION SELECT c.deal_id FROM leadflow.deal_contacts c WHERE c.lead_id = $1 ORDER BY 1",
		1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		value = Int64GetDatum(lead_id);
	EngineContext engine;
	IdSet		deals = {0};
	uint64		n;

	engine_enter(&engine);
	n = engine_query(&statement, &value, NULL);
	MemoryContextSwitchTo(caller);
	for (uint64 r = 0; r < n; r++)
		ids_add(&deals, spi_int64(r, 1));
	engine_leave(&engine);
	return deals;
}

void
identity_lock_activities(int64 lead_id)
{
	static EngineStatement statement = {
		"SELECT FROM leadflow.activities WHERE lead_id = $1 ORDER BY occurred_at, id FOR NO KEY UPDATE",
		1, {INT8OID}
	};
	Datum		value = Int64GetDatum(lead_id);
	EngineContext engine;

	engine_enter(&engine);
	(void) engine_execute(&statement, &value, NULL);
	engine_leave(&engine);
}

/*
 * Which stage is the further one: what sales has in hand, or won, comes before what
 * marketing has, and a lead that is out stays out.  Stage lead has got nowhere yet;
 * one that was put away as a duplicate of somebody says nothing at all.
 */
void
merge_look(Merge *merge)
{
	static EngineStatement statement = {
		"SELECT l.id, l.stage, l.erased_at IS NOT NULL,"
		" greatest($3, max(l.stage_since) OVER ()),"
		" row_number() OVER (ORDER BY CASE"
		"  WHEN r.duplicate THEN 0 WHEN s.category = 'won' THEN 8 WHEN s.category = 'sales' THEN 7"
		"  WHEN s.category = 'handoff' THEN 6 WHEN s.category = 'out' THEN 5"
		"  WHEN s.category = 'marketing' AND l.stage <> 'lead' THEN 4 WHEN s.category = 'lost' THEN 3"
		"  WHEN s.category = 'recycle' THEN 2 ELSE 1 END DESC, s.position DESC, l.id <> $1)"
		" FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage"
		" CROSS JOIN LATERAL (SELECT s.category IN ('out', 'recycle') AND 'duplicate' = ANY (ARRAY("
		"  SELECT h.reason FROM leadflow.stage_history h WHERE h.lead_id = l.id AND h.merged_from IS NULL"
		"  ORDER BY h.entered_at DESC, h.id DESC LIMIT CASE s.category WHEN 'out' THEN 2 ELSE 1 END)) AS duplicate) r"
		" WHERE l.id IN ($1, $2) ORDER BY 5",
		3, {INT8OID, INT8OID, TIMESTAMPTZOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[] = {
		Int64GetDatum(merge->keep), Int64GetDatum(merge->duplicate), TimestampTzGetDatum(clock_now())
	};
	EngineContext engine;
	bool		isnull;
	uint64		n;

	engine_enter(&engine);
	n = engine_query(&statement, values, NULL);
	for (uint64 r = 0; r < n; r++)
	{
		if (DatumGetBool(spi_value(r, 3, &isnull)))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("lead %lld was erased", (long long) spi_int64(r, 1)),
					 errhint("Nobody can be merged with it."),
					 err_constraint("leads", NULL)));
	}
	if (n != 2)
		elog(ERROR, "%d leads instead of 2", (int) n);
	MemoryContextSwitchTo(caller);
	merge->adopt = spi_int64(0, 1) == merge->duplicate;
	merge->stage = spi_text(0, 2);
	merge->at = DatumGetTimestampTz(spi_value(0, 4, &isnull));
	/* the same stage for the same reason: nothing to move */
	if (merge->adopt && strcmp(merge->stage, spi_text(1, 2)) == 0)
		merge->adopt = false;
	engine_leave(&engine);
}

/* ---- merging ------------------------------------------------------------- */

/* Runs statements whose arguments are keep, duplicate, at, adopt, as far as they take them. */
static void
merge_run(EngineStatement *statements, int n, const Merge *merge)
{
	Datum		values[] = {
		Int64GetDatum(merge->keep), Int64GetDatum(merge->duplicate),
		TimestampTzGetDatum(merge->at), BoolGetDatum(merge->adopt)
	};
	EngineContext engine;

	engine_enter(&engine);
	for (int i = 0; i < n; i++)
		(void) engine_execute(&statements[i], values, NULL);
	engine_leave(&engine);
}

#define MERGE_ARGS 4, {INT8OID, INT8OID, TIMESTAMPTZOID, BOOLOID}

/* An update of leads that is no move, and from which nothing follows. */
static void
merge_silently(EngineStatement *statement, const Merge *merge)
{
	StageUpdate update = {.kind = STAGE_UPDATE_SILENT};
	StageUpdate *before = stage_update_begin(&update);

	PG_TRY();
	{
		merge_run(statement, 1, merge);
	}
	PG_FINALLY();
	{
		stage_update_end(before);
	}
	PG_END_TRY();
}

/* The duplicate leaves to the lead what that one has not. */
static void
merge_attributes(const Merge *merge)
{
	static EngineStatement statement = {
		"UPDATE leadflow.leads k SET email = coalesce(k.email, d.email), full_name = coalesce(k.full_name, d.full_name),"
		"  phone = coalesce(k.phone, d.phone), account_id = coalesce(k.account_id, d.account_id),"
		"  company = coalesce(k.company, d.company), job_title = coalesce(k.job_title, d.job_title),"
		"  industry = coalesce(k.industry, d.industry), company_size = coalesce(k.company_size, d.company_size),"
		"  budget = coalesce(k.budget, d.budget), country = coalesce(k.country, d.country),"
		"  region = coalesce(k.region, d.region),"
		"  attributes = CASE WHEN jsonb_typeof(k.attributes) = 'object' AND jsonb_typeof(d.attributes) = 'object'"
		"   THEN d.attributes || k.attributes ELSE k.attributes END,"
		"  source = coalesce(k.source, d.source), campaign_id = coalesce(k.campaign_id, d.campaign_id),"
		"  sourced_by = CASE k.sourced_by WHEN 'unknown' THEN d.sourced_by ELSE k.sourced_by END,"
		"  owner_id = coalesce(k.owner_id, d.owner_id),"
		"  do_not_contact = k.do_not_contact OR d.do_not_contact, created_at = least(k.created_at, d.created_at)"
		" FROM leadflow.leads d WHERE k.id = $1 AND d.id = $2",
		MERGE_ARGS
	};

	merge_silently(&statement, merge);
	score_leads_joined(&merge->keep, 1);
}

/*
 * What was written, and what stays on record as it is.  An activity that both have
 * (a redelivered event keeps its id) stays where it is, and goes with the duplicate.
 */
void
merge_facts(const Merge *merge)
{
	static EngineStatement statements[] = {
		{"UPDATE leadflow.activities a SET lead_id = $1 WHERE a.lead_id = $2"
			" AND NOT EXISTS (SELECT FROM leadflow.activities k"
			"  WHERE k.lead_id = $1 AND k.occurred_at = a.occurred_at AND k.id = a.id OFFSET 0)", MERGE_ARGS},
		{"UPDATE leadflow.stage_history SET lead_id = $1, merged_from = coalesce(merged_from, $2),"
			" left_at = coalesce(left_at, greatest(entered_at, $3)) WHERE lead_id = $2", MERGE_ARGS},
		{"UPDATE leadflow.score_state k SET cycle = greatest(k.cycle, d.cycle),"
			" cycle_since = greatest(k.cycle_since, d.cycle_since)"
			" FROM leadflow.score_state d WHERE k.lead_id = $1 AND d.lead_id = $2"
			" AND (d.cycle > k.cycle OR d.cycle_since > k.cycle_since"
			"  OR k.cycle_since IS NULL AND d.cycle_since IS NOT NULL)", MERGE_ARGS},
		/* keys of the duplicate; one that is somebody else's stays so */
		{"UPDATE leadflow.lead_aliases SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		{"INSERT INTO leadflow.lead_aliases (source, key, lead_id) VALUES ('leadflow', $2::text, $1)"
			" ON CONFLICT (source, key) DO UPDATE SET lead_id = excluded.lead_id", MERGE_ARGS},
		{"INSERT INTO leadflow.lead_aliases (source, key, lead_id)"
			" SELECT k.source, k.key, $1 FROM leadflow.leads d"
			" CROSS JOIN LATERAL (VALUES ('external_id', d.external_id), ('email', lower(d.email))) k (source, key)"
			" WHERE d.id = $2 AND k.key <> '' ON CONFLICT (source, key) DO NOTHING", MERGE_ARGS},
		{"UPDATE leadflow.erased_leads SET recreated_as = $1 WHERE recreated_as = $2", MERGE_ARGS},
		{"UPDATE leadflow.lead_feedback SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		/*
		 * Of each channel the latest row of the channel itself or of all counts; where that of
		 * one of the two forbids and both together would allow, it is said once more.
		 */
		{"WITH said AS (SELECT p.* FROM leadflow.contact_permissions p WHERE p.lead_id IN ($1, $2)),"
			" stand AS (SELECT c.channel, l.lead_id, (SELECT p.status FROM said p"
			"   WHERE p.lead_id = coalesce(l.lead_id, p.lead_id) AND p.channel IN (c.channel, '*')"
			"   ORDER BY p.at DESC, p.id DESC LIMIT 1) AS status"
			"  FROM (SELECT DISTINCT channel FROM said) c CROSS JOIN (VALUES ($1), ($2), (NULL)) l (lead_id))"
			" INSERT INTO leadflow.contact_permissions (lead_id, channel, status, basis, at)"
			" SELECT DISTINCT ON (s.channel) $1, s.channel, s.status, 'merged',"
			"  (SELECT greatest($3, max(p.at)) FROM said p)"
			" FROM stand s JOIN stand b ON b.channel = s.channel AND b.lead_id IS NULL AND b.status = 'granted'"
			" WHERE s.lead_id IS NOT NULL AND s.status <> 'granted' ORDER BY s.channel, s.status", MERGE_ARGS},
		{"UPDATE leadflow.contact_permissions SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		{"UPDATE leadflow.contact_reservations SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		{"UPDATE leadflow.contact_violations v SET lead_id = $1 WHERE v.lead_id = $2"
			" AND NOT EXISTS (SELECT FROM leadflow.contact_violations k WHERE k.lead_id = $1"
			"  AND k.occurred_at = v.occurred_at AND k.activity_id = v.activity_id)", MERGE_ARGS},
		{"UPDATE leadflow.deals SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		{"DELETE FROM leadflow.deal_contacts d USING leadflow.deal_contacts k"
			" WHERE d.lead_id = $2 AND k.deal_id = d.deal_id AND k.lead_id = $1", MERGE_ARGS},
		{"UPDATE leadflow.deal_contacts SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		{"UPDATE leadflow.notifications SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		/* that it is active again is told once: to whoever has it now, else what was written first */
		{"DELETE FROM leadflow.notifications n USING (SELECT x.id, row_number() OVER (PARTITION BY x.subscription_id"
			"   ORDER BY x.recipient_id IS NOT DISTINCT FROM l.owner_id DESC, x.id) AS nth"
			"  FROM leadflow.notifications x JOIN leadflow.leads l ON l.id = x.lead_id"
			"  WHERE x.lead_id = $1 AND x.event = 'lead.active_again' AND x.delivered_at IS NULL AND x.dead_at IS NULL) o"
			" WHERE n.id = o.id AND o.nth > 1 AND n.delivered_at IS NULL AND n.dead_at IS NULL", MERGE_ARGS},
		/* what waited for somebody has got an owner */
		{"UPDATE leadflow.handoffs h SET owner_id = l.owner_id, assigned_at = greatest($3, h.offered_at),"
			" why = CASE WHEN h.why IN ('imported', 'quiet load', 'reassigned') THEN h.why ELSE 'merged' END"
			" FROM leadflow.leads l WHERE l.id = $1 AND h.lead_id = $1 AND h.decided_at IS NULL AND h.owner_id IS NULL"
			" AND l.owner_id IS NOT NULL", MERGE_ARGS}
	};

	merge_attributes(merge);
	merge_run(statements, lengthof(statements), merge);
}

/*
 * What goes by the stage that the lead is in now.  Of what may be open once, that of the lead
 * goes on, or the duplicate's where its stage was taken; of two clocks of one promise
 * the one that is due earlier.
 */
void
merge_records(const Merge *merge)
{
	static EngineStatement before[] = {
		/* the offer that the merge has made goes on with the duplicate's: one that waited waits still */
		{"UPDATE leadflow.handoffs k SET why = CASE WHEN d.why IN ('imported', 'quiet load') THEN d.why ELSE 'merged' END,"
			"  queue = d.queue FROM leadflow.handoffs d"
			" WHERE $4 AND k.lead_id = $1 AND k.decided_at IS NULL AND k.why = 'quiet load' AND k.offered_at >= $3"
			" AND d.lead_id = $2 AND d.decided_at IS NULL", MERGE_ARGS},
		{"UPDATE leadflow.handoffs SET lead_id = $1, merged_from = coalesce(merged_from, $2),"
			" decision = CASE WHEN decided_at IS NULL THEN 'merged' ELSE decision END,"
			" decided_at = coalesce(decided_at, (SELECT max(h.left_at) FROM leadflow.stage_history h"
			"  WHERE h.lead_id = $1 AND h.merged_from = $2)) WHERE lead_id = $2", MERGE_ARGS},
		{"UPDATE leadflow.score_state k SET watch = (k.watch & ~" CppAsString2(WATCH_EVIDENCE) ")"
			" | (d.watch & (" CppAsString2(WATCH_TOUCH) " | " CppAsString2(WATCH_OWNED) "))"
			" | (CASE WHEN $4 THEN d.watch ELSE k.watch END & " CppAsString2(WATCH_EVIDENCE) ")"
			" FROM leadflow.score_state d WHERE k.lead_id = $1 AND d.lead_id = $2", MERGE_ARGS},
		{"UPDATE leadflow.reviews r SET closed_at = greatest($3, r.opened_at), closed_by = 'moved'"
			" WHERE r.closed_at IS NULL AND r.lead_id = CASE WHEN $4 THEN $1 ELSE $2 END", MERGE_ARGS},
		{"UPDATE leadflow.reviews r SET lead_id = $1, history_id = CASE WHEN r.closed_at IS NULL THEN"
			"  (SELECT h.id FROM leadflow.stage_history h WHERE h.lead_id = $1 AND h.left_at IS NULL) ELSE r.history_id END"
			" WHERE r.lead_id = $2", MERGE_ARGS},
		/* nobody changes the program by being merged, and what took the duplicate in takes the lead */
		{"UPDATE leadflow.nurture_enrolments k SET program_id = d.program_id, reason = d.reason, revisit_on = d.revisit_on"
			" FROM leadflow.nurture_enrolments d"
			" WHERE $4 AND k.lead_id = $1 AND k.left_at IS NULL AND d.lead_id = $2 AND d.left_at IS NULL", MERGE_ARGS},
		{"INSERT INTO leadflow.nurture_enrolments (lead_id, program_id, enrolled_at, reason, revisit_on)"
			" SELECT l.id, d.program_id, greatest($3, d.enrolled_at), d.reason, d.revisit_on"
			" FROM leadflow.leads l CROSS JOIN leadflow.nurture_enrolments d"
			" WHERE l.id = $1 AND l.stage = 'nurture' AND d.lead_id = $2 AND d.left_at IS NULL"
			" ON CONFLICT (lead_id) WHERE left_at IS NULL DO NOTHING", MERGE_ARGS},
		{"UPDATE leadflow.nurture_enrolments e SET lead_id = $1, merged_from = coalesce(e.merged_from, $2),"
			" left_for = CASE WHEN e.left_at IS NULL THEN l.stage ELSE e.left_for END,"
			" left_at = coalesce(e.left_at, greatest($3, e.enrolled_at))"
			" FROM leadflow.leads l WHERE l.id = $1 AND e.lead_id = $2", MERGE_ARGS},
		/* where the duplicate's stage was taken, what stands still goes on doing so */
		{"INSERT INTO leadflow.sla_pauses (lead_id, paused_at, until, reason, actor_id)"
			" SELECT $1, greatest(p.paused_at, $3), p.until, p.reason, p.actor_id FROM leadflow.sla_pauses p"
			" WHERE $4 AND p.lead_id = $2 AND p.merged_from IS NULL AND (p.until IS NULL OR p.until > $3)", MERGE_ARGS},
		{"DELETE FROM leadflow.sla_pauses p WHERE $4 AND p.lead_id = $2 AND p.merged_from IS NULL AND p.paused_at >= $3", MERGE_ARGS},
		{"UPDATE leadflow.sla_pauses p SET lead_id = $1, merged_from = coalesce(p.merged_from, $2),"
			"  until = CASE WHEN p.merged_from IS NOT NULL OR p.paused_at >= $3 OR p.until <= $3 THEN p.until ELSE $3 END"
			" WHERE p.lead_id = $2", MERGE_ARGS},
		{"UPDATE leadflow.sla_restatements SET lead_id = $1 WHERE lead_id = $2", MERGE_ARGS},
		/*
		 * The promise holds where the lead is still in the hands of who gave it, or in the stage that it
		 * is about.  Who wrote waits for an answer to whichever of the two it was; a case has its own end.  What
		 * goes on counts what the duplicate's history says up to here (ran_in).
		 */
		{"UPDATE leadflow.sla_clocks c SET lead_id = $1,"
			" merged_from = CASE WHEN g.goes_on OR c.metric IN ('next_response', 'time_to_review') THEN c.merged_from"
			"  ELSE coalesce(c.merged_from, $2) END,"
			" history_id = CASE WHEN g.goes_on THEN h.id ELSE c.history_id END,"
			" ran_in = array_replace(c.ran_in, 0::bigint, $2)"
			"  || CASE WHEN g.goes_on OR c.metric IN ('next_response', 'time_to_review') THEN ARRAY[$2] END"
			" FROM leadflow.stage_history h JOIN leadflow.stages s ON s.name = h.to_stage"
			" CROSS JOIN LATERAL (SELECT o.id, o.stopped_at IS NULL AND o.merged_from IS NULL AND CASE"
			"   WHEN o.metric IN ('next_response', 'time_to_review') THEN false"
			"   WHEN o.metric = 'time_to_accept' THEN s.category = 'handoff'"
			"   WHEN o.metric = 'time_to_handoff' THEN s.category = 'marketing' AND h.to_stage <> 'lead'"
			"   WHEN o.metric IN ('time_to_nurture', 'time_in_stage') THEN h.to_stage = (SELECT d.to_stage"
			"    FROM leadflow.stage_history d WHERE d.lead_id = $1 AND d.id = o.history_id)"
			"   ELSE s.category IN ('handoff', 'sales') END AS goes_on"
			"  FROM leadflow.sla_clocks o WHERE o.lead_id = $2) g"
			" WHERE h.lead_id = $1 AND h.left_at IS NULL AND c.lead_id = $2 AND g.id = c.id", MERGE_ARGS}
	};
	static EngineStatement after[] = {
		/* one of the lead's own has run in its own history all the same */
		{"UPDATE leadflow.sla_clocks c SET merged_from = $2, history_id = (SELECT max(h.id)"
			"  FROM leadflow.stage_history h WHERE h.lead_id = $1 AND h.merged_from = $2),"
			" ran_in = CASE WHEN c.ran_in[cardinality(c.ran_in)] = $2 THEN c.ran_in ELSE c.ran_in || 0::bigint END"
			" WHERE c.lead_id = $1 AND c.stopped_at IS NULL AND c.metric NOT IN ('next_response', 'time_to_review')"
			"  AND EXISTS (SELECT FROM leadflow.sla_clocks o WHERE o.lead_id = $1 AND o.stopped_at IS NULL"
			"  AND o.metric = c.metric AND (o.due_at, o.id) < (c.due_at, c.id))", MERGE_ARGS}
	};

	merge_run(before, lengthof(before), merge);
	/* by what both had done one of the promises may be kept already */
	clock_settle(&merge->keep, 1);
	merge_run(after, lengthof(after), merge);
	clock_settle(&merge->keep, 1);
}

/* The duplicate's row goes, and what only one of them may have. */
void
merge_end(const Merge *merge)
{
	static EngineStatement statement = {
		"WITH d AS (DELETE FROM leadflow.leads WHERE id = $2 RETURNING external_id, stage, revisit_on)"
		" UPDATE leadflow.leads k SET external_id = coalesce(k.external_id, d.external_id),"
		"  revisit_on = CASE WHEN $4 THEN coalesce(d.revisit_on, k.revisit_on)"
		"   WHEN d.stage = k.stage THEN coalesce(k.revisit_on, d.revisit_on)"
		"   ELSE k.revisit_on END"
		" FROM d WHERE k.id = $1",
		MERGE_ARGS
	};

	merge_silently(&statement, merge);
	score_leads_changed(&merge->keep, 1);
}

/* ---- erasing ------------------------------------------------------------- */

/*
 * Ids, instants, kinds, campaigns, assets, reasons and amounts stay: the figures are
 * made of them.  Whoever wrote a column of a site's own must empty it.
 */
void
identity_erase(int64 lead_id, TimestampTz at)
{
	/* first, from what is there still: by what the person will be known again, and counted until then */
	static EngineStatement remember = {
		"INSERT INTO leadflow.erased_leads AS e (lead_id, erased_at, key_hashes, persona)"
		" SELECT l.id, coalesce(l.erased_at, $2), leadflow._key_hashes(l.external_id, l.email, l.phone) || ARRAY("
		"   SELECT leadflow._key_hash(a.source, a.key) FROM leadflow.lead_aliases a WHERE a.lead_id = l.id"
		"   AND a.source <> 'leadflow'), p.name"
		" FROM leadflow.leads l LEFT JOIN leadflow.score_state s ON s.lead_id = l.id"
		" LEFT JOIN leadflow.personas p ON p.id = s.persona_id WHERE l.id = $1"
		/* once more, or another who has the id of one that was deleted */
		" ON CONFLICT (lead_id) DO UPDATE SET erased_at = excluded.erased_at,"
		"  persona = CASE WHEN e.erased_at = excluded.erased_at THEN e.persona ELSE excluded.persona END,"
		"  key_hashes = ARRAY(SELECT DISTINCT h FROM unnest(e.key_hashes || excluded.key_hashes) h ORDER BY h)",
		2, {INT8OID, TIMESTAMPTZOID}
	};
	static EngineStatement lead = {
		"UPDATE leadflow.leads SET external_id = NULL, email = NULL, full_name = NULL, phone = NULL, account_id = NULL,"
		" company = NULL, job_title = NULL, industry = NULL, company_size = NULL, budget = NULL, country = NULL,"
		" region = NULL, attributes = '{}', stage_note = NULL, do_not_contact = true,"
		" erased_at = coalesce(erased_at, $2) WHERE id = $1",
		2, {INT8OID, TIMESTAMPTZOID}
	};
	static EngineStatement texts[] = {
		{"DELETE FROM leadflow.lead_aliases WHERE lead_id = $1", 1, {INT8OID}},
		/* what the lead looked at is an asset of ours, what others wrote to it is not */
		{"UPDATE leadflow.activities a SET properties = NULL,"
			" content = CASE WHEN (SELECT k.role FROM leadflow.activity_kinds k WHERE k.kind = a.kind) = 'engagement'"
			"  THEN a.content END,"
			" void_reason = CASE WHEN a.voided_at IS NOT NULL THEN 'erased' END WHERE a.lead_id = $1", 1, {INT8OID}},
		{"UPDATE leadflow.stage_history SET note = NULL WHERE lead_id = $1 AND note IS NOT NULL", 1, {INT8OID}},
		{"UPDATE leadflow.lead_feedback SET comment = NULL WHERE lead_id = $1 AND comment IS NOT NULL", 1, {INT8OID}},
		{"UPDATE leadflow.reviews SET note = NULL, contest_note = NULL WHERE lead_id = $1", 1, {INT8OID}},
		{"UPDATE leadflow.review_votes v SET note = NULL FROM leadflow.reviews r"
			" WHERE r.lead_id = $1 AND v.review_id = r.id AND v.note IS NOT NULL", 1, {INT8OID}},
		/* nobody is told any more */
		{"DELETE FROM leadflow.notifications WHERE lead_id = $1 AND delivered_at IS NULL", 1, {INT8OID}},
		{"UPDATE leadflow.sla_pauses SET reason = NULL WHERE lead_id = $1 AND reason IS NOT NULL", 1, {INT8OID}},
		{"UPDATE leadflow.notifications SET payload = '{}', last_error = NULL WHERE lead_id = $1", 1, {INT8OID}},
		{"UPDATE leadflow.deals SET name = NULL, lost_reason = NULL WHERE lead_id = $1"
			" AND (name IS NOT NULL OR lost_reason IS NOT NULL)", 1, {INT8OID}},
		{"UPDATE leadflow.deal_contacts SET role = NULL WHERE lead_id = $1 AND role IS NOT NULL", 1, {INT8OID}}
	};
	Datum		values[] = {Int64GetDatum(lead_id), TimestampTzGetDatum(at)};
	StageUpdate update = {.kind = STAGE_UPDATE_SILENT};
	StageUpdate *before;
	EngineContext engine;

	engine_enter(&engine);
	(void) engine_execute(&remember, values, NULL);
	before = stage_update_begin(&update);
	PG_TRY();
	{
		(void) engine_execute(&lead, values, NULL);
	}
	PG_FINALLY();
	{
		stage_update_end(before);
	}
	PG_END_TRY();
	for (int i = 0; i < (int) lengthof(texts); i++)
		(void) engine_execute(&texts[i], values, NULL);
	engine_leave(&engine);
	/* nobody waits for an answer any more */
	clock_settle(&lead_id, 1);
	/* what qualified it is not taken back, it is not known any more */
	score_watch(&lead_id, 1, 0, WATCH_EVIDENCE);
	score_leads_changed(&lead_id, 1);
}

/* ---- who comes back ------------------------------------------------------ */

/* A table without a page is a table without a row. */
bool
identity_any_erased(void)
{
	Oid			relid = engine_relation("erased_leads");
	Relation	rel;
	bool		any;

	if (!OidIsValid(relid))
		return false;
	rel = table_open(relid, AccessShareLock);
	any = RelationGetNumberOfBlocks(rel) > 0;
	table_close(rel, AccessShareLock);
	return any;
}

void
identity_recognize(const int64 *leads, int n)
{
	static EngineStatement statement = {
		"UPDATE leadflow.erased_leads e SET recreated_as = k.id, recreated_at = $2"
		" FROM (SELECT l.id, unnest(leadflow._key_hashes(l.external_id, l.email, l.phone)) AS hash"
		"  FROM leadflow.leads l WHERE l.id = ANY ($1)) k"
		" WHERE e.key_hashes @> ARRAY[k.hash] AND e.recreated_as IS NULL",
		2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	EngineContext engine;
	Datum		values[2];

	if (n == 0)
		return;
	engine_enter(&engine);
	engine_plan_by_index();
	values[0] = int8_array(leads, n);
	values[1] = TimestampTzGetDatum(clock_now());
	(void) engine_execute(&statement, values, NULL);
	engine_leave(&engine);
}
