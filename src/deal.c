/*-------------------------------------------------------------------------
 * deal.c
 *	  Deals are facts: triggers on deals, deal_contacts, campaigns and
 *	  attribution_models.
 *
 * BEFORE ROW triggers complete and check the row, and write into NEW only.
 * AFTER STATEMENT triggers read the transition tables, move leads first
 * (deal_stage.c says where to) and then have the credits made anew.  Locks go
 * in the engine's order: rows of deals, of leads, their state rows, rows of
 * deal_state; each in id order and complete before the next.
 *
 * An UPDATE that changes nothing that matters here (a CRM that writes back
 * whole rows) locks nothing.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "actor.h"
#include "attribution.h"
#include "credit_store.h"
#include "deal_store.h"
#include "errors.h"
#include "guc.h"
#include "identity_store.h"
#include "row_lock.h"
#include "spi.h"
#include "transition.h"

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", name)));
	return (TriggerData *) fcinfo->context;
}

/* The same for a trigger that is to be BEFORE INSERT OR UPDATE FOR EACH ROW. */
static TriggerData *
row_trigger_data(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = trigger_data(fcinfo, name);

	if (!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE INSERT OR UPDATE FOR EACH ROW", name)));
	return trigger;
}

/* The same for AFTER a statement, with the transition tables there are. */
static TriggerData *
statement_trigger_data(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = trigger_data(fcinfo, name);
	TriggerEvent event = trigger->tg_event;

	if (!TRIGGER_FIRED_AFTER(event) || !TRIGGER_FIRED_FOR_STATEMENT(event) ||
		((TRIGGER_FIRED_BY_UPDATE(event) || TRIGGER_FIRED_BY_DELETE(event)) && !trigger->tg_oldtable) ||
		((TRIGGER_FIRED_BY_UPDATE(event) || TRIGGER_FIRED_BY_INSERT(event)) && !trigger->tg_newtable))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER a statement with its transition tables",
						name)));
	return trigger;
}

/* The tuple that a BEFORE ROW trigger works on: NEW. */
static HeapTuple
trigger_tuple(TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
}

static Datum
value_of(HeapTuple tuple, TupleDesc desc, const char *name, bool *isnull)
{
	return heap_getattr(tuple, table_column(desc, name), desc, isnull);
}

static HeapTuple
replace_value(HeapTuple tuple, TupleDesc desc, const char *name, Datum value, bool isnull)
{
	int			number = table_column(desc, name);

	return heap_modify_tuple_by_cols(tuple, desc, 1, &number, &value, &isnull);
}

/* A key of a row can't be changed. */
static void
check_key(TriggerData *trigger, TupleDesc desc, const char *name)
{
	Datum		old_value;
	Datum		new_value;
	bool		isnull;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return;
	old_value = value_of(trigger->tg_trigtuple, desc, name, &isnull);
	new_value = value_of(trigger->tg_newtuple, desc, name, &isnull);
	if (isnull || DatumGetInt64(old_value) != DatumGetInt64(new_value))
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of \"%s\" can't be changed", name,
						RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Row %lld keeps its key.", (long long) DatumGetInt64(old_value)),
				 err_column(RelationGetRelationName(trigger->tg_relation), name)));
}

/*
 * _deal_check() → trigger.  A closed deal has closed_at, an open one has none:
 * CRMs write whole rows back, with the old date or with the one that they
 * expect, and neither is when it was closed.
 */
PG_FUNCTION_INFO_V1(leadflow_deal_check);
Datum
leadflow_deal_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger_data(fcinfo, "_deal_check");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	HeapTuple	tuple = trigger_tuple(trigger);
	Datum		status;
	bool		no_status;
	bool		is_open;
	bool		not_closed;

	check_key(trigger, desc, "id");
	status = value_of(tuple, desc, "status", &no_status);
	if (no_status)
		return PointerGetDatum(tuple);	/* refused by NOT NULL */
	is_open = strcmp(TextDatumGetCString(status), "open") == 0;
	(void) value_of(tuple, desc, "closed_at", &not_closed);

	if (is_open && !not_closed)
		tuple = replace_value(tuple, desc, "closed_at", (Datum) 0, true);
	else if (!is_open && not_closed)
	{
		Datum		closed_at = (Datum) 0;

		/* one that was closed before can't lose the date */
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			closed_at = value_of(trigger->tg_trigtuple, desc, "closed_at", &not_closed);
		if (not_closed)
			closed_at = TimestampTzGetDatum(clock_now());
		tuple = replace_value(tuple, desc, "closed_at", closed_at, false);
	}
	return PointerGetDatum(tuple);
}

