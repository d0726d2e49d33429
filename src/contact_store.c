/*-------------------------------------------------------------------------
 * contact_store.c
 *	  Rows that say whether a lead may be contacted: limits, permissions,
 *	  messages, reservations, violations.
 *
 * Owns the statements on contact_limits, contact_permissions, contact_reservations and
 * contact_violations.  may_contact() is asked lead by lead, for long lists, so what is known of a
 * lead is read along the indexes, without the executor.  Where an index is not there under its
 * name, or the table is partitioned, the same rows come by SQL.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "compat.h"
#include "config_cache.h"
#include "contact_store.h"
#include "handoff_store.h"
#include "row_lock.h"
#include "spi.h"
#include "stage_store.h"

/* What a sweep deletes at most. */
#define PURGE_BATCH		10000

/* ---- the configuration --------------------------------------------------- */

static int
role_of(const char *name)
{
	return strcmp(name, "engagement") == 0 ? ROLE_ENGAGEMENT :
		strcmp(name, "sales_touch") == 0 ? ROLE_SALES_TOUCH :
		strcmp(name, "marketing_message") == 0 ? ROLE_MARKETING_MESSAGE : ROLE_OTHER;
}

static int
role_bits(Datum array)
{
	Datum	   *names;
	int			n;
	int			bits = 0;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &n);
	for (int i = 0; i < n; i++)
		bits |= 1 << role_of(TextDatumGetCString(names[i]));
	return bits;
}

static void
load_limits(ContactRules *rules)
{
	static EngineStatement statement = {
		"SELECT id, coalesce(name, id::text), scope_stage, category, channel, max_messages,"
		" least(coalesce(extract(epoch FROM per), 0) * 1000000, 9e18)::bigint, per::text, counts,"
		" least(coalesce(extract(epoch FROM after_handoff), 0) * 1000000, 9e18)::bigint, after_handoff::text"
		" FROM leadflow.contact_limits WHERE active ORDER BY id"
	};
	int			n = (int) engine_query(&statement, NULL, NULL);

	rules->limits = palloc0_array(ContactLimit, n + 1);
	rules->nlimits = n;
	for (int i = 0; i < n; i++)
	{
		ContactLimit *limit = &rules->limits[i];
		bool		isnull;
		Datum		max = spi_value(i, 6, &isnull);

		limit->id = spi_int64(i, 1);
		limit->name = spi_text(i, 2);
		limit->stage = spi_text(i, 3);
		limit->category = spi_text(i, 4);
		limit->channel = spi_text(i, 5);
		limit->max = isnull ? -1 : DatumGetInt32(max);
		limit->per = spi_int64(i, 7);
		limit->per_text = spi_text(i, 8);
		limit->roles = role_bits(spi_value(i, 9, &isnull));
		limit->after_handoff = spi_int64(i, 10);
		limit->after_text = spi_text(i, 11);
		rules->scoped = rules->scoped || limit->stage || limit->category;
		rules->after_handoff = rules->after_handoff || limit->after_handoff > 0;
	}
}

static void
load_contact_kinds(ContactRules *rules)
{
	static EngineStatement statement = {
		"SELECT kind, role, channel FROM leadflow.activity_kinds"
	};
	int			n = (int) engine_query(&statement, NULL, NULL);
	ContactKind *kinds = palloc0_array(ContactKind, n + 1);

	for (int i = 0; i < n; i++)
	{
		ContactKind *kind = &kinds[i];

		kind->name = spi_text(i, 1);
		kind->len = strlen(kind->name);
		kind->role = role_of(spi_text(i, 2));
		kind->channel = spi_text(i, 3);
		kind->message = kind->channel &&
			(kind->role == ROLE_SALES_TOUCH || kind->role == ROLE_MARKETING_MESSAGE);
		for (int l = 0; l < rules->nlimits; l++)
		{
			if (rules->limits[l].max >= 0 && rules->limits[l].roles & 1 << kind->role)
				kind->counts = true;
		}
	}
	contact_kinds_index(rules, kinds, n);
}

