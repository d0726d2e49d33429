/*-------------------------------------------------------------------------
 * model.c
 *	  Scores as SQL sees them: score(), lead_scores, explain_score().
 *
 * The state row answers for any instant at or after the last activity that is
 * in it; earlier instants and other models are computed from the activities.
 * Reads go by the query's snapshot, plus what this transaction has not flushed
 * yet (which is why these functions are parallel restricted).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "clock_store.h"
#include "columns.h"
#include "compat.h"
#include "errors.h"
#include "gate.h"
#include "guc.h"
#include "model_store.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"

/*
 * May the caller see that lead?  Functions of one lead answer nothing for a
 * lead that row-level security hides, and need SELECT on leads.
 */
static bool
lead_visible(int64 lead_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			leads = engine_relation("leads");
	Datum		id = Int64GetDatum(lead_id);
	bool		found;

	if (!OidIsValid(leads))
		return false;
	if (pg_class_aclcheck(leads, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, "leads");
	if (check_enable_rls(leads, InvalidOid, true) != RLS_ENABLED)
		return true;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (plan == NULL)
	{
		Oid			types[1] = {INT8OID};

		plan = SPI_prepare("SELECT FROM leadflow.leads WHERE id OPERATOR(pg_catalog.=) $1", 1, types);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_prepare failed");
	}
	if (SPI_execute_snapshot(plan, &id, NULL, GetActiveSnapshot(), InvalidSnapshot,
							 true, false, 1) < 0)
		elog(ERROR, "SPI_execute_snapshot failed");
	found = SPI_processed > 0;
	SPI_finish();
	return found;
}

static void
check_instant(TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the instant of a score must be finite")));
}

/* The model that was asked for; the active one where none was. */
static const Model *
model_argument(FunctionCallInfo fcinfo, int arg)
{
	const Model *active = model_active();
	const Model *model;

	if (PG_ARGISNULL(arg) || PG_GETARG_INT64(arg) == active->id)
		return active;
	model = model_compile(PG_GETARG_INT64(arg));
	if (model == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown scoring model %lld", (long long) PG_GETARG_INT64(arg))));
	return model;
}

/*
 * A state row computed from nothing but the tables, for any model, and from
 * activities that were recorded by an instant (DT_NOEND: all).
 */
static bool
compute_row(const Model *model, int64 lead_id, TimestampTz at, TimestampTz known_at,
			Snapshot snapshot, StateRow *row)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside;
	EngineContext engine;
	Jsonb	   *document;
	Fit			fit;

	memset(row, 0, sizeof(StateRow));
	row->lead_id = lead_id;
	row->cycle_since = DT_NOBEGIN;
	engine_enter(&engine);
	inside = MemoryContextSwitchTo(caller);
	document = lead_document(lead_id, snapshot);
	if (document)
	{
		state_rewind_known(model, row, at, known_at, snapshot);
		fit_evaluate(model, document, &fit);
		row->fit = fit.points;
		row->lead_disqualifier = fit.disqualifier ? fit.disqualifier->id : 0;
	}
	MemoryContextSwitchTo(inside);
	engine_leave(&engine);
	return document != NULL;
}

/* score(lead_id, at, model_id) → double precision */
PG_FUNCTION_INFO_V1(leadflow_score);
Datum
leadflow_score(PG_FUNCTION_ARGS)
{
	const Model *model;
	int64		lead_id;
	TimestampTz at;
	StateRow	row;
	ScoreRow	score;
	bool		found;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	lead_id = PG_GETARG_INT64(0);
	at = PG_GETARG_TIMESTAMPTZ(1);
	check_instant(at);
	if (!lead_visible(lead_id))
		PG_RETURN_NULL();
	model = model_argument(fcinfo, 2);
	if (model->id == model_active()->id)
		found = state_at(model, lead_id, at, GetActiveSnapshot(), &row);
	else
		found = compute_row(model, lead_id, at, DT_NOEND, GetActiveSnapshot(), &row);
	if (!found)
		PG_RETURN_NULL();
	state_evaluate(model, &row, at, &score);
	PG_RETURN_FLOAT8(score.score);
}

/* score_as_of(lead_id, at, model_id, known_at) → double precision */
PG_FUNCTION_INFO_V1(leadflow_score_as_of);
Datum
leadflow_score_as_of(PG_FUNCTION_ARGS)
{
	const Model *model;
	TimestampTz at;
	TimestampTz known_at;
	StateRow	row;
	ScoreRow	score;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	at = PG_GETARG_TIMESTAMPTZ(1);
	known_at = PG_ARGISNULL(3) ? at : PG_GETARG_TIMESTAMPTZ(3);
	check_instant(at);
	if (!lead_visible(PG_GETARG_INT64(0)))
		PG_RETURN_NULL();
	model = model_argument(fcinfo, 2);
	if (!compute_row(model, PG_GETARG_INT64(0), at, known_at, GetActiveSnapshot(), &row))
		PG_RETURN_NULL();
	if (!lead_recorded(row.lead_id, known_at, GetActiveSnapshot()))
		PG_RETURN_FLOAT8(0);
	state_evaluate(model, &row, at, &score);
	PG_RETURN_FLOAT8(score.score);
}

static const char *
disqualified_reason(const Model *model, int64 id)
{
	for (int i = 0; i < model->nlead_disqualifiers; i++)
	{
		if (model->lead_disqualifiers[i].id == id)
			return model->lead_disqualifiers[i].reason;
	}
	for (int i = 0; i < model->nactivity_disqualifiers; i++)
	{
		if (model->activity_disqualifiers[i].id == id)
			return model->activity_disqualifiers[i].reason;
	}
	return "disqualified";
}

static double
score_at(const Model *model, const StateRow *row, TimestampTz at)
{
	ScoreRow	score;

	state_evaluate(model, row, at, &score);
	return score.score;
}

/*
 * The first instant at which the score is below the threshold if nothing more
 * happens; DT_NOEND = never.  Looked for in steps of an eighth of the shortest
 * half-life, growing, then by bisection: exact to the microsecond where the
 * score only falls, which is everywhere but with negative points that decay.
 */
static TimestampTz
falls_below(const Model *model, const StateRow *row, TimestampTz at)
{
	int64		step = 0;
	TimestampTz from = at;

	for (int g = 0; g < model->ngroups; g++)
	{
		int64		h = model->groups[g].half_life;

		if (h > 0 && row->sums[g] != 0 && (step == 0 || h / 8 < step))
			step = Max(h / 8, 1);
	}
	if (step == 0)
		return DT_NOEND;
	while (from < END_TIMESTAMP - step)
	{
		TimestampTz to = from + step;

		if (score_at(model, row, to) < model->mql_threshold)
		{
			while (to - from > 1)
			{
				TimestampTz middle = from + (to - from) / 2;

				if (score_at(model, row, middle) < model->mql_threshold)
					to = middle;
				else
					from = middle;
			}
			return to;
		}
		CHECK_FOR_INTERRUPTS();
		from = to;
		step += Max(step / 8, 1);
	}
	return DT_NOEND;
}

/* What is missing for the gate, in words; NULL = nothing. */
static char *
blocked_by(const Model *model, const StateRow *row, const ScoreRow *score, TimestampTz at)
{
	Relation	leads;
	TupleTableSlot *slot;
	bool		hand_raise;
	char	   *missing = NULL;

	if (model->id == 0)
		return pstrdup("no scoring model is active");
	if (score->disqualified_by)
		return psprintf("disqualified: %s", disqualified_reason(model, score->disqualified_by));
	if (!gate_points(model, row, score, &hand_raise))
	{
		char	   *points = score->score >= model->mql_threshold ? "" :
			psprintf("%.6g points short of %g", model->mql_threshold - score->score,
					 model->mql_threshold);
		char	   *grade = grade_at_least(score->grade, model->min_fit_grade) ? "" :
			psprintf("grade %c, %c is asked", score->grade, model->min_fit_grade);

		return psprintf("%s%s%s", points, *points && *grade ? ", " : "", grade);
	}

	leads = table_open(engine_relation("leads"), AccessShareLock);
	slot = table_slot_create(leads, NULL);
	if (row_fetch(leads, row->lead_id, GetActiveSnapshot(), slot))
	{
		bool		should_free;
		HeapTuple	lead = ExecFetchSlotHeapTuple(slot, false, &should_free);

		missing = gate_lead_blocked(model, row, score, lead, RelationGetDescr(leads), hand_raise, at);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(leads, NoLock);
	return missing;
}

/*
 * _lead_score(lead_id, model_id, watch, cycle, sums, last_at, hand_raised_at,
 * disqualified_at, disqualified_by, fit, persona_id, fit_known,
 * lead_disqualifier, cycle_since, last_engaged_at, at) → a row of lead_scores
 */
PG_FUNCTION_INFO_V1(leadflow_lead_score);
Datum
leadflow_lead_score(PG_FUNCTION_ARGS)
{
	static const int arguments[] = {
		STATE_LEAD_ID, STATE_MODEL_ID, STATE_WATCH, STATE_CYCLE, STATE_SUMS, STATE_LAST_AT,
		STATE_HAND_RAISED_AT, STATE_DISQUALIFIED_AT, STATE_DISQUALIFIED_BY, STATE_FIT,
		STATE_PERSONA_ID, STATE_FIT_KNOWN, STATE_LEAD_DISQUALIFIER, STATE_CYCLE_SINCE,
		STATE_LAST_ENGAGED_AT
	};
	const int	nstate = lengthof(arguments);
	const Model *model = model_active();
	TupleDesc	desc;
	TimestampTz at;
	Datum		state[STATE_COLUMNS];
	bool		state_null[STATE_COLUMNS];
	StateRow	row;
	ScoreRow	score;
	Datum		values[14];
	bool		nulls[14];
	char	   *missing = NULL;
	TimestampTz below;
	int			i = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(values))
		elog(ERROR, "return type of _lead_score must be a row of %d columns", (int) lengthof(values));
	/* lead_id, watch, cycle, sums, last_at, fit and the instant */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4) ||
		PG_ARGISNULL(5) || PG_ARGISNULL(9) || PG_ARGISNULL(nstate))
		PG_RETURN_NULL();
	at = PG_GETARG_TIMESTAMPTZ(nstate);
	check_instant(at);

	memset(state_null, true, sizeof(state_null));
	for (int a = 0; a < nstate; a++)
	{
		state[arguments[a]] = PG_GETARG_DATUM(a);
		state_null[arguments[a]] = PG_ARGISNULL(a);
	}
	state_read(model, state, state_null, &row);
	if (row.outdated || event_pending() || at < row.last_at || (row.watch & WATCH_GATE))
	{
		/* from here on tables are read, and as their owner */
		if (!lead_visible(row.lead_id))
			PG_RETURN_NULL();
	}
	if (row.outdated || event_pending() || at < row.last_at)
	{
		MemoryContext caller = CurrentMemoryContext;
		MemoryContext inside;
		EngineContext engine;

		engine_enter(&engine);
		inside = MemoryContextSwitchTo(caller);
		state_complete(model, &row, GetActiveSnapshot());
		if (at < row.last_at)
			state_rewind(model, &row, at, GetActiveSnapshot());
		MemoryContextSwitchTo(inside);
		engine_leave(&engine);
	}
	state_evaluate(model, &row, at, &score);

	memset(nulls, false, sizeof(nulls));
