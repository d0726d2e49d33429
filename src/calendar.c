/*-------------------------------------------------------------------------
 *
 * calendar.c
 *	  Working time: the pure rules (row 1).
 *
 * An instant is open if its local time, on its local day, lies in a period
 * [opens, closes) of that day; the rows of a date replace those of its
 * weekday.  Elapsed working time is the measure of the open instants.  So it
 * is real time: a local hour that the zone repeats counts twice, one that it
 * skips not at all.
 *
 * The algorithm is two prefix sums, one upon the other.
 *
 * 1. On the local axis, a timeline without any change of offset, W(l) is the
 *	  open time between the Monday before 2000-01-01 and local time l: whole
 *	  weeks by multiplication, days of the week by a table of seven, dates by
 *	  a search in the prefix sum of what they differ from their weekday, and
 *	  the period of the day by another.
 *
 * 2. A zone is a series of segments of constant offset.  Within a segment
 *	  local time runs like real time, so its open time is a difference of W,
 *	  and C(t) = shift[segment] + W(t + offset[segment]), where the shifts
 *	  make C continuous from one segment to the next.  C counts each open
 *	  microsecond once; whatever the zone does (30 minutes, a change at
 *	  midnight that visits a day twice, a whole day skipped) is contained in
 *	  this and needs no case of its own.
 *
 * elapsed is C(to) - C(from).  add inverts C: first the segment, then the
 * date, then the week, the day and the period.  C is an integer that grows by
 * 0 or 1 with each microsecond, so the *last* instant at which C is w is one
 * microsecond before the *first* at which it is w + 1; going backwards and
 * the next opening are therefore the same search.
 *
 * Everything is exact in microseconds and O(log n) in the number of segments,
 * dates and periods of a day.  Segments and dates are spread rather evenly, so
 * the search in them begins in a bucket that mostly holds one or none; for
 * random instants the whole takes little more than half the time that it took
 * with binary searches.
 *
 * Segments are computed when an instant outside the known ones is first asked
 * for, and kept: two a year for a zone with daylight saving time, some 60 bytes
 * each.  They end at some point: 400 years are 20,871 weeks, and the rule that
 * a zone ends with repeats after as long.  So what comes after the year 2200,
 * or after the last date, is counted in cycles of 400 years.
 *
 * Limits: what lies in the future is what the installed time zone data say
 * today.  Dates outside the range of timestamptz are ignored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "calendar.h"

/* 2000-01-01, day 0, was a Saturday: five days after the Monday of week 0 */
#define DAYS_AFTER_MONDAY	5

