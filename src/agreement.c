/*-------------------------------------------------------------------------
 * agreement.c
 *	  Entry points of the functions about agreement on models and service levels,
 *	  which are PL/pgSQL: each runs its counterpart, _do_… by name, with what SQL
 *	  alone can't give it.
 *
 * Approvals are written by the engine alone, and whoever edits a rule withdraws
 * them without having any right to their table.  SECURITY DEFINER would be the
 * wrong owner (the function's instead of the tables') and would not pass the
 * triggers of what the engine owns.  Who the client is, is asked of the outer
 * role, here as in actor.c.
 *
 * A model is read at the latest snapshot, as everywhere in the engine, so that
 * model_document(load_model(…)) works in one statement.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "actor.h"
#include "errors.h"
#include "spi.h"

/* approve_model → _do_approve_model, of the same arguments */
static Oid
counterpart(Oid function)
{
	char	   *name = get_func_name(function);
	Oid		   *types;
	int			ntypes;

	if (name == NULL)
		elog(ERROR, "cache lookup failed for function %u", function);
	(void) get_func_signature(function, &types, &ntypes);
	while (*name == '_')
		name++;
	return LookupFuncName(list_make2(makeString(LEADFLOW_SCHEMA), makeString(psprintf("_do_%s", name))),
						  ntypes, types, false);
}

/* Nobody needs a right to call the counterpart itself. */
static Datum
call_counterpart(FunctionCallInfo fcinfo)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	FmgrInfo	function;
	Datum		result;

	fmgr_info(counterpart(fcinfo->flinfo->fn_oid), &function);
	InitFunctionCallInfoData(*call, &function, fcinfo->nargs, fcinfo->fncollation, fcinfo->context, NULL);
	memcpy(call->args, fcinfo->args, sizeof(NullableDatum) * fcinfo->nargs);
	result = FunctionCallInvoke(call);
	fcinfo->isnull = call->isnull;
	return result;
}

/* With the rights of the engine. */
PG_FUNCTION_INFO_V1(leadflow_as_engine);
Datum
leadflow_as_engine(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		result;

	engine_enter(&engine);
	MemoryContextSwitchTo(caller);	/* where the result belongs */
	result = call_counterpart(fcinfo);
	engine_leave(&engine);
	return result;
}

/* With the rights of the caller, at the latest snapshot. */
PG_FUNCTION_INFO_V1(leadflow_at_latest);
Datum
leadflow_at_latest(PG_FUNCTION_ARGS)
{
	Datum		result;

	CommandCounterIncrement();
	PushActiveSnapshot(engine_snapshot());
	result = call_counterpart(fcinfo);
	PopActiveSnapshot();
	return result;
}

/* _acts_as(member_id) → boolean: is the client that member, or one who acts for others? */
PG_FUNCTION_INFO_V1(leadflow_acts_as);
Datum
leadflow_acts_as(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(actor_is_member(PG_GETARG_INT64(0)) || actor_may_act_for_others());
}
