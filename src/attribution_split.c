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
 * All of it is integer or numeric arithmetic: no rounding error, whatever the
 * amount.  A weight is read as the shortest decimal that stands for it, as it
 * prints, so that 0.3 and 0.1 mean three tenths and one tenth.  Remainders are
 * compared to nine decimals of a unit: 0.1 + 0.2 and 0.3 differ in
 * their last bit, and that must not decide who gets the cent.  (Such rounding
 * can't give a unit to a touch without weight: the remainders add up to the
 * units that are left, so there are at least as many above 10^-9.)
 *
 * Limits: scale 0 to 18.  O(n log n) numeric operations, and O(n) integer ones
 * where all weights that are not 0 are equal (the common models) and the units
 * fit 63 bits.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"

#include "attribution.h"

#define MAX_SCALE 18
#define REMAINDER_DECIMALS 9

/* The decimal that the weight prints as. */
static Datum
weight_numeric(double weight)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(float8out_internal(weight)),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static inline int
numeric_compare(Datum a, Datum b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, a, b));
}

/* One of the touches that compete for a unit that is left over. */
typedef struct Remainder
{
	Datum		size;
	int			position;
} Remainder;

static int
compare_remainders(const void *a, const void *b)
{
	const Remainder *x = a;
	const Remainder *y = b;
	int			order = numeric_compare(y->size, x->size);

	return order != 0 ? order : (x->position > y->position) - (x->position < y->position);
}

/* All weights that are not 0 are equal, and there are "sharers" of them. */
static void
split_evenly(int64 units, bool negative, const double *weights, int n, int sharers, int scale,
			 Datum *credits)
{
	int64		share = units / sharers;
	int			left = (int) (units % sharers);

	for (int i = 0; i < n; i++)
	{
		int64		credit = 0;

		if (weights[i] > 0)
			credit = share + (left-- > 0 ? 1 : 0);
		credits[i] = NumericGetDatum(int64_div_fast_to_numeric(negative ? -credit : credit, scale));
	}
}

static void
split_by_quota(Datum units, bool negative, const double *weights, int n, int scale,
			   Datum *credits)
{
	Datum		one = NumericGetDatum(int64_to_numeric(1));
	Datum		unit = NumericGetDatum(int64_div_fast_to_numeric(negative ? -1 : 1, scale));
	Datum		total = NumericGetDatum(int64_to_numeric(0));
	Datum		left = units;
	Datum	   *parts = palloc(sizeof(Datum) * n);
	Remainder  *remainders = palloc(sizeof(Remainder) * n);
	int			extra;

	for (int i = 0; i < n; i++)
	{
		parts[i] = weight_numeric(weights[i]);
		total = DirectFunctionCall2(numeric_add, total, parts[i]);
	}

	for (int i = 0; i < n; i++)
	{
		Datum		product = DirectFunctionCall2(numeric_mul, units, parts[i]);
		Datum		whole = DirectFunctionCall2(numeric_div_trunc, product, total);
		Datum		rest = DirectFunctionCall2(numeric_sub, product,
											   DirectFunctionCall2(numeric_mul, whole, total));

		CHECK_FOR_INTERRUPTS();
		rest = DirectFunctionCall2(numeric_div, rest, total);
		remainders[i].size = DirectFunctionCall2(numeric_round, rest,
												 Int32GetDatum(REMAINDER_DECIMALS));
		remainders[i].position = i;
		left = DirectFunctionCall2(numeric_sub, left, whole);
		credits[i] = whole;
	}

	/* fewer than n, as each remainder is less than one */
	extra = DatumGetInt32(DirectFunctionCall1(numeric_int4, left));
	qsort(remainders, n, sizeof(Remainder), compare_remainders);
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
	Datum		value = NumericGetDatum(amount);
	Datum		zero = NumericGetDatum(int64_to_numeric(0));
	Datum		units;
	bool		negative;
	bool		even = true;
	double		common = 0;
	int			sharers = 0;

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
		if (weights[i] == 0)
			continue;
		if (sharers++ == 0)
			common = weights[i];
		else if (weights[i] != common)
			even = false;
	}
	if (sharers == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at least one weight must be greater than zero"),
				 errdetail("An amount can't be shared among nobody.")));

	negative = numeric_compare(value, zero) < 0;
	units = DirectFunctionCall2(numeric_round, DirectFunctionCall1(numeric_abs, value),
								Int32GetDatum(scale));
	/* dividing by the unit shifts the point: exact */
	units = DirectFunctionCall2(numeric_div_trunc, units,
								NumericGetDatum(int64_div_fast_to_numeric(1, scale)));

	if (even && numeric_compare(units, NumericGetDatum(int64_to_numeric(PG_INT64_MAX))) <= 0)
		split_evenly(DatumGetInt64(DirectFunctionCall1(numeric_int8, units)), negative,
					 weights, n, sharers, scale, credits);
	else
		split_by_quota(units, negative, weights, n, scale, credits);
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
