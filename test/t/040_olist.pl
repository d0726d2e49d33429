# A real marketing funnel (Olist: 8,000 leads of a Brazilian marketplace, 842 of them
# won) goes in as a CRM would write it, day by day, and the figures that are known of it
# come out of the reports.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use LeadflowTest;
use Test::More;
use Time::HiRes qw(time);

my @files = ('olist_marketing_qualified_leads_dataset.csv', 'olist_closed_deals_dataset.csv');
my $data = real_data(@files)
  or plan skip_all => "needs Olist's funnel ($files[0], …) in ../shared/data or \$LEADFLOW_DATA";

my $node = start_node('olist', 'shared_buffers = 256MB');
my $db = 'postgres';

$node->safe_psql($db, <<"SQL");
CREATE EXTENSION leadflow;
CREATE TABLE olist_leads (mql_id text PRIMARY KEY, first_contact_date date, landing_page_id text, origin text);
CREATE TABLE olist_deals (mql_id text PRIMARY KEY, seller_id text, sdr_id text, sr_id text, won_date timestamp,
	business_segment text, lead_type text, lead_behaviour_profile text, has_company text, has_gtin text,
	average_stock text, business_type text, catalog_size text, monthly_revenue text);
\\copy olist_leads FROM '$data/$files[0]' CSV HEADER
\\copy olist_deals FROM '$data/$files[1]' CSV HEADER
CREATE INDEX ON olist_leads (first_contact_date);
CREATE TABLE olist_wins AS
SELECT d.*, greatest(d.won_date, o.first_contact_date) AS at
FROM olist_deals d JOIN olist_leads o USING (mql_id);
CREATE INDEX ON olist_wins (at);
ANALYZE olist_leads, olist_wins;
SQL

# The sales people of the file; thirteen of them worked in both roles.
$node->safe_psql($db, <<'SQL');
INSERT INTO leadflow.team_members (full_name, email, team)
VALUES ('Marketing', 'marketing@olist.example', 'marketing');
INSERT INTO leadflow.team_members (external_id, full_name, email, team)
SELECT person, 'Rep ' || left(person, 6), person || '@olist.example', 'sales'
FROM (SELECT sdr_id FROM olist_deals UNION SELECT sr_id FROM olist_deals) p (person)
ORDER BY person;
INSERT INTO leadflow.campaigns (code, name, channel)
SELECT DISTINCT origin, origin, origin FROM olist_leads WHERE origin <> '' ORDER BY origin;
SQL
# Every lead of the file was qualified by marketing: the log alone moves leads, no score.
no_gate($node, $db);

# A transaction a day. On the day of its first contact a lead comes in with the visit of
# its landing page and is qualified; when its deal is won it is handed to the SDR,
# accepted by the SR, and the deal is written. One deal was won two days before its first
# contact, says the file: it goes in with the contact, a fact with its own date.
my $start = time;
$node->safe_psql($db, <<'SQL');
DO $$
DECLARE
	today date;
	deal record;
BEGIN
	FOR today IN
		SELECT d::date FROM generate_series(
			(SELECT min(first_contact_date) FROM olist_leads),
			(SELECT max(won_date) FROM olist_deals), interval '1 day') d
	LOOP
		PERFORM set_config('leadflow.clock', today::text, true);
		INSERT INTO leadflow.leads (external_id, source, campaign_id, sourced_by)
		SELECT o.mql_id, nullif(o.origin, ''), c.id, 'marketing'
		FROM olist_leads o LEFT JOIN leadflow.campaigns c ON c.code = o.origin
		WHERE o.first_contact_date = today
		ORDER BY o.mql_id;

		INSERT INTO leadflow.activities (lead_id, kind, campaign_id, content)
		SELECT l.id, 'page_view', l.campaign_id, o.landing_page_id
		FROM olist_leads o JOIN leadflow.leads l ON l.external_id = o.mql_id
		WHERE o.first_contact_date = today;

		UPDATE leadflow.leads SET stage = 'mql', stage_by = 'marketing@olist.example'
		WHERE external_id IN (SELECT mql_id FROM olist_leads WHERE first_contact_date = today);

		FOR deal IN
			SELECT w.*, m.id AS sdr
			FROM olist_wins w JOIN leadflow.team_members m ON m.external_id = w.sdr_id
			WHERE w.at >= today AND w.at < today + 1
			ORDER BY w.at
		LOOP
			PERFORM set_config('leadflow.clock', deal.at::text, true);
			UPDATE leadflow.leads SET stage = 'sql', owner_id = deal.sdr, stage_by = 'marketing@olist.example'
			WHERE external_id = deal.mql_id;
			UPDATE leadflow.leads SET stage = 'accepted', stage_by = deal.sr_id || '@olist.example'
			WHERE external_id = deal.mql_id;
			INSERT INTO leadflow.deals (external_id, lead_id, name, amount, currency, status, opened_at, closed_at)
			SELECT deal.mql_id, l.id, deal.lead_type, 100, 'BRL', 'won', deal.won_date, deal.won_date
			FROM leadflow.leads l WHERE l.external_id = deal.mql_id;
		END LOOP;
		COMMIT;
	END LOOP;
