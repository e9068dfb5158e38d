create function spend.contract_version()
returns integer
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select 1;
$$;
comment on function spend.contract_version() is
  'Version of the contract with edge functions: names, arguments and answers of the functions of schema spend. It rises when a change breaks older edge functions. Functions that need another version answer 503 not_configured. For service_role.';
grant execute on function spend.contract_version to service_role;
