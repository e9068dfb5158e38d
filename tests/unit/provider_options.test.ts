// What reaches a provider beside the prompt: what is on the lists, at every level at which the AI SDK takes options.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider";
import { describe, expect, it } from "vitest";
import { boundCall, usageBound } from "../../functions/_shared/llm/bounds/token_bound.ts";
import { toUIMessages } from "../../functions/chat/request.ts";

type Params = LanguageModelV4CallOptions;
type Options = Params["providerOptions"];

const hello: Params["prompt"] = [{ role: "user", content: [{ type: "text", text: "Hello" }] }];
const product = (name: string) => {
  const [provider = "", model = ""] = name.split("/");
  return { provider, model };
};
const bound = (name: string, params: Partial<Params>) =>
  boundCall({ prompt: hello, ...params }, product(name), 100);

/** The body that the AI SDK sends for a call. */
async function bodyOf(name: string, params: Partial<Params>): Promise<Record<string, unknown>> {
  let body: Record<string, unknown> = {};
  const fetch = async (_: unknown, init?: RequestInit) => {
    body = JSON.parse(String(init?.body));
    return new Response("{}", { status: 400 });
  };
  const { provider, model } = product(name);
  const settings = { apiKey: "key", fetch: fetch as typeof globalThis.fetch };
  const models: Record<string, () => LanguageModelV4> = {
    openai: () =>
      /codex|-pro/.test(model)
        ? createOpenAI(settings).responses(model)
        : createOpenAI(settings).chat(model),
    anthropic: () => createAnthropic(settings)(model),
    google: () => createGoogleGenerativeAI(settings)(model),
  };
  const compatible = () =>
    createOpenAICompatible({ ...settings, name: provider, baseURL: "https://example.com" })(model);
  await (models[provider] ?? compatible)()
    .doGenerate(bound(name, params))
    .then(undefined, () => {});
  return body;
}

