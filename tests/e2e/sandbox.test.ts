// Sandboxes over HTTP, with the stand-in for E2B: what is held and booked, who may use them, and how they fail.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  age,
  ageTo,
  countOf,
  inE2B,
  maintain,
  type Sandbox,
  USD_PER_SECOND,
  usd,
} from "../support/sandboxes.ts";
import { limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack({
    env: {
      SPENDGATE_MAX_RUN_SECONDS: "90",
      SPENDGATE_MAX_CODE_BYTES: "20000",
      SPENDGATE_MAX_OUTPUT_BYTES: "10000",
      SPENDGATE_E2B_TIMEOUT_MS: "3000",
      SPENDGATE_SANDBOX_IDLE_SECONDS: "120",
      SPENDGATE_SANDBOX_WAIT_MS: "2000",
    },
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  stack.sandboxes.reset();
  stack.logs.length = 0;
});

const post = (conversationId: string, more: object = {}, as = user) =>
  stack.call("/sandbox", { user: as, json: { conversationId, ...more } });
const run = (id: string, code: string, more: object = {}, as = user) =>
  stack.call(`/sandbox/${id}/run`, { user: as, json: { code, language: "javascript", ...more } });
const end = (id: string, as = user) => stack.call(`/sandbox/${id}`, { user: as, method: "DELETE" });

async function open(conversationId: string, more: object = {}): Promise<Sandbox> {
  const response = await post(conversationId, more);
  expect([200, 201]).toContain(response.status);
  return (await response.json()) as Sandbox;
}

async function reservations() {
  return await stack.sql`
    select status, estimated_cost_usd, actual_cost_usd, is_estimated from spend.reservations
    where tenant_id = ${tenant.id} order by id`;
}

async function bookings() {
  return await stack.sql`
    select cost_usd, usage, is_estimated, user_id, conversation_id, path_id, task
    from spend.cost_events where tenant_id = ${tenant.id} order by booked_at`;
}

describe("The seconds of a sandbox", () => {
  it("are held for 300 s of 2 vCPU and 0.5 GiB at (2 × 0.000014 + 0.5 × 0.0000045) × 300; killed in its 61st second, 61 s are booked", async () => {
    const sandbox = await open("talk", { pathId: "left", task: "agent:test" });
    expect(await reservations()).toEqual([
      {
        status: "held",
        estimated_cost_usd: "0.009075000000",
        actual_cost_usd: null,
        is_estimated: false,
      },
    ]);
    await ageTo(stack, sandbox, 60);
    expect(await (await end(sandbox.id)).json()).toEqual({
      id: sandbox.id,
      status: "terminated",
    });

    expect(await bookings()).toEqual([
      {
        cost_usd: "0.001845250000",
        usage: expect.objectContaining({ seconds: 61, vcpus: 2, memory_gib: 0.5 }),
        is_estimated: false,
        user_id: user.id,
        conversation_id: "talk",
        path_id: "left",
        task: "agent:test",
      },
    ]);
    expect((await end(sandbox.id)).status).toBe(200);
    expect(await bookings()).toHaveLength(1);
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });

  it("are held once by a second connect, held before an extension, and free while it is paused", async () => {
    const sandbox = await open("talk");
    expect(await open("talk")).toMatchObject({ id: sandbox.id, isNew: false });
    const { endAt: paidUntil } = inE2B(stack, sandbox);
    expect((await run(sandbox.id, "globalThis.n = 1")).status).toBe(200);
    expect(await reservations()).toHaveLength(1);
    // E2B counts from when it hears of it, in whole seconds.
    expect(inE2B(stack, sandbox).endAt - paidUntil).toBeLessThan(1500);
    expect(countOf(stack, "timeout")).toBe(0);

    // Twice its time-out would end the run: it is put off, and held for, to 300 s from then.
    await age(stack, sandbox, 250);
    expect((await run(sandbox.id, "n += 1", { timeoutSeconds: 90 })).status).toBe(200);
    expect(Number((await reservations())[0]?.estimated_cost_usd)).toBeCloseTo(
      551 * USD_PER_SECOND,
      3,
    );
    await age(stack, sandbox, 250);
    expect((await run(sandbox.id, "n += 1", { timeoutSeconds: 90 })).status).toBe(200);
    expect(Number((await reservations())[0]?.estimated_cost_usd)).toBeCloseTo(
      801 * USD_PER_SECOND,
      3,
    );
    expect(countOf(stack, "timeout")).toBe(0);
    const [told] = await stack.sql`
      select expires_at, held_until from spend.execution_contexts where id = ${sandbox.id}`;
    expect(told?.expires_at).toEqual(told?.held_until);

    await age(stack, sandbox, 250);
    expect(await maintain(stack)).toMatchObject({ sandboxes: { paused: 1, failed: 0 } });
    const [first] = await bookings();
    const seconds = Number(first?.usage.seconds);
    const { startedAt, endAt } = inE2B(stack, sandbox);
    expect(seconds).toBeGreaterThanOrEqual(Math.ceil((endAt - startedAt) / 1000));
    expect(seconds).toBeLessThanOrEqual(Math.ceil((endAt - startedAt) / 1000 + 0.5));
    expect(first).toMatchObject({ cost_usd: usd(seconds), is_estimated: false });

    // It resumes with all that it had, on a hold of its own.
    const resumed = await run(sandbox.id, "n += 1");
    expect(await resumed.json()).toMatchObject({ results: [{ text: "4" }], error: null });
    expect(await reservations()).toHaveLength(2);
    await ageTo(stack, sandbox, 9);
    await end(sandbox.id);
    expect((await bookings())[1]).toMatchObject({ cost_usd: usd(10), is_estimated: false });
    expect(await bookings()).toHaveLength(2);
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });

  it("are booked to its time-out when it ends by itself, and the next request gets a new sandbox", async () => {
    const sandbox = await open("talk");
    await age(stack, sandbox, 400);

    const next = await open("talk");

    expect(next).toMatchObject({ isNew: true });
    expect(next.id).not.toBe(sandbox.id);
    expect(await bookings()).toMatchObject([{ cost_usd: usd(300), is_estimated: false }]);
    expect((await run(sandbox.id, "1")).status).toBe(404);
  });

  it("are booked as an estimate when it is lost; its id is gone, and the conversation gets a new one", async () => {
    const sandbox = await open("talk");
    await ageTo(stack, sandbox, 100);
    stack.sandboxes.lose(sandbox.sandboxId);

    const response = await run(sandbox.id, "1");

    expect(response.status).toBe(404);
    expect(await bookings()).toMatchObject([{ cost_usd: usd(101), is_estimated: true }]);
    expect((await open("talk")).id).not.toBe(sandbox.id);
  });

  it("are booked when it is lost while code runs, which gives a 502", async () => {
    const sandbox = await open("talk");
    const running = run(sandbox.id, "for (;;);");
    await until("the code runs", () => countOf(stack, "run") > 0);
    stack.sandboxes.lose(sandbox.sandboxId);

    expect(await (await running).json()).toMatchObject({ error: "upstream_error", stage: "run" });
    expect(await bookings()).toHaveLength(1);
  });
});

describe("Several requests at once", () => {
  it("for a path that is new, twenty of them, create one sandbox, and all get it", async () => {
    stack.sandboxes.fault({ operation: "create", delayMs: 300 });

    const responses = await Promise.all(Array.from({ length: 20 }, () => post("talk")));
    const sandboxes = (await Promise.all(responses.map((each) => each.json()))) as Sandbox[];

    expect(responses.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201]);
    expect(new Set(sandboxes.map(({ sandboxId }) => sandboxId)).size).toBe(1);
    expect(countOf(stack, "create")).toBe(1);
    expect(await reservations()).toHaveLength(1);
  });

  it("for two paths of a conversation get a sandbox each", async () => {
    const [left, right] = await Promise.all([
      open("talk", { pathId: "left" }),
      open("talk", { pathId: "right" }),
    ]);
    expect(left.sandboxId).not.toBe(right.sandboxId);
  });

  it("for a paused sandbox, ten of them, resume it once", async () => {
    const sandbox = await open("talk");
    await age(stack, sandbox, 200);
    await maintain(stack);
    stack.sandboxes.reset();
    stack.sandboxes.fault({ operation: "connect", delayMs: 200 });

    const responses = await Promise.all(Array.from({ length: 10 }, () => run(sandbox.id, "1 + 1")));

    expect(responses.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(countOf(stack, "create")).toBe(0);
    expect(await reservations()).toHaveLength(2);
  });

  it("leave a creator whose claim was taken over to kill and pay for what it made, and to answer with the other sandbox", async () => {
    stack.sandboxes.fault({ operation: "create", delayMs: 1500 });
    const slow = post("talk");
    await until("the slow one has the claim", async () => (await reservations()).length > 0);
    await stack.sql`
      update spend.execution_contexts set claim_expires_at = claimed_at + interval '1 ms'
      where tenant_id = ${tenant.id}`;

    const quick = await open("talk");

    expect(await (await slow).json()).toMatchObject({ id: quick.id, sandboxId: quick.sandboxId });
    expect(countOf(stack, "create")).toBe(2);
    expect(countOf(stack, "kill")).toBe(1);
    expect(await bookings()).toMatchObject([{ cost_usd: usd(1), is_estimated: false }]);
    expect(await reservations()).toMatchObject([{ status: "settled" }, { status: "held" }]);
  });

  it("to end one sandbox, five of them, book its seconds once", async () => {
    const sandbox = await open("talk");

    const responses = await Promise.all(Array.from({ length: 5 }, () => end(sandbox.id)));

    expect(responses.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(await bookings()).toMatchObject([{ cost_usd: usd(1) }]);
    expect(await verifyBalances(stack.sql)).toEqual([]);
  });

  it("that wait in vain are told to come again", async () => {
    // Whoever has the claim takes its time.
    await stack.sql`select spend.claim_context(${tenant.id}, ${user.id}, 'talk', gen_random_uuid())`;

    const response = await post("talk");

    expect(response.status).toBe(409);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await response.json()).toMatchObject({ error: "sandbox_busy" });
    expect(stack.sandboxes.journal).toEqual([]);
  });
});

describe("A quota", () => {
  const say = { messages: [{ role: "user", content: "Hello" }], stream: false };

  it("of e2b that is used up gives a 429 before anything is created, and calls of a model go on", async () => {
    await limitTo(stack.sql, tenant.id, 0.001, "e2b");

    const response = await post("talk");

    expect(response.status).toBe(429);
    expect(await response.json()).toEqual({
      error: "quota_exceeded",
      message: expect.stringContaining("$0.001 per month for e2b"),
      resourceType: "e2b",
      reason: "exceeds_limit",
      stage: "quota_check",
      quotaDetails: {
        scope: "tenant",
        scopeId: tenant.id,
        resourceType: "e2b",
        limitUsd: 0.001,
        currentSpendUsd: 0,
        estimatedCostUsd: 0.009075,
        remainingUsd: 0.001,
        period: "month",
        utilizationPercent: 0,
      },
      retryAfter: null,
    });
    expect(stack.sandboxes.journal).toEqual([]);
    const refused = stack.logs.filter((line) => line.includes('"refused"'));
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatch(/"event":"sandbox".*"quotaId":\d+,"reason":"exceeds_limit"/);
    expect(refused[0]).toContain(`"tenantId":"${tenant.id}","userId":"${user.id}"`);
    expect((await stack.call("/chat", { user, json: say })).status).toBe(200);
  });

  it("of all resources that calls of a model used up refuses a sandbox", async () => {
    await limitTo(stack.sql, tenant.id, 1, "all");
    await stack.sql`select spend.adjust(${tenant.id}, 1, 'used up', 'llm')`;

    const response = await post("talk");

    expect(response.status).toBe(429);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({
      resourceType: "e2b",
      reason: "limit_reached",
      quotaDetails: { resourceType: "all" },
    });
    expect(stack.sandboxes.journal).toEqual([]);
  });

  it("without room for more time gives a 429 at stage extend, as events to who takes nothing else, and a shorter run goes on", async () => {
    const sandbox = await open("talk");
    await age(stack, sandbox, 250);
    await limitTo(stack.sql, tenant.id, 0.01, "e2b");

    const response = await run(sandbox.id, "1", { timeoutSeconds: 90, stream: true });
    expect(response.status).toBe(429);
    expect(await response.json()).toMatchObject({ error: "quota_exceeded", stage: "extend" });

    const events = await stack.call(`/sandbox/${sandbox.id}/run`, {
      user,
      json: { code: "1", language: "javascript", timeoutSeconds: 90, stream: true },
      headers: { accept: "text/event-stream" },
    });
    expect([events.status, events.headers.get("content-type")]).toEqual([429, "text/event-stream"]);
    const [error, done] = (await events.text()).trim().split("\n\n");
    expect(error).toMatch(/^event: error\ndata: {"error":"quota_exceeded".*"stage":"extend"/);
    expect(done).toBe('event: done\ndata: {"status":"quota_exceeded"}');
    expect(countOf(stack, "timeout")).toBe(0);
    expect((await run(sandbox.id, "1", { timeoutSeconds: 20 })).status).toBe(200);
  });

  it("that is not enforced by ENFORCE_E2B_QUOTAS=false refuses nothing, and is booked", async () => {
    const lenient = await startTestStack({ env: { ENFORCE_E2B_QUOTAS: "false" } });
    try {
      const member = await lenient.signUp();
      const { id } = await lenient.createTenant({ members: [member] });
      await lenient.sql`update spend.cost_quotas set limit_usd = 0 where tenant_id = ${id}`;
      const opened = await lenient.call("/sandbox", {
        user: member,
        json: { conversationId: "talk" },
      });
      expect(opened.status).toBe(201);
      const sandbox = (await opened.json()) as Sandbox;
      await lenient.call(`/sandbox/${sandbox.id}`, { user: member, method: "DELETE" });
      const [event] = await lenient.sql`
        select cost_usd from spend.cost_events where tenant_id = ${id}`;
      expect(event?.cost_usd).toBe(usd(1));
    } finally {
      await lenient.stop();
    }
  });
});

describe("A sandbox", () => {
  it("is not found by another tenant's user, by its id or by its conversation", async () => {
    const sandbox = await open("talk");
    const stranger = await stack.signUp();
    await stack.createTenant({ members: [stranger], role: "owner" });

    expect((await run(sandbox.id, "1", {}, stranger)).status).toBe(404);
    expect((await end(sandbox.id, stranger)).status).toBe(404);
    const own = (await (await post("talk", {}, stranger)).json()) as Sandbox;
    expect(own.id).not.toBe(sandbox.id);
    const forced = await post("talk", { tenantId: tenant.id }, stranger);
    expect(forced.status).toBe(403);
    expect(await forced.json()).toMatchObject({ error: "not_a_member", stage: "quota_check" });
    expect(countOf(stack, "kill")).toBe(0);
    expect(countOf(stack, "run")).toBe(0);
  });

  it("is not used by another member, and is used by an admin of the tenant", async () => {
    const sandbox = await open("talk");
    const [member, admin] = [await stack.signUp(), await stack.signUp()];
    await stack.sql`
      insert into spend.tenant_members (tenant_id, user_id, role)
      values (${tenant.id}, ${member.id}, 'member'), (${tenant.id}, ${admin.id}, 'admin')`;

    const refused = await post("talk", {}, member);
    expect(refused.status).toBe(403);
    expect(await refused.json()).toMatchObject({ error: "not_your_sandbox" });
    expect((await run(sandbox.id, "1", {}, member)).status).toBe(404);
    expect((await end(sandbox.id, member)).status).toBe(404);
    expect((await run(sandbox.id, "1", {}, admin)).status).toBe(200);
    expect(await (await post("talk", {}, admin)).json()).toMatchObject({ id: sandbox.id });
    expect((await end(sandbox.id, admin)).status).toBe(200);
  });

  it("is used by nobody without a JWT, and by no member of a closed tenant", async () => {
    expect((await stack.call("/sandbox", { json: { conversationId: "talk" } })).status).toBe(401);
    const sandbox = await open("talk");
    await stack.sql`update spend.tenants set closed_at = now() where id = ${tenant.id}`;

    expect(await (await post("other")).json()).toMatchObject({ error: "tenant_closed" });
    expect(await (await run(sandbox.id, "1")).json()).toMatchObject({ error: "tenant_closed" });
    expect((await end(sandbox.id)).status).toBe(200);
    expect(await bookings()).toHaveLength(1);
  });
});

describe("A request that is not valid", () => {
  it.each([
    ["no conversation", {}, 400],
    ["a key that there is not", { conversationId: "c", sandbox: "x" }, 400],
    ["a time-out above the limit", { conversationId: "c", timeoutSeconds: 3601 }, 400],
    ["no time-out", { conversationId: "c", timeoutSeconds: 0 }, 400],
    ["a template without a size", { conversationId: "c", template: "huge" }, 400],
  ])("is refused when it opens a sandbox with %s", async (_, json, status) => {
    const response = await stack.call("/sandbox", { user, json });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: "invalid_request" });
    expect(stack.sandboxes.journal).toEqual([]);
    expect(await reservations()).toEqual([]);
  });

  it.each([
    ["no code", { code: "" }, 400, "invalid_request"],
    ["a language that there is not", { language: "cobol" }, 400, "invalid_request"],
    ["longer than a run may take", { timeoutSeconds: 91 }, 400, "invalid_request"],
    ["more code than is taken", { code: "é".repeat(10_001) }, 413, "request_too_large"],
    ["a body above all limits", { code: "x".repeat(2_000_000) }, 413, "request_too_large"],
  ])("is refused when it runs code with %s", async (_, more, status, error) => {
    const response = await run(crypto.randomUUID(), "1", more);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error });
  });

  it("is refused for paths and methods that are not there", async () => {
    const id = crypto.randomUUID();
    expect((await run("not-an-id", "1")).status).toBe(404);
    expect((await run(id, "1")).status).toBe(404);
    expect((await end(id)).status).toBe(404);
    expect((await stack.call(`/sandbox/${id}/files`, { user, json: {} })).status).toBe(404);
    expect((await stack.call("/sandbox", { user })).status).toBe(405);
    expect((await stack.call(`/sandbox/${id}`, { user })).status).toBe(405);
  });

  it("is refused with a 422 for a template without a price, and nothing is created", async () => {
    const unpriced = await startTestStack({
      prepare: "delete from spend.prices where resource_type = 'e2b'",
    });
    try {
      const member = await unpriced.signUp();
      await unpriced.createTenant({ members: [member] });
      const json = { conversationId: "talk" };
      const response = await unpriced.call("/sandbox", { user: member, json });
      expect(response.status).toBe(422);
      expect(await response.json()).toMatchObject({ error: "unpriced_product" });
      expect(unpriced.sandboxes.journal).toEqual([]);
    } finally {
      await unpriced.stop();
    }
  });
});

