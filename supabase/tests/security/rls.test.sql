begin;
create extension if not exists pgtap with schema extensions;
set search_path = public, extensions;

-- Who may do what, as it should be. Everything that is not listed is refused; a new table, view or function is
-- refused until it is listed here. Partitions of the ledger are not listed: nobody has any privilege on them.
create temporary table expected_table (name text, role text, privileges text);
insert into expected_table (name, role, privileges) values
  ('spend.alerts', 'authenticated', 'SELECT'),
  ('spend.alert_channels', 'authenticated', 'SELECT'),
  ('spend.alert_deliveries', 'authenticated', 'SELECT'),
  ('spend.alert_mutes', 'authenticated', 'SELECT'),
  ('spend.audit_log', 'authenticated', 'SELECT'),
  ('spend.cost_events', 'authenticated', 'SELECT'),
  ('spend.cost_quotas', 'authenticated', 'SELECT DELETE'),
  ('spend.current_prices', 'authenticated', 'SELECT'),
  ('spend.execution_contexts', 'authenticated', 'SELECT'),
  ('spend.hourly_conversation_costs', 'authenticated', 'SELECT'),
  ('spend.hourly_costs', 'authenticated', 'SELECT'),
  ('spend.meters', 'authenticated', 'SELECT'),
  ('spend.operators', 'authenticated', 'SELECT'),
  ('spend.operators', 'service_role', 'SELECT'),
  ('spend.plan_progress', 'authenticated', 'SELECT'),
  ('spend.problems', 'authenticated', 'SELECT'),
  ('spend.plan_quotas', 'authenticated', 'SELECT'),
  ('spend.plans', 'authenticated', 'SELECT'),
  ('spend.prices', 'authenticated', 'SELECT'),
  ('spend.product_aliases', 'authenticated', 'SELECT'),
  ('spend.quota_status', 'authenticated', 'SELECT'),
  ('spend.reservations', 'authenticated', 'SELECT'),
  ('spend.sandbox_templates', 'authenticated', 'SELECT'),
  ('spend.spend_by_conversation', 'authenticated', 'SELECT'),
  ('spend.spend_by_day', 'authenticated', 'SELECT'),
  ('spend.spend_by_product', 'authenticated', 'SELECT'),
  ('spend.spend_by_provider', 'authenticated', 'SELECT'),
  ('spend.spend_by_task', 'authenticated', 'SELECT'),
  ('spend.spend_by_tenant', 'authenticated', 'SELECT'),
  ('spend.spend_by_user', 'authenticated', 'SELECT'),
  ('spend.refusal_counts', 'authenticated', 'SELECT'),
  ('spend.refusals_by_hour', 'authenticated', 'SELECT'),
  ('spend.tenant_members', 'authenticated', 'SELECT'),
  ('spend.tenants', 'authenticated', 'SELECT'),
  ('spend_private.conversation_rollups', 'authenticated', 'SELECT'),
  ('spend_private.cost_rollups', 'authenticated', 'SELECT'),
  ('spend_private.events_by_hour', 'authenticated', 'SELECT'),
  ('spend_private.quota_balances', 'authenticated', 'SELECT'),
  ('spend.alerts', 'service_role', 'SELECT'),
  ('spend.alert_channels', 'service_role', 'SELECT'),
  ('spend.alert_deliveries', 'service_role', 'SELECT'),
  ('spend.alert_mutes', 'service_role', 'SELECT'),
  ('spend.audit_log', 'service_role', 'SELECT'),
  ('spend.cost_events', 'service_role', 'SELECT'),
  ('spend.cost_quotas', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.current_prices', 'service_role', 'SELECT'),
  ('spend.execution_contexts', 'service_role', 'SELECT'),
  ('spend.hourly_conversation_costs', 'service_role', 'SELECT'),
  ('spend.hourly_costs', 'service_role', 'SELECT'),
  ('spend.meters', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.plan_quotas', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.plan_progress', 'service_role', 'SELECT'),
  ('spend.problems', 'service_role', 'SELECT'),
  ('spend.plans', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.prices', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.product_aliases', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.quota_status', 'service_role', 'SELECT'),
  ('spend.refusal_counts', 'service_role', 'SELECT'),
  ('spend.refusals_by_hour', 'service_role', 'SELECT'),
  ('spend.reservations', 'service_role', 'SELECT'),
  ('spend.sandbox_templates', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.settings', 'service_role', 'SELECT UPDATE'),
  ('spend.spend_by_conversation', 'service_role', 'SELECT'),
  ('spend.spend_by_day', 'service_role', 'SELECT'),
  ('spend.spend_by_product', 'service_role', 'SELECT'),
  ('spend.spend_by_provider', 'service_role', 'SELECT'),
  ('spend.spend_by_task', 'service_role', 'SELECT'),
  ('spend.spend_by_tenant', 'service_role', 'SELECT'),
  ('spend.spend_by_user', 'service_role', 'SELECT'),
  ('spend.tenant_members', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend.tenants', 'service_role', 'SELECT INSERT UPDATE DELETE'),
  ('spend_private.conversation_rollups', 'service_role', 'SELECT'),
  ('spend_private.cost_rollups', 'service_role', 'SELECT'),
  ('spend_private.events_by_hour', 'service_role', 'SELECT'),
  ('spend_private.quota_balances', 'service_role', 'SELECT');

-- Columns that may be written where the table as a whole may not.
create temporary table expected_column (name text, role text, privilege text, columns text);
insert into expected_column (name, role, privilege, columns) values
  ('spend.cost_quotas', 'authenticated', 'INSERT', 'limit_usd period resource_type scope scope_id tenant_id warning_threshold warning_thresholds'),
  ('spend.cost_quotas', 'authenticated', 'UPDATE', 'limit_usd warning_threshold warning_thresholds');

-- Functions of spend that a signed-in user may call, and those that are for service_role alone.
create temporary table expected_function (name text, role text);
insert into expected_function (name, role) values
  ('spend.acknowledge_alert', 'authenticated'),
  ('spend.delete_alert_channel', 'authenticated'),
  ('spend.mute_alerts', 'authenticated'),
  ('spend.save_alert_channel', 'authenticated'),
  ('spend.unmute_alerts', 'authenticated'),
  ('spend.cost_report', 'authenticated'),
  ('spend.whoami', 'authenticated'),
  ('spend.add_price', 'authenticated'),
  ('spend.add_price', 'service_role'),
  ('spend.change_plan_quota', 'authenticated'),
  ('spend.change_plan_quota', 'service_role'),
  ('spend.change_quota', 'authenticated'),
  ('spend.change_quota', 'service_role'),
  ('spend.cost_series', 'authenticated'),
  ('spend.cost_series', 'service_role'),
  ('spend.fleet', 'authenticated'),
  ('spend.fleet', 'service_role'),
  ('spend.health', 'authenticated'),
  ('spend.health', 'service_role'),
  ('spend.latest_calls', 'authenticated'),
  ('spend.latest_calls', 'service_role'),
  ('spend.member_overview', 'authenticated'),
  ('spend.member_overview', 'service_role'),
  ('spend.open_holds', 'authenticated'),
  ('spend.open_holds', 'service_role'),
  ('spend.quota_forecast', 'authenticated'),
  ('spend.quota_forecast', 'service_role'),
  ('spend.quotas_near_limit', 'authenticated'),
  ('spend.quotas_near_limit', 'service_role'),
  ('spend.release_hold', 'authenticated'),
  ('spend.preview_price', 'authenticated'),
  ('spend.preview_price', 'service_role'),
  ('spend.preview_reprice', 'authenticated'),
  ('spend.preview_reprice', 'service_role'),
  ('spend.release_hold', 'service_role'),
  ('spend.set_user_quota', 'authenticated'),
  ('spend.set_user_quota', 'service_role'),
  ('spend.user_emails', 'authenticated'),
  ('spend.user_emails', 'service_role'),
  ('spend.explain_cost', 'authenticated'),
  ('spend.unusual_spend', 'authenticated'),
  -- What policies, views, constraints and index expressions call on a user's behalf. No role may use the schema,
  -- so nobody calls these by name.
  ('spend_private.are_thresholds', 'authenticated'),
  ('spend_private.default_slots', 'authenticated'),
  ('spend_private.first_operated', 'authenticated'),
  ('spend_private.fits_tenant', 'authenticated'),
  ('spend_private.is_for_operators', 'authenticated'),
  ('spend_private.last_operated', 'authenticated'),
  ('spend_private.managed_tenant_ids', 'authenticated'),
  ('spend_private.member_tenant_ids', 'authenticated'),
  ('spend_private.operator_role', 'authenticated'),
  ('spend_private.period_bounds', 'authenticated'),
  ('spend_private.rolled_up_before', 'authenticated'),
  ('spend_private.utilization_percent', 'authenticated'),
  ('spend.adjust', 'service_role'),
  ('spend.book_stray_sandbox', 'service_role'),
  ('spend.check_quota', 'service_role'),
  ('spend.acknowledge_alert', 'service_role'),
  ('spend.delete_alert_channel', 'service_role'),
  ('spend.mute_alerts', 'service_role'),
  ('spend.save_alert_channel', 'service_role'),
  ('spend.unmute_alerts', 'service_role'),
  ('spend.claim_deliveries', 'service_role'),
  ('spend.claim_context', 'service_role'),
  ('spend.claim_pause', 'service_role'),
  ('spend.confirm_context', 'service_role'),
  ('spend.contexts_of', 'service_role'),
  ('spend.cost_report', 'service_role'),
  ('spend.add_service_tier', 'service_role'),
  ('spend.explain_cost', 'service_role'),
  ('spend.reprice', 'service_role'),
  ('spend.database_time', 'service_role'),
  ('spend.end_context', 'service_role'),
  ('spend.end_long_paused', 'service_role'),
  ('spend.ensure_quotas', 'service_role'),
  ('spend.expire_reservations', 'service_role'),
  ('spend.extend', 'service_role'),
  ('spend.fail_context', 'service_role'),
  ('spend.finish_delivery', 'service_role'),
  ('spend.report_failure', 'service_role'),
  ('spend.contract_version', 'service_role'),
  ('spend.find_context', 'service_role'),
  ('spend.newest_price_from', 'service_role'),
  ('spend.ledger_totals', 'service_role'),
  ('spend.look_at_paused', 'service_role'),
  ('spend.maintain', 'service_role'),
  ('spend.maintenance_status', 'service_role'),
  ('spend.open_contexts', 'service_role'),
  ('spend.maintenance_jobs', 'service_role'),
  ('spend.rebuild_balances', 'service_role'),
  ('spend.report_problems', 'service_role'),
  ('spend.run_maintenance', 'service_role'),
  ('spend.release', 'service_role'),
  ('spend.reserve', 'service_role'),
  ('spend.reserve_many', 'service_role'),
  ('spend.resolve_context', 'service_role'),
  ('spend.settle', 'service_role'),
  ('spend.settle_many', 'service_role'),
  ('spend.sweep_from', 'service_role'),
  ('spend.sweep_to', 'service_role'),
  ('spend.unusual_spend', 'service_role'),
  ('spend.use_context', 'service_role'),
  ('spend.verify_balances', 'service_role'),
  ('spend_private.are_thresholds', 'service_role'),
  ('spend_private.default_slots', 'service_role'),
  ('spend_private.new_thresholds', 'service_role'),
  ('spend_private.is_time_zone', 'service_role'),
  ('spend_private.is_regex', 'service_role'),
  ('spend_private.period_bounds', 'service_role'),
  ('spend_private.rolled_up_before', 'service_role'),
  ('spend_private.tenant_key', 'service_role'),
  ('spend_private.utilization_percent', 'service_role');

-- The catalogue
create temporary view relation as
select
  c.oid, n.nspname || '.' || c.relname as name, c.relkind as kind, c.relrowsecurity as has_rls, c.reloptions as options,
  c.relispartition as is_partition
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('spend', 'spend_private') and c.relkind in ('r', 'p', 'v', 'm', 'f');
create temporary view routine as
select p.oid, n.nspname as schema, n.nspname || '.' || p.proname as name, p.prosecdef as is_definer, p.proconfig as settings, p.proargtypes as argument_types
from pg_proc as p
join pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('spend', 'spend_private');
create temporary table api_role (role text);
insert into api_role values ('anon'), ('authenticated'), ('service_role');
create temporary table command (privilege text, place integer);
insert into command values
  ('SELECT', 1), ('INSERT', 2), ('UPDATE', 3), ('DELETE', 4), ('TRUNCATE', 5), ('REFERENCES', 6), ('TRIGGER', 7);
insert into command select 'MAINTAIN', 8 where current_setting('server_version_num')::integer >= 170000;

-- One test per relation, role and command; one per function and role; one per function that a role must not call.
select plan(10
  + (select count(*) from relation, api_role)::integer
  + (select sum(case kind when 'v' then 1 else 4 end) from relation where not is_partition)::integer * 2
  + (select count(*) from routine, api_role)::integer
  + (select count(*) from routine where schema = 'spend')::integer * 2
);

-- Privileges, table by table
select is(
  (select string_agg(c.privilege, ' ' order by c.place) from command as c where has_table_privilege(a.role, r.oid, c.privilege)),
  (select e.privileges from expected_table as e where e.name = r.name and e.role = a.role),
  format('%s has the listed privileges on %s', a.role, r.name)
)
from relation as r
cross join api_role as a
order by r.name, a.role;
select is_empty(
  'select e.name from expected_table as e where e.name not in (select r.name from relation as r)',
  'Every listed relation exists'
);
select set_eq(
  $$select r.name, a.role, c.privilege, string_agg(t.attname, ' ' order by t.attname)
    from relation as r
    cross join api_role as a
    cross join command as c
    join pg_attribute as t on t.attrelid = r.oid and t.attnum > 0 and not t.attisdropped
    where c.privilege in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
      and has_column_privilege(a.role, r.oid, t.attnum, c.privilege) and not has_table_privilege(a.role, r.oid, c.privilege)
    group by r.name, a.role, c.privilege$$,
  'select name, role, privilege, columns from expected_column', 'Every role has the listed privileges on columns'
);

-- Privileges, function by function
select is(
  has_function_privilege(a.role, r.oid, 'EXECUTE'),
  exists (select from expected_function as e where e.name = r.name and e.role = a.role),
  format('%s may call %s exactly if it is listed', a.role, r.oid::regprocedure)
)
from routine as r
cross join api_role as a
order by r.oid::regprocedure::text, a.role;
select is_empty(
  'select e.name from expected_function as e where e.name not in (select r.name from routine as r)',
  'Every listed function exists'
);
select is_empty(
  $$select r.oid::regprocedure from routine as r join pg_proc as p on p.oid = r.oid
    where p.proacl is null or exists (select from aclexplode(p.proacl) as a where a.grantee = 0)$$,
  'No function can be called by public'
);
select is_empty(
  $$select r.name from relation as r join pg_class as c on c.oid = r.oid, aclexplode(c.relacl) as a where a.grantee = 0$$,
  'No table or view grants anything to public'
);
select is_empty(
  $$select n.nspname, a.role from pg_namespace as n, api_role as a, (values ('USAGE'), ('CREATE')) as p (privilege)
    where n.nspname in ('spend', 'spend_private') and has_schema_privilege(a.role, n.oid, p.privilege)
      and (n.nspname, a.role, p.privilege) not in (('spend', 'authenticated', 'USAGE'), ('spend', 'service_role', 'USAGE'))$$,
  'authenticated and service_role may use spend, and nobody may use spend_private or create anything'
);

-- How they are guarded
select is_empty(
  'select name from relation where kind in (''r'', ''p'') and not has_rls', 'Row-level security is on in every table and partition'
);
select is_empty(
  $$select name from relation where kind in ('v', 'm')
    and (kind = 'm' or not coalesce('security_invoker=true' = any (options), false))$$,
  'Every view runs with its reader''s rights'
);
select is_empty(
  $$select r.name, p.polname from pg_policy as p join relation as r on r.oid = p.polrelid
    where p.polroles <> array['authenticated'::regrole::oid] or p.polcmd = '*'$$,
  'Every policy is for authenticated, and for one command'
);
select is_empty(
  $$select r.name from relation as r where r.kind in ('r', 'p')
    and has_any_column_privilege('authenticated', r.oid, 'SELECT, INSERT, UPDATE')
    and not exists (select from pg_policy as p where p.polrelid = r.oid)$$,
  'Every table that users may read has a policy'
);

-- Tried, not only read from the catalogue: the SQLSTATE that a statement of a role fails with, null when it does not.
create function pg_temp.attempt(p_role text, p_sql text) returns text language plpgsql as $$
begin
  perform set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-00000000000f', true);
  perform set_config('role', p_role, true);
  execute p_sql;
  perform set_config('role', 'none', true);
  return null;
exception
  when others then
    perform set_config('role', 'none', true);
    return sqlstate;
end;
$$;

-- spend_private refuses by its schema; in spend, what is granted to a stranger of all tenants touches no row.
select is(
  pg_temp.attempt(a.role, case c.privilege
    when 'SELECT' then format('select from %s', r.name)
    when 'INSERT' then format('insert into %s default values', r.name)
    when 'UPDATE' then format('update %s set %I = default', r.name, (
      select t.attname from pg_attribute as t where t.attrelid = r.oid and t.attnum = 1
    ))
    when 'DELETE' then format('delete from %s', r.name)
  end),
  case when a.role = 'authenticated' and r.name like 'spend.%' and exists (
    select from expected_table as e, unnest(string_to_array(e.privileges, ' ')) as p
    where e.name = r.name and e.role = a.role and p = c.privilege
  ) then null else '42501' end,
  format('A stranger as %s has only the listed privileges: %s %s', a.role, lower(c.privilege), r.name)
)
from relation as r
cross join command as c
cross join (values ('anon'), ('authenticated')) as a (role)
where not r.is_partition and (c.place = 1 or (c.place <= 4 and r.kind <> 'v'))
order by r.name, a.role, c.place;

-- Service functions are refused before they run, whatever the arguments.
select case when exists (select from expected_function as e where e.name = r.name and e.role = a.role)
  then isnt(
    pg_temp.attempt(a.role, call.sql), '42501', format('%s may run: %s', a.role, call.sql)
  )
  else throws_ok(
    format('set local role %I; %s', a.role, call.sql), '42501', null, format('%s may not run: %s', a.role, call.sql)
  )
end
from routine as r
cross join (values ('anon'), ('authenticated')) as a (role)
cross join lateral (
  select format(
    '%s %s(%s)', case (select p.prokind from pg_proc as p where p.oid = r.oid) when 'p' then 'call' else 'select' end, r.name,
    (select string_agg('null::' || format_type(t.type, null), ', ' order by t.place) from unnest(r.argument_types) with ordinality as t (type, place))
  ) as sql
) as call
where r.schema = 'spend'
order by r.name, a.role;

select * from finish();
rollback;
