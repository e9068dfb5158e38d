// All settings, in one table: what each may be, what it is where it is not set, and what it means. env.ts,
// llm/providers/registry.ts and sandbox/e2b.ts read theirs; `npm run docs:settings` writes the tables of
// docs/reference/settings.md and .env.example; npm start says which are wrong.
import * as z from "zod";

export interface Setting<T = unknown> {
  /** Reads the text of the variable. */
  schema: z.ZodType<T>;
  /** What it is where the variable is not set. */
  default: T;
  /** The default in words, where it is no value of ours. */
  defaultIs?: string;
  /** What it may be, in words. */
  allowed: string;
  meaning: string;
  /** Nothing works while it is wrong; without it, see env.ts. */
  isRequired?: boolean;
  /** What it is while the variable is wrong, where that is not the default. */
  whenWrong?: T;
  /** What happens while the variable is wrong, where the default would not be safe. */
  untilRight?: string;
}

export type Settings = Record<string, Setting>;
type Values<S extends Settings> = { [N in keyof S]: S[N] extends Setting<infer T> ? T : never };

type More<T> = Partial<Pick<Setting<T>, "defaultIs" | "isRequired" | "whenWrong" | "untilRight">>;

function optional<T>(
  schema: z.ZodType<T>,
  allowed: string,
  meaning: string,
  more: More<T | undefined> = {},
): Setting<T | undefined> {
  return { schema, default: undefined, allowed, meaning, ...more };
}

const url = z.url({ protocol: /^https?$/ });
const text = z.string().min(1);

function flag(meaning: string, fallback = true): Setting<boolean> {
  const schema = z.enum(["true", "false"]).transform((value) => value === "true");
  return { schema, default: fallback, allowed: "`true`, `false`", meaning };
}

function oneOf<const V extends string>(values: readonly V[], fallback: V, meaning: string) {
  const allowed = values.map((value) => `\`${value}\``).join(", ");
  return { schema: z.enum(values), default: fallback, allowed, meaning } as Setting<V>;
}

/** A count of `unit`s, from `least` on. */
function count(
  unit: string,
  least: number,
  fallback: number,
  meaning: string,
  { most, ...more }: More<number> & { most?: number } = {},
): Setting<number> {
  const range = most === undefined ? `from ${least}` : `${least} to ${most}`;
  return {
    schema: z.coerce
      .number()
      .int()
      .min(least)
      .max(most ?? Number.MAX_SAFE_INTEGER),
    default: fallback,
    allowed: `${unit}, ${range}`,
    meaning,
    ...more,
  };
}

function named(allowed: string, fallback: string, meaning: string): Setting<string> {
  return { schema: text, default: fallback, allowed, meaning };
}

const key = (meaning: string, defaultIs?: string) => optional(text, "key", meaning, { defaultIs });

/** Every kind of spend.alerts. */
export const ALERT_KINDS = [
  "quota_warning",
  "quota_exceeded",
  "forecast_exceeded",
  "unusual_spend",
  "reservations_expired",
  "settle_failed",
  "sandbox_orphaned",
  "price_missing",
  "verification_failed",
  "job_failed",
] as const;
export type AlertKind = (typeof ALERT_KINDS)[number];

/** The longest that a call may be waited for: no runtime of edge functions lives longer. */
const HOUR_MS = 3_600_000;

function json<T extends z.ZodType>(schema: T): z.ZodType<z.output<T>> {
  return z
    .string()
    .transform((value, context) => {
      try {
        return JSON.parse(value);
      } catch {
        context.addIssue({ code: "custom", message: "is not JSON" });
        return z.NEVER;
      }
    })
    .pipe(schema);
}

const jwk = z.looseObject({ kty: z.string(), kid: z.string().optional() });

/** A JWK set, or its keys alone. */
const keySet = json(
  z.union([z.object({ keys: z.array(jwk) }), z.array(jwk).transform((keys) => ({ keys }))]),
);

/** {"default": "sb_secret_…", "cron": "sb_secret_…"} */
const namedKeys = json(z.record(z.string(), text));

