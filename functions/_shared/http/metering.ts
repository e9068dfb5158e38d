// Who pays for the calls of a request, and what they are for.
import { invalidRequest } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";
import { type Attribution, RequestKeys, type RequestMetering } from "../gate/metering.ts";
import { Receipt } from "../gate/receipt.ts";
import type { Env } from "../runtime/env.ts";
import { activeContext, requestScope } from "../runtime/telemetry/context.ts";
import type { Identity } from "./caller.ts";
import { resolveTenant } from "./tenant.ts";

/**
 * What the calls of a request need.
 * @throws SpendgateError not_a_member, or invalid_request when the tenant has to be named.
 */
export async function meteringFor(
  caller: Identity,
  request: Request,
  env: Env,
  gate: Gate,
  attribution: Attribution,
): Promise<RequestMetering> {
  const deadline = Date.now() + env.callTimeoutMs;
  const key = request.headers.get("idempotency-key");
  const keys = key === null ? undefined : new RequestKeys(parseKey(key));
  const tenantId = await resolveTenant(request, gate, caller, attribution.tenantId);
  const { userId } = caller;
  Object.assign(requestScope()?.facts ?? {}, { tenantId, task: attribution.task });
  return {
    ...attribution,
    ...{ gate, env, userId, tenantId, keys, deadline },
    trace: activeContext(),
    receipt: new Receipt(),
  };
}

function parseKey(key: string): string {
  if (/#\d+$/.test(key)) {
    throw invalidRequest([
      {
        path: "idempotency-key",
        message: "A key must not end in # and a number: those are our own.",
      },
    ]);
  }
  if (/^[\x21-\x7e]{1,200}$/.test(key)) return key;
  throw invalidRequest([
    { path: "idempotency-key", message: "Send 1 to 200 visible ASCII characters." },
  ]);
}
