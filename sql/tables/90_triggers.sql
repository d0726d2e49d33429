-- Defaults and triggers: what the tables need of the extension's functions.
-- DROP EXTENSION … CASCADE takes these with it, install() puts them back.
ALTER TABLE leadflow.leads ALTER COLUMN created_at SET DEFAULT leadflow.now();
ALTER TABLE leadflow.activities ALTER COLUMN occurred_at SET DEFAULT leadflow.now();
ALTER TABLE leadflow.activities ALTER COLUMN recorded_at SET DEFAULT leadflow.now();
ALTER TABLE leadflow.deals ALTER COLUMN opened_at SET DEFAULT leadflow.now();
ALTER TABLE leadflow.lead_feedback ALTER COLUMN given_at SET DEFAULT leadflow.now();
ALTER TABLE leadflow.contact_permissions ALTER COLUMN at SET DEFAULT leadflow.now();

-- Service levels.
CREATE OR REPLACE TRIGGER sla_policies_config_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.sla_policies
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER sla_policies_lock
	BEFORE INSERT OR UPDATE OR DELETE ON leadflow.sla_policies
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_policies_lock();
CREATE OR REPLACE TRIGGER sla_policies_check BEFORE INSERT OR UPDATE ON leadflow.sla_policies
	FOR EACH ROW EXECUTE FUNCTION leadflow._sla_policy_check();
CREATE OR REPLACE TRIGGER sla_policies_keep BEFORE DELETE ON leadflow.sla_policies
	FOR EACH ROW EXECUTE FUNCTION leadflow._sla_policy_keep();
CREATE OR REPLACE TRIGGER sla_policies_validate
	AFTER INSERT OR UPDATE ON leadflow.sla_policies
	FOR EACH ROW EXECUTE FUNCTION leadflow._sla_policy_validate();
-- Who agreed, agreed to all of it but to when it ends.
CREATE OR REPLACE TRIGGER sla_policies_edited AFTER UPDATE ON leadflow.sla_policies
	FOR EACH ROW WHEN (to_jsonb(OLD) - 'valid' <> to_jsonb(NEW) - 'valid'
		OR lower(OLD.valid) IS DISTINCT FROM lower(NEW.valid) OR lower_inc(OLD.valid) <> lower_inc(NEW.valid))
	EXECUTE FUNCTION leadflow._sla_policy_edited();
-- What clocks are due by: to end a version, or what else it says, is nothing to those that run.
CREATE OR REPLACE TRIGGER sla_policies_correcting
	BEFORE UPDATE OF target, target_count, within, calendar_id, warn_fraction ON leadflow.sla_policies
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
CREATE OR REPLACE TRIGGER sla_policies_correct
	AFTER UPDATE OF target, target_count, within, calendar_id, warn_fraction ON leadflow.sla_policies
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
CREATE OR REPLACE TRIGGER team_members_correcting BEFORE UPDATE OF calendar_id OR DELETE ON leadflow.team_members
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
-- Sorts after the trigger that drops the caches.
CREATE OR REPLACE TRIGGER team_members_correct AFTER UPDATE OF calendar_id OR DELETE ON leadflow.team_members
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
-- The hours of a calendar that is deleted go with it.
CREATE OR REPLACE TRIGGER sla_correcting BEFORE UPDATE OR DELETE ON leadflow.calendars
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
CREATE OR REPLACE TRIGGER sla_correct AFTER UPDATE ON leadflow.calendars
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
CREATE OR REPLACE TRIGGER sla_correcting BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.calendar_hours
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
CREATE OR REPLACE TRIGGER sla_correct AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.calendar_hours
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
CREATE OR REPLACE TRIGGER sla_correcting BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.calendar_holidays
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();
CREATE OR REPLACE TRIGGER sla_correct AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.calendar_holidays
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._sla_correct();

-- Campaigns, deals and attribution.
CREATE OR REPLACE TRIGGER campaigns_check
	BEFORE INSERT OR UPDATE ON leadflow.campaigns
	FOR EACH ROW EXECUTE FUNCTION leadflow._campaign_check();
CREATE OR REPLACE TRIGGER deals_check
	BEFORE INSERT OR UPDATE ON leadflow.deals
	FOR EACH ROW EXECUTE FUNCTION leadflow._deal_check();
CREATE OR REPLACE TRIGGER deals_inserted
	AFTER INSERT ON leadflow.deals REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deals_changed();
