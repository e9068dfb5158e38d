// The one way of a request: CORS, route, method, caller, body, handler; and of whatever is thrown on it, to an answer.

import { SpendgateError, toSpendgateError } from "../errors.ts";
import { Gate } from "../gate/gate.ts";
import type { RequestMetering, Work } from "../gate/metering.ts";
import { type Env, readEnv } from "../runtime/env.ts";
import { describeError, log } from "../runtime/log.ts";
import { flushTelemetry, startTelemetry } from "../runtime/telemetry.ts";
import { authenticate } from "./auth.ts";
import { allowCors } from "./cors.ts";
import { errorResponse } from "./error_response.ts";
import { answerHealth } from "./health.ts";
import { meteringFor } from "./metering.ts";
import { matchRoute } from "./route.ts";
import { requireSecretKey } from "./secret_key.ts";

/** What every handler is given. */
export interface Context {
  request: Request;
  env: Env;
  gate: Gate;
  /** What stands in the path where the route has `:name`. */
  params: Record<string, string>;
}

/** What a signed-in user's request has beside that. */
export interface UserContext extends Context {
  userId: string;
  /**
   * What the request's calls need: `meteredModel(name, await metering({ task }))`.
   * @throws SpendgateError not_a_member, or invalid_request when the tenant has to be named.
   */
  metering(work: Work): Promise<RequestMetering>;
}

type Method = "GET" | "POST" | "DELETE";
export type Handler<C> = (context: C) => Promise<Response>;
/** Handlers by path (below the function's own; `:name` is a segment, `:name+` all that follows) and method. */
export type Routes<C> = Record<string, Partial<Record<Method, Handler<C>>>>;

interface Common {
  /** The function's name, which its paths begin with. */
  name: string;
  /** A segment that a client may put before each path, as OpenAI's do with `v1`. */
  version?: string;
  /** Errors in the form that this function's clients know. */
  renderError?: (error: SpendgateError, request: Request) => Response;
  /** What to use in the place of a path that clients look for, and that is not here. */
  hint?: (path: string) => string | undefined;
}

/** A function of edge functions: who may call it, and what it does where. */
export type Served =
  | (Common & { auth: "user"; routes: Routes<UserContext> })
  | (Common & { auth: "secret"; routes: Routes<Context> });

/**
 * The default export of a function's index.ts.
 * @param served `auth` "user": the bearer token of a signed-in user; "secret": the project's secret key.
 * @example export default serve({ name: "hello", auth: "user", routes: { "/": { POST: endpoint(schema, handler) } } });
 */
export function serve(served: Served): { fetch(request: Request): Promise<Response> } {
  const env = readEnv();
  const gate = new Gate(env);
  startTelemetry(env.otlpEndpoint);
  const { renderError = (error: SpendgateError) => errorResponse(error, "json") } = served;
  return {
    async fetch(request) {
      const response = await answer(request, served, env, gate).catch((thrown) => {
        const error = toSpendgateError(thrown);
        // What failed in a stage of a sandbox's life is in the log already.
        if (error.status >= 500 && error.details.stage === undefined) {
          log("error", error.code, describeError(error));
        }
        return renderError(error, request);
      });
      allowCors(request, response.headers);
      flushTelemetry();
      return response;
    },
  };
}

async function answer(request: Request, served: Served, env: Env, gate: Gate): Promise<Response> {
  const { method } = request;
  if (method === "OPTIONS") return new Response(null, { status: 204 });
  const path = pathBelow(request, served);
  if (path === "/health" && method === "GET") return answerHealth(gate);
  if (served.auth === "secret") {
    const { handler, params } = find(served.routes, path, method, served.hint);
    await requireSecretKey(request, env);
    return handler({ request, env, gate, params });
  }
  const { handler, params } = find(served.routes, path, method, served.hint);
  const userId = await authenticate(request, env);
  const metering = (work: Work) => meteringFor(userId, request, env, gate, work);
  return handler({ request, env, gate, params, userId, metering });
}

/** The path below the function's own, without a slash at its end; `/` for the function itself. */
function pathBelow(request: Request, { name, version }: Common): string {
  const { pathname } = new URL(request.url);
  const own = new RegExp(`^(/functions/v1)?/${name}${version ? `(/${version})?` : ""}(?=/|$)`);
  return pathname.replace(own, "").replace(/\/+$/, "") || "/";
}

function find<C>(
  routes: Routes<C>,
  path: string,
  method: string,
  hint: (path: string) => string | undefined = () => undefined,
): { handler: Handler<C>; params: Record<string, string> } {
  for (const [pattern, handlers] of Object.entries(routes)) {
    const params = matchRoute(pattern, path);
    if (params === undefined) continue;
    const handler = handlers[method as Method];
    if (handler) return { handler, params };
    const allowed = Object.keys(handlers);
    throw new SpendgateError("method_not_allowed", `Send a ${allowed.join(" or a ")}.`, {
      headers: { Allow: [...allowed, "OPTIONS"].join(", ") },
    });
  }
  const words = [`There is no ${path} here.`, hint(path)].filter(Boolean).join(" ");
  throw new SpendgateError("not_found", words);
}
