// The embedded PostgreSQL server: started, stopped, and found again after a crash.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { findPostgres, type PostgresBinaries, postgresVersion } from "./binaries.ts";
import { assertPortFree, freePort, StackError } from "./ports.ts";
import { enterableFolder } from "./private_folders.ts";

const run = promisify(execFile);

export interface DatabaseOptions {
  /** TCP port on 127.0.0.1; a free one when left out. */
  port?: number;
  /** Folder of the data, kept between runs; a temporary one, removed at stop, when left out. */
  dataDir?: string;
  /** Throw away what an earlier run left in `dataDir`. */
  fresh?: boolean;
  /** Another PostgreSQL than npm's, and its major version. */
  programs?: PostgresBinaries & { version: number };
  /** Settings of the server beyond and above the usual. */
  settings?: Record<string, string>;
}

export interface DatabaseServer {
  port: number;
  /** URL of the database `postgres`, as its superuser. */
  url: string;
  urlOf(database: string): string;
  /** The server's log file. */
  log: string;
  /** Resolves when the server has ended, whoever ended it. */
  exited: Promise<void>;
  stop(): Promise<void>;
}

const START_SECONDS = 60;

/** Beside the data: the process id of the run that the server belongs to. */
const OWNER = "owner.pid";

/** The server's own folder. */
const DATA = "postgres";

async function dataOf(folder: string): Promise<string> {
  return join(await enterableFolder(folder), DATA);
}

/**
 * Starts PostgreSQL (17, or SPENDGATE_PG) as user `postgres` with password `postgres`, durable (fsync on).
 * A server that a killed run left behind on `dataDir` is stopped first; one that belongs to a
 * running stack is an error, and so is a port that is taken.
 */
export async function startDatabase(options: DatabaseOptions = {}): Promise<DatabaseServer> {
  const programs = options.programs ?? { ...(await findPostgres()), version: postgresVersion() };
  const { postgres, pgCtl } = programs;
  const account = await serverAccount();
  const temporary = options.dataDir === undefined;
  const folder = temporary
    ? await mkdtemp(join(tmpdir(), "spendgate-"))
    : resolve(options.dataDir ?? "");
  const data = temporary ? join(folder, DATA) : await dataOf(folder);
  const log = join(folder, "postgres.log");
  const owner = join(folder, OWNER);

  const port = options.port ?? (await freePort());
  const start = async () => {
    // The account that a root's server runs as has to get in, and its watcher to remove it.
    if (temporary) await give(folder, account);
    await mkdir(folder, { recursive: true });
    if (!temporary) await releaseDataDir(folder);
    await assertOwned(data, account);
    if (options.fresh) await rm(data, { recursive: true, force: true });
    if (!(await stat(join(data, "PG_VERSION")).catch(() => null))) {
      await createCluster(programs, data, account, temporary);
    }
    // Last: what is kept for us stays taken until then.
    await assertPortFree(port, "PostgreSQL", temporary ? undefined : "SPENDGATE_DB_PORT");
    return retryWhileMemoryIsHeld(() =>
      launch({ postgres, data, port, log, account, extra: options.settings }),
    );
  };
  const server = await start().catch(async (error) => {
    if (temporary) await rm(folder, { recursive: true, force: true });
    throw error;
  });
  if (!temporary) await writeFile(owner, `${process.pid}\n`);
  const watcher = watchForOurDeath(pgCtl, data, account, temporary ? folder : "");

  const exited = new Promise<void>((done) => server.once("exit", () => done()));
  const urlOf = (database: string) =>
    `postgresql://postgres:postgres@127.0.0.1:${port}/${database}`;
  let stopping: Promise<void> | undefined;
  return {
    port,
    url: urlOf("postgres"),
    urlOf,
    log,
    exited,
    stop() {
      stopping ??= (async () => {
        watcher.kill("SIGKILL");
        await stopServer(server);
        await rm(temporary ? folder : owner, { recursive: true, force: true });
      })();
      return stopping;
    },
  };
}

