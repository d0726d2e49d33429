/*-------------------------------------------------------------------------
 * errors.h
 *	  How leadflow names what a client did wrong.
 *
 * Every refusal carries a standard SQLSTATE and a stable constraint name with
 * schema, table and column, so that drivers and ORMs can tell them apart
 * without reading the message.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ERRORS_H
#define LEADFLOW_ERRORS_H

#include "postgres.h"
#include "fmgr.h"

#define LEADFLOW_SCHEMA "leadflow"

/* ereport() auxiliary: schema, table and constraint of a refusal. */
static inline int
err_constraint(const char *table, const char *constraint)
{
	err_generic_string(PG_DIAG_SCHEMA_NAME, LEADFLOW_SCHEMA);
	err_generic_string(PG_DIAG_TABLE_NAME, table);
	if (constraint)
		err_generic_string(PG_DIAG_CONSTRAINT_NAME, constraint);
	return 0;
}

/* ereport() auxiliary: the same where the constraint is about one column. */
static inline int
err_column_constraint(const char *table, const char *column, const char *constraint)
{
	err_generic_string(PG_DIAG_COLUMN_NAME, column);
	return err_constraint(table, constraint);
}

/* ereport() auxiliary: schema, table and column of a refusal. */
static inline int
err_column(const char *table, const char *column)
{
	err_generic_string(PG_DIAG_SCHEMA_NAME, LEADFLOW_SCHEMA);
	err_generic_string(PG_DIAG_TABLE_NAME, table);
	err_generic_string(PG_DIAG_COLUMN_NAME, column);
	return 0;
}

/* A lead that the caller can't see isn't there either. */
static inline void
refuse_unknown_lead(int64 lead_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_NO_DATA_FOUND),
			 errmsg("lead %lld does not exist", (long long) lead_id),
			 errhint("Look for it in leadflow.leads; it may have been deleted, or row-level security may hide it from you."),
			 err_constraint("leads", NULL)));
}

/* Refuses NULL for an argument of a function that is not STRICT. */
static inline void
require_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

#endif							/* LEADFLOW_ERRORS_H */
