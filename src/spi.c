/*-------------------------------------------------------------------------
 * spi.c
 *	  Running the engine's own SQL.
 *
 * The engine reads and writes its tables as their owner, with search_path
 * pinned, whoever the client is: the same way referential integrity triggers
 * do it (ri_triggers.c).  Under READ COMMITTED and REPEATABLE READ it uses the
 * latest snapshot, under SERIALIZABLE the transaction's.
 *
 * Errors need no clean-up: aborting a (sub)transaction restores the user, the
 * settings and the SPI stack.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "optimizer/cost.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "errors.h"
#include "spi.h"

#define ENGINE_PATH "pg_catalog, pg_temp"

/* Relations by name, until a relation or schema is made, renamed or dropped. */
static struct
{
	char		name[NAMEDATALEN];
	Oid			relid;
}			relations[64];
static int	nrelations = 0;

static void
forget_relations(Datum arg, int cacheid, uint32 hashvalue)
{
	nrelations = 0;
}

Oid
engine_relation(const char *name)
{
	Oid			schema;
	Oid			relid;

	for (int i = 0; i < nrelations; i++)
	{
		if (strcmp(relations[i].name, name) == 0)
			return relations[i].relid;
	}
	schema = get_namespace_oid(LEADFLOW_SCHEMA, true);
	relid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
	if (OidIsValid(relid) && nrelations < (int) lengthof(relations))
	{
		strlcpy(relations[nrelations].name, name, NAMEDATALEN);
		relations[nrelations++].relid = relid;
	}
	return relid;
}

void
spi_init(void)
{
	CacheRegisterSyscacheCallback(RELNAMENSP, forget_relations, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACENAME, forget_relations, (Datum) 0);
}

/* Is configuration being loaded, or are credits computed?  Then the latest snapshot it is, whatever the isolation level. */
bool		engine_reads_latest = false;

/* The owner of leadflow.leads, on whose behalf the engine works. */
Oid
engine_owner(void)
{
	Oid			relid = engine_relation("leads");
	HeapTuple	tuple;
	Oid			owner;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the tables of leadflow are not installed"),
				 errhint("Run SELECT * FROM leadflow.install().")));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* For the time between engine_enter() and engine_leave(). */
static void
pin_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * For statements that find their rows along indexes, nothing but nested loops.
 * Until engine_leave().
 */
void
engine_plan_by_index(void)
{
	if (!enable_hashjoin && !enable_mergejoin)
		return;
	pin_setting("enable_hashjoin", "off");
	pin_setting("enable_mergejoin", "off");
}

/*
 * For statements that take what comes first along an index: nothing that looks at all the rest before.
 * Until engine_leave().
 */
void
engine_plan_in_order(void)
{
	pin_setting("enable_sort", "off");
	pin_setting("enable_bitmapscan", "off");
}

/*
 * For statements that write values as text: the same for every session.  Until
 * engine_leave().
 */
void
engine_pin_texts(void)
{
	pin_setting("DateStyle", "ISO, YMD");
	pin_setting("IntervalStyle", "postgres");
	pin_setting("extra_float_digits", "1");
	pin_setting("TimeZone", "UTC");
	pin_setting("bytea_output", "hex");
}

/*
 * For statements that read much of a table: whatever plan is best, with the memory
 * of maintenance.  Until engine_leave(), or the end of a nest level of settings.
 */
void
engine_plan_in_bulk(void)
{
	pin_setting("enable_seqscan", "on");
	pin_setting("max_parallel_workers_per_gather", "0");
	pin_setting("work_mem", GetConfigOption("maintenance_work_mem", false, false));
}

/*
 * A plan is kept for the session and may have been made when the tables were
 * empty, when a sequential scan looked cheap; the engine finds rows by key.
 * Compiling would take longer than its statements run.
 */
static void
pin_settings(void)
{
	/* one inside another, as mostly: they are pinned already */
	if (!enable_seqscan && !jit_enabled && strcmp(namespace_search_path, ENGINE_PATH) == 0)
		return;
	pin_setting("search_path", ENGINE_PATH);
	pin_setting("enable_seqscan", "off");
	pin_setting("jit", "off");
}

