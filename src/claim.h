/*-------------------------------------------------------------------------
 * claim.h
 *	  Leads that wait and leads that change hands.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CLAIM_H
#define LEADFLOW_CLAIM_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* Leads that wait in queues where somebody is there by then, in id order. */
extern int64 *claim_waiting(TimestampTz at, int *n);

/*
 * Gives those of them that wait still to whoever is there; how many.  They and their state rows
 * are locked: after the first lead is routed there is none to wait for.
 */
extern int64 claim_release(const int64 *leads, int n, TimestampTz at);

#endif							/* LEADFLOW_CLAIM_H */
