/*-------------------------------------------------------------------------
 * activity.h
 *	  Activities as they are written, and the flush at the end.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ACTIVITY_H
#define LEADFLOW_ACTIVITY_H

/* Completes all that follows from what the transaction wrote. */
extern void activity_flush(void);

#endif							/* LEADFLOW_ACTIVITY_H */
