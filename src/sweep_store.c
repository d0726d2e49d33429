/*-------------------------------------------------------------------------
 * sweep_store.c
 *	  What the sweep finds due: clocks to announce and to escalate, leads whose day has come.
 *
 * What was announced (sla_clocks.warned_at, breached_at, escalated_at) is memory, not derived; the
 * state of a clock that still runs goes by it.
 *
 * The sweep locks the leads' state rows as everybody who settles clocks does, but skips
 * those that somebody has, so it never waits and nobody deadlocks with it; what it skips
 * it finds next time.  Locked rows are read again at a later snapshot, so nothing fails under
 * REPEATABLE READ, either.
 *
 * What is due is found along an index, in portions, (instant, id) by (instant, id): without a look at
 * what isn't due, however stale the statistics, and clocks of leads that somebody has locked don't hold up
 * the rest.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock_rows.h"
#include "compat.h"
#include "handoff_store.h"
#include "outbox.h"
#include "row_lock.h"
#include "spi.h"
#include "stage_store.h"
#include "sweep_store.h"

#define ANNOUNCE_BATCH	1000

/* Leads that a run returns from nurture or escalates, at most: their moves take locks that others wait for. */
#define LEADS_BATCH		10000

/* ---- who is told --------------------------------------------------------- */

/* The member, or whoever stands in for one who was away at that instant. */
static int64
reached(const RoutingConfig *config, int64 member_id, TimestampTz at)
{
	int			person = routing_person(config->people, config->npeople, member_id);
	int			taker;

	if (person < 0 || config->people[person].nabsences == 0)
		return member_id;
	taker = routing_taker(config->people, config->npeople, person, at);
	return taker < 0 ? member_id : config->people[taker].id;
}

/* The member's manager; 0 = nobody who could be told. */
static int64
manager_of(const RoutingConfig *config, int64 member_id)
{
	int			person = routing_person(config->people, config->npeople, member_id);
	int			manager = person < 0 ? -1 :
		routing_person(config->people, config->npeople, config->people[person].manager_id);

	return manager < 0 || !config->people[manager].active ? 0 : config->people[manager].id;
}

/* A breach that has no other consequence is told to the manager, too; false = there is nobody besides. */
static bool
tell_manager(const RoutingConfig *config, Notice *notice, int64 lead_id, int64 member_id, TimestampTz due_at,
			 const char *details)
{
	int64		manager = manager_of(config, member_id);

	if (manager == 0 || manager == reached(config, member_id, due_at))
		return false;
	memset(notice, 0, sizeof(Notice));
	notice->lead_id = lead_id;
	notice->event = "sla.breached";
	notice->recipient_id = manager;
	notice->alone = true;
	notice->at = due_at;
	notice->details = details;
	return true;
}

/* Columns of what is told of a clock, in this order everywhere. */
#define TOLD_COLUMNS "c.id, c.lead_id, c.member_id, c.due_at, p.on_breach, p.name, c.metric, c.started_at"
enum
{
	TOLD_CLOCK = 1,
	TOLD_LEAD,
	TOLD_MEMBER,
	TOLD_DUE_AT,
	TOLD_ON_BREACH,
	TOLD_POLICY,
	TOLD_METRIC,
	TOLD_STARTED_AT,
	TOLD_MORE
};

static char *
clock_details(uint64 r)
{
	StringInfoData details;

	details_begin(&details);
	details_id(&details, "clock_id", spi_int64(r, TOLD_CLOCK));
	details_text(&details, "policy", spi_text(r, TOLD_POLICY));
	details_text(&details, "metric", spi_text(r, TOLD_METRIC));
	details_time(&details, "started_at", spi_time(r, TOLD_STARTED_AT));
	details_time(&details, "due_at", spi_time(r, TOLD_DUE_AT));
	details_text(&details, "on_breach", spi_text(r, TOLD_ON_BREACH));
	return details_end(&details);
}

/* ---- announcing ---------------------------------------------------------- */

/* Of what announcing returns, besides. */
enum
{
	TOLD_TEAM = TOLD_MORE,
	TOLD_AT,
	TOLD_QUEUE
};

