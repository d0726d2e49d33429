/*-------------------------------------------------------------------------
 * score_store.c
 *	  The score state: one row a lead.
 *
 * Rows are written directly, without the executor: one index probe and one
 * (usually HOT) update is all that an insert of activities pays.  A write is
 * compare and swap: state_update() replaces the very version that
 * state_fetch() read, and says TM_Updated when somebody else was faster; the
 * caller then fetches and decides again.  It bypasses triggers, row-level security
 * and generated columns, none of which belong on this table.
 *
 * A row that was computed with another model than the active one (model_id,
 * number of sums) is outdated and is computed anew from the activities by whoever meets it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "lead_stream.h"
#include "model_store.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "subscription.h"

void
state_open(StateTable *table, LOCKMODE lock)
{
	Oid			relid = engine_relation("score_state");

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the tables of leadflow are not installed"),
				 errhint("Run SELECT * FROM leadflow.install().")));
	memset(table, 0, sizeof(StateTable));
	table->context = CurrentMemoryContext;
	table->rel = table_open(relid, lock);
	if (RelationGetNumberOfAttributes(table->rel) < STATE_COLUMNS)
		elog(ERROR, "table score_state has %d columns instead of %d",
			 RelationGetNumberOfAttributes(table->rel), STATE_COLUMNS);
	table->slot = table_slot_create(table->rel, NULL);
	table->changed = MakeSingleTupleTableSlot(RelationGetDescr(table->rel), &TTSOpsVirtual);
}

void
state_close(StateTable *table)
{
	if (table->estate)
	{
		ExecCloseIndices(table->info);
		FreeExecutorState(table->estate);
	}
	ExecDropSingleTupleTableSlot(table->changed);
	ExecDropSingleTupleTableSlot(table->slot);
	table_close(table->rel, NoLock);
}

/*
 * Fills row->sums from an array; a row of another model is outdated.  The array
 * is looked at as it lies in the row, with a short header: reports do this for every lead.
 */
void
state_read_sums(const Model *model, StateRow *row, Datum array)
{
	struct varlena *datum = PG_DETOAST_DATUM_PACKED(array);
	Size		size = VARSIZE_ANY_EXHDR(datum);
	Size		want = ARR_OVERHEAD_NONULLS(1) - VARHDRSZ + sizeof(double) * model->ngroups;
	union
	{
		ArrayType	array;
		char		bytes[ARR_OVERHEAD_NONULLS(1)];
	}			head = {0};

	memcpy(head.bytes + VARHDRSZ, VARDATA_ANY(datum), Min(size, sizeof(head.bytes) - VARHDRSZ));
	row->outdated = row->model_id != model->id || ARR_HASNULL(&head.array) ||
		(model->ngroups == 0 ? ARR_NDIM(&head.array) != 0 :
		 size != want || ARR_NDIM(&head.array) != 1 || ARR_DIMS(&head.array)[0] != model->ngroups);
	if (row->outdated)
		row->sums = palloc0(sizeof(double) * Max(model->ngroups, 1));
	else
	{
		row->sums = palloc(sizeof(double) * Max(model->ngroups, 1));
		memcpy(row->sums, (char *) VARDATA_ANY(datum) + want - sizeof(double) * model->ngroups,
			   sizeof(double) * model->ngroups);
	}
}

