/*-------------------------------------------------------------------------
 * attribution.c
 *	  Models of sharing a conversion among its touches: what they are made of,
 *	  and the weights they give.
 *
 * Touches after the conversion weigh nothing, one at that very instant counts;
 * below, "touches" are those that count.  Their order is that of time; of
 * touches at the same instant the one further to the left in the array comes
 * first.
 *
 * Parts.  A model of positions has up to four anchors (first, lead_created,
 * opportunity, last) and a middle, each with a weight.  An anchor lies on one
 * touch: the first, the last, or the last at or before an event; it is missing
 * where the event is unknown or no touch is that early.  The middle is every
 * touch without an anchor, and is missing where there is none.  A touch earns
 * the weights of all anchors that lie on it, a touch of the middle an equal part
 * of that one's; the sum of the parts that are present is made 1.  Where it is 0,
 * all touches share equally.
 *
 * Sums of weights come from a table, by the set of parts: 0.3 + 0.3 + 0.3 + 0.1
 * is made to be 1 there, which it is not if added up from left to right, and
 * who has all parts that are present gets exactly 1.
 *
 * Decay.  2^(-age / half-life) is normalised, so ages may be counted from the
 * last touch instead of the conversion: nothing underflows to a path without
 * weight then, and a conversion at infinity needs no rule of its own.  Infinitely
 * far from the last touch weighs 0.
 *
 * O(n) for every model.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "attribution.h"

/* Kinds of model; parts with their defaults, -1 = none. */
static const struct
{
	const char *name;
	AttributionKind kind;
	double		parts[PART_COUNT];
}			kinds[] = {
	{"first_touch", FIRST_TOUCH},
	{"last_touch", LAST_TOUCH},
	{"last_non_direct", LAST_NON_DIRECT},
	{"linear", LINEAR},
	{"time_decay", TIME_DECAY},
	{"position_based", POSITIONS, {0.4, -1, -1, 0.4, 0.2}},
	{"w_shaped", POSITIONS, {0.3, 0.3, 0.3, -1, 0.1}},
	{"full_path", POSITIONS, {0.225, 0.225, 0.225, 0.225, 0.1}},
	{"custom", POSITIONS, {-1, -1, -1, -1, -1}},
	{"markov", MARKOV},
	{"shapley", SHAPLEY},
};

static const char *const part_names[PART_COUNT] = {"first", "lead_created", "opportunity", "last", "middle"};

#define DEFAULT_HALF_LIFE (7 * USECS_PER_DAY)

/*
 * Params.
 */
static void
refuse_param(const char *kind, const char *name, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("parameter \"%s\" of attribution model %s %s", name, kind, problem)));
}

/* A number that is not negative, and neither too large nor too small for a double precision. */
static double
param_number(const char *kind, const char *name, const JsonbValue *value)
{
	double		number;

	if (value->type != jbvNumeric)
		refuse_param(kind, name, "must be a number");
	number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												NumericGetDatum(value->val.numeric)));
	if (isinf(number) || isnan(number))
		refuse_param(kind, name, "must be finite");
	if (number < 0)
		refuse_param(kind, name, "must not be negative");
	if (number == 0 && !DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(value->val.numeric),
														 NumericGetDatum(int64_to_numeric(0)))))
		refuse_param(kind, name, "is too small");
	return number;
}

/*
 * An exact length in microseconds (1 day = 24 h).  Read here and not by
 * interval_in(), whose errors are others.
 */
