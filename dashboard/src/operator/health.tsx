// Whether the gate, its maintenance and its alerts do their work; and what was changed last.
import { useQuery } from "@tanstack/react-query";
import {
  alertsQuery,
  changesQuery,
  type Health,
  healthQuery,
  mutesQuery,
  tenantNamesQuery,
} from "../data/feeds.ts";
import { formatMoment, fromNow } from "../lib/time.ts";
import { useIdentity } from "../shell/identity.ts";
import { AlertList, Mutes, usersOfAlerts } from "../ui/alerts.tsx";
import { ChangeList, usersOfChanges } from "../ui/history.tsx";
import { useNames } from "../ui/names.ts";
import { Badge, Panel, Screen } from "../ui/parts.tsx";
import { Empty, Loaded } from "../ui/states.tsx";

export function HealthScreen() {
  const health = useQuery(healthQuery());
  const alerts = useQuery(alertsQuery(null, undefined, 10));
  const changes = useQuery(changesQuery(null, undefined, 20));
  const mutes = useQuery(mutesQuery(null));
  const { operator_role } = useIdentity();
  const nameOf = useNames([
    ...(mutes.data ?? []).map(({ created_by }) => created_by),
    ...usersOfAlerts(alerts.data ?? []),
    ...usersOfChanges(changes.data ?? []),
  ]);
  const ids = [...(alerts.data ?? []), ...(changes.data ?? [])].flatMap(
    ({ tenant_id }) => tenant_id ?? [],
  );
  const names = useQuery(tenantNamesQuery([...new Set(ids)].sort()));
  const of = {
    tenantId: null,
    zone: "UTC",
    mayManage: operator_role === "editor",
    nameOf,
    tenantNames: names.data ?? {},
  };
  return (
    <Screen title="Health" note="Times in UTC.">
      <Panel title="Checks">
        <Loaded query={health} skeleton={6}>
          {(data) => <Checks health={data} />}
        </Loaded>
      </Panel>
      <Panel title="Latest alerts">
        <Mutes of={of} />
        <Loaded query={alerts}>
          {(rows) =>
            rows.length > 0 ? <AlertList alerts={rows} of={of} /> : <Empty title="No alerts" />
          }
        </Loaded>
      </Panel>
      <Panel title="Latest changes">
        <Loaded query={changes}>
          {(rows) =>
            rows.length > 0 ? (
              <ChangeList
                changes={rows}
                zone="UTC"
                nameOf={nameOf}
                tenantNames={names.data ?? {}}
              />
            ) : (
              <Empty title="No changes" />
            )
          }
        </Loaded>
      </Panel>
    </Screen>
  );
}

interface Check {
  name: string;
  isRight: boolean;
  text: string;
}

function Checks({ health }: { health: Health }) {
  const { maintenance } = health;
  const checks: Check[] = [
    {
      name: "Maintenance",
      isRight: maintenance.is_running && maintenance.late_jobs.length === 0,
      text: [
        maintenance.last_run_at ? `last ran ${fromNow(maintenance.last_run_at)}` : "never ran",
        maintenance.scheduled_by === "pg_cron"
          ? "by pg_cron"
          : maintenance.scheduled_by && "by the edge function or another scheduler",
        maintenance.late_jobs.length > 0 && `late: ${maintenance.late_jobs.join(", ")}`,
        maintenance.remedy,
      ]
        .filter(Boolean)
        .join("; "),
    },
    {
      name: "Verification",
      isRight: health.open_problems === 0,
      text:
        health.open_problems === 0
          ? "balances, roll-ups and reservations agree with the ledger"
          : `${health.open_problems} open problems: see spend.problems`,
    },
    {
      name: "Alerts",
      isRight: health.undelivered_alerts + health.given_up_alerts + health.unrouted_alerts === 0,
      text:
        [
          health.undelivered_alerts > 0 &&
            `${health.undelivered_alerts} waiting for a channel${health.oldest_undelivered_at ? `, the oldest ${fromNow(health.oldest_undelivered_at)}` : ""}`,
          health.given_up_alerts > 0 &&
            `${health.given_up_alerts} given up in the last day: look at the channels`,
          health.unrouted_alerts > 0 &&
            `${health.unrouted_alerts} not handed to channels: nobody calls the function alerts`,
        ]
          .filter(Boolean)
          .join("; ") || "all delivered to the channels that take them",
    },
    {
      name: "Open calls",
      isRight: health.overdue_reservations === 0,
      text: `${health.open_reservations} held${health.overdue_reservations > 0 ? `, ${health.overdue_reservations} past their time` : ""}`,
    },
    {
      name: "Roll-ups",
      isRight:
        maintenance.unrolled_since === null ||
        Date.now() - Date.parse(maintenance.unrolled_since) < 3_600_000,
      text:
        maintenance.unrolled_events === 0
          ? "all events counted"
          : `${maintenance.unrolled_events.toLocaleString("en")} events to count`,
    },
    {
      name: "Price catalogue",
      isRight:
        health.newest_price_from !== null &&
        Date.now() - Date.parse(health.newest_price_from) < 90 * 86_400_000,
      text: health.newest_price_from
        ? `newest price of ${formatMoment(health.newest_price_from, "UTC")}`
        : "no prices: every call is refused",
    },
    { name: "Contract", isRight: true, text: `version ${health.contract_version}` },
  ];
  return (
    <ul className="divide-y divide-line text-sm">
      {checks.map(({ name, isRight, text }) => (
        <li
          key={name}
          className="grid grid-cols-[auto_1fr] items-baseline gap-x-3 gap-y-0.5 px-4 py-2 sm:grid-cols-[5rem_10rem_1fr]"
        >
          <span>
            <Badge tone={isRight ? "good" : "bad"}>{isRight ? "OK" : "look"}</Badge>
          </span>
          <span className="font-medium">{name}</span>
          <span className="col-span-2 text-muted sm:col-span-1">{text}</span>
        </li>
      ))}
    </ul>
  );
}
