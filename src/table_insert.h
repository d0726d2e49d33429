/*-------------------------------------------------------------------------
 * table_insert.h
 *	  New rows of a table of the engine, and new versions of rows, without SQL.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_TABLE_INSERT_H
#define LEADFLOW_TABLE_INSERT_H

#include "postgres.h"
#include "executor/executor.h"
#include "utils/rel.h"

typedef struct TableInsert
{
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *info;
	TupleTableSlot **slots;		/* rows that are not written yet */
	int			nslots;
	int			room;
	AttrNumber *attnums;		/* of the columns that are given */
	int			ncolumns;
	ExprState **defaults;		/* by column of the table; NULL = given, or null */
	AttrNumber	id;				/* column "id"; 0 = none */
} TableInsert;

/*
 * Prepares for about "rows" rows of these columns; the others get their defaults.  False: it is
 * not to be done, because the table is partitioned, has generated columns, or a site has put
 * triggers on it; use SQL then.  Foreign keys are not checked: what the engine writes is right,
 * and who refers to a row holds that.
 */
extern bool table_insert_begin(TableInsert *insert, const char *table, const char *const *columns,
							   int ncolumns, int rows);

/* Values are in the order of the columns, and stay until _end(); returns the row's id (0: it has none). */
extern int64 table_insert_row(TableInsert *insert, const Datum *values, const bool *nulls);
extern void table_insert_end(TableInsert *insert);

/*
 * The same for rows that are there, by their bigint primary key: the latest version is locked (false: it is
 * gone), what it says of a given column can be asked, and another version is written.
 */
extern bool table_update_begin(TableInsert *update, const char *table, const char *const *columns, int ncolumns);
extern bool table_update_lock(TableInsert *update, int64 key);
extern Datum table_update_before(const TableInsert *update, int column, bool *isnull);
extern void table_update_row(TableInsert *update, const Datum *values, const bool *nulls);
extern void table_update_end(TableInsert *update);

#endif							/* LEADFLOW_TABLE_INSERT_H */
