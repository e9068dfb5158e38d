// Spans. Where nobody records them, a span is nothing, and its children hang where it would.
import {
  ProxyTracerProvider,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TimeInput,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { describeError } from "../log.ts";
import { activeContext, inside, type TraceContext, within } from "./context.ts";
import { type Attributes, named, SCOPE } from "./names.ts";

export interface SpanOptions {
  attributes?: Attributes;
  kind?: "internal" | "server" | "client";
  /** The active one, when left out. */
  parent?: TraceContext;
}

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
};

function recordingTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider();
  // The API's own hands on to the one that was registered, where one was.
  return provider instanceof ProxyTracerProvider
    ? provider.getDelegateTracer(SCOPE)
    : provider.getTracer(SCOPE);
}

/** A span that is open until it is ended. `inside` says where its children hang. */
export class OpenSpan {
  readonly inside: TraceContext;
  readonly #span: Span | undefined;

  constructor(name: string, { attributes = {}, kind = "internal", parent }: SpanOptions = {}) {
    const outside = parent ?? activeContext();
    const tracer = recordingTracer();
    if (tracer === undefined) {
      this.inside = outside;
      return;
    }
    const options = { kind: KINDS[kind], attributes: named(attributes) };
    this.#span = tracer.startSpan(name, options, outside);
    this.inside = inside(outside, this.#span);
  }

  set(attributes: Attributes): void {
    if (this.#span?.isRecording()) this.#span.setAttributes(named(attributes));
  }

  /** Marks it as failed, by what the error is: never by its words. */
  fail(error: unknown): void {
    this.set({ error: errorType(error) });
    this.#span?.setStatus({ code: SpanStatusCode.ERROR });
  }

  end(at?: TimeInput): void {
    this.#span?.end(at);
  }
}

/** Does work in a span, which fails where the work does. */
export async function inSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: OpenSpan) => Promise<T>,
): Promise<T> {
  const span = new OpenSpan(name, options);
  try {
    return await within(span.inside, () => work(span));
  } catch (error) {
    span.fail(error);
    throw error;
  } finally {
    span.end();
  }
}

/** What an error is, in one word of few: our code, an HTTP status, or its class. */
export function errorType(thrown: unknown): string {
  const { error, status, name, class: kind } = describeError(thrown);
  return String(error ?? status ?? (name === "Error" ? kind : (name ?? kind)));
}
