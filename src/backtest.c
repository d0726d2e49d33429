/*-------------------------------------------------------------------------
 * backtest.c
 *	  What a model would have done: all leads' lives replayed, once, in order.
 *
 * The activities come as one stream in order of lead, instant and id, and are
 * looked at as they pass; a cursor on the leads, merged by id, brings what is known
 * of them.  Both read as the caller, so privileges and row-level security decide what
 * is replayed, as they do in reports.
 *
 * Since a lead's activities come in order, the latest always counts, and a match of a
 * limited rule pushes out the oldest of its like once there are max_count: limits
 * are what they were at each instant, not what they are now.  A ring of instants is
 * all that this takes, whatever the number of buckets and values (limit.c keeps what
 * may come out of order).
 *
 * Limits: O(matches of limited rules of one lead) in memory; the sort of the
 * activities spills to disk.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "gate.h"
#include "lead_stream.h"
#include "model_store.h"
#include "score_store.h"
#include "spi.h"

/* Matches of a limited rule that are counted against one another. */
typedef struct RingKey
{
	int64		rule;			/* as in LimitEntry */
	int64		bucket;
	uint64		value;
} RingKey;

/* The instants of those that count. */
typedef struct Ring
{
	RingKey		key;
	char		status;			/* of simplehash */
	int			n;
	int			room;
	int			oldest;			/* once there are max_count */
	TimestampTz *at;
} Ring;

#define SH_PREFIX rings
#define SH_ELEMENT_TYPE Ring
#define SH_KEY_TYPE RingKey
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) &(key), sizeof(RingKey))
#define SH_EQUAL(tb, a, b) (memcmp(&(a), &(b), sizeof(RingKey)) == 0)
#define SH_SCOPE static inline
#define SH_DEFINE
#define SH_DECLARE
#include "lib/simplehash.h"

/* What is known of a lead besides its activities; as it is now. */
typedef struct LeadFacts
{
	int64		id;
	TimestampTz created_at;
	double		fit;
	int64		disqualifier;	/* on the lead, 0 = none */
	bool		complete;		/* required fields are filled in */
	bool		do_not_contact;
} LeadFacts;

#define LEADS_AT_A_TIME 1000

/* A walk through all leads and their activities, in order. */
typedef struct Walk
{
	const Model *model;
	ReturnSetInfo *result;
	TimestampTz to;				/* activities before that instant */
	MemoryContext context;
	MemoryContext per_lead;		/* rings */
	MemoryContext scratch;

	Portal		cursor;			/* of leads */
	LeadFacts  *leads;			/* those that were fetched last */
	int			nleads;
	int			lead;			/* the one in turn; nleads = no more */
	ActivityMatch match;
	rings_hash *rings;

	/* what is done with them */
	void		(*begin) (struct Walk *walk);
	void		(*activity) (struct Walk *walk, const ActivityRow *row);
	void		(*end) (struct Walk *walk);

	/* a replay's */
	StateRow	state;			/* what the lead comes to so far */
	bool		finished;		/* no more of this lead is of interest */
	bool		created;		/* its creation has passed */
	TimestampTz engaged_at;		/* instant that the gate was not yet asked about, DT_NOBEGIN = none */

	/* of the rules' hits */
	int64		engagements;
	int64	   *hits;			/* by rule */
} Walk;

/* A match of a limited rule, later than all before: does it push out one that counted until now? */
static bool
limit_push(Walk *walk, const PointRule *rule, const ActivityRow *row, TimestampTz *displaced)
{
	LimitEntry	entry = activity_limit_entry(walk->model, rule, row, &walk->match);
	RingKey		key = {entry.rule, entry.bucket, entry.value};
	bool		found;
	Ring	   *ring = rings_insert(walk->rings, key, &found);

	if (!found)
	{
		ring->n = ring->oldest = 0;
		ring->room = Min(rule->max_count, 4);
		ring->at = MemoryContextAlloc(walk->per_lead, sizeof(TimestampTz) * ring->room);
	}
	if (ring->n == rule->max_count)
	{
		*displaced = ring->at[ring->oldest];
		ring->at[ring->oldest] = entry.at;
		ring->oldest = (ring->oldest + 1) % rule->max_count;
		return true;
	}
	if (ring->n == ring->room)
	{
		ring->room = (int) Min(rule->max_count, (int64) ring->room * 2);
		ring->at = repalloc_huge(ring->at, sizeof(TimestampTz) * ring->room);
	}
	ring->at[ring->n++] = entry.at;
	return false;
}

