/*-------------------------------------------------------------------------
 * deal_stage.c
 *	  Where a lead's deals put it: the pure rules (row 1).
 *
 * What happened to a lead's deals is a series of events, in order of time;
 * of events at one instant the deal with the lower id comes first, and its
 * opening before its closing.
 *
 *	  opened	to opportunity, from wherever the lead stands
 *	  won		to won, from wherever it stands
 *	  lost		from opportunity, or from a stage of the site's beyond it, to
 *				lost, if no other deal is open by then
 *
 * A deal that is told of when it is closed already has two events, its opening
 * and its closing, so that the history shows the opportunity.  Not where the
 * lead stands already where the closing leads to: an imported lead that came
 * as "won" is not moved back and forth by its deals.  And what an imported deal
 * says moves nothing when another deal has something later to say (past); the lead
 * then goes where all of them, told in order, put it: deals may be loaded in any
 * order.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "deal_stage.h"

DealStatus
deal_status(const char *name)
{
	if (strcmp(name, "won") == 0)
		return DEAL_WON;
	if (strcmp(name, "lost") == 0)
		return DEAL_LOST;
	return DEAL_OPEN;
}

DealStage
deal_stage(const char *name)
{
	for (DealStage stage = DEAL_STAGE_OPPORTUNITY; stage <= DEAL_STAGE_LOST; stage++)
	{
		if (strcmp(name, deal_stage_name(stage)) == 0)
			return stage;
	}
	return DEAL_STAGE_OTHER;
}

const char *
deal_stage_name(DealStage stage)
{
	switch (stage)
	{
		case DEAL_STAGE_OPPORTUNITY:
			return "opportunity";
		case DEAL_STAGE_WON:
			return "won";
		case DEAL_STAGE_LOST:
			return "lost";
		default:
			elog(ERROR, "deals lead to no stage %d", (int) stage);
			return NULL;		/* keep compiler quiet */
	}
}

static DealStage
stage_of(DealStatus status)
{
	return status == DEAL_WON ? DEAL_STAGE_WON :
		status == DEAL_LOST ? DEAL_STAGE_LOST : DEAL_STAGE_OPPORTUNITY;
}

static int
compare_events(const void *a, const void *b)
{
	const DealEvent *x = a;
	const DealEvent *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->deal_id != y->deal_id)
		return x->deal_id < y->deal_id ? -1 : 1;
	return (x->what != DEAL_OPEN) - (y->what != DEAL_OPEN);
}

/*
 * The moves of a lead that stands in "stage" and has "open" deals before the
 * events; steps[] has room for n.  Sorts the events.
 */
int
deal_stage_steps(DealStage stage, int open, DealEvent *events, int n, DealStep *steps)
{
	int			nsteps = 0;

	qsort(events, n, sizeof(DealEvent), compare_events);
	for (int i = 0; i < n; i++)
	{
		DealStage	to = stage_of(events[i].what);

		open += events[i].open;
		if (events[i].past || stage == to)
			continue;
		if (to == DEAL_STAGE_OPPORTUNITY && events[i].outcome != DEAL_OPEN &&
			stage == stage_of(events[i].outcome))
			continue;
		if (to == DEAL_STAGE_LOST &&
			((stage != DEAL_STAGE_OPPORTUNITY && stage != DEAL_STAGE_BEYOND) || open > 0))
			continue;
		steps[nsteps].stage = stage = to;
		steps[nsteps].at = events[i].at;
		nsteps++;
	}
	return nsteps;
}
