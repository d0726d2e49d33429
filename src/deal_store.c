/*-------------------------------------------------------------------------
 * deal_store.c
 *	  Rows of deals and what they are asked with (row 2).
 *
 * Columns of transition tables are found by name: a table may have been
 * altered, or restored with its columns in another order.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "deal_store.h"
#include "outbox.h"
#include "row_lock.h"
#include "spi.h"

/* A column of deals, deal_contacts, campaigns or attribution_models: a name has one type there. */
int
table_column(TupleDesc desc, const char *name)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			columns[] = {
		{"id", INT8OID}, {"deal_id", INT8OID}, {"lead_id", INT8OID}, {"corrects_deal_id", INT8OID},
		{"status", TEXTOID}, {"code", TEXTOID}, {"name", TEXTOID}, {"lookback", INTERVALOID},
		{"opened_at", TIMESTAMPTZOID}, {"closed_at", TIMESTAMPTZOID},
		{"amount", NUMERICOID}, {"currency", BPCHAROID}, {"channel", TEXTOID}, {"kind", TEXTOID}, {"params", JSONBOID}
	};

	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		if (strcmp(columns[i].name, name) == 0)
			return column_of(desc, name, columns[i].type);
	}
	elog(ERROR, "unexpected column \"%s\"", name);
}

static int
compare_deals(const void *a, const void *b)
{
	return compare_ids(&((const DealRow *) a)->id, &((const DealRow *) b)->id);
}

DealRow *
deal_rows(Tuplestorestate *rows, TupleDesc desc, int *n)
{
	int			id = table_column(desc, "id");
	int			lead_id = table_column(desc, "lead_id");
	int			corrects = table_column(desc, "corrects_deal_id");
	int			status = table_column(desc, "status");
	int			opened_at = table_column(desc, "opened_at");
	int			closed_at = table_column(desc, "closed_at");
	int			amount = table_column(desc, "amount");
	int			currency = table_column(desc, "currency");
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	int			room = 16;
	DealRow    *deals = palloc(sizeof(DealRow) * room);

	*n = 0;
	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		DealRow    *deal;
		bool		isnull;
		Datum		value;

		if (*n == room)
			deals = repalloc_huge(deals, sizeof(DealRow) * (room *= 2));
		deal = &deals[(*n)++];
		deal->id = DatumGetInt64(slot_getattr(slot, id, &isnull));
		value = slot_getattr(slot, lead_id, &isnull);
		deal->has_lead = !isnull;
		deal->lead_id = isnull ? 0 : DatumGetInt64(value);
		value = slot_getattr(slot, corrects, &isnull);
		deal->is_correction = !isnull;
		deal->corrects = isnull ? 0 : DatumGetInt64(value);
		value = slot_getattr(slot, status, &isnull);
		deal->status = deal_status(TextDatumGetCString(value));
		deal->opened_at = DatumGetTimestampTz(slot_getattr(slot, opened_at, &isnull));
		value = slot_getattr(slot, closed_at, &isnull);
		deal->closed_at = isnull ? DT_NOEND : DatumGetTimestampTz(value);
		deal->amount = DatumGetNumericCopy(slot_getattr(slot, amount, &isnull));
		deal->currency = TextDatumGetCString(slot_getattr(slot, currency, &isnull));
	}
	ExecDropSingleTupleTableSlot(slot);
	qsort(deals, *n, sizeof(DealRow), compare_deals);
	return deals;
}

void
deal_leads_lock(const IdSet *leads)
{
	for (int i = 0; i < leads->n; i++)
		(void) row_lock_named("leads", leads->ids[i], LockTupleNoKeyExclusive);
}

DealLead *
deal_leads_read(const IdSet *leads, int *n)
{
	static EngineStatement stages = {
		"SELECT l.id, l.stage, s.category = 'sales' AND s.position > o.position"
		" FROM leadflow.leads l JOIN leadflow.stages s ON s.name = l.stage"
		" LEFT JOIN leadflow.stages o ON o.name = 'opportunity' WHERE l.id = ANY ($1) ORDER BY 1",
		1, {INT8ARRAYOID}
	};
	static EngineStatement deals = {
		"SELECT d.lead_id, d.id, d.status, d.opened_at, d.closed_at FROM leadflow.deals d"
		" WHERE d.lead_id = ANY ($1) AND d.corrects_deal_id IS NULL ORDER BY 1, 2",
		1, {INT8ARRAYOID}
	};
	Datum		values[] = {int8_array(leads->ids, leads->n)};
	DealLead   *found;
	DealRow    *rows;
	uint64		nrows;

	nrows = engine_query(&stages, values, NULL);
	*n = (int) nrows;
	found = palloc0(sizeof(DealLead) * Max(*n, 1));
	for (uint64 r = 0; r < nrows; r++)
	{
		Datum		beyond;
		bool		isnull;

		found[r].id = spi_int64(r, 1);
		found[r].stage = deal_stage(spi_text(r, 2));
		beyond = spi_value(r, 3, &isnull);
		if (found[r].stage == DEAL_STAGE_OTHER && !isnull && DatumGetBool(beyond))
			found[r].stage = DEAL_STAGE_BEYOND;
	}
	SPI_freetuptable(SPI_tuptable);

	nrows = engine_query(&deals, values, NULL);
	rows = palloc0(sizeof(DealRow) * Max(nrows, 1));
	for (uint64 r = 0, lead = 0; r < nrows; r++)
	{
		DealRow    *row = &rows[r];
		bool		isnull;

		row->has_lead = true;
		row->lead_id = spi_int64(r, 1);
		row->id = spi_int64(r, 2);
		row->status = deal_status(spi_text(r, 3));
		row->opened_at = DatumGetTimestampTz(spi_value(r, 4, &isnull));
		row->closed_at = DatumGetTimestampTz(spi_value(r, 5, &isnull));
		if (isnull)
			row->closed_at = DT_NOEND;

		while (lead < *n && found[lead].id < row->lead_id)
			lead++;
		if (lead == *n)
			break;
		if (found[lead].id != row->lead_id)
			continue;
		if (found[lead].ndeals++ == 0)
			found[lead].deals = row;
	}
	SPI_freetuptable(SPI_tuptable);
	return found;
}