static void *
rules_load(void)
{
	static EngineStatement settings = {
		"SELECT contact_requires_permission, least(extract(epoch FROM contact_reservation) * 1000000, 9e18)::bigint"
		" FROM leadflow.settings"
	};
	static EngineStatement stages = {
		"SELECT name, category FROM leadflow.stages ORDER BY position, name"
	};
	ContactRules *rules = palloc0(sizeof(ContactRules));
	int			n;

	engine_pin_texts();
	if (engine_query(&settings, NULL, NULL) > 0)
	{
		bool		isnull;

		rules->requires_permission = DatumGetBool(spi_value(0, 1, &isnull));
		rules->hold = spi_int64(0, 2);
	}
	n = rules->lifecycle.nstages = (int) engine_query(&stages, NULL, NULL);
	rules->lifecycle.stages = palloc0_array(Stage, n + 1);
	for (int i = 0; i < n; i++)
	{
		rules->lifecycle.stages[i].name = spi_text(i, 1);
		rules->lifecycle.stages[i].category = spi_text(i, 2);
	}
	load_limits(rules);
	load_contact_kinds(rules);
	return rules;
}

const ContactRules *
contact_rules(void)
{
	static const char *const tables[] = {
		"settings", "stages", "activity_kinds", "contact_limits", NULL
	};
	static ConfigPart part = {"leadflow contact", tables, rules_load};

	return config_get(&part);
}

/* ---- rows of one lead ---------------------------------------------------- */

