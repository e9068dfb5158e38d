// Random sequences of every operation, by several connections at once.
//   SPENDGATE_PROPERTY_RUNS=1000 npx vitest run tests/race/property.test.ts
import fc from "fast-check";
import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../setup/database.ts";
import { addQuota, addTenant, addTestModel, addUser, usageOf, verifyBalances } from "./spend.ts";

const RUNS = Number(process.env.SPENDGATE_PROPERTY_RUNS ?? 200);
const OPERATIONS = 200;
const CONNECTIONS = 6;

let database: TestDatabase;

beforeAll(async () => {
  database = await cloneDatabase({ connections: CONNECTIONS });
  await addTestModel(database.sql);
});
afterAll(() => database.close());

interface World {
  sql: Sql;
  tenantId: string;
  userId: string;
  /** Ids of all reservations of the run; those that ended too, so that they end twice. */
  reservations: string[];
}

type Operation =
  | { kind: "reserve"; usd: number; asUser: boolean; ttl: number }
  | { kind: "settle"; pick: number; share: number | null }
  | { kind: "release" | "expire"; pick: number }
  | { kind: "extend"; pick: number; usd: number }
  | { kind: "adjust"; usd: number }
  | { kind: "limit"; usd: number; scope: string }
  | { kind: "slots"; slots: number; scope: string }
  | { kind: "period"; period: string; scope: string }
  | { kind: "zone"; zone: string };

const usd = fc.integer({ min: 0, max: 2000 }).map((cents) => cents / 100);
const pick = fc.nat(1_000_000);
const scope = fc.constantFrom("tenant", "user");

const spending: fc.Arbitrary<Operation>[] = [
  fc.record({
    kind: fc.constant("reserve" as const),
    usd,
    asUser: fc.boolean(),
    ttl: fc.constantFrom(1, 600),
  }),
  fc.record({
    kind: fc.constant("settle" as const),
    pick,
    share: fc.constantFrom(0, 0.25, 1, null),
  }),
  fc.record({ kind: fc.constant("expire" as const), pick }),
  fc.record({ kind: fc.constant("extend" as const), pick, usd }),
  fc.record({ kind: fc.constant("slots" as const), slots: fc.integer({ min: 1, max: 9 }), scope }),
];
// These may rightly lead over a limit: a released call that was made after all, a dear one, a lower limit.
const rewriting: fc.Arbitrary<Operation>[] = [
  fc.record({ kind: fc.constant("release" as const), pick }),
  fc.record({ kind: fc.constant("settle" as const), pick, share: fc.constantFrom(1.5, 3) }),
  fc.record({ kind: fc.constant("adjust" as const), usd: usd.map((amount) => amount - 10) }),
  fc.record({ kind: fc.constant("limit" as const), usd: usd.map((limit) => limit * 10), scope }),
  fc.record({
    kind: fc.constant("period" as const),
    period: fc.constantFrom("hour", "day", "week", "month", "lifetime"),
    scope,
  }),
  fc.record({
    kind: fc.constant("zone" as const),
    zone: fc.constantFrom("UTC", "Asia/Tokyo", "America/New_York"),
  }),
];

function sequences(operations: fc.Arbitrary<Operation>[]) {
  return fc.record({
    limitUsd: fc.integer({ min: 1, max: 200 }),
    slots: fc.integer({ min: 1, max: 9 }),
    // Most operations spend; a change of a quota is rarer.
    steps: fc.array(fc.oneof(...spending, ...spending, ...operations), {
      minLength: OPERATIONS,
      maxLength: OPERATIONS,
    }),
  });
}