/* For what enters the engine many times over: what each would pin is pinned once. */
int
engine_hold(void)
{
	int			level = NewGUCNestLevel();

	pin_settings();
	return level;
}

void
engine_release(int level)
{
	AtEOXact_GUC(false, level);
}

static void
enter(EngineContext *context)
{
	context->guc_level = NewGUCNestLevel();
	pin_settings();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
engine_enter(EngineContext *context)
{
	Oid			owner = engine_owner();

	GetUserIdAndSecContext(&context->userid, &context->sec_context);
	SetUserIdAndSecContext(owner, context->sec_context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	enter(context);
}

/* For reports: privileges and row-level security are the caller's.  No plan may be kept. */
void
caller_enter(EngineContext *context)
{
	GetUserIdAndSecContext(&context->userid, &context->sec_context);
	enter(context);
}

void
engine_leave(EngineContext *context)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	AtEOXact_GUC(false, context->guc_level);
	SetUserIdAndSecContext(context->userid, context->sec_context);
}

/*
 * The latest snapshot is not to be had in a parallel operation; a catalog
 * snapshot of a relation that is no catalog is just as new.
 */
Snapshot
engine_snapshot(void)
{
	if (IsInParallelMode())
		return GetCatalogSnapshot(engine_relation("settings"));
	return IsolationIsSerializable() && !engine_reads_latest ?
		GetTransactionSnapshot() : GetLatestSnapshot();
}

static SPIPlanPtr
statement_plan(EngineStatement *statement)
{
	if (statement->plan == NULL)
	{
		/* a custom plan for each array would cost more than the statement */
		SPIPlanPtr	plan = SPI_prepare_cursor(statement->sql, statement->nargs, statement->argtypes,
											  CURSOR_OPT_GENERIC_PLAN);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		statement->plan = plan;
	}
	return statement->plan;
}

static uint64
run(EngineStatement *statement, Datum *values, const char *nulls, Snapshot snapshot, bool read_only)
{
	MemoryContext caller = CurrentMemoryContext;
	int			result = SPI_execute_snapshot(statement_plan(statement), values, nulls, snapshot,
											  InvalidSnapshot, read_only, true, 0);

	MemoryContextSwitchTo(caller);	/* SPI leaves its own one behind */
	if (result < 0)
		elog(ERROR, "SPI_execute_snapshot failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* Reads at the latest snapshot, what the transaction did so far included. */
uint64
engine_query(EngineStatement *statement, Datum *values, const char *nulls)
{
	CommandCounterIncrement();
	return run(statement, values, nulls, engine_snapshot(), true);
}

uint64
engine_query_at(EngineStatement *statement, Datum *values, const char *nulls, Snapshot snapshot)
{
	return run(statement, values, nulls, snapshot, true);
}

uint64
engine_execute(EngineStatement *statement, Datum *values, const char *nulls)
{
	CommandCounterIncrement();
	return run(statement, values, nulls, engine_snapshot(), false);
}

Datum
int8_array(const int64 *values, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(values[i]);
	return PointerGetDatum(construct_array(elements, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

IdSet
array_ids(ArrayType *array)
{
	IdSet		ids = {0};
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			ids_add(&ids, DatumGetInt64(values[i]));
	}
	ids_sort(&ids);
	return ids;
}

Datum
spi_value(uint64 r, int i, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[r], SPI_tuptable->tupdesc, i, isnull);
}

int64
spi_int64(uint64 r, int i)
{
	bool		isnull;
	Datum		value = spi_value(r, i, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

char *
spi_text(uint64 r, int i)
{
	bool		isnull;
	Datum		value = spi_value(r, i, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

bool
spi_bool(uint64 r, int i)
{
	bool		isnull;
	Datum		value = spi_value(r, i, &isnull);

	return !isnull && DatumGetBool(value);
}

TimestampTz
spi_time(uint64 r, int i)
{
	bool		isnull;
	Datum		value = spi_value(r, i, &isnull);

	return isnull ? DT_NOEND : DatumGetTimestampTz(value);
}
