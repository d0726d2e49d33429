/*-------------------------------------------------------------------------
 * attribution_aggregate.c
 *	  campaign_credits(): deals shared among campaigns, in one ordered pass.
 *
 * Rows are touches, in order of (deal_id, touched_at).  The touches of one deal
 * are collected; when the next deal comes, or the end, the deal is shared under
 * each model as the kept credits are: the rules' weights, split to the cent.
 * Kept are the path of one deal and a table of campaigns by models; memory goes
 * by the number of campaigns and by the longest path, not by that of deals.
 *
 * A row out of order is an error, since a deal that comes in two pieces would be
 * shared twice.  So no plan can make the result wrong, only fail.  There is no
 * combine function: a parallel plan must gather the rows first.
 *
 * Sums are exact: cents in 64 bits, and a numeric beside them for deals whose
 * amounts, or sums that, don't fit.
 *
 * What is the same for all groups of a query, the models and room to compute in,
 * lives once, with the function's call site; a group's own state starts small.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "attribution.h"

#define SCALE 2					/* money is split to the cent */

enum
{
	ARG_STATE, ARG_MODELS, ARG_DEAL_ID, ARG_TOUCHED_AT, ARG_CAMPAIGN_ID, ARG_AMOUNT, ARG_CONVERTED_AT,
	ARG_LEAD_CREATED_AT, ARG_OPPORTUNITY_AT, ARG_DIRECT
};

/* The models of one value of the first argument, and room for the longest path. */
typedef struct ModelSet
{
	struct ModelSet *next;
	Jsonb	   *document;
	int			n;
	const char **names;
	AttributionModel *models;
	AttributionUnit cent;
	double	   *weights;
	int64	   *shares;
	int			room;
} ModelSet;

/* Of the function's call site. */
typedef struct CallSite
{
	bool		constant;		/* the models are the same in every row */
	ModelSet   *sets;
} CallSite;

/* What a campaign earned under one model. */
typedef struct Earned
{
	int64		cents;
	Numeric		beyond;			/* what didn't fit, or NULL */
	int64		deals;
	int64		last_deal;		/* ordinal of the last deal counted */
} Earned;

typedef struct CampaignEntry
{
	int64		id;
	int			index;
	char		status;			/* of simplehash */
} CampaignEntry;

#define SH_PREFIX campaigns
#define SH_ELEMENT_TYPE CampaignEntry
#define SH_KEY_TYPE int64
#define SH_KEY id
#define SH_HASH_KEY(table, key) murmurhash32((uint32) (key) ^ (uint32) ((uint64) (key) >> 32))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

#define NO_CAMPAIGN 0			/* index of the deals without a touch */

typedef struct CreditState
{
	MemoryContext context;
	ModelSet   *set;
	campaigns_hash *campaigns;	/* id → index */
	Earned	   *earned;			/* campaign by campaign, one for each model */
	int			ncampaigns;
	int			campaign_room;

	/* the deal whose touches are coming in */
	bool		any;			/* there was one */
	bool		open;			/* it is to be shared */
	int64		deal_id;
	int64		ordinal;
	Conversion	conversion;
	int64		cents;
	Numeric		amount;			/* instead of cents where it doesn't fit */
	TimestampTz *touched;
	int		   *campaign;
	bool	   *direct;
	bool		any_direct;
	int			n;
	int			room;
} CreditState;

static void
refuse_models(const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", problem),
			 errhint("Give an array of kinds, like [\"linear\", \"time_decay\"], or an object of names, like {\"slow\": {\"kind\": \"time_decay\", \"half_life\": \"30 days\"}}.")));
}

static void
add_model(ModelSet *set, char *name, AttributionModel model)
{
	for (int i = 0; i < set->n; i++)
	{
		if (strcmp(set->names[i], name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("attribution model \"%s\" is given twice", name)));
	}
	if (!attribution_is_rule_based(&model))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("attribution model \"%s\" is not shared out deal by deal", name),
				 errhint("It is computed over many paths: see the aggregates leadflow.markov_credits() and leadflow.shapley_credits().")));
	set->names[set->n] = name;
	set->models[set->n++] = model;
}

/* In the current memory context. */
static ModelSet *
parse_models(Jsonb *document)
{
	ModelSet   *set = palloc0(sizeof(ModelSet));
	JsonbContainer *root;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	char	   *name = NULL;

	set->document = palloc(VARSIZE(document));
	memcpy(set->document, document, VARSIZE(document));
	set->cent = attribution_unit(SCALE);
	root = &set->document->root;
	if (JsonContainerIsScalar(root))
		refuse_models("models must be an array or an object");
	if (JsonContainerSize(root) == 0)
		refuse_models("models must not be empty");
	set->names = palloc(sizeof(char *) * JsonContainerSize(root));
	set->models = palloc(sizeof(AttributionModel) * JsonContainerSize(root));

	iterator = JsonbIteratorInit(root);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM)
		{
			if (item.type != jbvString)
				refuse_models("an array of models must consist of texts");
			name = pnstrdup(item.val.string.val, item.val.string.len);
			add_model(set, name, attribution_model(name, NULL));
		}
		else if (token == WJB_KEY)
			name = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE)
		{
			if (item.type != jbvBinary)
				refuse_models("each model must be an object with a kind");
			add_model(set, name, attribution_model_document(item.val.binary.data));
		}
	}
	return set;
}

