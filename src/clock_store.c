/*-------------------------------------------------------------------------
 * clock_store.c
 *	  SLA clocks: leadflow.sla_clocks, and handoffs.first_touch_at/touches.
 *
 * A clock starts when a lead is handed over: it enters a stage of category
 * handoff from one of another category.  Its policy is chosen then and stays.
 * Calendar, due_at and warn_at follow from the policy, and change only while
 * the clock is open and somebody corrects a policy or a calendar in place
 * (clock_correct()).  Everything else about a clock is a function of its start, the lead's
 * history and its sales touches, in the view leadflow._clock_facts.  So there is one
 * way to settle clocks, whatever happened (a move, a touch that is late,
 * back-dated or voided, a new owner): compare the rows of these leads with that view
 * and write what differs.
 *
 * What the sweep has announced (warned_at, breached_at) is memory, not
 * derived; the state of a clock that still runs goes by it.
 *
 * Concurrency: who settles has the leads' state rows locked and reads at a
 * later snapshot.  The sweep locks the same rows, but skips those that somebody
 * has, so it never waits and nobody deadlocks with it; what it skips it finds
 * next time.  It checks each clock again when it writes.
 *
 * Cost: a move that starts clocks is one INSERT and a look for touches at or after
 * that instant; settling reads the lead's history and its activities since the
 * hand-off.
 *
 * Limits: a calendar that isn't open for the target within 50 years can't be
 * counted in.  A policy that names one is refused; where a calendar was
 * emptied later, the move goes through with a warning, and the clock counts
 * around the clock: too early is seen, never is not.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "calendar_store.h"
#include "clock_store.h"
#include "compat.h"
#include "condition.h"
#include "config_cache.h"
#include "errors.h"
#include "guc.h"
#include "ids.h"
#include "lead_document.h"
#include "outbox.h"
#include "row_lock.h"
#include "spi.h"
#include "table_insert.h"

#define HORIZON (INT64CONST(50) * 366 * USECS_PER_DAY)
#define ANNOUNCE_BATCH 1000

typedef enum ClockMetric
{
	TIME_TO_ACCEPT,
	TIME_TO_FIRST_TOUCH
} ClockMetric;

#define CLOCK_METRICS 2
static const char *const metric_names[CLOCK_METRICS] = {"time_to_accept", "time_to_first_touch"};

typedef struct SlaPolicy
{
	int64		id;
	int64		target;			/* microseconds of working time */
	int64		warn_after;		/* likewise; -1 = no warning */
	int64		calendar_id;	/* 0 = the owner's */
	Condition  *condition;		/* NULL = every lead */
	TimestampTz from;
	TimestampTz until;
	bool		from_inclusive;
	bool		until_inclusive;
} SlaPolicy;

typedef struct MemberCalendar
{
	int64		member_id;
	int64		calendar_id;
} MemberCalendar;

typedef struct SlaConfig
{
	bool		any;
	bool		conditional;
	int			npolicies[CLOCK_METRICS];
	SlaPolicy  *policies[CLOCK_METRICS];	/* in the order in which they are asked */
	int			nmembers;
	MemberCalendar *members;	/* by member_id */
} SlaConfig;

/* A batch of clocks to start, column by column */
typedef struct NewClocks
{
	int			n;
	Datum	   *lead_id;
	Datum	   *policy_id;
	Datum	   *metric;
	Datum	   *member_id;
	Datum	   *started_at;
	Datum	   *due_at;
	Datum	   *warn_at;
	Datum	   *handoff_id;
	Datum	   *calendar_id;
	Datum	   *history_id;
} NewClocks;

/*
 * Every statement here finds rows by the leads in an array or along an index,
 * so the best plan is always the same: nested loops over indexes.
 */
static void
clock_enter(EngineContext *engine)
{
	engine_enter(engine);
	engine_plan_by_index();
}

/* ---------------------------------------------------------------------
 * Policies
 * ---------------------------------------------------------------------
 */

