/*-------------------------------------------------------------------------
 * sweep_store.c
 *	  What the sweep finds due: clocks to announce, leads whose day has come.
 *
 * What was announced (sla_clocks.warned_at, breached_at) is memory, not derived; the
 * state of a clock that still runs goes by it.
 *
 * The sweep locks the leads' state rows as everybody who settles clocks does, but skips
 * those that somebody has, so it never waits and nobody deadlocks with it; what it skips
 * it finds next time.  It checks each clock again when it writes.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "outbox.h"
#include "spi.h"
#include "sweep_store.h"

#define ANNOUNCE_BATCH 1000

/* Columns of what a portion returns: of itself, then of each clock that was announced. */
enum
{
	TOLD_SEEN = 1,
	TOLD_LAST_DUE,
	TOLD_LAST_ID,
	TOLD_CLOCK,
	TOLD_LEAD,
	TOLD_MEMBER,
	TOLD_QUEUE,
	TOLD_POLICY,
	TOLD_METRIC,
	TOLD_TEAM,
	TOLD_ON_BREACH,
	TOLD_STARTED_AT,
	TOLD_DUE_AT,
	TOLD_AT
};

/* Tells of the clocks of a portion: the member who has it, else the queue that it waits in. */
static void
tell_announced(const char *event, uint64 n)
{
	Notice	   *notices = palloc0_array(Notice, n + 1);
	int			count = 0;

	for (uint64 r = 0; r < n; r++)
	{
		Notice	   *notice = &notices[count];
		StringInfoData details;
		bool		isnull;

		if (spi_int64(r, TOLD_CLOCK) == 0)
			continue;
		details_begin(&details);
		details_id(&details, "clock_id", spi_int64(r, TOLD_CLOCK));
		details_text(&details, "policy", spi_text(r, TOLD_POLICY));
		details_text(&details, "metric", spi_text(r, TOLD_METRIC));
		details_time(&details, "started_at", DatumGetTimestampTz(spi_value(r, TOLD_STARTED_AT, &isnull)));
		details_time(&details, "due_at", DatumGetTimestampTz(spi_value(r, TOLD_DUE_AT, &isnull)));
		details_text(&details, "on_breach", spi_text(r, TOLD_ON_BREACH));
		notice->lead_id = spi_int64(r, TOLD_LEAD);
		notice->event = event;
		notice->recipient_id = spi_int64(r, TOLD_MEMBER);
		notice->queue = spi_text(r, TOLD_QUEUE);
		notice->team = spi_text(r, TOLD_TEAM);
		notice->at = DatumGetTimestampTz(spi_value(r, TOLD_AT, &isnull));
		notice->details = details_end(&details);
		count++;
	}
	outbox_add(notices, count);
}

/*
 * Announces in portions along the index, (instant, id) by (instant, id): what
 * is due is found without a look at what isn't, however stale the statistics,
 * and clocks of leads that somebody has locked don't hold up the rest.  Returns warned or
 * breached clocks, and those of them whose policy says notify.
 */
static void
announce(EngineStatement *statement, const char *event, TimestampTz at, int64 *announced, int64 *notified)
{
	Datum		values[4];
	int64		seen;

	values[0] = TimestampTzGetDatum(at);
	values[1] = TimestampTzGetDatum(DT_NOBEGIN);
	values[2] = Int64GetDatum(0);
	values[3] = Int64GetDatum(ANNOUNCE_BATCH);
	do
	{
		SPITupleTable *rows;
		uint64		n;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		n = engine_execute(statement, values, NULL);
		rows = SPI_tuptable;
		seen = spi_int64(0, TOLD_SEEN);
		if (seen == ANNOUNCE_BATCH)
		{
			values[1] = spi_value(0, TOLD_LAST_DUE, &isnull);
			values[2] = spi_value(0, TOLD_LAST_ID, &isnull);
		}
		for (uint64 r = 0; r < n; r++)
		{
			char	   *on_breach = spi_text(r, TOLD_ON_BREACH);

			*announced += spi_int64(r, TOLD_CLOCK) != 0;
			*notified += on_breach && strcmp(on_breach, "notify") == 0;
		}
		tell_announced(event, n);
		SPI_freetuptable(rows);
	} while (seen == ANNOUNCE_BATCH);
}

