/*-------------------------------------------------------------------------
 * rescore.c
 *	  The score state of many leads, computed from their activities.
 *
 * Leads are taken in batches by id.  Of each batch the versions of the state rows, the
 * activities and the documents are read under one snapshot; a computed row is written
 * by compare and swap in the place of the very version that was read.  A lead that
 * somebody wrote to meanwhile is computed once more, by itself.  So a rescore is right with or without
 * a lock on the table; those who change the model hold it, lest anybody
 * writes by the old one.
 *
 * Activating a model computes everything before it takes that lock
 * (state_prepare): writers wait only while the rows are written.
 *
 * Limits: a batch takes about maintenance_work_mem, and so does what was prepared, which goes
 * to temporary files beyond.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "lead_stream.h"
#include "model_store.h"
#include "rescore.h"
#include "spi.h"

/* What a lead of a batch takes in memory, about, and how many there are at most. */
#define LEAD_SIZE	512
#define MAX_LEADS	10000000

/* A lead's row as computed, and the version that it was computed for. */
typedef struct Computed
{
	StateRow	row;
	ItemPointerData tid;
	TransactionId xmin;
} Computed;

typedef struct Batch
{
	const Model *model;
	int			n;
	int64	   *ids;			/* ascending */
	Tally	   *tallies;		/* likewise, and so on */
	Computed   *leads;
} Batch;

/* Where a lead is in the batch, -1 = nowhere.  Ids are mostly dense, so most guesses are right. */
static int
batch_find(const Batch *batch, int64 lead_id)
{
	uint64		distance = (uint64) lead_id - (uint64) batch->ids[0];
	int			low = 0;
	int			high = batch->n - 1;
	int			guess = distance < (uint64) high ? (int) distance : high;

	while (low <= high)
	{
		if (batch->ids[guess] == lead_id)
			return guess;
		if (batch->ids[guess] < lead_id)
			low = guess + 1;
		else
			high = guess - 1;
		guess = low + (high - low) / 2;
	}
	return -1;
}

/* They come in any order.  Activities of leads without a row don't matter. */
static void
batch_activity(const ActivityRow *row, void *arg)
{
	Batch	   *batch = arg;
	int			lead = batch_find(batch, row->lead_id);

	if (lead >= 0)
		tally_add(batch->model, &batch->tallies[lead], row);
}

static void
batch_document(int64 lead_id, Jsonb *document, void *arg)
{
	Batch	   *batch = arg;
	int			lead = batch_find(batch, lead_id);
	Fit			fit;

	if (lead < 0)
		return;
	fit_evaluate(batch->model, document, &fit);
	state_take_fit(&batch->leads[lead].row, &fit);
}

/*
 * Computes the rows of the first leads from .. to, in the current context, as the
 * active snapshot has them.  Between engine_enter() and engine_leave().
 */
static void
batch_compute(Batch *batch, const Model *model, int64 from, int64 to)
{
	static EngineStatement statement = {
		"SELECT lead_id, ctid, xmin FROM leadflow.score_state"
		" WHERE lead_id >= $1 AND lead_id <= $2 ORDER BY lead_id LIMIT $3",
		3,
		{INT8OID, INT8OID, INT8OID}};
	Datum		values[] = {Int64GetDatum(from), Int64GetDatum(to),
	Int64GetDatum(Min(MAX_LEADS, (int64) maintenance_work_mem * 1024 / LEAD_SIZE))};
	SPITupleTable *rows;
	Fit			nothing = {0};
	MemoryContext caller = CurrentMemoryContext;

	memset(batch, 0, sizeof(Batch));
	batch->model = model;
	batch->n = (int) engine_query_at(&statement, values, NULL, GetActiveSnapshot());
	rows = SPI_tuptable;
	if (batch->n == 0)
		return;
	batch->ids = MemoryContextAllocHuge(caller, sizeof(int64) * batch->n);
	batch->leads = MemoryContextAllocHuge(caller, sizeof(Computed) * batch->n);
	batch->tallies = MemoryContextAllocHuge(caller, sizeof(Tally) * batch->n);
	if (!fit_needs_document(model))
		fit_evaluate(model, NULL, &nothing);
	for (int i = 0; i < batch->n; i++)
	{
		Computed   *lead = &batch->leads[i];
		bool		isnull;

		memset(lead, 0, sizeof(Computed));
		batch->ids[i] = DatumGetInt64(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));
		lead->row.lead_id = batch->ids[i];
		lead->tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &isnull));
		lead->xmin = DatumGetTransactionId(SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull));
		state_take_fit(&lead->row, &nothing);
		tally_init(model, &batch->tallies[i]);
	}
	SPI_freetuptable(rows);

	stream_activities(batch->ids[0], batch->ids[batch->n - 1],
					  DT_NOEND, STREAM_ANY_ORDER, batch_activity, batch);
	for (int i = 0; i < batch->n; i++)
	{
		tally_finish(model, &batch->tallies[i]);
		state_take_tally(model, &batch->leads[i].row, &batch->tallies[i]);
	}
	if (fit_needs_document(model))
		stream_documents(batch->ids[0], batch->ids[batch->n - 1], batch_document, batch);
}

