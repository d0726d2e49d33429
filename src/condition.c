/*-------------------------------------------------------------------------
 * condition.c
 *	  What it means that a jsonpath condition holds.
 *
 * A condition holds when its path yields an item that is neither false nor
 * null: `$.a > 1` and `$ ? (@.a > 1)` then both mean what people think.  Lax
 * mode, errors silenced.  Some errors cannot be silenced (a regular expression that
 * is too complex, a stack that is too deep): they count as not holding, too,
 * since what happened is never refused.  They are caught without a
 * subtransaction; that is sound because evaluation works on detoasted values
 * in memory and holds no other resource.
 *
 * Times are compared in UTC, whatever the session's TimeZone, so that a score
 * is the same for everybody.
 *
 * Limits: core keeps 32 compiled regular expressions a backend; with more
 * patterns than that in like_regex they are compiled anew each time.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "condition.h"

Condition *
condition_make(Datum jsonpath)
{
	Condition  *condition = palloc(sizeof(Condition));
	JsonPathItem root;

	condition->path = DatumGetJsonPathPCopy(jsonpath);
	jspInit(&root, condition->path);
	switch (root.type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			condition->predicate = !jspHasNext(&root);
			break;
		default:
			condition->predicate = false;
	}
	return condition;
}

/* An error of the data or of a limit, as opposed to a cancelled query or lack of memory. */
static bool
may_be_silenced(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_FEATURE_NOT_SUPPORTED ||
		category == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		sqlerrcode == ERRCODE_UNDEFINED_OBJECT; /* a variable */
}

/*
 * Calls one of the jsonb_path_*_tz functions with silenced errors, in UTC;
 * false if it yields nothing or fails.
 */
