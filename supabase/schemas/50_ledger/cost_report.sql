create type spend.cost_report_line as (
  tenant_id uuid,
  user_id uuid,
  task text,
  conversation_id text,
  resource_type text,
  provider text,
  product text,
  day date,
  cost_usd numeric,
  calls bigint
);
comment on type spend.cost_report_line is
  'Line of spend.cost_report: what it is grouped by (all other columns are null), cost in USD, number of calls.';
comment on column spend.cost_report_line.tenant_id is 'Tenant that pays. Null: not grouped by tenant.';
comment on column spend.cost_report_line.user_id is 'Member who called, or whom an adjustment is for. Null: the tenant itself, or not grouped by user.';
comment on column spend.cost_report_line.task is 'What the calls were for. Null: adjustments, or not grouped by task.';
comment on column spend.cost_report_line.conversation_id is 'The caller''s name of the conversation. Null: not grouped by conversation.';
comment on column spend.cost_report_line.resource_type is 'llm or e2b. Null: not grouped by resource_type.';
comment on column spend.cost_report_line.provider is 'Who sold it. Null: adjustments, or not grouped by provider.';
comment on column spend.cost_report_line.product is 'Model or template, as in spend.reservations. Null: adjustments, or not grouped by product.';
comment on column spend.cost_report_line.day is 'Day in the tenant''s time zone. Null: not grouped by day.';
comment on column spend.cost_report_line.cost_usd is 'USD booked. Negative where credits or corrections exceed spend.';
comment on column spend.cost_report_line.calls is 'Calls booked; released ones and adjustments do not count.';

create function spend.cost_report(
  group_by text[] default '{day}',
  from_day date default null,
  to_day date default null,
  tenant_id uuid default null,
  user_id uuid default null,
  resource_type text default null,
  task text default null,
  conversation_id text default null,
  provider text default null,
  product text default null,
  top integer default null
)
returns setof spend.cost_report_line
language plpgsql stable
-- Invoker: row-level security decides whose spend the reader sees.
security invoker
set search_path = pg_catalog, pg_temp
-- Planned for the filters of each call: null filters vanish, the others find their index.
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_by text[] := coalesce(cost_report.group_by, '{}');
  v_by_conversation boolean := cost_report.conversation_id is not null or 'conversation' = any (v_by);
  v_from timestamptz;
  v_before timestamptz;
begin
  if not v_by <@ array['tenant', 'user', 'task', 'conversation', 'resource_type', 'provider', 'product', 'day']
    or cost_report.top < 1
    or isfinite(cost_report.from_day) and cost_report.from_day not between '0001-01-01' and '9999-12-31'
    or isfinite(cost_report.to_day) and cost_report.to_day not between '0001-01-01' and '9999-12-31'
  then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object(
        'group_by', v_by, 'top', cost_report.top, 'from_day', cost_report.from_day, 'to_day', cost_report.to_day
      )::text,
      hint = 'group_by: any of tenant, user, task, conversation, resource_type, provider, product, day; top: at least 1; from_day, to_day: of the years 1 to 9999, or infinite.';
  end if;
  -- Days are in the tenants' time zones: a UTC day more on either side covers all of them.
  v_from := (
    coalesce(cost_report.from_day, (now() at time zone 'UTC')::date - 30) - 1
  )::timestamp at time zone 'UTC';
  v_before := (cost_report.to_day + 2)::timestamp at time zone 'UTC';

  return query
  with costs as (
    select h.*, null::text as conversation_id
    from spend.hourly_costs as h
    where not v_by_conversation
    union all
    select
      h.tenant_id, h.hour, h.resource_type, h.provider, h.product, h.task, h.user_id, h.cost_usd,
      h.calls, h.conversation_id
    from spend.hourly_conversation_costs as h
    where v_by_conversation
  ),

  dated as (
    select c.*, (c.hour at time zone coalesce(t.time_zone, 'UTC'))::date as day,
      (now() at time zone coalesce(t.time_zone, 'UTC'))::date as today
    from costs as c
    left join spend.tenants as t on t.id = c.tenant_id
    where c.hour >= v_from and (v_before is null or c.hour < v_before)
      and (cost_report.tenant_id is null or c.tenant_id = cost_report.tenant_id)
      and (cost_report.user_id is null or c.user_id = cost_report.user_id)
      and (cost_report.resource_type is null or c.resource_type = cost_report.resource_type)
      and (cost_report.task is null or c.task = cost_report.task)
      and (cost_report.conversation_id is null or c.conversation_id = cost_report.conversation_id)
      and (cost_report.provider is null or c.provider = cost_report.provider)
      and (cost_report.product is null or c.product = cost_report.product)
  ),

  lines as (
    select
      case when 'tenant' = any (v_by) then d.tenant_id end as tenant_id,
      case when 'user' = any (v_by) then d.user_id end as user_id,
      case when 'task' = any (v_by) then d.task end as task,
      case when 'conversation' = any (v_by) then d.conversation_id end as conversation_id,
      case when 'resource_type' = any (v_by) then d.resource_type end as resource_type,
      case when 'provider' = any (v_by) then d.provider end as provider,
      case when 'product' = any (v_by) then d.product end as product,
      case when 'day' = any (v_by) then d.day end as day,
      sum(d.cost_usd) as cost_usd, sum(d.calls)::bigint as calls
    from dated as d
    where d.day >= coalesce(cost_report.from_day, d.today - 29)
      and (cost_report.to_day is null or d.day <= cost_report.to_day)
    group by 1, 2, 3, 4, 5, 6, 7, 8
  )

  select
    l.tenant_id, l.user_id, l.task, l.conversation_id, l.resource_type, l.provider, l.product, l.day,
    l.cost_usd, l.calls
  from lines as l
  order by
    case when cost_report.top is null then l.day end desc nulls last, l.cost_usd desc, l.day desc, l.tenant_id, l.user_id,
    l.task, l.conversation_id, l.resource_type, l.provider, l.product
  limit cost_report.top;
end;
$$;
comment on function spend.cost_report is
  'Booked cost in USD and number of calls, exact and current. group_by: any of tenant, user, task, conversation, resource_type, provider, product, day. from_day to to_day: days of the tenants'' own time zones, both included; by default the last 30. The other arguments filter. top: only this many lines, the most expensive ones. Order: newest day first, then highest cost first; with top, highest cost first. Where the Data API cuts an answer (1,000 rows, unless Range asks for more), the oldest lines are missing. By conversation, calls without one are left out.
Members see their own spend, owners and admins their tenant''s, service_role all. Errors: 22023 invalid_report.';
grant execute on function spend.cost_report to authenticated, service_role;
