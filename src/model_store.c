/*-------------------------------------------------------------------------
 * model_store.c
 *	  Scoring models compiled from their tables, and the campaigns and members
 *	  that activities refer to.
 *
 * The active model and the references are parts of the configuration cache.
 * References are kept whole: a site has thousands of campaigns and members,
 * not millions, and an insert must not pay a look-up for each row.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "config_cache.h"
#include "model_store.h"
#include "spi.h"

typedef struct Campaign
{
	int64		id;				/* hash key */
	char	   *code;
} Campaign;

typedef struct References
{
	HTAB	   *campaigns;
	HTAB	   *members;
} References;

static uint64 generations = 0;

/* An exact length (1 day = 24 h; months are refused where it is written); NULL is 0. */
static int64
interval_microseconds(Datum value, bool isnull)
{
	Interval   *interval;

	if (isnull)
		return 0;
	interval = DatumGetIntervalP(value);
	return interval->time + interval->day * USECS_PER_DAY;
}

static char
grade_letter(uint64 row, int column)
{
	char	   *grade = spi_text(row, column);

	return grade ? grade[0] : 0;
}

static double
spi_double(uint64 row, int column)
{
	bool		isnull;
	Datum		value = spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetFloat8(value);
}

/* NULL for NULL */
static text *
spi_copy_text(uint64 row, int column)
{
	char	   *string = spi_text(row, column);

	return string ? cstring_to_text(string) : NULL;
}

static Condition *
spi_condition(uint64 row, int column)
{
	bool		isnull;
	Datum		value = spi_value(row, column, &isnull);

	return isnull ? NULL : condition_make(value);
}