static inline bool
same_document(const Jsonb *a, const Jsonb *b)
{
	return a == b || (VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0);
}

static CallSite *
call_site(FunctionCallInfo fcinfo)
{
	CallSite   *site = fcinfo->flinfo->fn_extra;

	if (!site)
	{
		Aggref	   *aggref = AggGetAggref(fcinfo);
		Node	   *models = aggref ? (Node *) ((TargetEntry *) linitial(aggref->args))->expr : NULL;

		site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CallSite));
		site->constant = models && (IsA(models, Const) ||
									(IsA(models, Param) && ((Param *) models)->paramkind == PARAM_EXTERN));
		fcinfo->flinfo->fn_extra = site;
	}
	return site;
}

static ModelSet *
find_models(FunctionCallInfo fcinfo, CallSite *site)
{
	Jsonb	   *document;
	ModelSet   *set = site->sets;
	MemoryContext old;

	if (PG_ARGISNULL(ARG_MODELS))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("models must not be null")));
	document = PG_GETARG_JSONB_P(ARG_MODELS);
	while (set && !same_document(set->document, document))
		set = set->next;
	if (!set)
	{
		old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		set = parse_models(document);
		MemoryContextSwitchTo(old);
		set->next = site->sets;
		site->sets = set;
	}
	return set;
}

/* Index of the campaign, made where it is new; id NULL = NO_CAMPAIGN, which is always there. */
static int
add_campaign(CreditState *state)
{
	Size		size = sizeof(Earned) * state->set->n;

	if (state->ncampaigns == state->campaign_room)
	{
		state->campaign_room *= 2;
		state->earned = repalloc_huge(state->earned, size * state->campaign_room);
	}
	memset(&state->earned[(Size) state->ncampaigns * state->set->n], 0, size);
	return state->ncampaigns++;
}

static inline int
find_campaign(CreditState *state, int64 id)
{
	bool		found;
	CampaignEntry *entry = campaigns_insert(state->campaigns, id, &found);

	if (!found)
		entry->index = add_campaign(state);
	return entry->index;
}

static CreditState *
make_state(FunctionCallInfo fcinfo, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	CreditState *state = palloc0(sizeof(CreditState));

	state->context = context;
	state->set = find_models(fcinfo, call_site(fcinfo));
	state->campaigns = campaigns_create(context, 4, NULL);
	state->campaign_room = 4;
	state->earned = palloc(sizeof(Earned) * state->set->n * state->campaign_room);
	add_campaign(state);
	state->room = 8;
	state->touched = palloc(sizeof(TimestampTz) * state->room);
	state->campaign = palloc(sizeof(int) * state->room);
	state->direct = palloc(sizeof(bool) * state->room);
	MemoryContextSwitchTo(old);
	return state;
}

static void
add_beyond(CreditState *state, Earned *earned, Datum amount)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);
	Numeric		before = earned->beyond;

	if (before)
		amount = DirectFunctionCall2(numeric_add, NumericGetDatum(before), amount);
	else
		amount = datumCopy(amount, false, -1);
	earned->beyond = DatumGetNumeric(amount);
	if (before)
		pfree(before);
	MemoryContextSwitchTo(old);
}

static inline Earned *
earn(CreditState *state, int campaign, int model)
{
	Earned	   *earned = &state->earned[(Size) campaign * state->set->n + model];

	if (earned->last_deal != state->ordinal)
	{
		earned->last_deal = state->ordinal;
		earned->deals++;
	}
	return earned;
}

static inline void
earn_cents(CreditState *state, int campaign, int model, int64 cents)
{
	Earned	   *earned = earn(state, campaign, model);
	int64		sum;

	if (unlikely(pg_add_s64_overflow(earned->cents, cents, &sum)))
	{
		add_beyond(state, earned, NumericGetDatum(int64_div_fast_to_numeric(earned->cents, SCALE)));
		sum = cents;
	}
	earned->cents = sum;
}

