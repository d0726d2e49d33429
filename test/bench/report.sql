-- The tables that test/bench/run prints, of its measurements in bench_results
-- (what, relation, "rows", leads, round, cpu, instructions, total).
\pset format unaligned
\pset tuples_only on

CREATE TEMP VIEW variants AS
SELECT * FROM (VALUES
	(1, 'bench_fk', '(a) the table, its primary key, a foreign key to leads'),
	(2, 'leadflow', '**leadflow**'),
	(3, 'bench_row', '(b) (a) and a PL/pgSQL row trigger'),
	(4, 'bench_stmt', '(c) (a) and a set-based PL/pgSQL statement trigger'),
	(5, 'bench_plain', 'the table and its primary key alone')) v (position, relation, label);

-- Ratios are taken within a round, so that a slow minute of the machine hits both sides.
CREATE TEMP VIEW ratios AS
SELECT r.*, r.cpu / nullif(a.cpu, 0) AS ratio
FROM bench_results r
JOIN bench_results a USING (what, "rows", leads, round)
WHERE a.relation = 'bench_fk';

CREATE FUNCTION pg_temp.middle(v double precision[], format text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN count(*) > 0 THEN
		to_char(percentile_cont(0.5) WITHIN GROUP (ORDER BY x), format) || ' (' || to_char(min(x), format) || '–' || to_char(max(x), format) || ')'
		END
	FROM unnest(v) x
$$;

\qecho '| COPY of | table | CPU seconds, median (min–max) | × (a) | rows a CPU second |'
\qecho '|---|---|---:|---:|---:|'
SELECT format('| %s rows over %s leads | %s | %s | %s | %s |', to_char("rows", 'FM999,999,999'), to_char(leads, 'FM999,999,999'), label,
	pg_temp.middle(array_agg(cpu), 'FM9990.00'),
	pg_temp.middle(array_agg(ratio), 'FM9990.00'),
	to_char("rows" / nullif(percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu), 0), 'FM999,999,999'))
FROM ratios JOIN variants USING (relation)
WHERE what = 'copy'
GROUP BY "rows", leads, position, label
ORDER BY "rows" DESC, leads DESC, position;
\qecho

\qecho '| a row a transaction | instructions a row | × (a) | CPU µs a row, median (min–max) | × (a) |'
\qecho '|---|---:|---:|---:|---:|'
SELECT format('| %s | %s | %s | %s | %s |', label, coalesce(to_char(i.instructions, 'FM999,999,999'), '—'),
	coalesce(to_char(i.instructions / nullif(a.instructions, 0), 'FM9990.00'), '—'),
	t.cpu, t.ratio)
FROM variants v
LEFT JOIN bench_results i ON i.what = 'callgrind' AND i.relation = v.relation
LEFT JOIN bench_results a ON a.what = 'callgrind' AND a.relation = 'bench_fk'
LEFT JOIN (
	SELECT relation, pg_temp.middle(array_agg(1e6 * cpu / "rows"), 'FM9990.0') AS cpu,
		pg_temp.middle(array_agg(ratio), 'FM9990.00') AS ratio
	FROM ratios WHERE what = 'single' GROUP BY relation) t ON t.relation = v.relation
ORDER BY position;
