/*-------------------------------------------------------------------------
 * outbox_claim.c
 *	  Notifications are handed out, acknowledged, tried again and given up.
 *
 * A claim is a lease: next_attempt_at moves to its end, and until then nobody
 * else gets the row.  A consumer that dies loses nothing: the lease runs out.
 *
 * Of each lead only the oldest pending notification is handed out.  Whatever a
 * snapshot sees, that is exact: the ids of a lead are given under its lock, so who
 * sees a row sees all older ones; one that is leased is pending still; and one that
 * is not pending any more does not come back by itself.  So nothing has to be locked but
 * the row itself, in the very version that was looked at; where somebody else was
 * faster or is about to be, it is skipped.
 *
 * What is pending is walked along an index in the order of ids; where many stand
 * behind a few that are leased or wait to be tried again, the rest is walked lead by lead.
 * Limits: what is leased or waits is walked over by every claim, some 0.3 us each by
 * id and 2 us by lead.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "ids.h"
#include "outbox.h"
#include "row_lock.h"
#include "spi.h"
#include "subscription.h"

/* How long until the next attempt after the first that failed; doubled each time. */
#define BACK_OFF		(INT64CONST(30) * USECS_PER_SEC)
#define MAX_BACK_OFF	(INT64CONST(3600) * USECS_PER_SEC)

/* A walk by id that met so many rows of each lead goes on by lead. */
#define QUEUE_LENGTH	8
#define WALK_AT_LEAST	1000

/* What a sweep deletes at most. */
#define PURGE_BATCH		10000

/* ---- the walk ------------------------------------------------------------ */

/* The oldest pending notification of a lead, of those that are asked for. */
typedef struct Oldest
{
	int64		lead_id;		/* or the id of one that was taken */
	int64		id;				/* 0 = none */
	char		status;
} Oldest;

#define SH_PREFIX oldest
#define SH_ELEMENT_TYPE Oldest
#define SH_KEY_TYPE int64
#define SH_KEY lead_id
#define SH_HASH_KEY(table, key) murmurhash32((uint32) (key) ^ (uint32) ((uint64) (key) >> 32))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Walk
{
	Relation	rel;
	Relation	by_id;
	Relation	by_lead;
	TupleTableSlot *slot;		/* the row that is looked at */
	TupleTableSlot *older;		/* those before it */
	TupleTableSlot *locked;
	AttrNumber	id;
	AttrNumber	lead_id;
	AttrNumber	channel_column;
	AttrNumber	attempts;
	AttrNumber	next_attempt_at;
	const char *channel;		/* NULL = all */
	int			channel_len;
	Snapshot	snapshot;
	oldest_hash *leads;			/* those that were met */
	oldest_hash *taken;			/* what was, whatever the snapshot */
	TimestampTz now;
	int			max_attempts;
	int			wanted;
	IdSet		claimed;
	IdSet		exhausted;		/* handed out as often as may be */
} Walk;

/* Where this session's last walk by lead ended: nobody is passed over for ever. */
static int64 last_lead = 0;

static Relation
open_index(const char *name)
{
	Oid			index = engine_relation(name);

	if (!OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("index \"%s\" of \"notifications\" is missing", name),
				 errhint("Run SELECT * FROM leadflow.install().")));
	return index_open(index, AccessShareLock);
}

static void
walk_open(Walk *walk, const char *channel)
{
	TupleDesc	desc;

	memset(walk, 0, sizeof(Walk));
	(void) engine_owner();		/* are the tables there? */
	walk->rel = table_open(engine_relation("notifications"), RowExclusiveLock);
	walk->by_id = open_index("notifications_pending");
	walk->by_lead = open_index("notifications_pending_lead");
	walk->slot = table_slot_create(walk->rel, NULL);
	walk->older = table_slot_create(walk->rel, NULL);
	walk->locked = table_slot_create(walk->rel, NULL);
	desc = RelationGetDescr(walk->rel);
	walk->id = column_of(desc, "id", INT8OID);
	walk->lead_id = column_of(desc, "lead_id", INT8OID);
	walk->channel_column = column_of(desc, "channel", TEXTOID);
	walk->attempts = column_of(desc, "attempts", INT4OID);
	walk->next_attempt_at = column_of(desc, "next_attempt_at", TIMESTAMPTZOID);
	walk->channel = channel;
	walk->channel_len = channel ? (int) strlen(channel) : 0;
}

