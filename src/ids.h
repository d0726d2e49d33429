/*-------------------------------------------------------------------------
 * ids.h
 *	  Sets of ids: arrays, sorted, without duplicates.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_IDS_H
#define LEADFLOW_IDS_H

#include "postgres.h"

typedef struct IdSet
{
	int64	   *ids;
	int			n;
	int			room;
} IdSet;

static inline int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/* Adds at the end; call ids_sort() when all are in. */
static inline void
ids_add(IdSet *set, int64 id)
{
	if (set->n == set->room)
	{
		set->room = Max(16, set->room * 2);
		set->ids = set->ids ? repalloc_huge(set->ids, sizeof(int64) * set->room)
			: palloc(sizeof(int64) * set->room);
	}
	set->ids[set->n++] = id;
}

static inline void
ids_sort(IdSet *set)
{
	int			kept = 0;

	if (set->n == 0)
		return;
	qsort(set->ids, set->n, sizeof(int64), compare_ids);
	for (int i = 1; i < set->n; i++)
	{
		if (set->ids[i] != set->ids[kept])
			set->ids[++kept] = set->ids[i];
	}
	set->n = kept + 1;
}

static inline bool
ids_contain(const IdSet *set, int64 id)
{
	return set->n > 0 && bsearch(&id, set->ids, set->n, sizeof(int64), compare_ids) != NULL;
}

/* Is every member of a one of b, too? */
static inline bool
ids_within(const IdSet *a, const IdSet *b)
{
	for (int i = 0; i < a->n; i++)
	{
		if (!ids_contain(b, a->ids[i]))
			return false;
	}
	return true;
}

#endif							/* LEADFLOW_IDS_H */
