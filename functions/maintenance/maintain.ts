// The database's jobs, one after the other, each step of each in a transaction of its own.
import * as z from "zod";
import type { Gate } from "../_shared/gate/gate.ts";
import { describeError, log } from "../_shared/runtime/log.ts";
import { SPANS } from "../_shared/runtime/telemetry/names.ts";
import { inSpan } from "../_shared/runtime/telemetry/spans.ts";

/** Milliseconds after which no job is repeated. Each is begun once all the same. */
const ENOUGH_MS = 30_000;

const jobs = z.array(z.object({ job: z.string(), batch: z.number().nullable() }));
const done = z.record(z.string(), z.number().nullable());

/** Rows that each job did; null for one that is left to the next run. */
export type Maintained = z.output<typeof done>;

/**
 * Does all jobs of spend.maintain() in their order, and repeats one that has more to do while there is time.
 * @throws SpendgateError quota_unavailable when the database does not even say which jobs there are.
 */
export async function maintain(gate: Gate): Promise<Maintained> {
  const deadline = Date.now() + ENOUGH_MS;
  const counts: Maintained = {};
  for (const { job, batch } of await gate.call("maintenance_jobs", jobs, {})) {
    counts[job] = await inSpan(SPANS.job, { attributes: { job } }, () =>
      repeat(gate, job, batch, deadline),
    ).catch((error) => {
      // A time-out of the API, say: the other jobs are done without this one.
      log("error", "job_failed", { job, ...describeError(error) });
      return null;
    });
  }
  return counts;
}

async function repeat(
  gate: Gate,
  job: string,
  batch: number | null,
  deadline: number,
): Promise<number | null> {
  let total = 0;
  for (;;) {
    const { [job]: count } = await gate.call("maintain", done, { job });
    if (count == null) return total || null;
    total += count;
    if (batch === null || count < batch || Date.now() >= deadline) return total;
  }
}
