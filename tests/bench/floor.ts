// The floor, in both of its forms: which rows to touch and what to write is known to the caller.
import { randomUUID } from "node:crypto";
import type { ISql } from "postgres";
import type { Call } from "./load.ts";
import { type Caller, ESTIMATE, inTurns, prepared, USAGE, type World, within } from "./world.ts";

const HELD_USD = "0.00045";
const COST_USD = "0.00027";

/** What the callers have in common: the platform's quota, and the periods of today. */
async function shared(world: World) {
  const [row] = await within(
    world.url,
    (sql) => sql<{ platformQuota: string; day: Date; month: Date }[]>`
      select
        id as "platformQuota", date_trunc('day', now(), 'UTC') as day,
        date_trunc('month', now(), 'UTC') as month
      from spend.cost_quotas where scope = 'platform'`,
  );
  if (row === undefined) throw new Error("the platform has no quota");
  return row;
}

/** The two functions of floor.sql. Balances must be open: reserve once before. */
export async function floorFunctions(world: World): Promise<Call> {
  const { platformQuota, day, month } = await shared(world);
  const caller = inTurns(world.callers);
  return async (sql) => {
    const { tenant, user, userQuota, tenantQuota } = caller();
    const rows = [userQuota, tenantQuota, platformQuota, day, month];
    const [held] = await prepared<{ id: string }>(
      sql,
      "select bench.hold($1, $2, $3, $4, $5, $6, $7, $8, $9) as id",
      [tenant, user, ...rows, ESTIMATE, HELD_USD],
    );
    await prepared(sql, "select bench.book($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)", [
      ...[tenant, held?.id ?? null, user, ...rows],
      ...[USAGE, HELD_USD, COST_USD],
    ]);
  };
}

const ONE_BALANCE = "quota_id = $1 and period_start = $2 and slot = $3";
const LOCK = `select from spend_private.quota_balances where ${ONE_BALANCE} for no key update`;
const HOLD = `
  update spend_private.quota_balances set reserved_usd = reserved_usd + $4 where ${ONE_BALANCE}`;
const BOOK = `
  update spend_private.quota_balances
  set reserved_usd = reserved_usd - $4, spent_usd = spent_usd + $5 where ${ONE_BALANCE}`;
const RESERVE = `
  insert into spend.reservations (
    tenant_id, id, user_id, resource_type, provider, product, task, usage_estimate,
    estimated_cost_usd, holds, price_ids, expires_at
  )
  values (
    $1, $2, $3, 'llm', 'openai', 'gpt-4o-mini', 'chat', $4, $5,
    array[
      row($6::bigint, $9::timestamptz, 0)::spend.reservation_hold,
      row($7::bigint, $10::timestamptz, $11::integer)::spend.reservation_hold,
      row($8::bigint, $10::timestamptz, $12::integer)::spend.reservation_hold
    ],
    '{1,2}', now() + interval '10 minutes'
  )`;
const SETTLE = `
  update spend.reservations set status = 'settled', actual_cost_usd = $3, ended_at = now()
  where tenant_id = $1 and id = $2`;
const EVENT = `
  insert into spend.cost_events (
    tenant_id, occurred_at, kind, reservation_id, user_id, task, resource_type, provider, product,
    usage, cost_usd, calls, price_ids
  )
  values (
    $1, now(), 'charge', $2, $3, 'chat', 'llm', 'openai', 'gpt-4o-mini', $4, $5, 1, '{1,2}'
  )`;

/**
 * The statements of floor.sql, each prepared and sent by the client, in two transactions. Each
 * transaction is sent as one, without waiting for the answers in between.
 */
export async function floorStatements(world: World): Promise<Call> {
  const { platformQuota, day, month } = await shared(world);
  const caller = inTurns(world.callers);
  return async (sql, connection) => {
    const { tenant, user, userQuota, tenantQuota }: Caller = caller();
    const id = randomUUID();
    const [tenantSlot, platformSlot] = [connection % 8, connection % 64];
    const balances = [
      [userQuota, day, 0],
      [tenantQuota, month, tenantSlot],
      [platformQuota, month, platformSlot],
    ];
    await inTransaction(sql, [
      ...balances.map((balance): Statement => [LOCK, balance]),
      ...balances.map((balance): Statement => [HOLD, [...balance, HELD_USD]]),
      [
        RESERVE,
        [
          ...[tenant, id, user, ESTIMATE, HELD_USD, userQuota, tenantQuota, platformQuota],
          ...[day, month, tenantSlot, platformSlot],
        ],
      ],
    ]);
    await inTransaction(sql, [
      [SETTLE, [tenant, id, COST_USD]],
      ...balances.map((balance): Statement => [BOOK, [...balance, HELD_USD, COST_USD]]),
      [EVENT, [tenant, id, user, USAGE, COST_USD]],
    ]);
  };
}

type Statement = [query: string, values: unknown[]];

async function inTransaction(sql: ISql, statements: Statement[]): Promise<void> {
  const all: Statement[] = [["begin", []], ...statements, ["commit", []]];
  await Promise.all(all.map(([query, values]) => prepared(sql, query, values)));
}
