// Cost over time, by whatever it is asked for: a chart, its table, and the same as CSV.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Download } from "lucide-react";
import { type Group, type Quota, type SeriesRow, seriesQuery } from "../data/feeds.ts";
import { download, toCsv } from "../lib/csv.ts";
import { compareUsd, percentOf, sumUsd } from "../lib/money.ts";
import { addDays, type Bucket, daysBetween, formatDay, today } from "../lib/time.ts";
import { BUCKETS, RANGES, type UsageSearch } from "../router.tsx";
import { seesAll, useIdentity, useTenant } from "../shell/identity.ts";
import { Chart, ChartTable, pointsOf } from "../ui/chart.tsx";
import { useNames } from "../ui/names.ts";
import { Button, Field, Input, Money, Panel, Screen, Select } from "../ui/parts.tsx";
import { resourceName } from "../ui/quota_bar.tsx";
import { Empty, FirstCall, Loaded } from "../ui/states.tsx";
import { type Column, DataTable } from "../ui/table.tsx";

const RANGE_NAMES: Record<(typeof RANGES)[number], string> = {
  "1": "Today",
  "7": "Last 7 days",
  "30": "Last 30 days",
  "90": "Last 90 days",
  "365": "Last 365 days",
};

const GROUP_NAMES: Record<Group | "none", string> = {
  product: "Model or template",
  provider: "Provider",
  user: "Person",
  task: "Task",
  resource_type: "Kind",
  none: "Nothing",
};

/** Days of which spend.cost_series gives hours. */
const MAX_DAYS_BY_HOUR = 31;

export function Usage() {
  const tenant = useTenant();
  const identity = useIdentity();
  const { tenant_id, time_zone } = tenant;
  const search = useSearch({ from: "/tenants/$tenantId/usage" });
  const navigate = useNavigate({ from: "/tenants/$tenantId/usage" });
  const choose = (change: UsageSearch) =>
    navigate({ search: (old) => ({ ...old, ...change }), replace: true });

  const now = today(time_zone);
  const isCustom = search.from !== undefined && search.to !== undefined;
  const range = search.days ?? "30";
  const to = isCustom ? (search.to as string) : now;
  const from = isCustom ? (search.from as string) : addDays(now, 1 - Number(range));
  const days = daysBetween(from, to) + 1;
  const bucket = chosenBucket(search.bucket, days);
  const by = search.by ?? "product";
  const top = search.top ?? 5;

  const request = {
    bucket,
    tenant_id,
    from_day: from,
    to_day: to,
    group_by: by === "none" ? null : by,
    top,
    user_id: search.user ?? null,
  };
  const series = useQuery({ ...seriesQuery(request), enabled: days > 0 });
  const nameOf = useNames([
    search.user,
    ...(by === "user" ? (series.data ?? []).map(({ key }) => key) : []),
  ]);
  const groupName = ({ key, is_other }: SeriesRow): string => {
    if (is_other) return "Other";
    if (by === "none") return "Cost";
    if (by === "user") return nameOf(key);
    if (key === null) return "None (adjustments)";
    return by === "resource_type" ? resourceName(key as Quota["resource_type"]) : key;
  };
  const { series: names, points } = pointsOf(series.data ?? [], bucket, time_zone, groupName);
  const total = sumUsd(points.map((point) => point.total));
  const calls = points.reduce((sum, point) => sum + point.calls, 0);

  return (
    <Screen
      title="Usage"
      note={`${seesAll(tenant, identity) ? tenant.name : "Your own spend"}, ${formatDay(from)} to ${formatDay(to)}, days of ${time_zone}.`}
      controls={
        <>
          <Field label="Range">
            {(field) => (
              <Select
                {...field}
                value={isCustom ? "custom" : range}
                options={[
                  ...RANGES.map((value) => [value, RANGE_NAMES[value]] as const),
                  ["custom", "From … to …"],
                ]}
                onValue={(value) =>
                  value === "custom"
                    ? choose({ days: undefined, from, to })
                    : choose({ days: value, from: undefined, to: undefined })
                }
              />
            )}
          </Field>
          {isCustom && (
            <>
              <Field label="From">
                {(field) => (
                  <Input
                    {...field}
                    type="date"
                    value={from}
                    max={to}
                    onChange={({ target }) => target.value && choose({ from: target.value })}
                  />
                )}
              </Field>
              <Field label="To">
                {(field) => (
                  <Input
                    {...field}
                    type="date"
                    value={to}
                    min={from}
                    onChange={({ target }) => target.value && choose({ to: target.value })}
                  />
                )}
              </Field>
            </>
          )}
          <Field label="Per">
            {(field) => (
              <Select
                {...field}
                value={bucket}
                options={BUCKETS.filter(
                  (value) => value !== "hour" || days <= MAX_DAYS_BY_HOUR,
                ).map((value) => [value, value] as const)}
                onValue={(value) => choose({ bucket: value })}
              />
            )}
          </Field>
          <Field label="Group by">
            {(field) => (
              <Select
                {...field}
                value={by}
                options={Object.entries(GROUP_NAMES) as [Group | "none", string][]}
                onValue={(value) => choose({ by: value })}
              />
            )}
          </Field>
          {by !== "none" && (
            <Field label="Top">
              {(field) => (
                <Select
                  {...field}
                  value={String(top)}
                  options={["3", "5", "10", "25"].map((value) => [value, value] as const)}
                  onValue={(value) => choose({ top: Number(value) })}
                />
              )}
            </Field>
          )}
        </>
      }
    >
      {search.user && (
        <p className="flex flex-wrap items-center gap-2 text-sm text-muted">
          Of {nameOf(search.user)} alone.
          <Button kind="quiet" onClick={() => choose({ user: undefined })}>
            Show everybody
          </Button>
        </p>
      )}
      <Panel
        title={
          series.data && (
            <>
              <Money usd={total} /> in{" "}
              {calls === 1 ? "1 call" : `${calls.toLocaleString("en")} calls`}
            </>
          )
        }
        actions={
          <Button
            disabled={!series.data}
            onClick={() =>
              download(
                `spend-${from}-${to}-by-${by}.csv`,
                toCsv(["starts_at", "key", "is_other", "cost_usd", "calls"], series.data ?? []),
              )
            }
          >
            <Download aria-hidden className="size-4" /> CSV
          </Button>
        }
      >
        {days <= 0 ? (
          <Empty title="The range ends before it begins" />
        ) : (
          <Loaded query={series} skeleton={8}>
            {() =>
              calls === 0 && Number(total) === 0 ? (
                <Empty title="Nothing was spent in this range">
                  <FirstCall tenantId={tenant_id} />
                </Empty>
              ) : (
                <Chart
                  series={names}
                  points={points}
                  label={`Cost by ${GROUP_NAMES[by].toLowerCase()}`}
                />
              )
            }
          </Loaded>
        )}
      </Panel>
      {series.data && points.length > 0 && (
        <>
          {names.length > 1 && (
            <Panel title={`By ${GROUP_NAMES[by].toLowerCase()}`}>
              <Totals names={names} points={points} total={total} by={by} rows={series.data} />
            </Panel>
          )}
          <Panel title={`By ${bucket}`}>
            <ChartTable
              series={names}
              points={points}
              bucket={bucket}
              label={`Cost by ${bucket}`}
            />
          </Panel>
        </>
      )}
    </Screen>
  );
}

