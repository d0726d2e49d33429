/*-------------------------------------------------------------------------
 * lead_document.c
 *	  Leads as JSON, as conditions ask them.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "lead_document.h"
#include "model_store.h"
#include "score_store.h"
#include "spi.h"

/* ---- writing JSON -------------------------------------------------------- */

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = (int) strlen(key);
	(void) pushJsonbValue(state, WJB_KEY, &value);
}

static void
push_text(JsonbParseState **state, const char *key, const char *text)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = text ? jbvString : jbvNull;
	if (text)
	{
		value.val.string.val = unconstify(char *, text);
		value.val.string.len = (int) strlen(text);
	}
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_number(JsonbParseState **state, const char *key, Datum numeric)
{
	JsonbValue	value;

	push_key(state, key);
	value.type = jbvNumeric;
	value.val.numeric = DatumGetNumeric(numeric);
	(void) pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_points(JsonbParseState **state, const char *key, double points)
{
	push_number(state, key, DirectFunctionCall1(float8_numeric, Float8GetDatum(points)));
}

static void
push_score(JsonbParseState **state, const ScoreRow *score)
{
	char		grade[2] = {score->grade, '\0'};
	const char *persona = score->persona_id ? score_persona_name(score->persona_id) : NULL;

	push_points(state, "score", score->score);
	push_points(state, "fit", score->fit);
	push_points(state, "engagement", score->engagement);
	push_text(state, "grade", score->grade ? grade : NULL);
	push_number(state, "level", NumericGetDatum(int64_to_numeric(score->level)));
	push_text(state, "rank", psprintf("%s%d", grade, score->level));
	push_text(state, "band", points_band(model_active(), score->score));
	push_text(state, "persona", persona);
	push_number(state, "cycle", NumericGetDatum(int64_to_numeric(score->cycle)));
}

/* Everything that a scored document has and a plain one hasn't. */
static Jsonb *
additions(const ScoreRow *score, const char *stage, const char *reason)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "stage", stage);
	push_text(&state, "stage_reason", reason);
	if (score)
		push_score(&state, score);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static Jsonb *
with_additions(Jsonb *document, JsonbParseState **state)
{
	Jsonb	   *other = JsonbValueToJsonb(pushJsonbValue(state, WJB_END_OBJECT, NULL));

	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(document),
											  JsonbPGetDatum(other)));
}

Jsonb *
lead_document_in_stage(Jsonb *document, const char *stage)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "stage", stage);
	return with_additions(document, &state);
}

Jsonb *
lead_document_rescored(Jsonb *document, const ScoreRow *score)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_score(&state, score);
	return with_additions(document, &state);
}

/* ---- reading leads ------------------------------------------------------- */

static LeadDocument *
read_documents(EngineStatement *statement, const int64 *leads, int n, bool scored, TimestampTz at,
			   int *nfound)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside = AllocSetContextCreate(caller, "leadflow documents", ALLOCSET_DEFAULT_SIZES);
	ScoreRow   *scores = scored ? palloc_array(ScoreRow, n) : NULL;
	bool	   *found = scored ? palloc_array(bool, n) : NULL;
	LeadDocument *documents;
	EngineContext engine;
	Datum		argument;
	int			l = 0;

	if (scored)
		score_read_all(leads, n, at, scores, found);
	engine_enter(&engine);
	engine_plan_by_index();
	argument = int8_array(leads, n);
	*nfound = (int) engine_query(statement, &argument, NULL);
	documents = MemoryContextAllocHuge(caller, sizeof(LeadDocument) * Max(*nfound, 1));
	for (int i = 0; i < *nfound; i++)
	{
		bool		isnull;
		Datum		document;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(inside);
		documents[i].lead_id = spi_int64(i, 1);
		document = spi_value(i, 2, &isnull);
		if (scored)
		{
			while (leads[l] < documents[i].lead_id)
				l++;
			document = DirectFunctionCall2(jsonb_concat, document,
										   JsonbPGetDatum(additions(found[l] ? &scores[l] : NULL,
																	spi_text(i, 3), spi_text(i, 4))));
		}
		MemoryContextSwitchTo(caller);
		documents[i].document = DatumGetJsonbPCopy(document);
		MemoryContextReset(inside);
	}
	engine_leave(&engine);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(inside);
	return documents;
}

LeadDocument *
lead_documents(const int64 *leads, int n, int *nfound)
{
	static EngineStatement statement = {
		"SELECT lead_id, doc FROM leadflow._lead_documents WHERE lead_id = ANY ($1) ORDER BY lead_id",
		1, {INT8ARRAYOID}
	};

	return read_documents(&statement, leads, n, false, 0, nfound);
}

LeadDocument *
lead_documents_scored(const int64 *leads, int n, TimestampTz at, int *nfound)
{
	static EngineStatement statement = {
		"SELECT d.lead_id, d.doc, l.stage, l.stage_reason FROM leadflow._lead_documents d"
		" JOIN leadflow.leads l ON l.id = d.lead_id WHERE d.lead_id = ANY ($1) ORDER BY d.lead_id",
		1, {INT8ARRAYOID}
	};

	return read_documents(&statement, leads, n, true, at, nfound);
}

Jsonb *
lead_document_find(const LeadDocument *documents, int n, int64 lead_id)
{
	int			low = 0;
	int			high = n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (documents[middle].lead_id < lead_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && documents[low].lead_id == lead_id ? documents[low].document : NULL;
}
