# A real sales log, event by event: 13,087 applications, 262,200 events in half a year
# (BPI Challenge 2012, van Dongen), written as the people of that bank worked, with
# leadflow.clock at the time of each event.
#
# How it reads as a lead process:
#   A_SUBMITTED                      a lead comes in with its form
#   A_PREACCEPTED                    mql
#   W_Afhandelen leads, SCHEDULE     sql: handed to a rep
#   W_Afhandelen leads, START        a call: the first is the first touch
#   A_ACCEPTED                       accepted
#   A_FINALIZED                      offer, a stage of this site: handed to who follows it up
#   O_SENT, the first                a deal is opened
#   O_SENT                           clocks pause for a day: the offer is in the post
#   W_Nabellen offertes, START       a call
#   W_Nabellen incomplete dossiers, SCHEDULE
#                                    clocks pause: the customer is asked for what the file lacks
#   W_Valideren aanvraag, START      clocks of such a lead go on: the file is assessed (again)
#   A_APPROVED                       the deal is won
#   A_DECLINED, A_CANCELLED          the deal is lost; without one the lead is rejected
# Every other event is a note of the timeline.
#
# This bank hands over leads that are not qualified yet: the rep qualifies them by phone.
# So the site adds the moves that its process has and the shipped one has not. The
# employees have numbers; 112 is their web site. They work from nine to nine, on Saturdays from ten to five.
#
# The whole log is played; LEADFLOW_BPIC_EVENTS=60000 plays the first so many events. What the reports say is compared with what plain SQL
# makes of the log; of the whole log the figures are known from elsewhere, too. Clocks are worked out there by
# other means: a row a period of opening, and ranges of time with the pauses cut out.
#
# Then the same log comes once more, into another database, after it is all over and in random order:
# leads, activities and pauses that are dated back, the activities of a lead before and after its moves. The clocks
# are the same. In order stay a lead and what it is the lead of, and the moves of each lead, deals included: each
# is judged by where the lead stands. A pause is told with its end, since one can't end that nobody knows
# of. Who gets a lead is asked of the queue at that moment, so members are not compared.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use Test::More;
use Time::HiRes qw(time);

my $file = 'bpic2012_events.csv.gz';
my $data = real_data($file)
  or plan skip_all => "needs the log of BPI Challenge 2012 ($file) in ../shared/data or \$LEADFLOW_DATA";
my $events = $ENV{LEADFLOW_BPIC_EVENTS} // 'all';
$events = 262_200 if $events eq 'all' || $events > 262_200;

my $node = start_node('bpic', "shared_buffers = 512MB\nmax_wal_size = 4GB\n");
my $db = 'postgres';

$node->safe_psql($db, <<"SQL");
CREATE EXTENSION leadflow;
CREATE TABLE raw (case_id text, seq integer, amount numeric, act text, lc text, res text, at timestamptz);
\\copy raw FROM PROGRAM 'gzip -dc "$data/$file"' CSV HEADER
CREATE TABLE events AS
SELECT row_number() OVER (ORDER BY at, case_id, seq) AS n, *,
	act || CASE WHEN act LIKE 'W%' THEN ' ' || lc ELSE '' END AS what,
	coalesce(nullif(res, '112'), 'desk') || '\@bank.example' AS rep
FROM raw;
CREATE UNIQUE INDEX ON events (n);

