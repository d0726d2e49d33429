/*-------------------------------------------------------------------------
 * guc.h
 *	  Settings of a session: leadflow.clock, leadflow.actor, leadflow.max_clock_skew.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_GUC_H
#define LEADFLOW_GUC_H

#include "postgres.h"
#include "datatype/timestamp.h"

extern char *leadflow_actor;	/* "" = not set */
extern int	leadflow_max_clock_skew;	/* seconds */

extern void guc_init(void);

/* The product's clock: leadflow.clock where it is set, else the transaction's start. */
extern TimestampTz clock_now(void);

/* The same, but the wall clock where leadflow.clock is not set: never before clock_now(). */
extern TimestampTz clock_wall(void);

#endif							/* LEADFLOW_GUC_H */
