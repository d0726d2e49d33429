-- Nurture: whom marketing may write to.
CREATE OR REPLACE FUNCTION leadflow.nurture_list(program text, at timestamptz DEFAULT leadflow.now())
RETURNS TABLE (lead_id bigint, full_name text, email text, phone text, company text, account_id bigint, account text,
	owner_id bigint, owner text, reason text, enrolled_at timestamptz, revisit_on date)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	chosen record;
BEGIN
	IF $1 IS NULL OR $2 IS NULL THEN
		RAISE null_value_not_allowed USING
			MESSAGE = CASE WHEN $1 IS NULL THEN 'program must not be null' ELSE 'at must not be null' END;
	END IF;
	SELECT p.* INTO chosen FROM leadflow.nurture_programs p WHERE p.name = $1;
	IF chosen.id IS NULL THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('there is no nurture program "%s"', $1),
			HINT = 'leadflow.nurture_programs lists them.';
	END IF;
	RETURN QUERY
	SELECT l.id, l.full_name, l.email, l.phone, l.company, l.account_id, a.name, l.owner_id, m.full_name,
		e.reason, e.enrolled_at, l.revisit_on
	FROM leadflow.nurture_enrolments e
	JOIN leadflow.leads l ON l.id = e.lead_id
	LEFT JOIN leadflow.accounts a ON a.id = l.account_id
	LEFT JOIN leadflow.team_members m ON m.id = l.owner_id
	WHERE chosen.active AND e.program_id = chosen.id AND e.left_at IS NULL AND e.enrolled_at <= $2
		AND leadflow.may_contact(l.id, chosen.channel, $2)
	ORDER BY l.id;
END
$$;
COMMENT ON FUNCTION leadflow.nurture_list(text, timestamptz) IS
'Whom marketing may write to: one row a lead that is in the nurture program of that name and may be contacted on its channel at that instant (leadflow.may_contact(): permission, limits, do_not_contact), in order of lead_id. Empty for a program that is not active. revisit_on as it is now; names and ids are NULL where there is none. 22023 for a program that does not exist, 22004 for NULL. Reads with the caller''s rights, row-level security included. O(leads in the program).';
