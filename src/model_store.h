/*-------------------------------------------------------------------------
 * model_store.h
 *	  Scoring models compiled from their tables.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_MODEL_STORE_H
#define LEADFLOW_MODEL_STORE_H

#include "points.h"

/* The active model; id 0 where none is active (kinds and roles are there all the same). */
extern const Model *model_active(void);

/* Does the active model, as the tables have it now, mean what that signature says? */
extern bool model_active_is(const char *signature);

/* Any model, compiled into the current context; NULL if there is none of that id. */
extern const Model *model_compile(int64 model_id);

/* The same; an unknown id is refused. */
extern const Model *model_required(int64 model_id);

/* Code of a campaign; NULL if there is none of that id. */
extern const char *campaign_code(int64 campaign_id);
extern bool member_exists(int64 member_id);

#endif							/* LEADFLOW_MODEL_STORE_H */
