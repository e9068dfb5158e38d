begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;
select no_plan();
drop schema if exists vault cascade;
\ir ../support/alerts_world.psql

create function pg_temp.save(p_user text, p_tenant text, p_more text) returns text language sql as $$
  select pg_temp.says(p_user, format('select (spend.save_alert_channel(tenant_id => %L, %s)).name', pg_temp.tenant(p_tenant), p_more))
$$;
create function pg_temp.kept(p_name text) returns jsonb language sql as $$
  select spend_private.channel_secret(c.id) from spend.alert_channels as c where c.name = p_name
$$;

-- Who may
select is(pg_temp.save(w.usr, w.tenant, format('kind => ''email'', name => %L, target => ''a@example.com''', w.usr || coalesce(w.tenant, ''))), w.answer, w.what)
from (values
  ('a', 'A', 'aA', 'An owner adds a channel'),
  ('b', 'A', 'bA', 'An admin adds a channel'),
  ('c', 'A', 'PT403 not_an_admin', 'A member does not'),
  ('d', 'A', 'PT403 not_an_admin', 'An owner of another tenant does not'),
  ('9', 'A', 'PT403 not_an_admin', 'Nobody does not'),
  ('e', 'A', 'eA', 'An operator who edits does'),
  ('f', 'A', 'PT403 not_an_operator', 'An operator who views does not'),
  ('a', null, 'PT403 not_an_operator', 'An owner adds no channel of the platform'),
  ('e', null, 'e', 'An operator who edits does'),
  ('f', null, 'PT403 not_an_operator', 'An operator who views does not add one of the platform'),
  ('d', 'B', 'dB', 'The owner of B adds one of B')
) as w (usr, tenant, answer, what);
select is(pg_temp.says(w.usr, 'select c.name from spend.alert_channels as c order by c.id'), w.sees, w.what)
from (values
  ('a', 'aA; bA; eA', 'An owner sees the tenant''s three channels'),
  ('c', null, 'A member sees none'),
  ('d', 'dB', 'The owner of B sees that of B'),
  ('9', null, 'Nobody sees none'),
  ('f', 'aA; bA; eA; e; dB', 'An operator who views sees all five')
) as w (usr, sees, what);
create function pg_temp.delete(p_user text, p_name text) returns text language sql as $$
  select pg_temp.says(p_user, format('select spend.delete_alert_channel(%s)', (select c.id from spend.alert_channels as c where c.name = p_name)))
$$;
select is(pg_temp.delete(w.usr, w.name), w.answer, w.what)
from (values
  (1, 'c', 'aA', 'false', 'A member deletes no channel'),
  (2, 'd', 'aA', 'false', 'Nor does an owner of another tenant'),
  (3, 'a', 'e', 'false', 'An owner deletes none of the platform'),
  (4, 'f', 'aA', 'PT403 not_an_operator', 'An operator who views deletes none'),
  (5, 'b', 'aA', 'true', 'An admin deletes one of the tenant'),
  (6, 'e', 'dB', 'true', 'An operator who edits deletes one of B'),
  (7, 'e', 'e', 'true', 'And one of the platform')
) as w (place, usr, name, answer, what) order by w.place;
select is((select count(*) from spend.alert_channels), 2::bigint, 'Two of five are left');
select is((select count(*) from spend_private.alert_channel_secrets), 2::bigint, 'The secrets of the others are gone');
select throws_ok(format('select spend.save_alert_channel(%L, ''email'', ''x'', ''a@example.com'')', gen_random_uuid()), 'PT404', 'unknown_tenant', 'A channel of an unknown tenant is refused');

