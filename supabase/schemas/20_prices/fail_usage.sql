create function spend_private.fail_usage(p_field text, p_problem text)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
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
