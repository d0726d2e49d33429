/*-------------------------------------------------------------------------
 * hottest.c
 *	  hottest(): the leads in play with the highest totals.
 *
 * Candidates are read from score_state, with their exact totals, and wait in a
 * heap.  Those that nothing unread can beat are looked up in leads, in
 * batches and as the caller: whoever is out of play or hidden by a policy is passed over.
 *
 * They are read in one of three ways:
 *
 *	- the leads of an owner, if one is asked for;
 *	- along an index on (model_id, fit, heat NULLS FIRST), if the site has made
 *	  one.  Where a single group decays its heat (points_heat()) orders the leads
 *	  of one fit, at every instant.  Distinct fits are few: each has a cursor of its
 *	  own, and the cursor that may hold the highest total is read next.  A row's heat
 *	  bounds its total at any instant, even one before its last activity, as
 *	  long as no points are negative;
 *	- else, or if the transaction has changes that are not flushed, all rows.
 *
 * Limits: of leads whose group is clamped, all those of the same total are read before the first
 * is given, since ties go by id.  More than MAX_FITS distinct fits are not
 * merged: all rows are read.  Where most leads are out of play or hidden, as many are looked up.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "compat.h"
#include "event_store.h"
#include "model_store.h"
#include "score_store.h"
#include "spi.h"

#define MAX_FITS	256
#define MAX_BATCH	10000

typedef struct Candidate
{
	double		total;			/* before the last clamp */
	int64		lead_id;
} Candidate;

/* The leads of one fit, hottest first. */
typedef struct Cursor
{
	double		fit;
	IndexScanDesc scan;
	double		bound;			/* of the totals that it has not read yet */
} Cursor;

typedef struct Search
{
	const Model *model;
	TimestampTz at;
	Snapshot	snapshot;
	StateTable	table;
	MemoryContext each;			/* for a row */

	Candidate  *candidates;		/* a heap: the first is the hottest */
	Size		ncandidates;
	Size		maxcandidates;

	Relation	index;			/* NULL = everything has been read */
	Cursor	   *cursors;
	int			ncursors;
	bool		more_fits;		/* than those of the cursors */
	bool		misled;			/* the index is of no use after all */
} Search;

static bool
hotter(const Candidate *a, const Candidate *b)
{
	return a->total != b->total ? a->total > b->total : a->lead_id < b->lead_id;
}

static void
heap_push(Search *search, Candidate candidate)
{
	Size		i = search->ncandidates++;

	if (i == search->maxcandidates)
	{
		search->maxcandidates *= 2;
		search->candidates = repalloc_huge(search->candidates, sizeof(Candidate) * search->maxcandidates);
	}
	for (; i > 0 && hotter(&candidate, &search->candidates[(i - 1) / 2]); i = (i - 1) / 2)
		search->candidates[i] = search->candidates[(i - 1) / 2];
	search->candidates[i] = candidate;
}

static Candidate
heap_pop(Search *search)
{
	Candidate  *heap = search->candidates;
	Candidate	top = heap[0];
	Candidate	last = heap[--search->ncandidates];
	Size		i = 0;

	for (;;)
	{
		Size		child = 2 * i + 1;

		if (child + 1 < search->ncandidates && hotter(&heap[child + 1], &heap[child]))
			child++;
		if (child >= search->ncandidates || !hotter(&heap[child], &last))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = last;
	return top;
}

/* A row that was read becomes a candidate. */
static void
consider(Search *search, StateRow *row)
{
	ScoreRow	score;

	state_bring(search->model, row, search->at, search->snapshot);
	state_evaluate(search->model, row, search->at, &score);
	if (score.disqualified_by == 0)
		heap_push(search, (Candidate) {score.total, row->lead_id});
}

/* The row in the table's slot, in the context for a row. */
static void
slot_row(Search *search, StateRow *row)
{
	slot_getallattrs(search->table.slot);
	state_read(search->model, search->table.slot->tts_values, search->table.slot->tts_isnull, row);
}

static void
read_all(Search *search)
{
	TableScanDesc scan = table_beginscan(search->table.rel, search->snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, search->table.slot))
	{
		MemoryContext caller = MemoryContextSwitchTo(search->each);
		StateRow	row;

		CHECK_FOR_INTERRUPTS();
		slot_row(search, &row);
		consider(search, &row);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(search->each);
	}
	table_endscan(scan);
}

