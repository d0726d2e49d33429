/*-------------------------------------------------------------------------
 * gate.h
 *	  The MQL gate: may a lead become an MQL?
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_GATE_H
#define LEADFLOW_GATE_H

#include "score_store.h"

/* What gate_lead_blocked() says where that alone is in the way: somebody is talking to the lead. */
#define GATE_OPEN_DEAL	"contact of an open deal"

/* By points alone: does the score, or a raised hand, open the gate? */
extern bool gate_points(const Model *model, const StateRow *row, const ScoreRow *score,
						bool *hand_raise);

/* Is an MQL handed off at once? */
extern bool gate_goes_on(const Model *model, const ScoreRow *score, bool hand_raise);

/* Is there a move to make, now that the points suffice: to mql, or on to sql? */
extern bool gate_moves(const Model *model, const StateRow *row, const ScoreRow *score, bool hand_raise);

/*
 * What else stands in the way, in words; NULL = nothing.  The lead is given as
 * its row in leads.
 */
extern char *gate_lead_blocked(const Model *model, const StateRow *row, const ScoreRow *score,
							   HeapTuple lead, TupleDesc desc, bool hand_raise, TimestampTz at);

/* Is a field that a model requires filled in: a column of leads, or else a key of attributes? */
extern bool gate_has_field(HeapTuple lead, TupleDesc desc, const char *field);

/* What stands in the way of marketing making the lead an MQL by hand. */
extern char *gate_by_hand_blocked(int64 lead_id, HeapTuple lead, TupleDesc desc);

#endif							/* LEADFLOW_GATE_H */
