create function spend_private.fail(
  p_sqlstate text,
  p_message text,
  p_detail jsonb,
  p_hint text
)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception using
    errcode = p_sqlstate, message = p_message, detail = p_detail::text, hint = p_hint;
end;
$$;
comment on function spend_private.fail is
  'Raises an error of the contract: SQLSTATE, stable snake_case message, JSON detail, and a hint that names the remedy. PTnnn becomes HTTP status nnn at the Data API.';

create function spend_private.fail_conflict(p_idempotency_key text)
returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.fail(
    'PT409', 'idempotency_conflict', jsonb_build_object('idempotency_key', p_idempotency_key),
    'The key belongs to another request. Take a new key for a new request.'
  );
end;
$$;
comment on function spend_private.fail_conflict is
  'Raises PT409 idempotency_conflict: the key was used before, by a request that was not the same.';
