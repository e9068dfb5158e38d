// A request in Anthropic's format, as it reaches a provider: Claude gets it as it was written, and what another provider
// has no place for is named.

import { createAnthropic } from "@ai-sdk/anthropic";
import { getModelCapabilities } from "@ai-sdk/anthropic/internal";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SpendgateError } from "../../functions/_shared/errors.ts";
import { boundCall, usageBound } from "../../functions/_shared/llm/bounds/token_bound.ts";
import { readEnv } from "../../functions/_shared/runtime/env.ts";
import { TAKES_NO_BUDGET, toCall } from "../../functions/anthropic/call_options.ts";
import { countRequest, messageRequest } from "../../functions/anthropic/message_request.ts";
import { mutated, runs, seed } from "../fuzz/hostile.ts";

const env = readEnv({
  SUPABASE_URL: "http://localhost",
  SUPABASE_ANON_KEY: "key",
  SUPABASE_SERVICE_ROLE_KEY: "key",
});
const CLAUDE = "claude-sonnet-4-5";
const PNG = "iVBORw0KGgo=";
/** One blank page. */
const PDF = btoa(
  "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
);
const cache_control = { type: "ephemeral", ttl: "1h" };
const hello = [{ role: "user", content: "Hello" }];
const body = (fields: object = {}) => ({
  model: CLAUDE,
  max_tokens: 2000,
  messages: hello,
  ...fields,
});

const read = (given: object) => messageRequest(env).parse(given);
const callOf = (given: object, provider: string, headers = {}) =>
  toCall(read(given), provider, new Headers(headers));

/** What Anthropic is sent for a request. */
async function sentFor(given: object, headers = {}, name = CLAUDE) {
  let sent = { body: "", headers: new Headers() };
  const fetch = async (_: unknown, init?: RequestInit) => {
    sent = { body: String(init?.body), headers: new Headers(init?.headers) };
    return new Response("{}", { status: 400 });
  };
  const { options } = callOf(given, "anthropic", headers);
  const product = { provider: "anthropic", model: name };
  const bounded = boundCall(options, product, 100);
  const model = createAnthropic({ apiKey: "key", fetch: fetch as typeof globalThis.fetch })(name);
  await Promise.resolve(model.doGenerate(bounded)).catch(() => {});
  return { ...sent, json: JSON.parse(sent.body), held: usageBound(bounded, product) };
}

const weather = {
  name: "weather",
  description: "The weather",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
};
/** What Claude-Code-like tools send, and keep sending. */
const FULL = body({
  system: [
    { type: "text", text: "You are an agent." },
    { type: "text", text: "Rules.", cache_control },
  ],
  tools: [weather, { ...weather, name: "other", cache_control: { type: "ephemeral" } }],
  tool_choice: { type: "auto", disable_parallel_tool_use: true },
  thinking: { type: "enabled", budget_tokens: 1024 },
  stop_sequences: ["END"],
  metadata: { user_id: "user_1" },
  messages: [
    {
      role: "user",
      content: [
        { type: "text", text: "Look." },
        { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } },
        { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
        {
          type: "document",
          title: "Page",
          context: "Blank",
          source: { type: "base64", media_type: "application/pdf", data: PDF },
        },
      ],
    },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Hm.", signature: "signed" },
        { type: "redacted_thinking", data: "hidden" },
        { type: "text", text: "I look." },
        { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Cork" } },
        { type: "tool_use", id: "toolu_2", name: "other", input: {} },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "toolu_1", content: "Rain." },
        {
          type: "tool_result",
          tool_use_id: "toolu_2",
          is_error: true,
          content: [{ type: "text", text: "It fails." }],
        },
        { type: "text", text: "Go on.", cache_control: { type: "ephemeral" } },
      ],
    },
  ],
});

