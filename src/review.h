/*-------------------------------------------------------------------------
 * review.h
 *	  Rejections under review.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_REVIEW_H
#define LEADFLOW_REVIEW_H

#include "move.h"

/* Opens and closes cases for a batch of moves; history is written, state rows are locked. */
extern void review_moves(const Move *moves, int n);

#endif							/* LEADFLOW_REVIEW_H */
