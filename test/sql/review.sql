--
-- Rejections under review: what opens a case, who may vote, what decides, what the verdict
-- does to the lead; and reasons that lead on without a review.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday
\set VERBOSITY terse

INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(1, 'Mia', 'mia@our.example', 'marketing'),
	(2, 'Max', 'max@our.example', 'marketing'),
	(3, 'Sam', 'sam@our.example', 'sales'),
	(4, 'Sue', 'sue@our.example', 'sales'),
	(5, 'Lea', 'lea@our.example', 'leadership');
INSERT INTO leadflow.campaigns (id, code, name, owner_id) VALUES (1, 'spring', 'Spring', 2), (2, 'orphan', 'Orphan', NULL);

-- A lead's history as text: stage by stage, with who and why.
CREATE FUNCTION story(lead bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(concat_ws(' ', to_char(h.entered_at, 'DD HH24:MI'), h.to_stage, h.team, h.reason), ', ' ORDER BY h.entered_at, h.id)
	FROM leadflow.stage_history h WHERE h.lead_id = lead AND h.from_stage IS NOT NULL
$$;
CREATE VIEW cases AS
SELECT r.lead_id, r.reason, r.rejected_by, r.opened_at, r.closed_at, r.verdict, r.closed_by
FROM leadflow.reviews r ORDER BY r.lead_id, r.id;

-- Leads in sales' hands: Sam's, from Max's campaign.
CREATE PROCEDURE offer(first bigint, last bigint, campaign bigint DEFAULT 1) LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, full_name, campaign_id)
	SELECT i, i || '@one.example', 'Lead ' || i, campaign FROM generate_series(first, last) i;
	UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mia@our.example' WHERE id BETWEEN first AND last;
	UPDATE leadflow.leads SET stage = 'sql', owner_id = 3, stage_by = 'mia@our.example' WHERE id BETWEEN first AND last;
$$;

--
-- What opens a case
--
CALL offer(1, 8);
SET leadflow.clock = '2026-03-02 10:00Z';
SET leadflow.actor = 'sam@our.example';
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_note = 'frozen' WHERE id = 1;
SELECT leadflow.move(2, 'rejected', 'competitor');
-- accepted is no rejection, nurture with a reason is none
UPDATE leadflow.leads SET stage = 'accepted' WHERE id = 3;
SELECT leadflow.move(4, 'nurture', 'not_now', revisit_on => '2026-06-01');
\x on
SELECT * FROM leadflow.review_queue ORDER BY review_id;
\x off
-- The campaign's owner is told; where there is none, or is not active, marketing.
CALL offer(9, 9, 2);
SELECT leadflow.move(9, 'rejected', 'no_need');
UPDATE leadflow.team_members SET active = false WHERE id = 2;
SELECT leadflow.move(5, 'rejected', 'no_need', note => repeat('x', 1000));
UPDATE leadflow.team_members SET active = true WHERE id = 2;
SELECT lead_id, recipient_id, team, payload ->> 'reason' AS reason, payload ->> 'due_at' AS due_at, length(payload ->> 'note') AS note
FROM leadflow.notifications WHERE event = 'review.opened' ORDER BY id;
-- A case is leadflow's to write.
RESET leadflow.actor;
\set VERBOSITY default
INSERT INTO leadflow.review_votes VALUES (1, 1, 'overturn', NULL, leadflow.now());
UPDATE leadflow.reviews SET verdict = 'overturn';
\set VERBOSITY terse

