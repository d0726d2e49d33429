# Many sessions hand leads over at once: nobody deadlocks, every lead gets exactly one owner,
# and the turns are what one session alone would have given, to the lead.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('handoff');
$node->safe_psql('postgres', 'CREATE EXTENSION leadflow');
$node->safe_psql('postgres', q{
	INSERT INTO leadflow.team_members (id, full_name, email, team, weight)
	SELECT i, 'Rep ' || i, 'rep' || i || '@our.example', 'sales', i FROM generate_series(1, 10) i;
	INSERT INTO leadflow.leads (id, email, stage)
	SELECT i, i || '@one.example', 'mql' FROM generate_series(1, 2400) i;
	CREATE SEQUENCE next_lead;
});

my $bench = $node->basedir . '/hand_over.sql';
my %scripts = (
	one => q{
SELECT nextval('next_lead') AS id \gset
UPDATE leadflow.leads SET stage = 'sql' WHERE id = :id;
},
	# three leads, and a member's evidence, in one transaction
	some => q{
SELECT nextval('next_lead') * 3 + 600 AS id \gset
BEGIN;
UPDATE leadflow.leads SET stage = 'sql' WHERE id > :id - 3 AND id <= :id;
INSERT INTO leadflow.activities (lead_id, kind) VALUES (:id, 'call');
COMMIT;
},
	# every other is taken back
	undone => q{
SELECT nextval('next_lead') + 1800 AS id \gset
BEGIN;
UPDATE leadflow.leads SET stage = 'sql' WHERE id = :id;
SAVEPOINT a;
UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'rep3@our.example' WHERE id = :id;
ROLLBACK TO a;
\if :id % 2
ROLLBACK;
\else
COMMIT;
\endif
});

sub run_clients
{
	my ($script, $level, $transactions) = @_;
	open(my $fh, '>', $bench) or die $!;
	print $fh $scripts{$script};
	close $fh;
	$node->safe_psql('postgres', 'ALTER SEQUENCE next_lead RESTART');
	local $ENV{PGOPTIONS} = "-c default_transaction_isolation=$level";
	command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', $transactions, '-f', $bench, '-d', $node->connstr('postgres') ],
		"8 clients, script $script, $level");
	return;
}

# By weights 1 to 10 (55 in all).
sub is_fair
{
	my ($name) = @_;
	is( $node->safe_psql('postgres', q{
		SELECT max(abs(got - total * id / 55.0)) < 1, total
		FROM (SELECT m.id, count(h.id) AS got, (SELECT count(*) FROM leadflow.handoffs) AS total
			FROM leadflow.team_members m LEFT JOIN leadflow.handoffs h ON h.owner_id = m.id GROUP BY m.id) x GROUP BY total}),
		$name->[1], "turns after $name->[0]");
	is_verified($node, 'postgres', "verify() after $name->[0]");
	return;
}

run_clients('one', 'read\ committed', 75);
is_fair([ 'single leads', 't|600' ]);
run_clients('some', 'repeatable\ read', 50);
is_fair([ 'batches', 't|1800' ]);
run_clients('undone', 'read\ committed', 75);
is_fair([ 'roll-backs', 't|2100' ]);

# All leads that are with sales have the owner that their hand-off says.
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM leadflow.leads l JOIN leadflow.handoffs h ON h.lead_id = l.id AND h.owner_id IS DISTINCT FROM l.owner_id}),
	'0', 'owners');

$node->stop;
done_testing();
