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
comment on column spend.current_prices.resource_type is 'llm or e2b.';
comment on column spend.current_prices.provider is 'Who sells it, as calls name it in usage.';
comment on column spend.current_prices.product is 'Model or sandbox template; ''*'' is any product of the provider that has no row of its own.';
comment on column spend.current_prices.meter is 'What is counted, of spend.meters.';
comment on column spend.current_prices.usd is 'USD per unit_size units of the meter.';
comment on column spend.current_prices.unit_size is 'Units of the meter that cost usd: 1000000 as tokens are quoted, 1000 for web searches, 1 for seconds of sandboxes.';
comment on column spend.current_prices.tier_from is 'For calls with strictly more input tokens in all than this; 0 is the base price.';
comment on column spend.current_prices.service_tier is 'standard, batch, flex, priority or what the provider calls it.';
comment on column spend.current_prices.tenant_id is 'Tenant that negotiated it; null: for everybody.';
comment on column spend.current_prices.effective_from is 'Since when it is in force.';
comment on column spend.current_prices.changes_at is 'When the next row takes over; null: none is stated yet.';
comment on column spend.current_prices.note is 'Source of the price, reason of a revision.';
comment on column spend.current_prices.price_id is 'Its row of spend.prices.';
grant select on spend.current_prices to authenticated, service_role;
