--
-- What contact rules cost: may_contact() over 10,000 leads with 10 to 100 activities each and three
-- limits, and a load of 100,000 messages that are judged by them. CPU time of the session.
--
--	psql -X -q -f test/bench/contact.sql
--
-- Loads end at a settle() and are rolled back; so is all the rest.
--
\set ON_ERROR_STOP on
\set leads 10000
\set messages 100000
\pset footer off
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL leadflow.clock = '2026-06-01 00:00+00';
CREATE FUNCTION pg_temp.cpu() RETURNS double precision LANGUAGE sql VOLATILE AS $$
	SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::double precision / 1e9
$$;
INSERT INTO leadflow.leads (id) SELECT -i FROM generate_series(1, :leads) i;
INSERT INTO leadflow.contact_permissions (lead_id, channel, status, at) SELECT -i, 'email', 'granted', '2025-01-01Z' FROM generate_series(1, :leads) i;
DELETE FROM leadflow.contact_limits;
INSERT INTO leadflow.contact_limits (name, channel, max_messages, per, counts) VALUES
	('week', 'email', 3, '7 days', '{marketing_message}'),
	('month', NULL, 20, '30 days', '{marketing_message,sales_touch}'),
	('quarter', 'email', 1000, '90 days', '{marketing_message}');
SET LOCAL leadflow.quiet = on;
INSERT INTO leadflow.activities (lead_id, kind, occurred_at)
SELECT -i, (ARRAY['page_view', 'email_open', 'marketing_email', 'call'])[1 + k % 4], leadflow.now() - (k * 60 + 60) * interval '1 hour' - i * interval '1 second'
FROM generate_series(1, :leads) i, generate_series(1, 10 + i % 91) k;
SELECT leadflow.settle() \g /dev/null
SET LOCAL leadflow.quiet = off;
ANALYZE leadflow.activities, leadflow.leads, leadflow.contact_permissions, leadflow.score_state;

CREATE FUNCTION pg_temp.calls(what text, query text, n integer) RETURNS TABLE (call text, may bigint, us numeric) LANGUAGE plpgsql AS $$
DECLARE
	start double precision;
	best double precision := 'infinity';
BEGIN
	FOR round IN 0..3 LOOP
		start := pg_temp.cpu();
		EXECUTE query INTO may;
		IF round > 0 THEN
			best := least(best, pg_temp.cpu() - start);
		END IF;
	END LOOP;
	RETURN QUERY SELECT what, may, round((1e6 * best / n)::numeric, 1);
END $$;
SELECT * FROM pg_temp.calls('nothing', format('SELECT count(*) FROM generate_series(1, 10) r, generate_series(1, %s) i', :leads), 10 * :leads)
UNION ALL
SELECT * FROM pg_temp.calls('may_contact', format($$SELECT count(*) FILTER (WHERE leadflow.may_contact(-i, 'email')) FROM generate_series(1, 10) r, generate_series(1, %s) i$$, :leads), 10 * :leads)
UNION ALL
SELECT * FROM pg_temp.calls('next_contact_at', format($$SELECT count(*) FILTER (WHERE leadflow.next_contact_at(-i, 'email') <= leadflow.now()) FROM generate_series(1, 10) r, generate_series(1, %s) i$$, :leads), 10 * :leads);

-- A load, and what follows from it.
CREATE FUNCTION pg_temp.loads(load_kind text, limits boolean, refusing boolean, leads integer, messages integer)
RETURNS TABLE (load text, rows integer, flagged bigint, us numeric) LANGUAGE plpgsql AS $$
DECLARE
	start double precision;
	used double precision;
	best double precision := 'infinity';
BEGIN
	FOR round IN 1..2 LOOP
		BEGIN
			IF NOT limits THEN
				DELETE FROM leadflow.contact_limits;
			END IF;
			IF refusing THEN
				SET LOCAL leadflow.contact_limits = 'refuse';
				UPDATE leadflow.contact_limits SET max_messages = 1000;
			END IF;
			start := pg_temp.cpu();
			INSERT INTO leadflow.activities (lead_id, kind, occurred_at)
			SELECT -1 - k % leads, load_kind, leadflow.now() - k * interval '5 seconds' FROM generate_series(1, messages) k;
			PERFORM leadflow.settle();
			used := pg_temp.cpu() - start;
			SELECT count(*) INTO flagged FROM leadflow.contact_violations;
			RAISE SQLSTATE 'P0099';
		EXCEPTION WHEN SQLSTATE 'P0099' THEN
			best := least(best, used);
		END;
	END LOOP;
	RETURN QUERY SELECT load_kind || CASE WHEN NOT limits THEN ', no limits' WHEN refusing THEN ', refusing, none breaks one' ELSE '' END, messages, flagged,
		round((1e6 * best / messages)::numeric, 1);
END $$;
WITH loads AS MATERIALIZED (
	SELECT 1 AS n, * FROM pg_temp.loads('note', true, false, :leads, :messages)
	UNION ALL SELECT 2, * FROM pg_temp.loads('marketing_email', false, false, :leads, :messages)
	UNION ALL SELECT 3, * FROM pg_temp.loads('marketing_email', true, false, :leads, :messages)
	UNION ALL SELECT 4, * FROM pg_temp.loads('marketing_email', true, true, :leads, :messages)
)
SELECT load, rows, flagged, us AS us_a_row, round(us / first_value(us) OVER (ORDER BY n), 2) AS times_a_note FROM loads ORDER BY n;
-- All to one lead: no more than linear.
SELECT load || ' to one lead' AS load, rows, flagged, us AS us_a_row FROM pg_temp.loads('marketing_email', true, false, 1, 20000)
UNION ALL
SELECT load || ' to one lead', rows, flagged, us FROM pg_temp.loads('marketing_email', true, false, 1, :messages);
ROLLBACK;
