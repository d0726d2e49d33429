/*-------------------------------------------------------------------------
 * handoff.c
 *	  Leads that are given to sales, and what became of it.
 *
 * A lead in a stage of category handoff has one open row in handoffs, any other lead
 * has none.  Who gets it: whom the client named in the same statement, else whom
 * routing finds (route.c).  Under leadflow.quiet it stays with whoever has it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "clock_store.h"
#include "compat.h"
#include "guc.h"
#include "handoff.h"
#include "handoff_store.h"
#include "route.h"
#include "stage_store.h"

static bool
is_handoff(const char *category)
{
	return is(category, "handoff");
}

/* ---- into a hand-off and out of it --------------------------------------- */

/* Sales decided, or the lead was taken back. */
static void
decide(Move **moves, const LeadUpdate **changes, int n)
{
	int64	   *leads = palloc_array(int64, n);
	TimestampTz *at = palloc_array(TimestampTz, n);
	const char **decisions = palloc_array(const char *, n);
	int64	   *ids = palloc0_array(int64, n);
	Handoff    *taken = palloc0_array(Handoff, n);
	Move	  **takers = palloc_array(Move *, n);
	int			ntaken = 0;
	int			t = 0;

	for (int i = 0; i < n; i++)
	{
		leads[i] = moves[i]->lead_id;
		at[i] = moves[i]->at;
		decisions[i] = moves[i]->to_stage;
		if (changes[i] && changes[i]->old_owner != moves[i]->owner_id)
		{
			/* offered to one, decided by (or for) another: both are on record */
			bool		by_actor = moves[i]->owner_id == moves[i]->actor_id;

			decisions[i] = by_actor ? WHY_TAKEN_OVER : WHY_REASSIGNED;
			takers[ntaken] = moves[i];
			taken[ntaken].lead_id = moves[i]->lead_id;
			taken[ntaken].owner_id = moves[i]->owner_id;
			taken[ntaken].why = decisions[i];
			taken[ntaken++].decision = moves[i]->to_stage;
		}
	}
	handoff_decide(leads, at, decisions, n, ids);
	for (int i = 0; i < n; i++)
	{
		moves[i]->handoff_id = ids[i];
		if (t < ntaken && takers[t] == moves[i])
			taken[t++].offered_at = at[i];
	}
	if (ntaken)
	{
		handoff_open(taken, ntaken);
		for (int i = 0; i < ntaken; i++)
		{
			leads[i] = taken[i].lead_id;
			takers[i]->handoff_id = taken[i].id;
		}
		clock_settle(leads, ntaken);
	}
}

/*
 * Routing, for leads that have entered the hand-off; a new owner is written to
 * leads.  Only a lead that was here before has anything in its history for routing to
 * ask; one that the engine brings back from a rejection is not for who had it.
 */
static void
route(Move **moves, Handoff **handoffs, int n)
{
	RouteLead  *leads = palloc0_array(RouteLead, n);
	int64	   *ids = palloc_array(int64, n);
	int64	   *owners = palloc_array(int64, n);
	int			changed = 0;

	for (int i = 0; i < n; i++)
	{
		const Move *move = moves[i];

		leads[i].lead_id = move->lead_id;
		leads[i].owner_id = move->owner_id;
		leads[i].account_id = move->account_id;
		leads[i].another = is(move->from_category, "recycle") && strcmp(move->team, "system") == 0;
		leads[i].returns = move->owner_id != 0 || move->cycle > 1 || !is(move->from_category, "marketing");
		leads[i].counted = true;
	}
	route_leads(leads, n, clock_now());
	for (int i = 0; i < n; i++)
	{
		handoffs[i]->owner_id = leads[i].taker_id;
		handoffs[i]->queue = leads[i].queue;
		handoffs[i]->why = leads[i].why;
		if (moves[i]->owner_id == leads[i].taker_id)
			continue;
		ids[changed] = moves[i]->lead_id;
		owners[changed++] = moves[i]->owner_id = leads[i].taker_id;
	}
	if (changed)
		stage_write_owners(ids, owners, changed);
}

static void
offer(Move **moves, const LeadUpdate **changes, int n)
{
	Handoff    *handoffs = palloc0_array(Handoff, n);
	Move	  **routed = palloc_array(Move *, n);
	Handoff   **rows = palloc_array(Handoff *, n);
	int			nrouted = 0;
	const StageUpdate *update = stage_update_expected();

	for (int i = 0; i < n; i++)
	{
		const StageUpdateLead *lead = update ? stage_update_lead(update, moves[i]->lead_id) : NULL;

		handoffs[i].lead_id = moves[i]->lead_id;
		handoffs[i].offered_at = moves[i]->at;
		handoffs[i].owner_id = moves[i]->owner_id;
		if (lead && lead->routed)
		{
			handoffs[i].queue = lead->queue;
			handoffs[i].why = lead->why;
		}
		else if (moves[i]->quiet)
			handoffs[i].why = "quiet load";
		else if (changes[i] && changes[i]->owner_given)
			handoffs[i].why = "given";
		else
		{
			routed[nrouted] = moves[i];
			rows[nrouted++] = &handoffs[i];
		}
	}
	if (nrouted)
		route(routed, rows, nrouted);
	handoff_open(handoffs, n);
	for (int i = 0; i < n; i++)
	{
		moves[i]->handoff_id = handoffs[i].id;
		moves[i]->queue = handoffs[i].queue;
		moves[i]->why = handoffs[i].why;
	}
}

/*
 * The offer goes to somebody else; a lead that sales had decided on changes
 * hands with the decision.  One that was offered and is nobody's now waits in the
 * queue that it came through, else where leads go that no condition is for.
 */
