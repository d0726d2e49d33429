-- Who is in nurture, and when it comes back.
CREATE OR REPLACE VIEW leadflow.nurture_due WITH (security_invoker = true) AS
SELECT
	l.id AS lead_id,
	l.full_name,
	l.company,
	e.program_id,
	p.name AS program,
	l.stage_reason AS reason,
	l.stage_since AS nurtured_at,
	l.revisit_on,
	l.revisit_on - (leadflow.now() AT TIME ZONE s.time_zone)::date AS due_in_days,
	coalesce(l.revisit_on <= (leadflow.now() AT TIME ZONE s.time_zone)::date, false) AS is_due,
	l.owner_id,
	m.full_name AS owner,
	l.campaign_id,
	c.name AS campaign
FROM leadflow.leads l
CROSS JOIN leadflow.settings s
LEFT JOIN leadflow.nurture_enrolments e ON e.lead_id = l.id AND e.left_at IS NULL
LEFT JOIN leadflow.nurture_programs p ON p.id = e.program_id
LEFT JOIN leadflow.team_members m ON m.id = l.owner_id
LEFT JOIN leadflow.campaigns c ON c.id = l.campaign_id
WHERE l.stage = 'nurture';
COMMENT ON VIEW leadflow.nurture_due IS 'One row a lead in stage nurture (key: lead_id), also where no program has it.';
COMMENT ON COLUMN leadflow.nurture_due.lead_id IS 'Lead.';
COMMENT ON COLUMN leadflow.nurture_due.full_name IS 'Name of the lead.';
COMMENT ON COLUMN leadflow.nurture_due.company IS 'Company of the lead.';
COMMENT ON COLUMN leadflow.nurture_due.program_id IS 'Nurture program that it is in; NULL = none took it.';
COMMENT ON COLUMN leadflow.nurture_due.program IS 'Name of that program.';
COMMENT ON COLUMN leadflow.nurture_due.reason IS 'Reason given; NULL = none.';
COMMENT ON COLUMN leadflow.nurture_due.nurtured_at IS 'When it entered nurture.';
COMMENT ON COLUMN leadflow.nurture_due.revisit_on IS 'Day on which it comes back to stage lead, as leads has it now; NULL = none: it waits for what the lead does.';
COMMENT ON COLUMN leadflow.nurture_due.due_in_days IS 'Days until then, in settings.time_zone; 0 = today, negative = past; NULL = no day.';
COMMENT ON COLUMN leadflow.nurture_due.is_due IS 'The day has come: the next sweep returns it.';
COMMENT ON COLUMN leadflow.nurture_due.owner_id IS 'Owner; NULL = nobody.';
COMMENT ON COLUMN leadflow.nurture_due.owner IS 'Name of the owner.';
COMMENT ON COLUMN leadflow.nurture_due.campaign_id IS 'Campaign that sourced it; NULL = none.';
COMMENT ON COLUMN leadflow.nurture_due.campaign IS 'Name of that campaign.';
