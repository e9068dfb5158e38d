// What E2B says of a sandbox, word by word: what cannot be is not known, and never computed with.
import * as z from "zod";
import { log } from "../runtime/log.ts";

/** What E2B says of a sandbox that runs. Null: it did not tell, or nothing that can be. Times are by its clock. */
export interface SandboxFacts {
  sandboxId: string;
  startedAt: Date | null;
  endAt: Date | null;
  vcpus: number | null;
  memoryGib: number | null;
}

/** A sandbox as E2B describes it. */
export interface ListedSandbox extends SandboxFacts {
  state: "running" | "paused" | null;
  template: string;
  /** What was written on it when it was made: whose it is. */
  project?: string;
  tenantId?: string;
  contextId?: string;
  conversationId?: string;
  pathId?: string;
}

const word = z.string().min(1).max(200);
const time = z.date().nullable().catch(null);
const written = <T extends z.ZodType>(type: T) => type.optional().catch(undefined);

const info = z.object({
  sandboxId: word,
  templateId: word.catch("unknown"),
  state: z.enum(["running", "paused"]).nullable().catch(null),
  startedAt: time,
  endAt: time,
  cpuCount: z.int().min(1).max(4096).nullable().catch(null),
  memoryMB: z
    .number()
    .min(1)
    .max(64 * 1024 * 1024)
    .nullable()
    .catch(null),
  metadata: z
    .object({
      spendgate: written(z.string()),
      template: written(word),
      tenant_id: written(z.guid()),
      context_id: written(z.guid()),
      conversation_id: written(word),
      path_id: written(word),
    })
    .catch({}),
});

/** The facts that make sense; undefined where not even its id does. */
export function readFacts(told: unknown): ListedSandbox | undefined {
  const parsed = info.safeParse(told);
  if (!parsed.success) return undefined;
  const { sandboxId, state, startedAt, endAt, cpuCount, memoryMB, metadata } = parsed.data;
  return {
    sandboxId,
    state,
    startedAt,
    endAt,
    vcpus: cpuCount,
    memoryGib: memoryMB === null ? null : memoryMB / 1024,
    template: metadata.template ?? parsed.data.templateId,
    project: metadata.spendgate,
    tenantId: metadata.tenant_id,
    contextId: metadata.context_id,
    conversationId: metadata.conversation_id,
    pathId: metadata.path_id,
  };
}

/** readFacts of the one sandbox that was asked for; what makes no sense, by name, goes into the log. */
export function readFactsOf(sandboxId: string, told: unknown): ListedSandbox | undefined {
  const facts = readFacts(told);
  const isIt = facts?.sandboxId === sandboxId;
  const wrong = isIt
    ? Object.entries(facts).flatMap(([name, value]) => (value === null ? [name] : []))
    : ["sandboxId"];
  if (wrong.length > 0) {
    log("warn", "sandbox_facts_wrong", { sandboxId, facts: wrong.join(" ") });
  }
  return isIt ? facts : undefined;
}