/* Does the change touch anything that credits depend on? */
static bool
credits_differ(const DealRow *old_deal, const DealRow *new_deal)
{
	return old_deal->status != new_deal->status ||
		old_deal->has_lead != new_deal->has_lead || old_deal->lead_id != new_deal->lead_id ||
		old_deal->is_correction != new_deal->is_correction ||
		old_deal->corrects != new_deal->corrects ||
		old_deal->opened_at != new_deal->opened_at || old_deal->closed_at != new_deal->closed_at ||
		strcmp(old_deal->currency, new_deal->currency) != 0 ||
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(old_deal->amount),
										  NumericGetDatum(new_deal->amount))) != 0;
}

/* What a statement on deals means for credits. */
typedef struct CreditChange
{
	IdSet		deals;			/* credits to be made anew */
	IdSet		others;			/* not won: only if they are corrected */
	IdSet		former;			/* leads that they belonged to */
	IdSet		corrections;	/* whose original is new */
} CreditChange;

static void
note_credits(CreditChange *change, const DealRow *old_deal, const DealRow *new_deal)
{
	const DealRow *rows[] = {old_deal, new_deal};
	bool		counts = false;

	if (new_deal && new_deal->is_correction &&
		!(old_deal && old_deal->is_correction && old_deal->corrects == new_deal->corrects))
		ids_add(&change->corrections, new_deal->id);
	if (old_deal && new_deal && !credits_differ(old_deal, new_deal))
		return;
	for (int i = 0; i < 2; i++)
		counts |= rows[i] && (rows[i]->status == DEAL_WON || rows[i]->is_correction);
	if (!counts)
	{
		if (old_deal && new_deal)
			ids_add(&change->others, new_deal->id);
		return;
	}
	for (int i = 0; i < 2; i++)
	{
		if (rows[i] == NULL)
			continue;
		ids_add(&change->deals, rows[i]->id);
		/* the family that it left, or joined */
		if (rows[i]->is_correction)
			ids_add(&change->deals, rows[i]->corrects);
	}
	if (old_deal && old_deal->has_lead)
		ids_add(&change->former, old_deal->lead_id);
}

/* What a correction corrects must end at a deal that corrects nothing. */
static void
check_corrections(const CreditChange *change)
{
	int64		deal_id;

	if (deal_find_circle(&change->corrections, &deal_id))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("deal %lld corrects itself by way of others", (long long) deal_id),
				 errhint("Let corrects_deal_id name the deal that was refunded or corrected."),
				 err_generic_string(PG_DIAG_COLUMN_NAME, "corrects_deal_id"),
				 err_constraint("deals", "deals_corrects")));
}

/* Which deals' credits are to be made anew, as sets. */
static void
collect_credits(CreditChange *change)
{
	ids_sort(&change->others);
	/* of deals that are not won, those that are corrected matter, too */
	deal_find_corrected(&change->others, &change->deals);
	ids_sort(&change->deals);
	ids_sort(&change->former);
}

/* What a statement on deals means for one lead. */
typedef struct LeadChange
{
	int64		lead_id;
	int			position;		/* order of arrival */
	const DealRow *arrived;		/* the deal is new to the lead */
	const DealRow *changed;		/* its status changed */
	DealStatus	before;			/* from this */
	bool		departed;		/* a deal left the lead */
} LeadChange;

typedef struct LeadChanges
{
	LeadChange *changes;
	int			n;
	int			room;
} LeadChanges;

