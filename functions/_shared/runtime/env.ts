// The environment, read and checked once, by the table in settings.ts. What is optional and wrong takes nothing else down.
// Keys of providers and of E2B are not in it: see llm/providers/registry.ts and sandbox/e2b.ts.
import { SpendgateError } from "../errors.ts";
import { environment } from "./environment.ts";
import { log, setLogLevel } from "./log.ts";
import {
  ALERTS_AND_TELEMETRY,
  LLM,
  readSettings,
  SANDBOXES,
  type SettingProblem,
  SUPABASE,
} from "./settings.ts";

const SETTINGS = { ...SUPABASE, ...LLM, ...SANDBOXES, ...ALERTS_AND_TELEMETRY };

export type Env = ReturnType<typeof readEnv>;

/**
 * The settings that every function reads, in the units of their names; settings.ts says what each means. What is
 * optional and wrong is logged, once.
 * @throws SpendgateError not_configured, naming what is required and missing or wrong.
 */
export function readEnv(variables: Record<string, string | undefined> = environment()) {
  const { values: env, problems } = readSettings(SETTINGS, variables);
  setLogLevel(env.SPENDGATE_LOG_LEVEL);
  logProblems(problems);
  // A wrong one is not passed over for an older name: that key may have been revoked.
  expectRight(problems, ["SUPABASE_PUBLISHABLE_KEYS", "SUPABASE_SECRET_KEYS", "SUPABASE_JWKS"]);
  const [publishableKey] = keysOf(
    env.SUPABASE_PUBLISHABLE_KEYS,
    env.SUPABASE_PUBLISHABLE_KEY ?? env.SUPABASE_ANON_KEY,
  );
  const secretKeys = keysOf(
    env.SUPABASE_SECRET_KEYS,
    env.SUPABASE_SECRET_KEY ?? env.SUPABASE_SERVICE_ROLE_KEY,
  );
  const [secretKey] = secretKeys;
  const { SUPABASE_URL: supabaseUrl } = env;
  if (!supabaseUrl || !publishableKey || !secretKey) {
    const missing = [
      ...(supabaseUrl ? [] : ["SUPABASE_URL"]),
      ...(publishableKey ? [] : ["SUPABASE_PUBLISHABLE_KEYS"]),
      ...(secretKey ? [] : ["SUPABASE_SECRET_KEYS"]),
    ];
    throw notConfigured(`Missing or wrong: ${missing.join(", ")}.`);
  }
  return {
    supabaseUrl,
    publishableKey,
    /** For our own calls. */
    secretKey,
    /** Each may call us: one can be replaced while another works. */
    secretKeys,
    jwks: env.SUPABASE_JWKS,
    enforceCostQuotas: env.ENFORCE_COST_QUOTAS,
    enforceE2bQuotas: env.ENFORCE_E2B_QUOTAS,
    defaultModel: env.SPENDGATE_DEFAULT_MODEL,
    defaultMaxOutputTokens: env.SPENDGATE_MAX_OUTPUT_TOKENS,
    maxRetries: env.SPENDGATE_MAX_RETRIES,
    callTimeoutMs: env.SPENDGATE_CALL_TIMEOUT_MS,
    disconnectGraceMs: env.SPENDGATE_DISCONNECT_GRACE_MS,
    costWaitMs: env.SPENDGATE_COST_WAIT_MS,
    maxBodyBytes: env.SPENDGATE_MAX_BODY_BYTES,
    maxMessages: env.SPENDGATE_MAX_MESSAGES,
    maxSteps: env.SPENDGATE_MAX_STEPS,
    gateTimeoutMs: env.SPENDGATE_GATE_TIMEOUT_MS,
    compactionModel: env.SPENDGATE_COMPACTION_MODEL,
    compactionShare: env.SPENDGATE_COMPACTION_SHARE,
    project: env.SPENDGATE_PROJECT ?? supabaseUrl,
    sandboxTemplate: env.SPENDGATE_SANDBOX_TEMPLATE,
    sandboxTimeoutSeconds: env.SPENDGATE_SANDBOX_TIMEOUT_SECONDS,
    maxSandboxTimeoutSeconds: env.SPENDGATE_SANDBOX_MAX_TIMEOUT_SECONDS,
    sandboxIdleSeconds: env.SPENDGATE_SANDBOX_IDLE_SECONDS,
    sandboxMaxPausedSeconds: env.SPENDGATE_SANDBOX_MAX_PAUSED_SECONDS,
    sandboxWaitMs: env.SPENDGATE_SANDBOX_WAIT_MS,
    runSeconds: env.SPENDGATE_RUN_SECONDS,
    maxRunSeconds: env.SPENDGATE_MAX_RUN_SECONDS,
    maxCodeBytes: env.SPENDGATE_MAX_CODE_BYTES,
    maxOutputBytes: env.SPENDGATE_MAX_OUTPUT_BYTES,
    e2bTimeoutMs: env.SPENDGATE_E2B_TIMEOUT_MS,
    dashboardUrl: env.DASHBOARD_URL,
    alertKinds: env.ALERT_KINDS,
    alertWebhookUrl: env.ALERT_WEBHOOK_URL,
    alertWebhookSecret: env.ALERT_WEBHOOK_SECRET,
    alertSlackUrl: env.ALERT_SLACK_WEBHOOK_URL,
    pagerDutyRoutingKey: env.ALERT_PAGERDUTY_ROUTING_KEY,
    pagerDutyUrl: env.ALERT_PAGERDUTY_URL,
    alertEmailTo: env.ALERT_EMAIL_TO,
    alertEmailFrom: env.ALERT_EMAIL_FROM,
    smtpUrl: env.ALERT_SMTP_URL,
    resendKey: env.ALERT_RESEND_API_KEY,
    resendUrl: env.ALERT_RESEND_URL,
    allowPrivateAddresses: env.ALERT_ALLOW_PRIVATE_ADDRESSES,
    otelDisabled: env.OTEL_SDK_DISABLED,
    otlpEndpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
    otlpTracesEndpoint: env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    otlpMetricsEndpoint: env.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    tracesExporter: env.OTEL_TRACES_EXPORTER,
    metricsExporter: env.OTEL_METRICS_EXPORTER,
    metricIntervalMs: env.OTEL_METRIC_EXPORT_INTERVAL,
    metricTimeoutMs: env.OTEL_METRIC_EXPORT_TIMEOUT,
    /** What is wrong, for those who cannot do without it: see expectRight. */
    problems,
  };
}

/** Keys of the newest name that is set, the one for our own calls first. Hosted projects keep older ones set, revoked too. */
function keysOf(named: Record<string, string> = {}, unnamed?: string): string[] {
  const { default: own, ...others } = named;
  const keys = [...(own ? [own] : []), ...Object.values(others)];
  return keys.length === 0 && unnamed ? [unnamed] : keys;
}

const logged = new Set<string>();

/** Logs each problem once in a process, which may serve several functions. */
export function logProblems(problems: SettingProblem[]): void {
  for (const problem of problems) {
    if (logged.has(problem.problem)) continue;
    logged.add(problem.problem);
    log("error", "setting_wrong", { ...problem });
  }
}

/**
 * For what cannot be done while one of the variables is wrong.
 * @throws SpendgateError not_configured, naming it.
 */
export function expectRight(problems: SettingProblem[], variables: readonly string[]): void {
  const found = problems.find(({ variable }) => variables.includes(variable));
  if (!found) return;
  throw notConfigured(`${found.variable} is wrong. Allowed: ${found.allowed}.`);
}

export function notConfigured(message: string): SpendgateError {
  return new SpendgateError("not_configured", message, { mayRetry: false });
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
