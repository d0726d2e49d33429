/*-------------------------------------------------------------------------
 * attribution_split.c
 *	  An amount shared by weights, to the cent.
 *
 * The amount is counted in units of 10^-scale.  A touch's quota is
 * units * weight / sum of weights; it gets the whole units of it, and the units
 * that are left over go one each to the largest remainders, ties to the earlier
 * position (largest remainder, or Hamilton's method).  The amount's sign is put
 * aside first, so -50 is shared exactly as 50 is.
 *
 * A weight is read as the shortest decimal that stands for it, as it prints, so
 * that 0.3 and 0.1 mean three tenths and one tenth.  Remainders are compared to
 * nine decimals of a unit: 0.1 + 0.2 and 0.3 differ in their last bit, and that
 * must not decide who gets the cent.  (Such rounding can't give a unit to a touch
 * without weight: the remainders add up to the units that are left, so there are
 * at least as many above 10^-9.)
 *
 * That is the definition, and share_exactly() computes it in numeric arithmetic,
 * for any amount.  Three shorter ways come before it, each of which either gives
 * the same result or none:
 *
 * - Equal weights (or 0): integer division.
 * - Binary: quotas in double precision, with a bound of their error.  It gives
 *   up where a quota is so close to a whole number, or the last remainder that
 *   gets a unit so close to the first that doesn't, that the error could matter;
 *   touches of the very same weight have the very same quota, though.
 * - Decimal: weights as integers times one power of ten, all of it exact.  This
 *   is for quotas that are whole, or have equal remainders.  It gives up where
 *   the decimals don't fit.
 *
 * Limits: scale 0 to 18; the short ways take less than 2^50 units (11 trillion
 * at two decimals).  O(n log n).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <limits.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "attribution.h"

#define MAX_SCALE 18
#define REMAINDER_UNIT INT64CONST(1000000000)	/* remainders are compared to 1/this */
#define MAX_SHORT_UNITS (INT64CONST(1) << 50)

/* A touch that competes for a unit that is left over. */
typedef struct Remainder
{
	int64		size;			/* of a whole that the caller knows */
	int64		kind;			/* of the same kind: certainly of the same size */
	int			position;
} Remainder;

static inline int
compare_remainders(const Remainder *a, const Remainder *b)
{
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	return (a->position > b->position) - (a->position < b->position);
}

#define ST_SORT sort_remainders
#define ST_ELEMENT_TYPE Remainder
#define ST_COMPARE(a, b) compare_remainders(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Room for the remainders of usual paths without an allocation. */
#define LOCAL_REMAINDERS 32

/*
 * The units that are left over go to the largest remainders.  False where that
 * hangs on sizes that differ by no more than "close".
 */
static bool
hand_out(Remainder *remainders, int n, int64 left, int64 close, int64 *shares)
{
	const Remainder *last;
	const Remainder *next;

	if (left == 0)
		return true;
	if (left < 0 || left >= n)
		return false;
	sort_remainders(remainders, n);
	last = &remainders[left - 1];
	next = &remainders[left];
	if (last->size - next->size <= close)
	{
		for (int i = left - 1; i >= 0 && remainders[i].size - next->size <= close; i--)
		{
			if (remainders[i].kind != next->kind)
				return false;
		}
		for (int i = left; i < n && last->size - remainders[i].size <= close; i++)
		{
			if (remainders[i].kind != last->kind)
				return false;
		}
	}
	for (int i = 0; i < left; i++)
		shares[remainders[i].position]++;
	return true;
}

static bool
share_evenly(int64 units, const double *weights, int n, int64 *shares)
{
	double		common = 0;
	int			sharers = 0;
	int64		share;
	int64		left;

	for (int i = 0; i < n; i++)
	{
		if (weights[i] == 0)
			continue;
		if (sharers++ == 0)
			common = weights[i];
		else if (weights[i] != common)
			return false;
	}
	share = units / sharers;
	left = units % sharers;
	for (int i = 0; i < n; i++)
		shares[i] = weights[i] == 0 ? 0 : share + (left-- > 0);
	return true;
}

