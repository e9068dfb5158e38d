import { setTimeout as sleep } from "node:timers/promises";

/** Factor of all deadlines, for a machine that is slow or busy. */
const PATIENCE = Number(process.env.SPENDGATE_TEST_PATIENCE ?? 1);

type Truthy<T> = Exclude<T, false | null | undefined>;

/**
 * Waits until `condition` answers something true, and answers it. Throws when the deadline
 * (seconds) passes; `what` says what was waited for.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  seconds = 30,
): Promise<Truthy<T>> {
  const deadline = Date.now() + seconds * 1000 * PATIENCE;
  for (;;) {
    const answer = await condition();
    if (answer) return answer as Truthy<T>;
    if (Date.now() > deadline) throw new Error(`${seconds * PATIENCE} s passed without: ${what}`);
    await sleep(25);
  }
}
