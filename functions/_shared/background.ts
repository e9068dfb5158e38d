// Work that goes on when the answer is out: settling, flushing telemetry.

declare const EdgeRuntime: { waitUntil(promise: Promise<unknown>): void } | undefined;

/** Lets `work` finish after the response; where the runtime cannot keep it alive, it still runs. */
export function inBackground(work: Promise<unknown>): void {
  if (typeof EdgeRuntime === "undefined") void work.catch(() => {});
  else EdgeRuntime.waitUntil(work);
}
