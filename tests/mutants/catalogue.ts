// Mutants that the catalogue lists: every policy, grant, constraint, trigger, index and switch of security.
import type { Sql } from "postgres";
import { type Mutant, pgtap, vitest } from "./mutant.ts";

const SECURITY = [pgtap("security/rls"), vitest("isolation/matrix")];
/** Where the behaviour of a table's triggers is tested, by the folder of its concept. */
const TRIGGERS: Record<string, string[]> = {
  a_raise_price_version: [pgtap("prices/"), vitest("race/price_book"), vitest("race/prices")],
  a_raise_price_version_for_delete: [vitest("race/price_book"), vitest("race/prices")],
  notice_new_names: [vitest("prices/notices")],
  notice_unpriced_aliases: [vitest("prices/notices")],
  notice_unpriced_aliases_after_update: [vitest("prices/notices")],
  notice_odd_change: [vitest("prices/notices")],
  notice_odd_prices: [vitest("prices/notices")],
  audit: [pgtap("audit/")],
  audit_truncate: [pgtap("audit/")],
  seed_quotas: [pgtap("quotas/"), pgtap("tenants/")],
  seed_quotas_after_insert: [pgtap("quotas/"), pgtap("tenants/")],
  seed_quotas_after_update: [pgtap("quotas/"), pgtap("tenants/")],
  seed_quotas_after_delete: [pgtap("quotas/"), pgtap("tenants/")],
  keep_history: [pgtap("tenants/")],
  lock_before_return: [vitest("race/arrivals")],
  move_quotas: [vitest("race/arrivals")],
  follow_time_zone: [pgtap("quotas/"), vitest("race/ledger")],
  follow_time_zone_in_rollups: [pgtap("ledger/"), vitest("race/ledger")],
  explain_mistakes: [pgtap("security/")],
  Explain_references: [pgtap("security/")],
  Explain_new_key: [pgtap("security/")],
  complete_quota: [pgtap("quotas/"), pgtap("tenants/")],
  follow_new_quotas: [pgtap("quotas/"), pgtap("tenants/")],
  follow_quota_changes: [pgtap("quotas/")],
  demand_read_committed: [vitest("isolation/settings", "changes of quotas")],
  lock_change: [vitest("race/locks"), vitest("race/reserve")],
  lock_shape: [vitest("race/locks"), vitest("race/reserve")],
};

const OTHER_TRIGGERS = [
  "quotas",
  "prices",
  "security",
  "ledger",
  "tenants",
  "reservations",
  "audit",
  "alerts",
  "sandboxes",
].map((folder) => pgtap(`${folder}/`));

export async function catalogueMutants(sql: Sql): Promise<Mutant[]> {
  return [
    ...(await policies(sql)),
    ...(await grants(sql)),
    ...(await switches(sql)),
    ...(await constraints(sql)),
    ...(await triggers(sql)),
  ];
}

/** Each policy dropped, and each that lets somebody in opened to everybody. */
async function policies(sql: Sql): Promise<Mutant[]> {
  const found = await sql`
    select p.schemaname || '.' || p.tablename as table, p.policyname as name, p.cmd, p.qual, p.with_check
    from pg_policies as p where p.schemaname in ('spend', 'spend_private') order by 1, 2`;
  return found.flatMap(({ table, name, cmd, qual, with_check }) => {
    const policy = `"${name}" on ${table}`;
    const tests =
      table === "spend.cost_quotas"
        ? [...SECURITY, pgtap("tenants/user_quotas"), vitest("isolation/owners")]
        : SECURITY;
    const dropped = {
      name: `policy dropped: ${table}: ${name}`,
      change: { sql: `drop policy ${policy}` },
      tests: ["isolation/matrix", ...tests.slice(2)],
    };
    const opened = (clause: "using" | "with check") => ({
      name: `policy opened (${clause}): ${table}: ${name}`,
      change: { sql: `alter policy ${policy} ${clause} (true)` },
      tests: ["isolation/matrix", ...tests.slice(2)],
    });
    // The balances follow the quotas that the reader sees, in a schema that nobody may use.
    if (table === "spend_private.quota_balances" && cmd === "SELECT") {
      return [{ ...dropped, tests: ["isolation/matrix", pgtap("operators/")] }];
    }
    return [
      dropped,
      ...(qual && qual !== "true" ? [opened("using")] : []),
      ...(with_check && with_check !== "true" ? [opened("with check")] : []),
    ];
  });
}