describe("Options of a call", () => {
  it.each([
    ["openai/gpt-4o", "openai", { serviceTier: "priority" }],
    ["openai/gpt-4o", "openai", { serviceTier: "auto" }],
    ["openai/gpt-4o", "openai", { maxCompletionTokens: 16_000 }],
    ["openai/gpt-4o", "openai", { prediction: { type: "content", content: "x" } }],
    ["openai/gpt-4o", "openai", { store: true }],
    ["openai/gpt-5-pro", "openai", { previousResponseId: "resp_1" }],
    ["openai/gpt-5-pro", "openai", { conversation: "conv_1" }],
    ["openai/gpt-5-pro", "openai", { instructions: "x" }],
    ["openai/gpt-5-pro", "openai", { include: ["file_search_call.results"] }],
    ["openai/gpt-5-pro", "openai", { reasoningMode: "pro" }],
    ["openai/gpt-5-pro", "openai", { promptCacheOptions: { ttl: "12h" } }],
    ["anthropic/claude-sonnet-4-5", "anthropic", { speed: "fast" }],
    ["anthropic/claude-sonnet-4-5", "anthropic", { inferenceGeo: "us" }],
    ["anthropic/claude-sonnet-4-5", "anthropic", { serviceTier: "auto" }],
    ["anthropic/claude-sonnet-4-5", "anthropic", { container: { id: "c" } }],
    ["anthropic/claude-sonnet-4-5", "anthropic", { mcpServers: [] }],
    ["anthropic/claude-sonnet-4-5", "anthropic", { fallbacks: "default" }],
    ["anthropic/claude-sonnet-4-5", "anthropic", { anthropicBeta: ["fast-mode"] }],
    [
      "anthropic/claude-sonnet-4-5",
      "anthropic",
      { contextManagement: { edits: [{ type: "compact_20260112" }] } },
    ],
    ["anthropic/claude-sonnet-4-5", "anthropic", { cacheControl: { type: "x" } }],
    ["google/gemini-2.5-flash", "google", { cachedContent: "cachedContents/1" }],
    ["google/gemini-2.5-flash", "google", { serviceTier: "priority" }],
    ["google/gemini-2.5-flash", "google", { responseModalities: ["AUDIO"] }],
    ["google/gemini-2.5-flash", "google", { imageConfig: { imageSize: "4K" } }],
    ["groq/llama", "groq", { service_tier: "performance" }],
    ["groq/llama", "groq", { n: 5 }],
    ["groq/llama", "openaiCompatible", { n: 5 }],
    ["groq/llama", "openai-compatible", { max_completion_tokens: 9 }],
    ["groq/llama", "groq", { max_tokens: 100_000 }],
    ["groq/llama", "groq", { messages: [] }],
    ["my-host/llama", "myHost", { n: 5 }],
    ["my-host/llama", "my-host", { model: "dearer" }],
    ["groq/llama", "groq", { whatComesNextYear: true }],
    ["openai/gpt-4o", "openai", { constructor: {} }],
    // Those of a fallback are looked at with the first model.
    ["openai/gpt-4o", "anthropic", { speed: "fast" }],
  ] as [string, string, Record<string, never>][])(
    "for %s, %s %j, are a 400 that names it",
    (name, key, options) => {
      const [option] = Object.keys(options);
      expect(() => bound(name, { providerOptions: { [key]: options } })).toThrow(
        expect.objectContaining({
          code: "invalid_request",
          status: 400,
          message: expect.stringContaining(`providerOptions.${key}.${option}`),
        }),
      );
    },
  );

  it("that change neither price nor bound are sent", async () => {
    const openai = {
      parallelToolCalls: false,
      user: "u",
      promptCacheKey: "k",
      reasoningEffort: "low",
    };
    expect(await bodyOf("openai/gpt-5", { providerOptions: { openai } })).toMatchObject({
      parallel_tool_calls: false,
      user: "u",
      prompt_cache_key: "k",
      reasoning_effort: "low",
      service_tier: "default",
      store: false,
    });
    const anthropic = { thinking: { type: "enabled", budgetTokens: 1024 }, effort: "low" };
    expect(
      await bodyOf("anthropic/claude-opus-4-5", { providerOptions: { anthropic } }),
    ).toMatchObject({ thinking: { type: "enabled", budget_tokens: 1024 } });
    const google = { thinkingConfig: { thinkingBudget: 0 }, threshold: "BLOCK_NONE" };
    expect(await bodyOf("google/gemini-2.5-flash", { providerOptions: { google } })).toMatchObject({
      generationConfig: { thinkingConfig: { thinkingBudget: 0 } },
    });
  });

  it("for a compatible provider reach it under each spelling of its name, the last of which wins", async () => {
    for (const key of ["my-host", "myHost", "openaiCompatible", "openai-compatible"]) {
      const providerOptions: Options = { [key]: { prompt_cache_key: "k", reasoningEffort: "low" } };
      expect(await bodyOf("my-host/llama", { providerOptions })).toMatchObject({
        prompt_cache_key: "k",
        reasoning_effort: "low",
      });
    }
    const providerOptions: Options = { openaiCompatible: { user: "a" }, myHost: { user: "b" } };
    expect(await bodyOf("my-host/llama", { providerOptions })).toMatchObject({ user: "b" });
  });

  it("as headers that could change what is called are a 400, and those that name who calls are sent", () => {
    for (const name of ["anthropic-beta", "Authorization", "x-api-key", "OpenAI-Organization"]) {
      expect(() => bound("openai/gpt-4o", { headers: { [name]: "x" } })).toThrow(`headers.${name}`);
    }
    expect(() => bound("openai/gpt-4o", { headers: { "User-Agent": "x" } })).not.toThrow();
  });
});

