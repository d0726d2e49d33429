/*-------------------------------------------------------------------------
 * points.c
 *	  The arithmetic of points: decay, groups, grade, level and band.
 *
 * With a half-life h the points of an activity at time t are worth
 * points * 2^(-(T-t)/h) at T.  The sum over a lead's activities is kept as
 *
 *		sum = SUM points_i * 2^(t_i/h - k),		k = floor(last_at/h)
 *
 * (times in microseconds since 2000-01-01 UTC), so its value at T is
 * sum * 2^(k - T/h).  t/h is split into a whole number of half-lives, which goes
 * into the exponent exactly (ldexp), and a fraction in [0,1): the accuracy
 * does not depend on how far from 2000 the times are, and nothing overflows.
 * When last_at advances the sum is scaled by a whole power of two: exact.
 *
 * Limits: points more than 1,074 half-lives older than last_at vanish, as they do
 * in any double.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "points.h"

/* floor(a / b) for b > 0 */
static inline int64
floor_div(int64 a, int64 b)
{
	int64		quotient = a / b;

	return (a % b < 0) ? quotient - 1 : quotient;
}

/* value * 2^exponent for exponents beyond int, too */
static inline double
scale(double value, int64 exponent)
{
	if (exponent == 0 || value == 0)
		return value;
	return ldexp(value, (int) Min(Max(exponent, -20000), 20000));
}

/* 2^(at/h - floor(at/h)), in [1,2) */
static inline double
fraction(TimestampTz at, int64 whole, int64 half_life)
{
	return exp2((double) (at - whole * half_life) / (double) half_life);
}

double
clamp(double value, double min, double max)
{
	return value < min ? min : value > max ? max : value;
}

/* Activities are ordered by instant, then id; DT_NOBEGIN is none. */
bool
happened_later(TimestampTz at, const pg_uuid_t *id, TimestampTz than, const pg_uuid_t *than_id)
{
	if (at != than)
		return at > than;
	return !TIMESTAMP_IS_NOBEGIN(at) && memcmp(id, than_id, sizeof(pg_uuid_t)) > 0;
}

/* The earliest disqualifying instant counts, and at one instant the lowest disqualifier; DT_NOEND is none. */
bool
disqualifies_first(TimestampTz at, int64 id, TimestampTz than, int64 than_id)
{
	if (at != than)
		return at < than;
	return !TIMESTAMP_IS_NOEND(at) && id < than_id;
}

/* Scales the sums for a later last_at. */
void
points_advance(const Model *model, double *sums, TimestampTz *last_at, TimestampTz to)
{
	if (to <= *last_at)
		return;
	if (!TIMESTAMP_IS_NOBEGIN(*last_at))
	{
		for (int g = 0; g < model->ngroups; g++)
		{
			int64		h = model->groups[g].half_life;

			if (h > 0 && sums[g] != 0)
				sums[g] = scale(sums[g], floor_div(*last_at, h) - floor_div(to, h));
		}
	}
	*last_at = to;
}

void
points_add(const Model *model, double *sums, TimestampTz *last_at,
		   int group, double points, TimestampTz at)
{
	int64		h = model->groups[group].half_life;

	points_advance(model, sums, last_at, at);
	if (h > 0)
	{
		int64		whole = floor_div(at, h);

		points = scale(points * fraction(at, whole, h), whole - floor_div(*last_at, h));
	}
	sums[group] += points;
}

/* Adds sums that are scaled to another last_at. */
void
points_merge(const Model *model, double *sums, TimestampTz *last_at,
			 const double *more, TimestampTz more_last_at)
{
	if (TIMESTAMP_IS_NOBEGIN(more_last_at))
		return;
	points_advance(model, sums, last_at, more_last_at);
	for (int g = 0; g < model->ngroups; g++)
	{
		int64		h = model->groups[g].half_life;

		if (more[g] == 0)
			continue;
		if (h > 0)
			sums[g] += scale(more[g], floor_div(more_last_at, h) - floor_div(*last_at, h));
		else
			sums[g] += more[g];
	}
}

/* What a group's sum is worth at an instant, before it is clamped. */
double
points_value(const Model *model, int group, double sum, TimestampTz last_at, TimestampTz at)
{
	int64		h = model->groups[group].half_life;
	int64		whole;

	if (h == 0 || sum == 0)
		return sum;
	whole = floor_div(at, h);
	return scale(sum / fraction(at, whole, h), floor_div(last_at, h) - whole);
}

/*
 * What orders leads by their one group that decays, at whatever instant:
 * log2 of its value plus the instant in half-lives, log2(sum) + k.  NaN where
 * the model has not exactly one engagement group, it does not decay, or the sum is not positive.
 */
double
points_heat(const Model *model, const double *sums, TimestampTz last_at)
{
	int64		h = model->ngroups == 1 ? model->groups[0].half_life : 0;

	if (h == 0 || !(sums[0] > 0) || TIMESTAMP_NOT_FINITE(last_at))
		return NAN;
	return log2(sums[0]) + (double) floor_div(last_at, h);
}

/* The value that belongs to a heat, or a little more: not less than points_value() says. */
double
points_heat_value(const PointGroup *group, double heat, TimestampTz at)
{
	int64		h = group->half_life;
	int64		whole = floor_div(at, h);
	double		rounding = 16 * DBL_EPSILON * Max(Max(fabs(heat), fabs((double) whole)), 1);

	return exp2(heat - (double) whole - (double) (at - whole * h) / (double) h + rounding) + DBL_MIN;
}

/* 2^(-(at - since)/h); 1 without a half-life */
double
points_decay(int64 half_life, TimestampTz since, TimestampTz at)
{
	return half_life == 0 ? 1.0 : exp2(-(double) (at - since) / (double) half_life);
}

char
points_grade(const Model *model, double fit)
{
	double		share;

	if (model->fit == NULL)
		return 0;
	if (model->fit->max <= 0)
		return 'D';
	share = fit / model->fit->max;
	for (int i = 0; i < 3; i++)
	{
		if (reaches(share, model->cutoffs[i]))
			return 'A' + i;
	}
	return 'D';
}

int
points_level(const Model *model, double engagement)
{
	double		max = 0;

	for (int g = 0; g < model->ngroups; g++)
		max += model->groups[g].max;
	if (max <= 0)
		return 4;
	for (int i = 0; i < 3; i++)
	{
		if (reaches(engagement / max, model->cutoffs[i]))
			return i + 1;
	}
	return 4;
}

const char *
points_band(const Model *model, double score)
{
	if (model->id == 0)
		return "cool";
	return reaches(score, model->hot_from) ? "hot" : reaches(score, model->warm_from) ? "warm" : "cool";
}

/* Without a minimum, or without a fit group, nothing is asked. */
bool
grade_at_least(char grade, char minimum)
{
	return minimum == 0 || grade == 0 || grade <= minimum;
}

/* NULL for a kind that is not registered. */
const ActivityKind *
model_kind(const Model *model, const char *kind, int len)
{
	char		key[64];

	if (len >= (int) sizeof(key))
		return NULL;
	memcpy(key, kind, len);
	memset(key + len, 0, sizeof(key) - len);
	return hash_search(model->kinds, key, HASH_FIND, NULL);
}
