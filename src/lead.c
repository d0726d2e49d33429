/*-------------------------------------------------------------------------
 * lead.c
 *	  Triggers on leads, and move().
 *
 * The BEFORE ROW trigger judges (judge.c), the statement triggers read the transition
 * tables and hand the whole batch, sorted by lead, to transition.c.  OLD and NEW are
 * paired by position: both are written row by row, in the same order.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "actor.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "columns.h"
#include "identity_store.h"
#include "ids.h"
#include "judge.h"
#include "lead.h"
#include "score_store.h"
#include "spi.h"
#include "stage_store.h"

/* ---- rows ---------------------------------------------------------------- */

static const char *const column_names[LEAD_COLUMNS] = {
	[LEAD_ID] = "id",
	[LEAD_EMAIL] = "email",
	[LEAD_ACCOUNT_ID] = "account_id",
	[LEAD_STAGE] = "stage",
	[LEAD_STAGE_REASON] = "stage_reason",
	[LEAD_STAGE_NOTE] = "stage_note",
	[LEAD_STAGE_BY] = "stage_by",
	[LEAD_STAGE_SINCE] = "stage_since",
	[LEAD_REVISIT_ON] = "revisit_on",
	[LEAD_OWNER_ID] = "owner_id",
	[LEAD_STAGE_ACTOR_ID] = "stage_actor_id",
	[LEAD_STAGE_TEAM] = "stage_team",
	[LEAD_EMAIL_KEY] = "email_key",
	[LEAD_ERASED_AT] = "erased_at",
	[LEAD_CREATED_AT] = "created_at"
};

static Oid
column_type(LeadColumn column)
{
	switch (column)
	{
		case LEAD_ID:
		case LEAD_ACCOUNT_ID:
		case LEAD_OWNER_ID:
		case LEAD_STAGE_ACTOR_ID:
			return INT8OID;
		case LEAD_STAGE_SINCE:
		case LEAD_ERASED_AT:
		case LEAD_CREATED_AT:
			return TIMESTAMPTZOID;
		case LEAD_REVISIT_ON:
			return DATEOID;
		default:
			return TEXTOID;
	}
}

/* Columns are mostly where they were the last time; a table that was altered meanwhile is looked through. */
void
lead_shape(LeadShape *shape, Relation rel)
{
	static AttrNumber before[LEAD_COLUMNS];

	shape->desc = RelationGetDescr(rel);
	for (int i = 0; i < LEAD_COLUMNS; i++)
	{
		Form_pg_attribute att = before[i] > 0 && before[i] <= shape->desc->natts ?
			TupleDescAttr(shape->desc, before[i] - 1) : NULL;

		if (att == NULL || att->attisdropped || att->atttypid != column_type(i) ||
			strcmp(NameStr(att->attname), column_names[i]) != 0)
			before[i] = column_of(shape->desc, column_names[i], column_type(i));
		shape->attnum[i] = before[i];
	}
}

int64
lead_int64(const LeadRow *row, LeadColumn column)
{
	return LEAD_ISNULL(row, column) ? 0 : DatumGetInt64(LEAD_DATUM(row, column));
}

char *
lead_text(const LeadRow *row, LeadColumn column)
{
	return LEAD_ISNULL(row, column) ? NULL : TextDatumGetCString(LEAD_DATUM(row, column));
}

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));
	return (TriggerData *) fcinfo->context;
}

static void
trigger_fired(bool as_declared, const char *function, const char *how)
{
	if (!as_declared)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired %s", function, how)));
}

/* ---- before a row is written --------------------------------------------- */

static void
row_take_apart(LeadRow *row, const LeadShape *shape, HeapTuple tuple)
{
	row->shape = shape;
	row->values = palloc_array(Datum, shape->desc->natts);
	row->isnull = palloc_array(bool, shape->desc->natts);
	heap_deform_tuple(tuple, shape->desc, row->values, row->isnull);
}