static void
load_policies(SlaConfig *config, MemoryContext context)
{
	static EngineStatement statement = {
		"SELECT id, metric, (extract(epoch FROM target) * 1000000)::bigint, warn_fraction, calendar_id,"
		" condition, coalesce(lower(valid), '-infinity'), coalesce(upper(valid), 'infinity'),"
		" lower_inc(valid), upper_inc(valid)"
		" FROM leadflow.sla_policies"
		" WHERE team = 'sales' AND target IS NOT NULL AND NOT isempty(valid)"
		" ORDER BY priority DESC, id",
		0, {0}
	};
	uint64		n = engine_query(&statement, NULL, NULL);

	MemoryContextSwitchTo(context);
	for (int m = 0; m < CLOCK_METRICS; m++)
		config->policies[m] = palloc0(sizeof(SlaPolicy) * Max(n, 1));

	for (uint64 r = 0; r < n; r++)
	{
		char	   *metric = spi_text(r, 2);
		Datum		value;
		bool		isnull;

		for (int m = 0; m < CLOCK_METRICS; m++)
		{
			SlaPolicy  *policy;

			if (strcmp(metric, metric_names[m]) != 0)
				continue;
			config->any = true;
			policy = &config->policies[m][config->npolicies[m]++];
			policy->id = spi_int64(r, 1);
			policy->target = spi_int64(r, 3);
			value = spi_value(r, 4, &isnull);
			policy->warn_after = isnull ? -1 :
				(int64) rint((double) policy->target * DatumGetFloat8(value));
			policy->calendar_id = spi_int64(r, 5);
			value = spi_value(r, 6, &isnull);
			if (!isnull)
			{
				policy->condition = condition_make(value);
				config->conditional = true;
			}
			policy->from = DatumGetTimestampTz(spi_value(r, 7, &isnull));
			policy->until = DatumGetTimestampTz(spi_value(r, 8, &isnull));
			policy->from_inclusive = DatumGetBool(spi_value(r, 9, &isnull));
			policy->until_inclusive = DatumGetBool(spi_value(r, 10, &isnull));
		}
	}
}

