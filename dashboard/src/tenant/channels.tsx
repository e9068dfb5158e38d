// Where a tenant's alerts go: its own channels, which its owners and admins manage.
import { seesAll, setsLimits, useIdentity, useTenant } from "../shell/identity.ts";
import { ChannelsScreen } from "../ui/channels.tsx";
import { Panel, Screen } from "../ui/parts.tsx";
import { Empty } from "../ui/states.tsx";

export function Channels() {
  const tenant = useTenant();
  const identity = useIdentity();
  if (!seesAll(tenant, identity)) {
    return (
      <Screen title="Channels">
        <Panel>
          <Empty title="For owners and admins of the tenant" />
        </Panel>
      </Screen>
    );
  }
  return (
    <ChannelsScreen
      tenantId={tenant.tenant_id}
      title="Channels"
      note={`Where alerts about ${tenant.name} are sent.`}
      mayManage={setsLimits(tenant, identity)}
    />
  );
}
