/*-------------------------------------------------------------------------
 * alert.c
 *	  What somebody wants to hear of when a flush has changed scores.
 *
 *	  activity.matched	subscriptions alone; found when the activity was written
 *	  score.reached		subscriptions alone: what one asks of the score holds, and did not before
 *	  lead.hot			the score has passed hot_from
 *	  lead.active_again	engagement of a lead that somebody owns, of a customer account's, or of a
 *						contact of an open deal that the gate would have let through
 *
 * A score passes something by what happened if the lead's row as it was, evaluated at
 * the same instant, did not reach it: decay makes nobody hot or less so.  A lead
 * whose row was outdated (computed with another model) passes nothing.  A new one
 * had no points before, unless it is imported: then it passes nothing by its fit alone.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "alert.h"
#include "compat.h"
#include "condition.h"
#include "ids.h"
#include "lead_document.h"
#include "outbox.h"
#include "spi.h"
#include "stage_store.h"

#define ALERT_HOT		0x01
#define ALERT_REACHED	0x02
#define ALERT_ACTIVE	0x04	/* for its owner */
#define ALERT_DEAL		0x08	/* for the owner of its open deal */

void
alerts_begin(Alerts *alerts, const Model *model, TimestampTz now)
{
	memset(alerts, 0, sizeof(Alerts));
	alerts->model = model;
	alerts->config = subscription_config();
	alerts->now = now;
	alerts->context = CurrentMemoryContext;
}

void
alert_before(const Alerts *alerts, const StateRow *row, StateRow *before)
{
	int			ngroups = alerts->model->ngroups;

	*before = *row;
	before->sums = palloc_array(double, Max(ngroups, 1));
	memcpy(before->sums, row->sums, sizeof(double) * ngroups);
}

static bool
passes(const Alert *alert, double threshold)
{
	return reaches(alert->after.score, threshold) && !reaches(alert->before.score, threshold);
}

void
alert_lead(Alerts *alerts, const Delta *delta, const StateRow *before, const StateRow *after,
		   bool promoted, bool open_deal)
{
	const Model *model = alerts->model;
	Alert		alert = {.lead_id = after->lead_id, .engaged_at = delta->last_engaged_at};

	/* what lies a little ahead has happened */
	alert.at = Max(alerts->now, Max(before->last_at, after->last_at));
	if (model->id)
	{
		StateRow	nothing = {
			.lead_id = after->lead_id, .last_at = DT_NOBEGIN, .disqualified_at = DT_NOEND,
			.hand_raised_at = DT_NOBEGIN, .cycle = 1
		};

		state_evaluate(model, after, alert.at, &alert.after);
		if (delta->flags & DELTA_ADDED)
		{
			nothing.sums = palloc0_array(double, Max(model->ngroups, 1));
			before = &nothing;
		}
		if (before->outdated)
			 /* nothing to compare with */ ;
		else if (alerts->config->nreached || reaches(alert.after.score, model->hot_from))
		{
			state_evaluate(model, before, alert.at, &alert.before);
			if (passes(&alert, model->hot_from))
				alert.what |= ALERT_HOT;
			if (alerts->config->nreached && alert.after.score > alert.before.score)
				alert.what |= ALERT_REACHED;
		}
	}
	if (!TIMESTAMP_IS_NOBEGIN(delta->last_engaged_at) && !promoted)
	{
		if (open_deal)
			alert.what |= ALERT_DEAL;
		else if (after->watch & WATCH_OWNED)
			alert.what |= ALERT_ACTIVE;
	}
	if (alert.what == 0)
		return;
	if (alerts->n == alerts->room)
	{
		alerts->room = Max(16, alerts->room * 2);
		alerts->alerts = alerts->alerts ? repalloc_huge(alerts->alerts, sizeof(Alert) * alerts->room) :
			MemoryContextAllocHuge(alerts->context, sizeof(Alert) * alerts->room);
	}
	alerts->alerts[alerts->n++] = alert;
}

