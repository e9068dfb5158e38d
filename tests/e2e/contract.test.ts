// Every function handles a request in the same order. A database with another contract version is a wrong setup, and
// not an outage.
import { afterAll, beforeAll, expect, it } from "vitest";
import { answers, type ScriptedProvider, startScriptedProvider } from "../support/provider.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

let provider: ScriptedProvider;
let stack: TestStack;

beforeAll(async () => {
  provider = await startScriptedProvider();
  stack = await startTestStack({ provider });
});
afterAll(() => stack.stop());

it.each([
  ["GET", "/chat", 405, "POST, OPTIONS"],
  ["DELETE", "/openai/chat/completions", 405, "POST, OPTIONS"],
  ["POST", "/openai/v1/models", 405, "GET, OPTIONS"],
  ["GET", "/sandbox", 405, "POST, OPTIONS"],
  ["POST", "/sandbox/one", 405, "DELETE, OPTIONS"],
  ["GET", "/example", 405, "POST, OPTIONS"],
  ["GET", "/alerts", 405, "POST, OPTIONS"],
  ["GET", "/maintenance", 405, "POST, OPTIONS"],
  ["POST", "/chat/x/chat", 404, null],
  ["POST", "/openai/x/openai/chat/completions", 404, null],
  ["GET", "/openai/models/%ff", 404, null],
  ["POST", "/chat", 401, null],
  ["POST", "/chat/", 401, null],
  ["POST", "/openai/v1/embeddings", 401, null],
  ["POST", "/sandbox", 401, null],
  ["POST", "/example", 401, null],
  ["POST", "/alerts", 401, null],
  ["POST", "/maintenance", 401, null],
])(
  "%s %s without a token and a body is answered with %i and Allow: %s",
  async (method, path, status, allow) => {
    const response = await stack.call(path, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("allow")).toBe(allow);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    await response.body?.cancel();
  },
);

interface Health {
  status: string;
  database: string;
  contractVersion: { database: number | null; functions: number };
  remedies: string[];
}

async function healthOf(path: string): Promise<[number, Health]> {
  const response = await stack.call(`${path}/health`, { method: "GET" });
  return [response.status, (await response.json()) as Health];
}

it.each(["/chat", "/openai", "/sandbox", "/maintenance"])(
  "%s/health answers anybody with a 200 and the contract's version of both sides",
  async (path) => {
    const [status, health] = await healthOf(path);
    expect([status, health.contractVersion]).toEqual([200, { database: 1, functions: 1 }]);
    expect(health).toMatchObject({
      database: "reachable",
      prices: { newestValidFrom: expect.any(String) },
    });
  },
);

/** `spend.reserve` as an older database has it: without the argument that came last. */
const OLDER = `
  alter function spend.reserve rename to reserve_of_today;
  create function spend.reserve(tenant_id uuid, usage jsonb) returns integer language sql as 'select 1';
  create or replace function spend.contract_version() returns integer language sql as 'select 0';
  notify pgrst, 'reload schema';`;
const TODAY = `
  drop function spend.reserve(uuid, jsonb);
  alter function spend.reserve_of_today rename to reserve;
  create or replace function spend.contract_version() returns integer language sql as 'select 1';
  notify pgrst, 'reload schema';`;

it("A database of contract 0 gives a 503 not_configured with the remedy and no provider is called; once it is migrated, calls go through", {
  timeout: 60_000,
}, async () => {
  provider.plays(answers("Hello", { prompt_tokens: 10, completion_tokens: 1 }));
  const user = await stack.signUp();
  await stack.createTenant({ members: [user] });
  const chat = async () => {
    const response = await stack.call("/chat", {
      user,
      json: { messages: [{ role: "user", content: "Hello" }], stream: false },
    });
    const body = (await response.json()) as { error?: string; message?: string };
    return { status: response.status, retryAfter: response.headers.get("retry-after"), ...body };
  };
  await stack.sql.unsafe(OLDER);
  const refused = await until("the older schema is loaded", async () => {
    const answer = await chat();
    return answer.error === "not_configured" ? answer : undefined;
  });
  expect(refused).toMatchObject({
    status: 503,
    retryAfter: null,
    message: expect.stringMatching(/contract version 0, the functions need 1.*supabase db push/),
  });
  const calls = provider.journal.length;
  expect((await chat()).error).toBe("not_configured");
  expect(provider.journal).toHaveLength(calls);
  const [status, health] = await until("health is asked anew", async () => {
    const found = await healthOf("/chat");
    return found[0] === 503 ? found : undefined;
  });
  expect([status, health.status, health.database]).toEqual([503, "down", "reachable"]);
  expect(health.contractVersion).toEqual({ database: 0, functions: 1 });
  expect(health.remedies.join()).toMatch(/supabase db push/);

  await stack.sql.unsafe(TODAY);
  await until(
    "it is asked again",
    async () => ((await chat()).status === 200 ? true : undefined),
    30,
  );
});
