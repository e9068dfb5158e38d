// Alerts and changes as sentences and differences.
import type { Alert, Change, Quota } from "../data/feeds.ts";
import { formatUsd } from "../lib/money.ts";
import { formatMoment } from "../lib/time.ts";
import { Badge } from "./parts.tsx";
import { quotaName } from "./quota_bar.tsx";
import { type Column, DataTable } from "./table.tsx";

type NameOf = (userId: string | null) => string;

export function AlertList({
  alerts,
  zone,
  nameOf,
}: {
  alerts: Alert[];
  zone: string;
  nameOf: NameOf;
}) {
  const columns: Column<Alert>[] = [
    {
      id: "what",
      header: "Alert",
      isTitle: true,
      cell: (alert) => <AlertText alert={alert} nameOf={nameOf} />,
    },
    {
      id: "when",
      header: "When",
      cell: ({ created_at }) => (
        <span className="whitespace-nowrap">{formatMoment(created_at, zone)}</span>
      ),
    },
    {
      id: "delivered",
      header: "Delivered",
      cell: ({ delivered_at }) =>
        delivered_at ? (
          formatMoment(delivered_at, zone)
        ) : (
          <span className="text-muted">not yet</span>
        ),
    },
  ];
  return <DataTable label="Alerts" columns={columns} rows={alerts} rowKey={({ id }) => id} />;
}

function AlertText({ alert, nameOf }: { alert: Alert; nameOf: NameOf }) {
  const { kind, threshold, details, limit_usd, facts, ended_at } = alert;
  if (!details) {
    return (
      <>
        <Badge tone="bad">{kind.replace("_", " ")}</Badge> {facts?.message}
      </>
    );
  }
  const whose =
    details.scope === "user"
      ? ` of ${nameOf(details.scope_id)}`
      : details.scope === "platform"
        ? " of the platform"
        : "";
  return (
    <span>
      <Badge tone={kind === "limit" ? "bad" : "warn"}>
        {kind === "limit" ? "limit" : "warning"}
      </Badge>{" "}
      {quotaName(details as Pick<Quota, "resource_type" | "period">)}
      {whose}: {threshold !== null && `${Number(threshold) * 100} %`} of{" "}
      {formatUsd(limit_usd ?? "0")} reached
      {ended_at && <span className="text-muted">, over since</span>}
    </span>
  );
}

export function ChangeList({
  changes,
  zone,
  nameOf,
}: {
  changes: Change[];
  zone: string;
  nameOf: NameOf;
}) {
  const columns: Column<Change>[] = [
    {
      id: "what",
      header: "What",
      isTitle: true,
      cell: (change) => <WhatChanged change={change} />,
    },
    {
      id: "fields",
      header: "Before → after",
      cell: (change) => (
        <ul className="text-xs">
          {fieldsOf(change).map(([field, before, after]) => (
            <li key={field} className="break-all">
              <span className="text-muted">{field}:</span> {before !== undefined && `${before} → `}
              {after}
            </li>
          ))}
        </ul>
      ),
    },
    {
      id: "who",
      header: "Who",
      cell: ({ user_id, role_name }) =>
        user_id ? nameOf(user_id) : <code className="text-xs">{role_name}</code>,
    },
    {
      id: "when",
      header: "When",
      cell: ({ changed_at }) => (
        <span className="whitespace-nowrap">{formatMoment(changed_at, zone)}</span>
      ),
    },
  ];
  return <DataTable label="Changes" columns={columns} rows={changes} rowKey={({ id }) => id} />;
}

const VERBS = { INSERT: "added", UPDATE: "changed", DELETE: "removed", TRUNCATE: "emptied" };

function WhatChanged({ change }: { change: Change }) {
  return (
    <span>
      {change.table_name.replaceAll("_", " ")} {VERBS[change.command]}
    </span>
  );
}

/** Columns that say what a row is for, not what changed of it. */
const HIDDEN = new Set([
  "id",
  "created_at",
  "slots",
  "shape_since",
  "tenant_id",
  "plan_version",
  "is_seeded",
]);

/** Fields that differ; of a new or a removed row, its fields. */
function fieldsOf({ command, old_row, new_row }: Change): [string, string | undefined, string][] {
  const names = Object.keys({ ...old_row, ...new_row }).filter((name) => !HIDDEN.has(name));
  return names.flatMap((name): [string, string | undefined, string][] => {
    const before = old_row?.[name];
    const after = new_row?.[name];
    if (command === "UPDATE") {
      return JSON.stringify(before) === JSON.stringify(after)
        ? []
        : [[name, show(before), show(after)]];
    }
    const value = after ?? before;
    return value === null || value === undefined ? [] : [[name, undefined, show(value)]];
  });
}

function show(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
