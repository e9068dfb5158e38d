// The statements that bring rows of the catalogue into the database: of the seed, and of `spendgate prices update`.

/** Inserts the rows of the query `catalogue` that are not there. What is new about a product in use takes effect now. */
export const INSERT_PRICES = `insert into spend.prices (
  resource_type, provider, product, meter, unit_size, usd, tier_from, effective_from, note
)
select
  c.resource_type, c.provider, c.product, c.meter, c.unit_size, c.usd, c.tier_from,
  case
    when exists (
      select from spend.prices as p
      where p.provider = c.provider and p.product in (c.product, '*') and p.first_used_at is not null
    ) then greatest(c.day::timestamp at time zone 'UTC', now())
    else c.day::timestamp at time zone 'UTC'
  end, c.note
from catalogue as c
where not exists (
  select from spend.prices as p
  where p.provider = c.provider and p.product = c.product and p.resource_type = c.resource_type
    and p.meter = c.meter and p.tier_from = c.tier_from and p.service_tier = 'standard' and p.tenant_id is null
    and p.effective_from >= c.day::timestamp at time zone 'UTC'
)`;

/** Inserts these rows of aliases; those that exist stay as they are. */
export const insertAliases = (
  rows: string[],
) => `insert into spend.product_aliases (provider, match_kind, pattern, product)
values
${rows.join(",\n")}
on conflict do nothing;
`;
