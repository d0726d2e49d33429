/*-------------------------------------------------------------------------
 * nurture.c
 *	  Who is in which nurture program.
 *
 * A lead that enters stage "nurture" is enrolled in the first active program whose condition
 * holds, asked of the lead as it is then, with its score and the reason of the move.
 * It stays in that program until it leaves the stage, whatever becomes of either.
 * Imports and quiet loads are enrolled, too: that tells nobody.
 *
 * Limit: a program that is made later takes in those who come later.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"
#include "guc.h"
#include "lead_document.h"
#include "nurture.h"
#include "nurture_store.h"

static bool
is_nurture(const char *stage)
{
	return stage && strcmp(stage, "nurture") == 0;
}

/* The lead's document, and why it came. */
static Jsonb *
with_reason(Jsonb *document, const char *reason)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	Jsonb	   *addition;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	value.type = jbvString;
	value.val.string.val = "reason";
	value.val.string.len = (int) strlen("reason");
	(void) pushJsonbValue(&state, WJB_KEY, &value);
	value.type = reason ? jbvString : jbvNull;
	if (reason)
	{
		value.val.string.val = unconstify(char *, reason);
		value.val.string.len = (int) strlen(reason);
	}
	(void) pushJsonbValue(&state, WJB_VALUE, &value);
	addition = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(document),
											  JsonbPGetDatum(addition)));
}

/* Place of the first program that takes it; -1 = none does. */
static int
choose(const NurtureConfig *config, Jsonb *document)
{
	for (int i = 0; i < config->nprograms; i++)
	{
		const NurtureProgram *program = &config->programs[i];

		if (program->condition == NULL || (document && condition_holds(program->condition, document)))
			return i;
	}
	return -1;
}

/* Programs are few: one statement for each that takes anybody. */
static void
enrol(const Move **moves, int n)
{
	const NurtureConfig *config = nurture_config();
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each;
	LeadDocument *documents = NULL;
	int64	   *leads = palloc_array(int64, n);
	int		   *chosen = palloc_array(int, n);
	int			ndocuments = 0;

	if (config->nprograms == 0)
		return;
	if (config->conditional)
	{
		for (int i = 0; i < n; i++)
			leads[i] = moves[i]->lead_id;
		documents = lead_documents_scored(leads, n, clock_now(), &ndocuments);
	}

	each = AllocSetContextCreate(caller, "leadflow enrolment", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < n; i++)
	{
		Jsonb	   *document = lead_document_find(documents, ndocuments, moves[i]->lead_id);

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(each);
		chosen[i] = choose(config, document ? with_reason(document, moves[i]->reason) : NULL);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
	}
	MemoryContextDelete(each);

	for (int p = 0; p < config->nprograms; p++)
	{
		int			count = 0;

		for (int i = 0; i < n; i++)
		{
			if (chosen[i] == p)
				leads[count++] = moves[i]->lead_id;
		}
		if (count)
			nurture_enrol(config->programs[p].id, leads, count);
	}
}

void
nurture_moves(const Move *moves, int n)
{
	int64	   *left = palloc_array(int64, n);
	const Move **entered = palloc_array(const Move *, n);
	int			nleft = 0;
	int			nentered = 0;

	for (int i = 0; i < n; i++)
	{
		if (is_nurture(moves[i].from_stage))
			left[nleft++] = moves[i].lead_id;
		if (is_nurture(moves[i].to_stage))
			entered[nentered++] = &moves[i];
	}
	if (nleft)
		nurture_leave(left, nleft);
	if (nentered)
		enrol(entered, nentered);
}
