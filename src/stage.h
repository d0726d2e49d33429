/*-------------------------------------------------------------------------
 * stage.h
 *	  The lifecycle: which moves there are, for whom, and for what reasons
 *	  (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_STAGE_H
#define LEADFLOW_STAGE_H

#include "postgres.h"

/* Teams, as bits of StageMove.teams. */
#define TEAM_SYSTEM		0x01
#define TEAM_MARKETING	0x02
#define TEAM_SALES		0x04
#define TEAM_LEADERSHIP	0x08
#define TEAM_ADMIN		0x10	/* a superuser or owner without an actor */

typedef struct Stage
{
	const char *name;
	const char *category;
} Stage;

typedef struct StageMove
{
	const char *from;
	const char *to;
	int			teams;
	bool		requires_reason;
	bool		requires_revisit;
} StageMove;

typedef struct StageReason
{
	const char *stage;
	const char *reason;
	int			min_attempts;	/* 0 = none */
	bool		requires_note;
	bool		active;
	const char *next_stage;		/* NULL: it stays */
	bool		reviewed;
} StageReason;

/* Everything that a move is judged by; stages in their order of position. */
typedef struct Lifecycle
{
	Stage	   *stages;
	int			nstages;
	StageMove  *moves;
	int			nmoves;
	StageReason *reasons;
	int			nreasons;
} Lifecycle;

/* What is wrong with the reason of a move, if anything. */
typedef enum StageReasonVerdict
{
	REASON_FITS,
	REASON_MISSING,
	REASON_UNKNOWN,
	REASON_RETIRED,				/* not active any more */
	REASON_WITHOUT_NOTE
} StageReasonVerdict;

extern int	team_bit(const char *name);
extern const char *team_name(int team);

extern const Stage *stage_find(const Lifecycle *lifecycle, const char *name);
extern const StageMove *stage_move_find(const Lifecycle *lifecycle, const char *from, const char *to);
extern bool stage_move_allowed(const StageMove *move, int team);
extern const StageReason *stage_reason_find(const Lifecycle *lifecycle, const char *stage,
											const char *reason);
extern bool stage_may_enter(const Lifecycle *lifecycle, const char *stage, int team);
extern bool stage_is_reviewed(const Lifecycle *lifecycle, const char *stage);
extern StageReasonVerdict stage_reason_judge(const Lifecycle *lifecycle, const char *stage,
											 const char *reason, const char *note,
											 bool required, bool retired_fits);

/* For hints: palloc'd lists, empty where there is nothing to list. */
extern char *stage_move_teams(const StageMove *move);
extern char *stage_moves_possible(const Lifecycle *lifecycle, const char *from);
extern char *stage_reasons_possible(const Lifecycle *lifecycle, const char *stage);
extern char *stage_names(const Lifecycle *lifecycle);

#endif							/* LEADFLOW_STAGE_H */
