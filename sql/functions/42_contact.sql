-- May a lead be contacted?
CREATE OR REPLACE FUNCTION leadflow.may_contact(lead_id bigint, channel text, at timestamptz DEFAULT leadflow.now())
	RETURNS boolean
	AS 'MODULE_PATHNAME', 'leadflow_may_contact'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow.may_contact(bigint, text, timestamptz) IS
'May the lead be contacted on that channel at that instant? Not do_not_contact; the latest row of contact_permissions by then for the channel or for * permits it; and every limit that applies to the stage that the lead was in has room: fewer than max_messages in (at - per, at], open reservations included, and after_handoff has passed. What lies later than the instant does not count. NULL for a lead that is unknown or that the caller cannot see (needs SELECT on leads), and for NULL; 22023 for a channel that is empty or *, or an instant that is not finite. O(permissions of the lead + its activities in the longest window).';

CREATE OR REPLACE FUNCTION leadflow.contact_blocked_by(lead_id bigint, channel text, at timestamptz DEFAULT leadflow.now())
	RETURNS text
	AS 'MODULE_PATHNAME', 'leadflow_contact_blocked_by'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow.contact_blocked_by(bigint, text, timestamptz) IS
'All that stands against may_contact(), in words, instants in UTC; NULL = the lead may be contacted. For a lead that is unknown or hidden it says so. Errors and effort as of may_contact().';

CREATE OR REPLACE FUNCTION leadflow.next_contact_at(lead_id bigint, channel text, at timestamptz DEFAULT leadflow.now())
	RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'leadflow_next_contact_at'
	LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow.next_contact_at(bigint, text, timestamptz) IS
'The earliest instant, not before the one given, at which may_contact() is true as things are known: messages, reservations and permissions that lie later count when it comes to them. infinity = never, as long as nothing changes. NULL and errors as of may_contact(). O(permissions of the lead + its activities since the longest window before the instant).';

CREATE OR REPLACE FUNCTION leadflow.reserve_contact(lead_id bigint, channel text, at timestamptz DEFAULT leadflow.now())
	RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_reserve_contact'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.reserve_contact(bigint, text, timestamptz) IS
'Keeps a place for a message that is about to be sent at that instant, and returns the id of the reservation; NULL where the lead may not be contacted then, or where the message would break a limit for one that was sent, or is reserved, for later. Exact: sessions that ask at once take turns by the lock of the lead, which is held until the transaction ends (who reserves for many leads in one transaction does so in the order of their ids). The place counts until the message is recorded, which redeems it, until release_contact(), or for settings.contact_reservation after the instant. NULL and errors as of may_contact(), which is what it costs, and the two rows that it writes.';

CREATE OR REPLACE FUNCTION leadflow.release_contact(id bigint) RETURNS boolean
	AS 'MODULE_PATHNAME', 'leadflow_release_contact'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.release_contact(bigint) IS
'Gives a reservation back; true if there was one, false if it is unknown, redeemed already, or of a lead that the caller cannot see. NULL for NULL. O(1).';

CREATE OR REPLACE FUNCTION leadflow._withdrawals_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_withdrawals_changed'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._withdrawals_changed() IS
'Trigger, after each statement on activity_kinds and after TRUNCATE of contact_permissions: makes the permissions that activities withdrew anew.';

CREATE OR REPLACE FUNCTION leadflow._withdrawal_kept() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_withdrawal_kept'
	LANGUAGE C;
COMMENT ON FUNCTION leadflow._withdrawal_kept() IS
'Trigger, before each row of contact_permissions that has an activity_id is written: leadflow alone writes those (428C9).';
