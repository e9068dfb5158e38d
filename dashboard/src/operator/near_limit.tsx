import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { type NearLimit, nearLimitQuery } from "../data/feeds.ts";
import { useIdentity } from "../shell/identity.ts";
import { shortId } from "../ui/names.ts";
import { NumberedPages } from "../ui/pages.tsx";
import { Badge, Button, Field, Panel, Screen, Select, TenantLink } from "../ui/parts.tsx";
import { QuotaBar, quotaName, Resets } from "../ui/quota_bar.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";
import { EditQuota } from "./edit_quota.tsx";
import { Percent } from "./fleet.tsx";

const PAGE = 50;

export function NearLimitScreen() {
  const { percent = 80, page = 1, quota } = useSearch({ from: "/operator/near-limit" });
  const navigate = useNavigate({ from: "/operator/near-limit" });
  const { operator_role } = useIdentity();
  const quotas = useQuery(nearLimitQuery(percent / 100, PAGE, (page - 1) * PAGE));
  const [edited, setEdited] = useState<NearLimit>();
  const whose = (quota: NearLimit) =>
    quota.scope === "platform"
      ? "the platform"
      : (quota.tenant_name ?? shortId(quota.tenant_id ?? ""));

  const columns: Column<NearLimit>[] = [
    {
      id: "whose",
      header: "Whose",
      isTitle: true,
      cell: (quota) => (
        <span className="inline-flex flex-wrap items-center gap-2">
          {quota.tenant_id ? (
            <TenantLink id={quota.tenant_id} name={whose(quota)} />
          ) : (
            "The platform"
          )}
          {quota.scope === "user" && (
            <Badge>{quota.user_email ?? `user ${shortId(quota.scope_id ?? "")}`}</Badge>
          )}
        </span>
      ),
    },
    {
      id: "limit",
      header: "Limit",
      cell: (quota) => (
        <span className="inline-flex flex-wrap items-center gap-2">
          {quotaName(quota)}
          {quota.enforcement === "observe" && <Badge>only observed</Badge>}
        </span>
      ),
    },
    {
      id: "bar",
      header: "Spent, held, left",
      className: "min-w-72",
      cell: (quota) => (
        <div className="min-w-48 text-left">
          <QuotaBar quota={quota} label={`${whose(quota)}: ${quotaName(quota)}`} />
        </div>
      ),
    },
    {
      id: "percent",
      header: "Used",
      align: "right",
      sortBy: ({ utilization_percent }) => utilization_percent,
      cell: ({ utilization_percent }) => <Percent value={utilization_percent} />,
    },
    { id: "resets", header: "Resets", cell: (quota) => <Resets quota={quota} zone="UTC" /> },
    ...(operator_role === "editor"
      ? [
          {
            id: "edit",
            header: "",
            cell: (quota: NearLimit) => (
              <Button
                aria-label={`Change ${quotaName(quota)} of ${whose(quota)}`}
                onClick={() => setEdited(quota)}
              >
                Change
              </Button>
            ),
          },
        ]
      : []),
  ];

  return (
    <Screen
      title="Near limit"
      note={`Limits that are spent or held to at least ${percent} %, the fullest first.`}
      controls={
        <Field label="From">
          {(field) => (
            <Select
              {...field}
              value={String(percent)}
              options={["50", "80", "90", "100"].map((value) => [value, `${value} %`] as const)}
              onValue={(value) => navigate({ search: { percent: Number(value) }, replace: true })}
            />
          )}
        </Field>
      }
    >
      <Panel>
        <Loaded query={quotas} skeleton={8}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Limits"
                columns={columns}
                rows={rows}
                rowKey={({ quota_id }) => quota_id}
                isTarget={({ quota_id }) => quota_id === quota}
              />
            ) : (
              <Empty title={`No limit is used to ${percent} %`} />
            )
          }
        </Loaded>
        {quotas.data?.[0] && (
          <NumberedPages
            label="Pages of limits"
            page={page}
            size={PAGE}
            total={quotas.data[0].total}
            onPage={(next) => navigate({ search: (old) => ({ ...old, page: next }) })}
          />
        )}
      </Panel>
      {edited && (
        <EditQuota quota={edited} of={whose(edited)} onClose={() => setEdited(undefined)} />
      )}
    </Screen>
  );
}
