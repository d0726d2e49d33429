/*-------------------------------------------------------------------------
 * reconcile.c
 *	  Makes everything that is kept anew from what was written.
 *
 * For after a time without triggers: session_replication_role = replica, a
 * restore with --disable-triggers, DROP EXTENSION … CASCADE.  Silent: nobody is
 * promoted, routed or told.  History cannot be made up; a lead whose history is missing or
 * ends elsewhere gets the one row that its present stage is.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "storage/lmgr.h"

#include "clock_store.h"
#include "credit_store.h"
#include "model_store.h"
#include "rescore.h"
#include "score_store.h"
#include "spi.h"

/* Makes the state rows that are missing. */
static void
add_missing(void)
{
	static EngineStatement statement = {
		"SELECT l.id, CASE WHEN l.stage IN ('lead', 'nurture') THEN $1 WHEN l.stage = 'mql' THEN $2 ELSE 0 END"
		" FROM leadflow.leads l"
		" WHERE NOT EXISTS (SELECT FROM leadflow.score_state s WHERE s.lead_id = l.id) ORDER BY l.id",
		2, {INT4OID, INT4OID}
	};
	Datum		bits[] = {Int32GetDatum(WATCH_GATE), Int32GetDatum(WATCH_HANDOFF)};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	int64	   *leads;
	int		   *watch;
	uint64		n;

	engine_enter(&engine);
	n = engine_query(&statement, bits, NULL);
	leads = MemoryContextAllocHuge(caller, sizeof(int64) * Max(n, 1));
	watch = MemoryContextAllocHuge(caller, sizeof(int) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
	{
		bool		isnull;

		leads[r] = spi_int64(r, 1);
		watch[r] = DatumGetInt32(spi_value(r, 2, &isnull));
	}
	engine_leave(&engine);
	if (n > 0)
		score_leads_added(leads, watch, (int) n);
}

/* _rebuild() → void */
PG_FUNCTION_INFO_V1(leadflow_rebuild);
Datum
leadflow_rebuild(PG_FUNCTION_ARGS)
{
	static EngineStatement orphans = {
		"DELETE FROM leadflow.score_state s"
		" WHERE NOT EXISTS (SELECT FROM leadflow.leads l WHERE l.id = s.lead_id)", 0, {0}
	};
	static EngineStatement watch = {
		"UPDATE leadflow.score_state s SET watch = w.watch"
		" FROM (SELECT l.id, (CASE WHEN l.stage IN ('lead', 'nurture') THEN $1 WHEN l.stage = 'mql' THEN $2 ELSE 0 END)"
		"  | (CASE WHEN EXISTS (SELECT FROM leadflow.handoffs h WHERE h.lead_id = l.id) THEN $3 ELSE 0 END)"
		"  | (o.watch & $4)"		/* credit_rebuild() sees to that */
		"  | (CASE WHEN l.stage IN ('mql', 'sql') THEN o.watch & $5 ELSE 0 END) AS watch"
		"  FROM leadflow.leads l JOIN leadflow.score_state o ON o.lead_id = l.id) w"
		" WHERE w.id = s.lead_id AND s.watch <> w.watch",
		5, {INT4OID, INT4OID, INT4OID, INT4OID, INT4OID}
	};
	static EngineStatement left = {
		"UPDATE leadflow.stage_history h SET left_at = greatest(l.stage_since, h.entered_at)"
		" FROM leadflow.leads l WHERE l.id = h.lead_id AND h.left_at IS NULL AND h.to_stage <> l.stage", 0, {0}
	};
	static EngineStatement entered = {
		"INSERT INTO leadflow.stage_history (lead_id, entered_at, from_stage, to_stage, team, cycle)"
		" SELECT l.id, greatest(l.stage_since, h.left_at), h.to_stage, l.stage, 'system', h.cycle"
		" FROM leadflow.leads l CROSS JOIN LATERAL (SELECT * FROM leadflow.stage_history h"
		"  WHERE h.lead_id = l.id ORDER BY h.entered_at DESC, h.id DESC LIMIT 1) h"
		" WHERE h.left_at IS NOT NULL", 0, {0}
	};
	static EngineStatement decided = {
		"UPDATE leadflow.handoffs h SET decided_at = greatest(l.stage_since, h.offered_at), decision = l.stage"
		" FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage"
		" WHERE l.id = h.lead_id AND h.decided_at IS NULL AND s.category <> 'handoff'", 0, {0}
	};
	static EngineStatement offered = {
		"INSERT INTO leadflow.handoffs (lead_id, offered_at, owner_id, why)"
		" SELECT l.id, l.stage_since, l.owner_id, 'imported' FROM leadflow.leads l"
		" JOIN leadflow.stages s ON s.name = l.stage AND s.category = 'handoff'"
		" WHERE NOT EXISTS (SELECT FROM leadflow.handoffs h WHERE h.lead_id = l.id AND h.decided_at IS NULL)", 0, {0}
	};
	static EngineStatement history = {
		"INSERT INTO leadflow.stage_history (lead_id, entered_at, to_stage, team, cycle)"
		" SELECT l.id, l.stage_since, l.stage, 'system', 1 FROM leadflow.leads l"
		" WHERE NOT EXISTS (SELECT FROM leadflow.stage_history h WHERE h.lead_id = l.id)", 0, {0}
	};
	EngineContext engine;
	int64	   *leads;
	int			n;

	LockRelationOid(engine_relation("score_state"), ShareRowExclusiveLock);
	add_missing();
	engine_enter(&engine);
	engine_execute(&orphans, NULL, NULL);
	engine_execute(&history, NULL, NULL);
	engine_execute(&left, NULL, NULL);
	engine_execute(&entered, NULL, NULL);
	engine_execute(&decided, NULL, NULL);
	engine_execute(&offered, NULL, NULL);
	engine_execute(&watch, (Datum[]) {Int32GetDatum(WATCH_GATE), Int32GetDatum(WATCH_HANDOFF),
									  Int32GetDatum(WATCH_TOUCH), Int32GetDatum(WATCH_CREDIT),
									  Int32GetDatum(WATCH_EVIDENCE)}, NULL);
	engine_leave(&engine);

	state_rescore(model_active());
	leads = score_watched(WATCH_TOUCH, &n);
	if (n > 0)
		clock_settle(leads, n);
	(void) credit_rebuild();
	PG_RETURN_VOID();
}
