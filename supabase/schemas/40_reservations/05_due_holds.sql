create type spend_private.due_hold as (
  tenant_id uuid,
  id uuid,
  is_joined boolean
);
comment on type spend_private.due_hold is
  'A reservation that is to expire. is_joined: its tenant''s quotas are not being changed, and will not be until the transaction ends.';

create function spend_private.due_holds(
  p_max_rows integer,
  p_passed_over uuid[],
  p_now timestamptz
)
returns spend_private.due_hold[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_generic_plan'
set enable_seqscan = 'off'
-- Walks the index until it has found enough: a bitmap would be gathered from all of it first.
set enable_bitmapscan = 'off'
as $$
begin
  return (
    with due as materialized (
      select r.tenant_id, r.id, r.expires_at
      from spend.reservations as r
      where r.status = 'held' and r.expires_at <= p_now and r.tenant_id <> all (p_passed_over)
        -- A reservation that failed must not block the queue.
        and not exists (
          select from spend.problems as p
          where p.job = 'expire_reservations' and p.subject = spend_private.hold_subject(r.tenant_id, r.id)
            and p.resolved_at is null and p.retry_at > p_now
        )
      order by r.expires_at
      limit greatest(p_max_rows, 0)
    ),

    joined as materialized (
      select t.tenant_id, spend_private.try_join_calls(spend_private.tenant_key(t.tenant_id)) as is_joined
      from (select distinct d.tenant_id from due as d) as t
    )

    select array_agg(row(d.tenant_id, d.id, j.is_joined)::spend_private.due_hold order by d.tenant_id, d.expires_at)
    from due as d
    join joined as j on j.tenant_id = d.tenant_id
  );
end;
$$;
comment on function spend_private.due_holds is
  'Reservations to expire, the oldest p_max_rows, by tenant; null when there are none. Left out: those of p_passed_over, and those that failed a moment ago. Joins the calls of their tenants.';

create function spend_private.hold_subject(p_tenant_id uuid, p_id uuid)
returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  return p_tenant_id || '/' || p_id;
end;
$$;
comment on function spend_private.hold_subject is
  'Subject of a problem with a reservation: tenant/reservation.';