-- What the CRM knows of an application when an event comes in, as columns of the event: its number, what the lead
-- or its deal does then, and what its clocks do.
CREATE TABLE steps AS
WITH known AS (
	SELECT e.*,
		dense_rank() OVER (ORDER BY case_id) AS no,
		count(*) FILTER (WHERE what IN ('W_Afhandelen leads SCHEDULE', 'A_PREACCEPTED', 'A_DECLINED', 'A_CANCELLED')) OVER before > 0 AS handled,
		count(*) FILTER (WHERE what = 'O_SENT') OVER before > 0 AS offered,
		max(n) FILTER (WHERE what = 'W_Nabellen incomplete dossiers SCHEDULE') OVER before AS incomplete,
		max(n) FILTER (WHERE what = 'W_Valideren aanvraag START') OVER before AS assessed
	FROM events e
	WINDOW before AS (PARTITION BY case_id ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
SELECT n, no, case_id, at, amount, what, rep, res,
	CASE what
		WHEN 'A_SUBMITTED' THEN 'lead'
		-- sixteen are scheduled once more while they are with sales: no new hand-off
		WHEN 'W_Afhandelen leads SCHEDULE' THEN CASE WHEN NOT handled THEN 'sql' END
		WHEN 'A_PREACCEPTED' THEN 'mql'
		WHEN 'A_ACCEPTED' THEN 'accepted'
		WHEN 'A_FINALIZED' THEN 'offer'
		WHEN 'O_SENT' THEN CASE WHEN NOT offered THEN 'opportunity' END
		WHEN 'A_APPROVED' THEN 'won'
		WHEN 'A_DECLINED' THEN CASE WHEN offered THEN 'lost' ELSE 'rejected' END
		WHEN 'A_CANCELLED' THEN CASE WHEN offered THEN 'lost' ELSE 'rejected' END
	END AS stage,
	CASE what
		WHEN 'O_SENT' THEN 'post'
		WHEN 'W_Nabellen incomplete dossiers SCHEDULE' THEN 'incomplete'
		WHEN 'W_Valideren aanvraag START' THEN CASE WHEN incomplete > coalesce(assessed, 0) THEN 'assessed' END
	END AS pause,
	-- the web site hands over; a lead that was handed over is qualified by the rep
	CASE WHEN what = 'W_Afhandelen leads SCHEDULE' OR (what = 'A_PREACCEPTED' AND NOT handled)
		THEN '112\@bank.example' ELSE rep END AS actor,
	what IN ('W_Afhandelen leads START', 'W_Nabellen offertes START') AS is_call
FROM known;
CREATE UNIQUE INDEX ON steps (n);
CREATE UNIQUE INDEX ON steps (no, n);

-- The answers: a row a case, of the events that are played.
CREATE TABLE facts AS
SELECT case_id,
	min(at) FILTER (WHERE act = 'A_SUBMITTED') AS lead,
	min(at) FILTER (WHERE act = 'A_PREACCEPTED') AS mql,
	min(at) FILTER (WHERE what = 'W_Afhandelen leads SCHEDULE') AS sql,
	min(at) FILTER (WHERE what = 'W_Afhandelen leads START') AS touched,
	min(at) FILTER (WHERE act = 'A_ACCEPTED') AS accepted,
	min(at) FILTER (WHERE act = 'A_FINALIZED') AS offer,
	min(at) FILTER (WHERE act = 'O_SENT') AS opportunity,
	min(at) FILTER (WHERE act = 'A_APPROVED') AS won,
	min(at) FILTER (WHERE act = 'A_DECLINED') AS declined,
	min(at) FILTER (WHERE act = 'A_CANCELLED') AS cancelled,
	min(amount) AS amount,
	(SELECT at FROM events WHERE n = $events) AS now
FROM events WHERE n <= $events GROUP BY case_id;
CREATE UNIQUE INDEX ON facts (case_id);
ANALYZE events, steps, facts;
SQL
is($node->safe_psql($db, 'SELECT count(*), count(DISTINCT case_id) FROM raw'), '262200|13087', 'the whole log is here');

$node->safe_psql($db, <<'SQL');
UPDATE leadflow.settings SET time_zone = 'Europe/Amsterdam';
INSERT INTO leadflow.calendars (name, time_zone) VALUES ('bank', 'Europe/Amsterdam');
INSERT INTO leadflow.calendar_hours (calendar_id, weekday, opens, closes)
SELECT c.id, d, h.opens, h.closes
FROM leadflow.calendars c, generate_series(1, 5) d,
	(VALUES ('9:00'::time, '13:00'::time), ('13:30', '17:00'), ('17:30', '21:00')) h (opens, closes)
WHERE c.name = 'bank'
UNION ALL
SELECT c.id, 6, '10:00', '17:00' FROM leadflow.calendars c WHERE c.name = 'bank';
INSERT INTO leadflow.calendar_holidays (calendar_id, day, name, opens, closes)
SELECT c.id, h.day, h.name, h.opens, h.closes
FROM leadflow.calendars c, (VALUES
	('2011-12-26'::date, 'Tweede Kerstdag', '12:00'::time, '17:00'::time),
	('2011-12-31', 'Oudjaar', '10:00', '15:00'),
	('2012-01-01', 'Nieuwjaar', NULL, NULL),
	('2012-04-09', 'Tweede Paasdag', NULL, NULL),
	('2012-04-30', 'Koninginnedag', NULL, NULL)) h (day, name, opens, closes)
WHERE c.name = 'bank';

DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.sla_policies (name, metric, team, target, target_count, within, calendar_id)
SELECT p.name, p.metric, p.team, p.target, p.target_count, p.within, c.id
FROM leadflow.calendars c, (VALUES
	('completed in three days', 'time_to_handoff', 'marketing', '33 hours'::interval, NULL::integer, NULL::interval),
	('decided in half a day', 'time_to_accept', 'sales', '5:30', NULL, NULL),
	('first call within the hour', 'time_to_first_touch', 'sales', '1 hour', NULL, NULL),
	('three calls in seven days', 'attempts', 'sales', NULL, 3, '77 hours')) p (name, metric, team, target, target_count, within)
WHERE c.name = 'bank';

INSERT INTO leadflow.team_members (external_id, full_name, email, team)
SELECT res, 'Employee ' || res, res || '@bank.example', 'sales'
FROM (SELECT DISTINCT res FROM raw WHERE res <> '112') r ORDER BY res;
INSERT INTO leadflow.team_members (external_id, full_name, email, team, weight)
VALUES ('112', 'Web site', '112@bank.example', 'marketing', 1),
	(NULL, 'Sales desk', 'desk@bank.example', 'sales', 0);

INSERT INTO leadflow.stages (name, label, category, position)
VALUES ('offer', 'Offer to be followed up', 'handoff', 45);
INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams, requires_reason)
VALUES ('lead', 'sql', '{marketing}', false),
	('sql', 'mql', '{sales}', false),
	('mql', 'accepted', '{sales}', false),
	('accepted', 'offer', '{sales}', false),
	('lead', 'rejected', '{sales}', true),
	('mql', 'rejected', '{sales}', true);
INSERT INTO leadflow.stage_reasons (reason, stage, label)
VALUES ('declined', 'rejected', 'Declined'), ('cancelled', 'rejected', 'Cancelled by the customer');

ALTER TABLE steps ADD COLUMN member_id bigint;
UPDATE steps s SET member_id = m.id FROM leadflow.team_members m WHERE m.external_id = s.res;
VACUUM FULL steps;

-- Plays the first so many events, "batch" events a transaction.
CREATE PROCEDURE replay(events bigint, batch integer) LANGUAGE plpgsql AS $$
DECLARE
	e record;
	-- what the CRM keeps of each application: the ids of its lead and its deal
	lead_of bigint[];
	deal_of bigint[];
	lead bigint;
	deal bigint;
	clock text;
BEGIN
	FOR e IN SELECT s.* FROM steps s WHERE n <= events ORDER BY n LOOP
		clock := set_config('leadflow.clock', e.at::text, false);

		IF e.stage = 'lead' THEN
			INSERT INTO leadflow.leads (external_id, budget, source, sourced_by)
			VALUES (e.case_id, e.amount, 'web', 'marketing') RETURNING id INTO lead;
			lead_of[e.no] := lead;
			INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (lead, 'form_submit', e.what);
		ELSE
			lead := lead_of[e.no];
			deal := deal_of[e.no];
			INSERT INTO leadflow.activities (lead_id, kind, content, member_id)
			VALUES (lead, CASE WHEN e.is_call THEN 'call' ELSE 'note' END, e.what, e.member_id);
			IF e.stage IS NOT NULL THEN
				CASE e.stage
					WHEN 'opportunity' THEN
						INSERT INTO leadflow.deals (external_id, lead_id, amount, currency, owner_id)
						VALUES (e.case_id, lead, e.amount, 'EUR', e.member_id) RETURNING id INTO deal;
						deal_of[e.no] := deal;
					WHEN 'won' THEN
						UPDATE leadflow.deals SET status = 'won' WHERE id = deal;
					WHEN 'lost' THEN
						UPDATE leadflow.deals SET status = 'lost', lost_reason = lower(substr(e.what, 3)) WHERE id = deal;
					WHEN 'rejected' THEN
						UPDATE leadflow.leads SET stage = 'rejected', stage_reason = lower(substr(e.what, 3)), stage_by = e.rep
						WHERE id = lead;
					ELSE
						UPDATE leadflow.leads SET stage = e.stage, stage_by = e.actor WHERE id = lead;
				END CASE;
			END IF;
			IF e.pause IS NOT NULL THEN
				CASE e.pause
					WHEN 'post' THEN PERFORM leadflow.pause_sla(lead, e.at + interval '24 hours', 'the offer is in the post');
					WHEN 'incomplete' THEN PERFORM leadflow.pause_sla(lead, reason => 'the file is incomplete');
					WHEN 'assessed' THEN PERFORM leadflow.resume_sla(lead);
				END CASE;
			END IF;
		END IF;

		IF e.n % batch = 0 THEN
			COMMIT;
			-- Half a year in half a minute: autovacuum would not keep up, so statistics are gathered at times.
			IF e.n IN (5000, 50000) THEN
				ANALYZE leadflow.leads, leadflow.activities, leadflow.score_state, leadflow.stage_history, leadflow.handoffs,
					leadflow.sla_clocks, leadflow.sla_pauses, leadflow.deals, leadflow.notifications;
			END IF;
			IF e.n % 20000 = 0 THEN
				PERFORM leadflow.check_sla();
				COMMIT;
			END IF;
		END IF;
	END LOOP;
	COMMIT;
	PERFORM leadflow.check_sla();
END
$$;

-- The same in the order of table arrivals, "batch" of them a transaction: new leads first, as what arrived on one
-- day may.
CREATE PROCEDURE load(batch integer) LANGUAGE plpgsql AS $$
DECLARE
	n CONSTANT bigint := (SELECT max(nr) FROM arrivals);
	e record;
BEGIN
	FOR since IN 1 .. n BY batch LOOP
		INSERT INTO leadflow.leads (external_id, budget, source, sourced_by, created_at, stage_since)
		SELECT a.case_id, a.amount, 'web', 'marketing', a.at, a.at
		FROM arrivals a WHERE a.nr BETWEEN since AND since + batch - 1 AND a.does = 'lead';

		INSERT INTO leadflow.activities (lead_id, occurred_at, kind, content, member_id)
		SELECT l.id, a.at, CASE WHEN a.is_call THEN 'call' WHEN a.stage = 'lead' THEN 'form_submit' ELSE 'note' END, a.what, a.member_id
		FROM arrivals a JOIN leadflow.leads l ON l.external_id = a.case_id
		WHERE a.nr BETWEEN since AND since + batch - 1 AND a.does = 'activity'
		ORDER BY a.nr;

		FOR e IN SELECT a.*, l.id AS lead_id FROM arrivals a JOIN leadflow.leads l ON l.external_id = a.case_id
			WHERE a.nr BETWEEN since AND since + batch - 1 AND a.does NOT IN ('lead', 'activity') ORDER BY a.nr
		LOOP
			CASE e.does
				WHEN 'pause' THEN PERFORM leadflow.pause_sla(e.lead_id, e.until, e.what, e.at);
				WHEN 'opportunity' THEN
					INSERT INTO leadflow.deals (external_id, lead_id, amount, currency, owner_id, opened_at)
					VALUES (e.case_id, e.lead_id, e.amount, 'EUR', e.member_id, e.at);
				WHEN 'won' THEN UPDATE leadflow.deals SET status = 'won', closed_at = e.at WHERE external_id = e.case_id;
				WHEN 'lost' THEN
					UPDATE leadflow.deals SET status = 'lost', lost_reason = lower(substr(e.what, 3)), closed_at = e.at
					WHERE external_id = e.case_id;
				WHEN 'rejected' THEN
					PERFORM leadflow.move(e.lead_id, 'rejected', lower(substr(e.what, 3)), actor => e.rep, at => e.at);
				ELSE PERFORM leadflow.move(e.lead_id, e.does, actor => e.actor, at => e.at);
			END CASE;
		END LOOP;
		COMMIT;
		IF since <= 10000 AND since + batch > 10000 THEN
			ANALYZE;
		END IF;
		IF since % (10 * batch) = 1 THEN
			PERFORM leadflow.check_sla();
			COMMIT;
		END IF;
	END LOOP;
	PERFORM leadflow.check_sla();
END
$$;
SQL
no_gate($node, $db);

# What the clocks ought to be. A row a period in which the bank is open, by its own days and hours; "before" are the
# seconds of work before it.
$node->safe_psql($db, <<"SQL");
CREATE TABLE opening AS
SELECT opens, closes, sum(seconds) OVER (ORDER BY opens) - seconds AS before, seconds
FROM (
	SELECT p.opens, p.closes, extract(epoch FROM p.closes - p.opens) AS seconds
	FROM generate_series(timestamp '2011-09-01', '2013-01-01', '1 day') d
	CROSS JOIN LATERAL (
		SELECT (d + h.opens) AT TIME ZONE 'Europe/Amsterdam', (d + h.closes) AT TIME ZONE 'Europe/Amsterdam'
		FROM (VALUES (1, 5, interval '9 h', interval '13 h'), (1, 5, '13:30', '17 h'), (1, 5, '17:30', '21 h'), (6, 6, '10 h', '17 h'))
			h (first, last, opens, closes)
		WHERE extract(isodow FROM d) BETWEEN h.first AND h.last
			AND to_char(d, 'MM-DD') NOT IN ('12-26', '12-31', '01-01', '04-09', '04-30')
	) p (opens, closes)
	UNION ALL
	SELECT x.opens AT TIME ZONE 'Europe/Amsterdam', x.closes AT TIME ZONE 'Europe/Amsterdam', extract(epoch FROM x.closes - x.opens)
	FROM (VALUES (timestamp '2011-12-26 12:00', timestamp '2011-12-26 17:00'), ('2011-12-31 10:00', '2011-12-31 15:00'))
		x (opens, closes)
) o;
CREATE UNIQUE INDEX ON opening (opens);
CREATE UNIQUE INDEX ON opening (before);

-- When clocks stand still.
CREATE TABLE pauses AS
SELECT s.no, s.n, s.at AS paused, least(CASE s.pause WHEN 'post' THEN s.at + interval '24 hours' END, r.at) AS until, s.pause
FROM steps s
LEFT JOIN LATERAL (
	SELECT a.at FROM steps a WHERE a.no = s.no AND a.n > s.n AND a.n <= $events AND a.pause = 'assessed' ORDER BY a.n LIMIT 1
) r ON true
WHERE s.pause IN ('post', 'incomplete') AND s.n <= $events;
CREATE INDEX ON pauses (no);

-- From where to where each clock goes: what ends it is a move or the call that it waits for.
CREATE TABLE spans AS
WITH path AS (
	SELECT no, n, at, stage, lead(stage) OVER later AS next_stage, lead(at) OVER later AS next_at,
		max(at) FILTER (WHERE stage IN ('won', 'lost', 'rejected')) OVER (PARTITION BY no) AS closed_at
	FROM steps WHERE stage IS NOT NULL AND n <= $events
	WINDOW later AS (PARTITION BY no ORDER BY n)
), promised AS (
	SELECT no, 'time_to_handoff' AS metric, 33 * 3600 AS target, 0 AS calls, at, next_at AS ended_at, next_stage = 'accepted' AS answered
	FROM path WHERE stage = 'mql'
	UNION ALL
	SELECT no, 'time_to_accept', 5.5 * 3600, 0, at, next_at, true FROM path WHERE stage IN ('sql', 'offer')
	UNION ALL
	-- who has sold the lead an offer keeps it until it is closed
	SELECT p.no, m.metric, m.target, m.calls, p.at, CASE p.stage WHEN 'sql' THEN p.next_at ELSE p.closed_at END, false
	FROM path p, (VALUES ('time_to_first_touch', 3600, 1), ('attempts', 77 * 3600, 3)) m (metric, target, calls)
	WHERE stage IN ('sql', 'offer')
)
SELECT p.no, p.metric, p.target, p.at AS started_at, coalesce(t.at, p.ended_at) AS stopped_at,
	t.at IS NOT NULL OR p.answered AS answered, f.now
FROM promised p
CROSS JOIN (SELECT max(now) AS now FROM facts) f
LEFT JOIN LATERAL (
	SELECT s.at FROM steps s
	WHERE p.calls > 0 AND s.no = p.no AND s.is_call AND s.n <= $events
		AND s.at BETWEEN p.at AND coalesce(p.ended_at, 'infinity')
	ORDER BY s.at OFFSET greatest(p.calls, 1) - 1 LIMIT 1
) t ON true;

-- The pieces of a clock's time between pauses, those after its end not among them, in seconds of work.
CREATE TABLE wanted AS
WITH pieces AS (
	SELECT s.*, i.piece, lower(i.piece) AS since, upper(i.piece) AS until
	FROM spans s
	CROSS JOIN LATERAL unnest(tstzmultirange(tstzrange(s.started_at, NULL)) - coalesce((
		SELECT range_agg(tstzrange(p.paused, least(p.until, s.stopped_at)))
		FROM pauses p WHERE p.no = s.no AND p.paused < coalesce(s.stopped_at, 'infinity')), '{}')) i (piece)
), worked AS (
	SELECT p.no, p.metric, p.target, p.started_at, p.stopped_at, p.answered, p.now, p.since, p.until,
		a.work AS work, coalesce(b.work, 1e12) - a.work AS seconds,
		greatest(c.work - a.work, 0) AS elapsed
	FROM pieces p
	CROSS JOIN LATERAL (SELECT o.before + least(extract(epoch FROM p.since - o.opens), o.seconds) AS work
		FROM opening o WHERE o.opens <= p.since ORDER BY o.opens DESC LIMIT 1) a
	LEFT JOIN LATERAL (SELECT o.before + least(extract(epoch FROM p.until - o.opens), o.seconds) AS work
		FROM opening o WHERE o.opens <= p.until ORDER BY o.opens DESC LIMIT 1) b ON true
	CROSS JOIN LATERAL (SELECT o.before + least(extract(epoch FROM least(p.until, p.stopped_at, p.now) - o.opens), o.seconds) AS work
		FROM opening o WHERE o.opens <= least(p.until, p.stopped_at, p.now) ORDER BY o.opens DESC LIMIT 1) c
), counted AS (
	SELECT w.*, sum(seconds) OVER (PARTITION BY no, metric, started_at ORDER BY since) - seconds AS before FROM worked w
), due AS (
	SELECT w.no, w.metric, w.target, w.started_at, w.stopped_at, w.answered, w.now, sum(w.elapsed) AS elapsed, min(d.due_at) AS due_at
	FROM counted w
	LEFT JOIN LATERAL (SELECT o.opens + make_interval(secs => (w.work + w.target - w.before - o.before)::double precision) AS due_at
		FROM opening o WHERE o.before < w.work + w.target - w.before ORDER BY o.before DESC LIMIT 1)
		d ON w.before < w.target AND w.target <= w.before + w.seconds
	GROUP BY 1, 2, 3, 4, 5, 6, 7
), late AS (
	-- no pause that begins later has a part in it
	SELECT d.*, b.work - a.work AS overdue
	FROM due d
	LEFT JOIN LATERAL (SELECT o.before + least(extract(epoch FROM d.due_at - o.opens), o.seconds) AS work
		FROM opening o WHERE o.opens <= d.due_at ORDER BY o.opens DESC LIMIT 1) a ON d.due_at < coalesce(d.stopped_at, d.now)
	LEFT JOIN LATERAL (SELECT o.before + least(extract(epoch FROM coalesce(d.stopped_at, d.now) - o.opens), o.seconds) AS work
		FROM opening o WHERE o.opens <= coalesce(d.stopped_at, d.now) ORDER BY o.opens DESC LIMIT 1) b ON a.work IS NOT NULL
)
SELECT s.case_id AS external_id, d.metric, d.started_at,
	CASE
		WHEN d.overdue IS NOT NULL THEN 'breached'
		WHEN d.answered AND d.stopped_at IS NOT NULL THEN 'met'
		WHEN d.stopped_at IS NOT NULL THEN 'cancelled'
		WHEN EXISTS (SELECT FROM pauses p WHERE p.no = d.no AND p.paused <= d.now AND coalesce(p.until, 'infinity') > d.now) THEN 'paused'
		ELSE 'running'
	END AS state,
	d.due_at, d.stopped_at,
	round(coalesce(d.target + d.overdue, d.elapsed) / 3600, 6) AS elapsed_hours,
	round(coalesce(d.overdue, 0) / 3600, 6) AS overdue_hours
FROM late d
JOIN steps s ON s.no = d.no AND s.stage = 'lead';
SQL
$node->safe_psql($db, 'VACUUM ANALYZE');
$node->safe_psql('template1', "CREATE DATABASE again TEMPLATE $db");

# One session plays it all, with statements that are prepared, as a CRM's are; how long it took by the clock, and how long its process worked.
my $play = sub {
	my ($name, $base, $call) = @_;
	my $start = time;
	my ($user, $system) = split /\s+/, $node->safe_psql($base, "SELECT pg_backend_pid() AS pid \\gset
SET plan_cache_mode = force_generic_plan;
$call;
\\setenv PID :pid
\\! cut -d ' ' -f 14,15 /proc/\$PID/stat 2>/dev/null || echo 0 0");
	my $seconds = time - $start;
	diag(sprintf('BPI Challenge 2012, %s: %d events in %.1f s (%.1f s of them working), %.0f a second',
			$name, $events, $seconds, ($user + $system) / 100, $events / $seconds));
};
$play->('as it happened', $db, "CALL replay($events, 500)");
# Whoever qualifies a lead that another was given takes it over, on record: a second row.
$node->safe_psql($db, q{
	CREATE VIEW first_handoffs AS
	SELECT DISTINCT ON (h.lead_id) h.* FROM leadflow.handoffs h
	JOIN leadflow.stage_history s ON s.lead_id = h.lead_id AND s.to_stage = 'sql'
	ORDER BY h.lead_id, h.offered_at, h.id;
	VACUUM ANALYZE});

my $now = $node->safe_psql($db, 'SELECT max(now) FROM facts');
# The report, as of the last event, says what the log says.
my $report = sub {
	my ($name, $query, $facts, $known) = @_;
	my $expected = $node->safe_psql($db, $facts);
	my $start = time;
	my $got = $node->safe_psql($db, "SET leadflow.clock = '$now'; $query");
	note(sprintf('%.0f ms: %s', 1000 * (time - $start), $got));
	is($got, $expected, $name);
	is($got, $known, "$name, as is known of the whole log") if defined $known && $events == 262_200;
};

# The funnel, and how the leads ended.
$report->('leads, preaccepted, handed to a rep, accepted, with an offer, approved',
	'SELECT sum(leads), sum(mqls), sum(sqls), sum(accepted), sum(opportunities), sum(won) FROM leadflow.funnel_monthly',
	'SELECT count(lead), count(mql), count(sql), count(accepted), count(opportunity), count(won) FROM facts',
	'13087|7367|4755|5113|5015|2246');
$report->('rejected, lost',
	'SELECT sum(rejected), sum(lost), sum(nurtured) FROM leadflow.funnel_monthly',
	q{SELECT count(*) FILTER (WHERE opportunity IS NULL), count(opportunity), 0
	  FROM facts WHERE coalesce(declined, cancelled) IS NOT NULL});
$report->('declined, cancelled',
	q{SELECT count(*) FILTER (WHERE reason = 'declined'), count(*) FILTER (WHERE reason = 'cancelled') FROM (
		SELECT reason FROM leadflow.stage_history WHERE to_stage = 'rejected'
		UNION ALL
		SELECT lost_reason FROM leadflow.deals WHERE status = 'lost') r},
	'SELECT count(declined), count(cancelled) FROM facts',
	'7635|2807');
$report->('months',
	'SELECT month_start, sum(leads), sum(sqls), sum(won) FROM leadflow.funnel_monthly GROUP BY 1 ORDER BY 1',
	q{SELECT date_trunc('month', lead AT TIME ZONE 'Europe/Amsterdam')::date, count(*), count(sql), count(won)
	  FROM facts GROUP BY 1 ORDER BY 1});
$report->('each lead stands where the log left it',
	'SELECT stage, count(*), sum(hashtext(external_id)) FROM leadflow.leads GROUP BY 1 ORDER BY 1',
	q{SELECT CASE WHEN won IS NOT NULL THEN 'won'
		WHEN coalesce(declined, cancelled) IS NOT NULL THEN CASE WHEN opportunity IS NULL THEN 'rejected' ELSE 'lost' END
		WHEN opportunity IS NOT NULL THEN 'opportunity' WHEN offer IS NOT NULL THEN 'offer' WHEN accepted IS NOT NULL THEN 'accepted'
		WHEN mql IS NOT NULL THEN 'mql' WHEN sql IS NOT NULL THEN 'sql' ELSE 'lead' END,
		count(*), sum(hashtext(case_id))
	  FROM facts GROUP BY 1 ORDER BY 1});
$report->('and entered each stage at the time of its event',
	q{SELECT to_stage, count(*), sum(extract(epoch FROM entered_at)) FROM leadflow.stage_history GROUP BY 1 ORDER BY 1},
	q{SELECT stage, count(*), sum(extract(epoch FROM at)) FROM facts, LATERAL (VALUES
		('lead', lead), ('mql', mql), ('sql', sql), ('accepted', accepted), ('offer', offer), ('opportunity', opportunity), ('won', won),
		(CASE WHEN opportunity IS NULL THEN 'rejected' ELSE 'lost' END, coalesce(declined, cancelled))) s (stage, at)
	  WHERE at IS NOT NULL GROUP BY 1 ORDER BY 1});

# The promises.
$report->('leads handed to a rep, those that were called',
	'SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM leadflow.handoffs h WHERE h.lead_id = f.lead_id AND h.touches > 0)) FROM first_handoffs f',
	'SELECT count(sql), count(touched) FROM facts',
	'4755|4755');
$report->('calls within an hour and a day by the wall clock, median hours',
	q{SELECT count(*) FILTER (WHERE wall_hours <= 1), count(*) FILTER (WHERE wall_hours <= 24),
		round(percentile_cont(0.5) WITHIN GROUP (ORDER BY wall_hours)::numeric, 6)
	  FROM leadflow.sla_status s JOIN first_handoffs f ON f.id = s.handoff_id
	  WHERE metric = 'time_to_first_touch' AND stopped_at IS NOT NULL},
	q{SELECT count(*) FILTER (WHERE touched - sql <= '1 hour'), count(*) FILTER (WHERE touched - sql <= '24 hours'),
		round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM touched - sql)) / 3600)::numeric, 6)
	  FROM facts WHERE touched IS NOT NULL},
	'2650|4578|0.707457');
