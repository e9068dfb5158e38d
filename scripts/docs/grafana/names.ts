// What Prometheus calls the metrics and attributes of functions/_shared/runtime/telemetry/names.ts. The collector and the
// OTLP receiver of Prometheus translate by the same rules, unless they are told otherwise:
// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
import {
  ATTRIBUTES,
  GAUGES,
  METRICS,
  type Metric,
  TOTALS,
} from "../../../functions/_shared/runtime/telemetry/names.ts";

/** Every metric that functions send. */
export const EMITTED: readonly Metric[] = [METRICS, GAUGES, TOTALS].flatMap((table) =>
  Object.values<Metric>(table),
);

/** Units that have a word of their own in Prometheus. */
const UNITS: Record<string, string> = { s: "seconds", ms: "milliseconds", By: "bytes" };

/** `service.name` and `service.instance.id`, which every series has. */
export const RESOURCE_LABELS = ["job", "instance"];

/** Whatever Prometheus does not take in a name becomes an underscore; several become one. */
function plain(name: string): string {
  return name.replace(/[^a-zA-Z0-9:]+/g, "_");
}

export function labelName(attribute: keyof typeof ATTRIBUTES): string {
  return plain(ATTRIBUTES[attribute]);
}

/**
 * The family's name: the metric's, its unit in words (braces are a remark, and dropped), then what the kind adds.
 *
 * @throws Error for a unit that this table does not know.
 */
export function metricName({ name, unit, kind }: Metric): string {
  const parts = [plain(name)];
  const bare = unit.replace(/\{[^}]*\}/g, "");
  if (bare === "1") {
    if (kind === "gauge") parts.push("ratio");
  } else if (bare !== "") {
    const word = UNITS[bare];
    if (word === undefined) throw new Error(`${name}: what is the unit ${unit} in Prometheus?`);
    if (!plain(name).split("_").includes(word)) parts.push(word);
  }
  if (kind === "counter" && !plain(name).endsWith("_total")) parts.push("total");
  return parts.join("_");
}

/** What is stored of a metric: a histogram is three series. */
export function seriesOf(metric: Metric): { name: string; labels: string[] }[] {
  const name = metricName(metric);
  const labels = [...metric.attributes.map(labelName), ...RESOURCE_LABELS];
  if (metric.kind !== "histogram") return [{ name, labels }];
  return [
    { name: `${name}_bucket`, labels: [...labels, "le"] },
    { name: `${name}_sum`, labels },
    { name: `${name}_count`, labels },
  ];
}
