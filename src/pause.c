/*-------------------------------------------------------------------------
 * pause.c
 *	  What people do to clocks: pause_sla(), resume_sla(), restate_sla().
 *
 * A pause is a fact of the lead: all its clocks stand still meanwhile, those too that
 * start later, and those that had stopped since where it is dated back.  Whoever pauses holds the
 * lead's row and its state row, as everybody who settles clocks.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "actor.h"
#include "clock_store.h"
#include "errors.h"
#include "guc.h"
#include "row_lock.h"
#include "stage.h"
#include "visible.h"

/* The lead that is meant, locked. */
static int64
locked_lead(FunctionCallInfo fcinfo)
{
	int64		lead_id;

	require_argument(fcinfo, 0, "lead_id");
	lead_id = PG_GETARG_INT64(0);
	if (!lead_visible(lead_id) || !row_lock_named("leads", lead_id, LockTupleNoKeyExclusive))
		refuse_unknown_lead(lead_id);
	(void) row_lock_named("score_state", lead_id, LockTupleNoKeyExclusive);
	return lead_id;
}

/* Since when: now, or before that where moves may be dated back, too. */
static TimestampTz
given_instant(FunctionCallInfo fcinfo, int argument)
{
	TimestampTz at;

	require_argument(fcinfo, argument, "at");
	at = PG_GETARG_TIMESTAMPTZ(argument);
	if (TIMESTAMP_NOT_FINITE(at) || at > clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("clocks are paused and resumed at an instant up to now"),
				 errdetail("It was to be %s.", pstrdup(timestamptz_to_str(at))),
				 errhint("It is %s now.", pstrdup(timestamptz_to_str(clock_now())))));
	if (at < clock_now() && !actor_may_import())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not back-date pauses", GetUserNameFromId(GetOuterUserId(), false)),
				 errhint("Leave out \"at\"; roles …_app and …_admin, superusers and the owner of the tables may give it.")));
	return at;
}

/* Who pauses or resumes: somebody, as with moves. */
static int64
acting_member(int64 lead_id)
{
	Actor		actor = actor_resolve(lead_id, NULL, false);

	if (actor.team == TEAM_SYSTEM)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no actor is known"),
				 errdetail("Role \"%s\" is not the db_role of a team member (lead %lld).",
						   GetUserNameFromId(GetOuterUserId(), false), (long long) lead_id),
				 errhint("Say who acts: SET LOCAL leadflow.actor to the e-mail of a team member.")));
	return actor.member_id;
}

/* pause_sla(lead_id, until, reason, at) → bigint, the clocks that stand still now */
PG_FUNCTION_INFO_V1(leadflow_pause_sla);
Datum
leadflow_pause_sla(PG_FUNCTION_ARGS)
{
	TimestampTz until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz at = given_instant(fcinfo, 3);
	int64		lead_id;
	int64		member_id;

	if (until <= at)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a pause must end after it begins"),
				 errdetail("It was to last from %s to %s.", pstrdup(timestamptz_to_str(at)),
						   TIMESTAMP_IS_NOBEGIN(until) ? "-infinity" : pstrdup(timestamptz_to_str(until))),
				 errhint("Give a later \"until\", or none: then it lasts until leadflow.resume_sla().")));
	lead_id = locked_lead(fcinfo);
	member_id = acting_member(lead_id);
	clock_pause(lead_id, at, until, PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
				member_id);
	PG_RETURN_INT64(clock_standing(lead_id));
}

/* resume_sla(lead_id, at) → bigint, the clocks that run again */
PG_FUNCTION_INFO_V1(leadflow_resume_sla);
Datum
leadflow_resume_sla(PG_FUNCTION_ARGS)
{
	TimestampTz at = given_instant(fcinfo, 1);
	int64		lead_id = locked_lead(fcinfo);
	int64		before;

	(void) acting_member(lead_id);
	before = clock_standing(lead_id);
	clock_resume(lead_id, at);
	PG_RETURN_INT64(before - clock_standing(lead_id));
}

/* restate_sla(from, to) → bigint, the clocks that were found otherwise */
PG_FUNCTION_INFO_V1(leadflow_restate_sla);
Datum
leadflow_restate_sla(PG_FUNCTION_ARGS)
{
	TimestampTz from;
	TimestampTz to;

	require_argument(fcinfo, 0, "from");
	require_argument(fcinfo, 1, "to");
	from = PG_GETARG_TIMESTAMPTZ(0);
	to = PG_GETARG_TIMESTAMPTZ(1);
	if (from > to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("clocks are restated from an instant to a later one"),
				 errdetail("\"from\" is %s, \"to\" is %s.", pstrdup(timestamptz_to_str(from)), pstrdup(timestamptz_to_str(to))),
				 errhint("Those are restated that started in [from, to).")));
	PG_RETURN_INT64(clock_restate(from, to, GetUserNameFromId(GetOuterUserId(), false)));
}