static bool
share_in_binary(int64 units, const double *weights, int n, Remainder *remainders, int64 *shares)
{
	const double whole = (double) (INT64CONST(1) << 52);
	double		sum = 0;
	double		error;
	int64		left = units;
	int			competing = 0;

	for (int i = 0; i < n; i++)
	{
		/* nothing below overflows or is subnormal */
		if (weights[i] != 0 && (weights[i] < 1e-200 || weights[i] > 1e200))
			return false;
		sum += weights[i];
	}

	/*
	 * Each of the n + 4 roundings (weights as decimals twice, their sum,
	 * product, quotient) is off by at most DBL_EPSILON / 2 of its result; this
	 * is twice as much, and no quota is larger than units.
	 */
	error = (double) units * (n + 8) * DBL_EPSILON;
	for (int i = 0; i < n; i++)
	{
		double		quota;
		double		fraction;

		shares[i] = 0;
		if (weights[i] == 0)
			continue;
		quota = (double) units * weights[i] / sum;
		shares[i] = (int64) quota;
		fraction = quota - (double) shares[i];
		if (fraction <= error || fraction >= 1 - error)
			return false;
		remainders[competing].size = (int64) (fraction * whole);
		memcpy(&remainders[competing].kind, &weights[i], sizeof(double));
		remainders[competing++].position = i;
		left -= shares[i];
	}
	return hand_out(remainders, competing, left,
					(int64) ((2 * error + 2.0 / REMAINDER_UNIT) * whole), shares);
}

/* A weight is digits * 10^exponent, digits below 10^17. */
typedef struct Decimal
{
	double		weight;
	int64		digits;
	int			exponent;
} Decimal;

/* The decimal that the weight prints as, whatever extra_float_digits is. */
static void
read_decimal(double weight, Decimal *decimal)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];
	bool		fraction = false;

	double_to_shortest_decimal_buf(weight, text);
	decimal->weight = weight;
	decimal->digits = 0;
	decimal->exponent = 0;
	for (const char *c = text; *c; c++)
	{
		if (*c == 'e')
		{
			decimal->exponent += atoi(c + 1);
			break;
		}
		if (*c == '.')
			fraction = true;
		else
		{
			decimal->digits = decimal->digits * 10 + (*c - '0');
			decimal->exponent -= fraction;
		}
	}
}

/* The same few weights come again and again: parts of models, over few numbers of touches. */
static const Decimal *
find_decimal(double weight)
{
	static Decimal known[128];
	Decimal    *decimal;
	uint64		bits;

	memcpy(&bits, &weight, sizeof(bits));
	decimal = &known[(bits * UINT64CONST(0x9E3779B97F4A7C15)) >> 57];
	if (decimal->weight != weight)
		read_decimal(weight, decimal);
	return decimal;
}

/*
 * (a * b + c) / divisor, and what is left, for a quotient of 2^50 at most and a
 * divisor of less than 2^61.  The estimate is off by one at most, so the rest
 * is small, and exact although the products wrap around.
 */
static inline int64
divide(int64 a, int64 b, int64 c, int64 divisor, int64 *rest)
{
	int64		quotient = (int64) (((double) a * (double) b + (double) c) / (double) divisor);

	*rest = (int64) ((uint64) a * (uint64) b + (uint64) c - (uint64) quotient * (uint64) divisor);
	if (*rest < 0)
	{
		*rest += divisor;
		quotient--;
	}
	else if (*rest >= divisor)
	{
		*rest -= divisor;
		quotient++;
	}
	return quotient;
}

