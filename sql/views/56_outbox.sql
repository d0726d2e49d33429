-- Notifications that nobody could deliver.
CREATE OR REPLACE VIEW leadflow.dead_notifications WITH (security_invoker = true) AS
SELECT
	n.id,
	n.lead_id,
	l.full_name AS lead,
	n.event,
	n.recipient_id,
	m.full_name AS recipient,
	n.queue,
	n.team,
	n.channel,
	n.created_at,
	n.dead_at,
	n.attempts,
	n.claimed_by,
	n.last_error
FROM leadflow.notifications n
LEFT JOIN leadflow.leads l ON l.id = n.lead_id
LEFT JOIN leadflow.team_members m ON m.id = n.recipient_id
WHERE n.dead_at IS NOT NULL;
COMMENT ON VIEW leadflow.dead_notifications IS 'One row a notification that was given up (key: id): handed out settings.notification_attempts times and never acknowledged. retry_notifications() makes them due again; ack_notifications() clears them away.';
COMMENT ON COLUMN leadflow.dead_notifications.id IS 'Notification (notifications.id).';
COMMENT ON COLUMN leadflow.dead_notifications.lead_id IS 'Lead it is about; NULL = none.';
COMMENT ON COLUMN leadflow.dead_notifications.lead IS 'Name of the lead; NULL = not known.';
COMMENT ON COLUMN leadflow.dead_notifications.event IS 'What happened, e.g. lead.handed_off.';
COMMENT ON COLUMN leadflow.dead_notifications.recipient_id IS 'Member who was to be told; NULL = see queue and team.';
COMMENT ON COLUMN leadflow.dead_notifications.recipient IS 'Name of that member.';
COMMENT ON COLUMN leadflow.dead_notifications.queue IS 'Queue that was to be told; NULL = none.';
COMMENT ON COLUMN leadflow.dead_notifications.team IS 'Team that was to be told; NULL = none.';
COMMENT ON COLUMN leadflow.dead_notifications.channel IS 'What it was to be sent by.';
COMMENT ON COLUMN leadflow.dead_notifications.created_at IS 'When it was written.';
COMMENT ON COLUMN leadflow.dead_notifications.dead_at IS 'When it was given up.';
COMMENT ON COLUMN leadflow.dead_notifications.attempts IS 'How often it was handed out.';
COMMENT ON COLUMN leadflow.dead_notifications.claimed_by IS 'Consumer that had it last.';
COMMENT ON COLUMN leadflow.dead_notifications.last_error IS 'What went wrong the last time; NULL = nobody said.';
