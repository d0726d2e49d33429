-- What the benchmark of activity inserts needs, in a database with leadflow:
--   bench.activity_rows()  rows that are always the same, made by arithmetic
--   the scoring model "bench" of leadflow: 50 rules over 20 kinds, 25 of them with a
--   jsonpath, 10 with a limit, in three groups (half-life 30 days, 7 days, none)
--   the same table of activities without leadflow: bench_plain (primary key alone),
--   bench_fk (and a foreign key to leads), bench_row and bench_stmt (and a trigger that
--   keeps the same sums, without limits)
--
-- psql variables: leads (number of leads), limits (off = the rules have none).
\set ON_ERROR_STOP on
SET client_min_messages = warning;

CREATE SCHEMA bench;

-- CPU seconds that this backend has used, user and system.
CREATE FUNCTION bench.cpu() RETURNS double precision LANGUAGE sql AS $$
	SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::double precision / 1e9
$$;

-- Its own memory, bytes: what it shares with others is not in it.
CREATE FUNCTION bench.memory() RETURNS bigint LANGUAGE sql AS $$
	SELECT 1024 * substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s*(\d+)')::bigint
$$;

CREATE FUNCTION bench.hash(i bigint, salt integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT b.h # (b.h >> 13)
	FROM (SELECT (i * 1597334677 + salt * 40503) % 4294967296 AS h) a,
		LATERAL (SELECT ((a.h # (a.h >> 15)) * 1103515245) % 4294967296 AS h) b
$$;

-- In the order in which they happened, 90 days in all, each lead as often as any other.
CREATE FUNCTION bench.activity_rows(rows bigint, leads bigint)
RETURNS TABLE (lead_id bigint, occurred_at timestamptz, id uuid, kind text, content text, properties jsonb)
LANGUAGE sql AS $$
	SELECT
		1 + bench.hash(i, 1) % leads,
		timestamptz '2024-01-01 00:00+00' + i * (interval '7776000 seconds' / rows),
		md5('activity ' || i)::uuid,
		'kind_' || 1 + bench.hash(i, 2) % 20,
		'/page/' || bench.hash(i, 3) % 200,
		jsonb_build_object('n', bench.hash(i, 4) % 100, 'plan', (ARRAY['free', 'pro', 'team'])[1 + bench.hash(i, 5) % 3])
	FROM generate_series(1, rows) i
$$;

-- The model, for everybody. Every second rule has a condition; ten kinds have a rule with a limit,
-- half of those rules a condition, too.
CREATE TABLE bench.rules AS
SELECT i AS id, 'kind_' || 1 + (i - 1) % 20 AS activity_kind, 1 + i % 10 AS points, 1 + i % 3 AS grp,
	CASE WHEN (i + i / 20) % 2 = 1 THEN (ARRAY['$.properties.n >= ' || i, '$.properties.plan == "pro"',
		'$.content starts with "/page/1"'])[1 + i % 3]::jsonpath END AS condition,
	l.max_count, l.per, l.once_per
FROM generate_series(1, 50) i
LEFT JOIN (VALUES
	(1, 10, NULL, NULL::jsonpath),
	(6, 1, 'month', NULL),
	(12, 5, 'month', NULL),
	(17, 1, NULL, '$.content'),
	(23, 2, 'week', '$.properties.plan'),
	(28, 3, 'day', NULL),
	(34, 1, 'hour', NULL),
	(39, 1, NULL, NULL),
	(45, 1, 'quarter', '$.properties.plan'),
	(50, 1, 'week', NULL)) l (id, max_count, per, once_per) ON l.id = i AND :'limits' <> 'off';
ALTER TABLE bench.rules ADD PRIMARY KEY (id);
CREATE INDEX ON bench.rules (activity_kind);

BEGIN;
DELETE FROM leadflow.sla_policies;
INSERT INTO leadflow.activity_kinds (kind, role) SELECT DISTINCT activity_kind, 'engagement' FROM bench.rules;
\i test/fixtures/thaw.sql
UPDATE leadflow.scoring_models SET status = 'retired' WHERE status = 'active';
-- A threshold that nobody reaches: the gate is asked each time, but nobody moves.
INSERT INTO leadflow.scoring_models (name, mql_threshold, max_score)
VALUES ('bench', 1e9, 1e9) RETURNING id AS model \gset
INSERT INTO leadflow.scoring_groups (model_id, name, axis, min_points, max_points, half_life)
VALUES (:model, '1', 'engagement', -1e9, 1e9, '30 days'), (:model, '2', 'engagement', -1e9, 1e9, '7 days'),
	(:model, '3', 'engagement', -1e9, 1e9, NULL);
INSERT INTO leadflow.scoring_rules (model_id, group_id, name, activity_kind, condition, points, max_count, per, once_per)
SELECT :model, g.id, 'rule ' || r.id, r.activity_kind, r.condition, r.points, r.max_count, r.per, r.once_per
FROM bench.rules r JOIN leadflow.scoring_groups g ON g.model_id = :model AND g.name = r.grp::text;
UPDATE leadflow.scoring_models SET status = 'active' WHERE id = :model;
COMMIT;

INSERT INTO leadflow.leads (email, full_name, company)
SELECT 'lead' || i || '@example.com', 'Lead ' || i, 'Company ' || i % 1000 FROM generate_series(1, :leads) i;

-- The same without leadflow.
CREATE TABLE bench.leads (LIKE leadflow.leads INCLUDING ALL);
INSERT INTO bench.leads (id, email, full_name, company, stage_since, created_at)
SELECT id, email, full_name, company, stage_since, created_at FROM leadflow.leads;

SELECT format('CREATE SCHEMA bench_%1$s;
	CREATE TABLE bench_%1$s.activities (LIKE leadflow.activities INCLUDING CONSTRAINTS INCLUDING INDEXES);
	ALTER TABLE bench_%1$s.activities ALTER recorded_at SET DEFAULT now(), ALTER id SET DEFAULT gen_random_uuid()', variant)
FROM unnest('{plain,fk,row,stmt}'::text[]) variant \gexec
SELECT format('ALTER TABLE bench_%s.activities ADD FOREIGN KEY (lead_id) REFERENCES bench.leads', variant)
FROM unnest('{fk,row,stmt}'::text[]) variant \gexec

-- Sums are kept as of one instant, so that adding is all there is to do.
CREATE FUNCTION bench.weight(points double precision, at timestamptz, half_life_days double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
	SELECT points * power(2, extract(epoch FROM at - '2024-01-01 00:00+00')::double precision / (half_life_days * 86400))
$$;

CREATE TABLE bench_row.score (lead_id bigint PRIMARY KEY, s1 float8 NOT NULL, s2 float8 NOT NULL, s3 float8 NOT NULL)
	WITH (fillfactor = 70);
INSERT INTO bench_row.score SELECT id, 0, 0, 0 FROM bench.leads ORDER BY id;
CREATE TABLE bench_stmt.score (LIKE bench_row.score INCLUDING ALL) WITH (fillfactor = 70);
INSERT INTO bench_stmt.score SELECT * FROM bench_row.score ORDER BY lead_id;

CREATE FUNCTION bench_row.score() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	document CONSTANT jsonb := jsonb_build_object('content', NEW.content, 'campaign', NULL, 'properties', NEW.properties);
	p1 double precision;
	p2 double precision;
	p3 double precision;
BEGIN
	SELECT coalesce(sum(points) FILTER (WHERE grp = 1), 0), coalesce(sum(points) FILTER (WHERE grp = 2), 0),
		coalesce(sum(points) FILTER (WHERE grp = 3), 0)
	INTO p1, p2, p3
	FROM bench.rules
	WHERE activity_kind = NEW.kind AND (condition IS NULL OR jsonb_path_match(document, condition, '{}', true));
	UPDATE bench_row.score
	SET s1 = s1 + bench.weight(p1, NEW.occurred_at, 30), s2 = s2 + bench.weight(p2, NEW.occurred_at, 7), s3 = s3 + p3
	WHERE lead_id = NEW.lead_id;
	RETURN NULL;
END
$$;
CREATE TRIGGER score AFTER INSERT ON bench_row.activities FOR EACH ROW EXECUTE FUNCTION bench_row.score();

CREATE FUNCTION bench_stmt.score() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	-- In one order, or two such statements could deadlock.
	PERFORM FROM bench_stmt.score WHERE lead_id IN (SELECT lead_id FROM new_rows) ORDER BY lead_id FOR NO KEY UPDATE;
	UPDATE bench_stmt.score s SET s1 = s.s1 + d.s1, s2 = s.s2 + d.s2, s3 = s.s3 + d.s3
	FROM (
		SELECT n.lead_id,
			coalesce(sum(bench.weight(r.points, n.occurred_at, 30)) FILTER (WHERE r.grp = 1), 0) AS s1,
			coalesce(sum(bench.weight(r.points, n.occurred_at, 7)) FILTER (WHERE r.grp = 2), 0) AS s2,
			coalesce(sum(r.points) FILTER (WHERE r.grp = 3), 0) AS s3
		FROM new_rows n
		JOIN bench.rules r ON r.activity_kind = n.kind AND (r.condition IS NULL OR jsonb_path_match(
			jsonb_build_object('content', n.content, 'campaign', NULL, 'properties', n.properties), r.condition, '{}', true))
		GROUP BY n.lead_id) d
	WHERE s.lead_id = d.lead_id;
	RETURN NULL;
END
$$;
CREATE TRIGGER score AFTER INSERT ON bench_stmt.activities REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION bench_stmt.score();

-- All points of all leads at one instant: the two triggers must agree.
CREATE FUNCTION bench.total(relation text, at timestamptz) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	total double precision;
BEGIN
	EXECUTE format('SELECT sum(s1 / bench.weight(1, $1, 30) + s2 / bench.weight(1, $1, 7) + s3) FROM %I.score', relation)
	INTO total USING at;
	RETURN total;
END
$$;

-- Leadflow, which knows limits, must agree with plain SQL over the activities, for some leads of the first ones.
CREATE FUNCTION bench.check_scores(at timestamptz, first_leads bigint, sample bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	leads CONSTANT bigint[] := ARRAY(SELECT id FROM generate_series(1, first_leads) id ORDER BY hashint8(id) LIMIT sample);
	wrong text;
	compared bigint;
BEGIN
	PERFORM set_config('leadflow.clock', at::text, true);
	SELECT string_agg(o.lead_id || ': ' || coalesce(k.score::text, 'none') || ' for ' || o.score, ', ')
		FILTER (WHERE (abs(k.score - o.score) <= 1e-9 * greatest(1, o.magnitude)) IS NOT TRUE), count(*)
	INTO wrong, compared
	FROM leadflow._oracle_scores(at, NULL, leads) o
	LEFT JOIN (SELECT s.lead_id, s.score FROM leadflow.lead_scores s WHERE s.lead_id = ANY (leads)) k USING (lead_id);
	IF wrong IS NOT NULL OR compared <> cardinality(leads) THEN
		RAISE EXCEPTION 'leadflow and plain SQL disagree about scores' USING DETAIL = wrong;
	END IF;
END
$$;

-- Rows for one_by_one_…(), made beforehand.
CREATE UNLOGGED TABLE bench.pending (
	n bigint, lead_id bigint, occurred_at timestamptz, id uuid, kind text, content text, properties jsonb);

-- Rows "first" to "last", a transaction each.
SELECT format('CREATE PROCEDURE bench.one_by_one_%1$s(first bigint, last bigint) LANGUAGE plpgsql AS $body$
	DECLARE
		r record;
	BEGIN
		FOR r IN SELECT * FROM bench.pending WHERE n BETWEEN first AND last ORDER BY n LOOP
			INSERT INTO %1$s.activities (lead_id, occurred_at, id, kind, content, properties)
			VALUES (r.lead_id, r.occurred_at, r.id, r.kind, r.content, r.properties);
			COMMIT;
		END LOOP;
	END $body$', relation)
FROM unnest('{leadflow,bench_plain,bench_fk,bench_row,bench_stmt}'::text[]) relation \gexec

VACUUM (FREEZE, ANALYZE);
