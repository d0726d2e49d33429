/*-------------------------------------------------------------------------
 * markov.c
 *	  Removal effects in a Markov chain of channels.
 *
 * Removing channel c turns the states A that contain it into ends without
 * conversion.  What is lost is what enters A and would have converted:
 *
 *	P - P(without c) = sum over a in A of h(a) * p(a)
 *
 * with h(a) the probability that A is entered first at a, and p(a) that of a
 * conversion from there.  Both come out of eliminating states: whoever went
 * from i by way of k to j goes there directly,
 *
 *	w(i,j) += w(i,k) * w(k,j) / s(k),  s(k) = sum of w(k,j) over j other than k
 *
 * which changes no probability between the states that are left.  The pivot is
 * summed up from what leaves k, not had as 1 - w(k,k) (Grassmann, Taksar,
 * Heyman 1985): only positive numbers are added, multiplied and divided, so
 * every result is good to some 10^-13 of itself, also where a state is left
 * once in a million steps.  Rows needn't be normalised, hence are counts.
 *
 * Each channel needs all states eliminated that don't contain it.  They share
 * that work: of a set of channels each half inherits a matrix in which the
 * states that contain no channel of that half are gone already.  At order 1
 * with n channels this takes some n^3 multiplications altogether, about what
 * one inversion does; at higher orders up to log2(channels) times as many.
 *
 * Matrices are dense; states are eliminated from the last to the first, in
 * panels whose effect on the rest is added at once (what takes the time is
 * add_panel()).  Row 0 is start.  Nothing ever goes there, so column 0 is where
 * the walk ends.  Entries on and right of the diagonal of a row that is
 * eliminated are junk, the diagonal of the others, too.
 *
 * Limits: memory for some two matrices of all states, 270 MB with 4,096; a third where several
 * channels are in nearly every state.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "compat.h"
#include "markov.h"

#define PANEL 32				/* states eliminated at a time, a multiple of 4 */
#define TILE 64					/* columns of a panel that stay in the nearest cache, a multiple of 8 */

typedef struct Matrix
{
	int			n;
	int			stride;			/* a multiple of 8: loops may run over the end of what is needed */
	double	   *w;				/* NULL: that of the whole chain */
	int		   *states;			/* what row and column i stand for */
} Matrix;

typedef struct Solver
{
	const MarkovChain *chain;
	double	   *converts;		/* p(state) */
	double	   *effects;
} Solver;

/* Three rows more: panels are added four rows at a time. */
#define MATRIX_SIZE(n, stride) (sizeof(double) * ((size_t) (n) + 3) * (stride))

static void
matrix_free(Matrix *matrix)
{
	if (matrix->w)
		pfree(matrix->w);
	pfree(matrix->states);
}

/* row += the sum of the rows of the panel, a multiple of 4, each times its factor */
static inline void
add_panel(double *restrict row, const double *restrict panel, int stride, int rows,
		  const double *factors, int columns)
{
	for (int k = 0; k < rows; k += 4)
	{
		const double *restrict a = panel + (size_t) k * stride;
		const double *restrict b = a + stride;
		const double *restrict c = b + stride;
		const double *restrict d = c + stride;
		double		fa = factors[k];
		double		fb = factors[k + 1];
		double		fc = factors[k + 2];
		double		fd = factors[k + 3];

		/* many a transition was never seen */
		if (fa == 0 && fb == 0 && fc == 0 && fd == 0)
			continue;
		for (int j = 0; j < columns; j++)
			row[j] += (fa * a[j] + fb * b[j]) + (fc * c[j] + fd * d[j]);
	}
}

/*
 * Eliminates the states from "keep" on.  gain, a weight of something that goes with the end
 * (column 0), is carried along; leaves gets s(k) of those that are eliminated.
 */
