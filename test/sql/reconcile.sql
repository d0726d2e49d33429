--
-- Repair: damage of every kind is found and mended for a range of leads as for all of
-- them, silently; and what limits keep may be damaged without anybody scoring wrong for good.
--
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
SET leadflow.clock = '2026-03-02 09:00Z';	-- a Monday
\i test/fixtures/thaw.sql

UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
INSERT INTO leadflow.scoring_models (id, name, mql_threshold) VALUES (900, 'mend', 50);
INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, half_life) VALUES
	(901, 900, 'fit', 'fit', NULL), (902, 900, 'deeds', 'engagement', '10 days');
INSERT INTO leadflow.scoring_rules (id, model_id, group_id, name, activity_kind, points, max_count, per, once_per) VALUES
	(900, 900, 902, 'click', 'cta_click', 1, NULL, NULL, NULL),
	(901, 900, 902, 'page', 'page_view', 4, 2, 'day', NULL),
	(902, 900, 902, 'file', 'content_download', 5, 1, NULL, '$.content'),
	(903, 900, 902, 'webinar', 'webinar_attended', 6, 1, NULL, NULL);
INSERT INTO leadflow.personas (id, model_id, name) VALUES (904, 900, 'boss');
INSERT INTO leadflow.persona_criteria (persona_id, name, condition, points) VALUES (904, 'title', '$.job_title == "vp"', 60);
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;
INSERT INTO leadflow.team_members (id, full_name, email, team) VALUES
	(911, 'Mara', 'mara@example.com', 'marketing'), (912, 'Sam', 'sam@example.com', 'sales');
INSERT INTO leadflow.campaigns (id, code, name, channel) VALUES (921, 'spring', 'Spring', 'webinar');

-- Twelve leads: all did something, each third was handed over and called, 3 and 6 are in won deals.
INSERT INTO leadflow.leads (id, email, created_at)
SELECT i, 'l' || i || '@x.example', '2026-02-01' FROM generate_series(1, 12) i;
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind, content, campaign_id)
SELECT l, timestamptz '2026-02-20 09:00Z' + n * interval '5 hours', md5(format('%s %s %s', l, n, k))::uuid, k, 'c' || n % 2, CASE WHEN n = 1 THEN 921 END
FROM generate_series(1, 12) l, generate_series(0, 4) n, unnest('{cta_click,page_view,content_download,webinar_attended}'::text[]) k;
UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mara@example.com' WHERE id % 3 = 0;
UPDATE leadflow.leads SET stage = 'sql', owner_id = 912, stage_by = 'mara@example.com' WHERE id % 3 = 0;
SET leadflow.clock = '2026-03-02 10:00Z';
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'call' FROM generate_series(3, 12, 3) i;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE id = 12;
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, status, opened_at, closed_at) VALUES
	(951, 3, 'Big', 100.01, 'EUR', 'won', '2026-03-01', '2026-03-02'), (952, 6, 'Small', 10, 'EUR', 'won', '2026-03-01', '2026-03-02');
INSERT INTO leadflow.deal_contacts (deal_id, lead_id) VALUES (951, 9);
INSERT INTO leadflow.deals (id, lead_id, name, amount, currency, status, opened_at, closed_at, corrects_deal_id) VALUES
	(953, NULL, 'Refund', -10, 'EUR', 'won', '2026-03-02', '2026-03-02', 951);
SELECT * FROM leadflow.verify();
CREATE TABLE public.stages AS SELECT l.id, l.stage FROM leadflow.leads l;

