/*-------------------------------------------------------------------------
 * sweep_store.h
 *	  What the sweep finds due.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_SWEEP_STORE_H
#define LEADFLOW_SWEEP_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* What a sweep announced. */
typedef struct Announced
{
	int64		warned;
	int64		breached;
	int64		escalated;
} Announced;

extern Announced sweep_announce(TimestampTz at);

/* Leads whose revisit date has come by then, locked; in id order, palloc'd. */
extern int64 *sweep_revisits(TimestampTz at, int *n);

#endif							/* LEADFLOW_SWEEP_STORE_H */