static void
read_owned(Search *search, int64 owner_id)
{
	static EngineStatement statement = {
		"SELECT l.id FROM leadflow.leads l WHERE l.owner_id = $1", 1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		owner = Int64GetDatum(owner_id);
	int64	   *leads;
	uint64		n;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	n = engine_query_at(&statement, &owner, NULL, search->snapshot);
	leads = MemoryContextAllocHuge(caller, sizeof(int64) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
		leads[r] = spi_int64(r, 1);
	SPI_finish();

	for (uint64 r = 0; r < n; r++)
	{
		StateRow	row;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(search->each);
		if (state_fetch(&search->table, search->model, leads[r], search->snapshot, &row))
			consider(search, &row);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(search->each);
	}
	pfree(leads);
}

/* Does heat order the leads of one fit? */
static bool
heat_decides(const Model *model)
{
	if (model->id == 0 || model->ngroups != 1 || model->groups[0].half_life == 0)
		return false;
	for (int r = 0; r < model->nrules; r++)
	{
		if (model->rules[r].points < 0)
			return false;
	}
	return true;
}

/* An index on (model_id, fit, heat NULLS FIRST) that may be used; NULL = none. */
static Relation
index_find(Relation rel)
{
	static const int columns[] = {STATE_MODEL_ID + 1, STATE_FIT + 1, STATE_HEAT + 1};
	static const Oid types[] = {INT8OID, FLOAT8OID, FLOAT8OID};
	static const int options[] = {0, 0, INDOPTION_NULLS_FIRST};
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		bool		fits = form->indisvalid && form->indnkeyatts >= (int) lengthof(columns) &&
			index->rd_rel->relam == BTREE_AM_OID && RelationGetIndexPredicate(index) == NIL &&
			!(form->indcheckxmin &&
			  !TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin));

		for (int i = 0; fits && i < (int) lengthof(columns); i++)
			fits = form->indkey.values[i] == columns[i] && index->rd_indoption[i] == options[i] &&
				index->rd_opfamily[i] == lookup_type_cache(types[i], TYPECACHE_BTREE_OPFAMILY)->btree_opf;
		if (fits)
			return index;
		index_close(index, AccessShareLock);
	}
	return NULL;
}

static IndexScanDesc
index_begin(Search *search, ScanKey keys, int nkeys)
{
	IndexScanDesc scan = index_beginscan_compat(search->table.rel, search->index, search->snapshot, nkeys, 0);

	index_rescan(scan, keys, nkeys, NULL, 0);
	return scan;
}

/* Are all rows of the active model?  Those of another have fits and heats that mean something else. */
static bool
index_current(Search *search)
{
	ScanDirection ends[] = {ForwardScanDirection, BackwardScanDirection};
	bool		current = true;

	for (int i = 0; current && i < (int) lengthof(ends); i++)
	{
		IndexScanDesc scan = index_begin(search, NULL, 0);

		if (index_getnext_slot(scan, ends[i], search->table.slot))
		{
			bool		isnull;
			Datum		model_id = slot_getattr(search->table.slot, STATE_MODEL_ID + 1, &isnull);

			current = !isnull && DatumGetInt64(model_id) == search->model->id;
		}
		index_endscan(scan);
	}
	return current;
}

/*
 * The next row of a cursor; false = there is none (of its fit).  A cursor that
 * has no fit yet takes that of its first row.
 */
static bool
cursor_read(Search *search, Cursor *cursor)
{
	const PointGroup *group = &search->model->groups[0];
	MemoryContext caller;
	StateRow	row;
	bool		isnull;
	Datum		heat;
	double		value;

	if (!index_getnext_slot(cursor->scan, BackwardScanDirection, search->table.slot))
		return false;
	caller = MemoryContextSwitchTo(search->each);
	slot_row(search, &row);
	if (isnan(cursor->fit))
		cursor->fit = row.fit;
	if (row.fit == cursor->fit)
	{
		heat = slot_getattr(search->table.slot, STATE_HEAT + 1, &isnull);
		value = isnull ? 0 : points_heat_value(group, DatumGetFloat8(heat), search->at);
		cursor->bound = cursor->fit + clamp(value, group->min, group->max);
		search->misled |= row.outdated;
		consider(search, &row);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(search->each);
	return row.fit == cursor->fit;
}

static void
cursor_close(Search *search, Cursor *cursor)
{
	index_endscan(cursor->scan);
	*cursor = search->cursors[--search->ncursors];
}

/* A cursor for the highest fit that has none. */
static void
cursor_open(Search *search, double below)
{
	Cursor	   *cursor = &search->cursors[search->ncursors];
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(search->model->id));
	ScanKeyInit(&keys[1], 2, BTLessStrategyNumber, F_FLOAT8LT, Float8GetDatum(below));
	cursor->fit = NAN;
	cursor->scan = index_begin(search, keys, 2);
	search->ncursors++;
	if (!cursor_read(search, cursor))
	{
		search->more_fits = false;
		cursor_close(search, cursor);
	}
}

/* Begins to read along the index; false = it cannot be used. */
static bool
merge_begin(Search *search)
{
	if (event_pending() || !heat_decides(search->model))
		return false;
	search->index = index_find(search->table.rel);
	if (search->index == NULL)
		return false;
	if (!index_current(search))
	{
		index_close(search->index, AccessShareLock);
		search->index = NULL;
		return false;
	}
	search->cursors = palloc(sizeof(Cursor) * (MAX_FITS + 1));
	search->more_fits = true;
	return true;
}

static void
merge_end(Search *search)
{
	while (search->ncursors > 0)
		cursor_close(search, &search->cursors[0]);
	index_close(search->index, AccessShareLock);
	search->index = NULL;
}

