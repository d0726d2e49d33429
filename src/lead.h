/*-------------------------------------------------------------------------
 * lead.h
 *	  Rows of leads as the triggers see them.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_LEAD_H
#define LEADFLOW_LEAD_H

#include "postgres.h"
#include "utils/rel.h"

#include "move.h"

/* The columns that the lifecycle looks at; the others are the client's alone. */
typedef enum LeadColumn
{
	LEAD_ID,
	LEAD_EMAIL,
	LEAD_ACCOUNT_ID,
	LEAD_STAGE,
	LEAD_STAGE_REASON,
	LEAD_STAGE_NOTE,
	LEAD_STAGE_BY,
	LEAD_STAGE_SINCE,
	LEAD_REVISIT_ON,
	LEAD_OWNER_ID,
	LEAD_STAGE_ACTOR_ID,
	LEAD_STAGE_TEAM,
	LEAD_EMAIL_KEY,
	LEAD_ERASED_AT,
	LEAD_CREATED_AT,
	LEAD_COLUMNS
} LeadColumn;

typedef struct LeadShape
{
	TupleDesc	desc;
	AttrNumber	attnum[LEAD_COLUMNS];
} LeadShape;

/* A row, taken apart */
typedef struct LeadRow
{
	const LeadShape *shape;
	Datum	   *values;
	bool	   *isnull;
} LeadRow;

#define LEAD_DATUM(row, column) ((row)->values[(row)->shape->attnum[column] - 1])
#define LEAD_ISNULL(row, column) ((row)->isnull[(row)->shape->attnum[column] - 1])

extern void lead_shape(LeadShape *shape, Relation rel);
extern int64 lead_int64(const LeadRow *row, LeadColumn column);	/* 0 for NULL */
extern char *lead_text(const LeadRow *row, LeadColumn column);	/* NULL for NULL */

/* A row of leads that a statement changed, as far as anything follows from it. */
typedef struct LeadUpdate
{
	Move		before;			/* the move by which it had come where it was */
	Move		move;			/* the row as it is now; a move if the stage changed */
	int64		old_owner;
	bool		moved;
	bool		owner_given;	/* by the client, in the same statement */
	bool		corrected;		/* reason or note, without a move */
	bool		attributes;		/* anything that the lead's document may have */
	bool		joined;			/* another account */
	bool		created;		/* at another time */
} LeadUpdate;

/* transition.c, for the statement triggers; arrays are sorted by lead. */
extern void transition_added(Move *moves, int n);
extern void transition_changed(LeadUpdate *changes, int n);

#endif							/* LEADFLOW_LEAD_H */
