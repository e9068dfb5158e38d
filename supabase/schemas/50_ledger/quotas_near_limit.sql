create type spend.near_quota as (
  quota_id bigint,
  scope text,
  tenant_id uuid,
  tenant_name text,
  scope_id uuid,
  resource_type text,
  period text,
  task text,
  product text,
  enforcement text,
  limit_usd numeric,
  spent_usd numeric,
  reserved_usd numeric,
  utilization_percent numeric,
  period_end timestamptz,
  user_email text,
  total bigint
);
comment on type spend.near_quota is 'Line of spend.quotas_near_limit.';
comment on column spend.near_quota.quota_id is 'Quota, of spend.cost_quotas.';
comment on column spend.near_quota.scope is 'platform, tenant or user.';
comment on column spend.near_quota.tenant_id is 'Its tenant; null for the platform.';
comment on column spend.near_quota.tenant_name is 'That tenant''s name.';
comment on column spend.near_quota.scope_id is 'The tenant''s id, or the user''s; null for the platform.';
comment on column spend.near_quota.resource_type is 'llm, e2b or all.';
comment on column spend.near_quota.period is 'hour, day, week, month or lifetime.';
comment on column spend.near_quota.task is 'When set, only calls of this task count.';
comment on column spend.near_quota.product is 'When set, only calls of this model or template count.';
comment on column spend.near_quota.enforcement is 'block or observe.';
comment on column spend.near_quota.limit_usd is 'USD per period.';
comment on column spend.near_quota.spent_usd is 'USD booked in the period.';
comment on column spend.near_quota.reserved_usd is 'USD that open calls hold.';
comment on column spend.near_quota.utilization_percent is 'Spent and held, in percent of the limit.';
comment on column spend.near_quota.period_end is 'When the next period begins; infinity for lifetime.';
comment on column spend.near_quota.user_email is 'For the scope user: the address that the user signs in with.';
comment on column spend.near_quota.total is 'Quotas on all pages together.';

create index cost_quotas_warning_threshold_idx on spend.cost_quotas (warning_threshold) where warning_threshold > 0.8;

create function spend.quotas_near_limit(
  at_least numeric default 0.8,
  top integer default 50,
  skip integer default 0
)
returns setof spend.near_quota
language plpgsql stable
-- Definer: balances are in spend_private. It shows the quotas that the policies on cost_quotas do.
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
set work_mem = '32MB'
as $$
declare
  v_sees_all boolean := spend_private.may_operate();
  v_member_of uuid[] := array(select spend_private.member_tenant_ids());
  v_manages uuid[] := array(select spend_private.managed_tenant_ids());
  v_is_large boolean := v_sees_all and spend_private.is_large_fleet();
begin
  if quotas_near_limit.at_least is null or quotas_near_limit.at_least not between 0 and 1
    or quotas_near_limit.top is null or quotas_near_limit.top not between 1 and 1000
    or quotas_near_limit.skip is null or quotas_near_limit.skip < 0
  then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object(
        'at_least', quotas_near_limit.at_least, 'top', quotas_near_limit.top, 'skip', quotas_near_limit.skip
      )::text,
      hint = 'at_least: a share of the limit, 0 to 1; top: 1 to 1000; skip: 0 or more.';
  end if;

  return query
  with lower_quotas as (
    -- A balance below its quota's warning threshold is near only where that threshold is above what is asked for.
    select q.id, q.limit_usd
    from spend.cost_quotas as q
    where v_sees_all and (not v_is_large or q.tenant_id is null) and q.warning_threshold > quotas_near_limit.at_least
    union all
    select q.id, q.limit_usd
    from spend_private.surveys as s
    cross join lateral unnest(s.half_used_quota_ids) as h (quota_id)
    join spend.cost_quotas as q on q.id = h.quota_id
    where v_sees_all and v_is_large and s.half_used_quota_ids <> '{}' and q.tenant_id is not null
      and q.warning_threshold > quotas_near_limit.at_least
  ),

  used as (
    -- All slots of a quota are below the threshold, or none is; and then their allotments sum to the limit.
    select o.quota_id, o.period_start, sum(o.spent_usd + o.reserved_usd) as usd, sum(o.allotted_usd) as limit_usd
    from spend_private.quota_balances as o
    where v_sees_all and not o.is_below_threshold and o.period_end > now() and o.period_start <= now()
    group by o.quota_id, o.period_start
    union all
    select o.quota_id, o.period_start, sum(o.spent_usd + o.reserved_usd), q.limit_usd
    from lower_quotas as q
    join spend_private.quota_balances as o on o.quota_id = q.id
    where o.is_below_threshold and o.period_end > now() and o.period_start <= now()
    group by o.quota_id, o.period_start, q.limit_usd
    union all
    select o.quota_id, o.period_start, sum(o.spent_usd + o.reserved_usd), q.limit_usd
    from spend.cost_quotas as q
    join spend_private.quota_balances as o on o.quota_id = q.id
    where not v_sees_all and q.tenant_id = any (v_member_of) and o.period_end > now() and o.period_start <= now()
      and (q.scope = 'tenant' or q.scope_id = (select auth.uid()) or q.tenant_id = any (v_manages))
    group by o.quota_id, o.period_start, q.limit_usd
  ),

  page as (
    select u.quota_id, u.period_start, u.usd, u.usd / nullif(u.limit_usd, 0) as share, count(*) over () as total
    from used as u
    where u.usd >= u.limit_usd * quotas_near_limit.at_least
    order by share desc nulls first, u.quota_id
    limit quotas_near_limit.top offset quotas_near_limit.skip
  )

  select
    q.id, q.scope, q.tenant_id, t.name, q.scope_id, q.resource_type, q.period, q.task, q.product, q.enforcement,
    q.limit_usd, b.spent_usd, b.reserved_usd, spend_private.utilization_percent(p.usd, q.limit_usd), b.period_end,
    case when q.scope = 'user' then (select a.email::text from auth.users as a where a.id = q.scope_id) end,
    p.total
  from page as p
  join spend.cost_quotas as q on q.id = p.quota_id
  left join spend.tenants as t on t.id = q.tenant_id
  cross join lateral (
    select sum(o.spent_usd) as spent_usd, sum(o.reserved_usd) as reserved_usd, max(o.period_end) as period_end
    from spend_private.quota_balances as o
    where o.quota_id = p.quota_id and o.period_start = p.period_start
  ) as b
  order by p.share desc nulls first, q.id;
end;
$$;
comment on function spend.quotas_near_limit is
  'Quotas of which at least such a share of the limit is spent or held now, the fullest first, in pages of top rows after skip. Members see the quotas that spend.quota_status shows them, operators and service_role all. In a project of more than 1,000 tenants, operators and service_role see every quota that has reached its warning threshold, but of the others only those of which the job survey_spend has found half used within the last hour. Errors: 22023 invalid_report.';
grant execute on function spend.quotas_near_limit to authenticated, service_role;
