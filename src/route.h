/*-------------------------------------------------------------------------
 * route.h
 *	  Who gets a lead that is handed to sales.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ROUTE_H
#define LEADFLOW_ROUTE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"

#include "ids.h"

typedef struct RouteLead
{
	int64		lead_id;		/* 0 = nobody real */
	int64		owner_id;		/* that it has; 0 = nobody */
	int64		account_id;		/* 0 = none */
	bool		returns;		/* it may have been in sales' hands before: history is asked */
	bool		another;		/* not to any of those who had it in that cycle */
	const IdSet *barred;		/* nor to these, whatever history says; NULL = none */
	bool		counted;		/* among the owner's leads in hand already */
	Jsonb	   *document;		/* NULL = read where a condition asks */

	/* what came of it */
	int64		taker_id;		/* 0 = nobody: it waits */
	const char *taker;
	const char *queue;			/* NULL = none */
	const char *rule;			/* NULL = none was asked, or there is none */
	const char *why;
	int64		follows;		/* the lead of the account whose owner it is; 0 = none */
	bool		later;			/* nobody's turn now, but the queue has somebody who could have it some day */
} RouteLead;

/*
 * The leads are sorted by id and locked, their state rows, too; queues that are asked stay
 * locked until the end of the transaction, and turns are booked.
 */
extern void route_leads(RouteLead *leads, int n, TimestampTz at);

/* Before several batches of one transaction: locks all queues, so that none comes after its turn. */
extern void route_hold(void);

/* The same without a lock, and without taking a turn. */
extern void route_preview(RouteLead *leads, int n, TimestampTz at);

/* Turns of one queue, whatever the rules say, for leads that "barred" is not to get; false = no such queue. */
extern bool route_queue(RouteLead *leads, int n, const char *queue, int64 barred, TimestampTz at);

/* The queue of leads that no condition is for; NULL = there is none. */
extern const char *route_last_queue(void);

/* How many leads those of a queue could take who are present and at work: 0 = nobody is, -1 = any number. */
extern int64 route_queue_room(const char *queue, TimestampTz at);

#endif							/* LEADFLOW_ROUTE_H */