static Datum
lead_value(HeapTuple tuple, TupleDesc desc, const char *name, bool *isnull)
{
	int			attnum = SPI_fnumber(desc, name);

	if (attnum <= 0)
		elog(ERROR, "column \"%s\" of table leads is missing", name);
	return SPI_getbinval(tuple, desc, attnum, isnull);
}

static void
lead_facts(const Model *model, HeapTuple tuple, TupleDesc desc, bool documents, LeadFacts *facts)
{
	Jsonb	   *document = NULL;
	Fit			fit;
	ListCell   *lc;
	bool		isnull;

	facts->id = DatumGetInt64(lead_value(tuple, desc, "id", &isnull));
	facts->created_at = DatumGetTimestampTz(lead_value(tuple, desc, "created_at", &isnull));
	facts->do_not_contact = DatumGetBool(lead_value(tuple, desc, "do_not_contact", &isnull));
	facts->complete = true;
	foreach(lc, model->required_fields)
		facts->complete = facts->complete && gate_has_field(tuple, desc, lfirst(lc));
	if (documents)
		document = DatumGetJsonbP(SPI_getbinval(tuple, desc, desc->natts, &isnull));
	fit_evaluate(model, document, &fit);
	facts->fit = fit.points;
	facts->disqualifier = fit.disqualifier ? fit.disqualifier->id : 0;
}

/*
 * The next leads.  Called while the statement on activities runs, hence an SPI
 * connection of its own.
 */
