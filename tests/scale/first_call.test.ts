// A statement of a function is planned once per connection, by whichever call comes first, perhaps while its tables are
// small. Whoever comes first, no call looks through a table that grows: each statement carries the settings that its plan
// needs (spend_private, "set enable_seqscan"). Counted as the statistics count it, so that small tables do.
import { randomUUID } from "node:crypto";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cloneDatabase, type TestDatabase } from "../support/database.ts";
import { addQuota, addTenant, addTestModel, addUser, usageOf } from "../support/spend.ts";

/** Tables with a row for each tenant, quota, price, call, sandbox or alert. */
const GROWING = [
  ...["tenants", "tenant_members", "prices", "product_aliases", "cost_quotas", "reservations"],
  ...["refusal_counts", "execution_contexts", "alerts", "problems"],
  ...["quota_balances", "refusals", "adjustments", "stray_sandboxes"],
];

const usage = (usd: number) => `'${JSON.stringify(usageOf(usd))}'`;

let database: TestDatabase;
let sql: Sql;
let tenant: string;
let user: string;
/** 90 % of its quota is spent. */
let warned: string;
/** Its quota is spent. */
let full: string;

beforeAll(async () => {
  database = await cloneDatabase();
  sql = database.sql;
  await addTestModel(sql);
  tenant = await addTenant(sql, 1_000_000, 8);
  user = await addUser(sql, tenant);
  warned = await addTenant(sql, 100, 8);
  full = await addTenant(sql, 100, 8);
  await addQuota(sql, { scope: "tenant", tenantId: tenant, resourceType: "all", limitUsd: 1e6 });
  await addQuota(sql, { scope: "user", tenantId: tenant, userId: user, limitUsd: 1e6 });
  await sql`select spend.adjust(${warned}, 90, 'test'), spend.adjust(${full}, 100, 'test')`;
  // Every table has rows, and is known to be small: a plan that is free to choose looks through all of it.
  for (const prepare of Object.values(calls)) await sql.unsafe(await prepare());
  await sql`vacuum analyze`;
});
afterAll(() => database?.close());

const reserve = (tenantId: string, usd = 0.01, rest = "") =>
  `select spend.reserve('${tenantId}', null, 'llm', ${usage(usd)} ${rest})`;

async function held(tenantId = tenant): Promise<string> {
  const [row] = await sql`
    select reservation_id as id from spend.reserve(${tenantId}, null, 'llm', ${sql.json(usageOf(0.01))})`;
  return row?.id;
}

async function expired(): Promise<string> {
  const id = await held();
  await sql`
    update spend.reservations set created_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'
    where id = ${id}`;
  return id;
}

async function claimed() {
  const claim = randomUUID();
  const [row] = await sql`
    select context_id as id from spend.claim_context(${tenant}, ${user}, ${randomUUID()}, ${claim})`;
  return { id: row?.id as string, claim };
}

const confirm = ({ id, claim }: Awaited<ReturnType<typeof claimed>>) =>
  `select spend.confirm_context('${tenant}', '${id}', '${claim}', '${randomUUID()}', now(), null, 2, 0.5)`;

async function running(): Promise<string> {
  const context = await claimed();
  await sql.unsafe(confirm(context));
  return context.id;
}

