/*-------------------------------------------------------------------------
 * clock_store.h
 *	  SLA clocks and what sales touches do to hand-offs.
 *
 * All arrays of leads are sorted by id, without duplicates.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CLOCK_STORE_H
#define LEADFLOW_CLOCK_STORE_H

#include "move.h"

/*
 * Starts and stops clocks for a batch of moves, at most one a lead (leads'
 * state rows are locked).  Called after history and hand-off rows are
 * written, so handoff_id and owner_id are final.
 */
extern void clock_moves(const Move *moves, int n);

/*
 * Sales touches of these leads were recorded, changed, voided or deleted, or
 * their owner changed (hand-off rows written): handoffs.first_touch_at and
 * touches, end, state and member of their clocks are derived anew.  State
 * rows are locked.  Harmless, if slow, for any lead at any time.
 */
extern void clock_settle(const int64 *leads, int n);

/* A policy or a calendar was corrected: open clocks are due anew. */
extern void clock_correct(void);

#endif							/* LEADFLOW_CLOCK_STORE_H */
