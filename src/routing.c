/*-------------------------------------------------------------------------
 * routing.c
 *	  Whose turn it is: smooth weighted round robin.
 *
 * With weights w (their sum W), a member is due n·w/W leads after n hand-offs.
 * credit = n·w − W·(leads got) says how many are due still, in whole numbers, so
 * nothing is ever rounded.  The next lead goes, of those who are due anything, to
 * the one whose next lead is due first in full (earliest deadline first, the
 * scheduler's rule).  That keeps |credit| < W for ever: nobody is a whole lead ahead or
 * behind.  Simply taking the highest credit (nginx's rule) does not: with many
 * unequal members it lets somebody fall behind by more than one.
 *
 * Limits: |credit| < W holds while the members and weights stay as they are.
 * When they change, what is due is carried over as far as it fits, and who comes back
 * starts even: there is nothing to catch up.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "routing.h"

static int64
total_weight(const RoutingMember *members, int n)
{
	int64		total = 0;

	for (int i = 0; i < n; i++)
		total += members[i].weight;
	return total;
}

/*
 * After members came or went: what is due sums to nothing again, in the order
 * that it had, and nobody is ahead or behind by a whole lead.
 */
void
routing_balance(RoutingMember *members, int n)
{
	int64		total = total_weight(members, n);
	int64		sum = 0;

	for (int i = 0; i < n; i++)
		sum += members[i].credit;
	if (sum != 0)
	{
		int64		share = sum / n;
		int64		rest = sum % n;

		for (int i = 0; i < n; i++)
		{
			members[i].credit -= share;
			if (rest > 0)
				members[i].credit--, rest--;
			else if (rest < 0)
				members[i].credit++, rest++;
		}
	}
	/* a weight may have changed, too, and with it the unit */
	for (int i = 0; i < n; i++)
		members[i].credit = Max(Min(members[i].credit, total - 1), 1 - total);
}

/* Returns the index of the one whose turn it is, and books it. */
int
routing_pick(RoutingMember *members, int n)
{
	int64		total = total_weight(members, n);
	int64		best_deadline = 0;
	int			best = -1;

	for (int i = 0; i < n; i++)
	{
		RoutingMember *m = &members[i];
		int64		deadline;

		m->credit += m->weight;
		if (m->credit <= 0)
			continue;			/* has had what is due */
		/* in how many more hand-offs the next lead is due in full */
		deadline = m->credit >= total ? 0 : (total - m->credit + m->weight - 1) / m->weight;
		if (best < 0 || deadline < best_deadline ||
			(deadline == best_deadline && m->credit > members[best].credit))
		{
			best = i;
			best_deadline = deadline;
		}
	}
	/* the sum of the credits is positive now unless clamping took from it */
	if (best < 0)
	{
		best = 0;
		for (int i = 1; i < n; i++)
		{
			if (members[i].credit > members[best].credit)
				best = i;
		}
	}
	members[best].credit -= total;
	return best;
}
