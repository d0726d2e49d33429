--
-- What the hand-off costs: one COPY of activities that makes leads MQLs and hands them over, and
-- a move by hand, one by one and in bulk; beside it a plain UPDATE of the stage with a history row.
--
--	psql -X -q -f test/bench/handoff.sql
--
-- CPU seconds of the backend, COMMIT included. part_handoff of test/bench/run counts instructions.
--
\set ON_ERROR_STOP on
\if :{?leads} \else \set leads 10000 \endif
\set members 68
\pset footer off
SET client_min_messages = warning;

CREATE SCHEMA bench;
CREATE FUNCTION bench.cpu() RETURNS double precision LANGUAGE sql AS $$
	SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::double precision / 1e9
$$;
CREATE TABLE bench.results (id integer GENERATED ALWAYS AS IDENTITY, what text, leads integer, cpu double precision);
INSERT INTO leadflow.team_members (id, full_name, email, team, weight)
SELECT i, 'Rep ' || i, 'rep' || i || '@our.example', 'sales', 1 + i % 3 FROM generate_series(1, :members) i;

-- first … last: one new lead each, that a demo request hands over
CREATE PROCEDURE bench.leads(first integer, last integer) LANGUAGE sql AS $$
	INSERT INTO leadflow.leads (id, email, full_name, company, job_title, company_size)
	SELECT i, i || '@company' || i % 1000 || '.example', 'Lead ' || i, 'Company ' || i % 1000, 'Director', 100 FROM generate_series(first, last) i;
$$;
CALL bench.leads(1, 5 * :leads + 5000);
VACUUM ANALYZE leadflow.leads, leadflow.score_state;

-- plain: the same columns, indexes and a history, without triggers
CREATE TABLE bench.leads (LIKE leadflow.leads INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)
	WITH (fillfactor = 85);
CREATE TABLE bench.stage_history (LIKE leadflow.stage_history INCLUDING ALL);
INSERT INTO bench.leads (id, email, full_name, company, job_title, company_size, stage, stage_since, created_at)
SELECT id, email, full_name, company, job_title, company_size, 'mql', stage_since, created_at FROM leadflow.leads;
INSERT INTO bench.stage_history (lead_id, entered_at, to_stage, team, cycle) SELECT id, stage_since, 'mql', 'system', 1 FROM bench.leads;
VACUUM ANALYZE bench.leads, bench.stage_history;

\set copy 'COPY leadflow.activities (lead_id, kind) FROM PROGRAM ''seq '
-- plans and caches
COPY leadflow.activities (lead_id, kind) FROM PROGRAM 'seq 1 500 | sed "s/$/\tdemo_request/"';

SELECT :leads + 5000 AS from_1, 2 * :leads + 4999 AS to_1, 2 * :leads + 5000 AS from_2, 3 * :leads + 4999 AS to_2,
	3 * :leads + 5000 AS from_3, 4 * :leads + 4999 AS to_3, 4 * :leads + 5000 AS from_4, 5 * :leads + 4999 AS to_4 \gset

-- What activities cost that hand nothing over
SELECT bench.cpu() AS before \gset
SELECT format('COPY leadflow.activities (lead_id, kind) FROM PROGRAM ''seq %s %s | sed "s/$/\tpage_view/"''', :from_1, :to_1) AS load \gset
:load;
INSERT INTO bench.results (what, leads, cpu) VALUES ('COPY of activities, no move', :leads, bench.cpu() - :before);

SELECT bench.cpu() AS before \gset
SELECT format('COPY leadflow.activities (lead_id, kind) FROM PROGRAM ''seq %s %s | sed "s/$/\tdemo_request/"''', :from_1, :to_1) AS load \gset
:load;
INSERT INTO bench.results (what, leads, cpu) VALUES ('COPY of activities: MQL and handed over', :leads, bench.cpu() - :before);
SELECT bench.cpu() AS before \gset
SELECT format('COPY leadflow.activities (lead_id, kind) FROM PROGRAM ''seq %s %s | sed "s/$/\tdemo_request/"''', :from_2, :to_2) AS load \gset
:load;
INSERT INTO bench.results (what, leads, cpu) VALUES ('the same again', :leads, bench.cpu() - :before);

