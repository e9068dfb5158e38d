// The environment, read and checked once. What is wrong is said by name, at the first request.
import { z } from "zod";

const flag = z
  .enum(["true", "false"])
  .default("true")
  .transform((value) => value === "true");
const url = z.url().optional();
const key = z.string().min(1).optional();

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
    SPENDGATE_MAX_OUTPUT_TOKENS: z.coerce.number().int().min(1).default(4096),
    SPENDGATE_MAX_BODY_BYTES: z.coerce.number().int().min(1024).default(1_048_576),
    SPENDGATE_GATE_TIMEOUT_MS: z.coerce.number().int().min(100).default(5000),
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
      maxBodyBytes: env.SPENDGATE_MAX_BODY_BYTES,
      gateTimeoutMs: env.SPENDGATE_GATE_TIMEOUT_MS,
      otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
    };
  });

export type Env = z.output<typeof schema>;

/** @throws Error that names every variable that is missing or wrong. */
export function readEnv(variables: Record<string, string | undefined> = Deno.env.toObject()): Env {
  const result = schema.safeParse(variables);
  if (!result.success) {
    const problems = result.error.issues.map(
      (issue) => `${issue.path.join(".")}: ${issue.message}`,
    );
    throw new Error(`The environment is not complete. ${problems.join("; ")}`);
  }
  return result.data;
}
