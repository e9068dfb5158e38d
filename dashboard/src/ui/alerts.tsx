// Alerts as sentences, what became of them at each channel, who has seen them, and what is muted.
import { useMutation, useQuery } from "@tanstack/react-query";
import { BellOff, Check } from "lucide-react";
import { useState } from "react";
import {
  type Alert,
  type AlertKind,
  acknowledgeAlert,
  type Delivery,
  deliveriesQuery,
  type Mute,
  muteAlerts,
  mutesQuery,
  type QuotaName,
  quotaNamesQuery,
  unmuteAlerts,
} from "../data/feeds.ts";
import { formatUsd, percentText } from "../lib/money.ts";
import { formatMoment } from "../lib/time.ts";
import { ChangeDialog } from "./dialog.tsx";
import { tenantColumn } from "./history.tsx";
import type { NameOf } from "./names.ts";
import { Badge, Button, Field, PersonName, Select } from "./parts.tsx";
import { quotaName } from "./quota_bar.tsx";
import { ErrorNote } from "./states.tsx";
import { type Column, DataTable } from "./table.tsx";

/** Each kind in words: its badge, and as one of a list. */
export const ALERT_WORDS: Record<
  AlertKind,
  { badge: string; tone: "warn" | "bad" | "accent"; plural: string }
> = {
  quota_warning: { badge: "warning", tone: "warn", plural: "Warnings of limits" },
  quota_exceeded: { badge: "limit", tone: "bad", plural: "Limits that are reached" },
  forecast_exceeded: { badge: "forecast", tone: "warn", plural: "Forecasts above a limit" },
  unusual_spend: { badge: "unusual spend", tone: "warn", plural: "Days of unusual spend" },
  reservations_expired: { badge: "expired", tone: "warn", plural: "Many calls that never ended" },
  settle_failed: { badge: "not settled", tone: "bad", plural: "Calls that were not settled" },
  sandbox_orphaned: { badge: "stray sandbox", tone: "bad", plural: "Sandboxes of nobody" },
  price_missing: { badge: "no price", tone: "bad", plural: "Models without a price" },
  verification_failed: { badge: "wrong balance", tone: "bad", plural: "Balances that are wrong" },
  job_failed: { badge: "job failed", tone: "bad", plural: "Jobs that fail" },
};

/** Whose names a list of alerts tells. */
export function usersOfAlerts(alerts: Alert[]): (string | null)[] {
  return alerts.flatMap(({ details, acknowledged_by }) => [
    details?.scope === "user" ? details.scope_id : null,
    acknowledged_by,
  ]);
}

export interface AlertsOf {
  /** Null: of the platform, whose channels are the operators'. */
  tenantId: string | null;
  zone: string;
  /** The reader acknowledges and mutes. */
  mayManage: boolean;
  nameOf: NameOf;
  /** For operators, who see those of all tenants. */
  tenantNames?: Record<string, string>;
}

export function AlertList({ alerts, of }: { alerts: Alert[]; of: AlertsOf }) {
  const { zone, nameOf, mayManage } = of;
  const deliveries = useQuery(deliveriesQuery(alerts.map(({ id }) => id)));
  const acknowledge = useMutation({ mutationFn: acknowledgeAlert });
  const [muted, setMuted] = useState<Alert>();
  const columns: Column<Alert>[] = [
    {
      id: "what",
      header: "Alert",
      isTitle: true,
      cell: (alert) => <AlertText alert={alert} of={of} />,
    },
    ...tenantColumn<Alert>(of.tenantNames),
    {
      id: "when",
      header: "When",
      cell: ({ created_at }) => (
        <span className="whitespace-nowrap">{formatMoment(created_at, zone)}</span>
      ),
    },
    {
      id: "delivered",
      header: "Channels",
      cell: (alert) => (
        <Deliveries
          alert={alert}
          deliveries={deliveries.data?.filter(({ alert_id }) => alert_id === alert.id)}
          zone={zone}
        />
      ),
    },
    {
      id: "seen",
      header: "Acknowledged",
      cell: (alert) =>
        alert.acknowledged_at ? (
          <>
            <PersonName
              name={alert.acknowledged_by ? nameOf(alert.acknowledged_by) : "by the secret key"}
            />
            <span className="block text-xs text-muted">
              {formatMoment(alert.acknowledged_at, zone)}
            </span>
          </>
        ) : mayManage ? (
          <Button
            aria-label={`Acknowledge: ${wordsOf(alert, nameOf)}`}
            disabled={acknowledge.isPending}
            onClick={() => acknowledge.mutate(alert.id)}
          >
            <Check aria-hidden className="size-3.5" /> Acknowledge
          </Button>
        ) : (
          <span className="text-muted">not yet</span>
        ),
    },
    ...(mayManage
      ? [
          {
            id: "mute",
            header: "",
            align: "right" as const,
            cell: (alert: Alert) => (
              <Button
                kind="quiet"
                className="px-2"
                aria-label={`Mute: ${wordsOf(alert, nameOf)}`}
                title="Mute"
                onClick={() => setMuted(alert)}
              >
                <BellOff aria-hidden className="size-4" />
                <span className="sm:sr-only">Mute</span>
              </Button>
            ),
          },
        ]
      : []),
  ];
  return (
    <>
      {acknowledge.error && <ErrorNote error={acknowledge.error} />}
      <DataTable label="Alerts" columns={columns} rows={alerts} rowKey={({ id }) => id} />
      {muted && <MuteDialog alert={muted} of={of} onClose={() => setMuted(undefined)} />}
    </>
  );
}