static void
eliminate(Matrix *matrix, int keep, double *gain, double *leaves)
{
	const int	stride = matrix->stride;
	double	   *factors = palloc_extended(sizeof(double) * PANEL * Max(matrix->n, 1),
										  MCXT_ALLOC_HUGE);

	for (int top = matrix->n; top > keep;)
	{
		int			bottom = Max(top - PANEL, keep);
		int			rows = TYPEALIGN(4, top - bottom);	/* those from top on count 0 times */

		/* the rows of the panel, the last one first */
		for (int k = top - 1; k >= bottom; k--)
		{
			double	   *row = matrix->w + (size_t) k * stride;
			double		sum = 0;

			for (int l = top - 1; l > k; l--)
			{
				const double *other = matrix->w + (size_t) l * stride;
				double		factor = row[l] / leaves[l];

				if (factor == 0)
					continue;
				for (int j = 0; j < l; j++)
					row[j] += factor * other[j];
				gain[k] += factor * gain[l];
			}
			for (int j = 0; j < k; j++)
				sum += row[j];
			if (!(sum > 0))
				elog(ERROR, "a state of the chain can neither convert nor end");
			leaves[k] = sum;
		}

		/* how often each of the other rows goes by way of the panel's states */
		for (int i = 0; i < bottom; i++)
		{
			double	   *factor = factors + (size_t) i * PANEL;
			const double *row = matrix->w + (size_t) i * stride + bottom;

			for (int k = 0; k < PANEL; k++)
				factor[k] = k < top - bottom ? row[k] : 0;
			for (int k = top - 1; k >= bottom; k--)
			{
				const double *other = matrix->w + (size_t) k * stride + bottom;
				double		f = factor[k - bottom] / leaves[k];

				factor[k - bottom] = f;
				if (f == 0)
					continue;
				for (int l = 0; l < k - bottom; l++)
					factor[l] += f * other[l];
				gain[i] += f * gain[k];
			}
		}

		for (int left = 0; left < bottom; left += TILE)
		{
			/* up to a multiple of 8: that much there is, and nobody looks at it again */
			int			columns = Min(TILE, TYPEALIGN(8, bottom - left));

			CHECK_FOR_INTERRUPTS();
			for (int i = 0; i < bottom; i++)
				add_panel(matrix->w + (size_t) i * stride + left,
						  matrix->w + (size_t) bottom * stride + left, stride, rows,
						  factors + (size_t) i * PANEL, columns);
		}
		top = bottom;
	}
	pfree(factors);
}

/* What goes from a row to the state j of the matrix "from", which becomes place[j]. */
static inline void
put(const Solver *solver, const Matrix *from, const int *place, double *row, double *gain, int j,
	double weight)
{
	if (j == 0)
		row[0] += weight;
	else if (place[j] >= 0)
		row[place[j]] = weight;
	else
	{
		row[0] += weight;
		*gain += weight * solver->converts[from->states[j]];
	}
}

/*
 * A matrix of n of the states of another one, place[i] being what state i becomes.  To go to
 * one that has no place (-1) is to end; gain is then what would have converted.
 */
