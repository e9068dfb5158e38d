// What tests say of calls, quotas and balances in SQL, once.
import type { JSONValue, Row, Sql } from "postgres";
import { until } from "./until.ts";

export type Usage = Record<string, JSONValue>;

/** Usage of a test model that costs exactly `usd` dollars ($1 per million input tokens). */
export function usageOf(usd: number, { provider = "test", model = "model" } = {}): Usage {
  return {
    provider,
    model,
    input_tokens: Math.round(usd * 1_000_000),
    output_tokens: 0,
  };
}

export async function addTestModel(sql: Sql, provider = "test", model = "model"): Promise<void> {
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
    values
      ('llm', ${provider}, ${model}, 'input_tokens', 1, '2020-01-01'),
      ('llm', ${provider}, ${model}, 'output_tokens', 1, '2020-01-01')`;
}

/** A tenant whose only quota is on llm, lifetime, so that no run meets the end of a period. */
export async function addTenant(sql: Sql, limitUsd: number, slots: number): Promise<string> {
  const [tenant] = await sql`insert into spend.tenants (name) values ('Tenant') returning id`;
  const id = tenant?.id as string;
  await sql`delete from spend.cost_quotas where tenant_id = ${id}`;
  await addQuota(sql, { scope: "tenant", tenantId: id, limitUsd, slots });
  return id;
}

export async function addUser(sql: Sql, tenantId: string): Promise<string> {
  const [user] = await sql`insert into auth.users (id) values (gen_random_uuid()) returning id`;
  const id = user?.id as string;
  await sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenantId}, ${id})`;
  return id;
}

export interface NewQuota {
  scope: "platform" | "tenant" | "user";
  tenantId?: string;
  userId?: string;
  resourceType?: "llm" | "e2b" | "all";
  period?: string;
  limitUsd: number;
  slots?: number;
}

export async function addQuota(sql: Sql, quota: NewQuota): Promise<number> {
  const [row] = await sql`
    insert into spend.cost_quotas (
      scope, tenant_id, scope_id, resource_type, period, limit_usd, slots
    )
    values (
      ${quota.scope}, ${quota.tenantId ?? null}, ${quota.userId ?? null},
      ${quota.resourceType ?? "llm"}, ${quota.period ?? "lifetime"}, ${quota.limitUsd},
      ${quota.slots ?? null}
    )
    returning id`;
  return Number(row?.id);
}

/** Sets the limits of a tenant's quotas of one resource. */
export async function limitTo(
  sql: Sql,
  tenantId: string,
  usd: number,
  resourceType = "llm",
): Promise<void> {
  await sql`
    update spend.cost_quotas set limit_usd = ${usd}
    where tenant_id = ${tenantId} and resource_type = ${resourceType}`;
}

export interface ReserveAnswer {
  allowed: boolean;
  reservation_id: string | null;
  reason: string | null;
}

export async function reserve(
  sql: Sql,
  tenantId: string,
  userId: string | null,
  usd: number,
  { enforce = true } = {},
): Promise<ReserveAnswer> {
  const [answer] = await sql<ReserveAnswer[]>`
    select allowed, reservation_id, reason
    from spend.reserve(${tenantId}, ${userId}, 'llm', ${sql.json(usageOf(usd))}, enforce => ${enforce})`;
  if (answer === undefined) throw new Error("reserve answered nothing");
  return answer;
}

/** Rows in which balances and ledger differ: none, when all is right. */
export function verifyBalances(sql: Sql) {
  return sql`select * from spend.verify_balances()`;
}

/** A tenant's calls so far, in order, with what was booked of them. */
export async function callsOf(sql: Sql, tenantId: string): Promise<Row[]> {
  return await sql`
    select r.status, r.provider, r.product, r.task, r.user_id, r.conversation_id, r.is_estimated,
      r.estimated_cost_usd, r.actual_cost_usd, e.cost_usd, e.usage, r.usage_estimate,
      r.estimated_cost_usd::float8 as estimate, r.actual_cost_usd::float8 as cost,
      extract(epoch from r.expires_at - r.created_at)::float8 as hold_seconds
    from spend.reservations as r
    left join spend.cost_events as e on e.tenant_id = r.tenant_id and e.reservation_id = r.id
    where r.tenant_id = ${tenantId} order by r.created_at, r.id`;
}

/** A tenant's calls, once there are `count` and none is held any more. */
export async function endedCalls(
  sql: Sql,
  tenantId: string,
  count: number,
  seconds?: number,
): Promise<Row[]> {
  return await until(
    `${count} calls have ended`,
    async () => {
      const calls = await callsOf(sql, tenantId);
      return calls.length === count && calls.every(({ status }) => status !== "held") && calls;
    },
    seconds,
  );
}

/** A tenant's only call, once it has ended. */
export async function endedCall(sql: Sql, tenantId: string): Promise<Row> {
  const [call] = await endedCalls(sql, tenantId, 1);
  return call as Row;
}

/** Dollars held of a tenant's quota. */
export async function heldUsd(sql: Sql, tenantId: string): Promise<number> {
  const [row] = await sql`
    select sum(reserved_usd)::float8 as usd from spend.quota_status
    where scope = 'tenant' and tenant_id = ${tenantId}`;
  return row?.usd as number;
}

/** Runs maintenance once, and answers what each job did. */
export async function maintain(sql: Sql): Promise<Record<string, number | null>> {
  const [row] = await sql`select spend.maintain() as done`;
  return row?.done;
}

/** Gives every tenant what its plan gives. Alone: the other jobs of maintenance take twenty times as long. */
export async function followPlans(sql: Sql): Promise<void> {
  await sql`select spend.maintain(job => 'follow_plans')`;
}
