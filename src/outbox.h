/*-------------------------------------------------------------------------
 * outbox.h
 *	  Notifications, written in the transaction of what they tell, and handed
 *	  out to those who send them.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_OUTBOX_H
#define LEADFLOW_OUTBOX_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/tuplestore.h"

#include "ids.h"
#include "move.h"

/*
 * Something that happened to a lead, for its natural recipient and whoever
 * subscribed to it.  The recipient if that is an active member, else the queue,
 * else the team; none of the three: subscriptions alone.
 */
typedef struct Notice
{
	int64		lead_id;		/* 0 = none */
	const char *event;			/* lead.mql … */
	int64		recipient_id;	/* 0 = none */
	const char *queue;			/* where nobody owns it; NULL = none */
	const char *team;			/* where there is no queue either; NULL = none */
	TimestampTz at;				/* when it happened */
	const char *details;		/* a JSON object for the payload; NULL = none */
	bool		alone;			/* no subscription is asked: another notice tells of the same */
	bool		to_marketing;	/* recipient: the owner of the lead's campaign, else team marketing */
	int64		subscription_id;	/* that subscription alone, whose condition holds; 0 = all that hold */
} Notice;

/*
 * The leads' state rows are locked, so that the ids of one lead are in order.
 * Under leadflow.quiet nothing is written.
 */
extern void outbox_add(const Notice *notices, int n);

/* What moves tell: lead.mql, lead.handed_off, lead.accepted, lead.rejected, nurture.due. */
extern void outbox_moves(const Move *moves, int n);

/* Leads in sales' hands that got another owner: lead.handed_off. */
extern void outbox_reassigned(const Move *moves, int n);

/* Characters of a text that details_clipped() keeps. */
#define DETAILS_CHARACTERS 200

/* Details of a notice: a JSON object, one key after the other; NULL and 0 are left out. */
extern void details_begin(StringInfo details);
extern void details_text(StringInfo details, const char *key, const char *value);
extern void details_clipped(StringInfo details, const char *key, const char *value);
extern void details_id(StringInfo details, const char *key, int64 value);
extern void details_number(StringInfo details, const char *key, double value);
extern void details_raw(StringInfo details, const char *key, const char *json);
extern void details_time(StringInfo details, const char *key, TimestampTz value);
extern char *details_end(StringInfo details);

/* ---- handing out (outbox_claim.c) ---- */

/*
 * Leases up to n notifications to a consumer, the oldest first, of each lead the
 * oldest alone, and puts them into a store, as claim_notifications() returns them.
 * Channel NULL = all.
 */
extern void outbox_claim(int n, const char *channel, const char *consumer, TimestampTz until,
						 Tuplestorestate *claims);

extern int64 outbox_ack(const IdSet *ids);	/* how many were not acknowledged before */

/* When it is tried again; DT_NOEND = not any more. */
extern TimestampTz outbox_fail(int64 id, const char *error);

extern int64 outbox_revive(const IdSet *ids);	/* dead ones are tried again; NULL = all; how many */

/* Deletes what was delivered long ago, a portion of it; is anything due? */
extern void outbox_purge(TimestampTz at);

/* What ended before "before" need not be kept; false: all is. */
extern bool outbox_retention(TimestampTz at, TimestampTz *before);
extern bool outbox_due(TimestampTz at);

/* Leads (bigint[]) that are gone have no notifications, nor others twice what is told once. */
extern void outbox_repair(Datum leads);

/* Wakes listeners on channel leadflow when the transaction commits. */
extern void outbox_wake(void);

#endif							/* LEADFLOW_OUTBOX_H */