my $status = q{
	SELECT l.external_id, s.metric, s.started_at, s.state, s.due_at, s.stopped_at,
		round(s.elapsed_hours::numeric, 6) AS elapsed_hours, round(s.overdue_hours::numeric, 6) AS overdue_hours
	FROM leadflow.sla_status s JOIN leadflow.leads l ON l.id = s.lead_id};
$report->('clocks by metric and state',
	'SELECT metric, state, count(*) FROM leadflow.sla_status GROUP BY 1, 2 ORDER BY 1, 2',
	'SELECT metric, state, count(*) FROM wanted GROUP BY 1, 2 ORDER BY 1, 2');
is($node->safe_psql($db, qq{
		SET leadflow.clock = '$now';
		CREATE TABLE got AS $status;
		SELECT 'got', g FROM (SELECT * FROM got EXCEPT ALL SELECT * FROM wanted LIMIT 5) g
		UNION ALL
		SELECT 'wanted', w FROM (SELECT * FROM wanted EXCEPT ALL SELECT * FROM got LIMIT 5) w}),
	'', 'each clock: its start, its state, when it was due and stopped, working hours elapsed and overdue');
$report->('attainment by month and promise',
	q{SELECT month_start, metric, sum(clocks), sum(met), sum(breached), sum(open), round(sum(met) / nullif(sum(met) + sum(breached), 0), 6)
	  FROM leadflow.sla_attainment_monthly GROUP BY 1, 2 ORDER BY 1, 2},
	q{SELECT date_trunc('month', started_at AT TIME ZONE 'Europe/Amsterdam')::date, metric, count(*),
		count(*) FILTER (WHERE state = 'met'), count(*) FILTER (WHERE state = 'breached'), count(*) FILTER (WHERE stopped_at IS NULL AND state <> 'breached'),
		round(count(*) FILTER (WHERE state = 'met') / nullif(count(*) FILTER (WHERE state IN ('met', 'breached')), 0)::numeric, 6)
	  FROM wanted WHERE state <> 'cancelled' GROUP BY 1, 2 ORDER BY 1, 2});
