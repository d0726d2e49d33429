/*-------------------------------------------------------------------------
 * credit_rows.h
 *	  What credits are made of, and the rows that are kept (row 2).
 *
 * All of it between engine_enter() and engine_leave().
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CREDIT_ROWS_H
#define LEADFLOW_CREDIT_ROWS_H

#include "postgres.h"
#include "utils/uuid.h"

#include "attribution.h"
#include "ids.h"

/* A row of attribution_models that credits are kept under. */
typedef struct CreditModel
{
	const char *name;
	AttributionModel rule;
	int64		lookback;		/* in microseconds; PG_INT64_MAX = all touches */
} CreditModel;

typedef struct CreditTouch
{
	int64		lead_id;
	TimestampTz occurred_at;
	pg_uuid_t	id;
	int64		campaign_id;
	const char *channel;		/* NULL = none */
} CreditTouch;

/* A won deal, with the events and touches of the one at its root. */
typedef struct CreditDeal
{
	int64		id;
	int64		root_id;
	int64		lead_id;		/* the root's */
	bool		has_lead;
	Numeric		amount;
	const char *currency;
	Conversion	conversion;
	CreditTouch *touches;		/* until the conversion, by (occurred_at, id, lead_id) */
	int			ntouches;
} CreditDeal;

/* A row of attribution_credits. */
typedef struct Credit
{
	int64		id;				/* 0 = not written yet */
	int64		deal_id;
	const char *model;
	int64		lead_id;
	bool		has_lead;
	bool		has_touch;		/* else the next three are nothing */
	TimestampTz occurred_at;
	pg_uuid_t	activity_id;
	int64		campaign_id;
	double		weight;
	Datum		credit;
	const char *currency;
} Credit;

/* The active rule-based models among those of the names (text[]; 0 = all). */
extern CreditModel *credit_models(Datum names, int *n);

/* Those of the deals that are won, by id; events and channels as far as the models ask for them. */
extern CreditDeal *credit_deals(const IdSet *deals, const CreditModel *models, int nmodels, int *n);

/* Credits that are kept of the deals, under models of these names (text[]; 0 = all). */
extern Credit *credits_read(const IdSet *deals, Datum names, int *n);

extern void credits_delete(const IdSet *ids);
extern void credits_insert(Credit *const *credits, int n);

#endif							/* LEADFLOW_CREDIT_ROWS_H */
