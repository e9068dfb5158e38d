// What runs print, and how they are stopped, when the interpreter fails in the ways that its users report.
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RunFault } from "../../scripts/stack/sandbox_interpreter.ts";
import { startTestStack, type TestStack, type TestUser } from "../support/stack.ts";
import { until } from "../support/until.ts";

const LIMIT = 100_000;

let stack: TestStack;
let user: TestUser;

beforeAll(async () => {
  stack = await startTestStack({
    env: {
      SPENDGATE_MAX_OUTPUT_BYTES: String(LIMIT),
      SPENDGATE_E2B_TIMEOUT_MS: "2000",
      SPENDGATE_SANDBOX_WAIT_MS: "500",
    },
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  await stack.createTenant({ members: [user] });
  stack.sandboxes.reset();
  stack.logs.length = 0;
});

interface Answer {
  status: number;
  bytes: number;
  ms: number;
  body: Record<string, unknown>;
}

async function open(as = user): Promise<string> {
  const response = await stack.call("/sandbox", { user: as, json: { conversationId: "talk" } });
  return ((await response.json()) as { id: string }).id;
}

const post = (id: string, code: string, more: object = {}, init: RequestInit = {}, as = user) =>
  stack.call(`/sandbox/${id}/run`, {
    user: as,
    json: { code, language: "javascript", ...more },
    ...init,
  });

async function run(id: string, code: string, more: object = {}, as = user): Promise<Answer> {
  const startedAt = performance.now();
  const response = await post(id, code, more, {}, as);
  const text = await response.text();
  const ms = performance.now() - startedAt;
  return { status: response.status, bytes: Buffer.byteLength(text), ms, body: JSON.parse(text) };
}

/** The sandbox of the run of this number is gone, some time after it began. */
async function loseSandboxOfRun(count: number): Promise<void> {
  const { sandboxId } = await until("the code runs", () => runs()[count - 1]);
  await pause(500);
  stack.sandboxes.lose(sandboxId as string);
}

const goesWrong = (fault: RunFault) => stack.sandboxes.fault({ operation: "run", run: fault });
const runs = () => stack.sandboxes.journal.filter(({ operation }) => operation === "run");
const restarts = () =>
  stack.sandboxes.journal.filter(({ operation }) => operation === "restart").length;
const line = (event: object) => `${JSON.stringify(event)}\n`;
const BEGUN = line({ type: "number_of_executions", execution_count: 1 });
const sleep = (ms: number) => `await new Promise((r) => setTimeout(r, ${ms}))`;
const logged = (event: string) => stack.logs.filter((each) => each.includes(`"event":"${event}"`));

/** The first run's connection is closed within a second of its begin. */
async function closedSoon(): Promise<void> {
  const [first] = runs();
  await until("the run's connection is closed", () => first?.closedAt !== undefined);
  expect(Number(first?.closedAt) - Number(first?.at)).toBeLessThan(1000);
}

describe("Output without an end is cut, the code stopped, and nobody else waits", () => {
  const big = "x".repeat(50_000);

  it.each<[string, RunFault]>([
    ["stdout", { says: [BEGUN, line({ type: "stdout", text: big })], repeats: true }],
    ["stderr", { says: [BEGUN, line({ type: "stderr", text: big })], repeats: true }],
    ["results", { says: [BEGUN, line({ type: "result", text: big })], repeats: true }],
    ["charts", { says: [BEGUN, line({ type: "result", text: "", png: big })], repeats: true }],
    [
      "empty pieces",
      { says: [BEGUN, line({ type: "stdout", text: "" }).repeat(500)], repeats: true },
    ],
    ["signs of life", { says: [line({ type: "keepalive" }).repeat(500)], repeats: true }],
    ["an error's message", { says: ['{"type":"error","name":"E","value":"', big], repeats: true }],
    ["a key", { says: ['{"type":"stdout","text', big], repeats: true }],
    ["a line of 50 MB", { lineBytes: 50_000_000 }],
    ["a traceback of 10 MB", { tracebackBytes: 10_000_000 }],
  ])("when it is %s", async (channel, fault) => {
    const other = await stack.signUp();
    await stack.createTenant({ members: [other] });
    const [id, theirs] = await Promise.all([open(), open(other)]);
    await run(theirs, "1", {}, other);
    goesWrong(fault);

    const running = run(id, "flood()");
    await until("the flood runs", () => runs().length >= 2);
    const beside = await run(theirs, "1 + 1", {}, other);
    const answer = await running;
    const next = await run(id, "1 + 1");

    expect(beside.body).toMatchObject({ results: [{ text: "2" }] });
    expect(beside.ms).toBeLessThan(1000);
    if (channel === "a key") {
      expect(answer).toMatchObject({
        status: 502,
        body: { error: "upstream_error", stage: "run" },
      });
    } else {
      expect(answer.body).toMatchObject({
        isTruncated: true,
        notice: expect.stringMatching(/^The output is limited to 100000 bytes\. Left out: /),
      });
    }
    expect(answer.bytes).toBeLessThan(LIMIT + 2000);
    expect(answer.ms).toBeLessThan(2000);
    const flood = stack.sandboxes.journal.filter(({ operation }) => operation === "run")[1];
    await until("the flood is closed", () => flood?.closedAt !== undefined);
    expect(Number(flood?.closedAt) - Number(flood?.at)).toBeLessThan(1000);
    expect(next.body).toMatchObject({ results: [{ text: "2" }], error: null });
    expect(next.ms).toBeLessThan(1000);
  });

  it("so of one print of 150 KB the first 100,000 bytes are shown", async () => {
    const id = await open();
    const { body } = await run(id, "console.log('x'.repeat(150_000))");
    expect(body.stdout).toBe("x".repeat(LIMIT));
  });

  it("so a stream has at most 2 KB more than the limit, and done says what is left out", async () => {
    const id = await open();
    const response = await post(id, "for (;;) console.log('x')", { stream: true });
    const text = await response.text();
    expect(Buffer.byteLength(text)).toBeLessThan(LIMIT + 2000);
    expect(text).toMatch(
      /event: done\ndata: {"status":"ok",.*"isTruncated":true,.*"notice":"The output/,
    );
  });
});

describe("A run that is stopped", () => {
  it("in time keeps its variables, and what it goes on with prints nothing", async () => {
    const id = await open();
    const code = `globalThis.n = 41; for (;;) { console.log("x"); ${sleep(20)} }`;
    const stopped = await run(id, code, { timeoutSeconds: 1 });
    expect(stopped.body.error).toEqual({
      name: "RunTimeout",
      message: "The code had not ended after 1 s, and was stopped.",
      traceback: null,
    });
    expect(stopped.body.stdout).toMatch(/^(x\n)+$/);
    expect(stopped.body.state).toBeUndefined();

    const next = await run(id, "n + 1");
    expect(next.body).toMatchObject({ stdout: "", results: [{ text: "42" }] });
    expect(next.ms).toBeLessThan(1000);
    expect(restarts()).toBe(0);
  });

  it.each([
    ["flood", "for (;;) console.log('x'.repeat(1000))", {}],
    ["silence", "for (;;);", { timeoutSeconds: 1 }],
  ])(
    "where closing the connection is not noticed is ended by a restart after a %s, and that is said",
    async (_, code, more) => {
      const id = await open();
      await run(id, "globalThis.n = 1");
      goesWrong({ ignoresClose: true });

      const stopped = await run(id, code, more);
      const next = await run(id, "typeof n === 'undefined' ? 2 : 0");

      expect(stopped.body).toMatchObject({ state: "restarted" });
      expect(restarts()).toBe(1);
      expect(next.body).toMatchObject({ results: [{ text: "2" }] });
      expect(next.ms).toBeLessThan(1000);
    },
  );

  it.each([
    ["JSON", {}],
    ["a stream", { stream: true }],
  ])(
    "because its client has gone, who waited for %s, ends within a second when it prints nothing",
    async (_, more) => {
      const id = await open();
      await run(id, "1");
      stack.sandboxes.journal.length = 0;
      const client = new AbortController();
      const running = post(id, sleep(30_000), more, { signal: client.signal }).then((response) =>
        response.text(),
      );
      running.catch(() => {});
      await until("the code runs", () => runs().length > 0);
      client.abort();

      const next = await run(id, "1 + 1");
      await closedSoon();
      expect(next.body).toMatchObject({ results: [{ text: "2" }] });
      expect(next.ms).toBeLessThan(1000);
    },
  );

  it("does not stop another run that waits in the same sandbox", async () => {
    const id = await open();
    const stopped = run(id, `globalThis.n = 1; ${sleep(20_000)}`, { timeoutSeconds: 1 });
    await until("the first one runs", () => runs().length === 1);
    const second = run(id, `${sleep(1500)}; n + 1`, { timeoutSeconds: 10 });

    expect((await stopped).body).toMatchObject({ error: { name: "RunTimeout" } });
    expect((await second).body).toMatchObject({ results: [], error: null });
    expect(restarts()).toBe(0);
  });

  it("does not restart what a run of another worker may have come to since", async () => {
    const id = await open();
    goesWrong({ ignoresClose: true });
    const stopped = run(id, "for (;;);", { timeoutSeconds: 1 });
    await until("it runs", () => runs().length === 1);
    await stack.sql`update spend.execution_contexts set runs = runs + 1 where id = ${id}`;

    expect((await stopped).body).toMatchObject({ error: { name: "RunTimeout" } });
    expect(restarts()).toBe(0);
  });

  it("before it began, because others ran all the time, gives a 409 sandbox_busy and not RunTimeout", async () => {
    const id = await open();
    const first = run(id, sleep(3000), { timeoutSeconds: 10 });
    await until("the first one runs", () => runs().length === 1);

    const second = await run(id, "globalThis.ran = true", { timeoutSeconds: 1 });

    expect(second).toMatchObject({ status: 409, body: { error: "sandbox_busy", stage: "run" } });
    expect((await first).body).toMatchObject({ error: null });
    expect((await run(id, "'ran' in globalThis")).body).toMatchObject({
      results: [{ text: "false" }],
    });
  });
});

describe("An interpreter that goes wrong", () => {
  it("and gives no headers leads to a 502 within its time, however short the run's own is", async () => {
    const id = await open();
    goesWrong({ isSilent: true });
    const { status, body, ms } = await run(id, "1", { timeoutSeconds: 1 });
    expect([status, body]).toEqual([
      502,
      expect.objectContaining({
        error: "upstream_error",
        message: "The sandbox's interpreter does not answer.",
        stage: "run",
        state: "unknown",
      }),
    ]);
    expect(ms).toBeLessThan(3500);
    expect((await run(id, "1 + 1")).body).toMatchObject({ results: [{ text: "2" }] });
  });

  it("and breaks off a run that goes on lets the next one wait until it is stopped, and be told of the restart", async () => {
    const id = await open();
    await run(id, "globalThis.n = 1");
    goesWrong({ ignoresClose: true, breaksAfterMs: 300 });
    expect((await run(id, "for (;;);")).body).toMatchObject({ stage: "run", state: "unknown" });

    const next = await run(id, "typeof n === 'undefined' ? 2 : 0");

    expect(next.body).toMatchObject({ results: [{ text: "2" }], state: "restarted" });
    expect((await run(id, "3")).body.state).toBeUndefined();
  });

  it("and breaks a connection that was used before is sent the code once", async () => {
    const id = await open();
    await run(id, "1");
    stack.sandboxes.journal.length = 0;
    goesWrong({ breaksConnection: true });
    const { status, body } = await run(id, "charge()");
    expect([status, body.stage]).toEqual([502, "run"]);
    expect(runs()).toHaveLength(1);
  });

  it("and splits a character over chunks is read right", async () => {
    const id = await open();
    goesWrong({ splitsBytes: true });
    const { body } = await run(id, "console.log('héllo 😀')");
    expect(body.stdout).toBe("héllo 😀\n");
  });

  it("and leaves its answer open after the code has ended does not keep the run open", async () => {
    const id = await open();
    goesWrong({ staysOpen: true });
    const { body, ms } = await run(id, "6 * 7");
    expect(body).toMatchObject({ results: [{ text: "42" }], error: null });
    expect(ms).toBeLessThan(1000);
  });

  it.each([
    ["a line that is no JSON", ["my-password\n"]],
    ["half a line", ['{"type":"stdout","text":"my-password']],
  ])(
    "by %s leads to a 502 with what was printed before, and no word of it in the log",
    async (_, says) => {
      const id = await open();
      goesWrong({ says: [BEGUN, line({ type: "stdout", text: "before\n" }), ...says] });
      const { status, body } = await run(id, "1");
      expect([status, body]).toEqual([
        502,
        expect.objectContaining({
          stage: "run",
          output: expect.objectContaining({ stdout: "before\n", results: [] }),
        }),
      ]);
      expect(stack.logs.join("\n")).not.toMatch(/passw|my-/);
    },
  );

  it.each([
    ["and the sandbox with it", true, "lost", /variables and files are lost/],
    ["and the sandbox goes on", false, "unknown", /failed/],
  ])(
    "and dies under a run by %s leaves what was printed, and it is said what is lost",
    async (_, isLost, state, words) => {
      const id = await open();
      const code = isLost ? "await new Promise((r) => setTimeout(r, 60_000))" : "Deno.exit()";
      const ran = run(id, `console.log('before'); ${code}`);
      if (isLost) await loseSandboxOfRun(1);
      const { status, body } = await ran;
      expect([status, body]).toEqual([
        502,
        expect.objectContaining({
          error: "upstream_error",
          stage: "run",
          state,
          message: expect.stringMatching(words),
          output: expect.objectContaining({ stdout: "before\n" }),
        }),
      ]);
      expect(logged("sandbox_failed")).toHaveLength(1);
      expect((await run(id, "1 + 1")).status).toBe(isLost ? 404 : 200);
    },
  );

  it("in a stream does not have what was printed said twice", async () => {
    const id = await open();
    goesWrong({ says: [BEGUN, line({ type: "stdout", text: "before\n" }), "broken\n"] });
    const text = await (await post(id, "1", { stream: true })).text();
    expect(text.match(/before/g)).toHaveLength(1);
    expect(text).toMatch(/event: error\ndata: {"error":"upstream_error",.*"stage":"run"/);
  });
});

describe("An error says what E2B said, in which stage, once", () => {
  const create = () => stack.call("/sandbox", { user, json: { conversationId: "talk" } });

  it.each([
    [400, "Timeout cannot be greater than 1 hours", 503, "not_configured", null, /1 hours/],
    [401, "Invalid API key e2b_123456", 503, "not_configured", null, /project's key\.$/],
    [403, "Team is blocked", 503, "not_configured", null, /Team is blocked/],
    [404, "template 'nope' not found", 503, "not_configured", null, /template 'nope' not found/],
    [429, "You have reached 20 concurrent sandboxes", 502, "upstream_error", 77, /20 concurrent/],
    [503, "No node", 502, "upstream_error", 77, /busy/],
    [500, "panic in handler.go", 502, "upstream_error", null, /^The sandbox service failed\.$/],
  ])("for create, %i", async (said, message, status, error, retryAfter, words) => {
    const headers: Record<string, string> = retryAfter ? { "retry-after": String(retryAfter) } : {};
    stack.sandboxes.fault({ operation: "create", status: said, message, headers });
    const response = await create();
    const body = await response.json();
    expect(body).toMatchObject({
      error,
      message: expect.stringMatching(words),
      stage: "create",
      upstream: { status: said, retryAfter },
    });
    expect(response.status).toBe(status);
    expect(response.headers.get("retry-after")).toBe(retryAfter && String(retryAfter));
    expect(JSON.stringify(body)).not.toMatch(/e2b_123|panic/);
    expect(stack.logs.filter((each) => each.includes('"level":"error"'))).toHaveLength(1);
    expect(logged("sandbox_failed")).toHaveLength(1);
  });

  it("for 429 without Retry-After, which is 10 s, while others are told their own", async () => {
    stack.sandboxes.fault({ operation: "create", status: 429, headers: { "retry-after": "77" } });
    expect((await create()).headers.get("retry-after")).toBe("77");
    stack.sandboxes.fault({ operation: "create", status: 429 });
    expect((await create()).headers.get("retry-after")).toBe("10");
  });

  it("for a run whose interpreter answers 500: its words, and no second try", async () => {
    const id = await open();
    stack.sandboxes.fault({ operation: "run", status: 500, message: "No kernel for cobol" });
    const { status, body } = await run(id, "1");
    expect([status, body]).toEqual([
      502,
      expect.objectContaining({
        message: "The sandbox did not run the code: No kernel for cobol",
        upstream: { status: 500, message: "No kernel for cobol", retryAfter: null },
      }),
    ]);
    expect(runs()).toHaveLength(1);
  });

  it("for what is not there and what is busy, which have a stage too", async () => {
    const id = crypto.randomUUID();
    expect((await run(id, "1")).body).toMatchObject({ error: "not_found", stage: "connect" });
    const ended = await stack.call(`/sandbox/${id}`, { user, method: "DELETE" });
    expect(await ended.json()).toMatchObject({ error: "not_found", stage: "terminate" });
    stack.sandboxes.fault({ operation: "create", delayMs: 1800 });
    const first = create();
    await until("it is being started", async () => {
      const [row] = await stack.sql`
        select count(*)::int as claims from spend.execution_contexts
        where status = 'creating' and user_id = ${user.id}`;
      return row?.claims === 1;
    });
    const second = await create();
    expect([second.status, await second.json()]).toEqual([
      409,
      expect.objectContaining({ error: "sandbox_busy", stage: "connect" }),
    ]);
    await first;
  });
});
