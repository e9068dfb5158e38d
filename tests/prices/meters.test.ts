// Every meter that the catalogue prices, of every provider: there is an answer of that provider of which it is read
// and billed, or a reason why none has it. A meter that is new to a provider fails here until somebody reads it.
import { afterAll, beforeAll, expect, it } from "vitest";
import { UsageReader } from "../../functions/_shared/llm/usage/usage.ts";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

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

/** OpenRouter says how often it searched. */
const openrouter: Shape = (meter) => {
  const isSearch = meter === "web_searches";
  const body = openai(isSearch ? "input_tokens" : meter) as { usage: object } | undefined;
  const searched = { server_tool_use: { web_search_requests: isSearch ? 7 : 1 } };
  return body && { ...body, usage: { ...body.usage, ...searched } };
};

/** What a provider says in a way of its own; all others speak OpenAI's chat completions. */
const SHAPES: Record<string, Shape> = {
  openai: openaiItself,
  openrouter,
  perplexity,
  anthropic,
  google,
};

/** Meters of which no answer tells, and why that is right. */
const UNREAD: Record<string, string> = {
  "* requests": "a reservation is one call: SQL counts it",
  "* characters": "what is sent is what is charged: it is counted before the call",
  "* audio_seconds": "transcriptions are read in functions/openai: tests/e2e/media.test.ts",
  "google cache_write_tokens":
    "caches are written by requests of their own, which we do not serve; what Gemini caches by itself costs nothing to write",
};

interface Line {
  provider: string;
  product: string;
  meter: string;
  usage: object | undefined;
}

/** Units that each usage is billed for of its meter; null where the bill has no line of it. */
async function billed(lines: Line[]): Promise<(number | null)[]> {
  const { sql } = database;
  const placed = lines.map((line, place) => ({ ...line, place }));
  const rows = await sql`
    select (
      select l.units::float8
      from spend_private.price_usage(
        null, 'llm',
        spend_private.read_usage('llm', c.usage || jsonb_build_object('provider', c.provider, 'model', c.product)),
        now()
      ) as bill
      cross join unnest(bill.price_ids, bill.units) as l (price_id, units)
      join spend.prices as p on p.id = l.price_id
      where p.meter = c.meter
    ) as units
    from jsonb_to_recordset(${sql.json(placed as never)})
      as c (place integer, provider text, product text, meter text, usage jsonb)
    order by c.place`;
  return rows.map(({ units }) => units);
}

function read({ provider, product, meter }: Omit<Line, "usage">): object | undefined {
  const reader = new UsageReader({ provider, model: product });
  reader.seeAnswer({ response: { body: (SHAPES[provider] ?? openai)(meter) } });
  return reader.usage;
}

/** The units that a shape says; of a whole, what is left when its parts are billed apart. */
function isRight({ product, meter }: Line, units: number | null | undefined): boolean {
  if (meter === "input_tokens") return units === 1000;
  if (meter === "output_tokens") return units === 500;
  return units === (meter === "web_searches" && /^gemini-2/.test(product) ? 1 : 7);
}

it("Each meter of each product of the catalogue is read from an answer and billed, or has a reason", async () => {
  const priced = await database.sql`
    select distinct provider, product, meter
    from spend.current_prices
    where resource_type = 'llm' and tenant_id is null and usd > 0`;
  const reasons = new Set<string>();
  const lines = priced.flatMap(({ provider, product, meter }) => {
    const reason = [`${provider} ${meter}`, `* ${meter}`].find((key) => UNREAD[key]);
    if (reason) reasons.add(reason);
    return reason ? [] : [{ provider, product, meter, usage: read({ provider, product, meter }) }];
  });
  expect(lines.length).toBeGreaterThan(3000);

  const units = await billed(lines);

  expect(lines.filter((line, index) => !isRight(line, units[index]))).toEqual([]);
  expect([...reasons].sort()).toEqual(Object.keys(UNREAD).sort());
});

it("Every meter of the database is priced by the catalogue, or is of sandboxes", async () => {
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
])(
  "A call of %s/%s costs its search, $%f, whatever its tokens are",
  async (provider, model, usd) => {
    const [row] = await database.sql`
    select (spend_private.price_usage(
      null, 'llm',
      spend_private.read_usage('llm', ${database.sql.json({ provider, model, input_tokens: 0, output_tokens: 0 })}),
      now()
    )).cost_usd::float8 as usd`;
    expect(row?.usd).toBe(usd);
  },
);
