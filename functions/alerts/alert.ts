// A row that claim_deliveries answers: an alert, and the channel that it goes to.
import * as z from "zod";
import { ALERT_KINDS } from "../_shared/runtime/settings.ts";

export const CHANNEL_KINDS = ["slack", "pagerduty", "email", "webhook"] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

/** USD as its decimals: it is shown, and nobody computes with it. */
const usd = z
  .union([z.string().regex(/^-?\d+(\.\d+)?$/, "is no amount"), z.number()])
  .transform(String);

const quota = z.looseObject({
  quota_id: z.number(),
  scope: z.string(),
  scope_id: z.string().nullable(),
  resource_type: z.string(),
  task: z.string().nullish(),
  product: z.string().nullish(),
  period: z.string(),
  limit_usd: usd,
  spent_usd: usd,
  reserved_usd: usd,
  current_spend_usd: usd,
  utilization_percent: z.coerce.number(),
  period_end: z.string().nullable(),
});

const common = {
  id: z.number(),
  tenant_id: z.string().nullable(),
  tenant_name: z.string().nullish(),
  tenant_time_zone: z.string().nullish(),
  caused_by_tenant_id: z.string().nullable(),
  user_email: z.string().nullish(),
  subject: z.string().nullish(),
  created_at: z.string(),
};

const aboutQuota = {
  ...common,
  quota_id: z.number(),
  /** Null for lifetime quotas. */
  period_start: z.string().nullable(),
  details: quota,
};

const spent = z.object({
  ...aboutQuota,
  kind: z.enum(["quota_warning", "quota_exceeded"]),
  threshold: z.coerce.number(),
});

const forecast = z.object({
  ...aboutQuota,
  kind: z.literal("forecast_exceeded"),
  facts: z.looseObject({
    expected_usd: usd,
    exhausted_at: z.string().nullish(),
    method: z.string().nullish(),
  }),
});

const OF_QUOTAS = ["quota_warning", "quota_exceeded", "forecast_exceeded"] as const;

const other = z.object({
  ...common,
  kind: z.enum(ALERT_KINDS).exclude(OF_QUOTAS),
  facts: z.looseObject({
    message: z.string(),
    subject: z.string().nullish(),
    problem_id: z.number().nullish(),
    job: z.string().nullish(),
    details: z.record(z.string(), z.unknown()).nullish(),
  }),
});

export const alertShape = z.discriminatedUnion("kind", [spent, forecast, other]);
export type Alert = z.output<typeof alertShape>;
export type QuotaAlert = Extract<Alert, { details: unknown }>;
export type OtherAlert = Exclude<Alert, QuotaAlert>;

/** As much as must be known of a row to say that it cannot be delivered. */
const claimed = z.looseObject({
  delivery_id: z.number(),
  event: z.string(),
  idempotency_key: z.string(),
  channel: z.string(),
  channel_kind: z.string(),
  /** Whose channel it is; null for the platform's. */
  tenant_id: z.string().nullable(),
  attempts: z.number(),
  alert: z.looseObject({ id: z.number(), kind: z.string() }),
});
export const claimedShape = z.array(claimed);
export type Claimed = z.output<typeof claimed>;

export const deliveryShape = claimed.extend({
  event: z.enum(["trigger", "resolve"]),
  channel_id: z.number().nullable(),
  channel_kind: z.enum(CHANNEL_KINDS),
  /** Null where the environment has them. */
  target: z.string().nullable(),
  secret: z.string().nullable(),
  alert: alertShape,
});
export type Delivery = z.output<typeof deliveryShape>;
