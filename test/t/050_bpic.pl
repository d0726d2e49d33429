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
#   O_SENT, the first                a deal is opened
#   W_Nabellen offertes, START       a call
#   A_APPROVED                       the deal is won
#   A_DECLINED, A_CANCELLED          the deal is lost; without one the lead is rejected
# Every other event is a note of the timeline.
#
# This bank hands over leads that are not qualified yet: the rep qualifies them by phone.
# So the site adds the moves that its process has and the shipped one has not. The
# employees have numbers; 112 is their web site.
#
# The whole log is played; LEADFLOW_BPIC_EVENTS=60000 plays the first so many events. What the reports say is compared with what plain SQL
# makes of the log; of the whole log the figures are known from elsewhere, too.
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

-- The answers: a row a case, of the events that are played.
CREATE TABLE facts AS
SELECT case_id,
	min(at) FILTER (WHERE act = 'A_SUBMITTED') AS lead,
	min(at) FILTER (WHERE act = 'A_PREACCEPTED') AS mql,
	min(at) FILTER (WHERE what = 'W_Afhandelen leads SCHEDULE') AS sql,
	min(at) FILTER (WHERE what = 'W_Afhandelen leads START') AS touched,
	min(at) FILTER (WHERE act = 'A_ACCEPTED') AS accepted,
	min(at) FILTER (WHERE act = 'O_SENT') AS opportunity,
	min(at) FILTER (WHERE act = 'A_APPROVED') AS won,
	min(at) FILTER (WHERE act = 'A_DECLINED') AS declined,
	min(at) FILTER (WHERE act = 'A_CANCELLED') AS cancelled,
	min(amount) AS amount,
	(SELECT at FROM events WHERE n = $events) AS now
FROM events WHERE n <= $events GROUP BY case_id;
CREATE UNIQUE INDEX ON facts (case_id);
ANALYZE events, facts;
SQL
is($node->safe_psql($db, 'SELECT count(*), count(DISTINCT case_id) FROM raw'), '262200|13087', 'the whole log is here');

$node->safe_psql($db, <<'SQL');
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.sla_policies (name, metric, team, target, calendar_id)
SELECT 'first call within the hour', 'time_to_first_touch', 'sales', '1 hour', id
FROM leadflow.calendars WHERE name = 'always';

INSERT INTO leadflow.team_members (external_id, full_name, email, team)
SELECT res, 'Employee ' || res, res || '@bank.example', 'sales'
FROM (SELECT DISTINCT res FROM raw WHERE res <> '112') r ORDER BY res;
INSERT INTO leadflow.team_members (external_id, full_name, email, team, weight)
VALUES ('112', 'Web site', '112@bank.example', 'marketing', 1),
	(NULL, 'Sales desk', 'desk@bank.example', 'sales', 0);

INSERT INTO leadflow.stage_transitions (from_stage, to_stage, teams, requires_reason)
VALUES ('lead', 'sql', '{marketing}', false),
	('sql', 'mql', '{sales}', false),
	('mql', 'accepted', '{sales}', false),
	('lead', 'rejected', '{sales}', true),
	('mql', 'rejected', '{sales}', true);
INSERT INTO leadflow.stage_reasons (reason, stage, label)
VALUES ('declined', 'rejected', 'Declined'), ('cancelled', 'rejected', 'Cancelled by the customer');

CREATE TABLE replay (lead_id bigint PRIMARY KEY, case_id text UNIQUE, stage text, deal_id bigint);

-- Plays events first … last, "batch" events a transaction.
CREATE PROCEDURE replay(first bigint, last bigint, batch integer) LANGUAGE plpgsql AS $$
DECLARE
	e record;
	lead bigint;
	-- What a CRM would know of the lead: its stage and its deal.
	was text;
	deal bigint;
