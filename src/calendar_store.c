/*-------------------------------------------------------------------------
 *
 * calendar_store.c
 *	  Calendars as they are in the tables, cached (row 2), and the SQL
 *	  functions on them.
 *
 * This file owns leadflow.calendars, calendar_hours and calendar_holidays as
 * far as C is concerned.  A calendar is read when it is first asked for and
 * kept for the session, in a memory context of its own.
 *
 * Invalidation: statement triggers on the three tables send a relcache
 * invalidation.  The callback only advances a generation; an entry is good as
 * long as it carries the current one.  It is stamped last, and with the
 * generation that was current before it was read, so that a change which
 * arrives meanwhile makes it stale at birth: right for the call that asked,
 * read again by the next.  Messages from other sessions arrive when a relation
 * is locked for the first time in a transaction; a statement that locks none
 * would not hear of them, so the first call of each statement asks for them.
 *
 * What a transaction has read of its own changes must not outlive its
 * rollback.  A change that was announced is taken back by PostgreSQL with
 * another invalidation; one that was read before its statement ended (by a
 * row trigger, say) is not.  So a rollback that follows a load in a
 * transaction with writes makes everything stale.
 *
 * The tables are read as their owner, at the latest snapshot: whoever may
 * call the functions gets the same answer, and an entry that was filled by a
 * REPEATABLE READ transaction is right for the next one.
 *
 * At the end of a transaction the whole cache is let go if anything has made
 * it stale, so that it never holds more than there is.
 *
 * Limits: changes made with the triggers off (session_replication_role =
 * replica) are seen by new sessions only.  A statement during which another
 * session changes a calendar may have counted some rows before it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "calendar_store.h"

/* How many names the hint on an unknown calendar lists */
#define HINT_NAMES	5

typedef struct CalendarEntry
{
	int64		id;				/* hash key */
	uint64		generation;		/* 0: nothing is loaded */
	Calendar	calendar;
} CalendarEntry;

/* A name of any length, found by its bytes */
typedef struct CalendarName
{
	const char *data;
	Size		len;
} CalendarName;

typedef struct CalendarNameEntry
{
	CalendarName name;			/* hash key */
	CalendarEntry *entry;		/* whose name it was when last looked up */
} CalendarNameEntry;

static MemoryContext cache_context = NULL;
static HTAB *entries_by_id = NULL;
static HTAB *entries_by_name = NULL;
static CalendarEntry *last_entry = NULL;	/* asked for most recently */
static uint64 current_generation = 1;
static uint64 cache_generation = 0; /* when the cache was made */
static TimestampTz heard_at = 0;	/* statement that asked for messages */
static bool loaded_among_writes = false;

/* The tables, in order; their OIDs as of the last load */
static const char *const table_names[] = {
	"calendars", "calendar_hours", "calendar_holidays"
};
static Oid	table_oids[lengthof(table_names)];

/*
 * The queries.  The casts keep the C side right even if somebody has changed
 * a column's type; operators are pinned, so search_path is irrelevant.
 */
typedef enum StoreQuery
{
	QUERY_BY_ID,
	QUERY_BY_NAME,
	QUERY_HOURS,
	QUERY_HOLIDAYS,
	QUERY_NAMES
} StoreQuery;