describe("Code that runs", () => {
  it("streams what it prints", async () => {
    const sandbox = await open("talk");
    const response = await run(
      sandbox.id,
      "console.log('first'); await new Promise((r) => setTimeout(r, 1500)); console.log('second')",
      { stream: true },
    );
    const reader = response.body?.getReader();
    const startedAt = Date.now();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    expect(first).toBe('event: stdout\ndata: {"text":"first\\n"}\n\n');
    expect(Date.now() - startedAt).toBeLessThan(1000);
    let rest = "";
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      rest += new TextDecoder().decode(part.value);
    }
    expect(rest).toMatch(
      /^event: stdout\ndata: {"text":"second\\n"}\n\nevent: done\ndata: {"status":"ok","error":null,"isTruncated":false,"seconds":1\.\d+}\n\n$/,
    );
  });

  it("has what it throws as a result", async () => {
    const sandbox = await open("talk");
    const response = await run(sandbox.id, "console.log('before'); nothing.there");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      stdout: "before\n",
      error: { name: "ReferenceError", message: expect.stringContaining("nothing") },
    });
  });

  it("for too long is stopped, with what it had printed, and the sandbox can be used again", async () => {
    const sandbox = await open("talk");
    const response = await run(sandbox.id, "console.log('before'); for (;;);", {
      timeoutSeconds: 1,
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      stdout: "before\n",
      error: { name: "RunTimeout" },
    });
    expect(await (await run(sandbox.id, "1 + 1")).json()).toMatchObject({
      results: [{ text: "2" }],
    });
  });

  it("and prints too much is cut and stopped", async () => {
    const sandbox = await open("talk");
    const response = await run(sandbox.id, "for (;;) console.log('x'.repeat(999))");
    const result = (await response.json()) as { stdout: string; isTruncated: boolean };
    expect(result).toMatchObject({ isTruncated: true, error: null });
    expect(result.stdout).toHaveLength(10_000);
  });
});

