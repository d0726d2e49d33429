/*-------------------------------------------------------------------------
 * gate.c
 *	  The MQL gate: may a lead become an MQL?
 *
 * First the points, which the state row answers alone; only if they suffice,
 * the rest: required fields, permission, open deals, and for a lead that was
 * recycled its rest and what it did since.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "gate.h"
#include "guc.h"
#include "model_store.h"
#include "row_lock.h"
#include "spi.h"

bool
gate_points(const Model *model, const StateRow *row, const ScoreRow *score, bool *hand_raise)
{
	*hand_raise = false;
	if (model->id == 0 || score->disqualified_by)
		return false;
	if (row->hand_raised_at > row->cycle_since &&
		grade_at_least(score->grade, model->hand_raise_min_grade))
	{
		*hand_raise = true;
		return true;
	}
	return reaches(score->score, model->mql_threshold) &&
		grade_at_least(score->grade, model->min_fit_grade);
}

bool
gate_goes_on(const Model *model, const ScoreRow *score, bool hand_raise)
{
	return model->hands_off && (hand_raise || reaches(score->score, model->handoff_threshold));
}

bool
gate_moves(const Model *model, const StateRow *row, const ScoreRow *score, bool hand_raise)
{
	return row->watch & WATCH_GATE ||
		(row->watch & WATCH_HANDOFF && gate_goes_on(model, score, hand_raise));
}

static Datum
lead_column(HeapTuple lead, TupleDesc desc, const char *name, bool *isnull)
{
	int			attnum = SPI_fnumber(desc, name);

	*isnull = true;
	return attnum > 0 ? heap_getattr(lead, attnum, desc, isnull) : (Datum) 0;
}

/* Is a required field filled in: a column of leads, or else a key of attributes? */
bool
gate_has_field(HeapTuple lead, TupleDesc desc, const char *field)
{
	int			attnum = SPI_fnumber(desc, field);
	bool		isnull;
	Datum		value;

	if (attnum > 0)
	{
		value = heap_getattr(lead, attnum, desc, &isnull);
		if (!isnull && TupleDescAttr(desc, attnum - 1)->atttypid == TEXTOID)
			return VARSIZE_ANY_EXHDR(DatumGetTextPP(value)) > 0;
		return !isnull;
	}
	value = lead_column(lead, desc, "attributes", &isnull);
	return !isnull && JB_ROOT_IS_OBJECT(DatumGetJsonbP(value)) &&
		json_has_value(DatumGetJsonbP(value), list_make1(unconstify(char *, field)));
}

static bool
has_open_deal(int64 lead_id)
{
	static EngineStatement statement = {
		"SELECT FROM leadflow.deals WHERE lead_id = $1 AND status = 'open' AND corrects_deal_id IS NULL"
		" UNION ALL SELECT FROM leadflow.deal_contacts c JOIN leadflow.deals d ON d.id = c.deal_id"
		" WHERE c.lead_id = $1 AND d.status = 'open' AND d.corrects_deal_id IS NULL LIMIT 1",
		1, {INT8OID}
	};
	EngineContext engine;
	Datum		id = Int64GetDatum(lead_id);
	bool		found;

	if (!row_may_refer("deals", "lead_id", lead_id, GetActiveSnapshot()) &&
		!row_may_refer("deal_contacts", "lead_id", lead_id, GetActiveSnapshot()))
		return false;
	engine_enter(&engine);
	found = engine_query_at(&statement, &id, NULL, GetActiveSnapshot()) > 0;
	engine_leave(&engine);
	return found;
}

typedef struct EarnedArgs
{
	const Model *model;
	Tally		tally;
	double		points;
} EarnedArgs;

static void
add_earned(const ActivityRow *row, void *arg)
{
	EarnedArgs *args = arg;
	ActivityMatch match;

	match.rules = palloc(sizeof(PointRule *) * Max(args->model->nrules, 1));
	activity_match(args->model, row, &match);
	for (int i = 0; i < match.nrules; i++)
	{
		if (match.rules[i]->max_count > 0)
			tally_limited(args->model, &args->tally, match.rules[i], row, &match);
		else
			args->points += match.rules[i]->points;
	}
}

