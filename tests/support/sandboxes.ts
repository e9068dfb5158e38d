// Sandboxes as E2B's stand-in and the database have them.
import { expect } from "vitest";
import type { SandboxOperation, StandInSandbox } from "../../scripts/stack/sandbox_standin.ts";
import type { TestStack } from "./stack.ts";

/** Published prices of E2B, USD a second, for 2 vCPU and 0.5 GiB: https://e2b.dev/pricing */
export const USD_PER_SECOND = 2 * 0.000014 + 0.5 * 0.0000045;
/** What so many seconds cost, as numeric(20,12) prints it. */
export const usd = (seconds: number) => (seconds * USD_PER_SECOND).toFixed(12);

/** What POST /sandbox answers of a sandbox. */
export interface Sandbox {
  id: string;
  sandboxId: string;
  isNew: boolean;
}
type Ids = Pick<Sandbox, "id" | "sandboxId">;

export const inE2B = (stack: TestStack, { sandboxId }: Pick<Sandbox, "sandboxId">) =>
  stack.sandboxes.sandboxes.get(sandboxId) as StandInSandbox;

/** Sandboxes that run or are paused. */
export const living = (stack: TestStack) =>
  [...stack.sandboxes.sandboxes.values()].filter(({ state }) => state !== "ended");

/** How often E2B was asked for an operation. */
export const countOf = (stack: TestStack, operation: SandboxOperation) =>
  stack.sandboxes.journal.filter((entry) => entry.operation === operation).length;

/** So many seconds pass for a sandbox, in E2B and in the database. */
export async function age(stack: TestStack, { id, sandboxId }: Ids, seconds: number) {
  await stack.sql`
    update spend.execution_contexts set
      claimed_at = claimed_at - make_interval(secs => ${seconds}),
      started_at = started_at - make_interval(secs => ${seconds}),
      expires_at = expires_at - make_interval(secs => ${seconds}),
      held_until = held_until - make_interval(secs => ${seconds}),
      in_use_until = in_use_until - make_interval(secs => ${seconds}),
      paused_at = paused_at - make_interval(secs => ${seconds})
    where id = ${id}`;
  stack.sandboxes.age(sandboxId, seconds);
}

/** A sandbox has run for so many seconds now, and the next one has begun. */
export const ageTo = (stack: TestStack, sandbox: Ids, seconds: number) =>
  age(stack, sandbox, seconds + 0.01 - (Date.now() - inE2B(stack, sandbox).startedAt) / 1000);

export interface MaintenanceReport {
  database: Record<string, number | null>;
  sandboxes: Record<string, number>;
}

/** Runs maintenance by the function at `url`, and answers its report. */
export async function maintain(
  stack: TestStack,
  url = `${stack.url}/functions/v1`,
): Promise<MaintenanceReport> {
  const response = await fetch(`${url}/maintenance`, {
    method: "POST",
    headers: { apikey: stack.keys.secret },
  });
  expect(response.status).toBe(200);
  return (await response.json()) as MaintenanceReport;
}

/** What maintenance changed of sandboxes, without what it found. */
export function changesOf({ sandboxes }: MaintenanceReport): Record<string, number> {
  const { listed, open, ...counts } = sandboxes;
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** Before a test: whatever the one before left running is gone, and booked. */
export async function endAllSandboxes(stack: TestStack): Promise<void> {
  await stack.sql`update spend.execution_contexts set claim_expires_at = claimed_at + interval '1 ms'`;
  for (const sandbox of living(stack)) stack.sandboxes.lose(sandbox.id);
  await maintain(stack);
  stack.sandboxes.reset();
}
