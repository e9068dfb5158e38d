// Plans hold at scale: what a call or a job of maintenance reads does not grow with the tables. Measured in buffers, which
// neither the machine nor its load change, on a project of a few rows and on the same one grown (fill.sql).
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addTenant, addTestModel, reserve, usageOf } from "../support/spend.ts";
import { until } from "../support/until.ts";
import { buffersOf } from "./buffers.ts";
import { cloneGrown } from "./grown.ts";

const USAGE = JSON.stringify(usageOf(0.01));

interface World {
  sql: Sql;
  belowThreshold: string;
  /** 90 % of its quota is spent, and it has been warned. */
  aboveThreshold: string;
  full: string;
}

let databases: TestDatabase[];
let small: World;
let large: World;

beforeAll(async () => {
  databases = [await cloneDatabase({ connections: 1 }), await cloneGrown("fill.sql")];
  const [first, second] = databases as [TestDatabase, TestDatabase];
  small = await makeWorld(first.sql);
  large = await makeWorld(second.sql);
});
afterAll(() => Promise.all(databases.map((database) => database.close())));

async function makeWorld(sql: Sql): Promise<World> {
  await addTestModel(sql);
  // As many channels in both.
  await sql`
    insert into spend.alert_channels (kind, name) values ('pagerduty', 'pager')
    on conflict on constraint one_channel_per_name do nothing`;
  const tenants = [];
  for (const spent of [1, 90, 100]) {
    const id = await addTenant(sql, 100, 8);
    await sql`select spend.adjust(${id}, ${spent}, 'test')`;
    tenants.push(id);
  }
  const [belowThreshold, aboveThreshold, full] = tenants as [string, string, string];
  return { sql, belowThreshold, aboveThreshold, full };
}

const held = async (sql: Sql, tenantId: string) =>
  (await reserve(sql, tenantId, null, 0.01)).reservation_id;
const call = (name: string, tenantId: string) =>
  `select spend.${name}('${tenantId}', null, 'llm', '${USAGE}')`;

type Statement = (world: World) => Promise<string>;

const calls: Record<string, Statement> = {
  "reserve of a tenant below its warning threshold": async ({ belowThreshold }) =>
    call("reserve", belowThreshold),
  "reserve of a tenant at 90 %": async ({ aboveThreshold }) => call("reserve", aboveThreshold),
  "settle of a tenant below its warning threshold": async ({ sql, belowThreshold }) =>
    `select spend.settle('${await held(sql, belowThreshold)}', '${USAGE}')`,
  "settle of a tenant at 90 %": async ({ sql, aboveThreshold }) =>
    `select spend.settle('${await held(sql, aboveThreshold)}', '${USAGE}')`,
  release: async ({ sql, belowThreshold }) =>
    `select spend.release('${await held(sql, belowThreshold)}')`,
  extend: async ({ sql, aboveThreshold }) =>
    `select spend.extend('${await held(sql, aboveThreshold)}', '${JSON.stringify(usageOf(0.02))}')`,
  "a refusal": async ({ full }) => call("reserve", full),
  "check_quota of a tenant at 90 %": async ({ aboveThreshold }) =>
    call("check_quota", aboveThreshold),
  "check_quota that is refused": async ({ full }) => call("check_quota", full),
  "the expiry of a hold": async ({ sql, belowThreshold }) => {
    await sql`
      update spend.reservations set created_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'
      where id = ${await held(sql, belowThreshold)}`;
    return "select spend.expire_reservations(1)";
  },
};

const HOOK = `'[{"name": "hook", "kind": "webhook"}]'`;
/** A new alert of a tenant, which nobody was told of. */
const report = ({ sql, full }: World) =>
  sql`select spend.report_failure('settle_failed', ${full}, gen_random_uuid()::text, 'It failed.')`;

const deliveries: Record<string, Statement> = {
  "claim_deliveries with nothing to do": async () =>
    `select * from spend.claim_deliveries(${HOOK})`,
  "handing an alert to channels, and claiming it": async (world) => {
    await world.sql`delete from spend.alerts where kind = 'settle_failed'`;
    await report(world);
    return `select * from spend.claim_deliveries(${HOOK})`;
  },
  finish_delivery: async (world) => {
    await world.sql`delete from spend.alerts where kind = 'settle_failed'`;
    await report(world);
    const [claimed] = await world.sql`
      select delivery_id from spend.claim_deliveries('[{"name": "hook", "kind": "webhook"}]')`;
    return `select spend.finish_delivery(${claimed?.delivery_id})`;
  },
  acknowledge_alert: async (world) => {
    await report(world);
    const [alert] = await world.sql`select max(id) as id from spend.alerts`;
    return `select spend.acknowledge_alert(${alert?.id})`;
  },
  "report_failure of what is recorded already": async ({ full }) =>
    `select spend.report_failure('price_missing', '${full}', 'model', 'No price.')`,
  maintenance_status: async () =>
    "select spend_private.undelivered_alerts(), spend_private.given_up_alerts()",
};