END
$$;
ANALYZE;
SQL
diag(sprintf('Olist: 8,000 leads, 8,000 activities, 842 deals in %.1f s', time - $start));

my $report = sub {
	my ($query, $expected, $name) = @_;
	$start = time;
	is($node->safe_psql($db, $query), $expected, $name);
	note(sprintf('%.0f ms', 1000 * (time - $start)));
};

# The funnel.
$report->(
	'SELECT sum(leads), sum(mqls), sum(sqls), sum(accepted), sum(won), sum(lost), round(sum(won)::numeric / sum(leads), 6)
	 FROM leadflow.funnel_monthly',
	'8000|8000|842|842|842|0|0.105250', '842 of 8,000 leads won');
$report->(
	q{SELECT source, sum(leads), sum(won) FROM leadflow.funnel_monthly
	  WHERE source IN ('organic_search', 'social') GROUP BY source ORDER BY source},
	"organic_search|2296|271\nsocial|1350|75", 'by source');
$report->(
	'SELECT leads, won FROM (SELECT sum(leads) AS leads, sum(won) AS won FROM leadflow.funnel_monthly
		WHERE campaign_id IS NULL GROUP BY source) s',
	'60|14', 'leads without an origin are in the funnel, in a row of their own');
$report->(
	'SELECT count(*), min(month_start), max(month_start) FROM
	 (SELECT month_start, sum(leads) FROM leadflow.funnel_monthly GROUP BY 1) m',
	'12|2017-06-01|2018-05-01', 'cohorts are months of the first contact');
$report->(
	q{SELECT count(*) FROM (
		SELECT source, date_trunc('month', created_at, 'UTC')::date AS month_start, count(*) AS leads,
			count(*) FILTER (WHERE stage = 'won') AS won
		FROM leadflow.leads GROUP BY 1, 2) l
	  FULL JOIN (SELECT source, month_start, sum(leads) AS leads, sum(won) AS won
		FROM leadflow.funnel_monthly GROUP BY 1, 2) f
		ON f.month_start = l.month_start AND f.source IS NOT DISTINCT FROM l.source
	  WHERE (f.leads, f.won) IS DISTINCT FROM (l.leads, l.won)},
	'0', 'each cell of the funnel is the count of its leads');

# What happened, lead by lead.
$report->(
	q{SELECT count(DISTINCT lead_id), count(DISTINCT content) FROM leadflow.activities},
	'8000|495', '495 landing pages');
$report->(
	q{SELECT count(DISTINCT lead_id), count(DISTINCT p.landing_page_id)
	  FROM leadflow.lead_timeline t
	  JOIN (SELECT DISTINCT landing_page_id FROM olist_leads) p ON t.detail LIKE '%' || p.landing_page_id || '%'
	  WHERE t.lead_id % 20 = 0},
	join('|', split(/\|/, $node->safe_psql($db,
		'SELECT count(*), count(DISTINCT content) FROM leadflow.activities WHERE lead_id % 20 = 0'))),
	'the timeline shows the landing pages');
$report->(
	q{SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.closed_at - l.created_at) / 86400)::numeric, 6),
		count(*) FILTER (WHERE d.closed_at < l.created_at)
	  FROM leadflow.deals d JOIN leadflow.leads l ON l.id = d.lead_id},
	'14.650729|1', 'first contact to won: median 14.650729 days, one of them negative');
$report->(
	q{SELECT round(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM won.entered_at - lead.entered_at) / 86400)::numeric, 6),
		count(*), count(*) FILTER (WHERE won.entered_at < lead.entered_at)
	  FROM leadflow.stage_history won JOIN leadflow.stage_history lead USING (lead_id)
	  WHERE won.to_stage = 'won' AND lead.from_stage IS NULL},
	'14.650729|842|0', 'the history says the same, and never runs backwards');
$report->(
	q{SELECT l.stage, d.status, d.closed_at, h.entered_at
	  FROM leadflow.deals d JOIN leadflow.leads l ON l.id = d.lead_id
	  JOIN leadflow.stage_history h ON h.lead_id = l.id AND h.to_stage = 'won'
	  WHERE d.closed_at < l.created_at},
	'won|won|2018-03-06 19:38:55+00|2018-03-08 00:00:00+00',
	'the deal that was won before its first contact survives');
