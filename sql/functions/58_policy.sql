-- Service levels: the promises.
CREATE OR REPLACE FUNCTION leadflow._sla_policy_team() RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_sla_policy_team'
LANGUAGE C;
COMMENT ON FUNCTION leadflow._sla_policy_team() IS
'Trigger of sla_policies: a policy that names no team is marketing''s where it counts a month, else sales''s.';

CREATE OR REPLACE FUNCTION leadflow._sla_policy_validate() RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_sla_policy_validate'
LANGUAGE C;
COMMENT ON FUNCTION leadflow._sla_policy_validate() IS
'Trigger of sla_policies: refuses a target with months or years, and a calendar that is not open for that long.';

CREATE OR REPLACE FUNCTION leadflow._sla_correct() RETURNS trigger
AS 'MODULE_PATHNAME', 'leadflow_sla_correct'
LANGUAGE C;
COMMENT ON FUNCTION leadflow._sla_correct() IS
'Trigger of sla_policies and the calendars: a correction makes open clocks due anew.';