CREATE OR REPLACE TRIGGER deals_updated
	AFTER UPDATE ON leadflow.deals REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deals_changed();
CREATE OR REPLACE TRIGGER deals_deleted
	AFTER DELETE ON leadflow.deals REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deals_changed();
CREATE OR REPLACE TRIGGER deals_truncated
	AFTER TRUNCATE ON leadflow.deals
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deals_changed();
CREATE OR REPLACE TRIGGER deal_contacts_inserted
	AFTER INSERT ON leadflow.deal_contacts REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deal_contacts_changed();
CREATE OR REPLACE TRIGGER deal_contacts_updated
	AFTER UPDATE ON leadflow.deal_contacts REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deal_contacts_changed();
CREATE OR REPLACE TRIGGER deal_contacts_deleted
	AFTER DELETE ON leadflow.deal_contacts REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deal_contacts_changed();
CREATE OR REPLACE TRIGGER deal_contacts_truncated
	AFTER TRUNCATE ON leadflow.deal_contacts
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._deal_contacts_changed();
CREATE OR REPLACE TRIGGER attribution_models_check
	BEFORE INSERT OR UPDATE ON leadflow.attribution_models
	FOR EACH ROW EXECUTE FUNCTION leadflow._attribution_model_check();
CREATE OR REPLACE TRIGGER attribution_models_inserted
	AFTER INSERT ON leadflow.attribution_models REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._attribution_models_changed();
CREATE OR REPLACE TRIGGER attribution_models_updated
	AFTER UPDATE ON leadflow.attribution_models REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._attribution_models_changed();
CREATE OR REPLACE TRIGGER attribution_models_deleted
	AFTER DELETE ON leadflow.attribution_models REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._attribution_models_changed();
CREATE OR REPLACE TRIGGER attribution_models_truncated
	AFTER TRUNCATE ON leadflow.attribution_models
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._attribution_models_changed();
CREATE OR REPLACE TRIGGER activity_kinds_touches
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.activity_kinds
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._touch_kinds_changed();

-- Scoring: activities, the models' parts, and what activities refer to.
CREATE OR REPLACE TRIGGER activities_inserted AFTER INSERT ON leadflow.activities
	REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._activities_inserted();
CREATE OR REPLACE TRIGGER zz_activities_voided BEFORE UPDATE ON leadflow.activities
	FOR EACH ROW WHEN ((OLD.voided_at IS NULL) <> (NEW.voided_at IS NULL)
		OR NEW.void_recorded_at IS DISTINCT FROM OLD.void_recorded_at)
	EXECUTE FUNCTION leadflow._activity_voided();
CREATE OR REPLACE TRIGGER activities_updated AFTER UPDATE ON leadflow.activities
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._activities_updated();
CREATE OR REPLACE TRIGGER activities_deleted AFTER DELETE ON leadflow.activities
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._activities_deleted();
CREATE OR REPLACE TRIGGER activities_truncated AFTER TRUNCATE ON leadflow.activities
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._activities_truncated();

-- What activities withdrew is kept by leadflow.
CREATE OR REPLACE TRIGGER withdrawal_kept_insert BEFORE INSERT ON leadflow.contact_permissions
	FOR EACH ROW WHEN (NEW.activity_id IS NOT NULL) EXECUTE FUNCTION leadflow._withdrawal_kept();
CREATE OR REPLACE TRIGGER withdrawal_kept_update BEFORE UPDATE ON leadflow.contact_permissions
	FOR EACH ROW WHEN (OLD.activity_id IS NOT NULL OR NEW.activity_id IS NOT NULL)
	EXECUTE FUNCTION leadflow._withdrawal_kept();
CREATE OR REPLACE TRIGGER withdrawal_kept_delete BEFORE DELETE ON leadflow.contact_permissions
	FOR EACH ROW WHEN (OLD.activity_id IS NOT NULL) EXECUTE FUNCTION leadflow._withdrawal_kept();
CREATE OR REPLACE TRIGGER withdrawals_truncated AFTER TRUNCATE ON leadflow.contact_permissions
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._withdrawals_changed();
CREATE OR REPLACE TRIGGER withdrawals_kinds AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.activity_kinds
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._withdrawals_changed();

