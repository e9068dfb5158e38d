// What the gate costs a caller in time: one round trip to the database before the provider is called, and none
// while its answer streams. Counted by a proxy between the functions and the Data API.
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  answers,
  beginStream,
  endStream,
  type ScriptedProvider,
  startScriptedProvider,
  textChunk,
} from "../support/provider.ts";
import { forward, startServer, type TestServer } from "../support/server.ts";
import { endedCalls, verifyBalances } from "../support/spend.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

let provider: ScriptedProvider;
let proxy: TestServer;
let stack: TestStack;
/** Paths under /rest/v1 that the functions asked for, and when the provider was called, in order. */
const log: string[] = [];
/** How often a function asked for the contract's version: when it starts, beside the first call, which does not wait. */
let contractChecks = 0;

beforeAll(async () => {
  provider = await startScriptedProvider();
  proxy = await startServer((incoming, response) => {
    if (incoming.url === "/rest/v1/rpc/contract_version") contractChecks++;
    else if (incoming.url?.startsWith("/rest/v1")) log.push(incoming.url);
    forward(stack.url, incoming, response);
  });
  stack = await startTestStack({
    provider,
    env: { SUPABASE_URL: proxy.url },
  });
});
afterAll(async () => {
  await stack.stop();
  await proxy.stop();
});

const USAGE = { prompt_tokens: 10, completion_tokens: 3 };
const RESERVE = "/rest/v1/rpc/reserve";
const SETTLE = "/rest/v1/rpc/settle";

it.each([
  ["chat", "/chat", {}],
  ["the OpenAI endpoint", "/openai/chat/completions", { model: "gpt-4o-mini" }],
])(
  "A call by %s makes one round trip before the provider, and none until its last token is out",
  async (_, path, body) => {
    const user = await stack.signUp();
    const tenant = await stack.createTenant({ members: [user] });
    const json = { ...body, messages: [{ role: "user", content: "Hello" }] };
    const call = (stream: boolean) =>
      stack.call(path, {
        user,
        json: { ...json, stream },
        headers: { "x-spendgate-tenant": tenant.id },
      });
    let end = () => {};
    const mayEnd = new Promise<void>((done) => {
      end = done;
    });
    provider.plays(async (response) => {
      log.push("provider");
      beginStream(response);
      for (const word of ["one ", "two ", "three"]) response.write(textChunk(word));
      await mayEnd;
      endStream(response, USAGE);
    });

    log.length = 0;
    const reader = (await call(true)).body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("three")) text += (await reader?.read())?.value ?? "";
    expect(log).toEqual([RESERVE, "provider"]);

    end();
    while (!(await reader?.read())?.done);
    await until("it is settled", () => log.includes(SETTLE));
    expect(log).toEqual([RESERVE, "provider", SETTLE]);

    // Not streaming, the answer says what it cost: it comes with the booking.
    log.length = 0;
    provider.plays((response, request) => {
      log.push("provider");
      return answers("Hello", USAGE)(response, request);
    });
    expect((await call(false)).headers.get("x-spendgate-cost-usd")).toBe("0.0000033");
    expect(log).toEqual([RESERVE, "provider", SETTLE]);
  },
);

it("Chats that come at once share their round trips, and each is answered and charged for itself", async () => {
  const user = await stack.signUp();
  const stranger = await stack.signUp();
  const tenant = await stack.createTenant({ members: [user] });
  provider.plays(answers("Hello", USAGE));
  const chat = (by: typeof user, model = "openai/gpt-4o-mini") =>
    stack.call("/chat", {
      user: by,
      json: { tenantId: tenant.id, model, messages: [{ role: "user", content: "Hello" }] },
    });
  log.length = 0;
  const sent = await Promise.all(
    Array.from({ length: 64 }, (_, number) =>
      number % 16 === 3
        ? chat(stranger)
        : number % 16 === 5
          ? chat(user, "openai/none")
          : chat(user),
    ),
  );
  const statuses = sent.map(({ status }) => status);
  await Promise.all(sent.map((answer) => answer.text()));
  expect(statuses).toEqual(
    Array.from({ length: 64 }, (_, number) =>
      number % 16 === 3 ? 403 : number % 16 === 5 ? 422 : 200,
    ),
  );
  const calls = await endedCalls(stack.sql, tenant.id, 56);
  expect(new Set(calls.map(({ status, cost }) => `${status} ${cost}`))).toEqual(
    new Set(["settled 0.0000033"]),
  );
  expect(await verifyBalances(stack.sql)).toEqual([]);
  // Two each, one by one.
  const asked = log.filter((path) => /rpc\/(reserve|settle)/.test(path));
  expect(asked.length).toBeLessThan(0.8 * 64);
  expect(new Set(asked)).toContain(`${RESERVE}_many`);
});

it("Each of two functions asks for the contract's version once, when it starts", () => {
  expect(contractChecks).toBe(2);
});
