// PromQL that counts workers which live for a minute.
import {
  type ATTRIBUTES,
  GAUGES,
  METRICS,
  type Metric,
  TOTALS,
} from "../../../functions/_shared/runtime/telemetry/names.ts";
import { labelName, metricName } from "./names.ts";

type Counter = {
  [K in keyof typeof METRICS]: (typeof METRICS)[K]["kind"] extends "counter" ? K : never;
}[keyof typeof METRICS];
type Histogram = Exclude<keyof typeof METRICS, Counter>;
type Attribute = keyof typeof ATTRIBUTES;

/** Longer than a worker goes without sending, while it lives: the SDK sends every minute. */
const LOOK_BACK = "15m";

export interface Selection {
  by?: Attribute[];
  /** Matchers of labels, beside that of the job: `error_type!=""`. */
  where?: string;
  /** All jobs: rules know no variable of a dashboard. */
  everyJob?: boolean;
}

function select(series: string, { where, everyJob }: Selection): string {
  const matchers = [everyJob ? "" : 'job=~"$job"', where ?? ""].filter(Boolean).join(", ");
  return matchers === "" ? series : `${series}{${matchers}}`;
}

/**
 * What the counters went up by in a window. increase() does not see the value with which a series begins, and a worker
 * may send only one. So: each series' last value in the window, less the one before the window; all of it where there
 * was none. Series never fall: each worker has its own.
 */
function added(series: string, window: string, labels: string[], selection: Selection): string {
  const selected = select(series, selection);
  const last = `last_over_time(${selected}[${window}])`;
  const before = `last_over_time(${selected}[${LOOK_BACK}] offset ${window})`;
  const by = labels.length === 0 ? "" : ` by (${labels.join(", ")})`;
  return `sum${by} (${last} - (${before} or ${last} * 0))`;
}

const labelsOf = ({ by = [] }: Selection) => by.map(labelName);

/** What a counter counted in the window. */
export function counted(counter: Counter, window: string, selection: Selection = {}): string {
  return added(metricName(METRICS[counter]), window, labelsOf(selection), selection);
}

/**
 * What a counter of the database grew by in a window: one series, which goes on whoever tells it. Nothing where nobody
 * told it before the window.
 */
export function grown(
  total: keyof typeof TOTALS,
  window: string,
  selection: Selection = {},
): string {
  const series = select(metricName(TOTALS[total]), selection);
  const by = labelsOf(selection).join(", ");
  const last = `max by (${by}) (last_over_time(${series}[${window}]))`;
  return `${last} - max by (${by}) (last_over_time(${series}[${LOOK_BACK}] offset ${window}))`;
}

/** How many values a histogram got in the window. */
export function observed(histogram: Histogram, window: string, selection: Selection = {}): string {
  return added(`${metricName(METRICS[histogram])}_count`, window, labelsOf(selection), selection);
}

/** The sum of the values that a histogram got in the window. */
export function summed(histogram: Histogram, window: string, selection: Selection = {}): string {
  return added(`${metricName(METRICS[histogram])}_sum`, window, labelsOf(selection), selection);
}

/** A quantile, 0 to 1, of the values that a histogram got in the window. */
export function quantile(
  share: number,
  histogram: Histogram,
  window: string,
  selection: Selection = {},
): string {
  const labels = ["le", ...labelsOf(selection)];
  const series = `${metricName(METRICS[histogram])}_bucket`;
  return `histogram_quantile(${share}, ${added(series, window, labels, selection)})`;
}

/** A gauge, as it was told last. */
export function gauge(name: keyof typeof GAUGES, selection: Selection = {}): string {
  const metric: Metric = GAUGES[name];
  const by = labelsOf(selection).join(", ");
  return `max by (${by}) (${select(metricName(metric), selection)})`;
}
