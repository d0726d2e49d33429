--
-- Clocks, metric by metric. What each is to show was worked out by hand from the tables "When clocks start and stop"
-- and "How time counts" of decision 0004; column differs shows it where the engine says otherwise.
--
\set VERBOSITY terse
SET TIME ZONE 'UTC';

DELETE FROM leadflow.sla_policies;
UPDATE leadflow.settings SET review_quorum = 1;
-- The desk is open Monday to Friday, 9 to 17; 2026-06-01 is a Monday. Evenings are worked from 17 to 21, every day.
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('desk', 'UTC'), ('evening', 'UTC');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
SELECT c.id, d, h.opens, h.closes
FROM (VALUES ('desk', 5, time '09:00', time '17:00'), ('evening', 7, '17:00', '21:00')) h (name, days, opens, closes)
JOIN leadflow.calendars c USING (name), generate_series(1, h.days) d;
INSERT INTO leadflow.team_members (id, full_name, email, team, calendar_id)
SELECT 900 + n, name, lower(name) || '@our.example', team, (SELECT c.id FROM leadflow.calendars c WHERE c.name = t.calendar)
FROM (VALUES (1, 'Ann', 'sales', 'desk'), (2, 'Bob', 'sales', 'evening'), (3, 'Cid', 'sales', NULL), (4, 'Mia', 'marketing', NULL),
	(5, 'Lea', 'marketing', NULL)) t (n, name, team, calendar);
INSERT INTO leadflow.activity_kinds (kind, role, expects_reply) VALUES ('question', 'engagement', true);
-- Which promise holds is said by the lead: 4 hours of the desk, a warning after 2.
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id, warn_fraction, condition)
SELECT m, m, '4 hours', c.id, 0.5, ('$.attributes.m == "' || m || '"')::jsonpath
FROM leadflow.calendars c, unnest('{time_to_handoff,time_to_accept,time_to_first_touch,time_to_first_contact,time_to_nurture,next_response,time_to_review}'::text[]) m
WHERE c.name = 'desk';
INSERT INTO leadflow.sla_policies (name, metric, target_count, within, calendar_id, warn_fraction, condition)
SELECT 'attempts', 'attempts', 3, '8 hours', c.id, 0.5, '$.attributes.m == "attempts"' FROM leadflow.calendars c WHERE c.name = 'desk';

CREATE PROCEDURE public.make(ids bigint[], metric text) LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, full_name, attributes)
	SELECT i, 'lead' || i || '@corp' || i || '.example', 'Lead ' || i, jsonb_build_object('m', metric) FROM unnest(ids) i;
$$;
CREATE PROCEDURE public.to_stage(ids bigint[], to_stage text, reason text DEFAULT NULL) LANGUAGE sql AS $$
	UPDATE leadflow.leads SET stage = to_stage, stage_reason = reason WHERE id = ANY (ids);
$$;
CREATE PROCEDURE public.hand_over(ids bigint[], metric text, member bigint DEFAULT 901) LANGUAGE sql AS $$
	CALL make(ids, metric);
	CALL to_stage(ids, 'mql');
	UPDATE leadflow.leads SET stage = 'sql', owner_id = member WHERE id = ANY (ids);
$$;
-- An activity of now, or of another instant.
CREATE PROCEDURE public.act(leads bigint[], kind text, at timestamptz DEFAULT leadflow.now()) LANGUAGE sql AS $$
	INSERT INTO leadflow.activities (lead_id, kind, occurred_at) SELECT l, kind, at FROM unnest(leads) l;
$$;
CREATE PROCEDURE public.void(lead bigint, kind text, at timestamptz) LANGUAGE sql AS $$
	UPDATE leadflow.activities a SET voided_at = leadflow.now(), void_reason = 'never was'
	WHERE a.lead_id = lead AND a.kind = void.kind AND a.occurred_at = at;
$$;
-- The clocks of the leads that are named, beside what they are to be: a line is lead, state, start, due, stop and, where
-- it matters, hours that have passed. A lead without a clock is 'none'.
CREATE FUNCTION public.clocks(of text, expected text)
RETURNS TABLE (lead bigint, state text, started text, due text, stopped text, elapsed numeric, differs text) LANGUAGE sql AS $$
	WITH w AS (
		SELECT f[1]::bigint AS lead, row_number() OVER (PARTITION BY f[1] ORDER BY o) AS n, f
		FROM regexp_split_to_table(btrim(expected, E' \t\n'), E'\n') WITH ORDINALITY l (line, o), regexp_split_to_array(btrim(line, E' \t'), E'\\s+') f
	), c AS (
		SELECT s.lead_id AS lead, row_number() OVER (PARTITION BY s.lead_id ORDER BY s.started_at, s.clock_id) AS n, s.state,
			to_char(s.started_at, 'DD/HH24:MI') AS started, coalesce(to_char(s.due_at, 'DD/HH24:MI'), '-') AS due,
			coalesce(to_char(s.stopped_at, 'DD/HH24:MI'), '-') AS stopped, round(s.elapsed_hours::numeric, 2) AS elapsed
		FROM leadflow.sla_status s
		WHERE s.metric = of AND s.lead_id IN (SELECT w.lead FROM w)
	)
	SELECT coalesce(c.lead, w.lead), c.state, c.started, c.due, c.stopped, c.elapsed,
		CASE WHEN (c.state, c.started, c.due, c.stopped) IS DISTINCT FROM (nullif(w.f[2], 'none'), w.f[3], w.f[4], w.f[5])
			OR w.f[6]::numeric <> c.elapsed THEN coalesce('expected ' || array_to_string(w.f[2:], ' '), 'not expected') END
	FROM c FULL JOIN w ON w.lead = c.lead AND w.n = c.n
	ORDER BY 1, coalesce(c.n, w.n);