static HeapTuple
row_edit(const LeadShape *shape, HeapTuple tuple, const LeadEdit *edit)
{
	int			attnums[LEAD_COLUMNS];
	Datum		values[LEAD_COLUMNS];
	bool		nulls[LEAD_COLUMNS];
	int			n = 0;

	for (int i = 0; i < LEAD_COLUMNS; i++)
	{
		if (!edit->edited[i])
			continue;
		attnums[n] = shape->attnum[i];
		values[n] = edit->values[i];
		nulls[n++] = edit->isnull[i];
	}
	return n ? heap_modify_tuple_by_cols(tuple, shape->desc, n, attnums, values, nulls) : tuple;
}

/* _leads_judge() → trigger, BEFORE INSERT OR UPDATE FOR EACH ROW */
PG_FUNCTION_INFO_V1(leadflow_lead_judge);
Datum
leadflow_lead_judge(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_leads_judge");
	LeadShape  *shape = fcinfo->flinfo->fn_extra;
	LeadEdit	edit;
	LeadRow		old;
	LeadRow		new;
	HeapTuple	tuple;

	trigger_fired(TRIGGER_FIRED_BEFORE(trigger->tg_event) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
				  !TRIGGER_FIRED_BY_DELETE(trigger->tg_event),
				  "_leads_judge", "BEFORE INSERT OR UPDATE FOR EACH ROW");
	if (shape == NULL || shape->desc != RelationGetDescr(trigger->tg_relation))
	{
		shape = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(LeadShape));
		lead_shape(shape, trigger->tg_relation);
		fcinfo->flinfo->fn_extra = shape;
	}

	memset(edit.edited, false, sizeof(edit.edited));
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		tuple = trigger->tg_trigtuple;
		row_take_apart(&new, shape, tuple);
		judge_insert(&new, &edit);
	}
	else
	{
		tuple = trigger->tg_newtuple;
		row_take_apart(&old, shape, trigger->tg_trigtuple);
		row_take_apart(&new, shape, tuple);
		judge_update(&old, &new, trigger->tg_trigtuple, tuple, trigger->tg_updatedcols, &edit);
	}
	return PointerGetDatum(row_edit(shape, tuple, &edit));
}

/* ---- after the statement ------------------------------------------------- */

/* Reads a transition table from its beginning, row by row. */
typedef struct TransitionScan
{
	Tuplestorestate *store;
	TupleTableSlot *slot;
	LeadRow		row;
} TransitionScan;

static void
scan_begin(TransitionScan *scan, Tuplestorestate *store, const LeadShape *shape)
{
	scan->store = store;
	scan->slot = MakeSingleTupleTableSlot(shape->desc, &TTSOpsMinimalTuple);
	scan->row.shape = shape;
	tuplestore_select_read_pointer(store, 0);
	tuplestore_rescan(store);
}

static bool
scan_next(TransitionScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (!tuplestore_gettupleslot(scan->store, true, false, scan->slot))
		return false;
	slot_getallattrs(scan->slot);
	scan->row.values = scan->slot->tts_values;
	scan->row.isnull = scan->slot->tts_isnull;
	return true;
}

static void
scan_end(TransitionScan *scan)
{
	ExecDropSingleTupleTableSlot(scan->slot);
}

/* The move by which a row came where it is, as the row itself has it. */
static void
move_of(const LeadRow *row, Move *move)
{
	memset(move, 0, sizeof(Move));
	move->lead_id = lead_int64(row, LEAD_ID);
	move->to_stage = lead_text(row, LEAD_STAGE);
	move->at = DatumGetTimestampTz(LEAD_DATUM(row, LEAD_STAGE_SINCE));
	move->actor_id = lead_int64(row, LEAD_STAGE_ACTOR_ID);
	/* NULL where triggers were off when the row was written */
	move->team = LEAD_ISNULL(row, LEAD_STAGE_TEAM) ? "system" : lead_text(row, LEAD_STAGE_TEAM);
	move->reason = lead_text(row, LEAD_STAGE_REASON);
	move->note = lead_text(row, LEAD_STAGE_NOTE);
	move->owner_id = lead_int64(row, LEAD_OWNER_ID);
	move->imported = strcmp(move->to_stage, "lead") != 0;
	move->account_id = lead_int64(row, LEAD_ACCOUNT_ID);
	move->joined = move->account_id != 0;
}