/*
 * Takes the hottest candidate, once nothing unread can be as hot.  Fits that
 * have no cursor are below all those that have had one: *lowest.
 */
static bool
next_candidate(Search *search, double *lowest, Candidate *candidate)
{
	while (search->index)
	{
		double		group_max = search->model->groups[0].max;
		bool		unread = search->more_fits;
		double		bound = *lowest + group_max;
		int			best = -1;

		for (int c = 0; c < search->ncursors; c++)
		{
			if (!unread || search->cursors[c].bound > bound)
			{
				unread = true;
				bound = search->cursors[c].bound;
				best = c;
			}
		}
		if (!unread || (search->ncandidates > 0 && search->candidates[0].total > bound))
			break;
		CHECK_FOR_INTERRUPTS();
		if (best >= 0)
		{
			if (!cursor_read(search, &search->cursors[best]))
				cursor_close(search, &search->cursors[best]);
		}
		else
		{
			int			before = search->ncursors;

			cursor_open(search, *lowest);
			if (search->ncursors > before)
				*lowest = search->cursors[before].fit;
		}
		search->misled |= search->ncursors > MAX_FITS;
		if (search->misled)
			return false;
	}
	if (search->ncandidates == 0)
		return false;
	*candidate = heap_pop(search);
	return true;
}

/* Looks candidates up in leads; gives out those in play, at most wanted, and returns how many. */
static int
give_out(ReturnSetInfo *result, Search *search, const Candidate *batch, int n, int wanted)
{
	static EngineStatement statement = {
		"SELECT c.position, l.full_name, l.company, l.stage, m.full_name"
		" FROM unnest($1) WITH ORDINALITY c (id, position)"
		" JOIN leadflow.leads l ON l.id = c.id"
		" JOIN leadflow.stages g ON g.name = l.stage AND g.category NOT IN ('won', 'lost', 'out')"
		" LEFT JOIN leadflow.team_members m ON m.id = l.owner_id"
		" ORDER BY c.position",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	Datum		array;
	uint64		found;

	for (int i = 0; i < n; i++)
		ids[i] = batch[i].lead_id;
	array = int8_array(ids, n);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	found = engine_query_at(&statement, &array, NULL, search->snapshot);
	found = Min(found, (uint64) wanted);
	for (uint64 r = 0; r < found; r++)
	{
		const Candidate *candidate = &batch[spi_int64(r, 1) - 1];
		Datum		values[6];
		bool		nulls[6] = {false};
		MemoryContext inside;

		values[0] = Int64GetDatum(candidate->lead_id);
		values[1] = Float8GetDatum(clamp(candidate->total, 0, search->model->max_score));
		for (int i = 2; i < 6; i++)
			values[i] = spi_value(r, i, &nulls[i]);
		inside = MemoryContextSwitchTo(caller);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		MemoryContextSwitchTo(inside);
	}
	SPI_finish();
	pfree(ids);
	return (int) found;
}

/* Gives out the first n; false = the index has misled us. */
static bool
search_run(ReturnSetInfo *result, Search *search, int n)
{
	double		lowest = get_float8_infinity();
	int64		size = (int64) n + n / 8 + 8;	/* some will be out of play */

	for (;;)
	{
		int			limit = (int) Min(size, MAX_BATCH);
		Candidate  *batch = palloc(sizeof(Candidate) * limit);
		int			count = 0;

		while (count < limit && next_candidate(search, &lowest, &batch[count]))
			count++;
		if (search->misled)
			return false;
		n -= give_out(result, search, batch, count, n);
		pfree(batch);
		if (n <= 0 || count < limit)
			return true;
		size = Min(size * 2, MAX_BATCH);
	}
}

/* hottest(n, at, owner_id) → the hottest leads in play */
PG_FUNCTION_INFO_V1(leadflow_hottest);
Datum
leadflow_hottest(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Search		search = {0};
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	n = Max(PG_GETARG_INT32(0), 0);
	search.at = PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(search.at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the instant of a score must be finite")));

	search.model = model_active();
	search.snapshot = GetActiveSnapshot();
	search.each = AllocSetContextCreate(CurrentMemoryContext, "leadflow hottest", ALLOCSET_DEFAULT_SIZES);
	search.maxcandidates = 1024;
	search.candidates = palloc(sizeof(Candidate) * search.maxcandidates);
	state_open(&search.table, AccessShareLock);
	if (pg_class_aclcheck(RelationGetRelid(search.table.rel), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, "score_state");

	if (!PG_ARGISNULL(2))
		read_owned(&search, PG_GETARG_INT64(2));
	else if (!merge_begin(&search))
		read_all(&search);
	if (!search_run(result, &search, n))
	{
		merge_end(&search);
		search.ncandidates = 0;
		search.misled = false;
		tuplestore_clear(result->setResult);
		read_all(&search);
		(void) search_run(result, &search, n);
	}
	if (search.index)
		merge_end(&search);
	state_close(&search.table);
	return (Datum) 0;
}
