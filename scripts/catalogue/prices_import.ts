// npm run prices:import: writes supabase/seeds/prices.sql from the catalogue of @pydantic/genai-prices.
// The same catalogue gives the same file; a newer one shows as a diff to review. With --check it only compares.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type MatchLogic,
  type ModelInfo,
  type ModelPrice,
  type Provider,
  type TieredPrices,
  waitForUpdate,
} from "@pydantic/genai-prices";
import { PROJECT } from "../stack/paths.ts";
import { INSERT_PRICES, insertAliases } from "./prices_sql.ts";

const SEED_FILE = join(PROJECT, "supabase/seeds/prices.sql");

/** The catalogue's price keys that we count, as our meters. The others (pages, hours of a conversation) no usage of ours names. */
const METERS: Record<string, { meter: string; unitSize: number }> = {
  input_mtok: { meter: "input_tokens", unitSize: 1_000_000 },
  output_mtok: { meter: "output_tokens", unitSize: 1_000_000 },
  cache_read_mtok: { meter: "cache_read_tokens", unitSize: 1_000_000 },
  cache_write_mtok: { meter: "cache_write_tokens", unitSize: 1_000_000 },
  cache_write_1h_mtok: { meter: "cache_write_1h_tokens", unitSize: 1_000_000 },
  input_audio_mtok: { meter: "audio_input_tokens", unitSize: 1_000_000 },
  output_audio_mtok: { meter: "audio_output_tokens", unitSize: 1_000_000 },
  input_image_mtok: { meter: "image_input_tokens", unitSize: 1_000_000 },
  output_image_mtok: { meter: "image_output_tokens", unitSize: 1_000_000 },
  output_reasoning_mtok: { meter: "reasoning_tokens", unitSize: 1_000_000 },
  web_searches_kcount: { meter: "web_searches", unitSize: 1000 },
  requests_kcount: { meter: "requests", unitSize: 1000 },
  input_audio_hours: { meter: "audio_seconds", unitSize: 3600 },
};

/** A model is priced by one of these. Without it, it is unknown, not free. */
const WHAT_IT_TAKES = new Set(["input_tokens", "audio_seconds"]);

/** What a provider charges by the call or the search, which the catalogue does not know. */
interface Fee {
  provider: string;
  products: RegExp;
  meter: "requests" | "web_searches";
  /** USD per 1,000. */
  usd: number;
  source: string;
}

/** The price of a product that the catalogue does not price. */
interface OwnPrice {
  product: string;
  meter: "characters" | "input_tokens";
  /** USD per million. */
  usd: number;
  source: string;
}

const OPENAI_MODELS = "https://developers.openai.com/api/docs/models";
const MODERATION = "https://developers.openai.com/api/docs/guides/moderation";
/** OpenAI's. */
const OWN_PRICES: OwnPrice[] = [
  { product: "tts-1", meter: "characters", usd: 15, source: `${OPENAI_MODELS}/tts-1` },
  { product: "tts-1-hd", meter: "characters", usd: 30, source: `${OPENAI_MODELS}/tts-1-hd` },
  // Free of charge.
  { product: "omni-moderation-latest", meter: "input_tokens", usd: 0, source: MODERATION },
  { product: "omni-moderation-2024-09-26", meter: "input_tokens", usd: 0, source: MODERATION },
];

const OPENAI = "https://developers.openai.com/api/docs/pricing";
const GEMINI = "https://ai.google.dev/gemini-api/docs/pricing";
const OPENROUTER = "https://openrouter.ai/docs/features/web-search";
const FEES: Fee[] = [
  // These search for every answer.
  fee("openai", /^gpt-4o(-mini)?-search-preview/, "requests", 25, OPENAI),
  fee("openrouter", /^openai\/gpt-4o-search-preview$/, "requests", 35, OPENROUTER),
  fee("openrouter", /^openai\/gpt-4o-mini-search-preview$/, "requests", 27.5, OPENROUTER),
  // As the catalogue does for Perplexity itself: the dearest size of what is searched.
  fee("openrouter", /^(perplexity\/)?sonar(-reasoning)?$/, "requests", 12, OPENROUTER),
  fee("openrouter", /^(perplexity\/)?sonar-(reasoning-)?pro$/, "requests", 14, OPENROUTER),
  fee(
    "perplexity",
    /^sonar-pro-search$/,
    "requests",
    18,
    "https://openrouter.ai/perplexity/sonar-pro-search",
  ),
  // As often as they like.
  fee("openai", /^o[34](-mini)?-deep-research$/, "web_searches", 10, OPENAI),
  fee(
    "openrouter",
    /^perplexity\/sonar-deep-research$/,
    "web_searches",
    5,
    "https://docs.perplexity.ai/getting-started/pricing",
  ),
  fee("openrouter", /^openai\/o[34](-mini)?-deep-research$/, "web_searches", 10, OPENAI),
  // Grounding with Google Search: by the prompt until Gemini 2.5, by the query since Gemini 3.
  fee("google", /^gemini-2\.[05]-(?!.*(tts|image))/, "web_searches", 35, GEMINI),
  fee("google", /^gemini-3/, "web_searches", 14, GEMINI),
];

