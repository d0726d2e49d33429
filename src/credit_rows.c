/*-------------------------------------------------------------------------
 * credit_rows.c
 *	  What credits are made of, and the rows that are kept.
 *
 * A handful of deals at a time: each statement here goes by index from arrays of
 * keys, and what it returns is put together in C.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "credit_rows.h"
#include "spi.h"
#include "stage_store.h"
#include "table_insert.h"

/* ---- models -------------------------------------------------------------- */

static int64
lookback_of(uint64 r, int column)
{
	bool		isnull;
	Datum		value = spi_value(r, column, &isnull);
	Interval   *lookback;

	if (isnull)
		return PG_INT64_MAX;
	lookback = DatumGetIntervalP(value);
	return lookback->day * USECS_PER_DAY + lookback->time;
}

CreditModel *
credit_models(Datum names, int *n)
{
	static EngineStatement statement = {
		"SELECT m.name, m.kind, m.params, m.lookback FROM leadflow.attribution_models m"
		" WHERE m.active AND m.kind NOT IN ('markov', 'shapley') AND ($1 IS NULL OR m.name = ANY ($1))",
		1, {TEXTARRAYOID}
	};
	CreditModel *models;

	*n = (int) engine_query(&statement, &names, names == (Datum) 0 ? "n" : NULL);
	models = palloc_array(CreditModel, Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;
		Datum		params = spi_value(i, 3, &isnull);

		models[i].name = spi_text(i, 1);
		models[i].rule = attribution_model(spi_text(i, 2), isnull ? NULL : DatumGetJsonbP(params));
		models[i].lookback = lookback_of(i, 4);
	}
	SPI_freetuptable(SPI_tuptable);
	return models;
}

static bool
ask_for_part(const CreditModel *models, int n, AttributionPart part)
{
	for (int i = 0; i < n; i++)
	{
		if (models[i].rule.kind == POSITIONS && models[i].rule.parts[part] >= 0)
			return true;
	}
	return false;
}

/* ---- deals --------------------------------------------------------------- */

/* A row of deals, won or the root of a correction. */
typedef struct DealFact
{
	int64		id;
	int64		corrects;
	bool		is_correction;
	int64		lead_id;
	bool		has_lead;
	bool		won;
	Numeric		amount;
	const char *currency;
	TimestampTz opened_at;
	TimestampTz closed_at;		/* DT_NOEND: it is open */
} DealFact;

static int
compare_facts(const void *a, const void *b)
{
	return compare_ids(&((const DealFact *) a)->id, &((const DealFact *) b)->id);
}

static DealFact *
find_fact(DealFact *facts, int n, int64 id)
{
	DealFact	key = {.id = id};

	return bsearch(&key, facts, n, sizeof(DealFact), compare_facts);
}

/* The deals, and what they correct, and so on. */
static DealFact *
read_facts(const IdSet *deals, int *n)
{
	static EngineStatement statement = {
		"SELECT d.id, d.corrects_deal_id, d.lead_id, d.status, d.amount, d.currency, d.opened_at, d.closed_at"
		" FROM leadflow.deals d WHERE d.id = ANY ($1)",
		1, {INT8ARRAYOID}
	};
	IdSet		wanted = *deals;
	DealFact   *facts = NULL;

	*n = 0;
	while (wanted.n > 0)
	{
		IdSet		corrected = {0};
		int			found = (int) engine_query(&statement, (Datum[]) {int8_array(wanted.ids, wanted.n)}, NULL);

		facts = facts ? repalloc_array(facts, DealFact, *n + found) : palloc_array(DealFact, Max(found, 1));
		for (int r = 0; r < found; r++)
		{
			DealFact   *fact = &facts[(*n)++];
			bool		isnull;
			Datum		value;

			fact->id = spi_int64(r, 1);
			value = spi_value(r, 2, &isnull);
			fact->is_correction = !isnull;
			fact->corrects = isnull ? 0 : DatumGetInt64(value);
			value = spi_value(r, 3, &isnull);
			fact->has_lead = !isnull;
			fact->lead_id = isnull ? 0 : DatumGetInt64(value);
			fact->won = strcmp(spi_text(r, 4), "won") == 0;
			fact->amount = DatumGetNumericCopy(spi_value(r, 5, &isnull));
			fact->currency = spi_text(r, 6);
			fact->opened_at = spi_time(r, 7);
			fact->closed_at = spi_time(r, 8);
		}
		SPI_freetuptable(SPI_tuptable);
		qsort(facts, *n, sizeof(DealFact), compare_facts);
		for (int i = 0; i < *n; i++)
		{
			if (facts[i].is_correction && find_fact(facts, *n, facts[i].corrects) == NULL)
				ids_add(&corrected, facts[i].corrects);
		}
		ids_sort(&corrected);
		/* one that is gone can't be found: its corrections have no root */
		if (found == 0)
			break;
		wanted = corrected;
	}
	return facts;
}

