// GET /models: what the caller may use now.
import { SpendgateError } from "../_shared/errors.ts";
import { payerOf } from "../_shared/http/payer.ts";
import type { Context, UserContext } from "../_shared/http/serve.ts";
import {
  type CallableModel,
  callableModel,
  callableModels,
  OPENAI_KINDS,
} from "../_shared/llm/callable_models.ts";

/** GET /models. */
export async function listModels(context: UserContext): Promise<Response> {
  const models = await callableModels(context.gate, OPENAI_KINDS, await payerOf(context));
  return Response.json({ object: "list", data: models.map(toModel) });
}

/**
 * GET /models/:name. By `provider/model`, or by a well-known bare name, as a chat takes it.
 * @throws SpendgateError not_found when there is no such model.
 */
export async function retrieveModel({ gate, params }: Context): Promise<Response> {
  const { name = "" } = params;
  const model = await callableModel(gate, OPENAI_KINDS, name);
  if (!model) throw new SpendgateError("not_found", `There is no model ${name} here.`);
  return Response.json(toModel(model));
}

function toModel({ id, provider }: CallableModel) {
  return { id, object: "model", created: 0, owned_by: provider };
}
