/*-------------------------------------------------------------------------
 * row_lock.h
 *	  Locking and finding single rows by their bigint key, whatever the
 *	  isolation level.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ROW_LOCK_H
#define LEADFLOW_ROW_LOCK_H

#include "postgres.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

/* The version of a row that a snapshot sees; its key is column 1 and the primary key. */
extern bool row_fetch(Relation rel, int64 key, Snapshot snapshot, TupleTableSlot *slot);

/*
 * Locks the latest version of a row, waiting for whoever has it, and returns
 * it in the slot; false if there is none (any more).
 */
extern bool row_lock(Relation rel, int64 key, LockTupleMode mode, TupleTableSlot *slot);

/* The same for a table by name, without the row's contents. */
extern bool row_lock_named(const char *table, int64 key, LockTupleMode mode);

/*
 * Locks the latest versions of rows of a table, but for those that somebody else has, for an UPDATE
 * without waiting: keeps the keys of those that it got, in their order, and returns how many.
 */
extern int	rows_lock_free(const char *table, int64 *keys, int n);

/*
 * Can a snapshot see a row of a table whose bigint column has this value?  True, too, where no
 * plain index would answer: SQL has the last word.
 */
extern bool row_may_refer(const char *table, const char *column, int64 key, Snapshot snapshot);

/*
 * Writes another version of a row that row_lock() locked and returned in the slot.
 * Bypasses triggers and constraints: for tables of the engine alone.
 */
extern void row_update(Relation rel, TupleTableSlot *slot, const Datum *values, const bool *nulls);

#endif							/* LEADFLOW_ROW_LOCK_H */
