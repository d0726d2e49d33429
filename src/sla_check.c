/*-------------------------------------------------------------------------
 * sla_check.c
 *	  The sweep, check_sla().
 *
 * The sweep makes nothing true: sla_status shows a breach at the instant it
 * happens, whether or not anybody looked.  It announces what has become true
 * since the last time, does what promises say of breaches, lets leads come back whose
 * date has come, and gives waiting leads to whoever is there by now.  It may
 * be run late, twice or by two at once: each thing is done once.  What a run leaves (leads
 * that somebody is writing, what its limit leaves) the next one finds.
 *
 * First the leads that are moved or given to somebody, then the clocks: all leads at once, lead rows,
 * then state rows, skipping those that somebody has; then the queues, which are waited for;
 * then what is announced, which waits for nothing but a correction of policies or calendars.  So the sweep never holds the clocks of leads that it only
 * announces while it waits.  A lead whose breach has a consequence is announced before that follows.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "compat.h"
#include "contact_store.h"
#include "errors.h"
#include "event_store.h"
#include "flush.h"
#include "guc.h"
#include "handoff_store.h"
#include "ids.h"
#include "outbox.h"
#include "review.h"
#include "route.h"
#include "row_lock.h"
#include "stage_store.h"
#include "sweep_store.h"
#include "transition.h"

/* ---- what follows from a breach ------------------------------------------ */

/* What became of a clock's breach. */
typedef enum Consequence
{
	CONSEQUENCE_NONE,
	CONSEQUENCE_DONE,
	CONSEQUENCE_PENDING			/* there is somebody to give the lead to, but not now */
} Consequence;

/* The clock after those of the same lead. */
static int
next_lead(const Overdue *overdue, int i, int n)
{
	int			next = i + 1;

	while (next < n && overdue[next].lead_id == overdue[i].lead_id)
		next++;
	return next;
}

static bool
asks_for(const Overdue *clock, const char *what)
{
	return strcmp(clock->on_breach, what) == 0;
}

/* Back to marketing: once a lead, whatever else its clocks ask for, and that is what followed from all of them. */
static void
return_leads(const Overdue *overdue, Consequence *consequences, int n)
{
	int64	   *leads = palloc_array(int64, n + 1);
	const char **stages = palloc_array(const char *, n + 1);
	int			count = 0;

	for (int i = 0, next; i < n; i = next)
	{
		bool		asked = false;

		next = next_lead(overdue, i, n);
		for (int j = i; j < next; j++)
			asked |= asks_for(&overdue[j], "return_to_marketing");
		if (!asked || !transition_may_return(overdue[i].stage))
			continue;
		for (int j = i; j < next; j++)
			consequences[j] = CONSEQUENCE_DONE;
		leads[count] = overdue[i].lead_id;
		stages[count++] = overdue[i].stage;
	}
	transition_return(leads, stages, count);
}

/* Is the lead still with who let it breach, and sales' to pass on? */
static bool
may_pass_on(const Overdue *clock)
{
	const Stage *stage = stage_find(&stage_config()->lifecycle, clock->stage);

	return asks_for(clock, "reassign") && clock->owner_id != 0 && clock->owner_id == clock->member_id &&
		stage && (is(stage->category, "handoff") || is(stage->category, "sales"));
}

/* The leads that are to be passed on: to the next of sales, but to nobody who has had them in this cycle. */
static RouteLead *
leads_to_pass_on(const Overdue *overdue, const Consequence *consequences, int n, int *nroutes)
{
	RouteLead  *routes = palloc0_array(RouteLead, n + 1);
	int64	   *leads = palloc_array(int64, n + 1);
	IdSet	   *owners = palloc0_array(IdSet, n + 1);
	int			count = 0;

	for (int i = 0, next; i < n; i = next)
	{
		bool		asked = false;

		next = next_lead(overdue, i, n);
		for (int j = i; j < next; j++)
			asked |= consequences[j] == CONSEQUENCE_NONE && may_pass_on(&overdue[j]);
		if (!asked)
			continue;
		leads[count] = overdue[i].lead_id;
		routes[count].lead_id = overdue[i].lead_id;
		routes[count].owner_id = overdue[i].owner_id;
		routes[count++].account_id = overdue[i].account_id;
	}
	*nroutes = count;
	if (count == 0)
		return NULL;
	handoff_owners(leads, count, owners);
	for (int i = 0; i < count; i++)
	{
		ids_add(&owners[i], routes[i].owner_id);
		ids_sort(&owners[i]);
		routes[i].barred = &owners[i];
	}
	return routes;
}

