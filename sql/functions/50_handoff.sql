-- The hand-off follows from the move to sql; this is its arithmetic.
CREATE OR REPLACE FUNCTION leadflow._turns(weights integer[], n integer) RETURNS integer[]
	AS 'MODULE_PATHNAME', 'leadflow_handoff_turns'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._turns(integer[], integer) IS
'Internal. Who gets each of the next n leads of a new queue: places in weights (1 to 1000 each). At every point everybody is less than one lead away from the share that is due. O(n · weights).';