describe("OpenAI keeps nothing, and is asked for nothing that it keeps", () => {
  it("when a Responses model is asked, with store false and for its reasoning encrypted", async () => {
    expect(await bodyOf("openai/gpt-5-pro", {})).toMatchObject({
      store: false,
      include: ["reasoning.encrypted_content"],
      service_tier: "default",
    });
  });

  it("when a model is asked that the AI SDK does not know, but not one that has no reasoning to give", async () => {
    const include = ["reasoning.encrypted_content"];
    expect(await bodyOf("openai/next-codex", {})).toMatchObject({ store: false, include });
    const { providerOptions } = bound("openai/computer-use-preview", {});
    expect(providerOptions?.openai).toEqual({ store: false, serviceTier: "default" });
  });

  it("so that parts of a kind that only one provider knows are left out, and messages with nothing else", () => {
    const kind = "openai.compaction" as const;
    const custom: Params["prompt"][number] = {
      role: "assistant",
      content: [{ type: "custom", kind, providerOptions: { openai: { itemId: "cmp_A" } } }],
    };
    expect(bound("openai/gpt-5-codex", { prompt: [...hello, custom] }).prompt).toEqual(hello);
  });

  it("so that ids of reasoning, texts, tools, approvals and compactions do not leave, and encrypted reasoning does, as one item", async () => {
    const itemId = (id: string, more = {}) => ({ openai: { itemId: id, ...more } });
    const prompt: Params["prompt"] = [
      ...hello,
      {
        role: "assistant",
        content: [
          {
            type: "reasoning",
            text: "One.",
            providerOptions: itemId("rs_A", { reasoningEncryptedContent: null }),
          },
          {
            type: "reasoning",
            text: "Two.",
            providerOptions: itemId("rs_A", { reasoningEncryptedContent: "secret" }),
          },
          { type: "reasoning", text: "", providerOptions: itemId("rs_B") },
          { type: "text", text: "Hi", providerOptions: itemId("msg_A", { phase: "final_answer" }) },
          { type: "custom", kind: "openai.compaction", providerOptions: itemId("cmp_A") },
          {
            type: "tool-call",
            toolCallId: "call_1",
            toolName: "look",
            input: {},
            providerOptions: itemId("fc_A"),
            ...({ providerMetadata: itemId("fc_B") } as object),
          },
          {
            type: "tool-call",
            toolCallId: "ws_A",
            toolName: "file_search",
            input: {},
            providerExecuted: true,
          },
          {
            type: "tool-result",
            toolCallId: "ws_A",
            toolName: "file_search",
            output: { type: "json", value: {} },
          },
        ],
      },
      {
        role: "tool",
        content: [
          { type: "tool-approval-response", approvalId: "apr_A", approved: true },
          {
            type: "tool-result",
            toolCallId: "call_1",
            toolName: "look",
            output: { type: "text", value: "42" },
          },
        ],
      },
    ];
    const { input } = await bodyOf("openai/gpt-5-codex", { prompt });
    expect(input).toEqual([
      { role: "user", content: [{ type: "input_text", text: "Hello" }] },
      {
        type: "reasoning",
        encrypted_content: "secret",
        summary: [{ type: "summary_text", text: "One.\n\nTwo." }],
      },
      { role: "assistant", content: "Hi", phase: "final_answer" },
      { type: "function_call", call_id: "call_1", name: "look", arguments: "{}" },
      { type: "function_call_output", call_id: "call_1", output: "42" },
    ]);
  });

  it.each(["image/png", "application/pdf", "text/plain"])(
    "and a file of type %s by a provider's id is a 400",
    (mediaType) => {
      const data = { type: "reference" as const, reference: { openai: "file-A" } };
      const file = { type: "file" as const, mediaType, data };
      const output = { type: "content" as const, value: [file] };
      const prompts: Params["prompt"][] = [
        [{ role: "user", content: [file] }],
        [{ role: "assistant", content: [file] }],
        [
          {
            role: "tool",
            content: [{ type: "tool-result", toolCallId: "1", toolName: "t", output }],
          },
        ],
      ];
      for (const prompt of prompts) {
        expect(() => bound("openai/gpt-4o", { prompt })).toThrow("never by a provider's id");
      }
    },
  );
});

