/*-------------------------------------------------------------------------
 * score_store.h
 *	  The score state: one row a lead, and the lock that orders everything
 *	  about a lead (doc/decisions/0001).
 *
 * All arrays of leads are sorted by id, without duplicates.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_SCORE_STORE_H
#define LEADFLOW_SCORE_STORE_H

#include "postgres.h"
#include "access/tableam.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "evaluation.h"
#include "event_store.h"

/* Bits of score_state.watch: what else hangs on the lead; decimal, for SQL has them, too. */
#define WATCH_GATE		1	/* stage lead or nurture: the gate may open */
#define WATCH_TOUCH		2	/* activities settle its hand-off or clocks */
#define WATCH_CREDIT	4	/* it is in a won deal: touches change credits */
#define WATCH_EVIDENCE	8	/* promoted by the system: may be taken back while untouched */
#define WATCH_HANDOFF	16	/* stage mql: the hand-off may follow */
#define WATCH_OWNED		32	/* has, had or is about to get an owner, or its account is or was a
								 * customer: somebody may have to be told what it does */

/* Columns of score_state, in order (sql/tables/45_score.sql). */
enum
{
	STATE_LEAD_ID,
	STATE_MODEL_ID,
	STATE_WATCH,
	STATE_CYCLE,
	STATE_SUMS,
	STATE_LAST_AT,
	STATE_LAST_ENGAGED_AT,
	STATE_LAST_TOUCH_AT,
	STATE_HAND_RAISED_AT,
	STATE_HAND_RAISED_BY,
	STATE_DISQUALIFIED_AT,
	STATE_DISQUALIFIED_BY,
	STATE_FIT,
	STATE_PERSONA_ID,
	STATE_FIT_KNOWN,
	STATE_LEAD_DISQUALIFIER,
	STATE_CYCLE_SINCE,
	STATE_LIMITS,
	STATE_HEAT,
	STATE_COLUMNS
};

/* A row of score_state; DT_NOBEGIN, DT_NOEND and 0 stand for NULL. */
typedef struct StateRow
{
	int64		lead_id;
	int64		model_id;
	int			watch;
	int			cycle;
	double	   *sums;			/* by group of the active model */
	TimestampTz last_at;
	TimestampTz last_engaged_at;
	TimestampTz last_touch_at;
	TimestampTz hand_raised_at;
	pg_uuid_t	hand_raised_by;
	TimestampTz disqualified_at;	/* DT_NOEND = never */
	int64		disqualified_by;
	double		fit;
	int64		persona_id;
	double		fit_known;		/* NaN = NULL */
	int64		lead_disqualifier;
	TimestampTz cycle_since;
	Datum		limits;			/* as stored, if it is */
	bool		has_limits;
	Window	   *window;			/* limits, once they are looked at; NULL = as stored */
	double		heat;			/* points_heat(), as stored; NaN = NULL */
	bool		outdated;		/* of another model, or incomplete: recompute */
	ItemPointerData tid;
} StateRow;

/* What is known about a lead's score at one instant. */
typedef struct ScoreRow
{
	double		score;
	double		total;			/* before the last clamp */
	double		fit;
	double		engagement;		/* sum of the clamped engagement groups */
	char		grade;			/* 'A'..'D', 0 = no fit group */
	int			level;			/* 1..4 */
	int64		persona_id;		/* 0 = none */
	int64		model_id;		/* 0 = no active model */
	int			cycle;
	int64		disqualified_by;	/* 0 = not */
	TimestampTz last_touch_at;	/* by sales; DT_NOBEGIN = never */
} ScoreRow;

/* The table, opened for a batch. */
typedef struct StateTable
{
	Relation	rel;
	TupleTableSlot *slot;		/* row as read */
	TupleTableSlot *changed;	/* row as written */
	MemoryContext context;		/* that it was opened in */
	struct EState *estate;		/* made when an index must be written */
	struct ResultRelInfo *info;
} StateTable;

extern void state_open(StateTable *table, LOCKMODE lock);
extern void state_close(StateTable *table);
extern bool state_fetch(StateTable *table, const Model *model, int64 lead_id, Snapshot snapshot,
						StateRow *row);