#define PUT(datum, is_null) (nulls[i] = (is_null), values[i] = nulls[i] ? (Datum) 0 : (datum), i++)
	PUT(Float8GetDatum(score.score), false);
	PUT(Float8GetDatum(score.fit), false);
	PUT(Float8GetDatum(score.engagement), false);
	PUT(PointerGetDatum(cstring_to_text_with_len(&score.grade, 1)), score.grade == 0);
	PUT(Int32GetDatum(score.level), false);
	PUT(CStringGetTextDatum(score.grade ? psprintf("%c%d", score.grade, score.level) :
							psprintf("%d", score.level)), false);
	PUT(CStringGetTextDatum(points_band(model, score.score)), false);
	PUT(CStringGetTextDatum(score_persona_name(row.persona_id)),
		row.persona_id == 0 || score_persona_name(row.persona_id) == NULL);
	PUT(Float8GetDatum(row.fit_known), isnan(row.fit_known));
	PUT(CStringGetTextDatum(disqualified_reason(model, score.disqualified_by)),
		score.disqualified_by == 0);
	if (row.watch & WATCH_GATE)
		missing = blocked_by(model, &row, &score, at);
	PUT(BoolGetDatum((row.watch & WATCH_GATE) && missing == NULL), false);
	PUT(CStringGetTextDatum(missing), missing == NULL);
	below = model->id && score.score >= model->mql_threshold ?
		falls_below(model, &row, at) : DT_NOEND;
	PUT(TimestampTzGetDatum(below), TIMESTAMP_IS_NOEND(below));
	PUT(Int64GetDatum(model->id), model->id == 0);
