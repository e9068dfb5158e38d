create function spend_private.keep_open_reservations()
returns trigger
language plpgsql
-- Definer: the caller may lack the right to call fail().
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'DELETE' and old.status <> 'held' then
    return old;
  elsif tg_op = 'TRUNCATE' and not exists (select from spend.reservations as r where r.status = 'held') then
    return null;
  end if;
  perform spend_private.fail(
    'PT409', 'reservation_is_open', jsonb_build_object('reservation_id', case tg_op when 'DELETE' then old.id end),
    'Its hold would stay forever. Release it first: select spend.release(id), or let spend.expire_reservations() charge it.'
  );
  return null;
end;
$$;
comment on function spend_private.keep_open_reservations is
  'Trigger: an open reservation cannot be deleted or truncated (PT409 reservation_is_open): it is released, settled or expires.';

create trigger keep_open_reservations before delete on spend.reservations
for each row execute function spend_private.keep_open_reservations();
create trigger keep_open_reservations_from_truncate before truncate on spend.reservations
for each statement execute function spend_private.keep_open_reservations();
