/*-------------------------------------------------------------------------
 * reconcile.c
 *	  Makes what is kept anew from what was written.
 *
 * For after a time without triggers: session_replication_role = replica, a
 * restore with --disable-triggers, DROP EXTENSION … CASCADE.  Silent: nobody is
 * promoted, routed or told.  History cannot be made up; a lead whose history is missing or
 * ends elsewhere gets the one row that its present stage is.
 *
 * Everything at once is done with score_state locked against writers.  A range
 * of leads is done beside them: first the leads are found that anything
 * is wrong with, without a lock; then their rows are locked as by everybody, in id order,
 * each lead's before its state row; then whatever is to be written is derived from
 * a snapshot taken after that.  What is locked is few, as damage is.
 *
 * Limits: who writes without triggers at the same time is not seen.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"

#include "clock_store.h"
#include "contact.h"
#include "credit_store.h"
#include "event_store.h"
#include "flush.h"
#include "ids.h"
#include "model_store.h"
#include "outbox.h"
#include "rescore.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"

static void
lock_leads(const IdSet *leads)
{
	for (int i = 0; i < leads->n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) row_lock_named("leads", leads->ids[i], LockTupleNoKeyExclusive);
		(void) row_lock_named("score_state", leads->ids[i], LockTupleNoKeyExclusive);
	}
}

/* Makes the state rows that are missing. */
static void
add_missing(Datum ids)
{
	static EngineStatement statement = {
		"SELECT l.id, CASE WHEN l.stage IN ('lead', 'nurture') THEN $2 WHEN l.stage = 'mql' THEN $3 ELSE 0 END"
		" FROM leadflow.leads l WHERE l.id = ANY ($1)"
		" AND NOT EXISTS (SELECT FROM leadflow.score_state s WHERE s.lead_id = l.id) ORDER BY l.id",
		3, {INT8ARRAYOID, INT4OID, INT4OID}
	};
	Datum		values[] = {ids, Int32GetDatum(WATCH_GATE), Int32GetDatum(WATCH_HANDOFF)};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	int64	   *leads;
	int		   *watch;
	bool	   *imported;
	int			n;

	engine_enter(&engine);
	n = (int) engine_query(&statement, values, NULL);
	leads = MemoryContextAllocHuge(caller, sizeof(int64) * Max(n, 1));
	watch = MemoryContextAllocHuge(caller, sizeof(int) * Max(n, 1));
	imported = MemoryContextAllocHuge(caller, sizeof(bool) * Max(n, 1));
	for (int r = 0; r < n; r++)
	{
		bool		isnull;

		leads[r] = spi_int64(r, 1);
		imported[r] = true;
		watch[r] = DatumGetInt32(spi_value(r, 2, &isnull));
	}
	engine_leave(&engine);
	if (n > 0)
	{
		score_leads_added(leads, watch, imported, n);
		/* nobody asks for the gate */
		(void) event_take(model_active(), &n);
	}
}

