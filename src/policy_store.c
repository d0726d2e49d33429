/*-------------------------------------------------------------------------
 * policy_store.c
 *	  Service levels as configured, compiled once a session and change.
 *
 * Limits: a calendar that isn't open for the target within 50 years can't be
 * counted in.  A policy that names one is refused.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "calendar_store.h"
#include "compat.h"
#include "config_cache.h"
#include "errors.h"
#include "guc.h"
#include "policy_store.h"
#include "spi.h"

/* By id, and by metric in the order in which they are asked. */
static void
load_policies(SlaConfig *config, MemoryContext context)
{
	static EngineStatement statement = {
		"SELECT id, metric, (extract(epoch FROM coalesce(target, within)) * 1000000)::bigint, warn_fraction, calendar_id,"
		" condition, coalesce(lower(valid), '-infinity'), coalesce(upper(valid), 'infinity'),"
		" lower_inc(valid), upper_inc(valid), target_count, rank() OVER (ORDER BY priority DESC, id) - 1"
		" FROM leadflow.sla_policies WHERE coalesce(target, within) IS NOT NULL ORDER BY id",
		0, {0}
	};
	int			n = (int) engine_query(&statement, NULL, NULL);
	SlaPolicy **asked;

	MemoryContextSwitchTo(context);
	config->policies = palloc0_array(SlaPolicy, n + 1);
	asked = palloc0_array(SlaPolicy *, n + 1);
	for (int r = 0; r < n; r++)
	{
		SlaPolicy  *policy = &config->policies[config->npolicies];
		int			metric = clock_metric(spi_text(r, 2));
		Datum		value;
		bool		isnull;

		if (metric < 0)
			continue;
		config->npolicies++;
		config->nof[metric]++;
		asked[spi_int64(r, 12)] = policy;
		policy->id = spi_int64(r, 1);
		policy->metric = metric;
		policy->target = spi_int64(r, 3);
		value = spi_value(r, 4, &isnull);
		policy->warn_after = isnull ? -1 :
			(int64) rint((double) policy->target * DatumGetFloat8(value));
		policy->calendar_id = spi_int64(r, 5);
		value = spi_value(r, 6, &isnull);
		if (!isnull)
		{
			policy->condition = condition_make(value);
			config->conditional[metric] = true;
		}
		policy->from = spi_time(r, 7);
		policy->until = spi_time(r, 8);
		policy->from_inclusive = spi_bool(r, 9);
		policy->until_inclusive = spi_bool(r, 10);
		value = spi_value(r, 11, &isnull);
		policy->target_count = isnull ? 0 : DatumGetInt32(value);
	}
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		config->of[m] = palloc_array(const SlaPolicy *, config->nof[m] + 1);
		config->nof[m] = 0;
	}
	for (int i = 0; i < n; i++)
	{
		if (asked[i])
			config->of[asked[i]->metric][config->nof[asked[i]->metric]++] = asked[i];
	}
}

/* Members whose calendar exists: team_members is not the place to trust an id from. */
static void
load_members(SlaConfig *config, MemoryContext context)
{
	static EngineStatement statement = {
		"SELECT m.id, c.id FROM leadflow.team_members m"
		" JOIN leadflow.calendars c ON c.id = m.calendar_id ORDER BY m.id",
		0, {0}
	};
	uint64		n = engine_query(&statement, NULL, NULL);

	MemoryContextSwitchTo(context);
	config->members = palloc(sizeof(MemberCalendar) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
	{
		config->members[r].member_id = spi_int64(r, 1);
		config->members[r].calendar_id = spi_int64(r, 2);
	}
	config->nmembers = (int) n;
}

/* SPI leaves its own context behind, hence the switching back. */
static void *
load_config(void)
{
	MemoryContext context = CurrentMemoryContext;
	SlaConfig  *config = palloc0(sizeof(SlaConfig));

	load_policies(config, context);
	if (config->npolicies > 0)
		load_members(config, context);
	return config;
}

const SlaConfig *
policy_config(void)
{
	static const char *const tables[] = {"sla_policies", "calendars", "team_members", NULL};
	static ConfigPart part = {
		.name = "leadflow service levels",
		.tables = tables,
		.load = load_config
	};

	return config_get(&part);
}

static bool
policy_is_valid(const SlaPolicy *policy, TimestampTz at)
{
	return (at > policy->from || (at == policy->from && policy->from_inclusive)) &&
		(at < policy->until || (at == policy->until && policy->until_inclusive));
}

/* The member's calendar, 0 = none */
int64
policy_member_calendar(const SlaConfig *config, int64 member_id)
{
	int			lo = 0;
	int			hi = config->nmembers;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (config->members[mid].member_id < member_id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < config->nmembers && config->members[lo].member_id == member_id ?
		config->members[lo].calendar_id : 0;
}

const SlaPolicy *
policy_find(const SlaConfig *config, int64 id)
{
	int			lo = 0;
	int			hi = config->npolicies;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (config->policies[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < config->npolicies && config->policies[lo].id == id ? &config->policies[lo] : NULL;
}

const SlaPolicy *
policy_choose(const SlaConfig *config, ClockMetric metric, TimestampTz at, Jsonb *document)
{
	for (int i = 0; i < config->nof[metric]; i++)
	{
		const SlaPolicy *policy = config->of[metric][i];

		if (policy_is_valid(policy, at) &&
			(policy->condition == NULL ||
			 (document && condition_holds(policy->condition, document))))
			return policy;
	}
	return NULL;
}

bool
policy_in_force(const SlaConfig *config, ClockMetric metric, TimestampTz at)
{
	for (int i = 0; i < config->nof[metric]; i++)
	{
		if (policy_is_valid(config->of[metric][i], at))
			return true;
	}
	return false;
}

void
policy_check_target(const char *name, const Interval *target, const char *column, int64 calendar_id)
{
	const Calendar *calendar;
	int64		usecs;

	if (target->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a service level must have a fixed length", column),
				 errdetail("Service level \"%s\": %s is %s; months and years have none.", name, column,
						   DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(target)))),
				 errhint("Use days (of 24 hours), hours and minutes."),
				 err_column("sla_policies", column)));
	if (calendar_id == 0)
		return;

	usecs = target->day * USECS_PER_DAY + target->time;
	calendar = calendar_get(calendar_id);
	if (!clock_can_count(calendar, clock_now(), usecs))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 calendar->never ?
				 errmsg("calendar \"%s\" is never open", calendar->name) :
				 errmsg("calendar \"%s\" is not open for that long within 50 years", calendar->name),
				 errdetail("Service level \"%s\" was to count in it.", name),
				 errhint("Give it hours in leadflow.calendar_hours."),
				 err_column("sla_policies", "calendar_id")));
}
