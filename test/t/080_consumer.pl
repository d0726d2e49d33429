# Those who send notifications, with a real driver (test/consumer.py): killed in mid-work, cut off
# by a server that dies, eight at once. Everything is sent, of each lead in order; then what
# wakes them.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run qw(start);
use LeadflowTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'python3-psycopg is not installed'
  if system('/usr/bin/python3 -c "import psycopg" 2>/dev/null') != 0;

my $consumer = dirname(abs_path(__FILE__)) . '/../consumer.py';
my $node = start_node('consumer', "max_prepared_transactions = 5\nautovacuum_naptime = '1s'\n");
my $db = 'postgres';

$node->safe_psql($db, q{
	CREATE EXTENSION leadflow;
	INSERT INTO leadflow.team_members (full_name, email, team)
	SELECT 'Rep ' || i, 'rep' || i || '@example.com', 'sales' FROM generate_series(1, 3) i;
	-- leads from first to last are handed over, then change hands: 2 + hands notifications each
	CREATE PROCEDURE happen(first integer, last integer, hands integer) LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO leadflow.leads (id, email) SELECT i, i || '@example.net' FROM generate_series(first, last) i;
		INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'demo_request' FROM generate_series(first, last) i;
		COMMIT;
		FOR hand IN 1 .. hands LOOP
			UPDATE leadflow.leads SET owner_id = 1 + (owner_id % 3) WHERE id BETWEEN first AND last;
			COMMIT;
		END LOOP;
	END $$;
});

