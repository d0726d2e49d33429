# A database with leadflow is dumped and restored with PostgreSQL's own tools and nothing
# else: the same rows, the same catalog, and it goes on working. DROP EXTENSION takes no
# row, CREATE EXTENSION takes up what it finds.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('restore', "max_worker_processes = 16\n");
my $dumps = $node->basedir;

# --- What is compared

# Sections of the catalog, each a query that gives lines of text.
my %catalog = (
	column => q{
		SELECT format('%s.%s %s %s%s%s default %s: %s %s %s', c.relname, a.attname,
			row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum),
			format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' not null' END,
			a.attidentity::text || a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum),
			-- 15.20's own note on the column, not a setting
			array_to_string(a.attoptions, ',') ~ '^(pg_attver=\d+)?$', a.attacl)
		FROM ours c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum},
	constraint => q{
		SELECT format('%s.%s %s %s', c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated)
		FROM pg_constraint k JOIN ours c ON c.oid = k.conrelid},
	index => q{
		SELECT format('%s %s', pg_get_indexdef(i.indexrelid), i.indisvalid) FROM pg_index i JOIN ours c ON c.oid = i.indrelid},
	trigger => q{
		SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN ours c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal},
	trigger_state => q{
		SELECT format('%s.%s %s', c.relname, t.tgname, t.tgenabled)
		FROM pg_trigger t JOIN ours c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal},
	view => q{
		SELECT format('%s: %s', c.relname, pg_get_viewdef(c.oid)) FROM ours c WHERE c.relkind = 'v'},
	policy => q{
		SELECT p::text FROM pg_policies p WHERE p.schemaname = 'leadflow'},
	relation => q{
		SELECT format('%s %s owner %s, %s, rls %s %s, %s', c.relname, c.relkind, pg_get_userbyid(c.relowner),
			c.reloptions, c.relrowsecurity, c.relforcerowsecurity, obj_description(c.oid, 'pg_class'))
		FROM ours c},
	privilege => q{
		SELECT format('%s %s: %s', what, name, (SELECT string_agg(x::text, ', ' ORDER BY x::text COLLATE "C")
			FROM (SELECT pg_get_userbyid(g.grantee), g.privilege_type, g.is_grantable FROM aclexplode(acl) g) x))
		FROM (
			SELECT 'relation', c.relname::text,
				coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)) FROM ours c
			UNION ALL
			SELECT 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner))
			FROM pg_proc p WHERE p.pronamespace = 'leadflow'::regnamespace
			UNION ALL
			SELECT 'schema', n.nspname, coalesce(n.nspacl, acldefault('n', n.nspowner))
			FROM pg_namespace n WHERE n.nspname = 'leadflow') o (what, name, acl)},
	sequence => q{
		SELECT s::text FROM pg_sequences s WHERE s.schemaname = 'leadflow'},
	member => q{
		SELECT CASE d.classid WHEN 'pg_proc'::regclass THEN d.objid::regprocedure::text
			WHEN 'pg_class'::regclass THEN 'relation ' || d.objid::regclass
			ELSE pg_describe_object(d.classid, d.objid, 0) END
		FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'leadflow'
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'});

sub catalog
{
	my ($db, @sections) = @_;
	my %seen;
	foreach my $section (@sections ? @sections : keys %catalog)
	{
		$seen{$section} = [ split /\n/, $node->safe_psql($db, qq{
			SET search_path = pg_catalog;
			WITH ours AS (SELECT * FROM pg_class
				WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'leadflow') AND relkind IN ('r', 'p', 'v', 'S'))
			SELECT line FROM ($catalog{$section}) s (line) ORDER BY line COLLATE "C"}) ];
	}
	return \%seen;
}

