/*-------------------------------------------------------------------------
 * limit.c
 *	  Rules with a limit: of each calendar bucket and each value of once_per the
 *	  most recent max_count activities count.
 *
 * An activity that arrives late may push an older one out, so a sum alone can't
 * be kept up: one must know which ones count.  A window is the list of those, by
 * rule, bucket and value.  Adding an entry says whether it counts and which
 * instant it displaces; the sum then changes by one term that is added and one
 * that is taken away, bit by bit the one that had been added (points_add() gives
 * the same term for the same instant).  Among activities of one instant it makes no
 * difference to the points which of them count, so ids are not kept.
 *
 * Of rules with a bucket the WINDOW_BUCKETS newest are kept with a lead; an
 * activity that falls before them, or that comes to a rule with more than
 * MAX_ENTRIES entries (hundreds of values), is LIMIT_UNKNOWN: the lead must be
 * computed from its activities.  A rule that is not kept is one entry, LOST.
 *
 * Values are told apart by a 64-bit hash: 1 and 1.0 are one value.
 *
 * Adding is O(entries of the lead) at worst; leads have few.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "limit.h"

#define MAX_ENTRIES	1024		/* of one rule */
#define LOST		PG_INT64_MAX	/* bucket of the entry of a rule that is not kept */

/* In which calendar bucket an instant lies. */
static int64
bucket_start(const Model *model, const PointRule *rule, TimestampTz at)
{
	if (rule->per == NULL)
		return 0;
	/* date_trunc fails at the very beginning of time; all of that is one bucket */
	if (at <= MIN_TIMESTAMP + 400 * USECS_PER_DAY)
		return DT_NOBEGIN;
	return DatumGetTimestampTz(DirectFunctionCall3(timestamptz_trunc_zone,
												   PointerGetDatum(rule->per),
												   TimestampTzGetDatum(at),
												   PointerGetDatum(model->time_zone)));
}

/* The same for what jsonb takes for equal; never 0. */
static uint64
value_hash(Jsonb *value)
{
	JsonbIterator *iterator = JsonbIteratorInit(&value->root);
	JsonbIteratorToken token;
	JsonbValue	item;
	uint64		hash = 0;

	while ((token = JsonbIteratorNext(&iterator, &item, false)) != WJB_DONE)
	{
		uint64		scalar = 0;

		if (token == WJB_BEGIN_ARRAY && item.val.array.rawScalar)
			continue;			/* a scalar differs from an array of it */
		hash = hash_combine64(hash, (uint64) token + 1);
		if (token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM)
		{
			JsonbHashScalarValueExtended(&item, &scalar, 1);
			hash = hash_combine64(hash, scalar);
		}
	}
	return hash ? hash : 1;
}

/* value: what once_per yields, NULL = nothing, which is one more value. */
LimitEntry
limit_entry(const Model *model, const PointRule *rule, TimestampTz at, Jsonb *value)
{
	LimitEntry	entry;

	entry.rule = rule - model->rules;
	entry.bucket = bucket_start(model, rule, at);
	entry.value = value ? value_hash(value) : 0;
	entry.at = at;
	return entry;
}

/* Are they counted against one another? */
static inline bool
alike(const LimitEntry *a, const LimitEntry *b)
{
	return a->rule == b->rule && a->bucket == b->bucket && a->value == b->value;
}

static int
compare_entries(const void *a, const void *b)
{
	const LimitEntry *x = a;
	const LimitEntry *y = b;

	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	if (x->bucket != y->bucket)
		return x->bucket < y->bucket ? -1 : 1;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	if (x->at != y->at)
		return x->at > y->at ? -1 : 1;
	return 0;
}

/* Sorts entries and keeps those that count; returns how many they are. */
int
limit_entries_keep(const Model *model, LimitEntry *entries, int n)
{
	int			kept = 0;
	int			rank = 0;
	LimitEntry	before;

	qsort(entries, n, sizeof(LimitEntry), compare_entries);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		rank = i > 0 && alike(&entries[i], &before) ? rank + 1 : 1;
		before = entries[i];
		if (rank <= model->rules[entries[i].rule].max_count)
			entries[kept++] = entries[i];
	}
	return kept;
}

