/*-------------------------------------------------------------------------
 * clock_rows.c
 *	  Rows of sla_clocks, and what their leads' clocks depend on.
 *
 * Every statement here finds rows by the leads in an array or along an index,
 * so the best plan is always the same: nested loops over indexes.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "clock_rows.h"
#include "compat.h"
#include "model_store.h"
#include "row_lock.h"
#include "spi.h"
#include "stage_store.h"
#include "table_insert.h"

const char *const clock_states[] = {"running", "warning", "paused", "met", "breached", "cancelled"};

static ClockState
state_of(const char *name)
{
	for (int s = 0; s < (int) lengthof(clock_states); s++)
	{
		if (strcmp(name, clock_states[s]) == 0)
			return s;
	}
	elog(ERROR, "unknown state of a clock: %s", name);
}

/* Targets and the like have no months. */
static int64
spi_interval(uint64 r, int i, int64 otherwise)
{
	bool		isnull;
	Datum		value = spi_value(r, i, &isnull);
	const Interval *interval;

	if (isnull)
		return otherwise;
	interval = DatumGetIntervalP(value);
	return interval->day * USECS_PER_DAY + interval->time;
}

static Datum
interval_of(int64 usecs)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = usecs;
	return IntervalPGetDatum(interval);
}

/* ---- locks --------------------------------------------------------------- */

void
clocks_hold(void)
{
	LockRelationOid(engine_relation("sla_clocks"), RowExclusiveLock);
}

/* They take turns with those who write promises: whoever does several of these things has that lock first. */
static void
take_turns(void)
{
	LockRelationOid(engine_relation("sla_policies"), ShareUpdateExclusiveLock);
}

void
clocks_hold_to_correct(void)
{
	take_turns();
	LockRelationOid(engine_relation("sla_clocks"), ShareRowExclusiveLock);
}

void
clocks_hold_to_restate(void)
{
	take_turns();
	clocks_hold();
}

/* ---- reading ------------------------------------------------------------- */

/* A row of a lead's history. */
typedef struct Passage
{
	int64		lead_id;
	int64		merged_from;
	int64		id;
	TimestampTz left_at;		/* DT_NOEND = it stands there */
	Move		move;
} Passage;

static int
compare_passages(const void *a, const void *b)
{
	const Passage *x = a;
	const Passage *y = b;

	if (x->lead_id != y->lead_id)
		return compare_ids(&x->lead_id, &y->lead_id);
	return x->move.at != y->move.at ? (x->move.at < y->move.at ? -1 : 1) : compare_ids(&x->id, &y->id);
}

static const char *
category_of(const Lifecycle *lifecycle, const char *stage)
{
	const Stage *found = stage ? stage_find(lifecycle, stage) : NULL;

	return found ? found->category : NULL;
}

static Passage *
history_read(Datum leads, Snapshot snapshot, int *n)
{
	static EngineStatement statement = {
		"SELECT lead_id, merged_from, id, left_at, entered_at, from_stage, to_stage, team"
		" FROM leadflow.stage_history WHERE lead_id = ANY ($1)",
		1, {INT8ARRAYOID}
	};
	const Lifecycle *lifecycle = &stage_config()->lifecycle;
	Passage    *history;

	*n = (int) engine_query_at(&statement, &leads, NULL, snapshot);
	history = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Passage) * Max(*n, 1));
	for (int r = 0; r < *n; r++)
	{
		Passage    *passage = &history[r];

		passage->lead_id = spi_int64(r, 1);
		passage->merged_from = spi_int64(r, 2);
		passage->id = spi_int64(r, 3);
		passage->left_at = spi_time(r, 4);
		passage->move = (Move) {
			.lead_id = passage->lead_id, .at = spi_time(r, 5),
			.from_stage = spi_text(r, 6), .to_stage = spi_text(r, 7), .team = spi_text(r, 8)
		};
		passage->move.from_category = category_of(lifecycle, passage->move.from_stage);
		passage->move.to_category = category_of(lifecycle, passage->move.to_stage);
	}
	SPI_freetuptable(SPI_tuptable);
	qsort(history, *n, sizeof(Passage), compare_passages);
	return history;
}

/* An activity that a clock may wait for. */
typedef struct Touch
{
	int64		lead_id;
	TimestampTz at;
	const ActivityKind *kind;
} Touch;

static int
compare_touches(const void *a, const void *b)
{
	const Touch *x = a;
	const Touch *y = b;

	if (x->lead_id != y->lead_id)
		return compare_ids(&x->lead_id, &y->lead_id);
	return x->at < y->at ? -1 : x->at > y->at;
}