--
-- Who may vote: not Sam (rejected it), not Max (his campaign).
--
\set VERBOSITY default
SELECT * FROM leadflow.review(1, 'uphold', 'sam@our.example');
SELECT * FROM leadflow.review(1, 'overturn', 'MAX@our.example');
SELECT * FROM leadflow.review(3, 'overturn', 'mia@our.example');
SELECT * FROM leadflow.review(99, 'overturn', 'mia@our.example');
SELECT * FROM leadflow.review(1, 'maybe', 'mia@our.example');
SELECT * FROM leadflow.review(1, 'overturn', 'eve@our.example');
SELECT * FROM leadflow.review(1, 'overturn');
\set VERBOSITY terse
SELECT * FROM leadflow.review(NULL, 'overturn', 'mia@our.example');
SELECT * FROM leadflow.review(1, NULL, 'mia@our.example');
UPDATE leadflow.team_members SET reviewer = false WHERE id = 4;
SELECT * FROM leadflow.review(1, 'overturn', 'sue@our.example');
UPDATE leadflow.team_members SET reviewer = true, active = false WHERE id = 4;
SELECT * FROM leadflow.review(1, 'overturn', 'sue@our.example');
UPDATE leadflow.team_members SET active = true WHERE id = 4;
-- Whoever it was offered to before has a part in it: Sue passed it on.
CALL offer(10, 10);
UPDATE leadflow.leads SET owner_id = 4 WHERE id = 10;
SET leadflow.clock = '2026-03-02 10:10Z';
UPDATE leadflow.leads SET owner_id = 3 WHERE id = 10;
SET leadflow.clock = '2026-03-02 10:20Z';
SELECT leadflow.move(10, 'rejected', 'no_need', actor => 'sam@our.example');
SELECT * FROM leadflow.review(10, 'overturn', 'sue@our.example');
-- Nor by taking the campaign, or the lead, while it is reviewed, does anybody get a vote or give it away.
UPDATE leadflow.campaigns SET owner_id = 1 WHERE id = 1;
SELECT * FROM leadflow.review(10, 'overturn', 'mia@our.example');
SELECT * FROM leadflow.review(10, 'overturn', 'max@our.example');
UPDATE leadflow.campaigns SET owner_id = 2 WHERE id = 1;
UPDATE leadflow.leads SET owner_id = 5 WHERE id = 10;
SELECT * FROM leadflow.review(10, 'overturn', 'lea@our.example');
UPDATE leadflow.leads SET owner_id = 3 WHERE id = 10;
SELECT * FROM leadflow.verify();

--
-- Two votes decide. Overturned: back to sales, to somebody else.
--
SET leadflow.clock = '2026-03-03 10:00Z';
SELECT * FROM leadflow.review(1, 'overturn', 'mia@our.example', 'I have seen the budget');
SELECT votes_overturn, votes_needed, reviewers_left FROM leadflow.review_queue WHERE lead_id = 1;
SET leadflow.actor = 'lea@our.example';
SELECT * FROM leadflow.review(1, 'overturn');
RESET leadflow.actor;
SELECT story(1);
SELECT stage, stage_reason, stage_team, stage_actor_id, owner_id FROM leadflow.leads WHERE id = 1;
SELECT offered_at, decided_at, decision FROM leadflow.handoffs WHERE lead_id = 1 ORDER BY id;
SELECT v.reviewer_id, v.verdict, v.note, v.voted_at FROM leadflow.review_votes v JOIN leadflow.reviews r ON r.id = v.review_id WHERE r.lead_id = 1 ORDER BY 1;
-- A case that is closed takes no votes.
SELECT * FROM leadflow.review(1, 'uphold', 'sue@our.example');
-- Rejected again in the same cycle: another case, and both who had it have a part.
SELECT leadflow.move(1, 'rejected', 'no_need', actor => 'sue@our.example');
SELECT * FROM leadflow.review(1, 'overturn', 'sam@our.example');
SELECT * FROM cases WHERE lead_id = 1;

-- Upheld: on to the reason's next stage, with the reason.
SELECT * FROM leadflow.review(2, 'uphold', 'mia@our.example');
SELECT * FROM leadflow.review(2, 'uphold', 'sue@our.example');
SELECT story(2);

-- A tie takes one more; the last vote of a reviewer counts.
SELECT * FROM leadflow.review(5, 'overturn', 'mia@our.example');
SELECT * FROM leadflow.review(5, 'uphold', 'sue@our.example');
SELECT * FROM leadflow.review(5, 'overturn', 'sue@our.example');
SELECT story(5);
CALL offer(11, 12);
SELECT leadflow.move(i, 'rejected', 'no_need', actor => 'sam@our.example') FROM generate_series(11, 12) i;
SELECT * FROM leadflow.review(11, 'uphold', 'mia@our.example');
SELECT * FROM leadflow.review(11, 'overturn', 'sue@our.example');
SELECT * FROM leadflow.review(11, 'overturn', 'lea@our.example');
-- A tie that nobody is left to break: upheld.
UPDATE leadflow.team_members SET reviewer = false WHERE id = 5;
SELECT * FROM leadflow.review(12, 'overturn', 'sue@our.example');
SELECT * FROM leadflow.review(12, 'uphold', 'mia@our.example');
SELECT * FROM leadflow.verify();

