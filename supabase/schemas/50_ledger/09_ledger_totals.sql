create table spend_private.ledger_totals (
  resource_type text not null,
  booking text not null,
  usd numeric not null default 0,
  since timestamptz not null default now(),
  primary key (resource_type, booking),
  constraint resource_type_is_known check (resource_type in ('llm', 'e2b')),
  constraint booking_is_known check (booking in ('charge', 'credit')),
  constraint usd_is_an_amount check (usd >= 0 and usd < 'infinity')
);
comment on table spend_private.ledger_totals is
  'What the ledger has booked in all, as counters that never fall: roll_up adds each event to them once. Events that retention drops stay counted.';
comment on column spend_private.ledger_totals.resource_type is 'llm or e2b.';
comment on column spend_private.ledger_totals.booking is 'charge: events that add to what is spent; credit: events that take from it (credits, corrections downward).';
comment on column spend_private.ledger_totals.usd is 'Sum of their cost_usd since then, without its sign. Charges less credits are what was spent.';
comment on column spend_private.ledger_totals.since is 'Events that were rolled up before are not in it: those from before this table.';
alter table spend_private.ledger_totals enable row level security;

insert into spend_private.ledger_totals (resource_type, booking)
values ('llm', 'charge'), ('llm', 'credit'), ('e2b', 'charge'), ('e2b', 'credit');

create function spend_private.add_to_totals(p_from xid8, p_before xid8)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
set plan_cache_mode = 'force_custom_plan'
as $$
begin
  update spend_private.ledger_totals as t set usd = t.usd + e.usd
  from (
    select
      c.resource_type,
      case when c.cost_usd < 0 then 'credit' else 'charge' end as booking,
      sum(abs(c.cost_usd)) as usd
    from spend.cost_events as c
    where c.booked_xid >= p_from and c.booked_xid < p_before
    group by 1, 2
  ) as e
  where t.resource_type = e.resource_type and t.booking = e.booking and e.usd > 0;
end;
$$;
comment on function spend_private.add_to_totals is
  'Adds the events of the transactions from p_from to before p_before to the totals. The caller has locked ledger_state, and moves its mark from the one to the other.';