# Each table with the number of its rows and a checksum over them.
sub rows
{
	my ($db) = @_;
	return [ split /\n/, $node->safe_psql($db, q{
		SELECT format('SELECT %L, count(*), md5(string_agg(t::text, '','' ORDER BY t::text COLLATE "C")) FROM %s t', relname, oid::regclass)
		FROM pg_class WHERE relnamespace = 'leadflow'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
		\gexec
	}) ];
}

# A plain dump, but for the keys that are random in each; the rows of a table have no order.
sub dump_text
{
	my ($db) = @_;
	my ($text) = run_command([ 'pg_dump', '-d', $node->connstr($db) ]);
	$text =~ s/^\\(?:un)?restrict .*\n//mg;
	$text =~ s{^(COPY .*? FROM stdin;\n)(.*?)^(\\\.)$}{$1 . join("\n", sort(split(/\n/, $2))) . $3}msge;
	return [ split /\n/, $text ];
}

# What a working database makes of the same new activity, deal and lead: deterministic, but
# for the sequences it draws from, so each database plays it once.
sub play
{
	my ($db) = @_;
	return $node->safe_psql($db, q{
		BEGIN;
		SET LOCAL leadflow.clock = '2026-04-01 09:30+00';
		SELECT 'before', lead_id, score, fit, engagement, rank FROM leadflow.lead_scores WHERE lead_id IN (7, 8) ORDER BY 1, 2;
		INSERT INTO leadflow.activities (lead_id, kind, content) VALUES (7, 'webinar_attended', 'Pricing'), (8, 'page_view', 'Home');
		SELECT 'after', lead_id, score, fit, engagement, rank FROM leadflow.lead_scores WHERE lead_id IN (7, 8) ORDER BY 1, 2;
		INSERT INTO leadflow.leads (external_id, email, full_name, company, job_title, company_size)
		VALUES ('played', 'new@acme.example', 'New', 'Acme', 'Director', 500) RETURNING id, account_id;
		INSERT INTO leadflow.activities (lead_id, kind, campaign_id)
		SELECT id, 'demo_request', 1 FROM leadflow.leads WHERE external_id = 'played';
		SELECT leadflow.settle();
		SELECT stage, owner_id, stage_since FROM leadflow.leads WHERE external_id = 'played';
		UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sue@example.com' WHERE external_id = 'played' AND stage = 'sql';
		INSERT INTO leadflow.deals (lead_id, amount, status, closed_at)
		SELECT id, 333.33, 'won', leadflow.now() FROM leadflow.leads WHERE external_id = 'played';
		SELECT h.id, from_stage, to_stage, entered_at, left_at, actor_id, team, h.score, model_id, persona, grade, cycle, trigger_activity_id IS NOT NULL
			FROM leadflow.stage_history h JOIN leadflow.leads l ON l.id = h.lead_id WHERE external_id = 'played' ORDER BY h.id;
		SELECT h FROM leadflow.handoffs h JOIN leadflow.leads l ON l.id = h.lead_id WHERE external_id = 'played' ORDER BY h.id;
		SELECT s FROM leadflow.sla_clocks s JOIN leadflow.leads l ON l.id = s.lead_id WHERE external_id = 'played' ORDER BY s.id;
		SELECT c.model, c.campaign_id, c.weight, c.credit FROM leadflow.attribution_credits c
			JOIN leadflow.leads l ON l.id = c.lead_id WHERE external_id = 'played' ORDER BY 1;
		SELECT count(*) FROM leadflow.verify();
		SET LOCAL ROLE site_rep;
		SELECT 'visible to a rep', count(*) FROM leadflow.lead_board;
		ROLLBACK;
	});
}

# --- A database in use

