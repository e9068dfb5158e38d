// Nothing that changes the bill gets past the checks, from a browser or from a function of your own.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  answers,
  refuses,
  type ScriptedProvider,
  startScriptedProvider,
} from "../support/provider.ts";
import {
  startTestStack,
  type TestStack,
  type TestTenant,
  type TestUser,
} from "../support/stack.ts";

let provider: ScriptedProvider;

beforeAll(async () => {
  provider = await startScriptedProvider();
});
afterAll(() => provider.stop());

const environment = () => ({
  ...provider.env,
  GROQ_KEY: "local",
  SPENDGATE_PROVIDERS: JSON.stringify({
    groq: { baseUrl: provider.env.OPENAI_BASE_URL, apiKeyEnv: "GROQ_KEY" },
  }),
});

describe("A browser", () => {
  let stack: TestStack;
  let user: TestUser;
  let tenant: TestTenant;

  beforeAll(async () => {
    stack = await startTestStack({ env: environment() });
    user = await stack.signUp();
    tenant = await stack.createTenant({ members: [user] });
  });
  afterAll(() => stack.stop());

  const send = (model: string, messages: unknown[]) =>
    stack.call("/chat", { user, json: { model, messages, stream: false } });
  const reservations = () =>
    stack.sql`select status from spend.reservations where tenant_id = ${tenant.id}`;

  it("cannot have somebody else's stored answer read, because its ids are not sent", async () => {
    provider.plays(refuses(500));
    const providerMetadata = (itemId: string) => ({ openai: { itemId } });
    const response = await send("openai/gpt-5-codex", [
      {
        id: "1",
        role: "assistant",
        parts: [
          { type: "reasoning", text: "", providerMetadata: providerMetadata("rs_A") },
          { type: "text", text: ".", providerMetadata: providerMetadata("msg_A_secret") },
        ],
      },
      { id: "2", role: "user", parts: [{ type: "text", text: "Repeat that." }] },
    ]);
    await response.text();
    expect(provider.journal.at(-1)?.body).toMatchObject({
      store: false,
      include: ["reasoning.encrypted_content"],
      input: [
        { role: "assistant", content: "." },
        { role: "user", content: [{ type: "input_text", text: "Repeat that." }] },
      ],
    });
  });

  it("cannot turn a text into an image or a file", async () => {
    provider.plays(answers("Hello", { prompt_tokens: 10, completion_tokens: 5 }));
    const url = "https://example.com/a.png";
    for (const openaiCompatible of [
      { type: "image_url", image_url: { url } },
      { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } },
      { type: "file", file: { file_id: "file-A" } },
    ]) {
      const parts = [{ type: "text", text: "Look", providerMetadata: { openaiCompatible } }];
      const response = await send("groq/llama-3.3-70b-versatile", [
        { id: "1", role: "user", parts },
      ]);
      expect(response.status).toBe(200);
      expect(provider.journal.at(-1)?.body.messages).toEqual([{ role: "user", content: "Look" }]);
    }
  });

  it("is refused a PDF whose pages cannot be counted, before anything is held", async () => {
    const calls = provider.journal.length;
    const held = (await reservations()).length;
    const url = `data:application/pdf;base64,${btoa("1 0 obj<</Encrypt 2 0 R>>endobj")}`;
    const parts = [{ type: "file", mediaType: "application/pdf", url }];
    const response = await send("openai/gpt-4o", [{ id: "1", role: "user", parts }]);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: "invalid_request",
      message: expect.stringContaining("it is encrypted"),
    });
    expect(provider.journal).toHaveLength(calls);
    expect(await reservations()).toHaveLength(held);
  });

  it("is refused 101 texts for a model that takes 100, and 8,193 words in one text, before anything is held", async () => {
    const held = (await reservations()).length;
    for (const [model, input] of [
      ["google/gemini-embedding-001", Array(101).fill("x")],
      ["openai/text-embedding-3-small", "word ".repeat(8193)],
    ]) {
      const response = await stack.call("/openai/embeddings", { user, json: { model, input } });
      expect(response.status).toBe(400);
    }
    expect(await reservations()).toHaveLength(held);
    expect(stack.journal()).toHaveLength(0);
  });
});

describe("A function of one's own", () => {
  let stack: TestStack;
  let user: TestUser;
  let tenant: TestTenant;

  beforeAll(async () => {
    stack = await startTestStack({
      env: environment(),
      functionsFolder: fileURLToPath(new URL("../support/functions", import.meta.url)),
    });
    user = await stack.signUp();
    tenant = await stack.createTenant({ members: [user] });
  });
  afterAll(() => stack.stop());

  it.each([
    ["anthropic/claude-sonnet-4-5", { anthropic: { speed: "fast", inferenceGeo: "us" } }, "speed"],
    ["google/gemini-2.5-flash", { google: { serviceTier: "priority" } }, "serviceTier"],
    ["google/gemini-2.5-flash", { google: { cachedContent: "cachedContents/1" } }, "cachedContent"],
    ["groq/llama-3.3-70b-versatile", { groq: { n: 5 } }, "n"],
    ["groq/llama-3.3-70b-versatile", { groq: { service_tier: "performance" } }, "service_tier"],
    ["openai/gpt-4o", { openai: { maxCompletionTokens: 16_000 } }, "maxCompletionTokens"],
  ])(
    "that calls %s with %j gets a 400 that names the option, and nothing is held or sent",
    async (model, providerOptions, option) => {
      const response = await stack.call("/lab", { user, json: { model, providerOptions } });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({
        error: "invalid_request",
        issues: [
          { path: expect.stringMatching(new RegExp(`^providerOptions\\.\\w+\\.${option}$`)) },
        ],
      });
      expect(stack.journal()).toHaveLength(0);
      expect(
        await stack.sql`select from spend.reservations where tenant_id = ${tenant.id}`,
      ).toHaveLength(0);
    },
  );

  it("may send the options that change neither price nor bound", async () => {
    provider.plays(answers("Hello", { prompt_tokens: 10, completion_tokens: 5 }));
    const providerOptions = { groq: { prompt_cache_key: "k", user: "u" } };
    const json = { model: "groq/llama-3.3-70b-versatile", providerOptions };
    expect((await stack.call("/lab", { user, json })).status).toBe(200);
    expect(provider.journal.at(-1)?.body).toMatchObject({ prompt_cache_key: "k", user: "u" });
  });
});
