// What an administrator, an owner or a member does to one tenant, and a sandbox of its, reads nothing of the others: as many buffers in a project of
// a few rows as in the same one grown (fill.sql), where 20,000 calls of others are held.
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addQuota, addTestModel, addUser, reserve } from "../support/spend.ts";
import { buffersOf } from "./buffers.ts";
import { cloneGrown } from "./grown.ts";

interface World {
  sql: Sql;
  tenant: string;
  /** A member, who has spent, and whose call is held. */
  user: string;
  /** No member. */
  guest: string;
  tenantQuota: number;
  userQuota: number;
  /** Its call is held. */
  reservation: string;
  /** Of a sandbox that runs. */
  context: string;
}

let databases: TestDatabase[];
let small: World;
let large: World;

beforeAll(async () => {
  databases = [
    await cloneDatabase({ connections: 1 }),
    await cloneGrown("fill.sql", "fill_spend.sql"),
  ];
  const [first, second] = databases as [TestDatabase, TestDatabase];
  small = await makeWorld(first.sql);
  large = await makeWorld(second.sql);
});
afterAll(() => Promise.all(databases.map((database) => database.close())));

async function makeWorld(sql: Sql): Promise<World> {
  await addTestModel(sql);
  await sql`insert into spend.plans (id, name) values ('other', 'Other') on conflict do nothing`;
  const [row] = await sql`insert into spend.tenants (name) values ('Ours') returning id`;
  const tenant = row?.id as string;
  await sql`insert into spend.tenants (name) values ('Empty')`;
  const user = await addUser(sql, tenant);
  const [guest] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
  const tenantQuota = await addQuota(sql, { scope: "tenant", tenantId: tenant, limitUsd: 100 });
  const of = { tenantId: tenant, userId: user };
  const userQuota = await addQuota(sql, { ...of, scope: "user", limitUsd: 50 });
  const settled = await reserve(sql, tenant, user, 0.01);
  await sql`select spend.settle(${settled.reservation_id}, ${sql.json({ provider: "test", model: "model", input_tokens: 10, output_tokens: 1 })})`;
  const held = await reserve(sql, tenant, user, 0.01);
  const claim = randomUUID();
  const [claimed] =
    await sql`select context_id from spend.claim_context(${tenant}, ${user}, 'talk', ${claim})`;
  await sql`
    select spend.confirm_context(${tenant}, ${claimed?.context_id}, ${claim}, ${randomUUID()},
      now() - interval '10 seconds', now() + interval '5 minutes', 2, 0.5)`;
  // A trigger's reads are no part of the plan of the statement that fires it, but of the function that runs that statement.
  await sql`
    create function public.run(p_statement text) returns void language plpgsql as $$
    begin
      execute p_statement;
    end $$`;
  return {
    ...{ sql, tenant, user, guest: guest?.id, tenantQuota, userQuota },
    ...{ reservation: held.reservation_id as string, context: claimed?.context_id },
  };
}

