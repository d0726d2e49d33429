/*-------------------------------------------------------------------------
 * table_insert.c
 *	  New rows of a table of the engine, and new versions of rows, without SQL.
 *
 * What COPY does once it has read a row: defaults, constraints, rows in portions, index
 * entries; less triggers.  A statement that does the same costs several
 * times as much to start as it takes to write a row, and checks a foreign key for every row
 * that the engine has just read the other end of.
 *
 * Triggers that a site has put on a table are meant to fire, and its generated columns to be
 * computed, so the caller falls back on SQL where there are any.  Our triggers that refuse
 * everybody but the engine don't count, nor do those of foreign keys.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "row_lock.h"
#include "spi.h"
#include "table_insert.h"

#define PORTION 500

static bool
has_triggers(Relation rel, int event)
{
	const TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];
		char	   *function;
		bool		ours;

		if (!(trigger->tgtype & event) || trigger->tgisinternal || trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		function = get_func_name(trigger->tgfoid);
		ours = function && strcmp(function, "_engine_owned") == 0 &&
			get_func_namespace(trigger->tgfoid) == RelationGetNamespace(rel);
		if (!ours)
			return true;
	}
	return false;
}

/* Default expressions of a table; reading them takes longer than writing a row. */
typedef struct TableDefaults
{
	Oid			relid;			/* InvalidOid = free, or the table has changed */
	MemoryContext context;
	Node	  **defaults;		/* by column; NULL = none */
} TableDefaults;

static TableDefaults known[8];

static void
forget_defaults(Datum arg, Oid relid)
{
	for (int i = 0; i < (int) lengthof(known); i++)
	{
		if (!OidIsValid(relid) || known[i].relid == relid)
			known[i].relid = InvalidOid;
	}
}

/* They stay until the next call, even if the table changes. */
static Node **
table_defaults(Relation rel)
{
	static bool registered = false;
	static int	next = 0;
	TupleDesc	desc = RelationGetDescr(rel);
	TableDefaults *entry = NULL;
	MemoryContext caller;

	if (!registered)
		CacheRegisterRelcacheCallback(forget_defaults, (Datum) 0);
	registered = true;
	for (int i = 0; i < (int) lengthof(known); i++)
	{
		if (known[i].relid == RelationGetRelid(rel))
			return known[i].defaults;
		if (!OidIsValid(known[i].relid))
			entry = &known[i];
	}
	if (entry == NULL)
		entry = &known[next++ % lengthof(known)];
	entry->relid = InvalidOid;
	if (entry->context)
		MemoryContextDelete(entry->context);
	entry->context = AllocSetContextCreate(CacheMemoryContext, "leadflow defaults", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(entry->context);
	entry->defaults = palloc0_array(Node *, desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && !att->attgenerated)
			entry->defaults[i] = build_column_default(rel, i + 1);
	}
	MemoryContextSwitchTo(caller);
	entry->relid = RelationGetRelid(rel);
	return entry->defaults;
}

/* What writing has in common; false: use SQL. */
static bool
begin(TableInsert *insert, const char *table, const char *const *columns, int ncolumns, int event)
{
	TupleDesc	desc;

	memset(insert, 0, sizeof(TableInsert));
	insert->rel = table_open(engine_relation(table), RowExclusiveLock);
	desc = RelationGetDescr(insert->rel);
	if (insert->rel->rd_rel->relkind != RELKIND_RELATION || has_triggers(insert->rel, event) ||
		(desc->constr && desc->constr->has_generated_stored))
	{
		table_close(insert->rel, NoLock);
		return false;
	}
	insert->estate = CreateExecutorState();
	insert->info = makeNode(ResultRelInfo);
	InitResultRelInfo(insert->info, insert->rel, 0, NULL, 0);
	ExecOpenIndices(insert->info, false);
	insert->ncolumns = ncolumns;
	insert->attnums = palloc_array(AttrNumber, ncolumns);
	for (int i = 0; i < ncolumns; i++)
	{
		int			attnum = SPI_fnumber(desc, columns[i]);

		if (attnum <= 0)
			elog(ERROR, "table \"%s\" has no column \"%s\"", table, columns[i]);
		insert->attnums[i] = attnum;
	}
	return true;
}

bool
table_insert_begin(TableInsert *insert, const char *table, const char *const *columns, int ncolumns, int rows)
{
	TupleDesc	desc;
	Node	  **defaults;
	bool	   *given;

	if (!begin(insert, table, columns, ncolumns, TRIGGER_TYPE_INSERT))
		return false;
	desc = RelationGetDescr(insert->rel);
	insert->room = Max(1, Min(rows, PORTION));
	insert->slots = palloc0_array(TupleTableSlot *, insert->room);
	given = palloc0_array(bool, desc->natts);
	for (int i = 0; i < ncolumns; i++)
		given[insert->attnums[i] - 1] = true;
	insert->id = Max(SPI_fnumber(desc, "id"), 0);
	insert->defaults = palloc0_array(ExprState *, desc->natts);
	defaults = table_defaults(insert->rel);
	for (int i = 0; i < desc->natts; i++)
	{
		if (defaults[i] && !given[i])
			insert->defaults[i] = ExecPrepareExpr(copyObject((Expr *) defaults[i]), insert->estate);
	}
	return true;
}