static void
add_change(LeadChanges *list, LeadChange change)
{
	if (list->n == list->room)
	{
		list->room = Max(16, list->room * 2);
		list->changes = list->changes
			? repalloc_huge(list->changes, sizeof(LeadChange) * list->room)
			: palloc(sizeof(LeadChange) * list->room);
	}
	change.position = list->n;
	list->changes[list->n++] = change;
}

static int
compare_changes(const void *a, const void *b)
{
	const LeadChange *x = a;
	const LeadChange *y = b;
	int			order = compare_ids(&x->lead_id, &y->lead_id);

	return order != 0 ? order : x->position - y->position;
}

/* Does the deal move its lead? */
static inline bool
drives(const DealRow *deal)
{
	return deal && deal->has_lead && !deal->is_correction;
}

static void
note_stage(LeadChanges *list, const DealRow *old_deal, const DealRow *new_deal)
{
	bool		before = drives(old_deal);
	bool		after = drives(new_deal);

	if (before && after && old_deal->lead_id == new_deal->lead_id)
	{
		if (old_deal->status != new_deal->status)
			add_change(list, (LeadChange) {.lead_id = new_deal->lead_id,
					   .changed = new_deal, .before = old_deal->status});
		return;
	}
	/* the further stage of the two leads is what their deals have come to */
	if (before && after && identity_merges(old_deal->lead_id, new_deal->lead_id))
		return;
	if (before)
		add_change(list, (LeadChange) {.lead_id = old_deal->lead_id, .departed = true});
	if (after)
		add_change(list, (LeadChange) {.lead_id = new_deal->lead_id, .arrived = new_deal});
}

/* When the opening of a deal counts; real data has deals that were closed before. */
static inline TimestampTz
opening(const DealRow *deal)
{
	return Min(deal->opened_at, deal->closed_at);
}

/*
 * A deal's whole story: its opening, and its closing if it is closed.  What came
 * before the latest that other deals say moves nothing any more.
 */
static int
add_story(DealEvent *events, int n, const DealRow *deal, TimestampTz latest)
{
	events[n++] = (DealEvent) {.deal_id = deal->id, .what = DEAL_OPEN, .outcome = deal->status,
		.at = opening(deal), .open = 1, .past = opening(deal) < latest};
	if (deal->status != DEAL_OPEN)
		events[n++] = (DealEvent) {.deal_id = deal->id, .what = deal->status,
			.outcome = deal->status, .at = deal->closed_at, .open = -1,
			.past = deal->closed_at < latest};
	return n;
}

/*
 * The latest that is known of the lead's deals but those that are new to it;
 * both are in order of deals.
 */
static TimestampTz
latest_of_others(const DealLead *lead, const LeadChange *changes, int n)
{
	TimestampTz latest = DT_NOBEGIN;

	for (int i = 0, j = 0; i < lead->ndeals; i++)
	{
		const DealRow *deal = &lead->deals[i];

		while (j < n && (changes[j].arrived == NULL || changes[j].arrived->id < deal->id))
			j++;
		if (j < n && changes[j].arrived->id == deal->id)
			continue;
		latest = Max(latest, deal->opened_at);
		if (deal->status != DEAL_OPEN)
			latest = Max(latest, deal->closed_at);
	}
	return latest;
}