/* A deal whose amount, or whose split, is beyond integers. */
static void
earn_exactly(CreditState *state, int model, int n, const double *weights)
{
	Numeric		amount = state->amount ? state->amount : int64_div_fast_to_numeric(state->cents, SCALE);
	Datum	   *credits = palloc(sizeof(Datum) * n);

	attribution_split(amount, weights, n, SCALE, credits);
	for (int i = 0; i < n; i++)
	{
		if (weights[i] > 0)
			add_beyond(state, earn(state, state->campaign[i], model), credits[i]);
	}
}

/* Shares the deal that is complete. */
static void
finish_deal(CreditState *state)
{
	ModelSet   *set = state->set;
	int			n = state->n;

	state->open = false;
	state->ordinal++;
	/* they are in order: those after the conversion are at the end */
	while (n > 0 && state->touched[n - 1] > state->conversion.at)
		n--;

	for (int model = 0; model < set->n; model++)
	{
		if (n == 0)
		{
			if (state->amount)
				add_beyond(state, earn(state, NO_CAMPAIGN, model),
						   DirectFunctionCall2(numeric_round, NumericGetDatum(state->amount), Int32GetDatum(SCALE)));
			else
				earn_cents(state, NO_CAMPAIGN, model, state->cents);
			continue;
		}
		attribution_weights(&set->models[model], state->touched, state->any_direct ? state->direct : NULL,
							n, &state->conversion, set->weights);
		if (unlikely(state->amount || !attribution_split_units(state->cents, set->weights, n, set->shares)))
		{
			earn_exactly(state, model, n, set->weights);
			continue;
		}
		for (int i = 0; i < n; i++)
		{
			if (set->weights[i] > 0)
				earn_cents(state, state->campaign[i], model, set->shares[i]);
		}
	}
	if (state->amount)
	{
		pfree(state->amount);
		state->amount = NULL;
	}
}

static inline TimestampTz
instant(FunctionCallInfo fcinfo, int argument)
{
	return PG_ARGISNULL(argument) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(argument);
}

/* What is the deal's own is taken from its first row. */
static void
begin_deal(CreditState *state, FunctionCallInfo fcinfo, int64 deal_id)
{
	CHECK_FOR_INTERRUPTS();
	state->any = true;
	state->deal_id = deal_id;
	state->n = 0;
	state->any_direct = false;
	state->open = !PG_ARGISNULL(ARG_CONVERTED_AT);
	if (!state->open)
		return;

	state->conversion.at = PG_GETARG_TIMESTAMPTZ(ARG_CONVERTED_AT);
	state->conversion.lead_created_at = instant(fcinfo, ARG_LEAD_CREATED_AT);
	state->conversion.opportunity_at = instant(fcinfo, ARG_OPPORTUNITY_AT);
	state->cents = 0;
	if (!PG_ARGISNULL(ARG_AMOUNT))
	{
		Numeric		amount = PG_GETARG_NUMERIC(ARG_AMOUNT);

		if (numeric_is_nan(amount) || numeric_is_inf(amount))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("amount must be finite"),
					 errdetail("Deal %lld.", (long long) deal_id)));
		if (!attribution_units(amount, &state->set->cent, &state->cents))
		{
			MemoryContext old = MemoryContextSwitchTo(state->context);

			state->amount = DatumGetNumeric(datumCopy(NumericGetDatum(amount), false, -1));
			MemoryContextSwitchTo(old);
		}
	}
}

static void
add_touch(CreditState *state, TimestampTz touched, int64 campaign_id, bool direct)
{
	ModelSet   *set = state->set;

	if (state->n > 0 && touched < state->touched[state->n - 1])
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("campaign_credits() needs its rows in order of deal_id and touched_at"),
				 errdetail("In deal %lld, a touch at %s came after one at %s.", (long long) state->deal_id,
						   pstrdup(timestamptz_to_str(touched)),
						   pstrdup(timestamptz_to_str(state->touched[state->n - 1]))),
				 errhint("Aggregate over a sorted subquery: FROM (SELECT ... ORDER BY deal_id, touched_at) t.")));
	if (state->n == state->room)
	{
		state->room *= 2;
		state->touched = repalloc_huge(state->touched, sizeof(TimestampTz) * state->room);
		state->campaign = repalloc_huge(state->campaign, sizeof(int) * state->room);
		state->direct = repalloc_huge(state->direct, sizeof(bool) * state->room);
	}
	if (set->room < state->room)
	{
		MemoryContext context = GetMemoryChunkContext(set);

		if (set->weights)
		{
			pfree(set->weights);
			pfree(set->shares);
		}
		set->room = state->room;
		set->weights = MemoryContextAllocHuge(context, sizeof(double) * set->room);
		set->shares = MemoryContextAllocHuge(context, sizeof(int64) * set->room);
	}
	state->touched[state->n] = touched;
	state->campaign[state->n] = find_campaign(state, campaign_id);
	state->direct[state->n++] = direct;
	state->any_direct |= direct;
}

