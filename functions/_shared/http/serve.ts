// The one way of a request: CORS, route, method, caller, body, handler; and of whatever is thrown on it, to an answer.

import { SpendgateError, toSpendgateError } from "../errors.ts";
import { Gate } from "../gate/gate.ts";
import type { GateHooks } from "../gate/hooks.ts";
import type { Attribution, RequestMetering } from "../gate/metering.ts";
import { type Env, readEnv } from "../runtime/env.ts";
import { log, logOnce, messageOf } from "../runtime/log.ts";
import { requestScope } from "../runtime/telemetry/context.ts";
import { SPANS } from "../runtime/telemetry/names.ts";
import { inSpan, type OpenSpan } from "../runtime/telemetry/spans.ts";
import { startTelemetry } from "../runtime/telemetry/telemetry.ts";
import { type Identity, identify } from "./caller.ts";
import { allowCors } from "./cors.ts";
import { errorResponse } from "./error_response.ts";
import { answerHealth } from "./health.ts";
import { inTrace } from "./in_trace.ts";
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

/** What a request has beside that where it may spend: a signed-in user's, or a backend's for a tenant. */
export interface UserContext extends Context, Identity {
  /**
   * What the request's calls need: `meteredModel(name, await metering({ task }))`.
   * @throws SpendgateError not_a_member, or invalid_request when the tenant has to be named.
   */
  metering(attribution: Attribution): Promise<RequestMetering>;
}

type Method = "GET" | "POST" | "DELETE";
export type Handler<C> = (context: C) => Promise<Response>;
/** Handlers by path (below the function's own; `:name` is a segment, `:name+` all that follows) and method. */
export type Routes<C> = Record<string, Partial<Record<Method, Handler<C>>>>;

interface Common extends GateHooks {
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
 * @param served `auth` "user": the bearer token of a signed-in user, or the secret key for a tenant; "secret": the project's secret key.
 * @example export default serve({ name: "hello", auth: "user", routes: { "/": { POST: endpoint(schema, handler) } } });
 */
export function serve(served: Served): { fetch(request: Request): Promise<Response> } {
  const setUp = trySetUp(served);
  const { renderError = (error: SpendgateError) => errorResponse(error, "json") } = served;
  const pathBelow = pathsBelow(served);
  return {
    async fetch(request) {
      if (request.method === "OPTIONS") return allowed(request);
      const path = pathBelow(request);
      if (!(setUp instanceof SpendgateError)) await setUp.telemetry;
      const response = await inTrace(request, served.name, (span) =>
        answer(request, path, served, setUp, span).catch((thrown) => {
          const error = toSpendgateError(thrown);
          span.set({ error: error.code });
          if (error.status >= 500) {
            span.fail(error);
            logOnce("error", error.code, error);
          }
          return renderError(error, request);
        }),
      );
      allowCors(request, response.headers);
      return response;
    },
  };
}

/** Answers a preflight. */
function allowed(request: Request): Response {
  const response = new Response(null, { status: 204 });
  allowCors(request, response.headers);
  return response;
}

interface SetUp {
  env: Env;
  gate: Gate;
  /** Resolves when spans and metrics are recorded. */
  telemetry: Promise<void>;
}

/** What all requests share; where a required setting is missing, the error that each of them gets. */
function trySetUp(hooks: GateHooks): SetUp | SpendgateError {
  try {
    const env = readEnv();
    return { env, gate: new Gate(env, hooks), telemetry: startTelemetry(env) };
  } catch (thrown) {
    log("error", "not_set_up", { message: messageOf(thrown) });
    return toSpendgateError(thrown);
  }
}

async function answer(
  request: Request,
  path: string,
  served: Served,
  setUp: SetUp | SpendgateError,
  span: OpenSpan,
): Promise<Response> {
  const { method } = request;
  if (setUp instanceof SpendgateError) throw setUp;
  const { env, gate } = setUp;
  if (path === "/health" && method === "GET") return answerHealth(gate);
  const { handler, params, route } = find(served, path, method);
  span.set({ route });
  const context: Context = { request, env, gate, params };
  if (served.auth === "secret") {
    requireSecretKey(request, env);
    return (handler as Handler<Context>)(context);
  }
  const caller = await inSpan(SPANS.authenticate, {}, () => identify(request, env, gate));
  Object.assign(requestScope()?.facts ?? {}, { userId: caller.userId });
  const metering = (attribution: Attribution) =>
    meteringFor(caller, request, env, gate, attribution);
  return handler({ ...context, ...caller, metering });
}

/** Finds the path below the function's own, without a slash at its end; `/` for the function itself. */
function pathsBelow({ name, version }: Common): (request: Request) => string {
  const own = new RegExp(`^(/functions/v1)?/${name}${version ? `(/${version})?` : ""}(?=/|$)`);
  return ({ url }) => new URL(url).pathname.replace(own, "").replace(/\/+$/, "") || "/";
}

/** @throws SpendgateError method_not_allowed, not_found */
function find(
  { routes, hint }: Served,
  path: string,
  method: string,
): { handler: Handler<UserContext>; params: Record<string, string>; route: string } {
  for (const [pattern, handlers] of Object.entries<Routes<UserContext>[string]>(routes)) {
    const params = matchRoute(pattern, path);
    if (params === undefined) continue;
    const handler = handlers[method as Method];
    if (handler) return { handler, params, route: pattern };
    const allowed = Object.keys(handlers);
    throw new SpendgateError("method_not_allowed", `Send a ${allowed.join(" or a ")}.`, {
      headers: { Allow: [...allowed, "OPTIONS"].join(", ") },
    });
  }
  const words = [`There is no ${path} here.`, hint?.(path)].filter(Boolean).join(" ");
  throw new SpendgateError("not_found", words);
}
