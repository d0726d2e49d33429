/*-------------------------------------------------------------------------
 * judge.c
 *	  May this row of leads be written, and as what?
 *
 * Called before a row is written, for clients and engine alike; writes into the
 * row and nowhere else, since a row that is judged need not be stored (ON
 * CONFLICT DO NOTHING).  What follows from a move is transition's business.
 *
 * The order of the questions decides which refusal is seen first: is there such a
 * move at all, who makes it, may they, is the reason right, was it earned, is
 * the lead fit for it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "actor.h"
#include "errors.h"
#include "gate.h"
#include "guc.h"
#include "handoff_store.h"
#include "judge.h"
#include "row_lock.h"
#include "stage_store.h"

/* ---- writing into NEW ---------------------------------------------------- */

static void
edit_column(LeadEdit *edit, LeadColumn column, Datum value)
{
	edit->values[column] = value;
	edit->isnull[column] = false;
	edit->edited[column] = true;
}

static void
edit_null(LeadEdit *edit, LeadColumn column)
{
	edit->isnull[column] = true;
	edit->edited[column] = true;
}

static void
edit_actor(LeadEdit *edit, Actor actor)
{
	if (actor.member_id)
		edit_column(edit, LEAD_STAGE_ACTOR_ID, Int64GetDatum(actor.member_id));
	else
		edit_null(edit, LEAD_STAGE_ACTOR_ID);
	edit_column(edit, LEAD_STAGE_TEAM, CStringGetTextDatum(team_name(actor.team)));
}

static void
edit_account(LeadEdit *edit, const LeadRow *new)
{
	int64		account;

	if (!LEAD_ISNULL(new, LEAD_ACCOUNT_ID) || LEAD_ISNULL(new, LEAD_EMAIL))
		return;
	account = account_by_email(stage_config(), lead_text(new, LEAD_EMAIL));
	/* unless somebody is deleting it: nobody asked for this account by name */
	if (account && row_lock_named("accounts", account, LockTupleKeyShare))
		edit_column(edit, LEAD_ACCOUNT_ID, Int64GetDatum(account));
}

/* ---- refusals ------------------------------------------------------------ */

static void
refuse_engine_owned(int64 lead_id, const char *column, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_GENERATED_ALWAYS),
			 errmsg("column \"%s\" of table \"leads\" is kept by leadflow", column),
			 errdetail("Lead %lld.", (long long) lead_id),
			 hint ? errhint("%s", hint) : 0,
			 err_column("leads", column)));
}

static char *
possible_moves(const Lifecycle *lifecycle, const char *from)
{
	char	   *possible = stage_moves_possible(lifecycle, from);

	return possible[0] ? psprintf("Possible from \"%s\": %s.", from, possible) :
		psprintf("No move leads away from \"%s\".", from);
}

static void
refuse_reason(int64 lead_id, const char *column, const char *message, const char *stage,
			  const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("%s", message),
			 value ? errdetail("Lead %lld, stage \"%s\": \"%s\".", (long long) lead_id, stage, value) :
			 errdetail("Lead %lld, stage \"%s\".", (long long) lead_id, stage),
			 errhint("%s", hint),
			 err_column_constraint("leads", column, "leads_stage_reason")));
}

/* ---- reasons ------------------------------------------------------------- */

static void
judge_reason(const Lifecycle *lifecycle, int64 lead_id, const char *stage, const char *reason,
			 const char *note, bool required, bool retired_fits)
{
	StageReasonVerdict verdict = stage_reason_judge(lifecycle, stage, reason, note, required,
													retired_fits);
	char	   *possible = stage_reasons_possible(lifecycle, stage);
	char	   *hint = possible[0] ? psprintf("Set stage_reason to one of: %s.", possible) :
		pstrdup("Set stage_reason.");

	switch (verdict)
	{
		case REASON_FITS:
			break;
		case REASON_MISSING:
			refuse_reason(lead_id, "stage_reason", "this move needs a reason", stage, NULL, hint);
			break;
		case REASON_UNKNOWN:
			refuse_reason(lead_id, "stage_reason", "there is no such reason for this stage", stage,
						  reason, hint);
			break;
		case REASON_RETIRED:
			refuse_reason(lead_id, "stage_reason", "this reason is not given any more", stage, reason,
						  hint);
			break;
		case REASON_WITHOUT_NOTE:
			refuse_reason(lead_id, "stage_note", "this reason needs a note", stage, reason,
						  "Say more in stage_note.");
			break;
	}
}