function chosenBucket(bucket: Bucket | undefined, days: number): Bucket {
  if (bucket && !(bucket === "hour" && days > MAX_DAYS_BY_HOUR)) return bucket;
  if (days <= 2) return "hour";
  return days <= 100 ? "day" : "month";
}

interface GroupTotal {
  id: string;
  name: string;
  colour: string;
  usd: string;
  calls: number;
}

function Totals({
  names,
  points,
  total,
  rows,
}: {
  names: ReturnType<typeof pointsOf>["series"];
  points: ReturnType<typeof pointsOf>["points"];
  total: string;
  by: string;
  rows: SeriesRow[];
}) {
  const totals: GroupTotal[] = names.map((series) => ({
    ...series,
    usd: sumUsd(points.map(({ costs }) => costs[series.id] ?? "0")),
    calls: rows
      .filter(
        (row) =>
          series.id === (row.is_other ? "other" : row.key === null ? "none" : `key ${row.key}`),
      )
      .reduce((sum, row) => sum + Number(row.calls), 0),
  }));
  const columns: Column<GroupTotal>[] = [
    {
      id: "name",
      header: "Group",
      isTitle: true,
      sortBy: ({ name }) => name,
      cell: ({ name, colour }) => (
        <span className="inline-flex items-center gap-2 break-words">
          <span
            aria-hidden
            className="size-2.5 shrink-0 rounded-sm"
            style={{ background: colour }}
          />
          {name}
        </span>
      ),
    },
    {
      id: "usd",
      header: "Cost",
      align: "right",
      sortBy: ({ usd }) => Number(usd),
      cell: ({ usd }) => <Money usd={usd} />,
    },
    {
      id: "share",
      header: "Share",
      align: "right",
      cell: ({ usd }) =>
        compareUsd(total, "0") > 0 ? `${percentOf(usd, total)?.toFixed(1)} %` : "–",
    },
    {
      id: "calls",
      header: "Calls",
      align: "right",
      sortBy: ({ calls }) => calls,
      cell: ({ calls }) => calls.toLocaleString("en"),
    },
  ];
  return (
    <DataTable label="Cost by group" columns={columns} rows={totals} rowKey={({ id }) => id} />
  );
}
