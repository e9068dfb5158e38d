create view spend.current_prices
with (security_invoker = true)
as
select distinct on (p.resource_type, p.provider, p.product, p.service_tier, p.meter, p.tier_from, p.tenant_id)
  p.resource_type, p.provider, p.product, p.meter, p.usd, p.unit_size, p.tier_from, p.service_tier,
  p.tenant_id, p.effective_from, (
    select min(n.effective_from)
    from spend.prices as n
    where n.resource_type = p.resource_type and n.provider = p.provider and n.product = p.product
      and n.service_tier = p.service_tier and n.meter = p.meter and n.tier_from = p.tier_from
      and n.tenant_id is not distinct from p.tenant_id and n.effective_from > now()
  ) as changes_at, p.note, p.id as price_id
from spend.prices as p
where p.effective_from <= now()
order by
  p.resource_type, p.provider, p.product, p.service_tier, p.meter, p.tier_from, p.tenant_id,
  p.effective_from desc, p.revision desc;
comment on view spend.current_prices is
  'Prices in force now, in USD per unit_size units; changes_at: when the next one takes over.';
grant select on spend.current_prices to authenticated, service_role;