/* "Unable to reach" must have been tried. */
static void
judge_attempts(const Lifecycle *lifecycle, int64 lead_id, const char *stage, const char *reason)
{
	const StageReason *listed = reason ? stage_reason_find(lifecycle, stage, reason) : NULL;
	int64		attempts;

	if (listed == NULL || listed->min_attempts == 0)
		return;
	attempts = sales_attempts(lead_id);
	if (attempts < listed->min_attempts)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("reason \"%s\" needs at least %d logged attempts", reason,
						listed->min_attempts),
				 errdetail("Lead %lld has %lld sales touches in this cycle since it was handed off.",
						   (long long) lead_id, (long long) attempts),
				 errhint("Log calls and messages in leadflow.activities, with a kind of role sales_touch."),
				 err_column_constraint("leads", "stage_reason", "leads_reason_earned")));
}

static DateADT
today(const StageConfig *config)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			zone;

	if (timestamp2tm(clock_now(), &zone, &tm, &fsec, NULL, config->time_zone) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

static void
judge_revisit(const StageConfig *config, int64 lead_id, const char *stage, bool required,
			  bool given, Datum date)
{
	if (!given)
	{
		if (required)
			refuse_reason(lead_id, "revisit_on", "this move needs a date to come back", stage, NULL,
						  "Set revisit_on to a later day.");
	}
	else if (DATE_NOT_FINITE(DatumGetDateADT(date)) || DatumGetDateADT(date) <= today(config))
		refuse_reason(lead_id, "revisit_on", "the date to come back is not a day in the future", stage,
					  DatumGetCString(DirectFunctionCall1(date_out, date)),
					  psprintf("Set revisit_on to a day after today, which is %s in %s.",
							   DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(today(config)))),
							   pg_get_timezone_name(config->time_zone)));
}

/* ---- moves --------------------------------------------------------------- */

/* Reads the configuration again for a stage that it doesn't know: it may be new. */
static const StageConfig *
config_with_stage(const char *stage)
{
	const StageConfig *config = stage_config();

	return stage_find(&config->lifecycle, stage) ? config : stage_config_reload();
}

static const StageMove *
judge_move(const StageConfig *config, int64 lead_id, const char *from, const char *to)
{
	const Lifecycle *lifecycle = &config->lifecycle;
	const StageMove *move = stage_move_find(lifecycle, from, to);

	if (move)
		return move;
	if (stage_find(lifecycle, to) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("there is no stage \"%s\"", to),
				 errdetail("Lead %lld is in stage \"%s\".", (long long) lead_id, from),
				 errhint("%s", possible_moves(lifecycle, from)),
				 err_column_constraint("leads", "stage", "leads_stage_move")));
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("a lead cannot move from stage \"%s\" to \"%s\"", from, to),
			 errdetail("Lead %lld is in stage \"%s\".", (long long) lead_id, from),
			 errhint("%s", possible_moves(lifecycle, from)),
			 err_column_constraint("leads", "stage", "leads_stage_move")));
	pg_unreachable();
}

static void
judge_team(const StageConfig *config, int64 lead_id, const StageMove *move, Actor actor)
{
	if (stage_move_allowed(move, actor.team))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("team %s may not move a lead from stage \"%s\" to \"%s\"",
					team_name(actor.team), move->from, move->to),
			 errdetail("Lead %lld; the actor is team member %lld.", (long long) lead_id,
					   (long long) actor.member_id),
			 strcmp(move->from, "rejected") == 0 && move->teams == TEAM_SYSTEM ?
			 errhint("Its review decides where it goes: leadflow.contest() makes marketing's case, leadflow.review() votes.") :
			 errhint("That move is made by: %s. %s", stage_move_teams(move),
					 possible_moves(&config->lifecycle, move->from)),
			 err_column_constraint("leads", "stage", "leads_stage_move")));
}

