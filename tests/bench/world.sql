-- Tenants, their users and quotas of three scopes, none near its limit.
create function bench.tenant_id(p_number bigint)
returns uuid
language sql immutable
as $$
  -- As spread as the real ones: reservations carry a key of the first 32 bits.
  select overlay(overlay(md5('tenant ' || p_number) placing '4' from 13) placing '8' from 17)::uuid
$$;

create function bench.populate(p_tenants integer, p_users integer)
returns void
language plpgsql
as $$
begin
  delete from spend.plan_quotas;
  insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
  values ('default', 'tenant', 'llm', 'month', 1000000), ('default', 'user', 'llm', 'day', 100000);
  insert into spend.cost_quotas (scope, resource_type, period, limit_usd)
  values ('platform', 'all', 'month', 1000000000);

  insert into spend.tenants (id, name)
  select bench.tenant_id(t), 'Tenant ' || t from generate_series(1, p_tenants) as t;
  insert into auth.users (id) select gen_random_uuid() from generate_series(1, p_tenants * p_users);
  insert into spend.tenant_members (tenant_id, user_id)
  select bench.tenant_id(1 + u.n % p_tenants), u.id
  from (select row_number() over () as n, a.id from auth.users as a) as u;
end;
$$;

-- Calls without a client between them: reserve and settle, each a transaction, by callers in turns.
create procedure bench.reserve_and_settle(
  p_tenants uuid[],
  p_users uuid[],
  p_first integer,
  p_calls integer,
  p_estimate jsonb,
  p_usage jsonb
)
language plpgsql
as $$
declare
  v_id uuid;
  v_caller integer;
begin
  for v_call in 1..p_calls loop
    v_caller := 1 + (p_first + v_call) % cardinality(p_tenants);
    select r.reservation_id into strict v_id
    from spend.reserve(p_tenants[v_caller], p_users[v_caller], 'llm', p_estimate) as r
    where r.allowed;
    commit;
    perform from spend.settle(v_id, p_usage);
    commit;
  end loop;
end;
$$;
