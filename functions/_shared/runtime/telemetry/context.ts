// Which request is served, and in which span: AsyncLocalStorage carries both through whatever a request awaits.
// The trace of the caller is taken up, and given on, as https://www.w3.org/TR/trace-context says.
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Context,
  type ContextManager,
  context,
  createContextKey,
  createTraceState,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  trace,
} from "@opentelemetry/api";

/** Where a span hangs, and which request it is of. */
export type TraceContext = Context;

/** What the log says of a request; more of it is known as the request goes on. */
export interface RequestFacts {
  function: string;
  requestId: string;
  userId?: string;
  tenantId?: string;
  task?: string;
}

/** A request, and what it left to do when it was answered. */
export interface RequestScope {
  readonly facts: RequestFacts;
  /** Answers that are still being written. */
  readonly answers: Set<Promise<unknown>>;
  /** All that goes on in the background. */
  readonly work: Set<Promise<unknown>>;
}

class AsyncContextManager implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    work: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => work.call(self as ThisParameterType<F>, ...args));
  }

  bind<T>(active: Context, target: T): T {
    if (typeof target !== "function") return target;
    return ((...args: unknown[]) => this.with(active, () => target(...args))) as T;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}

context.setGlobalContextManager(new AsyncContextManager());

const SCOPE_KEY = createContextKey("spendgate.request");

export function activeContext(): TraceContext {
  return context.active();
}

/** Does work in a span's context, or another request's. */
export function within<T>(active: TraceContext, work: () => T): T {
  return context.with(active, work);
}

export function inside(parent: TraceContext, span: Span): TraceContext {
  return trace.setSpan(parent, span);
}

/** The request that is served now; undefined outside of any. */
export function requestScope(): RequestScope | undefined {
  return context.active().getValue(SCOPE_KEY) as RequestScope | undefined;
}

/** The context of a request that begins: in its caller's trace, where it names one. */
export function requestContext(headers: Headers, scope: RequestScope): TraceContext {
  const caller = readTraceParent(headers.get("traceparent"));
  const own = ROOT_CONTEXT.setValue(SCOPE_KEY, scope);
  if (caller === undefined) return own;
  const state = headers.get("tracestate");
  const traceState = state === null ? undefined : createTraceState(state);
  return trace.setSpanContext(own, { ...caller, traceState, isRemote: true });
}

/** Version, trace, span, flags. A later version may add more. */
const TRACE_PARENT = /^(?!ff)([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** What is malformed is ignored. */
function readTraceParent(header: string | null) {
  const [, version, traceId = "", spanId = "", flags = "", more] =
    TRACE_PARENT.exec(header?.trim() ?? "") ?? [];
  const caller = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1 };
  const isKnown = version !== "00" || more === undefined;
  return isKnown && isSpanContextValid(caller) ? caller : undefined;
}

/** The headers by which a callee takes up the trace; none outside of one. */
export function traceHeaders(): Record<string, string> {
  const span = trace.getSpanContext(context.active());
  if (span === undefined || !isSpanContextValid(span)) return {};
  const flags = span.traceFlags.toString(16).padStart(2, "0");
  const tracestate = span.traceState?.serialize();
  return {
    traceparent: `00-${span.traceId}-${span.spanId}-${flags}`,
    ...(tracestate && { tracestate }),
  };
}

/** What every line of the log says of the request that it is of. */
export function describeRequest(): Partial<RequestFacts> & { traceId?: string } {
  const span = trace.getSpanContext(context.active());
  const isTraced = span !== undefined && isSpanContextValid(span);
  return { ...(isTraced && { traceId: span.traceId }), ...requestScope()?.facts };
}
