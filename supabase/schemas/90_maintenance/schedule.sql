-- Hosted Supabase has pg_cron, other servers may not: there, call spend.run_maintenance() every minute by other means
-- (the edge function `maintenance` does the same).
do $$
begin
  if not exists (select from pg_catalog.pg_available_extensions as e where e.name = 'pg_cron') then
    return;
  end if;
  create extension if not exists pg_cron with schema pg_catalog;
  perform cron.schedule('spend-maintain', '* * * * *', 'call spend.run_maintenance()');
  -- Often and in small transactions: the balances of a batch are locked until it commits.
  perform cron.schedule('spend-expire', '10 seconds', 'select spend.expire_reservations(200)');
exception
  -- pg_cron lives in one database of a server; a copy of this one, made to compare schemas, is another.
  when others then
    raise notice 'spend.run_maintenance() is not scheduled: % Schedule it yourself.', sqlerrm;
end;
$$;