/* The moves of one lead; returns their number. */
static int
lead_steps(const DealLead *lead, const LeadChange *changes, int n, DealStep **result)
{
	TimestampTz latest = latest_of_others(lead, changes, n);
	DealEvent  *events = palloc(sizeof(DealEvent) * 2 * (n + lead->ndeals));
	DealStep   *steps = palloc(sizeof(DealStep) * (2 * n + 1));
	DealStage	stage = lead->stage;
	bool		follow = false;
	int			nevents = 0;
	int			nsteps;
	int			open = 0;

	for (int i = 0; i < lead->ndeals; i++)
		open += lead->deals[i].status == DEAL_OPEN;

	for (int i = 0; i < n; i++)
	{
		const LeadChange *change = &changes[i];

		if (change->departed)
			follow = true;
		else if (change->arrived)
		{
			const DealRow *deal = change->arrived;
			bool		closed = deal->status != DEAL_OPEN;

			/* one that is open counts from now on; one that is closed, where it belongs */
			nevents = add_story(events, nevents, deal, closed ? latest : DT_NOBEGIN);
			follow |= closed;
			open -= !closed;
		}
		else if (change->changed->status == DEAL_OPEN)
		{
			events[nevents++] = (DealEvent) {.deal_id = change->changed->id, .what = DEAL_OPEN,
				.at = change->changed->opened_at, .open = 1};
			open--;
		}
		else if (change->before == DEAL_WON)
			follow = true;		/* it was no win: look at all of them */
		else
		{
			bool		was_open = change->before == DEAL_OPEN;

			events[nevents++] = (DealEvent) {.deal_id = change->changed->id,
				.what = change->changed->status, .outcome = change->changed->status,
				.at = change->changed->closed_at, .open = was_open ? -1 : 0};
			open += was_open;
		}
	}
	nsteps = deal_stage_steps(stage, open, events, nevents, steps);
	if (nsteps > 0)
		stage = steps[nsteps - 1].stage;

	/*
	 * Something that was said is unsaid, or was said late: a lead that stands
	 * where its deals put it goes where all of them, in order of time, put it.  Where no deal is left there is
	 * nothing to go by, and it stays.
	 */
	if (follow && stage != DEAL_STAGE_OTHER && lead->ndeals > 0)
	{
		DealStep   *all = palloc(sizeof(DealStep) * 2 * lead->ndeals);
		int			nall;

		nevents = 0;
		for (int i = 0; i < lead->ndeals; i++)
			nevents = add_story(events, nevents, &lead->deals[i], DT_NOBEGIN);
		nall = deal_stage_steps(DEAL_STAGE_OTHER, 0, events, nevents, all);
		if (nall > 0 && all[nall - 1].stage != stage &&
			!(stage == DEAL_STAGE_BEYOND && all[nall - 1].stage == DEAL_STAGE_OPPORTUNITY))
			steps[nsteps++] = all[nall - 1];
	}
	*result = steps;
	return nsteps;
}

/* Was the deal won just now, by a lead? */
static bool
is_new_win(const DealRow *old_deal, const DealRow *new_deal)
{
	return drives(new_deal) && new_deal->status == DEAL_WON &&
		!(drives(old_deal) && old_deal->status == DEAL_WON);
}

/* Leads that may have to move. */
static IdSet
changed_leads(LeadChanges *list)
{
	IdSet		ids = {0};

	qsort(list->changes, list->n, sizeof(LeadChange), compare_changes);
	for (int i = 0; i < list->n; i++)
		ids_add(&ids, list->changes[i].lead_id);
	ids_sort(&ids);
	return ids;
}

/*
 * Moves the leads (their rows and state rows are locked): the first moves of all,
 * then the second ones, those to one stage together, so that each stage is one
 * UPDATE.
 */
static void
move_leads(const LeadChanges *list, const DealLead *leads, int nleads)
{
	DealStep  **steps = palloc(sizeof(DealStep *) * Max(nleads, 1));
	int		   *nsteps = palloc0(sizeof(int) * Max(nleads, 1));
	DealMove   *moves = palloc(sizeof(DealMove) * Max(nleads, 1));

	for (int i = 0, from = 0; i < nleads; i++)
	{
		int			to;

		while (from < list->n && list->changes[from].lead_id < leads[i].id)
			from++;
		for (to = from; to < list->n && list->changes[to].lead_id == leads[i].id; to++)
			;
		nsteps[i] = lead_steps(&leads[i], &list->changes[from], to - from, &steps[i]);
		from = to;
	}

	for (int round = 0;; round++)
	{
		int			nmoves = 0;

		for (DealStage stage = DEAL_STAGE_OPPORTUNITY; stage <= DEAL_STAGE_LOST; stage++)
		{
			for (int i = 0; i < nleads; i++)
			{
				if (round < nsteps[i] && steps[i][round].stage == stage)
					moves[nmoves++] = (DealMove) {.lead_id = leads[i].id,
						.to_stage = deal_stage_name(stage), .at = steps[i][round].at};
			}
		}
		if (nmoves == 0)
			break;
		transition_by_deals(moves, nmoves);
	}
}