--
-- Few people: the quorum is what can be reached.
--
CALL offer(13, 16);
SELECT leadflow.move(i, 'rejected', 'no_need', actor => 'sam@our.example') FROM generate_series(13, 16) i;
UPDATE leadflow.team_members SET reviewer = false WHERE id = 4;
SELECT lead_id, votes_needed, reviewers_left FROM leadflow.review_queue WHERE lead_id IN (13, 14) ORDER BY 1;
SELECT * FROM leadflow.review(13, 'overturn', 'mia@our.example');
-- Nobody at all: one is needed still, and time decides.
UPDATE leadflow.team_members SET reviewer = false WHERE id = 1;
SELECT lead_id, votes_needed, reviewers_left FROM leadflow.review_queue WHERE lead_id = 14;
UPDATE leadflow.team_members SET reviewer = true;
-- A vote counts though the reviewer has left since.
SELECT * FROM leadflow.review(15, 'overturn', 'mia@our.example');
UPDATE leadflow.team_members SET active = false WHERE id = 1;
SELECT votes_overturn, votes_needed, reviewers_left FROM leadflow.review_queue WHERE lead_id = 15;
SELECT * FROM leadflow.review(15, 'overturn', 'lea@our.example');
UPDATE leadflow.team_members SET active = true WHERE id = 1;
-- A larger quorum than there are people.
UPDATE leadflow.settings SET review_quorum = 100;
SELECT lead_id, votes_needed, reviewers_left FROM leadflow.review_queue WHERE lead_id = 16;
UPDATE leadflow.settings SET review_quorum = 2;

--
-- Time: what is due is closed to votes, and upheld by the sweep; the sweep can be late, and run twice.
--
SET leadflow.clock = '2026-03-10 10:00Z';
SELECT lead_id, due_at, is_due FROM leadflow.review_queue ORDER BY 1;
\set VERBOSITY default
SELECT * FROM leadflow.review(14, 'overturn', 'lea@our.example');
\set VERBOSITY terse
SELECT leadflow.contest(14, 'too late', 'mia@our.example');
SET leadflow.clock = '2026-03-12 10:00Z';
SELECT count(*) FROM leadflow.check_sla();
SELECT count(*) FROM leadflow.check_sla();
SELECT * FROM cases WHERE closed_by = 'time';
SELECT id, stage, stage_reason FROM leadflow.leads WHERE id IN (9, 10, 14, 16, 1) ORDER BY 1;
SELECT count(*) FROM leadflow.review_queue;
-- Votes that suffice by then decide, not time: one of two was left.
CALL offer(17, 18);
SELECT leadflow.move(i, 'rejected', 'no_need', actor => 'sam@our.example') FROM generate_series(17, 18) i;
SELECT * FROM leadflow.review(17, 'overturn', 'mia@our.example');
UPDATE leadflow.team_members SET reviewer = id = 1;
SELECT count(*) FROM leadflow.check_sla('2026-03-19 09:59:59.999999Z');
SELECT * FROM cases WHERE lead_id IN (17, 18);
SET leadflow.clock = '2026-03-19 10:00Z';
SELECT count(*) FROM leadflow.check_sla();
SELECT * FROM cases WHERE lead_id IN (17, 18);
UPDATE leadflow.team_members SET reviewer = true;
SELECT * FROM leadflow.verify();

