// People who set the same limit at once, through the functions that a dashboard calls: the last one wins, and nobody gets
// past a limit that was lowered meanwhile.
import type { Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addQuota, addTenant, addUser } from "../support/spend.ts";
import { actAs, overlap, type Work } from "./sessions.ts";

let database: TestDatabase;
let sql: Sql;
let tenant: string;
let owner: string;
let member: string;

beforeAll(async () => {
  database = await cloneDatabase();
  sql = database.sql;
});
afterAll(() => database?.close());
beforeEach(async () => {
  tenant = await addTenant(sql, 100, 1);
  owner = await addUser(sql, tenant);
  member = await addUser(sql, tenant);
  await sql`update spend.tenant_members set role = 'owner' where user_id = ${owner}`;
});

const userLimit =
  (usd: number): Work =>
  async (session) => {
    await actAs(session, owner);
    return session`
      select spend.set_user_quota(${tenant}, ${member}, 'llm', 'day', ${usd}) is not null as is_set`;
  };

it("Two owners who set a member's first limit at once both succeed, and the second one's holds", async () => {
  const { rows } = await overlap(sql, userLimit(5), userLimit(7));
  expect(rows).toEqual([{ is_set: true }]);
  const limits = await sql`
    select limit_usd::float8 as usd from spend.cost_quotas
    where tenant_id = ${tenant} and scope_id = ${member}`;
  expect(limits).toEqual([{ usd: 7 }]);
});

it("Two operators who give a plan the same quota at once both succeed, and the second one's holds", async () => {
  const plan = `plan ${tenant}`;
  await sql`insert into spend.plans (id, name) values (${plan}, 'Plan')`;
  const planLimit =
    (usd: number): Work =>
    (session) =>
      session`
        select (spend.change_plan_quota(${plan}, 'tenant', 'llm', 'day', ${usd})).limit_usd::float8 as usd`;
  const { rows } = await overlap(sql, planLimit(5), planLimit(7));
  expect(rows).toEqual([{ usd: 7 }]);
  expect(
    await sql`select limit_usd::float8 as usd from spend.plan_quotas where plan_id = ${plan}`,
  ).toEqual([{ usd: 7 }]);
});

it("An owner sets no limit above the tenant's that an operator is lowering", async () => {
  const limit = await addQuota(sql, {
    scope: "tenant",
    tenantId: tenant,
    period: "day",
    limitUsd: 10,
  });
  const lower: Work = (session) => session`select * from spend.change_quota(${limit}, 6)`;
  await expect(overlap(sql, lower, userLimit(7))).rejects.toMatchObject({
    code: "PT422",
    message: "above_tenant_limit",
  });
});
