/*-------------------------------------------------------------------------
 * activity.c
 *	  Activities as they are written.
 *
 * Statement triggers with transition tables turn rows into deltas in memory,
 * one a lead; nothing is locked or written then.  flush.c does the rest at the end of the
 * transaction.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "actor.h"
#include "clock_store.h"
#include "columns.h"
#include "contact.h"
#include "credit_store.h"
#include "errors.h"
#include "flush.h"
#include "guc.h"
#include "identity_store.h"
#include "ids.h"
#include "model_store.h"
#include "rescore.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "subscription.h"

/* Columns of activities, in the order in which they were created. */
enum
{
	ACT_LEAD_ID,
	ACT_OCCURRED_AT,
	ACT_ID,
	ACT_RECORDED_AT,
	ACT_KIND,
	ACT_CAMPAIGN_ID,
	ACT_CONTENT,
	ACT_MEMBER_ID,
	ACT_PROPERTIES,
	ACT_VOIDED_AT,
	ACT_VOID_RECORDED_AT,
	ACT_COLUMNS
};

static const char *const column_names[ACT_COLUMNS] = {
	"lead_id", "occurred_at", "id", "recorded_at", "kind", "campaign_id", "content",
	"member_id", "properties", "voided_at", "void_recorded_at"
};

static const Oid column_types[ACT_COLUMNS] = {
	INT8OID, TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID, TEXTOID, INT8OID, TEXTOID,
	INT8OID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID
};

/* A row of a transition table. */
typedef struct Written
{
	Datum		value[ACT_COLUMNS];
	bool		null[ACT_COLUMNS];
} Written;

/* What a statement needs for each of its rows. */
typedef struct Batch
{
	const Model *model;
	int			attnum[ACT_COLUMNS];
	TupleTableSlot *slot;
	MemoryContext each;			/* reset for each row */
	const PointRule **rules;
	const SubscriptionConfig *subscriptions;
	TimestampTz latest;			/* occurred_at at most */
	bool		awaits_contact; /* do clocks go by two-way kinds? */
	bool		awaits_reply;	/* by kinds that expect a reply? */
	int64	   *fresh;			/* leads that the transaction had not written to */
	int			nfresh;
	int			maxfresh;
	IdSet		refusing;		/* leads with messages that must not break a rule */
} Batch;

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *name, bool old_table, bool new_table)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		(old_table && trigger->tg_oldtable == NULL) || (new_table && trigger->tg_newtable == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER, FOR EACH STATEMENT, with its transition tables",
						name)));
	return trigger;
}

/*
 * Where the columns are: a site may have added some, or a partition may have
 * them in another order.
 */
static void
batch_begin(Batch *batch, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	actor_check_quiet();
	/* whoever changes the active model waits for this transaction, and the other way round */
	LockRelationOid(engine_relation("score_state"), RowExclusiveLock);
	batch->model = model_active();
	batch->subscriptions = subscription_config();
	batch->awaits_contact = clock_awaits_contact();
	batch->awaits_reply = clock_awaits_reply();
	for (int c = 0; c < ACT_COLUMNS; c++)
	{
		if (c < desc->natts && !TupleDescAttr(desc, c)->attisdropped &&
			TupleDescAttr(desc, c)->atttypid == column_types[c] &&
			strcmp(NameStr(TupleDescAttr(desc, c)->attname), column_names[c]) == 0)
			batch->attnum[c] = c + 1;
		else
			batch->attnum[c] = column_of(desc, column_names[c], column_types[c]);
	}
	batch->slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	batch->each = AllocSetContextCreate(CurrentMemoryContext, "leadflow activity",
										ALLOCSET_DEFAULT_SIZES);
	batch->rules = palloc(sizeof(PointRule *) * Max(batch->model->nrules, 1));
	batch->latest = clock_wall() +
		(int64) leadflow_max_clock_skew * USECS_PER_SEC;
	batch->nfresh = 0;
	batch->maxfresh = 64;
	batch->fresh = palloc(sizeof(int64) * batch->maxfresh);
	memset(&batch->refusing, 0, sizeof(IdSet));
}

