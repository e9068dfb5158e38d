create table spend.prices (
  id bigint generated always as identity primary key,
  resource_type text not null,
  provider text not null,
  product text not null,
  meter text not null,
  unit_size numeric not null default 1000000,
  usd numeric not null,
  tier_from bigint not null default 0,
  service_tier text not null default 'standard',
  tenant_id uuid references spend.tenants (id) on delete cascade,
  effective_from timestamptz not null default now(),
  revision integer not null default 0,
  note text,
  first_used_at timestamptz,
  version bigint not null default 0,
  foreign key (resource_type, meter) references spend.meters (resource_type, meter) on delete restrict,
  constraint one_price_per_moment unique nulls not distinct (
    provider, product, resource_type, meter, tier_from, service_tier, tenant_id, effective_from, revision
  ),
  constraint provider_is_not_empty check (provider <> ''),
  constraint product_is_not_empty check (product <> ''),
  constraint unit_size_is_positive check (unit_size > 0 and unit_size <> 'NaN' and unit_size <> 'Infinity'),
  constraint usd_is_not_negative check (usd >= 0 and usd <> 'NaN' and usd <> 'Infinity'),
  constraint tier_from_is_not_negative check (tier_from >= 0),
  constraint revision_is_not_negative check (revision >= 0)
);
comment on table spend.prices is
  'One row is the price of one meter of one product from one moment on. To change a price, insert a row; effective_from may lie in the future. A row in force of a product that a call has used cannot be changed or deleted; a row with a higher revision replaces it.';
comment on column spend.prices.id is 'What price_ids of reservations and events refer to.';
comment on column spend.prices.resource_type is 'llm or e2b.';
comment on column spend.prices.provider is 'Who sells it, as calls name it in usage: openai, e2b. Case counts.';
comment on column spend.prices.product is 'Model or sandbox template; ''*'' is any product of the provider that has no row of its own.';
comment on column spend.prices.meter is 'What is counted, of spend.meters.';
comment on column spend.prices.unit_size is 'Units of the meter that cost usd: 1000000, the default, as tokens are quoted; 1000 for web searches; 1 for seconds of sandboxes.';
comment on column spend.prices.usd is 'USD per unit_size units of the meter.';
comment on column spend.prices.tier_from is 'The row is for calls with strictly more input tokens in all than this (a cliff: then for all of them); 0 is the base price.';
comment on column spend.prices.service_tier is 'standard, batch, flex, priority or what the provider calls it.';
comment on column spend.prices.revision is '0, or 1 and more for a row that corrects a wrong price found late: such a row may take effect in the past, and of several for one moment the highest counts. spend.reprice books what that changes about calls that were booked already.';
comment on column spend.prices.note is 'For people: source of the price, reason of a revision.';
comment on column spend.prices.tenant_id is 'Set: a negotiated price, for this tenant only; it overrides the general one.';
comment on column spend.prices.effective_from is 'In force from this moment until that of the next row for the same; may lie in the future. In the past only where no call was priced since, or with a revision.';
comment on column spend.prices.first_used_at is 'Set by the first reservation that the row could price, whether or not its estimate has the meter; from then on the row is fixed.';
comment on column spend.prices.version is 'Set by the database: greater than that of every row that was committed before. A call is priced by the rows up to the version that it was reserved at (spend.reservations.price_version), whatever is inserted, committed or dated later.';

create index prices_tenant_id_idx on spend.prices (tenant_id);
create index prices_resource_type_meter_idx on spend.prices (resource_type, meter);
-- What a product costs a tenant, or everybody, however many tenants have prices of their own.
create index prices_product_idx on spend.prices (provider, product, tenant_id, effective_from);
-- Every reserve looks for rows of its product that are not marked as used: most often there are none. Keyed by an expression,
-- so that no other index answers it, and with that all prices that the product ever had.
create index prices_unmarked_idx on spend.prices ((array[provider, product]), tenant_id, effective_from)
where first_used_at is null;

alter table spend.prices enable row level security;
create policy "users read general prices and their tenant's, operators all" on spend.prices
for select to authenticated
using (
  tenant_id is null
  or tenant_id = any (array(select spend_private.member_tenant_ids()))
  or tenant_id between (select spend_private.first_operated()) and (select spend_private.last_operated())
);
grant select on spend.prices to authenticated;
grant select, insert, update, delete on spend.prices to service_role;