/* The same but for the last digits, which depend on the order of adding. */
static bool
same_sum(double a, double b)
{
	return fabs(a - b) <= 1e-13 * (fabs(a) + fabs(b));
}

static bool
same_limits(const Model *model, const StateRow *kept, const Window *window)
{
	bytea	   *packed;

	if (!kept->has_limits || !model->limited)
		return !kept->has_limits && !model->limited;
	packed = window_pack(model, window);
	return datum_image_eq(kept->limits, PointerGetDatum(packed), false, -1);
}

/* Does a row already say what was computed? */
static bool
same_row(const Model *model, const StateRow *kept, const StateRow *computed)
{
	double		heat;

	if (kept->outdated || kept->last_at != computed->last_at ||
		kept->last_engaged_at != computed->last_engaged_at ||
		kept->last_touch_at != computed->last_touch_at ||
		kept->hand_raised_at != computed->hand_raised_at ||
		(!TIMESTAMP_IS_NOBEGIN(kept->hand_raised_at) &&
		 memcmp(&kept->hand_raised_by, &computed->hand_raised_by, sizeof(pg_uuid_t)) != 0) ||
		kept->disqualified_at != computed->disqualified_at ||
		kept->disqualified_by != computed->disqualified_by ||
		kept->fit != computed->fit || kept->persona_id != computed->persona_id ||
		kept->lead_disqualifier != computed->lead_disqualifier ||
		isnan(kept->fit_known) != isnan(computed->fit_known) ||
		(!isnan(kept->fit_known) && kept->fit_known != computed->fit_known))
		return false;
	for (int g = 0; g < model->ngroups; g++)
	{
		if (!same_sum(kept->sums[g], computed->sums[g]))
			return false;
	}
	heat = points_heat(model, kept->sums, kept->last_at);
	if (isnan(kept->heat) != isnan(heat) || (!isnan(heat) && kept->heat != heat))
		return false;
	return same_limits(model, kept, computed->window);
}

/* Writes a computed row in the place of the one that is in the table's slot. */
static TM_Result
write_row(StateTable *table, const Model *model, StateRow *kept, const StateRow *computed)
{
	StateRow	row = *computed;

	if (same_row(model, kept, computed))
		return TM_Ok;
	row.watch = kept->watch;
	row.cycle = kept->cycle;
	row.cycle_since = kept->cycle_since;
	row.tid = kept->tid;
	return state_update(table, model, &row);
}

/* One lead by itself, however often others write to it meanwhile. */
static void
rescore_lead(StateTable *table, const Model *model, int64 lead_id)
{
	TM_Result	result = TM_Updated;

	while (result != TM_Ok)
	{
		Snapshot	snapshot;
		StateRow	kept;

		CHECK_FOR_INTERRUPTS();
		CommandCounterIncrement();
		snapshot = RegisterSnapshot(engine_snapshot());
		PushActiveSnapshot(snapshot);
		result = TM_Ok;
		if (state_fetch(table, model, lead_id, snapshot, &kept))
		{
			StateRow	row = kept;

			state_recompute(model, &row, snapshot);
			state_refit(model, &row, snapshot);
			result = write_row(table, model, &kept, &row);
		}
		PopActiveSnapshot();
		UnregisterSnapshot(snapshot);
	}
}

static TransactionId
slot_xmin(TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetTransactionId(slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull));
}

