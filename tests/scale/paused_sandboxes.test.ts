// Maintenance does no more work when there are 100,000 paused sandboxes.
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestStack, type TestStack, type TestTenant } from "../support/stack.ts";

const PAUSED = 100_000;
/** Milliseconds that each call of E2B's API takes. */
const LATENCY_MS = 150;

let stack: TestStack;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack({ env: { SPENDGATE_PROJECT: "scale" } });
  tenant = await stack.createTenant();
  await stack.sql`
    insert into spend.execution_contexts (
      tenant_id, id, conversation_id, task, template, vcpus, memory_gib, timeout_seconds, status, sandbox_id,
      reservation_id, booked_at, claim_id, claimed_at, claim_expires_at, paused_at, created_at
    )
    select
      ${tenant.id}, gen_random_uuid(), 'c ' || n, 'sandbox', 'base', 2, 0.5, 300, 'paused', 'i' || n,
      gen_random_uuid(), now(), gen_random_uuid(), now() - interval '1 day', now(), now() - n * interval '1 second',
      now() - interval '1 day'
    from generate_series(1, ${PAUSED}) as n`;
  await stack.sql`analyze spend.execution_contexts`;
  const contexts = await stack.sql`select id, sandbox_id from spend.execution_contexts`;
  for (const { id, sandbox_id } of contexts) {
    stack.sandboxes.sandboxes.set(sandbox_id, {
      id: sandbox_id,
      template: "base",
      metadata: { spendgate: "scale", tenant_id: tenant.id, context_id: id, template: "base" },
      state: "paused",
      startedAt: Date.now(),
      firstStartedAt: Date.now(),
      endAt: Date.now(),
      ran: [],
      token: "",
    });
  }
  stack.sandboxes.weather(() => ({ answerDelayMs: LATENCY_MS }));
}, 120_000);
afterAll(() => stack.stop());

async function maintain(): Promise<{
  counts: Record<string, number>;
  seconds: number;
  calls: number;
}> {
  stack.sandboxes.journal.length = 0;
  const startedAt = performance.now();
  const response = await stack.call("/maintenance", {
    method: "POST",
    headers: { apikey: stack.keys.secret },
  });
  expect(response.status).toBe(200);
  const { sandboxes } = (await response.json()) as { sandboxes: Record<string, number> };
  return {
    counts: Object.fromEntries(Object.entries(sandboxes).filter(([, count]) => count > 0)),
    seconds: (performance.now() - startedAt) / 1000,
    calls: stack.sandboxes.journal.length,
  };
}

it("A round of maintenance with many paused sandboxes takes seconds and some 25 calls, and the next one looks at others", async () => {
  await maintain();
  const looked = new Set<string>();
  for (const _ of [1, 2, 3]) {
    const { counts, seconds, calls } = await maintain();
    expect(counts).toEqual({});
    expect(calls).toBeLessThanOrEqual(25);
    expect(seconds).toBeLessThan(10);
    for (const { operation, sandboxId } of stack.sandboxes.journal) {
      if (operation === "get" && sandboxId) looked.add(sandboxId);
    }
  }
  expect(looked.size).toBe(60);
});

it("Sandboxes that have been paused for too long end, a hundred in a round", async () => {
  await stack.sql`
    update spend.execution_contexts set paused_at = now() - interval '31 days'
    where (tenant_id, id) in (select c.tenant_id, c.id from spend.execution_contexts as c limit 150)`;
  const first = await maintain();
  expect(first.counts).toEqual({ endedPaused: 100 });
  expect(first.seconds).toBeLessThan(15);
  expect((await maintain()).counts).toEqual({ endedPaused: 50 });
  expect((await maintain()).counts).toEqual({});
});

it("A paused sandbox that no context has is found, and so is one that E2B has no more", async () => {
  const [gone] = await stack.sql`
    update spend.execution_contexts set looked_at = null
    where (tenant_id, id) in (select c.tenant_id, c.id from spend.execution_contexts as c where c.status = 'paused' limit 1)
    returning sandbox_id`;
  stack.sandboxes.lose(gone?.sandbox_id);
  expect((await maintain()).counts).toEqual({ lost: 1 });
});