$node->safe_psql('postgres', q{CREATE DATABASE original});
$node->safe_psql('original', q{
	CREATE EXTENSION leadflow;
	SET leadflow.clock = '2026-03-02 09:00+00';
	SELECT leadflow.setup_roles();

	INSERT INTO leadflow.team_members (full_name, email, team) VALUES
		('Mara', 'mara@example.com', 'marketing'), ('Sam', 'sam@example.com', 'sales'),
		('Sue', 'sue@example.com', 'sales'), ('Lea', 'lea@example.com', 'leadership');
	INSERT INTO leadflow.absences (member_id, during, cover_id) VALUES (2, '[2026-05-01,2026-05-08)', 3);
	INSERT INTO leadflow.campaigns (code, name, channel, owner_id) VALUES
		('webinar', 'Spring webinar', 'events', 1), ('search', 'Search', 'paid', 1), ('letter', 'Newsletter', 'email', NULL);
	INSERT INTO leadflow.campaign_costs (campaign_id, day, amount) VALUES (1, '2026-02-01', 1200.50), (2, '2026-02-03', 99.99);
	INSERT INTO leadflow.accounts (name, domain, status) VALUES ('Acme', 'acme.example', 'customer');

	-- A model of the site's own, agreed on and in force; the next one is under way.
	SELECT leadflow.clone_model(1, 'ours');
	SELECT leadflow.approve_model(2, 'marketing', 1), leadflow.approve_model(2, 'sales', 4);
	SELECT leadflow.activate_model(2);
	SELECT leadflow.clone_model(2), leadflow.approve_model(3, 'sales', 2);

	-- What the starter configuration says is the site's to change.
	UPDATE leadflow.settings SET time_zone = 'Europe/Berlin';
	UPDATE leadflow.stages SET label = 'Contact', description = E'with a \\ and a \'' WHERE name = 'lead';
	DELETE FROM leadflow.activity_kinds WHERE kind = 'linkedin_message';
	INSERT INTO leadflow.activity_kinds (kind, role) VALUES ('demo_video', 'engagement');
	DELETE FROM leadflow.stage_reasons WHERE reason = 'student';
	UPDATE leadflow.sla_policies SET target = target * 2 WHERE id = 1;
	SELECT leadflow.approve_policy(1, 'marketing', 1), leadflow.approve_policy(1, 'sales', 2);
	SELECT leadflow.change_policy(name, '6 hours', '2026-03-10') FROM leadflow.sla_policies WHERE id = 2;
	INSERT INTO leadflow.sla_policies (name, metric, target_count, within, condition, valid) VALUES ('try', 'attempts', 3, '5 days', '$.score > 10', '[2026-03-15,2026-12-31]');
	INSERT INTO leadflow.sla_policies (name, metric, target_count, calendar_id) SELECT 'enough', 'mql_volume', 40, id FROM leadflow.calendars WHERE name = 'office';
	UPDATE leadflow.team_members SET calendar_id = (SELECT id FROM leadflow.calendars WHERE name = 'office') WHERE id = 2;
	INSERT INTO leadflow.calendar_holidays (calendar_id, day, name) SELECT id, '2026-12-24', 'Holiday' FROM leadflow.calendars WHERE name = 'office';

	INSERT INTO leadflow.leads (external_id, email, full_name, company, job_title, company_size, country, source, campaign_id, attributes)
	SELECT 'crm-' || i, 'lead' || i || CASE i % 5 WHEN 0 THEN '@acme.example' ELSE '@mail.example' END, 'Lead ' || i,
		'Company ' || i % 17, (ARRAY['Director', 'Engineer', 'VP Sales', NULL])[1 + i % 4], nullif(i % 7 * 100, 0), 'DE',
		(ARRAY['web', 'fair'])[1 + i % 2], nullif(i % 4, 0), jsonb_build_object('i', i, 'tags', ARRAY['a"b', E'c\\d'])
	FROM generate_series(1, 200) i;
	INSERT INTO leadflow.activities (lead_id, occurred_at, kind, campaign_id, content, properties)
	SELECT 1 + i * 7 % 200, leadflow.now() - i * interval '37 minutes',
		(ARRAY['page_view', 'email_open', 'content_download', 'webinar_attended', 'email_click', 'cta_click', 'demo_video', 'strange'])[1 + i % 8],
		nullif(i % 4, 0), E'page\t' || i % 11, jsonb_build_object('n', i)
	FROM generate_series(1, 2000) i;
	INSERT INTO leadflow.activities (lead_id, kind, campaign_id)
	SELECT i, 'demo_request', 1 FROM generate_series(3, 200, 4) i;
});
$node->safe_psql('original', q{
	-- Marketing hands over by hand what the gate has not; then sales works.
	SET leadflow.clock = '2026-03-02 11:00+00';
	UPDATE leadflow.leads SET stage = 'mql', stage_by = 'mara@example.com' WHERE stage = 'lead' AND id IN (4, 8, 12, 16, 20, 24, 28, 32);
	UPDATE leadflow.leads SET stage = 'sql', stage_by = 'mara@example.com' WHERE stage = 'mql' AND id IN (4, 8, 12, 16);
	INSERT INTO leadflow.activities (lead_id, kind, member_id) SELECT id, 'call', 2 FROM leadflow.leads WHERE stage = 'sql' AND id % 3 = 0;
	SET leadflow.clock = '2026-03-03 10:00+00';
	UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE stage = 'sql' AND id % 3 = 0;
	UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_note = 'really', stage_by = 'sue@example.com' WHERE stage = 'sql' AND id % 7 = 1;
	UPDATE leadflow.leads SET stage = 'nurture', stage_reason = 'not_now', revisit_on = '2026-06-01', stage_by = 'sue@example.com' WHERE stage = 'sql' AND id % 11 = 2;
	INSERT INTO leadflow.deals (external_id, lead_id, amount, currency, opened_at)
	SELECT 'deal-' || id, id, id * 10 + 0.01, 'EUR', leadflow.now() FROM leadflow.leads WHERE stage = 'accepted' AND id % 2 = 1;
	INSERT INTO leadflow.deal_contacts (deal_id, lead_id, role) SELECT d.id, 200, 'buyer' FROM leadflow.deals d WHERE d.id % 2 = 0;
	SET leadflow.clock = '2026-03-20 10:00+00';
	UPDATE leadflow.deals SET status = 'won' WHERE id % 3 = 0;
	UPDATE leadflow.deals SET status = 'lost', lost_reason = 'price' WHERE id % 3 = 1;
	INSERT INTO leadflow.deals (lead_id, amount, status, corrects_deal_id)
	SELECT lead_id, -1.01, 'won', id FROM leadflow.deals WHERE status = 'won' ORDER BY id LIMIT 1;
	INSERT INTO leadflow.deals (amount, status, name) VALUES (5, 'won', 'unmatched');
	UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot' WHERE kind = 'page_view' AND lead_id % 10 = 1;
	DELETE FROM leadflow.activities WHERE kind = 'cta_click' AND lead_id % 10 = 2;
	DELETE FROM leadflow.leads WHERE id = 199 AND stage = 'lead';
	SELECT * FROM leadflow.check_sla();

	-- Of everything that hangs on the hand-off there is something, some of it open.
	INSERT INTO leadflow.absences (member_id, during, cover_id) VALUES (2, '[2026-04-01, 2026-04-08)', 4);
	INSERT INTO leadflow.routing_rules (position, name, condition, queue_id, strategy) VALUES (5, 'large', '$.company_size > 500', 1, 'least_loaded');
	INSERT INTO leadflow.nurture_programs (name, condition, revisit_after) VALUES ('web', '$.source == "web"', '30 days');
	INSERT INTO leadflow.contact_limits (name, channel, max_messages, per) VALUES ('weekly', 'email', 1, '7 days');
	INSERT INTO leadflow.contact_permissions (lead_id, channel, status, basis) VALUES (1, 'email', 'granted', 'consent');
	INSERT INTO leadflow.subscriptions (event, condition, team, channel) VALUES ('lead.rejected', '$.score > 1', 'leadership', 'slack');
	INSERT INTO leadflow.lead_aliases (source, key, lead_id) VALUES ('hubspot', 'h-1', 1);
	INSERT INTO leadflow.lead_feedback (lead_id, member_id, rating, comment) VALUES (1, 2, 4, 'good');
	INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, 'marketing_email'), (1, 'marketing_email'), (6, 'unsubscribe');
	SELECT leadflow.reserve_contact(5, 'email');
	UPDATE leadflow.leads SET stage = 'rejected', stage_reason = 'no_budget', stage_by = 'sue@example.com' WHERE stage = 'sql' AND id % 7 IN (2, 3);
	SELECT leadflow.review(min(l.id), 'overturn', 'mara@example.com') FROM leadflow.leads l WHERE l.stage = 'rejected';
	SELECT count(leadflow.ack_notifications(ARRAY[c.id])) FROM leadflow.claim_notifications(20, 'test') c WHERE c.id % 2 = 0;
	SELECT leadflow.merge_leads(7, 9), leadflow.erase_lead(10);
});
# What a site makes of its own on our tables.
$node->safe_psql('original', q{
	CREATE ROLE site_rep;
	GRANT leadflow_reader TO site_rep;
	ALTER TABLE leadflow.leads ADD COLUMN crm_score integer DEFAULT 7, ADD COLUMN crm_note text;
	UPDATE leadflow.leads SET crm_note = E'line\nbreak' WHERE id % 2 = 0;
	CREATE INDEX site_leads_company ON leadflow.leads (lower(company)) WHERE company IS NOT NULL;
	CREATE INDEX site_activities_kind ON leadflow.activities (kind, occurred_at);
	ALTER TABLE leadflow.leads ADD CONSTRAINT site_company CHECK (length(company) < 100);
	ALTER TABLE leadflow.leads ALTER COLUMN full_name SET STATISTICS 500;
	ALTER TABLE leadflow.campaigns SET (fillfactor = 77);
	ALTER TABLE leadflow.leads ENABLE ROW LEVEL SECURITY;
	CREATE POLICY site_owned ON leadflow.leads FOR SELECT TO site_rep USING (owner_id IS NOT NULL);
	COMMENT ON COLUMN leadflow.leads.crm_score IS 'What the old CRM thought of the lead.';
	GRANT SELECT (id, company) ON leadflow.leads TO site_rep;
	CREATE TABLE public.seen (lead_id bigint, stage text);
	CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO public.seen VALUES (NEW.id, NEW.stage); RETURN NULL; END $$;
	CREATE TRIGGER site_see AFTER UPDATE ON leadflow.leads FOR EACH ROW
		WHEN (OLD.stage IS DISTINCT FROM NEW.stage) EXECUTE FUNCTION public.see();
	ALTER TABLE leadflow.leads ENABLE ALWAYS TRIGGER site_see;
	UPDATE leadflow.leads SET stage = 'accepted', stage_by = 'sam@example.com' WHERE stage = 'sql' AND id % 13 = 5;
	-- One of ours is switched off as well; a site without such leads doesn't miss it.
	ALTER TABLE leadflow.public_email_domains DISABLE TRIGGER public_email_domains_config_changed;
	CREATE VIEW public.site_board AS SELECT b.lead_id, b.stage, b.score FROM leadflow.lead_board b WHERE b.score > 10;
	ANALYZE;
});
is( $node->safe_psql('original', q{
		SELECT string_agg(DISTINCT stage, ' ' ORDER BY stage) FROM leadflow.leads}),
	'accepted lead lost mql nurture opportunity rejected sql won', 'the original has leads in all those stages');