/** Jobs that have nothing to do. record_alerts has balances to look at, and is measured below. */
const jobs = [
  "expire_reservations",
  "make_partitions",
  "roll_up",
  "drop_months",
  "delete_refusals",
  "fold_refusals",
  "delete_refusal_counts",
  "delete_alerts",
  "delete_mutes",
  "find_expiries",
  "delete_balances",
  "delete_conversations",
  "delete_problems",
];

describe("With 20,000 tenants, 600,000 reservations, 250,000 alerts and 30,000 balances above their threshold", () => {
  it.each(Object.entries(calls))("%s reads as much as without them", async (_, statement) => {
    const few = await buffersOf(small.sql, () => statement(small));
    const many = await buffersOf(large.sql, () => statement(large));
    // Trees are a level or two deeper.
    expect(many, `${many} buffers, ${few} where there are few rows`).toBeLessThanOrEqual(
      few * 2 + 20,
    );
  });

  it.each(Object.entries(deliveries))(
    "%s reads as much as without 250,000 delivered alerts",
    async (_, statement) => {
      for (const { sql } of [small, large]) {
        await sql`select spend.claim_deliveries('[{"name": "hook", "kind": "webhook"}]')`;
        await sql`update spend.alerts set routed_at = now() where routed_at is null`;
      }
      const few = await buffersOf(small.sql, () => statement(small));
      const many = await buffersOf(large.sql, () => statement(large));
      expect(many, `${many} buffers, ${few} where there are few rows`).toBeLessThanOrEqual(
        few * 2 + 20,
      );
    },
  );

  it.each(jobs)("the job %s with nothing to do reads as much as without them", async (job) => {
    for (const { sql } of [small, large]) {
      // Roll-ups wait for transactions that are open anywhere on the server.
      await until("nothing is left to do", async () => {
        await sql`select spend.maintain(${job})`;
        const [left] = await sql`
          select exists (select from spend.cost_events as e where e.booked_xid >= spend_private.rolled_up_before()) as events`;
        return job !== "roll_up" || !left?.events;
      });
    }
    const few = await buffersOf(small.sql, async () => `select spend.maintain('${job}')`);
    const many = await buffersOf(large.sql, async () => `select spend.maintain('${job}')`);
    expect(many, `${many} buffers, ${few} where there are few rows`).toBeLessThanOrEqual(
      few * 2 + 20,
    );
  });

  it("missed alerts of 30,000 balances are recorded once, at a few probes each", async () => {
    const { sql } = large;
    const recorded = await sql`select count(*)::int as alerts from spend.alerts`;
    await sql`select spend_private.record_missed_alerts()`;
    const [after] = await sql`select count(*)::int as alerts from spend.alerts`;
    expect(after?.alerts - recorded[0]?.alerts).toBe(30_000);
    expect(await sql`select spend_private.record_missed_alerts()::int as alerts`).toEqual([
      { alerts: 0 },
    ]);
    const again = await buffersOf(sql, async () => "select spend_private.record_missed_alerts()");
    expect(again / 30_000).toBeLessThan(15);
  });
});

it("A settle that was planned before there were reservations reads as much when there are 50,000", async () => {
  const database = await cloneDatabase({ connections: 1 });
  try {
    await database.sql`insert into spend.tenants (name) select 'Tenant ' || n from generate_series(1, 200) as n`;
    await database.sql`vacuum analyze`;
    const { sql, belowThreshold } = await makeWorld(database.sql);
    const settle = async () =>
      `select spend.settle('${await held(sql, belowThreshold)}', '${USAGE}')`;
    const few = await buffersOf(sql, settle);
    await sql`
      insert into spend.reservations (
        tenant_id, id, resource_type, provider, product, task, usage_estimate, estimated_cost_usd,
        actual_cost_usd, status, holds, price_ids, expires_at, ended_at
      )
      select
        gen_random_uuid(), gen_random_uuid(), 'llm', 'test', 'model', 'chat', '{}', 0, 0, 'settled', '{}', '{}',
        now() + interval '1 hour', now()
      from generate_series(1, 50000)`;
    const many = await buffersOf(sql, settle);
    expect(many, `${many} buffers, ${few} when it was planned`).toBeLessThanOrEqual(few * 2 + 20);
  } finally {
    await database.close();
  }
});
