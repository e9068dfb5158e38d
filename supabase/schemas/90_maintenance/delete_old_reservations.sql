create function spend_private.delete_old_reservations(
  p_keep_days integer,
  p_max_rows integer default 5000,
  p_now timestamptz default now(),
  p_max_pages integer default 2000
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  -- A day of UTC, so that the mark below moves once a day.
  v_before timestamptz := date_trunc('day', p_now - make_interval(days => p_keep_days), 'UTC');
  v_page bigint;
  v_next_page bigint;
  v_deleted bigint;
begin
  -- As calls do, but without waiting: spend.maintain() may have recorded an alert in this transaction, for which a change of
  -- the platform's quotas waits while it has the table.
  lock table spend.reservations in row exclusive mode nowait;
  -- In the transaction that deletes, so that no reader takes an event without its reservation for an error.
  update spend_private.ledger_state as s set reservations_kept_from = v_before
  where s.reservations_kept_from < v_before;

  v_page := (select r.next_page from spend_private.job_runs as r where r.job = 'delete_reservations');
  select d.deleted, d.next_page into v_deleted, v_next_page
  from spend_private.delete_reservations_in(coalesce(v_page, 0), p_max_pages, v_before, p_max_rows) as d;
  insert into spend_private.job_runs as r (job, done_at, next_page)
  values ('delete_reservations', p_now, v_next_page)
  on conflict on constraint job_runs_pkey do update set next_page = excluded.next_page;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_reservations is
  'Deletes reservations that were made and ended before the day that was p_keep_days ago (UTC), p_max_rows at most; returns how many. A step reads the next p_max_pages pages of the table (16 MB), so that it needs no index, and starts over at the end: 23 GB a day. Keeps reservations that are held, and those of contexts whose cost is not booked yet.';

create function spend_private.delete_reservations_in(
  p_page bigint,
  p_max_pages integer,
  p_before timestamptz,
  p_max_rows integer,
  out deleted bigint,
  out next_page bigint
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_pages bigint := pg_relation_size('spend.reservations') / current_setting('block_size')::bigint;
  v_from tid := format('(%s,0)', p_page)::tid;
  v_end tid := format('(%s,0)', p_page + p_max_pages)::tid;
  v_places tid[];
begin
  v_places := array(
    select r.ctid
    from spend.reservations as r
    where r.ctid >= v_from and r.ctid < v_end
      -- A late settle starts the time anew.
      and r.status <> 'held' and r.ended_at < p_before and r.created_at < p_before
      -- Reconciliation still settles it.
      and not exists (
        select from spend.execution_contexts as c
        where c.reservation_id = r.id and c.tenant_id = r.tenant_id and c.booked_at is null
      )
    order by r.ctid
    limit p_max_rows
    -- A settle that is under way goes first; a later step deletes the row.
    for update of r skip locked
  );
  delete from spend.reservations as r where r.ctid = any (v_places);
  get diagnostics deleted = row_count;

  -- A full batch left off on the page of its last row.
  next_page := case
    when deleted >= p_max_rows then (v_places[cardinality(v_places)]::text::point)[0]::bigint
    else p_page + p_max_pages
  end;
  if next_page >= v_pages then
    next_page := 0;
  end if;
end;
$$;
comment on function spend_private.delete_reservations_in is
  'A step of delete_old_reservations: those in p_max_pages pages of the table from p_page on. next_page: where the next step begins; 0 after the last page.';
