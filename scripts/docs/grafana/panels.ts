// The kinds of panels that the dashboards have.
import type { Builder, Dataquery } from "@grafana/grafana-foundation-sdk/cog";
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as table from "@grafana/grafana-foundation-sdk/table";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";

/** The plugin for PostgreSQL, by the name that Grafana 10.4 gave it. */
export const POSTGRES_PLUGIN = "grafana-postgresql-datasource";

/** Data sources, as the dashboards' variables name them. */
export const PROMETHEUS = { type: "prometheus", uid: "$prometheus" };
export const POSTGRES = { type: POSTGRES_PLUGIN, uid: "$postgres" };

/** A query of the PostgreSQL data source: the SDK has no type for it. */
export interface SqlQuery extends Dataquery {
  refId: string;
  datasource: common.DataSourceRef;
  format: "table" | "time_series";
  rawQuery: true;
  editorMode: "code";
  rawSql: string;
}

export function sqlQuery(
  refId: string,
  format: SqlQuery["format"],
  rawSql: string,
  datasource: common.DataSourceRef = POSTGRES,
): SqlQuery {
  return {
    refId,
    datasource,
    format,
    rawQuery: true,
    editorMode: "code",
    rawSql,
    _implementsDataqueryVariant: () => {},
  };
}

type Query = Builder<Dataquery>;

/** Queries of a panel: legends of PromQL, by expression; or one of SQL. */
export type Source = { promql: Record<string, string> } | { sql: string };

const letter = (index: number) => String.fromCharCode(65 + index);

function queriesOf(source: Source, kind: "time_series" | "table"): Query[] {
  if ("sql" in source) {
    const query = sqlQuery("A", kind, source.sql);
    return [{ build: () => query }];
  }
  return Object.entries(source.promql).map(([legend, expression], index) => {
    const query = new prometheus.DataqueryBuilder()
      .refId(letter(index))
      .datasource(PROMETHEUS)
      .expr(expression)
      .legendFormat(legend);
    return kind === "table" ? query.instant() : query.range();
  });
}

const datasourceOf = (source: Source) => ("sql" in source ? POSTGRES : PROMETHEUS);

interface Look {
  title: string;
  /** What it shows and where it comes from, in a sentence. */
  says: string;
  unit: string;
  /** Of 24. */
  width?: number;
  /** Turns yellow and red from there on. */
  warnFrom?: number;
  alarmFrom?: number;
}

function thresholdsOf({ warnFrom, alarmFrom }: Look): dashboard.ThresholdsConfigBuilder {
  const steps: dashboard.Threshold[] = [{ value: null, color: "green" }];
  if (warnFrom !== undefined) steps.push({ value: warnFrom, color: "yellow" });
  if (alarmFrom !== undefined) steps.push({ value: alarmFrom, color: "red" });
  return new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps(steps);
}

/** One number: of the whole time that is shown, or of now. */
export function number(look: Look, source: Source): stat.PanelBuilder {
  return new stat.PanelBuilder()
    .title(look.title)
    .description(look.says)
    .datasource(datasourceOf(source))
    .targets(queriesOf(source, "table"))
    .unit(look.unit)
    .noValue("0")
    .height(4)
    .span(look.width ?? 4)
    .thresholds(thresholdsOf(look))
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(common.BigValueGraphMode.None)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]).fields(""));
}

function series(look: Look, source: Source): timeseries.PanelBuilder {
  return new timeseries.PanelBuilder()
    .title(look.title)
    .description(look.says)
    .datasource(datasourceOf(source))
    .targets(queriesOf(source, "time_series"))
    .unit(look.unit)
    .axisSoftMin(0)
    .height(8)
    .span(look.width ?? 12)
    .interval("1m")
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    );
}

/** Values that have one at each moment: latency, gauges. */
export function lines(look: Look, source: Source): timeseries.PanelBuilder {
  return (
    series(look, source)
      .drawStyle(common.GraphDrawStyle.Line)
      .lineWidth(2)
      .fillOpacity(0)
      // A run of a minute may be late.
      .spanNulls(300_000)
      .showPoints(common.VisibilityMode.Auto)
  );
}

/** Amounts of an interval, which add up. */
export function bars(look: Look, source: Source): timeseries.PanelBuilder {
  return series(look, source)
    .drawStyle(common.GraphDrawStyle.Bars)
    .lineWidth(0)
    .fillOpacity(80)
    .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group("A"));
}

/** Rows. `units`: of columns that have one. */
export function rows(
  look: Omit<Look, "unit">,
  sql: string,
  units: Record<string, string> = {},
): table.PanelBuilder {
  const panel = new table.PanelBuilder()
    .title(look.title)
    .description(look.says)
    .datasource(POSTGRES)
    .targets(queriesOf({ sql }, "table"))
    .height(8)
    .span(look.width ?? 12)
    .filterable(true);
  for (const [column, unit] of Object.entries(units)) {
    panel.overrideByName(column, [{ id: "unit", value: unit }]);
  }
  return panel;
}

/** Numbers the panels: links to one stay what they are when a dashboard is loaded again. */
export function withIds(board: dashboard.Dashboard): dashboard.Dashboard {
  for (const [index, panel] of (board.panels ?? []).entries()) panel.id = index + 1;
  return board;
}
