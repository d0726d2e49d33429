/*-------------------------------------------------------------------------
 * stage_store.c
 *	  The lifecycle as configured, the engine's updates of leads, and the
 *	  history of stages.
 *
 * Owns the statements on leads, stage_history and the tables of the lifecycle.
 * A batch is one statement wherever its rows say the same, whatever its size.  It
 * is never joined as unnest(): a plan that was made when the tables were empty reads
 * them once for each row of the batch.  "= ANY (array)" on an index leaves the planner
 * no choice.
 *
 * The engine's own UPDATE of leads fires the same triggers as a client's.
 * They know it by the trigger depth at which it must arrive: what a site's
 * trigger does meanwhile arrives one deeper, and is judged as the client's.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "clock_rows.h"
#include "columns.h"
#include "compat.h"
#include "config_cache.h"
#include "errors.h"
#include "row_lock.h"
#include "spi.h"
#include "stage_store.h"
#include "table_insert.h"

/* Of so many an index is asked for each; more are one statement. */
#define FEW_LEADS 16

/* ---- arrays ----------------------------------------------------------------- */

Datum
text_array(const char *const *values, int n)
{
	Datum	   *elements = palloc0_array(Datum, n + 1);
	bool	   *nulls = palloc0_array(bool, n + 1);
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		nulls[i] = values[i] == NULL;
		if (!nulls[i])
			elements[i] = CStringGetTextDatum(values[i]);
	}
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &n, &lower,
											  TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
