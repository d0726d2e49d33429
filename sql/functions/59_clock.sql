-- Service levels: what people do to clocks.
CREATE OR REPLACE FUNCTION leadflow.pause_sla(
	lead_id bigint,
	until timestamptz DEFAULT NULL,
	reason text DEFAULT NULL,
	at timestamptz DEFAULT leadflow.now()
) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_pause_sla'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION leadflow.pause_sla(bigint, timestamptz, text, timestamptz) IS
'Pauses the clocks of a lead, [at, until): those that run, and those that start meanwhile. Working time that is paused moves the deadline; a pause out of hours costs nothing, and one that begins when a clock is due changes nothing for it. until NULL or infinity = until resume_sla(); one more pause while one lasts is one more row, and what overlaps counts once. at = when it began, for roles that may back-date moves: clocks that have stopped since are judged anew. Returns the clocks that stand still now. Errors: P0002 where there is no such lead; 22023 for an instant that is not finite or lies ahead, or an until that is not after it; 42501 for a pause that is dated back by others.';

CREATE OR REPLACE FUNCTION leadflow.resume_sla(
	lead_id bigint,
	at timestamptz DEFAULT leadflow.now()
) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_resume_sla'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION leadflow.resume_sla(bigint, timestamptz) IS
'Ends every pause of the lead that lasts at that instant; its clocks count on from there. at = when, for roles that may back-date moves. Returns the clocks that run again: 0 where nothing was paused. Errors: P0002 where there is no such lead; 22023 for an instant that is not finite or lies ahead; 42501 for one that lies back, by others.';
