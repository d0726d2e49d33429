/*-------------------------------------------------------------------------
 * event_store.c
 *	  What a transaction did to leads, until it is flushed.
 *
 * One level for each subtransaction that wrote, each a hash table of deltas by
 * lead in a memory context of its own.  Committing a subtransaction merges
 * its level into its parent's, rolling it back drops it.  A flush within a subtransaction
 * (settle()) uses up the levels of its parents, too; they are marked with the
 * nesting level of the flush and are good again if that is rolled back.
 *
 * Deltas are tied to a compilation of the model (sums go by its groups).  If the
 * model was compiled anew in between, their leads are computed from the
 * activities instead.
 *
 * At the end of the transaction PRE_COMMIT or PRE_PREPARE flushes.  A flush
 * writes by SQL and so may queue deferred triggers, which core has fired just
 * before; the callback fires those itself, and looks again, since they may have
 * written activities.
 *
 * Limits: about 250 bytes a lead that was written to, until the end of the
 * transaction, up to 16 kB more for what rules with a limit count, and 32 bytes
 * for each message and each activity that somebody wants to hear of.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "commands/trigger.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "event_store.h"
#include "guc.h"

typedef struct DeltaEntry
{
	int64		lead_id;
	Delta	   *delta;
	char		status;
} DeltaEntry;

#define SH_PREFIX deltas
#define SH_ELEMENT_TYPE DeltaEntry
#define SH_KEY_TYPE int64
#define SH_KEY lead_id
#define SH_HASH_KEY(table, key) murmurhash32((uint32) (key) ^ (uint32) ((uint64) (key) >> 32))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Level
{
	int			nest;			/* nesting level of the subtransaction */
	int			flushed;		/* nesting level of the flush that used it up, 0 = none */
	uint64		generation;		/* of the model that sums go by */
	MemoryContext context;
	deltas_hash *deltas;
	struct Level *parent;
} Level;

/* What rules with a limit count of a lead, at most; 32 bytes each. */
#define MAX_LIMITED	512

static Level *top = NULL;
static void (*flush_hook) (void) = NULL;

static Size
delta_size(const Model *model)
{
	return offsetof(Delta, sums) + sizeof(double) * Max(model->ngroups, 1);
}

static Delta *
delta_make(const Model *model, int64 lead_id)
{
	Delta	   *delta = palloc0(delta_size(model));

	delta->lead_id = lead_id;
	delta->last_at = DT_NOBEGIN;
	delta->last_engaged_at = DT_NOBEGIN;
	delta->last_touch_at = DT_NOBEGIN;
	delta->clock_from = DT_NOEND;
	delta->inbound_at = DT_NOEND;
	delta->hand_raised_at = DT_NOBEGIN;
	delta->disqualified_at = DT_NOEND;
	delta->trigger_at = DT_NOBEGIN;
	return delta;
}

/*
 * A lead that rules with a limit matched very often is computed from its activities, so that memory
 * does not grow with the rows that a transaction writes.
 */
static void
delta_bound(Delta *delta)
{
	if (delta->window.n <= MAX_LIMITED && !(delta->flags & DELTA_RECOMPUTE))
		return;
	delta->flags |= DELTA_RECOMPUTE;
	if (delta->window.entries)
		pfree(delta->window.entries);
	memset(&delta->window, 0, sizeof(Window));
}

/* Room for more messages, in the current context. */
static void
messages_grow(Delta *delta, int more)
{
	int			room = Max(4, delta->maxmessages);

	while (room < delta->nmessages + more)
		room *= 2;
	if (room == delta->maxmessages)
		return;
	delta->messages = delta->messages ? repalloc_huge(delta->messages, sizeof(SentMessage) * room) :
		MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SentMessage) * room);
	delta->maxmessages = room;
}

/* Kept in the current context. */
static void
delta_add_matched(Delta *delta, const Matched *matched, int n)
{
	if (n == 0)
		return;
	if (delta->nmatched + n > delta->maxmatched)
	{
		delta->maxmatched = Max(delta->nmatched + n, Max(4, delta->maxmatched * 2));
		delta->matched = delta->matched ? repalloc_huge(delta->matched, sizeof(Matched) * delta->maxmatched) :
			palloc(sizeof(Matched) * delta->maxmatched);
	}
	memcpy(delta->matched + delta->nmatched, matched, sizeof(Matched) * n);
	delta->nmatched += n;
}