static void
fetch_leads(Walk *walk)
{
	MemoryContext caller = CurrentMemoryContext;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	SPI_cursor_fetch(walk->cursor, true, LEADS_AT_A_TIME);
	walk->nleads = (int) SPI_processed;
	walk->lead = 0;
	MemoryContextSwitchTo(walk->scratch);
	for (int i = 0; i < walk->nleads; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(walk->scratch);
		lead_facts(walk->model, SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
				   fit_needs_document(walk->model), &walk->leads[i]);
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
}

static void
begin_lead(Walk *walk)
{
	if (walk->lead == walk->nleads && walk->nleads > 0)
		fetch_leads(walk);
	if (walk->lead < walk->nleads)
		walk->begin(walk);
}

static void
end_lead(Walk *walk)
{
	MemoryContext caller = MemoryContextSwitchTo(walk->scratch);

	MemoryContextReset(walk->scratch);
	walk->end(walk);
	MemoryContextSwitchTo(caller);
	if (walk->rings->members > 0)
	{
		/* a lead with many of them must not make clearing dear for all that follow */
		if (walk->rings->size > 1024)
		{
			rings_destroy(walk->rings);
			walk->rings = rings_create(walk->context, 64, NULL);
		}
		else
			rings_reset(walk->rings);
		MemoryContextReset(walk->per_lead);
	}
	walk->lead++;
}

/* Leads up to that one are done with, and those before it had no more activities. */
static void
walk_activity(const ActivityRow *row, void *arg)
{
	Walk	   *walk = arg;

	while (walk->lead < walk->nleads && walk->leads[walk->lead].id < row->lead_id)
	{
		end_lead(walk);
		begin_lead(walk);
	}
	if (walk->lead < walk->nleads && walk->leads[walk->lead].id == row->lead_id && !walk->finished)
		walk->activity(walk, row);
}

/* Walks through everything that the caller may see and the query's snapshot shows. */
static void
walk_history(Walk *walk)
{
	const char *sql = fit_needs_document(walk->model) ?
		"SELECT l.*, d.doc AS \"lead as JSON\" FROM leadflow.leads l"
		" JOIN leadflow._lead_documents d ON d.lead_id = l.id ORDER BY l.id" :
		"SELECT l.* FROM leadflow.leads l ORDER BY l.id";
	EngineContext engine;
	SPIPlanPtr	plan;

	walk->context = CurrentMemoryContext;
	walk->per_lead = AllocSetContextCreate(walk->context, "leadflow lead", ALLOCSET_DEFAULT_SIZES);
	walk->scratch = AllocSetContextCreate(walk->context, "leadflow leads", ALLOCSET_DEFAULT_SIZES);
	walk->leads = palloc_array(LeadFacts, LEADS_AT_A_TIME);
	walk->match.rules = palloc_array(const PointRule *, Max(walk->model->nrules, 1));
	walk->rings = rings_create(walk->context, 64, NULL);

	caller_enter(&engine);
	engine_plan_in_bulk();
	if ((plan = SPI_prepare(sql, 0, NULL)) == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	walk->cursor = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	fetch_leads(walk);
	begin_lead(walk);
	stream_activities(PG_INT64_MIN, PG_INT64_MAX, walk->to, STREAM_BY_TIME, walk_activity, walk);
	while (walk->lead < walk->nleads)
	{
		CHECK_FOR_INTERRUPTS();
		end_lead(walk);
		begin_lead(walk);
	}
	SPI_cursor_close(walk->cursor);
	engine_leave(&engine);
}

/* The model that was asked for; the active one where none was. */
static const Model *
model_argument(FunctionCallInfo fcinfo, int arg)
{
	const Model *model = PG_ARGISNULL(arg) ? model_active() : model_required(PG_GETARG_INT64(arg));

	if (model->id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no scoring model is active"),
				 errhint("Name one by its id.")));
	return model;
}

/* Would the lead be an MQL at that instant?  Then no more of it is asked. */
static void
replay_gate(Walk *walk, TimestampTz at)
{
	const LeadFacts *lead = &walk->leads[walk->lead];
	const Model *model = walk->model;
	ScoreRow	score;
	bool		hand_raise;
	Datum		values[5];
	bool		nulls[5] = {false};

	if (walk->finished)
		return;
	state_evaluate(model, &walk->state, at, &score);
	if (!gate_points(model, &walk->state, &score, &hand_raise) || (lead->do_not_contact && !hand_raise))
		return;
	walk->finished = true;
	values[0] = Int64GetDatum(lead->id);
	values[1] = TimestampTzGetDatum(at);
	values[2] = Float8GetDatum(score.score);
	values[3] = CStringGetTextDatum(points_band(model, score.score));
	values[4] = BoolGetDatum(hand_raise);
	tuplestore_putvalues(walk->result->setResult, walk->result->setDesc, values, nulls);
}

/* Asks the gate about the instants before another that it was not yet asked about. */
static void
replay_until(Walk *walk, TimestampTz next)
{
	TimestampTz created_at = walk->leads[walk->lead].created_at;

	if (!TIMESTAMP_IS_NOBEGIN(walk->engaged_at) && walk->engaged_at < next)
	{
		replay_gate(walk, walk->engaged_at);
		walk->created |= created_at == walk->engaged_at;
		walk->engaged_at = DT_NOBEGIN;
	}
	if (!walk->created && created_at < next)
	{
		replay_gate(walk, created_at);
		walk->created = true;
	}
}

static void
replay_begin(Walk *walk)
{
	const LeadFacts *lead = &walk->leads[walk->lead];
	StateRow   *state = &walk->state;

	memset(state->sums, 0, sizeof(double) * walk->model->ngroups);
	state->last_at = DT_NOBEGIN;
	state->hand_raised_at = DT_NOBEGIN;
	state->disqualified_at = DT_NOEND;
	state->disqualified_by = 0;
	state->fit = lead->fit;
	walk->engaged_at = DT_NOBEGIN;
	walk->created = false;
	walk->finished = lead->disqualifier || !lead->complete;
}

static void
replay_activity(Walk *walk, const ActivityRow *row)
{
	const Model *model = walk->model;
	StateRow   *state = &walk->state;
	ActivityMatch *match = &walk->match;

	replay_until(walk, row->occurred_at);
	if (walk->finished)
		return;
	activity_match(model, row, match);
	if (match->kind == NULL || match->kind->role != ROLE_ENGAGEMENT)
		return;
	walk->engaged_at = row->occurred_at;
	for (int i = 0; i < match->nrules; i++)
	{
		const PointRule *rule = match->rules[i];
		bool		decays = model->groups[rule->group].half_life > 0;
		TimestampTz displaced;

		if (rule->hand_raise)
			state->hand_raised_at = row->occurred_at;
		if (rule->max_count > 0 && limit_push(walk, rule, row, &displaced))
		{
			if (!decays)
				continue;		/* one comes, one goes */
			points_add(model, state->sums, &state->last_at, rule->group, -rule->points, displaced);
		}
		points_add(model, state->sums, &state->last_at, rule->group, rule->points, row->occurred_at);
	}
	if (match->disqualifier &&
		disqualifies_first(row->occurred_at, match->disqualifier->id,
						   state->disqualified_at, state->disqualified_by))
	{
		state->disqualified_at = row->occurred_at;
		state->disqualified_by = match->disqualifier->id;
	}
}

static void
replay_end(Walk *walk)
{
	replay_until(walk, walk->to);
}

/*
 * _replay(model_id, from, to) → for each lead that would be an MQL before to:
 * when first, and with what score.
 */
PG_FUNCTION_INFO_V1(leadflow_replay);
Datum
leadflow_replay(PG_FUNCTION_ARGS)
{
	Walk		walk = {.begin = replay_begin, .activity = replay_activity, .end = replay_end};

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) ||
		TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(1)) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(2)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a backtest goes from one finite instant to another")));
	if (PG_GETARG_TIMESTAMPTZ(1) >= PG_GETARG_TIMESTAMPTZ(2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a backtest must begin before it ends"),
				 errdetail("It is from %s to %s.", pstrdup(timestamptz_to_str(PG_GETARG_TIMESTAMPTZ(1))),
						   pstrdup(timestamptz_to_str(PG_GETARG_TIMESTAMPTZ(2))))));
	walk.model = model_argument(fcinfo, 0);
	walk.to = PG_GETARG_TIMESTAMPTZ(2);
	walk.result = (ReturnSetInfo *) fcinfo->resultinfo;
	walk.state.sums = palloc0_array(double, Max(walk.model->ngroups, 1));
	walk.state.cycle_since = DT_NOBEGIN;
	walk_history(&walk);
	return (Datum) 0;
}

