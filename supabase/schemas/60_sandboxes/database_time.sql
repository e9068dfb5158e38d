create function spend.database_time()
returns timestamptz
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return clock_timestamp();
end;
$$;
comment on function spend.database_time is
  'The database''s clock, which contexts go by. For service_role.';
grant execute on function spend.database_time to service_role;
