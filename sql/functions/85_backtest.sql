-- What another model would have done.
CREATE OR REPLACE FUNCTION leadflow._replay(model_id bigint, "from" timestamptz, "to" timestamptz)
	RETURNS TABLE (lead_id bigint, mql_at timestamptz, score double precision, band text, hand_raise boolean)
	AS 'MODULE_PATHNAME', 'leadflow_replay'
	LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 100000;
COMMENT ON FUNCTION leadflow._replay(bigint, timestamptz, timestamptz) IS
'Each lead that the caller may see and that the model would have made an MQL before "to" ("from" is checked, no more): when first, with what score and band, and whether it had raised its hand; backtest() counts them.';

CREATE OR REPLACE FUNCTION leadflow._rule_hits(model_id bigint)
	RETURNS TABLE (lead_id bigint, rule_id bigint, activities bigint, points double precision)
	AS 'MODULE_PATHNAME', 'leadflow_rule_hits'
	LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1000000;
COMMENT ON FUNCTION leadflow._rule_hits(bigint) IS
'What each rule of a model gave each lead that the caller may see: activities that count and their points before decay; rule_id NULL: all engagements of the lead. rule_performance() counts them.';

CREATE OR REPLACE FUNCTION leadflow.backtest(model_id bigint, "from" timestamptz, "to" timestamptz)
	RETURNS TABLE (month_start date, band text, mqls bigint, accepted bigint, rejected bigint, undecided bigint, won bigint,
		won_amount numeric, currency text, in_force_mqls bigint, in_force_accepted bigint, in_force_rejected bigint,
		in_force_undecided bigint, in_force_won bigint, in_force_won_amount numeric, in_force_currency text,
		accepted_leads bigint, "precision" numeric, in_force_precision numeric, recall numeric, in_force_recall numeric,
		lift numeric, gained bigint, lost bigint, lost_accepted bigint, lost_won bigint)
	LANGUAGE sql STABLE PARALLEL RESTRICTED
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
	AS $$
	WITH lead AS MATERIALIZED (
		SELECT
			o.accepted, o.rejected, o.won, o.won_amount, o.min_currency, o.max_currency,
			o.accepted_at >= $2 AND o.accepted_at < $3 AS accepted_meanwhile,
			r.mql_at AS would_at, r.band AS would_band, o.mql_at AS was_at, o.band AS was_band,
			coalesce(r.mql_at >= $2, false) AS would,
			coalesce(o.mql_at >= $2 AND o.mql_at < $3, false) AS was
		FROM leadflow._lead_outcomes o
		-- full, so that an unknown model is refused where there are no leads, too
		FULL JOIN leadflow._replay($1, $2, $3) r ON r.lead_id = o.lead_id
	), mql AS (
		-- a row for what would be, a row for what was
		SELECT l.*, true AS candidate, l.would_at AS mql_at, l.would_band AS band,
			l.was_at IS NULL OR l.was_at >= $3 AS changes
		FROM lead l
		WHERE l.would
		UNION ALL
		SELECT l.*, false, l.was_at, l.was_band, l.would_at IS NULL
		FROM lead l
		WHERE l.was
	), figures AS (
		SELECT
			date_trunc('month', m.mql_at AT TIME ZONE s.time_zone)::date AS month_start,
			m.band,
			count(*) FILTER (WHERE m.candidate) AS mqls,
			count(*) FILTER (WHERE m.candidate AND m.accepted) AS accepted,
			count(*) FILTER (WHERE m.candidate AND m.rejected) AS rejected,
			count(*) FILTER (WHERE m.candidate AND NOT m.accepted AND NOT m.rejected) AS undecided,
			count(*) FILTER (WHERE m.candidate AND m.won) AS won,
			coalesce(sum(m.won_amount) FILTER (WHERE m.candidate), 0.00) AS won_amount,
			min(m.min_currency) FILTER (WHERE m.candidate) AS min_currency,
			max(m.max_currency) FILTER (WHERE m.candidate) AS max_currency,
			count(*) FILTER (WHERE NOT m.candidate) AS in_force_mqls,
			count(*) FILTER (WHERE NOT m.candidate AND m.accepted) AS in_force_accepted,
			count(*) FILTER (WHERE NOT m.candidate AND m.rejected) AS in_force_rejected,
			count(*) FILTER (WHERE NOT m.candidate AND NOT m.accepted AND NOT m.rejected) AS in_force_undecided,
			count(*) FILTER (WHERE NOT m.candidate AND m.won) AS in_force_won,
			coalesce(sum(m.won_amount) FILTER (WHERE NOT m.candidate), 0.00) AS in_force_won_amount,
			min(m.min_currency) FILTER (WHERE NOT m.candidate) AS in_force_min_currency,
			max(m.max_currency) FILTER (WHERE NOT m.candidate) AS in_force_max_currency,
			count(*) FILTER (WHERE m.candidate AND m.changes) AS gained,
			count(*) FILTER (WHERE NOT m.candidate AND m.changes) AS lost,
			count(*) FILTER (WHERE NOT m.candidate AND m.changes AND m.accepted) AS lost_accepted,
			count(*) FILTER (WHERE NOT m.candidate AND m.changes AND m.won) AS lost_won
		FROM mql m
		CROSS JOIN leadflow.settings s
		GROUP BY 1, 2
	), reference AS (
		SELECT count(*) AS accepted_leads FROM lead l WHERE l.accepted AND (l.would OR l.was OR l.accepted_meanwhile)
	)
	SELECT
		f.month_start, f.band, f.mqls, f.accepted, f.rejected, f.undecided, f.won,
		CASE WHEN f.min_currency IS NOT DISTINCT FROM f.max_currency THEN f.won_amount END,
		CASE WHEN f.min_currency = f.max_currency THEN f.min_currency END,
		f.in_force_mqls, f.in_force_accepted, f.in_force_rejected, f.in_force_undecided, f.in_force_won,
		CASE WHEN f.in_force_min_currency IS NOT DISTINCT FROM f.in_force_max_currency THEN f.in_force_won_amount END,
		CASE WHEN f.in_force_min_currency = f.in_force_max_currency THEN f.in_force_min_currency END,
		r.accepted_leads,
		round(f.accepted::numeric / nullif(f.mqls, 0), 4),
		round(f.in_force_accepted::numeric / nullif(f.in_force_mqls, 0), 4),
		round(f.accepted::numeric / nullif(r.accepted_leads, 0), 4),
		round(f.in_force_accepted::numeric / nullif(r.accepted_leads, 0), 4),
		round(f.accepted::numeric * f.in_force_mqls / nullif(f.mqls * f.in_force_accepted, 0), 4),
		f.gained, f.lost, f.lost_accepted, f.lost_won
	FROM figures f
	CROSS JOIN reference r
	ORDER BY f.month_start, array_position('{hot,warm,cool}', f.band)
	$$;