const keys = (older: string, meaning: string) =>
  optional(namedKeys, "JSON: name → key", meaning, { defaultIs: older, isRequired: true });

export const SUPABASE = {
  SUPABASE_URL: optional(url, "URL, required", "origin of the project", { isRequired: true }),
  SUPABASE_PUBLISHABLE_KEYS: keys(
    "`SUPABASE_PUBLISHABLE_KEY`",
    "`default`, else the first, is for asking Auth who calls",
  ),
  SUPABASE_PUBLISHABLE_KEY: key("one key, without a name", "`SUPABASE_ANON_KEY`"),
  SUPABASE_ANON_KEY: key("the oldest name"),
  SUPABASE_SECRET_KEYS: keys(
    "`SUPABASE_SECRET_KEY`",
    "each may call; `default`, else the first, is for calling the gate",
  ),
  SUPABASE_SECRET_KEY: key("one key, without a name", "`SUPABASE_SERVICE_ROLE_KEY`"),
  SUPABASE_SERVICE_ROLE_KEY: key("the oldest name"),
  SUPABASE_JWKS: optional(keySet, "JSON: a JWK set", "verifies users' tokens without asking Auth", {
    defaultIs: "Auth's own",
    isRequired: true,
  }),
} satisfies Settings;

const baseUrl = (provider: string, name = provider) =>
  optional(url, "URL", "another endpoint", {
    defaultIs: `${provider}'s`,
    untilRight: `the models of ${name} answer 503`,
  });

/** {"groq": {"baseUrl": "https://…/v1", "apiKeyEnv": "GROQ_API_KEY"}, …} */
const compatibleProviders = z.record(
  z.string().regex(/^[a-z][a-z0-9_-]*$/, "a provider's name is lower case"),
  z.strictObject({ baseUrl: url, apiKeyEnv: z.string().min(1).optional() }),
);

export const PROVIDERS = {
  OPENAI_API_KEY: key("makes OpenAI available"),
  OPENAI_BASE_URL: baseUrl("OpenAI"),
  ANTHROPIC_API_KEY: key("makes Anthropic available"),
  ANTHROPIC_BASE_URL: baseUrl("Anthropic"),
  GOOGLE_GENERATIVE_AI_API_KEY: key("makes Gemini available"),
  GOOGLE_GENERATIVE_AI_BASE_URL: baseUrl("Google"),
  SPENDGATE_PROVIDERS: {
    schema: json(compatibleProviders),
    default: {} as z.output<typeof compatibleProviders>,
    allowed: 'JSON: name → `{"baseUrl", "apiKeyEnv"}`; a name in lower case',
    meaning: "OpenAI-compatible providers; `apiKeyEnv` names the variable with the key",
    untilRight: "the models of the provider that is wrong answer 503",
  },
} satisfies Settings;

export const LLM = {
  ENFORCE_COST_QUOTAS: flag("`false`: reserve, charge and alert, but refuse no call"),
  SPENDGATE_DEFAULT_MODEL: named("model", "openai/gpt-4o-mini", "where a request names none"),
  SPENDGATE_MAX_OUTPUT_TOKENS: count("tokens", 1, 4096, "output bound where a request states none"),
  SPENDGATE_MAX_RETRIES: count("number", 0, 0, "further tries of one call, each reserved anew"),
  SPENDGATE_MAX_STEPS: count("number", 1, 20, "steps of an agent at most, whatever it asks for"),
  SPENDGATE_MAX_BODY_BYTES: count("bytes", 1024, 1_048_576, "larger requests get 413"),
  SPENDGATE_MAX_MESSAGES: count("number", 1, 500, "longer conversations get 400"),
  SPENDGATE_CALL_TIMEOUT_MS: count(
    "milliseconds",
    100,
    140_000,
    "all calls of a request together; hosted functions end after 150 s",
    { most: HOUR_MS },
  ),
  SPENDGATE_DISCONNECT_GRACE_MS: count(
    "milliseconds",
    0,
    3000,
    "a call may go on so long after its client has gone",
    { most: HOUR_MS },
  ),
  SPENDGATE_COST_WAIT_MS: count(
    "milliseconds",
    0,
    1000,
    "a finished answer waits so long for its costs",
  ),
  SPENDGATE_GATE_TIMEOUT_MS: count(
    "milliseconds",
    100,
    5000,
    "one question to the gate or Auth; then 503",
  ),
  SPENDGATE_COMPACTION_MODEL: named("model", "openai/gpt-4o-mini", "summarises long conversations"),
  SPENDGATE_COMPACTION_SHARE: {
    schema: z.coerce.number().positive().max(1),
    default: 0.75,
    allowed: "above 0, up to 1",
    meaning: "share of the model's context above which a conversation is compacted",
  },
} satisfies Settings;

