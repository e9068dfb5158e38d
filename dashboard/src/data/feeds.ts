// What each screen reads, and how often. Money is cast to text: it stays exact.
import { queryOptions } from "@tanstack/react-query";
import type { Usd } from "../lib/money.ts";
import type { Bucket, Day } from "../lib/time.ts";
import { answerOf, rpc, rpcAll, rpcOne, spend } from "./client.ts";

const SECOND = 1000;
/** TanStack Query pauses polling while the page is hidden. */
export const POLL = { holds: 5 * SECOND, quotas: 15 * SECOND, reports: 60 * SECOND };

export interface Tenant {
  tenant_id: string;
  name: string;
  /** Null for an operator who looks at a tenant that he is no member of. */
  role: "owner" | "admin" | "member" | null;
  time_zone: string;
  plan_id: string;
  closed_at: string | null;
}

export interface Identity {
  user_id: string;
  operator_role: "viewer" | "editor" | null;
  tenants: Tenant[];
}

export const identityQuery = (userId: string) =>
  queryOptions({
    queryKey: ["identity", userId],
    queryFn: async () => {
      const [identity] = [await rpcOne<Identity | Identity[]>("whoami", {})].flat();
      return identity as Identity;
    },
    staleTime: 5 * 60 * SECOND,
  });

/** A tenant as an operator opens it; null when there is none that the reader may see. */
export const tenantQuery = (tenantId: string) =>
  queryOptions({
    queryKey: ["tenant", tenantId],
    queryFn: async (): Promise<Tenant | null> => {
      const [row] = await answerOf<Record<string, string | null>[]>(
        spend().from("tenants").select("id,name,time_zone,plan_id,closed_at").eq("id", tenantId),
      );
      return row ? ({ ...row, tenant_id: row.id, role: null } as unknown as Tenant) : null;
    },
    staleTime: 5 * 60 * SECOND,
  });

/** Names of tenants by id. */
export const tenantNamesQuery = (ids: string[]) =>
  queryOptions({
    queryKey: ["tenant names", ...ids],
    queryFn: async () => {
      const rows = await answerOf<{ id: string; name: string }[]>(
        spend().from("tenants").select("id,name").in("id", ids),
      );
      return Object.fromEntries(rows.map(({ id, name }) => [id, name]));
    },
    enabled: ids.length > 0,
    staleTime: 5 * 60 * SECOND,
  });

/** E-mail addresses by user id, of those whose address the reader may know. */
export const userEmailsQuery = (ids: string[]) =>
  queryOptions({
    queryKey: ["user emails", ...ids],
    queryFn: async () => {
      const rows = await rpc<{ user_id: string; email: string }>(
        "user_emails",
        { user_ids: ids },
        "user_id,email",
      );
      return new Map(rows.map(({ user_id, email }) => [user_id, email]));
    },
    enabled: ids.length > 0,
    staleTime: 5 * 60 * SECOND,
  });

export interface Quota {
  quota_id: number;
  scope: "platform" | "tenant" | "user";
  tenant_id: string | null;
  scope_id: string | null;
  resource_type: "llm" | "e2b" | "all";
  period: "hour" | "day" | "week" | "month" | "lifetime";
  task: string | null;
  product: string | null;
  enforcement: "block" | "observe";
  /** Shares of the limit, the lowest first. */
  warning_thresholds: number[];
  source: "plan" | "manual";
  limit_usd: Usd;
  spent_usd: Usd;
  reserved_usd: Usd;
  remaining_usd: Usd;
  utilization_percent: number;
  period_start: string;
  period_end: string;
}

const QUOTA =
  "quota_id,scope,tenant_id,scope_id,resource_type,period,task,product,enforcement,warning_thresholds,source," +
  "limit_usd::text,spent_usd::text,reserved_usd::text,remaining_usd::text,utilization_percent,period_start,period_end";

/** The tenant's own quotas, and the reader's. */
export const quotasQuery = (tenantId: string, userId: string) =>
  queryOptions({
    queryKey: ["quotas", tenantId, userId],
    queryFn: () =>
      answerOf<Quota[]>(
        spend()
          .from("quota_status")
          .select(QUOTA)
          .eq("tenant_id", tenantId)
          .in("scope_id", [tenantId, userId])
          .order("quota_id") as never,
      ),
    refetchInterval: POLL.quotas,
  });

