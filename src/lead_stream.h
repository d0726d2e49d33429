/*-------------------------------------------------------------------------
 * lead_stream.h
 *	  Activities and documents of many leads, one row after the other.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_LEAD_STREAM_H
#define LEADFLOW_LEAD_STREAM_H

#include "postgres.h"
#include "utils/jsonb.h"

#include "evaluation.h"

/* The columns of activities that rules go by, and what a row of them says. */
#define ACTIVITY_COLUMNS "lead_id, occurred_at, id, kind, content, campaign_id, properties"
extern void activity_read(const Datum *value, const bool *null, ActivityRow *row);

typedef enum StreamOrder
{
	STREAM_ANY_ORDER,
	STREAM_BY_TIME				/* one lead after the other, each by (occurred_at, id) */
} StreamOrder;

typedef void (*stream_activity_callback) (const ActivityRow *row, void *arg);
typedef void (*stream_document_callback) (int64 lead_id, Jsonb *document, void *arg);

/*
 * The activities of leads from .. to that occurred before an instant and are not
 * voided; and the leads as JSON, by id; as the active snapshot sees them. Called back in a
 * context that is reset for each row.  Between engine_enter() and engine_leave().
 */
extern void stream_activities(int64 from, int64 to, TimestampTz before, StreamOrder order,
							  stream_activity_callback callback, void *arg);
extern void stream_documents(int64 from, int64 to, stream_document_callback callback, void *arg);

#endif							/* LEADFLOW_LEAD_STREAM_H */
