// npm run test:soak: steady mixed traffic, and what it does to memory, tables and latency.
//   npm run test:soak -- --minutes 20
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import postgres, { type Sql } from "postgres";
import { bootstrap } from "../../scripts/stack/bootstrap.ts";
import { startDatabase } from "../../scripts/stack/database.ts";
import { generateKeys, type Keys } from "../../scripts/stack/keys.ts";
import { main } from "../../scripts/stack/main.ts";
import { migrate } from "../../scripts/stack/migrate.ts";
import { type Services, startServices } from "../../scripts/stack/stack.ts";
import { sign } from "../isolation/tokens.ts";
import { answers, startScriptedProvider } from "../support/provider.ts";
import { seeded } from "../support/random.ts";
import { addQuota, addTestModel, addUser, usageOf } from "../support/spend.ts";

const TENANTS = 50;
const SQL_WORKERS = 3;
const CHATTERS = 2;
/** Bounds that a run must keep. */
const MOST = {
  /** Growth of the functions' memory from the first minute to the last. */
  memory: 1.5,
  /** A balance table over what its live rows need. */
  bloat: 4,
};

const { values: options } = parseArgs({
  options: {
    minutes: { type: "string", default: "20" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});

interface Tenant {
  id: string;
  user: string;
  jwt: string;
}

/** Milliseconds of each operation of the running minute. */
type Latencies = Record<"reserve" | "settle" | "chat", number[]>;
interface Minute {
  latencies: Latencies;
  memoryMib: number;
  sizes: Size[];
}
interface Size {
  name: string;
  mib: number;
  rows: number;
  /** Bytes on disk for each live row. */
  bytesPerRow: number;
}

await main(async () => {
  console.log(`seed ${options.seed}`);
  const provider = await startScriptedProvider();
  provider.plays(
    answers("Hello there, all is well", { prompt_tokens: 1000, completion_tokens: 500 }),
  );
  const server = await startDatabase();
  try {
    await bootstrap(server.url);
    await migrate(server.url, { seeds: ["./seeds/prices.sql"] });
    const keys = await generateKeys();
    const services = await startServices({ databaseUrl: server.url, keys, env: provider.env });
    const sql = postgres(server.url, { max: SQL_WORKERS + 3, onnotice: () => {} });
    try {
      const minutes = await soak(sql, services, await addTenants(sql, keys));
      report(minutes, await sql`select * from spend.verify_balances()`);
    } finally {
      await sql.end();
      await services.stop();
    }
  } finally {
    await server.stop();
    await provider.stop();
  }
});

async function addTenants(sql: Sql, keys: Keys): Promise<Tenant[]> {
  await addTestModel(sql);
  await addQuota(sql, { scope: "platform", resourceType: "all", limitUsd: 1e6, period: "day" });
  const tenants: Tenant[] = [];
  const now = Math.floor(Date.now() / 1000);
  for (let index = 0; index < TENANTS; index++) {
    const [row] = await sql`insert into spend.tenants (name) values ('Tenant') returning id`;
    const user = await addUser(sql, row?.id);
    await addQuota(sql, {
      scope: "user",
      tenantId: row?.id,
      userId: user,
      limitUsd: 1e5,
      period: "hour",
    });
    await sql`update spend.cost_quotas set limit_usd = 1e6 where tenant_id = ${row?.id} and scope = 'tenant'`;
    const claims = {
      sub: user,
      role: "authenticated",
      aud: "authenticated",
      iat: now,
      exp: now + 86_400,
    };
    tenants.push({ id: row?.id, user, jwt: sign(claims, keys.jwtSecret) });
  }
  return tenants;
}

async function soak(sql: Sql, services: Services, tenants: Tenant[]): Promise<Minute[]> {
  const minutes: Minute[] = [];
  let latencies: Latencies = { reserve: [], settle: [], chat: [] };
  let isOver = false;
  const timed = async <T>(name: keyof Latencies, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const answer = await work();
    latencies[name].push(performance.now() - start);
    return answer;
  };
  const random = seeded(Number(options.seed));
  const repeat = async (work: () => Promise<void>) => {
    while (!isOver) await work();
  };
  const running = [
    ...Array.from({ length: SQL_WORKERS }, () =>
      repeat(() => call(sql, tenants, random.fork(), timed)),
    ),
    ...Array.from({ length: CHATTERS }, () =>
      repeat(() => chat(services, tenants, random.fork(), timed)),
    ),
    repeat(async () => {
      await sql`select spend.maintain()`;
      await sleep(10_000);
    }),
  ];
  // The first calls load the functions and plan the statements: the first minute comes after them.
  await sleep(5000);
  for (let minute = 1; minute <= Number(options.minutes); minute++) {
    latencies = { reserve: [], settle: [], chat: [] };
    const begun = Date.now();
    await sleep(60_000 - 1000);
    const measured = {
      latencies,
      memoryMib: residentMib(services.functions.pid),
      sizes: await sizesOf(sql),
    };
    minutes.push(measured);
    console.log(
      `minute ${minute}: ${latencies.reserve.length} calls in SQL, ${latencies.chat.length} chats, ` +
        `functions ${measured.memoryMib.toFixed(0)} MiB`,
    );
    await sleep(Math.max(0, begun + 60_000 - Date.now()));
  }
  isOver = true;
  await Promise.all(running);
  return minutes;
}

type Timed = <T>(name: keyof Latencies, work: () => Promise<T>) => Promise<T>;

async function call(
  sql: Sql,
  tenants: Tenant[],
  random: ReturnType<typeof seeded>,
  timed: Timed,
): Promise<void> {
  const tenant = random.pick(tenants);
  const usage = sql.json(usageOf(random.int(1, 100) / 1000));
  const [reserved] = await timed(
    "reserve",
    () => sql`
      select reservation_id as id from spend.reserve(${tenant.id}, ${tenant.user}, 'llm', ${usage}, ttl_seconds => 30)`,
  );
  // Some are never heard of again; they expire beside the traffic.
  if (random.chance(0.02)) return;
  await timed("settle", () => sql`select spend.settle(${reserved?.id}, ${usage})`);
}

async function chat(
  services: Services,
  tenants: Tenant[],
  random: ReturnType<typeof seeded>,
  timed: Timed,
): Promise<void> {
  const tenant = random.pick(tenants);
  await timed("chat", async () => {
    const response = await fetch(`${services.url}/functions/v1/chat`, {
      method: "POST",
      headers: { authorization: `Bearer ${tenant.jwt}`, "content-type": "application/json" },
      body: JSON.stringify({
        tenantId: tenant.id,
        messages: [{ role: "user", content: "Hello" }],
        stream: random.chance(0.5),
      }),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`chat answered ${response.status}: ${text}`);
  });
  await sleep(50);
}

/** Resident memory of a process, in MiB. */
function residentMib(pid: number): number {
  if (process.platform !== "linux") {
    return Number(execFileSync("ps", ["-o", "rss=", "-p", `${pid}`], { encoding: "utf8" })) / 1024;
  }
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024;
}

async function sizesOf(sql: Sql): Promise<Size[]> {
  const rows = await sql`
    select c.oid::regclass::text as name, pg_total_relation_size(c.oid)::float8 as bytes
    from pg_class as c
    where c.oid in ('spend_private.quota_balances'::regclass, 'spend_private.quota_balances_pkey'::regclass,
      'spend.reservations'::regclass)
    order by 1`;
  const [counted] = await sql`
    select (select count(*) from spend_private.quota_balances)::int as balances,
      (select count(*) from spend.reservations)::int as reservations`;
  return rows.map(({ name, bytes }) => {
    const count = name === "spend.reservations" ? counted?.reservations : counted?.balances;
    return { name, mib: bytes / 2 ** 20, rows: count, bytesPerRow: bytes / count };
  });
}

function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function report(minutes: Minute[], wrong: object[]): void {
  const first = minutes[0] as Minute;
  const last = minutes.at(-1) as Minute;
  const lines: [string, number, number, number | null][] = [
    ["functions, resident MiB", first.memoryMib, last.memoryMib, MOST.memory],
  ];
  for (const size of last.sizes) {
    const before = first.sizes.find(({ name }) => name === size.name) as Size;
    const most = size.name === "spend.reservations" ? null : MOST.bloat;
    lines.push([`${size.name}, MiB (${size.rows} rows)`, before.mib, size.mib, null]);
    lines.push([`${size.name}, bytes per live row`, before.bytesPerRow, size.bytesPerRow, most]);
  }
  for (const name of ["reserve", "settle", "chat"] as const) {
    for (const [label, share] of [
      ["p50", 0.5],
      ["p99", 0.99],
    ] as const) {
      lines.push([
        `${name} ${label}, ms`,
        percentile(first.latencies[name], share),
        percentile(last.latencies[name], share),
        null,
      ]);
    }
    lines.push([
      `${name}, calls a minute`,
      first.latencies[name].length,
      last.latencies[name].length,
      null,
    ]);
  }
  console.log(
    `\n${"".padEnd(58)}${"first".padStart(10)}${"last".padStart(10)}${"ratio".padStart(8)}  at most`,
  );
  let kept = wrong.length === 0;
  for (const [what, from, to, most] of lines) {
    const isOver = most !== null && to > from * most;
    kept &&= !isOver;
    const bound = most === null ? "" : `× ${most}${isOver ? "  EXCEEDED" : ""}`;
    console.log(
      `${what.padEnd(58)}${from.toFixed(1).padStart(10)}${to.toFixed(1).padStart(10)}${(to / from).toFixed(2).padStart(8)}  ${bound}`,
    );
  }
  console.log(
    wrong.length === 0 ? "\nThe balances equal the ledger." : `\n${JSON.stringify(wrong)}`,
  );
  if (!kept) process.exitCode = 1;
}
