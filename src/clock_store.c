/*-------------------------------------------------------------------------
 * clock_store.c
 *	  SLA clocks: leadflow.sla_clocks, and handoffs.first_touch_at/touches.
 *
 * A clock's policy is chosen when it starts and stays.  Everything else about it is a
 * function of the policy, its start, and facts of its lead: what stopped it (find_stops()
 * in clock_rows.c), who had the lead, when it was paused.  So there is one way to
 * settle clocks, whatever happened (a move, a touch that is late, back-dated or
 * voided, a pause, a new owner): derive those of these leads anew and write what differs.
 * What a stopped clock was held to (target, calendar) stays, unless somebody restates it;
 * a clock that runs goes by its policy as it is now.
 *
 * next_response has a clock for each episode: inbounds that the same answer ended.  The
 * episodes are derived likewise, and compared with the clocks that there are.  They are
 * looked for since the first inbound that a clock was started for: what came before, as a
 * quiet load, is nobody's, and neither is what came when nothing was promised.
 *
 * What the sweep has announced (warned_at, breached_at) is memory, not derived; the state
 * of a clock that still runs goes by it.  Only if it turns out to have been too early, it is
 * forgotten, so that it is announced again in time.
 *
 * Concurrency: who settles has the leads' state rows locked and reads at a
 * later snapshot.  The sweep locks the same rows, but skips those that somebody
 * has, so it never waits for them and nobody deadlocks with it; what it skips it finds
 * next time.  It checks each clock again when it writes.  A correction locks no lead, for
 * whoever has one may wait for it: it holds the table against all who would settle
 * (clocks_hold()), and who held up a correction settles by what it has written.
 *
 * Cost: a move that starts clocks is one insert and a look for touches at or after that
 * instant; settling reads the clocks that may have changed, the lead's history and its
 * activities since, and only if one of them did change, who had the lead.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "calendar_store.h"
#include "clock_rows.h"
#include "clock_store.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "ids.h"
#include "lead_document.h"
#include "policy_store.h"
#include "row_lock.h"
#include "spi.h"
#include "stage_store.h"

/* Leads that are settled together. */
#define PORTION 5000

/* Statements find rows by the leads in an array or along an index.  Policies are loaded afterwards. */
static void
clock_enter(EngineContext *engine)
{
	clocks_hold();
	engine_enter(engine);
	engine_plan_by_index();
}

/* ---- deriving ------------------------------------------------------------ */

/* Tells whoever moves a lead, not who edits calendars; of each calendar once. */
static void
warn_of_closed(const Calendar *calendar, int64 *warned_of)
{
	if (calendar == NULL || warned_of == NULL || calendar->id == *warned_of)
		return;
	*warned_of = calendar->id;
	ereport(WARNING,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("calendar \"%s\" is not open long enough for a service level", calendar->name),
			 errdetail("Clocks that would count in it count around the clock."),
			 errhint("Give it hours in leadflow.calendar_hours.")));
}

static const Calendar *
calendar_of(const SlaConfig *config, int64 member_id)
{
	int64		id = member_id ? policy_member_calendar(config, member_id) : 0;

	return id ? calendar_get(id) : NULL;
}

/* In which calendar it counts when; "otherwise" has the lead where no hand-off says who. */
static ClockSpan *
clock_spans(const SlaConfig *config, const SlaPolicy *policy, const Clock *clock,
			const Ownership *owners, int nowners, int64 otherwise, int *n)
{
	int64		calendar_id = policy ? policy->calendar_id : clock->calendar_id;
	ClockSpan  *spans = palloc_array(ClockSpan, nowners + 1);

	*n = 1;
	spans[0].from = DT_NOBEGIN;
	if (calendar_id || policy == NULL)
	{
		spans[0].calendar = calendar_id ? calendar_get(calendar_id) : NULL;
		return spans;
	}
	spans[0].calendar = calendar_of(config, otherwise);
	for (int i = 0; i < nowners; i++)
	{
		spans[*n].from = owners[i].from;
		spans[(*n)++].calendar = calendar_of(config, owners[i].recorded ? owners[i].member_id : otherwise);
	}
	return spans;
}

/* When it is due, and the like: by its terms, its start and its stop. */
static void
reckon(const SlaConfig *config, const SlaPolicy *policy, const ClockCourse *course,
	   const Ownership *owners, int nowners, int64 otherwise, Clock *clock, int64 *warned_of)
{
	int			npauses;
	const LeadPause *paused = course_pauses(course, clock, &npauses);
	ClockPause *pauses = palloc_array(ClockPause, npauses + 1);
	ClockReckoning reckoning;
	ClockTerms	terms = {
		.started_at = clock->started_at, .stopped_at = clock->stopped_at,
		.target = clock->target, .warn_after = clock->warn_after,
		.pauses = pauses, .npauses = npauses
	};

	for (int i = 0; i < npauses; i++)
		pauses[i] = paused[i].pause;
	terms.spans = clock_spans(config, policy, clock, owners, nowners, otherwise, &terms.nspans);
	clock_reckon(&terms, &reckoning);
	/* one that counts around the clock already has been warned of */
	if (clock->id == 0 || clock->calendar_id)
		warn_of_closed(reckoning.closed, warned_of);
	clock->carried = reckoning.carried;
	clock->counted_from = reckoning.counted_from;
	clock->calendar_id = reckoning.calendar ? reckoning.calendar->id : 0;
	clock->due_at = reckoning.due_at;
	clock->warn_at = reckoning.warn_at;
}

