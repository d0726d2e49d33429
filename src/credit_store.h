/*-------------------------------------------------------------------------
 * credit_store.h
 *	  Credits of won deals.  All arrays are sorted by id, without duplicates.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CREDIT_STORE_H
#define LEADFLOW_CREDIT_STORE_H

#include "postgres.h"

/* Touches of these leads (state rows locked) changed: credits of their won deals are made anew. */
extern void credit_refresh_leads(const int64 *leads, int n);

/* Credits of these deals are made anew (deleted where a deal is not won any more). */
extern void credit_refresh_deals(const int64 *deals, int n);

/*
 * Deals or their contacts changed: locks the state rows of all leads that have a part
 * in them, and of "former", which had one; settles their WATCH_CREDIT; makes the credits anew.
 */
extern void credit_deals_changed(const int64 *deals, int ndeals,
								 const int64 *former, int nformer);

/* Deals were inserted: makes the rows that credits are locked by. */
extern void credit_deals_added(const int64 *deals, int n);

/* Attribution models changed: credits of all won deals are made anew under these (text[]). */
extern void credit_refresh_models(Datum models);

/*
 * Everything anew, watch bits too; returns how many credit rows came or went.
 * For what leaves no rows to go by: TRUNCATE, kinds of activities, repairs.
 */
extern int64 credit_rebuild(void);

#endif							/* LEADFLOW_CREDIT_STORE_H */