$report->(
	q{SELECT count(*) FROM (SELECT min(t.at) FROM leadflow.lead_timeline t
		JOIN leadflow.deals d USING (lead_id) WHERE d.closed_at < '2018-03-07' GROUP BY t.lead_id) x},
	$node->safe_psql($db, q{SELECT count(*) FROM olist_deals WHERE won_date < '2018-03-07'}),
	'so do the timelines of early deals');

# The hand-off: to the SDR of the file, accepted by its SR, who takes the lead over.
$report->(
	q{SELECT count(DISTINCT h.lead_id), count(*) FILTER (WHERE h.decision = 'accepted'),
		count(*) = 842 + count(DISTINCT h.lead_id) FILTER (WHERE d.sdr_id <> d.sr_id)
	  FROM leadflow.handoffs h JOIN leadflow.leads l ON l.id = h.lead_id
	  JOIN olist_deals d ON d.mql_id = l.external_id},
	'842|842|t', 'each won lead was handed over, and once more where another rep took it');
$report->(
	q{SELECT count(*) FROM (
		SELECT DISTINCT ON (lead_id) lead_id, owner_id FROM leadflow.handoffs ORDER BY lead_id, offered_at, id) h
	  JOIN leadflow.leads l ON l.id = h.lead_id JOIN olist_deals d ON d.mql_id = l.external_id
	  JOIN leadflow.team_members m ON m.id = h.owner_id AND m.external_id = d.sdr_id},
	'842', 'first to its SDR');
$report->(
	q{SELECT count(*), count(*) FILTER (WHERE o.external_id = d.sr_id) FROM leadflow.stage_history h
	  JOIN leadflow.leads l ON l.id = h.lead_id JOIN olist_deals d ON d.mql_id = l.external_id
	  JOIN leadflow.team_members m ON m.id = h.actor_id AND m.external_id = d.sr_id
	  LEFT JOIN leadflow.team_members o ON o.id = l.owner_id
	  WHERE h.to_stage = 'accepted' AND h.team = 'sales'},
	'842|842', 'and accepted by its SR, who owns it now');
$report->(
	q{SELECT count(*), count(*) FILTER (WHERE stage = 'won') FROM leadflow.lead_board},
	'8000|842', 'the board has a row a lead');

# Closed loop: with one touch a lead, all models that keep credits say the same. The early deal has no touch at or before it and joins the 14 of the leads
# without an origin.
my @models = qw(first_touch full_path last_non_direct last_touch linear position_based time_decay w_shaped);
$report->(
	q{SELECT model, sum(revenue), sum(revenue) FILTER (WHERE campaign = 'organic_search'),
		sum(revenue) FILTER (WHERE campaign = 'social'), sum(revenue) FILTER (WHERE campaign_id IS NULL)
	  FROM leadflow.attribution_by_campaign GROUP BY model ORDER BY model},
	join("\n", map { "$_|84200.00|27000.00|7500.00|1500.00" } @models),
	'credits add up to the revenue under every model, nothing vanishes');
$report->(
	q{SELECT model, sum(deals_credited) FROM leadflow.attribution_by_campaign
	  WHERE currency = 'BRL' GROUP BY model ORDER BY model},
	join("\n", map { "$_|842" } @models), 'each deal counts once');
$report->('SELECT count(*) FROM leadflow.attribution_check', '0', 'attribution_check is empty');
$report->(
	q{SELECT count(*) FROM leadflow.deals d WHERE NOT EXISTS (SELECT FROM leadflow.attribution_credits c WHERE c.deal_id = d.id)},
	'0', 'no deal without a credit');

is_verified($node, $db);

# Corrections of a real funnel: what is voided leaves every figure, what is taken back
# returns.
$node->safe_psql($db, <<'SQL');
UPDATE leadflow.activities SET voided_at = leadflow.now(), void_reason = 'bot'
WHERE campaign_id = (SELECT id FROM leadflow.campaigns WHERE code = 'social');
SQL
$report->(
	q{SELECT model, coalesce(sum(revenue) FILTER (WHERE campaign = 'social'), 0) = 0,
		sum(revenue) FILTER (WHERE campaign_id IS NULL)
	  FROM leadflow.attribution_by_campaign GROUP BY model ORDER BY model},
	join("\n", map { "$_|t|9000.00" } @models), 'voided touches earn nothing');
is_verified($node, $db, 'verify() finds nothing after voids');
$node->safe_psql($db, 'UPDATE leadflow.activities SET voided_at = NULL, void_reason = NULL WHERE voided_at IS NOT NULL');
$report->(
	q{SELECT model, sum(revenue) FILTER (WHERE campaign = 'social') FROM leadflow.attribution_by_campaign
	  GROUP BY model ORDER BY model},
	join("\n", map { "$_|7500.00" } @models), 'and earn again when the void is taken back');
is_verified($node, $db, 'verify() finds nothing after that');

$node->stop;
done_testing();
