// Where alerts about all tenants, and about the operation, go.
import { useIdentity } from "../shell/identity.ts";
import { ChannelsScreen } from "../ui/channels.tsx";

export function PlatformChannels() {
  const { operator_role } = useIdentity();
  return (
    <ChannelsScreen
      tenantId={null}
      title="Platform channels"
      note="Where alerts about all tenants, the platform and the operation are sent. Those that the environment names (ALERT_…) are not listed."
      mayManage={operator_role === "editor"}
    />
  );
}
