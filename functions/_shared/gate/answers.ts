// What the SQL functions of the gate answer.
import * as z from "zod";

const quotaDetails = z.object({
  quota_id: z.number(),
  scope: z.string(),
  scope_id: z.string().nullable(),
  resource_type: z.string(),
  period: z.string(),
  limit_usd: z.number(),
  current_spend_usd: z.number(),
  estimated_cost_usd: z.number(),
  remaining_usd: z.number(),
  utilization_percent: z.number(),
  period_end: z.string().nullable(),
});
export type QuotaDetails = z.output<typeof quotaDetails>;

export const reserveAnswer = z.object({
  allowed: z.boolean(),
  reservation_id: z.string().nullable(),
  estimated_cost_usd: z.number().nullable(),
  expires_at: z.string().nullable(),
  reason: z.enum(["limit_reached", "in_flight", "exceeds_limit"]).nullable(),
  message: z.string().nullable(),
  retry_after: z.number().int().nullable(),
  quota: quotaDetails.nullable(),
  warnings: z.array(quotaDetails).nullable(),
  replayed: z.boolean().nullable(),
});
export type ReserveAnswer = z.output<typeof reserveAnswer>;

export const settleAnswer = z.object({
  reservation_id: z.string(),
  status: z.enum(["settled", "released", "expired"]),
  cost_usd: z.number(),
  is_estimated: z.boolean(),
});
export type SettleAnswer = z.output<typeof settleAnswer>;

const failure = z.object({
  code: z.string(),
  message: z.string(),
  details: z.string().nullable(),
  hint: z.string().nullable(),
});

/** What reserve_many and settle_many answer: of each element its answer, or its error. */
function answersOf<T extends z.ZodRawShape>(answer: z.ZodObject<T>) {
  return z.array(z.union([z.object({ error: failure }), answer.extend({ error: z.null() })]));
}
export const reserveAnswers = answersOf(reserveAnswer);
export const settleAnswers = answersOf(settleAnswer);