/* ---- activities ---------------------------------------------------------- */

typedef struct MatchedOf
{
	int64		lead_id;
	Matched		matched;
} MatchedOf;

static int
compare_matched(const void *a, const void *b)
{
	const MatchedOf *x = a;
	const MatchedOf *y = b;
	int			order = compare_ids(&x->lead_id, &y->lead_id);

	if (order == 0 && x->matched.at != y->matched.at)
		order = x->matched.at < y->matched.at ? -1 : 1;
	if (order == 0)
		order = memcmp(&x->matched.id, &y->matched.id, sizeof(pg_uuid_t));
	return order ? order : compare_ids(&x->matched.subscription_id, &y->matched.subscription_id);
}

/* Of each lead in the order in which they occurred; what was deleted or voided since is left out. */
static void
tell_matched(const MatchedOf *all, int n)
{
	static EngineStatement statement = {
		"SELECT m.ord, a.kind, a.content, c.code"
		" FROM unnest($1, $2, $3) WITH ORDINALITY m (lead_id, at, id, ord)"
		" JOIN leadflow.activities a ON a.lead_id = m.lead_id AND a.occurred_at = m.at AND a.id = m.id"
		" LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id"
		" WHERE a.voided_at IS NULL ORDER BY m.ord",
		3, {INT8ARRAYOID, TIMESTAMPTZARRAYOID, UUIDARRAYOID}
	};
	int64	   *leads = palloc_array(int64, n);
	TimestampTz *at = palloc_array(TimestampTz, n);
	Datum	   *ids = palloc_array(Datum, n);
	Notice	   *notices;
	EngineContext engine;
	Datum		values[3];
	int			found;

	for (int i = 0; i < n; i++)
	{
		leads[i] = all[i].lead_id;
		at[i] = all[i].matched.at;
		ids[i] = UUIDPGetDatum(&all[i].matched.id);
	}
	engine_enter(&engine);
	engine_plan_by_index();
	values[0] = int8_array(leads, n);
	values[1] = time_array(at, n);
	values[2] = PointerGetDatum(construct_array(ids, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	found = (int) engine_query(&statement, values, NULL);
	notices = palloc0_array(Notice, found + 1);
	for (int i = 0; i < found; i++)
	{
		const MatchedOf *one = &all[spi_int64(i, 1) - 1];
		StringInfoData details;

		details_begin(&details);
		details_text(&details, "activity_id",
					 DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&one->matched.id))));
		details_text(&details, "kind", spi_text(i, 2));
		details_clipped(&details, "content", spi_text(i, 3));
		details_text(&details, "campaign", spi_text(i, 4));
		notices[i].lead_id = one->lead_id;
		notices[i].event = "activity.matched";
		notices[i].subscription_id = one->matched.subscription_id;
		notices[i].at = one->matched.at;
		notices[i].details = details_end(&details);
	}
	outbox_add(notices, found);
	engine_leave(&engine);
}

void
alert_matched(Delta *const *deltas, int n)
{
	MatchedOf  *all;
	int			count = 0;

	for (int i = 0; i < n; i++)
		count += deltas[i]->nmatched;
	if (count == 0)
		return;
	all = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(MatchedOf) * count);
	count = 0;
	for (int i = 0; i < n; i++)
	{
		for (int m = 0; m < deltas[i]->nmatched; m++)
		{
			all[count].lead_id = deltas[i]->lead_id;
			all[count++].matched = deltas[i]->matched[m];
		}
	}
	qsort(all, count, sizeof(MatchedOf), compare_matched);
	tell_matched(all, count);
	pfree(all);
}

/* ---- leads --------------------------------------------------------------- */