describe("Claude is sent", () => {
  it("what was written, with every cache_control and signature where it was", async () => {
    const { json } = await sentFor(FULL);
    const expected = structuredClone(FULL);
    const [, , last] = expected.messages as unknown as { content: { content?: unknown }[] }[];
    // An error is a text in the AI SDK.
    (last?.content[1] as { content: unknown }).content = "It fails.";
    expect(json).toEqual(expected);
  });

  it("the same bytes for what two turns have in common", async () => {
    const next = [
      ...(FULL.messages as unknown as object[]),
      { role: "assistant", content: [{ type: "text", text: "Done." }] },
      { role: "user", content: "Thanks." },
    ];
    const [one, two] = [await sentFor(FULL), await sentFor({ ...FULL, messages: next })];
    const shared = JSON.stringify(one.json.messages).slice(0, -1);
    expect(two.body).toContain(shared);
    for (const field of ["system", "tools"]) {
      expect(JSON.stringify(two.json[field])).toBe(JSON.stringify(one.json[field]));
    }
  });

  it.each([
    ["output_config", { output_config: { effort: "low" } }],
    ["cache_control", { cache_control: { type: "ephemeral" } }],
    ["service_tier", { service_tier: "standard_only" }],
    ["thinking", { thinking: { type: "disabled" } }],
    [
      "context_management",
      { context_management: { edits: [{ type: "clear_thinking_20251015", keep: "all" }] } },
    ],
    ["tools", { tools: [{ type: "bash_20250124", name: "bash" }] }],
    ["tools", { tools: [{ ...weather, eager_input_streaming: true }] }],
    ["tool_choice", { tools: [weather], tool_choice: { type: "tool", name: "weather" } }],
    ["tool_choice", { tools: [weather], tool_choice: { type: "any" } }],
    ["top_k", { top_k: 5 }],
    ["temperature", { temperature: 0.5 }],
  ])("%s as it was written: %j", async (field, fields) => {
    const { json } = await sentFor(body(fields));
    expect(json[field]).toEqual((fields as Record<string, unknown>)[field]);
  });

  it("a schema for its answer as its own format, whichever name it has", async () => {
    const schema = { type: "object", properties: {}, additionalProperties: false };
    const format = { type: "json_schema", schema };
    for (const fields of [{ output_config: { format } }, { output_format: format }]) {
      expect((await sentFor(body(fields))).json.output_config).toEqual({ format });
    }
  });

  it("the betas that change how it answers, and no other", async () => {
    const header = "claude-code-20250219, interleaved-thinking-2025-05-14,fast-mode-2026-02-01";
    const { headers } = await sentFor(body(), { "anthropic-beta": header });
    expect(headers.get("anthropic-beta")).toBe("interleaved-thinking-2025-05-14");
    const { ignored } = callOf(body(), "anthropic", { "anthropic-beta": header });
    expect([...ignored]).toEqual(["anthropic-beta:fast-mode-2026-02-01"]);
  });
});

describe("The bound of the output", () => {
  const boundOf = (fields: object) => {
    const product = { provider: "anthropic", model: CLAUDE };
    const { options } = callOf(body(fields), "anthropic");
    return usageBound(boundCall(options, product, 100), product).output_tokens;
  };
  it.each([
    ["without thinking", {}],
    ["with a budget of thinking", { thinking: { type: "enabled", budget_tokens: 1500 } }],
    ["with thinking that adapts", { thinking: { type: "adaptive" } }],
    ["with thinking turned off", { thinking: { type: "disabled" } }],
  ])("is max_tokens %s", (_, fields) => {
    expect(boundOf(fields)).toBe(2000);
  });
});