--
-- Reasons that are not reviewed lead on at once.
--
CALL offer(20, 24);
SET leadflow.clock = '2026-03-19 11:00Z';
SET leadflow.actor = 'sam@our.example';
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'wrong_territory' WHERE id = 20;
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'bad_data', stage_note = 'bounces' WHERE id = 21;
-- several reasons in one statement
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = (ARRAY['wrong_territory', 'bad_data', 'no_need'])[id - 21] WHERE id IN (22, 23, 24);
SELECT i AS lead, story(i) FROM generate_series(20, 24) i;
SELECT lead_id, offered_at, owner_id, decided_at, decision FROM leadflow.handoffs WHERE lead_id IN (20, 21, 22, 23) ORDER BY lead_id, id;
SELECT * FROM cases WHERE lead_id BETWEEN 20 AND 24;
RESET leadflow.actor;
SELECT * FROM leadflow.verify();
-- However it is written: dated back, MERGE, upsert, by a site's own trigger, quietly.
CALL offer(101, 107);
SET leadflow.clock = '2026-03-19 11:10Z';
SELECT leadflow.move(101, 'rejected', 'wrong_territory', actor => 'sam@our.example', at => '2026-03-19 11:05Z');
MERGE INTO leadflow.leads l USING (VALUES (102, 'bad_data'), (103, 'wrong_territory')) v (id, reason) ON l.id = v.id
	WHEN MATCHED THEN UPDATE SET stage = 'rejected', stage_reason = v.reason, stage_by = 'sam@our.example';
INSERT INTO leadflow.leads (id, email, stage, stage_reason) VALUES (104, 'x@one.example', 'rejected', 'bad_data')
	ON CONFLICT (id) DO UPDATE SET stage = excluded.stage, stage_reason = excluded.stage_reason, stage_by = 'sam@our.example';
CREATE FUNCTION site() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE leadflow.leads SET stage = 'nurture' WHERE id = NEW.id AND stage = 'rejected';
	RETURN NULL;
END
$$;
CREATE TRIGGER site AFTER UPDATE OF stage ON leadflow.leads FOR EACH ROW WHEN (NEW.id IN (105, 106) AND NEW.stage = 'rejected') EXECUTE FUNCTION site();
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = CASE id WHEN 105 THEN 'bad_data' ELSE 'no_need' END WHERE id IN (105, 106);
DROP TRIGGER site ON leadflow.leads;
BEGIN;
SET LOCAL leadflow.quiet = on;
SELECT leadflow.move(107, 'rejected', 'wrong_territory', actor => 'sam@our.example');
COMMIT;
SELECT i AS lead, story(i) FROM generate_series(101, 107) i;
SELECT lead_id, owner_id, why FROM leadflow.handoffs WHERE lead_id BETWEEN 101 AND 107 AND decided_at IS NULL ORDER BY lead_id;
SELECT * FROM cases WHERE lead_id BETWEEN 101 AND 107;
SELECT * FROM leadflow.verify();
SET leadflow.clock = '2026-03-19 11:20Z';
-- If the site doesn't list the move for the system, the lead stays.
UPDATE leadflow.stage_transitions SET teams = '{leadership}' WHERE from_stage = 'rejected' AND to_stage = 'disqualified';
CALL offer(25, 25);
SELECT leadflow.move(25, 'rejected', 'bad_data', actor => 'sam@our.example');
SELECT story(25);
UPDATE leadflow.stage_transitions SET teams = '{system}' WHERE from_stage = 'rejected' AND to_stage = 'disqualified';
-- The engine's own moves go no further: no circle.
BEGIN;
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams) VALUES ('disqualified', 'rejected', '{system}');
UPDATE leadflow.stage_reasons SET next_stage = 'rejected' WHERE stage = 'disqualified' AND reason = 'bad_data';
CALL offer(26, 26);
SELECT leadflow.move(26, 'rejected', 'bad_data', actor => 'sam@our.example');
SELECT story(26);
ROLLBACK;

--
-- The lead moves on otherwise: a deal.
--
INSERT INTO leadflow.deals (id, lead_id, amount) VALUES (1, 24, 100);
SELECT * FROM cases WHERE lead_id = 24;
SELECT * FROM leadflow.review(24, 'overturn', 'mia@our.example');
SELECT stage FROM leadflow.leads WHERE id = 24;