/* The statements take the lead and, for activities, the first and last instant. */
static struct Source
{
	const char *table;
	const char *index;			/* NULL = the primary key */
	bool		timed;			/* the second column of the index is the instant */
	int			ncolumns;
	const char *columns[CONTACT_MAX_COLUMNS];
	Oid			types[CONTACT_MAX_COLUMNS];
	EngineStatement statement;
}			sources[CONTACT_TABLES] = {
	[CONTACT_PERMISSIONS] = {
		"contact_permissions", "contact_permissions_lead_id", false, 5,
		{"id", "channel", "status", "at", "activity_id"},
		{INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, UUIDOID},
		{"SELECT id, channel, status, at, activity_id FROM leadflow.contact_permissions"
			" WHERE lead_id = $1", 1, {INT8OID}}
	},
	[CONTACT_ACTIVITIES] = {
		"activities", NULL, true, 4,
		{"occurred_at", "id", "kind", "voided_at"},
		{TIMESTAMPTZOID, UUIDOID, TEXTOID, TIMESTAMPTZOID},
		{"SELECT occurred_at, id, kind, voided_at FROM leadflow.activities"
			" WHERE lead_id = $1 AND occurred_at >= $2 AND occurred_at <= $3 ORDER BY occurred_at, id",
		3, {INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}}
	},
	[CONTACT_RESERVATIONS] = {
		"contact_reservations", "contact_reservations_open", false, 5,
		{"id", "channel", "at", "expires_at", "redeemed_at"},
		{INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
		{"SELECT id, channel, at, expires_at, redeemed_at FROM leadflow.contact_reservations"
			" WHERE lead_id = $1 AND redeemed_at IS NULL", 1, {INT8OID}}
	},
	[CONTACT_HANDOFFS] = {
		"handoffs", "handoffs_lead_id", false, 2,
		{"offered_at", "why"},
		{TIMESTAMPTZOID, TEXTOID},
		{"SELECT offered_at, why FROM leadflow.handoffs WHERE lead_id = $1 ORDER BY offered_at", 1, {INT8OID}}
	},
	[CONTACT_HISTORY] = {
		"stage_history", NULL, false, 3,
		{"entered_at", "to_stage", "merged_from"},
		{TIMESTAMPTZOID, TEXTOID, INT8OID},
		{"SELECT entered_at, to_stage, merged_from FROM leadflow.stage_history WHERE lead_id = $1 ORDER BY entered_at, id", 1, {INT8OID}}
	}
};

void
contact_open(ContactReader *reader, const ContactRules *rules, Snapshot snapshot)
{
	memset(reader, 0, sizeof(ContactReader));
	reader->rules = rules;
	reader->snapshot = snapshot;
	reader->context = CurrentMemoryContext;
	reader->leads = table_open(engine_relation("leads"), AccessShareLock);
	reader->lead = table_slot_create(reader->leads, NULL);
}

void
contact_close(ContactReader *reader)
{
	for (int t = 0; t < CONTACT_TABLES; t++)
	{
		if (reader->tables[t].rel == NULL)
			continue;
		if (reader->tables[t].index)
		{
			ExecDropSingleTupleTableSlot(reader->tables[t].slot);
			index_close(reader->tables[t].index, NoLock);
		}
		table_close(reader->tables[t].rel, NoLock);
	}
	ExecDropSingleTupleTableSlot(reader->lead);
	table_close(reader->leads, NoLock);
}

/* Can the lead's rows be found along it? */
static bool
index_serves(Relation index, Relation rel, const struct Source *source)
{
	Form_pg_index form = index->rd_index;

	return index->rd_rel->relkind == RELKIND_INDEX && form->indrelid == RelationGetRelid(rel) &&
		form->indisvalid && index->rd_rel->relam == BTREE_AM_OID && form->indnkeyatts >= 2 &&
		form->indkey.values[0] == column_of(RelationGetDescr(rel), "lead_id", INT8OID) &&
		(!source->timed ||
		 form->indkey.values[1] == column_of(RelationGetDescr(rel), "occurred_at", TIMESTAMPTZOID));
}

static void
source_open(ContactReader *reader, ContactTable t)
{
	const struct Source *source = &sources[t];
	MemoryContext caller = MemoryContextSwitchTo(reader->context);
	Relation	rel = table_open(engine_relation(source->table), AccessShareLock);
	Oid			index = InvalidOid;

	reader->tables[t].rel = rel;
	for (int c = 0; c < source->ncolumns; c++)
		reader->tables[t].attnum[c] = column_of(RelationGetDescr(rel), source->columns[c], source->types[c]);
	if (rel->rd_rel->relkind == RELKIND_RELATION)
		index = source->index ? engine_relation(source->index) : RelationGetPrimaryKeyIndex_compat(rel);
	if (OidIsValid(index))
	{
		Relation	opened = index_open(index, AccessShareLock);

		if (index_serves(opened, rel, source))
		{
			reader->tables[t].index = opened;
			reader->tables[t].slot = table_slot_create(rel, NULL);
		}
		else
			index_close(opened, AccessShareLock);
	}
	MemoryContextSwitchTo(caller);
}

typedef void (*contact_row) (const Datum *values, const bool *nulls, void *arg);

static void
scan_by_sql(ContactReader *reader, ContactTable t, Datum *arguments, contact_row callback, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	uint64		n;

	engine_enter(&engine);
	n = engine_query_at(&sources[t].statement, arguments, NULL, reader->snapshot);
	MemoryContextSwitchTo(caller);
	for (uint64 r = 0; r < n; r++)
	{
		Datum		values[CONTACT_MAX_COLUMNS];
		bool		nulls[CONTACT_MAX_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		for (int c = 0; c < sources[t].ncolumns; c++)
			values[c] = spi_value(r, c + 1, &nulls[c]);
		callback(values, nulls, arg);
	}
	engine_leave(&engine);
}

/* Rows of a lead, in the order of the index. What the callback keeps it must copy. */
static void
contact_scan(ContactReader *reader, ContactTable t, int64 lead_id, TimestampTz from, TimestampTz to,
			 contact_row callback, void *arg)
{
	Datum		arguments[3] = {Int64GetDatum(lead_id), TimestampTzGetDatum(from), TimestampTzGetDatum(to)};
	ScanKeyData keys[3];
	IndexScanDesc scan;
	TupleTableSlot *slot;
	int			nkeys = sources[t].timed ? 3 : 1;

	if (reader->tables[t].rel == NULL)
		source_open(reader, t);
	if (reader->tables[t].index == NULL)
	{
		scan_by_sql(reader, t, arguments, callback, arg);
		return;
	}
	slot = reader->tables[t].slot;
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, arguments[0]);
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, arguments[1]);
	ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, arguments[2]);
	scan = index_beginscan_compat(reader->tables[t].rel, reader->tables[t].index, reader->snapshot, nkeys, 0);
	index_rescan(scan, keys, nkeys, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		Datum		values[CONTACT_MAX_COLUMNS];
		bool		nulls[CONTACT_MAX_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		for (int c = 0; c < sources[t].ncolumns; c++)
			values[c] = slot_getattr(slot, reader->tables[t].attnum[c], &nulls[c]);
		callback(values, nulls, arg);
	}
	index_endscan(scan);
	ExecClearTuple(slot);
}

