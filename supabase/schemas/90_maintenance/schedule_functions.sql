create table spend_private.function_calls (
  is_only_row boolean primary key default true,
  functions_url text not null,
  secret_key text,
  vault_id uuid,
  constraint is_only_row check (is_only_row),
  constraint secret_key_is_in_one_place check (num_nonnulls(secret_key, vault_id) = 1)
);
comment on table spend_private.function_calls is
  'What pg_cron calls the edge functions with: their URL, and the secret key, in Vault where it exists, else here. No role of the Data API reads either.';
alter table spend_private.function_calls enable row level security;

create function spend.schedule_functions(functions_url text, secret_key text)
returns boolean
language plpgsql volatile
-- Invoker: for the owner alone. It makes the database post to a URL.
security invoker
set search_path = pg_catalog, pg_temp
as $$
declare
  v_url text := rtrim(schedule_functions.functions_url, '/');
  v_vault_id uuid := (select f.vault_id from spend_private.function_calls as f);
begin
  if spend_private.url_host(v_url) is null or coalesce(btrim(schedule_functions.secret_key), '') = '' then
    perform spend_private.fail(
      '22023', 'invalid_schedule', jsonb_build_object('functions_url', schedule_functions.functions_url),
      'functions_url: https://<project>.supabase.co/functions/v1; secret_key: a secret key of the project.'
    );
  end if;
  if to_regnamespace('cron') is null or to_regnamespace('net') is null then
    raise warning 'pg_cron and pg_net are not both here: nothing is scheduled. Install them (create extension pg_cron; create extension pg_net), or call the functions alerts and maintenance every minute by other means.';
    return false;
  end if;
  v_vault_id := spend_private.put_secret('spendgate_functions', schedule_functions.secret_key, v_vault_id);
  insert into spend_private.function_calls as f (functions_url, secret_key, vault_id)
  values (v_url, case when v_vault_id is null then schedule_functions.secret_key end, v_vault_id)
  on conflict on constraint function_calls_pkey do update set
    functions_url = excluded.functions_url, secret_key = excluded.secret_key, vault_id = excluded.vault_id;
  return spend_private.schedule_job(
      'spend-call-alerts', '{"* * * * *"}', 'select spend_private.call_function(''alerts'')'
    ) is not null
    and spend_private.schedule_job(
      'spend-call-maintenance', '{"* * * * *"}', 'select spend_private.call_function(''maintenance'')'
    ) is not null;
end;
$$;
comment on function spend.schedule_functions is
  'Makes pg_cron call the edge functions alerts and maintenance every minute, by pg_net, with a secret key of the project; true when both are scheduled. The key goes to Vault where it exists, and never into cron.job. Call it again to change URL or key. False, with a warning, where pg_cron or pg_net is missing.
For the owner of the schema. Errors: 22023 invalid_schedule.';

create function spend_private.call_function(p_name text)
returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  v_request_id bigint;
begin
  execute 'select net.http_post(url => $1, headers => $2, timeout_milliseconds => 60000)'
  into v_request_id
  using (
    select f.functions_url || '/' || p_name from spend_private.function_calls as f
  ), (
    select jsonb_build_object('apikey', spend_private.read_secret(f.secret_key, f.vault_id), 'content-type', 'application/json')
    from spend_private.function_calls as f
  );
  return v_request_id;
end;
$$;
comment on function spend_private.call_function is
  'Posts to an edge function, as spend.schedule_functions has set it up; returns the id of pg_net''s request. pg_cron calls it.';
