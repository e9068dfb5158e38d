create function spend.latest_calls(
  tenant_id uuid default null,
  user_id uuid default null,
  status text default null,
  product text default null,
  before uuid default null,
  top integer default 50
)
returns setof spend.reservations
language plpgsql stable
-- Definer: what the reader may see is decided once here, so that the rows come in the order of an index; policies on
-- each row would have all of a tenant's calls read and sorted.
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_sees_all boolean := spend_private.may_operate();
  v_user_id uuid := latest_calls.user_id;
begin
  if latest_calls.top is null or latest_calls.top not between 1 and 1000
    or latest_calls.status not in ('held', 'settled', 'released', 'expired')
  then
    raise exception using
      errcode = '22023', message = 'invalid_report',
      detail = jsonb_build_object('status', latest_calls.status, 'top', latest_calls.top)::text,
      hint = 'status: held, settled, released, expired or null; top: 1 to 1000.';
  end if;
  if latest_calls.tenant_id is null then
    perform spend_private.demand_operator();
    return query
    select c.* from spend_private.latest_calls_of_all(
      v_user_id, latest_calls.status, latest_calls.product, latest_calls.before, latest_calls.top
    ) as c;
    return;
  end if;

  if not v_sees_all and not latest_calls.tenant_id = any (array(select spend_private.managed_tenant_ids())) then
    -- A member sees the member's own; somebody else nothing.
    if not latest_calls.tenant_id = any (array(select spend_private.member_tenant_ids())) then
      return;
    end if;
    if v_user_id <> (select auth.uid()) then
      return;
    end if;
    v_user_id := (select auth.uid());
  end if;
  -- The ids of a tenant's reservations are in the order of their making.
  return query
  select r.*
  from spend.reservations as r
  where r.tenant_id = latest_calls.tenant_id
    and (latest_calls.before is null or r.id < latest_calls.before)
    and (v_user_id is null or r.user_id = v_user_id)
    and (latest_calls.status is null or r.status = latest_calls.status)
    and (latest_calls.product is null or r.product = latest_calls.product)
  order by r.id desc
  limit latest_calls.top;
end;
$$;
comment on function spend.latest_calls is
  'Calls, the newest first, page by page: before takes the id of the last row of the page before. Of a tenant; tenant_id null: of all, of the last seven days (before that row), for operators. Filters: user_id, status (held, settled, released, expired), product. Members see their own calls, owners and admins their tenant''s, operators and service_role all; of somebody else''s tenant there are no rows. Errors: 22023 invalid_report, PT403 not_an_operator.';
grant execute on function spend.latest_calls to authenticated, service_role;

create function spend_private.latest_calls_of_all(
  p_user_id uuid,
  p_status text,
  p_product text,
  p_before uuid,
  p_top integer
)
returns setof spend.reservations
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- An id begins with the milliseconds of its making.
  v_until timestamptz := coalesce(
    to_timestamp(('x' || left(replace(p_before::text, '-', ''), 12))::bit(48)::bigint / 1000.0), now()
  ) + interval '1 second';
  v_span interval;
  v_calls spend.reservations[];
begin
  -- No index has all tenants' calls in order: so much of the past is read as gives a page.
  foreach v_span in array array['10 minutes', '2 hours', '1 day', '7 days']::interval[] loop
    v_calls := array(
      select r
      from spend.reservations as r
      where r.created_at > v_until - v_span and r.created_at <= v_until
        and (p_before is null or r.id < p_before)
        and (p_user_id is null or r.user_id = p_user_id)
        and (p_status is null or r.status = p_status)
        and (p_product is null or r.product = p_product)
      order by r.id desc
      limit p_top
    );
    exit when cardinality(v_calls) >= p_top;
  end loop;
  return query select c.* from unnest(v_calls) as c order by c.id desc;
end;
$$;
comment on function spend_private.latest_calls_of_all is
  'spend.latest_calls of all tenants, of the seven days before now, or before the row p_before.';
