create function spend_private.ensure_partitions(p_now timestamptz default now())
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_kept_from timestamptz := (select s.kept_from from spend_private.ledger_state as s);
  v_month timestamp;
  v_made integer := 0;
  v_is_busy boolean := false;
begin
  for v_month in
    select date_trunc('month', p_now, 'UTC') at time zone 'UTC' + make_interval(months => m.ahead)
    from generate_series(0, 2) as m (ahead)
    union
    -- Months with events in the default partition, since theirs was not made ahead.
    select date_trunc('month', d.occurred_at, 'UTC') at time zone 'UTC'
    from spend_private.cost_events_default as d
    where d.occurred_at >= v_kept_from
    order by 1
  loop
    begin
      v_made := v_made + spend_private.ensure_partition(v_month::date, p_now)::integer;
      perform spend_private.resolve_problem('make_partitions', to_char(v_month, 'YYYY-MM'), p_now);
    exception
      when lock_not_available or deadlock_detected then
        v_is_busy := true;
      when others then
        perform spend_private.record_problem(
          'make_partitions', to_char(v_month, 'YYYY-MM'), sqlerrm, jsonb_build_object('sqlstate', sqlstate), p_now
        );
    end;
  end loop;
  if v_is_busy and v_made = 0 then
    raise exception using errcode = '55P03', message = 'ledger_is_busy';
  end if;
  return v_made;
end;
$$;
comment on function spend_private.ensure_partitions is
  'Makes the partitions of cost_events for this month and the next two, and for months with events in the default partition; returns how many it made. A month that fails goes to spend.problems, and the others are made; raises 55P03 when no lock was granted and none was made.';

create function spend_private.ensure_partition(p_month date, p_now timestamptz default now())
returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Bookings would queue behind this while it waits for a long report: rather let the next run try again.
set lock_timeout = '2s'
as $$
declare
  v_name text := 'cost_events_' || to_char(p_month, 'YYYY_MM');
  v_from timestamptz := p_month::timestamp at time zone 'UTC';
  v_before timestamptz := (p_month + interval '1 month') at time zone 'UTC';
begin
  if to_regclass('spend_private.' || v_name) is not null then
    return false;
  end if;
  -- Made apart, then attached: bookings into other months go on meanwhile.
  execute format(
    'create table spend_private.%I (like spend.cost_events including defaults including constraints)', v_name
  );
  execute format('alter table spend_private.%I enable row level security', v_name);
  execute format(
    'create trigger refuse_truncate before truncate on spend_private.%I
     for each statement execute function spend_private.refuse_change()', v_name
  );
  execute format(
    'comment on table spend_private.%I is %L', v_name,
    'Partition of spend.cost_events: ' || to_char(p_month, 'FMMonth YYYY') || ', UTC.'
  );

  if v_from <= p_now + interval '1 day' or exists (
    select from spend_private.cost_events_default as d where d.occurred_at >= v_from and d.occurred_at < v_before
  ) then
    -- Bookings of this month may be under way. This lock makes them wait before they choose a partition: the default
    -- partition would refuse one that had chosen it before.
    lock table only spend.cost_events in access exclusive mode;
  else
    -- Nobody books into a future month, so bookings go on. While reports hold their lock, a later run tries again.
    set local lock_timeout = '100ms';
    lock table only spend.cost_events in share update exclusive mode;
  end if;
  lock table spend_private.cost_events_default in access exclusive mode;
  perform set_config('spend.retention', 'on', true);
  execute format(
    'with moved as (
       delete from spend_private.cost_events_default as d
       where d.occurred_at >= %L and d.occurred_at < %L
       returning d.*
     )
     insert into spend_private.%I select m.* from moved as m', v_from, v_before, v_name
  );
  perform set_config('spend.retention', 'off', true);
  execute format(
    'alter table spend.cost_events attach partition spend_private.%I for values from (%L) to (%L)',
    v_name, v_from, v_before
  );
  return true;
end;
$$;
comment on function spend_private.ensure_partition is
  'Makes the partition of a month (its first day, UTC), and moves its events from the default partition; false when it exists already. Raises 55P03 when a lock is not granted.';
