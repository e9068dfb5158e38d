// GET /models: what the caller may use now.
import { SpendgateError } from "../_shared/errors.ts";
import { idIn, TENANT_HEADER } from "../_shared/http/caller.ts";
import type { Context, UserContext } from "../_shared/http/serve.ts";
import {
  type CallableModel,
  callableModel,
  callableModels,
} from "../_shared/llm/callable_models.ts";

/** GET /models. */
export async function listModels(context: UserContext): Promise<Response> {
  const models = await callableModels(context.gate, await payerOf(context));
  return Response.json({ object: "list", data: models.map(toModel) });
}

/**
 * Whose quotas say what may be used. Undefined where they refuse nothing, where nobody says which of the caller's
 * tenants pays, and for a tenant that is none of them: what it has used up is not for others.
 */
async function payerOf({ request, env, gate, userId, tenantId }: UserContext) {
  if (!env.enforceCostQuotas) return undefined;
  const own = tenantId || userId === null ? [tenantId] : await gate.tenantsOf(userId);
  const named = idIn(request, TENANT_HEADER);
  const [payer, ...others] = own.filter((id) => named === undefined || id === named);
  return payer && others.length === 0 ? { tenantId: payer, userId } : undefined;
}

/**
 * GET /models/:name. By `provider/model`, or by a well-known bare name, as a chat takes it.
 * @throws SpendgateError not_found when there is no such model.
 */
export async function retrieveModel({ gate, params }: Context): Promise<Response> {
  const { name = "" } = params;
  const model = await callableModel(gate, name);
  if (!model) throw new SpendgateError("not_found", `There is no model ${name} here.`);
  return Response.json(toModel(model));
}

function toModel({ id, provider }: CallableModel) {
  return { id, object: "model", created: 0, owned_by: provider };
}
