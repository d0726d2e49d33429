-- The starter configuration: ordinary rows that a site edits or deletes.
-- Runs once, when the tables are made.
INSERT INTO leadflow.settings (id) VALUES (true);

-- Calendars: around the clock, and the week of an office.
INSERT INTO leadflow.calendars (name) VALUES ('always'), ('office');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
SELECT c.id, d.weekday, h.opens, h.closes
FROM (VALUES
	('always', 7, time '00:00', time '24:00'),
	('office', 5, time '09:00', time '17:00')
) h (name, days, opens, closes)
JOIN leadflow.calendars c ON c.name = h.name
CROSS JOIN LATERAL generate_series(1, h.days) d (weekday);

-- Service levels of sales; 8 working hours are a working day of calendar office.
INSERT INTO leadflow.sla_policies (name, metric, team, target, calendar_id, warn_fraction)
SELECT p.name, p.metric, 'sales', p.target, c.id, 0.75
FROM (VALUES
	('accept within a working day', 'time_to_accept', interval '8 hours'),
	('first touch within 4 working hours', 'time_to_first_touch', interval '4 hours')
) p (name, metric, target)
JOIN leadflow.calendars c ON c.name = 'office';

-- Attribution: how a won deal is shared among its touches.
INSERT INTO leadflow.attribution_models (name, kind) VALUES
	('first_touch', 'first_touch'),
	('last_touch', 'last_touch'),
	('last_non_direct', 'last_non_direct'),
	('linear', 'linear'),
	('time_decay', 'time_decay'),
	('position_based', 'position_based'),
	('w_shaped', 'w_shaped'),
	('full_path', 'full_path'),
	('markov', 'markov'),
	('shapley', 'shapley');

-- Kinds of activity.
INSERT INTO leadflow.activity_kinds (kind, role, two_way, expects_reply, withdraws_permission, channel) VALUES
	('page_view', 'engagement', false, false, false, NULL),
	('content_download', 'engagement', false, false, false, NULL),
	('cta_click', 'engagement', false, false, false, NULL),
	('social_engagement', 'engagement', false, false, false, NULL),
	('webinar_signup', 'engagement', false, false, false, NULL),
	('webinar_attended', 'engagement', false, false, false, NULL),
	('event_visit', 'engagement', false, false, false, NULL),
	('form_submit', 'engagement', false, false, false, NULL),
	('demo_request', 'engagement', false, true, false, NULL),
	('quote_request', 'engagement', false, true, false, NULL),
	('contact_request', 'engagement', false, true, false, NULL),
	('email_open', 'engagement', false, false, false, 'email'),
	('email_click', 'engagement', false, true, false, 'email'),
	('email_reply', 'engagement', true, true, false, 'email'),
	('call_inbound', 'engagement', true, true, false, 'phone'),
	('meeting_booked', 'engagement', false, true, false, NULL),
	('unsubscribe', 'other', false, false, true, 'email'),
	('call', 'sales_touch', false, false, false, 'phone'),
	('call_connected', 'sales_touch', true, false, false, 'phone'),
	('email_sent', 'sales_touch', false, false, false, 'email'),
	('meeting', 'sales_touch', true, false, false, NULL),
	('linkedin_message', 'sales_touch', false, false, false, 'linkedin'),
	('marketing_email', 'marketing_message', false, false, false, 'email'),
	('marketing_sms', 'marketing_message', false, false, false, 'sms'),
	('auto_reply', 'other', false, false, false, 'email'),
	('note', 'other', false, false, false, NULL);

-- A scoring model that works at once: who the lead is (up to 50) and what it does (up to 70).
INSERT INTO leadflow.scoring_models (name, mql_definition, sql_definition, mql_threshold, handoff_threshold)
VALUES ('starter',
	'Fits one of our personas and engages, 50 points or more; or asks for us.',
	'An MQL of 70 points or more, or one that asks for us: handed to a rep of the sales queue.',
	50, 70);
INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
SELECT m.id, g.name, g.axis, g.min_points, g.max_points, g.half_life
FROM leadflow.scoring_models m
CROSS JOIN (VALUES
	('fit', 'fit', 0, 50, NULL::interval),
	('content', 'engagement', 0, 40, interval '30 days'),
	('intent', 'engagement', 0, 60, interval '14 days')
) g (name, axis, min_points, max_points, half_life)
WHERE m.name = 'starter';
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per,
	hand_raise)
SELECT m.id, g.id, r.name, r.kind, r.condition, r.points, r.max_count, r.per, r.hand_raise
FROM leadflow.scoring_models m
CROSS JOIN (VALUES
	('content', 'page view', 'page_view', NULL::jsonpath, 1, 5, 'day', false),
	('content', 'social engagement', 'social_engagement', NULL, 2, 3, 'week', false),
	('content', 'e-mail clicked', 'email_click', NULL, 3, NULL::integer, NULL, false),
	('content', 'call to action clicked', 'cta_click', NULL, 4, NULL, NULL, false),
	('content', 'content downloaded', 'content_download', NULL, 8, NULL, NULL, false),
	('content', 'webinar signed up', 'webinar_signup', NULL, 5, NULL, NULL, false),
	('content', 'webinar attended', 'webinar_attended', NULL, 12, NULL, NULL, false),
	('content', 'event visited', 'event_visit', NULL, 10, NULL, NULL, false),
	('content', 'form submitted', 'form_submit', NULL, 8, NULL, NULL, false),
	('intent', 'pricing page', 'page_view', '$.content like_regex "pricing" flag "i"', 10, 3, 'week', false),
	('intent', 'e-mail answered', 'email_reply', NULL, 10, NULL, NULL, false),
	('intent', 'called us', 'call_inbound', NULL, 25, NULL, NULL, true),
	('intent', 'meeting booked', 'meeting_booked', NULL, 35, NULL, NULL, true),
	('intent', 'contact requested', 'contact_request', NULL, 25, NULL, NULL, true),
	('intent', 'quote requested', 'quote_request', NULL, 40, NULL, NULL, true),
	('intent', 'demo requested', 'demo_request', NULL, 40, NULL, NULL, true)
) r (group_name, name, kind, condition, points, max_count, per, hand_raise)
JOIN leadflow.scoring_groups g ON g.model_id = m.id AND g.name = r.group_name
WHERE m.name = 'starter';
INSERT INTO leadflow.personas (model_id, name)
SELECT m.id, p.name
FROM leadflow.scoring_models m
CROSS JOIN (VALUES ('decision maker'), ('practitioner')) p (name)
WHERE m.name = 'starter';
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points)
SELECT p.id, c.name, c.condition, c.points
FROM leadflow.personas p
JOIN leadflow.scoring_models m ON m.id = p.model_id AND m.name = 'starter'
JOIN (VALUES
	('decision maker', 'senior title', '$.job_title like_regex "\\y(chief|c[a-z]o|vp|vice president|president|director|head|founder|owner|partner)\\y" flag "i"'::jsonpath, 25),
	('decision maker', 'company of 50 or more', '$.company_size >= 50', 15),
	('decision maker', 'budget of 10,000 or more', '$.budget >= 10000', 10),
	('decision maker', 'existing customer', '$.account.status == "customer"', 5),
	('practitioner', 'hands-on title', '$.job_title like_regex "\\y(manager|lead|engineer|analyst|specialist|consultant)\\y" flag "i"', 15),
	('practitioner', 'company of 50 or more', '$.company_size >= 50', 10),
	('practitioner', 'budget of 10,000 or more', '$.budget >= 10000', 10)
) c (persona, name, condition, points) ON c.persona = p.name;
INSERT INTO leadflow.disqualifiers (model_id, name, on_entity, condition, reason)
SELECT m.id, d.name, 'lead', d.condition, d.reason
FROM leadflow.scoring_models m
CROSS JOIN (VALUES
	('competitor', '$.attributes.competitor == true'::jsonpath, 'competitor'),
	('student', '$.job_title like_regex "\\y(student|intern|pupil)\\y" flag "i"', 'student')
) d (name, condition, reason)
WHERE m.name = 'starter';
-- In force though nobody approved it: definitions_in_force calls it shipped.
UPDATE leadflow.scoring_models SET status = 'active', activated_at = leadflow.now() WHERE name = 'starter';

