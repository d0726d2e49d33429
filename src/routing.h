/*-------------------------------------------------------------------------
 * routing.h
 *	  Who is there, and whose turn it is (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ROUTING_H
#define LEADFLOW_ROUTING_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* A period in which somebody is away. */
typedef struct RoutingAbsence
{
	TimestampTz from;
	TimestampTz until;
	bool		from_inclusive;
	bool		until_inclusive;
	int			cover;			/* into people; -1 = nobody */
} RoutingAbsence;

typedef struct RoutingPerson
{
	int64		id;
	const char *name;
	int			team;			/* TEAM_… */
	bool		active;
	int64		weight;
	int64		capacity;		/* leads in hand at most; -1 = no limit */
	int64		calendar_id;	/* 0 = works always */
	int64		manager_id;		/* 0 = nobody */
	RoutingAbsence *absences;	/* in order of id */
	int			nabsences;
} RoutingPerson;

/* A place in a queue's rotation. */
typedef struct RoutingMember
{
	int64		member_id;
	int64		weight;			/* > 0 */
	int64		credit;			/* leads due so far, in units of 1 / total weight in play */
	int64		load;			/* leads in the hands of who gets it */
	bool		paused;			/* nobody there who could get it: takes no part */
	bool		barred;			/* takes part, but this lead is not for it */
} RoutingMember;

extern int	routing_person(const RoutingPerson *people, int n, int64 id);
extern int	routing_taker(const RoutingPerson *people, int n, int person, TimestampTz at);

extern int64 routing_total(const RoutingMember *members, int n);
extern void routing_rescale(RoutingMember *members, int n, int64 from, int64 to);
extern void routing_balance(RoutingMember *members, int n);
extern int	routing_pick(RoutingMember *members, int n);
extern int	routing_pick_least(RoutingMember *members, int n);

#endif							/* LEADFLOW_ROUTING_H */
