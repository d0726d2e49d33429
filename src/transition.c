/*-------------------------------------------------------------------------
 * transition.c
 *	  The one writer of a lead's stage, and everything that follows from a move.
 *
 * A client's UPDATE and the engine's own both pass judge.c row by row, and then,
 * with the whole batch, apply() below: watch bits, cycle, history, hand-off,
 * clocks, in this order, under the lock of the leads' state rows.
 *
 * A site's AFTER ROW trigger runs before our statement trigger, and may move the same
 * leads again.  The inner statement is then seen first.  What it finds missing
 * (the row itself, or the move before) it makes up from OLD, and the outer one
 * finds done what it came for.  The same heals leads that were written while triggers were off.
 * Limit: two moves of a lead at one instant that end where they began are taken
 * for none.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "clock_store.h"
#include "compat.h"
#include "credit_store.h"
#include "guc.h"
#include "handoff.h"
#include "ids.h"
#include "judge.h"
#include "lead.h"
#include "model_store.h"
#include "nurture.h"
#include "outbox.h"
#include "review.h"
#include "route.h"
#include "row_lock.h"
#include "score_store.h"
#include "spi.h"
#include "stage_store.h"
#include "transition.h"

/* The category of a stage, in this transaction's memory; NULL for no stage. */
static const char *
category_of(const char *stage)
{
	const Stage *found = stage ? stage_find(&stage_config()->lifecycle, stage) : NULL;

	return found ? pstrdup(found->category) : NULL;
}

static void
fill_categories(Move *moves, int n)
{
	for (int i = 0; i < n; i++)
	{
		moves[i].from_category = category_of(moves[i].from_stage);
		moves[i].to_category = category_of(moves[i].to_stage);
	}
}

/* ---- what follows from moves --------------------------------------------- */

/* Which of the engine's promotions this is, if it is one. */
static const StageUpdateLead *
promotion_of(const Move *move)
{
	const StageUpdate *update = stage_update_expected();

	if (update == NULL || update->kind != STAGE_UPDATE_SYSTEM)
		return NULL;
	return stage_update_lead(update, move->lead_id);
}

static void
watch_of(const Move *move, int *set, int *clear)
{
	*set = 0;
	*clear = WATCH_GATE | WATCH_EVIDENCE | WATCH_HANDOFF;
	if (is(move->to_stage, "lead") || is(move->to_stage, "nurture"))
		*set |= WATCH_GATE;
	if (is(move->to_stage, "mql"))
		*set |= WATCH_HANDOFF;
	if (is(move->to_category, "handoff"))
		*set |= WATCH_TOUCH;
	/* routing will give it one, or somebody takes it from the queue */
	if (move->owner_id || is(move->to_category, "handoff"))
		*set |= WATCH_OWNED;
	/* not what a review or a reason has sent back to sales: that was no evidence */
	if ((is(move->to_stage, "mql") || (is(move->to_stage, "sql") && is(move->from_stage, "mql"))) &&
		is(move->team, "system") && promotion_of(move))
		*set |= WATCH_EVIDENCE;
	*clear &= ~*set;
}

/*
 * Moves of one kind in one call; since the calls lock by turns, a batch of several
 * kinds is locked in id order first.
 */
static void
write_watch(const Move *moves, int n)
{
	int64	   *ids = palloc_array(int64, n);
	int		   *sets = palloc_array(int, n);
	int		   *clears = palloc_array(int, n);
	bool	   *done = palloc0_array(bool, n);
	bool		mixed = false;

	for (int i = 0; i < n; i++)
	{
		watch_of(&moves[i], &sets[i], &clears[i]);
		mixed |= sets[i] != sets[0] || clears[i] != clears[0];
	}
	for (int i = 0; mixed && i < n; i++)
		(void) row_lock_named("score_state", moves[i].lead_id, LockTupleNoKeyExclusive);
	for (int i = 0; i < n; i++)
	{
		int			count = 0;

		if (done[i])
			continue;
		for (int j = i; j < n; j++)
		{
			if (!done[j] && sets[j] == sets[i] && clears[j] == clears[i])
			{
				ids[count++] = moves[j].lead_id;
				done[j] = true;
			}
		}
		score_watch(ids, count, sets[i], clears[i]);
	}
}

