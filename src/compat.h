/*-------------------------------------------------------------------------
 * compat.h
 *	  The one place for differences between PostgreSQL 15 to 18.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_COMPAT_H
#define LEADFLOW_COMPAT_H

#include "postgres.h"
#include "utils/guc.h"

#if PG_VERSION_NUM < 150000
#error "leadflow needs PostgreSQL 15 or later"
#endif

/* Memory that GUC hooks hand over: malloc until 15, guc_malloc since. */
#if PG_VERSION_NUM >= 160000
#define guc_alloc(size) guc_malloc(LOG, size)
#define guc_copy(s) guc_strdup(LOG, s)
#define guc_release(p) guc_free(p)
#else
#define guc_alloc(size) malloc(size)
#define guc_copy(s) strdup(s)
#define guc_release(p) free(p)
#endif

#if PG_VERSION_NUM >= 180000
#define RelationGetPrimaryKeyIndex_compat(rel) RelationGetPrimaryKeyIndex(rel, false)
#define index_beginscan_compat(heap, index, snapshot, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, norderbys)
#else
#define RelationGetPrimaryKeyIndex_compat(rel) RelationGetPrimaryKeyIndex(rel)
#define index_beginscan_compat(heap, index, snapshot, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)
#endif

#if PG_VERSION_NUM >= 160000
#define DecodeDateTime_compat(field, ftype, nf, dtype, tm, fsec, tzp) \
	({ DateTimeErrorExtra error_extra; \
	   DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tzp, &error_extra); })
#else
#define DecodeDateTime_compat(field, ftype, nf, dtype, tm, fsec, tzp) \
	DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tzp)
#endif

/* Did an update make new index entries necessary? */
#if PG_VERSION_NUM >= 160000
#define UpdateIndexes TU_UpdateIndexes
#define update_needs_indexes(u) ((u) != TU_None)
#define ExecInsertIndexTuples_compat(info, slot, estate, u) \
	ExecInsertIndexTuples(info, slot, estate, true, false, NULL, NIL, (u) == TU_Summarizing)
#define ExecInsertIndexTuples_new(info, slot, estate) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL, false)
#else
#define UpdateIndexes bool
#define update_needs_indexes(u) (u)
#define ExecInsertIndexTuples_compat(info, slot, estate, u) \
	ExecInsertIndexTuples(info, slot, estate, true, false, NULL, NIL)
#define ExecInsertIndexTuples_new(info, slot, estate) \
	ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL)
#endif

/* Since 16, and in some later minor releases of 15. */
#ifndef palloc_array
#define palloc_array(type, count) ((type *) palloc(sizeof(type) * (count)))
#define palloc0_array(type, count) ((type *) palloc0(sizeof(type) * (count)))
#endif

#endif							/* LEADFLOW_COMPAT_H */
