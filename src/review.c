/*-------------------------------------------------------------------------
 * review.c
 *	  Rejections under review.
 *
 * A move with a reason that is reviewed opens a case.  Those who have no part in it vote
 * (review()); once enough have, the majority decides, and the engine moves the lead: to the
 * reason's next stage, or back to sales.  What nobody decides in time the sweep upholds.
 * A lead has one open case at most, and it is open only while the lead stands where it was
 * sent.
 *
 * Everything that opens, changes or closes a case holds the lead's row, so of two
 * last votes one decides and the other finds the case closed.
 *
 * Limits: who may vote, and so how many votes are needed, is looked at when somebody
 * votes and when the case is due, not when members change.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "actor.h"
#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "outbox.h"
#include "review.h"
#include "review_store.h"
#include "row_lock.h"
#include "stage_store.h"
#include "transition.h"
#include "visible.h"

#define SWEEP_BATCH 10000

/* ---- what follows from moves --------------------------------------------- */

static bool
is_reviewed(const Lifecycle *lifecycle, const char *stage, const char *reason)
{
	const StageReason *listed = reason ? stage_reason_find(lifecycle, stage, reason) : NULL;

	return listed && listed->reviewed;
}

static void
open_cases(const int64 *leads, int n, TimestampTz at, ReviewOpening opening)
{
	int			nopened;
	Notice	   *notices = review_open(leads, n, at, opening, &nopened);

	outbox_add(notices, nopened);
}

void
review_moves(const Move *moves, int n)
{
	const Lifecycle *lifecycle = &stage_config()->lifecycle;
	int64	   *left = palloc_array(int64, n);
	int64	   *entered = palloc_array(int64, n);
	int			nleft = 0;
	int			nentered = 0;

	for (int i = 0; i < n; i++)
	{
		if (moves[i].from_stage && stage_is_reviewed(lifecycle, moves[i].from_stage))
			left[nleft++] = moves[i].lead_id;
		if (!moves[i].quiet && is_reviewed(lifecycle, moves[i].to_stage, moves[i].reason))
			entered[nentered++] = moves[i].lead_id;
	}
	if (nleft)
		review_close(left, nleft);
	if (nentered)
		open_cases(entered, nentered, DT_NOBEGIN, REVIEW_UNDECIDED);
}

void
review_noted(const Move *moves, int n)
{
	int64	   *leads = palloc_array(int64, n);

	for (int i = 0; i < n; i++)
		leads[i] = moves[i].lead_id;
	review_correct(leads, n);
}

void
review_corrected(const Move *moves, int n)
{
	const Lifecycle *lifecycle = &stage_config()->lifecycle;
	int64	   *reviewed = palloc_array(int64, n);
	int64	   *others = palloc_array(int64, n);
	int			nreviewed = 0;
	int			nothers = 0;

	for (int i = 0; i < n; i++)
	{
		if (!is_reviewed(lifecycle, moves[i].to_stage, moves[i].reason))
			others[nothers++] = moves[i].lead_id;
		else if (!moves[i].quiet)
			reviewed[nreviewed++] = moves[i].lead_id;
	}
	if (nothers)
		review_close(others, nothers);
	if (nreviewed)
		open_cases(reviewed, nreviewed, clock_now(), REVIEW_UNDECIDED);
}

/* ---- verdicts ------------------------------------------------------------ */

static int64 *
leads_of(const ReviewCase *cases, int n, const char *outcome, const char *closed_by, int *count)
{
	int64	   *leads = palloc_array(int64, n + 1);

	*count = 0;
	for (int i = 0; i < n; i++)
	{
		const char *by = !cases[i].stands ? "moved" : cases[i].outcome ? "votes" : "time";
		const char *verdict = !cases[i].stands ? NULL : cases[i].outcome ? cases[i].outcome : "uphold";

		if (strcmp(by, closed_by) == 0 &&
			(outcome == NULL ? verdict == NULL : verdict && strcmp(verdict, outcome) == 0))
			leads[(*count)++] = cases[i].lead_id;
	}
	return leads;
}

/*
 * Closes cases, as the votes say, or upheld for want of them, and moves the leads.  An overturned
 * lead goes back to sales; where a reason leads nowhere, an upheld one stays.
 */
