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
} from "../setup/provider.ts";
import { startTestStack, type TestStack, type TestTenant, type TestUser } from "../setup/stack.ts";
import { until } from "../setup/until.ts";

let provider: ScriptedProvider;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;

beforeAll(async () => {
  provider = await startScriptedProvider();
  stack = await startTestStack({
    env: {
      ...provider.env,
      SPENDGATE_CALL_TIMEOUT_MS: "1500",
      SPENDGATE_DISCONNECT_GRACE_MS: "300",
    },
  });
});
afterAll(async () => {
  await stack.stop();
  await provider.stop();
});
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  provider.journal.length = 0;
});

const USAGE = { prompt_tokens: 1000, completion_tokens: 500 };
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
  },
  "no answer in time": {
    script: () => {},
    expected: { streamed: counted, whole: estimate },
    begins: false,
  },
  "no end in time": { script: trickles, expected: { streamed: counted }, begins: true },
  "the client gone before the first token": {
    script: () => {},
    expected: { streamed: counted },
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
  /** Answers of the provider that come before the one that is looked at. */
  before: Script[];
  /** Whether the answer itself shows how the call ended. */
  shows: boolean;
}

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
};

async function reservations() {
  return await stack.sql`
    select status, is_estimated, actual_cost_usd as cost, estimated_cost_usd as estimate, task,
      usage_estimate ->> 'input_tokens' as input_tokens, provider
    from spend.reservations where tenant_id = ${tenant.id} order by created_at, id`;
}

async function allEnded(count: number) {
  return await until(
    `${count} reservations have ended`,
    async () => {
      const rows = await reservations();
      return rows.length === count && rows.every((row) => row.status !== "held") ? rows : undefined;
    },
    // "Within five seconds nothing is held any more."
    5,
  );
}

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
      const expected = stream ? ending.expected.streamed : ending.expected.whole;
      const name = `${wayName}, ${stream ? "streamed" : "whole"}, ${endingName}`;
      return expected ? [{ name, way, ending, stream, expected }] : [];
    }),
  ),
);

describe("every way × every ending", () => {
  it.each(cases)("$name", async ({ way, ending, stream, expected }) => {
    provider.plays(...way.before, ending.script);

    const answer = await play(way, ending, stream);

    const rows = await allEnded(way.before.length + 1);
    for (const row of rows.slice(0, -1)) {
      expect(row).toMatchObject({ status: "settled", is_estimated: false, cost: EXACT });
    }
    const last = rows.at(-1);
    expect(last).toMatchObject({ status: expected.status, is_estimated: expected.isEstimated });
    const costs = { exact: EXACT, nothing: NOTHING, estimate: last?.estimate };
    if (expected.cost !== "counted") expect(last?.cost).toBe(costs[expected.cost]);
    else {
      // The input as it was held, and a few words of output: 4,096 tokens of it were held.
      const input = (Number(last?.input_tokens) * 0.15) / 1e6;
      expect(Number(last?.cost)).toBeGreaterThanOrEqual(input);
      expect(Number(last?.cost)).toBeLessThan(input + (100 * 0.6) / 1e6);
    }
    expect(provider.journal).toHaveLength(way.before.length + 1);

    const fails = expected.cost !== "exact" && !(expected === estimate && isComplete(ending));
    if (answer && way.shows) {
      expect(answer.status).toBe(!fails || (stream && ending.begins) ? 200 : 502);
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

it("a provider's 429 is ours as a 502, with its Retry-After as a detail", async () => {
  provider.plays(refuses(429, { "retry-after": "7" }));
  const response = await stack.call("/chat", { user, json: WAYS.chat?.body(true) });
  expect(response.status).toBe(502);
  expect(response.headers.get("retry-after")).toBeNull();
  expect(await response.json()).toMatchObject({ upstream: { status: 429, retryAfter: "7" } });
});

it("after all of this the balances equal the ledger", async () => {
  expect(await stack.sql`select * from spend.verify_balances()`).toEqual([]);
});