/*
 * Who had the lead up to an instant; if nobody had it, who got it then.  "otherwise" where no
 * hand-off says it.  Who has it when the clock starts has it from the start.
 */
static int64
owner_at(const Ownership *owners, int n, TimestampTz started_at, TimestampTz at, int64 otherwise)
{
	const Ownership *before = NULL;
	const Ownership *then = NULL;

	for (int i = 0; i < n && (owners[i].from <= at || owners[i].from <= started_at); i++)
	{
		/* it leaves sales' hands just then */
		if (!owners[i].recorded && owners[i].from == at)
			continue;
		then = &owners[i];
		if (owners[i].from < at || owners[i].from <= started_at)
			before = then;
	}
	if (before == NULL || !before->recorded)
		return otherwise;
	return before->member_id == 0 && then->recorded ? then->member_id : before->member_id;
}

static ClockState
outcome(TimestampTz due_at, TimestampTz stopped_at, bool answered)
{
	return due_at < stopped_at ? CLOCK_BREACHED : answered ? CLOCK_MET : CLOCK_CANCELLED;
}

static bool
runs(const Clock *clock)
{
	return TIMESTAMP_IS_NOEND(clock->stopped_at);
}

/* A pause with an end ends without anybody writing it: that is for sla_status to say. */
static ClockState
running_state(const Clock *clock)
{
	if (clock->breached)
		return CLOCK_BREACHED;
	if (TIMESTAMP_IS_NOEND(clock->counted_from))
		return CLOCK_PAUSED;
	return clock->warned ? CLOCK_WARNING : CLOCK_RUNNING;
}

/* What a clock promises now. */
static void
take_terms(Clock *clock, const SlaPolicy *policy)
{
	clock->target = policy->target;
	clock->warn_after = policy->warn_after;
	clock->target_count = policy->target_count;
}

/* The clock as it should be; a stopped one by what it was held to, unless it is restated. */
static Clock
derive(const SlaConfig *config, const ClockCourse *course, const ClockFact *fact, bool restated,
	   TimestampTz now, int64 *warned_of)
{
	const Clock *before = &fact->clock;
	const SlaPolicy *policy = policy_find(config, before->policy_id);
	Clock		clock = *before;
	int			nowners;
	const Ownership *owners = course_owners(course, &clock, &nowners);
	int64		otherwise;

	clock.stopped_at = fact->stopped_at;
	clock.answered = fact->answered;
	otherwise = runs(&clock) || clock.metric == TIME_TO_REVIEW ? fact->owner_id : before->member_id;
	if (policy && (restated || runs(before) || runs(&clock)))
		take_terms(&clock, policy);
	reckon(config, policy, course, owners, nowners, otherwise, &clock, warned_of);
	/* who gets the lead later has no part in what is over */
	if (clock.metric == TIME_TO_REVIEW)
		clock.member_id = 0;	/* whoever may review */
	else if (runs(&clock) && clock.due_at >= now)
		clock.member_id = fact->owner_id;
	else if (clock.metric == TIME_TO_HANDOFF)
		clock.member_id = before->member_id;	/* the hand-off that it waits for is the next one's */
	else
		clock.member_id = owner_at(owners, nowners, clock.started_at, Min(clock.due_at, clock.stopped_at),
								   before->member_id);

	if (!runs(&clock))
	{
		clock.state = outcome(clock.due_at, clock.stopped_at, fact->answered);
		return clock;
	}
	/* what was announced too early is announced again */
	if (clock.due_at != before->due_at && clock.due_at >= now)
		clock.breached = false;
	if (clock.warn_at != before->warn_at && (TIMESTAMP_IS_NOBEGIN(clock.warn_at) || clock.warn_at > now))
		clock.warned = false;
	clock.state = running_state(&clock);
	return clock;
}

static bool
same_clock(const Clock *a, const Clock *b)
{
	return a->state == b->state && a->member_id == b->member_id && a->stopped_at == b->stopped_at &&
		a->due_at == b->due_at && a->warn_at == b->warn_at && a->calendar_id == b->calendar_id &&
		a->target == b->target && a->target_count == b->target_count && a->warn_after == b->warn_after &&
		a->counted_from == b->counted_from && a->carried == b->carried &&
		a->warned == b->warned && a->breached == b->breached && a->answered == b->answered;
}

/* Did nothing happen since it was written? */
static bool
is_settled(const ClockFact *fact)
{
	const Clock *clock = &fact->clock;

	return fact->stopped_at == clock->stopped_at && fact->answered == clock->answered &&
		(runs(clock) || outcome(clock->due_at, clock->stopped_at, fact->answered) == clock->state);
}

