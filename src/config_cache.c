/*-------------------------------------------------------------------------
 * config_cache.c
 *	  One flag for each part of the configuration: has it changed?
 *
 * The callback does no catalog access.  A part is loaded at the latest
 * snapshot, so that a session in REPEATABLE READ or SERIALIZABLE does not keep an old one for
 * its later transactions, nor write by it; it becomes valid as the last step, so that an error while
 * loading leaves nothing half done, and a change that arrives while loading
 * leaves it stale.  What an aborted transaction changed is invalidated again
 * by core when it aborts, if it was announced; if not, see below.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "config_cache.h"
#include "spi.h"

static ConfigPart *parts = NULL;

static void
relation_changed(Datum arg, Oid relid)
{
	for (ConfigPart *part = parts; part; part = part->next)
	{
		if (!OidIsValid(relid))
			part->stale = true;
		for (int i = 0; !part->stale && i < (int) lengthof(part->relids) && part->tables[i]; i++)
		{
			if (part->relids[i] == relid)
				part->stale = true;
		}
	}
}

/*
 * A part that was loaded after this transaction had written may hold what
 * nobody will ever see: a statement that fails does not get to announce its
 * changes, and so nothing is invalidated when it is rolled back.
 */
static void
forget_uncommitted(bool aborted)
{
	for (ConfigPart *part = parts; aborted && part; part = part->next)
		part->stale |= part->among_writes;
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		forget_uncommitted(true);
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE || event == XACT_EVENT_COMMIT)
	{
		for (ConfigPart *part = parts; part; part = part->next)
			part->among_writes = false;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mySubid, SubTransactionId parentSubid, void *arg)
{
	forget_uncommitted(event == SUBXACT_EVENT_ABORT_SUB);
}

void *
config_get(ConfigPart *part)
{
	MemoryContext context;
	MemoryContext caller;
	EngineContext engine;
	bool		outer = engine_reads_latest;
	void	   *data;

	if (part->context && !part->stale)
		return part->data;

	if (!part->registered)
	{
		part->registered = true;
		part->next = parts;
		parts = part;
	}
	for (int i = 0; part->tables[i]; i++)
		part->relids[i] = engine_relation(part->tables[i]);

	part->stale = false;
	part->among_writes |= TransactionIdIsValid(GetTopTransactionIdIfAny());
	context = AllocSetContextCreate(CacheMemoryContext, "leadflow configuration", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSetIdentifier(context, part->name);
	PG_TRY();
	{
		engine_enter(&engine);
		caller = MemoryContextSwitchTo(context);
		engine_reads_latest = true;
		data = part->load();
		engine_reads_latest = outer;
		MemoryContextSwitchTo(caller);
		engine_leave(&engine);
	}
	PG_CATCH();
	{
		engine_reads_latest = outer;
		part->stale = true;
		MemoryContextDelete(context);
		PG_RE_THROW();
	}
	PG_END_TRY();

	/* whoever still holds the old one does so no longer than this transaction */
	if (part->context)
		MemoryContextSetParent(part->context, TopTransactionContext);
	part->context = context;
	part->data = data;
	return data;
}

/* _config_changed() → trigger, on every table of the configuration */
PG_FUNCTION_INFO_V1(leadflow_config_changed);
Datum
leadflow_config_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "_config_changed")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);

	/*
	 * This session hears of it with the next command that wrote something: let
	 * that be now.  A trigger of the rows may have ended the statement's own
	 * command, and those that come after this one go by the configuration.
	 */
	(void) GetCurrentCommandId(true);
	CommandCounterIncrement();
	return PointerGetDatum(NULL);
}

void
config_cache_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}
