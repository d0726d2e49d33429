/*-------------------------------------------------------------------------
 *
 * calendar.h
 *	  Working time: the pure rules (row 1).  See calendar.c for the algorithm.
 *
 * A Calendar is built once from its rows (calendar_build) and is then only
 * asked.  Nothing here reads a table, a setting or the clock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CALENDAR_H
#define LEADFLOW_CALENDAR_H

#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/palloc.h"

/*
 * One row of hours as written: of an ISO weekday (1-7) or of a date (days
 * since 2000-01-01).  Times are microseconds since local midnight, at most
 * USECS_PER_DAY (24:00).  opens >= closes is a row without hours: a day that
 * is named but closed.
 */
typedef struct CalendarRow
{
	int32		day;
	int64		opens;
	int64		closes;
} CalendarRow;

/* A period of a day, [opens, closes), the periods disjoint and in order */
typedef struct CalendarPeriod
{
	int64		opens;
	int64		closes;
	int64		before;			/* open time of the day before it opens */
} CalendarPeriod;

typedef struct CalendarDay
{
	const CalendarPeriod *periods;
	int			nperiods;
	int64		open;			/* open time of the whole day */
} CalendarDay;

/*
 * Ascending keys, and for each of some equally wide buckets the number of
 * keys before it: a search begins within the bucket of its key.
 */
typedef struct CalendarKeys
{
	int64	   *keys;
	int			nkeys;
	int			shift;			/* a bucket is 2^shift wide */
	uint64		nbuckets;
	int		   *before;			/* nbuckets + 2 members */
} CalendarKeys;

struct CalendarZone;			/* the zone's offsets, private to calendar.c */

typedef struct Calendar
{
	int64		id;
	const char *name;
	int			name_len;
	pg_tz	   *zone_id;
	bool		always;			/* open at every instant, 24 x 7 */
	bool		never;			/* open at no instant */

	/* the week, Monday first */
	CalendarDay week[7];
	int64		week_before[7]; /* open time of the week before that day */
	int64		week_open;		/* open time of a whole week */

	/*
	 * The dates that replace the week's hours.  holiday_shift[i] is what the
	 * dates before i add to (or take from) a plain series of weeks; it has
	 * one member more than there are dates.  holiday_worked holds the open
	 * time at the start of each date.
	 */
	CalendarKeys holidays;
	CalendarDay *holiday_hours;
	int64	   *holiday_shift;
	CalendarKeys holiday_worked;

	TimestampTz cycle_end;		/* end of the first 400 years that repeat */
	struct CalendarZone *zone;	/* grows on demand, hence not const */
	MemoryContext context;		/* of all of the above */
} Calendar;

extern pg_tz *calendar_zone(const char *name);
extern void calendar_build(Calendar *cal, pg_tz *zone_id,
						   CalendarRow *hours, int nhours,
						   CalendarRow *holidays, int nholidays);

extern int64 calendar_elapsed(const Calendar *cal, TimestampTz from,
							  TimestampTz to);
extern TimestampTz calendar_add(const Calendar *cal, TimestampTz from,
								int64 usecs);
extern bool calendar_is_open(const Calendar *cal, TimestampTz at);

#endif							/* LEADFLOW_CALENDAR_H */
