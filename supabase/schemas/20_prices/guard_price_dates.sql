create function spend_private.guard_price_dates()
returns trigger
language plpgsql
-- Definer: a role that may insert a price may lack the right to read the reservations.
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_last_use timestamptz;
begin
  -- An import of the catalogue inserts thousands of rows with past dates. Products without a used price, of their own or
  -- by '*', have no calls to search for.
  if new.product <> '*' and not exists (
    select from spend.prices as p
    where p.provider = new.provider and p.product in (new.product, '*') and p.first_used_at is not null
  ) then
    return new;
  end if;

  select max(r.created_at) into v_last_use
  from spend.reservations as r
  where r.provider = new.provider and new.product in (r.product, '*')
    and r.resource_type = new.resource_type
    and r.created_at >= new.effective_from
    and (new.tenant_id is null or r.tenant_id = new.tenant_id);
  v_last_use := coalesce(v_last_use, spend_private.last_use_before_retention(new));

  if v_last_use is not null then
    perform spend_private.fail(
      'PT409', 'price_would_rewrite_history',
      jsonb_build_object('field', 'effective_from', 'effective_from', new.effective_from, 'last_used_at', v_last_use),
      'Calls were priced at or after that moment. Use a later effective_from. To correct a price that was wrong, insert a row with revision 1, then call spend.reprice.'
    );
  end if;
  return new;
end;
$$;
comment on function spend_private.guard_price_dates is
  'Trigger: a price, unless it is a revision, cannot take effect before calls of that product that are priced already (PT409 price_would_rewrite_history). Calls that have not committed yet keep their price by its version (spend.reservations.price_version).';

create function spend_private.last_use_before_retention(p_price spend.prices)
returns timestamptz
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_kept_from timestamptz := (select s.reservations_kept_from from spend_private.ledger_state as s);
begin
  if p_price.effective_from >= v_kept_from then
    return null;
  end if;
  return (
    select r.hour
    from spend_private.cost_rollups as r
    where r.hour >= date_trunc('hour', p_price.effective_from) and r.hour < v_kept_from
      and r.provider = p_price.provider and p_price.product in (r.product, '*')
      and r.resource_type = p_price.resource_type
      and (p_price.tenant_id is null or r.tenant_id = p_price.tenant_id)
    order by r.hour desc
    limit 1
  );
end;
$$;
comment on function spend_private.last_use_before_retention is
  'The last hour, from effective_from on, in which calls used a price''s product and whose reservations retention has deleted: the roll-ups still count them. Null: none.';

-- The name decides the order: after protect_used_prices, whose error says more.
create trigger then_guard_price_dates before insert or update of
  resource_type, provider, product, meter, unit_size, usd, tier_from, service_tier, tenant_id, effective_from, revision
on spend.prices
for each row when (new.effective_from < now() and new.revision = 0)
execute function spend_private.guard_price_dates();
