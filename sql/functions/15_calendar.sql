-- calendars: working time
--
-- No SET clause: these resolve no name by search_path (their queries are fully
-- qualified), and it would cost more than the call itself.

CREATE OR REPLACE FUNCTION leadflow.business_time(calendar text, "from" timestamptz, "to" timestamptz)
RETURNS interval
AS 'MODULE_PATHNAME', 'leadflow_calendar_elapsed'
LANGUAGE C STRICT STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION leadflow.business_time(calendar bigint, "from" timestamptz, "to" timestamptz)
RETURNS interval
AS 'MODULE_PATHNAME', 'leadflow_calendar_elapsed_id'
LANGUAGE C STRICT STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION leadflow.add_business_time(calendar text, "from" timestamptz, amount interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'leadflow_calendar_add'
LANGUAGE C STRICT STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION leadflow.add_business_time(calendar bigint, "from" timestamptz, amount interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'leadflow_calendar_add_id'
LANGUAGE C STRICT STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION leadflow.is_business_time(calendar text, at timestamptz)
RETURNS boolean
AS 'MODULE_PATHNAME', 'leadflow_calendar_is_open'
LANGUAGE C STRICT STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION leadflow.is_business_time(calendar bigint, at timestamptz)
RETURNS boolean
AS 'MODULE_PATHNAME', 'leadflow_calendar_is_open_id'
LANGUAGE C STRICT STABLE PARALLEL SAFE;

CREATE OR REPLACE FUNCTION leadflow._calendar_validate()
RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_calendar_validate'
LANGUAGE C;

COMMENT ON FUNCTION leadflow.business_time(text, timestamptz, timestamptz) IS
    'Working time between two instants, by the name of the calendar: the length of the open instants from "from" (in) to "to" (out), real time across changes of daylight saving time. Hours, minutes and seconds, never days; negative when "to" is before "from"; 0 if the calendar is never open. The hours are local times of the calendar''s zone, the session''s does not matter. NULL for a NULL argument. Errors: unknown calendar 22023, infinite timestamp 22008. Time grows with the logarithm of the number of holidays, not with the span.';
COMMENT ON FUNCTION leadflow.business_time(bigint, timestamptz, timestamptz) IS
    'Working time between two instants, by the id of the calendar; otherwise as business_time(text, timestamptz, timestamptz).';
COMMENT ON FUNCTION leadflow.add_business_time(text, timestamptz, interval) IS
    'The earliest instant, not before "from", by which the amount of working time has passed: the closing instant rather than the next opening, and "from" itself for an amount of 0. A negative amount goes back to the latest instant since which that much has passed. A day of the amount is 86,400 seconds of working time. The hours are local times of the calendar''s zone. NULL for a NULL argument. Errors: unknown calendar, amount with months or years, calendar that is never open (or not for so long) 22023; infinite or too distant timestamp 22008. Time grows with the logarithm of the number of holidays, not with the amount.';
COMMENT ON FUNCTION leadflow.add_business_time(bigint, timestamptz, interval) IS
    'The earliest instant by which the amount of working time has passed, by the id of the calendar; otherwise as add_business_time(text, timestamptz, interval).';
COMMENT ON FUNCTION leadflow.is_business_time(text, timestamptz) IS
    'Whether the calendar of that name is open at the instant: its local time lies in [opens, closes) of its local day, so the opening instant is in and the closing instant out. Local is the calendar''s zone. NULL for a NULL argument. Errors: unknown calendar 22023, infinite timestamp 22008. Time grows with the logarithm of the number of holidays.';
COMMENT ON FUNCTION leadflow.is_business_time(bigint, timestamptz) IS
    'Whether the calendar of that id is open at the instant; otherwise as is_business_time(text, timestamptz).';
COMMENT ON FUNCTION leadflow._calendar_validate() IS
    'Trigger function of leadflow.calendars: refuses an unknown time zone (22023).';
