// What a newcomer may meet before the first call: an old Node, no packages, taken ports, folders of others, another clone.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "../../scripts/stack/paths.ts";
import { processes } from "../support/processes.ts";
import { until } from "../support/until.ts";

const LAUNCH = join(PROJECT, "scripts/launch.cjs");
/** Another account than root's, in every Unix. */
const NOBODY = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;

let folder: string;
const started: Running[] = [];

interface Running {
  child: ChildProcess;
  output(): string;
  ended: Promise<number | string>;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "spendgate-test-"));
  // mkdtemp keeps others out; a server started by root runs as another user.
  await chmod(folder, 0o755);
});
afterEach(async () => {
  for (const { child, ended } of started.splice(0)) {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
    await ended;
    clearTimeout(late);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The environment of somebody who has set nothing. */
function environment(data: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("SPENDGATE_"));
  return { ...Object.fromEntries(own), SPENDGATE_DATA: data };
}

interface How {
  settings?: Record<string, string>;
  account?: { uid: number; gid: number };
  /** Of node. */
  options?: string[];
  launch?: string;
}

/** Runs a script as `npm start` does. */
function run(script: string, data: string, how: How = {}): Running {
  const { settings, account, options = [], launch = LAUNCH } = how;
  const child = spawn(process.execPath, [...options, launch, ...script.split(" ")], {
    cwd: dirname(dirname(launch)),
    env: { ...environment(data), ...settings },
    ...account,
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
  const running = { child, output: () => text, ended };
  started.push(running);
  return running;
}

async function ready(running: Running): Promise<string> {
  await until(
    "ready",
    () => {
      if (running.child.exitCode !== null) throw new Error(running.output());
      return /^ready$/m.test(running.output());
    },
    60,
  );
  return running.output();
}

/** The lines of a run that ends with exit code 1, without those that say what it was doing. */
async function complaint(running: Running): Promise<string[]> {
  expect(await running.ended, running.output()).toBe(1);
  return running
    .output()
    .trim()
    .split("\n")
    .filter((line) => !/^\[\d+\.\d s\] (starting|applying)/.test(line));
}

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe("One line says what is missing, with exit code 1:", () => {
  it.each(["start", "db", "demo", ""])("Node 18, at `%s`", async (script) => {
    const old = await file(
      "old.cjs",
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } });",
    );
    const { engines, scripts } = JSON.parse(await readFile(join(PROJECT, "package.json"), "utf8"));
    expect(scripts[script || "test"]).toContain(`node scripts/launch.cjs${script && ` ${script}`}`);
    const needed = engines.node.slice(2);

    const running = run(script, folder, { options: ["--require", old] });

    expect(await complaint(running)).toEqual([
      `Node 18.20.4 is too old. Install Node ${needed} or newer (https://nodejs.org), then run \`npm ci\`.`,
    ]);
  });

  it("Windows without WSL", async () => {
    const windows = await file(
      "windows.cjs",
      "Object.defineProperty(process, 'platform', { value: 'win32' });",
    );
    expect(await complaint(run("start", folder, { options: ["--require", windows] }))).toEqual([
      expect.stringMatching(/On Windows, .* within WSL/),
    ]);
  });

  it("packages, all of them or one", async () => {
    const clone = join(folder, "clone");
    const launch = join(clone, "scripts/launch.cjs");
    await mkdir(dirname(launch), { recursive: true });
    await copyFile(LAUNCH, launch);
    await copyFile(join(PROJECT, "package.json"), join(clone, "package.json"));
    expect(await complaint(run("start", folder, { launch }))).toEqual([
      "The packages are not installed. Run `npm ci`.",
    ]);

    const tsx = join(clone, "node_modules/tsx");
    await mkdir(tsx, { recursive: true });
    await writeFile(join(tsx, "package.json"), '{ "type": "module", "exports": "./index.js" }');
    await writeFile(join(tsx, "index.js"), 'import "postgres";');
    const said = await complaint(run("start", folder, { launch }));
    expect(said).toEqual(["postgres is not installed. Run `npm ci`."]);
  });

  it("a setting that is wrong, each of them", async () => {
    const settings = { SPENDGATE_API_PORT: "abc", ENFORCE_COST_QUOTAS: "0" };
    for (const script of ["start", "db", "demo"]) {
      const said = await complaint(run(script, folder, { settings }));
      expect(said.filter((line) => !line.startsWith("No stack"))).toEqual([
        expect.stringMatching(/^ENFORCE_COST_QUOTAS: .*Allowed: true, false\. Correct ENFORCE_C/),
        expect.stringMatching(/^SPENDGATE_API_PORT: .*Allowed: port\. Correct SPENDGATE_API_PORT/),
      ]);
    }
  });

  it("a folder for the data: a file is in its place", async () => {
    const data = join(await file("a-file", ""), "data");
    for (const script of ["start", "db"]) {
      expect(await complaint(run(script, data))).toEqual([
        expect.stringMatching(
          `^The data cannot be kept in ${data} \\(ENOTDIR\\)\\..*SPENDGATE_DATA=`,
        ),
      ]);
    }
  });

  it("a folder for the data: it may not be written", async (test) => {
    const account = isRoot ? NOBODY : undefined;
    // A clone in root's own folder is for root alone.
    if (isRoot && !(await mayEnter(PROJECT))) test.skip();
    const data = join(folder, "read-only");
    await mkdir(data, { mode: 0o555 });
    const settings = { HOME: tmpdir() };
    for (const script of ["start", "db"]) {
      expect(await complaint(run(script, data, { account, settings }))).toEqual([
        expect.stringMatching(`^The data cannot be kept in ${data} \\(EACCES\\)\\. .*chown`),
      ]);
    }
  });

  it.runIf(isRoot)("data that another user's run has made", async () => {
    const data = join(folder, "foreign");
    await mkdir(join(data, "postgres"), { recursive: true });
    await promisify(execFile)("chown", [`${NOBODY.uid}`, join(data, "postgres")]);
    expect(await complaint(run("db", data))).toEqual([
      expect.stringMatching(/belongs to another user \(65534, not \d+\)\. .*SPENDGATE_DATA=/),
    ]);
  });

  it("a port for everybody", async (test) => {
    const account = isRoot ? NOBODY : undefined;
    if (isRoot && !(await mayEnter(PROJECT))) test.skip();
    const unprivileged = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    const first = Number(await readFile(unprivileged, "utf8").catch(() => "0"));
    if (first <= 80) test.skip();
    const data = join(folder, "nobody");
    await mkdir(data, { mode: 0o777 });
    await chmod(data, 0o777);
    const settings = { HOME: tmpdir(), SPENDGATE_API_PORT: "80" };
    expect(await complaint(run("start", data, { account, settings }))).toEqual([
      "Port 80 (API) is root's. Choose one from 1024 on, such as SPENDGATE_API_PORT=54080.",
    ]);
  });
});

async function mayEnter(path: string): Promise<boolean> {
  if (path === dirname(path)) return true;
  return ((await stat(path)).mode & 0o005) === 0o005 && mayEnter(dirname(path));
}

describe("Beside another stack", () => {
  const USUAL = [54_321, 54_322, 54_325, 54_326];
  const others: Server[] = [];

  beforeAll(async () => {
    for (const port of USUAL) {
      const server = createServer((socket) => socket.destroy());
      // One that is taken already does as well.
      const listening = await new Promise<boolean>((resolve) => {
        server.once("error", () => resolve(false));
        server.listen(port, "127.0.0.1", () => resolve(true));
      });
      if (listening) others.push(server);
    }
  });
  afterAll(() => Promise.all(others.map((server) => new Promise((done) => server.close(done)))));

  it("two clones that start at once: each has ports of its own and says them; the demo of each uses its own", async () => {
    const clones = [join(folder, "one"), join(folder, "two")] as [string, string];
    const [one, two] = clones.map((data) => run("start", data)) as [Running, Running];
    const said = await Promise.all([ready(one), ready(two)]);

    const portsOf = (output: string) =>
      USUAL.map((port) =>
        Number(new RegExp(`port ${port} \\(.*\\) is taken: (\\d+) instead`).exec(output)?.[1]),
      );
    const all = said.flatMap(portsOf);
    expect(new Set(all).size, said.join("\n")).toBe(8);
    for (const [index, port] of all.entries()) {
      expect(port).toBeGreaterThan(USUAL[index % 4] as number);
      expect((port - (USUAL[index % 4] as number)) % 10).toBe(0);
    }
    for (const output of said) {
      const [api, database] = portsOf(output);
      expect(output).toContain(`  URL=http://127.0.0.1:${api}\n`);
      expect(output).toMatch(/^ {2}KEY=sb_publishable_\S+$/m);
      expect(output).toContain(`  export SUPABASE_DB_PORT=${database}\n`);
    }

    const demo = run("demo", clones[0]);
    expect(await demo.ended, demo.output()).toBe(0);
    expect(demo.output()).not.toContain("No stack of this clone is running");
    // Into a pipe nothing is bold.
    expect(demo.output()).not.toContain("\x1b");
    const tenants = await Promise.all(
      said.map((output) => tenantsOf(portsOf(output)[1] as number)),
    );
    expect(tenants).toEqual([["Acme", "Globex"], []]);

    one.child.kill("SIGTERM");
    await one.ended;
    // Its ports have gone to the other one since.
    await copyFile(join(clones[1], "ports.json"), join(clones[0], "ports.json"));
    const alone = run("demo", clones[0]);
    expect(await alone.ended, alone.output()).toBe(0);
    expect(alone.output()).toContain("No stack of this clone is running; starting it");
    expect(await tenantsOf(portsOf(said[1] as string)[1] as number)).toEqual([]);
    expect(processes().filter(({ command }) => command.includes(`-D ${clones[0]}`))).toEqual([]);
  }, 180_000);
});

/** Names of tenants, by the Supabase CLI as README.md has it. */
async function tenantsOf(port: number): Promise<string[]> {
  const { findSupabase } = await import("../../scripts/stack/binaries.ts");
  const { stdout } = await promisify(execFile)(
    await findSupabase(),
    ["db", "query", "--output-format", "json", "select name from spend.tenants order by name"],
    { cwd: PROJECT, env: { ...process.env, SUPABASE_DB_PORT: `${port}` } },
  );
  return [...stdout.matchAll(/"name":\s*"(\w+)"/g)].map(([, name]) => name as string);
}
