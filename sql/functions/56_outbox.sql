-- Notifications: those who send them claim, acknowledge and give back.
CREATE OR REPLACE FUNCTION leadflow.claim_notifications(n integer, consumer text, lease interval DEFAULT '1 minute',
	only_channel text DEFAULT NULL)
	RETURNS TABLE (id bigint, lead_id bigint, event text, recipient_id bigint, queue text, team text, channel text,
		payload jsonb, created_at timestamptz, attempts integer)
	AS 'MODULE_PATHNAME', 'leadflow_notification_claim'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.claim_notifications(integer, text, interval, text) IS
'Hands out up to n (1 to 10000) notifications that are due, in the order of their ids, and leases them to the consumer: until the lease has run out (up to 366 days, no months) nobody else gets them, then whoever claims next. Of each lead only the oldest that is neither acknowledged nor dead is handed out, so of one lead there is one at work at a time, in the order in which things happened; with only_channel, the oldest of that channel (NULL = all). One that was handed out settings.notification_attempts times without ever being acknowledged is given up instead (dead_at). Waits for nobody: what another session is claiming is skipped. Fewer than n, or none, is no error. 22023 for bad arguments, 22004 for NULLs. O(n), besides some 0.3 us for each notification that is leased or waits to be tried again.';

CREATE OR REPLACE FUNCTION leadflow.ack_notifications(ids bigint[]) RETURNS integer
	AS 'MODULE_PATHNAME', 'leadflow_notification_ack'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.ack_notifications(bigint[]) IS
'Notifications were delivered; the number of those that had not been acknowledged before. One whose lease ran out meanwhile, or that was given up, counts as delivered all the same; unknown ids and NULLs among them are passed over. 22004 for NULL. O(ids).';

CREATE OR REPLACE FUNCTION leadflow.fail_notification(id bigint, error text) RETURNS timestamptz
	AS 'MODULE_PATHNAME', 'leadflow_notification_fail'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.fail_notification(bigint, text) IS
'A notification could not be delivered: keeps the error and returns when it is due again, 30 seconds after the first attempt and twice as long after each further one, an hour at most. NULL: it is not tried again, because it has been handed out settings.notification_attempts times and is dead now, or was acknowledged, or is gone. The lead''s next one waits meanwhile. 22004 for NULLs. O(1).';

CREATE OR REPLACE FUNCTION leadflow.retry_notifications(ids bigint[] DEFAULT NULL) RETURNS integer
	AS 'MODULE_PATHNAME', 'leadflow_notification_retry'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.retry_notifications(bigint[]) IS
'Dead notifications (NULL = all of them) are due again, as if they had never been handed out; the number of those revived. Later ones of their leads may have been delivered meanwhile. A lead.active_again stays dead where another one is undelivered. O(ids).';
