create function spend.claim_alerts(max_rows integer default 50)
returns setof spend.alerts
language plpgsql volatile
-- Definer: no role may write the outbox itself.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return query select a.* from spend_private.claim_alerts(claim_alerts.max_rows) as a;
end;
$$;
comment on function spend.claim_alerts is
  'Claims alerts that are due for delivery, the oldest first. Each goes to one caller, and to the next one only after a delay that doubles with each attempt (30 s to 6 hours): call finish_alert after delivery or failure. For service_role.';
grant execute on function spend.claim_alerts to service_role;

create function spend_private.claim_alerts(p_max_rows integer, p_now timestamptz default now())
returns setof spend.alerts
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    with due as (
      select a.id
      from spend.alerts as a
      where a.delivered_at is null and a.next_attempt_at <= p_now
      order by a.next_attempt_at, a.id
      limit greatest(p_max_rows, 0)
      -- Skip those that another deliverer is claiming.
      for update skip locked
    )
    update spend.alerts as a set
      attempts = a.attempts + 1,
      next_attempt_at = p_now + least(interval '30 seconds' * 2 ^ least(a.attempts, 20), interval '6 hours')
    from due
    where a.id = due.id
    returning a.*;
end;
$$;
comment on function spend_private.claim_alerts is
  'spend.claim_alerts with a clock.';
