/*-------------------------------------------------------------------------
 * agreement.c
 *	  How the functions about agreement on models, which are PL/pgSQL, work with
 *	  the engine's rights.
 *
 * Approvals are written by the engine alone, and whoever edits a rule withdraws
 * them without having any right to their table.  SECURITY DEFINER would be the
 * wrong owner (the function's instead of the tables') and would not pass the
 * triggers of what the engine owns.  Who the client is, is asked of the outer
 * role, here as in actor.c.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "actor.h"
#include "errors.h"
#include "spi.h"

/* The function that does the work of another: approve_model → _engine_approve_model. */
static Oid
counterpart(Oid function)
{
	const char *name = get_func_name(function);
	Oid		   *types;
	int			ntypes;

	if (name == NULL)
		elog(ERROR, "cache lookup failed for function %u", function);
	(void) get_func_signature(function, &types, &ntypes);
	while (*name == '_')
		name++;
	return LookupFuncName(list_make2(makeString(LEADFLOW_SCHEMA), makeString(psprintf("_engine_%s", name))),
						  ntypes, types, false);
}

/*
 * Runs the counterpart of the function that was called, with the same arguments,
 * as the engine.  Nobody else needs a right to call it.
 */
PG_FUNCTION_INFO_V1(leadflow_as_engine);
Datum
leadflow_as_engine(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(call, FUNC_MAX_ARGS);
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	FmgrInfo	function;
	Datum		result;

	fmgr_info(counterpart(fcinfo->flinfo->fn_oid), &function);
	InitFunctionCallInfoData(*call, &function, fcinfo->nargs, fcinfo->fncollation, fcinfo->context, NULL);
	memcpy(call->args, fcinfo->args, sizeof(NullableDatum) * fcinfo->nargs);
	engine_enter(&engine);
	MemoryContextSwitchTo(caller);	/* where the result belongs */
	result = FunctionCallInvoke(call);
	engine_leave(&engine);
	fcinfo->isnull = call->isnull;
	return result;
}

/* _acts_as(member_id) → boolean: is the client that member, or one who acts for others? */
PG_FUNCTION_INFO_V1(leadflow_acts_as);
Datum
leadflow_acts_as(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(actor_is_member(PG_GETARG_INT64(0)) || actor_may_act_for_others());
}
