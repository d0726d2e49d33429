/*-------------------------------------------------------------------------
 * frequency.c
 *	  May a lead be contacted: permissions, and how many messages there may be
 *	  (row 1).
 *
 * A message at x takes a place under a limit in [x, x + per): just then x lies in
 * (at - per, at].  A reservation does, too, but gives it back when it expires.
 * So the messages in the window that ends at an instant are the places that have begun by then less those
 * that have ended: two binary searches, whatever the number of messages.
 *
 * Whether a message may be added goes by the window that ends with it.  Where it must not break
 * the limit for another one either ("ahead"), every window that it would lie in is
 * asked: the number of places grows only where one begins, so the instants to look at are
 * the beginnings within the next "per".  There are at most max_messages of them
 * before the answer is no, but for reservations.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "frequency.h"

static bool
same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* ---- instants ------------------------------------------------------------ */

TimestampTz
instant_after(TimestampTz at, int64 microseconds)
{
	TimestampTz result;

	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	if (pg_add_s64_overflow(at, microseconds, &result) || result >= END_TIMESTAMP)
		return DT_NOEND;
	return result;
}

TimestampTz
instant_before(TimestampTz at, int64 microseconds)
{
	TimestampTz result;

	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	if (pg_sub_s64_overflow(at, microseconds, &result) || result < MIN_TIMESTAMP)
		return DT_NOBEGIN;
	return result;
}

/* The same in every session: it is written down. */
const char *
instant_text(TimestampTz at)
{
	char	   *buf = palloc(MAXDATELEN + 1);
	struct pg_tm tm;
	fsec_t		fsec;

	if (TIMESTAMP_NOT_FINITE(at))
		EncodeSpecialTimestamp(at, buf);
	else if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) == 0)
	{
		tm.tm_isdst = 0;		/* else the zone is left out */
		EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, buf);
	}
	else
		elog(ERROR, "timestamp out of range");
	return buf;
}

/* ---- kinds --------------------------------------------------------------- */

void
contact_kinds_index(ContactRules *rules, ContactKind *kinds, int n)
{
	rules->nslots = 16;
	while (rules->nslots < 2 * (uint32) n)
		rules->nslots *= 2;
	rules->slots = palloc0_array(ContactKind *, rules->nslots);
	for (int i = 0; i < n; i++)
	{
		uint32		slot = hash_bytes((const unsigned char *) kinds[i].name, kinds[i].len);

		while (rules->slots[slot & (rules->nslots - 1)] != NULL)
			slot++;
		rules->slots[slot & (rules->nslots - 1)] = &kinds[i];
	}
}

const ContactKind *
contact_kind(const ContactRules *rules, const char *name, int len)
{
	uint32		slot = hash_bytes((const unsigned char *) name, len);

	for (;; slot++)
	{
		const ContactKind *kind = rules->slots[slot & (rules->nslots - 1)];

		if (kind == NULL || (kind->len == len && memcmp(kind->name, name, len) == 0))
			return kind;
	}
}

/* ---- places -------------------------------------------------------------- */

/* How far back, and ahead, messages matter: the longest window, of all or of a channel's limits. */
int64
contact_reach(const ContactRules *rules, const char *channel)
{
	int64		reach = 0;

	for (int l = 0; l < rules->nlimits; l++)
	{
		const char *of = rules->limits[l].channel;

		if (rules->limits[l].max >= 0 && (of == NULL || channel == NULL || same(of, channel)))
			reach = Max(reach, rules->limits[l].per);
	}
	return reach;
}

static bool
takes_place(const ContactLimit *limit, int roles, const char *channel)
{
	if (limit->max < 0 || !(limit->roles & roles))
		return false;
	return limit->channel == NULL || (channel && same(limit->channel, channel));
}

static int
compare_instants(const void *a, const void *b)
{
	TimestampTz x = *(const TimestampTz *) a;
	TimestampTz y = *(const TimestampTz *) b;

	return (x > y) - (x < y);
}

