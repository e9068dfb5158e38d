create function spend_private.default_slots(p_scope text)
returns integer
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case p_scope when 'platform' then 64 when 'tenant' then 8 else 1 end;
end;
$$;
comment on function spend_private.default_slots is
  'Balances that a quota is split into by default, by how many calls share it: platform 64, tenant 8, user 1.';
grant execute on function spend_private.default_slots to authenticated, service_role;
