# What the TAP tests share.
package LeadflowTest;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use Test::More;

our @EXPORT = qw(start_node real_data no_gate is_verified);

# A server of its own, named after the test. How it finds the extension stands in
# $TEMP_CONFIG (test/run, test/cluster).
sub start_node
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "timezone = 'UTC'\n" . ($conf // ''));
	$node->start;
	return $node;
}

# The directory of the real data, or undef where one of the files is not there: they are
# not part of the project (licences), but lie beside it or where $LEADFLOW_DATA says.
sub real_data
{
	my (@files) = @_;
	my $dir = $ENV{LEADFLOW_DATA}
	  || dirname(abs_path(__FILE__)) . '/../../../shared/data';
	foreach my $file (@files)
	{
		return undef unless -r "$dir/$file";
	}
	return abs_path($dir);
}

# A model that promotes nobody, put in force as a site would do it; there is a member of each team.
sub no_gate
{
	my ($node, $db) = @_;
	$node->safe_psql($db, q{
		SELECT leadflow.clone_model(id) AS model FROM leadflow.scoring_models WHERE status = 'active' \gset
		UPDATE leadflow.scoring_models SET mql_threshold = 1e9, handoff_threshold = NULL WHERE id = :model;
		SELECT leadflow.approve_model(:model, team, min(id)) FROM leadflow.team_members
		WHERE team IN ('marketing', 'sales') GROUP BY team;
		SELECT leadflow.activate_model(:model);
	});
	return;
}

# Where verify() finds something, a few rows of each check tell enough.
sub is_verified
{
	my ($node, $db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is( $node->safe_psql($db, q{
			SELECT check_name, rows, object_id, kept, recomputed
			FROM (SELECT *, count(*) OVER (PARTITION BY check_name) AS rows,
				row_number() OVER (PARTITION BY check_name) AS n FROM leadflow.verify()) v
			WHERE n <= 3 ORDER BY check_name, n}),
		'', $name // "verify() finds nothing in $db");
}

1;
