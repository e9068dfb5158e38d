-- Sixty tenants with three months of spend, for `npm run demo -- --fleet`: for the eye, not for a test of the gate. The
-- history is written into the ledger as it is; roll-ups and balances are then counted from it. Expects in auth.users the
-- people whom scripts/demo/fleet.ts signs up. Run as the owner of the database, in one transaction. The setting demo.tenants
-- makes fewer.

select setseed(0.42);

insert into spend.plans (id, name)
values ('free', 'Free'), ('team', 'Team'), ('business', 'Business');

insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
values
  ('free', 'tenant', 'llm', 'month', 5), ('free', 'tenant', 'e2b', 'month', 2),
  ('team', 'tenant', 'llm', 'month', 40), ('team', 'tenant', 'e2b', 'month', 15), ('team', 'tenant', 'all', 'month', 50),
  ('team', 'user', 'llm', 'month', 15),
  ('business', 'tenant', 'llm', 'month', 250), ('business', 'tenant', 'e2b', 'month', 80),
  ('business', 'tenant', 'all', 'day', 25), ('business', 'user', 'llm', 'day', 10);

update spend.plan_quotas set warning_thresholds = '{0.5, 0.8, 0.95}' where plan_id = 'business' and scope = 'tenant';

insert into spend.cost_quotas (scope, resource_type, period, limit_usd)
values ('platform', 'all', 'month', 5000), ('platform', 'llm', 'day', 400);

-- Tenants: what each spends in a month is spread over three orders of magnitude.
create temporary table fleet on commit drop as
select
  n, md5('tenant ' || n)::uuid as id,
  (array[
    'Northwind', 'Tailspin', 'Fabrikam', 'Contoso', 'Litware', 'Proseware', 'Adatum', 'Wingtip', 'Lamna', 'Trey',
    'Alpine', 'Coho', 'Margie', 'Humongous', 'Graphic', 'Lucerne', 'Southridge', 'Woodgrove', 'Fourth', 'Blue Yonder'
  ])[1 + (n - 1) % 20]
  || ' ' || (array['Labs', 'Health', 'Studio'])[1 + (n - 1) / 20] as name,
  case when n % 20 < 4 then 'business' when n % 20 < 12 then 'team' else 'free' end as plan_id,
  (array[
    'Europe/Berlin', 'America/New_York', 'UTC', 'Asia/Kolkata', 'America/Los_Angeles', 'Europe/London',
    'Pacific/Auckland', 'Asia/Tokyo', 'America/Sao_Paulo', 'Australia/Adelaide'
  ])[1 + (n * 7) % 10] as time_zone,
  case when n % 20 < 4 then 60 + random() * 160 when n % 20 < 12 then 6 + random() * 30 else 0.2 + random() * 4 end
    as month_usd,
  case when n % 20 < 4 then 28 when n % 20 < 12 then 14 else 4 end as calls_a_day,
  -- Some begin later.
  now() - make_interval(days => case when n % 9 = 0 then 30 else 92 end) as begins_at
from generate_series(1, coalesce(nullif(current_setting('demo.tenants', true), ''), '60')::integer) as n;

insert into spend.tenants (id, name, plan_id, time_zone, created_at)
select f.id, f.name, f.plan_id, f.time_zone, f.begins_at from fleet as f;

-- People: the signed-up ones belong to the first tenants, the others only spend.
create temporary table people on commit drop as
select
  f.id as tenant_id, md5('user ' || f.n || ' ' || m)::uuid as user_id, m,
  lower(
    (array['ada', 'grace', 'alan', 'edsger', 'barbara', 'donald', 'radia', 'leslie', 'margaret', 'dennis', 'frances', 'ken'])
      [1 + (f.n * 5 + m) % 12]
  ) || '.' || m || '@' || replace(lower(f.name), ' ', '-') || '.example' as email
from fleet as f
cross join lateral generate_series(1, case f.plan_id when 'business' then 9 when 'team' then 5 else 2 end) as m;

insert into auth.users (id, email, email_confirmed_at)
select p.user_id, p.email, now() from people as p;

insert into spend.tenant_members (tenant_id, user_id, role)
select p.tenant_id, p.user_id, case p.m when 1 then 'owner' when 2 then 'admin' else 'member' end from people as p;

insert into people (tenant_id, user_id, m, email)
select f.id, u.id, 0, u.email
from auth.users as u
join fleet as f on f.n = 1 or (f.n in (5, 13) and u.email = 'owner@example.com')
where u.email in ('owner@example.com', 'member@example.com');

insert into spend.tenant_members (tenant_id, user_id, role)
select p.tenant_id, p.user_id, split_part(p.email, '@', 1) from people as p where p.m = 0;

insert into spend.operators (user_id, role)
select u.id, 'editor' from auth.users as u where u.email = 'operator@example.com';

select spend_private.ensure_partition((date_trunc('month', now(), 'UTC') - make_interval(months => m))::date)
from generate_series(1, 4) as m;

