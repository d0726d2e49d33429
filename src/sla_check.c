/*-------------------------------------------------------------------------
 * sla_check.c
 *	  The sweep, check_sla(), and what happens when policies and calendars are
 *	  written.
 *
 * The sweep makes nothing true: sla_status shows a breach at the instant it
 * happens, whether or not anybody looked.  It announces what has become true
 * since the last time, lets leads come back whose date has come, and gives waiting
 * leads to whoever is there by now.  It may
 * be run late, twice or by two at once: each announcement is made once.
 *
 * First the leads, then the clocks: moving waits for locks, announcing
 * doesn't (clock_store.c), so the sweep never holds a clock while it waits.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "clock_store.h"
#include "columns.h"
#include "contact_store.h"
#include "errors.h"
#include "event_store.h"
#include "flush.h"
#include "guc.h"
#include "ids.h"
#include "outbox.h"
#include "review.h"
#include "row_lock.h"
#include "transition.h"

static void
add_leads(IdSet *set, const int64 *leads, int n)
{
	for (int i = 0; i < n; i++)
		ids_add(set, leads[i]);
}

/* check_sla(at) → (warned, breached, escalated, revisited) */
PG_FUNCTION_INFO_V1(leadflow_check_sla);
Datum
leadflow_check_sla(PG_FUNCTION_ARGS)
{
	TimestampTz at;
	int64	   *revisits;
	int			nrevisits;
	int64	   *reviews;
	int			nreviews;
	int64	   *waiting;
	int			nwaiting;
	IdSet		leads = {0};
	int			quiet;
	TimestampTz before;
	Announced	announced;
	Datum		values[4];
	bool		nulls[4] = {false};

	require_argument(fcinfo, 0, "the instant of check_sla()");
	at = PG_GETARG_TIMESTAMPTZ(0);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the instant of check_sla() must be finite")));

	quiet = quiet_suspend();
	revisits = clock_revisits(at, &nrevisits);
	reviews = review_overdue(at, &nreviews);
	waiting = claim_waiting(at, &nwaiting);
	/* all leads are locked; now their state rows, and then come the queues that moves go through */
	add_leads(&leads, revisits, nrevisits);
	add_leads(&leads, reviews, nreviews);
	add_leads(&leads, waiting, nwaiting);
	ids_sort(&leads);
	for (int i = 0; i < leads.n; i++)
		(void) row_lock_named("score_state", leads.ids[i], LockTupleNoKeyExclusive);
	if (nrevisits > 0)
		transition_revisit(revisits, nrevisits);
	if (nreviews > 0)
		review_expire(reviews, nreviews);
	/* what this transaction wrote is to count, and gates that open now wait for locks now */
	flush_settle();
	(void) claim_release(waiting, nwaiting, at);
	announced = clock_announce(at);
	quiet_resume(quiet);
	outbox_purge(at);
	if (outbox_retention(at, &before))
		reservations_purge(before);
	if (outbox_due(at))
		outbox_wake();

	values[0] = Int64GetDatum(announced.warned);
	values[1] = Int64GetDatum(announced.breached);
	values[2] = Int64GetDatum(announced.escalated);
	values[3] = Int64GetDatum(nrevisits);
	InitMaterializedSRF(fcinfo, 0);
	tuplestore_putvalues(((ReturnSetInfo *) fcinfo->resultinfo)->setResult,
						 ((ReturnSetInfo *) fcinfo->resultinfo)->setDesc, values, nulls);
	return (Datum) 0;
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
		clock_check_target(DatumGetIntervalP(value), "target",
						   no_calendar ? 0 : DatumGetInt64(calendar_id));
	value = column_value(trigger, row, "within", &isnull);
	if (!isnull)
		clock_check_target(DatumGetIntervalP(value), "within", 0);
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