/* History, hand-offs and what is watched, as the leads' stages say. */
static void
repair_stages(Datum ids)
{
	static EngineStatement orphans = {
		"DELETE FROM leadflow.score_state s WHERE s.lead_id = ANY ($1)"
		" AND NOT EXISTS (SELECT FROM leadflow.leads l WHERE l.id = s.lead_id)", 1, {INT8ARRAYOID}
	};
	static EngineStatement history = {
		"INSERT INTO leadflow.stage_history (lead_id, entered_at, to_stage, team, cycle)"
		" SELECT l.id, l.stage_since, l.stage, 'system',"
		"  coalesce((SELECT s.cycle FROM leadflow.score_state s WHERE s.lead_id = l.id), 1)"
		" FROM leadflow.leads l WHERE l.id = ANY ($1)"
		" AND NOT EXISTS (SELECT FROM leadflow.stage_history h WHERE h.lead_id = l.id AND h.merged_from IS NULL)", 1, {INT8ARRAYOID}
	};
	static EngineStatement left = {
		"UPDATE leadflow.stage_history h SET left_at = greatest(l.stage_since, h.entered_at)"
		" FROM leadflow.leads l WHERE l.id = ANY ($1)"
		" AND l.id = h.lead_id AND h.left_at IS NULL AND h.to_stage <> l.stage", 1, {INT8ARRAYOID}
	};
	static EngineStatement entered = {
		"INSERT INTO leadflow.stage_history (lead_id, entered_at, from_stage, to_stage, team, cycle)"
		" SELECT l.id, greatest(l.stage_since, h.left_at), h.to_stage, l.stage, 'system', h.cycle"
		" FROM leadflow.leads l CROSS JOIN LATERAL (SELECT * FROM leadflow.stage_history h"
		"  WHERE h.lead_id = l.id AND h.merged_from IS NULL ORDER BY h.entered_at DESC, h.id DESC LIMIT 1) h"
		" WHERE l.id = ANY ($1) AND h.left_at IS NOT NULL", 1, {INT8ARRAYOID}
	};
	static EngineStatement cycle = {
		"UPDATE leadflow.score_state s SET cycle = h.cycle, cycle_since = h.since"
		" FROM (SELECT DISTINCT ON (h.lead_id) h.lead_id, h.cycle,"
		"   CASE WHEN h.cycle > 1 THEN min(h.entered_at) OVER (PARTITION BY h.lead_id, h.cycle) END AS since"
		"  FROM leadflow.stage_history h WHERE h.lead_id = ANY ($1)"
		"   AND NOT EXISTS (SELECT FROM leadflow.stage_history m WHERE m.lead_id = h.lead_id AND m.merged_from IS NOT NULL)"
		"  ORDER BY h.lead_id, h.cycle DESC) h"
		" WHERE h.lead_id = s.lead_id AND (s.cycle, s.cycle_since) IS DISTINCT FROM (h.cycle, h.since)",
		1, {INT8ARRAYOID}
	};
	static EngineStatement decided = {
		"UPDATE leadflow.handoffs h SET decided_at = greatest(l.stage_since, h.offered_at), decision = l.stage"
		" FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage"
		" WHERE l.id = ANY ($1) AND l.id = h.lead_id AND h.decided_at IS NULL AND s.category <> 'handoff'",
		1, {INT8ARRAYOID}
	};
	static EngineStatement offered = {
		"INSERT INTO leadflow.handoffs (lead_id, offered_at, owner_id, why)"
		" SELECT l.id, l.stage_since, l.owner_id, 'imported' FROM leadflow.leads l"
		" JOIN leadflow.stages s ON s.name = l.stage AND s.category = 'handoff' WHERE l.id = ANY ($1)"
		" AND NOT EXISTS (SELECT FROM leadflow.handoffs h WHERE h.lead_id = l.id AND h.decided_at IS NULL)",
		1, {INT8ARRAYOID}
	};
	static EngineStatement owned = {
		"UPDATE leadflow.handoffs h SET owner_id = l.owner_id,"
		"  assigned_at = CASE WHEN l.owner_id IS NOT NULL THEN coalesce(h.assigned_at, h.offered_at) END"
		" FROM leadflow.leads l WHERE l.id = ANY ($1) AND l.id = h.lead_id AND h.decided_at IS NULL"
		" AND h.owner_id IS DISTINCT FROM l.owner_id", 1, {INT8ARRAYOID}
	};
	static EngineStatement watch = {
		"UPDATE leadflow.score_state s SET watch = w.watch"
		" FROM (SELECT l.id, (CASE WHEN l.stage IN ('lead', 'nurture') THEN $2 WHEN l.stage = 'mql' THEN $3 ELSE 0 END)"
		"  | (CASE WHEN EXISTS (SELECT FROM leadflow.handoffs h WHERE h.lead_id = l.id)"
		"     OR EXISTS (SELECT FROM leadflow.sla_clocks c WHERE c.lead_id = l.id AND c.metric = 'next_response')"
		"    THEN $4 ELSE o.watch & $4 END)"
		"  | (o.watch & $5)"		/* credit_store sees to that */
		"  | (CASE WHEN l.stage IN ('mql', 'sql') THEN o.watch & $6 ELSE 0 END)"
		"  | (CASE WHEN l.owner_id IS NOT NULL OR EXISTS (SELECT FROM leadflow.accounts a"
		"     WHERE a.id = l.account_id AND a.status = 'customer') THEN $7 ELSE 0 END) AS watch"
		"  FROM leadflow.leads l JOIN leadflow.score_state o ON o.lead_id = l.id WHERE l.id = ANY ($1)) w"
		" WHERE w.id = s.lead_id AND s.watch <> w.watch",
		7, {INT8ARRAYOID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID}
	};
	static EngineStatement reviewed = {
		"UPDATE leadflow.reviews r SET closed_by = 'moved', closed_at = greatest(r.opened_at,"
		"  (SELECT h.left_at FROM leadflow.stage_history h WHERE h.lead_id = r.lead_id AND h.id = r.history_id))"
		" WHERE r.lead_id = ANY ($1) AND r.closed_at IS NULL AND NOT EXISTS (SELECT FROM leadflow.stage_history h"
		"  WHERE h.lead_id = r.lead_id AND h.id = r.history_id AND h.left_at IS NULL)", 1, {INT8ARRAYOID}
	};
	static EngineStatement enrolled = {
		"UPDATE leadflow.nurture_enrolments e SET left_at = h.left_at,"
		"  left_for = (SELECT n.to_stage FROM leadflow.stage_history n WHERE n.lead_id = h.lead_id"
		"   AND n.merged_from IS NOT DISTINCT FROM h.merged_from"
		"   AND (n.entered_at, n.id) > (h.entered_at, h.id) ORDER BY n.entered_at, n.id LIMIT 1)"
		" FROM leadflow.stage_history h WHERE e.lead_id = ANY ($1) AND h.lead_id = e.lead_id"
		"  AND h.entered_at = e.enrolled_at AND h.to_stage = 'nurture' AND h.merged_from IS NOT DISTINCT FROM e.merged_from"
		"  AND NOT EXISTS (SELECT FROM leadflow.stage_history o WHERE o.lead_id = e.lead_id"
		"   AND o.entered_at = e.enrolled_at AND o.to_stage = 'nurture'"
		"   AND o.merged_from IS NOT DISTINCT FROM e.merged_from AND o.left_at IS NOT DISTINCT FROM e.left_at)", 1, {INT8ARRAYOID}
	};
	static EngineStatement elsewhere = {
		"UPDATE leadflow.nurture_enrolments e SET left_at = greatest(e.enrolled_at, l.stage_since), left_for = l.stage"
		" FROM leadflow.leads l WHERE e.lead_id = ANY ($1) AND e.left_at IS NULL"
		" AND l.id = e.lead_id AND l.stage <> 'nurture'", 1, {INT8ARRAYOID}
	};
	EngineContext engine;

	engine_enter(&engine);
	engine_plan_by_index();
	engine_execute(&orphans, &ids, NULL);
	engine_execute(&history, &ids, NULL);
	engine_execute(&left, &ids, NULL);
	engine_execute(&entered, &ids, NULL);
	engine_execute(&cycle, &ids, NULL);
	engine_execute(&decided, &ids, NULL);
	engine_execute(&offered, &ids, NULL);
	engine_execute(&owned, &ids, NULL);
	engine_execute(&reviewed, &ids, NULL);
	engine_execute(&enrolled, &ids, NULL);
	engine_execute(&elsewhere, &ids, NULL);
	engine_execute(&watch, (Datum[]) {ids, Int32GetDatum(WATCH_GATE), Int32GetDatum(WATCH_HANDOFF),
									  Int32GetDatum(WATCH_TOUCH), Int32GetDatum(WATCH_CREDIT),
									  Int32GetDatum(WATCH_EVIDENCE), Int32GetDatum(WATCH_OWNED)}, NULL);
	engine_leave(&engine);
	outbox_repair(ids);
}

