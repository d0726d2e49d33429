/*-------------------------------------------------------------------------
 * route.c
 *	  Who gets a lead that is handed to sales.
 *
 * The first that applies (doc/decisions/0003): what the reason says with which the
 * lead last left sales' hands, else the owner that it has; the owner of its account,
 * else of another lead of the account; the first routing rule whose condition holds.
 * Whoever it falls to must be active and present, or covered for; where nobody is,
 * the next is asked.
 *
 * A batch gives what its leads would get one by one, in order of id: a lead that was
 * routed a moment ago counts as one of its account, and among the leads in hand of whoever got it.
 *
 * First all that can be known without a lock, then the queues that may be asked, in id order, then
 * the members of those whose capacity counts, in id order, then the turns.  What was configured
 * while a queue was waited for is seen.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "handoff_store.h"
#include "lead_document.h"
#include "route.h"
#include "row_lock.h"
#include "stage.h"

/* A queue that is asked. */
typedef struct QueueRun
{
	const RoutingQueue *queue;
	QueueState	state;
	RoutingMember *members;		/* those of the queue, in the same order */
	int		   *takers;			/* who gets what falls to each, into people; -1 = nobody */
	bool		changed;
	bool		barred;			/* for the last lead, some were */
} QueueRun;

typedef struct Route
{
	const RoutingConfig *config;
	TimestampTz at;
	bool		dry;
	int		   *takers;			/* by person: routing_taker(), -2 = not asked yet */
	int64	   *loads;			/* by person; -1 = not counted */
	bool		counts;			/* loads matter */
	QueueRun   *runs;			/* by queue */
	AccountOwners *accounts;
	int			naccounts;
	LeadDocument *documents;
	int			ndocuments;
} Route;

/* What is known about one lead beforehand. */
typedef struct Prior
{
	LeftSales	left;
	IdSet		excluded;
	bool		kept;			/* its own owner is asked */
	int64		own;			/* who that is */
} Prior;

/* ---- people -------------------------------------------------------------- */

static void
route_begin(Route *route, TimestampTz at, bool dry)
{
	memset(route, 0, sizeof(Route));
	route->config = routing_config();
	route->at = at;
	route->dry = dry;
	route->takers = palloc_array(int, route->config->npeople + 1);
	route->loads = palloc_array(int64, route->config->npeople + 1);
	for (int i = 0; i < route->config->npeople; i++)
	{
		route->takers[i] = -2;
		route->loads[i] = -1;
	}
	route->runs = palloc0_array(QueueRun, route->config->nqueues + 1);
}

static int
taker_of(Route *route, int person)
{
	if (route->takers[person] == -2)
		route->takers[person] = routing_taker(route->config->people, route->config->npeople, person, route->at);
	return route->takers[person];
}

/* The lead is somebody's; "person" is who it fell to, "taker" who gets it. */
static void
give(Route *route, RouteLead *lead, const char *why, int person, int taker)
{
	const RoutingPerson *people = route->config->people;

	lead->taker_id = people[taker].id;
	lead->taker = people[taker].name;
	lead->why = person == taker ? why :
		psprintf("%s: %s covers for %s", why, people[taker].name, people[person].name);
	if (route->loads[taker] >= 0)
		route->loads[taker]++;
}

/* To a person of sales, or whoever stands in; false = nobody is there, or may not have it. */
static bool
give_person(Route *route, RouteLead *lead, const IdSet *excluded, const char *why, int64 id)
{
	const RoutingConfig *config = route->config;
	int			person = id ? routing_person(config->people, config->npeople, id) : -1;
	int			taker;

	if (person < 0 || config->people[person].team != TEAM_SALES || ids_contain(excluded, id))
		return false;
	taker = taker_of(route, person);
	if (taker < 0 || ids_contain(excluded, config->people[taker].id))
		return false;
	give(route, lead, why, person, taker);
	return true;
}

/* ---- what is known beforehand -------------------------------------------- */

