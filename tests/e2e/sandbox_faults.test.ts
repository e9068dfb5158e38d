// E2B misbehaves in every way that servers were seen to. No sandbox is lost, no sandbox of others is touched, no
// clock and no list is trusted, and what ran is paid for.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  age,
  changesOf,
  countOf,
  endAllSandboxes,
  inE2B,
  living,
  maintain,
  type Sandbox,
  USD_PER_SECOND,
} from "../support/sandboxes.ts";
import { verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";
import { until } from "../support/until.ts";

const PROJECT = "faults-test";

let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  stack = await startTestStack({
    env: {
      SPENDGATE_PROJECT: PROJECT,
      SPENDGATE_E2B_TIMEOUT_MS: "1000",
      SPENDGATE_SANDBOX_IDLE_SECONDS: "120",
      SPENDGATE_SANDBOX_MAX_PAUSED_SECONDS: "3600",
      SPENDGATE_SANDBOX_WAIT_MS: "3000",
    },
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  stack.sandboxes.reset();
  await endAllSandboxes(stack);
  await stack.sql`delete from spend.problems`;
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  stack.logs.length = 0;
});

const post = (conversationId: string, more: object = {}) =>
  stack.call("/sandbox", { user, json: { conversationId, ...more } });
const run = (id: string, code: string, more: object = {}) =>
  stack.call(`/sandbox/${id}/run`, { user, json: { code, language: "javascript", ...more } });
const end = (id: string) => stack.call(`/sandbox/${id}`, { user, method: "DELETE" });
const sleeping = (seconds: number) =>
  `await new Promise((done) => setTimeout(done, ${seconds * 1000})); console.log("slept")`;

async function open(conversationId: string, more: object = {}): Promise<Sandbox> {
  const response = await post(conversationId, more);
  expect([200, 201]).toContain(response.status);
  return (await response.json()) as Sandbox;
}

const changes = async () => changesOf(await maintain(stack));

/** A call of E2B's API that did not come through the gate. */
const api = (method: string, path: string, body?: object) =>
  fetch(`${stack.sandboxes.url}${path}`, {
    method,
    headers: { "x-api-key": "e2b_other" },
    body: body && JSON.stringify(body),
  });

const ends = (sandbox: Sandbox) => (inE2B(stack, sandbox).endAt - Date.now()) / 1000;

async function context({ id }: { id: string }) {
  const [row] = await stack.sql`
    select *, extract(epoch from expires_at - now())::float as ends_in from spend.execution_contexts where id = ${id}`;
  return row as Record<string, unknown> & { ends_in: number; status: string };
}

/** Seconds that are booked for the tenant, and whether any booking is flagged. */
async function booked() {
  const [row] = await stack.sql`
    select coalesce(sum((usage ->> 'seconds')::int), 0)::int as seconds, coalesce(bool_or(is_estimated), false) as is_estimated,
      coalesce(sum(cost_usd), 0)::float as usd
    from spend.cost_events where tenant_id = ${tenant.id}`;
  return row as { seconds: number; is_estimated: boolean; usd: number };
}

const problems = async () => [
  ...(await stack.sql`select job, subject, message from spend.problems where resolved_at is null`),
];

async function expectBalanced(): Promise<void> {
  expect(await verifyBalances(stack.sql)).toEqual([]);
}

async function expectRan(response: Response): Promise<void> {
  expect([response.status, await response.json()]).toMatchObject([200, { stdout: "slept\n" }]);
}

describe("Deadlines", () => {
  it.each([
    ["as E2B does", {}],
    ["shortening on connect", { shortensOnConnect: true }],
  ])(
    "of two runs of 4 s and 1 s in a sandbox of 5 s, %s, are kept: the short run does not end the long one",
    async (_, rudeness) => {
      stack.sandboxes.rude(rudeness);
      const sandbox = await open("talk", { timeoutSeconds: 5 });
      const long = run(sandbox.id, sleeping(4), { timeoutSeconds: 8 });
      await until("the long one runs", () => countOf(stack, "run") === 1);
      const endAt = inE2B(stack, sandbox).endAt;
      await run(sandbox.id, "1", { timeoutSeconds: 1 });
      expect(inE2B(stack, sandbox).endAt).toBeGreaterThanOrEqual(endAt - 100);
      await expectRan(await long);
    },
  );

  it("that a server shortens, when a longer connect overtakes a shorter one, are put off again", async () => {
    const sandbox = await open("talk", { timeoutSeconds: 20 });
    stack.sandboxes.rude({ shortensOnConnect: true });
    await age(stack, sandbox, 6);
    // A needs no more time, and its connect is on its way for 800 ms.
    stack.sandboxes.fault({ operation: "connect", delayMs: 800 });
    const a = run(sandbox.id, "1", { timeoutSeconds: 1 });
    await until("A is on its way", async () => (await context(sandbox)).in_use_until !== null);
    const b = run(sandbox.id, sleeping(3), { timeoutSeconds: 60 });
    await a;
    await expectRan(await b);
    expect(ends(sandbox)).toBeGreaterThan(55);
  });

  it("that E2B fails to extend are not believed: the next run asks again and lives", async () => {
    const sandbox = await open("talk", { timeoutSeconds: 20 });
    await age(stack, sandbox, 17);
    stack.sandboxes.fault({ operation: "connect", status: 500, times: 3 });
    const failed = await run(sandbox.id, "1", { timeoutSeconds: 5 });
    expect(await failed.json()).toMatchObject({ error: "upstream_error", stage: "extend" });
    expect((await context(sandbox)).ends_in).toBeLessThan(3);

    await expectRan(await run(sandbox.id, sleeping(3), { timeoutSeconds: 5 }));
    expect((await context(sandbox)).ends_in).toBeGreaterThan(10);
    await end(sandbox.id);
    expect(await booked()).toMatchObject({ is_estimated: false });
    await expectBalanced();
  });

  it("whose extension nobody heard of again are put off by maintenance", async () => {
    const sandbox = await open("talk", { timeoutSeconds: 20 });
    await age(stack, sandbox, 17);
    await stack.sql`select spend.use_context(${sandbox.id}, ${user.id}, gen_random_uuid(), 15)`;
    expect(ends(sandbox)).toBeLessThan(3);

    expect(await changes()).toEqual({ putOff: 1 });
    expect(ends(sandbox)).toBeGreaterThan(15);
    expect((await context(sandbox)).ends_in).toBeGreaterThan(15);
    expect(await changes()).toEqual({});
  });

  it("before the end of an admitted run are put off by maintenance, which kills nothing that is in use", async () => {
    const sandbox = await open("talk", { timeoutSeconds: 60 });
    const long = run(sandbox.id, sleeping(5), { timeoutSeconds: 40 });
    await until("it runs", () => countOf(stack, "run") === 1);
    await api("POST", `/sandboxes/${sandbox.sandboxId}/timeout`, { timeout: 3 });

    expect(await changes()).toEqual({ putOff: 1 });
    expect(ends(sandbox)).toBeGreaterThan(35);
    await expectRan(await long);
  });

  it("of at most 8 s in one go refuse a run of 20 s before it starts, and let one of 1 s go on", async () => {
    stack.sandboxes.rude({ maxLifeSeconds: 12 });
    const sandbox = await open("talk", { timeoutSeconds: 10 });
    const refused = await run(sandbox.id, "1", { timeoutSeconds: 20 });
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({ error: "sandbox_life_ends", stage: "extend" });
    expect(countOf(stack, "run")).toBe(0);
    expect((await run(sandbox.id, "1", { timeoutSeconds: 1 })).status).toBe(200);
    await end(sandbox.id);
    await expectBalanced();
  });

  it("that one user asked for late do not move back what another has put off", async () => {
    const sandbox = await open("talk", { timeoutSeconds: 20 });
    await age(stack, sandbox, 12);
    // A's look before it connects is quick, the one after it is answered 900 ms late.
    let looks = 0;
    stack.sandboxes.weather((operation) => {
      if (operation !== "get") return undefined;
      return ++looks === 2 ? { answerDelayMs: 900 } : undefined;
    });
    const a = run(sandbox.id, "1", { timeoutSeconds: 3 });
    await until("A has asked", () => looks === 2);
    const b = run(sandbox.id, "1", { timeoutSeconds: 60 });
    await Promise.all([a, b]);
    stack.sandboxes.weather(undefined);
    const { ends_in } = await context(sandbox);
    expect(ends_in).toBeGreaterThan(55);
    expect(ends(sandbox)).toBeGreaterThan(55);
  });
});

describe("A sandbox that is paused", () => {
  it.each([
    ["by E2B's dashboard", {}],
    ["and resumes with a time-out of 1 s of the server's own", { resumesForSeconds: 1 }],
    ["and still tells its first start", { keepsFirstStart: true }],
  ])(
    "while the database says that it runs, %s, is used and not destroyed, and its pause is free",
    async (_, rudeness) => {
      const sandbox = await open("talk", { timeoutSeconds: 60 });
      await run(sandbox.id, "globalThis.n = 41");
      await api("POST", `/sandboxes/${sandbox.sandboxId}/pause`);
      const ranMs = stack.sandboxes.ranMs(sandbox.sandboxId);
      stack.sandboxes.rude(rudeness);
      await age(stack, sandbox, 20);

      const response = await run(sandbox.id, `n += 1; ${sleeping(2)}; return n`, {
        timeoutSeconds: 5,
      });
      expect([response.status, await response.json()]).toMatchObject([
        200,
        { results: [{ text: "42" }] },
      ]);
      await end(sandbox.id);
      const ran = [ranMs, stack.sandboxes.ranMs(sandbox.sandboxId) - ranMs];
      const { seconds } = await booked();
      expect(seconds).toBeGreaterThanOrEqual(
        Math.ceil(ran.reduce((sum, ms) => sum + ms, 0) / 1000),
      );
      expect(seconds).toBeLessThanOrEqual(
        ran.reduce((sum, ms) => sum + Math.ceil(ms / 1000) + 1, 0),
      );
      await expectBalanced();
    },
  );

  it("and is found gone once, but is there, is connected to all the same", async () => {
    const sandbox = await open("talk");
    await run(sandbox.id, "globalThis.n = 41");
    stack.sandboxes.fault({ operation: "connect", status: 404 });
    expect(await (await run(sandbox.id, "n + 1")).json()).toMatchObject({
      results: [{ text: "42" }],
    });
    stack.sandboxes.fault({ operation: "connect", status: 409 });
    stack.sandboxes.fault({ operation: "get", status: 404 });
    expect(await (await run(sandbox.id, "n + 1")).json()).toMatchObject({
      results: [{ text: "42" }],
    });
  });

  it("and is found gone, though it is there or E2B does not say so, gives a 502 to try again, and then its state", async () => {
    const sandbox = await open("talk");
    await run(sandbox.id, "globalThis.n = 41");
    for (const look of ["there", "unknown"]) {
      stack.sandboxes.weather((operation) => {
        if (operation === "connect") return { status: 404 };
        return look === "unknown" && operation === "list" ? { status: 500 } : undefined;
      });
      const failed = await run(sandbox.id, "n + 1");
      expect([look, failed.status]).toEqual([look, 502]);
      expect(await failed.json()).toMatchObject({
        error: "upstream_error",
        upstream: { status: 404 },
      });
    }
    stack.sandboxes.weather(undefined);
    expect(await (await run(sandbox.id, "n + 1")).json()).toMatchObject({
      results: [{ text: "42" }],
    });
    await expectBalanced();
  });

  it("and cannot be resumed gives a 502 at once each time, and can be ended and begun anew", async () => {
    const sandbox = await open("talk");
    await age(stack, sandbox, 200);
    expect(await changes()).toEqual({ paused: 1 });
    stack.sandboxes.fault({ operation: "connect", status: 500, times: 12 });
    for (const again of [1, 2]) {
      const startedAt = performance.now();
      const failed = await run(sandbox.id, "1");
      expect([again, failed.status]).toEqual([again, 502]);
      expect(await failed.json()).toMatchObject({ stage: "connect" });
      expect(performance.now() - startedAt).toBeLessThan(3000);
    }
    // Nobody can tell whether it was resumed.
    stack.sandboxes.fault({ operation: "get", status: 500, times: 20 });
    expect((await run(sandbox.id, "1")).status).toBe(502);
    expect((await run(sandbox.id, "1")).status).toBe(502);
    expect((await end(sandbox.id)).status).toBe(200);
    stack.sandboxes.reset();
    expect((await open("talk")).isNew).toBe(true);
    await expectBalanced();
  });

  it("for longer than it may ends, at E2B and in the database", async () => {
    const sandbox = await open("talk");
    await age(stack, sandbox, 200);
    await changes();
    await age(stack, sandbox, 3500);
    expect(await changes()).toEqual({});
    await age(stack, sandbox, 200);

    expect(await changes()).toEqual({ endedPaused: 1 });
    expect(inE2B(stack, sandbox).state).toBe("ended");
    expect(await context(sandbox)).toMatchObject({
      status: "terminated",
      end_reason: "paused_too_long",
    });
    expect((await open("talk")).isNew).toBe(true);
  });

  it("and that no context has is ended by maintenance, however many pages there are before it", async () => {
    const ids: string[] = [];
    for (let index = 0; index < 7; index++) {
      const sandbox = await open(`talk ${index}`);
      await age(stack, sandbox, 200);
      ids.push(sandbox.id);
    }
    expect(await changes()).toEqual({ paused: 7 });
    await stack.sql`
      update spend.execution_contexts set status = 'terminated', ended_at = now(), paused_at = null
      where id = ${ids[6] as string}`;
    stack.sandboxes.rude({ pageSize: 1 });
    // Two pages in each run.
    const rounds = [await changes(), await changes(), await changes(), await changes()];
    expect(rounds.filter(({ strays }) => strays === 1)).toHaveLength(1);
    expect(living(stack)).toHaveLength(6);
  });
});

describe("Somebody else's sandbox", () => {
  const made = async (metadata: Record<string, string> | null) => {
    const json = { templateID: "base", timeout: 300, metadata };
    const response = await api("POST", "/v2/sandboxes", json);
    return ((await response.json()) as { sandboxID: string }).sandboxID;
  };

  it("in a list that is not filtered is not touched, and neither is one that says nothing", async () => {
    const others = [
      await made({ spendgate: "another", tenant_id: tenant.id }),
      await made({}),
      await made(null),
    ];
    const paused = await made({ spendgate: "another" });
    await api("POST", `/sandboxes/${paused}/pause`);
    await made({ spendgate: PROJECT, tenant_id: tenant.id, template: "base" });
    stack.sandboxes.rude({ ignoresMetadata: true, ignoresState: true });

    expect(await changes()).toEqual({ strays: 1 });
    expect(living(stack).map(({ id }) => id)).toEqual([...others, paused]);
    expect(await changes()).toEqual({});
  });

  it("is not taken for the sandbox of a claim that died", async () => {
    const other = await made({
      spendgate: PROJECT,
      tenant_id: tenant.id,
      context_id: crypto.randomUUID(),
    });
    stack.sandboxes.fault({ operation: "create", status: 500 });
    await post("talk");
    stack.sandboxes.rude({ ignoresMetadata: true });
    await stack.sql`
      update spend.execution_contexts set claimed_at = claimed_at - interval '80 s', claim_expires_at = now() - interval '1 s'
      where tenant_id = ${tenant.id}`;
    expect(await changes()).toEqual({ resolved: 1, strays: 1 });
    expect(inE2B(stack, { sandboxId: other }).state).toBe("ended");
    await expectBalanced();
  });

  it("in a list that repeats its page for ever is left, and the rest is done", async () => {
    await made({ spendgate: PROJECT, tenant_id: tenant.id, template: "base" });
    stack.sandboxes.rude({ repeatsPageToken: true });
    expect(await changes()).toEqual({ strays: 1 });
    expect(countOf(stack, "list")).toBeLessThan(8);
    expect(await problems()).toMatchObject([{ job: "reconcile", subject: "list" }]);
  });
});

describe("What E2B says", () => {
  it.each([30, -30, 3600, -3600])(
    "while its clock is %d s ahead is booked by ours, as an estimate, and the sandbox can be used",
    async (clockSkewSeconds) => {
      stack.sandboxes.rude({ clockSkewSeconds });
      const sandbox = await open("talk", { timeoutSeconds: 30 });
      await expectRan(await run(sandbox.id, sleeping(1), { timeoutSeconds: 20 }));
      expect(await changes()).toEqual({});
      expect((await end(sandbox.id)).status).toBe(200);
      const ran = stack.sandboxes.ranMs(sandbox.sandboxId) / 1000;
      const { seconds, is_estimated } = await booked();
      expect(seconds).toBeGreaterThanOrEqual(Math.ceil(ran));
      expect(seconds).toBeLessThanOrEqual(Math.ceil(ran) + 1);
      expect(is_estimated).toBe(true);
      expect(await problems()).toMatchObject([{ job: "sandboxes", subject: "clock" }]);
      await expectBalanced();
    },
  );

  it.each([
    ["a start of an hour ago", { startedAt: new Date(Date.now() - 3_600_000).toISOString() }],
    ["an end of the past", { endAt: new Date(Date.now() - 60_000).toISOString() }],
    ["an end that is no time", { endAt: "soon" }],
    ["no times", { startedAt: null, endAt: null }],
    ["-1 vCPU", { cpuCount: -1, memoryMB: -1 }],
    ["0 vCPU", { cpuCount: 0, memoryMB: 0 }],
    ["2.5 vCPU", { cpuCount: 2.5, memoryMB: "512" }],
    ["no size", { cpuCount: null, memoryMB: null }],
    ["no metadata", { metadata: null }],
    ["a state that there is not", { state: "dreaming" }],
  ])(
    "without facts (%s) is no hindrance: the sandbox is used, ended and booked by what is known",
    async (_, facts) => {
      stack.sandboxes.rude({ facts });
      const sandbox = await open("talk", { timeoutSeconds: 30 });
      await expectRan(await run(sandbox.id, sleeping(0.2), { timeoutSeconds: 20 }));
      await changes();
      expect(inE2B(stack, sandbox).state).toBe("running");
      expect((await end(sandbox.id)).status).toBe(200);
      const ran = stack.sandboxes.ranMs(sandbox.sandboxId) / 1000;
      const { seconds, usd } = await booked();
      expect(seconds).toBeGreaterThanOrEqual(Math.ceil(ran));
      expect(seconds).toBeLessThanOrEqual(Math.ceil(ran) + 1);
      expect(usd).toBeCloseTo(seconds * USD_PER_SECOND, 9);
      await expectBalanced();
    },
  );

  it("of 8 vCPU and 16 GiB, where the template says 2 and 0.5, is held, or ended where there is no room", async () => {
    stack.sandboxes.rude({ size: { cpuCount: 8, memoryMB: 16_384 } });
    const rate = 8 * 0.000014 + 16 * 0.0000045;
    const sandbox = await open("talk", { timeoutSeconds: 60 });
    const [held] = await stack.sql`
      select estimated_cost_usd::float as usd from spend.reservations where tenant_id = ${tenant.id}`;
    expect(held?.usd).toBeCloseTo(60 * rate, 9);
    expect(await problems()).toMatchObject([
      { job: "sandboxes", subject: "template code-interpreter-v1" },
    ]);
    await end(sandbox.id);

    await stack.sql`
      update spend.cost_quotas set limit_usd = 0.005 where tenant_id = ${tenant.id} and resource_type = 'e2b'`;
    const refused = await post("other", { timeoutSeconds: 60 });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: "quota_exceeded", stage: "quota_check" });
    expect(living(stack)).toEqual([]);
    expect((await booked()).usd).toBeCloseTo((await booked()).seconds * rate, 9);
    await expectBalanced();
  });

  it("under another id than was asked for runs no code, and what was made is ended", async () => {
    const sandbox = await open("talk");
    await run(sandbox.id, "globalThis.n = 41");
    stack.sandboxes.rude({ connectsToAnother: true });
    expect(await (await run(sandbox.id, "1")).json()).toMatchObject({
      error: "upstream_error",
      stage: "connect",
    });
    expect(countOf(stack, "run")).toBe(1);
    stack.sandboxes.rude({});
    expect(await (await run(sandbox.id, "n + 1")).json()).toMatchObject({
      results: [{ text: "42" }],
    });
    expect(await changes()).toEqual({ strays: 1 });
    expect(living(stack).map(({ id }) => id)).toEqual([sandbox.sandboxId]);
    // The user who had the sandbox pays for what was made in its place; in parts, where it is seen more than once.
    const events = await stack.sql`
      select distinct user_id, metadata ? 'stray_sandbox_id' as is_stray
      from spend.cost_events where tenant_id = ${tenant.id}`;
    expect([...events]).toEqual([{ user_id: user.id, is_stray: true }]);
    await expectBalanced();
  });

  it("by 204 to a kill that it does not do is not believed: the sandbox is found, killed and paid for", async () => {
    const sandbox = await open("talk");
    stack.sandboxes.rude({ ignoresKill: true });
    expect((await end(sandbox.id)).status).toBe(200);
    await new Promise((done) => setTimeout(done, 1200));
    await changes();
    stack.sandboxes.rude({});
    await changes();
    expect(living(stack)).toEqual([]);
    const ran = stack.sandboxes.ranMs(sandbox.sandboxId) / 1000;
    expect((await booked()).seconds).toBeGreaterThanOrEqual(Math.ceil(ran));
    await expectBalanced();
  });
});