/** One quota of a tenant, where the reader may see it: an address names it. */
export const quotaQuery = (tenantId: string, quotaId: number | undefined) =>
  queryOptions({
    queryKey: ["quotas", tenantId, "one", quotaId ?? null],
    queryFn: () =>
      answerOf<Quota[]>(
        spend()
          .from("quota_status")
          .select(QUOTA)
          .eq("tenant_id", tenantId)
          .eq("quota_id", quotaId as number) as never,
      ),
    enabled: quotaId !== undefined,
    refetchInterval: POLL.quotas,
  });

export const platformQuotasQuery = () =>
  queryOptions({
    queryKey: ["quotas", "platform"],
    queryFn: () =>
      answerOf<Quota[]>(
        spend()
          .from("quota_status")
          .select(QUOTA)
          .eq("scope", "platform")
          .order("quota_id") as never,
      ),
    refetchInterval: POLL.quotas,
  });

export const userQuotasQuery = (tenantId: string, userIds: string[]) =>
  queryOptions({
    queryKey: ["quotas", tenantId, "users", ...userIds],
    queryFn: () =>
      answerOf<Quota[]>(
        spend()
          .from("quota_status")
          .select(QUOTA)
          .eq("tenant_id", tenantId)
          .eq("scope", "user")
          .in("scope_id", userIds)
          .order("quota_id") as never,
      ),
    enabled: userIds.length > 0,
    refetchInterval: POLL.quotas,
  });

export interface Forecast {
  quota_id: number;
  expected_usd: Usd | null;
  exhausted_at: string | null;
  usd_per_hour: Usd | null;
  method: "rate_of_last_7_days" | "rate_since_first_spend" | "too_little_history";
}

export const forecastQuery = (tenantId: string | null) =>
  queryOptions({
    queryKey: ["forecast", tenantId],
    queryFn: () =>
      rpc<Forecast>(
        "quota_forecast",
        { tenant_id: tenantId },
        "quota_id,expected_usd::text,exhausted_at,usd_per_hour::text,method",
      ),
    refetchInterval: POLL.reports,
  });

export const GROUPS = ["product", "provider", "user", "task", "resource_type"] as const;
export type Group = (typeof GROUPS)[number];

export interface SeriesRequest {
  bucket: Bucket;
  tenant_id: string | null;
  from_day?: Day;
  to_day?: Day;
  group_by?: Group | null;
  top?: number;
  user_id?: string | null;
}

export interface SeriesRow {
  starts_at: string;
  key: string | null;
  is_other: boolean;
  cost_usd: Usd;
  calls: number;
}

export const seriesQuery = (request: SeriesRequest) =>
  queryOptions({
    queryKey: ["series", request],
    queryFn: () =>
      rpcAll<SeriesRow>("cost_series", request, "starts_at,key,is_other,cost_usd::text,calls"),
    refetchInterval: POLL.reports,
  });

export interface Call {
  tenant_id: string;
  id: string;
  user_id: string | null;
  resource_type: "llm" | "e2b";
  provider: string;
  product: string;
  task: string;
  conversation_id: string | null;
  status: "held" | "settled" | "released" | "expired";
  estimated_cost_usd: Usd;
  actual_cost_usd: Usd | null;
  is_estimated: boolean;
  release_reason: string | null;
  usage_estimate: Record<string, unknown>;
  created_at: string;
  expires_at: string;
  ended_at: string | null;
}

const CALL =
  "tenant_id,id,user_id,resource_type,provider,product,task,conversation_id,status,estimated_cost_usd::text," +
  "actual_cost_usd::text,is_estimated,release_reason,usage_estimate,created_at,expires_at,ended_at";

export interface CallsRequest {
  tenant_id: string | null;
  user_id?: string;
  status?: Call["status"];
  product?: string;
  before?: string;
  top?: number;
}

export const callsQuery = (request: CallsRequest) =>
  queryOptions({
    queryKey: ["calls", request],
    queryFn: () => rpc<Call>("latest_calls", request, CALL),
    refetchInterval: POLL.quotas,
  });

export const callQuery = (tenantId: string, id: string) =>
  queryOptions({
    queryKey: ["call", tenantId, id],
    queryFn: async () => {
      const [call] = await answerOf<Call[]>(
        spend().from("reservations").select(CALL).eq("tenant_id", tenantId).eq("id", id) as never,
      );
      return call ?? null;
    },
  });