BEGIN
	FOR e IN SELECT x.*, m.id AS member_id FROM events x
		LEFT JOIN leadflow.team_members m ON m.external_id = x.res
		WHERE n BETWEEN first AND last ORDER BY n
	LOOP
		PERFORM set_config('leadflow.clock', e.at::text, true);

		IF e.what = 'A_SUBMITTED' THEN
			INSERT INTO leadflow.leads (external_id, budget, source, sourced_by)
			VALUES (e.case_id, e.amount, 'web', 'marketing') RETURNING id INTO lead;
			INSERT INTO replay VALUES (lead, e.case_id, 'lead');
			INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (lead, 'form_submit', e.what);
			CONTINUE WHEN e.n % batch <> 0;
			COMMIT;
			CONTINUE;
		END IF;

		SELECT r.lead_id, r.stage, r.deal_id INTO STRICT lead, was, deal FROM replay r WHERE r.case_id = e.case_id;
		INSERT INTO leadflow.activities (lead_id, kind, content, member_id)
		VALUES (lead, CASE WHEN e.what IN ('W_Afhandelen leads START', 'W_Nabellen offertes START')
				THEN 'call' ELSE 'note' END, e.what, e.member_id);

		CASE e.what
			WHEN 'W_Afhandelen leads SCHEDULE' THEN
				-- Sixteen are scheduled once more while they are with sales: no new hand-off.
				IF was = 'lead' THEN
					UPDATE leadflow.leads SET stage = 'sql', stage_by = '112@bank.example' WHERE id = lead;
					UPDATE replay SET stage = 'sql' WHERE lead_id = lead;
				END IF;
			WHEN 'A_PREACCEPTED' THEN
				UPDATE leadflow.leads SET stage = 'mql',
					stage_by = CASE WHEN was = 'lead' THEN '112@bank.example' ELSE e.rep END
				WHERE id = lead;
				UPDATE replay SET stage = 'mql' WHERE lead_id = lead;
			WHEN 'A_ACCEPTED' THEN
				UPDATE leadflow.leads SET stage = 'accepted', stage_by = e.rep WHERE id = lead;
				UPDATE replay SET stage = 'accepted' WHERE lead_id = lead;
			WHEN 'O_SENT' THEN
				IF deal IS NULL THEN
					INSERT INTO leadflow.deals (external_id, lead_id, amount, currency, owner_id)
					VALUES (e.case_id, lead, e.amount, 'EUR', e.member_id) RETURNING id INTO deal;
					UPDATE replay SET deal_id = deal WHERE lead_id = lead;
				END IF;
			WHEN 'A_APPROVED' THEN
				UPDATE leadflow.deals SET status = 'won' WHERE id = deal;
			WHEN 'A_DECLINED', 'A_CANCELLED' THEN
				IF deal IS NOT NULL THEN
					UPDATE leadflow.deals SET status = 'lost', lost_reason = lower(substr(e.what, 3)) WHERE id = deal;
				ELSE
					UPDATE leadflow.leads SET stage = 'rejected', stage_reason = lower(substr(e.what, 3)), stage_by = e.rep
					WHERE id = lead;
				END IF;
			ELSE NULL;
		END CASE;
		IF e.n % batch = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
	COMMIT;
END
$$;
SQL
no_gate($node, $db);

my $start = time;
# Half a year in a minute: autovacuum would not keep up, so statistics are gathered at times.
my $first = 1;
foreach my $last (grep({ $_ < $events } 5_000, 50_000), $events)
{
	$node->safe_psql($db, "CALL replay($first, $last, 500); ANALYZE");
	$first = $last + 1;
}
my $seconds = time - $start;
diag(sprintf('BPI Challenge 2012: %d events in %.1f s, %.0f a second', $events, $seconds, $events / $seconds));
# Whoever qualifies a lead that another was given takes it over, on record: a second row.
$node->safe_psql($db, q{
	CREATE VIEW first_handoffs AS
	SELECT DISTINCT ON (lead_id) * FROM leadflow.handoffs ORDER BY lead_id, offered_at, id;
	VACUUM ANALYZE});

my $now = $node->safe_psql($db, 'SELECT max(now) FROM facts');
# The report, as of the last event, says what the log says.
my $report = sub {
	my ($name, $query, $facts, $known) = @_;
	my $expected = $node->safe_psql($db, $facts);
	$start = time;
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
	q{SELECT date_trunc('month', lead)::date, count(*), count(sql), count(won) FROM facts GROUP BY 1 ORDER BY 1});
