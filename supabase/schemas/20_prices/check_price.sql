create function spend_private.check_price()
returns trigger
language plpgsql
-- Definer: a role that may insert a price may lack the right to read tenants or prices.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_field text := case
    when coalesce(new.provider, '') = '' then 'provider'
    when coalesce(new.product, '') = '' then 'product'
    when coalesce(new.service_tier, '') = '' then 'service_tier'
    when new.usd is null or new.usd < 0 or new.usd in ('NaN', 'Infinity') then 'usd'
    when new.unit_size is null or new.unit_size <= 0 or new.unit_size in ('NaN', 'Infinity') then 'unit_size'
    when new.tier_from is null or new.tier_from < 0 then 'tier_from'
    when new.revision is null or new.revision < 0 then 'revision'
    when new.effective_from is null or not isfinite(new.effective_from) then 'effective_from'
  end;
  v_taken_by bigint;
begin
  if v_field is not null then
    perform spend_private.fail(
      '22023', 'invalid_price', jsonb_build_object('field', v_field, 'value', to_jsonb(new) -> v_field),
      'provider, product, service_tier: not empty; usd: 0 (free) or more, per unit_size units, which are more than 0; tier_from, revision: 0 or more; effective_from: a date.'
    );
  end if;

  if not exists (
    select from spend.meters as m where m.resource_type = new.resource_type and m.meter = new.meter
  ) then
    perform spend_private.fail(
      '22023', 'unknown_meter',
      jsonb_build_object('field', 'meter', 'resource_type', new.resource_type, 'meter', new.meter),
      'Take one of spend.meters for this resource_type (llm or e2b), or insert the new meter there first.'
    );
  end if;
  if new.tenant_id is not null and not exists (select from spend.tenants as t where t.id = new.tenant_id) then
    perform spend_private.fail(
      'PT404', 'unknown_tenant', jsonb_build_object('field', 'tenant_id', 'tenant_id', new.tenant_id),
      'Pass the id of a row of spend.tenants, or null for a price for everybody.'
    );
  end if;

  select p.id into v_taken_by
  from spend.prices as p
  where p.provider = new.provider and p.product = new.product and p.resource_type = new.resource_type
    and p.meter = new.meter and p.tier_from = new.tier_from and p.service_tier = new.service_tier
    and p.tenant_id is not distinct from new.tenant_id
    and p.effective_from = new.effective_from and p.revision = new.revision
    and p.id <> new.id;
  if found then
    perform spend_private.fail(
      'PT409', 'duplicate_price',
      jsonb_build_object('field', 'effective_from', 'effective_from', new.effective_from, 'price_id', v_taken_by),
      'There is a price for that moment. Take another effective_from; or, to correct that price, a higher revision.'
    );
  end if;
  return new;
end;
$$;
comment on function spend_private.check_price is
  'Trigger: explains an invalid price before a constraint fails: 22023 invalid_price or unknown_meter, PT404 unknown_tenant, PT409 duplicate_price, each with the field.';

-- The name decides the order: before the triggers that look for calls at this price. Marking a price as used fires none.
create trigger check_price before insert or update of
  resource_type, provider, product, meter, unit_size, usd, tier_from, service_tier, tenant_id, effective_from, revision
on spend.prices
for each row execute function spend_private.check_price();
