create table spend.refusal_counts (
  tenant_id uuid not null,
  hour timestamptz not null,
  quota_id bigint not null,
  user_id uuid,
  reason text not null,
  part spend_private.part_number not null,
  scope text not null,
  refusals spend_private.refusal_number not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  last_estimated_cost_usd numeric(24, 12) not null,
  last_limit_usd numeric(24, 12),
  constraint one_refusal_count_per_part unique nulls not distinct (tenant_id, hour, quota_id, user_id, reason, part),
  constraint reason_is_known check (reason in ('exceeds_limit', 'limit_reached', 'in_flight'))
)
-- Counted in place, over and over: free space keeps the new versions beside the old.
with (fillfactor = 50);
comment on table spend.refusal_counts is
  'How often each quota refused each user, by hour and reason, in parts: transactions that refuse at once write different rows. spend.refusals_by_hour adds the parts up. Kept for keep_refusal_days.';
comment on column spend.refusal_counts.tenant_id is 'Tenant whose call was refused, also where the quota is the platform''s.';
comment on column spend.refusal_counts.hour is 'The full hour, UTC, in which the transactions that refused began.';
comment on column spend.refusal_counts.quota_id is 'Quota that the answer named, of spend.cost_quotas; it may be gone by now.';
comment on column spend.refusal_counts.user_id is 'Whose call it was; null for work of the tenant itself.';
comment on column spend.refusal_counts.reason is 'See spend_private.refusal_reason.';
comment on column spend.refusal_counts.part is 'As many parts as transactions refused at the same moment; spend.maintain() puts them together an hour later.';
comment on column spend.refusal_counts.scope is 'Scope of the quota, which may be gone by now.';
comment on column spend.refusal_counts.refusals is 'Refusals in this part.';
comment on column spend.refusal_counts.first_at is 'When the first of them was refused.';
comment on column spend.refusal_counts.last_at is 'When the last of them was refused.';
comment on column spend.refusal_counts.last_estimated_cost_usd is 'What the last refused call would have held.';
comment on column spend.refusal_counts.last_limit_usd is 'The quota''s limit then. Null for the platform''s quotas, whose limits are no tenant''s business.';

create index refusal_counts_hour_idx on spend.refusal_counts (hour);
create index refusal_counts_spare_idx on spend.refusal_counts (hour) where part > 0;

