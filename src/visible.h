/*-------------------------------------------------------------------------
 * visible.h
 *	  Which leads the caller may see.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_VISIBLE_H
#define LEADFLOW_VISIBLE_H

#include "postgres.h"

/*
 * May the caller see that lead?  Functions of one lead answer nothing for a
 * lead that row-level security hides, and need SELECT on leads.
 */
extern bool lead_visible(int64 lead_id);

#endif							/* LEADFLOW_VISIBLE_H */
