// An error as an answer.
import type { SpendgateError } from "../errors.ts";

/** Whether a caller reads server-sent events and nothing else, as `fetch-event-source` says; useChat takes all. */
export function acceptsOnlyEvents(request: Request): boolean {
  const accepted = (request.headers.get("accept") ?? "").split(",").map((type) => type.trim());
  return accepted.every((type) => /^text\/event-stream\b/i.test(type));
}

/** The code in a provider's wire format: of a request that the provider does not take, its own says more than ours. */
export function codeOf({ code, details }: SpendgateError): string {
  const { upstream } = details as { upstream?: { code: string | null } };
  return (code === "invalid_request" ? upstream?.code : undefined) ?? code;
}

/** JSON, or the same as server-sent events. */
export function errorResponse(error: SpendgateError, format: "json" | "sse"): Response {
  const headers = new Headers(error.headers);
  const body = JSON.stringify(error);
  if (format === "json") {
    headers.set("Content-Type", "application/json");
    return new Response(body, { status: error.status, headers });
  }
  headers.set("Content-Type", "text/event-stream");
  headers.set("Cache-Control", "no-cache");
  return new Response(
    `event: error\ndata: ${body}\n\nevent: done\ndata: ${JSON.stringify({ status: error.code })}\n\n`,
    { status: error.status, headers },
  );
}
