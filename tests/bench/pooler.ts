// PgBouncer before a database, as the machine has it: connections of the server are shared by the transaction.
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, StackError } from "../../scripts/stack/ports.ts";

const START_SECONDS = 10;

export interface Pooler {
  url: string;
  stop(): Promise<void>;
}

/** Starts PgBouncer, which keeps so many connections to the database at `url`. */
export async function startPooler(url: string, connections: number): Promise<Pooler> {
  const { hostname, port, pathname, username, password } = new URL(url);
  const folder = await mkdtemp(join(tmpdir(), "spendgate-pooler-"));
  const own = await freePort();
  const settings = {
    listen_addr: "127.0.0.1",
    listen_port: own,
    unix_socket_dir: "",
    auth_type: "any",
    pool_mode: "transaction",
    default_pool_size: connections,
    max_client_conn: 200,
    // What a session sets is not kept by a pooler; our functions set what they need themselves.
    ignore_startup_parameters: "extra_float_digits,plan_cache_mode,enable_seqscan",
    log_connections: 0,
    log_disconnections: 0,
  };
  const database = `host=${hostname} port=${port} dbname=${pathname.slice(1)} user=${username} password=${password}`;
  const file = join(folder, "pgbouncer.ini");
  // It does not run as root, and whoever runs it must read its file.
  await chmod(folder, 0o755);
  await writeFile(
    file,
    [
      "[databases]",
      `bench = ${database}`,
      "[pgbouncer]",
      ...Object.entries(settings).map(([name, value]) => `${name} = ${value}`),
    ].join("\n"),
  );
  const account = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child = spawn("pgbouncer", ["-q", ...account, file], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const ended = new Promise((done) => child.once("close", done));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  for (let deadline = Date.now() + START_SECONDS * 1000; !(await accepts(own)); ) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new StackError(`pgbouncer does not start:\n${said.slice(-2000)}`);
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return { url: `postgres://${username}@127.0.0.1:${own}/bench`, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => socket.end(() => done(true)));
    socket.once("error", () => done(false));
  });
}