export interface PriceLine {
  meter: string;
  units: number;
  usd: Usd | null;
  unit_size: number;
  amount_usd: Usd | null;
}

export interface Booking {
  id: number;
  kind: "charge" | "correction" | "expiry";
  booked_at: string;
  cost_usd: Usd;
  usage: Record<string, unknown> | null;
  is_estimated: boolean;
}

/** The bookings of a call, oldest first. */
export const bookingsQuery = (call: Call) =>
  queryOptions({
    queryKey: ["bookings", call.id, call.status],
    queryFn: () =>
      answerOf<Booking[]>(
        spend()
          .from("cost_events")
          .select("id,kind,booked_at,cost_usd::text,usage,is_estimated")
          .eq("tenant_id", call.tenant_id)
          .eq("occurred_at", call.created_at)
          .eq("reservation_id", call.id)
          .order("id") as never,
      ),
  });

export const priceLinesQuery = (call: Call, usage: Record<string, unknown> | null) =>
  queryOptions({
    queryKey: ["price lines", call.id, usage],
    queryFn: () =>
      rpc<PriceLine>(
        "explain_cost",
        { provider: call.provider, product: call.product, usage, at: call.created_at },
        "meter,units,usd::text,unit_size,amount_usd::text",
      ),
    enabled: usage !== null,
    staleTime: Number.POSITIVE_INFINITY,
  });

export interface Member {
  user_id: string;
  email: string | null;
  role: "owner" | "admin" | "member";
  today_usd: Usd;
  month_usd: Usd;
  previous_month_usd: Usd;
  previous_month_to_date_usd: Usd;
  total: number;
}

export const membersQuery = (tenantId: string, search = "", top = 50, skip = 0) =>
  queryOptions({
    queryKey: ["members", tenantId, search, top, skip],
    queryFn: () =>
      rpc<Member>(
        "member_overview",
        { tenant_id: tenantId, search: search || null, top, skip },
        "user_id,email,role,today_usd::text,month_usd::text,previous_month_usd::text,previous_month_to_date_usd::text,total",
      ),
    refetchInterval: POLL.reports,
  });

export interface UserLimit {
  tenant_id: string;
  user_id: string;
  resource_type: Quota["resource_type"];
  period: Quota["period"];
  /** Null removes the user's own limit. */
  limit_usd: Usd | null;
  warning_thresholds?: number[];
}

export const setUserQuota = (limit: UserLimit) => rpcOne<number>("set_user_quota", limit);

/** Those about a tenant's spend, then those about the operation, which are for operators alone. */
export const TENANT_ALERT_KINDS = [
  "quota_warning",
  "quota_exceeded",
  "forecast_exceeded",
  "unusual_spend",
  "reservations_expired",
] as const;
export const ALERT_KINDS = [
  ...TENANT_ALERT_KINDS,
  "settle_failed",
  "sandbox_orphaned",
  "price_missing",
  "verification_failed",
  "job_failed",
] as const;
export type AlertKind = (typeof ALERT_KINDS)[number];

export interface Alert {
  id: number;
  tenant_id: string | null;
  quota_id: number | null;
  kind: AlertKind;
  threshold: number | null;
  details: {
    scope: Quota["scope"];
    scope_id: string | null;
    resource_type: Quota["resource_type"];
    period: Quota["period"];
    /** Null or "infinity" for a lifetime. */
    period_end: string | null;
  } | null;
  limit_usd: Usd | null;
  facts: { message?: string; expected_usd?: Usd; exhausted_at?: string | null } | null;
  created_at: string;
  ended_at: string | null;
  /** Null: not handed to channels yet. */
  routed_at: string | null;
  acknowledged_at: string | null;
  acknowledged_by: string | null;
}

export const alertsQuery = (tenantId: string | null, before?: number, top = 25) =>
  queryOptions({
    queryKey: ["alerts", tenantId, before, top],
    queryFn: () => {
      let rows = spend()
        .from("alerts")
        .select(
          "id,tenant_id,quota_id,kind,threshold,details,limit_usd::text,facts,created_at,ended_at,routed_at,acknowledged_at,acknowledged_by",
        )
        .order("id", { ascending: false })
        .limit(top);
      if (tenantId) rows = rows.eq("tenant_id", tenantId);
      if (before) rows = rows.lt("id", before);
      return answerOf<Alert[]>(rows as never);
    },
    refetchInterval: POLL.reports,
  });