it.each([
  // The AI SDK knows the limit of this one, and not of the others.
  ["claude-sonnet-4-5", 128_000, 64_000, 64_000],
  ["claude-3-7-sonnet-latest", 128_000, 32_000, 64_000],
  ["claude-3-7-sonnet-latest", 128_000, 64_000, 64_001],
  ["claude-3-7-sonnet-latest", 20_000, 10_000, 20_000],
  ["claude-3-5-sonnet-latest", 20_000, 10_000, 10_001],
])(
  "%s is sent no more max_tokens than is held: %i, of them %i for thinking",
  async (model, max_tokens, budget_tokens, most) => {
    const fields = { model, max_tokens, thinking: { type: "enabled", budget_tokens } };
    const { json, held } = await sentFor(body(fields), {}, model);
    expect(json.thinking).toEqual({ type: "enabled", budget_tokens });
    expect(json.max_tokens).toBeLessThanOrEqual(most);
    expect(held.output_tokens).toBeGreaterThanOrEqual(json.max_tokens);
  },
);

it("Where the AI SDK chooses the budget of thinking, the bound is all that the model gives", () => {
  const product = { provider: "anthropic", model: CLAUDE };
  const { options } = callOf(body(), "anthropic");
  const bounded = boundCall({ ...options, reasoning: "high" }, product, 100);
  expect(usageBound(bounded, product).output_tokens).toBe(64_000);
});

/** A tool's answer, which nothing is said after. */
const answered = (content: object[], fields: object = {}) => [
  ...hello,
  { role: "assistant", content: [{ type: "tool_use", id: "t", name: "look", input: {} }] },
  { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content, ...fields }] },
];

describe("In a tool's answer", () => {
  const textFile = {
    ...{ type: "document", title: "Notes", context: "Of today" },
    source: { type: "text", media_type: "text/plain", data: "Rain." },
  };
  const pdf = {
    ...{ type: "document", title: "Page", context: "Blank" },
    source: { type: "base64", media_type: "application/pdf", data: PDF },
  };
  const addressed = { type: "image", source: { type: "url", url: "https://example.com/a.png" } };
  const unsaid = ["messages.content.title", "messages.content.context"];

  it("a text document reaches Claude as a text, and what it has no place for is named", async () => {
    const given = body({ messages: answered([textFile, pdf, addressed]) });
    const { json } = await sentFor(given);
    const { title: _, context: __, ...untitled } = pdf;
    expect(json.messages.at(-1).content[0].content).toEqual([
      { type: "text", text: "Rain." },
      untitled,
      addressed,
    ]);
    expect([...callOf(given, "anthropic").ignored].sort()).toEqual([...unsaid].sort());
  });

  it.each(["openai", "google", "groq"])("a text document is a text for %s", (provider) => {
    const { options, ignored } = callOf(body({ messages: answered([textFile]) }), provider);
    expect(options.prompt.slice(2)).toEqual([
      {
        role: "tool",
        content: [expect.objectContaining({ output: { type: "text", value: "Rain." } })],
      },
    ]);
    for (const field of unsaid) expect(ignored).toContain(field);
  });

  it("an error that is a text document is still one", () => {
    const messages = answered([textFile], { is_error: true });
    expect(callOf(body({ messages }), "anthropic").options.prompt.at(-1)).toMatchObject({
      content: [{ output: { type: "error-text", value: "Rain." } }],
    });
  });

  it("a file at an address follows as the user's for Gemini, which is sent none there", () => {
    const inline = {
      type: "image",
      source: { type: "base64", media_type: "image/png", data: PNG },
    };
    const promptOf = (...content: object[]) =>
      callOf(body({ messages: answered(content) }), "google").options.prompt.slice(2);
    const url = new URL(addressed.source.url);
    const followed = { role: "user", content: [{ type: "file", data: { type: "url", url } }] };
    expect(promptOf({ type: "text", text: "Seen." }, inline, addressed)).toMatchObject([
      {
        role: "tool",
        content: [{ output: { type: "content", value: [{ text: "Seen." }, { type: "file" }] } }],
      },
      followed,
    ]);
    // Gemini wants an answer to every call, even an empty one.
    expect(promptOf(addressed)).toMatchObject([
      { role: "tool", content: [{ output: { type: "text", value: "" } }] },
      followed,
    ]);
  });

  it("nothing reaches Gemini that is not counted: a title, a text, an address", () => {
    const long = "a".repeat(300_000);
    const heldFor = (block: object) => {
      const product = { provider: "google", model: "gemini-2.5-pro" };
      const { options } = callOf(body({ messages: answered([block]) }), "google");
      const bounded = boundCall(options, product, 100);
      const { input_tokens } = usageBound(bounded, product) as { input_tokens: number };
      return { json: JSON.stringify(bounded.prompt), input_tokens };
    };
    expect(heldFor({ ...textFile, title: long }).json).not.toContain(long);
    expect(heldFor({ ...pdf, title: long }).json).not.toContain(long);
    const text = { ...textFile, source: { ...textFile.source, data: long } };
    expect(heldFor(text).input_tokens).toBeGreaterThan(long.length);
  });
});