/*
 * Points (undecayed) that a lead earned after an instant.  The most recent count, so what came
 * before can hold nothing back.
 */
static double
points_since(const Model *model, int64 lead_id, TimestampTz since)
{
	EngineContext engine;
	EarnedArgs	args = {.model = model};

	engine_enter(&engine);
	tally_init(model, &args.tally);
	activities_scan(lead_id, since + 1, DT_NOEND, GetActiveSnapshot(), add_earned, &args);
	args.tally.nentries = limit_entries_keep(model, args.tally.entries, args.tally.nentries);
	for (int i = 0; i < args.tally.nentries; i++)
		args.points += model->rules[args.tally.entries[i].rule].points;
	engine_leave(&engine);
	return args.points;
}

/* Today in the settings' time zone. */
static DateADT
today(const Model *model, TimestampTz at)
{
	Datum		local = DirectFunctionCall2(timestamptz_zone, PointerGetDatum(model->time_zone),
											TimestampTzGetDatum(at));

	return DatumGetDateADT(DirectFunctionCall1(timestamp_date, local));
}

/* What is asked of every lead, by hand or not: all that is missing, NULL = nothing. */
static char *
lead_incomplete(const Model *model, int64 lead_id, HeapTuple lead, TupleDesc desc, bool hand_raise)
{
	StringInfoData missing;
	ListCell   *lc;
	bool		isnull;

	/* there is nobody any more */
	(void) lead_column(lead, desc, "erased_at", &isnull);
	if (!isnull)
		return pstrdup("erased");
	initStringInfo(&missing);
	if (!hand_raise && DatumGetBool(lead_column(lead, desc, "do_not_contact", &isnull)) && !isnull)
		appendStringInfoString(&missing, "must not be contacted, ");
	foreach(lc, model->required_fields)
	{
		if (!gate_has_field(lead, desc, lfirst(lc)))
			appendStringInfo(&missing, "%s is missing, ", (char *) lfirst(lc));
	}
	if (has_open_deal(lead_id))
		appendStringInfoString(&missing, GATE_OPEN_DEAL ", ");
	if (missing.len == 0)
		return NULL;
	missing.data[missing.len - strlen(", ")] = '\0';
	return missing.data;
}

char *
gate_lead_blocked(const Model *model, const StateRow *row, const ScoreRow *score,
				  HeapTuple lead, TupleDesc desc, bool hand_raise, TimestampTz at)
{
	bool		isnull;
	Datum		value = lead_column(lead, desc, "stage", &isnull);
	char	   *stage = isnull ? NULL : TextDatumGetCString(value);
	char	   *missing;

	if (stage == NULL || (strcmp(stage, "lead") != 0 && strcmp(stage, "nurture") != 0 &&
						  strcmp(stage, "mql") != 0))
		return psprintf("stage is %s", stage);
	if (score->disqualified_by)
		return pstrdup("disqualified");
	missing = lead_incomplete(model, row->lead_id, lead, desc, hand_raise);
	if (missing || hand_raise)
		return missing;

	/* a lead that was recycled */
	if (row->cycle <= 1 || strcmp(stage, "mql") == 0)
		return NULL;
	if (at < row->cycle_since + model->cool_down)
		return psprintf("cools down until %s", timestamptz_to_str(row->cycle_since + model->cool_down));
	value = lead_column(lead, desc, "revisit_on", &isnull);
	if (!isnull && DatumGetDateADT(value) > today(model, at))
		return psprintf("comes back on %s",
						DatumGetCString(DirectFunctionCall1(date_out, value)));
	if (row->last_engaged_at <= row->cycle_since)
		return pstrdup("no engagement since it was recycled");
	if (model->requalify_points > 0 &&
		points_since(model, row->lead_id, row->cycle_since) < model->requalify_points)
		return psprintf("fewer than %g points since it was recycled", model->requalify_points);
	return NULL;
}

char *
gate_by_hand_blocked(int64 lead_id, HeapTuple lead, TupleDesc desc)
{
	const Model *model = model_active();
	char	   *missing;

	if (model->id == 0)
		return NULL;
	PushActiveSnapshot(engine_snapshot());
	missing = lead_incomplete(model, lead_id, lead, desc, false);
	PopActiveSnapshot();
	return missing;
}