static void
load_header(Model *model)
{
	static EngineStatement statement = {
		"SELECT mql_threshold, handoff_threshold, min_fit_grade, hand_raise_min_grade, required_fields,"
		" max_score, hot_from, warm_from, grade_cutoffs, cool_down, requalify_points, s.time_zone"
		" FROM leadflow.scoring_models m CROSS JOIN leadflow.settings s WHERE m.id = $1",
		1, {INT8OID}
	};
	Datum		id = Int64GetDatum(model->id);
	bool		isnull;
	Datum		value;
	Datum	   *elements;
	int			n;

	if (engine_query(&statement, &id, NULL) == 0)
	{
		model->id = 0;
		return;
	}
	model->mql_threshold = spi_double(0, 1);
	value = spi_value(0, 2, &isnull);
	model->hands_off = !isnull;
	model->handoff_threshold = isnull ? 0 : DatumGetFloat8(value);
	model->min_fit_grade = grade_letter(0, 3);
	model->hand_raise_min_grade = grade_letter(0, 4);
	deconstruct_array(DatumGetArrayTypeP(spi_value(0, 5, &isnull)),
					  TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
		model->required_fields = lappend(model->required_fields, TextDatumGetCString(elements[i]));
	model->max_score = spi_double(0, 6);
	model->hot_from = spi_double(0, 7);
	model->warm_from = spi_double(0, 8);
	deconstruct_array(DatumGetArrayTypeP(spi_value(0, 9, &isnull)),
					  FLOAT8OID, sizeof(double), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, NULL, &n);
	for (int i = 0; i < 3; i++)
		model->cutoffs[i] = DatumGetFloat8(elements[i]);
	value = spi_value(0, 10, &isnull);
	model->cool_down = interval_microseconds(value, isnull);
	model->requalify_points = spi_double(0, 11);
	model->time_zone = spi_copy_text(0, 12);
}

static void
load_groups(Model *model)
{
	static EngineStatement statement = {
		"SELECT id, name, axis, min_points, max_points, half_life"
		" FROM leadflow.scoring_groups WHERE model_id = $1 ORDER BY id",
		1, {INT8OID}
	};
	Datum		id = Int64GetDatum(model->id);
	uint64		n = engine_query(&statement, &id, NULL);

	model->groups = palloc0(sizeof(PointGroup) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
	{
		PointGroup *group;
		bool		isnull;
		Datum		half_life = spi_value(r, 6, &isnull);

		if (strcmp(spi_text(r, 3), "fit") == 0)
			group = model->fit = palloc0(sizeof(PointGroup));
		else
			group = &model->groups[model->ngroups++];
		group->id = spi_int64(r, 1);
		group->name = spi_text(r, 2);
		group->min = spi_double(r, 4);
		group->max = spi_double(r, 5);
		group->half_life = interval_microseconds(half_life, isnull);
	}
}

static void
load_kinds(Model *model)
{
	static EngineStatement statement = {
		"SELECT kind, role, channel IS NOT NULL, withdraws_permission, two_way, expects_reply"
		" FROM leadflow.activity_kinds", 0, {0}
	};
	HASHCTL		control = {.keysize = 64, .entrysize = sizeof(ActivityKind), .hcxt = CurrentMemoryContext};
	uint64		n = engine_query(&statement, NULL, NULL);

	model->kinds = hash_create("leadflow activity kinds", 64, &control,
							   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (uint64 r = 0; r < n; r++)
	{
		ActivityKind *kind = hash_search(model->kinds, spi_text(r, 1), HASH_ENTER, NULL);
		char	   *role = spi_text(r, 2);
		bool		isnull;

		kind->role = strcmp(role, "engagement") == 0 ? ROLE_ENGAGEMENT :
			strcmp(role, "sales_touch") == 0 ? ROLE_SALES_TOUCH :
			strcmp(role, "marketing_message") == 0 ? ROLE_MARKETING_MESSAGE : ROLE_OTHER;
		kind->message = DatumGetBool(spi_value(r, 3, &isnull)) &&
			(kind->role == ROLE_SALES_TOUCH || kind->role == ROLE_MARKETING_MESSAGE);
		kind->withdraws = DatumGetBool(spi_value(r, 4, &isnull));
		kind->two_way = spi_bool(r, 5);
		kind->expects_reply = spi_bool(r, 6);
		kind->nrules = 0;
		kind->rules = NULL;
	}
}

/* Rules on kinds that are registered as engagement; others earn nothing. */
static void
load_rules(Model *model)
{
	static EngineStatement statement = {
		"SELECT r.id, r.group_id, r.name, r.activity_kind, r.condition, r.points, r.max_count, r.per,"
		" r.once_per, r.hand_raise"
		" FROM leadflow.scoring_rules r JOIN leadflow.activity_kinds k ON k.kind = r.activity_kind"
		" WHERE r.model_id = $1 AND r.active AND k.role = 'engagement' ORDER BY r.id",
		1, {INT8OID}
	};
	Datum		id = Int64GetDatum(model->id);
	uint64		n = engine_query(&statement, &id, NULL);

	model->rules = palloc0(sizeof(PointRule) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
	{
		PointRule  *rule = &model->rules[model->nrules];
		char	   *name = spi_text(r, 4);
		ActivityKind *kind = (ActivityKind *) model_kind(model, name, strlen(name));
		int64		group_id = spi_int64(r, 2);
		bool		isnull;
		Datum		max_count = spi_value(r, 7, &isnull);

		rule->group = -1;
		for (int g = 0; g < model->ngroups; g++)
		{
			if (model->groups[g].id == group_id)
				rule->group = g;
		}
		if (rule->group < 0 || kind == NULL)
			continue;
		rule->id = spi_int64(r, 1);
		rule->name = spi_text(r, 3);
		rule->condition = spi_condition(r, 5);
		rule->points = spi_double(r, 6);
		rule->max_count = isnull ? 0 : DatumGetInt32(max_count);
		rule->per = spi_copy_text(r, 8);
		rule->once_per = spi_condition(r, 9);
		rule->hand_raise = DatumGetBool(spi_value(r, 10, &isnull));
		model->limited |= rule->max_count > 0;
		model->nrules++;

		if (kind->rules == NULL)
			kind->rules = palloc(sizeof(PointRule *) * n);
		kind->rules[kind->nrules++] = rule;
	}

	/* what limits keep names rules by 16 bits; without it they are computed each time */
	model->limited = model->limited && model->nrules <= PG_UINT16_MAX;
}

static void
load_personas(Model *model)
{
	static EngineStatement statement = {
		"SELECT p.id, p.name, c.name, c.condition, c.points"
		" FROM leadflow.personas p LEFT JOIN leadflow.persona_criteria c ON c.persona_id = p.id"
		" WHERE p.model_id = $1 ORDER BY p.id, c.id",
		1, {INT8OID}
	};
	Datum		id = Int64GetDatum(model->id);
	uint64		n = engine_query(&statement, &id, NULL);
	Persona    *persona = NULL;

	model->personas = palloc0(sizeof(Persona) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
	{
		Criterion  *criterion;

		if (persona == NULL || persona->id != spi_int64(r, 1))
		{
			persona = &model->personas[model->npersonas++];
			persona->id = spi_int64(r, 1);
			persona->name = spi_text(r, 2);
			persona->criteria = palloc0(sizeof(Criterion) * n);
		}
		if (spi_text(r, 3) == NULL)
			continue;			/* a persona without criteria */
		criterion = &persona->criteria[persona->ncriteria++];
		criterion->name = spi_text(r, 3);
		criterion->condition = spi_condition(r, 4);
		criterion->fields = condition_fields(criterion->condition);
		criterion->points = spi_double(r, 5);
	}
}

static void
load_disqualifiers(Model *model)
{
	static EngineStatement statement = {
		"SELECT id, on_entity, condition, reason FROM leadflow.disqualifiers"
		" WHERE model_id = $1 ORDER BY id",
		1, {INT8OID}
	};
	Datum		id = Int64GetDatum(model->id);
	uint64		n = engine_query(&statement, &id, NULL);

	model->lead_disqualifiers = palloc0(sizeof(Disqualifier) * Max(n, 1));
	model->activity_disqualifiers = palloc0(sizeof(Disqualifier) * Max(n, 1));
	for (uint64 r = 0; r < n; r++)
	{
		Disqualifier *disqualifier;

		if (strcmp(spi_text(r, 2), "lead") == 0)
			disqualifier = &model->lead_disqualifiers[model->nlead_disqualifiers++];
		else
			disqualifier = &model->activity_disqualifiers[model->nactivity_disqualifiers++];
		disqualifier->id = spi_int64(r, 1);
		disqualifier->condition = spi_condition(r, 3);
		disqualifier->reason = spi_text(r, 4);
	}
}

/* A digest of all that the model says; not of how far its life has come. */
static EngineStatement signature_statement = {
	"SELECT md5(concat_ws(E'\\n',"
	" (SELECT (to_jsonb(t) - '{status,activated_at,retired_at}'::text[])::text FROM leadflow.scoring_models t WHERE id = $1),"
	" (SELECT string_agg(t::text, E'\\n' ORDER BY id) FROM leadflow.scoring_groups t WHERE model_id = $1),"
	" (SELECT string_agg(t::text, E'\\n' ORDER BY id) FROM leadflow.scoring_rules t WHERE model_id = $1),"
	" (SELECT string_agg(t::text, E'\\n' ORDER BY id) FROM leadflow.personas t WHERE model_id = $1),"
	" (SELECT string_agg(c::text, E'\\n' ORDER BY c.id) FROM leadflow.persona_criteria c"
	"  JOIN leadflow.personas p ON p.id = c.persona_id WHERE p.model_id = $1),"
	" (SELECT string_agg(t::text, E'\\n' ORDER BY id) FROM leadflow.disqualifiers t WHERE model_id = $1),"
	" (SELECT string_agg(t::text, E'\\n' ORDER BY kind) FROM leadflow.activity_kinds t),"
	" (SELECT time_zone FROM leadflow.settings)))",
	1, {INT8OID}
};

static void
load_signature(Model *model)
{
	Datum		id = Int64GetDatum(model->id);

	engine_pin_texts();
	engine_query(&signature_statement, &id, NULL);
	strlcpy(model->signature, spi_text(0, 1), sizeof(model->signature));
	model->fingerprint = hash_bytes((unsigned char *) model->signature, strlen(model->signature));
}

static Model *
load_model(int64 id)
{
	Model	   *model = palloc0(sizeof(Model));

	model->id = id;
	model->generation = ++generations;
	load_header(model);
	load_kinds(model);
	load_groups(model);
	load_rules(model);
	load_personas(model);
	load_disqualifiers(model);
	load_signature(model);
	return model;
}

static EngineStatement active_statement = {
	"SELECT id FROM leadflow.scoring_models WHERE status = 'active'", 0, {0}
};

static void *
load_active(void)
{
	return load_model(engine_query(&active_statement, NULL, NULL) > 0 ? spi_int64(0, 1) : 0);
}

static const char *const model_tables[] = {
	"scoring_models", "scoring_groups", "scoring_rules", "personas", "persona_criteria",
	"disqualifiers", "activity_kinds", "settings", NULL
};

const Model *
model_active(void)
{
	static ConfigPart part = {"leadflow model", model_tables, load_active};

	return config_get(&part);
}

/* Not from the cache: an edit that leaves the active model as it is costs no compilation. */
bool
model_active_is(const char *signature)
{
	EngineContext engine;
	Snapshot	snapshot;
	Datum		id;
	bool		same;

	CommandCounterIncrement();
	snapshot = GetLatestSnapshot();
	engine_enter(&engine);
	id = Int64GetDatum(engine_query_at(&active_statement, NULL, NULL, snapshot) > 0 ? spi_int64(0, 1) : 0);
	engine_pin_texts();
	engine_query_at(&signature_statement, &id, NULL, snapshot);
	same = strcmp(spi_text(0, 1), signature) == 0;
	engine_leave(&engine);
	return same;
}

const Model *
model_compile(int64 model_id)
{
	EngineContext engine;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext inside;
	const Model *model;

	engine_enter(&engine);
	inside = MemoryContextSwitchTo(caller);
	model = load_model(model_id);
	MemoryContextSwitchTo(inside);
	engine_leave(&engine);
	MemoryContextSwitchTo(caller);
	return model->id == 0 ? NULL : model;
}

const Model *
model_required(int64 model_id)
{
	const Model *model = model_compile(model_id);

	if (model == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown scoring model %lld", (long long) model_id),
				 errhint("leadflow.scoring_models lists them.")));
	return model;
}

static void *
load_references(void)
{
	static EngineStatement campaigns = {"SELECT id, code FROM leadflow.campaigns", 0, {0}};
	static EngineStatement members = {"SELECT id FROM leadflow.team_members", 0, {0}};
	HASHCTL		control = {.keysize = sizeof(int64), .entrysize = sizeof(Campaign), .hcxt = CurrentMemoryContext};
	References *references = palloc(sizeof(References));
	uint64		n;

	references->campaigns = hash_create("leadflow campaigns", 256, &control,
										HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	n = engine_query(&campaigns, NULL, NULL);
	for (uint64 r = 0; r < n; r++)
	{
		int64		id = spi_int64(r, 1);
		Campaign   *campaign = hash_search(references->campaigns, &id, HASH_ENTER, NULL);

		campaign->code = spi_text(r, 2);
	}

	control.entrysize = sizeof(int64);
	references->members = hash_create("leadflow members", 256, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	n = engine_query(&members, NULL, NULL);
	for (uint64 r = 0; r < n; r++)
	{
		int64		id = spi_int64(r, 1);

		hash_search(references->members, &id, HASH_ENTER, NULL);
	}
	return references;
}

static const char *const reference_tables[] = {"campaigns", "team_members", NULL};

static ConfigPart references_part = {"leadflow references", reference_tables, load_references};

/* Looks once more in the tables before it says that there is none: it may be of this very statement. */
static void *
reference_find(bool campaign, int64 id)
{
	for (bool again = false;; again = true)
	{
		References *references = config_get(&references_part);
		void	   *found = hash_search(campaign ? references->campaigns : references->members,
										&id, HASH_FIND, NULL);

		if (found || again)
			return found;
		references_part.stale = true;
	}
}

const char *
campaign_code(int64 campaign_id)
{
	Campaign   *campaign = reference_find(true, campaign_id);

	return campaign ? campaign->code : NULL;
}

bool
member_exists(int64 member_id)
{
	return reference_find(false, member_id) != NULL;
}
