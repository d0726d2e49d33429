/*-------------------------------------------------------------------------
 * claim.c
 *	  Leads that wait and leads that change hands: claim_next(), what the sweep
 *	  gives out, reassign(); and routing_preview().
 *
 * A lead waits while its hand-off has no owner.  Whoever gives it to somebody
 * locks its row in leads first, skipping rows that somebody has, and then looks
 * again whether it waits; so no lead is given twice, and nobody waits for anybody.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "actor.h"
#include "claim.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "handoff_store.h"
#include "ids.h"
#include "route.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "stage_store.h"
#include "transition.h"
#include "visible.h"

/* Of each queue, how many a sweep looks at. */
#define RELEASE_BATCH 1000

/* ---- the sweep ----------------------------------------------------------- */

/* Who waits longest first, and no more than there is room for: what the sweep locks can't be claimed meanwhile. */
int64 *
claim_waiting(TimestampTz at, int *n)
{
	IdSet		leads = {0};
	int			nqueues;
	char	  **queues = waiting_queues(&nqueues);

	for (int q = 0; q < nqueues; q++)
	{
		const char *queue = queues[q] ? queues[q] : route_last_queue();
		int64		room = queue ? route_queue_room(queue, at) : 0;
		int64	   *found;
		int			nfound;

		if (room == 0)
			continue;
		found = waiting_leads(queues[q], room < 0 ? RELEASE_BATCH : (int) Min(room, RELEASE_BATCH), true, &nfound);
		for (int i = 0; i < nfound; i++)
			ids_add(&leads, found[i]);
	}
	ids_sort(&leads);
	*n = leads.n;
	return leads.ids;
}

int64
claim_release(const int64 *leads, int n, TimestampTz at)
{
	WaitingLead *waiting;
	RouteLead  *routes;
	Assignment *assignments;
	int			count = 0;
	int64		given = 0;

	if (n == 0)
		return 0;
	waiting = waiting_lock(leads, n, &n);
	if (n == 0)
		return 0;
	routes = palloc0_array(RouteLead, n);
	for (int i = 0; i < n; i++)
	{
		routes[i].lead_id = waiting[i].lead_id;
		routes[i].account_id = waiting[i].account_id;
		routes[i].returns = true;
		routes[i].another = waiting[i].another;
	}
	route_leads(routes, n, at);
	assignments = palloc0_array(Assignment, n);
	for (int i = 0; i < n; i++)
	{
		if (routes[i].taker_id == 0)
			continue;
		given++;
		assignments[count].lead_id = routes[i].lead_id;
		assignments[count].owner_id = routes[i].taker_id;
		assignments[count].queue = routes[i].queue;
		assignments[count++].why = routes[i].why;
	}
	transition_assign(assignments, count, true, at);
	return given;
}

/* ---- claim_next() -------------------------------------------------------- */

typedef struct Hot
{
	int64		lead_id;
	double		total;			/* before the last clamp, as hottest() has it */
} Hot;

static int
compare_heat(const void *a, const void *b)
{
	const Hot  *x = a;
	const Hot  *y = b;

	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return compare_ids(&x->lead_id, &y->lead_id);
}

/* The leads that wait in a queue, the hottest first. */
static Hot *
hottest_waiting(const char *queue, TimestampTz at, int *n)
{
	int64	   *leads = waiting_leads(queue, 0, false, n);
	ScoreRow   *scores = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(ScoreRow) * (*n + 1));
	bool	   *found = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(bool) * (*n + 1));
	Hot		   *hot = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Hot) * (*n + 1));

	score_read_all(leads, *n, at, scores, found);
	for (int i = 0; i < *n; i++)
	{
		hot[i].lead_id = leads[i];
		hot[i].total = found[i] ? scores[i].total : 0;
	}
	qsort(hot, *n, sizeof(Hot), compare_heat);
	return hot;
}

static const RoutingQueue *
find_queue(const RoutingConfig *config, const char *name)
{
	for (int q = 0; q < config->nqueues; q++)
	{
		if (strcmp(config->queues[q].name, name) == 0)
			return &config->queues[q];
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no queue \"%s\"", name),
			 errhint("Queues are rows of leadflow.queues.")));
	pg_unreachable();
}

static bool
is_of_queue(const RoutingConfig *config, const RoutingQueue *queue, int64 member_id)
{
	for (int i = 0; i < queue->nmembers; i++)
	{
		if (config->people[queue->members[i]].id == member_id)
			return true;
	}
	return false;
}