$report->('each hand-off and first call at the time of its event',
	q{SELECT count(*), sum(extract(epoch FROM offered_at)), sum(extract(epoch FROM first_touch_at)) FROM first_handoffs},
	q{SELECT count(sql), sum(extract(epoch FROM sql)), sum(extract(epoch FROM touched)) FROM facts});
# Round robin, one hand-off at a time: shares differ by one at most.
$report->('the reps got equal shares',
	'SELECT count(*), max(n) - min(n) <= 1 FROM (SELECT count(*) AS n FROM first_handoffs GROUP BY owner_id) r',
	q{SELECT count(*), true FROM leadflow.team_members WHERE team = 'sales' AND weight > 0});

# Money, and what everybody opens.
$report->('the revenue is that of the approved applications',
	'SELECT sum(revenue), sum(deals_credited) FROM leadflow.attribution_by_campaign WHERE is_default',
	'SELECT round(sum(amount), 2), count(*) FROM facts WHERE won IS NOT NULL');
$report->('attribution_check is empty', 'SELECT count(*) FROM leadflow.attribution_check', 'SELECT 0');
$report->('the board has a row a lead',
	q{SELECT count(*), count(*) FILTER (WHERE stage = 'won') FROM leadflow.lead_board},
	'SELECT count(*), count(won) FROM facts');