static void
hits_begin(Walk *walk)
{
	walk->engagements = 0;
	memset(walk->hits, 0, sizeof(int64) * walk->model->nrules);
}

static void
hits_activity(Walk *walk, const ActivityRow *row)
{
	ActivityMatch *match = &walk->match;

	activity_match(walk->model, row, match);
	if (match->kind == NULL || match->kind->role != ROLE_ENGAGEMENT)
		return;
	walk->engagements++;
	for (int i = 0; i < match->nrules; i++)
	{
		const PointRule *rule = match->rules[i];
		TimestampTz displaced;

		if (rule->max_count == 0 || !limit_push(walk, rule, row, &displaced))
			walk->hits[rule - walk->model->rules]++;
	}
}

static void
hits_end(Walk *walk)
{
	Datum		values[4];
	bool		nulls[4] = {false, true, false, true};

	if (walk->engagements == 0)
		return;
	values[0] = Int64GetDatum(walk->leads[walk->lead].id);
	values[2] = Int64GetDatum(walk->engagements);
	tuplestore_putvalues(walk->result->setResult, walk->result->setDesc, values, nulls);
	nulls[1] = nulls[3] = false;
	for (int r = 0; r < walk->model->nrules; r++)
	{
		if (walk->hits[r] == 0)
			continue;
		values[1] = Int64GetDatum(walk->model->rules[r].id);
		values[2] = Int64GetDatum(walk->hits[r]);
		values[3] = Float8GetDatum(walk->hits[r] * walk->model->rules[r].points);
		tuplestore_putvalues(walk->result->setResult, walk->result->setDesc, values, nulls);
	}
}

/* _rule_hits(model_id) → what each rule gave each lead; rule NULL: the lead's engagements */
PG_FUNCTION_INFO_V1(leadflow_rule_hits);
Datum
leadflow_rule_hits(PG_FUNCTION_ARGS)
{
	Walk		walk = {.to = DT_NOEND, .begin = hits_begin, .activity = hits_activity, .end = hits_end};

	InitMaterializedSRF(fcinfo, 0);
	walk.model = model_argument(fcinfo, 0);
	walk.result = (ReturnSetInfo *) fcinfo->resultinfo;
	walk.hits = palloc0_array(int64, Max(walk.model->nrules, 1));
	walk_history(&walk);
	return (Datum) 0;
}