/** Another address than E2B's own: where it is wrong, E2B's own is not what was meant. */
const elsewhere = (allowed: string, schema: z.ZodType<string>, meaning: string) =>
  optional(schema, allowed, meaning, { defaultIs: "E2B's", untilRight: "sandboxes answer 503" });

export const E2B = {
  E2B_API_KEY: key("makes sandboxes available"),
  E2B_API_URL: elsewhere("URL", url, "another API, such as a stand-in"),
  E2B_SANDBOX_URL: elsewhere("URL", url, "another address of the sandboxes themselves"),
  E2B_DOMAIN: elsewhere(
    "domain",
    z.string().regex(/^[\w.-]+(:\d+)?$/, "is no domain"),
    "E2B on a domain of your own",
  ),
} satisfies Settings;

export const SANDBOXES = {
  ENFORCE_E2B_QUOTAS: flag("`false`: reserve, charge and alert, but refuse no sandbox"),
  SPENDGATE_PROJECT: optional(
    text,
    "text",
    "tells this project's sandboxes from others in the same E2B account, and its incidents from others with the same PagerDuty key",
    { defaultIs: "`SUPABASE_URL`" },
  ),
  SPENDGATE_SANDBOX_TEMPLATE: named(
    "template",
    "code-interpreter-v1",
    "where a request names none",
  ),
  SPENDGATE_SANDBOX_TIMEOUT_SECONDS: count(
    "seconds",
    1,
    300,
    "a sandbox lives so long until it is used again",
  ),
  SPENDGATE_SANDBOX_MAX_TIMEOUT_SECONDS: count(
    "seconds",
    1,
    3600,
    "the most that a request may ask for",
  ),
  SPENDGATE_SANDBOX_IDLE_SECONDS: count(
    "seconds",
    0,
    60,
    "a sandbox is paused so long after its last run could have ended; keep it below half of the timeout",
  ),
  SPENDGATE_SANDBOX_MAX_PAUSED_SECONDS: count(
    "seconds",
    60,
    2_592_000,
    "a paused sandbox is kept so long (30 days), then it ends, with its files",
    // What is deleted does not come back.
    { most: 315_360_000, whenWrong: 315_360_000 },
  ),
  SPENDGATE_SANDBOX_WAIT_MS: count(
    "milliseconds",
    0,
    30_000,
    "a request waits so long for another one that is starting the same sandbox",
  ),
  SPENDGATE_RUN_SECONDS: count("seconds", 1, 60, "code may run so long"),
  SPENDGATE_MAX_RUN_SECONDS: count("seconds", 1, 120, "the most that a request may ask for"),
  SPENDGATE_MAX_CODE_BYTES: count("bytes", 1, 200_000, "more code gets 413"),
  SPENDGATE_MAX_OUTPUT_BYTES: count(
    "bytes",
    1,
    1_000_000,
    "more output is cut off, and the code stopped",
  ),
  SPENDGATE_E2B_TIMEOUT_MS: count("milliseconds", 100, 20_000, "one call of E2B's API"),
} satisfies Settings;

/** One address or several, comma separated. */
const addresses = z
  .string()
  .transform((value) => value.split(",").map((address) => address.trim()))
  .pipe(z.array(z.email()).min(1).max(50));

/** `Name <address>`, or the address alone. */
const sender = z.string().regex(/^(?:[^<>\r\n]+ )?<?[^\s<>,@]+@[^\s<>,@]+>?$/, "is no address");

