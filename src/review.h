/*-------------------------------------------------------------------------
 * review.h
 *	  Rejections under review.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_REVIEW_H
#define LEADFLOW_REVIEW_H

#include "datatype/timestamp.h"

#include "move.h"

/*
 * Opens and closes cases for a batch of moves; history is written, state rows are
 * locked, here and below.
 */
extern void review_moves(const Move *moves, int n);

/* Reason or note was corrected, without a move; and those of which it was the reason. */
extern void review_noted(const Move *moves, int n);
extern void review_corrected(const Move *moves, int n);

/*
 * The sweep: what is due by then and undecided is upheld.  First the leads, then, once they and their
 * state rows are locked, the rest.
 */
extern int64 *review_overdue(TimestampTz at, int *n);
extern void review_expire(const int64 *leads, int n, TimestampTz at);

#endif							/* LEADFLOW_REVIEW_H */
