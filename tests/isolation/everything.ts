// Everything that a role may do in SQL, as statements: a call of each function of spend, and a write for each trigger.
// A function or a trigger without its line here fails the tests that use it. No statement names a type, so that whoever
// runs it lends nothing of their own search_path to it.
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";

/** Rows that statements may be about: made anew for every run, since a call can be settled once. */
export interface Fixture {
  tenant: string;
  owner: string;
  member: string;
  /** In no tenant. */
  stranger: string;
  /** An operator who edits, in no tenant. */
  operator: string;
  /** A user's quota that nobody changes but the statements. */
  quota: string;
  /** Quota with balances, a settled call and a held one in its period. */
  usedQuota: string;
  held: { settle: string; release: string; extend: string };
  context: Record<"create" | "fail" | "run" | "pause" | "resolve", { id: string; claim: string }>;
  alert: string;
  /** A channel of the tenant, a delivery to it, and a mute. */
  channel: string;
  delivery: string;
  mute: string;
  plan: string;
}

const usageOf = (tokens: number) => ({
  provider: "test",
  model: "model",
  input_tokens: tokens,
  output_tokens: 1,
});
const usage = (tokens: number) => JSON.stringify(usageOf(tokens));
const asked = (of: Record<string, string>) =>
  JSON.stringify({ ...of, resource_type: "llm", usage: usageOf(20) });

