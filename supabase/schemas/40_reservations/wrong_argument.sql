create function spend_private.wrong_argument(
  p_conversation_id text,
  p_path_id text,
  p_idempotency_key text,
  p_ttl_seconds integer,
  p_metadata jsonb
)
returns text[]
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when length(p_conversation_id) not between 1 and 200
      then array['conversation_id', 'is not a text of 1 to 200 characters']
    when length(p_path_id) not between 1 and 200
      then array['path_id', 'is not a text of 1 to 200 characters']
    when length(p_idempotency_key) not between 1 and 255
      then array['idempotency_key', 'is not a text of 1 to 255 characters']
    when p_ttl_seconds is null or p_ttl_seconds not between 1 and 604800
      then array['ttl_seconds', 'is not between 1 and 604800 (a week)']
    when jsonb_typeof(p_metadata) <> 'object' or pg_column_size(p_metadata) > 8192
      then array['metadata', 'is not an object of at most 8 KiB']
  end;
end;
$$;
comment on function spend_private.wrong_argument is
  'The first argument of reserve that is out of bounds, and what is wrong with it; null when none is.';
