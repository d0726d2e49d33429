/*-------------------------------------------------------------------------
 * credit_store.h
 *	  Credits of won deals.  All arrays are sorted by id, without duplicates.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CREDIT_STORE_H
#define LEADFLOW_CREDIT_STORE_H

#include "postgres.h"

#include "ids.h"

/* Touches of these leads (state rows locked) changed: credits of their won deals are made anew. */
extern void credit_refresh_leads(const int64 *leads, int n);

/*
 * Leads (state rows locked) are created at another time: by their first MQL, or their row.  Those with
 * a part in won deals have the credits of these made anew.
 */
extern void credit_lead_created(const int64 *leads, int n);

/* Credits of these deals are made anew (deleted where a deal is not won any more). */
extern void credit_refresh_deals(const int64 *deals, int n);

/*
 * Deals or their contacts changed.  First the state rows of all leads that have a
 * part in the deals, and of the others given, are locked, in order; the result says
 * which.  When these leads have been moved, their WATCH_CREDIT is settled and the
 * credits are made anew.
 */
extern IdSet credit_lock_leads(const IdSet *deals, const IdSet *others);
extern IdSet credit_leads(const IdSet *deals, const IdSet *others); /* the same leads, not locked */
extern void credit_deals_changed(const IdSet *deals, const IdSet *former, const IdSet *locked);

/* Deals were inserted: makes the rows that credits are locked by. */
extern void credit_deals_added(const int64 *deals, int n);

/* Deals were deleted, and their credits are: the rows go, too. */
extern void credit_deals_deleted(const IdSet *deals);

/* Attribution models changed: credits of all won deals are made anew under these (text[]). */
extern void credit_refresh_models(Datum models);

/* Campaigns have other channels: credits under models that ask whether one is direct are made anew. */
extern void credit_channels_changed(void);

/*
 * Makes the credits of deals anew, and WATCH_CREDIT of leads, credit_leads() of the
 * deals among them, whose state rows are locked.
 */
extern void credit_repair(const IdSet *deals, const IdSet *locked);

/*
 * Everything anew, watch bits too; returns how many credit rows came or went.
 * For what leaves no rows to go by: TRUNCATE, kinds of activities, repairs.
 */
extern int64 credit_rebuild(void);

#endif							/* LEADFLOW_CREDIT_STORE_H */