COMMENT ON FUNCTION leadflow.backtest(bigint, timestamptz, timestamptz) IS
'What a model (any status; NULL = the active one) would have done between two instants, "to" not included, beside what was in force; changes nothing. One row a month (settings.time_zone) and band. A lead counts where it would first have been an MQL: its history is replayed in order of occurrence, and the gate is asked at each instant at which it engaged, and at its creation, with limits, decay, bounds and disqualification as of then and attributes as they are now; cycles, cool-down and open deals are not replayed. In force: where it first entered stage mql, by whomever, by the score and the model of then (band NULL = no model was active). mqls; of these, until now: accepted (ever entered a stage of category sales, won or lost), rejected (ever entered stage rejected), undecided (neither), won (ever entered category won, or has a won deal), won_amount in currency (its won deals with corrections; both NULL where there are several currencies; 0 and NULL where there are none); the same with in_force_. accepted_leads: accepted leads that are MQLs in the period by either, or were first accepted in it; the same in all rows. precision = accepted / mqls, recall = accepted / accepted_leads (rows add up), likewise in_force_; lift = precision / in_force_precision; NULL where nothing can be divided. gained: of mqls those that were no MQLs before "to"; lost: of in_force_mqls those that would not be before "to", and of these lost_accepted and lost_won. Only leads that the caller sees; needs SELECT on the tables. 22023 for an unknown model, none active, from not before to, or bounds that are NULL or not finite. O(activities before to).';

