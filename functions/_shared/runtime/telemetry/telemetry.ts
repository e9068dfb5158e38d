// Sending: by the SDK, which is loaded only where there is somewhere to send to.
import { inBackground } from "../background.ts";
import type { Env } from "../env.ts";
import { describeError, log } from "../log.ts";
import { type Attributes, type GAUGES, type METRICS, named, type TOTALS } from "./names.ts";
import type { OpenSdk, Signals } from "./sdk.ts";

let sdk: OpenSdk | undefined;
let starting: Promise<void> | undefined;

function signalsOf(env: Env): Signals {
  const isSent = (endpoint: string | undefined, exporter: string) =>
    !env.otelDisabled && exporter !== "none" && (endpoint ?? env.otlpEndpoint) !== undefined;
  return {
    spans: isSent(env.otlpTracesEndpoint, env.tracesExporter),
    metrics: isSent(env.otlpMetricsEndpoint, env.metricsExporter) && {
      exportIntervalMillis: env.metricIntervalMs,
      exportTimeoutMillis: Math.min(env.metricTimeoutMs, env.metricIntervalMs),
    },
  };
}

/** Sends spans and metrics from now on, as OTEL_* says. Resolves when nothing is lost any more. */
export function startTelemetry(env: Env): Promise<void> {
  const signals = signalsOf(env);
  if (!signals.spans && !signals.metrics) return Promise.resolve();
  // Several functions may share a process: the first one's is the one that is recorded to.
  starting ??= import("./sdk.ts").then(
    ({ startSdk }) => {
      sdk = startSdk(signals);
    },
    (error) => log("error", "telemetry_failed", describeError(error)),
  );
  return starting;
}

/** Adds to a counter, or to a histogram. */
export function record<M extends keyof typeof METRICS>(
  metric: M,
  value: number,
  attributes: Pick<Attributes, (typeof METRICS)[M]["attributes"][number]>,
): void {
  sdk?.record(metric, value, named(attributes));
}

/** Whether anybody is told of metrics: what costs a query to find out is not found out for nobody. */
export function isMeasured(): boolean {
  return sdk?.isMeasured ?? false;
}

export type GaugeValue = {
  [G in keyof typeof GAUGES]: {
    gauge: G;
    value: number;
    attributes: Pick<Attributes, (typeof GAUGES)[G]["attributes"][number]>;
  };
}[keyof typeof GAUGES];

export type TotalValue = {
  [T in keyof typeof TOTALS]: {
    total: T;
    value: number;
    since: Date;
    attributes: Pick<Attributes, (typeof TOTALS)[T]["attributes"][number]>;
  };
}[keyof typeof TOTALS];

/** Sends what all functions share, as one place sees it. */
export async function sendShared(gauges: GaugeValue[], totals: TotalValue[]): Promise<void> {
  await sdk?.sendShared(
    gauges.map(({ attributes, ...value }) => ({ ...value, attributes: named(attributes) })),
    totals.map(({ attributes, ...value }) => ({ ...value, attributes: named(attributes) })),
  );
}

let flushing: Promise<void> | undefined;
let next: Promise<void> | undefined;

/**
 * Sends what was recorded until now, in the background: the platform may stop a worker after its answer. While that
 * goes on, all that is recorded waits for one next time.
 */
export function flushTelemetry(): void {
  if (sdk !== undefined) inBackground(flush(sdk));
}

function flush(open: OpenSdk): Promise<void> {
  if (flushing === undefined) {
    flushing = open
      .flush()
      .catch((error) => log("warn", "telemetry_failed", describeError(error)))
      .finally(() => {
        flushing = undefined;
      });
    return flushing;
  }
  next ??= flushing.then(() => {
    next = undefined;
    return flush(open);
  });
  return next;
}