static const struct
{
	const char *sql;
	int			nargs;
	Oid			argtype;
}			queries[] = {
	[QUERY_BY_ID] = {
		"SELECT id::pg_catalog.int8, name::pg_catalog.text, time_zone::pg_catalog.text"
		" FROM leadflow.calendars WHERE id OPERATOR(pg_catalog.=) $1",
		1, INT8OID
	},
	[QUERY_BY_NAME] = {
		"SELECT id::pg_catalog.int8, name::pg_catalog.text, time_zone::pg_catalog.text"
		" FROM leadflow.calendars WHERE name OPERATOR(pg_catalog.=) $1",
		1, TEXTOID
	},
	[QUERY_HOURS] = {
		"SELECT weekday::pg_catalog.int4, opens::pg_catalog.time, closes::pg_catalog.time"
		" FROM leadflow.calendar_hours WHERE calendar_id OPERATOR(pg_catalog.=) $1",
		1, INT8OID
	},
	[QUERY_HOLIDAYS] = {
		"SELECT day::pg_catalog.date, opens::pg_catalog.time, closes::pg_catalog.time"
		" FROM leadflow.calendar_holidays WHERE calendar_id OPERATOR(pg_catalog.=) $1",
		1, INT8OID
	},
	[QUERY_NAMES] = {
		"SELECT name::pg_catalog.text FROM leadflow.calendars ORDER BY id",
		0, InvalidOid
	}
};
static SPIPlanPtr plans[lengthof(queries)];

/* What is to be undone after reading */
typedef struct StoreContext
{
	Oid			userid;
	int			sec_context;
	Snapshot	snapshot;
} StoreContext;

PG_FUNCTION_INFO_V1(leadflow_calendar_elapsed);
PG_FUNCTION_INFO_V1(leadflow_calendar_elapsed_id);
PG_FUNCTION_INFO_V1(leadflow_calendar_add);
PG_FUNCTION_INFO_V1(leadflow_calendar_add_id);
PG_FUNCTION_INFO_V1(leadflow_calendar_is_open);
PG_FUNCTION_INFO_V1(leadflow_calendar_is_open_id);
PG_FUNCTION_INFO_V1(leadflow_calendar_validate);

/* ---------------------------------------------------------------------
 * Invalidation
 * ---------------------------------------------------------------------
 */

/* No catalog access here: it may run at any time */
static void
relcache_callback(Datum arg, Oid relid)
{
	(void) arg;

	if (relid == InvalidOid)
	{
		current_generation++;
		return;
	}
	for (int i = 0; i < (int) lengthof(table_oids); i++)
	{
		if (relid == table_oids[i])
			current_generation++;
	}
}

static void
rollback(void)
{
	if (loaded_among_writes)
		current_generation++;
	loaded_among_writes = false;
}

/* Nothing in it is good any more: what is asked for next begins another */
static void
drop_stale_cache(void)
{
	MemoryContext context = cache_context;

	if (context == NULL || cache_generation == current_generation)
		return;
	cache_context = NULL;
	entries_by_id = NULL;
	entries_by_name = NULL;
	last_entry = NULL;
	MemoryContextDelete(context);
}

static void
xact_callback(XactEvent event, void *arg)
{
	(void) arg;

	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			/* prepared, it may be rolled back from elsewhere */
			rollback();
			drop_stale_cache();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			loaded_among_writes = false;
			drop_stale_cache();
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	(void) mySubid;
	(void) parentSubid;
	(void) arg;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		rollback();
}

void
calendar_store_init(void)
{
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* ---------------------------------------------------------------------
 * Reading
 * ---------------------------------------------------------------------
 */

/*
 * Become the owner of the tables, at the latest snapshot.  One snapshot for
 * all queries of a load, so that they fit together.  An error needs no
 * cleaning up here: the abort of the (sub)transaction does it.
 */
static void
store_enter(StoreContext *context)
{
	Oid			nspid = get_namespace_oid("leadflow", false);
	HeapTuple	tuple;
	Oid			owner;

	for (int i = 0; i < (int) lengthof(table_names); i++)
	{
		table_oids[i] = get_relname_relid(table_names[i], nspid);
		if (!OidIsValid(table_oids[i]))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("relation \"leadflow.%s\" does not exist",
							table_names[i]),
					 errhint("Run SELECT leadflow.install() to create what is missing.")));
	}

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table_oids[0]));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table_oids[0]);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	/*
	 * GetLatestSnapshot refuses to work in a parallel query.  The catalog
	 * snapshot doesn't, and for a relation that isn't a catalog it is always
	 * a new one.
	 */
	if (IsInParallelMode())
		context->snapshot = GetCatalogSnapshot(table_oids[0]);
	else
		context->snapshot = GetLatestSnapshot();
	context->snapshot = RegisterSnapshot(context->snapshot);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	GetUserIdAndSecContext(&context->userid, &context->sec_context);
	SetUserIdAndSecContext(owner, context->sec_context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);

	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		loaded_among_writes = true;
}