/* A lead that nobody is there for stays where it is; a later run asks again. */
static void
reassign_leads(const Overdue *overdue, Consequence *consequences, int n, TimestampTz at)
{
	int			count;
	RouteLead  *routes = leads_to_pass_on(overdue, consequences, n, &count);
	Assignment *assignments;
	int			given = 0;
	int			r = 0;

	if (count == 0)
		return;
	assignments = palloc0_array(Assignment, count);
	route_leads(routes, count, at);
	for (int i = 0; i < count; i++)
	{
		if (routes[i].taker_id == 0)
			continue;
		assignments[given].lead_id = routes[i].lead_id;
		assignments[given].owner_id = routes[i].taker_id;
		assignments[given].queue = routes[i].queue;
		assignments[given++].why = WHY_BREACHED;
	}
	transition_assign(assignments, given, false, at);
	for (int i = 0; i < n; i++)
	{
		while (r < count && routes[r].lead_id < overdue[i].lead_id)
			r++;
		if (r == count || routes[r].lead_id != overdue[i].lead_id || !may_pass_on(&overdue[i]))
			continue;
		if (routes[r].taker_id)
			consequences[i] = CONSEQUENCE_DONE;
		else if (routes[r].later)
			consequences[i] = CONSEQUENCE_PENDING;
	}
}

/*
 * What the promises of these leads' overdue clocks say of a breach.  What can't be done, since the lead
 * went elsewhere or there is nobody else, is told as "notify" is.
 */
static void
escalate(Sweep *sweep, const IdSet *leads)
{
	Overdue    *overdue;
	Consequence *consequences;
	bool	   *told;
	int			n;
	int			kept = 0;

	if (leads->n == 0)
		return;
	sweep_announce_leads(sweep, leads);
	overdue = sweep_overdue(sweep, leads, sweep->left, &n);
	if (n == 0)
		return;
	consequences = palloc0_array(Consequence, n);
	told = palloc_array(bool, n);
	return_leads(overdue, consequences, n);
	reassign_leads(overdue, consequences, n, sweep->at);
	for (int i = 0; i < n; i++)
	{
		if (consequences[i] == CONSEQUENCE_PENDING)
			continue;
		told[kept] = consequences[i] == CONSEQUENCE_NONE;
		overdue[kept++] = overdue[i];
	}
	sweep_escalated(sweep, overdue, told, kept);
}

/* ---- what earlier runs have left ------------------------------------------ */

/* Leads that are looked at together. */
#define LEFT_PORTION 500

/* Of these leads, adds those of which something can be done now.  Without locks: a first look. */
static void
add_actionable(const Sweep *sweep, const IdSet *leads, IdSet *found)
{
	int			n;
	Overdue    *overdue = sweep_overdue(sweep, leads, PG_INT64_MAX, &n);
	Consequence *consequences = palloc0_array(Consequence, n + 1);
	int			nroutes;
	RouteLead  *routes = leads_to_pass_on(overdue, consequences, n, &nroutes);
	int			r = 0;

	if (nroutes > 0)
		route_preview(routes, nroutes, sweep->at);
	for (int i = 0, next; i < n; i = next)
	{
		bool		actionable = false;

		next = next_lead(overdue, i, n);
		for (int j = i; j < next; j++)
			actionable |= !may_pass_on(&overdue[j]);
		while (r < nroutes && routes[r].lead_id < overdue[i].lead_id)
			r++;
		if (r < nroutes && routes[r].lead_id == overdue[i].lead_id)
			actionable |= routes[r].taker_id != 0 || !routes[r].later;
		if (actionable)
			ids_add(found, overdue[i].lead_id);
	}
}

/*
 * Leads whose breaches were announced, and have had no consequence yet: a run's limit left them, somebody was
 * writing them, or nobody was there whom they could go to.  Those of which nothing can be done now
 * are neither locked nor counted.  Where there are many, each run begins elsewhere, and goes on as long as it
 * finds something to do.
 */
static void
find_left(const Sweep *sweep, IdSet *found)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each;
	IdSet		left = {0};
	IdSet		actionable = {0};
	int			start = 0;

	sweep_find_unescalated(sweep, &left);
	if (left.n == 0)
		return;
	if (left.n > LEFT_PORTION)
		start = hash_bytes_uint32((uint32) GetCurrentTimestamp()) % left.n;
	each = AllocSetContextCreate(caller, "leadflow left over", ALLOCSET_DEFAULT_SIZES);
	for (int seen = 0, n; seen < left.n && actionable.n < sweep->left; seen += n)
	{
		int			from = (start + seen) % left.n;
		IdSet		portion = {.ids = left.ids + from};
		IdSet		some = {0};

		CHECK_FOR_INTERRUPTS();
		portion.n = n = Min(Min(left.n - from, left.n - seen), LEFT_PORTION);
		MemoryContextSwitchTo(each);
		add_actionable(sweep, &portion, &some);
		MemoryContextSwitchTo(caller);
		for (int i = 0; i < some.n && actionable.n < sweep->left; i++)
			ids_add(&actionable, some.ids[i]);
		MemoryContextReset(each);
		if (n == LEFT_PORTION && some.n == 0)
			break;
	}
	MemoryContextDelete(each);
	for (int i = 0; i < actionable.n; i++)
		ids_add(found, actionable.ids[i]);
	ids_sort(found);
}

