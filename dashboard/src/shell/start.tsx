import { Navigate } from "@tanstack/react-router";
import { Panel, Screen } from "../ui/parts.tsx";
import { Empty } from "../ui/states.tsx";
import { useIdentity } from "./identity.ts";

const LAST_TENANT = "spendgate-tenant";

export function rememberTenant(tenantId: string): void {
  localStorage.setItem(LAST_TENANT, tenantId);
}

/** Goes to the tenant that was looked at last, or the first; operators of no tenant go to the fleet. */
export function Start() {
  const { tenants, operator_role, user_id } = useIdentity();
  const last = localStorage.getItem(LAST_TENANT);
  const tenant = tenants.find(({ tenant_id }) => tenant_id === last) ?? tenants[0];
  if (tenant)
    return <Navigate to="/tenants/$tenantId" params={{ tenantId: tenant.tenant_id }} replace />;
  if (operator_role) return <Navigate to="/operator/fleet" replace />;
  return (
    <Screen title="Welcome">
      <Panel>
        <Empty title="You are a member of no tenant yet">
          <p>
            Ask an owner to add you. Your user id is{" "}
            <code className="break-all text-ink">{user_id}</code>.
          </p>
        </Empty>
      </Panel>
    </Screen>
  );
}
