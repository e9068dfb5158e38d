begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select plan(31);

-- A project that was there before Spendgate.
create table public.organizations (
  id uuid primary key default gen_random_uuid(), name text not null, time_zone text, deleted_at timestamptz
);
create table public.organization_members (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null, primary key (organization_id, user_id)
);
insert into auth.users (id) values
  ('00000000-0000-4000-8000-00000000000a'), ('00000000-0000-4000-8000-00000000000b');
insert into public.organizations (id, name, time_zone) values
  ('aaaaaaaa-0000-4000-8000-000000000001', 'A', 'Europe/Dublin'), ('bbbbbbbb-0000-4000-8000-000000000002', 'B', null);
insert into public.organization_members values
  ('aaaaaaaa-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'owner');

-- docs/guides/attach.md: begin
create function spend_private.mirror_organization() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    -- Closed, not deleted: what it spent stays on record.
    update spend.tenants as t set closed_at = now() where t.id = old.id and t.closed_at is null;
    return null;
  end if;
  insert into spend.tenants as t (id, name, time_zone, closed_at)
  values (new.id, new.name, coalesce(new.time_zone, 'UTC'), new.deleted_at)
  on conflict (id) do update set
    name = excluded.name, time_zone = excluded.time_zone, closed_at = excluded.closed_at
  where (t.name, t.time_zone, t.closed_at) is distinct from (excluded.name, excluded.time_zone, excluded.closed_at);
  return null;
end;
$$;
create trigger mirror_organization after insert or update or delete on public.organizations
for each row execute function spend_private.mirror_organization();

create function spend_private.mirror_organization_member() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'INSERT' then
    delete from spend.tenant_members as m
    where m.tenant_id = old.organization_id and m.user_id = old.user_id
      and (tg_op = 'DELETE' or (old.organization_id, old.user_id) is distinct from (new.organization_id, new.user_id));
  end if;
  if tg_op <> 'DELETE' then
    insert into spend.tenant_members as m (tenant_id, user_id, role)
    values (new.organization_id, new.user_id, case when new.role in ('owner', 'admin') then new.role else 'member' end)
    on conflict (tenant_id, user_id) do update set role = excluded.role where m.role <> excluded.role;
  end if;
  return null;
end;
$$;
create trigger mirror_organization_member after insert or update or delete on public.organization_members
for each row execute function spend_private.mirror_organization_member();

-- Truncated: what was there is closed, as by a delete. Tenants without an organization stay open.
create function spend_private.mirror_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_table_name = 'organizations' then
    update spend.tenants as t set closed_at = now()
    where t.closed_at is null and t.id in (select o.id from public.organizations as o);
  else
    delete from spend.tenant_members as m
    using public.organization_members as o
    where m.tenant_id = o.organization_id and m.user_id = o.user_id;
  end if;
  return null;
end;
$$;
create trigger mirror_truncate before truncate on public.organizations
for each statement execute function spend_private.mirror_truncate();
create trigger mirror_truncate before truncate on public.organization_members
for each statement execute function spend_private.mirror_truncate();

-- Restored from a copy, without triggers: makes Spendgate equal to your tables. Tenants without an organization are closed.
create function spend_private.sync_organizations() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  delete from spend.tenant_members as m
  where not exists (
    select from public.organization_members as o where o.organization_id = m.tenant_id and o.user_id = m.user_id
  );
  update spend.tenants as t set closed_at = now()
  where t.closed_at is null and not exists (select from public.organizations as o where o.id = t.id);
  -- An update that changes nothing runs the triggers above.
  update public.organizations set id = id;
  update public.organization_members set role = role;
end;
$$;

revoke execute on function
  spend_private.mirror_organization, spend_private.mirror_organization_member, spend_private.mirror_truncate,
  spend_private.sync_organizations
from public;

-- What is there already: an update that changes nothing runs the triggers.
update public.organizations set id = id;
update public.organization_members set role = role;
-- docs/guides/attach.md: end

select results_eq(
  'select name, time_zone from spend.tenants order by name', $$values ('A', 'Europe/Dublin'), ('B', 'UTC')$$, 'Organizations of before are mirrored as tenants'
);
select is((select count(*) from spend.cost_quotas where scope = 'tenant'), 6::bigint, 'Mirrored tenants have the plan''s quotas');
select is((select role from spend.tenant_members), 'owner', 'Mirrored tenants have their members');
insert into public.organizations (id, name) values ('cccccccc-0000-4000-8000-000000000003', 'C');
insert into public.organization_members values
  ('cccccccc-0000-4000-8000-000000000003', '00000000-0000-4000-8000-00000000000b', 'billing');
select is((select name from spend.tenants where id = 'cccccccc-0000-4000-8000-000000000003'), 'C', 'A new organization is a tenant in the same transaction');
select is((select role from spend.tenant_members where tenant_id = 'cccccccc-0000-4000-8000-000000000003'), 'member', 'A role that Spendgate does not know becomes member');
insert into spend.prices (resource_type, provider, product, meter, usd, effective_from) values
  ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'), ('llm', 'test', 'model', 'output_tokens', 2, '2020-01-01');
create function pg_temp.reserve(p_tenant uuid, p_user uuid) returns boolean language sql as $$
  select (spend.reserve(p_tenant, p_user, 'llm', '{"provider": "test", "model": "model", "input_tokens": 1000000, "output_tokens": 0}')).allowed
$$;
select ok(pg_temp.reserve('cccccccc-0000-4000-8000-000000000003', '00000000-0000-4000-8000-00000000000b'), 'A member of a new organization reserves at once');
update public.organizations set name = 'C2' where name = 'C';
select is((select name from spend.tenants where id = 'cccccccc-0000-4000-8000-000000000003'), 'C2', 'A tenant follows its organization''s name');
update public.organizations set time_zone = 'Asia/Tokyo' where name = 'C2';
select is((select time_zone from spend.tenants where id = 'cccccccc-0000-4000-8000-000000000003'), 'Asia/Tokyo', 'A tenant follows its organization''s time zone');
select throws_ok('update public.organizations set time_zone = ''Mars'' where name = ''C2''', '22023', 'invalid_tenant', 'A time zone that does not exist is refused where it is entered');
update public.organization_members set role = 'admin' where role = 'billing';
select is((select role from spend.tenant_members where tenant_id = 'cccccccc-0000-4000-8000-000000000003'), 'admin', 'A member follows the organization''s role');
update public.organizations set deleted_at = now() where name = 'C2';
select throws_ok(
  $$select pg_temp.reserve('cccccccc-0000-4000-8000-000000000003', '00000000-0000-4000-8000-00000000000b')$$, 'PT403', 'tenant_closed',
  'A user of an organization that is marked as deleted cannot reserve'
);
update public.organizations set deleted_at = null where name = 'C2';
select ok(pg_temp.reserve('cccccccc-0000-4000-8000-000000000003', '00000000-0000-4000-8000-00000000000b'), 'A user of an organization that is taken back reserves');
delete from public.organization_members where user_id = '00000000-0000-4000-8000-00000000000b';
select is((select count(*) from spend.tenant_members where tenant_id = 'cccccccc-0000-4000-8000-000000000003'), 0::bigint, 'A member who is removed from the organization is removed from the tenant');
delete from public.organizations where name = 'C2';
select isnt((select closed_at from spend.tenants where id = 'cccccccc-0000-4000-8000-000000000003'), null, 'The tenant of a deleted organization is closed');
select is((select count(*) from spend.reservations), 2::bigint, 'The history of a deleted organization stays');
create temporary table before as select max(id) as id from spend.audit_log;
update public.organizations set id = id;
select is((select max(id) from spend.audit_log), (select id from before), 'An update that changes nothing changes no tenant');
update public.organization_members set organization_id = 'bbbbbbbb-0000-4000-8000-000000000002';
select results_eq(
  'select tenant_id, user_id from spend.tenant_members',
  $$values ('bbbbbbbb-0000-4000-8000-000000000002'::uuid, '00000000-0000-4000-8000-00000000000a'::uuid)$$, 'A member who moves to another organization moves to its tenant'
);
select is_empty(
  $$select p.proname from pg_proc as p where p.pronamespace = 'spend_private'::regnamespace and p.proname ~ 'organization|mirror' and has_function_privilege('public', p.oid, 'execute')$$,
  'Nobody may call the mirroring functions'
);

-- Emptied
insert into spend.tenants (name) values ('Internal');
insert into public.organizations (id, name) values ('dddddddd-0000-4000-8000-000000000004', 'D');
insert into public.organization_members values
  ('dddddddd-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000a', 'owner'), ('dddddddd-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000b', 'member');
select ok(pg_temp.reserve('dddddddd-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000b'), 'A member of organization D reserves');
create temporary table kept as select * from public.organizations;
create temporary table kept_members as select * from public.organization_members;
truncate public.organization_members;
select is((select count(*) from spend.tenant_members), 0::bigint, 'After a truncate of members nobody is a member');
select throws_ok(
  $$select pg_temp.reserve('dddddddd-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000b')$$, '42501', 'not_a_member', 'A former member cannot reserve after it'
);
select is((select count(*) from spend.tenants where closed_at is null), 4::bigint, 'A truncate of members leaves the tenants open');
insert into public.organization_members select * from kept_members;
select ok(pg_temp.reserve('dddddddd-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000b'), 'A member who is inserted again reserves');
truncate public.organizations cascade;
select is((select string_agg(name, ' ') from spend.tenants where closed_at is null), 'Internal', 'A truncate of organizations closes their tenants, and none that was made by hand');
select is((select count(*) from spend.tenant_members), 0::bigint, 'A truncate of organizations removes all members');
select throws_ok(
  $$select pg_temp.reserve('dddddddd-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000b')$$, '42501', 'not_a_member', 'A member of a truncated organization cannot reserve'
);
select throws_ok(
  $$select pg_temp.reserve('dddddddd-0000-4000-8000-000000000004', null)$$, 'PT403', 'tenant_closed', 'The tenant of a truncated organization cannot reserve'
);
select is((select count(*) from spend.reservations where tenant_id = 'dddddddd-0000-4000-8000-000000000004'), 2::bigint, 'The history of a truncated organization stays');

-- Restored without triggers, as pg_restore --disable-triggers does: D alone, with one of its members.
set local session_replication_role = replica;
insert into public.organizations select * from kept where name in ('A', 'D');
insert into public.organization_members select * from kept_members where user_id = '00000000-0000-4000-8000-00000000000b';
delete from public.organizations where name = 'A';
set local session_replication_role = origin;
select spend_private.sync_organizations();
select results_eq(
  'select name from spend.tenants where closed_at is null order by name', $$values ('D')$$, 'After a restore without triggers, the update opens what is there and closes all else'
);
select results_eq(
  'select tenant_id, user_id from spend.tenant_members',
  $$values ('dddddddd-0000-4000-8000-000000000004'::uuid, '00000000-0000-4000-8000-00000000000b'::uuid)$$, 'After it the members are those that are there'
);
update before set id = (select max(id) from spend.audit_log);
select spend_private.sync_organizations();
select is((select max(id) from spend.audit_log), (select id from before), 'A second update changes nothing');
select * from finish();
rollback;
