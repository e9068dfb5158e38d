// Where alerts about all tenants, and about the operation, go.
import { useIdentity } from "../shell/identity.ts";
import { ChannelsScreen } from "../ui/channels.tsx";

export function PlatformChannels() {
  const { operator_role } = useIdentity();
  return (
    <ChannelsScreen
      tenantId={null}
      title="Platform channels"
      note="Where alerts about all tenants and the operation are sent, besides those that ALERT_… names."
      mayManage={operator_role === "editor"}
    />
  );
}
