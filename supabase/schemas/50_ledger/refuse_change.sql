create function spend_private.refuse_change()
returns trigger
language plpgsql
-- Definer: the caller may lack the right to call fail().
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Only the owner has the right to delete, and only its retention functions set this.
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
  'Trigger: history cannot be changed or deleted, by any role (PT403 append_only). Only retention deletes.';

create function spend_private.keep_event()
returns trigger
language plpgsql
-- Definer: see refuse_change.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The transaction's number may change: a restore into another server needs a new one.
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
