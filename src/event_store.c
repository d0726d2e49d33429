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
 * Limits: about 200 bytes a lead that was written to, until the end of the
 * transaction.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "event_store.h"

typedef struct Level
{
	int			nest;			/* nesting level of the subtransaction */
	int			flushed;		/* nesting level of the flush that used it up, 0 = none */
	uint64		generation;		/* of the model that sums go by */
	MemoryContext context;
	HTAB	   *deltas;
	struct Level *parent;
} Level;

static Level *top = NULL;
static void (*flush_hook) (void) = NULL;

static Size
delta_size(const Model *model)
{
	return offsetof(Delta, sums) + sizeof(double) * Max(model->ngroups, 1);
}

static void
delta_init(const Model *model, Delta *delta)
{
	delta->flags = 0;
	delta->last_at = DT_NOBEGIN;
	delta->last_engaged_at = DT_NOBEGIN;
	delta->last_touch_at = DT_NOBEGIN;
	delta->hand_raised_at = DT_NOBEGIN;
	delta->disqualified_at = DT_NOEND;
	delta->disqualified_by = 0;
	delta->trigger_at = DT_NOBEGIN;
	memset(delta->sums, 0, sizeof(double) * Max(model->ngroups, 1));
}

static void
delta_merge(const Model *model, Delta *into, const Delta *from)
{
	into->flags |= from->flags;
	points_merge(model, into->sums, &into->last_at, from->sums, from->last_at);
	into->last_engaged_at = Max(into->last_engaged_at, from->last_engaged_at);
	into->last_touch_at = Max(into->last_touch_at, from->last_touch_at);
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
												  ALLOCSET_DEFAULT_SIZES);
	Level	   *level = MemoryContextAllocZero(context, sizeof(Level));
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = delta_size(model), .hcxt = context};

	level->nest = nest;
	level->generation = model->generation;
	level->context = context;
	level->deltas = hash_create("leadflow deltas", 16, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	level->parent = top;
	top = level;
	return level;
}

/*
 * Sums of a level that another model was used for are void.  The entries are
 * sized for the old model's groups, so the table is made anew.
 */
static void
level_convert(const Model *model, Level *level)
{
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = delta_size(model), .hcxt = level->context};
	HTAB	   *deltas;
	HASH_SEQ_STATUS scan;
	Delta	   *old;

	if (level->generation == model->generation)
		return;
	deltas = hash_create("leadflow deltas", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	hash_seq_init(&scan, level->deltas);
	while ((old = hash_seq_search(&scan)) != NULL)
	{
		Delta	   *delta = hash_search(deltas, &old->lead_id, HASH_ENTER, NULL);

		delta_init(model, delta);
		delta->flags = old->flags | DELTA_RECOMPUTE;
		delta->trigger_at = old->trigger_at;
		delta->trigger = old->trigger;
	}
	hash_destroy(level->deltas);
	level->deltas = deltas;
	level->generation = model->generation;
}

/* Merges the top level into the one below it, which belongs to the same subtransaction. */
static void
level_merge(const Model *model)
{
	Level	   *level = top;
	HASH_SEQ_STATUS scan;
	Delta	   *delta;

	level_convert(model, level);
	level_convert(model, level->parent);
	hash_seq_init(&scan, level->deltas);
	while ((delta = hash_seq_search(&scan)) != NULL)
	{
		bool		found;
		Delta	   *into = hash_search(level->parent->deltas, &delta->lead_id, HASH_ENTER, &found);

		if (!found)
			delta_init(model, into);
		delta_merge(model, into, delta);
	}
	top = level->parent;
	MemoryContextDelete(level->context);
}

Delta *
event_delta(const Model *model, int64 lead_id)
{
	int			nest = GetCurrentTransactionNestLevel();
	Delta	   *delta;
	bool		found;

	while (top && top->parent && top->nest == top->parent->nest && !top->parent->flushed)
		level_merge(model);
	if (top == NULL || top->nest != nest || top->flushed)
		level_make(model, nest);
	level_convert(model, top);
	delta = hash_search(top->deltas, &lead_id, HASH_ENTER, &found);
	if (!found)
		delta_init(model, delta);
	return delta;
}

bool
event_pending(void)
{
	for (Level *level = top; level; level = level->parent)
	{
		if (!level->flushed && hash_get_num_entries(level->deltas) > 0)
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
		Delta	   *delta;

		if (level->flushed)
			continue;
		level_convert(model, level);
		delta = hash_search(level->deltas, &lead_id, HASH_FIND, NULL);
		if (delta == NULL)
			continue;
		if (result == NULL)
		{
			result = palloc(delta_size(model));
			result->lead_id = lead_id;
			delta_init(model, result);
		}
		delta_merge(model, result, delta);
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
	long		total = 0;
	int			kept = 0;
	Delta	  **deltas;

	*n = 0;
	for (Level *level = top; level; level = level->parent)
	{
		if (!level->flushed)
			total += hash_get_num_entries(level->deltas);
	}
	if (total == 0)
		return NULL;

	deltas = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Delta *) * total);
	for (Level *level = top; level; level = level->parent)
	{
		HASH_SEQ_STATUS scan;
		Delta	   *delta;

		if (level->flushed)
			continue;
		level_convert(model, level);
		hash_seq_init(&scan, level->deltas);
		while ((delta = hash_seq_search(&scan)) != NULL)
		{
			Delta	   *copy = palloc(delta_size(model));

			memcpy(copy, delta, delta_size(model));
			deltas[(*n)++] = copy;
		}
		level->flushed = nest;
	}

	/* what the present subtransaction itself wrote cannot come back */
	while (top && top->nest == nest)
	{
		Level	   *used = top;

		top = used->parent;
		MemoryContextDelete(used->context);
	}

	qsort(deltas, *n, sizeof(Delta *), compare_deltas);
	for (int i = 0; i < *n; i++)
	{
		if (kept > 0 && deltas[kept - 1]->lead_id == deltas[i]->lead_id)
			delta_merge(model, deltas[kept - 1], deltas[i]);
		else
			deltas[kept++] = deltas[i];
	}
	*n = kept;
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