-- Damage of leads and ranges that hold it, or don't. What a range does not find it does not mend.
CREATE TABLE public.damage (id integer GENERATED ALWAYS AS IDENTITY, what text, lead_range int8range, elsewhere int8range, statement text);
INSERT INTO public.damage (what, lead_range, elsewhere, statement) VALUES
	('activity unseen', '[2,2]', '[3,]', $$INSERT INTO leadflow.activities (lead_id, occurred_at, recorded_at, kind) VALUES (2, '2026-03-01', '2026-03-02', 'cta_click')$$),
	('touch unseen', '[9,9]', '[,8]', $$INSERT INTO leadflow.activities (lead_id, occurred_at, recorded_at, kind) VALUES (9, '2026-03-02 09:30Z', '2026-03-02', 'call')$$),
	('touch of a campaign unseen', '[9,9]', '[4,8]', $$INSERT INTO leadflow.activities (lead_id, occurred_at, id, recorded_at, kind, campaign_id) VALUES (9, '2026-03-01', md5('unseen')::uuid, '2026-03-02', 'webinar_signup', 921)$$),
	('activity gone', '[1,1]', '[2,]', $$DELETE FROM leadflow.activities WHERE lead_id = 1 AND kind = 'webinar_attended' AND occurred_at > '2026-02-21'$$),
	('attribute changed', '[,4]', '[5,]', $$UPDATE leadflow.leads SET job_title = 'vp' WHERE id = 4$$),
	('state row gone', '[5,5]', '[6,]', $$DELETE FROM leadflow.score_state WHERE lead_id = 5$$),
	('state row of nobody', '[-7,0]', '[1,]', $$INSERT INTO leadflow.score_state (lead_id, model_id) VALUES (-7, 900)$$),
	('sums', '[7,7]', '[8,]', $$UPDATE leadflow.score_state SET sums = ARRAY[sums[1] + 1] WHERE lead_id = 7$$),
	('limits', '[7,7]', '[8,]', $$UPDATE leadflow.score_state SET limits = substring(limits FOR 4) WHERE lead_id = 7$$),
	('watch', '[8,9]', '[10,]', $$UPDATE leadflow.score_state SET watch = 31 WHERE lead_id = 8$$),
	('watch of a credited lead', '[9,9]', '[10,]', $$UPDATE leadflow.score_state SET watch = watch & ~6 WHERE lead_id = 9$$),
	('stage moved', '[10,11]', '[,9]', $$UPDATE leadflow.leads SET stage = 'sql', stage_since = '2026-03-02 09:30Z' WHERE id = 10$$),
	('history gone', '[11,11]', '[,10]', $$DELETE FROM leadflow.stage_history WHERE lead_id = 11$$),
	('cycle', '[11,11]', '[,10]', $$UPDATE leadflow.score_state SET cycle = 4, cycle_since = NULL WHERE lead_id = 11$$),
	('decision gone', '[12,]', '[,11]', $$UPDATE leadflow.handoffs SET decided_at = NULL, decision = NULL WHERE lead_id = 12$$),
	('touches', '[12,]', '[,11]', $$UPDATE leadflow.handoffs SET touches = 7 WHERE lead_id = 12$$),
	('clock', '[6,6]', '[7,]', $$UPDATE leadflow.sla_clocks SET state = 'running', stopped_at = NULL WHERE lead_id = 6 AND metric = 'time_to_first_touch'$$),
	('credit gone', '[3,3]', '[4,8]', $$DELETE FROM leadflow.attribution_credits WHERE deal_id = 951$$),
	('credit of a correction', '[9,9]', '[4,8]', $$UPDATE leadflow.attribution_credits SET credit = credit + 1 WHERE deal_id = 953$$),
	('deal gone', '[12,]', '[1,12]', $$DELETE FROM leadflow.deals WHERE id = 952; UPDATE leadflow.score_state SET watch = watch & ~4 WHERE lead_id = 6$$),
	('contact gone', '[3,3]', '[10,12]', $$DELETE FROM leadflow.deal_contacts$$),
	('everything of a lead', '[3,3]', '[4,8]', $$DELETE FROM leadflow.score_state WHERE lead_id = 3; DELETE FROM leadflow.stage_history WHERE lead_id = 3; DELETE FROM leadflow.handoffs WHERE lead_id = 3; DELETE FROM leadflow.sla_clocks WHERE lead_id = 3; DELETE FROM leadflow.attribution_credits WHERE deal_id = 951$$);

-- For each: rows that verify() has for the range and elsewhere, what reconcile() of the
-- range returns, and what is left. It is undone, and mended once more by reconcile() of all.
CREATE FUNCTION public.mend(d public.damage) RETURNS TABLE (seen text, elsewhere bigint, mended text, remains bigint,
	mended_by_all boolean, moved boolean) LANGUAGE plpgsql AS $$
DECLARE
	history bigint;
	in_range bigint[] := ARRAY[lower(d.lead_range), upper(d.lead_range) - 1];