export interface Delivery {
  id: number;
  alert_id: number;
  channel: string;
  event: "trigger" | "resolve";
  attempts: number;
  next_attempt_at: string;
  delivered_at: string | null;
  ended_at: string | null;
  is_given_up: boolean;
  last_error: string | null;
}

/** What became of alerts at each channel; of a tenant's channels, where the reader is no operator. */
export const deliveriesQuery = (alertIds: number[]) =>
  queryOptions({
    queryKey: ["deliveries", ...alertIds],
    queryFn: () =>
      answerOf<Delivery[]>(
        spend()
          .from("alert_deliveries")
          .select(
            "id,alert_id,channel,event,attempts,next_attempt_at,delivered_at,ended_at,is_given_up,last_error",
          )
          .in("alert_id", alertIds)
          .order("id") as never,
      ),
    enabled: alertIds.length > 0,
    refetchInterval: POLL.reports,
  });

export const acknowledgeAlert = (alertId: number) =>
  rpcOne<unknown>("acknowledge_alert", { alert_id: alertId });

export interface Mute {
  id: number;
  tenant_id: string | null;
  kind: AlertKind | null;
  quota_id: number | null;
  until: string;
  created_by: string | null;
}

/** What keeps channels of a tenant (null: of the platform) silent now. */
export const mutesQuery = (tenantId: string | null) =>
  queryOptions({
    queryKey: ["mutes", tenantId],
    queryFn: () =>
      answerOf<Mute[]>(
        spend()
          .from("alert_mutes")
          .select("id,tenant_id,kind,quota_id,until,created_by")
          .filter("tenant_id", tenantId ? "eq" : "is", tenantId)
          .gt("until", new Date().toISOString())
          .order("until") as never,
      ),
    refetchInterval: POLL.reports,
  });

export type QuotaName = Pick<
  Quota,
  "scope" | "scope_id" | "tenant_id" | "resource_type" | "period" | "task" | "product"
> & { id: number };

/** What limits are called; those that are gone are left out. */
export const quotaNamesQuery = (ids: number[]) =>
  queryOptions({
    queryKey: ["quota names", ...ids],
    queryFn: () =>
      answerOf<QuotaName[]>(
        spend()
          .from("cost_quotas")
          .select("id,scope,scope_id,tenant_id,resource_type,period,task,product")
          .in("id", ids) as never,
      ),
    enabled: ids.length > 0,
    staleTime: 5 * 60 * SECOND,
  });

export const muteAlerts = (mute: Omit<Mute, "id" | "created_by">) =>
  rpcOne<unknown>("mute_alerts", mute);

export const unmuteAlerts = (muteId: number) =>
  rpcOne<unknown>("unmute_alerts", { mute_id: muteId });

export const CHANNEL_KINDS = ["slack", "pagerduty", "email", "webhook"] as const;
export const ALERT_SCOPES = ["platform", "tenant", "user", "operator"] as const;

export interface Channel {
  id: number;
  tenant_id: string | null;
  kind: (typeof CHANNEL_KINDS)[number];
  name: string;
  /** Null: all. */
  kinds: AlertKind[] | null;
  scopes: (typeof ALERT_SCOPES)[number][] | null;
  quiet_minutes: number;
  is_enabled: boolean;
  /** As much of the target as may be shown. */
  target_hint: string;
}

/** A tenant's channels, or the platform's. */
export const channelsQuery = (tenantId: string | null) =>
  queryOptions({
    queryKey: ["channels", tenantId],
    queryFn: () =>
      answerOf<Channel[]>(
        spend()
          .from("alert_channels")
          .select("id,tenant_id,kind,name,kinds,scopes,quiet_minutes,is_enabled,target_hint")
          .filter("tenant_id", tenantId ? "eq" : "is", tenantId)
          .order("name")
          .order("id") as never,
      ),
    refetchInterval: POLL.reports,
  });

/** What is left out stays as it is; an empty list of kinds or scopes takes all. Target and secret are never read again. */
export type ChannelEdit = Pick<Channel, "tenant_id" | "kind" | "name"> &
  Partial<Pick<Channel, "quiet_minutes" | "is_enabled">> & {
    kinds?: AlertKind[];
    scopes?: (typeof ALERT_SCOPES)[number][];
    target?: string;
    secret?: string;
  };

export const saveChannel = (channel: ChannelEdit) => rpcOne<unknown>("save_alert_channel", channel);

