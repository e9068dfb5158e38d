// What is spent, held and left, and which limit stops the next call.
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import {
  callsQuery,
  type Forecast,
  forecastQuery,
  type Quota,
  quotaQuery,
  quotasQuery,
  seriesQuery,
} from "../data/feeds.ts";
import { compareUsd, sumUsd } from "../lib/money.ts";
import { formatMoment, fromNow, today } from "../lib/time.ts";
import { seesAll, useIdentity, useTenant } from "../shell/identity.ts";
import { Chart, pointsOf } from "../ui/chart.tsx";
import { useNames } from "../ui/names.ts";
import { Badge, Button, linkButton, Money, Panel, Screen } from "../ui/parts.tsx";
import { QuotaBar, quotaName, Resets, resourceName, StateBadge } from "../ui/quota_bar.tsx";
import { Empty, FirstCall, Loaded, Skeleton } from "../ui/states.tsx";
import { targetProps } from "../ui/target.ts";
import { CallsTable } from "./calls_table.tsx";

// Few may change a limit: the others need not load how.
const EditQuota = lazy(async () => ({
  default: (await import("../operator/edit_quota.tsx")).EditQuota,
}));

export function Overview() {
  const tenant = useTenant();
  const identity = useIdentity();
  const { tenant_id, time_zone } = tenant;
  const { quota: target } = useSearch({ from: "/tenants/$tenantId/" });
  const quotas = useQuery(quotasQuery(tenant_id, identity.user_id));
  // An alert may be about somebody else's.
  const asked = useQuery(quotaQuery(tenant_id, target));
  const forecast = useQuery(forecastQuery(tenant_id));
  const series = useQuery(seriesQuery({ bucket: "day", tenant_id, group_by: "resource_type" }));
  const calls = useQuery(callsQuery({ tenant_id, top: 5 }));
  const note = seesAll(tenant, identity)
    ? `${tenant.name}. Days and months begin at midnight in ${time_zone}.`
    : `Your own spend at ${tenant.name}. Days and months begin at midnight in ${time_zone}.`;

  return (
    <Screen title="Overview" note={note}>
      <Figures />
      <Panel title="Limits">
        <Loaded query={quotas}>
          {(rows) => (
            <Quotas quotas={withAsked(rows, asked.data)} forecasts={forecast.data ?? []} />
          )}
        </Loaded>
      </Panel>
      <Panel
        title="The last 30 days"
        actions={
          <Link
            to="/tenants/$tenantId/usage"
            params={{ tenantId: tenant_id }}
            className={linkButton}
          >
            Usage
          </Link>
        }
      >
        <Loaded query={series} skeleton={8}>
          {(rows) => (
            <Chart
              label="Cost of the last 30 days"
              {...pointsOf(rows, "day", time_zone, ({ key }) =>
                key === null ? "Adjustments" : resourceName(key as Quota["resource_type"]),
              )}
            />
          )}
        </Loaded>
      </Panel>
      <Panel
        title="Latest calls"
        actions={
          <Link
            to="/tenants/$tenantId/calls"
            params={{ tenantId: tenant_id }}
            className={linkButton}
          >
            All calls
          </Link>
        }
      >
        <Loaded query={calls}>
          {(rows) =>
            rows.length > 0 ? (
              <CallsTable calls={rows} />
            ) : (
              <Empty title="No calls yet">
                <FirstCall tenantId={tenant_id} />
              </Empty>
            )
          }
        </Loaded>
      </Panel>
    </Screen>
  );
}

