create type spend.identity as (
  user_id uuid,
  operator_role text,
  tenants jsonb
);
comment on type spend.identity is 'Answer of spend.whoami().';
comment on column spend.identity.user_id is 'The signed-in user, of auth.users.';
comment on column spend.identity.operator_role is 'viewer or editor for an operator; else null.';
comment on column spend.identity.tenants is
  'Tenants that the user is a member of, by name: [{"tenant_id", "name", "role", "time_zone", "plan_id", "closed_at"}].';

create function spend.whoami()
returns spend.identity
language plpgsql stable
-- Invoker: row-level security decides what there is to tell.
security invoker
set search_path = pg_catalog, pg_temp
as $$
declare
  v_identity spend.identity;
begin
  v_identity.user_id := (select auth.uid());
  v_identity.operator_role := (select o.role from spend.operators as o where o.user_id = v_identity.user_id);
  select coalesce(jsonb_agg(jsonb_build_object(
    'tenant_id', t.id, 'name', t.name, 'role', m.role, 'time_zone', t.time_zone, 'plan_id', t.plan_id,
    'closed_at', t.closed_at
  ) order by t.name, t.id), '[]')
  into v_identity.tenants
  from spend.tenant_members as m
  join spend.tenants as t on t.id = m.tenant_id
  where m.user_id = v_identity.user_id;
  return v_identity;
end;
$$;
comment on function spend.whoami is
  'Who is signed in: the tenants of which the user is a member, with the role in each, and whether the user is an operator.';
grant execute on function spend.whoami to authenticated;