static void
conclude(const ReviewCase *cases, int n)
{
	static const struct
	{
		const char *verdict;
		const char *closed_by;
	}			endings[] = {{"uphold", "votes"}, {"overturn", "votes"}, {"uphold", "time"}, {NULL, "moved"}};
	const Lifecycle *lifecycle = &stage_config()->lifecycle;
	NextMove   *next = palloc_array(NextMove, n + 1);
	int			count = 0;

	for (int e = 0; e < (int) lengthof(endings); e++)
	{
		int			nleads;
		int64	   *leads = leads_of(cases, n, endings[e].verdict, endings[e].closed_by, &nleads);

		if (nleads)
			review_decide(leads, nleads, endings[e].verdict, endings[e].closed_by, clock_now());
	}

	for (int i = 0; i < n; i++)
	{
		const StageReason *reason = cases[i].reason ?
			stage_reason_find(lifecycle, cases[i].stage, cases[i].reason) : NULL;
		NextMove   *move = &next[count];

		if (!cases[i].stands)
			continue;
		move->lead_id = cases[i].lead_id;
		move->from_stage = cases[i].stage;
		move->at = DT_NOBEGIN;
		if (cases[i].outcome && strcmp(cases[i].outcome, "overturn") == 0)
		{
			move->to_stage = "sql";
			move->reason = "overturned";
		}
		else if (reason && reason->next_stage)
		{
			move->to_stage = pstrdup(reason->next_stage);
			move->reason = cases[i].reason;
		}
		else
			continue;
		count++;
	}
	transition_onward(next, count);
}

int64 *
review_overdue(TimestampTz at, int *n)
{
	return review_due(at, SWEEP_BATCH, n);
}

void
review_expire(const int64 *leads, int n, TimestampTz at)
{
	int			ncases;
	ReviewCase *cases = review_cases(leads, n, &ncases);
	int			due = 0;

	for (int i = 0; i < ncases; i++)
	{
		if (cases[i].due_at <= at)
			cases[due++] = cases[i];
	}
	conclude(cases, due);
}

/* ---- what people say ----------------------------------------------------- */

static void
lock_lead(int64 lead_id)
{
	if (!lead_visible(lead_id) || !row_lock_named("leads", lead_id, LockTupleNoKeyExclusive))
		refuse_unknown_lead(lead_id);
	(void) row_lock_named("score_state", lead_id, LockTupleNoKeyExclusive);
}

static char *
argument_text(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

/* The case that can be decided now; what is due is the sweep's, whether or not that has run. */
static void
open_case(int64 lead_id, ReviewCase *found)
{
	const char *stage;
	const char *reason;

	if (!review_case(lead_id, found) || !found->stands)
	{
		review_standing(lead_id, &stage, &reason);
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("lead %lld is not under review", (long long) lead_id),
				 errdetail("It is in stage \"%s\".", stage),
				 errhint("leadflow.review_queue lists the open cases; leadflow.contest() opens one for a rejected lead."),
				 err_constraint("reviews", NULL)));
	}
	if (found->due_at <= clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the review of lead %lld is over", (long long) lead_id),
				 errdetail("It was due at %s.", pstrdup(timestamptz_to_str(found->due_at))),
				 errhint("The next run of leadflow.check_sla() closes it."),
				 err_constraint("reviews", NULL)));
}