static void
store_leave(StoreContext *context)
{
	SetUserIdAndSecContext(context->userid, context->sec_context);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	UnregisterSnapshot(context->snapshot);
}

static void
store_query(const StoreContext *context, StoreQuery query, Datum arg, long limit)
{
	int			rc;

	if (plans[query] == NULL)
	{
		Oid			argtype = queries[query].argtype;
		SPIPlanPtr	plan = SPI_prepare(queries[query].sql,
									   queries[query].nargs, &argtype);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s",
				 SPI_result_code_string(SPI_result));
		if (SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_keepplan failed");
		plans[query] = plan;
	}

	rc = SPI_execute_snapshot(plans[query], &arg, NULL, context->snapshot,
							  InvalidSnapshot, true, false, limit);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_snapshot failed: %s",
			 SPI_result_code_string(rc));
}

/* The rows of calendar_hours or calendar_holidays */
static CalendarRow *
read_rows(const StoreContext *context, StoreQuery query, int64 id, int *nrows)
{
	SPITupleTable *table;
	CalendarRow *rows;
	int			n;

	store_query(context, query, Int64GetDatum(id), 0);
	table = SPI_tuptable;
	n = (int) SPI_processed;
	rows = palloc0(Max(n, 1) * sizeof(CalendarRow));

	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = table->vals[i];
		bool		no_day;
		bool		no_opens;
		bool		no_closes;
		Datum		day = SPI_getbinval(tuple, table->tupdesc, 1, &no_day);
		Datum		opens = SPI_getbinval(tuple, table->tupdesc, 2, &no_opens);
		Datum		closes = SPI_getbinval(tuple, table->tupdesc, 3, &no_closes);

		CHECK_FOR_INTERRUPTS();

		/* an infinite date is out of range, which calendar_build ignores */
		if (query == QUERY_HOURS)
			rows[i].day = no_day ? 0 : DatumGetInt32(day);
		else
			rows[i].day = no_day ? DATEVAL_NOEND : DatumGetDateADT(day);

		/* without hours both stay 0: closed */
		if (!no_opens && !no_closes)
		{
			rows[i].opens = DatumGetTimeADT(opens);
			rows[i].closes = DatumGetTimeADT(closes);
		}
	}
	SPI_freetuptable(table);
	*nrows = n;
	return rows;
}

/* "Existing calendars: always, office, ..." */
static char *
names_hint(const StoreContext *context)
{
	StringInfoData buf;

	store_query(context, QUERY_NAMES, (Datum) 0, HINT_NAMES + 1);
	if (SPI_processed == 0)
		return pstrdup("There is no calendar in leadflow.calendars yet.");

	initStringInfo(&buf);
	appendStringInfoString(&buf, "Existing calendars: ");
	for (int i = 0; i < (int) SPI_processed; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i],
										SPI_tuptable->tupdesc, 1);

		if (i == HINT_NAMES)
			appendStringInfoString(&buf, ", ...");
		else
			appendStringInfo(&buf, "%s\"%s\"", i > 0 ? ", " : "",
							 name ? name : "");
	}
	if (SPI_processed <= HINT_NAMES)
		appendStringInfoChar(&buf, '.');
	return buf.data;
}

