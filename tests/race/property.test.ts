// Random sequences of calls and of every administrative operation, by several connections at once.
//   SPENDGATE_PROPERTY_RUNS=1000 npx vitest run tests/race/property.test.ts
//   SPENDGATE_PROPERTY_SEED=…    the runs of a seed that was printed (what meets what still differs from time to time)
//   SPENDGATE_PROPERTY_KINDS=reserve,settle,period    these operations alone
//   SPENDGATE_PROPERTY_ANSWERS=1    prints how often, and in how many ms, each was answered how
import fc from "fast-check";
import type { ReservedSql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { verifyBalances } from "../support/spend.ts";
import {
  administration,
  calls,
  Dice,
  type Kind,
  operations,
  perform,
  quotaChanges,
  transactions,
  type World,
} from "./operations.ts";
import { deadlocks } from "./sessions.ts";
import { createWorld, expectExact, removeWorld, renewWorld } from "./world.ts";

const RUNS = Number(process.env.SPENDGATE_PROPERTY_RUNS ?? 200);
const SEED = Number(process.env.SPENDGATE_PROPERTY_SEED ?? Date.now() % 2 ** 31);
const KINDS = process.env.SPENDGATE_PROPERTY_KINDS?.split(",");
const OPERATIONS = 60;
const CONNECTIONS = 6;
const RUNS_OF_A_WORLD = 8;

let database: TestDatabase;
let sessions: ReservedSql[];

beforeAll(async () => {
  database = await cloneDatabase({ connections: CONNECTIONS + 2 });
  sessions = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const session = await database.sql.reserve();
      await session`set statement_timeout = '20s'`;
      return session;
    }),
  );
});
afterAll(async () => {
  for (const session of sessions ?? []) session.release();
  await database?.close();
});

interface Step {
  kind: Kind;
  seed: number;
}

/** Twice as many calls as changes: most of what is done to a gate is spending. */
const ALL = [
  ...Array<Kind[]>(5).fill(["reserve", "settle"]).flat(),
  ...Array<Kind[]>(3).fill(Object.keys(calls)).flat(),
  ...Object.keys(quotaChanges),
  ...Object.keys(administration),
  ...Array<Kind[]>(4).fill(Object.keys(transactions)).flat(),
];
/** None of these may lead over a limit; the others rightly may: a lower limit, a dear call, a time-out. */
const SPENDING: Kind[] = ["reserve", "reserve_many", "settle", "extend", "slots", "expire"];

/** The same world for some runs, each of which goes on where the last one ended; then another one. */
function worlds(): (seed: number) => Promise<World> {
  let world: World;
  let runs = 0;
  return async (seed) => {
    if (runs++ % RUNS_OF_A_WORLD === 0) {
      await removeWorld(database.sql);
      world = await createWorld(database.sql, new Dice(seed));
    }
    await renewWorld(database.sql, world);
    return world;
  };
}

function runsOf(kinds: Kind[]) {
  const step = fc.record({
    kind: fc.constantFrom(...kinds.filter((kind) => KINDS?.includes(kind) ?? true)),
    seed: fc.nat(),
  });
  return fc.record({
    seed: fc.nat(),
    steps: fc.array(step, { minLength: OPERATIONS, maxLength: OPERATIONS }),
  });
}

/** How often each operation was answered how, and the milliseconds that took in all. */
const answers = new Map<string, { times: number; ms: number }>();

/** Deals the steps out to the connections, and runs these side by side. */
async function run(world: World, steps: Step[]): Promise<void> {
  const ended = await Promise.allSettled(
    sessions.map(async (session, connection) => {
      for (let index = connection; index < steps.length; index += CONNECTIONS) {
        const { kind, seed } = steps[index] as Step;
        const begin = performance.now();
        const answer = `${kind}: ${await perform(session, world, kind, seed)}`;
        const { times, ms } = answers.get(answer) ?? { times: 0, ms: 0 };
        answers.set(answer, { times: times + 1, ms: ms + performance.now() - begin });
      }
    }),
  );
  for (const end of ended) if (end.status === "rejected") throw end.reason;
}

const options = (runs: number) => ({ numRuns: runs, seed: SEED, endOnFailure: true });

describe(`${RUNS} random runs of ${OPERATIONS} operations of ${Object.keys(operations).length} kinds on ${CONNECTIONS} connections, seed ${SEED}`, () => {
  it("leave spent and reserved at what the ledger and the open calls say", {
    timeout: RUNS * 5_000,
  }, async () => {
    const worldOf = worlds();
    await fc.assert(
      fc.asyncProperty(runsOf(ALL), async ({ seed, steps }) => {
        const world = await worldOf(seed);
        await run(world, steps);
        await expectExact(database.sql, world);
      }),
      options(Math.ceil(RUNS * 0.75)),
    );
  });

  it("never admit over a limit, however it is split", {
    timeout: RUNS * 5_000,
  }, async () => {
    const { sql } = database;
    const worldOf = worlds();
    await fc.assert(
      fc.asyncProperty(runsOf(SPENDING), async ({ seed, steps }) => {
        const world = await worldOf(seed);
        await run(world, steps);
        const over = await sql`
          select * from spend.quota_status
          where tenant_id = any (${world.tenants})
            and (current_spend_usd > limit_usd or spent_usd < 0 or reserved_usd < 0)`;
        expect(over).toEqual([]);
        expect(await verifyBalances(sql)).toEqual([]);
      }),
      options(Math.floor(RUNS * 0.25)),
    );
  });

  it("do every operation, and no two wait for each other for ever", async () => {
    if (process.env.SPENDGATE_PROPERTY_ANSWERS) {
      const lines = [...answers]
        .sort()
        .map(([answer, { times, ms }]) => [times, Math.round(ms / times), answer]);
      console.log(lines.map((line) => line.join("\t")).join("\n"));
    }
    if (RUNS >= 50 && KINDS === undefined) {
      const undone = Object.keys(operations).filter((kind) => !answers.has(`${kind}: done`));
      expect(undone).toEqual([]);
    }
    expect(await deadlocks(database.sql)).toBe(0);
  });
});
