create table spend.cost_quotas (
  id bigint generated always as identity primary key,
  scope text not null,
  tenant_id uuid references spend.tenants (id) on delete cascade,
  scope_id uuid,
  resource_type text not null,
  period text not null,
  limit_usd numeric not null,
  warning_threshold numeric not null default 0.8,
  enforcement text not null default 'block',
  estimate_policy text not null default 'strict',
  slots integer not null,
  task text,
  product text,
  source text not null default 'manual',
  created_at timestamptz not null default now(),
  shape_since timestamptz not null default '-infinity',
  warning_thresholds numeric[] not null default '{0.8}',
  constraint one_quota_per_subject unique nulls not distinct (
    tenant_id, scope_id, resource_type, period, task, product
  ),
  constraint scope_is_known check (scope in ('platform', 'tenant', 'user')),
  constraint platform_has_no_tenant check ((scope = 'platform') = (tenant_id is null)),
  constraint scope_id_fits_scope check (
    case scope
      when 'platform' then scope_id is null
      when 'tenant' then scope_id = tenant_id
      else scope_id is not null and scope_id <> tenant_id
    end
  ),
  constraint resource_type_is_known check (resource_type in ('llm', 'e2b', 'all')),
  constraint period_is_known check (period in ('hour', 'day', 'week', 'month', 'lifetime')),
  constraint limit_is_not_negative check (limit_usd >= 0 and limit_usd < 1000000000000),
  constraint warning_threshold_is_a_share check (warning_threshold > 0 and warning_threshold <= 1),
  constraint warning_thresholds_are_shares check (spend_private.are_thresholds(warning_thresholds)),
  constraint warning_threshold_is_the_lowest check (warning_threshold = warning_thresholds[1]),
  constraint enforcement_is_known check (enforcement in ('block', 'observe')),
  constraint estimate_policy_is_known check (estimate_policy in ('strict', 'expected')),
  constraint slots_are_in_range check (slots between 1 and 256),
  constraint source_is_known check (source in ('plan', 'manual'))
);
comment on table spend.cost_quotas is
  'Limits. A call must fit every quota that matches it; without one there is no limit. Rows of source plan follow plan_quotas; editing one by hand makes it manual.';
comment on column spend.cost_quotas.id is 'What balances, reservations and alerts refer to.';
comment on column spend.cost_quotas.scope is 'Whose spend counts: platform (all tenants'' together), tenant, or user (one member''s in one tenant).';
comment on column spend.cost_quotas.tenant_id is 'Tenant of the quota, or of its user; null for the platform.';
comment on column spend.cost_quotas.scope_id is 'Null for the platform, the tenant''s id, or the user''s id. May be omitted for the first two.';
comment on column spend.cost_quotas.resource_type is 'llm, e2b, or all for their sum.';
comment on column spend.cost_quotas.period is 'Calendar period in the tenant''s time zone (platform: UTC); weeks begin on Monday.';
comment on column spend.cost_quotas.limit_usd is 'USD per period. 0 refuses everything.';
comment on column spend.cost_quotas.warning_threshold is 'Share of the limit from which on answers carry a warning and an alert is recorded: the lowest of warning_thresholds. Setting it alone replaces that one, and removes those that it moves past.';
comment on column spend.cost_quotas.warning_thresholds is 'Shares of the limit, ascending, 1 to 10, each above 0 and at most 1, three decimals: at each an alert is recorded. Omitted: warning_threshold alone.';
comment on column spend.cost_quotas.enforcement is 'block refuses; observe counts and alerts but never refuses.';
comment on column spend.cost_quotas.estimate_policy is 'strict: a call is held at the most that it can cost. expected: at what the tenant''s recent calls of its kind cost (spend_private.call_to_hold), if every quota that could refuse the call is expected too; spend may then exceed the limit by what open calls cost more than expected.';
comment on column spend.cost_quotas.slots is 'Balances that the quota is split into, so that concurrent calls do not wait for one row. Default: platform 64, tenant 8, user 1. Splitting never changes an answer.';
comment on column spend.cost_quotas.task is 'When set, only calls of this task count.';
comment on column spend.cost_quotas.shape_since is 'When its period or subject last changed; -infinity: never. Kept by a trigger.';
comment on column spend.cost_quotas.product is 'When set, only calls of this model or template count. Kept under the name that reservations have (resolve_quota_product), however it was written.';
comment on column spend.cost_quotas.source is 'plan: follows plan_quotas. manual: set or changed by hand; a plan leaves it alone.';
comment on column spend.cost_quotas.created_at is 'When the quota was inserted. Earlier spend in its period counts too.';

