/*-------------------------------------------------------------------------
 * review_store.h
 *	  Cases of review and the votes on them.
 *
 * All arrays of leads are sorted by id, without duplicates; the leads' state rows are
 * locked.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_REVIEW_STORE_H
#define LEADFLOW_REVIEW_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "outbox.h"

/* An open case, and how it stands. */
typedef struct ReviewCase
{
	int64		id;
	int64		lead_id;
	const char *stage;			/* that the lead was sent to */
	bool		stands;			/* the lead is there still */
	const char *reason;			/* NULL = none */
	TimestampTz due_at;
	int64		uphold;			/* votes */
	int64		overturn;
	int64		needed;
	const char *outcome;		/* uphold or overturn, decided by the votes; NULL = not yet */
} ReviewCase;

/* What keeps a case from being opened: one about the same move that was closed. */
typedef enum ReviewOpening
{
	REVIEW_UNDECIDED,			/* with any verdict */
	REVIEW_UNVOTED				/* by votes: who contests may have what time has upheld looked at */
} ReviewOpening;

/*
 * Opens cases about the stage that these leads stand in, dated with the move, but not before
 * "at"; returns what there is to tell.
 */
extern Notice *review_open(const int64 *leads, int n, TimestampTz at, ReviewOpening opening, int *nopened);

/* The lead has left the stage, or its reason isn't reviewed any more. */
extern void review_close(const int64 *leads, int n);

/* Reason and note of open cases, as history has them now. */
extern void review_correct(const int64 *leads, int n);

/* Leads of cases that are due by then, at most "limit", the oldest first; palloc'd. */
extern int64 *review_due(TimestampTz at, int limit, int *n);

/* The open cases of these leads, by lead. */
extern ReviewCase *review_cases(const int64 *leads, int n, int *nfound);
extern bool review_case(int64 lead_id, ReviewCase *found);

/* verdict NULL: closed without one. */
extern void review_decide(const int64 *leads, int n, const char *verdict, const char *closed_by,
						  TimestampTz at);

/* Why a member may not vote on a case; NULL = may. */
extern char *review_partial(int64 review_id, int64 member_id);
extern void review_vote(int64 review_id, int64 reviewer_id, const char *verdict, const char *note,
						TimestampTz at);

extern void review_contest(int64 review_id, int64 member_id, const char *note, TimestampTz at);

/* Where a lead stands; reason NULL = none. */
extern void review_standing(int64 lead_id, const char **stage, const char **reason);

#endif							/* LEADFLOW_REVIEW_STORE_H */
