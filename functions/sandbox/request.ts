// What the sandbox function takes.
import * as z from "zod";
import { label } from "../_shared/http/label.ts";
import { perEnv } from "../_shared/runtime/env.ts";

export const openRequest = perEnv((env) =>
  z.strictObject({
    /** Tenant that pays; may be left out by a user who is in one only. */
    tenantId: z.guid().optional(),
    conversationId: label,
    pathId: label.optional(),
    /** A template of spend.sandbox_templates. */
    template: label.optional(),
    /** Seconds that it lives until it is used again. */
    timeoutSeconds: z.int().min(1).max(env.maxSandboxTimeoutSeconds).optional(),
    task: label.default("sandbox"),
  }),
);

export const runRequest = perEnv((env) =>
  z.strictObject({
    code: z.string().min(1),
    language: z.enum(["python", "javascript", "typescript", "r", "java", "bash"]).default("python"),
    /** Seconds that the code may take. */
    timeoutSeconds: z
      .int()
      .min(1)
      .max(env.maxRunSeconds)
      .default(Math.min(env.runSeconds, env.maxRunSeconds)),
    /** Server-sent events as the code prints. */
    stream: z.boolean().default(false),
  }),
);
export type RunRequest = z.output<ReturnType<typeof runRequest>>;
