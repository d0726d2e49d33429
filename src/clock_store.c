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
#include "policy_store.h"
#include "row_lock.h"
#include "spi.h"
#include "table_insert.h"


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
	Datum	   *target;
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
 * Starting
 * ---------------------------------------------------------------------
 */

static void
add_clock(NewClocks *clocks, const SlaConfig *config, const SlaPolicy *policy,
		  ClockMetric metric, const Move *move, int64 *warned_calendar)
{
	int64		calendar_id = policy->calendar_id ? policy->calendar_id :
		policy_member_calendar(config, move->owner_id);
	const Calendar *calendar = calendar_id ? calendar_get(calendar_id) : NULL;
	int			i = clocks->n++;

	if (calendar && !policy_can_count(calendar, move->at, policy->target))
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
	clocks->metric[i] = CStringGetTextDatum(policy_metric_names[metric]);
	clocks->member_id[i] = Int64GetDatum(move->owner_id);
	clocks->started_at[i] = TimestampTzGetDatum(move->at);
	clocks->due_at[i] = TimestampTzGetDatum(policy_deadline(calendar, move->at, policy->target));
	clocks->warn_at[i] = TimestampTzGetDatum(policy->warn_after < 0 ? DT_NOBEGIN :
											 policy_deadline(calendar, move->at, policy->warn_after));
	clocks->handoff_id[i] = Int64GetDatum(move->handoff_id);
	clocks->calendar_id[i] = Int64GetDatum(calendar_id);
	clocks->history_id[i] = Int64GetDatum(move->history_id);
	clocks->target[i] = Int64GetDatum(policy->target);
}

static Datum
wide_array(Datum *values, int n, Oid type)
{
	return PointerGetDatum(construct_array(values, n, type, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* By SQL, where a site has triggers on the table. */
static void
insert_by_sql(NewClocks *clocks)
{
	static EngineStatement statement = {
		"INSERT INTO leadflow.sla_clocks (lead_id, policy_id, metric, member_id, state, started_at,"
		" due_at, warn_at, handoff_id, calendar_id, history_id, target, counted_from)"
		" SELECT n.lead_id, n.policy_id, n.metric, nullif(n.member_id, 0), 'running', n.started_at,"
		" n.due_at, nullif(n.warn_at, '-infinity'), nullif(n.handoff_id, 0), nullif(n.calendar_id, 0), nullif(n.history_id, 0),"
		" make_interval(secs => n.target / 1000000.0), n.started_at"
		" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
		" AS n (lead_id, policy_id, metric, member_id, started_at, due_at, warn_at, handoff_id, calendar_id, history_id, target)",
		11, {INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID,
			TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
			INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}
	};
	int			n = clocks->n;
	Datum		values[11];

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
	values[10] = wide_array(clocks->target, n, INT8OID);
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
		"handoff_id", "calendar_id", "history_id", "target", "counted_from"
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
			clocks->calendar_id[i], clocks->history_id[i], 0, clocks->started_at[i]
		};
		bool		nulls[lengthof(columns)] = {false};
		Interval	target = {.time = DatumGetInt64(clocks->target[i])};

		nulls[3] = DatumGetInt64(values[3]) == 0;
		nulls[7] = TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(values[7]));
		values[11] = IntervalPGetDatum(&target);
		for (int c = 8; c < 11; c++)
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
	clocks.target = palloc(sizeof(Datum) * size);

	for (int i = 0; i < n; i++)
	{
		Jsonb	   *document;

		CHECK_FOR_INTERRUPTS();
		if (moves[i]->quiet)
			continue;
		document = lead_document_find(documents, ndocuments, moves[i]->lead_id);
		for (int m = 0; m < CLOCK_METRICS; m++)
		{
			const SlaPolicy *policy = policy_choose(config, m, moves[i]->at, document);

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
	config = policy_config();
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

	config = policy_config();
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
 * hand-off's owner included, and policy_can_count() is said in SQL.
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
