/*-------------------------------------------------------------------------
 * contact_store.h
 *	  Rows that say whether a lead may be contacted: limits, permissions,
 *	  messages, reservations, violations.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CONTACT_STORE_H
#define LEADFLOW_CONTACT_STORE_H

#include "postgres.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "frequency.h"

extern const ContactRules *contact_rules(void);

/* Tables whose rows of one lead are read along an index. */
typedef enum ContactTable
{
	CONTACT_PERMISSIONS,
	CONTACT_ACTIVITIES,
	CONTACT_RESERVATIONS,
	CONTACT_HANDOFFS,
	CONTACT_HISTORY,
	CONTACT_TABLES
} ContactTable;

#define CONTACT_MAX_COLUMNS 5

/* What a lead's facts are read from; opened when it is needed. */
typedef struct ContactReader
{
	const ContactRules *rules;
	Snapshot	snapshot;
	MemoryContext context;
	Relation	leads;
	TupleTableSlot *lead;
	struct
	{
		Relation	rel;
		Relation	index;		/* NULL = the site has none, or partitions: ask by SQL */
		TupleTableSlot *slot;
		int			attnum[CONTACT_MAX_COLUMNS];
	}			tables[CONTACT_TABLES];
} ContactReader;

extern void contact_open(ContactReader *reader, const ContactRules *rules, Snapshot snapshot);
extern void contact_close(ContactReader *reader);

/* What of a lead is asked for. */
typedef struct ContactScope
{
	TimestampTz from;			/* messages not before */
	TimestampTz to;				/* and not after */
	TimestampTz earliest;		/* the first instant that will be asked about */
	bool		unsettled;		/* this transaction has withdrawals that are not kept yet */
} ContactScope;

/* False: there is no such lead.  All is in the current context. */
extern bool contact_read(ContactReader *reader, int64 lead_id, const ContactScope *scope,
						 ContactFacts *facts);

/* ---- reservations; the lead's state row is locked ---- */

extern int64 reservation_make(int64 lead_id, const char *channel, TimestampTz at, TimestampTz expires_at,
							  TimestampTz expired_by);
extern int64 reservation_lead(int64 id);	/* 0 = there is none that is open */
extern bool reservation_free(int64 id);
extern void reservations_forget(const int64 *leads, int n);	/* of leads that are gone */

/* Deletes what was redeemed or had expired by then, a portion of it; needs no lock. */
extern void reservations_purge(TimestampTz before);

/* ---- what a flush writes; state rows are locked ---- */

typedef struct ContactRedemption
{
	int64		reservation_id;
	pg_uuid_t	activity_id;
} ContactRedemption;

typedef struct ContactViolation
{
	int64		lead_id;
	TimestampTz occurred_at;
	pg_uuid_t	activity_id;
	const char *channel;
	const char *why;
	int64		limit_id;		/* 0 = none */
} ContactViolation;

extern void reservations_redeem(const ContactRedemption *redemptions, int n, TimestampTz at);
extern void violations_write(const ContactViolation *violations, int n, TimestampTz at);

/* Rows of messages that are gone, void, or none any more; NULL = of all leads. */
extern void violations_forget(const int64 *leads, int n);

/* Rows of messages that are judged once more. */
extern void violations_reopen(const ContactViolation *keys, int n);

/* Permissions that activities withdrew, made as the activities now are; NULL = of all leads. */
extern void withdrawals_derive(const int64 *leads, int n);

#endif							/* LEADFLOW_CONTACT_STORE_H */
