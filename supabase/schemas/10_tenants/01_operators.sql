create table spend.operators (
  user_id uuid primary key references auth.users (id) on delete cascade,
  role text not null default 'viewer',
  created_at timestamptz not null default now(),
  constraint operator_role_is_known check (role in ('viewer', 'editor'))
);
comment on table spend.operators is
  'Who runs the platform: operators see the spend, quotas, prices and changes of all tenants, in SQL reports and the dashboard; editors also change limits and prices, and release holds, under their own name (spend.audit_log). Written in SQL alone: no role of the Data API may, service_role included.';
comment on column spend.operators.user_id is 'Person, of auth.users.';
comment on column spend.operators.role is 'viewer: reads everything. editor: changes limits, plans and prices too.';
comment on column spend.operators.created_at is 'When the operator was added.';

alter table spend.operators enable row level security;
create policy "operators read their own row" on spend.operators
for select to authenticated using (user_id = (select auth.uid()));
grant select on spend.operators to authenticated, service_role;

comment on constraint operators_pkey on spend.operators is
  'user_id: the user is an operator. Update that row to change the role.';
comment on constraint operators_user_id_fkey on spend.operators is
  'user_id: the id of a row of auth.users. The user must sign up, or be invited, first.';
comment on constraint operator_role_is_known on spend.operators is
  'role: viewer or editor.';

create trigger explain_mistakes before insert or update on spend.operators
for each row execute function spend_private.explain_mistakes('operator');
create trigger "Explain_references" after insert or update on spend.operators
for each row execute function spend_private.explain_references();

create function spend_private.operator_role()
returns text
language plpgsql stable
-- Definer: policies on every table call it, for users who may not read this one.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select o.role from spend.operators as o where o.user_id = (select auth.uid()));
end;
$$;
comment on function spend_private.operator_role is
  'viewer or editor, where the signed-in user is an operator; else null.';
grant execute on function spend_private.operator_role to authenticated;

create function spend_private.first_operated()
returns uuid
language plpgsql stable
-- The planner reckons with it at each row, though it runs at most once.
cost 1
-- Definer: see operator_role.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when spend_private.operator_role() is not null then '00000000-0000-0000-0000-000000000000'::uuid
    else 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
  end;
end;
$$;
comment on function spend_private.first_operated is
  'With last_operated the range of tenants that the signed-in user sees as an operator: all, or none. A range, since an index finds it: beside it, the tenants of a member are still found by theirs. For RLS policies. Those of large tables name it once more, after conditions that are false of all others and one that is true of every operator, so that it never runs: the planner computes it, outside a sub-select, and learns whether the range has all rows or none.';
grant execute on function spend_private.first_operated to authenticated;

create function spend_private.last_operated()
returns uuid
language plpgsql stable
-- Definer: see operator_role.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when spend_private.operator_role() is not null then 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
    else '00000000-0000-0000-0000-000000000000'::uuid
  end;
end;
$$;
comment on function spend_private.last_operated is
  'See first_operated.';
grant execute on function spend_private.last_operated to authenticated;

create function spend_private.may_operate(p_role text default 'viewer')
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return spend_private.sees_all_rows() or coalesce(
    spend_private.operator_role() = any (case p_role when 'editor' then '{editor}' else '{viewer,editor}' end::text[]), false
  );
end;
$$;
comment on function spend_private.may_operate is
  'Whether the signed-in user is an operator, or, with p_role editor, one who may change things. Roles that no policy confines may do everything.';

create function spend_private.demand_operator(p_role text default 'viewer')
returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not spend_private.may_operate(p_role) then
    perform spend_private.fail(
      'PT403', 'not_an_operator', jsonb_build_object('role', spend_private.operator_role(), 'needed', p_role),
      format(
        'Only operators%s may do this. In SQL: insert into spend.operators (user_id, role) values (…, %L).',
        case p_role when 'editor' then ' of the role editor' else '' end, p_role
      )
    );
  end if;
end;
$$;
comment on function spend_private.demand_operator is
  'Raises PT403 not_an_operator unless spend_private.may_operate.';