describe("Options of messages, parts and tools", () => {
  const image = { type: "image_url", image_url: { url: "https://example.com/a.png" } };

  it.each([
    [
      "of a message",
      { role: "user", content: hello[0]?.content, providerOptions: { openaiCompatible: image } },
    ],
    [
      "of a part",
      {
        role: "user",
        content: [{ type: "text", text: "x", providerOptions: { openaiCompatible: image } }],
      },
    ],
    ["of a system message", { role: "system", content: "x", providerOptions: { groq: image } }],
  ])("that a caller writes %s are a 400 where they are not allowed", (_, message) => {
    const prompt = [message] as Params["prompt"];
    expect(() => bound("groq/llama", { prompt })).toThrow(/providerOptions\.\w+\.type/);
  });

  it.each([
    ["anthropic/claude-sonnet-4-5", { anthropic: { containerUpload: true } }],
    ["anthropic/claude-sonnet-4-5", { anthropic: { toolChanges: [] } }],
    ["openai/gpt-5-codex", { openai: { additionalTools: [] } }],
    ["openai/gpt-4o", { openai: { imageDetail: "original" } }],
    ["google/gemini-2.5-flash", { google: { videoMetadata: {} } }],
  ] as [string, Options][])("%s %j on a user's message is a 400", (name, providerOptions) => {
    const prompt = hello.map((message) => ({ ...message, providerOptions }));
    expect(() => bound(name, { prompt })).toThrow("is not allowed");
  });

  it("for a tool are its cache, and nothing that puts it elsewhere", () => {
    const tools = (options: Record<string, never>): Params["tools"] => [
      { type: "function", name: "look", inputSchema: {}, providerOptions: { anthropic: options } },
    ];
    const claude = "anthropic/claude-sonnet-4-5";
    const cached = { cacheControl: { type: "ephemeral" } } as never;
    expect(bound(claude, { tools: tools(cached) }).tools?.[0]).toMatchObject({
      providerOptions: { anthropic: cached },
    });
    const options = { allowedCallers: ["code_execution_20250825"] } as never;
    expect(() => bound(claude, { tools: tools(options) })).toThrow("allowedCallers");
  });

  it("on answers that go back are left out, but for what a provider needs to go on", async () => {
    const answer = (providerOptions: Options): Params["prompt"] => [
      ...hello,
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "Hm.", providerOptions },
          { type: "tool-call", toolCallId: "1", toolName: "look", input: {}, providerOptions },
        ],
        providerOptions,
      },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            toolCallId: "1",
            toolName: "look",
            providerOptions,
            output: { type: "content", value: [{ type: "text", text: "42", providerOptions }] },
          },
        ],
        providerOptions,
      },
    ];
    const anthropic = {
      signature: "sig",
      caller: { type: "direct" },
      type: "mcp-tool-use",
      serverName: "evil",
    };
    const claude = await bodyOf("anthropic/claude-opus-4-5", { prompt: answer({ anthropic }) });
    expect(JSON.stringify(claude)).toContain('"signature":"sig"');
    expect(JSON.stringify(claude)).not.toMatch(/mcp|evil|caller/);

    const google = { thoughtSignature: "sig", serverToolCallId: "evil", serverToolType: "evil" };
    const gemini = await bodyOf("google/gemini-2.5-flash", { prompt: answer({ google }) });
    expect(JSON.stringify(gemini)).toContain('"thoughtSignature":"sig"');
    expect(JSON.stringify(gemini)).not.toContain("evil");

    const llama = await bodyOf("my-host/llama", {
      prompt: answer({ openaiCompatible: image as never, myHost: { thoughtSignature: "sig" } }),
    });
    expect(JSON.stringify(llama)).toContain('"thought_signature":"sig"');
    expect(JSON.stringify(llama)).not.toContain("example.com");
  });

  it("such as cache_control reach Claude under both spellings, and a compatible provider's parts", async () => {
    const part = (providerOptions: Options): Params["prompt"] => [
      {
        role: "user",
        content: [
          { type: "text", text: "a", providerOptions },
          { type: "text", text: "b" },
        ],
      },
    ];
    const ephemeral = { type: "ephemeral" };
    for (const anthropic of [{ cacheControl: ephemeral }, { cache_control: ephemeral }]) {
      const body = await bodyOf("anthropic/claude-opus-4-5", { prompt: part({ anthropic }) });
      expect(JSON.stringify(body)).toContain('"cache_control":{"type":"ephemeral"}');
    }
    const body = await bodyOf("openrouter/claude", {
      prompt: part({ openaiCompatible: { cache_control: ephemeral } }),
    });
    expect(JSON.stringify(body)).toContain('"cache_control":{"type":"ephemeral"}');
  });

  it("that ask for an hour's cache are held as such", () => {
    const anthropic = { cacheControl: { type: "ephemeral", ttl: "1h" } };
    const prompt = hello.map((message) => ({ ...message, providerOptions: { anthropic } }));
    const claude = "anthropic/claude-sonnet-4-5";
    const usage = usageBound(bound(claude, { prompt }), product(claude));
    expect(usage.cache_write_1h_tokens).toBe(usage.input_tokens);
  });
});

