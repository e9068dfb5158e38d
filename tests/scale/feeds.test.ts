// What a person reads, through row-level security, does not grow with other tenants' rows: measured in buffers, as in
// plans.test.ts. What an operator reads of all tenants is one page, and bounded.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { cloneGrown } from "./grown.ts";
import { makeWorld, read, type World } from "./readers.ts";

let databases: TestDatabase[];
let small: World;
let large: World;

beforeAll(async () => {
  databases = [await cloneDatabase({ connections: 1 }), await cloneGrown("fill.sql")];
  const [first, second] = databases as [TestDatabase, TestDatabase];
  small = await makeWorld(first.sql);
  large = await makeWorld(second.sql);
  // The job, over all tenants: what operators' lists read among so many.
  await second.sql`select spend_private.survey_spend(30000)`;
  await second.sql`analyze`;
});
afterAll(() => Promise.all(databases.map((database) => database.close())));

/** What the screens of a tenant read; :tenant is its id. */
const SCREENS: Record<string, string> = {
  "who is signed in": "select * from spend.whoami()",
  "the tenants": "select * from spend.tenants order by name limit 50",
  "the members": "select * from spend.tenant_members where tenant_id = :tenant",
  "every quota, without a filter": "select * from spend.quota_status",
  "the quotas near their limit": "select * from spend.quotas_near_limit(0.5)",
  "the forecast": "select * from spend.quota_forecast(:tenant)",
  "the costs by day": "select * from spend.cost_series('day', :tenant, group_by => 'product')",
  "the costs by day, of whatever is seen": "select * from spend.cost_series('day')",
  "the latest calls": "select * from spend.latest_calls(:tenant)",
  "the members' spend": "select * from spend.member_overview(:tenant)",
  "who the members are":
    "select * from spend.user_emails(array(select m.user_id from spend.tenant_members as m where m.tenant_id = :tenant))",
  "the tenant's channels": "select * from spend.alert_channels where tenant_id = :tenant",
  "what is muted": "select * from spend.alert_mutes where tenant_id = :tenant and until > now()",
  "what became of alerts":
    "select * from spend.alert_deliveries where alert_id = any (array(select a.id from spend.alerts as a where a.tenant_id = :tenant order by a.id desc limit 50))",
  "the tenant's alerts":
    "select * from spend.alerts where tenant_id = :tenant order by id desc limit 50",
  "the tenant's changes":
    "select * from spend.audit_log where tenant_id = :tenant order by id desc limit 50",
  "the unusual days": "select * from spend.unusual_spend(at_least_usd => 0.001)",
  "the sandboxes": "select * from spend.execution_contexts order by id desc limit 50",
};

describe("20,000 tenants, 60,000 quotas, 600,000 reservations, 250,000 alerts", () => {
  for (const who of ["member", "owner"] as const) {
    it.each(Object.entries(SCREENS))(
      `a ${who} reads %s at the price of a small project`,
      async (_, statement) => {
        const of = (world: World) =>
          read(world, world[who], statement.replaceAll(":tenant", `'${world.tenant}'`));
        const few = await of(small);
        const many = await of(large);
        expect(many.rows).toBe(few.rows);
        // Trees are a level or two deeper.
        expect(
          many.buffers,
          `${many.buffers} buffers, ${few.buffers} where there are few rows`,
        ).toBeLessThanOrEqual(few.buffers * 2 + 120);
      },
    );
  }

  it.each([
    ["a tenant's quotas", "select * from spend.quota_status where tenant_id = :tenant", 400],
    ["a tenant's costs by day", "select * from spend.cost_series('day', :tenant)", 400],
    ["a tenant's latest calls", "select * from spend.latest_calls(:tenant)", 400],
    ["the latest calls of all tenants", "select * from spend.latest_calls()", 40_000],
    ["the open holds that expire first", "select * from spend.open_holds()", 2000],
    // A page, and the number of tenants from an index.
    ["tenants by name", "select * from spend.fleet(order_by => 'name')", 2000],
    ["tenants by spend", "select * from spend.fleet()", 2000],
    [
      "tenants by their fullest quota",
      "select * from spend.fleet(order_by => 'utilization')",
      2000,
    ],
    ["the newest tenants", "select * from spend.fleet(order_by => 'created_at')", 2000],
    ["30,000 quotas near their limit", "select * from spend.quotas_near_limit()", 4000],
    ["quotas of which half is used", "select * from spend.quotas_near_limit(0.5)", 4000],
    [
      "the addresses of 500 people",
      "select * from spend.user_emails(array(select m.user_id from spend.tenant_members as m limit 500))",
      4000,
    ],
    ["the latest alerts", "select * from spend.alerts order by id desc limit 50", 400],
  ])("an operator reads %s", async (_, statement, most) => {
    const { buffers, rows } = await read(
      large,
      large.operator,
      statement.replaceAll(":tenant", `'${large.tenant}'`),
    );
    expect(rows).toBeGreaterThan(0);
    expect(buffers).toBeLessThanOrEqual(most);
  });
});
