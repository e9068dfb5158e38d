// What is held for a call: never less than what its provider can bill for its files, its tools and its texts.
import { readFileSync } from "node:fs";
import type { EmbeddingModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import {
  boundEmbedding,
  embeddingBound,
} from "../../functions/_shared/llm/bounds/embedding_bound.ts";
import { modelLimits } from "../../functions/_shared/llm/bounds/model_limits.ts";
import { boundCall, usageBound } from "../../functions/_shared/llm/bounds/token_bound.ts";

type Params = LanguageModelV4CallOptions;

const hello: Params["prompt"] = [{ role: "user", content: [{ type: "text", text: "Hello" }] }];
const product = (name: string) => {
  const [provider = "", model = ""] = name.split("/");
  return { provider, model };
};
const held = (name: string, params: Partial<Params> = {}) =>
  usageBound(boundCall({ prompt: hello, ...params }, product(name), 100), product(name));
const claude = "anthropic/claude-sonnet-4-5";

describe("A PDF", () => {
  const pdf = (data: string | Uint8Array): Params["prompt"] => [
    {
      role: "user",
      content: [{ type: "file", mediaType: "application/pdf", data: { type: "data", data } }],
    },
  ];
  const blank = (pages: number) =>
    btoa(
      Array.from({ length: pages }, (_, at) => `${at + 1} 0 obj<</Type/Page>>endobj\n`).join(""),
    );

  it.each([
    // Claude: a page is an image of at most 1,600 tokens and 1,500 to 3,000 tokens of text.
    [claude, 100, 100 * (2000 + 3000)],
    ["anthropic/claude-opus-4-8", 10, 10 * (5000 + 3000)],
    // A page is an image of 25,000 tokens and more: ten of them fill its context.
    ["openai/gpt-4o-mini", 100, 128_000],
    ["openai/gpt-4o-mini", 2, 2 * (50_000 + 3000)],
    ["google/gemini-2.5-flash", 10, 10 * (5000 + 3000)],
  ])("of %s with %i blank pages counts at least %i tokens", (name, pages, tokens) => {
    const input = Number(held(name, { prompt: pdf(blank(pages)) }).input_tokens);
    expect(input).toBeGreaterThanOrEqual(tokens);
    expect(input).toBeLessThan(tokens + 500);
  });

  it("with more text than its pages have as a rule counts its bytes", () => {
    const text = `2 0 obj<<>>stream\n${"a".repeat(50_000)}\nendstream endobj`;
    const data = btoa(`1 0 obj<</Type/Page/Contents 2 0 R>>endobj\n${text}`);
    expect(Number(held(claude, { prompt: pdf(data) }).input_tokens)).toBeGreaterThan(52_000);
  });

  it("counts as base64 and as bytes, in a message and from a tool", () => {
    const data = readFileSync(new URL("./pdfs/twelve_pages_object_streams.pdf", import.meta.url));
    const asked = held(claude, { prompt: pdf(data.toString("base64")) }).input_tokens;
    expect(asked).toBeGreaterThan(12 * 5000);
    expect(held(claude, { prompt: pdf(new Uint8Array(data)) }).input_tokens).toBe(asked);
    const file = {
      type: "file" as const,
      mediaType: "application/pdf",
      data: { type: "data" as const, data: data.toString("base64") },
    };
    const output = { type: "content" as const, value: [file] };
    const prompt: Params["prompt"] = [
      {
        role: "tool",
        content: [{ type: "tool-result", toolCallId: "1", toolName: "read", output }],
      },
    ];
    expect(held(claude, { prompt }).input_tokens).toBeGreaterThan(12 * 5000);
  });

  it.each([
    ["is encrypted", readFileSync(new URL("./pdfs/encrypted.pdf", import.meta.url))],
    ["has no pages", Buffer.from("hello")],
  ])("whose pages cannot be counted is a 400: it %s", (_, data) => {
    expect(() => held(claude, { prompt: pdf(data.toString("base64")) })).toThrow(
      expect.objectContaining({
        code: "invalid_request",
        message: expect.stringContaining("The pages of a PDF cannot be counted"),
      }),
    );
    expect(() => held(claude, { prompt: pdf("%%%") })).toThrow("it is not base64");
  });
});

describe("An image", () => {
  // The documented maxima: docs.claude.com (vision), platform.openai.com (images and vision), ai.google.dev (tokens).
  it.each([
    ["anthropic/claude-sonnet-4-5", 1600],
    ["anthropic/claude-opus-4-7", 4784],
    ["openai/gpt-4o", 85 + 170 * 8],
    ["openai/gpt-4o-mini", 2833 + 5667 * 8],
    ["openai/gpt-4.1-mini", 1536 * 1.62],
    ["openai/gpt-4.1-nano", 1536 * 2.46],
    ["openai/gpt-5", 70 + 140 * 8],
    ["openai/o1", 75 + 150 * 8],
    ["openai/o4-mini", 1536 * 1.72],
    ["google/gemini-2.5-flash", 258 * 16],
    ["google/gemini-3-pro-preview", 2240],
  ])("of %s counts no less than %d tokens", (name, tokens) => {
    expect(modelLimits(product(name)).image).toBeGreaterThanOrEqual(tokens);
  });
});

describe("A file in what a tool answered", () => {
  type Output = Extract<Params["prompt"][number], { role: "tool" }>["content"][number];
  type File = Extract<
    Extract<
      Extract<Output, { type: "tool-result" }>["output"],
      { type: "content" }
    >["value"][number],
    { type: "file" }
  >;
  const heldFor = (name: string, file: Omit<File, "type">) => {
    const output = { type: "content" as const, value: [{ type: "file" as const, ...file }] };
    const content = [{ type: "tool-result" as const, toolCallId: "1", toolName: "read", output }];
    return Number(held(name, { prompt: [{ role: "tool", content }] }).input_tokens);
  };
  const long = '"'.repeat(100_000);
  const data = { type: "data" as const, data: "iVBORw0KGgo=" };
  const url = new URL(`https://a.dev/${"a".repeat(200_000)}`);

  // Google is sent the whole item as JSON, where it is not inline data.
  it.each<[string, Omit<File, "type">]>([
    ["name", { mediaType: "image/png", data, filename: long }],
    ["text, as JSON", { mediaType: "text/plain", data: { type: "text", text: long } }],
    [
      "text that is called an image",
      { mediaType: "image/png", data: { type: "text", text: long } },
    ],
    ["address", { mediaType: "image/png", data: { type: "url", url } }],
  ])("counts with its %s", (_, file) => {
    expect(heldFor("google/gemini-2.5-pro", file)).toBeGreaterThan(200_000);
  });

  it("counts as the text that a compatible provider is sent of it, and on Claude as an image", () => {
    const file = {
      mediaType: "image/png",
      data: { type: "data" as const, data: "A".repeat(200_000) },
    };
    expect(heldFor("groq/llama-4", file)).toBeGreaterThan(200_000);
    expect(heldFor(claude, file)).toBeLessThan(3000);
  });
});

describe("Tools", () => {
  const schema = { type: "object", properties: {} } as const;

  it("which the AI SDK makes of a schema count like others: a prompt for tools has up to 935 tokens on Claude", () => {
    const plain = Number(held("anthropic/claude-3-5-haiku-latest").input_tokens);
    const responseFormat = { type: "json" as const, schema };
    expect(
      held("anthropic/claude-3-5-haiku-latest", { responseFormat }).input_tokens,
    ).toBeGreaterThan(plain + 935);
    const tools: Params["tools"] = [{ type: "function", name: "look", inputSchema: schema }];
    expect(held(claude, { tools }).input_tokens).toBeGreaterThan(plain + 935);
  });

  const provided = (id: `${string}.${string}`, args = {}): Params["tools"] => [
    { type: "provider", id, name: "tool", args },
  ];

  it("which search may fill the context with what they find, and each search is held", () => {
    expect(
      held(claude, { tools: provided("anthropic.web_search_20250305", { maxUses: 3 }) }),
    ).toMatchObject({
      input_tokens: 1_000_000,
      web_searches: 3,
    });
    const tools = provided("openai.web_search");
    const providerOptions = { openai: { maxToolCalls: 4 } };
    expect(held("openai/gpt-5-pro", { tools, providerOptions })).toMatchObject({ web_searches: 4 });
    expect(
      held("google/gemini-2.5-flash", { tools: provided("google.google_search") }),
    ).toMatchObject({ web_searches: 10 });
  });

  it.each([
    [claude, "anthropic.web_search_20250305", "its maxUses"],
    ["openai/gpt-5-pro", "openai.web_search", "maxToolCalls"],
    [claude, "anthropic.code_execution_20250825", "cannot be bounded"],
    [claude, "anthropic.web_fetch_20250910", "cannot be bounded"],
    ["openai/gpt-5-pro", "openai.file_search", "cannot be bounded"],
    ["openai/gpt-5-pro", "openai.mcp", "cannot be bounded"],
    ["openai/gpt-5-pro", "openai.image_generation", "cannot be bounded"],
    ["google/gemini-2.5-flash", "google.url_context", "cannot be bounded"],
    ["google/gemini-2.5-flash", "google.what_comes_next", "cannot be bounded"],
  ] as [string, `${string}.${string}`, string][])(
    "of %s, %s, are a 400 that says why",
    (name, id, message) => {
      expect(() => held(name, { tools: provided(id) })).toThrow(message);
    },
  );

  it("which run here, and those of another provider, are let pass", () => {
    expect(
      held(claude, { tools: provided("anthropic.bash_20250124") }).input_tokens,
    ).toBeGreaterThan(2000);
    expect(held("groq/llama", { tools: provided("openai.mcp") }).web_searches).toBeUndefined();
  });
});

describe("Embeddings", () => {
  const model = (maxEmbeddingsPerCall: number) => ({ maxEmbeddingsPerCall }) as EmbeddingModelV4;
  const bound = (name: string, values: string[], most = 2048, providerOptions = {}) =>
    boundEmbedding({ values, providerOptions }, model(most), product(name));

  it.each([
    ["google/gemini-embedding-001", Array(101).fill("x"), 100, "101 texts are more than the 100"],
    ["openai/text-embedding-3-small", Array(2049).fill("x"), 2048, "2049 texts"],
    ["openai/text-embedding-3-small", ["word ".repeat(8193)], 2048, "at least 8193 tokens"],
    ["openai/text-embedding-3-small", ["1".repeat(3 * 8193)], 2048, "at least 8193 tokens"],
    ["openai/text-embedding-3-small", ["a".repeat(128 * 8193)], 2048, "at least 8193 tokens"],
    [
      "openai/text-embedding-3-small",
      Array(40).fill("word ".repeat(8000)),
      2048,
      "The texts have at least",
    ],
  ])("of %s known to be too many are a 400", async (name, values, most, message) => {
    await expect(bound(name, values, most)).rejects.toMatchObject({
      code: "invalid_request",
      message: expect.stringContaining(message),
    });
  });

  it("that may fit are sent: 100 texts, 8,192 words, 300,000 tokens", async () => {
    await bound("google/gemini-embedding-001", Array(100).fill("x"), 100);
    await bound("openai/text-embedding-3-small", ["word ".repeat(8192)]);
    await bound("openai/text-embedding-3-small", Array(37).fill("word ".repeat(8108)));
  });

  it("take the options that change neither price nor bound", async () => {
    const options = { openai: { dimensions: 256 }, google: { outputDimensionality: 256 } };
    const openai = await bound("openai/text-embedding-3-small", ["x"], 1, options);
    expect(openai.providerOptions).toEqual({ openai: { dimensions: 256 } });
    const google = { google: { content: [[{ fileData: { fileUri: "files/1", mimeType: "x" } }]] } };
    await expect(bound("google/gemini-embedding-001", ["x"], 1, google)).rejects.toThrow(
      "providerOptions.google.content",
    );
  });

  it("hold a token for each byte, and two for each text", () => {
    expect(embeddingBound(["añb", "c"], product("openai/x")).input_tokens).toBe(4 + 2 + 1 + 2);
  });
});