-- ---- lifecycle ----
INSERT INTO leadflow.stages (name, label, category, position, description) VALUES
	('lead', 'Lead', 'marketing', 10, 'Known, not qualified: marketing nurtures it.'),
	('mql', 'Marketing qualified', 'marketing', 20, 'Passed the gate of the scoring model, or was qualified by hand: to be handed to sales.'),
	('sql', 'Handed to sales', 'handoff', 30, 'Offered to sales, which has not decided yet.'),
	('accepted', 'Accepted', 'sales', 40, 'Sales works it.'),
	('opportunity', 'Opportunity', 'sales', 50, 'There is a deal.'),
	('won', 'Won', 'won', 60, 'A deal was won.'),
	('lost', 'Lost', 'lost', 70, 'The last open deal was lost.'),
	('rejected', 'Rejected', 'recycle', 80, 'Sales sent it back, with a reason.'),
	('nurture', 'Nurture', 'recycle', 90, 'Not now: marketing keeps in touch until the day to come back.'),
	('disqualified', 'Disqualified', 'out', 100, 'Never a customer.');

INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams, requires_reason, requires_revisit) VALUES
	('lead', 'mql', '{system,marketing}', false, false),
	('lead', 'nurture', '{marketing}', false, false),
	('lead', 'disqualified', '{marketing}', false, false),
	('lead', 'accepted', '{sales}', false, false),
	('mql', 'sql', '{system,marketing}', false, false),
	('mql', 'nurture', '{marketing}', false, false),
	('mql', 'disqualified', '{marketing}', false, false),
	('mql', 'lead', '{system}', false, false),
	('sql', 'lead', '{system}', false, false),
	('sql', 'accepted', '{sales}', false, false),
	('sql', 'rejected', '{sales}', true, false),
	('sql', 'nurture', '{sales}', true, true),
	('accepted', 'nurture', '{sales}', true, true),
	('accepted', 'rejected', '{sales}', true, false),
	('accepted', 'opportunity', '{sales}', false, false),
	('opportunity', 'nurture', '{sales}', true, true),
	('opportunity', 'won', '{sales}', false, false),
	('opportunity', 'lost', '{sales}', false, false),
	('lost', 'nurture', '{marketing,sales}', false, false),
	('won', 'nurture', '{marketing,sales}', false, false),
	('nurture', 'mql', '{system,marketing}', false, false),
	('nurture', 'accepted', '{sales}', false, false),
	('nurture', 'lead', '{system}', false, false),
	('rejected', 'sql', '{system}', false, false),
	('rejected', 'nurture', '{system}', false, false),
	('rejected', 'disqualified', '{system}', false, false),
	('disqualified', 'lead', '{leadership}', true, false);