/* Back with marketing: nurture, and a site's own; a rejection may still be overturned. */
static bool
is_recycled(const char *stage, const char *category)
{
	return is(category, "recycle") && !is(stage, "rejected");
}

/*
 * A lead that comes back begins a new cycle: the gate may open for it once more.  One that the
 * engine takes back (evidence voided) or wakes (the revisit day) is in the same, but not one that sales
 * left lying; and one that takes the stage of a duplicate has that one's cycle, too.
 */
static bool
begins_cycle(const Move *move)
{
	if (is(move->team, "system") && is(move->reason, TRANSITION_MERGED))
		return false;
	return (is_recycled(move->to_stage, move->to_category) &&
			!is_recycled(move->from_stage, move->from_category)) ||
		(is(move->to_stage, "lead") && move->from_stage &&
		 (!is(move->team, "system") || is(move->reason, TRANSITION_BREACHED)));
}

/* A lead of which sales made itself has a hand-off if it changes hands, and its touches count. */
static void
watch_passed_on(const Move *moves, const LeadUpdate **changes, int n)
{
	int64	   *ids = palloc_array(int64, n);
	int			count = 0;

	for (int i = 0; changes && i < n; i++)
	{
		if (handoff_passes_on(&moves[i], changes[i]))
			ids[count++] = moves[i].lead_id;
	}
	if (count)
		score_watch(ids, count, WATCH_TOUCH, 0);
}

static void
write_cycles(const Move *moves, int n)
{
	int64	   *ids = palloc_array(int64, n);
	TimestampTz *since = palloc_array(TimestampTz, n);
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (begins_cycle(&moves[i]))
		{
			ids[count] = moves[i].lead_id;
			since[count++] = moves[i].at;
		}
	}
	if (count)
		score_cycle_begin(ids, since, count);
}

/* A lead that somebody made an MQL may have all that the hand-off asks for. */
static void
queue_handoffs(const Move *moves, int n)
{
	int64	   *ids = palloc_array(int64, n);
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (is(moves[i].to_stage, "mql") && !is(moves[i].team, "system"))
			ids[count++] = moves[i].lead_id;
	}
	score_gate_check(ids, count);
}

static void
write_history(Move *moves, Move *const *passed, int n)
{
	StageFreeze *freezes = palloc0_array(StageFreeze, n);
	ScoreRow   *scores = palloc_array(ScoreRow, n);
	bool	   *scored = palloc_array(bool, n);
	int64	   *ids = palloc_array(int64, n);

	for (int i = 0; i < n;)
	{
		int			count = 0;

		/* at one instant, unless moves are back-dated */
		for (int j = i; j < n && moves[j].at == moves[i].at; j++)
			ids[count++] = moves[j].lead_id;
		score_read_all(ids, count, moves[i].at, &scores[i], &scored[i]);
		i += count;
	}
	for (int i = 0; i < n; i++)
	{
		const StageUpdateLead *promotion = promotion_of(&moves[i]);

		freezes[i].cycle = 1;
		freezes[i].scored = scored[i];
		if (freezes[i].scored)
		{
			const ScoreRow *score = &scores[i];
			const char *persona;

			if (score->disqualified_by && moves[i].from_stage && is(moves[i].to_stage, "mql") &&
				!is(moves[i].team, "system"))
				judge_disqualified(moves[i].lead_id,
								   disqualified_reason(model_active(), score->disqualified_by));
			persona = score->persona_id ? score_persona_name(score->persona_id) : NULL;
			freezes[i].score = score->score;
			freezes[i].model_id = score->model_id;
			freezes[i].persona = persona ? pstrdup(persona) : NULL;
			freezes[i].grade = score->grade;
			freezes[i].cycle = score->cycle;
		}
		moves[i].cycle = freezes[i].cycle;
		moves[i].touched = !scored[i] || scores[i].last_touch_at >= moves[i].at;
		if (promotion && promotion->has_trigger)
		{
			freezes[i].has_trigger = true;
			freezes[i].trigger = promotion->trigger;
		}
	}
	stage_history_write(moves, passed, freezes, n);
}

static void
prepare(Move *moves, int n)
{
	for (int i = 0; i < n; i++)
		moves[i].quiet = leadflow_quiet;
	fill_categories(moves, n);
}

/*
 * The engine takes leads through a stage without stopping: the move into it is made up
 * here, and the one that was written begins there.  Returns how many; "by" is by index of
 * moves.
 */
