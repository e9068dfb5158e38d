// The models that can be called here: those that have a price, whose provider is set up, and that the caller's quotas
// allow.
import * as z from "zod";
import { SpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";
import { providerNames } from "./metered_model.ts";
import { parseModelName } from "./model_name.ts";

/** Names of models that neither chat nor embed: they speak, listen, draw, rank, or complete texts as of old. */
const OTHER_KINDS =
  /whisper|\btts\b|transcribe|realtime|\blive\b|audio|^gpt-image|dall-e|\bsora\b|\bveo\b|imagen|moderation|rerank|^(text-)?(davinci|curie|babbage|ada)\b/i;

export interface CallableModel {
  /** `provider/model` */
  id: string;
  provider: string;
}

/** Without those of which a quota of `payer` has nothing left, where it is known who pays. */
export async function callableModels(
  gate: Gate,
  payer?: { tenantId: string; userId: string | null },
): Promise<CallableModel[]> {
  const [priced, usedUp] = await Promise.all([
    gate.pricedModels(providerNames()),
    payer ? gate.usedUpProducts(payer) : new Set<string>(),
  ]);
  return priced
    .filter(({ product }) => !OTHER_KINDS.test(product) && !usedUp.has(product))
    .map(({ provider, product }) => ({ id: `${provider}/${product}`, provider }));
}

/**
 * The one that `name` stands for, by any name by which it can be called: `provider/model`, a well-known bare name, the
 * name of a version or of what was made of it. Undefined where there is none.
 */
export async function callableModel(gate: Gate, name: string): Promise<CallableModel | undefined> {
  const { provider, model } = parsed(name) ?? {};
  if (!provider || !model || OTHER_KINDS.test(model) || !providerNames().includes(provider)) {
    return undefined;
  }
  const usage = { input_tokens: 0, output_tokens: 0 };
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
