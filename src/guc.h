/*-------------------------------------------------------------------------
 * guc.h
 *	  Settings of a session: leadflow.clock, leadflow.actor, leadflow.max_clock_skew,
 *	  leadflow.quiet, leadflow.contact_limits, leadflow.notify.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_GUC_H
#define LEADFLOW_GUC_H

#include "postgres.h"
#include "datatype/timestamp.h"

extern char *leadflow_actor;	/* "" = not set */
extern int	leadflow_max_clock_skew;	/* seconds */
/* What becomes of a message that breaks a rule of contact. */
typedef enum ContactLimits
{
	CONTACT_STORE,
	CONTACT_REFUSE
} ContactLimits;

extern int	leadflow_contact_limits;	/* ContactLimits */
extern bool leadflow_quiet;		/* scores and history are kept, nothing else follows */
extern bool leadflow_notify;	/* notifications wake listeners when they are committed */

extern void guc_init(void);

/* The product's clock: leadflow.clock where it is set, else the transaction's start. */
extern TimestampTz clock_now(void);

/* The same, but the wall clock where leadflow.clock is not set: never before clock_now(). */
extern TimestampTz clock_wall(void);

/*
 * What follows from loud writes is loud, whatever the setting has become by
 * then: for the time between, leadflow.quiet is off.
 */
extern int	quiet_suspend(void);
extern void quiet_resume(int level);

/* What the engine itself writes until quiet_resume() is quiet. */
extern int	quiet_impose(void);

#endif							/* LEADFLOW_GUC_H */
