// What must hold after any chaos, once every hold has expired. Each check answers what is wrong: nothing, if all is well.
import type { Sql, TransactionSql } from "postgres";
import { USAGE_USD } from "../support/provider.ts";
import type { Fate } from "./provider.ts";
import type { Answered } from "./traffic.ts";
import type { World } from "./world.ts";

/** Everything that is wrong, in words. */
export async function findFaults(world: World, answered: Answered): Promise<string[]> {
  const sql = world.direct();
  await expireAll(sql);
  // One snapshot: what a function still books in the background comes after it, or before it.
  return sql.begin("isolation level repeatable read read only", async (transaction) => [
    ...answered.faults,
    ...(await balances(transaction)),
    ...(await heldAfterExpiry(transaction)),
    ...(await overLimits(transaction)),
    ...(await bookedOnce(transaction)),
    ...(await lostAnswers(transaction, answered)),
    ...(await providerCalls(transaction, world.provider.fates)),
  ]);
}

async function expireAll(sql: Sql): Promise<void> {
  for (;;) {
    const [row] = await sql`
      select spend_private.expire_reservations(1000, now() + interval '1 day') as count`;
    if (row?.count === 0) return;
  }
}

async function balances(sql: TransactionSql): Promise<string[]> {
  const rows = await sql`select * from spend.verify_balances()`;
  return rows.map((row) => `balance and ledger differ: ${JSON.stringify(row)}`);
}

async function heldAfterExpiry(sql: TransactionSql): Promise<string[]> {
  const rows = await sql`
    select b.quota_id, sum(b.reserved_usd) as usd from spend_private.quota_balances as b
    group by b.quota_id, b.period_start having sum(b.reserved_usd) <> 0`;
  return rows.map((row) => `held after expiry: ${JSON.stringify(row)}`);
}

/** A quota is over its limit by no more than its calls cost beyond what they held, which is booked in full. */
async function overLimits(sql: TransactionSql): Promise<string[]> {
  const rows = await sql`
    with spent as (
      select b.quota_id, b.period_start, sum(b.spent_usd) as usd
      from spend_private.quota_balances as b group by b.quota_id, b.period_start
    ),
    beyond as (
      select h.quota_id, h.period_start, sum(greatest(r.actual_cost_usd - r.estimated_cost_usd, 0)) as usd
      from spend.reservations as r cross join unnest(r.holds) as h
      group by h.quota_id, h.period_start
    )
    select q.scope, q.period, s.period_start, q.limit_usd, s.usd as spent_usd, b.usd as beyond_usd
    from spent as s
    join spend.cost_quotas as q on q.id = s.quota_id
    left join beyond as b on b.quota_id = s.quota_id and b.period_start = s.period_start
    where s.usd > q.limit_usd + coalesce(b.usd, 0)`;
  return rows.map((row) => `over its limit: ${JSON.stringify(row)}`);
}

/** The events of a reservation sum to what it says it cost, and it was charged or expired once at most. */
async function bookedOnce(sql: TransactionSql): Promise<string[]> {
  const rows = await sql`
    select r.id, r.status, r.actual_cost_usd, sum(e.cost_usd) as booked_usd, array_agg(e.kind) as kinds
    from spend.reservations as r
    left join spend.cost_events as e on e.tenant_id = r.tenant_id and e.reservation_id = r.id
    group by r.tenant_id, r.id, r.status, r.actual_cost_usd
    having coalesce(sum(e.cost_usd), 0) <> r.actual_cost_usd
      or count(*) filter (where e.kind in ('charge', 'expiry')) > 1
      or (r.status in ('settled', 'expired') and count(e.id) = 0)`;
  return rows.map((row) => `not booked exactly once: ${JSON.stringify(row)}`);
}

/** What somebody was told is still so: the reservation is there, the cost is booked. */
async function lostAnswers(
  sql: TransactionSql,
  { reservations, booked }: Answered,
): Promise<string[]> {
  const there = new Map(
    (await sql`select id, status, actual_cost_usd::float8 as usd from spend.reservations`).map(
      ({ id, status, usd }) => [id as string, { status, usd }],
    ),
  );
  return [
    ...[...reservations]
      .filter((id) => !there.has(id))
      .map((id) => `a reservation that was answered is gone: ${id}`),
    ...[...booked]
      .filter(([id, usd]) => there.get(id)?.usd !== usd)
      .map(([id, usd]) => `answered as booked at ${usd}: ${JSON.stringify(there.get(id))}`),
  ];
}

/** Every call that reached the provider stands behind one reservation, which paid for it unless it was refused. */
async function providerCalls(sql: TransactionSql, fates: Map<string, Fate[]>): Promise<string[]> {
  const rows = await sql`
    select r.conversation_id as marker, r.status, r.is_estimated, r.actual_cost_usd::float8 as usd, r.release_reason
    from spend.reservations as r where r.provider = 'openai'`;
  const calls = new Map<string, (typeof rows)[number][]>();
  for (const row of rows) calls.set(row.marker, [...(calls.get(row.marker) ?? []), row]);

  const faults: string[] = [];
  for (const [marker, fate] of fates) {
    const [call] = calls.get(marker) ?? [];
    const say = (what: string) =>
      faults.push(
        `${what}: provider ${fate.join(", ")}; ${JSON.stringify(calls.get(marker) ?? [])}`,
      );
    if (fate.length > 1) say("called twice");
    if (call === undefined) say("called without a reservation");
    else if (call.status === "held") say("still held");
    else if (fate[0] !== "refused" && !(call.usd > 0)) say("called and not booked");
    else if (fate[0] !== "answered" && call.status === "settled" && !call.is_estimated) {
      say("booked as reported, and nothing was");
    } else if (call.status === "settled" && !call.is_estimated && call.usd !== USAGE_USD) {
      say(`not booked at ${USAGE_USD}`);
    }
  }
  for (const [marker, [call, ...others]] of calls) {
    if (others.length > 0)
      faults.push(`reserved more than once: ${JSON.stringify(calls.get(marker))}`);
    if (!fates.has(marker) && call?.status === "settled" && !call.is_estimated) {
      faults.push(`booked as reported, and never called: ${JSON.stringify(call)}`);
    }
  }
  return faults;
}
