/*-------------------------------------------------------------------------
 * event_store.h
 *	  What a transaction did to leads, until it is flushed.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_EVENT_STORE_H
#define LEADFLOW_EVENT_STORE_H

#include "limit.h"

/* Delta.flags */
#define DELTA_RECOMPUTE	0x01	/* compute the sums from the activities */
#define DELTA_FIT		0x02	/* attributes changed */
#define DELTA_TOUCH		0x04	/* what hand-offs and clocks go by came, went or changed */
#define DELTA_CAMPAIGN	0x08	/* an engagement with a campaign came, went or changed */
#define DELTA_REMOVED	0x10	/* evidence may have been taken away */
#define DELTA_INSERTED	0x20	/* activities were inserted: the lead must exist */
#define DELTA_LOUD		0x40	/* not all was written under leadflow.quiet: the gate is asked */
#define DELTA_JOINED	0x80	/* the lead joined an account */
#define DELTA_MESSAGE	0x100	/* messages were sent, which are to be judged */
#define DELTA_UNSENT	0x200	/* a message went or changed */
#define DELTA_WITHDRAWN	0x400	/* a withdrawal of permission came, went or changed */
#define DELTA_ADDED		0x800	/* the lead is new, no import: its score was 0 before */
#define DELTA_CONTACT	(DELTA_MESSAGE | DELTA_UNSENT | DELTA_WITHDRAWN)

/* A message that is to be judged: the rest of its key is the lead. */
typedef struct SentMessage
{
	TimestampTz at;
	pg_uuid_t	id;
	bool		refuse;			/* rather than store it against a rule */
} SentMessage;

/* An activity that a subscription wants to hear of. */
typedef struct Matched
{
	int64		subscription_id;
	TimestampTz at;
	pg_uuid_t	id;
} Matched;

/* What one (sub)transaction did to one lead. */
typedef struct Delta
{
	int64		lead_id;
	int			flags;
	TimestampTz last_at;		/* DT_NOBEGIN = nothing counted */
	TimestampTz last_engaged_at;
	TimestampTz last_touch_at;
	TimestampTz clock_from;		/* of DELTA_TOUCH: none before that; DT_NOEND = none */
	TimestampTz inbound_at;		/* first that expects a reply, but for quiet loads; DT_NOEND = none */
	TimestampTz hand_raised_at;
	pg_uuid_t	hand_raised_by;
	TimestampTz disqualified_at;	/* DT_NOEND = none */
	int64		disqualified_by;
	TimestampTz trigger_at;		/* last activity that earned something */
	pg_uuid_t	trigger;
	Window		window;			/* what rules with a limit matched; not in the sums */
	SentMessage *messages;
	int			nmessages;
	int			maxmessages;
	int			nmatched;
	int			maxmatched;
	Matched    *matched;		/* in the order in which they were written */
	double		sums[FLEXIBLE_ARRAY_MEMBER];	/* by group, scaled to last_at */
} Delta;

extern void event_store_init(void (*flush) (void));

/* The present (sub)transaction's delta of a lead, made if it is not there. */
extern Delta *event_delta(const Model *model, int64 lead_id);

/* Forgets everything. */
extern void event_forget(void);

/* The state rows are being computed from the activities: the sums are in them. */
extern void event_recompute(void);

/* Is there anything that is not flushed? */
extern bool event_pending(void);

/* An activity that a rule with a limit matched. */
extern void event_limited(const Model *model, Delta *delta, const LimitEntry *entry);

/* A message was sent. */
extern void event_message(Delta *delta, TimestampTz at, const pg_uuid_t *id, bool refuse);

/* What flags a lead's deltas have, of those that are not flushed. */
extern int	event_flags(int64 lead_id);
/* An activity to tell of; "once": one of them is enough. */
extern void event_matched(Delta *delta, const Matched *matched, bool once);

/* All of a lead's deltas together, in the current context; NULL = none. */
extern Delta *event_peek(const Model *model, int64 lead_id);

/*
 * Takes everything out for a flush, merged and sorted by lead, in the current
 * context. It comes back if the present subtransaction is rolled back.
 */
extern Delta **event_take(const Model *model, int *n);

#endif							/* LEADFLOW_EVENT_STORE_H */