static Touch *
touches_read(Datum leads, TimestampTz from, Snapshot snapshot, int *n)
{
	static EngineStatement statement = {
		"SELECT lead_id, occurred_at, kind FROM leadflow.activities"
		" WHERE lead_id = ANY ($1) AND occurred_at >= $2 AND voided_at IS NULL AND kind = ANY ($3)",
		3, {INT8ARRAYOID, TIMESTAMPTZOID, TEXTARRAYOID}
	};
	const Model *model = model_active();
	const char **names = palloc_array(const char *, hash_get_num_entries(model->kinds) + 1);
	HASH_SEQ_STATUS scan;
	ActivityKind *kind;
	int			nnames = 0;
	Touch	   *touches;

	hash_seq_init(&scan, model->kinds);
	while ((kind = hash_seq_search(&scan)) != NULL)
	{
		if (kind->role == ROLE_SALES_TOUCH || kind->two_way)
			names[nnames++] = kind->name;
	}
	*n = (int) engine_query_at(&statement, (Datum[]) {leads, TimestampTzGetDatum(from), text_array(names, nnames)}, NULL,
							   snapshot);
	touches = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Touch) * Max(*n, 1));
	for (int r = 0; r < *n; r++)
	{
		const char *name = spi_text(r, 3);

		touches[r] = (Touch) {spi_int64(r, 1), spi_time(r, 2), model_kind(model, name, strlen(name))};
	}
	SPI_freetuptable(SPI_tuptable);
	qsort(touches, *n, sizeof(Touch), compare_touches);
	return touches;
}

static bool
is_waited_for(ClockMetric metric, const ActivityKind *kind)
{
	switch (metric)
	{
		case TIME_TO_FIRST_CONTACT:
			return kind->two_way;
		case NEXT_RESPONSE:
			return kind->role == ROLE_SALES_TOUCH || (kind->two_way && !kind->expects_reply);
		default:
			return kind->role == ROLE_SALES_TOUCH;
	}
}

