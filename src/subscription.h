/*-------------------------------------------------------------------------
 * subscription.h
 *	  Who wants to hear of what, and who there is to be told.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_SUBSCRIPTION_H
#define LEADFLOW_SUBSCRIPTION_H

#include "postgres.h"

#include "condition.h"

typedef struct Subscription
{
	int64		id;
	const char *event;
	Condition  *condition;		/* NULL = always */
	int64		recipient_id;	/* 0 = the team */
	const char *team;			/* NULL = the recipient */
	const char *channel;
	int64		every;			/* microseconds: at most one a lead in that time; 0 = each */
} Subscription;

/* A member who can be told something. */
typedef struct Reachable
{
	int64		id;
	const char *full_name;
	const char *booking_url;	/* NULL = none */
	bool		active;
} Reachable;

typedef struct SubscriptionConfig
{
	Subscription *all;			/* active ones whose recipient is, by (event, id) */
	int			n;
	Reachable  *members;		/* by id */
	int			nmembers;
	int			max_attempts;	/* settings.notification_attempts */
	int64		retention;		/* settings.notification_retention, microseconds */
	const Subscription *matching;	/* of activity.matched */
	int			nmatching;
	int			nreached;		/* of score.reached */
} SubscriptionConfig;

extern const SubscriptionConfig *subscription_config(void);

/* Those of an event: the first, and how many. */
extern const Subscription *subscriptions_of(const SubscriptionConfig *config, const char *event, int *n);

extern const Subscription *subscription_by_id(const SubscriptionConfig *config, int64 id);

/* NULL = there is no such member. */
extern const Reachable *reachable_member(const SubscriptionConfig *config, int64 id);

#endif							/* LEADFLOW_SUBSCRIPTION_H */