$$;
-- What was told of clocks since the last call.
CREATE TABLE public.looked AS SELECT 0::bigint AS id;
CREATE FUNCTION public.told() RETURNS TABLE (event text, leads text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT n.event, string_agg(n.lead_id::text, ' ' ORDER BY n.lead_id)
	FROM leadflow.notifications n WHERE n.id > (SELECT l.id FROM public.looked l) AND n.event LIKE 'sla.%' GROUP BY 1 ORDER BY 1;
	UPDATE public.looked l SET id = (SELECT coalesce(max(n.id), l.id) FROM leadflow.notifications n);
END $$;

--
-- time_to_handoff: an MQL is handed over. Monday 10:00, 4 hours: due at 14:00.
--
SET leadflow.clock = '2026-06-01 10:00+00';
CALL make('{1,2,3,4,5,6,7,8,9,10}', 'time_to_handoff');
CALL to_stage('{1,2,3,4,5,6,7,8,9,10}', 'mql');
SET leadflow.clock = '2026-06-01 12:00+00';
CALL to_stage('{5}', 'nurture');
INSERT INTO leadflow.deals (lead_id, name, opened_at) VALUES (10, 'a deal', '2026-06-01 12:00+00');
SET leadflow.clock = '2026-06-01 13:00+00';
CALL to_stage('{1}', 'sql');
-- 2 to 4 and 6 to 9 warn since 12:00.
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();
SET leadflow.clock = '2026-06-01 14:00+00';
CALL to_stage('{2}', 'sql');
CALL to_stage('{6}', 'disqualified');
SELECT * FROM leadflow.check_sla();	-- that instant is in time
SET leadflow.clock = '2026-06-01 14:00:00.000001+00';
CALL to_stage('{3}', 'sql');
SET leadflow.clock = '2026-06-01 14:30+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- 3 was answered late, 4, 7, 8 and 9 aren't
SET leadflow.clock = '2026-06-01 15:00+00';
CALL to_stage('{7}', 'nurture');
SELECT leadflow.move(9, 'sql', at => '2026-06-01 13:30+00');
-- A lead that was taken back to marketing before, and comes again on Friday at 15:00.
SET leadflow.clock = '2026-06-05 15:00+00';
CALL to_stage('{5}', 'mql');
SELECT * FROM clocks('time_to_handoff', $$
	1 met       01/10:00 01/14:00 01/13:00 3
	2 met       01/10:00 01/14:00 01/14:00 4
	3 breached  01/10:00 01/14:00 01/14:00 4
	4 breached  01/10:00 01/14:00 -        37
	5 cancelled 01/10:00 01/14:00 01/12:00 2
	5 running   05/15:00 08/11:00 -        0
	6 cancelled 01/10:00 01/14:00 01/14:00 4
	7 breached  01/10:00 01/14:00 01/15:00 5
	8 breached  01/10:00 01/14:00 -        37
	9 met       01/10:00 01/14:00 01/13:30 3.5
	10 met      01/10:00 01/14:00 01/12:00 2$$);
SELECT * FROM leadflow.check_sla();
SELECT * FROM leadflow.verify();

--
-- time_to_accept: a decision. Monday 10:00, due at 14:00.
--
SET leadflow.clock = '2026-06-08 10:00+00';
CALL hand_over('{11,12,13,14,15,16,17,18,19,20}', 'time_to_accept');
SET leadflow.clock = '2026-06-08 12:00+00';
CALL to_stage('{15}', 'lead');
CALL to_stage('{20}', 'rejected', 'wrong_territory');	-- a decision, and back to sales at once
INSERT INTO leadflow.deals (lead_id, name, opened_at) VALUES (18, 'a deal', '2026-06-08 12:00+00');
SET leadflow.clock = '2026-06-08 13:00+00';
CALL to_stage('{11}', 'accepted');
CALL to_stage('{17}', 'rejected', 'no_need');
SET leadflow.clock = '2026-06-08 14:00+00';
CALL to_stage('{12}', 'accepted');
SET leadflow.clock = '2026-06-08 14:00:00.000001+00';
CALL to_stage('{13}', 'accepted');
SET leadflow.clock = '2026-06-08 14:30+00';
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();	-- breaches of 13, 14, 16 and 19, the warning of 20 (14:00), and 5 of above is due
SELECT * FROM told();
SET leadflow.clock = '2026-06-08 15:00+00';
CALL to_stage('{16}', 'lead');
SELECT leadflow.move(19, 'accepted', at => '2026-06-08 13:30+00');
SELECT * FROM clocks('time_to_accept', $$
	11 met       08/10:00 08/14:00 08/13:00
	12 met       08/10:00 08/14:00 08/14:00
	13 breached  08/10:00 08/14:00 08/14:00
	14 breached  08/10:00 08/14:00 -
	15 cancelled 08/10:00 08/14:00 08/12:00
	16 breached  08/10:00 08/14:00 08/15:00
	17 met       08/10:00 08/14:00 08/13:00
	18 met       08/10:00 08/14:00 08/12:00
	19 met       08/10:00 08/14:00 08/13:30
	20 met       08/10:00 08/14:00 08/12:00
	20 warning   08/12:00 08/16:00 -$$);
SELECT * FROM leadflow.verify();

--
-- time_to_first_touch: a sales touch. Monday 10:00, due at 14:00.
--
SET leadflow.clock = '2026-06-15 10:00+00';
CALL hand_over('{21,22,23,24,25,26,27,28,29,30,31,32,33,34,35}', 'time_to_first_touch');
CALL act('{32}', 'call');	-- at the instant of the start
SET leadflow.clock = '2026-06-15 11:00+00';
CALL act('{30}', 'page_view');
CALL act('{30}', 'call_inbound');	-- the lead's, not ours
CALL act('{30}', 'note');
SET leadflow.clock = '2026-06-15 12:00+00';
CALL to_stage('{25,33,34}', 'rejected', 'no_need');
CALL to_stage('{26}', 'accepted');
CALL to_stage('{35}', 'rejected', 'wrong_territory');	-- handed over anew
CALL act('{33}', 'call');	-- at the instant at which it leaves
SET leadflow.clock = '2026-06-15 13:00+00';
CALL act('{21,26,28,34,35}', 'call');	-- 34: too late, nobody has it
SET leadflow.clock = '2026-06-15 14:00+00';
CALL act('{22}', 'email_sent');
SET leadflow.clock = '2026-06-15 14:00:00.000001+00';
CALL act('{23}', 'meeting');
SET leadflow.clock = '2026-06-15 14:30+00';
CALL void(28, 'call', '2026-06-15 13:00+00');
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- 23 24 27 28 29 30 31, and 20 of above
SET leadflow.clock = '2026-06-15 15:00+00';
CALL to_stage('{27}', 'rejected', 'no_need');
CALL act('{29}', 'call', '2026-06-15 12:00+00');
COPY leadflow.activities (lead_id, kind, occurred_at) FROM stdin;
31	call	2026-06-15 14:45+00
31	call	2026-06-15 11:15+00
\.
SELECT * FROM clocks('time_to_first_touch', '28 breached 15/10:00 15/14:00 - 5');
CALL act('{28}', 'call');
SELECT * FROM clocks('time_to_first_touch', $$
	21 met       15/10:00 15/14:00 15/13:00
	22 met       15/10:00 15/14:00 15/14:00
	23 breached  15/10:00 15/14:00 15/14:00
	24 breached  15/10:00 15/14:00 -
	25 cancelled 15/10:00 15/14:00 15/12:00
	26 met       15/10:00 15/14:00 15/13:00
	27 breached  15/10:00 15/14:00 15/15:00
	28 breached  15/10:00 15/14:00 15/15:00
	29 met       15/10:00 15/14:00 15/12:00
	30 breached  15/10:00 15/14:00 -
	31 met       15/10:00 15/14:00 15/11:15
	32 met       15/10:00 15/14:00 15/10:00
	33 met       15/10:00 15/14:00 15/12:00
	34 cancelled 15/10:00 15/14:00 15/12:00
	35 cancelled 15/10:00 15/14:00 15/12:00
	35 met       15/12:00 15/16:00 15/13:00$$);
SELECT * FROM leadflow.verify();

--
-- time_to_first_contact: a conversation, whoever began it. Monday 10:00, due at 14:00.
--
SET leadflow.clock = '2026-06-22 10:00+00';
CALL hand_over('{41,42,43,44,45,46,47,48}', 'time_to_first_contact');
SET leadflow.clock = '2026-06-22 11:00+00';
CALL act('{41,44}', 'call');
SET leadflow.clock = '2026-06-22 12:00+00';
CALL to_stage('{45}', 'lead');
SET leadflow.clock = '2026-06-22 13:00+00';
CALL act('{41}', 'call_connected');
CALL act('{46}', 'meeting');
SET leadflow.clock = '2026-06-22 14:00+00';
CALL act('{42}', 'email_reply');
SET leadflow.clock = '2026-06-22 14:00:00.000001+00';
CALL act('{43}', 'call_inbound');
SET leadflow.clock = '2026-06-22 14:30+00';
CALL void(46, 'meeting', '2026-06-22 13:00+00');
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- 43 44 46 47 48
SET leadflow.clock = '2026-06-22 15:00+00';
CALL act('{47}', 'meeting', '2026-06-22 13:00+00');
CALL to_stage('{48}', 'rejected', 'no_need');
SELECT * FROM clocks('time_to_first_contact', $$
	41 met       22/10:00 22/14:00 22/13:00
	42 met       22/10:00 22/14:00 22/14:00
	43 breached  22/10:00 22/14:00 22/14:00
	44 breached  22/10:00 22/14:00 -
	45 cancelled 22/10:00 22/14:00 22/12:00
	46 breached  22/10:00 22/14:00 -
	47 met       22/10:00 22/14:00 22/13:00
	48 breached  22/10:00 22/14:00 22/15:00$$);
SELECT * FROM leadflow.verify();

--
-- attempts: three touches within 8 hours. Monday 10:00: 7 hours that day, due on Tuesday at 10:00.
--
SET leadflow.clock = '2026-07-06 09:30+00';
CALL make('{59}', 'attempts');
CALL act('{59}', 'call');	-- before it was handed over
SET leadflow.clock = '2026-07-06 10:00+00';
CALL hand_over('{51,52,53,54,55,56,57,58,60}', 'attempts');
CALL to_stage('{59}', 'mql');
CALL to_stage('{59}', 'sql');
SET leadflow.clock = '2026-07-06 11:00+00';
CALL act('{51,52,53,54,55,56,57,58,59,60}', 'call');
SET leadflow.clock = '2026-07-06 12:00+00';
CALL act('{51,52,53,54,55,56,57,58,59}', 'email_sent');
SET leadflow.clock = '2026-07-06 13:00+00';
CALL act('{51,56,57}', 'call');
SET leadflow.clock = '2026-07-06 14:00+00';
CALL act('{57}', 'call');
CALL void(56, 'email_sent', '2026-07-06 12:00+00');
CALL void(57, 'email_sent', '2026-07-06 12:00+00');	-- the fourth is the third now
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();	-- warnings at 14:00, but not of 51 and 57
SELECT * FROM told();
SET leadflow.clock = '2026-07-06 16:00+00';
CALL to_stage('{55}', 'rejected', 'no_need');
SELECT * FROM clocks('attempts', $$
	51 met       06/10:00 07/10:00 06/13:00
	55 cancelled 06/10:00 07/10:00 06/16:00
	56 warning   06/10:00 07/10:00 - 6
	57 met       06/10:00 07/10:00 06/14:00
	59 warning   06/10:00 07/10:00 - 6$$);
SELECT lead_id, target_hours, target_count, touches FROM leadflow.sla_status WHERE metric = 'attempts' AND lead_id IN (51, 56, 57, 59) ORDER BY 1;	-- 3 2 3 2
SET leadflow.clock = '2026-07-07 10:00+00';
CALL act('{52}', 'call');
SET leadflow.clock = '2026-07-07 10:00:00.000001+00';
CALL act('{53}', 'call');
SET leadflow.clock = '2026-07-07 11:00+00';
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- 53 54 56 58 59 60
CALL act('{58}', 'call', '2026-07-06 15:00+00');
CALL to_stage('{60}', 'lead');
SELECT * FROM clocks('attempts', $$
	52 met       06/10:00 07/10:00 07/10:00
	53 breached  06/10:00 07/10:00 07/10:00
	54 breached  06/10:00 07/10:00 -
	56 breached  06/10:00 07/10:00 -
	58 met       06/10:00 07/10:00 06/15:00
	59 breached  06/10:00 07/10:00 -
	60 breached  06/10:00 07/10:00 07/11:00$$);
SELECT * FROM leadflow.verify();

--
-- time_to_nurture: what was rejected or lost is nurtured. Monday 10:00, due at 14:00.
--
SET leadflow.clock = '2026-07-13 09:30+00';
CALL hand_over('{61,62,63,64,65,66,67,68,69,70}', 'time_to_nurture');
CALL to_stage('{69,70}', 'accepted');
INSERT INTO leadflow.deals (id, lead_id, name, opened_at) VALUES (69, 69, 'a deal', '2026-07-13 09:30+00'), (70, 70, 'a deal', '2026-07-13 09:30+00');
SET leadflow.clock = '2026-07-13 10:00+00';
CALL to_stage('{61,62,63,64,65,66,67}', 'rejected', 'no_need');
CALL to_stage('{68}', 'rejected', 'bad_data');	-- on to disqualified at once
UPDATE leadflow.deals SET status = 'lost', closed_at = '2026-07-13 10:00+00' WHERE id IN (69, 70);
SET leadflow.clock = '2026-07-13 12:00+00';
CALL to_stage('{65}', 'disqualified');
SET leadflow.clock = '2026-07-13 13:00+00';
CALL to_stage('{61,69}', 'nurture');
SET leadflow.clock = '2026-07-13 14:00+00';
CALL to_stage('{62}', 'nurture');
SET leadflow.clock = '2026-07-13 14:00:00.000001+00';
CALL to_stage('{63}', 'nurture');
SET leadflow.clock = '2026-07-13 14:30+00';
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- 63 64 66 67 70
SET leadflow.clock = '2026-07-13 15:00+00';
CALL to_stage('{66}', 'disqualified');
SELECT leadflow.move(67, 'nurture', at => '2026-07-13 13:30+00');
SELECT * FROM clocks('time_to_nurture', $$
	61 met       13/10:00 13/14:00 13/13:00
	62 met       13/10:00 13/14:00 13/14:00
	63 breached  13/10:00 13/14:00 13/14:00
	64 breached  13/10:00 13/14:00 -
	65 cancelled 13/10:00 13/14:00 13/12:00
	66 breached  13/10:00 13/14:00 13/15:00
	67 met       13/10:00 13/14:00 13/13:30
	68 cancelled 13/10:00 13/14:00 13/10:00
	69 met       13/10:00 13/14:00 13/13:00
	70 breached  13/10:00 13/14:00 -$$);
SELECT * FROM leadflow.verify();

--
-- next_response: a clock an episode, from the oldest unanswered question. Monday 10:00, due at 14:00.
--
SET leadflow.clock = '2026-07-20 09:30+00';
CALL hand_over('{71,72,73,74,75,76,77,78,79,80,81,82,83,85,86,87}', 'next_response');
CALL make('{84,88,89}', 'next_response');
CALL to_stage('{84}', 'nurture');
SET leadflow.clock = '2026-07-20 10:00+00';
CALL act('{71,72,73,74,75,76,77,78,80,81,82,83,84,85,86,87,88}', 'question');
CALL act('{85}', 'call');	-- at the same instant
SET leadflow.clock = '2026-07-20 11:00+00';
CALL act('{76,81}', 'call');
CALL act('{77}', 'email_reply');	-- two-way, but expects a reply itself
CALL void(86, 'question', '2026-07-20 10:00+00');
CALL to_stage('{88}', 'mql');	-- whatever the stage
SET leadflow.clock = '2026-07-20 12:00+00';
CALL act('{72,75,76,78,79,80,81}', 'question');
CALL to_stage('{75}', 'rejected', 'no_need');
CALL void(78, 'question', '2026-07-20 10:00+00');	-- the second begins the episode
CALL act('{79}', 'question', '2026-07-20 10:00+00');	-- one before it comes late
SELECT * FROM clocks('next_response', $$
	72 warning   20/10:00 20/14:00 - 2
	76 met       20/10:00 20/14:00 20/11:00
	76 running   20/12:00 20/16:00 -
	77 warning   20/10:00 20/14:00 -
	78 running   20/12:00 20/16:00 -
	79 warning   20/10:00 20/14:00 -
	80 warning   20/10:00 20/14:00 -
	81 met       20/10:00 20/14:00 20/11:00
	81 running   20/12:00 20/16:00 -
	86 none$$);
SELECT * FROM leadflow.verify();
SET leadflow.clock = '2026-07-20 13:00+00';
CALL act('{71,82}', 'call');
CALL act('{88}', 'meeting');
CALL act('{80}', 'call', '2026-07-20 11:00+00');	-- splits the episode in two
CALL void(81, 'call', '2026-07-20 11:00+00');	-- joins two to one
CALL to_stage('{75}', 'nurture');
SET leadflow.clock = '2026-07-20 13:30+00';
CALL act('{75}', 'question');	-- out of play, and yet somebody asks
SET leadflow.clock = '2026-07-20 14:00+00';
CALL act('{72}', 'email_sent');
SET leadflow.clock = '2026-07-20 14:00:00.000001+00';
CALL act('{73}', 'call_connected');
SET leadflow.clock = '2026-07-20 14:30+00';
CALL void(82, 'call', '2026-07-20 13:00+00');
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- breaches 73 74 77 79 81 82 83 84 87; warnings, due at 16:00: 76 78 80
SET leadflow.clock = '2026-07-20 15:00+00';
CALL act('{83}', 'call', '2026-07-20 13:00+00');
CALL to_stage('{87}', 'rejected', 'no_need');
SELECT * FROM clocks('next_response', $$
	71 met       20/10:00 20/14:00 20/13:00
	72 met       20/10:00 20/14:00 20/14:00
	73 breached  20/10:00 20/14:00 20/14:00
	74 breached  20/10:00 20/14:00 -
	75 cancelled 20/10:00 20/14:00 20/12:00
	75 running   20/13:30 21/09:30 -
	76 met       20/10:00 20/14:00 20/11:00
	76 warning   20/12:00 20/16:00 -
	77 breached  20/10:00 20/14:00 -
	78 warning   20/12:00 20/16:00 -
	79 breached  20/10:00 20/14:00 -
	80 met       20/10:00 20/14:00 20/11:00
	80 warning   20/12:00 20/16:00 -
	81 breached  20/10:00 20/14:00 -
	82 breached  20/10:00 20/14:00 -
	83 met       20/10:00 20/14:00 20/13:00
	84 breached  20/10:00 20/14:00 -
	85 met       20/10:00 20/14:00 20/10:00
	86 none
	87 breached  20/10:00 20/14:00 20/15:00
	88 met       20/10:00 20/14:00 20/13:00$$);
SELECT * FROM leadflow.verify();

-- Taken back to marketing: what was asked before needs no answer, what is asked afterwards is asked once.
SET leadflow.clock = '2026-07-21 09:30+00';
CALL hand_over('{400}', 'next_response');
SET leadflow.clock = '2026-07-21 10:00+00';
CALL act('{400}', 'question');
SET leadflow.clock = '2026-07-21 11:00+00';
CALL to_stage('{400}', 'lead', 'mistake');
SET leadflow.clock = '2026-07-21 12:00+00';
CALL act('{400}', 'question');
SET leadflow.clock = '2026-07-21 12:30+00';
CALL act('{400}', 'question');
CALL act('{400}', 'call');
SELECT * FROM clocks('next_response', $$
	400 cancelled 21/10:00 21/14:00 21/11:00
	400 met       21/12:00 21/16:00 21/12:30$$);
SELECT * FROM leadflow.verify();

--
-- time_in_stage: a stage is left. In lead 2 hours, in accepted 4; neither won nor imports have one. Monday 10:00.
--
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id, condition)
SELECT 'in ' || s, 'time_in_stage', t, c.id, ('$.attributes.m == "time_in_stage" && $.stage == "' || s || '"')::jsonpath
FROM leadflow.calendars c, (VALUES ('lead', interval '2 hours'), ('accepted', '4 hours'), ('won', '4 hours'), ('lost', '4 hours'), ('disqualified', '4 hours')) v (s, t)
WHERE c.name = 'desk';
SET leadflow.clock = '2026-07-27 10:00+00';
CALL make('{91,92,93,94,95,96}', 'time_in_stage');
INSERT INTO leadflow.leads (id, email, full_name, stage, stage_since, attributes)
VALUES (97, 'lead97@corp97.example', 'Lead 97', 'accepted', '2026-07-27 08:00+00', '{"m": "time_in_stage"}');
SET leadflow.quiet = on;
CALL make('{98}', 'time_in_stage');
RESET leadflow.quiet;
SET leadflow.clock = '2026-07-27 11:00+00';
CALL to_stage('{91,95}', 'accepted');
CALL to_stage('{96}', 'disqualified');
SET leadflow.clock = '2026-07-27 12:00+00';
CALL to_stage('{92}', 'accepted');
SET leadflow.clock = '2026-07-27 12:00:00.000001+00';
CALL to_stage('{93}', 'mql');
SET leadflow.clock = '2026-07-27 13:00+00';
INSERT INTO leadflow.deals (lead_id, name, opened_at) VALUES (91, 'a deal', '2026-07-27 13:00+00');
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- of this section 93 94; of the one before what was due at 16:00 and later: 75 76 78 80
UPDATE leadflow.deals SET status = 'won', closed_at = '2026-07-27 13:00+00' WHERE lead_id = 91;
SET leadflow.clock = '2026-07-27 14:00+00';
SELECT leadflow.move(94, 'mql', at => '2026-07-27 11:30+00');
SET leadflow.clock = '2026-07-27 16:30+00';
SELECT * FROM clocks('time_in_stage', $$
	91 met      27/10:00 27/12:00 27/11:00
	91 met      27/11:00 27/15:00 27/13:00
	92 met      27/10:00 27/12:00 27/12:00
	92 breached 27/12:00 27/16:00 - 4.5
	93 breached 27/10:00 27/12:00 27/12:00
	94 met      27/10:00 27/12:00 27/11:30
	95 met      27/10:00 27/12:00 27/11:00
	95 breached 27/11:00 27/15:00 - 5.5
	96 met      27/10:00 27/12:00 27/11:00
	97 none
	98 none$$);
