/*-------------------------------------------------------------------------
 * config_cache.h
 *	  One flag for each part of the configuration: has it changed?
 *
 * A part is compiled by whoever needs it (the scoring model, the stages, …)
 * into a memory context of its own.  The statement trigger _config_changed()
 * on each configuration table sends a relcache invalidation of that table; the
 * callback, registered in every backend, only raises the flags of the parts
 * that the table belongs to.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CONFIG_CACHE_H
#define LEADFLOW_CONFIG_CACHE_H

#include "postgres.h"

typedef struct ConfigPart
{
	const char *name;			/* name of its memory context */
	const char *const *tables;	/* in schema leadflow, NULL at the end */
	void	   *(*load) (void); /* compiles into CurrentMemoryContext; called as the engine */
	/* private to config_cache.c */
	Oid			relids[12];
	MemoryContext context;
	void	   *data;
	bool		stale;
	bool		registered;
	bool		among_writes;	/* loaded in a transaction that had written */
	struct ConfigPart *next;
} ConfigPart;

extern void config_cache_init(void);

/*
 * The compiled part, loaded when it is missing or stale.  The pointer stays
 * good until the end of the transaction.
 */
extern void *config_get(ConfigPart *part);

#endif							/* LEADFLOW_CONFIG_CACHE_H */