CREATE OR REPLACE TRIGGER campaigns_changed AFTER UPDATE ON leadflow.campaigns
	REFERENCING OLD TABLE AS old_campaigns NEW TABLE AS new_campaigns
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._campaigns_changed();
CREATE OR REPLACE TRIGGER reference_deleting BEFORE DELETE ON leadflow.campaigns
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._reference_deleted();
CREATE OR REPLACE TRIGGER reference_deleted AFTER DELETE ON leadflow.campaigns
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._reference_deleted();
CREATE OR REPLACE TRIGGER reference_deleting BEFORE DELETE ON leadflow.team_members
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._reference_deleted();
CREATE OR REPLACE TRIGGER reference_deleted AFTER DELETE ON leadflow.team_members
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._reference_deleted();
CREATE OR REPLACE TRIGGER config_changed_campaigns
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.campaigns
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER account_changed AFTER UPDATE ON leadflow.accounts
	REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._account_changed();

CREATE OR REPLACE TRIGGER model_changing
	BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.scoring_models
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.scoring_models
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changing
	BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.scoring_groups
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.scoring_groups
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changing
	BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.scoring_rules
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.scoring_rules
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changing
	BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.personas
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.personas
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changing
	BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.persona_criteria
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.persona_criteria
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changing
	BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.disqualifiers
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.disqualifiers
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changing
	BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.activity_kinds
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.activity_kinds
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();

-- Calendars.
CREATE OR REPLACE TRIGGER calendars_validate BEFORE INSERT OR UPDATE ON leadflow.calendars
	FOR EACH ROW EXECUTE FUNCTION leadflow._calendar_validate();
CREATE OR REPLACE TRIGGER calendars_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.calendars
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER calendar_hours_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.calendar_hours
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER calendar_holidays_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.calendar_holidays
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();

-- ---- lifecycle ----
-- Named so that it fires after a site's own BEFORE triggers: what they write is judged, too.
CREATE OR REPLACE TRIGGER zz_leads_judge BEFORE INSERT OR UPDATE ON leadflow.leads
	FOR EACH ROW EXECUTE FUNCTION leadflow._leads_judge();
CREATE OR REPLACE TRIGGER leads_inserted AFTER INSERT ON leadflow.leads
	REFERENCING NEW TABLE AS new_leads FOR EACH STATEMENT EXECUTE FUNCTION leadflow._leads_inserted();
CREATE OR REPLACE TRIGGER leads_updated AFTER UPDATE ON leadflow.leads
	REFERENCING OLD TABLE AS old_leads NEW TABLE AS new_leads
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._leads_updated();
CREATE OR REPLACE TRIGGER leads_deleted AFTER DELETE ON leadflow.leads
	REFERENCING OLD TABLE AS old_leads FOR EACH STATEMENT EXECUTE FUNCTION leadflow._leads_deleted();
CREATE OR REPLACE TRIGGER leads_truncated AFTER TRUNCATE ON leadflow.leads
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._leads_truncated();
CREATE OR REPLACE TRIGGER stages_renamed AFTER UPDATE OF name ON leadflow.stages
	FOR EACH ROW EXECUTE FUNCTION leadflow._stage_renamed();

-- What leadflow alone writes.
CREATE OR REPLACE TRIGGER stage_history_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.stage_history
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER score_state_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.score_state
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER scoring_approvals_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.scoring_approvals
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER handoffs_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.handoffs
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER queue_state_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.queue_state
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER sla_clocks_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.sla_clocks
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER sla_approvals_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.sla_approvals
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER sla_pauses_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.sla_pauses
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER sla_restatements_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.sla_restatements
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER deal_state_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.deal_state
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER attribution_credits_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.attribution_credits
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();

CREATE OR REPLACE TRIGGER erased_leads_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.erased_leads
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER contact_reservations_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.contact_reservations
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER contact_violations_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.contact_violations
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER reviews_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.reviews
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER review_votes_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.review_votes
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER nurture_enrolments_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.nurture_enrolments
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();
CREATE OR REPLACE TRIGGER notifications_engine_owned BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.notifications
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._engine_owned();