static void
write_rows(TableInsert *insert)
{
	CommandId	cid = GetCurrentCommandId(true);

	if (insert->nslots == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	if (insert->nslots == 1)
		table_tuple_insert(insert->rel, insert->slots[0], cid, 0, NULL);
	else
	{
		/* what it allocates is of no use afterwards */
		MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(insert->estate));

		table_multi_insert(insert->rel, insert->slots, insert->nslots, cid, 0, NULL);
		MemoryContextSwitchTo(caller);
	}
	for (int i = 0; i < insert->nslots; i++)
	{
		if (insert->info->ri_NumIndices > 0)
			(void) ExecInsertIndexTuples_new(insert->info, insert->slots[i], insert->estate);
		ExecClearTuple(insert->slots[i]);
	}
	ResetPerTupleExprContext(insert->estate);
	insert->nslots = 0;
}

int64
table_insert_row(TableInsert *insert, const Datum *values, const bool *nulls)
{
	TupleDesc	desc = RelationGetDescr(insert->rel);
	ExprContext *context = GetPerTupleExprContext(insert->estate);
	TupleTableSlot *slot;
	bool		isnull;

	if (insert->nslots == insert->room)
		write_rows(insert);
	if (insert->slots[insert->nslots] == NULL)
		insert->slots[insert->nslots] = table_slot_create(insert->rel, NULL);
	slot = insert->slots[insert->nslots++];
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		slot->tts_values[i] = (Datum) 0;
		if (insert->defaults[i])
			slot->tts_values[i] = ExecEvalExpr(insert->defaults[i], context, &slot->tts_isnull[i]);
	}
	for (int i = 0; i < insert->ncolumns; i++)
	{
		slot->tts_values[insert->attnums[i] - 1] = values[i];
		slot->tts_isnull[insert->attnums[i] - 1] = nulls[i];
	}
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(insert->rel);
	if (desc->constr)
		ExecConstraints(insert->info, slot, insert->estate);
	return insert->id ? DatumGetInt64(slot_getattr(slot, insert->id, &isnull)) : 0;
}

void
table_insert_end(TableInsert *insert)
{
	write_rows(insert);
	for (int i = 0; i < insert->room && insert->slots[i]; i++)
		ExecDropSingleTupleTableSlot(insert->slots[i]);
	ExecCloseIndices(insert->info);
	FreeExecutorState(insert->estate);
	table_close(insert->rel, NoLock);
	CommandCounterIncrement();
}

/* ---- rows that are there --------------------------------------------------- */

bool
table_update_begin(TableInsert *update, const char *table, const char *const *columns, int ncolumns)
{
	if (!begin(update, table, columns, ncolumns, TRIGGER_TYPE_UPDATE))
		return false;
	update->slots = palloc_array(TupleTableSlot *, 2);
	update->slots[0] = table_slot_create(update->rel, NULL);
	update->slots[1] = MakeSingleTupleTableSlot(RelationGetDescr(update->rel), &TTSOpsVirtual);
	return true;
}

bool
table_update_lock(TableInsert *update, int64 key)
{
	if (!row_lock(update->rel, key, LockTupleNoKeyExclusive, update->slots[0]))
		return false;
	slot_getallattrs(update->slots[0]);
	return true;
}

Datum
table_update_before(const TableInsert *update, int column, bool *isnull)
{
	*isnull = update->slots[0]->tts_isnull[update->attnums[column] - 1];
	return update->slots[0]->tts_values[update->attnums[column] - 1];
}

void
table_update_row(TableInsert *update, const Datum *values, const bool *nulls)
{
	TupleTableSlot *before = update->slots[0];
	TupleTableSlot *changed = update->slots[1];
	TupleDesc	desc = RelationGetDescr(update->rel);
	ItemPointerData tid = before->tts_tid;
	TM_FailureData failure;
	LockTupleMode lock_mode;
	UpdateIndexes update_indexes;

	ExecClearTuple(changed);
	memcpy(changed->tts_values, before->tts_values, sizeof(Datum) * desc->natts);
	memcpy(changed->tts_isnull, before->tts_isnull, sizeof(bool) * desc->natts);
	for (int i = 0; i < update->ncolumns; i++)
	{
		changed->tts_values[update->attnums[i] - 1] = values[i];
		changed->tts_isnull[update->attnums[i] - 1] = nulls[i];
	}
	ExecStoreVirtualTuple(changed);
	changed->tts_tableOid = RelationGetRelid(update->rel);
	if (desc->constr)
		ExecConstraints(update->info, changed, update->estate);
	if (table_tuple_update(update->rel, &tid, changed, GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot,
						   true, &failure, &lock_mode, &update_indexes) != TM_Ok)
		elog(ERROR, "a locked row of \"%s\" was changed", RelationGetRelationName(update->rel));
	if (update_needs_indexes(update_indexes))
		(void) ExecInsertIndexTuples_compat(update->info, changed, update->estate, update_indexes);
	ResetPerTupleExprContext(update->estate);
}

void
table_update_end(TableInsert *update)
{
	ExecDropSingleTupleTableSlot(update->slots[1]);
	ExecDropSingleTupleTableSlot(update->slots[0]);
	ExecCloseIndices(update->info);
	FreeExecutorState(update->estate);
	table_close(update->rel, NoLock);
	CommandCounterIncrement();
}
