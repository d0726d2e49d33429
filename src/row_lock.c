/*-------------------------------------------------------------------------
 * row_lock.c
 *	  Locking and finding single rows by their bigint key, whatever the
 *	  isolation level.
 *
 * SELECT … FOR UPDATE under REPEATABLE READ fails with 40001 when the row was
 * changed since the snapshot was taken.  The engine wants the latest version instead, as
 * referential integrity triggers do, and therefore locks the tuple itself.
 *
 * A plan takes several times as long to start as an index takes to say that it has nothing,
 * which is what it mostly says.
 *
 * Index scans allocate in the context that is current at their first call, so they
 * must not outlive it: each of these ends its scan before it returns.
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
#include "catalog/pg_opfamily.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "row_lock.h"
#include "spi.h"

bool
row_fetch(Relation rel, int64 key, Snapshot snapshot, TupleTableSlot *slot)
{
	Relation	index = index_open(RelationGetPrimaryKeyIndex_compat(rel), AccessShareLock);
	IndexScanDesc scan;
	ScanKeyData scan_key;
	bool		found;

	ScanKeyInit(&scan_key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key));
	scan = index_beginscan_compat(rel, index, snapshot, 1, 0);
	index_rescan(scan, &scan_key, 1, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	if (found)
		ExecMaterializeSlot(slot);
	index_endscan(scan);
	index_close(index, NoLock);
	return found;
}

typedef enum
{
	ROW_LOCKED,
	ROW_MISSING,
	ROW_HELD					/* by somebody else, and we were not to wait */
}			LockOutcome;

static LockOutcome
lock_latest(Relation rel, int64 key, LockTupleMode mode, LockWaitPolicy policy, TupleTableSlot *slot)
{
	for (;;)
	{
		Snapshot	snapshot = RegisterSnapshot(engine_snapshot());
		TM_FailureData failure;
		TM_Result	result = TM_Deleted;
		bool		found;

		PushActiveSnapshot(snapshot);
		found = row_fetch(rel, key, snapshot, slot);
		if (found)
		{
			ItemPointerData tid = slot->tts_tid;

			result = table_tuple_lock(rel, &tid, snapshot, slot, GetCurrentCommandId(false),
									  mode, policy,
									  IsolationIsSerializable() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
									  &failure);
			if (result == TM_Ok)
				ExecMaterializeSlot(slot);
		}
		PopActiveSnapshot();
		UnregisterSnapshot(snapshot);

		if (!found)
			return ROW_MISSING;
		switch (result)
		{
			case TM_Ok:
				return ROW_LOCKED;
			case TM_WouldBlock:
				return ROW_HELD;
			case TM_SelfModified:
				/* changed by the present command: see it on the next round */
				CommandCounterIncrement();
				break;
			case TM_Updated:
			case TM_Deleted:
				if (IsolationIsSerializable())
					ereport(ERROR,
							(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							 errmsg("could not serialize access due to concurrent update")));
				break;
			default:
				elog(ERROR, "unexpected result %d of table_tuple_lock", (int) result);
		}
	}
}

bool
row_lock(Relation rel, int64 key, LockTupleMode mode, TupleTableSlot *slot)
{
	return lock_latest(rel, key, mode, LockWaitBlock, slot) == ROW_LOCKED;
}

bool
row_lock_named(const char *table, int64 key, LockTupleMode mode)
{
	Relation	rel = table_open(engine_relation(table), RowShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	bool		found = row_lock(rel, key, mode, slot);

	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return found;
}

int
rows_lock_free(const char *table, int64 *keys, int n)
{
	Relation	rel;
	TupleTableSlot *slot;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each;
	int			kept = 0;

	if (n == 0)
		return 0;
	rel = table_open(engine_relation(table), RowShareLock);
	slot = table_slot_create(rel, NULL);
	each = AllocSetContextCreate(caller, "leadflow row locks", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < n; i++)
	{
		LockOutcome outcome;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(each);
		outcome = lock_latest(rel, keys[i], LockTupleNoKeyExclusive, LockWaitSkip, slot);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
		if (outcome == ROW_LOCKED)
			keys[kept++] = keys[i];
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	MemoryContextDelete(each);
	return kept;
}

/* Does an index have an entry for every row, bigints of that column first? */
static bool
index_answers(Relation index, AttrNumber attnum)
{
	return index->rd_index->indisvalid && !index->rd_index->indcheckxmin &&
		index->rd_index->indkey.values[0] == attnum && index->rd_opfamily[0] == INTEGER_BTREE_FAM_OID &&
		heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);
}

bool
row_may_refer(const char *table, const char *column, int64 key, Snapshot snapshot)
{
	Relation	rel = table_open(engine_relation(table), AccessShareLock);
	AttrNumber	attnum = SPI_fnumber(RelationGetDescr(rel), column);
	List	   *indexes = RelationGetIndexList(rel);
	bool		asked = false;
	bool		found = true;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index_answers(index, attnum))
		{
			TupleTableSlot *slot = table_slot_create(rel, NULL);
			IndexScanDesc scan = index_beginscan_compat(rel, index, snapshot, 1, 0);
			ScanKeyData scan_key;

			ScanKeyInit(&scan_key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key));
			index_rescan(scan, &scan_key, 1, NULL, 0);
			found = index_getnext_slot(scan, ForwardScanDirection, slot);
			index_endscan(scan);
			ExecDropSingleTupleTableSlot(slot);
			asked = true;
		}
		index_close(index, NoLock);
		if (asked)
			break;
	}
	list_free(indexes);
	table_close(rel, NoLock);
	return found;
}

void
row_update(Relation rel, TupleTableSlot *slot, const Datum *values, const bool *nulls)
{
	int			natts = RelationGetNumberOfAttributes(rel);
	TupleTableSlot *changed = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	ItemPointerData tid = slot->tts_tid;
	TM_FailureData failure;
	LockTupleMode lock_mode;
	UpdateIndexes update_indexes;

	ExecClearTuple(changed);
	memcpy(changed->tts_values, values, sizeof(Datum) * natts);
	memcpy(changed->tts_isnull, nulls, sizeof(bool) * natts);
	ExecStoreVirtualTuple(changed);
	changed->tts_tableOid = RelationGetRelid(rel);
	if (table_tuple_update(rel, &tid, changed, GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot,
						   true, &failure, &lock_mode, &update_indexes) != TM_Ok)
		elog(ERROR, "a locked row of \"%s\" was changed", RelationGetRelationName(rel));
	if (update_needs_indexes(update_indexes))
	{
		EState	   *estate = CreateExecutorState();
		ResultRelInfo *info = makeNode(ResultRelInfo);

		InitResultRelInfo(info, rel, 0, NULL, 0);
		ExecOpenIndices(info, false);
		(void) ExecInsertIndexTuples_compat(info, changed, estate, update_indexes);
		ExecCloseIndices(info);
		FreeExecutorState(estate);
	}
	ExecDropSingleTupleTableSlot(changed);
	CommandCounterIncrement();
}
