/*-------------------------------------------------------------------------
 * review_store.c
 *	  Cases of review and the votes on them.
 *
 * Owns the statements on reviews and review_votes.  A batch is one statement
 * whatever its size, driven by the leads in an array; who may vote and how a
 * case stands is said in one place, the views _review_parties and _review_tallies.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock_store.h"
#include "compat.h"
#include "guc.h"
#include "review_store.h"
#include "spi.h"
#include "stage_store.h"

/* Characters of a note that a notification carries. */
#define NOTE_TOLD "200"

static void
review_enter(EngineContext *engine)
{
	engine_enter(engine);
	engine_plan_by_index();
}

/* ---- opening and closing ------------------------------------------------- */

Notice *
review_open(const int64 *leads, int n, TimestampTz at, ReviewOpening opening, int *nopened)
{
	/* whom to tell is the campaign's owner as long as that is somebody who can act */
	static EngineStatement open = {
		"WITH o AS (INSERT INTO leadflow.reviews (lead_id, history_id, opened_at, due_at, reason, note,"
		"   rejected_by, owner_id, campaign_id, campaign_owner_id)"
		"  SELECT l.id, h.id, greatest(h.entered_at, $2),"
		"   greatest(h.entered_at, $2) + (SELECT s.review_within FROM leadflow.settings s),"
		"   h.reason, h.note, h.actor_id, l.owner_id, l.campaign_id, c.owner_id"
		"  FROM leadflow.leads l"
		"  CROSS JOIN LATERAL (SELECT h.* FROM leadflow.stage_history h WHERE h.lead_id = l.id AND h.merged_from IS NULL"
		"   ORDER BY h.entered_at DESC, h.id DESC LIMIT 1) h"
		"  LEFT JOIN leadflow.campaigns c ON c.id = l.campaign_id"
		"  WHERE l.id = ANY ($1) AND NOT EXISTS (SELECT FROM leadflow.reviews d"
		"   WHERE d.lead_id = l.id AND d.history_id = h.id AND d.closed_by = ANY ($3))"
		"  ORDER BY l.id"
		"  ON CONFLICT (lead_id) WHERE closed_at IS NULL DO NOTHING"
		"  RETURNING id, lead_id, opened_at, due_at, reason, note, campaign_owner_id, owner_id)"
		" SELECT o.lead_id, o.opened_at, m.id, jsonb_strip_nulls(jsonb_build_object('review_id', o.id, 'reason', o.reason,"
		"   'note', left(o.note, " NOTE_TOLD "), 'due_at', o.due_at))::text, o.id, o.owner_id"
		" FROM o LEFT JOIN leadflow.team_members m ON m.id = o.campaign_owner_id AND m.active"
		" ORDER BY o.lead_id",
		3, {INT8ARRAYOID, TIMESTAMPTZOID, TEXTARRAYOID}
	};
	static const char *const decided[] = {"votes", "time"};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Notice	   *notices;
	ReviewOpened *opened;
	Datum		values[3];

	values[0] = int8_array(leads, n);
	values[1] = TimestampTzGetDatum(at);
	values[2] = text_array(decided, opening == REVIEW_UNVOTED ? 1 : 2);
	review_enter(&engine);
	engine_pin_texts();
	*nopened = (int) engine_execute(&open, values, NULL);
	MemoryContextSwitchTo(caller);
	notices = palloc0_array(Notice, *nopened + 1);
	opened = palloc_array(ReviewOpened, *nopened + 1);
	for (int i = 0; i < *nopened; i++)
	{
		notices[i].lead_id = spi_int64(i, 1);
		notices[i].event = "review.opened";
		notices[i].at = spi_time(i, 2);
		notices[i].recipient_id = spi_int64(i, 3);
		notices[i].team = notices[i].recipient_id ? NULL : "marketing";
		notices[i].details = spi_text(i, 4);
		opened[i].lead_id = notices[i].lead_id;
		opened[i].review_id = spi_int64(i, 5);
		opened[i].at = notices[i].at;
		opened[i].owner_id = spi_int64(i, 6);
	}
	engine_leave(&engine);
	clock_reviews_opened(opened, *nopened);
	return notices;
}