/*
 * Tells of n clocks: the member who has it, else the queue that it waits in; of a review, whom review.opened
 * told.  Returns how many breaches do no more.
 */
static int64
tell_announced(const char *event, uint64 n)
{
	bool		breach = strcmp(event, "sla.breached") == 0;
	const RoutingConfig *config = routing_config();
	Notice	   *notices = palloc0_array(Notice, 2 * n + 1);
	int			count = 0;
	int64		notified = 0;

	for (uint64 r = 0; r < n; r++)
	{
		Notice	   *notice = &notices[count++];
		int64		member_id = spi_int64(r, TOLD_MEMBER);
		bool		review = is(spi_text(r, TOLD_METRIC), "time_to_review");

		notice->lead_id = spi_int64(r, TOLD_LEAD);
		notice->event = event;
		notice->at = spi_time(r, TOLD_AT);
		notice->recipient_id = reached(config, member_id, notice->at);
		notice->queue = spi_text(r, TOLD_QUEUE);
		notice->team = spi_text(r, TOLD_TEAM);
		notice->to_marketing = review;
		notice->details = clock_details(r);
		if (!breach || strcmp(spi_text(r, TOLD_ON_BREACH), "notify") != 0)
			continue;
		notified++;
		/* whose review it is that was late has no manager */
		if (!review && tell_manager(config, &notices[count], notice->lead_id, member_id, notice->at, notice->details))
			count++;
	}
	outbox_add(notices, count);
	return notified;
}

/* An event, how its clocks are found, and what becomes of those that are told of. */
typedef struct Announcement
{
	const char *event;
	EngineStatement find;		/* (at, after instant, after id, limit) → id, lead, instant */
	EngineStatement tell;		/* (at, ids) → as above */
} Announcement;

/* Conditions that an index could serve are hidden where rows are to be found by their key. */
#define TELL_SQL(change, still, at) \
	"WITH told AS (UPDATE leadflow.sla_clocks c SET " change \
	"  FROM unnest($2) k (id), leadflow.sla_policies p" \
	"  WHERE c.id = k.id AND p.id = c.policy_id AND " still \
	"  RETURNING " TOLD_COLUMNS ", p.team, c." at " AS at, c.handoff_id)" \
	" SELECT c.id, c.lead_id, c.member_id, c.due_at, c.on_breach, c.name, c.metric, c.started_at, c.team, c.at, h.queue" \
	" FROM told c LEFT JOIN leadflow.handoffs h ON h.id = c.handoff_id ORDER BY c.lead_id, c.at, c.id"

/* also those that were stopped since, but too late */
#define UNTOLD_BREACH "c.breached_at IS NULL AND c.state IN ('running', 'warning', 'paused', 'breached')"
#define UNTOLD_WARNING "c.warned_at IS NULL AND c.state IN ('running', 'paused')"

/* A clock that stands still at that instant stays paused, though its warning came before. */
static Announcement breaches = {
	"sla.breached",
	{
		"SELECT c.id, c.lead_id, c.due_at FROM leadflow.sla_clocks c"
		" WHERE " UNTOLD_BREACH " AND c.due_at < $1 AND (c.due_at, c.id) > ($2, $3)"
		" ORDER BY c.due_at, c.id LIMIT $4",
		4, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	},
	{
		TELL_SQL("state = 'breached', breached_at = $1,"
				 " escalated_at = CASE WHEN p.on_breach = 'notify' THEN $1 END",
				 UNTOLD_BREACH " AND coalesce(c.due_at, 'infinity') < $1", "due_at"),
		2, {TIMESTAMPTZOID, INT8ARRAYOID}
	}
};

/* a warning after the breach would help nobody */
static Announcement warnings = {
	"sla.warning",
	{
		"SELECT c.id, c.lead_id, c.warn_at FROM leadflow.sla_clocks c"
		" WHERE " UNTOLD_WARNING " AND c.warn_at <= $1 AND c.due_at >= $1 AND (c.warn_at, c.id) > ($2, $3)"
		" ORDER BY c.warn_at, c.id LIMIT $4",
		4, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	},
	{
		TELL_SQL("state = CASE WHEN c.state = 'paused' AND c.counted_from > $1 THEN 'paused' ELSE 'warning' END,"
				 " warned_at = $1",
				 UNTOLD_WARNING " AND coalesce(c.warn_at, 'infinity') <= $1 AND coalesce(c.due_at, 'infinity') >= $1",
				 "warn_at"),
		2, {TIMESTAMPTZOID, INT8ARRAYOID}
	}
};