static void
rebuild_all(IdSet *damaged)
{
	int64	   *handed;
	int			n;

	LockRelationOid(engine_relation("score_state"), ShareRowExclusiveLock);
	if (damaged->n > 0)
	{
		Datum		ids = int8_array(damaged->ids, damaged->n);

		add_missing(ids);
		repair_stages(ids);
		contact_repair(damaged->ids, damaged->n);
	}
	state_rescore(model_active());
	/* whom nobody has handed over has clocks, too */
	handed = score_watched(WATCH_TOUCH, &n);
	for (int i = 0; i < n; i++)
		ids_add(damaged, handed[i]);
	ids_sort(damaged);
	clock_settle(damaged->ids, damaged->n);
	(void) credit_rebuild();
}

static void
rebuild_range(int64 from, int64 to, IdSet *damaged, const IdSet *deals)
{
	static const IdSet nobody = {0};
	const Model *model;
	IdSet		more;
	Datum		ids;

	LockRelationOid(engine_relation("score_state"), RowExclusiveLock);
	model = model_active();
	/* more than verify() can see */
	more = state_differing(model, from, to);
	for (int i = 0; i < more.n; i++)
		ids_add(damaged, more.ids[i]);
	more = credit_leads(deals, &nobody);
	for (int i = 0; i < more.n; i++)
		ids_add(damaged, more.ids[i]);
	ids_sort(damaged);
	if (damaged->n == 0 && deals->n == 0)
		return;

	lock_leads(damaged);
	ids = int8_array(damaged->ids, damaged->n);
	add_missing(ids);
	repair_stages(ids);
	/* writes to these alone, as to the others there is nothing to write */
	state_rescore_range(model, from, to);
	clock_settle(damaged->ids, damaged->n);
	contact_repair(damaged->ids, damaged->n);
	credit_repair(deals, damaged);
}

/* _rebuild(from_lead, to_lead, leads, deals) → void */
PG_FUNCTION_INFO_V1(leadflow_rebuild);
Datum
leadflow_rebuild(PG_FUNCTION_ARGS)
{
	IdSet		leads = {0};
	IdSet		deals = {0};

	flush_settle();
	if (!PG_ARGISNULL(2))
		leads = array_ids(PG_GETARG_ARRAYTYPE_P(2));
	if (!PG_ARGISNULL(3))
		deals = array_ids(PG_GETARG_ARRAYTYPE_P(3));
	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		rebuild_all(&leads);
	else
		rebuild_range(PG_ARGISNULL(0) ? PG_INT64_MIN : PG_GETARG_INT64(0),
					  PG_ARGISNULL(1) ? PG_INT64_MAX : PG_GETARG_INT64(1), &leads, &deals);
	PG_RETURN_VOID();
}
