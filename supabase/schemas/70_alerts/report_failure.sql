create function spend.report_failure(
  kind text,
  tenant_id uuid,
  subject text,
  message text,
  details jsonb default '{}'
)
returns boolean
language plpgsql volatile
-- Definer: no role may write alerts itself.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  if report_failure.kind is null or report_failure.kind not in ('settle_failed', 'sandbox_orphaned', 'price_missing')
    or coalesce(btrim(report_failure.subject), '') = '' or coalesce(btrim(report_failure.message), '') = ''
    or jsonb_typeof(report_failure.details) is distinct from 'object'
  then
    perform spend_private.fail(
      '22023', 'invalid_failure', jsonb_build_object('kind', report_failure.kind),
      'kind: settle_failed, sandbox_orphaned or price_missing; subject, message: texts; details: an object.'
    );
  end if;
  return spend_private.record_subject_alert(
    report_failure.kind, report_failure.tenant_id, report_failure.subject, date_trunc('hour', now(), 'UTC'),
    report_failure.message, report_failure.details
  );
end;
$$;
comment on function spend.report_failure is
  'Records an alert for the operator about what a function could not do: settle_failed, sandbox_orphaned or price_missing, once an hour for each tenant and subject, and for at most 20 subjects of a tenant and 100 in all; tenant_id null: about none. True when it is a new alert.
Errors: 22023 invalid_failure. For service_role.';
grant execute on function spend.report_failure to service_role;

create function spend_private.record_subject_alert(
  p_kind text,
  p_tenant_id uuid,
  p_subject text,
  p_period_start timestamptz,
  p_message text,
  p_details jsonb,
  p_now timestamptz default now()
)
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  -- Callers choose some subjects, a model's name for one: they cannot flood the channels.
  if spend_private.is_for_operators(p_kind) and (
    select count(*) >= 100 or count(*) filter (where a.tenant_id is not distinct from p_tenant_id) >= 20
    from spend.alerts as a
    where a.quota_id is null and a.kind = p_kind and a.period_start = p_period_start
  ) then
    return false;
  end if;
  -- Look first: "on conflict" alone would draw an id from the sequence each time.
  if exists (
    select from spend.alerts as a
    where a.quota_id is null and a.kind = p_kind and a.period_start = p_period_start
      and (a.tenant_id = p_tenant_id or (a.tenant_id is null and p_tenant_id is null))
      and a.subject = left(p_subject, 500)
  ) then
    return false;
  end if;
  insert into spend.alerts (tenant_id, kind, subject, period_start, facts, created_at)
  values (
    p_tenant_id, p_kind, left(p_subject, 500), p_period_start,
    jsonb_build_object('message', left(p_message, 2000), 'subject', left(p_subject, 500), 'details', p_details), p_now
  )
  on conflict (kind, period_start, tenant_id, subject) where quota_id is null and period_start is not null do nothing;
  return found;
end;
$$;
comment on function spend_private.record_subject_alert is
  'Records an alert that is about no quota, once for each kind, tenant, subject and p_period_start; true when it is new. Of the operators'' kinds at most 20 for a tenant and 100 in all.';
