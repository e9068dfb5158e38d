create function spend.user_emails(user_ids uuid[])
returns table (
  user_id uuid,
  email text
)
language plpgsql stable
-- Definer: addresses are in auth.users, which nobody else may read.
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_count integer := cardinality(user_emails.user_ids);
  v_sees_all boolean := spend_private.may_operate();
  v_managed uuid[] := array(select spend_private.managed_tenant_ids());
begin
  if v_count > 500 then
    perform spend_private.fail(
      'PT422', 'too_many_users', jsonb_build_object('field', 'user_ids', 'users', v_count, 'at_most', 500),
      'user_ids: at most 500. Ask for a page of them at a time.'
    );
  end if;
  return query
  select u.id, u.email::text
  from auth.users as u
  where u.id = any (user_emails.user_ids) and u.email is not null
    and (
      v_sees_all
      or u.id = (select auth.uid())
      or exists (
        select from spend.tenant_members as m where m.user_id = u.id and m.tenant_id = any (v_managed)
      )
      -- Who left: the audit log tells when each member was added.
      or exists (
        select from spend.audit_log as a
        where a.table_name = 'tenant_members' and a.row_key ->> 'user_id' = u.id::text and a.tenant_id = any (v_managed)
      )
    );
end;
$$;
comment on function spend.user_emails is
  'Addresses of users, where the reader may know them: for lists that tell who called, whose sandbox runs, or who changed something. Operators and service_role see everybody''s; owners and admins those of whoever is or was a member of a tenant that they manage; everybody the own one. Others, and users without an address, are left out.
Errors: PT422 too_many_users (more than 500).';
grant execute on function spend.user_emails to authenticated, service_role;