/* ---- starting ------------------------------------------------------------ */

/* A clock by a policy; the rest is filled in by who starts it. */
static Clock
new_clock(int64 lead_id, const SlaPolicy *policy, TimestampTz started_at, int64 owner_id)
{
	Clock		clock = {
		.lead_id = lead_id, .policy_id = policy->id, .metric = policy->metric,
		.member_id = owner_id, .started_at = started_at, .stopped_at = DT_NOEND
	};

	take_terms(&clock, policy);
	return clock;
}

/* It starts now, or nobody has had the lead since but its owner. */
static void
start(const SlaConfig *config, const ClockCourse *course, Clock *clock, int64 *warned_of)
{
	reckon(config, policy_find(config, clock->policy_id), course, NULL, 0, clock->member_id, clock, warned_of);
	clock->state = running_state(clock);
}

static void
insert(Clock *clocks, int n)
{
	const Clock **rows = palloc_array(const Clock *, n + 1);

	for (int i = 0; i < n; i++)
		rows[i] = &clocks[i];
	clocks_insert(rows, n);
}

/* Those of leads for which one of the metrics has conditions; in id order. */
static LeadDocument *
documents_for(const int64 *leads, int n, int *found)
{
	*found = 0;
	return n == 0 ? NULL : lead_documents_scored(leads, n, clock_now(), found);
}

static bool
starts_clock(const SlaConfig *config, const Move *move, ClockMetric metric)
{
	return config->nof[metric] > 0 && clock_rules[metric].starts && clock_rules[metric].starts(move) &&
		!move->imported && !move->quiet;
}

static void
start_clocks(const SlaConfig *config, const Move *const *moves, int n)
{
	Clock	   *clocks = palloc_array(Clock, n * CLOCK_METRICS);
	int64	   *leads = palloc_array(int64, n);
	int64	   *asked = palloc_array(int64, n);
	LeadDocument *documents;
	int			ndocuments;
	int			nasked = 0;
	int			count = 0;
	int64		warned_of = 0;
	ClockCourse course = {0};

	for (int i = 0; i < n; i++)
	{
		bool		conditional = false;

		for (int m = 0; m < CLOCK_METRICS; m++)
			conditional |= config->conditional[m] && starts_clock(config, moves[i], m);
		if (conditional)
			asked[nasked++] = moves[i]->lead_id;
		leads[i] = moves[i]->lead_id;
	}
	documents = documents_for(asked, nasked, &ndocuments);
	course_read_pauses(leads, n, &course);
	for (int i = 0; i < n; i++)
	{
		const Move *move = moves[i];
		Jsonb	   *document = lead_document_find(documents, ndocuments, move->lead_id);

		CHECK_FOR_INTERRUPTS();
		/* it may have gone on from there already */
		if (document)
			document = lead_document_in_stage(document, move->to_stage);
		for (int m = 0; m < CLOCK_METRICS; m++)
		{
			const SlaPolicy *policy;

			if (!starts_clock(config, move, m) ||
				(policy = policy_choose(config, m, move->at, document)) == NULL)
				continue;
			clocks[count] = new_clock(move->lead_id, policy, move->at, move->owner_id);
			clocks[count].handoff_id = move->handoff_id;
			clocks[count].history_id = move->history_id;
			start(config, &course, &clocks[count++], &warned_of);
		}
	}
	insert(clocks, count);
	pfree(clocks);
}

void
clock_reviews_opened(const ReviewOpened *opened, int n)
{
	const SlaConfig *config;
	EngineContext engine;
	Clock	   *clocks;
	int64	   *leads;
	LeadDocument *documents;
	int			ndocuments;
	int			count = 0;
	int64		warned_of = 0;
	ClockCourse course = {0};

	if (n == 0 || policy_config()->nof[TIME_TO_REVIEW] == 0)
		return;
	clock_enter(&engine);
	config = policy_config();
	clocks = palloc_array(Clock, n);
	leads = palloc_array(int64, n);
	for (int i = 0; i < n; i++)
		leads[i] = opened[i].lead_id;
	documents = documents_for(leads, config->conditional[TIME_TO_REVIEW] ? n : 0, &ndocuments);
	course_read_pauses(leads, n, &course);
	for (int i = 0; i < n; i++)
	{
		const SlaPolicy *policy = policy_choose(config, TIME_TO_REVIEW, opened[i].at,
												lead_document_find(documents, ndocuments, opened[i].lead_id));

		if (policy == NULL)
			continue;
		clocks[count] = new_clock(opened[i].lead_id, policy, opened[i].at, opened[i].owner_id);
		clocks[count].review_id = opened[i].review_id;
		start(config, &course, &clocks[count], &warned_of);
		clocks[count++].member_id = 0;
	}
	insert(clocks, count);
	engine_leave(&engine);
}

/* ---- settling ------------------------------------------------------------ */

/*
 * Each row that is written is found by its key: were the leads asked of it, too, the planner, to
 * whom an array has ten elements, would compare every row with every other.
 */