/* A case of review ends its clock: where nobody decided when it was due, whenever the sweep found that. */
static void
review_read(ClockFact *fact, Snapshot snapshot)
{
	static EngineStatement statement = {
		"SELECT CASE WHEN closed_by = 'time' THEN least(closed_at, due_at) ELSE closed_at END, closed_by = 'votes'"
		" FROM leadflow.reviews WHERE id = $1", 1, {INT8OID}
	};

	if (engine_query_at(&statement, (Datum[]) {Int64GetDatum(fact->clock.review_id)}, NULL, snapshot) > 0)
	{
		fact->stopped_at = spi_time(0, 1);
		fact->answered = spi_bool(0, 2);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* The move that ends it, of the rows of its lead; a duplicate's history ends when it is merged. */
static void
find_end(ClockFact *fact, const Passage *history, int n)
{
	const Clock *clock = &fact->clock;
	const ClockRule *rule = &clock_rules[clock->metric];
	TimestampTz merged_at = DT_NOBEGIN;

	for (int i = 0; i < n; i++)
	{
		const Passage *passage = &history[i];

		if (passage->merged_from != clock->merged_from)
			continue;
		if (!TIMESTAMP_IS_NOEND(passage->left_at))
			merged_at = Max(merged_at, passage->left_at);
		if (rule->stops == NULL || !rule->stops(&passage->move) ||
			(clock->metric == NEXT_RESPONSE ? passage->move.at < clock->started_at :
			 clock->history_id == 0 || passage->id <= clock->history_id))
			continue;
		/* one that came from a duplicate may have started later than this history goes on */
		fact->stopped_at = Max(passage->move.at, clock->started_at);
		fact->answered = rule->answers && rule->answers(&passage->move);
		return;
	}
	if (clock->merged_from && TIMESTAMP_IS_NOEND(fact->stopped_at) && !TIMESTAMP_IS_NOBEGIN(merged_at))
		fact->stopped_at = merged_at;
}

/* Where a clock ran before it went on in another history, of the rows of its lead. */
static void
find_legs(Clock *clock, const Passage *history, int n)
{
	for (int l = 0; l < clock->nlegs; l++)
	{
		ClockLeg   *leg = &clock->legs[l];

		leg->until = leg->merged_from ? DT_NOBEGIN : DT_NOEND;
		for (int i = 0; leg->merged_from && i < n; i++)
		{
			if (history[i].merged_from == leg->merged_from && !TIMESTAMP_IS_NOEND(history[i].left_at))
				leg->until = Max(leg->until, history[i].left_at);
		}
	}
}

/* The touch that it waits for, of those of its lead: up to its end. */
static void
find_touch(ClockFact *fact, const Touch *touches, int n)
{
	const Clock *clock = &fact->clock;
	int			count = Max(clock->target_count, 1);

	for (int i = 0; i < n && touches[i].at <= fact->stopped_at; i++)
	{
		if (touches[i].at < clock->started_at || !is_waited_for(clock->metric, touches[i].kind) || --count > 0)
			continue;
		fact->stopped_at = touches[i].at;
		fact->answered = true;
		return;
	}
}

/* What stopped the clocks, in order of leads: in C, since one plan for all metrics takes long to start. */
static void
find_stops(ClockFact *facts, const TimestampTz *erased_at, int n)
{
	IdSet		leads = {0};
	TimestampTz from = DT_NOEND;
	Snapshot	snapshot = engine_snapshot();
	Datum		array;
	int			nhistory;
	int			ntouches = 0;
	Passage    *history;
	Touch	   *touches = NULL;

	for (int f = 0; f < n; f++)
	{
		if (leads.n == 0 || leads.ids[leads.n - 1] != facts[f].clock.lead_id)
			ids_add(&leads, facts[f].clock.lead_id);
		if (clock_rules[facts[f].clock.metric].touches)
			from = Min(from, facts[f].clock.started_at);
	}
	array = int8_array(leads.ids, leads.n);
	snapshot = RegisterSnapshot(snapshot);
	history = history_read(array, snapshot, &nhistory);
	if (!TIMESTAMP_IS_NOEND(from))
		touches = touches_read(array, from, snapshot, &ntouches);

	for (int f = 0, h = 0, t = 0; f < n; f++)
	{
		ClockFact  *fact = &facts[f];
		int64		lead_id = fact->clock.lead_id;
		int			last_h;
		int			last_t;

		CHECK_FOR_INTERRUPTS();
		while (h < nhistory && history[h].lead_id < lead_id)
			h++;
		while (t < ntouches && touches[t].lead_id < lead_id)
			t++;
		for (last_h = h; last_h < nhistory && history[last_h].lead_id == lead_id; last_h++)
			;
		for (last_t = t; last_t < ntouches && touches[last_t].lead_id == lead_id; last_t++)
			;
		fact->stopped_at = DT_NOEND;
		fact->answered = false;
		if (fact->clock.review_id)
			review_read(fact, snapshot);
		find_end(fact, &history[h], last_h - h);
		find_legs(&fact->clock, &history[h], last_h - h);
		/* nobody is to be answered who was erased */
		if (erased_at[f] < fact->stopped_at)
		{
			fact->stopped_at = Max(erased_at[f], fact->clock.started_at);
			fact->answered = false;
		}
		if (clock_rules[fact->clock.metric].touches)
			find_touch(fact, &touches[t], last_t - t);
	}
	UnregisterSnapshot(snapshot);
}

/* When each ended is found with what else happened to the lead. */
static void
read_legs(Clock *clock, ArrayType *ran_in)
{
	Datum	   *histories;

	deconstruct_array(ran_in, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &histories, NULL, &clock->nlegs);
	clock->legs = palloc0_array(ClockLeg, clock->nlegs);
	for (int l = 0; l < clock->nlegs; l++)
		clock->legs[l].merged_from = DatumGetInt64(histories[l]);
}

ClockFact *
clocks_read(const int64 *leads, int n, TimestampTz from, bool touches, int *found)
{
	static EngineStatement statement = {
		"SELECT c.lead_id, c.id, c.policy_id, c.metric, c.state, c.member_id, c.started_at, c.stopped_at, c.due_at, c.warn_at,"
		" c.warned_at IS NOT NULL, c.breached_at IS NOT NULL, c.calendar_id, c.merged_from, c.target, c.warn_after,"
		" c.target_count, c.counted_from, c.carried, c.activity_id, c.history_id, c.review_id, l.owner_id, l.erased_at,"
		" c.ran_in, c.answered"
		" FROM leadflow.sla_clocks c JOIN leadflow.leads l ON l.id = c.lead_id"
		" WHERE c.lead_id = ANY ($1) AND (c.stopped_at IS NULL OR c.stopped_at >= $2)"
		" AND (NOT $3 OR c.metric IN ('time_to_first_touch', 'time_to_first_contact', 'attempts', 'next_response'))"
		" ORDER BY c.lead_id, c.id",
		3, {INT8ARRAYOID, TIMESTAMPTZOID, BOOLOID}
	};
	Datum		values[3] = {int8_array(leads, n), TimestampTzGetDatum(from), BoolGetDatum(touches)};
	ClockFact  *facts;
	TimestampTz *erased_at;

	*found = (int) engine_query(&statement, values, NULL);
	if (*found == 0)
		return NULL;
	facts = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(ClockFact) * *found);
	erased_at = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TimestampTz) * *found);
	for (int r = 0; r < *found; r++)
	{
		Clock	   *clock = &facts[r].clock;
		int			metric;
		bool		isnull;
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		memset(clock, 0, sizeof(Clock));
		clock->lead_id = spi_int64(r, 1);
		clock->id = spi_int64(r, 2);
		clock->policy_id = spi_int64(r, 3);
		metric = clock_metric(spi_text(r, 4));
		if (metric < 0)
			elog(ERROR, "clock %lld has a metric without clocks", (long long) clock->id);
		clock->metric = metric;
		clock->state = state_of(spi_text(r, 5));
		clock->member_id = spi_int64(r, 6);
		clock->started_at = spi_time(r, 7);
		clock->stopped_at = spi_time(r, 8);
		clock->due_at = spi_time(r, 9);
		value = spi_value(r, 10, &isnull);
		clock->warn_at = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
		clock->warned = spi_bool(r, 11);
		clock->breached = spi_bool(r, 12);
		clock->calendar_id = spi_int64(r, 13);
		clock->merged_from = spi_int64(r, 14);
		clock->target = spi_interval(r, 15, 0);
		clock->warn_after = spi_interval(r, 16, -1);
		value = spi_value(r, 17, &isnull);
		clock->target_count = isnull ? 0 : DatumGetInt32(value);
		clock->counted_from = spi_time(r, 18);
		clock->carried = spi_interval(r, 19, 0);
		value = spi_value(r, 20, &isnull);
		clock->has_activity = !isnull;
		if (!isnull)
			clock->activity_id = *DatumGetUUIDP(value);
		clock->history_id = spi_int64(r, 21);
		clock->review_id = spi_int64(r, 22);
		facts[r].owner_id = spi_int64(r, 23);
		erased_at[r] = spi_time(r, 24);
		value = spi_value(r, 25, &isnull);
		if (!isnull)
			read_legs(clock, DatumGetArrayTypeP(value));
		clock->answered = spi_bool(r, 26);
	}
	SPI_freetuptable(SPI_tuptable);
	find_stops(facts, erased_at, *found);
	return facts;
}

