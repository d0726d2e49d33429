/*-------------------------------------------------------------------------
 * promote.c
 *	  promote_ready(): lets leads through whose gate is open and was not asked.
 *
 * They are left behind by a quiet load, by a rescore and by another model that
 * became active.  First a look, that changes nothing: by points alone along
 * score_state, then, the hottest first, what else the gate asks, until there are
 * enough.  Those are put down for the flush, which locks, decides again and does
 * the rest as after an insert of activities, in the order of leads.  So a lead is
 * promoted once, whoever else writes; the result is what this call moved itself.
 *
 * Calls take turns, so that two at once are given different portions.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "flush.h"
#include "gate.h"
#include "guc.h"
#include "ids.h"
#include "model_store.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "transition.h"

/* A lead whose points suffice. */
typedef struct Candidate
{
	int64		lead_id;
	double		total;			/* before the last clamp */
} Candidate;

/* A lead that passes the whole gate. */
typedef struct Ready
{
	int64		lead_id;
	double		score;
	char	   *rank;
	char	   *from_stage;
	const char *to_stage;		/* as far as can be seen beforehand */
} Ready;

static int
compare_leads(const void *a, const void *b)
{
	return compare_ids(&((const Candidate *) a)->lead_id, &((const Candidate *) b)->lead_id);
}

static int
compare_heat(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return compare_leads(a, b);
}

/* By points alone: is the gate open, or the hand-off due? */
static bool
points_suffice(const Model *model, const StateRow *row, const ScoreRow *score, bool *hand_raise)
{
	return gate_points(model, row, score, hand_raise) && gate_moves(model, row, score, *hand_raise);
}

/* All leads whose points suffice, by id. */
static Candidate *
find_candidates(const Model *model, StateTable *table, TimestampTz now, Snapshot snapshot, int64 *n)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(caller, "leadflow ready lead", ALLOCSET_DEFAULT_SIZES);
	TableScanDesc scan = table_beginscan(table->rel, snapshot, 0, NULL);
	int64		room = 1024;
	Candidate  *found = palloc(sizeof(Candidate) * room);

	*n = 0;
	while (table_scan_getnextslot(scan, ForwardScanDirection, table->slot))
	{
		StateRow	row;
		ScoreRow	score;
		bool		hand_raise;
		bool		suffices;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(each);
		MemoryContextSwitchTo(each);
		slot_getallattrs(table->slot);
		state_read(model, table->slot->tts_values, table->slot->tts_isnull, &row);
		state_bring(model, &row, now, snapshot);
		state_evaluate(model, &row, now, &score);
		suffices = points_suffice(model, &row, &score, &hand_raise);
		MemoryContextSwitchTo(caller);
		if (!suffices)
			continue;
		if (*n == room)
			found = repalloc_huge(found, sizeof(Candidate) * (room *= 2));
		found[*n].lead_id = row.lead_id;
		found[(*n)++].total = score.total;
	}
	table_endscan(scan);
	MemoryContextDelete(each);
	qsort(found, *n, sizeof(Candidate), compare_leads);
	return found;
}

/* Of those, what the caller can see: runs with the caller's rights, row-level security included. */
static int64
keep_visible(Candidate *candidates, int64 n, Snapshot snapshot)
{
	static EngineStatement statement = {
		"SELECT id FROM leadflow.leads WHERE id OPERATOR(pg_catalog.=) ANY ($1) ORDER BY id",
		1, {INT8ARRAYOID}
	};
	int64	   *ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(n, 1));
	int64		kept = 0;
	int64		c = 0;
	uint64		found;
	Datum		array;

	for (int64 i = 0; i < n; i++)
		ids[i] = candidates[i].lead_id;
	array = int8_array(ids, (int) n);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	found = engine_query_at(&statement, &array, NULL, snapshot);
	for (uint64 r = 0; r < found; r++)
	{
		int64		id = spi_int64(r, 1);

		while (c < n && candidates[c].lead_id < id)
			c++;
		if (c < n && candidates[c].lead_id == id)
			candidates[kept++] = candidates[c++];
	}
	SPI_finish();
	return kept;
}

static char *
stage_of(Relation leads, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		stage = slot_getattr(slot, SPI_fnumber(RelationGetDescr(leads), "stage"), &isnull);

	return TextDatumGetCString(stage);
}

/* Does a lead pass the whole gate, and may the system move it? */
static bool
is_ready(const Model *model, Relation leads, TupleTableSlot *slot, int64 lead_id, TimestampTz now,
		 Snapshot snapshot, Ready *ready)
{
	StateRow	row;
	ScoreRow	score;
	bool		hand_raise;
	bool		goes_on;
	bool		should_free;
	HeapTuple	lead;
	char	   *missing;

	if (!state_at(model, lead_id, now, snapshot, &row) || !row_fetch(leads, lead_id, snapshot, slot))
		return false;
	state_evaluate(model, &row, now, &score);
	if (!points_suffice(model, &row, &score, &hand_raise))
		return false;
	lead = ExecFetchSlotHeapTuple(slot, false, &should_free);
	missing = gate_lead_blocked(model, &row, &score, lead, RelationGetDescr(leads), hand_raise, now);
	if (should_free)
		heap_freetuple(lead);
	if (missing)
		return false;

	ready->lead_id = lead_id;
	ready->score = score.score;
	ready->rank = score.grade ? psprintf("%c%d", score.grade, score.level) : psprintf("%d", score.level);
	ready->from_stage = stage_of(leads, slot);
	goes_on = gate_goes_on(model, &score, hand_raise) && transition_by_system("mql", "sql");
	ready->to_stage = goes_on ? "sql" : "mql";
	return strcmp(ready->from_stage, "mql") == 0 ? goes_on : transition_by_system(ready->from_stage, "mql");
}