static void
create_cache(void)
{
	MemoryContext context;
	HASHCTL		ctl;

	context = AllocSetContextCreate(TopMemoryContext, "leadflow calendars",
									ALLOCSET_DEFAULT_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(CalendarEntry);
	ctl.hcxt = context;
	entries_by_id = hash_create("leadflow calendars by id", 16, &ctl,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	cache_context = context;
	cache_generation = current_generation;
}

static uint32
name_hash(const void *key, Size keysize)
{
	const CalendarName *name = (const CalendarName *) key;

	(void) keysize;
	return DatumGetUInt32(hash_any((const unsigned char *) name->data,
								   (int) name->len));
}

static int
name_match(const void *a, const void *b, Size keysize)
{
	const CalendarName *na = (const CalendarName *) a;
	const CalendarName *nb = (const CalendarName *) b;

	(void) keysize;
	return !(na->len == nb->len && memcmp(na->data, nb->data, na->len) == 0);
}

/*
 * Read a calendar by id, or by name if that is given, and put it into the
 * cache.
 */
static CalendarEntry *
load(int64 id, const text *by_name)
{
	uint64		generation;
	StoreContext context;
	MemoryContext new_context;
	MemoryContext old_context;
	HeapTuple	tuple;
	Calendar	calendar;
	CalendarEntry *entry;
	CalendarRow *hours;
	CalendarRow *holidays;
	int			nhours;
	int			nholidays;
	pg_tz	   *zone_id;
	char	   *name;
	char	   *zone_name;
	bool		isnull;
	bool		found;

	if (cache_context == NULL)
		create_cache();

	/*
	 * Built under the caller's context, so that an error leaves nothing
	 * behind, and given to the cache when it is complete.
	 */
	new_context = AllocSetContextCreate(CurrentMemoryContext,
										"leadflow calendar",
										ALLOCSET_SMALL_SIZES);

	generation = current_generation;
	store_enter(&context);
	if (by_name != NULL)
		store_query(&context, QUERY_BY_NAME, PointerGetDatum(by_name), 1);
	else
		store_query(&context, QUERY_BY_ID, Int64GetDatum(id), 1);

	if (SPI_processed == 0)
	{
		char	   *hint = names_hint(&context);

		if (by_name != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("calendar \"%s\" does not exist",
							text_to_cstring(by_name)),
					 errhint("%s", hint)));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("calendar " INT64_FORMAT " does not exist", id),
				 errhint("%s", hint)));
	}

	tuple = SPI_tuptable->vals[0];
	id = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
	name = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);
	zone_name = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 3);
	if (isnull || name == NULL || zone_name == NULL)
		elog(ERROR, "unexpected null in leadflow.calendars");

	zone_id = calendar_zone(zone_name);
	if (zone_id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", zone_name),
				 errdetail("It is the time zone of calendar \"%s\".", name)));

	hours = read_rows(&context, QUERY_HOURS, id, &nhours);
	holidays = read_rows(&context, QUERY_HOLIDAYS, id, &nholidays);

	old_context = MemoryContextSwitchTo(new_context);
	calendar_build(&calendar, zone_id, hours, nhours, holidays, nholidays);
	calendar.id = id;
	calendar.name = pstrdup(name);
	calendar.name_len = (int) strlen(name);
	MemoryContextSwitchTo(old_context);
	store_leave(&context);

	/* It is complete.  The stamp comes last. */
	entry = hash_search(entries_by_id, &id, HASH_ENTER, &found);
	if (!found)
	{
		entry->generation = 0;
		memset(&entry->calendar, 0, sizeof(Calendar));
	}
	old_context = entry->calendar.context;
	MemoryContextSetParent(new_context, cache_context);
	entry->calendar = calendar;
	entry->generation = generation;
	if (old_context != NULL)
		MemoryContextDelete(old_context);
	return entry;
}

/*
 * Remember which entry a name belongs to.  The name is copied, since the
 * entry's goes with its next load.
 */
static void
remember_name(CalendarEntry *entry)
{
	CalendarName key;
	CalendarNameEntry *by_name;

	if (entries_by_name == NULL)
	{
		HASHCTL		ctl;

		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = sizeof(CalendarName);
		ctl.entrysize = sizeof(CalendarNameEntry);
		ctl.hash = name_hash;
		ctl.match = name_match;
		ctl.hcxt = cache_context;
		entries_by_name = hash_create("leadflow calendars by name", 16, &ctl,
									  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE |
									  HASH_CONTEXT);
	}

	key.data = entry->calendar.name;
	key.len = entry->calendar.name_len;
	by_name = hash_search(entries_by_name, &key, HASH_FIND, NULL);
	if (by_name == NULL)
	{
		key.data = MemoryContextStrdup(cache_context, key.data);
		by_name = hash_search(entries_by_name, &key, HASH_ENTER, NULL);
	}
	by_name->entry = entry;
}