#define ANNOUNCE_SQL(due, still, change) \
	"WITH portion AS MATERIALIZED (" \
	"  SELECT c.id, c.lead_id, c." due " AS due FROM leadflow.sla_clocks c" \
	"  WHERE " still " AND (c." due ", c.id) > ($2, $3)" \
	"  ORDER BY c." due ", c.id LIMIT $4)," \
	" locked AS MATERIALIZED (" \
	"  SELECT p.id FROM portion p JOIN leadflow.score_state s ON s.lead_id = p.lead_id" \
	"  ORDER BY p.lead_id FOR NO KEY UPDATE OF s SKIP LOCKED)," \
	" told AS (" \
	"  UPDATE leadflow.sla_clocks c SET " change \
	"  FROM locked WHERE c.id = locked.id AND " still \
	"  RETURNING c.id, c.lead_id, c.policy_id, c.metric, c.member_id, c.handoff_id, c.started_at, c.due_at, c." due " AS at)" \
	" SELECT s.seen, s.due, s.id, t.id, t.lead_id, t.member_id, t.queue, t.name, t.metric, t.team, t.on_breach," \
	"  t.started_at, t.due_at, t.at" \
	" FROM (SELECT count(*) AS seen, max(due) AS due," \
	"  (SELECT id FROM portion ORDER BY due DESC, id DESC LIMIT 1) AS id FROM portion) s" \
	" LEFT JOIN (SELECT told.*, h.queue, p.name, p.team, p.on_breach FROM told" \
	"  JOIN leadflow.sla_policies p ON p.id = told.policy_id" \
	"  LEFT JOIN leadflow.handoffs h ON h.id = told.handoff_id) t ON true ORDER BY t.lead_id, t.at, t.id"

Announced
sweep_announce(TimestampTz at)
{
	/* also those that were stopped since, but too late */
	static EngineStatement breaches = {
		ANNOUNCE_SQL("due_at",
					 "c.due_at < $1 AND c.breached_at IS NULL AND c.state IN ('running', 'warning', 'breached')",
					 "state = 'breached', breached_at = $1"),
		4, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	};
	/* a warning after the breach would help nobody */
	static EngineStatement warnings = {
		ANNOUNCE_SQL("warn_at",
					 "c.warn_at <= $1 AND c.due_at >= $1 AND c.state = 'running'",
					 "state = 'warning', warned_at = $1"),
		4, {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID}
	};
	Announced	announced = {0};
	int64		ignored = 0;
	EngineContext engine;

	engine_enter(&engine);
	engine_plan_by_index();
	announce(&breaches, "sla.breached", at, &announced.breached, &announced.escalated);
	announce(&warnings, "sla.warning", at, &announced.warned, &ignored);
	engine_leave(&engine);
	return announced;
}

/*
 * A site that has deleted the system's move from nurture to lead doesn't want
 * it.  Leads that somebody is working on are left for the next sweep.
 */
int64 *
sweep_revisits(TimestampTz at, int *n)
{
	static EngineStatement statement = {
		"SELECT l.id FROM leadflow.leads l"
		" WHERE l.stage = 'nurture' AND l.revisit_on <="
		"  (SELECT ($1 AT TIME ZONE s.time_zone)::date FROM leadflow.settings s)"
		" AND EXISTS (SELECT FROM leadflow.stage_transitions t"
		"  WHERE t.from_stage = 'nurture' AND t.to_stage = 'lead' AND 'system' = ANY (t.teams))"
		" ORDER BY l.id FOR NO KEY UPDATE OF l SKIP LOCKED",
		1, {TIMESTAMPTZOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	Datum		value = TimestampTzGetDatum(at);
	EngineContext engine;
	int64	   *leads;

	engine_enter(&engine);
	*n = (int) engine_execute(&statement, &value, NULL);
	leads = MemoryContextAlloc(caller, sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		leads[i] = spi_int64(i, 1);
	engine_leave(&engine);
	return leads;
}
