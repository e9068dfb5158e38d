// What the calls of one request cost: known when they are settled, told at the end of the answer.
import type { QuotaDetails, SettleAnswer } from "./gate.ts";
import { rateLimitHeaders } from "./rate_limit.ts";

/** A call of a model that was admitted. */
export interface MeteredCall {
  reservationId: string;
  task: string;
  /** `provider/model` */
  model: string;
  /** Quotas that were near their limit when the call was admitted. */
  warnings: QuotaDetails[];
  /** What was booked; undefined when it could not be. Resolves after the call has ended. */
  settled: Promise<SettleAnswer | undefined>;
}

export interface CallCost {
  reservationId: string;
  task: string;
  model: string;
  /** USD, exact; null when it was not known in time. */
  costUsd: string | null;
  /** The usage was not reported; the cost is an estimate. */
  isEstimated: boolean | null;
}

/** Collects the calls of one request: the first attempt, retries, steps of an agent, compaction. */
export class Receipt {
  readonly calls: MeteredCall[] = [];

  /** Costs of all calls, in order; waits at most `waitMs` for what is not booked yet. */
  async costs(waitMs: number): Promise<CallCost[]> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), waitMs);
    });
    const costs = await Promise.all(
      this.calls.map(async ({ reservationId, task, model, settled }) => {
        const booked = await Promise.race([settled, late]);
        return {
          reservationId,
          task,
          model,
          costUsd: booked ? formatUsd(booked.cost_usd) : null,
          isEstimated: booked?.is_estimated ?? null,
        };
      }),
    );
    clearTimeout(timer);
    return costs;
  }

  /** What the headers of an answer can say before it has ended. */
  headers(): Record<string, string> {
    const ids = this.calls.map((call) => call.reservationId);
    return {
      ...(ids.length > 0 && { "x-spendgate-reservation": ids.join(", ") }),
      ...rateLimitHeaders(this.calls.flatMap((call) => call.warnings)),
    };
  }
}

/** Headers of an answer that has ended: one cost for each reservation, in the same order. */
export function costHeaders(costs: CallCost[]): Record<string, string> {
  const known = costs.every((cost) => cost.costUsd !== null) && costs.length > 0;
  return known ? { "x-spendgate-cost-usd": costs.map((cost) => cost.costUsd).join(", ") } : {};
}

/** A decimal without an exponent and without zeros at its end. */
export function formatUsd(usd: number): string {
  return usd.toFixed(12).replace(/\.?0+$/, "");
}