describe("Another provider", () => {
  it("gets the files of a tool's answer as the user's, before what the user says", () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
    const messages = [
      ...hello,
      { role: "assistant", content: [{ type: "tool_use", id: "t", name: "look", input: {} }] },
      {
        role: "user",
        content: [
          {
            type: "tool_result",
            tool_use_id: "t",
            content: [{ type: "text", text: "Seen." }, image],
          },
          { type: "text", text: "Well?" },
        ],
      },
    ];
    const { options } = callOf(body({ messages }), "openai");
    expect(options.prompt.slice(2)).toMatchObject([
      { role: "tool", content: [{ output: { type: "text", value: "Seen." } }] },
      { role: "user", content: [{ type: "file", mediaType: "image/png" }] },
      { role: "user", content: [{ type: "text", text: "Well?" }] },
    ]);
  });

  it.each([
    ["openai", ["cache_control", "messages.content.context", "messages.content.redacted_thinking"]],
    ["google", ["cache_control", "messages.content.context", "messages.content.redacted_thinking"]],
    ["groq", ["messages.content.context", "messages.content.redacted_thinking"]],
  ])("%s: what it has no place for is named", (provider, fields) => {
    const ignored = [...callOf(FULL, provider).ignored];
    for (const field of [...fields, "messages.content.thinking", "tools.cache_control"]) {
      expect(ignored).toContain(field);
    }
  });

  it("thinks as hard as the budget says", () => {
    const effort = (budget_tokens: number) =>
      callOf(body({ max_tokens: 90_000, thinking: { type: "enabled", budget_tokens } }), "openai")
        .options.reasoning;
    expect([2000, 10_000, 60_000].map(effort)).toEqual(["low", "medium", "high"]);
  });

  it("is not sent a tool that only Claude knows", () => {
    const tools = [{ type: "bash_20250124", name: "bash" }];
    expect(() => callOf(body({ tools }), "openai")).toThrow(/tools\.0\.type/);
  });
});

