--
-- A site's own stages, moves and reasons: everything goes by the category. Then the ways that are
-- less trodden: self-sourced, called back, customers that return, disqualified by mistake; and what
-- "unable to reach" counts.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday
\set VERBOSITY terse

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(11, 'Mia', 'mia@our.example', 'marketing'),
	(12, 'Sam', 'sam@our.example', 'sales'),
	(13, 'Sue', 'sue@our.example', 'sales'),
	(14, 'Lea', 'lea@our.example', 'leadership');
CREATE FUNCTION story(lead bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(concat_ws(' ', to_char(h.entered_at, 'DD HH24:MI'), h.to_stage, h.team, h.reason,
		'cycle ' || h.cycle, CASE WHEN h.left_at IS NULL THEN '(open)' END), E'\n' ORDER BY h.entered_at, h.id)
	FROM leadflow.stage_history h WHERE h.lead_id = lead
$$;
CREATE VIEW offers AS
SELECT lead_id, offered_at, owner_id, why, decided_at, decision, touches FROM leadflow.handoffs ORDER BY lead_id, id;
CREATE VIEW clocks AS
SELECT lead_id, metric, state, started_at, stopped_at FROM leadflow.sla_clocks ORDER BY lead_id, id;
CREATE VIEW board AS
SELECT lead_id, stage, owner, responsible_team, next_action, next_due_at FROM leadflow.lead_board ORDER BY lead_id;

--
-- A second stage of the hand-off, a demo, a place to park.
--
INSERT INTO leadflow.stages (name, category, position) VALUES ('qualifying', 'handoff', 35), ('demo', 'sales', 45), ('parked', 'recycle', 95);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams, requires_reason, requires_revisit) VALUES
	('mql', 'qualifying', '{marketing}', false, false),
	('sql', 'qualifying', '{sales}', false, false),
	('qualifying', 'sql', '{sales}', false, false),
	('qualifying', 'accepted', '{sales}', false, false),
	('qualifying', 'parked', '{sales}', true, false),
	('accepted', 'demo', '{sales}', false, false),
	('demo', 'parked', '{sales}', true, true),
	('parked', 'mql', '{marketing}', false, false),
	('parked', 'nurture', '{marketing}', false, false);
INSERT INTO leadflow.stage_reasons (stage, reason, min_attempts, requires_note) VALUES
	('parked', 'no_answer', 2, false), ('parked', 'later', NULL, false), ('parked', 'other', NULL, true);
INSERT INTO leadflow.leads (id, email, stage) SELECT i, i || '@one.example', 'mql' FROM generate_series(1, 4) i;

