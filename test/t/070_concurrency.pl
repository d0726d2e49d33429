# Eight sessions over a handful of leads. No transaction fails, none deadlocks, no point is
# lost, each gate fires once, and whoever looks meanwhile sees figures that agree.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('concurrency', "max_prepared_transactions = 20\ndeadlock_timeout = '100ms'\nautovacuum_naptime = '1s'\n");
my $db = 'postgres';

# A page view is 5 points, 30 make an MQL, 60 a hand-off. Everything else is limited, and
# worth little: what counts shows, but moves nobody.
$node->safe_psql($db, q{
	CREATE EXTENSION leadflow;
	DO $$
	DECLARE
		t regclass;
	BEGIN
		FOR t IN SELECT tgrelid FROM pg_trigger WHERE tgname = 'agreement' LOOP
			EXECUTE format('ALTER TABLE %s DISABLE TRIGGER agreement', t);
		END LOOP;
	END $$;
	UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
	INSERT INTO leadflow.scoring_models (id, name, mql_threshold, handoff_threshold, max_score) VALUES (900, 'crowd', 29.5, 59.5, 1e6);
	INSERT INTO leadflow.scoring_groups (id, model_id, name, axis, max_points, half_life) VALUES
		(901, 900, 'pages', 'engagement', 1e6, NULL), (902, 900, 'limited', 'engagement', 0.4, '7 days'), (903, 900, 'fit', 'fit', 100, NULL);
	INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, points, max_count, per, once_per) VALUES
		(900, 901, 'page', 'page_view', 5, NULL, NULL, NULL),
		(900, 902, 'three', 'content_download', 0.001, 3, NULL, NULL),
		(900, 902, 'daily', 'content_download', 0.001, 2, 'day', NULL),
		(900, 902, 'each', 'content_download', 0.001, 1, NULL, '$.properties.v'),
		(900, 902, 'hourly each', 'page_view', 0.0001, 2, 'hour', '$.properties.v');
	UPDATE leadflow.scoring_models SET status = 'active' WHERE id = 900;
	INSERT INTO leadflow.team_members (full_name, email, team)
	SELECT 'Rep ' || i, 'rep' || i || '@example.com', 'sales' FROM generate_series(1, 3) i;
	CREATE FUNCTION make_leads(first integer, last integer) RETURNS void LANGUAGE sql AS
		'INSERT INTO leadflow.leads (id, email) SELECT i, i || ''@example.com'' FROM generate_series(first, last) i';
	-- what happened, late or not, with a value or not
	CREATE FUNCTION at(n integer) RETURNS timestamptz LANGUAGE sql AS $$ SELECT leadflow.now() - n * interval '17 minutes' $$;
	CREATE FUNCTION what(n integer) RETURNS jsonb LANGUAGE sql AS $$ SELECT CASE WHEN n % 5 > 0 THEN jsonb_build_object('v', n % 7) END $$;
});

# Scripts run at once, each as often as its weight says. "processed" counts transactions.
my $run = 0;
sub crowd
{
	my ($name, $transactions, %scripts) = @_;
	$run++;
	my $all = 8 * $transactions;
	$node->pgbench(
		"--no-vacuum --client=8 --jobs=2 --transactions=$transactions --random-seed=$run", 0,
		[ qr{processed: $all/$all}, qr{number of failed transactions: 0 \(0\.000%\)} ],
		[qr{^(?!.*(?:ERROR|deadlock|aborted))}s],
		$name,
		{ map { ("070_${run}_$_" => $scripts{$_}) } keys %scripts });
	is_verified($node, $db, "$name: verify() finds nothing");
	is( $node->safe_psql($db, q{
			SELECT count(*) FROM leadflow.leads l JOIN leadflow.lead_scores s ON s.lead_id = l.id
			WHERE l.stage <> CASE WHEN s.score >= 59.5 THEN 'sql' WHEN s.score >= 29.5 THEN 'mql' ELSE 'lead' END
				-- once handed over it stays with sales while it passes the gate
				AND NOT (l.stage = 'sql' AND s.score >= 29.5)}),
		'0', "$name: each lead stands where its points say");
	return;
}

# Each stage was entered at most once, and who is with sales was handed over once.
sub is_once
{
	my ($name, $first, $last) = @_;
	is( $node->safe_psql($db, qq{
			SELECT count(*) FROM (SELECT FROM leadflow.stage_history WHERE lead_id BETWEEN $first AND $last
				GROUP BY lead_id, to_stage HAVING count(*) > 1) twice}),
		'0', "$name: no gate fired twice");
	my $leads = $last - $first + 1;
	is( $node->safe_psql($db, qq{
			SELECT count(DISTINCT lead_id), count(*), (SELECT count(*) FROM leadflow.leads WHERE id BETWEEN $first AND $last AND stage = 'sql' AND owner_id IS NOT NULL)
			FROM leadflow.handoffs WHERE lead_id BETWEEN $first AND $last}),
		"$leads|$leads|$leads", "$name: each lead was handed over once");
	return;
}

sub count_activities { return $node->safe_psql($db, 'SELECT count(*) FROM leadflow.activities'); }

# Ten rows a statement over twenty leads, each in an order of its own.
$node->safe_psql($db, 'SELECT make_leads(1, 20)');
crowd('statements of ten rows', 40, rows => q{
\set seed random(1, 1000000)
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties)
SELECT 1 + (:seed + i * (1 + 2 * (:seed % 7))) % 20, CASE (:seed + i) % 4 WHEN 0 THEN 'content_download' ELSE 'page_view' END, at((:seed + i) % 50), what(:seed + i)
FROM generate_series(1, 10) i;
});
is(count_activities(), 8 * 40 * 10, 'statements of ten rows: all are there');
is_once('statements of ten rows', 1, 20);

