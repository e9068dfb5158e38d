import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type Refusals, refusalsQuery, tenantNamesQuery } from "../data/feeds.ts";
import { addDays, formatMoment, today } from "../lib/time.ts";
import { shortId, useNames } from "../ui/names.ts";
import { Pages } from "../ui/pages.tsx";
import {
  Badge,
  Field,
  Money,
  Panel,
  PersonName,
  Screen,
  Select,
  TenantLink,
} from "../ui/parts.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const PAGE = 50;

const REASONS = {
  limit_reached: ["limit reached", "bad"],
  in_flight: ["open calls hold the rest", "warn"],
  exceeds_limit: ["larger than the limit", "plain"],
} as const;

export function RefusalsScreen() {
  const { days = 7, page = 1, tenant } = useSearch({ from: "/operator/refusals" });
  const navigate = useNavigate({ from: "/operator/refusals" });
  const since = `${addDays(today("UTC"), 1 - days)}T00:00:00Z`;
  const refusals = useQuery(refusalsQuery(since, (page - 1) * PAGE, PAGE + 1, tenant));
  const ids = [...new Set(refusals.data?.map(({ tenant_id }) => tenant_id))].sort();
  const names = useQuery(tenantNamesQuery(ids));
  const nameOf = useNames((refusals.data ?? []).map(({ user_id }) => user_id));

  const columns: Column<Refusals>[] = [
    {
      id: "tenant",
      header: "Tenant",
      isTitle: true,
      cell: ({ tenant_id }) => (
        <TenantLink id={tenant_id} name={names.data?.[tenant_id] ?? shortId(tenant_id)} />
      ),
    },
    {
      id: "hour",
      header: "Hour (UTC)",
      cell: ({ hour }) => <span className="whitespace-nowrap">{formatMoment(hour, "UTC")}</span>,
    },
    {
      id: "reason",
      header: "Reason",
      cell: ({ reason }) => <Badge tone={REASONS[reason][1]}>{REASONS[reason][0]}</Badge>,
    },
    {
      id: "who",
      header: "Who",
      cell: ({ user_id }) => <PersonName name={nameOf(user_id)} />,
    },
    {
      id: "refusals",
      header: "Refused",
      align: "right",
      cell: (row) => (
        <strong className="font-semibold">{Number(row.refusals).toLocaleString("en")}</strong>
      ),
    },
    {
      id: "estimate",
      header: "Last would hold",
      align: "right",
      cell: ({ last_estimated_cost_usd }) => <Money usd={last_estimated_cost_usd} />,
    },
    {
      id: "limit",
      header: "Limit then",
      align: "right",
      cell: ({ scope, last_limit_usd }) => (
        <>
          <Money usd={last_limit_usd} />
          <span className="block text-xs text-muted">of the {scope}</span>
        </>
      ),
    },
  ];

  return (
    <Screen
      title="Refusals"
      note="Calls that were refused, by hour, newest first."
      controls={
        <Field label="Range">
          {(field) => (
            <Select
              {...field}
              value={String(days)}
              options={[
                ["1", "Today"],
                ["7", "Last 7 days"],
                ["30", "Last 30 days"],
                ["90", "Last 90 days"],
              ]}
              onValue={(value) =>
                navigate({
                  search: (old) => ({ ...old, days: Number(value), page: undefined }),
                  replace: true,
                })
              }
            />
          )}
        </Field>
      }
    >
      <Panel>
        <Loaded query={refusals} skeleton={8}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Refusals"
                columns={columns}
                rows={rows.slice(0, PAGE)}
                rowKey={(row) =>
                  `${row.tenant_id} ${row.hour} ${row.quota_id} ${row.user_id} ${row.reason}`
                }
              />
            ) : (
              <Empty title="Nothing was refused" />
            )
          }
        </Loaded>
        <Pages
          label="Pages of refusals"
          position={`Page ${page}`}
          previous={
            page > 1
              ? () => navigate({ search: (old) => ({ ...old, page: page - 1 || undefined }) })
              : undefined
          }
          next={
            refusals.data && refusals.data.length > PAGE
              ? () => navigate({ search: (old) => ({ ...old, page: page + 1 }) })
              : undefined
          }
        />
      </Panel>
    </Screen>
  );
}