-- Adding and changing
delete from spend.alert_channels;
select is(pg_temp.save('a', 'A', $$kind => 'webhook', name => 'hook', target => 'https://hooks.example.com/path?token=1', secret => 'a secret of ours 1'$$), 'PT422 invalid_channel', 'A secret with blanks is refused');
select is(pg_temp.save('a', 'A', $$kind => 'webhook', name => 'hook', target => 'https://hooks.example.com/path?token=1', secret => 'a-secret-of-ours-1'$$), 'hook', 'A webhook with a secret is added');
select results_eq(
  $$ select kind, kinds, scopes, quiet_minutes, is_enabled, target_hint, created_by from spend.alert_channels $$,
  $$ values ('webhook', null::text[], null::text[], 60, true, 'hooks.example.com', '00000000-0000-4000-8000-00000000000a'::uuid) $$,
  'It takes all alerts, is quiet for an hour, shows the host of its URL alone, and who added it'
);
select is(pg_temp.kept('hook'), '{"target": "https://hooks.example.com/path?token=1", "secret": "a-secret-of-ours-1"}', 'Its target and secret are kept');
select is(pg_temp.save('b', 'A', $$kind => 'webhook', name => 'hook', kinds => '{quota_exceeded}', scopes => '{tenant,user}', quiet_minutes => 0, is_enabled => false$$), 'hook', 'Its filters are changed');
select is(pg_temp.kept('hook'), '{"target": "https://hooks.example.com/path?token=1", "secret": "a-secret-of-ours-1"}', 'Without a target and a secret it keeps them');
select is(pg_temp.save('b', 'A', $$kind => 'webhook', name => 'hook', target => 'https://other.example.com'$$), 'hook', 'Its target alone is changed');
select results_eq(
  $$ select kinds, scopes, quiet_minutes, is_enabled, target_hint, created_by from spend.alert_channels $$,
  $$ values ('{quota_exceeded}'::text[], '{tenant,user}'::text[], 0, false, 'other.example.com', '00000000-0000-4000-8000-00000000000a'::uuid) $$,
  'The filters stay'
);
select is(pg_temp.kept('hook') ->> 'secret', 'a-secret-of-ours-1', 'The secret stays');
select is(pg_temp.save('a', 'A', $$kind => 'webhook', name => 'hook', kinds => '{}', scopes => '{}', secret => ''$$), 'hook', 'Empty lists and an empty secret');
select results_eq($$ select kinds, scopes from spend.alert_channels $$, $$ values (null::text[], null::text[]) $$, 'take all again');
select is(pg_temp.kept('hook') ->> 'secret', null, 'and remove the secret');
select is(pg_temp.save('a', 'A', $$kind => 'slack', name => 'hook'$$), 'PT422 invalid_channel', 'A channel that becomes one of another kind needs a target');
select is(pg_temp.save('a', 'A', $$kind => 'slack', name => 'hook', target => 'https://hooks.slack.com/services/T0/B0/x'$$), 'hook', 'With one it is of that kind');
select is((select count(*) from spend.alert_channels), 1::bigint, 'It is still the same channel');
select is(pg_temp.save('d', 'B', $$kind => 'email', name => 'hook', target => 'd@example.com, e@example.com'$$), 'hook', 'Another tenant has a channel of the same name');
select is((select target_hint from spend.alert_channels where kind = 'email'), 'd@example.com, e@example.com', 'Of e-mail the addresses are shown');
select is(pg_temp.save('e', null, $$kind => 'pagerduty', name => 'hook', target => '0123456789abcdef0123456789ABCDEF'$$), 'hook', 'So has the platform');
select is(pg_temp.save('e', null, $$kind => 'pagerduty', name => 'hook', quiet_minutes => 5$$), 'hook', 'It is changed by its name, too');
select results_eq($$ select target_hint, quiet_minutes from spend.alert_channels where tenant_id is null $$, $$ values ('…CDEF', 5) $$, 'Of a routing key the last four characters are shown');
select results_eq(
  $$ select command, user_id, new_row ? 'target_hint', new_row ? 'secret' from spend.audit_log where table_name = 'alert_channels' and tenant_id is null and command <> 'DELETE' order by id desc limit 1 $$,
  $$ values ('UPDATE', '00000000-0000-4000-8000-00000000000e'::uuid, true, false) $$, 'The audit log has who changed it, and no secret'
);

-- What is refused
create function pg_temp.problem(p_more text) returns text language plpgsql as $$
declare
  v_detail text;
begin
  execute format('select spend.save_alert_channel(tenant_id => %L, %s)', pg_temp.tenant('A'), p_more);
  return 'accepted';
exception
  when others then
    get stacked diagnostics v_detail = pg_exception_detail;
    return format('%s %s %s', sqlstate, sqlerrm, v_detail::jsonb ->> 'field');