/* _deals_changed() → trigger, AFTER STATEMENT on deals */
PG_FUNCTION_INFO_V1(leadflow_deals_changed);
Datum
leadflow_deals_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger_data(fcinfo, "_deals_changed");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	DealRow    *old_deals = NULL;
	DealRow    *new_deals = NULL;
	int			nold = 0;
	int			nnew = 0;
	CreditChange credits = {0};
	LeadChanges leads = {0};
	IdSet		won = {0};
	IdSet		moved;
	IdSet		locked;
	EngineContext engine;

	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		(void) credit_rebuild();
		return PointerGetDatum(NULL);
	}
	if (trigger->tg_oldtable)
		old_deals = deal_rows(trigger->tg_oldtable, desc, &nold);
	if (trigger->tg_newtable)
		new_deals = deal_rows(trigger->tg_newtable, desc, &nnew);
	if (nold == 0 && nnew == 0)
		return PointerGetDatum(NULL);
	actor_check_quiet();

	engine_enter(&engine);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		IdSet		added = {0};

		for (int i = 0; i < nnew; i++)
			ids_add(&added, new_deals[i].id);
		credit_deals_added(added.ids, added.n);
	}

	/* ids never change, so the two tables go side by side */
	for (int i = 0, j = 0; i < nold || j < nnew;)
	{
		const DealRow *old_deal = NULL;
		const DealRow *new_deal = NULL;

		if (i < nold && (j >= nnew || old_deals[i].id <= new_deals[j].id))
			old_deal = &old_deals[i];
		if (j < nnew && (i >= nold || new_deals[j].id <= old_deals[i].id))
			new_deal = &new_deals[j];
		i += old_deal != NULL;
		j += new_deal != NULL;
		note_stage(&leads, old_deal, new_deal);
		if (is_new_win(old_deal, new_deal))
			ids_add(&won, new_deal->id);
		note_credits(&credits, old_deal, new_deal);
	}
	check_corrections(&credits);
	collect_credits(&credits);

	moved = changed_leads(&leads);
	deal_leads_lock(&moved);
	for (int i = 0; i < credits.former.n; i++)
		ids_add(&moved, credits.former.ids[i]);
	ids_sort(&moved);
	locked = credit_lock_leads(&credits.deals, &moved);

	if (leads.n > 0)
	{
		int			nleads;
		DealLead   *stand = deal_leads_read(&moved, &nleads);

		move_leads(&leads, stand, nleads);
	}
	credit_deals_changed(&credits.deals, &credits.former, &locked);
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		IdSet		gone = {0};

		for (int i = 0; i < nold; i++)
			ids_add(&gone, old_deals[i].id);
		credit_deals_deleted(&gone);
	}
	if (won.n > 0)
		deal_tell_won(&won);
	engine_leave(&engine);
	return PointerGetDatum(NULL);
}

