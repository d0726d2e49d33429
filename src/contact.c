/*-------------------------------------------------------------------------
 * contact.c
 *	  Whether a lead may be contacted, and messages that were sent.
 *
 * may_contact() and its like go by the query's snapshot and change nothing.  A reservation
 * is made, and a message judged, under the lock of the lead's state row and by a snapshot taken
 * after it, so of those who come at once each sees the one before.  These two look
 * ahead, too: sessions do not come in the order of their clocks, and a place must not be
 * given away that a later message has.  They read at the latest snapshot under SERIALIZABLE, too: who
 * reserves writes to no row of the lead that would tell.
 *
 * Messages of a flush are judged lead by lead, in the order in which they were sent: first each
 * redeems the oldest reservation of its channel, then it is compared with what was known
 * before and with those of the same flush that came before it.
 *
 * Limits: permissions, do_not_contact and limits are taken as they are when a message is
 * recorded; what they were before is known of permissions alone.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "contact.h"
#include "contact_store.h"
#include "errors.h"
#include "flush.h"
#include "guc.h"
#include "ids.h"
#include "row_lock.h"
#include "spi.h"
#include "visible.h"

/* ---- questions ----------------------------------------------------------- */

/* Arguments of the functions of one lead. */
typedef struct Arguments
{
	int64		lead_id;
	const char *channel;
	TimestampTz at;
} Arguments;

/* False: the answer is NULL. */
static bool
take_arguments(FunctionCallInfo fcinfo, Arguments *arguments)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return false;
	arguments->lead_id = PG_GETARG_INT64(0);
	arguments->channel = text_to_cstring(PG_GETARG_TEXT_PP(1));
	arguments->at = PG_GETARG_TIMESTAMPTZ(2);
	if (arguments->channel[0] == '\0' || strcmp(arguments->channel, "*") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a channel", arguments->channel),
				 errhint("Name one, e.g. email; activity_kinds says which messages are of which channel.")));
	if (TIMESTAMP_NOT_FINITE(arguments->at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the instant of a contact must be finite")));
	return true;
}

/* What is known of a lead; false = it is unknown, or hidden from the caller. */
static bool
inquire(const ContactRules *rules, const Arguments *arguments, TimestampTz to, Snapshot snapshot,
		TimestampTz live_at, ContactFacts *facts, Coverage **taken)
{
	int64		reach = contact_reach(rules, arguments->channel);
	ContactScope scope = {
		.from = instant_before(arguments->at, reach),
		.to = reach > 0 ? to : DT_NOBEGIN,
		.earliest = arguments->at,
		.unsettled = (event_flags(arguments->lead_id) & DELTA_WITHDRAWN) != 0
	};
	ContactReader reader;
	bool		found;

	contact_open(&reader, rules, snapshot);
	found = contact_read(&reader, arguments->lead_id, &scope, facts);
	contact_close(&reader);
	if (found)
		*taken = contact_coverage(rules, facts, live_at, NULL);
	return found;
}

/* may_contact(lead_id, channel, at) → boolean */
PG_FUNCTION_INFO_V1(leadflow_may_contact);
Datum
leadflow_may_contact(PG_FUNCTION_ARGS)
{
	Arguments	arguments;
	const ContactRules *rules;
	ContactFacts facts;
	Coverage   *taken;
	ContactQuestion question = {0};

	if (!take_arguments(fcinfo, &arguments) || !lead_visible(arguments.lead_id))
		PG_RETURN_NULL();
	rules = contact_rules();
	if (!inquire(rules, &arguments, arguments.at, GetActiveSnapshot(), DT_NOEND, &facts, &taken))
		PG_RETURN_NULL();
	question.channel = arguments.channel;
	question.at = arguments.at;
	PG_RETURN_BOOL(contact_allowed(rules, &facts, taken, NULL, &question));
}

/* contact_blocked_by(lead_id, channel, at) → text */
PG_FUNCTION_INFO_V1(leadflow_contact_blocked_by);
Datum
leadflow_contact_blocked_by(PG_FUNCTION_ARGS)
{
	Arguments	arguments;
	const ContactRules *rules;
	ContactFacts facts;
	Coverage   *taken;
	ContactQuestion question = {0};

	if (!take_arguments(fcinfo, &arguments))
		PG_RETURN_NULL();
	/* NULL would say that it may be contacted */
	if (!lead_visible(arguments.lead_id))
		PG_RETURN_TEXT_P(cstring_to_text("no such lead"));
	rules = contact_rules();
	if (!inquire(rules, &arguments, arguments.at, GetActiveSnapshot(), DT_NOEND, &facts, &taken))
		PG_RETURN_TEXT_P(cstring_to_text("no such lead"));
	question.channel = arguments.channel;
	question.at = arguments.at;
	question.why = makeStringInfo();
	if (contact_allowed(rules, &facts, taken, NULL, &question))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(question.why->data, question.why->len));
}