is( $node->safe_psql('original', q{
		SELECT (SELECT count(*) > 20 FROM leadflow.handoffs), (SELECT count(*) > 20 FROM leadflow.sla_clocks),
			(SELECT count(*) > 5 FROM leadflow.attribution_credits), (SELECT count(*) > 0 FROM public.seen)}),
	't|t|t|t', 'and hand-offs, clocks, credits');
is( $node->safe_psql('original', q{
		SELECT string_agg(t, ' ') FROM unnest('{reviews,review_votes,nurture_enrolments,contact_reservations,contact_violations,notifications,lead_aliases,erased_leads}'::text[]) t
		WHERE (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM leadflow.%I', t), false, true, '')))[1]::text = '0'}),
	'', 'and something of everything that hangs on them');
is_verified($node, 'original');

my $catalog = catalog('original');
is(scalar(grep { /^relation/ } @{ $catalog->{member} }), 0, 'no table, view or sequence is a member of the extension');
my $rows = rows('original');
my $dump = dump_text('original');

# --- Round trips

my %round_trip = (
	'pg_dump | psql' => [ 'plain', sub {
			my ($db, $from) = @_;
			$node->command_ok([ 'pg_dump', '-f', "$dumps/$db.sql", $from ], 'pg_dump');
			$node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dumps/$db.sql", $db ], 'psql');
		} ],
	'pg_dump --inserts | psql -1' => [ 'inserts', sub {
			my ($db, $from) = @_;
			$node->command_ok([ 'pg_dump', '--inserts', '-f', "$dumps/$db.sql", $from ], 'pg_dump');
			$node->command_ok([ 'psql', '-qX1', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dumps/$db.sql", $db ], 'psql');
		} ],
	'pg_dump -Fc, pg_restore -j4' => [ 'custom', sub {
			my ($db, $from) = @_;
			$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dumps/$db.dump", $from ], 'pg_dump');
			$node->command_ok([ 'pg_restore', '-e', '-j4', '-d', $db, "$dumps/$db.dump" ], 'pg_restore');
		} ],
	'pg_dump -Fd -j4, pg_restore -j4' => [ 'directory', sub {
			my ($db, $from) = @_;
			$node->command_ok([ 'pg_dump', '-Fd', '-j4', '-f', "$dumps/$db.dir", $from ], 'pg_dump');
			$node->command_ok([ 'pg_restore', '-e', '-j4', '-d', $db, "$dumps/$db.dir" ], 'pg_restore');
		} ],
	'by section' => [ 'sections', sub {
			my ($db, $from) = @_;
			$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dumps/$db.dump", $from ], 'pg_dump');
			$node->command_ok([ 'pg_restore', '-e', "--section=$_", '-d', $db, "$dumps/$db.dump" ], "pg_restore, $_")
			  for qw(pre-data data post-data);
		} ],
	'pg_dump -n leadflow -n public -e leadflow' => [ 'schemas', sub {
			my ($db, $from) = @_;
			$node->safe_psql($db, 'DROP SCHEMA public');
			$node->command_ok([ 'pg_dump', '-n', 'leadflow', '-n', 'public', '-e', 'leadflow', '-f', "$dumps/$db.sql", $from ], 'pg_dump');
			$node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dumps/$db.sql", $db ], 'psql');
		} ]);

sub round_trip
{
	my ($name, $from, $db) = @_;
	$db //= $round_trip{$name}[0];
	subtest "$name: $from → $db" => sub {
		$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0");
		$round_trip{$name}[1]->($db, $from);
		is_deeply(rows($db), $rows, 'the same rows');
		my $copy = catalog($db);
		is_deeply($copy->{$_}, $catalog->{$_}, "the same catalog: $_") foreach sort keys %catalog;
		is_deeply(dump_text($db), $dump, 'the same dump') unless $db eq 'schemas';
		is_verified($node, $db);
	};
	return $db;
}

my @copies = map { round_trip($_, 'original') } sort keys %round_trip;
# Second generation: what was restored is dumped and restored again.
push @copies, round_trip('pg_dump | psql', 'custom', 'second');
push @copies, round_trip('pg_dump -Fd -j4, pg_restore -j4', 'plain', 'second_parallel');

# Over a database that has other rows already.
$node->safe_psql('second', q{
	INSERT INTO leadflow.leads (email) SELECT 'other' || i || '@example.com' FROM generate_series(1, 10) i;
	DROP VIEW public.site_board});
$node->command_ok([ 'pg_restore', '-e', '--clean', '--if-exists', '-d', 'second', "$dumps/custom.dump" ], 'pg_restore --clean');
is_deeply(rows('second'), $rows, 'the same rows after pg_restore --clean');
is_deeply(catalog('second'), $catalog, 'the same catalog');

# They all go on alike.
my $played = play('original');
like($played, qr/^before\|7\|(\S+?)\|.*^after\|7\|(?!\1\|)/ms, 'a new activity changes the score');
like($played, qr/^visible to a rep\|(?!0$)\d+$/m, 'row-level security lets a rep see some leads');
unlike($played, qr/^visible to a rep\|200$/m, 'and not all');
note($played);
is(play($_), $played, "$_ goes on as the original does") foreach @copies;

# --- DROP EXTENSION

my ($status, $out, $err) = $node->psql('plain', 'DROP EXTENSION leadflow');
like($err, qr/cannot drop extension leadflow because other objects depend on it/, 'DROP EXTENSION refuses');

my @shape = qw(column constraint index trigger view);
my $shape = catalog('plain', @shape);
my $kept = rows('plain');
$node->safe_psql('plain', 'SET client_min_messages = warning; DROP EXTENSION leadflow CASCADE');
is_deeply(rows('plain'), $kept, 'CASCADE takes no row');
my $tables_only = q{SELECT string_agg(format('%s.%s', a.attrelid::regclass, a.attname), ' ' ORDER BY a.attrelid::regclass::text, a.attnum)
	FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
	WHERE c.relnamespace = 'leadflow'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped};
is($node->safe_psql('plain', $tables_only), $node->safe_psql('custom', $tables_only), 'nor any column');
is($node->safe_psql('plain', q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'leadflow'::regnamespace}), '0', 'functions are gone');

# Life goes on without it: a plain table takes rows.
$node->safe_psql('plain', q{
	INSERT INTO leadflow.activities (lead_id, occurred_at, recorded_at, kind)
	VALUES (7, '2026-03-21 10:00+00', '2026-03-21 10:00+00', 'webinar_attended');
	INSERT INTO leadflow.leads (external_id, email, created_at, stage_since)
	VALUES ('meanwhile', 'meanwhile@example.com', '2026-03-21 10:00+00', '2026-03-21 10:00+00')});
$node->safe_psql('plain', 'CREATE EXTENSION leadflow');
is_deeply(catalog('plain', @shape), $shape, 'CREATE EXTENSION puts triggers, defaults and views back');
is(scalar(grep { /^relation/ } @{ catalog('plain', 'member')->{member} }), 0, 'and takes no table');
is_verified($node, 'plain', 'verify() finds nothing after adoption');
is( $node->safe_psql('plain', q{
		SELECT leadflow.score(7, '2026-03-22') > (SELECT leadflow.score(8, '2026-03-22') * 0),
			leadflow.score(7, '2026-03-22') = (SELECT sum(points) FROM leadflow.explain_score(7, '2026-03-22'))}),
	't|t', 'what came in meanwhile is counted');
$node->safe_psql('plain', q{
	INSERT INTO leadflow.activities (lead_id, occurred_at, kind)
	SELECT id, '2026-03-22', 'page_view' FROM leadflow.leads WHERE external_id = 'meanwhile'});
is_verified($node, 'plain', 'a lead that came in meanwhile works like any other');

# --- install(): what is missing is told and put back

$node->safe_psql('custom', q{
	DO $$
	DECLARE t record;
	BEGIN
		FOR t IN SELECT tgrelid::regclass AS relation, tgname FROM pg_trigger
			WHERE tgrelid = 'leadflow.activities'::regclass AND NOT tgisinternal
		LOOP EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.relation); END LOOP;
	END $$;
	INSERT INTO leadflow.activities (lead_id, occurred_at, recorded_at, kind)
	VALUES (7, '2026-03-21 10:00+00', '2026-03-21 10:00+00', 'webinar_attended')});
like($node->safe_psql('custom', 'SELECT * FROM leadflow.health'), qr/trigger.*activities|activities.*trigger/i, 'health tells of missing triggers');
like($node->safe_psql('custom', 'SELECT * FROM leadflow.install()'), qr/created trigger\|\w+ on leadflow\.activities/, 'install() tells what it made');
# All but the sequences, from which play() has drawn since.
my @kept = grep { $_ ne 'sequence' } keys %catalog;
is_deeply(catalog('custom', @kept), { map { $_ => $catalog->{$_} } @kept }, 'as it was, the switched-off trigger too');
is_verified($node, 'custom', 'verify() finds nothing after install()');
is($node->safe_psql('custom', 'SELECT count(*) FROM leadflow.install()'), '0', 'install() again makes nothing');

# Without CREATE EXTENSION a dump of the schema alone can't be restored, and says so.
$node->safe_psql('postgres', 'CREATE DATABASE alone TEMPLATE template0');
$node->command_ok([ 'pg_dump', '-n', 'leadflow', '-f', "$dumps/alone.sql", 'original' ], 'pg_dump -n leadflow');
$node->command_fails_like(
	[ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dumps/alone.sql", 'alone' ],
	qr/ERROR: .*leadflow\./, 'without the extension it fails loudly');

# A session that looks like a restore gets the functions alone; install() makes the rest.
$node->safe_psql('postgres', 'CREATE DATABASE mistaken TEMPLATE template0; CREATE DATABASE fresh TEMPLATE template0');
$node->safe_psql('mistaken', q{
	SET row_security = off; SET xmloption = content; SET standard_conforming_strings = on; SET statement_timeout = 0;
	CREATE EXTENSION leadflow});
is($node->safe_psql('mistaken', q{SELECT to_regclass('leadflow.leads')}), '', 'the script stands back in a restore');
my $clock = "SET leadflow.clock = '2026-03-01';";
like($node->safe_psql('mistaken', "$clock SELECT * FROM leadflow.install()"), qr/created table\|leadflow\.leads/, 'install() makes the tables then');
$node->safe_psql('fresh', "$clock CREATE EXTENSION leadflow");
is_deeply(catalog('mistaken'), catalog('fresh'), 'the same as a fresh installation');
is_deeply(rows('mistaken'), rows('fresh'), 'with the same starter configuration');

# --- Tables of somebody else are not built upon

$node->safe_psql('postgres', 'CREATE ROLE mallory; CREATE DATABASE squat_table TEMPLATE template0; CREATE DATABASE squat_schema TEMPLATE template0');
$node->safe_psql('squat_table', 'CREATE SCHEMA leadflow; CREATE TABLE leadflow.leads (id bigint); ALTER TABLE leadflow.leads OWNER TO mallory');
($status, $out, $err) = $node->psql('squat_table', "\\set VERBOSITY verbose\nCREATE EXTENSION leadflow");
like($err, qr/42501: .*leadflow\.leads belongs to role mallory/, 'a table of another role is not adopted');
$node->safe_psql('squat_schema', 'CREATE SCHEMA leadflow AUTHORIZATION mallory');
($status, $out, $err) = $node->psql('squat_schema', "\\set VERBOSITY verbose\nCREATE EXTENSION leadflow");
like($err, qr/42501: .*schema leadflow belongs to role mallory/, 'nor is a schema');
is($node->safe_psql($_, q{SELECT count(*) FROM pg_extension WHERE extname = 'leadflow'}), '0', "$_: nothing is left")
  foreach qw(squat_table squat_schema);

$node->stop;
done_testing();
