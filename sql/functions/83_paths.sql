-- Paths of channels: what data-driven models make of them, on anybody's data.

-- The aggregates' result. There is no CREATE OR REPLACE TYPE: one that is a member already
-- stays, one that somebody else made is an error.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
		WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = to_regtype('leadflow.channel_credit')
			AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'leadflow') THEN
		CREATE TYPE leadflow.channel_credit AS (channel text, removal_effect double precision,
			conversions double precision, value double precision);
	END IF;
END
$$;
COMMENT ON TYPE leadflow.channel_credit IS
'What a channel is credited with. channel NULL: what nobody is credited with; removal_effect: the share of the conversions that is lost without the channel, 0 to 1; conversions; value, in the unit of the argument.';
COMMENT ON COLUMN leadflow.channel_credit.channel IS 'Channel; NULL = credited to nobody.';
COMMENT ON COLUMN leadflow.channel_credit.removal_effect IS 'Share of the conversions that is lost without the channel, 0 to 1; NULL where channel is.';
COMMENT ON COLUMN leadflow.channel_credit.conversions IS 'Conversions that it is credited with.';
COMMENT ON COLUMN leadflow.channel_credit.value IS 'Value that it is credited with, in the unit of the argument.';

CREATE OR REPLACE FUNCTION leadflow._markov_add(internal, path text[], conversions double precision, value double precision,
	nulls double precision, "order" integer) RETURNS internal
	AS 'MODULE_PATHNAME', 'leadflow_markov_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._markov_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'leadflow_markov_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._markov_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'leadflow_markov_serialize' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._markov_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'leadflow_markov_deserialize' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._markov_result(internal) RETURNS leadflow.channel_credit[]
	AS 'MODULE_PATHNAME', 'leadflow_markov_result' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._markov_add(internal, text[], double precision, double precision, double precision, integer) IS
'Takes a row of markov_credits().';
COMMENT ON FUNCTION leadflow._markov_combine(internal, internal) IS
'Adds what another worker of markov_credits() took.';
COMMENT ON FUNCTION leadflow._markov_serialize(internal) IS
'What a worker of markov_credits() took, for another process.';
COMMENT ON FUNCTION leadflow._markov_deserialize(bytea, internal) IS
'What a worker of markov_credits() took, from another process.';
COMMENT ON FUNCTION leadflow._markov_result(internal) IS
'The result of markov_credits().';
CREATE OR REPLACE AGGREGATE leadflow.markov_credits(path text[], conversions double precision, value double precision,
	nulls double precision, "order" integer)
