/*-------------------------------------------------------------------------
 * policy_store.h
 *	  Service levels as configured: sla_policies, and whose calendar is which.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_POLICY_STORE_H
#define LEADFLOW_POLICY_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "calendar.h"
#include "condition.h"

typedef enum ClockMetric
{
	TIME_TO_ACCEPT,
	TIME_TO_FIRST_TOUCH
} ClockMetric;

#define CLOCK_METRICS 2
extern const char *const policy_metric_names[CLOCK_METRICS];

typedef struct SlaPolicy
{
	int64		id;
	int64		target;			/* microseconds of working time */
	int64		warn_after;		/* likewise; -1 = no warning */
	int64		calendar_id;	/* 0 = the owner's */
	Condition  *condition;		/* NULL = every lead */
	TimestampTz from;
	TimestampTz until;
	bool		from_inclusive;
	bool		until_inclusive;
} SlaPolicy;

typedef struct MemberCalendar
{
	int64		member_id;
	int64		calendar_id;
} MemberCalendar;

typedef struct SlaConfig
{
	bool		any;
	bool		conditional;
	int			npolicies[CLOCK_METRICS];
	SlaPolicy  *policies[CLOCK_METRICS];	/* in the order in which they are asked */
	int			nmembers;
	MemberCalendar *members;	/* by member_id */
} SlaConfig;

extern const SlaConfig *policy_config(void);

/* The policy of a metric for a clock that starts then; NULL = none. */
extern const SlaPolicy *policy_choose(const SlaConfig *config, ClockMetric metric, TimestampTz at, Jsonb *document);

/* The member's calendar, 0 = none */
extern int64 policy_member_calendar(const SlaConfig *config, int64 member_id);

/* Is it open for that long within the horizon? Then policy_deadline() can't fail. */
extern bool policy_can_count(const Calendar *calendar, TimestampTz from, int64 target);
extern TimestampTz policy_deadline(const Calendar *calendar, TimestampTz from, int64 usecs);

/* Refuses a target that no clock could count: months, or a calendar closed for good. */
extern void policy_check_target(const Interval *target, const char *column, int64 calendar_id);

#endif							/* LEADFLOW_POLICY_STORE_H */