#undef PUT
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* What a rule came to. */
typedef struct RuleEffect
{
	int64		matches;
	int64		counted;
	double		decayed;
} RuleEffect;

typedef struct ExplainArgs
{
	const Model *model;
	TimestampTz at;
	RuleEffect *effects;
	Tally		tally;			/* collects matches of limited rules */
	TimestampTz disqualified_at;
	int64		disqualified_by;
} ExplainArgs;

static void
count_rule(ExplainArgs *args, const PointRule *rule, TimestampTz occurred_at)
{
	RuleEffect *effect = &args->effects[rule - args->model->rules];

	effect->counted++;
	effect->decayed += rule->points *
		points_decay(args->model->groups[rule->group].half_life, occurred_at, args->at);
}

static void
explain_activity(const ActivityRow *row, void *arg)
{
	ExplainArgs *args = arg;
	ActivityMatch match;

	match.rules = palloc(sizeof(PointRule *) * Max(args->model->nrules, 1));
	activity_match(args->model, row, &match);
	for (int i = 0; i < match.nrules; i++)
	{
		const PointRule *rule = match.rules[i];

		args->effects[rule - args->model->rules].matches++;
		if (rule->max_count > 0)
			tally_limited(args->model, &args->tally, rule, row, &match);
		else
			count_rule(args, rule, row->occurred_at);
	}
	if (match.disqualifier &&
		disqualifies_first(row->occurred_at, match.disqualifier->id,
						   args->disqualified_at, args->disqualified_by))
	{
		args->disqualified_at = row->occurred_at;
		args->disqualified_by = match.disqualifier->id;
	}
}

