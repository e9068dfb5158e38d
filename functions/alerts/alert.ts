// A row of spend.alerts, as claim_alerts answers it.
import { z } from "zod";

const common = {
  id: z.number(),
  tenant_id: z.string().nullable(),
  caused_by_tenant_id: z.string().nullable(),
  created_at: z.string(),
  attempts: z.number(),
};

const aboutQuota = z.object({
  ...common,
  kind: z.enum(["warning", "limit"]),
  period_start: z.string(),
  threshold: z.number(),
  details: z.looseObject({
    quota_id: z.number(),
    scope: z.string(),
    scope_id: z.string().nullable(),
    resource_type: z.string(),
    period: z.string(),
    limit_usd: z.number(),
    spent_usd: z.number(),
    reserved_usd: z.number(),
    current_spend_usd: z.number(),
    utilization_percent: z.number(),
    period_end: z.string().nullable(),
  }),
});

const forOperator = z.object({
  ...common,
  kind: z.enum(["verification_failed", "job_failed"]),
  facts: z.looseObject({
    problem_id: z.number(),
    job: z.string(),
    subject: z.string(),
    message: z.string(),
  }),
});

export const alertShape = z.discriminatedUnion("kind", [aboutQuota, forOperator]);
export type Alert = z.output<typeof alertShape>;

/** As much as must be known of a row to say that it cannot be delivered. */
export const claimedShape = z.array(
  z.looseObject({ id: z.number(), kind: z.string(), attempts: z.number() }),
);
export type Claimed = z.output<typeof claimedShape>[number];
