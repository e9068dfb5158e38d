create function spend_private.roll_up(
  p_max_events integer default 500000,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_state spend_private.ledger_state;
  v_before xid8;
  v_late bigint;
begin
  select * into v_state from spend_private.ledger_state as s for no key update;
  if v_state.cluster_id <> spend_private.cluster_id()
    or v_state.rolled_up_before > pg_snapshot_xmax(pg_current_snapshot())
  then
    return spend_private.adopt_ledger();
  end if;

  -- Every transaction before the mark has ended, so the statements that follow see whatever it booked. An event's id or
  -- time could not tell: a transaction that still runs may have an earlier one.
  v_late := spend_private.roll_up_late(p_now);
  v_before := least(
    pg_snapshot_xmin(pg_current_snapshot()),
    (
      -- Up to and including the transaction that fills the batch: a mark cannot lie within one.
      select (e.booked_xid::text::numeric + 1)::text::xid8
      from spend.cost_events as e
      where e.booked_xid >= v_state.rolled_up_before
      order by e.booked_xid
      offset p_max_events - 1 limit 1
    )
  );
  update spend_private.ledger_state as s set rolled_up_before = v_before
  where s.rolled_up_before <> v_before;
  perform spend_private.add_to_totals(v_state.rolled_up_before, v_before);
  return v_late + spend_private.count_apart(v_state.rolled_up_before, v_before, null, p_now);
end;
$$;
comment on function spend_private.roll_up is
  'Adds events that are not in the roll-ups and the totals yet, p_max_events of them and those booked with the last one; returns how many. Never skips nor doubles an event, whatever commits late. Readers see the mark and the roll-ups change together. Events of one transaction and tenant that cannot be counted go to spend.problems and are retried later; the others are counted.';

create function spend_private.count_apart(p_from xid8, p_before xid8, p_tenant_id uuid, p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_from numeric := p_from::text;
  v_before numeric := p_before::text;
  v_middle xid8;
  v_constraint text;
begin
  if v_from >= v_before then
    return 0;
  end if;
  return spend_private.count_events(p_from, p_before, p_tenant_id);
exception
  when lock_not_available or deadlock_detected then
    raise;
  when others then
    if v_before - v_from > 1 then
      v_middle := trunc((v_from + v_before) / 2)::text::xid8;
      return spend_private.count_apart(p_from, v_middle, p_tenant_id, p_now)
        + spend_private.count_apart(v_middle, p_before, p_tenant_id, p_now);
    elsif p_tenant_id is null then
      return (
        select coalesce(sum(spend_private.count_apart(p_from, p_before, t.tenant_id, p_now)), 0)
        from (select distinct e.tenant_id from spend.cost_events as e where e.booked_xid = p_from) as t
      );
    end if;
    get stacked diagnostics v_constraint = constraint_name;
    perform spend_private.record_problem(
      'roll_up', p_tenant_id || '/' || p_from, sqlerrm,
      jsonb_build_object(
        'sqlstate', sqlstate, 'constraint', v_constraint, 'tenant_id', p_tenant_id, 'booked_xid', p_from::text
      ), p_now
    );
    return 0;
end;
$$;
comment on function spend_private.count_apart is
  'count_events, by halves when it fails: the events of one transaction and tenant that cannot be counted go to spend.problems, all others are counted.';

create function spend_private.roll_up_late(p_now timestamptz)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_problem spend.problems;
  v_events bigint := 0;
begin
  for v_problem in
    select * from spend.problems as p
    where p.job = 'roll_up' and p.resolved_at is null and p.retry_at <= p_now
      and p.details ->> 'booked_xid' is not null
    order by p.retry_at
    limit 100
    for no key update skip locked
  loop
    begin
      v_events := v_events + spend_private.count_events(
        (v_problem.details ->> 'booked_xid')::xid8,
        ((v_problem.details ->> 'booked_xid')::numeric + 1)::text::xid8,
        (v_problem.details ->> 'tenant_id')::uuid
      );
      perform spend_private.resolve_problem('roll_up', v_problem.subject, p_now);
    exception
      when lock_not_available or deadlock_detected then
        raise;
      when others then
        perform spend_private.record_problem('roll_up', v_problem.subject, sqlerrm, v_problem.details, p_now);
    end;
  end loop;
  return v_events;
end;
$$;
comment on function spend_private.roll_up_late is
  'Tries events again that roll_up left out, 100 problems at most; returns how many events are counted now.';

create function spend_private.count_events(
  p_from xid8,
  p_before xid8,
  p_tenant_id uuid default null,
  p_occurred_from timestamptz default '-infinity',
  p_occurred_before timestamptz default 'infinity'
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
declare
  v_events bigint;
begin
  insert into spend_private.conversation_rollups as r (
    tenant_id, hour, conversation_id, resource_type, provider, product, task, user_id, cost_usd, calls
  )
  select
    e.tenant_id, e.hour, e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id,
    sum(e.cost_usd), sum(e.calls)
  from spend_private.events_by_hour as e
  where e.booked_xid >= p_from and e.booked_xid < p_before
    and (p_tenant_id is null or e.tenant_id = p_tenant_id)
    and e.occurred_at >= greatest(p_occurred_from, (select s.kept_from from spend_private.ledger_state as s))
    and e.occurred_at < p_occurred_before
    and e.conversation_id is not null
  group by e.tenant_id, e.hour, e.conversation_id, e.resource_type, e.provider, e.product, e.task, e.user_id
  on conflict on constraint one_conversation_rollup_per_hour do update set
    cost_usd = r.cost_usd + excluded.cost_usd, calls = r.calls + excluded.calls;

  with hours as (
    select
      e.tenant_id, e.hour, e.resource_type, e.provider, e.product, e.task, e.user_id,
      sum(e.cost_usd) as cost_usd, sum(e.calls) as calls, count(*) as events
    from spend_private.events_by_hour as e
    where e.booked_xid >= p_from and e.booked_xid < p_before
      and (p_tenant_id is null or e.tenant_id = p_tenant_id)
      and e.occurred_at >= p_occurred_from and e.occurred_at < p_occurred_before
    group by e.tenant_id, e.hour, e.resource_type, e.provider, e.product, e.task, e.user_id
  ),

  added as (
    insert into spend_private.cost_rollups as r (
      tenant_id, hour, resource_type, provider, product, task, user_id, cost_usd, calls
    )
    select
      h.tenant_id, h.hour, h.resource_type, h.provider, h.product, h.task, h.user_id,
      h.cost_usd, h.calls
    from hours as h
    on conflict on constraint one_rollup_per_hour do update set
      cost_usd = r.cost_usd + excluded.cost_usd, calls = r.calls + excluded.calls
  )

  select coalesce(sum(h.events), 0) into v_events from hours as h;
  return v_events;
end;
$$;
comment on function spend_private.count_events is
  'Adds the events of the transactions from p_from to before p_before to the roll-ups; where given, only of one tenant or one span of time. Returns how many. The caller has locked ledger_state.';
