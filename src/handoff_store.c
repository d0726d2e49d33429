/*-------------------------------------------------------------------------
 * handoff_store.c
 *	  Rows of handoffs, queues and whose turn it is.
 *
 * Owns the statements on handoffs, queues, queue_members, queue_state and
 * routing_rules.  The lock of a queue's row guards its queue_state: it is only locked,
 * never updated, so waiting for it fails in no isolation level but SERIALIZABLE.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "handoff_store.h"
#include "row_lock.h"
#include "spi.h"
#include "stage_store.h"

/* Of what these statements return, lead by lead; both in id order. */
static int64
id_of(int64 lead_id, uint64 nrows, uint64 *next)
{
	while (*next < nrows && spi_int64(*next, 1) < lead_id)
		(*next)++;
	return *next < nrows && spi_int64(*next, 1) == lead_id ? spi_int64(*next, 2) : 0;
}

void
handoff_open(Handoff *handoffs, int n)
{
	static EngineStatement open = {
		"WITH o AS (INSERT INTO leadflow.handoffs"
		"  (lead_id, offered_at, owner_id, queue, why, decided_at, decision)"
		"  SELECT lead_id, at, nullif(owner_id, 0), queue, why,"
		"   CASE WHEN decision IS NOT NULL THEN at END, decision"
		"  FROM unnest($1, $2, $3, $4, $5, $6) m (lead_id, at, owner_id, queue, why, decision)"
		"  RETURNING lead_id, id)"
		" SELECT lead_id, id FROM o ORDER BY lead_id",
		6, {
			INT8ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, TEXTARRAYOID,
			TEXTARRAYOID, TEXTARRAYOID
		}
	};
	int64	   *leads = palloc_array(int64, n);
	TimestampTz *at = palloc_array(TimestampTz, n);
	int64	   *owners = palloc_array(int64, n);
	const char **queues = palloc_array(const char *, n);
	const char **why = palloc_array(const char *, n);
	const char **decisions = palloc_array(const char *, n);
	EngineContext engine;
	Datum		values[6];
	uint64		nrows;
	uint64		next = 0;

	for (int i = 0; i < n; i++)
	{
		leads[i] = handoffs[i].lead_id;
		at[i] = handoffs[i].offered_at;
		owners[i] = handoffs[i].owner_id;
		queues[i] = handoffs[i].queue;
		why[i] = handoffs[i].why;
		decisions[i] = handoffs[i].decision;
	}
	values[0] = int8_array(leads, n);
	values[1] = time_array(at, n);
	values[2] = int8_array(owners, n);
	values[3] = text_array(queues, n);
	values[4] = text_array(why, n);
	values[5] = text_array(decisions, n);
	engine_enter(&engine);
	nrows = engine_execute(&open, values, NULL);
	for (int i = 0; i < n; i++)
		handoffs[i].id = id_of(handoffs[i].lead_id, nrows, &next);
	engine_leave(&engine);
}

void
handoff_decide(const int64 *leads, const TimestampTz *at, const char *const *decisions, int n,
			   int64 *ids)
{
	static EngineStatement decide = {
		/* a decision that is dated back is not made before there was what it decides */
		"WITH d AS (UPDATE leadflow.handoffs SET decided_at = greatest(offered_at, $2), decision = $3"
		"  WHERE lead_id = ANY ($1) AND decided_at IS NULL RETURNING lead_id, id)"
		" SELECT lead_id, max(id) FROM d GROUP BY lead_id ORDER BY lead_id",
		3, {INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID}
	};
	int64	   *batch = palloc_array(int64, n);
	EngineContext engine;

	engine_enter(&engine);
	for (int i = 0; i < n;)
	{
		Datum		values[3];
		int			first = i;
		uint64		nrows;
		uint64		next = 0;

		/* one statement for neighbours of whom the same is to be written */
		do
			batch[i - first] = leads[i];
		while (++i < n && at[i] == at[first] && strcmp(decisions[i], decisions[first]) == 0);
		values[0] = int8_array(batch, i - first);
		values[1] = TimestampTzGetDatum(at[first]);
		values[2] = CStringGetTextDatum(decisions[first]);
		nrows = engine_execute(&decide, values, NULL);
		for (int j = first; j < i; j++)
			ids[j] = id_of(leads[j], nrows, &next);
	}
	engine_leave(&engine);
}

