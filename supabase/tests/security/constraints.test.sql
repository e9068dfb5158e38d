begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;

-- Each constraint, and a row that only it refuses. A new constraint is refused until it is listed here.

insert into auth.users (id) values ('00000000-0000-4000-8000-000000000001');
-- A row for each table that all constraints accept; the rows below differ from it in one thing.
create temporary table good (place integer generated always as identity, name text, row_data jsonb);
insert into good (name, row_data) values
  ('spend.plans', '{"id": "p", "name": "P", "version": 1}'),
  ('spend.plan_quotas', '{"plan_id": "p", "scope": "tenant", "resource_type": "llm", "period": "day", "limit_usd": 1, "warning_threshold": 0.5, "estimate_policy": "strict", "slots": 4, "warning_thresholds": [0.5, 0.9]}'),
  ('spend.tenants', '{"id": "00000000-0000-4000-8000-00000000000a", "name": "A", "plan_id": "p", "plan_version": 0, "time_zone": "UTC", "time_zone_since": "2026-01-01", "created_at": "2026-01-01"}'),
  ('spend.operators', '{"user_id": "00000000-0000-4000-8000-000000000001", "role": "viewer", "created_at": "2026-01-01"}'),
  ('spend.tenant_members', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "user_id": "00000000-0000-4000-8000-000000000001", "role": "member", "is_seeded": false, "created_at": "2026-01-01"}'),
  ('spend.meters', '{"resource_type": "llm", "meter": "m", "provider_decides": true, "description": "M"}'),
  ('spend.prices', '{"id": 900001, "resource_type": "llm", "provider": "v", "product": "x", "meter": "m", "unit_size": 1, "usd": 1, "tier_from": 0, "service_tier": "standard", "effective_from": "2026-01-01", "revision": 0, "version": 1}'),
  ('spend.product_aliases', '{"provider": "v", "match_kind": "regex", "pattern": "x+", "product": "x"}'),
  ('spend.cost_quotas', '{"id": 900001, "scope": "tenant", "tenant_id": "00000000-0000-4000-8000-00000000000a", "scope_id": "00000000-0000-4000-8000-00000000000a", "resource_type": "e2b", "period": "hour", "limit_usd": 1, "warning_threshold": 0.5, "enforcement": "block", "estimate_policy": "strict", "slots": 1, "source": "manual", "created_at": "2026-01-01", "shape_since": "2026-01-01", "warning_thresholds": [0.5, 0.9]}'),
  ('spend_private.quota_balances', '{"quota_id": 900001, "period_start": "2020-01-01", "period_end": "2020-01-02", "slot": 0, "tenant_id": "00000000-0000-4000-8000-00000000000a", "allotted_usd": 1, "spent_usd": 0, "reserved_usd": 0, "is_split": true, "is_below_threshold": true}'),
  ('spend.reservations', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "id": "00000000-0000-4000-8000-00000000000b", "resource_type": "llm", "provider": "v", "product": "x", "task": "chat", "idempotency_key": "k", "request_hash": "00000000-0000-4000-8000-00000000000c", "usage_estimate": {}, "estimated_cost_usd": 1, "is_estimated": false, "status": "held", "holds": [], "price_ids": [], "warnings": [], "metadata": {}, "created_at": "2026-01-01", "expires_at": "2026-01-02"}'),
  ('spend_private.refusals', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "idempotency_key": "k", "request_hash": "00000000-0000-4000-8000-00000000000c", "answer": {}, "created_at": "2026-01-01"}'),
  ('spend.refusal_counts', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "hour": "2026-01-01", "quota_id": 900001, "reason": "limit_reached", "part": 0, "scope": "tenant", "refusals": 1, "first_at": "2026-01-01", "last_at": "2026-01-01", "last_estimated_cost_usd": 1}'),
  ('spend.cost_events', '{"id": 900001, "tenant_id": "00000000-0000-4000-8000-00000000000a", "occurred_at": "2026-01-01", "booked_at": "2026-01-01", "booked_xid": "1", "kind": "charge", "reservation_id": "00000000-0000-4000-8000-00000000000b", "resource_type": "llm", "cost_usd": 1, "calls": 1, "price_ids": [], "is_estimated": false, "metadata": {}}'),
  ('spend_private.cost_rollups', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "hour": "2026-01-01", "resource_type": "llm", "cost_usd": 1, "calls": 1}'),
  ('spend_private.conversation_rollups', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "hour": "2026-01-01", "conversation_id": "c", "resource_type": "llm", "cost_usd": 1, "calls": 1}'),
  ('spend_private.adjustments', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "idempotency_key": "k", "request_hash": "00000000-0000-4000-8000-00000000000c", "event_id": 1, "created_at": "2026-01-01"}'),
  ('spend_private.surveys', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "month": "2026-01-01", "month_usd": 1, "half_used_quota_ids": [], "surveyed_at": "2026-01-01"}'),
  ('spend_private.unusual_days', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "day": "2026-01-01", "cost_usd": 1, "below_factor": 4, "comparisons": [], "surveyed_at": "2026-01-01"}'),
  ('spend_private.job_runs', '{"job": "j", "done_at": "2026-01-01"}'),
  ('spend.sandbox_templates', '{"template": "t", "vcpus": 1, "memory_gib": 1}'),
  ('spend.execution_contexts', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "id": "00000000-0000-4000-8000-00000000000d", "conversation_id": "c", "task": "sandbox", "template": "t", "vcpus": 1, "memory_gib": 1, "timeout_seconds": 1, "status": "running", "sandbox_id": "s", "reservation_id": "00000000-0000-4000-8000-00000000000b", "claim_id": "00000000-0000-4000-8000-00000000000e", "claimed_at": "2026-01-01", "claim_expires_at": "2026-01-02", "started_at": "2026-01-01", "expires_at": "2026-01-02", "held_until": "2026-01-02", "extension_is_open": false, "revision": 0, "runs": 0, "clock_skew_seconds": 0, "created_at": "2026-01-01"}'),
  ('spend_private.sandbox_sweeps', '{"project": "p", "swept_at": "2026-01-01"}'),
  ('spend_private.stray_sandboxes', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "sandbox_id": "s", "paid_until": "2026-01-01"}'),
  ('spend.alerts', '{"id": 900001, "tenant_id": "00000000-0000-4000-8000-00000000000a", "quota_id": 900001, "period_start": "2026-01-01", "kind": "quota_warning", "threshold": 0.5, "details": {"limit_usd": 1}, "created_at": "2026-01-01"}'),
  ('spend.alert_channels', '{"id": 900001, "tenant_id": "00000000-0000-4000-8000-00000000000a", "kind": "slack", "name": "n", "quiet_minutes": 60, "is_enabled": true, "target_hint": "h", "created_at": "2026-01-01"}'),
  ('spend_private.alert_channel_secrets', '{"channel_id": 900001, "secret": "s"}'),
  ('spend.alert_deliveries', '{"id": 900001, "alert_id": 900001, "channel": "n", "channel_id": 900001, "channel_kind": "slack", "event": "trigger", "about": "a", "created_at": "2026-01-01", "attempts": 0, "next_attempt_at": "2026-01-01", "is_given_up": false}'),
  ('spend.alert_mutes', '{"id": 900001, "tenant_id": "00000000-0000-4000-8000-00000000000a", "until": "2026-01-01", "created_at": "2026-01-01"}'),
  ('spend_private.expiries', '{"tenant_id": "00000000-0000-4000-8000-00000000000a", "id": 900001, "hour": "2026-01-01", "reservations": 1, "usd": 1}'),
  ('spend_private.tenant_rounds', '{"job": "j", "round_at": "2026-01-01"}'),
  ('spend_private.price_book', '{"provider": "p", "product": "m", "resource_type": "llm", "service_tier": "standard", "tenant_id": "00000000-0000-0000-0000-000000000000", "valid_from": "2026-01-01", "version": 1, "lines": []}'),
  ('spend_private.function_calls', '{"is_only_row": true, "functions_url": "https://example.com", "secret_key": "k"}'),
  ('spend.problems', '{"id": 900001, "job": "j", "subject": "s", "message": "m", "details": {}, "times": 1, "first_seen_at": "2026-01-01", "last_seen_at": "2026-01-01", "retry_at": "2026-01-01"}'),
  ('spend.audit_log', '{"id": 900001, "changed_at": "2026-01-01", "table_name": "t", "command": "INSERT", "role_name": "r", "session_user_name": "s"}');