SELECT * FROM leadflow.verify();

--
-- time_to_review: the votes' verdict. Monday 10:00, due at 14:00.
--
SET leadflow.clock = '2026-08-03 09:00+00';
CALL hand_over('{101,102,103,104,105,106,107,108}', 'time_to_review');
SET leadflow.clock = '2026-08-03 10:00+00';
CALL to_stage('{101,102,103,104,105,106,108}', 'rejected', 'no_need');
CALL to_stage('{107}', 'rejected', 'bad_data');	-- no case
SET leadflow.clock = '2026-08-03 12:00+00';
CALL to_stage('{105}', 'nurture');
SET leadflow.clock = '2026-08-03 13:00+00';
SELECT outcome, stage FROM leadflow.review(101, 'uphold', 'mia@our.example');
SELECT outcome, stage FROM leadflow.review(108, 'overturn', 'mia@our.example');
SET leadflow.clock = '2026-08-03 14:00+00';
SELECT outcome, stage FROM leadflow.review(102, 'uphold', 'mia@our.example');
SET leadflow.clock = '2026-08-03 14:00:00.000001+00';
SELECT outcome, stage FROM leadflow.review(103, 'uphold', 'mia@our.example');
SET leadflow.clock = '2026-08-03 15:00+00';
SELECT count(*) FROM told();
CALL to_stage('{106}', 'nurture');
-- Time closes the case of 104 in a week, when the sweep comes round; one with a longer promise is not due by then.
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id, priority, condition)
SELECT 'verdict, some day', 'time_to_review', '80 hours', c.id, 1, '$.attributes.m == "time_to_review"' FROM leadflow.calendars c WHERE c.name = 'desk';
CALL hand_over('{109}', 'time_to_review');
CALL to_stage('{109}', 'rejected', 'no_need');
SET leadflow.clock = '2026-08-11 09:00+00';
SELECT count(*) > 0 FROM leadflow.check_sla();
SELECT event, x FROM told(), regexp_split_to_table(leads, ' ') x WHERE x::int > 100 ORDER BY x::int;	-- breached: 103 104 106
SELECT * FROM clocks('time_to_review', $$
	101 met       03/10:00 03/14:00 03/13:00
	102 met       03/10:00 03/14:00 03/14:00
	103 breached  03/10:00 03/14:00 03/14:00
	104 breached  03/10:00 03/14:00 10/10:00
	105 cancelled 03/10:00 03/14:00 03/12:00
	106 breached  03/10:00 03/14:00 03/15:00
	107 none
	108 met       03/10:00 03/14:00 03/13:00
	109 cancelled 03/15:00 17/15:00 10/15:00$$);
