/*-------------------------------------------------------------------------
 * actor.h
 *	  Who acts.
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_ACTOR_H
#define LEADFLOW_ACTOR_H

#include "postgres.h"

typedef struct Actor
{
	int64		member_id;		/* 0 = none */
	int			team;			/* TEAM_… */
} Actor;

/* Roles …_app, superusers, the owner of the tables. */
extern bool actor_may_act_for_others(void);

/* Is the session that member's, by db_role? */
extern bool actor_is_member(int64 member_id);

/* Those that act for others, and …_admin: may insert in any stage and back-date moves. */
extern bool actor_may_import(void);

/* Refuses clients to write under leadflow.quiet, but for those. */
extern void actor_check_quiet(void);

/*
 * Who acts on a lead (0: not on one); refuses whoever may not, and, where one is
 * needed, who is nobody.
 */
extern Actor actor_resolve(int64 lead_id, const char *stage_by, bool needed);

/* The same for a function that takes the e-mail as an argument, which may be NULL; active: refuses whoever isn't. */
extern Actor actor_given(int64 lead_id, const char *argument, const char *email, bool active);

#endif							/* LEADFLOW_ACTOR_H */
