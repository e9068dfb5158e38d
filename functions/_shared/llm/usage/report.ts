// What a provider reports that a call used, in our words: counts by the meters of the price list.
import type { Usage } from "../../gate/gate.ts";

/** Counts by meter. `input_tokens` includes the cache, `output_tokens` the reasoning. */
export interface Counts {
  input_tokens: number;
  output_tokens: number;
  [meter: string]: number;
}

export interface Report {
  counts: Counts;
  /** False when a count is missing, is no count, or contradicts another: then `counts` is what is known at least. */
  isWhole: boolean;
  /** Price tier that the answer states; undefined for the standard one. */
  tier?: string;
}

export type Json = Record<string, unknown>;

/** The object that a field holds, else an empty one. */
export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

/** The list that a field holds, else an empty one. */
export function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(objectOf) : [];
}

/** Ten times the largest context of a model there is (10 million tokens): what says more is no count. */
const MOST = 1e8;

/** Reads counts, and remembers whether what stood there was always one. */
export class CountReader {
  /** All that was read was a count. */
  isSound = true;

  /** 0 where nothing stands. Of what is no whole number, the least that it can mean. */
  read(value: unknown): number {
    if (value === undefined || value === null) return 0;
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST) {
      return value;
    }
    this.isSound = false;
    const number = typeof value === "string" ? Number(value) : value;
    return typeof number === "number" && number > 0 && number <= MOST ? Math.ceil(number) : 0;
  }

  /** The largest of fields that are different providers' names for one thing. */
  largest(...values: unknown[]): number {
    return Math.max(0, ...values.map((value) => this.read(value)));
  }
}

/** Parts of a whole that are counted apart from each other. */
type Parts = Record<string, number>;

/**
 * A report of these counts. A whole is made as large as its parts where it was less, and the report is not whole then.
 * Of input that is audio or image and was cached too, the dearer counts: the cache's share is lowered.
 */
export function reportOf(
  input: number,
  inputParts: Parts,
  output: number,
  outputParts: Parts,
  others: Parts,
  isWhole: boolean,
): Report {
  const excess = sum(inputParts) - input;
  const {
    cache_read_tokens: read = 0,
    audio_input_tokens = 0,
    image_input_tokens = 0,
  } = inputParts;
  const both = Math.min(read, audio_input_tokens + image_input_tokens);
  if (excess > 0 && excess <= both)
    inputParts = { ...inputParts, cache_read_tokens: read - excess };
  const [inputs, outputs] = [sum(inputParts), sum(outputParts)];
  return {
    counts: {
      input_tokens: Math.max(input, inputs),
      output_tokens: Math.max(output, outputs),
      ...withoutZeros({ ...inputParts, ...outputParts, ...others }),
    },
    isWhole: isWhole && inputs <= input && outputs <= output,
  };
}

function sum(parts: Parts): number {
  return Object.values(parts).reduce((total, count) => total + count, 0);
}

function withoutZeros(counts: Parts): Parts {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** Two reports of one call's two requests. */
export function addReports(a: Report | undefined, b: Report | undefined): Report | undefined {
  if (!a || !b) return a ?? b;
  const counts = { ...a.counts };
  for (const [meter, count] of Object.entries(b.counts))
    counts[meter] = (counts[meter] ?? 0) + count;
  return { counts, isWhole: a.isWhole && b.isWhole, tier: b.tier ?? a.tier };
}

/** Names by which providers state their standard tier, or that they state none. */
const STANDARD = /^(|default|standard|auto|on[_-]?demand|unspecified|global|not_available)$/;

/** Control characters and halves of pairs: the database takes no JSON with NUL or a half in it. */
const UNSTORABLE = /[\p{Cc}\p{Cs}]/gu;

/** A tier as prices name it; undefined for the standard one. */
export function tierOf(...stated: unknown[]): string | undefined {
  const names = stated
    .filter((name) => typeof name === "string")
    .map((name) => name.toLowerCase().replace(/^(service_tier|traffic_type)_/, ""))
    .map((name) => name.replace(/^on_demand_/, ""))
    .filter((name) => !STANDARD.test(name));
  const tier = [...new Set(names)].join("-").slice(0, 200).replace(UNSTORABLE, "");
  return tier === "" ? undefined : tier;
}

/** The report as it is booked. */
export function toUsage({ counts, tier }: Report): Usage {
  return tier ? { ...counts, service_tier: tier } : { ...counts };
}
