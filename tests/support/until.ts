import { setTimeout as sleep } from "node:timers/promises";

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
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await condition();
    if (answer) return answer as Truthy<T>;
    if (Date.now() > deadline) throw new Error(`${seconds} s passed without: ${what}`);
    await sleep(25);
  }
}