static int
pass_through(const StageUpdate *update, Move *moves, const LeadUpdate **changes, Move *passed, Move **by,
			 int n)
{
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		Move	   *move = &passed[count];

		by[i] = NULL;
		if (is(moves[i].from_stage, update->via))
			continue;
		*move = moves[i];
		move->to_stage = update->via;
		move->owner_id = changes[i]->old_owner;
		moves[i].from_stage = update->via;
		by[i] = move;
		count++;
	}
	return count;
}

/* A lead in sales' hands that got another owner by the way, whom somebody else chose. */
static void
tell_new_owners(const Move *moves, const LeadUpdate **changes, int n)
{
	Move	   *given = palloc_array(Move, n);
	int			count = 0;

	for (int i = 0; changes && i < n; i++)
	{
		if (changes[i] && (moves[i].owner_id == 0 || moves[i].owner_id != moves[i].actor_id) &&
			(handoff_passes_on(&moves[i], changes[i]) ||
			 (changes[i]->old_owner != moves[i].owner_id && moves[i].owner_id &&
			  is(moves[i].from_category, "handoff") && is(moves[i].to_category, "sales"))))
			given[count++] = moves[i];
	}
	outbox_reassigned(given, count);
}

/* A lead is created by its first MQL, as far as credits go. */
static void
tell_credits(const Move *moves, Move *const *passed, int n)
{
	int64	   *ids = palloc_array(int64, n);
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (is(moves[i].to_stage, "mql") || (passed && passed[i] && is(passed[i]->to_stage, "mql")))
			ids[count++] = moves[i].lead_id;
	}
	credit_lead_created(ids, count);
}

/* The single sequence; quiet moves leave out routing and the start of clocks. */
static void
apply(Move *moves, const LeadUpdate **changes, int n)
{
	const StageUpdate *update = changes ? stage_update_expected() : NULL;
	Move	   *passed = NULL;
	Move	  **by = NULL;
	int			npassed = 0;

	if (n == 0)
		return;
	if (update && update->via)
	{
		passed = palloc_array(Move, n);
		by = palloc0_array(Move *, n);
		npassed = pass_through(update, moves, changes, passed, by, n);
		prepare(passed, npassed);
	}
	prepare(moves, n);
	write_watch(moves, n);
	watch_passed_on(moves, changes, n);
	write_cycles(moves, n);
	write_history(moves, by, n);
	tell_credits(moves, by, n);
	if (npassed)
	{
		clock_moves(passed, npassed);
		nurture_moves(passed, npassed);
		outbox_moves(passed, npassed);
	}
	handoff_moves(moves, changes, n);
	clock_moves(moves, n);
	nurture_moves(moves, n);
	outbox_moves(moves, n);
	tell_new_owners(moves, changes, n);
	review_moves(moves, n);			/* tells of its cases after the rejection */
	queue_handoffs(moves, n);
}

/*
 * A reason that isn't reviewed may lead on to another stage, by a move of the engine, which is the
 * last: what the engine itself moves goes no further.
 */
static void
follow_reasons(const Move *moves, int n, TimestampTz at)
{
	const Lifecycle *lifecycle = &stage_config()->lifecycle;
	NextMove   *next = palloc_array(NextMove, n + 1);
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		const StageReason *reason = moves[i].reason == NULL || is(moves[i].team, "system") ? NULL :
			stage_reason_find(lifecycle, moves[i].to_stage, moves[i].reason);

		if (reason == NULL || reason->reviewed || reason->next_stage == NULL)
			continue;
		next[count].lead_id = moves[i].lead_id;
		next[count].from_stage = moves[i].to_stage;
		next[count].to_stage = pstrdup(reason->next_stage);
		next[count].reason = moves[i].reason;
		next[count++].at = Max(moves[i].at, at);
	}
	transition_onward(next, count);
}

/* ---- rows that are new --------------------------------------------------- */

/* Leads that are there and have no state yet: the others were seen to before, or are gone. */
static int
keep_unknown(Move *moves, int n)
{
	int64	   *ids = palloc_array(int64, n);
	bool	   *unknown = palloc_array(bool, n);
	int			kept = 0;

	for (int i = 0; i < n; i++)
		ids[i] = moves[i].lead_id;
	stage_unknown(ids, n, unknown);
	for (int i = 0; i < n; i++)
	{
		if (unknown[i])
			moves[kept++] = moves[i];
	}
	return kept;
}

