# leadflow.schedule() with a real pg_cron: a breach is announced by itself. And what
# somebody is told where pg_cron is elsewhere or not there at all.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use Test::More;

# Without it first: this is every server's first day.
my $bare = start_node('bare');
$bare->safe_psql('postgres', 'CREATE EXTENSION leadflow');
my $available = $bare->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron'});
my $stderr = '';
my $code = $bare->psql('postgres', '\set VERBOSITY verbose' . "\nSELECT leadflow.schedule()", stderr => \$stderr);
isnt($code, 0, 'schedule() is refused without pg_cron');
like($stderr, qr/ERROR:  55000: pg_cron is not (?:installed on this server|loaded)/, 'it says what is missing');
like($stderr, qr/HINT: .*SELECT \* FROM leadflow\.check_sla\(\)/, 'and what to run instead');
is($bare->safe_psql('postgres', 'SELECT leadflow.unschedule()'), 'f', 'there is nothing to unschedule');
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

$node->safe_psql('crm', q{
	INSERT INTO leadflow.sla_policies (name, metric, target, priority) VALUES ('at once', 'time_to_first_touch', '1 second', 100);
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title) VALUES (1, 'lead@one.example', 'Lead', 'One', 'Director');
	UPDATE leadflow.leads SET stage = 'mql' WHERE id = 1;
	UPDATE leadflow.leads SET stage = 'sql' WHERE id = 1;
});
ok( $node->poll_query_until('crm', q{
		SELECT c.state = 'breached' AND c.breached_at > c.due_at
		FROM leadflow.sla_clocks c JOIN leadflow.sla_policies p ON p.id = c.policy_id AND p.name = 'at once'}),
	'pg_cron announces a breach');
ok( $node->poll_query_until('crm', qq{
		SELECT bool_and(status = 'succeeded') AND count(*) > 0 FROM cron.job_run_details WHERE jobid = $job AND end_time IS NOT NULL}),
	'its runs succeed');

is($node->safe_psql('crm', 'SELECT leadflow.unschedule()'), 't', 'unschedule() removes it');
is($node->safe_psql('crm', 'SELECT leadflow.unschedule()'), 'f', 'once');
is($node->safe_psql('crm', 'SELECT database FROM cron.job'), 'other', 'the other database keeps its own');
$node->stop;
done_testing();
