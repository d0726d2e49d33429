/*-------------------------------------------------------------------------
 * handoff_store.c
 *	  Rows of handoffs, queues as configured, and whose turn it is.
 *
 * Owns the statements on handoffs, queues, queue_members, queue_state,
 * routing_rules and absences.  A queue's row of queue_state is locked at its latest
 * version and written in place, so waiting for it fails in no isolation level but
 * SERIALIZABLE.
 *
 * Locks are taken in this order: leads, their state rows, queues by id, members
 * with a capacity by id.  Members are locked against each other's hand-offs alone; foreign keys
 * to them don't wait.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "calendar_store.h"
#include "compat.h"
#include "config_cache.h"
#include "handoff_store.h"
#include "row_lock.h"
#include "spi.h"
#include "stage_store.h"
#include "table_insert.h"

/* Credits are kept in parts of a lead this much finer than weights, so that other weights can take them over. */
#define WEIGHT_UNIT 1024

/* ---- as configured --------------------------------------------------------- */

static void
load_people(RoutingConfig *config, MemoryContext context)
{
	static EngineStatement people = {
		"SELECT m.id, m.full_name, m.team, m.active, m.weight::bigint, coalesce(m.capacity, -1)::bigint, c.id, m.manager_id"
		" FROM leadflow.team_members m LEFT JOIN leadflow.calendars c ON c.id = m.calendar_id ORDER BY m.id"
	};
	static EngineStatement absences = {
		"SELECT member_id, coalesce(lower(during), '-infinity'), coalesce(upper(during), 'infinity'),"
		"  lower_inc(during), upper_inc(during) OR upper_inf(during), cover_id"
		" FROM leadflow.absences ORDER BY member_id, id"
	};
	RoutingAbsence *all;
	int			n = (int) engine_query(&people, NULL, NULL);

	MemoryContextSwitchTo(context);
	config->npeople = n;
	config->people = palloc0_array(RoutingPerson, n + 1);
	for (int i = 0; i < n; i++)
	{
		RoutingPerson *person = &config->people[i];

		person->id = spi_int64(i, 1);
		person->name = spi_text(i, 2);
		person->team = team_bit(spi_text(i, 3));
		person->active = spi_bool(i, 4);
		person->weight = spi_int64(i, 5);
		person->capacity = spi_int64(i, 6);
		person->calendar_id = spi_int64(i, 7);
		person->manager_id = spi_int64(i, 8);
	}

	n = (int) engine_query(&absences, NULL, NULL);
	MemoryContextSwitchTo(context);
	all = palloc0_array(RoutingAbsence, n + 1);
	for (int i = 0; i < n; i++)
	{
		int			p = routing_person(config->people, config->npeople, spi_int64(i, 1));
		int64		cover = spi_int64(i, 6);

		all[i].from = spi_time(i, 2);
		all[i].until = spi_time(i, 3);
		all[i].from_inclusive = spi_bool(i, 4);
		all[i].until_inclusive = spi_bool(i, 5);
		all[i].cover = cover ? routing_person(config->people, config->npeople, cover) : -1;
		if (p < 0)
			continue;
		if (config->people[p].nabsences++ == 0)
			config->people[p].absences = &all[i];
	}
}

/*
 * A queue without members is every active member of sales.  Weight 0 takes no part, nor does marketing, which
 * could not decide.
 */
static void
load_queues(RoutingConfig *config, MemoryContext context)
{
	static EngineStatement queues = {
		"SELECT id, name FROM leadflow.queues ORDER BY id"
	};
	static EngineStatement members = {
		"SELECT q.id, m.id, coalesce(q.weight, m.weight)::bigint"
		" FROM (SELECT q.id, e.member_id, e.weight FROM leadflow.queues q"
		"   JOIN leadflow.queue_members e ON e.queue_id = q.id"
		"  UNION ALL SELECT q.id, m.id, NULL FROM leadflow.queues q JOIN leadflow.team_members m ON m.team = 'sales'"
		"   WHERE NOT EXISTS (SELECT FROM leadflow.queue_members e WHERE e.queue_id = q.id)) q"
		" JOIN leadflow.team_members m ON m.id = q.member_id AND m.team <> 'marketing'"
		" WHERE m.active AND coalesce(q.weight, m.weight) > 0 ORDER BY q.id, m.id"
	};
	int			n = (int) engine_query(&queues, NULL, NULL);
	int			q = 0;
	int		   *people;
	int64	   *weights;

	MemoryContextSwitchTo(context);
	config->nqueues = n;
	config->queues = palloc0_array(RoutingQueue, n + 1);
	for (int i = 0; i < n; i++)
	{
		config->queues[i].id = spi_int64(i, 1);
		config->queues[i].name = spi_text(i, 2);
	}

	n = (int) engine_query(&members, NULL, NULL);
	MemoryContextSwitchTo(context);
	people = palloc_array(int, n + 1);
	weights = palloc_array(int64, n + 1);
	for (int i = 0; i < n; i++)
	{
		int64		queue_id = spi_int64(i, 1);

		people[i] = routing_person(config->people, config->npeople, spi_int64(i, 2));
		weights[i] = spi_int64(i, 3) * WEIGHT_UNIT;
		while (q < config->nqueues && config->queues[q].id < queue_id)
			q++;
		if (q == config->nqueues || config->queues[q].id != queue_id || people[i] < 0)
			continue;			/* read a moment earlier: the cache is stale already */
		if (config->queues[q].nmembers++ == 0)
		{
			config->queues[q].members = &people[i];
			config->queues[q].weights = &weights[i];
		}
	}
}