Inbound *
inbounds_read(const int64 *leads, const TimestampTz *inbound_at, const TimestampTz *from, int n, int *found)
{
	/*
	 * What was answered before, by the last answer before, is behind us.  The first answer to each is found in
	 * one pass, however many wait for it.
	 */
	static EngineStatement statement = {
		"SELECT w.lead_id, i.id, i.occurred_at, least(i.answered_at, n.ended_at),"
		" coalesce(i.answered_at <= n.ended_at, false), l.owner_id,"
		" (SELECT h.to_stage FROM leadflow.stage_history h"
		"   WHERE h.lead_id = w.lead_id AND h.merged_from IS NULL AND h.entered_at <= i.occurred_at"
		"   ORDER BY h.entered_at DESC, h.id DESC LIMIT 1)"
		" FROM unnest($1, $2, $3) AS w (lead_id, inbound_at, waited_until)"
		" CROSS JOIN LATERAL (SELECT least(w.inbound_at, min(c.started_at)) AS since FROM leadflow.sla_clocks c"
		"  WHERE c.lead_id = w.lead_id AND c.metric = 'next_response') f"
		" CROSS JOIN LATERAL (SELECT greatest("
		"  (SELECT b.occurred_at FROM leadflow.activities b JOIN leadflow.activity_kinds k ON k.kind = b.kind"
		"    AND (k.role = 'sales_touch' OR (k.two_way AND NOT k.expects_reply))"
		"   WHERE b.lead_id = w.lead_id AND b.voided_at IS NULL AND b.occurred_at < w.waited_until ORDER BY b.occurred_at DESC LIMIT 1),"
		"  (SELECT max(h.entered_at) FROM leadflow.stage_history h JOIN leadflow.stages s ON s.name = h.to_stage"
		"    AND s.category IN ('recycle', 'lost', 'out')"
		"   WHERE h.lead_id = w.lead_id AND h.merged_from IS NULL AND h.entered_at < w.waited_until),"
		"  '-infinity') AS at) o"
		" JOIN leadflow.leads l ON l.id = w.lead_id"
		" CROSS JOIN LATERAL ("
		"  SELECT a.id, a.occurred_at, k.expects_reply,"
		"   min(a.occurred_at) FILTER (WHERE k.role = 'sales_touch' OR (k.two_way AND NOT k.expects_reply))"
		"    OVER (ORDER BY a.occurred_at DESC RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS answered_at"
		"  FROM leadflow.activities a"
		"  JOIN leadflow.activity_kinds k ON k.kind = a.kind AND (k.expects_reply OR k.two_way OR k.role = 'sales_touch')"
		"  WHERE a.lead_id = w.lead_id AND a.voided_at IS NULL AND a.occurred_at >= f.since AND a.occurred_at > o.at) i"
		/* out of sales' hands, or of play; nobody is to be answered who was erased */
		" CROSS JOIN LATERAL ("
		"  SELECT least(min(h.entered_at), CASE WHEN l.erased_at IS NOT NULL THEN greatest(l.erased_at, i.occurred_at) END, 'infinity') AS ended_at"
		"  FROM leadflow.stage_history h"
		"  JOIN leadflow.stages s ON s.name = h.to_stage"
		"  LEFT JOIN leadflow.stages b ON b.name = h.from_stage"
		"  WHERE h.lead_id = w.lead_id AND h.merged_from IS NULL AND h.entered_at >= i.occurred_at"
		"   AND (s.category IN ('recycle', 'lost', 'out')"
		"    OR (b.category IN ('handoff', 'sales') AND s.category NOT IN ('handoff', 'sales', 'won')))) n"
		" WHERE i.expects_reply AND least(i.answered_at, n.ended_at) >= w.waited_until"
		" ORDER BY w.lead_id, i.occurred_at, i.id",
		3, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[3] = {int8_array(leads, n), time_array(inbound_at, n), time_array(from, n)};
	Inbound    *inbounds;

	*found = (int) engine_query(&statement, values, NULL);
	inbounds = MemoryContextAllocHuge(caller, sizeof(Inbound) * Max(*found, 1));
	for (int r = 0; r < *found; r++)
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		inbounds[r].lead_id = spi_int64(r, 1);
		inbounds[r].id = *DatumGetUUIDP(spi_value(r, 2, &isnull));
		inbounds[r].at = spi_time(r, 3);
		inbounds[r].ended_at = spi_time(r, 4);
		inbounds[r].answered = spi_bool(r, 5);
		inbounds[r].owner_id = spi_int64(r, 6);
		inbounds[r].stage = spi_text(r, 7);
	}
	return inbounds;
}

