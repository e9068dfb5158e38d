// What a call takes of the server's processor, counted in instructions: the same figure in every run, whatever else the machine
// does. Valgrind counts them, in a server of one user on the stopped server's data.
import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrationsOf } from "../../../scripts/database/release.ts";
import { onScratchServer } from "../../../scripts/database/scratch.ts";
import { findPostgres } from "../../../scripts/stack/binaries.ts";
import { StackError } from "../../../scripts/stack/ports.ts";
import { isInstalled } from "../installed.ts";
import { figure, type Result, ratio } from "../rounds.ts";
import { createWorld, ESTIMATE, USAGE, type World, warmUp, within } from "../world.ts";

const BASELINE = "0.1.0";
const CALLS = 100;

/** The names of the databases, and the text that calls for as many callers in turns. */
type Sides = Record<"ours" | "baseline", string>;

export async function instructions(): Promise<Result[]> {
  if (!(await isInstalled("valgrind"))) {
    process.stderr.write("instructions are not counted: there is no valgrind\n");
    return [];
  }
  const folder = await mkdtemp(join(tmpdir(), "spendgate-instructions-"));
  try {
    // A server of root's runs as another user, who must get in.
    await chmod(folder, 0o755);
    const calls = await makeWorlds(join(folder, "server"));
    const figures = {
      ours: figure("instructions", [await count(folder, "ours", calls.ours)]),
      baseline: figure("instructions", [await count(folder, "baseline", calls.baseline)]),
    };
    return [
      {
        name: `instructions of reserve + settle ÷ ${BASELINE}`,
        value: ratio(figures.ours, figures.baseline),
        bound: { atMost: 0.65 },
        figures,
      },
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Leaves the data of a server that has stopped. */
async function makeWorlds(dataDir: string): Promise<Sides> {
  return onScratchServer(
    async (scratch) => {
      const worlds = {
        ours: await createWorld(scratch, "ours", { tenants: CALLS }),
        baseline: await createWorld(scratch, "baseline", {
          tenants: CALLS,
          migrations: await migrationsOf(BASELINE),
        }),
      };
      for (const { url, callers } of Object.values(worlds)) {
        await within(url, (sql) => warmUp(sql, callers));
      }
      return { ours: callsOf(worlds.ours), baseline: callsOf(worlds.baseline) };
    },
    { dataDir },
  );
}

function callsOf({ callers }: World): string {
  const ids = (name: "tenant" | "user") => `'{${callers.map((caller) => caller[name])}}'::uuid[]`;
  const json = (usage: typeof ESTIMATE) => `'${JSON.stringify(usage)}'::jsonb`;
  return `call bench.reserve_and_settle(${ids("tenant")}, ${ids("user")}, 0, ${CALLS}, ${json(ESTIMATE)}, ${json(USAGE)});`;
}

/** Of one call: a first round of all callers fills the caches of the process, the second is counted. */
async function count(folder: string, database: string, calls: string): Promise<number> {
  const { postgres } = await findPostgres();
  const data = join(folder, "server", "postgres");
  const { uid, gid } = await stat(data);
  const counted = join(data, `${database}.counted`);
  const child = spawn(
    "valgrind",
    [
      // A part ends, and the next one begins, where a statement `call` does.
      ...["--tool=callgrind", "--dump-before=ExecuteCallStmt", `--callgrind-out-file=${counted}`],
      ...[postgres, "--single", "-j", "-D", data, database],
    ],
    { uid, gid, cwd: data, stdio: ["pipe", "ignore", "pipe"] },
  );
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const settings = {
    synchronous_commit: "off",
    plan_cache_mode: "force_generic_plan",
    enable_seqscan: "off",
  };
  const statements = [
    ...Object.entries(settings).map(([name, value]) => `set ${name} = ${value};`),
    ...[calls, calls, calls],
  ];
  // A blank line ends a statement (-j).
  child.stdin.end(statements.map((statement) => `${statement}\n\n`).join(""));
  const status = await new Promise((done) => child.once("close", done));
  if (status !== 0 || /ERROR|FATAL/.test(said)) {
    throw new StackError(`valgrind could not run PostgreSQL (${status}):\n${said.slice(-2000)}`);
  }
  const text = await readFile(`${counted}.3`, "utf8");
  const total = /^(?:totals|summary): (\d+)/m.exec(text)?.[1];
  if (total === undefined) throw new StackError("callgrind counted nothing");
  return Number(total) / CALLS;
}
