create type spend_private.usage_counts as (
  provider text,
  name text,
  service_tier text,
  units jsonb,
  total_input bigint,
  is_complete boolean,
  usage jsonb
);
comment on type spend_private.usage_counts is
  'Usage that was read. name: model or template; units: meter -> count; total_input: input tokens, which decide the tier; is_complete: no required count is missing or null; usage: as it is stored, each number in its shortest spelling (5, not 5.0).';

create function spend_private.read_usage(p_resource_type text, p_usage jsonb)
returns spend_private.usage_counts
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_texts text[] := case p_resource_type
    when 'llm' then array['provider', 'model', 'service_tier'] when 'e2b' then array['provider', 'template']
  end;
  v_provider text := p_usage ->> 'provider';
  v_name text := p_usage ->> v_texts[2];
  v_service_tier text := p_usage ->> v_texts[3];
  v_numbers jsonb;
  v_wrong jsonb;
begin
  -- A path in place of an expression for each rule: Postgres sets expressions up anew in every transaction.
  if (p_usage @@ '
    $.type() == "object"
    && (!exists($.provider) || ($.provider.type() == "string" && $.provider <> ""))
    && (!exists($.model) || ($.model.type() == "string" && $.model <> ""))
    && (!exists($.template) || ($.template.type() == "string" && $.template <> ""))
    && (!exists($.service_tier) || ($.service_tier.type() == "string" && $.service_tier <> ""))
  ') is not true or v_texts is null or length(v_provider) > 200 or length(v_name) > 200 or length(v_service_tier) > 200
  then
    perform spend_private.fail_text(p_usage, v_texts);
  end if;

  v_numbers := p_usage - v_texts;
  if (v_numbers @@ '
    $.*.type() <> "number" || exists($.* ? (@ < 0 || @ > 1000000000000 || @ % 1 <> 0)) || $.vcpus == 0 || $.memory_gib == 0
  ') is not false then
    v_wrong := jsonb_path_query_first(v_numbers, '$.keyvalue() ? (
      @.value.type() <> "null" && (
        @.value.type() <> "number" || @.value < 0 || @.value > 1000000000000
        || (@.value % 1 <> 0 && @.key <> "memory_gib" && @.key <> "audio_seconds")
        || (@.value == 0 && (@.key == "vcpus" || @.key == "memory_gib"))
      )
    )');
    if v_wrong is not null then
      perform spend_private.fail_usage(
        v_wrong ->> 'key', 'is not a whole number from 0 to 1e12 (memory_gib and vcpus: above 0; memory_gib and audio_seconds: may be fractional)'
      );
    end if;
  end if;
  -- JSON writes five as 5, 5.0 or 5E0, and jsonb keeps the zeros. Drop them before usage is stored and cast.
  if strpos(v_numbers::text, '.') > 0 then
    v_numbers := (
      select jsonb_object_agg(n.key, case jsonb_typeof(n.value)
        when 'number' then to_jsonb(trim_scale(n.value::numeric)) else n.value
      end)
      from jsonb_each(v_numbers) as n
    );
    p_usage := p_usage || v_numbers;
  end if;

  if p_resource_type = 'e2b' then
    v_numbers := spend_private.sandbox_units(v_numbers);
    return row(
      v_provider, coalesce(v_name, 'base'), 'standard'::text, v_numbers, 0::bigint,
      v_numbers ->> 'vcpu_seconds' is not null and v_numbers ->> 'gib_seconds' is not null,
      p_usage
    );
  end if;
  return row(
    v_provider, v_name, coalesce(v_service_tier, 'standard'),
    -- A reservation is one call, for where a provider charges per call.
    '{"requests": 1}' || v_numbers,
    coalesce((v_numbers ->> 'input_tokens')::bigint, 0),
    v_numbers ->> 'input_tokens' is not null and v_numbers ->> 'output_tokens' is not null,
    p_usage
  );
end;
$$;
comment on function spend_private.read_usage is
  'Validates usage and counts it in meters. Counts are whole and not negative, memory_gib and audio_seconds may be fractional; a null count is unknown. Pricing finds out whether a key of LLM usage is a meter. Raises 22023 invalid_usage with the field.';

create function spend_private.fail_text(p_usage jsonb, p_texts text[])
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_text text;
begin
  if jsonb_typeof(p_usage) is distinct from 'object' then
    perform spend_private.fail_usage('usage', 'is not an object');
  elsif p_texts is null then
    perform spend_private.fail_usage('resource_type', 'is neither llm nor e2b');
  end if;
  foreach v_text in array p_texts loop
    if p_usage ? v_text and (
      jsonb_typeof(p_usage -> v_text) <> 'string' or length(p_usage ->> v_text) not between 1 and 200
    ) then
      perform spend_private.fail_usage(v_text, 'is not a text of 1 to 200 characters');
    end if;
  end loop;
end;
$$;
comment on function spend_private.fail_text is
  'Raises 22023 invalid_usage with the first of these keys that is not a name, or when usage is no object, or (p_texts is null) of an unknown resource_type.';

create function spend_private.sandbox_units(p_numbers jsonb)
returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_unknown text := jsonb_object_keys(p_numbers - array['vcpus', 'memory_gib', 'seconds']) limit 1;
begin
  if v_unknown is not null then
    perform spend_private.fail_usage(v_unknown, 'is not a known key');
  end if;
  return jsonb_build_object(
    'vcpu_seconds', (p_numbers ->> 'vcpus')::numeric * (p_numbers ->> 'seconds')::numeric,
    'gib_seconds', (p_numbers ->> 'memory_gib')::numeric * (p_numbers ->> 'seconds')::numeric
  );
end;
$$;
comment on function spend_private.sandbox_units is
  'Meters of a sandbox that ran: vCPUs and GiB of memory, each by seconds. Raises 22023 invalid_usage.';