-- Calls: fewer at weekends and at night, growing slowly, one day of one tenant out of all proportion.
create temporary table products (share numeric, provider text, product text, input_usd numeric, output_usd numeric, task text) on commit drop;
insert into products
select s.share, s.provider, s.product, i.usd / i.unit_size, o.usd / o.unit_size, s.task
from (
  values
    (0.34, 'openai', 'gpt-4o-mini', 'chat'), (0.58, 'openai', 'gpt-4o', 'chat'),
    (0.74, 'anthropic', 'claude-sonnet-4-5', 'agent'), (0.84, 'google', 'gemini-2.5-flash', 'summary'),
    (0.92, 'anthropic', 'claude-haiku-4-5', 'support')
) as s (share, provider, product, task)
join spend.current_prices as i on (i.provider, i.product, i.meter) = (s.provider, s.product, 'input_tokens')
  and i.service_tier = 'standard' and i.tier_from = 0 and i.tenant_id is null
join spend.current_prices as o on (o.provider, o.product, o.meter) = (s.provider, s.product, 'output_tokens')
  and o.service_tier = 'standard' and o.tier_from = 0 and o.tenant_id is null;

create temporary table calls on commit drop as
with days as (
  select
    f.*, d.at::date as day,
    case when extract(isodow from d.at) > 5 then 0.35 else 1.15 end
      * (0.75 + 0.5 * random()) * (0.7 + 0.6 * extract(epoch from d.at - (now() - interval '92 days')) / 7948800) as load
  from fleet as f
  cross join lateral generate_series(f.begins_at, now(), interval '1 day') as d (at)
),

drawn as (
  select
    d.*,
    -- Most calls by day, as the tenant's clock has it.
    (d.day + make_interval(secs => 86400 * case when random() < 0.15 then random() else 0.5 + 0.3 * (random() + random() - 1) end))
      at time zone d.time_zone as at,
    random() as which, random() as size, random() as who, random() as ending
  from days as d
  cross join lateral generate_series(
    1, round(d.calls_a_day * d.load * case when d.n = 4 and d.day = (now() - interval '1 day')::date then 9 else 1 end)::integer
  ) as k
)

select
  c.id as tenant_id, c.at as occurred_at, c.n, c.ending,
  (array(select p.user_id from people as p where p.tenant_id = c.id order by p.m))
    [1 + floor(c.who ^ 2 * (select count(*) from people as p where p.tenant_id = c.id))::integer] as user_id,
  coalesce(m.provider, 'e2b') as provider, coalesce(m.product, 'base') as product,
  case when m.provider is null then 'e2b' else 'llm' end as resource_type, coalesce(m.task, 'sandbox') as task,
  u.input, u.output, u.seconds,
  round(
    case
      when m.provider is null then u.seconds * (2 * 0.000014 + 0.5 * 0.0000045)
      else u.input::numeric * m.input_usd + u.output::numeric * m.output_usd
    end, 12
  ) as cost_usd
from drawn as c
left join lateral (
  select * from products as p where c.which < p.share order by p.share limit 1
) as m on true
cross join lateral (
  select
    round((c.month_usd / (30 * c.calls_a_day) * (0.4 + 1.8 * c.size ^ 2) / (coalesce(m.input_usd, 1) + 0.15 * coalesce(m.output_usd, 0)))::numeric) as input,
    round((0.15 * c.month_usd / (30 * c.calls_a_day) * (0.4 + 1.8 * c.size ^ 2) / (coalesce(m.input_usd, 1) + 0.15 * coalesce(m.output_usd, 0)))::numeric) as output,
    round((60 + 3000 * c.size ^ 3)::numeric) as seconds
) as u
where c.at > c.begins_at and c.at < now() - interval '10 minutes';

alter table calls add id uuid, add usage jsonb;
update calls as c
set
  -- As spend_private.new_reservation_id makes them, for a moment of the past.
  id = (
    lpad(to_hex((extract(epoch from c.occurred_at) * 1000)::bigint), 12, '0') || '8' || substr(r.hex, 1, 3)
    || 'a' || substr(r.hex, 4, 3) || left(c.tenant_id::text, 8) || substr(r.hex, 7, 4)
  )::uuid,
  usage = case
    when c.resource_type = 'e2b' then jsonb_build_object(
      'provider', 'e2b', 'template', 'base', 'vcpus', 2, 'memory_gib', 0.5, 'seconds', c.seconds
    )
    else jsonb_build_object(
      'provider', c.provider, 'model', c.product, 'input_tokens', c.input, 'output_tokens', c.output
    )
  end
from (select k.ctid as place, md5(k.ctid::text || random()) as hex from calls as k) as r
where r.place = c.ctid;

insert into spend.cost_events (
  tenant_id, occurred_at, booked_at, kind, reservation_id, user_id, conversation_id, task, resource_type, provider, product,
  usage, cost_usd, calls, is_estimated
)
select
  c.tenant_id, c.occurred_at, c.occurred_at + interval '8 seconds', case when c.ending < 0.004 then 'expiry' else 'charge' end,
  c.id, c.user_id, 'conversation-' || left(c.id::text, 6), c.task, c.resource_type, c.provider, c.product, c.usage,
  c.cost_usd, 1, c.ending < 0.01
