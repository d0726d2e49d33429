/*-------------------------------------------------------------------------
 * lead_stream.c
 *	  Activities and documents of many leads, one row after the other.
 *
 * The executor hands each row to a DestReceiver: nothing is copied or collected,
 * and the planner chooses whether to sort a sequential scan or to follow the
 * primary key.
 *
 * Limits: memory is that of one row, and of the sort where there is one
 * (maintenance_work_mem, then disk).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "lead_stream.h"
#include "model_store.h"
#include "spi.h"

typedef struct Stream
{
	DestReceiver receiver; /* must be first */
	MemoryContext each;
	void (*row) (struct Stream *stream, TupleTableSlot *slot);
	stream_activity_callback activity;
	stream_document_callback document;
	void	   *arg;
} Stream;

static void
stream_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
stream_nothing(DestReceiver *self)
{
}

static bool
stream_receive(TupleTableSlot *slot, DestReceiver *self)
{
	Stream	   *stream = (Stream *) self;
	MemoryContext caller = MemoryContextSwitchTo(stream->each);

	CHECK_FOR_INTERRUPTS();
	slot_getallattrs(slot);
	stream->row(stream, slot);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(stream->each);
	return true;
}

void
activity_read(const Datum *value, const bool *null, ActivityRow *row)
{
	text	   *kind = DatumGetTextPP(value[3]);

	row->lead_id = DatumGetInt64(value[0]);
	row->occurred_at = DatumGetTimestampTz(value[1]);
	row->id = *DatumGetUUIDP(value[2]);
	row->kind = VARDATA_ANY(kind);
	row->kind_len = VARSIZE_ANY_EXHDR(kind);
	row->content = null[4] ? NULL : DatumGetTextPP(value[4]);
	row->campaign = null[5] ? NULL : campaign_code(DatumGetInt64(value[5]));
	row->properties = null[6] ? NULL : DatumGetJsonbP(value[6]);
}

static void
activity_row(Stream *stream, TupleTableSlot *slot)
{
	ActivityRow row;

	activity_read(slot->tts_values, slot->tts_isnull, &row);
	stream->activity(&row, stream->arg);
}

static void
document_row(Stream *stream, TupleTableSlot *slot)
{
	stream->document(DatumGetInt64(slot->tts_values[0]), DatumGetJsonbP(slot->tts_values[1]),
					 stream->arg);
}

static void
stream_run(Stream *stream, const char *sql, int nargs, const Oid *types, const Datum *values)
{
	SPIExecuteOptions options = {0};
	ParamListInfo params = makeParamList(nargs);
	int			level;

	for (int i = 0; i < nargs; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = false;
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = types[i];
	}
	stream->receiver.receiveSlot = stream_receive;
	stream->receiver.rStartup = stream_startup;
	stream->receiver.rShutdown = stream_nothing;
	stream->receiver.rDestroy = stream_nothing;
	stream->receiver.mydest = DestNone;
	stream->each = AllocSetContextCreate(CurrentMemoryContext, "leadflow stream", ALLOCSET_DEFAULT_SIZES);
	options.params = params;
	options.read_only = true;
	options.dest = &stream->receiver;

	/* for this statement alone: plans of others are kept for the session, and go by index */
	level = NewGUCNestLevel();
	engine_plan_in_bulk();
	if (SPI_execute_extended(sql, &options) < 0)
		elog(ERROR, "SPI_execute_extended failed: %s", sql);
	AtEOXact_GUC(false, level);
	MemoryContextDelete(stream->each);
}

void
stream_activities(int64 from, int64 to, TimestampTz before, StreamOrder order,
				  stream_activity_callback callback, void *arg)
{
	static const Oid types[] = {INT8OID, INT8OID, TIMESTAMPTZOID};
	Datum		values[] = {Int64GetDatum(from), Int64GetDatum(to), TimestampTzGetDatum(before)};
	Stream		stream = {.row = activity_row, .activity = callback, .arg = arg};

	stream_run(&stream, order == STREAM_BY_TIME ?
			   "SELECT " ACTIVITY_COLUMNS " FROM leadflow.activities"
			   " WHERE lead_id BETWEEN $1 AND $2 AND occurred_at < $3 AND voided_at IS NULL"
			   " ORDER BY lead_id, occurred_at, id" :
			   "SELECT " ACTIVITY_COLUMNS " FROM leadflow.activities"
			   " WHERE lead_id BETWEEN $1 AND $2 AND occurred_at < $3 AND voided_at IS NULL",
			   lengthof(types), types, values);
}

void
stream_documents(int64 from, int64 to, stream_document_callback callback, void *arg)
{
	static const Oid types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(from), Int64GetDatum(to)};
	Stream		stream = {.row = document_row, .document = callback, .arg = arg};

	stream_run(&stream,
			   "SELECT lead_id, doc FROM leadflow._lead_documents"
			   " WHERE lead_id BETWEEN $1 AND $2 ORDER BY lead_id",
			   lengthof(types), types, values);
}
