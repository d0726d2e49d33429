/*-------------------------------------------------------------------------
 *
 * calendar_store.h
 *	  Calendars as they are in the tables, cached (row 2).
 *
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CALENDAR_STORE_H
#define LEADFLOW_CALENDAR_STORE_H

#include "calendar.h"

/* Called once by _PG_init */
extern void calendar_store_init(void);

/*
 * The calendar of that id or name, as last committed or changed by this
 * transaction; an error (22023) if there is none.
 *
 * The pointer is good until the end of the transaction: asking for the *same*
 * calendar after a change replaces what it points to, anything else leaves it
 * alone.
 */
extern const Calendar *calendar_get(int64 id);
extern const Calendar *calendar_get_by_name(const text *name);

#endif							/* LEADFLOW_CALENDAR_STORE_H */