-- What is wrong about a row, beyond the good one. Of single rows (settings, ledger_state, verification_state, price_state), and of fixed ones (ledger_totals), there is one already.
create temporary table bad (name text, constraint_name text, change jsonb);
insert into bad (name, constraint_name, change) values
  ('spend.plans', 'id_is_not_empty', '{"id": ""}'),
  ('spend.plans', 'name_is_not_empty', '{"name": ""}'),
  ('spend.plans', 'plans_pkey', '{"name": "Q"}'),
  ('spend.plan_quotas', 'resource_type_is_known', '{"resource_type": "gpu"}'),
  ('spend.plan_quotas', 'period_is_known', '{"period": "year"}'),
  ('spend.plan_quotas', 'scope_is_known', '{"scope": "platform"}'),
  ('spend.plan_quotas', 'limit_is_not_negative', '{"limit_usd": -0.01}'),
  ('spend.plan_quotas', 'limit_is_not_negative', '{"limit_usd": "NaN"}'),
  ('spend.plan_quotas', 'limit_is_not_negative', '{"limit_usd": 1000000000000}'),
  ('spend.plan_quotas', 'warning_threshold_is_a_share', '{"warning_threshold": 0, "warning_thresholds": [0]}'),
  ('spend.plan_quotas', 'warning_threshold_is_a_share', '{"warning_threshold": 1.001, "warning_thresholds": [1.001]}'),
  ('spend.plan_quotas', 'warning_threshold_is_a_share', '{"warning_threshold": 80, "warning_thresholds": [80]}'),
  ('spend.plan_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, 80]}'),
  ('spend.plan_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, 1.001]}'),
  ('spend.plan_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, "NaN"]}'),
  ('spend.plan_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, null]}'),
  ('spend.plan_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56, 0.57, 0.58, 0.59, 0.6]}'),
  ('spend.plan_quotas', 'warning_threshold_is_the_lowest', '{"warning_threshold": 0.4}'),
  ('spend.plan_quotas', 'estimate_policy_is_known', '{"estimate_policy": "average"}'),
  ('spend.plan_quotas', 'slots_are_in_range', '{"slots": 0}'),
  ('spend.plan_quotas', 'slots_are_in_range', '{"slots": 257}'),
  ('spend.plan_quotas', 'plan_quotas_plan_id_fkey', '{"plan_id": "nowhere"}'),
  ('spend.plan_quotas', 'plan_quotas_pkey', '{"limit_usd": 2}'),
  ('spend.tenants', 'name_is_not_empty', '{"name": ""}'),
  ('spend.tenants', 'time_zone_is_known', '{"time_zone": "Mars/Olympus"}'),
  ('spend.tenants', 'time_zone_is_known', '{"time_zone": "XYZ+5"}'),
  ('spend.tenants', 'tenants_plan_id_fkey', '{"id": "00000000-0000-4000-8000-00000000001a", "plan_id": "nowhere"}'),
  ('spend.tenants', 'tenants_pkey', '{"name": "B"}'),
  ('spend.operators', 'operator_role_is_known', '{"role": "root"}'),
  ('spend.operators', 'operators_user_id_fkey', '{"user_id": "00000000-0000-4000-8000-000000000011"}'),
  ('spend.operators', 'operators_pkey', '{"role": "editor"}'),
  ('spend.tenant_members', 'role_is_known', '{"role": "root"}'),
  ('spend.tenant_members', 'tenant_members_tenant_id_fkey', '{"tenant_id": "00000000-0000-4000-8000-00000000001a"}'),
  ('spend.tenant_members', 'tenant_members_user_id_fkey', '{"user_id": "00000000-0000-4000-8000-000000000011"}'),
  ('spend.tenant_members', 'tenant_members_pkey', '{"role": "owner"}'),
  ('spend.meters', 'resource_type_is_known', '{"resource_type": "gpu"}'),
  ('spend.meters', 'meters_resource_type_part_of_fkey', '{"meter": "n", "part_of": "nowhere"}'),
  ('spend.meters', 'meters_pkey', '{"description": "again"}'),
  ('spend.prices', 'revision_is_not_negative', '{"revision": -1}'),
  ('spend.prices', 'provider_is_not_empty', '{"provider": ""}'),
  ('spend.prices', 'product_is_not_empty', '{"product": ""}'),
  ('spend.prices', 'unit_size_is_positive', '{"unit_size": 0}'),
  ('spend.prices', 'unit_size_is_positive', '{"unit_size": "NaN"}'),
  ('spend.prices', 'unit_size_is_positive', '{"unit_size": "Infinity"}'),
  ('spend.prices', 'usd_is_not_negative', '{"usd": -0.01}'),
  ('spend.prices', 'usd_is_not_negative', '{"usd": "NaN"}'),
  ('spend.prices', 'usd_is_not_negative', '{"usd": "Infinity"}'),
  ('spend.prices', 'tier_from_is_not_negative', '{"tier_from": -1}'),
  ('spend.prices', 'prices_resource_type_meter_fkey', '{"id": 900002, "meter": "nowhere"}'),
  ('spend.prices', 'prices_tenant_id_fkey', '{"id": 900002, "tenant_id": "00000000-0000-4000-8000-00000000001a"}'),
  ('spend.prices', 'one_price_per_moment', '{"id": 900002, "usd": 2}'),
  ('spend.prices', 'prices_pkey', '{"product": "y"}'),
  ('spend.product_aliases', 'pattern_is_not_empty', '{"pattern": ""}'),
  ('spend.product_aliases', 'match_kind_is_known', '{"match_kind": "like"}'),
  ('spend.product_aliases', 'pattern_is_valid', '{"pattern": "("}'),
  ('spend.product_aliases', 'product_aliases_pkey', '{"product": "y"}'),
  ('spend.cost_quotas', 'limit_is_not_negative', '{"limit_usd": -0.01}'),
  ('spend.cost_quotas', 'limit_is_not_negative', '{"limit_usd": "NaN"}'),
  ('spend.cost_quotas', 'limit_is_not_negative', '{"limit_usd": 1000000000000}'),
  ('spend.cost_quotas', 'scope_is_known', '{"scope": "team", "scope_id": "00000000-0000-4000-8000-000000000001"}'),
  ('spend.cost_quotas', 'platform_has_no_tenant', '{"scope": "platform", "scope_id": null}'),
  ('spend.cost_quotas', 'scope_id_fits_scope', '{"scope_id": "00000000-0000-4000-8000-000000000001"}'),
  ('spend.cost_quotas', 'scope_id_fits_scope', '{"scope": "user"}'),
  ('spend.cost_quotas', 'scope_id_fits_scope', '{"scope": "user", "scope_id": null}'),
  ('spend.cost_quotas', 'scope_id_fits_scope', '{"scope": "platform", "tenant_id": null}'),
  ('spend.cost_quotas', 'resource_type_is_known', '{"resource_type": "gpu"}'),
  ('spend.cost_quotas', 'period_is_known', '{"period": "year"}'),
  ('spend.cost_quotas', 'warning_threshold_is_a_share', '{"warning_threshold": 0, "warning_thresholds": [0]}'),
  ('spend.cost_quotas', 'warning_threshold_is_a_share', '{"warning_threshold": 1.001, "warning_thresholds": [1.001]}'),
  ('spend.cost_quotas', 'warning_threshold_is_a_share', '{"warning_threshold": 80, "warning_thresholds": [80]}'),
  ('spend.cost_quotas', 'enforcement_is_known', '{"enforcement": "warn"}'),
  ('spend.cost_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, 80]}'),
  ('spend.cost_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, 1.001]}'),
  ('spend.cost_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, "NaN"]}'),
  ('spend.cost_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, null]}'),
  ('spend.cost_quotas', 'warning_thresholds_are_shares', '{"warning_thresholds": [0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56, 0.57, 0.58, 0.59, 0.6]}'),
  ('spend.cost_quotas', 'warning_threshold_is_the_lowest', '{"warning_threshold": 0.4}'),
  ('spend.cost_quotas', 'estimate_policy_is_known', '{"estimate_policy": "average"}'),
  ('spend.cost_quotas', 'slots_are_in_range', '{"slots": 0}'),
  ('spend.cost_quotas', 'slots_are_in_range', '{"slots": 257}'),
  ('spend.cost_quotas', 'source_is_known', '{"source": "hand"}'),
  ('spend.cost_quotas', 'cost_quotas_tenant_id_fkey', '{"id": 900002, "tenant_id": "00000000-0000-4000-8000-00000000001a", "scope_id": "00000000-0000-4000-8000-00000000001a"}'),
  ('spend.cost_quotas', 'one_quota_per_subject', '{"id": 900002, "limit_usd": 2}'),
  ('spend.cost_quotas', 'cost_quotas_pkey', '{"period": "week"}'),
  ('spend_private.quota_balances', 'reserved_is_not_negative', '{"reserved_usd": -0.01}'),
  ('spend_private.quota_balances', 'slot_is_not_negative', '{"slot": -1}'),
  ('spend_private.quota_balances', 'period_ends_after_it_starts', '{"period_end": "2020-01-01"}'),
  ('spend_private.quota_balances', 'quota_balances_pkey', '{"spent_usd": 1}'),
  ('spend.reservations', 'usd_is_not_negative', '{"estimated_cost_usd": -0.01}'),
  ('spend.reservations', 'usd_is_not_negative', '{"status": "settled", "actual_cost_usd": -0.01, "ended_at": "2026-01-01"}'),
  ('spend.reservations', 'reservation_is_possible', '{"status": "lost", "actual_cost_usd": 1, "ended_at": "2026-01-01"}'),
  ('spend.reservations', 'reservation_is_possible', '{"resource_type": "all"}'),
  ('spend.reservations', 'reservation_is_possible', '{"status": "settled", "ended_at": "2026-01-01"}'),
  ('spend.reservations', 'reservation_is_possible', '{"actual_cost_usd": 1}'),
  ('spend.reservations', 'reservation_is_possible', '{"status": "settled", "actual_cost_usd": 1}'),
  ('spend.reservations', 'reservation_is_possible', '{"ended_at": "2026-01-01"}'),
  ('spend.reservations', 'reservation_is_possible', '{"status": "released", "actual_cost_usd": 1, "ended_at": "2026-01-01"}'),
  ('spend.reservations', 'reservation_is_possible', '{"request_hash": null}'),
  ('spend.reservations', 'reservation_is_possible', '{"idempotency_key": null}'),
  ('spend.reservations', 'reservation_is_possible', '{"expires_at": "2026-01-01"}'),
  ('spend.reservations', 'reservation_is_possible', '{"status": "expired", "ended_at": "2026-01-01"}'),
  ('spend.reservations', 'reservation_is_possible', '{"status": "released", "actual_cost_usd": 0}'),
  ('spend.reservations', 'reservations_pkey', '{"idempotency_key": "other"}'),
  ('spend.reservations', 'reservations_tenant_id_idempotency_key_idx', '{"id": "00000000-0000-4000-8000-00000000001b"}'),
  ('spend_private.refusals', 'refusals_pkey', '{"request_hash": "00000000-0000-4000-8000-00000000001c"}'),
  ('spend.cost_events', 'event_is_possible', '{"kind": "gift"}'),
  ('spend.cost_events', 'event_is_possible', '{"resource_type": "all"}'),
  ('spend.cost_events', 'event_is_possible', '{"reservation_id": null}'),
  ('spend.cost_events', 'event_is_possible', '{"kind": "adjustment"}'),
  ('spend.cost_events', 'cost_events_pkey', '{"cost_usd": 2}'),
  ('spend.refusal_counts', 'reason_is_known', '{"reason": "mood"}'),
  ('spend.refusal_counts', 'part_is_not_negative', '{"part": -1}'),
  ('spend.refusal_counts', 'refusals_are_positive', '{"refusals": 0}'),
  ('spend.refusal_counts', 'one_refusal_count_per_part', '{"refusals": 2}'),
  ('spend_private.cost_rollups', 'one_rollup_per_hour', '{"cost_usd": 2}'),
  ('spend_private.conversation_rollups', 'one_conversation_rollup_per_hour', '{"cost_usd": 2}'),
  ('spend_private.adjustments', 'adjustments_pkey', '{"event_id": 2}'),
  ('spend.sandbox_templates', 'vcpus_is_positive', '{"vcpus": 0}'),
  ('spend.sandbox_templates', 'template_is_not_empty', '{"template": ""}'),
  ('spend.sandbox_templates', 'memory_is_positive', '{"memory_gib": 0}'),
  ('spend.sandbox_templates', 'memory_is_positive', '{"memory_gib": "NaN"}'),
  ('spend.sandbox_templates', 'memory_is_positive', '{"memory_gib": "Infinity"}'),
  ('spend.sandbox_templates', 'sandbox_templates_pkey', '{"vcpus": 2}'),
  ('spend.execution_contexts', 'status_is_known', '{"status": "lost"}'),
  ('spend.execution_contexts', 'vcpus_is_positive', '{"vcpus": 0}'),
  ('spend.execution_contexts', 'memory_is_positive', '{"memory_gib": 0}'),
  ('spend.execution_contexts', 'memory_is_positive', '{"memory_gib": "NaN"}'),
  ('spend.execution_contexts', 'memory_is_positive', '{"memory_gib": "Infinity"}'),
  ('spend.execution_contexts', 'timeout_is_positive', '{"timeout_seconds": 0}'),
  ('spend.execution_contexts', 'claim_ends_after_it_began', '{"claim_expires_at": "2026-01-01"}'),
  ('spend.execution_contexts', 'creating_does_not_run', '{"status": "creating"}'),
  ('spend.execution_contexts', 'running_has_its_times', '{"expires_at": null}'),
  ('spend.execution_contexts', 'expires_at_is_held', '{"expires_at": "2026-01-03"}'),
  ('spend.execution_contexts', 'extension_has_its_hold', '{"status": "failed", "ended_at": "2026-01-01", "held_until": null, "expires_at": null, "extension_is_open": true}'),
  ('spend.execution_contexts', 'clock_skew_is_finite', '{"clock_skew_seconds": "NaN"}'),
  ('spend.execution_contexts', 'clock_skew_is_finite', '{"clock_skew_seconds": "-Infinity"}'),
  ('spend_private.sandbox_sweeps', 'next_token_is_short', jsonb_build_object('next_token', repeat('x', 2001))),
  ('spend_private.sandbox_sweeps', 'sandbox_sweeps_pkey', '{}'),
  ('spend.execution_contexts', 'running_and_paused_have_a_sandbox', '{"sandbox_id": null}'),
  ('spend.execution_contexts', 'paused_has_paused_at', '{"paused_at": "2026-01-01"}'),
  ('spend.execution_contexts', 'paused_has_paused_at', '{"status": "paused", "booked_at": "2026-01-01"}'),
  ('spend.execution_contexts', 'ended_has_ended_at', '{"ended_at": "2026-01-01"}'),
  ('spend.execution_contexts', 'ended_has_ended_at', '{"status": "failed"}'),
  ('spend.execution_contexts', 'open_is_not_booked', '{"booked_at": "2026-01-01"}'),
  ('spend.execution_contexts', 'paused_and_terminated_are_booked', '{"status": "terminated", "ended_at": "2026-01-01"}'),
  ('spend.execution_contexts', 'execution_contexts_pkey', '{"conversation_id": "d"}'),
  ('spend.execution_contexts', 'execution_contexts_live_idx', '{"id": "00000000-0000-4000-8000-00000000001d"}'),
  ('spend_private.stray_sandboxes', 'stray_sandboxes_pkey', '{"paid_until": "2026-01-02"}'),
  ('spend.alerts', 'kind_is_known', '{"kind": "note", "tenant_id": null, "quota_id": null, "threshold": null, "details": null, "facts": {}, "subject": "s"}'),
  ('spend.alerts', 'has_facts_or_is_about_a_threshold', '{"facts": {}}'),
  ('spend.alerts', 'has_facts_or_is_about_a_threshold', '{"kind": "forecast_exceeded"}'),
  ('spend.alerts', 'has_facts_or_is_about_a_threshold', '{"kind": "verification_failed", "tenant_id": null, "quota_id": null, "threshold": null, "details": null, "period_start": null}'),
  ('spend.alerts', 'is_about_a_quota_or_a_subject', '{"threshold": null}'),
  ('spend.alerts', 'is_about_a_quota_or_a_subject', '{"subject": "s"}'),
  ('spend.alerts', 'is_about_a_quota_or_a_subject', '{"kind": "job_failed", "facts": {}}'),
  ('spend.alerts', 'is_about_a_quota_or_a_subject', '{"kind": "unusual_spend", "tenant_id": null, "quota_id": null, "threshold": null, "details": null, "facts": {}}'),
  ('spend.alerts', 'is_about_a_quota_or_a_subject', '{"kind": "unusual_spend", "tenant_id": null, "quota_id": null, "threshold": null, "details": null, "facts": {}, "subject": "s", "period_start": null}'),
  ('spend.alert_channels', 'channel_kind_is_known', '{"kind": "fax"}'),
  ('spend.alert_channels', 'channel_name_is_not_empty', '{"name": ""}'),
  ('spend.alert_channels', 'alert_kinds_are_known', '{"kinds": ["note"]}'),
  ('spend.alert_channels', 'alert_kinds_are_known', '{"kinds": []}'),
  ('spend.alert_channels', 'alert_scopes_are_known', '{"scopes": ["team"]}'),
  ('spend.alert_channels', 'alert_scopes_are_known', '{"scopes": []}'),
  ('spend.alert_channels', 'quiet_minutes_are_in_range', '{"quiet_minutes": -1}'),
  ('spend.alert_channels', 'quiet_minutes_are_in_range', '{"quiet_minutes": 10081}'),
  ('spend.alert_channels', 'one_channel_per_name', '{"id": 900002}'),
  ('spend.alert_channels', 'alert_channels_pkey', '{"name": "m"}'),
  ('spend.alert_channels', 'alert_channels_tenant_id_fkey', '{"id": 900002, "tenant_id": "00000000-0000-4000-8000-00000000001a"}'),
  ('spend_private.alert_channel_secrets', 'secret_is_in_one_place', '{"secret": null}'),
  ('spend_private.alert_channel_secrets', 'alert_channel_secrets_pkey', '{"secret": "t"}'),
  ('spend_private.alert_channel_secrets', 'alert_channel_secrets_channel_id_fkey', '{"channel_id": 900009}'),
  ('spend.alert_deliveries', 'event_is_known', '{"event": "reopen"}'),
  ('spend.alert_deliveries', 'delivery_attempts_are_not_negative', '{"attempts": -1}'),
  ('spend.alert_deliveries', 'is_delivered_or_ended', '{"delivered_at": "2026-01-01", "ended_at": "2026-01-01"}'),
  ('spend.alert_deliveries', 'one_delivery_per_channel', '{"id": 900002}'),
  ('spend.alert_deliveries', 'alert_deliveries_pkey', '{"event": "resolve"}'),
  ('spend.alert_deliveries', 'alert_deliveries_alert_id_fkey', '{"id": 900002, "alert_id": 900009}'),
  ('spend.alert_deliveries', 'alert_deliveries_channel_id_fkey', '{"id": 900002, "channel_id": 900009}'),
  ('spend.alert_mutes', 'muted_kind_is_known', '{"kind": "note"}'),
  ('spend.alert_mutes', 'alert_mutes_pkey', '{"kind": "job_failed"}'),
  ('spend.alert_mutes', 'alert_mutes_tenant_id_fkey', '{"id": 900002, "tenant_id": "00000000-0000-4000-8000-00000000001a"}'),
  ('spend_private.expiries', 'expiries_pkey', '{"reservations": 2}'),
  ('spend_private.tenant_rounds', 'tenant_rounds_pkey', '{"round_at": "2026-01-02"}'),
  ('spend_private.function_calls', 'is_only_row', '{"is_only_row": false}'),
  ('spend_private.function_calls', 'secret_key_is_in_one_place', '{"secret_key": null}'),
  ('spend_private.function_calls', 'function_calls_pkey', '{"functions_url": "https://example.org"}'),
  ('spend.problems', 'times_is_positive', '{"times": 0}'),
  ('spend.problems', 'one_problem_per_subject', '{"id": 900002}'),
  ('spend.problems', 'problems_pkey', '{"subject": "t"}'),
  ('spend.cost_events', 'an_event_counts_one_call_at_most', '{"calls": 2}'),
  ('spend.cost_events', 'an_event_counts_one_call_at_most', '{"calls": -2}'),
  ('spend.alerts', 'alerts_once_idx', '{"id": 900002}'),
  ('spend.alerts', 'alerts_pkey', '{"kind": "quota_exceeded"}'),
  ('spend.alerts', 'alerts_once_per_subject_idx', '{"id": 900004, "kind": "unusual_spend", "tenant_id": null, "quota_id": null, "threshold": null, "details": null, "facts": {}, "subject": "s"}'),
  ('spend.audit_log', 'command_is_known', '{"command": "SELECT"}'),
  ('spend.audit_log', 'audit_log_pkey', '{"table_name": "u"}'),
  ('spend.settings', 'is_only_row', '{"is_only_row": false}'),
  ('spend.settings', 'settings_pkey', '{}'),
  ('spend.settings', 'keeps_events_of_current_periods', '{"keep_event_months": 1}'),
  ('spend.settings', 'keeps_balances_of_current_periods', '{"keep_balance_days": 39}'),
  ('spend.settings', 'keep_alert_days_is_positive', '{"keep_alert_days": 0}'),
  ('spend.settings', 'keep_refusal_hours_is_positive', '{"keep_refusal_hours": 0}'),
  ('spend.settings', 'keep_refusal_days_is_positive', '{"keep_refusal_days": 0}'),
  ('spend.settings', 'keeps_reservations_that_may_be_settled', '{"keep_reservation_days": 13}'),
  ('spend.settings', 'keep_audit_days_is_positive', '{"keep_audit_days": 0}'),
  ('spend.settings', 'expired_alert_count_is_positive', '{"expired_alert_count": 0}'),
  ('spend_private.surveys', 'surveys_pkey', '{"month_usd": 2}'),
  ('spend_private.unusual_days', 'unusual_days_pkey', '{"cost_usd": 2}'),
  ('spend_private.job_runs', 'job_runs_pkey', '{"done_at": "2026-01-02"}'),
  ('spend_private.ledger_state', 'is_only_row', '{"is_only_row": false}'),
  ('spend_private.ledger_totals', 'resource_type_is_known', '{"resource_type": "all"}'),
  ('spend_private.ledger_totals', 'booking_is_known', '{"booking": "refund"}'),
  ('spend_private.ledger_totals', 'usd_is_an_amount', '{"usd": -1}'),
  ('spend_private.ledger_totals', 'ledger_totals_pkey', '{}'),
  ('spend_private.verification_state', 'is_only_row', '{"is_only_row": false}'),
  ('spend_private.verification_state', 'stage_is_known', '{"stage": "alerts"}'),
  ('spend_private.verification_state', 'verification_state_pkey', '{}'),
  ('spend_private.ledger_state', 'ledger_state_pkey', '{}'),
  ('spend_private.verification_state', 'is_only_row', '{"is_only_row": false}'),
  ('spend_private.verification_state', 'verification_state_pkey', '{}'),
  ('spend_private.verification_state', 'stage_is_known', '{"stage": "x"}'),
  ('spend_private.price_state', 'is_only_row', '{"is_only_row": false}'),
  ('spend_private.price_state', 'price_state_pkey', '{}'),
  ('spend_private.price_book', 'price_book_pkey', '{"version": 2}');