static void
read_history(RouteLead *leads, Prior *priors, int n)
{
	int64	   *ids = palloc_array(int64, n);
	LeftSales  *left = palloc_array(LeftSales, n);
	int			count = 0;
	int			next = 0;

	for (int i = 0; i < n; i++)
	{
		if (leads[i].returns)
			ids[count++] = leads[i].lead_id;
	}
	if (count)
		handoff_left_sales(ids, count, left);
	for (int i = 0; i < n; i++)
	{
		Prior	   *prior = &priors[i];
		const char *returns_to;

		prior->kept = true;
		prior->own = leads[i].owner_id;
		if (leads[i].returns)
			prior->left = left[next++];
		if (leads[i].barred)
		{
			prior->kept = false;
			prior->excluded = *leads[i].barred;
			continue;
		}
		returns_to = leads[i].another ? "other_owner" : prior->left.returns_to;
		if (returns_to == NULL)
			continue;
		if (strcmp(returns_to, "same_owner") == 0)
		{
			if (prior->own == 0)
				prior->own = prior->left.last_owner;
			continue;
		}
		prior->kept = false;
		if (strcmp(returns_to, "other_owner") == 0)
		{
			prior->excluded = prior->left.owners;
			if (leads[i].owner_id)
				ids_add(&prior->excluded, leads[i].owner_id);
			ids_sort(&prior->excluded);
		}
	}
}

static void
read_accounts(Route *route, const RouteLead *leads, int n)
{
	IdSet		accounts = {0};

	for (int i = 0; i < n; i++)
	{
		if (leads[i].account_id)
			ids_add(&accounts, leads[i].account_id);
	}
	ids_sort(&accounts);
	if (accounts.n)
		route->accounts = account_owners(&accounts, &route->naccounts);
}