/* Members whose calendar exists: team_members is not the place to trust an id from. */
static void
load_members(SlaConfig *config, MemoryContext context)
{
	static EngineStatement statement = {
		"SELECT m.id, c.id FROM leadflow.team_members m"
		" JOIN leadflow.calendars c ON c.id = m.calendar_id ORDER BY m.id",
		0, {0}
	};
	uint64		n = engine_query(&statement, NULL, NULL);

	MemoryContextSwitchTo(context);
	config->members = palloc(sizeof(MemberCalendar) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
	{
		config->members[r].member_id = spi_int64(r, 1);
		config->members[r].calendar_id = spi_int64(r, 2);
	}
	config->nmembers = (int) n;
}

/* SPI leaves its own context behind, hence the switching back. */
static void *
load_config(void)
{
	MemoryContext context = CurrentMemoryContext;
	SlaConfig  *config = palloc0(sizeof(SlaConfig));

	load_policies(config, context);
	if (config->any)
		load_members(config, context);
	return config;
}

static const SlaConfig *
sla_config(void)
{
	static const char *const tables[] = {"sla_policies", "calendars", "team_members", NULL};
	static ConfigPart part = {
		.name = "leadflow service levels",
		.tables = tables,
		.load = load_config
	};

	return config_get(&part);
}

static bool
policy_is_valid(const SlaPolicy *policy, TimestampTz at)
{
	return (at > policy->from || (at == policy->from && policy->from_inclusive)) &&
		(at < policy->until || (at == policy->until && policy->until_inclusive));
}

/* The member's calendar, 0 = none */
static int64
member_calendar(const SlaConfig *config, int64 member_id)
{
	int			lo = 0;
	int			hi = config->nmembers;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (config->members[mid].member_id < member_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < config->nmembers && config->members[lo].member_id == member_id ?
		config->members[lo].calendar_id : 0;
}

/* ---------------------------------------------------------------------
 * Starting
 * ---------------------------------------------------------------------
 */

/* The instant that far ahead, or the last one there is. */
static TimestampTz
ahead(TimestampTz from, int64 usecs)
{
	TimestampTz result;

	if (pg_add_s64_overflow(from, usecs, &result) || !IS_VALID_TIMESTAMP(result))
		return END_TIMESTAMP - 1;
	return result;
}

/* Is it open for that long within the horizon? Then calendar_add() can't fail. */
static bool
can_count(const Calendar *calendar, TimestampTz from, int64 target)
{
	return calendar->always ? ahead(from, target) < END_TIMESTAMP - 1 :
		calendar_elapsed(calendar, from, ahead(from, HORIZON)) >= target;
}

static TimestampTz
deadline(const Calendar *calendar, TimestampTz from, int64 usecs)
{
	return calendar ? calendar_add(calendar, from, usecs) : ahead(from, usecs);
}

static void
add_clock(NewClocks *clocks, const SlaConfig *config, const SlaPolicy *policy,
		  ClockMetric metric, const Move *move, int64 *warned_calendar)
{
	int64		calendar_id = policy->calendar_id ? policy->calendar_id :
		member_calendar(config, move->owner_id);
	const Calendar *calendar = calendar_id ? calendar_get(calendar_id) : NULL;
	int			i = clocks->n++;

	if (calendar && !can_count(calendar, move->at, policy->target))
	{
		if (*warned_calendar != calendar_id)
			ereport(WARNING,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("calendar \"%s\" is not open long enough for a service level", calendar->name),
					 errdetail("Clocks that would count in it count around the clock."),
					 errhint("Give it hours in leadflow.calendar_hours.")));
		*warned_calendar = calendar_id;
		calendar_id = 0;
		calendar = NULL;
	}

	clocks->lead_id[i] = Int64GetDatum(move->lead_id);
	clocks->policy_id[i] = Int64GetDatum(policy->id);
	clocks->metric[i] = CStringGetTextDatum(metric_names[metric]);
	clocks->member_id[i] = Int64GetDatum(move->owner_id);
	clocks->started_at[i] = TimestampTzGetDatum(move->at);
	clocks->due_at[i] = TimestampTzGetDatum(deadline(calendar, move->at, policy->target));
	clocks->warn_at[i] = TimestampTzGetDatum(policy->warn_after < 0 ? DT_NOBEGIN :
											 deadline(calendar, move->at, policy->warn_after));
	clocks->handoff_id[i] = Int64GetDatum(move->handoff_id);
	clocks->calendar_id[i] = Int64GetDatum(calendar_id);
	clocks->history_id[i] = Int64GetDatum(move->history_id);
}

static Datum
wide_array(Datum *values, int n, Oid type)
{
	return PointerGetDatum(construct_array(values, n, type, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static const SlaPolicy *
choose_policy(const SlaConfig *config, ClockMetric metric, const Move *move, Jsonb *document)
{
	for (int i = 0; i < config->npolicies[metric]; i++)
	{
		const SlaPolicy *policy = &config->policies[metric][i];

		if (policy_is_valid(policy, move->at) &&
			(policy->condition == NULL ||
			 (document && condition_holds(policy->condition, document))))
			return policy;
	}
	return NULL;
}

/* By SQL, where a site has triggers on the table. */
static void
insert_by_sql(NewClocks *clocks)
{
	static EngineStatement statement = {
		"INSERT INTO leadflow.sla_clocks (lead_id, policy_id, metric, member_id, state, started_at,"
		" due_at, warn_at, handoff_id, calendar_id, history_id)"
		" SELECT n.lead_id, n.policy_id, n.metric, nullif(n.member_id, 0), 'running', n.started_at,"
		" n.due_at, nullif(n.warn_at, '-infinity'), nullif(n.handoff_id, 0), nullif(n.calendar_id, 0), nullif(n.history_id, 0)"
		" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
		" AS n (lead_id, policy_id, metric, member_id, started_at, due_at, warn_at, handoff_id, calendar_id, history_id)",
		10, {INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID,
			TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
			INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}
	};
	int			n = clocks->n;
	Datum		values[10];

	values[0] = wide_array(clocks->lead_id, n, INT8OID);
	values[1] = wide_array(clocks->policy_id, n, INT8OID);
	values[2] = PointerGetDatum(construct_array(clocks->metric, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[3] = wide_array(clocks->member_id, n, INT8OID);
	values[4] = wide_array(clocks->started_at, n, TIMESTAMPTZOID);
	values[5] = wide_array(clocks->due_at, n, TIMESTAMPTZOID);
	values[6] = wide_array(clocks->warn_at, n, TIMESTAMPTZOID);
	values[7] = wide_array(clocks->handoff_id, n, INT8OID);
	values[8] = wide_array(clocks->calendar_id, n, INT8OID);
	values[9] = wide_array(clocks->history_id, n, INT8OID);
	(void) engine_execute(&statement, values, NULL);
}

/* Holds what rows refer to, each once; false = one of them is gone. */
static bool
hold_referred(const char *table, const Datum *ids, int n)
{
	IdSet		held = {0};

	for (int i = 0; i < n; i++)
	{
		int64		id = DatumGetInt64(ids[i]);

		if (id && (held.n == 0 || held.ids[held.n - 1] != id))
			ids_add(&held, id);
	}
	ids_sort(&held);
	for (int i = 0; i < held.n; i++)
	{
		if (!row_lock_named(table, held.ids[i], LockTupleKeyShare))
			return false;
	}
	return true;
}

/*
 * The move's history row tells the clock's end from moves before it, where several
 * happen at one instant.  Foreign keys are kept by holding what is referred to; where that is
 * gone, SQL says so.
 */
static void
insert_clocks(NewClocks *clocks)
{
	static const char *const columns[] = {
		"lead_id", "policy_id", "metric", "member_id", "state", "started_at", "due_at", "warn_at",
		"handoff_id", "calendar_id", "history_id"
	};
	Datum		running = CStringGetTextDatum("running");
	TableInsert insert;

	if (!hold_referred("sla_policies", clocks->policy_id, clocks->n) ||
		!hold_referred("calendars", clocks->calendar_id, clocks->n) ||
		!table_insert_begin(&insert, "sla_clocks", columns, lengthof(columns), clocks->n))
	{
		insert_by_sql(clocks);
		return;
	}
	for (int i = 0; i < clocks->n; i++)
	{
		Datum		values[] = {
			clocks->lead_id[i], clocks->policy_id[i], clocks->metric[i], clocks->member_id[i], running,
			clocks->started_at[i], clocks->due_at[i], clocks->warn_at[i], clocks->handoff_id[i],
			clocks->calendar_id[i], clocks->history_id[i]
		};
		bool		nulls[lengthof(columns)] = {false};

		nulls[3] = DatumGetInt64(values[3]) == 0;
		nulls[7] = TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(values[7]));
		for (int c = 8; c < (int) lengthof(columns); c++)
			nulls[c] = DatumGetInt64(values[c]) == 0;
		(void) table_insert_row(&insert, values, nulls);
	}
	table_insert_end(&insert);
}

static void
start_clocks(const SlaConfig *config, const Move *const *moves, int n)
{
	NewClocks	clocks = {0};
	LeadDocument *documents = NULL;
	int			ndocuments = 0;
	int64		warned_calendar = 0;
	int			size = n * CLOCK_METRICS;

	if (config->conditional)
	{
		int64	   *leads = palloc_array(int64, n);

		for (int i = 0; i < n; i++)
			leads[i] = moves[i]->lead_id;
		documents = lead_documents(leads, n, &ndocuments);
	}

	clocks.lead_id = palloc(sizeof(Datum) * size);
	clocks.policy_id = palloc(sizeof(Datum) * size);
	clocks.metric = palloc(sizeof(Datum) * size);
	clocks.member_id = palloc(sizeof(Datum) * size);
	clocks.started_at = palloc(sizeof(Datum) * size);
	clocks.due_at = palloc(sizeof(Datum) * size);
	clocks.warn_at = palloc(sizeof(Datum) * size);
	clocks.handoff_id = palloc(sizeof(Datum) * size);
	clocks.calendar_id = palloc(sizeof(Datum) * size);
	clocks.history_id = palloc(sizeof(Datum) * size);

	for (int i = 0; i < n; i++)
	{
		Jsonb	   *document;

		CHECK_FOR_INTERRUPTS();
		if (moves[i]->quiet)
			continue;
		document = lead_document_find(documents, ndocuments, moves[i]->lead_id);
		for (int m = 0; m < CLOCK_METRICS; m++)
		{
			const SlaPolicy *policy = choose_policy(config, m, moves[i], document);

			if (policy)
				add_clock(&clocks, config, policy, m, moves[i], &warned_calendar);
		}
	}
	if (clocks.n > 0)
		insert_clocks(&clocks);
}

/* ---------------------------------------------------------------------
 * Settling
 * ---------------------------------------------------------------------
 */

/*
 * Each row that is written is found by its key: were the leads asked of it, too, the planner, to
 * whom an array has ten elements, would compare every row with every other.
 */
static void
settle_handoffs(Datum leads)
{
	static EngineStatement statement = {
		"UPDATE leadflow.handoffs h SET first_touch_at = f.first_touch_at, touches = f.touches"
		" FROM leadflow._handoff_facts f"
		" WHERE f.handoff_id = h.id AND f.lead_id = ANY ($1)"
		" AND (h.first_touch_at, h.touches) IS DISTINCT FROM (f.first_touch_at, f.touches)",
		1, {INT8ARRAYOID}
	};

	(void) engine_execute(&statement, &leads, NULL);
}

/*
 * A clock that runs (again) in time is the present owner's.  One that stops stays with
 * whoever had it; if nobody had, it is the new owner's, who answered.  A breach is whose it was
 * when it was due, if anybody's: who gets the lead later has no part in it.
 */
static void
settle_clocks(Datum leads)
{
	static EngineStatement statement = {
		"UPDATE leadflow.sla_clocks c SET stopped_at = f.stopped_at,"
		" state = CASE WHEN f.outcome IS NOT NULL THEN f.outcome WHEN c.breached_at IS NOT NULL THEN 'breached'"
		"  WHEN c.warned_at IS NOT NULL THEN 'warning' ELSE 'running' END,"
		" member_id = CASE WHEN c.due_at < coalesce(f.stopped_at, $2) THEN c.member_id"
		"  WHEN f.stopped_at IS NULL THEN l.owner_id"
		"  WHEN c.stopped_at IS NULL THEN coalesce(c.member_id, l.owner_id) ELSE c.member_id END"
		" FROM leadflow._clock_facts f JOIN leadflow.leads l ON l.id = f.lead_id"
		" WHERE f.clock_id = c.id AND f.lead_id = ANY ($1)"
		" AND (c.stopped_at IS DISTINCT FROM f.stopped_at"
		"  OR f.outcome IS NOT NULL AND c.state <> f.outcome"
		"  OR f.outcome IS NULL AND c.due_at >= $2 AND c.member_id IS DISTINCT FROM l.owner_id)",
		2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	Datum		values[2] = {leads, TimestampTzGetDatum(clock_now())};

	(void) engine_execute(&statement, values, NULL);
}

void
clock_settle(const int64 *leads, int n)
{
	const SlaConfig *config;
	EngineContext engine;
	Datum		argument;

	if (n == 0)
		return;
	config = sla_config();
	clock_enter(&engine);
	argument = int8_array(leads, n);
	settle_handoffs(argument);
	/* a policy that has clocks can't be deleted, so without policies there are none */
	if (config->any)
		settle_clocks(argument);
	engine_leave(&engine);
}

/*
 * Leads with touches at or after the instant of a hand-off that was made just now: they
 * came first because the move or they are dated so.
 */
static int64 *
touched_already(const Move *const *moves, int nmoves, int *n)
{
	int64	   *result = palloc(sizeof(int64) * Max(nmoves, 1));

	*n = 0;
	for (int i = 0; i < nmoves; i++)
	{
		if (moves[i]->touched)
			result[(*n)++] = moves[i]->lead_id;
	}
	return result;
}

void
clock_moves(const Move *moves, int n)
{
	const Move **entered = palloc(sizeof(Move *) * Max(n, 1));
	int64	   *left = palloc(sizeof(int64) * Max(n, 1));
	int			nentered = 0;
	int			nleft = 0;
	const SlaConfig *config;
	EngineContext engine;

	for (int i = 0; i < n; i++)
	{
		const Move *move = &moves[i];
		bool		was_handoff = is(move->from_category, "handoff");
		bool		is_handoff = is(move->to_category, "handoff");

		if (is_handoff && !was_handoff && !move->imported)
			entered[nentered++] = move;

		/* sales to sales ends nothing */
		if ((was_handoff && !is_handoff) ||
			(is(move->from_category, "sales") && !is(move->to_category, "sales")))
			left[nleft++] = move->lead_id;
	}
	if (nentered == 0 && nleft == 0)
		return;

	config = sla_config();
	if (nentered == 0 && !config->any)
		return;
	clock_enter(&engine);
	if (config->any)
	{
		if (nleft > 0)
			settle_clocks(int8_array(left, nleft));
		if (nentered > 0)
			start_clocks(config, entered, nentered);
	}
	if (nentered > 0)
	{
		int			ntouched;
		int64	   *touched = touched_already(entered, nentered, &ntouched);

		if (ntouched > 0)
		{
			Datum		leads = int8_array(touched, ntouched);

			settle_handoffs(leads);
			if (config->any)
				settle_clocks(leads);
		}
	}
	engine_leave(&engine);
	pfree(entered);
	pfree(left);
}

/* ---------------------------------------------------------------------
 * Correcting
 * ---------------------------------------------------------------------
 */

/*
 * A policy or a calendar was edited in place: open clocks are due anew, by the
 * configuration as it is now; closed ones were judged by what held then.  An
 * announcement that turns out to have been too early is forgotten, so that it
 * is made again in time.  The calendar is chosen as at the start, that of the
 * hand-off's owner included, and can_count() is said in SQL.
 *
 * The state rows are locked in the order of leads, as everywhere.
 */
void
clock_correct(void)
{
	static EngineStatement statement = {
		"WITH fixed AS MATERIALIZED ("
		"  SELECT c.id, c.lead_id, k.calendar_id,"
		"   CASE WHEN k.calendar_id IS NULL THEN c.started_at + t.target"
		"    ELSE leadflow.add_business_time(k.calendar_id, c.started_at, t.target) END AS due_at,"
		"   CASE WHEN k.calendar_id IS NULL THEN c.started_at + t.warn_after"
		"    ELSE leadflow.add_business_time(k.calendar_id, c.started_at, t.warn_after) END AS warn_at"
		"  FROM leadflow.sla_clocks c"
		"  JOIN leadflow.sla_policies p ON p.id = c.policy_id"
		"  LEFT JOIN leadflow.handoffs h ON h.id = c.handoff_id AND p.calendar_id IS NULL"
		"  LEFT JOIN leadflow.team_members m ON m.id = h.owner_id"
		"  LEFT JOIN leadflow.calendars o ON o.id = coalesce(p.calendar_id, m.calendar_id)"
		"  CROSS JOIN LATERAL (SELECT make_interval(secs => extract(epoch FROM p.target)::double precision) AS target,"
		"   make_interval(secs => extract(epoch FROM p.target)::double precision * p.warn_fraction) AS warn_after) t"
		"  CROSS JOIN LATERAL (SELECT CASE WHEN o.id IS NOT NULL AND leadflow.business_time(o.id, c.started_at,"
		"   c.started_at + interval '18300 days') >= t.target THEN o.id END AS calendar_id) k"
		"  WHERE c.stopped_at IS NULL),"
		" locked AS MATERIALIZED ("
		"  SELECT f.* FROM fixed f JOIN leadflow.score_state s ON s.lead_id = f.lead_id"
		"  JOIN leadflow.sla_clocks c ON c.id = f.id"
		"  WHERE (c.calendar_id, c.due_at, c.warn_at) IS DISTINCT FROM (f.calendar_id, f.due_at, f.warn_at)"
		"  ORDER BY f.lead_id FOR NO KEY UPDATE OF s),"
		" told AS MATERIALIZED ("
		"  SELECT l.*, CASE WHEN l.due_at < $1 THEN c.breached_at END AS breached_at,"
		"   CASE WHEN l.warn_at <= $1 THEN c.warned_at END AS warned_at"
		"  FROM locked l JOIN leadflow.sla_clocks c ON c.id = l.id)"
		" UPDATE leadflow.sla_clocks c SET calendar_id = t.calendar_id, due_at = t.due_at, warn_at = t.warn_at,"
		"  member_id = CASE WHEN t.due_at >= $1 THEN (SELECT l.owner_id FROM leadflow.leads l WHERE l.id = c.lead_id)"
		"   ELSE c.member_id END,"
		"  breached_at = t.breached_at, warned_at = t.warned_at,"
		"  state = CASE WHEN t.breached_at IS NOT NULL THEN 'breached' WHEN t.warned_at IS NOT NULL THEN 'warning'"
		"   ELSE 'running' END"
		" FROM told t WHERE c.id = t.id AND c.stopped_at IS NULL",
		1, {TIMESTAMPTZOID}
	};
	Datum		now = TimestampTzGetDatum(clock_now());
	EngineContext engine;

	engine_enter(&engine);
	(void) engine_execute(&statement, &now, NULL);
	engine_leave(&engine);
}

/* ---------------------------------------------------------------------
 * The sweep
 * ---------------------------------------------------------------------
 */

/* Columns of what a portion returns: of itself, then of each clock that was announced. */
enum
{
	TOLD_SEEN = 1,
	TOLD_LAST_DUE,
	TOLD_LAST_ID,
	TOLD_CLOCK,
	TOLD_LEAD,
	TOLD_MEMBER,
	TOLD_QUEUE,
	TOLD_POLICY,
	TOLD_METRIC,
	TOLD_TEAM,
	TOLD_ON_BREACH,
	TOLD_STARTED_AT,
	TOLD_DUE_AT,
	TOLD_AT
};

/* Tells of the clocks of a portion: the member who has it, else the queue that it waits in. */
static void
tell_announced(const char *event, uint64 n)
{
	Notice	   *notices = palloc0_array(Notice, n + 1);
	int			count = 0;

	for (uint64 r = 0; r < n; r++)
	{
		Notice	   *notice = &notices[count];
		StringInfoData details;
		bool		isnull;

		if (spi_int64(r, TOLD_CLOCK) == 0)
			continue;
		details_begin(&details);
		details_id(&details, "clock_id", spi_int64(r, TOLD_CLOCK));
		details_text(&details, "policy", spi_text(r, TOLD_POLICY));
		details_text(&details, "metric", spi_text(r, TOLD_METRIC));
		details_time(&details, "started_at", DatumGetTimestampTz(spi_value(r, TOLD_STARTED_AT, &isnull)));
		details_time(&details, "due_at", DatumGetTimestampTz(spi_value(r, TOLD_DUE_AT, &isnull)));
		details_text(&details, "on_breach", spi_text(r, TOLD_ON_BREACH));
		notice->lead_id = spi_int64(r, TOLD_LEAD);
		notice->event = event;
		notice->recipient_id = spi_int64(r, TOLD_MEMBER);
		notice->queue = spi_text(r, TOLD_QUEUE);
		notice->team = spi_text(r, TOLD_TEAM);
		notice->at = DatumGetTimestampTz(spi_value(r, TOLD_AT, &isnull));
		notice->details = details_end(&details);
		count++;
	}
	outbox_add(notices, count);
}

/*
 * Announces in portions along the index, (instant, id) by (instant, id): what
 * is due is found without a look at what isn't, however stale the statistics,
 * and clocks of leads that somebody has locked don't hold up the rest.  Returns warned or
 * breached clocks, and those of them whose policy says notify.
 */
static void
announce(EngineStatement *statement, const char *event, TimestampTz at, int64 *announced, int64 *notified)
{
	Datum		values[4];
	int64		seen;

	values[0] = TimestampTzGetDatum(at);
	values[1] = TimestampTzGetDatum(DT_NOBEGIN);
	values[2] = Int64GetDatum(0);
	values[3] = Int64GetDatum(ANNOUNCE_BATCH);
	do
	{
		SPITupleTable *rows;
		uint64		n;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		n = engine_execute(statement, values, NULL);
		rows = SPI_tuptable;
		seen = spi_int64(0, TOLD_SEEN);
		if (seen == ANNOUNCE_BATCH)
		{
			values[1] = spi_value(0, TOLD_LAST_DUE, &isnull);
			values[2] = spi_value(0, TOLD_LAST_ID, &isnull);
		}
		for (uint64 r = 0; r < n; r++)
		{
			char	   *on_breach = spi_text(r, TOLD_ON_BREACH);

			*announced += spi_int64(r, TOLD_CLOCK) != 0;
			*notified += on_breach && strcmp(on_breach, "notify") == 0;
		}
		tell_announced(event, n);
		SPI_freetuptable(rows);
	} while (seen == ANNOUNCE_BATCH);
}

#define ANNOUNCE_SQL(due, still, change) \
	"WITH portion AS MATERIALIZED (" \
	"  SELECT c.id, c.lead_id, c." due " AS due FROM leadflow.sla_clocks c" \
	"  WHERE " still " AND (c." due ", c.id) > ($2, $3)" \
	"  ORDER BY c." due ", c.id LIMIT $4)," \
	" locked AS MATERIALIZED (" \
	"  SELECT p.id FROM portion p JOIN leadflow.score_state s ON s.lead_id = p.lead_id" \
	"  ORDER BY p.lead_id FOR NO KEY UPDATE OF s SKIP LOCKED)," \
	" told AS (" \
	"  UPDATE leadflow.sla_clocks c SET " change \
	"  FROM locked WHERE c.id = locked.id AND " still \
	"  RETURNING c.id, c.lead_id, c.policy_id, c.metric, c.member_id, c.handoff_id, c.started_at, c.due_at, c." due " AS at)" \
	" SELECT s.seen, s.due, s.id, t.id, t.lead_id, t.member_id, t.queue, t.name, t.metric, t.team, t.on_breach," \
	"  t.started_at, t.due_at, t.at" \
	" FROM (SELECT count(*) AS seen, max(due) AS due," \
	"  (SELECT id FROM portion ORDER BY due DESC, id DESC LIMIT 1) AS id FROM portion) s" \
	" LEFT JOIN (SELECT told.*, h.queue, p.name, p.team, p.on_breach FROM told" \
	"  JOIN leadflow.sla_policies p ON p.id = told.policy_id" \
	"  LEFT JOIN leadflow.handoffs h ON h.id = told.handoff_id) t ON true ORDER BY t.lead_id, t.at, t.id"

Announced
clock_announce(TimestampTz at)
{
	/* also those that were stopped since, but too late */
	static EngineStatement breaches = {
		ANNOUNCE_SQL("due_at",
					 "c.due_at < $1 AND c.breached_at IS NULL AND c.state IN ('running', 'warning', 'breached')",
					 "state = 'breached', breached_at = $1"),
		4, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	};
	/* a warning after the breach would help nobody */
	static EngineStatement warnings = {
		ANNOUNCE_SQL("warn_at",
					 "c.warn_at <= $1 AND c.due_at >= $1 AND c.state = 'running'",
					 "state = 'warning', warned_at = $1"),
		4, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	};
	Announced	announced = {0};
	int64		ignored = 0;
	EngineContext engine;

	clock_enter(&engine);
	announce(&breaches, "sla.breached", at, &announced.breached, &announced.escalated);
	announce(&warnings, "sla.warning", at, &announced.warned, &ignored);
	engine_leave(&engine);
	return announced;
}

/*
 * A site that has deleted the system's move from nurture to lead doesn't want
 * it.  Leads that somebody is working on are left for the next sweep.
 */
int64 *
clock_revisits(TimestampTz at, int *n)
{
	static EngineStatement statement = {
		"SELECT l.id FROM leadflow.leads l"
		" WHERE l.stage = 'nurture' AND l.revisit_on <="
		"  (SELECT ($1 AT TIME ZONE s.time_zone)::date FROM leadflow.settings s)"
		" AND EXISTS (SELECT FROM leadflow.stage_transitions t"
		"  WHERE t.from_stage = 'nurture' AND t.to_stage = 'lead' AND 'system' = ANY (t.teams))"
		" ORDER BY l.id FOR NO KEY UPDATE OF l SKIP LOCKED",
		1, {TIMESTAMPTZOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		value = TimestampTzGetDatum(at);
	EngineContext engine;
	int64	   *leads;

	engine_enter(&engine);
	*n = (int) engine_execute(&statement, &value, NULL);
	leads = MemoryContextAlloc(caller, sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		leads[i] = spi_int64(i, 1);
	engine_leave(&engine);
	return leads;
}

void
clock_check_target(const Interval *target, const char *column, int64 calendar_id)
{
	const Calendar *calendar;
	int64		usecs;

	if (target->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a service level must have a fixed length", column),
				 errdetail("Months and years have none."),
				 errhint("Use days (of 24 hours), hours and minutes."),
				 err_column("sla_policies", column)));
	if (calendar_id == 0)
		return;

	usecs = target->day * USECS_PER_DAY + target->time;
	calendar = calendar_get(calendar_id);
	if (!can_count(calendar, clock_now(), usecs))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 calendar->never ?
				 errmsg("calendar \"%s\" is never open", calendar->name) :
				 errmsg("calendar \"%s\" is not open for that long within 50 years", calendar->name),
				 errhint("Give it hours in leadflow.calendar_hours."),
				 err_column("sla_policies", "calendar_id")));
}