void
transition_added(Move *moves, int n)
{
	int64	   *ids;
	int64	   *joined;
	int			njoined = 0;
	int		   *watch;
	bool	   *imported;

	if (n == 0 || (n = keep_unknown(moves, n)) == 0)
		return;
	ids = palloc_array(int64, n);
	joined = palloc_array(int64, n);
	watch = palloc_array(int, n);
	imported = palloc_array(bool, n);
	fill_categories(moves, n);
	for (int i = 0; i < n; i++)
	{
		int			clear;

		ids[i] = moves[i].lead_id;
		imported[i] = moves[i].imported || moves[i].at < clock_now();
		if (moves[i].joined)
			joined[njoined++] = moves[i].lead_id;
		watch_of(&moves[i], &watch[i], &clear);
	}
	score_leads_added(ids, watch, imported, n);
	if (njoined)
		score_leads_joined(joined, njoined);
	write_cycles(moves, n);
	write_history(moves, NULL, n);
	handoff_imported(moves, n);
	nurture_moves(moves, n);
	for (int i = 0; i < n; i++)
	{
		moves[i].imported = imported[i];
		moves[i].quiet = leadflow_quiet;
	}
	clock_moves(moves, n);
}

/* ---- rows that were changed ---------------------------------------------- */

/*
 * Compares what the statement did with what history says: "lost" are moves
 * that nobody recorded, moves[] those of the statement; both count from 0.
 */
static void
sort_out(LeadUpdate *changes, int n, Move *lost, int *nlost, const LeadUpdate **moved, int *nmoved)
{
	int64	   *ids = palloc_array(int64, n);
	Move	   *unknown = palloc_array(Move, n);
	StageStatus *status;
	int			nfound;
	int			nunknown = 0;
	int			s = 0;

	*nlost = *nmoved = 0;
	for (int i = 0; i < n; i++)
		ids[i] = changes[i].move.lead_id;
	status = stage_status(ids, n, &nfound);
	for (int i = 0; i < n; i++)
	{
		LeadUpdate *change = &changes[i];
		const StageStatus *is_now;

		while (s < nfound && status[s].lead_id < change->move.lead_id)
			s++;
		if (s == nfound || status[s].lead_id != change->move.lead_id)
		{
			/* deleted by a trigger meanwhile */
			change->moved = change->corrected = change->attributes = false;
			change->old_owner = change->move.owner_id;
			continue;
		}
		is_now = &status[s];
		if (!is_now->has_state)
			unknown[nunknown++] = change->before;
		else if (is_now->history_stage == NULL)
			lost[(*nlost)++] = change->before;
		else if (is(is_now->history_stage, is_now->stage) &&
				 is_now->history_since == is_now->stage_since)
			change->moved = false;	/* an inner statement came before */
		else if (!is(is_now->history_stage, change->before.to_stage))
		{
			lost[*nlost] = change->before;
			lost[(*nlost)++].from_stage = is_now->history_stage;
		}
		if (change->moved)
			moved[(*nmoved)++] = change;
	}
	transition_added(unknown, nunknown);
}

/* Leads that got another owner; those that are not in sales' hands have no offer to pass on. */
static void
reassign(Move *moves, int n)
{
	int64	   *ids = palloc_array(int64, n + 1);
	int64	   *others = palloc_array(int64, n + 1);
	int			nothers = 0;
	int			count = 0;

	fill_categories(moves, n);
	for (int i = 0; i < n; i++)
		ids[i] = moves[i].lead_id;
	if (n)
		score_watch(ids, n, WATCH_OWNED, 0);
	for (int i = 0; i < n; i++)
	{
		moves[i].quiet = leadflow_quiet;
		if (is(moves[i].to_category, "handoff") || is(moves[i].to_category, "sales"))
		{
			ids[count] = moves[i].lead_id;
			moves[count++] = moves[i];
		}
		else
			others[nothers++] = moves[i].lead_id;
	}
	clock_owned(others, nothers);
	if (count)
	{
		score_watch(ids, count, WATCH_TOUCH, 0);
		handoff_reassigned(moves, count);
		outbox_reassigned(moves, count);
	}
}

