/*-------------------------------------------------------------------------
 * condition.h
 *	  What it means that a jsonpath condition holds.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_CONDITION_H
#define LEADFLOW_CONDITION_H

#include "postgres.h"
#include "utils/jsonb.h"
#include "utils/jsonpath.h"

typedef struct Condition
{
	JsonPath   *path;
	bool		predicate;		/* yields true, false or null and nothing else */
} Condition;

extern Condition *condition_make(Datum jsonpath);	/* copies into the current context */
extern bool condition_holds(const Condition *condition, Jsonb *document);
extern Jsonb *condition_value(const Condition *condition, Jsonb *document);
extern List *condition_fields(const Condition *condition);	/* of List of char * */
extern bool json_has_value(Jsonb *document, List *field);

#endif							/* LEADFLOW_CONDITION_H */
