// The environment, read and checked once. What is wrong is said by name, at the first request.
// Keys of providers are not in it: see providers/registry.ts.
import { z } from "zod";

const flag = z
  .enum(["true", "false"])
  .default("true")
  .transform((value) => value === "true");
const url = z.url().optional();
const key = z.string().min(1).optional();
const count = (least: number, fallback: number, most = Number.MAX_SAFE_INTEGER) =>
  z.coerce.number().int().min(least).max(most).default(fallback);
/** The longest that a call may be waited for, in ms: no runtime of edge functions lives longer. */
const HOUR_MS = 3_600_000;

const schema = z
  .object({
    SUPABASE_URL: z.url(),
    SUPABASE_PUBLISHABLE_KEY: key,
    SUPABASE_ANON_KEY: key,
    SUPABASE_SECRET_KEY: key,
    SUPABASE_SERVICE_ROLE_KEY: key,
    ENFORCE_COST_QUOTAS: flag,
    ENFORCE_E2B_QUOTAS: flag,
    SPENDGATE_DEFAULT_MODEL: z.string().min(1).default("openai/gpt-4o-mini"),
    SPENDGATE_MAX_OUTPUT_TOKENS: count(1, 4096),
    SPENDGATE_MAX_RETRIES: count(0, 0),
    SPENDGATE_CALL_TIMEOUT_MS: count(100, 140_000, HOUR_MS),
    SPENDGATE_DISCONNECT_GRACE_MS: count(0, 3000, HOUR_MS),
    SPENDGATE_COST_WAIT_MS: count(0, 1000),
    SPENDGATE_MAX_BODY_BYTES: count(1024, 1_048_576),
    SPENDGATE_MAX_MESSAGES: count(1, 500),
    SPENDGATE_MAX_STEPS: count(1, 20),
    SPENDGATE_GATE_TIMEOUT_MS: count(100, 5000),
    SPENDGATE_COMPACTION_MODEL: z.string().min(1).default("openai/gpt-4o-mini"),
    SPENDGATE_COMPACTION_SHARE: z.coerce.number().positive().max(1).default(0.75),
    SPENDGATE_PROJECT: z.string().min(1).optional(),
    SPENDGATE_SANDBOX_TEMPLATE: z.string().min(1).default("code-interpreter-v1"),
    SPENDGATE_SANDBOX_TIMEOUT_SECONDS: count(1, 300),
    SPENDGATE_SANDBOX_MAX_TIMEOUT_SECONDS: count(1, 3600),
    SPENDGATE_SANDBOX_IDLE_SECONDS: count(0, 60),
    SPENDGATE_SANDBOX_MAX_PAUSED_SECONDS: count(60, 2_592_000, 315_360_000),
    SPENDGATE_SANDBOX_WAIT_MS: count(0, 30_000),
    SPENDGATE_RUN_SECONDS: count(1, 60),
    SPENDGATE_MAX_RUN_SECONDS: count(1, 120),
    SPENDGATE_MAX_CODE_BYTES: count(1, 200_000),
    SPENDGATE_MAX_OUTPUT_BYTES: count(1, 1_000_000),
    SPENDGATE_E2B_TIMEOUT_MS: count(100, 20_000),
    ALERT_WEBHOOK_URL: z.url({ protocol: /^https?$/ }).optional(),
    ALERT_WEBHOOK_SECRET: key,
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
  })
  .transform((env, context) => {
    // Hosted projects set the names of the new keys, the old ones, or both.
    const publishableKey = env.SUPABASE_PUBLISHABLE_KEY ?? env.SUPABASE_ANON_KEY;
    const secretKey = env.SUPABASE_SECRET_KEY ?? env.SUPABASE_SERVICE_ROLE_KEY;
    if (!publishableKey) {
      context.addIssue({
        code: "custom",
        message: "is missing",
        path: ["SUPABASE_PUBLISHABLE_KEY"],
      });
      return z.NEVER;
    }
    if (!secretKey) {
      context.addIssue({ code: "custom", message: "is missing", path: ["SUPABASE_SECRET_KEY"] });
      return z.NEVER;
    }
    return {
      supabaseUrl: env.SUPABASE_URL,
      publishableKey,
      secretKey,
      enforceCostQuotas: env.ENFORCE_COST_QUOTAS,
      enforceE2bQuotas: env.ENFORCE_E2B_QUOTAS,
      defaultModel: env.SPENDGATE_DEFAULT_MODEL,
      /** Tokens that a call may produce when it does not say. */
      defaultMaxOutputTokens: env.SPENDGATE_MAX_OUTPUT_TOKENS,
      /** How often a call is tried again where its provider says that this may help; each try is held anew. */
      maxRetries: env.SPENDGATE_MAX_RETRIES,
      /** Milliseconds that a request's calls of providers may take, all together. Hosted functions end after 150 s. */
      callTimeoutMs: env.SPENDGATE_CALL_TIMEOUT_MS,
      /** Milliseconds that a call goes on, for its exact usage, when its client has gone. */
      disconnectGraceMs: env.SPENDGATE_DISCONNECT_GRACE_MS,
      /** Milliseconds that an answer which is complete waits at most for what it cost. */
      costWaitMs: env.SPENDGATE_COST_WAIT_MS,
      maxBodyBytes: env.SPENDGATE_MAX_BODY_BYTES,
      maxMessages: env.SPENDGATE_MAX_MESSAGES,
      /** Steps that an agent may take at most, whatever it asks for. */
      maxSteps: env.SPENDGATE_MAX_STEPS,
      gateTimeoutMs: env.SPENDGATE_GATE_TIMEOUT_MS,
      compactionModel: env.SPENDGATE_COMPACTION_MODEL,
      /** Share of a model's context above which a conversation is compacted. */
      compactionShare: env.SPENDGATE_COMPACTION_SHARE,
      /** Tells this project's sandboxes from others of the same E2B account. */
      project: env.SPENDGATE_PROJECT ?? env.SUPABASE_URL,
      sandboxTemplate: env.SPENDGATE_SANDBOX_TEMPLATE,
      /** Seconds that a sandbox lives until it is used again, where a request does not say. */
      sandboxTimeoutSeconds: env.SPENDGATE_SANDBOX_TIMEOUT_SECONDS,
      maxSandboxTimeoutSeconds: env.SPENDGATE_SANDBOX_MAX_TIMEOUT_SECONDS,
      /** Seconds after which a sandbox is paused, from when its last run could have ended at the latest. */
      sandboxIdleSeconds: env.SPENDGATE_SANDBOX_IDLE_SECONDS,
      /** Seconds after which a paused sandbox ends. */
      sandboxMaxPausedSeconds: env.SPENDGATE_SANDBOX_MAX_PAUSED_SECONDS,
      /** Milliseconds that a request waits for another one that is starting the same sandbox. */
      sandboxWaitMs: env.SPENDGATE_SANDBOX_WAIT_MS,
      /** Seconds that a run of code may take, where a request does not say, and at most. */
      runSeconds: env.SPENDGATE_RUN_SECONDS,
      maxRunSeconds: env.SPENDGATE_MAX_RUN_SECONDS,
      maxCodeBytes: env.SPENDGATE_MAX_CODE_BYTES,
      /** Bytes that a run may print; then it is stopped. */
      maxOutputBytes: env.SPENDGATE_MAX_OUTPUT_BYTES,
      /** Milliseconds that one call of E2B's API may take. */
      e2bTimeoutMs: env.SPENDGATE_E2B_TIMEOUT_MS,
      alertWebhookUrl: env.ALERT_WEBHOOK_URL,
      alertWebhookSecret: env.ALERT_WEBHOOK_SECRET,
      otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
    };
  });

export type Env = z.output<typeof schema>;

/** @throws Error that names every variable that is missing or wrong. */
export function readEnv(variables: Record<string, string | undefined> = Deno.env.toObject()): Env {
  return parseVariables(schema, variables);
}

/** What `make` makes of the environment, made once: a schema is dear to build and to compile. */
export function perEnv<T>(make: (env: Env) => T): (env: Env) => T {
  const made = new WeakMap<Env, T>();
  return (env) => {
    const kept = made.get(env) ?? make(env);
    made.set(env, kept);
    return kept;
  };
}

/** Empty variables count as not set. @throws Error that names every variable that is missing or wrong. */
export function parseVariables<T extends z.ZodType>(
  variables: T,
  values: Record<string, string | undefined>,
): z.output<T> {
  const set = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
  const result = variables.safeParse(set);
  if (!result.success) {
    const problems = result.error.issues.map(
      (issue) => `${issue.path.join(".")}: ${issue.message}`,
    );
    throw new Error(`The environment is not complete. ${problems.join("; ")}`);
  }
  return result.data;
}
