-- A project of many tenants: a member each, and three quotas. Written past the triggers, which make each row as in life, one by
-- one; here they come as those would leave them.
create function bench.populate_fleet(p_tenants integer)
returns void
language plpgsql
set session_replication_role = 'replica'
as $$
begin
  insert into spend.tenants (id, name, plan_id, plan_version, created_at)
  select bench.tenant_id(t), 'Tenant ' || t, p.id, p.version, now() - interval '1 year'
  from generate_series(1, p_tenants) as t, spend.plans as p
  where p.id = 'default';
  insert into auth.users (id, email)
  select bench.tenant_id(-t), 'user' || t || '@example.com' from generate_series(1, p_tenants) as t;
  insert into spend.tenant_members (tenant_id, user_id, is_seeded)
  select bench.tenant_id(t), bench.tenant_id(-t), true from generate_series(1, p_tenants) as t;
  insert into spend.cost_quotas (
    scope, tenant_id, scope_id, resource_type, period, limit_usd, warning_threshold, estimate_policy, slots, source
  )
  select
    p.scope, m.tenant_id, case p.scope when 'tenant' then m.tenant_id else m.user_id end, p.resource_type, p.period, p.limit_usd,
    p.warning_threshold, p.estimate_policy, coalesce(p.slots, spend_private.default_slots(p.scope)), 'plan'
  from spend.tenant_members as m
  join spend.tenants as t on t.id = m.tenant_id
  join spend.plan_quotas as p on p.plan_id = t.plan_id;
end;
$$;

-- What a project of many tenants has spent in five weeks: one in ten each day, and most of its monthly limit, the others on one day
-- in four, one in 500 thirty times as much today. The calls of the last week have their reservations; balances are opened from the
-- sums. On a scratch database alone: events cannot be deleted.
create function bench.fill_fleet()
returns void
language plpgsql
as $$
declare
  v_month tstzrange := spend_private.period_bounds('month', 'UTC');
  v_day tstzrange := spend_private.period_bounds('day', 'UTC');
  v_days_of_month integer := extract(day from now() at time zone 'UTC');
  -- As if booked by the transactions that this server has seen so far: roll-ups wait for those to come.
  v_transactions bigint := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
  v_calls bigint;
begin
  perform spend_private.ensure_partition((date_trunc('month', now() - make_interval(days => d), 'UTC') at time zone 'UTC')::date)
  from generate_series(0, 36, 12) as d;

  create temporary table calls on commit drop as
  select
    row_number() over (order by c.at) as n, c.tenant_id, c.user_id, c.at, c.usd,
    case
      when c.days <= 7 then (
        lpad(to_hex((extract(epoch from c.at) * 1000)::bigint), 12, '0') || '8' || substr(c.random, 1, 3) || 'a'
        || substr(c.random, 4, 3) || left(c.tenant_id::text, 8) || substr(c.random, 7, 4)
      )::uuid
      -- Retention has deleted theirs.
      else gen_random_uuid()
    end as id,
    c.days <= 7 as has_reservation
  from (
    select
      t.tenant_id, t.user_id, d.days, md5(t.n || ' ' || d.days) as random,
      case d.days
        when 0 then now() - make_interval(secs => t.n % 3000)
        else date_trunc('day', now(), 'UTC') - make_interval(days => d.days, hours => -(t.n * 7 + d.days)::integer % 24)
      end as at,
      case
        when t.n % 10 = 0 then trunc(0.85 * t.limit_usd / v_days_of_month, 2)
        when t.n % 500 = 3 and d.days = 0 then 15 + t.n % 100 * 3
        else 0.5 + t.n % 100 * 0.1
      end as usd
    from (
      select m.tenant_id, m.user_id, q.limit_usd, row_number() over (order by m.tenant_id) as n
      from spend.tenant_members as m
      join spend.cost_quotas as q on q.tenant_id = m.tenant_id and q.scope = 'tenant' and q.resource_type = 'llm'
    ) as t
    cross join generate_series(0, 34) as d (days)
    where t.n % 10 = 0 or (t.n + d.days) % 4 = 0 or (t.n % 500 = 3 and d.days = 0)
  ) as c;
  get diagnostics v_calls = row_count;

  insert into spend.cost_events (
    tenant_id, occurred_at, booked_at, booked_xid, kind, reservation_id, user_id, task, resource_type, provider, product, usage,
    cost_usd, calls, price_ids
  )
  select
    c.tenant_id, c.at, c.at, (4 + c.n * (v_transactions - 5) / v_calls)::text::xid8, 'charge', c.id, c.user_id, 'chat', 'llm', 'bench',
    'model-' || c.n % 3, '{"input_tokens": 1000}', c.usd, 1, '{1}'
  from calls as c
  order by c.n;
  insert into spend.reservations (
    tenant_id, id, user_id, resource_type, provider, product, task, usage_estimate, estimated_cost_usd, actual_cost_usd, status,
    holds, price_ids, created_at, expires_at, ended_at
  )
  select
    c.tenant_id, c.id, c.user_id, 'llm', 'bench', 'model-' || c.n % 3, 'chat', '{"input_tokens": 1000}', c.usd, c.usd, 'settled',
    '{}', '{1}', c.at, c.at + interval '10 minutes', c.at + interval '5 seconds'
  from calls as c
  where c.has_reservation
  order by c.n;

  -- The function that opens a period opens these, with sums that are made here at once.
  delete from spend_private.quota_balances;
  perform spend_private.insert_balances(q, s.bounds, s.usd, '{}')
  from (
    select q.id, v_month as bounds, sum(c.usd) as usd
    from (select c.tenant_id, sum(c.usd) as usd from calls as c where c.at <@ v_month group by c.tenant_id) as c
    join spend.cost_quotas as q
      on q.tenant_id = c.tenant_id and q.scope = 'tenant' and q.period = 'month' and q.resource_type in ('llm', 'all')
    group by q.id
    union all
    select q.id, v_day, sum(c.usd)
    from calls as c
    join spend.cost_quotas as q on q.tenant_id = c.tenant_id and q.scope_id = c.user_id and q.period = 'day'
    where c.at <@ v_day
    group by q.id
    union all
    select q.id, v_month, (select sum(c.usd) from calls as c where c.at <@ v_month)
    from spend.cost_quotas as q
    where q.scope = 'platform'
  ) as s
  join spend.cost_quotas as q on q.id = s.id;

  insert into spend.refusal_counts (
    tenant_id, hour, quota_id, user_id, reason, part, scope, refusals, first_at, last_at, last_estimated_cost_usd, last_limit_usd
  )
  select
    q.tenant_id, h.hour, q.id, null, 'limit_reached', 0, 'tenant', 3, h.hour, h.hour, 1, q.limit_usd
  from spend.cost_quotas as q
  cross join generate_series(date_trunc('hour', now(), 'UTC') - interval '1 day', now(), '1 hour') as h (hour)
  where q.scope = 'tenant' and q.resource_type = 'llm' and q.id % 500 = 0;
end;
$$;
