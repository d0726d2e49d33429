/*-------------------------------------------------------------------------
 * identity.c
 *	  merge_leads() and erase_lead(): two leads that are one, and one that is nobody
 *	  any more.
 *
 * Locks are taken all before anything is written, in the order in which others come
 * to them: rows of deals (who changes a deal has its row before it wants the lead),
 * activities (likewise), leads in id order, then the state rows of everybody who has a part in
 * the deals, in id order, then the clocks (clocks_hold()).  The leads are locked against references, too (FOR
 * UPDATE): a deal or a permission that is being written for the duplicate waits, and is
 * refused when the duplicate is gone.  Activities that are being written for it are refused by
 * the flush of whoever writes them.
 *
 * All is quiet: nobody is told, routed or timed anew.  Only at the end is the gate asked of
 * the merged lead, which knows more than either did.
 *
 * Limits: a deal that is given to the duplicate while the locks are taken is locked out of
 * that order; columns that a site has added to a table are neither merged nor erased; activities
 * that another transaction has inserted and not committed are not erased (once more, then).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "clock_rows.h"
#include "contact.h"
#include "credit_store.h"
#include "errors.h"
#include "flush.h"
#include "guc.h"
#include "identity_store.h"
#include "ids.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "stage_store.h"
#include "transition.h"

/* ---- who and whether ----------------------------------------------------- */

/* Does a query of one lead, with the caller's rights, return an id? */
static bool
ask_as_caller(const char *sql, int64 lead_id, int64 *id)
{
	Oid			types[] = {INT8OID};
	Datum		value = Int64GetDatum(lead_id);
	EngineContext engine;
	bool		found;

	caller_enter(&engine);
	if (SPI_execute_with_args(sql, 1, types, &value, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_with_args failed");
	found = SPI_processed > 0;
	if (found)
		*id = spi_int64(0, 1);
	engine_leave(&engine);
	return found;
}

static void
refuse_unknown(int64 lead_id)
{
	int64		into;
	bool		merged = ask_as_caller("SELECT l.id FROM leadflow.lead_aliases a"
									   " JOIN leadflow.leads l ON l.id OPERATOR(pg_catalog.=) a.lead_id"
									   " WHERE a.source OPERATOR(pg_catalog.=) 'leadflow'"
									   " AND a.key OPERATOR(pg_catalog.=) $1::pg_catalog.text", lead_id, &into);

	if (merged)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("lead %lld does not exist", (long long) lead_id),
				 errdetail("It was merged into lead %lld.", (long long) into),
				 err_constraint("leads", NULL)));
	refuse_unknown_lead(lead_id);
}

/* Row-level security decides what the caller sees; whoever may call this may do the rest. */
static void
check_visible(int64 lead_id)
{
	int64		id;

	if (!ask_as_caller("SELECT id FROM leadflow.leads WHERE id OPERATOR(pg_catalog.=) $1", lead_id, &id))
		refuse_unknown(lead_id);
}

static int64
lead_argument(FunctionCallInfo fcinfo, int i, const char *name)
{
	require_argument(fcinfo, i, name);
	return PG_GETARG_INT64(i);
}

/* ---- locks --------------------------------------------------------------- */

static void
lock_deals(const IdSet *deals)
{
	for (int i = 0; i < deals->n; i++)
		(void) row_lock_named("deals", deals->ids[i], LockTupleNoKeyExclusive);
}

/* See above; "other" is a second lead, or the same once more. */
static void
lock_all(int64 lead_id, int64 other)
{
	IdSet		deals = identity_deals(lead_id);
	IdSet		pair = {0};
	IdSet		now;
	IdSet		states;

	ids_add(&pair, lead_id);
	ids_add(&pair, other);
	ids_sort(&pair);

	lock_deals(&deals);
	identity_lock_activities(lead_id);
	for (int i = 0; i < pair.n; i++)
	{
		if (!row_lock_named("leads", pair.ids[i], LockTupleExclusive))
			refuse_unknown(pair.ids[i]);
	}
	now = identity_deals(lead_id);
	if (!ids_within(&now, &deals))
		lock_deals(&now);
	states = credit_leads(&now, &pair);
	score_watch(states.ids, states.n, 0, 0);
	clocks_hold();
}

/* ---- merge_leads() ------------------------------------------------------- */

static void
merge(Merge *merge)
{
	identity_merge_begin(merge);
	PG_TRY();
	{
		merge_facts(merge);
		if (merge->adopt)
			transition_merge(merge->keep, merge->stage, merge->at);
		merge_records(merge);
		credit_lead_created(&merge->keep, 1);
		merge_end(merge);
	}
	PG_FINALLY();
	{
		identity_merge_end();
	}
	PG_END_TRY();
}

/* merge_leads(keep, duplicate) → keep */
PG_FUNCTION_INFO_V1(leadflow_merge_leads);
Datum
leadflow_merge_leads(PG_FUNCTION_ARGS)
{
	Merge		pair = {0};
	int			quiet;

	pair.keep = lead_argument(fcinfo, 0, "keep");
	pair.duplicate = lead_argument(fcinfo, 1, "duplicate");
	if (pair.keep == pair.duplicate)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lead cannot be merged with itself"),
				 errdetail("Lead %lld was given twice.", (long long) pair.keep)));
	check_visible(pair.keep);
	check_visible(pair.duplicate);

	flush_settle();
	lock_all(pair.duplicate, pair.keep);
	merge_look(&pair);
	quiet = quiet_impose();
	merge(&pair);
	/* an activity that both had withdrew twice */
	contact_repair(&pair.keep, 1);
	quiet_resume(quiet);

	score_gate_check(&pair.keep, 1);
	flush_settle();
	PG_RETURN_INT64(pair.keep);
}

/* ---- erase_lead() -------------------------------------------------------- */

/* erase_lead(id) → void */
PG_FUNCTION_INFO_V1(leadflow_erase_lead);
Datum
leadflow_erase_lead(PG_FUNCTION_ARGS)
{
	int64		lead_id = lead_argument(fcinfo, 0, "id");
	int			quiet;

	check_visible(lead_id);
	flush_settle();
	lock_all(lead_id, lead_id);
	quiet = quiet_impose();
	identity_erase(lead_id, clock_now());
	quiet_resume(quiet);
	flush_settle();
	PG_RETURN_VOID();
}