/** Each prepares its call, and answers the statement that makes it. */
const calls: Record<string, () => Promise<string>> = {
  check_quota: async () => `select spend.check_quota('${tenant}', '${user}', 'llm', ${usage(1)})`,
  reserve: async () => `select spend.reserve('${tenant}', '${user}', 'llm', ${usage(0.01)})`,
  "reserve at 90 %": async () => reserve(warned, 0.000_001),
  "reserve, with a key": async () => reserve(tenant, 1, `, idempotency_key => '${randomUUID()}'`),
  "reserve, replayed": async () => {
    const again = reserve(tenant, 1, `, idempotency_key => '${randomUUID()}'`);
    await sql.unsafe(again);
    return again;
  },
  "reserve, refused": async () => reserve(full, 1, `, idempotency_key => '${randomUUID()}'`),
  settle: async () => `select spend.settle('${await held()}', ${usage(0.01)})`,
  "settle, above the hold": async () => `select spend.settle('${await held()}', ${usage(0.02)})`,
  "settle, late": async () => {
    const id = await expired();
    await sql`select spend.expire_reservations()`;
    return `select spend.settle('${id}', ${usage(0.005)})`;
  },
  release: async () => `select spend.release('${await held()}')`,
  extend: async () => `select spend.extend('${await held()}', ${usage(0.02)})`,
  "extend, refused": async () => `select spend.extend('${await held(warned)}', ${usage(50)})`,
  expire_reservations: async () => {
    await expired();
    return "select spend.expire_reservations(1)";
  },
  adjust: async () =>
    `select spend.adjust('${tenant}', 1, 'test', idempotency_key => '${randomUUID()}')`,
  "adjust, a credit": async () => `select spend.adjust('${tenant}', -1, 'test')`,
  claim_context: async () =>
    `select spend.claim_context('${tenant}', '${user}', '${randomUUID()}', '${randomUUID()}')`,
  use_context: async () =>
    `select spend.use_context('${await running()}', '${user}', '${randomUUID()}', 290)`,
  find_context: async () => `select spend.find_context('${await running()}', '${user}')`,
  confirm_context: async () => confirm(await claimed()),
  end_context: async () =>
    `select spend.end_context('${tenant}', '${await running()}', 'terminated', 'killed')`,
  fail_context: async () => {
    const { id, claim } = await claimed();
    return `select spend.fail_context('${tenant}', '${id}', '${claim}', 'failed', 'test')`;
  },
  claim_pause: async () => `select spend.claim_pause('${tenant}', '${await running()}', 0)`,
  resolve_context: async () => {
    const { id } = await claimed();
    return `select spend.resolve_context('${tenant}', '${id}', now() + interval '2 minutes')`;
  },
  book_stray_sandbox: async () =>
    `select spend.book_stray_sandbox('${tenant}', '${randomUUID()}', 'base', 2, 0.5, now() - interval '1 minute')`,
};

/** Tables that a statement looks through from end to end. */
async function scannedBy(connection: Sql, statement: string): Promise<string[]> {
  return connection.begin(async (transaction) => {
    const scans = () => transaction<{ name: string; scans: string }[]>`
      select relname as name, seq_scan as scans from pg_stat_xact_user_tables
      where relname = any (${GROWING})`;
    const before = new Map((await scans()).map(({ name, scans }) => [name, scans]));
    await transaction.unsafe(statement);
    return (await scans())
      .filter((row) => row.scans !== (before.get(row.name) ?? "0"))
      .map(({ name }) => name);
  });
}

const statementOf = (name: string) => calls[name]?.() ?? Promise.reject(new Error(name));

describe("whichever call is the first on a connection, no call looks through a table that grows", () => {
  it.each(Object.keys(calls))("%s first", { timeout: 60_000 }, async (first) => {
    const connection = postgres(database.url, { max: 1, onnotice: () => {} });
    try {
      const found: Record<string, string[]> = {};
      // Five times its plans may be made for the values of the call; then they are made once.
      for (let i = 0; i < 8; i++) await connection.unsafe(await statementOf(first));
      for (const name of Object.keys(calls)) {
        const scanned = await scannedBy(connection, await statementOf(name));
        if (scanned.length > 0) found[name] = scanned;
      }
      expect(found).toEqual({});
    } finally {
      await connection.end();
    }
  });
});

it("a call reads no price of the past, however many its product has had", async () => {
  // None of them is marked as used when the table is analysed, as after an import.
  await sql`
    insert into spend.prices (resource_type, provider, product, meter, usd, effective_from)
    select 'llm', 'test', 'old', m.meter, d, current_date - d
    from generate_series(1, 300) as d, unnest('{input_tokens,output_tokens}'::text[]) as m (meter)`;
  await sql`vacuum analyze spend.prices`;
  const call = `'${JSON.stringify(usageOf(0.01, { model: "old" }))}'`;
  await sql.begin(async (transaction) => {
    const read = async () => {
      const [row] = await transaction`
        select idx_tup_fetch::int as rows from pg_stat_xact_user_tables where relname = 'prices'`;
      return row?.rows as number;
    };
    await transaction.unsafe(`select spend.reserve('${tenant}', null, 'llm', ${call})`);
    const before = await read();
    const [row] = await transaction.unsafe(
      `select reservation_id as id from spend.reserve('${tenant}', null, 'llm', ${call})`,
    );
    await transaction.unsafe(`select spend.settle('${row?.id}', ${call})`);
    expect((await read()) - before).toBeLessThanOrEqual(4);
  });
});
