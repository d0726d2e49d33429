/*-------------------------------------------------------------------------
 * attribution.h
 *	  Sharing a deal among its touches: the pure rules (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ATTRIBUTION_H
#define LEADFLOW_ATTRIBUTION_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/numeric.h"

/* What the rules know of a conversion besides its touches. */
typedef struct Conversion
{
	TimestampTz at;				/* touches after it weigh nothing */
} Conversion;

/*
 * Weights of n touches in any order; they sum to 1, or are all 0 where no
 * touch lies at or before the conversion.
 */
typedef void (*AttributionRule) (const TimestampTz *touched, int n,
								 const Conversion *conversion, double *weights);

extern AttributionRule attribution_rule(const char *kind);	/* 22023 if unknown */

/* credits[] get Numerics that sum to round(amount, scale); see attribution.c. */
extern void attribution_split(Numeric amount, const double *weights, int n, int scale,
							  Datum *credits);

#endif							/* LEADFLOW_ATTRIBUTION_H */