function AlertText({ alert, of: { nameOf, zone } }: { alert: Alert; of: AlertsOf }) {
  const { badge, tone } = ALERT_WORDS[alert.kind];
  const runsOut = alert.kind === "forecast_exceeded" && alert.facts?.exhausted_at;
  return (
    <span className="wrap-anywhere">
      <Badge tone={tone}>{badge}</Badge> {wordsOf(alert, nameOf)}
      {runsOut && <>. Runs out {formatMoment(runsOut, zone)}</>}
      {alert.ended_at && <span className="text-muted">, over since</span>}
    </span>
  );
}

/** "LLM calls per month of ada@example.com: 80 % of $20.00 spent". */
function wordsOf(alert: Alert, nameOf: NameOf): string {
  const { kind, details, threshold, facts } = alert;
  if (!details) return facts?.message ?? "";
  const limit = formatUsd(alert.limit_usd ?? "0");
  return `${quotaOf(details, nameOf)}: ${
    kind === "forecast_exceeded"
      ? `${facts?.expected_usd ? formatUsd(facts.expected_usd) : "more"} expected of ${limit}`
      : kind === "quota_exceeded" && Number(threshold) < 1
        ? `a call was refused, for lack of room below ${limit}`
        : `${percentText(Number(threshold))}\u00a0% of ${limit} spent`
  }`;
}

function quotaOf(details: NonNullable<Alert["details"]> | QuotaName, nameOf: NameOf): string {
  const whose = {
    user: ` of ${nameOf(details.scope_id)}`,
    platform: " of the platform",
    tenant: "",
  };
  return quotaName(details) + whose[details.scope];
}

function Deliveries({
  alert,
  deliveries,
  zone,
}: {
  alert: Alert;
  deliveries: Delivery[] | undefined;
  zone: string;
}) {
  if (!deliveries) return null;
  if (deliveries.length === 0) {
    return (
      <span className="text-muted">
        {alert.routed_at ? "none takes it" : "not handed over yet"}
      </span>
    );
  }
  return (
    <ul className="space-y-0.5">
      {deliveries.map((delivery) => (
        <li key={delivery.id}>
          <span className="wrap-anywhere">{delivery.channel}</span>{" "}
          <DeliveryState delivery={delivery} zone={zone} />
          {delivery.last_error && !delivery.delivered_at && (
            <span className="block text-xs text-muted wrap-anywhere">{delivery.last_error}</span>
          )}
        </li>
      ))}
    </ul>
  );
}

function DeliveryState({ delivery, zone }: { delivery: Delivery; zone: string }) {
  const { event, delivered_at, ended_at, is_given_up, attempts, next_attempt_at } = delivery;
  const times = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  if (delivered_at) {
    return (
      <span title={formatMoment(delivered_at, zone)}>
        <Badge tone="good">{event === "resolve" ? "resolved" : "delivered"}</Badge>
      </span>
    );
  }
  if (is_given_up) return <Badge tone="bad">failed, {times}</Badge>;
  if (ended_at) return <Badge>not sent</Badge>;
  return (
    <span title={`Next attempt ${formatMoment(next_attempt_at, zone)}`}>
      <Badge tone={attempts > 0 ? "warn" : "plain"}>
        {attempts > 0 ? `waiting, ${times}` : "waiting"}
      </Badge>
    </span>
  );
}

