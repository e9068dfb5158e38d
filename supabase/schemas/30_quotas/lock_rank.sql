create function spend_private.lock_rank(p_scope text)
returns integer
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return array_position(array['user', 'tenant', 'platform'], p_scope);
end;
$$;
comment on function spend_private.lock_rank is
  'Place of a scope in the order in which balances are locked: the most shared last, then by id. Every transaction that locks several keeps to it, so that no two deadlock.';