describe("A call of E2B is sent once", () => {
  it("when the connection breaks before the answer to create, connect and kill: none is sent again unasked", async () => {
    // Each time on a connection that is kept from the call before.
    const sandbox = await open("warm");
    stack.sandboxes.fault({ operation: "kill", loseAnswer: true });
    expect((await end(sandbox.id)).status).toBe(502);
    expect(countOf(stack, "kill")).toBe(1);
    await open("warm, too");
    stack.sandboxes.fault({ operation: "create", loseAnswer: true });
    expect((await post("talk")).status).toBe(502);
    expect(countOf(stack, "create")).toBe(3);
  });

  it.each([408, 499])(
    "when a gateway's %d answers a create: the sandbox may have been made, so the hold stays",
    async (status) => {
      stack.sandboxes.fault({ operation: "create", status, appliesAfterMs: 200 });
      expect((await post("talk")).status).toBe(502);
      const [held] = await stack.sql`
      select status from spend.reservations where tenant_id = ${tenant.id}`;
      expect(held?.status).toBe("held");
      await until("it is made", () => living(stack).length === 1);
      await stack.sql`
      update spend.execution_contexts set claim_expires_at = now() where tenant_id = ${tenant.id}`;
      expect(await changes()).toEqual({ orphans: 1 });
      expect(living(stack)).toEqual([]);
      await expectBalanced();
    },
  );

  it("when a pause fails here and happens there, after a run has begun: the sandbox is kept", async () => {
    const sandbox = await open("talk");
    await run(sandbox.id, "globalThis.n = 41");
    await age(stack, sandbox, 250);
    stack.sandboxes.fault({ operation: "pause", status: 504, appliesAfterMs: 300 });
    expect(await changes()).toEqual({ failed: 1 });
    await until("it is paused", () => inE2B(stack, sandbox).state === "paused");
    await stack.sql`update spend.execution_contexts set pause_claimed_until = now() where id = ${sandbox.id}`;
    expect(await (await run(sandbox.id, "n + 1")).json()).toMatchObject({
      results: [{ text: "42" }],
    });
    expect(await booked()).toMatchObject({ is_estimated: false });
    await expectBalanced();
  });
});

