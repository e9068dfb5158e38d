create function spend.ledger_totals()
returns table (resource_type text, booking text, usd numeric, since timestamptz)
language sql stable
-- Definer: nobody reads the table itself.
security definer
set search_path = pg_catalog, pg_temp
as $$
  select t.resource_type, t.booking, t.usd, t.since
  from spend_private.ledger_totals as t
  order by t.resource_type, t.booking;
$$;
comment on function spend.ledger_totals is
  'USD that the ledger has booked in all since then, by resource_type (llm, e2b) and booking: charge adds to what is spent, credit takes from it. Numbers that never fall, with all that is rolled up, whoever booked it: the function maintenance sends them as the counter spendgate.ledger.booked. For service_role.';
grant execute on function spend.ledger_totals to service_role;
