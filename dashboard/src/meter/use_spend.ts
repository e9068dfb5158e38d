// How much of a person's quota is spent, held and left, for an app of one's own: reads spend.quota_status as that person,
// and what a chat says at its end. Needs React and a supabase-js client; nothing else of the dashboard.
import { useCallback, useEffect, useState } from "react";
import { type QuotaDetails, spendgateError } from "../../../client/errors.ts";

/** What is used of supabase-js, of any schema. */
interface Client {
  auth: { getSession(): Promise<{ data: { session: { user: { id: string } } | null } }> };
  schema(name: string): {
    // biome-ignore lint/suspicious/noExplicitAny: the types of a client are the app's own.
    from(table: string): any;
  };
}

/** A quota as spend.quota_status has it; USD as text, exact. */
export interface SpendQuota {
  quota_id: number;
  scope: string;
  resource_type: string;
  period: string;
  limit_usd: string;
  spent_usd: string;
  reserved_usd: string;
  remaining_usd: string;
  utilization_percent: number;
  warning_threshold: number;
  period_end: string;
}

export interface SpendOptions {
  supabase: Client;
  /** Left out: all tenants of the person, whose fullest quota counts. */
  tenantId?: string;
  /** What the calls are: llm, the default, or e2b. */
  resourceType?: "llm" | "e2b";
  /** `messages` of useChat: what the last answer cost, and a reason to read the quota again. */
  messages?: readonly { parts: readonly { type: string }[] }[];
  /** `error` of useChat, or any other: a 429 says which quota refused. */
  error?: unknown;
  /** Milliseconds between two readings; none while the page is hidden. */
  pollMs?: number;
}

export interface Spend {
  /** ok; near: above the quota's warning threshold; full: the last call was refused, or nothing is left; unknown: not read. */
  state: "ok" | "near" | "full" | "unknown";
  /** The quota that stops the next call: of those that it must fit into, the one with the least left. */
  quota?: SpendQuota;
  /** What refused the last call. */
  refusal?: { message: string; retryAfter?: number; quota?: QuotaDetails };
  /** USD of the last answer, as text; undefined while it is not known. */
  lastCostUsd?: string;
  /** Why nothing could be read; the figures before it stay. */
  readError?: string;
  refresh: () => void;
}

const COLUMNS =
  "quota_id,scope,resource_type,period,limit_usd::text,spent_usd::text,reserved_usd::text,remaining_usd::text," +
  "utilization_percent,warning_threshold,period_end";

export function useSpend({
  supabase,
  tenantId,
  resourceType = "llm",
  messages,
  error,
  pollMs = 30_000,
}: SpendOptions): Spend {
  const [quota, setQuota] = useState<SpendQuota>();
  const [readError, setReadError] = useState<string>();

  const refresh = useCallback(async () => {
    const { data: signedIn } = await supabase.auth.getSession();
    if (!signedIn.session) return;
    let rows = supabase
      .schema("spend")
      .from("quota_status")
      .select(COLUMNS)
      .in("resource_type", [resourceType, "all"])
      .eq("enforcement", "block")
      .is("task", null)
      .is("product", null)
      // An owner sees the quotas of others too.
      .or(`scope.eq.tenant,scope_id.eq.${signedIn.session.user.id}`)
      .order("remaining_usd")
      .limit(1);
    if (tenantId) rows = rows.eq("tenant_id", tenantId);
    const { data, error: failure } = await rows;
    setReadError(failure?.message);
    if (!failure) setQuota(data[0]);
  }, [supabase, tenantId, resourceType]);

  const lastCostUsd = costOf(messages);
  // biome-ignore lint/correctness/useExhaustiveDependencies: an answer or an error has changed the balance.
  useEffect(() => {
    refresh();
    const timer = setInterval(() => document.hidden || refresh(), pollMs);
    return () => clearInterval(timer);
  }, [refresh, pollMs, lastCostUsd, error]);

  const details = error ? spendgateError(error) : undefined;
  const refusal = details?.code === "quota_exceeded" ? details : undefined;
  return { state: stateOf(quota, refusal), quota, refusal, lastCostUsd, readError, refresh };
}

function stateOf(quota: SpendQuota | undefined, refusal: object | undefined): Spend["state"] {
  if (refusal) return "full";
  if (!quota) return "unknown";
  if (quota.utilization_percent >= 100) return "full";
  return quota.utilization_percent >= quota.warning_threshold * 100 ? "near" : "ok";
}

/** The calls of the last answer, from its part data-spendgate; undefined where one is not known. */
function costOf(messages: SpendOptions["messages"]): string | undefined {
  const parts = messages?.at(-1)?.parts ?? [];
  const part = parts.findLast(({ type }) => type === "data-spendgate");
  const calls = (part as { data?: { calls?: { costUsd: string | null }[] } } | undefined)?.data
    ?.calls;
  if (!calls?.length || calls.some(({ costUsd }) => costUsd === null)) return undefined;
  // Picodollars: sums of decimals stay exact.
  const sum = calls.reduce((total, { costUsd }) => total + picodollars(costUsd as string), 0n);
  const digits = sum.toString().padStart(13, "0");
  return `${digits.slice(0, -12)}.${digits.slice(-12)}`.replace(/\.?0+$/, "");
}

function picodollars(usd: string): bigint {
  const [whole = "0", fraction = ""] = usd.split(".");
  return BigInt(whole + fraction.padEnd(12, "0"));
}
