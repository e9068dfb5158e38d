create type spend_private.usage_counts as (
  provider text,
  name text,
  service_tier text,
  units jsonb,
  is_complete boolean
);
comment on type spend_private.usage_counts is
  'Usage after validation. name: model or template; units: meter -> count; is_complete: no required count is missing or null.';

create function spend_private.read_usage(p_resource_type text, p_usage jsonb)
returns spend_private.usage_counts
language plpgsql stable
set search_path = ''
as $$
declare
  v_counts spend_private.usage_counts;
  v_numbers text[];
  v_required text[];
  v_field text;
  v_problem text;
begin
  if jsonb_typeof(p_usage) is distinct from 'object' then
    perform spend_private.fail_usage('usage', 'is not an object');
  end if;

  case p_resource_type
    when 'llm' then
      v_counts.name := p_usage ->> 'model';
      v_required := array['input_tokens', 'output_tokens'];
      select array_agg(m.meter) into v_numbers from spend.meters as m where m.resource_type = 'llm';
    when 'e2b' then
      v_counts.name := coalesce(p_usage ->> 'template', 'base');
      v_required := array['vcpus', 'memory_gib', 'seconds'];
      v_numbers := v_required;
    else
      perform spend_private.fail_usage('resource_type', 'is neither llm nor e2b');
  end case;

  select u.key, case
      when u.key <> all (v_numbers || array['provider', 'service_tier', 'model', 'template'])
        or (u.key in ('model', 'service_tier') and p_resource_type <> 'llm')
        or (u.key = 'template' and p_resource_type <> 'e2b')
        then 'is not a known key'
      when u.key <> all (v_numbers) then
        case when jsonb_typeof(u.value) <> 'string' or length(u.value #>> '{}') not between 1 and 200
          then 'is not a text of 1 to 200 characters' end
      when jsonb_typeof(u.value) = 'null' then null
      when jsonb_typeof(u.value) <> 'number' then 'is not a number'
      when (u.value)::numeric < 0 then 'is negative'
      when u.key <> 'memory_gib' and (u.value)::numeric % 1 <> 0 then 'is not a whole number'
      when (u.value)::numeric > 1e12 then 'is larger than 1e12'
      when u.key in ('vcpus', 'memory_gib') and (u.value)::numeric = 0 then 'is zero'
    end as problem
  into v_field, v_problem
  from jsonb_each(p_usage) as u
  order by 2 nulls last, 1
  limit 1;
  if v_problem is not null then
    perform spend_private.fail_usage(v_field, v_problem);
  end if;

  v_counts.provider := p_usage ->> 'provider';
  v_counts.service_tier := coalesce(p_usage ->> 'service_tier', 'standard');
  v_counts.is_complete := (
    select count(p_usage ->> r.key) = cardinality(v_required) from unnest(v_required) as r (key)
  );
  if p_resource_type = 'e2b' then
    v_counts.units := jsonb_build_object(
      'vcpu_seconds', (p_usage ->> 'vcpus')::numeric * (p_usage ->> 'seconds')::numeric,
      'gib_seconds', (p_usage ->> 'memory_gib')::numeric * (p_usage ->> 'seconds')::numeric
    );
  else
    -- A reservation is one call, for where a provider charges per call.
    v_counts.units := '{"requests": 1}' || (p_usage - array['provider', 'model', 'service_tier']);
  end if;
  return v_counts;
end;
$$;
comment on function spend_private.read_usage is
  'Validates usage (DESIGN: the SQL contract) and counts it in meters. Counts are whole and not negative, memory_gib may be fractional; a null count is unknown. Raises 22023 invalid_usage with the field.';

create function spend_private.fail_usage(p_field text, p_problem text)
returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  perform spend_private.fail(
    '22023', 'invalid_usage',
    jsonb_build_object('field', p_field, 'problem', p_problem),
    format('%s %s. LLM usage: {"provider", "model", "input_tokens", "output_tokens", …}; sandbox usage: {"provider", "template", "vcpus", "memory_gib", "seconds"}.', p_field, p_problem)
  );
end;
$$;
comment on function spend_private.fail_usage is
  'Raises 22023 invalid_usage, naming the field and what is wrong with it.';
