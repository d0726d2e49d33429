/*-------------------------------------------------------------------------
 * deal_stage.h
 *	  Where a lead's deals put it: the pure rules (row 1).
 *-------------------------------------------------------------------------
 */
#ifndef LEADFLOW_DEAL_STAGE_H
#define LEADFLOW_DEAL_STAGE_H

#include "postgres.h"
#include "datatype/timestamp.h"

typedef enum DealStatus
{
	DEAL_OPEN,
	DEAL_WON,
	DEAL_LOST
} DealStatus;

/* Stages that deals drive; any other is DEAL_STAGE_OTHER, or, where a site works its opportunities on, _BEYOND. */
typedef enum DealStage
{
	DEAL_STAGE_OTHER,
	DEAL_STAGE_BEYOND,			/* category sales, after opportunity */
	DEAL_STAGE_OPPORTUNITY,
	DEAL_STAGE_WON,
	DEAL_STAGE_LOST
} DealStage;

/* Something that happened to a deal: it was opened, won or lost. */
typedef struct DealEvent
{
	int64		deal_id;
	DealStatus	what;			/* what it became */
	DealStatus	outcome;		/* what it is in the end */
	TimestampTz at;
	int			open;			/* what it adds to the number of open deals: 1, 0, -1 */
	bool		past;			/* other deals say something later: it moves nothing */
} DealEvent;

typedef struct DealStep
{
	DealStage	stage;
	TimestampTz at;
} DealStep;

extern DealStatus deal_status(const char *name);
extern DealStage deal_stage(const char *name);
extern const char *deal_stage_name(DealStage stage);
extern int	deal_stage_steps(DealStage stage, int open, DealEvent *events, int n,
							 DealStep *steps);

#endif							/* LEADFLOW_DEAL_STAGE_H */