/* next_contact_at(lead_id, channel, at) → timestamptz */
PG_FUNCTION_INFO_V1(leadflow_next_contact_at);
Datum
leadflow_next_contact_at(PG_FUNCTION_ARGS)
{
	Arguments	arguments;
	const ContactRules *rules;
	ContactFacts facts;
	Coverage   *taken;

	if (!take_arguments(fcinfo, &arguments) || !lead_visible(arguments.lead_id))
		PG_RETURN_NULL();
	rules = contact_rules();
	if (!inquire(rules, &arguments, DT_NOEND, GetActiveSnapshot(), DT_NOEND, &facts, &taken))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(contact_next(rules, &facts, taken, arguments.channel, arguments.at));
}

/* ---- reservations -------------------------------------------------------- */

/*
 * Both rows of a lead, in the order in which everybody locks them: what the same transaction
 * sends may come to want the lead's own row while it holds the state.
 */
static bool
lock_lead(int64 lead_id)
{
	return row_lock_named("leads", lead_id, LockTupleNoKeyExclusive) &&
		row_lock_named("score_state", lead_id, LockTupleNoKeyExclusive);
}

/* reserve_contact(lead_id, channel, at) → bigint */
PG_FUNCTION_INFO_V1(leadflow_reserve_contact);
Datum
leadflow_reserve_contact(PG_FUNCTION_ARGS)
{
	Arguments	arguments;
	const ContactRules *rules;
	ContactFacts facts;
	Coverage   *taken;
	ContactQuestion question = {.ahead = true};
	TimestampTz now = clock_wall();
	TimestampTz expires_at;
	Snapshot	snapshot;
	bool		allowed;

	if (!take_arguments(fcinfo, &arguments) || !lead_visible(arguments.lead_id))
		PG_RETURN_NULL();
	if (event_flags(arguments.lead_id) & DELTA_CONTACT)
		flush_settle();
	if (!lock_lead(arguments.lead_id))
		PG_RETURN_NULL();

	rules = contact_rules();
	expires_at = instant_after(arguments.at, rules->hold);
	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(snapshot);
	allowed = inquire(rules, &arguments, instant_after(arguments.at, contact_reach(rules, arguments.channel)), snapshot, now,
					  &facts, &taken);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	if (allowed)
	{
		question.channel = arguments.channel;
		question.at = arguments.at;
		allowed = contact_allowed(rules, &facts, taken, NULL, &question);
	}
	if (!allowed)
		PG_RETURN_NULL();
	PG_RETURN_INT64(reservation_make(arguments.lead_id, arguments.channel, arguments.at, expires_at,
									 Min(now, arguments.at)));
}

/* release_contact(id) → boolean */
PG_FUNCTION_INFO_V1(leadflow_release_contact);
Datum
leadflow_release_contact(PG_FUNCTION_ARGS)
{
	int64		lead_id;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	lead_id = reservation_lead(PG_GETARG_INT64(0));
	PG_RETURN_BOOL(lead_id != 0 && lead_visible(lead_id) && lock_lead(lead_id) &&
				   reservation_free(PG_GETARG_INT64(0)));
}

/* ---- messages that were sent --------------------------------------------- */

/* What a flush finds out, to be written at its end. */
typedef struct Judging
{
	const ContactRules *rules;
	ContactReader reader;
	TimestampTz now;
	MemoryContext context;		/* of what is to be written */
	ContactRedemption *redemptions;
	int			nredemptions;
	int			maxredemptions;
	ContactViolation *violations;
	int			nviolations;
	int			maxviolations;
} Judging;

static int
compare_messages(const void *a, const void *b)
{
	const SentMessage *x = a;
	const SentMessage *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return memcmp(&x->id, &y->id, UUID_LEN);
}

/* The message that an item is, if it is a new one; both are in the same order. */
static const SentMessage *
message_of(const ContactItem *item, const Delta *delta, int *next)
{
	SentMessage key = {.at = item->at, .id = item->id};

	while (*next < delta->nmessages && compare_messages(&delta->messages[*next], &key) < 0)
		(*next)++;
	return *next < delta->nmessages && compare_messages(&delta->messages[*next], &key) == 0 ?
		&delta->messages[*next] : NULL;
}

/*
 * The oldest place that was kept for such a message.  It may be sent somewhat earlier than it
 * was announced, too, but not so much earlier that it can't have been meant.
 */
