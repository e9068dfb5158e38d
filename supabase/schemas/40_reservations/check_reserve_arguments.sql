create function spend_private.check_reserve_arguments(
  p_conversation_id text,
  p_path_id text,
  p_idempotency_key text,
  p_ttl_seconds integer,
  p_metadata jsonb
)
returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if length(p_conversation_id) not between 1 and 200 then
    perform spend_private.fail_usage('conversation_id', 'is not a text of 1 to 200 characters');
  elsif length(p_path_id) not between 1 and 200 then
    perform spend_private.fail_usage('path_id', 'is not a text of 1 to 200 characters');
  elsif length(p_idempotency_key) not between 1 and 255 then
    perform spend_private.fail_usage('idempotency_key', 'is not a text of 1 to 255 characters');
  elsif p_ttl_seconds is null or p_ttl_seconds not between 1 and 604800 then
    perform spend_private.fail_usage('ttl_seconds', 'is not between 1 and 604800 (a week)');
  elsif jsonb_typeof(p_metadata) <> 'object' or pg_column_size(p_metadata) > 8192 then
    perform spend_private.fail_usage('metadata', 'is not an object of at most 8 KiB');
  end if;
end;
$$;
comment on function spend_private.check_reserve_arguments is
  'Raises 22023 invalid_usage with the field when an argument of reserve is out of bounds.';