/* Returns the lead; 0 = none waits, or others are taking them. */
static int64
claim(const char *queue_name, int64 member_id)
{
	const RoutingConfig *config = routing_config();
	const RoutingQueue *queue = find_queue(config, queue_name);
	TimestampTz now = clock_now();
	Hot		   *hot;
	int			n;

	if (!is_of_queue(config, queue, member_id))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("team member %lld may not claim from queue \"%s\"", (long long) member_id, queue_name),
				 errdetail("The queue's members are those of leadflow.queue_members, active and with a weight; where there are none, all of team sales."),
				 errhint("Enter the member there.")));
	hot = hottest_waiting(queue_name, now, &n);
	for (int i = 0; i < n; i++)
	{
		int			locked;

		CHECK_FOR_INTERRUPTS();
		(void) waiting_lock(&hot[i].lead_id, 1, &locked);
		if (locked)
		{
			Assignment	assignment = {hot[i].lead_id, member_id, queue_name, "claimed"};

			transition_assign(&assignment, 1, true, now);
			return hot[i].lead_id;
		}
	}
	return 0;
}

/* claim_next(queue text, member text) → bigint: by e-mail; NULL = who acts */
PG_FUNCTION_INFO_V1(leadflow_claim_next);
Datum
leadflow_claim_next(PG_FUNCTION_ARGS)
{
	Actor		actor;
	int64		lead_id;

	require_argument(fcinfo, 0, "queue");
	actor = actor_given(0, "member", PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)), true);
	if (actor.member_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no member is known who could claim a lead"),
				 errhint("Give the argument member, or set leadflow.actor, to the e-mail of a team member.")));
	lead_id = claim(text_to_cstring(PG_GETARG_TEXT_PP(0)), actor.member_id);
	if (lead_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(lead_id);
}

/* claim_next(queue text, member bigint) → bigint: by id */
PG_FUNCTION_INFO_V1(leadflow_claim_next_id);
Datum
leadflow_claim_next_id(PG_FUNCTION_ARGS)
{
	const Member *member;
	int64		lead_id;

	require_argument(fcinfo, 0, "queue");
	require_argument(fcinfo, 1, "member");
	if (!actor_is_member(PG_GETARG_INT64(1)) && !actor_may_act_for_others())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not act for others", GetUserNameFromId(GetOuterUserId(), false)),
				 errhint("Members claim for themselves; roles of group …_app, superusers and the owner of the tables for anybody.")));
	member = member_by_id(stage_config(), PG_GETARG_INT64(1));
	if (member == NULL || !member->active)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("team member %lld %s", (long long) PG_GETARG_INT64(1), member ? "is not active" : "does not exist")));
	lead_id = claim(text_to_cstring(PG_GETARG_TEXT_PP(0)), member->id);
	if (lead_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(lead_id);
}

/* ---- reassign() ---------------------------------------------------------- */

static const Member *
member_known(int64 id)
{
	const Member *member = member_by_id(stage_config(), id);

	if (member == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("team member %lld does not exist", (long long) id),
				 errhint("Members are rows of leadflow.team_members.")));
	return member;
}

/* The member, leadership, and who administers or acts for others. */
static void
check_reassign(const Member *from)
{
	Actor		actor = actor_resolve(0, NULL, false);

	if (actor.member_id ? actor.member_id == from->id || actor.team == TEAM_LEADERSHIP || actor_may_import() :
		actor_may_import())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the leads of team member %lld are not yours to reassign", (long long) from->id),
			 errhint("Members hand over their own leads; those of others are handed over by team leadership and roles of groups …_app and …_admin.")));
}

/* All of a member's leads in hand; to a member, or, "to" NULL, by turns of a queue. */
static int64
hand_over(const Member *from, const Member *to, const char *queue)
{
	TimestampTz now = clock_now();
	Assignment *assignments;
	bool	   *offered;
	int64	   *leads;
	int			n;
	int			count = 0;

	check_reassign(from);
	if (to && (!to->active || to->team != TEAM_SALES))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("leads are handed over to active members of sales"),
				 errdetail("Team member %lld is %s.", (long long) to->id,
						   to->active ? psprintf("of team %s", team_name(to->team)) : "not active")));
	if (queue)
		(void) find_queue(routing_config(), queue);
	if (to && to->id == from->id)
		return 0;
	leads = member_leads(from->id, &offered, &n);
	assignments = palloc0_array(Assignment, n + 1);
	if (to)
	{
		for (int i = 0; i < n; i++)
		{
			assignments[i].lead_id = leads[i];
			assignments[i].owner_id = to->id;
		}
		count = n;
	}
	else if (n > 0)
	{
		RouteLead  *routes = palloc0_array(RouteLead, n);

		for (int i = 0; i < n; i++)
		{
			routes[i].lead_id = leads[i];
			(void) row_lock_named("score_state", leads[i], LockTupleNoKeyExclusive);
		}
		(void) route_queue(routes, n, queue, from->id, now);
		for (int i = 0; i < n; i++)
		{
			/* what sales works on has nowhere to wait */
			if (routes[i].taker_id == 0 && !offered[i])
				continue;
			assignments[count].lead_id = leads[i];
			assignments[count].owner_id = routes[i].taker_id;
			assignments[count++].queue = queue;
		}
	}
	transition_assign(assignments, count, false, now);
	return count;
}