void
transition_assign(const Assignment *assignments, int n, bool waited, TimestampTz at)
{
	int64	   *ids = palloc_array(int64, n + 1);
	int64	   *owners = palloc_array(int64, n + 1);
	Move	   *moves = palloc0_array(Move, n + 1);
	StageStatus *status;
	int			nfound;
	int			count = 0;

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		ids[i] = assignments[i].lead_id;
		owners[i] = assignments[i].owner_id;
		(void) row_lock_named("score_state", ids[i], LockTupleNoKeyExclusive);
	}
	stage_write_owners(ids, owners, n);
	status = stage_status(ids, n, &nfound);
	for (int i = 0; i < n && count < nfound; i++)
	{
		if (status[count].lead_id != ids[i])
			continue;
		moves[count].lead_id = ids[i];
		moves[count].to_stage = status[count].stage;
		moves[count].at = Max(at, status[count].stage_since);
		moves[count].team = "system";
		moves[count].owner_id = owners[i];
		moves[count].queue = assignments[i].queue;
		moves[count++].why = assignments[i].why;
	}
	if (!waited)
	{
		reassign(moves, count);
		return;
	}
	fill_categories(moves, count);
	for (int i = 0; i < count; i++)
		moves[i].quiet = leadflow_quiet;
	handoff_given_out(moves, count, at);
	outbox_reassigned(moves, count);
}

/*
 * The state rows of everything that is written to below, in id order; needed
 * where more than one batch follows, for each locks only its own.
 */
static void
lock_states(const LeadUpdate *changes, int n)
{
	for (int i = 0; i < n; i++)
		(void) row_lock_named("score_state", changes[i].move.lead_id, LockTupleNoKeyExclusive);
}

static void
apply_changes(LeadUpdate *changes, int n)
{
	Move	   *lost = palloc_array(Move, n + 1);
	Move	   *moves = palloc_array(Move, n + 1);
	Move	   *others = palloc_array(Move, n + 1);
	const LeadUpdate **moved = palloc0_array(const LeadUpdate *, n + 1);
	int64	   *ids = palloc_array(int64, n + 1);
	int			nlost;
	int			nmoved;
	int			ncorrected = 0;
	int			count = 0;

	sort_out(changes, n, lost, &nlost, moved, &nmoved);

	for (int i = 0; i < n; i++)
	{
		if (changes[i].joined)
			ids[count++] = changes[i].move.lead_id;
	}
	if (count)
		score_leads_joined(ids, count);

	count = 0;
	for (int i = 0; i < n; i++)
	{
		if (changes[i].attributes)
			ids[count++] = changes[i].move.lead_id;
	}
	if (count)
		score_leads_changed(ids, count);

	count = 0;
	for (int i = 0; i < n; i++)
	{
		if (changes[i].created)
			ids[count++] = changes[i].move.lead_id;
	}
	if (count)
	{
		lock_states(changes, n);
		credit_lead_created(ids, count);
	}

	count = 0;
	for (int i = 0; i < n; i++)
	{
		if (!changes[i].moved && changes[i].old_owner != changes[i].move.owner_id)
			others[count++] = changes[i].move;
	}
	for (int i = 0; i < n; i++)
		ncorrected += !changes[i].moved && changes[i].corrected;
	if (nlost || ncorrected || (nmoved && count))
		lock_states(changes, n);
	apply(lost, NULL, nlost);
	for (int i = 0; i < nmoved; i++)
		moves[i] = moved[i]->move;
	apply(moves, moved, nmoved);
	reassign(others, count);

	count = 0;
	for (int i = 0; i < n; i++)
	{
		if (!changes[i].moved && changes[i].corrected)
			others[count++] = changes[i].move;
	}
	if (count)
		stage_history_correct(others, count);
	if (count)
		review_noted(others, count);
	count = 0;
	for (int i = 0; i < n; i++)
	{
		/* a note says more about the same reason: nothing follows from that */
		if (changes[i].moved || !changes[i].corrected ||
			is(changes[i].before.reason, changes[i].move.reason))
			continue;
		others[count] = changes[i].move;
		others[count++].quiet = leadflow_quiet;
	}
	if (count)
		review_corrected(others, count);
	follow_reasons(moves, nmoved, DT_NOBEGIN);
	follow_reasons(others, count, clock_now());
}

void
transition_changed(LeadUpdate *changes, int n)
{
	int			level = engine_hold();

	apply_changes(changes, n);
	engine_release(level);
}