/* The first entry that does not come before that one. */
static int
window_search(const Window *window, const LimitEntry *entry)
{
	int			low = 0;
	int			high = window->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_entries(&window->entries[middle], entry) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Where the entries of a rule begin. */
static int
window_rule(const Window *window, int rule)
{
	LimitEntry	first = {.rule = rule, .bucket = PG_INT64_MIN, .value = 0, .at = PG_INT64_MAX};

	return window_search(window, &first);
}

static void
window_remove(Window *window, int from, int to)
{
	memmove(&window->entries[from], &window->entries[to],
			sizeof(LimitEntry) * (window->n - to));
	window->n -= to - from;
}

/* In the memory context of the entries that are there, or the current one. */
static void
window_insert(Window *window, int at, const LimitEntry *entry)
{
	if (window->n == window->room)
	{
		window->room = Max(4, window->room * 2);
		window->entries = window->entries == NULL ?
			palloc(sizeof(LimitEntry) * window->room) :
			repalloc(window->entries, sizeof(LimitEntry) * window->room);
	}
	memmove(&window->entries[at + 1], &window->entries[at],
			sizeof(LimitEntry) * (window->n - at));
	window->entries[at] = *entry;
	window->n++;
}

/* Drops the oldest buckets of a rule, whose entries are from .. to, beyond so many; returns the new end. */
static int
window_trim(Window *window, int max_buckets, int from, int to)
{
	int			buckets = 0;

	for (int i = to - 1; i >= from; i--)
	{
		if (i == to - 1 || window->entries[i].bucket != window->entries[i + 1].bucket)
			buckets++;
		if (buckets > max_buckets)
		{
			window_remove(window, from, i + 1);
			return to - (i + 1 - from);
		}
	}
	return to;
}

static int
count_buckets(const Window *window, int from, int to)
{
	int			buckets = 0;

	for (int i = from; i < to; i++)
		buckets += i == from || window->entries[i].bucket != window->entries[i - 1].bucket;
	return buckets;
}

/* A rule is not kept any more. */
static void
window_lose(Window *window, int rule)
{
	LimitEntry	lost = {.rule = rule, .bucket = LOST};

	window_remove(window, window_rule(window, rule), window_rule(window, rule + 1));
	window_insert(window, window_rule(window, rule), &lost);
}

LimitResult
window_add(const Model *model, Window *window, int max_buckets, const LimitEntry *entry,
		   TimestampTz *displaced)
{
	const PointRule *rule = &model->rules[entry->rule];
	int			from = window_rule(window, entry->rule);
	int			to = window_rule(window, entry->rule + 1);
	int			at = window_search(window, entry);
	int			first = at;
	int			last = at;

	if (to > from && window->entries[to - 1].bucket == LOST)
		return LIMIT_UNKNOWN;
	if (rule->per && max_buckets != WINDOW_ALL_BUCKETS &&
		to > from && entry->bucket < window->entries[from].bucket &&
		count_buckets(window, from, to) >= max_buckets)
		return LIMIT_UNKNOWN;

	while (first > from && alike(&window->entries[first - 1], entry))
		first--;
	while (last < to && alike(&window->entries[last], entry))
		last++;
	if (last - first >= rule->max_count)
	{
		if (at == last)
			return LIMIT_HELD_BACK;
		*displaced = window->entries[last - 1].at;
		memmove(&window->entries[at + 1], &window->entries[at],
				sizeof(LimitEntry) * (last - 1 - at));
		window->entries[at] = *entry;
		return LIMIT_DISPLACES;
	}
	window_insert(window, at, entry);
	to++;
	if (rule->per && max_buckets != WINDOW_ALL_BUCKETS)
		to = window_trim(window, max_buckets, from, to);
	if (to - from > MAX_ENTRIES)
		window_lose(window, entry->rule);
	return LIMIT_COUNTS;
}

/* Adds another window of all buckets to one. */
void
window_join(const Model *model, Window *window, const Window *more)
{
	for (int i = 0; i < more->n; i++)
	{
		TimestampTz displaced;

		if (more->entries[i].bucket == LOST)
			window_lose(window, more->entries[i].rule);
		else
			(void) window_add(model, window, WINDOW_ALL_BUCKETS, &more->entries[i], &displaced);
	}
}

/*
 * Adds what another window counts, and the points of it.  LIMIT_UNKNOWN: window
 * and sums are void, the lead must be computed from its activities.
 */
LimitResult
window_merge(const Model *model, Window *window, const Window *more,
			 double *sums, TimestampTz *last_at)
{
	/* each rule's oldest bucket comes first, so that none is dropped before its time */
	for (int i = 0; i < more->n; i++)
	{
		const LimitEntry *entry = &more->entries[i];
		const PointRule *rule = &model->rules[entry->rule];
		TimestampTz displaced;

		if (entry->bucket == LOST)
			return LIMIT_UNKNOWN;
		switch (window_add(model, window, WINDOW_BUCKETS, entry, &displaced))
		{
			case LIMIT_DISPLACES:
				points_add(model, sums, last_at, rule->group, -rule->points, displaced);
				points_add(model, sums, last_at, rule->group, rule->points, entry->at);
				break;
			case LIMIT_COUNTS:
				points_add(model, sums, last_at, rule->group, rule->points, entry->at);
				break;
			case LIMIT_HELD_BACK:
				break;
			case LIMIT_UNKNOWN:
				return LIMIT_UNKNOWN;
		}
	}
	return LIMIT_COUNTS;
}

/* A window of entries as limit_entries_keep() leaves them. */
void
window_make(const Model *model, Window *window, const LimitEntry *entries, int n)
{
	window->n = 0;
	window->room = Max(n, 1);
	window->entries = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(LimitEntry) * window->room);
	for (int begin = 0, end; begin < n; begin = end)
	{
		int			from = window->n;

		for (end = begin; end < n && entries[end].rule == entries[begin].rule; end++)
			window->entries[window->n++] = entries[end];
		if (model->rules[entries[begin].rule].per)
			(void) window_trim(window, WINDOW_BUCKETS, from, window->n);
		if (window->n - from > MAX_ENTRIES)
			window_lose(window, entries[begin].rule);
	}
}

