// A provider's stream, watched: what it produces is counted against what is held, and its end is booked.
import type { LanguageModelV4StreamPart } from "@ai-sdk/provider";
import type { Attempt } from "./attempt.ts";
import { inBackground } from "./background.ts";
import { SpendgateError } from "./errors.ts";
import type { UsageReader } from "./llm/usage.ts";
import { messageOf } from "./log.ts";
import { ProviderFailure, upstreamError } from "./provider_error.ts";

type Part = LanguageModelV4StreamPart;
type Reader = ReadableStreamDefaultReader<Part>;

const PREAMBLE = new Set([
  "stream-start",
  "response-metadata",
  "raw",
  "ping",
  "text-start",
  "reasoning-start",
  "tool-input-start",
]);

/** Parts up to and with the first that was produced for the caller. Throws what the provider says instead of one. */
export async function readToFirstToken(reader: Reader): Promise<Part[]> {
  const head: Part[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return head;
    if (value.type === "error") {
      throw new ProviderFailure(messageOf(value.error), { cause: value.error });
    }
    head.push(value);
    if (!PREAMBLE.has(value.type)) return head;
  }
}

/**
 * Passes the parts on, and settles however they end. The provider is read whether or not anybody reads what
 * is passed on, so that no reader who stalls keeps a hold.
 */
export function meterStream(
  head: Part[],
  reader: Reader,
  attempt: Attempt,
  watch: UsageReader,
  passRaw: boolean,
): ReadableStream<Part> {
  let isRead = true;
  return new ReadableStream<Part>({
    start(controller) {
      const pass = (part: Part) => {
        if (isRead && (part.type !== "raw" || passRaw)) controller.enqueue(part);
      };
      const pumped = pump(head, reader, attempt, watch, pass).then(() => {
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
  head: Part[],
  reader: Reader,
  attempt: Attempt,
  watch: UsageReader,
  pass: (part: Part) => void,
): Promise<void> {
  // A provider that does not heed the signal is not read on.
  const stopReading = () => void reader.cancel(attempt.signal.reason).catch(() => {});
  attempt.signal.addEventListener("abort", stopReading, { once: true });
  try {
    for await (const part of parts(head, reader)) {
      watch.see(part);
      pass(part.type === "error" ? { type: "error", error: upstreamError(part.error) } : part);
      await attempt.cover(watch.produced.atLeast);
    }
    attempt.signal.throwIfAborted();
  } catch (error) {
    // The quota has no room for more than was held: the provider is stopped where it is.
    if (error instanceof SpendgateError) attempt.stop(error);
    const reason = attempt.signal.aborted ? attempt.signal.reason : error;
    pass({ type: "error", error: upstreamError(reason) });
  } finally {
    attempt.signal.removeEventListener("abort", stopReading);
    const isCounted = attempt.signal.aborted && watch.usage === undefined;
    if (isCounted) attempt.settleCounted(watch.counted(attempt.bound));
    else attempt.settle(watch.usage);
    await reader.cancel().catch(() => {});
  }
}

async function* parts(head: Part[], reader: Reader): AsyncGenerator<Part> {
  yield* head;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
