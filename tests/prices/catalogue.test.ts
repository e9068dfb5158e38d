// Our cost, computed in SQL from the imported catalogue, against the library's own calcPrice.
import {
  calcPrice,
  type ModelInfo,
  type ModelPrice,
  type Usage,
  waitForUpdate,
} from "@pydantic/genai-prices";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";

const CASES = 5000;

interface Case {
  provider: string;
  model: string;
  at: Date;
  /** In our words; the library's differ for audio, and its cache writes include those for an hour. */
  usage: Record<string, number>;
}

let database: TestDatabase;
beforeAll(async () => {
  database = await cloneDatabase();
});
afterAll(() => database.close());

/**
 * Models that are compared. Left out, and why:
 * - no price for input or output tokens: we refuse them, as unknown or for what they cannot do;
 * - discounts by the hour of the day: we book the full price;
 * - a fee for every call, which the library does not know.
 */
async function comparableModels(): Promise<{ provider: string; model: ModelInfo }[]> {
  const providers = (await waitForUpdate()) ?? [];
  const fees = await database.sql`
    select provider, product from spend.prices where meter = 'requests' and note like 'https:%'`;
  const hasFee = (provider: string, model: string) =>
    fees.some((row) => row.provider === provider && row.product === model);
  return providers.flatMap((provider) =>
    provider.models
      .filter((model) => {
        const prices = pricesOf(model);
        const hasHours =
          Array.isArray(model.prices) &&
          model.prices.some(({ constraint }) => constraint?.type === "time_of_date");
        return (
          !hasFee(provider.id, model.id) &&
          !hasHours &&
          prices.every((p) => "input_mtok" in p && "output_mtok" in p)
        );
      })
      .map((model) => ({ provider: provider.id, model })),
  );
}

function pricesOf(model: ModelInfo): ModelPrice[] {
  return Array.isArray(model.prices) ? model.prices.map(({ prices }) => prices) : [model.prices];
}

function caseOf(models: { provider: string; model: ModelInfo }[]): fc.Arbitrary<Case> {
  const tokens = fc.oneof(fc.nat(2_000), fc.nat(600_000));
  return fc
    .record({
      pick: fc.nat(models.length - 1),
      at: fc.date({
        min: new Date("2024-01-01"),
        max: new Date("2026-12-31"),
        noInvalidDate: true,
      }),
      input: tokens,
      output: tokens,
      read: fc.double({ min: 0, max: 0.4, noNaN: true }),
      write: fc.double({ min: 0, max: 0.2, noNaN: true }),
      hourly: fc.double({ min: 0, max: 0.2, noNaN: true }),
      audio: fc.double({ min: 0, max: 0.2, noNaN: true }),
      searches: fc.nat(3),
    })
    .map(({ pick, at, input, output, read, write, hourly, audio, searches }) => {
      const { provider, model } = models[pick] as (typeof models)[0];
      const keys = new Set(pricesOf(model).flatMap((prices) => Object.keys(prices)));
      const share = (key: string, part: number) => (keys.has(key) ? Math.floor(input * part) : 0);
      return {
        provider,
        model: model.id,
        at,
        usage: {
          input_tokens: input,
          output_tokens: output,
          cache_read_tokens: share("cache_read_mtok", read),
          cache_write_tokens: share("cache_write_mtok", write),
          cache_write_1h_tokens: share("cache_write_1h_mtok", hourly),
          audio_input_tokens: share("input_audio_mtok", audio),
          web_searches: keys.has("web_searches_kcount") ? searches : 0,
        },
      };
    });
}

/** USD by the library; null where it takes the name for another model's (its rules are tried in order). */
function libraryCost({ provider, model, at, usage }: Case): number | null {
  const { audio_input_tokens, ...same } = usage;
  const result = calcPrice(
    {
      ...same,
      input_audio_tokens: audio_input_tokens,
      cache_write_tokens: (usage.cache_write_tokens ?? 0) + (usage.cache_write_1h_tokens ?? 0),
    } as Usage,
    model,
    { providerId: provider, timestamp: at },
  );
  return result?.model.id === model ? result.total_price : null;
}

async function ourCosts(cases: Case[]): Promise<number[]> {
  const { sql } = database;
  const placed = cases.map((call, place) => ({ ...call, place }));
  const rows = await sql`
    select (spend_private.price_usage(
      null, 'llm',
      spend_private.read_usage('llm', c.usage || jsonb_build_object('provider', c.provider, 'model', c.model)),
      c.at
    )).cost_usd::float8 as usd
    from jsonb_to_recordset(${sql.json(placed as never)})
      as c (place integer, provider text, model text, at timestamptz, usage jsonb)
    order by c.place`;
  return rows.map((row) => row.usd);
}

it(`${CASES} random calls of all priced models at random dates cost what the library says, to 1e-9 USD`, async () => {
  const models = await comparableModels();
  expect(models.length).toBeGreaterThan(800);
  const cases = fc.sample(caseOf(models), { numRuns: CASES, seed: 20261124 });

  const ours = await ourCosts(cases);

  const compared = cases
    .map((call, index) => ({ call, library: libraryCost(call), ours: ours[index] as number }))
    .filter(({ library }) => library !== null);
  expect(compared.length).toBeGreaterThan(CASES * 0.95);
  const different = compared.filter(
    ({ library, ours }) => !(Math.abs((library as number) - ours) <= 1e-9),
  );
  expect(different).toEqual([]);
});

it("Calls of gpt-4o, Claude with both kinds of cache writes, and Gemini on and above its tier cost the published prices", async () => {
  const at = new Date("2026-11-01");
  const claude = { cache_read_tokens: 40_000, cache_write_tokens: 20_000 };
  const cases: Case[] = [
    ["openai", "gpt-4o", { input_tokens: 1_000_000, output_tokens: 1_000_000 }],
    ["anthropic", "claude-sonnet-4-5", { input_tokens: 100_000, output_tokens: 1000, ...claude }],
    [
      "anthropic",
      "claude-sonnet-4-5",
      { input_tokens: 100_000, output_tokens: 1000, ...claude, cache_write_1h_tokens: 10_000 },
    ],
    ["google", "gemini-2.5-pro", { input_tokens: 200_000, output_tokens: 1000 }],
    ["google", "gemini-2.5-pro", { input_tokens: 200_001, output_tokens: 1000 }],
  ].map(([provider, model, usage]) => ({ provider, model, at, usage }) as Case);

  const ours = await ourCosts(cases);

  expect(ours).toEqual([12.5, 0.222, 0.252, 0.26, 0.5150025]);
  expect(cases.map(libraryCost)).toEqual(ours.map((usd) => expect.closeTo(usd, 9)));
});
