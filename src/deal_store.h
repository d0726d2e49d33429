/*-------------------------------------------------------------------------
 * deal_store.h
 *	  Rows of deals and what they are asked with (row 2).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_DEAL_STORE_H
#define LEADFLOW_DEAL_STORE_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"

#include "deal_stage.h"
#include "ids.h"

/* A row of deals, as far as it matters to the engine. */
typedef struct DealRow
{
	int64		id;
	bool		has_lead;
	int64		lead_id;
	bool		is_correction;
	int64		corrects;
	DealStatus	status;
	TimestampTz opened_at;
	TimestampTz closed_at;		/* DT_NOEND: it is open */
	Numeric		amount;			/* of transition tables only */
	const char *currency;		/* likewise */
} DealRow;

/* A lead, and its deals (corrections left out) by id. */
typedef struct DealLead
{
	int64		id;
	DealStage	stage;
	DealRow    *deals;
	int			ndeals;
} DealLead;

/* Number of a column; an error if there is none. */
extern int	table_column(TupleDesc desc, const char *name);

/* The rows of a transition table, by id. */
extern DealRow *deal_rows(Tuplestorestate *rows, TupleDesc desc, int *n);

/* Locks the leads' rows until the end of the transaction. */
extern void deal_leads_lock(const IdSet *leads);

/* The leads that there are, in order. */
extern DealLead *deal_leads_read(const IdSet *leads, int *n);

/* Those of the deals that others correct are added to "corrected". */
extern void deal_find_corrected(const IdSet *deals, IdSet *corrected);

/* One of the corrections that goes round in a circle instead of back to a deal; false if there is none. */
extern bool deal_find_circle(const IdSet *corrections, int64 *deal_id);

/* Tells that these deals were won: each owner, else the lead's. */
extern void deal_tell_won(const IdSet *deals);

/* Does a lead or an activity carry the campaign?  Holds up whoever would insert activities. */
extern bool campaign_is_used(int64 campaign_id);

#endif							/* LEADFLOW_DEAL_STORE_H */