/* The n hottest that are ready (n < 0: all), the hottest first. */
static Ready *
find_ready(int64 n, bool dry_run, Relation leads, int64 *nfound)
{
	MemoryContext each = AllocSetContextCreate(CurrentMemoryContext, "leadflow ready lead",
											   ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot = table_slot_create(leads, NULL);
	TimestampTz now = clock_now();
	const Model *model;
	StateTable	table;
	Snapshot	snapshot;
	Candidate  *candidates;
	int64		ncandidates;
	Ready	   *ready;

	/* from here on the active model stays what it is */
	state_open(&table, dry_run ? AccessShareLock : RowExclusiveLock);
	model = model_active();
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(engine_snapshot());
	PushActiveSnapshot(snapshot);
	candidates = find_candidates(model, &table, now, snapshot, &ncandidates);
	ncandidates = keep_visible(candidates, ncandidates, snapshot);
	qsort(candidates, ncandidates, sizeof(Candidate), compare_heat);

	if (n < 0 || n > ncandidates)
		n = ncandidates;
	ready = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Ready) * Max(n, 1));
	*nfound = 0;
	for (int64 i = 0; i < ncandidates && *nfound < n; i++)
	{
		MemoryContext caller = MemoryContextSwitchTo(each);
		Ready	   *next = &ready[*nfound];
		bool		found;

		CHECK_FOR_INTERRUPTS();
		found = is_ready(model, leads, slot, candidates[i].lead_id, now, snapshot, next);
		MemoryContextSwitchTo(caller);
		if (found)
		{
			next->rank = pstrdup(next->rank);
			next->from_stage = pstrdup(next->from_stage);
			(*nfound)++;
		}
		MemoryContextReset(each);
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	state_close(&table);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(each);
	return ready;
}

static void
promote(const Ready *ready, int64 n)
{
	int64	   *ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(n, 1));
	int			quiet = quiet_suspend();

	for (int64 i = 0; i < n; i++)
		ids[i] = ready[i].lead_id;
	qsort(ids, n, sizeof(int64), compare_ids);
	score_gate_check(ids, (int) n);
	flush_settle();
	quiet_resume(quiet);
}

/* The stage that this transaction has moved a lead to since; NULL = it did not. */
static char *
stage_now(Relation leads, TupleTableSlot *slot, const Ready *ready, Snapshot snapshot)
{
	bool		isnull;
	char	   *stage;

	if (!row_fetch(leads, ready->lead_id, snapshot, slot))
		return NULL;
	stage = stage_of(leads, slot);
	if (strcmp(stage, ready->from_stage) == 0 ||
		!TransactionIdIsCurrentTransactionId(
			DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull))))
		return NULL;
	return stage;
}

/* promote_ready(n, dry_run) → (lead_id, score, rank, stage), the hottest first */
PG_FUNCTION_INFO_V1(leadflow_promote_ready);
Datum
leadflow_promote_ready(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		n = PG_ARGISNULL(0) ? -1 : PG_GETARG_INT32(0);
	bool		dry_run;
	Relation	leads;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	Ready	   *ready;
	int64		nready;

	if (!PG_ARGISNULL(0) && n < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of leads to promote must not be negative"),
				 errhint("NULL stands for all.")));
	require_argument(fcinfo, 1, "dry_run");
	dry_run = PG_GETARG_BOOL(1);

	InitMaterializedSRF(fcinfo, 0);
	(void) engine_owner();		/* are the tables there? */
	if (!dry_run)
		LockDatabaseObject(ProcedureRelationId, fcinfo->flinfo->fn_oid, 0, ExclusiveLock);
	leads = table_open(engine_relation("leads"), AccessShareLock);
	ready = find_ready(n, dry_run, leads, &nready);
	if (!dry_run)
		promote(ready, nready);

	slot = table_slot_create(leads, NULL);
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(engine_snapshot());
	for (int64 i = 0; i < nready; i++)
	{
		const char *stage = dry_run ? ready[i].to_stage : stage_now(leads, slot, &ready[i], snapshot);
		Datum		values[4];
		bool		nulls[4] = {false};

		if (stage == NULL)
			continue;
		values[0] = Int64GetDatum(ready[i].lead_id);
		values[1] = Float8GetDatum(ready[i].score);
		values[2] = CStringGetTextDatum(ready[i].rank);
		values[3] = CStringGetTextDatum(stage);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(leads, NoLock);
	return (Datum) 0;
}
