/*-------------------------------------------------------------------------
 * limit.h
 *	  Rules with a limit: the most recent max_count count.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_LIMIT_H
#define LEADFLOW_LIMIT_H

#include "points.h"

/* An activity that a rule with a limit matched. */
typedef struct LimitEntry
{
	int			rule;			/* into Model.rules */
	int64		bucket;			/* start of the calendar bucket, 0 = for ever */
	uint64		value;			/* hash of the once_per value, 0 = none */
	TimestampTz at;
} LimitEntry;

/* What of them counts, as far as it is kept. */
typedef struct Window
{
	int			n;
	int			room;
	LimitEntry *entries;		/* by rule, bucket, value; then the most recent first */
} Window;

typedef enum LimitResult
{
	LIMIT_COUNTS,				/* and nothing else changes */
	LIMIT_DISPLACES,			/* counts, and the oldest of its like does so no longer */
	LIMIT_HELD_BACK,			/* more recent ones fill the limit */
	LIMIT_UNKNOWN				/* what counts there is not kept: ask the activities */
} LimitResult;

extern LimitEntry limit_entry(const Model *model, const PointRule *rule, TimestampTz at,
							  Jsonb *value);
extern int	limit_entries_keep(const Model *model, LimitEntry *entries, int n);

extern LimitResult window_add(const Model *model, Window *window, int max_buckets,
							  const LimitEntry *entry, TimestampTz *displaced);
extern void window_join(const Model *model, Window *window, const Window *more);
extern LimitResult window_merge(const Model *model, Window *window, const Window *more,
								double *sums, TimestampTz *last_at);
extern void window_make(const Model *model, Window *window, const LimitEntry *entries, int n);
extern bytea *window_pack(const Model *model, const Window *window);
extern bool window_unpack(const Model *model, Window *window, bytea *packed);
extern bool window_agrees(const Window *window, const Window *made);

/* How many calendar buckets of a rule are kept with a lead, and in memory. */
#define WINDOW_BUCKETS		8
#define WINDOW_ALL_BUCKETS	PG_INT32_MAX

#endif							/* LEADFLOW_LIMIT_H */
