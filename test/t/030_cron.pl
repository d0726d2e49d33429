# The sweep as it is run: by a real pg_cron, as the role that scheduled it, before and after a stop of the
# server; and in mid-run when its backend dies. And what somebody is told where pg_cron is elsewhere or not there at all.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use Test::More;

# Reps, and promises of each kind that are kept in mere seconds, by company.
my $promises = q{
	INSERT INTO leadflow.team_members (id, full_name, email, team) SELECT 10 + i, 'Rep ' || i, 'rep' || i || '@example.com', 'sales' FROM generate_series(1, 3) i;
	INSERT INTO leadflow.sla_policies (name, metric, target, priority, on_breach, condition) VALUES
		('tell', 'time_to_accept', '3 seconds', 100, 'notify', '$.company == "Tell"'),
		('else', 'time_to_accept', '3 seconds', 100, 'reassign', '$.company == "Else"'),
		('back', 'time_to_accept', '3 seconds', 100, 'return_to_marketing', '$.company == "Back"');
	DELETE FROM leadflow.sla_policies WHERE priority = 0;
};

# The SQL that hands some leads of each kind over to the first rep.
sub hand_over
{
	my ($from, $to) = @_;
	return qq{
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title)
	SELECT i, 'lead' || i || '\@example.com', 'Lead ' || i, (ARRAY['Tell', 'Else', 'Back'])[1 + i % 3], 'Director' FROM generate_series($from, $to) i;
	UPDATE leadflow.leads SET stage = 'mql' WHERE id BETWEEN $from AND $to;
	UPDATE leadflow.leads SET stage = 'sql', owner_id = 11 WHERE id BETWEEN $from AND $to;
	};
}

# Each clock was announced once, and what its promise says was done once.
my $once = q{
	SELECT p.on_breach, count(*) AS clocks, count(c.breached_at) AS announced, count(c.escalated_at) AS escalated, sum(n.n) AS told, sum(h.n) AS reassigned, sum(s.n) AS returned
	FROM leadflow.sla_clocks c
	JOIN leadflow.sla_policies p ON p.id = c.policy_id
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM leadflow.notifications n WHERE n.event = 'sla.breached' AND n.payload ->> 'clock_id' = c.id::text) n
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM leadflow.handoffs h WHERE h.lead_id = c.lead_id AND h.why = 'service level breached') h
	CROSS JOIN LATERAL (SELECT count(*) AS n FROM leadflow.stage_history s WHERE s.lead_id = c.lead_id AND s.reason = 'sla_breached') s
	GROUP BY 1 ORDER BY 1
};

# Without pg_cron first: this is every server's first day.
my $bare = start_node('bare', "restart_after_crash = on\n");
$bare->safe_psql('postgres', 'CREATE EXTENSION leadflow');
my $available = $bare->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron'});
my $stderr = '';
my $code = $bare->psql('postgres', '\set VERBOSITY verbose' . "\nSELECT leadflow.schedule()", stderr => \$stderr);
isnt($code, 0, 'schedule() is refused without pg_cron');
like($stderr, qr/ERROR:  55000: pg_cron is not (?:installed on this server|loaded)/, 'it says what is missing');
like($stderr, qr/HINT: .*SELECT \* FROM leadflow\.check_sla\(\)/, 'and what to run instead');
is($bare->safe_psql('postgres', 'SELECT leadflow.unschedule()'), 'f', 'there is nothing to unschedule');