/* Is the version that a row was computed for still the one that the snapshot sees? */
static bool
fetch_version(StateTable *table, const Model *model, const Computed *lead, Snapshot snapshot,
			  StateRow *kept)
{
	ItemPointerData tid = lead->tid;

	if (!table_tuple_fetch_row_version(table->rel, &tid, snapshot, table->slot))
		return false;
	ExecMaterializeSlot(table->slot);
	slot_getallattrs(table->slot);
	state_read(model, table->slot->tts_values, table->slot->tts_isnull, kept);
	kept->tid = table->slot->tts_tid;
	return kept->lead_id == lead->row.lead_id && slot_xmin(table->slot) == lead->xmin;
}

/* A computed row, if the version that it was computed for is still there; else the lead by itself. */
static void
apply_row(StateTable *table, const Model *model, const Computed *lead)
{
	Snapshot	snapshot = RegisterSnapshot(engine_snapshot());
	StateRow	kept;
	bool		applied;

	PushActiveSnapshot(snapshot);
	applied = fetch_version(table, model, lead, snapshot, &kept) &&
		write_row(table, model, &kept, &lead->row) == TM_Ok;
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	if (!applied)
		rescore_lead(table, model, lead->row.lead_id);
}

typedef void (*computed_callback) (const Model *model, const Computed *lead, void *arg);

/*
 * Computes leads from .. to, batch by batch, under a snapshot, or each batch under the latest
 * (NULL); the number of leads.  Between engine_enter() and engine_leave().
 */
static int64
compute_range(const Model *model, int64 from, int64 to, Snapshot given,
			  computed_callback callback, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "leadflow rescore", ALLOCSET_DEFAULT_SIZES);
	MemoryContext each = AllocSetContextCreate(caller, "leadflow rescore lead", ALLOCSET_DEFAULT_SIZES);
	int64		count = 0;
	Batch		batch;

	do
	{
		Snapshot	snapshot;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		if (given == NULL)
			CommandCounterIncrement();
		snapshot = RegisterSnapshot(given ? given : engine_snapshot());
		PushActiveSnapshot(snapshot);
		batch_compute(&batch, model, from, to);
		PopActiveSnapshot();
		UnregisterSnapshot(snapshot);
		MemoryContextSwitchTo(each);
		for (int i = 0; i < batch.n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			callback(model, &batch.leads[i], arg);
			MemoryContextReset(each);
		}
		count += batch.n;
		if (batch.n > 0)
			from = batch.leads[batch.n - 1].row.lead_id;
	} while (batch.n > 0 && from++ < to);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(each);
	MemoryContextDelete(context);
	return count;
}

static void
apply_computed(const Model *model, const Computed *lead, void *arg)
{
	apply_row(arg, model, lead);
}

int64
state_rescore_range(const Model *model, int64 from, int64 to)
{
	EngineContext engine;
	StateTable	table;
	int64		count;

	event_recompute();
	engine_enter(&engine);
	state_open(&table, RowExclusiveLock);
	count = compute_range(model, from, to, NULL, apply_computed, &table);
	state_close(&table);
	engine_leave(&engine);
	CommandCounterIncrement();
	return count;
}

/* Looking for leads whose row is not what it ought to be. */
typedef struct Search
{
	StateTable	table;
	Snapshot	snapshot;		/* NULL = the latest */
	bool		(*is_wrong) (const Model *model, const StateRow *kept, const StateRow *computed);
	void		(*found) (int64 lead_id, void *arg);
	void	   *arg;
} Search;

static void
search_computed(const Model *model, const Computed *lead, void *arg)
{
	Search	   *search = arg;
	Snapshot	snapshot = RegisterSnapshot(search->snapshot ? search->snapshot : engine_snapshot());
	StateRow	kept;

	/* who changed the row meanwhile may have added to what was wrong */
	if (!fetch_version(&search->table, model, lead, snapshot, &kept) ||
		search->is_wrong(model, &kept, &lead->row))
		search->found(lead->row.lead_id, search->arg);
	UnregisterSnapshot(snapshot);
}

static void
search_range(const Model *model, int64 from, int64 to, Search *search)
{
	EngineContext engine;

	engine_enter(&engine);
	state_open(&search->table, AccessShareLock);
	(void) compute_range(model, from, to, search->snapshot, search_computed, search);
	state_close(&search->table);
	engine_leave(&engine);
}