static void
redeem(Judging *judging, ContactFacts *facts, const ContactItem *item)
{
	ContactReservation *oldest = NULL;
	ContactRedemption *redemption;

	for (int i = 0; i < facts->nreservations; i++)
	{
		ContactReservation *reservation = &facts->reservations[i];
		int64		hold = reservation->expires_at - reservation->at;

		if (!reservation->redeemed && strcmp(reservation->channel, item->kind->channel) == 0 &&
			item->at < reservation->expires_at && item->at > instant_before(reservation->at, hold) &&
			(oldest == NULL || reservation->at < oldest->at ||
			 (reservation->at == oldest->at && reservation->id < oldest->id)))
			oldest = reservation;
	}
	if (oldest == NULL)
		return;
	oldest->redeemed = true;
	if (judging->nredemptions == judging->maxredemptions)
	{
		MemoryContext caller = MemoryContextSwitchTo(judging->context);

		judging->maxredemptions = Max(16, judging->maxredemptions * 2);
		judging->redemptions = judging->redemptions ?
			repalloc_huge(judging->redemptions, sizeof(ContactRedemption) * judging->maxredemptions) :
			palloc(sizeof(ContactRedemption) * judging->maxredemptions);
		MemoryContextSwitchTo(caller);
	}
	redemption = &judging->redemptions[judging->nredemptions++];
	redemption->reservation_id = oldest->id;
	redemption->activity_id = item->id;
}

static void
refuse(const ContactFacts *facts, const ContactQuestion *question)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("message breaks a rule of contact"),
			 errdetail("Lead %lld on channel \"%s\" at %s: %s.", (long long) facts->lead_id,
					   question->channel, instant_text(question->at), question->why->data),
			 errhint("leadflow.next_contact_at() says when the lead may be contacted; with leadflow.contact_limits = 'store' what was sent is stored and shows in leadflow.messages_against_rules."),
			 err_constraint("activities", "activities_contact_limit")));
}

static void
note_violation(Judging *judging, const ContactFacts *facts, const ContactItem *item,
			   const ContactQuestion *question)
{
	MemoryContext caller = MemoryContextSwitchTo(judging->context);
	ContactViolation *violation;

	if (judging->nviolations == judging->maxviolations)
	{
		judging->maxviolations = Max(16, judging->maxviolations * 2);
		judging->violations = judging->violations ?
			repalloc_huge(judging->violations, sizeof(ContactViolation) * judging->maxviolations) :
			palloc(sizeof(ContactViolation) * judging->maxviolations);
	}
	violation = &judging->violations[judging->nviolations++];
	violation->lead_id = facts->lead_id;
	violation->occurred_at = item->at;
	violation->activity_id = item->id;
	violation->channel = item->kind->channel;
	violation->why = pnstrdup(question->why->data, question->why->len);
	violation->limit_id = question->limit_id;
	MemoryContextSwitchTo(caller);
}

/* Judges the new messages of a lead. */
static void
judge_lead(Judging *judging, const Delta *delta)
{
	const ContactRules *rules = judging->rules;
	int64		reach = contact_reach(rules, NULL);
	ContactScope scope = {0};
	ContactFacts facts;
	Coverage   *taken;
	Coverage   *fresh;
	const SentMessage **sent;
	bool	   *is_new;
	int			next = 0;

	qsort(delta->messages, delta->nmessages, sizeof(SentMessage), compare_messages);
	scope.earliest = delta->messages[0].at;
	scope.from = instant_before(scope.earliest, reach);
	scope.to = instant_after(delta->messages[delta->nmessages - 1].at, reach);
	scope.unsettled = (event_flags(delta->lead_id) & DELTA_WITHDRAWN) != 0;
	if (!contact_read(&judging->reader, delta->lead_id, &scope, &facts))
		return;

	sent = palloc0_array(const SentMessage *, facts.nitems + 1);
	is_new = palloc0_array(bool, facts.nitems + 1);
	for (int i = 0; i < facts.nitems; i++)
	{
		sent[i] = facts.items[i].kind->message ? message_of(&facts.items[i], delta, &next) : NULL;
		is_new[i] = sent[i] != NULL;
		if (is_new[i] && facts.nreservations > 0)
			redeem(judging, &facts, &facts.items[i]);
	}
	taken = contact_coverage(rules, &facts, judging->now, is_new);
	fresh = palloc0_array(Coverage, rules->nlimits + 1);
	for (int i = 0; i < facts.nitems; i++)
	{
		const ContactItem *item = &facts.items[i];
		ContactQuestion question = {.ahead = true};

		if (!is_new[i])
			continue;
		question.channel = item->kind->channel;
		question.by_sales = item->kind->role == ROLE_SALES_TOUCH;
		question.at = item->at;
		if (!contact_allowed(rules, &facts, taken, fresh, &question))
		{
			question.why = makeStringInfo();
			(void) contact_allowed(rules, &facts, taken, fresh, &question);
			if (sent[i]->refuse && !question.by_sales)
				refuse(&facts, &question);
			note_violation(judging, &facts, item, &question);
			pfree(question.why->data);
			pfree(question.why);
		}
		contact_cover(rules, fresh, item);
	}
}

