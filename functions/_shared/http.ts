// What every function does with a request before its handler, and with whatever the handler throws.
import type { z } from "zod";
import { errorResponse, SpendgateError, toSpendgateError } from "./errors.ts";
import { describeError, log } from "./log.ts";

/** Headers that a browser's script may read. */
const EXPOSED = [
  "retry-after",
  "ratelimit",
  "ratelimit-policy",
  "x-spendgate-reservation",
  "x-spendgate-cost-usd",
  "x-spendgate-warnings",
  "x-should-retry",
].join(", ");

/** Seconds that a browser may keep a preflight's answer: the most that any of them does. */
const PREFLIGHT_SECONDS = 7200;

/** Any origin may call: who calls is in the token, never in a cookie. */
function allowCors(request: Request, headers: Headers): void {
  headers.set("Access-Control-Allow-Origin", "*");
  headers.set("Access-Control-Expose-Headers", EXPOSED);
  if (request.method !== "OPTIONS") return;
  headers.set("Access-Control-Max-Age", String(PREFLIGHT_SECONDS));
  headers.set("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
  // Clients send headers of their own, as the OpenAI SDK does; none of them changes what is allowed.
  headers.set(
    "Access-Control-Allow-Headers",
    request.headers.get("access-control-request-headers") ??
      "authorization, x-client-info, apikey, content-type, idempotency-key, x-spendgate-tenant",
  );
}

/** Wraps a handler so that no path, whatever it throws, loses CORS or leaks a stack. */
export function serve(
  handler: (request: Request) => Promise<Response>,
  renderError: (error: SpendgateError, request: Request) => Response = (error) =>
    errorResponse(error, "json"),
): (request: Request) => Promise<Response> {
  return async (request) => {
    let response: Response;
    try {
      response =
        request.method === "OPTIONS" ? new Response(null, { status: 204 }) : await handler(request);
    } catch (thrown) {
      const error = toSpendgateError(thrown);
      // What failed in a stage of a sandbox's life is in the log already.
      if (error.status >= 500 && error.details.stage === undefined) {
        log("error", error.code, describeError(error));
      }
      response = renderError(error, request);
    }
    allowCors(request, response.headers);
    return response;
  };
}

/** @throws SpendgateError method_not_allowed for any other. */
export function expectMethod(request: Request, method: string): void {
  if (request.method !== method) {
    throw new SpendgateError("method_not_allowed", `Send a ${method}.`);
  }
}

/** Aborted when the client has gone, as far as the runtime tells before the answer; its stream's `cancel` tells after. */
export function clientGone(request: Request): AbortController {
  const gone = new AbortController();
  request.signal.addEventListener("abort", () => gone.abort());
  return gone;
}

/**
 * The body as JSON that fits `schema`.
 * @throws SpendgateError request_too_large above `maxBytes`; invalid_request with the `issues`.
 */
export async function readJson<T extends z.ZodType>(
  request: Request,
  schema: T,
  maxBytes: number,
): Promise<z.output<T>> {
  const text = await readText(request, maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRequest([{ path: "", message: "The body is not JSON." }]);
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    throw invalidRequest(result.error.issues.flatMap((issue) => describeIssue(issue, [])));
  }
  return result.data;
}

/** Each field that is not known by its own path; of a choice, what is wrong with the one that fits best. */
function describeIssue(issue: z.core.$ZodIssue, above: PropertyKey[]): Issue[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      path: [...path, key].join("."),
      message: "This field is not known here.",
    }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const branches = issue.errors.map((issues) =>
      issues.flatMap((each) => describeIssue(each, path)),
    );
    const depth = ([first]: Issue[]) => first?.path.split(".").length ?? 0;
    const [best] = branches.sort((a, b) => depth(b) - depth(a) || a.length - b.length);
    // None of them fits better than the others: the choice as a whole is wrong.
    if (best && depth(best) > path.length) return best;
  }
  return [{ path: path.join("."), message: issue.message }];
}

export interface Issue {
  path: string;
  message: string;
}

export function invalidRequest(issues: Issue[]): SpendgateError {
  const [first] = issues;
  const where = first?.path ? `${first.path}: ` : "";
  return new SpendgateError("invalid_request", `${where}${first?.message ?? "Invalid request."}`, {
    details: { issues },
  });
}

/** Counts while it reads: Content-Length may be missing or wrong. */
async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () =>
    new SpendgateError("request_too_large", `The body is larger than ${maxBytes} bytes.`, {
      details: { maxBytes },
    });
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge();
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