static bool
differs(const Model *model, const StateRow *kept, const StateRow *computed)
{
	return !same_row(model, kept, computed);
}

static void
add_lead(int64 lead_id, void *arg)
{
	ids_add(arg, lead_id);
}

IdSet
state_differing(const Model *model, int64 from, int64 to)
{
	/* the ids stay in the context of their first allocation */
	IdSet		leads = {.ids = palloc(sizeof(int64)), .room = 1};
	Search		search = {.is_wrong = differs, .found = add_lead, .arg = &leads};

	search_range(model, from, to, &search);
	return leads;
}

/* What can't be read does no harm: whoever needs it asks the activities. */
static bool
limits_damaged(const Model *model, const StateRow *kept, const StateRow *computed)
{
	Window		window;

	return !kept->outdated && kept->has_limits &&
		window_unpack(model, &window, DatumGetByteaPP(kept->limits)) &&
		!window_agrees(&window, computed->window);
}

static void
return_lead(int64 lead_id, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		value = Int64GetDatum(lead_id);
	bool		isnull = false;

	tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
}

/* _limits_damaged(from_lead, to_lead) → leads */
PG_FUNCTION_INFO_V1(leadflow_limits_damaged);
Datum
leadflow_limits_damaged(PG_FUNCTION_ARGS)
{
	Search		search = {.snapshot = GetActiveSnapshot(), .is_wrong = limits_damaged,
		.found = return_lead, .arg = fcinfo->resultinfo};
	const Model *model = model_active();

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (model->limited)
		search_range(model, PG_GETARG_INT64(0), PG_GETARG_INT64(1), &search);
	return (Datum) 0;
}

/*
 * What was computed for a model that is not active yet: rows of score_state, with the
 * version that each was computed for.
 */
typedef struct Prepared
{
	MemoryContext context;
	int64		model_id;
	char		signature[33];
	TupleDesc	desc;
	Tuplestorestate *rows;
} Prepared;

enum
{
	PREPARED_TID = STATE_COLUMNS,
	PREPARED_XMIN,
	PREPARED_COLUMNS
};

static Prepared *prepared = NULL;

static void
keep_computed(const Model *model, const Computed *lead, void *arg)
{
	Datum		values[PREPARED_COLUMNS];
	bool		nulls[PREPARED_COLUMNS] = {false};

	state_write(model, &lead->row, values, nulls);
	values[PREPARED_TID] = PointerGetDatum(&lead->tid);
	values[PREPARED_XMIN] = TransactionIdGetDatum(lead->xmin);
	tuplestore_putvalues(prepared->rows, prepared->desc, values, nulls);
}

/*
 * The next prepared row, in a context that is reset for each; the tuple itself is the slot's, in
 * the current one.
 */
static bool
next_prepared(const Model *model, Tuplestorestate *rows, TupleTableSlot *slot, MemoryContext each,
			  Computed *lead)
{
	MemoryContext caller = CurrentMemoryContext;

	CHECK_FOR_INTERRUPTS();
	if (!tuplestore_gettupleslot(rows, true, false, slot))
		return false;
	slot_getallattrs(slot);
	MemoryContextSwitchTo(each);
	state_read(model, slot->tts_values, slot->tts_isnull, &lead->row);
	lead->tid = *(ItemPointer) DatumGetPointer(slot->tts_values[PREPARED_TID]);
	lead->xmin = DatumGetTransactionId(slot->tts_values[PREPARED_XMIN]);
	MemoryContextSwitchTo(caller);
	return true;
}

/*
 * Leads that were written to while the others were being computed are computed once more, so
 * that few are left for when writers must wait.
 */
static void
refresh_prepared(const Model *model, StateTable *table)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(caller, "leadflow rescore lead", ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(prepared->desc, &TTSOpsMinimalTuple);
	Tuplestorestate *before = prepared->rows;
	Computed	lead;

	MemoryContextSwitchTo(prepared->context);
	prepared->rows = tuplestore_begin_heap(false, false, maintenance_work_mem);
	MemoryContextSwitchTo(caller);
	while (next_prepared(model, before, slot, each, &lead))
	{
		Snapshot	snapshot;
		StateRow	kept;

		MemoryContextSwitchTo(each);
		CommandCounterIncrement();
		snapshot = RegisterSnapshot(engine_snapshot());
		PushActiveSnapshot(snapshot);
		if (fetch_version(table, model, &lead, snapshot, &kept))
			tuplestore_puttupleslot(prepared->rows, slot);
		else if (state_fetch(table, model, lead.row.lead_id, snapshot, &lead.row))
		{
			lead.tid = lead.row.tid;
			lead.xmin = slot_xmin(table->slot);
			state_recompute(model, &lead.row, snapshot);
			state_refit(model, &lead.row, snapshot);
			keep_computed(model, &lead, NULL);
		}
		PopActiveSnapshot();
		UnregisterSnapshot(snapshot);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
	}
	tuplestore_end(before);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(each);
}