static int64
param_length(const char *kind, const char *name, const JsonbValue *value)
{
	char		buffer[256];
	char	   *fields[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			nfields;
	int			type;
	struct pg_itm_in itm = {0};
	Interval	length;
	char	   *text;
	int64		days;
	int64		result;
	int			problem;

	if (value->type != jbvString)
		refuse_param(kind, name, "must be a text like \"7 days\"");
	text = pnstrdup(value->val.string.val, value->val.string.len);
	problem = ParseDateTime(text, buffer, sizeof(buffer), fields, types, MAXDATEFIELDS, &nfields);
	/* what a sign in front applies to depends on the session's intervalstyle */
	if (problem == 0 && nfields > 0 && fields[0][0] == '-')
		refuse_param(kind, name, "must be greater than zero");
	if (problem == 0)
		problem = DecodeInterval(fields, types, nfields, INTERVAL_FULL_RANGE, &type, &itm);
	if (problem == DTERR_BAD_FORMAT)
		problem = DecodeISO8601Interval(text, &type, &itm);
	if (problem != 0 || type != DTK_DELTA || itmin2interval(&itm, &length) != 0)
		refuse_param(kind, name, "is not an interval");
	pfree(text);

	if (length.month != 0)
		refuse_param(kind, name, "must be given in days or less, not in months or years");
	if (pg_mul_s64_overflow(length.day, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(days, length.time, &result))
		refuse_param(kind, name, "is too long");
	if (result <= 0)
		refuse_param(kind, name, "must be greater than zero");
	return result;
}

static int
param_order(const char *kind, const char *name, const JsonbValue *value)
{
	double		order = param_number(kind, name, value);

	if (order != 1 && order != 2 && order != 3)
		refuse_param(kind, name, "must be 1, 2 or 3");
	return (int) order;
}

static void
param_texts(const char *kind, const char *name, const JsonbValue *value, char ***texts, int *n)
{
	JsonbContainer *array = value->val.binary.data;

	if (value->type != jbvBinary || !JsonContainerIsArray(array))
		refuse_param(kind, name, "must be an array of texts");
	*n = JsonContainerSize(array);
	*texts = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		JsonbValue *text = getIthJsonbValueFromContainer(array, i);

		if (text->type != jbvString)
			refuse_param(kind, name, "must be an array of texts");
		(*texts)[i] = pnstrdup(text->val.string.val, text->val.string.len);
	}
}

/* Which part the param of that name is the weight of; -1 = of none that the model may have. */
static int
find_part(int row, const char *name)
{
	bool		custom = strcmp(kinds[row].name, "custom") == 0;

	for (int part = 0; part < PART_COUNT && kinds[row].kind == POSITIONS; part++)
	{
		if (strcmp(name, part_names[part]) == 0 && (custom || kinds[row].parts[part] >= 0))
			return part;
	}
	return -1;
}

/* The hint of a param that the model doesn't have. */
static const char *
list_params(int row)
{
	StringInfoData list;

	switch (kinds[row].kind)
	{
		case LAST_NON_DIRECT:
			return "Its parameter is direct.";
		case TIME_DECAY:
			return "Its parameter is half_life.";
		case MARKOV:
			return "Its parameter is order.";
		case POSITIONS:
			break;
		default:
			return "It has none.";
	}
	initStringInfo(&list);
	appendStringInfoString(&list, "Its parameters are ");
	for (int part = 0; part < PART_COUNT; part++)
	{
		if (find_part(row, part_names[part]) >= 0)
			appendStringInfo(&list, "%s%s", part == PART_FIRST ? "" : part == PART_MIDDLE ? " and " : ", ",
							 part_names[part]);
	}
	appendStringInfoChar(&list, '.');
	return list.data;
}

static void
set_param(AttributionModel *model, int row, const char *name, const JsonbValue *value)
{
	const char *kind = kinds[row].name;
	int			part = find_part(row, name);

	if (part >= 0)
		model->parts[part] = param_number(kind, name, value);
	else if (model->kind == TIME_DECAY && strcmp(name, "half_life") == 0)
		model->half_life = param_length(kind, name, value);
	else if (model->kind == LAST_NON_DIRECT && strcmp(name, "direct") == 0)
		param_texts(kind, name, value, &model->direct, &model->ndirect);
	else if (model->kind == MARKOV && strcmp(name, "order") == 0)
		model->order = param_order(kind, name, value);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attribution model %s has no parameter \"%s\"", kind, name),
				 errhint("%s", list_params(row))));
}