function fee(
  provider: string,
  products: RegExp,
  meter: Fee["meter"],
  usd: number,
  source: string,
): Fee {
  return { provider, products, meter, usd, source };
}

/** Names that the catalogue takes for another product, which has no fee. */
const PRODUCTS_OF_THEIR_OWN: Record<string, { provider: string; like: string }> = {
  "gpt-4o-mini-search-preview": { provider: "openai", like: "gpt-4o-mini" },
  "gpt-4o-mini-search-preview-2025-03-11": { provider: "openai", like: "gpt-4o-mini" },
};

/** A price without a date in the catalogue has been so since before anybody could have used Spendgate. */
const ALWAYS = "2020-01-01";

interface PriceRow {
  provider: string;
  product: string;
  meter: string;
  unitSize: number;
  usd: number;
  tierFrom: number;
  effectiveFrom: string;
}

interface AliasRow {
  provider: string;
  kind: string;
  pattern: string;
  product: string;
}

function priceRows(provider: string, model: ModelInfo): PriceRow[] {
  const rows: PriceRow[] = [];
  // A tier that a later price no longer has goes on at the later base price: each tier is a series of its own.
  const tiersSeen = new Map<string, Set<number>>();
  for (const { date, prices } of datedPrices(model)) {
    for (const [key, price] of Object.entries(prices)) {
      const target = METERS[key];
      if (target === undefined || price === undefined) continue;
      const tiers = new Map<number, number>();
      const base = typeof price === "number" ? price : (price as TieredPrices).base;
      const seen = tiersSeen.get(key) ?? new Set();
      for (const start of seen) tiers.set(start, base);
      if (typeof price !== "number") {
        for (const tier of (price as TieredPrices).tiers) tiers.set(tier.start, tier.price);
      }
      tiersSeen.set(key, new Set(tiers.keys()));
      for (const [tierFrom, usd] of [[0, base] as const, ...tiers]) {
        rows.push({
          provider,
          product: model.id,
          ...target,
          usd: published(usd),
          tierFrom,
          effectiveFrom: date,
        });
      }
    }
  }
  return rows;
}

/** The catalogue's prices in the order of their dates. Discounts by the hour of the day are left out: the full price stands. */
function datedPrices(model: ModelInfo): { date: string; prices: ModelPrice }[] {
  if (!Array.isArray(model.prices)) return [{ date: ALWAYS, prices: model.prices }];
  return model.prices
    .filter(({ constraint }) => constraint === undefined || constraint.type === "start_date")
    .map(({ constraint, prices }) => ({
      date: constraint?.type === "start_date" ? constraint.start_date : ALWAYS,
      prices,
    }))
    .sort((a, b) => a.date.localeCompare(b.date));
}

/** The catalogue's floats carry noise (0.08333333333333334) that no provider publishes. */
function published(usd: number): number {
  return Number(usd.toPrecision(8));
}

function aliasRows(provider: string, model: ModelInfo): AliasRow[] {
  const rules = "or" in model.match ? model.match.or : [model.match];
  return rules.map((rule) => ({ provider, ...toPattern(rule), product: model.id }));
}

function toPattern(rule: MatchLogic): { kind: string; pattern: string } {
  const [[kind, pattern] = []] = Object.entries(rule);
  if (typeof pattern === "string" && kind !== undefined) return { kind, pattern };
  return { kind: "regex", pattern: toRegex(rule) };
}