create temporary view catalogue as
select n.nspname || '.' || c.relname as name, k.conname::text as constraint_name
from pg_constraint as k
join pg_class as c on c.oid = k.conrelid
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('spend', 'spend_private') and not c.relispartition and k.contype in ('c', 'u', 'p', 'f')
union all
-- Of a column's type.
select n.nspname || '.' || c.relname, k.conname
from pg_constraint as k
join pg_attribute as a on a.atttypid = k.contypid and a.attnum > 0 and not a.attisdropped
join pg_class as c on c.oid = a.attrelid
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('spend', 'spend_private') and c.relkind in ('r', 'p') and not c.relispartition
union all
select n.nspname || '.' || c.relname, u.relname
from pg_index as i
join pg_class as c on c.oid = i.indrelid
join pg_class as u on u.oid = i.indexrelid
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('spend', 'spend_private') and not c.relispartition and i.indisunique
  and not exists (select from pg_constraint as k where k.conindid = i.indexrelid);
update bad set change = to_jsonb(s) || change from spend.settings as s where name = 'spend.settings';
update bad set change = to_jsonb(v) || change from spend_private.verification_state as v where name = 'spend_private.verification_state';
update bad set change = to_jsonb(l) || change from spend_private.ledger_state as l where name = 'spend_private.ledger_state';
update bad set change = to_jsonb(t) || change from spend_private.ledger_totals as t
where name = 'spend_private.ledger_totals' and (t.resource_type, t.booking) = ('llm', 'charge');
update bad set change = to_jsonb(s) || change from spend_private.verification_state as s where name = 'spend_private.verification_state';
update bad set change = to_jsonb(s) || change from spend_private.price_state as s where name = 'spend_private.price_state';