const HOUR = 3_600_000;

function MuteDialog({ alert, of, onClose }: { alert: Alert; of: AlertsOf; onClose: () => void }) {
  const [what, setWhat] = useState<"this" | "kind" | "all">("this");
  const [long, setLong] = useState<"1" | "8" | "24" | "period">("1");
  const { mutateAsync } = useMutation({ mutationFn: muteAlerts });
  const { kind, quota_id, details } = alert;
  const end = Date.parse(details?.period_end ?? "");
  const hasPeriod = end > Date.now();
  const until = new Date(long === "period" ? end : Date.now() + Number(long) * HOUR).toISOString();
  const mute = {
    tenant_id: of.tenantId,
    kind: what === "all" ? null : kind,
    quota_id: what === "this" ? quota_id : null,
    until,
  };
  const plural = ALERT_WORDS[kind].plural;
  const limit = details && quotaOf(details, of.nameOf);
  return (
    <ChangeDialog
      title="Mute alerts"
      description={`${of.tenantId ? "The tenant's" : "The platform's"} channels are silent until then. Alerts that come are listed here all the same.`}
      isComplete
      form={
        <div className="grid gap-3 sm:grid-cols-2">
          <Field label="Which">
            {(field) => (
              <Select
                {...field}
                value={what}
                options={[
                  ["this", quota_id === null ? plural : `${plural}: ${limit}`],
                  ...(quota_id === null ? [] : ([["kind", plural]] as const)),
                  ["all", "All alerts"],
                ]}
                onValue={setWhat}
              />
            )}
          </Field>
          <Field label="For">
            {(field) => (
              <Select
                {...field}
                value={long}
                options={[
                  ["1", "1 hour"],
                  ["8", "8 hours"],
                  ["24", "1 day"],
                  ...(hasPeriod ? ([["period", "until the period ends"]] as const) : []),
                ]}
                onValue={setLong}
              />
            )}
          </Field>
        </div>
      }
      differences={[
        {
          name: what === "all" ? "All alerts" : what === "kind" || !limit ? plural : limit,
          before: "sent",
          after: `muted until ${formatMoment(until, of.zone)}`,
        },
      ]}
      action="Mute"
      change={async () => {
        await mutateAsync(mute);
      }}
      onClose={onClose}
    />
  );
}

/** What is muted now, and who did it; nothing where nothing is. */
export function Mutes({ of }: { of: AlertsOf }) {
  const mutes = useQuery(mutesQuery(of.tenantId));
  const quotaIds = (mutes.data ?? []).flatMap(({ quota_id }) => quota_id ?? []);
  const quotas = useQuery(quotaNamesQuery([...new Set(quotaIds)].sort()));
  const end = useMutation({ mutationFn: unmuteAlerts });
  const textOf = ({ kind, quota_id }: Mute) => {
    const what = kind ? ALERT_WORDS[kind].plural : "All alerts";
    if (quota_id === null) return what;
    const quota = quotas.data?.find(({ id }) => id === quota_id);
    const tenant = of.tenantNames?.[quota?.tenant_id ?? ""];
    return `${what}: ${quota ? quotaOf(quota, of.nameOf) : "one limit"}${tenant ? ` at ${tenant}` : ""}`;
  };
  if (!mutes.data || mutes.data.length === 0) return null;
  return (
    <ul
      aria-label="Muted alerts"
      className="divide-y divide-line border-b border-line bg-warn-soft text-sm"
    >
      {end.error && (
        <li>
          <ErrorNote error={end.error} />
        </li>
      )}
      {mutes.data.map((mute) => (
        <li
          key={mute.id}
          className="flex flex-wrap items-center justify-between gap-x-4 gap-y-1 px-4 py-2"
        >
          <span className="min-w-0 wrap-anywhere text-warn">
            <BellOff aria-hidden className="mr-1.5 inline size-4" />
            {textOf(mute)} muted until {formatMoment(mute.until, of.zone)}, by{" "}
            {mute.created_by ? of.nameOf(mute.created_by) : "the secret key"}
          </span>
          {of.mayManage && (
            <Button
              disabled={end.isPending}
              aria-label={`Unmute: ${textOf(mute)}`}
              onClick={() => end.mutate(mute.id)}
            >
              Unmute
            </Button>
          )}
        </li>
      ))}
    </ul>
  );
}