static int
compare_moves(const void *a, const void *b)
{
	int64		x = ((const Move *) a)->lead_id;
	int64		y = ((const Move *) b)->lead_id;

	return x < y ? -1 : x > y;
}

static int
compare_changes(const void *a, const void *b)
{
	return compare_moves(&((const LeadUpdate *) a)->move, &((const LeadUpdate *) b)->move);
}

/* _leads_inserted() → trigger, AFTER INSERT REFERENCING NEW TABLE FOR EACH STATEMENT */
PG_FUNCTION_INFO_V1(leadflow_lead_inserted);
Datum
leadflow_lead_inserted(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_leads_inserted");
	LeadShape	shape;
	TransitionScan scan;
	Move	   *moves;
	int64	   *ids;
	int64	   *with_actor;
	int64		n;
	int			count = 0;
	int			nwith_actor = 0;

	trigger_fired(TRIGGER_FIRED_BY_INSERT(trigger->tg_event) && trigger->tg_newtable,
				  "_leads_inserted", "AFTER INSERT with a transition table");
	n = tuplestore_tuple_count(trigger->tg_newtable);
	if (n == 0)
		return PointerGetDatum(NULL);
	actor_check_quiet();
	lead_shape(&shape, trigger->tg_relation);
	moves = palloc_array(Move, n);
	with_actor = palloc_array(int64, n);

	scan_begin(&scan, trigger->tg_newtable, &shape);
	while (count < n && scan_next(&scan))
	{
		move_of(&scan.row, &moves[count++]);
		if (!LEAD_ISNULL(&scan.row, LEAD_STAGE_BY))
			with_actor[nwith_actor++] = moves[count - 1].lead_id;
	}
	scan_end(&scan);

	qsort(moves, count, sizeof(Move), compare_moves);
	qsort(with_actor, nwith_actor, sizeof(int64), compare_ids);
	if (nwith_actor)
		stage_forget_actors(with_actor, nwith_actor);
	if (identity_any_erased())
	{
		ids = palloc_array(int64, count);
		for (int i = 0; i < count; i++)
			ids[i] = moves[i].lead_id;
		identity_recognize(ids, count);
	}
	transition_added(moves, count);
	return PointerGetDatum(NULL);
}

/* Columns that the engine moves, or that say nothing about the lead. */
static bool *
engine_columns(const LeadShape *shape)
{
	static const LeadColumn columns[] = {
		LEAD_STAGE, LEAD_STAGE_REASON, LEAD_STAGE_NOTE, LEAD_STAGE_BY, LEAD_STAGE_SINCE,
		LEAD_OWNER_ID, LEAD_STAGE_ACTOR_ID, LEAD_STAGE_TEAM, LEAD_EMAIL_KEY, LEAD_ERASED_AT
	};
	bool	   *is_engine = palloc0_array(bool, shape->desc->natts);

	for (int i = 0; i < (int) lengthof(columns); i++)
		is_engine[shape->attnum[columns[i]] - 1] = true;
	return is_engine;
}

static bool
column_changed(const LeadRow *old, const LeadRow *new, int i)
{
	Form_pg_attribute att = TupleDescAttr(old->shape->desc, i);

	if (old->isnull[i] || new->isnull[i])
		return old->isnull[i] != new->isnull[i];
	return !datum_image_eq(old->values[i], new->values[i], att->attbyval, att->attlen);
}

