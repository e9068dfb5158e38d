create type spend.open_hold as (
  tenant_id uuid,
  tenant_name text,
  reservation_id uuid,
  user_id uuid,
  resource_type text,
  provider text,
  product text,
  task text,
  estimated_cost_usd numeric,
  created_at timestamptz,
  expires_at timestamptz,
  total bigint
);
comment on type spend.open_hold is 'Line of spend.open_holds.';
comment on column spend.open_hold.tenant_id is 'Tenant that pays.';
comment on column spend.open_hold.tenant_name is 'Its name.';
comment on column spend.open_hold.reservation_id is 'What release_hold takes.';
comment on column spend.open_hold.user_id is 'Member who calls; null: the tenant itself.';
comment on column spend.open_hold.resource_type is 'llm or e2b.';
comment on column spend.open_hold.provider is 'Who sells it.';
comment on column spend.open_hold.product is 'Model or template.';
comment on column spend.open_hold.task is 'What the call is for.';
comment on column spend.open_hold.estimated_cost_usd is 'USD that are held.';
comment on column spend.open_hold.created_at is 'When it was reserved.';
comment on column spend.open_hold.expires_at is 'When it is booked at its estimate, unless it ends before.';

comment on column spend.open_hold.total is 'Open reservations on all pages together.';

create function spend.open_holds(top integer default 100, skip integer default 0)
returns setof spend.open_hold
language plpgsql stable
-- Definer: who may is decided here, so that the rows come in the order of an index.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform spend_private.demand_operator();
  if open_holds.top is null or open_holds.top not between 1 and 1000 or open_holds.skip is null or open_holds.skip < 0 then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object('top', open_holds.top, 'skip', open_holds.skip)::text,
      hint = 'top: 1 to 1000; skip: 0 or more.';
  end if;
  return query
  select
    r.tenant_id, t.name, r.id, r.user_id, r.resource_type, r.provider, r.product, r.task,
    r.estimated_cost_usd::numeric, r.created_at, r.expires_at,
    (select count(*) from spend.reservations as o where o.status = 'held')
  from spend.reservations as r
  left join spend.tenants as t on t.id = r.tenant_id
  where r.status = 'held'
  order by r.expires_at, r.id
  limit open_holds.top offset open_holds.skip;
end;
$$;
comment on function spend.open_holds is
  'Open reservations of all tenants, the one that expires first above, in pages of top rows after skip. For operators and service_role. Errors: PT403 not_an_operator, 22023 invalid_report.';
grant execute on function spend.open_holds to authenticated, service_role;