void
review_close(const int64 *leads, int n)
{
	/* at the instant of the move, which history has already */
	static EngineStatement close = {
		"UPDATE leadflow.reviews r SET closed_by = 'moved', closed_at = greatest(r.opened_at,"
		"  CASE WHEN h.id = r.history_id THEN $2 ELSE h.entered_at END)"
		" FROM leadflow.stage_history h WHERE r.lead_id = ANY ($1) AND r.closed_at IS NULL"
		" AND h.lead_id = r.lead_id AND h.left_at IS NULL",
		2, {INT8ARRAYOID, TIMESTAMPTZOID}
	};
	EngineContext engine;
	Datum		values[2];

	values[0] = int8_array(leads, n);
	values[1] = TimestampTzGetDatum(clock_now());
	review_enter(&engine);
	(void) engine_execute(&close, values, NULL);
	engine_leave(&engine);
	clock_reviews_closed(leads, n);
}

void
review_correct(const int64 *leads, int n)
{
	static EngineStatement correct = {
		"UPDATE leadflow.reviews r SET reason = h.reason, note = h.note"
		" FROM leadflow.stage_history h WHERE r.lead_id = ANY ($1) AND r.closed_at IS NULL"
		" AND h.lead_id = r.lead_id AND h.id = r.history_id"
		" AND (h.reason, h.note) IS DISTINCT FROM (r.reason, r.note)",
		1, {INT8ARRAYOID}
	};
	EngineContext engine;
	Datum		value = int8_array(leads, n);

	review_enter(&engine);
	(void) engine_execute(&correct, &value, NULL);
	engine_leave(&engine);
}

