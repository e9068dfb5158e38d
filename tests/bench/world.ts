// The databases that are measured: tenants with users, prices, quotas of three scopes; and the calls they make.
import { join } from "node:path";
import postgres, { type ISql, type JSONValue, type Sql } from "postgres";
import { migrationFiles, type Scratch } from "../../scripts/database/scratch.ts";
import { seedFiles } from "../../scripts/stack/schemas.ts";
import type { Call } from "./load.ts";

export interface Caller {
  tenant: string;
  user: string;
  userQuota: string;
  tenantQuota: string;
}

export interface World {
  url: string;
  callers: Caller[];
}

/** A call of an ordinary size, at a price of the real catalogue. */
export const ESTIMATE: Record<string, JSONValue> = {
  provider: "openai",
  model: "gpt-4o-mini",
  input_tokens: 1000,
  output_tokens: 500,
};
export const USAGE: typeof ESTIMATE = { ...ESTIMATE, output_tokens: 200 };

interface Content {
  tenants?: number;
  /** Of each tenant. */
  users?: number;
  /** Those of a released version; the present ones when left out. */
  migrations?: string[];
}

/**
 * The database `name` with so many tenants of so many users, each user with a quota by day, each
 * tenant with one by month, and the platform's by month, none of them near its limit.
 */
export async function createWorld(
  scratch: Scratch,
  name: string,
  { tenants = 1000, users = 1, migrations }: Content = {},
): Promise<World> {
  const ours = (file: string) => join(import.meta.dirname, file);
  const url = await scratch.create(name, [
    ...(migrations ?? (await migrationFiles())),
    ours("newer_meters.sql"),
    ...(await seedFiles()),
    ours("floor.sql"),
    ours("world.sql"),
  ]);
  await within(url, async (sql) => {
    await sql`select bench.populate(${tenants}, ${users})`;
    await sql`vacuum analyze`;
  });
  return openWorld(url);
}

/** A copy of a world, changed by `sql`. */
export async function copyWorld(
  scratch: Scratch,
  world: World,
  name: string,
  change = "",
): Promise<World> {
  const from = new URL(world.url).pathname.slice(1);
  const url = await scratch.clone(from, name);
  if (change !== "") await within(url, (sql) => sql.unsafe(change));
  return openWorld(url);
}

async function openWorld(url: string): Promise<World> {
  const callers = await within(
    url,
    (sql) => sql<Caller[]>`
      select
        m.tenant_id as tenant, m.user_id as user, u.id as "userQuota", t.id as "tenantQuota"
      from spend.tenant_members as m
      join spend.cost_quotas as u on u.scope = 'user' and u.scope_id = m.user_id
      join spend.cost_quotas as t on t.scope = 'tenant' and t.tenant_id = m.tenant_id
      order by m.tenant_id, m.user_id`,
  );
  return { url, callers: [...callers] };
}

/** Runs `work` on a connection to the database at `url`. */
export async function within<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

/** Callers in turns, so that every connection meets all of them, and no two the same at once. */
export function inTurns(callers: Caller[]): () => Caller {
  let next = 0;
  return () => {
    next = (next + 1) % callers.length;
    return callers[next] as Caller;
  };
}

const RESERVE = `select allowed, reservation_id, reason from spend.reserve($1, $2, 'llm', $3)`;
const SETTLE = "select status from spend.settle($1, $2)";

export interface Answer {
  allowed: boolean;
  reservation_id: string;
  reason: string | null;
}

/** One reserve. */
export async function reserve(sql: ISql, caller: Caller, usage = ESTIMATE): Promise<Answer> {
  const [answer] = await prepared<Answer>(sql, RESERVE, [caller.tenant, caller.user, usage]);
  if (answer === undefined) throw new Error("reserve answered nothing");
  return answer;
}

/** Reserve and settle, by callers in turns: a whole call. */
export function reserveAndSettle(callers: Caller[], estimate = ESTIMATE, usage = USAGE): Call {
  const caller = inTurns(callers);
  return async (sql) => {
    const { allowed, reservation_id } = await reserve(sql, caller(), estimate);
    if (!allowed) throw new Error("a call was refused that has room");
    await settle(sql, reservation_id, usage);
  };
}

export async function settle(sql: ISql, reservationId: string, usage = USAGE): Promise<void> {
  await prepared(sql, SETTLE, [reservationId, usage]);
}

/** Uses up the quota of a caller's tenant: what it calls from now on is refused. */
export async function exhaust(world: World, { tenant, tenantQuota }: Caller): Promise<void> {
  await within(world.url, async (sql) => {
    await sql`select spend.adjust(${tenant}, 100, 'All that this tenant may spend')`;
    await sql`update spend.cost_quotas set limit_usd = 100 where id = ${tenantQuota}`;
  });
}

/** A reserve that an exhausted quota refuses. */
export function refuse(exhausted: Caller): Call {
  return async (sql) => {
    if ((await reserve(sql, exhausted)).allowed) throw new Error("an exhausted quota admits");
  };
}

/** One statement, prepared once per connection. */
export function prepared<T extends object>(sql: ISql, query: string, values: unknown[]) {
  return sql.unsafe<T[]>(query, values as never[], { prepare: true });
}

/** One call of every caller: opens the balances, fills the caches, plans what is to be planned. */
export async function warmUp(sql: ISql, callers: Caller[]): Promise<void> {
  const call = reserveAndSettle(callers);
  for (let made = 0; made < callers.length; made++) await call(sql, 0);
}

/**
 * Throws when balances and ledger differ, and, unless `balancesAlone`, when anything else is wrong with the books: the
 * floor writes the event of a call without the moment of its reservation.
 */
export async function assertBalanced(world: World, { balancesAlone = false } = {}): Promise<void> {
  const wrong = await within(
    world.url,
    (sql) =>
      sql`select * from spend.verify_balances() where quota_id is not null or not ${balancesAlone}`,
  );
  if (wrong.length > 0) throw new Error(`verify_balances: ${JSON.stringify(wrong.slice(0, 3))}`);
}