/* ---- facts --------------------------------------------------------------- */

typedef struct Reading
{
	const ContactRules *rules;
	const ContactScope *scope;
	ContactFacts *facts;
	int			room;			/* of the array that is being filled */
} Reading;

/* Room for one more element of an array in the current context. */
static void *
one_more(void *array, int n, int *room, Size size)
{
	if (array != NULL && n < *room)
		return array;
	*room = array ? *room * 2 : 8;
	return array ? repalloc_huge(array, size * *room) : palloc(size * *room);
}

static void
read_permission(const Datum *values, const bool *nulls, void *arg)
{
	Reading    *reading = arg;
	ContactFacts *facts = reading->facts;
	ContactPermission *permission;
	text	   *status = DatumGetTextPP(values[2]);

	/* as long as its activities are not settled, they are asked themselves */
	if (reading->scope->unsettled && !nulls[4])
		return;
	facts->permissions = one_more(facts->permissions, facts->npermissions, &reading->room,
								  sizeof(ContactPermission));
	permission = &facts->permissions[facts->npermissions++];
	permission->id = DatumGetInt64(values[0]);
	permission->channel = TextDatumGetCString(values[1]);
	permission->at = DatumGetTimestampTz(values[3]);
	permission->granted = VARDATA_ANY(status)[0] == 'g';
	permission->status = permission->granted ? "granted" :
		VARDATA_ANY(status)[0] == 'd' ? "denied" : "withdrawn";
}

