// The models that can be called here: those that have a price, and whose provider is set up.
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

export async function callableModels(gate: Gate): Promise<CallableModel[]> {
  const priced = await gate.pricedModels(providerNames());
  const callable = priced.filter(({ product }) => !OTHER_KINDS.test(product));
  return callable.map(({ provider, product }) => ({ id: `${provider}/${product}`, provider }));
}

/** The one that `name` stands for, `provider/model` or a well-known bare name; undefined where there is none. */
export async function callableModel(gate: Gate, name: string): Promise<CallableModel | undefined> {
  const id = fullName(name);
  return (await callableModels(gate)).find((each) => each.id === id);
}

function fullName(name: string): string {
  try {
    const { provider, model } = parseModelName(name);
    return `${provider}/${model}`;
  } catch {
    return name;
  }
}
