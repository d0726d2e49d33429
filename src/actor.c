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

static void
refuse_inactive(int64 lead_id, const Member *member)
{
	if (!member->active)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("team member %lld is not active", (long long) member->id),
				 errdetail("The actor is %s%s.", member->email ? member->email : member->db_role,
						   about_lead(lead_id)),
				 errhint("Set active in leadflow.team_members, or name another actor."),
				 err_column("leads", "stage_by")));
}

Actor
actor_resolve(int64 lead_id, const char *stage_by, bool needed)
{
	const StageConfig *config = stage_config();
	const Member *self = member_of_session(config);
	bool		in_row = stage_by != NULL && stage_by[0] != '\0';
	const char *name = in_row ? stage_by :
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
					 errdetail("%s names \"%s\"%s.", in_row ? "Column stage_by" : "Setting leadflow.actor",
							   name, about_lead(lead_id)),
					 errhint("Leave it out: the member whose db_role is yours acts. Roles that act for others are those of group …_app (leadflow.setup_roles()), superusers and the owner of the tables."),
					 err_column("leads", "stage_by")));
		if (member == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("actor \"%s\" is not a team member", name),
					 errdetail("%s names \"%s\"%s.", in_row ? "Column stage_by" : "Setting leadflow.actor",
							   name, about_lead(lead_id)),
					 errhint("%s takes the e-mail of a row of leadflow.team_members.",
							 in_row ? "Column stage_by" : "Setting leadflow.actor"),
					 err_column("leads", "stage_by")));
		self = member;
	}

	if (self)
	{
		refuse_inactive(lead_id, self);
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
				 errhint("Say who acts: set leads.stage_by in the same statement, or SET LOCAL leadflow.actor, to the e-mail of a team member.") :
				 errhint("Enter the role as db_role of a row of leadflow.team_members."),
				 err_column("leads", "stage_by")));
	else
		actor.team = TEAM_SYSTEM;
	return actor;
}

/*
 * The same for functions that take an e-mail: who is named, else the setting, else the session's
 * member, else an administrator.
 */
Actor
actor_given(const char *argument, const char *email, bool active)
{
	const StageConfig *config = stage_config();
	const Member *self = member_of_session(config);
	const char *name = email && email[0] ? email :
		leadflow_actor && leadflow_actor[0] ? leadflow_actor : NULL;
	const char *source = email && email[0] ? psprintf("Argument %s", argument) : "Setting leadflow.actor";
	Actor		actor = {0, TEAM_ADMIN};

	if (name)
	{
		const Member *member = member_by_email(config, name);

		if ((member == NULL || member != self) && !actor_may_act_for_others())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" may not act for others",
							GetUserNameFromId(GetOuterUserId(), false)),
					 errdetail("%s names \"%s\".", source, name),
					 errhint("Leave it out: the member whose db_role is yours acts. Roles that act for others are those of group …_app (leadflow.setup_roles()), superusers and the owner of the tables.")));
		if (member == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("actor \"%s\" is not a team member", name),
					 errhint("%s takes the e-mail of a row of leadflow.team_members.", source)));
		self = member;
	}
	if (self == NULL && is_owner())
		return actor;
	if (self == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no actor is known"),
				 errdetail("Role \"%s\" is not the db_role of a team member.",
						   GetUserNameFromId(GetOuterUserId(), false)),
				 actor_may_act_for_others() ?
				 errhint("Give the argument %s, or SET LOCAL leadflow.actor: the e-mail of a team member.", argument) :
				 errhint("Enter the role as db_role of a row of leadflow.team_members.")));
	if (active && !self->active)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("team member %lld is not active", (long long) self->id),
				 errhint("Set active in leadflow.team_members, or name another actor.")));
	actor.member_id = self->id;
	actor.team = self->team;
	return actor;
}