/*
 * Stored: the model's fingerprint; then for each run of entries that are alike rule and count (16 bits each),
 * bucket and value where the rule has them, and the instants; in network byte order.
 * A rule that is not kept has count 0.
 */
static char *
put16(char *to, int value)
{
	uint16		swapped = pg_hton16((uint16) value);

	memcpy(to, &swapped, sizeof(swapped));
	return to + sizeof(swapped);
}

static char *
put64(char *to, uint64 value)
{
	uint64		swapped = pg_hton64(value);

	memcpy(to, &swapped, sizeof(swapped));
	return to + sizeof(swapped);
}

/* What is stored, read from the front; false where it ends too early. */
typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

static bool
take(Reader *reader, void *to, Size size)
{
	if (reader->end - reader->at < (ptrdiff_t) size)
		return false;
	memcpy(to, reader->at, size);
	reader->at += size;
	return true;
}

static bool
get16(Reader *reader, int *value)
{
	uint16		swapped;

	if (!take(reader, &swapped, sizeof(swapped)))
		return false;
	*value = pg_ntoh16(swapped);
	return true;
}

static bool
get64(Reader *reader, uint64 *value)
{
	uint64		swapped;

	if (!take(reader, &swapped, sizeof(swapped)))
		return false;
	*value = pg_ntoh64(swapped);
	return true;
}