/* The deal at the root of what it corrects; NULL where there is none, or it goes round in a circle. */
static const DealFact *
root_of(DealFact *facts, int n, const DealFact *fact)
{
	for (int steps = 0; fact && fact->is_correction; steps++)
		fact = steps < n ? find_fact(facts, n, fact->corrects) : NULL;
	return fact;
}

/* Keys of deals' roots as arrays; "places" says which deal each belongs to. */
static int
key_arrays(const CreditDeal *deals, int n, int *places, Datum *arrays)
{
	int64	   *roots = palloc_array(int64, Max(n, 1));
	int64	   *leads = palloc_array(int64, Max(n, 1));
	TimestampTz *times = palloc_array(TimestampTz, Max(n, 1));
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (!deals[i].has_lead)
			continue;
		roots[count] = deals[i].root_id;
		leads[count] = deals[i].lead_id;
		times[count] = deals[i].conversion.at;
		places[count++] = i;
	}
	arrays[0] = int8_array(roots, count);
	arrays[1] = int8_array(leads, count);
	arrays[2] = time_array(times, count);
	return count;
}

/* A lead is created by the first MQL until the conversion; the one that never was an MQL, when it came in. */
static void
read_creations(CreditDeal *deals, const int *places, int n, Datum *arrays)
{
	static EngineStatement statement = {
		"SELECT coalesce((SELECT h.entered_at FROM leadflow.stage_history h"
		"  WHERE h.lead_id = k.lead_id AND h.to_stage = 'mql' AND h.entered_at <= k.at ORDER BY h.entered_at LIMIT 1),"
		" (SELECT l.created_at FROM leadflow.leads l WHERE l.id = k.lead_id))"
		" FROM unnest($1, $2, $3) WITH ORDINALITY k (deal_id, lead_id, at, n) ORDER BY k.n",
		3, {INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}
	};

	(void) engine_query(&statement, arrays, NULL);
	for (int i = 0; i < n; i++)
		deals[places[i]].conversion.lead_created_at = spi_time(i, 1);
	SPI_freetuptable(SPI_tuptable);
}