INSERT INTO leadflow.stage_reasons (stage, reason, label, next_stage, min_attempts, requires_note, reviewed, returns_to) VALUES
	('rejected', 'no_budget', 'No budget', 'nurture', NULL, false, true, 'same_owner'),
	('rejected', 'no_authority', 'Cannot decide', 'nurture', NULL, false, true, 'same_owner'),
	('rejected', 'no_need', 'No need', 'nurture', NULL, false, true, 'same_owner'),
	('rejected', 'unable_to_reach', 'Unable to reach', 'nurture', 3, false, true, 'route'),
	('rejected', 'bad_data', 'Wrong data', 'disqualified', NULL, false, false, NULL),
	('rejected', 'duplicate', 'Duplicate', 'disqualified', NULL, false, true, NULL),
	('rejected', 'not_icp', 'Not a customer we look for', 'disqualified', NULL, false, true, NULL),
	('rejected', 'competitor', 'Competitor', 'disqualified', NULL, false, true, NULL),
	('rejected', 'student', 'Student', 'disqualified', NULL, false, true, NULL),
	('rejected', 'existing_customer', 'Customer already', 'disqualified', NULL, false, true, NULL),
	('rejected', 'wrong_territory', 'Wrong territory', 'sql', NULL, false, false, 'other_owner'),
	('rejected', 'other', 'Other', 'nurture', NULL, true, true, 'other_owner'),
	('nurture', 'not_now', 'Not now', NULL, NULL, false, false, 'same_owner'),
	('nurture', 'no_budget', 'No budget', NULL, NULL, false, false, 'same_owner'),
	('nurture', 'unable_to_reach', 'Unable to reach', NULL, 3, false, false, 'route'),
	('nurture', 'lost_deal', 'Lost deal', NULL, NULL, false, false, 'same_owner'),
	('nurture', 'other', 'Other', NULL, NULL, true, false, 'route'),
	('lead', 'evidence_voided', 'What qualified it was voided', NULL, NULL, false, false, NULL),
	('lead', 'revisit', 'The day to come back', NULL, NULL, false, false, NULL),
	('lead', 'sla_breached', 'Sales let a promise lapse', NULL, NULL, false, false, 'route'),
	('lead', 'reinstated', 'Reinstated', NULL, NULL, false, false, NULL),
	('lead', 'data_corrected', 'Data was corrected', NULL, NULL, false, false, NULL),
	('lead', 'mistake', 'Disqualified by mistake', NULL, NULL, false, false, NULL),
	('lead', 'other', 'Other', NULL, NULL, true, false, NULL),
	('disqualified', 'bad_data', 'Wrong data', NULL, NULL, false, false, NULL),
	('disqualified', 'duplicate', 'Duplicate', NULL, NULL, false, false, NULL),
	('disqualified', 'not_icp', 'Not a customer we look for', NULL, NULL, false, false, NULL),
	('disqualified', 'competitor', 'Competitor', NULL, NULL, false, false, NULL),
	('disqualified', 'student', 'Student', NULL, NULL, false, false, NULL),
	('disqualified', 'existing_customer', 'Customer already', NULL, NULL, false, false, NULL),
	('disqualified', 'spam', 'Spam', NULL, NULL, false, false, NULL),
	('disqualified', 'other', 'Other', NULL, NULL, true, false, NULL);

INSERT INTO leadflow.queues (name) VALUES ('sales');
INSERT INTO leadflow.routing_rules (position, name, queue_id)
SELECT 1000, 'everybody else', id FROM leadflow.queues WHERE name = 'sales';

-- Takes in whoever no other program does, so that nurture_list() has everybody.
INSERT INTO leadflow.nurture_programs (name, position, description) VALUES
	('everybody else', 1000, 'Leads in nurture that no other program takes.');

INSERT INTO leadflow.public_email_domains (domain) VALUES
	('aol.com'), ('fastmail.com'), ('free.fr'), ('freenet.de'), ('gmail.com'), ('gmx.at'), ('gmx.ch'), ('gmx.de'),
	('gmx.net'), ('googlemail.com'), ('hotmail.com'), ('icloud.com'), ('laposte.net'), ('libero.it'), ('live.com'),
	('mac.com'), ('mail.com'), ('mail.ru'), ('me.com'), ('msn.com'), ('orange.fr'), ('outlook.com'), ('proton.me'),
	('protonmail.com'), ('qq.com'), ('t-online.de'), ('web.de'), ('yahoo.co.uk'), ('yahoo.com'), ('yahoo.de'),
	('yandex.ru'), ('163.com');
-- ---- end of lifecycle ----