static void
settle_handoffs(const int64 *leads, int n)
{
	static EngineStatement statement = {
		"UPDATE leadflow.handoffs h SET first_touch_at = f.first_touch_at, touches = f.touches"
		" FROM leadflow._handoff_facts f"
		" WHERE f.handoff_id = h.id AND f.lead_id = ANY ($1)"
		" AND (h.first_touch_at, h.touches) IS DISTINCT FROM (f.first_touch_at, f.touches)",
		1, {INT8ARRAYOID}
	};
	Datum		value = int8_array(leads, n);

	(void) engine_execute(&statement, &value, NULL);
}

/* What may have changed. */
typedef struct Settling
{
	const SlaConfig *config;
	TimestampTz from;			/* facts from that instant on */
	bool		touches;		/* activities alone */
	bool		open;			/* clocks that run are derived, too, if nothing happened to them */
	bool		closed;			/* and those that have stopped */
	bool		corrects;		/* somebody edited the configuration */
	const ClockNews *news;		/* of each lead; NULL = no news */
} Settling;

static int
lead_index(const int64 *leads, int n, int64 lead_id)
{
	const int64 *found = bsearch(&lead_id, leads, n, sizeof(int64), compare_ids);

	return found - leads;
}

/* The clock of the episode that begins with that inbound; facts are those of its lead. */
static const ClockFact *
clock_of_inbound(const ClockFact *facts, int nfacts, const Inbound *inbound)
{
	for (int f = 0; f < nfacts; f++)
	{
		const Clock *clock = &facts[f].clock;

		if (clock->metric == NEXT_RESPONSE && clock->has_activity && clock->started_at == inbound->at &&
			memcmp(&clock->activity_id, &inbound->id, UUID_LEN) == 0)
			return &facts[f];
	}
	return NULL;
}

/*
 * Compares the episodes of next_response with the clocks that there are: an episode begins with the
 * first inbound that its end ended, among those that had to wait until settling->from or longer, as the
 * clocks.  Returns clocks to start, as facts; ids of those whose
 * episode is gone go to "gone".  An inbound of a time without a promise doesn't count.
 */
static ClockFact *
compare_episodes(const Settling *settling, const int64 *leads, int n, const ClockFact *facts, int nfacts,
				 int *nfresh, IdSet *gone)
{
	const SlaConfig *config = settling->config;
	TimestampTz *inbound_at = palloc_array(TimestampTz, n);
	TimestampTz *from = palloc_array(TimestampTz, n);
	int64	   *looked = palloc_array(int64, n);
	int			nlooked = 0;
	Inbound    *inbounds;
	int			ninbounds;
	const Inbound **fresh;
	ClockFact  *started;
	LeadDocument *documents;
	int			ndocuments;
	int			count = 0;
	int			f = 0;
	IdSet		kept = {0};

	*nfresh = 0;
	for (int i = 0; i < n; i++)
	{
		bool		any = false;

		from[nlooked] = settling->from;
		while (f < nfacts && facts[f].clock.lead_id < leads[i])
			f++;
		for (int g = f; g < nfacts && facts[g].clock.lead_id == leads[i]; g++)
		{
			if (facts[g].clock.metric != NEXT_RESPONSE)
				continue;
			any = true;
			/* an answer that the flush will come to is seen already */
			from[nlooked] = Min(from[nlooked], facts[g].stopped_at);
		}
		inbound_at[nlooked] = settling->news ? settling->news[i].inbound_at : DT_NOEND;
		if (any || !TIMESTAMP_IS_NOEND(inbound_at[nlooked]))
			looked[nlooked++] = leads[i];
	}
	if (nlooked == 0)
		return NULL;
	inbounds = inbounds_read(looked, inbound_at, from, nlooked, &ninbounds);
	f = 0;
	fresh = palloc_array(const Inbound *, ninbounds + 1);
	for (int i = 0; i < ninbounds;)
	{
		const Inbound *inbound = &inbounds[i++];
		const ClockFact *fact;
		int			nof = 0;

		while (f < nfacts && facts[f].clock.lead_id < inbound->lead_id)
			f++;
		while (f + nof < nfacts && facts[f + nof].clock.lead_id == inbound->lead_id)
			nof++;
		fact = clock_of_inbound(&facts[f], nof, inbound);
		if (fact == NULL && !policy_in_force(config, NEXT_RESPONSE, inbound->at))
			continue;
		if (fact)
			ids_add(&kept, fact->clock.id);
		else if (!settling->news || settling->news[lead_index(leads, n, inbound->lead_id)].loud)
			fresh[count++] = inbound;
		/* the others of the episode */
		while (i < ninbounds && inbounds[i].lead_id == inbound->lead_id &&
			   inbounds[i].ended_at == inbound->ended_at)
			i++;
	}
	ids_sort(&kept);
	for (f = 0; f < nfacts; f++)
	{
		if (facts[f].clock.metric == NEXT_RESPONSE && !ids_contain(&kept, facts[f].clock.id))
			ids_add(gone, facts[f].clock.id);
	}
	ids_sort(gone);

	nlooked = 0;
	for (int i = 0; i < count && config->conditional[NEXT_RESPONSE]; i++)
	{
		if (nlooked == 0 || looked[nlooked - 1] != fresh[i]->lead_id)
			looked[nlooked++] = fresh[i]->lead_id;
	}
	documents = documents_for(looked, nlooked, &ndocuments);
	started = palloc_array(ClockFact, count + 1);
	for (int i = 0; i < count; i++)
	{
		Jsonb	   *document = lead_document_find(documents, ndocuments, fresh[i]->lead_id);
		const SlaPolicy *policy;
		ClockFact  *fact = &started[*nfresh];

		if (document)
			document = lead_document_in_stage(document, fresh[i]->stage);
		policy = policy_choose(config, NEXT_RESPONSE, fresh[i]->at, document);
		if (policy == NULL)
			continue;
		fact->clock = new_clock(fresh[i]->lead_id, policy, fresh[i]->at, fresh[i]->owner_id);
		fact->clock.due_at = DT_NOEND;
		fact->clock.has_activity = true;
		fact->clock.activity_id = fresh[i]->id;
		fact->stopped_at = fresh[i]->ended_at;
		fact->answered = fresh[i]->answered;
		fact->owner_id = fresh[i]->owner_id;
		(*nfresh)++;
	}
	return started;
}

