/*-------------------------------------------------------------------------
 * stage.c
 *	  The lifecycle: which moves there are, for whom, and for what reasons.
 *
 * Owns the rules alone; where they come from is stage_store's business, who
 * acts is actor's.  Everything is searched one after the other: a lifecycle
 * has tens of moves and reasons, not thousands.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "stage.h"

static const struct
{
	int			bit;
	const char *name;
}			teams[] = {
	{TEAM_SYSTEM, "system"},
	{TEAM_MARKETING, "marketing"},
	{TEAM_SALES, "sales"},
	{TEAM_LEADERSHIP, "leadership"},
	{TEAM_ADMIN, "admin"}
};

/* 0 for a name that is none. */
int
team_bit(const char *name)
{
	for (int i = 0; i < (int) lengthof(teams); i++)
	{
		if (strcmp(teams[i].name, name) == 0)
			return teams[i].bit;
	}
	return 0;
}

const char *
team_name(int team)
{
	for (int i = 0; i < (int) lengthof(teams); i++)
	{
		if (teams[i].bit == team)
			return teams[i].name;
	}
	return "?";
}

const Stage *
stage_find(const Lifecycle *lifecycle, const char *name)
{
	for (int i = 0; i < lifecycle->nstages; i++)
	{
		if (strcmp(lifecycle->stages[i].name, name) == 0)
			return &lifecycle->stages[i];
	}
	return NULL;
}

const StageMove *
stage_move_find(const Lifecycle *lifecycle, const char *from, const char *to)
{
	for (int i = 0; i < lifecycle->nmoves; i++)
	{
		const StageMove *move = &lifecycle->moves[i];

		if (strcmp(move->from, from) == 0 && strcmp(move->to, to) == 0)
			return move;
	}
	return NULL;
}

/*
 * Leadership may do whatever marketing or sales may.  Whoever runs the
 * database makes any move that is listed: repairs need no detour.
 */
bool
stage_move_allowed(const StageMove *move, int team)
{
	if (team == TEAM_ADMIN)
		return true;
	if (team == TEAM_LEADERSHIP)
		team |= TEAM_MARKETING | TEAM_SALES;
	return (move->teams & team) != 0;
}

/* Is there a stage from which that team moves leads there? */
bool
stage_may_enter(const Lifecycle *lifecycle, const char *stage, int team)
{
	for (int i = 0; i < lifecycle->nmoves; i++)
	{
		if (strcmp(lifecycle->moves[i].to, stage) == 0 && stage_move_allowed(&lifecycle->moves[i], team))
			return true;
	}
	return false;
}

const StageReason *
stage_reason_find(const Lifecycle *lifecycle, const char *stage, const char *reason)
{
	for (int i = 0; i < lifecycle->nreasons; i++)
	{
		const StageReason *r = &lifecycle->reasons[i];

		if (strcmp(r->stage, stage) == 0 && strcmp(r->reason, reason) == 0)
			return r;
	}
	return NULL;
}

static bool
stage_has_reasons(const Lifecycle *lifecycle, const char *stage)
{
	for (int i = 0; i < lifecycle->nreasons; i++)
	{
		if (strcmp(lifecycle->reasons[i].stage, stage) == 0)
			return true;
	}
	return false;
}

/* May there be cases of review about it?  In "rejected" marketing can always open one. */
bool
stage_is_reviewed(const Lifecycle *lifecycle, const char *stage)
{
	for (int i = 0; i < lifecycle->nreasons; i++)
	{
		if (lifecycle->reasons[i].reviewed && strcmp(lifecycle->reasons[i].stage, stage) == 0)
			return true;
	}
	return strcmp(stage, "rejected") == 0;
}

static bool
is_blank(const char *s)
{
	return s == NULL || s[strspn(s, " \t\r\n")] == '\0';
}

/*
 * A stage that lists reasons takes no other.  A stage that lists none takes any,
 * so that a site may add a stage without inventing codes for it.
 */
StageReasonVerdict
stage_reason_judge(const Lifecycle *lifecycle, const char *stage, const char *reason,
				   const char *note, bool required, bool retired_fits)
{
	const StageReason *listed;

	if (is_blank(reason))
		return required || reason != NULL ? REASON_MISSING : REASON_FITS;
	listed = stage_reason_find(lifecycle, stage, reason);
	if (listed == NULL)
		return stage_has_reasons(lifecycle, stage) ? REASON_UNKNOWN : REASON_FITS;
	if (!listed->active && !retired_fits)
		return REASON_RETIRED;
	if (listed->requires_note && is_blank(note))
		return REASON_WITHOUT_NOTE;
	return REASON_FITS;
}

/* "marketing, sales" */
char *
stage_move_teams(const StageMove *move)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < (int) lengthof(teams); i++)
	{
		if (move->teams & teams[i].bit)
			appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", teams[i].name);
	}
	return buf.data;
}

/* "mql (system, marketing), nurture (marketing)" in the order of the stages */
char *
stage_moves_possible(const Lifecycle *lifecycle, const char *from)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < lifecycle->nstages; i++)
	{
		const StageMove *move = stage_move_find(lifecycle, from, lifecycle->stages[i].name);

		if (move)
			appendStringInfo(&buf, "%s%s (%s)", buf.len ? ", " : "", move->to,
							 stage_move_teams(move));
	}
	return buf.data;
}

char *
stage_reasons_possible(const Lifecycle *lifecycle, const char *stage)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < lifecycle->nreasons; i++)
	{
		const StageReason *r = &lifecycle->reasons[i];

		if (r->active && strcmp(r->stage, stage) == 0)
			appendStringInfo(&buf, "%s%s", buf.len ? ", " : "", r->reason);
	}
	return buf.data;
}

char *
stage_names(const Lifecycle *lifecycle)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < lifecycle->nstages; i++)
		appendStringInfo(&buf, "%s%s", i ? ", " : "", lifecycle->stages[i].name);
	return buf.data;
}