static void
judge_begin(Judging *judging, Snapshot snapshot)
{
	memset(judging, 0, sizeof(Judging));
	judging->rules = contact_rules();
	judging->now = clock_wall();
	judging->context = CurrentMemoryContext;
	contact_open(&judging->reader, judging->rules, snapshot);
}

/* Messages that went, and those that changed, which are judged once more. */
static void
forget_unsent(Delta *const *deltas, int n, int64 *ids)
{
	ContactViolation *keys;
	int			nkeys = 0;
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (!(deltas[i]->flags & DELTA_UNSENT))
			continue;
		ids[count++] = deltas[i]->lead_id;
		nkeys += deltas[i]->nmessages;
	}
	if (count == 0)
		return;
	violations_forget(ids, count);
	if (nkeys == 0)
		return;
	keys = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(ContactViolation) * nkeys);
	nkeys = 0;
	for (int i = 0; i < n; i++)
	{
		if (!(deltas[i]->flags & DELTA_UNSENT))
			continue;
		for (int m = 0; m < deltas[i]->nmessages; m++)
		{
			keys[nkeys].lead_id = deltas[i]->lead_id;
			keys[nkeys].occurred_at = deltas[i]->messages[m].at;
			keys[nkeys++].activity_id = deltas[i]->messages[m].id;
		}
	}
	violations_reopen(keys, nkeys);
}

void
contact_flush(Delta *const *deltas, int n)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(caller, "leadflow contact", ALLOCSET_DEFAULT_SIZES);
	int64	   *ids = MemoryContextAllocHuge(caller, sizeof(int64) * Max(n, 1));
	Judging		judging;
	Snapshot	snapshot;
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (deltas[i]->flags & DELTA_WITHDRAWN)
			ids[count++] = deltas[i]->lead_id;
	}
	if (count)
		withdrawals_derive(ids, count);
	forget_unsent(deltas, n, ids);

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(snapshot);
	judge_begin(&judging, snapshot);
	for (int i = 0; i < n; i++)
	{
		if (deltas[i]->nmessages == 0)
			continue;
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(each);
		judge_lead(&judging, deltas[i]);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
	}
	contact_close(&judging.reader);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	if (judging.nredemptions)
		reservations_redeem(judging.redemptions, judging.nredemptions, clock_now());
	if (judging.nviolations)
		violations_write(judging.violations, judging.nviolations, clock_now());
	MemoryContextDelete(each);
}

void
contact_check(const Model *model, const int64 *leads, int n)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(caller, "leadflow contact", ALLOCSET_DEFAULT_SIZES);
	Judging		judging;
	Snapshot	snapshot;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(snapshot);
	judge_begin(&judging, snapshot);
	for (int i = 0; i < n; i++)
	{
		Delta	   *delta;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(each);
		delta = event_peek(model, leads[i]);
		if (delta && delta->nmessages > 0)
			judge_lead(&judging, delta);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(each);
	}
	contact_close(&judging.reader);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	MemoryContextDelete(each);
}

void
contact_truncated(void)
{
	withdrawals_derive(NULL, 0);
	violations_forget(NULL, 0);
}

void
contact_repair(const int64 *leads, int n)
{
	withdrawals_derive(leads, n);
	violations_forget(leads, n);
	reservations_forget(leads, n);
}

/* ---- triggers ------------------------------------------------------------ */

/*
 * _withdrawals_changed() → trigger, AFTER STATEMENT on activity_kinds, and AFTER TRUNCATE of
 * contact_permissions: what activities withdrew is made anew, and what is no message any more not flagged.
 */
PG_FUNCTION_INFO_V1(leadflow_withdrawals_changed);
Datum
leadflow_withdrawals_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER, FOR EACH STATEMENT", "_withdrawals_changed")));

	/* whoever inserts activities holds ROW EXCLUSIVE on it until the end */
	LockRelationOid(engine_relation("score_state"), ShareRowExclusiveLock);
	withdrawals_derive(NULL, 0);
	violations_forget(NULL, 0);
	return PointerGetDatum(NULL);
}

/*
 * _withdrawal_kept() → trigger, BEFORE … FOR EACH ROW of contact_permissions with an activity_id:
 * leadflow alone writes those.  It works with the flags of referential integrity, whose
 * cascades pass.
 */
PG_FUNCTION_INFO_V1(leadflow_withdrawal_kept);
Datum
leadflow_withdrawal_kept(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired BEFORE, FOR EACH ROW", "_withdrawal_kept")));
	if (!InLocalUserIdChange() || !InNoForceRLSOperation())
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("what an activity withdrew is kept by leadflow"),
				 errdetail("A row of contact_permissions with an activity_id follows from that activity."),
				 errhint("Void the activity, or add a row of your own that grants permission; leave out activity_id."),
				 err_column("contact_permissions", "activity_id")));
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple);
}