/* ---- a run --------------------------------------------------------------- */

/* The leads that a run moves or gives to somebody. */
typedef struct Found
{
	IdSet		revisits;
	IdSet		reviews;
	IdSet		waiting;
	IdSet		overdue;
} Found;

static void
find_leads(const Sweep *sweep, Found *found)
{
	sweep_find_revisits(sweep->at, &found->revisits);
	found->reviews.ids = review_overdue(sweep->at, &found->reviews.n);
	ids_sort(&found->reviews);
	found->waiting.ids = claim_waiting(sweep->at, &found->waiting.n);
	sweep_find_breached(sweep, &found->overdue);
	find_left(sweep, &found->overdue);
}

static void
keep_held(IdSet *leads, const IdSet *held)
{
	int			kept = 0;

	for (int i = 0; i < leads->n; i++)
	{
		if (ids_contain(held, leads->ids[i]))
			leads->ids[kept++] = leads->ids[i];
	}
	leads->n = kept;
}

/* Locks them, and leaves those that somebody has to the next run. */
static void
hold_leads(Found *found)
{
	IdSet	   *const kinds[] = {&found->revisits, &found->reviews, &found->waiting, &found->overdue};
	IdSet		leads = {0};

	for (int k = 0; k < (int) lengthof(kinds); k++)
	{
		for (int i = 0; i < kinds[k]->n; i++)
			ids_add(&leads, kinds[k]->ids[i]);
	}
	ids_sort(&leads);
	leads.n = rows_lock_free("leads", leads.ids, leads.n);
	leads.n = rows_lock_free("score_state", leads.ids, leads.n);
	for (int k = 0; k < (int) lengthof(kinds); k++)
		keep_held(kinds[k], &leads);
}

/* check_sla(at, max_clocks) → (warned, breached, escalated, revisited) */
PG_FUNCTION_INFO_V1(leadflow_check_sla);
Datum
leadflow_check_sla(PG_FUNCTION_ARGS)
{
	Sweep		sweep = {0};
	Found		found = {{0}};
	int			quiet;
	TimestampTz before;
	Datum		values[4];
	bool		nulls[4] = {false};

	require_argument(fcinfo, 0, "the instant of check_sla()");
	require_argument(fcinfo, 1, "max_clocks");
	sweep.at = PG_GETARG_TIMESTAMPTZ(0);
	sweep.left = PG_GETARG_INT32(1);
	if (TIMESTAMP_NOT_FINITE(sweep.at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the instant of check_sla() must be finite"),
				 errdetail("It is %s.", timestamptz_to_str(sweep.at)),
				 errhint("Left out, it is leadflow.now().")));
	if (sweep.left <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_clocks must be greater than 0"),
				 errdetail("It is %lld.", (long long) sweep.left),
				 errhint("It limits what one run announces and escalates; the next run finds the rest.")));

	quiet = quiet_suspend();
	find_leads(&sweep, &found);
	hold_leads(&found);
	if ((found.reviews.n > 0) + (found.overdue.n > 0) + (found.waiting.n > 0) > 1)
		route_hold();
	found.revisits.n = sweep_keep_revisits(sweep.at, found.revisits.ids, found.revisits.n);
	if (found.revisits.n > 0)
		transition_revisit(found.revisits.ids, found.revisits.n);
	if (found.reviews.n > 0)
		review_expire(found.reviews.ids, found.reviews.n, sweep.at);
	/* what this transaction wrote is to count, and gates that open now wait for locks now */
	flush_settle();
	escalate(&sweep, &found.overdue);
	(void) claim_release(found.waiting.ids, found.waiting.n, sweep.at);
	sweep_announce(&sweep);
	quiet_resume(quiet);
	outbox_purge(sweep.at);
	if (outbox_retention(sweep.at, &before))
		reservations_purge(before);
	if (outbox_due(sweep.at))
		outbox_wake();

	values[0] = Int64GetDatum(sweep.warned);
	values[1] = Int64GetDatum(sweep.breached);
	values[2] = Int64GetDatum(sweep.escalated);
	values[3] = Int64GetDatum(found.revisits.n);
	InitMaterializedSRF(fcinfo, 0);
	tuplestore_putvalues(((ReturnSetInfo *) fcinfo->resultinfo)->setResult,
						 ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, values, nulls);
	return (Datum) 0;
}
