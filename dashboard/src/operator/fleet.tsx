import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FleetOrder, type FleetRow, fleetQuery } from "../data/feeds.ts";
import { AsOf } from "../ui/as_of.tsx";
import { NumberedPages } from "../ui/pages.tsx";
import { Badge, Field, Money, Panel, Screen, Search, Select, TenantLink } from "../ui/parts.tsx";
import { Empty, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const PAGE = 50;

export function Fleet() {
  const { search = "", by = "month_usd", page = 1 } = useSearch({ from: "/operator/fleet" });
  const navigate = useNavigate({ from: "/operator/fleet" });
  const fleet = useQuery(fleetQuery(search, by, PAGE, (page - 1) * PAGE));
  return (
    <Screen
      title="Fleet"
      note="Every tenant, what it spent in this month of UTC, and its fullest limit."
      controls={
        <>
          <Search
            label="Find a tenant"
            value={search}
            placeholder="name or id"
            onValue={(text) =>
              navigate({
                search: (old) => ({ ...old, search: text || undefined, page: undefined }),
                replace: true,
              })
            }
          />
          <Field label="Order">
            {(field) => (
              <Select<FleetOrder>
                {...field}
                value={by}
                options={[
                  ["month_usd", "spend"],
                  ["utilization", "fullest limit"],
                  ["name", "name"],
                ]}
                onValue={(value) =>
                  navigate({
                    search: (old) => ({ ...old, by: value, page: undefined }),
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
        <Loaded query={fleet} skeleton={10}>
          {(rows) =>
            rows.length > 0 ? (
              <DataTable
                label="Tenants"
                columns={COLUMNS}
                rows={rows}
                rowKey={({ tenant_id }) => tenant_id}
              />
            ) : search ? (
              <Empty title="No tenant is called so" />
            ) : (
              <Empty title="No tenants yet">
                <p>
                  Insert a row into <code>spend.tenants</code>; the limits of its plan come with it.
                </p>
              </Empty>
            )
          }
        </Loaded>
        <AsOf rows={fleet.data} what="Ordered" />
        {fleet.data?.[0] && (
          <NumberedPages
            label="Pages of tenants"
            page={page}
            size={PAGE}
            total={fleet.data[0].total}
            onPage={(next) => navigate({ search: (old) => ({ ...old, page: next }) })}
          />
        )}
      </Panel>
    </Screen>
  );
}

export function Percent({ value }: { value: number }) {
  const tone = value >= 100 ? "bad" : value >= 80 ? "warn" : "plain";
  return <Badge tone={tone}>{value} %</Badge>;
}

const COLUMNS: Column<FleetRow>[] = [
  {
    id: "name",
    header: "Tenant",
    isTitle: true,
    cell: ({ tenant_id, name, closed_at }) => (
      <span className="inline-flex flex-wrap items-center gap-2">
        <TenantLink id={tenant_id} name={name} />
        {closed_at && <Badge tone="warn">closed</Badge>}
      </span>
    ),
  },
  { id: "plan", header: "Plan", cell: ({ plan_id }) => plan_id },
  { id: "zone", header: "Time zone", cell: ({ time_zone }) => time_zone },
  {
    id: "members",
    header: "Members",
    align: "right",
    cell: ({ members }) => members.toLocaleString("en"),
  },
  {
    id: "month",
    header: "This month",
    align: "right",
    cell: ({ month_usd }) => <Money usd={month_usd} />,
  },
  {
    id: "worst",
    header: "Fullest limit",
    align: "right",
    cell: ({ worst_percent }) =>
      worst_percent === null ? (
        <span className="text-muted">unused</span>
      ) : (
        <Percent value={worst_percent} />
      ),
  },
];