/* ---- what clocks depend on ----------------------------------------------- */

static void
read_owners(const int64 *leads, int n, ClockCourse *course)
{
	static EngineStatement statement = {
		"SELECT lead_id, merged_from, owned_from, member_id, recorded FROM leadflow._lead_owners"
		" WHERE lead_id = ANY ($1)"
		" ORDER BY lead_id, coalesce(merged_from, 0), owned_from, recorded DESC, row_id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		value = int8_array(leads, n);

	course->nowners = (int) engine_query(&statement, &value, NULL);
	course->owners = MemoryContextAllocHuge(caller, sizeof(Ownership) * Max(course->nowners, 1));
	for (int r = 0; r < course->nowners; r++)
	{
		course->owners[r].lead_id = spi_int64(r, 1);
		course->owners[r].merged_from = spi_int64(r, 2);
		course->owners[r].from = spi_time(r, 3);
		course->owners[r].member_id = spi_int64(r, 4);
		course->owners[r].recorded = spi_bool(r, 5);
	}
}

/* A table without a page is a table without a row: nobody has ever paused anything. */
static bool
any_pause(void)
{
	Relation	rel = table_open(engine_relation("sla_pauses"), AccessShareLock);
	bool		any = RelationGetNumberOfBlocks(rel) > 0;

	table_close(rel, AccessShareLock);
	return any;
}

void
course_read_pauses(const int64 *leads, int n, ClockCourse *course)
{
	static EngineStatement statement = {
		"SELECT lead_id, merged_from, paused_at, until FROM leadflow.sla_pauses WHERE lead_id = ANY ($1)"
		" ORDER BY lead_id, coalesce(merged_from, 0), paused_at, id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		value;

	course->npauses = 0;
	if (!any_pause())
		return;
	value = int8_array(leads, n);
	course->npauses = (int) engine_query(&statement, &value, NULL);
	course->pauses = MemoryContextAllocHuge(caller, sizeof(LeadPause) * Max(course->npauses, 1));
	for (int r = 0; r < course->npauses; r++)
	{
		course->pauses[r].lead_id = spi_int64(r, 1);
		course->pauses[r].merged_from = spi_int64(r, 2);
		course->pauses[r].pause.from = spi_time(r, 3);
		course->pauses[r].pause.until = spi_time(r, 4);
	}
}

void
pause_add(int64 lead_id, TimestampTz at, TimestampTz until, const char *reason, int64 actor_id)
{
	static EngineStatement statement = {
		"INSERT INTO leadflow.sla_pauses (lead_id, paused_at, until, reason, actor_id)"
		" VALUES ($1, $2, nullif($3, 'infinity'), $4, nullif($5, 0))",
		5, {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT8OID}
	};
	Datum		values[] = {
		Int64GetDatum(lead_id), TimestampTzGetDatum(at), TimestampTzGetDatum(until),
		reason ? CStringGetTextDatum(reason) : (Datum) 0, Int64GetDatum(actor_id)
	};

	(void) engine_execute(&statement, values, reason ? "     " : "   n ");
}

bool
pause_end(int64 lead_id, TimestampTz at)
{
	static EngineStatement end = {
		"UPDATE leadflow.sla_pauses SET until = $2 WHERE lead_id = $1 AND merged_from IS NULL"
		" AND paused_at < $2 AND (until IS NULL OR until > $2)",
		2, {INT8OID, TIMESTAMPTZOID}
	};
	/* one that ends at once was none */
	static EngineStatement drop = {
		"DELETE FROM leadflow.sla_pauses WHERE lead_id = $1 AND merged_from IS NULL AND paused_at = $2",
		2, {INT8OID, TIMESTAMPTZOID}
	};
	Datum		values[] = {Int64GetDatum(lead_id), TimestampTzGetDatum(at)};

	return (engine_execute(&end, values, NULL) > 0) | (engine_execute(&drop, values, NULL) > 0);
}

void
course_read(const int64 *leads, int n, ClockCourse *course)
{
	read_owners(leads, n, course);
	course_read_pauses(leads, n, course);
}

/* Where rows of that history begin, in an array of structs that begin with lead_id and merged_from. */
static int
first_of(const void *rows, int n, Size size, int64 lead_id, int64 merged_from)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const int64 *row = (const int64 *) ((const char *) rows + middle * size);

		if (row[0] < lead_id || (row[0] == lead_id && row[1] < merged_from))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const Ownership *
owners_of(const ClockCourse *course, int64 lead_id, int64 merged_from, int *n)
{
	int			first = first_of(course->owners, course->nowners, sizeof(Ownership), lead_id, merged_from);
	const Ownership *owners = course->owners + first;

	*n = 0;
	while (first + *n < course->nowners && owners[*n].lead_id == lead_id && owners[*n].merged_from == merged_from)
		(*n)++;
	return owners;
}

static const LeadPause *
pauses_of(const ClockCourse *course, int64 lead_id, int64 merged_from, int *n)
{
	int			first = first_of(course->pauses, course->npauses, sizeof(LeadPause), lead_id, merged_from);
	const LeadPause *pauses = course->pauses + first;

	*n = 0;
	while (first + *n < course->npauses && pauses[*n].lead_id == lead_id && pauses[*n].merged_from == merged_from)
		(*n)++;
	return pauses;
}

/* The history in which a clock ran i-th: the last is the one that it goes by. */
static ClockLeg
leg_of(const Clock *clock, int i)
{
	return i < clock->nlegs ? clock->legs[i] : (ClockLeg) {clock->merged_from, DT_NOEND};
}

const Ownership *
course_owners(const ClockCourse *course, const Clock *clock, int *n)
{
	TimestampTz from = DT_NOBEGIN;
	Ownership  *owners;
	int			count = clock->nlegs;

	if (clock->nlegs == 0)
		return owners_of(course, clock->lead_id, clock->merged_from, n);
	for (int i = 0, of; i <= clock->nlegs; i++, count += of)
		(void) owners_of(course, clock->lead_id, leg_of(clock, i).merged_from, &of);
	owners = palloc_array(Ownership, count);
	*n = 0;
	for (int i = 0; i <= clock->nlegs; i++)
	{
		ClockLeg	leg = leg_of(clock, i);
		int			of;
		const Ownership *all = owners_of(course, clock->lead_id, leg.merged_from, &of);
		int			at = *n;

		/* whoever has it when the leg begins */
		if (i > 0)
			owners[(*n)++] = (Ownership) {clock->lead_id, leg.merged_from, from, 0, false};
		for (int o = 0; o < of && all[o].from < leg.until; o++)
		{
			if (i == 0 || all[o].from > from)
				owners[(*n)++] = all[o];
			else
			{
				owners[at] = all[o];
				owners[at].from = from;
			}
		}
		from = Max(from, leg.until);
	}
	return owners;
}

const LeadPause *
course_pauses(const ClockCourse *course, const Clock *clock, int *n)
{
	TimestampTz from = DT_NOBEGIN;
	LeadPause  *pauses;
	int			count = 0;

	if (clock->nlegs == 0)
		return pauses_of(course, clock->lead_id, clock->merged_from, n);
	for (int i = 0, of; i <= clock->nlegs; i++, count += of)
		(void) pauses_of(course, clock->lead_id, leg_of(clock, i).merged_from, &of);
	pauses = palloc_array(LeadPause, count + 1);
	*n = 0;
	for (int i = 0; i <= clock->nlegs; i++)
	{
		ClockLeg	leg = leg_of(clock, i);
		int			of;
		const LeadPause *all = pauses_of(course, clock->lead_id, leg.merged_from, &of);

		for (int p = 0; p < of; p++)
		{
			LeadPause  *pause = &pauses[*n];

			*pause = all[p];
			pause->pause.from = Max(pause->pause.from, from);
			pause->pause.until = Min(pause->pause.until, leg.until);
			if (pause->pause.from < pause->pause.until)
				(*n)++;
		}
		from = Max(from, leg.until);
	}
	return pauses;
}

/* ---- writing ------------------------------------------------------------- */

/* Columns that are written; those of a clock that is there already come first. */
enum
{
	COL_STATE,
	COL_MEMBER_ID,
	COL_STOPPED_AT,
	COL_DUE_AT,
	COL_WARN_AT,
	COL_CALENDAR_ID,
	COL_TARGET,
	COL_TARGET_COUNT,
	COL_WARN_AFTER,
	COL_COUNTED_FROM,
	COL_CARRIED,
	COL_ANSWERED,
	CHANGING_COLUMNS,
	COL_LEAD_ID = CHANGING_COLUMNS,
	COL_POLICY_ID,
	COL_METRIC,
	COL_STARTED_AT,
	COL_HANDOFF_ID,
	COL_HISTORY_ID,
	COL_REVIEW_ID,
	COL_ACTIVITY_ID,
	CLOCK_COLUMNS
};

static const char *const column_names[CLOCK_COLUMNS] = {
	"state", "member_id", "stopped_at", "due_at", "warn_at", "calendar_id", "target", "target_count", "warn_after",
	"counted_from", "carried", "answered",
	"lead_id", "policy_id", "metric", "started_at", "handoff_id", "history_id", "review_id", "activity_id"
};

static const Oid column_types[CLOCK_COLUMNS] = {
	TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INTERVALOID, INT4OID, INTERVALOID,
	TIMESTAMPTZOID, INTERVALOID, BOOLOID,
	INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, UUIDOID
};

static void
set_id(int column, int64 id, Datum *values, bool *nulls)
{
	values[column] = Int64GetDatum(id);
	nulls[column] = id == 0;
}

static void
set_time(int column, TimestampTz at, TimestampTz none, Datum *values, bool *nulls)
{
	values[column] = TimestampTzGetDatum(at);
	nulls[column] = at == none;
}

static void
clock_values(const Clock *clock, Datum *values, bool *nulls)
{
	memset(nulls, 0, sizeof(bool) * CLOCK_COLUMNS);
	values[COL_STATE] = CStringGetTextDatum(clock_states[clock->state]);
	set_id(COL_MEMBER_ID, clock->member_id, values, nulls);
	set_time(COL_STOPPED_AT, clock->stopped_at, DT_NOEND, values, nulls);
	values[COL_DUE_AT] = TimestampTzGetDatum(clock->due_at);
	set_time(COL_WARN_AT, clock->warn_at, DT_NOBEGIN, values, nulls);
	set_id(COL_CALENDAR_ID, clock->calendar_id, values, nulls);
	values[COL_TARGET] = interval_of(clock->target);
	values[COL_TARGET_COUNT] = Int32GetDatum(clock->target_count);
	nulls[COL_TARGET_COUNT] = clock->target_count == 0;
	values[COL_WARN_AFTER] = interval_of(clock->warn_after);
	nulls[COL_WARN_AFTER] = clock->warn_after < 0;
	values[COL_COUNTED_FROM] = TimestampTzGetDatum(clock->counted_from);
	values[COL_CARRIED] = interval_of(clock->carried);
	values[COL_ANSWERED] = BoolGetDatum(clock->answered);
	values[COL_LEAD_ID] = Int64GetDatum(clock->lead_id);
	values[COL_POLICY_ID] = Int64GetDatum(clock->policy_id);
	values[COL_METRIC] = CStringGetTextDatum(clock_rules[clock->metric].name);
	values[COL_STARTED_AT] = TimestampTzGetDatum(clock->started_at);
	set_id(COL_HANDOFF_ID, clock->handoff_id, values, nulls);
	set_id(COL_HISTORY_ID, clock->history_id, values, nulls);
	set_id(COL_REVIEW_ID, clock->review_id, values, nulls);
	values[COL_ACTIVITY_ID] = UUIDPGetDatum(&clock->activity_id);
	nulls[COL_ACTIVITY_ID] = !clock->has_activity;
}

static Datum
make_array(Datum *values, bool *nulls, int n, Oid type)
{
	int			lbound = 1;
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lbound, type, len, byval, align));
}