static void
read_item(const Datum *values, const bool *nulls, void *arg)
{
	Reading    *reading = arg;
	ContactFacts *facts = reading->facts;
	text	   *name = DatumGetTextPP(values[2]);
	const ContactKind *kind;
	ContactItem *item;

	if (!nulls[3])
		return;
	kind = contact_kind(reading->rules, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	if (kind == NULL || !(kind->message || kind->counts))
		return;
	facts->items = one_more(facts->items, facts->nitems, &reading->room, sizeof(ContactItem));
	item = &facts->items[facts->nitems++];
	item->at = DatumGetTimestampTz(values[0]);
	item->id = *DatumGetUUIDP(values[1]);
	item->kind = kind;
}

static void
read_reservation(const Datum *values, const bool *nulls, void *arg)
{
	Reading    *reading = arg;
	ContactFacts *facts = reading->facts;
	ContactReservation *reservation;

	if (!nulls[4])
		return;
	facts->reservations = one_more(facts->reservations, facts->nreservations, &reading->room,
								   sizeof(ContactReservation));
	reservation = &facts->reservations[facts->nreservations++];
	reservation->id = DatumGetInt64(values[0]);
	reservation->channel = TextDatumGetCString(values[1]);
	reservation->at = DatumGetTimestampTz(values[2]);
	reservation->expires_at = DatumGetTimestampTz(values[3]);
	reservation->redeemed = false;
}

/*
 * Whoever hands a lead on within sales makes a row, too; the lead was not given to sales by that.
 */
static void
read_handoff(const Datum *values, const bool *nulls, void *arg)
{
	Reading    *reading = arg;
	ContactFacts *facts = reading->facts;
	char	   *why = TextDatumGetCString(values[1]);

	if (!handoff_was_passed_on(why))
	{
		facts->handoffs = one_more(facts->handoffs, facts->nhandoffs, &reading->room, sizeof(TimestampTz));
		facts->handoffs[facts->nhandoffs++] = DatumGetTimestampTz(values[0]);
	}
	pfree(why);
}

static void
add_stay(Reading *reading, TimestampTz since, Datum stage)
{
	ContactFacts *facts = reading->facts;
	char	   *name = TextDatumGetCString(stage);

	facts->stays = one_more(facts->stays, facts->nstays, &reading->room, sizeof(ContactStay));
	facts->stays[facts->nstays].since = since;
	facts->stays[facts->nstays++].stage = stage_find(&reading->rules->lifecycle, name);
	pfree(name);
}

static void
read_stay(const Datum *values, const bool *nulls, void *arg)
{
	/* a duplicate's history ended with the merge: it says nothing of the lead since */
	if (nulls[2])
		add_stay(arg, DatumGetTimestampTz(values[0]), values[1]);
}

static int
compare_permissions(const void *a, const void *b)
{
	const ContactPermission *x = a;
	const ContactPermission *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/* What activities of this transaction withdraw, whose permissions are not kept yet. */
static void
read_unsettled(ContactReader *reader, int64 lead_id, ContactFacts *facts, int *room)
{
	static EngineStatement statement = {
		"SELECT coalesce(k.channel, '*'), a.occurred_at FROM leadflow.activities a"
		" JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.withdraws_permission"
		" WHERE a.lead_id = $1 AND a.voided_at IS NULL",
		1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		id = Int64GetDatum(lead_id);
	int			n;

	engine_enter(&engine);
	n = (int) engine_query_at(&statement, &id, NULL, reader->snapshot);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < n; i++)
	{
		ContactPermission *permission;
		bool		isnull;

		facts->permissions = one_more(facts->permissions, facts->npermissions, room, sizeof(ContactPermission));
		permission = &facts->permissions[facts->npermissions++];
		permission->id = PG_INT64_MAX;
		permission->channel = spi_text(i, 1);
		permission->at = DatumGetTimestampTz(spi_value(i, 2, &isnull));
		permission->granted = false;
		permission->status = "withdrawn";
	}
	engine_leave(&engine);
}

bool
contact_read(ContactReader *reader, int64 lead_id, const ContactScope *scope, ContactFacts *facts)
{
	const ContactRules *rules = reader->rules;
	TupleDesc	desc = RelationGetDescr(reader->leads);
	Reading		reading = {.rules = rules, .scope = scope, .facts = facts};
	TimestampTz since;
	bool		isnull;

	memset(facts, 0, sizeof(ContactFacts));
	facts->lead_id = lead_id;
	if (!row_fetch(reader->leads, lead_id, reader->snapshot, reader->lead))
		return false;
	facts->do_not_contact = DatumGetBool(slot_getattr(reader->lead, column_of(desc, "do_not_contact", BOOLOID),
													  &isnull));
	if (rules->scoped)
	{
		since = DatumGetTimestampTz(slot_getattr(reader->lead, column_of(desc, "stage_since", TIMESTAMPTZOID),
												 &isnull));
		if (scope->earliest < since)
			contact_scan(reader, CONTACT_HISTORY, lead_id, 0, 0, read_stay, &reading);
		add_stay(&reading, since,
				 slot_getattr(reader->lead, column_of(desc, "stage", TEXTOID), &isnull));
	}

	contact_scan(reader, CONTACT_PERMISSIONS, lead_id, 0, 0, read_permission, &reading);
	if (scope->unsettled)
		read_unsettled(reader, lead_id, facts, &reading.room);
	if (facts->npermissions > 1)
		qsort(facts->permissions, facts->npermissions, sizeof(ContactPermission), compare_permissions);
	if (rules->after_handoff)
		contact_scan(reader, CONTACT_HANDOFFS, lead_id, 0, 0, read_handoff, &reading);
	if (scope->from <= scope->to)
	{
		contact_scan(reader, CONTACT_ACTIVITIES, lead_id, scope->from, scope->to, read_item, &reading);
		contact_scan(reader, CONTACT_RESERVATIONS, lead_id, 0, 0, read_reservation, &reading);
	}
	return true;
}

/* ---- reservations -------------------------------------------------------- */

/* Those of the lead that nobody came for by then make room. */
int64
reservation_make(int64 lead_id, const char *channel, TimestampTz at, TimestampTz expires_at,
				 TimestampTz expired_by)
{
	static EngineStatement clear = {
		"DELETE FROM leadflow.contact_reservations"
		" WHERE lead_id = $1 AND redeemed_at IS NULL AND expires_at <= $2", 2, {INT8OID, TIMESTAMPTZOID}
	};
	static EngineStatement make = {
		"INSERT INTO leadflow.contact_reservations (lead_id, channel, at, expires_at)"
		" VALUES ($1, $2, $3, $4) RETURNING id",
		4, {INT8OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
	};
	Datum		values[4] = {Int64GetDatum(lead_id), TimestampTzGetDatum(expired_by)};
	EngineContext engine;
	int64		id;

	engine_enter(&engine);
	(void) engine_execute(&clear, values, NULL);
	values[1] = CStringGetTextDatum(channel);
	values[2] = TimestampTzGetDatum(at);
	values[3] = TimestampTzGetDatum(expires_at);
	(void) engine_execute(&make, values, NULL);
	id = spi_int64(0, 1);
	engine_leave(&engine);
	return id;
}

int64
reservation_lead(int64 id)
{
	static EngineStatement statement = {
		"SELECT lead_id FROM leadflow.contact_reservations WHERE id = $1 AND redeemed_at IS NULL", 1, {INT8OID}
	};
	Datum		value = Int64GetDatum(id);
	EngineContext engine;
	int64		lead_id;

	engine_enter(&engine);
	lead_id = engine_query(&statement, &value, NULL) > 0 ? spi_int64(0, 1) : 0;
	engine_leave(&engine);
	return lead_id;
}

/* Of leads that are gone. */
void
reservations_forget(const int64 *leads, int n)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.contact_reservations r WHERE r.lead_id = ANY ($1)"
		" AND NOT EXISTS (SELECT FROM leadflow.leads l WHERE l.id = r.lead_id)", 1, {INT8ARRAYOID}
	};
	Datum		ids = int8_array(leads, n);
	EngineContext engine;

	engine_enter(&engine);
	(void) engine_execute(&statement, &ids, NULL);
	engine_leave(&engine);
}

void
reservations_purge(TimestampTz before)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.contact_reservations WHERE id = ANY (ARRAY("
		" SELECT r.id FROM leadflow.contact_reservations r WHERE coalesce(r.redeemed_at, r.expires_at) < $1"
		" ORDER BY coalesce(r.redeemed_at, r.expires_at) LIMIT $2 FOR UPDATE SKIP LOCKED))",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[2] = {TimestampTzGetDatum(before), Int64GetDatum(PURGE_BATCH)};
	EngineContext engine;

	engine_enter(&engine);
	engine_plan_by_index();
	(void) engine_execute(&statement, values, NULL);
	engine_leave(&engine);
}

bool
reservation_free(int64 id)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.contact_reservations WHERE id = $1 AND redeemed_at IS NULL", 1, {INT8OID}
	};
	Datum		value = Int64GetDatum(id);
	EngineContext engine;
	bool		freed;

	engine_enter(&engine);
	freed = engine_execute(&statement, &value, NULL) > 0;
	engine_leave(&engine);
	return freed;
}