/** Today and this month, as the ledger has it. */
function Figures() {
  const { tenant_id, time_zone } = useTenant();
  const day = today(time_zone);
  const month = `${day.slice(0, 8)}01`;
  const days = useQuery(seriesQuery({ bucket: "day", tenant_id, from_day: month, to_day: day }));
  if (!days.data) return <Loaded query={days}>{() => <Skeleton rows={1} />}</Loaded>;
  const last = days.data.at(-1);
  const figures = [
    { name: "Today", usd: last?.cost_usd ?? "0", calls: last?.calls ?? 0 },
    {
      name: "This month",
      usd: sumUsd(days.data.map((row) => row.cost_usd)),
      calls: days.data.reduce((calls, row) => calls + Number(row.calls), 0),
    },
  ];
  return (
    <dl className="grid grid-cols-2 gap-3 sm:max-w-md">
      {figures.map(({ name, usd, calls }) => (
        <div key={name} className="rounded-lg border border-line bg-panel px-4 py-3">
          <dt className="text-xs font-medium text-muted">{name}</dt>
          <dd className="text-xl font-semibold">
            <Money usd={usd} />
          </dd>
          <dd className="text-xs text-muted">
            {calls === 1 ? "1 call" : `${calls.toLocaleString("en")} calls`}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function withAsked(quotas: Quota[], asked: Quota[] = []): Quota[] {
  const known = new Set(quotas.map(({ quota_id }) => quota_id));
  return [...quotas, ...asked.filter(({ quota_id }) => !known.has(quota_id))];
}

/** The quota that stops the next call of a kind: of those that it must fit into, the one with the least left. */
function bindingQuotas(quotas: Quota[]): Map<number, string[]> {
  const binding = new Map<number, string[]>();
  for (const type of ["llm", "e2b"] as const) {
    const [least] = quotas
      .filter(
        (quota) =>
          quota.enforcement === "block" &&
          quota.task === null &&
          quota.product === null &&
          (quota.resource_type === type || quota.resource_type === "all"),
      )
      .sort((a, b) => compareUsd(a.remaining_usd, b.remaining_usd));
    if (least) {
      binding.set(least.quota_id, [...(binding.get(least.quota_id) ?? []), resourceName(type)]);
    }
  }
  return binding;
}

function Quotas({ quotas, forecasts }: { quotas: Quota[]; forecasts: Forecast[] }) {
  const { time_zone } = useTenant();
  const { operator_role, user_id } = useIdentity();
  const { quota: target } = useSearch({ from: "/tenants/$tenantId/" });
  const isAnothers = ({ scope, scope_id }: Quota) => scope === "user" && scope_id !== user_id;
  const nameOf = useNames(quotas.filter(isAnothers).map(({ scope_id }) => scope_id));
  const [edited, setEdited] = useState<Quota>();
  if (quotas.length === 0) {
    return (
      <Empty title="No limits">
        <p>Nothing is refused here. An operator can give the tenant a plan with limits.</p>
      </Empty>
    );
  }
  const binding = bindingQuotas(quotas.filter((quota) => !isAnothers(quota)));
  const fullestFirst = [...quotas].sort((a, b) => b.utilization_percent - a.utilization_percent);
  return (
    <ul className="divide-y divide-line">
      {fullestFirst.map((quota) => {
        const binds = binding.get(quota.quota_id);
        const forecast = forecasts.find(({ quota_id }) => quota_id === quota.quota_id);
        const name = quotaName(quota);
        return (
          <li key={quota.quota_id} {...targetProps(quota.quota_id === target, "px-4 py-3")}>
            <div className="mb-2 flex flex-wrap items-center justify-between gap-x-4 gap-y-1">
              <h3 className="flex flex-wrap items-center gap-2 text-sm font-medium">
                {quota.scope === "user" && (
                  <Badge>{isAnothers(quota) ? nameOf(quota.scope_id) : "yours"}</Badge>
                )}
                {name}
                <StateBadge quota={quota} />
                {binds && (
                  <Badge tone="accent">
                    binds {binds.join(" and ").toLowerCase().replace("llm", "LLM")}
                  </Badge>
                )}
                {quota.enforcement === "observe" && <Badge>only observed</Badge>}
              </h3>
              <span className="flex items-center gap-3 text-sm text-muted">
                <Resets quota={quota} zone={time_zone} />
                {operator_role === "editor" && (
                  <Button onClick={() => setEdited(quota)} aria-label={`Change the limit: ${name}`}>
                    Change
                  </Button>
                )}
              </span>
            </div>
            <QuotaBar quota={quota} label={name} />
            {forecast && <ForecastLine quota={quota} forecast={forecast} />}
          </li>
        );
      })}
      {edited && (
        <Suspense>
          <EditQuota quota={edited} onClose={() => setEdited(undefined)} />
        </Suspense>
      )}
    </ul>
  );
}

function ForecastLine({ quota, forecast }: { quota: Quota; forecast: Forecast }) {
  const { time_zone } = useTenant();
  const { expected_usd, exhausted_at, method } = forecast;
  if (method === "too_little_history") {
    return <p className="mt-1 text-xs text-muted">No forecast: too little history.</p>;
  }
  const hasEnd = expected_usd !== null && quota.period !== "lifetime";
  if (!hasEnd && !exhausted_at) return null;
  return (
    <p className="mt-1 flex flex-wrap gap-x-3 text-xs text-muted">
      {hasEnd && (
        <span>
          <Money usd={expected_usd} /> expected by its end, at the rate{" "}
          {method === "rate_since_first_spend" ? "since its first spend" : "of the last 7 days"}
        </span>
      )}
      {exhausted_at && (
        <span className="font-medium text-warn">
          Runs out {fromNow(exhausted_at)}, {formatMoment(exhausted_at, time_zone)}
        </span>
      )}
    </p>
  );
}
