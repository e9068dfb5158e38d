// One delivery of each kind of alert, and of what an alert can be about, as claim_deliveries answers them.
import type { Delivery } from "../../../functions/alerts/alert.ts";
import { deliveryShape } from "../../../functions/alerts/alert.ts";

const TENANT = "6f1c5b7e-0000-4000-8000-000000000001";
const USER = "0d8e9a11-0000-4000-8000-000000000002";

const quota = {
  quota_id: 4,
  scope: "tenant",
  scope_id: TENANT as string | null,
  resource_type: "llm",
  task: null as string | null,
  product: null as string | null,
  period: "month",
  limit_usd: "100.000000000000",
  spent_usd: "80.412345678901",
  reserved_usd: "0.200000000000",
  current_spend_usd: "80.612345678901",
  estimated_cost_usd: "0",
  remaining_usd: "19.387654321099",
  utilization_percent: "80.6",
  period_end: "2026-03-31T22:00:00+00:00" as string | null,
};

interface Sample {
  alert: Record<string, unknown>;
  event?: "trigger" | "resolve";
}

const ofTenant = {
  id: 17,
  tenant_id: TENANT as string | null,
  tenant_name: "Acme GmbH" as string | null,
  tenant_time_zone: "Europe/Berlin" as string | null,
  caused_by_tenant_id: TENANT,
  quota_id: null as number | null,
  period_start: null as string | null,
  threshold: null as number | null,
  subject: null as string | null,
  facts: null as unknown,
  details: null as unknown,
  user_email: null as string | null,
  created_at: "2026-03-02T10:15:00+00:00",
};
const ofQuota = {
  ...ofTenant,
  quota_id: 4,
  period_start: "2026-02-28T23:00:00+00:00",
  threshold: 0.8,
  details: quota,
};
const ofOperator = {
  ...ofTenant,
  tenant_id: null,
  tenant_name: null,
  tenant_time_zone: null,
  caused_by_tenant_id: null,
};

