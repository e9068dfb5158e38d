// Every way in which a call can end, on every way to make one: what is booked, that nothing stays held, and
// how often the provider was called.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  answers,
  beginStream,
  callsTool,
  endStream,
  refuses,
  type Script,
  type ScriptedProvider,
  sse,
  startScriptedProvider,
  textChunk,
  USAGE,
} from "../support/provider.ts";
import { endedCalls, verifyBalances } from "../support/spend.ts";
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
    env: {
      SPENDGATE_CALL_TIMEOUT_MS: "1500",
      SPENDGATE_DISCONNECT_GRACE_MS: "300",
      // 128 tokens of gpt-4o-mini's 128,000: a page of text is compacted.
      SPENDGATE_COMPACTION_SHARE: "0.001",
    },
  });
});
afterAll(() => stack.stop());
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  provider.journal.length = 0;
});

/** 1,000 × $0.15 + 500 × $0.60 per million. */
const EXACT = "0.000450000000";
const NOTHING = "0.000000000000";

/** What the ledger must say of a call that ended so. */
interface Expected {
  status: string;
  isEstimated: boolean;
  cost: "exact" | "nothing" | "estimate" | "counted";
}

interface Ending {
  script: Script;
  /** Undefined where this ending does not exist for calls that do not stream. */
  expected: { streamed: Expected; whole?: Expected };
  /** The answer of a call that streams has begun when it ends so. */
  begins: boolean;
  /** Of an answer that says so, where it is not 502. */
  status?: number;
  /** The client hangs up: before the answer, or after its first bytes. */
  clientLeaves?: "before" | "middle";
}

const exact: Expected = { status: "settled", isEstimated: false, cost: "exact" };
const nothing: Expected = { status: "released", isEstimated: false, cost: "nothing" };
const estimate: Expected = { status: "settled", isEstimated: true, cost: "estimate" };
const counted: Expected = { status: "settled", isEstimated: true, cost: "counted" };

/** Says two words and goes on for ever. */
const trickles: Script = async (response) => {
  beginStream(response);
  while (!response.destroyed) {
    response.write(textChunk("word "));
    await new Promise((next) => setTimeout(next, 100));
  }
};

const ENDINGS: Record<string, Ending> = {
  finished: {
    script: answers("Hello there", USAGE),
    expected: { streamed: exact, whole: exact },
    begins: true,
  },
  "finished without usage": {
    script: answers("Hello there"),
    expected: { streamed: estimate, whole: estimate },
    begins: true,
  },
  "stopped at its limit": {
    script: (response, request) => {
      if (!request.body.stream) return answers("Hello", USAGE)(response, request);
      beginStream(response);
      response.write(textChunk("Hel"));
      endStream(response, USAGE, "length");
    },
    expected: { streamed: exact, whole: exact },
    begins: true,
  },
  "broken off": {
    script: (response) => {
      beginStream(response);
      response.write(textChunk("Hel"));
      setTimeout(() => response.destroy(), 50);
    },
    expected: { streamed: estimate, whole: estimate },
    begins: true,
  },
  "an error after the first token": {
    script: (response) => {
      beginStream(response);
      response.write(textChunk("Hel"));
      response.end(sse({ error: { message: "overloaded", type: "server_error" } }));
    },
    expected: { streamed: estimate },
    begins: true,
  },
  "an error event before the first token": {
    script: (response) => {
      beginStream(response);
      response.end(sse({ error: { message: "overloaded", type: "server_error" } }));
    },
    expected: { streamed: nothing },
    begins: false,
  },
  "refused with 500": {
    script: refuses(500),
    expected: { streamed: nothing, whole: nothing },
    begins: false,
  },
  "refused with 429": {
    script: refuses(429, { "retry-after": "7" }),
    expected: { streamed: nothing, whole: nothing },
    begins: false,
    status: 503,
  },
  "no answer in time": {
    script: () => {},
    expected: { streamed: estimate, whole: estimate },
    begins: false,
  },
  "no end in time": { script: trickles, expected: { streamed: counted }, begins: true },
  "the client gone before the first token": {
    script: () => {},
    expected: { streamed: estimate },
    begins: false,
    clientLeaves: "before",
  },
  "the client gone in the middle": {
    script: trickles,
    expected: { streamed: counted },
    begins: true,
    clientLeaves: "middle",
  },
};

