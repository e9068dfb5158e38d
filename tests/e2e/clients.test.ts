// What clients get beside answers: refusals that they can read, names that they may use, and errors that name the
// mistake.
import { DefaultChatTransport } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readSpendgateError, spendgateError } from "../../client/errors.ts";
import { say } from "../support/messages.ts";
import { forward, startServer } from "../support/server.ts";
import { limitTo, verifyBalances } from "../support/spend.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";

/** Stands in front of the Data API and Auth, and answers for Auth while it is told to. */
async function startProxy() {
  let target = "";
  let authStatus: number | undefined;
  const { url, stop } = await startServer((incoming, response) => {
    if (authStatus && incoming.url?.startsWith("/auth/v1/")) {
      response.writeHead(authStatus, { "content-type": "application/json" });
      response.end('{"code":"over_request_rate_limit","message":"Request rate limit reached"}');
    } else forward(target, incoming, response);
  });
  return {
    url,
    stop,
    passTo: (origin: string) => {
      target = origin;
    },
    authAnswers: (status: number | undefined) => {
      authStatus = status;
    },
  };
}

let proxy: Awaited<ReturnType<typeof startProxy>>;
let stack: TestStack;
let user: TestUser;
let tenant: TestTenant;
let openai: OpenAI;

beforeAll(async () => {
  proxy = await startProxy();
  // With tokens that only Auth can verify: it is asked about each.
  stack = await startTestStack({ env: { SUPABASE_URL: proxy.url }, legacyTokens: true });
  proxy.passTo(stack.url);
});
afterAll(async () => {
  await stack.stop();
  await proxy.stop();
});
beforeEach(async () => {
  user = await stack.signUp();
  tenant = await stack.createTenant({ members: [user] });
  openai = new OpenAI({ baseURL: `${stack.url}/functions/v1/openai`, apiKey: user.jwt });
});

const chat = (body: object, init: RequestInit = {}) =>
  stack.call("/chat", { user, json: body, ...init });

describe("useChat", () => {
  const transport = () =>
    new DefaultChatTransport({
      api: `${stack.url}/functions/v1/chat`,
      headers: { authorization: `Bearer ${user.jwt}`, apikey: stack.keys.publishable },
    });

  it("reads a refusal from its error's message, of which the helper makes details", async () => {
    await limitTo(stack.sql, tenant.id, 0.001);
    const sending = transport().sendMessages({
      trigger: "submit-message",
      chatId: "chat",
      messageId: undefined,
      messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "Hello" }] }],
      abortSignal: undefined,
    });
    const error = await sending.then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(JSON.parse(error?.message ?? "")).toMatchObject({ error: "quota_exceeded" });
    expect(spendgateError(error)).toMatchObject({
      code: "quota_exceeded",
      reason: "exceeds_limit",
      quota: { scope: "tenant", limitUsd: 0.001 },
    });
  });

  it("finds no answer to resume", async () => {
    expect(await transport().reconnectToStream({ chatId: "chat" })).toBeNull();
    expect((await stack.call("/chat/chat/stream", { user })).status).toBe(204);
    expect((await stack.call("/chat/chat/stream")).status).toBe(401);
  });

  it.each(["*/*", "application/json", "text/event-stream, application/json"])(
    "gets each error as JSON with its status for Accept: %s",
    async (accept) => {
      await limitTo(stack.sql, tenant.id, 0);
      const response = await chat(say(), { headers: { accept } });
      expect(response.status).toBe(429);
      expect(await readSpendgateError(response)).toMatchObject({ code: "quota_exceeded" });
    },
  );

  it("gets each error as events for Accept: text/event-stream alone, a wrong request's too", async () => {
    const response = await chat({}, { headers: { accept: "text/event-stream" } });
    expect(response.status).toBe(400);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(await readSpendgateError(response)).toMatchObject({ code: "invalid_request" });
  });
});

describe("Auth", () => {
  it("that is asked too often gives a 503 with Retry-After, which signs nobody out", async () => {
    proxy.authAnswers(429);
    try {
      for (const path of ["/chat", "/openai/chat/completions"]) {
        const response = await stack.call(path, {
          user,
          json: { ...say(), ...{ model: "gpt-4o-mini" } },
        });
        expect(response.status).toBe(503);
        expect(response.headers.get("retry-after")).toBe("5");
      }
      proxy.authAnswers(403);
      expect((await chat(say())).status).toBe(401);
    } finally {
      proxy.authAnswers(undefined);
    }
  });
});

