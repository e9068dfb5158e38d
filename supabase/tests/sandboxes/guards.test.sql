begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(11);

insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into spend.tenants (id, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'A');
insert into spend.tenant_members (tenant_id, user_id) values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a');
create temporary table claim as
select c.context_id as id from spend.claim_context(
  'aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'c', '00000000-0000-4000-8000-0000000000c1'
) as c;

select isnt_empty(
  $$ select * from spend.find_context((select id from claim), '00000000-0000-4000-8000-00000000000a') $$, 'A member of the tenant finds the context'
);
select is_empty(
  $$ select * from spend.find_context((select id from claim), '00000000-0000-4000-8000-00000000000b') $$, 'A user who is not a member does not find the context'
);
create function pg_temp.confirm(
  p_claim uuid, p_sandbox text default 'sandbox', p_expires_at timestamptz default now() + interval '5 minutes'
) returns text language sql as $$
  select (spend.confirm_context(
    'aaaaaaaa-0000-4000-8000-000000000001', (select id from claim), p_claim, p_sandbox, now(), p_expires_at, 2, 0.5
  )).outcome
$$;
create function pg_temp.fail(p_claim uuid, p_status text default 'failed') returns text language sql as $$
  select spend.fail_context('aaaaaaaa-0000-4000-8000-000000000001', (select id from claim), p_claim, p_status, 'test')
$$;
create function pg_temp.end(p_status text) returns text language sql as $$
  select spend.end_context('aaaaaaaa-0000-4000-8000-000000000001', (select id from claim), p_status, 'test')
$$;
select is(pg_temp.fail('00000000-0000-4000-8000-0000000000c2'), 'creating', 'A caller with another claim cannot give the claim up');
select is(pg_temp.fail(null), 'creating', 'A caller without a claim cannot give it up');
select throws_ok($$ select pg_temp.fail('00000000-0000-4000-8000-0000000000c1', null) $$, '22023', 'invalid_usage', 'A claim cannot be given up without a status');
select throws_ok($$ select pg_temp.end(null) $$, '22023', 'invalid_usage', 'A sandbox cannot end without a status');
select throws_ok($$ select pg_temp.end('paused') $$, '22023', 'invalid_usage', 'A sandbox that has not started cannot be paused');
select is(pg_temp.confirm('00000000-0000-4000-8000-0000000000c2'), 'gone', 'A caller with another claim cannot confirm the context');
select throws_ok($$ select pg_temp.confirm('00000000-0000-4000-8000-0000000000c1', null) $$, '22023', 'invalid_usage', 'A context cannot be confirmed without a sandbox');
select throws_ok($$ select pg_temp.confirm('00000000-0000-4000-8000-0000000000c1', 'sandbox', 'infinity') $$, '22023', 'invalid_usage', 'A context cannot be confirmed with an infinite end');
select is(pg_temp.confirm('00000000-0000-4000-8000-0000000000c1'), 'ready', 'The caller with the claim confirms the context');

select * from finish();
rollback;