/* What a state row says, from its columns as datums, in order. */
void
state_read(const Model *model, const Datum *values, const bool *nulls, StateRow *row)
{
#define OPTIONAL(column, get, otherwise) (nulls[column] ? (otherwise) : get(values[column]))
	row->lead_id = DatumGetInt64(values[STATE_LEAD_ID]);
	row->model_id = OPTIONAL(STATE_MODEL_ID, DatumGetInt64, 0);
	row->watch = DatumGetInt32(values[STATE_WATCH]);
	row->cycle = DatumGetInt32(values[STATE_CYCLE]);
	row->last_at = DatumGetTimestampTz(values[STATE_LAST_AT]);
	row->last_engaged_at = OPTIONAL(STATE_LAST_ENGAGED_AT, DatumGetTimestampTz, DT_NOBEGIN);
	row->last_touch_at = OPTIONAL(STATE_LAST_TOUCH_AT, DatumGetTimestampTz, DT_NOBEGIN);
	row->hand_raised_at = OPTIONAL(STATE_HAND_RAISED_AT, DatumGetTimestampTz, DT_NOBEGIN);
	if (!nulls[STATE_HAND_RAISED_BY])
		row->hand_raised_by = *DatumGetUUIDP(values[STATE_HAND_RAISED_BY]);
	row->disqualified_at = OPTIONAL(STATE_DISQUALIFIED_AT, DatumGetTimestampTz, DT_NOEND);
	row->disqualified_by = OPTIONAL(STATE_DISQUALIFIED_BY, DatumGetInt64, 0);
	row->fit = DatumGetFloat8(values[STATE_FIT]);
	row->persona_id = OPTIONAL(STATE_PERSONA_ID, DatumGetInt64, 0);
	row->fit_known = OPTIONAL(STATE_FIT_KNOWN, DatumGetFloat8, get_float8_nan());
	row->lead_disqualifier = OPTIONAL(STATE_LEAD_DISQUALIFIER, DatumGetInt64, 0);
	row->cycle_since = OPTIONAL(STATE_CYCLE_SINCE, DatumGetTimestampTz, DT_NOBEGIN);
	row->has_limits = !nulls[STATE_LIMITS];
	row->limits = values[STATE_LIMITS];
	row->window = NULL;
	row->heat = OPTIONAL(STATE_HEAT, DatumGetFloat8, get_float8_nan());
	state_read_sums(model, row, values[STATE_SUMS]);
#undef OPTIONAL
}

