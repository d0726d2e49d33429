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
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "event_store.h"
#include "gate.h"
#include "model_store.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "visible.h"

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

	if (PG_ARGISNULL(arg) || PG_GETARG_INT64(arg) == active->id)
		return active;
	return model_required(PG_GETARG_INT64(arg));
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

/* The score at an instant; false = there is no such lead. */
static bool
score_of(const Model *model, int64 lead_id, TimestampTz at, double *points)
{
	StateRow	row;
	ScoreRow	score;
	bool		found = model->id == model_active()->id ?
		state_at(model, lead_id, at, GetActiveSnapshot(), &row) :
		compute_row(model, lead_id, at, DT_NOEND, GetActiveSnapshot(), &row);

	if (found)
	{
		state_evaluate(model, &row, at, &score);
		*points = score.score;
	}
	return found;
}

/* score(lead_id, at, model_id) → double precision */
PG_FUNCTION_INFO_V1(leadflow_score);
Datum
leadflow_score(PG_FUNCTION_ARGS)
{
	double		score;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	check_instant(PG_GETARG_TIMESTAMPTZ(1));
	if (!lead_visible(PG_GETARG_INT64(0)))
		PG_RETURN_NULL();
	if (!score_of(model_argument(fcinfo, 2), PG_GETARG_INT64(0), PG_GETARG_TIMESTAMPTZ(1), &score))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(score);
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

/* By how much a lead that is not disqualified is above the threshold; added up as state_evaluate() does. */
static double
margin_at(const Model *model, const StateRow *row, TimestampTz at)
{
	double		engagement = 0;

	for (int g = 0; g < model->ngroups; g++)
		engagement += clamp(points_value(model, g, row->sums[g], row->last_at, at),
							model->groups[g].min, model->groups[g].max);
	return clamp(row->fit + engagement, 0, model->max_score) - model->mql_threshold;
}

/*
 * The first microsecond at which a falling score is below the threshold; it is
 * not at one instant and is at the other.  Along the chord, halving the weight of an end
 * that stays (Illinois), and every fourth time in the middle, so that it ends soon in any case.
 */
static TimestampTz
falls_between(const Model *model, const StateRow *row, TimestampTz from, TimestampTz to,
			  double above, double below)
{
	for (int i = 1; to - from > 1; i++)
	{
		double		share = i % 4 == 0 ? 0.5 : above / (above - below);
		TimestampTz t = from + (int64) ((to - from) * share);
		double		margin;

		t = Min(Max(t, from + 1), to - 1);
		margin = margin_at(model, row, t);
		if (margin < 0)
		{
			to = t;
			below = margin;
			above /= 2;
		}
		else
		{
			from = t;
			above = margin;
			below /= 2;
		}
	}
	return to;
}

/*
 * The first instant at which the score is below the threshold if nothing more
 * happens; DT_NOEND = never.  Looked for in growing steps, from an eighth of the shortest
 * half-life on, then between two of them.  Steps double where the score only falls, and
 * the answer is exact to the microsecond; with negative points that decay it may rise in between,
 * so they grow slowly.
 */
static TimestampTz
falls_below(const Model *model, const StateRow *row, TimestampTz at)
{
	TimestampTz from = at;
	double		above = margin_at(model, row, at);
	int64		step = 0;
	bool		falls = true;

	for (int g = 0; g < model->ngroups; g++)
	{
		int64		h = model->groups[g].half_life;

		if (h > 0 && row->sums[g] != 0 && (step == 0 || h / 8 < step))
			step = Max(h / 8, 1);
		falls = falls && (h == 0 || row->sums[g] >= 0);
	}
	/* at the threshold but for the last digit: it falls from now on */
	if (above < 0)
		return at + 1;
	if (step == 0 || (falls && margin_at(model, row, END_TIMESTAMP - 1) >= 0))
		return DT_NOEND;
	while (from < END_TIMESTAMP - step)
	{
		TimestampTz to = from + step;
		double		margin = margin_at(model, row, to);

		if (margin < 0)
			return falls_between(model, row, from, to, above, margin);
		CHECK_FOR_INTERRUPTS();
		from = to;
		above = margin;
		step += falls ? step : Max(step / 8, 1);
	}
	return DT_NOEND;
}

/*
 * The functions behind lead_scores, one a column, so that a query pays for the
 * columns that it asks for.  All take what the state row says and an instant:
 */
enum
{
	ARG_LEAD_ID,
	ARG_MODEL_ID,
	ARG_SUMS,
	ARG_LAST_AT,
	ARG_DISQUALIFIED_AT,
	ARG_DISQUALIFIED_BY,
	ARG_FIT,
	ARG_PERSONA_ID,
	ARG_FIT_KNOWN,
	ARG_LEAD_DISQUALIFIER,
	ARG_AT,
	/* those of the gate, too */
	ARG_WATCH,
	ARG_CYCLE,
	ARG_HAND_RAISED_AT,
	ARG_CYCLE_SINCE,
	ARG_LAST_ENGAGED_AT
};

typedef struct LeadCall
{
	const Model *model;
	TimestampTz at;
	StateRow	row;
	ScoreRow	score;
} LeadCall;

/* Brings the row to the instant; where tables are read for it, the caller must be one who may see the lead. */
static bool
complete_row(LeadCall *call, bool fit_alone)
{
	const Model *model = call->model;
	StateRow   *row = &call->row;
	Delta	   *delta = event_pending() ? event_peek(model, row->lead_id) : NULL;

	if (delta == NULL && !row->outdated && call->at >= row->last_at)
		return true;
	if (fit_alone && !state_needs_tables(row, delta, DELTA_FIT))
		return true;
	if (!lead_visible(row->lead_id))
		return false;
	state_bring(model, row, call->at, GetActiveSnapshot());
	return true;
}

/* Takes the arguments; false = the answer is NULL. */
static bool
lead_call(FunctionCallInfo fcinfo, LeadCall *call, bool fit_alone)
{
	StateRow   *row = &call->row;

	if (PG_ARGISNULL(ARG_LEAD_ID) || PG_ARGISNULL(ARG_SUMS) || PG_ARGISNULL(ARG_LAST_AT) ||
		PG_ARGISNULL(ARG_FIT) || PG_ARGISNULL(ARG_AT))
		return false;
	call->model = model_active();
	call->at = PG_GETARG_TIMESTAMPTZ(ARG_AT);
	check_instant(call->at);

#define OPTIONAL(arg, get, otherwise) (PG_ARGISNULL(arg) ? (otherwise) : get(arg))
	memset(row, 0, sizeof(StateRow));
	row->lead_id = PG_GETARG_INT64(ARG_LEAD_ID);
	row->model_id = OPTIONAL(ARG_MODEL_ID, PG_GETARG_INT64, 0);
	row->last_at = PG_GETARG_TIMESTAMPTZ(ARG_LAST_AT);
	row->last_engaged_at = DT_NOBEGIN;
	row->last_touch_at = DT_NOBEGIN;
	row->hand_raised_at = DT_NOBEGIN;
	row->disqualified_at = OPTIONAL(ARG_DISQUALIFIED_AT, PG_GETARG_TIMESTAMPTZ, DT_NOEND);
	row->disqualified_by = OPTIONAL(ARG_DISQUALIFIED_BY, PG_GETARG_INT64, 0);
	row->fit = PG_GETARG_FLOAT8(ARG_FIT);
	row->persona_id = OPTIONAL(ARG_PERSONA_ID, PG_GETARG_INT64, 0);
	row->fit_known = OPTIONAL(ARG_FIT_KNOWN, PG_GETARG_FLOAT8, get_float8_nan());
	row->lead_disqualifier = OPTIONAL(ARG_LEAD_DISQUALIFIER, PG_GETARG_INT64, 0);
	row->cycle_since = DT_NOBEGIN;
	if (PG_NARGS() > ARG_WATCH)
	{
		row->watch = OPTIONAL(ARG_WATCH, PG_GETARG_INT32, 0);
		row->cycle = OPTIONAL(ARG_CYCLE, PG_GETARG_INT32, 1);
		row->hand_raised_at = OPTIONAL(ARG_HAND_RAISED_AT, PG_GETARG_TIMESTAMPTZ, DT_NOBEGIN);
		row->cycle_since = OPTIONAL(ARG_CYCLE_SINCE, PG_GETARG_TIMESTAMPTZ, DT_NOBEGIN);
		row->last_engaged_at = OPTIONAL(ARG_LAST_ENGAGED_AT, PG_GETARG_TIMESTAMPTZ, DT_NOBEGIN);
	}
#undef OPTIONAL
	state_read_sums(call->model, row, PG_GETARG_DATUM(ARG_SUMS));
	return complete_row(call, fit_alone);
}

/*
 * The same for what depends on activities: evaluated.  The columns of a row
 * are asked for one after the other, so the last evaluation is kept, with
 * everything that it depends on.
 */
static bool
score_call(FunctionCallInfo fcinfo, LeadCall *call)
{
	static struct
	{
		uint64		generation; /* of the model; 0 = nothing is kept */
		TimestampTz at;
		TimestampTz last_at;
		double		fit;
		int64		lead_disqualifier;
		TimestampTz disqualified_at;
		int64		disqualified_by;
		double		sums[8];
		ScoreRow	score;
	}			last;
	const Model *model;
	const StateRow *row = &call->row;
	Size		size;

	if (!lead_call(fcinfo, call, false))
		return false;
	model = call->model;
	size = sizeof(double) * model->ngroups;
	if (last.generation == model->generation && last.at == call->at &&
		last.last_at == row->last_at && last.fit == row->fit &&
		last.lead_disqualifier == row->lead_disqualifier &&
		last.disqualified_at == row->disqualified_at && last.disqualified_by == row->disqualified_by &&
		memcmp(last.sums, row->sums, size) == 0)
	{
		call->score = last.score;
		return true;
	}
	state_evaluate(model, row, call->at, &call->score);
	last.generation = size <= sizeof(last.sums) ? model->generation : 0;
	if (last.generation != 0)
	{
		last.at = call->at;
		last.last_at = row->last_at;
		last.fit = row->fit;
		last.lead_disqualifier = row->lead_disqualifier;
		last.disqualified_at = row->disqualified_at;
		last.disqualified_by = row->disqualified_by;
		memcpy(last.sums, row->sums, size);
		last.score = call->score;
	}
	return true;
}

static Datum
letter(char c)
{
	return PointerGetDatum(cstring_to_text_with_len(&c, 1));
}

PG_FUNCTION_INFO_V1(leadflow_lead_score);
Datum
leadflow_lead_score(PG_FUNCTION_ARGS)
{
	LeadCall	call;

	if (!score_call(fcinfo, &call))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(call.score.score);
}

PG_FUNCTION_INFO_V1(leadflow_lead_fit);
Datum
leadflow_lead_fit(PG_FUNCTION_ARGS)
{
	LeadCall	call;

	if (!lead_call(fcinfo, &call, true))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(call.row.fit);
}

PG_FUNCTION_INFO_V1(leadflow_lead_engagement);
Datum
leadflow_lead_engagement(PG_FUNCTION_ARGS)
{
	LeadCall	call;

	if (!score_call(fcinfo, &call))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(call.score.engagement);
}

PG_FUNCTION_INFO_V1(leadflow_lead_grade);
Datum
leadflow_lead_grade(PG_FUNCTION_ARGS)
{
	LeadCall	call;
	char		grade;

	if (!lead_call(fcinfo, &call, true) || (grade = points_grade(call.model, call.row.fit)) == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(letter(grade));
}

PG_FUNCTION_INFO_V1(leadflow_lead_level);
Datum
leadflow_lead_level(PG_FUNCTION_ARGS)
{
	LeadCall	call;

	if (!score_call(fcinfo, &call))
		PG_RETURN_NULL();
	PG_RETURN_INT32(call.score.level);
}

PG_FUNCTION_INFO_V1(leadflow_lead_rank);
Datum
leadflow_lead_rank(PG_FUNCTION_ARGS)
{
	LeadCall	call;
	char		rank[2];

	if (!score_call(fcinfo, &call))
		PG_RETURN_NULL();
	rank[0] = call.score.grade;
	rank[1] = '0' + call.score.level;
	if (rank[0] == 0)
		PG_RETURN_DATUM(letter(rank[1]));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(rank, 2));
}

PG_FUNCTION_INFO_V1(leadflow_lead_band);
Datum
leadflow_lead_band(PG_FUNCTION_ARGS)
{
	LeadCall	call;

	if (!score_call(fcinfo, &call))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(points_band(call.model, call.score.score)));
}

