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