$report->('each lead stands where the log left it',
	'SELECT stage, count(*), sum(hashtext(external_id)) FROM leadflow.leads GROUP BY 1 ORDER BY 1',
	q{SELECT CASE WHEN won IS NOT NULL THEN 'won'
		WHEN coalesce(declined, cancelled) IS NOT NULL THEN CASE WHEN opportunity IS NULL THEN 'rejected' ELSE 'lost' END
		WHEN opportunity IS NOT NULL THEN 'opportunity' WHEN accepted IS NOT NULL THEN 'accepted'
		WHEN mql IS NOT NULL THEN 'mql' WHEN sql IS NOT NULL THEN 'sql' ELSE 'lead' END,
		count(*), sum(hashtext(case_id))
	  FROM facts GROUP BY 1 ORDER BY 1});
$report->('and entered each stage at the time of its event',
	q{SELECT to_stage, count(*), sum(extract(epoch FROM entered_at)) FROM leadflow.stage_history GROUP BY 1 ORDER BY 1},
	q{SELECT stage, count(*), sum(extract(epoch FROM at)) FROM facts, LATERAL (VALUES
		('lead', lead), ('mql', mql), ('sql', sql), ('accepted', accepted), ('opportunity', opportunity), ('won', won),
		(CASE WHEN opportunity IS NULL THEN 'rejected' ELSE 'lost' END, coalesce(declined, cancelled))) s (stage, at)
	  WHERE at IS NOT NULL GROUP BY 1 ORDER BY 1});

# The promise: a call within the hour.
$report->('leads handed to a rep, those that were called',
	'SELECT count(DISTINCT lead_id), count(DISTINCT lead_id) FILTER (WHERE touches > 0) FROM leadflow.handoffs',
	'SELECT count(sql), count(touched) FROM facts',
	'4755|4755');
$report->('clocks, calls within the hour, later, still open',
	q{SELECT sum(clocks), sum(met), sum(breached), sum(open) FROM leadflow.sla_attainment_monthly
	  WHERE metric = 'time_to_first_touch'},
	q{SELECT count(*), count(*) FILTER (WHERE touched - sql <= '1 hour'),
		count(*) FILTER (WHERE coalesce(touched, now) - sql > '1 hour'),
		count(*) FILTER (WHERE touched IS NULL AND now - sql <= '1 hour')
	  FROM facts WHERE sql IS NOT NULL},
	'4755|2650|2105|0');
$report->('calls within the hour and the day, median hours by the wall clock',
	q{SELECT count(*) FILTER (WHERE wall_hours <= 1), count(*) FILTER (WHERE wall_hours <= 24),
		count(*) FILTER (WHERE elapsed_hours = wall_hours),
		round(percentile_cont(0.5) WITHIN GROUP (ORDER BY wall_hours)::numeric, 6)
	  FROM leadflow.sla_status WHERE metric = 'time_to_first_touch' AND stopped_at IS NOT NULL},
	q{SELECT count(*) FILTER (WHERE touched - sql <= '1 hour'), count(*) FILTER (WHERE touched - sql <= '24 hours'),
		count(*), round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM touched - sql)) / 3600)::numeric, 6)
	  FROM facts WHERE touched IS NOT NULL},
	'2650|4578|4755|0.707457');
$report->('each clock is in the same state and stopped at the same time',
	q{SELECT state, count(*), sum(hashtext(l.external_id)), sum(extract(epoch FROM stopped_at)), round(sum(overdue_hours)::numeric, 4)
	  FROM leadflow.sla_status s JOIN leadflow.leads l ON l.id = s.lead_id
	  WHERE metric = 'time_to_first_touch' GROUP BY state ORDER BY state},
	q{SELECT CASE WHEN coalesce(touched, now) - sql > '1 hour' THEN 'breached' WHEN touched IS NOT NULL THEN 'met' ELSE 'running' END,
		count(*), sum(hashtext(case_id)), sum(extract(epoch FROM touched)),
		round(sum(greatest(extract(epoch FROM coalesce(touched, now) - sql) / 3600 - 1, 0)), 4)
	  FROM facts WHERE sql IS NOT NULL GROUP BY 1 ORDER BY 1});
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

$start = time;
is_verified($node, $db);
note(sprintf('%.1f s', time - $start));

$node->stop;
done_testing();