static void
set_params(AttributionModel *model, int row, JsonbContainer *params, bool with_kind)
{
	JsonbIterator *iterator = JsonbIteratorInit(params);
	JsonbIteratorToken token;
	JsonbValue	item;
	char	   *name = NULL;

	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE && !(with_kind && strcmp(name, "kind") == 0))
			set_param(model, row, name, &item);
	}
}

/* Sums of parts, with the error of each addition carried along. */
static void
sum_parts(AttributionModel *model)
{
	double		total = 0;

	for (int part = 0; part < PART_COUNT; part++)
		total += Max(model->parts[part], 0);
	if (isinf(total))
	{
		/* only what they are to each other matters */
		for (int part = 0; part < PART_COUNT; part++)
			model->parts[part] = model->parts[part] > 0 ? ldexp(model->parts[part], -3) : model->parts[part];
	}

	for (int set = 0; set < (1 << PART_COUNT); set++)
	{
		double		sum = 0;
		double		error = 0;

		for (int part = 0; part < PART_COUNT; part++)
		{
			double		term = (set & (1 << part)) ? Max(model->parts[part], 0) : 0;
			double		next = sum + term;

			error += sum >= term ? (sum - next) + term : (term - next) + sum;
			sum = next;
		}
		model->sums[set] = sum + error;
	}
}

static int
find_kind(const char *name)
{
	StringInfoData list;

	for (int row = 0; row < (int) lengthof(kinds); row++)
	{
		if (strcmp(name, kinds[row].name) == 0)
			return row;
	}

	initStringInfo(&list);
	for (int row = 0; row < (int) lengthof(kinds); row++)
		appendStringInfo(&list, "%s%s", row == 0 ? "" : row == lengthof(kinds) - 1 ? " and " : ", ",
						 kinds[row].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown attribution model \"%s\"", name),
			 errhint("Known models are %s.", list.data)));
	return -1;					/* keep compiler quiet */
}

static AttributionModel
make_model(const char *kind, JsonbContainer *params, bool with_kind)
{
	static char *direct[] = {"direct"};
	int			row = find_kind(kind);
	AttributionModel model = {.kind = kinds[row].kind, .half_life = DEFAULT_HALF_LIFE,
	.direct = direct, .ndirect = lengthof(direct), .order = 1};

	memcpy(model.parts, kinds[row].parts, sizeof(model.parts));
	if (params && !JsonContainerIsObject(params))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameters of an attribution model must be a JSON object")));
	if (params)
		set_params(&model, row, params, with_kind);
	if (model.kind == POSITIONS)
		sum_parts(&model);
	if (strcmp(kind, "custom") == 0 && model.sums[(1 << PART_COUNT) - 1] == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attribution model custom needs a part greater than zero"),
				 errhint("%s", list_params(row))));
	return model;
}

AttributionModel
attribution_model(const char *kind, Jsonb *params)
{
	return make_model(kind, params ? &params->root : NULL, false);
}

AttributionModel
attribution_model_document(JsonbContainer *document)
{
	JsonbValue *kind = NULL;

	if (JsonContainerIsObject(document))
		kind = getKeyJsonValueFromContainer(document, "kind", strlen("kind"), NULL);
	if (!kind || kind->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an attribution model must be an object with a kind"),
				 errhint("For example {\"kind\": \"time_decay\", \"half_life\": \"14 days\"}.")));
	return make_model(pnstrdup(kind->val.string.val, kind->val.string.len), document, true);
}

bool
attribution_is_rule_based(const AttributionModel *model)
{
	return model->kind != MARKOV && model->kind != SHAPLEY;
}

/*
 * Weights.
 */

/* The first touch; of several at one instant, the leftmost.  -1 = none. */
static int
find_first(const TimestampTz *touched, int n, TimestampTz until)
{
	int			first = -1;

	for (int i = 0; i < n; i++)
	{
		if (touched[i] <= until && (first < 0 || touched[i] < touched[first]))
			first = i;
	}
	return first;
}