/* Has another session changed anything, as of the beginning of this statement? */
static inline void
hear_of_changes(void)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (unlikely(now != heard_at))
	{
		heard_at = now;
		AcceptInvalidationMessages();
	}
}

static inline bool
is_current(const CalendarEntry *entry)
{
	return entry->generation == current_generation;
}

static inline bool
has_name(const CalendarEntry *entry, const CalendarName *name)
{
	return (Size) entry->calendar.name_len == name->len &&
		memcmp(entry->calendar.name, name->data, name->len) == 0;
}

const Calendar *
calendar_get(int64 id)
{
	CalendarEntry *entry;

	hear_of_changes();
	entry = last_entry;
	if (likely(entry != NULL && entry->id == id && is_current(entry)))
		return &entry->calendar;

	entry = NULL;
	if (entries_by_id != NULL)
		entry = hash_search(entries_by_id, &id, HASH_FIND, NULL);
	if (entry == NULL || !is_current(entry))
		entry = load(id, NULL);
	last_entry = entry;
	return &entry->calendar;
}

const Calendar *
calendar_get_by_name(const text *name)
{
	CalendarName key;
	CalendarEntry *entry;

	hear_of_changes();
	entry = last_entry;
	key.data = VARDATA_ANY(name);
	key.len = VARSIZE_ANY_EXHDR(name);
	if (likely(entry != NULL && is_current(entry) && has_name(entry, &key)))
		return &entry->calendar;

	entry = NULL;
	if (entries_by_name != NULL)
	{
		CalendarNameEntry *by_name;

		by_name = hash_search(entries_by_name, &key, HASH_FIND, NULL);
		if (by_name != NULL)
			entry = by_name->entry;
	}
	/* names may have changed hands: believe a current entry only */
	if (entry == NULL || !is_current(entry) || !has_name(entry, &key))
	{
		entry = load(0, name);
		remember_name(entry);
	}
	last_entry = entry;
	return &entry->calendar;
}

/* ---------------------------------------------------------------------
 * SQL functions.  All are STRICT.
 * ---------------------------------------------------------------------
 */

/* Hours, minutes and seconds only: a day of working time is ambiguous */
static Datum
elapsed_interval(const Calendar *cal, TimestampTz from, TimestampTz to)
{
	Interval   *result = (Interval *) palloc(sizeof(Interval));

	result->month = 0;
	result->day = 0;
	result->time = calendar_elapsed(cal, from, to);
	PG_RETURN_INTERVAL_P(result);
}

/* An amount of time in microseconds; a day is 86,400 seconds */
static int64
amount_usecs(const Interval *amount)
{
	int64		usecs;

	if (amount->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an amount of working time must have a fixed length"),
				 errdetail("Months, years and infinite intervals have none."),
				 errhint("Use days (of 24 hours), hours, minutes and seconds.")));
	if (pg_mul_s64_overflow(amount->day, USECS_PER_DAY, &usecs) ||
		pg_add_s64_overflow(usecs, amount->time, &usecs))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("interval out of range")));
	return usecs;
}

/* business_time(calendar text, "from" timestamptz, "to" timestamptz) */
Datum
leadflow_calendar_elapsed(PG_FUNCTION_ARGS)
{
	return elapsed_interval(calendar_get_by_name(PG_GETARG_TEXT_PP(0)),
							PG_GETARG_TIMESTAMPTZ(1),
							PG_GETARG_TIMESTAMPTZ(2));
}

