// GET /models: what can be called here, which is what has a price and whose provider is set up.
import { SpendgateError } from "../_shared/errors.ts";
import type { Gate } from "../_shared/gate/gate.ts";
import type { Context } from "../_shared/http/serve.ts";
import { providerNames } from "../_shared/llm/metered_model.ts";
import { parseModelName } from "../_shared/llm/model_name.ts";

/** GET /models. */
export async function listModels({ gate }: Context): Promise<Response> {
  return Response.json({ object: "list", data: await models(gate) });
}

/**
 * GET /models/:name. By `provider/model`, or by a well-known bare name, as a chat takes it.
 * @throws SpendgateError not_found when there is no such model.
 */
export async function retrieveModel({ gate, params }: Context): Promise<Response> {
  const { name = "" } = params;
  const id = fullName(name);
  const model = (await models(gate)).find((each) => each.id === id);
  if (!model) throw new SpendgateError("not_found", `There is no model ${name} here.`);
  return Response.json(model);
}

function fullName(name: string): string {
  try {
    const { provider, model } = parseModelName(name);
    return `${provider}/${model}`;
  } catch {
    return name;
  }
}

/** Names of models that neither chat nor embed: they speak, listen, draw, rank, or complete texts as of old. */
const OTHER_KINDS =
  /whisper|\btts\b|transcribe|realtime|\blive\b|audio|^gpt-image|dall-e|\bsora\b|\bveo\b|imagen|moderation|rerank|^(text-)?(davinci|curie|babbage|ada)\b/i;

async function models(gate: Gate) {
  const priced = await gate.pricedModels(providerNames());
  const callable = priced.filter(({ product }) => !OTHER_KINDS.test(product));
  return callable.map(({ provider, product }) => ({
    id: `${provider}/${product}`,
    object: "model",
    created: 0,
    owned_by: provider,
  }));
}
