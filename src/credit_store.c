/*-------------------------------------------------------------------------
 * credit_store.c
 *	  Credits of won deals: who may compute them when, and the rows.
 *
 * What a deal's credits ought to be is said in one place, the SQL function
 * _credits(); here it is compared with the rows that are there, and the
 * difference is written.  A deal and those that correct it (and correct those)
 * are a family: the credits of all hang on the lead, contacts, conversion and
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
 * Only then a snapshot is taken.  If it shows a member or a correction that
 * was added meanwhile, the locks are completed and it is all done again; that is
 * the only case in which state rows are locked after deal_state rows.  It is
 * rare, as whoever changes contacts locks the deals row first (deal.c), like
 * whoever changes the deal.
 *
 * Limits: a change of models, TRUNCATE or a change of activity_kinds computes
 * the credits of all won deals, with the others' writes waiting.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"

#include "credit_store.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"

/*
 * Deals that one statement computes.  Few enough that a plan made for few, or
 * without statistics, does no harm: a bulk load goes through in linear time.
 */
#define CREDIT_BATCH 100

/* Stands for NULL where the two sides of a join are hashed. */
#define NO_ACTIVITY "00000000-0000-0000-0000-000000000000"

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
 * Rows are made with their deals and go with their credits; one may be missing after a
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

/*
 * Writes the difference between what the credits of the deals ought to be
 * and what they are, under the models given (0: all).  Returns the rows that
 * came or went.
 */
static int64
write_credits(const IdSet *deals, Datum models)
{
	static EngineStatement statement = {
		"WITH wanted AS MATERIALIZED ("
		" SELECT * FROM leadflow._credits($1, $2)"
		"), kept AS MATERIALIZED ("
		" SELECT * FROM leadflow.attribution_credits c"
		" WHERE c.deal_id = ANY ($1) AND ($2 IS NULL OR c.model = ANY ($2))"
		/* NULLs made comparable, so that the two sides can be hashed */
		"), same AS MATERIALIZED ("
		" SELECT k.id, w.deal_id, w.model, w.lead_id, w.occurred_at, w.activity_id"
		" FROM kept k JOIN wanted w ON w.deal_id = k.deal_id AND w.model = k.model"
		"  AND w.lead_id = k.lead_id"
		"  AND coalesce(w.occurred_at, '-infinity') = coalesce(k.occurred_at, '-infinity')"
		"  AND coalesce(w.activity_id, '" NO_ACTIVITY "') = coalesce(k.activity_id, '" NO_ACTIVITY "')"
		" WHERE w.campaign_id IS NOT DISTINCT FROM k.campaign_id AND w.weight = k.weight"
		"  AND w.credit = k.credit AND w.currency = k.currency"
		"), gone AS ("
		" DELETE FROM leadflow.attribution_credits c USING kept k"
		" WHERE c.id = k.id AND k.id NOT IN (SELECT s.id FROM same s) RETURNING 1"
		"), made AS ("
		" INSERT INTO leadflow.attribution_credits"
		"  (deal_id, model, lead_id, occurred_at, activity_id, campaign_id, weight, credit, currency)"
		" SELECT w.deal_id, w.model, w.lead_id, w.occurred_at, w.activity_id, w.campaign_id,"
		"  w.weight, w.credit, w.currency"
		" FROM wanted w LEFT JOIN same s ON s.deal_id = w.deal_id AND s.model = w.model"
		"  AND s.lead_id = w.lead_id"
		"  AND coalesce(s.occurred_at, '-infinity') = coalesce(w.occurred_at, '-infinity')"
		"  AND coalesce(s.activity_id, '" NO_ACTIVITY "') = coalesce(w.activity_id, '" NO_ACTIVITY "')"
		" WHERE s.id IS NULL"
		" ORDER BY w.deal_id, w.model, w.occurred_at, w.activity_id RETURNING 1"
		") "
		"SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM made)",
		2, {INT8ARRAYOID, TEXTARRAYOID}
	};
	int64		changed = 0;

	for (int from = 0; from < deals->n; from += CREDIT_BATCH)
	{
		int			count = Min(CREDIT_BATCH, deals->n - from);
		Datum		values[] = {int8_array(deals->ids + from, count), models};

		CHECK_FOR_INTERRUPTS();
		engine_execute(&statement, values, models == (Datum) 0 ? " n" : NULL);
		changed += spi_int64(0, 1);
		SPI_freetuptable(SPI_tuptable);
		pfree(DatumGetPointer(values[0]));
	}
	return changed;
}

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
	credit_refresh_deals(deals.ids, deals.n);
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
	drop_deal_state(&family);
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

void
credit_refresh_models(Datum models)
{
	EngineContext engine;
	IdSet		deals;

	engine_enter(&engine);
	lock_table(ShareRowExclusiveLock);
	deals = find_all_deals();
	(void) write_credits(&deals, models);
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
	IdSet		deals;
	int64		changed;

	engine_enter(&engine);
	query_ids(&leads, &statement, (Datum[]) {Int32GetDatum(WATCH_CREDIT)});
	if (leads.n > 0)
		score_watch(leads.ids, leads.n, 0, 0);
	lock_table(ShareRowExclusiveLock);
	settle_watch(&leads);
	deals = find_all_deals();
	changed = write_credits(&deals, (Datum) 0);
	engine_execute(&complete, NULL, NULL);
	engine_execute(&clean, NULL, NULL);
	engine_leave(&engine);
	return changed;
}