SELECT * FROM leadflow.verify();

--
-- Which promise: condition, priority, validity.
--
SET leadflow.clock = '2026-08-17 10:00+00';
INSERT INTO leadflow.sla_policies (name, metric, target, priority, condition, valid) VALUES
	('hot', 'time_to_accept', '1 hour', 10, '$.attributes.m == "which" && $.band == "hot"', DEFAULT),
	('not hot', 'time_to_accept', '2 hours', 10, '$.attributes.m == "which" && $.band != "hot"', DEFAULT),
	('low', 'time_to_accept', '3 hours', 5, '$.attributes.m == "which"', DEFAULT),
	('same, younger', 'time_to_accept', '5 hours', 10, '$.attributes.m == "which"', DEFAULT),
	('until ten past', 'time_to_accept', '6 hours', 20, '$.attributes.m == "which"', '[2026-08-17 10:05+00,2026-08-17 10:10+00)');
CALL hand_over('{121}', 'which');
INSERT INTO leadflow.leads (id, email, full_name, company, job_title, company_size, industry, attributes)
VALUES (122, 'lead122@corp122.example', 'Lead 122', 'Corp 122', 'VP Marketing', 500, 'Software', '{"m": "which"}');
CALL act('{122}', 'demo_request');
SELECT l.id, l.stage, s.band FROM leadflow.lead_scores s JOIN leadflow.leads l ON l.id = s.lead_id WHERE l.id IN (121, 122) ORDER BY 1;	-- it asks: handed over at once
SET leadflow.clock = '2026-08-17 10:05+00';
CALL hand_over('{123}', 'which');
SET leadflow.clock = '2026-08-17 10:10+00';
CALL hand_over('{124}', 'which');
-- not hot; hot; until ten past; not hot again, which is older than 'same, younger'
SELECT c.lead_id, p.name, c.due_at FROM leadflow.sla_clocks c JOIN leadflow.sla_policies p ON p.id = c.policy_id WHERE c.lead_id BETWEEN 121 AND 124 ORDER BY 1;
SELECT * FROM leadflow.verify();