/* Announces those of the clocks that are due still; returns how many, and how many breaches do no more. */
static int64
announce_clocks(Announcement *announcement, const Sweep *sweep, const int64 *clocks, int n, int64 *notified)
{
	Datum		values[2];
	SPITupleTable *rows;
	uint64		told;

	values[0] = TimestampTzGetDatum(sweep->at);
	values[1] = int8_array(clocks, n);
	told = engine_execute(&announcement->tell, values, NULL);
	rows = SPI_tuptable;
	*notified = tell_announced(announcement->event, told);
	SPI_freetuptable(rows);
	return (int64) told;
}

static void
count_announced(Sweep *sweep, const Announcement *announcement, int64 told, int64 notified)
{
	*(announcement == &warnings ? &sweep->warned : &sweep->breached) += told;
	sweep->escalated += notified;
	sweep->left -= told;
}

/* Of n clocks, those of leads that nobody has, whose states are locked then. */
static int
keep_free(int64 *clocks, const int64 *leads, int n)
{
	IdSet		held = {0};
	int			kept = 0;

	for (int i = 0; i < n; i++)
		ids_add(&held, leads[i]);
	ids_sort(&held);
	held.n = rows_lock_free("score_state", held.ids, held.n);
	for (int i = 0; i < n; i++)
	{
		if (ids_contain(&held, leads[i]))
			clocks[kept++] = clocks[i];
	}
	return kept;
}

static void
announce(Announcement *announcement, Sweep *sweep)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext portion = AllocSetContextCreate(caller, "leadflow sweep portion", ALLOCSET_DEFAULT_SIZES);
	Datum		values[4];
	TimestampTz last_at = DT_NOBEGIN;
	int64		last_id = 0;
	int			n;

	do
	{
		int			limit = (int) Min(ANNOUNCE_BATCH, sweep->left);
		int64	   *clocks;
		int64	   *leads;
		int			kept;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(portion);
		values[0] = TimestampTzGetDatum(sweep->at);
		values[1] = TimestampTzGetDatum(last_at);
		values[2] = Int64GetDatum(last_id);
		values[3] = Int64GetDatum(limit);
		n = (int) engine_query(&announcement->find, values, NULL);
		clocks = palloc_array(int64, n + 1);
		leads = palloc_array(int64, n + 1);
		for (int i = 0; i < n; i++)
		{
			clocks[i] = spi_int64(i, 1);
			leads[i] = spi_int64(i, 2);
		}
		if (n > 0)
		{
			last_at = spi_time(n - 1, 3);
			last_id = clocks[n - 1];
		}
		SPI_freetuptable(SPI_tuptable);
		kept = keep_free(clocks, leads, n);
		if (kept > 0)
		{
			int64		notified;
			int64		told = announce_clocks(announcement, sweep, clocks, kept, &notified);

			count_announced(sweep, announcement, told, notified);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(portion);
		if (n < limit)
			break;
	} while (sweep->left > 0);
	MemoryContextDelete(portion);
}

void
sweep_announce(Sweep *sweep)
{
	EngineContext engine;

	clocks_hold();
	engine_enter(&engine);
	engine_plan_by_index();
	engine_plan_in_order();
	if (sweep->left > 0)
		announce(&breaches, sweep);
	if (sweep->left > 0)
		announce(&warnings, sweep);
	engine_leave(&engine);
}