async function perform(world: World, step: Operation): Promise<void> {
  const { sql, tenantId, userId, reservations } = world;
  const id = "pick" in step ? reservations[step.pick % reservations.length] : undefined;
  switch (step.kind) {
    case "reserve": {
      const [answer] = await sql`
        select reservation_id from spend.reserve(
          ${tenantId}, ${step.asUser ? userId : null}, 'llm', ${sql.json(usageOf(step.usd))},
          ttl_seconds => ${step.ttl})`;
      if (answer?.reservation_id) reservations.push(answer.reservation_id);
      return;
    }
    case "settle": {
      if (id === undefined) return;
      const [held] = await sql`
        select estimated_cost_usd::float8 as usd from spend.reservations where id = ${id}`;
      const usage = step.share === null ? null : sql.json(usageOf(held?.usd * step.share));
      const [first] = await sql`select status, cost_usd from spend.settle(${id}, ${usage})`;
      const [again] = await sql`select status, cost_usd from spend.settle(${id}, ${usage})`;
      expect(again).toEqual(first);
      return;
    }
    case "release": {
      if (id === undefined) return;
      const [first] = await sql`select cost_usd from spend.release(${id})`;
      const [again] = await sql`select cost_usd from spend.release(${id})`;
      // Between the two, another connection may have reported the real cost.
      if (Number(first?.cost_usd) !== 0) expect(again).toEqual(first);
      return;
    }
    case "expire":
      await sql`select spend_private.expire_reservations(3, now() + interval '10 seconds')`;
      return;
    case "extend":
      if (id === undefined) return;
      await sql`select spend.extend(${id}, ${sql.json(usageOf(step.usd))})`.catch((error) => {
        if (error.code !== "PT409") throw error; // It has ended already.
      });
      return;
    case "adjust":
      await sql`select spend.adjust(${tenantId}, ${step.usd.toFixed(2)}, 'property', 'llm', ${userId})`;
      return;
    case "limit":
      await sql`update spend.cost_quotas set limit_usd = ${step.usd} where tenant_id = ${tenantId} and scope = ${step.scope}`;
      return;
    case "slots":
      await sql`update spend.cost_quotas set slots = ${step.slots} where tenant_id = ${tenantId} and scope = ${step.scope}`;
      return;
    case "period":
      await sql`update spend.cost_quotas set period = ${step.period} where tenant_id = ${tenantId} and scope = ${step.scope}`;
      return;
    case "zone":
      await sql`update spend.tenants set time_zone = ${step.zone} where id = ${tenantId}`;
      return;
  }
}

/** Deals the steps out to the connections, and runs these side by side. */
async function run(limitUsd: number, slots: number, steps: Operation[]): Promise<World> {
  const { sql } = database;
  const tenantId = await addTenant(sql, limitUsd, slots);
  const userId = await addUser(sql, tenantId);
  await addQuota(sql, { scope: "user", tenantId, userId, limitUsd, slots });
  const world = { sql, tenantId, userId, reservations: [] };
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, connection) => {
      for (let index = connection; index < steps.length; index += CONNECTIONS) {
        await perform(world, steps[index] as Operation);
      }
    }),
  );
  return world;
}

describe(`${RUNS} random runs of ${OPERATIONS} operations on ${CONNECTIONS} connections`, () => {
  it("spent + reserved = ledger + open holds, whatever is done", { timeout: 900_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(sequences(rewriting), async ({ limitUsd, slots, steps }) => {
        await run(limitUsd, slots, steps);
        expect(await verifyBalances(database.sql)).toEqual([]);
      }),
      { numRuns: Math.ceil(RUNS / 2), endOnFailure: true },
    );
  });

  it("never over the limit by admission, however it is split", { timeout: 900_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(sequences(spending), async ({ limitUsd, slots, steps }) => {
        const { tenantId } = await run(limitUsd, slots, steps);
        const over = await database.sql`
          select * from spend.quota_status
          where tenant_id = ${tenantId}
            and (current_spend_usd > limit_usd or spent_usd < 0 or reserved_usd < 0)`;
        expect(over).toEqual([]);
        expect(await verifyBalances(database.sql)).toEqual([]);
      }),
      { numRuns: Math.ceil(RUNS / 2), endOnFailure: true },
    );
  });
});
