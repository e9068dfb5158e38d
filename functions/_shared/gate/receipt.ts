// What the calls of one request cost: known when they are settled, told at the end of the answer.

import type { QuotaDetails, SettleAnswer } from "./answers.ts";
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
  /** The usage was counted here, or is not known: not reported. */
  isEstimated: boolean | null;
}

/** Collects the calls of one request: the first attempt, retries, steps of an agent, compaction. */
export class Receipt {
  readonly calls: MeteredCall[] = [];
  readonly #bookings = new Set<Promise<unknown>>();

  /** A call has ended, and is being booked. */
  addBooking(booking: Promise<unknown>): void {
    this.#bookings.add(booking);
    void booking.finally(() => this.#bookings.delete(booking));
  }

  /**
   * Waits, for `waitMs` at most, until the calls that have ended are booked: what one step of an agent, or a
   * failed attempt, held and did not use is there for the next.
   */
  async booked(waitMs: number): Promise<void> {
    if (this.#bookings.size === 0) return;
    const late = timer(waitMs);
    await Promise.race([Promise.all(this.#bookings), late.passed]);
    late.clear();
  }

  /** Costs of all calls, in order; waits at most `waitMs` for what is not booked yet. */
  async costs(waitMs: number): Promise<CallCost[]> {
    const late = timer(waitMs);
    const costs = await Promise.all(
      this.calls.map(async ({ reservationId, task, model, settled }) => {
        const booked = await Promise.race([settled, late.passed]);
        return {
          reservationId,
          task,
          model,
          costUsd: booked ? formatUsd(booked.cost_usd) : null,
          isEstimated: booked?.is_estimated ?? null,
        };
      }),
    );
    late.clear();
    return costs;
  }

  /**
   * What the headers of an answer say: the reservations, quotas that are near their limit and, of an answer that has
   * ended, one cost for each reservation, in the same order, when all are known.
   */
  headers(costs: CallCost[] = []): Record<string, string> {
    const ids = this.calls.map((call) => call.reservationId);
    const areKnown = costs.length > 0 && costs.every((cost) => cost.costUsd !== null);
    return {
      ...(ids.length > 0 && { "x-spendgate-reservation": ids.join(", ") }),
      ...rateLimitHeaders(this.calls.flatMap((call) => call.warnings)),
      ...(areKnown && { "x-spendgate-cost-usd": costs.map((cost) => cost.costUsd).join(", ") }),
    };
  }
}

function timer(milliseconds: number): { passed: Promise<undefined>; clear(): void } {
  let id: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<undefined>((resolve) => {
    id = setTimeout(() => resolve(undefined), milliseconds);
  });
  return { passed, clear: () => clearTimeout(id) };
}

/**
 * A decimal without an exponent and without zeros at its end, as the database has it: the twelve decimals of
 * less than $1,000 are the fifteen digits that a number of JavaScript keeps.
 */
export function formatUsd(usd: number): string {
  return usd.toFixed(12).replace(/\.?0+$/, "");
}
