// What was alerted, and who changed what.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { alertsQuery, changesQuery, mutesQuery } from "../data/feeds.ts";
import { seesAll, setsLimits, useIdentity, useTenant } from "../shell/identity.ts";
import { AlertList, Mutes, usersOfAlerts } from "../ui/alerts.tsx";
import { ChangeList, usersOfChanges } from "../ui/history.tsx";
import { useNames } from "../ui/names.ts";
import { Pages } from "../ui/pages.tsx";
import { Panel, Screen } from "../ui/parts.tsx";
import { Empty, Loaded } from "../ui/states.tsx";

const PAGE = 25;

export function Changes() {
  const tenant = useTenant();
  const identity = useIdentity();
  const search = useSearch({ from: "/tenants/$tenantId/changes" });
  const navigate = useNavigate({ from: "/tenants/$tenantId/changes" });
  const alerts = useQuery(alertsQuery(tenant.tenant_id, search.alerts, PAGE + 1));
  const changes = useQuery(changesQuery(tenant.tenant_id, search.changes, PAGE + 1));
  const mutes = useQuery(mutesQuery(tenant.tenant_id));
  const nameOf = useNames([
    ...(mutes.data ?? []).map(({ created_by }) => created_by),
    ...usersOfAlerts(alerts.data ?? []),
    ...usersOfChanges(changes.data ?? []),
  ]);
  if (!seesAll(tenant, identity)) {
    return (
      <Screen title="Alerts and changes">
        <Panel>
          <Empty title="For owners and admins of the tenant" />
        </Panel>
      </Screen>
    );
  }
  const of = {
    tenantId: tenant.tenant_id,
    zone: tenant.time_zone,
    mayManage: setsLimits(tenant, identity),
    nameOf,
  };
  return (
    <Screen title="Alerts and changes" note={`${tenant.name}. Times in ${tenant.time_zone}.`}>
      <Panel title="Alerts">
        <Mutes of={of} />
        <Loaded query={alerts}>
          {(rows) =>
            rows.length > 0 ? (
              <AlertList alerts={rows.slice(0, PAGE)} of={of} />
            ) : (
              <Empty title="No alerts">
                <p>A limit that reaches its warning threshold shows here.</p>
              </Empty>
            )
          }
        </Loaded>
        <Pages
          label="Pages of alerts"
          position={search.alerts ? "Older alerts" : "Newest alerts"}
          previous={search.alerts ? () => window.history.back() : undefined}
          next={
            alerts.data && alerts.data.length > PAGE
              ? () => navigate({ search: (old) => ({ ...old, alerts: alerts.data[PAGE - 1]?.id }) })
              : undefined
          }
        />
      </Panel>
      <Panel title="Changes">
        <Loaded query={changes}>
          {(rows) =>
            rows.length > 0 ? (
              <ChangeList changes={rows.slice(0, PAGE)} zone={tenant.time_zone} nameOf={nameOf} />
            ) : (
              <Empty title="No changes" />
            )
          }
        </Loaded>
        <Pages
          label="Pages of changes"
          position={search.changes ? "Older changes" : "Newest changes"}
          previous={search.changes ? () => window.history.back() : undefined}
          next={
            changes.data && changes.data.length > PAGE
              ? () =>
                  navigate({ search: (old) => ({ ...old, changes: changes.data[PAGE - 1]?.id }) })
              : undefined
          }
        />
      </Panel>
    </Screen>
  );
}