static void pg_attribute_noreturn()
refuse_gate(int64 lead_id, const char *missing)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("lead %lld cannot become an MQL: %s", (long long) lead_id, missing),
			 errdetail("Lead %lld: %s.", (long long) lead_id, missing),
			 errhint("Points and grade are not asked of a move by hand, the rest of the gate is."),
			 err_column_constraint("leads", "stage", "leads_mql_gate")));
	pg_unreachable();
}

/* What is asked of a lead that people make an MQL; if it is disqualified is seen when it is written. */
static void
judge_gate(int64 lead_id, HeapTuple newtup, TupleDesc desc)
{
	char	   *missing = gate_by_hand_blocked(lead_id, newtup, desc);

	if (missing)
		refuse_gate(lead_id, missing);
}

void
judge_disqualified(int64 lead_id, const char *reason)
{
	refuse_gate(lead_id, psprintf("disqualified: %s", reason));
}

/*
 * A lead that sales decides on belongs to the member who decided, whoever it was
 * offered to, unless the same statement says otherwise.
 */
static void
edit_owner(const StageConfig *config, const StageMove *move, Actor actor,
		   const LeadRow *old, const LeadRow *new, bool named, LeadEdit *edit)
{
	const Stage *from = stage_find(&config->lifecycle, move->from);
	const Stage *to = stage_find(&config->lifecycle, move->to);
	bool		given = lead_int64(old, LEAD_OWNER_ID) != lead_int64(new, LEAD_OWNER_ID) ||
		(named && !LEAD_ISNULL(new, LEAD_OWNER_ID));

	if (actor.team != TEAM_SALES || given)
		return;
	if (strcmp(from->category, "handoff") == 0 && strcmp(to->category, "handoff") != 0)
		edit_column(edit, LEAD_OWNER_ID, Int64GetDatum(actor.member_id));
	else if (strcmp(to->category, "sales") == 0 && LEAD_ISNULL(new, LEAD_OWNER_ID))
		edit_column(edit, LEAD_OWNER_ID, Int64GetDatum(actor.member_id));
}

/* ---- the row ------------------------------------------------------------- */

static bool
same_value(const LeadRow *a, const LeadRow *b, LeadColumn column)
{
	Form_pg_attribute att = TupleDescAttr(a->shape->desc, a->shape->attnum[column] - 1);

	if (LEAD_ISNULL(a, column) || LEAD_ISNULL(b, column))
		return LEAD_ISNULL(a, column) && LEAD_ISNULL(b, column);
	return datum_image_eq(LEAD_DATUM(a, column), LEAD_DATUM(b, column),
						  att->attbyval, att->attlen);
}

