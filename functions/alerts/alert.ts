// A row of spend.alerts, as claim_alerts answers it.
import { z } from "zod";

export const alerts = z.array(
  z.object({
    id: z.number(),
    tenant_id: z.string().nullable(),
    caused_by_tenant_id: z.string().nullable(),
    period_start: z.string(),
    kind: z.string(),
    threshold: z.number(),
    details: z.looseObject({
      quota_id: z.number(),
      scope: z.string(),
      scope_id: z.string().nullable(),
      resource_type: z.string(),
      period: z.string(),
      limit_usd: z.number(),
      current_spend_usd: z.number(),
      utilization_percent: z.number(),
      period_end: z.string().nullable(),
    }),
    created_at: z.string(),
    attempts: z.number(),
  }),
);
export type Alert = z.output<typeof alerts>[number];