static bool
attributes_changed(const LeadRow *old, const LeadRow *new, const bool *is_engine)
{
	for (int i = 0; i < old->shape->desc->natts; i++)
	{
		if (!is_engine[i] && column_changed(old, new, i))
			return true;
	}
	return false;
}

/* What a pair of rows says; false: nothing follows from it. */
static bool
change_of(const LeadRow *old, const LeadRow *new, const bool *is_engine, bool owner_named,
		  LeadUpdate *change)
{
	const AttrNumber *attnum = old->shape->attnum;

	memset(change, 0, sizeof(LeadUpdate));
	change->moved = column_changed(old, new, attnum[LEAD_STAGE] - 1);
	change->corrected = !change->moved &&
		(column_changed(old, new, attnum[LEAD_STAGE_REASON] - 1) ||
		 column_changed(old, new, attnum[LEAD_STAGE_NOTE] - 1));
	change->attributes = attributes_changed(old, new, is_engine);
	change->joined = lead_int64(new, LEAD_ACCOUNT_ID) != lead_int64(old, LEAD_ACCOUNT_ID);
	change->created = column_changed(old, new, attnum[LEAD_CREATED_AT] - 1);
	change->old_owner = lead_int64(old, LEAD_OWNER_ID);
	if (!change->moved && !change->corrected && !change->attributes &&
		change->old_owner == lead_int64(new, LEAD_OWNER_ID))
		return false;

	move_of(old, &change->before);
	move_of(new, &change->move);
	change->move.from_stage = change->before.to_stage;
	change->move.imported = false;
	change->owner_given = change->move.owner_id != 0 &&
		(owner_named || change->move.owner_id != change->old_owner);

	/* a stage that got another name: stages take their leads along */
	if (change->moved && change->move.at == change->before.at &&
		stage_find(&stage_config()->lifecycle, change->before.to_stage) == NULL)
		change->moved = false;
	return true;
}

/* _leads_updated() → trigger, AFTER UPDATE REFERENCING OLD TABLE, NEW TABLE FOR EACH STATEMENT */
PG_FUNCTION_INFO_V1(leadflow_lead_updated);
Datum
leadflow_lead_updated(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_leads_updated");
	const StageUpdate *update = stage_update_expected();
	LeadShape	shape;
	TransitionScan old;
	TransitionScan new;
	LeadUpdate *changes;
	bool	   *is_engine;
	bool		owner_named;
	int			allocated = 64;
	int			count = 0;

	trigger_fired(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && trigger->tg_oldtable && trigger->tg_newtable,
				  "_leads_updated", "AFTER UPDATE with transition tables");
	if ((update && update->kind == STAGE_UPDATE_SILENT) ||
		tuplestore_tuple_count(trigger->tg_newtable) == 0)
		return PointerGetDatum(NULL);
	actor_check_quiet();
	lead_shape(&shape, trigger->tg_relation);
	is_engine = engine_columns(&shape);
	owner_named = bms_is_member(shape.attnum[LEAD_OWNER_ID] - FirstLowInvalidHeapAttributeNumber,
								trigger->tg_updatedcols);
	changes = palloc_array(LeadUpdate, allocated);

	scan_begin(&old, trigger->tg_oldtable, &shape);
	scan_begin(&new, trigger->tg_newtable, &shape);
	while (scan_next(&old) && scan_next(&new))
	{
		if (count == allocated)
		{
			allocated *= 2;
			changes = repalloc_huge(changes, sizeof(LeadUpdate) * allocated);
		}
		if (change_of(&old.row, &new.row, is_engine, owner_named, &changes[count]))
			count++;
	}
	scan_end(&old);
	scan_end(&new);

	if (count)
	{
		qsort(changes, count, sizeof(LeadUpdate), compare_changes);
		if (identity_any_erased())
		{
			int64	   *ids = palloc_array(int64, count);
			int			n = 0;

			for (int i = 0; i < count; i++)
			{
				if (changes[i].attributes)
					ids[n++] = changes[i].move.lead_id;
			}
			identity_recognize(ids, n);
		}
		transition_changed(changes, count);
	}
	return PointerGetDatum(NULL);
}