--
-- Who starts none: imports, and what is loaded quietly.
--
SET leadflow.clock = '2026-08-18 10:00+00';
INSERT INTO leadflow.leads (id, email, full_name, stage, stage_since, attributes)
SELECT 130 + n, 'lead' || 130 + n || '@corp.example', 'Lead', s, '2026-08-17 10:00+00', jsonb_build_object('m', m)
FROM (VALUES (1, 'mql', 'time_to_handoff'), (2, 'sql', 'time_to_accept'), (3, 'rejected', 'time_to_nurture'), (4, 'rejected', 'time_to_review'),
	(5, 'sql', 'attempts'), (6, 'accepted', 'time_in_stage'), (7, 'lost', 'time_to_nurture')) v (n, s, m);
SET leadflow.quiet = on;
CALL hand_over('{138}', 'time_to_first_touch');
CALL hand_over('{139}', 'time_to_review');
CALL to_stage('{139}', 'rejected', 'no_need');
CALL make('{140}', 'time_to_handoff');
CALL to_stage('{140}', 'mql');
RESET leadflow.quiet;
SELECT count(*) FROM leadflow.sla_clocks WHERE lead_id BETWEEN 131 AND 140;
-- From then on they are like others; an import may be asked something, too.
CALL to_stage('{140}', 'sql');
CALL make('{141}', 'time_to_first_touch');
INSERT INTO leadflow.leads (id, email, full_name, stage, stage_since, attributes)
VALUES (142, 'lead142@corp142.example', 'Lead 142', 'accepted', '2026-08-17 10:00+00', '{"m": "next_response"}');
CALL act('{142}', 'question');
SELECT lead_id, metric FROM leadflow.sla_clocks WHERE lead_id BETWEEN 131 AND 142;	-- 142 alone
SELECT * FROM leadflow.verify();

--
-- Pauses. Handed over on Monday at 10:00, due at 14:00.
--
SET leadflow.clock = '2026-08-24 09:30+00';
CALL make('{208}', 'time_to_first_touch');
SELECT leadflow.pause_sla(208, '2026-08-24 10:30+00');	-- 0: nothing runs yet
SET leadflow.clock = '2026-08-24 10:00+00';
CALL hand_over('{201,202,203,204,205,206,207,209,210,211,212,213,215,216}', 'time_to_first_touch');
CALL to_stage('{208}', 'mql');
CALL to_stage('{208}', 'sql');
SET leadflow.clock = '2026-08-24 11:00+00';
SELECT leadflow.pause_sla(201, '2026-08-24 11:30+00', 'they are at lunch'), leadflow.pause_sla(202, '2026-08-24 12:00+00'),
	leadflow.pause_sla(204), leadflow.pause_sla(205, '2026-08-24 16:00+00'), leadflow.pause_sla(213, '2026-08-24 13:00+00'), leadflow.pause_sla(215);
SELECT * FROM clocks('time_to_first_touch', $$
	202 paused 24/10:00 24/15:00 - 1
	204 paused 24/10:00 -        - 1
	205 paused 24/10:00 25/11:00 - 1$$);
SET leadflow.clock = '2026-08-24 11:30+00';
SELECT leadflow.pause_sla(202, '2026-08-24 12:30+00'), leadflow.pause_sla(215);
SET leadflow.clock = '2026-08-24 12:00+00';
SELECT leadflow.pause_sla(201, '2026-08-24 12:30+00'), leadflow.resume_sla(205), leadflow.resume_sla(215), leadflow.resume_sla(216);	-- 1 1 1 0
SET leadflow.clock = '2026-08-24 13:00+00';
SELECT leadflow.pause_sla(203, '2026-08-25 10:00+00'), leadflow.resume_sla(204);
SET leadflow.clock = '2026-08-24 13:30+00';
SELECT leadflow.pause_sla(212);
SET leadflow.clock = '2026-08-24 13:45+00';
CALL act('{212}', 'call');	-- answered while it stands still: of the pause, a quarter of an hour counts
-- What is refused.
SELECT leadflow.pause_sla(207, '2026-08-24 13:00+00');
SELECT leadflow.pause_sla(207, '2026-08-24 13:45+00');
SELECT leadflow.pause_sla(207, '2026-08-24 18:00+00', at => '2026-08-24 13:45:00.000001+00');
SELECT leadflow.resume_sla(207, '2026-08-24 13:45:00.000001+00');
SELECT leadflow.pause_sla(-1);
SET leadflow.clock = '2026-08-24 14:00+00';
SELECT leadflow.pause_sla(210, '2026-08-24 15:00+00');	-- at the instant at which it is due: no effect
SET leadflow.clock = '2026-08-24 14:30+00';
CALL act('{211}', 'call');
SELECT count(*) FROM told();
SELECT * FROM leadflow.check_sla();
SELECT event, x FROM told(), regexp_split_to_table(leads, ' ') x WHERE x::int > 200 ORDER BY 1, x::int;	-- breached: 206 207 209 210 211 216; warned: 201 202 204 205 208 213 215, and 203, whose warning was at 12:00
SELECT leadflow.pause_sla(209, '2026-08-24 16:00+00');	-- after it was due: no effect
SET leadflow.clock = '2026-08-24 15:00+00';
SELECT leadflow.pause_sla(206, '2026-08-24 12:30+00', at => '2026-08-24 11:00+00');	-- dated back: due at 15:30
SELECT leadflow.pause_sla(211, '2026-08-24 12:00+00', at => '2026-08-24 11:00+00');	-- 15:00: it was in time
SELECT * FROM clocks('time_to_first_touch', $$
	201 warning  24/10:00 24/15:00 -        4
	202 warning  24/10:00 24/15:30 -        3.5
	203 paused   24/10:00 25/11:00 -        3
	204 warning  24/10:00 24/16:00 -        3
	205 warning  24/10:00 24/15:00 -        4
	206 warning  24/10:00 24/15:30 -        3.5
	207 breached 24/10:00 24/14:00 -        5
	208 breached 24/10:00 24/14:30 -        4.5
	209 breached 24/10:00 24/14:00 -        5
	210 breached 24/10:00 24/14:00 -        5
	211 met      24/10:00 24/15:00 24/14:30 3.5
	212 met      24/10:00 24/14:15 24/13:45 3.5
	213 warning  24/10:00 24/16:00 -        3
	215 warning  24/10:00 24/15:00 -        4
	216 breached 24/10:00 24/14:00 -        5$$);