/* ---- what a flush writes ------------------------------------------------- */

static Datum
uuid_array(const Datum *values, int n)
{
	return PointerGetDatum(construct_array(unconstify(Datum *, values), n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

/* Under SERIALIZABLE there may be some that the transaction cannot see. */
void
reservations_redeem(const ContactRedemption *redemptions, int n, TimestampTz at)
{
	static EngineStatement statement = {
		"UPDATE leadflow.contact_reservations r SET redeemed_at = $3,"
		"  activity_id = ($2)[array_position($1, r.id)]"
		" WHERE r.id = ANY ($1) AND r.redeemed_at IS NULL",
		3, {INT8ARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID}
	};
	/* the position in an array is looked for from its beginning */
	const int	batch = 100;
	int64	   *ids = palloc_array(int64, batch);
	Datum	   *activities = palloc_array(Datum, batch);
	EngineContext engine;

	engine_enter(&engine);
	for (int i = 0; i < n; i += batch)
	{
		int			count = Min(batch, n - i);
		Datum		values[3];

		for (int j = 0; j < count; j++)
		{
			ids[j] = redemptions[i + j].reservation_id;
			activities[j] = UUIDPGetDatum(&redemptions[i + j].activity_id);
		}
		values[0] = int8_array(ids, count);
		values[1] = uuid_array(activities, count);
		values[2] = TimestampTzGetDatum(at);
		if (engine_execute(&statement, values, NULL) < count)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to a concurrent reservation")));
	}
	engine_leave(&engine);
}

void
violations_write(const ContactViolation *violations, int n, TimestampTz at)
{
	static EngineStatement statement = {
		"INSERT INTO leadflow.contact_violations (lead_id, occurred_at, activity_id, channel, why, limit_id, recorded_at)"
		" SELECT l, o, a, c, w, nullif(i, 0), $7 FROM unnest($1, $2, $3, $4, $5, $6) u (l, o, a, c, w, i)"
		" ON CONFLICT (lead_id, occurred_at, activity_id) DO UPDATE"
		" SET channel = excluded.channel, why = excluded.why, limit_id = excluded.limit_id, recorded_at = excluded.recorded_at",
		7, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, UUIDARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID}
	};
	const int	batch = 10000;
	int64	   *leads = palloc_array(int64, Min(n, batch) + 1);
	int64	   *limits = palloc_array(int64, Min(n, batch) + 1);
	TimestampTz *occurred = palloc_array(TimestampTz, Min(n, batch) + 1);
	Datum	   *activities = palloc_array(Datum, Min(n, batch) + 1);
	const char **channels = palloc_array(const char *, Min(n, batch) + 1);
	const char **why = palloc_array(const char *, Min(n, batch) + 1);
	EngineContext engine;

	engine_enter(&engine);
	for (int i = 0; i < n; i += batch)
	{
		int			count = Min(batch, n - i);
		Datum		values[7];

		for (int j = 0; j < count; j++)
		{
			const ContactViolation *violation = &violations[i + j];

			leads[j] = violation->lead_id;
			occurred[j] = violation->occurred_at;
			activities[j] = UUIDPGetDatum(&violation->activity_id);
			channels[j] = violation->channel;
			why[j] = violation->why;
			limits[j] = violation->limit_id;
		}
		values[0] = int8_array(leads, count);
		values[1] = time_array(occurred, count);
		values[2] = uuid_array(activities, count);
		values[3] = text_array(channels, count);
		values[4] = text_array(why, count);
		values[5] = int8_array(limits, count);
		values[6] = TimestampTzGetDatum(at);
		(void) engine_execute(&statement, values, NULL);
	}
	engine_leave(&engine);
}

#define OF_NO_MESSAGE \
	"DELETE FROM leadflow.contact_violations v WHERE NOT EXISTS (" \
	" SELECT FROM leadflow.activities a JOIN leadflow.activity_kinds k ON k.kind = a.kind" \
	" WHERE a.lead_id = v.lead_id AND a.occurred_at = v.occurred_at AND a.id = v.activity_id" \
	" AND a.voided_at IS NULL AND k.channel IS NOT NULL AND k.role IN ('sales_touch', 'marketing_message'))"

void
violations_forget(const int64 *leads, int n)
{
	static EngineStatement some = {OF_NO_MESSAGE " AND v.lead_id = ANY ($1)", 1, {INT8ARRAYOID}};
	static EngineStatement all = {OF_NO_MESSAGE};
	EngineContext engine;
	Datum		ids = leads ? int8_array(leads, n) : (Datum) 0;

	engine_enter(&engine);
	if (leads)
	{
		engine_plan_by_index();
		(void) engine_execute(&some, &ids, NULL);
	}
	else
	{
		engine_plan_in_bulk();
		(void) engine_execute(&all, NULL, NULL);
	}
	engine_leave(&engine);
}

void
violations_reopen(const ContactViolation *keys, int n)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.contact_violations v USING unnest($1, $2, $3) u (l, o, a)"
		" WHERE v.lead_id = u.l AND v.occurred_at = u.o AND v.activity_id = u.a",
		3, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, UUIDARRAYOID}
	};
	int64	   *leads = palloc_array(int64, n + 1);
	TimestampTz *occurred = palloc_array(TimestampTz, n + 1);
	Datum	   *activities = palloc_array(Datum, n + 1);
	EngineContext engine;
	Datum		values[3];

	for (int i = 0; i < n; i++)
	{
		leads[i] = keys[i].lead_id;
		occurred[i] = keys[i].occurred_at;
		activities[i] = UUIDPGetDatum(&keys[i].activity_id);
	}
	values[0] = int8_array(leads, n);
	values[1] = time_array(occurred, n);
	values[2] = uuid_array(activities, n);
	engine_enter(&engine);
	engine_plan_by_index();
	(void) engine_execute(&statement, values, NULL);
	engine_leave(&engine);
}