/* _campaign_credits_step(state, models, deal_id, touched_at, …) → state */
PG_FUNCTION_INFO_V1(leadflow_campaign_credits_step);
Datum
leadflow_campaign_credits_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	CreditState *state;
	int64		deal_id;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "campaign_credits() called as a plain function");
	if (PG_ARGISNULL(ARG_STATE))
		state = make_state(fcinfo, context);
	else
	{
		state = (CreditState *) PG_GETARG_POINTER(ARG_STATE);
		if (!call_site(fcinfo)->constant &&
			find_models(fcinfo, call_site(fcinfo)) != state->set)
			refuse_models("models must be the same in all rows of a group");
	}
	if (PG_ARGISNULL(ARG_DEAL_ID))
		PG_RETURN_POINTER(state);

	deal_id = PG_GETARG_INT64(ARG_DEAL_ID);
	if (!state->any || deal_id > state->deal_id)
	{
		if (state->open)
			finish_deal(state);
		begin_deal(state, fcinfo, deal_id);
	}
	else if (deal_id < state->deal_id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("campaign_credits() needs its rows in order of deal_id and touched_at"),
				 errdetail("Deal %lld came after deal %lld.", (long long) deal_id, (long long) state->deal_id),
				 errhint("Aggregate over a sorted subquery: FROM (SELECT ... ORDER BY deal_id, touched_at) t.")));

	if (state->open && !PG_ARGISNULL(ARG_TOUCHED_AT) && !PG_ARGISNULL(ARG_CAMPAIGN_ID))
		add_touch(state, PG_GETARG_TIMESTAMPTZ(ARG_TOUCHED_AT), PG_GETARG_INT64(ARG_CAMPAIGN_ID),
				  !PG_ARGISNULL(ARG_DIRECT) && PG_GETARG_BOOL(ARG_DIRECT));
	PG_RETURN_POINTER(state);
}

static int
compare_campaigns(const void *a, const void *b)
{
	int64		x = (*(CampaignEntry *const *) a)->id;
	int64		y = (*(CampaignEntry *const *) b)->id;

	return (x > y) - (x < y);
}

static Datum
make_credit(TupleDesc type, const char *model, const int64 *campaign_id, const Earned *earned)
{
	Datum		values[4] = {0};
	bool		nulls[4] = {false};
	Datum		credit = NumericGetDatum(int64_div_fast_to_numeric(earned->cents, SCALE));

	if (earned->beyond)
		credit = DirectFunctionCall2(numeric_add, credit, NumericGetDatum(earned->beyond));
	values[0] = CStringGetTextDatum(model);
	if (campaign_id)
		values[1] = Int64GetDatum(*campaign_id);
	nulls[1] = campaign_id == NULL;
	values[2] = Int64GetDatum(earned->deals);
	values[3] = credit;
	return HeapTupleGetDatum(heap_form_tuple(type, values, nulls));
}

/* _campaign_credits_final(state) → campaign_credit[]: by model as given, then by campaign. */
PG_FUNCTION_INFO_V1(leadflow_campaign_credits_final);
Datum
leadflow_campaign_credits_final(PG_FUNCTION_ARGS)
{
	CreditState *state;
	CampaignEntry **entries;
	CampaignEntry *entry;
	campaigns_iterator iterator;
	ArrayBuildState *result = NULL;
	Oid			element;
	TupleDesc	type;
	int			n = 0;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "campaign_credits() called as a plain function");
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (CreditState *) PG_GETARG_POINTER(0);
	if (state->open)
		finish_deal(state);

	element = get_element_type(get_fn_expr_rettype(fcinfo->flinfo));
	type = lookup_rowtype_tupdesc(element, -1);
	if (type->natts != 4)
		elog(ERROR, "type campaign_credit has %d columns", type->natts);

	entries = palloc_extended(sizeof(CampaignEntry *) * state->ncampaigns, MCXT_ALLOC_HUGE);
	campaigns_start_iterate(state->campaigns, &iterator);
	while ((entry = campaigns_iterate(state->campaigns, &iterator)) != NULL)
		entries[n++] = entry;
	qsort(entries, n, sizeof(CampaignEntry *), compare_campaigns);

	for (int model = 0; model < state->set->n; model++)
	{
		for (int i = 0; i <= n; i++)
		{
			int			campaign = i < n ? entries[i]->index : NO_CAMPAIGN;
			const Earned *earned = &state->earned[(Size) campaign * state->set->n + model];

			CHECK_FOR_INTERRUPTS();
			if (earned->deals > 0)
				result = accumArrayResult(result,
										  make_credit(type, state->set->names[model],
													  i < n ? &entries[i]->id : NULL, earned),
										  false, element, CurrentMemoryContext);
		}
	}
	ReleaseTupleDesc(type);
	if (!result)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(makeArrayResult(result, CurrentMemoryContext));
}
