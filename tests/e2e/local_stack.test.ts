// npm start as a process: killed, interrupted, started twice, started again.
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { freePort } from "../../scripts/stack/ports.ts";
import { descendants, isAlive, processes } from "../support/processes.ts";
import { verifyBalances } from "../support/spend.ts";
import { until } from "../support/until.ts";

let folder: string;
let ports: Record<"api" | "database" | "providers" | "sandboxes", number>;
const started: Run[] = [];

interface Run {
  child: ChildProcess;
  output(): string;
  /** Exit code, or the signal that ended it. */
  ended: Promise<number | string>;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spendgate-test-"));
  // mkdtemp keeps others out; a server started by root runs as another user.
  await chmod(folder, 0o755);
  ports = {
    api: await freePort(),
    database: await freePort(),
    providers: await freePort(),
    sandboxes: await freePort(),
  };
});
// What a test leaves running the next one goes on with, unless it may be in a bad state.
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") await stopAll();
});
afterAll(async () => {
  await stopAll();
  await rm(folder, { recursive: true, force: true });
});

async function stopAll(): Promise<void> {
  for (const { child, ended } of started.splice(0)) {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await ended;
    clearTimeout(late);
  }
}

function run(script: "start" | "db", args: string[] = [], settings = {}): Run {
  const child = spawn(process.execPath, ["--import", "tsx", `scripts/${script}.ts`, ...args], {
    cwd: PROJECT,
    env: {
      ...process.env,
      SPENDGATE_DATA: folder,
      SPENDGATE_API_PORT: `${ports.api}`,
      SPENDGATE_DB_PORT: `${ports.database}`,
      SPENDGATE_PROVIDERS_PORT: `${ports.providers}`,
      SPENDGATE_SANDBOXES_PORT: `${ports.sandboxes}`,
      ...settings,
    },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  const ended = new Promise<number | string>((resolve) => {
    child.once("close", (code, signal) => resolve(code ?? signal ?? "?"));
  });
  const result = { child, output: () => text, ended };
  started.push(result);
  return result;
}

async function ready(script: "start" | "db", ...args: string[]): Promise<Run> {
  const running = run(script, args);
  await until(
    `ready: ${script}`,
    () => {
      if (running.child.exitCode !== null) throw new Error(running.output());
      return /^ready$/m.test(running.output());
    },
    180,
  );
  return running;
}

/** A stack that is ready: the one that runs, or a new one. */
async function stack(): Promise<Run> {
  const runs = ({ child }: Run) => child.exitCode === null && child.signalCode === null;
  return started.find(runs) ?? ready("start");
}

async function query<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const url = `postgresql://postgres:postgres@127.0.0.1:${ports.database}/postgres`;
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

const addTenant = (name: string) =>
  query((sql) => sql`insert into spend.tenants (name) values (${name})`);
const tenantNames = () =>
  query(async (sql) =>
    (await sql`select name from spend.tenants order by name`).map(({ name }) => name),
  );
/** Both keys, each once: the publishable one is printed for the shell too. */
const keyLines = (output: string) => [...new Set(output.match(/sb_(publishable|secret)_\S+/g))];

describe("npm start", () => {
  it("keeps data and keys through kill -9 of every process, at any of three times", async () => {
    let running = await ready("start", "--fresh");
    const keys = keyLines(running.output());
    expect(keys).toHaveLength(2);
    for (const name of ["first", "second", "third"]) {
      await addTenant(name);
      const all = [
        running.child.pid as number,
        ...descendants(running.child.pid as number).map((p) => p.pid),
      ];
      expect(all.length).toBeGreaterThan(3);
      for (const pid of all) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // Gone with its parent already.
        }
      }
      expect(await running.ended).toBe("SIGKILL");
      running = await ready("start");
      expect(keyLines(running.output())).toEqual(keys);
    }
    expect(await tenantNames()).toEqual(expect.arrayContaining(["first", "second", "third"]));
  }, 300_000);

  it("leaves nothing behind when it alone is killed: PostgreSQL and the functions stop by themselves", async () => {
    const running = await stack();
    const children = descendants(running.child.pid as number);
    expect(children.some(({ command }) => command.includes("functions_main"))).toBe(true);
    running.child.kill("SIGKILL");
    await until("all are gone", () => !children.some(({ pid }) => isAlive(pid)), 20);
  }, 300_000);

  it("stops a PostgreSQL that was left behind, and starts on its data", async () => {
    const running = await stack();
    await addTenant("orphaned");
    const children = descendants(running.child.pid as number);
    const server = children.find(({ command }) => command.includes(`-D ${folder}`));
    const watcher = children.find(({ command }) => command.startsWith("/bin/sh"));
    process.kill(watcher?.pid as number, "SIGKILL");
    running.child.kill("SIGKILL");
    await running.ended;
    expect(isAlive(server?.pid as number)).toBe(true);

    await ready("start");

    expect(isAlive(server?.pid as number)).toBe(false);
    expect(await tenantNames()).toContain("orphaned");
  }, 300_000);

  it("books what an earlier run held and did not settle, once it has expired", async () => {
    const running = await stack();
    await query(async (sql) => {
      const [tenant] = await sql`insert into spend.tenants (name) values ('holder') returning id`;
      const usage = { provider: "openai", model: "gpt-4o", input_tokens: 1000, output_tokens: 0 };
      await sql`
        select from spend.reserve(${tenant?.id}, null, 'llm', ${sql.json(usage)}, ttl_seconds => 1)`;
    });
    for (const { pid } of descendants(running.child.pid as number)) process.kill(pid, "SIGKILL");
    running.child.kill("SIGKILL");
    await running.ended;

    await ready("start");

    const statuses = () => query((sql) => sql`select status from spend.reservations`);
    await until(
      "the hold is booked",
      async () => (await statuses()).every((r) => r.status === "expired"),
      20,
    );
    expect(await query((sql) => sql`select kind, cost_usd from spend.cost_events`)).toEqual([
      { kind: "expiry", cost_usd: "0.002500000000" },
    ]);
    expect(await query((sql) => verifyBalances(sql))).toEqual([]);
  }, 300_000);

  it("that is killed in the middle of chats leaves balances that agree, and the calls are booked when they expire", async () => {
    const running = await stack();
    const publishable = keyLines(running.output())?.[0] as string;
    // The stand-in takes its time, so that every call is under way when all is killed.
    await fetch(`http://127.0.0.1:${ports.providers}/__aimock/chaos`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ latencyMs: 30_000 }),
    });
    const api = `http://127.0.0.1:${ports.api}`;
    const post = (path: string, token: string, body: unknown) =>
      fetch(`${api}${path}`, {
        method: "POST",
        headers: {
          apikey: publishable,
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
        },
        body: JSON.stringify(body),
      });
    const signUp = await post("/auth/v1/signup", publishable, {
      email: "killed@example.com",
      password: "correct horse battery staple",
    });
    const { access_token, user } = (await signUp.json()) as {
      access_token: string;
      user: { id: string };
    };
    await query(async (sql) => {
      const [tenant] = await sql`insert into spend.tenants (name) values ('killed') returning id`;
      await sql`insert into spend.tenant_members (tenant_id, user_id) values (${tenant?.id}, ${user.id})`;
    });
    const chats = Array.from({ length: 5 }, () =>
      post("/functions/v1/chat", access_token, {
        messages: [{ role: "user", content: "Hello" }],
      }).catch(() => "cut off"),
    );
    const held = () => query((sql) => sql`select from spend.reservations where status = 'held'`);
    await until("five calls are held", async () => (await held()).length === 5, 60);

    for (const { pid } of descendants(running.child.pid as number)) process.kill(pid, "SIGKILL");
    running.child.kill("SIGKILL");
    await running.ended;
    expect(await Promise.all(chats)).toEqual(Array(5).fill("cut off"));
    await ready("start");

    expect(await held()).toHaveLength(5);
    expect(await query((sql) => verifyBalances(sql))).toEqual([]);
    await query(
      (sql) => sql`
      select spend_private.expire_reservations(1000, now() + interval '1 hour')`,
    );
    const events = await query(
      (sql) => sql`select kind from spend.cost_events where user_id = ${user.id}`,
    );
    expect(events).toEqual(Array(5).fill({ kind: "expiry" }));
    expect(await query((sql) => verifyBalances(sql))).toEqual([]);
  }, 300_000);

  it("for the second time says that the first is running, and leaves it running", async () => {
    const running = await stack();
    const second = run("start");
    expect(await second.ended).toBe(1);
    expect(second.output()).toContain(`already running (process ${running.child.pid})`);
    expect((await fetch(`http://127.0.0.1:${ports.api}/auth/v1/health`)).status).not.toBe(500);
    expect(await tenantNames()).toBeDefined();
  }, 300_000);

  it.each(["SIGINT", "SIGTERM"] as const)(
    "stops everything on %s, with exit code 0",
    async (signal) => {
      const running = await stack();
      const children = descendants(running.child.pid as number);
      running.child.kill(signal);
      expect(await running.ended).toBe(0);
      expect(children.filter(({ pid }) => isAlive(pid))).toEqual([]);
    },
    300_000,
  );

  it("stops what has started on SIGINT while it starts", async () => {
    const running = run("start");
    await until(
      "PostgreSQL is there",
      () =>
        descendants(running.child.pid as number).some(({ command }) =>
          command.includes(`-D ${folder}`),
        ),
      90,
    );
    running.child.kill("SIGINT");
    expect(await running.ended).toBe(0);
    expect(running.output()).not.toMatch(/^ready$/m);
    expect(processes().filter(({ command }) => command.includes(`-D ${folder}`))).toEqual([]);
  }, 300_000);

  it.each([
    ["api", "API", "SPENDGATE_API_PORT"],
    ["database", "PostgreSQL", "SPENDGATE_DB_PORT"],
    ["providers", "stand-in", "SPENDGATE_PROVIDERS_PORT"],
    ["sandboxes", "stand-in", "SPENDGATE_SANDBOXES_PORT"],
  ] as const)(
    "names a taken %s port with the remedy, and leaves nothing running",
    async (which, what, variable) => {
      const blocker = createServer();
      await new Promise<void>((done) => blocker.listen(ports[which], "127.0.0.1", done));
      try {
        const running = run("start");
        expect(await running.ended).toBe(1);
        expect(running.output()).toContain(`Port ${ports[which]} (${what}`);
        expect(running.output()).toContain(variable);
        expect(running.output()).not.toContain("    at ");
        expect(processes().filter(({ command }) => command.includes(`-D ${folder}`))).toEqual([]);
      } finally {
        await new Promise((done) => blocker.close(done));
      }
    },
    60_000,
  );

  it("says which settings are wrong, in a line each, and starts nothing", async () => {
    const running = run("start", [], {
      SPENDGATE_DB_PORT: "http",
      SPENDGATE_MAX_STEPS: "many",
      SPENDGATE_MAX_STEP: "3",
    });
    expect(await running.ended).toBe(1);
    expect(running.output().trim().split("\n")).toEqual([
      expect.stringMatching(/SPENDGATE_MAX_STEP: .*Did you mean SPENDGATE_MAX_STEPS\?$/),
      expect.stringMatching(
        /^SPENDGATE_MAX_STEPS: .*Allowed: number, from 1\. Correct SPENDGATE_MAX/,
      ),
      expect.stringMatching(/^SPENDGATE_DB_PORT: .*Allowed: port\. Correct SPENDGATE_DB_PORT/),
    ]);
  });

  it("ends, and says why, when its database dies", async () => {
    const running = await stack();
    const server = descendants(running.child.pid as number).find(({ command }) =>
      command.includes(`-D ${folder}`),
    );
    process.kill(server?.pid as number, "SIGKILL");
    expect(await running.ended).toBe(1);
    expect(running.output()).toContain("stopping: PostgreSQL ended");
  }, 300_000);
});

describe("npm run db", () => {
  it("is the database of npm start alone, and --fresh empties it", async () => {
    const first = await ready("db");
    expect(await tenantNames()).toContain("killed");
    await expect(fetch(`http://127.0.0.1:${ports.api}`)).rejects.toThrow();
    first.child.kill("SIGINT");
    expect(await first.ended).toBe(0);

    await ready("db", "--fresh");
    expect(await tenantNames()).not.toContain("killed");
    expect(await query((sql) => sql`show fsync`)).toEqual([{ fsync: "on" }]);
  }, 300_000);
});
