/*-------------------------------------------------------------------------
 * routing.c
 *	  Who is there, and whose turn it is: smooth weighted round robin.
 *
 * With weights w (their sum W), a member is due n·w/W leads after n hand-offs.
 * credit = n·w − W·(leads got) says how many are due still, in whole numbers, so
 * nothing is ever rounded.  The next lead goes, of those who are due anything, to
 * the one whose next lead is due first in full (earliest deadline first, the
 * scheduler's rule).  That keeps |credit| < W for ever: nobody is a whole lead ahead or
 * behind.  Simply taking the highest credit (nginx's rule) does not: with many
 * unequal members it lets somebody fall behind by more than one.
 *
 * Who is paused (away, at capacity, after hours) keeps the credit as it is, which
 * is less than a lead: it neither grows, so there is nothing to catch up, nor is it
 * lost, so that who comes first every morning is not always the same.
 *
 * Limits: |credit| < W holds while those in play and their weights stay as they
 * are.  When they change, what is due is carried over as far as it fits.  Leads for which
 * somebody is barred go to the others; who was passed over is due the more, up to a lead.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "routing.h"
#include "stage.h"

/* ---- who is there -------------------------------------------------------- */

/* People are in order of id; -1 = not among them. */
int
routing_person(const RoutingPerson *people, int n, int64 id)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (people[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && people[low].id == id ? low : -1;
}

static bool
absence_covers(const RoutingAbsence *absence, TimestampTz at)
{
	return (at > absence->from || (at == absence->from && absence->from_inclusive)) &&
		(at < absence->until || (at == absence->until && absence->until_inclusive));
}

/*
 * Somebody asked for "person", or for a cover of a cover …: who is there.  Each is
 * asked once, so that two who cover for each other and are both away end the search.
 */
static int
find_taker(const RoutingPerson *people, int person, int team, TimestampTz at, bool *asked)
{
	const RoutingPerson *self = &people[person];
	bool		away = false;

	if (asked[person] || !self->active || (self->team != TEAM_SALES && self->team != team))
		return -1;
	asked[person] = true;
	check_stack_depth();
	for (int i = 0; i < self->nabsences; i++)
		away |= absence_covers(&self->absences[i], at);
	if (!away)
		return person;
	for (int i = 0; i < self->nabsences; i++)
	{
		int			found = -1;

		if (self->absences[i].cover >= 0 && absence_covers(&self->absences[i], at))
			found = find_taker(people, self->absences[i].cover, team, at, asked);
		if (found >= 0)
			return found;
	}
	return -1;
}

/*
 * Who gets what falls to that person at that instant: who is active and present, else the
 * cover, else the cover's cover; -1 = nobody.  Covers are of sales, or of the same team.
 */
int
routing_taker(const RoutingPerson *people, int n, int person, TimestampTz at)
{
	bool	   *asked;
	int			found;

	if (people[person].nabsences == 0)
		return people[person].active ? person : -1;
	asked = palloc0(sizeof(bool) * n);
	found = find_taker(people, person, people[person].team, at, asked);
	pfree(asked);
	return found;
}

/* ---- whose turn it is ---------------------------------------------------- */

/* Weights of those in play. */
int64
routing_total(const RoutingMember *members, int n)
{
	int64		total = 0;

	for (int i = 0; i < n; i++)
	{
		if (!members[i].paused)
			total += members[i].weight;
	}
	return total;
}

/* Credits in units of 1 / from become those of 1 / to. */
void
routing_rescale(RoutingMember *members, int n, int64 from, int64 to)
{
	if (from <= 0 || from == to)
		return;
	for (int i = 0; i < n; i++)
		members[i].credit = (int64) rint((double) members[i].credit * to / from);
}

/*
 * After members came or went: what is due to those in play sums to nothing again, in the
 * order that it had, and nobody is ahead or behind by a whole lead.
 */
void
routing_balance(RoutingMember *members, int n)
{
	int64		total = routing_total(members, n);
	int64		sum = 0;
	int64		share;
	int64		rest;
	int			playing = 0;

	for (int i = 0; i < n; i++)
	{
		if (members[i].paused)
			continue;
		sum += members[i].credit;
		playing++;
	}
	if (playing == 0)
		return;
	share = sum / playing;
	rest = sum % playing;
	for (int i = 0; i < n; i++)
	{
		RoutingMember *m = &members[i];

		if (m->paused)
			continue;
		m->credit -= share;
		if (rest > 0)
			m->credit--, rest--;
		else if (rest < 0)
			m->credit++, rest++;
		/* a weight may have changed, too, and with it the unit */
		m->credit = Max(Min(m->credit, total - 1), 1 - total);
	}
}

/* Everybody in play is due a share of the next lead. */
static int64
accrue(RoutingMember *members, int n)
{
	int64		total = 0;

	for (int i = 0; i < n; i++)
	{
		if (members[i].paused)
			continue;
		members[i].credit += members[i].weight;
		total += members[i].weight;
	}
	return total;
}

static bool
may_get(const RoutingMember *member)
{
	return !member->paused && !member->barred;
}

/* Nobody is due more than a lead, or has had more than one in advance. */
static void
bound(RoutingMember *members, int n, int64 total)
{
	for (int i = 0; i < n; i++)
	{
		if (!members[i].paused)
			members[i].credit = Max(Min(members[i].credit, total - 1), 1 - total);
	}
}

/* Returns the index of the one whose turn it is, and books it; -1 = nobody may get it. */
int
routing_pick(RoutingMember *members, int n)
{
	int64		best_deadline = 0;
	int64		total;
	int			best = -1;
	int			allowed = 0;
	bool		barred = false;

	for (int i = 0; i < n; i++)
	{
		allowed += may_get(&members[i]);
		barred |= members[i].barred;
	}
	if (allowed == 0)
		return -1;
	total = accrue(members, n);
	for (int i = 0; i < n; i++)
	{
		const RoutingMember *m = &members[i];
		int64		deadline;

		if (!may_get(m) || m->credit <= 0)
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
	/* the sum of the credits is positive now unless clamping took from it, or somebody is barred */
	for (int i = 0; best < 0 && i < n; i++)
	{
		if (!may_get(&members[i]))
			continue;
		best = i;
		for (int j = i + 1; j < n; j++)
		{
			if (may_get(&members[j]) && members[j].credit > members[best].credit)
				best = j;
		}
	}
	members[best].credit -= total;
	if (barred)
		bound(members, n, total);
	return best;
}

/*
 * The same, but the one with the fewest leads in hand by weight; of those who have equally
 * few, the one who has had fewest of this queue lately (by what round robin says is due),
 * then the first.
 */
int
routing_pick_least(RoutingMember *members, int n)
{
	int64		total = 0;
	int			best = -1;

	for (int i = 0; i < n; i++)
	{
		const RoutingMember *m = &members[i];
		int64		mine;
		int64		least;

		if (!may_get(m))
			continue;
		if (best < 0)
		{
			best = i;
			continue;
		}
		mine = m->load * members[best].weight;
		least = members[best].load * m->weight;
		if (mine < least ||
			(mine == least && m->credit + m->weight > members[best].credit + members[best].weight))
			best = i;
	}
	if (best < 0)
		return -1;
	total = accrue(members, n);
	members[best].credit -= total;
	/* loads that differ for long would make somebody due ever more */
	bound(members, n, total);
	return best;
}
