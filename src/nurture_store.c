/*-------------------------------------------------------------------------
 * nurture_store.c
 *	  Nurture programs, and who is in which.
 *
 * Owns the statements on nurture_programs and nurture_enrolments.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "compat.h"
#include "config_cache.h"
#include "nurture_store.h"
#include "spi.h"
#include "stage_store.h"

static void *
config_load(void)
{
	static EngineStatement programs = {
		"SELECT id, condition FROM leadflow.nurture_programs WHERE active ORDER BY position, id"
	};
	MemoryContext context = CurrentMemoryContext;
	NurtureConfig *config = palloc0(sizeof(NurtureConfig));

	config->nprograms = (int) engine_query(&programs, NULL, NULL);
	MemoryContextSwitchTo(context);
	config->programs = palloc0_array(NurtureProgram, config->nprograms + 1);
	for (int i = 0; i < config->nprograms; i++)
	{
		bool		isnull;
		Datum		condition = spi_value(i, 2, &isnull);

		config->programs[i].id = spi_int64(i, 1);
		if (isnull)
			continue;
		config->programs[i].condition = condition_make(condition);
		config->conditional = true;
	}
	return config;
}

const NurtureConfig *
nurture_config(void)
{
	static const char *const tables[] = {"nurture_programs", NULL};
	static ConfigPart part = {
		.name = "leadflow nurture programs",
		.tables = tables,
		.load = config_load
	};

	return config_get(&part);
}

void
nurture_enrol(int64 program_id, const int64 *leads, int n)
{
	/* a day that is given lies after today, and so does one that the program gives */
	static EngineStatement enrol = {
		"INSERT INTO leadflow.nurture_enrolments (lead_id, program_id, enrolled_at, reason, revisit_on)"
		" SELECT l.id, p.id, h.entered_at, h.reason, coalesce(l.revisit_on, greatest("
		"   ((h.entered_at + p.revisit_after) AT TIME ZONE s.time_zone)::date,"
		"   CASE WHEN p.revisit_after IS NOT NULL THEN (h.entered_at AT TIME ZONE s.time_zone)::date + 1 END))"
		" FROM leadflow.leads l"
		" CROSS JOIN LATERAL (SELECT h.* FROM leadflow.stage_history h WHERE h.lead_id = l.id AND h.merged_from IS NULL"
		"  ORDER BY h.entered_at DESC, h.id DESC LIMIT 1) h"
		" CROSS JOIN leadflow.settings s CROSS JOIN leadflow.nurture_programs p"
		" WHERE l.id = ANY ($1) AND p.id = $2 ORDER BY l.id"
		" ON CONFLICT (lead_id) WHERE left_at IS NULL DO NOTHING",
		2, {INT8ARRAYOID, INT8OID}
	};
	EngineContext engine;
	Datum		values[2];

	values[0] = int8_array(leads, n);
	values[1] = Int64GetDatum(program_id);
	engine_enter(&engine);
	engine_plan_by_index();
	(void) engine_execute(&enrol, values, NULL);
	engine_leave(&engine);
	stage_write_revisits(leads, n);
}

void
nurture_leave(const int64 *leads, int n)
{
	static EngineStatement leave = {
		"UPDATE leadflow.nurture_enrolments e SET left_at = h.entered_at, left_for = h.to_stage"
		" FROM leadflow.stage_history h WHERE e.lead_id = ANY ($1) AND e.left_at IS NULL"
		" AND h.lead_id = e.lead_id AND h.merged_from IS NULL AND h.from_stage = 'nurture'"
		" AND NOT EXISTS (SELECT FROM leadflow.stage_history n WHERE n.lead_id = h.lead_id AND n.merged_from IS NULL"
		"  AND n.from_stage = 'nurture' AND (n.entered_at, n.id) > (h.entered_at, h.id))",
		1, {INT8ARRAYOID}
	};
	EngineContext engine;
	Datum		value = int8_array(leads, n);

	engine_enter(&engine);
	engine_plan_by_index();
	(void) engine_execute(&leave, &value, NULL);
	engine_leave(&engine);
}