alter table spend.cost_quotas enable row level security;
create policy "members read their tenant's quotas and their own, operators all" on spend.cost_quotas
for select to authenticated
using (
  (scope = 'tenant' and tenant_id = any (array(select spend_private.member_tenant_ids())))
  or (
    scope = 'user' and (
      (scope_id = (select auth.uid()) and tenant_id = any (array(select spend_private.member_tenant_ids())))
      or tenant_id = any (array(select spend_private.managed_tenant_ids()))
    )
  )
  or (
    tenant_id is not null
    and tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
    and ((select spend_private.operator_role()) in ('viewer', 'editor') or tenant_id >= spend_private.first_operated())
  )
  or (tenant_id is null and (select spend_private.operator_role()) in ('viewer', 'editor'))
);
grant select on spend.cost_quotas to authenticated;
grant select, insert, update, delete on spend.cost_quotas to service_role;

comment on constraint cost_quotas_pkey on spend.cost_quotas is
  'id: there is a quota of this id. Omit it: the database sets it.';
comment on constraint cost_quotas_tenant_id_fkey on spend.cost_quotas is
  'tenant_id: the id of a row of spend.tenants. Insert the tenant there first.';
comment on constraint one_quota_per_subject on spend.cost_quotas is
  'scope_id: there is a quota of this subject, resource_type, period, task and product. Update that row.';
comment on constraint scope_is_known on spend.cost_quotas is
  'scope: platform, tenant or user.';
comment on constraint platform_has_no_tenant on spend.cost_quotas is
  'tenant_id: null for the scope platform; for the scopes tenant and user the id of the tenant.';
comment on constraint scope_id_fits_scope on spend.cost_quotas is
  'scope_id: null for the scope platform; for the scope tenant the tenant''s id, or omitted; for the scope user the id of the user.';
comment on constraint resource_type_is_known on spend.cost_quotas is
  'resource_type: llm, e2b, or all for their sum.';
comment on constraint period_is_known on spend.cost_quotas is
  'period: hour, day, week, month or lifetime.';
comment on constraint limit_is_not_negative on spend.cost_quotas is
  'limit_usd: USD per period, 0 (refuses everything) or more, less than 1,000,000,000,000. For no limit, delete the row.';
comment on constraint warning_threshold_is_a_share on spend.cost_quotas is
  'warning_threshold: a share of the limit, more than 0 and at most 1: 0.8 for 80 %.';
comment on constraint warning_thresholds_are_shares on spend.cost_quotas is
  'warning_thresholds: 1 to 10 shares of the limit, each more than 0 and at most 1: {0.8,0.95} for 80 % and 95 %.';
comment on constraint warning_threshold_is_the_lowest on spend.cost_quotas is
  'warning_threshold: the lowest of warning_thresholds. Set one of the two; the other follows.';
comment on constraint enforcement_is_known on spend.cost_quotas is
  'enforcement: block (refuses what does not fit) or observe (counts and alerts, never refuses).';
comment on constraint estimate_policy_is_known on spend.cost_quotas is
  'estimate_policy: strict (holds the most that a call can cost) or expected (holds what such calls cost recently).';
comment on constraint slots_are_in_range on spend.cost_quotas is
  'slots: 1 to 256; omit it for the default.';
comment on constraint source_is_known on spend.cost_quotas is
  'source: manual, or plan for a row that follows spend.plan_quotas. Omit it: rows that you write are manual.';

-- Rows that follow a plan were checked with the plan. (Setting this by hand loses the explanation, not the check.)
create trigger explain_mistakes before insert or update on spend.cost_quotas
for each row when (current_setting('spend.seeding', true) is distinct from 'on')
execute function spend_private.explain_mistakes('quota');
create trigger "Explain_references" after insert or update on spend.cost_quotas
for each row when (current_setting('spend.seeding', true) is distinct from 'on')
execute function spend_private.explain_references();