-- What a DBA writes by hand, and every column of it that may not be null; but for ids, which the database sets.
create temporary view configuration as
select 'spend.' || c.relname as name
from pg_class as c
where c.relnamespace = 'spend'::regnamespace and c.relkind = 'r'
  and (has_table_privilege('service_role', c.oid, 'update') or c.relname = 'operators');
create temporary view answerable as
select b.name, coalesce(g.row_data, '{}') || b.change as row_data, format('%s, %s', b.constraint_name, b.change) as mistake
from bad as b
join configuration as t on t.name = b.name
left join good as g on g.name = b.name
-- What a trigger puts right is no mistake.
where b.constraint_name not in ('prices_pkey', 'warning_threshold_is_the_lowest')
union all
select t.name, coalesce(g.row_data, (select to_jsonb(s) from spend.settings as s)) || jsonb_build_object(a.attname, null), format('%s is null', a.attname)
from configuration as t
left join good as g on g.name = t.name
join pg_attribute as a on a.attrelid = t.name::regclass and a.attnum > 0 and a.attnotnull and not a.attisdropped
where a.attidentity = '' and (t.name, a.attname) not in (
  ('spend.cost_quotas', 'slots'), ('spend.prices', 'version'), ('spend.cost_quotas', 'warning_threshold'),
  ('spend.cost_quotas', 'warning_thresholds'), ('spend.plan_quotas', 'warning_threshold'), ('spend.plan_quotas', 'warning_thresholds')
);