interface Way {
  path: string;
  body(stream: boolean): Record<string, unknown>;
  /** Answers of the provider that come before the one that is looked at, and after it. */
  before: Script[];
  after?: Script[];
  /** The call that is looked at does not stream, whatever the request does. */
  isWhole?: boolean;
  /** Whether the answer itself shows how the call ended. */
  shows: boolean;
}

// Long enough to be compacted here, and short enough to come in one piece: of a longer body's client Deno sees
// only at the answer that it has gone.
const LONG = [
  { role: "user", content: "A page of text. ".repeat(36) },
  { role: "assistant", content: "I have read it." },
  { role: "user", content: "What does it say?" },
];

const tool = (step: number) => callsTool(`call_${step}`, "current_time", USAGE);
const WAYS: Record<string, Way> = {
  chat: {
    path: "/chat",
    body: (stream) => ({ stream, messages: [{ role: "user", content: "Hello" }] }),
    before: [],
    shows: true,
  },
  "the OpenAI endpoint": {
    path: "/openai/chat/completions",
    body: (stream) => ({
      stream,
      model: "gpt-4o-mini",
      messages: [{ role: "user", content: "Hello" }],
    }),
    before: [],
    shows: true,
  },
  "step 3 of an agent": {
    path: "/chat",
    body: (stream) => ({
      stream,
      task: "agent:clock",
      tools: ["current_time"],
      messages: [{ role: "user", content: "What time is it?" }],
    }),
    before: [tool(1), tool(2)],
    shows: false,
  },
  "compaction in a chat": {
    path: "/chat",
    body: (stream) => ({ stream, messages: LONG }),
    before: [],
    after: [answers("It says what it says", USAGE)],
    isWhole: true,
    shows: false,
  },
  "compaction on demand": {
    path: "/chat/compact",
    body: () => ({ messages: LONG, keep: 1 }),
    before: [],
    isWhole: true,
    shows: true,
  },
};

// "Within five seconds nothing is held any more."
const allEnded = (count: number) => endedCalls(stack.sql, tenant.id, count, 5);

/** Sends the request, and reads what comes, as the client of this ending does. */
async function play(way: Way, ending: Ending, stream: boolean) {
  const client = new AbortController();
  const sent = stack.call(way.path, { user, json: way.body(stream), signal: client.signal });
  sent.catch(() => {});
  if (ending.clientLeaves === "before") {
    await until("the provider is called", () => provider.journal.length === way.before.length + 1);
    client.abort();
    return undefined;
  }
  const response = await sent;
  if (ending.clientLeaves === "middle") {
    await until("the provider is called", () => provider.journal.length === way.before.length + 1);
    const reader = response.body?.getReader();
    await reader?.read();
    client.abort();
    return undefined;
  }
  return { status: response.status, body: await response.text() };
}

const cases = Object.entries(WAYS).flatMap(([wayName, way]) =>
  [true, false].flatMap((stream) =>
    Object.entries(ENDINGS).flatMap(([endingName, ending]) => {
      const { whole, streamed } = ending.expected;
      const expected = stream && !way.isWhole ? streamed : whole;
      const name = `${wayName}, ${stream ? "streamed" : "whole"}, ${endingName}`;
      return expected ? [[name, { way, ending, stream, expected }] as const] : [];
    }),
  ),
);