SET leadflow.actor = 'mia@our.example';
-- Given to sales by either stage; a row each, clocks start.
UPDATE leadflow.leads SET stage = 'qualifying' WHERE id IN (1, 2);
UPDATE leadflow.leads SET stage = 'sql' WHERE id IN (3, 4);
SET leadflow.actor = 'sam@our.example';
SET leadflow.clock = '2026-03-02 10:00Z';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (3, 'call'), (3, 'email_sent');
-- Within the category the offer stays as it is, the owner too, and its clocks run on.
SET leadflow.clock = '2026-03-02 11:00Z';
UPDATE leadflow.leads SET stage = 'qualifying' WHERE id IN (3, 4);
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 4;
SELECT * FROM offers;
SELECT * FROM board;
-- The attempts count from the offer, not from the move within it.
SELECT count(*) FROM leadflow.stage_history h WHERE h.lead_id = 3 AND h.to_stage = 'qualifying' AND h.entered_at > '2026-03-02 10:00Z';
SET leadflow.clock = '2026-03-02 12:00Z';
UPDATE leadflow.leads SET stage = 'parked', stage_reason = 'no_answer' WHERE id = 3;
-- Decided, by whoever decides; worked in the site's stage; sent back from there.
UPDATE leadflow.leads SET stage = 'accepted' WHERE id IN (1, 2);
UPDATE leadflow.leads SET stage = 'demo' WHERE id IN (1, 2);
SELECT * FROM offers;
SELECT * FROM clocks;
SELECT * FROM board;
SELECT * FROM leadflow.verify();
SET leadflow.clock = '2026-03-03 09:00Z';
UPDATE leadflow.leads SET stage = 'parked' WHERE id = 1;
UPDATE leadflow.leads SET stage = 'parked', stage_reason = 'not_now', revisit_on = '2026-04-01' WHERE id = 1;
UPDATE leadflow.leads SET stage = 'parked', stage_reason = 'later' WHERE id = 1;
UPDATE leadflow.leads SET stage = 'parked', stage_reason = 'later', revisit_on = '2026-04-01' WHERE id = 1;
UPDATE leadflow.leads SET stage = 'parked', stage_reason = 'other', revisit_on = '2026-04-01' WHERE id = 2;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 1;
SELECT * FROM clocks WHERE lead_id = 1;
SELECT * FROM board WHERE lead_id = 1;
-- Parked is recycled: a new cycle, once, also where it goes on to nurture; and back to sales.
SET leadflow.actor = 'mia@our.example';
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'other', stage_note = 'warm' WHERE id = 3;
SET leadflow.clock = '2026-03-04 09:00Z';
UPDATE leadflow.leads SET stage = 'mql' WHERE id IN (1, 3);
UPDATE leadflow.leads SET stage = 'qualifying' WHERE id IN (1, 3);
SELECT story(1);
SELECT story(3);
SELECT lead_id, cycle, cycle_since FROM leadflow.score_state WHERE lead_id IN (1, 3) ORDER BY 1;
SELECT * FROM offers WHERE lead_id IN (1, 3);
-- In the new cycle the attempts count anew.
SET leadflow.actor = 'sam@our.example';
\set VERBOSITY default
UPDATE leadflow.leads SET stage = 'parked', stage_reason = 'no_answer' WHERE id = 3;
\set VERBOSITY terse
-- Deals find the lead wherever it is, and the engine's own stages are where they take it.
INSERT INTO leadflow.deals (id, lead_id, opened_at) VALUES (1, 1, '2026-03-04 08:00Z'), (2, 2, '2026-03-04 09:00Z'), (4, 4, '2026-03-04 08:30Z');
SELECT * FROM offers WHERE lead_id IN (1, 4);
SELECT story(1);
SELECT * FROM leadflow.verify();
-- Beyond opportunity the site has its own; a deal that is lost ends that, too, the last open one.
INSERT INTO leadflow.stages (name, category, position) VALUES ('negotiation', 'sales', 55);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams) VALUES ('opportunity', 'negotiation', '{sales}');
UPDATE leadflow.leads SET stage = 'negotiation' WHERE id IN (1, 2, 4);
UPDATE leadflow.deals SET name = 'x', amount = 10;
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (11, 1, 'open', '2026-03-04 09:00Z', NULL), (12, 4, 'won', '2026-03-04 09:00Z', '2026-03-04 09:00Z');
UPDATE leadflow.leads SET stage = 'negotiation' WHERE id = 1;
UPDATE leadflow.deals SET status = 'lost' WHERE id IN (1, 2);
SELECT id, stage FROM leadflow.leads WHERE id IN (1, 2, 4) ORDER BY 1;
DELETE FROM leadflow.deals WHERE id IN (11, 12);
SELECT id, stage FROM leadflow.leads WHERE id IN (1, 2, 4) ORDER BY 1;
SELECT * FROM leadflow.verify();

