// Money that open calls hold, and sandboxes that run.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import {
  type Hold,
  holdsQuery,
  releaseHold,
  type Sandbox,
  sandboxesQuery,
  tenantNamesQuery,
} from "../data/feeds.ts";
import { formatUsd } from "../lib/money.ts";
import { formatMoment, fromNow } from "../lib/time.ts";
import { useIdentity } from "../shell/identity.ts";
import { ChangeDialog } from "../ui/dialog.tsx";
import { shortId, useNames } from "../ui/names.ts";
import { NumberedPages, Pages } from "../ui/pages.tsx";
import {
  Badge,
  Button,
  Field,
  Input,
  Money,
  Panel,
  PersonName,
  Screen,
  TenantLink,
} from "../ui/parts.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const PAGE = 50;

export function Holds() {
  const { operator_role } = useIdentity();
  const { page = 1, sandboxes: sandboxPage = 1 } = useSearch({ from: "/operator/holds" });
  const navigate = useNavigate({ from: "/operator/holds" });
  const holds = useQuery(holdsQuery(PAGE, (page - 1) * PAGE));
  // One more than is shown, to know whether there is a next page.
  const sandboxes = useQuery(sandboxesQuery(PAGE + 1, (sandboxPage - 1) * PAGE));
  const ids = [...new Set(sandboxes.data?.map(({ tenant_id }) => tenant_id))].sort();
  const names = useQuery(tenantNamesQuery(ids));
  const nameOf = useNames([
    ...(holds.data ?? []).map(({ user_id }) => user_id),
    ...(sandboxes.data ?? []).map(({ user_id }) => user_id),
  ]);
  const [released, setReleased] = useState<Hold>();

  const holdColumns: Column<Hold>[] = [
    {
      id: "tenant",
      header: "Tenant",
      isTitle: true,
      cell: (hold) => <TenantLink id={hold.tenant_id} name={hold.tenant_name} />,
    },
    { id: "call", header: "Call", cell: (hold) => `${hold.provider}/${hold.product}` },
    { id: "task", header: "Task", cell: (hold) => hold.task },
    {
      id: "who",
      header: "Who",
      cell: (hold) => <PersonName name={nameOf(hold.user_id)} />,
    },
    {
      id: "held",
      header: "Held",
      align: "right",
      sortBy: (hold) => Number(hold.estimated_cost_usd),
      cell: (hold) => <Money usd={hold.estimated_cost_usd} />,
    },
    {
      id: "since",
      header: "Since",
      cell: (hold) => <Moment at={hold.created_at} />,
      sortBy: (hold) => hold.created_at,
    },
    {
      id: "expires",
      header: "Expires",
      sortBy: (hold) => hold.expires_at,
      cell: (hold) => (
        <span className="inline-flex flex-wrap items-center gap-2">
          <Moment at={hold.expires_at} />
          {Date.parse(hold.expires_at) < Date.now() && <Badge tone="bad">overdue</Badge>}
        </span>
      ),
    },
    ...(operator_role === "editor"
      ? [
          {
            id: "release",
            header: "",
            cell: (hold: Hold) => (
              <Button
                kind="danger"
                aria-label={`Release ${formatUsd(hold.estimated_cost_usd)} of ${hold.tenant_name}`}
                onClick={() => setReleased(hold)}
              >
                Release
              </Button>
            ),
          },
        ]
      : []),
  ];

  const sandboxColumns: Column<Sandbox>[] = [
    {
      id: "tenant",
      header: "Tenant",
      isTitle: true,
      cell: ({ tenant_id }) => (
        <TenantLink id={tenant_id} name={names.data?.[tenant_id] ?? shortId(tenant_id)} />
      ),
    },
    { id: "template", header: "Template", cell: ({ template }) => template },
    { id: "status", header: "Status", cell: ({ status }) => <Badge tone="accent">{status}</Badge> },
    {
      id: "conversation",
      header: "Conversation",
      cell: ({ conversation_id }) => <span className="break-all">{conversation_id}</span>,
    },
    {
      id: "who",
      header: "Who",
      cell: ({ user_id }) => <PersonName name={nameOf(user_id)} />,
    },
    { id: "runs", header: "Runs", align: "right", cell: ({ runs }) => runs },
    {
      id: "since",
      header: "Since",
      cell: ({ started_at }) => (started_at ? <Moment at={started_at} /> : "–"),
    },
    {
      id: "expires",
      header: "Expires",
      cell: ({ expires_at }) => (expires_at ? <Moment at={expires_at} /> : "–"),
    },
  ];

  return (
    <Screen
      title="Holds and sandboxes"
      note="Open calls, the one that expires first above. Read every 5 seconds. Times in UTC."
    >
      <Panel title="Holds">
        <Loaded query={holds}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Holds"
                columns={holdColumns}
                rows={rows}
                rowKey={({ reservation_id }) => reservation_id}
              />
            ) : (
              <Empty title="No call is open" />
            )
          }
        </Loaded>
        {holds.data?.[0] && (
          <NumberedPages
            label="Pages of holds"
            page={page}
            size={PAGE}
            total={holds.data[0].total}
            onPage={(next) => navigate({ search: (old) => ({ ...old, page: next }) })}
          />
        )}
      </Panel>
      <Panel title="Sandboxes">
        <Loaded query={sandboxes}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Sandboxes"
                columns={sandboxColumns}
                rows={rows.slice(0, PAGE)}
                rowKey={({ id }) => id}
              />
            ) : (
              <Empty title="No sandbox runs" />
            )
          }
        </Loaded>
        <Pages
          label="Pages of sandboxes"
          position={`Page ${sandboxPage}`}
          previous={
            sandboxPage > 1
              ? () => navigate({ search: (old) => ({ ...old, sandboxes: sandboxPage - 1 }) })
              : undefined
          }
          next={
            sandboxes.data && sandboxes.data.length > PAGE
              ? () => navigate({ search: (old) => ({ ...old, sandboxes: sandboxPage + 1 }) })
              : undefined
          }
        />
      </Panel>
      {released && <ReleaseHold hold={released} onClose={() => setReleased(undefined)} />}
    </Screen>
  );
}

function Moment({ at }: { at: string }) {
  return (
    <time dateTime={at} title={formatMoment(at, "UTC")} className="whitespace-nowrap">
      {fromNow(at)}
    </time>
  );
}

function ReleaseHold({ hold, onClose }: { hold: Hold; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const { mutateAsync } = useMutation({
    mutationFn: () => releaseHold(hold.reservation_id, reason.trim()),
  });
  return (
    <ChangeDialog
      title={`Release a hold of ${hold.tenant_name}`}
      description="For a call that will never end. Should it end after all, its real cost is booked."
      form={
        <Field label="Reason" hint="It is kept with the call.">
          {(field) => (
            <Input
              {...field}
              value={reason}
              required
              onChange={({ target }) => setReason(target.value)}
            />
          )}
        </Field>
      }
      isComplete={reason.trim() !== ""}
      differences={[
        { name: "Status", before: "held", after: "released" },
        { name: "Held", before: formatUsd(hold.estimated_cost_usd), after: formatUsd("0") },
      ]}
      action="Release the hold"
      isDanger
      change={async () => {
        await mutateAsync();
      }}
      onClose={onClose}
    />
  );
}
