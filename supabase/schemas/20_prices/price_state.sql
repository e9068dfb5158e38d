create table spend_private.price_state (
  is_only_row boolean primary key default true,
  version bigint not null,
  constraint is_only_row check (is_only_row)
);
comment on table spend_private.price_state is
  'The version of the price list. One row. Who changes prices raises it first, and so holds it until the end of the transaction: versions are committed in their order. Who sees a version sees all rows up to it, and each row that is committed later has a greater one. Reading waits for nobody.';
insert into spend_private.price_state (version) values (0);
alter table spend_private.price_state enable row level security;

create function spend_private.raise_price_version()
returns trigger
language plpgsql volatile
-- Definer: whoever may change prices has no right on the version.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update spend_private.price_state as s set version = s.version + 1;
  return null;
end;
$$;
comment on function spend_private.raise_price_version is
  'Trigger: one more version of the price list for each statement that changes it, and one transaction that changes it at a time.';

-- Before any row is locked, and so in one order. Not for marking a row as used, which is no change of it.
create trigger a_raise_price_version before insert or update of
  resource_type, provider, product, meter, unit_size, usd, tier_from, service_tier, tenant_id, effective_from, revision,
  version
on spend.prices
for each statement execute function spend_private.raise_price_version();
-- Not for the prices that go with their tenant: who deletes a tenant holds its row, which a new price of it waits for.
create trigger a_raise_price_version_for_delete before delete on spend.prices
for each statement when (pg_trigger_depth() = 0)
execute function spend_private.raise_price_version();

create function spend_private.set_price_version()
returns trigger
language plpgsql volatile
-- Definer: see raise_price_version.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  select s.version into new.version from spend_private.price_state as s;
  return new;
end;
$$;
comment on function spend_private.set_price_version is
  'Trigger: a row that is new or changed is of the new version, whatever it says itself.';

-- The name decides the order: last, after all that refuses the row.
create trigger z_set_price_version before insert or update of
  resource_type, provider, product, meter, unit_size, usd, tier_from, service_tier, tenant_id, effective_from, revision,
  version
on spend.prices
for each row execute function spend_private.set_price_version();

create function spend_private.lock_price_version()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from spend_private.price_state for no key update;
  -- Another statement, which sees what the wait was for.
  return (select s.version from spend_private.price_state as s);
end;
$$;
comment on function spend_private.lock_price_version is
  'Waits until nobody is changing prices, and keeps them as they are until the end of the transaction. Returns the version of the price list.';