from calls as c
where c.ending < 0.985
order by c.occurred_at;

-- A credit, as support gives it.
insert into spend.cost_events (tenant_id, occurred_at, kind, resource_type, cost_usd, metadata)
select f.id, now() - interval '3 days', 'adjustment', 'llm', -3, '{"reason": "credit for the incident of last week"}'
from fleet as f where f.n = 1;

-- Some calls were released, and cost nothing.
insert into spend.reservations (
  tenant_id, id, user_id, resource_type, provider, product, task, conversation_id, usage_estimate, estimated_cost_usd,
  actual_cost_usd, is_estimated, status, release_reason, holds, price_ids, created_at, expires_at, ended_at
)
select
  c.tenant_id, c.id, c.user_id, c.resource_type, c.provider, c.product, c.task, 'conversation-' || left(c.id::text, 6),
  c.usage, round(c.cost_usd * case when c.ending < 0.004 then 1 else 1.2 + c.ending * 2 end::numeric, 12),
  case when c.ending < 0.985 then c.cost_usd else 0 end, c.ending < 0.01,
  case when c.ending < 0.004 then 'expired' when c.ending < 0.985 then 'settled' else 'released' end,
  case when c.ending >= 0.985 then 'the provider refused the call' end, '{}', '{}', c.occurred_at,
  c.occurred_at + interval '10 minutes', c.occurred_at + interval '8 seconds'
from calls as c;

-- Limits set by hand: some that are near, some that are reached, whatever the day of the month.
select spend.rebuild_balances(q.id) from spend.cost_quotas as q;

update spend.cost_quotas as q
set limit_usd = round(s.spent_usd * (array[1.03, 1.12, 0.985, 1.2, 1.0])[1 + f.n % 5] + 0.01, 2)
from fleet as f, spend.quota_status as s
where q.tenant_id = f.id and s.quota_id = q.id and q.scope = 'tenant' and q.resource_type = 'llm' and q.period = 'month'
  and f.n in (2, 6, 7, 10, 14, 19, 23, 27, 33, 38, 41, 52) and s.spent_usd > 0.5;

update spend.cost_quotas as q
set limit_usd = 30
from people as p
where q.tenant_id = p.tenant_id and q.scope_id = p.user_id and p.email = 'owner@example.com'
  and q.resource_type = 'llm' and q.limit_usd < 30;

update spend.tenants as t set closed_at = now() - interval '9 days' from fleet as f where f.id = t.id and f.n = 40;

-- Refusals of the past weeks, at the limits that are reached or nearly so.
insert into spend.refusal_counts (
  tenant_id, hour, quota_id, user_id, reason, part, scope, refusals, first_at, last_at, last_estimated_cost_usd, last_limit_usd
)
select
  s.tenant_id, h.hour, s.quota_id, p.user_id, (array['limit_reached', 'limit_reached', 'in_flight', 'exceeds_limit'])[1 + (k % 4)],
  0, s.scope, 1 + floor(random() * 40), h.hour + interval '2 minutes', h.hour + interval '50 minutes',
  round((0.01 + random() / 4)::numeric, 6), s.limit_usd
from spend.quota_status as s
join people as p on p.tenant_id = s.tenant_id and p.m = 1
cross join lateral generate_series(1, 6) as k
cross join lateral (
  select date_trunc('hour', now() - make_interval(hours => 1 + k * k * 5 + s.quota_id::integer % 5), 'UTC') as hour
) as h
where s.scope = 'tenant' and s.utilization_percent > 95;

-- Calls that are open now, and calls that are refused now: by the gate itself.
select spend.reserve(
  m.tenant_id, m.user_id, 'llm',
  jsonb_build_object('provider', 'openai', 'model', 'gpt-4o', 'input_tokens', 2000 * f.n, 'output_tokens', 1500),
  ttl_seconds => 3600
)
from spend.tenant_members as m
join fleet as f on f.id = m.tenant_id
where m.role in ('owner', 'admin') and f.n in (1, 2, 3, 4, 7, 8, 14);

-- Channels, of the platform and of the first tenant. Nobody listens there.
select spend.save_alert_channel(
  null, 'pagerduty', 'On call', '0123456789abcdef0123456789abcdef',
  kinds => '{quota_exceeded,settle_failed,verification_failed,job_failed}', scopes => '{platform,operator}'
);
select spend.save_alert_channel(null, 'webhook', 'Billing', 'https://billing.example.com/alerts', secret => 'for-demonstration-only');
select spend.save_alert_channel(f.id, 'slack', '#spend', 'https://slack.example.com/services/T0/B0/demonstration')
from fleet as f where f.n = 1;
select spend.save_alert_channel(
  f.id, 'email', 'Finance', 'finance@northwind-labs.example', kinds => '{quota_exceeded,forecast_exceeded}', scopes => '{tenant}',
  quiet_minutes => 1440
)
from fleet as f where f.n = 1;
select spend.save_alert_channel(
  f.id, 'webhook', 'Old dashboard', 'https://dashboard.example.com/hook', quiet_minutes => 0, is_enabled => false
)
from fleet as f where f.n = 1;
