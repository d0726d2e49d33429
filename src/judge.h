/*-------------------------------------------------------------------------
 * judge.h
 *	  May this row of leads be written, and as what?
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_JUDGE_H
#define LEADFLOW_JUDGE_H

#include "access/htup.h"
#include "nodes/bitmapset.h"

#include "lead.h"

/* What a BEFORE trigger puts into NEW. */
typedef struct LeadEdit
{
	Datum		values[LEAD_COLUMNS];
	bool		isnull[LEAD_COLUMNS];
	bool		edited[LEAD_COLUMNS];
} LeadEdit;

/* People made an MQL of a lead that is disqualified, by what it is now: refuses. */
extern void judge_disqualified(int64 lead_id, const char *reason) pg_attribute_noreturn();

extern void judge_insert(const LeadRow *new, LeadEdit *edit);
extern void judge_update(const LeadRow *old, const LeadRow *new, HeapTuple oldtup,
						 HeapTuple newtup, const Bitmapset *named, LeadEdit *edit);

#endif							/* LEADFLOW_JUDGE_H */
