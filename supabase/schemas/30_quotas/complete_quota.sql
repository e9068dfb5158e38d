create function spend_private.complete_quota()
returns trigger
language plpgsql
-- Definer: it calls functions that the caller may not.
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
  new.warning_thresholds := case tg_op
    when 'INSERT' then spend_private.new_thresholds(new.warning_thresholds, new.warning_threshold)
    else spend_private.new_thresholds(
      new.warning_thresholds, new.warning_threshold, old.warning_thresholds, old.warning_threshold
    )
  end;
  -- What is no list of thresholds is left as it is: the constraint says what is wrong with it.
  if spend_private.are_thresholds(new.warning_thresholds) then
    new.warning_threshold := new.warning_thresholds[1];
  end if;
  -- A plan's quota that is edited by hand becomes manual. The plan marks its own updates in this column, which owners may
  -- not write; anybody could change a setting.
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
  'Trigger: fills in scope_id and slots where they are omitted, rounds to the precision of the ledger, keeps warning_threshold the lowest of warning_thresholds, keeps shape_since, and turns a plan''s quota that is edited by hand into a manual one.';

create trigger complete_quota before insert or update on spend.cost_quotas
for each row execute function spend_private.complete_quota();