int64 *
review_due(TimestampTz at, int limit, int *n)
{
	static EngineStatement due = {
		"SELECT r.lead_id FROM leadflow.reviews r"
		" WHERE r.closed_at IS NULL AND r.due_at <= $1 ORDER BY r.due_at, r.id LIMIT $2",
		2, {TIMESTAMPTZOID, INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	int64	   *leads;
	Datum		values[2];

	values[0] = TimestampTzGetDatum(at);
	values[1] = Int64GetDatum(limit);
	review_enter(&engine);
	engine_plan_in_order();
	*n = (int) engine_query(&due, values, NULL);
	leads = MemoryContextAlloc(caller, sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		leads[i] = spi_int64(i, 1);
	engine_leave(&engine);
	return leads;
}

void
review_decide(const int64 *leads, int n, const char *verdict, const char *closed_by, TimestampTz at)
{
	static EngineStatement decide = {
		"UPDATE leadflow.reviews SET closed_at = greatest(opened_at, $2), verdict = $3, closed_by = $4"
		" WHERE lead_id = ANY ($1) AND closed_at IS NULL",
		4, {INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID, TEXTOID}
	};
	EngineContext engine;
	Datum		values[4];

	values[0] = int8_array(leads, n);
	values[1] = TimestampTzGetDatum(at);
	values[2] = verdict ? CStringGetTextDatum(verdict) : (Datum) 0;
	values[3] = CStringGetTextDatum(closed_by);
	review_enter(&engine);
	(void) engine_execute(&decide, values, verdict ? "    " : "  n ");
	engine_leave(&engine);
	clock_reviews_closed(leads, n);
}

/* ---- how it stands ------------------------------------------------------- */

ReviewCase *
review_cases(const int64 *leads, int n, int *nfound)
{
	static EngineStatement cases = {
		"SELECT review_id, lead_id, stage, stands, reason, due_at, votes_uphold, votes_overturn,"
		"  votes_needed, outcome"
		" FROM leadflow._review_tallies WHERE lead_id = ANY ($1) ORDER BY lead_id",
		1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	ReviewCase *found;
	Datum		value = int8_array(leads, n);

	review_enter(&engine);
	*nfound = (int) engine_query(&cases, &value, NULL);
	MemoryContextSwitchTo(caller);
	found = palloc0_array(ReviewCase, *nfound + 1);
	for (int i = 0; i < *nfound; i++)
	{
		found[i].id = spi_int64(i, 1);
		found[i].lead_id = spi_int64(i, 2);
		found[i].stage = spi_text(i, 3);
		found[i].stands = spi_bool(i, 4);
		found[i].reason = spi_text(i, 5);
		found[i].due_at = spi_time(i, 6);
		found[i].uphold = spi_int64(i, 7);
		found[i].overturn = spi_int64(i, 8);
		found[i].needed = spi_int64(i, 9);
		found[i].outcome = spi_text(i, 10);
	}
	engine_leave(&engine);
	return found;
}

bool
review_case(int64 lead_id, ReviewCase *found)
{
	int			n;
	ReviewCase *cases = review_cases(&lead_id, 1, &n);

	if (n > 0)
		*found = cases[0];
	return n > 0;
}

char *
review_partial(int64 review_id, int64 member_id)
{
	static EngineStatement partial = {
		"SELECT coalesce(CASE WHEN NOT m.active THEN 'is not active' WHEN NOT m.reviewer THEN 'is not a reviewer' END,"
		"  (SELECT p.part FROM leadflow._review_parties p WHERE p.review_id = $1 AND p.member_id = $2"
		"   ORDER BY p.part DESC LIMIT 1))"
		" FROM leadflow.team_members m WHERE m.id = $2",
		2, {INT8OID, INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		values[2] = {Int64GetDatum(review_id), Int64GetDatum(member_id)};
	char	   *why = "is not a member of any team";

	review_enter(&engine);
	if (engine_query(&partial, values, NULL) > 0)
	{
		MemoryContextSwitchTo(caller);
		why = spi_text(0, 1);
	}
	engine_leave(&engine);
	return why;
}

void
review_vote(int64 review_id, int64 reviewer_id, const char *verdict, const char *note, TimestampTz at)
{
	static EngineStatement vote = {
		"INSERT INTO leadflow.review_votes (review_id, reviewer_id, verdict, note, voted_at)"
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (review_id, reviewer_id) DO UPDATE"
		"  SET verdict = excluded.verdict, note = excluded.note, voted_at = excluded.voted_at",
		5, {INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
	};
	EngineContext engine;
	Datum		values[5];

	values[0] = Int64GetDatum(review_id);
	values[1] = Int64GetDatum(reviewer_id);
	values[2] = CStringGetTextDatum(verdict);
	values[3] = note ? CStringGetTextDatum(note) : (Datum) 0;
	values[4] = TimestampTzGetDatum(at);
	review_enter(&engine);
	(void) engine_execute(&vote, values, note ? "     " : "   n ");
	engine_leave(&engine);
}

void
review_contest(int64 review_id, int64 member_id, const char *note, TimestampTz at)
{
	static EngineStatement contest = {
		"UPDATE leadflow.reviews SET contested_at = $4, contested_by = nullif($2, 0), contest_note = $3"
		" WHERE id = $1",
		4, {INT8OID, INT8OID, TEXTOID, TIMESTAMPTZOID}
	};
	EngineContext engine;
	Datum		values[4];

	values[0] = Int64GetDatum(review_id);
	values[1] = Int64GetDatum(member_id);
	values[2] = CStringGetTextDatum(note);
	values[3] = TimestampTzGetDatum(at);
	review_enter(&engine);
	(void) engine_execute(&contest, values, NULL);
	engine_leave(&engine);
}

void
review_standing(int64 lead_id, const char **stage, const char **reason)
{
	static EngineStatement standing = {
		"SELECT stage, stage_reason FROM leadflow.leads WHERE id = $1", 1, {INT8OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	Datum		value = Int64GetDatum(lead_id);

	*stage = *reason = NULL;
	review_enter(&engine);
	if (engine_query(&standing, &value, NULL) > 0)
	{
		MemoryContextSwitchTo(caller);
		*stage = spi_text(0, 1);
		*reason = spi_text(0, 2);
	}
	engine_leave(&engine);
}
