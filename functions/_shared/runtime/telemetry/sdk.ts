// OpenTelemetry's SDK. It reads what else there is of OTEL_* itself: OTEL_EXPORTER_OTLP_HEADERS and its like,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_*, and the temporality of metrics. It sends
// JSON, which is why OTEL_EXPORTER_OTLP_PROTOCOL may say nothing else.
import {
  type Attributes,
  type Counter,
  type Gauge,
  type Histogram,
  type HrTime,
  type Meter,
  trace,
  ValueType,
} from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  MeterProvider,
  type MetricProducer,
  PeriodicExportingMetricReader,
  type PeriodicExportingMetricReaderOptions,
  type SumMetricData,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { GAUGES, METRICS, type Metric, SCOPE, TOTALS } from "./names.ts";

/** Which signals are sent, and how often metrics. */
export interface Signals {
  spans: boolean;
  metrics: false | SendTimes;
}

type SendTimes = Required<
  Pick<PeriodicExportingMetricReaderOptions, "exportIntervalMillis" | "exportTimeoutMillis">
>;

export interface OpenSdk {
  isMeasured: boolean;
  record(metric: keyof typeof METRICS, value: number, attributes: Attributes): void;
  sendShared(gauges: Value[], totals: Total[]): Promise<void>;
  flush(): Promise<void>;
}

interface Value {
  gauge: keyof typeof GAUGES;
  value: number;
  attributes: Attributes;
}

/** What a counter stands at that is not kept here, and since when it counts. */
interface Total {
  total: keyof typeof TOTALS;
  value: number;
  since: Date;
  attributes: Attributes;
}

export function startSdk({ spans, metrics }: Signals): OpenSdk {
  const tracers = spans ? startTracing() : undefined;
  // Each worker is an instance of its own: its series are nobody else's.
  const meters = metrics ? metersOf(crypto.randomUUID(), metrics) : undefined;
  const instruments = new Map<string, (value: number, attributes: Attributes) => void>();
  return {
    isMeasured: metrics !== false,
    record(metric, value, attributes) {
      if (meters === undefined) return;
      const add = instruments.get(metric) ?? instrument(meters.getMeter(SCOPE), METRICS[metric]);
      instruments.set(metric, add);
      add(value, attributes);
    },
    async sendShared(gauges, totals) {
      if (!metrics || gauges.length + totals.length === 0) return;
      // One instance, whoever tells it, for one moment: what is not there any more is not told again.
      const shared = metersOf("shared", metrics, totals);
      for (const { gauge, value, attributes } of gauges) {
        instrument(shared.getMeter(SCOPE), GAUGES[gauge])(value, attributes);
      }
      await shared.shutdown();
    },
    async flush() {
      await Promise.all([tracers?.forceFlush(), meters?.forceFlush()]);
    },
  };
}

function resourceOf(instance: string) {
  return resourceFromAttributes({
    "service.name": SCOPE,
    "service.instance.id": instance,
  }).merge(detectResources({ detectors: [envDetector] }));
}

function startTracing(): BasicTracerProvider {
  const provider = new BasicTracerProvider({
    resource: resourceOf(crypto.randomUUID()),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  trace.setGlobalTracerProvider(provider);
  return provider;
}

function metersOf(instance: string, times: SendTimes, totals: Total[] = []): MeterProvider {
  const resource = resourceOf(instance);
  const kept: MetricProducer = {
    async collect() {
      const scopeMetrics = [{ scope: { name: SCOPE }, metrics: metricsOf(totals) }];
      return { resourceMetrics: { resource, scopeMetrics }, errors: [] };
    },
  };
  return new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        ...times,
        exporter: new OTLPMetricExporter(),
        metricProducers: totals.length > 0 ? [kept] : [],
      }),
    ],
  });
}

/**
 * Totals as they are sent. Always cumulative, and since they are counted: an instrument of the SDK would begin anew each
 * time, and increments would be wrong after one that was lost, or sent twice.
 */
function metricsOf(totals: Total[]): SumMetricData[] {
  const endTime = hrTimeOf(new Date());
  return Object.entries(TOTALS).map(([key, { name, description, unit }]) => ({
    descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
    dataPointType: DataPointType.SUM,
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    isMonotonic: true,
    dataPoints: totals
      .filter(({ total }) => total === key)
      .map(({ value, since, attributes }) => ({
        startTime: hrTimeOf(since),
        endTime,
        attributes,
        value,
      })),
  }));
}

const hrTimeOf = (date: Date): HrTime => [
  Math.floor(date.getTime() / 1000),
  (date.getTime() % 1000) * 1_000_000,
];

function instrument(
  meter: Meter,
  { name, kind, unit, description, buckets }: Metric,
): (value: number, attributes: Attributes) => void {
  const options = { unit, description };
  switch (kind) {
    case "counter": {
      const counter: Counter = meter.createCounter(name, options);
      return (value, attributes) => counter.add(value, attributes);
    }
    case "gauge": {
      const gauge: Gauge = meter.createGauge(name, options);
      return (value, attributes) => gauge.record(value, attributes);
    }
    case "histogram": {
      const advice = { explicitBucketBoundaries: buckets };
      const histogram: Histogram = meter.createHistogram(name, { ...options, advice });
      return (value, attributes) => histogram.record(value, attributes);
    }
  }
}
