/*-------------------------------------------------------------------------
 * move.h
 *	  A move of a lead from one stage to another.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_MOVE_H
#define LEADFLOW_MOVE_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* Is a name that may be missing (NULL) this one? */
static inline bool
is(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* A move that was made: what the AFTER trigger found between OLD and NEW. */
typedef struct Move
{
	int64		lead_id;
	const char *from_stage;		/* NULL: the lead was inserted there */
	const char *to_stage;
	const char *from_category;	/* stages.category; NULL: inserted */
	const char *to_category;
	TimestampTz at;				/* leads.stage_since */
	int64		actor_id;		/* 0 = none */
	const char *team;			/* system, admin, marketing, sales, leadership */
	const char *reason;			/* NULL = none */
	const char *note;
	int64		owner_id;		/* after routing; 0 = nobody */
	int64		account_id;		/* 0 = none */
	int			cycle;			/* filled in with the history, as the next two */
	int64		history_id;
	bool		touched;		/* there may be a sales touch at or after it */
	int64		handoff_id;		/* filled in by the hand-off; 0 = none */
	const char *queue;			/* likewise, of a lead that is handed off; NULL = none */
	const char *why;			/* likewise: why this owner */
	bool		imported;		/* inserted in that stage: starts no clock */
	bool		joined;			/* inserted with an account */
	bool		quiet;			/* under leadflow.quiet: neither routed nor timed */
} Move;

#endif							/* LEADFLOW_MOVE_H */