static Matrix
gather(const Solver *solver, const Matrix *from, const int *place, int n, double *gain)
{
	const MarkovChain *chain = solver->chain;
	Matrix		to;

	to.n = n;
	to.stride = TYPEALIGN(8, n);
	to.w = palloc_extended(MATRIX_SIZE(n, to.stride), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	to.states = palloc_array(int, n);
	for (int i = 0; i < from->n; i++)
	{
		double	   *row;

		if (place[i] < 0)
			continue;
		row = to.w + (size_t) place[i] * to.stride;
		to.states[place[i]] = from->states[i];
		if (from->w == NULL)
			row[0] = chain->conversions[i] + chain->nulls[i];
		else
		{
			const double *source = from->w + (size_t) i * from->stride;

			for (int j = 0; j < from->n; j++)
				put(solver, from, place, row, &gain[place[i]], j, source[j]);
		}
	}
	if (from->w == NULL)
	{
		for (int t = 0; t < chain->transitions; t++)
		{
			const MarkovTransition *transition = &chain->transition[t];
			int			i = place[transition->from];

			if (i >= 0)
				put(solver, from, place, to.w + (size_t) i * to.stride, &gain[i],
					transition->to, transition->weight);
		}
	}
	return to;
}

/* Does the state contain one of the channels low to high - 1? */
static bool
contains(const MarkovChain *chain, int state, int low, int high)
{
	for (int position = 0; position < MARKOV_MAX_ORDER; position++)
	{
		int			channel = markov_channel(chain->keys[state], position);

		if (channel >= low && channel < high)
			return true;
	}
	return false;
}

/* What is lost without the channel: all others are eliminated, its own states are ends. */
static void
solve_channel(Solver *solver, const Matrix *from, int channel)
{
	int		   *place = palloc_array(int, from->n);
	double	   *gain = palloc0_array(double, from->n);
	double	   *leaves = palloc_array(double, from->n);
	int			n = 0;
	Matrix		matrix;

	for (int i = 0; i < from->n; i++)
		place[i] = contains(solver->chain, from->states[i], channel, channel + 1) ? -1 : n++;
	matrix = gather(solver, from, place, n, gain);
	eliminate(&matrix, 1, gain, leaves);
	/* start is left, and where it leads to */
	solver->effects[channel] = Min(gain[0] / matrix.w[0] / solver->converts[0], 1);
	matrix_free(&matrix);
	pfree(leaves);
	pfree(gain);
	pfree(place);
}

/* How many states contain one of the channels low to high - 1. */
static int
count_states(const Solver *solver, const Matrix *from, int low, int high)
{
	int			count = 0;

	for (int i = 1; i < from->n; i++)
		count += contains(solver->chain, from->states[i], low, high);
	return count;
}

/* The matrix without the states that contain none of the channels low to high - 1. */
static Matrix
reduce(const Solver *solver, const Matrix *from, int low, int high)
{
	int		   *place = palloc_array(int, from->n);
	double	   *gain = palloc0_array(double, from->n);
	double	   *leaves = palloc_array(double, from->n);
	int			kept = 1;
	int			next;
	Matrix		matrix;

	place[0] = 0;
	next = kept + count_states(solver, from, low, high);
	for (int i = 1; i < from->n; i++)
		place[i] = contains(solver->chain, from->states[i], low, high) ? kept++ : next++;
	matrix = gather(solver, from, place, from->n, gain);
	eliminate(&matrix, kept, gain, leaves);
	pfree(leaves);
	pfree(gain);
	pfree(place);

	/* only what is left need be kept */
	matrix.n = kept;
	for (int i = 1; i < kept; i++)
		memmove(matrix.w + (size_t) i * TYPEALIGN(8, kept), matrix.w + (size_t) i * matrix.stride,
				sizeof(double) * kept);
	matrix.stride = TYPEALIGN(8, kept);
	matrix.w = repalloc_huge(matrix.w, MATRIX_SIZE(kept, matrix.stride));
	return matrix;
}

/*
 * Frees the matrix.  The half that leaves fewer states comes first, and the matrix is gone before
 * the other one is gone into: a channel that is in nearly every state would have every level keep
 * nearly all of them.
 */
static void
solve_channels(Solver *solver, Matrix *from, int low, int high)
{
	int			bounds[] = {low, low + (high - low) / 2, high};
	int			first;

	if (high - low == 1)
	{
		solve_channel(solver, from, low);
		matrix_free(from);
		return;
	}
	first = count_states(solver, from, bounds[0], bounds[1]) > count_states(solver, from, bounds[1], bounds[2]);
	for (int turn = 0; turn < 2; turn++)
	{
		int			half = turn == 0 ? first : !first;
		Matrix		matrix;

		if (bounds[half + 1] - bounds[half] == 1)
		{
			solve_channel(solver, from, bounds[half]);
			if (turn == 1)
				matrix_free(from);
			continue;
		}
		matrix = reduce(solver, from, bounds[half], bounds[half + 1]);
		if (turn == 1)
			matrix_free(from);
		solve_channels(solver, &matrix, bounds[half], bounds[half + 1]);
	}
}

/* p of all states: eliminated one after the other, then told from those that were left. */
static void
solve_conversion(Solver *solver, const Matrix *all)
{
	double	   *gain = palloc_array(double, all->n);
	double	   *leaves = palloc_array(double, all->n);
	Matrix		matrix;

	memcpy(gain, solver->chain->conversions, sizeof(double) * all->n);
	matrix = gather(solver, all, all->states, all->n, gain);
	eliminate(&matrix, 1, gain, leaves);
	solver->converts[0] = gain[0] / matrix.w[0];
	for (int i = 1; i < all->n; i++)
	{
		const double *row = matrix.w + (size_t) i * matrix.stride;
		double		converting = gain[i];

		for (int j = 1; j < i; j++)
			converting += row[j] * solver->converts[j];
		solver->converts[i] = converting / leaves[i];
	}
	matrix_free(&matrix);
	pfree(leaves);
	pfree(gain);
}

void
markov_removal_effects(const MarkovChain *chain, double *effects)
{
	Matrix		all = {chain->states, 0, NULL, palloc_array(int, chain->states)};
	Solver		solver = {chain, palloc_array(double, chain->states), effects};

	for (int i = 0; i < chain->states; i++)
		all.states[i] = i;
	solve_conversion(&solver, &all);
	solve_channels(&solver, &all, 0, chain->channels);
	pfree(solver.converts);
}
