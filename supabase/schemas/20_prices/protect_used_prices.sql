create function spend_private.protect_used_prices()
returns trigger
language plpgsql
-- Definer: it calls functions that the caller may not.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'TRUNCATE' then
    if exists (select from spend.prices where first_used_at is not null) then
      perform spend_private.fail('PT409', 'price_in_use', '{}', 'Bookings refer to these prices. Insert rows with a later effective_from instead.');
    end if;
    return null;
  end if;

  if old.first_used_at is null then
    return case tg_op when 'DELETE' then old else new end;
  end if;

  if tg_op = 'DELETE'
    or (new.note is not distinct from old.note and new is distinct from old)
    or (new.note is distinct from old.note
        and (to_jsonb(new) - 'note') is distinct from (to_jsonb(old) - 'note'))
  then
    perform spend_private.fail(
      'PT409', 'price_in_use',
      jsonb_build_object('price_id', old.id, 'first_used_at', old.first_used_at),
      'Bookings refer to this price. Insert a row with a later effective_from instead. To correct a price that was wrong, insert a row with revision 1, then call spend.reprice.'
    );
  end if;
  return new;
end;
$$;
comment on function spend_private.protect_used_prices is
  'Trigger: a price that a reservation or booking has used cannot be changed or deleted, by any role (PT409 price_in_use). Only its note may change.';

create trigger protect_used_prices before update or delete on spend.prices
for each row execute function spend_private.protect_used_prices();
create trigger protect_used_prices_from_truncate before truncate on spend.prices
for each statement execute function spend_private.protect_used_prices();