static int
queue_by_id(const RoutingConfig *config, int64 id)
{
	for (int i = 0; i < config->nqueues; i++)
	{
		if (config->queues[i].id == id)
			return i;
	}
	return -1;
}

static RoutingStrategy
strategy_of(const char *name)
{
	return strcmp(name, "least_loaded") == 0 ? ROUTE_LEAST_LOADED :
		strcmp(name, "owner") == 0 ? ROUTE_OWNER : ROUTE_ROUND_ROBIN;
}

static void
load_rules(RoutingConfig *config, MemoryContext context)
{
	static EngineStatement rules = {
		"SELECT name, condition, queue_id, assignee_id, strategy FROM leadflow.routing_rules ORDER BY position, id"
	};
	int			n = (int) engine_query(&rules, NULL, NULL);
	bool		last = false;

	MemoryContextSwitchTo(context);
	config->rules = palloc0_array(RoutingRule, n + 2);
	for (int i = 0; i < n && !last; i++)
	{
		RoutingRule *rule = &config->rules[config->nrules];
		int64		queue_id = spi_int64(i, 3);
		int64		assignee = spi_int64(i, 4);
		bool		isnull;
		Datum		condition = spi_value(i, 2, &isnull);

		rule->name = spi_text(i, 1);
		rule->condition = isnull ? NULL : condition_make(condition);
		rule->queue = queue_id ? queue_by_id(config, queue_id) : -1;
		rule->assignee = assignee ? routing_person(config->people, config->npeople, assignee) : -1;
		rule->strategy = strategy_of(spi_text(i, 5));
		if (rule->queue < 0 && rule->assignee < 0)
			continue;
		config->nrules++;
		config->conditional |= rule->condition != NULL;
		/* what comes after it is never asked */
		last = rule->condition == NULL && rule->queue >= 0;
	}
	if (!last && config->nqueues > 0)
	{
		RoutingRule *rule = &config->rules[config->nrules++];

		rule->queue = 0;
		rule->assignee = -1;
	}
}

static void *
load_config(void)
{
	MemoryContext context = CurrentMemoryContext;
	RoutingConfig *config = palloc0(sizeof(RoutingConfig));

	load_people(config, context);
	load_queues(config, context);
	load_rules(config, context);
	return config;
}

const RoutingConfig *
routing_config(void)
{
	static const char *const tables[] = {
		"team_members", "absences", "calendars", "queues", "queue_members", "routing_rules", NULL
	};
	static ConfigPart part = {
		.name = "leadflow routing",
		.tables = tables,
		.load = load_config
	};

	return config_get(&part);
}

bool
routing_at_work(const RoutingPerson *person, TimestampTz at)
{
	return person->calendar_id == 0 || calendar_is_open(calendar_get(person->calendar_id), at);
}

/* ---- rows of handoffs ------------------------------------------------------ */

bool
handoff_was_passed_on(const char *why)
{
	return strcmp(why, WHY_REASSIGNED) == 0 || strcmp(why, WHY_TAKEN_OVER) == 0 ||
		strcmp(why, WHY_BREACHED) == 0;
}

/* Of what these statements return, lead by lead; both in id order. */
static int64
id_of(int64 lead_id, uint64 nrows, uint64 *next)
{
	while (*next < nrows && spi_int64(*next, 1) < lead_id)
		(*next)++;
	return *next < nrows && spi_int64(*next, 1) == lead_id ? spi_int64(*next, 2) : 0;
}

