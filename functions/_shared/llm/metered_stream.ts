// A provider's stream, watched: what it produces is counted against what is held, and its end is booked.
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import { SpendgateError } from "../errors.ts";
import { inBackground } from "../runtime/background.ts";
import type { Attempt } from "./attempt.ts";
import {
  NoOutput,
  ProviderFailure,
  reportsUsage,
  streamFailure,
  upstreamError,
} from "./providers/error.ts";
import { UsageReader } from "./usage/usage.ts";

type Part = LanguageModelV4StreamPart;
type Reader = ReadableStreamDefaultReader<Part>;

/** Parts that are output, whatever is in them. Any other part only says that output may come. */
const OUTPUT = new Set<Part["type"]>([
  "tool-call",
  "tool-result",
  "tool-approval-request",
  "file",
  "reasoning-file",
  "source",
]);

/** Whether a part is, or ends, what was produced for the caller. */
function isOutput(part: Part): boolean {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
    case "tool-input-delta":
      return part.delta !== "";
    case "finish":
      return true;
    default:
      return OUTPUT.has(part.type);
  }
}

/** A stream of which the first output has come. */
export interface StartedStream {
  /** Parts up to and with the first output. */
  head: Part[];
  reader: Reader;
  watch: UsageReader;
  /** The model may produce what the stream does not show. */
  mayHide: boolean;
}

/**
 * Reads a stream until its first output has come.
 * @throws ProviderFailure when the provider says that it fails; NoOutput, or what went wrong here, when nothing came.
 */
export async function readToFirstToken(
  reader: Reader,
  attempt: Attempt,
  mayHide: boolean,
): Promise<StartedStream> {
  const watch = new UsageReader(attempt.product);
  const head: Part[] = [];
  const stopListening = cancelOnAbort(reader, attempt.signal);
  try {
    for (let raw: unknown; ; ) {
      const { done, value } = await reader.read();
      if (done) throw new NoOutput("The stream ended before its first token.");
      if (value.type !== "stream-start") attempt.seeFirstChunk();
      watch.see(value);
      seeFacts(value, attempt);
      if (value.type === "raw") raw = value.rawValue;
      if (value.type === "error") throw failureIn(value.error, raw);
      if (value.type === "finish" && value.finishReason.unified === "interrupted") {
        throw new NoOutput("The stream broke before its first token.");
      }
      head.push(value);
      if (isOutput(value)) return { head, reader, watch, mayHide };
    }
  } catch (error) {
    attempt.counted = watch.counted(attempt.bound);
    await reader.cancel(error).catch(() => {});
    throw error;
  } finally {
    stopListening();
  }
}

function seeFacts(part: Part, attempt: Attempt): void {
  if (part.type === "response-metadata") attempt.see({ model: part.modelId, id: part.id });
  if (part.type === "finish") attempt.see({ finishReason: part.finishReason.unified });
}

/** A provider that does not heed the signal is not read on. Answers what takes that back. */
function cancelOnAbort(reader: Reader, signal: AbortSignal): () => void {
  const cancel = () => void reader.cancel(signal.reason).catch(() => {});
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel, { once: true });
  return () => signal.removeEventListener("abort", cancel);
}

/** A provider that reports usage beside its failure bills it: then the failure is not a free one. */
function failureIn(error: unknown, raw: unknown): unknown {
  const failure = streamFailure(error);
  const isBilled = failure instanceof ProviderFailure && reportsUsage(JSON.stringify(raw));
  return isBilled ? new NoOutput(failure.message, { cause: failure }) : failure;
}

/**
 * Passes the parts on, and settles however they end. The provider is read whether or not anybody reads what
 * is passed on, so that no reader who stalls keeps a hold.
 */
export function meterStream(
  started: StartedStream,
  attempt: Attempt,
  passRaw: boolean,
): ReadableStream<Part> {
  let isRead = true;
  return new ReadableStream<Part>({
    start(controller) {
      const pass = (part: Part) => {
        if (isRead && (part.type !== "raw" || passRaw)) controller.enqueue(part);
      };
      const pumped = pump(started, attempt, pass).then(() => {
        if (isRead) controller.close();
      });
      inBackground(pumped);
    },
    cancel() {
      isRead = false;
      attempt.leave();
    },
  });
}

async function pump(
  started: StartedStream,
  attempt: Attempt,
  pass: (part: Part) => void,
): Promise<void> {
  const { head, reader, watch } = started;
  const stopListening = cancelOnAbort(reader, attempt.signal);
  const passOn = async (part: Part) => {
    const failure = part.type === "error" && streamFailure(part.error);
    if (failure) attempt.failsBy(failure);
    pass(failure ? { type: "error", error: upstreamError(failure) } : part);
    await attempt.cover(watch.produced.atLeast);
  };
  try {
    for (const part of head) await passOn(part);
    for await (const part of rest(reader)) {
      watch.see(part);
      seeFacts(part, attempt);
      await passOn(part);
    }
    attempt.signal.throwIfAborted();
  } catch (error) {
    // The quota has no room for more than was held: the provider is stopped where it is.
    if (error instanceof SpendgateError) attempt.stop(error);
    const reason = attempt.signal.aborted ? attempt.signal.reason : error;
    attempt.failsBy(reason);
    pass({ type: "error", error: upstreamError(reason) });
  } finally {
    stopListening();
    book(started, attempt);
    await reader.cancel().catch(() => {});
  }
}

/**
 * Books a stream that has ended: what the provider reported at its end. Of one that was stopped, what had been
 * reported and what had come, unless there may be more that nobody saw; of any other, the bound.
 */
function book({ watch, mayHide }: StartedStream, attempt: Attempt): void {
  const known = watch.counted(attempt.bound);
  const isKnown = attempt.signal.aborted && (!mayHide || watch.isReported);
  if (watch.usage !== undefined) attempt.settle(watch.usage);
  else if (isKnown) attempt.settleCounted(known);
  else attempt.settleUnknown(known);
}

async function* rest(reader: Reader): AsyncGenerator<Part> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
