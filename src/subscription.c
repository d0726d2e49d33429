/*-------------------------------------------------------------------------
 * subscription.c
 *	  Who wants to hear of what, and who there is to be told.
 *
 * Compiled as every part of the configuration.  Whoever has left the company
 * (a member that is not active) hears of nothing any more.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"

#include "compat.h"
#include "config_cache.h"
#include "spi.h"
#include "subscription.h"

static const char *const config_tables[] = {"subscriptions", "team_members", "settings", NULL};

static void
load_subscriptions(SubscriptionConfig *config)
{
	static EngineStatement statement = {
		"SELECT s.id, s.event, s.condition, s.recipient_id, s.team, s.channel,"
		" (extract(epoch FROM s.at_most_every) * 1000000)::bigint"
		" FROM leadflow.subscriptions s LEFT JOIN leadflow.team_members m ON m.id = s.recipient_id"
		" WHERE s.active AND (s.recipient_id IS NULL OR m.active)"
		" ORDER BY s.event COLLATE \"C\", s.id"
	};

	config->n = (int) engine_query(&statement, NULL, NULL);
	config->all = palloc0_array(Subscription, config->n + 1);
	for (int i = 0; i < config->n; i++)
	{
		Subscription *subscription = &config->all[i];
		bool		isnull;
		Datum		condition = spi_value(i, 3, &isnull);

		subscription->id = spi_int64(i, 1);
		subscription->event = spi_text(i, 2);
		subscription->condition = isnull ? NULL : condition_make(condition);
		subscription->recipient_id = spi_int64(i, 4);
		subscription->team = spi_text(i, 5);
		subscription->channel = spi_text(i, 6);
		subscription->every = spi_int64(i, 7);
	}
}

static void
load_members(SubscriptionConfig *config)
{
	static EngineStatement statement = {
		"SELECT id, full_name, booking_url, active FROM leadflow.team_members ORDER BY id"
	};

	config->nmembers = (int) engine_query(&statement, NULL, NULL);
	config->members = palloc0_array(Reachable, config->nmembers + 1);
	for (int i = 0; i < config->nmembers; i++)
	{
		bool		isnull;

		config->members[i].id = spi_int64(i, 1);
		config->members[i].full_name = spi_text(i, 2);
		config->members[i].booking_url = spi_text(i, 3);
		config->members[i].active = DatumGetBool(spi_value(i, 4, &isnull));
	}
}

static void *
config_load(void)
{
	static EngineStatement settings = {
		"SELECT notification_attempts::bigint, (extract(epoch FROM notification_retention) * 1000000)::bigint"
		" FROM leadflow.settings"
	};
	SubscriptionConfig *config = palloc0(sizeof(SubscriptionConfig));

	config->max_attempts = 10;
	config->retention = INT64CONST(30) * USECS_PER_DAY;
	if (engine_query(&settings, NULL, NULL) > 0)
	{
		config->max_attempts = (int) spi_int64(0, 1);
		config->retention = spi_int64(0, 2);
	}
	load_subscriptions(config);
	load_members(config);
	config->matching = subscriptions_of(config, "activity.matched", &config->nmatching);
	(void) subscriptions_of(config, "score.reached", &config->nreached);
	return config;
}

static ConfigPart config_part = {"leadflow subscriptions", config_tables, config_load};

const SubscriptionConfig *
subscription_config(void)
{
	return config_get(&config_part);
}

const Subscription *
subscriptions_of(const SubscriptionConfig *config, const char *event, int *n)
{
	int			first = 0;

	while (first < config->n && strcmp(config->all[first].event, event) != 0)
		first++;
	for (*n = 0; first + *n < config->n; (*n)++)
	{
		if (strcmp(config->all[first + *n].event, event) != 0)
			break;
	}
	return &config->all[first];
}

const Subscription *
subscription_by_id(const SubscriptionConfig *config, int64 id)
{
	for (int i = 0; i < config->n; i++)
	{
		if (config->all[i].id == id)
			return &config->all[i];
	}
	return NULL;
}

const Reachable *
reachable_member(const SubscriptionConfig *config, int64 id)
{
	int			low = 0;
	int			high = config->nmembers;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (config->members[middle].id == id)
			return &config->members[middle];
		if (config->members[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