/* A row of the explanation. */
static void
explain_row(ReturnSetInfo *result, const char *group, const char *source, const char *name,
			int64 activities, double points)
{
	Datum		values[5] = {0};
	bool		nulls[5] = {false};

	nulls[0] = group == NULL;
	if (group)
		values[0] = CStringGetTextDatum(group);
	values[1] = CStringGetTextDatum(source);
	values[2] = CStringGetTextDatum(name);
	nulls[3] = activities < 0;
	values[3] = Int64GetDatum(activities);
	values[4] = Float8GetDatum(points);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Rows of one engagement group; returns its clamped sum. */
static double
explain_group(ReturnSetInfo *result, ExplainArgs *args, int g)
{
	const Model *model = args->model;
	const PointGroup *group = &model->groups[g];
	double		sum = 0;
	double		clamped;

	for (int r = 0; r < model->nrules; r++)
	{
		const PointRule *rule = &model->rules[r];
		const RuleEffect *effect = &args->effects[r];
		int64		held_back = effect->matches - effect->counted;

		if (rule->group != g || effect->matches == 0)
			continue;
		explain_row(result, group->name, "rule", rule->name, effect->matches,
					effect->matches * rule->points);
		if (held_back > 0)
			explain_row(result, group->name, "limit", rule->name, held_back,
						-held_back * rule->points);
		if (group->half_life > 0 && effect->decayed != effect->counted * rule->points)
			explain_row(result, group->name, "decay", rule->name, effect->counted,
						effect->decayed - effect->counted * rule->points);
		sum += group->half_life > 0 ? effect->decayed : effect->counted * rule->points;
	}
	clamped = clamp(sum, group->min, group->max);
	if (clamped != sum)
		explain_row(result, group->name, "group bounds", group->name, -1, clamped - sum);
	return clamped;
}

/* explain_score(lead_id, at, model_id) → rows that sum to the score */
PG_FUNCTION_INFO_V1(leadflow_explain_score);
Datum
leadflow_explain_score(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside;
	EngineContext engine;
	ExplainArgs args = {0};
	Snapshot	snapshot;
	const Model *model;
	Jsonb	   *document;
	Fit			fit;
	double		total = 0;
	double		clamped;
	int64		disqualified_by;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return (Datum) 0;
	check_instant(PG_GETARG_TIMESTAMPTZ(1));
	if (!lead_visible(PG_GETARG_INT64(0)))
		return (Datum) 0;

	model = args.model = model_argument(fcinfo, 2);
	args.at = PG_GETARG_TIMESTAMPTZ(1);
	args.effects = palloc0(sizeof(RuleEffect) * Max(model->nrules, 1));
	args.disqualified_at = DT_NOEND;
	tally_init(model, &args.tally);
	snapshot = GetActiveSnapshot();

	engine_enter(&engine);
	inside = MemoryContextSwitchTo(caller);
	document = lead_document(PG_GETARG_INT64(0), snapshot);
	if (document)
		activities_scan(PG_GETARG_INT64(0), DT_NOBEGIN, args.at, snapshot, explain_activity, &args);
	MemoryContextSwitchTo(inside);
	engine_leave(&engine);
	if (document == NULL)
		return (Datum) 0;

	args.tally.nentries = limit_entries_keep(model, args.tally.entries, args.tally.nentries);
	for (int i = 0; i < args.tally.nentries; i++)
		count_rule(&args, &model->rules[args.tally.entries[i].rule], args.tally.entries[i].at);

	fit_evaluate(model, document, &fit);
	if (model->fit)
	{
		for (int c = 0; fit.persona && c < fit.persona->ncriteria; c++)
		{
			const Criterion *criterion = &fit.persona->criteria[c];

			if (condition_holds(criterion->condition, document))
				explain_row(result, model->fit->name, "criterion",
							psprintf("%s: %s", fit.persona->name, criterion->name), -1,
							criterion->points);
		}
		if (fit.points != fit.sum)
			explain_row(result, model->fit->name, "group bounds", model->fit->name, -1,
						fit.points - fit.sum);
		total = fit.points;
	}
	for (int g = 0; g < model->ngroups; g++)
		total += explain_group(result, &args, g);

	clamped = clamp(total, 0, model->max_score);
	if (clamped != total)
		explain_row(result, NULL, "total bounds", model->id ? "total" : "no active model", -1,
					clamped - total);
	disqualified_by = fit.disqualifier ? fit.disqualifier->id : args.disqualified_by;
	if (disqualified_by)
		explain_row(result, NULL, "disqualified", disqualified_reason(model, disqualified_by), -1,
					-clamped);
	return (Datum) 0;
}

/* _activity_points(kind, content, campaign_id, properties) → double precision */
PG_FUNCTION_INFO_V1(leadflow_activity_points);
Datum
leadflow_activity_points(PG_FUNCTION_ARGS)
{
	const Model *model = model_active();
	ActivityRow row = {0};
	ActivityMatch match;
	text	   *kind;
	double		points = 0;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	kind = PG_GETARG_TEXT_PP(0);
	row.kind = VARDATA_ANY(kind);
	row.kind_len = VARSIZE_ANY_EXHDR(kind);
	row.content = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);
	row.campaign = PG_ARGISNULL(2) ? NULL : campaign_code(PG_GETARG_INT64(2));
	row.properties = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	match.rules = palloc(sizeof(PointRule *) * Max(model->nrules, 1));
	activity_match(model, &row, &match);
	if (match.nrules == 0)
		PG_RETURN_NULL();
	for (int i = 0; i < match.nrules; i++)
		points += match.rules[i]->points;
	PG_RETURN_FLOAT8(points);
}