/* By SQL, where a site has triggers on the table. */
static void
open_by_sql(Handoff *handoffs, int n)
{
	static EngineStatement open = {
		"INSERT INTO leadflow.handoffs"
		" (lead_id, offered_at, owner_id, queue, why, decided_at, decision, assigned_at)"
		" SELECT lead_id, at, nullif(owner_id, 0), queue, why,"
		"  CASE WHEN decision IS NOT NULL THEN at END, decision, CASE WHEN owner_id <> 0 THEN at END"
		" FROM unnest($1, $2, $3, $4, $5, $6) m (lead_id, at, owner_id, queue, why, decision)"
		" RETURNING lead_id, id",
		6, {
			INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, TEXTARRAYOID,
			TEXTARRAYOID, TEXTARRAYOID
		}
	};
	int64	   *leads = palloc_array(int64, n);
	TimestampTz *at = palloc_array(TimestampTz, n);
	int64	   *owners = palloc_array(int64, n);
	const char **queues = palloc_array(const char *, n);
	const char **why = palloc_array(const char *, n);
	const char **decisions = palloc_array(const char *, n);
	EngineContext engine;
	Datum		values[6];
	uint64		nrows;
	uint64		next = 0;

	for (int i = 0; i < n; i++)
	{
		leads[i] = handoffs[i].lead_id;
		at[i] = handoffs[i].offered_at;
		owners[i] = handoffs[i].owner_id;
		queues[i] = handoffs[i].queue;
		why[i] = handoffs[i].why;
		decisions[i] = handoffs[i].decision;
	}
	values[0] = int8_array(leads, n);
	values[1] = time_array(at, n);
	values[2] = int8_array(owners, n);
	values[3] = text_array(queues, n);
	values[4] = text_array(why, n);
	values[5] = text_array(decisions, n);
	engine_enter(&engine);
	nrows = engine_execute(&open, values, NULL);
	for (int i = 0; i < n; i++)
		handoffs[i].id = id_of(handoffs[i].lead_id, nrows, &next);
	engine_leave(&engine);
}

/* A text of a row; the one before is used again where it is the same, as it mostly is. */
static Datum
row_text(const char *text, const char **before, Datum *datum)
{
	if (text && text != *before)
	{
		*before = text;
		*datum = CStringGetTextDatum(text);
	}
	return text ? *datum : (Datum) 0;
}

void
handoff_open(Handoff *handoffs, int n)
{
	static const char *const columns[] = {
		"lead_id", "offered_at", "owner_id", "queue", "why", "decided_at", "decision", "assigned_at"
	};
	TableInsert insert;
	const char *before[3] = {NULL};
	Datum		texts[3] = {0};

	if (n == 0)
		return;
	if (!table_insert_begin(&insert, "handoffs", columns, lengthof(columns), n))
	{
		open_by_sql(handoffs, n);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		const Handoff *handoff = &handoffs[i];
		Datum		at = TimestampTzGetDatum(handoff->offered_at);
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)];

		values[0] = Int64GetDatum(handoff->lead_id);
		values[1] = values[5] = values[7] = at;
		values[2] = Int64GetDatum(handoff->owner_id);
		values[3] = row_text(handoff->queue, &before[0], &texts[0]);
		values[4] = row_text(handoff->why, &before[1], &texts[1]);
		values[6] = row_text(handoff->decision, &before[2], &texts[2]);
		nulls[0] = nulls[1] = nulls[4] = false;
		nulls[2] = nulls[7] = handoff->owner_id == 0;
		nulls[3] = handoff->queue == NULL;
		nulls[5] = nulls[6] = handoff->decision == NULL;
		handoffs[i].id = table_insert_row(&insert, values, nulls);
	}
	table_insert_end(&insert);
}

/*
 * The open row of a lead m, found by the lead and by nothing else: the planner, to whom few rows are
 * open, would compare the leads of a batch with all of these.
 */
#define OPEN_OF_LEAD \
	" CROSS JOIN LATERAL (SELECT x.id FROM leadflow.handoffs x WHERE x.lead_id = m.lead_id" \
	"  AND coalesce(x.decided_at, 'infinity') = 'infinity' OFFSET 0) o"