--
-- The reason is corrected: the case follows it.
--
CALL offer(30, 33);
SET leadflow.actor = 'sam@our.example';
UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget' WHERE id BETWEEN 30 AND 32;
SELECT * FROM leadflow.review(30, 'overturn', 'mia@our.example');
UPDATE leadflow.leads SET stage_reason = 'competitor', stage_note = 'they build the same' WHERE id = 30;
SELECT reason, note, votes_overturn FROM leadflow.review_queue WHERE lead_id = 30;
-- to one that is not reviewed: closed, and the lead goes where that leads
UPDATE leadflow.leads SET stage_reason = 'bad_data' WHERE id = 31;
SELECT story(31);
-- to one that leads nowhere, and back
INSERT INTO leadflow.stage_reasons (stage, reason) VALUES ('rejected', 'unclear');
UPDATE leadflow.leads SET stage_reason = 'unclear' WHERE id = 32;
SELECT * FROM cases WHERE lead_id = 32;
SET leadflow.clock = '2026-03-19 12:00Z';
UPDATE leadflow.leads SET stage_reason = 'no_need' WHERE id = 32;
SELECT * FROM cases WHERE lead_id = 32;
-- a note alone opens nothing, and gives no second review after a verdict
UPDATE leadflow.stage_reasons SET next_stage = NULL WHERE stage = 'rejected' AND reason = 'no_need';
SELECT outcome, stage FROM leadflow.review(32, 'uphold', 'mia@our.example');
SELECT outcome, stage FROM leadflow.review(32, 'uphold', 'lea@our.example');
UPDATE leadflow.leads SET stage_note = 'really' WHERE id = 32;
UPDATE leadflow.leads SET stage_reason = 'no_budget' WHERE id = 32;
SELECT * FROM cases WHERE lead_id = 32;
-- marketing doesn't send it back to sales, or away, by correcting the reason
SET leadflow.actor = 'mia@our.example';
\set VERBOSITY default
UPDATE leadflow.leads SET stage_reason = 'wrong_territory' WHERE id = 30;
\set VERBOSITY terse
UPDATE leadflow.leads SET stage_note = 'marketing adds a note' WHERE id = 30;
RESET leadflow.actor;
UPDATE leadflow.stage_reasons SET next_stage = 'nurture' WHERE stage = 'rejected' AND reason = 'no_need';
SELECT * FROM leadflow.verify();

--
-- Marketing's case
--
SELECT leadflow.contest(30, 'They do not', 'mia@our.example') IS NOT NULL AS contested;
SET leadflow.clock = '2026-03-19 13:00Z';
SELECT leadflow.contest(30, 'They really do not', 'lea@our.example') IS NOT NULL AS contested;
SELECT contested_at, contested_by, contest_note FROM leadflow.review_queue WHERE lead_id = 30;
SELECT leadflow.contest(30, 'hm', 'sue@our.example');
SELECT leadflow.contest(30, ' ', 'mia@our.example');
SELECT leadflow.contest(30, NULL, 'mia@our.example');
SELECT leadflow.contest(33, 'it is with sales', 'mia@our.example');
SELECT leadflow.contest(99, 'nowhere', 'mia@our.example');
-- what reviewers have upheld is upheld
SELECT leadflow.contest(32, 'again', 'mia@our.example');
-- a rejection that nobody looked at gets its review: imported, quiet, by a reason that isn't reviewed, by time
INSERT INTO leadflow.leads (id, email, stage, stage_reason, stage_since, campaign_id) VALUES (40, 'old@one.example', 'rejected', 'no_budget', '2026-01-05Z', 1);
CALL offer(41, 42);
BEGIN;
SET LOCAL leadflow.quiet = on;
SELECT leadflow.move(41, 'rejected', 'no_budget', actor => 'sam@our.example');
COMMIT;
SELECT leadflow.move(42, 'rejected', 'unclear', actor => 'sam@our.example');
SELECT count(*) FROM leadflow.review_queue WHERE lead_id BETWEEN 40 AND 42;
SELECT leadflow.contest(i, 'Have you asked them?', 'mia@our.example') IS NOT NULL AS opened FROM generate_series(40, 42) i;
SELECT lead_id, reason, rejected_by, opened_at, due_at, contest_note, votes_needed, reviewers_left FROM leadflow.review_queue WHERE lead_id BETWEEN 40 AND 42 ORDER BY 1;
-- the importer's lead has nobody's part but the campaign's
SELECT * FROM leadflow.review(40, 'overturn', 'sam@our.example');
SELECT * FROM leadflow.review(40, 'overturn', 'sue@our.example');
SELECT story(40);
SET leadflow.clock = '2026-03-26 13:00Z';
SELECT count(*) FROM leadflow.check_sla();
SELECT * FROM cases WHERE lead_id = 42;
SELECT leadflow.contest(42, 'Nobody has looked', 'mia@our.example') IS NOT NULL AS opened;
SELECT * FROM cases WHERE lead_id = 42;
SELECT count(*) FROM leadflow.notifications WHERE event = 'review.opened' AND lead_id = 42;
SELECT * FROM leadflow.verify();

