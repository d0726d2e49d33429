/*-------------------------------------------------------------------------
 * notification.c
 *	  Entry points of those who send notifications.
 *
 * Each checks its arguments; outbox_claim.c says how order and leases work.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "outbox.h"
#include "spi.h"

/* Nobody can work on more at a time. */
#define MAX_CLAIM	10000

/* The end of a lease that begins now. */
static TimestampTz
lease_end(const Interval *lease)
{
	int64		days = lease->day;
	int64		usecs;

	if (lease->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lease must not have months or years"),
				 errhint("Give it in seconds or minutes: longer than the work takes.")));
	if (days > 366 || lease->time > INT64CONST(366) * USECS_PER_DAY ||
		days < -366 || lease->time < INT64CONST(-366) * USECS_PER_DAY ||
		(usecs = days * USECS_PER_DAY + lease->time) <= 0 || usecs > INT64CONST(366) * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lease must be longer than nothing and no longer than 366 days"),
				 errhint("Give it in seconds or minutes: longer than the work takes.")));
	return clock_wall() + usecs;
}

/* claim_notifications(n, consumer, lease, only_channel) → the notifications, the oldest first */
PG_FUNCTION_INFO_V1(leadflow_notification_claim);
Datum
leadflow_notification_claim(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz until;
	const char *consumer;
	int			n;

	require_argument(fcinfo, 0, "the number of notifications to claim");
	require_argument(fcinfo, 1, "the consumer");
	require_argument(fcinfo, 2, "the lease");
	n = PG_GETARG_INT32(0);
	consumer = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (n < 1 || n > MAX_CLAIM)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("between 1 and %d notifications can be claimed at a time", MAX_CLAIM),
				 errdetail("%d were asked for.", n)));
	if (*consumer == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a consumer must have a name"),
				 errhint("notifications.claimed_by shows it: host and process, say.")));
	until = lease_end(PG_GETARG_INTERVAL_P(2));

	InitMaterializedSRF(fcinfo, 0);
	outbox_claim(n, PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)), consumer, until,
				 result->setResult);
	return (Datum) 0;
}

/* ack_notifications(ids) → integer */
PG_FUNCTION_INFO_V1(leadflow_notification_ack);
Datum
leadflow_notification_ack(PG_FUNCTION_ARGS)
{
	IdSet		ids;

	require_argument(fcinfo, 0, "the ids");
	ids = array_ids(PG_GETARG_ARRAYTYPE_P(0));
	PG_RETURN_INT32((int32) outbox_ack(&ids));
}

/* fail_notification(id, error) → timestamptz */
PG_FUNCTION_INFO_V1(leadflow_notification_fail);
Datum
leadflow_notification_fail(PG_FUNCTION_ARGS)
{
	TimestampTz next;

	require_argument(fcinfo, 0, "the id");
	require_argument(fcinfo, 1, "the error");
	next = outbox_fail(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (TIMESTAMP_IS_NOEND(next))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}

/* retry_notifications(ids) → integer */
PG_FUNCTION_INFO_V1(leadflow_notification_retry);
Datum
leadflow_notification_retry(PG_FUNCTION_ARGS)
{
	IdSet		ids;

	if (PG_ARGISNULL(0))
		PG_RETURN_INT32((int32) outbox_revive(NULL));
	ids = array_ids(PG_GETARG_ARRAYTYPE_P(0));
	PG_RETURN_INT32((int32) outbox_revive(&ids));
}
