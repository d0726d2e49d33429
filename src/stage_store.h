/*-------------------------------------------------------------------------
 * stage_store.h
 *	  The lifecycle as configured, the engine's updates of leads, and the
 *	  history of stages.
 *
 * All arrays of leads are sorted by id, without duplicates.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_STAGE_STORE_H
#define LEADFLOW_STAGE_STORE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

#include "move.h"
#include "stage.h"

typedef struct Member
{
	int64		id;
	const char *email;			/* lower case; NULL = none */
	const char *db_role;		/* NULL = none */
	int			team;
	bool		active;
} Member;

typedef struct StageConfig
{
	Lifecycle	lifecycle;
	Member	   *members;		/* by email, those without one last */
	int			nmembers;
	int			nwith_email;
	char	  **public_domains; /* in order */
	int			npublic_domains;
	const char *role_prefix;	/* NULL: setup_roles() was not called */
	pg_tz	   *time_zone;
} StageConfig;

extern const StageConfig *stage_config(void);

/* For a stage that the configuration doesn't know: it may be newer than the cache. */
extern const StageConfig *stage_config_reload(void);

extern const Member *member_by_email(const StageConfig *config, const char *email);
extern const Member *member_by_role(const StageConfig *config, const char *role);
extern const Member *member_by_id(const StageConfig *config, int64 id);

/* The account that has the e-mail's domain; 0 = none. */
extern int64 account_by_email(const StageConfig *config, const char *email);

/*
 * Sales touches, not voided, since the lead was last given to sales in the cycle
 * that it is in; since the cycle began where it was not.
 */
extern int64 sales_attempts(int64 lead_id);

/* The stage of a lead by a snapshot; NULL: it isn't there. */
extern char *stage_seen(int64 lead_id, Snapshot snapshot);

/* ---- updates of leads that are not, or not only, the client's ---- */

typedef enum StageUpdateKind
{
	STAGE_UPDATE_SYSTEM,		/* a move by the engine */
	STAGE_UPDATE_SILENT,		/* no move, nothing follows from it */
	STAGE_UPDATE_BACKDATED		/* a client's move(), with an instant */
} StageUpdateKind;

/* What the triggers have to know of one lead. */
typedef struct StageUpdateLead
{
	int64		lead_id;
	TimestampTz at;				/* DT_NOBEGIN = now */
	bool		has_trigger;
	pg_uuid_t	trigger;
	bool		routed;			/* the owner is written with it, and is: */
	int64		owner_id;		/* 0 = nobody */
	const char *queue;			/* NULL = none */
	const char *why;
} StageUpdateLead;

typedef struct StageUpdate
{
	StageUpdateKind kind;
	const char *reason;			/* NULL = none */
	const char *via;			/* a stage that is passed on the way, with a move of its own; NULL = none */
	const StageUpdateLead *leads;	/* sorted */
	int			nleads;
	int			depth;			/* of the triggers that it fires; set by _begin() */
} StageUpdate;

extern StageUpdate *stage_update_begin(StageUpdate *update);	/* returns the one before */
extern void stage_update_end(StageUpdate *before);
extern const StageUpdate *stage_update_expected(void);	/* for triggers; NULL: the client's own */
extern const StageUpdateLead *stage_update_lead(const StageUpdate *update, int64 lead_id);

/*
 * The engine's update to a stage, of those that stand in one of the stages
 * "from" (NULL: in any other); rows are locked.
 */
extern void stage_write(StageUpdate *update, const char *to_stage, const char **from, int nfrom);

/* Owners after routing (0 = nobody); revisit_on as enrolled; clients' stage_by that has been read. */
extern void stage_write_owners(const int64 *leads, const int64 *owners, int n);
extern void stage_write_revisits(const int64 *leads, int n);
extern void stage_forget_actors(const int64 *leads, int n);

/* ---- history ---- */

/* Where a lead stands, and where its history says so. */
typedef struct StageStatus
{
	int64		lead_id;
	const char *stage;
	TimestampTz stage_since;
	const char *history_stage;	/* NULL: no history */
	TimestampTz history_since;
	bool		has_state;		/* there is a score_state row */
} StageStatus;

/* What a history row freezes beside the move. */
typedef struct StageFreeze
{
	bool		scored;
	double		score;
	int64		model_id;		/* 0 = none */
	const char *persona;
	char		grade;			/* 0 = none */
	int			cycle;
	bool		has_trigger;
	pg_uuid_t	trigger;
} StageFreeze;

/* Of those leads that are there, in id order. */
extern StageStatus *stage_status(const int64 *leads, int n, int *nfound);

/* Which of the leads are there, and have no score_state row yet. */
extern void stage_unknown(const int64 *leads, int n, bool *unknown);

/*
 * One row a move; of a lead that went via another stage ("passed", by the same
 * index; NULL = none did) the row of that stage, which is left at once, comes before it.
 * Fills in history_id of both.
 */
extern void stage_history_write(Move *moves, Move *const *passed, const StageFreeze *freezes, int n);
extern void stage_history_correct(const Move *moves, int n);	/* reason and note of the open row */

/* A stage has another name now. */
extern void stage_history_rename(const char *before, const char *after);

/* What hangs on leads that are gone: their activities alone, or everything but the score state. */
extern void stage_activities_delete(const int64 *leads, int n);
extern void stage_children_delete(const int64 *leads, int n);
extern void stage_children_truncate(void);


/* Arguments of a batch's statements; NULL strings are NULLs. */
extern Datum text_array(const char *const *values, int n);
extern Datum time_array(const TimestampTz *values, int n);

#endif							/* LEADFLOW_STAGE_STORE_H */