my $sent = PostgreSQL::Test::Utils::tempdir() . '/sent';
my $dsn = $node->connstr($db);
sub consumer
{
	my ($name, @options) = @_;
	my $err = '';
	return start([ '/usr/bin/python3', $consumer, '--dsn', $dsn, '--name', $name, '--out', $sent, @options ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
}

sub lines
{
	open my $file, '<', $sent or return ();
	my @lines = <$file>;
	close $file;
	return @lines;
}

sub undelivered
{
	return $node->safe_psql($db, 'SELECT count(*) FROM leadflow.notifications WHERE delivered_at IS NULL');
}

# What was sent against what there was to send.
sub is_sent
{
	my ($name) = @_;
	my (%seen, %last);
	my $disordered = 0;
	my $again = 0;
	foreach (lines())
	{
		my ($id, $lead) = split;
		$disordered++ if $id < ($last{$lead} // 0);
		$again++ if $seen{$id}++;
		$last{$lead} = $id;
	}
	my @lost = grep { !$seen{$_} } split /\n/, $node->safe_psql($db, 'SELECT id FROM leadflow.notifications ORDER BY id');
	is(scalar(@lost), 0, "$name: nothing is lost");
	is($disordered, 0, "$name: of each lead in order");
	is(undelivered(), 0, "$name: everything is acknowledged");
	is($node->safe_psql($db, 'SELECT count(*) FROM leadflow.dead_notifications'), 0, "$name: nothing is dead");
	return $again;
}

# Killed, again and again, wherever they are.
$node->safe_psql($db, 'CALL happen(1, 100, 2)');
my %running;
my $kills = 0;
my $until = time + 120;
while (undelivered() > 0 && time < $until)
{
	foreach my $i (1 .. 3)
	{
		my $name = "killed $i, $kills";
		$running{$i}{process} //= consumer($running{$i}{name} = $name, '--batch', 7, '--lease', 2, '--work', 0.01, '--idle', 100);
		next if $kills >= 12;
		# in mid-work: it has claimed something
		next unless $node->safe_psql($db, "SELECT count(*) FROM leadflow.notifications
			WHERE claimed_by = '$running{$i}{name}' AND delivered_at IS NULL") > 0;
		$running{$i}{process}->signal('KILL');
		eval { $running{$i}{process}->finish };
		delete $running{$i};
		$kills++;
	}
	sleep 0.01;
}
foreach (map { $_->{process} } values %running) { $_->signal('TERM'); eval { $_->finish }; }
cmp_ok($kills, '>=', 8, 'consumers were killed');
is_sent('killed');
cmp_ok($node->safe_psql($db, 'SELECT count(*) FROM leadflow.notifications WHERE attempts > 1'), '>', 0,
	'killed: some were in mid-work, and handed out again');

# A server that dies under them.
$node->safe_psql($db, 'CALL happen(101, 200, 2)');
my @crowd = map { consumer("crash $_", '--batch', 5, '--lease', 2, '--work', 0.002, '--idle', 100) } 1 .. 3;
foreach (1 .. 2)
{
	sleep 0.5;
	$node->stop('immediate');
	$node->start;
}
$node->poll_query_until($db, 'SELECT count(*) = 0 FROM leadflow.notifications WHERE delivered_at IS NULL');
foreach (@crowd) { $_->signal('TERM'); eval { $_->finish }; }
is_sent('crash');

# Eight at once, while more is written; some can't be delivered at first. A lease that nobody
# outlives: each is sent once.
unlink $sent;
$node->safe_psql($db, 'DELETE FROM leadflow.leads');
@crowd = map { consumer("eight $_", '--batch', 20, '--fail', 97, '--work', 0.002, '--idle', 100) } 1 .. 8;
# whoever starts late would find nothing left to do
$node->poll_query_until($db, q{
	SELECT count(*) = 8 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()})
	or die 'eight consumers did not connect';
$node->safe_psql($db, 'CALL happen(201, 400, 5)');
$node->safe_psql($db, 'CALL happen(401, 600, 5)');
my $failed = 0;
$until = time + 120;
while (undelivered() > 0 && time < $until)
{
	# those that failed would wait for half a minute
	$failed += $node->safe_psql($db, q{
		SET session_replication_role = replica;
		WITH failed AS (UPDATE leadflow.notifications SET next_attempt_at = now()
			WHERE last_error = 'not the first time' AND delivered_at IS NULL AND next_attempt_at > now() + interval '10 seconds' RETURNING id)
		SELECT count(*) FROM failed;});
	sleep 0.2;
}
foreach (@crowd) { $_->signal('TERM'); eval { $_->finish }; }
cmp_ok($failed, '>', 0, 'eight: some failed, and their leads waited');
is(is_sent('eight'), 0, 'eight: nothing is sent twice');
is($node->safe_psql($db, q{SELECT count(DISTINCT claimed_by) FROM leadflow.notifications WHERE claimed_by LIKE 'eight%'}), 8,
	'eight: all took part');
is_verified($node, $db);

# Listeners wake when the transaction is committed, if that is wanted; and when the sweep has run.
sub notified
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql($db, "LISTEN leadflow; $sql SELECT 1;");
	is($err, '', "no error: $sql");
	return () = $out =~ /Asynchronous notification "leadflow"/g;
}
my $event = q{WITH l AS (INSERT INTO leadflow.leads (email) VALUES ('x@example.org') RETURNING id)
	INSERT INTO leadflow.activities (lead_id, kind) SELECT id, 'demo_request' FROM l;};
is(notified($event), 0, 'nobody is woken by default');
is(notified("SET leadflow.notify = on; BEGIN; $event $event SELECT leadflow.settle(); $event COMMIT;"), 1, 'woken once a transaction');
is(notified("SET leadflow.notify = on; BEGIN; $event SELECT leadflow.settle(); ROLLBACK;"), 0, 'not of what was rolled back');
is(notified("SET leadflow.notify = on; INSERT INTO leadflow.activities (lead_id, kind) SELECT max(id), 'note' FROM leadflow.leads;"), 0,
	'nor where nobody was told anything');
is(notified('SELECT * FROM leadflow.check_sla();'), 1, 'the sweep wakes them while something is due');
$node->safe_psql($db, q{SELECT leadflow.ack_notifications(array_agg(id)) FROM leadflow.notifications});
is(notified('SELECT * FROM leadflow.check_sla();'), 0, 'and lets them sleep where nothing is');

# Two-phase commit.
is($node->safe_psql($db, qq{BEGIN; $event PREPARE TRANSACTION 'told'; SELECT count(*) FROM leadflow.notifications WHERE delivered_at IS NULL;}), 0,
	'prepared: nobody is told yet');
$node->safe_psql($db, q{COMMIT PREPARED 'told'});
is(undelivered(), 2, 'then they are');
my ($rc, $out, $err) = $node->psql($db, qq{SET leadflow.notify = on; BEGIN; $event PREPARE TRANSACTION 'told';});
like($err, qr/cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY/, 'what wakes listeners can\'t be prepared');

done_testing();
