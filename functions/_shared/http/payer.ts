// Who would pay for a call, where none is made.
import { idIn, TENANT_HEADER } from "./caller.ts";
import type { UserContext } from "./serve.ts";

/**
 * Whose quotas say what may be used. Undefined where they refuse nothing, where nobody says which of the caller's
 * tenants pays, and for a tenant that is none of them: what it has used up is not for others.
 */
export async function payerOf({ request, env, gate, userId, tenantId }: UserContext) {
  if (!env.enforceCostQuotas) return undefined;
  const own = tenantId || userId === null ? [tenantId] : await gate.tenantsOf(userId);
  const named = idIn(request, TENANT_HEADER);
  const [payer, ...others] = own.filter((id) => named === undefined || id === named);
  return payer && others.length === 0 ? { tenantId: payer, userId } : undefined;
}
