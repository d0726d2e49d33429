/*-------------------------------------------------------------------------
 * activity.h
 *	  Activities as they are written, and the flush at the end.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ACTIVITY_H
#define LEADFLOW_ACTIVITY_H

/* Completes all that follows from what the transaction wrote, which is about to end. */
extern void activity_flush(void);

/* The same for a transaction that goes on. */
extern void activity_settle(void);

#endif							/* LEADFLOW_ACTIVITY_H */