void
judge_insert(const LeadRow *new, LeadEdit *edit)
{
	char	   *stage = lead_text(new, LEAD_STAGE);
	int64		lead_id = lead_int64(new, LEAD_ID);
	TimestampTz now = clock_now();
	bool		import;

	if (!LEAD_ISNULL(new, LEAD_STAGE_ACTOR_ID))
		refuse_engine_owned(lead_id, "stage_actor_id", "Set stage_by to the actor's e-mail.");
	if (!LEAD_ISNULL(new, LEAD_STAGE_TEAM))
		refuse_engine_owned(lead_id, "stage_team", "Set stage_by to the actor's e-mail.");
	if (!LEAD_ISNULL(new, LEAD_ERASED_AT))
		refuse_engine_owned(lead_id, "erased_at", "leadflow.erase_lead() erases a person.");
	edit_account(edit, new);
	if (stage == NULL)
		return;					/* refused by NOT NULL */

	import = strcmp(stage, "lead") != 0 || !LEAD_ISNULL(new, LEAD_STAGE_SINCE);
	if (import)
	{
		const StageConfig *config = config_with_stage(stage);
		bool		may = actor_may_import();

		if (stage_find(&config->lifecycle, stage) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CHECK_VIOLATION),
					 errmsg("there is no stage \"%s\"", stage),
					 errdetail("Lead %lld.", (long long) lead_id),
					 errhint("There are: %s.", stage_names(&config->lifecycle)),
					 err_column_constraint("leads", "stage", "leads_stage_move")));
		if (!may && strcmp(stage, "lead") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("a new lead begins in stage \"lead\""),
					 errdetail("Lead %lld was to begin in stage \"%s\".", (long long) lead_id, stage),
					 errhint("Insert it in stage \"lead\" and move it; roles …_app and …_admin, superusers and the owner of the tables may import leads in any stage."),
					 err_column_constraint("leads", "stage", "leads_stage_move")));
		if (!LEAD_ISNULL(new, LEAD_STAGE_SINCE))
		{
			TimestampTz since = DatumGetTimestampTz(LEAD_DATUM(new, LEAD_STAGE_SINCE));

			if (!may)
				refuse_engine_owned(lead_id, "stage_since",
									"Leave it out; imports by …_app, …_admin, superusers and the owner of the tables may give it.");
			if (since > now)
				ereport(ERROR,
						(errcode(ERRCODE_CHECK_VIOLATION),
						 errmsg("a lead cannot have entered its stage in the future"),
						 errdetail("Lead %lld: stage_since is %s.", (long long) lead_id,
								   pstrdup(timestamptz_to_str(since))),
						 errhint("It is %s now.", pstrdup(timestamptz_to_str(now))),
						 err_column_constraint("leads", "stage_since", "leads_stage_since")));
		}
	}
	if (LEAD_ISNULL(new, LEAD_STAGE_SINCE))
		edit_column(edit, LEAD_STAGE_SINCE, TimestampTzGetDatum(now));
	if (!LEAD_ISNULL(new, LEAD_STAGE_REASON))
		judge_reason(&stage_config()->lifecycle, lead_id, stage, lead_text(new, LEAD_STAGE_REASON),
					 lead_text(new, LEAD_STAGE_NOTE), false, import);

	/* stage_by stays until the row is stored: ON CONFLICT DO UPDATE may ask excluded for it */
	edit_actor(edit, actor_resolve(lead_id, lead_text(new, LEAD_STAGE_BY), false));
}

/*
 * A lead that is already where the statement wants it has nothing to move, and a
 * repetition is harmless.  Not so if another member has moved it there since the
 * statement began to look: whoever lost that race must not take the lead for
 * theirs.
 */
static void
judge_race(const LeadRow *old, const LeadRow *new, HeapTuple oldtup, const char *stage)
{
	TransactionId writer = HeapTupleHeaderGetXmin(oldtup->t_data);
	int64		lead_id = lead_int64(old, LEAD_ID);
	int64		winner = lead_int64(old, LEAD_STAGE_ACTOR_ID);
	const Member *member;
	char	   *seen;

	if (winner == 0 || TransactionIdIsCurrentTransactionId(writer) ||
		!XidInMVCCSnapshot(writer, GetActiveSnapshot()))
		return;
	seen = stage_seen(lead_id, GetActiveSnapshot());
	if (seen == NULL || strcmp(seen, stage) == 0 ||
		actor_resolve(lead_id, lead_text(new, LEAD_STAGE_BY), true).member_id == winner)
		return;
	member = member_by_id(stage_config(), winner);
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("somebody else has just moved the lead from stage \"%s\" to \"%s\"", seen, stage),
			 errdetail("Lead %lld: team member %lld%s%s was first.", (long long) lead_id, (long long) winner,
					   member && member->email ? ", " : "",
					   member && member->email ? member->email : ""),
			 errhint("%s", possible_moves(&stage_config()->lifecycle, stage)),
			 err_column_constraint("leads", "stage", "leads_stage_move")));
}

/* A reason decides where the lead goes on to: it is for those to say who may send leads there. */
static void
judge_corrector(const Lifecycle *lifecycle, int64 lead_id, const char *stage, Actor actor)
{
	if (!stage_may_enter(lifecycle, stage, actor.team))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("team %s may not change the reason for stage \"%s\"", team_name(actor.team), stage),
				 errdetail("Lead %lld; the actor is team member %lld.", (long long) lead_id,
						   (long long) actor.member_id),
				 errhint("The teams that move leads to that stage may."),
				 err_column_constraint("leads", "stage_reason", "leads_stage_reason")));
}

