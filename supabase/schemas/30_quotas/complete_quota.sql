create function spend_private.complete_quota()
returns trigger
language plpgsql
-- Definer: it calls functions that whoever makes the change may not.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.scope = 'tenant' then
    new.scope_id := coalesce(new.scope_id, new.tenant_id);
  end if;
  new.slots := coalesce(new.slots, spend_private.default_slots(new.scope));
  new.limit_usd := round(new.limit_usd, 12);
  new.warning_threshold := round(new.warning_threshold, 3);
  -- Whoever edits a plan's quota by hand takes it out of the plan's care. The plan's own updates say that they are its own
  -- in the column that no owner may write: a setting could be made by anybody.
  if tg_op = 'UPDATE' and new.source = 'following' then
    new.source := 'plan';
  elsif tg_op = 'UPDATE' and old.source = 'plan'
    and (to_jsonb(new) - 'source') is distinct from (to_jsonb(old) - 'source')
  then
    new.source := 'manual';
  end if;
  if tg_op = 'UPDATE' then
    new.shape_since := case
      when spend_private.shape_of(new) is distinct from spend_private.shape_of(old) then now()
      else old.shape_since
    end;
  end if;
  return new;
end;
$$;
comment on function spend_private.complete_quota is
  'Trigger: fills in scope_id and slots where they are omitted, rounds what is more exact than the books, keeps shape_since, and turns a plan''s quota that is edited by hand into a manual one.';

create trigger complete_quota before insert or update on spend.cost_quotas
for each row execute function spend_private.complete_quota();
