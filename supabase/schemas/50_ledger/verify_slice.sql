create function spend_private.verify_slice(p_max_rows integer default 5000, p_now timestamptz default now())
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state spend_private.verification_state;
  v_end timestamptz := clock_timestamp() + interval '500 milliseconds';
  v_rows bigint := 0;
begin
  select * into v_state from spend_private.verification_state as s for update;
  perform spend_private.verify_again(p_now);
  perform spend_private.verify_price_book(20, p_now, v_end);
  while v_rows < p_max_rows and clock_timestamp() < v_end loop
    v_rows := v_rows + case v_state.stage
      when 'platform' then spend_private.verify_platform(p_now)
      when 'quotas' then spend_private.verify_quotas(p_max_rows, p_now)
      when 'reservations' then spend_private.verify_reservations(p_max_rows, p_now)
      when 'ledger' then spend_private.verify_ledger(p_max_rows, p_now)
    end;
    select * into v_state from spend_private.verification_state as s;
    -- At most one cycle per slice, however few rows there are.
    exit when v_state.stage = 'platform';
  end loop;
  return v_rows;
end;
$$;
comment on function spend_private.verify_slice is
  'Verifies about the next p_max_rows rows (quotas, reservations, events), for half a second at most, and returns how many; starts over at the end. What spend.verify_balances would find there becomes a problem of job verify (spend.problems), with an alert; problems that are gone are closed. Safe beside traffic: each check is one statement. Compares balances with the roll-ups, and where they differ with the events; roll-ups with the events; the price book of some products with their prices.';

