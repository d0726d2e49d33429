/*-------------------------------------------------------------------------
 * outbox.h
 *	  Notifications, written in the transaction of what they tell.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_OUTBOX_H
#define LEADFLOW_OUTBOX_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "move.h"

/* Something that happened to a lead, for its natural recipient and whoever subscribed to it. */
typedef struct Notice
{
	int64		lead_id;
	const char *event;			/* lead.mql … */
	int64		recipient_id;	/* 0 = none */
	const char *queue;			/* where nobody owns it; NULL = none */
	const char *team;			/* where there is no queue either; NULL = none */
	TimestampTz at;				/* when it happened */
	const char *details;		/* a JSON object for the payload; NULL = none */
} Notice;

/* The leads' state rows are locked, so that the ids of one lead are in order. */
extern void outbox_add(const Notice *notices, int n);

/* What moves tell: lead.mql, lead.handed_off, lead.accepted, lead.rejected. */
extern void outbox_moves(const Move *moves, int n);

/* Leads in sales' hands that got another owner: lead.handed_off. */
extern void outbox_reassigned(const Move *moves, int n);

#endif							/* LEADFLOW_OUTBOX_H */
