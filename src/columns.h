/*-------------------------------------------------------------------------
 * columns.h
 *	  Finding columns by name in the rows that triggers get.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_COLUMNS_H
#define LEADFLOW_COLUMNS_H

#include "postgres.h"
#include "access/tupdesc.h"

/*
 * Attribute number of a column, which must have that type: a trigger function may
 * be attached to any table.
 */
extern int	column_of(TupleDesc desc, const char *name, Oid type);

#endif							/* LEADFLOW_COLUMNS_H */
