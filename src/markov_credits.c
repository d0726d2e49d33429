/*-------------------------------------------------------------------------
 * markov_credits.c
 *	  markov_credits(): the chain of channels that paths are walks of.
 *
 * A state is the last "order" channels, fewer at the start of a path; what is
 * kept is how often each was left for which channel, and how often a path
 * ended there, converted or not.  Only states that were seen exist.  Nothing is
 * kept of the paths themselves.
 *
 * The result is a function of these integers alone: before anything is
 * computed, states and transitions are put in the order of the channels' names.
 *
 * Limits (54000): 4,096 states and 3.5 million transitions, of 32 bytes each.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "miscadmin.h"

#include "channel_path.h"
#include "compat.h"
#include "errors.h"
#include "markov.h"

#define MAX_TRANSITIONS 3500000

typedef struct State
{
	uint64		key;			/* as in markov.h, of the numbers in the table of channels */
	Units		conversions;
	Units		nulls;
} State;

typedef struct StateEntry
{
	uint64		key;
	int			state;
	char		status;
} StateEntry;

typedef struct Transition
{
	uint64		key;			/* state << 32 | next channel */
	int			to;
	char		status;
	Units		count;
} Transition;

#define transition_key(state, channel) ((uint64) (state) << 32 | (uint32) (channel))
#define transition_from(key) ((int) ((key) >> 32))
#define transition_channel(key) ((int) (uint32) (key))

#define HASH_PACKED(tb, key) ((uint32) ((key) * UINT64CONST(0x9E3779B97F4A7C15) >> 32))

#define SH_PREFIX state
#define SH_ELEMENT_TYPE StateEntry
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, key) HASH_PACKED(tb, key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

#define SH_PREFIX transition
#define SH_ELEMENT_TYPE Transition
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, key) HASH_PACKED(tb, key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

/* The aggregate's state. */
typedef struct Chain
{
	int			order;
	PathTotals	totals;
	ChannelTable channels;
	State	   *states;			/* 0 is the start */
	int			n;
	int			room;
	state_hash *index;
	transition_hash *transitions;
} Chain;

static void
refuse_size(const Chain *chain, const char *what, int most)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the paths have too many %s for markov_credits()", what),
			 errdetail("There are more than %d %s at order %d, with %d channels so far.",
					   most, what, chain->order, chain->channels.n),
			 chain->order > 1 ? errhint("Take a lower order, or group channels.") :
			 errhint("Group channels.")));
}

static int
find_state(Chain *chain, uint64 key)
{
	bool		found;
	StateEntry *entry = state_insert(chain->index, key, &found);

	if (!found)
	{
		if (chain->n == MARKOV_MAX_STATES)
			refuse_size(chain, "states", MARKOV_MAX_STATES);
		if (chain->n == chain->room)
		{
			chain->room *= 2;
			chain->states = repalloc_huge(chain->states, sizeof(State) * chain->room);
		}
		entry->state = chain->n;
		chain->states[chain->n++] = (State) {key, 0, 0};
	}
	return entry->state;
}

static Chain *
chain_create(MemoryContext context, int order)
{
	Chain	   *chain = MemoryContextAllocZero(context, sizeof(Chain));

	chain->order = order;
	channel_table_init(&chain->channels, context);
	chain->room = 64;
	chain->states = MemoryContextAlloc(context, sizeof(State) * chain->room);
	chain->index = state_create(context, 64, NULL);
	chain->transitions = transition_create(context, 256, NULL);
	(void) find_state(chain, 0);
	return chain;
}

/* Counts steps from the state to the channel; where they lead. */
static inline int
step(Chain *chain, int state, int channel, Units count)
{
	bool		found;
	Transition *transition = transition_insert(chain->transitions,
											   transition_key(state, channel), &found);

	if (unlikely(!found))
	{
		transition->count = 0;
		transition->to = find_state(chain, markov_next(chain->states[state].key, channel,
													   chain->order));
		if (chain->transitions->members > MAX_TRANSITIONS)
			refuse_size(chain, "transitions", MAX_TRANSITIONS);
	}
	transition->count += count;
	return transition->to;
}

static void
check_order(const Chain *chain, int order)
{
	if (unlikely(chain->order != order))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("order must be the same for all paths"),
				 errdetail("It is %d and %d.", Min(chain->order, order), Max(chain->order, order))));
}