BEGIN
	SET LOCAL session_replication_role = replica;
	EXECUTE d.statement;
	SET LOCAL session_replication_role = origin;
	history := (SELECT count(*) FROM leadflow.stage_history);
	seen := (SELECT string_agg(DISTINCT v.check_name, ', ') FROM leadflow.verify(in_range[1], in_range[2]) v);
	elsewhere := (SELECT count(*) FROM leadflow.verify(lower(d.elsewhere), upper(d.elsewhere) - 1));
	BEGIN
		PERFORM leadflow.reconcile();
		PERFORM leadflow.settle();
		mended_by_all := NOT EXISTS (SELECT FROM leadflow.verify());
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	mended := (SELECT string_agg(DISTINCT r.check_name, ', ') FROM leadflow.reconcile(in_range[1], in_range[2]) r);
	PERFORM leadflow.settle();
	remains := (SELECT count(*) FROM leadflow.verify());
	moved := EXISTS (SELECT FROM leadflow.stage_history h OFFSET history + 1) OR EXISTS (
		SELECT FROM leadflow.leads l JOIN public.stages s ON s.id = l.id WHERE l.stage <> s.stage AND d.what <> 'stage moved');
	RETURN NEXT;
	RAISE NOTICE '%', format('%s: found %s; elsewhere %s; mended %s; remain %s; by all %s; moved %s',
		d.what, seen, elsewhere, mended, remains, mended_by_all, moved);
END $$;
SET client_min_messages = notice;
DO $$
DECLARE
	d public.damage;
BEGIN
	FOR d IN SELECT * FROM public.damage ORDER BY id LOOP
		BEGIN
			PERFORM public.mend(d);
			RAISE EXCEPTION 'undo';
		EXCEPTION WHEN raise_exception THEN NULL;
		END;
	END LOOP;
END $$;
SET client_min_messages = warning;
SELECT * FROM leadflow.verify();

-- What verify() cannot see is mended, too.
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.score_state SET hand_raised_at = '2026-03-01', hand_raised_by = gen_random_uuid() WHERE lead_id = 7;
SET LOCAL session_replication_role = origin;
SELECT * FROM leadflow.reconcile(8, NULL);
SELECT lead_id, hand_raised_at FROM leadflow.score_state WHERE lead_id = 7;
SELECT * FROM leadflow.reconcile(NULL, 7);
SELECT lead_id, hand_raised_at FROM leadflow.score_state WHERE lead_id = 7;
ROLLBACK;

-- Portions find together what the whole finds, in whatever portions.
BEGIN;
SET LOCAL session_replication_role = replica;
DO $$
DECLARE
	d public.damage;
BEGIN
	FOR d IN SELECT * FROM public.damage WHERE what NOT LIKE 'everything%' ORDER BY id LOOP
		EXECUTE d.statement;
	END LOOP;
END $$;
SET LOCAL session_replication_role = origin;
CREATE TEMP TABLE whole AS SELECT * FROM leadflow.verify();
SELECT check_name, count(*) FROM whole GROUP BY 1 ORDER BY 1;
CREATE TEMP TABLE portions AS
	SELECT v.* FROM generate_series(-7, 10, 3) p, leadflow.verify(p, CASE WHEN p + 3 <= 10 THEN p + 2 END) v
	UNION SELECT * FROM leadflow.verify(NULL, -8);
SELECT 'whole' AS only_in, x.* FROM (TABLE whole EXCEPT TABLE portions) x UNION ALL SELECT 'portions', x.* FROM (TABLE portions EXCEPT TABLE whole) x;
-- An empty range, and one that is not there
SELECT count(*) FROM leadflow.verify(5, 4);
SELECT count(*) FROM leadflow.reconcile(5, 4);
SELECT count(*) FROM leadflow.verify(1000, 2000);
-- In portions, too, all is mended but the chain of history, which nobody can know.
SELECT count(*) > 0 AS mended FROM generate_series(-7, 10, 3) p, leadflow.reconcile(p, CASE WHEN p + 3 <= 10 THEN p + 2 END);
SELECT check_name, object_id FROM leadflow.verify();
SELECT id, stage FROM leadflow.leads WHERE stage <> 'lead' ORDER BY id;
ROLLBACK;
SELECT * FROM leadflow.verify();