/* Returns whether attempts are counted otherwise now, so that facts are to be read once more. */
static bool
settle_portion(const Settling *settling, const int64 *leads, int n)
{
	const SlaConfig *config = settling->config;
	TimestampTz now = clock_now();
	int			nfacts;
	ClockFact  *facts = clocks_read(leads, n, settling->from, settling->touches, &nfacts);
	ClockFact  *fresh = NULL;
	int			nfresh = 0;
	IdSet		gone = {0};
	IdSet		stirred = {0};
	ClockCourse course = {0};
	const ClockFact **derived;
	const Clock **updates;
	Clock	   *clocks;
	int			nderived = 0;
	int			nupdates = 0;
	int64		warned_of = 0;
	bool		recounted = false;

	if (config->nof[NEXT_RESPONSE] > 0)
		fresh = compare_episodes(settling, leads, n, facts, nfacts, &nfresh, &gone);
	derived = palloc_array(const ClockFact *, nfacts + 1);
	for (int f = 0; f < nfacts; f++)
	{
		if (ids_contain(&gone, facts[f].clock.id) ||
			(is_settled(&facts[f]) && !(runs(&facts[f].clock) ? settling->open : settling->closed)))
			continue;
		derived[nderived++] = &facts[f];
		ids_add(&stirred, facts[f].clock.lead_id);
	}
	for (int f = 0; f < nfresh; f++)
		ids_add(&stirred, fresh[f].clock.lead_id);
	ids_sort(&stirred);
	if (stirred.n > 0)
		course_read(stirred.ids, stirred.n, &course);

	clocks = palloc_array(Clock, nderived + nfresh + 1);
	updates = palloc_array(const Clock *, nderived + 1);
	for (int i = 0; i < nderived; i++)
	{
		clocks[i] = derive(config, &course, derived[i], false, now, settling->corrects ? NULL : &warned_of);
		if (same_clock(&clocks[i], &derived[i]->clock))
			continue;
		updates[nupdates++] = &clocks[i];
		recounted |= clocks[i].target_count != derived[i]->clock.target_count;
	}
	for (int i = 0; i < nfresh; i++)
		clocks[nderived + i] = derive(config, &course, &fresh[i], false, now, &warned_of);
	clocks_delete(&gone);
	insert(&clocks[nderived], nfresh);
	clocks_update(updates, nupdates);
	return recounted;
}

static void
settle(const Settling *settling, const int64 *leads, int n)
{
	for (int i = 0; i < n; i += PORTION)
	{
		Settling	portion = *settling;
		int			count = Min(n - i, PORTION);
		MemoryContext caller = CurrentMemoryContext;
		MemoryContext each = AllocSetContextCreate(caller, "leadflow clocks", ALLOCSET_DEFAULT_SIZES);

		CHECK_FOR_INTERRUPTS();
		if (portion.news)
			portion.news += i;
		MemoryContextSwitchTo(each);
		if (settle_portion(&portion, leads + i, count))
			(void) settle_portion(&portion, leads + i, count);
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(each);
	}
}

void
clock_settle(const int64 *leads, int n)
{
	Settling	settling = {.from = DT_NOBEGIN, .open = true};
	EngineContext engine;

	if (n == 0)
		return;
	clock_enter(&engine);
	settling.config = policy_config();
	settle_handoffs(leads, n);
	/* a policy that has clocks can't be deleted, so without policies there are none */
	if (settling.config->npolicies > 0)
		settle(&settling, leads, n);
	engine_leave(&engine);
}

