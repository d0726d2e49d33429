/*-------------------------------------------------------------------------
 * policy.c
 *	  What happens when policies and calendars are written.
 *
 * What a row says by itself is judged before it is written, in words
 * (_sla_policy_check(), PL/pgSQL).  Here is what needs the other rows: its
 * calendar, its other versions, who agreed to it, the clocks.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "clock_store.h"
#include "columns.h"
#include "policy_store.h"
#include "promise_store.h"

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));
	return (TriggerData *) fcinfo->context;
}

static void
trigger_fired(bool as_declared, const char *function, const char *how)
{
	if (!as_declared)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired %s", function, how)));
}

/* Columns that are compared are of fixed length. */
static Datum
column_value(TriggerData *trigger, HeapTuple row, const char *column, Oid type, bool *isnull)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);

	return SPI_getbinval(row, desc, column_of(desc, column, type), isnull);
}

static bool
is_unchanged(TriggerData *trigger, const char *column, Oid type)
{
	Form_pg_attribute attribute;
	Datum		before;
	Datum		after;
	bool		was_null;
	bool		isnull;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return false;
	before = column_value(trigger, trigger->tg_trigtuple, column, type, &was_null);
	after = column_value(trigger, trigger->tg_newtuple, column, type, &isnull);
	if (was_null || isnull)
		return was_null && isnull;
	attribute = TupleDescAttr(RelationGetDescr(trigger->tg_relation),
							  SPI_fnumber(RelationGetDescr(trigger->tg_relation), column) - 1);
	return datumIsEqual(before, after, attribute->attbyval, attribute->attlen);
}

/*
 * _sla_policies_lock() → trigger, BEFORE each statement that writes sla_policies:
 * writers take turns until they commit, and nobody else waits.  Before any row
 * is locked, so that they don't deadlock.
 */
PG_FUNCTION_INFO_V1(leadflow_sla_policies_lock);
Datum
leadflow_sla_policies_lock(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_sla_policies_lock");

	trigger_fired(TRIGGER_FIRED_BEFORE(trigger->tg_event) && TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event),
				  "_sla_policies_lock", "BEFORE, FOR EACH STATEMENT");
	LockRelationOid(RelationGetRelid(trigger->tg_relation), ShareUpdateExclusiveLock);
	return PointerGetDatum(NULL);
}

/*
 * Lengths that are exact, and a calendar that is open for that long; at all,
 * where a metric has no length of its own.
 */
static void
check_targets(TriggerData *trigger, HeapTuple row)
{
	static const char *const columns[] = {"target", "within"};
	Interval	moment = {.time = 1};
	char	   *name;
	int64		calendar_id;
	bool		isnull;
	bool		unchanged = is_unchanged(trigger, "calendar_id", INT8OID);

	for (int i = 0; i < (int) lengthof(columns); i++)
		unchanged &= is_unchanged(trigger, columns[i], INTERVALOID);

	name = TextDatumGetCString(column_value(trigger, row, "name", TEXTOID, &isnull));
	/* whatever has become of its calendar, a policy can be ended */
	calendar_id = DatumGetInt64(column_value(trigger, row, "calendar_id", INT8OID, &isnull));
	if (isnull || unchanged)
		calendar_id = 0;
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		Datum		length = column_value(trigger, row, columns[i], INTERVALOID, &isnull);

		if (!isnull)
			policy_check_target(name, DatumGetIntervalP(length), columns[i], calendar_id);
	}
	policy_check_target(name, &moment, "calendar_id", calendar_id);
}

/*
 * _sla_policy_validate() → trigger, AFTER each row of sla_policies: an AFTER
 * trigger, so that CHECKs and foreign keys have had their say, and all that
 * the statement wrote is there.
 */
PG_FUNCTION_INFO_V1(leadflow_sla_policy_validate);
Datum
leadflow_sla_policy_validate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_sla_policy_validate");
	HeapTuple	row;
	bool		isnull;

	trigger_fired(TRIGGER_FIRED_AFTER(trigger->tg_event) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
				  !TRIGGER_FIRED_BY_DELETE(trigger->tg_event),
				  "_sla_policy_validate", "AFTER INSERT OR UPDATE FOR EACH ROW");
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	check_targets(trigger, row);
	promise_check_versions(DatumGetInt64(column_value(trigger, row, "id", INT8OID, &isnull)),
						   column_value(trigger, row, "name", TEXTOID, &isnull),
						   column_value(trigger, row, "metric", TEXTOID, &isnull),
						   column_value(trigger, row, "valid", TSTZRANGEOID, &isnull));
	return PointerGetDatum(NULL);
}

/* _sla_policy_edited() → trigger, AFTER UPDATE of each row of sla_policies that promises something else now. */
PG_FUNCTION_INFO_V1(leadflow_sla_policy_edited);
Datum
leadflow_sla_policy_edited(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_sla_policy_edited");
	bool		isnull;

	trigger_fired(TRIGGER_FIRED_AFTER(trigger->tg_event) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
				  TRIGGER_FIRED_BY_UPDATE(trigger->tg_event),
				  "_sla_policy_edited", "AFTER UPDATE FOR EACH ROW");
	promise_withdraw(DatumGetInt64(column_value(trigger, trigger->tg_trigtuple, "id", INT8OID, &isnull)));
	return PointerGetDatum(NULL);
}

/*
 * _sla_correct() → trigger, BEFORE and AFTER each statement that changes policies or
 * calendars.  BEFORE, so that nobody waits for a lock with rows of theirs locked; AFTER, by a name that
 * sorts after that of the trigger that drops the caches.
 */
PG_FUNCTION_INFO_V1(leadflow_sla_correct);
Datum
leadflow_sla_correct(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_sla_correct");

	trigger_fired(TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event), "_sla_correct", "FOR EACH STATEMENT");
	if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
		clock_correct_begin();
	else
		clock_correct();
	return PointerGetDatum(NULL);
}