end;
$$;
select is(pg_temp.problem(c.arguments), 'PT422 invalid_channel ' || c.field, format('Refused: %s', c.arguments))
from (values
  ($$kind => 'fax', name => 'x', target => 'y'$$, 'kind'),
  ($$kind => null, name => 'x', target => 'y'$$, 'kind'),
  ($$kind => 'email', name => ' ', target => 'a@example.com'$$, 'name'),
  ($$kind => 'email', name => null, target => 'a@example.com'$$, 'name'),
  ($$kind => 'email', name => repeat('x', 101), target => 'a@example.com'$$, 'name'),
  ($$kind => 'email', name => E'x\nBcc: y', target => 'a@example.com'$$, 'name'),
  ($$kind => 'email', name => 'x', target => 'a@example.com', kinds => '{quota_warning,note}'$$, 'kinds'),
  ($$kind => 'email', name => 'x', target => 'a@example.com', kinds => '{null}'$$, 'kinds'),
  ($$kind => 'email', name => 'x', target => 'a@example.com', scopes => '{team}'$$, 'scopes'),
  ($$kind => 'email', name => 'x', target => 'a@example.com', quiet_minutes => -1$$, 'quiet_minutes'),
  ($$kind => 'email', name => 'x', target => 'a@example.com', quiet_minutes => 10081$$, 'quiet_minutes'),
  ($$kind => 'email', name => 'x', target => 'a@example.com', secret => 'a-secret-of-ours-1'$$, 'secret'),
  ($$kind => 'webhook', name => 'x', target => 'https://example.com', secret => 'short'$$, 'secret'),
  ($$kind => 'webhook', name => 'x', target => 'https://example.com', secret => 'whsec_not!base64$$ || $$aaaaaaaaaaaaaaaaaa'$$, 'secret'),
  ($$kind => 'email', name => 'x'$$, 'target'),
  ($$kind => 'email', name => 'x', target => ''$$, 'target'),
  ($$kind => 'email', name => 'x', target => 'a'$$, 'target'),
  ($$kind => 'email', name => 'x', target => rtrim(repeat('a@example.com,', 11), ',')$$, 'target'),
  ($$kind => 'email', name => 'x', target => 'a@example.com, b'$$, 'target'),
  ($$kind => 'email', name => 'x', target => E'a@example.com\nBcc: b@example.com'$$, 'target'),
  ($$kind => 'email', name => 'x', target => 'Ann <a@example.com>'$$, 'target'),
  ($$kind => 'pagerduty', name => 'x', target => '0123456789abcdef0123456789ABCDE'$$, 'target'),
  ($$kind => 'pagerduty', name => 'x', target => 'https://events.pagerduty.com'$$, 'target')
) as c (arguments, field);
select is(pg_temp.problem(format($$kind => 'webhook', name => 'ok', target => 'https://example.com', secret => %L$$, s.secret)), 'accepted', 'A secret of ' || s.what)
from (values ('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'Standard Webhooks'), ('0123456789abcdef', 'sixteen characters')) as s (secret, what);

-- Where a tenant's URL may not lead
select is(pg_temp.problem(format('kind => ''webhook'', name => ''x'', target => %L', u.url)), 'PT422 invalid_channel target', 'Refused: ' || u.url)
from unnest(array[
  'http://example.com', 'ftp://example.com', 'example.com', '//example.com', 'https://', 'https:///path', 'https:/example.com', 'https:example.com',
  'javascript:alert(1)', 'https://exa mple.com', E'https://example.com\r\nHost: x', 'https://example..com', 'https://.example.com',
  -- Names of a network
  'https://localhost', 'https://LOCALHOST:8443/', 'https://localhost.', 'https://foo.localhost', 'https://metadata', 'https://kubernetes/api',
  'https://metadata.google.internal/computeMetadata', 'https://x.internal.', 'https://printer.local', 'https://nas.lan', 'https://router.home.arpa',
  -- Private addresses, in any spelling
  'https://127.0.0.1', 'https://127.0.0.1.', 'https://127.1', 'https://127.0.1', 'https://2130706433', 'https://0x7f000001', 'https://0x7f.1', 'https://0177.0.0.1',
  'https://017700000001', 'https://0', 'https://0.0.0.0', 'https://00000.0', 'https://10.0.0.1:443/', 'https://10.1', 'https://0xa000001', 'https://012.0.0.1', 'https://167772161',
  'https://100.64.0.1', 'https://100.100.100.200', 'https://169.254.169.254/latest/meta-data', 'https://0xa9fea9fe', 'https://2852039166', 'https://0251.0376.0251.0376',
  'https://172.16.0.1', 'https://172.31.255.255', 'https://192.168.1.1', 'https://192.0.0.192', 'https://198.18.0.1', 'https://224.0.0.1', 'https://255.255.255.255', 'https://168.63.129.16',
  'https://256.0.0.1', 'https://1.2.3.4.5', 'https://08.8.8.8', 'https://4294967296', 'https://99999999999999999999',
  -- IPv6
  'https://[::1]', 'https://[::1]:443/', 'https://[0:0:0:0:0:0:0:1]', 'https://[::]', 'https://[fc00::1]', 'https://[fd00:ec2::254]', 'https://[fe80::1]', 'https://[febf::1]', 'https://[fec0::1]',
  'https://[ff02::1]', 'https://[::ffff:10.0.0.1]', 'https://[::ffff:0a00:0001]', 'https://[::ffff:127.0.0.1]', 'https://[::10.0.0.1]', 'https://[64:ff9b::a00:1]', 'https://[2002:a00:1::]',
  'https://[2001::1]', 'https://[2001:db8::1]', 'https://[fe80::1%25eth0]', 'https://[::1', 'https://::1', 'https://[nonsense]', 'https://[10.0.0.1]',
  -- Two readings of one URL
  'https://user@10.0.0.1', 'https://example.com@10.0.0.1', 'https://example.com:443@10.0.0.1/', 'https://user:pass@example.com', 'https://10.0.0.1\@example.com', 'https://example.com\@10.0.0.1',
  'https://example.com%2f@10.0.0.1', 'https://%31%30.0.0.1', 'https://10.0.0.1?@example.com', 'https://10.0.0.1#@example.com', 'https://10。0。0。1', 'https://１０.0.0.1', 'https://①②⑦.0.0.1', 'https://exämple.com',
  'https://example.com:port', 'https://example.com:', 'https://example.com:443:443'
]) as u (url);
select is(pg_temp.problem(format('kind => ''webhook'', name => ''x'', target => %L', u.url)), 'accepted', 'Accepted: ' || u.url)
from unnest(array[
  'https://example.com', 'HTTPS://Example.COM/Path', 'https://example.com.', 'https://sub.example.com:8443/a/b?c=d@e#f', 'https://8.8.8.8/hook', 'https://134744072', 'https://172.32.0.1', 'https://11.0.0.1',
  'https://[2606:4700:4700::1111]/', 'https://[2a00:1450:4001::8a]:443', 'https://xn--exmple-cua.com', 'https://10.example.com', 'https://internal.example.com', 'https://local.example', 'https://my_host.example.com',
  'https://example.com/?u=https://10.0.0.1'
]) as u (url);
select is(pg_temp.says('e', format('select (spend.save_alert_channel(null, ''webhook'', ''inside'', %L)).target_hint', u.url)), u.answer, 'The platform''s own channel: ' || u.url)
from (values
  ('http://10.0.0.1:8080/hook', '10.0.0.1'), ('https://alertmanager.internal', 'alertmanager.internal'), ('http://example.com', 'PT422 invalid_channel'), ('https://a@10.0.0.1', 'PT422 invalid_channel')
) as u (url, answer);
update spend.settings set allow_private_alert_targets = true;
select is(pg_temp.problem('kind => ''webhook'', name => ''x'', target => ''http://127.0.0.1:9000/''') , 'accepted', 'Where the settings allow it, a tenant''s URL leads into the network');
select is(pg_temp.problem('kind => ''webhook'', name => ''x'', target => ''http://example.com/'''), 'PT422 invalid_channel target', 'And elsewhere still by https alone');
update spend.settings set allow_private_alert_targets = false;

-- Twenty
select pg_temp.problem(format('kind => ''email'', name => ''n%s'', target => ''a@example.com''', n)) from generate_series(1, 20) as n;
select is((select count(*) from spend.alert_channels where tenant_id = pg_temp.tenant('A')), 20::bigint, 'A tenant has at most twenty channels');
select is(pg_temp.problem('kind => ''email'', name => ''more'', target => ''a@example.com'''), 'PT422 invalid_channel tenant_id', 'The next is refused');
select is(pg_temp.problem('kind => ''email'', name => ''n1'', target => ''b@example.com'''), 'accepted', 'One that is there is still changed');

-- Nobody reads secrets
select is_empty(
  $$ select r.role, c.name, p.privilege
     from unnest(array['anon', 'authenticated', 'service_role', 'authenticator']) as r (role),
       unnest(array['spend_private.alert_channel_secrets', 'spend_private.function_calls']) as c (name),
       unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as p (privilege)
     where has_table_privilege(r.role, c.name, p.privilege) or has_any_column_privilege(r.role, c.name, 'select, insert, update, references') $$,
  'No role of the Data API may touch the tables that have secrets'
);
select is_empty(
  $$ select r.role, p.oid::regprocedure
     from unnest(array['anon', 'authenticated', 'service_role']) as r (role), pg_proc as p
     where p.pronamespace = 'spend_private'::regnamespace and p.proname ~ 'secret' and has_function_privilege(r.role, p.oid, 'execute') $$,
  'Nor call the functions that read them'
);
select is_empty(
  $$ select c.id from spend.alert_channels as c, spend_private.channel_secret(c.id) as k
     where c.kind <> 'email' and strpos(to_jsonb(c)::text, k ->> 'target') > 0 or strpos(to_jsonb(c)::text, k ->> 'secret') > 0 $$,
  'No row of a channel has its target or its secret'
);
select is_empty($$ select from spend.audit_log where table_name = 'alert_channel_secrets' or new_row::text ~ 'a-secret-of-ours' $$, 'Nor has the audit log');

-- In Vault, where it exists. A stand-in with what is used of it.
create schema vault;
create table vault.secrets (id uuid primary key default gen_random_uuid(), name text unique, description text, secret text);
create view vault.decrypted_secrets as select s.id, s.name, s.secret as decrypted_secret from vault.secrets as s;
create function vault.create_secret(new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null)
returns uuid language sql as $$ insert into vault.secrets (secret, name, description) values (new_secret, new_name, new_description) returning id $$;
create function vault.update_secret(secret_id uuid, new_secret text default null, new_name text default null, new_description text default null, new_key_id uuid default null)
returns void language sql as $$ update vault.secrets set secret = new_secret where id = secret_id $$;
delete from spend.alert_channels;
select is(pg_temp.save('a', 'A', $$kind => 'webhook', name => 'hook', target => 'https://example.com', secret => 'a-secret-of-ours-1'$$), 'hook', 'With Vault a channel is added');
select results_eq($$ select secret, vault_id is not null from spend_private.alert_channel_secrets $$, $$ values (null::text, true) $$, 'Its secret is not in our table');
select is((select secret from vault.secrets)::jsonb, '{"target": "https://example.com", "secret": "a-secret-of-ours-1"}', 'It is in the vault');
select is(pg_temp.save('a', 'A', $$kind => 'webhook', name => 'hook', target => 'https://example.org'$$), 'hook', 'It is changed');
select is((select string_agg(secret, ' ') from vault.secrets)::jsonb, '{"target": "https://example.org", "secret": "a-secret-of-ours-1"}', 'In its place');
select is(pg_temp.kept('hook'), '{"target": "https://example.org", "secret": "a-secret-of-ours-1"}', 'It is read from there');
select is(pg_temp.delete('a', 'hook'), 'true', 'The channel is deleted');
select is_empty('select from vault.secrets', 'And its secret leaves the vault');
select pg_temp.save('d', 'B', $$kind => 'webhook', name => 'hook', target => 'https://example.com'$$);
delete from spend.tenants where name = 'B';
select is_empty('select from vault.secrets', 'As it does when its tenant is deleted');
-- A vault that came later
drop schema vault cascade;
select pg_temp.save('a', 'A', $$kind => 'webhook', name => 'hook', target => 'https://example.com', secret => 'a-secret-of-ours-1'$$);
create schema vault;
select is(pg_temp.save('a', 'A', $$kind => 'webhook', name => 'hook', target => 'https://example.org'$$), 'hook', 'A schema of that name alone is no vault');
select is(pg_temp.kept('hook') ->> 'target', 'https://example.org', 'The channel keeps what it has where it is');

select * from finish();
rollback;