export const deleteChannel = (channelId: number) =>
  rpcOne<boolean>("delete_alert_channel", { channel_id: channelId });

export interface Change {
  id: number;
  tenant_id: string | null;
  changed_at: string;
  table_name: string;
  command: "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE";
  row_key: Record<string, unknown> | null;
  old_row: Record<string, unknown> | null;
  new_row: Record<string, unknown> | null;
  user_id: string | null;
  role_name: string;
}

export const changesQuery = (tenantId: string | null, before?: number, top = 25) =>
  queryOptions({
    queryKey: ["changes", tenantId, before, top],
    queryFn: () => {
      let rows = spend()
        .from("audit_log")
        .select(
          "id,tenant_id,changed_at,table_name,command,row_key,old_row,new_row,user_id,role_name",
        )
        .order("id", { ascending: false })
        .limit(top);
      if (tenantId) rows = rows.eq("tenant_id", tenantId);
      if (before) rows = rows.lt("id", before);
      return answerOf<Change[]>(rows as never);
    },
    refetchInterval: POLL.reports,
  });

// What operators read.

export const FLEET_ORDERS = ["month_usd", "name", "utilization"] as const;
export type FleetOrder = (typeof FLEET_ORDERS)[number];

export interface FleetRow {
  tenant_id: string;
  name: string;
  plan_id: string;
  time_zone: string;
  closed_at: string | null;
  members: number;
  month_usd: Usd;
  worst_percent: number | null;
  worst_quota_id: number | null;
  total: number;
  as_of: string | null;
}

export const fleetQuery = (search: string, orderBy: FleetOrder, top: number, skip: number) =>
  queryOptions({
    queryKey: ["fleet", search, orderBy, top, skip],
    queryFn: () =>
      rpc<FleetRow>(
        "fleet",
        { search: search || null, order_by: orderBy, top, skip },
        "tenant_id,name,plan_id,time_zone,closed_at,members,month_usd::text,worst_percent,worst_quota_id,total,as_of",
      ),
    refetchInterval: POLL.reports,
  });

export type NearLimit = Pick<
  Quota,
  | "quota_id"
  | "scope"
  | "tenant_id"
  | "scope_id"
  | "resource_type"
  | "period"
  | "task"
  | "product"
  | "enforcement"
  | "limit_usd"
  | "spent_usd"
  | "reserved_usd"
  | "utilization_percent"
  | "period_end"
> & { tenant_name: string | null; user_email: string | null; total: number };

export const nearLimitQuery = (atLeast: number, top: number, skip: number) =>
  queryOptions({
    queryKey: ["near limit", atLeast, top, skip],
    queryFn: () =>
      rpc<NearLimit>(
        "quotas_near_limit",
        { at_least: atLeast, top, skip },
        "quota_id,scope,tenant_id,tenant_name,scope_id,resource_type,period,task,product,enforcement,limit_usd::text," +
          "spent_usd::text,reserved_usd::text,utilization_percent,period_end,user_email,total",
      ),
    refetchInterval: POLL.quotas,
  });

export type Hold = Pick<
  Call,
  | "tenant_id"
  | "user_id"
  | "resource_type"
  | "provider"
  | "product"
  | "task"
  | "estimated_cost_usd"
  | "created_at"
  | "expires_at"
> & { reservation_id: string; tenant_name: string; total: number };

export const holdsQuery = (top: number, skip: number) =>
  queryOptions({
    queryKey: ["holds", top, skip],
    queryFn: () =>
      rpc<Hold>(
        "open_holds",
        { top, skip },
        "tenant_id,tenant_name,reservation_id,user_id,resource_type,provider,product,task,estimated_cost_usd::text,created_at,expires_at,total",
      ),
    refetchInterval: POLL.holds,
  });

export const releaseHold = (reservationId: string, reason: string) =>
  rpcOne<unknown>("release_hold", { reservation_id: reservationId, reason });

export interface Sandbox {
  tenant_id: string;
  id: string;
  user_id: string | null;
  conversation_id: string;
  template: string;
  status: "creating" | "running" | "paused";
  runs: number;
  started_at: string | null;
  expires_at: string | null;
}