describe("A failure says its stage in the answer and in the log", () => {
  const logged = (stage: string) =>
    stack.logs.find((line) => line.includes('"sandbox_failed"') && line.includes(`"${stage}"`));

  it("when E2B refuses to create: nothing ran, and nothing is held", async () => {
    stack.sandboxes.fault({ operation: "create", status: 429 });
    const response = await post("talk");
    expect(response.status).toBe(502);
    expect(response.headers.get("retry-after")).toBe("10");
    expect(await response.json()).toEqual({
      error: "upstream_error",
      message: "The sandbox service is at its limit: Told to fail.",
      stage: "create",
      upstream: { status: 429, message: "Told to fail.", retryAfter: 10 },
      retryAfter: 10,
    });
    expect(logged("create")).toContain("upstream_error");
    expect(await reservations()).toMatchObject([{ status: "released" }]);
    expect((await post("talk")).status).toBe(201);
  });

  it.each([
    ["an error of the server", { status: 500 }],
    ["no answer in time", { delayMs: 3500 }],
  ])("when a create fails by %s: the sandbox may run, so the hold stays", async (_, fault) => {
    stack.sandboxes.fault({ operation: "create", ...fault });
    const response = await post("talk");
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: "upstream_error", stage: "create" });
    expect(await reservations()).toMatchObject([{ status: "held" }]);
    // Sent twice, it might be made twice.
    expect(countOf(stack, "create")).toBeLessThanOrEqual(1);
    expect((await post("talk")).status).toBe(201);
  });

  it.each([
    ["connect", "connect", {}, 3],
    ["extend", "connect", { timeoutSeconds: 90 }, 3],
    ["run", "run", {}, 1],
  ] as const)("%s", async (stage, operation, more, times) => {
    const sandbox = await open("talk");
    if (stage === "extend") await age(stack, sandbox, 250);
    stack.sandboxes.fault({ operation, status: 500, times });
    const response = await run(sandbox.id, "1", more);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: "upstream_error", stage });
    expect(logged(stage)).toBeDefined();
    expect((await run(sandbox.id, "1")).status).toBe(200);
  });

  it("when a sandbox cannot be terminated: it runs on, is held, and can be ended again", async () => {
    const sandbox = await open("talk");
    stack.sandboxes.fault({ operation: "kill", status: 500 });
    const response = await end(sandbox.id);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: "upstream_error", stage: "terminate" });
    expect(logged("terminate")).toBeDefined();
    expect(await reservations()).toMatchObject([{ status: "held" }]);
    expect((await end(sandbox.id)).status).toBe(200);
    expect(await bookings()).toHaveLength(1);
  });

  it("unless the answer to a resume is lost: it is resumed by asking again, on one hold", async () => {
    const sandbox = await open("talk");
    await age(stack, sandbox, 200);
    await maintain(stack);
    stack.sandboxes.fault({ operation: "connect", loseAnswer: true });
    expect((await run(sandbox.id, "1")).status).toBe(200);
    expect(await reservations()).toHaveLength(2);
  });
});
