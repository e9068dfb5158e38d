// What the dashboard's screens read, through row-level security, in a project of 100,000 tenants and 300,000 quotas.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Sql } from "postgres";
import { median } from "../load.ts";
import { figure, type Result } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, createWorld, ESTIMATE, within } from "../world.ts";

const TENANTS = 100_000;
/** The job looks at so many in a step. */
const SURVEYED = 2000;

/** What each screen asks for; :tenant is the tenant that is looked at. */
const OPERATOR: Record<string, string> = {
  "fleet, by spend": "select * from spend.fleet()",
  "fleet, by name": "select * from spend.fleet(order_by => 'name')",
  "fleet, by the fullest limit": "select * from spend.fleet(order_by => 'utilization')",
  "fleet, a search": "select * from spend.fleet('tenant 77')",
  "fleet, a search that finds all": "select * from spend.fleet('tenant')",
  "fleet, the last page":
    "select * from spend.fleet(skip => (select count(*) from spend.tenants)::int - 50)",
  "near limit": "select * from spend.quotas_near_limit()",
  "near limit, from a half": "select * from spend.quotas_near_limit(0.5)",
  "open holds": "select * from spend.open_holds()",
  "sandboxes that run":
    "select * from spend.execution_contexts where status in ('creating', 'running') order by created_at desc limit 51",
  refusals:
    "select * from spend.refusals_by_hour where hour >= now() - interval '1 day' order by hour desc limit 51",
  "unusual spend": "select * from spend.unusual_spend(top => 50)",
  "unusual spend of 90 days": "select * from spend.unusual_spend(days => 90, top => 50)",
  "the platform's limits": "select * from spend.quota_status where tenant_id is null",
  "followers of plans": "select * from spend.plan_progress",
  prices: "select * from spend.current_prices order by provider, product limit 51",
  health: "select spend.health()",
  "latest calls of all": "select * from spend.latest_calls()",
};
const BOTH: Record<string, string> = {
  "limits of a tenant": "select * from spend.quota_status where tenant_id = :tenant",
  "forecast of a tenant": "select * from spend.quota_forecast(:tenant)",
  "costs of a tenant by day and product":
    "select * from spend.cost_series('day', :tenant, group_by => 'product')",
  "people of a tenant": "select * from spend.member_overview(:tenant)",
  "calls of a tenant": "select * from spend.latest_calls(:tenant)",
  "alerts of a tenant":
    "select * from spend.alerts where tenant_id = :tenant order by id desc limit 51",
  "changes of a tenant":
    "select * from spend.audit_log where tenant_id = :tenant order by id desc limit 51",
};
const MEMBER: Record<string, string> = {
  "who is signed in": "select * from spend.whoami()",
  "alerts, without a tenant": "select * from spend.alerts order by id desc limit 51",
  "unusual spend": "select * from spend.unusual_spend()",
  "near limit": "select * from spend.quotas_near_limit()",
};

export async function dashboard({ scratch, effort }: Bench): Promise<Result[]> {
  const tenants = Math.max(SURVEYED, Math.round(TENANTS * effort.scale));
  const fleet = await createWorld(scratch, "dashboard", { tenants: 0 });
  const results = await within(fleet.url, async (sql) => {
    const begin = performance.now();
    const { operator, owner, member, tenant } = await fill(sql, tenants);
    process.stderr.write(
      `filled with ${tenants} tenants in ${Math.round((performance.now() - begin) / 1000)} s\n`,
    );
    const people: [string, string, Record<string, string>][] = [
      ["an operator", operator, { ...OPERATOR, ...BOTH }],
      ["an owner", owner, { ...MEMBER, ...BOTH }],
      ["a member", member, { ...MEMBER, ...BOTH }],
    ];
    const found: Result[] = [];
    for (const [who, user, screens] of people) {
      for (const [screen, statement] of Object.entries(screens)) {
        const times = await timesOf(sql, user, statement.replaceAll(":tenant", `'${tenant}'`));
        const figures = { read: figure("ms", times) };
        found.push({
          name: `${who}, ${tenants} tenants: ${screen}, ms`,
          value: median(times),
          bound: { atMost: 100 },
          figures,
        });
      }
    }
    return found;
  });
  await assertBalanced(fleet);
  return results;
}

/** Five weeks of spend, alerts, open calls, an operator, and the people of the last tenant. */
async function fill(sql: Sql, tenants: number) {
  await sql.unsafe(await readFile(join(import.meta.dirname, "../fleet.sql"), "utf8"));
  await sql`
    insert into spend.plan_quotas (plan_id, scope, resource_type, period, limit_usd)
    values ('default', 'tenant', 'e2b', 'month', 1000000)`;
  await sql`select bench.populate_fleet(${tenants})`;
  await sql`analyze`;
  await sql`select bench.fill_fleet()`;
  await sql`analyze`;
  for (const job of ["roll_up", "record_alerts"]) {
    let done: number;
    do {
      const [row] = await sql`select (spend.maintain(${job}) ->> ${job})::int as rows`;
      done = row?.rows ?? 0;
    } while (done > 0);
  }
  for (let surveyed = 0; surveyed < tenants; surveyed += SURVEYED) {
    await sql`select spend.maintain('survey_spend')`;
  }
  await sql`
    select count(spend.reserve(m.tenant_id, m.user_id, 'llm', ${sql.json(ESTIMATE)}))
    from (select * from spend.tenant_members limit 500) as m`;

  const users = await sql`
    insert into auth.users (id) values (gen_random_uuid()), (gen_random_uuid()) returning id`;
  const [operator, owner] = users.map(({ id }) => id) as [string, string];
  await sql`insert into spend.operators (user_id, role) values (${operator}, 'viewer')`;
  const [last] = await sql`
    select tenant_id, user_id from spend.tenant_members order by tenant_id desc limit 1`;
  await sql`
    insert into spend.tenant_members (tenant_id, user_id, role)
    values (${last?.tenant_id}, ${owner}, 'owner')`;
  await sql`vacuum analyze`;
  return {
    operator,
    owner,
    member: last?.user_id as string,
    tenant: last?.tenant_id as string,
  };
}

/** Milliseconds of five readings as a signed-in user, after two that fill the caches. */
async function timesOf(sql: Sql, user: string, statement: string): Promise<number[]> {
  const times: number[] = [];
  for (let reading = -2; reading < 5; reading++) {
    await sql.begin(async (transaction) => {
      await transaction`
        select set_config('request.jwt.claims', ${JSON.stringify({ sub: user, role: "authenticated" })}, true),
          set_config('role', 'authenticated', true)`;
      const begin = performance.now();
      await transaction.unsafe(statement);
      if (reading >= 0) times.push(performance.now() - begin);
    });
  }
  return times;
}