extern TM_Result state_update(StateTable *table, const Model *model, StateRow *row);

extern void state_write(const Model *model, const StateRow *row, Datum *values, bool *nulls);
extern void state_read(const Model *model, const Datum *values, const bool *nulls, StateRow *row);
extern void state_read_sums(const Model *model, StateRow *row, Datum array);

/* What a row comes to. */
extern void state_apply(const Model *model, StateRow *row, const Delta *delta);
extern void state_take_tally(const Model *model, StateRow *row, const Tally *tally);
extern void state_take_fit(StateRow *row, const Fit *fit);
extern void state_recompute(const Model *model, StateRow *row, Snapshot snapshot);
extern void state_refit(const Model *model, StateRow *row, Snapshot snapshot);
extern void state_combine(const Model *model, StateRow *row, const Delta *delta, Snapshot snapshot);
extern void state_rewind(const Model *model, StateRow *row, TimestampTz at, Snapshot snapshot);
extern void state_rewind_known(const Model *model, StateRow *row, TimestampTz at, TimestampTz known_at,
							   Snapshot snapshot);
extern void state_bring(const Model *model, StateRow *row, TimestampTz at, Snapshot snapshot);
extern bool state_at(const Model *model, int64 lead_id, TimestampTz at, Snapshot snapshot,
					 StateRow *row);
extern void state_evaluate(const Model *model, const StateRow *row, TimestampTz at, ScoreRow *score);

/* Must a row be computed from activities or attributes, by what a transaction did (DELTA_… flags)? */
static inline bool
state_needs_tables(const StateRow *row, const Delta *delta, int flags)
{
	return row->outdated || (delta && (delta->flags & flags));
}

/* Activities of a lead up to an instant, each given to the callback in a short-lived context. */
typedef void (*activity_callback) (const ActivityRow *row, void *arg);
extern void activities_scan(int64 lead_id, TimestampTz from, TimestampTz to, Snapshot snapshot,
							activity_callback callback, void *arg);
extern Jsonb *lead_document(int64 lead_id, Snapshot snapshot);	/* NULL = no such lead */
extern bool lead_recorded(int64 lead_id, TimestampTz known_at, Snapshot snapshot);

/*
 * Rows of new leads are made with their fit, watch bits given by the caller for
 * each. Where the gate may open at once it is looked at when the transaction ends.
 */
extern void score_leads_added(const int64 *leads, const int *watch, const bool *imported, int n);

/*
 * Leads joined accounts: when the transaction ends these are held (FOR SHARE) and the fit is
 * computed once more, so that whoever changes an account and looks for its leads misses none.  Not before:
 * who inserts a lead and then updates its account would get into another's way who does the same.
 */
extern void score_leads_joined(const int64 *leads, int n);
extern void score_accounts_hold(const int64 *leads, int n);

/* Attributes changed: fit is recomputed and the gate looked at when the transaction ends. */
extern void score_leads_changed(const int64 *leads, int n);

/* The gate is looked at when the transaction ends. */
extern void score_gate_check(const int64 *leads, int n);

/* The rows are locked, then deleted. */
extern void score_leads_deleted(const int64 *leads, int n);

/* Sets and clears watch bits; locks the rows until the end of the transaction. */
extern void score_watch(const int64 *leads, int n, int set, int clear);

/* Leads whose watch bits say so, ascending, in the current context. */
extern int64 *score_watched(int bit, int *n);

/* A new cycle begins at that instant (the lead was recycled): cycle + 1. */
extern void score_cycle_begin(const int64 *leads, const TimestampTz *since, int n);

/* Scores at an instant with the active model, own changes of this transaction included; found = there is such a lead. */
extern void score_read_all(const int64 *leads, int n, TimestampTz at, ScoreRow *scores, bool *found);

/* Name of a persona of the active model; NULL if unknown. */
extern const char *score_persona_name(int64 persona_id);

#endif							/* LEADFLOW_SCORE_STORE_H */
