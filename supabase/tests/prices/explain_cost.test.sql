begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(4);

insert into auth.users (id) values ('00000000-0000-4000-8000-00000000000a');
set local role authenticated;
set local "request.jwt.claim.sub" = '00000000-0000-4000-8000-00000000000a';

select results_eq(
  $$ select meter, units, usd, trim_scale(amount_usd) from spend.explain_cost(
       'anthropic', 'claude-sonnet-4-5', '{"input_tokens": 100000, "output_tokens": 1000, "cache_read_tokens": 40000}') $$,
  $$ values ('cache_read_tokens', 40000::numeric, 0.3, 0.012), ('input_tokens', 60000, 3, 0.18), ('output_tokens', 1000, 15, 0.015) $$,
  'explain_cost counts a part once, and not in its whole again'
);
select results_eq(
  $$ select meter, units, trim_scale(amount_usd) from spend.explain_cost('e2b', 'base', '{"vcpus": 2, "memory_gib": 0.5, "seconds": 300}') $$,
  $$ values ('gib_seconds', 150.0, 0.000675), ('vcpu_seconds', 600, 0.0084) $$, 'explain_cost explains a sandbox'
);
select throws_ok(
  $$ select * from spend.explain_cost('openai', 'unheard-of', '{"input_tokens": 1, "output_tokens": 1}') $$,
  'PT422', 'unpriced_product', 'explain_cost refuses a product without a price'
);
select throws_ok(
  $$ select * from spend.explain_cost('openai', 'gpt-4o', '{"tokens": 1}') $$, '22023', 'invalid_usage', 'explain_cost refuses invalid usage'
);

select * from finish();
rollback;