-- The names: the site's own may change, everything goes along, and it is no move.
UPDATE leadflow.stages SET name = 'in qualification' WHERE name = 'qualifying';
UPDATE leadflow.stages SET name = 'on ice', label = 'On ice' WHERE name = 'parked';
SELECT l.id, l.stage, story(l.id) FROM leadflow.leads l WHERE id = 3;
SELECT from_stage, to_stage FROM leadflow.stage_transitions WHERE 'in qualification' IN (from_stage, to_stage) ORDER BY id;
SELECT DISTINCT decision FROM leadflow.handoffs ORDER BY 1;
SELECT * FROM leadflow.verify();
\set VERBOSITY default
-- The shipped ones stay; the category of a stage is what the past was judged by.
UPDATE leadflow.stages SET name = 'SQL' WHERE name = 'sql';
UPDATE leadflow.stages SET category = 'sales' WHERE name = 'sql';
DELETE FROM leadflow.stages WHERE name = 'lost';
UPDATE leadflow.stages SET category = 'sales' WHERE name = 'in qualification';
DELETE FROM leadflow.stages WHERE name = 'demo';
\set VERBOSITY terse
BEGIN;
INSERT INTO leadflow.stages (name, category) VALUES ('unused', 'out');
UPDATE leadflow.stages SET category = 'recycle', name = 'still unused' WHERE name = 'unused';
DELETE FROM leadflow.stages WHERE name = 'still unused';
ROLLBACK;
-- A stage without moves is entered no more, and what is in it is named.
DELETE FROM leadflow.stage_transitions WHERE to_stage = 'on ice';
UPDATE leadflow.leads SET stage = 'on ice' WHERE id = 3;
SELECT * FROM leadflow.verify();

--
-- Self-sourced: sales takes a lead without a hand-off; it is theirs.
--
SET leadflow.clock = '2026-03-05 09:00Z';
INSERT INTO leadflow.leads (id, email, sourced_by) VALUES (21, 'self@two.example', 'sales'), (22, 'called@two.example', 'sales');
SET leadflow.actor = 'sue@our.example';
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) SELECT 22, 'call', timestamptz '2026-03-04Z' + i * interval '1 hour' FROM generate_series(1, 3) i;
UPDATE leadflow.leads SET stage = 'accepted' WHERE id IN (21, 22);
SELECT * FROM board WHERE lead_id IN (21, 22);
SELECT count(*) FROM offers WHERE lead_id IN (21, 22);
-- without a hand-off all attempts of the cycle count
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'unable_to_reach', revisit_on = '2026-06-01' WHERE id = 21;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'unable_to_reach', revisit_on = '2026-06-01' WHERE id = 22;

-- Called back out of nurture: those of the cycle before don't count any more.
SET leadflow.clock = '2026-03-06 09:00Z';
SET leadflow.actor = 'sam@our.example';
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 22;
SELECT owner_id, story(22) FROM leadflow.leads WHERE id = 22;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'unable_to_reach' WHERE id = 22;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) SELECT 22, 'call', timestamptz '2026-03-05 10:00Z' + i * interval '1 hour' FROM generate_series(1, 3) i;
SELECT leadflow.move(22, 'nurture', 'unable_to_reach', revisit_on => '2026-06-01');
-- voided ones never did
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 22;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (22, 'call'), (22, 'call'), (22, 'email_sent'), (22, 'note'), (22, 'meeting_booked');
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'no' WHERE lead_id = 22 AND kind = 'email_sent';
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'unable_to_reach', revisit_on = '2026-06-01' WHERE id = 22;
UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE lead_id = 22 AND kind = 'email_sent';
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'unable_to_reach', revisit_on = '2026-06-01' WHERE id = 22 RETURNING stage;

--
-- Customers come back: to nurture, by marketing or sales, and into a new cycle.
--
SET leadflow.actor = 'mia@our.example';
INSERT INTO leadflow.leads (id, email, stage, owner_id) VALUES (31, 'c@three.example', 'won', 12), (32, 'd@three.example', 'won', 12), (33, 'e@three.example', 'lost', 12);
UPDATE leadflow.leads SET stage = 'lead' WHERE id = 31;
SET leadflow.clock = '2026-03-09 09:00Z';
UPDATE leadflow.leads SET stage = 'nurture' WHERE id = 31;
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'lost_deal', stage_by = 'sam@our.example' WHERE id IN (32, 33);
SELECT story(31);
SELECT owner_id, count(*) FROM leadflow.leads WHERE id BETWEEN 31 AND 33 GROUP BY 1;
UPDATE leadflow.leads SET stage = 'mql' WHERE id = 31;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sue@our.example' WHERE id = 32 RETURNING owner_id;

