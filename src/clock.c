/*-------------------------------------------------------------------------
 * clock.c
 *	  Clocks of service levels: what starts and ends them, and how their time counts.
 *
 * A clock is due at the earliest instant by which its target of working time has
 * passed outside pauses, in the calendar of whoever had the lead at each instant.  From
 * its start it is followed piece by piece; a piece ends where a pause begins or ends,
 * or where another calendar comes into force.  The piece in which the target is reached is the
 * last: what comes after it (a pause that begins when the clock is due, another owner)
 * has no part in it, and neither has what comes at or after the stop.
 *
 * Limits: a calendar that isn't open for what is left of the target within 50 years
 * can't be counted in.  Such a piece counts around the clock: too early is seen, never is not.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/timestamp.h"

#include "clock.h"

#define HORIZON (INT64CONST(50) * 366 * USECS_PER_DAY)

/* ---- metrics ------------------------------------------------------------- */

static bool
with_sales(const char *category)
{
	return is(category, "handoff") || is(category, "sales");
}

static bool
enters_mql(const Move *move)
{
	return is(move->to_stage, "mql");
}

static bool
ends_marketing(const Move *move)
{
	return is(move->to_stage, "lead") || !is(move->to_category, "marketing");
}

static bool
leaves_marketing(const Move *move)
{
	return is(move->from_category, "marketing") && ends_marketing(move);
}

static bool
enters_sales(const Move *move)
{
	return with_sales(move->to_category) || is(move->to_category, "won");
}

static bool
is_handed_over(const Move *move)
{
	return is(move->to_category, "handoff") && !is(move->from_category, "handoff");
}

static bool
ends_handoff(const Move *move)
{
	return !is(move->to_category, "handoff");
}

static bool
leaves_handoff(const Move *move)
{
	return is(move->from_category, "handoff") && ends_handoff(move);
}

/* What the system or an administrator takes back was not decided. */
static bool
decides(const Move *move)
{
	return !is(move->to_category, "marketing") || is(move->team, "sales") || is(move->team, "leadership");
}

static bool
ends_sales(const Move *move)
{
	return !with_sales(move->to_category) || is_handed_over(move);
}

static bool
leaves_sales(const Move *move)
{
	return with_sales(move->from_category) && ends_sales(move);
}

static bool
is_put_off(const Move *move)
{
	return is(move->to_stage, "rejected") || is(move->to_category, "lost");
}

static bool
was_put_off(const Move *move)
{
	return is(move->from_stage, "rejected") || is(move->from_category, "lost");
}

static bool
is_nurtured(const Move *move)
{
	return is(move->to_stage, "nurture");
}

static bool
enters_work(const Move *move)
{
	return !is(move->to_category, "won") && !is(move->to_category, "lost") && !is(move->to_category, "out");
}

static bool
leaves_stage(const Move *move)
{
	return move->from_stage != NULL;
}

static bool
any_move(const Move *move)
{
	return true;
}

static bool
leaves_play(const Move *move)
{
	return is(move->to_category, "recycle") || is(move->to_category, "lost") || is(move->to_category, "out") ||
		(with_sales(move->from_category) && !with_sales(move->to_category) && !is(move->to_category, "won"));
}

/* By ClockMetric. */
const ClockRule clock_rules[CLOCK_METRICS] = {
	{"time_to_handoff", false, false, enters_mql, leaves_marketing, ends_marketing, enters_sales},
	{"time_to_accept", false, true, is_handed_over, leaves_handoff, ends_handoff, decides},
	{"time_to_first_touch", true, true, is_handed_over, leaves_sales, ends_sales, NULL},
	{"time_to_first_contact", true, true, is_handed_over, leaves_sales, ends_sales, NULL},
	{"time_to_nurture", false, false, is_put_off, was_put_off, any_move, is_nurtured},
	{"attempts", true, true, is_handed_over, leaves_sales, ends_sales, NULL},
	{"next_response", true, false, NULL, leaves_play, leaves_play, NULL},
	{"time_in_stage", false, false, enters_work, leaves_stage, any_move, any_move},
	{"time_to_review", false, false, NULL, NULL, NULL, NULL}
};

int
clock_metric(const char *name)
{
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		if (strcmp(name, clock_rules[m].name) == 0)
			return m;
	}
	return -1;
}

/* ---- time ---------------------------------------------------------------- */

/* The instant that far ahead, or the last one there is. */
static TimestampTz
ahead(TimestampTz from, int64 usecs)
{
	TimestampTz result;

	if (pg_add_s64_overflow(from, usecs, &result) || !IS_VALID_TIMESTAMP(result))
		return END_TIMESTAMP - 1;
	return result;
}

bool
clock_can_count(const Calendar *calendar, TimestampTz from, int64 target)
{
	return calendar->always ? ahead(from, target) < END_TIMESTAMP - 1 :
		calendar_elapsed(calendar, from, ahead(from, HORIZON)) >= target;
}

