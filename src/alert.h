/*-------------------------------------------------------------------------
 * alert.h
 *	  What somebody wants to hear of when a flush has changed scores.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ALERT_H
#define LEADFLOW_ALERT_H

#include "postgres.h"

#include "score_store.h"
#include "subscription.h"

/* One lead of which there is something to tell. */
typedef struct Alert
{
	int64		lead_id;
	int			what;			/* ALERT_… bits, alert.c */
	TimestampTz at;				/* instant of the scores */
	TimestampTz engaged_at;
	ScoreRow	before;
	ScoreRow	after;
} Alert;

/* Those of a flush, in the order of leads. */
typedef struct Alerts
{
	const Model *model;
	const SubscriptionConfig *config;
	TimestampTz now;
	MemoryContext context;
	Alert	   *alerts;
	int			n;
	int			room;
} Alerts;

extern void alerts_begin(Alerts *alerts, const Model *model, TimestampTz now);

/* Keeps what is needed of a row that is about to be changed, in the current context. */
extern void alert_before(const Alerts *alerts, const StateRow *row, StateRow *before);

/* What a change of a lead's row means, if anybody wants to know. */
extern void alert_lead(Alerts *alerts, const Delta *delta, const StateRow *before,
					   const StateRow *after, bool promoted, bool open_deal);

/* Tells of the activities that subscriptions matched; then, when all moves are made, of the leads. */
extern void alert_matched(Delta *const *deltas, int n);
extern void alerts_tell(Alerts *alerts);

#endif							/* LEADFLOW_ALERT_H */
