create function spend_private.has_vault()
returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (
    select
    from pg_namespace as n
    join pg_proc as p on p.pronamespace = n.oid and p.proname = 'create_secret'
    join pg_class as c on c.relnamespace = n.oid and c.relname = 'decrypted_secrets'
    where n.nspname = 'vault' and has_schema_privilege(n.oid, 'usage')
      and has_function_privilege(p.oid, 'execute') and has_table_privilege(c.oid, 'select')
  );
end;
$$;
comment on function spend_private.has_vault is
  'Whether there is a Vault that the owner may use, as on Supabase.';

create function spend_private.put_secret(p_name text, p_secret text, p_vault_id uuid)
returns uuid
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_vault_id uuid := p_vault_id;
begin
  if v_vault_id is not null then
    execute 'select vault.update_secret($1, $2)' using v_vault_id, p_secret;
  elsif spend_private.has_vault() then
    execute 'select vault.create_secret($1, $2, $3)' into v_vault_id using p_secret, p_name, 'Spendgate';
  end if;
  return v_vault_id;
end;
$$;
comment on function spend_private.put_secret is
  'Puts a secret into Vault, as a new one or in the place of p_vault_id, and returns its id; null where there is no Vault.';

create function spend_private.read_secret(p_secret text, p_vault_id uuid)
returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  v_secret text := p_secret;
begin
  if p_vault_id is not null then
    execute 'select s.decrypted_secret from vault.decrypted_secrets as s where s.id = $1' into v_secret using p_vault_id;
  end if;
  return v_secret;
end;
$$;
comment on function spend_private.read_secret is
  'A secret that is kept in Vault (p_vault_id), or beside it.';

create function spend_private.channel_secret(p_channel_id bigint)
returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select spend_private.read_secret(s.secret, s.vault_id)::jsonb
    from spend_private.alert_channel_secrets as s
    where s.channel_id = p_channel_id
  );
end;
$$;
comment on function spend_private.channel_secret is
  'Target and secret of a channel: {"target", "secret"}. Never answered to a role of the Data API but service_role, which delivers.';

create function spend_private.keep_channel_secret(p_channel_id bigint, p_target text, p_secret text)
returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_text text := jsonb_build_object('target', p_target, 'secret', p_secret)::text;
  v_vault_id uuid := (
    select s.vault_id from spend_private.alert_channel_secrets as s where s.channel_id = p_channel_id
  );
begin
  v_vault_id := spend_private.put_secret(format('spendgate_alert_channel_%s', p_channel_id), v_text, v_vault_id);
  insert into spend_private.alert_channel_secrets as s (channel_id, secret, vault_id)
  values (p_channel_id, case when v_vault_id is null then v_text end, v_vault_id)
  on conflict on constraint alert_channel_secrets_pkey do update set
    secret = excluded.secret, vault_id = excluded.vault_id;
end;
$$;
comment on function spend_private.keep_channel_secret is
  'Keeps target and secret of a channel, in the place of those that it had.';

create function spend_private.forget_secret()
returns trigger
language plpgsql
-- Definer: whoever deletes a tenant may lack the right to write the vault.
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if old.vault_id is not null then
    execute 'delete from vault.secrets as s where s.id = $1' using old.vault_id;
  end if;
  return null;
end;
$$;
comment on function spend_private.forget_secret is
  'Trigger: the secret of a deleted channel leaves Vault, also when the channel goes with its tenant.';

create trigger forget_secret after delete on spend_private.alert_channel_secrets
for each row execute function spend_private.forget_secret();
