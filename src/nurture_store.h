/*-------------------------------------------------------------------------
 * nurture_store.h
 *	  Nurture programs, and who is in which.
 *
 * All arrays of leads are sorted by id, without duplicates; the leads' state rows are
 * locked.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_NURTURE_STORE_H
#define LEADFLOW_NURTURE_STORE_H

#include "postgres.h"

#include "condition.h"

typedef struct NurtureProgram
{
	int64		id;
	Condition  *condition;		/* NULL = every lead */
} NurtureProgram;

/* The active ones, in the order in which they are asked. */
typedef struct NurtureConfig
{
	NurtureProgram *programs;
	int			nprograms;
	bool		conditional;	/* does any of them ask for the lead? */
} NurtureConfig;

extern const NurtureConfig *nurture_config(void);

/* From now on, with the open row of their history, and the day to come back that they have or get. */
extern void nurture_enrol(int64 program_id, const int64 *leads, int n);

/* They have left, as the open row of their history says. */
extern void nurture_leave(const int64 *leads, int n);

#endif							/* LEADFLOW_NURTURE_STORE_H */
