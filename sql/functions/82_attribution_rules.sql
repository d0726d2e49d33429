-- Models of sharing conversions among touches, for anybody's data.
CREATE OR REPLACE FUNCTION leadflow.touch_weights(model text, touched_at timestamptz[], converted_at timestamptz,
	lead_created_at timestamptz DEFAULT NULL, opportunity_at timestamptz DEFAULT NULL, params jsonb DEFAULT '{}',
	direct boolean[] DEFAULT NULL) RETURNS double precision[]
	AS 'MODULE_PATHNAME', 'leadflow_touch_weights'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow.touch_weights(text, timestamptz[], timestamptz, timestamptz, timestamptz, jsonb, boolean[]) IS
'Shares of a conversion that its touches earn, in input order, summing to 1. model: first_touch, last_touch, last_non_direct, linear, time_decay, position_based, w_shaped, full_path or custom; params as in attribution_models (NULL = {}). The touches need not be sorted; of those at one instant the leftmost is the earliest. One at converted_at counts, later ones weigh 0; all weigh 0 where none counts; no touches give {}. lead_created_at and opportunity_at put anchors on the last touch at or before them (NULL or infinity = unknown: the anchor is missing). direct: which touches are direct, for last_non_direct (NULL = none is). time_decay counts real time, 1 day = 24 h; it gives nothing to a touch infinitely far from the last. NULL where model, touched_at or converted_at is NULL. Errors: 22023 unknown model, a model of many paths (markov, shapley), unknown or wrong params, direct not as long as touched_at; 22004 NULL among touched_at; 2202E more than one dimension. O(n).';

CREATE OR REPLACE FUNCTION leadflow.split_credit(amount numeric, weights double precision[], scale integer DEFAULT 2)
	RETURNS numeric[]
	AS 'MODULE_PATHNAME', 'leadflow_split_credit'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow.split_credit(numeric, double precision[], integer) IS
'The amount shared in proportion to the weights, to scale decimals (0 to 18), by largest remainder: each gets the whole units of its quota amount * weight / sum of weights, the units left over go to the largest remainders, ties to the earlier position. Sums exactly to round(amount, scale); the shares of -amount are those of amount, negated; equal weights differ by one unit at most, the earlier get it. Weights need not sum to 1; each is read as the decimal that it prints as, and remainders are compared to nine decimals of a unit. NULL where an argument is NULL. Errors: 22023 amount not finite, weight negative or not finite, no weight above 0 (nobody to share among), scale out of range; 22004 NULL weight; 2202E more than one dimension. Exact for any amount; O(n log n).';

-- The aggregate's result. There is no CREATE OR REPLACE TYPE: one that is a member already
-- stays, one that somebody else made is an error.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
		WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = to_regtype('leadflow.campaign_credit')
			AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'leadflow') THEN
		CREATE TYPE leadflow.campaign_credit AS (model text, campaign_id bigint, deals bigint, credit numeric);
	END IF;
END
$$;
COMMENT ON TYPE leadflow.campaign_credit IS
'What a campaign earned under a model: model, campaign_id (NULL = deals without a touch), deals that it earned a share of, credit in the unit of the amounts.';

CREATE OR REPLACE FUNCTION leadflow._campaign_credits_step(state internal, models jsonb, deal_id bigint, touched_at timestamptz,
	campaign_id bigint, amount numeric, converted_at timestamptz, lead_created_at timestamptz, opportunity_at timestamptz,
	direct boolean) RETURNS internal
	AS 'MODULE_PATHNAME', 'leadflow_campaign_credits_step'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._campaign_credits_step(internal, jsonb, bigint, timestamptz, bigint, numeric, timestamptz, timestamptz, timestamptz, boolean) IS
'Takes a row of campaign_credits().';
CREATE OR REPLACE FUNCTION leadflow._campaign_credits_final(state internal) RETURNS leadflow.campaign_credit[]
	AS 'MODULE_PATHNAME', 'leadflow_campaign_credits_final'
	LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._campaign_credits_final(internal) IS
'The result of campaign_credits().';

CREATE OR REPLACE AGGREGATE leadflow.campaign_credits(models jsonb, deal_id bigint, touched_at timestamptz, campaign_id bigint,
	amount numeric, converted_at timestamptz, lead_created_at timestamptz, opportunity_at timestamptz, direct boolean) (
	SFUNC = leadflow._campaign_credits_step,
	STYPE = internal,
	SSPACE = 1024,
	FINALFUNC = leadflow._campaign_credits_final,
	FINALFUNC_MODIFY = SHAREABLE,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadflow.campaign_credits(jsonb, bigint, timestamptz, bigint, numeric, timestamptz, timestamptz, timestamptz, boolean) IS
'Deals shared among campaigns under several rule-based models, in one pass over their touches, each deal split to the cent as split_credit(amount, touch_weights(…)) does. models: an array of kinds, or an object of names, each {"kind": …, and its params}. A row is a touch; rows must come in order of (deal_id, touched_at), from a sorted subquery; of touches at one instant the one that comes first is the earlier. amount, converted_at, lead_created_at and opportunity_at are the deal''s, and taken from its first row. A row without campaign_id or touched_at is no touch; a deal with no touch that counts goes to campaign NULL. Rows without deal_id, and deals without converted_at, are left out; amount NULL is 0, direct NULL is false. Result: campaign_credit[] by model as given, then campaign_id: deals (that the campaign earned a share of), credit (exact, in the unit of amount: group by currency); NULL where no deal was shared. Errors: 55000 row out of order; 22023 models wrong or not the same in all rows, amount not finite; 22004 models NULL; 0A000 as a window function. O(n) and for each deal O(touches log touches); memory by the number of campaigns and the longest path.';
