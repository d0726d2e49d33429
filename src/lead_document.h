/*-------------------------------------------------------------------------
 * lead_document.h
 *	  Leads as JSON, as conditions ask them.
 *
 * The plain document is leadflow._lead_documents.doc: what clients write, and
 * nothing that the engine moves.  The scored one, for routing, nurture programs and
 * subscriptions, has besides
 *
 *	  score, fit, engagement	numbers, of the active model at the instant asked for
 *	  grade, level, rank, band	"A", 1, "A1", "hot"; grade null without a fit group
 *	  persona					its name, or null
 *	  cycle						how often the lead was recycled, plus one
 *	  stage, stage_reason		as leads has them (the reason null where there is none)
 *
 * Where no condition asks, don't make any: a scored document costs a look at the
 * lead, its account and its state.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_LEAD_DOCUMENT_H
#define LEADFLOW_LEAD_DOCUMENT_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "score_store.h"

typedef struct LeadDocument
{
	int64		lead_id;
	Jsonb	   *document;
} LeadDocument;

/*
 * Of those leads that are there, in id order, in the current context; one
 * statement whatever their number.  Read at the latest snapshot, what this transaction
 * did included.  "leads" is sorted by id.
 */
extern LeadDocument *lead_documents(const int64 *leads, int n, int *nfound);
extern LeadDocument *lead_documents_scored(const int64 *leads, int n, TimestampTz at, int *nfound);

/* One of them; NULL = it is not there. */
extern Jsonb *lead_document_find(const LeadDocument *documents, int n, int64 lead_id);

/* A scored document as it was when the lead entered a stage that it has left since. */
extern Jsonb *lead_document_in_stage(Jsonb *document, const char *stage);

/* A scored document as it would be with another score. */
extern Jsonb *lead_document_rescored(Jsonb *document, const ScoreRow *score);

#endif							/* LEADFLOW_LEAD_DOCUMENT_H */
