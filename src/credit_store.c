/*-------------------------------------------------------------------------
 * credit_store.c
 *	  Credits of won deals: who may compute them when, and the rows.
 *
 * What a deal's credits ought to be comes of its facts (credit_rows.c) and the
 * rules (attribution.c); it is compared with the rows that are there, and the
 * difference is written.  A deal and those that correct it (and correct those)
 * are a family: the credits of all hang on the lead, contacts, events and
 * touches of the one at its root.
 *
 * Order of locks, and why.
 *
 * 1. The state rows of the leads that have a part in the deals, all at once and
 *	  in id order, before anybody is moved.  An insert of activities has either
 *	  flushed before (then its touches are seen here) or will lock the state row
 *	  later and find WATCH_CREDIT there.
 * 2. attribution_credits, ROW EXCLUSIVE.  Who changes a model takes SHARE ROW
 *	  EXCLUSIVE instead and so waits for everybody who computed with the old
 *	  one, and holds up everybody who would.
 * 3. deal_state, one row a deal, in id order.  Two leads of one deal may be
 *	  flushed at the same time, holding different state rows; this row makes
 *	  them take turns.  The deals row itself won't do: a client's UPDATE holds
 *	  it before its trigger gets to (1).  deal_state rows are locked, never
 *	  updated, so nobody gets 40001 from them under REPEATABLE READ.
 *
 * Contacts of a deal that is deleted are gone before anybody could lock their
 * leads in this order, so these keep WATCH_CREDIT: more than is needed is harmless,
 * and ends with the next touch that finds no deal.
 *
 * Only then a snapshot is taken.  If it shows a member or a correction that
 * was added meanwhile, the locks are completed and it is all done again; that is
 * the only case in which state rows are locked after deal_state rows.  It is
 * rare, as whoever changes contacts locks the deals row first (deal.c), like
 * whoever changes the deal.
 *
 * Limits: a change of models, of a campaign's channel, of activity_kinds or TRUNCATE
 * computes the credits of all won deals, with the others' writes waiting.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "credit_rows.h"
#include "credit_store.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"

/*
 * Deals that one statement computes.  Few enough that a plan made for few, or
 * without statistics, does no harm: a bulk load goes through in linear time.
 */
#define CREDIT_BATCH 100

#define CREDIT_SCALE 2			/* decimals of attribution_credits.credit */

/* Adds the ids that a query returns. */
static void
query_ids(IdSet *set, EngineStatement *statement, Datum *values)
{
	uint64		rows = engine_query(statement, values, NULL);

	for (uint64 r = 0; r < rows; r++)
		ids_add(set, spi_int64(r, 1));
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The deals, what they correct, and all that correct any of these: step by step until
 * nothing is new, which it mostly isn't at the first.
 */
static IdSet
find_family(const int64 *deals, int n)
{
	static EngineStatement relatives = {
		"SELECT d.corrects_deal_id FROM leadflow.deals d WHERE d.id = ANY ($1) AND d.corrects_deal_id IS NOT NULL"
		" UNION ALL "
		"SELECT c.id FROM leadflow.deals c WHERE c.corrects_deal_id = ANY ($1)",
		1, {INT8ARRAYOID}
	};
	IdSet		family = {0};
	int			known;

	for (int i = 0; i < n; i++)
		ids_add(&family, deals[i]);
	do
	{
		CHECK_FOR_INTERRUPTS();
		ids_sort(&family);
		known = family.n;
		if (known)
			query_ids(&family, &relatives, (Datum[]) {int8_array(family.ids, family.n)});
		ids_sort(&family);
	} while (family.n > known);
	return family;
}

/* Leads that have a part in the deals, and those of the others that there are. */
static IdSet
find_members(const IdSet *deals, const IdSet *others)
{
	static EngineStatement parties = {
		"SELECT d.lead_id FROM leadflow.deals d WHERE d.id = ANY ($1) AND d.lead_id IS NOT NULL"
		" UNION ALL "
		"SELECT c.lead_id FROM leadflow.deal_contacts c WHERE c.deal_id = ANY ($1)",
		1, {INT8ARRAYOID}
	};
	static EngineStatement present = {
		"SELECT l.id FROM leadflow.leads l WHERE l.id = ANY ($1)", 1, {INT8ARRAYOID}
	};
	IdSet		members = {0};

	if (deals->n > 0)
		query_ids(&members, &parties, (Datum[]) {int8_array(deals->ids, deals->n)});
	if (others->n > 0)
		query_ids(&members, &present, (Datum[]) {int8_array(others->ids, others->n)});
	ids_sort(&members);
	return members;
}

static bool
deal_exists(int64 deal)
{
	static EngineStatement statement = {
		"SELECT FROM leadflow.deals d WHERE d.id = $1", 1, {INT8OID}
	};

	return engine_query(&statement, (Datum[]) {Int64GetDatum(deal)}, NULL) > 0;
}

static void
add_deal_state(const int64 *deals, int n)
{
	static EngineStatement statement = {
		"INSERT INTO leadflow.deal_state (deal_id) SELECT unnest($1) ON CONFLICT DO NOTHING",
		1, {INT8ARRAYOID}
	};
	Datum		values[] = {int8_array(deals, n)};

	engine_execute(&statement, values, NULL);
}

static void
drop_deal_state(const IdSet *deals)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.deal_state s WHERE s.deal_id = ANY ($1)"
		" AND NOT EXISTS (SELECT FROM leadflow.deals d WHERE d.id = s.deal_id)",
		1, {INT8ARRAYOID}
	};
	Datum		values[] = {int8_array(deals->ids, deals->n)};

	engine_execute(&statement, values, NULL);
}

