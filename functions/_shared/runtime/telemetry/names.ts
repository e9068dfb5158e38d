// Every name that telemetry has: spans, attributes, metrics and their units. `gen_ai.*` is by OpenTelemetry's GenAI
// conventions; docs/guides/telemetry.md describes all of them, and a test compares the two.

export const SCOPE = "spendgate";

/** Spans. What stands in braces comes from the request, and is of few kinds. */
export const SPANS = {
  request: "api.{function}",
  authenticate: "authenticate",
  reserve: "quota.reserve",
  extend: "quota.extend",
  settle: "cost.settle",
  sql: "spend.{sql function}",
  model: "{operation} {model}",
  step: "agent.step",
  tool: "execute_tool {tool}",
  compaction: "chat.compaction",
  openContext: "execution_context.get_or_create",
  useContext: "execution_context.use",
  sandbox: "sandbox.{stage}",
  maintenance: "maintenance.run",
  job: "maintenance.job",
  reconcile: "sandbox.reconcile",
  alert: "alert.deliver",
} as const;

/** Attributes of spans and metrics. */
export const ATTRIBUTES = {
  error: "error.type",
  method: "http.request.method",
  status: "http.response.status_code",
  route: "http.route",
  requestId: "spendgate.request.id",
  function: "spendgate.function",
  tenant: "spendgate.tenant.id",
  user: "user.id",
  task: "spendgate.task",
  conversation: "gen_ai.conversation.id",
  reservation: "spendgate.reservation.id",
  cost: "spendgate.cost_usd",
  isEstimated: "spendgate.is_estimated",
  outcome: "spendgate.outcome",
  resourceType: "spendgate.resource_type",
  reason: "spendgate.refusal.reason",
  scope: "spendgate.quota.scope",
  period: "spendgate.quota.period",
  booking: "spendgate.ledger.booking",
  stage: "spendgate.stage",
  step: "spendgate.step",
  context: "spendgate.context.id",
  sandbox: "spendgate.sandbox.id",
  sandboxStatus: "spendgate.sandbox.status",
  job: "spendgate.job",
  alert: "spendgate.alert.id",
  alertKind: "spendgate.alert.kind",
  dbSystem: "db.system.name",
  dbProcedure: "db.stored_procedure.name",
  operation: "gen_ai.operation.name",
  provider: "gen_ai.provider.name",
  requestModel: "gen_ai.request.model",
  maxTokens: "gen_ai.request.max_tokens",
  isStreamed: "gen_ai.request.stream",
  responseModel: "gen_ai.response.model",
  responseId: "gen_ai.response.id",
  finishReasons: "gen_ai.response.finish_reasons",
  firstChunk: "gen_ai.response.time_to_first_chunk",
  inputTokens: "gen_ai.usage.input_tokens",
  outputTokens: "gen_ai.usage.output_tokens",
  cacheReadTokens: "gen_ai.usage.cache_read.input_tokens",
  cacheWriteTokens: "gen_ai.usage.cache_creation.input_tokens",
  reasoningTokens: "gen_ai.usage.reasoning.output_tokens",
  tokenType: "gen_ai.token.type",
  tool: "gen_ai.tool.name",
  toolCall: "gen_ai.tool.call.id",
} as const;

type AttributeKey = keyof typeof ATTRIBUTES;
export type Attributes = { [K in AttributeKey]?: string | number | boolean | string[] | null };

export interface Metric {
  name: string;
  kind: "counter" | "histogram" | "gauge";
  unit: string;
  description: string;
  /** All that it may have: values of each are few. */
  attributes: readonly AttributeKey[];
  /** Bounds of a histogram's buckets. */
  buckets?: number[];
}

/** Bounds that the GenAI conventions give: seconds, and tokens. */
const SECONDS = Array.from({ length: 14 }, (_, power) => Math.round(2 ** power) / 100);
const TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power);
/** A question to the gate takes milliseconds. */
const GATE_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

const CALL = ["operation", "provider", "requestModel"] as const;

