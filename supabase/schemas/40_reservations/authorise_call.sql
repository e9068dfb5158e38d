create function spend_private.authorise_call(
  p_tenant_id uuid,
  p_user_id uuid,
  p_resource_type text,
  p_usage jsonb,
  p_task text,
  p_now timestamptz,
  p_closed_too boolean default false
)
returns spend_private.call
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_counts spend_private.usage_counts := spend_private.read_usage(p_resource_type, p_usage);
  v_time_zone text;
  v_closed_at timestamptz;
  v_is_member boolean;
  v_price_version bigint;
  v_has_negotiated boolean;
  v_lines spend_private.price_line[];
  v_is_first_use boolean;
  v_priced spend_private.priced_usage;
begin
  -- One statement, and so one snapshot, for who calls and for what it costs under the name that the call gives.
  select
    t.time_zone, t.closed_at, p_user_id is null or m.user_id is not null, s.version, s.has_negotiated, g.lines,
    -- What may price the call, now or when it settles, and is not marked as used yet (prices_unmarked_idx).
    exists (
      select from spend.prices as p
      where array[p.provider, p.product] = array[v_counts.provider, v_counts.name] and p.tenant_id is null
        and p.first_used_at is null and p.resource_type = p_resource_type and p.effective_from <= p_now
    )
  into v_time_zone, v_closed_at, v_is_member, v_price_version, v_has_negotiated, v_lines, v_is_first_use
  from spend.tenants as t
  join spend_private.price_state as s on s.is_only_row
  left join spend.tenant_members as m on m.tenant_id = t.id and m.user_id = p_user_id
  left join lateral (
    select b.lines
    from spend_private.price_book as b
    where b.provider = v_counts.provider and b.product = v_counts.name and b.resource_type = p_resource_type
      and b.service_tier = v_counts.service_tier and b.tenant_id = '00000000-0000-0000-0000-000000000000'
      and b.valid_from <= p_now
    order by b.valid_from desc limit 1
  ) as g on true
  where t.id = p_tenant_id;
  -- One error for an unknown tenant and for another's: the answer must not reveal which tenants exist.
  if v_is_member is not true then
    perform spend_private.fail_not_a_member(p_tenant_id, p_user_id);
  elsif v_closed_at is not null and not p_closed_too then
    perform spend_private.fail_tenant_closed(p_tenant_id, v_closed_at);
  elsif length(p_task) not between 1 and 200 then
    perform spend_private.fail_usage('task', 'is not a text of 1 to 200 characters');
  elsif v_counts.provider is null or v_counts.name is null or not v_counts.is_complete then
    perform spend_private.fail_incomplete(p_resource_type, p_usage);
  end if;

  if not v_has_negotiated then
    v_priced := spend_private.bill(p_resource_type, v_counts.units, v_counts.total_input, true, v_counts.name, v_lines);
  end if;
  if v_priced.cost_usd is null then
    v_priced := spend_private.price_usage(p_tenant_id, p_resource_type, v_counts, p_now, true);
    v_is_first_use := spend_private.unmarked_prices(
      p_tenant_id, p_resource_type, v_counts.provider, v_priced.priced_as, p_now
    ) <> '{}';
  end if;
  if v_priced.cost_usd is null or v_priced.unpriced_meters is not null then
    perform spend_private.fail_unpriced(p_resource_type, v_counts, v_priced.unpriced_meters);
  end if;
  return row(
    p_tenant_id, v_time_zone, p_user_id, p_resource_type, coalesce(p_task, 'chat'), v_counts.provider,
    v_priced.product, v_counts.usage, v_priced.cost_usd, v_priced.price_ids, v_priced.priced_as, v_price_version,
    v_is_first_use
  );
end;
$$;
comment on function spend_private.authorise_call is
  'Authorises a call and prices it. p_closed_too: also of a closed tenant, to book what it has used already. Raises 42501 not_a_member, PT403 tenant_closed, 22023 invalid_usage, PT422 unpriced_product.';

create function spend_private.fail_not_a_member(p_tenant_id uuid, p_user_id uuid)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.fail(
    '42501', 'not_a_member', jsonb_build_object('tenant_id', p_tenant_id, 'user_id', p_user_id),
    'Add the user to spend.tenant_members of this tenant.'
  );
end;
$$;
comment on function spend_private.fail_not_a_member is
  'Raises 42501 not_a_member.';

create function spend_private.fail_tenant_closed(p_tenant_id uuid, p_closed_at timestamptz)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.fail(
    'PT403', 'tenant_closed', jsonb_build_object('tenant_id', p_tenant_id, 'closed_at', p_closed_at),
    'Set spend.tenants.closed_at to null to open the tenant again.'
  );
end;
$$;
comment on function spend_private.fail_tenant_closed is
  'Raises PT403 tenant_closed.';

create function spend_private.fail_incomplete(p_resource_type text, p_usage jsonb)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_key text;
begin
  foreach v_key in array case p_resource_type
    when 'llm' then array['provider', 'model', 'input_tokens', 'output_tokens']
    else array['provider', 'vcpus', 'memory_gib', 'seconds']
  end loop
    if p_usage ->> v_key is null then
      perform spend_private.fail_usage(v_key, case
        when v_key in ('provider', 'model') then 'is missing'
        else 'is missing; a reservation needs an upper bound, 0 for none'
      end);
    end if;
  end loop;
end;
$$;
comment on function spend_private.fail_incomplete is
  'Raises 22023 invalid_usage with the first field that a bound must have and that is missing.';
