create function spend_private.call_to_hold(
  p_call spend_private.call,
  p_quotas spend_private.applicable_quota[],
  p_now timestamptz
)
returns spend_private.call
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota spend_private.applicable_quota;
  v_is_expected boolean := false;
begin
  foreach v_quota in array coalesce(p_quotas, '{}') loop
    if v_quota.is_enforced and not v_quota.is_expected then
      return p_call;
    end if;
    v_is_expected := v_is_expected or v_quota.is_expected;
  end loop;
  if v_is_expected and p_call.resource_type = 'llm' then
    return spend_private.expected_call(p_call, p_now);
  end if;
  return p_call;
end;
$$;
comment on function spend_private.call_to_hold is
  'A call with the usage and cost to hold for it: the upper bound, unless a quota is expected (spend.cost_quotas.estimate_policy) and no other that could refuse the call is strict; then expected_call. All quotas hold the same amount: the estimated cost of the reservation.';

create function spend_private.expected_call(p_call spend_private.call, p_now timestamptz)
returns spend_private.call
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_output bigint := spend_private.expected_output(
    p_call.tenant_id, p_call.task, p_call.provider, p_call.product, p_now
  );
  v_counts spend_private.usage_counts;
begin
  if v_output is null or v_output >= (p_call.usage ->> 'output_tokens')::numeric then
    return p_call;
  end if;
  -- What the call states of its output is known.
  v_output := greatest(v_output, (
    select sum((p_call.usage ->> m.meter)::numeric)
    from spend.meters as m
    where m.resource_type = 'llm' and m.part_of = 'output_tokens'
  ));
  p_call.usage := p_call.usage || jsonb_build_object('output_tokens', v_output);
  v_counts := spend_private.read_usage('llm', p_call.usage);
  p_call.cost_usd := (spend_private.price_product(
    p_call.tenant_id, 'llm', v_counts, p_call.priced_as, p_now, true, p_call.price_version
  )).cost_usd;
  return p_call;
end;
$$;
comment on function spend_private.expected_call is
  'A call with its expected output where that is less than its bound. The input, and what is stated of the output, stays: never less than the known cost, never more than the bound.';

create function spend_private.expected_output(
  p_tenant_id uuid,
  p_task text,
  p_provider text,
  p_product text,
  p_now timestamptz
)
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- Walks the index until it has found enough: a bitmap would be gathered from all of it first.
set enable_bitmapscan = 'off'
as $$
begin
  return (
    select case when count(*) >= 20 then percentile_disc(0.95) within group (order by e.output_tokens)::bigint end
    from (
      -- The key's order: however much a tenant spent, no more than these are read.
      select c.kind, c.task, c.provider, c.product, c.is_estimated,
        case jsonb_typeof(c.usage -> 'output_tokens')
          when 'number' then (c.usage ->> 'output_tokens')::numeric
        end as output_tokens
      from spend.cost_events as c
      where c.tenant_id = p_tenant_id and c.occurred_at <= p_now and c.occurred_at > p_now - interval '30 days'
      order by c.occurred_at desc
      limit 500
    ) as e
    where e.kind = 'charge' and e.task = p_task and e.provider = p_provider and e.product = p_product
      and not e.is_estimated
  );
end;
$$;
comment on function spend_private.expected_output is
  'Output tokens that 95 of 100 calls of a tenant''s task with a product do not exceed, by those among its last 500 events within 30 days; null when they are fewer than 20.';