static Datum
sums_array(const Model *model, const double *sums)
{
	Datum		elements[64];
	Datum	   *datums = model->ngroups <= 64 ? elements : palloc(sizeof(Datum) * model->ngroups);

	for (int g = 0; g < model->ngroups; g++)
		datums[g] = Float8GetDatum(sums[g]);
	return PointerGetDatum(construct_array(datums, model->ngroups, FLOAT8OID, sizeof(double),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Limits that were not looked at stay as they are. */
void
state_write(const Model *model, const StateRow *row, Datum *values, bool *nulls)
{
	double		heat = points_heat(model, row->sums, row->last_at);

	memset(nulls, false, sizeof(bool) * STATE_LIMITS);
#define OPTIONAL(column, put, value, is_null) \
	(nulls[column] = (is_null), values[column] = nulls[column] ? (Datum) 0 : put(value))
	values[STATE_LEAD_ID] = Int64GetDatum(row->lead_id);
	OPTIONAL(STATE_MODEL_ID, Int64GetDatum, row->model_id, row->model_id == 0);
	values[STATE_WATCH] = Int32GetDatum(row->watch);
	values[STATE_CYCLE] = Int32GetDatum(row->cycle);
	values[STATE_SUMS] = sums_array(model, row->sums);
	values[STATE_LAST_AT] = TimestampTzGetDatum(row->last_at);
	OPTIONAL(STATE_LAST_ENGAGED_AT, TimestampTzGetDatum, row->last_engaged_at,
			 TIMESTAMP_IS_NOBEGIN(row->last_engaged_at));
	OPTIONAL(STATE_LAST_TOUCH_AT, TimestampTzGetDatum, row->last_touch_at,
			 TIMESTAMP_IS_NOBEGIN(row->last_touch_at));
	OPTIONAL(STATE_HAND_RAISED_AT, TimestampTzGetDatum, row->hand_raised_at,
			 TIMESTAMP_IS_NOBEGIN(row->hand_raised_at));
	OPTIONAL(STATE_HAND_RAISED_BY, UUIDPGetDatum, &row->hand_raised_by,
			 TIMESTAMP_IS_NOBEGIN(row->hand_raised_at));
	OPTIONAL(STATE_DISQUALIFIED_AT, TimestampTzGetDatum, row->disqualified_at,
			 TIMESTAMP_IS_NOEND(row->disqualified_at));
	OPTIONAL(STATE_DISQUALIFIED_BY, Int64GetDatum, row->disqualified_by,
			 TIMESTAMP_IS_NOEND(row->disqualified_at));
	values[STATE_FIT] = Float8GetDatum(row->fit);
	OPTIONAL(STATE_PERSONA_ID, Int64GetDatum, row->persona_id, row->persona_id == 0);
	OPTIONAL(STATE_FIT_KNOWN, Float8GetDatum, row->fit_known, isnan(row->fit_known));
	OPTIONAL(STATE_LEAD_DISQUALIFIER, Int64GetDatum, row->lead_disqualifier,
			 row->lead_disqualifier == 0);
	OPTIONAL(STATE_CYCLE_SINCE, TimestampTzGetDatum, row->cycle_since,
			 TIMESTAMP_IS_NOBEGIN(row->cycle_since));
	if (row->window)
		OPTIONAL(STATE_LIMITS, PointerGetDatum, window_pack(model, row->window), !model->limited);
	OPTIONAL(STATE_HEAT, Float8GetDatum, heat, isnan(heat));
#undef OPTIONAL
}

bool
state_fetch(StateTable *table, const Model *model, int64 lead_id, Snapshot snapshot, StateRow *row)
{
	if (!row_fetch(table->rel, lead_id, snapshot, table->slot))
		return false;
	slot_getallattrs(table->slot);
	state_read(model, table->slot->tts_values, table->slot->tts_isnull, row);
	row->tid = table->slot->tts_tid;
	return true;
}

/*
 * Replaces the version that state_fetch() read, whose contents are still in
 * the table's slot. TM_Updated or TM_Deleted: it was not the latest any more, nothing is done.
 */
TM_Result
state_update(StateTable *table, const Model *model, StateRow *row)
{
	TupleTableSlot *slot = table->changed;
	TM_FailureData failure;
	LockTupleMode lock_mode;
	UpdateIndexes update_indexes;
	TM_Result	result;
	int			natts = RelationGetNumberOfAttributes(table->rel);

	ExecClearTuple(slot);
	memcpy(slot->tts_values, table->slot->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, table->slot->tts_isnull, sizeof(bool) * natts);
	state_write(model, row, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(table->rel);

	result = table_tuple_update(table->rel, &row->tid, slot, GetCurrentCommandId(true),
								InvalidSnapshot, InvalidSnapshot, true,
								&failure, &lock_mode, &update_indexes);
	if (result == TM_Ok && update_needs_indexes(update_indexes))
	{
		if (table->estate == NULL)
		{
			MemoryContext caller = MemoryContextSwitchTo(table->context);

			table->estate = CreateExecutorState();
			table->info = makeNode(ResultRelInfo);
			InitResultRelInfo(table->info, table->rel, 0, NULL, 0);
			ExecOpenIndices(table->info, false);
			MemoryContextSwitchTo(caller);
		}
		ExecInsertIndexTuples_compat(table->info, slot, table->estate, update_indexes);
		ResetPerTupleExprContext(table->estate);
	}
	if (result != TM_Ok && IsolationIsSerializable() &&
		(result == TM_Updated || result == TM_Deleted))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	return result;
}

/*
 * Where what counts under a limit is not kept (or not read, or was kept under another
 * definition), the row is outdated afterwards.
 */
static void
apply_limits(const Model *model, StateRow *row, const Delta *delta)
{
	bool		kept = true;

	if (row->window == NULL)
	{
		row->window = palloc0(sizeof(Window));
		kept = row->has_limits &&
			window_unpack(model, row->window, DatumGetByteaPP(row->limits));
	}
	if (!kept ||
		window_merge(model, row->window, &delta->window, row->sums, &row->last_at) == LIMIT_UNKNOWN)
		row->outdated = true;
}

void
state_apply(const Model *model, StateRow *row, const Delta *delta)
{
	points_merge(model, row->sums, &row->last_at, delta->sums, delta->last_at);
	if (delta->window.n > 0)
		apply_limits(model, row, delta);
	row->last_engaged_at = Max(row->last_engaged_at, delta->last_engaged_at);
	row->last_touch_at = Max(row->last_touch_at, delta->last_touch_at);
	if (happened_later(delta->hand_raised_at, &delta->hand_raised_by,
					   row->hand_raised_at, &row->hand_raised_by))
	{
		row->hand_raised_at = delta->hand_raised_at;
		row->hand_raised_by = delta->hand_raised_by;
	}
	if (disqualifies_first(delta->disqualified_at, delta->disqualified_by,
						   row->disqualified_at, row->disqualified_by))
	{
		row->disqualified_at = delta->disqualified_at;
		row->disqualified_by = delta->disqualified_by;
	}
}

void
state_evaluate(const Model *model, const StateRow *row, TimestampTz at, ScoreRow *score)
{
	memset(score, 0, sizeof(ScoreRow));
	score->fit = row->fit;
	for (int g = 0; g < model->ngroups; g++)
		score->engagement += clamp(points_value(model, g, row->sums[g], row->last_at, at),
								   model->groups[g].min, model->groups[g].max);
	score->total = score->fit + score->engagement;
	score->disqualified_by = row->lead_disqualifier ? row->lead_disqualifier :
		row->disqualified_at <= at ? row->disqualified_by : 0;
	score->score = score->disqualified_by ? 0 : clamp(score->total, 0, model->max_score);
	score->grade = points_grade(model, score->fit);
	score->level = points_level(model, score->engagement);
	score->persona_id = row->persona_id;
	score->model_id = model->id;
	score->cycle = row->cycle;
	score->last_touch_at = row->last_touch_at;
}

/* Calls back for each activity that a statement returns. */
static void
scan_rows(EngineStatement *statement, Datum *values, Snapshot snapshot,
		  activity_callback callback, void *arg)
{
	uint64		n = engine_query_at(statement, values, NULL, snapshot);
	SPITupleTable *rows = SPI_tuptable;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(caller, "leadflow activity", ALLOCSET_DEFAULT_SIZES);

	for (uint64 r = 0; r < n; r++)
	{
		ActivityRow row;
		Datum		column[7];
		bool		null[7];

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(each);
		MemoryContextSwitchTo(each);
		heap_deform_tuple(rows->vals[r], rows->tupdesc, column, null);
		activity_read(column, null, &row);
		callback(&row, arg);
		MemoryContextSwitchTo(caller);
	}
	MemoryContextDelete(each);
	SPI_freetuptable(rows);
}

/*
 * Calls back for each activity of a lead that is not voided, in time order.
 * Must be called between engine_enter() and engine_leave().
 */
void
activities_scan(int64 lead_id, TimestampTz from, TimestampTz to, Snapshot snapshot,
				activity_callback callback, void *arg)
{
	static EngineStatement statement = {
		"SELECT " ACTIVITY_COLUMNS " FROM leadflow.activities"
		" WHERE lead_id = $1 AND occurred_at >= $2 AND occurred_at <= $3 AND voided_at IS NULL"
		" ORDER BY occurred_at, id",
		3, {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	Datum		values[3] = {Int64GetDatum(lead_id), TimestampTzGetDatum(from), TimestampTzGetDatum(to)};

	scan_rows(&statement, values, snapshot, callback, arg);
}

/* The same for those that were recorded by an instant, and were not known to be void then. */
static void
activities_scan_known(int64 lead_id, TimestampTz to, TimestampTz known_at, Snapshot snapshot,
					  activity_callback callback, void *arg)
{
	static EngineStatement statement = {
		"SELECT " ACTIVITY_COLUMNS " FROM leadflow.activities"
		" WHERE lead_id = $1 AND occurred_at <= $2 AND recorded_at <= $3"
		" AND (voided_at IS NULL OR void_recorded_at > $3)"
		" ORDER BY occurred_at, id",
		3, {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	Datum		values[3] = {Int64GetDatum(lead_id), TimestampTzGetDatum(to), TimestampTzGetDatum(known_at)};

	scan_rows(&statement, values, snapshot, callback, arg);
}

typedef struct TallyArgs
{
	const Model *model;
	Tally	   *tally;
} TallyArgs;

static void
add_to_tally(const ActivityRow *row, void *arg)
{
	tally_add(((TallyArgs *) arg)->model, ((TallyArgs *) arg)->tally, row);
}

/* All that a lead's activities up to an instant come to; between engine_enter() and engine_leave(). */
static void
state_tally(const Model *model, int64 lead_id, TimestampTz to, Snapshot snapshot, Tally *tally)
{
	TallyArgs	args = {model, tally};

	tally_init(model, tally);
	activities_scan(lead_id, DT_NOBEGIN, to, snapshot, add_to_tally, &args);
	tally_finish(model, tally);
}

/* A row says what a finished tally came to. */
void
state_take_tally(const Model *model, StateRow *row, const Tally *tally)
{
	row->model_id = model->id;
	row->sums = tally->sums;
	row->last_at = tally->last_at;
	row->last_engaged_at = tally->last_engaged_at;
	row->last_touch_at = tally->last_touch_at;
	row->hand_raised_at = tally->hand_raised_at;
	row->hand_raised_by = tally->hand_raised_by;
	row->disqualified_at = tally->disqualified_at;
	row->disqualified_by = tally->disqualified_by;
	row->window = palloc(sizeof(Window));
	window_make(model, row->window, tally->entries, tally->nentries);
	row->outdated = false;
}

/* The sums of a row from the activities that the snapshot sees. */
void
state_recompute(const Model *model, StateRow *row, Snapshot snapshot)
{
	Tally		tally;

	state_tally(model, row->lead_id, DT_NOEND, snapshot, &tally);
	state_take_tally(model, row, &tally);
}

Jsonb *
lead_document(int64 lead_id, Snapshot snapshot)
{
	static EngineStatement statement = {
		"SELECT doc FROM leadflow._lead_documents WHERE lead_id = $1", 1, {INT8OID}
	};
	Datum		id = Int64GetDatum(lead_id);
	bool		isnull;

	if (engine_query_at(&statement, &id, NULL, snapshot) == 0)
		return NULL;
	return DatumGetJsonbP(spi_value(0, 1, &isnull));
}

void
state_take_fit(StateRow *row, const Fit *fit)
{
	row->fit = fit->points;
	row->persona_id = fit->matched ? fit->persona->id : 0;
	row->fit_known = fit->persona ? fit->known : get_float8_nan();
	row->lead_disqualifier = fit->disqualifier ? fit->disqualifier->id : 0;
}

/* Is the lead's account a customer? */
static bool
is_customers(Jsonb *document)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&document->root, "account", strlen("account"), NULL);

	if (value == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return false;
	value = getKeyJsonValueFromContainer(value->val.binary.data, "status", strlen("status"), NULL);
	return value && value->type == jbvString && value->val.string.len == strlen("customer") &&
		memcmp(value->val.string.val, "customer", strlen("customer")) == 0;
}

/* The fit of a row from the lead that the snapshot sees. */
void
state_refit(const Model *model, StateRow *row, Snapshot snapshot)
{
	Jsonb	   *document = lead_document(row->lead_id, snapshot);
	Fit			fit;

	if (document == NULL)
		return;
	fit_evaluate(model, document, &fit);
	state_take_fit(row, &fit);
	if (is_customers(document))
		row->watch |= WATCH_OWNED;
}

void
score_accounts_hold(const int64 *leads, int n)
{
	static EngineStatement statement = {
		"SELECT DISTINCT account_id FROM leadflow.leads"
		" WHERE id = ANY ($1) AND account_id IS NOT NULL ORDER BY account_id", 1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	int64	   *accounts;
	Datum		ids;
	int			count;

	engine_enter(&engine);
	ids = int8_array(leads, n);
	count = (int) engine_query(&statement, &ids, NULL);
	accounts = MemoryContextAllocHuge(caller, sizeof(int64) * Max(count, 1));
	for (int i = 0; i < count; i++)
		accounts[i] = spi_int64(i, 1);
	engine_leave(&engine);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < count; i++)
		(void) row_lock_named("accounts", accounts[i], LockTupleShare);
	pfree(accounts);
}

/* New leads */
void
score_leads_added(const int64 *leads, const int *watch, const bool *imported, int n)
{
	static EngineStatement documents = {
		"SELECT lead_id, doc FROM leadflow._lead_documents WHERE lead_id = ANY ($1)",
		1, {INT8ARRAYOID}
	};
	static EngineStatement insert = {
		"INSERT INTO leadflow.score_state (lead_id, model_id, watch, sums, fit, persona_id, fit_known,"
		" lead_disqualifier, limits)"
		" SELECT l, nullif($2, 0), w, $3, f, nullif(p, 0), nullif(k, 'NaN'), nullif(d, 0), $9"
		" FROM unnest($1, $4, $5, $6, $7, $8) u (l, w, f, p, k, d)",
		9, {INT8ARRAYOID, INT8OID, FLOAT8ARRAYOID, INT4ARRAYOID, FLOAT8ARRAYOID,
			INT8ARRAYOID, FLOAT8ARRAYOID, INT8ARRAYOID, BYTEAOID}
	};
	const int	batch = 5000;
	const Model *model = NULL;
	EngineContext engine;
	MemoryContext inside;
	bool		asked;

	LockRelationOid(engine_relation("score_state"), RowExclusiveLock);
	model = model_active();
	asked = subscription_config()->nreached > 0;
	engine_enter(&engine);
	inside = AllocSetContextCreate(CurrentMemoryContext, "leadflow new leads", ALLOCSET_DEFAULT_SIZES);

	for (int from = 0; from < n; from += batch)
	{
		MemoryContext old = MemoryContextSwitchTo(inside);
		int			count = Min(batch, n - from);
		Datum	   *columns[5];
		double	   *zeros = palloc0(sizeof(double) * Max(model->ngroups, 1));
		Datum		ids = int8_array(leads + from, count);
		Datum		values[9];
		Window		no_limits = {0};
		uint64		found = engine_query(&documents, &ids, NULL);
		SPITupleTable *rows = SPI_tuptable;

		for (int c = 0; c < 5; c++)
			columns[c] = palloc0(sizeof(Datum) * count);
		for (int i = 0; i < count; i++)
		{
			columns[0][i] = Int32GetDatum(watch[from + i]);
			columns[3][i] = Float8GetDatum(get_float8_nan());
		}

		for (uint64 r = 0; r < found; r++)
		{
			bool		isnull;
			int64		id = DatumGetInt64(SPI_getbinval(rows->vals[r], rows->tupdesc, 1, &isnull));
			Jsonb	   *document = DatumGetJsonbP(SPI_getbinval(rows->vals[r], rows->tupdesc, 2, &isnull));
			int			low = 0;
			int			high = count - 1;
			StateRow	row = {.lead_id = id, .last_at = DT_NOBEGIN, .disqualified_at = DT_NOEND,
				.hand_raised_at = DT_NOBEGIN, .cycle = 1, .sums = zeros};
			Fit			fit;
			ScoreRow	score;

			while (low < high)
			{
				int			middle = (low + high) / 2;

				if (leads[from + middle] < id)
					low = middle + 1;
				else
					high = middle;
			}
			CHECK_FOR_INTERRUPTS();
			fit_evaluate(model, document, &fit);
			state_take_fit(&row, &fit);
			if (is_customers(document))
				columns[0][low] = Int32GetDatum(watch[from + low] | WATCH_OWNED);
			columns[1][low] = Float8GetDatum(row.fit);
			columns[2][low] = Int64GetDatum(row.persona_id);
			columns[3][low] = Float8GetDatum(row.fit_known);
			columns[4][low] = Int64GetDatum(row.lead_disqualifier);

			/* a lead that passes by its fit alone */
			state_evaluate(model, &row, clock_now(), &score);
			if (model->id && (watch[from + low] & WATCH_GATE) && !score.disqualified_by &&
				reaches(score.score, model->mql_threshold))
				(void) event_delta(model, id);
			/* one of which somebody wants to hear */
			if (model->id && !imported[from + low] && !leadflow_quiet && score.score > 0 &&
				(asked || reaches(score.score, model->hot_from)))
				event_delta(model, id)->flags |= DELTA_ADDED;
		}

		values[0] = ids;
		values[1] = Int64GetDatum(model->id);
		values[2] = sums_array(model, zeros);
		values[3] = PointerGetDatum(construct_array(columns[0], count, INT4OID, 4, true, TYPALIGN_INT));
		values[4] = PointerGetDatum(construct_array(columns[1], count, FLOAT8OID, 8, FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		values[5] = PointerGetDatum(construct_array(columns[2], count, INT8OID, 8, FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		values[6] = PointerGetDatum(construct_array(columns[3], count, FLOAT8OID, 8, FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		values[7] = PointerGetDatum(construct_array(columns[4], count, INT8OID, 8, FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		values[8] = PointerGetDatum(window_pack(model, &no_limits));
		engine_execute(&insert, values, model->limited ? NULL : "        n");
		SPI_freetuptable(rows);
		MemoryContextSwitchTo(old);
		MemoryContextReset(inside);
	}
	engine_leave(&engine);
}

void
score_leads_changed(const int64 *leads, int n)
{
	const Model *model;

	LockRelationOid(engine_relation("score_state"), RowExclusiveLock);
	model = model_active();
	for (int i = 0; i < n; i++)
		event_delta(model, leads[i])->flags |= DELTA_FIT;
}

void
score_leads_joined(const int64 *leads, int n)
{
	const Model *model;

	LockRelationOid(engine_relation("score_state"), RowExclusiveLock);
	model = model_active();
	for (int i = 0; i < n; i++)
		event_delta(model, leads[i])->flags |= DELTA_FIT | DELTA_JOINED;
}

void
score_gate_check(const int64 *leads, int n)
{
	const Model *model = model_active();

	for (int i = 0; i < n; i++)
		(void) event_delta(model, leads[i]);
}

void
score_leads_deleted(const int64 *leads, int n)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.score_state WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}
	};
	EngineContext engine;
	Datum		ids;

	for (int i = 0; i < n; i++)
		(void) row_lock_named("score_state", leads[i], LockTupleNoKeyExclusive);
	engine_enter(&engine);
	ids = int8_array(leads, n);
	engine_execute(&statement, &ids, NULL);
	engine_leave(&engine);
}

/*
 * Changes rows in place until nobody else was faster.  The callback may not
 * look at sums: they are kept as they are.
 */
static void
change_rows(const int64 *leads, int n, void (*change) (StateRow *row, int i, void *arg), void *arg)
{
	const Model *model;
	StateTable	table;
	MemoryContext each;

	state_open(&table, RowExclusiveLock);
	model = model_active();
	each = AllocSetContextCreate(CurrentMemoryContext, "leadflow state", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < n; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(each);
		TM_Result	result = TM_Updated;

		while (result != TM_Ok)
		{
			Snapshot	snapshot;
			StateRow	row;

			CommandCounterIncrement();
			snapshot = RegisterSnapshot(engine_snapshot());
			PushActiveSnapshot(snapshot);
			if (state_fetch(&table, model, leads[i], snapshot, &row))
			{
				if (row.outdated)
				{
					EngineContext engine;
					MemoryContext context;

					engine_enter(&engine);
					context = MemoryContextSwitchTo(each);
					state_combine(model, &row, NULL, snapshot);
					MemoryContextSwitchTo(context);
					engine_leave(&engine);
				}
				change(&row, i, arg);
				result = state_update(&table, model, &row);
			}
			else
				result = TM_Ok; /* deleted meanwhile: nothing to keep */
			PopActiveSnapshot();
			UnregisterSnapshot(snapshot);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(each);
	}
	MemoryContextDelete(each);
	state_close(&table);
	CommandCounterIncrement();
}

static void
change_watch(StateRow *row, int i, void *arg)
{
	const int  *bits = arg;

	row->watch = (row->watch & ~bits[1]) | bits[0];
}

void
score_watch(const int64 *leads, int n, int set, int clear)
{
	int			bits[2] = {set, clear};

	change_rows(leads, n, change_watch, bits);
}

/* Leads whose watch bits say so, ascending, in the current context. */
int64 *
score_watched(int bit, int *n)
{
	static EngineStatement statement = {
		"SELECT lead_id FROM leadflow.score_state WHERE watch & $1 <> 0 ORDER BY lead_id",
		1, {INT4OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		value = Int32GetDatum(bit);
	int64	   *leads;

	engine_enter(&engine);
	*n = engine_query(&statement, &value, NULL);
	leads = MemoryContextAllocHuge(caller, sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		leads[i] = spi_int64(i, 1);
	engine_leave(&engine);
	return leads;
}

static void
change_cycle(StateRow *row, int i, void *arg)
{
	row->cycle++;
	row->cycle_since = ((const TimestampTz *) arg)[i];
}

void
score_cycle_begin(const int64 *leads, const TimestampTz *since, int n)
{
	change_rows(leads, n, change_cycle, unconstify(TimestampTz *, since));
}

/*
 * A row with what a transaction did to the lead (NULL = nothing): added where
 * that can be, else computed from what the snapshot sees.  Between
 * engine_enter() and engine_leave() if anything must be computed.
 */
void
state_combine(const Model *model, StateRow *row, const Delta *delta, Snapshot snapshot)
{
	bool		recompute = state_needs_tables(row, delta, DELTA_RECOMPUTE);
	bool		refit = state_needs_tables(row, delta, DELTA_FIT);

	if (!recompute && delta)
	{
		state_apply(model, row, delta);
		recompute = row->outdated;
	}
	if (recompute)
		state_recompute(model, row, snapshot);
	if (refit)
		state_refit(model, row, snapshot);
}

static void
take_tally(StateRow *row, const Tally *tally)
{
	row->sums = tally->sums;
	row->last_at = tally->last_at;
	row->hand_raised_at = tally->hand_raised_at;
	row->hand_raised_by = tally->hand_raised_by;
	row->disqualified_at = tally->disqualified_at;
	row->disqualified_by = tally->disqualified_by;
}

/*
 * The sums of a row as they were at an instant before its last_at.
 * Between engine_enter() and engine_leave().
 */
void
state_rewind(const Model *model, StateRow *row, TimestampTz at, Snapshot snapshot)
{
	Tally		tally;

	state_tally(model, row->lead_id, at, snapshot, &tally);
	take_tally(row, &tally);
}

/* The same from what was recorded by an instant (DT_NOEND: everything). */
void
state_rewind_known(const Model *model, StateRow *row, TimestampTz at, TimestampTz known_at,
				   Snapshot snapshot)
{
	Tally		tally;
	TallyArgs	args = {model, &tally};

	tally_init(model, &tally);
	activities_scan_known(row->lead_id, at, known_at, snapshot, add_to_tally, &args);
	tally_finish(model, &tally);
	take_tally(row, &tally);
}

/* Was anything of a lead recorded by an instant? */
bool
lead_recorded(int64 lead_id, TimestampTz known_at, Snapshot snapshot)
{
	static EngineStatement statement = {
		"SELECT FROM leadflow.leads l WHERE l.id = $1 AND (l.created_at <= $2"
		" OR EXISTS (SELECT FROM leadflow.activities a WHERE a.lead_id = $1 AND a.recorded_at <= $2))",
		2, {INT8OID, TIMESTAMPTZOID}
	};
	Datum		values[2] = {Int64GetDatum(lead_id), TimestampTzGetDatum(known_at)};
	EngineContext engine;
	bool		found;

	engine_enter(&engine);
	found = engine_query_at(&statement, values, NULL, snapshot) > 0;
	engine_leave(&engine);
	return found;
}

/*
 * Brings a row to an instant: what the transaction has not flushed is added,
 * and from tables comes what the row cannot answer.
 */
void
state_bring(const Model *model, StateRow *row, TimestampTz at, Snapshot snapshot)
{
	Delta	   *delta = event_pending() ? event_peek(model, row->lead_id) : NULL;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside;
	EngineContext engine;

	if (delta == NULL && !row->outdated && at >= row->last_at)
		return;
	engine_enter(&engine);
	inside = MemoryContextSwitchTo(caller);
	state_combine(model, row, delta, snapshot);
	if (at < row->last_at)
		state_rewind(model, row, at, snapshot);
	MemoryContextSwitchTo(inside);
	engine_leave(&engine);
}

/* State of a lead at an instant as the snapshot and this transaction have it. */
bool
state_at(const Model *model, int64 lead_id, TimestampTz at, Snapshot snapshot, StateRow *row)
{
	StateTable	table;
	bool		found;

	state_open(&table, AccessShareLock);
	found = state_fetch(&table, model, lead_id, snapshot, row);
	if (found)
		state_bring(model, row, at, snapshot);
	state_close(&table);		/* the row refers to it until it is complete */
	row->has_limits = false;
	return found;
}

void
score_read_all(const int64 *leads, int n, TimestampTz at, ScoreRow *scores, bool *found)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each;
	const Model *model = model_active();
	Snapshot	snapshot;
	StateTable	table;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(engine_snapshot());
	PushActiveSnapshot(snapshot);
	state_open(&table, AccessShareLock);
	each = AllocSetContextCreate(caller, "leadflow score", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < n; i++)
	{
		StateRow	row;

		MemoryContextSwitchTo(each);
		found[i] = state_fetch(&table, model, leads[i], snapshot, &row);
		if (found[i])
		{
			state_bring(model, &row, at, snapshot);
			state_evaluate(model, &row, at, &scores[i]);
		}
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
	}
	MemoryContextDelete(each);
	state_close(&table);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
}

const char *
score_persona_name(int64 persona_id)
{
	const Model *model = model_active();

	for (int p = 0; p < model->npersonas; p++)
	{
		if (model->personas[p].id == persona_id)
			return model->personas[p].name;
	}
	return NULL;
}
