/*-------------------------------------------------------------------------
 * contact.h
 *	  Whether a lead may be contacted, and messages that were sent.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CONTACT_H
#define LEADFLOW_CONTACT_H

#include "event_store.h"

/*
 * What follows from messages and withdrawals of these leads (DELTA_CONTACT), sorted by id; their
 * state rows are locked, and leads' own rows before them where something was withdrawn.
 */
extern void contact_flush(Delta *const *deltas, int n);

/*
 * Refuses what the flush would refuse as things are now, in its statement; the
 * flush asks once more, under the lock.
 */
extern void contact_check(const Model *model, const int64 *leads, int n);

/* All activities are gone. */
extern void contact_truncated(void);

/* What is kept of these leads is made anew; they are locked, state rows and all. */
extern void contact_repair(const int64 *leads, int n);

#endif							/* LEADFLOW_CONTACT_H */
