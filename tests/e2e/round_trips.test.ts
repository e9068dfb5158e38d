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

it("Each of two functions asks for the contract's version once, when it starts", () => {
  expect(contractChecks).toBe(2);
});
