// Work that goes on when the answer is out: settling, flushing telemetry.
import { describeError, log } from "./log.ts";

declare const EdgeRuntime: { waitUntil(promise: Promise<unknown>): void } | undefined;

/**
 * A stream that `work` writes in the background, whether or not its reader keeps up. A reader who goes aborts `gone`;
 * nothing is written any more then, and `work` goes on.
 */
export function writtenStream<T>(
  gone: AbortController,
  work: (write: (part: T) => void) => Promise<void>,
): ReadableStream<T> {
  return new ReadableStream<T>({
    start(controller) {
      const write = (part: T) => {
        if (!gone.signal.aborted) controller.enqueue(part);
      };
      const written = work(write).then(
        () => {
          if (!gone.signal.aborted) controller.close();
        },
        (error) => {
          if (!gone.signal.aborted) controller.error(error);
          throw error;
        },
      );
      inBackground(written);
    },
    cancel() {
      gone.abort();
    },
  });
}

/** Lets `work` finish after the response; where the runtime cannot keep it alive, it still runs. */
export function inBackground(work: Promise<unknown>): void {
  // A runtime prints what it is left to catch, words and all.
  const caught = work.catch((error) => log("error", "background_failed", describeError(error)));
  if (typeof EdgeRuntime !== "undefined") EdgeRuntime.waitUntil(caught);
}
