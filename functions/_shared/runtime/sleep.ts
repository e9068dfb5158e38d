export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/**
 * Resolves when what was asked for just now has been sent: a runtime sends when there is nothing else to do, and looks at
 * its timers later. What nobody waits for yet is done after this, while an answer is under way.
 */
export function sent(): Promise<void> {
  return sleep(1);
}
