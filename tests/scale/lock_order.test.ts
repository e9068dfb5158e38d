// One UPDATE holds a call in all its quotas, and one moves all its balances. They lock the rows in the order in which the
// plan meets them: it must be that of the list, which is the lock order, whatever the tables hold when it is made.
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addQuota, addTestModel, addUser, usageOf } from "../support/spend.ts";

interface Plan {
  "Node Type": string;
  "Relation Name"?: string;
  "Index Name"?: string;
  "Parent Relationship"?: string;
  Plans?: Plan[];
}

let database: TestDatabase;
let tenant: string;
let user: string;

beforeAll(async () => {
  database = await cloneDatabase();
  const { sql } = database;
  await addTestModel(sql);
  const [row] = await sql`insert into spend.tenants (name) values ('Tenant') returning id`;
  tenant = row?.id;
  user = await addUser(sql, tenant);
  await addQuota(sql, { scope: "user", tenantId: tenant, userId: user, limitUsd: 1e6 });
  await addQuota(sql, { scope: "platform", resourceType: "all", limitUsd: 1e6 });
});
afterAll(() => database?.close());

/** What a connection of its own plans, whose settings favour other plans. */
async function plansOf(work: (sql: Sql) => Promise<void>): Promise<Plan[]> {
  const plans: Plan[] = [];
  const connection = postgres(database.url, {
    max: 1,
    onnotice: ({ message }) => {
      const [, json] = /plan:\s*(\{.*)/s.exec(message ?? "") ?? [];
      if (json) plans.push(JSON.parse(json).Plan);
    },
  });
  try {
    await connection.unsafe(`
      load 'auto_explain';
      set auto_explain.log_min_duration = 0;
      set auto_explain.log_nested_statements = on;
      set auto_explain.log_format = json;
      set client_min_messages = log;
      set enable_nestloop = off`);
    await work(connection);
  } finally {
    await connection.end();
  }
  return plans;
}

async function call(sql: Sql): Promise<void> {
  const usage = sql.json(usageOf(0.01));
  const [held] = await sql`
    select reservation_id as id from spend.reserve(${tenant}, ${user}, 'llm', ${usage})`;
  await sql`select spend.settle(${held?.id}, ${usage})`;
}

/** The same in batches of two. */
async function batch(sql: Sql): Promise<void> {
  const usage = usageOf(0.01);
  const asked = { tenant_id: tenant, user_id: user, resource_type: "llm", usage };
  const held = await sql`
    select reservation_id from spend.reserve_many(${sql.json([asked, asked])})`;
  const settlements = held.map(({ reservation_id }) => ({ reservation_id, usage }));
  await sql`select spend.settle_many(${sql.json(settlements)})`;
}

/** What drives each UPDATE of balances, and how it finds their rows. */
function balanceUpdates(plan: Plan): string[] {
  const parts = plan.Plans ?? [];
  const own =
    plan["Node Type"] === "ModifyTable" && plan["Relation Name"] === "quota_balances"
      ? parts.filter((part) => part["Parent Relationship"] === "Outer").map(shapeOf)
      : [];
  return [...own, ...parts.flatMap(balanceUpdates)];
}

function shapeOf(plan: Plan): string {
  const [outer, inner] = ["Outer", "Inner"].map((side) =>
    plan.Plans?.find((part) => part["Parent Relationship"] === side),
  );
  return `${plan["Node Type"]}: ${outer?.["Node Type"]}, ${inner?.["Node Type"]} ${inner?.["Index Name"]}`;
}

describe("A call locks its balances in the order of its quotas", () => {
  it.each([
    ["planned on tables that nobody analysed", call],
    [
      "planned on tables that are known to be empty",
      async (sql: Sql) => {
        await sql`delete from spend_private.quota_balances`;
        await sql`vacuum analyze`;
        // Opens the balances anew.
        await call(sql);
      },
    ],
    [
      "planned on pages without a row, as vacuum leaves them after calls that were rolled back",
      // A plan that begins with the balances would search the slot again for each, and hold the call in many.
      (sql: Sql) => sql`
        update pg_class set relpages = 40, reltuples = 0
        where oid in ('spend_private.quota_balances'::regclass, 'spend_private.quota_balances_pkey'::regclass)`,
    ],
    ["planned on tables that are known to be small", (sql: Sql) => sql`vacuum analyze`],
    [
      "planned on tables of many periods",
      async (sql: Sql) => {
        await sql`
          insert into spend_private.quota_balances (quota_id, period_start, slot, tenant_id, period_end, allotted_usd)
          select q, now() - make_interval(days => d), 0, gen_random_uuid(), now(), 0
          from generate_series(1000000, 1000099) as q, generate_series(1, 200) as d`;
        await sql`vacuum analyze`;
      },
    ],
  ])("%s", async (_, prepare) => {
    await prepare(database.sql);
    const hold = "Nested Loop: Subquery Scan, Index Scan quota_balances_pkey";
    const move = "Nested Loop: Function Scan, Index Scan quota_balances_pkey";
    expect((await plansOf(call)).flatMap(balanceUpdates)).toEqual([hold, move]);
    // A batch is settled balance by balance, in that order.
    const [held, ...moved] = (await plansOf(batch)).flatMap(balanceUpdates);
    expect(held).toBe(hold);
    expect(new Set(moved)).toEqual(new Set([move]));
  });
});