PG_FUNCTION_INFO_V1(leadflow_lead_persona);
Datum
leadflow_lead_persona(PG_FUNCTION_ARGS)
{
	LeadCall	call;
	const char *name;

	if (!lead_call(fcinfo, &call, true) || (name = score_persona_name(call.row.persona_id)) == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

PG_FUNCTION_INFO_V1(leadflow_lead_fit_known);
Datum
leadflow_lead_fit_known(PG_FUNCTION_ARGS)
{
	LeadCall	call;

	if (!lead_call(fcinfo, &call, true) || isnan(call.row.fit_known))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(call.row.fit_known);
}

PG_FUNCTION_INFO_V1(leadflow_lead_disqualified_reason);
Datum
leadflow_lead_disqualified_reason(PG_FUNCTION_ARGS)
{
	LeadCall	call;

	if (!score_call(fcinfo, &call) || call.score.disqualified_by == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(disqualified_reason(call.model, call.score.disqualified_by)));
}

/* What else but points is missing for the gate, in words; NULL = nothing. */
static char *
lead_blocked(LeadCall *call, bool hand_raise)
{
	Relation	leads = table_open(engine_relation("leads"), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(leads, NULL);
	char	   *missing = NULL;

	if (row_fetch(leads, call->row.lead_id, GetActiveSnapshot(), slot))
	{
		bool		should_free;
		HeapTuple	lead = ExecFetchSlotHeapTuple(slot, false, &should_free);

		missing = gate_lead_blocked(call->model, &call->row, &call->score, lead, RelationGetDescr(leads),
									hand_raise, call->at);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(leads, NoLock);
	return missing;
}

PG_FUNCTION_INFO_V1(leadflow_lead_mql_ready);
Datum
leadflow_lead_mql_ready(PG_FUNCTION_ARGS)
{
	LeadCall	call;
	bool		hand_raise;

	if (!score_call(fcinfo, &call))
		PG_RETURN_NULL();
	if (!(call.row.watch & WATCH_GATE) || !gate_points(call.model, &call.row, &call.score, &hand_raise))
		PG_RETURN_BOOL(false);
	if (!lead_visible(call.row.lead_id))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(lead_blocked(&call, hand_raise) == NULL);
}

PG_FUNCTION_INFO_V1(leadflow_lead_mql_blocked_by);
Datum
leadflow_lead_mql_blocked_by(PG_FUNCTION_ARGS)
{
	LeadCall	call;
	const Model *model;
	const ScoreRow *score = &call.score;
	const char *missing;
	bool		hand_raise;

	if (!score_call(fcinfo, &call) || !(call.row.watch & WATCH_GATE))
		PG_RETURN_NULL();
	model = call.model;
	if (model->id == 0)
		missing = "no scoring model is active";
	else if (score->disqualified_by)
		missing = psprintf("disqualified: %s", disqualified_reason(model, score->disqualified_by));
	else if (!gate_points(model, &call.row, score, &hand_raise))
	{
		char	   *points = reaches(score->score, model->mql_threshold) ? "" :
			model->mql_threshold - score->score < 0.01 ?
			psprintf("a trace short of %g points", model->mql_threshold) :
			psprintf("%.6g points short of %g", model->mql_threshold - score->score,
					 model->mql_threshold);
		char	   *grade = grade_at_least(score->grade, model->min_fit_grade) ? "" :
			psprintf("grade %c, %c is asked", score->grade, model->min_fit_grade);

		missing = *grade ? psprintf("%s%s%s", points, *points ? ", " : "", grade) : points;
	}
	else
		missing = lead_visible(call.row.lead_id) ? lead_blocked(&call, hand_raise) : NULL;
	if (missing == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(missing));
}

PG_FUNCTION_INFO_V1(leadflow_lead_falls_below_mql_at);
Datum
leadflow_lead_falls_below_mql_at(PG_FUNCTION_ARGS)
{
	LeadCall	call;
	TimestampTz at = DT_NOEND;

	if (!score_call(fcinfo, &call))
		PG_RETURN_NULL();
	if (call.model->id && reaches(call.score.score, call.model->mql_threshold))
		at = falls_below(call.model, &call.row, call.at);
	if (TIMESTAMP_IS_NOEND(at))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(at);
}

/* _model_id() → bigint, the active model; NULL = none */
PG_FUNCTION_INFO_V1(leadflow_model_id);
Datum
leadflow_model_id(PG_FUNCTION_ARGS)
{
	const Model *model = model_active();

	if (model->id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(model->id);
}

/* _leads_filtered() → boolean: do policies decide which leads the caller sees? */
PG_FUNCTION_INFO_V1(leadflow_leads_filtered);
Datum
leadflow_leads_filtered(PG_FUNCTION_ARGS)
{
	Oid			leads = engine_relation("leads");

	PG_RETURN_BOOL(!OidIsValid(leads) || check_enable_rls(leads, InvalidOid, true) == RLS_ENABLED);
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

/* The rows of an explanation. */
typedef struct Explanation
{
	ReturnSetInfo *result;
	double		sum;			/* of their points */
	double		magnitude;		/* of their points' absolute values */
} Explanation;

static void
explain_row(Explanation *rows, const char *group, const char *source, const char *name,
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
	tuplestore_putvalues(rows->result->setResult, rows->result->setDesc, values, nulls);
	rows->sum += points;
	rows->magnitude += fabs(points);
}

/* Rows of one engagement group; returns its clamped sum. */
static double
explain_group(Explanation *rows, ExplainArgs *args, int g)
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
		explain_row(rows, group->name, "rule", rule->name, effect->matches,
					effect->matches * rule->points);
		if (held_back > 0)
			explain_row(rows, group->name, "limit", rule->name, held_back,
						-held_back * rule->points);
		if (group->half_life > 0 && effect->decayed != effect->counted * rule->points)
			explain_row(rows, group->name, "decay", rule->name, effect->counted,
						effect->decayed - effect->counted * rule->points);
		sum += group->half_life > 0 ? effect->decayed : effect->counted * rule->points;
	}
	clamped = clamp(sum, group->min, group->max);
	if (clamped != sum)
		explain_row(rows, group->name, "group bounds", group->name, -1, clamped - sum);
	return clamped;
}

/* explain_score(lead_id, at, model_id) → rows that sum to the score */
PG_FUNCTION_INFO_V1(leadflow_explain_score);
Datum
leadflow_explain_score(PG_FUNCTION_ARGS)
{
	Explanation rows = {(ReturnSetInfo *) fcinfo->resultinfo};
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
	double		score = 0;
	double		rest;
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
				explain_row(&rows, model->fit->name, "criterion",
							psprintf("%s: %s", fit.persona->name, criterion->name), -1,
							criterion->points);
		}
		if (fit.points != fit.sum)
			explain_row(&rows, model->fit->name, "group bounds", model->fit->name, -1,
						fit.points - fit.sum);
		total = fit.points;
	}
	for (int g = 0; g < model->ngroups; g++)
		total += explain_group(&rows, &args, g);

	clamped = clamp(total, 0, model->max_score);
	if (clamped != total)
		explain_row(&rows, NULL, "total bounds", model->id ? "total" : "no active model", -1,
					clamped - total);
	disqualified_by = fit.disqualifier ? fit.disqualifier->id : args.disqualified_by;
	if (disqualified_by)
		explain_row(&rows, NULL, "disqualified", disqualified_reason(model, disqualified_by), -1,
					0 - clamped);

	/* points beyond all measure that cancel out leave a remainder of what a double holds */
	rest = score_of(model, PG_GETARG_INT64(0), args.at, &score) ? score - rows.sum : 0;
	if (fabs(rest) > 1e-12 * Max(score, 100) && fabs(rest) < 1e-9 * rows.magnitude)
		explain_row(&rows, NULL, "rounding", "total", -1, rest);
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