/* The first columns of clocks, an array each. */
static void
fill_arrays(const Clock *const *clocks, int n, int ncolumns, Datum *arrays)
{
	Datum	   *values = palloc_array(Datum, n * CLOCK_COLUMNS);
	bool	   *nulls = palloc_array(bool, n * CLOCK_COLUMNS);
	Datum	   *column = palloc_array(Datum, n);
	bool	   *column_nulls = palloc_array(bool, n);

	for (int i = 0; i < n; i++)
		clock_values(clocks[i], &values[i * CLOCK_COLUMNS], &nulls[i * CLOCK_COLUMNS]);
	for (int c = 0; c < ncolumns; c++)
	{
		for (int i = 0; i < n; i++)
		{
			column[i] = values[i * CLOCK_COLUMNS + c];
			column_nulls[i] = nulls[i * CLOCK_COLUMNS + c];
		}
		arrays[c] = make_array(column, column_nulls, n, column_types[c]);
	}
}

/* By SQL, where a site has triggers on the table. */
static void
update_by_sql(const Clock *const *clocks, int n)
{
	static EngineStatement statement = {
		"UPDATE leadflow.sla_clocks c SET state = n.state, member_id = n.member_id, stopped_at = n.stopped_at,"
		" due_at = n.due_at, warn_at = n.warn_at, calendar_id = n.calendar_id, target = n.target,"
		" target_count = n.target_count, warn_after = n.warn_after, counted_from = n.counted_from, carried = n.carried,"
		" answered = n.answered,"
		" warned_at = CASE WHEN n.warned THEN c.warned_at END, breached_at = CASE WHEN n.breached THEN c.breached_at END,"
		" escalated_at = CASE WHEN n.breached THEN c.escalated_at END"
		" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) AS n (state, member_id, stopped_at,"
		"  due_at, warn_at, calendar_id, target, target_count, warn_after, counted_from, carried, answered, id, warned, breached)"
		" WHERE c.id = n.id",
		CHANGING_COLUMNS + 3, {TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
			TIMESTAMPTZARRAYOID, INT8ARRAYOID, INTERVALARRAYOID, INT4ARRAYOID, INTERVALARRAYOID, TIMESTAMPTZARRAYOID,
			INTERVALARRAYOID, BOOLARRAYOID, INT8ARRAYOID, BOOLARRAYOID, BOOLARRAYOID}
	};
	Datum		arrays[CHANGING_COLUMNS + 3];
	Datum	   *column = palloc_array(Datum, n);

	fill_arrays(clocks, n, CHANGING_COLUMNS, arrays);
	for (int i = 0; i < n; i++)
		column[i] = Int64GetDatum(clocks[i]->id);
	arrays[CHANGING_COLUMNS] = make_array(column, NULL, n, INT8OID);
	for (int i = 0; i < n; i++)
		column[i] = BoolGetDatum(clocks[i]->warned);
	arrays[CHANGING_COLUMNS + 1] = make_array(column, NULL, n, BOOLOID);
	for (int i = 0; i < n; i++)
		column[i] = BoolGetDatum(clocks[i]->breached);
	arrays[CHANGING_COLUMNS + 2] = make_array(column, NULL, n, BOOLOID);
	(void) engine_execute(&statement, arrays, NULL);
}

