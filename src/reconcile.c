/*-------------------------------------------------------------------------
 * reconcile.c
 *	  Makes everything that is kept anew from what was written.
 *
 * For after a time without triggers: session_replication_role = replica, a
 * restore with --disable-triggers, DROP EXTENSION … CASCADE.  Silent: nobody is
 * promoted, routed or told.  History cannot be made up; a lead without any gets the one
 * row that its present stage is.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "storage/lmgr.h"

#include "clock_store.h"
#include "credit_store.h"
#include "model_store.h"
#include "score_store.h"
#include "spi.h"

/* Makes the state rows that are missing. */
static void
add_missing(void)
{
	static EngineStatement statement = {
		"SELECT l.id, CASE WHEN l.stage IN ('lead', 'nurture') THEN 1 WHEN l.stage = 'mql' THEN 16 ELSE 0 END"
		" FROM leadflow.leads l"
		" WHERE NOT EXISTS (SELECT FROM leadflow.score_state s WHERE s.lead_id = l.id) ORDER BY l.id",
		0, {0}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	int64	   *leads;
	int		   *watch;
	uint64		n;

	engine_enter(&engine);
	n = engine_query(&statement, NULL, NULL);
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
		" FROM (SELECT l.id, (CASE WHEN l.stage IN ('lead', 'nurture') THEN 1 WHEN l.stage = 'mql' THEN 16 ELSE 0 END)"
		"  | (CASE WHEN EXISTS (SELECT FROM leadflow.handoffs h WHERE h.lead_id = l.id) THEN 2 ELSE 0 END)"
		"  | (o.watch & 4)"			/* credit_rebuild() sees to that */
		"  | (CASE WHEN l.stage IN ('mql', 'sql') THEN o.watch & 8 ELSE 0 END) AS watch"
		"  FROM leadflow.leads l JOIN leadflow.score_state o ON o.lead_id = l.id) w"
		" WHERE w.id = s.lead_id AND s.watch <> w.watch", 0, {0}
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
	engine_execute(&watch, NULL, NULL);
	engine_leave(&engine);

	state_rescore(model_active());
	leads = score_watched(WATCH_TOUCH, &n);
	if (n > 0)
		clock_settle(leads, n);
	(void) credit_rebuild();
	PG_RETURN_VOID();
}