# A backend that dies in the middle of a run, when it has announced some and waits for a queue, has done nothing; the
# runs that follow, in small portions, do everything once. So does one that is rolled back.
$bare->safe_psql('postgres', $promises . hand_over(1, 60) . q{UPDATE leadflow.leads SET stage = 'accepted' WHERE id <= 3});
ok($bare->poll_query_until('postgres', 'SELECT bool_and(due_at < clock_timestamp()) FROM leadflow.sla_clocks WHERE stopped_at IS NULL'), 'clocks are due');
$bare->safe_psql('postgres', q{INSERT INTO leadflow.leads (id, email, stage) VALUES (100, 'lead100@example.com', 'mql'); UPDATE leadflow.leads SET stage = 'sql' WHERE id = 100});
my $queue = $bare->background_psql('postgres');
$queue->query_safe(q{BEGIN; SELECT FROM leadflow.queue_state FOR UPDATE});
my $sweep = $bare->background_psql('postgres', on_error_stop => 0);
my $pid = $sweep->query_safe('SELECT pg_backend_pid()');
$sweep->query_until(qr/begun/, "\\echo begun\nSELECT * FROM leadflow.check_sla();\n");
ok($bare->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid"), 'a run waits in the middle');
kill('KILL', $pid);
eval { $sweep->quit };
eval { $queue->quit };
ok($bare->poll_query_until('postgres', 'SELECT true'), 'its backend died');
is( $bare->safe_psql('postgres', q{SELECT count(breached_at), count(escalated_at), (SELECT count(*) FROM leadflow.notifications WHERE event LIKE 'sla.%') FROM leadflow.sla_clocks}),
	'0|0|0', 'and nothing was done');
$bare->safe_psql('postgres', 'BEGIN; SELECT * FROM leadflow.check_sla(max_clocks => 7); ROLLBACK');
my @runs = map { $bare->safe_psql('postgres', 'SELECT breached, escalated FROM leadflow.check_sla(max_clocks => 7)') } 1 .. 20;
is(scalar(grep { my ($breached, $escalated) = split /\|/; $breached > 7 || $escalated > 7 } @runs), 0, 'no run does more than it may');
is($runs[-1], '0|0', 'and then there is nothing left to do');
is( $bare->safe_psql('postgres', $once),
	"notify|20|19|19|19|0|0\nreassign|20|19|19|19|19|0\nreturn_to_marketing|20|19|19|19|0|19",
	'all was done once, but for what was answered in time');
is_verified($bare, 'postgres');
$bare->stop;

if (!$available)
{
	note('pg_cron is not installed: the rest is skipped');
	done_testing();
	exit;
}

my $node = start_node('cron', q{
shared_preload_libraries = 'pg_cron'
cron.database_name = 'crm'
cron.use_background_workers = on
max_worker_processes = 20
});

# pg_cron is loaded, its database has no extension yet.
$node->safe_psql('postgres', 'CREATE DATABASE crm');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql($_, 'CREATE EXTENSION leadflow') foreach ('crm', 'other');
$node->psql('crm', 'SELECT leadflow.schedule()', stderr => \$stderr);
like($stderr, qr/HINT:  Run CREATE EXTENSION pg_cron/, 'schedule() asks for CREATE EXTENSION');
$node->safe_psql('crm', 'CREATE EXTENSION pg_cron');

# From another database: the hint is the statement, to the letter.
$node->psql('other', q{SELECT leadflow.schedule('*/5 * * * *')}, stderr => \$stderr);
like($stderr, qr/ERROR:  pg_cron lives in database crm, not in this one/, 'schedule() is refused in another database');
my ($statement) = $stderr =~ /run: (SELECT cron\.schedule_in_database\(.*?\));/;
ok($statement, 'the hint has the statement');
$node->safe_psql('crm', $statement);
is( $node->safe_psql('crm', 'SELECT jobname, database, schedule, command FROM cron.job'),
	'leadflow_check_sla_other|other|*/5 * * * *|SELECT * FROM leadflow.check_sla()',
	'it registers the sweep of the other database');

# One of our name that is for another database isn't taken over.
$node->safe_psql('crm', q{SELECT cron.schedule_in_database('leadflow_check_sla', '0 0 * * *', 'SELECT 1', 'other')});
$node->psql('crm', 'SELECT leadflow.schedule()', stderr => \$stderr);
like($stderr, qr/ERROR:  job "leadflow_check_sla" exists for database other/, 'a job of that name elsewhere is left alone');
$node->safe_psql('crm', q{SELECT cron.unschedule('leadflow_check_sla')});

# Here.
my $job = $node->safe_psql('crm', 'SELECT leadflow.schedule()');
like($job, qr/^\d+$/, 'schedule() returns the job');
is($node->safe_psql('crm', q{SELECT leadflow.schedule('*/10 * * * *')}), $job, 'another schedule replaces it');
is($node->safe_psql('crm', q{SELECT leadflow.schedule()}), $job, 'and another');
is( $node->safe_psql('crm', 'SELECT jobname, schedule, command FROM cron.job WHERE database = current_database()'),
	'leadflow_check_sla|* * * * *|SELECT * FROM leadflow.check_sla()', 'there is one');
$node->psql('crm', q{SELECT leadflow.schedule('every now and then')}, stderr => \$stderr);
like($stderr, qr/invalid schedule/, 'nonsense is refused');

is($node->safe_psql('crm', 'SELECT leadflow.unschedule()'), 't', 'it is removed');

# Who may run the sweep may schedule it, once pg_cron lets in who may.
sub as_role
{
	my ($role, $sql, $db) = @_;
	my ($out, $err) = ('', '');
	my $failed = $node->psql($db // 'crm', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ]);
	return $failed ? $err : $out;
}

$node->safe_psql('crm', q{
	SELECT leadflow.setup_roles();
	CREATE ROLE operator LOGIN;
	GRANT leadflow_admin TO operator;
	CREATE ROLE mia LOGIN;
	GRANT leadflow_marketing TO mia;
	CREATE ROLE helper LOGIN;
	GRANT leadflow_marketing TO helper;
	GRANT EXECUTE ON FUNCTION leadflow.schedule(text) TO helper;
});
like(as_role('mia', 'SELECT leadflow.schedule()'), qr/permission denied for function schedule/, 'not marketing');
like(as_role('operator', 'SELECT leadflow.schedule()'),
	qr/role "operator" may not use pg_cron.*HINT:  GRANT USAGE ON SCHEMA cron TO operator;/s, 'not who may not use pg_cron');
$node->safe_psql('other', 'SELECT leadflow.setup_roles()');
like(as_role('operator', 'SELECT leadflow.schedule()', 'other'),
	qr/pg_cron does not live in this database.*HINT:  Connect to that database and run: SELECT cron\.schedule_in_database\(/s, 'where it lives is not for everybody to read');
$node->safe_psql('crm', 'GRANT USAGE ON SCHEMA cron TO operator, helper, mia');
like(as_role('helper', 'SELECT leadflow.schedule()'),
	qr/role "helper" may not run the sweep.*HINT:  GRANT EXECUTE ON FUNCTION leadflow\.check_sla TO helper;/s, 'nor who could not run it');
$job = as_role('operator', 'SELECT leadflow.schedule()');
like($job, qr/^\d+$/, 'an administrator who is no superuser schedules it');
is($node->safe_psql('crm', "SELECT username, active FROM cron.job WHERE jobid = $job"), 'operator|t', 'as that role');
like(as_role('mia', 'SELECT leadflow.unschedule()'), qr/permission denied for function unschedule/, 'others do not remove it');

$node->safe_psql('crm', $promises . hand_over(1, 6));
ok($node->poll_query_until('crm', 'SELECT count(breached_at) = 6 FROM leadflow.sla_clocks'), 'pg_cron announces breaches');
ok( $node->poll_query_until('crm', qq{
		SELECT bool_and(status = 'succeeded' AND username = 'operator') AND count(*) > 0 FROM cron.job_run_details WHERE jobid = $job AND end_time IS NOT NULL}),
	'its runs succeed, as the role that scheduled it');
is($node->safe_psql('crm', $once), "notify|2|2|2|2|0|0\nreassign|2|2|2|2|2|0\nreturn_to_marketing|2|2|2|2|0|2", 'and do what promises say');

# What comes due while the server is down is announced when it is back, with the instant when it was due.
$node->safe_psql('crm', hand_over(7, 12));
$node->stop('fast');
my $due = time() + 4;
sleep(1) while time() < $due;
$node->start;
my $started = $node->safe_psql('crm', 'SELECT pg_postmaster_start_time()');
is($node->safe_psql('crm', "SELECT count(*) FROM leadflow.sla_clocks WHERE lead_id > 6 AND due_at < '$started' AND breached_at IS NULL"),
	'6', 'clocks came due while nobody was there');
ok($node->poll_query_until('crm', 'SELECT count(breached_at) = 12 FROM leadflow.sla_clocks'), 'pg_cron catches up');
is( $node->safe_psql('crm', "SELECT count(*) FROM leadflow.sla_clocks WHERE lead_id > 6 AND due_at = started_at + interval '3 seconds' AND breached_at > '$started'"),
	'6', 'they were due when they were due');
is($node->safe_psql('crm', $once), "notify|4|4|4|4|0|0\nreassign|4|4|4|4|4|0\nreturn_to_marketing|4|4|4|4|0|4", 'and each is announced once');
is_verified($node, 'crm');

is(as_role('operator', 'SELECT leadflow.unschedule()'), 't', 'unschedule() removes it');
is($node->safe_psql('crm', 'SELECT leadflow.unschedule()'), 'f', 'once');
is($node->safe_psql('crm', 'SELECT database FROM cron.job'), 'other', 'the other database keeps its own');
$node->stop;
done_testing();
