/*-------------------------------------------------------------------------
 * handoff.h
 *	  Leads that are given to sales.
 *
 * All arrays of moves are sorted by lead; state rows are locked.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_HANDOFF_H
#define LEADFLOW_HANDOFF_H

#include "lead.h"

/* Moves into and out of a hand-off, or to another owner in sales' hands; fills in owner_id and handoff_id. */
extern void handoff_moves(Move *moves, const LeadUpdate **changes, int n);

/* Does a lead stay in its category, handoff or sales, and get another owner? */
extern bool handoff_passes_on(const Move *move, const LeadUpdate *change);

/* Leads inserted in a hand-off. */
extern void handoff_imported(Move *moves, int n);

/* Leads of categories handoff and sales that got another owner without a move. */
extern void handoff_reassigned(Move *moves, int n);

/* Leads that waited: owner_id, queue and why of the moves say what came of it. */
extern void handoff_given_out(Move *moves, int n, TimestampTz at);

#endif							/* LEADFLOW_HANDOFF_H */
