/*-------------------------------------------------------------------------
 * flush.c
 *	  What follows from a transaction's activities, at its end.
 *
 * The flush, at the end of the transaction or in settle(), takes the deltas in lead order:
 *
 *	  state row (compare and swap) and gate  →  permissions, messages
 *	  →  moves and hand-offs  →  clocks and hand-offs that a sales touch settles
 *	  →  credits
 *	  →  what somebody wants to hear of (alert.c)
 *
 * A lead's row in leads is locked before its state row and only if the gate opens
 * or evidence was taken away (and always where the transaction goes on: its next
 * flush would come to lock the lead while it holds the state).  Since the decision is made on the very version of
 * the state row that is then replaced, it fires exactly once.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "alert.h"
#include "clock_store.h"
#include "contact.h"
#include "credit_store.h"
#include "errors.h"
#include "event_store.h"
#include "flush.h"
#include "gate.h"
#include "guc.h"
#include "model_store.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "transition.h"

void
flush_add_unknown(StringInfo leads, int64 lead_id)
{
	if (leads->len < 200)
		appendStringInfo(leads, "%s%lld", leads->len ? ", " : "", (long long) lead_id);
	else if (leads->data[leads->len - 1] != '.')
		appendStringInfoString(leads, ", ...");
}

void
flush_refuse_unknown(const char *leads)
{
	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("activities of unknown leads"),
			 errdetail("Key (lead_id)=(%s) is not present in table \"leads\".", leads),
			 errhint("Insert the lead first, or in the same transaction; if it was deleted meanwhile, leave it out; if it was merged, leadflow.find_lead() knows into which."),
			 err_constraint("activities", "activities_lead_id_fkey")));
}

/* What a flush found to do, besides the state rows. */
typedef struct Flush
{
	const Model *model;
	StateTable	table;
	Relation	leads;			/* opened when a lead must be locked */
	TupleTableSlot *lead_slot;
	Snapshot	snapshot;
	TimestampTz now;
	bool		settles;		/* the transaction goes on afterwards */
	Promotion  *promotions;
	int			npromotions;
	int64	   *demotions;
	int			ndemotions;
	ClockNews  *touched;
	int			ntouched;
	int64	   *credited;
	int			ncredited;
	Delta	  **contacts;		/* with messages, withdrawals */
	int			ncontacts;
	Alerts		alerts;
	StringInfoData unknown;		/* leads that do not exist, for the error's detail */
} Flush;

static void
flush_snapshot(Flush *flush)
{
	if (flush->snapshot)
	{
		PopActiveSnapshot();
		UnregisterSnapshot(flush->snapshot);
	}
	CommandCounterIncrement();
	flush->snapshot = RegisterSnapshot(engine_snapshot());
	PushActiveSnapshot(flush->snapshot);
}

/*
 * No state row, so no lead: fine if the lead was deleted together with its
 * activities, else they are orphans.
 */
static void
flush_unknown(Flush *flush, const Delta *delta)
{
	static EngineStatement statement = {
		"SELECT FROM leadflow.activities WHERE lead_id = $1 LIMIT 1", 1, {INT8OID}
	};
	EngineContext engine;
	Datum		id = Int64GetDatum(delta->lead_id);
	bool		orphans;

	if (!(delta->flags & DELTA_INSERTED))
		return;
	engine_enter(&engine);
	orphans = engine_query(&statement, &id, NULL) > 0;
	engine_leave(&engine);
	if (orphans)
		flush_add_unknown(&flush->unknown, delta->lead_id);
}

/* The row as it is to be written. */
static void
flush_complete(Flush *flush, StateRow *row, const Delta *delta)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside;
	EngineContext engine;

	if (!state_needs_tables(row, delta, DELTA_RECOMPUTE | DELTA_FIT))
	{
		state_apply(flush->model, row, delta);
		if (!row->outdated)
			return;
	}
	engine_enter(&engine);
	inside = MemoryContextSwitchTo(caller);
	state_combine(flush->model, row, delta, flush->snapshot);
	MemoryContextSwitchTo(inside);
	engine_leave(&engine);
}

/* Takes a row back to an instant, as things are now known. */
static void
flush_rewind(Flush *flush, StateRow *row, TimestampTz at)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside;
	EngineContext engine;

	engine_enter(&engine);
	inside = MemoryContextSwitchTo(caller);
	state_rewind(flush->model, row, at, flush->snapshot);
	MemoryContextSwitchTo(inside);
	engine_leave(&engine);
}

/*
 * The row's score now.  Transactions that began later may have flushed first: what they
 * brought has happened, so now is not before it.  Activities that really lie ahead don't count yet.
 */
static void
flush_evaluate(Flush *flush, StateRow *row, ScoreRow *score)
{
	TimestampTz at = flush->now;

	if (at < row->last_at && row->last_at <= clock_wall())
		at = row->last_at;
	if (at < row->last_at)
		flush_rewind(flush, row, at);
	state_evaluate(flush->model, row, at, score);
}

