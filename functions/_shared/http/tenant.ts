// Which tenant pays.
import { invalidRequest, SpendgateError } from "../errors.ts";
import type { Gate } from "../gate/gate.ts";
import { type Identity, idIn, TENANT_HEADER } from "./caller.ts";

/**
 * The tenant that pays: the caller's where it is known; else the one that the body or the header names, else the user's
 * only one. Whether the user is a member of a named one is checked by reserve itself.
 * @throws SpendgateError not_a_member of any; invalid_request when there are several, or the body names another than a
 *   backend does.
 */
export async function resolveTenant(
  request: Request,
  gate: Gate,
  { userId, tenantId }: Identity,
  inBody: string | undefined,
): Promise<string> {
  if (tenantId !== undefined && inBody !== undefined && inBody.toLowerCase() !== tenantId) {
    const message = `Name the tenant of the header ${TENANT_HEADER}, or none.`;
    throw invalidRequest([{ path: "tenantId", message }]);
  }
  const named = tenantId ?? inBody ?? idIn(request, TENANT_HEADER);
  if (named) return named;
  const [only, ...others] = userId === null ? [] : await gate.tenantsOf(userId);
  if (!only) throw new SpendgateError("not_a_member", "You are not a member of any tenant.");
  if (others.length > 0) {
    throw invalidRequest([{ path: "tenantId", message: "You are in several tenants: name one." }]);
  }
  return only;
}
