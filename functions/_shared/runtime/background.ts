// Work that goes on when the answer is out: settling, flushing telemetry.
import { describeError, log } from "./log.ts";
import { requestScope } from "./telemetry/context.ts";

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
      keep(requestScope()?.answers, written);
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
  keep(requestScope()?.work, caught);
  if (typeof EdgeRuntime !== "undefined") EdgeRuntime.waitUntil(caught);
}

/** Keeps work in a set for as long as it goes on. */
function keep(set: Set<Promise<unknown>> | undefined, work: Promise<unknown>): void {
  if (set === undefined) return;
  const kept = work.then(
    () => {},
    () => {},
  );
  set.add(kept);
  void kept.then(() => set.delete(kept));
}