/* By points alone: was the gate open at that instant, as things are now known? */
static bool
gate_open_at(Flush *flush, const StateRow *row, TimestampTz at)
{
	StateRow	then = *row;
	ScoreRow	score;
	bool		hand_raise;

	flush_rewind(flush, &then, at);
	state_evaluate(flush->model, &then, at, &score);
	return gate_points(flush->model, &then, &score, &hand_raise);
}

static void
add_promotion(Flush *flush, const Delta *delta, const StateRow *row, const ScoreRow *score,
			  bool hand_raise)
{
	TupleDesc	desc = RelationGetDescr(flush->leads);
	bool		isnull;
	Datum		value;
	Promotion  *promotion = &flush->promotions[flush->npromotions++];

	promotion->lead_id = delta->lead_id;
	promotion->hand_raise = hand_raise;
	promotion->has_trigger = hand_raise || !TIMESTAMP_IS_NOBEGIN(delta->trigger_at);
	promotion->trigger = hand_raise ? row->hand_raised_by : delta->trigger;
	promotion->to_sql = gate_goes_on(flush->model, score, hand_raise);
	promotion->cycle = row->cycle;
	value = slot_getattr(flush->lead_slot, SPI_fnumber(desc, "owner_id"), &isnull);
	promotion->owner_id = isnull ? 0 : DatumGetInt64(value);
	value = slot_getattr(flush->lead_slot, SPI_fnumber(desc, "account_id"), &isnull);
	promotion->account_id = isnull ? 0 : DatumGetInt64(value);
}

/* Locks a lead's row in leads; false = it is not there. */
static bool
flush_lock(Flush *flush, int64 lead_id)
{
	if (flush->leads == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(flush->table.context);

		flush->leads = table_open(engine_relation("leads"), RowShareLock);
		flush->lead_slot = table_slot_create(flush->leads, NULL);
		MemoryContextSwitchTo(caller);
	}
	return row_lock(flush->leads, lead_id, LockTupleNoKeyExclusive, flush->lead_slot);
}

static void
add_touched(Flush *flush, const Delta *delta)
{
	ClockNews  *news = &flush->touched[flush->ntouched++];

	news->lead_id = delta->lead_id;
	news->from = delta->clock_from;
	news->inbound_at = delta->inbound_at;
	news->loud = (delta->flags & DELTA_LOUD) != 0;
}

static void
flush_lead(Flush *flush, Delta *delta)
{
	const Model *model = flush->model;
	enum
	{
		UNLOCKED, LOCKED, MISSING
	}			lead_row = UNLOCKED;

	/*
	 * A later flush of this transaction may want the lead, too: its lock comes before the state's.  So
	 * does a permission that is withdrawn, which refers to the lead.
	 */
	if (flush->settles || delta->flags & DELTA_WITHDRAWN)
	{
		lead_row = flush_lock(flush, delta->lead_id) ? LOCKED : MISSING;
		flush_snapshot(flush);
	}
	for (;;)
	{
		StateRow	row;
		StateRow	now_row;
		StateRow	before;
		ScoreRow	score;
		bool		hand_raise = false;
		bool		promote = false;
		bool		demote = false;
		bool		open_deal = false;

		if (!state_fetch(&flush->table, model, delta->lead_id, flush->snapshot, &row))
		{
			/* made by this transaction since the snapshot, or by another that committed */
			flush_snapshot(flush);
			if (!state_fetch(&flush->table, model, delta->lead_id, flush->snapshot, &row))
			{
				flush_unknown(flush, delta);
				return;
			}
		}
		if (delta->flags & DELTA_LOUD)
			alert_before(&flush->alerts, &row, &before);
		flush_complete(flush, &row, delta);
		row.model_id = model->id;
		/* from now on touches settle a clock */
		if (delta->inbound_at < DT_NOEND)
			row.watch |= WATCH_TOUCH;

		if (lead_row != MISSING && delta->flags & DELTA_LOUD &&
			(row.watch & (WATCH_GATE | WATCH_HANDOFF) ||
			 (row.watch & WATCH_EVIDENCE && delta->flags & DELTA_REMOVED)))
		{
			bool		open;

			now_row = row;
			flush_evaluate(flush, &now_row, &score);
			open = gate_points(model, &now_row, &score, &hand_raise);
			promote = open && gate_moves(model, &row, &score, hand_raise);
			demote = !open && row.watch & WATCH_EVIDENCE && delta->flags & DELTA_REMOVED;
		}
		if (promote || demote)
		{
			HeapTuple	lead;
			TupleDesc	desc;
			bool		should_free;
			bool		isnull;

			/* locks are taken lead before state: look again when it is held */
			if (lead_row == UNLOCKED)
			{
				lead_row = flush_lock(flush, delta->lead_id) ? LOCKED : MISSING;
				flush_snapshot(flush);
				continue;
			}
			desc = RelationGetDescr(flush->leads);
			lead = ExecFetchSlotHeapTuple(flush->lead_slot, false, &should_free);
			if (promote)
			{
				const char *blocked = gate_lead_blocked(model, &now_row, &score, lead, desc,
														hand_raise, flush->now);

				promote = blocked == NULL;
				open_deal = blocked && strcmp(blocked, GATE_OPEN_DEAL) == 0;
			}
			if (demote)
			{
				TimestampTz since = DatumGetTimestampTz(
														heap_getattr(lead, SPI_fnumber(desc, "stage_since"), desc, &isnull));

				/* decay is no reason: did the evidence suffice when it was promoted? */
				demote = row.last_touch_at < since && !gate_open_at(flush, &row, since);
			}
			if (should_free)
				heap_freetuple(lead);
		}

		if (state_update(&flush->table, model, &row) == TM_Ok)
		{
			if (promote)
				add_promotion(flush, delta, &row, &score, hand_raise);
			if (demote)
				flush->demotions[flush->ndemotions++] = delta->lead_id;
			if (delta->flags & DELTA_TOUCH && (row.watch & WATCH_TOUCH || promote))
				add_touched(flush, delta);
			if (delta->flags & DELTA_CAMPAIGN && row.watch & WATCH_CREDIT)
				flush->credited[flush->ncredited++] = delta->lead_id;
			if (delta->flags & DELTA_CONTACT)
				flush->contacts[flush->ncontacts++] = delta;
			if (delta->flags & DELTA_LOUD)
				alert_lead(&flush->alerts, delta, &before, &row, promote, open_deal);
			return;
		}
		flush_snapshot(flush);
	}
}