$report->('the timeline of a lead has all its events',
	q{SELECT count(*) FROM leadflow.lead_timeline WHERE lead_id = 1 AND what IN ('form_submit', 'call', 'note')},
	q{SELECT count(*) FROM events WHERE case_id = (SELECT case_id FROM events WHERE n = 1)});

my $start = time;
is_verified($node, $db);
note(sprintf('%.1f s', time - $start));

# All over, and told once more. Half of what is no move comes before the moves that it happened after, or the other way round.
$node->safe_psql('again', <<"SQL");
SELECT setseed(0.2012);
CREATE TABLE arrivals AS
WITH moves AS (
	SELECT no, n, row_number() OVER (PARTITION BY no ORDER BY n) AS nr FROM steps WHERE stage IS NOT NULL AND n <= $events
), drawn AS MATERIALIZED (
	SELECT no, random() AS arrives FROM moves
), moments AS MATERIALIZED (
	SELECT m.no, m.n, m.nr, d.arrives
	FROM moves m JOIN (SELECT *, row_number() OVER (PARTITION BY no ORDER BY arrives) AS nr FROM drawn) d USING (no, nr)
), arriving AS MATERIALIZED (
	SELECT n, arrives, CASE WHEN nr = 1 THEN 0 ELSE 2 END AS turn, NULL::timestamptz AS until, 'move' AS does FROM moments
	UNION ALL
	SELECT x.n, m.arrives + random() * (1 - m.arrives), 1, x.until, x.does
	FROM (
		SELECT no, n, NULL::timestamptz AS until, 'activity' AS does FROM steps WHERE n <= $events
		UNION ALL
		SELECT no, n, until, 'pause' FROM pauses WHERE until > paused OR until IS NULL
	) x
	JOIN moments m ON m.no = x.no AND m.nr = 1
)
SELECT row_number() OVER (ORDER BY a.arrives, a.turn, a.n) AS nr, CASE a.does WHEN 'move' THEN s.stage ELSE a.does END AS does, a.until,
	s.n, s.at, s.case_id, s.amount, s.what, s.rep, s.actor, s.stage, s.is_call, s.member_id
