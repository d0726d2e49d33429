/*-------------------------------------------------------------------------
 * leadflow.c
 *	  The module: calls each concept's init.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "calendar_store.h"
#include "config_cache.h"
#include "event_store.h"
#include "flush.h"
#include "guc.h"
#include "spi.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	guc_init();
	spi_init();
	config_cache_init();
	calendar_store_init();
	event_store_init(flush_finally);
}