/* Hand-offs follow each other in time, whatever instant a move or a deal is dated with. */
void
handoff_decide(const int64 *leads, TimestampTz *at, const char *const *decisions, int n, int64 *ids)
{
	static EngineStatement decide = {
		"WITH d AS (UPDATE leadflow.handoffs h SET decided_at = greatest(h.offered_at, h.assigned_at, m.at),"
		"   decision = m.decision FROM unnest($1, $2, $3) m (lead_id, at, decision)"
		OPEN_OF_LEAD " WHERE h.id = o.id RETURNING h.lead_id, h.id, h.decided_at)"
		" SELECT lead_id, max(id), max(decided_at) FROM d GROUP BY lead_id ORDER BY lead_id",
		3, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID}
	};
	EngineContext engine;
	Datum		values[3];
	uint64		nrows;
	uint64		next = 0;

	values[0] = int8_array(leads, n);
	values[1] = time_array(at, n);
	values[2] = text_array(decisions, n);
	engine_enter(&engine);
	engine_plan_by_index();
	nrows = engine_execute(&decide, values, NULL);
	for (int i = 0; i < n; i++)
	{
		ids[i] = id_of(leads[i], nrows, &next);
		if (ids[i])
			at[i] = Max(at[i], spi_time(next, 3));
	}
	engine_leave(&engine);
}

void
handoff_not_before(const int64 *leads, TimestampTz *at, int n)
{
	static EngineStatement latest = {
		"SELECT lead_id, max(greatest(offered_at, assigned_at)) FROM leadflow.handoffs"
		" WHERE lead_id = ANY ($1) AND merged_from IS NULL GROUP BY lead_id ORDER BY lead_id",
		1, {INT8ARRAYOID}
	};
	EngineContext engine;
	Datum		ids = int8_array(leads, n);
	uint64		nrows;
	uint64		next = 0;

	engine_enter(&engine);
	engine_plan_by_index();
	nrows = engine_query(&latest, &ids, NULL);
	for (int i = 0; i < n; i++)
	{
		while (next < nrows && spi_int64(next, 1) < leads[i])
			next++;
		if (next < nrows && spi_int64(next, 1) == leads[i])
			at[i] = Max(at[i], spi_time(next, 2));
	}
	engine_leave(&engine);
}

void
handoff_assign(const int64 *leads, const int64 *owners, const char *const *queues, const char *const *why,
			   TimestampTz at, int n, int64 *ids)
{
	static EngineStatement assign = {
		"WITH a AS (UPDATE leadflow.handoffs h SET owner_id = nullif(m.owner_id, 0), queue = coalesce(m.queue, h.queue),"
		"  assigned_at = CASE WHEN m.owner_id <> 0 THEN greatest($5, h.offered_at) END,"
		"  why = CASE WHEN h.why = 'reassigned' THEN h.why ELSE coalesce(m.why, h.why) END"
		" FROM unnest($1, $2, $3, $4) m (lead_id, owner_id, queue, why)"
		OPEN_OF_LEAD " WHERE h.id = o.id AND coalesce(h.owner_id, 0) = 0"
		"  RETURNING h.lead_id, h.id)"
		" SELECT lead_id, max(id) FROM a GROUP BY lead_id ORDER BY lead_id",
		5, {INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}
	};
	EngineContext engine;
	Datum		values[5];
	uint64		nrows;
	uint64		next = 0;

	values[0] = int8_array(leads, n);
	values[1] = int8_array(owners, n);
	values[2] = text_array(queues, n);
	values[3] = text_array(why, n);
	values[4] = TimestampTzGetDatum(at);
	engine_enter(&engine);
	engine_plan_by_index();
	nrows = engine_execute(&assign, values, NULL);
	for (int i = 0; i < n; i++)
		ids[i] = id_of(leads[i], nrows, &next);
	engine_leave(&engine);
}

/* ---- leads that wait --------------------------------------------------------- */

/* As the predicate of index handoffs_waiting says: imports and quiet loads wait for nobody. */
#define WAITS "h.decided_at IS NULL AND h.owner_id IS NULL AND h.why NOT IN ('imported', 'quiet load')"

