/*-------------------------------------------------------------------------
 * activation.c
 *	  What scores follow: another active model, an edit of what it depends on, accounts.
 *
 * Whoever inserts activities holds ROW EXCLUSIVE on score_state until the end of the
 * transaction; whoever changes what scores are computed with takes SHARE ROW
 * EXCLUSIVE, and so neither misses nor doubles a point.
 *
 * Activating a model computes all scores first, beside writers, and takes that
 * lock only to write them (rescore.c).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/rel.h"

#include "actor.h"
#include "clock_store.h"
#include "columns.h"
#include "model_store.h"
#include "rescore.h"
#include "score_store.h"
#include "spi.h"

/* Between one active model and the next: nothing is to be rescored for none. */
static bool switching = false;

/* Leads of the latest rescore. */
static int64 rescored = 0;

/* rescore(model_id) → bigint, the number of leads */
PG_FUNCTION_INFO_V1(leadflow_rescore);
Datum
leadflow_rescore(PG_FUNCTION_ARGS)
{
	const Model *model = model_active();

	if (!PG_ARGISNULL(0) && PG_GETARG_INT64(0) != model->id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scoring model %lld is not active", (long long) PG_GETARG_INT64(0)),
				 errhint("score() and explain_score() take any model and need no rescore.")));
	LockRelationOid(engine_relation("score_state"), ShareRowExclusiveLock);
	PG_RETURN_INT64(state_rescore(model_active()));
}

/*
 * _model_changed() → trigger, BEFORE and AFTER … FOR EACH STATEMENT on the parts of models.  Before, the
 * active model is compiled if it is not; after, it is compared with what it is now: if it
 * changed, every score is made anew, in this statement.
 */
PG_FUNCTION_INFO_V1(leadflow_model_changed);
Datum
leadflow_model_changed(PG_FUNCTION_ARGS)
{
	static char	before[33];
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired FOR EACH STATEMENT", "_model_changed")));
	if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
	{
		/* editors take turns, lest two of them undo each other's edit and neither sees a change */
		LockRelationOid(engine_relation("scoring_models"), ShareUpdateExclusiveLock);
		strlcpy(before, model_active()->signature, sizeof(before));
		return PointerGetDatum(NULL);
	}

	if (model_active_is(before))
		return PointerGetDatum(NULL);
	CacheInvalidateRelcache(trigger->tg_relation);
	CommandCounterIncrement();
	if (!switching)
	{
		LockRelationOid(engine_relation("score_state"), ShareRowExclusiveLock);
		rescored = state_rescore(model_active());
		if (strcmp(RelationGetRelationName(trigger->tg_relation), "activity_kinds") == 0)
		{
			/* another kind may be a sales touch now */
			int			n;
			int64	   *leads = score_watched(WATCH_TOUCH, &n);

			if (n > 0)
				clock_settle(leads, n);
		}
	}
	return PointerGetDatum(NULL);
}

/* _switch_model(model_id) → bigint, the number of leads: makes it the active model */
PG_FUNCTION_INFO_V1(leadflow_switch_model);
Datum
leadflow_switch_model(PG_FUNCTION_ARGS)
{
	static EngineStatement retire = {
		"UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active'", 0, {0}};
	static EngineStatement activate = {
		"UPDATE leadflow.scoring_models SET status = 'active' WHERE id = $1", 1, {INT8OID}};
	Datum		id = PG_GETARG_DATUM(0);
	const Model *model;
	EngineContext engine;

	/* other editors, and other activations, wait; those who write activities don't */
	LockRelationOid(engine_relation("scoring_models"), ShareUpdateExclusiveLock);
	model = model_required(DatumGetInt64(id));
	PG_TRY();
	{
		state_prepare(model);
		rescored = 0;
		engine_enter(&engine);
		switching = true;
		engine_execute(&retire, NULL, NULL);
		switching = false;
		engine_execute(&activate, &id, NULL);
		engine_leave(&engine);
	}
	PG_FINALLY();
	{
		switching = false;
		state_forget();
	}
	PG_END_TRY();
	PG_RETURN_INT64(rescored);
}

/* _account_changed() → trigger, AFTER UPDATE … FOR EACH STATEMENT on accounts: leads show it in their fit. */
PG_FUNCTION_INFO_V1(leadflow_account_changed);
Datum
leadflow_account_changed(PG_FUNCTION_ARGS)
{
	static EngineStatement statement = {
		"SELECT id FROM leadflow.leads WHERE account_id = $1 ORDER BY id", 1, {INT8OID}};
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	MemoryContext caller = CurrentMemoryContext;
	TupleTableSlot *slot;
	int			attnum;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		trigger->tg_newtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER UPDATE of accounts, FOR EACH STATEMENT, with a new table",
						"_account_changed")));
	actor_check_quiet();
	attnum = column_of(RelationGetDescr(trigger->tg_relation), "id", INT8OID);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation), &TTSOpsMinimalTuple);
	tuplestore_rescan(trigger->tg_newtable);
	while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, slot))
	{
		EngineContext engine;
		bool		isnull;
		Datum		account = slot_getattr(slot, attnum, &isnull);
		int64	   *leads;
		int			n;

		engine_enter(&engine);
		n = engine_query(&statement, &account, NULL);
		leads = MemoryContextAllocHuge(caller, sizeof(int64) * Max(n, 1));
		for (int i = 0; i < n; i++)
			leads[i] = spi_int64(i, 1);
		engine_leave(&engine);
		score_leads_changed(leads, n);
		pfree(leads);
	}
	ExecDropSingleTupleTableSlot(slot);
	return PointerGetDatum(NULL);
}