/* The calendar that a clock counts in from now on is held, as its foreign key would; false = it is gone. */
static bool
hold_calendar(const TableInsert *update, int64 calendar_id)
{
	bool		isnull;
	Datum		before = table_update_before(update, COL_CALENDAR_ID, &isnull);

	return calendar_id == 0 || (!isnull && DatumGetInt64(before) == calendar_id) ||
		row_lock_named("calendars", calendar_id, LockTupleKeyShare);
}

void
clocks_update(const Clock *const *clocks, int n)
{
	/* what is announced comes last */
	const char *names[CHANGING_COLUMNS + 3];
	TableInsert update;

	if (n == 0)
		return;
	memcpy(names, column_names, sizeof(char *) * CHANGING_COLUMNS);
	names[CHANGING_COLUMNS] = "warned_at";
	names[CHANGING_COLUMNS + 1] = "breached_at";
	names[CHANGING_COLUMNS + 2] = "escalated_at";
	if (!table_update_begin(&update, "sla_clocks", names, lengthof(names)))
	{
		update_by_sql(clocks, n);
		return;
	}
	for (int i = 0; i < n; i++)
	{
		Datum		values[CLOCK_COLUMNS];
		bool		nulls[CLOCK_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		if (!table_update_lock(&update, clocks[i]->id))
			continue;
		if (!hold_calendar(&update, clocks[i]->calendar_id))
		{
			update_by_sql(&clocks[i], 1);
			continue;
		}
		clock_values(clocks[i], values, nulls);
		for (int c = CHANGING_COLUMNS; c < (int) lengthof(names); c++)
		{
			bool		kept = c == CHANGING_COLUMNS ? clocks[i]->warned : clocks[i]->breached;

			values[c] = table_update_before(&update, c, &nulls[c]);
			nulls[c] |= !kept;
		}
		table_update_row(&update, values, nulls);
	}
	table_update_end(&update);
}

/* By SQL, where a site has triggers on the table. */
static void
insert_by_sql(const Clock *const *clocks, int n)
{
	static EngineStatement statement = {
		"INSERT INTO leadflow.sla_clocks (state, member_id, stopped_at, due_at, warn_at, calendar_id, target,"
		" target_count, warn_after, counted_from, carried, answered, lead_id, policy_id, metric, started_at, handoff_id,"
		" history_id, review_id, activity_id)"
		" SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
		CLOCK_COLUMNS, {TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
			TIMESTAMPTZARRAYOID, INT8ARRAYOID, INTERVALARRAYOID, INT4ARRAYOID, INTERVALARRAYOID, TIMESTAMPTZARRAYOID,
			INTERVALARRAYOID, BOOLARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID,
			INT8ARRAYOID, INT8ARRAYOID, UUIDARRAYOID}
	};
	Datum		arrays[CLOCK_COLUMNS];

	fill_arrays(clocks, n, CLOCK_COLUMNS, arrays);
	(void) engine_execute(&statement, arrays, NULL);
}

/* Holds what rows refer to, each once; false = one of them is gone. */
static bool
hold_referred(const char *table, const IdSet *ids)
{
	for (int i = 0; i < ids->n; i++)
	{
		if (!row_lock_named(table, ids->ids[i], LockTupleKeyShare))
			return false;
	}
	return true;
}

static bool
hold_all_referred(const Clock *const *clocks, int n)
{
	IdSet		policies = {0};
	IdSet		calendars = {0};

	for (int i = 0; i < n; i++)
	{
		ids_add(&policies, clocks[i]->policy_id);
		if (clocks[i]->calendar_id)
			ids_add(&calendars, clocks[i]->calendar_id);
	}
	ids_sort(&policies);
	ids_sort(&calendars);
	return hold_referred("sla_policies", &policies) && hold_referred("calendars", &calendars);
}

/* Foreign keys are kept by holding what is referred to; where that is gone, SQL says so. */
void
clocks_insert(const Clock *const *clocks, int n)
{
	TableInsert insert;
	Datum	   *values;

	if (n == 0)
		return;
	if (!hold_all_referred(clocks, n) ||
		!table_insert_begin(&insert, "sla_clocks", column_names, CLOCK_COLUMNS, n))
	{
		insert_by_sql(clocks, n);
		return;
	}
	values = palloc_array(Datum, n * CLOCK_COLUMNS);
	for (int i = 0; i < n; i++)
	{
		bool		nulls[CLOCK_COLUMNS];

		clock_values(clocks[i], &values[i * CLOCK_COLUMNS], nulls);
		(void) table_insert_row(&insert, &values[i * CLOCK_COLUMNS], nulls);
	}
	table_insert_end(&insert);
}

void
clocks_delete(const IdSet *ids)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.sla_clocks WHERE id = ANY ($1)", 1, {INT8ARRAYOID}
	};
	Datum		value;

	if (ids->n == 0)
		return;
	value = int8_array(ids->ids, ids->n);
	(void) engine_execute(&statement, &value, NULL);
}
