/*-------------------------------------------------------------------------
 * outbox.c
 *	  Notifications, written in the transaction of what they tell.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "outbox.h"
#include "spi.h"
#include "stage_store.h"

void
outbox_add(const Notice *notices, int n)
{
	static EngineStatement add = {
		"INSERT INTO leadflow.notifications (lead_id, event, recipient_id, queue, team, payload, created_at, next_attempt_at)"
		" SELECT lead_id, event, nullif(recipient_id, 0), queue, team,"
		"  jsonb_build_object('at', at) || coalesce(details::jsonb, '{}'), $8, $8"
		" FROM unnest($1, $2, $3, $4, $5, $6, $7) m (lead_id, event, recipient_id, queue, team, at, details)",
		8, {
			INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			TIMESTAMPTZARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID
		}
	};
	int64	   *leads = palloc_array(int64, n + 1);
	const char **events = palloc_array(const char *, n + 1);
	int64	   *recipients = palloc_array(int64, n + 1);
	const char **queues = palloc_array(const char *, n + 1);
	const char **teams = palloc_array(const char *, n + 1);
	TimestampTz *at = palloc_array(TimestampTz, n + 1);
	const char **details = palloc_array(const char *, n + 1);
	EngineContext engine;
	Datum		values[8];

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		leads[i] = notices[i].lead_id;
		events[i] = notices[i].event;
		recipients[i] = notices[i].recipient_id;
		queues[i] = notices[i].queue;
		teams[i] = notices[i].team;
		at[i] = notices[i].at;
		details[i] = notices[i].details;
	}
	values[0] = int8_array(leads, n);
	values[1] = text_array(events, n);
	values[2] = int8_array(recipients, n);
	values[3] = text_array(queues, n);
	values[4] = text_array(teams, n);
	values[5] = time_array(at, n);
	values[6] = text_array(details, n);
	values[7] = TimestampTzGetDatum(clock_wall());
	engine_enter(&engine);
	(void) engine_execute(&add, values, NULL);
	engine_leave(&engine);
}

void
outbox_moves(const Move *moves, int n)
{
}

void
outbox_reassigned(const Move *moves, int n)
{
}