-- What the transaction did before counts once; so it does for rescore().
BEGIN;
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, '2026-03-02 09:30Z', 'cta_click'), (2, '2026-03-02 09:30Z', 'page_view');
SELECT count(*) FROM leadflow.reconcile(1, 1);
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, '2026-03-02 09:40Z', 'cta_click'), (2, '2026-03-02 09:40Z', 'page_view');
SELECT count(*) FROM leadflow.reconcile();
INSERT INTO leadflow.activities (lead_id, occurred_at, kind) VALUES (1, '2026-03-02 09:50Z', 'cta_click'), (2, '2026-03-02 09:50Z', 'page_view');
SELECT leadflow.rescore();
COMMIT;
SELECT * FROM leadflow.verify();

-- A lead that came unseen and would pass the gate at once waits for promote_ready().
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO leadflow.leads (id, email, job_title, created_at, stage_since) VALUES (20, 'vp@x.example', 'vp', '2026-03-01', '2026-03-01'), (21, 'vp2@x.example', 'vp', '2026-03-01', '2026-03-01');
SET LOCAL session_replication_role = origin;
SELECT check_name, object_id FROM leadflow.reconcile(20, 20) ORDER BY 1;
SELECT check_name, object_id FROM leadflow.reconcile() ORDER BY 1;
COMMIT;
SELECT l.id, l.stage, s.score, s.mql_ready FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id WHERE l.id >= 20 ORDER BY 1;
DELETE FROM leadflow.leads WHERE id >= 20;

-- Under REPEATABLE READ and SERIALIZABLE
BEGIN ISOLATION LEVEL SERIALIZABLE;
SET LOCAL session_replication_role = replica;
UPDATE leadflow.score_state SET sums = '{99}' WHERE lead_id < 3;
SET LOCAL session_replication_role = origin;
SELECT check_name, object_id FROM leadflow.reconcile(1, 2) ORDER BY 1, 2;
SELECT * FROM leadflow.verify();
COMMIT;

--
-- What limits keep, damaged: what cannot be read (or was kept under another definition, or is
-- NULL) is computed anew from the activities by whoever adds to it; what can be read and is
-- wrong, verify() finds.
--
CREATE FUNCTION public.u16(i integer) RETURNS bytea LANGUAGE sql RETURN substring(int4send(i) FROM 3);
-- Four bytes tell the definition. Rules are numbered by id: the click 0, pages 1, files 2, the webinar 3.
CREATE TABLE public.garbage (id integer GENERATED ALWAYS AS IDENTITY, what text, limits bytea);
INSERT INTO public.garbage (what, limits)
SELECT w, f.f || b
FROM (SELECT substring(s.limits FOR 4) FROM leadflow.score_state s WHERE s.lead_id = 1) f (f), (VALUES
	('nothing at all', ''::bytea),
	('a byte', '\x00'),
	('half a head', '\x0001'),
	('a head without its bucket', '\x00010001'),
	('half an instant', '\x0003000100'),
	('text', 'to be, or not to be, that is the question'),
	('zeros', decode(repeat('00', 64), 'hex')),
	('ones', decode(repeat('ff', 64), 'hex')),
	('a long run', u16(3) || u16(65535) || decode(repeat('00', 800), 'hex')),
	('rule 4', u16(4) || u16(1) || int8send(0)),
	('a rule without limit', u16(0) || u16(1) || int8send(0)),
	('more than the limit', u16(3) || u16(2) || int8send(1) || int8send(0)),
	('a rule twice', u16(3) || u16(1) || int8send(1) || u16(3) || u16(1) || int8send(0)),
	('rules out of order', u16(3) || u16(1) || int8send(0) || u16(1) || u16(0)),
	('instants out of order', u16(1) || u16(2) || int8send(0) || int8send(1) || int8send(2)),
	('before its bucket', u16(1) || u16(1) || int8send(1) || int8send(0)),
	('at no time', u16(3) || u16(1) || int8send(9223372036854775807)),
	('rules that are not kept', u16(1) || u16(0) || u16(2) || u16(0) || u16(3) || u16(0)),
	('one entry', u16(3) || u16(1) || int8send(0)),
	('a megabyte', decode(repeat('00030000', 250000), 'hex'))) g (w, b);
INSERT INTO public.garbage (what, limits) VALUES ('NULL', NULL), ('empty', ''), ('three bytes', '\x010203'), ('another definition', decode(repeat('5a', 90), 'hex'));