select plan(
  4 + (select count(*) from good)::integer + (select count(*) from bad)::integer
  + (select count(*) from answerable)::integer
);

create function pg_temp.insert_row(p_name text, p_row jsonb) returns text language plpgsql as $$
declare
  v_constraint text;
  v_columns text := (
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute as a
    where a.attrelid = p_name::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
  );
begin
  execute format(
    'insert into %1$s (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, $1)',
    p_name, v_columns
  ) using p_row;
  return 'accepted';
exception
  when check_violation or unique_violation or foreign_key_violation then
    get stacked diagnostics v_constraint = constraint_name;
    -- A partition's copy of a constraint has the partition's name.
    return replace(v_constraint, 'cost_events_default_', 'cost_events_');
  when others then
    return format('%s: %s', sqlstate, sqlerrm);
end;
$$;

-- Triggers would make a row right, or refuse it first, that a constraint is there to refuse.
set local session_replication_role = replica;
select is(pg_temp.insert_row(g.name, g.row_data), 'accepted', format('%s accepts a valid row', g.name))
from good as g order by g.place;
insert into spend.alerts (id, kind, subject, period_start, facts) overriding system value
values (900003, 'unusual_spend', 's', '2026-01-01', '{}');
set local session_replication_role = origin;

-- The ordinary way, a mistake has an answer: what is wrong, the field, and what to do.
select ok((select count(*) from configuration) >= 10, 'At least ten tables are for a DBA to write');
create function pg_temp.answer(p_name text, p_row jsonb) returns text language plpgsql as $$
declare
  v_detail text;
  v_hint text;
  v_columns text := (
    select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute as a
    where a.attrelid = p_name::regclass and a.attnum > 0 and not a.attisdropped
  );
