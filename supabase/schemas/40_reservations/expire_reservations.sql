create function spend.expire_reservations(max_rows integer default 1000)
returns integer
language plpgsql volatile
-- Definer: see spend.reserve.
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
begin
  return spend_private.expire_reservations(expire_reservations.max_rows);
end;
$$;
comment on function spend.expire_reservations is
  'Charges up to max_rows reservations that have expired at their estimate (kind expiry) and returns their holds; returns how many. Their cost is unknown, and unknown is not zero; a late settle corrects it. Safe to run concurrently. A reservation that fails goes to spend.problems and is retried later; the others are charged. For service_role.';
grant execute on function spend.expire_reservations to service_role;

create function spend_private.expire_reservations(
  p_max_rows integer default 1000,
  p_now timestamptz default now()
)
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
declare
  v_passed_over uuid[] := '{}';
  v_due spend_private.due_hold[];
  v_done integer := 0;
begin
  -- The table before the tenants, as calls do, and without waiting: while the platform's quotas are being changed,
  -- there is nothing to do.
  begin
    lock table spend.reservations in row exclusive mode nowait;
  exception
    when lock_not_available then
      return 0;
  end;
  perform spend_private.resolve_expiries(p_now);
  -- Each turn skips the tenants whose quotas or balances it found locked, instead of waiting for them.
  for v_turn in 1..10 loop
    v_due := spend_private.due_holds(p_max_rows, v_passed_over, p_now);
    exit when v_due is null;
    v_passed_over := v_passed_over
      || array(select distinct d.tenant_id from unnest(v_due) as d where not d.is_joined);
    v_due := array(select d from unnest(v_due) as d where d.is_joined);
    continue when v_due = '{}';

    v_done := spend_private.expire_batch(v_due, p_now);
    -- This batch has locked balances, the platform's among them: another turn would lock tenants' after them, against the
    -- lock order. The next run does the rest.
    exit when v_done > 0;
    -- Skip the tenants of those that were not booked, so that they do not block others.
    v_passed_over := v_passed_over || array(
      select distinct d.tenant_id
      from unnest(v_due) as d
      join spend.reservations as r on r.tenant_id = d.tenant_id and r.id = d.id
      where r.status = 'held'
    );
  end loop;
  return v_done;
end;
$$;
comment on function spend_private.expire_reservations is
  'spend.expire_reservations with a clock.';

create function spend_private.resolve_expiries(p_now timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
as $$
begin
  update spend.problems as p set resolved_at = p_now
  where p.job = 'expire_reservations' and p.resolved_at is null and p.subject <> 'job'
    and not exists (
      select from spend.reservations as r
      where r.tenant_id = (p.details ->> 'tenant_id')::uuid and r.id = (p.details ->> 'reservation_id')::uuid
        and r.status = 'held'
    );
end;
$$;
comment on function spend_private.resolve_expiries is
  'Closes the problems of reservations that have ended since: expired, settled or released.';
