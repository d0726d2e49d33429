-- What leads, sales and marketing did.
CREATE TABLE IF NOT EXISTS leadflow.activity_kinds (
	kind text PRIMARY KEY CONSTRAINT activity_kinds_kind CHECK (octet_length(kind) BETWEEN 1 AND 63),
	role text NOT NULL CONSTRAINT activity_kinds_role
		CHECK (role IN ('engagement', 'sales_touch', 'marketing_message', 'other')),
	two_way boolean NOT NULL DEFAULT false,
	expects_reply boolean NOT NULL DEFAULT false,
	withdraws_permission boolean NOT NULL DEFAULT false,
	channel text CONSTRAINT activity_kinds_channel CHECK (octet_length(channel) BETWEEN 1 AND 63)
);
COMMENT ON TABLE leadflow.activity_kinds IS 'One row a kind of activity. A kind without a row is stored, scores nothing and shows in unmapped_activity_kinds.';
COMMENT ON COLUMN leadflow.activity_kinds.kind IS 'Key, as in activities.kind.';
COMMENT ON COLUMN leadflow.activity_kinds.role IS 'engagement (the lead did something: can score and be a touch), sales_touch (sales reached out), marketing_message (marketing sent something), other.';
COMMENT ON COLUMN leadflow.activity_kinds.two_way IS 'A conversation took place: it answers what the lead wrote before (lead_board, my_day()).';
COMMENT ON COLUMN leadflow.activity_kinds.expects_reply IS 'An inbound that somebody must answer: shows in lead_board.unanswered_at and my_day() until there is a sales touch or a two-way activity after it.';
COMMENT ON COLUMN leadflow.activity_kinds.withdraws_permission IS 'The lead withdrew permission to be contacted on the channel (NULL: on any).';
COMMENT ON COLUMN leadflow.activity_kinds.channel IS 'Channel of the message, e.g. email, phone, sms; what contact limits and permissions go by. NULL = none.';

-- No foreign keys: the batch that scores an activity checks its lead, campaign
-- and member, and deletions of those look here (doc/decisions/0001).
CREATE TABLE IF NOT EXISTS leadflow.activities (
	lead_id bigint NOT NULL,
	occurred_at timestamptz NOT NULL,
	id uuid NOT NULL DEFAULT gen_random_uuid(),
	recorded_at timestamptz NOT NULL,
	kind text NOT NULL,
	campaign_id bigint,
	content text,
	member_id bigint,
	properties jsonb,
	voided_at timestamptz,
	void_reason text,
	void_recorded_at timestamptz,
	PRIMARY KEY (lead_id, occurred_at, id),
	CONSTRAINT activities_occurred_at CHECK (isfinite(occurred_at)),
	CONSTRAINT activities_void CHECK ((voided_at IS NULL) = (void_reason IS NULL) AND isfinite(voided_at))
);
COMMENT ON TABLE leadflow.activities IS 'One row a thing that happened between a lead and us. Primary key (lead_id, occurred_at, id).';
COMMENT ON COLUMN leadflow.activities.lead_id IS 'Lead.';
COMMENT ON COLUMN leadflow.activities.occurred_at IS 'When it happened; finite, at most leadflow.max_clock_skew ahead of now; back-dated rows are welcome.';
COMMENT ON COLUMN leadflow.activities.id IS 'With lead_id and occurred_at the idempotency key: send the same again and ON CONFLICT DO NOTHING makes it harmless (see event_id()).';
COMMENT ON COLUMN leadflow.activities.recorded_at IS 'When it was recorded; kept by leadflow.';
COMMENT ON COLUMN leadflow.activities.kind IS 'What happened (activity_kinds.kind, but any text is stored).';
COMMENT ON COLUMN leadflow.activities.campaign_id IS 'Campaign it belongs to; an engagement with one is a touch.';
COMMENT ON COLUMN leadflow.activities.content IS 'Page, asset, form or event title.';
COMMENT ON COLUMN leadflow.activities.member_id IS 'Who did it, for what our people did.';
COMMENT ON COLUMN leadflow.activities.properties IS 'Whatever else the source says; conditions see it as $.properties.';
COMMENT ON COLUMN leadflow.activities.voided_at IS 'When it was taken out of every figure (bot click, duplicate); set together with void_reason.';
COMMENT ON COLUMN leadflow.activities.void_reason IS 'Why it was taken out.';
COMMENT ON COLUMN leadflow.activities.void_recorded_at IS 'When it was recorded that it is void (score_as_of()); NULL = it counts, or was void from the start; kept by leadflow.';
