import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addQuota, addTenant, verifyBalances } from "../support/spend.ts";
import { interleave, untilLockWaits, type Work } from "./sessions.ts";

let database: TestDatabase;
let tenantId: string;

beforeAll(async () => {
  database = await cloneDatabase({ connections: 60 });
  tenantId = await addTenant(database.sql, 100, 1);
  await addQuota(database.sql, { scope: "tenant", tenantId, resourceType: "e2b", limitUsd: 10 });
});
afterAll(() => database.close());

interface Claim {
  outcome: string;
  context_id: string | null;
  sandbox_id: string | null;
}

async function claim(sql: Sql, conversation: string, path: string | null): Promise<Claim> {
  const [answer] = await sql<Claim[]>`
    select outcome, context_id, sandbox_id
    from spend.claim_context(${tenantId}, null, ${conversation}, ${randomUUID()}, ${path})`;
  if (answer === undefined) throw new Error("claim_context answered nothing");
  return answer;
}

it.each(["a path", null])(
  "Of twenty concurrent claims of %s one creates, nineteen wait, and one hold is made",
  async (path) => {
    const { sql } = database;
    const conversation = randomUUID();

    const claims = await Promise.all(
      Array.from({ length: 20 }, () => claim(sql, conversation, path)),
    );

    const outcomes = claims.map((answer) => answer.outcome).sort();
    expect(outcomes).toEqual(["create", ...Array(19).fill("wait")]);
    expect(new Set(claims.map((answer) => answer.context_id)).size).toBe(1);
    const [held] = await sql`
      select count(*)::int as holds from spend.reservations where conversation_id = ${conversation}`;
    expect(held?.holds).toBe(1);
    expect(await verifyBalances(sql)).toEqual([]);
  },
);

it("A claim waits for one that has not committed, and does not overtake it", async () => {
  const { sql } = database;
  const conversation = randomUUID();
  const first = await sql.reserve();
  await first`begin`;
  const created = await claim(first, conversation, null);

  const second = claim(sql, conversation, null);
  await untilLockWaits(sql);
  await first`commit`;
  first.release();

  expect(created.outcome).toBe("create");
  expect(await second).toMatchObject({ outcome: "wait", context_id: created.context_id });
});

it("Twenty concurrent ends of one context book its seconds once", async () => {
  const { sql } = database;
  const conversation = randomUUID();
  const { context_id } = await claim(sql, conversation, null);
  await sql`
    select spend.confirm_context(${tenantId}, ${context_id}, c.claim_id, 'sandbox',
      now() - interval '10.5 seconds', now() + interval '5 minutes', 2, 0.5)
    from spend.execution_contexts as c where c.id = ${context_id}`;

  const ended = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const [row] = await sql`
        select spend.end_context(${tenantId}, ${context_id},
          ${index % 2 ? "terminated" : "paused"}, 'race', null, now()) as status`;
      return row?.status;
    }),
  );

  expect(new Set(ended)).toContain("terminated");
  const events = await sql`
    select usage -> 'seconds' as seconds from spend.cost_events
    where conversation_id = ${conversation}`;
  expect(events).toHaveLength(1);
  expect(await verifyBalances(sql)).toEqual([]);
});

it("A sandbox without a context that is reported by two at once is charged once", async () => {
  const { sql } = database;
  const sandbox = randomUUID();
  const started = new Date(Date.now() - 3_600_000);
  const ended = new Date(Date.now() - 60_000);
  const charge: Work = (session) => session`
    select spend.book_stray_sandbox(${tenantId}, ${sandbox}, 'base', 2, 0.5, ${started}, ${ended})::float8 as usd`;

  const [second] = await interleave(sql, charge, charge);

  expect(second?.usd).toBe(0);
  expect(await verifyBalances(sql)).toEqual([]);
});
