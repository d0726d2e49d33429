/*-------------------------------------------------------------------------
 * guc.c
 *	  Settings of a session, and the clock that everything goes by.
 *
 * leadflow.clock is for tests and simulations: superusers only, unless
 * GRANT SET ON PARAMETER says otherwise.  It is stored in canonical form (UTC),
 * so that its meaning does not change with the session's TimeZone.
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"

char	   *leadflow_actor = NULL;
int			leadflow_max_clock_skew = 300;
bool		leadflow_quiet = false;
bool		leadflow_notify = false;
int			leadflow_contact_limits = CONTACT_STORE;

static const struct config_enum_entry contact_limits_options[] = {
	{"store", CONTACT_STORE, false},
	{"refuse", CONTACT_REFUSE, false},
	{NULL, 0, false}
};

static char *clock_setting = NULL;
static bool clock_is_set = false;
static TimestampTz clock_value = 0;

/*
 * Takes what timestamptz input takes, but for special words (now, infinity …),
 * and must not throw: a check hook also runs in the postmaster and while the
 * library is loaded.  The value goes to the assign hook as "extra".
 */
static bool
check_clock(char **newval, void **extra, GucSource source)
{
	char		workbuf[MAXDATELEN + MAXDATEFIELDS];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nfields;
	int			dtype;
	int			zone;
	struct pg_tm tm;
	fsec_t		fsec;
	TimestampTz at;
	TimestampTz *copy;
	char		buf[MAXDATELEN + 1];
	char	   *canonical;

	if (*newval == NULL || **newval == '\0')
		return true;

	if (ParseDateTime(*newval, workbuf, sizeof(workbuf), field, ftype, MAXDATEFIELDS, &nfields) != 0 ||
		DecodeDateTime_compat(field, ftype, nfields, &dtype, &tm, &fsec, &zone) != 0 ||
		dtype != DTK_DATE ||
		tm2timestamp(&tm, fsec, &zone, &at) != 0)
	{
		GUC_check_errdetail("The clock must be a finite instant, for instance 2026-03-02 09:00+00.");
		return false;
	}
	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	tm.tm_isdst = 0;			/* else the zone is left out */
	EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, buf);
	canonical = guc_copy(buf);
	copy = guc_alloc(sizeof(TimestampTz));
	if (canonical == NULL || copy == NULL)
		return false;
	*copy = at;
	*extra = copy;
	guc_release(*newval);
	*newval = canonical;
	return true;
}

static void
assign_clock(const char *newval, void *extra)
{
	clock_is_set = (extra != NULL);
	clock_value = clock_is_set ? *(TimestampTz *) extra : 0;
}

TimestampTz
clock_now(void)
{
	return clock_is_set ? clock_value : GetCurrentTransactionStartTimestamp();
}

TimestampTz
clock_wall(void)
{
	return clock_is_set ? clock_value : GetCurrentTimestamp();
}

/* An error needs no clean-up: aborting restores the settings. */
int
quiet_suspend(void)
{
	int			level = 0;

	if (leadflow_quiet)
	{
		level = NewGUCNestLevel();
		(void) set_config_option("leadflow.quiet", "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	return level;
}

int
quiet_impose(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("leadflow.quiet", "on", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

void
quiet_resume(int level)
{
	if (level > 0)
		AtEOXact_GUC(false, level);
}

/* leadflow.now() → timestamptz */
PG_FUNCTION_INFO_V1(leadflow_now);
Datum
leadflow_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(clock_now());
}

void
guc_init(void)
{
	DefineCustomStringVariable("leadflow.clock",
							   "Instant that leadflow takes for now; empty means the transaction's start.",
							   "For tests and simulations.",
							   &clock_setting, "", PGC_SUSET, 0,
							   check_clock, assign_clock, NULL);
	DefineCustomStringVariable("leadflow.actor",
							   "E-mail of the team member on whose behalf the session acts.",
							   "Only for roles that may act for others.",
							   &leadflow_actor, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("leadflow.max_clock_skew",
							"How far ahead of now an activity may lie.",
							NULL,
							&leadflow_max_clock_skew, 300, 0, 86400, PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("leadflow.quiet",
							 "Loads without consequences: scores, history and credits are kept, nobody is promoted, routed, timed or told.",
							 "Only for roles that may import.",
							 &leadflow_quiet, false, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("leadflow.contact_limits",
							 "What becomes of a message of marketing that breaks a rule of contact.",
							 "store: it is stored and flagged; refuse: it is an error.",
							 &leadflow_contact_limits, CONTACT_STORE, contact_limits_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("leadflow.notify",
							 "Notifications wake listeners on channel \"leadflow\" when they are committed.",
							 "Commits of such transactions take turns, and they cannot be prepared.",
							 &leadflow_notify, false, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	MarkGUCPrefixReserved("leadflow");
}