--
-- Disqualified is for good, but for leadership, who says why.
--
INSERT INTO leadflow.leads (id, email) VALUES (41, 'f@four.example');
UPDATE leadflow.leads SET stage = 'disqualified', stage_reason = 'spam' WHERE id = 41;
\set VERBOSITY default
UPDATE leadflow.leads SET stage = 'lead', stage_reason = 'mistake' WHERE id = 41;
UPDATE leadflow.leads SET stage = 'lead', stage_reason = 'mistake', stage_by = 'sam@our.example' WHERE id = 41;
UPDATE leadflow.leads SET stage = 'lead', stage_by = 'lea@our.example' WHERE id = 41;
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'lea@our.example' WHERE id = 41;
\set VERBOSITY terse
UPDATE leadflow.leads SET stage = 'lead', stage_reason = 'mistake', stage_by = 'lea@our.example' WHERE id = 41;
SELECT story(41);

--
-- Imports and moves that are dated back: the history is in order, the score is that of the instant.
--
RESET leadflow.actor;
SET leadflow.clock = '2026-04-01 09:00Z';
INSERT INTO leadflow.leads (id, email, stage, stage_since, created_at, job_title, company_size, stage_reason, stage_note, stage_by, owner_id) VALUES
	(51, 'a@five.example', 'lead', '2026-01-05 10:00Z', '2026-01-05 10:00Z', 'CEO', 500, NULL, NULL, NULL, NULL),
	(52, 'b@five.example', 'demo', '2026-01-06 10:00Z', '2026-01-01Z', NULL, NULL, NULL, NULL, 'sam@our.example', 12),
	(53, 'c@five.example', 'in qualification', '2026-01-07 10:00Z', '2026-01-01Z', NULL, NULL, NULL, NULL, NULL, 13),
	(54, 'd@five.example', 'rejected', '2026-01-08 10:00Z', '2026-01-01Z', NULL, NULL, 'other', 'their own', 'sue@our.example', 13);
INSERT INTO leadflow.activities (lead_id, kind, occurred_at) VALUES (51, 'content_download', '2026-01-06Z'), (51, 'webinar_attended', '2026-02-01Z');
SELECT leadflow.move(51, 'nurture', at => '2026-01-04Z');
SELECT leadflow.move(51, 'nurture', at => '2026-04-01 09:00:01Z');
SELECT leadflow.move(51, 'mql', at => '2026-01-10Z'), leadflow.move(51, 'sql', at => '2026-01-11Z', actor => 'mia@our.example'),
	leadflow.move(51, 'accepted', at => '2026-01-11Z', actor => 'sam@our.example'),
	leadflow.move(51, 'rejected', 'no_need', at => '2026-02-10Z', actor => 'sam@our.example');
SELECT h.to_stage, h.entered_at, h.left_at - h.entered_at AS stayed, round(h.score::numeric, 6) AS score,
	round(leadflow.score(51, h.entered_at)::numeric, 6) AS score_then, h.grade, h.persona, h.model_id = m.id AS model
FROM leadflow.stage_history h CROSS JOIN leadflow.scoring_models m WHERE h.lead_id = 51 AND m.status = 'active' ORDER BY h.entered_at, h.id;
SELECT lead_id, story(lead_id), why, decided_at FROM leadflow.handoffs WHERE lead_id BETWEEN 51 AND 54 ORDER BY 1;
SELECT count(*) FROM clocks WHERE lead_id BETWEEN 52 AND 54;
-- Rescored and erased points leave what was frozen.
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'no' WHERE lead_id = 51;
SELECT count(*) FROM leadflow.stage_history h WHERE h.lead_id = 51 AND h.score > 50;
SELECT * FROM leadflow.verify();
-- What was decided before a lead was passed on, and is told later: nothing is decided before it was offered.
INSERT INTO leadflow.leads (id, email, stage, stage_since, created_at, owner_id) VALUES
	(55, 'e@five.example', 'sql', '2026-01-10Z', '2026-01-01Z', 12), (56, 'f@five.example', 'accepted', '2026-01-10Z', '2026-01-01Z', 12);
