create function spend_private.verify_slice()
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return 0;
end;
$$;
comment on function spend_private.verify_slice is 'Placeholder: 0.';
