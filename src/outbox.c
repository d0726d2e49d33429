/*-------------------------------------------------------------------------
 * outbox.c
 *	  Notifications, written in the transaction of what they tell.
 *
 * A notice becomes a row for its natural recipient and one for each subscription
 * that holds; a batch of them is one INSERT.  Since the leads' state rows are locked,
 * whoever writes the next notification of a lead sees this one, and the ids of
 * a lead are in the order in which things happened; what is told at most once
 * in a while, or while nothing is undelivered, is decided by what is there.
 *
 * No NOTIFY, which would make commits take turns, unless leadflow.notify asks for it.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "handoff_store.h"
#include "lead_document.h"
#include "outbox.h"
#include "spi.h"
#include "stage_store.h"
#include "subscription.h"
#include "table_insert.h"

/* ---- what a notice says -------------------------------------------------- */

/* An instant as documents and payloads have it: ISO 8601, UTC. */
static void
append_time(StringInfo buf, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		appendStringInfoString(buf, "null");
		return;
	}
	EncodeDateTime(&tm, fsec, false, 0, NULL, USE_XSD_DATES, text);
	appendStringInfo(buf, "\"%sZ\"", text);
}

static void
append_key(StringInfo details, const char *key)
{
	appendStringInfo(details, "%s\"%s\": ", details->len > 1 ? ", " : "", key);
}

void
details_begin(StringInfo details)
{
	initStringInfo(details);
	appendStringInfoChar(details, '{');
}

void
details_text(StringInfo details, const char *key, const char *value)
{
	if (value == NULL)
		return;
	append_key(details, key);
	escape_json(details, value);
}

/* The beginning of what people wrote: a payload is small. */
void
details_clipped(StringInfo details, const char *key, const char *value)
{
	if (value == NULL)
		return;
	details_text(details, key, pnstrdup(value, pg_mbcharcliplen(value, strlen(value), DETAILS_CHARACTERS)));
}

void
details_id(StringInfo details, const char *key, int64 value)
{
	if (value == 0)
		return;
	append_key(details, key);
	appendStringInfo(details, "%lld", (long long) value);
}

void
details_number(StringInfo details, const char *key, double value)
{
	append_key(details, key);
	appendStringInfo(details, "%.*g", DBL_DIG, value);
}

/* What is JSON already, a number say. */
void
details_raw(StringInfo details, const char *key, const char *json)
{
	if (json == NULL)
		return;
	append_key(details, key);
	appendStringInfoString(details, json);
}

void
details_time(StringInfo details, const char *key, TimestampTz value)
{
	append_key(details, key);
	append_time(details, value);
}

/* Many of them wait to be written: none takes more room than it needs. */
static char *
fitted(StringInfo text)
{
	char	   *result = pnstrdup(text->data, text->len);

	pfree(text->data);
	return result;
}

char *
details_end(StringInfo details)
{
	appendStringInfoChar(details, '}');
	return fitted(details);
}

/* {"at": …} with the details */
static char *
payload_of(const Notice *notice)
{
	StringInfoData payload;
	const char *details = notice->details ? notice->details : "{}";

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"at\": ");
	append_time(&payload, notice->at);
	details++;
	while (*details == ' ')
		details++;
	appendStringInfo(&payload, "%s%s", *details == '}' ? "" : ", ", details);
	return fitted(&payload);
}

/* ---- rows ---------------------------------------------------------------- */

typedef struct OutboxRow
{
	const Notice *notice;
	int64		recipient_id;
	const char *queue;
	const char *team;
	const Subscription *subscription;	/* NULL = the natural recipient's */
	const char *payload;
} OutboxRow;

typedef struct OutboxRows
{
	OutboxRow  *rows;
	int			n;
	int			room;
	struct told_hash *told;		/* what is told once, by lead and subscription */
	bool		guarded;		/* there are such rows */
} OutboxRows;

typedef struct ToldKey
{
	int64		lead_id;
	int64		subscription_id;
} ToldKey;

typedef struct Told
{
	ToldKey		key;
	char		status;
} Told;

#define SH_PREFIX told
#define SH_ELEMENT_TYPE Told
#define SH_KEY_TYPE ToldKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) &(key), sizeof(ToldKey))
#define SH_EQUAL(table, a, b) ((a).lead_id == (b).lead_id && (a).subscription_id == (b).subscription_id)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Once undelivered is enough of this one. */
#define ACTIVE_AGAIN	"lead.active_again"

