// Providers are configured by the environment, and an error names the setting that is wrong.
import { describe, expect, it } from "vitest";
import { loadProviders, readProviders } from "../../functions/_shared/llm/providers/registry.ts";
import { answers, startScriptedProvider } from "../support/provider.ts";
import { startTestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

describe("readProviders", () => {
  const groq = (settings: unknown) => ({ SPENDGATE_PROVIDERS: JSON.stringify({ groq: settings }) });

  it("knows those whose key is set, and those that are configured", () => {
    const providers = readProviders({
      OPENAI_API_KEY: "a",
      ANTHROPIC_API_KEY: "",
      GROQ_API_KEY: "b",
      ...groq({ baseUrl: "https://api.groq.com/openai/v1", apiKeyEnv: "GROQ_API_KEY" }),
    });
    expect(Object.keys(providers)).toEqual(["openai", "groq"]);
  });

  it.each([
    ["no JSON", { SPENDGATE_PROVIDERS: "{" }, /SPENDGATE_PROVIDERS: is not JSON/],
    ["no address", groq({ apiKeyEnv: "K" }), /SPENDGATE_PROVIDERS\.groq\.baseUrl/],
    ["a bad address", groq({ baseUrl: "groq" }), /SPENDGATE_PROVIDERS\.groq\.baseUrl/],
    ["an unknown setting", groq({ baseUrl: "https://x.y", key: "k" }), /groq: Unrecognized key/],
    [
      "a key that is not set",
      groq({ baseUrl: "https://x.y", apiKeyEnv: "GROQ_API_KEY" }),
      /groq names GROQ_API_KEY, which is not set/,
    ],
    [
      "a built-in provider",
      { SPENDGATE_PROVIDERS: '{"openai": {"baseUrl": "https://x.y"}}' },
      /openai is built in/,
    ],
    ["a bad base URL", { OPENAI_BASE_URL: "nowhere" }, /OPENAI_BASE_URL/],
  ])("throws an error that names the mistake: %s", (_, values, message) => {
    expect(() => readProviders(values)).toThrow(message);
  });
});

describe("loadProviders", () => {
  it("loads the others when one is set up wrongly", () => {
    const { providers, problems } = loadProviders({
      OPENAI_API_KEY: "a",
      ANTHROPIC_API_KEY: "b",
      ANTHROPIC_BASE_URL: "nowhere",
      GOOGLE_GENERATIVE_AI_API_KEY: "c",
      MISTRAL_KEY: "d",
      SPENDGATE_PROVIDERS: JSON.stringify({
        groq: { baseUrl: "https://x.y", apiKeyEnv: "GROQ_API_KEY" },
        mistral: { baseUrl: "https://x.y", apiKeyEnv: "MISTRAL_KEY" },
        together: { baseUrl: "x.y" },
      }),
    });
    expect(Object.keys(providers)).toEqual(["openai", "google", "mistral"]);
    expect(problems).toMatchObject({
      anthropic: expect.stringContaining("ANTHROPIC_BASE_URL"),
      groq: expect.stringContaining("GROQ_API_KEY, which is not set"),
      together: expect.stringContaining("baseUrl"),
    });
  });

  it("loads the built-in ones when the list of others is no JSON", () => {
    const { providers, problems } = loadProviders({
      OPENAI_API_KEY: "a",
      SPENDGATE_PROVIDERS: "{",
    });
    expect(Object.keys(providers)).toEqual(["openai"]);
    expect(problems).toMatchObject({ SPENDGATE_PROVIDERS: expect.stringContaining("is not JSON") });
  });
});

it("Any OpenAI-compatible endpoint is a provider by configuration, gated and booked like the others", async () => {
  const provider = await startScriptedProvider();
  const stack = await startTestStack({
    env: {
      GROQ_KEY: "local",
      SPENDGATE_PROVIDERS: JSON.stringify({
        groq: { baseUrl: provider.env.OPENAI_BASE_URL, apiKeyEnv: "GROQ_KEY" },
      }),
    },
  });
  try {
    const user = await stack.signUp();
    const tenant = await stack.createTenant({ members: [user] });
    provider.plays(answers("Hello", { prompt_tokens: 1000, completion_tokens: 500 }));
    for (const stream of [true, false]) {
      const response = await stack.call("/chat", {
        user,
        json: {
          stream,
          model: "groq/llama-3.3-70b-versatile",
          messages: [{ role: "user", content: "Hello" }],
        },
      });
      expect(response.status).toBe(200);
      expect(await response.text()).toContain("Hello");
    }
    const rows = await until("both are booked", async () => {
      const events = await stack.sql`
        select provider, product, is_estimated, cost_usd::float8 as cost
        from spend.cost_events where tenant_id = ${tenant.id}`;
      return events.length === 2 ? events : undefined;
    });
    // https://groq.com/pricing: $0.59 and $0.79 per million tokens.
    const cost = (1000 * 0.59 + 500 * 0.79) / 1e6;
    for (const row of rows) {
      expect(row).toMatchObject({
        provider: "groq",
        product: "llama-3.3-70b-versatile",
        is_estimated: false,
      });
      expect(row.cost).toBeCloseTo(cost, 12);
    }
  } finally {
    await stack.stop();
    await provider.stop();
  }
});
