/*-------------------------------------------------------------------------
 * sweep_store.h
 *	  What the sweep finds due.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_SWEEP_STORE_H
#define LEADFLOW_SWEEP_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "ids.h"

/* A run. */
typedef struct Sweep
{
	TimestampTz at;
	int64		left;			/* announcements and escalations that it may make still */
	int64		warned;
	int64		breached;
	int64		escalated;
} Sweep;

/* Leads whose revisit date has come by then: the first look, and, of those that are locked, what holds still. */
extern void sweep_find_revisits(TimestampTz at, IdSet *leads);
extern int	sweep_keep_revisits(TimestampTz at, int64 *leads, int n);

/* Announces what is due, breaches first; of leads that nobody else is writing. */
extern void sweep_announce(Sweep *sweep);

/* The breaches of these leads, whose state rows are locked. */
extern void sweep_announce_leads(Sweep *sweep, const IdSet *leads);

/* A clock that was breached, and whose breach has had no consequence yet. */
typedef struct Overdue
{
	int64		clock_id;
	int64		lead_id;
	int64		member_id;		/* who let it breach; 0 = nobody had it */
	TimestampTz due_at;
	const char *on_breach;
	const char *details;		/* of its notification */
	const char *stage;			/* where the lead stands */
	int64		owner_id;		/* who has it; 0 = nobody */
	int64		account_id;		/* 0 = none */
} Overdue;

/* Leads that have such clocks, and those that will once their breaches are announced: the first look. */
extern void sweep_find_unescalated(const Sweep *sweep, IdSet *leads);
extern void sweep_find_breached(const Sweep *sweep, IdSet *leads);

/* Up to "limit" such clocks of these leads, lead by lead. */
extern Overdue *sweep_overdue(const Sweep *sweep, const IdSet *leads, int64 limit, int *n);

/* Their breaches have had their consequence; those that were "told" are told to the members' managers, too. */
extern void sweep_escalated(Sweep *sweep, const Overdue *overdue, const bool *told, int n);

#endif							/* LEADFLOW_SWEEP_STORE_H */