static bool
path_query(PGFunction function, const Condition *condition, Jsonb *document, Datum *result)
{
	LOCAL_FCINFO(fcinfo, 4);
	static Jsonb *no_variables = NULL;
	static pg_tz *utc = NULL;
	MemoryContext caller = CurrentMemoryContext;
	pg_tz	   *session_zone = session_timezone;
	volatile bool found = false;

	if (no_variables == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		utc = pg_tzset("UTC");
		no_variables = DatumGetJsonbPCopy(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
		MemoryContextSwitchTo(old);
	}

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(document);
	fcinfo->args[1].value = PointerGetDatum(condition->path);
	fcinfo->args[2].value = JsonbPGetDatum(no_variables);
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;

	PG_TRY();
	{
		session_timezone = utc;
		*result = function(fcinfo);
		found = !fcinfo->isnull;
		session_timezone = session_zone;
	}
	PG_CATCH();
	{
		session_timezone = session_zone;
		if (!may_be_silenced(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	return found;
}

/* Is a scalar document false or null? */
static bool
is_false_or_null(Jsonb *item)
{
	JsonbValue	value;

	if (!JB_ROOT_IS_SCALAR(item))
		return false;
	(void) JsonbExtractScalar(&item->root, &value);
	return value.type == jbvNull || (value.type == jbvBool && !value.val.boolean);
}

bool
condition_holds(const Condition *condition, Jsonb *document)
{
	Datum		result;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;

	if (condition->predicate)
		return path_query(jsonb_path_match_tz, condition, document, &result) && DatumGetBool(result);
	if (!path_query(jsonb_path_query_first_tz, condition, document, &result))
		return false;
	if (!is_false_or_null(DatumGetJsonbP(result)))
		return true;

	/* rare: the first item is false or null, a later one may be neither */
	if (!path_query(jsonb_path_query_array_tz, condition, document, &result))
		return false;
	iterator = JsonbIteratorInit(&DatumGetJsonbP(result)->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM &&
			value.type != jbvNull && !(value.type == jbvBool && !value.val.boolean))
			return true;
	}
	return false;
}

/* The first item; NULL if there is none. */
Jsonb *
condition_value(const Condition *condition, Jsonb *document)
{
	Datum		item;

	if (!path_query(jsonb_path_query_first_tz, condition, document, &item))
		return NULL;
	return DatumGetJsonbP(item);
}

/*
 * Which fields a condition looks at: the chains of keys that start at the
 * document ($.a.b), also inside filters on it ($ ? (@.a > 1)).
 */
static void
collect_fields(JsonPathItem *item, List *current, List **fields)
{
	JsonPathItem child;
	List	   *chain = NIL;
	bool		in_chain = false;

	check_stack_depth();

	for (;;)
	{
		switch (item->type)
		{
			case jpiRoot:
				chain = NIL;
				in_chain = true;
				break;
			case jpiCurrent:
				chain = list_copy(current);
				in_chain = true;
				break;
			case jpiKey:
				if (in_chain)
				{
					int32		len;
					char	   *key = jspGetString(item, &len);

					chain = lappend(chain, pnstrdup(key, len));
				}
				break;
			case jpiFilter:
				if (in_chain)
				{
					jspGetArg(item, &child);
					collect_fields(&child, chain, fields);
				}
				break;
			case jpiAnd:
			case jpiOr:
			case jpiEqual:
			case jpiNotEqual:
			case jpiLess:
			case jpiGreater:
			case jpiLessOrEqual:
			case jpiGreaterOrEqual:
			case jpiAdd:
			case jpiSub:
			case jpiMul:
			case jpiDiv:
			case jpiMod:
			case jpiStartsWith:
				jspGetLeftArg(item, &child);
				collect_fields(&child, current, fields);
				jspGetRightArg(item, &child);
				collect_fields(&child, current, fields);
				break;
			case jpiNot:
			case jpiIsUnknown:
			case jpiExists:
			case jpiPlus:
			case jpiMinus:
				jspGetArg(item, &child);
				collect_fields(&child, current, fields);
				break;
			case jpiLikeRegex:
				jspInitByBuffer(&child, item->base, item->content.like_regex.expr);
				collect_fields(&child, current, fields);
				break;
			default:
				/* any other accessor ends the chain of keys */
				if (chain != NIL)
					*fields = lappend(*fields, chain);
				chain = NIL;
				in_chain = false;
		}
		if (!jspGetNext(item, &child))
			break;
		*item = child;
	}
	if (chain != NIL)
		*fields = lappend(*fields, chain);
}

List *
condition_fields(const Condition *condition)
{
	JsonPathItem root;
	List	   *fields = NIL;

	jspInit(&root, condition->path);
	collect_fields(&root, NIL, &fields);
	return fields;
}

/* Is there a value other than null at that chain of keys? */
bool
json_has_value(Jsonb *document, List *field)
{
	JsonbContainer *container = &document->root;
	JsonbValue	value;
	ListCell   *lc;

	value.type = jbvNull;
	foreach(lc, field)
	{
		const char *key = lfirst(lc);
		JsonbValue *found;

		if (container == NULL || !JsonContainerIsObject(container))
			return false;
		found = getKeyJsonValueFromContainer(container, key, strlen(key), NULL);
		if (found == NULL || found->type == jbvNull)
			return false;
		value = *found;
		container = value.type == jbvBinary ? value.val.binary.data : NULL;
	}
	return true;
}

/*
 * _condition_check(jsonpath) → boolean: may it be asked?  A variable ($name) never
 * has a value here, and is an error that jsonpath does not silence.  In the text of a jsonpath
 * a variable is a $ before a quote, outside of strings.
 */
PG_FUNCTION_INFO_V1(leadflow_condition_check);
Datum
leadflow_condition_check(PG_FUNCTION_ARGS)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(jsonpath_out, PG_GETARG_DATUM(0)));
	bool		in_string = false;

	for (const char *c = text; *c; c++)
	{
		if (in_string && *c == '\\' && c[1])
			c++;
		else if (*c == '"')
			in_string = !in_string;
		else if (!in_string && c[0] == '$' && c[1] == '"')
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(true);
}

/* _condition_holds(condition, document) → boolean, as everywhere in the engine */
PG_FUNCTION_INFO_V1(leadflow_condition_holds);
Datum
leadflow_condition_holds(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(condition_holds(condition_make(PG_GETARG_DATUM(0)), PG_GETARG_JSONB_P(1)));
}
