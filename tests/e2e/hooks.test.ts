// What a function of one's own is told of its calls, and what the operator is told of failures: neither keeps a call waiting.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { answers, type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  provider = await startScriptedProvider();
  stack = await startTestStack({
    provider,
    functionsFolder: fileURLToPath(new URL("../support/functions", import.meta.url)),
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  provider.plays(answers("Hi"));
});

const call = (task = "chat", maxOutputTokens = 10) =>
  stack.call("/hooked", { user, json: { task, maxOutputTokens } });
/** What the hooks were given in calls of this tenant. */
const told = () =>
  stack.logs
    .filter((line) => line.startsWith('{"notified"'))
    .map((line) => JSON.parse(line).notified)
    .filter(({ tenantId }) => tenantId === tenant.id);
const logged = (event: string) =>
  stack.logs.filter((line) => line.includes(`"event":"${event}"`) && line.includes(tenant.id));
const fill = (usd: number) => stack.sql`select spend.adjust(${tenant.id}, ${usd}, 'test', 'llm')`;

describe("A hook", () => {
  it("hears nothing of a call far below 80 %", async () => {
    expect((await call()).status).toBe(200);
    await until("the call is booked", () => logged("llm_call").length === 1);
    expect(told()).toEqual([]);
  });

  it("hears once of a call that is admitted at 90 % of its limit", async () => {
    await fill(90);
    expect((await call()).status).toBe(200);
    await until("the hook", () => told().length > 0);
    await until("the call is booked", () => logged("llm_call").length === 1);
    expect(told()).toMatchObject([
      {
        tenantId: tenant.id,
        userId: user.id,
        resourceType: "llm",
        task: "chat",
        conversationId: null,
        reservationId: expect.any(String),
        quotas: [{ scope: "tenant", limit_usd: 100 }],
      },
    ]);
  });

  it("hears once of a call that is refused, with the quota that refused and why", async () => {
    await fill(100);
    expect((await call()).status).toBe(429);
    await until("the hook", () => told().length > 0);
    expect(told()).toMatchObject([
      { reservationId: null, reason: "limit_reached", quotas: [{ current_spend_usd: 100 }] },
    ]);
  });

  it("hears once of a call that is sent again with its key, and refused again", async () => {
    await fill(100);
    for (let each = 0; each < 2; each++) {
      const headers = { "idempotency-key": `one-${tenant.id}` };
      const json = { task: "chat", maxOutputTokens: 10 };
      expect((await stack.call("/hooked", { user, json, headers })).status).toBe(429);
    }
    await until("both refusals", () => logged("llm_call").length === 2);
    await until("the hook", () => told().length > 0);
    expect(told()).toHaveLength(1);
  });

  it("that throws, or never ends, changes no answer; its error is logged without its words", async () => {
    await fill(90);
    for (const task of ["throws", "hangs"]) {
      const startedAt = Date.now();
      expect((await call(task)).status).toBe(200);
      expect(Date.now() - startedAt).toBeLessThan(5000);
    }
    await until("the hooks", () => told().length === 2);
    await until("the error", () => logged("hook_failed").length === 1);
    expect(JSON.parse(logged("hook_failed")[0] as string)).toMatchObject({
      hook: "onQuotaWarning",
      class: "Error",
    });
    expect(stack.logs.join("\n")).not.toContain("canaryOfHook");
  });
});

const alerts = (kind: string) => stack.sql`
  select kind, subject, facts from spend.alerts where kind = ${kind} and tenant_id = ${tenant.id}`;

describe("The operator is alerted", () => {
  it("of a settle that failed, once for three of them, and the answers came before", async () => {
    await stack.sql`revoke execute on function spend.settle from service_role`;
    try {
      for (let each = 0; each < 3; each++) expect((await call()).status).toBe(200);
      await until("the alert", async () => (await alerts("settle_failed")).length > 0, 20);
      await until("all are given up", () => logged("llm_call").length === 3, 20);
    } finally {
      await stack.sql`grant execute on function spend.settle to service_role`;
    }
    expect([...(await alerts("settle_failed"))]).toEqual([
      {
        kind: "settle_failed",
        subject: "quota_unavailable",
        facts: {
          subject: "quota_unavailable",
          message:
            "A reservation could not be settled: it expires, and is charged at its estimate.",
          details: { operation: "settle", reservation_id: expect.any(String) },
        },
      },
    ]);
  });

  it("of a price that is missing, once for two calls, which are answered with 422", async () => {
    const lab = { model: "openai/never-heard-of", providerOptions: {} };
    for (let each = 0; each < 2; each++) {
      expect((await stack.call("/lab", { user, json: lab })).status).toBe(422);
    }
    await until("the alert", async () => (await alerts("price_missing")).length > 0);
    expect([...(await alerts("price_missing"))]).toMatchObject([
      { subject: "openai/never-heard-of", facts: { message: expect.stringContaining("no price") } },
    ]);
  });

  it("of nothing while report_failure does not answer, and a 422 is a 422", async () => {
    await stack.sql`revoke execute on function spend.report_failure from service_role`;
    try {
      const lab = { model: "openai/another-unheard-of", providerOptions: {} };
      expect((await stack.call("/lab", { user, json: lab })).status).toBe(422);
      await until("the line", () =>
        stack.logs.some((line) => line.includes('"event":"failure_not_reported"')),
      );
    } finally {
      await stack.sql`grant execute on function spend.report_failure to service_role`;
    }
    expect([...(await alerts("price_missing"))]).toEqual([]);
  });
});