static void
batch_end(Batch *batch)
{
	ExecDropSingleTupleTableSlot(batch->slot);
	MemoryContextDelete(batch->each);
}

/*
 * The next row.  A spilled tuple is allocated in the current context and
 * belongs to the slot: the context of the row must not be current here.
 */
static bool
batch_next(Batch *batch, Tuplestorestate *rows, TupleTableSlot *slot, Written *row)
{
	CHECK_FOR_INTERRUPTS();
	if (!tuplestore_gettupleslot(rows, true, false, slot))
		return false;
	slot_getallattrs(slot);
	for (int c = 0; c < ACT_COLUMNS; c++)
	{
		row->value[c] = slot->tts_values[batch->attnum[c] - 1];
		row->null[c] = slot->tts_isnull[batch->attnum[c] - 1];
	}
	return true;
}

static void
activity_row(const Written *written, ActivityRow *row)
{
	text	   *kind = DatumGetTextPP(written->value[ACT_KIND]);

	row->lead_id = DatumGetInt64(written->value[ACT_LEAD_ID]);
	row->occurred_at = DatumGetTimestampTz(written->value[ACT_OCCURRED_AT]);
	row->id = *DatumGetUUIDP(written->value[ACT_ID]);
	row->kind = VARDATA_ANY(kind);
	row->kind_len = VARSIZE_ANY_EXHDR(kind);
	row->content = written->null[ACT_CONTENT] ? NULL : DatumGetTextPP(written->value[ACT_CONTENT]);
	row->campaign = written->null[ACT_CAMPAIGN_ID] ? NULL :
		campaign_code(DatumGetInt64(written->value[ACT_CAMPAIGN_ID]));
	row->properties = written->null[ACT_PROPERTIES] ? NULL :
		DatumGetJsonbP(written->value[ACT_PROPERTIES]);
}

/* What a row may not say. */
static void
check_row(const Batch *batch, const Written *row)
{
	TimestampTz occurred_at = DatumGetTimestampTz(row->value[ACT_OCCURRED_AT]);

	if (occurred_at > batch->latest)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("activity lies in the future"),
				 errdetail("The activity of lead %lld occurred at %s, which is more than %d s ahead of now.",
						   (long long) DatumGetInt64(row->value[ACT_LEAD_ID]),
						   timestamptz_to_str(occurred_at), leadflow_max_clock_skew),
				 errhint("Store what has happened; leadflow.max_clock_skew allows for clocks that are ahead."),
				 err_constraint("activities", "activities_occurred_at")));
	if (!row->null[ACT_CAMPAIGN_ID] &&
		campaign_code(DatumGetInt64(row->value[ACT_CAMPAIGN_ID])) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("unknown campaign"),
				 errdetail("Key (campaign_id)=(%lld) is not present in table \"campaigns\".",
						   (long long) DatumGetInt64(row->value[ACT_CAMPAIGN_ID])),
				 errhint("leadflow.campaigns lists them."),
				 err_constraint("activities", "activities_campaign_id_fkey")));
	if (!row->null[ACT_MEMBER_ID] &&
		!member_exists(DatumGetInt64(row->value[ACT_MEMBER_ID])))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("unknown team member"),
				 errdetail("Key (member_id)=(%lld) is not present in table \"team_members\".",
						   (long long) DatumGetInt64(row->value[ACT_MEMBER_ID])),
				 errhint("leadflow.team_members lists them."),
				 err_constraint("activities", "activities_member_id_fkey")));
}

/* NULL = it is not registered */
static const ActivityKind *
row_kind(const Batch *batch, const Written *row)
{
	text	   *kind = DatumGetTextPP(row->value[ACT_KIND]);

	return model_kind(batch->model, VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind));
}

