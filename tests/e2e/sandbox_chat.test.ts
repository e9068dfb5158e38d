// Agents that run code: the tool run_code of the chat function, in the sandbox of its conversation.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { eventsOf } from "../support/messages.ts";
import {
  answers,
  callsTool,
  type ScriptedProvider,
  startScriptedProvider,
  USAGE,
} from "../support/provider.ts";
import { USD_PER_SECOND } from "../support/sandboxes.ts";
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
  stack = await startTestStack({ provider });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user], role: "owner" });
  provider.journal.length = 0;
  stack.sandboxes.reset();
});

const runs = (id: string, code: string) =>
  callsTool(id, "run_code", USAGE, { code, language: "javascript" });

const chat = (stream: boolean, more: object = {}) =>
  stack.call("/chat", {
    user,
    json: {
      stream,
      task: "agent:analyst",
      tools: ["run_code"],
      conversationId: "report",
      pathId: "left",
      messages: [{ role: "user", content: "What is 6 × 7?" }],
      ...more,
    },
  });

/** What the model was told of its tool's last call. */
function toolMessage(): string {
  const message = provider.journal.at(-1)?.body.messages.at(-1);
  expect(message?.role).toBe("tool");
  return String(message?.content);
}

it.each([true, false])(
  "A model runs code in the conversation's sandbox, which keeps its state from step to step (streamed: %s)",
  async (stream) => {
    provider.plays(
      runs("call_1", "globalThis.n = 6; console.log('kept')"),
      runs("call_2", "n * 7"),
      answers("It is 42.", USAGE),
    );

    const response = await chat(stream);

    expect(response.status).toBe(200);
    expect(await response.text()).toContain("42");
    expect(JSON.parse(toolMessage())).toMatchObject({ results: ["42"], error: null });
    const created = stack.sandboxes.journal.filter(({ operation }) => operation === "create");
    expect(created).toHaveLength(1);

    // A person, and the same agent, find the same sandbox.
    const opened = await stack.call("/sandbox", {
      user,
      json: { conversationId: "report", pathId: "left" },
    });
    expect(await opened.json()).toMatchObject({ sandboxId: created[0]?.sandboxId, isNew: false });
  },
);

it("A conversation's report shows the cost of the model and of the sandbox side by side", async () => {
  provider.plays(runs("call_1", "6 * 7"), answers("It is 42.", USAGE));
  await (await chat(true)).text();
  const [context] = await stack.sql`
    update spend.execution_contexts set
      claimed_at = claimed_at - interval '60 s', started_at = started_at - interval '60 s'
    where tenant_id = ${tenant.id} returning id`;
  await stack.call(`/sandbox/${context?.id}`, { user, method: "DELETE" });
  await until("both calls of the model are booked", async () => {
    const [row] = await stack.sql`
      select count(*)::int as calls from spend.cost_events where tenant_id = ${tenant.id}`;
    return row?.calls === 3;
  });

  const [ran] = await stack.sql`
    select (usage ->> 'seconds')::int as seconds from spend.cost_events
    where tenant_id = ${tenant.id} and resource_type = 'e2b'`;
  expect(ran?.seconds).toBeGreaterThan(60);

  const { data, error } = await user.client
    .from("spend_by_conversation")
    .select("conversation_id, resource_type, cost_usd, calls")
    .eq("tenant_id", tenant.id)
    .order("resource_type");

  expect(error).toBeNull();
  expect(data).toEqual([
    {
      conversation_id: "report",
      resource_type: "e2b",
      cost_usd: Number((ran?.seconds * USD_PER_SECOND).toFixed(12)),
      calls: 1,
    },
    {
      conversation_id: "report",
      resource_type: "llm",
      // Two calls of 1,000 × $0.15 + 500 × $0.60 per million.
      cost_usd: 0.0009,
      calls: 2,
    },
  ]);
  const tasks = await stack.sql`
    select distinct task, path_id from spend.cost_events where tenant_id = ${tenant.id}`;
  expect([...tasks]).toEqual([{ task: "agent:analyst", path_id: "left" }]);
});

it.each([true, false])(
  "A refusal is an error that the model reads, and not the end of the chat (streamed: %s)",
  async (stream) => {
    await stack.sql`
      update spend.cost_quotas set limit_usd = 0.001
      where tenant_id = ${tenant.id} and resource_type = 'e2b'`;
    provider.plays(runs("call_1", "6 * 7"), answers("I may not run code.", USAGE));

    const response = await chat(stream);

    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toContain('"finishReason":"stop"');
    expect(toolMessage()).toContain("$0.001 per month for e2b");
    expect(stack.sandboxes.journal).toEqual([]);
    if (stream) {
      const failed = eventsOf(text).find((part) => part.type === "tool-output-error");
      expect(JSON.parse(failed?.errorText)).toMatchObject({
        error: "quota_exceeded",
        resourceType: "e2b",
        stage: "quota_check",
      });
    }
  },
);