static void
read_touches(CreditDeal *deals, const int *places, Datum *arrays)
{
	static EngineStatement statement = {
		"SELECT p.n, a.lead_id, a.occurred_at, a.id, a.campaign_id, c.channel"
		" FROM (SELECT k.n, k.lead_id, k.at FROM unnest($1, $2, $3) WITH ORDINALITY k (deal_id, lead_id, at, n)"
		"  UNION"
		"  SELECT k.n, c.lead_id, k.at FROM unnest($1, $2, $3) WITH ORDINALITY k (deal_id, lead_id, at, n)"
		"  JOIN leadflow.deal_contacts c ON c.deal_id = k.deal_id) p"
		" JOIN leadflow.activities a ON a.lead_id = p.lead_id AND a.occurred_at <= p.at"
		" JOIN leadflow.activity_kinds k ON k.kind = a.kind AND k.role = 'engagement'"
		" LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id"
		" WHERE a.campaign_id IS NOT NULL AND a.voided_at IS NULL"
		" ORDER BY p.n, a.occurred_at, a.id, a.lead_id",
		3, {INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID}
	};
	uint64		rows = engine_query(&statement, arrays, NULL);
	CreditTouch *touches = palloc_extended(sizeof(CreditTouch) * Max(rows, 1), MCXT_ALLOC_HUGE);

	for (uint64 r = 0; r < rows; r++)
	{
		CreditDeal *deal = &deals[places[spi_int64(r, 1) - 1]];
		CreditTouch *touch = &touches[r];
		bool		isnull;

		if (deal->ntouches++ == 0)
			deal->touches = touch;
		touch->lead_id = spi_int64(r, 2);
		touch->occurred_at = spi_time(r, 3);
		touch->id = *DatumGetUUIDP(spi_value(r, 4, &isnull));
		touch->campaign_id = spi_int64(r, 5);
		touch->channel = spi_text(r, 6);
	}
	SPI_freetuptable(SPI_tuptable);
}

CreditDeal *
credit_deals(const IdSet *ids, const CreditModel *models, int nmodels, int *n)
{
	int			nfacts;
	DealFact   *facts = read_facts(ids, &nfacts);
	CreditDeal *deals = palloc0_array(CreditDeal, Max(nfacts, 1));
	int		   *places = palloc_array(int, Max(nfacts, 1));
	Datum		arrays[3];
	int			nkeys;

	*n = 0;
	for (int i = 0; i < nfacts; i++)
	{
		const DealFact *root;
		CreditDeal *deal;

		if (!facts[i].won || !ids_contain(ids, facts[i].id) ||
			(root = root_of(facts, nfacts, &facts[i])) == NULL)
			continue;
		deal = &deals[(*n)++];
		deal->id = facts[i].id;
		deal->root_id = root->id;
		deal->lead_id = root->lead_id;
		deal->has_lead = root->has_lead;
		deal->amount = facts[i].amount;
		deal->currency = facts[i].currency;
		/* a deal that was opened again: what corrects it went by when it was closed itself */
		deal->conversion.at = root->closed_at != DT_NOEND ? root->closed_at : facts[i].closed_at;
		deal->conversion.lead_created_at = DT_NOEND;
		deal->conversion.opportunity_at = root->opened_at;
	}
	nkeys = key_arrays(deals, *n, places, arrays);
	if (nkeys == 0)
		return deals;
	if (ask_for_part(models, nmodels, PART_LEAD_CREATED))
		read_creations(deals, places, nkeys, arrays);
	read_touches(deals, places, arrays);
	return deals;
}

/* ---- credits ------------------------------------------------------------- */

Credit *
credits_read(const IdSet *deals, Datum names, int *n)
{
	static EngineStatement statement = {
		"SELECT c.id, c.deal_id, c.model, c.lead_id, c.occurred_at, c.activity_id, c.campaign_id, c.weight,"
		" c.credit, c.currency FROM leadflow.attribution_credits c"
		" WHERE c.deal_id = ANY ($1) AND ($2 IS NULL OR c.model = ANY ($2))",
		2, {INT8ARRAYOID, TEXTARRAYOID}
	};
	Datum		values[] = {int8_array(deals->ids, deals->n), names};
	uint64		rows = engine_query(&statement, values, names == (Datum) 0 ? " n" : NULL);
	Credit	   *credits = palloc_extended(sizeof(Credit) * Max(rows, 1), MCXT_ALLOC_HUGE);

	*n = (int) rows;
	for (uint64 r = 0; r < rows; r++)
	{
		Credit	   *credit = &credits[r];
		bool		isnull;
		Datum		value;

		memset(credit, 0, sizeof(Credit));
		credit->id = spi_int64(r, 1);
		credit->deal_id = spi_int64(r, 2);
		credit->model = spi_text(r, 3);
		value = spi_value(r, 4, &isnull);
		credit->has_lead = !isnull;
		credit->lead_id = isnull ? 0 : DatumGetInt64(value);
		value = spi_value(r, 6, &isnull);
		credit->has_touch = !isnull;
		if (credit->has_touch)
		{
			credit->activity_id = *DatumGetUUIDP(value);
			credit->occurred_at = spi_time(r, 5);
			credit->campaign_id = spi_int64(r, 7);
		}
		credit->weight = DatumGetFloat8(spi_value(r, 8, &isnull));
		credit->credit = NumericGetDatum(DatumGetNumericCopy(spi_value(r, 9, &isnull)));
		credit->currency = spi_text(r, 10);
	}
	SPI_freetuptable(SPI_tuptable);
	return credits;
}

