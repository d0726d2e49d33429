/*-------------------------------------------------------------------------
 * identity_store.h
 *	  Rows of leads that are merged or erased, in every table.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_IDENTITY_STORE_H
#define LEADFLOW_IDENTITY_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "ids.h"

/* Two leads, one of which is to go. */
typedef struct Merge
{
	int64		keep;
	int64		duplicate;
	bool		adopt;			/* the duplicate's stage is the further one */
	char	   *stage;			/* the stage that the lead is in then */
	TimestampTz at;				/* when it is merged */
} Merge;

/* Which of the two went further, and when they are merged; refuses leads that were erased. */
extern void merge_look(Merge *merge);

/* Deals that a lead has a part in, ascending, in the current context. */
extern IdSet identity_deals(int64 lead_id);

/* Locks a lead's activities, which whoever changes one locks before anything else. */
extern void identity_lock_activities(int64 lead_id);

/*
 * In this order: what must be there before the lead moves, (the move,) what goes by
 * where it stands then, and the end of the duplicate.
 */
extern void merge_facts(const Merge *merge);
extern void merge_records(const Merge *merge);
extern void merge_end(const Merge *merge);

/*
 * For the triggers: is it a merge that gives rows of one lead to another? Call
 * _end() in PG_FINALLY.
 */
extern void identity_merge_begin(const Merge *merge);
extern void identity_merge_end(void);
extern bool identity_merges(int64 from, int64 to);

/* The person goes from every table; the lead and its state are locked. */
extern void identity_erase(int64 lead_id, TimestampTz at);

/* Leads were written (any order): those who were erased and are back are put on record. */
extern bool identity_any_erased(void);	/* costs next to nothing */
extern void identity_recognize(const int64 *leads, int n);

#endif							/* LEADFLOW_IDENTITY_STORE_H */