void
clock_owned(const int64 *leads, int n)
{
	Settling	settling = {.config = policy_config(), .from = DT_NOEND, .open = true};
	EngineContext engine;
	bool		any = false;

	for (int m = 0; m < CLOCK_METRICS; m++)
		any |= settling.config->nof[m] > 0 && !clock_rules[m].with_sales;
	if (n == 0 || !any)
		return;
	clock_enter(&engine);
	settling.config = policy_config();
	settle(&settling, leads, n);
	engine_leave(&engine);
}

bool
clock_awaits_contact(void)
{
	const SlaConfig *config = policy_config();

	return config->nof[TIME_TO_FIRST_CONTACT] > 0 || config->nof[NEXT_RESPONSE] > 0;
}

bool
clock_awaits_reply(void)
{
	return policy_config()->nof[NEXT_RESPONSE] > 0;
}

void
clock_news(const ClockNews *news, int n)
{
	Settling	settling = {.from = DT_NOEND, .touches = true, .news = news};
	EngineContext engine;
	int64	   *leads;

	if (n == 0)
		return;
	clock_enter(&engine);
	settling.config = policy_config();
	leads = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * n);
	for (int i = 0; i < n; i++)
	{
		leads[i] = news[i].lead_id;
		settling.from = Min(settling.from, news[i].from);
	}
	settle_handoffs(leads, n);
	if (settling.config->npolicies > 0)
		settle(&settling, leads, n);
	engine_leave(&engine);
}

void
clock_reviews_closed(const int64 *leads, int n)
{
	Settling	settling = {.from = DT_NOEND};
	EngineContext engine;

	if (n == 0 || policy_config()->nof[TIME_TO_REVIEW] == 0)
		return;
	clock_enter(&engine);
	settling.config = policy_config();
	settle(&settling, leads, n);
	engine_leave(&engine);
}

/* May a clock that runs be the lead's new owner's, or end, by this move? */
static bool
stirs(const SlaConfig *config, const Move *move)
{
	if (config->nof[NEXT_RESPONSE] > 0 || config->nof[TIME_TO_REVIEW] > 0)
		return true;
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		if (config->nof[m] > 0 && clock_rules[m].ends && clock_rules[m].ends(move))
			return true;
	}
	return false;
}

static bool
starts_any(const SlaConfig *config, const Move *move)
{
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		if (starts_clock(config, move, m))
			return true;
	}
	return false;
}

/*
 * Touches at or after the instant of a hand-off that was made just now came first because the
 * move or they are dated so.
 */
void
clock_moves(const Move *moves, int n)
{
	const SlaConfig *config = policy_config();
	Settling	settling = {.from = DT_NOEND};
	const Move **starting = palloc_array(const Move *, n + 1);
	int64	   *left = palloc_array(int64, n + 1);
	int64	   *touched = palloc_array(int64, n + 1);
	int			nstarting = 0;
	int			nleft = 0;
	int			ntouched = 0;
	TimestampTz now = clock_now();
	EngineContext engine;

	settling.open = config->nof[NEXT_RESPONSE] > 0 || config->nof[TIME_TO_REVIEW] > 0;
	for (int i = 0; i < n; i++)
	{
		const Move *move = &moves[i];

		/* dated back, it may say who had the lead when a clock stopped */
		if (config->npolicies > 0 && move->from_stage && (move->at < now || stirs(config, move)))
		{
			left[nleft++] = move->lead_id;
			settling.from = Min(settling.from, move->at);
			settling.closed |= move->at < now;
		}
		if (config->npolicies > 0 && starts_any(config, move))
			starting[nstarting++] = move;
		if (is(move->to_category, "handoff") && !is(move->from_category, "handoff") &&
			!move->imported && move->touched)
			touched[ntouched++] = move->lead_id;
	}
	if (nleft == 0 && nstarting == 0 && ntouched == 0)
		return;

	clock_enter(&engine);
	settling.config = config = policy_config();
	settle(&settling, left, nleft);
	if (nstarting > 0)
		start_clocks(config, starting, nstarting);
	if (ntouched > 0)
	{
		settle_handoffs(touched, ntouched);
		if (config->npolicies > 0)
		{
			settling.touches = true;
			settling.closed = false;
			settle(&settling, touched, ntouched);
		}
	}
	engine_leave(&engine);
	pfree(starting);
	pfree(left);
	pfree(touched);
}

/* ---- pauses -------------------------------------------------------------- */

/* A lead's pauses are others from an instant on: clocks that have stopped since are judged anew. */
static void
settle_paused(int64 lead_id, TimestampTz from)
{
	Settling	settling = {.config = policy_config(), .from = from, .open = true, .closed = true};

	if (settling.config->npolicies > 0)
		settle(&settling, &lead_id, 1);
}

void
clock_pause(int64 lead_id, TimestampTz at, TimestampTz until, const char *reason, int64 actor_id)
{
	EngineContext engine;

	clock_enter(&engine);
	pause_add(lead_id, at, until, reason, actor_id);
	settle_paused(lead_id, at);
	engine_leave(&engine);
}

void
clock_resume(int64 lead_id, TimestampTz at)
{
	EngineContext engine;

	clock_enter(&engine);
	if (pause_end(lead_id, at))
		settle_paused(lead_id, at);
	engine_leave(&engine);
}

