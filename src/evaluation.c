/*-------------------------------------------------------------------------
 * evaluation.c
 *	  What activities earn under a model, and how well a lead fits it.
 *
 * A tally is the exact meaning of PRODUCT's definition for one lead: limits
 * first, then decay, then sums by group.  Rules without a limit are added up as their
 * activities pass; what those with one match is collected, and what counts of it
 * (limit.c) is added at the end.
 * Memory: one entry an activity that a limited rule matched.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "evaluation.h"

/* A value as it stands in a jsonb container: its entry without the length, and its bytes. */
typedef struct RawValue
{
	JEntry		type;
	const char *data;
	int			len;
} RawValue;

static RawValue
raw_string(const char *data, int len)
{
	if (data == NULL)
		return (RawValue) {JENTRY_ISNULL, NULL, 0};
	return (RawValue) {JENTRY_ISSTRING, data, len};
}

static RawValue
raw_jsonb(const Jsonb *value)
{
	const JsonbContainer *root;

	if (value == NULL)
		return raw_string(NULL, 0);
	root = &value->root;
	if (JsonContainerIsScalar(root))
		return (RawValue) {root->children[0] & JENTRY_TYPEMASK, (const char *) &root->children[1],
						   JBE_OFFLENFLD(root->children[0])};
	return (RawValue) {JENTRY_ISCONTAINER, (const char *) root, VARSIZE(value) - VARHDRSZ};
}

/*
 * {"content": …, "campaign": code, "properties": …}, written down as it is stored: through
 * JsonbParseState it would cost as much as the conditions that are asked of it.  Keys go by length, then
 * values in the same order, numbers and containers aligned; the first entry has the offset of
 * its end, as has every 32nd, the others their length.
 */
static Jsonb *
activity_document(const ActivityRow *row)
{
	static const char keys[] = "content" "campaign" "properties";
	RawValue	values[3];
	Size		header = offsetof(Jsonb, root) + offsetof(JsonbContainer, children) + 6 * sizeof(JEntry);
	Size		size = header + sizeof(keys) - 1;
	Jsonb	   *document;
	char	   *end;

	values[0] = row->content ? raw_string(VARDATA_ANY(row->content), VARSIZE_ANY_EXHDR(row->content)) :
		raw_string(NULL, 0);
	values[1] = row->campaign ? raw_string(row->campaign, strlen(row->campaign)) : raw_string(NULL, 0);
	values[2] = raw_jsonb(row->properties);
	for (int i = 0; i < 3; i++)
		size += values[i].len;
	size += ALIGNOF_INT;
	if (size > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("total size of jsonb object elements exceeds the maximum of %u bytes",
						JENTRY_OFFLENMASK)));

	document = palloc(size);
	document->root.header = 3 | JB_FOBJECT;
	document->root.children[0] = JENTRY_ISSTRING | JENTRY_HAS_OFF | strlen("content");
	document->root.children[1] = JENTRY_ISSTRING | strlen("campaign");
	document->root.children[2] = JENTRY_ISSTRING | strlen("properties");
	end = (char *) document + header;
	memcpy(end, keys, sizeof(keys) - 1);
	end += sizeof(keys) - 1;
	for (int i = 0; i < 3; i++)
	{
		const RawValue *value = &values[i];
		int			padding = 0;

		if (value->type == JENTRY_ISNUMERIC || value->type == JENTRY_ISCONTAINER)
			padding = (char *) INTALIGN(end) - end;
		memset(end, 0, padding);
		end += padding;
		if (value->len > 0)
			memcpy(end, value->data, value->len);
		end += value->len;
		document->root.children[3 + i] = value->type | (padding + value->len);
	}
	SET_VARSIZE(document, end - (char *) document);
	return document;
}

/* The same with its kind, as subscriptions are asked of it. */
Jsonb *
activity_told(const ActivityRow *row)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	Jsonb	   *kind;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	value.type = jbvString;
	value.val.string.val = "kind";
	value.val.string.len = strlen("kind");
	(void) pushJsonbValue(&state, WJB_KEY, &value);
	value.val.string.val = unconstify(char *, row->kind);
	value.val.string.len = row->kind_len;
	(void) pushJsonbValue(&state, WJB_VALUE, &value);
	kind = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(kind),
											  JsonbPGetDatum(activity_document(row))));
}

static Jsonb *
match_document(const ActivityRow *row, ActivityMatch *match)
{
	if (match->document == NULL)
		match->document = activity_document(row);
	return match->document;
}

/*
 * Which rules an activity matches.  match->rules must have room for all rules
 * of the model.
 */
void
activity_match(const Model *model, const ActivityRow *row, ActivityMatch *match)
{
	const ActivityKind *kind = model_kind(model, row->kind, row->kind_len);

	match->kind = kind;
	match->nrules = 0;
	match->disqualifier = NULL;
	match->document = NULL;
	if (kind == NULL || kind->role != ROLE_ENGAGEMENT)
		return;

	for (int i = 0; i < kind->nrules; i++)
	{
		const PointRule *rule = kind->rules[i];

		if (rule->condition == NULL ||
			condition_holds(rule->condition, match_document(row, match)))
			match->rules[match->nrules++] = rule;
	}
	for (int i = 0; i < model->nactivity_disqualifiers && match->disqualifier == NULL; i++)
	{
		const Disqualifier *disqualifier = &model->activity_disqualifiers[i];

		if (condition_holds(disqualifier->condition, match_document(row, match)))
			match->disqualifier = disqualifier;
	}
}