alter table spend.refusal_counts enable row level security;
create policy "members read their own, admins the tenant's, operators all" on spend.refusal_counts
for select to authenticated
using (
  (user_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or tenant_id = any (array(select spend_private.managed_tenant_ids()))
  or (
    tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
    and ((select spend_private.operator_role()) in ('viewer', 'editor') or tenant_id >= spend_private.first_operated())
  )
);
grant select on spend.refusal_counts to authenticated, service_role;

create view spend.refusals_by_hour
with (security_invoker = true)
as
select
  c.tenant_id, c.hour, c.quota_id, c.scope, c.user_id, c.reason,
  sum(c.refusals)::bigint as refusals,
  min(c.first_at) as first_at,
  max(c.last_at) as last_at,
  (array_agg(c.last_estimated_cost_usd order by c.last_at desc, c.part))[1] as last_estimated_cost_usd,
  (array_agg(c.last_limit_usd order by c.last_at desc, c.part))[1] as last_limit_usd
from spend.refusal_counts as c
group by 1, 2, 3, 4, 5, 6;
comment on view spend.refusals_by_hour is
  'Why calls were refused: how often, by tenant, hour (UTC), quota, user and reason, with the first and last time, and what the last one would have cost. A call that several quotas refuse counts for the one that its answer names; a repeated idempotency key that gets its old answer does not count again.';
comment on column spend.refusals_by_hour.tenant_id is 'Tenant whose call was refused, also where the quota is the platform''s.';
comment on column spend.refusals_by_hour.hour is 'Start of the hour, full in UTC.';
comment on column spend.refusals_by_hour.quota_id is 'Quota that the answer named, of spend.cost_quotas; it may be gone by now.';
comment on column spend.refusals_by_hour.scope is 'Scope of the quota: platform, tenant or user.';
comment on column spend.refusals_by_hour.user_id is 'Whose calls they were; null for work of the tenant itself.';
comment on column spend.refusals_by_hour.reason is 'limit_reached: what was spent left no room; in_flight: what open calls held left none; exceeds_limit: the call alone was larger than the limit.';
comment on column spend.refusals_by_hour.refusals is 'How often reserve and extend refused; not what enforce = false or observe let pass.';
comment on column spend.refusals_by_hour.first_at is 'When the first was refused.';
comment on column spend.refusals_by_hour.last_at is 'When the last was refused.';
comment on column spend.refusals_by_hour.last_estimated_cost_usd is 'USD that the last refused call would have held, or held more.';
comment on column spend.refusals_by_hour.last_limit_usd is 'USD per period that the quota allowed then. Null for the platform''s quotas, whose limits are no tenant''s business.';
grant select on spend.refusals_by_hour to authenticated, service_role;

create function spend_private.count_refusal(
  p_tenant_id uuid,
  p_user_id uuid,
  p_answer spend.reserve_result,
  p_now timestamptz
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend.quota_details := p_answer.quota;
  v_hour timestamptz := date_trunc('hour', p_now, 'UTC');
  v_part integer := 0;
begin
  -- Only where the request to the API is this refusal and no more, and nothing was written before: a crash may cost
  -- the last counts, and nothing else. Whoever calls from SQL may go on to book, or to write rows of his own.
  if pg_current_xact_id_if_assigned() is null
    and current_setting('request.path', true) in ('/rpc/reserve', '/rpc/extend')
  then
    perform set_config('synchronous_commit', 'off', true);
  end if;

  -- The first part that no other open transaction counts in: nobody waits, none is lost, and there are never more
  -- parts than there were transactions at once.
  while not pg_try_advisory_xact_lock(hash_record_extended(
    row(p_tenant_id, v_hour, v_quota.quota_id, p_user_id, p_answer.reason), v_part
  )) loop
    v_part := v_part + 1;
  end loop;
  insert into spend.refusal_counts as c (
    tenant_id, hour, quota_id, user_id, reason, part, scope, refusals, first_at, last_at,
    last_estimated_cost_usd, last_limit_usd
  )
  values (
    p_tenant_id, v_hour, v_quota.quota_id, p_user_id, p_answer.reason, v_part, v_quota.scope, 1, p_now, p_now,
    p_answer.estimated_cost_usd, case when v_quota.scope <> 'platform' then v_quota.limit_usd end
  )
  on conflict on constraint one_refusal_count_per_part do update set
    refusals = c.refusals + 1,
    first_at = least(c.first_at, excluded.first_at),
    last_at = greatest(c.last_at, excluded.last_at),
    last_estimated_cost_usd = excluded.last_estimated_cost_usd,
    last_limit_usd = excluded.last_limit_usd;
end;
$$;
comment on function spend_private.count_refusal is
  'Counts a refusal (spend.refusal_counts), exactly and without waiting for another one. reserve and extend call it last, after all that must not be lost.';

create function spend_private.fold_refusals(
  p_max_rows integer default 10000,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_folded bigint;
begin
  with spare as materialized (
    select c.ctid as place
    from spend.refusal_counts as c
    -- Of an hour that is over for an hour: transactions that began in it have ended.
    where c.part > 0 and c.hour < p_now - interval '2 hours'
    order by c.hour
    limit p_max_rows
    for update skip locked
  ),
  gone as (
    delete from spend.refusal_counts as c
    where c.ctid = any (array(select s.place from spare as s))
    returning c.*
  ),
  folded as (
    insert into spend.refusal_counts as c (
      tenant_id, hour, quota_id, user_id, reason, part, scope, refusals, first_at, last_at,
      last_estimated_cost_usd, last_limit_usd
    )
    select
      g.tenant_id, g.hour, g.quota_id, g.user_id, g.reason, 0, min(g.scope), sum(g.refusals), min(g.first_at),
      max(g.last_at), (array_agg(g.last_estimated_cost_usd order by g.last_at desc))[1],
      (array_agg(g.last_limit_usd order by g.last_at desc))[1]
    from gone as g
    group by 1, 2, 3, 4, 5
    on conflict on constraint one_refusal_count_per_part do update set
      refusals = c.refusals + excluded.refusals,
      first_at = least(c.first_at, excluded.first_at),
      last_at = greatest(c.last_at, excluded.last_at),
      last_estimated_cost_usd = case
        when excluded.last_at > c.last_at then excluded.last_estimated_cost_usd else c.last_estimated_cost_usd
      end,
      last_limit_usd = case when excluded.last_at > c.last_at then excluded.last_limit_usd else c.last_limit_usd end
    returning 1
  )
  select count(*) into v_folded from gone where (select count(*) from folded) is not null;
  return v_folded;
end;
$$;
comment on function spend_private.fold_refusals is
  'Puts the parts of refusal counts together, one row for each hour and key, once the hour is over for an hour; p_max_rows parts at most. Returns how many parts are gone.';