describe("Every way to call and every ending are booked as the ledger must say", () => {
  it.each(cases)("%s", async (_, { way, ending, stream, expected }) => {
    const after = way.after ?? [];
    provider.plays(...way.before, ending.script, ...after);

    const answer = await play(way, ending, stream);

    const rows = await allEnded(way.before.length + 1 + after.length);
    const [last] = rows.splice(way.before.length, 1);
    for (const row of rows) {
      expect(row).toMatchObject({ status: "settled", is_estimated: false, actual_cost_usd: EXACT });
    }
    expect(last).toMatchObject({ status: expected.status, is_estimated: expected.isEstimated });
    const costs = { exact: EXACT, nothing: NOTHING, estimate: last?.estimated_cost_usd };
    if (expected.cost !== "counted") expect(last?.actual_cost_usd).toBe(costs[expected.cost]);
    else {
      // The input as it was held, and a few words of output: 4,096 tokens of it were held.
      const input = (Number(last?.usage_estimate.input_tokens) * 0.15) / 1e6;
      expect(Number(last?.cost)).toBeGreaterThanOrEqual(input);
      expect(Number(last?.cost)).toBeLessThan(input + (100 * 0.6) / 1e6);
    }
    expect(provider.journal).toHaveLength(way.before.length + 1 + after.length);
    // A compaction that fails does not keep the chat from its answer.
    if (after.length > 0) expect(answer).toMatchObject({ status: 200 });

    const fails = expected.cost !== "exact" && !(expected === estimate && isComplete(ending));
    if (answer && way.shows) {
      const hasBegun = stream && !way.isWhole && ending.begins;
      expect(answer.status).toBe(!fails || hasBegun ? 200 : (ending.status ?? 502));
      expect(answer.body.includes("upstream_error")).toBe(fails);
      expect(answer.body).not.toContain("a secret of the provider");
    }
    const [quota] = await stack.sql`
      select reserved_usd::float8 from spend.quota_status
      where tenant_id = ${tenant.id} and resource_type = 'llm'`;
    expect(quota?.reserved_usd).toBe(0);
  });

  function isComplete(ending: Ending): boolean {
    return ending === ENDINGS["finished without usage"];
  }
});

it("A client that leaves during the compaction of its chat has that booked, and nothing more is called", async () => {
  provider.plays(() => {});
  const client = new AbortController();
  const sent = stack.call("/chat", { user, json: { messages: LONG }, signal: client.signal });
  sent.catch(() => {});
  await until("the provider is called", () => provider.journal.length === 1);
  client.abort();
  expect(await allEnded(1)).toMatchObject([
    { task: "compaction", status: "settled", is_estimated: true },
  ]);
  await until("the provider is hung up on", () => provider.journal[0]?.aborted);
  expect(provider.journal).toHaveLength(1);
});

it("A 429 of a provider is answered as a 503 with its Retry-After", async () => {
  provider.plays(refuses(429, { "retry-after": "7" }));
  const response = await stack.call("/chat", { user, json: WAYS.chat?.body(true) });
  expect(response.status).toBe(503);
  expect(response.headers.get("retry-after")).toBe("7");
  expect(await response.json()).toMatchObject({
    retryAfter: 7,
    upstream: { status: 429, retryAfter: "7" },
  });
});

it("Calls of a function that is killed are booked at their estimates when their holds expire, once", async () => {
  const doomed = await startTestStack({ env: provider.env });
  try {
    const member = await doomed.signUp();
    const { id } = await doomed.createTenant({ members: [member] });
    provider.plays(trickles);
    for (const path of ["/chat", "/openai/chat/completions"]) {
      for (const stream of [true, false]) {
        const json = {
          model: "gpt-4o-mini",
          stream,
          messages: [{ role: "user", content: "Hello" }],
        };
        doomed.call(path, { user: member, json }).catch(() => {});
      }
    }
    await until("all calls are under way", () => provider.journal.length === 4);

    process.kill(doomed.services.functions.pid, "SIGKILL");
    await doomed.services.functions.exited;

    const calls = () => doomed.sql`
      select r.status, r.is_estimated, r.actual_cost_usd = r.estimated_cost_usd as at_estimate,
        (select count(*)::int from spend.cost_events as e where e.reservation_id = r.id) as events
      from spend.reservations as r where r.tenant_id = ${id}`;
    const held = { status: "held", is_estimated: false, at_estimate: null, events: 0 };
    expect(await calls()).toEqual(Array(4).fill(held));
    for (const _ of [1, 2]) {
      await doomed.sql`select spend_private.expire_reservations(1000, now() + interval '1 hour')`;
    }
    const expired = { status: "expired", is_estimated: true, at_estimate: true, events: 1 };
    expect(await calls()).toEqual(Array(4).fill(expired));
    expect(await verifyBalances(doomed.sql)).toEqual([]);
  } finally {
    await doomed.stop();
  }
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
