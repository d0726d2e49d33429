/*-------------------------------------------------------------------------
 * claim.h
 *	  Leads that wait and leads that change hands.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CLAIM_H
#define LEADFLOW_CLAIM_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* Gives waiting leads to whoever is there by then; how many.  Locks leads, state, queues: call it last. */
extern int64 claim_release(TimestampTz at);

#endif							/* LEADFLOW_CLAIM_H */
