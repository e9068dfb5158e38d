create function spend_private.check_use(p_claim_id uuid, p_run_seconds integer, p_claim_seconds integer)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if p_claim_id is null then
    perform spend_private.fail_usage('claim_id', 'is missing');
  elsif p_run_seconds is null or p_run_seconds not between 0 and 86400 then
    perform spend_private.fail_usage('run_seconds', 'is not between 0 and 86400 (a day)');
  elsif p_claim_seconds is null or p_claim_seconds not between 1 and 600 then
    perform spend_private.fail_usage('claim_seconds', 'is not between 1 and 600');
  end if;
end;
$$;
comment on function spend_private.check_use is
  'Checks the arguments of a use of a context. Raises 22023 invalid_usage with the field that is missing or out of range.';
