/*-------------------------------------------------------------------------
 * sla_check.c
 *	  The sweep, check_sla().
 *
 * The sweep makes nothing true: sla_status shows a breach at the instant it
 * happens, whether or not anybody looked.  It announces what has become true
 * since the last time, lets leads come back whose date has come, and gives waiting
 * leads to whoever is there by now.  It may
 * be run late, twice or by two at once: each announcement is made once.
 *
 * First the leads, then the clocks: moving waits for locks, announcing
 * doesn't (sweep_store.c), so the sweep never holds a clock while it waits.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "contact_store.h"
#include "errors.h"
#include "event_store.h"
#include "flush.h"
#include "guc.h"
#include "ids.h"
#include "outbox.h"
#include "review.h"
#include "row_lock.h"
#include "sweep_store.h"
#include "transition.h"

static void
add_leads(IdSet *set, const int64 *leads, int n)
{
	for (int i = 0; i < n; i++)
		ids_add(set, leads[i]);
}

/* check_sla(at) → (warned, breached, escalated, revisited) */
PG_FUNCTION_INFO_V1(leadflow_check_sla);
Datum
leadflow_check_sla(PG_FUNCTION_ARGS)
{
	TimestampTz at;
	int64	   *revisits;
	int			nrevisits;
	int64	   *reviews;
	int			nreviews;
	int64	   *waiting;
	int			nwaiting;
	IdSet		leads = {0};
	int			quiet;
	TimestampTz before;
	Announced	announced;
	Datum		values[4];
	bool		nulls[4] = {false};

	require_argument(fcinfo, 0, "the instant of check_sla()");
	at = PG_GETARG_TIMESTAMPTZ(0);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the instant of check_sla() must be finite")));

	quiet = quiet_suspend();
	revisits = sweep_revisits(at, &nrevisits);
	reviews = review_overdue(at, &nreviews);
	waiting = claim_waiting(at, &nwaiting);
	/* all leads are locked; now their state rows, and then come the queues that moves go through */
	add_leads(&leads, revisits, nrevisits);
	add_leads(&leads, reviews, nreviews);
	add_leads(&leads, waiting, nwaiting);
	ids_sort(&leads);
	for (int i = 0; i < leads.n; i++)
		(void) row_lock_named("score_state", leads.ids[i], LockTupleNoKeyExclusive);
	if (nrevisits > 0)
		transition_revisit(revisits, nrevisits);
	if (nreviews > 0)
		review_expire(reviews, nreviews);
	/* what this transaction wrote is to count, and gates that open now wait for locks now */
	flush_settle();
	(void) claim_release(waiting, nwaiting, at);
	announced = sweep_announce(at);
	quiet_resume(quiet);
	outbox_purge(at);
	if (outbox_retention(at, &before))
		reservations_purge(before);
	if (outbox_due(at))
		outbox_wake();

	values[0] = Int64GetDatum(announced.warned);
	values[1] = Int64GetDatum(announced.breached);
	values[2] = Int64GetDatum(announced.escalated);
	values[3] = Int64GetDatum(nrevisits);
	InitMaterializedSRF(fcinfo, 0);
	tuplestore_putvalues(((ReturnSetInfo *) fcinfo->resultinfo)->setResult,
						 ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, values, nulls);
	return (Datum) 0;
}
