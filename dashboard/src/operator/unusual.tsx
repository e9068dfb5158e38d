import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { tenantNamesQuery, type UnusualDay, unusualQuery } from "../data/feeds.ts";
import { formatDay } from "../lib/time.ts";
import { AsOf } from "../ui/as_of.tsx";
import { shortId } from "../ui/names.ts";
import { NumberedPages } from "../ui/pages.tsx";
import { Field, Money, Panel, Screen, Select, TenantLink } from "../ui/parts.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const PAGE = 50;

export function Unusual() {
  const { days = 7, factor = 4, page = 1 } = useSearch({ from: "/operator/unusual" });
  const navigate = useNavigate({ from: "/operator/unusual" });
  const unusual = useQuery(unusualQuery(days, factor, PAGE, (page - 1) * PAGE));
  const ids = [...new Set(unusual.data?.map(({ tenant_id }) => tenant_id))].sort();
  const names = useQuery(tenantNamesQuery(ids));

  const columns: Column<UnusualDay>[] = [
    {
      id: "tenant",
      header: "Tenant",
      isTitle: true,
      cell: ({ tenant_id }) => (
        <TenantLink id={tenant_id} name={names.data?.[tenant_id] ?? shortId(tenant_id)} />
      ),
    },
    {
      id: "day",
      header: "Day",
      sortBy: ({ day }) => day,
      cell: ({ day }) => <span className="whitespace-nowrap">{formatDay(day)}</span>,
    },
    {
      id: "cost",
      header: "Spent",
      align: "right",
      sortBy: ({ cost_usd }) => Number(cost_usd),
      cell: ({ cost_usd }) => <Money usd={cost_usd} className="font-semibold" />,
    },
    {
      id: "usual",
      header: "Usual",
      align: "right",
      cell: ({ usual_usd }) => <Money usd={usual_usd} />,
    },
    {
      id: "threshold",
      header: "Stands out from",
      align: "right",
      cell: ({ threshold_usd }) => <Money usd={threshold_usd} className="text-muted" />,
    },
  ];

  return (
    <Screen
      title="Unusual spend"
      note="Days on which a tenant spent far more than in the four weeks before, and than on the same day of the week."
      controls={
        <>
          <Field label="Range">
            {(field) => (
              <Select
                {...field}
                value={String(days)}
                options={["1", "7", "30", "90"].map(
                  (value) => [value, value === "1" ? "Today" : `Last ${value} days`] as const,
                )}
                onValue={(value) =>
                  navigate({
                    search: (old) => ({ ...old, days: Number(value), page: undefined }),
                    replace: true,
                  })
                }
              />
            )}
          </Field>
          <Field label="Sensitivity">
            {(field) => (
              <Select
                {...field}
                value={String(factor)}
                options={[
                  ["3", "high"],
                  ["4", "usual"],
                  ["8", "low"],
                ]}
                onValue={(value) =>
                  navigate({
                    search: (old) => ({ ...old, factor: Number(value), page: undefined }),
                    replace: true,
                  })
                }
              />
            )}
          </Field>
        </>
      }
    >
      <Panel>
        <Loaded query={unusual} skeleton={6}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Unusual days"
                columns={columns}
                rows={rows}
                rowKey={({ tenant_id, day }) => `${tenant_id} ${day}`}
              />
            ) : (
              <Empty title="No day stands out" />
            )
          }
        </Loaded>
        <AsOf rows={unusual.data} />
        {unusual.data?.[0] && (
          <NumberedPages
            label="Pages of unusual days"
            page={page}
            size={PAGE}
            total={unusual.data[0].total}
            onPage={(next) => navigate({ search: (old) => ({ ...old, page: next }) })}
          />
        )}
      </Panel>
    </Screen>
  );
}
