create function spend_private.lock_class(p_name text)
returns integer
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
begin
  -- 0x73706e64, "spnd", and what follows. A plan has the number: a name that is not here fails, and costs no call
  -- anything.
  case p_name
    when 'calls' then return 1936748132;
    when 'quota_changes' then return 1936748133;
    when 'tenant_quota_changes' then return 1936748134;
    when 'recounts' then return 1936748135;
    when 'turns' then return 1936748136;
    when 'members' then return 1936748137;
  end case;
end;
$$;
comment on function spend_private.lock_class is
  'First number of the advisory locks that serialize transactions. calls, by tenant_key: join_calls, stop_calls. quota_changes, 0: lock_quota_changes. tenant_quota_changes, by tenant_key: lock_tenant_quota_changes. recounts, 0: stop_recounts. turns, by quota: await_turn. members, by member_key: lock_before_return, await_member. Locks of one request or job have a key of 64 bits, hashed where they are taken.';