const changes: Record<string, (world: World) => string> = {
  "a new quota of a user": ({ tenant, user }) => `
    insert into spend.cost_quotas (scope, tenant_id, scope_id, resource_type, period, limit_usd)
    values ('user', '${tenant}', '${user}', 'llm', 'week', 1)`,
  "a new quota of a tenant": ({ tenant }) => `
    insert into spend.cost_quotas (scope, tenant_id, resource_type, period, limit_usd)
    values ('tenant', '${tenant}', 'llm', 'week', 1)`,
  set_user_quota: ({ tenant, user }) =>
    `select spend.set_user_quota('${tenant}', '${user}', 'llm', 'week', 1)`,
  "another limit": ({ tenantQuota }) =>
    `update spend.cost_quotas set limit_usd = 99 where id = ${tenantQuota}`,
  change_quota: ({ userQuota }) => `select spend.change_quota(${userQuota}, 40)`,
  "more slots": ({ tenantQuota }) =>
    `update spend.cost_quotas set slots = 16 where id = ${tenantQuota}`,
  "another period": ({ userQuota }) =>
    `update spend.cost_quotas set period = 'week' where id = ${userQuota}`,
  "another resource type": ({ tenantQuota }) =>
    `update spend.cost_quotas set resource_type = 'e2b' where id = ${tenantQuota}`,
  "a product of a quota": ({ tenantQuota }) =>
    `update spend.cost_quotas set product = 'model' where id = ${tenantQuota}`,
  "a quota that goes": ({ userQuota }) => `delete from spend.cost_quotas where id = ${userQuota}`,
  "a tenant that opens": () => "insert into spend.tenants (name) values ('New')",
  "a tenant that closes": ({ tenant }) =>
    `update spend.tenants set closed_at = now() where id = '${tenant}'`,
  "another plan": ({ tenant }) =>
    `update spend.tenants set plan_id = 'other' where id = '${tenant}'`,
  "another time zone": ({ tenant }) =>
    `update spend.tenants set time_zone = 'Europe/Berlin' where id = '${tenant}'`,
  "a tenant without history that goes": () => "delete from spend.tenants where name = 'Empty'",
  "a member who joins": ({ tenant, guest }) =>
    `insert into spend.tenant_members (tenant_id, user_id) values ('${tenant}', '${guest}')`,
  "another role": ({ user }) =>
    `update spend.tenant_members set role = 'admin' where user_id = '${user}'`,
  "a member who leaves": ({ user }) => `delete from spend.tenant_members where user_id = '${user}'`,
  "an account that goes": ({ user }) => `delete from auth.users where id = '${user}'`,
  "a credit": ({ tenant, user }) =>
    `select spend.adjust('${tenant}', -1, 'credit', 'llm', '${user}')`,
  ensure_quotas: ({ tenant }) => `select spend.ensure_quotas('${tenant}')`,
  rebuild_balances: ({ tenantQuota }) => `select spend.rebuild_balances(${tenantQuota})`,
  "a tenant's own price": ({ tenant }) =>
    `select spend.add_price('llm', 'test', 'model', 'input_tokens', 2, tenant_id => '${tenant}')`,
  release_hold: ({ reservation }) => `select spend.release_hold('${reservation}', 'test')`,
  explain_cost: () => `select * from spend.explain_cost('test', 'model', '{"input_tokens": 5}')`,
  "alerts that are muted": ({ tenant }) =>
    `select spend.mute_alerts(now() + interval '1 hour', '${tenant}')`,
  "a channel for alerts": ({ tenant }) =>
    `select spend.save_alert_channel('${tenant}', 'email', 'us', 'us@example.com')`,
  "a sandbox that is claimed": ({ tenant, user }) =>
    `select spend.claim_context('${tenant}', '${user}', 'other talk', gen_random_uuid())`,
  "a sandbox that is used": ({ context, user }) =>
    `select spend.use_context('${context}', '${user}', gen_random_uuid(), 60)`,
  "a sandbox that is looked for": ({ context, user }) =>
    `select spend.find_context('${context}', '${user}')`,
  "a sandbox that is to be paused": ({ context, tenant }) =>
    `select spend.claim_pause('${tenant}', '${context}', 1)`,
  "a sandbox that ends": ({ context, tenant }) =>
    `select spend.end_context('${tenant}', '${context}', 'terminated', 'closed')`,
  "a price of everybody": () => "select spend.add_price('llm', 'test', 'model', 'input_tokens', 2)",
};

/** As read by the change alone, which is rolled back. */
async function buffersOfChange(world: World, change: (world: World) => string): Promise<number> {
  const counts: number[] = [];
  for (let run = 0; run < 4; run++) {
    await world.sql
      .begin(async (transaction) => {
        const sql = transaction as unknown as Sql;
        const text = change(world).replaceAll("'", "''");
        counts.push(await buffersOf(sql, async () => `select public.run('${text}')`, { runs: 1 }));
        await sql`set constraints all immediate`;
        throw new Undone();
      })
      .catch((error) => {
        if (!(error instanceof Undone)) throw error;
      });
  }
  return Math.min(...counts);
}

class Undone extends Error {}

it.each(Object.entries(changes))(
  "%s reads as much as without 20,000 other tenants",
  async (_, change) => {
    const few = await buffersOfChange(small, change);
    const many = await buffersOfChange(large, change);
    expect(many, `${many} buffers, ${few} where there are few rows`).toBeLessThanOrEqual(
      few * 2 + 50,
    );
  },
);
