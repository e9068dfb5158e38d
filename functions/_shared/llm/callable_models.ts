// The models that can be called here: those that have a price, whose provider is set up, and that the caller's quotas
// allow.
import * as z from "zod";
import { SpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";
import { providerNames } from "./metered_model.ts";
import { type Product, parseModelName } from "./model_name.ts";
import { wireOf } from "./wire.ts";

/** Names of models that neither chat nor embed: they speak, listen, draw, rank, or complete texts as of old. */
const OTHER_KINDS =
  /whisper|\btts\b|transcribe|realtime|\blive\b|audio|^gpt-image|dall-e|\bsora\b|\bveo\b|imagen|moderation|rerank|^(text-)?(davinci|curie|babbage|ada)\b/i;

/** Of these, the ones that endpoints in OpenAI's format serve. */
const PLAIN_KINDS = /^(tts|whisper|omni-moderation|gpt-image)-|-tts\b|\btranscribe\b/i;

/** The models that a format serves. */
export interface Served {
  /** Of these, one has a price. */
  meters: string[];
  includes(product: Product): boolean;
}

export const TEXT: Served = {
  meters: ["input_tokens"],
  includes: ({ model }) => !OTHER_KINDS.test(model),
};

/** All that OpenAI's format has endpoints for here. */
export const OPENAI_KINDS: Served = {
  meters: ["input_tokens", "characters", "audio_seconds"],
  includes: (product) =>
    TEXT.includes(product) || (PLAIN_KINDS.test(product.model) && speaksOpenAI(product)),
};

function speaksOpenAI({ provider }: Product): boolean {
  return ["openai", "compatible"].includes(wireOf(provider));
}

export interface CallableModel {
  /** `provider/model` */
  id: string;
  provider: string;
}

/** Without those of which a quota of `payer` has nothing left, where it is known who pays. */
export async function callableModels(
  gate: Gate,
  served: Served,
  payer?: { tenantId: string; userId: string | null },
): Promise<CallableModel[]> {
  const [priced, usedUp] = await Promise.all([
    gate.pricedModels(providerNames(), served.meters),
    payer ? gate.usedUpProducts(payer) : new Set<string>(),
  ]);
  return priced
    .filter(
      ({ provider, product }) =>
        served.includes({ provider, model: product }) && !usedUp.has(product),
    )
    .map(({ provider, product }) => ({ id: `${provider}/${product}`, provider }));
}

/**
 * The one that `name` stands for, by any name by which it can be called: `provider/model`, a well-known bare name, the
 * name of a version or of what was made of it. Undefined where there is none.
 */
export async function callableModel(
  gate: Gate,
  served: Served,
  name: string,
): Promise<CallableModel | undefined> {
  const named = parsed(name);
  if (!named || !served.includes(named) || !providerNames().includes(named.provider)) {
    return undefined;
  }
  const { provider, model } = named;
  const nothing = Object.fromEntries(served.meters.map((meter) => [meter, 0]));
  const usage = { output_tokens: 0, ...nothing };
  try {
    await gate.call("explain_cost", priceLines, { provider, product: model, usage });
  } catch (error) {
    if (error instanceof SpendgateError && error.code === "unpriced_product") return undefined;
    throw error;
  }
  return { id: `${provider}/${model}`, provider };
}

const priceLines = z.array(z.looseObject({ meter: z.string() }));

function parsed(name: string) {
  try {
    return parseModelName(name);
  } catch {
    return undefined;
  }
}
