create function spend_private.refuse_change()
returns trigger
language plpgsql
-- Definer: whoever is refused need not be able to call fail().
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- No grant lets anybody but the owner come here, and of the owner's functions only retention sets this.
  if tg_op = 'DELETE' and current_setting('spend.retention', true) = 'on' then
    return old;
  end if;
  perform spend_private.fail(
    'PT403', 'append_only', jsonb_build_object('table', tg_table_name, 'command', tg_op),
    'History is never changed. Book a correction with spend.adjust.'
  );
  return null;
end;
$$;
comment on function spend_private.refuse_change is
  'Trigger: what is written stays written (PT403 append_only), whoever asks. Retention alone deletes.';

create function spend_private.keep_event()
returns trigger
language plpgsql
-- Definer: see refuse_change.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The number of the transaction is no part of what happened: a restore into another server gives it anew.
  old.booked_xid := new.booked_xid;
  if new is distinct from old then
    perform spend_private.fail(
      'PT403', 'append_only', jsonb_build_object('table', tg_table_name, 'command', tg_op),
      'History is never changed. Book a correction with spend.adjust.'
    );
  end if;
  return new;
end;
$$;
comment on function spend_private.keep_event is
  'Trigger: an event of the ledger is never changed (PT403 append_only).';

create trigger keep_event before update on spend.cost_events
for each row execute function spend_private.keep_event();
create trigger refuse_delete before delete on spend.cost_events
for each row execute function spend_private.refuse_change();
create trigger refuse_truncate before truncate on spend.cost_events
for each statement execute function spend_private.refuse_change();
create trigger refuse_truncate before truncate on spend_private.cost_events_default
for each statement execute function spend_private.refuse_change();
