/*-------------------------------------------------------------------------
 * channel_path.c
 *	  What the aggregates over paths of channels have in common.
 *
 * A row says how often a path was walked: how many of those who did converted,
 * what that was worth, and how many ended without.  Rows may be aggregated
 * or not, and any number of them may have the same path.
 *
 * Sums are integers, of 2^-40 each, so that they don't depend on the order of
 * rows, on the plan or on workers.  A count is exact where it is a multiple of
 * 2^-40, and off by 5e-13 at most elsewhere.
 *
 * Limits: a count or value is at most 2^63; all of them, times the lengths of
 * their paths, at most 2^86 (22003).
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "channel_path.h"
#include "compat.h"

#define UNITS 0x1p40
#define MOST 0x1p63
#define MOST_IN_ALL 0x1p86

typedef struct ChannelEntry
{
	Channel		name;
	int			number;
	char		status;
} ChannelEntry;

static inline bool
same_name(const Channel *a, const Channel *b)
{
	return a->length == b->length && memcmp(a->name, b->name, a->length) == 0;
}

#define SH_PREFIX channel
#define SH_ELEMENT_TYPE ChannelEntry
#define SH_KEY_TYPE Channel
#define SH_KEY name
#define SH_HASH_KEY(tb, key) ((key).hash)
#define SH_EQUAL(tb, a, b) same_name(&(a), &(b))
#define SH_SCOPE static inline
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->name.hash)
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

/* An argument as a sum of units; NULL is 0. */
static inline Units
units_argument(FunctionCallInfo fcinfo, int argument, const char *name, bool negative)
{
	double		number;

	if (PG_ARGISNULL(argument))
		return 0;
	number = PG_GETARG_FLOAT8(argument);
	if (unlikely(isnan(number) || isinf(number)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be finite", name),
				 errdetail("It is %s.", float8out_internal(number))));
	if (unlikely(number < 0 && !negative))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", name),
				 errdetail("It is %s.", float8out_internal(number))));
	if (unlikely(fabs(number) > MOST))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s is out of range", name),
				 errdetail("It is %s.", float8out_internal(number)),
				 errhint("At most 2^63 can be counted; count in thousands, say.")));
	/* most are small, and 64-bit arithmetic is faster */
	if (fabs(number) < 0x1p22)
		return (int64) rint(number * UNITS);
	return (Units) rint(number * UNITS);
}

static void
check_load(const PathTotals *totals)
{
	if (unlikely(totals->load > MOST_IN_ALL))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("counts of paths are out of range"),
				 errhint("Count in thousands, say.")));
}

PathRow
path_row(FunctionCallInfo fcinfo, PathTotals *totals)
{
	PathRow		row;

	row.elements = NULL;
	row.length = 0;
	if (!PG_ARGISNULL(1))
	{
		ArrayType  *path = PG_GETARG_ARRAYTYPE_P(1);

		if (ARR_NDIM(path) > 1)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("path must be a one-dimensional array")));
		if (ARR_HASNULL(path) && array_contains_nulls(path))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("path must not contain nulls"),
					 errhint("Name what has no channel, e.g. (no channel), or leave it out of the path.")));
		row.elements = ARR_DATA_PTR(path);
		row.length = ArrayGetNItems(ARR_NDIM(path), ARR_DIMS(path));
	}
	row.conversions = units_argument(fcinfo, 2, "conversions", false);
	row.value = units_argument(fcinfo, 3, "value", true);
	row.nulls = units_argument(fcinfo, 4, "nulls", false);

	totals->load += (units_double(row.conversions) + units_double(row.nulls) +
					 fabs(units_double(row.value))) * (row.length + 1.0);
	check_load(totals);
	if (row.length > 0)
	{
		totals->conversions += row.conversions;
		totals->value += row.value;
	}
	else
	{
		totals->unassigned_conversions += row.conversions;
		totals->unassigned_value += row.value;
	}
	return row;
}

void
path_totals_add(PathTotals *totals, const PathTotals *more)
{
	totals->load += more->load;
	check_load(totals);
	totals->conversions += more->conversions;
	totals->value += more->value;
	totals->unassigned_conversions += more->unassigned_conversions;
	totals->unassigned_value += more->unassigned_value;
}

