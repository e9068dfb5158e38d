// A collector: takes what OpenTelemetry sends over HTTP as JSON, and tells it span by span and series by series.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SPANS } from "../../functions/_shared/runtime/telemetry/names.ts";

type Value = string | number | boolean | string[];
type Attributes = Record<string, Value>;

export interface ReceivedSpan {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  traceState?: string;
  /** 1 internal, 2 server, 3 client. */
  kind: number;
  attributes: Attributes;
  isFailed: boolean;
  startedAt: bigint;
  endedAt: bigint;
  resource: Attributes;
}

/** One series, as it was sent last. */
export interface Series {
  metric: string;
  unit: string;
  description: string;
  kind: "counter" | "histogram" | "gauge";
  attributes: Attributes;
  /** A histogram's is its sum. */
  value: number;
  bounds?: number[];
  /** Since when it counts. */
  since?: string;
  resource: Attributes;
}

export interface Collector {
  /** Environment that sends everything here. */
  env: Record<string, string>;
  spans: ReceivedSpan[];
  /** The headers of each request. */
  headers: Record<string, unknown>[];
  /** Answers so instead of taking anything, while it is set: 400 is for good. */
  refusesWith?: number;
  series(metric?: string): Series[];
  /** The sum of all series of a metric that have these attributes, of all workers. */
  sum(metric: string, attributes?: Attributes): number;
  /** A trace as lines, a span each, its children below it and further in. */
  tree(traceId: string): string;
  stop(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const spans: ReceivedSpan[] = [];
  const headers: Record<string, unknown>[] = [];
  const latest = new Map<string, Series>();
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    headers.push(request.headers);
    if (collector.refusesWith !== undefined) {
      return void response.writeHead(collector.refusesWith).end();
    }
    const body = JSON.parse(text);
    for (const { resource, scopeSpans = [] } of body.resourceSpans ?? []) {
      spans.push(...scopeSpans.flatMap((scope: never) => spansOf(scope, resource)));
    }
    for (const { resource, scopeMetrics = [] } of body.resourceMetrics ?? []) {
      for (const { metrics } of scopeMetrics) {
        for (const one of metrics.flatMap((metric: never) => seriesOf(metric, resource))) {
          latest.set(JSON.stringify([one.resource, one.metric, one.attributes]), one);
        }
      }
    }
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const series = (metric?: string) =>
    [...latest.values()].filter((one) => metric === undefined || one.metric === metric);
  const collector: Collector = {
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}/` },
    spans,
    headers,
    series,
    sum(metric, attributes = {}) {
      return series(metric)
        .filter((one) =>
          Object.entries(attributes).every(([name, value]) => one.attributes[name] === value),
        )
        .reduce((sum, { value }) => sum + value, 0);
    },
    tree(traceId) {
      const own = spans.filter((span) => span.traceId === traceId);
      const ids = new Set(own.map(({ spanId }) => spanId));
      const below = (parents: ReceivedSpan[], depth: number): string[] =>
        parents
          .sort((a, b) => Number(a.startedAt - b.startedAt))
          .flatMap((span) => [
            "  ".repeat(depth) + span.name + (span.isFailed ? " (failed)" : ""),
            ...below(
              own.filter(({ parentSpanId }) => parentSpanId === span.spanId),
              depth + 1,
            ),
          ]);
      return below(
        own.filter(({ parentSpanId }) => !ids.has(parentSpanId ?? "")),
        0,
      ).join("\n");
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return collector;
}

type Pairs = { key: string; value: Record<string, unknown> }[] | undefined;

function attributesOf(pairs: Pairs): Attributes {
  return Object.fromEntries((pairs ?? []).map(({ key, value }) => [key, readValue(value)]));
}

function readValue(value: Record<string, unknown>): Value {
  const { arrayValue, intValue, ...other } = value as {
    arrayValue?: { values: Record<string, unknown>[] };
    intValue?: string | number;
  };
  if (arrayValue) return arrayValue.values.map((each) => String(readValue(each)));
  if (intValue !== undefined) return Number(intValue);
  return Object.values(other)[0] as Value;
}

function spansOf({ spans }: { spans: never[] }, resource: { attributes: Pairs }): ReceivedSpan[] {
  return spans.map((span: Record<string, never>) => ({
    name: span.name as unknown as string,
    traceId: span.traceId as unknown as string,
    spanId: span.spanId as unknown as string,
    parentSpanId: span.parentSpanId as unknown as string | undefined,
    traceState: span.traceState as unknown as string | undefined,
    kind: span.kind as unknown as number,
    attributes: attributesOf(span.attributes),
    isFailed: (span.status as { code?: number } | undefined)?.code === 2,
    startedAt: BigInt(span.startTimeUnixNano as unknown as string),
    endedAt: BigInt(span.endTimeUnixNano as unknown as string),
    resource: attributesOf(resource.attributes),
  }));
}

interface Point {
  attributes: Pairs;
  startTimeUnixNano?: string;
  asDouble?: number;
  asInt?: string | number;
  sum?: number;
  explicitBounds?: number[];
}

function seriesOf(
  metric: {
    name: string;
    unit: string;
    description: string;
    sum?: { dataPoints: Point[] };
    gauge?: { dataPoints: Point[] };
    histogram?: { dataPoints: Point[] };
  },
  resource: { attributes: Pairs },
): Series[] {
  const kind = metric.sum ? "counter" : metric.gauge ? "gauge" : "histogram";
  const { dataPoints } = metric.sum ?? metric.gauge ?? metric.histogram ?? { dataPoints: [] };
  return dataPoints.map((point) => ({
    metric: metric.name,
    unit: metric.unit,
    description: metric.description,
    kind,
    attributes: attributesOf(point.attributes),
    value: Number(point.asDouble ?? point.asInt ?? point.sum),
    bounds: point.explicitBounds,
    since: point.startTimeUnixNano,
    resource: attributesOf(resource.attributes),
  }));
}

/** Which of SPANS a span is; undefined for one that is none of them. */
export function kindOfSpan(name: string): string | undefined {
  return Object.values(SPANS).find((pattern) => {
    const words = pattern.split(/\{[^}]*\}/).map((word) => word.replaceAll(".", "\\."));
    return new RegExp(`^${words.join("\\S+")}$`).test(name);
  });
}
