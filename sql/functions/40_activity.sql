-- Activities as they are written.
CREATE OR REPLACE FUNCTION leadflow._activities_inserted() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_activities_inserted'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._activities_inserted() IS
'Trigger, after INSERT of activities: checks the rows and adds them to what the transaction did.';

CREATE OR REPLACE FUNCTION leadflow._activities_updated() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_activities_updated'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._activities_updated() IS
'Trigger, after UPDATE of activities: their leads are computed anew when the transaction ends.';

CREATE OR REPLACE FUNCTION leadflow._activity_voided() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_activity_voided'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._activity_voided() IS
'Trigger, before UPDATE of an activity that becomes void or counts again: keeps void_recorded_at.';

CREATE OR REPLACE FUNCTION leadflow._activities_deleted() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_activities_deleted'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._activities_deleted() IS
'Trigger, after DELETE of activities: their leads are computed anew when the transaction ends.';

CREATE OR REPLACE FUNCTION leadflow._activities_truncated() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_activities_truncated'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._activities_truncated() IS
'Trigger, after TRUNCATE of activities: every score, clock and credit is computed anew.';

CREATE OR REPLACE FUNCTION leadflow._reference_deleted() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_reference_deleted'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._reference_deleted() IS
'Trigger, before and after DELETE of campaigns and team_members: refused (23503) while activities refer to them.';

CREATE OR REPLACE FUNCTION leadflow.settle() RETURNS void
	AS 'MODULE_PATHNAME', 'leadflow_settle'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.settle() IS
'Completes at once what else happens at the end of the transaction: gate, moves, hand-offs, clocks and credits that follow from activities. Locks the leads concerned until the transaction ends. O(leads written to).';

CREATE OR REPLACE FUNCTION leadflow.promote_ready(n integer DEFAULT NULL, dry_run boolean DEFAULT false)
	RETURNS TABLE (lead_id bigint, score double precision, rank text, stage text)
	AS 'MODULE_PATHNAME', 'leadflow_promote_ready'
	LANGUAGE C VOLATILE
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION leadflow.promote_ready(integer, boolean) IS
'Lets the n hottest (NULL = all) of the leads through that pass the whole MQL gate and that nobody has asked it for, after a quiet load or with another model: those that are mql_ready, and MQLs whose hand-off is due. They are promoted exactly as by an activity (history, hand-off, routing, clocks), in this transaction, whatever leadflow.quiet says. Returns those that it moved, by the total before the last clamp, then by id: score and rank before, and the stage that each is in now; with dry_run those that it would move, and nothing is changed. Leads that the caller cannot see stay. Calls take turns until the end of their transactions. 22023 for a negative n, 22004 for dry_run NULL. O(leads).';

CREATE OR REPLACE FUNCTION leadflow.event_id(source text, key text) RETURNS uuid
	LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.md5(pg_catalog.length(source)::text OPERATOR(pg_catalog.||) ':'
		OPERATOR(pg_catalog.||) source OPERATOR(pg_catalog.||) key)::uuid;
COMMENT ON FUNCTION leadflow.event_id(text, text) IS
'An id for an activity that has a key of its own in another system: the same source and key always give the same id, so that a redelivered event can be inserted with ON CONFLICT DO NOTHING. NULL for NULL. O(1).';

CREATE OR REPLACE FUNCTION leadflow._member_id_fixed() RETURNS trigger
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF NEW.id <> OLD.id THEN
		RAISE generated_always USING
			MESSAGE = 'the id of a team member does not change',
			DETAIL = format('Team member %s.', OLD.id),
			HINT = 'external_id carries the key of another system.',
			SCHEMA = 'leadflow', TABLE = 'team_members', COLUMN = 'id';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION leadflow._member_id_fixed() IS
'Trigger, before UPDATE of team_members: activities refer to ids, which therefore do not change (428C9).';