bytea *
window_pack(const Model *model, const Window *window)
{
	bytea	   *packed = palloc(VARHDRSZ + sizeof(uint32) +
								(Size) window->n * (2 * sizeof(uint16) + 3 * sizeof(uint64)));
	uint32		fingerprint = pg_hton32(model->fingerprint);
	char	   *to = VARDATA(packed);

	memcpy(to, &fingerprint, sizeof(fingerprint));
	to += sizeof(fingerprint);
	for (int i = 0, end; i < window->n; i = end)
	{
		const LimitEntry *entry = &window->entries[i];
		const PointRule *rule = &model->rules[entry->rule];

		for (end = i + 1; end < window->n && alike(&window->entries[end], entry);)
			end++;
		to = put16(to, entry->rule);
		to = put16(to, entry->bucket == LOST ? 0 : end - i);
		if (entry->bucket == LOST)
			continue;
		if (rule->per)
			to = put64(to, entry->bucket);
		if (rule->once_per)
			to = put64(to, entry->value);
		for (int e = i; e < end; e++)
			to = put64(to, window->entries[e].at);
	}
	SET_VARSIZE(packed, to - (char *) packed);
	return packed;
}

/* Adds a run of entries, which must come after those that are there. */
static bool
read_run(const Model *model, Window *window, Reader *reader)
{
	LimitEntry	entry = {0};
	const PointRule *rule;
	uint64		number;
	int			count;

	if (!get16(reader, &entry.rule) || !get16(reader, &count) || entry.rule >= model->nrules)
		return false;
	rule = &model->rules[entry.rule];
	if (count > rule->max_count || rule->max_count == 0)
		return false;
	if (count == 0)
		entry.bucket = LOST;
	else if (rule->per)
	{
		if (!get64(reader, &number))
			return false;
		entry.bucket = (int64) number;
	}
	if (count > 0 && rule->once_per && !get64(reader, &entry.value))
		return false;
	if (window->n > 0 && alike(&window->entries[window->n - 1], &entry))
		return false;
	do
	{
		if (count > 0)
		{
			if (!get64(reader, &number))
				return false;
			entry.at = (TimestampTz) number;
			if (!IS_VALID_TIMESTAMP(entry.at) || (rule->per && entry.at < entry.bucket))
				return false;
		}
		if (window->n > 0 && compare_entries(&window->entries[window->n - 1], &entry) > 0)
			return false;
		if (window->n >= MAX_ENTRIES &&
			window->entries[window->n - MAX_ENTRIES].rule == entry.rule)
			return false;
		window_insert(window, window->n, &entry);
	} while (--count > 0);
	return true;
}

/*
 * False if it was packed under another definition, or is damaged: what counts is
 * not known then.
 */
bool
window_unpack(const Model *model, Window *window, bytea *packed)
{
	Reader		reader = {VARDATA_ANY(packed), VARDATA_ANY(packed) + VARSIZE_ANY_EXHDR(packed)};
	uint32		fingerprint;

	memset(window, 0, sizeof(Window));
	if (!take(&reader, &fingerprint, sizeof(fingerprint)) || pg_ntoh32(fingerprint) != model->fingerprint)
		return false;
	while (reader.at < reader.end)
	{
		if (!read_run(model, window, &reader))
		{
			window->n = 0;
			return false;
		}
	}
	return true;
}

/* Does a window keep what another, made from all activities, does?  It need not keep a rule at all. */
bool
window_agrees(const Window *window, const Window *made)
{
	int			m = 0;

	for (int i = 0; i < window->n; i++)
	{
		const LimitEntry *entry = &window->entries[i];

		if (entry->bucket != LOST)
		{
			if (m == made->n || compare_entries(entry, &made->entries[m++]) != 0)
				return false;
			continue;
		}
		if (m < made->n && made->entries[m].rule < entry->rule)
			return false;
		while (m < made->n && made->entries[m].rule == entry->rule)
			m++;
	}
	return m == made->n;
}
