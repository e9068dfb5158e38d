// Who calls an endpoint that spends: a signed-in user; or a backend, with the secret key, for a tenant.
import * as z from "zod";
import { invalidRequest, SpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";
import type { Caller } from "../gate/metering.ts";
import type { Env } from "../runtime/env.ts";
import { once } from "../runtime/once.ts";
import { sendsSecretKey } from "./secret_key.ts";

/** Names the tenant that pays where a body does not, and always where a backend calls. */
export const TENANT_HEADER = "x-spendgate-tenant";
/** Names the user for whom a backend calls. Of a user who calls it says nothing. */
const USER_HEADER = "x-spendgate-user";

// What only a scheduler calls never loads it.
const auth = once(() => import("./auth.ts"));

export type Identity = Pick<Caller, "userId" | "tenantId">;

/**
 * The user of the bearer token; with the secret key, the tenant and the user that the headers name.
 * @throws SpendgateError unauthorized, also for the secret key in a browser; invalid_request when a backend names no
 *   tenant; not_a_member when the user whom it names is not the tenant's.
 */
export async function identify(request: Request, env: Env, gate: Gate): Promise<Identity> {
  if (!sendsSecretKey(request, env)) {
    const { authenticate } = await auth();
    return { userId: await authenticate(request, env) };
  }
  // Browsers say where a page comes from, and servers do not.
  if (request.headers.has("origin")) {
    const message = "The secret key is not for browsers. Replace it, and send the user's JWT.";
    throw new SpendgateError("unauthorized", message);
  }
  const tenantId = idIn(request, TENANT_HEADER);
  if (tenantId === undefined) {
    const message = "The secret key belongs to no tenant: name the one that pays.";
    throw invalidRequest([{ path: TENANT_HEADER, message }]);
  }
  const userId = idIn(request, USER_HEADER) ?? null;
  if (userId !== null && !(await gate.tenantsOf(userId)).includes(tenantId)) {
    throw new SpendgateError("not_a_member", "The user is not a member of this tenant.");
  }
  return { userId, tenantId };
}

/** The uuid in a header. @throws SpendgateError invalid_request */
export function idIn(request: Request, header: string): string | undefined {
  const value = request.headers.get(header);
  if (value === null) return undefined;
  if (!z.guid().safeParse(value).success) {
    throw invalidRequest([{ path: header, message: "Send a uuid." }]);
  }
  return value.toLowerCase();
}