export const sandboxesQuery = (top: number, skip: number) =>
  queryOptions({
    queryKey: ["sandboxes", top, skip],
    queryFn: () =>
      answerOf<Sandbox[]>(
        spend()
          .from("execution_contexts")
          .select("tenant_id,id,user_id,conversation_id,template,status,runs,started_at,expires_at")
          .in("status", ["creating", "running"])
          .order("created_at", { ascending: false })
          .range(skip, skip + top - 1) as never,
      ),
    refetchInterval: POLL.holds,
  });

export interface Repriced {
  tenant_id: string;
  calls: number;
  booked_usd: Usd;
  right_usd: Usd;
  difference_usd: Usd;
}

/** What a correction of calls between two moments would book; books nothing. */
export const repriceQuery = (price: Price, from: string, to: string) =>
  queryOptions({
    queryKey: ["reprice", price.provider, price.product, from, to],
    queryFn: () =>
      rpc<Repriced>(
        "preview_reprice",
        { provider: price.provider, product: price.product, from_time: from, to_time: to },
        "tenant_id,calls,booked_usd::text,right_usd::text,difference_usd::text",
      ),
  });

export interface Refusals {
  tenant_id: string;
  hour: string;
  quota_id: number;
  scope: Quota["scope"];
  user_id: string | null;
  reason: "limit_reached" | "in_flight" | "exceeds_limit";
  refusals: number;
  last_at: string;
  last_estimated_cost_usd: Usd;
  last_limit_usd: Usd | null;
}

export const refusalsQuery = (since: string, skip: number, top: number, tenantId?: string) =>
  queryOptions({
    queryKey: ["refusals", since, skip, top, tenantId],
    queryFn: () => {
      let rows = spend()
        .from("refusals_by_hour")
        .select(
          "tenant_id,hour,quota_id,scope,user_id,reason,refusals,last_at,last_estimated_cost_usd::text,last_limit_usd::text",
        )
        .gte("hour", since)
        .order("hour", { ascending: false })
        .order("refusals", { ascending: false })
        .order("quota_id")
        .range(skip, skip + top - 1);
      if (tenantId) rows = rows.eq("tenant_id", tenantId);
      return answerOf<Refusals[]>(rows as never);
    },
    refetchInterval: POLL.reports,
  });

export interface UnusualDay {
  tenant_id: string;
  day: Day;
  cost_usd: Usd;
  usual_usd: Usd;
  threshold_usd: Usd;
  as_of: string;
  total: number;
}

export const unusualQuery = (days: number, factor: number, top: number, skip: number) =>
  queryOptions({
    queryKey: ["unusual", days, factor, top, skip],
    queryFn: () =>
      rpc<UnusualDay>(
        "unusual_spend",
        { days, factor, top, skip },
        "tenant_id,day,cost_usd::text,usual_usd::text,threshold_usd::text,as_of,total",
      ),
    refetchInterval: 5 * POLL.reports,
  });

export interface PlanQuota {
  plan_id: string;
  scope: "tenant" | "user";
  resource_type: Quota["resource_type"];
  period: Quota["period"];
  limit_usd: Usd;
  warning_thresholds: number[];
}

export interface Plan {
  id: string;
  name: string;
  quotas: PlanQuota[];
  tenants: number;
}

export const plansQuery = () =>
  queryOptions({
    queryKey: ["plans"],
    queryFn: async (): Promise<Plan[]> => {
      const [plans, quotas] = await Promise.all([
        answerOf<{ id: string; name: string }[]>(
          spend().from("plans").select("id,name").order("id"),
        ),
        answerOf<PlanQuota[]>(
          spend()
            .from("plan_quotas")
            .select("plan_id,scope,resource_type,period,limit_usd::text,warning_thresholds")
            .order("scope")
            .order("resource_type")
            .order("period") as never,
        ),
      ]);
      return Promise.all(
        plans.map(async (plan) => ({
          ...plan,
          quotas: quotas.filter(({ plan_id }) => plan_id === plan.id),
          tenants: await countTenants(plan.id),
        })),
      );
    },
  });

async function countTenants(planId: string): Promise<number> {
  const answer = await spend()
    .from("tenants")
    .select("id", { count: "exact", head: true })
    .eq("plan_id", planId);
  await answerOf(Promise.resolve(answer as never));
  return answer.count ?? 0;
}

export type QuotaEdit = Partial<Pick<Quota, "limit_usd" | "warning_thresholds" | "enforcement">>;

export const changeQuota = (quotaId: number, edit: QuotaEdit) =>
  rpcOne<unknown>("change_quota", { quota_id: quotaId, ...edit });

