// Bars over time, stacked by group. Recharts comes in a chunk of its own, after the numbers.
import { lazy, Suspense } from "react";
import type { SeriesRow } from "../data/feeds.ts";
import { formatUsd, sumUsd, usdNumber } from "../lib/money.ts";
import { type Bucket, formatBucket } from "../lib/time.ts";
import { Money } from "./parts.tsx";
import { type Column, DataTable } from "./table.tsx";

const Bars = lazy(() => import("./bars.tsx"));

/** Told apart in both themes; the last is for "other". */
export const COLOURS = [
  "#2f6fe4",
  "#0f8f7e",
  "#c2620a",
  "#9a4fd0",
  "#c2356b",
  "#5d7a1c",
  "#3a8fb7",
  "#8a6d00",
];
export const OTHER_COLOUR = "#7b8494";

export interface Series {
  /** Unique: a key may be anything, the text "other" too. */
  id: string;
  name: string;
  colour: string;
}

export interface Point {
  starts_at: string;
  label: string;
  /** Cost by the series' id. */
  costs: Record<string, string>;
  total: string;
  calls: number;
}

/** Rows of spend.cost_series as points with a cost for each series, dearest series first. */
export function pointsOf(
  rows: SeriesRow[],
  bucket: Bucket,
  zone: string,
  nameOf: (row: SeriesRow) => string,
): { series: Series[]; points: Point[] } {
  const totals = new Map<string, { row: SeriesRow; costs: string[] }>();
  const byStart = new Map<string, SeriesRow[]>();
  for (const row of rows) {
    const id = seriesId(row);
    const total = totals.get(id);
    if (total) total.costs.push(row.cost_usd);
    else totals.set(id, { row, costs: [row.cost_usd] });
    const point = byStart.get(row.starts_at);
    if (point) point.push(row);
    else byStart.set(row.starts_at, [row]);
  }
  const ranked = [...totals]
    .map(([id, { row, costs }]) => ({ id, row, usd: usdNumber(sumUsd(costs)) }))
    .sort((a, b) => Number(a.row.is_other) - Number(b.row.is_other) || b.usd - a.usd);
  const series = ranked.map(({ id, row }, place) => ({
    id,
    name: nameOf(row),
    colour: row.is_other ? OTHER_COLOUR : (COLOURS[place % COLOURS.length] as string),
  }));
  const points = [...byStart].map(([starts_at, group]) => ({
    starts_at,
    label: formatBucket(starts_at, bucket, zone),
    costs: Object.fromEntries(group.map((row) => [seriesId(row), row.cost_usd])),
    total: sumUsd(group.map((row) => row.cost_usd)),
    calls: group.reduce((calls, row) => calls + Number(row.calls), 0),
  }));
  return { series, points };
}

function seriesId({ key, is_other }: SeriesRow): string {
  return is_other ? "other" : key === null ? "none" : `key ${key}`;
}

export function Chart({
  series,
  points,
  label,
}: {
  series: Series[];
  points: Point[];
  label: string;
}) {
  const total = sumUsd(points.map((point) => point.total));
  return (
    <figure className="px-4 py-3">
      <figcaption className="sr-only">
        {label}: {formatUsd(total)} in {points.length} bars. The table below has the figures.
      </figcaption>
      <div className="h-56 overflow-hidden sm:h-64" aria-hidden>
        <Suspense fallback={<div className="skeleton h-full rounded bg-hover" />}>
          <Bars series={series} points={points} />
        </Suspense>
      </div>
      {series.length > 1 && (
        <ul className="mt-2 flex flex-wrap gap-x-4 gap-y-1 text-xs">
          {series.map(({ id, name, colour }) => (
            <li key={id} className="flex min-w-0 items-center gap-1.5">
              <span
                aria-hidden
                className="size-2.5 shrink-0 rounded-sm"
                style={{ background: colour }}
              />
              <span className="truncate">{name}</span>
            </li>
          ))}
        </ul>
      )}
    </figure>
  );
}

/** The figures behind the bars. */
export function ChartTable({
  series,
  points,
  label,
  bucket,
}: {
  series: Series[];
  points: Point[];
  label: string;
  bucket: Bucket;
}) {
  const columns: Column<Point>[] = [
    {
      id: "starts_at",
      header:
        bucket === "hour"
          ? "Hour"
          : bucket === "day"
            ? "Day"
            : bucket === "week"
              ? "Week of"
              : "Month",
      cell: (point) => <span className="whitespace-nowrap">{point.label}</span>,
      sortBy: (point) => point.starts_at,
      isTitle: true,
    },
    ...(series.length > 1
      ? series.map(
          ({ id, name }): Column<Point> => ({
            id,
            header: name,
            align: "right",
            cell: (point) => <Amount usd={point.costs[id] ?? "0"} />,
            sortBy: (point) => usdNumber(point.costs[id] ?? "0"),
          }),
        )
      : []),
    {
      id: "total",
      header: "Total",
      align: "right",
      cell: (point) => <Amount usd={point.total} className="font-medium" />,
      sortBy: (point) => usdNumber(point.total),
    },
    {
      id: "calls",
      header: "Calls",
      align: "right",
      cell: (point) => point.calls.toLocaleString("en"),
      sortBy: (point) => point.calls,
    },
  ];
  return (
    <DataTable
      label={label}
      columns={columns}
      rows={points.toReversed()}
      rowKey={(point) => point.starts_at}
    />
  );
}

/** Nothing stands back, so that what was spent is seen. */
function Amount({ usd, className }: { usd: string; className?: string }) {
  return <Money usd={usd} className={Number(usd) === 0 ? "text-muted" : className} />;
}
