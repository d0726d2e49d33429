/*-------------------------------------------------------------------------
 * evaluation.h
 *	  What activities earn under a model.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_EVALUATION_H
#define LEADFLOW_EVALUATION_H

#include "limit.h"

/* An activity as the rules see it. */
typedef struct ActivityRow
{
	int64		lead_id;
	TimestampTz occurred_at;
	pg_uuid_t	id;
	const char *kind;			/* not terminated */
	int			kind_len;
	text	   *content;		/* NULL = none; not toasted */
	const char *campaign;		/* code, NULL = none */
	Jsonb	   *properties;		/* NULL = none; not toasted */
} ActivityRow;

/* What one activity did: the rules that it matched, in order of rule id. */
typedef struct ActivityMatch
{
	const ActivityKind *kind;	/* NULL: not registered */
	int			nrules;
	const PointRule **rules;	/* room for all rules of the kind */
	const Disqualifier *disqualifier;	/* the first that holds, NULL = none */
	Jsonb	   *document;		/* made on demand */
} ActivityMatch;

extern void activity_match(const Model *model, const ActivityRow *row, ActivityMatch *match);
extern Jsonb *activity_told(const ActivityRow *row);
extern LimitEntry activity_limit_entry(const Model *model, const PointRule *rule,
									   const ActivityRow *row, ActivityMatch *match);

/* Everything that a lead's activities up to an instant come to. */
typedef struct Tally
{
	TimestampTz last_at;		/* of the activities that count, DT_NOBEGIN = none */
	TimestampTz last_engaged_at;
	TimestampTz last_touch_at;
	TimestampTz hand_raised_at;
	pg_uuid_t	hand_raised_by;
	TimestampTz disqualified_at;	/* earliest, DT_NOEND = none */
	int64		disqualified_by;
	double	   *sums;			/* by group, scaled to last_at */

	/* matches of limited rules; once finished, those that count */
	MemoryContext context;
	LimitEntry *entries;
	int			nentries;
	int			maxentries;
} Tally;

extern void tally_init(const Model *model, Tally *tally);
extern void tally_add(const Model *model, Tally *tally, const ActivityRow *row);
extern void tally_finish(const Model *model, Tally *tally);
extern void tally_limited(const Model *model, Tally *tally, const PointRule *rule,
						  const ActivityRow *row, ActivityMatch *match);

/* Which persona a lead is, from its document. */
typedef struct Fit
{
	double		points;			/* clamped to the fit group's bounds */
	double		sum;			/* before */
	const Persona *persona;		/* the winner, NULL = the model has none */
	bool		matched;		/* it matched a criterion */
	double		known;			/* share of its criteria whose fields are filled in */
	const Disqualifier *disqualifier;	/* on the lead, NULL = none */
} Fit;

extern void fit_evaluate(const Model *model, Jsonb *document, Fit *fit);

extern const char *disqualified_reason(const Model *model, int64 id);

/* Does it look at the document at all?  If not, that may be NULL. */
static inline bool
fit_needs_document(const Model *model)
{
	return model->npersonas > 0 || model->nlead_disqualifiers > 0;
}

#endif							/* LEADFLOW_EVALUATION_H */
