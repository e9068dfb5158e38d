// OpenTelemetry's SDK. It reads what else there is of OTEL_* itself: OTEL_EXPORTER_OTLP_HEADERS and its like,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_BSP_*, and the temporality of metrics.
import {
  type Attributes,
  type Counter,
  type Gauge,
  type Histogram,
  type Meter,
  trace,
} from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { GAUGES, METRICS, type Metric, SCOPE } from "./names.ts";

/** Which signals are sent. */
export interface Signals {
  spans: boolean;
  metrics: boolean;
}

export interface OpenSdk {
  isMeasured: boolean;
  record(metric: keyof typeof METRICS, value: number, attributes: Attributes): void;
  sendGauges(values: Value[]): Promise<void>;
  flush(): Promise<void>;
}

interface Value {
  gauge: keyof typeof GAUGES;
  value: number;
  attributes: Attributes;
}

export function startSdk({ spans, metrics }: Signals): OpenSdk {
  const tracers = spans ? startTracing() : undefined;
  // Each worker is an instance of its own: its series are nobody else's.
  const meters = metrics ? metersOf(crypto.randomUUID()) : undefined;
  const instruments = new Map<string, (value: number, attributes: Attributes) => void>();
  return {
    isMeasured: metrics,
    record(metric, value, attributes) {
      if (meters === undefined) return;
      const add = instruments.get(metric) ?? instrument(meters.getMeter(SCOPE), METRICS[metric]);
      instruments.set(metric, add);
      add(value, attributes);
    },
    async sendGauges(values) {
      if (!metrics || values.length === 0) return;
      // One instance, whoever tells it, for one moment: what is not there any more is not told again.
      const shared = metersOf("shared");
      for (const { gauge, value, attributes } of values) {
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

function metersOf(instance: string): MeterProvider {
  return new MeterProvider({
    resource: resourceOf(instance),
    readers: [new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() })],
  });
}

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
