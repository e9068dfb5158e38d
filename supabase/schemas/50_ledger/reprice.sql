create type spend.repriced_tenant as (
  tenant_id uuid,
  calls bigint,
  booked_usd numeric,
  right_usd numeric,
  difference_usd numeric
);
comment on type spend.repriced_tenant is
  'Line of spend.reprice: how many calls of a tenant are booked at a wrong price, what is booked for them, what is right, and right_usd - booked_usd, in USD.';
comment on column spend.repriced_tenant.tenant_id is 'Tenant that pays.';
comment on column spend.repriced_tenant.calls is 'How many of its calls are booked at a wrong price.';
comment on column spend.repriced_tenant.booked_usd is 'USD booked for these calls before.';
comment on column spend.repriced_tenant.right_usd is 'USD that they cost at the right prices.';
comment on column spend.repriced_tenant.difference_usd is 'right_usd - booked_usd: what is booked, or with dry_run would be. Negative: given back.';

create function spend.reprice(
  provider text,
  product text,
  "from" timestamptz,
  "to" timestamptz,
  dry_run boolean default true
)
returns setof spend.repriced_tenant
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return query select * from spend_private.reprice(
    reprice.provider, reprice.product, reprice."from", reprice."to", coalesce(reprice.dry_run, true)
  );
end;
$$;
comment on function spend.reprice is
  'Corrects the charges of calls made from "from" to before "to" to the current price rows: insert the right price first, as rows of spend.prices with a higher revision. Returns one line per tenant with a difference. dry_run = true only shows them; false books one event of kind correction per call, in the periods of the call, and nothing when repeated. product: as in spend.reservations; ''*'' is every product of the provider. Calls of that time that may still be settled (held, expired or released) will settle at these prices too; their holds do not change. Inserting a price alone changes no earlier call.
Raises a notice for a product without calls in that time.
Errors: 22023 invalid_usage (a bound is missing, or the range is reversed), 55P03 when a lock is not granted within 3 s (try again). For service_role.';
grant execute on function spend.reprice to service_role;

create function spend_private.reprice(
  p_provider text,
  p_product text,
  p_from timestamptz,
  p_to timestamptz,
  p_dry_run boolean,
  p_now timestamptz default now()
)
returns setof spend.repriced_tenant
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_calls uuid[];
  v_price_version bigint;
  v_price_ids bigint[];
begin
  if p_provider is null or p_product is null or p_from is null or p_to is null then
    perform spend_private.fail_usage('provider, product, from, to', 'must not be null');
  elsif p_from >= p_to then
    perform spend_private.fail(
      '22023', 'invalid_usage', jsonb_build_object('field', 'to', 'from', p_from, 'to', p_to),
      '"to" must be after "from": calls are repriced that were made at or after "from" and before "to".'
    );
  end if;
  if not p_dry_run then
    -- The locks of every booking, in the same order: reservations, balances.
    perform spend_private.stop_recounts();
    -- Prices cannot change from here on, so that the bookings agree with them.
    v_price_version := spend_private.lock_price_version();
  end if;
  if not spend_private.has_calls(p_provider, p_product, p_from, p_to) then
    raise notice 'No call of "%/%" was made in that time: nothing is repriced.', p_provider, p_product
    using hint = concat_ws(
      ' ', spend_private.suggested_product(p_provider, nullif(p_product, '*')),
      'provider and product: as in spend.reservations; ''*'' is every product of the provider.'
    );
    return;
  elsif p_dry_run then
    return query
    select w.tenant_id, count(*), sum(w.booked_usd), sum(w.right_usd), sum(w.right_usd - w.booked_usd)
    from spend_private.wrong_bookings(p_provider, p_product, p_from, p_to, null) as w
    group by w.tenant_id order by w.tenant_id;
    return;
  end if;

  -- Those too that are being settled right now: they read the prices before they were set right.
  v_calls := array(
    select r.id
    from spend.reservations as r
    where r.provider = p_provider and p_product in (r.product, '*')
      and r.created_at >= p_from and r.created_at < p_to
  );
  perform spend_private.move_open_calls(p_provider, p_product, p_from, p_to, v_calls, v_price_version);

  select array_agg(distinct i.price_id) into v_price_ids
  from spend_private.wrong_bookings(p_provider, p_product, p_from, p_to, v_calls) as w
  cross join lateral unnest(w.price_ids) as i (price_id);
  perform spend_private.fix_prices(v_price_ids);
  return query select * from spend_private.rebook(p_provider, p_product, p_from, p_to, v_calls, p_now);