CREATE OR REPLACE FUNCTION leadflow.rule_performance(model_id bigint DEFAULT NULL)
	RETURNS TABLE (rule_id bigint, rule text, group_name text, activities bigint, points double precision,
		leads bigint, accepted bigint, won bigint, acceptance_rate numeric, win_rate numeric,
		engaged_leads bigint, engaged_accepted bigint, engaged_won bigint, acceptance_lift numeric, win_lift numeric)
	LANGUAGE sql STABLE PARALLEL RESTRICTED
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off
	AS $$
	WITH figures AS (
		SELECT
			h.rule_id,
			sum(h.activities)::bigint AS activities,
			sum(h.points) AS points,
			count(*) AS leads,
			count(*) FILTER (WHERE o.accepted) AS accepted,
			count(*) FILTER (WHERE o.won) AS won
		FROM leadflow._rule_hits($1) h
		JOIN leadflow._lead_outcomes o ON o.lead_id = h.lead_id
		GROUP BY h.rule_id
	), baseline AS (
		SELECT coalesce(sum(f.leads), 0)::bigint AS leads, coalesce(sum(f.accepted), 0)::bigint AS accepted,
			coalesce(sum(f.won), 0)::bigint AS won
		FROM figures f
		WHERE f.rule_id IS NULL
	), judged AS MATERIALIZED (
		-- full, so that an unknown model is refused where there are no rules, too
		SELECT r.id AS rule_id, r.name AS rule, r.group_name, f.activities, f.points, f.leads, f.accepted, f.won
		FROM (
			SELECT r.id, r.name, g.name AS group_name
			FROM leadflow.scoring_rules r
			JOIN leadflow.scoring_groups g ON g.id = r.group_id
			WHERE r.model_id = coalesce($1, (SELECT m.id FROM leadflow.scoring_models m WHERE m.status = 'active'))
		) r
		FULL JOIN figures f ON f.rule_id = r.id
	)
	SELECT
		j.rule_id, j.rule, j.group_name, coalesce(j.activities, 0), coalesce(j.points, 0),
		coalesce(j.leads, 0), coalesce(j.accepted, 0), coalesce(j.won, 0),
		round(j.accepted::numeric / j.leads, 4),
		round(j.won::numeric / j.leads, 4),
		b.leads, b.accepted, b.won,
		round(j.accepted::numeric * b.leads / nullif(j.leads * b.accepted, 0), 4),
		round(j.won::numeric * b.leads / nullif(j.leads * b.won, 0), 4)
	FROM judged j
	CROSS JOIN baseline b
	WHERE j.rule_id IS NOT NULL
	ORDER BY j.rule_id
	$$;
COMMENT ON FUNCTION leadflow.rule_performance(bigint) IS
'One row a rule of a model (NULL = the active one), over all history: activities that count (by the rule''s limit, as of now) and their points before decay and bounds; the leads that have any of them, and how many of these sales accepted and won (as in backtest()), with rates (of leads). engaged_leads, engaged_accepted, engaged_won: the same of all leads that engaged at all, whether or not a rule matched; lift = rate / rate of these. NULL where nothing can be divided. A rule that is not active, or on a kind that is not registered as engagement, has no leads. Only leads that the caller sees. 22023 for an unknown model, or none active. O(activities).';