/* review(lead_id, verdict, reviewer, note) → (review_id, votes_uphold, votes_overturn, votes_needed, outcome, stage) */
PG_FUNCTION_INFO_V1(leadflow_review);
Datum
leadflow_review(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		lead_id;
	char	   *verdict;
	char	   *partial;
	const char *stage;
	const char *reason;
	Actor		actor;
	ReviewCase	found;
	Datum		values[6];
	bool		nulls[6] = {false};
	int			quiet;

	require_argument(fcinfo, 0, "lead_id");
	require_argument(fcinfo, 1, "verdict");
	lead_id = PG_GETARG_INT64(0);
	verdict = argument_text(fcinfo, 1);
	if (strcmp(verdict, "uphold") != 0 && strcmp(verdict, "overturn") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no verdict \"%s\"", verdict),
				 errhint("A verdict is \"uphold\" (the rejection stands) or \"overturn\".")));
	actor = actor_given(lead_id, "reviewer", argument_text(fcinfo, 2), false);
	if (actor.member_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("no reviewer is known"),
				 errhint("Give the argument reviewer, or SET LOCAL leadflow.actor: the e-mail of a team member.")));

	lock_lead(lead_id);
	open_case(lead_id, &found);
	partial = review_partial(found.id, actor.member_id);
	if (partial)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("team member %lld may not vote on lead %lld", (long long) actor.member_id,
						(long long) lead_id),
				 errdetail("Lead %lld: team member %lld %s.", (long long) lead_id,
						   (long long) actor.member_id, partial),
				 errhint("Active reviewers vote who neither rejected nor owned the lead nor own its campaign."),
				 err_constraint("reviews", "reviews_impartial")));

	quiet = quiet_suspend();
	review_vote(found.id, actor.member_id, verdict, argument_text(fcinfo, 3), clock_now());
	if (!review_case(lead_id, &found))
		elog(ERROR, "case of lead %lld is gone", (long long) lead_id);
	if (found.outcome)
		conclude(&found, 1);
	quiet_resume(quiet);

	review_standing(lead_id, &stage, &reason);
	values[0] = Int64GetDatum(found.id);
	values[1] = Int64GetDatum(found.uphold);
	values[2] = Int64GetDatum(found.overturn);
	values[3] = Int64GetDatum(found.needed);
	nulls[4] = found.outcome == NULL;
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(found.outcome);
	nulls[5] = stage == NULL;
	values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(stage);
	InitMaterializedSRF(fcinfo, 0);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	return (Datum) 0;
}

/* For a rejection that nobody looked at: no case was opened, or time has upheld it. */
static void
open_contested(int64 lead_id)
{
	const char *stage;
	const char *reason;
	ReviewCase	found;

	review_standing(lead_id, &stage, &reason);
	if (strcmp(stage, "rejected") != 0 && !is_reviewed(&stage_config()->lifecycle, stage, reason))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("lead %lld is not rejected", (long long) lead_id),
				 errdetail("It is in stage \"%s\".", stage),
				 err_constraint("reviews", NULL)));
	open_cases(&lead_id, 1, clock_now(), REVIEW_UNVOTED);
	if (!review_case(lead_id, &found))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("the rejection of lead %lld was reviewed already", (long long) lead_id),
				 errdetail("Lead %lld: reviewers have decided on it.", (long long) lead_id),
				 errhint("leadflow.review_votes has what they said."),
				 err_constraint("reviews", "reviews_decided")));
}

/* contest(lead_id, note, actor) → bigint, the case */
PG_FUNCTION_INFO_V1(leadflow_contest);
Datum
leadflow_contest(PG_FUNCTION_ARGS)
{
	int64		lead_id;
	char	   *note;
	Actor		actor;
	ReviewCase	found;
	int			quiet;

	require_argument(fcinfo, 0, "lead_id");
	require_argument(fcinfo, 1, "note");
	lead_id = PG_GETARG_INT64(0);
	note = argument_text(fcinfo, 1);
	if (note[strspn(note, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("note must not be empty"),
				 errhint("Say why the lead should not have been rejected.")));
	actor = actor_given(lead_id, "actor", argument_text(fcinfo, 2), true);
	if (actor.team != TEAM_MARKETING && actor.team != TEAM_LEADERSHIP && actor.team != TEAM_ADMIN)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("team %s may not contest a rejection", team_name(actor.team)),
				 errdetail("Lead %lld; the actor is team member %lld.", (long long) lead_id,
						   (long long) actor.member_id),
				 errhint("Marketing and leadership do.")));

	lock_lead(lead_id);
	quiet = quiet_suspend();
	if (!review_case(lead_id, &found) || !found.stands)
		open_contested(lead_id);
	open_case(lead_id, &found);
	review_contest(found.id, actor.member_id, note, clock_now());
	quiet_resume(quiet);
	PG_RETURN_INT64(found.id);
}