/* Adds a column of the rows, of those deals or (NULL) of all. */
static void
contacts_each(Tuplestorestate *rows, TupleDesc desc, int deal_id, int column, const IdSet *deals, IdSet *found)
{
	TupleTableSlot *slot;
	bool		isnull;

	if (rows == NULL)
		return;
	slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		if (deals == NULL || ids_contain(deals, DatumGetInt64(slot_getattr(slot, deal_id, &isnull))))
			ids_add(found, DatumGetInt64(slot_getattr(slot, column, &isnull)));
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* _deal_contacts_changed() → trigger, AFTER STATEMENT on deal_contacts */
PG_FUNCTION_INFO_V1(leadflow_deal_contacts_changed);
Datum
leadflow_deal_contacts_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger_data(fcinfo, "_deal_contacts_changed");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Tuplestorestate *tables[] = {trigger->tg_oldtable, trigger->tg_newtable};
	int			deal_id;
	int			lead_id;
	IdSet		named = {0};
	IdSet		deals = {0};
	IdSet		former = {0};
	IdSet		locked;

	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		(void) credit_rebuild();
		return PointerGetDatum(NULL);
	}
	deal_id = table_column(desc, "deal_id");
	lead_id = table_column(desc, "lead_id");
	for (int i = 0; i < 2; i++)
		contacts_each(tables[i], desc, deal_id, deal_id, NULL, &named);
	if (named.n == 0)
		return PointerGetDatum(NULL);
	ids_sort(&named);

	/*
	 * Who changes the deal, or its contacts, has this.  A deleted one has none: its credits have gone with
	 * it, and locking its contacts now, after that, would be out of order (credit_store.c on WATCH_CREDIT).
	 */
	for (int i = 0; i < named.n; i++)
	{
		if (row_lock_named("deals", named.ids[i], LockTupleNoKeyExclusive))
			ids_add(&deals, named.ids[i]);
	}
	if (deals.n == 0)
		return PointerGetDatum(NULL);
	contacts_each(tables[0], desc, deal_id, lead_id, &deals, &former);
	ids_sort(&former);
	locked = credit_lock_leads(&deals, &former);
	credit_deals_changed(&deals, &former, &locked);
	return PointerGetDatum(NULL);
}

/*
 * _campaign_check() → trigger.  The code is what rules and conditions compare
 * with: changed under activities that were scored by it, they would score
 * differently from how they did.
 */
PG_FUNCTION_INFO_V1(leadflow_campaign_check);
Datum
leadflow_campaign_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger_data(fcinfo, "_campaign_check");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	HeapTuple	tuple = trigger_tuple(trigger);
	Datum		code;
	Datum		old_code;
	Datum		id;
	bool		isnull;

	check_key(trigger, desc, "id");
	code = value_of(tuple, desc, "code", &isnull);
	if (isnull)
	{
		code = value_of(tuple, desc, "name", &isnull);
		if (isnull)
			return PointerGetDatum(tuple);	/* refused by NOT NULL */
		/* an update that empties the code keeps the one it has */
		if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
			code = value_of(trigger->tg_trigtuple, desc, "code", &isnull);
		tuple = replace_value(tuple, desc, "code", code, false);
	}
	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return PointerGetDatum(tuple);

	old_code = value_of(trigger->tg_trigtuple, desc, "code", &isnull);
	if (DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, old_code, code)))
		return PointerGetDatum(tuple);

	id = value_of(tuple, desc, "id", &isnull);
	if (campaign_is_used(DatumGetInt64(id)))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("code of campaign %lld is in use and can't be changed",
						(long long) DatumGetInt64(id)),
				 errdetail("Leads or activities carry campaign \"%s\".", TextDatumGetCString(old_code)),
				 errhint("Change the name, which is what reports show, or make another campaign."),
				 err_generic_string(PG_DIAG_COLUMN_NAME, "code"),
				 err_constraint("campaigns", "campaigns_code_fixed")));
	return PointerGetDatum(tuple);
}

/*
 * _attribution_model_check() → trigger.  Kind and params make a model, and a lookback is a length: no
 * months, no years.
 */
PG_FUNCTION_INFO_V1(leadflow_attribution_model_check);
Datum
leadflow_attribution_model_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = row_trigger_data(fcinfo, "_attribution_model_check");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	HeapTuple	tuple = trigger_tuple(trigger);
	Datum		kind;
	Datum		params;
	Datum		lookback;
	AttributionModel model;
	bool		no_kind;
	bool		isnull;

	kind = value_of(tuple, desc, "kind", &no_kind);
	params = value_of(tuple, desc, "params", &isnull);
	if (no_kind || isnull)
		return PointerGetDatum(tuple);	/* refused by NOT NULL */
	model = attribution_model(TextDatumGetCString(kind), DatumGetJsonbP(params));
	lookback = value_of(tuple, desc, "lookback", &isnull);
	if (!isnull && !attribution_is_rule_based(&model))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a model of kind \"%s\" has no lookback", TextDatumGetCString(kind)),
				 errdetail("It goes by whole paths."),
				 errhint("Leave lookback empty, or call the aggregate on paths of your own."),
				 err_column("attribution_models", "lookback")));
	if (!isnull && DatumGetIntervalP(lookback)->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lookback must not have months or years"),
				 errdetail("A lookback is an exact length; %s is not.",
						   DatumGetCString(DirectFunctionCall1(interval_out, lookback))),
				 errhint("Give it in days."),
				 err_column("attribution_models", "lookback")));
	return PointerGetDatum(tuple);
}