/** Prices that the fixtures spend at. */
export async function addPrices(sql: Sql): Promise<void> {
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
    values
      ('llm', 'test', 'model', 'input_tokens', 1, '2020-01-01'),
      ('llm', 'test', 'model', 'output_tokens', 1, '2020-01-01')
    on conflict do nothing`;
}

/** A tenant with an owner, a member, calls held and settled, sandboxes and an alert. Made as the superuser. */
export async function addFixture(sql: Sql): Promise<Fixture> {
  const [owner, member, stranger, operator] = [
    randomUUID(),
    randomUUID(),
    randomUUID(),
    randomUUID(),
  ] as const;
  const plan = `plan ${randomUUID()}`;
  await sql`insert into auth.users (id) values (${owner}), (${member}), (${stranger}), (${operator})`;
  await sql`insert into spend.operators (user_id, role) values (${operator}, 'editor')`;
  await sql`insert into spend.plans (id, name) values (${plan}, 'Plan')`;
  await sql`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values (${plan}, 'tenant', 'all', 'month', 100), (${plan}, 'user', 'llm', 'month', 50)`;
  const [row] = await sql`
    insert into spend.tenants (name, plan_id, created_at) values ('Tenant', ${plan}, now() - interval '60 days') returning id`;
  const tenant = row?.id as string;
  await sql`
    insert into spend.tenant_members (tenant_id, user_id, role)
    values (${tenant}, ${owner}, 'owner'), (${tenant}, ${member}, 'member')`;
  const [quota] = await sql`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
    values ('user', ${tenant}, ${member}, 'e2b', 'week', 5) returning id`;
  const [used] = await sql`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
    values ('user', ${tenant}, ${member}, 'llm', 'day', 40) returning id`;
  // Reached at the first call: an alert.
  await sql`
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd, enforcement)
    values ('tenant', ${tenant}, ${tenant}, 'llm', 'hour', 0.5, 'observe')`;

  const reserve = async () => {
    const [call] = await sql`
      select reservation_id as id from spend.reserve(${tenant}, ${member}, 'llm', ${sql.json(usageOf(1_000_000))}, conversation_id => 'c')`;
    return call?.id as string;
  };
  await sql`select spend.settle(${await reserve()}, ${sql.json(usageOf(900_000))})`;
  const held = { settle: await reserve(), release: await reserve(), extend: await reserve() };

  const claim = async (path: string, isRunning: boolean) => {
    const claimId = randomUUID();
    const [context] = await sql`
      select context_id as id from spend.claim_context(${tenant}, ${member}, 'c', ${claimId}, ${path})`;
    if (isRunning) {
      await sql`
        select spend.confirm_context(${tenant}, ${context?.id}, ${claimId}, ${`sandbox ${claimId}`}, now(), now() + interval '5 minutes', 2, 0.5)`;
    }
    return { id: context?.id as string, claim: claimId };
  };
  const context = {
    create: await claim("create", false),
    fail: await claim("fail", false),
    run: await claim("run", true),
    pause: await claim("pause", true),
    resolve: await claim("resolve", false),
  };
  const [alert] =
    await sql`select max(id)::text as id from spend.alerts where tenant_id = ${tenant}`;
  const [channel] = await sql`
    select id::text from spend.save_alert_channel(${tenant}, 'email', 'mail', 'a@example.com')`;
  const [mute] = await sql`
    select id::text from spend.mute_alerts(now() + interval '1 hour', ${tenant}, 'unusual_spend')`;
  const [delivery] = await sql`
    insert into spend.alert_deliveries (alert_id, channel, channel_id, channel_kind, event, about)
    values (${alert?.id}, 'mail', ${channel?.id}, 'email', 'trigger', 'x') returning id::text`;
  return {
    tenant,
    owner,
    member,
    stranger,
    operator,
    quota: String(quota?.id),
    usedQuota: String(used?.id),
    held,
    context,
    alert: alert?.id,
    channel: channel?.id,
    delivery: delivery?.id,
    mute: mute?.id,
    plan,
  };
}

/** Statements that call each function of spend, each of which succeeds. By the function's name. */
export const CALLS: Record<string, (fixture: Fixture) => string[]> = {
  add_service_tier: ({ tenant }) => [
    `select spend.add_service_tier('test', 'batch ${tenant}', 0.5, product => 'model')`,
  ],
  add_price: ({ tenant }) => [
    `select spend.add_price('llm', 'test', 'added ${tenant}', 'input_tokens', 1)`,
  ],
  change_quota: ({ quota }) => [`select * from spend.change_quota('${quota}', 6)`],
  change_plan_quota: ({ plan }) => [
    `select * from spend.change_plan_quota('${plan}', 'tenant', 'e2b', 'month', 70)`,
    `select * from spend.change_plan_quota('${plan}', 'tenant', 'e2b', 'month', null)`,
  ],
  cost_series: ({ tenant }) => [
    `select * from spend.cost_series('day', '${tenant}', group_by => 'product')`,
    "select * from spend.cost_series('month')",
  ],
  fleet: () => ["select * from spend.fleet()", "select * from spend.fleet('x', 'utilization')"],
  health: () => ["select spend.health()"],
  latest_calls: ({ tenant }) => [
    "select * from spend.latest_calls()",
    `select * from spend.latest_calls('${tenant}', status => 'held')`,
  ],
  member_overview: ({ tenant }) => [`select * from spend.member_overview('${tenant}')`],
  open_holds: () => ["select * from spend.open_holds()"],
  quota_forecast: ({ tenant }) => [`select * from spend.quota_forecast('${tenant}')`],
  preview_price: () => ["select * from spend.preview_price(1, 2)"],
  preview_reprice: () => [
    "select * from spend.preview_reprice('test', 'model', '2020-01-01', '2099-01-01')",
  ],
  quotas_near_limit: () => ["select * from spend.quotas_near_limit(0)"],
  release_hold: ({ held }) => [`select * from spend.release_hold('${held.release}', 'stuck')`],
  set_user_quota: ({ tenant, member }) => [
    `select spend.set_user_quota('${tenant}', '${member}', 'e2b', 'day', 2)`,
    `select spend.set_user_quota('${tenant}', '${member}', 'e2b', 'day', null)`,
  ],
  user_emails: ({ member }) => [`select * from spend.user_emails('{${member}}')`],
  whoami: () => ["select * from spend.whoami()"],
  adjust: ({ tenant, member }) => [
    `select spend.adjust('${tenant}', 0.5, 'Test', user_id => '${member}', idempotency_key => 'adjust')`,
    `select spend.adjust('${tenant}', 0.5, 'Test', user_id => '${member}', idempotency_key => 'adjust')`,
  ],
  book_stray_sandbox: ({ tenant }) => [
    `select spend.book_stray_sandbox('${tenant}', 'stray', 'base', 2, 0.5, pg_catalog.now(), pg_catalog.now())`,
  ],
  check_quota: ({ tenant, member }) => [
    `select * from spend.check_quota('${tenant}', '${member}', 'llm', '${usage(10)}')`,
    `select * from spend.check_quota('${tenant}', '${member}', 'llm', '${usage(900_000_000)}')`,
  ],
  acknowledge_alert: ({ alert }) => [`select * from spend.acknowledge_alert('${alert}')`],
  claim_deliveries: () => [
    `select * from spend.claim_deliveries('[{"name": "hook", "kind": "webhook"}]', 1000)`,
  ],
  delete_alert_channel: ({ channel }) => [`select spend.delete_alert_channel(${channel})`],
  claim_context: ({ tenant, member, context }) => [
    `select * from spend.claim_context('${tenant}', '${member}', 'c', '${randomUUID()}', 'new')`,
    `select * from spend.claim_context('${tenant}', '${member}', 'c', '${context.run.claim}', 'run', run_seconds => 250)`,
  ],
  claim_pause: ({ tenant, context }) => [
    `select spend.claim_pause('${tenant}', '${context.pause.id}', 0)`,
  ],
  confirm_context: ({ tenant, context }) => [
    `select spend.confirm_context('${tenant}', '${context.create.id}', '${context.create.claim}', 'sandbox ${tenant}', pg_catalog.now(), '2099-01-01', 2, 0.5)`,
  ],
  contexts_of: ({ tenant, context }) => [
    `select * from spend.contexts_of('[{"tenant_id": "${tenant}", "context_id": "${context.run.id}"}]')`,
  ],
  cost_report: ({ tenant }) => [
    "select * from spend.cost_report()",
    `select * from spend.cost_report('{tenant,user,task,conversation,resource_type,provider,product,day}', tenant_id => '${tenant}', top => 5)`,
  ],
  database_time: () => ["select spend.database_time()"],
  end_context: ({ tenant, context }) => [
    `select spend.end_context('${tenant}', '${context.run.id}', 'paused', 'test')`,
    `select spend.end_context('${tenant}', '${context.run.id}', 'terminated', 'test')`,
  ],
  end_long_paused: () => ["select * from spend.end_long_paused(1, 5)"],
  ensure_quotas: ({ tenant }) => [`select spend.ensure_quotas('${tenant}')`],
  expire_reservations: () => ["select spend.expire_reservations(10)"],
  explain_cost: () => [`select * from spend.explain_cost('test', 'model', '${usage(5)}')`],
  extend: ({ held }) => [
    `select * from spend.extend('${held.extend}', '${usage(2_000_000)}')`,
    `select * from spend.extend('${held.extend}', '${usage(900_000_000)}')`,
  ],
  fail_context: ({ tenant, context }) => [
    `select spend.fail_context('${tenant}', '${context.fail.id}', '${context.fail.claim}', 'failed', 'test')`,
  ],
  find_context: ({ member, context }) => [
    `select * from spend.find_context('${context.run.id}', '${member}')`,
  ],
  finish_delivery: ({ delivery }) => [
    `select spend.finish_delivery(${delivery}, 'no answer')`,
    `select spend.finish_delivery(${delivery})`,
  ],
  look_at_paused: () => ["select * from spend.look_at_paused(5)"],
  maintenance_jobs: () => ["select * from spend.maintenance_jobs()"],
  run_maintenance: () => ["call spend.run_maintenance(1)"],
  maintain: () => ["select spend.maintain()"],
  mute_alerts: ({ tenant, quota }) => [
    `select * from spend.mute_alerts(pg_catalog.now() + '1 hour'::pg_catalog.interval, '${tenant}', 'quota_warning', ${quota})`,
  ],
  unmute_alerts: ({ mute }) => [`select spend.unmute_alerts(${mute})`],
  save_alert_channel: ({ tenant }) => [
    `select * from spend.save_alert_channel('${tenant}', 'webhook', 'new', 'https://example.com/hook', '0123456789abcdef')`,
    `select * from spend.save_alert_channel('${tenant}', 'webhook', 'new', kinds => '{quota_warning}', is_enabled => false)`,
  ],
  report_failure: ({ tenant }) => [
    `select spend.report_failure('price_missing', '${tenant}', 'model', 'No price.', '{"model": "model"}')`,
  ],
  contract_version: () => ["select spend.contract_version()"],
  ledger_totals: () => ["select * from spend.ledger_totals()"],
  newest_price_from: () => ["select spend.newest_price_from()"],
  maintenance_status: () => ["select * from spend.maintenance_status()"],
  open_contexts: () => ["select * from spend.open_contexts()"],
  rebuild_balances: ({ usedQuota }) => [`select * from spend.rebuild_balances(${usedQuota})`],
  release: ({ held }) => [`select * from spend.release('${held.release}')`],
  report_problems: ({ tenant }) => [
    `select spend.report_problems('test', '[{"kind": "test", "subject": "${tenant}", "message": "A test", "details": {}}]')`,
  ],
  reprice: () => [
    `select * from spend.reprice('test', 'model', '2020-01-01', '2099-01-01')`,
    `select * from spend.reprice('test', 'model', '2020-01-01', '2099-01-01', false)`,
  ],
  reserve: ({ tenant, member }) => [
    `select * from spend.reserve('${tenant}', '${member}', 'llm', '${usage(20)}', idempotency_key => 'key')`,
    `select * from spend.reserve('${tenant}', '${member}', 'llm', '${usage(20)}', idempotency_key => 'key')`,
    `select * from spend.reserve('${tenant}', '${member}', 'llm', '${usage(900_000_000)}', idempotency_key => 'refused')`,
    `select * from spend.reserve('${tenant}', '${member}', 'e2b', '{"provider": "e2b", "template": "base", "vcpus": 2, "memory_gib": 0.5, "seconds": 300}')`,
  ],
  reserve_many: ({ tenant, member }) => [
    `select * from spend.reserve_many('[${asked({ tenant_id: tenant, user_id: member })}, ${asked({ tenant_id: tenant })}]')`,
    "select * from spend.reserve_many('[1]')",
  ],
  resolve_context: ({ tenant, context }) => [
    `select spend.resolve_context('${tenant}', '${context.resolve.id}', pg_catalog.now())`,
  ],
  settle: ({ held }) => [
    `select * from spend.settle('${held.settle}', '${usage(3_000_000)}')`,
    `select * from spend.settle('${held.settle}', null)`,
  ],
  settle_many: ({ held }) => [
    `select * from spend.settle_many('[{"reservation_id": "${held.settle}", "usage": ${usage(3_000_000)}}, 1]')`,
  ],
  sweep_from: () => ["select spend.sweep_from('project')"],
  sweep_to: () => [
    "select spend.sweep_to('project', 'token')",
    "select spend.sweep_to('project', null)",
  ],
  unusual_spend: () => ["select * from spend.unusual_spend(at_least_usd => 0.0001)"],
  use_context: ({ member, context }) => [
    `select * from spend.use_context('${context.pause.id}', '${member}', '${randomUUID()}', 200)`,
  ],
  verify_balances: () => ["select * from spend.verify_balances()"],
};

/**
 * Statements that fire the triggers of a table, by table and command. service_role writes what is here; users what
 * theirs is in USER_WRITES.
 */
export const WRITES: Record<string, (fixture: Fixture) => string[]> = {
  "cost_quotas INSERT": ({ tenant, member }) => [
    `insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
     values ('user', '${tenant}', '${member}', 'all', 'day', 3), ('tenant', '${tenant}', null, 'llm', 'lifetime', 30)`,
  ],
  "cost_quotas UPDATE": ({ usedQuota, tenant }) => [
    `update spend.cost_quotas set limit_usd = 20, warning_threshold = 0.5, slots = 3 where id = '${usedQuota}'`,
    `update spend.cost_quotas set period = 'month', resource_type = 'all' where id = '${usedQuota}'`,
    // A plan's quota that is changed by hand.
    `update spend.cost_quotas set limit_usd = 90 where tenant_id = '${tenant}' and source = 'plan'`,
  ],
  "cost_quotas DELETE": ({ usedQuota }) => [
    `delete from spend.cost_quotas where id = '${usedQuota}'`,
  ],
  "plan_quotas INSERT": ({ plan }) => [
    `insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd) values ('${plan}', 'user', 'e2b', 'day', 1)`,
  ],
  "meters INSERT": ({ tenant }) => [
    `insert into spend.meters (resource_type, meter, description) values ('llm', '${tenant}', 'Pages')`,
  ],
  "meters UPDATE": ({ tenant }) => [
    `update spend.meters set part_of = 'input_tokens' where meter = '${tenant}'`,
  ],
  "meters DELETE": ({ tenant }) => [`delete from spend.meters where meter = '${tenant}'`],
  "plan_quotas UPDATE": ({ plan }) => [
    `update spend.plan_quotas set limit_usd = 80 where plan_id = '${plan}' and scope = 'tenant'`,
  ],
  "plan_quotas DELETE": ({ plan }) => [
    `delete from spend.plan_quotas where plan_id = '${plan}' and scope = 'user'`,
  ],
  "plans INSERT": ({ plan }) => [`insert into spend.plans (id, name) values ('${plan} 2', 'New')`],
  "plans UPDATE": ({ plan }) => [`update spend.plans set name = 'Renamed' where id = '${plan}'`],
  "plans DELETE": ({ plan }) => [`delete from spend.plans where id = '${plan} 2'`],
  "prices INSERT": ({ tenant }) => [
    `insert into spend.prices (resource_type, provider, product, meter, usd, tenant_id, effective_from)
     values ('llm', 'test', 'other', 'input_tokens', 1, '${tenant}', '2020-01-01'), ('llm', 'test', 'other', 'output_tokens', 1, '${tenant}', '2099-01-01')`,
  ],
  "prices UPDATE": ({ tenant }) => [
    `update spend.prices set usd = 2, note = 'new' where tenant_id = '${tenant}' and product = 'other'`,
  ],
  "prices DELETE": ({ tenant }) => [
    `delete from spend.prices where tenant_id = '${tenant}' and product = 'other'`,
  ],
  "product_aliases INSERT": ({ tenant }) => [
    `insert into spend.product_aliases (provider, match_kind, pattern, product) values ('test', 'equals', '${tenant}', 'model')`,
  ],
  "product_aliases UPDATE": ({ tenant }) => [
    `update spend.product_aliases set product = 'other' where pattern = '${tenant}'`,
  ],
  "product_aliases DELETE": ({ tenant }) => [
    `delete from spend.product_aliases where pattern = '${tenant}'`,
  ],
  "sandbox_templates INSERT": ({ tenant }) => [
    `insert into spend.sandbox_templates (template, vcpus, memory_gib) values ('${tenant}', 1, 1)`,
  ],
  "sandbox_templates UPDATE": ({ tenant }) => [
    `update spend.sandbox_templates set vcpus = 2 where template = '${tenant}'`,
  ],
  "sandbox_templates DELETE": ({ tenant }) => [
    `delete from spend.sandbox_templates where template = '${tenant}'`,
  ],
  "settings UPDATE": () => ["update spend.settings set keep_alert_days = 91"],
  "tenant_members INSERT": ({ tenant, stranger }) => [
    `insert into spend.tenant_members (tenant_id, user_id) values ('${tenant}', '${stranger}')`,
  ],
  "tenant_members UPDATE": ({ tenant, stranger }) => [
    `update spend.tenant_members set role = 'admin' where tenant_id = '${tenant}' and user_id = '${stranger}'`,
  ],
  "tenant_members DELETE": ({ tenant, stranger }) => [
    `delete from spend.tenant_members where tenant_id = '${tenant}' and user_id = '${stranger}'`,
  ],
  "tenants INSERT": ({ stranger }) => [
    `insert into spend.tenants (id, name) values ('${stranger}', 'New')`,
  ],
  "tenants UPDATE": ({ tenant, stranger }) => [
    `update spend.tenants set name = 'Renamed', time_zone = 'Asia/Tokyo', plan_id = 'default' where id = '${tenant}'`,
    `update spend.tenants set closed_at = pg_catalog.now() where id = '${stranger}'`,
  ],
  "tenants DELETE": ({ stranger }) => [`delete from spend.tenants where id = '${stranger}'`],
};

/** What RLS and column grants let an owner write; a member tries the same, and reaches no row. */
export const USER_WRITES: Record<string, (fixture: Fixture) => string[]> = {
  "cost_quotas INSERT": ({ tenant, member }) => [
    `insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
     values ('user', '${tenant}', '${member}', 'all', 'day', 3)`,
  ],
  "cost_quotas UPDATE": ({ usedQuota, tenant }) => [
    `update spend.cost_quotas set limit_usd = 20, warning_threshold = 0.5 where id = '${usedQuota}'`,
    `update spend.cost_quotas set limit_usd = 30 where tenant_id = '${tenant}' and source = 'plan' and scope = 'user'`,
  ],
  "cost_quotas DELETE": ({ quota }) => [`delete from spend.cost_quotas where id = '${quota}'`],
};

export interface Catalogue {
  functions: { name: string; role: string }[];
  relations: { name: string; role: string }[];
  /** Commands that fire a trigger, and that a role has some privilege for. */
  writes: { key: string; role: string }[];
}

/** What each role may call, read and write so that a trigger fires, as the catalogue says. */
export async function readCatalogue(sql: Sql): Promise<Catalogue> {
  const functions = await sql<{ name: string; role: string }[]>`
    select p.proname::text as name, r.role
    from pg_proc as p
    cross join (values ('authenticated'), ('service_role')) as r (role)
    where p.pronamespace = 'spend'::regnamespace and has_function_privilege(r.role, p.oid, 'execute')
    order by 1, 2`;
  const relations = await sql<{ name: string; role: string }[]>`
    select c.relname::text as name, r.role
    from pg_class as c
    cross join (values ('authenticated'), ('service_role')) as r (role)
    where c.relnamespace = 'spend'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
      and has_any_column_privilege(r.role, c.oid, 'select')
    order by 1, 2`;
  const writes = await sql<{ key: string; role: string }[]>`
    select distinct c.relname || ' ' || e.command as key, r.role
    from pg_trigger as t
    join pg_class as c on c.oid = t.tgrelid
    join (values ('INSERT', 4), ('DELETE', 8), ('UPDATE', 16), ('TRUNCATE', 32)) as e (command, bit)
      on t.tgtype & e.bit > 0
    cross join (values ('authenticated'), ('service_role')) as r (role)
    where c.relnamespace in ('spend'::regnamespace, 'spend_private'::regnamespace) and not t.tgisinternal
      and case
        when e.command in ('INSERT', 'UPDATE') then has_any_column_privilege(r.role, c.oid, e.command)
        else has_table_privilege(r.role, c.oid, e.command)
      end
    order by 1, 2`;
  return { functions, relations, writes };
}

/**
 * All that a role may do, as statements that succeed: reads, then writes, then calls. Throws where a table, a trigger or
 * a function has no statement here.
 */
export function everythingFor(
  role: "authenticated" | "service_role",
  catalogue: Catalogue,
  fixture: Fixture,
): string[] {
  const writes = role === "service_role" ? WRITES : USER_WRITES;
  const of = <T extends { role: string }>(list: T[]) => list.filter((each) => each.role === role);
  const written = (key: string) => {
    const statements = writes[key];
    if (statements === undefined) throw new Error(`${key} by ${role} fires a trigger: say how`);
    return statements(fixture);
  };
  const called = (name: string) => {
    const statements = CALLS[name];
    if (statements === undefined) throw new Error(`spend.${name} may be called: say how`);
    return statements(fixture);
  };
  // Rows are made, changed and removed, in this order; a function's calls before the writes that take its rows away.
  const order = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"];
  const keys = of(catalogue.writes)
    .map(({ key }) => key)
    .sort((a, b) => place(a) - place(b));
  function place(key: string) {
    return order.indexOf(key.split(" ")[1] ?? "");
  }
  return [
    ...of(catalogue.relations).map(({ name }) => `select * from spend.${name}`),
    ...of(catalogue.functions).flatMap(({ name }) => called(name)),
    ...keys.flatMap(written),
  ];
}