int64
clock_standing(int64 lead_id)
{
	static EngineStatement statement = {
		"SELECT count(*) FROM leadflow.sla_clocks c WHERE c.lead_id = $1 AND c.stopped_at IS NULL"
		" AND c.merged_from IS NULL AND c.counted_from > greatest(c.started_at, $2)",
		2, {INT8OID, TIMESTAMPTZOID}
	};
	Datum		values[2] = {Int64GetDatum(lead_id), TimestampTzGetDatum(clock_now())};
	EngineContext engine;
	int64		result;

	clock_enter(&engine);
	(void) engine_query(&statement, values, NULL);
	result = spi_int64(0, 1);
	engine_leave(&engine);
	return result;
}

/* ---- correcting and restating -------------------------------------------- */

/* The next leads that a statement finds after the last one, a portion of them; in the caller's context. */
static int64 *
next_leads(EngineStatement *statement, Datum *values, int64 after, int *n)
{
	MemoryContext caller = CurrentMemoryContext;
	int64	   *leads;

	values[0] = Int64GetDatum(after);
	values[1] = Int64GetDatum(PORTION);
	*n = (int) engine_query(statement, values, NULL);
	leads = MemoryContextAlloc(caller, sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		leads[i] = spi_int64(i, 1);
	return leads;
}

/* Those of these leads of which an open clock would be another. */
static IdSet
misreckoned(const SlaConfig *config, const int64 *leads, int n)
{
	int			nfacts;
	ClockFact  *facts = clocks_read(leads, n, DT_NOEND, false, &nfacts);
	ClockCourse course = {0};
	TimestampTz now = clock_now();
	IdSet		found = {0};

	course_read(leads, n, &course);
	for (int f = 0; f < nfacts; f++)
	{
		Clock		clock = derive(config, &course, &facts[f], false, now, NULL);

		if (!same_clock(&clock, &facts[f].clock))
			ids_add(&found, clock.lead_id);
	}
	ids_sort(&found);
	return found;
}

void
clock_correct_begin(void)
{
	clocks_hold_to_correct();
}

/* Most clocks stay as they are: only those of the others' leads are settled. */
void
clock_correct(void)
{
	static EngineStatement open = {
		"SELECT DISTINCT c.lead_id FROM leadflow.sla_clocks c WHERE c.stopped_at IS NULL AND c.lead_id > $1"
		" ORDER BY c.lead_id LIMIT $2",
		2, {INT8OID, INT8OID}
	};
	Settling	settling = {.from = DT_NOEND, .open = true, .corrects = true};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each;
	EngineContext engine;
	Datum		values[2];
	int64		last = PG_INT64_MIN;
	int			n;

	/* what the statement did to the configuration is heard of */
	CommandCounterIncrement();
	if (policy_config()->npolicies == 0)
		return;
	clock_enter(&engine);
	settling.config = policy_config();
	each = AllocSetContextCreate(caller, "leadflow correction", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(each);
	do
	{
		int64	   *leads = next_leads(&open, values, last, &n);

		CHECK_FOR_INTERRUPTS();
		if (n > 0)
		{
			IdSet		concerned = misreckoned(settling.config, leads, n);

			last = leads[n - 1];
			if (concerned.n > 0)
				settle(&settling, concerned.ids, concerned.n);
		}
		MemoryContextReset(each);
	} while (n == PORTION);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(each);
	engine_leave(&engine);
}

/* A stopped clock of the range, as it was written and as it should be. */
typedef struct Restatement
{
	Clock		before;
	Clock		after;
} Restatement;

static bool
in_range(const Clock *clock, TimestampTz from, TimestampTz to)
{
	return !runs(clock) && clock->started_at >= from && clock->started_at < to;
}

/* Which of these leads' clocks are to be restated, by lead and clock. */
static Restatement *
find_restatements(const SlaConfig *config, const int64 *leads, int n, TimestampTz from, TimestampTz to,
				  int *count)
{
	int			nfacts;
	ClockFact  *facts = clocks_read(leads, n, DT_NOBEGIN, false, &nfacts);
	Restatement *found = palloc_array(Restatement, nfacts + 1);
	ClockCourse course = {0};
	TimestampTz now = clock_now();

	*count = 0;
	course_read(leads, n, &course);
	for (int f = 0; f < nfacts; f++)
	{
		Restatement *restatement = &found[*count];

		if (!in_range(&facts[f].clock, from, to))
			continue;
		restatement->before = facts[f].clock;
		restatement->after = derive(config, &course, &facts[f], true, now, NULL);
		if (!same_clock(&restatement->before, &restatement->after))
			(*count)++;
	}
	return found;
}

static IdSet
leads_of(const Restatement *found, int n)
{
	IdSet		leads = {0};

	for (int i = 0; i < n; i++)
		ids_add(&leads, found[i].before.lead_id);
	ids_sort(&leads);
	return leads;
}

static void
write_clocks(const Restatement *found, int n)
{
	const Clock **clocks = palloc_array(const Clock *, n + 1);

	for (int i = 0; i < n; i++)
		clocks[i] = &found[i].after;
	clocks_update(clocks, n);
}

/* On record is what anybody can have seen: another state, or another deadline. */
static int64
record_restatements(const Restatement *found, int n, const char *role)
{
	static EngineStatement statement = {
		"WITH old_news AS ("
		"  UPDATE leadflow.sla_clocks c SET breached_at = coalesce(c.breached_at, $8), escalated_at = coalesce(c.escalated_at, $8)"
		"  FROM unnest($1, $4, $5) n (id, old_state, new_state)"
		"  WHERE c.id = n.id AND n.new_state = 'breached' AND n.old_state <> 'breached')"
		" INSERT INTO leadflow.sla_restatements (clock_id, lead_id, policy_id, restated_at, restated_by, old_state,"
		" new_state, old_due_at, new_due_at)"
		" SELECT r.clock_id, r.lead_id, r.policy_id, $8, $9, r.old_state, r.new_state, r.old_due_at, r.new_due_at"
		" FROM unnest($1, $2, $3, $4, $5, $6, $7) AS r"
		"  (clock_id, lead_id, policy_id, old_state, new_state, old_due_at, new_due_at)",
		9, {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID,
			TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, TEXTOID}
	};
	int64	   *ids[3];
	const char **states[2];
	TimestampTz *due[2];
	Datum		values[9];
	int			count = 0;

	for (int a = 0; a < 3; a++)
		ids[a] = palloc_array(int64, n + 1);
	for (int a = 0; a < 2; a++)
	{
		states[a] = palloc_array(const char *, n + 1);
		due[a] = palloc_array(TimestampTz, n + 1);
	}
	for (int i = 0; i < n; i++)
	{
		const Clock *before = &found[i].before;
		const Clock *after = &found[i].after;

		if (before->state == after->state && before->due_at == after->due_at)
			continue;
		ids[0][count] = before->id;
		ids[1][count] = before->lead_id;
		ids[2][count] = before->policy_id;
		states[0][count] = clock_states[before->state];
		states[1][count] = clock_states[after->state];
		due[0][count] = before->due_at;
		due[1][count++] = after->due_at;
	}
	if (count == 0)
		return 0;
	for (int a = 0; a < 3; a++)
		values[a] = int8_array(ids[a], count);
	for (int a = 0; a < 2; a++)
	{
		values[3 + a] = text_array(states[a], count);
		values[5 + a] = time_array(due[a], count);
	}
	values[7] = TimestampTzGetDatum(clock_now());
	values[8] = CStringGetTextDatum(role);
	(void) engine_execute(&statement, values, NULL);
	return count;
}

/*
 * Another number of attempts may stop a clock elsewhere: it is written first, and what
 * comes of it is found the second time.
 */
static int64
restate_locked(const SlaConfig *config, const int64 *leads, int n, TimestampTz from, TimestampTz to,
			   const char *role)
{
	int			nfound;
	int			nagain;
	int			a = 0;
	Restatement *found = find_restatements(config, leads, n, from, to, &nfound);
	Restatement *again;

	write_clocks(found, nfound);
	again = find_restatements(config, leads, n, from, to, &nagain);
	write_clocks(again, nagain);
	/* both are by lead and clock */
	for (int i = 0; i < nfound && a < nagain; i++)
	{
		if (found[i].before.id == again[a].before.id)
			found[i].after = again[a++].after;
	}
	return record_restatements(found, nfound, role);
}

static void
lock_states(const IdSet *leads)
{
	for (int i = 0; i < leads->n; i++)
		(void) row_lock_named("score_state", leads->ids[i], LockTupleNoKeyExclusive);
}

int64
clock_restate(TimestampTz from, TimestampTz to, const char *role)
{
	static EngineStatement closed = {
		"SELECT DISTINCT c.lead_id FROM leadflow.sla_clocks c WHERE c.stopped_at IS NOT NULL AND c.lead_id > $1"
		" AND c.started_at >= $3 AND c.started_at < $4 ORDER BY c.lead_id LIMIT $2",
		4, {INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	const SlaConfig *config;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each;
	EngineContext engine;
	Datum		values[4] = {0, 0, TimestampTzGetDatum(from), TimestampTzGetDatum(to)};
	int64		last = PG_INT64_MIN;
	int64		result = 0;
	int			n;

	clocks_hold_to_restate();
	clock_enter(&engine);
	config = policy_config();
	each = AllocSetContextCreate(caller, "leadflow restatement", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(each);
	do
	{
		int64	   *leads = next_leads(&closed, values, last, &n);

		CHECK_FOR_INTERRUPTS();
		if (n > 0)
		{
			int			count;
			Restatement *found = find_restatements(config, leads, n, from, to, &count);
			IdSet		concerned = leads_of(found, count);

			last = leads[n - 1];
			lock_states(&concerned);
			if (concerned.n > 0)
				result += restate_locked(config, concerned.ids, concerned.n, from, to, role);
		}
		MemoryContextReset(each);
	} while (n == PORTION);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(each);
	engine_leave(&engine);
	return result;
}
