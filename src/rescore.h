/*-------------------------------------------------------------------------
 * rescore.h
 *	  The score state of many leads, computed from their activities.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_RESCORE_H
#define LEADFLOW_RESCORE_H

#include "ids.h"
#include "score_store.h"

/* Every lead's row anew, as far as it differs; the number of leads. */
extern int64 state_rescore(const Model *model);

/* Likewise for leads from .. to. */
extern int64 state_rescore_range(const Model *model, int64 from, int64 to);

/* Leads from .. to whose rows are not what they ought to be, in the current context. */
extern IdSet state_differing(const Model *model, int64 from, int64 to);

/*
 * Computes every lead's row for a model that is about to become the active one,
 * in memory and temporary files, without holding up anybody.  The next state_rescore() of
 * this transaction for that model uses it.  state_forget() if there is none.
 */
extern void state_prepare(const Model *model);
extern void state_forget(void);

#endif							/* LEADFLOW_RESCORE_H */
