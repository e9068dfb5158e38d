// A crash of the server just after a settle, which waited for the disk or, by a setting, did not.
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { type DatabaseServer, startDatabase } from "../../scripts/stack/database.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { freePort } from "../../scripts/stack/ports.ts";
import { killDatabase } from "../support/processes.ts";
import { addTenant, addTestModel, heldUsd, usageOf, verifyBalances } from "../support/spend.ts";
import { until } from "../support/until.ts";

const HELD = 0.03;
const SPENT = 0.01;

let folder: string;
let server: DatabaseServer;
let sql: Sql;
let tenant: string;

async function start(port: number): Promise<void> {
  // Nothing but a commit that waits, and the WAL writer, writes the log to the disk.
  const settings = { autovacuum: "off", bgwriter_lru_maxpages: "0", checkpoint_timeout: "1h" };
  server = await startDatabase({ dataDir: folder, port, settings });
  sql = postgres(server.url, { max: 1, onnotice: () => {} });
  await until("the server has recovered", () => sql`select 1`.catch(() => null));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spendgate-test-"));
  // mkdtemp keeps others out; a server started by root runs as another user.
  await chmod(folder, 0o755);
  await start(await freePort());
  await bootstrap(server.url);
  await migrate(server.url, { seeds: ["./seeds/prices.sql"] });
  await addTestModel(sql);
});
afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  tenant = await addTenant(sql, 100, 1);
});

async function held(): Promise<string> {
  const [row] = await sql`
    select reservation_id as id from spend.reserve(${tenant}, null, 'llm', ${sql.json(usageOf(HELD))})`;
  return row?.id;
}

/** As the Data API does it: a transaction of the request's path. Answers the settlement, and whether its commit waits. */
async function settle(id: string) {
  return sql.begin(async (transaction) => {
    await transaction`select set_config('request.path', '/rpc/settle', true)`;
    const [row] = await transaction`
      select status, cost_usd::float8 as usd from spend.settle(${id}, ${sql.json(usageOf(SPENT))})`;
    const [commit] = await transaction`select current_setting('synchronous_commit') as waits`;
    return { status: row?.status, usd: row?.usd, waits: commit?.waits };
  });
}

const settleAsynchronously = (value: boolean) =>
  sql`update spend.settings set settle_asynchronously = ${value}`;

async function crash(): Promise<void> {
  const { port } = server;
  await killDatabase(server);
  await sql.end({ timeout: 0 });
  await server.stop();
  await start(port);
}

async function stopWalWriter(): Promise<void> {
  const [writer] = await sql`select pid from pg_stat_activity where backend_type = 'walwriter'`;
  process.kill(writer?.pid, "SIGSTOP");
}

async function reservation(id: string) {
  const [row] = await sql`
    select status, actual_cost_usd::float8 as usd from spend.reservations where id = ${id}`;
  return { ...row };
}

async function ledgerUsd(): Promise<number> {
  const [row] = await sql`
    select coalesce(sum(cost_usd), 0)::float8 as usd from spend.cost_events where tenant_id = ${tenant}`;
  return row?.usd;
}

it("A settle waits for the disk by default, and outlives a crash", async () => {
  await settleAsynchronously(false);
  const id = await held();
  expect(await settle(id)).toEqual({ status: "settled", usd: SPENT, waits: "on" });
  await crash();
  expect(await reservation(id)).toEqual({ status: "settled", usd: SPENT });
  expect(await ledgerUsd()).toBe(SPENT);
  expect(await verifyBalances(sql)).toEqual([]);
});

it("A settle that did not wait is undone by a crash: held again, charged at its estimate, corrected by a late settle", async () => {
  await settleAsynchronously(true);
  const id = await held();
  await stopWalWriter();
  expect(await settle(id)).toEqual({ status: "settled", usd: SPENT, waits: "off" });
  const [log] =
    await sql`select pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn() as is_behind`;
  expect(log?.is_behind).toBe(true);
  await crash();

  expect(await reservation(id)).toEqual({ status: "held", usd: null });
  expect(await heldUsd(sql, tenant)).toBe(HELD);
  expect(await ledgerUsd()).toBe(0);
  expect(await verifyBalances(sql)).toEqual([]);

  await sql`select spend_private.expire_reservations(10, now() + interval '1 hour')`;
  expect(await reservation(id)).toEqual({ status: "expired", usd: HELD });
  expect(await ledgerUsd()).toBe(HELD);

  expect(await settle(id)).toMatchObject({ status: "settled", usd: SPENT });
  expect(await ledgerUsd()).toBe(SPENT);
  expect(await verifyBalances(sql)).toEqual([]);
});