time_array(const TimestampTz *values, int n)
{
	Datum	   *elements = palloc0_array(Datum, n + 1);

	for (int i = 0; i < n; i++)
		elements[i] = TimestampTzGetDatum(values[i]);
	return PointerGetDatum(construct_array(elements, n, TIMESTAMPTZOID, sizeof(TimestampTz),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* ---- the configuration --------------------------------------------------- */

static const char *const config_tables[] = {
	"settings", "team_members", "stages", "stage_transitions", "stage_reasons",
	"public_email_domains", NULL
};

static int
team_bits(Datum array)
{
	Datum	   *names;
	int			n;
	int			bits = 0;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, NULL, &n);
	for (int i = 0; i < n; i++)
		bits |= team_bit(TextDatumGetCString(names[i]));
	return bits;
}

static void *
config_load(void)
{
	static EngineStatement settings = {
		"SELECT time_zone, role_prefix FROM leadflow.settings"
	};
	static EngineStatement stages = {
		"SELECT name, category FROM leadflow.stages ORDER BY position, name"
	};
	static EngineStatement moves = {
		"SELECT from_stage, to_stage, teams, requires_reason, requires_revisit"
		" FROM leadflow.stage_transitions ORDER BY id"
	};
	static EngineStatement reasons = {
		"SELECT stage, reason, min_attempts::bigint, requires_note, active, next_stage, reviewed"
		" FROM leadflow.stage_reasons ORDER BY id"
	};
	static EngineStatement members = {
		"SELECT id, lower(email), db_role::text, team, active"
		" FROM leadflow.team_members ORDER BY lower(email) COLLATE \"C\" NULLS LAST, id"
	};
	static EngineStatement domains = {
		"SELECT domain FROM leadflow.public_email_domains ORDER BY domain COLLATE \"C\""
	};
	StageConfig *config = palloc0(sizeof(StageConfig));
	Lifecycle  *lifecycle = &config->lifecycle;
	char	   *zone = NULL;
	int			n;

	if (engine_query(&settings, NULL, NULL) > 0)
	{
		zone = spi_text(0, 1);
		config->role_prefix = spi_text(0, 2);
	}
	config->time_zone = pg_tzset(zone ? zone : "UTC");
	if (config->time_zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", zone),
				 errhint("Correct leadflow.settings.time_zone.")));

	n = lifecycle->nstages = (int) engine_query(&stages, NULL, NULL);
	lifecycle->stages = palloc0_array(Stage, n + 1);
	for (int i = 0; i < n; i++)
	{
		lifecycle->stages[i].name = spi_text(i, 1);
		lifecycle->stages[i].category = spi_text(i, 2);
	}

	n = lifecycle->nmoves = (int) engine_query(&moves, NULL, NULL);
	lifecycle->moves = palloc0_array(StageMove, n + 1);
	for (int i = 0; i < n; i++)
	{
		StageMove  *move = &lifecycle->moves[i];
		bool		isnull;

		move->from = spi_text(i, 1);
		move->to = spi_text(i, 2);
		move->teams = team_bits(spi_value(i, 3, &isnull));
		move->requires_reason = spi_bool(i, 4);
		move->requires_revisit = spi_bool(i, 5);
	}

	n = lifecycle->nreasons = (int) engine_query(&reasons, NULL, NULL);
	lifecycle->reasons = palloc0_array(StageReason, n + 1);
	for (int i = 0; i < n; i++)
	{
		StageReason *reason = &lifecycle->reasons[i];

		reason->stage = spi_text(i, 1);
		reason->reason = spi_text(i, 2);
		reason->min_attempts = (int) spi_int64(i, 3);
		reason->requires_note = spi_bool(i, 4);
		reason->active = spi_bool(i, 5);
		reason->next_stage = spi_text(i, 6);
		reason->reviewed = spi_bool(i, 7);
	}

	n = config->nmembers = (int) engine_query(&members, NULL, NULL);
	config->members = palloc0_array(Member, n + 1);
	for (int i = 0; i < n; i++)
	{
		Member	   *member = &config->members[i];

		member->id = spi_int64(i, 1);
		member->email = spi_text(i, 2);
		member->db_role = spi_text(i, 3);
		member->team = team_bit(spi_text(i, 4));
		member->active = spi_bool(i, 5);
		if (member->email)
			config->nwith_email = i + 1;
	}

	n = config->npublic_domains = (int) engine_query(&domains, NULL, NULL);
	config->public_domains = palloc0_array(char *, n + 1);
	for (int i = 0; i < n; i++)
		config->public_domains[i] = spi_text(i, 1);

	return config;
}

static ConfigPart config_part = {"leadflow lifecycle", config_tables, config_load};

const StageConfig *
stage_config(void)
{
	return config_get(&config_part);
}

const StageConfig *
stage_config_reload(void)
{
	config_part.stale = true;
	return config_get(&config_part);
}

const Member *
member_by_email(const StageConfig *config, const char *email)
{
	char	   *key = str_tolower(email, strlen(email), DEFAULT_COLLATION_OID);
	int			low = 0;
	int			high = config->nwith_email;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			cmp = strcmp(config->members[middle].email, key);

		if (cmp == 0)
			return &config->members[middle];
		if (cmp < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const Member *
member_by_role(const StageConfig *config, const char *role)
{
	for (int i = 0; i < config->nmembers; i++)
	{
		const char *db_role = config->members[i].db_role;

		if (db_role && strcmp(db_role, role) == 0)
			return &config->members[i];
	}
	return NULL;
}

const Member *
member_by_id(const StageConfig *config, int64 id)
{
	for (int i = 0; i < config->nmembers; i++)
	{
		if (config->members[i].id == id)
			return &config->members[i];
	}
	return NULL;
}

int64
account_by_email(const StageConfig *config, const char *email)
{
	static EngineStatement account = {
		"SELECT id FROM leadflow.accounts WHERE lower(domain) = $1", 1, {TEXTOID}
	};
	const char *at = strrchr(email, '@');
	EngineContext engine;
	char	   *domain;
	Datum		value;
	int64		id;

	if (at == NULL || at[1] == '\0')
		return 0;
	domain = str_tolower(at + 1, strlen(at + 1), DEFAULT_COLLATION_OID);
	for (int low = 0, high = config->npublic_domains; low < high;)
	{
		int			middle = (low + high) / 2;
		int			cmp = strcmp(config->public_domains[middle], domain);

		if (cmp == 0)
			return 0;
		if (cmp < 0)
			low = middle + 1;
		else
			high = middle;
	}

	value = CStringGetTextDatum(domain);
	engine_enter(&engine);
	id = engine_query(&account, &value, NULL) > 0 ? spi_int64(0, 1) : 0;
	engine_leave(&engine);
	return id;
}

int64
sales_attempts(int64 lead_id)
{
	/* within category handoff the offer is the same */
	static EngineStatement attempts = {
		"SELECT count(*) FROM leadflow.activities a"
		" JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'sales_touch'"
		" WHERE a.lead_id = $1 AND a.voided_at IS NULL AND a.occurred_at >= coalesce(greatest(("
		"  SELECT max(h.entered_at) FROM leadflow.stage_history h"
		"  JOIN leadflow.stages s ON s.name = h.to_stage AND s.category = 'handoff'"
		"  LEFT JOIN leadflow.stages f ON f.name = h.from_stage"
		"  WHERE h.lead_id = $1 AND f.category IS DISTINCT FROM 'handoff'),"
		"  (SELECT c.cycle_since FROM leadflow.score_state c WHERE c.lead_id = $1)), '-infinity')",
		1, {INT8OID}
	};
	EngineContext engine;
	Datum		value = Int64GetDatum(lead_id);
	int64		count;

	engine_enter(&engine);
	engine_plan_by_index();
	(void) engine_query(&attempts, &value, NULL);
	count = spi_int64(0, 1);
	engine_leave(&engine);
	return count;
}

char *
stage_seen(int64 lead_id, Snapshot snapshot)
{
	static EngineStatement seen = {
		"SELECT stage FROM leadflow.leads WHERE id = $1", 1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		value = Int64GetDatum(lead_id);
	char	   *stage = NULL;

	engine_enter(&engine);
	if (engine_query_at(&seen, &value, NULL, snapshot) > 0)
	{
		MemoryContextSwitchTo(caller);
		stage = spi_text(0, 1);
	}
	engine_leave(&engine);
	return stage;
}

/* ---- the engine's updates of leads --------------------------------------- */

static StageUpdate *current_update = NULL;

static int
trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/*
 * Between these two the update runs; call _end() in PG_FINALLY, so that nothing
 * is expected any more once a (sub)transaction has failed.
 */
StageUpdate *
stage_update_begin(StageUpdate *update)
{
	StageUpdate *before = current_update;

	update->depth = trigger_depth() + 1;
	current_update = update;
	return before;
}

void
stage_update_end(StageUpdate *before)
{
	current_update = before;
}

const StageUpdate *
stage_update_expected(void)
{
	return current_update && current_update->depth == trigger_depth() ? current_update : NULL;
}

const StageUpdateLead *
stage_update_lead(const StageUpdate *update, int64 lead_id)
{
	int			low = 0;
	int			high = update->nleads;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (update->leads[middle].lead_id == lead_id)
			return &update->leads[middle];
		if (update->leads[middle].lead_id < lead_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* _routed_owner(lead_id bigint) → bigint, in the engine's update that is running: whose the lead is to be */
PG_FUNCTION_INFO_V1(leadflow_routed_owner);
Datum
leadflow_routed_owner(PG_FUNCTION_ARGS)
{
	const StageUpdateLead *lead = current_update ? stage_update_lead(current_update, PG_GETARG_INT64(0)) : NULL;

	if (lead == NULL || !lead->routed || lead->owner_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(lead->owner_id);
}

static void
update_run(StageUpdate *update, EngineStatement *statement, Datum *values, const char *nulls)
{
	EngineContext engine;
	StageUpdate *before;

	engine_enter(&engine);
	before = stage_update_begin(update);
	PG_TRY();
	{
		(void) engine_execute(statement, values, nulls);
	}
	PG_FINALLY();
	{
		stage_update_end(before);
	}
	PG_END_TRY();
	engine_leave(&engine);
}

void
stage_write(StageUpdate *update, const char *to_stage, const char **from, int nfrom)
{
	static EngineStatement move = {
		"UPDATE leadflow.leads SET stage = $2"
		" WHERE id = ANY ($1) AND stage <> $2 AND ($3 IS NULL OR stage = ANY ($3))",
		3, {INT8ARRAYOID, TEXTOID, TEXTARRAYOID}
	};
	static EngineStatement move_routed = {
		"UPDATE leadflow.leads SET stage = $2, owner_id = leadflow._routed_owner(id)"
		" WHERE id = ANY ($1) AND stage <> $2 AND ($3 IS NULL OR stage = ANY ($3))",
		3, {INT8ARRAYOID, TEXTOID, TEXTARRAYOID}
	};
	int64	   *ids = palloc_array(int64, update->nleads);
	bool		routed = false;
	Datum		values[3];

	for (int i = 0; i < update->nleads; i++)
	{
		ids[i] = update->leads[i].lead_id;
		routed |= update->leads[i].routed;
	}
	values[0] = int8_array(ids, update->nleads);
	values[1] = CStringGetTextDatum(to_stage);
	values[2] = from ? text_array(from, nfrom) : (Datum) 0;
	update_run(update, routed ? &move_routed : &move, values, from ? "   " : "  n");
}

void
stage_write_owners(const int64 *leads, const int64 *owners, int n)
{
	static EngineStatement route = {
		"UPDATE leadflow.leads SET owner_id = leadflow._routed_owner(id) WHERE id = ANY ($1)", 1, {INT8ARRAYOID}
	};
	StageUpdateLead *given = palloc0_array(StageUpdateLead, n);
	StageUpdate update = {.kind = STAGE_UPDATE_SILENT, .leads = given, .nleads = n};
	Datum		value = int8_array(leads, n);

	for (int i = 0; i < n; i++)
	{
		given[i].lead_id = leads[i];
		given[i].at = DT_NOBEGIN;
		given[i].routed = true;
		given[i].owner_id = owners[i];
	}
	update_run(&update, &route, &value, NULL);
}

/* The days on which leads come back that were enrolled in a nurture program without one. */
void
stage_write_revisits(const int64 *leads, int n)
{
	static EngineStatement revisit = {
		"UPDATE leadflow.leads l SET revisit_on = e.revisit_on FROM leadflow.nurture_enrolments e"
		" WHERE l.id = ANY ($1) AND l.revisit_on IS NULL AND e.lead_id = l.id AND e.left_at IS NULL"
		" AND e.revisit_on IS NOT NULL",
		1, {INT8ARRAYOID}
	};
	StageUpdate update = {.kind = STAGE_UPDATE_SILENT};
	Datum		value = int8_array(leads, n);

	update_run(&update, &revisit, &value, NULL);
}

void
stage_forget_actors(const int64 *leads, int n)
{
	static EngineStatement forget = {
		"UPDATE leadflow.leads SET stage_by = NULL WHERE id = ANY ($1)", 1, {INT8ARRAYOID}
	};
	StageUpdate update = {.kind = STAGE_UPDATE_SILENT};
	Datum		value = int8_array(leads, n);

	update_run(&update, &forget, &value, NULL);
}

/* ---- history ------------------------------------------------------------- */

/* The key of the history, if rows of a lead are found along it in order of time; NULL if it is partitioned, say. */
static Relation
history_key(Relation history)
{
	static const char *const names[] = {"lead_id", "entered_at", "id"};
	Oid			relid = history->rd_rel->relkind == RELKIND_RELATION ?
		RelationGetPrimaryKeyIndex_compat(history) : InvalidOid;
	Relation	key;

	if (!OidIsValid(relid))
		return NULL;
	key = index_open(relid, AccessShareLock);
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (key->rd_index->indnkeyatts == lengthof(names) &&
			key->rd_index->indkey.values[i] == SPI_fnumber(RelationGetDescr(history), names[i]))
			continue;
		index_close(key, AccessShareLock);
		return NULL;
	}
	return key;
}

/* The latest row of the lead's own history. */
static void
read_history(Relation history, Relation key, Snapshot snapshot, TupleTableSlot *slot, StageStatus *status)
{
	TupleDesc	desc = RelationGetDescr(history);
	AttrNumber	merged_from = column_of(desc, "merged_from", INT8OID);
	IndexScanDesc scan = index_beginscan_compat(history, key, snapshot, 1, 0);
	ScanKeyData scan_key;
	bool		isnull;

	ScanKeyInit(&scan_key, 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(status->lead_id));
	index_rescan(scan, &scan_key, 1, NULL, 0);
	while (index_getnext_slot(scan, BackwardScanDirection, slot))
	{
		if (!slot_attisnull(slot, merged_from))
			continue;
		status->history_stage = TextDatumGetCString(slot_getattr(slot, column_of(desc, "to_stage", TEXTOID), &isnull));
		status->history_since = DatumGetTimestampTz(slot_getattr(slot, column_of(desc, "entered_at", TIMESTAMPTZOID),
																 &isnull));
		break;
	}
	index_endscan(scan);
}

/*
 * Of a few leads, by three looks at an index each: a plan takes longer to start.  False: SQL
 * must say it.
 */
static bool
status_by_index(const int64 *leads, int n, StageStatus *found, int *nfound)
{
	enum
	{
		LEADS,
		HISTORY,
		STATES,
		TABLES
	};
	static const char *const names[TABLES] = {"leads", "stage_history", "score_state"};
	Relation	tables[TABLES];
	TupleTableSlot *slots[TABLES];
	TupleDesc	desc;
	Relation	key;
	Snapshot	snapshot;

	for (int t = 0; t < TABLES; t++)
	{
		tables[t] = table_open(engine_relation(names[t]), AccessShareLock);
		slots[t] = table_slot_create(tables[t], NULL);
	}
	desc = RelationGetDescr(tables[LEADS]);
	key = history_key(tables[HISTORY]);
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(engine_snapshot());
	PushActiveSnapshot(snapshot);
	for (int i = 0; key && i < n; i++)
	{
		StageStatus *status = &found[*nfound];
		bool		isnull;

		if (!row_fetch(tables[LEADS], leads[i], snapshot, slots[LEADS]))
			continue;
		status->lead_id = leads[i];
		status->stage = TextDatumGetCString(slot_getattr(slots[LEADS], column_of(desc, "stage", TEXTOID), &isnull));
		status->stage_since = DatumGetTimestampTz(slot_getattr(slots[LEADS], column_of(desc, "stage_since",
																					  TIMESTAMPTZOID), &isnull));
		status->has_state = row_fetch(tables[STATES], leads[i], snapshot, slots[STATES]);
		read_history(tables[HISTORY], key, snapshot, slots[HISTORY], status);
		(*nfound)++;
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	if (key)
		index_close(key, NoLock);
	for (int t = 0; t < TABLES; t++)
	{
		ExecDropSingleTupleTableSlot(slots[t]);
		table_close(tables[t], NoLock);
	}
	return key != NULL;
}

static void
status_by_sql(const int64 *leads, int n, StageStatus *found, int *nfound)
{
	static EngineStatement status = {
		"SELECT l.id, l.stage, l.stage_since, h.to_stage, h.entered_at, s.lead_id IS NOT NULL"
		" FROM leadflow.leads l"
		" LEFT JOIN LATERAL (SELECT h.to_stage, h.entered_at FROM leadflow.stage_history h"
		"  WHERE h.lead_id = l.id AND h.merged_from IS NULL ORDER BY h.entered_at DESC, h.id DESC LIMIT 1) h ON true"
		" LEFT JOIN leadflow.score_state s ON s.lead_id = l.id"
		" WHERE l.id = ANY ($1) ORDER BY l.id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		value = int8_array(leads, n);
	bool		isnull;

	engine_enter(&engine);
	engine_plan_by_index();
	*nfound = (int) engine_query(&status, &value, NULL);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < *nfound; i++)
	{
		found[i].lead_id = spi_int64(i, 1);
		found[i].stage = spi_text(i, 2);
		found[i].stage_since = DatumGetTimestampTz(spi_value(i, 3, &isnull));
		found[i].history_stage = spi_text(i, 4);
		found[i].history_since = DatumGetTimestampTz(spi_value(i, 5, &isnull));
		found[i].has_state = spi_bool(i, 6);
	}
	engine_leave(&engine);
}

StageStatus *
stage_status(const int64 *leads, int n, int *nfound)
{
	StageStatus *found = palloc0_array(StageStatus, n + 1);

	*nfound = 0;
	if (n > FEW_LEADS || !status_by_index(leads, n, found, nfound))
		status_by_sql(leads, n, found, nfound);
	return found;
}

void
stage_unknown(const int64 *leads, int n, bool *unknown)
{
	Relation	tables[] = {
		table_open(engine_relation("score_state"), AccessShareLock),
		table_open(engine_relation("leads"), AccessShareLock)
	};
	TupleTableSlot *slots[] = {table_slot_create(tables[0], NULL), table_slot_create(tables[1], NULL)};
	Snapshot	snapshot;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(engine_snapshot());
	PushActiveSnapshot(snapshot);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		unknown[i] = !row_fetch(tables[0], leads[i], snapshot, slots[0]) &&
			row_fetch(tables[1], leads[i], snapshot, slots[1]);
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	for (int i = 0; i < (int) lengthof(tables); i++)
	{
		ExecDropSingleTupleTableSlot(slots[i]);
		table_close(tables[i], NoLock);
	}
}

/*
 * Closes what is open: one statement for all that are left at the same instant,
 * which is now unless moves are back-dated.
 */
static void
close_history(const Move *moves, int n)
{
	static EngineStatement close = {
		"UPDATE leadflow.stage_history SET left_at = $2 WHERE lead_id = ANY ($1) AND left_at IS NULL",
		2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	int64	   *ids = palloc_array(int64, n);

	for (int i = 0; i < n;)
	{
		Datum		values[2];
		int			count = 0;

		values[1] = TimestampTzGetDatum(moves[i].at);
		do
			ids[count++] = moves[i].lead_id;
		while (++i < n && moves[i].at == moves[i - 1].at);
		values[0] = int8_array(ids, count);
		(void) engine_execute(&close, values, NULL);
	}
}

/* A row of stage_history that is new, in this order of columns. */
#define HISTORY_COLUMNS 15
static const char *const history_columns[HISTORY_COLUMNS] = {
	"lead_id", "entered_at", "from_stage", "to_stage", "actor_id", "team", "reason", "note",
	"score", "model_id", "persona", "grade", "cycle", "trigger_activity_id", "left_at"
};

static void
history_text(const char *text, Datum *value, bool *isnull)
{
	*isnull = text == NULL;
	*value = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
history_row(const Move *move, const StageFreeze *freeze, bool passed, Datum *values, bool *nulls)
{
	char		grade[2] = {freeze->grade, '\0'};

	memset(nulls, false, sizeof(bool) * HISTORY_COLUMNS);
	values[0] = Int64GetDatum(move->lead_id);
	values[1] = values[14] = TimestampTzGetDatum(move->at);
	history_text(move->from_stage, &values[2], &nulls[2]);
	history_text(move->to_stage, &values[3], &nulls[3]);
	values[4] = Int64GetDatum(move->actor_id);
	nulls[4] = move->actor_id == 0;
	history_text(move->team, &values[5], &nulls[5]);
	history_text(move->reason, &values[6], &nulls[6]);
	history_text(move->note, &values[7], &nulls[7]);
	values[8] = Float8GetDatum(freeze->score);
	nulls[8] = !freeze->scored;
	values[9] = Int64GetDatum(freeze->model_id);
	nulls[9] = freeze->model_id == 0;
	history_text(freeze->persona, &values[10], &nulls[10]);
	history_text(freeze->grade ? grade : NULL, &values[11], &nulls[11]);
	values[12] = Int32GetDatum(freeze->cycle);
	values[13] = UUIDPGetDatum(&freeze->trigger);
	nulls[13] = !freeze->has_trigger;
	nulls[14] = !passed;
}

/* By SQL, where the table is partitioned or a site has triggers on it: row by row, so that the order of ids is ours. */
static int64
insert_history_row(Datum *values, const bool *nulls)
{
	static EngineStatement insert = {
		"INSERT INTO leadflow.stage_history (lead_id, entered_at, from_stage, to_stage, actor_id, team, reason, note,"
		"  score, model_id, persona, grade, cycle, trigger_activity_id, left_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id",
		HISTORY_COLUMNS, {
			INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID,
			FLOAT8OID, INT8OID, TEXTOID, TEXTOID, INT4OID, UUIDOID, TIMESTAMPTZOID
		}
	};
	char		flags[HISTORY_COLUMNS];
	int64		id;

	for (int c = 0; c < HISTORY_COLUMNS; c++)
		flags[c] = nulls[c] ? 'n' : ' ';
	(void) engine_execute(&insert, values, flags);
	id = spi_int64(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return id;
}

/* Closes what is open and opens the new rows; those of stages that are passed come first. */
void
stage_history_write(Move *moves, Move *const *passed, const StageFreeze *freezes, int n)
{
	EngineContext engine;
	TableInsert insert;
	bool		fast;

	engine_enter(&engine);
	close_history(moves, n);
	fast = table_insert_begin(&insert, "stage_history", history_columns, HISTORY_COLUMNS, passed ? 2 * n : n);
	for (int pass = passed ? 0 : 1; pass < 2; pass++)
	{
		for (int i = 0; i < n; i++)
		{
			Move	   *move = pass == 0 ? passed[i] : &moves[i];
			Datum		values[HISTORY_COLUMNS];
			bool		nulls[HISTORY_COLUMNS];

			if (move == NULL)
				continue;
			history_row(move, &freezes[i], pass == 0, values, nulls);
			move->history_id = fast ? table_insert_row(&insert, values, nulls) : insert_history_row(values, nulls);
		}
	}
	if (fast)
		table_insert_end(&insert);
	engine_leave(&engine);
}

void
stage_history_correct(const Move *moves, int n)
{
	static EngineStatement correct = {
		"UPDATE leadflow.stage_history SET reason = $2, note = $3 WHERE lead_id = $1 AND left_at IS NULL",
		3, {INT8OID, TEXTOID, TEXTOID}
	};
	EngineContext engine;

	engine_enter(&engine);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3] = {Int64GetDatum(moves[i].lead_id), (Datum) 0, (Datum) 0};
		char		nulls[3] = {' ', ' ', ' '};

		if (moves[i].reason)
			values[1] = CStringGetTextDatum(moves[i].reason);
		else
			nulls[1] = 'n';
		if (moves[i].note)
			values[2] = CStringGetTextDatum(moves[i].note);
		else
			nulls[2] = 'n';
		(void) engine_execute(&correct, values, nulls);
	}
	engine_leave(&engine);
}

/* The engine's own names (lead, mql, sql …) are in the code: only a site's stages can change theirs. */
void
stage_history_rename(const char *before, const char *after)
{
	static EngineStatement renames[] = {
		{"UPDATE leadflow.stage_history SET to_stage = $2 WHERE to_stage = $1", 2, {TEXTOID, TEXTOID}},
		{"UPDATE leadflow.stage_history SET from_stage = $2 WHERE from_stage = $1", 2, {TEXTOID, TEXTOID}},
		{"UPDATE leadflow.handoffs SET decision = $2 WHERE decision = $1", 2, {TEXTOID, TEXTOID}}
	};
	EngineContext engine;
	Datum		values[2] = {CStringGetTextDatum(before), CStringGetTextDatum(after)};

	engine_enter(&engine);
	for (int i = 0; i < (int) lengthof(renames); i++)
		(void) engine_execute(&renames[i], values, NULL);
	engine_leave(&engine);
}

/* ---- leads that are gone ------------------------------------------------- */

void
stage_activities_delete(const int64 *leads, int n)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.activities WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}
	};
	EngineContext engine;
	Datum		value = int8_array(leads, n);

	engine_enter(&engine);
	(void) engine_execute(&statement, &value, NULL);
	engine_leave(&engine);
}

void
stage_children_delete(const int64 *leads, int n)
{
	static EngineStatement children[] = {
		{"DELETE FROM leadflow.stage_history WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.handoffs WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.sla_clocks WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.sla_pauses WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.sla_restatements WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.contact_reservations WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.contact_violations WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.reviews WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.nurture_enrolments WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}},
		{"DELETE FROM leadflow.notifications WHERE lead_id = ANY ($1)", 1, {INT8ARRAYOID}}
	};
	EngineContext engine;
	Datum		value = int8_array(leads, n);

	clocks_hold();
	stage_activities_delete(leads, n);
	engine_enter(&engine);
	for (int i = 0; i < (int) lengthof(children); i++)
		(void) engine_execute(&children[i], &value, NULL);
	engine_leave(&engine);
}

void
stage_children_truncate(void)
{
	static EngineStatement children = {
		"TRUNCATE leadflow.score_state, leadflow.activities, leadflow.stage_history,"
		" leadflow.handoffs, leadflow.sla_clocks, leadflow.sla_pauses, leadflow.sla_restatements,"
		" leadflow.contact_reservations, leadflow.contact_violations,"
		" leadflow.review_votes, leadflow.reviews, leadflow.nurture_enrolments, leadflow.notifications"
	};
	EngineContext engine;

	engine_enter(&engine);
	(void) engine_execute(&children, NULL, NULL);
	engine_leave(&engine);
}