/*
 * Rows are made with their deals and go with them; one may be missing after a
 * load with the triggers off.
 */
static void
lock_deals(const IdSet *deals)
{
	for (int i = 0; i < deals->n; i++)
	{
		if (row_lock_named("deal_state", deals->ids[i], LockTupleNoKeyExclusive) ||
			!deal_exists(deals->ids[i]))
			continue;
		add_deal_state(&deals->ids[i], 1);
		CommandCounterIncrement();
		(void) row_lock_named("deal_state", deals->ids[i], LockTupleNoKeyExclusive);
	}
}

static void
lock_table(LOCKMODE mode)
{
	LockRelationOid(engine_relation("attribution_credits"), mode);
}

/* ---- what credits ought to be -------------------------------------------- */

typedef struct CreditList
{
	Credit	   *credits;
	int			n;
	int			room;
} CreditList;

static Credit *
add_credit(CreditList *list)
{
	if (list->n == list->room)
	{
		list->room = Max(64, list->room * 2);
		list->credits = list->credits
			? repalloc_huge(list->credits, sizeof(Credit) * list->room)
			: palloc(sizeof(Credit) * list->room);
	}
	return memset(&list->credits[list->n++], 0, sizeof(Credit));
}

static bool
is_direct(const AttributionModel *rule, const char *channel)
{
	for (int i = 0; channel && i < rule->ndirect; i++)
	{
		if (strcmp(rule->direct[i], channel) == 0)
			return true;
	}
	return false;
}

/* Shares the deal under one model; totals never shrink, so without a touch nobody gets all of it. */
static void
share_deal(const CreditDeal *deal, const CreditModel *model, CreditList *list)
{
	const CreditTouch *touches;
	TimestampTz *times;
	bool	   *direct = NULL;
	double	   *weights;
	Datum	   *shares;
	int			first = 0;
	int			n;

	/* in order of time, so those that count are the last; there are instants further apart than an int64 can hold */
	while (first < deal->ntouches && model->lookback != PG_INT64_MAX &&
		   (uint64) deal->conversion.at - (uint64) deal->touches[first].occurred_at > (uint64) model->lookback)
		first++;
	n = deal->ntouches - first;
	if (n == 0)
	{
		Credit	   *credit = add_credit(list);

		credit->deal_id = deal->id;
		credit->model = model->name;
		credit->lead_id = deal->lead_id;
		credit->has_lead = deal->has_lead;
		credit->weight = 1;
		credit->credit = NumericGetDatum(deal->amount);
		credit->currency = deal->currency;
		return;
	}

	touches = deal->touches + first;
	times = palloc_array(TimestampTz, n);
	weights = palloc_array(double, n);
	shares = palloc_array(Datum, n);
	for (int i = 0; i < n; i++)
		times[i] = touches[i].occurred_at;
	if (model->rule.kind == LAST_NON_DIRECT)
	{
		direct = palloc_array(bool, n);
		for (int i = 0; i < n; i++)
			direct[i] = is_direct(&model->rule, touches[i].channel);
	}
	attribution_weights(&model->rule, times, direct, n, &deal->conversion, weights);
	attribution_split(deal->amount, weights, n, CREDIT_SCALE, shares);
	for (int i = 0; i < n; i++)
	{
		Credit	   *credit;

		if (weights[i] == 0)
			continue;
		credit = add_credit(list);
		credit->deal_id = deal->id;
		credit->model = model->name;
		credit->lead_id = touches[i].lead_id;
		credit->has_lead = true;
		credit->has_touch = true;
		credit->occurred_at = touches[i].occurred_at;
		credit->activity_id = touches[i].id;
		credit->campaign_id = touches[i].campaign_id;
		credit->weight = weights[i];
		credit->credit = shares[i];
		credit->currency = deal->currency;
	}
}

