/*-------------------------------------------------------------------------
 * clock_store.h
 *	  SLA clocks and what sales touches do to hand-offs.
 *
 * All arrays of leads are sorted by id, without duplicates, and their state rows
 * are locked.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CLOCK_STORE_H
#define LEADFLOW_CLOCK_STORE_H

#include "move.h"

/*
 * Starts and stops clocks for a batch of moves, at most one a lead.  Called after
 * history and hand-off rows are written, so handoff_id and owner_id are final.
 */
extern void clock_moves(const Move *moves, int n);

/* Leads that are not with sales have another owner. */
extern void clock_owned(const int64 *leads, int n);

/* Cases of review were opened. */
typedef struct ReviewOpened
{
	int64		lead_id;
	int64		review_id;
	TimestampTz at;
	int64		owner_id;		/* of the lead; 0 = nobody */
} ReviewOpened;
extern void clock_reviews_opened(const ReviewOpened *opened, int n);

/* Cases of these leads were closed. */
extern void clock_reviews_closed(const int64 *leads, int n);

/*
 * Which activities of a kind are somebody's business who promised something: a sales
 * touch always is, what else by the promises that there are.
 */
extern bool clock_awaits_contact(void); /* two-way kinds */
extern bool clock_awaits_reply(void);	/* kinds that expect a reply */

/* Activities of such kinds came, went or changed. */
typedef struct ClockNews
{
	int64		lead_id;
	TimestampTz from;			/* none of them before that */
	TimestampTz inbound_at;		/* the first that expects a reply, not under leadflow.quiet; DT_NOEND = none */
	bool		loud;			/* not all was written under leadflow.quiet */
} ClockNews;
extern void clock_news(const ClockNews *news, int n);

/*
 * Whatever happened to these leads: handoffs.first_touch_at and touches, and their clocks
 * are derived anew; those that have stopped if the facts say otherwise, the others by policies
 * and calendars as they are now.  Harmless, if slow, for any lead at any time.
 */
extern void clock_settle(const int64 *leads, int n);

/* A lead's clocks stand still, [at, until), DT_NOEND = without an end; those pauses end that last then. */
extern void clock_pause(int64 lead_id, TimestampTz at, TimestampTz until, const char *reason, int64 actor_id);
extern void clock_resume(int64 lead_id, TimestampTz at);

/* Its clocks that stand still now. */
extern int64 clock_standing(int64 lead_id);

/*
 * A policy or a calendar is corrected: open clocks are due anew.  Before the statement it waits for
 * those who have settled clocks by what was, and until the end those who would wait for it.
 */
extern void clock_correct_begin(void);
extern void clock_correct(void);

/*
 * Judges stopped clocks that started in [from, to) by policies and calendars as they are now,
 * on record as done by that role; returns how many were found otherwise.  Locks the leads itself.
 */
extern int64 clock_restate(TimestampTz from, TimestampTz to, const char *role);

#endif							/* LEADFLOW_CLOCK_STORE_H */