# Three inserts a transaction over ten leads, in any order.
my $expected = count_activities();
my $first = 101;
foreach my $level ('READ COMMITTED', 'REPEATABLE READ')
{
	my $last = $first + 9;
	my $insert = qq{
\\set lead random($first, $last)
\\set n random(1, 100)
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties)
VALUES (:lead, CASE WHEN :n % 3 = 0 THEN 'content_download' ELSE 'page_view' END, at(:n), what(:n));
};
	$node->safe_psql($db, "SELECT make_leads($first, $last)");
	crowd("three inserts, $level", 50, inserts => "BEGIN ISOLATION LEVEL $level;$insert$insert${insert}COMMIT;\n");
	$expected += 8 * 50 * 3;
	is(count_activities(), $expected, "three inserts, $level: all are there");
	is_once("three inserts, $level", $first, $last);
	$first += 100;
}

# Everything that scores hang on, at once: evidence comes and goes, so leads do, too.
$node->safe_psql($db, 'SELECT make_leads(1001, 1012)');
my $set = q{
\set a random(1001, 1012)
\set b random(1001, 1012)
\set n random(1, 1000)
};
my $one = q{(SELECT lead_id, occurred_at, id FROM leadflow.activities WHERE lead_id = :a AND voided_at IS NULL ORDER BY md5(id::text || :n) LIMIT 1 FOR UPDATE SKIP LOCKED)};
crowd('a mixture', 60,
	'insert@4' => $set . q{
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties) VALUES (:a, 'content_download', at(:n % 60), what(:n)), (:b, 'page_view', at(:n % 60), what(:n));
INSERT INTO leadflow.activities (lead_id, kind, occurred_at, properties) VALUES (:b, 'content_download', at(:n % 9), what(:n));
COMMIT;
},
	'repeatable@3' => $set . q{
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:a, 'page_view', what(:n));
SELECT score FROM leadflow.lead_scores WHERE lead_id = :b;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:b, 'content_download', what(:n));
COMMIT;
},
	'savepoint@3' => $set . q{
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:b, 'page_view', what(:n));
SAVEPOINT s;
INSERT INTO leadflow.activities (lead_id, kind, properties) SELECT :a, 'page_view', what(i) FROM generate_series(1, 12) i;
SAVEPOINT t;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:b, 'content_download', what(:n));
RELEASE t;
ROLLBACK TO s;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:a, 'content_download', what(:n));
COMMIT;
},
	'settle@2' => $set . q{
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:b, 'page_view', what(:n));
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:a, 'page_view', what(:n));
SELECT leadflow.settle();
COMMIT;
},
	'back@1' => $set . q{
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, properties) SELECT :a, 'page_view', what(i) FROM generate_series(1, 12) i;
SELECT leadflow.settle();
ROLLBACK;
},
	'prepare@1' => $set . q{
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:b, 'page_view', what(:n)), (:a, 'content_download', what(:n));
PREPARE TRANSACTION 'client :client_id';
\if :n % 3 = 0
ROLLBACK PREPARED 'client :client_id';
\else
COMMIT PREPARED 'client :client_id';
\endif
},
	'twice@1' => $set . q{
INSERT INTO leadflow.activities (lead_id, occurred_at, id, kind) VALUES
	(:a, '2026-01-01', leadflow.event_id('crowd', (:n % 50)::text), 'page_view'), (:a, '2026-01-01', leadflow.event_id('crowd', (1 + :n % 50)::text), 'page_view')
ON CONFLICT DO NOTHING;
},
	'void@4' => $set . qq{
UPDATE leadflow.activities v SET voided_at = leadflow.now(), void_reason = 'bot' FROM $one c
WHERE v.lead_id = c.lead_id AND v.occurred_at = c.occurred_at AND v.id = c.id;
},
	'delete@4' => $set . qq{
BEGIN;
INSERT INTO leadflow.activities (lead_id, kind, properties) VALUES (:b, 'content_download', what(:n));
DELETE FROM leadflow.activities v USING $one c WHERE v.lead_id = c.lead_id AND v.occurred_at = c.occurred_at AND v.id = c.id;
COMMIT;
},
	'change@1' => $set . qq{
UPDATE leadflow.activities v SET occurred_at = at(:n % 100), properties = what(:n + 1) FROM $one c
WHERE v.lead_id = c.lead_id AND v.occurred_at = c.occurred_at AND v.id = c.id;
},
	# what anybody sees meanwhile
	'verify@1' => "SELECT 1 / (NOT EXISTS (SELECT FROM leadflow.verify()))::integer;\n");
cmp_ok($node->safe_psql($db, q{SELECT count(*) FROM leadflow.stage_history WHERE reason = 'evidence_voided'}), '>', 0, 'a mixture: some were taken back');
cmp_ok($node->safe_psql($db, q{SELECT count(*) FROM leadflow.handoffs WHERE lead_id > 1000}), '>', 0, 'a mixture: some were handed over');

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

is($node->safe_psql($db, 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'nobody deadlocked');
unlike(slurp_file($node->logfile), qr/deadlock detected|ERROR:|PANIC|TRAP|was terminated by signal/, 'no error in the log');

$node->stop;
done_testing();
