/*-------------------------------------------------------------------------
 * points.h
 *	  A scoring model, and the arithmetic of points.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_POINTS_H
#define LEADFLOW_POINTS_H

#include "postgres.h"

#include <math.h>

#include "datatype/timestamp.h"
#include "utils/hsearch.h"
#include "utils/uuid.h"

#include "condition.h"

typedef struct PointGroup
{
	int64		id;
	char	   *name;
	double		min;
	double		max;
	int64		half_life;		/* microseconds, 0 = none */
} PointGroup;

typedef struct PointRule
{
	int64		id;
	int			group;			/* into Model.groups */
	char	   *name;
	Condition  *condition;		/* NULL = always */
	double		points;
	int			max_count;		/* 0 = no limit */
	text	   *per;			/* unit of date_trunc, NULL = for ever */
	Condition  *once_per;
	bool		hand_raise;
} PointRule;

typedef struct Disqualifier
{
	int64		id;
	char	   *reason;
	Condition  *condition;
} Disqualifier;

typedef struct Criterion
{
	char	   *name;
	Condition  *condition;
	List	   *fields;			/* that it looks at */
	double		points;
} Criterion;

typedef struct Persona
{
	int64		id;
	char	   *name;
	int			ncriteria;
	Criterion  *criteria;
} Persona;

typedef enum ActivityRole
{
	ROLE_ENGAGEMENT,
	ROLE_SALES_TOUCH,
	ROLE_MARKETING_MESSAGE,
	ROLE_OTHER
} ActivityRole;

/* A registered kind of activity, with the rules on it. */
typedef struct ActivityKind
{
	char		name[64];		/* hash key; longer names are never registered */
	ActivityRole role;
	bool		message;		/* sent by us, on a channel */
	bool		withdraws;		/* permission to be contacted */
	bool		two_way;		/* a conversation took place */
	bool		expects_reply;
	int			nrules;
	PointRule **rules;
} ActivityKind;

typedef struct Model
{
	int64		id;				/* 0 = no model: kinds and roles only */
	uint64		generation;		/* differs between any two compilations */
	char		signature[33];	/* the same for two that mean the same */
	uint32		fingerprint;	/* digest of it */
	bool		limited;		/* has rules with a limit, and keeps what counts */
	double		mql_threshold;
	bool		hands_off;		/* handoff_threshold is not NULL */
	double		handoff_threshold;
	char		min_fit_grade;	/* 0 = none */
	char		hand_raise_min_grade;
	List	   *required_fields;	/* of char * */
	double		max_score;
	double		hot_from;
	double		warm_from;
	double		cutoffs[3];
	int64		cool_down;		/* microseconds */
	double		requalify_points;
	text	   *time_zone;		/* of limits' buckets */

	PointGroup *fit;			/* NULL = none */
	int			ngroups;		/* engagement groups, by id */
	PointGroup *groups;
	int			nrules;
	PointRule  *rules;
	int			npersonas;
	Persona    *personas;
	int			nlead_disqualifiers;
	Disqualifier *lead_disqualifiers;
	int			nactivity_disqualifiers;
	Disqualifier *activity_disqualifiers;
	HTAB	   *kinds;
} Model;

/*
 * Does a sum of points reach a threshold?  To 1e-9: the very activity that brings it there
 * is worth points * 2^x / 2^x, which may be a last digit short.
 */
static inline bool
reaches(double value, double threshold)
{
	return value >= threshold - 1e-9 * Max(1.0, fabs(threshold));
}

/* Sums of points by group, scaled to floor(last_at / half_life). */
extern void points_advance(const Model *model, double *sums, TimestampTz *last_at, TimestampTz to);
extern void points_add(const Model *model, double *sums, TimestampTz *last_at,
					   int group, double points, TimestampTz at);
extern void points_merge(const Model *model, double *sums, TimestampTz *last_at,
						 const double *more, TimestampTz more_last_at);
extern double points_value(const Model *model, int group, double sum, TimestampTz last_at,
						   TimestampTz at);
extern double points_heat(const Model *model, const double *sums, TimestampTz last_at);
extern double points_heat_value(const PointGroup *group, double heat, TimestampTz at);
extern double points_decay(int64 half_life, TimestampTz since, TimestampTz at);
extern double clamp(double value, double min, double max);
extern bool happened_later(TimestampTz at, const pg_uuid_t *id, TimestampTz than, const pg_uuid_t *than_id);
extern bool disqualifies_first(TimestampTz at, int64 id, TimestampTz than, int64 than_id);
extern char points_grade(const Model *model, double fit);	/* 0 = no fit group */
extern int	points_level(const Model *model, double engagement);
extern const char *points_band(const Model *model, double score);
extern bool grade_at_least(char grade, char minimum);
extern const ActivityKind *model_kind(const Model *model, const char *kind, int len);

#endif							/* LEADFLOW_POINTS_H */