static void
coverage_add(Coverage *coverage, TimestampTz start, TimestampTz end)
{
	if (coverage->n == coverage->room)
	{
		coverage->room = Max(16, coverage->room * 2);
		coverage->starts = coverage->starts ?
			repalloc_huge(coverage->starts, sizeof(TimestampTz) * coverage->room) :
			palloc(sizeof(TimestampTz) * coverage->room);
		coverage->ends = coverage->ends ?
			repalloc_huge(coverage->ends, sizeof(TimestampTz) * coverage->room) :
			palloc(sizeof(TimestampTz) * coverage->room);
	}
	coverage->starts[coverage->n] = start;
	coverage->ends[coverage->n++] = end;
}

Coverage *
contact_coverage(const ContactRules *rules, const ContactFacts *facts, TimestampTz live_at,
				 const bool *leave_out)
{
	/* nobody knows yet what will be sent */
	const int	reserved = 1 << ROLE_MARKETING_MESSAGE | 1 << ROLE_SALES_TOUCH;
	Coverage   *taken = palloc0_array(Coverage, rules->nlimits + 1);

	for (int l = 0; l < rules->nlimits; l++)
	{
		const ContactLimit *limit = &rules->limits[l];
		Coverage   *coverage = &taken[l];
		int			nmessages;

		for (int i = 0; i < facts->nitems; i++)
		{
			const ContactItem *item = &facts->items[i];

			if (!(leave_out && leave_out[i]) &&
				takes_place(limit, 1 << item->kind->role, item->kind->channel))
				coverage_add(coverage, item->at, instant_after(item->at, limit->per));
		}
		nmessages = coverage->n;
		for (int i = 0; i < facts->nreservations; i++)
		{
			const ContactReservation *reservation = &facts->reservations[i];
			TimestampTz end = instant_after(reservation->at, limit->per);

			if (reservation->redeemed || !takes_place(limit, reserved, reservation->channel))
				continue;
			if (reservation->expires_at <= live_at)
				end = Min(end, reservation->expires_at);
			if (end > reservation->at)
				coverage_add(coverage, reservation->at, end);
		}
		if (coverage->n > nmessages)
		{
			qsort(coverage->starts, coverage->n, sizeof(TimestampTz), compare_instants);
			qsort(coverage->ends, coverage->n, sizeof(TimestampTz), compare_instants);
		}
	}
	return taken;
}

void
contact_cover(const ContactRules *rules, Coverage *fresh, const ContactItem *item)
{
	for (int l = 0; l < rules->nlimits; l++)
	{
		if (takes_place(&rules->limits[l], 1 << item->kind->role, item->kind->channel))
			coverage_add(&fresh[l], item->at, instant_after(item->at, rules->limits[l].per));
	}
}