void
deal_find_corrected(const IdSet *deals, IdSet *corrected)
{
	static EngineStatement statement = {
		"SELECT DISTINCT c.corrects_deal_id FROM leadflow.deals c WHERE c.corrects_deal_id = ANY ($1)",
		1, {INT8ARRAYOID}
	};
	uint64		rows;

	if (deals->n == 0)
		return;
	rows = engine_query(&statement, (Datum[]) {int8_array(deals->ids, deals->n)}, NULL);
	for (uint64 r = 0; r < rows; r++)
		ids_add(corrected, spi_int64(r, 1));
	SPI_freetuptable(SPI_tuptable);
}

bool
deal_find_circle(const IdSet *corrections, int64 *deal_id)
{
	static EngineStatement statement = {
		"WITH RECURSIVE up AS ("
		" SELECT d.id AS start, d.id, d.corrects_deal_id FROM leadflow.deals d WHERE d.id = ANY ($1)"
		" UNION"
		" SELECT up.start, d.id, d.corrects_deal_id FROM up JOIN leadflow.deals d ON d.id = up.corrects_deal_id"
		") "
		"SELECT up.start FROM up GROUP BY up.start"
		" HAVING count(*) FILTER (WHERE up.corrects_deal_id IS NULL) = 0 ORDER BY 1 LIMIT 1",
		1, {INT8ARRAYOID}
	};
	bool		found;

	if (corrections->n == 0)
		return false;
	found = engine_query(&statement, (Datum[]) {int8_array(corrections->ids, corrections->n)}, NULL) > 0;
	if (found)
		*deal_id = spi_int64(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return found;
}

bool
campaign_is_used(int64 campaign_id)
{
	static EngineStatement statement = {
		"SELECT EXISTS (SELECT FROM leadflow.leads WHERE campaign_id = $1)"
		" OR EXISTS (SELECT FROM leadflow.activities WHERE campaign_id = $1)",
		1, {INT8OID}
	};
	EngineContext engine;
	bool		used;
	bool		isnull;

	LockRelationOid(engine_relation("activities"), ShareRowExclusiveLock);
	engine_enter(&engine);
	engine_query(&statement, (Datum[]) {Int64GetDatum(campaign_id)}, NULL);
	used = DatumGetBool(spi_value(0, 1, &isnull));
	engine_leave(&engine);
	return used;
}

void
deal_tell_won(const IdSet *deals)
{
	static EngineStatement statement = {
		"SELECT d.lead_id, coalesce(d.owner_id, l.owner_id), d.closed_at, d.id, d.name, d.amount::text, d.currency::text, d.kind"
		" FROM leadflow.deals d JOIN leadflow.leads l ON l.id = d.lead_id WHERE d.id = ANY ($1)"
		" ORDER BY d.lead_id, d.closed_at, d.id", 1, {INT8ARRAYOID}
	};
	EngineContext engine;
	Notice	   *notices;
	Datum		value;
	int			n;

	engine_enter(&engine);
	engine_plan_by_index();
	value = int8_array(deals->ids, deals->n);
	n = (int) engine_query(&statement, &value, NULL);
	notices = palloc0(sizeof(Notice) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		StringInfoData details;
		bool		isnull;

		details_begin(&details);
		details_id(&details, "deal_id", spi_int64(i, 4));
		details_text(&details, "deal", spi_text(i, 5));
		details_raw(&details, "amount", spi_text(i, 6));
		details_text(&details, "currency", spi_text(i, 7));
		details_text(&details, "kind", spi_text(i, 8));
		notices[i].lead_id = spi_int64(i, 1);
		notices[i].event = "deal.won";
		notices[i].recipient_id = spi_int64(i, 2);
		notices[i].team = "sales";
		notices[i].at = DatumGetTimestampTz(spi_value(i, 3, &isnull));
		notices[i].details = details_end(&details);
	}
	outbox_add(notices, n);
	engine_leave(&engine);
}