void
channel_table_init(ChannelTable *table, MemoryContext context)
{
	table->context = context;
	table->index = channel_create(context, 32, NULL);
	table->n = 0;
	table->room = 32;
	table->channels = MemoryContextAlloc(context, sizeof(Channel) * table->room);
}

int
channel_intern(ChannelTable *table, const char *name, int length)
{
	Channel		channel = {unconstify(char *, name), length,
	hash_bytes((const unsigned char *) name, length)};
	bool		found;
	ChannelEntry *entry = channel_insert(table->index, channel, &found);

	if (unlikely(!found))
	{
		if (table->n == table->room)
		{
			table->room *= 2;
			table->channels = repalloc_huge(table->channels, sizeof(Channel) * table->room);
		}
		entry->name.name = MemoryContextAlloc(table->context, Max(length, 1));
		memcpy(entry->name.name, name, length);
		table->channels[table->n] = entry->name;
		entry->number = table->n++;
	}
	return entry->number;
}

static int
compare_names(const void *a, const void *b, void *arg)
{
	const Channel *channels = arg;
	const Channel *x = &channels[*(const int *) a];
	const Channel *y = &channels[*(const int *) b];
	int			order = memcmp(x->name, y->name, Min(x->length, y->length));

	return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

int *
channel_order(const ChannelTable *table)
{
	int		   *order = palloc_array(int, Max(table->n, 1));

	for (int i = 0; i < table->n; i++)
		order[i] = i;
	qsort_arg(order, table->n, sizeof(int), compare_names, table->channels);
	return order;
}

int *
channel_table_add(ChannelTable *table, const ChannelTable *more)
{
	int		   *number = palloc_array(int, Max(more->n, 1));

	for (int i = 0; i < more->n; i++)
		number[i] = channel_intern(table, more->channels[i].name, more->channels[i].length);
	return number;
}

void
path_message_open(StringInfo in, const bytea *bytes)
{
	/* a copy: messages end in a zero byte */
	initStringInfo(in);
	appendBinaryStringInfo(in, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

void
channel_table_send(StringInfo out, const ChannelTable *table)
{
	pq_sendint32(out, table->n);
	for (int i = 0; i < table->n; i++)
	{
		pq_sendint32(out, table->channels[i].length);
		pq_sendbytes(out, table->channels[i].name, table->channels[i].length);
	}
}

void
channel_table_receive(StringInfo in, ChannelTable *table)
{
	int			n = pq_getmsgint(in, 4);

	for (int i = 0; i < n; i++)
	{
		int			length = pq_getmsgint(in, 4);

		(void) channel_intern(table, pq_getmsgbytes(in, length), length);
	}
}

Datum
channel_credits(FunctionCallInfo fcinfo, const ChannelTable *table, const int *order,
				const ChannelCredit *credits, double left_conversions, double left_value)
{
	Oid			type = get_element_type(get_fn_expr_rettype(fcinfo->flinfo));
	TupleDesc	desc;
	Datum	   *rows = palloc_array(Datum, table->n + 1);
	int			n = 0;
	ArrayType  *result;

	if (!OidIsValid(type))
		elog(ERROR, "result is not an array");
	desc = lookup_rowtype_tupdesc(type, -1);
	if (desc->natts != 4)
		elog(ERROR, "channel_credit has %d columns", desc->natts);

	for (int i = 0; i < table->n; i++)
	{
		const Channel *channel = &table->channels[order[i]];
		Datum		values[4];
		bool		nulls[4] = {false};

		CHECK_FOR_INTERRUPTS();
		values[0] = PointerGetDatum(cstring_to_text_with_len(channel->name, channel->length));
		values[1] = Float8GetDatum(credits[i].removal_effect);
		values[2] = Float8GetDatum(credits[i].conversions);
		values[3] = Float8GetDatum(credits[i].value);
		rows[n++] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	if (left_conversions != 0 || left_value != 0)
	{
		Datum		values[4] = {0, 0, Float8GetDatum(left_conversions), Float8GetDatum(left_value)};
		bool		nulls[4] = {true, true, false, false};

		rows[n++] = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	}
	result = construct_array(rows, n, type, -1, false, TYPALIGN_DOUBLE);
	ReleaseTupleDesc(desc);
	return PointerGetDatum(result);
}