SELECT * FROM leadflow.verify();
SELECT * FROM leadflow.check_sla();
SELECT event, x FROM told(), regexp_split_to_table(leads, ' ') x WHERE x::int > 200 ORDER BY 1, x::int;	-- 208; 206 runs again, and warns
SET leadflow.clock = '2026-08-24 16:00+00';
SELECT * FROM leadflow.check_sla();
SELECT event, x FROM told(), regexp_split_to_table(leads, ' ') x WHERE x::int > 200 ORDER BY 1, x::int;	-- 201 202 205 215 and again 206
-- A pause out of hours costs nothing.
CALL hand_over('{214}', 'time_to_first_touch');
SET leadflow.clock = '2026-08-24 18:00+00';
SELECT leadflow.pause_sla(214, '2026-08-25 08:00+00');
SELECT * FROM clocks('time_to_first_touch', '214 paused 24/16:00 25/12:00 - 1');
SELECT * FROM leadflow.verify();

--
-- Owners: 4 hours in whose calendar it is. Ann 9 to 17, Bob 17 to 21, Cid and nobody around the clock.
--
SET leadflow.clock = '2026-08-31 10:00+00';
INSERT INTO leadflow.sla_policies (name, metric, target, condition) VALUES ('of owners', 'time_to_first_touch', '4 hours', '$.attributes.m == "owner"');
CALL hand_over('{221,222,225,226,228,229}', 'owner', 901);
CALL hand_over('{223}', 'owner', 903);
UPDATE leadflow.team_members SET capacity = 0 WHERE team = 'sales';
CALL hand_over('{224,227}', 'owner', NULL);
UPDATE leadflow.team_members SET capacity = NULL WHERE team = 'sales';
SET leadflow.clock = '2026-08-31 11:00+00';
UPDATE leadflow.leads SET owner_id = 901 WHERE id = 223;
SELECT leadflow.pause_sla(228, '2026-08-31 17:30+00');
SET leadflow.clock = '2026-08-31 12:00+00';
UPDATE leadflow.leads SET owner_id = 902 WHERE id IN (221, 224, 225, 228);
UPDATE leadflow.leads SET owner_id = 903 WHERE id = 222;
SELECT * FROM clocks('time_to_first_touch', $$
	221 running 31/10:00 31/19:00 - 2
	222 running 31/10:00 31/14:00 - 2
	223 running 31/10:00 31/14:00 - 2
	224 running 31/10:00 31/19:00 - 2
	225 running 31/10:00 31/19:00 - 2
	226 running 31/10:00 31/14:00 - 2
	227 running 31/10:00 31/14:00 - 2
	228 paused  31/10:00 31/20:30 - 1$$);
SET leadflow.clock = '2026-08-31 15:00+00';
UPDATE leadflow.leads SET owner_id = 902 WHERE id IN (226, 227);	-- too late: it was due with who had it
CALL act('{229}', 'call', '2026-08-31 13:00+00');
UPDATE leadflow.leads SET owner_id = 902 WHERE id = 229;	-- stopped before
SET leadflow.clock = '2026-08-31 18:00+00';
UPDATE leadflow.leads SET owner_id = 901 WHERE id = 225;
SELECT * FROM clocks('time_to_first_touch', $$
	221 running  31/10:00 31/19:00 - 3
	225 running  31/10:00 01/10:00 - 3
	226 breached 31/10:00 31/14:00 -
	227 breached 31/10:00 31/14:00 -
	228 running  31/10:00 31/20:30 - 1.5
	229 met      31/10:00 31/14:00 31/13:00 3$$);
SELECT lead_id, member FROM leadflow.sla_status WHERE lead_id BETWEEN 221 AND 229 ORDER BY 1;	-- Bob, Cid, Ann, Bob, Ann, Ann, nobody, Bob, Ann
SELECT * FROM leadflow.verify();

--
-- Corrections. Four hours of a desk of its own, handed over on Monday at 10:00, or at 12:00 (231).
--
SET leadflow.clock = '2026-09-07 10:00+00';
SELECT count(*) > 0 FROM leadflow.check_sla();
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('corrected', 'UTC');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
SELECT c.id, d, '09:00', '17:00' FROM leadflow.calendars c, generate_series(1, 5) d WHERE c.name = 'corrected';
INSERT INTO leadflow.sla_policies (name, metric, target, calendar_id, condition)
SELECT 'fix', 'time_to_first_touch', '4 hours', c.id, '$.attributes.m == "fix"' FROM leadflow.calendars c WHERE c.name = 'corrected';
CALL hand_over('{232,233,234,235,236}', 'fix');
SET leadflow.clock = '2026-09-07 12:00+00';
CALL hand_over('{231}', 'fix');
CALL to_stage('{236}', 'rejected', 'no_need');
SET leadflow.clock = '2026-09-07 13:00+00';
CALL act('{232}', 'call');
SET leadflow.clock = '2026-09-07 14:30+00';
SELECT leadflow.pause_sla(235, '2026-09-07 16:00+00');	-- 0: it was due
SELECT count(*) >= 0 FROM told();
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- 233 234 235
SET leadflow.clock = '2026-09-07 15:00+00';
CALL act('{233}', 'call');
SELECT * FROM clocks('time_to_first_touch', $$
	231 running   07/12:00 07/16:00 -
	232 met       07/10:00 07/14:00 07/13:00
	233 breached  07/10:00 07/14:00 07/15:00
	234 breached  07/10:00 07/14:00 -
	235 breached  07/10:00 07/14:00 -
	236 cancelled 07/10:00 07/14:00 07/12:00$$);
-- The policy: 6 hours. What is open is due anew; the pause that came too late counts now: 4.5 hours before it, an hour
-- after it, half an hour on Tuesday.
UPDATE leadflow.sla_policies SET target = '6 hours' WHERE name = 'fix';
SELECT * FROM clocks('time_to_first_touch', $$
	231 running   07/12:00 08/10:00 -
	232 met       07/10:00 07/14:00 07/13:00
	233 breached  07/10:00 07/14:00 07/15:00
	234 running   07/10:00 07/16:00 -
	235 paused    07/10:00 08/09:30 - 4.5
	236 cancelled 07/10:00 07/14:00 07/12:00$$);
SELECT * FROM leadflow.verify();
SELECT lead_id, breached_at, escalated_at FROM leadflow.sla_clocks WHERE lead_id BETWEEN 231 AND 236 AND breached_at IS NOT NULL ORDER BY 1;	-- 233
-- The calendar: Monday ended at 15:00, Tuesday is a holiday. 231: 3 hours and Wednesday until 12:00; 234: 5 hours and
-- Wednesday until 10:00; 235: 4.5 hours, and Wednesday until 10:30.
INSERT INTO leadflow.calendar_holidays (calendar_id, day, name, opens, closes)
SELECT c.id, h.day, h.name, h.opens, h.closes
FROM leadflow.calendars c, (VALUES (date '2026-09-07', 'a short day', time '09:00', time '15:00'), ('2026-09-08', 'a holiday', NULL, NULL)) h (day, name, opens, closes)
WHERE c.name = 'corrected';
SELECT * FROM clocks('time_to_first_touch', $$
	231 running   07/12:00 09/12:00 -
	232 met       07/10:00 07/14:00 07/13:00
	233 breached  07/10:00 07/14:00 07/15:00
	234 running   07/10:00 09/10:00 -
	235 paused    07/10:00 09/10:30 - 4.5$$);