-- The configuration of the lifecycle, people and queues.
CREATE OR REPLACE TRIGGER settings_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.settings
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER team_members_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.team_members
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER stages_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.stages
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER stage_transitions_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.stage_transitions
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER stage_reasons_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.stage_reasons
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER public_email_domains_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.public_email_domains
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER queues_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.queues
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER queue_members_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.queue_members
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER routing_rules_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.routing_rules
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER absences_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.absences
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER contact_limits_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.contact_limits
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER nurture_programs_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.nurture_programs
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
CREATE OR REPLACE TRIGGER subscriptions_config_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON leadflow.subscriptions
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._config_changed();
-- ---- end of lifecycle ----
CREATE OR REPLACE TRIGGER part_check BEFORE INSERT OR UPDATE ON leadflow.scoring_models
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_part_check();
CREATE OR REPLACE TRIGGER part_check BEFORE INSERT OR UPDATE ON leadflow.scoring_groups
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_part_check();
CREATE OR REPLACE TRIGGER part_check BEFORE INSERT OR UPDATE ON leadflow.scoring_rules
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_part_check();
CREATE OR REPLACE TRIGGER condition_written BEFORE INSERT OR UPDATE ON leadflow.scoring_rules
	FOR EACH ROW EXECUTE FUNCTION leadflow._condition_written();
CREATE OR REPLACE TRIGGER condition_written BEFORE INSERT OR UPDATE ON leadflow.persona_criteria
	FOR EACH ROW EXECUTE FUNCTION leadflow._condition_written();
CREATE OR REPLACE TRIGGER condition_written BEFORE INSERT OR UPDATE ON leadflow.disqualifiers
	FOR EACH ROW EXECUTE FUNCTION leadflow._condition_written();
CREATE OR REPLACE TRIGGER condition_written BEFORE INSERT OR UPDATE ON leadflow.sla_policies
	FOR EACH ROW EXECUTE FUNCTION leadflow._condition_written();
CREATE OR REPLACE TRIGGER condition_written BEFORE INSERT OR UPDATE ON leadflow.routing_rules
	FOR EACH ROW EXECUTE FUNCTION leadflow._condition_written();
CREATE OR REPLACE TRIGGER condition_written BEFORE INSERT OR UPDATE ON leadflow.nurture_programs
	FOR EACH ROW EXECUTE FUNCTION leadflow._condition_written();
CREATE OR REPLACE TRIGGER condition_written BEFORE INSERT OR UPDATE ON leadflow.subscriptions
	FOR EACH ROW EXECUTE FUNCTION leadflow._condition_written();
CREATE OR REPLACE TRIGGER model_changing BEFORE UPDATE ON leadflow.settings
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER model_changed AFTER UPDATE ON leadflow.settings
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_changed();
CREATE OR REPLACE TRIGGER id_fixed BEFORE UPDATE ON leadflow.team_members
	FOR EACH ROW EXECUTE FUNCTION leadflow._member_id_fixed();
CREATE OR REPLACE TRIGGER settings_check BEFORE UPDATE OF time_zone, default_attribution_model ON leadflow.settings
	FOR EACH ROW EXECUTE FUNCTION leadflow._settings_check();
CREATE OR REPLACE TRIGGER settings_stay BEFORE DELETE OR TRUNCATE ON leadflow.settings
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._settings_check();
CREATE OR REPLACE TRIGGER stage_fixed BEFORE UPDATE OR DELETE ON leadflow.stages
	FOR EACH ROW EXECUTE FUNCTION leadflow._stage_fixed();

-- Agreement on models: what is in force is frozen, an edit withdraws approvals.
CREATE OR REPLACE TRIGGER agreement BEFORE INSERT OR UPDATE OR DELETE ON leadflow.scoring_models
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement_truncate BEFORE TRUNCATE ON leadflow.scoring_models
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement BEFORE INSERT OR UPDATE OR DELETE ON leadflow.scoring_groups
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement_truncate BEFORE TRUNCATE ON leadflow.scoring_groups
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement BEFORE INSERT OR UPDATE OR DELETE ON leadflow.scoring_rules
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement_truncate BEFORE TRUNCATE ON leadflow.scoring_rules
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement BEFORE INSERT OR UPDATE OR DELETE ON leadflow.personas
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement_truncate BEFORE TRUNCATE ON leadflow.personas
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement BEFORE INSERT OR UPDATE OR DELETE ON leadflow.persona_criteria
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement_truncate BEFORE TRUNCATE ON leadflow.persona_criteria
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement BEFORE INSERT OR UPDATE OR DELETE ON leadflow.disqualifiers
	FOR EACH ROW EXECUTE FUNCTION leadflow._model_agreement();
CREATE OR REPLACE TRIGGER agreement_truncate BEFORE TRUNCATE ON leadflow.disqualifiers
	FOR EACH STATEMENT EXECUTE FUNCTION leadflow._model_agreement();
