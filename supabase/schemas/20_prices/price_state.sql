create table spend_private.price_state (
  is_only_row boolean primary key default true,
  version bigint not null,
  has_negotiated boolean not null default false,
  constraint is_only_row check (is_only_row)
);
comment on table spend_private.price_state is
  'Version of the price list. One row. A change of prices increments it first, and so locks it until the transaction ends: versions commit in order. A snapshot that has a version has all rows up to it, and rows that commit later have a greater one. Readers never wait. has_negotiated: a tenant has, or had, prices of its own (spend.prices.tenant_id); until then no call looks for any.';
insert into spend_private.price_state (version) values (0);
alter table spend_private.price_state enable row level security;

create function spend_private.raise_price_version()
returns trigger
language plpgsql volatile
-- Definer: roles that may change prices have no right on the version.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update spend_private.price_state as s set version = s.version + 1;
  return null;
end;
$$;
comment on function spend_private.raise_price_version is
  'Trigger: increments the version of the price list for each statement that changes it, in one transaction at a time.';

-- Before any row is locked, and so in one order. Marking a row as used is no change.
create trigger a_raise_price_version before insert or update of
  resource_type, provider, product, meter, unit_size, usd, tier_from, service_tier, tenant_id, effective_from, revision,
  version
on spend.prices
for each statement execute function spend_private.raise_price_version();
-- Not for prices that are deleted with their tenant: that transaction has the tenant's row, which a new price waits for.
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
  'Trigger: gives a new or changed row the new version, whatever the statement says.';

-- The name decides the order: after all triggers that refuse the row.
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
  -- A new statement, which sees what was committed meanwhile.
  return (select s.version from spend_private.price_state as s);
end;
$$;
comment on function spend_private.lock_price_version is
  'Waits for changes of prices, and makes new ones wait until the transaction ends. Returns the version of the price list.';
