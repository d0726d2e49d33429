/*-------------------------------------------------------------------------
 * visible.c
 *	  Which leads the caller may see.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "spi.h"
#include "visible.h"

bool
lead_visible(int64 lead_id)
{
	static SPIPlanPtr plan = NULL;
	Oid			leads = engine_relation("leads");
	Datum		id = Int64GetDatum(lead_id);
	bool		found;

	if (!OidIsValid(leads))
		return false;
	if (pg_class_aclcheck(leads, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, "leads");
	if (check_enable_rls(leads, InvalidOid, true) != RLS_ENABLED)
		return true;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (plan == NULL)
	{
		Oid			types[1] = {INT8OID};

		plan = SPI_prepare("SELECT FROM leadflow.leads WHERE id OPERATOR(pg_catalog.=) $1", 1, types);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "SPI_prepare failed");
	}
	if (SPI_execute_snapshot(plan, &id, NULL, GetActiveSnapshot(), InvalidSnapshot,
							 true, false, 1) < 0)
		elog(ERROR, "SPI_execute_snapshot failed");
	found = SPI_processed > 0;
	SPI_finish();
	return found;
}