create function spend_private.verify_platform(p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quota_ids bigint[] := array(select q.id from spend.cost_quotas as q where q.tenant_id is null order by q.id);
begin
  perform spend_private.record_findings(
    array(
      select f from spend_private.wrong_quotas(v_quota_ids, p_now) as f
      union all
      select f from spend_private.orphaned_balances() as f
      union all
      select f from spend_private.wrong_mark() as f
    ), null, p_now
  );
  perform spend_private.verify_next_tenant(p_now);
  return greatest(cardinality(v_quota_ids), 1);
end;
$$;
comment on function spend_private.verify_platform is
  'Stage of verify_slice: the platform''s quotas, balances without a quota, and the mark of the roll-ups.';

create function spend_private.verify_quotas(p_max_rows integer, p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state spend_private.verification_state;
  v_quota_ids bigint[];
begin
  select * into v_state from spend_private.verification_state as s;
  v_quota_ids := array(
    select q.id from spend.cost_quotas as q
    where q.tenant_id = v_state.tenant_id and q.id > coalesce(v_state.after_quota_id, 0)
    order by q.id limit p_max_rows
  );
  perform spend_private.record_findings(
    array(select f from spend_private.wrong_quotas(v_quota_ids, p_now) as f), v_state.tenant_id, p_now
  );
  update spend_private.verification_state as s set
    stage = case when cardinality(v_quota_ids) < p_max_rows then 'reservations' else 'quotas' end,
    after_quota_id = v_quota_ids[cardinality(v_quota_ids)];
  return greatest(cardinality(v_quota_ids), 1);
end;
$$;
comment on function spend_private.verify_quotas is
  'Stage of verify_slice: the balances of the tenant''s next quotas.';

create function spend_private.wrong_quotas(p_quota_ids bigint[], p_now timestamptz)
returns setof spend_private.finding
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_suspects bigint[] := array(
    select distinct f.quota_id from spend_private.wrong_balances(p_quota_ids, false, p_now) as f
  );
begin
  -- The roll-ups may be wrong instead.
  if v_suspects <> '{}' then
    return query select * from spend_private.wrong_balances(v_suspects, true, p_now);
  end if;
end;
$$;
comment on function spend_private.wrong_quotas is
  'wrong_balances of these quotas: by the roll-ups, which have fewer rows; those that differ by the events.';

create function spend_private.verify_reservations(p_max_rows integer, p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state spend_private.verification_state;
  v_ids uuid[];
begin
  select * into v_state from spend_private.verification_state as s;
  v_ids := array(
    select r.id from spend.reservations as r
    where r.tenant_id = v_state.tenant_id
      and r.id > coalesce(v_state.after_reservation_id, '00000000-0000-0000-0000-000000000000')
    order by r.id limit p_max_rows
  );
  if v_ids <> '{}' then
    perform spend_private.record_findings(
      array(
        select f from spend_private.wrong_reservations(v_state.tenant_id, v_ids[1], v_ids[cardinality(v_ids)]) as f
      ), v_state.tenant_id, p_now
    );
  end if;
  update spend_private.verification_state as s set
    stage = case when cardinality(v_ids) < p_max_rows then 'ledger' else 'reservations' end,
    after_reservation_id = v_ids[cardinality(v_ids)];
  return greatest(cardinality(v_ids), 1);
end;
$$;
comment on function spend_private.verify_reservations is
  'Stage of verify_slice: the tenant''s next reservations.';

create function spend_private.verify_ledger(p_max_rows integer, p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_state spend_private.verification_state;
  v_from timestamptz;
  v_last timestamptz;
  v_before timestamptz := 'infinity';
  v_events bigint;
begin
  select * into v_state from spend_private.verification_state as s;
  v_from := coalesce(v_state.from_hour, '-infinity');
  select max(e.occurred_at), count(*) into v_last, v_events
  from (
    select e.occurred_at from spend.cost_events as e
    where e.tenant_id = v_state.tenant_id and e.occurred_at >= v_from
    order by e.occurred_at limit p_max_rows
  ) as e;
  -- Up to a full hour of UTC: hours of the roll-ups end there too.
  if v_events >= p_max_rows then
    v_before := date_trunc('hour', v_last, 'UTC') + interval '1 hour';
  end if;
  perform spend_private.record_findings(
    array(
      select f from spend_private.wrong_rollups(v_state.tenant_id, v_from, v_before) as f
      union all
      select f from spend_private.lost_reservations(v_state.tenant_id, v_from, v_before) as f
    ), v_state.tenant_id, p_now
  );
  if v_before < 'infinity' then
    update spend_private.verification_state as s set from_hour = v_before;
  else
    perform spend_private.verify_next_tenant(p_now);
  end if;
  return greatest(v_events, 1);
end;
$$;
comment on function spend_private.verify_ledger is
  'Stage of verify_slice: the tenant''s next events, and the roll-ups of their hours.';

create function spend_private.verify_next_tenant(p_now timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_after uuid;
  v_next uuid;
begin
  select coalesce(s.tenant_id, '00000000-0000-0000-0000-000000000000') into v_after
  from spend_private.verification_state as s;
  -- The next tenant of each table, by its index: this also verifies rows of tenants that are gone.
  select min(n.tenant_id::text)::uuid into v_next
  from (
    (select t.id from spend.tenants as t where t.id > v_after order by t.id limit 1)
    union all
    (select r.tenant_id from spend.reservations as r where r.tenant_id > v_after order by r.tenant_id limit 1)
    union all
    (select e.tenant_id from spend.cost_events as e where e.tenant_id > v_after order by e.tenant_id limit 1)
    union all
    (select r.tenant_id from spend_private.cost_rollups as r where r.tenant_id > v_after order by r.tenant_id limit 1)
    union all
    (
      select r.tenant_id from spend_private.conversation_rollups as r
      where r.tenant_id > v_after order by r.tenant_id limit 1
    )
  ) as n (tenant_id);
  update spend_private.verification_state as s set
    stage = case when v_next is null then 'platform' else 'quotas' end,
    tenant_id = v_next, after_quota_id = null, after_reservation_id = null, from_hour = null,
    cycle_started_at = case when v_next is null then p_now else s.cycle_started_at end,
    cycle_ended_at = case when v_next is null then p_now else s.cycle_ended_at end;
end;
$$;
comment on function spend_private.verify_next_tenant is
  'Moves on to the next tenant; after the last one, ends the cycle and begins the next.';

create function spend_private.record_findings(
  p_findings spend_private.finding[],
  p_tenant_id uuid,
  p_now timestamptz
)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem record;
begin
  for v_problem in
    with finding as (
      select n.*, row_number() over (partition by n.problem order by n.period_start, n.column_name) as place
      from (
        select f.*,
          case
            when f.column_name like '%rollups.%'
              then 'rollups ' || p_tenant_id || ' ' || (f.period_start at time zone 'UTC')::date
            when f.subject like 'quota %' then 'quota ' || f.quota_id
            else f.subject
          end as problem
        from unnest(p_findings) as f
      ) as n
    )

    select
      f.problem as subject, count(*) as findings, min(f.quota_id) as quota_id, min(f.period_start) as period_start,
      max(f.column_name) filter (where f.place = 1) as column_name,
      max(f.balance_usd) filter (where f.place = 1) as kept,
      max(f.ledger_usd) filter (where f.place = 1) as wanted,
      jsonb_agg(to_jsonb(f) - 'place' - 'problem' order by f.place) filter (where f.place <= 20) as list
    from finding as f
    group by f.problem
    order by f.problem
    -- Enough to report where much is wrong.
    limit 100
  loop
    perform spend_private.record_problem(
      'verify', v_problem.subject,
      format(
        '%s is %s and should be %s (%s in all)', v_problem.column_name, v_problem.kept,
        coalesce(v_problem.wanted::text, 'gone'), v_problem.findings
      ),
      jsonb_build_object(
        'tenant_id', p_tenant_id, 'quota_id', v_problem.quota_id, 'period_start', v_problem.period_start,
        'findings', v_problem.list
      ), p_now
    );
  end loop;
end;
$$;
comment on function spend_private.record_findings is
  'Makes findings problems of job verify: one for each quota, reservation, and day of a tenant''s roll-ups.';

create function spend_private.verify_again(p_now timestamptz)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem spend.problems;
  v_is_wrong boolean;
begin
  for v_problem in
    select * from spend.problems as p
    where p.job = 'verify' and p.subject <> 'job' and p.resolved_at is null
    order by random() limit 20
  loop
    v_is_wrong := case split_part(v_problem.subject, ' ', 1)
      when 'quota' then exists (
        select from spend_private.wrong_quotas(array[(v_problem.details ->> 'quota_id')::bigint], p_now)
        union all
        select from spend_private.orphaned_balances() as o where o.quota_id = (v_problem.details ->> 'quota_id')::bigint
      )
      when 'rollups' then exists (
        select from spend_private.wrong_rollups(
          (v_problem.details ->> 'tenant_id')::uuid,
          split_part(v_problem.subject, ' ', 3)::date::timestamp at time zone 'UTC',
          (split_part(v_problem.subject, ' ', 3)::date + 1)::timestamp at time zone 'UTC'
        )
      )
      when 'reservation' then spend_private.is_wrong_reservation(
        split_part(split_part(v_problem.subject, ' ', 2), '/', 1)::uuid,
        split_part(v_problem.subject, '/', 2)::uuid,
        (v_problem.details ->> 'period_start')::timestamptz
      )
      when 'prices' then exists (
        select from spend_private.wrong_price_book(v_problem.details ->> 'provider', v_problem.details ->> 'product')
      )
      else exists (select from spend_private.wrong_mark())
    end;
    if not v_is_wrong then
      perform spend_private.resolve_problem('verify', v_problem.subject, p_now);
    end if;
  end loop;
end;
$$;
comment on function spend_private.verify_again is
  'Looks again at what verify_slice found, twenty problems at a time, and closes those that are gone.';

create function spend_private.is_wrong_reservation(p_tenant_id uuid, p_id uuid, p_created_at timestamptz)
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select from spend_private.wrong_reservations(p_tenant_id, p_id, p_id)
    union all
    select from spend_private.lost_reservations(
      p_tenant_id, p_created_at, p_created_at + interval '1 microsecond'
    ) as l
    where l.subject = 'reservation ' || p_tenant_id || '/' || p_id
  );
end;
$$;
comment on function spend_private.is_wrong_reservation is
  'Whether a reservation, there or not, differs from its events.';