/** One regular expression for a rule, so that `and` and `or` fit a row. */
function toRegex(rule: MatchLogic): string {
  if ("and" in rule)
    return `^${rule.and.map((part) => `(?=${fromStart(toRegex(part))})`).join("")}`;
  if ("or" in rule) return rule.or.map((part) => `(?:${toRegex(part)})`).join("|");
  if ("equals" in rule) return `^${escaped(rule.equals)}$`;
  if ("starts_with" in rule) return `^${escaped(rule.starts_with)}`;
  if ("ends_with" in rule) return `${escaped(rule.ends_with)}$`;
  if ("contains" in rule) return escaped(rule.contains);
  return rule.regex;
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const fromStart = (regex: string) => (regex.startsWith("^") ? regex.slice(1) : `.*(?:${regex})`);

interface Catalogue {
  prices: PriceRow[];
  fees: FeeRow[];
  aliases: AliasRow[];
}

function catalogue(providers: Provider[]): Catalogue {
  const prices: PriceRow[] = [];
  const aliases = new Map<string, AliasRow>();
  for (const provider of [...providers].sort((a, b) => a.id.localeCompare(b.id))) {
    const models = [...provider.models].sort((a, b) => a.id.localeCompare(b.id));
    const priced = models.filter((model) =>
      priceRows(provider.id, model).some(({ meter }) => WHAT_IT_TAKES.has(meter)),
    );
    const products = new Set(priced.map(({ id }) => id));
    for (const model of priced) {
      prices.push(...priceRows(provider.id, model));
      for (const alias of aliasRows(provider.id, model)) {
        if (alias.kind === "equals" && products.has(alias.pattern)) continue;
        const key = `${alias.provider} ${alias.kind} ${alias.pattern}`;
        if (!aliases.has(key)) aliases.set(key, alias);
      }
    }
  }
  prices.push(...ownProducts(prices));
  return {
    prices,
    fees: feeRows(prices),
    aliases: [...aliases.values()].filter(({ pattern }) => !isOwnProduct(pattern)),
  };
}

const isOwnProduct = (name: string) => Object.hasOwn(PRODUCTS_OF_THEIR_OWN, name);

/** The token prices of products that share them with another, and have a fee of their own. */
function ownProducts(prices: PriceRow[]): PriceRow[] {
  return Object.entries(PRODUCTS_OF_THEIR_OWN).flatMap(([product, { provider, like }]) =>
    prices
      .filter((row) => row.provider === provider && row.product === like)
      .filter(({ meter }) => meter === "input_tokens" || meter === "output_tokens")
      .map((row) => ({ ...row, product })),
  );
}

interface FeeRow {
  provider: string;
  product: string;
  fee: Fee;
}

/** A fee of every product that it is for. A fee without a product would be a price that nobody pays. */
function feeRows(prices: PriceRow[]): FeeRow[] {
  return FEES.flatMap((fee) => {
    const products = new Set(
      prices
        .filter((row) => row.provider === fee.provider && fee.products.test(row.product))
        .map(({ product }) => product),
    );
    if (products.size === 0) throw new Error(`${fee.products} is no product of ${fee.provider}`);
    return [...products].map((product) => ({ provider: fee.provider, product, fee }));
  });
}

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** The seed file's text. */
async function priceSeed(): Promise<string> {
  const providers = await waitForUpdate();
  if (providers === null) throw new Error("@pydantic/genai-prices has no data");
  const { prices, fees, aliases } = catalogue(providers);
  const priceValues = prices.map(
    (row) =>
      `  (${quoted(row.provider)}, ${quoted(row.product)}, ${quoted(row.meter)}, ${row.unitSize}, ${row.usd}, ${row.tierFrom}, ${quoted(row.effectiveFrom)})`,
  );
  const feeValues = fees.map(
    ({ provider, product, fee: { meter, usd, source } }) =>
      `  ('llm', ${quoted(provider)}, ${quoted(product)}, ${quoted(meter)}, 1000, ${usd}, 0, ${quoted(ALWAYS)}, ${quoted(source)})`,
  );
  const ownValues = OWN_PRICES.map(
    ({ product, meter, usd, source }) =>
      `  ('llm', 'openai', ${quoted(product)}, ${quoted(meter)}, 1000000, ${usd}, 0, ${quoted(ALWAYS)}, ${quoted(source)})`,
  );
  const aliasValues = aliases.map(
    (row) =>
      `  (${quoted(row.provider)}, ${quoted(row.kind)}, ${quoted(row.pattern)}, ${quoted(row.product)})`,
  );
  return `-- Made by npm run prices:import from @pydantic/genai-prices (MIT). Do not edit: insert rows of your own instead.
-- USD per unit_size units. Rows that exist stay as they are; running it again adds what is new. What is new about a
-- product in use takes effect now: calls that were booked stay booked (spend.reprice corrects them).

with catalogue (resource_type, provider, product, meter, unit_size, usd, tier_from, day, note) as (
  select 'llm', llm.*, '@pydantic/genai-prices'
  from (values
${priceValues.join(",\n")}
  ) as llm
  union all
  values
  -- What is charged by the call or the search, which the catalogue does not know.
${feeValues.join(",\n")},
  -- Products that it does not price.
${ownValues.join(",\n")},
  ('e2b', 'e2b', '*', 'vcpu_seconds', 1, 0.000014, 0, '2020-01-01', 'https://e2b.dev/pricing'),
  ('e2b', 'e2b', '*', 'gib_seconds', 1, 0.0000045, 0, '2020-01-01', 'https://e2b.dev/pricing')
)

${INSERT_PRICES};

${insertAliases(aliasValues)}`;
}

const wanted = await priceSeed();
if (!process.argv.includes("--check")) {
  await writeFile(SEED_FILE, wanted);
} else if ((await readFile(SEED_FILE, "utf8")) !== wanted) {
  console.error(
    "supabase/seeds/prices.sql is not what the catalogue says. Run: npm run prices:import",
  );
  process.exitCode = 1;
}