PG_FUNCTION_INFO_V1(leadflow_markov_add);
Datum
leadflow_markov_add(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	Chain	   *chain;
	PathRow		row;
	Units		count;
	int			order;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "not called as an aggregate");
	require_argument(fcinfo, 5, "order");
	order = PG_GETARG_INT32(5);
	if (unlikely(order < 1 || order > MARKOV_MAX_ORDER))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("order must be between 1 and %d", MARKOV_MAX_ORDER),
				 errdetail("It is %d.", order)));
	chain = PG_ARGISNULL(0) ? chain_create(context, order) : (Chain *) PG_GETARG_POINTER(0);
	check_order(chain, order);

	row = path_row(fcinfo, &chain->totals);
	count = row.conversions + row.nulls;
	if (row.length > 0 && count > 0)
	{
		char	   *element = row.elements;
		int			state = 0;

		for (int i = 0; i < row.length; i++)
			state = step(chain, state, path_next(&chain->channels, &element), count);
		chain->states[state].conversions += row.conversions;
		chain->states[state].nulls += row.nulls;
	}
	PG_RETURN_POINTER(chain);
}

/* A state's key with other numbers of the channels; their order stays. */
static uint64
renumber(uint64 key, const int *number)
{
	uint64		result = 0;

	for (int position = MARKOV_MAX_ORDER - 1; position >= 0; position--)
	{
		int			channel = markov_channel(key, position);

		result = result << MARKOV_CHANNEL_BITS | (uint64) (channel < 0 ? 0 : number[channel] + 1);
	}
	return result;
}

PG_FUNCTION_INFO_V1(leadflow_markov_combine);
Datum
leadflow_markov_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	Chain	   *chain;
	Chain	   *more;
	int		   *number;
	int		   *state;
	transition_iterator transitions;
	Transition *transition;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "not called as an aggregate");
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_POINTER(PG_GETARG_POINTER(0));
	}
	more = (Chain *) PG_GETARG_POINTER(1);
	chain = PG_ARGISNULL(0) ? chain_create(context, more->order) : (Chain *) PG_GETARG_POINTER(0);
	check_order(chain, more->order);

	path_totals_add(&chain->totals, &more->totals);
	number = channel_table_add(&chain->channels, &more->channels);
	state = palloc_array(int, more->n);
	for (int i = 0; i < more->n; i++)
	{
		state[i] = find_state(chain, renumber(more->states[i].key, number));
		chain->states[state[i]].conversions += more->states[i].conversions;
		chain->states[state[i]].nulls += more->states[i].nulls;
	}
	transition_start_iterate(more->transitions, &transitions);
	while ((transition = transition_iterate(more->transitions, &transitions)) != NULL)
		(void) step(chain, state[transition_from(transition->key)],
					number[transition_channel(transition->key)], transition->count);
	pfree(state);
	pfree(number);
	PG_RETURN_POINTER(chain);
}

PG_FUNCTION_INFO_V1(leadflow_markov_serialize);
Datum
leadflow_markov_serialize(PG_FUNCTION_ARGS)
{
	Chain	   *chain = (Chain *) PG_GETARG_POINTER(0);
	StringInfoData out;
	transition_iterator transitions;
	Transition *transition;

	pq_begintypsend(&out);
	pq_sendint32(&out, chain->order);
	pq_sendbytes(&out, (char *) &chain->totals, sizeof(PathTotals));
	channel_table_send(&out, &chain->channels);
	pq_sendint32(&out, chain->n);
	pq_sendbytes(&out, (char *) chain->states, sizeof(State) * chain->n);
	pq_sendint32(&out, chain->transitions->members);
	transition_start_iterate(chain->transitions, &transitions);
	while ((transition = transition_iterate(chain->transitions, &transitions)) != NULL)
		pq_sendbytes(&out, (char *) transition, sizeof(Transition));
	PG_RETURN_BYTEA_P(pq_endtypsend(&out));
}