/* By whose share of what it is. */
static int
compare_credits(const void *a, const void *b)
{
	const Credit *x = a;
	const Credit *y = b;
	int			order = compare_ids(&x->deal_id, &y->deal_id);

	if (order == 0)
		order = strcmp(x->model, y->model);
	if (order == 0)
		order = x->has_touch - y->has_touch;
	if (order == 0)
		order = (x->occurred_at > y->occurred_at) - (x->occurred_at < y->occurred_at);
	if (order == 0)
		order = memcmp(&x->activity_id, &y->activity_id, sizeof(pg_uuid_t));
	return order != 0 ? order : compare_ids(&x->lead_id, &y->lead_id);
}

/* The rest of it. */
static bool
same_share(const Credit *a, const Credit *b)
{
	return a->has_lead == b->has_lead && a->campaign_id == b->campaign_id && a->weight == b->weight &&
		strcmp(a->currency, b->currency) == 0 &&
		DatumGetBool(DirectFunctionCall2(numeric_eq, a->credit, b->credit));
}

/* Writes the difference; returns the rows that came or went. */
static int
write_difference(CreditList *wanted, Credit *kept, int nkept)
{
	Credit	  **made = palloc_array(Credit *, wanted->n + 1);
	IdSet		gone = {0};
	int			nmade = 0;

	qsort(wanted->credits, wanted->n, sizeof(Credit), compare_credits);
	qsort(kept, nkept, sizeof(Credit), compare_credits);
	for (int w = 0, k = 0; w < wanted->n || k < nkept;)
	{
		int			order = w == wanted->n ? 1 : k == nkept ? -1 :
			compare_credits(&wanted->credits[w], &kept[k]);

		if (order < 0)
			made[nmade++] = &wanted->credits[w++];
		else if (order > 0)
			ids_add(&gone, kept[k++].id);
		else
		{
			if (!same_share(&wanted->credits[w], &kept[k]))
			{
				made[nmade++] = &wanted->credits[w];
				ids_add(&gone, kept[k].id);
			}
			w++, k++;
		}
	}
	credits_delete(&gone);
	credits_insert(made, nmade);
	return gone.n + nmade;
}

/*
 * Writes the difference between what the credits of the deals ought to be
 * and what they are, under the models of these names (text[]; 0: all).  Returns the rows
 * that came or went.
 */
static int64
write_batches(const IdSet *deals, Datum names)
{
	MemoryContext portion = AllocSetContextCreate(CurrentMemoryContext, "leadflow credits",
												  ALLOCSET_DEFAULT_SIZES);
	int			nmodels;
	CreditModel *models = credit_models(names, &nmodels);
	int64		changed = 0;

	for (int from = 0; from < deals->n; from += CREDIT_BATCH)
	{
		IdSet		some = {.ids = deals->ids + from, .n = Min(CREDIT_BATCH, deals->n - from)};
		MemoryContext caller = MemoryContextSwitchTo(portion);
		CreditList	wanted = {0};
		CreditDeal *won;
		Credit	   *kept;
		int			nwon;
		int			nkept;

		CHECK_FOR_INTERRUPTS();
		won = credit_deals(&some, models, nmodels, &nwon);
		for (int d = 0; d < nwon; d++)
		{
			for (int m = 0; m < nmodels; m++)
				share_deal(&won[d], &models[m], &wanted);
		}
		kept = credits_read(&some, names, &nkept);
		changed += write_difference(&wanted, kept, nkept);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(portion);
	}
	MemoryContextDelete(portion);
	return changed;
}

/* Deals that have credits or ought to. */
static IdSet
find_all_deals(void)
{
	static EngineStatement statement = {
		"SELECT d.id FROM leadflow.deals d WHERE d.status = 'won'"
		" UNION "
		"SELECT c.deal_id FROM leadflow.attribution_credits c ORDER BY 1",
		0
	};
	IdSet		deals = {0};

	query_ids(&deals, &statement, NULL);
	return deals;
}

/*
 * The same of the deals, NULL: of all, at the latest snapshot, also under SERIALIZABLE: whoever has the
 * locks above looks at models, channels and deals that others have changed since the transaction began.
 */
static int64
write_credits(const IdSet *deals, Datum names)
{
	bool		outer = engine_reads_latest;
	volatile int64 changed = 0;

	engine_reads_latest = true;
	PG_TRY();
	{
		IdSet		all = deals ? *deals : find_all_deals();

		changed = write_batches(&all, names);
	}
	PG_FINALLY();
	{
		engine_reads_latest = outer;
	}
	PG_END_TRY();
	return changed;
}