/* Hand-offs and clocks go by it, whether it comes or goes. */
static void
note_touch(const Batch *batch, Delta *delta, const ActivityKind *kind, TimestampTz at)
{
	bool		inbound = batch->awaits_reply && kind->expects_reply;

	if (kind->role != ROLE_SALES_TOUCH && !inbound && !(batch->awaits_contact && kind->two_way))
		return;
	delta->flags |= DELTA_TOUCH;
	delta->clock_from = Min(delta->clock_from, at);
	if (inbound && !leadflow_quiet)
		delta->inbound_at = Min(delta->inbound_at, at);
}

/* What a row means for credits and contacts, whether it comes or goes. */
static int
row_flags(const ActivityKind *known, const Written *row)
{
	int			flags = 0;

	if (known == NULL)
		return 0;
	if (known->role == ROLE_ENGAGEMENT && !row->null[ACT_CAMPAIGN_ID])
		flags |= DELTA_CAMPAIGN;
	if (known->message)
		flags |= DELTA_UNSENT;
	if (known->withdraws)
		flags |= DELTA_WITHDRAWN;
	return flags;
}

/* A message is judged when all is known that the transaction knows; a quiet load is history. */
static void
add_message(Batch *batch, Delta *delta, const Written *row)
{
	bool		refuse = leadflow_contact_limits == CONTACT_REFUSE;

	if (leadflow_quiet)
		return;
	event_message(delta, DatumGetTimestampTz(row->value[ACT_OCCURRED_AT]),
				  DatumGetUUIDP(row->value[ACT_ID]), refuse);
	if (refuse && IsTransactionBlock())
	{
		MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(batch->fresh));

		ids_add(&batch->refusing, delta->lead_id);
		MemoryContextSwitchTo(caller);
	}
}

/* Who subscribed to activities like this one? */
static void
match_subscriptions(const Batch *batch, Delta *delta, const ActivityRow *row)
{
	const SubscriptionConfig *config = batch->subscriptions;
	Matched		matched = {.at = row->occurred_at, .id = row->id};
	Jsonb	   *document = NULL;

	for (int i = 0; i < config->nmatching; i++)
	{
		const Subscription *subscription = &config->matching[i];

		if (subscription->condition)
		{
			if (document == NULL)
				document = activity_told(row);
			if (!condition_holds(subscription->condition, document))
				continue;
		}
		matched.subscription_id = subscription->id;
		event_matched(delta, &matched, subscription->every > 0);
	}
}

/* Adds an activity to its lead's delta. */
static void
add_activity(Batch *batch, const Written *written)
{
	const Model *model = batch->model;
	ActivityMatch match = {.rules = batch->rules};
	ActivityRow row;
	Delta	   *delta = event_delta(model, DatumGetInt64(written->value[ACT_LEAD_ID]));

	if (!(delta->flags & DELTA_INSERTED))
	{
		delta->flags |= DELTA_INSERTED;
		if (batch->nfresh == batch->maxfresh)
			batch->fresh = repalloc_huge(batch->fresh, sizeof(int64) * (batch->maxfresh *= 2));
		batch->fresh[batch->nfresh++] = delta->lead_id;
	}
	if (!written->null[ACT_VOIDED_AT])
		return;
	activity_row(written, &row);
	if (batch->subscriptions->nmatching && !leadflow_quiet)
		match_subscriptions(batch, delta, &row);
	activity_match(model, &row, &match);
	if (match.kind == NULL)
		return;
	if (match.kind->message)
		add_message(batch, delta, written);
	if (match.kind->withdraws)
		delta->flags |= DELTA_WITHDRAWN;
	note_touch(batch, delta, match.kind, row.occurred_at);
	if (match.kind->role == ROLE_SALES_TOUCH)
		delta->last_touch_at = Max(delta->last_touch_at, row.occurred_at);
	if (match.kind->role != ROLE_ENGAGEMENT)
		return;

	delta->last_engaged_at = Max(delta->last_engaged_at, row.occurred_at);
	if (row.campaign)
		delta->flags |= DELTA_CAMPAIGN;
	for (int i = 0; i < match.nrules; i++)
	{
		const PointRule *rule = match.rules[i];

		if (rule->max_count > 0)
		{
			LimitEntry	entry = activity_limit_entry(model, rule, &row, &match);

			event_limited(model, delta, &entry);
		}
		else
			points_add(model, delta->sums, &delta->last_at, rule->group, rule->points,
					   row.occurred_at);
		if (rule->hand_raise &&
			happened_later(row.occurred_at, &row.id, delta->hand_raised_at, &delta->hand_raised_by))
		{
			delta->hand_raised_at = row.occurred_at;
			delta->hand_raised_by = row.id;
		}
		if (happened_later(row.occurred_at, &row.id, delta->trigger_at, &delta->trigger))
		{
			delta->trigger_at = row.occurred_at;
			delta->trigger = row.id;
		}
	}
	if (match.disqualifier &&
		disqualifies_first(row.occurred_at, match.disqualifier->id,
						   delta->disqualified_at, delta->disqualified_by))
	{
		delta->disqualified_at = row.occurred_at;
		delta->disqualified_by = match.disqualifier->id;
	}
	if (match.nrules > 0 || match.disqualifier)
		points_advance(model, delta->sums, &delta->last_at, row.occurred_at);
}

