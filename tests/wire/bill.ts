// What a call costs by the catalogue, in whole numbers of 1e-12 USD: computed here, apart from the database's own way.
import type { Sql } from "postgres";

/** Counts by meter; `input_tokens` includes the cache, `output_tokens` the reasoning. */
export type Counts = Record<string, number>;

/** Meters that are parts of another, as docs/guides/prices.md says. */
const WHOLE: Record<string, string> = {
  cache_read_tokens: "input_tokens",
  cache_write_tokens: "input_tokens",
  cache_write_1h_tokens: "input_tokens",
  audio_input_tokens: "input_tokens",
  image_input_tokens: "input_tokens",
  reasoning_tokens: "output_tokens",
  audio_output_tokens: "output_tokens",
  image_output_tokens: "output_tokens",
};

interface Price {
  provider: string;
  product: string;
  meter: string;
  unitSize: string;
  usd: string;
  tierFrom: string;
}

export interface Catalogue {
  /** USD with twelve decimals. `product` is a name of the catalogue, not an alias. */
  costOf(provider: string, product: string, counts: Counts): string;
}

export async function readCatalogue(sql: Sql): Promise<Catalogue> {
  const prices = await sql<Price[]>`
    select provider, product, meter, unit_size::text as "unitSize", usd::text, tier_from::text as "tierFrom"
    from spend.prices
    where resource_type = 'llm' and tenant_id is null and service_tier = 'standard' and effective_from <= now()
    order by effective_from, revision`;
  return {
    costOf(provider, product, counts) {
      const own = prices.filter(
        (price) => price.provider === provider && price.product === product,
      );
      if (own.length === 0) throw new Error(`no price of ${provider}/${product}`);
      return formatUsd(bill(own, { requests: 1, ...counts }));
    },
  };
}

/** Sum of the meters in 1e-20 USD: a part that has a price is billed apart, and is not in its whole then. */
function bill(prices: Price[], counts: Counts): bigint {
  const left: Counts = { ...counts };
  for (const [part, whole] of Object.entries(WHOLE)) {
    if (left[part] && prices.some(({ meter }) => meter === part)) {
      left[whole] = (left[whole] ?? 0) - left[part];
    } else delete left[part];
  }
  return Object.entries(left).reduce((sum, [meter, units]) => {
    const price = priceOf(prices, meter, counts.input_tokens ?? 0);
    return price ? sum + (BigInt(units) * decimal(price.usd)) / BigInt(price.unitSize) : sum;
  }, 0n);
}

/** The newest price of the highest tier that the input reaches: above it, not at it. */
function priceOf(prices: Price[], meter: string, input: number): Price | undefined {
  const tiers = prices.filter(
    (price) => price.meter === meter && (price.tierFrom === "0" || Number(price.tierFrom) < input),
  );
  const highest = Math.max(...tiers.map(({ tierFrom }) => Number(tierFrom)));
  return tiers.filter(({ tierFrom }) => Number(tierFrom) === highest).at(-1);
}

const DECIMALS = 20;

function decimal(text: string): bigint {
  const [whole = "0", fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(DECIMALS, "0").slice(0, DECIMALS));
}

/** Rounded to the twelve decimals that are booked, half up. */
function formatUsd(usd: bigint): string {
  const rounded = (usd + 5n * 10n ** 7n) / 10n ** 8n;
  const digits = rounded.toString().padStart(13, "0");
  return `${digits.slice(0, -12)}.${digits.slice(-12)}`;
}