/** Each privilege that a role lacks granted to it, relation by relation and function by function. */
async function grants(sql: Sql): Promise<Mutant[]> {
  const relations = await sql`
    select c.oid::regclass::text as name, r.role, string_agg(p.privilege, ', ') as lacking
    from pg_class as c
    cross join (values ('anon'), ('authenticated'), ('service_role')) as r (role)
    cross join (values ('select'), ('insert'), ('update'), ('delete')) as p (privilege)
    where c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
      and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
      and not has_table_privilege(r.role, c.oid, p.privilege)
    group by 1, 2 order by 1, 2`;
  const functions = await sql`
    select p.oid::regprocedure::text as name, r.role
    from pg_proc as p
    cross join (values ('anon'), ('authenticated'), ('service_role')) as r (role)
    where p.pronamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
      and not has_function_privilege(r.role, p.oid, 'execute')
      -- Of the internals, which no role can name, one role stands for all.
      and (p.pronamespace = 'spend'::regnamespace or r.role = 'authenticated')
    order by 1, 2`;
  const columns = await sql`
    select c.oid::regclass::text as name, a.attname as column, p.privilege
    from pg_class as c
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attidentity = ''
    cross join (values ('insert'), ('update')) as p (privilege)
    where c.oid = 'spend.cost_quotas'::regclass and not has_column_privilege('authenticated', c.oid, a.attnum, p.privilege)
    order by 1, 2, 3`;
  return [
    ...relations.map(({ name, role, lacking }) => ({
      name: `grant widened: ${lacking} on ${name} to ${role}`,
      change: { sql: `grant ${lacking} on ${name} to ${role}` },
      tests: SECURITY,
    })),
    ...columns.map(({ name, column, privilege }) => ({
      name: `grant widened: ${privilege} (${column}) on ${name} to authenticated`,
      change: { sql: `grant ${privilege} (${column}) on ${name} to authenticated` },
      tests: [...SECURITY, vitest("isolation/owners")],
    })),
    ...functions.map(({ name, role }) => ({
      name: `grant widened: execute on ${name} to ${role}`,
      change: { sql: `grant execute on routine ${name} to ${role}` },
      tests: SECURITY,
    })),
    ...["spend to anon", "spend_private to authenticated", "spend_private to service_role"].map(
      (what) => ({
        name: `grant widened: usage on schema ${what}`,
        change: { sql: `grant usage on schema ${what}` },
        tests: SECURITY,
      }),
    ),
  ];
}

/** Row-level security off, views that read as their owner, functions that run as the other. */
async function switches(sql: Sql): Promise<Mutant[]> {
  const relations = await sql`
    select c.oid::regclass::text as name, c.relkind = 'v' as is_view
    from pg_class as c
    where c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
      and c.relkind in ('r', 'p', 'v') and not c.relispartition order by 1`;
  const functions = await sql`
    select p.oid::regprocedure::text as name
    from pg_proc as p
    where p.pronamespace = 'spend'::regnamespace and not p.prosecdef
      and has_function_privilege('authenticated', p.oid, 'execute') order by 1`;
  return [
    ...relations.map(({ name, is_view }) => ({
      name: is_view ? `view reads as its owner: ${name}` : `row-level security off: ${name}`,
      change: {
        sql: is_view
          ? `alter view ${name} set (security_invoker = false)`
          : `alter table ${name} disable row level security`,
      },
      tests: SECURITY,
    })),
    ...(await searchPaths(sql)),
    ...functions.map(({ name }) => ({
      name: `function reads as its owner: ${name}`,
      change: { sql: `alter function ${name} security definer` },
      tests: [vitest("isolation/matrix")],
    })),
  ];
}

/** Each function that runs as its owner, or that users may call, without its search_path, and with one that leaves pg_temp first. */
async function searchPaths(sql: Sql): Promise<Mutant[]> {
  const found = await sql`
    select p.oid::regprocedure::text as name
    from pg_proc as p
    where p.pronamespace in ('spend'::regnamespace, 'spend_private'::regnamespace) and p.prokind = 'f'
      and (p.prosecdef or p.pronamespace = 'spend'::regnamespace)
    order by 1`;
  return found.flatMap(({ name }) =>
    ["reset search_path", "set search_path = ''"].map((change) => ({
      name: `search_path lost: ${change}: ${name}`,
      change: { sql: `alter function ${name} ${change}` },
      tests: [pgtap("security/names")],
    })),
  );
}

/** Each check, key and unique index dropped. */
async function constraints(sql: Sql): Promise<Mutant[]> {
  const found = await sql`
    select k.conrelid::regclass::text as table, k.conname as name,
      format('alter table %s drop constraint %I cascade', k.conrelid::regclass, k.conname) as statement
    from pg_constraint as k
    join pg_class as c on c.oid = k.conrelid
    where k.connamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
      and not c.relispartition and k.contype in ('c', 'u', 'p', 'f')
    union all
    select i.indrelid::regclass::text, u.relname, format('drop index %s', i.indexrelid::regclass)
    from pg_index as i
    join pg_class as c on c.oid = i.indrelid
    join pg_class as u on u.oid = i.indexrelid
    where c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace) and not c.relispartition
      and i.indisunique and not exists (select from pg_constraint as k where k.conindid = i.indexrelid)
    order by 1, 2`;
  return found.map(({ table, name, statement }) => ({
    name: `constraint dropped: ${table}: ${name}`,
    change: { sql: statement },
    tests: [pgtap("security/constraints")],
  }));
}

/** Each trigger dropped. */
async function triggers(sql: Sql): Promise<Mutant[]> {
  const found = await sql`
    select t.tgrelid::regclass::text as table, t.tgname as name
    from pg_trigger as t
    join pg_class as c on c.oid = t.tgrelid
    where c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace)
      and not t.tgisinternal and t.tgparentid = 0
      -- Of the partitions of months the first stands for all.
      and (not c.relispartition or c.relname = 'cost_events_default')
      -- Whoever empties the ledger empties its partitions, which have triggers of their own.
      and not (c.oid = 'spend.cost_events'::regclass and t.tgname = 'refuse_truncate')
    order by 1, 2`;
  return found.map(({ table, name }) => ({
    name: `trigger dropped: ${table}: ${name}`,
    change: { sql: `drop trigger "${name}" on ${table}` },
    tests: TRIGGERS[name] ?? OTHER_TRIGGERS,
  }));
}