/* ---- who has to know ----------------------------------------------------- */

/*
 * Sets WATCH_CREDIT on those of the leads (locked) that credits hang on: those
 * with a part in a won deal, or in one that is corrected, as a won correction
 * of a deal that was opened again still goes by that deal's touches.
 */
static void
settle_watch(const IdSet *leads)
{
	static EngineStatement statement = {
		"SELECT s.lead_id, c.credited"
		" FROM leadflow.score_state s CROSS JOIN LATERAL ("
		" SELECT EXISTS ("
		"  SELECT FROM leadflow.deals d WHERE d.lead_id = s.lead_id AND (d.status = 'won'"
		"   OR EXISTS (SELECT FROM leadflow.deals c WHERE c.corrects_deal_id = d.id))"
		" ) OR EXISTS ("
		"  SELECT FROM leadflow.deal_contacts p JOIN leadflow.deals d ON d.id = p.deal_id"
		"  WHERE p.lead_id = s.lead_id AND (d.status = 'won'"
		"   OR EXISTS (SELECT FROM leadflow.deals c WHERE c.corrects_deal_id = d.id))"
		" ) AS credited) c"
		" WHERE s.lead_id = ANY ($1) AND (s.watch & $2 <> 0) <> c.credited"
		" ORDER BY 1",
		2, {INT8ARRAYOID, INT4OID}
	};
	Datum		values[] = {int8_array(leads->ids, leads->n), Int32GetDatum(WATCH_CREDIT)};
	IdSet		credited = {0};
	IdSet		others = {0};
	uint64		rows = engine_query(&statement, values, NULL);

	for (uint64 r = 0; r < rows; r++)
	{
		bool		isnull;

		ids_add(DatumGetBool(spi_value(r, 2, &isnull)) ? &credited : &others, spi_int64(r, 1));
	}
	SPI_freetuptable(SPI_tuptable);
	if (credited.n > 0)
		score_watch(credited.ids, credited.n, WATCH_CREDIT, 0);
	if (others.n > 0)
		score_watch(others.ids, others.n, 0, WATCH_CREDIT);
}

void
credit_refresh_leads(const int64 *leads, int n)
{
	/* the roots that the leads have a part in; what corrects them follows */
	static EngineStatement statement = {
		"SELECT d.id FROM leadflow.deals d WHERE d.lead_id = ANY ($1)"
		" UNION "
		"SELECT c.deal_id FROM leadflow.deal_contacts c WHERE c.lead_id = ANY ($1)"
		" ORDER BY 1",
		1, {INT8ARRAYOID}
	};
	EngineContext engine;
	IdSet		deals = {0};

	if (n == 0)
		return;
	engine_enter(&engine);
	query_ids(&deals, &statement, (Datum[]) {int8_array(leads, n)});
	if (deals.n > 0)
		credit_refresh_deals(deals.ids, deals.n);
	else
		settle_watch(&(IdSet) {.ids = unconstify(int64 *, leads), .n = n});
	engine_leave(&engine);
}

void
credit_lead_created(const int64 *leads, int n)
{
	static EngineStatement statement = {
		"SELECT s.lead_id FROM leadflow.score_state s WHERE s.lead_id = ANY ($1) AND s.watch & $2 <> 0",
		2, {INT8ARRAYOID, INT4OID}
	};
	EngineContext engine;
	IdSet		watched = {0};

	if (n == 0)
		return;
	engine_enter(&engine);
	query_ids(&watched, &statement, (Datum[]) {int8_array(leads, n), Int32GetDatum(WATCH_CREDIT)});
	ids_sort(&watched);
	credit_refresh_leads(watched.ids, watched.n);
	engine_leave(&engine);
}

void
credit_refresh_deals(const int64 *deals, int n)
{
	EngineContext engine;
	IdSet		family;

	if (n == 0)
		return;
	engine_enter(&engine);
	lock_table(RowExclusiveLock);
	family = find_family(deals, n);
	lock_deals(&family);
	/* a correction that came meanwhile brings its own refresh, after this */
	(void) write_credits(&family, (Datum) 0);
	engine_leave(&engine);
}

void
credit_deals_added(const int64 *deals, int n)
{
	EngineContext engine;

	if (n == 0)
		return;
	engine_enter(&engine);
	add_deal_state(deals, n);
	engine_leave(&engine);
}

void
credit_deals_deleted(const IdSet *deals)
{
	EngineContext engine;

	engine_enter(&engine);
	drop_deal_state(deals);
	engine_leave(&engine);
}