void
tally_init(const Model *model, Tally *tally)
{
	memset(tally, 0, sizeof(Tally));
	tally->context = CurrentMemoryContext;
	tally->last_at = DT_NOBEGIN;
	tally->last_engaged_at = DT_NOBEGIN;
	tally->last_touch_at = DT_NOBEGIN;
	tally->hand_raised_at = DT_NOBEGIN;
	tally->disqualified_at = DT_NOEND;
	tally->sums = palloc0(sizeof(double) * Max(model->ngroups, 1));
}

/* What an activity that matched a rule with a limit is to that limit. */
LimitEntry
activity_limit_entry(const Model *model, const PointRule *rule, const ActivityRow *row,
					 ActivityMatch *match)
{
	return limit_entry(model, rule, row->occurred_at,
					   rule->once_per ? condition_value(rule->once_per, match_document(row, match)) : NULL);
}

/*
 * Keeps a match of a limited rule until all activities are seen; what can't count any more
 * goes when room is short.
 */
void
tally_limited(const Model *model, Tally *tally, const PointRule *rule,
			  const ActivityRow *row, ActivityMatch *match)
{
	if (tally->nentries == tally->maxentries)
	{
		tally->nentries = limit_entries_keep(model, tally->entries, tally->nentries);
		if (tally->nentries >= tally->maxentries / 2)
		{
			tally->maxentries = Max(8, tally->maxentries * 2);
			if (tally->entries == NULL)
				tally->entries = MemoryContextAlloc(tally->context, sizeof(LimitEntry) * tally->maxentries);
			else
				tally->entries = repalloc_huge(tally->entries, sizeof(LimitEntry) * tally->maxentries);
		}
	}
	tally->entries[tally->nentries++] = activity_limit_entry(model, rule, row, match);
}

void
tally_add(const Model *model, Tally *tally, const ActivityRow *row)
{
	ActivityMatch match;
	const PointRule *stack_rules[64];

	match.rules = model->nrules <= (int) lengthof(stack_rules) ?
		stack_rules : palloc(sizeof(PointRule *) * model->nrules);
	activity_match(model, row, &match);
	if (match.kind == NULL)
		return;
	if (match.kind->role == ROLE_SALES_TOUCH)
		tally->last_touch_at = Max(tally->last_touch_at, row->occurred_at);
	if (match.kind->role != ROLE_ENGAGEMENT)
		return;

	tally->last_engaged_at = Max(tally->last_engaged_at, row->occurred_at);
	for (int i = 0; i < match.nrules; i++)
	{
		const PointRule *rule = match.rules[i];

		if (rule->hand_raise &&
			happened_later(row->occurred_at, &row->id, tally->hand_raised_at, &tally->hand_raised_by))
		{
			tally->hand_raised_at = row->occurred_at;
			tally->hand_raised_by = row->id;
		}
		if (rule->max_count > 0)
			tally_limited(model, tally, rule, row, &match);
		else
			points_add(model, tally->sums, &tally->last_at, rule->group, rule->points,
					   row->occurred_at);
	}
	if (match.disqualifier &&
		disqualifies_first(row->occurred_at, match.disqualifier->id,
						   tally->disqualified_at, tally->disqualified_by))
	{
		tally->disqualified_at = row->occurred_at;
		tally->disqualified_by = match.disqualifier->id;
	}
	if (match.nrules > 0 || match.disqualifier)
		points_advance(model, tally->sums, &tally->last_at, row->occurred_at);
}

/* Limits: of the entries those that count are left. */
void
tally_finish(const Model *model, Tally *tally)
{
	if (tally->nentries == 0)
		return;
	tally->nentries = limit_entries_keep(model, tally->entries, tally->nentries);
	for (int i = 0; i < tally->nentries; i++)
	{
		const LimitEntry *entry = &tally->entries[i];
		const PointRule *rule = &model->rules[entry->rule];

		points_add(model, tally->sums, &tally->last_at, rule->group, rule->points, entry->at);
	}
}

/*
 * The persona with the highest clamped sum is the lead's, ties by id; a
 * persona that matched nothing has sum 0.  Without a fit group there are no
 * bounds to clamp to, and no points.
 */
void
fit_evaluate(const Model *model, Jsonb *document, Fit *fit)
{
	double		highest = 0;

	memset(fit, 0, sizeof(Fit));
	for (int p = 0; p < model->npersonas; p++)
	{
		const Persona *persona = &model->personas[p];
		double		sum = 0;
		double		points;
		bool		matched = false;
		int			known = 0;

		for (int c = 0; c < persona->ncriteria; c++)
		{
			const Criterion *criterion = &persona->criteria[c];
			ListCell   *lc;
			bool		complete = true;

			if (condition_holds(criterion->condition, document))
			{
				sum += criterion->points;
				matched = true;
			}
			foreach(lc, criterion->fields)
				complete = complete && json_has_value(document, lfirst(lc));
			known += complete;
		}
		points = model->fit ? clamp(sum, model->fit->min, model->fit->max) : sum;
		if (fit->persona == NULL || points > highest)
		{
			highest = points;
			fit->persona = persona;
			fit->points = model->fit ? points : 0;
			fit->sum = sum;
			fit->matched = matched;
			fit->known = persona->ncriteria ? (double) known / persona->ncriteria : 0;
		}
	}
	if (model->npersonas == 0 && model->fit)
		fit->points = clamp(0, model->fit->min, model->fit->max);

	for (int i = 0; i < model->nlead_disqualifiers && fit->disqualifier == NULL; i++)
	{
		if (condition_holds(model->lead_disqualifiers[i].condition, document))
			fit->disqualifier = &model->lead_disqualifiers[i];
	}
}

/* Why a lead is disqualified, by the id of what says so. */
const char *
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
