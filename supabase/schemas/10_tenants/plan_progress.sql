create view spend.plan_progress
with (security_invoker = true)
as
select
  p.id as plan_id, p.version,
  count(t.id) as tenants,
  count(t.id) filter (where t.plan_version = p.version) as up_to_date
from spend.plans as p
left join spend.tenants as t on t.plan_id = p.id
group by p.id;
comment on view spend.plan_progress is
  'How far a change of a plan''s quotas has come: tenants on the plan, and how many of them follow its present version. The others come with the next runs of spend.maintain().';
comment on column spend.plan_progress.plan_id is 'Plan, of spend.plans.';
comment on column spend.plan_progress.version is 'Present version of its quotas.';
comment on column spend.plan_progress.tenants is 'How many tenants are on the plan.';
comment on column spend.plan_progress.up_to_date is 'How many of them follow the present version. Fewer than tenants: spend.maintain() has more to do.';
-- Of tenants that the reader sees: to an operator, how many follow.
grant select on spend.plan_progress to authenticated, service_role;