void
sweep_announce_leads(Sweep *sweep, const IdSet *leads)
{
	static EngineStatement find = {
		"SELECT c.id FROM unnest($2) k (id) JOIN leadflow.sla_clocks c ON c.lead_id = k.id"
		" WHERE " UNTOLD_BREACH " AND coalesce(c.due_at, 'infinity') < $1 ORDER BY c.due_at, c.id LIMIT $3",
		3, {TIMESTAMPTZOID, INT8ARRAYOID, INT8OID}
	};
	EngineContext engine;
	Datum		values[3];
	int64	   *clocks;
	int			n;

	clocks_hold();
	engine_enter(&engine);
	engine_plan_by_index();
	values[0] = TimestampTzGetDatum(sweep->at);
	values[1] = int8_array(leads->ids, leads->n);
	/* so that what follows from them can be done in this run, too, and what an earlier one has left */
	values[2] = Int64GetDatum(sweep->left / 2);
	n = (int) engine_query(&find, values, NULL);
	clocks = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * (n + 1));
	for (int i = 0; i < n; i++)
		clocks[i] = spi_int64(i, 1);
	if (n > 0)
	{
		int64		notified;
		int64		told = announce_clocks(&breaches, sweep, clocks, n, &notified);

		count_announced(sweep, &breaches, told, notified);
	}
	engine_leave(&engine);
}

/* ---- escalating ---------------------------------------------------------- */

/* As the predicate of index sla_clocks_to_escalate says; a clock that has stopped has no more consequences. */
#define UNESCALATED "c.breached_at IS NOT NULL AND c.escalated_at IS NULL AND c.stopped_at IS NULL"

static void
take_leads(EngineStatement *statement, Datum *values, IdSet *leads)
{
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	uint64		n;

	engine_enter(&engine);
	engine_plan_by_index();
	engine_plan_in_order();
	n = engine_query(statement, values, NULL);
	MemoryContextSwitchTo(caller);
	for (uint64 r = 0; r < n; r++)
		ids_add(leads, spi_int64(r, 1));
	engine_leave(&engine);
	ids_sort(leads);
}

