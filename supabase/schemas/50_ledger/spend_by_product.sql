create view spend.spend_by_product
with (security_invoker = true)
as
select
  c.tenant_id,
  date_trunc('month', c.hour at time zone coalesce(t.time_zone, 'UTC'))::date as month,
  c.resource_type, c.provider, c.product,
  sum(c.cost_usd) as cost_usd,
  sum(c.calls)::bigint as calls
from spend.hourly_costs as c
left join spend.tenants as t on t.id = c.tenant_id
group by 1, 2, 3, 4, 5;
comment on view spend.spend_by_product is
  'Booked cost in USD and number of calls by tenant, provider and product, month of the tenant''s time zone (its first day) and resource type. For other spans of time: spend.cost_report.';
comment on column spend.spend_by_product.tenant_id is 'Tenant that pays.';
comment on column spend.spend_by_product.month is 'First day of the month, in the tenant''s time zone.';
comment on column spend.spend_by_product.resource_type is 'llm or e2b.';
comment on column spend.spend_by_product.provider is 'Who sold it; null for adjustments.';
comment on column spend.spend_by_product.product is 'Model or template, as in spend.reservations; null for adjustments.';
comment on column spend.spend_by_product.cost_usd is 'USD booked. Negative where credits or corrections exceed spend.';
comment on column spend.spend_by_product.calls is 'Calls booked; released ones and adjustments do not count.';
grant select on spend.spend_by_product to authenticated, service_role;