/** PostgreSQL refuses to run as root: root hands it to the system account `postgres`. */
interface Account {
  uid?: number;
  gid?: number;
}

async function serverAccount(): Promise<Account> {
  if (process.getuid?.() !== 0) return {};
  const idOf = async (flag: string) => Number((await run("id", [flag, "postgres"])).stdout);
  try {
    await idOf("-u");
  } catch {
    await run("groupadd", ["-f", "postgres"]);
    await run("useradd", ["-g", "postgres", "postgres"]).catch((error) => {
      throw new StackError(
        `PostgreSQL cannot run as root, and a system user "postgres" could not be made: ${error.stderr}` +
          "Run as another user.",
      );
    });
  }
  return { uid: await idOf("-u"), gid: await idOf("-g") };
}

async function give(path: string, { uid, gid }: Account): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

/** PostgreSQL starts on a folder that is its account's alone, and says so in words of its own. */
async function assertOwned(data: string, { uid = process.getuid?.() }: Account): Promise<void> {
  const entry = await stat(data).catch(() => null);
  if (!entry) return;
  if (entry.uid !== uid) {
    throw new StackError(
      `The data in ${data} belongs to another user (${entry.uid}, not ${uid}). Start as that user, ` +
        "remove the folder, or choose another: SPENDGATE_DATA=<folder>.",
    );
  }
  if ((entry.mode & 0o077) !== 0) await chmod(data, 0o700);
}

async function createCluster(
  { initdb, version }: { initdb: string; version: number },
  data: string,
  account: Account,
  temporary: boolean,
): Promise<void> {
  // A half-made cluster of an interrupted run has no PG_VERSION that can be trusted: make it
  // beside, then nothing; initdb itself removes what it made when it fails.
  await rm(data, { recursive: true, force: true });
  await mkdir(data, { mode: 0o700, recursive: true });
  const password = join(tmpdir(), `spendgate-${randomBytes(8).toString("hex")}`);
  await writeFile(password, "postgres\n", { mode: 0o600 });
  await give(data, account);
  await give(password, account);
  try {
    await run(
      initdb,
      [
        `--pgdata=${data}`,
        "--username=postgres",
        `--pwfile=${password}`,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        // The same order of text on every machine, and that of hosted Supabase.
        ...(version >= 17
          ? ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
          : ["--locale=C.UTF-8"]),
        ...(temporary ? ["--no-sync"] : []),
      ],
      { ...account, cwd: tmpdir() },
    );
  } catch (error) {
    await rm(data, { recursive: true, force: true });
    const { stderr, message } = error as { stderr?: string; message: string };
    const hint =
      account.uid === undefined
        ? ""
        : '\nYou are root, so PostgreSQL runs as the user "postgres", who must be able to read the project\'s folder.';
    throw new StackError(`PostgreSQL could not make its data folder:\n${stderr || message}${hint}`);
  } finally {
    await rm(password, { force: true });
  }
}

interface Launch {
  postgres: string;
  data: string;
  port: number;
  log: string;
  account: Account;
  extra?: Record<string, string>;
}

async function launch({
  postgres,
  data,
  port,
  log,
  account,
  extra,
}: Launch): Promise<ChildProcess> {
  const output = openSync(log, "w");
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: "200",
    fsync: "on",
    timezone: "UTC",
    log_timezone: "UTC",
    ...extra,
  };
  const server = spawn(
    postgres,
    [
      "-D",
      data,
      "-p",
      `${port}`,
      ...Object.entries(settings).flatMap(([k, v]) => ["-c", `${k}=${v}`]),
    ],
    // Its own process group: a Ctrl-C in the terminal must reach us alone, so that the functions
    // can book what they hold before their database goes.
    { ...account, cwd: data, detached: true, stdio: ["ignore", "ignore", output] },
  );
  closeSync(output);
  let failure: string | undefined;
  server.once("error", (error) => {
    failure = error.message;
  });
  server.once("exit", () => {
    failure ??= readFileSync(log, "utf8").trim().split("\n").slice(-15).join("\n");
  });

  const deadline = Date.now() + START_SECONDS * 1000;
  while (failure === undefined && Date.now() < deadline) {
    const lines = (await readPostmaster(data)) ?? [];
    if (Number(lines[0]) === server.pid && lines[7]?.trim() === "ready") return server;
    await sleep(20);
  }
  if (failure === undefined) await stopServer(server);
  throw new StackError(
    `PostgreSQL did not start: ${failure ?? `not ready after ${START_SECONDS} seconds; see ${log}`}`,
  );
}

