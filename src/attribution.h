/*-------------------------------------------------------------------------
 * attribution.h
 *	  Sharing a deal among its touches: the pure rules (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ATTRIBUTION_H
#define LEADFLOW_ATTRIBUTION_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

typedef enum AttributionKind
{
	FIRST_TOUCH,
	LAST_TOUCH,
	LAST_NON_DIRECT,
	LINEAR,
	TIME_DECAY,
	POSITIONS,					/* position_based, w_shaped, full_path, custom */
	MARKOV,
	SHAPLEY
} AttributionKind;

typedef enum AttributionPart
{
	PART_FIRST,
	PART_LEAD_CREATED,
	PART_OPPORTUNITY,
	PART_LAST,
	PART_MIDDLE,
	PART_COUNT
} AttributionPart;

typedef struct AttributionModel
{
	AttributionKind kind;
	double		parts[PART_COUNT];	/* POSITIONS: weight; -1 = the model has no such part */
	double		sums[1 << PART_COUNT];	/* POSITIONS: of each set of parts */
	int64		half_life;		/* TIME_DECAY, in microseconds */
	char	  **direct;			/* LAST_NON_DIRECT: channels that are direct */
	int			ndirect;
	int			order;			/* MARKOV */
} AttributionModel;

/* What a conversion knows besides its touches; DT_NOEND = unknown, but for at. */
typedef struct Conversion
{
	TimestampTz at;				/* touches after it weigh nothing */
	TimestampTz lead_created_at;
	TimestampTz opportunity_at;
} Conversion;

/* Kind and params as in attribution_models; params NULL = {}.  22023 where they make no model. */
extern AttributionModel attribution_model(const char *kind, Jsonb *params);

/* The same of one object: {"kind": …, and its params}. */
extern AttributionModel attribution_model_document(JsonbContainer *document);
extern bool attribution_is_rule_based(const AttributionModel *model);

/*
 * Weights of n touches, in any order; they sum to 1, or are all 0 where no touch lies at or
 * before the conversion.  direct may be NULL: none is.
 */
extern void attribution_weights(const AttributionModel *model, const TimestampTz *touched,
								const bool *direct, int n, const Conversion *conversion,
								double *weights);

/* credits[] get Numerics that sum to round(amount, scale); see attribution_split.c. */
extern void attribution_split(Numeric amount, const double *weights, int n, int scale,
							  Datum *credits);

/* 10^-scale, as the unit that amounts are counted in. */
typedef struct AttributionUnit
{
	int			scale;
	Numeric		per_one;		/* units in 1 */
	Numeric		highest;		/* amounts that can be counted */
	Numeric		lowest;
} AttributionUnit;

extern AttributionUnit attribution_unit(int scale); /* in the current memory context */

/* The amount in units, rounded; false where they don't fit. */
extern bool attribution_units(Numeric amount, const AttributionUnit *unit, int64 *units);

/*
 * The same as attribution_split() in units, of weights some of which are above 0; false where
 * it takes attribution_split() to tell.
 */
extern bool attribution_split_units(int64 units, const double *weights, int n, int64 *shares);

/* The elements of a one-dimensional array of 8-byte values without NULLs. */
extern const void *attribution_elements(ArrayType *array, const char *name, int *n);

#endif							/* LEADFLOW_ATTRIBUTION_H */
