import { Link } from "@tanstack/react-router";
import type { Call } from "../data/feeds.ts";
import { compareUsd } from "../lib/money.ts";
import { formatMoment } from "../lib/time.ts";
import { seesAll, useIdentity, useTenant } from "../shell/identity.ts";
import { useNames } from "../ui/names.ts";
import { Badge, Money, PersonName } from "../ui/parts.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const TONES = { held: "accent", settled: "good", released: "plain", expired: "warn" } as const;

export function CallStatus({ call }: { call: Pick<Call, "status" | "is_estimated"> }) {
  return (
    <span className="inline-flex flex-wrap gap-1">
      <Badge tone={TONES[call.status]}>{call.status}</Badge>
      {call.is_estimated && call.status === "settled" && <Badge tone="warn">estimated</Badge>}
    </span>
  );
}

export function CallsTable({ calls }: { calls: Call[] }) {
  const tenant = useTenant();
  const identity = useIdentity();
  const nameOf = useNames(calls.map(({ user_id }) => user_id));
  const columns: Column<Call>[] = [
    {
      id: "product",
      header: "Call",
      isTitle: true,
      cell: (call) => (
        <Link
          to="/tenants/$tenantId/calls"
          params={{ tenantId: tenant.tenant_id }}
          search={(search) => ({ ...search, call: call.id })}
          className="break-words font-medium text-accent underline-offset-2 hover:underline"
        >
          {call.provider}/{call.product}
        </Link>
      ),
    },
    {
      id: "created_at",
      header: "When",
      cell: (call) => (
        <time dateTime={call.created_at} className="whitespace-nowrap">
          {formatMoment(call.created_at, tenant.time_zone)}
        </time>
      ),
    },
    { id: "task", header: "Task", cell: (call) => call.task },
    ...(seesAll(tenant, identity)
      ? [
          {
            id: "user",
            header: "Who",
            cell: (call: Call) => <PersonName name={nameOf(call.user_id)} />,
          },
        ]
      : []),
    { id: "status", header: "Status", cell: (call) => <CallStatus call={call} /> },
    {
      id: "estimate",
      header: "Held at most",
      align: "right",
      cell: (call) => <Money usd={call.estimated_cost_usd} className="text-muted" />,
    },
    {
      id: "cost",
      header: "Cost",
      align: "right",
      cell: (call) => (
        <span className="inline-flex flex-wrap items-center justify-end gap-1">
          {call.actual_cost_usd !== null &&
            compareUsd(call.actual_cost_usd, call.estimated_cost_usd) > 0 && (
              <Badge tone="warn">above the hold</Badge>
            )}
          <Money usd={call.actual_cost_usd} />
        </span>
      ),
    },
  ];
  return <DataTable label="Calls" columns={columns} rows={calls} rowKey={(call) => call.id} />;
}
