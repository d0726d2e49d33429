/*-------------------------------------------------------------------------
 * clock.h
 *	  Clocks of service levels: the pure rules (row 1).  See clock.c.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CLOCK_H
#define LEADFLOW_CLOCK_H

#include "calendar.h"
#include "move.h"

typedef enum ClockMetric
{
	TIME_TO_HANDOFF,
	TIME_TO_ACCEPT,
	TIME_TO_FIRST_TOUCH,
	TIME_TO_FIRST_CONTACT,
	TIME_TO_NURTURE,
	ATTEMPTS,
	NEXT_RESPONSE,
	TIME_IN_STAGE,
	TIME_TO_REVIEW
} ClockMetric;

#define CLOCK_METRICS (TIME_TO_REVIEW + 1)

typedef struct ClockRule
{
	const char *name;			/* sla_policies.metric */
	bool		touches;		/* activities stop it */
	bool		with_sales;		/* it runs only while sales has the lead */
	bool		(*starts) (const Move *move);	/* does it?  NULL = no move does */
	bool		(*ends) (const Move *move); /* may it, if one runs?  NULL = likewise */
	bool		(*stops) (const Move *move);	/* does the first such after its start?  NULL = likewise */
	bool		(*answers) (const Move *move);	/* is that what it waits for?  NULL = no */
} ClockRule;

extern const ClockRule clock_rules[CLOCK_METRICS];

/* The metric of that name; -1 = it has no clocks. */
extern int	clock_metric(const char *name);

/* From then on it counts in this calendar; NULL = around the clock. */
typedef struct ClockSpan
{
	TimestampTz from;
	const Calendar *calendar;
} ClockSpan;

/* It stands still, [from, until); DT_NOEND = until further notice. */
typedef struct ClockPause
{
	TimestampTz from;
	TimestampTz until;
} ClockPause;

typedef struct ClockTerms
{
	TimestampTz started_at;
	TimestampTz stopped_at;		/* DT_NOEND = it runs */
	int64		target;			/* microseconds of working time, > 0 */
	int64		warn_after;		/* likewise, at most the target; -1 = no warning */
	int			nspans;
	const ClockSpan *spans;		/* in order; the first has begun when the clock starts */
	int			npauses;
	const ClockPause *pauses;	/* in order of from; they may overlap */
} ClockTerms;

typedef struct ClockReckoning
{
	int64		carried;		/* working time before counted_from */
	TimestampTz counted_from;	/* since then without a break; DT_NOEND = it stands still for good */
	const Calendar *calendar;	/* in this one */
	TimestampTz due_at;
	TimestampTz warn_at;		/* DT_NOBEGIN = never */
	const Calendar *closed;		/* not open for long enough, so left out of account; NULL = none */
} ClockReckoning;

extern void clock_reckon(const ClockTerms *terms, ClockReckoning *reckoning);

/* Is it open for that long within the horizon? Then clock_deadline() can't fail. */
extern bool clock_can_count(const Calendar *calendar, TimestampTz from, int64 target);
extern TimestampTz clock_deadline(const Calendar *calendar, TimestampTz from, int64 usecs);

#endif							/* LEADFLOW_CLOCK_H */
