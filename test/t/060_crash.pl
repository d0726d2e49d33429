# Crashes and crowds: what was committed is there, what the engine keeps equals what a
# recomputation gives, and no transaction of activity inserts fails because of another.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('crash', "max_prepared_transactions = 10\ndeadlock_timeout = '100ms'\n");
my $db = 'postgres';

$node->safe_psql($db, q{
	CREATE EXTENSION leadflow;
	INSERT INTO leadflow.team_members (full_name, email, team)
	SELECT 'Rep ' || i, 'rep' || i || '@example.com', 'sales' FROM generate_series(1, 3) i;
	INSERT INTO leadflow.leads (email, full_name, company, job_title)
	SELECT 'lead' || i || '@example.com', 'Lead ' || i, 'Company ' || i, 'Director' FROM generate_series(1, 50) i;
});

# What is in flight when the server dies is gone, with all that hung on it; what was
# committed or prepared is there.
my $expected = 0;
for my $round (1 .. 3)
{
	for (1 .. 5)
	{
		$node->safe_psql($db, q{
			INSERT INTO leadflow.activities (lead_id, kind)
			SELECT 1 + i % 50, (ARRAY['page_view', 'webinar_attended', 'demo_request'])[1 + i % 3]
			FROM generate_series(1, 20) i});
		$expected += 20;
	}
	my $in_flight = $node->background_psql($db);
	$in_flight->query_safe(q{
		BEGIN;
		INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'demo_request' FROM generate_series(1, 10) i;
		SAVEPOINT s;
		INSERT INTO leadflow.leads (email) VALUES ('lost@example.com');
		SELECT leadflow.settle();});
	$node->safe_psql($db, qq{
		BEGIN;
		INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'webinar_attended' FROM generate_series(41, 50) i;
		PREPARE TRANSACTION 'round$round'});
	$node->stop('immediate');
	eval { $in_flight->quit };
	$node->start;
	$node->safe_psql($db, "COMMIT PREPARED 'round$round'");
	$expected += 10;
	is( $node->safe_psql($db, q{SELECT count(*), (SELECT count(*) FROM leadflow.leads) FROM leadflow.activities}),
		"$expected|50", "crash $round: all that was committed, nothing else");
	is_verified($node, $db, "crash $round: verify() finds nothing");
}

# Eight sessions insert into the same ten leads, in any order, three statements a
# transaction; gates open, leads are promoted and routed on the way.
$node->safe_psql($db, q{
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title)
	SELECT 1000 + i, 'hot' || i || '@example.com', 'Hot ' || i, 'Company ' || i, 'Director' FROM generate_series(1, 10) i;
});
my $before = $node->safe_psql($db, 'SELECT count(*) FROM leadflow.activities');
foreach my $level ('READ COMMITTED', 'REPEATABLE READ')
{
	my $insert = q{
\set lead random(1001, 1010)
\set kind random(1, 4)
INSERT INTO leadflow.activities (lead_id, kind)
VALUES (:lead, (ARRAY['page_view', 'content_download', 'webinar_attended', 'demo_request'])[:kind]);
};
	$node->pgbench(
		'--no-vacuum --client=8 --jobs=2 --transactions=250', 0,
		[ qr{processed: 2000/2000}, qr{number of failed transactions: 0 \(0\.000%\)} ],
		[qr{^(?!.*(?:ERROR|deadlock))}s],
		"8 clients over 10 hot leads, $level",
		{ '060_hot_' . lc($level =~ s/ /_/r) => "BEGIN ISOLATION LEVEL $level;$insert$insert${insert}COMMIT;\n" });
	is_verified($node, $db, "verify() finds nothing after it");
}
is($node->safe_psql($db, 'SELECT count(*) FROM leadflow.activities'),
	$before + 2 * 2000 * 3, 'every activity is there');
is( $node->safe_psql($db, q{
		SELECT count(*) FROM (SELECT FROM leadflow.stage_history WHERE lead_id > 1000
			GROUP BY lead_id, to_stage, cycle HAVING count(*) > 1) twice}),
	'0', 'no gate fired twice');
is( $node->safe_psql($db, q{
		SELECT count(DISTINCT lead_id), count(*) FROM leadflow.handoffs WHERE lead_id > 1000}),
	'10|10', 'each hot lead was handed over once');

# Promotions by one session, moves and deals by others, over the same leads. Whoever moves
# a lead and then writes its activities may wait, and be told to try again, as with any
# row; nothing may go wrong.
$node->safe_psql($db, q{
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title)
	SELECT 2000 + i, 'mixed' || i || '@example.com', 'Mixed ' || i, 'Company ' || i, 'Director' FROM generate_series(1, 400) i;
});
$node->pgbench(
	'--no-vacuum --client=8 --jobs=2 --transactions=150 --max-tries=100', 0,
	[ qr{processed: 1200/1200}, qr{number of failed transactions: 0 \(0\.000%\)} ],
	[qr{^(?!.*ERROR)}s],
	'8 clients that insert, move, void, delete and win',
	{
		'060_insert@4' => q{
\set lead random(2001, 2400)
\set kind random(1, 4)
INSERT INTO leadflow.activities (lead_id, kind)
SELECT :lead + i % 3, (ARRAY['page_view', 'content_download', 'webinar_attended', 'demo_request'])[:kind]
FROM generate_series(1, 4) i WHERE :lead + i % 3 <= 2400;
},
		'060_move@2' => q{
\set lead random(2001, 2400)
BEGIN;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'rep1@example.com' WHERE id = :lead AND stage = 'sql';
INSERT INTO leadflow.activities (lead_id, kind) VALUES (:lead, 'call');
COMMIT;
},
		'060_void@1' => q{
\set lead random(2001, 2400)
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE lead_id = :lead AND kind = 'page_view' AND voided_at IS NULL;
},
		'060_delete@1' => q{
\set lead random(2001, 2400)
DELETE FROM leadflow.activities WHERE lead_id = :lead AND kind = 'content_download';
},
		'060_deal@1' => q{
\set lead random(2001, 2400)
INSERT INTO leadflow.deals (lead_id, amount, status) VALUES (:lead, 100, 'won');
} });
is_verified($node, $db, 'verify() finds nothing after the mixture');
is($node->safe_psql($db, 'SELECT count(*) FROM leadflow.attribution_check'), '0', 'credits add up after the mixture');

SKIP:
{
	skip 'contrib module amcheck is not installed', 1
	  unless $node->safe_psql($db, q{SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'});
	is( $node->safe_psql($db, q{
			CREATE EXTENSION amcheck;
			SELECT bt_index_check(c.oid, true)::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam
			WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relnamespace = 'leadflow'::regnamespace}) =~ s/\n//gr,
		'', 'every index agrees with its table');
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no crash but those that were ordered');

$node->stop;
done_testing();