UPDATE leadflow.leads SET owner_id = 13 WHERE id IN (55, 56);
SELECT leadflow.move(55, 'accepted', at => '2026-02-01Z', actor => 'sue@our.example');
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (56, 56, 'won', '2026-02-01Z', '2026-02-10Z');
SELECT * FROM offers WHERE lead_id IN (55, 56);
SELECT * FROM leadflow.verify();
-- Passed on, taken over, passed on again, all at one instant.
INSERT INTO leadflow.leads (id, email, stage, owner_id) VALUES (57, 'g@five.example', 'sql', 12);
UPDATE leadflow.leads SET owner_id = 13 WHERE id = 57;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@our.example' WHERE id = 57;
UPDATE leadflow.leads SET owner_id = 13 WHERE id = 57;
INSERT INTO leadflow.deals (id, lead_id, status, opened_at, closed_at) VALUES (57, 57, 'lost', '2026-04-01 08:00Z', '2026-04-01 08:30Z');
SELECT * FROM offers WHERE lead_id = 57;
SELECT * FROM leadflow.verify();

--
-- The wrong territory is no rejection: in the same statement the lead is handed off anew.
--
INSERT INTO leadflow.leads (id, email, stage) VALUES (61, 'a@six.example', 'mql'), (62, 'b@six.example', 'mql'), (63, 'c@six.example', 'mql');
UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mia@our.example', owner_id = 12 WHERE id BETWEEN 61 AND 63;
UPDATE leadflow.leads SET stage = 'rejected', stage_by = 'sam@our.example', stage_reason = CASE id WHEN 62 THEN 'no_need' ELSE 'wrong_territory' END WHERE id BETWEEN 61 AND 63;
SELECT id, stage, story(id) FROM leadflow.leads WHERE id BETWEEN 61 AND 63 ORDER BY id;
SELECT lead_id, decision FROM leadflow.handoffs WHERE lead_id BETWEEN 61 AND 63 ORDER BY lead_id, id;
SELECT lead_id, metric, state FROM clocks WHERE lead_id IN (61, 62);
\set VERBOSITY default
-- Nobody takes a rejected lead back by hand, leadership neither; whoever administers may.
UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', stage_by = 'lea@our.example' WHERE id = 62;
SELECT leadflow.move(62, 'disqualified', 'spam');
\set VERBOSITY terse
SELECT * FROM leadflow.verify();

--
-- Columns and constraints of a site's on what the engine writes.
--
ALTER TABLE leadflow.handoffs ADD COLUMN offered_on date GENERATED ALWAYS AS ((offered_at AT TIME ZONE 'UTC')::date) STORED;
ALTER TABLE leadflow.stage_history ADD COLUMN shift text NOT NULL DEFAULT 'day',
	ADD CONSTRAINT site_no_wins CHECK (lead_id <> 72 OR to_stage <> 'won');
INSERT INTO leadflow.leads (id, email, stage) VALUES (71, 'a@seven.example', 'mql'), (72, 'b@seven.example', 'accepted');
UPDATE leadflow.leads SET stage = 'sql' WHERE id = 71;
SELECT offered_on = (offered_at AT TIME ZONE 'UTC')::date AS computed FROM leadflow.handoffs WHERE lead_id = 71;
SELECT to_stage, shift FROM leadflow.stage_history WHERE lead_id = 71 ORDER BY id;
INSERT INTO leadflow.deals (id, lead_id, status) VALUES (72, 72, 'won');
SELECT stage FROM leadflow.leads WHERE id = 72;
SELECT * FROM leadflow.verify();