const kinds = z
  .string()
  .transform((value) => value.split(",").map((kind) => kind.trim()))
  .pipe(z.array(z.enum(ALERT_KINDS)).min(1));

/** What alerts cannot be delivered without: nothing is lost while it is wrong. */
const forAlerts = <T>(schema: z.ZodType<T>, allowed: string, meaning: string, defaultIs?: string) =>
  optional(schema, allowed, meaning, { defaultIs, untilRight: "alerts answers 503" });

export const ALERTS_AND_TELEMETRY = {
  DASHBOARD_URL: forAlerts(url, "URL", "where the dashboard is: alerts link to its screens"),
  ALERT_KINDS: forAlerts(
    kinds,
    "kinds, comma separated",
    "which alerts go to the channels below; rows of `spend.alert_channels` have their own",
    "all",
  ),
  ALERT_WEBHOOK_URL: forAlerts(url, "http or https URL", "alerts go there as webhooks"),
  ALERT_WEBHOOK_SECRET: forAlerts(
    text.regex(/^(?!whsec_(?![A-Za-z0-9+/]+=*$))/, "is not base64 after whsec_"),
    "text, or `whsec_…` in base64",
    "signs webhooks",
  ),
  ALERT_SLACK_WEBHOOK_URL: forAlerts(url, "URL", "alerts go to this incoming webhook of Slack"),
  ALERT_PAGERDUTY_ROUTING_KEY: forAlerts(
    z.string().regex(/^[A-Za-z0-9]{32}$/, "is no key of 32 letters and digits"),
    "key of 32 characters",
    "alerts go to this service of PagerDuty (Events API v2)",
  ),
  ALERT_PAGERDUTY_URL: {
    schema: url,
    default: "https://events.pagerduty.com",
    allowed: "URL",
    meaning: "PagerDuty's events, such as `https://events.eu.pagerduty.com`",
    untilRight: "alerts answers 503",
  } as Setting<string>,
  ALERT_EMAIL_TO: forAlerts(addresses, "addresses, comma separated", "alerts go to them by mail"),
  ALERT_EMAIL_FROM: forAlerts(sender, "`Name <address>`, or an address", "sender of mails"),
  ALERT_SMTP_URL: forAlerts(
    z.url({ protocol: /^smtps?$/ }),
    "`smtp://` or `smtps://` URL, with name and password",
    "mails go by this server",
  ),
  ALERT_RESEND_API_KEY: forAlerts(
    text,
    "key",
    "mails go by Resend's API, where there is no `ALERT_SMTP_URL`",
  ),
  ALERT_RESEND_URL: {
    schema: url,
    default: "https://api.resend.com",
    allowed: "URL",
    meaning: "another API that speaks Resend's format",
    untilRight: "alerts answers 503",
  } as Setting<string>,
  ALERT_ALLOW_PRIVATE_ADDRESSES: flag(
    "`true`: tenants' channels may point to private addresses, as on a developer's machine",
    false,
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(url, "URL", "spans and metrics go there (OTLP over HTTP)", {
    untilRight: "no spans and metrics are sent",
  }),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optional(url, "URL, path included", "spans go there", {
    defaultIs: "`…/v1/traces`",
  }),
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: optional(url, "URL, path included", "metrics go there", {
    defaultIs: "`…/v1/metrics`",
  }),
  OTEL_TRACES_EXPORTER: oneOf(["otlp", "none"], "otlp", "`none`: no spans are sent"),
  OTEL_METRICS_EXPORTER: oneOf(["otlp", "none"], "otlp", "`none`: no metrics are sent"),
  OTEL_SDK_DISABLED: flag("`true`: nothing is sent", false),
  OTEL_EXPORTER_OTLP_PROTOCOL: oneOf(
    ["http/json"],
    "http/json",
    "how it is sent; there is no other way",
  ),
  OTEL_METRIC_EXPORT_INTERVAL: count(
    "ms",
    1000,
    60_000,
    "metrics are sent so often, beside those after each answer",
  ),
  OTEL_METRIC_EXPORT_TIMEOUT: count(
    "ms",
    1,
    30_000,
    "sending metrics is given up; at most the interval",
  ),
  SPENDGATE_LOG_LEVEL: oneOf(
    ["debug", "info", "warn", "error"],
    "info",
    "less grave lines are not logged",
  ),
} satisfies Settings;

const port = (fallback: number, meaning: string): Setting<number> => ({
  ...count("port", 1, fallback, meaning, { most: 65_535 }),
  allowed: "port",
});

export const LOCAL_STACK = {
  SPENDGATE_API_PORT: port(54321, "Data API, Auth, functions and dashboard"),
  SPENDGATE_DB_PORT: port(54322, "Postgres"),
  SPENDGATE_PROVIDERS_PORT: port(54325, "stand-in for the model providers"),
  SPENDGATE_SANDBOXES_PORT: port(54326, "stand-in for E2B"),
  SPENDGATE_SANDBOX_RUDENESS: optional(
    json(z.record(z.string(), z.unknown())),
    "JSON of switches",
    "how the stand-in for E2B misbehaves from the start ([sandboxes](../guides/sandboxes.md#what-spendgate-relies-on-of-e2b))",
    { untilRight: "the stand-in behaves" },
  ),
  SPENDGATE_DATA: optional(text, "folder", "data of the database, keys, logs", {
    defaultIs: "`.spendgate`",
  }),
  SPENDGATE_SMTP_URL: optional(
    z.url({ protocol: /^smtps?$/ }),
    "`smtp://` or `smtps://` URL",
    "mail server for one-time codes; with it the dashboard offers to sign in by one",
  ),
  SPENDGATE_CHROMIUM: optional(
    text,
    "file",
    "browser of `npm run screenshots` and of the dashboard's tests",
    { defaultIs: "where it usually is" },
  ),
  SPENDGATE_PG: {
    schema: z.enum(["15", "17", "18"]),
    default: "17",
    allowed: "15, 17, 18",
    meaning: "version of Postgres",
    untilRight: "nothing starts",
  },
} satisfies Settings;

/** The table, as docs/reference/settings.md has it. */
export const SETTING_GROUPS: Record<string, Settings> = {
  Supabase: SUPABASE,
  "Model providers": PROVIDERS,
  "LLM calls": LLM,
  Sandboxes: { ...E2B, ...SANDBOXES },
  "Alerts and telemetry": ALERTS_AND_TELEMETRY,
  "Local stack": LOCAL_STACK,
};

/** A variable that is wrong. Its value is not told: it may be a key. */
export interface SettingProblem {
  variable: string;
  /** `variable`, or a part of its value, and what is wrong with it. */
  problem: string;
  allowed: string;
  /** What to do, and what happens until then. */
  remedy: string;
}

/** The values of settings. Empty counts as not set. One that is wrong is what it is `whenWrong`, or its default. */
export function readSettings<S extends Settings>(
  settings: S,
  values: Record<string, string | undefined>,
): { values: Values<S>; problems: SettingProblem[] } {
  const problems: SettingProblem[] = [];
  const read = Object.entries<Setting>(settings).map(([variable, setting]) => {
    const value = values[variable];
    if (value === undefined || value === "") return [variable, setting.default];
    const parsed = setting.schema.safeParse(value);
    if (parsed.success) return [variable, parsed.data];
    for (const { path, message } of parsed.error.issues) {
      problems.push({
        variable,
        problem: `${[variable, ...path].join(".")}: ${message}`,
        allowed: setting.allowed.replaceAll("`", ""),
        remedy: `Correct ${variable} or remove it; until then ${whatHappens(setting)}.`,
      });
    }
    return [variable, setting.whenWrong ?? setting.default];
  });
  return { values: Object.fromEntries(read) as Values<S>, problems };
}

function whatHappens({ isRequired, untilRight, whenWrong, default: fallback }: Setting): string {
  if (isRequired) return "every function answers 503";
  return untilRight ?? `it is ${whenWrong ?? fallback ?? "not set"}`;
}

/** A problem in one line. */
export function describeProblem({ problem, allowed, remedy }: SettingProblem): string {
  return `${problem}. Allowed: ${allowed}. ${remedy}`;
}
