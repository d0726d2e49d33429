/*-------------------------------------------------------------------------
 * channel_path.h
 *	  What the aggregates over paths of channels have in common: arguments,
 *	  exact counts, names, and the result.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CHANNEL_PATH_H
#define LEADFLOW_CHANNEL_PATH_H

#include "postgres.h"
#include "access/tupmacs.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"

#ifndef HAVE_INT128
#error "leadflow needs a compiler that knows 128-bit integers"
#endif

/* A sum in units of 2^-40: integers commute, so the order of rows and workers is of no account. */
typedef int128 Units;

/* What the rows say in sum, whatever the aggregate makes of it. */
typedef struct PathTotals
{
	Units		conversions;	/* of paths with a channel */
	Units		value;
	Units		unassigned_conversions; /* of those without */
	Units		unassigned_value;
	double		load;			/* how much the sums may have grown; guards against overflow */
} PathTotals;

/* One row's arguments. */
typedef struct PathRow
{
	char	   *elements;		/* of the array; the first of them */
	int			length;			/* channels in the path */
	Units		conversions;
	Units		value;
	Units		nulls;
} PathRow;

typedef struct Channel
{
	char	   *name;			/* not terminated */
	int			length;
	uint32		hash;
} Channel;

struct channel_hash;

/* Channels by name and by number; numbers are given as they come. */
typedef struct ChannelTable
{
	MemoryContext context;
	struct channel_hash *index;
	Channel    *channels;
	int			n;
	int			room;
} ChannelTable;

typedef struct ChannelCredit
{
	double		removal_effect;
	double		conversions;
	double		value;
} ChannelCredit;

/* Arguments 1 to 4 of a transition function: path, conversions, value, nulls.  Adds them to totals. */
extern PathRow path_row(FunctionCallInfo fcinfo, PathTotals *totals);
extern void path_totals_add(PathTotals *totals, const PathTotals *more);

extern void channel_table_init(ChannelTable *table, MemoryContext context);
extern int	channel_intern(ChannelTable *table, const char *name, int length);

/* Numbers of the channels by name, as bytes: the order of everything that is computed. */
extern int *channel_order(const ChannelTable *table);

/* Adds the channels of another table; what its numbers are here. */
extern int *channel_table_add(ChannelTable *table, const ChannelTable *more);

/* What a partial aggregate sends to another: the bytes that came, to be read. */
extern void path_message_open(StringInfo in, const bytea *bytes);
extern void channel_table_send(StringInfo out, const ChannelTable *table);
extern void channel_table_receive(StringInfo in, ChannelTable *table);

/*
 * channel_credit[]: credits[i] is that of the channel order[i].  What is left of the totals,
 * where there is any, goes to a last row without a channel.
 */
extern Datum channel_credits(FunctionCallInfo fcinfo, const ChannelTable *table, const int *order,
							 const ChannelCredit *credits, double left_conversions,
							 double left_value);

static inline double
units_double(Units units)
{
	return (double) units * (1.0 / (INT64CONST(1) << 40));
}

/* The next channel of the path, as a number. */
static inline int
path_next(ChannelTable *table, char **element)
{
	char	   *text = *element;

	*element = (char *) att_align_nominal(att_addlength_pointer(text, -1, text), TYPALIGN_INT);
	return channel_intern(table, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
}

#endif							/* LEADFLOW_CHANNEL_PATH_H */