export const changePlanQuota = (
  { plan_id, scope, resource_type, period }: PlanQuota,
  edit: Pick<PlanQuota, "limit_usd"> & Partial<Pick<PlanQuota, "warning_thresholds">>,
) => rpcOne<unknown>("change_plan_quota", { plan_id, scope, resource_type, period, ...edit });

export interface Price {
  price_id: number;
  resource_type: "llm" | "e2b";
  provider: string;
  product: string;
  meter: string;
  usd: Usd;
  unit_size: number;
  tier_from: number;
  service_tier: string;
  tenant_id: string | null;
  effective_from: string;
  changes_at: string | null;
  note: string | null;
}

export const pricesQuery = (search: string, skip: number, top: number) =>
  queryOptions({
    queryKey: ["prices", search, skip, top],
    queryFn: () => {
      let rows = spend()
        .from("current_prices")
        .select(
          "price_id,resource_type,provider,product,meter,usd::text,unit_size,tier_from,service_tier,tenant_id,effective_from,changes_at,note",
        )
        .order("provider")
        .order("product")
        .order("service_tier")
        .order("tier_from")
        .order("meter")
        .order("price_id")
        .range(skip, skip + top - 1);
      // What has a meaning in a filter is left out of what is searched for.
      const words = search.replace(/[^\p{L}\p{N}.\-_/ ]/gu, "").trim();
      const [provider, product] = words.split("/", 2);
      if (product !== undefined)
        rows = rows.eq("provider", provider).ilike("product", `%${product}%`);
      else if (words) rows = rows.or(`provider.ilike.*${words}*,product.ilike.*${words}*`);
      return answerOf<Price[]>(rows as never);
    },
  });

export interface PriceVersion {
  id: number;
  usd: Usd;
  unit_size: number;
  effective_from: string;
  revision: number;
  note: string | null;
  first_used_at: string | null;
}

/** Every price that a meter of a product has had, or is going to have; newest first. */
export const priceHistoryQuery = (price: Price) =>
  queryOptions({
    queryKey: ["price history", price.price_id],
    queryFn: () => {
      const { resource_type, provider, product, meter, tier_from, service_tier, tenant_id } = price;
      return answerOf<PriceVersion[]>(
        spend()
          .from("prices")
          .select("id,usd::text,unit_size,effective_from,revision,note,first_used_at")
          .match({ resource_type, provider, product, meter, tier_from, service_tier })
          .filter("tenant_id", tenant_id ? "eq" : "is", tenant_id)
          .order("effective_from", { ascending: false })
          .order("revision", { ascending: false })
          .limit(100) as never,
      );
    },
  });

export const addPrice = (
  { resource_type, provider, product, meter, unit_size, tier_from, service_tier, tenant_id }: Price,
  change: { usd: Usd; effective_from: string | null; note: string | null },
) =>
  rpcOne<number>("add_price", {
    resource_type,
    provider,
    product,
    meter,
    unit_size,
    tier_from,
    service_tier,
    tenant_id,
    ...change,
  });

export interface PricePreview {
  before_usd: Usd;
  after_usd: Usd;
  /** The new price divided by the old one; null where that is nothing. */
  times: number | null;
  /** Ten times the old price or more, or a tenth or less. */
  is_odd: boolean;
}

/** What so many units of a price's meter cost now, and at another price. Changes nothing. */
export async function previewPrice(price: Price, usd: Usd, units: number): Promise<PricePreview> {
  const [preview] = await rpc<PricePreview>(
    "preview_price",
    { price_id: price.price_id, usd, units },
    "before_usd::text,after_usd::text,times,is_odd",
  );
  return preview as PricePreview;
}

export interface Health {
  contract_version: string | number;
  maintenance: {
    is_running: boolean;
    scheduled_by: string | null;
    last_run_at: string | null;
    late_jobs: string[];
    open_problems: number;
    unrolled_events: number;
    unrolled_since: string | null;
    remedy: string | null;
  };
  open_problems: number;
  undelivered_alerts: number;
  oldest_undelivered_at: string | null;
  given_up_alerts: number;
  unrouted_alerts: number;
  newest_price_from: string | null;
  open_reservations: number;
  overdue_reservations: number;
}

export const healthQuery = () =>
  queryOptions({
    queryKey: ["health"],
    queryFn: () => rpcOne<Health>("health", {}),
    refetchInterval: POLL.quotas,
  });