/* business_time(calendar bigint, "from" timestamptz, "to" timestamptz) */
Datum
leadflow_calendar_elapsed_id(PG_FUNCTION_ARGS)
{
	return elapsed_interval(calendar_get(PG_GETARG_INT64(0)),
							PG_GETARG_TIMESTAMPTZ(1),
							PG_GETARG_TIMESTAMPTZ(2));
}

/* add_business_time(calendar text, "from" timestamptz, amount interval) */
Datum
leadflow_calendar_add(PG_FUNCTION_ARGS)
{
	int64		usecs = amount_usecs(PG_GETARG_INTERVAL_P(2));

	PG_RETURN_TIMESTAMPTZ(calendar_add(calendar_get_by_name(PG_GETARG_TEXT_PP(0)),
									   PG_GETARG_TIMESTAMPTZ(1), usecs));
}

/* add_business_time(calendar bigint, "from" timestamptz, amount interval) */
Datum
leadflow_calendar_add_id(PG_FUNCTION_ARGS)
{
	int64		usecs = amount_usecs(PG_GETARG_INTERVAL_P(2));

	PG_RETURN_TIMESTAMPTZ(calendar_add(calendar_get(PG_GETARG_INT64(0)),
									   PG_GETARG_TIMESTAMPTZ(1), usecs));
}

/* is_business_time(calendar text, at timestamptz) */
Datum
leadflow_calendar_is_open(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(calendar_is_open(calendar_get_by_name(PG_GETARG_TEXT_PP(0)),
									PG_GETARG_TIMESTAMPTZ(1)));
}

/* is_business_time(calendar bigint, at timestamptz) */
Datum
leadflow_calendar_is_open_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(calendar_is_open(calendar_get(PG_GETARG_INT64(0)),
									PG_GETARG_TIMESTAMPTZ(1)));
}

/*
 * Is it a zone of the time zone database, that is, one of pg_timezone_names?
 * PostgreSQL takes POSIX rules as well: "UTC+2" is one, and lies west of
 * Greenwich; "Europe/Berlin1" is another.  They all have digits, and few zones
 * do, so that others needn't be looked for.
 */
static bool
is_listed_zone(pg_tz *zone)
{
	const char *name = pg_get_timezone_name(zone);
	pg_tzenum  *zones;
	pg_tz	   *listed;

	if (strpbrk(name, "0123456789") == NULL)
		return true;

	zones = pg_tzenumerate_start();
	while ((listed = pg_tzenumerate_next(zones)) != NULL)
	{
		if (strcmp(pg_get_timezone_name(listed), name) == 0)
			break;
	}
	pg_tzenumerate_end(zones);
	return listed != NULL;
}

/*
 * Trigger function: refuse a calendar whose time zone isn't known.  BEFORE
 * EACH ROW of leadflow.calendars; it changes nothing.
 */
Datum
leadflow_calendar_validate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	int			attnum;
	char	   *zone_name;
	pg_tz	   *zone;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"_calendar_validate")));
	if (!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE INSERT OR UPDATE FOR EACH ROW",
						"_calendar_validate")));

	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	attnum = SPI_fnumber(RelationGetDescr(trigdata->tg_relation), "time_zone");
	if (attnum == SPI_ERROR_NOATTRIBUTE)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("relation \"%s\" has no column \"%s\"",
						RelationGetRelationName(trigdata->tg_relation),
						"time_zone")));

	/* a NULL is refused by the column's constraint */
	zone_name = SPI_getvalue(tuple, RelationGetDescr(trigdata->tg_relation),
							 attnum);
	if (zone_name == NULL)
		return PointerGetDatum(tuple);
	zone = calendar_zone(zone_name);
	if (zone == NULL || !is_listed_zone(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", zone_name),
				 zone == NULL ? 0 :
				 errdetail("It can be read as a POSIX rule, but those are not accepted: their sign is the opposite of the usual one, and every misspelt name with a digit is one."),
				 errhint("See the view pg_timezone_names for the known names.")));

	return PointerGetDatum(tuple);
}