SELECT * FROM leadflow.verify();
-- Restated: 232, 233 and 236 are due on Wednesday at 10:00, too.
SELECT leadflow.restate_sla('2026-09-08', '2026-09-09');	-- 0
SELECT leadflow.restate_sla('2026-09-07', '2026-09-08');	-- 3
SELECT lead_id, restated_at, restated_by = current_user AS by_me, old_state, new_state, old_due_at, new_due_at FROM leadflow.sla_restatements ORDER BY lead_id;
SELECT leadflow.restate_sla('2026-09-07', '2026-09-08');	-- 0
SELECT * FROM clocks('time_to_first_touch', $$
	231 running   07/12:00 09/12:00 -
	232 met       07/10:00 09/10:00 07/13:00
	233 met       07/10:00 09/10:00 07/15:00
	234 running   07/10:00 09/10:00 -
	236 cancelled 07/10:00 09/10:00 07/12:00$$);
SELECT * FROM leadflow.verify();
-- An old month is judged by an hour: what stopped in time was late then. 233 was announced in its day.
SET leadflow.clock = '2026-12-01 10:00+00';
CALL act('{231,234,235}', 'call', '2026-09-09 09:00+00');
SELECT count(*) >= 0 FROM leadflow.check_sla();
SELECT count(*) >= 0 FROM told();
UPDATE leadflow.sla_policies SET target = '1 hour' WHERE name = 'fix';
SELECT leadflow.restate_sla('2026-09-01', '2026-10-01');	-- 6
SELECT lead_id, old_state, new_state, old_due_at, new_due_at FROM leadflow.sla_restatements WHERE restated_at = '2026-12-01 10:00+00' ORDER BY lead_id;
SELECT * FROM clocks('time_to_first_touch', $$
	231 breached 07/12:00 07/13:00 09/09:00
	232 breached 07/10:00 07/11:00 07/13:00
	233 breached 07/10:00 07/11:00 07/15:00
	234 breached 07/10:00 07/11:00 09/09:00
	235 breached 07/10:00 07/11:00 09/09:00
	236 breached 07/10:00 07/11:00 07/12:00$$);
-- What a restatement finds is on record, and no news.
SELECT * FROM leadflow.check_sla();
SELECT * FROM told();	-- nobody
SELECT * FROM leadflow.check_sla();
SELECT * FROM leadflow.verify();
SELECT leadflow.restate_sla('2026-10-01', '2026-09-01');
SELECT leadflow.restate_sla(NULL, '2026-09-01');

--
-- change_policy: clocks keep the version under which they started.
--
SET leadflow.clock = '2026-12-07 10:00+00';
CALL hand_over('{237}', 'fix');
SET leadflow.clock = '2026-12-07 10:30+00';
SELECT leadflow.change_policy('fix', '3 hours', '2026-12-07 09:00+00') > 0;	-- refused: clocks have started since
SELECT leadflow.change_policy('fix', '3 hours', '2026-12-07 11:00+00') > 0;
CALL hand_over('{238}', 'fix');
SET leadflow.clock = '2026-12-07 11:00+00';
CALL hand_over('{239}', 'fix');
SELECT * FROM clocks('time_to_first_touch', $$
	237 running 07/10:00 07/11:00 -
	238 running 07/10:30 07/11:30 -
	239 running 07/11:00 07/14:00 -$$);
-- The old version is corrected: its clocks alone.
UPDATE leadflow.sla_policies SET target = '2 hours' WHERE name = 'fix' AND upper(valid) = '2026-12-07 11:00+00';
SELECT * FROM clocks('time_to_first_touch', $$
	237 running 07/10:00 07/12:00 -
	238 running 07/10:30 07/12:30 -
	239 running 07/11:00 07/14:00 -$$);
SELECT * FROM leadflow.verify();

--
-- Merge. The clocks of both go on as one lead's: of two open ones the one that is due earlier, by what was done to either.
--
SET leadflow.clock = '2026-12-14 10:00+00';
CALL hand_over('{301,303,309,311,313}', 'time_to_first_touch');
SET leadflow.clock = '2026-12-14 11:00+00';
CALL hand_over('{302,304,314}', 'time_to_first_touch');
CALL make('{310,312}', 'time_to_first_touch');
CALL act('{312}', 'call');
SET leadflow.clock = '2026-12-14 11:30+00';
CALL act('{302,303}', 'call');
SET leadflow.clock = '2026-12-14 12:00+00';
SELECT leadflow.merge_leads(301, 302), leadflow.merge_leads(303, 304), leadflow.merge_leads(309, 310), leadflow.merge_leads(311, 312), leadflow.merge_leads(314, 313);
SELECT * FROM clocks('time_to_first_touch', $$
	301 met       14/10:00 14/14:00 14/11:30
	301 met       14/11:00 14/15:00 14/11:30
	303 met       14/10:00 14/14:00 14/11:30
	303 met       14/11:00 14/15:00 14/11:30
	309 warning   14/10:00 14/14:00 - 2
	311 met       14/10:00 14/14:00 14/11:00
	314 warning   14/10:00 14/14:00 - 2
	314 cancelled 14/11:00 14/15:00 14/12:00$$);
SELECT * FROM leadflow.verify();
-- Questions of two leads that are one: the oldest that nobody has answered.
CALL make('{321,322,323,324}', 'next_response');
CALL act('{321}', 'question', '2026-12-14 11:00+00');
CALL act('{322}', 'question', '2026-12-14 10:00+00');
CALL act('{322}', 'call', '2026-12-14 11:30+00');
CALL act('{323}', 'question', '2026-12-14 11:00+00');
CALL act('{324}', 'question', '2026-12-14 10:00+00');
SELECT leadflow.merge_leads(321, 322), leadflow.merge_leads(323, 324);
SELECT * FROM clocks('next_response', $$
	321 met     14/10:00 14/14:00 14/11:30
	323 warning 14/10:00 14/14:00 - 2$$);
SELECT * FROM leadflow.verify();

--
-- Erased: figures stay, reasons in words go. Deleted: clocks go.
--
CALL hand_over('{331,332}', 'time_to_first_touch');
SELECT leadflow.pause_sla(331, '2026-12-14 12:30+00', 'on leave until half past');
SET leadflow.clock = '2026-12-14 13:00+00';
CALL act('{331}', 'call');
SELECT leadflow.erase_lead(331);
SELECT until, reason FROM leadflow.sla_pauses WHERE lead_id = 331;
SELECT * FROM clocks('time_to_first_touch', '331 met 14/12:00 14/16:30 14/13:00 0.5');
SELECT * FROM leadflow.verify();
DELETE FROM leadflow.leads WHERE id IN (331, 332, 235);
SELECT count(*) FROM leadflow.sla_clocks WHERE lead_id IN (331, 332, 235);	-- 0
SELECT count(*) FROM leadflow.sla_pauses WHERE lead_id IN (331, 332, 235);	-- 0
SELECT * FROM leadflow.verify();

