/*-------------------------------------------------------------------------
 * policy.c
 *	  What happens when policies and calendars are written.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "clock_store.h"
#include "columns.h"
#include "policy_store.h"

/*
 * _sla_policy_team() → trigger, BEFORE each row of sla_policies that names no team: a
 * default that goes by the metric.
 */
PG_FUNCTION_INFO_V1(leadflow_sla_policy_team);
Datum
leadflow_sla_policy_team(PG_FUNCTION_ARGS)
{
	static const char *const monthly[] = {"mql_volume", "accepted_volume", "acceptance_rate"};
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	row;
	int			column;
	Datum		team;
	bool		isnull;
	char	   *metric;
	bool		marketing = false;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE INSERT OR UPDATE FOR EACH ROW", "_sla_policy_team")));
	desc = RelationGetDescr(trigger->tg_relation);
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	metric = SPI_getvalue(row, desc, column_of(desc, "metric", TEXTOID));
	for (int i = 0; metric && i < (int) lengthof(monthly); i++)
		marketing |= strcmp(metric, monthly[i]) == 0;
	column = column_of(desc, "team", TEXTOID);
	team = CStringGetTextDatum(marketing ? "marketing" : "sales");
	isnull = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &column, &team, &isnull));
}

static Datum
column_value(TriggerData *trigger, HeapTuple row, const char *column, bool *isnull)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Oid			type = strcmp(column, "calendar_id") == 0 ? INT8OID : INTERVALOID;

	return SPI_getbinval(row, desc, column_of(desc, column, type), isnull);
}

static bool
is_unchanged(TriggerData *trigger, const char *column)
{
	Form_pg_attribute attribute;
	Datum		before;
	Datum		after;
	bool		was_null;
	bool		isnull;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return false;
	before = column_value(trigger, trigger->tg_trigtuple, column, &was_null);
	after = column_value(trigger, trigger->tg_newtuple, column, &isnull);
	if (was_null || isnull)
		return was_null && isnull;
	attribute = TupleDescAttr(RelationGetDescr(trigger->tg_relation),
							  SPI_fnumber(RelationGetDescr(trigger->tg_relation), column) - 1);
	return datumIsEqual(before, after, attribute->attbyval, attribute->attlen);
}

/*
 * _sla_policy_validate() → trigger, AFTER each row of sla_policies: an AFTER
 * trigger, so that CHECKs and foreign keys have had their say.
 */
PG_FUNCTION_INFO_V1(leadflow_sla_policy_validate);
Datum
leadflow_sla_policy_validate(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	row;
	Datum		calendar_id;
	Datum		value;
	bool		no_calendar;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER INSERT OR UPDATE FOR EACH ROW",
						"_sla_policy_validate")));

	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	calendar_id = column_value(trigger, row, "calendar_id", &no_calendar);
	value = column_value(trigger, row, "target", &isnull);
	/* whatever has become of its calendar, a policy can be ended */
	if (is_unchanged(trigger, "calendar_id") && is_unchanged(trigger, "target"))
		no_calendar = true;
	if (!isnull)
		policy_check_target(DatumGetIntervalP(value), "target",
						   no_calendar ? 0 : DatumGetInt64(calendar_id));
	value = column_value(trigger, row, "within", &isnull);
	if (!isnull)
		policy_check_target(DatumGetIntervalP(value), "within", 0);
	return PointerGetDatum(NULL);
}

/*
 * _sla_correct() → trigger, AFTER each statement that changes policies or
 * calendars.  Its name sorts after that of the trigger that drops the caches.
 */
PG_FUNCTION_INFO_V1(leadflow_sla_correct);
Datum
leadflow_sla_correct(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "_sla_correct")));
	clock_correct();
	return PointerGetDatum(NULL);
}