/* Accounts that leads of the batch joined stay as they are from here on. */
static void
hold_accounts(Delta *const *deltas, int n)
{
	int64	   *joined = NULL;
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (!(deltas[i]->flags & DELTA_JOINED))
			continue;
		if (joined == NULL)
			joined = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * (n - i));
		joined[count++] = deltas[i]->lead_id;
	}
	if (count > 0)
		score_accounts_hold(joined, count);
}

static void
flush_all(bool settles)
{
	Flush		flush = {.now = clock_now(), .settles = settles};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "leadflow flush", ALLOCSET_DEFAULT_SIZES);
	MemoryContext each = AllocSetContextCreate(context, "leadflow flush lead", ALLOCSET_DEFAULT_SIZES);
	Delta	  **deltas;
	int			quiet;
	int			level = 0;
	int			n;

	/* dropped in the same transaction: nothing is left to keep */
	if (!OidIsValid(engine_relation("score_state")))
	{
		event_forget();
		return;
	}
	quiet = quiet_suspend();
	flush.model = model_active();
	MemoryContextSwitchTo(context);
	deltas = event_take(flush.model, &n);
	/* a single lead mostly needs no SQL at all */
	if (n > 1)
		level = engine_hold();
	hold_accounts(deltas, n);
	flush.promotions = MemoryContextAllocHuge(context, sizeof(Promotion) * Max(n, 1));
	flush.demotions = MemoryContextAllocHuge(context, sizeof(int64) * Max(n, 1));
	flush.touched = MemoryContextAllocHuge(context, sizeof(ClockNews) * Max(n, 1));
	flush.credited = MemoryContextAllocHuge(context, sizeof(int64) * Max(n, 1));
	flush.contacts = MemoryContextAllocHuge(context, sizeof(Delta *) * Max(n, 1));
	initStringInfo(&flush.unknown);
	alerts_begin(&flush.alerts, flush.model, flush.now);

	state_open(&flush.table, RowExclusiveLock);
	flush_snapshot(&flush);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(each);
		flush_lead(&flush, deltas[i]);
		MemoryContextSwitchTo(context);
		MemoryContextReset(each);
	}
	PopActiveSnapshot();
	UnregisterSnapshot(flush.snapshot);
	if (flush.leads)
	{
		ExecDropSingleTupleTableSlot(flush.lead_slot);
		table_close(flush.leads, NoLock);
	}
	state_close(&flush.table);
	CommandCounterIncrement();

	if (flush.unknown.len)
		flush_refuse_unknown(flush.unknown.data);

	if (flush.ncontacts)
		contact_flush(flush.contacts, flush.ncontacts);
	alert_matched(deltas, n);
	if (flush.npromotions)
		transition_promote(flush.promotions, flush.npromotions);
	if (flush.ndemotions)
		transition_demote(flush.demotions, flush.ndemotions);
	if (flush.ntouched)
		clock_news(flush.touched, flush.ntouched);
	if (flush.ncredited)
		credit_refresh_leads(flush.credited, flush.ncredited);
	alerts_tell(&flush.alerts);

	if (n > 1)
		engine_release(level);
	quiet_resume(quiet);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
flush_finally(void)
{
	flush_all(false);
}

void
flush_settle(void)
{
	while (event_pending())
		flush_all(true);
}

/* settle() → void */
PG_FUNCTION_INFO_V1(leadflow_settle);
Datum
leadflow_settle(PG_FUNCTION_ARGS)
{
	flush_settle();
	PG_RETURN_VOID();
}
