// What plans give, and the limits of the platform.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useState } from "react";
import {
  changePlanQuota,
  type Plan,
  type PlanQuota,
  plansQuery,
  platformQuotasQuery,
  type Quota,
} from "../data/feeds.ts";
import { percentsText } from "../lib/money.ts";
import { useIdentity } from "../shell/identity.ts";
import { type Limit, LimitDialog } from "../ui/limit_dialog.tsx";
import { Button, Money, Panel, Screen } from "../ui/parts.tsx";
import { QuotaBar, quotaName, Resets, StateBadge } from "../ui/quota_bar.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";
import { targetProps } from "../ui/target.ts";
import { EditQuota } from "./edit_quota.tsx";

export function Limits() {
  const { quota: target } = useSearch({ from: "/operator/limits" });
  const { operator_role } = useIdentity();
  const mayEdit = operator_role === "editor";
  const platform = useQuery(platformQuotasQuery());
  const plans = useQuery(plansQuery());
  const [edited, setEdited] = useState<Quota>();
  const [planEdit, setPlanEdit] = useState<{ plan: Plan; quota: PlanQuota }>();
  return (
    <Screen
      title="Limits and plans"
      note="A change of a plan reaches its tenants, but for limits that were set by hand. Limits of one tenant are on its overview."
    >
      <Panel title="The platform">
        <Loaded query={platform}>
          {(rows) =>
            rows.length > 0 ? (
              <ul className="divide-y divide-line">
                {rows.map((quota) => (
                  <li key={quota.quota_id} {...targetProps(quota.quota_id === target, "px-4 py-3")}>
                    <div className="mb-2 flex flex-wrap items-center justify-between gap-2 text-sm">
                      <h3 className="flex flex-wrap items-center gap-2 font-medium">
                        {quotaName(quota)} <StateBadge quota={quota} />
                      </h3>
                      <span className="flex items-center gap-3 text-muted">
                        <Resets quota={quota} zone="UTC" />
                        {mayEdit && (
                          <Button
                            aria-label={`Change the platform's ${quotaName(quota)}`}
                            onClick={() => setEdited(quota)}
                          >
                            Change
                          </Button>
                        )}
                      </span>
                    </div>
                    <QuotaBar quota={quota} label={`The platform: ${quotaName(quota)}`} />
                  </li>
                ))}
              </ul>
            ) : (
              <Empty title="The platform has no limit of its own">
                <p>
                  One row of <code>spend.cost_quotas</code> with scope <code>platform</code> limits
                  all tenants together.
                </p>
              </Empty>
            )
          }
        </Loaded>
      </Panel>
      <Loaded query={plans}>
        {(rows) =>
          rows.map((plan) => (
            <Panel
              key={plan.id}
              title={
                <>
                  Plan {plan.name}{" "}
                  <span className="font-normal text-muted">
                    {plan.name !== plan.id && `(${plan.id})`} · {tenantsFollow(plan.tenants)}
                  </span>
                </>
              }
            >
              {plan.quotas.length > 0 ? (
                <DataTable
                  label={`Limits of the plan ${plan.name}`}
                  rows={plan.quotas}
                  rowKey={({ scope, resource_type, period }) =>
                    `${scope} ${resource_type} ${period}`
                  }
                  columns={planColumns(mayEdit, (quota) => setPlanEdit({ plan, quota }))}
                />
              ) : (
                <Empty title="The plan has no limits" />
              )}
            </Panel>
          ))
        }
      </Loaded>
      {edited && (
        <EditQuota quota={edited} of="the platform" onClose={() => setEdited(undefined)} />
      )}
      {planEdit && <EditPlanQuota {...planEdit} onClose={() => setPlanEdit(undefined)} />}
    </Screen>
  );
}

function whose({ scope }: PlanQuota): string {
  return scope === "tenant" ? "each tenant" : "each member";
}

function tenantsFollow(count: number): string {
  if (count === 1) return "1 tenant follows";
  return `${count.toLocaleString("en")} tenants follow`;
}

function planColumns(mayEdit: boolean, edit: (quota: PlanQuota) => void): Column<PlanQuota>[] {
  return [
    { id: "name", header: "Limit", isTitle: true, cell: (quota) => quotaName(quota) },
    {
      id: "scope",
      header: "For",
      cell: whose,
    },
    {
      id: "limit",
      header: "USD",
      align: "right",
      cell: ({ limit_usd }) => <Money usd={limit_usd} />,
    },
    {
      id: "warning",
      header: "Warns at",
      align: "right",
      cell: ({ warning_thresholds }) => `${percentsText(warning_thresholds)} %`,
    },
    ...(mayEdit
      ? [
          {
            id: "edit",
            header: "",
            align: "right" as const,
            cell: (quota: PlanQuota) => (
              <Button
                aria-label={`Change ${quotaName(quota)} for ${whose(quota)} of the plan ${quota.plan_id}`}
                onClick={() => edit(quota)}
              >
                Change
              </Button>
            ),
          },
        ]
      : []),
  ];
}

function EditPlanQuota({
  plan,
  quota,
  onClose,
}: {
  plan: Plan;
  quota: PlanQuota;
  onClose: () => void;
}) {
  const { mutateAsync } = useMutation({
    mutationFn: (limit: Limit) => changePlanQuota(quota, limit),
  });
  return (
    <LimitDialog
      title={`Change ${quotaName(quota)} of the plan ${plan.name}`}
      description={`${tenantsFollow(plan.tenants)} this plan.`}
      name={quotaName(quota)}
      label={`Limit in USD for ${whose(quota)}`}
      before={quota}
      differences={[
        {
          name: "Reaches",
          before: "",
          after: `${tenantsFollow(plan.tenants)}, but for limits set by hand`,
        },
      ]}
      action="Change the plan"
      change={async (limit) => {
        await mutateAsync(limit);
      }}
      onClose={onClose}
    />
  );
}