/*
 * _campaigns_changed() → trigger, AFTER UPDATE of campaigns: another channel may be direct, or the old
 * one.  Which models that concerns is seldom more than one, and so are changes.
 */
PG_FUNCTION_INFO_V1(leadflow_campaigns_changed);
Datum
leadflow_campaigns_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger_data(fcinfo, "_campaigns_changed");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	TupleTableSlot *before = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *after = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	int			channel = table_column(desc, "channel");
	bool		changed = false;

	/* both are written row by row, in the same order */
	tuplestore_rescan(trigger->tg_oldtable);
	tuplestore_rescan(trigger->tg_newtable);
	while (!changed && tuplestore_gettupleslot(trigger->tg_oldtable, true, false, before) &&
		   tuplestore_gettupleslot(trigger->tg_newtable, true, false, after))
	{
		bool		was_null;
		bool		isnull;
		Datum		old_value = slot_getattr(before, channel, &was_null);
		Datum		new_value = slot_getattr(after, channel, &isnull);

		changed = was_null != isnull ||
			(!isnull && !DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, old_value, new_value)));
	}
	ExecDropSingleTupleTableSlot(before);
	ExecDropSingleTupleTableSlot(after);
	if (changed)
		credit_channels_changed();
	return PointerGetDatum(NULL);
}

/* _attribution_models_changed() → trigger, AFTER STATEMENT on attribution_models */
PG_FUNCTION_INFO_V1(leadflow_attribution_models_changed);
Datum
leadflow_attribution_models_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = statement_trigger_data(fcinfo, "_attribution_models_changed");
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Tuplestorestate *tables[] = {trigger->tg_oldtable, trigger->tg_newtable};
	ArrayBuildState *names = NULL;

	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		(void) credit_rebuild();
		return PointerGetDatum(NULL);
	}
	for (int i = 0; i < 2; i++)
	{
		TupleTableSlot *slot;

		if (tables[i] == NULL)
			continue;
		slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
		tuplestore_rescan(tables[i]);
		while (tuplestore_gettupleslot(tables[i], true, false, slot))
		{
			bool		isnull;
			Datum		name = slot_getattr(slot, table_column(desc, "name"), &isnull);

			names = accumArrayResult(names, name, isnull, TEXTOID, CurrentMemoryContext);
		}
		ExecDropSingleTupleTableSlot(slot);
	}
	if (names)
		credit_refresh_models(makeArrayResult(names, CurrentMemoryContext));
	return PointerGetDatum(NULL);
}

/*
 * _touch_kinds_changed() → trigger, AFTER STATEMENT on activity_kinds: what is
 * an engagement is a touch.
 */
PG_FUNCTION_INFO_V1(leadflow_touch_kinds_changed);
Datum
leadflow_touch_kinds_changed(PG_FUNCTION_ARGS)
{
	(void) trigger_data(fcinfo, "_touch_kinds_changed");

	/* whoever inserts activities holds ROW EXCLUSIVE on it until the end */
	LockRelationOid(engine_relation("score_state"), ShareRowExclusiveLock);
	credit_refresh_models((Datum) 0);
	return PointerGetDatum(NULL);
}

/* _rebuild_credits() → bigint */
PG_FUNCTION_INFO_V1(leadflow_rebuild_credits);
Datum
leadflow_rebuild_credits(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(credit_rebuild());
}