--
-- Activities that are changed afterwards; three touches at one instant; a kind that is registered later.
--
CALL hand_over('{351,352}', 'attempts');
CALL hand_over('{353,354,355,356,357,358}', 'time_to_first_touch');
SET leadflow.clock = '2026-12-14 14:00+00';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (351, 'call'), (351, 'call'), (351, 'call'), (352, 'call'), (352, 'call');
CALL act('{353,354,355}', 'call');
CALL act('{356}', 'note');
CALL act('{357}', 'whatsapp');
DELETE FROM leadflow.activities WHERE lead_id = 353;
UPDATE leadflow.activities SET kind = 'note' WHERE lead_id = 354;
UPDATE leadflow.activities SET occurred_at = '2026-12-14 13:30+00' WHERE lead_id = 355;
UPDATE leadflow.activities SET kind = 'call' WHERE lead_id = 356;
INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('whatsapp', 'sales_touch');
CALL act('{358}', 'whatsapp', '2026-12-14 13:45+00');
SELECT * FROM clocks('attempts', $$
	351 met     14/13:00 15/13:00 14/14:00
	352 running 14/13:00 15/13:00 -$$);
SELECT * FROM clocks('time_to_first_touch', $$
	353 running 14/13:00 14/17:00 -
	354 running 14/13:00 14/17:00 -
	355 met     14/13:00 14/17:00 14/13:30
	356 met     14/13:00 14/17:00 14/14:00
	357 met     14/13:00 14/17:00 14/14:00
	358 met     14/13:00 14/17:00 14/13:45$$);
SELECT * FROM leadflow.verify();

--
-- A start that is dated back has the promise of then, and is late at once. A second stage of category handoff.
--
SET leadflow.clock = '2026-12-16 10:00+00';
INSERT INTO leadflow.sla_policies (name, metric, target, priority, valid) VALUES ('of Monday', 'time_to_accept', '1 hour', 99, '[2026-12-14 14:30+00,2026-12-14 15:00+00)');
CALL hand_over('{361,362}', 'time_to_accept');
INSERT INTO leadflow.leads (id, email, stage, stage_since, attributes)
VALUES (364, 'lead364@corp364.example', 'mql', '2026-12-14 10:00+00', '{"m": "time_to_accept"}');
SELECT leadflow.move(364, 'sql', at => '2026-12-14 14:30+00');
INSERT INTO leadflow.stages (name, category, position) VALUES ('second offer', 'handoff', 31);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams)
VALUES ('sql', 'second offer', '{sales}'), ('second offer', 'accepted', '{sales}'), ('accepted', 'sql', '{sales}');
SET leadflow.clock = '2026-12-16 11:00+00';
CALL to_stage('{361,362}', 'second offer');	-- no decision, no new start
SET leadflow.clock = '2026-12-16 12:00+00';
CALL to_stage('{361}', 'accepted');
SET leadflow.clock = '2026-12-16 13:00+00';
CALL to_stage('{361}', 'sql');	-- handed over anew
SELECT * FROM clocks('time_to_accept', $$
	361 met      16/10:00 16/14:00 16/12:00
	361 running  16/13:00 16/17:00 -
	362 warning  16/10:00 16/14:00 -
	364 breached 14/14:30 14/15:30 -$$);
SELECT * FROM leadflow.verify();

--
-- A member's calendar is another: what is open is due anew.
--
CALL hand_over('{371,372}', 'owner', 901);
SET leadflow.clock = '2026-12-16 14:00+00';
CALL act('{372}', 'call');
UPDATE leadflow.team_members SET calendar_id = (SELECT c.id FROM leadflow.calendars c WHERE c.name = 'evening') WHERE id = 901;
SELECT * FROM clocks('time_to_first_touch', $$
	371 running 16/13:00 16/21:00 - 0
	372 met     16/13:00 16/17:00 16/14:00 1$$);
UPDATE leadflow.team_members SET calendar_id = NULL WHERE id = 901;
SELECT * FROM clocks('time_to_first_touch', $$
	371 running 16/13:00 16/17:00 - 1
	372 met     16/13:00 16/17:00 16/14:00 1$$);
UPDATE leadflow.team_members SET calendar_id = (SELECT c.id FROM leadflow.calendars c WHERE c.name = 'desk') WHERE id = 901;
SELECT * FROM leadflow.verify();

--
-- The gate hands over what asks for us, and takes it back when that is voided. Due on Thursday at 10:00.
--
INSERT INTO leadflow.leads (id, email, full_name, company, job_title, company_size, industry, attributes)
SELECT 380 + n, 'lead' || 380 + n || '@corp' || 380 + n || '.example', 'Lead', 'Corp', 'VP Marketing', 500, 'Software', jsonb_build_object('m', m)
FROM unnest('{time_to_accept,time_to_handoff,time_to_first_touch,next_response}'::text[]) WITH ORDINALITY v (m, n);
CALL act('{381,382,383,384}', 'demo_request');
SELECT * FROM clocks('next_response', '384 running 16/14:00 17/10:00 -');
SET leadflow.clock = '2026-12-16 15:00+00';
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'a bot' WHERE lead_id IN (381, 382, 383, 384);
SELECT * FROM clocks('time_to_accept', '381 cancelled 16/14:00 17/10:00 16/15:00');
SELECT * FROM clocks('time_to_handoff', '382 met 16/14:00 17/10:00 16/14:00');
SELECT * FROM clocks('time_to_first_touch', '383 cancelled 16/14:00 17/10:00 16/15:00');
SELECT * FROM clocks('next_response', '384 none');
SELECT * FROM leadflow.verify();

--
-- Lost, and the deal is opened again, or won: another stage.
--
CALL hand_over('{391,392}', 'time_to_nurture');
CALL to_stage('{391,392}', 'accepted');
INSERT INTO leadflow.deals (id, lead_id, name, opened_at) VALUES (391, 391, 'a deal', leadflow.now()), (392, 392, 'a deal', leadflow.now());
SET leadflow.clock = '2026-12-16 16:00+00';
UPDATE leadflow.deals SET status = 'lost', closed_at = leadflow.now() WHERE id IN (391, 392);
SET leadflow.clock = '2026-12-16 17:00+00';
SELECT * FROM clocks('time_to_nurture', $$
	391 running 16/16:00 17/12:00 -
	392 running 16/16:00 17/12:00 -$$);
UPDATE leadflow.deals SET status = 'open' WHERE id = 391;	-- entered when it was opened, yet no earlier than the move before
UPDATE leadflow.deals SET status = 'won' WHERE id = 392;
SELECT * FROM clocks('time_to_nurture', $$
	391 cancelled 16/16:00 17/12:00 16/16:00
	392 cancelled 16/16:00 17/12:00 16/16:00$$);
SELECT * FROM leadflow.verify();

--
-- What is rolled back never was; a savepoint, too.
--
SET leadflow.clock = '2026-12-18 10:00+00';
CALL hand_over('{341,342,343,344}', 'time_to_first_touch');
SET leadflow.clock = '2026-12-18 11:00+00';
BEGIN;
CALL act('{341}', 'call');
SAVEPOINT s;
CALL act('{342}', 'call');
SELECT leadflow.pause_sla(343);
CALL to_stage('{344}', 'rejected', 'no_need');
ROLLBACK TO s;
SELECT leadflow.pause_sla(344, '2026-12-18 12:00+00');
SAVEPOINT s;
CALL hand_over('{345}', 'time_to_first_touch');
UPDATE leadflow.sla_policies SET target = '1 hour' WHERE name = 'time_to_first_touch';
CALL act('{343}', 'call');
SELECT * FROM clocks('time_to_first_touch', $$
	342 warning 18/10:00 18/11:00 -
	344 warning 18/10:00 18/11:00 -
	345 running 18/11:00 18/12:00 -$$);
ROLLBACK TO s;
RELEASE s;
COMMIT;
SELECT * FROM clocks('time_to_first_touch', $$
	341 met     18/10:00 18/14:00 18/11:00
	342 running 18/10:00 18/14:00 -
	343 running 18/10:00 18/14:00 -
	344 paused  18/10:00 18/15:00 -
	345 none$$);
SELECT * FROM leadflow.verify();