/* ---- the engine's own moves ---------------------------------------------- */

static int
compare_leads(const void *a, const void *b)
{
	int64		x = ((const StageUpdateLead *) a)->lead_id;
	int64		y = ((const StageUpdateLead *) b)->lead_id;

	return x < y ? -1 : x > y;
}

bool
transition_by_system(const char *from_stage, const char *to_stage)
{
	const StageMove *move = stage_move_find(&stage_config()->lifecycle, from_stage, to_stage);

	return move && stage_move_allowed(move, TEAM_SYSTEM);
}

/* Moves those that stand in one of "candidates", as far as the system may make that move. */
static void
move_listed(StageUpdate *update, const char *to_stage, const char *const *candidates, int n)
{
	const char **from = palloc_array(const char *, n);
	int			nfrom = 0;

	for (int i = 0; i < n; i++)
	{
		if (transition_by_system(candidates[i], to_stage))
			from[nfrom++] = candidates[i];
	}
	if (nfrom && update->nleads)
	{
		qsort(unconstify(StageUpdateLead *, update->leads), update->nleads,
			  sizeof(StageUpdateLead), compare_leads);
		stage_write(update, to_stage, from, nfrom);
	}
}

static StageUpdateLead *
leads_of(const int64 *ids, int n)
{
	StageUpdateLead *leads = palloc0_array(StageUpdateLead, n + 1);

	for (int i = 0; i < n; i++)
	{
		leads[i].lead_id = ids[i];
		leads[i].at = DT_NOBEGIN;
	}
	return leads;
}

static StageUpdateLead
promoted_lead(const Promotion *promotion)
{
	StageUpdateLead lead = {
		.lead_id = promotion->lead_id, .at = DT_NOBEGIN,
		.has_trigger = promotion->has_trigger, .trigger = promotion->trigger
	};

	return lead;
}

/* To whom: chosen before the leads are written, so that each is written once. */
static void
route_promoted(const Promotion **promotions, StageUpdateLead *leads, int n)
{
	RouteLead  *routes = palloc0_array(RouteLead, n);

	for (int i = 0; i < n; i++)
	{
		routes[i].lead_id = promotions[i]->lead_id;
		routes[i].owner_id = promotions[i]->owner_id;
		routes[i].account_id = promotions[i]->account_id;
		routes[i].returns = promotions[i]->owner_id != 0 || promotions[i]->cycle > 1;
	}
	route_leads(routes, n, clock_now());
	for (int i = 0; i < n; i++)
	{
		leads[i].routed = true;
		leads[i].owner_id = routes[i].taker_id;
		leads[i].queue = routes[i].queue;
		leads[i].why = routes[i].why;
	}
}

static int
compare_promotions(const void *a, const void *b)
{
	return compare_ids(&(*(const Promotion *const *) a)->lead_id, &(*(const Promotion *const *) b)->lead_id);
}

void
transition_promote(const Promotion *promotions, int n)
{
	static const char *const to_mql[] = {"lead", "nurture"};
	StageUpdateLead *leads = palloc0_array(StageUpdateLead, n + 1);
	const Promotion **onward = palloc_array(const Promotion *, n + 1);
	const char *from[lengthof(to_mql) + 1];
	int			nfrom = 0;
	int			count = 0;
	bool		may_go_on = transition_by_system("mql", "sql");
	StageUpdate update = {.kind = STAGE_UPDATE_SYSTEM, .leads = leads};

	for (int i = 0; i < n; i++)
	{
		if (promotions[i].to_sql && may_go_on)
			onward[count++] = &promotions[i];
		else
			leads[update.nleads++] = promoted_lead(&promotions[i]);
	}
	move_listed(&update, "mql", to_mql, lengthof(to_mql));
	if (count == 0)
		return;

	/* those that the system may not make MQLs go on if they are */
	for (int i = 0; i < (int) lengthof(to_mql); i++)
	{
		if (transition_by_system(to_mql[i], "mql"))
			from[nfrom++] = to_mql[i];
	}
	from[nfrom++] = "mql";
	qsort(onward, count, sizeof(Promotion *), compare_promotions);
	leads = palloc0_array(StageUpdateLead, count);
	for (int i = 0; i < count; i++)
		leads[i] = promoted_lead(onward[i]);
	route_promoted(onward, leads, count);
	update.leads = leads;
	update.nleads = count;
	update.via = "mql";
	stage_write(&update, "sql", from, nfrom);
}

