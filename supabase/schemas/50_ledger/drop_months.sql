create function spend_private.drop_months(p_keep_months integer, p_now timestamptz default now())
returns integer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Dropping locks the ledger for a moment; without the lock, the next run tries again.
set lock_timeout = '2s'
as $$
declare
  v_state spend_private.ledger_state;
  v_from timestamptz := (
    date_trunc('month', p_now, 'UTC') at time zone 'UTC' - make_interval(months => p_keep_months)
  ) at time zone 'UTC';
  v_month record;
  v_dropped integer := 0;
begin
  if p_keep_months is null then
    return 0;
  end if;
  select * into v_state from spend_private.ledger_state as s for no key update;
  -- Sums outlive the events, so the roll-ups must include all of them.
  if v_from <= v_state.kept_from or exists (
    select from spend.cost_events as e
    where e.occurred_at < v_from and e.booked_xid >= v_state.rolled_up_before
  ) or exists (
    select from spend.problems as p where p.job = 'roll_up' and p.resolved_at is null
  ) then
    return 0;
  end if;

  for v_month in
    select c.relname as name
    from pg_catalog.pg_inherits as i
    join pg_catalog.pg_class as c on c.oid = i.inhrelid
    where i.inhparent = 'spend.cost_events'::regclass
      and c.relname ~ '^cost_events_\d{4}_\d{2}$'
      and to_date(right(c.relname, 7), 'YYYY_MM') < (v_from at time zone 'UTC')::date
    order by c.relname
  loop
    execute format('drop table spend_private.%I', v_month.name);
    v_dropped := v_dropped + 1;
  end loop;

  perform set_config('spend.retention', 'on', true);
  delete from spend_private.cost_events_default as d where d.occurred_at < v_from;
  perform set_config('spend.retention', 'off', true);
  update spend_private.ledger_state as s set kept_from = v_from;
  return v_dropped;
end;
$$;
comment on function spend_private.drop_months is
  'Retention: drops the events of months that ended more than p_keep_months months ago, whole partitions at a time; returns how many. Their sums by hour stay in cost_rollups, those by conversation are deleted by the job delete_conversations. Null keeps everything. Events that are not rolled up are never dropped.';
