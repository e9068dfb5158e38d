begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(14);
\ir ../support/signed_in.psql

-- Users: a owns A, b is a member of A, c was one, d has no address, e is an operator who views, 9 owns B and is a member of A.
insert into auth.users (id, email)
select ('00000000-0000-4000-8000-00000000000' || u)::uuid, case when u <> 'd' then u || '@example.com' end
from unnest(array['a', 'b', 'c', 'd', 'e', '9']) as u;
insert into spend.operators (user_id, role) values ('00000000-0000-4000-8000-00000000000e', 'viewer');
insert into spend.tenants (id, name) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B');
insert into spend.tenant_members (tenant_id, user_id, role)
select
  (case m.tenant when 'a' then 'aaaaaaaa-0000-4000-8000-000000000001' else 'bbbbbbbb-0000-4000-8000-000000000002' end)::uuid,
  ('00000000-0000-4000-8000-00000000000' || m.usr)::uuid, m.role
from (values
  ('a', 'a', 'owner'), ('a', 'b', 'member'), ('a', 'c', 'member'), ('a', 'd', 'member'), ('a', '9', 'member'), ('b', '9', 'owner')
) as m (tenant, usr, role);
delete from spend.tenant_members where user_id = '00000000-0000-4000-8000-00000000000c';

create function pg_temp.emails(p_user text, p_of text[] default '{a,b,c,d,e,9}') returns text language sql as $$
  select pg_temp.says(p_user, format(
    'select email from spend.user_emails(%L) order by email',
    (select array_agg('00000000-0000-4000-8000-00000000000' || o) from unnest(p_of) as o)
  ))
$$;

select is(
  pg_temp.emails('a'), '9@example.com; a@example.com; b@example.com; c@example.com',
  'An owner knows the members of the tenant, and who left; not the operator'
);
select is(pg_temp.emails('b'), 'b@example.com', 'A member knows the own address alone');
select is(pg_temp.emails('c'), 'c@example.com', 'Who left knows the own address alone');
select is(pg_temp.emails('9'), '9@example.com', 'An owner of another tenant knows nobody of a tenant of which she is a member');
select is(
  pg_temp.emails('e'), '9@example.com; a@example.com; b@example.com; c@example.com; e@example.com', 'An operator knows everybody'
);
update spend.tenant_members set role = 'admin' where user_id = '00000000-0000-4000-8000-00000000000b';
select is(pg_temp.emails('b', '{a,c}'), 'a@example.com; c@example.com', 'An admin knows them as an owner does');
update spend.tenant_members set role = 'member' where user_id = '00000000-0000-4000-8000-00000000000a';
select is(pg_temp.emails('a', '{b,c}'), null, 'Who owns the tenant no longer, knows nobody any more');
select is(pg_temp.emails('e', '{a,a,a}'), 'a@example.com', 'An id that is asked for three times is answered once');
select is(pg_temp.says('e', 'select email from spend.user_emails(''{}'')'), null, 'Nobody is asked for');
select is(pg_temp.says('e', 'select email from spend.user_emails(null)'), null, 'Null is nobody too');
select is(
  pg_temp.says('e', 'select count(*) from spend.user_emails(array(select gen_random_uuid() from generate_series(1, 500)))'), '0',
  '500 ids are taken'
);
select is(
  pg_temp.says('e', 'select count(*) from spend.user_emails(array(select gen_random_uuid() from generate_series(1, 501)))'),
  'PT422 too_many_users', '501 are not'
);
set local role anon;
select throws_ok('select * from spend.user_emails(''{}'')', '42501', null, 'Who is not signed in may not ask');
reset role;
set local role service_role;
select is(
  (select count(*) from spend.user_emails(array[
    '00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000e'
  ]::uuid[])), 2::bigint, 'service_role knows everybody'
);
reset role;
select * from finish();
rollback;