static bool
share_in_decimal(int64 units, const double *weights, int n, Remainder *remainders, int64 *shares)
{
	int			lowest = INT_MAX;
	int			competing = 0;
	int64		total = 0;
	int64		left = units;

	for (int i = 0; i < n; i++)
	{
		if (weights[i] != 0)
			lowest = Min(lowest, find_decimal(weights[i])->exponent);
	}
	for (int i = 0; i < n; i++)
	{
		const Decimal *decimal;

		if (weights[i] == 0)
			continue;
		decimal = find_decimal(weights[i]);
		shares[i] = decimal->digits;
		for (int exponent = decimal->exponent; exponent > lowest; exponent--)
		{
			if (pg_mul_s64_overflow(shares[i], 10, &shares[i]))
				return false;
		}
		if (pg_add_s64_overflow(total, shares[i], &total))
			return false;
	}
	if (total > PG_INT64_MAX / 8)
		return false;

	for (int i = 0; i < n; i++)
	{
		int64		part = shares[i];
		int64		rest;
		int64		size;

		shares[i] = 0;
		if (weights[i] == 0)
			continue;
		shares[i] = divide(units, part, 0, total, &rest);
		/* rounded to units of remainders: half a one is added before */
		size = divide(rest, 2 * REMAINDER_UNIT, total, 2 * total, &rest);
		remainders[competing].size = remainders[competing].kind = size;
		remainders[competing++].position = i;
		left -= shares[i];
	}
	return hand_out(remainders, competing, left, 0, shares);
}

bool
attribution_split_units(int64 units, const double *weights, int n, int64 *shares)
{
	Remainder	local[LOCAL_REMAINDERS];
	Remainder  *remainders = local;
	bool		negative = units < 0;
	bool		done;

	if (negative)
		units = -units;
	done = share_evenly(units, weights, n, shares);
	if (!done && units < MAX_SHORT_UNITS)
	{
		if (n > LOCAL_REMAINDERS)
			remainders = palloc(sizeof(Remainder) * n);
		done = share_in_binary(units, weights, n, remainders, shares) ||
			share_in_decimal(units, weights, n, remainders, shares);
		if (n > LOCAL_REMAINDERS)
			pfree(remainders);
	}
	for (int i = 0; done && negative && i < n; i++)
		shares[i] = -shares[i];
	return done;
}

static int64
power_of_ten(int exponent)
{
	int64		power = 1;

	while (exponent-- > 0)
		power *= 10;
	return power;
}

static inline int
numeric_compare(Datum a, Datum b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, a, b));
}

AttributionUnit
attribution_unit(int scale)
{
	AttributionUnit unit;

	unit.scale = scale;
	unit.per_one = int64_to_numeric(power_of_ten(scale));
	unit.highest = int64_div_fast_to_numeric(PG_INT64_MAX / 4, scale);
	unit.lowest = int64_div_fast_to_numeric(-(PG_INT64_MAX / 4), scale);
	return unit;
}

bool
attribution_units(Numeric amount, const AttributionUnit *unit, int64 *units)
{
	Datum		value = NumericGetDatum(amount);

	if (numeric_compare(value, NumericGetDatum(unit->highest)) > 0 ||
		numeric_compare(value, NumericGetDatum(unit->lowest)) < 0)
		return false;
	/* rounds half away from zero, as round() does */
	value = DirectFunctionCall2(numeric_mul, value, NumericGetDatum(unit->per_one));
	*units = DatumGetInt64(DirectFunctionCall1(numeric_int8, value));
	return true;
}

/* One of the touches that compete for a unit, in numeric arithmetic. */
typedef struct ExactRemainder
{
	Datum		size;
	int			position;
} ExactRemainder;

static int
compare_exact_remainders(const void *a, const void *b)
{
	const ExactRemainder *x = a;
	const ExactRemainder *y = b;
	int			order = numeric_compare(y->size, x->size);

	return order != 0 ? order : (x->position > y->position) - (x->position < y->position);
}

