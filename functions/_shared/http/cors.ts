// Headers that let any origin's script call a function.

/** Headers that a browser's script may read. */
const EXPOSED = [
  "retry-after",
  "ratelimit",
  "ratelimit-policy",
  "x-spendgate-reservation",
  "x-spendgate-cost-usd",
  "x-spendgate-warnings",
  "x-should-retry",
  "request-id",
].join(", ");

/** Seconds that a browser may keep a preflight's answer: the most that any of them does. */
const PREFLIGHT_SECONDS = 7200;

/** Any origin may call: who calls is in the token, never in a cookie. */
export function allowCors(request: Request, headers: Headers): void {
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