/** Each renders to a file of its name. */
export const SAMPLES: Record<string, Sample> = {
  quota_warning: { alert: { ...ofQuota, kind: "quota_warning" } },
  quota_exceeded: {
    alert: {
      ...ofQuota,
      kind: "quota_exceeded",
      threshold: 1,
      details: {
        ...quota,
        spent_usd: "1250.5",
        current_spend_usd: "1250.5",
        reserved_usd: "0",
        limit_usd: "1250",
        utilization_percent: 100,
      },
    },
  },
  forecast_exceeded: {
    alert: {
      ...ofQuota,
      kind: "forecast_exceeded",
      threshold: 1,
      facts: {
        expected_usd: "131.700000000000",
        exhausted_at: "2026-03-20T04:30:00+00:00",
        method: "rate_of_last_7_days",
      },
    },
  },
  unusual_spend: {
    alert: {
      ...ofTenant,
      kind: "unusual_spend",
      subject: "2026-03-01",
      facts: {
        message: "Spend on 2026-03-01 stands out: $412.7, where such a day usually costs $49.72.",
        subject: "2026-03-01",
        details: {
          day: "2026-03-01",
          cost_usd: "412.7",
          usual_usd: "49.72",
          threshold_usd: "149.16",
        },
      },
    },
  },
  reservations_expired: {
    alert: {
      ...ofTenant,
      kind: "reservations_expired",
      subject: "2026-03-02T10:00Z",
      facts: {
        message:
          "24 calls were not settled in time within an hour. They were charged at their estimates, $0.00003125.",
        subject: "2026-03-02T10:00Z",
        details: { reservations: 24, usd: "0.00003125" },
      },
    },
  },
  settle_failed: {
    alert: {
      ...ofTenant,
      kind: "settle_failed",
      subject: "quota_unavailable",
      facts: {
        message: "A reservation could not be settled: it expires, and is charged at its estimate.",
        subject: "quota_unavailable",
        details: { reservation_id: "7d7e3c52-0000-4000-8000-000000000003", operation: "settle" },
      },
    },
  },
  sandbox_orphaned: {
    alert: {
      ...ofTenant,
      kind: "sandbox_orphaned",
      subject: "sbx_1",
      facts: {
        message: "Sandbox sbx_1 ran without a context: 312 seconds were charged.",
        subject: "sbx_1",
        details: {
          sandbox_id: "sbx_1",
          template: "code-interpreter-v1",
          context_id: null,
          conversation_id: null,
          seconds: 312,
          cost_usd: "0.010296",
        },
      },
    },
  },
  price_missing: {
    alert: {
      ...ofTenant,
      kind: "price_missing",
      subject: "openai/gpt-9",
      facts: {
        message: "There is no price for openai/gpt-9: its calls are refused.",
        subject: "openai/gpt-9",
        details: {},
      },
    },
  },
  verification_failed: {
    alert: {
      ...ofOperator,
      kind: "verification_failed",
      subject: "verify/quota 4",
      facts: {
        problem_id: 3,
        job: "verify",
        subject: "quota 4",
        message: "spent differs from the ledger",
        details: { balance_usd: "12.5", ledger_usd: "12.499999999999", columns: ["spent_usd"] },
      },
    },
  },
  job_failed: {
    alert: {
      ...ofOperator,
      kind: "job_failed",
      subject: "roll_up/job",
      facts: {
        problem_id: 9,
        job: "roll_up",
        subject: "job",
        message: "disk full",
        details: { sqlstate: "53100" },
      },
    },
  },

  // What a quota can be.
  "a user's quota for a model and a task": {
    alert: {
      ...ofQuota,
      kind: "quota_warning",
      threshold: 0.955,
      user_email: "ada@example.com",
      details: {
        ...quota,
        scope: "user",
        scope_id: USER,
        period: "day",
        product: "openai/gpt-4o",
        task: "agent:research",
        limit_usd: "0.000500000000",
        spent_usd: "0.000481239999",
        reserved_usd: "0",
        current_spend_usd: "0.000481239999",
        utilization_percent: 96.2,
        period_end: "2026-03-02T23:00:00+00:00",
      },
    },
  },
  "the platform's lifetime quota": {
    alert: {
      ...ofQuota,
      kind: "quota_exceeded",
      threshold: 1,
      tenant_id: null,
      tenant_name: null,
      tenant_time_zone: null,
      period_start: null,
      details: {
        ...quota,
        scope: "platform",
        scope_id: null,
        resource_type: "all",
        period: "lifetime",
        limit_usd: "1000000",
        spent_usd: "1000000.01",
        current_spend_usd: "1000000.01",
        reserved_usd: "0",
        utilization_percent: 100,
        period_end: null,
      },
    },
  },
  "a call that was refused near the limit": {
    alert: {
      ...ofQuota,
      kind: "quota_exceeded",
      threshold: 0.8,
      details: { ...quota, resource_type: "e2b" },
    },
  },
  "a tenant with a hostile name": {
    alert: {
      ...ofQuota,
      kind: "quota_warning",
      tenant_name: 'Ac\r\nBcc: all@example.com <!channel> & <b onload="x">\u202e*Sons*',
      tenant_time_zone: "Mars/Olympus",
    },
  },
  "a limit that was raised": { event: "resolve", alert: { ...ofQuota, kind: "quota_warning" } },
};

export function sampleOf(name: string, channel: Delivery["channel_kind"]): Delivery {
  const { alert, event = "trigger" } = SAMPLES[name] as Sample;
  return deliveryShape.parse({
    delivery_id: 1,
    event,
    idempotency_key: `alert_17_${channel}${event === "resolve" ? "_resolve" : ""}`,
    channel,
    channel_id: null,
    channel_kind: channel,
    tenant_id: null,
    target: null,
    secret: null,
    attempts: 1,
    alert,
  });
}
