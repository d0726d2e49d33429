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

#include "clock.h"
#include "condition.h"

/* A version of a promise whose metric has clocks. */
typedef struct SlaPolicy
{
	int64		id;
	ClockMetric metric;
	int64		target;			/* microseconds of working time: the target, or the window of attempts */
	int64		warn_after;		/* likewise; -1 = no warning */
	int			target_count;	/* attempts; 0 = another metric */
	int64		calendar_id;	/* 0 = that of whoever has the lead */
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
	int			npolicies;		/* 0: there are no clocks either */
	SlaPolicy  *policies;		/* by id */
	int			nof[CLOCK_METRICS]; /* those of each metric */
	const SlaPolicy **of[CLOCK_METRICS];	/* in the order in which they are asked */
	bool		conditional[CLOCK_METRICS]; /* has one of them a condition? */
	int			nmembers;
	MemberCalendar *members;	/* by member_id */
} SlaConfig;

extern const SlaConfig *policy_config(void);

/* NULL = it has no clocks */
extern const SlaPolicy *policy_find(const SlaConfig *config, int64 id);

/* The policy of a metric for a clock that starts then; NULL = none. */
extern const SlaPolicy *policy_choose(const SlaConfig *config, ClockMetric metric, TimestampTz at, Jsonb *document);

/* Does any policy of the metric hold then, for some lead? */
extern bool policy_in_force(const SlaConfig *config, ClockMetric metric, TimestampTz at);

/* The member's calendar, 0 = none */
extern int64 policy_member_calendar(const SlaConfig *config, int64 member_id);

/* Refuses a target that no clock could count: months, or a calendar closed for good. */
extern void policy_check_target(const char *name, const Interval *target, const char *column,
								int64 calendar_id);

#endif							/* LEADFLOW_POLICY_STORE_H */
