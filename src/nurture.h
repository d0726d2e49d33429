/*-------------------------------------------------------------------------
 * nurture.h
 *	  Who is in which nurture program.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_NURTURE_H
#define LEADFLOW_NURTURE_H

#include "move.h"

/* Enrols leads that enter nurture, and ends the enrolment of those that leave it; state rows are locked. */
extern void nurture_moves(const Move *moves, int n);

#endif							/* LEADFLOW_NURTURE_H */