--
-- Undone, deleted, in another isolation level
--
CALL offer(50, 53);
BEGIN;
SAVEPOINT a;
SELECT leadflow.move(50, 'rejected', 'no_need', actor => 'sam@our.example');
SELECT * FROM leadflow.review(50, 'overturn', 'mia@our.example');
ROLLBACK TO a;
SELECT stage FROM leadflow.leads WHERE id = 50;
SELECT count(*) FROM leadflow.reviews WHERE lead_id = 50;
SELECT leadflow.move(50, 'rejected', 'no_need', actor => 'sam@our.example');
SELECT votes_overturn FROM leadflow.review(50, 'overturn', 'mia@our.example');
SAVEPOINT b;
SELECT outcome FROM leadflow.review(50, 'overturn', 'lea@our.example');
ROLLBACK TO b;
SELECT outcome FROM leadflow.review(50, 'uphold', 'lea@our.example');
SELECT outcome, stage FROM leadflow.review(50, 'uphold', 'sue@our.example');
COMMIT;
SELECT story(50);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT leadflow.move(51, 'rejected', 'wrong_territory', actor => 'sam@our.example');
SELECT leadflow.move(52, 'rejected', 'no_need', actor => 'sam@our.example');
SELECT outcome, stage FROM leadflow.review(52, 'overturn', 'mia@our.example');
SELECT outcome, stage FROM leadflow.review(52, 'overturn', 'lea@our.example');
COMMIT;
SELECT story(51), story(52);
SELECT leadflow.move(53, 'rejected', 'no_need', actor => 'sam@our.example');
SELECT votes_overturn FROM leadflow.review(53, 'overturn', 'mia@our.example');
DELETE FROM leadflow.leads WHERE id = 53;
SELECT count(*) FROM leadflow.reviews WHERE lead_id = 53;
SELECT * FROM leadflow.review(53, 'overturn', 'lea@our.example');
-- a member who has voted stays
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES (6, 'Leo', 'leo@our.example', 'leadership');
SELECT leadflow.move(33, 'rejected', 'no_need', actor => 'sam@our.example');
SELECT votes_uphold FROM leadflow.review(33, 'uphold', 'leo@our.example');
DELETE FROM leadflow.team_members WHERE id = 6;
UPDATE leadflow.team_members SET reviewer = false WHERE id = 6;
SELECT * FROM leadflow.verify();

--
-- A dated move: the case is dated with it. A site's own stage is reviewed like any.
--
CALL offer(54, 55);
SET leadflow.clock = '2026-03-27 09:00Z';
SELECT leadflow.move(54, 'rejected', 'no_need', at => '2026-03-26 18:00Z');
SELECT * FROM cases WHERE lead_id = 54;
INSERT INTO leadflow.stages (name, category) VALUES ('parked', 'recycle');
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams, requires_reason) VALUES
	('sql', 'parked', '{sales}', true), ('parked', 'sql', '{system}', false), ('parked', 'mql', '{marketing}', false);
