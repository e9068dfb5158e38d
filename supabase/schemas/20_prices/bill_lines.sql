create function spend_private.bill_lines(
  p_tenant_id uuid,
  p_resource_type text,
  p_counts spend_private.usage_counts,
  p_product text,
  p_at timestamptz
)
returns table (meter text, units numeric, price_id bigint, unit_usd numeric, unit_size numeric, usd numeric)
language plpgsql stable
set search_path = ''
as $$
declare
  v_total_input bigint := coalesce((p_counts.units ->> 'input_tokens')::bigint, 0);
begin
  return query
  select
    line.meter, line.units, line.id, line.usd, line.unit_size,
    -- Twenty decimals before the division, so that it cannot lose one of the twelve that are booked.
    (line.units * line.usd)::numeric(60, 20) / line.unit_size
  from (
    select distinct on (m.meter)
      m.meter, p.id, p.usd, p.unit_size,
      -- What is counted in a part is not counted in the whole again.
      (p_counts.units ->> m.meter)::numeric - coalesce((
        select sum((p_counts.units ->> part.meter)::numeric)
        from spend.meters as part
        where part.resource_type = p_resource_type and part.part_of = m.meter
      ), 0) as units
    from spend.meters as m
    left join spend.prices as p
      on p.provider = p_counts.provider and p.product = p_product
      and p.resource_type = p_resource_type
      and p.meter in (m.meter, m.part_of)
      and p.service_tier = p_counts.service_tier
      and (p.tenant_id is null or p.tenant_id = p_tenant_id)
      and (p.tier_from = 0 or p.tier_from < v_total_input)
      and p.effective_from <= p_at
    where m.resource_type = p_resource_type and p_counts.units ->> m.meter is not null
    -- A part's own price goes before that of its whole. Each (meter, tier) is a series of its own in time;
    -- the highest tier that the call reaches wins.
    order by m.meter, p.meter = m.meter desc nulls last, p.tenant_id nulls last, p.tier_from desc,
      p.effective_from desc, p.revision desc
  ) as line;
end;
$$;
comment on function spend_private.bill_lines is
  'Lines of a bill: per meter the units not counted in a part of it, the price row that applies (its own, else that of the meter it is part of), and the amount in USD before rounding.';