/* However little a run may do: it is only looked which of them it can do anything about. */
void
sweep_find_unescalated(const Sweep *sweep, IdSet *leads)
{
	static EngineStatement statement = {
		"SELECT c.lead_id FROM leadflow.sla_clocks c WHERE " UNESCALATED " AND c.due_at < $1"
		" ORDER BY c.due_at, c.id LIMIT $2",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[2];

	values[0] = TimestampTzGetDatum(sweep->at);
	values[1] = Int64GetDatum(LEADS_BATCH);
	take_leads(&statement, values, leads);
}

void
sweep_find_breached(const Sweep *sweep, IdSet *leads)
{
	static EngineStatement statement = {
		"SELECT c.lead_id FROM leadflow.sla_clocks c"
		" WHERE " UNTOLD_BREACH " AND c.due_at < $1 AND c.stopped_at IS NULL"
		" AND EXISTS (SELECT FROM leadflow.sla_policies p WHERE p.on_breach <> 'notify')"
		" AND c.policy_id = ANY (ARRAY(SELECT p.id FROM leadflow.sla_policies p WHERE p.on_breach <> 'notify'))"
		" ORDER BY c.due_at, c.id LIMIT $2",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[2];

	values[0] = TimestampTzGetDatum(sweep->at);
	values[1] = Int64GetDatum(Min(sweep->left, LEADS_BATCH));
	take_leads(&statement, values, leads);
}

/* Of what sweep_overdue() reads, besides. */
enum
{
	OVERDUE_STAGE = TOLD_MORE,
	OVERDUE_OWNER,
	OVERDUE_ACCOUNT
};

Overdue *
sweep_overdue(const Sweep *sweep, const IdSet *leads, int64 limit, int *n)
{
	/* UNESCALATED, hidden from its index: it is to be found by lead */
	static EngineStatement statement = {
		"SELECT " TOLD_COLUMNS ", l.stage, l.owner_id, l.account_id"
		" FROM unnest($2) k (id) JOIN leadflow.sla_clocks c ON c.lead_id = k.id"
		" JOIN leadflow.sla_policies p ON p.id = c.policy_id JOIN leadflow.leads l ON l.id = c.lead_id"
		" WHERE c.breached_at IS NOT NULL AND coalesce(c.escalated_at, c.stopped_at) IS NULL"
		" AND coalesce(c.due_at, 'infinity') < $1"
		" ORDER BY c.lead_id, c.due_at, c.id LIMIT $3",
		3, {TIMESTAMPTZOID, INT8ARRAYOID, INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Overdue    *overdue;
	Datum		values[3];

	engine_enter(&engine);
	engine_plan_by_index();
	values[0] = TimestampTzGetDatum(sweep->at);
	values[1] = int8_array(leads->ids, leads->n);
	values[2] = Int64GetDatum(limit);
	*n = (int) engine_query(&statement, values, NULL);
	MemoryContextSwitchTo(caller);
	overdue = MemoryContextAllocHuge(caller, sizeof(Overdue) * (*n + 1));
	for (int i = 0; i < *n; i++)
	{
		overdue[i].clock_id = spi_int64(i, TOLD_CLOCK);
		overdue[i].lead_id = spi_int64(i, TOLD_LEAD);
		overdue[i].member_id = spi_int64(i, TOLD_MEMBER);
		overdue[i].due_at = spi_time(i, TOLD_DUE_AT);
		overdue[i].on_breach = spi_text(i, TOLD_ON_BREACH);
		overdue[i].details = clock_details(i);
		overdue[i].stage = spi_text(i, OVERDUE_STAGE);
		overdue[i].owner_id = spi_int64(i, OVERDUE_OWNER);
		overdue[i].account_id = spi_int64(i, OVERDUE_ACCOUNT);
	}
	engine_leave(&engine);
	return overdue;
}

void
sweep_escalated(Sweep *sweep, const Overdue *overdue, const bool *told, int n)
{
	static EngineStatement statement = {
		"UPDATE leadflow.sla_clocks c SET escalated_at = $2 FROM unnest($1) k (id) WHERE c.id = k.id",
		2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	const RoutingConfig *config = routing_config();
	Notice	   *notices = palloc0_array(Notice, n + 1);
	int64	   *clocks = palloc_array(int64, n + 1);
	EngineContext engine;
	Datum		values[2];
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		const Overdue *clock = &overdue[i];

		clocks[i] = clock->clock_id;
		if (told[i] && tell_manager(config, &notices[count], clock->lead_id, clock->member_id, clock->due_at,
									clock->details))
			count++;
	}
	engine_enter(&engine);
	engine_plan_by_index();
	values[0] = int8_array(clocks, n);
	values[1] = TimestampTzGetDatum(sweep->at);
	(void) engine_execute(&statement, values, NULL);
	engine_leave(&engine);
	outbox_add(notices, count);
	sweep->escalated += n;
	sweep->left -= n;
}

/* ---- leads that come back ------------------------------------------------ */

#define DUE_TODAY \
	"l.stage = 'nurture' AND l.revisit_on <= (SELECT ($1 AT TIME ZONE s.time_zone)::date FROM leadflow.settings s)"

/* A site that has deleted the system's move from nurture to lead doesn't want it. */
void
sweep_find_revisits(TimestampTz at, IdSet *leads)
{
	static EngineStatement statement = {
		"SELECT l.id FROM leadflow.leads l WHERE " DUE_TODAY
		" AND EXISTS (SELECT FROM leadflow.stage_transitions t"
		"  WHERE t.from_stage = 'nurture' AND t.to_stage = 'lead' AND 'system' = ANY (t.teams))"
		" ORDER BY l.revisit_on LIMIT $2",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[2];

	values[0] = TimestampTzGetDatum(at);
	values[1] = Int64GetDatum(LEADS_BATCH);
	take_leads(&statement, values, leads);
}

int
sweep_keep_revisits(TimestampTz at, int64 *leads, int n)
{
	static EngineStatement statement = {
		"SELECT l.id FROM unnest($2) k (id) JOIN leadflow.leads l ON l.id = k.id WHERE " DUE_TODAY " ORDER BY l.id",
		2, {TIMESTAMPTZOID, INT8ARRAYOID}
	};
	IdSet		kept = {0};
	Datum		values[2];

	if (n == 0)
		return 0;
	values[0] = TimestampTzGetDatum(at);
	values[1] = int8_array(leads, n);
	take_leads(&statement, values, &kept);
	for (int i = 0; i < kept.n; i++)
		leads[i] = kept.ids[i];
	return kept.n;
}
