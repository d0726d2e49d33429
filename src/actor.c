/*-------------------------------------------------------------------------
 * actor.c
 *	  Who acts.
 *
 * leads.stage_by, else leadflow.actor, name a member by e-mail; only roles that act
 * for others may name somebody else.  Otherwise it is the member whose db_role the
 * session has.  The role is the outer one: SET ROLE counts, the engine's own
 * rights and those of a SECURITY DEFINER function don't.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "actor.h"
#include "errors.h"
#include "guc.h"
#include "spi.h"
#include "stage_store.h"

static bool
is_owner(void)
{
	return has_privs_of_role(GetOuterUserId(), engine_owner());
}

/* Is the outer role one of those that setup_roles() made? */
static bool
has_role(const char *suffix)
{
	const char *prefix = stage_config()->role_prefix;
	Oid			role;

	if (prefix == NULL)
		return false;
	role = get_role_oid(psprintf("%s_%s", prefix, suffix), true);
	return OidIsValid(role) && has_privs_of_role(GetOuterUserId(), role);
}

bool
actor_may_act_for_others(void)
{
	return is_owner() || has_role("app");
}

bool
actor_may_import(void)
{
	return is_owner() || has_role("app") || has_role("admin");
}

void
actor_check_quiet(void)
{
	/* the engine's own writes, as in _engine_owned() */
	if (InLocalUserIdChange() && InNoForceRLSOperation())
		return;
	if (leadflow_quiet && !actor_may_import())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not write under leadflow.quiet",
						GetUserNameFromId(GetOuterUserId(), false)),
				 errhint("Set leadflow.quiet to off; roles …_app and …_admin, superusers and the owner of the tables may load quietly.")));
}

/*
 * The member whose role the client has.  A role that was only taken by SET ROLE
 * from a member's login, to have its privileges, leaves the member who it is.
 */
static const Member *
member_of_session(const StageConfig *config)
{
	const Member *member = member_by_role(config, GetUserNameFromId(GetOuterUserId(), false));

	if (member == NULL && GetSessionUserId() != GetOuterUserId())
		member = member_by_role(config, GetUserNameFromId(GetSessionUserId(), false));
	return member;
}

bool
actor_is_member(int64 member_id)
{
	const Member *member = member_of_session(stage_config());

	return member != NULL && member->id == member_id;
}

/* For details: " (lead 42)", or nothing where it is not about one lead. */
static char *
about_lead(int64 lead_id)
{
	return lead_id ? psprintf(" (lead %lld)", (long long) lead_id) : pstrdup("");
}

/* What names the actor, for messages: the column, or an argument of a function. */
typedef struct ActorSource
{
	const char *name;			/* "Column stage_by" */
	const char *hint;			/* how to name one */
	bool		column;
} ActorSource;

static int
err_source(const ActorSource *source)
{
	return source->column ? err_column("leads", "stage_by") : 0;
}

static Actor
resolve(int64 lead_id, const char *given, const ActorSource *source, bool needed, bool active)
{
	const StageConfig *config = stage_config();
	const Member *self = member_of_session(config);
	bool		is_given = given != NULL && given[0] != '\0';
	const char *named_by = is_given ? source->name : "Setting leadflow.actor";
	const char *name = is_given ? given :
		leadflow_actor && leadflow_actor[0] ? leadflow_actor : NULL;
	Actor		actor = {0, 0};

	if (name)
	{
		const Member *member = member_by_email(config, name);

		/* checked first, so that a stranger can't find out who is a member */
		if ((member == NULL || member != self) && !actor_may_act_for_others())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" may not act for others",
							GetUserNameFromId(GetOuterUserId(), false)),
					 errdetail("%s names \"%s\"%s.", named_by, name, about_lead(lead_id)),
					 errhint("Leave it out: the member whose db_role is yours acts. Roles that act for others are those of group …_app (leadflow.setup_roles()), superusers and the owner of the tables."),
					 err_source(source)));
		if (member == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("actor \"%s\" is not a team member", name),
					 errdetail("%s names \"%s\"%s.", named_by, name, about_lead(lead_id)),
					 errhint("%s takes the e-mail of a row of leadflow.team_members.", named_by),
					 err_source(source)));
		self = member;
	}

	if (self)
	{
		if (active && !self->active)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("team member %lld is not active", (long long) self->id),
					 errdetail("The actor is %s%s.", self->email ? self->email : self->db_role,
							   about_lead(lead_id)),
					 errhint("Set active in leadflow.team_members, or name another actor."),
					 err_source(source)));
		actor.member_id = self->id;
		actor.team = self->team;
		return actor;
	}
	if (is_owner())
		actor.team = TEAM_ADMIN;
	else if (needed)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no actor is known"),
				 errdetail("Role \"%s\" is not the db_role of a team member%s.",
						   GetUserNameFromId(GetOuterUserId(), false), about_lead(lead_id)),
				 actor_may_act_for_others() ?
				 errhint("Say who acts: %s, or SET LOCAL leadflow.actor, to the e-mail of a team member.", source->hint) :
				 errhint("Enter the role as db_role of a row of leadflow.team_members."),
				 err_source(source)));
	else
		actor.team = TEAM_SYSTEM;
	return actor;
}

Actor
actor_resolve(int64 lead_id, const char *stage_by, bool needed)
{
	static const ActorSource column = {"Column stage_by", "set leads.stage_by in the same statement", true};

	return resolve(lead_id, stage_by, &column, needed, true);
}

Actor
actor_given(int64 lead_id, const char *argument, const char *email, bool active)
{
	ActorSource source = {psprintf("Argument %s", argument), psprintf("give the argument %s", argument), false};

	return resolve(lead_id, email, &source, true, active);
}