IdSet
credit_leads(const IdSet *deals, const IdSet *others)
{
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	IdSet		family;
	IdSet		members;
	IdSet		leads = {0};

	if (deals->n == 0 && others->n == 0)
		return leads;
	engine_enter(&engine);
	family = find_family(deals->ids, deals->n);
	members = find_members(&family, others);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < members.n; i++)
		ids_add(&leads, members.ids[i]);
	engine_leave(&engine);
	return leads;
}

IdSet
credit_lock_leads(const IdSet *deals, const IdSet *others)
{
	IdSet		leads = credit_leads(deals, others);

	/* the rows alone: what to set is decided when nobody else can change it */
	if (leads.n > 0)
		score_watch(leads.ids, leads.n, 0, 0);
	return leads;
}

void
credit_deals_changed(const IdSet *deals, const IdSet *former, const IdSet *locked)
{
	EngineContext engine;
	IdSet		family;
	IdSet		members;

	if (deals->n == 0)
		return;
	engine_enter(&engine);
	family = find_family(deals->ids, deals->n);
	members = *locked;
	for (;;)
	{
		IdSet		family_now;
		IdSet		members_now;

		lock_table(RowExclusiveLock);
		lock_deals(&family);
		family_now = find_family(deals->ids, deals->n);
		members_now = find_members(&family_now, former);
		if (ids_within(&family_now, &family) && ids_within(&members_now, &members))
			break;
		family = family_now;
		members = members_now;
		if (members.n > 0)
			score_watch(members.ids, members.n, 0, 0);
	}

	settle_watch(&members);
	(void) write_credits(&family, (Datum) 0);
	engine_leave(&engine);
}

void
credit_repair(const IdSet *deals, const IdSet *locked)
{
	static const IdSet nobody = {0};
	EngineContext engine;

	engine_enter(&engine);
	settle_watch(locked);
	engine_leave(&engine);
	credit_deals_changed(deals, &nobody, locked);
}

void
credit_refresh_models(Datum models)
{
	EngineContext engine;

	engine_enter(&engine);
	lock_table(ShareRowExclusiveLock);
	(void) write_credits(NULL, models);
	engine_leave(&engine);
}

/*
 * Which deals have a touch of a campaign, no index tells; a campaign changes its channel seldom, so all
 * deals are gone through.  Who computes at the same time waits at the table, or is waited for.
 */
void
credit_channels_changed(void)
{
	static EngineStatement models = {
		"SELECT array_agg(m.name) FROM leadflow.attribution_models m"
		" WHERE m.active AND m.kind = 'last_non_direct'",
		0
	};
	EngineContext engine;
	Datum		names;
	bool		none;

	engine_enter(&engine);
	lock_table(ShareRowExclusiveLock);
	(void) engine_query(&models, NULL, NULL);
	names = spi_value(0, 1, &none);
	if (!none)
		(void) write_credits(NULL, names);
	engine_leave(&engine);
}

int64
credit_rebuild(void)
{
	/* those whose bit is set, or ought to be */
	static EngineStatement statement = {
		"SELECT s.lead_id FROM leadflow.score_state s WHERE s.watch & $1 <> 0"
		" UNION "
		"SELECT d.lead_id FROM leadflow.deals d WHERE d.lead_id IS NOT NULL"
		" UNION "
		"SELECT c.lead_id FROM leadflow.deal_contacts c"
		" ORDER BY 1",
		1, {INT4OID}
	};
	static EngineStatement complete = {
		"INSERT INTO leadflow.deal_state (deal_id) SELECT d.id FROM leadflow.deals d"
		" WHERE NOT EXISTS (SELECT FROM leadflow.deal_state s WHERE s.deal_id = d.id)"
		" ORDER BY d.id ON CONFLICT DO NOTHING",
		0
	};
	static EngineStatement clean = {
		"DELETE FROM leadflow.deal_state s"
		" WHERE NOT EXISTS (SELECT FROM leadflow.deals d WHERE d.id = s.deal_id)",
		0
	};
	EngineContext engine;
	IdSet		leads = {0};
	int64		changed;

	engine_enter(&engine);
	query_ids(&leads, &statement, (Datum[]) {Int32GetDatum(WATCH_CREDIT)});
	if (leads.n > 0)
		score_watch(leads.ids, leads.n, 0, 0);
	lock_table(ShareRowExclusiveLock);
	settle_watch(&leads);
	changed = write_credits(NULL, (Datum) 0);
	engine_execute(&complete, NULL, NULL);
	engine_execute(&clean, NULL, NULL);
	engine_leave(&engine);
	return changed;
}
