// GET /v1/models: what can be called here, in Anthropic's list with its pages.
import * as z from "zod";
import { invalidRequest, SpendgateError } from "../_shared/errors.ts";
import { payerOf } from "../_shared/http/payer.ts";
import type { Context, UserContext } from "../_shared/http/serve.ts";
import {
  type CallableModel,
  callableModel,
  callableModels,
  TEXT,
} from "../_shared/llm/callable_models.ts";
import { requestIdHeader } from "./errors.ts";

/** Nobody knows when the models of all providers came out. */
const UNKNOWN_DATE = "1970-01-01T00:00:00Z";

const limitParameter = z.coerce.number().int().min(1).max(1000);

/** GET /v1/models. @throws SpendgateError invalid_request for a page that is none. */
export async function listModels(context: UserContext): Promise<Response> {
  const { gate, request } = context;
  const { searchParams } = new URL(request.url);
  const limit = limitParameter.safeParse(searchParams.get("limit") ?? 20);
  if (!limit.success) throw invalidRequest([{ path: "limit", message: "Send 1 to 1000." }]);
  const all = await callableModels(gate, TEXT, await payerOf(context));
  const page = pageOf(all, limit.data, searchParams);
  return Response.json(
    {
      data: page.models.map(toModel),
      first_id: page.models.at(0)?.id ?? null,
      last_id: page.models.at(-1)?.id ?? null,
      has_more: page.hasMore,
    },
    { headers: requestIdHeader() },
  );
}

/** GET /v1/models/:name. @throws SpendgateError not_found when there is no such model. */
export async function retrieveModel({ gate, params }: Context): Promise<Response> {
  const { name = "" } = params;
  const model = await callableModel(gate, TEXT, name);
  if (!model) throw new SpendgateError("not_found", `There is no model ${name} here.`);
  return Response.json(toModel(model), { headers: requestIdHeader() });
}

/** The models after `after_id`, or the last ones before `before_id`. */
function pageOf(all: CallableModel[], limit: number, parameters: URLSearchParams) {
  const placeOf = (name: string) => {
    const id = parameters.get(name);
    if (id === null) return undefined;
    const place = all.findIndex((model) => model.id === id);
    if (place < 0) throw invalidRequest([{ path: name, message: "There is no such model." }]);
    return place;
  };
  const [after, before] = [placeOf("after_id"), placeOf("before_id")];
  const rest = all.slice(after === undefined ? 0 : after + 1, before);
  const models =
    before !== undefined && after === undefined ? rest.slice(-limit) : rest.slice(0, limit);
  return { models, hasMore: rest.length > models.length };
}

function toModel({ id }: CallableModel) {
  return { type: "model", id, display_name: id, created_at: UNKNOWN_DATE };
}