char **
waiting_queues(int *n)
{
	static EngineStatement statement = {
		"WITH RECURSIVE q AS ("
		"  (SELECT h.queue FROM leadflow.handoffs h WHERE " WAITS " ORDER BY h.queue LIMIT 1)"
		"  UNION ALL SELECT (SELECT h.queue FROM leadflow.handoffs h WHERE " WAITS " AND h.queue > q.queue"
		"   ORDER BY h.queue LIMIT 1) FROM q WHERE q.queue IS NOT NULL)"
		" SELECT queue FROM q WHERE queue IS NOT NULL"
		" UNION ALL (SELECT NULL FROM leadflow.handoffs h WHERE " WAITS " AND h.queue IS NULL LIMIT 1)"
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	char	  **queues;

	engine_enter(&engine);
	*n = (int) engine_query(&statement, NULL, NULL);
	MemoryContextSwitchTo(caller);
	queues = palloc_array(char *, *n + 1);
	for (int i = 0; i < *n; i++)
		queues[i] = spi_text(i, 1);
	engine_leave(&engine);
	return queues;
}

int64 *
waiting_leads(const char *queue, int limit, bool given, int *n)
{
	static EngineStatement in_queue = {
		"SELECT DISTINCT w.lead_id FROM (SELECT h.lead_id FROM leadflow.handoffs h WHERE " WAITS
		"  AND h.queue = $3 AND NOT ($2 AND h.why LIKE '%to be claimed') ORDER BY h.id LIMIT nullif($1, 0)) w ORDER BY 1",
		3, {INT8OID, BOOLOID, TEXTOID}
	};
	static EngineStatement in_none = {
		"SELECT DISTINCT w.lead_id FROM (SELECT h.lead_id FROM leadflow.handoffs h WHERE " WAITS
		"  AND h.queue IS NULL AND NOT ($2 AND h.why LIKE '%to be claimed') ORDER BY h.id LIMIT nullif($1, 0)) w ORDER BY 1",
		2, {INT8OID, BOOLOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	int64	   *leads;
	Datum		values[3];

	engine_enter(&engine);
	values[0] = Int64GetDatum(limit);
	values[1] = BoolGetDatum(given);
	values[2] = queue ? CStringGetTextDatum(queue) : (Datum) 0;
	*n = (int) engine_query(queue ? &in_queue : &in_none, values, NULL);
	leads = MemoryContextAllocHuge(caller, sizeof(int64) * (*n + 1));
	for (int i = 0; i < *n; i++)
		leads[i] = spi_int64(i, 1);
	engine_leave(&engine);
	return leads;
}

WaitingLead *
waiting_lock(const int64 *leads, int n, int *nlocked)
{
	/* what holds now that nobody else writes */
	static EngineStatement waits = {
		"SELECT l.id, l.account_id, EXISTS (SELECT FROM leadflow.stage_history s"
		"   JOIN leadflow.stages f ON f.name = s.from_stage AND f.category = 'recycle'"
		"   WHERE s.lead_id = l.id AND s.left_at IS NULL AND s.team = 'system')"
		" FROM leadflow.leads l"
		" WHERE l.id = ANY ($1) AND l.owner_id IS NULL AND EXISTS (SELECT FROM leadflow.handoffs h"
		"  WHERE h.lead_id = l.id AND " WAITS " OFFSET 0) ORDER BY l.id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	WaitingLead *waiting;
	int64	   *ids = MemoryContextAllocHuge(caller, sizeof(int64) * (n + 1));
	Datum		argument;

	memcpy(ids, leads, sizeof(int64) * n);
	n = rows_lock_free("leads", ids, n);
	argument = int8_array(ids, n);
	engine_enter(&engine);
	engine_plan_by_index();
	*nlocked = (int) engine_query(&waits, &argument, NULL);
	waiting = MemoryContextAllocHuge(caller, sizeof(WaitingLead) * (*nlocked + 1));
	for (int i = 0; i < *nlocked; i++)
	{
		waiting[i].lead_id = spi_int64(i, 1);
		waiting[i].account_id = spi_int64(i, 2);
		waiting[i].another = spi_bool(i, 3);
	}
	engine_leave(&engine);
	return waiting;
}

/* The leads of a member that sales has in hand, by id. */
static int64 *
leads_in_hand(int64 member_id, bool **offered, int *n)
{
	static EngineStatement statement = {
		"SELECT l.id, (SELECT s.category = 'handoff' FROM leadflow.stages s WHERE s.name = l.stage)"
		" FROM leadflow.leads l WHERE l.owner_id = $1 AND l.stage = ANY (ARRAY("
		"  SELECT name FROM leadflow.stages WHERE category IN ('handoff', 'sales')))"
		" ORDER BY l.id",
		1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		id = Int64GetDatum(member_id);
	int64	   *leads;

	engine_enter(&engine);
	*n = (int) engine_query(&statement, &id, NULL);
	leads = MemoryContextAllocHuge(caller, sizeof(int64) * (*n + 1));
	*offered = MemoryContextAllocHuge(caller, sizeof(bool) * (*n + 1));
	for (int i = 0; i < *n; i++)
	{
		leads[i] = spi_int64(i, 1);
		(*offered)[i] = spi_bool(i, 2);
	}
	engine_leave(&engine);
	return leads;
}

/* Locked one by one, since SELECT ... FOR UPDATE would fail under REPEATABLE READ where it had waited. */
int64 *
member_leads(int64 member_id, bool **offered, int *n)
{
	int			nfound;
	int			count = 0;
	int			f = 0;
	int64	   *found = leads_in_hand(member_id, offered, &nfound);
	int64	   *leads;

	for (int i = 0; i < nfound; i++)
	{
		CHECK_FOR_INTERRUPTS();
		(void) row_lock_named("leads", found[i], LockTupleNoKeyExclusive);
	}
	/* those that are the member's still, now that nobody else writes */
	leads = leads_in_hand(member_id, offered, n);
	for (int i = 0; i < *n; i++)
	{
		while (f < nfound && found[f] < leads[i])
			f++;
		if (f == nfound || found[f] != leads[i])
			continue;
		leads[count] = leads[i];
		(*offered)[count++] = (*offered)[i];
	}
	*n = count;
	return leads;
}

char *
handoff_last_queue(int64 lead_id)
{
	static EngineStatement last = {
		"SELECT queue FROM leadflow.handoffs WHERE lead_id = $1 AND queue IS NOT NULL"
		" ORDER BY offered_at DESC, id DESC LIMIT 1",
		1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		id = Int64GetDatum(lead_id);
	char	   *queue = NULL;

	engine_enter(&engine);
	if (engine_query(&last, &id, NULL) > 0)
	{
		MemoryContextSwitchTo(caller);
		queue = spi_text(0, 1);
	}
	engine_leave(&engine);
	return queue;
}

/* ---- what routing asks about leads --------------------------------------- */

static void
take_ids(IdSet *set, Datum array)
{
	Datum	   *ids;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &ids, NULL, &n);
	for (int i = 0; i < n; i++)
		ids_add(set, DatumGetInt64(ids[i]));
	ids_sort(set);
}

/* The cycle that ended is that of the stage which was left; it began with the first row that has its number. */
void
handoff_left_sales(const int64 *leads, int n, LeftSales *left)
{
	static EngineStatement statement = {
		"SELECT x.lead_id, r.returns_to, o.owners, o.last_owner"
		" FROM unnest($1) l (id)"
		" CROSS JOIN LATERAL (SELECT h.* FROM leadflow.stage_history h"
		"  WHERE h.lead_id = l.id"
		"   AND (SELECT f.category IN ('handoff', 'sales') FROM leadflow.stages f WHERE f.name = h.from_stage)"
		"   AND (SELECT t.category NOT IN ('handoff', 'sales') FROM leadflow.stages t WHERE t.name = h.to_stage)"
		"  ORDER BY h.entered_at DESC, h.id DESC LIMIT 1) x"
		" LEFT JOIN leadflow.stage_reasons r ON r.stage = x.to_stage AND r.reason = x.reason"
		" CROSS JOIN LATERAL (SELECT p.cycle FROM leadflow.stage_history p"
		"  WHERE p.lead_id = x.lead_id AND p.merged_from IS NOT DISTINCT FROM x.merged_from"
		"   AND (p.entered_at, p.id) < (x.entered_at, x.id)"
		"  ORDER BY p.entered_at DESC, p.id DESC LIMIT 1) c"
		" CROSS JOIN LATERAL (SELECT min(p.entered_at) AS since FROM leadflow.stage_history p"
		"  WHERE p.lead_id = x.lead_id AND p.cycle = c.cycle) s"
		" CROSS JOIN LATERAL (SELECT array_agg(DISTINCT h.owner_id) AS owners,"
		"   (array_agg(h.owner_id ORDER BY h.offered_at DESC, h.id DESC))[1] AS last_owner"
		"  FROM leadflow.handoffs h"
		"  WHERE h.lead_id = x.lead_id AND h.owner_id IS NOT NULL AND h.offered_at >= s.since) o"
		" ORDER BY x.lead_id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		argument = int8_array(leads, n);
	uint64		nrows;
	uint64		r = 0;

	memset(left, 0, sizeof(LeftSales) * n);
	engine_enter(&engine);
	engine_plan_by_index();
	nrows = engine_query(&statement, &argument, NULL);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < n && r < nrows; i++)
	{
		bool		isnull;
		Datum		owners;

		if (spi_int64(r, 1) != leads[i])
			continue;
		left[i].found = true;
		left[i].returns_to = spi_text(r, 2);
		owners = spi_value(r, 3, &isnull);
		if (!isnull)
			take_ids(&left[i].owners, owners);
		left[i].last_owner = spi_int64(r, 4);
		r++;
	}
	engine_leave(&engine);
}

/* A cycle began with the first row of history that has its number. */
void
handoff_owners(const int64 *leads, int n, IdSet *owners)
{
	static EngineStatement statement = {
		"SELECT l.id, o.owners FROM unnest($1) l (id)"
		" CROSS JOIN LATERAL (SELECT min(p.entered_at) AS since FROM leadflow.stage_history p"
		"  WHERE p.lead_id = l.id AND p.cycle = (SELECT s.cycle FROM leadflow.score_state s WHERE s.lead_id = l.id)) c"
		" CROSS JOIN LATERAL (SELECT array_agg(h.owner_id) AS owners FROM leadflow.handoffs h"
		"  WHERE h.lead_id = l.id AND h.owner_id IS NOT NULL AND h.offered_at >= c.since) o"
		" WHERE o.owners IS NOT NULL ORDER BY l.id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		argument = int8_array(leads, n);
	uint64		nrows;
	uint64		r = 0;

	memset(owners, 0, sizeof(IdSet) * n);
	engine_enter(&engine);
	engine_plan_by_index();
	nrows = engine_query(&statement, &argument, NULL);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < n && r < nrows; i++)
	{
		bool		isnull;

		if (spi_int64(r, 1) == leads[i])
			take_ids(&owners[i], spi_value(r++, 2, &isnull));
	}
	engine_leave(&engine);
}

/*
 * Leads that are being handed off by this very statement have no offer yet, and don't count
 * until it is their turn.
 */
AccountOwners *
account_owners(const IdSet *accounts, int *nfound)
{
	static EngineStatement statement = {
		/* the latest of each stage along leads_account_id; that of owners must look useless to a plan made while few had one */
		"WITH held AS MATERIALIZED (SELECT s.name, s.category = 'handoff' AS offered FROM leadflow.stages s"
		"  WHERE s.category IN ('handoff', 'sales', 'won'))"
		" SELECT a.id, a.owner_id, o.leads, o.owners FROM leadflow.accounts a"
		" LEFT JOIN LATERAL (SELECT array_agg(x.id ORDER BY x.stage_since DESC, x.id DESC) AS leads,"
		"   array_agg(x.owner_id ORDER BY x.stage_since DESC, x.id DESC) AS owners"
		"  FROM (SELECT y.id, y.owner_id, y.stage_since FROM held CROSS JOIN LATERAL ("
		"    SELECT l.id, l.owner_id, l.stage_since FROM leadflow.leads l"
		"    WHERE l.account_id = a.id AND l.stage = held.name AND coalesce(l.owner_id, 0) <> 0"
		"     AND (NOT held.offered OR EXISTS (SELECT FROM leadflow.handoffs h"
		"      WHERE h.lead_id = l.id AND h.decided_at IS NULL OFFSET 0))"
		"    ORDER BY l.stage_since DESC, l.id DESC LIMIT 20) y"
		"   ORDER BY y.stage_since DESC, y.id DESC LIMIT 20) x) o ON true"
		" WHERE a.id = ANY ($1) ORDER BY a.id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	AccountOwners *found;
	EngineContext engine;
	Datum		argument = int8_array(accounts->ids, accounts->n);

	engine_enter(&engine);
	engine_plan_by_index();
	*nfound = (int) engine_query(&statement, &argument, NULL);
	MemoryContextSwitchTo(caller);
	found = palloc0_array(AccountOwners, *nfound + 1);
	for (int i = 0; i < *nfound; i++)
	{
		bool		isnull;
		Datum		leads;
		Datum	   *ids;
		Datum	   *owners;
		int			nowners;

		found[i].account_id = spi_int64(i, 1);
		found[i].owner_id = spi_int64(i, 2);
		leads = spi_value(i, 3, &isnull);
		if (isnull)
			continue;
		deconstruct_array(DatumGetArrayTypeP(leads), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
						  &ids, NULL, &found[i].n);
		deconstruct_array(DatumGetArrayTypeP(spi_value(i, 4, &isnull)), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
						  TYPALIGN_DOUBLE, &owners, NULL, &nowners);
		found[i].room = found[i].n;
		found[i].leads = palloc_array(int64, found[i].n);
		found[i].owners = palloc_array(int64, found[i].n);
		for (int j = 0; j < found[i].n; j++)
		{
			found[i].leads[j] = DatumGetInt64(ids[j]);
			found[i].owners[j] = DatumGetInt64(owners[j]);
		}
	}
	engine_leave(&engine);
	return found;
}

void
member_loads(const int64 *members, int n, int64 *loads)
{
	static EngineStatement statement = {
		"SELECT owner_id, count(*) FROM leadflow.leads WHERE owner_id = ANY ($1) AND stage = ANY (ARRAY("
		"  SELECT name FROM leadflow.stages WHERE category IN ('handoff', 'sales')))"
		" GROUP BY owner_id ORDER BY owner_id",
		1, {INT8ARRAYOID}
	};
	EngineContext engine;
	Datum		argument = int8_array(members, n);
	uint64		nrows;
	uint64		r = 0;

	engine_enter(&engine);
	nrows = engine_query(&statement, &argument, NULL);
	for (int i = 0; i < n; i++)
	{
		loads[i] = 0;
		if (r < nrows && spi_int64(r, 1) == members[i])
			loads[i] = spi_int64(r++, 2);
	}
	engine_leave(&engine);
}

/* ---- whose turn it is ------------------------------------------------------ */

/* Columns of queue_state, in order (sql/tables/50_handoff.sql). */
enum
{
	STATE_QUEUE_ID,
	STATE_MEMBERS,
	STATE_CREDITS,
	STATE_TOTAL,
	QUEUE_STATE_COLUMNS
};

static int64 *
read_ids(Datum array, int *n)
{
	Datum	   *elements;
	int64	   *ids;

	deconstruct_array(DatumGetArrayTypeP(array), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, NULL, n);
	ids = palloc_array(int64, *n + 1);
	for (int i = 0; i < *n; i++)
		ids[i] = DatumGetInt64(elements[i]);
	return ids;
}

static void
read_state(TupleTableSlot *slot, QueueState *state)
{
	int			ncredits;

	slot_getallattrs(slot);
	state->members = read_ids(slot->tts_values[STATE_MEMBERS], &state->n);
	state->credits = read_ids(slot->tts_values[STATE_CREDITS], &ncredits);
	state->total = DatumGetInt64(slot->tts_values[STATE_TOTAL]);
	state->n = Min(state->n, ncredits);
}

static Relation
state_relation(LOCKMODE lock)
{
	Relation	rel = table_open(engine_relation("queue_state"), lock);

	if (RelationGetNumberOfAttributes(rel) != QUEUE_STATE_COLUMNS)
		elog(ERROR, "table queue_state has %d columns instead of %d",
			 RelationGetNumberOfAttributes(rel), QUEUE_STATE_COLUMNS);
	return rel;
}

void
queue_look(int64 queue_id, QueueState *state)
{
	Relation	rel = state_relation(AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	Snapshot	snapshot = RegisterSnapshot(engine_snapshot());

	memset(state, 0, sizeof(QueueState));
	state->queue_id = queue_id;
	PushActiveSnapshot(snapshot);
	if (row_fetch(rel, queue_id, snapshot, slot))
		read_state(slot, state);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
}

/* The first time, under the lock of the queue's own row, so that nobody else does. */
static bool
make_state(int64 queue_id)
{
	static EngineStatement make = {
		"INSERT INTO leadflow.queue_state (queue_id, members, credits, total)"
		" SELECT $1, '{}', '{}', 0 WHERE NOT EXISTS (SELECT FROM leadflow.queue_state WHERE queue_id = $1)",
		1, {INT8OID}
	};
	EngineContext engine;
	Datum		id = Int64GetDatum(queue_id);

	if (!row_lock_named("queues", queue_id, LockTupleNoKeyExclusive))
		return false;
	engine_enter(&engine);
	(void) engine_execute(&make, &id, NULL);
	engine_leave(&engine);
	return true;
}

bool
queue_enter(int64 queue_id, QueueState *state)
{
	memset(state, 0, sizeof(QueueState));
	state->queue_id = queue_id;
	state->rel = state_relation(RowExclusiveLock);
	state->slot = table_slot_create(state->rel, NULL);
	if (!row_lock(state->rel, queue_id, LockTupleNoKeyExclusive, state->slot))
	{
		if (!make_state(queue_id))
			return false;
		CommandCounterIncrement();
		if (!row_lock(state->rel, queue_id, LockTupleNoKeyExclusive, state->slot))
			return false;
	}
	read_state(state->slot, state);
	return true;
}

void
queue_leave(QueueState *state, bool changed)
{
	if (changed)
	{
		Datum		values[QUEUE_STATE_COLUMNS];
		bool		nulls[QUEUE_STATE_COLUMNS] = {false};

		values[STATE_QUEUE_ID] = Int64GetDatum(state->queue_id);
		values[STATE_MEMBERS] = int8_array(state->members, state->n);
		values[STATE_CREDITS] = int8_array(state->credits, state->n);
		values[STATE_TOTAL] = Int64GetDatum(state->total);
		row_update(state->rel, state->slot, values, nulls);
	}
	ExecDropSingleTupleTableSlot(state->slot);
	table_close(state->rel, NoLock);
}

void
members_hold(const IdSet *members)
{
	for (int i = 0; i < members->n; i++)
		(void) row_lock_named("team_members", members->ids[i], LockTupleNoKeyExclusive);
}