it("A model is told what the code throws, and that a sandbox fails", async () => {
  stack.sandboxes.fault({ operation: "create", status: 400 });
  provider.plays(
    runs("call_1", "1"),
    runs("call_2", "nothing.there"),
    answers("It failed.", USAGE),
  );

  const response = await chat(false);

  expect(response.status).toBe(200);
  const told = provider.journal
    .at(-1)
    ?.body.messages.filter(({ role }) => role === "tool")
    .map(({ content }) => String(content));
  expect(told?.[0]).toContain(
    "The sandbox service does not take this: Told to fail. Stage: create. Trying again does not help.",
  );
  expect(told?.[1]).toContain("ReferenceError");
});

it("A model reads 20,000 bytes of text at most, and is told so, and the code runs to its end", async () => {
  provider.plays(
    runs(
      "call_1",
      "console.log('x'.repeat(15_000)); console.error('y'.repeat(15_000)); globalThis.done = 6 * 7;" +
        "throw Object.assign(new Error('z'.repeat(150_000)), { name: 'ValueError' })",
    ),
    runs("call_2", "done"),
    answers("42", USAGE),
  );

  expect((await chat(false)).status).toBe(200);

  const [asked, , last] = provider.journal.map(({ body }) => body);
  expect(JSON.stringify(asked)).toContain("at most 20000 bytes of text");
  const [first, second] = (last?.messages ?? [])
    .filter(({ role }) => role === "tool")
    .map(({ content }) => String(content));
  expect(Buffer.byteLength(first ?? "")).toBeLessThan(20_000 + 2000);
  expect(JSON.parse(first ?? "")).toMatchObject({
    stdout: `${"x".repeat(15_000)}\n`,
    stderr: "y".repeat(4999),
    error: { name: "ValueError", message: expect.stringMatching(/^z{100}/) },
    isTruncated: true,
    notice: "The output is limited to 20000 bytes. Left out: stderr, error; the code ran on.",
  });
  expect(JSON.parse(second ?? "")).toMatchObject({ results: ["42"] });
});

it("A model is charged nothing for charts of 1.2 MB each, and reads what follows them", async () => {
  const line = (event: object) => `${JSON.stringify(event)}\n`;
  const chart = line({ type: "result", text: "<Figure>", png: "x".repeat(1_200_000) });
  stack.sandboxes.fault({
    operation: "run",
    run: {
      says: [chart, chart, chart, line({ type: "stdout", text: "after" })],
    },
  });
  provider.plays(runs("call_1", "plot()"), answers("Done.", USAGE));

  expect((await chat(false)).status).toBe(200);

  const told = JSON.parse(toolMessage());
  expect(told).toMatchObject({
    results: ["<Figure>", "<Figure>", "<Figure>"],
    stdout: "after",
    isTruncated: false,
  });
});

it("A model whose sandbox ends under its code reads the stage, what was printed and what is lost", async () => {
  provider.plays(
    runs("call_1", "1"),
    runs("call_2", "console.log('before'); await new Promise((r) => setTimeout(r, 60_000))"),
    runs("call_3", "6 * 7"),
    answers("42", USAGE),
  );
  const answered = chat(false);
  const second = () => stack.sandboxes.journal.filter(({ operation }) => operation === "run")[1];
  const { sandboxId } = await until("the second code runs", second);
  await sleep(500);
  stack.sandboxes.lose(sandboxId as string);

  expect((await answered).status).toBe(200);

  const told = (provider.journal.at(-1)?.body.messages ?? [])
    .filter(({ role }) => role === "tool")
    .map(({ content }) => String(content));
  expect(told[1]).toContain("Stage: run.");
  expect(told[1]).toContain("the next run begins in a new sandbox");
  expect(told[1]).toContain("before");
  expect(JSON.parse(told[2] ?? "")).toMatchObject({ results: ["42"] });
});

it("A chat that runs code without a conversation gets a 400 before anything is spent", async () => {
  const response = await chat(false, { conversationId: undefined });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ issues: [{ path: "conversationId" }] });
  expect(provider.journal).toHaveLength(0);
});
