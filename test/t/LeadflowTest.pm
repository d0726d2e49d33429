# What the TAP tests share.
package LeadflowTest;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use Test::More;

our @EXPORT = qw(start_node real_data is_verified);

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
