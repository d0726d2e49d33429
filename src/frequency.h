/*-------------------------------------------------------------------------
 * frequency.h
 *	  May a lead be contacted: permissions, and how many messages there may be
 *	  (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_FREQUENCY_H
#define LEADFLOW_FREQUENCY_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/uuid.h"

#include "points.h"
#include "stage.h"

/* Rows of contact_limits that are in force. */
typedef struct ContactLimit
{
	int64		id;
	const char *name;
	const char *stage;			/* NULL = see category */
	const char *category;		/* NULL = any */
	const char *channel;		/* NULL = all together */
	int			max;			/* -1 = no such rule */
	int64		per;			/* microseconds */
	const char *per_text;
	int			roles;			/* that count, as bits 1 << ActivityRole */
	int64		after_handoff;	/* microseconds, 0 = no such rule */
	const char *after_text;
} ContactLimit;

/* A registered kind of activity, as far as it matters here. */
typedef struct ContactKind
{
	const char *name;
	int			len;
	ActivityRole role;
	const char *channel;		/* NULL = none */
	bool		message;		/* sent by us, on a channel */
	bool		counts;			/* under a limit */
} ContactKind;

typedef struct ContactRules
{
	bool		requires_permission;
	int64		hold;			/* of a reservation, microseconds */
	int			nlimits;
	ContactLimit *limits;		/* by id */
	bool		scoped;			/* a limit goes by stage or category */
	bool		after_handoff;	/* a limit has that */
	Lifecycle	lifecycle;		/* stages alone */
	uint32		nslots;			/* a power of two */
	ContactKind **slots;		/* by hash, open addressing */
} ContactRules;

/* An activity that is a message, or that a limit counts. */
typedef struct ContactItem
{
	TimestampTz at;
	pg_uuid_t	id;
	const ContactKind *kind;
} ContactItem;

/* A place that is kept for a message. */
typedef struct ContactReservation
{
	int64		id;
	const char *channel;
	TimestampTz at;
	TimestampTz expires_at;
	bool		redeemed;
} ContactReservation;

typedef struct ContactPermission
{
	TimestampTz at;
	int64		id;
	bool		granted;
	const char *status;
	const char *channel;
} ContactPermission;

/* Since when a lead has been in a stage. */
typedef struct ContactStay
{
	TimestampTz since;
	const Stage *stage;			/* NULL = unknown */
} ContactStay;

/* What is known of a lead; arrays by time. */
typedef struct ContactFacts
{
	int64		lead_id;
	bool		do_not_contact;
	int			nstays;
	ContactStay *stays;
	int			npermissions;
	ContactPermission *permissions;
	int			nhandoffs;
	TimestampTz *handoffs;
	int			nitems;
	ContactItem *items;
	int			nreservations;
	ContactReservation *reservations;	/* that are open, in no order */
} ContactFacts;

/*
 * The places that are taken under one limit, each from its start to its end; sorted
 * apart, which is all that counting takes.
 */
typedef struct Coverage
{
	int			n;
	int			room;
	TimestampTz *starts;
	TimestampTz *ends;
} Coverage;

/* What is asked, and what stands against it. */
typedef struct ContactQuestion
{
	const char *channel;
	bool		by_sales;		/* a sales touch; else a message of marketing, or of nobody yet */
	bool		ahead;			/* nor may it take the place of what lies later */
	TimestampTz at;
	/* answer */
	StringInfo	why;			/* all that stands against it; NULL = stop at the first */
	int64		limit_id;		/* the first limit among them */
} ContactQuestion;

extern TimestampTz instant_after(TimestampTz at, int64 microseconds);
extern TimestampTz instant_before(TimestampTz at, int64 microseconds);
extern const char *instant_text(TimestampTz at);	/* in UTC */

extern void contact_kinds_index(ContactRules *rules, ContactKind *kinds, int n);
extern const ContactKind *contact_kind(const ContactRules *rules, const char *name, int len);

extern int64 contact_reach(const ContactRules *rules, const char *channel);

/*
 * Places under each of the limits, but for items for which leave_out says so (NULL: none).
 * Reservations count until they expire; those that are open at "live_at" as messages do (DT_NOEND: none).
 */
extern Coverage *contact_coverage(const ContactRules *rules, const ContactFacts *facts, TimestampTz live_at,
								  const bool *leave_out);

/* Adds one to those that are added afterwards, in order of time. */
extern void contact_cover(const ContactRules *rules, Coverage *fresh, const ContactItem *item);

extern bool contact_allowed(const ContactRules *rules, const ContactFacts *facts,
							const Coverage *taken, const Coverage *fresh, ContactQuestion *question);
extern TimestampTz contact_next(const ContactRules *rules, const ContactFacts *facts,
								const Coverage *taken, const char *channel, TimestampTz at);

#endif							/* LEADFLOW_FREQUENCY_H */