/* The last touch until then that is none to be skipped; of several at one instant, the rightmost. */
static int
find_last(const TimestampTz *touched, const bool *skip, int n, TimestampTz until)
{
	int			last = -1;

	for (int i = 0; i < n; i++)
	{
		if (touched[i] <= until && (last < 0 || touched[i] >= touched[last]) && !(skip && skip[i]))
			last = i;
	}
	return last;
}

static int
find_event(const TimestampTz *touched, int n, const Conversion *conversion, TimestampTz event)
{
	if (event == DT_NOEND)
		return -1;
	return find_last(touched, NULL, n, Min(event, conversion->at));
}

static void
share_equally(const TimestampTz *touched, int n, const Conversion *conversion, double *weights)
{
	int			counted = 0;

	for (int i = 0; i < n; i++)
		counted += touched[i] <= conversion->at;
	for (int i = 0; i < n; i++)
		weights[i] = touched[i] <= conversion->at ? 1.0 / counted : 0;
}

static void
share_by_age(int64 half_life, const TimestampTz *touched, int n, const Conversion *conversion,
			 double *weights)
{
	int			last = find_last(touched, NULL, n, conversion->at);
	double		sum = 0;

	for (int i = 0; i < n; i++)
	{
		weights[i] = 0;
		if (touched[i] > conversion->at)
			continue;
		if (touched[i] == touched[last])
			weights[i] = 1;
		else if (!TIMESTAMP_NOT_FINITE(touched[i]) && !TIMESTAMP_NOT_FINITE(touched[last]))
		{
			/* unsigned: there are instants further apart than an int64 can hold */
			uint64		before = (uint64) touched[last] - (uint64) touched[i];

			weights[i] = exp2(-((double) before / (double) half_life));
		}
		sum += weights[i];
	}
	for (int i = 0; i < n && last >= 0; i++)
		weights[i] /= sum;
}

static void
share_by_parts(const AttributionModel *model, const TimestampTz *touched, int n,
			   const Conversion *conversion, double *weights)
{
	const int	middle = 1 << PART_MIDDLE;
	int			anchors[PART_MIDDLE] = {-1, -1, -1, -1};
	int			present = 0;
	int			others = 0;
	double		other = 0;
	double		sum;

	if (model->parts[PART_FIRST] >= 0)
		anchors[PART_FIRST] = find_first(touched, n, conversion->at);
	if (model->parts[PART_LEAD_CREATED] >= 0)
		anchors[PART_LEAD_CREATED] = find_event(touched, n, conversion, conversion->lead_created_at);
	if (model->parts[PART_OPPORTUNITY] >= 0)
		anchors[PART_OPPORTUNITY] = find_event(touched, n, conversion, conversion->opportunity_at);
	if (model->parts[PART_LAST] >= 0)
		anchors[PART_LAST] = find_last(touched, NULL, n, conversion->at);

	/* how many touches count, less those with an anchor */
	for (int i = 0; i < n; i++)
		others += touched[i] <= conversion->at;
	for (int part = 0; part < PART_MIDDLE; part++)
	{
		bool		shared = false;

		if (anchors[part] < 0)
			continue;
		present |= 1 << part;
		for (int earlier = 0; earlier < part; earlier++)
			shared |= anchors[earlier] == anchors[part];
		others -= !shared;
	}
	if (others > 0 && model->parts[PART_MIDDLE] >= 0)
		present |= middle;

	sum = model->sums[present];
	if (sum == 0)
	{
		share_equally(touched, n, conversion, weights);
		return;
	}
	if (present & middle)
		other = model->sums[middle] / sum / others;
	for (int i = 0; i < n; i++)
		weights[i] = touched[i] <= conversion->at ? other : 0;
	for (int part = 0; part < PART_MIDDLE; part++)
	{
		int			on_touch = 0;

		if (anchors[part] < 0)
			continue;
		for (int each = 0; each < PART_MIDDLE; each++)
		{
			if (anchors[each] == anchors[part])
				on_touch |= 1 << each;
		}
		weights[anchors[part]] = model->sums[on_touch] / sum;
	}
}

