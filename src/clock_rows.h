/*-------------------------------------------------------------------------
 * clock_rows.h
 *	  Rows of sla_clocks, and what their leads' clocks depend on.
 *
 * All arrays of leads are sorted by id, without duplicates.  Callers are between
 * engine_enter() and engine_leave().
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CLOCK_ROWS_H
#define LEADFLOW_CLOCK_ROWS_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "clock.h"
#include "ids.h"

/* sla_clocks.state */
typedef enum ClockState
{
	CLOCK_RUNNING,
	CLOCK_WARNING,
	CLOCK_PAUSED,
	CLOCK_MET,
	CLOCK_BREACHED,
	CLOCK_CANCELLED
} ClockState;

extern const char *const clock_states[];

/* A history in which a clock ran, before it went on in another. */
typedef struct ClockLeg
{
	int64		merged_from;	/* 0 = the lead's own */
	TimestampTz until;			/* it was merged; DT_NOEND = it was not */
} ClockLeg;

typedef struct Clock
{
	int64		lead_id;
	int64		id;				/* 0 = not written yet */
	int64		policy_id;
	ClockMetric metric;
	ClockState	state;
	int64		member_id;		/* 0 = nobody */
	TimestampTz started_at;
	TimestampTz stopped_at;		/* DT_NOEND = it runs */
	TimestampTz due_at;
	TimestampTz warn_at;		/* DT_NOBEGIN = never */
	bool		warned;			/* announced */
	bool		breached;
	bool		answered;		/* what it waits for has happened */
	int64		calendar_id;	/* 0 = around the clock */
	int64		merged_from;	/* 0 = it goes by the lead's own history */
	int			nlegs;
	ClockLeg   *legs;			/* where it ran before, in order */
	int64		target;			/* microseconds */
	int64		warn_after;		/* -1 = never */
	int			target_count;	/* 0 = no attempts */
	TimestampTz counted_from;
	int64		carried;
	/* what started it: 0 = none; the hand-off of new ones alone */
	int64		handoff_id;
	int64		history_id;
	int64		review_id;
	bool		has_activity;
	pg_uuid_t	activity_id;
} Clock;

/* A clock as it was written, and what happened to it by the facts. */
typedef struct ClockFact
{
	Clock		clock;
	TimestampTz stopped_at;		/* DT_NOEND = it runs */
	bool		answered;
	int64		owner_id;		/* of the lead, now */
} ClockFact;

/*
 * Whoever derives clocks holds the table, before it loads policies and calendars: what it loads
 * then stays so until its transaction ends, since who corrects them waits for it, and holds up
 * those who come later.  Nor does a statement of its own wait for the table, with a snapshot from before.
 */
extern void clocks_hold(void);
extern void clocks_hold_to_correct(void);

/* Who restates waits for leads, whose clocks somebody may come to who waits behind a correction: no correction waits meanwhile. */
extern void clocks_hold_to_restate(void);

/* Those of these leads that run or stopped at or after "from"; by lead.  "touches": only what activities settle. */
extern ClockFact *clocks_read(const int64 *leads, int n, TimestampTz from, bool touches, int *found);

extern void clocks_insert(const Clock *const *clocks, int n);
extern void clocks_delete(const IdSet *ids);

/* What is announced (warned, breached) can be forgotten, not set. */
extern void clocks_update(const Clock *const *clocks, int n);

/* An inbound that expects a reply. */
typedef struct Inbound
{
	int64		lead_id;
	pg_uuid_t	id;
	TimestampTz at;
	TimestampTz ended_at;		/* DT_NOEND = not yet */
	bool		answered;
	int64		owner_id;		/* of the lead, now */
	const char *stage;			/* that it stood in then; NULL = it was not there yet */
} Inbound;

/*
 * Those that had to wait until "from" or longer, by lead and time: since the first that the lead
 * has a clock for, or "inbound_at" (DT_NOEND = there is none).
 */
extern Inbound *inbounds_read(const int64 *leads, const TimestampTz *inbound_at, const TimestampTz *from, int n, int *found);

/* From then on the lead was theirs. */
typedef struct Ownership
{
	int64		lead_id;
	int64		merged_from;
	TimestampTz from;
	int64		member_id;		/* 0 = nobody */
	bool		recorded;		/* false: no hand-off says whose it is */
} Ownership;

typedef struct LeadPause
{
	int64		lead_id;
	int64		merged_from;
	ClockPause	pause;
} LeadPause;

/* What clocks of these leads depend on besides their own facts. */
typedef struct ClockCourse
{
	Ownership  *owners;			/* by lead, merged_from, time */
	int			nowners;
	LeadPause  *pauses;			/* likewise */
	int			npauses;
} ClockCourse;

/* A pause of the lead's own; until DT_NOEND = without an end. */
extern void pause_add(int64 lead_id, TimestampTz at, TimestampTz until, const char *reason, int64 actor_id);

/* Ends those that last then; false = there is none. */
extern bool pause_end(int64 lead_id, TimestampTz at);

extern void course_read(const int64 *leads, int n, ClockCourse *course);
extern void course_read_pauses(const int64 *leads, int n, ClockCourse *course);

/* What concerns a clock: of each history in which it ran, the part of that time. */
extern const Ownership *course_owners(const ClockCourse *course, const Clock *clock, int *n);
extern const LeadPause *course_pauses(const ClockCourse *course, const Clock *clock, int *n);

#endif							/* LEADFLOW_CLOCK_ROWS_H */
