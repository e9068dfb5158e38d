// GET /models: what can be called here, which is what has a price and whose provider is set up.
import { SpendgateError } from "../_shared/errors.ts";
import type { Gate } from "../_shared/gate.ts";
import { providerNames } from "../_shared/metered_model.ts";

export async function listModels(gate: Gate): Promise<Response> {
  return Response.json({ object: "list", data: await models(gate) });
}

/** @throws SpendgateError not_found when there is no such model. */
export async function retrieveModel(gate: Gate, id: string): Promise<Response> {
  const model = (await models(gate)).find((each) => each.id === id);
  if (!model) throw new SpendgateError("not_found", `There is no model ${id} here.`);
  return Response.json(model);
}

async function models(gate: Gate) {
  const priced = await gate.pricedModels(providerNames());
  return priced.map(({ provider, product }) => ({
    id: `${provider}/${product}`,
    object: "model",
    created: 0,
    owned_by: provider,
  }));
}
