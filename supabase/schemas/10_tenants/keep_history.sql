create function spend_private.keep_history()
returns trigger
language plpgsql
-- Definer: the caller may lack the right to read the ledger.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Its first call may be under way.
  perform spend_private.stop_calls(array[old.id]);
  if exists (select from spend.reservations as r where r.tenant_id = old.id)
    or exists (select from spend.cost_events as e where e.tenant_id = old.id)
    -- Retention keeps these.
    or exists (select from spend_private.cost_rollups as r where r.tenant_id = old.id)
    or exists (select from spend.execution_contexts as c where c.tenant_id = old.id)
  then
    perform spend_private.fail(
      'PT409', 'tenant_has_history', jsonb_build_object('tenant_id', old.id),
      'Close the tenant instead: update spend.tenants set closed_at = now().'
    );
  end if;
  return old;
end;
$$;
comment on function spend_private.keep_history is
  'Trigger: a tenant that has spent is closed, not deleted (PT409 tenant_has_history).';

create trigger keep_history before delete on spend.tenants
for each row execute function spend_private.keep_history();

create function spend_private.keep_history_from_truncate()
returns trigger
language plpgsql
-- Definer: see keep_history.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from spend.reservations)
    or exists (select from spend.cost_events)
    or exists (select from spend_private.cost_rollups)
    or exists (select from spend.execution_contexts)
  then
    perform spend_private.fail(
      'PT409', 'tenant_has_history', jsonb_build_object('table', tg_table_name),
      'Tenants that have spent are closed instead: update spend.tenants set closed_at = now(). Delete the others row by row.'
    );
  end if;
  return null;
end;
$$;
comment on function spend_private.keep_history_from_truncate is
  'Trigger: tenants are not truncated while one of them has spent (PT409 tenant_has_history). No call is under way: each reads its tenant, and truncate waits for it.';

create trigger keep_history_from_truncate before truncate on spend.tenants
for each statement execute function spend_private.keep_history_from_truncate();