describe("The output that Claude is asked for", () => {
  const asked = [
    { reasoning: "xhigh" },
    { reasoning: "none" },
    { providerOptions: { anthropic: { thinking: { type: "enabled" } } } },
    { providerOptions: { anthropic: { thinking: { type: "enabled", budgetTokens: 20_000 } } } },
    { providerOptions: { anthropic: { thinking: { type: "adaptive" } } } },
  ] satisfies Partial<Params>[];
  // Of the first two the AI SDK does not know the limit.
  const models = [
    "claude-3-7-sonnet-latest",
    "claude-3-5-haiku-latest",
    "claude-3-haiku-20240307",
    "claude-opus-4-1",
    "claude-sonnet-4-5",
    "claude-opus-4-8",
  ];

  it.each(asked)("is never more than is held, with %j", async (fields) => {
    for (const model of models) {
      const name = `anthropic/${model}`;
      const params = { ...fields, maxOutputTokens: 1_000_000 };
      const { max_tokens: most } = await bodyOf(name, params);
      const { output_tokens: held } = usageBound(bound(name, params), product(name));
      expect(Number(held), model).toBeGreaterThanOrEqual(Number(most));
    }
  });
});

describe("What a browser may say of its messages' parts", () => {
  const message = (role: string, ...parts: object[]) => ({ id: "1", role, parts }) as never;

  it("is what a provider needs to go on, wherever it stands: the rest is left out", async () => {
    const said = {
      openai: { itemId: "rs_A", reasoningEncryptedContent: "secret", store: true },
      openaiCompatible: { type: "image_url", image_url: { url: "https://example.com" } },
      anthropic: { signature: "sig", containerUpload: true },
      evil: { n: 5 },
    };
    const kept = {
      openai: { itemId: "rs_A", reasoningEncryptedContent: "secret" },
      anthropic: { signature: "sig" },
    };
    const file = {
      type: "file",
      mediaType: "image/png",
      url: "data:image/png;base64,AAAA",
      providerMetadata: said,
    };
    const [first, second] = await toUIMessages([
      message(
        "assistant",
        { type: "reasoning", text: "Hm.", providerMetadata: said },
        { type: "custom", kind: "openai.compaction", providerMetadata: said },
        {
          type: "tool-look",
          toolCallId: "1",
          state: "output-available",
          input: {},
          output: 42,
          providerExecuted: true,
          callProviderMetadata: said,
          resultProviderMetadata: said,
        },
        {
          type: "steering-message",
          id: "2",
          parts: [{ type: "text", text: "x", providerMetadata: said }],
        },
      ),
      message("user", { type: "text", text: "Hello", providerMetadata: said }, file),
    ]);
    expect(first?.parts).toMatchObject([
      { type: "reasoning", providerMetadata: kept },
      { type: "tool-look", callProviderMetadata: kept, resultProviderMetadata: kept },
      { type: "steering-message", parts: [{ type: "text", providerMetadata: kept }] },
    ]);
    expect(second?.parts).toMatchObject([{ providerMetadata: kept }, { providerMetadata: kept }]);
    expect(JSON.stringify([first, second])).not.toMatch(
      /image_url|containerUpload|evil|store|providerExecuted/,
    );
  });

  it("is looked at in a steering message's file like in all files", async () => {
    const url = "https://example.com/a.pdf";
    const steering = {
      type: "steering-message",
      id: "2",
      parts: [{ type: "file", mediaType: "application/pdf", url }],
    };
    await expect(toUIMessages([message("assistant", steering)])).rejects.toThrow(/messages\.0/);
  });
});
