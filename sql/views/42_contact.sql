-- Messages that should not have been sent.
CREATE OR REPLACE VIEW leadflow.messages_against_rules WITH (security_invoker = true) AS
SELECT
	v.lead_id,
	l.full_name AS lead,
	v.occurred_at,
	v.activity_id,
	a.kind,
	v.channel,
	a.content,
	a.campaign_id,
	c.name AS campaign,
	a.member_id,
	m.full_name AS member,
	v.why,
	v.limit_id,
	t.name AS limit_name,
	v.recorded_at
FROM leadflow.contact_violations v
JOIN leadflow.activities a ON a.lead_id = v.lead_id AND a.occurred_at = v.occurred_at AND a.id = v.activity_id
	AND a.voided_at IS NULL
JOIN leadflow.leads l ON l.id = v.lead_id
LEFT JOIN leadflow.campaigns c ON c.id = a.campaign_id
LEFT JOIN leadflow.team_members m ON m.id = a.member_id
LEFT JOIN leadflow.contact_limits t ON t.id = v.limit_id;
COMMENT ON VIEW leadflow.messages_against_rules IS 'One row a message to a lead (key: lead_id, occurred_at, activity_id) that broke a rule of contact as things were known when it was recorded. O(violations).';
COMMENT ON COLUMN leadflow.messages_against_rules.lead_id IS 'Lead.';
COMMENT ON COLUMN leadflow.messages_against_rules.lead IS 'Its name.';
COMMENT ON COLUMN leadflow.messages_against_rules.occurred_at IS 'When the message was sent.';
COMMENT ON COLUMN leadflow.messages_against_rules.activity_id IS 'The message (activities.id).';
COMMENT ON COLUMN leadflow.messages_against_rules.kind IS 'Its kind.';
COMMENT ON COLUMN leadflow.messages_against_rules.channel IS 'Its channel.';
COMMENT ON COLUMN leadflow.messages_against_rules.content IS 'Its content (activities.content).';
COMMENT ON COLUMN leadflow.messages_against_rules.campaign_id IS 'Campaign that it belongs to; NULL = none.';
COMMENT ON COLUMN leadflow.messages_against_rules.campaign IS 'Its name.';
COMMENT ON COLUMN leadflow.messages_against_rules.member_id IS 'Who sent it; NULL = not said.';
COMMENT ON COLUMN leadflow.messages_against_rules.member IS 'Their name.';
COMMENT ON COLUMN leadflow.messages_against_rules.why IS 'All rules that it broke, in words, instants in UTC.';
COMMENT ON COLUMN leadflow.messages_against_rules.limit_id IS 'First limit that it broke; NULL = permission or do_not_contact alone.';
COMMENT ON COLUMN leadflow.messages_against_rules.limit_name IS 'Name of that limit; NULL where it has none, or is gone.';
COMMENT ON COLUMN leadflow.messages_against_rules.recorded_at IS 'When it was recorded.';