end;
$$;
comment on function spend_private.reprice is
  'spend.reprice with a clock.';

create function spend_private.has_calls(
  p_provider text,
  p_product text,
  p_from timestamptz,
  p_to timestamptz
)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from spend.reservations as r
    where r.provider = p_provider and p_product in (r.product, '*') and r.created_at >= p_from and r.created_at < p_to
  );
end;
$$;
comment on function spend_private.has_calls is
  'Whether a call of a product, or of a provider (''*''), was made in a span of time: a name that is misspelt has none.';

create function spend_private.move_open_calls(
  p_provider text,
  p_product text,
  p_from timestamptz,
  p_to timestamptz,
  p_calls uuid[],
  p_price_version bigint
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_priced record;
begin
  for v_priced in
    with moved as (
      update spend.reservations as r set
        price_version = p_price_version,
        priced_as = coalesce(spend_private.priced_as_now(r), r.priced_as)
      where r.provider = p_provider and p_product in (r.product, '*')
        and r.created_at >= p_from and r.created_at < p_to
        and r.status in ('held', 'expired', 'released')
        and r.id = any (p_calls)
      returning r.tenant_id, r.resource_type, r.provider, r.priced_as, r.created_at
    )

    select m.tenant_id, m.resource_type, m.provider, m.priced_as, max(m.created_at) as last_call_at
    from moved as m
    group by m.tenant_id, m.resource_type, m.provider, m.priced_as
    order by m.provider, m.priced_as, m.resource_type, m.tenant_id
  loop
    perform spend_private.mark_prices_used(
      v_priced.tenant_id, v_priced.resource_type, v_priced.provider, v_priced.priced_as, v_priced.last_call_at
    );
  end loop;
end;
$$;
comment on function spend_private.move_open_calls is
  'Of p_calls: those that may still be settled are priced by the rows up to p_price_version from now on, and these are marked as used. Waits for those that are being settled; afterwards none of them changes until the transaction ends.';

create function spend_private.priced_as_now(p_reservation spend.reservations)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_counts spend_private.usage_counts := spend_private.read_usage(
    p_reservation.resource_type, p_reservation.usage_estimate
  );
begin
  v_counts.name := p_reservation.product;
  return (spend_private.price_usage(
    p_reservation.tenant_id, p_reservation.resource_type, v_counts, p_reservation.created_at, true
  )).priced_as;
end;
$$;
comment on function spend_private.priced_as_now is
  'The product whose rows now apply to a call at the time that it was made; null when none do.';

create function spend_private.wrong_bookings(
  p_provider text,
  p_product text,
  p_from timestamptz,
  p_to timestamptz,
  p_calls uuid[]
)
returns table (
  tenant_id uuid,
  reservation_id uuid,
  booked_usd numeric,
  right_usd numeric,
  usage jsonb,
  price_ids bigint[],
  is_estimated boolean,
  metadata jsonb
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
  select
    r.tenant_id, r.id, r.actual_cost_usd::numeric, a.cost_usd, e.usage, a.price_ids,
    a.is_estimated or e.is_counted, e.metadata
  from spend.reservations as r
  cross join lateral (
    -- Retention may have dropped the events: without the usage, the booking stands.
    select b.usage, b.metadata, b.metadata @> '{"is_estimated": true}' as is_counted
    from spend.cost_events as b
    where b.tenant_id = r.tenant_id and b.occurred_at = r.created_at and b.reservation_id = r.id
      and b.usage is not null
    order by b.id desc
    limit 1
  ) as e
  cross join lateral spend_private.cost_at_right_prices(
    r,
    -- Unknown usage was booked as the bound; what the caller counted is usage.
    case when e.usage = r.usage_estimate and r.is_estimated and not e.is_counted then null else e.usage end
  ) as a
  where r.provider = p_provider and p_product in (r.product, '*')
    and r.created_at >= p_from and r.created_at < p_to
    and r.status in ('settled', 'expired')
    and (p_calls is null or r.id = any (p_calls))
    and a.cost_usd <> r.actual_cost_usd;
end;
$$;
comment on function spend_private.wrong_bookings is
  'Calls of a product and a span of time (p_calls: only these) whose cost differs at the price rows that now apply to the time that they were made.';

create function spend_private.cost_at_right_prices(p_reservation spend.reservations, p_usage jsonb)
returns spend_private.actual_cost
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_bound spend_private.actual_cost;
begin
  -- By all rows, also later ones.
  p_reservation.price_version := null;
  v_bound := spend_private.actual_cost(p_reservation, p_reservation.usage_estimate, p_is_bound => true);
  -- The estimate was wrong too, and unknown usage costs at least the estimate.
  p_reservation.estimated_cost_usd := v_bound.cost_usd;
  p_reservation.price_ids := v_bound.price_ids;
  return spend_private.actual_cost(p_reservation, p_usage);
end;
$$;
comment on function spend_private.cost_at_right_prices is
  'actual_cost by all rows, and with an estimate by all rows. p_usage null: what the bound costs.';

create function spend_private.rebook(
  p_provider text,
  p_product text,
  p_from timestamptz,
  p_to timestamptz,
  p_calls uuid[],
  p_now timestamptz
)
returns setof spend.repriced_tenant
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_tenants spend.repriced_tenant[];
  v_moves jsonb;
  v_move record;
begin
  with wrong as materialized (
    select r.*, w.booked_usd, w.right_usd, w.usage, w.price_ids as right_price_ids,
      w.is_estimated as is_still_estimated, w.metadata as event_metadata
    from spend_private.wrong_bookings(p_provider, p_product, p_from, p_to, p_calls) as w
    join spend.reservations as r on r.tenant_id = w.tenant_id and r.id = w.reservation_id
  ),

  event as (
    insert into spend.cost_events (
      tenant_id, occurred_at, booked_at, kind, reservation_id, user_id, conversation_id, path_id,
      task, resource_type, provider, product, usage, cost_usd, price_ids, is_estimated, metadata
    )
    select
      w.tenant_id, w.created_at, p_now, 'correction', w.id, w.user_id, w.conversation_id, w.path_id,
      w.task, w.resource_type, w.provider, w.product, w.usage, w.right_usd - w.booked_usd,
      w.right_price_ids, w.is_still_estimated, w.event_metadata || '{"reason": "repriced"}'
    from wrong as w
  ),

  reservation as (
    update spend.reservations as r
    set actual_cost_usd = w.right_usd, is_estimated = w.is_still_estimated
    from wrong as w
    where r.tenant_id = w.tenant_id and r.id = w.id
  ),

  tenant as (
    select row(
      w.tenant_id, count(*), sum(w.booked_usd), sum(w.right_usd), sum(w.right_usd - w.booked_usd)
    )::spend.repriced_tenant as line
    from wrong as w
    group by w.tenant_id
  ),

  -- Not the holds: a quota that has changed since the call was recounted from the ledger.
  move as (
    select q.scope, b.quota_id, b.period_start, sum(w.right_usd - w.booked_usd) as usd
    from wrong as w
    join spend.cost_quotas as q
      on (q.tenant_id is null or q.tenant_id = w.tenant_id)
      and (q.scope <> 'user' or q.scope_id = w.user_id)
      and q.resource_type in ('all', w.resource_type)
      and (q.task is null or q.task = w.task)
      and (q.product is null or q.product = w.product)
    join spend_private.quota_balances as b
      on b.quota_id = q.id and b.slot = 0
      and w.created_at >= b.period_start and w.created_at < b.period_end
    group by q.scope, b.quota_id, b.period_start
  )

  select
    (select array_agg(t.line order by (t.line).tenant_id) from tenant as t),
    (select jsonb_agg(to_jsonb(m)) from move as m)
  into v_tenants, v_moves;

  for v_move in
    select m.*
    from jsonb_to_recordset(v_moves) as m (scope text, quota_id bigint, period_start timestamptz, usd numeric)
    -- The lock order of reserve, over the whole batch.
    order by spend_private.lock_rank(m.scope), m.quota_id, m.period_start
  loop
    perform spend_private.overrun_balances(
      array[row(v_move.quota_id, v_move.period_start, 0)::spend.reservation_hold], 0, v_move.usd
    );
    if v_move.usd < 0 then
      perform spend_private.end_alerts(
        array[row(v_move.quota_id, v_move.period_start, 0)::spend.reservation_hold], p_now
      );
    end if;
  end loop;
  return query select * from unnest(v_tenants);
end;
$$;
comment on function spend_private.rebook is
  'Books what wrong_bookings finds about p_calls, which do not change any more, nor do their prices: an event each, the reservations, and each balance once.';