/* Who has to do with a lead. */
typedef struct People
{
	int64		lead_id;
	int64		owner_id;		/* 0 = none */
	int64		account_owner_id;
	bool		customer;		/* its account is one */
	const char *team;			/* of its stage's category */
	int64		deal_id;		/* its open deal, 0 = none */
	int64		deal_owner_id;
} People;

static const char *
team_of(const char *category)
{
	static const char *const sales[] = {"handoff", "sales", "won", "lost"};

	for (int i = 0; category && i < (int) lengthof(sales); i++)
	{
		if (strcmp(category, sales[i]) == 0)
			return "sales";
	}
	return "marketing";
}

static People *
people_read(const Alerts *alerts, bool with_deals, int *n)
{
	static EngineStatement plain = {
		"SELECT l.id, l.owner_id, s.category, a.owner_id, coalesce(a.status = 'customer', false), NULL::bigint, NULL::bigint"
		" FROM leadflow.leads l LEFT JOIN leadflow.stages s ON s.name = l.stage"
		" LEFT JOIN leadflow.accounts a ON a.id = l.account_id"
		" WHERE l.id = ANY ($1) ORDER BY l.id", 1, {INT8ARRAYOID}
	};
	static EngineStatement deals = {
		"SELECT l.id, l.owner_id, s.category, a.owner_id, coalesce(a.status = 'customer', false), d.id, d.owner_id"
		" FROM leadflow.leads l LEFT JOIN leadflow.stages s ON s.name = l.stage"
		" LEFT JOIN leadflow.accounts a ON a.id = l.account_id"
		" LEFT JOIN LATERAL (SELECT x.id, x.owner_id FROM ("
		"   SELECT d.id, d.owner_id FROM leadflow.deals d WHERE d.lead_id = l.id"
		"    AND d.status = 'open' AND d.corrects_deal_id IS NULL"
		"   UNION ALL SELECT d.id, d.owner_id FROM leadflow.deal_contacts c"
		"    JOIN leadflow.deals d ON d.id = c.deal_id WHERE c.lead_id = l.id"
		"    AND d.status = 'open' AND d.corrects_deal_id IS NULL) x"
		"  ORDER BY x.owner_id IS NULL, x.id DESC LIMIT 1) d ON true"
		" WHERE l.id = ANY ($1) ORDER BY l.id", 1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	int64	   *ids = palloc_array(int64, alerts->n);
	EngineContext engine;
	People	   *people;
	Datum		value;

	for (int i = 0; i < alerts->n; i++)
		ids[i] = alerts->alerts[i].lead_id;
	engine_enter(&engine);
	engine_plan_by_index();
	value = int8_array(ids, alerts->n);
	*n = (int) engine_query(with_deals ? &deals : &plain, &value, NULL);
	people = MemoryContextAllocHuge(caller, sizeof(People) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		people[i].lead_id = spi_int64(i, 1);
		people[i].owner_id = spi_int64(i, 2);
		people[i].team = team_of(spi_text(i, 3));
		people[i].account_owner_id = spi_int64(i, 4);
		people[i].customer = DatumGetBool(spi_value(i, 5, &isnull));
		people[i].deal_id = spi_int64(i, 6);
		people[i].deal_owner_id = spi_int64(i, 7);
	}
	engine_leave(&engine);
	MemoryContextSwitchTo(caller);
	return people;
}

static char *
score_details(const Alerts *alerts, const Alert *alert, bool was, int64 deal_id)
{
	const ScoreRow *score = &alert->after;
	StringInfoData details;

	details_begin(&details);
	details_number(&details, "score", score->score);
	if (was)
		details_number(&details, "was", alert->before.score);
	details_text(&details, "rank", score->grade ? psprintf("%c%d", score->grade, score->level) :
				 psprintf("%d", score->level));
	details_text(&details, "band", points_band(alerts->model, score->score));
	details_text(&details, "persona", score->persona_id ? score_persona_name(score->persona_id) : NULL);
	details_id(&details, "deal_id", deal_id);
	return details_end(&details);
}

/* Without a condition it is the threshold of an MQL. */
static void
tell_reached(const Alerts *alerts, const Alert *alert, const LeadDocument *documents, int ndocuments,
			 Notice *notices, int *n)
{
	int			nsubscriptions;
	const Subscription *subscriptions = subscriptions_of(alerts->config, "score.reached", &nsubscriptions);
	Jsonb	   *lead = lead_document_find(documents, ndocuments, alert->lead_id);
	Jsonb	   *before = lead ? lead_document_rescored(lead, &alert->before) : NULL;
	Jsonb	   *after = lead ? lead_document_rescored(lead, &alert->after) : NULL;

	for (int s = 0; s < nsubscriptions; s++)
	{
		const Condition *condition = subscriptions[s].condition;
		Notice	   *notice = &notices[*n];

		if (condition ? !(lead && condition_holds(condition, after) && !condition_holds(condition, before)) :
			!passes(alert, alerts->model->mql_threshold))
			continue;
		notice->lead_id = alert->lead_id;
		notice->event = "score.reached";
		notice->subscription_id = subscriptions[s].id;
		notice->at = alert->at;
		notice->details = score_details(alerts, alert, true, 0);
		(*n)++;
	}
}

void
alerts_tell(Alerts *alerts)
{
	LeadDocument *documents = NULL;
	int			ndocuments = 0;
	int			npeople;
	int			what = 0;
	int			count = 0;
	People	   *people;
	Notice	   *notices;

	if (alerts->n == 0)
		return;
	for (int i = 0; i < alerts->n; i++)
		what |= alerts->alerts[i].what;
	people = people_read(alerts, what & ALERT_DEAL, &npeople);
	if (what & ALERT_REACHED)
	{
		IdSet		risen = {0};

		for (int i = 0; i < alerts->n; i++)
		{
			if (alerts->alerts[i].what & ALERT_REACHED)
				ids_add(&risen, alerts->alerts[i].lead_id);
		}
		documents = lead_documents_scored(risen.ids, risen.n, alerts->now, &ndocuments);
	}
	notices = MemoryContextAllocHuge(CurrentMemoryContext,
									 sizeof(Notice) * alerts->n * (2 + alerts->config->nreached));
	memset(notices, 0, sizeof(Notice) * alerts->n * (2 + alerts->config->nreached));
	for (int i = 0, p = 0; i < alerts->n; i++)
	{
		const Alert *alert = &alerts->alerts[i];
		const People *who;

		while (p < npeople && people[p].lead_id < alert->lead_id)
			p++;
		if (p == npeople || people[p].lead_id != alert->lead_id)
			continue;			/* deleted meanwhile */
		who = &people[p];
		if (alert->what & ALERT_REACHED)
			tell_reached(alerts, alert, documents, ndocuments, notices, &count);
		if (alert->what & ALERT_HOT)
		{
			Notice	   *notice = &notices[count++];

			notice->lead_id = alert->lead_id;
			notice->event = "lead.hot";
			notice->recipient_id = who->owner_id;
			notice->team = who->team;
			notice->at = alert->at;
			notice->details = score_details(alerts, alert, true, 0);
		}
		if (alert->what & ALERT_DEAL || (alert->what & ALERT_ACTIVE && (who->owner_id || who->customer)))
		{
			Notice	   *notice = &notices[count++];
			bool		deal = alert->what & ALERT_DEAL && who->deal_owner_id;

			notice->lead_id = alert->lead_id;
			notice->event = "lead.active_again";
			notice->recipient_id = deal ? who->deal_owner_id :
				who->owner_id ? who->owner_id : who->account_owner_id;
			notice->team = "sales";
			notice->at = alert->engaged_at;
			notice->details = score_details(alerts, alert, false, alert->what & ALERT_DEAL ? who->deal_id : 0);
		}
	}
	outbox_add(notices, count);
}
