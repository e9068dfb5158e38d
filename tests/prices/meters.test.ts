// Every meter that the catalogue prices, of every provider: there is an answer of that provider of which it is read
// and billed, or a reason why none has it. A meter that is new to a provider fails here until somebody reads it.
import { afterAll, beforeAll, expect, it } from "vitest";
import { UsageReader } from "../../functions/_shared/llm/usage.ts";
import { cloneDatabase, type TestDatabase } from "../setup/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.close());

/** How a provider says a meter, in a whole answer of 1,000 input and 500 output tokens; each part counts 7. */
type Shape = (meter: string) => object | undefined;

const openai: Shape = (meter) => {
  const [input, output, more] = [
    {
      cache_read_tokens: { cached_tokens: 7 },
      cache_write_tokens: { cache_write_tokens: 7 },
      audio_input_tokens: { audio_tokens: 7 },
      image_input_tokens: { image_tokens: 7 },
    }[meter],
    {
      reasoning_tokens: { reasoning_tokens: 7 },
      audio_output_tokens: { audio_tokens: 7 },
      image_output_tokens: { image_tokens: 7 },
    }[meter],
    {
      input_tokens: {},
      output_tokens: {},
      cache_write_1h_tokens: {
        cache_creation_input_tokens: 7,
        cache_creation: { ephemeral_1h_input_tokens: 7 },
      },
      web_searches: { server_tool_use: { web_search_requests: 7 } },
    }[meter],
  ];
  if (!input && !output && !more) return undefined;
  const usage = {
    prompt_tokens: 1000,
    completion_tokens: 500,
    total_tokens: 1500,
    prompt_tokens_details: input,
    completion_tokens_details: output,
    ...more,
  };
  return { choices: [], usage };
};

/** OpenAI itself lists its searches in the answer's items. */
const openaiItself: Shape = (meter) =>
  meter === "web_searches"
    ? {
        usage: { input_tokens: 1000, output_tokens: 500, total_tokens: 1500 },
        output: Array.from({ length: 7 }, (_, id) => ({ type: "web_search_call", id: `${id}` })),
      }
    : openai(meter);

const perplexity: Shape = (meter) => {
  const more = {
    reasoning_tokens: { reasoning_tokens: 7, num_search_queries: 1 },
    web_searches: { num_search_queries: 7 },
    input_tokens: { num_search_queries: 1 },
    output_tokens: { num_search_queries: 1 },
  }[meter];
  return more && { choices: [], usage: { prompt_tokens: 1000, completion_tokens: 500, ...more } };
};

const anthropic: Shape = (meter) => {
  const parts = {
    input_tokens: {},
    output_tokens: {},
    cache_read_tokens: { cache_read_input_tokens: 7 },
    cache_write_tokens: { cache_creation_input_tokens: 7 },
    cache_write_1h_tokens: {
      cache_creation_input_tokens: 7,
      cache_creation: { ephemeral_1h_input_tokens: 7 },
    },
    web_searches: { server_tool_use: { web_search_requests: 7 } },
  }[meter];
  return parts && { type: "message", usage: { input_tokens: 1000, output_tokens: 500, ...parts } };
};

const google: Shape = (meter) => {
  const modality = (name: string) => [{ modality: name, tokenCount: 7 }];
  const usage = {
    input_tokens: {},
    output_tokens: {},
    web_searches: {},
    cache_read_tokens: { cachedContentTokenCount: 7 },
    audio_input_tokens: { promptTokensDetails: modality("AUDIO") },
    image_input_tokens: { promptTokensDetails: modality("IMAGE") },
    audio_output_tokens: { candidatesTokensDetails: modality("AUDIO") },
    image_output_tokens: { candidatesTokensDetails: modality("IMAGE") },
  }[meter];
  const queries = meter === "web_searches" ? ["a", "b", "c", "d", "e", "f", "g"] : [];
  return (
    usage && {
      candidates: [{ finishReason: "STOP", groundingMetadata: { webSearchQueries: queries } }],
      usageMetadata: {
        promptTokenCount: 1000,
        candidatesTokenCount: 500,
        totalTokenCount: 1500,
        ...usage,
      },
    }
  );
};

