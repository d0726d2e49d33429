# Many sessions hand leads over at once: nobody deadlocks, every lead gets exactly one owner,
# and the turns are what one session alone would have given, to the lead. Then several queues
# with members whose capacity counts, leads that wait, and eight who claim them while the sweep gives them out.

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

# Activities that make leads MQLs and hand them over, from everywhere at once: a COPY in small.
$node->safe_psql('postgres', q{
	DELETE FROM leadflow.leads;
	INSERT INTO leadflow.leads (id, email, job_title) SELECT i, i || '@one.example', 'Director' FROM generate_series(10001, 12000) i});
$scripts{activities} = q{
SELECT nextval('next_lead') * 5 + 10000 AS id \gset
INSERT INTO leadflow.activities (lead_id, kind) SELECT i, 'demo_request' FROM generate_series(:id - 4, :id) i ORDER BY random();
};
run_clients('activities', 'read\ committed', 50);
is_fair([ 'activities', 't|2000' ]);

# Two queues with the same members: nobody gets more than the capacity, and nobody waits while there is room.
$node->safe_psql('postgres', q{
	DELETE FROM leadflow.leads;
	INSERT INTO leadflow.queues (id, name) VALUES (901, 'odd'), (902, 'even');
	INSERT INTO leadflow.queue_members (queue_id, member_id) SELECT q, m FROM generate_series(901, 902) q, generate_series(1, 10) m;
	INSERT INTO leadflow.routing_rules (position, name, condition, queue_id) VALUES
		(1, 'odd', '$.country == "1"', 901), (2, 'even', '$.country == "0"', 902);
	UPDATE leadflow.team_members SET capacity = id * 4;
	INSERT INTO leadflow.leads (id, country, stage) SELECT i, i % 2, 'mql' FROM generate_series(20001, 20400) i});
$scripts{queues} = q{
SELECT nextval('next_lead') * 5 + 20000 AS id \gset
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN :id - 4 AND :id;
};
run_clients('queues', 'read\ committed', 10);
is($node->safe_psql('postgres', q{
	SELECT bool_and(n = capacity), sum(n), (SELECT count(*) FROM leadflow.orphaned_leads)
	FROM (SELECT m.capacity, (SELECT count(*) FROM leadflow.leads l WHERE l.owner_id = m.id) AS n FROM leadflow.team_members m) x}),
	't|220|180', 'everybody has as many as the capacity says, the others wait');
is_verified($node, 'postgres', 'verify() after queues');

# Claims of all that waits, while a sweep gives out to two who have room again.
$node->safe_psql('postgres', 'UPDATE leadflow.team_members SET capacity = 60 WHERE id = 10');
$scripts{claim} = q{
\set member random(1, 10)
\set queue random(1, 2)
\if :client_id = 0
SELECT * FROM leadflow.check_sla();
\else
SELECT leadflow.claim_next((ARRAY['odd', 'even'])[:queue], :member);
\endif
};
run_clients('claim', 'read\ committed', 60);
is($node->safe_psql('postgres', q{
	SELECT (SELECT count(*) FROM leadflow.orphaned_leads), count(*), count(*) FILTER (WHERE h.n = 1 AND h.owner_id = l.owner_id)
	FROM leadflow.leads l JOIN (SELECT lead_id, count(*) AS n, min(owner_id) AS owner_id FROM leadflow.handoffs GROUP BY 1) h ON h.lead_id = l.id}),
	'0|400|400', 'each was given once');
is_verified($node, 'postgres', 'verify() after claims');

$node->stop;
done_testing();