void
state_prepare(const Model *model)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "leadflow prepared scores",
												  ALLOCSET_DEFAULT_SIZES);
	EngineContext engine;
	StateTable	table;

	MemoryContextSwitchTo(context);
	prepared = palloc0(sizeof(Prepared));
	prepared->context = context;
	prepared->model_id = model->id;
	strlcpy(prepared->signature, model->signature, sizeof(prepared->signature));
	prepared->rows = tuplestore_begin_heap(false, false, maintenance_work_mem);
	prepared->desc = CreateTemplateTupleDesc(PREPARED_COLUMNS);
	state_open(&table, AccessShareLock);
	for (int c = 0; c < STATE_COLUMNS; c++)
		TupleDescCopyEntry(prepared->desc, c + 1, RelationGetDescr(table.rel), c + 1);
	TupleDescInitEntry(prepared->desc, PREPARED_TID + 1, "tid", TIDOID, -1, 0);
	TupleDescInitEntry(prepared->desc, PREPARED_XMIN + 1, "xmin", XIDOID, -1, 0);

	engine_enter(&engine);
	(void) compute_range(model, PG_INT64_MIN, PG_INT64_MAX, NULL, keep_computed, NULL);
	for (int round = 0; round < 2; round++)
		refresh_prepared(model, &table);
	engine_leave(&engine);
	state_close(&table);
	MemoryContextSwitchTo(caller);
}

void
state_forget(void)
{
	if (prepared)
	{
		if (prepared->rows)
			tuplestore_end(prepared->rows);
		MemoryContextDelete(prepared->context);
		prepared = NULL;
	}
}

/* Writes what was prepared, and computes the leads that came or changed since. */
static int64
apply_prepared(StateTable *table, const Model *model)
{
	static EngineStatement statement = {
		"SELECT lead_id FROM leadflow.score_state"
		" WHERE model_id IS DISTINCT FROM $1 ORDER BY lead_id",
		1,
		{INT8OID}};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(caller, "leadflow rescore lead", ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(prepared->desc, &TTSOpsMinimalTuple);
	Datum		id = Int64GetDatum(model->id);
	SPITupleTable *others;
	Computed	lead;
	int64		count = 0;
	uint64		n;

	while (next_prepared(model, prepared->rows, slot, each, &lead))
	{
		Window		window = {0};

		MemoryContextSwitchTo(each);
		if (lead.row.has_limits)
			(void) window_unpack(model, &window, DatumGetByteaPP(lead.row.limits));
		lead.row.window = &window;
		apply_row(table, model, &lead);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
		count++;
	}
	ExecDropSingleTupleTableSlot(slot);

	CommandCounterIncrement();
	n = engine_query(&statement, &id, NULL);
	others = SPI_tuptable;
	for (uint64 r = 0; r < n; r++)
	{
		bool		isnull;

		MemoryContextSwitchTo(each);
		rescore_lead(table, model,
					 DatumGetInt64(SPI_getbinval(others->vals[r], others->tupdesc, 1, &isnull)));
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
		count++;
	}
	MemoryContextDelete(each);
	return count;
}

int64
state_rescore(const Model *model)
{
	EngineContext engine;
	StateTable	table;
	int64		count;

	if (prepared == NULL || prepared->model_id != model->id ||
		strcmp(prepared->signature, model->signature) != 0)
		return state_rescore_range(model, PG_INT64_MIN, PG_INT64_MAX);

	event_recompute();
	engine_enter(&engine);
	state_open(&table, RowExclusiveLock);
	count = apply_prepared(&table, model);
	state_close(&table);
	engine_leave(&engine);
	CommandCounterIncrement();
	return count;
}
