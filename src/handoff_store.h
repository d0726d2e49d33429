/*-------------------------------------------------------------------------
 * handoff_store.h
 *	  Rows of handoffs, queues as configured, and whose turn it is.
 *
 * All arrays of leads are sorted by id, without duplicates.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_HANDOFF_STORE_H
#define LEADFLOW_HANDOFF_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "condition.h"
#include "ids.h"
#include "routing.h"

/* ---- as configured ---- */

typedef enum RoutingStrategy
{
	ROUTE_ROUND_ROBIN,
	ROUTE_LEAST_LOADED,
	ROUTE_OWNER
} RoutingStrategy;

/* Members as indexes into people, in order of id, with weights > 0. */
typedef struct RoutingQueue
{
	int64		id;
	const char *name;
	int			nmembers;
	int		   *members;
	int64	   *weights;
} RoutingQueue;

typedef struct RoutingRule
{
	const char *name;			/* NULL: no rule at all, the oldest queue takes it */
	Condition  *condition;		/* NULL = every lead */
	int			queue;			/* into queues; -1 = none */
	int			assignee;		/* into people; -1 = none */
	RoutingStrategy strategy;
} RoutingRule;

typedef struct RoutingConfig
{
	RoutingPerson *people;		/* by id */
	int			npeople;
	RoutingQueue *queues;		/* by id */
	int			nqueues;
	RoutingRule *rules;			/* in the order in which they are asked */
	int			nrules;
	bool		conditional;	/* a rule has a condition */
} RoutingConfig;

extern const RoutingConfig *routing_config(void);

/* Does a member work at that instant, by the calendar? */
extern bool routing_at_work(const RoutingPerson *person, TimestampTz at);

/* ---- rows of handoffs ---- */

typedef struct Handoff
{
	int64		lead_id;
	int64		id;				/* filled in */
	TimestampTz offered_at;
	int64		owner_id;		/* 0 = nobody */
	const char *queue;			/* NULL = none */
	const char *why;
	const char *decision;		/* NULL = open; else decided when it was offered */
} Handoff;

/* handoffs.why of a lead that was passed on within sales: no new offer. */
#define WHY_REASSIGNED	"reassigned"
#define WHY_TAKEN_OVER	"taken over"
#define WHY_BREACHED	"service level breached"
extern bool handoff_was_passed_on(const char *why);

/* Rows are made in the order given; at most one a lead. */
extern void handoff_open(Handoff *handoffs, int n);

/*
 * The open rows of these leads are decided, none before it was somebody's: "at" is when that is,
 * afterwards.  Ids (0 = there was none) go to the last argument.
 */
extern void handoff_decide(const int64 *leads, TimestampTz *at, const char *const *decisions,
						   int n, int64 *ids);

/* Raises each instant to when the lead was last offered or given to somebody. */
extern void handoff_not_before(const int64 *leads, TimestampTz *at, int n);

/* Leads that waited got owners (0 = still nobody); queue and why NULL = as they are; ids as above. */
extern void handoff_assign(const int64 *leads, const int64 *owners, const char *const *queues,
						   const char *const *why, TimestampTz at, int n, int64 *ids);

/* A lead that waits for somebody. */
typedef struct WaitingLead
{
	int64		lead_id;
	int64		account_id;		/* 0 = none */
	bool		another;		/* the engine brought it back from a rejection */
} WaitingLead;

/* Queues in which leads wait, in order of name; NULL stands for no queue, and is the last. */
extern char **waiting_queues(int *n);

/*
 * Leads that wait there (NULL: in none), at most "limit" (0 = all), who waits longest first; by
 * id.  "given": but for those that wait to be claimed.
 */
extern int64 *waiting_leads(const char *queue, int limit, bool given, int *n);

/* Locks those of them that nobody else has and that still wait; by id. */
extern WaitingLead *waiting_lock(const int64 *leads, int n, int *nlocked);

/* Locks the leads that are in a member's hands; by id. */
extern int64 *member_leads(int64 member_id, bool **offered, int *n);

/* The queue that a lead went through last; NULL = none. */
extern char *handoff_last_queue(int64 lead_id);

/* ---- what routing asks about leads ---- */

/* How a lead last left sales' hands, and who had it in that cycle. */
typedef struct LeftSales
{
	bool		found;			/* it was there before */
	const char *returns_to;		/* of its reason; NULL = it doesn't say */
	int64		last_owner;		/* 0 = nobody */
	IdSet		owners;
} LeftSales;

extern void handoff_left_sales(const int64 *leads, int n, LeftSales *left);

/* Who has had each of these leads in the cycle that it is in. */
extern void handoff_owners(const int64 *leads, int n, IdSet *owners);

/* An account: whose it is, and whose leads of it are in sales' hands or won, the latest first. */
typedef struct AccountOwners
{
	int64		account_id;
	int64		owner_id;		/* 0 = nobody */
	int64	   *leads;
	int64	   *owners;			/* of those leads */
	int			n;
	int			room;
} AccountOwners;

extern AccountOwners *account_owners(const IdSet *accounts, int *nfound);

/* Leads in hand: of categories handoff and sales, by owner; "loads" is in the order of the ids. */
extern void member_loads(const int64 *members, int n, int64 *loads);

/* ---- whose turn it is ---- */

/* A queue that is asked, locked until the end of the transaction. */
typedef struct QueueState
{
	int64		queue_id;
	int64		total;			/* unit of the credits; 0 = never asked before */
	int64	   *members;		/* by id */
	int64	   *credits;
	int			n;
	Relation	rel;			/* open, and the row, while it is entered */
	TupleTableSlot *slot;
} QueueState;

/* Locks it, then reads; false = the queue is gone.  Leave it, too. */
extern bool queue_enter(int64 queue_id, QueueState *state);
extern void queue_leave(QueueState *state, bool changed);

/* Reads without a lock. */
extern void queue_look(int64 queue_id, QueueState *state);

/* Locks members, whose capacity is to be kept, until the end of the transaction. */
extern void members_hold(const IdSet *members);

#endif							/* LEADFLOW_HANDOFF_STORE_H */
