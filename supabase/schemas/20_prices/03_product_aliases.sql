create function spend_private.is_regex(p_pattern text)
returns boolean
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return regexp_like('', p_pattern) is not null;
exception
  when invalid_regular_expression then
    return false;
end;
$$;
comment on function spend_private.is_regex is
  'Whether a text is a regular expression.';
grant execute on function spend_private.is_regex to service_role;

create table spend.product_aliases (
  provider text not null,
  match_kind text not null,
  pattern text not null,
  product text not null,
  primary key (provider, match_kind, pattern),
  constraint match_kind_is_known check (match_kind in ('equals', 'starts_with', 'ends_with', 'contains', 'regex')),
  constraint pattern_is_not_empty check (pattern <> ''),
  constraint pattern_is_valid check (match_kind <> 'regex' or spend_private.is_regex(pattern))
);
comment on table spend.product_aliases is
  'Other names of priced products: dated model names and the like. The most specific rule wins: equals, starts_with, ends_with, contains, regex; among these the longest pattern, then the alphabet.';
comment on column spend.product_aliases.provider is 'Provider whose products are meant, as in spend.prices.';
comment on column spend.product_aliases.match_kind is 'How a call''s name is compared with pattern: equals, starts_with, ends_with, contains, or regex (PostgreSQL''s, matched anywhere in the name).';
comment on column spend.product_aliases.pattern is 'What the name is compared with. Case counts.';
comment on column spend.product_aliases.product is 'Product whose prices then apply, as in spend.prices. One without prices is skipped.';

alter table spend.product_aliases enable row level security;
create policy "signed-in users read the aliases" on spend.product_aliases
for select to authenticated using (true);
grant select on spend.product_aliases to authenticated;
grant select, insert, update, delete on spend.product_aliases to service_role;

comment on constraint product_aliases_pkey on spend.product_aliases is
  'pattern: the provider has an alias of this pattern and match_kind. Update that row.';
comment on constraint match_kind_is_known on spend.product_aliases is
  'match_kind: equals, starts_with, ends_with, contains or regex.';
comment on constraint pattern_is_not_empty on spend.product_aliases is
  'pattern: what the name of the product is compared with, not empty.';
comment on constraint pattern_is_valid on spend.product_aliases is
  'pattern: a regular expression of Postgres where match_kind is regex. Escape ( ) [ ] { } . * + ? | ^ $ and \ that stand for themselves with a backslash.';

create trigger explain_mistakes before insert or update on spend.product_aliases
for each row execute function spend_private.explain_mistakes('alias');