void
transition_demote(const int64 *leads, int n)
{
	static const char *const from[] = {"mql", "sql"};
	StageUpdate update = {
		.kind = STAGE_UPDATE_SYSTEM, .reason = "evidence_voided", .leads = leads_of(leads, n), .nleads = n
	};

	move_listed(&update, "lead", from, lengthof(from));
}

void
transition_revisit(const int64 *leads, int n)
{
	static const char *const from[] = {"nurture"};
	StageUpdate update = {
		.kind = STAGE_UPDATE_SYSTEM, .reason = "revisit", .leads = leads_of(leads, n), .nleads = n
	};

	move_listed(&update, "lead", from, lengthof(from));
}

bool
transition_may_return(const char *from_stage)
{
	const char *category = category_of(from_stage);

	return !is_recycled(from_stage, category) && transition_by_system(from_stage, "lead");
}

static bool
same_next(const NextMove *a, const NextMove *b)
{
	return strcmp(a->from_stage, b->from_stage) == 0 && strcmp(a->to_stage, b->to_stage) == 0 &&
		(is(a->reason, b->reason) || (a->reason == NULL && b->reason == NULL));
}

/* One UPDATE for all that go the same way for the same reason. */
void
transition_onward(const NextMove *moves, int n)
{
	bool	   *done = palloc0_array(bool, n + 1);

	for (int i = 0; i < n; i++)
	{
		StageUpdateLead *leads;
		StageUpdate update = {.kind = STAGE_UPDATE_SYSTEM, .reason = moves[i].reason};

		if (done[i])
			continue;
		leads = palloc0_array(StageUpdateLead, n - i);
		update.leads = leads;
		for (int j = i; j < n; j++)
		{
			if (done[j] || !same_next(&moves[i], &moves[j]))
				continue;
			leads[update.nleads].lead_id = moves[j].lead_id;
			leads[update.nleads++].at = moves[j].at;
			done[j] = true;
		}
		move_listed(&update, moves[i].to_stage, &moves[i].from_stage, 1);
	}
}

void
transition_return(const int64 *leads, const char *const *from_stages, int n)
{
	NextMove   *moves = palloc_array(NextMove, n + 1);

	for (int i = 0; i < n; i++)
	{
		moves[i].lead_id = leads[i];
		moves[i].from_stage = from_stages[i];
		moves[i].to_stage = "lead";
		moves[i].reason = TRANSITION_BREACHED;
		moves[i].at = DT_NOBEGIN;
	}
	transition_onward(moves, n);
}

void
transition_merge(int64 lead_id, const char *to_stage, TimestampTz at)
{
	StageUpdateLead lead = {.lead_id = lead_id, .at = at};
	StageUpdate update = {
		.kind = STAGE_UPDATE_SYSTEM, .reason = TRANSITION_MERGED, .leads = &lead, .nleads = 1
	};

	stage_write(&update, to_stage, NULL, 0);
}

/*
 * Deals are facts: no transition needs to be listed.  Runs of one stage are one
 * UPDATE; a lead that comes twice is moved twice, in the order given.
 */
void
transition_by_deals(const DealMove *moves, int n)
{
	int64	   *ids = palloc_array(int64, n + 1);

	for (int i = 0; i < n; i++)
		ids[i] = moves[i].lead_id;
	qsort(ids, n, sizeof(int64), compare_ids);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || ids[i] != ids[i - 1])
			(void) row_lock_named("leads", ids[i], LockTupleNoKeyExclusive);
	}

	for (int i = 0; i < n;)
	{
		StageUpdateLead *leads = palloc0_array(StageUpdateLead, n - i);
		StageUpdate update = {.kind = STAGE_UPDATE_SYSTEM, .leads = leads};
		const char *to_stage = moves[i].to_stage;

		for (; i < n && strcmp(moves[i].to_stage, to_stage) == 0; i++)
		{
			if (update.nleads && moves[i].lead_id <= leads[update.nleads - 1].lead_id)
				break;
			leads[update.nleads].lead_id = moves[i].lead_id;
			leads[update.nleads++].at = moves[i].at;
		}
		stage_write(&update, to_stage, NULL, 0);
	}
}