static Datum
weight_numeric(double weight)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(weight, text);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static void
share_exactly(Numeric amount, const double *weights, int n, int scale, Datum *credits)
{
	Datum		zero = NumericGetDatum(int64_to_numeric(0));
	Datum		one = NumericGetDatum(int64_to_numeric(1));
	Datum		total = zero;
	Datum		twice;
	Datum		factor = NumericGetDatum(int64_to_numeric(2 * REMAINDER_UNIT));
	Datum		unit;
	Datum		units;
	Datum		left;
	Datum	   *parts = palloc(sizeof(Datum) * n);
	ExactRemainder *remainders = palloc(sizeof(ExactRemainder) * n);
	int			extra;

	unit = NumericGetDatum(int64_div_fast_to_numeric(1, scale));
	units = DirectFunctionCall2(numeric_round, DirectFunctionCall1(numeric_abs, NumericGetDatum(amount)),
								Int32GetDatum(scale));
	/* dividing by the unit shifts the point: exact */
	units = DirectFunctionCall2(numeric_div_trunc, units, unit);
	if (numeric_compare(NumericGetDatum(amount), zero) < 0)
		unit = DirectFunctionCall1(numeric_uminus, unit);

	for (int i = 0; i < n; i++)
	{
		parts[i] = weight_numeric(weights[i]);
		total = DirectFunctionCall2(numeric_add, total, parts[i]);
	}
	twice = DirectFunctionCall2(numeric_add, total, total);

	left = units;
	for (int i = 0; i < n; i++)
	{
		Datum		product = DirectFunctionCall2(numeric_mul, units, parts[i]);
		Datum		whole = DirectFunctionCall2(numeric_div_trunc, product, total);
		Datum		rest = DirectFunctionCall2(numeric_sub, product,
											   DirectFunctionCall2(numeric_mul, whole, total));

		CHECK_FOR_INTERRUPTS();
		/* round(rest / total, 9), times 10^9 */
		rest = DirectFunctionCall2(numeric_add, DirectFunctionCall2(numeric_mul, rest, factor), total);
		remainders[i].size = DirectFunctionCall2(numeric_div_trunc, rest, twice);
		remainders[i].position = i;
		left = DirectFunctionCall2(numeric_sub, left, whole);
		credits[i] = whole;
	}

	/* fewer than n, as each remainder is less than one */
	extra = DatumGetInt32(DirectFunctionCall1(numeric_int4, left));
	qsort(remainders, n, sizeof(ExactRemainder), compare_exact_remainders);
	for (int i = 0; i < extra; i++)
	{
		Datum	   *credit = &credits[remainders[i].position];

		*credit = DirectFunctionCall2(numeric_add, *credit, one);
	}
	for (int i = 0; i < n; i++)
		credits[i] = DirectFunctionCall2(numeric_mul, credits[i], unit);
}

void
attribution_split(Numeric amount, const double *weights, int n, int scale, Datum *credits)
{
	AttributionUnit unit;
	bool		shared = false;
	int64		units;
	int64	   *shares;

	if (scale < 0 || scale > MAX_SCALE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scale must be between 0 and %d", MAX_SCALE)));
	if (numeric_is_nan(amount) || numeric_is_inf(amount))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("amount must be finite")));
	for (int i = 0; i < n; i++)
	{
		if (isnan(weights[i]) || isinf(weights[i]) || weights[i] < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("weights must be finite and not negative"),
					 errdetail("Weight %d is %s.", i + 1, float8out_internal(weights[i]))));
		shared |= weights[i] > 0;
	}
	if (!shared)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at least one weight must be greater than zero"),
				 errdetail("An amount can't be shared among nobody.")));

	shares = palloc(sizeof(int64) * n);
	unit = attribution_unit(scale);
	if (attribution_units(amount, &unit, &units) &&
		attribution_split_units(units, weights, n, shares))
	{
		for (int i = 0; i < n; i++)
			credits[i] = NumericGetDatum(int64_div_fast_to_numeric(shares[i], scale));
	}
	else
		share_exactly(amount, weights, n, scale, credits);
	pfree(shares);
}

/* split_credit(amount, weights, scale) → numeric[] */
PG_FUNCTION_INFO_V1(leadflow_split_credit);
Datum
leadflow_split_credit(PG_FUNCTION_ARGS)
{
	Numeric		amount = PG_GETARG_NUMERIC(0);
	const double *weights;
	Datum	   *credits;
	int			n;

	weights = attribution_elements(PG_GETARG_ARRAYTYPE_P(1), "weights", &n);
	credits = palloc(sizeof(Datum) * Max(n, 1));
	attribution_split(amount, weights, n, PG_GETARG_INT32(2), credits);
	PG_RETURN_ARRAYTYPE_P(construct_array(credits, n, NUMERICOID, -1, false, TYPALIGN_INT));
}