static AccountOwners *
account_of(Route *route, const RouteLead *lead)
{
	int			low = 0;
	int			high = route->naccounts;

	while (lead->account_id && low < high)
	{
		int			middle = low + (high - low) / 2;

		if (route->accounts[middle].account_id == lead->account_id)
			return &route->accounts[middle];
		if (route->accounts[middle].account_id < lead->account_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* A lead of the account is in sales' hands now: the latest. */
static void
account_note(AccountOwners *account, const RouteLead *lead)
{
	if (account == NULL || lead->taker_id == 0)
		return;
	if (account->n == account->room)
	{
		account->room = Max(16, account->room * 2);
		account->leads = account->leads ? repalloc(account->leads, sizeof(int64) * account->room) :
			palloc_array(int64, account->room);
		account->owners = account->owners ? repalloc(account->owners, sizeof(int64) * account->room) :
			palloc_array(int64, account->room);
	}
	/* those that are of no other owner than the latest say nothing new */
	if (account->n > 0 && account->owners[0] == lead->taker_id)
	{
		account->leads[0] = lead->lead_id;
		return;
	}
	memmove(account->leads + 1, account->leads, sizeof(int64) * account->n);
	memmove(account->owners + 1, account->owners, sizeof(int64) * account->n);
	account->leads[0] = lead->lead_id;
	account->owners[0] = lead->taker_id;
	account->n++;
}

/* ---- everything before the rules ----------------------------------------- */

static bool
give_known(Route *route, RouteLead *lead, const Prior *prior)
{
	const AccountOwners *account;

	if (prior->kept && give_person(route, lead, &prior->excluded, "owner", prior->own))
		return true;
	account = account_of(route, lead);
	if (account == NULL)
		return false;
	if (give_person(route, lead, &prior->excluded, "account owner", account->owner_id))
		return true;
	for (int i = 0; i < account->n; i++)
	{
		if (account->leads[i] != lead->lead_id &&
			give_person(route, lead, &prior->excluded,
						psprintf("owner of lead %lld of the account", (long long) account->leads[i]),
						account->owners[i]))
		{
			lead->follows = account->leads[i];
			return true;
		}
	}
	return false;
}

/* ---- rules --------------------------------------------------------------- */

static void
read_documents(Route *route, const RouteLead *leads, int n)
{
	int64	   *ids = palloc_array(int64, n);
	int			count = 0;

	if (!route->config->conditional)
		return;
	for (int i = 0; i < n; i++)
	{
		if (leads[i].document == NULL)
			ids[count++] = leads[i].lead_id;
	}
	if (count == 0)
		return;
	route->documents = lead_documents_scored(ids, count, route->at, &route->ndocuments);
	/* some are asked before the move and some after it: where they stand is no question */
	for (int i = 0; i < route->ndocuments; i++)
	{
		Datum		document = JsonbPGetDatum(route->documents[i].document);

		document = DirectFunctionCall2(jsonb_delete, document, CStringGetTextDatum("stage"));
		document = DirectFunctionCall2(jsonb_delete, document, CStringGetTextDatum("stage_reason"));
		route->documents[i].document = DatumGetJsonbP(document);
	}
}

/* The first rule that holds, and, if it names somebody, is not in vain; NULL = there is none. */
static const RoutingRule *
find_rule(Route *route, const RouteLead *lead, const Prior *prior)
{
	const RoutingConfig *config = route->config;
	Jsonb	   *document = lead->document ? lead->document :
		lead_document_find(route->documents, route->ndocuments, lead->lead_id);

	for (int i = 0; i < config->nrules; i++)
	{
		const RoutingRule *rule = &config->rules[i];

		if (rule->condition && (document == NULL || !condition_holds(rule->condition, document)))
			continue;
		if (rule->assignee >= 0)
		{
			int			taker = taker_of(route, rule->assignee);

			if (config->people[rule->assignee].team != TEAM_SALES || taker < 0 ||
				ids_contain(&prior->excluded, config->people[rule->assignee].id) ||
				ids_contain(&prior->excluded, config->people[taker].id))
				continue;
		}
		return rule;
	}
	return NULL;
}

/* What happened, with the rule before it if a condition decided. */
static const char *
why_of(const RoutingRule *rule, const char *what)
{
	return rule && rule->condition ? psprintf("rule %s: %s", rule->name, what) : what;
}

/* ---- queues -------------------------------------------------------------- */

/* The members of a queue that take part, with what is due to each. */
static void
fill_members(Route *route, QueueRun *run)
{
	const RoutingQueue *queue = run->queue;
	int			s = 0;

	run->members = palloc0_array(RoutingMember, queue->nmembers + 1);
	run->takers = palloc_array(int, queue->nmembers + 1);
	for (int i = 0; i < queue->nmembers; i++)
	{
		RoutingMember *member = &run->members[i];
		int			taker = taker_of(route, queue->members[i]);

		member->member_id = route->config->people[queue->members[i]].id;
		member->weight = queue->weights[i];
		/* who was not among them starts even */
		while (s < run->state.n && run->state.members[s] < member->member_id)
			s++;
		if (s < run->state.n && run->state.members[s] == member->member_id)
			member->credit = run->state.credits[s];
		if (taker >= 0 && !routing_at_work(&route->config->people[taker], route->at))
			taker = -1;
		run->takers[i] = taker;
		member->paused = taker < 0;
	}
}

/* Who has as many leads as he may have takes no part any more. */
static bool
pause_full(Route *route, QueueRun *run)
{
	bool		changed = false;

	for (int i = 0; i < run->queue->nmembers; i++)
	{
		int			taker = run->takers[i];

		if (taker < 0)
			continue;
		run->members[i].load = Max(route->loads[taker], 0);
		if (!run->members[i].paused && route->config->people[taker].capacity >= 0 &&
			route->loads[taker] >= route->config->people[taker].capacity)
			run->members[i].paused = changed = true;
	}
	return changed;
}

/* Credits in the unit of those who are in play now; the state's if nobody is. */
static void
set_unit(QueueRun *run)
{
	int64		total = routing_total(run->members, run->queue->nmembers);

	if (total == 0)
		return;
	routing_rescale(run->members, run->queue->nmembers, run->state.total, total);
	run->state.total = total;
	routing_balance(run->members, run->queue->nmembers);
}

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* Leads in hand of all who might get some, counted under the locks. */
static void
count_loads(Route *route, const RouteLead *leads, int n, const int *persons, int count)
{
	const RoutingPerson *people = route->config->people;
	int64	   *ids = palloc_array(int64, count + 1);
	int64	   *loads = palloc_array(int64, count + 1);
	IdSet		limited = {0};

	for (int i = 0; i < count; i++)
	{
		ids[i] = people[persons[i]].id;
		if (people[persons[i]].capacity >= 0)
			ids_add(&limited, ids[i]);
	}
	if (!route->dry)
		members_hold(&limited);
	member_loads(ids, count, loads);
	for (int i = 0; i < count; i++)
		route->loads[persons[i]] = loads[i];
	/* a lead of this batch is nobody's until it is its turn */
	for (int i = 0; i < n; i++)
	{
		int			person = leads[i].counted && leads[i].owner_id ?
			routing_person(people, route->config->npeople, leads[i].owner_id) : -1;

		if (person >= 0 && route->loads[person] > 0)
			route->loads[person]--;
	}
}

/* Enters the queues that are wanted, in id order; false = what is configured has changed meanwhile. */
static bool
enter_queues(Route *route, const bool *wanted)
{
	const RoutingConfig *config = route->config;

	for (int q = 0; q < config->nqueues; q++)
	{
		QueueRun   *run = &route->runs[q];

		if (!wanted[q])
			continue;
		run->queue = &config->queues[q];
		if (route->dry)
			queue_look(run->queue->id, &run->state);
		else
			(void) queue_enter(run->queue->id, &run->state);
	}
	if (route->dry)
		return true;
	AcceptInvalidationMessages();
	return routing_config() == config;
}

/* Who takes part in the queues that were entered. */
static void
fill_queues(Route *route, const RouteLead *leads, int n, bool least_loaded)
{
	const RoutingConfig *config = route->config;
	int		   *persons;
	int			count = 0;
	int			kept = 0;
	int			room = 0;
	bool		limited = false;

	for (int q = 0; q < config->nqueues; q++)
	{
		if (route->runs[q].queue == NULL)
			continue;
		fill_members(route, &route->runs[q]);
		room += route->runs[q].queue->nmembers;
	}
	persons = palloc_array(int, room + 1);
	for (int q = 0; q < config->nqueues; q++)
	{
		const QueueRun *run = &route->runs[q];

		for (int i = 0; run->queue && i < run->queue->nmembers; i++)
		{
			if (run->takers[i] < 0)
				continue;
			persons[count++] = run->takers[i];
			limited |= config->people[run->takers[i]].capacity >= 0;
		}
	}
	if (limited || least_loaded)
	{
		qsort(persons, count, sizeof(int), compare_ints);
		for (int i = 0; i < count; i++)
		{
			if (kept == 0 || persons[i] != persons[kept - 1])
				persons[kept++] = persons[i];
		}
		count_loads(route, leads, n, persons, kept);
		route->counts = true;
	}
	for (int q = 0; q < config->nqueues; q++)
	{
		if (route->runs[q].queue == NULL)
			continue;
		if (route->counts)
			(void) pause_full(route, &route->runs[q]);
		set_unit(&route->runs[q]);
	}
}

static void
leave_queues(Route *route)
{
	for (int q = 0; q < route->config->nqueues; q++)
	{
		QueueRun   *run = &route->runs[q];

		if (run->queue == NULL || run->state.rel == NULL)
			continue;
		if (run->changed)
		{
			int			n = run->queue->nmembers;

			run->state.n = n;
			run->state.members = palloc_array(int64, n + 1);
			run->state.credits = palloc_array(int64, n + 1);
			for (int i = 0; i < n; i++)
			{
				run->state.members[i] = run->members[i].member_id;
				run->state.credits[i] = run->members[i].credit;
			}
		}
		queue_leave(&run->state, run->changed);
	}
}

/* Has the queue anybody whom the lead may go to, when they are there? */
static bool
has_candidate(const Route *route, const RoutingQueue *queue, const IdSet *excluded)
{
	for (int i = 0; i < queue->nmembers; i++)
	{
		const RoutingPerson *person = &route->config->people[queue->members[i]];

		if (person->active && person->capacity != 0 && !ids_contain(excluded, person->id))
			return true;
	}
	return false;
}

/* A turn of a queue; nobody available leaves the lead waiting in it. */
static void
give_turn(Route *route, RouteLead *lead, const IdSet *excluded, QueueRun *run, const RoutingRule *rule)
{
	const RoutingQueue *queue = run->queue;
	bool		least = rule && rule->strategy == ROUTE_LEAST_LOADED;
	int			member;

	lead->queue = queue->name;
	if (route->counts && pause_full(route, run))
		set_unit(run);
	for (int i = 0; i < queue->nmembers && (excluded->n > 0 || run->barred); i++)
		run->members[i].barred = run->takers[i] >= 0 &&
			ids_contain(excluded, route->config->people[run->takers[i]].id);
	run->barred = excluded->n > 0;
	member = least ? routing_pick_least(run->members, queue->nmembers) :
		routing_pick(run->members, queue->nmembers);
	if (member < 0)
	{
		lead->why = why_of(rule, "nobody available");
		lead->later = has_candidate(route, queue, excluded);
		return;
	}
	run->changed = true;
	give(route, lead, why_of(rule, least ? "least loaded" : "round robin"),
		 queue->members[member], run->takers[member]);
}

/* Strategy owner: the lead's or its account's, if a member of the queue; else it waits to be claimed. */
static void
give_owner(Route *route, RouteLead *lead, const Prior *prior, const RoutingQueue *queue, const RoutingRule *rule)
{
	const AccountOwners *account = account_of(route, lead);
	int64		owners[2] = {lead->owner_id, account ? account->owner_id : 0};

	lead->queue = queue->name;
	for (int o = 0; o < 2; o++)
	{
		for (int i = 0; i < queue->nmembers; i++)
		{
			const RoutingPerson *people = route->config->people;
			int			taker;

			if (people[queue->members[i]].id != owners[o] || ids_contain(&prior->excluded, owners[o]))
				continue;
			taker = taker_of(route, queue->members[i]);
			if (taker < 0 || ids_contain(&prior->excluded, people[taker].id))
				continue;
			give(route, lead, why_of(rule, o == 0 ? "owner" : "account owner"), queue->members[i], taker);
			return;
		}
	}
	lead->why = why_of(rule, "to be claimed");
}

static void
give_by_rule(Route *route, RouteLead *lead, const Prior *prior, const RoutingRule *rule)
{
	if (rule == NULL)
	{
		lead->why = "no queue";
		return;
	}
	lead->rule = rule->name;
	if (rule->assignee >= 0)
		give(route, lead, psprintf("rule %s", rule->name), rule->assignee, taker_of(route, rule->assignee));
	else if (rule->strategy == ROUTE_OWNER)
		give_owner(route, lead, prior, &route->config->queues[rule->queue], rule);
	else
		give_turn(route, lead, &prior->excluded, &route->runs[rule->queue], rule);
}

/* ---- all together -------------------------------------------------------- */

/* Which queues may be asked for; what is known without one is not. */
static bool *
find_rules(Route *route, RouteLead *leads, const Prior *priors, int n, const RoutingRule **rules,
		   bool *least_loaded)
{
	bool	   *wanted = palloc0_array(bool, route->config->nqueues + 1);

	*least_loaded = false;
	for (int i = 0; i < n; i++)
	{
		RouteLead	known = leads[i];

		CHECK_FOR_INTERRUPTS();
		rules[i] = NULL;
		if (give_known(route, &known, &priors[i]))
			continue;
		rules[i] = find_rule(route, &leads[i], &priors[i]);
		if (rules[i] && rules[i]->queue >= 0 && rules[i]->strategy != ROUTE_OWNER)
		{
			wanted[rules[i]->queue] = true;
			*least_loaded |= rules[i]->strategy == ROUTE_LEAST_LOADED;
		}
	}
	return wanted;
}

static void
route_all(RouteLead *leads, int n, TimestampTz at, bool dry)
{
	Prior	   *priors = palloc0_array(Prior, n);
	const RoutingRule **rules = palloc_array(const RoutingRule *, n);
	Route		route;
	bool		least_loaded;

	read_history(leads, priors, n);
	for (;;)
	{
		route_begin(&route, at, dry);
		read_accounts(&route, leads, n);
		read_documents(&route, leads, n);
		if (enter_queues(&route, find_rules(&route, leads, priors, n, rules, &least_loaded)))
			break;
		/* the queues stay locked */
		leave_queues(&route);
	}
	fill_queues(&route, leads, n, least_loaded);
	for (int i = 0; i < n; i++)
	{
		if (!give_known(&route, &leads[i], &priors[i]))
			give_by_rule(&route, &leads[i], &priors[i], rules[i]);
		account_note(account_of(&route, &leads[i]), &leads[i]);
	}
	leave_queues(&route);
}

void
route_hold(void)
{
	const RoutingConfig *config = routing_config();

	for (int q = 0; q < config->nqueues; q++)
		(void) row_lock_named("queue_state", config->queues[q].id, LockTupleNoKeyExclusive);
}

void
route_leads(RouteLead *leads, int n, TimestampTz at)
{
	route_all(leads, n, at, false);
}

void
route_preview(RouteLead *leads, int n, TimestampTz at)
{
	route_all(leads, n, at, true);
}

bool
route_queue(RouteLead *leads, int n, const char *queue, int64 barred, TimestampTz at)
{
	IdSet		excluded = {0};
	Route		route;

	ids_add(&excluded, barred);
	for (;;)
	{
		bool	   *wanted;
		int			q = 0;

		route_begin(&route, at, false);
		while (q < route.config->nqueues && strcmp(route.config->queues[q].name, queue) != 0)
			q++;
		if (q == route.config->nqueues)
			return false;
		wanted = palloc0_array(bool, route.config->nqueues + 1);
		wanted[q] = true;
		if (enter_queues(&route, wanted))
		{
			fill_queues(&route, leads, n, false);
			for (int i = 0; i < n; i++)
				give_turn(&route, &leads[i], &excluded, &route.runs[q], NULL);
			leave_queues(&route);
			return true;
		}
		leave_queues(&route);
	}
}

const char *
route_last_queue(void)
{
	const RoutingConfig *config = routing_config();

	for (int i = 0; i < config->nrules; i++)
	{
		if (config->rules[i].condition == NULL && config->rules[i].queue >= 0)
			return config->queues[config->rules[i].queue].name;
	}
	return NULL;
}

int64
route_queue_room(const char *queue, TimestampTz at)
{
	const RoutingConfig *config = routing_config();
	const RoutingQueue *found = NULL;
	Route		route;
	IdSet		takers = {0};
	int64	   *loads;
	int64		room = 0;

	for (int q = 0; q < config->nqueues; q++)
	{
		if (strcmp(config->queues[q].name, queue) == 0)
			found = &config->queues[q];
	}
	if (found == NULL)
		return 0;
	route_begin(&route, at, true);
	for (int i = 0; i < found->nmembers; i++)
	{
		int			taker = taker_of(&route, found->members[i]);

		if (taker < 0 || !routing_at_work(&config->people[taker], at))
			continue;
		if (config->people[taker].capacity < 0)
			return -1;
		ids_add(&takers, config->people[taker].id);
	}
	if (takers.n == 0)
		return 0;
	ids_sort(&takers);
	loads = palloc_array(int64, takers.n);
	member_loads(takers.ids, takers.n, loads);
	for (int i = 0; i < takers.n; i++)
	{
		const RoutingPerson *person = &config->people[routing_person(config->people, config->npeople, takers.ids[i])];

		room += Max(person->capacity - loads[i], 0);
	}
	return room;
}