/* _leads_deleted() → trigger, AFTER DELETE REFERENCING OLD TABLE FOR EACH STATEMENT */
PG_FUNCTION_INFO_V1(leadflow_lead_deleted);
Datum
leadflow_lead_deleted(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_leads_deleted");
	LeadShape	shape;
	TransitionScan scan;
	int64	   *ids;
	int64		n;
	int			count = 0;

	trigger_fired(TRIGGER_FIRED_BY_DELETE(trigger->tg_event) && trigger->tg_oldtable,
				  "_leads_deleted", "AFTER DELETE with a transition table");
	n = tuplestore_tuple_count(trigger->tg_oldtable);
	if (n == 0)
		return PointerGetDatum(NULL);
	lead_shape(&shape, trigger->tg_relation);
	ids = palloc_array(int64, n);
	scan_begin(&scan, trigger->tg_oldtable, &shape);
	while (count < n && scan_next(&scan))
		ids[count++] = lead_int64(&scan.row, LEAD_ID);
	scan_end(&scan);
	qsort(ids, count, sizeof(int64), compare_ids);

	/* who changed an activity holds it before its lead's state: so do we */
	stage_activities_delete(ids, count);
	/* then the state: who inserts activities now waits, and finds no lead */
	score_leads_deleted(ids, count);
	stage_children_delete(ids, count);
	return PointerGetDatum(NULL);
}

/* _leads_truncated() → trigger, AFTER TRUNCATE FOR EACH STATEMENT */
PG_FUNCTION_INFO_V1(leadflow_lead_truncated);
Datum
leadflow_lead_truncated(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_leads_truncated");

	trigger_fired(TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event), "_leads_truncated", "AFTER TRUNCATE");
	stage_children_truncate();
	return PointerGetDatum(NULL);
}

/*
 * _engine_owned() → trigger, BEFORE … FOR EACH STATEMENT, on tables that the engine
 * writes.  It works with the flags that referential integrity works with, too, so
 * that their cascades pass.
 */
PG_FUNCTION_INFO_V1(leadflow_engine_owned);
Datum
leadflow_engine_owned(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_engine_owned");
	const char *table = RelationGetRelationName(trigger->tg_relation);

	if (!InLocalUserIdChange() || !InNoForceRLSOperation())
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("table \"%s\" is written by leadflow alone", table),
				 strcmp(table, "scoring_approvals") == 0 ? errhint("Call leadflow.approve_model().") :
				 strcmp(table, "sla_approvals") == 0 ? errhint("Call leadflow.approve_policy().") :
				 strcmp(table, "sla_pauses") == 0 ? errhint("Call leadflow.pause_sla() and leadflow.resume_sla().") :
				 strcmp(table, "sla_restatements") == 0 ? errhint("Call leadflow.restate_sla().") :
				 errhint("Write to leads, activities and deals; it follows. leadflow.reconcile() repairs it."),
				 err_constraint(table, NULL)));
	return PointerGetDatum(NULL);
}

/* _stage_renamed() → trigger, AFTER UPDATE OF name ON stages FOR EACH ROW: history goes along */
PG_FUNCTION_INFO_V1(leadflow_stage_renamed);
Datum
leadflow_stage_renamed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, "_stage_renamed");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	char	   *before;
	char	   *after;

	trigger_fired(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && TRIGGER_FIRED_FOR_ROW(trigger->tg_event),
				  "_stage_renamed", "AFTER UPDATE FOR EACH ROW");
	before = SPI_getvalue(trigger->tg_trigtuple, desc, SPI_fnumber(desc, "name"));
	after = SPI_getvalue(trigger->tg_newtuple, desc, SPI_fnumber(desc, "name"));
	if (before && after && strcmp(before, after) != 0)
		stage_history_rename(before, after);
	return PointerGetDatum(NULL);
}