static void
walk_close(Walk *walk)
{
	ExecDropSingleTupleTableSlot(walk->slot);
	ExecDropSingleTupleTableSlot(walk->older);
	ExecDropSingleTupleTableSlot(walk->locked);
	index_close(walk->by_id, NoLock);
	index_close(walk->by_lead, NoLock);
	table_close(walk->rel, NoLock);
}

static bool
is_asked_for(const Walk *walk, TupleTableSlot *slot)
{
	bool		isnull;
	text	   *channel;

	if (walk->channel == NULL)
		return true;
	channel = DatumGetTextPP(slot_getattr(slot, walk->channel_column, &isnull));
	return VARSIZE_ANY_EXHDR(channel) == walk->channel_len &&
		memcmp(VARDATA_ANY(channel), walk->channel, walk->channel_len) == 0;
}

/*
 * The next of those that are asked for along a scan.  A row of the index that a snapshot
 * sees is pending: the index has no other.
 */
static bool
next_asked_for(Walk *walk, IndexScanDesc scan, TupleTableSlot *slot)
{
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		if (is_asked_for(walk, slot))
			return true;
	}
	return false;
}

static int64
oldest_pending(Walk *walk, int64 lead_id)
{
	bool		known;
	Oldest	   *oldest = oldest_insert(walk->leads, lead_id, &known);

	if (!known)
	{
		IndexScanDesc scan = index_beginscan_compat(walk->rel, walk->by_lead, walk->snapshot, 1, 0);
		ScanKeyData key;
		bool		isnull;

		ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(lead_id));
		index_rescan(scan, &key, 1, NULL, 0);
		oldest->id = next_asked_for(walk, scan, walk->older) ?
			DatumGetInt64(slot_getattr(walk->older, walk->id, &isnull)) : 0;
		index_endscan(scan);
	}
	return oldest->id;
}

static bool
is_due(const Walk *walk, TupleTableSlot *slot)
{
	bool		isnull;

	/* what was never handed out is due, whatever the clock of who wrote it */
	return DatumGetInt32(slot_getattr(slot, walk->attempts, &isnull)) == 0 ||
		DatumGetTimestampTz(slot_getattr(slot, walk->next_attempt_at, &isnull)) <= walk->now;
}

/*
 * Takes a row that is the oldest of its lead.  Nothing is waited for, and nothing
 * is taken that has changed since it was looked at.
 */
static void
take(Walk *walk, TupleTableSlot *slot)
{
	ItemPointerData tid = slot->tts_tid;
	bool		isnull;
	int64		id = DatumGetInt64(slot_getattr(slot, walk->id, &isnull));
	int			attempts = DatumGetInt32(slot_getattr(slot, walk->attempts, &isnull));
	TM_FailureData failure;
	bool		known;

	if (table_tuple_lock(walk->rel, &tid, walk->snapshot, walk->locked, GetCurrentCommandId(false),
						 LockTupleNoKeyExclusive, LockWaitSkip, 0, &failure) != TM_Ok)
		return;
	(void) oldest_insert(walk->taken, id, &known);
	if (!known)
		ids_add(attempts >= walk->max_attempts ? &walk->exhausted : &walk->claimed, id);
}