/* The first rule that asks for nothing, else the oldest queue. */
HandoffTarget
handoff_target(void)
{
	static EngineStatement target = {
		"(SELECT r.queue_id, q.name, r.assignee_id, r.name FROM leadflow.routing_rules r"
		"  LEFT JOIN leadflow.queues q ON q.id = r.queue_id"
		"  LEFT JOIN leadflow.team_members m ON m.id = r.assignee_id"
		"  WHERE r.condition IS NULL AND (r.assignee_id IS NULL OR m.active)"
		"  ORDER BY r.position, r.id LIMIT 1)"
		" UNION ALL"
		" (SELECT q.id, q.name, NULL, NULL FROM leadflow.queues q ORDER BY q.id LIMIT 1)"
		" LIMIT 1"
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	HandoffTarget found = {0};

	engine_enter(&engine);
	if (engine_query(&target, NULL, NULL) > 0)
	{
		MemoryContextSwitchTo(caller);
		found.queue_id = spi_int64(0, 1);
		found.queue = spi_text(0, 2);
		found.assignee_id = spi_int64(0, 3);
		found.rule = spi_text(0, 4);
	}
	engine_leave(&engine);
	return found;
}

/*
 * A queue without members is every active member of sales.  Weight 0 takes no
 * part.
 */
RoutingMember *
queue_enter(int64 queue_id, int *n)
{
	static EngineStatement available = {
		"SELECT m.id, coalesce(q.weight, m.weight)::bigint, coalesce(s.credit, 0)"
		" FROM leadflow.team_members m"
		" LEFT JOIN leadflow.queue_members q ON q.queue_id = $1 AND q.member_id = m.id"
		" LEFT JOIN leadflow.queue_state s ON s.queue_id = $1 AND s.member_id = m.id"
		" WHERE m.active AND coalesce(q.weight, m.weight) > 0"
		"  AND CASE WHEN EXISTS (SELECT FROM leadflow.queue_members e WHERE e.queue_id = $1)"
		"   THEN q.member_id IS NOT NULL ELSE m.team = 'sales' END"
		" ORDER BY m.id",
		1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	RoutingMember *members;
	Datum		value = Int64GetDatum(queue_id);

	/* in this order: what is read must be what the one before left */
	(void) row_lock_named("queues", queue_id, LockTupleNoKeyExclusive);
	engine_enter(&engine);
	*n = (int) engine_query(&available, &value, NULL);
	MemoryContextSwitchTo(caller);
	members = palloc0_array(RoutingMember, *n + 1);
	for (int i = 0; i < *n; i++)
	{
		members[i].member_id = spi_int64(i, 1);
		members[i].weight = spi_int64(i, 2);
		members[i].credit = spi_int64(i, 3);
	}
	engine_leave(&engine);
	if (*n)
		routing_balance(members, *n);
	return members;
}

/* Who takes no part any more loses what was due: nobody catches up later. */
void
queue_leave(int64 queue_id, const RoutingMember *members, int n)
{
	static EngineStatement forget = {
		"DELETE FROM leadflow.queue_state WHERE queue_id = $1 AND member_id <> ALL ($2)",
		2, {INT8OID, INT8ARRAYOID}
	};
	static EngineStatement keep = {
		"INSERT INTO leadflow.queue_state (queue_id, member_id, credit)"
		" SELECT $1, m.member_id, m.credit FROM unnest($2, $3) m (member_id, credit)"
		" ON CONFLICT (queue_id, member_id) DO UPDATE SET credit = excluded.credit"
		"  WHERE queue_state.credit <> excluded.credit",
		3, {INT8OID, INT8ARRAYOID, INT8ARRAYOID}
	};
	int64	   *ids = palloc_array(int64, n);
	int64	   *credits = palloc_array(int64, n);
	EngineContext engine;
	Datum		values[3];

	for (int i = 0; i < n; i++)
	{
		ids[i] = members[i].member_id;
		credits[i] = members[i].credit;
	}
	values[0] = Int64GetDatum(queue_id);
	values[1] = int8_array(ids, n);
	values[2] = int8_array(credits, n);
	engine_enter(&engine);
	(void) engine_execute(&forget, values, NULL);
	(void) engine_execute(&keep, values, NULL);
	engine_leave(&engine);
}
