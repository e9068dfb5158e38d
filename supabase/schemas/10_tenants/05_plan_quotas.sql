create table spend.plan_quotas (
  plan_id text not null references spend.plans (id) on delete cascade,
  scope text not null,
  resource_type text not null,
  period text not null,
  limit_usd numeric not null,
  warning_threshold numeric not null default 0.8,
  estimate_policy text not null default 'strict',
  slots integer,
  warning_thresholds numeric[] not null default '{0.8}',
  primary key (plan_id, scope, resource_type, period),
  constraint scope_is_known check (scope in ('tenant', 'user')),
  constraint resource_type_is_known check (resource_type in ('llm', 'e2b', 'all')),
  constraint period_is_known check (period in ('hour', 'day', 'week', 'month', 'lifetime')),
  constraint limit_is_not_negative check (limit_usd >= 0 and limit_usd < 1000000000000),
  constraint warning_threshold_is_a_share check (warning_threshold > 0 and warning_threshold <= 1),
  constraint warning_thresholds_are_shares check (spend_private.are_thresholds(warning_thresholds)),
  constraint warning_threshold_is_the_lowest check (warning_threshold = warning_thresholds[1]),
  constraint estimate_policy_is_known check (estimate_policy in ('strict', 'expected')),
  constraint slots_are_in_range check (slots between 1 and 256)
);
comment on table spend.plan_quotas is
  'Quotas that every tenant of a plan (scope tenant) and every member of such a tenant (scope user) gets. A change here reaches the tenants of the plan at once, except where a quota was overridden by hand (cost_quotas.source = ''manual'').';
comment on column spend.plan_quotas.plan_id is 'Plan that it belongs to.';
comment on column spend.plan_quotas.scope is 'tenant: one quota for each tenant of the plan. user: one for each member of such a tenant.';
comment on column spend.plan_quotas.resource_type is 'llm, e2b, or all for their sum.';
comment on column spend.plan_quotas.period is 'hour, day, week, month or lifetime, of the tenant''s time zone; weeks begin on Monday.';
comment on column spend.plan_quotas.limit_usd is 'USD per period.';
comment on column spend.plan_quotas.warning_threshold is 'Share of the limit from which on answers carry a warning: the lowest of warning_thresholds.';
comment on column spend.plan_quotas.warning_thresholds is 'Shares of the limit at each of which an alert is recorded, as in spend.cost_quotas. Omitted: warning_threshold alone.';
comment on column spend.plan_quotas.estimate_policy is 'What the quotas hold for a call: strict, or expected (see spend.cost_quotas).';
comment on column spend.plan_quotas.slots is 'Balances that the quota is split into; null takes the default of the scope (tenant 8, user 1).';

alter table spend.plan_quotas enable row level security;
create policy "signed-in users read the plans' quotas" on spend.plan_quotas
for select to authenticated using (true);
grant select on spend.plan_quotas to authenticated;
grant select, insert, update, delete on spend.plan_quotas to service_role;

insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
values
  ('default', 'tenant', 'llm', 'month', 100),
  ('default', 'tenant', 'e2b', 'month', 50),
  ('default', 'tenant', 'all', 'month', 150);

comment on constraint plan_quotas_pkey on spend.plan_quotas is
  'plan_id: the plan has a quota of this scope, resource_type and period. Update that row.';
comment on constraint plan_quotas_plan_id_fkey on spend.plan_quotas is
  'plan_id: the id of a row of spend.plans. Insert the plan there first.';
comment on constraint scope_is_known on spend.plan_quotas is
  'scope: tenant (one quota for the whole tenant) or user (one for each member). A quota of the platform belongs to no plan: insert it into spend.cost_quotas.';
comment on constraint resource_type_is_known on spend.plan_quotas is
  'resource_type: llm, e2b, or all for their sum.';
comment on constraint period_is_known on spend.plan_quotas is
  'period: hour, day, week, month or lifetime.';
comment on constraint limit_is_not_negative on spend.plan_quotas is
  'limit_usd: USD per period, 0 (refuses everything) or more, less than 1,000,000,000,000. For no limit, delete the row.';
comment on constraint warning_threshold_is_a_share on spend.plan_quotas is
  'warning_threshold: a share of the limit, more than 0 and at most 1: 0.8 for 80 %.';
comment on constraint warning_thresholds_are_shares on spend.plan_quotas is
  'warning_thresholds: 1 to 10 shares of the limit, each more than 0 and at most 1: {0.8,0.95} for 80 % and 95 %.';
comment on constraint warning_threshold_is_the_lowest on spend.plan_quotas is
  'warning_threshold: the lowest of warning_thresholds. Set one of the two; the other follows.';
comment on constraint estimate_policy_is_known on spend.plan_quotas is
  'estimate_policy: strict (holds the most that a call can cost) or expected (holds what such calls cost recently).';
comment on constraint slots_are_in_range on spend.plan_quotas is
  'slots: 1 to 256; omit it for the default.';

create trigger explain_mistakes before insert or update on spend.plan_quotas
for each row execute function spend_private.explain_mistakes('plan_quota');
create trigger "Explain_references" after insert or update on spend.plan_quotas
for each row execute function spend_private.explain_references();

create function spend_private.complete_plan_quota()
returns trigger
language plpgsql
-- Definer: it calls functions that the caller may not.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  new.limit_usd := round(new.limit_usd, 12);
  new.warning_threshold := round(new.warning_threshold, 3);
  new.warning_thresholds := case tg_op
    when 'INSERT' then spend_private.new_thresholds(new.warning_thresholds, new.warning_threshold)
    else spend_private.new_thresholds(
      new.warning_thresholds, new.warning_threshold, old.warning_thresholds, old.warning_threshold
    )
  end;
  if spend_private.are_thresholds(new.warning_thresholds) then
    new.warning_threshold := new.warning_thresholds[1];
  end if;
  return new;
end;
$$;
comment on function spend_private.complete_plan_quota is
  'Trigger: rounds limit and thresholds to the precision of the ledger, and keeps warning_threshold the lowest, as complete_quota does, so that quotas that follow the plan, and owners who go up to its limit, have exactly that.';

create trigger complete_plan_quota before insert or update on spend.plan_quotas
for each row execute function spend_private.complete_plan_quota();
