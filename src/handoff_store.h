/*-------------------------------------------------------------------------
 * handoff_store.h
 *	  Rows of handoffs, queues and whose turn it is.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_HANDOFF_STORE_H
#define LEADFLOW_HANDOFF_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "routing.h"

typedef struct Handoff
{
	int64		lead_id;
	int64		id;				/* filled in */
	TimestampTz offered_at;
	int64		owner_id;		/* 0 = nobody */
	const char *queue;			/* NULL = none */
	const char *why;
	const char *decision;		/* NULL = open; else decided when it was offered */
} Handoff;

/* Rows are made in the order given; at most one a lead. */
extern void handoff_open(Handoff *handoffs, int n);

/* The open rows of these leads are decided; ids (0 = there was none) go to the last argument. */
extern void handoff_decide(const int64 *leads, const TimestampTz *at, const char *const *decisions,
						   int n, int64 *ids);

/* Where leads go that nobody else gets. */
typedef struct HandoffTarget
{
	int64		queue_id;		/* 0 = none */
	const char *queue;
	int64		assignee_id;	/* 0 = none: the queue's turn */
	const char *rule;
} HandoffTarget;

extern HandoffTarget handoff_target(void);

/* Locks the queue until the end of the transaction; the members who take part, by id. */
extern RoutingMember *queue_enter(int64 queue_id, int *n);
extern void queue_leave(int64 queue_id, const RoutingMember *members, int n);

#endif							/* LEADFLOW_HANDOFF_STORE_H */