static void
pass_on(Move **moves, TimestampTz *at, int n)
{
	int64	   *leads = palloc_array(int64, n);
	const char **decisions = palloc_array(const char *, n);
	int64	   *ids = palloc0_array(int64, n);
	Handoff    *handoffs = palloc0_array(Handoff, n);

	for (int i = 0; i < n; i++)
	{
		Move	   *move = moves[i];

		leads[i] = move->lead_id;
		decisions[i] = move->why ? move->why : WHY_REASSIGNED;
		if (move->owner_id == 0 && move->queue == NULL && is_handoff(move->to_category))
		{
			move->queue = handoff_last_queue(move->lead_id);
			if (move->queue == NULL)
				move->queue = route_last_queue();
		}
		handoffs[i].lead_id = move->lead_id;
		handoffs[i].owner_id = move->owner_id;
		handoffs[i].queue = move->queue;
		handoffs[i].why = decisions[i];
		handoffs[i].decision = is_handoff(move->to_category) ? NULL : move->to_stage;
	}
	/* not before the last, though somebody may have passed it on since this transaction began */
	handoff_not_before(leads, at, n);
	handoff_decide(leads, at, decisions, n, ids);
	for (int i = 0; i < n; i++)
		handoffs[i].offered_at = at[i];
	handoff_open(handoffs, n);
	for (int i = 0; i < n; i++)
		moves[i]->handoff_id = handoffs[i].id;
	clock_settle(leads, n);
}

bool
handoff_passes_on(const Move *move, const LeadUpdate *change)
{
	return change && change->old_owner != move->owner_id && move->from_category && move->to_category &&
		strcmp(move->from_category, move->to_category) == 0 &&
		(is_handoff(move->to_category) || is(move->to_category, "sales"));
}

void
handoff_moves(Move *moves, const LeadUpdate **changes, int n)
{
	Move	  **left = palloc_array(Move *, n);
	Move	  **entered = palloc_array(Move *, n);
	const LeadUpdate **of_left = palloc0_array(const LeadUpdate *, n);
	const LeadUpdate **of_entered = palloc0_array(const LeadUpdate *, n);
	Move	  **passed = palloc_array(Move *, n);
	TimestampTz *at = palloc_array(TimestampTz, n);
	int			nleft = 0;
	int			nentered = 0;
	int			npassed = 0;

	for (int i = 0; i < n; i++)
	{
		/* within the category the offer stays as it is, unless it goes to another owner */
		bool		was = is_handoff(moves[i].from_category);
		bool		now = is_handoff(moves[i].to_category);

		if (was && !now)
		{
			of_left[nleft] = changes ? changes[i] : NULL;
			left[nleft++] = &moves[i];
		}
		else if (now && !was)
		{
			of_entered[nentered] = changes ? changes[i] : NULL;
			entered[nentered++] = &moves[i];
		}
		else if (changes && handoff_passes_on(&moves[i], changes[i]))
		{
			at[npassed] = moves[i].at;
			passed[npassed++] = &moves[i];
		}
	}
	if (nleft)
		decide(left, of_left, nleft);
	if (nentered)
		offer(entered, of_entered, nentered);
	if (npassed)
		pass_on(passed, at, npassed);
}

void
handoff_imported(Move *moves, int n)
{
	Handoff    *handoffs = palloc0_array(Handoff, n);
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (!is_handoff(moves[i].to_category))
			continue;
		handoffs[count].lead_id = moves[i].lead_id;
		handoffs[count].offered_at = moves[i].at;
		handoffs[count].owner_id = moves[i].owner_id;
		handoffs[count++].why = "imported";
	}
	if (count)
		handoff_open(handoffs, count);
}

void
handoff_reassigned(Move *moves, int n)
{
	Move	  **all = palloc_array(Move *, n);
	TimestampTz *at = palloc_array(TimestampTz, n);

	for (int i = 0; i < n; i++)
	{
		all[i] = &moves[i];
		at[i] = Max(clock_now(), moves[i].at);
	}
	pass_on(all, at, n);
}

void
handoff_given_out(Move *moves, int n, TimestampTz at)
{
	int64	   *leads = palloc_array(int64, n);
	int64	   *owners = palloc_array(int64, n);
	const char **queues = palloc_array(const char *, n);
	const char **why = palloc_array(const char *, n);
	int64	   *ids = palloc_array(int64, n);

	for (int i = 0; i < n; i++)
	{
		leads[i] = moves[i].lead_id;
		owners[i] = moves[i].owner_id;
		queues[i] = moves[i].queue;
		why[i] = moves[i].why;
	}
	handoff_assign(leads, owners, queues, why, at, n, ids);
	for (int i = 0; i < n; i++)
		moves[i].handoff_id = ids[i];
	clock_settle(leads, n);
}

/* _turns(weights integer[], n integer) → integer[]: who gets each of the next n leads, by place in weights */
PG_FUNCTION_INFO_V1(leadflow_handoff_turns);
Datum
leadflow_handoff_turns(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			n = PG_GETARG_INT32(1);
	RoutingMember *members;
	Datum	   *weights;
	Datum	   *turns;
	bool	   *nulls;
	int			nmembers;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &weights, &nulls, &nmembers);
	if (n < 0 || n > 1000000 || nmembers == 0 || nmembers > 10000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("turns are for 1 to 10000 weights and 0 to 1000000 leads")));
	members = palloc0_array(RoutingMember, nmembers);
	for (int i = 0; i < nmembers; i++)
	{
		if (nulls[i] || DatumGetInt32(weights[i]) < 1 || DatumGetInt32(weights[i]) > 1000)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a weight must be between 1 and 1000")));
		members[i].weight = DatumGetInt32(weights[i]);
	}
	turns = palloc_array(Datum, n + 1);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		turns[i] = Int32GetDatum(routing_pick(members, nmembers) + 1);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(turns, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}