TimestampTz
clock_deadline(const Calendar *calendar, TimestampTz from, int64 usecs)
{
	return calendar ? calendar_add(calendar, from, usecs) : ahead(from, usecs);
}

static int64
elapsed_between(const Calendar *calendar, TimestampTz from, TimestampTz to)
{
	int64		result;

	if (calendar)
		return calendar_elapsed(calendar, from, to);
	return pg_sub_s64_overflow(to, from, &result) ? PG_INT64_MAX : result;
}

static bool
same_calendar(const Calendar *a, const Calendar *b)
{
	return (a ? a->id : 0) == (b ? b->id : 0);
}

/* Where we are on the way from the start. */
typedef struct Walk
{
	const ClockTerms *terms;
	TimestampTz at;
	int			span;			/* in force */
	int			pause;			/* the first that is not over */
} Walk;

/* What begins then is still before the stop. */
static bool
counts(const Walk *walk, TimestampTz from)
{
	return from < walk->terms->stopped_at;
}

/* Comes to an instant: what has begun by then is in force, what is over is not. */
static void
walk_to(Walk *walk, TimestampTz at)
{
	const ClockTerms *terms = walk->terms;

	walk->at = at;
	while (walk->span + 1 < terms->nspans && terms->spans[walk->span + 1].from <= at &&
		   (counts(walk, terms->spans[walk->span + 1].from) || at == terms->started_at))
		walk->span++;
	while (walk->pause < terms->npauses && terms->pauses[walk->pause].until <= at)
		walk->pause++;
}

/* Does it stand still here?  Then until when: pauses that overlap or meet are one. */
static bool
walk_paused(const Walk *walk, TimestampTz *until)
{
	const ClockTerms *terms = walk->terms;

	if (walk->pause == terms->npauses || terms->pauses[walk->pause].from > walk->at || !counts(walk, walk->at))
		return false;
	*until = terms->pauses[walk->pause].until;
	for (int p = walk->pause + 1; p < terms->npauses && terms->pauses[p].from <= *until; p++)
		*until = Max(*until, terms->pauses[p].until);
	*until = Min(*until, terms->stopped_at);
	return true;
}

/* Where the piece ends that begins here; DT_NOEND = nowhere. */
static TimestampTz
walk_next(const Walk *walk)
{
	const ClockTerms *terms = walk->terms;
	TimestampTz next = DT_NOEND;

	/* a pause that the stop cut short has begun, and is not over */
	if (!counts(walk, walk->at))
		return DT_NOEND;
	for (int s = walk->span + 1; s < terms->nspans; s++)
	{
		if (same_calendar(terms->spans[s].calendar, terms->spans[walk->span].calendar))
			continue;
		next = terms->spans[s].from;
		break;
	}
	if (walk->pause < terms->npauses)
		next = Min(next, terms->pauses[walk->pause].from);
	return counts(walk, next) ? next : DT_NOEND;
}

void
clock_reckon(const ClockTerms *terms, ClockReckoning *reckoning)
{
	Walk		walk = {.terms = terms};
	int64		elapsed = 0;

	reckoning->warn_at = DT_NOBEGIN;
	reckoning->closed = NULL;
	walk_to(&walk, terms->started_at);
	for (;;)
	{
		const Calendar *calendar;
		TimestampTz next;
		TimestampTz until;

		if (walk_paused(&walk, &until))
		{
			walk_to(&walk, until);
			if (!TIMESTAMP_IS_NOEND(until))
				continue;
			/* whoever has it when it goes on */
			reckoning->calendar = terms->spans[walk.span].calendar;
			reckoning->due_at = DT_NOEND;
			if (terms->warn_after >= 0 && TIMESTAMP_IS_NOBEGIN(reckoning->warn_at))
				reckoning->warn_at = DT_NOEND;
			break;
		}
		next = walk_next(&walk);
		calendar = terms->spans[walk.span].calendar;
		if (calendar && !clock_can_count(calendar, walk.at, terms->target - elapsed))
		{
			reckoning->closed = calendar;
			calendar = NULL;
		}
		if (terms->warn_after >= 0 && TIMESTAMP_IS_NOBEGIN(reckoning->warn_at))
		{
			TimestampTz warn_at = clock_deadline(calendar, walk.at, terms->warn_after - elapsed);

			if (warn_at <= next)
				reckoning->warn_at = warn_at;
		}
		reckoning->calendar = calendar;
		reckoning->due_at = clock_deadline(calendar, walk.at, terms->target - elapsed);
		if (reckoning->due_at <= next)
			break;
		elapsed += elapsed_between(calendar, walk.at, next);
		walk_to(&walk, next);
	}
	reckoning->carried = elapsed;
	reckoning->counted_from = walk.at;
}