/* Reason and note of the present stage are put right, without a move. */
static void
judge_correction(const LeadRow *old, const LeadRow *new, const char *stage)
{
	const Lifecycle *lifecycle = &stage_config()->lifecycle;
	int64		lead_id = lead_int64(new, LEAD_ID);
	char	   *reason = lead_text(new, LEAD_STAGE_REASON);
	bool		required = false;

	if (same_value(old, new, LEAD_STAGE_REASON) && same_value(old, new, LEAD_STAGE_NOTE))
		return;
	if (reason == NULL && !LEAD_ISNULL(old, LEAD_STAGE_REASON))
	{
		for (int i = 0; i < lifecycle->nmoves; i++)
			required |= lifecycle->moves[i].requires_reason &&
				strcmp(lifecycle->moves[i].to, stage) == 0;
	}
	judge_reason(lifecycle, lead_id, stage, reason, lead_text(new, LEAD_STAGE_NOTE), required,
				 same_value(old, new, LEAD_STAGE_REASON));
	if (!same_value(old, new, LEAD_STAGE_REASON))
	{
		judge_corrector(lifecycle, lead_id, stage, actor_resolve(lead_id, lead_text(new, LEAD_STAGE_BY), true));
		judge_attempts(lifecycle, lead_id, stage, reason);
	}
}

static bool
is_named(const Bitmapset *named, const LeadRow *new, LeadColumn column)
{
	return bms_is_member(new->shape->attnum[column] - FirstLowInvalidHeapAttributeNumber, named);
}

/*
 * The reason that was given with this move.  One that is not named in the statement
 * was given with the last move; neither was one that is merely written back, as
 * tools do that save whole rows, unless the stage that is entered knows it.
 */
static char *
given_reason(const StageConfig *config, const StageMove *move, const LeadRow *old,
			 const LeadRow *new, const Bitmapset *named)
{
	char	   *reason = lead_text(new, LEAD_STAGE_REASON);

	if (reason == NULL || !same_value(old, new, LEAD_STAGE_REASON))
		return reason;
	if (!is_named(named, new, LEAD_STAGE_REASON))
		return NULL;
	return move->requires_reason || stage_reason_find(&config->lifecycle, move->to, reason) ?
		reason : NULL;
}

/*
 * When the stage was entered: now, or when the engine or move() says, but never before the last move.
 * Nor is a lead that is in sales' hands moved now, or any handed off, before it was last given to somebody: a
 * transaction that did that may have begun later than this.  What is dated, a deal too, keeps its date otherwise.
 */
static TimestampTz
entered_at(const LeadRow *old, const StageUpdate *update, int64 lead_id, const Stage *from, const Stage *to)
{
	const StageUpdateLead *lead = update ? stage_update_lead(update, lead_id) : NULL;
	TimestampTz last = DatumGetTimestampTz(LEAD_DATUM(old, LEAD_STAGE_SINCE));
	TimestampTz now = clock_now();
	bool		dated = lead && !TIMESTAMP_IS_NOBEGIN(lead->at);
	bool		was_offered = strcmp(from->category, "handoff") == 0;
	TimestampTz at = dated ? Min(lead->at, now) : now;
	TimestampTz given = last;

	if (dated ? !was_offered && to && strcmp(to->category, "handoff") == 0 :
		was_offered || strcmp(from->category, "sales") == 0)
		handoff_not_before(&lead_id, &given, 1);
	if (at >= last && at < given && dated && update->kind == STAGE_UPDATE_BACKDATED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a hand-off cannot come before the one before it"),
				 errdetail("Lead %lld was last given to somebody at %s.", (long long) lead_id,
						   pstrdup(timestamptz_to_str(given))),
				 errhint("Give a later instant, or none.")));
	if (at < last && update && update->kind == STAGE_UPDATE_BACKDATED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a move cannot come before the one before it"),
				 errdetail("Lead %lld entered stage \"%s\" at %s.", (long long) lead_id,
						   lead_text(old, LEAD_STAGE), pstrdup(timestamptz_to_str(last))),
				 errhint("Give a later instant, or none.")));
	return Max(at, given);
}

