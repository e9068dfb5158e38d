// OpenTelemetry: spans and metrics by the names of its GenAI conventions. Without
// OTEL_EXPORTER_OTLP_ENDPOINT the API's own no-op answers, and nothing is sent.
import { type Attributes, metrics, type Span, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { inBackground } from "./background.ts";
import { describeError } from "./log.ts";

const SCOPE = "spendgate";
let flushAll: () => Promise<unknown> = () => Promise.resolve();
let isStarted = false;

/** Sends spans and metrics to `endpoint` (OTLP over HTTP) from now on. */
export function startTelemetry(endpoint: string | undefined): void {
  // Several functions may share a process: the first one's providers are the ones that are recorded to.
  if (!endpoint || isStarted) return;
  isStarted = true;
  const resource = resourceFromAttributes({ "service.name": SCOPE });
  const traces = new BasicTracerProvider({
    resource,
    spanProcessors: [
      new BatchSpanProcessor(new OTLPTraceExporter({ url: `${endpoint}/v1/traces` })),
    ],
  });
  const measurements = new MeterProvider({
    resource,
    readers: [
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({ url: `${endpoint}/v1/metrics` }),
      }),
    ],
  });
  trace.setGlobalTracerProvider(traces);
  metrics.setGlobalMeterProvider(measurements);
  flushAll = () => Promise.all([traces.forceFlush(), measurements.forceFlush()]);
}

/** The platform may stop a worker after its answer: what was recorded leaves before that. */
export function flushTelemetry(): void {
  inBackground(flushAll());
}

export function startSpan(name: string, attributes: Attributes): Span {
  return trace.getTracer(SCOPE).startSpan(name, { attributes });
}

/** Marks a span as failed, by what the error is: never by its words. */
export function failSpan(span: Span, error: unknown): void {
  const { error: code, name, class: kind, status } = describeError(error);
  const type = String(code ?? name ?? kind);
  span.setAttribute("error.type", type);
  span.setStatus({ code: SpanStatusCode.ERROR, message: status ? `${type} ${status}` : type });
}

/** Tokens by type (input, output), as the provider reported them. */
export function recordTokens(
  count: number,
  type: "input" | "output",
  attributes: Attributes,
): void {
  metrics
    .getMeter(SCOPE)
    .createHistogram("gen_ai.client.token.usage", { unit: "{token}" })
    .record(count, { ...attributes, "gen_ai.token.type": type });
}

/** Seconds from the start of a call to its end. */
export function recordDuration(seconds: number, attributes: Attributes): void {
  metrics
    .getMeter(SCOPE)
    .createHistogram("gen_ai.client.operation.duration", { unit: "s" })
    .record(seconds, attributes);
}

/** Calls that the gate refused, by reason. */
export function countRefusal(attributes: Attributes): void {
  metrics
    .getMeter(SCOPE)
    .createCounter("spendgate.refusals", { unit: "{call}" })
    .add(1, attributes);
}

/** Seconds that a stage of a sandbox's life took; `error.type` says how it failed. */
export function recordStage(seconds: number, attributes: Attributes): void {
  metrics
    .getMeter(SCOPE)
    .createHistogram("spendgate.sandbox.stage.duration", { unit: "s" })
    .record(seconds, attributes);
}