/** After a kill -9 the dead server's backends hold its memory for a moment more. */
async function retryWhileMemoryIsHeld<T>(start: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    try {
      return await start();
    } catch (error) {
      const held = /pre-existing shared memory block|lock file .* already exists/.test(`${error}`);
      if (!held || Date.now() > deadline) throw error;
      await sleep(200);
    }
  }
}

/** Fast shutdown (sessions are ended, a checkpoint is written), then harder, then hardest. */
async function stopServer(server: ChildProcess): Promise<void> {
  for (const [signal, seconds] of [
    ["SIGINT", 20],
    ["SIGQUIT", 5],
    ["SIGKILL", 5],
  ] as const) {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = new Promise((done) => server.once("exit", done));
    server.kill(signal);
    await Promise.race([exited, sleep(seconds * 1000, undefined, { ref: false })]);
  }
}

/** Lines of postmaster.pid: the first is the server's process id, the eighth its state. */
async function readPostmaster(data: string): Promise<string[] | null> {
  const text = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => null);
  return text === null ? null : text.split("\n");
}

/**
 * Stops the server that a killed run left on `dataDir`; refuses when that run is alive.
 * Its last sessions may be in the middle of something: for Postgres that is a crash like any other.
 */
export async function releaseDataDir(dataDir: string): Promise<void> {
  const data = await dataOf(resolve(dataDir));
  const pid = Number((await readPostmaster(data))?.[0]);
  // The process id may have gone to another program since (a reboot): only a postgres on
  // this very folder counts.
  if (!pid || !(await describeProcess(pid, "command"))?.includes(data)) return;
  const ownerPid = (await readFile(join(dataDir, OWNER), "utf8").catch(() => "")).trim();
  if (ownerPid !== "" && (await describeProcess(pid, "ppid")) === ownerPid) {
    throw new StackError(
      `This project's stack is already running (process ${ownerPid}). Stop it with Ctrl-C or \`kill ${ownerPid}\`.`,
    );
  }
  for (const [signal, seconds] of [
    ["SIGINT", 20],
    ["SIGQUIT", 5],
    ["SIGKILL", 5],
  ] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    const deadline = Date.now() + seconds * 1000;
    while (Date.now() < deadline) {
      if (!(await describeProcess(pid, "command"))?.includes(data)) return;
      await sleep(50);
    }
  }
}

/** A process's command line or parent; null when it is gone. Slim Linux images have no `ps`. */
async function describeProcess(pid: number, what: "command" | "ppid"): Promise<string | null> {
  try {
    if (process.platform !== "linux") {
      return (await run("ps", ["-ww", "-o", `${what}=`, "-p", `${pid}`])).stdout.trim();
    }
    if (what === "command") {
      return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
    }
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return /^PPid:\s*(\d+)/m.exec(status)?.[1] ?? null;
  } catch {
    return null;
  }
}

/**
 * A small shell that outlives us, even a kill -9: it stops the server cleanly, and removes
 * `temporaryFolder` when there is one.
 */
function watchForOurDeath(
  pgCtl: string,
  data: string,
  account: Account,
  temporaryFolder: string,
): ChildProcess {
  const script = 'cat >/dev/null; "$0" stop -D "$1" -m fast -s; [ -z "$2" ] || rm -rf "$2"';
  const watcher = spawn("/bin/sh", ["-c", script, pgCtl, data, temporaryFolder], {
    ...account,
    cwd: tmpdir(),
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watcher.unref();
  (watcher.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return watcher;
}