INSERT INTO leadflow.stage_reasons (stage, reason, reviewed) VALUES ('parked', 'full', true);
SELECT leadflow.move(55, 'parked', 'full', actor => 'sam@our.example');
SELECT stage, votes_needed, reviewers_left FROM leadflow.review_queue WHERE lead_id = 55;
SELECT * FROM leadflow.review(55, 'overturn', 'sam@our.example');
SELECT outcome FROM leadflow.review(55, 'overturn', 'mia@our.example');
SELECT outcome, stage FROM leadflow.review(55, 'overturn', 'sue@our.example');
SELECT leadflow.move(55, 'parked', 'full', actor => 'sam@our.example');
SELECT leadflow.move(55, 'mql', actor => 'mia@our.example');
SELECT * FROM cases WHERE lead_id = 55;

--
-- Many at once: a few statements, whatever the number.
--
INSERT INTO leadflow.leads (id, email, stage, owner_id, campaign_id) SELECT i, i || '@many.example', 'sql', 3, 1 + i % 2 FROM generate_series(1001, 3000) i;
UPDATE leadflow.leads SET stage = 'rejected', stage_by = 'sam@our.example',
	stage_reason = (ARRAY['no_budget', 'no_need', 'bad_data', 'wrong_territory'])[1 + id % 4] WHERE id > 1000;
SELECT stage, count(*) FROM leadflow.leads WHERE id > 1000 GROUP BY 1 ORDER BY 1;
SELECT reason, count(*) FROM leadflow.review_queue WHERE lead_id > 1000 GROUP BY 1 ORDER BY 1;
SELECT recipient_id, team, count(*) FROM leadflow.notifications WHERE event = 'review.opened' AND lead_id > 1000 GROUP BY 1, 2 ORDER BY 1;
SET leadflow.clock = '2026-04-03 09:00Z';
SELECT count(*) FROM leadflow.check_sla();
SELECT stage, count(*) FROM leadflow.leads WHERE id > 1000 GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM leadflow.review_queue;
SELECT * FROM leadflow.verify();

--
-- Who calls it: a reviewer for himself, a backend for others, nobody for a lead that is hidden from him.
--
DROP ROLE IF EXISTS lfr_reader, lfr_reviewer, lfr_marketing, lfr_sales, lfr_app, lfr_admin, lfr_mia, lfr_lea, lfr_crm;
SELECT count(*) FROM leadflow.setup_roles('lfr');
CREATE ROLE lfr_mia IN ROLE lfr_marketing;
CREATE ROLE lfr_lea IN ROLE lfr_reviewer;
CREATE ROLE lfr_crm IN ROLE lfr_app;
UPDATE leadflow.team_members SET db_role = CASE id WHEN 1 THEN 'lfr_mia' ELSE 'lfr_lea' END WHERE id IN (1, 5);
CALL offer(70, 71);
SELECT leadflow.move(i, 'rejected', 'no_need', actor => 'sam@our.example') FROM generate_series(70, 71) i;
SET SESSION AUTHORIZATION lfr_mia;
SELECT votes_uphold, votes_overturn FROM leadflow.review(70, 'overturn');
SELECT * FROM leadflow.review(70, 'overturn', 'lea@our.example');
SELECT leadflow.contest(70, 'A good one') IS NOT NULL AS contested;
SELECT leadflow.contest(70, 'A good one', 'lea@our.example');
UPDATE leadflow.reviews SET verdict = 'overturn' WHERE lead_id = 70;
SET SESSION AUTHORIZATION lfr_lea;
SELECT leadflow.contest(70, 'not my part');
SELECT lead_id FROM leadflow.review_queue WHERE lead_id IN (70, 71) ORDER BY 1;
RESET SESSION AUTHORIZATION;
ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY half ON leadflow.leads TO lfr_reviewer USING (id <> 71);
SET SESSION AUTHORIZATION lfr_lea;
SELECT lead_id FROM leadflow.review_queue WHERE lead_id IN (70, 71) ORDER BY 1;
SELECT * FROM leadflow.review(71, 'overturn');
SELECT votes_overturn, outcome, stage FROM leadflow.review(70, 'overturn');
RESET SESSION AUTHORIZATION;
DROP POLICY half ON leadflow.leads;
ALTER TABLE leadflow.leads DISABLE ROW LEVEL SECURITY;
SET SESSION AUTHORIZATION lfr_crm;
SELECT * FROM leadflow.review(71, 'overturn');
SELECT votes_overturn FROM leadflow.review(71, 'overturn', 'sue@our.example');
BEGIN;
SET LOCAL leadflow.actor = 'lea@our.example';
SELECT outcome, stage FROM leadflow.review(71, 'overturn');
COMMIT;
RESET SESSION AUTHORIZATION;
CREATE ROLE lfr_nobody;
SET ROLE lfr_nobody;
SELECT * FROM leadflow.review(71, 'overturn');
RESET ROLE;
UPDATE leadflow.team_members SET db_role = NULL;
DROP OWNED BY lfr_reader, lfr_reviewer, lfr_marketing, lfr_sales, lfr_app, lfr_admin;
DROP ROLE lfr_reader, lfr_reviewer, lfr_marketing, lfr_sales, lfr_app, lfr_admin, lfr_mia, lfr_lea, lfr_crm, lfr_nobody;
SELECT * FROM leadflow.verify();

