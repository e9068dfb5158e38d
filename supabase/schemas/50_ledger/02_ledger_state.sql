create table spend_private.ledger_state (
  is_only_row boolean primary key default true,
  rolled_up_before xid8 not null,
  kept_from timestamptz not null default '-infinity',
  cluster_id bigint not null,
  reservations_kept_from timestamptz not null default '-infinity',
  constraint is_only_row check (is_only_row)
);
comment on table spend_private.ledger_state is
  'How far the ledger is rolled up, and from when on it is kept. One row; transactions that change roll-ups lock it first.';
comment on column spend_private.ledger_state.rolled_up_before is 'Events of transactions before this one are in the roll-ups, all others are not. Never above the oldest transaction that still runs.';
comment on column spend_private.ledger_state.kept_from is 'Retention has dropped events that occurred earlier; cost_rollups keeps their sums.';
comment on column spend_private.ledger_state.reservations_kept_from is 'Retention may have deleted reservations that were made earlier: an event without one is no error then.';
comment on column spend_private.ledger_state.cluster_id is 'Server whose transactions rolled_up_before counts; after a restore into another one the number means nothing.';
alter table spend_private.ledger_state enable row level security;

create function spend_private.cluster_id()
returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select c.system_identifier from pg_catalog.pg_control_system() as c);
exception
  when insufficient_privilege then
    return 0;
end;
$$;
comment on function spend_private.cluster_id is
  'Identifies the database server; 0 where the owner may not ask.';

insert into spend_private.ledger_state (rolled_up_before, cluster_id)
values ('0', spend_private.cluster_id());

create function spend_private.rolled_up_before()
returns xid8
language plpgsql stable parallel safe
-- Definer: readers of reports see the mark, not the table.
security definer
set search_path = pg_catalog, pg_temp
-- A high cost makes the planner evaluate it once, as a bound of the index on booked_xid, not per row.
cost 10000
as $$
begin
  return (select s.rolled_up_before from spend_private.ledger_state as s);
end;
$$;
comment on function spend_private.rolled_up_before is
  'Events with booked_xid from here on are not in the roll-ups yet. Stable: a statement reads the mark and the roll-ups in one snapshot.';
grant execute on function spend_private.rolled_up_before to authenticated, service_role;