describe("The operator is alerted", () => {
  const alerts = async (kind: string) => [
    ...(await stack.sql`
      select subject, facts from spend.alerts where kind = ${kind} and tenant_id = ${tenant.id}`),
  ];

  /** Does work while the database refuses a function. */
  async function without(name: string, work: () => Promise<void>): Promise<void> {
    const role = stack.sql`service_role`;
    await stack.sql`revoke execute on function ${stack.sql(`spend.${name}`)} from ${role}`;
    try {
      await work();
    } finally {
      await stack.sql`grant execute on function ${stack.sql(`spend.${name}`)} to ${role}`;
    }
  }

  const unsettled = (details: object) => [
    {
      subject: "quota_unavailable",
      facts: {
        subject: "quota_unavailable",
        message: "What a sandbox cost could not be booked: maintenance tries again every minute.",
        details: { operation: "settle", ...details },
      },
    },
  ];

  it("of a sandbox whose end could not be booked, once for its user's end and maintenance's, which books it later", async () => {
    const { id } = await open("talk");
    await without("end_context", async () => {
      const ended = await end(id);
      expect([ended.status, await ended.json()]).toMatchObject([503, { stage: "settle" }]);
      await until("the alert", async () => (await alerts("settle_failed")).length > 0);
      expect(await changes()).toEqual({ failed: 1 });
    });
    expect(await alerts("settle_failed")).toEqual(unsettled({ context_id: id }));
    expect(await changes()).toEqual({ lost: 1 });
    await expectBalanced();
  });

  it("of a sandbox that is lost, and that reconciliation could not book", async () => {
    const { id, sandboxId } = await open("talk");
    stack.sandboxes.lose(sandboxId);
    await without("end_context", async () => {
      expect(await changes()).toEqual({ failed: 1 });
      await until("the alert", async () => (await alerts("settle_failed")).length > 0);
    });
    expect(await alerts("settle_failed")).toEqual(unsettled({ context_id: id }));
  });

  it("of a stray that could not be booked", async () => {
    const { id, sandboxId } = await open("talk");
    await stack.sql`
      update spend.execution_contexts set status = 'terminated', ended_at = now(), booked_at = now() where id = ${id}`;
    await without("book_stray_sandbox", async () => {
      await maintain(stack);
      await until("the alert", async () => (await alerts("settle_failed")).length > 0);
    });
    expect(await alerts("settle_failed")).toEqual(unsettled({ sandbox_id: sandboxId }));
  });

  it("of a sandbox that has no price, once for two, which are answered with 422", async () => {
    // Prices that were used cannot be deleted.
    await stack.sql`alter table spend.prices disable trigger protect_used_prices`;
    await stack.sql`delete from spend.prices where resource_type = 'e2b'`;
    await stack.sql`alter table spend.prices enable trigger protect_used_prices`;
    for (const conversationId of ["one", "two"]) {
      const opened = await post(conversationId);
      expect([opened.status, await opened.json()]).toMatchObject([
        422,
        { error: "unpriced_product", stage: "quota_check" },
      ]);
    }
    await until("the alert", async () => (await alerts("price_missing")).length > 0);
    expect(await alerts("price_missing")).toMatchObject([
      { facts: { message: expect.stringContaining("no price") } },
    ]);
    expect(await alerts("settle_failed")).toEqual([]);
  });
});
