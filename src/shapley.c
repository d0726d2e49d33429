/*-------------------------------------------------------------------------
 * shapley.c
 *	  shapley_credits(): each path's conversions in equal parts to its channels.
 *
 * A coalition of channels is worth the conversions of the paths that lie within
 * it.  A path that goes through k distinct channels is a game of its own, in
 * which nobody earns anything unless all k are there; the Shapley value of each
 * of them is 1/k (symmetry), and that of the sum of games is the sum of values
 * (additivity).  So it takes no coalitions: one pass over the paths.
 *
 * Kept are integer sums a channel and k, divided at the end in a fixed order.
 *
 * Limits: 2^21 pairs of a channel and a k (54000), some 200 MB.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "miscadmin.h"

#include "channel_path.h"
#include "compat.h"

#define MAX_SHARES (1 << 21)

/* What the paths that go through the channel and k - 1 others brought in. */
typedef struct Share
{
	uint64		key;			/* channel << 32 | k */
	char		status;
	Units		conversions;
	Units		value;
} Share;

#define share_key(channel, k) ((uint64) (channel) << 32 | (uint32) (k))
#define share_channel(key) ((int) ((key) >> 32))
#define share_size(key) ((uint32) (key))

#define SH_PREFIX share
#define SH_ELEMENT_TYPE Share
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, key) ((uint32) ((key) * UINT64CONST(0x9E3779B97F4A7C15) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

typedef struct ShapleyState
{
	PathTotals	totals;
	ChannelTable channels;
	share_hash *shares;
	/* the path at hand: its distinct channels; the serial of the last path of each channel */
	int		   *distinct;
	int64	   *last_path;
	int			room;
	int64		paths;
} ShapleyState;

static ShapleyState *
shapley_create(MemoryContext context)
{
	ShapleyState *state = MemoryContextAllocZero(context, sizeof(ShapleyState));

	channel_table_init(&state->channels, context);
	state->shares = share_create(context, 64, NULL);
	state->room = 32;
	state->distinct = MemoryContextAlloc(context, sizeof(int) * state->room);
	state->last_path = MemoryContextAllocZero(context, sizeof(int64) * state->room);
	return state;
}

static inline void
share_add(ShapleyState *state, uint64 key, Units conversions, Units value)
{
	bool		found;
	Share	   *share = share_insert(state->shares, key, &found);

	if (unlikely(!found))
	{
		share->conversions = 0;
		share->value = 0;
		if (state->shares->members > MAX_SHARES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many channels for shapley_credits()"),
					 errdetail("There are more than %d pairs of a channel and the number of channels of a path.",
							   MAX_SHARES),
					 errhint("Group channels.")));
	}
	share->conversions += conversions;
	share->value += value;
}

static void
add_path(ShapleyState *state, const PathRow *row)
{
	char	   *element = row->elements;
	int			k = 0;

	state->paths++;
	for (int i = 0; i < row->length; i++)
	{
		int			channel = path_next(&state->channels, &element);

		if (unlikely(channel >= state->room))
		{
			int			room = Max(state->room * 2, channel + 1);

			state->distinct = repalloc_huge(state->distinct, sizeof(int) * room);
			state->last_path = repalloc_huge(state->last_path, sizeof(int64) * room);
			memset(state->last_path + state->room, 0, sizeof(int64) * (room - state->room));
			state->room = room;
		}
		if (state->last_path[channel] != state->paths)
		{
			state->last_path[channel] = state->paths;
			state->distinct[k++] = channel;
		}
	}
	for (int i = 0; i < k; i++)
		share_add(state, share_key(state->distinct[i], k), row->conversions, row->value);
}

PG_FUNCTION_INFO_V1(leadflow_shapley_add);
Datum
leadflow_shapley_add(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	ShapleyState *state;
	PathRow		row;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "not called as an aggregate");
	state = PG_ARGISNULL(0) ? shapley_create(context) : (ShapleyState *) PG_GETARG_POINTER(0);
	row = path_row(fcinfo, &state->totals);
	/* who lost is of no account, but a channel that never wins is listed, too */
	if (row.conversions != 0 || row.value != 0 || row.nulls != 0)
		add_path(state, &row);
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(leadflow_shapley_combine);
Datum
leadflow_shapley_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	ShapleyState *state;
	ShapleyState *more;
	int		   *number;
	share_iterator shares;
	Share	   *share;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "not called as an aggregate");
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_POINTER(PG_GETARG_POINTER(0));
	}
	state = PG_ARGISNULL(0) ? shapley_create(context) : (ShapleyState *) PG_GETARG_POINTER(0);
	more = (ShapleyState *) PG_GETARG_POINTER(1);

	path_totals_add(&state->totals, &more->totals);
	number = channel_table_add(&state->channels, &more->channels);
	share_start_iterate(more->shares, &shares);
	while ((share = share_iterate(more->shares, &shares)) != NULL)
		share_add(state, share_key(number[share_channel(share->key)], share_size(share->key)),
				  share->conversions, share->value);
	pfree(number);
	PG_RETURN_POINTER(state);
}

