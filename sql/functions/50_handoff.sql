-- The hand-off follows from the move to sql; this is its arithmetic.
CREATE OR REPLACE FUNCTION leadflow._turns(weights integer[], n integer) RETURNS integer[]
	AS 'MODULE_PATHNAME', 'leadflow_handoff_turns'
	LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION leadflow._turns(integer[], integer) IS
'Internal. Who gets each of the next n leads of a new queue: places in weights (1 to 1000 each). At every point everybody is less than one lead away from the share that is due. O(n · weights).';

CREATE OR REPLACE FUNCTION leadflow._routed_owner(lead_id bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_routed_owner'
	LANGUAGE C STRICT STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._routed_owner(bigint) IS
'Internal. Within the engine''s own update of leads: whose the lead is to be; NULL = nobody''s, and anywhere else.';

-- C has the same: handoff_was_passed_on().
CREATE OR REPLACE FUNCTION leadflow._was_passed_on(why text) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	AS $$ SELECT $1 OPERATOR(pg_catalog.=) ANY ('{reassigned,taken over,service level breached}'::pg_catalog.text[]) $$;
COMMENT ON FUNCTION leadflow._was_passed_on(text) IS
'Internal. handoffs.why: is it of a lead that changed hands within sales, and was not given to sales by that?';

-- Leads that wait, and leads that change hands.

CREATE OR REPLACE FUNCTION leadflow.claim_next(queue text, member text) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_claim_next'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.claim_next(text, text) IS
'Gives the member (an e-mail; NULL = who acts) the hottest lead that waits in the queue, and returns its id; NULL: none waits that nobody else is taking. Any number of sessions may claim at once: no lead is given twice, and nobody waits for anybody. For members of the queue, by themselves or by who acts for others (42501); capacity, hours and absences are not asked. O(leads that wait).';

CREATE OR REPLACE FUNCTION leadflow.claim_next(queue text, member bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_claim_next_id'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.claim_next(text, bigint) IS
'claim_next() for a member named by id (team_members.id).';

CREATE OR REPLACE FUNCTION leadflow.reassign(from_member bigint, to_member bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_reassign'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.reassign(bigint, bigint) IS
'Hands over all leads that a member has in hand (categories handoff and sales) to another active member of sales, on record in handoffs; their clocks go on. Returns how many. By the member, leadership, and roles that administer or act for others (42501); unknown, inactive and other members are refused (22023). O(leads in hand).';

CREATE OR REPLACE FUNCTION leadflow.reassign(from_member bigint, queue text) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_reassign_to'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.reassign(bigint, text) IS
'reassign() by turns of a queue (queues.name), round robin without that member; or to a member named by e-mail. With nobody available leads that are not decided yet wait in the queue, and leads that sales works on stay where they are (they are not counted).';

CREATE OR REPLACE FUNCTION leadflow.reassign(from_member text, queue text) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_reassign_by_email'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.reassign(text, text) IS
'reassign() from a member named by e-mail, to a member named by e-mail, else by turns of a queue (queues.name).';

-- The document of _lead_documents for a row that is in no table, and the score as it was given.
CREATE OR REPLACE FUNCTION leadflow._routing_document(lead jsonb, account bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RETURN (
		SELECT jsonb_build_object(
				'id', l.id,
				'external_id', l.external_id,
				'email', l.email,
				'full_name', l.full_name,
				'phone', l.phone,
				'company', l.company,
				'job_title', l.job_title,
				'industry', l.industry,
				'company_size', l.company_size,
				'budget', l.budget,
				'country', l.country,
				'region', l.region,
				'attributes', coalesce(l.attributes, '{}'),
				'source', l.source,
				'campaign', (SELECT c.code FROM leadflow.campaigns c WHERE c.id = l.campaign_id),
				'sourced_by', coalesce(l.sourced_by, 'unknown'),
				'do_not_contact', coalesce(l.do_not_contact, false),
				'created_at', to_char(coalesce(l.created_at, leadflow.now()) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
				'account', (
					SELECT jsonb_build_object('name', a.name, 'domain', a.domain, 'status', a.status)
					FROM leadflow.accounts a WHERE a.id = account))
			|| jsonb_build_object(
				'score', lead -> 'score',
				'fit', lead -> 'fit',
				'engagement', lead -> 'engagement',
				'grade', lead -> 'grade',
				'level', lead -> 'level',
				'rank', lead -> 'rank',
				'band', coalesce(lead -> 'band', (
					SELECT to_jsonb(CASE WHEN (lead ->> 'score')::double precision >= m.hot_from THEN 'hot'
						WHEN (lead ->> 'score')::double precision >= m.warm_from THEN 'warm' ELSE 'cool' END)
					FROM leadflow.scoring_models m WHERE m.status = 'active' AND lead ->> 'score' IS NOT NULL)),
				'persona', lead -> 'persona',
				'cycle', coalesce(lead -> 'cycle', '1'))
		FROM jsonb_populate_record(NULL::leadflow.leads, lead) l);
END
$$;
COMMENT ON FUNCTION leadflow._routing_document(jsonb, bigint) IS
'Internal. What routing rules would be asked of for a lead given as JSON, of that account (NULL = none).';

CREATE OR REPLACE FUNCTION leadflow.routing_preview(lead jsonb)
RETURNS TABLE (rule text, queue text, owner_id bigint, owner text, why text)
	AS 'MODULE_PATHNAME', 'leadflow_routing_preview'
	LANGUAGE C VOLATILE;
COMMENT ON FUNCTION leadflow.routing_preview(jsonb) IS
'What routing would say now of a lead as JSON, one row: the rule that decided (NULL: none was needed, or there is none), its queue, whose the lead would be (NULL: it would wait), and why, as in handoffs.why. Keys of the lead are columns of leads (an unknown one is ignored, a value of another type is refused, 22P02), and score, fit, engagement, grade, level, rank, band (from the score, where it is not given), persona (name), cycle. The account follows from the e-mail as on insert. Writes nothing and takes no turn; history (returns_to) is not looked at.';

CREATE OR REPLACE FUNCTION leadflow._stands_in(member_id bigint, at timestamptz) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_stands_in'
	LANGUAGE C STRICT STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION leadflow._stands_in(bigint, timestamptz) IS
'Internal. Who gets what falls to a member at an instant: the member, if active and present, else the cover, else the cover''s cover; NULL = nobody.';