#define UNIX_TO_TIMESTAMP(s) \
	(((s) - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC)
#define TIMESTAMP_TO_UNIX(t) \
	((t) / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* The last instant of the type, and the segments known from the start */
#define LAST_TIMESTAMP		(END_TIMESTAMP - 1)
#define FIRST_WINDOW_LO		(INT64CONST(-30) * 365 * USECS_PER_DAY)
#define FIRST_WINDOW_HI		(INT64CONST(100) * 365 * USECS_PER_DAY)

/* Zones go by rules for good from there on; and how long it takes until all repeats */
#define RULES_SINCE			(INT64CONST(200) * 365 * USECS_PER_DAY)
#define CYCLE				(INT64CONST(146097) * USECS_PER_DAY)

/*
 * The offsets of the zone within the window [lo, hi], which needn't reach
 * further than cycle_end.  Two things are searched in segments, hence held as
 * keys: where they start, and C there.
 */
typedef struct ZoneSegment
{
	int64		offset;			/* local time - UTC, microseconds */
	int64		shift;			/* C(t) - W(t + offset) */
} ZoneSegment;

typedef struct CalendarZone
{
	TimestampTz lo;
	TimestampTz hi;
	int			maxsegments;
	ZoneSegment *segments;
	CalendarKeys starts;		/* the first is lo */
	CalendarKeys worked;
	int64		cycle_worked;	/* open time of a cycle, if it ends in the window */
	MemoryContext context;		/* of the arrays */
} CalendarZone;

/* Make the buckets, once all keys are there */
static void
index_keys(CalendarKeys *index)
{
	int64	   *keys = index->keys;
	uint64		width = 0;
	int			n = 0;

	if (index->nkeys > 0)
		width = (uint64) keys[index->nkeys - 1] - (uint64) keys[0];
	index->shift = 0;
	while ((width >> index->shift) > 2 * (uint64) index->nkeys)
		index->shift++;

	index->nbuckets = (width >> index->shift) + 1;
	index->before = palloc_extended((index->nbuckets + 2) * sizeof(int),
									MCXT_ALLOC_HUGE);
	for (uint64 bucket = 0; bucket <= index->nbuckets; bucket++)
	{
		while (n < index->nkeys &&
			   ((uint64) keys[n] - (uint64) keys[0]) >> index->shift < bucket)
			n++;
		index->before[bucket] = n;
	}
	/* the bucket of whatever lies beyond */
	index->before[index->nbuckets + 1] = index->nkeys;
}

/* The number of keys that are at most that */
static inline int
keys_at_most(const CalendarKeys *index, int64 key)
{
	const int64 *keys = index->keys;
	uint64		bucket;
	int			lo;
	int			hi;

	if (index->nkeys == 0 || key < keys[0])
		return 0;

	bucket = ((uint64) key - (uint64) keys[0]) >> index->shift;
	bucket = Min(bucket, index->nbuckets);
	lo = index->before[bucket];
	hi = index->before[bucket + 1];
	while (lo < hi)
	{
		int			middle = lo + (hi - lo) / 2;

		if (keys[middle] <= key)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

/* The last period of the day that opens at or before the time, or NULL */
static inline const CalendarPeriod *
period_at(const CalendarDay *hours, int64 time)
{
	const CalendarPeriod *base = hours->periods;
	int			n = hours->nperiods;

	while (n > 1)
	{
		int			half = n / 2;

		if (base[half].opens <= time)
			base += half;
		n -= half;
	}
	return (n == 1 && base->opens <= time) ? base : NULL;
}

/*
 * The hours that a day has by its weekday; *worked is set to W at its start
 * if there were no dates.
 */
static inline const CalendarDay *
weekday_at(const Calendar *cal, int64 day, int64 *worked)
{
	int64		monday = day + DAYS_AFTER_MONDAY;
	int64		week = monday / 7 - (monday % 7 < 0);
	int			weekday = (int) (monday - week * 7);

	*worked = week * cal->week_open + cal->week_before[weekday];
	return &cal->week[weekday];
}

/*
 * The hours of the local day of a local time; *time is set to the time of
 * day, *worked to W at the start of the day.
 */
static inline const CalendarDay *
day_at(const Calendar *cal, int64 local, int64 *time, int64 *worked)
{
	int64		day = local / USECS_PER_DAY;
	const CalendarDay *hours;
	int			n;

	*time = local - day * USECS_PER_DAY;
	if (*time < 0)
	{
		*time += USECS_PER_DAY;
		day--;
	}

	hours = weekday_at(cal, day, worked);
	n = keys_at_most(&cal->holidays, day);
	if (n > 0 && cal->holidays.keys[n - 1] == day)
		hours = &cal->holiday_hours[--n];
	*worked += cal->holiday_shift[n];
	return hours;
}

/* W: open time up to a local time */
static inline int64
local_worked(const Calendar *cal, int64 local)
{
	int64		time;
	int64		worked;
	const CalendarDay *hours = day_at(cal, local, &time, &worked);
	const CalendarPeriod *period = period_at(hours, time);

	if (period != NULL)
		worked += period->before + Min(time, period->closes) - period->opens;
	return worked;
}

/* The time of day by which the day has been open for that long, 1..open */
static int64
day_reach(const CalendarDay *hours, int64 worked)
{
	const CalendarPeriod *base = hours->periods;
	int			n = hours->nperiods;

	while (n > 1)
	{
		int			half = n / 2;

		if (base[half].before < worked)
			base += half;
		n -= half;
	}
	return base->opens + (worked - base->before);
}

/*
 * The inverse of W: the first local time at which it is that much.  The
 * caller has made sure that there is one.
 */
static int64
local_reach(const Calendar *cal, int64 worked)
{
	int64		day;
	int64		week;
	int			weekday = 6;
	int			n;

	/* of the dates that begin with less: is it on the last, or after it? */
	n = keys_at_most(&cal->holiday_worked, worked - 1);
	if (n > 0)
	{
		int64		rest = worked - cal->holiday_worked.keys[n - 1];

		if (rest <= cal->holiday_hours[n - 1].open)
			return cal->holidays.keys[n - 1] * USECS_PER_DAY +
				day_reach(&cal->holiday_hours[n - 1], rest);
	}
	worked -= cal->holiday_shift[n];

	/* a whole number of weeks, and a rest of 1..week_open */
	week = (worked - 1) / cal->week_open - ((worked - 1) % cal->week_open < 0);
	worked -= week * cal->week_open;
	while (cal->week_before[weekday] >= worked)
		weekday--;
	day = week * 7 + weekday - DAYS_AFTER_MONDAY;

	return day * USECS_PER_DAY +
		day_reach(&cal->week[weekday], worked - cal->week_before[weekday]);
}

/* ---------------------------------------------------------------------
 * The zone
 * ---------------------------------------------------------------------
 */

/* The zone of that name, or NULL.  Zones with leap seconds are none. */
pg_tz *
calendar_zone(const char *name)
{
	pg_tz	   *tz = pg_tzset(name);

	return (tz != NULL && pg_tz_acceptable(tz)) ? tz : NULL;
}

static void
append_segment(const Calendar *cal, CalendarZone *zone, TimestampTz start,
			   int64 offset)
{
	int			n = zone->starts.nkeys;
	int64		worked = local_worked(cal, start + offset);
	int64		shift = 0;

	if (n == zone->maxsegments)
	{
		Size		max = (zone->maxsegments *= 2);

		zone->segments = repalloc_huge(zone->segments,
									   max * sizeof(ZoneSegment));
		zone->starts.keys = repalloc_huge(zone->starts.keys,
										  max * sizeof(int64));
		zone->worked.keys = repalloc_huge(zone->worked.keys,
										  max * sizeof(int64));
	}

	/* C goes on from where the last segment leaves it */
	if (n > 0)
	{
		ZoneSegment *last = &zone->segments[n - 1];

		shift = last->shift + local_worked(cal, start + last->offset) - worked;
	}

	zone->segments[n].offset = offset;
	zone->segments[n].shift = shift;
	zone->starts.keys[n] = start;
	zone->worked.keys[n] = shift + worked;
	zone->starts.nkeys = zone->worked.nkeys = n + 1;
}

/* The segment that an instant of the window is in */
static inline const ZoneSegment *
segment_at(const CalendarZone *zone, TimestampTz at)
{
	return &zone->segments[keys_at_most(&zone->starts, at) - 1];
}

/* How many cycles an instant lies after the last one that the window has */
static inline int64
cycles_after(const CalendarZone *zone, TimestampTz at)
{
	if (likely(at <= zone->hi))
		return 0;
	return (at - zone->hi - 1) / CYCLE + 1;
}

/* C: open time up to an instant of the window, or after it by cycles */
static inline int64
worked_at(const Calendar *cal, const CalendarZone *zone, TimestampTz at)
{
	int64		cycles = cycles_after(zone, at);
	const ZoneSegment *segment;

	at -= cycles * CYCLE;
	segment = segment_at(zone, at);
	return segment->shift + local_worked(cal, at + segment->offset) +
		cycles * zone->cycle_worked;
}

/*
 * Compute the segments of a window.  They get a memory context of their own,
 * a child of the current one until it is given to the calendar: an interrupt
 * leaves neither half a zone nor a leak.
 */
static void
build_zone(const Calendar *cal, CalendarZone *zone, TimestampTz lo,
		   TimestampTz hi)
{
	MemoryContext oldcontext;
	pg_time_t	time = TIMESTAMP_TO_UNIX(lo) - 1;
	bool		ended = false;

	zone->context = AllocSetContextCreate(CurrentMemoryContext,
										  "leadflow calendar zone",
										  ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(zone->context);

	/* "time" is a whole second before the window */
	zone->lo = lo;
	zone->hi = hi;
	zone->maxsegments = 64;
	zone->segments = palloc(zone->maxsegments * sizeof(ZoneSegment));
	zone->starts.keys = palloc(zone->maxsegments * sizeof(int64));
	zone->worked.keys = palloc(zone->maxsegments * sizeof(int64));
	zone->starts.nkeys = zone->worked.nkeys = 0;

	for (;;)
	{
		pg_time_t	boundary;
		long int	before;
		long int	after;
		int			isdst;
		int			found;
		int			n;

		CHECK_FOR_INTERRUPTS();

		found = pg_next_dst_boundary(&time, &before, &isdst, &boundary,
									 &after, &isdst, cal->zone_id);
		if (found < 0)
			elog(ERROR, "could not find the next change of the time zone \"%s\"",
				 pg_get_timezone_name(cal->zone_id));

		/* the first segment begins with the window, not with a change */
		if (zone->starts.nkeys == 0 &&
			(found == 0 || UNIX_TO_TIMESTAMP(boundary) > lo))
			append_segment(cal, zone, lo, before * USECS_PER_SEC);

		if (found == 0)
		{
			/*
			 * At the very last change of its table pg_next_dst_boundary says
			 * that there is no other, even if the zone goes on for ever by a
			 * rule; a second later it knows.
			 */
			if (ended)
			{
				zone->hi = LAST_TIMESTAMP;
				break;
			}
			ended = true;
			time++;
			continue;
		}
		ended = false;

		if (boundary > TIMESTAMP_TO_UNIX(hi))
			break;
		time = boundary;

		/* many a change is one of the name only */
		n = zone->starts.nkeys;
		if (n > 0 && zone->segments[n - 1].offset != after * USECS_PER_SEC)
			append_segment(cal, zone, UNIX_TO_TIMESTAMP(boundary),
						   after * USECS_PER_SEC);
	}

	index_keys(&zone->starts);
	index_keys(&zone->worked);
	zone->cycle_worked = 0;
	if (zone->hi >= cal->cycle_end)
		zone->cycle_worked = worked_at(cal, zone, cal->cycle_end) -
			worked_at(cal, zone, cal->cycle_end - CYCLE);

	MemoryContextSwitchTo(oldcontext);
	MemoryContextSetParent(zone->context, cal->context);
}

/*
 * Have the segments from one instant to another, as far as they don't repeat.
 * A window that was left grows by half or more, so that walking along the axis
 * stays cheap.  C may be another afterwards, by a constant: compare only values
 * of one window.
 */
static CalendarZone *
cover(const Calendar *cal, TimestampTz lo, TimestampTz hi)
{
	CalendarZone *old = cal->zone;
	CalendarZone zone;
	int64		width;

	if (likely(lo >= old->lo && hi <= old->hi))
		return old;
	if (lo >= old->lo && old->hi >= cal->cycle_end)
		return old;

	/* the window fits into the type, but its width need not fit into int64 */
	width = old->hi / 2 - old->lo / 2;
	if (lo < old->lo)
		lo = (old->lo - MIN_TIMESTAMP > width) ?
			Min(lo, old->lo - width) : MIN_TIMESTAMP;
	else
		lo = old->lo;
	if (hi > old->hi)
		hi = (cal->cycle_end - old->hi > width) ?
			Min(Max(hi, old->hi + width), cal->cycle_end) : cal->cycle_end;
	else
		hi = old->hi;

	/* the new one is complete before the old one goes */
	build_zone(cal, &zone, lo, hi);
	MemoryContextDelete(old->context);
	*old = zone;
	return old;
}

/* ---------------------------------------------------------------------
 * Building
 * ---------------------------------------------------------------------
 */

static int
compare_rows(const void *a, const void *b)
{
	const CalendarRow *ra = (const CalendarRow *) a;
	const CalendarRow *rb = (const CalendarRow *) b;

	if (ra->day != rb->day)
		return (ra->day < rb->day) ? -1 : 1;
	if (ra->opens != rb->opens)
		return (ra->opens < rb->opens) ? -1 : 1;
	return 0;
}

/*
 * The rows of one day, in order, as disjoint periods: what overlaps or
 * touches becomes one, so that no instant is counted twice.
 */
static void
build_day(CalendarDay *hours, const CalendarRow *rows, int nrows)
{
	CalendarPeriod *periods = palloc(nrows * sizeof(CalendarPeriod));

	hours->periods = periods;
	hours->nperiods = 0;
	hours->open = 0;

	for (int i = 0; i < nrows; i++)
	{
		int64		opens = Max(rows[i].opens, 0);
		int64		closes = Min(rows[i].closes, USECS_PER_DAY);

		if (opens >= closes)
			continue;
		if (hours->nperiods > 0)
		{
			CalendarPeriod *last = &periods[hours->nperiods - 1];

			if (opens <= last->closes)
			{
				hours->open += Max(closes - last->closes, 0);
				last->closes = Max(closes, last->closes);
				continue;
			}
		}
		periods[hours->nperiods].opens = opens;
		periods[hours->nperiods].closes = closes;
		periods[hours->nperiods].before = hours->open;
		hours->nperiods++;
		hours->open += closes - opens;
	}
}

/*
 * Fill in a calendar from its rows, which are sorted in place.  Everything is
 * allocated in the current memory context, which must live as long as the
 * calendar; name and id are the caller's business.
 */
void
calendar_build(Calendar *cal, pg_tz *zone_id,
			   CalendarRow *hours, int nhours,
			   CalendarRow *holidays, int nholidays)
{
	int			n;
	int			next;
	bool		all_open = true;

	memset(cal, 0, sizeof(Calendar));
	cal->zone_id = zone_id;
	cal->context = CurrentMemoryContext;
	cal->never = true;

	/* the week */
	qsort(hours, nhours, sizeof(CalendarRow), compare_rows);
	for (int i = 0; i < nhours; i = next)
	{
		for (next = i + 1; next < nhours && hours[next].day == hours[i].day;)
			next++;
		if (hours[i].day >= 1 && hours[i].day <= 7)
			build_day(&cal->week[hours[i].day - 1], &hours[i], next - i);
	}
	for (int i = 0; i < 7; i++)
	{
		cal->week_before[i] = cal->week_open;
		cal->week_open += cal->week[i].open;
	}
	if (cal->week_open > 0)
		cal->never = false;
	if (cal->week_open < 7 * USECS_PER_DAY)
		all_open = false;

	/* the dates, each with its difference from the weekday */
	qsort(holidays, nholidays, sizeof(CalendarRow), compare_rows);
	cal->holidays.keys = palloc((nholidays + 1) * sizeof(int64));
	cal->holiday_hours = palloc((nholidays + 1) * sizeof(CalendarDay));
	cal->holiday_shift = palloc((nholidays + 1) * sizeof(int64));
	cal->holiday_worked.keys = palloc((nholidays + 1) * sizeof(int64));
	cal->holiday_shift[0] = 0;
	n = 0;
	for (int i = 0; i < nholidays; i = next)
	{
		int32		day = holidays[i].day;
		CalendarDay *actual = &cal->holiday_hours[n];
		const CalendarDay *usual;
		int64		worked;

		CHECK_FOR_INTERRUPTS();

		for (next = i + 1; next < nholidays && holidays[next].day == day;)
			next++;
		/* the local day of an instant may be one beyond the type's range */
		if (day < MIN_TIMESTAMP / USECS_PER_DAY - 1 ||
			day > LAST_TIMESTAMP / USECS_PER_DAY + 1)
			continue;

		usual = weekday_at(cal, day, &worked);
		build_day(actual, &holidays[i], next - i);
		cal->holidays.keys[n] = day;
		cal->holiday_worked.keys[n] = worked + cal->holiday_shift[n];
		cal->holiday_shift[n + 1] = cal->holiday_shift[n] +
			actual->open - usual->open;
		if (actual->open > 0)
			cal->never = false;
		if (actual->open < USECS_PER_DAY)
			all_open = false;
		n++;
	}
	cal->holidays.nkeys = cal->holiday_worked.nkeys = n;
	index_keys(&cal->holidays);
	index_keys(&cal->holiday_worked);
	cal->always = all_open;

	/* a local day may begin a day before, and end a day after its date */
	cal->cycle_end = RULES_SINCE;
	if (n > 0)
		cal->cycle_end = Max(cal->cycle_end,
							 (cal->holidays.keys[n - 1] + 2) * USECS_PER_DAY);
	if (cal->cycle_end < LAST_TIMESTAMP - CYCLE)
		cal->cycle_end += CYCLE;
	else
		cal->cycle_end = LAST_TIMESTAMP;

	cal->zone = palloc(sizeof(CalendarZone));
	build_zone(cal, cal->zone, FIRST_WINDOW_LO, FIRST_WINDOW_HI);
}

/* ---------------------------------------------------------------------
 * Asking
 * ---------------------------------------------------------------------
 */

static void
check_finite(TimestampTz at)
{
	if (unlikely(TIMESTAMP_NOT_FINITE(at)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("working time needs a finite timestamp")));
}

/*
 * The first instant at which C is C(from) + usecs, where usecs may be
 * negative.  False if there is none: the calendar doesn't open any more (or
 * hasn't opened before), or not within the range of the type.
 */
static bool
reach(const Calendar *cal, TimestampTz from, int64 usecs, TimestampTz *result)
{
	CalendarZone *zone;
	TimestampTz lo = from;
	TimestampTz hi = from;
	int64		worked;
	int64		cycles = 0;
	int			last;

	if (cal->never)
		return false;

	/*
	 * Without weekly hours there is nothing but the dates: don't look for an
	 * opening beyond them.  Two days are more than any offset.
	 */
	if (cal->week_open == 0)
	{
		int64	   *days = cal->holidays.keys;
		int			n = cal->holidays.nkeys;

		lo = Min(lo, Max((days[0] - 2) * USECS_PER_DAY, MIN_TIMESTAMP));
		hi = Max(hi, Min((days[n - 1] + 2) * USECS_PER_DAY, LAST_TIMESTAMP));
	}

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();

		zone = cover(cal, lo, hi);
		if (pg_add_s64_overflow(worked_at(cal, zone, from), usecs, &worked))
			return false;
		if (worked <= zone->worked.keys[0])
		{
			if (cal->week_open == 0 || zone->lo <= MIN_TIMESTAMP)
				return false;
			lo = zone->lo - 1;	/* cover() makes it much more */
		}
		else if (worked > worked_at(cal, zone, zone->hi))
		{
			if (cal->week_open == 0 || zone->hi >= LAST_TIMESTAMP)
				return false;
			if (zone->hi >= cal->cycle_end)
			{
				Assert(zone->cycle_worked > 0);
				cycles = (worked - worked_at(cal, zone, zone->hi) - 1) /
					zone->cycle_worked + 1;
				worked -= cycles * zone->cycle_worked;
				break;
			}
			hi = zone->hi + 1;
		}
		else
			break;
	}

	/* the last segment that begins with less than that */
	last = keys_at_most(&zone->worked, worked - 1) - 1;
	*result = local_reach(cal, worked - zone->segments[last].shift) -
		zone->segments[last].offset;
	if (cycles > 0 && cycles > (LAST_TIMESTAMP - *result) / CYCLE)
		return false;
	*result += cycles * CYCLE;
	return true;
}

/*
 * Working time between two instants, in microseconds; negative if "to" is
 * before "from".
 */
int64
calendar_elapsed(const Calendar *cal, TimestampTz from, TimestampTz to)
{
	int64		elapsed;

	check_finite(from);
	check_finite(to);

	if (cal->always)
	{
		if (pg_sub_s64_overflow(to, from, &elapsed))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("interval out of range")));
	}
	else
	{
		CalendarZone *zone = cover(cal, Min(from, to), Max(from, to));

		if (pg_sub_s64_overflow(worked_at(cal, zone, to),
								worked_at(cal, zone, from), &elapsed))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("interval out of range")));
	}
	return elapsed;
}

