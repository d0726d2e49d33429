-- Draws decay.svg, matrix.svg and journey.svg: what leadflow itself says as it comes, as pictures.
-- In a fresh database with the extension, from this folder:  psql -X -f draw.sql
-- Nothing stays in the database.
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
SET TimeZone = 'UTC';
BEGIN;

-- Colours for a light page and for a dark one; text stays text.
SELECT $$<style>
text { font: 13px system-ui, sans-serif; fill: #1f2937 } .small { font-size: 11px } .big { font-size: 22px; font-weight: 600 }
.muted { fill: #4b5563 } .end { text-anchor: end } .mid { text-anchor: middle }
.page { fill: #ffffff } .fit { fill: #d5dbe3 } .eng { fill: #bcd7f5 } .line { stroke: #1d5fa8; fill: none; stroke-width: 2 }
.cut { stroke: #1d5fa8; fill: none; stroke-dasharray: 3 3 } .gate { stroke: #b45309; stroke-dasharray: 7 4 } .gatetext { fill: #92400e }
.axis { stroke: #9ca3af } .dot { fill: #b45309 } .tick { fill: #1d5fa8 }
.sales { fill: #f5b8a6 } .mql { fill: #f8dd9b } .maybe { fill: #cfe6c4 } .cold { fill: #dbe1e8 }
@media (prefers-color-scheme: dark) {
text { fill: #e5e7eb } .muted { fill: #aeb6c2 } .page { fill: #161b22 } .fit { fill: #343d4a } .eng { fill: #1f4166 }
.line, .cut { stroke: #6fb1f5 } .gate { stroke: #f0a44b } .gatetext { fill: #f5b96b } .dot { fill: #f0a44b } .tick { fill: #6fb1f5 } .axis { stroke: #5b6472 }
.sales { fill: #7a3524 } .mql { fill: #6b5314 } .maybe { fill: #2d5130 } .cold { fill: #333b46 } }
</style>$$ AS style \gset

-- ---- decay: a lead's first 90 days ----
SET LOCAL leadflow.clock = '2026-01-01';
INSERT INTO leadflow.leads (id, job_title) VALUES (1, 'CTO');
CREATE TEMP TABLE did (day, kind) AS VALUES (0, 'content_download'), (5, 'webinar_signup'), (10, 'webinar_attended'),
	(15, 'form_submit'), (20, 'webinar_attended'), (25, 'webinar_attended'), (30, 'content_download');
DO $$
DECLARE
	d record;
BEGIN
	FOR d IN SELECT timestamptz '2026-01-01' + make_interval(days => day) AS at, kind FROM did ORDER BY day LOOP
		PERFORM set_config('leadflow.clock', d.at::text, true);
		INSERT INTO leadflow.activities (lead_id, kind) VALUES (1, d.kind);
		PERFORM leadflow.settle();
	END LOOP;
END
$$;

CREATE FUNCTION pg_temp.x(at timestamptz) RETURNS numeric LANGUAGE sql AS
	$$SELECT round(56 + 7.2 * extract(epoch FROM at - '2026-01-01') / 86400, 1)$$;
CREATE FUNCTION pg_temp.y(points float8) RETURNS numeric LANGUAGE sql AS $$SELECT round((348 - 4.1 * points)::numeric, 1)$$;

-- The curve, just before and at each activity and every day; uncut: without the group's bound.
CREATE TEMP TABLE curve AS
SELECT at, leadflow.score(1, at) AS score,
	leadflow.score(1, at) - coalesce((SELECT sum(points) FROM leadflow.explain_score(1, at) WHERE source = 'group bounds'), 0) AS uncut
FROM (
	SELECT timestamptz '2026-01-01' + make_interval(days => i) AS at FROM generate_series(0, 90) i
	UNION SELECT timestamptz '2026-01-01' + make_interval(days => day, secs => -0.001) FROM did WHERE day > 0
	UNION SELECT falls_below_mql_at FROM leadflow.lead_scores) t;

SELECT entered_at AS opens FROM leadflow.stage_history WHERE to_stage = 'mql' \gset
SELECT falls_below_mql_at AS falls, fit FROM leadflow.lead_scores \gset
SELECT timestamptz :'falls' + half_life AS half, max_points AS bound FROM leadflow.scoring_groups WHERE model_id = 1 AND name = 'content' \gset
SELECT mql_threshold AS threshold FROM leadflow.scoring_models WHERE id = 1 \gset

\o decay.svg
SELECT '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 420" width="760" height="420" role="img"><title>A lead''s score over 90 days</title>';
SELECT :'style';
SELECT '<rect class="page" width="760" height="420" rx="8"/>';
SELECT format('<path class="eng" d="M%s,%s L%s L%s,%s Z"/>', pg_temp.x('2026-01-01'), pg_temp.y(:fit),
	string_agg(pg_temp.x(at) || ',' || pg_temp.y(score), ' ' ORDER BY at), pg_temp.x(max(at)), pg_temp.y(:fit)) FROM curve;
SELECT format('<rect class="fit" x="%s" y="%s" width="%s" height="%s"/>', pg_temp.x('2026-01-01'), pg_temp.y(:fit),
	pg_temp.x('2026-04-01') - pg_temp.x('2026-01-01'), pg_temp.y(0) - pg_temp.y(:fit));
SELECT format('<polyline class="cut" points="%s"/>', string_agg(pg_temp.x(at) || ',' || pg_temp.y(uncut), ' ' ORDER BY at))
FROM curve WHERE uncut > score + 1e-9;
SELECT format('<polyline class="line" points="%s"/>', string_agg(pg_temp.x(at) || ',' || pg_temp.y(score), ' ' ORDER BY at)) FROM curve;
SELECT format('<line class="gate" x1="%s" x2="%s" y1="%s" y2="%3$s"/>', pg_temp.x('2026-01-01'), pg_temp.x('2026-04-01'), pg_temp.y(:threshold));
SELECT format('<line class="axis" x1="%s" x2="%s" y1="%s" y2="%3$s"/>', pg_temp.x('2026-01-01'), pg_temp.x('2026-04-01'), pg_temp.y(0));
SELECT format('<text class="small muted end" x="48" y="%s">%s</text>', pg_temp.y(p) + 4, p) FROM unnest(ARRAY[0, :fit, :threshold, :fit + :bound]) p;
SELECT format('<text class="small muted mid" x="%s" y="366">%s</text>', pg_temp.x(timestamptz '2026-01-01' + make_interval(days => i)),
	CASE i WHEN 0 THEN 'day 0' ELSE i::text END) FROM generate_series(0, 90, 15) i;
SELECT format('<circle class="tick" cx="%s" cy="382" r="3"/><text class="small mid" x="%1$s" y="400">+%s</text>',
	pg_temp.x(timestamptz '2026-01-01' + make_interval(days => day)), leadflow._activity_points(kind, NULL, NULL, NULL)) FROM did;
SELECT format('<text class="small" x="%s" y="400">%s</text>', pg_temp.x('2026-02-03'), 'points of each activity, of which half are left after 30 days');
SELECT format('<text x="%s" y="%s">fit: %s points, who it is; does not decay</text>', pg_temp.x('2026-01-03'), pg_temp.y(:fit / 2) + 4, :fit);
SELECT format('<text x="%s" y="%s">engagement: what it does</text>', pg_temp.x('2026-01-03'), pg_temp.y(:fit) - 8);
SELECT format('<text class="gatetext end" x="%s" y="%s">MQL threshold %s</text>', pg_temp.x('2026-04-01'), pg_temp.y(:threshold) - 8, :threshold);
SELECT format('<text x="%s" y="%s">bound: no more than %s points of engagement count</text>', pg_temp.x('2026-02-09'), pg_temp.y(:fit + :bound) - 4, :bound);
SELECT format('<circle class="dot" cx="%s" cy="%s" r="5"/>', pg_temp.x(at), pg_temp.y(leadflow.score(1, at)))
FROM unnest(ARRAY[:'opens', :'falls']::timestamptz[]) at;
SELECT format('<text class="gatetext end" x="%s" y="%s">the gate opens: MQL</text>', pg_temp.x(:'opens') - 6, pg_temp.y(:threshold) - 26);
SELECT format('<text class="gatetext end" x="%s" y="%s">falls_below_mql_at: day %s</text>', pg_temp.x(:'falls') - 4, pg_temp.y(:threshold) + 20,
	round(extract(epoch FROM timestamptz :'falls' - '2026-01-01') / 86400, 1));
SELECT format('<circle class="tick" cx="%s" cy="%s" r="4"/><text class="end" x="%s" y="%s">30 days later half of it: %s points</text>',
	pg_temp.x(:'half'), pg_temp.y(leadflow.score(1, :'half')), pg_temp.x('2026-04-01') - 8, pg_temp.y(:fit) - 8,
	round((leadflow.score(1, :'half') - :fit)::numeric, 2)::float8);
SELECT '</svg>';
\o

-- ---- matrix: grade by level ----
CREATE TEMP TABLE cell AS
SELECT g.i AS grade, e.i AS level,
	least(m.max_score, lo.cut[g.i] * fit.max_points + lo.cut[e.i] * eng.max_points) AS from_points,
	least(m.max_score, hi.cut[g.i] * fit.max_points + hi.cut[e.i] * eng.max_points) AS to_points,
	m.mql_threshold, m.handoff_threshold, fit.max_points AS fit_max, eng.max_points AS eng_max, lo.cut
FROM leadflow.scoring_models m
JOIN leadflow.scoring_groups fit ON fit.model_id = m.id AND fit.axis = 'fit'
JOIN (SELECT model_id, sum(max_points) AS max_points FROM leadflow.scoring_groups WHERE axis = 'engagement' GROUP BY model_id) eng ON eng.model_id = m.id
CROSS JOIN LATERAL (SELECT m.grade_cutoffs || 0::float8 AS cut) lo
CROSS JOIN LATERAL (SELECT 1::float8 || m.grade_cutoffs AS cut) hi
CROSS JOIN generate_series(1, 4) g (i)
CROSS JOIN generate_series(1, 4) e (i)
WHERE m.id = 1;

\o matrix.svg
SELECT '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 430" width="760" height="430" role="img"><title>Fit by engagement</title>';
SELECT :'style';
SELECT '<rect class="page" width="760" height="430" rx="8"/>';
SELECT '<text x="150" y="28">engagement: how interested it is</text><text x="16" y="28">fit: who it is</text>';
SELECT format('<text x="%s" y="50">level %s</text><text class="small muted" x="%s" y="66">%s</text>', 150 + 150 * (level - 1), level, 150 + 150 * (level - 1),
	CASE level WHEN 4 THEN 'less' ELSE format('%s points or more', cut[level] * eng_max) END) FROM cell WHERE grade = 1;
SELECT format('<text x="16" y="%s">grade %s</text><text class="small muted" x="16" y="%s">%s</text>', 110 + 74 * (grade - 1), chr(64 + grade), 126 + 74 * (grade - 1),
	CASE grade WHEN 4 THEN 'less, or not known' ELSE format('%s points or more', cut[grade] * fit_max) END) FROM cell WHERE level = 1;
SELECT format('<rect class="%s" x="%s" y="%s" width="142" height="66" rx="4"/><text class="big" x="%s" y="%s">%s</text>'
	'<text class="small end" x="%s" y="%s">%s</text><text class="small" x="%s" y="%s">%s</text>',
	CASE WHEN from_points >= handoff_threshold THEN 'sales' WHEN from_points >= mql_threshold THEN 'mql'
		WHEN to_points > mql_threshold THEN 'maybe' ELSE 'cold' END,
	150 + 150 * (level - 1), 80 + 74 * (grade - 1),
	160 + 150 * (level - 1), 108 + 74 * (grade - 1), chr(64 + grade) || level,
	284 + 150 * (level - 1), 106 + 74 * (grade - 1),
	CASE WHEN from_points = to_points THEN 'score ' || from_points ELSE format('score %s–%s', from_points, to_points) END,
	160 + 150 * (level - 1), 134 + 74 * (grade - 1),
	CASE chr(64 + grade) || level WHEN 'A1' THEN 'call now' WHEN 'A4' THEN 'get it interested'
		WHEN 'D1' THEN 'find out who it is' WHEN 'D4' THEN 'leave it' ELSE '' END)
FROM cell ORDER BY grade, level;
SELECT format('<rect class="%s" x="%s" y="390" width="16" height="16" rx="3"/><text class="small" x="%s" y="402">%s</text>', class, x, x + 22, label)
FROM (SELECT DISTINCT mql_threshold, handoff_threshold FROM cell) m
CROSS JOIN LATERAL (VALUES ('sales', 16, 'MQL, and on to sales'), ('mql', 180, format('MQL; to sales from %s', handoff_threshold)),
	('maybe', 366, format('MQL from %s', mql_threshold)), ('cold', 500, 'no MQL unless it raises its hand')) v (class, x, label);
SELECT '</svg>';
\o

-- ---- journey: what each model says of one deal ----
CREATE TEMP TABLE journey AS
SELECT row_number() OVER (ORDER BY at) AS n, 100 + 108 * row_number() OVER (ORDER BY at) AS x, *
FROM (VALUES (timestamptz '2026-01-05', 'Search ad', 'first touch', false), ('2026-01-12', 'Webinar', '', false),
	('2026-01-20', 'Guide', 'lead created (MQL)', false), ('2026-02-03', 'Fair', 'opportunity', false),
	('2026-02-18', 'Newsletter', '', false), ('2026-02-27', 'Home page', 'last touch; direct', true)) t (at, campaign, place, direct);
CREATE TEMP TABLE said AS
SELECT m.nth AS row, m.kind, t.n, t.weight
FROM unnest('{first_touch,last_touch,last_non_direct,linear,time_decay,position_based,w_shaped,full_path}'::text[]) WITH ORDINALITY m (kind, nth)
CROSS JOIN LATERAL unnest(leadflow.touch_weights(m.kind, (SELECT array_agg(at ORDER BY n) FROM journey), '2026-03-01',
	'2026-01-20 12:00', '2026-02-05', '{}', (SELECT array_agg(direct ORDER BY n) FROM journey))) WITH ORDINALITY t (weight, n);

\o journey.svg
SELECT '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 810 560" width="810" height="560" role="img"><title>One journey, eight models</title>';
SELECT :'style';
SELECT '<rect class="page" width="810" height="560" rx="8"/>';
SELECT format('<text class="mid" x="%s" y="28">%s</text><text class="small muted mid" x="%1$s" y="46">%3$s</text><text class="small gatetext mid" x="%1$s" y="62">%4$s</text>',
	x, campaign, to_char(at, 'FMDD Mon'), place) FROM journey ORDER BY n;
SELECT format('<text x="16" y="%s">%s</text><line class="axis" x1="16" x2="794" y1="%3$s" y2="%3$s" stroke-width="0.5"/>', 104 + 58 * (row - 1), kind, 129 + 58 * (row - 1))
FROM said GROUP BY row, kind ORDER BY row;
-- areas are as the shares
SELECT format('<circle class="eng" cx="%s" cy="%s" r="%s"/><text class="small mid" x="%1$s" y="%4$s">%5$s %%</text>',
	j.x, 100 + 58 * (row - 1), round((26 * sqrt(weight))::numeric, 1), 104 + 58 * (row - 1), trim_scale(round((100 * weight)::numeric, 1)))
FROM said s JOIN journey j USING (n) WHERE weight > 0 ORDER BY row, n;
SELECT '</svg>';
\o
ROLLBACK;