describe("A request that is wrong gets a 400 that says where", () => {
  const file = (url: string, mediaType = "image/png") => ({
    messages: [{ id: "1", role: "user", parts: [{ type: "file", mediaType, url }] }],
  });
  it.each([
    ["an address without a host", file("https:"), "messages.0"],
    ["an address that is none", file("https://["), "messages.0"],
    ["no base64", file("data:image/png;base64,@@@"), "messages.0"],
    ["a text that is not base64", file("data:text/plain,hello", "text/plain"), "messages.0"],
    ["NUL in a name", { ...say(), ...{ conversationId: "a\u0000b" } }, "conversationId"],
    ["half a character in a name", { ...say(), ...{ pathId: "\ud800" } }, "pathId"],
    ["NUL in a model", { ...say(), ...{ model: "openai/gpt\u0000" } }, "model"],
  ])("%s", async (_, body, path) => {
    const response = await chat(body);
    expect(await response.json()).toMatchObject({ error: "invalid_request", issues: [{ path }] });
    expect(response.status).toBe(400);
  });

  it("for a NUL in the name of a sandbox's conversation", async () => {
    const response = await stack.call("/sandbox", { user, json: { conversationId: "a\u0000" } });
    expect(response.status).toBe(400);
  });

  it("and one for a path that is not there does not reach /chat", async () => {
    expect((await stack.call("/chat/x/chat", { user, json: say() })).status).toBe(404);
  });
});

describe("An idempotency key", () => {
  const headers = { "idempotency-key": "k" };
  it("of another member gives a 409 that says so", async () => {
    const other = await stack.signUp();
    await stack.sql`
      insert into spend.tenant_members (tenant_id, user_id) values (${tenant.id}, ${other.id})`;
    expect((await chat({ ...say(), ...{ stream: false } }, { headers })).status).toBe(200);
    const response = await stack.call("/chat", { user: other, json: say(), headers });
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({
      error: "idempotency_conflict",
      message: expect.stringContaining("by another member"),
    });
  });

  it("that belongs to a further call of a request gives a 400", async () => {
    const response = await chat(say(), { headers: { "idempotency-key": "k#2" } });
    expect(response.status).toBe(400);
  });
});

describe("The OpenAI endpoint", () => {
  it("lists the models that an endpoint serves, by bare names too", async () => {
    const ids = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    expect(ids).toContain("openai/text-embedding-3-small");
    expect(ids).toContain("google/gemini-2.5-flash-image");
    expect(ids).toEqual(
      expect.arrayContaining(["openai/tts-1", "openai/gpt-4o-transcribe", "openai/gpt-image-1"]),
    );
    expect(ids.filter((id) => /realtime|davinci|dall-e/.test(id))).toEqual([]);
    expect((await openai.models.retrieve("gpt-4o-mini")).id).toBe("openai/gpt-4o-mini");
    await expect(openai.models.retrieve("nothing")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it("takes a fine-tuned model's bare name as OpenAI's", async () => {
    const completion = await openai.chat.completions.create({
      model: "ft:gpt-4o-mini-2024-07-18:acme::1",
      messages: [{ role: "user", content: "Hello" }],
    });
    expect(completion.choices[0]?.finish_reason).toBe("stop");
  });

  it.each([
    ["openai/text-embedding-3-small", ["one"]],
    ["openai/text-embedding-3-small", ["one", "two"]],
    ["google/gemini-embedding-001", ["one"]],
    ["google/gemini-embedding-001", ["one", "two"]],
  ])("gets embeddings from the stand-in: %s of %j", async (model, input) => {
    const answer = await openai.embeddings.create({ model, input, dimensions: 256 });
    expect(answer.data.map(({ embedding }) => embedding.length)).toEqual(input.map(() => 256));
    expect(answer.usage).toBeNull();
  });

  it("takes null as a value that is not set", async () => {
    const response = await stack.call("/openai/embeddings", {
      user,
      json: {
        ...{ model: "openai/text-embedding-3-small", input: "one" },
        ...{ dimensions: null, user: null, encoding_format: null },
      },
    });
    expect(response.status).toBe(200);
  });
});

it("A browser keeps a preflight's answer for two hours", async () => {
  const response = await stack.call("/chat", { method: "OPTIONS" });
  expect(response.headers.get("access-control-max-age")).toBe("7200");
});

it("After all of this the balances equal the ledger", async () => {
  expect(await verifyBalances(stack.sql)).toEqual([]);
});
