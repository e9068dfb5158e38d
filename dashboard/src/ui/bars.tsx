import { Bar, BarChart, CartesianGrid, ResponsiveContainer, Tooltip, XAxis, YAxis } from "recharts";
import { formatUsd, usdNumber } from "../lib/money.ts";
import type { Point, Series } from "./chart.tsx";

/** The only default export: React.lazy wants one. */
export default function Bars({ series, points }: { series: Series[]; points: Point[] }) {
  return (
    <ResponsiveContainer width="100%" height="100%">
      <BarChart
        data={points}
        margin={{ top: 4, right: 0, bottom: 0, left: 0 }}
        accessibilityLayer={false}
      >
        <CartesianGrid vertical={false} stroke="var(--line)" />
        <XAxis
          dataKey="label"
          tick={{ fill: "var(--muted)", fontSize: 12 }}
          tickLine={false}
          axisLine={{ stroke: "var(--line)" }}
          minTickGap={24}
        />
        <YAxis
          tick={{ fill: "var(--muted)", fontSize: 12 }}
          tickFormatter={(value: number) => formatUsd(value.toFixed(12))}
          tickLine={false}
          axisLine={false}
          width={64}
        />
        <Tooltip
          cursor={{ fill: "var(--hover)" }}
          content={({ active, payload }) => {
            const point: Point | undefined = payload?.[0]?.payload;
            if (!active || !point) return null;
            return (
              <div className="rounded-md border border-line bg-panel px-3 py-2 text-xs shadow-md">
                <p className="font-medium">
                  {point.label}: {formatUsd(point.total)}
                </p>
                {series.length > 1 &&
                  series
                    .filter(({ id }) => usdNumber(point.costs[id] ?? "0") !== 0)
                    .map(({ id, name, colour }) => (
                      <p key={id} className="mt-0.5 flex items-center gap-1.5">
                        <span className="size-2 rounded-sm" style={{ background: colour }} />
                        {name}: {formatUsd(point.costs[id] ?? "0")}
                      </p>
                    ))}
              </div>
            );
          }}
        />
        {series.map(({ id, name, colour }) => (
          <Bar
            key={id}
            name={name}
            dataKey={(point: Point) => usdNumber(point.costs[id] ?? "0")}
            stackId="cost"
            fill={colour}
            isAnimationActive={false}
            maxBarSize={36}
          />
        ))}
      </BarChart>
    </ResponsiveContainer>
  );
}
