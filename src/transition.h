/*-------------------------------------------------------------------------
 * transition.h
 *	  The one writer of a lead's stage.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_TRANSITION_H
#define LEADFLOW_TRANSITION_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

#include "move.h"

/* A lead whose gate opened, found by the flush; its leads row is locked. */
typedef struct Promotion
{
	int64		lead_id;
	bool		has_trigger;
	pg_uuid_t	trigger;		/* activity that did it */
	bool		hand_raise;
	bool		to_sql;			/* goes on to sql in the same transaction */
	int64		owner_id;		/* that the lead has; 0 = nobody */
	int64		account_id;		/* 0 = none */
	int			cycle;
} Promotion;

/* Is that one of the moves that the system makes? */
extern bool transition_by_system(const char *from_stage, const char *to_stage);

/*
 * lead|nurture → mql, and on to sql for those that go on, by the system; rows are locked.  Those are
 * routed first and written once: history and notifications have both moves, a trigger on leads sees one.
 */
extern void transition_promote(const Promotion *promotions, int n);

/* mql|sql → lead, reason evidence_voided, by the system; rows are locked. */
extern void transition_demote(const int64 *leads, int n);

/*
 * → lead, reason sla_breached, by the system: sales let a promise lapse, and a new cycle begins.  From stages
 * from where that move is listed, but for those in which marketing has the lead back.  Rows are locked.
 */
#define TRANSITION_BREACHED "sla_breached"
extern bool transition_may_return(const char *from_stage);
extern void transition_return(const int64 *leads, const char *const *from_stages, int n);

/* nurture → lead, reason revisit, by the system: their date has come; rows are locked. */
extern void transition_revisit(const int64 *leads, int n);

/* To the stage of a duplicate that went further, from wherever the lead stands; the row is locked. */
#define TRANSITION_MERGED "merged"
extern void transition_merge(int64 lead_id, const char *to_stage, TimestampTz at);

/*
 * Moves by the system that follow from a reason or a verdict, of those leads that
 * still stand in from_stage; sorted by lead, rows are locked.
 */
typedef struct NextMove
{
	int64		lead_id;
	const char *from_stage;
	const char *to_stage;
	const char *reason;			/* NULL = none */
	TimestampTz at;				/* DT_NOBEGIN = now */
} NextMove;
extern void transition_onward(const NextMove *moves, int n);

/*
 * Deal-driven moves by the system, from wherever the lead stands: stage
 * entered at "at", but never before the previous move.
 */
typedef struct DealMove
{
	int64		lead_id;
	const char *to_stage;
	TimestampTz at;
} DealMove;
extern void transition_by_deals(const DealMove *moves, int n);

/* A lead in sales' hands that gets another owner, other than by a client's UPDATE. */
typedef struct Assignment
{
	int64		lead_id;
	int64		owner_id;		/* 0 = nobody: it waits in the queue */
	const char *queue;			/* NULL = none */
	const char *why;
} Assignment;

/*
 * The rows of leads are locked.  Leads that "waited" keep their open hand-off, which gets an
 * owner; of others it is passed on, on record.
 */
extern void transition_assign(const Assignment *assignments, int n, bool waited, TimestampTz at);

#endif							/* LEADFLOW_TRANSITION_H */
