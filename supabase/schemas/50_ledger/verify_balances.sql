create function spend.verify_balances()
returns table (
  quota_id bigint,
  period_start timestamptz,
  column_name text,
  balance_usd numeric,
  ledger_usd numeric
)
language sql stable
-- Definer: it reads spend_private.
security definer
set search_path = pg_catalog, pg_temp
as $$
  with balance as (
    select
      b.quota_id, b.period_start, max(b.period_end) as period_end,
      sum(b.spent_usd) as spent_usd, sum(b.reserved_usd) as reserved_usd,
      sum(b.allotted_usd) as allotted_usd, bool_and(b.is_calm) as is_calm
    from spend_private.quota_balances as b
    group by b.quota_id, b.period_start
  ),

  held as (
    select h.quota_id, h.period_start, sum(r.estimated_cost_usd) as reserved_usd
    from spend.reservations as r
    cross join lateral unnest(r.holds) as h
    where r.status = 'held'
    group by h.quota_id, h.period_start
  ),

  compared as (
    select
      b.quota_id, b.period_start, 'spent_usd' as column_name, b.spent_usd as balance_usd,
      spend_private.ledger_usd(q, b.period_start, b.period_end) as ledger_usd
    from balance as b
    join spend.cost_quotas as q on q.id = b.quota_id
    union all
    select
      coalesce(b.quota_id, h.quota_id), coalesce(b.period_start, h.period_start), 'reserved_usd',
      coalesce(b.reserved_usd, 0), coalesce(h.reserved_usd, 0)
    from balance as b
    full join held as h on h.quota_id = b.quota_id and h.period_start = b.period_start
    where b.quota_id is not null or exists (select from spend.cost_quotas as q where q.id = h.quota_id)
    union all
    select b.quota_id, b.period_start, 'allotted_usd', b.allotted_usd, spend_private.allotment_usd(q, b.is_calm)
    from balance as b
    join spend.cost_quotas as q on q.id = b.quota_id
    where b.period_end > now()
  )

  select c.quota_id, c.period_start, c.column_name, c.balance_usd, c.ledger_usd
  from compared as c
  where c.balance_usd <> c.ledger_usd
  order by c.quota_id, c.period_start, c.column_name
$$;
comment on function spend.verify_balances is
  'Proves the balances: one row for each that differs from what the ledger (spent_usd), the open reservations (reserved_usd) or the limit (allotted_usd, current periods) say. Empty = all is right. One statement, one snapshot: it may run beside traffic. For service_role.';
grant execute on function spend.verify_balances to service_role;
