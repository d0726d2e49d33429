/*-------------------------------------------------------------------------
 * promise_store.c
 *	  Promises as people write them: versions of one name, and who agreed.
 *
 * Rows of sla_policies with one name are versions of one promise: of one
 * metric, and valid one after the other.  Whoever writes the table takes turns
 * (_sla_policies_lock()), and the rows are looked at after the statement, at
 * the latest snapshot at every isolation level: so nobody overlooks what
 * another session has written, and one statement may swap versions or move the
 * boundary between them.  An exclusion constraint would see the overlap, but
 * not the other metric; it would have to go by a hash of the name, which no
 * message should show, and be deferrable, which ON CONFLICT DO NOTHING is
 * refused on.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "promise_store.h"
#include "spi.h"

void
promise_check_versions(int64 id, Datum name, Datum metric, Datum valid)
{
	static EngineStatement statement = {
		"SELECT p.id, CASE WHEN p.metric <> $3 THEN p.metric END, p.valid::text, $4::text"
		" FROM leadflow.sla_policies p"
		" WHERE p.name = $2 AND p.id <> $1 AND (p.metric <> $3 OR p.valid && $4)"
		" ORDER BY p.metric <> $3 DESC, p.id LIMIT 1",
		4, {INT8OID, TEXTOID, TEXTOID, TSTZRANGEOID}
	};
	Datum		values[4] = {Int64GetDatum(id), name, metric, valid};
	EngineContext engine;

	engine_enter(&engine);
	CommandCounterIncrement();
	if (engine_query_at(&statement, values, NULL, GetLatestSnapshot()) > 0)
	{
		char	   *other_metric = spi_text(0, 2);

		if (other_metric)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("service level \"%s\" has metric %s in another version",
							TextDatumGetCString(name), other_metric),
					 errdetail("Policy %lld has it; policy %lld was to have metric %s.",
							   (long long) spi_int64(0, 1), (long long) id, TextDatumGetCString(metric)),
					 errhint("Give what measures something else a name of its own."),
					 err_column_constraint("sla_policies", "metric", "sla_policies_versions")));
		ereport(ERROR,
				(errcode(ERRCODE_EXCLUSION_VIOLATION),
				 errmsg("versions of service level \"%s\" overlap", TextDatumGetCString(name)),
				 errdetail("Policy %lld is valid in %s, policy %lld was to be in %s.",
						   (long long) spi_int64(0, 1), spi_text(0, 3), (long long) id, spi_text(0, 4)),
				 errhint("End the earlier one first, in column valid; leadflow.change_policy() ends it and begins the next."),
				 err_column_constraint("sla_policies", "valid", "sla_policies_versions")));
	}
	engine_leave(&engine);
}

void
promise_withdraw(int64 id)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.sla_approvals WHERE policy_id = $1",
		1, {INT8OID}
	};
	Datum		value = Int64GetDatum(id);
	EngineContext engine;

	engine_enter(&engine);
	(void) engine_execute(&statement, &value, NULL);
	engine_leave(&engine);
}