/** What a provider says in a way of its own; all others speak OpenAI's chat completions. */
const SHAPES: Record<string, Shape> = { openai: openaiItself, perplexity, anthropic, google };

/** Meters of which no answer tells, and why that is right. */
const UNREAD: Record<string, string> = {
  "* requests": "a reservation is one call: SQL counts it",
  "google cache_write_tokens":
    "caches are written by requests of their own, which we do not serve; what Gemini caches by itself costs nothing to write",
};

/** Units of the bill's lines, by meter. */
async function billOf(provider: string, product: string, usage: object) {
  const counted = { ...usage, provider, model: product };
  const lines = await database.sql`
    select l.meter, l.units::float8 as units
    from unnest((spend_private.price_usage(
      null, 'llm', spend_private.read_usage('llm', ${database.sql.json(counted as never)}), now()
    )).lines) as l`;
  return Object.fromEntries(lines.map(({ meter, units }) => [meter, units]));
}

it("each meter of each provider of the catalogue is read from an answer and billed, or has a reason", async () => {
  const priced = await database.sql`
    select provider, meter, array_agg(product order by product) as products
    from spend.current_prices
    where resource_type = 'llm' and tenant_id is null and tier_from = 0 and usd > 0
    group by provider, meter
    order by provider, meter`;
  expect(priced.length).toBeGreaterThan(100);

  const unread: string[] = [];
  const reasons = new Set<string>();
  for (const { provider, meter, products } of priced) {
    const reason = [`${provider} ${meter}`, `* ${meter}`].find((key) => UNREAD[key]);
    if (reason) {
      reasons.add(reason);
      continue;
    }
    const body = (SHAPES[provider] ?? openai)(meter);
    for (const product of products) {
      const reader = new UsageReader({ provider, model: product });
      reader.seeAnswer({ response: { body } });
      const bill = reader.usage ? await billOf(provider, product, reader.usage) : {};
      const isWhole = meter === "input_tokens" || meter === "output_tokens";
      const isByPrompt = meter === "web_searches" && /^gemini-2/.test(product);
      const expected = isWhole ? bill[meter] > 7 : bill[meter] === (isByPrompt ? 1 : 7);
      if (!expected && !isFreeOfOutput(provider, product, meter)) {
        unread.push(`${provider}/${product} ${meter}: ${JSON.stringify(reader.usage)}`);
      }
    }
  }

  expect(unread).toEqual([]);
  expect([...reasons].sort()).toEqual(Object.keys(UNREAD).sort());
}, 120_000);

/** Deep research says how often it searched, whatever else it says. */
function isFreeOfOutput(provider: string, product: string, meter: string): boolean {
  return provider === "openrouter" && /deep-research/.test(product) && meter !== "web_searches";
}

it("every meter of the database is priced by the catalogue, or is of sandboxes", async () => {
  const unpriced = await database.sql`
    select m.meter from spend.meters as m
    where m.resource_type = 'llm' and not exists (select from spend.prices as p where p.meter = m.meter)`;
  expect(unpriced).toEqual([]);
});

it.each([
  ["openai", "gpt-4o-search-preview", 0.025],
  ["openai", "gpt-4o-mini-search-preview", 0.025],
  ["openai", "gpt-4o-mini-search-preview-2025-03-11", 0.025],
  ["openrouter", "openai/gpt-4o-search-preview", 0.035],
  ["openrouter", "perplexity/sonar", 0.012],
  ["perplexity", "sonar-pro-search", 0.018],
])("%s/%s: a call costs its search, $%f, whatever its tokens are", async (provider, model, usd) => {
  const [row] = await database.sql`
    select (spend_private.price_usage(
      null, 'llm',
      spend_private.read_usage('llm', ${database.sql.json({ provider, model, input_tokens: 0, output_tokens: 0 })}),
      now()
    )).cost_usd::float8 as usd`;
  expect(row?.usd).toBe(usd);
});