static void
add_row(OutboxRows *rows, OutboxRow row)
{
	bool		active_again = strcmp(row.notice->event, ACTIVE_AGAIN) == 0;

	if (active_again || (row.subscription && row.subscription->every > 0))
	{
		ToldKey		key = {row.notice->lead_id, row.subscription ? row.subscription->id : 0};
		bool		found;

		if (rows->told == NULL)
			rows->told = told_create(CurrentMemoryContext, 16, NULL);
		(void) told_insert(rows->told, key, &found);
		if (found)
			return;
		rows->guarded = true;
	}
	if (rows->n == rows->room)
	{
		rows->room = Max(16, rows->room * 2);
		rows->rows = rows->rows ? repalloc_huge(rows->rows, sizeof(OutboxRow) * rows->room) :
			palloc(sizeof(OutboxRow) * rows->room);
	}
	rows->rows[rows->n++] = row;
}

static Datum
int8_nulls(const OutboxRow *rows, int n, int64 (*value) (const OutboxRow *row))
{
	Datum	   *elements = palloc_array(Datum, n);
	bool	   *nulls = palloc_array(bool, n);
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		int64		v = value(&rows[i]);

		elements[i] = Int64GetDatum(v);
		nulls[i] = v == 0;
	}
	return PointerGetDatum(construct_md_array(elements, nulls, 1, &n, &lower, INT8OID,
											  sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static int64
row_lead(const OutboxRow *row)
{
	return row->notice->lead_id;
}

static int64
row_recipient(const OutboxRow *row)
{
	return row->recipient_id;
}

static int64
row_subscription(const OutboxRow *row)
{
	return row->subscription ? row->subscription->id : 0;
}

static int64
row_every(const OutboxRow *row)
{
	return row->subscription ? row->subscription->every : 0;
}

#define OUTBOX_COLUMNS "lead_id, event, recipient_id, queue, team, channel, subscription_id, payload"
#define OUTBOX_INSERT \
	"INSERT INTO leadflow.notifications (" OUTBOX_COLUMNS ", created_at, next_attempt_at)" \
	" SELECT lead_id, event, recipient_id, queue, team, channel, subscription_id, payload::jsonb, $9, $9"

/* Without SQL, as most are written; false = it is not to be done. */
static bool
write_plain(const OutboxRows *rows)
{
	static const char *const columns[] = {
		"lead_id", "event", "recipient_id", "queue", "team", "channel", "subscription_id", "payload",
		"created_at", "next_attempt_at"
	};
	Datum		now = TimestampTzGetDatum(clock_wall());
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext each;
	TableInsert insert;

	if (rows->guarded || !table_insert_begin(&insert, "notifications", columns, lengthof(columns), rows->n))
		return false;
	each = AllocSetContextCreate(caller, "leadflow payload", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < rows->n; i++)
	{
		const OutboxRow *row = &rows->rows[i];
		const char *channel = row->subscription ? row->subscription->channel : "inbox";
		Datum		payload;
		Datum		values[lengthof(columns)];
		bool		nulls[lengthof(columns)] = {false};

		values[0] = Int64GetDatum(row_lead(row));
		nulls[0] = row_lead(row) == 0;
		values[1] = CStringGetTextDatum(row->notice->event);
		values[2] = Int64GetDatum(row->recipient_id);
		nulls[2] = row->recipient_id == 0;
		values[3] = row->queue ? CStringGetTextDatum(row->queue) : (Datum) 0;
		nulls[3] = row->queue == NULL;
		values[4] = row->team ? CStringGetTextDatum(row->team) : (Datum) 0;
		nulls[4] = row->team == NULL;
		values[5] = CStringGetTextDatum(channel);
		values[6] = Int64GetDatum(row_subscription(row));
		nulls[6] = row_subscription(row) == 0;
		MemoryContextSwitchTo(each);
		payload = DirectFunctionCall1(jsonb_in, CStringGetDatum(row->payload));
		MemoryContextSwitchTo(caller);
		values[7] = datumCopy(payload, false, -1);
		MemoryContextReset(each);
		values[8] = values[9] = now;
		(void) table_insert_row(&insert, values, nulls);
	}
	table_insert_end(&insert);
	MemoryContextDelete(each);
	return true;
}

static void
write_rows(const OutboxRows *rows)
{
	static EngineStatement plain = {
		OUTBOX_INSERT
		" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) m (" OUTBOX_COLUMNS ")",
		9, {
			INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID
		}
	};
	/* what was told in the last while, or is undelivered, is not told again */
	static EngineStatement guarded = {
		OUTBOX_INSERT
		" FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $10) m (" OUTBOX_COLUMNS ", every)"
		" WHERE (every IS NULL OR NOT EXISTS (SELECT FROM leadflow.notifications x"
		"   WHERE x.lead_id = m.lead_id AND x.subscription_id = m.subscription_id"
		"   AND x.created_at > $9 - every * interval '1 microsecond'))"
		" AND (event <> '" ACTIVE_AGAIN "' OR NOT EXISTS (SELECT FROM leadflow.notifications x"
		"   WHERE x.lead_id = m.lead_id AND x.delivered_at IS NULL AND x.dead_at IS NULL"
		"   AND x.event = '" ACTIVE_AGAIN "' AND x.subscription_id IS NOT DISTINCT FROM m.subscription_id))",
		10, {
			INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
			INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID, INT8ARRAYOID
		}
	};
	int			n = rows->n;
	const char **events = palloc_array(const char *, n);
	const char **queues = palloc_array(const char *, n);
	const char **teams = palloc_array(const char *, n);
	const char **channels = palloc_array(const char *, n);
	const char **payloads = palloc_array(const char *, n);
	EngineContext engine;
	Datum		values[10];

	if (write_plain(rows))
		return;
	for (int i = 0; i < n; i++)
	{
		const OutboxRow *row = &rows->rows[i];

		events[i] = row->notice->event;
		queues[i] = row->queue;
		teams[i] = row->team;
		channels[i] = row->subscription ? row->subscription->channel : "inbox";
		payloads[i] = row->payload;
	}
	engine_enter(&engine);
	engine_plan_by_index();
	values[0] = int8_nulls(rows->rows, n, row_lead);
	values[1] = text_array(events, n);
	values[2] = int8_nulls(rows->rows, n, row_recipient);
	values[3] = text_array(queues, n);
	values[4] = text_array(teams, n);
	values[5] = text_array(channels, n);
	values[6] = int8_nulls(rows->rows, n, row_subscription);
	values[7] = text_array(payloads, n);
	values[8] = TimestampTzGetDatum(clock_wall());
	values[9] = int8_nulls(rows->rows, n, row_every);
	(void) engine_execute(rows->guarded ? &guarded : &plain, values, NULL);
	engine_leave(&engine);
}

/* ---- who is told --------------------------------------------------------- */

static bool
is_reachable(const SubscriptionConfig *config, int64 member_id)
{
	const Reachable *member = member_id ? reachable_member(config, member_id) : NULL;

	return member && member->active;
}

typedef struct CampaignOwner
{
	int64		lead_id;
	int64		owner_id;
} CampaignOwner;

static int
compare_owners(const void *a, const void *b)
{
	return compare_ids(&((const CampaignOwner *) a)->lead_id, &((const CampaignOwner *) b)->lead_id);
}

/* The owners of the campaigns that leads came from, where there is one; by lead. */
static CampaignOwner *
campaign_owners(const IdSet *leads, int *n)
{
	static EngineStatement statement = {
		"SELECT l.id, c.owner_id FROM leadflow.leads l JOIN leadflow.campaigns c ON c.id = l.campaign_id"
		" WHERE l.id = ANY ($1) AND c.owner_id IS NOT NULL ORDER BY l.id", 1, {INT8ARRAYOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	EngineContext engine;
	CampaignOwner *owners;
	Datum		ids;

	*n = 0;
	if (leads->n == 0)
		return NULL;
	engine_enter(&engine);
	engine_plan_by_index();
	ids = int8_array(leads->ids, leads->n);
	*n = (int) engine_query(&statement, &ids, NULL);
	owners = MemoryContextAllocHuge(caller, sizeof(CampaignOwner) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		owners[i].lead_id = spi_int64(i, 1);
		owners[i].owner_id = spi_int64(i, 2);
	}
	engine_leave(&engine);
	MemoryContextSwitchTo(caller);
	return owners;
}

/* The document that conditions are asked of: the lead's, with what the event says of itself. */
static Jsonb *
notice_document(Jsonb *lead, const Notice *notice, const char *payload)
{
	Datum		said = DirectFunctionCall1(jsonb_in, CStringGetDatum(payload));
	StringInfoData event;

	initStringInfo(&event);
	appendStringInfoString(&event, "{\"event\": ");
	escape_json(&event, notice->event);
	appendStringInfoChar(&event, '}');
	said = DirectFunctionCall2(jsonb_concat, DirectFunctionCall1(jsonb_in, CStringGetDatum(event.data)), said);
	if (lead)
		said = DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(lead), said);
	return DatumGetJsonbP(said);
}

static void
add_subscribed(OutboxRows *rows, const Notice *notice, const char *payload, int64 natural,
			   const Subscription *subscription)
{
	OutboxRow	row = {.notice = notice, .payload = payload, .subscription = subscription};

	/* who is told anyway */
	if (natural != 0 && subscription->recipient_id == natural && strcmp(subscription->channel, "inbox") == 0)
		return;
	row.recipient_id = subscription->recipient_id;
	row.team = subscription->team;
	add_row(rows, row);
}

void
outbox_add(const Notice *notices, int n)
{
	const SubscriptionConfig *config;
	OutboxRows	rows = {0};
	IdSet		to_marketing = {0};
	IdSet		asked = {0};
	CampaignOwner *owners;
	LeadDocument *documents = NULL;
	int			nowners;
	int			ndocuments = 0;
	MemoryContext each;
	MemoryContext caller = CurrentMemoryContext;

	if (n == 0 || leadflow_quiet)
		return;
	config = subscription_config();
	for (int i = 0; i < n; i++)
	{
		const Subscription *subscriptions;
		int			nsubscriptions;

		if (notices[i].to_marketing && notices[i].lead_id)
			ids_add(&to_marketing, notices[i].lead_id);
		if (config->n == 0 || notices[i].alone || notices[i].subscription_id || notices[i].lead_id == 0)
			continue;
		subscriptions = subscriptions_of(config, notices[i].event, &nsubscriptions);
		for (int s = 0; s < nsubscriptions; s++)
		{
			if (subscriptions[s].condition)
			{
				ids_add(&asked, notices[i].lead_id);
				break;
			}
		}
	}
	ids_sort(&to_marketing);
	ids_sort(&asked);
	owners = campaign_owners(&to_marketing, &nowners);
	if (asked.n)
		documents = lead_documents_scored(asked.ids, asked.n, clock_now(), &ndocuments);

	each = AllocSetContextCreate(caller, "leadflow notice", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < n; i++)
	{
		const Notice *notice = &notices[i];
		OutboxRow	row = {.notice = notice, .payload = payload_of(notice)};
		const Subscription *subscriptions;
		int			nsubscriptions = 0;
		Jsonb	   *document = NULL;

		CHECK_FOR_INTERRUPTS();
		if (notice->to_marketing)
		{
			CampaignOwner key = {.lead_id = notice->lead_id};
			CampaignOwner *found = nowners == 0 ? NULL :
				bsearch(&key, owners, nowners, sizeof(CampaignOwner), compare_owners);

			row.recipient_id = found && is_reachable(config, found->owner_id) ? found->owner_id : 0;
			row.team = row.recipient_id ? NULL : "marketing";
		}
		else if (is_reachable(config, notice->recipient_id))
			row.recipient_id = notice->recipient_id;
		else if (notice->queue)
			row.queue = notice->queue;
		else if (notice->team)
			row.team = notice->team;
		else
			row.recipient_id = notice->recipient_id;	/* nobody else: who has left, too */
		if (row.recipient_id || row.queue || row.team)
			add_row(&rows, row);

		if (notice->subscription_id)
		{
			const Subscription *subscription = subscription_by_id(config, notice->subscription_id);

			if (subscription)
				add_subscribed(&rows, notice, row.payload, row.recipient_id, subscription);
			continue;
		}
		if (notice->alone)
			continue;
		subscriptions = config->n ? subscriptions_of(config, notice->event, &nsubscriptions) : NULL;
		for (int s = 0; s < nsubscriptions; s++)
		{
			if (subscriptions[s].condition)
			{
				bool		holds;

				MemoryContextSwitchTo(each);
				if (document == NULL)
					document = notice_document(lead_document_find(documents, ndocuments, notice->lead_id),
											   notice, row.payload);
				holds = condition_holds(subscriptions[s].condition, document);
				MemoryContextSwitchTo(caller);
				if (!holds)
					continue;
			}
			add_subscribed(&rows, notice, row.payload, row.recipient_id, &subscriptions[s]);
		}
		MemoryContextReset(each);
	}
	if (rows.n)
	{
		write_rows(&rows);
		if (leadflow_notify)
			outbox_wake();
	}
	MemoryContextDelete(each);
}

void
outbox_wake(void)
{
	Async_Notify("leadflow", "");
}

/* ---- what moves tell ----------------------------------------------------- */

static const char *
member_name(const SubscriptionConfig *config, int64 id)
{
	const Reachable *member = id ? reachable_member(config, id) : NULL;

	return member ? member->full_name : NULL;
}

/* What every move says, and a hand-off besides; its brief is added when it is claimed. */
static char *
move_details(const SubscriptionConfig *config, const Move *move, bool handed_off)
{
	StringInfoData details;

	details_begin(&details);
	details_text(&details, "from", move->from_stage);
	details_text(&details, "to", move->to_stage);
	details_text(&details, "team", move->team);
	details_id(&details, "actor_id", move->actor_id);
	details_text(&details, "actor", member_name(config, move->actor_id));
	details_text(&details, "reason", move->reason);
	details_clipped(&details, "note", move->note);
	details_id(&details, "owner_id", move->owner_id);
	details_text(&details, "owner", member_name(config, move->owner_id));
	if (handed_off)
	{
		const Reachable *owner = move->owner_id ? reachable_member(config, move->owner_id) : NULL;

		details_id(&details, "handoff_id", move->handoff_id);
		details_text(&details, "queue", move->queue);
		details_text(&details, "why", move->why);
		details_text(&details, "booking_url", owner ? owner->booking_url : NULL);
	}
	return details_end(&details);
}

static bool
hands_off(const Move *move)
{
	return is(move->to_category, "handoff") && !is(move->from_category, "handoff");
}

/* The event that a move is; NULL = none of them. */
static const char *
event_of(const Move *move)
{
	if (is(move->to_stage, "mql"))
		return "lead.mql";
	if (hands_off(move))
		return "lead.handed_off";
	if (is(move->to_stage, "accepted"))
		return "lead.accepted";
	if (is(move->to_stage, "rejected"))
		return "lead.rejected";
	if (is(move->from_stage, "nurture") && is(move->to_stage, "lead") && is(move->team, "system") &&
		is(move->reason, "revisit"))
		return "nurture.due";
	return NULL;
}

void
outbox_moves(const Move *moves, int n)
{
	const SubscriptionConfig *config = subscription_config();
	Notice	   *notices = palloc0_array(Notice, n + 1);
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		const Move *move = &moves[i];
		const char *event = event_of(move);
		Notice	   *notice = &notices[count];

		if (move->quiet || event == NULL)
			continue;
		notice->lead_id = move->lead_id;
		notice->event = event;
		notice->at = move->at;
		notice->details = move_details(config, move, hands_off(move));
		if (is(move->to_stage, "mql"))
		{
			notice->recipient_id = move->owner_id;
			notice->team = "marketing";
		}
		else if (hands_off(move))
		{
			notice->recipient_id = move->owner_id;
			notice->queue = move->queue;
			notice->team = "sales";
		}
		else
			notice->to_marketing = true;
		count++;
	}
	outbox_add(notices, count);
}

void
outbox_reassigned(const Move *moves, int n)
{
	const SubscriptionConfig *config;
	Notice	   *notices;

	if (n == 0 || leadflow_quiet)
		return;
	config = subscription_config();
	notices = palloc0_array(Notice, n);
	for (int i = 0; i < n; i++)
	{
		Move		move = moves[i];

		/* what the row says of the last move is no part of this */
		move.from_stage = move.team = move.reason = move.note = NULL;
		move.actor_id = 0;
		if (move.why == NULL)
			move.why = WHY_REASSIGNED;
		notices[i].lead_id = move.lead_id;
		notices[i].event = "lead.handed_off";
		notices[i].at = Max(clock_now(), move.at);
		notices[i].recipient_id = move.owner_id;
		notices[i].queue = move.queue;
		notices[i].team = "sales";
		notices[i].details = move_details(config, &move, true);
	}
	outbox_add(notices, n);
}