static void
insert_batch(Batch *batch, Tuplestorestate *rows)
{
	TimestampTz now = clock_now();
	Written		row;

	tuplestore_rescan(rows);
	while (batch_next(batch, rows, batch->slot, &row))
	{
		MemoryContext old = MemoryContextSwitchTo(batch->each);

		check_row(batch, &row);
		if (DatumGetTimestampTz(row.value[ACT_RECORDED_AT]) != now)
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("column \"recorded_at\" of \"activities\" is kept by leadflow"),
					 errdetail("An insert gave it another value than leadflow.now()."),
					 errhint("Leave it out; occurred_at says when something happened."),
					 err_column("activities", "recorded_at")));
		if (!row.null[ACT_VOID_RECORDED_AT])
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("column \"void_recorded_at\" of \"activities\" is kept by leadflow"),
					 errhint("Leave it out; an activity that is void from the start is so since recorded_at."),
					 err_column("activities", "void_recorded_at")));
		add_activity(batch, &row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch->each);
	}
}

/*
 * Leads that do not exist are refused by the flush.  In a transaction block the client would
 * learn it no sooner than from COMMIT, so there the statement looks itself.
 * A lead without a state row may be one that this very statement inserts.
 */
static void
check_leads(const Batch *batch)
{
	static EngineStatement statement = {
		"SELECT FROM leadflow.leads WHERE id = $1", 1, {INT8OID}
	};
	StringInfoData unknown;
	Snapshot	snapshot;
	StateTable	table;

	initStringInfo(&unknown);
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(engine_snapshot());
	PushActiveSnapshot(snapshot);
	state_open(&table, AccessShareLock);
	for (int i = 0; i < batch->nfresh; i++)
	{
		EngineContext engine;
		Datum		id = Int64GetDatum(batch->fresh[i]);

		CHECK_FOR_INTERRUPTS();
		if (row_fetch(table.rel, batch->fresh[i], snapshot, table.slot))
			continue;
		engine_enter(&engine);
		if (engine_query(&statement, &id, NULL) == 0)
			flush_add_unknown(&unknown, batch->fresh[i]);
		engine_leave(&engine);
	}
	state_close(&table);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	if (unknown.len)
		flush_refuse_unknown(unknown.data);
}

/* For the same reason messages are judged by the statement, too, where they may be refused. */
static void
check_messages(Batch *batch)
{
	if (batch->refusing.n == 0)
		return;
	ids_sort(&batch->refusing);
	contact_check(batch->model, batch->refusing.ids, batch->refusing.n);
}

/* A row that went: the lead is computed from what is left. */
static void
remove_activity(Batch *batch, const Written *row)
{
	const ActivityKind *kind = row_kind(batch, row);
	Delta	   *delta = event_delta(batch->model, DatumGetInt64(row->value[ACT_LEAD_ID]));

	delta->flags |= DELTA_RECOMPUTE | (leadflow_quiet ? 0 : DELTA_REMOVED) | row_flags(kind, row);
	if (kind)
		note_touch(batch, delta, kind, DatumGetTimestampTz(row->value[ACT_OCCURRED_AT]));
}

