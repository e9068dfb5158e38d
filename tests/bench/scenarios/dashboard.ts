// What the dashboard's screens read, through row-level security, in a project of 100,000 tenants and 300,000 quotas.
import type { Sql } from "postgres";
import { median } from "../load.ts";
import { figure, type Result } from "../rounds.ts";
import type { Bench } from "../scenario.ts";
import { assertBalanced, createWorld, within } from "../world.ts";

const TENANTS = 100_000;

/** What each screen asks for; :tenant is the tenant that is looked at. */
const OPERATOR: Record<string, string> = {
  "fleet, by spend": "select * from spend.fleet()",
  "fleet, by name": "select * from spend.fleet(order_by => 'name')",
  "fleet, by the fullest limit": "select * from spend.fleet(order_by => 'utilization')",
  "fleet, a search": "select * from spend.fleet('tenant 77')",
  "near limit": "select * from spend.quotas_near_limit()",
  "open holds": "select * from spend.open_holds()",
  "sandboxes that run":
    "select * from spend.execution_contexts where status in ('creating', 'running') order by created_at desc limit 51",
  refusals:
    "select * from spend.refusals_by_hour where hour >= now() - interval '1 day' order by hour desc limit 51",
  "unusual spend": "select * from spend.unusual_spend()",
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
const OWNER: Record<string, string> = { "who is signed in": "select * from spend.whoami()" };

export async function dashboard({ scratch, effort }: Bench): Promise<Result[]> {
  const tenants = Math.max(1000, Math.round(TENANTS * effort.scale));
  const fleet = await createWorld(scratch, "dashboard", { tenants });
  const results = await within(fleet.url, async (sql) => {
    const { operator, owner, tenant } = await fill(sql);
    const people: [string, string, Record<string, string>][] = [
      ["an operator", operator, { ...OPERATOR, ...BOTH }],
      ["an owner", owner, { ...OWNER, ...BOTH }],
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

/** Spend of each tenant by its own books, an operator, and an owner of the last tenant. */
async function fill(sql: Sql) {
  const users = await sql`
    insert into auth.users (id) values (gen_random_uuid()), (gen_random_uuid()) returning id`;
  const [operator, owner] = users.map(({ id }) => id) as [string, string];
  await sql`insert into spend.operators (user_id, role) values (${operator}, 'viewer')`;
  const [last] = await sql`select id from spend.tenants order by id desc limit 1`;
  await sql`
    insert into spend.tenant_members (tenant_id, user_id, role)
    values (${last?.id}, ${owner}, 'owner')`;
  // One in ten has spent most of what it may.
  await sql`
    select count(*) from (
      select spend.adjust(t.id, case when t.place % 10 = 0 then 0.85 else 0.01 end * (
        select min(q.limit_usd) from spend.cost_quotas as q where q.tenant_id = t.id and q.scope = 'tenant'
      ), 'Spend of a fleet')
      from (select id, row_number() over (order by id) as place from spend.tenants) as t
    ) as booked`;
  for (let rolled = 1; rolled > 0; ) {
    const [row] = await sql`select (spend.maintain('roll_up') ->> 'roll_up')::int as events`;
    rolled = row?.events ?? 0;
  }
  await sql`vacuum analyze`;
  return { operator, owner, tenant: last?.id as string };
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