describe("Refused, by its path, is", () => {
  const user = (...content: object[]) => ({ messages: [{ role: "user", content }] });
  it.each([
    ["a request without max_tokens", { max_tokens: undefined }, "max_tokens"],
    [
      "thinking that leaves no answer",
      { thinking: { type: "enabled", budget_tokens: 2000 } },
      "thinking.budget_tokens",
    ],
    [
      "a tool that Anthropic runs",
      { tools: [{ type: "web_search_20250305", name: "web_search" }] },
      "tools.0.type",
    ],
    ["a faster speed", { speed: "fast" }, "speed"],
    [
      "a server of MCP",
      { mcp_servers: [{ type: "url", url: "https://x.dev", name: "x" }] },
      "mcp_servers.0",
    ],
    ["a container", { container: "c" }, ""],
    [
      "a file by its id",
      user({ type: "image", source: { type: "file", file_id: "f" } }),
      "messages.0.content.0.source.type",
    ],
    [
      "a file over http",
      user({ type: "image", source: { type: "url", url: "http://x.dev/a.png" } }),
      "messages.0.content.0.source.url",
    ],
    [
      "citations",
      user({
        type: "document",
        citations: { enabled: true },
        source: { type: "url", url: "https://x.dev/a.pdf" },
      }),
      "messages.0.content.0.citations.enabled",
    ],
    [
      "a search result",
      user({ type: "search_result", source: "s", title: "t", content: [] }),
      "messages.0.content.0.type",
    ],
    [
      "compaction",
      { context_management: { edits: [{ type: "compact_20260112" }] } },
      "context_management.edits.0.type",
    ],
    [
      "a fifth place to keep the prompt",
      {
        cache_control: { type: "ephemeral" },
        system: [1, 2, 3, 4].map(() => ({ type: "text", text: "x", cache_control })),
      },
      "cache_control",
    ],
  ])("%s", (_, fields, path) => {
    const { error } = messageRequest(env).safeParse(body(fields));
    const paths = JSON.stringify(error?.issues);
    for (const step of path.split(".").filter((step) => step !== "")) {
      expect(paths).toContain(/^\d+$/.test(step) ? step : `"${step}"`);
    }
    expect(error?.issues.length).toBeGreaterThan(0);
  });

  it("the answer of a tool that was not called", () => {
    const orphan = user({ type: "tool_result", tool_use_id: "none", content: "x" });
    expect(() => callOf(body(orphan), "anthropic")).toThrow(/messages\.0\.content\.0\.tool_use_id/);
  });
});

it("takes null for what is not set", () => {
  const nothing = { system: null, tools: null, thinking: null, container: null, stream: null };
  expect(callOf(body(nothing), "anthropic").options.prompt).toHaveLength(1);
});

it("counts with the fields of a prompt alone", () => {
  const { max_tokens: _, ...counted } = body();
  expect(countRequest(env).safeParse(counted).success).toBe(true);
  expect(countRequest(env).safeParse(body()).success).toBe(false);
});

it(`a hostile body is refused, or becomes a call (seed ${seed})`, () => {
  let taken = 0;
  fc.assert(
    fc.property(
      mutated(FULL),
      fc.constantFrom("anthropic", "openai", "google", "groq"),
      (given, provider) => {
        const { success, data } = messageRequest(env).safeParse(given);
        if (!success) return;
        try {
          const { options } = toCall(data, provider, new Headers());
          boundCall(options, { provider, model: "m" }, 100);
          taken += 1;
        } catch (error) {
          if (!(error instanceof SpendgateError) || error.code !== "invalid_request") throw error;
        }
      },
    ),
    { seed, numRuns: runs(2000) },
  );
  expect(taken).toBeGreaterThan(10);
});

it("Claude that takes no budget for its thinking is the AI SDK's too, and gets all of max_tokens", () => {
  const families = ["opus", "sonnet", "haiku", "fable"];
  const versions = ["4-5", "4-6", "4-7", "4-8", "5", "5-1", "5-2", "5-5", "5-5-20260901", "6"];
  const names = families.flatMap((family) =>
    versions.map((version) => `claude-${family}-${version}`),
  );
  for (const name of [...names, "claude-3-7-sonnet-latest", "claude-opus-4-20250514"]) {
    expect(TAKES_NO_BUDGET.test(name), name).toBe(getModelCapabilities(name).rejectsBudgetThinking);
  }
  const { options, ignored } = callOf(
    body({
      model: "anthropic/claude-opus-5-5",
      max_tokens: 32_000,
      thinking: { type: "enabled", budget_tokens: 31_999 },
    }),
    "anthropic",
  );
  expect(options.maxOutputTokens).toBe(32_000);
  expect(options.providerOptions?.anthropic?.thinking).toEqual({ type: "adaptive" });
  expect(ignored).toContain("thinking.budget_tokens");
});