/*
 * The earliest instant, from "from" on, by which that much working time has
 * passed: at 17:00 sharp, not at 09:00 of the next day; and "from" itself for
 * an amount of zero, be it open or not.
 *
 * A negative amount goes backwards and mirrors this: the latest instant, up
 * to "from", since which that much working time has passed.
 */
TimestampTz
calendar_add(const Calendar *cal, TimestampTz from, int64 usecs)
{
	TimestampTz result = from;
	bool		found;

	check_finite(from);

	if (usecs == 0)
		return from;
	if (cal->always)
		found = !pg_add_s64_overflow(from, usecs, &result);
	else if (usecs > 0)
		found = reach(cal, from, usecs, &result);
	else
	{
		found = reach(cal, from, usecs + 1, &result);
		result--;
	}

	if (!found && cal->never)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("calendar \"%s\" is never open", cal->name),
				 errhint("Give it hours in leadflow.calendar_hours.")));
	if (!found && cal->week_open == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("calendar \"%s\" is not open for that long", cal->name),
				 errdetail("It has no weekly hours, and the days in leadflow.calendar_holidays do not suffice.")));
	if (!found || !IS_VALID_TIMESTAMP(result))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return result;
}

/* Opening instant in, closing instant out */
bool
calendar_is_open(const Calendar *cal, TimestampTz at)
{
	CalendarZone *zone;
	const CalendarDay *hours;
	const CalendarPeriod *period;
	int64		time;
	int64		worked;

	check_finite(at);

	if (cal->always || cal->never)
		return cal->always;

	zone = cover(cal, at, at);
	at -= cycles_after(zone, at) * CYCLE;
	hours = day_at(cal, at + segment_at(zone, at)->offset, &time, &worked);
	period = period_at(hours, time);
	return period != NULL && time < period->closes;
}