(
	SFUNC = leadflow._markov_add,
	STYPE = internal,
	COMBINEFUNC = leadflow._markov_combine,
	SERIALFUNC = leadflow._markov_serialize,
	DESERIALFUNC = leadflow._markov_deserialize,
	FINALFUNC = leadflow._markov_result,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadflow.markov_credits(text[], double precision, double precision, double precision, integer) IS
'Credits of channels by their removal effects in a Markov chain of the given order, 1 to 3 (Anderl et al. 2016). A row: a path of channels in order of time, how many of those who walked it converted, what that was worth in all (negative too), and how many ended without; NULL = 0; rows of one path add up. A state is the last order channels; removal_effect = 1 - P(conversion where the channel''s states are ends without conversion) / P(conversion), solved exactly; conversions and value of all paths are shared in proportion to the removal effects, so that they add up to what was given. Paths NULL or {} are left out of the chain and credited to nobody: a last row with channel and removal_effect NULL. Where nothing converts the effects are 0, and value goes to that row, too. A path without conversions and nulls gives its value alone. Rows in order of channel (as bytes); {} where no path has a channel, NULL without rows. Bit for bit the same for any order of rows and any plan; counts are summed in units of 2^-40. Errors: 22023 order not 1 to 3 or not the same everywhere, conversions or nulls negative, a number not finite; 22004 NULL channel or order; 2202E more than one dimension; 22003 counts above 2^63; 54000 more than 4,096 states. Don''t add up currencies: GROUP BY. O(channels walked), then at most about log2(channels) * states^3.';

CREATE OR REPLACE FUNCTION leadflow._shapley_add(internal, path text[], conversions double precision, value double precision,
	nulls double precision) RETURNS internal
	AS 'MODULE_PATHNAME', 'leadflow_shapley_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._shapley_combine(internal, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'leadflow_shapley_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._shapley_serialize(internal) RETURNS bytea
	AS 'MODULE_PATHNAME', 'leadflow_shapley_serialize' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._shapley_deserialize(bytea, internal) RETURNS internal
	AS 'MODULE_PATHNAME', 'leadflow_shapley_deserialize' LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
CREATE OR REPLACE FUNCTION leadflow._shapley_result(internal) RETURNS leadflow.channel_credit[]
	AS 'MODULE_PATHNAME', 'leadflow_shapley_result' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._shapley_add(internal, text[], double precision, double precision, double precision) IS
'Takes a row of shapley_credits().';
COMMENT ON FUNCTION leadflow._shapley_combine(internal, internal) IS
'Adds what another worker of shapley_credits() took.';
COMMENT ON FUNCTION leadflow._shapley_serialize(internal) IS
'What a worker of shapley_credits() took, for another process.';
COMMENT ON FUNCTION leadflow._shapley_deserialize(bytea, internal) IS
'What a worker of shapley_credits() took, from another process.';
COMMENT ON FUNCTION leadflow._shapley_result(internal) IS
'The result of shapley_credits().';
CREATE OR REPLACE AGGREGATE leadflow.shapley_credits(path text[], conversions double precision, value double precision,
	nulls double precision)
(
	SFUNC = leadflow._shapley_add,
	STYPE = internal,
	COMBINEFUNC = leadflow._shapley_combine,
	SERIALFUNC = leadflow._shapley_serialize,
	DESERIALFUNC = leadflow._shapley_deserialize,
	FINALFUNC = leadflow._shapley_result,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE leadflow.shapley_credits(text[], double precision, double precision, double precision) IS
'Credits of channels by their Shapley values (Shapley 1953) in the game in which a coalition of channels is worth the conversions of the paths that lie within it: each path''s conversions and value in equal parts to its distinct channels. A row as for markov_credits(); nulls earn nobody anything. removal_effect: the share of the conversions whose path has the channel, of all whose path has one; 0 where nothing converts. Paths NULL or {} are credited to nobody: a last row with channel and removal_effect NULL. Conversions and value add up to what was given. Rows in order of channel (as bytes); {} where no path has a channel, NULL without rows. Bit for bit the same for any order of rows and any plan; counts are summed in units of 2^-40. Errors: 22023 conversions or nulls negative, a number not finite; 22004 NULL channel; 2202E more than one dimension; 22003 counts above 2^63; 54000 more than 2^21 pairs of a channel and a number of channels of a path. Don''t add up currencies: GROUP BY. O(channels walked).';

-- Inlined where it is asked, so that it is planned for the instants given: hence no SET, and all that it calls is named with its schema.
CREATE OR REPLACE FUNCTION leadflow.conversion_paths("from" timestamptz DEFAULT '-infinity', "to" timestamptz DEFAULT 'infinity')
RETURNS TABLE (month_start date, currency text, path text[], conversions double precision, value double precision,
	nulls double precision)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
	WITH RECURSIVE origin AS (
		-- a correction goes by the deal at the root of what it corrects
		SELECT d.id AS deal_id, d.corrects_deal_id AS id
		FROM leadflow.deals d
		WHERE d.status OPERATOR(pg_catalog.=) 'won' AND d.corrects_deal_id IS NOT NULL AND d.closed_at OPERATOR(pg_catalog.>=) $1 AND d.closed_at OPERATOR(pg_catalog.<) $2
		UNION
		SELECT o.deal_id, d.corrects_deal_id
		FROM origin o
		JOIN leadflow.deals d ON d.id OPERATOR(pg_catalog.=) o.id
		WHERE d.corrects_deal_id IS NOT NULL
	), deal AS (
		SELECT d.id, d.status, d.amount, d.currency, d.closed_at, false AS corrects,
			d.id AS root_id, d.lead_id, d.closed_at AS converted_at
		FROM leadflow.deals d
		WHERE d.status OPERATOR(pg_catalog.=) ANY ('{won,lost}') AND d.corrects_deal_id IS NULL AND d.closed_at OPERATOR(pg_catalog.>=) $1 AND d.closed_at OPERATOR(pg_catalog.<) $2
		UNION ALL
		SELECT d.id, d.status, d.amount, d.currency, d.closed_at, true,
			r.id, r.lead_id, coalesce(r.closed_at, d.closed_at)
		FROM origin o
		JOIN leadflow.deals d ON d.id OPERATOR(pg_catalog.=) o.deal_id
		JOIN leadflow.deals r ON r.id OPERATOR(pg_catalog.=) o.id AND r.corrects_deal_id IS NULL
	), party AS (
		-- all of the deal beside each lead: nothing is to be joined back that has no index
		SELECT d.*
		FROM deal d
		UNION
		SELECT d.id, d.status, d.amount, d.currency, d.closed_at, d.corrects, d.root_id, c.lead_id, d.converted_at
		FROM deal d
		JOIN leadflow.deal_contacts c ON c.deal_id OPERATOR(pg_catalog.=) d.root_id
		WHERE d.lead_id IS NOT NULL
	), walked AS (
		SELECT p.id, p.status, p.amount, p.currency, p.closed_at, p.corrects,
			coalesce(pg_catalog.array_agg(coalesce(n.channel, '(no channel)') ORDER BY a.occurred_at, a.id, a.lead_id) FILTER (WHERE k.kind IS NOT NULL), '{}') AS path
		FROM party p
		LEFT JOIN leadflow.activities a ON a.lead_id OPERATOR(pg_catalog.=) p.lead_id AND a.occurred_at OPERATOR(pg_catalog.<=) p.converted_at
			AND a.campaign_id IS NOT NULL AND a.voided_at IS NULL
		LEFT JOIN leadflow.activity_kinds k ON k.kind OPERATOR(pg_catalog.=) a.kind AND k.role OPERATOR(pg_catalog.=) 'engagement'
		LEFT JOIN leadflow.campaigns n ON n.id OPERATOR(pg_catalog.=) a.campaign_id
		GROUP BY 1, 2, 3, 4, 5, 6
	)
	SELECT pg_catalog.date_trunc('month', d.closed_at AT TIME ZONE s.time_zone)::pg_catalog.date, d.currency::pg_catalog.text, d.path,
		(pg_catalog.count(*) FILTER (WHERE d.status OPERATOR(pg_catalog.=) 'won' AND NOT d.corrects))::double precision,
		coalesce(pg_catalog.sum(d.amount) FILTER (WHERE d.status OPERATOR(pg_catalog.=) 'won'), 0)::double precision,
		(pg_catalog.count(*) FILTER (WHERE d.status OPERATOR(pg_catalog.=) 'lost'))::double precision
	FROM walked d
	CROSS JOIN leadflow.settings s
	GROUP BY 1, 2, 3
$$;
COMMENT ON FUNCTION leadflow.conversion_paths(timestamptz, timestamptz) IS
'The paths that deals took, for markov_credits() and shapley_credits(): one row a month, currency and path, of deals closed in ["from", "to"). month_start: first day of the month of closed_at in settings.time_zone; currency: ISO 4217 code, of value; path: the channel of each touch (campaigns.channel, (no channel) where the campaign has none) in order of (occurred_at, activity id), repeats included; the touches are those of attribution, up to the conversion, without a lookback; {} where there is none or nobody is known. conversions: deals won; value: their amounts, and those of corrections in their own month, by the path of the deal that they correct, without counting as a conversion; nulls: deals lost. value adds up to the amounts of won deals. NULL argument: no rows. Rows in no order.';