void
judge_update(const LeadRow *old, const LeadRow *new, HeapTuple oldtup, HeapTuple newtup,
			 const Bitmapset *named, LeadEdit *edit)
{
	const StageUpdate *update = stage_update_expected();
	const StageConfig *config;
	const StageMove *move;
	int64		lead_id = lead_int64(old, LEAD_ID);
	char	   *from = lead_text(old, LEAD_STAGE);
	char	   *to = lead_text(new, LEAD_STAGE);
	char	   *reason;
	bool		revisit;
	Actor		actor;

	if (update && update->kind == STAGE_UPDATE_SILENT)
		return;

	if (lead_int64(new, LEAD_ID) != lead_id)
		refuse_engine_owned(lead_id, "id", "Leads keep their id; merge them instead.");
	if (!same_value(old, new, LEAD_STAGE_SINCE))
		refuse_engine_owned(lead_id, "stage_since",
							"It follows from the move; leadflow.move() back-dates one.");
	if (!same_value(old, new, LEAD_STAGE_ACTOR_ID))
		refuse_engine_owned(lead_id, "stage_actor_id", "Set stage_by to the actor's e-mail.");
	if (!same_value(old, new, LEAD_STAGE_TEAM))
		refuse_engine_owned(lead_id, "stage_team", "Set stage_by to the actor's e-mail.");

	if (!same_value(old, new, LEAD_ERASED_AT))
		refuse_engine_owned(lead_id, "erased_at", "leadflow.erase_lead() erases a person.");

	if (!LEAD_ISNULL(new, LEAD_STAGE_BY))
		edit_null(edit, LEAD_STAGE_BY);
	if (!same_value(old, new, LEAD_EMAIL))
		edit_account(edit, new);
	if (to == NULL)
		return;					/* refused by NOT NULL */
	if (strcmp(from, to) == 0)
	{
		if ((update == NULL || update->kind == STAGE_UPDATE_BACKDATED) && is_named(named, new, LEAD_STAGE))
			judge_race(old, new, oldtup, to);
		judge_correction(old, new, to);
		return;
	}

	config = config_with_stage(to);
	if (stage_find(&config->lifecycle, from) == NULL &&
		(config = stage_config_reload(), stage_find(&config->lifecycle, from) == NULL))
		return;					/* the stage got another name: no move */

	if (update && update->kind == STAGE_UPDATE_SYSTEM)
	{
		actor.member_id = 0;
		actor.team = TEAM_SYSTEM;
		if (update->reason)
			edit_column(edit, LEAD_STAGE_REASON, CStringGetTextDatum(update->reason));
		else
			edit_null(edit, LEAD_STAGE_REASON);
		edit_null(edit, LEAD_STAGE_NOTE);
		edit_null(edit, LEAD_REVISIT_ON);
	}
	else
	{
		char	   *note;

		move = judge_move(config, lead_id, from, to);
		actor = actor_resolve(lead_id, lead_text(new, LEAD_STAGE_BY), true);
		reason = given_reason(config, move, old, new, named);
		note = !same_value(old, new, LEAD_STAGE_NOTE) ||
			(reason && is_named(named, new, LEAD_STAGE_NOTE)) ? lead_text(new, LEAD_STAGE_NOTE) : NULL;
		revisit = !LEAD_ISNULL(new, LEAD_REVISIT_ON) &&
			(!same_value(old, new, LEAD_REVISIT_ON) ||
			 (move->requires_revisit && is_named(named, new, LEAD_REVISIT_ON)));
		judge_team(config, lead_id, move, actor);
		judge_reason(&config->lifecycle, lead_id, to, reason, note, move->requires_reason, false);
		judge_revisit(config, lead_id, to, move->requires_revisit, revisit,
					  LEAD_DATUM(new, LEAD_REVISIT_ON));
		judge_attempts(&config->lifecycle, lead_id, to, reason);
		if (strcmp(to, "mql") == 0)
			judge_gate(lead_id, newtup, new->shape->desc);
		edit_owner(config, move, actor, old, new, is_named(named, new, LEAD_OWNER_ID), edit);

		if (reason == NULL)
			edit_null(edit, LEAD_STAGE_REASON);
		if (note == NULL)
			edit_null(edit, LEAD_STAGE_NOTE);
		if (!revisit)
			edit_null(edit, LEAD_REVISIT_ON);
	}
	edit_actor(edit, actor);
	edit_column(edit, LEAD_STAGE_SINCE,
				TimestampTzGetDatum(entered_at(old, update, lead_id, stage_find(&config->lifecycle, from),
											   stage_find(&config->lifecycle, to))));
}
