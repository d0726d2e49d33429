/*-------------------------------------------------------------------------
 * spi.h
 *	  Running the engine's own SQL.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_SPI_H
#define LEADFLOW_SPI_H

#include "postgres.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/snapshot.h"

#include "ids.h"

/* What engine_enter() saves for engine_leave(). */
typedef struct EngineContext
{
	Oid			userid;
	int			sec_context;
	int			guc_level;
} EngineContext;

/* A statement with its plan, kept for the session; declare it static. */
typedef struct EngineStatement
{
	const char *sql;
	int			nargs;
	Oid			argtypes[20];
	SPIPlanPtr	plan;
} EngineStatement;

extern void spi_init(void);
extern Oid	engine_relation(const char *name);	/* 0 where it is missing */
extern Oid	engine_owner(void);
extern void engine_enter(EngineContext *context);	/* becomes the owner, SPI_connect() */
extern void caller_enter(EngineContext *context);	/* stays the caller, SPI_connect() */
extern void engine_leave(EngineContext *context);
extern int	engine_hold(void);	/* settings alone, until _release(): for what enters many times */
extern void engine_release(int level);
extern void engine_plan_by_index(void); /* until engine_leave() */
extern void engine_plan_in_order(void); /* until engine_leave() */
extern void engine_pin_texts(void); /* until engine_leave() */
extern void engine_plan_in_bulk(void);	/* until engine_leave() */
extern Snapshot engine_snapshot(void);
extern bool engine_reads_latest;

/* Rows processed; SPI_tuptable holds what was returned. NULL datums: nulls[i] = 'n'. */
extern uint64 engine_query(EngineStatement *statement, Datum *values, const char *nulls);	/* reads */
extern uint64 engine_execute(EngineStatement *statement, Datum *values, const char *nulls); /* writes */

extern uint64 engine_query_at(EngineStatement *statement, Datum *values, const char *nulls,
							  Snapshot snapshot);	/* reads, as of a snapshot */

extern Datum int8_array(const int64 *values, int n);	/* bigint[] */
extern IdSet array_ids(ArrayType *array);	/* the other way round, as a set; NULLs are none */

/* Column i (from 1) of row r of SPI_tuptable. */
extern Datum spi_value(uint64 r, int i, bool *isnull);
extern int64 spi_int64(uint64 r, int i);	/* 0 for NULL */
extern char *spi_text(uint64 r, int i); /* palloc'd C string, NULL for NULL */
extern bool spi_bool(uint64 r, int i);	/* false for NULL */
extern TimestampTz spi_time(uint64 r, int i);	/* DT_NOEND for NULL */

#endif							/* LEADFLOW_SPI_H */