void
attribution_weights(const AttributionModel *model, const TimestampTz *touched, const bool *direct,
					int n, const Conversion *conversion, double *weights)
{
	int			chosen = -1;

	switch (model->kind)
	{
		case FIRST_TOUCH:
			chosen = find_first(touched, n, conversion->at);
			break;
		case LAST_NON_DIRECT:
			chosen = direct ? find_last(touched, direct, n, conversion->at) : -1;
			if (chosen >= 0)
				break;
			/* all are direct */
			/* FALLTHROUGH */
		case LAST_TOUCH:
			chosen = find_last(touched, NULL, n, conversion->at);
			break;
		case LINEAR:
			share_equally(touched, n, conversion, weights);
			return;
		case TIME_DECAY:
			share_by_age(model->half_life, touched, n, conversion, weights);
			return;
		case POSITIONS:
			share_by_parts(model, touched, n, conversion, weights);
			return;
		case MARKOV:
		case SHAPLEY:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("attribution model %s gives no weights to the touches of one conversion",
							model->kind == MARKOV ? "markov" : "shapley"),
					 errhint("It is computed over many paths: see the aggregates leadflow.markov_credits() and leadflow.shapley_credits().")));
	}

	memset(weights, 0, sizeof(double) * n);
	if (chosen >= 0)
		weights[chosen] = 1;
}

const void *
attribution_elements(ArrayType *array, const char *name, int *n)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be a one-dimensional array", name)));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain nulls", name)));
	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return ARR_DATA_PTR(array);
}

/* Which of n touches are direct; NULL is not. */
static bool *
direct_touches(ArrayType *array, int n)
{
	Datum	   *elements;
	bool	   *direct;
	bool	   *nulls;
	int			given;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("direct must be a one-dimensional array")));
	deconstruct_array(array, BOOLOID, sizeof(bool), true, TYPALIGN_CHAR, &elements, &nulls, &given);
	if (given != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("direct must have as many elements as touched_at"),
				 errdetail("There are %d and %d.", given, n)));
	direct = palloc(sizeof(bool) * Max(n, 1));
	for (int i = 0; i < n; i++)
		direct[i] = !nulls[i] && DatumGetBool(elements[i]);
	return direct;
}

/*
 * touch_weights(model, touched_at, converted_at, lead_created_at, opportunity_at, params, direct)
 * → double precision[]
 */
PG_FUNCTION_INFO_V1(leadflow_touch_weights);
Datum
leadflow_touch_weights(PG_FUNCTION_ARGS)
{
	AttributionModel model;
	const TimestampTz *touched;
	const bool *direct = NULL;
	Conversion	conversion;
	double	   *weights;
	Datum	   *elements;
	int			n;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();

	model = attribution_model(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							  PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5));
	touched = attribution_elements(PG_GETARG_ARRAYTYPE_P(1), "touched_at", &n);
	conversion.at = PG_GETARG_TIMESTAMPTZ(2);
	conversion.lead_created_at = PG_ARGISNULL(3) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(3);
	conversion.opportunity_at = PG_ARGISNULL(4) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(4);
	if (!PG_ARGISNULL(6))
		direct = direct_touches(PG_GETARG_ARRAYTYPE_P(6), n);

	weights = palloc(sizeof(double) * Max(n, 1));
	elements = palloc(sizeof(Datum) * Max(n, 1));
	attribution_weights(&model, touched, direct, n, &conversion, weights);
	for (int i = 0; i < n; i++)
		elements[i] = Float8GetDatum(weights[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(elements, n, FLOAT8OID, sizeof(double),
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