/* How many instants of a sorted array are not later. */
static int
not_later(const TimestampTz *instants, int n, TimestampTz at)
{
	int			low = 0;

	while (low < n)
	{
		int			middle = low + (n - low) / 2;

		if (instants[middle] <= at)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

static int
places_taken(const Coverage *coverage, TimestampTz at)
{
	return coverage == NULL ? 0 :
		not_later(coverage->starts, coverage->n, at) - not_later(coverage->ends, coverage->n, at);
}

/* Is there room for one more, in the window that ends at that instant? */
static bool
has_room(const ContactLimit *limit, const Coverage *taken, const Coverage *fresh, TimestampTz at)
{
	return places_taken(taken, at) + places_taken(fresh, at) < limit->max;
}

/* And in all windows that it would be in? Nothing fresh is later than it. */
static bool
has_room_ahead(const ContactLimit *limit, const Coverage *taken, const Coverage *fresh, TimestampTz at)
{
	TimestampTz end = instant_after(at, limit->per);

	for (int i = not_later(taken->starts, taken->n, at); i < taken->n && taken->starts[i] < end; i++)
	{
		if (!has_room(limit, taken, fresh, taken->starts[i]))
			return false;
	}
	return true;
}

/* ---- the answer ---------------------------------------------------------- */

static const Stage *
stage_at(const ContactFacts *facts, TimestampTz at)
{
	for (int i = facts->nstays - 1; i > 0; i--)
	{
		if (facts->stays[i].since <= at)
			return facts->stays[i].stage;
	}
	/* before anything is known: as it was first */
	return facts->nstays > 0 ? facts->stays[0].stage : NULL;
}

static bool
applies(const ContactLimit *limit, const Stage *stage, const char *channel)
{
	if (limit->channel && !same(limit->channel, channel))
		return false;
	if (limit->stage)
		return stage && same(limit->stage, stage->name);
	if (limit->category)
		return stage && same(limit->category, stage->category);
	return true;
}

static bool
on_channel(const ContactPermission *permission, const char *channel)
{
	return same(permission->channel, channel) || same(permission->channel, "*");
}

/* The permission that counts at an instant: the latest; NULL = none. */
static const ContactPermission *
permission_at(const ContactFacts *facts, const char *channel, TimestampTz at)
{
	for (int i = facts->npermissions - 1; i >= 0; i--)
	{
		if (facts->permissions[i].at <= at && on_channel(&facts->permissions[i], channel))
			return &facts->permissions[i];
	}
	return NULL;
}

static bool
permits(const ContactRules *rules, const ContactPermission *permission)
{
	return permission ? permission->granted : !rules->requires_permission;
}

/* The last hand-off by then; DT_NOBEGIN = none. */
static TimestampTz
handoff_at(const ContactFacts *facts, TimestampTz at)
{
	int			n = not_later(facts->handoffs, facts->nhandoffs, at);

	return n > 0 ? facts->handoffs[n - 1] : DT_NOBEGIN;
}

static bool
silent_after_handoff(const ContactLimit *limit, TimestampTz handoff, TimestampTz at)
{
	return limit->after_handoff > 0 && !TIMESTAMP_IS_NOBEGIN(handoff) &&
		at < instant_after(handoff, limit->after_handoff);
}

static void
say(ContactQuestion *question, const char *fmt,...) pg_attribute_printf(2, 3);

static void
say(ContactQuestion *question, const char *fmt,...)
{
	StringInfo	why = question->why;

	if (why->len)
		appendStringInfoString(why, "; ");
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(why, fmt, args);
		va_end(args);
		if (needed == 0)
			return;
		enlargeStringInfo(why, needed);
	}
}

static void
say_full(ContactQuestion *question, const ContactLimit *limit, const Coverage *taken,
		 const Coverage *fresh)
{
	TimestampTz oldest = DT_NOEND;
	const Coverage *both[] = {taken, fresh};

	if (limit->max == 0)
	{
		say(question, "limit \"%s\": no messages", limit->name);
		return;
	}
	for (int i = 0; i < (int) lengthof(both); i++)
	{
		const Coverage *coverage = both[i];
		int			ended = coverage ? not_later(coverage->ends, coverage->n, question->at) : 0;

		if (coverage && ended < coverage->n)
			oldest = Min(oldest, coverage->starts[ended]);
	}
	say(question, "limit \"%s\": %d in %s (at most %d), the oldest at %s", limit->name,
		places_taken(taken, question->at) + places_taken(fresh, question->at), limit->per_text,
		limit->max, instant_text(oldest));
}

/*
 * "taken" and "fresh" have a Coverage for each limit; fresh may be NULL.  Sales may write in the
 * time that is theirs after a hand-off, and is held to the limits that count what it sends.
 */
bool
contact_allowed(const ContactRules *rules, const ContactFacts *facts,
				const Coverage *taken, const Coverage *fresh, ContactQuestion *question)
{
	const ContactPermission *permission;
	const Stage *stage;
	TimestampTz handoff;
	bool		allowed = true;

	question->limit_id = 0;
	if (facts->do_not_contact)
	{
		if (question->why == NULL)
			return false;
		say(question, "do_not_contact");
		allowed = false;
	}

	permission = permission_at(facts, question->channel, question->at);
	if (!permits(rules, permission))
	{
		if (question->why == NULL)
			return false;
		if (permission)
			say(question, "permission %s since %s", permission->status, instant_text(permission->at));
		else
			say(question, "no permission for %s", question->channel);
		allowed = false;
	}

	stage = stage_at(facts, question->at);
	handoff = handoff_at(facts, question->at);
	for (int l = 0; l < rules->nlimits; l++)
	{
		const ContactLimit *limit = &rules->limits[l];
		const Coverage *added = fresh ? &fresh[l] : NULL;
		bool		full = false;
		bool		silent;

		if (!applies(limit, stage, question->channel) ||
			(question->by_sales && !(limit->roles & 1 << ROLE_SALES_TOUCH)))
			continue;
		silent = !question->by_sales && silent_after_handoff(limit, handoff, question->at);
		if (limit->max >= 0)
			full = !has_room(limit, &taken[l], added, question->at) ||
				(question->ahead && !has_room_ahead(limit, &taken[l], added, question->at));
		if (!silent && !full)
			continue;
		if (question->why == NULL)
			return false;
		if (question->limit_id == 0)
			question->limit_id = limit->id;
		allowed = false;
		if (silent)
			say(question, "limit \"%s\": none for %s after the hand-off at %s", limit->name,
				limit->after_text, instant_text(handoff));
		if (full && !has_room(limit, &taken[l], added, question->at))
			say_full(question, limit, &taken[l], added);
		else if (full)
			say(question, "limit \"%s\": more than %d in %s with those that are later", limit->name,
				limit->max, limit->per_text);
	}
	return allowed;
}

/* ---- when it may --------------------------------------------------------- */

static TimestampTz
permitted_from(const ContactRules *rules, const ContactFacts *facts, const char *channel, TimestampTz at)
{
	for (int i = 0; i < facts->npermissions; i++)
	{
		const ContactPermission *permission = &facts->permissions[i];

		/* of those of one instant the last one counts */
		if (permission->at > at && on_channel(permission, channel) &&
			permits(rules, permission_at(facts, channel, permission->at)))
			return permission->at;
	}
	return DT_NOEND;
}

static TimestampTz
room_from(const ContactLimit *limit, const Coverage *taken, TimestampTz at)
{
	for (int i = not_later(taken->ends, taken->n, at); i < taken->n; i++)
	{
		if (has_room(limit, taken, NULL, taken->ends[i]))
			return taken->ends[i];
	}
	return DT_NOEND;
}

static TimestampTz
next_stay(const ContactFacts *facts, TimestampTz at)
{
	for (int i = 1; i < facts->nstays; i++)
	{
		if (facts->stays[i].since > at)
			return facts->stays[i].since;
	}
	return DT_NOEND;
}

/*
 * The earliest instant, not before "at", at which it may; DT_NOEND = never, as far as is known.
 * While the stage stays, whatever stands against it ends at an instant of its own, so
 * nothing is missed by going on to the latest of these.
 */
TimestampTz
contact_next(const ContactRules *rules, const ContactFacts *facts, const Coverage *taken,
			 const char *channel, TimestampTz at)
{
	if (facts->do_not_contact)
		return DT_NOEND;
	for (;;)
	{
		const Stage *stage = stage_at(facts, at);
		TimestampTz handoff = handoff_at(facts, at);
		TimestampTz next = at;

		CHECK_FOR_INTERRUPTS();
		if (!permits(rules, permission_at(facts, channel, at)))
			next = permitted_from(rules, facts, channel, at);
		for (int l = 0; l < rules->nlimits; l++)
		{
			const ContactLimit *limit = &rules->limits[l];

			if (!applies(limit, stage, channel))
				continue;
			if (silent_after_handoff(limit, handoff, at))
				next = Max(next, instant_after(handoff, limit->after_handoff));
			if (limit->max >= 0 && !has_room(limit, &taken[l], NULL, at))
				next = Max(next, room_from(limit, &taken[l], at));
		}
		if (next > at)
			next = Min(next, next_stay(facts, at));
		if (next == at || TIMESTAMP_IS_NOEND(next))
			return next;
		at = next;
	}
}