/*
 * Rows that are right stay as they are: of two of one instant the one that was written later
 * counts.
 */
#define WITHDRAWN_BY_ACTIVITY \
	" FROM leadflow.activities a JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.withdraws_permission"
#define SAYS_SO \
	" p.at = a.occurred_at AND p.channel = coalesce(k.channel, '*') AND p.status = 'withdrawn'" \
	" AND p.basis = 'withdrawn by ' || a.kind"
#define REMOVE_WRONG \
	"DELETE FROM leadflow.contact_permissions p WHERE p.activity_id IS NOT NULL" \
	" AND (NOT EXISTS (SELECT" WITHDRAWN_BY_ACTIVITY \
	"   WHERE a.lead_id = p.lead_id AND a.occurred_at = p.at AND a.id = p.activity_id AND a.voided_at IS NULL" \
	"   AND" SAYS_SO ")" \
	"  OR EXISTS (SELECT FROM leadflow.contact_permissions q" \
	"   WHERE q.lead_id = p.lead_id AND q.activity_id = p.activity_id AND q.at = p.at AND q.id < p.id))"
#define ADD_MISSING \
	"INSERT INTO leadflow.contact_permissions (lead_id, channel, status, basis, at, activity_id)" \
	" SELECT a.lead_id, coalesce(k.channel, '*'), 'withdrawn', 'withdrawn by ' || a.kind, a.occurred_at, a.id" \
	WITHDRAWN_BY_ACTIVITY \
	" WHERE a.voided_at IS NULL" \
	" AND NOT EXISTS (SELECT FROM leadflow.contact_permissions p" \
	"  WHERE p.lead_id = a.lead_id AND p.activity_id = a.id AND" SAYS_SO ")" \
	" AND EXISTS (SELECT FROM leadflow.leads l WHERE l.id = a.lead_id)"
#define IN_ORDER \
	" ORDER BY a.lead_id, a.occurred_at, a.id"

void
withdrawals_derive(const int64 *leads, int n)
{
	static EngineStatement remove = {REMOVE_WRONG " AND p.lead_id = ANY ($1)", 1, {INT8ARRAYOID}};
	static EngineStatement add = {ADD_MISSING " AND a.lead_id = ANY ($1)" IN_ORDER, 1, {INT8ARRAYOID}};
	static EngineStatement remove_all = {REMOVE_WRONG};
	static EngineStatement add_all = {ADD_MISSING IN_ORDER};
	EngineContext engine;
	Datum		ids = leads ? int8_array(leads, n) : (Datum) 0;

	engine_enter(&engine);
	if (leads)
	{
		engine_plan_by_index();
		(void) engine_execute(&remove, &ids, NULL);
		(void) engine_execute(&add, &ids, NULL);
	}
	else
	{
		engine_plan_in_bulk();
		(void) engine_execute(&remove_all, NULL, NULL);
		(void) engine_execute(&add_all, NULL, NULL);
	}
	engine_leave(&engine);
}