static bool
same_value(const Written *a, const Written *b, int column, Form_pg_attribute att)
{
	if (a->null[column] || b->null[column])
		return a->null[column] == b->null[column];
	return datum_image_eq(a->value[column], b->value[column], att->attbyval, att->attlen);
}

static void
update_batch(Batch *batch, Relation rel, Tuplestorestate *before, Tuplestorestate *after)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
	Written		old_row;
	Written		new_row;

	/* an UPDATE puts its rows into both tables in the same order */
	tuplestore_rescan(before);
	tuplestore_rescan(after);
	while (batch_next(batch, before, slot, &old_row) &&
		   batch_next(batch, after, batch->slot, &new_row))
	{
		MemoryContext old = MemoryContextSwitchTo(batch->each);
		bool		same[ACT_COLUMNS];
		bool		changed = false;

		for (int c = 0; c < ACT_COLUMNS; c++)
		{
			same[c] = same_value(&old_row, &new_row, c,
								 TupleDescAttr(RelationGetDescr(rel), batch->attnum[c] - 1));
			changed = changed || !same[c];
		}
		if (!same[ACT_LEAD_ID] &&
			identity_merges(DatumGetInt64(old_row.value[ACT_LEAD_ID]), DatumGetInt64(new_row.value[ACT_LEAD_ID])))
			same[ACT_LEAD_ID] = true;
		if (!same[ACT_LEAD_ID] || !same[ACT_RECORDED_AT])
		{
			const char *column = same[ACT_LEAD_ID] ? "recorded_at" : "lead_id";

			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("column \"%s\" of \"activities\" is kept by leadflow", column),
					 errdetail("An update of an activity of lead %lld changes it.",
							   (long long) DatumGetInt64(old_row.value[ACT_LEAD_ID])),
					 errhint("Void the activity and insert the right one."),
					 err_column("activities", column)));
		}
		if (changed)
		{
			check_row(batch, &new_row);
			remove_activity(batch, &old_row);
			remove_activity(batch, &new_row);
			if (new_row.null[ACT_VOIDED_AT] &&
				!(old_row.null[ACT_VOIDED_AT] && same[ACT_OCCURRED_AT] && same[ACT_ID] && same[ACT_KIND]) &&
				row_flags(row_kind(batch, &new_row), &new_row) & DELTA_UNSENT)
				add_message(batch, event_delta(batch->model, DatumGetInt64(new_row.value[ACT_LEAD_ID])),
							&new_row);
		}
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch->each);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* _activities_inserted() → trigger */
PG_FUNCTION_INFO_V1(leadflow_activities_inserted);
Datum
leadflow_activities_inserted(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_activities_inserted", false, true);
	Batch		batch;

	batch_begin(&batch, trigger->tg_relation);
	insert_batch(&batch, trigger->tg_newtable);
	if (IsTransactionBlock())
		check_leads(&batch);
	check_messages(&batch);
	batch_end(&batch);
	return PointerGetDatum(NULL);
}

/* _activities_updated() → trigger */
PG_FUNCTION_INFO_V1(leadflow_activities_updated);
Datum
leadflow_activities_updated(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_activities_updated", true, true);
	Batch		batch;

	batch_begin(&batch, trigger->tg_relation);
	update_batch(&batch, trigger->tg_relation, trigger->tg_oldtable, trigger->tg_newtable);
	check_messages(&batch);
	batch_end(&batch);
	return PointerGetDatum(NULL);
}

