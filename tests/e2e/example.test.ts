// The example of the README: a function of one's own, gated by the library alone.
import { afterAll, beforeAll, expect, it } from "vitest";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

let stack: TestStack;

beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(() => stack.stop());

it("The example function is gated, booked under its task, and answers every error by name", async () => {
  const user = await stack.signUp();
  const tenant = await stack.createTenant({ members: [user] });
  const title = (json: unknown, caller = user) => stack.call("/example", { user: caller, json });

  const response = await title({ text: "Quotas in Postgres are exact." });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ title: expect.any(String) });
  const [booked] = await until("it is booked", async () => {
    const rows = await stack.sql`
      select task, kind, is_estimated from spend.cost_events where tenant_id = ${tenant.id}`;
    return rows.length > 0 ? rows : undefined;
  });
  expect(booked).toEqual({ task: "title", kind: "charge", is_estimated: false });

  expect((await stack.call("/example", { json: { text: "x" } })).status).toBe(401);
  expect((await title({ texts: "x" })).status).toBe(400);
  expect((await title({ text: "x" }, await stack.signUp())).status).toBe(403);

  await stack.sql`update spend.cost_quotas set limit_usd = 0 where tenant_id = ${tenant.id}`;
  const calls = stack.journal().length;
  const refused = await title({ text: "x" });
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ error: "quota_exceeded", resourceType: "llm" });
  expect(stack.journal()).toHaveLength(calls);
});