-- Lead 1 has it and does more; lead 2 has it and is mended.
CREATE FUNCTION public.garble(bytes bytea) RETURNS TABLE (seen boolean, right_at_once boolean, right_after_settling boolean, right_after_mending boolean) LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		SET LOCAL session_replication_role = replica;
		UPDATE leadflow.score_state SET limits = bytes WHERE lead_id IN (1, 2);
		SET LOCAL session_replication_role = origin;
		seen := EXISTS (SELECT FROM leadflow._limits_damaged(1, 2));
		INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) VALUES
			(1, '2026-03-02 09:58Z', 'page_view', 'c0'), (1, '2026-02-20 00:30Z', 'page_view', 'c0'),
			(1, '2026-03-02 09:58Z', 'content_download', 'c1'), (1, '2026-03-02 09:58Z', 'webinar_attended', 'c0');
		SELECT abs(leadflow.score(1) - o.score) < 1e-9 INTO right_at_once FROM leadflow._oracle_scores(leadflow.now(), NULL, '{1}') o;
		PERFORM leadflow.settle();
		SELECT abs(leadflow.score(1) - o.score) < 1e-9 AND NOT EXISTS (SELECT FROM leadflow._limits_damaged(1, 1))
		INTO right_after_settling FROM leadflow._oracle_scores(leadflow.now(), NULL, '{1}') o;
		PERFORM leadflow.reconcile(2, 2);
		right_after_mending := (SELECT s.limits IS NOT NULL AND s.limits IS DISTINCT FROM bytes FROM leadflow.score_state s WHERE s.lead_id = 2)
			AND NOT EXISTS (SELECT FROM leadflow._limits_damaged(2, 2));
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	RETURN NEXT;
END $$;
SELECT g.what, o.* FROM public.garbage g, public.garble(g.limits) o ORDER BY g.id;
-- Whatever byte is turned over: either it is seen, or it does no harm. Less than all of it is seen or harmless, too.
CREATE FUNCTION public.harm(bytes bytea) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	seen boolean;
	harmless boolean;
BEGIN
	BEGIN
		SET LOCAL session_replication_role = replica;
		UPDATE leadflow.score_state SET limits = bytes WHERE lead_id = 1;
		SET LOCAL session_replication_role = origin;
		seen := EXISTS (SELECT FROM leadflow._limits_damaged(1, 1));
		INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content) VALUES
			(1, '2026-03-02 09:58Z', 'page_view', 'c0'), (1, '2026-03-02 09:58Z', 'content_download', 'c1'), (1, '2026-03-02 09:58Z', 'webinar_attended', 'c0');
		PERFORM leadflow.settle();
		SELECT abs(leadflow.score(1) - o.score) < 1e-9 INTO harmless FROM leadflow._oracle_scores(leadflow.now(), NULL, '{1}') o;
		RAISE EXCEPTION 'undo';
	EXCEPTION WHEN raise_exception THEN NULL;
	END;
	RETURN NOT (seen OR harmless);
END $$;
SELECT count(*) > 50 AS many, count(*) FILTER (WHERE public.harm(set_byte(s.limits, n, 255 - get_byte(s.limits, n)))) AS harm
FROM leadflow.score_state s, generate_series(0, octet_length(s.limits) - 1) n WHERE s.lead_id = 1;
SELECT count(*) > 50 AS many, count(*) FILTER (WHERE public.harm(substring(s.limits FOR n))) AS harm
FROM leadflow.score_state s, generate_series(0, octet_length(s.limits) - 1) n WHERE s.lead_id = 1;
SELECT leadflow.rescore();
SELECT * FROM leadflow.verify();
RESET leadflow.clock;

-- ---- clocks of a lead that was never handed over -------------------------------
BEGIN;
INSERT INTO leadflow.sla_policies (name, metric, target) VALUES ('reconcile: moves on', 'time_in_stage', '1 day');
INSERT INTO leadflow.leads (id, email) VALUES (901, '901@on.example');
SET LOCAL session_replication_role = replica;
UPDATE leadflow.sla_clocks SET due_at = due_at + '1 day' WHERE lead_id = 901;
SET LOCAL session_replication_role = origin;
SELECT r.check_name FROM leadflow.reconcile() r WHERE r.check_name LIKE 'sla%';
SELECT v.* FROM leadflow.verify() v WHERE v.check_name LIKE 'sla%';
ROLLBACK;
