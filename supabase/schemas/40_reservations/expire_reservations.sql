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
  'Books up to max_rows reservations whose time is over at their estimate (kind expiry) and gives their holds back; returns how many. Nobody said what they cost, and unknown is not zero; a late settle corrects. May run beside traffic and beside itself. One that cannot be booked does not keep the others: spend.problems says why, and it is tried again later. For service_role.';
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
  -- Before the tenants' locks, which are only tried, as this one is: while the platform's quotas are being changed there
  -- is nothing to do.
  begin
    lock table spend.reservations in row exclusive mode nowait;
  exception
    when lock_not_available then
      return 0;
  end;
  perform spend_private.resolve_expiries(p_now);
  -- Each turn passes over more tenants, those whose quotas or balances are locked just now: nobody waits for them.
  for v_turn in 1..10 loop
    v_due := spend_private.due_holds(p_max_rows, v_passed_over, p_now);
    exit when v_due is null;
    v_passed_over := v_passed_over
      || array(select distinct d.tenant_id from unnest(v_due) as d where not d.is_joined);
    v_due := array(select d from unnest(v_due) as d where d.is_joined);
    continue when v_due = '{}';

    v_done := spend_private.expire_batch(v_due, p_now);
    -- Its balances are locked now, the platform's too: another turn would lock others' after them, against the order of
    -- calls. What is left is for the next run.
    exit when v_done > 0;
    -- Whose were not booked now, they are not in the way of others.
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