/* reassign(from_member bigint, to_member bigint) → bigint */
PG_FUNCTION_INFO_V1(leadflow_reassign);
Datum
leadflow_reassign(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "from_member");
	require_argument(fcinfo, 1, "to_member");
	PG_RETURN_INT64(hand_over(member_known(PG_GETARG_INT64(0)), member_known(PG_GETARG_INT64(1)), NULL));
}

/* Who or what leads go to, as text: a member's e-mail, else a queue. */
static int64
hand_over_to(const Member *from, const char *to)
{
	const Member *member = member_by_email(stage_config(), to);

	return hand_over(from, member, member ? NULL : to);
}

/* reassign(from_member bigint, "to" text) → bigint */
PG_FUNCTION_INFO_V1(leadflow_reassign_to);
Datum
leadflow_reassign_to(PG_FUNCTION_ARGS)
{
	require_argument(fcinfo, 0, "from_member");
	require_argument(fcinfo, 1, "queue");
	PG_RETURN_INT64(hand_over_to(member_known(PG_GETARG_INT64(0)), text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* reassign(from_member text, "to" text) → bigint */
PG_FUNCTION_INFO_V1(leadflow_reassign_by_email);
Datum
leadflow_reassign_by_email(PG_FUNCTION_ARGS)
{
	const Member *from;

	require_argument(fcinfo, 0, "from_member");
	require_argument(fcinfo, 1, "queue");
	from = member_by_email(stage_config(), text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (from == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a team member", text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 errhint("Members are named by the e-mail of their row in leadflow.team_members.")));
	PG_RETURN_INT64(hand_over_to(from, text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* ---- what routing would say ---------------------------------------------- */

/* routing_preview(lead jsonb) → (rule, queue, owner_id, owner, why) */
PG_FUNCTION_INFO_V1(leadflow_routing_preview);
Datum
leadflow_routing_preview(PG_FUNCTION_ARGS)
{
	static EngineStatement statement = {
		"SELECT l.id, l.owner_id, l.account_id, l.email, leadflow._routing_document($1, coalesce(l.account_id, $2))"
		" FROM jsonb_populate_record(NULL::leadflow.leads, $1) l",
		2, {JSONBOID, INT8OID}
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	RouteLead	lead = {0};
	EngineContext engine;
	Datum		arguments[2];
	Datum		values[5] = {0};
	bool		nulls[5] = {false};
	bool		isnull;
	char	   *email;

	require_argument(fcinfo, 0, "lead");
	if (!JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(0)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lead is a JSON object"),
				 errhint("Its keys are the columns of leadflow.leads, and score, rank, band and persona.")));
	InitMaterializedSRF(fcinfo, 0);
	arguments[0] = PG_GETARG_DATUM(0);
	arguments[1] = (Datum) 0;
	engine_enter(&engine);
	for (int pass = 0; pass < 2; pass++)
	{
		(void) engine_query(&statement, arguments, arguments[1] ? "  " : " n");
		lead.account_id = spi_int64(0, 3);
		email = spi_text(0, 4);
		/* as for a lead that is inserted */
		if (lead.account_id || email == NULL || pass == 1)
			break;
		arguments[1] = Int64GetDatum(account_by_email(stage_config(), email));
		if (arguments[1] == 0)
			break;
	}
	if (lead.account_id == 0)
		lead.account_id = DatumGetInt64(arguments[1]);
	MemoryContextSwitchTo(caller);
	lead.lead_id = spi_int64(0, 1);
	lead.owner_id = spi_int64(0, 2);
	lead.document = DatumGetJsonbPCopy(spi_value(0, 5, &isnull));
	engine_leave(&engine);

	route_preview(&lead, 1, clock_now());
	/* routing sees all leads, the caller need not */
	if (lead.follows && !lead_visible(lead.follows))
		lead.why = "owner of another lead of the account";
	nulls[0] = lead.rule == NULL;
	if (lead.rule)
		values[0] = CStringGetTextDatum(lead.rule);
	nulls[1] = lead.queue == NULL;
	if (lead.queue)
		values[1] = CStringGetTextDatum(lead.queue);
	nulls[2] = nulls[3] = lead.taker_id == 0;
	if (lead.taker_id)
	{
		values[2] = Int64GetDatum(lead.taker_id);
		values[3] = CStringGetTextDatum(lead.taker);
	}
	values[4] = CStringGetTextDatum(lead.why);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/* _stands_in(member_id bigint, at timestamptz) → bigint: who gets what falls to that member then */
PG_FUNCTION_INFO_V1(leadflow_stands_in);
Datum
leadflow_stands_in(PG_FUNCTION_ARGS)
{
	const RoutingConfig *config = routing_config();
	int			person = routing_person(config->people, config->npeople, PG_GETARG_INT64(0));
	int			taker = person < 0 ? -1 :
		routing_taker(config->people, config->npeople, person, PG_GETARG_TIMESTAMPTZ(1));

	if (taker < 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(config->people[taker].id);
}
