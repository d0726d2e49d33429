/*-------------------------------------------------------------------------
 * routing.h
 *	  Whose turn it is (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ROUTING_H
#define LEADFLOW_ROUTING_H

#include "postgres.h"

/* A member who takes part in a round robin. */
typedef struct RoutingMember
{
	int64		member_id;
	int64		weight;			/* > 0 */
	int64		credit;			/* leads due so far, in units of 1 / total weight */
} RoutingMember;

extern void routing_balance(RoutingMember *members, int n);
extern int	routing_pick(RoutingMember *members, int n);

#endif							/* LEADFLOW_ROUTING_H */
