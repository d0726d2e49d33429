/*-------------------------------------------------------------------------
 * void.c
 *	  When it became known that an activity does not count.
 *
 * voided_at is the client's; activities.void_recorded_at is the engine's, and says
 * since when score_as_of() has to leave the activity out.  A row trigger with a
 * condition keeps it, so that only rows that become void, or count again, pay.  A row that
 * is void when it is inserted has none: recorded_at says it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "errors.h"
#include "guc.h"

static TimestampTz
instant_of(HeapTuple row, TupleDesc desc, const char *column)
{
	bool		isnull;
	Datum		value = heap_getattr(row, column_of(desc, column, TIMESTAMPTZOID), desc, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

/* _activity_voided() → trigger, BEFORE UPDATE FOR EACH ROW of activities that became void or count again */
PG_FUNCTION_INFO_V1(leadflow_activity_voided);
Datum
leadflow_activity_voided(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	old_row;
	HeapTuple	new_row;
	int			column;
	Datum		now = TimestampTzGetDatum(clock_now());
	bool		counts;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE UPDATE FOR EACH ROW", "_activity_voided")));
	desc = RelationGetDescr(trigger->tg_relation);
	old_row = trigger->tg_trigtuple;
	new_row = trigger->tg_newtuple;
	if (instant_of(old_row, desc, "void_recorded_at") != instant_of(new_row, desc, "void_recorded_at"))
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of \"activities\" is kept by leadflow", "void_recorded_at"),
				 errhint("Leave it out; voided_at says since when an activity does not count."),
				 err_column("activities", "void_recorded_at")));

	counts = TIMESTAMP_IS_NOBEGIN(instant_of(new_row, desc, "voided_at"));
	if (counts == TIMESTAMP_IS_NOBEGIN(instant_of(old_row, desc, "voided_at")))
		return PointerGetDatum(new_row);
	column = column_of(desc, "void_recorded_at", TIMESTAMPTZOID);
	return PointerGetDatum(heap_modify_tuple_by_cols(new_row, desc, 1, &column, &now, &counts));
}