begin
  execute format(
    'insert into %1$s (%2$s) overriding system value select %2$s from jsonb_populate_record(null::%1$s, $1)',
    p_name, v_columns
  ) using p_row;
  return 'accepted';
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
    -- Of the constraints that it breaks the one that says most may speak.
    return case
      when sqlstate not in ('22023', 'PT404', 'PT409') or sqlerrm !~ '^(invalid|unknown|duplicate)_[a-z_]+$' or v_hint = ''
        then format('%s: %s (%s) %s', sqlstate, sqlerrm, v_hint, v_detail)
      when not p_row ? (v_detail::jsonb ->> 'field') then format('field: %s', v_detail)
      else 'answered'
    end;
end;
$$;
select is(pg_temp.answer(a.name, a.row_data), 'answered', format('%s answers: %s', a.name, a.mistake))
from answerable as a
order by a.name, a.mistake;
select is_empty(
  $$ select t.name, a.attname
     from configuration as t
     join pg_attribute as a on a.attrelid = t.name::regclass and a.attnum > 0
     where a.atttypid = 'numeric'::regtype and a.atttypmod <> -1 $$,
  'No number overflows before its constraint is checked'
);
select is_empty(
  $$ select c.conrelid::regclass, c.conname
     from pg_constraint as c
     join configuration as t on t.name::regclass = c.conrelid
     where t.name <> 'spend.prices' and c.contype in ('c', 'p', 'u', 'f')
       and coalesce(obj_description(c.oid, 'pg_constraint'), '') !~ '^[a-z_]+: .+[.]$' $$,
  'Every constraint of a table that a DBA writes names the field, what it may be, and what to do'
);

