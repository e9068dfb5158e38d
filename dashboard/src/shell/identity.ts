// Who looks, and at which tenant: what every screen may ask.
import { createContext, useContext } from "react";
import type { Identity, Tenant } from "../data/feeds.ts";

export const IdentityContext = createContext<Identity | null>(null);
export const TenantContext = createContext<Tenant | null>(null);

export function useIdentity(): Identity {
  const identity = useContext(IdentityContext);
  if (!identity) throw new Error("no identity above");
  return identity;
}

export function useTenant(): Tenant {
  const tenant = useContext(TenantContext);
  if (!tenant) throw new Error("no tenant above");
  return tenant;
}

/** Whether the reader sees what all members of the tenant do. */
export function seesAll(tenant: Tenant, identity: Identity): boolean {
  return tenant.role === "owner" || tenant.role === "admin" || identity.operator_role !== null;
}

/** Whether the reader may set limits of the tenant's members. */
export function setsLimits(tenant: Tenant, identity: Identity): boolean {
  return tenant.role === "owner" || tenant.role === "admin" || identity.operator_role === "editor";
}
