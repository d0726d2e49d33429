/*-------------------------------------------------------------------------
 * markov.h
 *	  Removal effects in a Markov chain of channels: the solver (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_MARKOV_H
#define LEADFLOW_MARKOV_H

#include "postgres.h"

#define MARKOV_MAX_ORDER 3
#define MARKOV_MAX_STATES 4096	/* a matrix of them has 128 MB */

/* A state is the last channels, the latest in the lowest bits, each as its number + 1; start is 0. */
#define MARKOV_CHANNEL_BITS 21

static inline uint64
markov_next(uint64 state, int channel, int order)
{
	return (state << MARKOV_CHANNEL_BITS | (uint64) (channel + 1)) &
		((UINT64CONST(1) << (order * MARKOV_CHANNEL_BITS)) - 1);
}

static inline int
markov_channel(uint64 state, int position)
{
	return (int) (state >> (position * MARKOV_CHANNEL_BITS) &
				  ((UINT64CONST(1) << MARKOV_CHANNEL_BITS) - 1)) - 1;
}

typedef struct MarkovTransition
{
	int			from;
	int			to;
	double		weight;
} MarkovTransition;

/*
 * A chain as it was seen.  States are in the order in which they are to be numbered, start
 * first; transitions by (from, to).  Each state has a way to an end.
 */
typedef struct MarkovChain
{
	int			channels;
	int			states;
	const uint64 *keys;
	const double *conversions;	/* weight of what converts from the state */
	const double *nulls;		/* and of what ends there without */
	int			transitions;
	const MarkovTransition *transition;
} MarkovChain;

/* effects[c]: share of the conversions that is lost without channel c. */
extern void markov_removal_effects(const MarkovChain *chain, double *effects);

#endif							/* LEADFLOW_MARKOV_H */