UPDATE leadflow.leads SET stage = 'mql' WHERE id BETWEEN :from_3 AND :to_3 OR id BETWEEN 1000 AND 2999;
SELECT bench.cpu() AS before \gset
UPDATE leadflow.leads SET stage = 'sql' WHERE id BETWEEN :from_3 AND :to_3;
INSERT INTO bench.results (what, leads, cpu) VALUES ('UPDATE to sql, in bulk', :leads, bench.cpu() - :before);

CREATE PROCEDURE bench.one_by_one(first integer, last integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		UPDATE leadflow.leads SET stage = 'sql' WHERE id = i;
		COMMIT;
	END LOOP;
END $$;
CREATE PROCEDURE bench.one_by_one_plain(first integer, last integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		UPDATE bench.leads SET stage = 'sql', stage_since = now() WHERE id = i;
		UPDATE bench.stage_history SET left_at = now() WHERE lead_id = i AND left_at IS NULL;
		INSERT INTO bench.stage_history (lead_id, entered_at, from_stage, to_stage, team, cycle) VALUES (i, now(), 'mql', 'sql', 'system', 1);
		COMMIT;
	END LOOP;
END $$;
CALL bench.one_by_one(1000, 1009);
CALL bench.one_by_one_plain(1000, 1009);
SELECT bench.cpu() AS before \gset
CALL bench.one_by_one(1010, 2999);
INSERT INTO bench.results (what, leads, cpu) VALUES ('UPDATE to sql, one by one', 1990, bench.cpu() - :before);
SELECT bench.cpu() AS before \gset
CALL bench.one_by_one_plain(1010, 2999);
INSERT INTO bench.results (what, leads, cpu) VALUES ('plain UPDATE and a history row, one by one', 1990, bench.cpu() - :before);
SELECT bench.cpu() AS before \gset
WITH u AS (UPDATE bench.leads SET stage = 'sql', stage_since = now() WHERE id BETWEEN :from_3 AND :to_3 RETURNING id),
	c AS (UPDATE bench.stage_history h SET left_at = now() FROM u WHERE h.lead_id = u.id AND left_at IS NULL)
INSERT INTO bench.stage_history (lead_id, entered_at, from_stage, to_stage, team, cycle) SELECT id, now(), 'mql', 'sql', 'system', 1 FROM u;
INSERT INTO bench.results (what, leads, cpu) VALUES ('plain UPDATE and a history row, in bulk', :leads, bench.cpu() - :before);

-- Leads of accounts of which sales has others in hand already: each goes to the owner of one of those.
INSERT INTO leadflow.accounts (id, name, domain) SELECT i, 'Company ' || i, 'account' || i || '.example' FROM generate_series(1, 1000) i;
UPDATE leadflow.leads SET account_id = 1 + id % 1000 WHERE id BETWEEN :from_1 AND :to_2 OR id BETWEEN :from_4 AND :to_4;
SELECT bench.cpu() AS before \gset
SELECT format('COPY leadflow.activities (lead_id, kind) FROM PROGRAM ''seq %s %s | sed "s/$/\tdemo_request/"''', :from_4, :to_4) AS load \gset
:load;
INSERT INTO bench.results (what, leads, cpu) VALUES ('the same, of accounts that sales knows', :leads, bench.cpu() - :before);

SELECT what, leads, round((cpu * 1000)::numeric, 1) AS cpu_ms, round((cpu * 1e6 / leads)::numeric, 1) AS us_a_lead, round(leads / cpu) AS leads_per_second
FROM bench.results ORDER BY id;
-- Nothing but what is right is worth measuring: shares within one, nobody left behind.
SELECT count(*) AS not_handed_over FROM leadflow.leads
WHERE (id BETWEEN :from_1 AND :to_2) AND (stage <> 'sql' OR owner_id IS NULL) \gset
\if :not_handed_over
\warn :not_handed_over leads were not handed over
\endif
SELECT max(abs(got - total * weight / weights)) < 1 AS fair FROM (
	SELECT m.weight, (SELECT count(*) FROM leadflow.handoffs h WHERE h.owner_id = m.id AND h.why LIKE '%round robin') AS got,
		(SELECT count(*) FROM leadflow.handoffs h WHERE h.why LIKE '%round robin')::numeric AS total, sum(m.weight) OVER () AS weights
	FROM leadflow.team_members m) x;