export const METRICS = {
  tokens: {
    name: "gen_ai.client.token.usage",
    kind: "histogram",
    unit: "{token}",
    description: "Tokens of a call, as they were charged.",
    attributes: [...CALL, "tokenType"],
    buckets: TOKENS,
  },
  callDuration: {
    name: "gen_ai.client.operation.duration",
    kind: "histogram",
    unit: "s",
    description: "From the start of a call of a model to its end.",
    attributes: [...CALL, "error", "stage"],
    buckets: SECONDS,
  },
  firstChunk: {
    name: "gen_ai.client.operation.time_to_first_chunk",
    kind: "histogram",
    unit: "s",
    description: "From the start of a streamed call to its first chunk.",
    attributes: CALL,
    buckets: SECONDS,
  },
  cost: {
    name: "spendgate.cost",
    kind: "counter",
    unit: "{USD}",
    description: "Cost of calls of models, as they were settled.",
    attributes: ["resourceType", "provider", "requestModel"],
  },
  refusals: {
    name: "spendgate.refusals",
    kind: "counter",
    unit: "{call}",
    description: "Calls and sandboxes that a quota refused.",
    attributes: ["resourceType", "reason", "scope"],
  },
  gateDuration: {
    name: "spendgate.gate.duration",
    kind: "histogram",
    unit: "s",
    description: "One call of an SQL function, over the Data API.",
    attributes: ["dbProcedure", "error"],
    buckets: GATE_SECONDS,
  },
  settleFailures: {
    name: "spendgate.settle.failures",
    kind: "counter",
    unit: "{call}",
    description: "Reservations that could not be settled or released: they expire.",
    attributes: ["outcome", "error"],
  },
  alerts: {
    name: "spendgate.alerts",
    kind: "counter",
    unit: "{alert}",
    description: "Tries to deliver an alert, by outcome: delivered or failed.",
    attributes: ["alertKind", "outcome"],
  },
  sandboxDuration: {
    name: "spendgate.sandbox.operation.duration",
    kind: "histogram",
    unit: "s",
    description: "One stage of a sandbox's life.",
    attributes: ["stage", "error"],
    buckets: SECONDS,
  },
  sandboxOperations: {
    name: "spendgate.sandbox.operations",
    kind: "counter",
    unit: "{operation}",
    description: "Stages that sandboxes came to.",
    attributes: ["stage"],
  },
  sandboxErrors: {
    name: "spendgate.sandbox.errors",
    kind: "counter",
    unit: "{error}",
    description: "Stages that failed.",
    attributes: ["stage", "error"],
  },
} as const satisfies Record<string, Metric>;

/** State that all functions share: the maintenance job alone tells it, from the database. */
export const GAUGES = {
  utilization: {
    name: "spendgate.quota.utilization",
    kind: "gauge",
    unit: "1",
    description:
      "Share of its limit that the fullest quota of a kind has used; above 1 when passed.",
    attributes: ["scope", "resourceType", "period"],
  },
  openReservations: {
    name: "spendgate.reservations.open",
    kind: "gauge",
    unit: "{reservation}",
    description: "Reservations that are held.",
    attributes: ["resourceType"],
  },
  expiredReservations: {
    name: "spendgate.reservations.expired",
    kind: "gauge",
    unit: "{reservation}",
    description: "Reservations of the last day that expired, and were charged at their estimate.",
    attributes: ["resourceType"],
  },
  activeSandboxes: {
    name: "spendgate.sandbox.active",
    kind: "gauge",
    unit: "{sandbox}",
    description: "Sandboxes that are being started, run or are paused.",
    attributes: ["sandboxStatus"],
  },
  ledgerCost: {
    name: "spendgate.ledger.cost",
    kind: "gauge",
    unit: "{USD}",
    description: "Cost of today in the ledger, corrections included.",
    attributes: ["resourceType"],
  },
} as const satisfies Record<string, Metric>;

/**
 * Counters that the database keeps: the maintenance job alone tells them, as they stand there. What is sent twice counts
 * once, and what did not arrive is in the next number.
 */
export const TOTALS = {
  booked: {
    name: "spendgate.ledger.booked",
    kind: "counter",
    unit: "{USD}",
    description: "All that the ledger booked: charges add to what is spent, credits take from it.",
    attributes: ["resourceType", "booking"],
  },
} as const satisfies Record<string, Metric>;

/** Our names of providers that the GenAI conventions name otherwise. */
const PROVIDERS: Record<string, string> = {
  google: "gcp.gemini",
  mistral: "mistral_ai",
  xai: "x_ai",
};

export function providerName(provider: string): string {
  return PROVIDERS[provider] ?? provider;
}

/** Attributes by their full names, without those that are not known. */
export function named(
  attributes: Attributes,
): Record<string, string | number | boolean | string[]> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([key, value]) =>
      value == null ? [] : [[ATTRIBUTES[key as AttributeKey], value]],
    ),
  );
}