/* ---- move() -------------------------------------------------------------- */

/*
 * The UPDATE runs as the caller, with the caller's rights and snapshot.  What is not
 * given is kept where the lead is there already, so that a repetition is harmless.
 */
static void
move_lead(StageUpdate *update, Datum *values, const char *nulls)
{
	static const char *const sql =
		"UPDATE leadflow.leads SET stage = $2,"
		" stage_reason = CASE WHEN stage = $2 THEN coalesce($3, stage_reason) ELSE $3 END,"
		" stage_note = CASE WHEN stage = $2 THEN coalesce($4, stage_note) ELSE $4 END,"
		" revisit_on = CASE WHEN stage = $2 THEN coalesce($5, revisit_on) ELSE $5 END,"
		" stage_by = $6 WHERE id = $1 RETURNING stage";
	static Oid	types[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, DATEOID, TEXTOID};
	static SPIPlanPtr plan = NULL;
	StageUpdate *before;

	if (plan == NULL)
	{
		SPIPlanPtr	prepared = SPI_prepare(sql, lengthof(types), types);

		if (prepared == NULL || SPI_keepplan(prepared) != 0)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		plan = prepared;
	}
	before = stage_update_begin(update);
	PG_TRY();
	{
		if (SPI_execute_plan(plan, values, nulls, false, 0) != SPI_OK_UPDATE_RETURNING)
			elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(SPI_result));
	}
	PG_FINALLY();
	{
		stage_update_end(before);
	}
	PG_END_TRY();
}

/* move(lead_id, to_stage, reason, note, revisit_on, actor, at) → the stage that the lead is in then */
PG_FUNCTION_INFO_V1(leadflow_lead_move);
Datum
leadflow_lead_move(PG_FUNCTION_ARGS)
{
	Datum		values[6];
	char		nulls[6];
	StageUpdateLead lead = {.at = DT_NOBEGIN};
	StageUpdate update = {.kind = STAGE_UPDATE_BACKDATED, .leads = &lead, .nleads = 1};
	MemoryContext caller = CurrentMemoryContext;
	text	   *stage = NULL;

	require_argument(fcinfo, 0, "lead_id");
	require_argument(fcinfo, 1, "to_stage");
	for (int i = 0; i < 6; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	lead.lead_id = PG_GETARG_INT64(0);
	if (!PG_ARGISNULL(6))
	{
		lead.at = PG_GETARG_TIMESTAMPTZ(6);
		if (!actor_may_import())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" may not back-date moves",
							GetUserNameFromId(GetOuterUserId(), false)),
					 errhint("Leave out \"at\"; roles …_app and …_admin, superusers and the owner of the tables may give it.")));
		if (TIMESTAMP_NOT_FINITE(lead.at) || lead.at > clock_now())
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a move is dated with an instant up to now"),
					 errdetail("Lead %lld: %s.", (long long) lead.lead_id,
							   pstrdup(timestamptz_to_str(lead.at))),
					 errhint("It is %s now.", pstrdup(timestamptz_to_str(clock_now())))));
	}

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	move_lead(&update, values, nulls);
	if (SPI_processed == 1)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		MemoryContextSwitchTo(caller);
		stage = cstring_to_text(value);
	}
	SPI_finish();

	/* the reason may have led on, after the row was returned */
	if (stage && !PG_ARGISNULL(2))
	{
		char	   *now;

		CommandCounterIncrement();
		now = stage_seen(lead.lead_id, engine_snapshot());
		if (now)
			stage = cstring_to_text(now);
	}
	if (stage == NULL)
		refuse_unknown_lead(lead.lead_id);
	PG_RETURN_TEXT_P(stage);
}
