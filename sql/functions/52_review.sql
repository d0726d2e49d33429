-- Rejections under review: the vote, and marketing's case.
CREATE OR REPLACE FUNCTION leadflow.review(
	lead_id bigint,
	verdict text,
	reviewer text DEFAULT NULL,
	note text DEFAULT NULL
) RETURNS TABLE (review_id bigint, votes_uphold bigint, votes_overturn bigint, votes_needed bigint, outcome text, stage text)
	AS 'MODULE_PATHNAME', 'leadflow_review'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION leadflow.review(bigint, text, text, text) IS
'A vote on the open case of a rejected lead: verdict = uphold (the rejection stands) or overturn, reviewer = e-mail of a team member, for roles that act for others (NULL = who acts). A reviewer''s last vote counts. Returns one row: the case, its votes, how many are needed, the verdict if this vote decided it (outcome, else NULL), and the lead''s stage now. Errors: 23514 reviews_impartial for whoever is not an active reviewer, rejected the lead, had it in this cycle or owns its campaign; P0002 where there is no lead or no open case (one that is due is closed to votes); 22023 for another verdict; 42501 where no reviewer is known or the role may not act for others. Waits for whoever moves the lead. O(votes + members).';

CREATE OR REPLACE FUNCTION leadflow.contest(
	lead_id bigint,
	note text,
	actor text DEFAULT NULL
) RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_contest'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION leadflow.contest(bigint, text, text) IS
'Marketing''s case against a rejection: note goes on the open case of the lead (a later one in its place); for a rejected lead that nobody looked at (its reason is not reviewed, it was imported or loaded quietly, or time has upheld it) a case is opened, due settings.review_within from now. Returns the case (reviews.id). actor = e-mail of a team member, for roles that act for others (NULL = who acts). Errors: 42501 for whoever is not of team marketing or leadership; P0002 where there is no lead, or it is not rejected; 23514 reviews_decided where reviewers have upheld the rejection; 22023 for an empty note.';