void
credits_delete(const IdSet *ids)
{
	static EngineStatement statement = {
		"DELETE FROM leadflow.attribution_credits WHERE id = ANY ($1)", 1, {INT8ARRAYOID}
	};

	if (ids->n > 0)
		(void) engine_execute(&statement, (Datum[]) {int8_array(ids->ids, ids->n)}, NULL);
}

#define CREDIT_COLUMNS 9

static void
credit_values(Credit *credit, Datum *values, bool *nulls)
{
	memset(nulls, false, sizeof(bool) * CREDIT_COLUMNS);
	values[0] = Int64GetDatum(credit->deal_id);
	values[1] = CStringGetTextDatum(credit->model);
	values[2] = Int64GetDatum(credit->lead_id);
	nulls[2] = !credit->has_lead;
	values[3] = TimestampTzGetDatum(credit->occurred_at);
	values[4] = UUIDPGetDatum(&credit->activity_id);
	values[5] = Int64GetDatum(credit->campaign_id);
	nulls[3] = nulls[4] = nulls[5] = !credit->has_touch;
	values[6] = Float8GetDatum(credit->weight);
	values[7] = credit->credit;
	values[8] = CStringGetTextDatum(credit->currency);	/* character(n) is stored as text is */
}

/* By SQL, where a site has triggers on the table. */
static void
insert_by_sql(Credit *const *credits, int n)
{
	static EngineStatement statement = {
		"INSERT INTO leadflow.attribution_credits"
		" (deal_id, model, lead_id, occurred_at, activity_id, campaign_id, weight, credit, currency)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		CREDIT_COLUMNS, {INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID, UUIDOID, INT8OID, FLOAT8OID, NUMERICOID, BPCHAROID}
	};

	for (int i = 0; i < n; i++)
	{
		Datum		values[CREDIT_COLUMNS];
		bool		nulls[CREDIT_COLUMNS];
		char		marks[CREDIT_COLUMNS];

		CHECK_FOR_INTERRUPTS();
		credit_values(credits[i], values, nulls);
		for (int c = 0; c < CREDIT_COLUMNS; c++)
			marks[c] = nulls[c] ? 'n' : ' ';
		(void) engine_execute(&statement, values, marks);
	}
}

void
credits_insert(Credit *const *credits, int n)
{
	static const char *const columns[CREDIT_COLUMNS] = {
		"deal_id", "model", "lead_id", "occurred_at", "activity_id", "campaign_id", "weight", "credit", "currency"
	};
	TableInsert insert;
	Datum	   *values;

	if (n == 0)
		return;
	if (!table_insert_begin(&insert, "attribution_credits", columns, CREDIT_COLUMNS, n))
	{
		insert_by_sql(credits, n);
		return;
	}
	values = palloc_extended(sizeof(Datum) * CREDIT_COLUMNS * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
	{
		bool		nulls[CREDIT_COLUMNS];

		credit_values(credits[i], &values[i * CREDIT_COLUMNS], nulls);
		(void) table_insert_row(&insert, &values[i * CREDIT_COLUMNS], nulls);
	}
	table_insert_end(&insert);
}
