# The README's first five minutes work as printed: each block of SQL is run, in one session,
# and what psql prints must be the block of text that follows it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;

open my $file, '<', "$FindBin::Bin/../../README.md" or die "README.md: $!";
my $readme = do { local $/; <$file> };
my ($section) = $readme =~ /^## First five minutes\n(.*?)^## How scoring works/ms
  or die 'README.md has no section "First five minutes"';
my @blocks;
push @blocks, [ $1, $2 ] while $section =~ /^```sql\n(.*?)^```\n```text\n(.*?)^```/msg;
cmp_ok(scalar @blocks, '>', 5, 'there are blocks to run');

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION leadflow');

my $script = "SET TimeZone = 'UTC';\n";
$script .= "\\echo \@\@\@$_\n$blocks[$_][0]" for 0 .. $#blocks;
local $ENV{PGOPTIONS} = '';
my $output = '';
IPC::Run::run(
	[ 'psql', '-X', '-q', '-d', $node->connstr('postgres') ],
	'<', \$script, '>', \$output, '2>&1') or die "psql: $output";

my @outputs = split /^\@\@\@\d+\n/m, $output;
shift @outputs;
for my $i (0 .. $#blocks)
{
	my ($sql, $expected) = @{ $blocks[$i] };
	my ($title) = $sql =~ /([^\n]+)\n*\z/;
	s/[ \t]+$//mg, s/\n+\z/\n/ for $outputs[$i], $expected;
	is($outputs[$i], $expected, "block " . ($i + 1) . ": $title");
}

$node->stop;
done_testing();