-- Of foreign keys, whose checks are triggers too, the others are off; and what says in words what a key refuses.
do $$
declare
  v_name text;
begin
  for v_name in select c.name from configuration as c loop
    execute format('alter table %s disable trigger user', v_name);
  end loop;
end;
$$;
create temporary table is_foreign as
select b.name, b.constraint_name from bad as b
join pg_constraint as k on k.conname = b.constraint_name and k.contype = 'f' and k.conrelid = b.name::regclass;

set local session_replication_role = replica;
select is(
  pg_temp.insert_row(b.name, coalesce(g.row_data, '{}') || b.change), b.constraint_name,
  format('%s refuses %s', b.constraint_name, b.change)
)
from bad as b
left join good as g on g.name = b.name
where (b.name, b.constraint_name) not in (select f.name, f.constraint_name from is_foreign as f)
order by b.name, b.constraint_name;
set local session_replication_role = origin;
select is(
  pg_temp.insert_row(b.name, g.row_data || b.change), b.constraint_name,
  format('%s refuses %s', b.constraint_name, b.change)
)
from bad as b
join good as g on g.name = b.name
where (b.name, b.constraint_name) in (select f.name, f.constraint_name from is_foreign as f)
order by b.name, b.constraint_name;

select set_eq(
  'select name, constraint_name from bad',
  'select name, constraint_name from catalogue', 'Every constraint of the catalogue is tested, and no other'
);

select * from finish();
rollback;
