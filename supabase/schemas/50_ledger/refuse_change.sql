create function spend_private.refuse_change()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform spend_private.fail(
    'PT403', 'append_only', jsonb_build_object('table', tg_table_name, 'command', tg_op),
    'History is never changed. Book a correction with spend.adjust.'
  );
  return null;
end;
$$;
comment on function spend_private.refuse_change is
  'Trigger: what is written stays written (PT403 append_only), whoever asks.';

create trigger refuse_change before update or delete on spend.cost_events
for each row execute function spend_private.refuse_change();
create trigger refuse_truncate before truncate on spend.cost_events
for each statement execute function spend_private.refuse_change();
create trigger refuse_truncate before truncate on spend_private.cost_events_default
for each statement execute function spend_private.refuse_change();