FROM arriving a JOIN steps s USING (n);
CREATE UNIQUE INDEX ON arrivals (nr);
ANALYZE arrivals;
SQL
$play->('in random order', 'again', "SET leadflow.clock = '$now'; CALL load(500)");
my $derived = sub {
	my ($base) = @_;
	return $node->safe_psql($base, q{
		SELECT l.external_id, p.name, c.metric, c.state, c.started_at, c.due_at, c.stopped_at, c.warn_at, c.target, c.target_count,
			c.counted_from, c.carried, k.name
		FROM leadflow.sla_clocks c
		JOIN leadflow.leads l ON l.id = c.lead_id
		JOIN leadflow.sla_policies p ON p.id = c.policy_id
		JOIN leadflow.calendars k ON k.id = c.calendar_id
		UNION ALL
		SELECT l.external_id, 'hand-offs', l.stage, NULL, min(h.offered_at), min(h.first_touch_at), NULL, NULL, NULL, sum(h.touches),
			NULL, NULL, NULL
		FROM leadflow.leads l LEFT JOIN leadflow.handoffs h ON h.lead_id = l.id GROUP BY l.id
		ORDER BY 1, 2, 5});
};
my %happened = map { $_ => 1 } split(/\n/, $derived->($db));
my @told = split(/\n/, $derived->('again'));
my @differing = ((grep { !delete $happened{$_} } @told), sort keys %happened);
is(join("\n", splice(@differing, 0, 10)), '', 'the same clocks of ' . scalar(@told) . ' whatever the order in which things are told');
is_verified($node, 'again');

$node->stop;
done_testing();