--
-- Reports
--
SELECT month_start, reason, rejected_by, campaign, cases, still_open, upheld_by_votes, upheld_by_time, overturned, dropped, decided, overturn_rate
FROM leadflow.review_outcomes WHERE campaign_id = 1 ORDER BY month_start, reason, rejected_by;
SELECT month_start, reason, rejected_by, campaign, rejected, reviewed, upheld, overturned, rerouted, net
FROM leadflow.rejections_monthly WHERE campaign_id = 1 ORDER BY month_start, reason, rejected_by;
-- They add up.
SELECT sum(cases) = sum(still_open + decided + dropped) AS cases, sum(decided) = sum(upheld_by_votes + upheld_by_time + overturned) AS decided FROM leadflow.review_outcomes;
SELECT (SELECT sum(rejected) FROM leadflow.rejections_monthly) = (SELECT count(*) FROM leadflow.stage_history WHERE to_stage = 'rejected') AS rejected,
	(SELECT sum(reviewed) FROM leadflow.rejections_monthly) = (SELECT sum(cases) FROM leadflow.review_outcomes) AS reviewed,
	(SELECT sum(overturned) FROM leadflow.rejections_monthly) = (SELECT sum(overturned) FROM leadflow.review_outcomes) AS overturned,
	(SELECT sum(net) = sum(rejected - overturned - rerouted) FROM leadflow.rejections_monthly) AS net;

--
-- Damage is found and repaired
--
DELETE FROM leadflow.leads WHERE id > 1000;
CALL offer(60, 62);
SELECT leadflow.move(i, 'rejected', 'no_need', actor => 'sam@our.example') FROM generate_series(60, 62) i;
SELECT r.outcome FROM unnest('{mia,lea}'::text[]) i CROSS JOIN LATERAL leadflow.review(62, 'overturn', i || '@our.example') r;
SET session_replication_role = replica;
UPDATE leadflow.leads SET stage = 'nurture', stage_since = leadflow.now() WHERE id = 60;
DELETE FROM leadflow.leads WHERE id = 61;
UPDATE leadflow.reviews SET closed_at = NULL, closed_by = NULL, verdict = NULL WHERE lead_id = 2;
UPDATE leadflow.review_votes SET verdict = 'uphold' WHERE review_id = (SELECT id FROM leadflow.reviews WHERE lead_id = 62);
SET session_replication_role = origin;
SELECT check_name, regexp_replace(object_id, '^\d+ of ', '') AS object, kept, recomputed FROM leadflow.verify() WHERE check_name LIKE 'review%' ORDER BY 1, 2;
SELECT check_name FROM leadflow.reconcile() WHERE check_name LIKE 'review%';
SELECT check_name FROM leadflow.reconcile() WHERE check_name LIKE 'review%';
SELECT check_name, regexp_replace(object_id, '^\d+ of ', '') AS object, kept, recomputed FROM leadflow.verify() WHERE check_name LIKE 'review%' ORDER BY 1, 2;
SELECT * FROM cases WHERE lead_id IN (2, 60);
