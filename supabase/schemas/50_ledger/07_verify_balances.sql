create type spend_private.finding as (
  quota_id bigint,
  period_start timestamptz,
  column_name text,
  balance_usd numeric,
  ledger_usd numeric,
  subject text
);
comment on type spend_private.finding is
  'What spend.verify_balances found: the stored value (balance_usd) is not the one that follows from the ledger (ledger_usd).';

create function spend.verify_balances()
returns table (
  quota_id bigint,
  period_start timestamptz,
  column_name text,
  balance_usd numeric,
  ledger_usd numeric,
  subject text
)
language plpgsql stable
-- Definer: it reads spend_private.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Stable functions: all of them see the snapshot of the calling statement.
  return query
    select f.*
    from (
      select * from spend_private.wrong_balances()
      union all
      select * from spend_private.orphaned_balances()
      union all
      select * from spend_private.wrong_reservations()
      union all
      select * from spend_private.lost_reservations()
      union all
      select * from spend_private.wrong_rollups()
      union all
      select * from spend_private.wrong_mark()
    ) as f
    order by f.quota_id, f.period_start, f.column_name, f.subject;
end;
$$;
comment on function spend.verify_balances is
  'Verifies stored values: balances (spent, held, allotted, bounds, slots, flags) against the ledger, the open reservations and the quotas; ended reservations against their events; events against their reservations; the roll-ups and their mark against the ledger. One row for each value that differs: the stored one in balance_usd, the right one in ledger_usd (bounds: seconds since 1970; flags: 1 is true; slots and calls: numbers), what has it in subject. quota_id: null for other than balances. No row: all is right. One statement, one snapshot: safe to run beside traffic. For service_role.';
grant execute on function spend.verify_balances to service_role;
