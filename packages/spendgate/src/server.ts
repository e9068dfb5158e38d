// spendgate/server: a gated handler for servers that speak fetch: Next, Hono, Deno, Bun, Node.
import { SpendgateError } from "../../../functions/_shared/errors.ts";
import { identify } from "../../../functions/_shared/http/caller.ts";
import { allowCors } from "../../../functions/_shared/http/cors.ts";
import {
  acceptsOnlyEvents,
  errorResponse as toResponse,
} from "../../../functions/_shared/http/error_response.ts";
import { inTrace } from "../../../functions/_shared/http/in_trace.ts";
import { meteringFor } from "../../../functions/_shared/http/metering.ts";
import { callError } from "../../../functions/_shared/llm/providers/error.ts";
import { describeError, log } from "../../../functions/_shared/runtime/log.ts";
import { internalsOf, remember } from "./internals.ts";
import type { Gate, Spender } from "./types.ts";

export interface GatedOptions {
  /** What its calls are for: quotas and reports tell tasks apart. `chat`, when left out. */
  task?: string;
  /** Which tenant pays. Left out: the header `x-spendgate-tenant`, else the user's only tenant. */
  tenantOf?: (request: Request, userId: string | null) => string | Promise<string>;
}

export interface GatedContext {
  request: Request;
  /** The signed-in user; null where a backend calls with the secret key, and for no user. */
  userId: string | null;
  tenantId: string;
  /** For meteredMiddleware, openSandbox, …: who pays. */
  spender: Spender;
}

/**
 * A handler that knows who calls and who pays before it begins, and whose errors are answers: 401, 403, 429 with
 * Retry-After, 502, 503. The caller is the user of the bearer token, or a backend with the secret key.
 * @example export const POST = gated(gate, { task: "title" }, async ({ request, spender }) => Response.json(…));
 */
export function gated(
  gate: Gate,
  options: GatedOptions,
  handler: (context: GatedContext) => Promise<Response>,
): (request: Request) => Promise<Response> {
  const { env, gate: sql, knowsUsers } = internalsOf(gate);
  if (!knowsUsers) {
    throw new SpendgateError(
      "not_configured",
      "A gated handler asks Auth who calls: give createGate the publishableKey, or jwks.",
      { mayRetry: false },
    );
  }
  const { task = "chat", tenantOf } = options;
  const answer = async (request: Request): Promise<Response> => {
    const caller = await identify(request, env, sql);
    const tenantId = await tenantOf?.(request, caller.userId);
    const metering = await meteringFor(caller, request, env, sql, { task, tenantId });
    const spender: Spender = { gate, tenantId: metering.tenantId, userId: metering.userId, task };
    remember(spender, metering);
    const response = await handler({
      request,
      spender,
      userId: spender.userId ?? null,
      tenantId: spender.tenantId,
    });
    return withHeaders(response, metering.receipt.headers());
  };
  return async (request) => {
    if (request.method === "OPTIONS") {
      const preflight = new Response(null, { status: 204 });
      allowCors(request, preflight.headers);
      return preflight;
    }
    const response = await inTrace(request, task, () =>
      answer(request).catch((error) => errorResponse(error, request)),
    );
    allowCors(request, response.headers);
    return response;
  };
}

/** Headers of what came from elsewhere cannot be changed: the answer is a copy. */
function withHeaders(response: Response, headers: Record<string, string>): Response {
  const copy = new Response(response.body, response);
  for (const [name, value] of Object.entries(headers)) {
    if (!copy.headers.has(name)) copy.headers.set(name, value);
  }
  return copy;
}

/** Any error as the answer that Spendgate's functions give: of one that is not Spendgate's, 500 without its words. */
export function errorResponse(error: unknown, request?: Request): Response {
  const known = callError(error);
  if (known.status >= 500) log("error", known.code, describeError(known));
  const wantsEvents = request?.headers.has("accept") === true && acceptsOnlyEvents(request);
  return toResponse(known, wantsEvents ? "sse" : "json");
}
