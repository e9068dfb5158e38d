create table spend.product_aliases (
  provider text not null,
  match_kind text not null,
  pattern text not null,
  product text not null,
  primary key (provider, match_kind, pattern),
  constraint match_kind_is_known check (match_kind in ('equals', 'starts_with', 'ends_with', 'contains', 'regex')),
  constraint pattern_is_not_empty check (pattern <> ''),
  constraint pattern_is_valid check (match_kind <> 'regex' or regexp_like('', pattern) is not null)
);
comment on table spend.product_aliases is
  'Other names of priced products: dated model names and the like. The most specific rule wins: equals, starts_with, ends_with, contains, regex; among these the longest pattern, then the alphabet.';
comment on column spend.product_aliases.provider is 'Provider whose products are meant, as in spend.prices.';
comment on column spend.product_aliases.match_kind is 'How a call''s name is compared with pattern: equals, starts_with, ends_with, contains, or regex (PostgreSQL''s, matched anywhere in the name).';
comment on column spend.product_aliases.pattern is 'What the name is compared with. Case counts.';
comment on column spend.product_aliases.product is 'Product whose prices then apply, as in spend.prices. One without prices is passed over.';

alter table spend.product_aliases enable row level security;
create policy "signed-in users read the aliases" on spend.product_aliases
for select to authenticated using (true);
grant select on spend.product_aliases to authenticated;
grant select, insert, update, delete on spend.product_aliases to service_role;
