-- The credits of won deals.
CREATE OR REPLACE FUNCTION leadflow._rebuild_credits() RETURNS bigint
	AS 'MODULE_PATHNAME', 'leadflow_rebuild_credits'
	LANGUAGE C STRICT VOLATILE;
COMMENT ON FUNCTION leadflow._rebuild_credits() IS
'Makes all credits anew, and the watch bits that go with them; returns the number of credit rows that came or went. For reconcile().';

CREATE OR REPLACE FUNCTION leadflow._deal_check() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_deal_check' LANGUAGE C;
COMMENT ON FUNCTION leadflow._deal_check() IS
'Trigger, before each row of deals: a closed deal has closed_at, an open one has none; the id never changes (428C9).';
CREATE OR REPLACE FUNCTION leadflow._deals_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_deals_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._deals_changed() IS
'Trigger, after each statement on deals: moves the leads, then makes the credits anew.';
CREATE OR REPLACE FUNCTION leadflow._deal_contacts_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_deal_contacts_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._deal_contacts_changed() IS
'Trigger, after each statement on deal_contacts: makes the credits of the deals anew.';
CREATE OR REPLACE FUNCTION leadflow._campaign_check() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_campaign_check' LANGUAGE C;
COMMENT ON FUNCTION leadflow._campaign_check() IS
'Trigger, before each row of campaigns: code defaults to the name and is fixed once a lead or an activity carries the campaign (23514 campaigns_code_fixed).';
CREATE OR REPLACE FUNCTION leadflow._attribution_model_check() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_attribution_model_check' LANGUAGE C;
COMMENT ON FUNCTION leadflow._attribution_model_check() IS
'Trigger, before each row of attribution_models: kind and params make a model, a lookback has no months or years (22023).';
CREATE OR REPLACE FUNCTION leadflow._campaigns_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_campaigns_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._campaigns_changed() IS
'Trigger, after each UPDATE of campaigns: where a channel changed, makes the credits anew that ask whether it is direct.';
CREATE OR REPLACE FUNCTION leadflow._attribution_models_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_attribution_models_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._attribution_models_changed() IS
'Trigger, after each statement on attribution_models: makes the credits under these models anew.';
CREATE OR REPLACE FUNCTION leadflow._touch_kinds_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'leadflow_touch_kinds_changed' LANGUAGE C;
COMMENT ON FUNCTION leadflow._touch_kinds_changed() IS
'Trigger, after each statement on activity_kinds: makes all credits anew, as an engagement with a campaign is a touch.';
