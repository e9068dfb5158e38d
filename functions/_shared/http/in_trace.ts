// A request as a span of its caller's trace, which ends when its answer is written.
import { inBackground } from "../runtime/background.ts";
import { log } from "../runtime/log.ts";
import { type RequestScope, requestContext, within } from "../runtime/telemetry/context.ts";
import { SPANS } from "../runtime/telemetry/names.ts";
import { OpenSpan } from "../runtime/telemetry/spans.ts";
import { flushTelemetry } from "../runtime/telemetry/telemetry.ts";

/** Answers a request of a function; then all is sent that was recorded for it. */
export async function inTrace(
  request: Request,
  name: string,
  answer: (span: OpenSpan) => Promise<Response>,
): Promise<Response> {
  const { headers, method } = request;
  const requestId = requestIdOf(headers);
  const scope: RequestScope = {
    facts: { function: name, requestId },
    answers: new Set(),
    work: new Set(),
  };
  const span = new OpenSpan(SPANS.request.replace("{function}", name), {
    kind: "server",
    attributes: { function: name, requestId, method },
    parent: requestContext(headers, scope),
  });
  const response = await within(span.inside, () => answer(span));
  const { tenantId, userId, task } = scope.facts;
  span.set({ status: response.status, tenant: tenantId, user: userId, task });
  within(span.inside, () => log("debug", "request", { method, status: response.status }));
  // Not within the request, whose background work it waits for.
  inBackground(finish(scope, span));
  return response;
}

/** The platform may stop a worker when its work is done: what was recorded leaves before that. */
async function finish({ answers, work }: RequestScope, span: OpenSpan): Promise<void> {
  while (answers.size > 0) await Promise.all(answers);
  span.end();
  flushTelemetry();
  if (work.size === 0) return;
  while (work.size > 0) await Promise.all(work);
  flushTelemetry();
}

/** The platform's own id of a request, so that its logs and ours go together; else one of ours. */
function requestIdOf(headers: Headers): string {
  const given = headers.get("sb-request-id") ?? headers.get("x-request-id") ?? "";
  return /^[\w.:-]{1,64}$/.test(given) ? given : crypto.randomUUID();
}