/* By id, the oldest first; false: lead by lead would be faster. */
static bool
walk_by_id(Walk *walk)
{
	IndexScanDesc scan = index_beginscan_compat(walk->rel, walk->by_id, walk->snapshot, 0, 0);
	TupleTableSlot *slot = walk->slot;
	int64		behind = 0;
	bool		done = true;

	index_rescan(scan, NULL, 0, NULL, 0);
	while (walk->claimed.n < walk->wanted && index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		Datum		lead_id;

		CHECK_FOR_INTERRUPTS();
		if (!is_due(walk, slot) || !is_asked_for(walk, slot))
			continue;
		lead_id = slot_getattr(slot, walk->lead_id, &isnull);
		if (isnull || oldest_pending(walk, DatumGetInt64(lead_id)) ==
			DatumGetInt64(slot_getattr(slot, walk->id, &isnull)))
			take(walk, slot);
		else if (++behind > WALK_AT_LEAST && behind > (int64) walk->leads->members * QUEUE_LENGTH)
		{
			done = false;
			break;
		}
	}
	index_endscan(scan);
	return done;
}

/* Lead by lead, each one's oldest, from "from" on up to "to". */
static void
walk_by_lead(Walk *walk, int64 from, int64 to)
{
	IndexScanDesc scan = index_beginscan_compat(walk->rel, walk->by_lead, walk->snapshot, 1, 0);
	TupleTableSlot *slot = walk->slot;
	int64		lead_id = from;

	while (walk->claimed.n < walk->wanted)
	{
		ScanKeyData key;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		ScanKeyInit(&key, 1, BTGreaterStrategyNumber, F_INT8GT, Int64GetDatum(lead_id));
		index_rescan(scan, &key, 1, NULL, 0);
		/* of the same lead, or already of the next that has any */
		if (!next_asked_for(walk, scan, slot))
			break;
		lead_id = DatumGetInt64(slot_getattr(slot, walk->lead_id, &isnull));
		if (lead_id > to)
			break;
		if (is_due(walk, slot))
			take(walk, slot);
		last_lead = lead_id;
	}
	index_endscan(scan);
}

/* Locks rows that are due and the oldest of their leads. */
static void
walk_pending(Walk *walk)
{
	CommandCounterIncrement();
	walk->snapshot = RegisterSnapshot(engine_snapshot());
	PushActiveSnapshot(walk->snapshot);
	walk->leads = oldest_create(CurrentMemoryContext, 256, NULL);
	if (!walk_by_id(walk))
	{
		int64		from = last_lead;

		walk_by_lead(walk, from, PG_INT64_MAX);
		walk_by_lead(walk, PG_INT64_MIN, from);
	}
	oldest_destroy(walk->leads);
	PopActiveSnapshot();
	UnregisterSnapshot(walk->snapshot);
}

/* ---- changes ------------------------------------------------------------- */

static int64
change(EngineStatement *statement, const IdSet *ids, Datum *values, const char *nulls)
{
	EngineContext engine;
	int64		n;

	engine_enter(&engine);
	values[0] = int8_array(ids->ids, ids->n);
	n = (int64) engine_execute(statement, values, nulls);
	engine_leave(&engine);
	return n;
}

/*
 * Rows that are about to be changed.  READ COMMITTED goes on with the latest version by
 * itself; where an UPDATE would fail, the latest is locked first.
 */
