create index quota_balances_period_end_idx on spend_private.quota_balances (period_end);

create function spend_private.delete_old_balances(
  p_keep_days integer,
  p_max_rows integer default 10000,
  p_now timestamptz default now()
)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_deleted bigint;
begin
  with old as (
    select b.quota_id, b.period_start
    from spend_private.quota_balances as b
    where b.period_end < p_now - make_interval(days => p_keep_days)
    group by b.quota_id, b.period_start
    -- A call that is open for so long still gives back what it holds.
    having sum(b.reserved_usd) = 0
    limit p_max_rows
  )
  delete from spend_private.quota_balances as b
  using old as o
  where b.quota_id = o.quota_id and b.period_start = o.period_start;
  get diagnostics v_deleted = row_count;
  return v_deleted;
end;
$$;
comment on function spend_private.delete_old_balances is
  'Deletes balances of periods that ended more than p_keep_days ago and hold nothing; returns how many. A late settle passes over them and books into the ledger all the same.';
