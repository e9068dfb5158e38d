create function spend.preview_reprice(provider text, product text, from_time timestamptz, to_time timestamptz)
returns setof spend.repriced_tenant
language plpgsql volatile
-- Definer: spend.reprice is for service_role; who may is decided here.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  perform spend_private.demand_operator();
  return query select * from spend_private.reprice(
    preview_reprice.provider, preview_reprice.product, preview_reprice.from_time, preview_reprice.to_time, true
  );
end;
$$;
comment on function spend.preview_reprice is
  'What spend.reprice would book for calls from from_time to before to_time: one line per tenant with a difference. Books nothing. For operators and service_role. Errors: PT403 not_an_operator, 22023 invalid_usage (a bound is missing, or the range is reversed).';
grant execute on function spend.preview_reprice to authenticated, service_role;