/* _activities_deleted() → trigger */
PG_FUNCTION_INFO_V1(leadflow_activities_deleted);
Datum
leadflow_activities_deleted(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_activities_deleted", true, false);
	Batch		batch;
	Written		row;

	batch_begin(&batch, trigger->tg_relation);
	tuplestore_rescan(trigger->tg_oldtable);
	while (batch_next(&batch, trigger->tg_oldtable, batch.slot, &row))
	{
		MemoryContext old = MemoryContextSwitchTo(batch.each);

		remove_activity(&batch, &row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(batch.each);
	}
	batch_end(&batch);
	return PointerGetDatum(NULL);
}

/* _activities_truncated() → trigger: nothing is left, so all that came of it goes. */
PG_FUNCTION_INFO_V1(leadflow_activities_truncated);
Datum
leadflow_activities_truncated(PG_FUNCTION_ARGS)
{
	const Model *model;
	int64	   *leads;
	int			n;

	(void) trigger_data(fcinfo, "_activities_truncated", false, false);
	LockRelationOid(engine_relation("score_state"), ShareRowExclusiveLock);
	model = model_active();
	state_rescore(model);
	leads = score_watched(WATCH_TOUCH, &n);
	if (n > 0)
		clock_settle(leads, n);
	leads = score_watched(WATCH_CREDIT, &n);
	if (n > 0)
		credit_refresh_leads(leads, n);
	leads = score_watched(WATCH_EVIDENCE, &n);
	for (int i = 0; i < n; i++)
		event_delta(model, leads[i])->flags |= DELTA_REMOVED | DELTA_RECOMPUTE;
	contact_truncated();
	return PointerGetDatum(NULL);
}

/*
 * _reference_deleted() → trigger, BEFORE and AFTER DELETE … FOR EACH STATEMENT on campaigns and
 * team_members: what activities refer to stays.  Whoever inserts activities
 * holds ROW EXCLUSIVE on their table until the end of the transaction, so
 * after the lock is granted no reference can be in the making.
 */
PG_FUNCTION_INFO_V1(leadflow_reference_deleted);
Datum
leadflow_reference_deleted(PG_FUNCTION_ARGS)
{
	static EngineStatement campaigns = {
		"SELECT campaign_id FROM leadflow.activities WHERE campaign_id = ANY ($1) LIMIT 1",
		1, {INT8ARRAYOID}
	};
	static EngineStatement members = {
		"SELECT member_id FROM leadflow.activities WHERE member_id = ANY ($1) LIMIT 1",
		1, {INT8ARRAYOID}
	};
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleTableSlot *slot;
	EngineContext engine;
	const char *table;
	bool		is_campaign;
	int			attnum;
	int			n = 0;
	int			room = 64;
	int64	   *ids;
	Datum		array;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired by DELETE, FOR EACH STATEMENT",
						"_reference_deleted")));
	if (TRIGGER_FIRED_BEFORE(trigger->tg_event))
	{
		LockRelationOid(engine_relation("activities"), ShareRowExclusiveLock);
		return PointerGetDatum(NULL);
	}

	table = RelationGetRelationName(trigger->tg_relation);
	is_campaign = strcmp(table, "campaigns") == 0;
	attnum = column_of(RelationGetDescr(trigger->tg_relation), "id", INT8OID);
	if (trigger->tg_oldtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" needs an old table", "_reference_deleted")));
	ids = palloc(sizeof(int64) * room);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation), &TTSOpsMinimalTuple);
	tuplestore_rescan(trigger->tg_oldtable);
	while (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, slot))
	{
		bool		isnull;

		if (n == room)
			ids = repalloc(ids, sizeof(int64) * (room *= 2));
		ids[n++] = DatumGetInt64(slot_getattr(slot, attnum, &isnull));
	}
	ExecDropSingleTupleTableSlot(slot);

	engine_enter(&engine);
	array = int8_array(ids, n);
	/* under SERIALIZABLE, too: what this transaction doesn't see refers to it all the same */
	CommandCounterIncrement();
	if (engine_query_at(is_campaign ? &campaigns : &members, &array, NULL, GetLatestSnapshot()) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("delete on table \"%s\" violates the references of activities", table),
				 errdetail("Key (id)=(%lld) is still referenced from table \"activities\".",
						   (long long) spi_int64(0, 1)),
				 err_constraint("activities", is_campaign ? "activities_campaign_id_fkey" :
								"activities_member_id_fkey")));
	engine_leave(&engine);
	return PointerGetDatum(NULL);
}
