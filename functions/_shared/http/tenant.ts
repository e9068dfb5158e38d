// Which tenant pays.
import { z } from "zod";
import { invalidRequest, SpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";

/** Header that names the tenant where a body does not. */
const TENANT_HEADER = "x-spendgate-tenant";

/**
 * The tenant that pays: the one that the body or the header names, else the user's only one.
 * Whether the user is a member of a named one is checked by reserve itself.
 * @throws SpendgateError not_a_member of any; invalid_request when there are several.
 */
export async function resolveTenant(
  request: Request,
  gate: Gate,
  userId: string,
  inBody: string | undefined,
): Promise<string> {
  const named = inBody ?? tenantInHeader(request);
  if (named) return named;
  const [only, ...others] = await gate.tenantsOf(userId);
  if (!only) throw new SpendgateError("not_a_member", "You are not a member of any tenant.");
  if (others.length > 0) {
    throw invalidRequest([{ path: "tenantId", message: "You are in several tenants: name one." }]);
  }
  return only;
}

function tenantInHeader(request: Request): string | undefined {
  const named = request.headers.get(TENANT_HEADER);
  if (named === null) return undefined;
  if (!z.guid().safeParse(named).success) {
    throw invalidRequest([{ path: TENANT_HEADER, message: "Name the tenant by its uuid." }]);
  }
  return named;
}