PG_FUNCTION_INFO_V1(leadflow_shapley_serialize);
Datum
leadflow_shapley_serialize(PG_FUNCTION_ARGS)
{
	ShapleyState *state = (ShapleyState *) PG_GETARG_POINTER(0);
	StringInfoData out;
	share_iterator shares;
	Share	   *share;

	pq_begintypsend(&out);
	pq_sendbytes(&out, (char *) &state->totals, sizeof(PathTotals));
	channel_table_send(&out, &state->channels);
	pq_sendint32(&out, state->shares->members);
	share_start_iterate(state->shares, &shares);
	while ((share = share_iterate(state->shares, &shares)) != NULL)
		pq_sendbytes(&out, (char *) share, sizeof(Share));
	PG_RETURN_BYTEA_P(pq_endtypsend(&out));
}

PG_FUNCTION_INFO_V1(leadflow_shapley_deserialize);
Datum
leadflow_shapley_deserialize(PG_FUNCTION_ARGS)
{
	ShapleyState *state = shapley_create(CurrentMemoryContext);
	StringInfoData in;
	int			n;

	path_message_open(&in, PG_GETARG_BYTEA_PP(0));
	pq_copymsgbytes(&in, (char *) &state->totals, sizeof(PathTotals));
	channel_table_receive(&in, &state->channels);
	n = pq_getmsgint(&in, 4);
	for (int i = 0; i < n; i++)
	{
		Share		share;

		pq_copymsgbytes(&in, (char *) &share, sizeof(Share));
		share_add(state, share.key, share.conversions, share.value);
	}
	pq_getmsgend(&in);
	PG_RETURN_POINTER(state);
}

static int
compare_shares(const void *a, const void *b)
{
	uint64		x = (*(Share *const *) a)->key;
	uint64		y = (*(Share *const *) b)->key;

	return (x > y) - (x < y);
}

PG_FUNCTION_INFO_V1(leadflow_shapley_result);
Datum
leadflow_shapley_result(PG_FUNCTION_ARGS)
{
	ShapleyState *state;
	int		   *order;
	ChannelCredit *credits;
	ChannelCredit *sorted;
	Units	   *assists;
	Share	  **shares;
	share_iterator iterator;
	int			n;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	state = (ShapleyState *) PG_GETARG_POINTER(0);

	/* by channel and k: the same sums in the same order, whatever the rows came in */
	shares = palloc_array(Share *, state->shares->members + 1);
	n = 0;
	share_start_iterate(state->shares, &iterator);
	while ((shares[n] = share_iterate(state->shares, &iterator)) != NULL)
		n++;
	qsort(shares, n, sizeof(Share *), compare_shares);

	credits = palloc0_array(ChannelCredit, Max(state->channels.n, 1));
	assists = palloc0_array(Units, Max(state->channels.n, 1));
	for (int i = 0; i < n; i++)
	{
		int			channel = share_channel(shares[i]->key);
		double		k = share_size(shares[i]->key);

		credits[channel].conversions += units_double(shares[i]->conversions) / k;
		credits[channel].value += units_double(shares[i]->value) / k;
		assists[channel] += shares[i]->conversions;
	}

	order = channel_order(&state->channels);
	sorted = palloc_array(ChannelCredit, Max(state->channels.n, 1));
	for (int i = 0; i < state->channels.n; i++)
	{
		sorted[i] = credits[order[i]];
		sorted[i].removal_effect = state->totals.conversions == 0 ? 0 :
			units_double(assists[order[i]]) / units_double(state->totals.conversions);
	}
	return channel_credits(fcinfo, &state->channels, order, sorted,
						   units_double(state->totals.unassigned_conversions),
						   units_double(state->totals.unassigned_value));
}