/* What is added to a delta is kept in the current context. */
static void
delta_merge(const Model *model, Delta *into, const Delta *from)
{
	into->flags |= from->flags;
	points_merge(model, into->sums, &into->last_at, from->sums, from->last_at);
	window_join(model, &into->window, &from->window);
	delta_bound(into);
	if (from->nmessages > 0)
	{
		messages_grow(into, from->nmessages);
		memcpy(into->messages + into->nmessages, from->messages, sizeof(SentMessage) * from->nmessages);
		into->nmessages += from->nmessages;
	}
	delta_add_matched(into, from->matched, from->nmatched);
	into->last_engaged_at = Max(into->last_engaged_at, from->last_engaged_at);
	into->last_touch_at = Max(into->last_touch_at, from->last_touch_at);
	into->clock_from = Min(into->clock_from, from->clock_from);
	into->inbound_at = Min(into->inbound_at, from->inbound_at);
	if (happened_later(from->hand_raised_at, &from->hand_raised_by,
					   into->hand_raised_at, &into->hand_raised_by))
	{
		into->hand_raised_at = from->hand_raised_at;
		into->hand_raised_by = from->hand_raised_by;
	}
	if (disqualifies_first(from->disqualified_at, from->disqualified_by,
						   into->disqualified_at, into->disqualified_by))
	{
		into->disqualified_at = from->disqualified_at;
		into->disqualified_by = from->disqualified_by;
	}
	if (happened_later(from->trigger_at, &from->trigger, into->trigger_at, &into->trigger))
	{
		into->trigger_at = from->trigger_at;
		into->trigger = from->trigger;
	}
}

static Level *
level_make(const Model *model, int nest)
{
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "leadflow deltas",
												  ALLOCSET_START_SMALL_SIZES);
	Level	   *level = MemoryContextAllocZero(context, sizeof(Level));

	level->nest = nest;
	level->generation = model->generation;
	level->context = context;
	level->deltas = deltas_create(context, 4, NULL);
	level->parent = top;
	top = level;
	return level;
}

/* The delta of a lead in a level, made if it is not there. */
static Delta *
level_delta(const Model *model, Level *level, int64 lead_id)
{
	bool		found;
	DeltaEntry *entry = deltas_insert(level->deltas, lead_id, &found);

	if (!found)
	{
		MemoryContext caller = MemoryContextSwitchTo(level->context);

		entry->delta = delta_make(model, lead_id);
		MemoryContextSwitchTo(caller);
	}
	return entry->delta;
}

/* Sums of a level that another model was used for are void, and sized for its groups. */
static void
level_convert(const Model *model, Level *level)
{
	MemoryContext caller;
	deltas_iterator scan;
	DeltaEntry *entry;

	if (level->generation == model->generation)
		return;
	caller = MemoryContextSwitchTo(level->context);
	deltas_start_iterate(level->deltas, &scan);
	while ((entry = deltas_iterate(level->deltas, &scan)) != NULL)
	{
		Delta	   *old = entry->delta;

		entry->delta = delta_make(model, old->lead_id);
		entry->delta->flags = old->flags | DELTA_RECOMPUTE;
		entry->delta->trigger_at = old->trigger_at;
		entry->delta->trigger = old->trigger;
		entry->delta->messages = old->messages;
		entry->delta->nmessages = old->nmessages;
		entry->delta->maxmessages = old->maxmessages;
		entry->delta->nmatched = old->nmatched;
		entry->delta->maxmatched = old->maxmatched;
		entry->delta->matched = old->matched;
		pfree(old);
	}
	MemoryContextSwitchTo(caller);
	level->generation = model->generation;
}

/* Merges the top level into the one below it, which belongs to the same subtransaction. */
static void
level_merge(const Model *model)
{
	Level	   *level = top;
	MemoryContext caller;
	deltas_iterator scan;
	DeltaEntry *entry;

	level_convert(model, level);
	level_convert(model, level->parent);
	caller = MemoryContextSwitchTo(level->parent->context);
	deltas_start_iterate(level->deltas, &scan);
	while ((entry = deltas_iterate(level->deltas, &scan)) != NULL)
		delta_merge(model, level_delta(model, level->parent, entry->lead_id), entry->delta);
	MemoryContextSwitchTo(caller);
	top = level->parent;
	MemoryContextDelete(level->context);
}

Delta *
event_delta(const Model *model, int64 lead_id)
{
	int			nest = GetCurrentTransactionNestLevel();
	Delta	   *delta;

	while (top && top->parent && top->nest == top->parent->nest && !top->parent->flushed)
		level_merge(model);
	if (top == NULL || top->nest != nest || top->flushed)
		level_make(model, nest);
	level_convert(model, top);
	delta = level_delta(model, top, lead_id);
	if (!leadflow_quiet)
		delta->flags |= DELTA_LOUD;
	return delta;
}

void
event_limited(const Model *model, Delta *delta, const LimitEntry *entry)
{
	MemoryContext caller = MemoryContextSwitchTo(top->context);
	TimestampTz displaced;

	if (!(delta->flags & DELTA_RECOMPUTE))
		(void) window_add(model, &delta->window, WINDOW_ALL_BUCKETS, entry, &displaced);
	delta_bound(delta);
	MemoryContextSwitchTo(caller);
}

void
event_message(Delta *delta, TimestampTz at, const pg_uuid_t *id, bool refuse)
{
	MemoryContext caller = MemoryContextSwitchTo(top->context);
	SentMessage *message;

	messages_grow(delta, 1);
	message = &delta->messages[delta->nmessages++];
	message->at = at;
	message->id = *id;
	message->refuse = refuse;
	delta->flags |= DELTA_MESSAGE;
	MemoryContextSwitchTo(caller);
}