PG_FUNCTION_INFO_V1(leadflow_markov_deserialize);
Datum
leadflow_markov_deserialize(PG_FUNCTION_ARGS)
{
	StringInfoData in;
	Chain	   *chain;
	int			n;

	path_message_open(&in, PG_GETARG_BYTEA_PP(0));
	chain = chain_create(CurrentMemoryContext, pq_getmsgint(&in, 4));
	pq_copymsgbytes(&in, (char *) &chain->totals, sizeof(PathTotals));
	channel_table_receive(&in, &chain->channels);
	n = pq_getmsgint(&in, 4);
	for (int i = 0; i < n; i++)
	{
		State		state;
		int			place;

		pq_copymsgbytes(&in, (char *) &state, sizeof(State));
		place = find_state(chain, state.key);	/* may move the states */
		chain->states[place] = state;
	}
	n = pq_getmsgint(&in, 4);
	for (int i = 0; i < n; i++)
	{
		Transition	transition;

		pq_copymsgbytes(&in, (char *) &transition, sizeof(Transition));
		(void) step(chain, transition_from(transition.key), transition_channel(transition.key),
					transition.count);
	}
	pq_getmsgend(&in);
	PG_RETURN_POINTER(chain);
}

static int
compare_keys(const void *a, const void *b)
{
	uint64		x = ((const State *) a)->key;
	uint64		y = ((const State *) b)->key;

	return (x > y) - (x < y);
}

static int
compare_transitions(const void *a, const void *b)
{
	const MarkovTransition *x = a;
	const MarkovTransition *y = b;

	return x->from != y->from ? (x->from > y->from) - (x->from < y->from) :
		(x->to > y->to) - (x->to < y->to);
}

/* Removal effects by channel, in the order of names; states and transitions are put in that order. */
static void
solve(const Chain *chain, const int *order, double *effects)
{
	int			n = chain->n;
	int		   *rank = palloc_array(int, chain->channels.n);
	int		   *place = palloc_array(int, n);
	State	   *states = palloc_array(State, n);
	uint64	   *keys = palloc_array(uint64, n);
	double	   *conversions = palloc_array(double, n);
	double	   *nulls = palloc_array(double, n);
	MarkovTransition *transitions = palloc_array(MarkovTransition, chain->transitions->members + 1);
	transition_iterator iterator;
	Transition *transition;
	int			count = 0;
	MarkovChain sorted;

	for (int i = 0; i < chain->channels.n; i++)
		rank[order[i]] = i;
	for (int i = 0; i < n; i++)
	{
		states[i] = chain->states[i];
		states[i].key = renumber(states[i].key, rank);
	}
	qsort(states, n, sizeof(State), compare_keys);
	for (int i = 0; i < n; i++)
	{
		keys[i] = states[i].key;
		conversions[i] = units_double(states[i].conversions);
		nulls[i] = units_double(states[i].nulls);
	}
	for (int i = 0; i < n; i++)
	{
		State		wanted = {renumber(chain->states[i].key, rank), 0, 0};

		place[i] = (int) ((State *) bsearch(&wanted, states, n, sizeof(State), compare_keys) - states);
	}

	transition_start_iterate(chain->transitions, &iterator);
	while ((transition = transition_iterate(chain->transitions, &iterator)) != NULL)
	{
		transitions[count].from = place[transition_from(transition->key)];
		transitions[count].to = place[transition->to];
		transitions[count++].weight = units_double(transition->count);
	}
	qsort(transitions, count, sizeof(MarkovTransition), compare_transitions);

	sorted = (MarkovChain)
	{
		chain->channels.n, n, keys, conversions, nulls, count, transitions
	};
	markov_removal_effects(&sorted, effects);
}

PG_FUNCTION_INFO_V1(leadflow_markov_result);
Datum
leadflow_markov_result(PG_FUNCTION_ARGS)
{
	Chain	   *chain;
	const PathTotals *totals;
	int			n;
	int		   *order;
	double	   *effects;
	ChannelCredit *credits;
	double		sum = 0;
	Units		left_value;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	chain = (Chain *) PG_GETARG_POINTER(0);
	totals = &chain->totals;
	n = chain->channels.n;
	order = channel_order(&chain->channels);
	effects = palloc0_array(double, Max(n, 1));
	credits = palloc0_array(ChannelCredit, Max(n, 1));
	left_value = totals->unassigned_value;

	if (totals->conversions > 0)
		solve(chain, order, effects);
	else
		/* nothing converts, so nobody's removal costs anything */
		left_value += totals->value;

	for (int i = 0; i < n; i++)
		sum += effects[i];
	for (int i = 0; i < n && sum > 0; i++)
	{
		credits[i].removal_effect = effects[i];
		credits[i].conversions = units_double(totals->conversions) * (effects[i] / sum);
		credits[i].value = units_double(totals->value) * (effects[i] / sum);
	}
	return channel_credits(fcinfo, &chain->channels, order, credits,
						   units_double(totals->unassigned_conversions),
						   units_double(left_value));
}
