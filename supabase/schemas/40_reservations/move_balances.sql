create function spend_private.move_balances(
  p_holds spend.reservation_hold[],
  p_reserved_usd numeric,
  p_spent_usd numeric
)
returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_hold spend.reservation_hold;
begin
  foreach v_hold in array p_holds loop
    update spend_private.quota_balances as b set
      reserved_usd = b.reserved_usd + p_reserved_usd,
      spent_usd = b.spent_usd + p_spent_usd
    where b.quota_id = v_hold.quota_id and b.period_start = v_hold.period_start and b.slot = v_hold.slot;
  end loop;
end;
$$;
comment on function spend_private.move_balances is
  'Adds to what is held and spent, in USD, in each of the balances, in their order. A balance whose quota was deleted is passed over.';