int
event_flags(int64 lead_id)
{
	int			flags = 0;

	for (Level *level = top; level; level = level->parent)
	{
		DeltaEntry *entry = level->flushed ? NULL : deltas_lookup(level->deltas, lead_id);

		if (entry)
			flags |= entry->delta->flags;
	}
	return flags;
}

void
event_matched(Delta *delta, const Matched *matched, bool once)
{
	MemoryContext caller;

	for (int i = 0; once && i < delta->nmatched; i++)
	{
		if (delta->matched[i].subscription_id == matched->subscription_id)
			return;
	}
	caller = MemoryContextSwitchTo(top->context);
	delta_add_matched(delta, matched, 1);
	MemoryContextSwitchTo(caller);
}

void
event_recompute(void)
{
	for (Level *level = top; level; level = level->parent)
	{
		deltas_iterator scan;
		DeltaEntry *entry;

		if (level->flushed)
			continue;
		deltas_start_iterate(level->deltas, &scan);
		while ((entry = deltas_iterate(level->deltas, &scan)) != NULL)
			entry->delta->flags |= DELTA_RECOMPUTE;
	}
}

bool
event_pending(void)
{
	for (Level *level = top; level; level = level->parent)
	{
		if (!level->flushed && level->deltas->members > 0)
			return true;
	}
	return false;
}

Delta *
event_peek(const Model *model, int64 lead_id)
{
	Delta	   *result = NULL;

	for (Level *level = top; level; level = level->parent)
	{
		DeltaEntry *entry;

		if (level->flushed)
			continue;
		level_convert(model, level);
		entry = deltas_lookup(level->deltas, lead_id);
		if (entry == NULL)
			continue;
		if (result == NULL)
			result = delta_make(model, lead_id);
		delta_merge(model, result, entry->delta);
	}
	return result;
}

static int
compare_deltas(const void *a, const void *b)
{
	int64		x = (*(Delta *const *) a)->lead_id;
	int64		y = (*(Delta *const *) b)->lead_id;

	return x < y ? -1 : x > y;
}

Delta **
event_take(const Model *model, int *n)
{
	int			nest = GetCurrentTransactionNestLevel();
	uint64		total = 0;
	int			kept = 0;
	Delta	  **deltas;

	*n = 0;
	for (Level *level = top; level; level = level->parent)
	{
		if (!level->flushed)
			total += level->deltas->members;
	}
	if (total == 0)
		return NULL;

	deltas = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Delta *) * total);
	for (Level *level = top; level; level = level->parent)
	{
		deltas_iterator scan;
		DeltaEntry *entry;

		if (level->flushed)
			continue;
		level_convert(model, level);
		deltas_start_iterate(level->deltas, &scan);
		while ((entry = deltas_iterate(level->deltas, &scan)) != NULL)
			deltas[(*n)++] = entry->delta;
		level->flushed = nest;
	}

	qsort(deltas, *n, sizeof(Delta *), compare_deltas);
	for (int i = 0, end; i < *n; i = end)
	{
		Delta	   *delta = deltas[i];

		end = i + 1;
		if (end < *n && deltas[end]->lead_id == delta->lead_id)
		{
			delta = delta_make(model, delta->lead_id);
			for (end = i; end < *n && deltas[end]->lead_id == delta->lead_id; end++)
				delta_merge(model, delta, deltas[end]);
		}
		deltas[kept++] = delta;
	}
	*n = kept;

	/* what the present subtransaction itself wrote cannot come back: it goes with the caller's memory */
	while (top && top->nest == nest)
	{
		Level	   *used = top;

		top = used->parent;
		MemoryContextSetParent(used->context, CurrentMemoryContext);
	}
	return deltas;
}

/*
 * The subtransaction at that nesting level was committed: what it did is its
 * parent's.  Levels of one nesting level are merged by the next write.
 */
static void
levels_release(int nest)
{
	for (Level **link = &top; *link;)
	{
		Level	   *level = *link;

		if (level->flushed == nest)
			level->flushed = nest - 1;
		if (level->nest == nest)
			level->nest = nest - 1;
		if (level->flushed && level->flushed == level->nest)
		{
			*link = level->parent;
			MemoryContextDelete(level->context);
		}
		else
			link = &level->parent;
	}
}

/* The subtransaction at that nesting level was rolled back. */
static void
levels_discard(int nest)
{
	while (top && top->nest >= nest)
	{
		Level	   *level = top;

		top = level->parent;
		MemoryContextDelete(level->context);
	}
	for (Level *level = top; level; level = level->parent)
	{
		if (level->flushed >= nest)
			level->flushed = 0;
	}
}

/* Forgets everything: there is nothing left that it could be written to. */
void
event_forget(void)
{
	levels_discard(0);
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	if (top == NULL)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		levels_release(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		levels_discard(GetCurrentTransactionNestLevel());
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			while (event_pending())
			{
				flush_hook();
				AfterTriggerFireDeferred();
			}
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			/* the memory goes with the transaction's */
			top = NULL;
			break;
		default:
			break;
	}
}

void
event_store_init(void (*flush) (void))
{
	flush_hook = flush;
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}