static void
lock_latest(const IdSet *ids)
{
	Relation	rel;
	TupleTableSlot *slot;

	if (!IsolationUsesXactSnapshot() || IsolationIsSerializable())
		return;
	rel = table_open(engine_relation("notifications"), RowExclusiveLock);
	slot = table_slot_create(rel, NULL);
	for (int i = 0; i < ids->n; i++)
		(void) row_lock(rel, ids->ids[i], LockTupleNoKeyExclusive, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
}

/* Columns of what a claim returns. */
enum
{
	CLAIM_LEAD_ID = 2,
	CLAIM_EVENT = 3,
	CLAIM_PAYLOAD = 8
};

/*
 * What a rep reads before calling is as it is when it is sent, and is not stored: a
 * hand-off doesn't wait for it to be written, and there is nothing to erase.
 */
static HeapTuple
with_brief(HeapTuple row, TupleDesc desc, const char *brief)
{
	int			column = CLAIM_PAYLOAD;
	bool		isnull;
	bool		never = false;
	Datum		payload = SPI_getbinval(row, desc, CLAIM_PAYLOAD, &isnull);
	StringInfoData said;

	initStringInfo(&said);
	appendStringInfoString(&said, "{\"brief\": ");
	escape_json(&said, brief);
	appendStringInfoChar(&said, '}');
	payload = DirectFunctionCall2(jsonb_concat, payload, DirectFunctionCall1(jsonb_in, CStringGetDatum(said.data)));
	return heap_modify_tuple_by_cols(row, desc, 1, &column, &payload, &never);
}

/* What SPI_tuptable holds; hand-offs with the brief of their lead. */
static void
hand_out(Tuplestorestate *claims)
{
	static EngineStatement statement = {
		"SELECT b.lead_id, b.brief FROM leadflow._handoff_briefs($1) b ORDER BY 1", 1, {INT8ARRAYOID}
	};
	SPITupleTable *rows = SPI_tuptable;
	SPITupleTable *briefs = NULL;
	uint64		n = SPI_processed;
	IdSet		handed = {0};
	IdSet		briefed = {0};
	bool	   *is_handoff = palloc0_array(bool, n + 1);
	bool		isnull;

	for (uint64 r = 0; r < n; r++)
	{
		char	   *event = SPI_getvalue(rows->vals[r], rows->tupdesc, CLAIM_EVENT);

		is_handoff[r] = strcmp(event, "lead.handed_off") == 0;
		if (is_handoff[r])
			ids_add(&handed, DatumGetInt64(SPI_getbinval(rows->vals[r], rows->tupdesc, CLAIM_LEAD_ID, &isnull)));
		pfree(event);
	}
	if (handed.n)
	{
		Datum		value;

		ids_sort(&handed);
		value = int8_array(handed.ids, handed.n);
		for (uint64 r = 0, found = engine_query(&statement, &value, NULL); r < found; r++)
			ids_add(&briefed, spi_int64(r, 1));
		briefs = SPI_tuptable;
	}
	for (uint64 r = 0; r < n; r++)
	{
		HeapTuple	row = rows->vals[r];

		if (is_handoff[r])
		{
			int64		lead_id = DatumGetInt64(SPI_getbinval(row, rows->tupdesc, CLAIM_LEAD_ID, &isnull));
			int64	   *found = briefed.n ? bsearch(&lead_id, briefed.ids, briefed.n, sizeof(int64), compare_ids) : NULL;

			if (found)
				row = with_brief(row, rows->tupdesc,
								 SPI_getvalue(briefs->vals[found - briefed.ids], briefs->tupdesc, 2));
		}
		tuplestore_puttuple(claims, row);
	}
}

void
outbox_claim(int n, const char *channel, const char *consumer, TimestampTz until,
			 Tuplestorestate *claims)
{
	static EngineStatement lease = {
		"WITH leased AS (UPDATE leadflow.notifications"
		"  SET attempts = attempts + 1, next_attempt_at = $2, claimed_by = $3 WHERE id = ANY ($1)"
		"  RETURNING id, lead_id, event, recipient_id, queue, team, channel, payload, created_at, attempts)"
		" SELECT * FROM leased ORDER BY id", 3, {INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID}
	};
	static EngineStatement give_up = {
		"UPDATE leadflow.notifications SET dead_at = $2,"
		" last_error = coalesce(last_error, 'no consumer acknowledged it') WHERE id = ANY ($1)",
		2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	TimestampTz now = clock_wall();
	EngineContext engine;
	Walk		walk;
	Datum		values[3];

	walk_open(&walk, channel);
	walk.taken = oldest_create(CurrentMemoryContext, 256, NULL);
	walk.wanted = n;
	walk.now = now;
	walk.max_attempts = subscription_config()->max_attempts;
	do
	{
		/* once more where something was given up: the next of its lead may be due */
		walk.exhausted.n = 0;
		walk_pending(&walk);
		if (walk.exhausted.n)
		{
			values[1] = TimestampTzGetDatum(now);
			(void) change(&give_up, &walk.exhausted, values, NULL);
		}
	} while (walk.exhausted.n && walk.claimed.n < n);
	walk_close(&walk);
	if (walk.claimed.n == 0)
		return;
	engine_enter(&engine);
	values[0] = int8_array(walk.claimed.ids, walk.claimed.n);
	values[1] = TimestampTzGetDatum(until);
	values[2] = CStringGetTextDatum(consumer);
	(void) engine_execute(&lease, values, NULL);
	hand_out(claims);
	engine_leave(&engine);
}

int64
outbox_ack(const IdSet *ids)
{
	static EngineStatement statement = {
		"UPDATE leadflow.notifications SET delivered_at = $2, dead_at = NULL"
		" WHERE id = ANY ($1) AND delivered_at IS NULL", 2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	Datum		values[2] = {(Datum) 0, TimestampTzGetDatum(clock_wall())};

	if (ids->n == 0)
		return 0;
	lock_latest(ids);
	return change(&statement, ids, values, NULL);
}

TimestampTz
outbox_fail(int64 id, const char *error)
{
	static EngineStatement statement = {
		"UPDATE leadflow.notifications SET last_error = $2, attempts = greatest(attempts, 1),"
		" dead_at = CASE WHEN attempts >= $3 THEN $4 END,"
		" next_attempt_at = $4 + least($5 * 2.0 ^ least(attempts - 1, 40), $6) * interval '1 microsecond'"
		" WHERE id = ANY ($1) AND delivered_at IS NULL AND dead_at IS NULL"
		" RETURNING CASE WHEN dead_at IS NULL THEN next_attempt_at ELSE 'infinity' END",
		6, {INT8ARRAYOID, TEXTOID, INT4OID, TIMESTAMPTZOID, FLOAT8OID, FLOAT8OID}
	};
	IdSet		ids = {&id, 1, 1};
	TimestampTz next = DT_NOEND;
	EngineContext engine;
	Datum		values[6];

	lock_latest(&ids);
	engine_enter(&engine);
	values[0] = int8_array(&id, 1);
	values[1] = CStringGetTextDatum(error);
	values[2] = Int32GetDatum(subscription_config()->max_attempts);
	values[3] = TimestampTzGetDatum(clock_wall());
	values[4] = Float8GetDatum((double) BACK_OFF);
	values[5] = Float8GetDatum((double) MAX_BACK_OFF);
	if (engine_execute(&statement, values, NULL) > 0)
	{
		bool		isnull;

		next = DatumGetTimestampTz(spi_value(0, 1, &isnull));
	}
	engine_leave(&engine);
	return next;
}

/* Of what is told once while undelivered, one that would be the second stays dead. */
int64
outbox_revive(const IdSet *ids)
{
	static EngineStatement all = {
		"SELECT id FROM leadflow.notifications WHERE dead_at IS NOT NULL ORDER BY id"
	};
	static EngineStatement statement = {
		"UPDATE leadflow.notifications n SET dead_at = NULL, attempts = 0, next_attempt_at = $2"
		" WHERE id = ANY ($1) AND dead_at IS NOT NULL"
		" AND NOT (event = 'lead.active_again' AND EXISTS (SELECT FROM leadflow.notifications x"
		"  WHERE x.lead_id = n.lead_id AND x.event = 'lead.active_again' AND x.delivered_at IS NULL"
		"  AND x.subscription_id IS NOT DISTINCT FROM n.subscription_id"
		"  AND (x.dead_at IS NULL OR x.id > n.id)))",
		2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	Datum		values[2] = {(Datum) 0, TimestampTzGetDatum(clock_wall())};
	IdSet		dead = {0};

	if (ids == NULL)
	{
		MemoryContext caller = CurrentMemoryContext;
		EngineContext engine;
		uint64		n;

		engine_enter(&engine);
		n = engine_query(&all, NULL, NULL);
		for (uint64 r = 0; r < n; r++)
		{
			int64		id = spi_int64(r, 1);
			MemoryContext inside = MemoryContextSwitchTo(caller);

			ids_add(&dead, id);
			MemoryContextSwitchTo(inside);
		}
		engine_leave(&engine);
		ids = &dead;
	}
	if (ids->n == 0)
		return 0;
	lock_latest(ids);
	return change(&statement, ids, values, NULL);
}

/* ---- the sweep ----------------------------------------------------------- */

bool
outbox_retention(TimestampTz at, TimestampTz *before)
{
	int64		retention = subscription_config()->retention;

	if (at < MIN_TIMESTAMP + retention)
		return false;
	*before = at - retention;
	return true;
}

/* What a subscription's at_most_every looks at is kept for as long. */
void
outbox_purge(TimestampTz at)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.notifications WHERE id = ANY (ARRAY("
		" SELECT n.id FROM leadflow.notifications n WHERE n.delivered_at < $1"
		" AND NOT EXISTS (SELECT FROM leadflow.subscriptions s"
		"  WHERE s.id = n.subscription_id AND n.created_at > $2 - s.at_most_every)"
		" ORDER BY n.delivered_at LIMIT $3 FOR UPDATE OF n SKIP LOCKED))",
		3, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}
	};
	TimestampTz before;
	Datum		values[3];
	EngineContext engine;

	if (!outbox_retention(at, &before))
		return;
	values[0] = TimestampTzGetDatum(before);
	values[1] = TimestampTzGetDatum(at);
	values[2] = Int64GetDatum(PURGE_BATCH);
	engine_enter(&engine);
	engine_plan_by_index();
	(void) engine_execute(&statement, values, NULL);
	engine_leave(&engine);
}

bool
outbox_due(TimestampTz at)
{
	static EngineStatement statement = {
		"SELECT FROM leadflow.notifications WHERE delivered_at IS NULL AND dead_at IS NULL"
		" AND (attempts = 0 OR next_attempt_at <= $1) LIMIT 1", 1, {TIMESTAMPTZOID}
	};
	Datum		value = TimestampTzGetDatum(at);
	EngineContext engine;
	bool		due;

	engine_enter(&engine);
	due = engine_query(&statement, &value, NULL) > 0;
	engine_leave(&engine);
	return due;
}

void
outbox_repair(Datum leads)
{
	static EngineStatement orphans = {
		"DELETE FROM leadflow.notifications n WHERE n.lead_id = ANY ($1)"
		" AND NOT EXISTS (SELECT FROM leadflow.leads l WHERE l.id = n.lead_id)", 1, {INT8ARRAYOID}
	};
	static EngineStatement repeated = {
		"DELETE FROM leadflow.notifications n WHERE n.lead_id = ANY ($1) AND n.event = 'lead.active_again'"
		" AND n.delivered_at IS NULL AND n.dead_at IS NULL"
		" AND EXISTS (SELECT FROM leadflow.notifications o WHERE o.lead_id = n.lead_id AND o.id < n.id"
		"  AND o.event = n.event AND o.subscription_id IS NOT DISTINCT FROM n.subscription_id"
		"  AND o.delivered_at IS NULL AND o.dead_at IS NULL)", 1, {INT8ARRAYOID}
	};
	EngineContext engine;

	engine_enter(&engine);
	engine_plan_by_index();
	(void) engine_execute(&orphans, &leads, NULL);
	(void) engine_execute(&repeated, &leads, NULL);
	engine_leave(&engine);
}
