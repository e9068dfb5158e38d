// The platform says beforehand that it ends a worker: what is under way books what it knows, instead of leaving a hold.
import { flushTelemetry } from "./telemetry/telemetry.ts";

type Stop = (reason: Error) => void;

class WorkerEnd extends Error {
  override readonly name = "WorkerEnd";
}

const stops = new Set<Stop>();

globalThis.addEventListener?.("beforeunload", () => {
  for (const stop of [...stops]) stop(new WorkerEnd("the worker ends"));
  flushTelemetry();
});

/** Calls `stop` when the worker is about to end; what is returned takes that back. */
export function stopAtWorkerEnd(stop: Stop): () => void {
  stops.add(stop);
  return () => void stops.delete(stop);
}
